"""dkimpy verifies what the server signs: RSA and Ed25519, and that changes under the signature are noticed."""

import base64
import json
import os
import smtplib
import socket
import threading

from messages import corpus, make
from site_under_test import Failure, Waxwing, run

# The Debian package is for the system's Python, which need not be the one that runs this.
PYTHON = "/usr/bin/python3"
VERIFIER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dkimpy_verify.py")


def verify(message, records, what="dkim"):
    """[(algorithm, domain, verified)] of the signatures from the top, or the result of the ARC chain."""
    request = json.dumps({
        "what": what,
        "message": base64.b64encode(message).decode(),
        "records": records,
    })
    return json.loads(run(PYTHON, VERIFIER, input=request).stdout)


def records(site, domain="bench.test"):
    rows = json.loads(site.cli("--json", "dkim", "show", domain))
    return {row["name"]: row["record"] for row in rows if row["published"]}


def submit(site, sender, recipient, message):
    with smtplib.SMTP_SSL("localhost", site.ports["submissions"], context=site.tls()) as client:
        client.login(sender, site.password(sender))
        client.sendmail(sender, [recipient], message, ["BODY=8BITMIME"])


def check(report, what, got, want):
    if got != want:
        raise Failure(f"{what}: got {got!r}, expected {want!r}")
    report.count()


BOTH = [["rsa-sha256", "bench.test", True], ["ed25519-sha256", "bench.test", True]]
NEITHER = [[algorithm, domain, False] for algorithm, domain, _ in BOTH]


def signatures_verify(site, report):
    dns = records(site)
    sender, recipient = site.new_account(), site.new_account()
    sent = corpus(sender, recipient)
    for message in sent.values():
        submit(site, sender, recipient, message)
    stored = site.mailbox(recipient, expect=len(sent))
    for message in stored:
        check(report, "signatures", verify(message, dns), BOTH)
        if b"; l=" in message[: message.index(b"\r\nFrom:")]:
            raise Failure("a signature with l=")


def missing_fields_are_added_under_the_signature(site, report):
    dns = records(site)
    sender, recipient = site.new_account(), site.new_account()
    bare = b"From: \xc3\x84 <%s>\r\nSubject:  two   blanks \r\n\tand a fold\r\n\r\nbody \t \r\n\r\n\r\n" % sender.encode()
    submit(site, sender, recipient, bare)
    [stored] = site.mailbox(recipient, expect=1)
    check(report, "bare message", verify(stored, dns), BOTH)
    check(report, "another date", verify(stored.replace(b"\r\nDate: ", b"\r\nDate:  x"), dns), NEITHER)


def changes_are_noticed(site, report):
    dns = records(site)
    sender, recipient = site.new_account(), site.new_account()
    submit(site, sender, recipient, make("changes", sender, recipient, b"body\r\n"))
    [stored] = site.mailbox(recipient, expect=1)
    head, body = stored.split(b"\r\n\r\n", 1)
    check(report, "as it is", verify(stored, dns), BOTH)
    for name in ("From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID", "MIME-Version", "Content-Type",
                 "References", "In-Reply-To"):
        for changed in (b"%s: x@y.example\r\n%s" % (name.encode(), head), b"%s\r\n%s: x@y.example" % (head, name.encode())):
            check(report, f"one more {name}", verify(changed + b"\r\n\r\n" + body, dns), NEITHER)
    check(report, "more body", verify(stored + b"<p>more</p>\r\n", dns), NEITHER)
    check(report, "a field above", verify(b"Received: by somebody\r\nX-Y: z\r\n" + stored, dns), BOTH)


def after_rotation_the_new_keys_sign(site, report):
    sender, recipient = site.new_account(), site.new_account()
    submit(site, sender, recipient, make("before", sender, recipient, b"body\r\n"))
    site.cli("dkim", "rotate", "bench.test")
    submit(site, sender, recipient, make("waiting", sender, recipient, b"body\r\n"))
    waiting = json.loads(site.cli("--json", "dkim", "show", "bench.test"))
    active = {row["selector"] for row in waiting if row["state"] == "active"}
    pending = {row["selector"] for row in waiting if row["state"] == "pending"}
    site.cli("dkim", "rotate", "bench.test", "--now")
    submit(site, sender, recipient, make("after", sender, recipient, b"body\r\n"))
    dns = records(site)
    check(report, "selectors", (len(active), len(pending), len(dns) >= 4), (2, 2, True))
    for message in site.mailbox(recipient, expect=3):
        check(report, "all three", verify(message, dns), BOTH)
        signed = {part.split(b"; ")[0].decode() for part in message.split(b" s=")[1:]}
        check(report, "selectors", signed, pending if b"Subject: after" in message else active)


class Sink:
    """Takes mail from one server, and keeps it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.messages = []
        self.came = threading.Condition()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection):
        with connection, connection.makefile("rwb") as stream:
            def say(text):
                stream.write(text.encode() + b"\r\n")
                stream.flush()
            say("220 sink.example")
            for line in stream:
                word = line[:4].upper().strip()
                if word == b"DATA":
                    say("354 go on")
                    lines = []
                    while (part := stream.readline()) not in (b".\r\n", b""):
                        lines.append(part[1:] if part.startswith(b".") else part)
                    with self.came:
                        self.messages.append(b"".join(lines))
                        self.came.notify_all()
                if word == b"EHLO":
                    say("250-sink.example\r\n250 8BITMIME")
                else:
                    say("221 bye" if word == b"QUIT" else "250 ok")

    def message(self, number):
        with self.came:
            if not self.came.wait_for(lambda: len(self.messages) > number, 30):
                raise Failure("nothing was forwarded")
            return self.messages[number]

    def close(self):
        self.listener.close()


class Nothing:
    """A name server that knows no name."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            end = question.index(b"\0", 12) + 5
            # NXDOMAIN, with the one question and nothing else.
            self.socket.sendto(question[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + question[12:end], peer)

    def close(self):
        self.socket.close()


def arc_chains_verify(_, report):
    sink, forwarder, nothing = Sink(), Waxwing(), Nothing()
    with open(forwarder.config, "a") as out:
        # Only what was judged is sealed.
        out.write("reception = { check_private = true }\n")
        out.write(f'dns = {{ servers = ["127.0.0.1:{nothing.port}"] }}\n')
        out.write("smtp = { check_sender_domain = false, greeting_delay_ms = 0 }\n")
        out.write("strangers = { messages_per_minute = 0, recipients_per_minute = 0 }\n")
        out.write(f'route = [{{ domain = "*", host = "127.0.0.1", port = {sink.port} }}]\n')
    forwarder.start()
    try:
        forwarder.add_domain("bench.test")
        forwarder.add_account("keeper@bench.test")
        forwarder.cli("alias", "add", "club@bench.test", "friend@remote.example")
        dns = records(forwarder)
        for number, (name, message) in enumerate(corpus("ann@sender.example", "club@bench.test").items()):
            with smtplib.SMTP("127.0.0.1", forwarder.ports["smtp"]) as client:
                options = [] if message.isascii() else ["BODY=8BITMIME"]
                client.sendmail("ann@sender.example", ["club@bench.test"], message, options)
            sealed = sink.message(number)
            check(report, name, verify(sealed, dns, "arc")[0], "pass")
            check(report, f"{name}, changed", verify(sealed + b"x\r\n", dns, "arc")[0], "fail")
    finally:
        forwarder.close()
        sink.close()
        nothing.close()


TESTS = [
    arc_chains_verify,
    signatures_verify,
    missing_fields_are_added_under_the_signature,
    changes_are_noticed,
    after_rotation_the_new_keys_sign,
]
