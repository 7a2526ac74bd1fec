"""Workers that use the server until it goes away and tell the oracle what was acknowledged."""

import imaplib
import poplib
import random
import re
import smtplib
import socket
import threading
import time

import oracle
from site_under_test import Failure

# What a worker sees when the server or its disk is gone.
GONE = (OSError, EOFError, smtplib.SMTPServerDisconnected, imaplib.IMAP4.abort)

if "MOVE" not in imaplib.Commands:
    imaplib.Commands["MOVE"] = ("SELECTED",)


class Worker(threading.Thread):
    """Runs `turn` until told to stop or the server is gone. An unexpected error is kept."""

    def __init__(self, site, seed, stop):
        super().__init__(daemon=True)
        self.site, self.stop, self.rng = site, stop, random.Random(seed)
        self.seed = seed
        self.count = 0
        self.acknowledged = 0
        self.last = None  # what was acknowledged last, in words
        self.refusals = []
        self.error = None

    def run(self):
        try:
            self.open()
            while not self.stop.is_set():
                self.turn()
        except GONE:
            pass
        except Exception as why:  # reported by the main thread
            self.error = why

    def name(self, kind):
        self.count += 1
        return f"{kind}.{self.seed.replace('/', '.')}.{self.count}"

    def refuse(self, reply):
        """Call before the oracle hears of it: after the cut a refusal says nothing about what is on the disk."""
        if self.stop.is_set():
            raise OSError("refused after the cut")
        self.refusals.append(reply)
        if len(self.refusals) > 100_000:
            raise Failure("refused without end")


class Smtp(Worker):
    """Delivers by SMTP or LMTP to one to three recipients."""

    def __init__(self, site, seed, stop, deliveries, lmtp=False):
        super().__init__(site, seed, stop)
        self.deliveries, self.lmtp = deliveries, lmtp

    def open(self):
        kind = smtplib.LMTP if self.lmtp else smtplib.SMTP
        self.client = kind("127.0.0.1", self.site.ports["lmtp" if self.lmtp else "smtp"], timeout=60)
        self.client.ehlo("powercut.test")

    def turn(self):
        name = self.name("d")
        count = 1 if self.lmtp else self.rng.choice((1, 1, 2, 3))
        recipients = self.rng.sample(self.deliveries.recipients, count)
        try:
            code, text = self.client.mail("sender@powercut.test")
            for recipient in recipients if code == 250 else ():
                code, text = self.client.rcpt(recipient)
                if code != 250:
                    break
            if code != 250:
                self.refuse((code, text))
                self.client.rset()
                return
            self.deliveries.in_flight[name] = recipients
            code, text = self.client.data(oracle.text_of(name))
        except smtplib.SMTPDataError as why:
            code, text = why.smtp_code, why.smtp_error
        if code == 250:
            self.deliveries.acknowledged(name, recipients)
            self.acknowledged += 1
        elif code != -1:
            # LMTP answers per recipient, but here there is one only.
            self.refuse((code, text))
            self.deliveries.in_flight.pop(name, None)


class Submit(Worker):
    """Sends as a user to one to three recipients elsewhere, and now and then to one here as well."""

    def __init__(self, site, seed, stop, model):
        super().__init__(site, seed, stop)
        self.model = model

    def open(self):
        self.client = smtplib.SMTP("127.0.0.1", self.site.ports["submission"], timeout=60)
        self.client.ehlo("powercut.test")
        self.client.login(self.model.account, self.site.password(self.model.account))

    def turn(self):
        name = self.name("o")
        domains = self.rng.sample(Sink.DOMAINS, self.rng.choice((1, 1, 2, 3)))
        away = [f"{name}@{domain}" for domain in domains]
        here = self.rng.random() < 0.5
        try:
            code, text = self.client.mail(self.model.account)
            for recipient in [*away, *([self.model.beside] if here else [])] if code == 250 else ():
                code, text = self.client.rcpt(recipient)
                if code != 250:
                    break
            if code != 250:
                self.refuse((code, text))
                self.client.rset()
                return
            self.model.in_flight[name] = (away, here)
            code, text = self.client.data(oracle.text_of(name, self.model.account))
        except smtplib.SMTPDataError as why:
            code, text = why.smtp_code, why.smtp_error
        if code == 250:
            self.model.acknowledged(name)
            self.acknowledged += 1
        elif code != -1:
            self.refuse((code, text))
            self.model.in_flight.pop(name, None)


class Sink(threading.Thread):
    """The servers elsewhere: one takes mail, one never has time, one refuses. It outlives the server under test."""

    DOMAINS = ("taken.test", "later.test", "refused.test")

    def __init__(self, account):
        super().__init__(daemon=True)
        self.account = account
        self.taken = set()  # recipients whose message came whole
        self.wrong = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection):
        try:
            with connection, connection.makefile("rb") as lines:
                self.session(connection, lines)
        except OSError:
            pass  # the server was killed

    def session(self, connection, lines):
        answer = lambda text: connection.sendall(text.encode() + b"\r\n")
        answer("220 elsewhere")
        recipients = []
        for line in lines:
            command = line.decode().strip()
            verb = command.upper().split(" ")[0]
            if verb == "RCPT":
                address = re.search(r"<(.*)>", command)[1]
                domain = address.rsplit("@", 1)[1]
                reply = {"taken.test": "250 ok", "later.test": "450 4.2.0 no time"}.get(domain, "550 5.1.1 nobody")
                if reply.startswith("250"):
                    recipients.append(address)
                answer(reply)
            elif verb == "DATA":
                answer("354 go on")
                text = b""
                for line in lines:
                    if line == b".\r\n":
                        break
                    text += line[1:] if line.startswith(b".") else line
                else:
                    return
                self.take(recipients, text)
                answer("250 taken")
                recipients = []
            elif verb == "QUIT":
                answer("221 bye")
                return
            else:
                recipients = [] if verb in ("MAIL", "RSET") else recipients
                answer("250 ok")

    def take(self, recipients, text):
        try:
            name = oracle.name_of(text, "elsewhere", self.account)
            if any(not address.startswith(name + "@") for address in recipients):
                raise Failure(f"{name} went to {recipients}")
            self.taken |= set(recipients)
        except Failure as why:
            self.wrong.append(str(why))


class Imap(Worker):
    """Appends, flags, copies, moves, expunges; creates, renames and deletes mailboxes."""

    BOXES = ("INBOX", "A", "B")

    def __init__(self, site, seed, stop, model):
        super().__init__(site, seed, stop)
        self.model = model

    def open(self):
        self.client = self.site.imap(self.model.account)
        self.selected = None

    def select(self, mailbox):
        if self.selected != mailbox:
            self.ok(self.client.select(mailbox))
            self.selected = mailbox

    def ok(self, answer):
        if answer[0] != "OK":
            if self.stop.is_set():
                raise OSError("refused after the cut")
            raise Failure(f"after {self.model.what}: {answer}")

    def turn(self):
        busy = [box for box in self.BOXES if self.model.state[box]]
        turns = [self.append] * 3
        if busy:
            turns += [self.flags] * 6 + [self.copy, self.move, self.expunge]
        turns.append(self.folder)
        self.rng.choice(turns)(self.rng.choice(busy) if busy else "INBOX")

    def finish(self, answer, uids=lambda: ()):
        if answer[0] == "OK":
            # A STORE of what is there already changes nothing, and promises nothing new.
            changes = self.model.after[0] != self.model.state or bool(self.model.after[1])
            self.model.acknowledged(uids())
            self.acknowledged += changes
            self.last = self.model.what if changes else self.last
            return True
        else:
            self.refuse(answer)
            self.model.refused()
            return False

    def code(self, name):
        data = self.client.response(name)[1]
        if not data or data[-1] is None:
            raise Failure(f"{self.model.what}: no {name}")
        return data[-1]

    def append(self, _):
        box, name = self.rng.choice(self.BOXES), self.name("i")
        flags = frozenset(self.rng.sample(FLAGS, self.rng.choice((0, 1))))
        self.model.begin(f"APPEND {box}", self.model.copy(), {box: [(name, flags)]})
        answer = self.client.append(box, f"({' '.join(flags)})", None, oracle.text_of(name))
        self.finish(answer, lambda: [(box, int(self.code("APPENDUID").split()[1]), name, flags)])

    def some(self, box):
        uids = sorted(self.model.state[box])
        start = self.rng.randrange(len(uids))
        return uids[start:start + self.rng.choice((1, 1, 2, 5, 30))]

    def flags(self, box):
        self.select(box)
        uids, flags = self.some(box), frozenset(self.rng.sample(FLAGS, 2))
        sign = self.rng.choice("+- ").strip()
        state = self.model.copy()
        for uid in uids:
            name, old = state[box][uid]
            state[box][uid] = (name, {"+": old | flags, "-": old - flags, "": flags}[sign])
        self.model.begin(f"STORE {box} {uids} {sign}{sorted(flags)}", state)
        self.finish(self.client.uid("STORE", ranges(uids), f"{sign}FLAGS.SILENT", f"({' '.join(flags)})"))

    def copy(self, box, move=False):
        self.select(box)
        uids = self.some(box)
        other = self.rng.choice([b for b in self.BOXES if b != box])
        messages = [self.model.state[box][uid] for uid in uids]
        state = self.model.copy()
        if move:
            for uid in uids:
                del state[box][uid]
        self.model.begin(f"{'MOVE' if move else 'COPY'} {box} {uids} to {other}", state, {other: messages})
        answer = self.client.uid("MOVE" if move else "COPY", ranges(uids), other)
        self.finish(answer, lambda: [(other, uid, *message) for uid, message in zip(self.targets(uids), messages)])

    def move(self, box):
        self.copy(box, move=True)

    def targets(self, uids):
        _, source, target = self.code("COPYUID").split()
        if expand(source) != uids:
            raise Failure(f"{self.model.what}: COPYUID names {source}")
        return expand(target)

    def expunge(self, box):
        self.select(box)
        uids = self.some(box)
        state = self.model.copy()
        for uid in uids:
            name, flags = state[box][uid]
            state[box][uid] = (name, flags | {"\\Deleted"})
        self.model.begin(f"STORE {box} {uids} \\Deleted", state)
        if not self.finish(self.client.uid("STORE", ranges(uids), "+FLAGS.SILENT", "(\\Deleted)")):
            return  # nothing is marked, and removing nothing would be acknowledged rightly
        state = self.model.copy()
        for uid in uids:
            del state[box][uid]
        self.model.begin(f"EXPUNGE {box} {uids}", state)
        self.finish(self.client.uid("EXPUNGE", ranges(uids)))

    def folder_name(self):
        return "F" + "-".join([*self.seed.split("/")[1:], str(self.count)])

    def folder(self, _):
        """A mailbox is made, renamed and deleted."""
        folders = [name for name in self.model.state if name.startswith("F")]
        state = self.model.copy()
        if len(folders) < 3:
            self.count += 1
            name = self.folder_name()
            state[name] = {}
            self.model.begin(f"CREATE {name}", state)
            self.finish(self.client.create(name))
            return
        name = self.rng.choice(folders)
        if self.rng.random() < 0.5:
            self.count += 1
            new = self.folder_name()
            state[new] = state.pop(name)
            self.model.begin(f"RENAME {name} {new}", state)
            self.finish(self.client.rename(name, new))
        else:
            del state[name]
            self.model.begin(f"DELETE {name}", state)
            self.finish(self.client.delete(name))


FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Label1", "Keyword")


def ranges(uids):
    return ",".join(map(str, uids))


def expand(text):
    uids = []
    for part in text.decode().split(","):
        first, _, last = part.partition(":")
        uids += range(int(first), int(last or first) + 1)
    return uids


class Pop3(Worker):
    """Delivers to an account of its own and deletes from it by POP3."""

    def __init__(self, site, seed, stop, model):
        super().__init__(site, seed, stop)
        self.model = model

    def open(self):
        self.client = smtplib.SMTP("127.0.0.1", self.site.ports["smtp"], timeout=60)
        self.client.ehlo("powercut.test")

    def turn(self):
        model = self.model
        for _ in range(3):
            name = self.name("p")
            model.begin("delivery", model.copy(), {"INBOX": [(name, frozenset())]})
            self.client.mail("sender@powercut.test")
            code = self.client.rcpt(model.account)[0]
            if code == 250:
                code = self.data(oracle.text_of(name))
            if code != 250:
                self.refuse((code, b""))
                model.refused()
                return
            # Its uid is not known here: the next free one of the model, set right by the comparison by name.
            model.acknowledged([("INBOX", name, name, frozenset())])
            self.acknowledged += 1
        if len(model.state["INBOX"]) < 6:
            return
        try:
            pop = poplib.POP3("127.0.0.1", self.site.ports["pop3"], timeout=60)
            pop.user(model.account)
            pop.pass_(self.site.password(model.account))
            state = model.copy()
            for number in self.rng.sample(range(1, pop.stat()[0] + 1), 2):
                text = b"\r\n".join(pop.retr(number)[1]) + b"\r\n"
                state["INBOX"].pop(oracle.name_of(text, model.account))
                pop.dele(number)
        except poplib.error_proto as why:
            if "EOF" in str(why) or self.stop.is_set():
                raise OSError(str(why)) from why
            self.refuse((0, str(why).encode()))
            return
        model.begin("QUIT", state)
        try:
            pop.quit()
        except poplib.error_proto as why:
            if "EOF" in str(why):  # poplib's own words for a connection that ended
                raise OSError(str(why)) from why
            self.refuse((0, str(why).encode()))
            model.refused()
            return
        model.acknowledged()
        self.acknowledged += 1

    def data(self, text):
        try:
            return self.client.data(text)[0]
        except smtplib.SMTPDataError as why:
            return why.smtp_code


class Password(Worker):
    """Changes the password of an account with the command line."""

    def __init__(self, site, seed, stop, model):
        super().__init__(site, seed, stop)
        self.model = model

    def open(self):
        pass

    def turn(self):
        self.count += 1
        self.model.next = f"secret-{self.seed.replace('/', '-')}-{self.count}"
        try:
            self.site.set_password(self.model.account, self.model.next)
        except Failure as why:
            for _ in range(200):  # the end of the server may be noticed here first
                process = self.site.process
                if process is None or process.returncode is not None:
                    raise OSError("the server is gone") from why
                time.sleep(0.01)
            self.refuse((0, str(why).encode()))
            return
        self.model.acknowledged()
        self.acknowledged += 1


def read_account(site, account):
    """mailbox -> uid -> (name, flags), every message whole."""
    client = site.imap(account)
    state = {}
    try:
        for line in client.list()[1]:
            if line is None:
                continue
            mailbox = re.match(rb'\([^)]*\) (?:"[^"]*"|NIL) "?([^"]*)"?$', line)[1].decode()
            status, data = client.select(f'"{mailbox}"', readonly=True)
            if status != "OK":
                raise Failure(f"{account}: {mailbox} does not open: {data}")
            state[mailbox] = {}
            for part, text in pairs(client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")):
                uid = int(re.search(rb"UID (\d+)", part)[1])
                flags = re.search(rb"FLAGS \(([^)]*)\)", part)[1].decode().split()
                name = oracle.name_of(text, f"{account} {mailbox}")
                state[mailbox][uid] = (name, frozenset(flags) - {"\\Recent"})
    finally:
        client.logout()
    return state


def pairs(answer):
    """Of each FETCH response all that stands outside of the literal, and the literal."""
    status, data = answer
    if status != "OK":
        raise Failure(f"FETCH: {answer}")
    for n, part in enumerate(data):
        if isinstance(part, tuple):
            tail = data[n + 1] if n + 1 < len(data) and isinstance(data[n + 1], bytes) else b""
            yield part[0] + b" " + tail, part[1]
