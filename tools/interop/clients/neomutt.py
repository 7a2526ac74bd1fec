"""neomutt in batch: sends over submission, copies out of IMAP and POP3."""

import mailbox
import os
import pty
import select
import shutil
import signal
import smtplib
import tempfile
import time

from messages import corpus
from site_under_test import Failure, run, same_message


def settings(site, account, folder):
    rc = os.path.join(folder, "rc")
    with open(rc, "w") as out:
        out.write(
            f'set my_pass="{site.password(account)}"\nset imap_user="{account}" imap_pass=$my_pass\n'
            f'set pop_user="{account}" pop_pass=$my_pass\nset smtp_pass=$my_pass\n'
            f'set certificate_file="{site.cafile}" ssl_ca_certificates_file=""\n'
            f'set from="{account}" realname="" use_from=yes use_envelope_from=yes envelope_from_address="{account}"\n'
            f'set smtp_url="smtps://{account.replace("@", "%40")}@localhost:{site.ports["submissions"]}/"\n'
            'set smtp_authenticators="plain" imap_authenticators="plain:login" pop_authenticators="user"\n'
            f'set record="" folder="{folder}" tmpdir="{folder}" header_cache="" message_cachedir=""\n'
            "set move=no confirmcreate=no confirmappend=no wait_key=no quit=yes delete=no copy_decode_weed=no\n"
            "set mbox_type=Maildir sort=mailbox-order sleep_time=0 send_charset=\"utf-8\" mail_check=0 pop_checkinterval=0\n"
            "set ssl_verify_dates=yes ssl_verify_host=yes ssl_starttls=yes timeout=1\n"
        )
    return rc


def batch(arguments, seconds=90):
    """Runs neomutt on a terminal of its own until it ends."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", HOME="/nonexistent", LINES="40", COLUMNS="100")
        os.execvp("neomutt", ["neomutt", "-n", *arguments])
    seen, until = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if select.select([terminal], [], [], 0.5)[0]:
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen
                seen = (seen + chunk)[-20000:]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise Failure(f"neomutt did not end: …{seen[-1500:]!r}")
    finally:
        os.close(terminal)


def copied(site, account, folder, source, copy):
    """Opens `source`, copies all messages to a Maildir and returns them."""
    target = os.path.join(folder, copy)
    push = f"push '<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{target}<enter><exit>'"
    status, seen = batch(["-F", settings(site, account, folder), "-f", source, "-e", push])
    if status != 0 or not os.path.isdir(target):
        raise Failure(f"neomutt ended with {status} and copied nothing: …{seen[-1500:]!r}")
    box = mailbox.Maildir(target, create=False)
    texts = [box.get_bytes(key) for key in sorted(box.keys())]
    return [text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for text in texts]


def reads(site, report):
    account = site.new_account()
    sent = corpus("a@remote.example", account, large=50_000)
    with smtplib.SMTP("127.0.0.1", site.ports["smtp"]) as client:
        for message in sent.values():
            client.sendmail("a@remote.example", [account], message, ["BODY=8BITMIME"])
    site.mailbox(account, expect=len(sent))
    folder = tempfile.mkdtemp(prefix="neomutt-")
    try:
        for n, source in enumerate((
            f"imap://localhost:{site.ports['imap']}/INBOX",
            f"imaps://localhost:{site.ports['imaps']}/INBOX",
            f"pops://localhost:{site.ports['pop3s']}/",
        )):
            got = copied(site, account, folder, source, f"copy{n}")
            if len(got) != len(sent):
                raise Failure(f"{source}: {len(got)} of {len(sent)} messages")
            for name, message in sent.items():
                marker = f"Message-ID: <{name}.".encode()
                text = next((t for t in got if marker in t), None)
                if text is None:
                    raise Failure(f"{source}: {name} is missing")
                # It adds its own fields at the end of the header: compare the bodies, and that no field is lost.
                same_body(message, text, f"{source} {name}")
                report.count()
    finally:
        shutil.rmtree(folder)


def same_body(sent, got, what):
    sent_head, sent_body = sent.split(b"\r\n\r\n", 1)
    got_head, got_body = got.split(b"\r\n\r\n", 1)
    if sent_body != got_body:
        raise Failure(f"{what}: the body differs")
    same_message(sent_head, b"\r\n".join(
        line for line in got_head.split(b"\r\n")
        if not line.startswith((b"Status:", b"X-Status:", b"Content-Length:", b"Lines:"))), what)


def sends(site, report):
    sender, recipient = site.new_account(), site.new_account()
    folder = tempfile.mkdtemp(prefix="neomutt-")
    try:
        attachment = os.path.join(folder, "data.bin")
        blob = bytes(range(256)) * 50
        with open(attachment, "wb") as out:
            out.write(blob)
        text = "Grüße\n.\n..dots\nFrom here\n"
        run("neomutt", "-n", "-F", settings(site, sender, folder), "-s", "from neomutt", "-a", attachment, "--", recipient,
            input=text, env={"HOME": folder, "TERM": "xterm"})
        import email
        got = email.message_from_bytes(site.mailbox(recipient, expect=1)[0])
        parts = [part.get_payload(decode=True) for part in got.walk() if not part.is_multipart()]
        if parts[0].replace(b"\r\n", b"\n") != text.encode() or parts[1] != blob:
            raise Failure(f"what came is not what went: {parts[0]!r}, attachment of {len(parts[1])} octets")
        report.count(2)
    finally:
        shutil.rmtree(folder)


TESTS = (sends, reads)
