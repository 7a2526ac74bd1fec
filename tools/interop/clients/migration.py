"""5,000 messages from a Dovecot with our import, what changed there since, and back again; POP3 with its state carried over.

Dovecot is also asked to fetch everything from us by itself (dsync with imapc), a second pair of eyes on our IMAP.
"""

import base64
import contextlib
import datetime
import hashlib
import imaplib
import os
import random
import re
import shutil
import subprocess
import tempfile
import time

from clients.fetchmail import fetchmail
from messages import make
from other_server import Dovecot
from site_under_test import Failure, binary, modified_utf7

MESSAGES = 5000
# What the process that imports may take, in MiB: a share of its own and a few messages, however many there are.
MEMORY = 40

# Levels of the names there, share of the messages, and where they are here.
FOLDERS = (
    ("INBOX", 40, "INBOX"),
    ("Gesendet", 15, "Sent"),
    ("Entwurf", 1, "Drafts"),
    ("Papierkorb", 5, "Trash"),
    ("Spam", 5, "Junk"),
    ("Archiv", 2, "Archive"),
    ("Archiv/2019", 8, "Archiv/2019"),
    ("Archiv/2020/Q1", 8, "Archiv/2020/Q1"),
    ("Büro/Verträge & Co", 6, "Büro/Verträge & Co"),
    ("日本語/東京", 5, "日本語/東京"),
    ('Mit Leerzeichen/und "Zitat"', 3, 'Mit Leerzeichen/und "Zitat"'),
    ("Listen/rust-users", 2, "Listen/rust-users"),
    ("Leer", 0, "Leer"),
)
FLAGS = ("", "\\Seen", "\\Seen \\Answered", "\\Flagged", "\\Seen $Forwarded", "\\Seen \\Deleted", "\\Draft", "NonJunk $Label1 \\Seen")
MIME = ("MIME-Version: 1.0",)


def message(n, rng):
    """One of many kinds, those that are usual most often."""
    sender, recipient = f"s{n % 97}@remote.example", "me@old.example"
    kind = rng.random()
    if kind < 0.65:
        lines = (" ".join(f"{rng.randrange(1 << 24):x}" for _ in range(10)) for _ in range(rng.randrange(1, 80)))
        return make(f"Nachricht {n}", sender, recipient, "\r\n".join(lines).encode() + b"\r\n")
    if kind < 0.8:
        blob = base64.encodebytes(rng.randbytes(rng.randrange(2_000, 60_000))).replace(b"\n", b"\r\n")
        body = (b"--x\r\nContent-Type: text/plain\r\n\r\ntext\r\n--x\r\nContent-Type: image/png; name=a.png\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n" + blob + b"--x--\r\n")
        return make(f"Anlage {n}", sender, recipient, body, MIME + ('Content-Type: multipart/mixed; boundary="x"',))
    if kind < 0.95:
        charset, text = rng.choice((("utf-8", "Grüße aus 東京 — "), ("iso-8859-1", "Grüße aus Köln "), ("koi8-r", "Привет ")))
        head = MIME + (f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: 8bit")
        return make(f"=?utf-8?B?{base64.b64encode('Grüße'.encode()).decode()}?= {n}", sender, recipient, text.encode(charset) * 30 + b"\r\n", head)
    return odd(n, rng, make(f"seltsam {n}", sender, recipient, b"text\r\n"))


def odd(n, rng, usual):
    number = b"%d" % n
    return rng.choice((
        b"\r\nno header at all " + number + b"\r\n",
        b"Subject: header alone " + number + b"\r\n",
        usual + b"the last line is not ended",
        usual + b"x" * 200_000 + b"\r\n",
        usual + b"a \r in a line\r\n",
        b"Subject: \xfcml\xe4ut " + number + b"\r\nX-\xe9: y\r\n\r\ntext\r\n",
        usual + bytes(o for o in rng.randbytes(3000) if o not in b"\0\r\n") + b"\r\n",
        make("gleich", "a@b.example", "c@d.example", b"twice\r\n").replace(b"Message-ID", b"X-Not-The-Same"),
        make(f"Umschlag {n}", "a@b.example", "c@d.example", usual, MIME + ("Content-Type: message/rfc822",)),
        b"From somebody Mon Jan  1 00:00:00 2001\r\n" + usual,
        b"Received: from a by b\r\n" * 60 + usual,
        usual + b"z" * 70 + b"\r\n" + b"y\r\n" * 100_000,
    ))


def date(rng):
    zone = datetime.timezone(datetime.timedelta(minutes=rng.choice((-570, -300, 0, 60, 330, 765))))
    return datetime.datetime.fromtimestamp(rng.randrange(800_000_000, 1_750_000_000), zone)


def append(client, name, entries):
    """Several messages in one APPEND (LITERAL+, MULTIAPPEND): (flags, date, octets)."""
    tag = client._new_tag()
    command = [tag, b' APPEND "', name.encode(), b'"']
    for flags, when, octets in entries:
        command += [f' ({flags}) "{when:%d-%b-%Y %H:%M:%S %z}" {{{len(octets)}+}}\r\n'.encode(), octets]
    client.send(b"".join(command) + b"\r\n")
    status, data = client._command_complete("APPEND", tag)
    if status != "OK":
        raise Failure(f"APPEND to {name}: {data}")


def there(name, separator="."):
    """A name as it is quoted on the wire there."""
    return modified_utf7(name.replace("/", separator)).replace("\\", "\\\\").replace('"', '\\"')


def fill(server, account, count):
    rng = random.Random(count)
    client = server.imap(account)
    for name, share, _ in FOLDERS:
        if name not in ("INBOX", "Gesendet", "Entwurf", "Papierkorb", "Spam"):
            client.create(f'"{there(name)}"')
            client.subscribe(f'"{there(name)}"')
        entries = [(rng.choice(FLAGS), date(rng), message(n, rng)) for n in range(count * share // 100)]
        for start in range(0, len(entries), 50):
            append(client, there(name), entries[start:start + 50])
    client.logout()


LINE = re.compile(rb'UID (\d+).*?FLAGS \(([^)]*)\).*?INTERNALDATE "([^"]*)"')


def mailbox(client, quoted):
    """Of each message in the order of UIDs: digest, size, flags, date."""
    status, data = client.select(f'"{quoted}"', readonly=True)
    if status != "OK":
        raise Failure(f"{quoted}: {data}")
    rows = []
    for part in client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(part, tuple):
            uid, flags, when = LINE.search(part[0]).groups()
            flags = frozenset(flag for flag in flags.split() if flag != b"\\Recent")
            when = int(datetime.datetime.strptime(when.decode().strip(), "%d-%b-%Y %H:%M:%S %z").timestamp())
            rows.append((int(uid), hashlib.sha256(part[1]).hexdigest()[:24], len(part[1]), flags, when))
    return [row[1:] for row in sorted(rows)]


def same(report, what, client, name, other, other_name):
    """All of a mailbox, message by message."""
    want, got = mailbox(client, name), mailbox(other, other_name)
    for number, (a, b) in enumerate(zip(want, got)):
        if a != b:
            raise Failure(f"{what}: {name}, message {number + 1} of {len(want)}: {a} became {b}")
    report.expect(f"{what}: number of messages in {name}", len(got), len(want))
    report.count(len(want))
    return len(want)


def compare(report, what, dovecot, account, site, here):
    old, new = dovecot.imap(account), site.imap(here)
    count = sum(same(report, what, old, there(name), new, there(ours, "/")) for name, _, ours in FOLDERS)
    old.logout()
    new.logout()
    return count


def waxwing(site, *arguments, password):
    """Our command: what it says, and the most memory that it took, in MiB."""
    memory = 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [binary(), "--config", site.config, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            env={**os.environ, "WAXWING_PASSWORD": password})
        while process.poll() is None:
            # Not getrusage: its maximum is that of the process that was forked, too.
            with contextlib.suppress(OSError, TypeError), open(f"/proc/{process.pid}/status") as status:
                memory = int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1024
            time.sleep(0.02)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if process.returncode != 0:
        raise Failure(f"waxwing {' '.join(arguments)} ended with {process.returncode}: {text[-2000:]}")
    return text, memory


def carry(site, command, account, dovecot, there, protocol="imaps"):
    """Import or export."""
    url = f"{protocol}://{there.replace('@', '%40')}@localhost:{dovecot.ports[protocol]}/"
    return waxwing(site, command, account, url, "--ca", site.cafile, password=dovecot.password(there))


def modest(report, what, memory):
    if memory > MEMORY:
        raise Failure(f"the {what} took {memory:.0f} MiB, more than {MEMORY}")
    report.count()


@contextlib.contextmanager
def old_server(site):
    dovecot = Dovecot(site)
    try:
        yield dovecot.start()
    finally:
        dovecot.close()


def there_and_back(site, report):
    account, old = site.new_account(), "me@old.example"
    with old_server(site) as dovecot:
        fill(dovecot, old, MESSAGES)
        _, memory = carry(site, "import", account, dovecot, old)
        report.expect("all is here", compare(report, "import", dovecot, old, site, account), MESSAGES)
        modest(report, "import", memory)
        names = set(listed(site.imap(account)))
        report.expect("names", [ours for _, _, ours in FOLDERS if there(ours, "/") not in names], [])

        at = uids(site, account)
        carry(site, "import", account, dovecot, old)
        report.expect("a second run brings nothing", uids(site, account) == at, True)
        changed = changes(dovecot, old)
        carry(site, "import", account, dovecot, old)
        report.expect("the third brings what changed", compare(report, "changes", dovecot, old, site, account), MESSAGES + changed)
        now = uids(site, account)
        added = {name: int(now[name][b"UIDNEXT"]) - int(before[b"UIDNEXT"]) for name, before in at.items()}
        report.expect("no UID is new but theirs", {name: n for name, n in added.items() if n}, {"INBOX": 7, "日本語/東京": 3})
        fetched_by_dovecot(report, dovecot, site, account)
        carried_back(report, dovecot, site, account)


def listed(client):
    return [line.split(b' "/" ')[1].decode().strip('"').replace('\\"', '"') if b'"' not in line.split(b' "/" ')[1]
            else line.split(b' "/" ')[1].decode()[1:-1] for line in client.list()[1]]


def uids(site, account):
    """UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ of each mailbox: what an import that brings nothing leaves alone."""
    client, state = site.imap(account), {}
    for _, _, ours in FOLDERS:
        data = client.status(f'"{there(ours, "/")}"', "(UIDVALIDITY UIDNEXT HIGHESTMODSEQ)")[1][0]
        state[ours] = dict(re.findall(rb"([A-Z]+) (\d+)", data))
    client.logout()
    return state


def changes(dovecot, old):
    """Flags change both ways, ten messages come."""
    client = dovecot.imap(old)
    client.select("INBOX")
    client.store("3:7", "+FLAGS", "(\\Flagged $Later)")
    client.store("20:90", "FLAGS", "(\\Seen)")
    client.select(f'"{there("Archiv/2019")}"')
    client.store("1:5", "FLAGS", "()")
    rng = random.Random(3)
    append(client, "INBOX", [("\\Seen", date(rng), message(n, rng)) for n in range(7)])
    append(client, there("日本語/東京"), [("$New", date(rng), message(n, rng)) for n in range(3)])
    client.logout()
    return 10


def fetched_by_dovecot(report, dovecot, site, account):
    """Dovecot as our client; it may not change what it has already."""
    copy = "copy@old.example"
    arguments = ("-o", f"imapc_user={account}", "-o", f"imapc_password={site.password(account)}", "backup", "-R", "-u", copy, "imapc:")
    dovecot.doveadm(*arguments)
    mine, theirs = site.imap(account), dovecot.imap(copy)
    for _, _, ours in FOLDERS:
        same(report, "dsync", mine, there(ours, "/"), theirs, there(ours))
    before = theirs.status("INBOX", "(UIDNEXT HIGHESTMODSEQ)")
    dovecot.doveadm(*arguments)
    report.expect("its second run changes nothing", theirs.status("INBOX", "(UIDNEXT HIGHESTMODSEQ)"), before)


def carried_back(report, dovecot, site, account):
    """To an account there that is empty; what is something's use here goes to what is that there."""
    new = "new@old.example"
    _, memory = carry(site, "export", account, dovecot, new)
    modest(report, "export", memory)
    mine, theirs = site.imap(account), dovecot.imap(new)
    uses = {"Sent": "Gesendet", "Drafts": "Entwurf", "Trash": "Papierkorb", "Junk": "Spam"}
    names = {ours: there(uses.get(ours, ours)) for _, _, ours in FOLDERS}
    for ours, name in names.items():
        same(report, "export", mine, there(ours, "/"), theirs, name)
    state = [theirs.status(f'"{name}"', "(UIDNEXT HIGHESTMODSEQ)") for name in names.values()]
    carry(site, "export", account, dovecot, new)
    report.expect("a second export changes nothing",
                  [theirs.status(f'"{name}"', "(UIDNEXT HIGHESTMODSEQ)") for name in names.values()], state)
    mine.logout()
    theirs.logout()


def pop3_keeps_its_state(site, report):
    """fetchmail's list of what it has seen there holds here."""
    account = site.new_account()
    with old_server(site) as dovecot:
        client, rng = dovecot.imap(account), random.Random(5)
        append(client, "INBOX", [("", date(rng), message(n, rng)) for n in range(40)])
        folder = tempfile.mkdtemp(prefix="fetchmail-")
        try:
            keep = {"server": "uidl", "user": "keep"}
            report.expect("first from there", len(fetchmail(dovecot, account, folder, "pop3", "pop3", keep)), 40)
            carry(site, "import", account, dovecot, account, "pop3s")
            report.expect("all is here", [row[:2] for row in mailbox(site.imap(account), "INBOX")],
                          [row[:2] for row in mailbox(client, "INBOX")])
            report.expect("nothing is new to fetchmail", fetchmail(site, account, folder, "pop3", "pop3", keep), [])
            site.imap(account).append("INBOX", None, None, make("later", "a@b.example", account, b"x\r\n"))
            later = fetchmail(site, account, folder, "pop3", "pop3", keep)
            report.expect("but what came later", [b"Subject: later" in text for text in later], [True])
        finally:
            shutil.rmtree(folder)


TESTS = (there_and_back, pop3_keeps_its_state)
