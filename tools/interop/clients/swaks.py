"""swaks: SMTP, submission and LMTP transactions, authentication, refusals."""

import tempfile

from messages import corpus
from site_under_test import Failure, run, same_message


def swaks(site, service, sender, recipient, *more, message=None, check=True):
    arguments = ["swaks", "--server", "127.0.0.1", "--port", str(site.ports[service]), "--from", sender,
                 "--to", recipient, "--helo", "client.example", *more]
    with tempfile.NamedTemporaryFile(suffix=".eml") as source:
        if message is not None:
            # swaks wants LF files and stuffs dots itself.
            source.write(message.replace(b"\r\n", b"\n"))
            source.flush()
            arguments += ["--data", "@" + source.name]
        return run(*arguments, check=check)


def verified(site):
    return ("--tls-verify", "--tls-ca-path", site.cafile, "--tls-sni", "localhost")


def body_of(message):
    return message.split(b"\r\n\r\n", 1)[1]


def reception_and_lmtp(site, report):
    account = site.new_account()
    count = 0
    for service, more in (("smtp", ()), ("smtp", ("--tls",)), ("smtp", ("--pipeline",)), ("lmtp", ("--protocol", "LMTP"))):
        for name in ("plain", "dots", "utf8", "mixed"):
            message = corpus("a@remote.example", account, large=20_000)[name]
            if name == "dots":
                message += b"swaks takes a dot at the end for its own\r\n"
            swaks(site, service, "a@remote.example", account, *more, message=message)
            count += 1
            got = site.mailbox(account, expect=count)[-1]
            # swaks ends the data with one more line end.
            same_message(message, got.removesuffix(b"\r\n") if not got.endswith(message) else got, f"{service} {name}")
            report.count()


def submission_mechanisms(site, report):
    sender, recipient = site.new_account(), site.new_account()
    count = 0
    for service, tls in (("submission", "--tls"), ("submissions", "--tls-on-connect")):
        for mechanism in ("PLAIN", "LOGIN"):
            message = corpus(sender, recipient)["plain"]
            swaks(site, service, sender, recipient, tls, "--auth", mechanism, "--auth-user", sender,
                  "--auth-password", site.password(sender), message=message)
            count += 1
            got = site.mailbox(recipient, expect=count)[-1]
            same_message(message, got.removesuffix(b"\r\n") if not got.endswith(message) else got, mechanism)
            report.count()


def refusals(site, report):
    account = site.new_account()
    for service, recipient, more, status in (
        ("smtp", "nobody-here@bench.test", (), 24),
        ("smtp", "someone@remote.example", (), 24),
        ("lmtp", "nobody-here@bench.test", ("--protocol", "LMTP"), 24),
        ("submission", account, ("--tls", "--auth", "PLAIN", "--auth-user", account, "--auth-password", "wrong"), 28),
    ):
        done = swaks(site, service, account, recipient, *more, check=False)
        if done.returncode != status:
            raise Failure(f"{service} to {recipient}: swaks status {done.returncode}, expected {status}\n"
                          + done.stdout.decode(errors="replace"))
        report.count()


TESTS = (reception_and_lmtp, submission_mechanisms, refusals)
