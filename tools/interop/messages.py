"""Messages that break servers and clients which alter what they carry."""

import base64
import random
import re


def make(name, sender, recipient, body, headers=()):
    head = [
        f"From: {sender}",
        f"To: {recipient}",
        f"Subject: {name}",
        "Date: Tue, 02 Jan 2024 03:04:05 +0000",
        f"Message-ID: <{name}.{random.randrange(1 << 60):x}@interop.test>",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def in_python(octets):
    """As a client in Python leaves it: the language's library writes blanks behind the names of fields its own way."""
    return re.sub(rb"(?m)^(X-Empty:|x-CaSe:) *", rb"\1 ", octets)


def corpus(sender, recipient, large=300_000):
    """Name and octets of each message; CRLF line ends, the last line ended."""
    rng = random.Random(20)
    blob = base64.encodebytes(rng.randbytes(large)).replace(b"\n", b"\r\n")
    mime = ("MIME-Version: 1.0",)
    utf8 = mime + ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
    mixed = mime + ('Content-Type: multipart/mixed; boundary="b 1"',)
    bodies = {
        "plain": (b"Hello.\r\n", ()),
        "dots": (b".\r\n..\r\n.x\r\n...\r\n. \r\nend.\r\n.\r\n", ()),
        "longline": (b"x" * 998 + b"\r\nshort\r\n", ()),
        "utf8": ("Grüße, 世界 — ende\r\n".encode() * 20, utf8),
        "blanks": (b"\r\n\r\n  indented \t\r\ntrailing   \r\n\r\n\r\n", ()),
        "fromline": (b"From here\r\n>From there\r\nFrom \r\n", ()),
        "folded": (b"body\r\n", ("X-Folded: one\r\n\ttwo\r\n  three", "X-Empty:", "x-CaSe:  kept ")),
        "mixed": (
            b"preamble\r\n--b 1\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b 1\r\n"
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + blob + b"--b 1--\r\nepilogue\r\n",
            mixed,
        ),
        "manylines": (b"".join(b"line %d\r\n" % n for n in range(5000)), ()),
    }
    return {name: make(name, sender, recipient, body, headers) for name, (body, headers) in bodies.items()}
