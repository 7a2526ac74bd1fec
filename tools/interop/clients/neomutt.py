"""neomutt in batch: sends over submission, copies out of IMAP and POP3, comes back with QRESYNC and a header cache."""

import mailbox
import os
import pty
import re
import select
import shutil
import signal
import smtplib
import tempfile
import time

from messages import corpus, make
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


def terminal(command, environment, answers=None, steps=(), seconds=90):
    """Runs a command on a terminal of its own until it ends. Gives each answer whenever its question is asked, and types
    what the steps say once each, in their order, when what they wait for (a pattern) is shown. It waits until the program is silent:
    some throw away what was typed before they began to listen."""
    pid, line = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm", "LINES": "40", "COLUMNS": "100", **environment})
        os.execvp(command[0], command)
    seen, answered, until, steps = b"", 0, time.monotonic() + seconds, list(steps)
    try:
        while time.monotonic() < until:
            if select.select([line], [], [], 0.2)[0]:
                try:
                    chunk = os.read(line, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen
                seen += chunk
                continue
            shown = read(seen[answered:])
            given = [answer for question, answer in (answers or {}).items() if question in shown]
            if not given and steps and re.search(steps[0][0], shown):
                given = [steps.pop(0)[1]]
            for answer in given:
                answered = len(seen)
                os.write(line, answer.encode())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise Failure(f"{command[0]} did not end{f', it waits for {steps[0][0]}' if steps else ''}: …{read(seen)[-600:]!r}")
    finally:
        os.close(line)


def read(octets):
    """What a person reads on the screen, more or less."""
    plain = re.sub(rb"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])", b" ", octets).decode(errors="replace")
    return re.sub(r"\s+", " ", plain).lower()


def batch(arguments, seconds=90, program="neomutt"):
    return terminal([program, "-n", *arguments], {"HOME": "/nonexistent"}, seconds=seconds)


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


def visit(site, account, folder, program, copy, more):
    """One start with a header cache: copies all messages; returns the texts with their flags, and what it logged."""
    rc, log = settings(site, account, folder), os.path.join(folder, f"log-{copy}")
    with open(rc, "a") as out:
        out.write(f'set header_cache="{folder}/headers" imap_qresync=yes imap_condstore=yes imap_idle=no\n{more}')
    target = os.path.join(folder, copy)
    source = f"imaps://localhost:{site.ports['imaps']}/INBOX"
    push = f"push '<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{target}<enter><exit>'"
    debug = ["-d", "3", "-l", log] if program == "neomutt" else ["-d", "3"]
    os.makedirs(f"{folder}/headers", exist_ok=True)
    status, seen = terminal([program, "-n", *debug, "-F", rc, "-f", source, "-e", push], {"HOME": folder})
    if status != 0 or not os.path.isdir(target):
        raise Failure(f"{program} ended with {status}: …{seen[-1500:]!r}")
    written = os.path.join(folder, ".muttdebug0") if program == "mutt" else f"{log}0"
    with open(written, "rb") as source:
        said = source.read().decode(errors="replace")
    box = mailbox.Maildir(target, create=False)
    return {message["Subject"]: "".join(sorted(set(message.get_flags()) - {"S"})) for message in box}, said


def resynchronizes(site, report, program, more=""):
    account = site.new_account()
    client = site.imap(account)
    for n in range(30):
        client.append("INBOX", None, None, make(f"m{n:02}", account, account, b"body %d\r\n" % n))
    folder = tempfile.mkdtemp(prefix=f"{program}-")
    try:
        want = {f"m{n:02}": "" for n in range(30)}
        got, said = visit(site, account, folder, program, "first", more)
        report.expect("the first start brings all", got, want)
        report.expect("it enabled QRESYNC", ("ENABLE QRESYNC" in said, "VANISHED)" in said), (True, False))
        # While it is away, another flags, expunges and adds.
        client.select("INBOX")
        client.store("4:5", "+FLAGS", "(\\Flagged)")
        client.store("6", "+FLAGS", "(\\Answered)")
        client.store("10:12,20", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.append("INBOX", "(\\Flagged)", None, make("new", account, account, b"x\r\n"))
        for gone in (9, 10, 11, 19):
            del want[f"m{gone:02}"]
        want.update({"m03": "F", "m04": "F", "m05": "R", "new": "F"})
        got, said = visit(site, account, folder, program, "second", more)
        report.expect("the second start finds what changed", got, want)
        report.expect("by QRESYNC", (bool(re.search(r"\(CHANGEDSINCE \d+ VANISHED\)", said)), "Handling VANISHED" in said), (True, True))
        # neomutt also asks again for the numbers at which messages are gone.
        headers = re.findall(r"> a\d+ FETCH (\S+) \(UID FLAGS INTERNALDATE", said)
        report.expect("and fetched the header of the new one alone", headers[-1 if program == "neomutt" else 0:], ["27"])
        got, said = visit(site, account, folder, program, "third", more)
        report.expect("the third start finds the same", got, want)
        report.expect("and fetches no header", "BODY.PEEK[HEADER" in said, False)
        return said
    finally:
        shutil.rmtree(folder)


def comes_back_with_qresync(site, report):
    resynchronizes(site, report, "neomutt")


TESTS = (sends, reads, comes_back_with_qresync)
