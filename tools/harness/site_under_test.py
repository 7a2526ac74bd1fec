"""A mail site to test against: where it listens and who has an account.

`Waxwing` starts the built binary on loopback with a folder of its own.
`Given` is a site that runs already, described by a JSON file; with it the
drivers can be tried against other servers, which shows that a test can fail
and that a failure is not the driver's.
"""

import base64
import imaplib
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSWORD = "open-sesame"
SERVICES = ("smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s")
imaplib._MAXLINE = 100_000_000


class Failure(Exception):
    """A check did not hold."""


def run(*argv, input=None, check=True, timeout=120, env=None, cwd=None):
    """Runs a command; its output is in the failure when it fails."""
    if isinstance(input, str):
        input = input.encode()
    done = subprocess.run(
        argv,
        input=input if input is not None else b"",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    if check and done.returncode != 0:
        raise Failure(
            f"{' '.join(map(str, argv))}\nended with {done.returncode}\n"
            f"{done.stdout.decode(errors='replace')[-3000:]}{done.stderr.decode(errors='replace')[-3000:]}"
        )
    return done


def modified_utf7(name):
    """The name of a mailbox as clients of the first revision write it."""
    def shifted(match):
        return "&" + base64.b64encode(match[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-"))


def free_ports(count):
    """Ports below those that the kernel gives to clients, so that a restart finds them free."""
    held = []
    while len(held) < count:
        try:
            held.append(socket.create_server(("127.0.0.1", random.randrange(10_000, 32_000))))
        except OSError:
            continue
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def binary():
    """The release binary, or what WAXWING_BIN names."""
    path = os.environ.get("WAXWING_BIN") or os.path.join(
        os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "release", "waxwing"
    )
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is missing: run `make build` first")
    return path


class Site:
    """What every site offers."""

    host = "localhost"
    cafile = None
    ports = {}

    def tls(self):
        context = ssl.create_default_context(cafile=self.cafile)
        return context

    def imap(self, account, tls=False):
        """A logged-in imaplib connection."""
        if tls:
            client = imaplib.IMAP4_SSL(self.host, self.ports["imaps"], ssl_context=self.tls())
        else:
            client = imaplib.IMAP4("127.0.0.1", self.ports["imap"])
        client.login(account, self.password(account))
        return client

    def password(self, account):
        return PASSWORD

    def mailbox(self, account, name="INBOX", expect=None):
        """All messages of a mailbox, oldest first; waits until `expect` are there."""
        until = time.monotonic() + 20
        while True:
            client = self.imap(account)
            try:
                status, _ = client.select(f'"{name}"', readonly=True)
                if status != "OK":
                    raise Failure(f"{account} has no mailbox {name}")
                status, data = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
                messages = [part[1] for part in data if isinstance(part, tuple)]
            finally:
                client.logout()
            if expect is None or len(messages) == expect:
                return messages
            if len(messages) > expect or time.monotonic() > until:
                raise Failure(f"{account} {name}: {len(messages)} messages, expected {expect}")
            time.sleep(0.1)


class Waxwing(Site):
    """The built binary with a folder of its own."""

    def __init__(self, folder=None, ports=None, wrapper=(), log=None):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="waxwing-tools-")
        os.makedirs(self.folder, exist_ok=True)
        self.ports = ports or dict(zip(SERVICES, free_ports(len(SERVICES))))
        self.cafile = os.path.join(self.folder, "cert.pem")
        self.config = os.path.join(self.folder, "waxwing.toml")
        self.log = log or os.path.join(self.folder, "log")
        self.wrapper = list(wrapper)
        self.process = None
        self.accounts = 0
        if not os.path.exists(self.config):
            self._certificate()
            self._configuration()

    def _certificate(self):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-keyout", os.path.join(self.folder, "key.pem"), "-out", self.cafile)

    def _configuration(self):
        lines = [
            f'data = "{self.folder}/data"',
            'hostname = "mail.waxwing.test"',
            f'tls.certificate = "{self.folder}/cert.pem"',
            f'tls.key = "{self.folder}/key.pem"',
            "auth.cleartext_on_loopback = true",
            "auth.failures_per_minute = 0",
        ]
        lines += [f'listen.{name} = ["127.0.0.1:{port}"]' for name, port in self.ports.items()]
        with open(self.config, "w") as out:
            out.write("\n".join(lines) + "\n")

    def start(self):
        out = open(self.log, "ab")
        self.process = subprocess.Popen(
            [*self.wrapper, binary(), "--config", self.config, "serve"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        out.close()
        until = time.monotonic() + 30
        for name, port in self.ports.items():
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > until:
                        raise Failure(f"no answer on {name}\n{open(self.log).read()[-3000:]}")
                    time.sleep(0.01)
        return self

    def cli(self, *arguments, input="", check=True):
        return run(binary(), "--config", self.config, *arguments, input=input, check=check).stdout.decode()

    def add_domain(self, name):
        self.cli("domain", "add", name)

    def add_account(self, address, password=PASSWORD):
        self.cli("account", "add", address, "--password-stdin", input=password + "\n")
        return address

    def set_password(self, address, password):
        self.cli("account", "password", address, "--password-stdin", input=password + "\n")

    def new_account(self):
        self.accounts += 1
        return self.add_account(f"u{self.accounts}@bench.test")

    def stop(self):
        """SIGTERM and the wait; the server's own promise is five seconds."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("still ran 10 s after SIGTERM")
        self.process = None
        if status != 0:
            raise Failure(f"ended with {status} after SIGTERM")

    def freeze(self):
        """SIGSTOP: nothing more leaves the process, not even what its system calls return.

        Done when every thread is stopped or in the kernel, from where it returns into the stop.
        """
        self.process.send_signal(signal.SIGSTOP)
        tasks = f"/proc/{self.process.pid}/task"
        until = time.monotonic() + 10
        while time.monotonic() < until:
            states = set()
            for task in os.listdir(tasks):
                try:
                    with open(f"{tasks}/{task}/stat") as stat:
                        states.add(stat.read().rsplit(")", 1)[1].split()[0])
                except FileNotFoundError:  # a thread that ended
                    continue
            if "T" in states and states <= {"T", "D"}:
                return
            time.sleep(0.001)
        raise Failure("did not stop")

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def check(self):
        """`waxwing check`; fails with its report."""
        self.cli("check")

    def close(self):
        """Stops, checks and removes the folder if it was made here."""
        try:
            self.stop()
            self.check()
        finally:
            self.kill()
            if self.own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)


class Given(Site):
    """A site that runs already: `{"ports": {…}, "cafile": …, "user": "u{n}@…", "pass": …, "users": 32}`."""

    def __init__(self, path):
        with open(path) as source:
            given = json.load(source)
        self.ports = given["ports"]
        self.cafile = given.get("cafile")
        self.given = given
        self.accounts = given.get("first", 0)
        self.folder = tempfile.mkdtemp(prefix="waxwing-tools-")
        self.pids = given.get("pids", [])

    def password(self, account):
        return self.given["pass"]

    def new_account(self):
        if self.accounts >= self.given["users"]:
            raise Failure("no account is left")
        self.accounts += 1
        return self.given["user"].replace("{n}", str(self.accounts - 1))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


HEADERS_ON_TOP = re.compile(rb"(?:[!-9;-~]+:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)*\Z")


def same_message(sent, got, what):
    """What came out is what went in, but for header fields on top."""
    if not got.endswith(sent) or not HEADERS_ON_TOP.match(got[: len(got) - len(sent)]):
        size = min(len(sent), len(got))
        differs = next((n for n in range(1, size + 1) if sent[-n] != got[-n]), size)
        raise Failure(
            f"{what}: not the same message; from the end, octet {differs}:\n"
            f" sent …{sent[max(0, len(sent) - differs - 40): len(sent) - differs + 40]!r}\n"
            f" got  …{got[max(0, len(got) - differs - 40): len(got) - differs + 40]!r}"
        )


def paired(sent, stored):
    """Each sent message with the stored one of the same Message-ID, whatever the order of arrival."""
    for message in sent:
        marker = re.search(rb"(?m)^Message-ID: [^\r]*", message)[0]
        found = [text for text in stored if marker in text]
        if len(found) != 1:
            raise Failure(f"{marker.decode()} is there {len(found)} times")
        yield message, found[0]
