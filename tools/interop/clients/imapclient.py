"""IMAPClient, the Python library: folders, parsed structures, searching in other scripts, threads, IDLE, quota, rights."""

import base64
import contextlib
import datetime
import random

import imapclient

from messages import corpus, make
from site_under_test import Failure


@contextlib.contextmanager
def session(site, account, **options):
    with imapclient.IMAPClient(site.host, site.ports["imaps"], ssl_context=site.tls(), timeout=60, **options) as client:
        client.login(account, site.password(account))
        yield client


def names(folders):
    return {name for _, _, name in folders}


def folders(site, report):
    account = site.new_account()
    with session(site, account) as c:
        said = c.id_({"name": "interop", "version": "1"})
        report.expect("ID names the server", b"name" in said[0], True)
        report.expect("personal namespace", c.namespace().personal, (("", "/"),))
        for use, name in ((b"\\Sent", "Sent"), (b"\\Drafts", "Drafts"), (b"\\Junk", "Junk"),
                          (b"\\Trash", "Trash"), (b"\\Archive", "Archive")):
            report.expect(f"the folder for {use}", c.find_special_folder(use), name)
        deep = "Büro/日本語/& so, \"fort\" \\ weiter"
        c.create_folder(deep)
        report.expect("parents are made", {"Büro", "Büro/日本語", deep} <= names(c.list_folders()), True)
        report.expect("LIST below a folder", names(c.list_folders("Büro/", "%")), {"Büro/日本語"})
        c.subscribe_folder(deep)
        report.expect("LSUB", deep in names(c.list_sub_folders()), True)
        c.append(deep, make("in deep", account, account, b"x\r\n"))
        c.rename_folder("Büro", "Bureau")
        moved = deep.replace("Büro", "Bureau")
        report.expect("what was below is renamed with it", c.folder_exists(moved), True)
        report.expect("and is not where it was", c.folder_exists(deep), False)
        report.expect("STATUS", c.folder_status(moved, ["MESSAGES", "UNSEEN"]), {b"MESSAGES": 1, b"UNSEEN": 1})
        c.delete_folder(moved)
        report.expect("DELETE", c.folder_exists(moved), False)
        try:
            c.create_folder("INBOX")
            raise Failure("INBOX was made twice")
        except imapclient.exceptions.IMAPClientError:
            report.count()


def parsed_structures(site, report):
    account = site.new_account()
    sent = corpus(account, account, large=60_000)
    zone = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
    when = datetime.datetime(2019, 7, 6, 5, 4, 3, tzinfo=zone)
    with session(site, account) as c:
        c.normalise_times = False
        for message in sent.values():
            c.append("INBOX", message, (b"\\Seen", b"$Work"), when)
        report.expect("EXISTS", c.select_folder("INBOX", readonly=True)[b"EXISTS"], len(sent))
        got = c.fetch(c.search(), ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"])
        for (name, message), (_, item) in zip(sent.items(), sorted(got.items())):
            report.expect(f"{name}: octets", item[b"BODY[]"] == message, True)
            report.expect(f"{name}: size", item[b"RFC822.SIZE"], len(message))
            report.expect(f"{name}: date", item[b"INTERNALDATE"], when)
            report.expect(f"{name}: flags", set(item[b"FLAGS"]) - {b"\\Recent"}, {b"\\Seen", b"$Work"})
            envelope = item[b"ENVELOPE"]
            report.expect(f"{name}: subject", envelope.subject, name.encode())
            report.expect(f"{name}: from", str(envelope.from_[0]), account)
            report.expect(f"{name}: date of the message", envelope.date.year, 2024)
            report.expect(f"{name}: multipart", item[b"BODYSTRUCTURE"].is_multipart, name == "mixed")
        mixed = sorted(got)[list(sent).index("mixed")]
        parts = got[mixed][b"BODYSTRUCTURE"][0]
        report.expect("kinds of the parts", [(p[0].lower(), p[1].lower()) for p in parts],
               [(b"text", b"plain"), (b"application", b"octet-stream")])
        second = c.fetch(mixed, ["BODY.PEEK[2]", "BINARY.SIZE[2]", "BODY.PEEK[2]<10.20>"])[mixed]
        report.expect("a part", base64.b64decode(second[b"BODY[2]"]) == random.Random(20).randbytes(60_000), True)
        report.expect("its decoded size", second[b"BINARY.SIZE[2]"], 60_000)
        report.expect("a piece of it", second[b"BODY[2]<10>"], second[b"BODY[2]"][10:30])


def searching_sorting_threading(site, report):
    account = site.new_account()
    utf8 = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
    subjects = ["banane", "Re: banane", "apfel", "=?utf-8?B?0J/RgNC40LLQtdGC?=", "zitrone"]
    with session(site, account) as c:
        first = None
        for n, subject in enumerate(subjects):
            message = make(subject, account, account, "Текст Нумер ".encode() + str(n).encode() + b"\r\n", utf8)
            identifier = message.split(b"Message-ID: ")[1].split(b"\r\n")[0]
            if n == 0:
                first = identifier
            if n == 1:
                message = b"In-Reply-To: " + first + b"\r\nReferences: " + first + b"\r\n" + message
            c.append("INBOX", message, [b"\\Flagged"] if n == 2 else [], datetime.datetime(2024, 1, 10 - n))
        c.select_folder("INBOX")
        uids = c.search()
        report.expect("all", len(uids), len(subjects))
        for criteria, charset, want in (
            (["SUBJECT", "Привет"], "UTF-8", [3]),
            (["TEXT", "текст"], "UTF-8", [0, 1, 2, 3, 4]),
            (["SUBJECT", "Привет"], "KOI8-R", [3]),
            (["BODY", "Нумер 4"], "windows-1251", [4]),
            (["NOT", ["SUBJECT", "banane", "NOT", "FLAGGED"]], None, [2, 3, 4]),
            (["OR", "FLAGGED", "SUBJECT", "zit"], None, [2, 4]),
            (["SINCE", datetime.date(2024, 1, 9)], None, [0, 1]),
            (["UNSEEN", "LARGER", 10, "UID", "1:*"], None, [0, 1, 2, 3, 4]),
        ):
            report.expect(f"SEARCH {criteria}", list(c.search(criteria, charset)), [uids[n] for n in want])
        try:
            c.search([b"SUBJECT", b"x"], "x-no-such-charset")
            raise Failure("an unknown charset was accepted")
        except imapclient.exceptions.IMAPClientError as why:
            report.expect("BADCHARSET", "BADCHARSET" in str(why), True)
        report.expect("SORT SUBJECT", list(c.sort(["SUBJECT", "ARRIVAL"])), [uids[n] for n in (2, 1, 0, 4, 3)])
        report.expect("SORT REVERSE ARRIVAL", list(c.sort("REVERSE ARRIVAL")), uids)
        report.expect("THREAD", sorted(c.thread()), sorted([(uids[0], uids[1]), (uids[2],), (uids[3],), (uids[4],)]))
        report.expect("THREAD of some", c.thread("ORDEREDSUBJECT", ["FLAGGED"]), ((uids[2],),))


def flags_moves_and_several_at_once(site, report):
    account = site.new_account()
    with session(site, account) as c:
        messages = [make(f"m{n}", account, account, b"body %d\r\n" % n) for n in range(6)]
        c.multiappend("INBOX", [
            messages[0], {"msg": messages[1], "flags": [b"\\Seen"]},
            {"msg": messages[2], "flags": [b"$A"], "date": datetime.datetime(2001, 2, 3, 4, 5, 6)}, *messages[3:]])
        c.create_folder("Other")
        c.select_folder("INBOX")
        uids = c.search()
        report.expect("MULTIAPPEND", len(uids), 6)
        report.expect("date", c.fetch(uids[2], ["INTERNALDATE"])[uids[2]][b"INTERNALDATE"],
               datetime.datetime(2001, 2, 3, 4, 5, 6))
        got = c.get_flags(uids[:3])
        report.expect("flags", [set(got[u]) - {b"\\Recent"} for u in uids[:3]], [set(), {b"\\Seen"}, {b"$A"}])
        report.expect("+FLAGS", set(c.add_flags(uids[:2], [b"\\Flagged"])[uids[1]]), {b"\\Seen", b"\\Flagged"})
        report.expect("-FLAGS", c.remove_flags(uids[1], [b"\\Seen"])[uids[1]], (b"\\Flagged",))
        report.expect("FLAGS", c.set_flags(uids[1], [b"\\Draft"])[uids[1]], (b"\\Draft",))
        c.add_flags(uids[0], [b"\\Answered"], silent=True)
        report.expect("silent", set(c.get_flags(uids[0])[uids[0]]), {b"\\Flagged", b"\\Answered"})
        c.copy(uids[:2], "Other")
        c.move(uids[2:4], "Other")
        report.expect("left after MOVE", c.search(), [uids[n] for n in (0, 1, 4, 5)])
        c.delete_messages([uids[0], uids[4]])
        c.uid_expunge([uids[4]])
        report.expect("UID EXPUNGE takes one of the deleted", c.search(), [uids[n] for n in (0, 1, 5)])
        c.expunge()
        report.expect("EXPUNGE", c.search(), [uids[n] for n in (1, 5)])
        c.unselect_folder()
        c.select_folder("Other", readonly=True)
        got = c.fetch(c.search(), ["BODY.PEEK[]", "FLAGS"])
        report.expect("what is in the other", [got[u][b"BODY[]"] for u in sorted(got)], messages[:4])


def modseqs(site, report):
    account = site.new_account()
    with session(site, account) as c:
        report.expect("ENABLE", b"CONDSTORE" in c.enable("CONDSTORE"), True)
        for n in range(4):
            c.append("INBOX", make(f"m{n}", account, account, b"x\r\n"))
        at = c.select_folder("INBOX")[b"HIGHESTMODSEQ"]
        uids = c.search()
        c.add_flags(uids[1], [b"\\Flagged"])
        changed = c.fetch(uids, ["FLAGS"], [f"CHANGEDSINCE {at}"])
        report.expect("CHANGEDSINCE", list(changed), [uids[1]])
        report.expect("MODSEQ is above", changed[uids[1]][b"MODSEQ"][0] > at, True)
        found = c.search(["MODSEQ", at + 1])
        report.expect("SEARCH MODSEQ", (list(found), found.modseq), ([uids[1]], changed[uids[1]][b"MODSEQ"][0]))


def idle(site, report):
    account = site.new_account()
    with session(site, account) as c, session(site, account) as other:
        c.select_folder("INBOX")
        other.select_folder("INBOX")
        c.idle()
        other.append("INBOX", make("hello", account, account, b"x\r\n"))
        report.expect("told of the arrival", (1, b"EXISTS") in c.idle_check(timeout=20), True)
        uid = other.search()[0]
        other.add_flags(uid, [b"\\Flagged"])
        told = c.idle_check(timeout=20)
        report.expect("told of the flag", any(t[1] == b"FETCH" and b"\\Flagged" in t[2][-1] for t in told if len(t) > 2), True)
        other.delete_messages(uid)
        c.idle_check(timeout=20)
        other.expunge()
        report.expect("told that it is gone", (1, b"EXPUNGE") in c.idle_check(timeout=20), True)
        c.idle_done()
        report.expect("the session goes on", c.search(), [])


def quota_and_rights(site, report):
    owner, friend = site.new_account(), site.new_account()
    site.cli("account", "quota", owner, "50M")
    with session(site, owner) as c, session(site, friend) as f:
        c.append("INBOX", make("shared", owner, friend, b"x" * 40_000 + b"\r\n"))
        storage = [q for q in c.get_quota("INBOX") if q.resource == "STORAGE"]
        report.expect("quota", [(q.limit, q.usage in (40, 41)) for q in storage], [(50 << 10, True)])
        c.setacl("INBOX", friend, "lr")
        report.expect("ACL", dict(c.getacl("INBOX"))[friend.encode()], b"lr")
        shared = f"Other Users/{owner}/INBOX"
        report.expect("the other sees it", shared in names(f.list_folders()), True)
        report.expect("and its message", f.select_folder(shared, readonly=True)[b"EXISTS"], 1)
        try:
            f.append(shared, b"Subject: no\r\n\r\n")
            raise Failure("a message was put where there is no right to")
        except imapclient.exceptions.IMAPClientError:
            report.count()
        c.setacl("INBOX", friend, '""')
        report.expect("taken back", f.folder_exists(shared), False)


def starttls(site, report):
    account = site.new_account()
    with imapclient.IMAPClient(site.host, site.ports["imap"], ssl=False, timeout=60) as c:
        report.expect("offered", c.has_capability("STARTTLS"), True)
        c.starttls(site.tls())
        c.plain_login(account, site.password(account))
        report.expect("works", c.select_folder("INBOX")[b"EXISTS"], 0)


TESTS = (
    folders,
    parsed_structures,
    searching_sorting_threading,
    flags_moves_and_several_at_once,
    modseqs,
    idle,
    quota_and_rights,
    starttls,
)
