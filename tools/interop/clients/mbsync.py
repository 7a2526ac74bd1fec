"""mbsync: two-way synchronisation of 1,000 messages; a second run changes nothing."""

import collections
import glob
import os
import random
import re
import shutil
import tempfile

from messages import make
from site_under_test import Failure, run

MESSAGES = 1000


def message(account, n, rng):
    words = " ".join(str(rng.randrange(1 << 30)) for _ in range(rng.randrange(5, 200)))
    body = "\r\n".join(words[i:i + 70] for i in range(0, len(words), 70)).encode() + b"\r\n"
    return make(f"m{n}", account, account, body)


def server_state(site, account, mailboxes):
    state = {}
    client = site.imap(account)
    for name in mailboxes:
        client.select(f'"{name}"', readonly=True)
        data = client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")[1]
        for part in data:
            if isinstance(part, tuple):
                uid = int(re.search(rb"UID (\d+)", part[0])[1])
                flags = re.search(rb"FLAGS \(([^)]*)\)", part[0])
                flags = frozenset(flags[1].split()) - {b"\\Recent"} if flags else None
                state[name, uid] = (flags, part[1])
    client.logout()
    return state


def local_state(folder):
    state = {}
    for path in glob.glob(f"{folder}/*/cur/*") + glob.glob(f"{folder}/*/new/*"):
        with open(path, "rb") as source:
            state[os.path.relpath(path, folder)] = source.read()
    return state


def without_token(text):
    """mbsync marks what it propagates with a header field of its own."""
    return re.sub(rb"(?m)^X-TUID: .*\r?\n", b"", text).replace(b"\r\n", b"\n")


def configuration(site, account, folder):
    path = os.path.join(folder, "mbsyncrc")
    with open(path, "w") as out:
        out.write(
            f"IMAPAccount site\nHost localhost\nPort {site.ports['imaps']}\nUser {account}\n"
            f"Pass {site.password(account)}\nSSLType IMAPS\nCertificateFile {site.cafile}\nAuthMechs PLAIN\n\n"
            f"IMAPStore far\nAccount site\n\n"
            f"MaildirStore near\nPath {folder}/mail/\nInbox {folder}/mail/INBOX\nSubFolders Verbatim\n\n"
            f"Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n"
        )
    return path


def compare(site, account, mail, mailboxes):
    far = collections.Counter(without_token(text) for _, text in server_state(site, account, mailboxes).values())
    near = collections.Counter(without_token(text) for text in local_state(mail).values())
    if far != near:
        raise Failure(f"sides differ: {sum(far.values())} there, {sum(near.values())} here, "
                      f"{sum((far & near).values())} equal")
    return sum(far.values())


def two_way(site, report):
    account = site.new_account()
    rng = random.Random(7)
    folder = tempfile.mkdtemp(prefix="mbsync-")
    mail = os.path.join(folder, "mail")
    try:
        client = site.imap(account)
        client.create("Other")
        for n in range(MESSAGES - 300):
            flags = "(\\Seen)" if n % 3 else None
            status, data = client.append("INBOX" if n % 4 else "Other", flags, None, message(account, n, rng))
            if status != "OK":
                raise Failure(f"APPEND: {data}")
        client.logout()
        for name in ("INBOX", "Mine"):
            for sub in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(mail, name, sub))
        for n in range(MESSAGES - 300, MESSAGES):
            path = os.path.join(mail, "INBOX" if n % 2 else "Mine", "cur", f"17000{n}.1_{n}.host:2,{'S' if n % 3 else ''}")
            with open(path, "wb") as out:
                out.write(message(account, n, rng).replace(b"\r\n", b"\n"))
        rc = configuration(site, account, folder)
        mailboxes = ("INBOX", "Other", "Mine")
        run("mbsync", "-q", "-c", rc, "-a", timeout=300)
        if compare(site, account, mail, mailboxes) != MESSAGES:
            raise Failure("the first run did not bring all messages to both sides")
        report.count(MESSAGES)

        before = server_state(site, account, mailboxes), local_state(mail)
        run("mbsync", "-q", "-c", rc, "-a", timeout=300)
        if before != (server_state(site, account, mailboxes), local_state(mail)):
            raise Failure("the second run changed something")
        report.count(MESSAGES)
        changes_travel(site, account, rc, mail, mailboxes)
        report.count(3)
    finally:
        shutil.rmtree(folder)


def changes_travel(site, account, rc, mail, mailboxes):
    """Flags and deletions, one of each on each side."""
    client = site.imap(account)
    client.select("INBOX")
    client.store("1", "+FLAGS", "(\\Flagged)")
    client.store("2", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.logout()
    here = sorted(glob.glob(f"{mail}/Mine/cur/*"))
    os.unlink(here[0])
    answered = here[1].rsplit(",", 1)
    os.rename(here[1], f"{answered[0]},{''.join(sorted(set(answered[1]) | {'R'}))}")
    run("mbsync", "-q", "-c", rc, "-a", timeout=300)
    if compare(site, account, mail, mailboxes) != MESSAGES - 2:
        raise Failure("deletions did not travel")
    if not any(name.rsplit(",", 1)[-1].startswith("F") for name in local_state(mail)):
        raise Failure("\\Flagged did not come here")
    if not any(flags and b"\\Answered" in flags for flags, _ in server_state(site, account, ("Mine",)).values()):
        raise Failure("\\Answered did not go there")


TESTS = (two_way,)
