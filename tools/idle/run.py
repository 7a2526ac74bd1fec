#!/usr/bin/env python3
"""Memory of idle IMAP sessions: opens many, each with IDLE in INBOX, and measures the server and a login meanwhile.

    tools/idle/run.py target/release/waxwing [--sessions 10000] [--tls]

It starts a server of its own in a temporary folder, on loopback, and ends it. Prints one line of JSON. The limit on open
files must allow as many sessions for this process and for the server.
"""

import argparse
import json
import pathlib
import re
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PASSWORD = "open-sesame-and-more"
# Addresses of loopback to connect from: each has a range of ports of its own.
SOURCES = [f"127.0.0.{n}" for n in range(2, 12)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memory(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) / 1024 for name in ("Rss", "Pss")}


class Session:
    """A connection that logs in, selects INBOX and idles."""

    def __init__(self, port, context, source):
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.settimeout(120)
        self.socket.connect(("127.0.0.1", port))
        if context:
            self.socket = context.wrap_socket(self.socket)
        self.buffer = b""

    def line(self):
        while b"\r\n" not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(self.buffer)
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def until(self, start):
        while not (line := self.line()).startswith(start):
            pass
        return line

    def login(self):
        self.until(b"* OK")
        self.socket.sendall(f"a LOGIN a@idle.test {PASSWORD}\r\n".encode())
        line = self.until(b"a ")
        assert line.startswith(b"a OK"), line

    def idle(self):
        self.socket.sendall(b"b SELECT INBOX\r\n")
        assert self.until(b"b ").startswith(b"b OK")
        self.socket.sendall(b"c IDLE\r\n")
        self.until(b"+")


def configure(binary, folder, ports):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=mail.idle.test"],
        check=True, capture_output=True,
    )
    (folder / "waxwing.toml").write_text(
        f'hostname = "mail.idle.test"\ndata = "{folder}/data"\n'
        f'[tls]\ncertificate = "{folder}/cert.pem"\nkey = "{folder}/key.pem"\n'
        "[limits]\nconnections = 50000\nconnections_per_network = 50000\n"
        f'[auth]\ncleartext_on_loopback = true\n[dns]\ndnssec = "off"\n'
        '[listen]\nsmtp = []\nsubmission = []\nsubmissions = []\nlmtp = []\npop3 = []\npop3s = []\n'
        f'imap = ["127.0.0.1:{ports[0]}"]\nimaps = ["127.0.0.1:{ports[1]}"]\n'
    )


def add_account(binary, folder):
    def cli(*arguments, **more):
        subprocess.run([binary, "--config", folder / "waxwing.toml", *arguments], check=True,
                       stdout=subprocess.DEVNULL, **more)

    cli("domain", "add", "idle.test")
    cli("account", "add", "a@idle.test", "--password-stdin", input=PASSWORD.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--sessions", type=int, default=10000)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="waxwing-idle-") as name:
        folder = pathlib.Path(name)
        ports = (free_port(), free_port())
        configure(options.binary, folder, ports)
        server = subprocess.Popen([options.binary, "--config", folder / "waxwing.toml", "serve"],
                                  stdout=subprocess.DEVNULL, stderr=open(folder / "log", "wb"))
        try:
            wait_for(ports[0])
            add_account(options.binary, folder)
            measure(options, server, ports[options.tls])
        except BaseException:
            sys.stderr.write((folder / "log").read_text()[-2000:])
            raise
        finally:
            server.terminate()
            server.wait()


def wait_for(port):
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def measure(options, server, port):
    context = None
    if options.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    first = Session(port, context, SOURCES[0])
    first.login()
    before = memory(server.pid)
    sessions = []
    for number in range(options.sessions):
        session = Session(port, context, SOURCES[number % len(SOURCES)])
        session.login()
        session.idle()
        sessions.append(session)
    idle = memory(server.pid)
    logins = []
    for _ in range(20):
        begun = time.monotonic()
        late = Session(port, context, SOURCES[0])
        late.login()
        logins.append((time.monotonic() - begun) * 1000)
        late.socket.close()
    # Nobody was dropped meanwhile.
    watch = selectors.DefaultSelector()
    for session in sessions:
        watch.register(session.socket, selectors.EVENT_READ)
    dropped = len(watch.select(0))
    print(json.dumps({
        "sessions": options.sessions, "tls": options.tls, "dropped": dropped,
        "rss_mib": round(idle["Rss"], 1), "rss_before_mib": round(before["Rss"], 1),
        "kib_per_session": round((idle["Rss"] - before["Rss"]) * 1024 / options.sessions, 2),
        "login_ms_median": round(sorted(logins)[10], 1), "login_ms_most": round(max(logins), 1),
    }))


if __name__ == "__main__":
    main()
