"""offlineimap: several folders, flags and deletions both ways; a second run changes nothing."""

import collections
import glob
import os
import random
import re
import shutil
import tempfile

from clients.mbsync import server_state
from messages import corpus, in_python, make
from site_under_test import Failure, modified_utf7, run

FOLDERS = ("INBOX", "Sent", "Projekte/Grün", "Projekte/日本")


def synchronize(site, account, folder):
    rc = os.path.join(folder, "rc")
    with open(rc, "w") as out:
        out.write(
            f"[general]\naccounts = a\nmetadatadir = {folder}/state\nui = basic\nfsync = False\n"
            "[Account a]\nlocalrepository = near\nremoterepository = far\nutf8foldernames = yes\n"
            f"[Repository near]\ntype = Maildir\nlocalfolders = {folder}/mail\nsep = /\n"
            f"[Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {site.ports['imaps']}\n"
            f"remoteuser = {account}\nremotepass = {site.password(account)}\nssl = yes\nsslcacertfile = {site.cafile}\n"
            "auth_mechanisms = PLAIN\nmaxconnections = 2\n"
        )
    done = run("offlineimap", "-c", rc, "-o", "-u", "basic", check=False, env={"HOME": folder}, timeout=120)
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode != 0 or "ERROR" in said:
        raise Failure(f"offlineimap ended with {done.returncode}: {said[-2000:]}")
    return said


def here(folder):
    """What the Maildirs hold: folder and name of each file, with its octets."""
    mail = os.path.join(folder, "mail")
    state = {}
    for path in glob.glob(f"{mail}/**/cur/*", recursive=True) + glob.glob(f"{mail}/**/new/*", recursive=True):
        with open(path, "rb") as source:
            state[os.path.relpath(os.path.dirname(os.path.dirname(path)), mail), os.path.basename(path)] = source.read()
    return state


def text(octets):
    """Without the field by which it marks what it brings up."""
    octets = re.sub(rb"(?m)^X-OfflineIMAP: .*\r?\n", b"", octets).replace(b"\r\n", b"\n")
    return in_python(octets)


LETTERS = {b"\\Seen": "S", b"\\Answered": "R", b"\\Flagged": "F", b"\\Deleted": "T", b"\\Draft": "D"}


def sides(site, account, folder):
    """Both sides as bags of folder, flags and text."""
    names = {modified_utf7(name): name for name in FOLDERS}
    far = collections.Counter(
        (names[name], "".join(sorted(LETTERS[flag] for flag in flags if flag in LETTERS)), text(octets))
        for (name, _), (flags, octets) in server_state(site, account, list(names)).items())
    near = collections.Counter(
        (name, re.search(r"(?:2,([A-Z]*))?$", file)[1] or "", text(octets)) for (name, file), octets in here(folder).items())
    if far != near:
        lost, more = list((far - near).elements()), list((near - far).elements())
        raise Failure(f"sides differ: only there {[(n, f, t[:80]) for n, f, t in lost[:3]]} ({len(lost)}), "
                      f"only here {[(n, f, t[:80]) for n, f, t in more[:3]]} ({len(more)})")
    return sum(far.values())


def append(client, name, message, flags=None):
    status, data = client.append(f'"{modified_utf7(name)}"', flags, None, message)
    if status != "OK":
        raise Failure(f"APPEND to {name}: {data}")


def two_way(site, report):
    account = site.new_account()
    rng = random.Random(11)
    folder = tempfile.mkdtemp(prefix="offlineimap-")
    try:
        client = site.imap(account)
        for name in FOLDERS[2:]:
            client.create(f'"{modified_utf7(name)}"')
        odd = list(corpus(account, account, large=100_000).values())
        for n in range(200):
            message = odd[n] if n < len(odd) else make(f"m{n}", account, account, b"%d\r\n" % rng.randrange(1 << 60))
            append(client, FOLDERS[n % 4], message, (None, "(\\Seen)", "(\\Seen \\Flagged)", "(\\Answered)")[n % 4 - n % 3])
        client.logout()
        synchronize(site, account, folder)
        report.expect("all came", sides(site, account, folder), 200)
        report.count(199)

        names = [modified_utf7(name) for name in FOLDERS]
        before = server_state(site, account, names), here(folder)
        synchronize(site, account, folder)
        report.expect("a second run changes nothing", before == (server_state(site, account, names), here(folder)), True)

        there = changes_there(site, account)
        mine = changes_here(folder)
        synchronize(site, account, folder)
        report.expect("both sides after changes on both", sides(site, account, folder), 200 + there + mine)
        before = server_state(site, account, names), here(folder)
        synchronize(site, account, folder)
        report.expect("and that is all", before == (server_state(site, account, names), here(folder)), True)
        state = server_state(site, account, names)
        for needle, flag in ((b"mine to flag", None), (b"theirs", b"\\Flagged")):
            found = [flags for flags, octets in state.values() if b"Subject: " + needle in octets]
            report.expect(f"{needle.decode()} is there once", len(found), 1)
            report.expect("with its flag", flag is None or flag in found[0], True)
    finally:
        shutil.rmtree(folder)


def changes_there(site, account):
    client = site.imap(account)
    client.select("Sent")
    client.store("1:3", "+FLAGS", "(\\Flagged \\Draft)")
    client.store("4:5", "-FLAGS", "(\\Seen \\Answered)")
    client.store("6,8", "+FLAGS", "(\\Deleted)")
    client.expunge()
    append(client, "INBOX", make("theirs", account, account, b"x\r\n"), "(\\Flagged)")
    client.logout()
    return 1 - 2


def changes_here(folder):
    cur = os.path.join(folder, "mail", "INBOX", "cur")
    files = sorted(glob.glob(f"{cur}/*"))
    os.unlink(files[0])
    os.unlink(files[1])
    for path in files[2:5]:
        name, _, flags = path.rpartition(",")
        os.rename(path, f"{name},{''.join(sorted(set(flags) | set('RF')))}")
    new = os.path.join(folder, "mail", "Projekte/日本", "new", "1700000000_1.1.host")
    with open(new, "wb") as out:
        out.write(make("mine to flag", "a@here.example", "b@here.example", b"x\r\n").replace(b"\r\n", b"\n"))
    return 1 - 2


TESTS = (two_way,)
