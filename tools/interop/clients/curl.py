"""curl: SMTP, IMAP and POP3 in clear, with STARTTLS and with implicit TLS."""

import os
import tempfile

from messages import corpus
from site_under_test import Failure, paired, run, same_message


def curl(site, *arguments, check=True, input=None):
    return run("curl", "-sS", "--max-time", "60", "--cacert", site.cafile, *arguments, check=check, input=input)


def user(site, account):
    return ("--user", f"{account}:{site.password(account)}")


def url(site, scheme, service, path=""):
    return f"{scheme}://localhost:{site.ports[service]}/{path}"


def send(site, base, sender, recipients, message, *more):
    arguments = [base, "--mail-from", sender, "--upload-file", "-", *more]
    for recipient in recipients:
        arguments += ["--mail-rcpt", recipient]
    return curl(site, *arguments, input=message)


def smtp_reception(site, report):
    account = site.new_account()
    sent = corpus("stranger@remote.example", account)
    for message in sent.values():
        send(site, url(site, "smtp", "smtp"), "stranger@remote.example", [account], message)
    for message, got in paired(sent.values(), site.mailbox(account, expect=len(sent))):
        same_message(message, got, "reception")
        report.count()


def smtp_several_recipients(site, report):
    accounts = [site.new_account() for _ in range(3)]
    message = corpus("a@remote.example", "list@bench.test")["mixed"]
    send(site, url(site, "smtp", "smtp"), "a@remote.example", accounts, message)
    for account in accounts:
        same_message(message, site.mailbox(account, expect=1)[0], account)
        report.count()


def submission_every_way(site, report):
    sender, recipient = site.new_account(), site.new_account()
    messages = corpus(sender, recipient, large=30_000)
    count = 0
    for base, more in (
        (url(site, "smtps", "submissions"), ()),
        (url(site, "smtp", "submission"), ("--ssl-reqd",)),
    ):
        for mechanism in ("PLAIN", "LOGIN", None):
            login = ("--login-options", f"AUTH={mechanism}") if mechanism else ()
            message = list(messages.values())[count]
            send(site, base, sender, [recipient], message, *user(site, sender), *more, *login)
            count += 1
            stored = site.mailbox(recipient, expect=count)
            same_message(message, next(paired([message], stored))[1], f"{base} {mechanism}")
            report.count()


def submission_without_login_is_refused(site, report):
    account = site.new_account()
    message = corpus(account, account)["plain"]
    done = send_unchecked(site, url(site, "smtp", "submission"), account, account, message, "--ssl-reqd")
    if done.returncode == 0:
        raise Failure("a message was accepted without authentication")
    report.count()
    wrong = ("--user", f"{account}:wrong")
    done = send_unchecked(site, url(site, "smtps", "submissions"), account, account, message, *wrong)
    if done.returncode != 67:  # CURLE_LOGIN_DENIED
        raise Failure(f"a wrong password gave curl status {done.returncode}")
    report.count()


def send_unchecked(site, base, sender, recipient, message, *more):
    return curl(site, base, "--mail-from", sender, "--mail-rcpt", recipient, "--upload-file", "-", *more,
                check=False, input=message)


def unknown_recipient_and_relay(site, report):
    message = corpus("a@remote.example", "b@remote.example")["plain"]
    for recipient in ("nobody-here@bench.test", "someone@remote.example"):
        done = send_unchecked(site, url(site, "smtp", "smtp"), "a@remote.example", recipient, message)
        if done.returncode != 55:  # CURLE_SEND_ERROR, which curl gives for a refused RCPT
            raise Failure(f"RCPT TO:<{recipient}> gave curl status {done.returncode}")
        report.count()


IMAP_WAYS = (("imap", "imap", ()), ("imap", "imap", ("--ssl-reqd",)), ("imaps", "imaps", ()))


def imap_append_and_fetch(site, report):
    account = site.new_account()
    messages = corpus(account, account)
    number = 0
    for scheme, service, more in IMAP_WAYS:
        way = (*user(site, account), *more)
        for name, message in messages.items():
            number += 1
            with tempfile.NamedTemporaryFile() as source:
                source.write(message)
                source.flush()
                curl(site, url(site, scheme, service, "INBOX"), "-T", source.name, *way)
            got = curl(site, url(site, scheme, service, f"INBOX;MAILINDEX={number}"), *way).stdout
            if got != message:
                raise Failure(f"{scheme} {name}: appended {len(message)} octets, fetched {len(got)} others")
            report.count()


def imap_commands(site, report):
    account = site.new_account()
    way = user(site, account)
    base = url(site, "imaps", "imaps")
    message = corpus(account, account)["mixed"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.eml")
        with open(path, "wb") as out:
            out.write(message)
        curl(site, base, *way, "-X", 'CREATE "Work/2024"')
        curl(site, base + "Work/2024", "-T", path, *way)
    expectations = (
        ("", 'LIST "" "*"', b"Work/2024"),
        ("", 'STATUS "Work/2024" (MESSAGES UNSEEN)', b"MESSAGES 1"),
        ("Work/2024", "STORE 1 +FLAGS.SILENT (\\Flagged)", b""),
        ("Work/2024", "FETCH 1 (FLAGS)", b"\\Flagged"),
        ("Work/2024", "SEARCH FLAGGED SUBJECT mixed", b"* SEARCH 1"),
        ("Work/2024", "COPY 1 INBOX", b""),
        ("INBOX", "FETCH 1 BODYSTRUCTURE", b'"MIXED"'),
    )
    for path, command, want in expectations:
        got = curl(site, base + path, *way, "-X", command).stdout
        if want.upper() not in got.upper():
            raise Failure(f"{command}: {got!r}")
        report.count()
    text = curl(site, base + "INBOX;MAILINDEX=1;SECTION=1", *way).stdout
    if text != b"text":
        raise Failure(f"SECTION=1 is {text!r}")
    report.count()


def pop3_every_way(site, report):
    account = site.new_account()
    messages = corpus("stranger@remote.example", account)
    for message in messages.values():
        send(site, url(site, "smtp", "smtp"), "stranger@remote.example", [account], message)
    stored = site.mailbox(account, expect=len(messages))
    for scheme, service, more in (("pop3", "pop3", ()), ("pop3", "pop3", ("--ssl-reqd",)), ("pop3s", "pop3s", ())):
        way = (*user(site, account), *more)
        listed = curl(site, url(site, scheme, service), *way).stdout.split(b"\r\n")
        if [line.split()[1] for line in listed if line] != [str(len(m)).encode() for m in stored]:
            raise Failure(f"{scheme} LIST: {listed}")
        for number, want in enumerate(stored, 1):
            got = curl(site, url(site, scheme, service, str(number)), *way).stdout
            if got != want:
                raise Failure(f"{scheme} RETR {number}: {len(got)} octets, IMAP gave {len(want)}")
            report.count()
    way = user(site, account)
    uidl = curl(site, url(site, "pop3", "pop3"), *way, "-X", "UIDL").stdout
    if uidl != curl(site, url(site, "pop3", "pop3"), *way, "-X", "UIDL").stdout or uidl.count(b"\r\n") < len(stored):
        raise Failure(f"UIDL: {uidl!r}")
    top = curl(site, url(site, "pop3", "pop3"), *way, "-X", "TOP 1 0").stdout
    if not top.endswith(b"\r\n\r\n"):
        raise Failure(f"TOP 1 0: {top[-80:]!r}")
    curl(site, url(site, "pop3", "pop3", "1"), *way, "-X", "DELE", "-I")
    site.mailbox(account, expect=len(messages) - 1)
    report.count(3)


TESTS = (
    smtp_reception,
    smtp_several_recipients,
    submission_every_way,
    submission_without_login_is_refused,
    unknown_recipient_and_relay,
    imap_append_and_fetch,
    imap_commands,
    pop3_every_way,
)
