"""fetchmail: POP3 with and without deletion, UIDL, IMAP, and IDLE."""

import os
import shutil
import smtplib
import subprocess
import tempfile
import threading
import time

from messages import corpus, make
from site_under_test import Failure, paired, run, same_message


def command(site, account, folder, protocol, service, options):
    rc = os.path.join(folder, "rc")
    tls = f"ssl sslcertfile {site.cafile} sslcertck" if service.endswith("s") else "sslproto ''"
    with open(rc, "w") as out:
        out.write(
            f"set no bouncemail\npoll localhost protocol {protocol} service {site.ports[service]} {options.get('server', '')}\n"
            f"  user '{account}' password '{site.password(account)}' {tls} no rewrite {options['user']}\n"
            f"  mda \"sh -c 'cat > {folder}/part && mv {folder}/part {folder}/mail/$(date +%s%N)'\"\n"
        )
    os.chmod(rc, 0o700)
    os.makedirs(os.path.join(folder, "mail"), exist_ok=True)
    return ["fetchmail", "-f", rc, "-N", "--nosyslog", "--invisible", "-i", os.path.join(folder, "ids"),
            "--pidfile", os.path.join(folder, "pid")], {"HOME": folder, "FETCHMAILHOME": folder}


def brought(folder):
    mails = []
    for name in sorted(os.listdir(os.path.join(folder, "mail"))):
        path = os.path.join(folder, "mail", name)
        with open(path, "rb") as source:
            mails.append(source.read().replace(b"\n", b"\r\n"))
        os.unlink(path)
    return mails


def fetchmail(site, account, folder, protocol, service, options):
    arguments, environment = command(site, account, folder, protocol, service, options)
    done = run(*arguments, check=False, env=environment)
    if done.returncode not in (0, 1):  # 1: no mail
        raise Failure(f"fetchmail ended with {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
    return brought(folder)


def deliver(site, account, large):
    sent = list(corpus("a@remote.example", account, large=large).values())
    with smtplib.SMTP("127.0.0.1", site.ports["smtp"]) as client:
        for message in sent:
            client.sendmail("a@remote.example", [account], message, ["BODY=8BITMIME"])
    site.mailbox(account, expect=len(sent))
    return sent


def compared(report, sent, got, what):
    if len(got) != len(sent):
        raise Failure(f"{what}: {len(got)} of {len(sent)} messages came")
    for message, text in paired(sent, got):
        same_message(message, text, what)
        report.count()


def each_way(site, report):
    for protocol, service in (("pop3", "pop3"), ("pop3", "pop3s"), ("imap", "imap"), ("imap", "imaps")):
        account = site.new_account()
        sent = deliver(site, account, 50_000)
        folder = tempfile.mkdtemp(prefix="fetchmail-")
        try:
            server = "uidl" if protocol == "pop3" else ""
            keep = {"server": server, "user": "keep fetchall" if protocol == "imap" else "keep"}
            compared(report, sent, fetchmail(site, account, folder, protocol, service, keep), f"{service} keep")
            site.mailbox(account, expect=len(sent))
            if protocol == "pop3":
                again = fetchmail(site, account, folder, protocol, service, keep)
                if again:
                    raise Failure(f"{service}: {len(again)} messages came twice: UIDL is not stable")
                report.count()
            delete = {"server": "", "user": "nokeep fetchall"}
            compared(report, sent, fetchmail(site, account, folder, protocol, service, delete), f"{service} delete")
            site.mailbox(account, expect=0)
            report.count()
        finally:
            shutil.rmtree(folder)


def told_by_idle(site, report):
    """It stays connected, and brings what arrives when it arrives."""
    account = site.new_account()
    folder = tempfile.mkdtemp(prefix="fetchmail-")
    arguments, environment = command(site, account, folder, "imap", "imaps", {"user": "nokeep idle"})
    client = site.imap(account)
    process = subprocess.Popen([*arguments, "-v"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, **environment})
    said = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout), daemon=True)
    reader.start()
    try:
        for n in range(3):
            client.append("INBOX", None, None, make(f"m{n}", "a@b.example", account, b"x\r\n"))
            until, got = time.monotonic() + 20, []
            while not got and time.monotonic() < until:
                time.sleep(0.05)
                got = brought(folder)
            report.expect(f"message {n}", [f"Subject: m{n}".encode() in text for text in got], [True])
        report.expect("nothing is left", site.mailbox(account, expect=0), [])
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)
        shutil.rmtree(folder)
    report.expect("by IDLE, in one session", (sum(line.endswith(b" IDLE\n") for line in said) >= 2,
                                              sum(b"> A0001 " in line for line in said)), (True, 1))


TESTS = (each_way, told_by_idle)
