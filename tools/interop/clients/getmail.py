"""getmail6: POP3 and IMAP into a Maildir; keeps and remembers, or deletes; whole mailboxes and some."""

import mailbox
import os
import shutil
import sys
import tempfile

import packages
from clients.fetchmail import deliver
from messages import in_python, make
from site_under_test import Failure, paired, run, same_message

PROGRAM = packages.folder("pypi", packages.GETMAIL)


def getmail(site, account, folder, retriever, service, options, more=""):
    rc = os.path.join(folder, "rc")
    root = os.geteuid() == 0  # as whom it does not deliver
    tls = f"ca_certs = {site.cafile}\n" if service.endswith("s") else ""
    with open(rc, "w") as out:
        out.write(
            f"[retriever]\ntype = {retriever}\nserver = localhost\nport = {site.ports[service]}\nusername = {account}\n"
            f"password = {site.password(account)}\n{tls}{more}"
            f"[destination]\ntype = Maildir\npath = {folder}/mail/\n{'user = nobody' if root else ''}\n"
            f"[options]\nverbose = 1\ndelivered_to = false\nreceived = false\n{options}"
        )
    for name in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(folder, "mail", name), exist_ok=True)
        if root:
            shutil.chown(os.path.join(folder, "mail", name), "nobody")
    os.chmod(folder, 0o755)
    if root:
        shutil.chown(os.path.join(folder, "mail"), "nobody")
    done = run(sys.executable, os.path.join(PROGRAM, "bin", "getmail"), f"--getmaildir={folder}", "--rcfile=rc",
               check=False, env={"PYTHONPATH": PROGRAM, "HOME": folder})
    if done.returncode != 0 or b"error" in done.stderr.lower():
        raise Failure(f"getmail ended with {done.returncode}: {done.stdout.decode()[-1500:]}{done.stderr.decode()[-1500:]}")
    box = mailbox.Maildir(os.path.join(folder, "mail"), create=False)
    texts = [box.get_bytes(key).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for key in box.keys()]
    texts = [text.replace(b"X-getmail-retrieved-from-mailbox: INBOX\r\n", b"") for text in texts]
    box.clear()
    return texts


def compared(report, sent, got, what):
    report.expect(f"{what}: number of messages", len(got), len(sent))
    for message, text in paired(sent, got):
        same_message(in_python(message), in_python(text), what)
        report.count()


KEEP, DELETE = "delete = false\nread_all = false\n", "delete = true\nread_all = true\n"


def keeps_and_deletes(site, report):
    for retriever, service in (("SimplePOP3Retriever", "pop3"), ("SimplePOP3SSLRetriever", "pop3s"),
                               ("SimpleIMAPRetriever", "imap"), ("SimpleIMAPSSLRetriever", "imaps")):
        account = site.new_account()
        sent = deliver(site, account, 50_000)
        folder = tempfile.mkdtemp(prefix="getmail-")
        try:
            compared(report, sent, getmail(site, account, folder, retriever, service, KEEP), f"{service} keep")
            report.expect(f"{service}: nothing twice", getmail(site, account, folder, retriever, service, KEEP), [])
            site.imap(account).append("INBOX", None, None, make("later", "a@b.example", account, b"x\r\n"))
            later = getmail(site, account, folder, retriever, service, KEEP)
            report.expect(f"{service}: what came later", [b"Subject: later" in text for text in later], [True])
            report.expect(f"{service}: all is kept", len(site.mailbox(account)), len(sent) + 1)
            everything = getmail(site, account, folder, retriever, service, DELETE)
            report.expect(f"{service}: read_all", len(everything), len(sent) + 1)
            report.expect(f"{service}: deleted", site.mailbox(account), [])
        finally:
            shutil.rmtree(folder)


def mailboxes_and_moving(site, report):
    """All mailboxes but one, what is fetched moves to another one."""
    account = site.new_account()
    folder = tempfile.mkdtemp(prefix="getmail-")
    try:
        client = site.imap(account)
        for name in ("Work/Sub", "Work/Gr&APw-n", "Done"):
            client.create(f'"{name}"')
            client.append(f'"{name}"', None, None, make(name.replace("&", "-"), account, account, b"x\r\n"))
        client.append("INBOX", None, None, make("inbox", account, account, b"x\r\n"))
        got = getmail(site, account, folder, "SimpleIMAPSSLRetriever", "imaps", DELETE,
                      "mailboxes = ('INBOX', 'Work/Sub', 'Work/Grün')\nmove_on_delete = Done\n")
        report.expect("one of each", len(got), 3)
        report.expect("moved", len(site.mailbox(account, "Done")), 4)
        for name in ("INBOX", "Work/Sub", "Work/Gr&APw-n"):
            report.expect(f"{name} is empty", site.mailbox(account, name), [])
    finally:
        shutil.rmtree(folder)


TESTS = (keeps_and_deletes, mailboxes_and_moving)
