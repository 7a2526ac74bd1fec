"""IMAPClient against labels and searches as Gmail has them (`imap.gmail_extensions`), on a server of their own."""

import contextlib

import imapclient

from messages import corpus, make
from site_under_test import Waxwing


@contextlib.contextmanager
def gmail(site):
    """A server with the extension; None on a site that is not ours."""
    if not isinstance(site, Waxwing):
        yield None
        return
    own = Waxwing()
    with open(own.config, "a") as out:
        out.write("imap.gmail_extensions = true\n")
    try:
        own.start()
        own.add_domain("bench.test")
        yield own
    finally:
        own.close()


@contextlib.contextmanager
def session(site, account):
    with imapclient.IMAPClient(site.host, site.ports["imaps"], ssl_context=site.tls(), timeout=60) as client:
        client.login(account, site.password(account))
        yield client


def labels(site, report):
    with gmail(site) as own:
        if own is None:
            # Others are not asked for what is ours.
            return report.count()
        account = own.new_account()
        with session(own, account) as c, session(own, account) as other:
            report.expect("announced", c.has_capability("X-GM-EXT-1"), True)
            for name in ("one", "two", "three"):
                c.append("INBOX", make(name, account, account, b"x\r\n"))
            c.select_folder("INBOX")
            report.expect("none at first", c.get_gmail_labels([1, 2, 3]), {1: [], 2: [], 3: []})
            added = c.add_gmail_labels([1, 2], ["Büro/日本語", "Muy Importante", "\\Starred"])
            want = {b"Muy Importante", "Büro/日本語", b"\\Starred"}
            for uid in (1, 2):
                report.expect("added", {as_text(label) for label in added[uid]}, {as_text(label) for label in want})
            report.expect("flagged", imapclient.FLAGGED in c.get_flags(1)[1], True)
            report.expect("fetched", sorted(map(as_text, c.get_gmail_labels(1)[1])),
                          sorted(["Büro/日本語", "Muy Importante", "\\Starred"]))
            other.select_folder("Büro/日本語")
            report.expect("it is in that folder", other.search(), [1, 2])
            report.expect("seen from there", set(map(as_text, other.get_gmail_labels(1)[1])),
                          {"\\Inbox", "Muy Importante", "\\Starred"})
            report.expect("one message", other.fetch(1, ["X-GM-MSGID"])[1][b"X-GM-MSGID"],
                          c.fetch(1, ["X-GM-MSGID"])[1][b"X-GM-MSGID"])
            removed = c.remove_gmail_labels(1, ["Büro/日本語", "\\Starred"])
            report.expect("removed", list(map(as_text, removed[1])), ["Muy Importante"])
            other.noop()
            report.expect("it has left that folder", other.search(), [2])
            exact = c.set_gmail_labels([1, 3], ["three"])
            report.expect("set", {uid: list(map(as_text, now)) for uid, now in exact.items()}, {1: ["three"], 3: ["three"]})
            report.expect("search by label", c.search(["X-GM-LABELS", "three"]), [1, 3])
            c.remove_gmail_labels(2, ["\\Inbox"])
            c.noop()
            report.expect("out of the inbox", c.search(), [1, 3])
            c.select_folder("Muy Importante")
            report.expect("and still elsewhere", c.search(), [2])


def as_text(label):
    return label.decode() if isinstance(label, bytes) else label


def searches(site, report):
    with gmail(site) as own:
        if own is None:
            # Others are not asked for what is ours.
            return report.count()
        account = own.new_account()
        messages = corpus("amy@bench.test", account)
        with session(own, account) as c:
            for message in messages.values():
                c.append("INBOX", message)
            c.select_folder("INBOX")
            everything = c.search()
            report.expect("all", c.gmail_search("in:inbox"), everything)
            report.expect("from", c.gmail_search("from:amy"), c.search(["FROM", "amy"]))
            report.expect("subject", c.gmail_search("subject:mixed"), c.search(["SUBJECT", "mixed"]))
            report.expect("not", c.gmail_search("-subject:mixed"), c.search(["NOT", "SUBJECT", "mixed"]))
            report.expect("either", c.gmail_search("{subject:mixed subject:plain}"),
                          c.search(["OR", "SUBJECT", "mixed", "SUBJECT", "plain"]))
            report.expect("umlauts", c.gmail_search("subject:übung", "UTF-8"), c.search(["SUBJECT", "übung"], "UTF-8"))
            report.expect("size", c.gmail_search("larger:1K"), c.search(["LARGER", 1024]))
            attached = c.gmail_search("has:attachment")
            structures = c.fetch(everything, ["BODYSTRUCTURE"])
            want = [uid for uid in everything if b"attachment" in repr(structures[uid]).lower().encode()
                    or b"filename" in repr(structures[uid]).lower().encode()]
            report.expect("attachments", attached, want)
            threads = c.fetch(everything, ["X-GM-THRID"])
            first = threads[everything[0]][b"X-GM-THRID"]
            report.expect("threads", c.search(["X-GM-THRID", first]),
                          [uid for uid in everything if threads[uid][b"X-GM-THRID"] == first])


TESTS = (labels, searches)
