"""fetchmail: POP3 with and without deletion, UIDL, and IMAP."""

import os
import shutil
import smtplib
import tempfile

from messages import corpus
from site_under_test import Failure, paired, run, same_message


def fetchmail(site, account, folder, protocol, service, options):
    rc = os.path.join(folder, "rc")
    tls = f"ssl sslcertfile {site.cafile} sslcertck" if service.endswith("s") else "sslproto ''"
    with open(rc, "w") as out:
        out.write(
            f"set no bouncemail\npoll localhost protocol {protocol} service {site.ports[service]} {options.get('server', '')}\n"
            f"  user '{account}' password '{site.password(account)}' {tls} no rewrite {options['user']}\n"
            f"  mda \"sh -c 'cat > {folder}/mail/$(date +%s%N)'\"\n"
        )
    os.chmod(rc, 0o700)
    os.makedirs(os.path.join(folder, "mail"), exist_ok=True)
    done = run("fetchmail", "-f", rc, "-N", "--nosyslog", "--invisible", "-i", os.path.join(folder, "ids"),
               "--pidfile", os.path.join(folder, "pid"), check=False, env={"HOME": folder, "FETCHMAILHOME": folder})
    if done.returncode not in (0, 1):  # 1: no mail
        raise Failure(f"fetchmail ended with {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
    mails = []
    for name in sorted(os.listdir(os.path.join(folder, "mail"))):
        path = os.path.join(folder, "mail", name)
        with open(path, "rb") as source:
            mails.append(source.read().replace(b"\n", b"\r\n"))
        os.unlink(path)
    return mails


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


TESTS = (each_way,)
