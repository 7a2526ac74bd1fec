"""msmtp: submission with each mechanism, over STARTTLS and over TLS."""

import os
import tempfile

from messages import corpus
from site_under_test import Failure, run, same_message


def msmtp(site, service, starttls, mechanism, account, password, recipients, message, check=True):
    with tempfile.NamedTemporaryFile("w", suffix=".rc") as rc:
        os.chmod(rc.name, 0o600)
        rc.write(
            f"account default\nhost localhost\nport {site.ports[service]}\ntls on\n"
            f"tls_starttls {'on' if starttls else 'off'}\ntls_trust_file {site.cafile}\n"
            f"auth {mechanism}\nuser {account}\npassword {password}\nfrom {account}\n"
            "set_date_header off\nset_msgid_header off\nset_from_header off\n"
        )
        rc.flush()
        return run("msmtp", "-C", rc.name, *recipients, input=message.replace(b"\r\n", b"\n"), check=check)


def submission(site, report):
    sender, recipient = site.new_account(), site.new_account()
    messages = list(corpus(sender, recipient).values())
    count = 0
    for service, starttls in (("submission", True), ("submissions", False)):
        for mechanism in ("plain", "login", "scram-sha-256"):
            if mechanism.startswith("scram") and getattr(site, "given", {}).get("no_scram"):
                continue
            message = messages[count]
            msmtp(site, service, starttls, mechanism, sender, site.password(sender), [recipient], message)
            count += 1
            same_message(message, site.mailbox(recipient, expect=count)[-1], f"{service} {mechanism}")
            report.count()


def refusals(site, report):
    sender = site.new_account()
    message = corpus(sender, sender)["plain"]
    for password, recipient, status in (
        ("wrong", sender, 77),  # EX_NOPERM
        (site.password(sender), "nobody-here@bench.test", 65),  # EX_DATAERR
    ):
        done = msmtp(site, "submissions", False, "plain", sender, password, [recipient], message, check=False)
        if done.returncode != status:
            raise Failure(f"{recipient}: msmtp status {done.returncode}, expected {status}: {done.stderr!r}")
        report.count()


TESTS = (submission, refusals)
