"""mpop: POP3 with pipelining, UIDL remembered, each mechanism of login."""

import os
import re
import shutil
import tempfile

from clients.fetchmail import deliver
from messages import make
from site_under_test import Failure, paired, run, same_message


def mpop(site, account, folder, service, auth, *more, starttls=False, settings=""):
    rc = os.path.join(folder, "rc")
    tls = f"tls on\ntls_starttls {'on' if starttls else 'off'}\ntls_trust_file {site.cafile}\n" if service.endswith("s") or starttls else "tls off\n"
    with open(rc, "w") as out:
        out.write(
            f"account a\nhost localhost\nport {site.ports[service]}\nuser {account}\npassword {site.password(account)}\n"
            f"auth {auth}\n{tls}uidls_file {folder}/uidls\nreceived_header off\ndelivery exchange {folder}/mail\n{settings}"
        )
    os.chmod(rc, 0o600)
    os.makedirs(os.path.join(folder, "mail"), exist_ok=True)
    done = run("mpop", "-C", rc, "--debug", *more, "a", check=False, env={"HOME": folder})
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode != 0:
        raise Failure(f"mpop ended with {done.returncode}: {said[-1500:]}")
    texts = []
    for name in sorted(os.listdir(f"{folder}/mail")):
        with open(f"{folder}/mail/{name}", "rb") as source:
            texts.append(source.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        os.unlink(f"{folder}/mail/{name}")
    return texts, said


def pipelined(said):
    """Whether commands went before the answer of the one before had come."""
    return bool(re.search(r"--> (UIDL|LIST|RETR|STAT).*\n--> ", said))


def each_way(site, report):
    for service, auth, starttls in (("pop3", "user", False), ("pop3", "plain", True), ("pop3s", "scram-sha-256", False),
                                    ("pop3s", "login", False)):
        account = site.new_account()
        sent = deliver(site, account, 50_000)
        folder = tempfile.mkdtemp(prefix="mpop-")
        what = f"{service} {auth}"
        try:
            got, said = mpop(site, account, folder, service, auth, "--keep=on", starttls=starttls)
            report.expect(f"{what}: count", len(got), len(sent))
            for message, text in paired(sent, got):
                same_message(message, text, what)
                report.count()
            report.expect(f"{what}: pipelined", pipelined(said), True)
            again, _ = mpop(site, account, folder, service, auth, "--keep=on", starttls=starttls)
            report.expect(f"{what}: nothing twice", again, [])
            site.imap(account).append("INBOX", None, None, make("later", "a@b.example", account, b"x\r\n"))
            later, _ = mpop(site, account, folder, service, auth, "--keep=off", starttls=starttls)
            report.expect(f"{what}: what came later", [b"Subject: later" in text for text in later], [True])
            report.expect(f"{what}: what was fetched is deleted", site.mailbox(account), [])
        finally:
            shutil.rmtree(folder)


def some_are_left(site, report):
    account = site.new_account()
    client = site.imap(account)
    for n, size in enumerate((100, 50_000, 200)):
        client.append("INBOX", None, None, make(f"m{n}", account, account, b"0123456\r\n" * (size // 9)))
    folder = tempfile.mkdtemp(prefix="mpop-")
    try:
        got, said = mpop(site, account, folder, "pop3s", "plain", "--skipsize=10k", "--keep=on")
        report.expect("the small ones", sorted(re.search(rb"Subject: (\w+)", text)[1] for text in got), [b"m0", b"m2"])
        os.unlink(f"{folder}/uidls")
        wants = "filter sh -c 'grep -q \"Subject: m[01]\" && exit 2; exit 0'\n"  # 2: leave it
        got, said = mpop(site, account, folder, "pop3s", "plain", "--keep=on", settings=wants)
        report.expect("its filter saw the headers", [b"Subject: m2" in text for text in got], [True])
        report.expect("by TOP", "TOP 1 0" in said, True)
        got, said = mpop(site, account, folder, "pop3s", "plain", "--status-only")
        report.expect("status only", (got, "3 messages" in said), ([], True))
    finally:
        shutil.rmtree(folder)


TESTS = (each_way, some_are_left)
