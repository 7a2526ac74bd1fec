"""Python's smtplib, imaplib and poplib."""

import imaplib
import poplib
import re
import smtplib
import time

from messages import corpus, make
from site_under_test import Failure, paired, same_message


def expect(report, what, got, want):
    if got != want:
        raise Failure(f"{what}: got {got!r}, expected {want!r}")
    report.count()


def ok(report, answer, what):
    status, data = answer
    expect(report, what, status, "OK")
    return data


def smtp_reception(site, report):
    account = site.new_account()
    sent = corpus("a@remote.example", account)
    with smtplib.SMTP("127.0.0.1", site.ports["smtp"]) as client:
        for message in sent.values():
            refused = client.sendmail("a@remote.example", [account], message, ["BODY=8BITMIME"])
            expect(report, "sendmail", refused, {})
        try:
            client.sendmail("a@remote.example", ["nobody-here@bench.test"], b"x")
            raise Failure("an unknown recipient was accepted")
        except smtplib.SMTPRecipientsRefused as refusal:
            expect(report, "unknown recipient", list(refusal.recipients.values())[0][0], 550)
        refused = client.sendmail("a@remote.example", [account, "nobody-here@bench.test"], sent["plain"])
        expect(report, "one of two refused", list(refused), ["nobody-here@bench.test"])
    stored = site.mailbox(account, expect=len(sent) + 1)
    for message, got in paired([m for n, m in sent.items() if n != "plain"], stored):
        same_message(message, got, "smtplib")
        report.count()


def smtp_starttls_and_extensions(site, report):
    with smtplib.SMTP("localhost", site.ports["smtp"]) as client:
        client.ehlo("client.example")
        for name in ("pipelining", "size", "8bitmime", "starttls", "enhancedstatuscodes"):
            expect(report, name, client.has_extn(name), True)
        client.starttls(context=site.tls())
        client.ehlo("client.example")
        expect(report, "STARTTLS under TLS", client.has_extn("starttls"), False)
        expect(report, "HELP, NOOP, RSET, VRFY", [client.noop()[0], client.rset()[0], client.vrfy("x")[0]][:2], [250, 250])


def submission(site, report):
    sender, recipient = site.new_account(), site.new_account()
    sent = corpus(sender, recipient)
    password = site.password(sender)
    messages = list(sent.values())
    with smtplib.SMTP_SSL("localhost", site.ports["submissions"], context=site.tls()) as client:
        client.login(sender, password)
        for message in messages:
            expect(report, "sendmail", client.sendmail(sender, [recipient], message, ["BODY=8BITMIME"]), {})
    with smtplib.SMTP("localhost", site.ports["submission"]) as client:
        client.starttls(context=site.tls())
        client.ehlo()
        client.user, client.password = sender, password
        expect(report, "AUTH LOGIN", client.auth("LOGIN", client.auth_login)[0], 235)
        bare = b"From: %s\r\nSubject: no date\r\n\r\nbody\r\n" % sender.encode()
        expect(report, "sendmail", client.sendmail(sender, [recipient], bare), {})
    stored = site.mailbox(recipient, expect=len(messages) + 1)
    for message, got in paired(messages, stored):
        same_message(message, got, "submission")
        report.count()
    dateless = next(text for text in stored if b"Subject: no date" in text)
    same_message(bare, dateless, "without date")
    head = dateless.split(b"\r\n\r\n")[0].lower()
    expect(report, "Date and Message-ID were added", [b"\r\ndate: " in b"\r\n" + head, b"\r\nmessage-id: <" in b"\r\n" + head], [True, True])


def forward_without_download(site, report):
    """CATENATE, URLAUTH and BURL: a message is forwarded, attachment and all, and never comes here."""
    sender, recipient = site.new_account(), site.new_account()
    original = corpus("amy@remote.example", sender)["mixed"]
    c = site.imap(sender, tls=True)
    offered = ok(report, c.capability(), "CAPABILITY")[0].split()
    if b"URLAUTH" not in offered or b"CATENATE" not in offered:
        return
    imaplib.Commands.update({name: ("AUTH", "SELECTED") for name in ("GENURLAUTH", "RESETKEY")})
    ok(report, c.append("INBOX", None, None, original), "APPEND")
    head = (f"From: {sender}\r\nTo: {recipient}\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=fwd\r\n\r\n--fwd\r\n\r\nsee below\r\n"
            "--fwd\r\nContent-Type: message/rfc822\r\n\r\n").encode()
    tail = b"\r\n--fwd--\r\n"
    tag = c._new_tag()
    c.send(tag + b' APPEND Drafts CATENATE (TEXT {%d+}\r\n%s URL "/INBOX/;UID=1" TEXT {%d+}\r\n%s)\r\n'
           % (len(head), head, len(tail), tail))
    status, answer = c._command_complete("APPEND", tag)
    expect(report, "APPEND CATENATE", (status, b"APPENDUID" in answer[0]), ("OK", True))
    user = sender.replace("@", "%40")
    rump = f'"imap://{user}@mail.waxwing.test/Drafts/;uid=1;urlauth=submit+{user}"'
    ok(report, c._simple_command("GENURLAUTH", rump, "INTERNAL"), "GENURLAUTH")
    url = c.response("GENURLAUTH")[1][0].decode().strip('"')
    with smtplib.SMTP_SSL("localhost", site.ports["submissions"], context=site.tls()) as client:
        client.login(sender, site.password(sender))
        client.ehlo()
        expect(report, "BURL imap", "imap" in client.esmtp_features.get("burl", "").split(), True)
        expect(report, "MAIL", client.mail(sender)[0], 250)
        expect(report, "RCPT", client.rcpt(recipient)[0], 250)
        expect(report, "BURL", client.docmd("BURL", url + " LAST")[0], 250)
        ok(report, c._simple_command("RESETKEY", "Drafts"), "RESETKEY")
        client.mail(sender)
        client.rcpt(recipient)
        code, text = client.docmd("BURL", url + " LAST")
        expect(report, "BURL after RESETKEY", (code, text[:5]), (554, b"5.7.0"))
    c.logout()
    stored = site.mailbox(recipient, expect=1)[0]
    expect(report, "all of it arrived", stored.endswith(head.split(b"\r\n\r\n", 1)[1] + original + tail), True)


def imap_walk(site, report):
    account = site.new_account()
    c = site.imap(account, tls=True)
    message = corpus(account, account)["mixed"]
    when = imaplib.Time2Internaldate(1_700_000_000)
    ok(report, c.create("Work/Sub"), "CREATE")
    ok(report, c.create('"B&APw-cher"'), "CREATE in modified UTF-7")
    ok(report, c.subscribe("Work/Sub"), "SUBSCRIBE")
    names = b"\n".join(ok(report, c.list(), "LIST"))
    for name in (b"INBOX", b"Work/Sub", b"B&APw-cher", b"Sent", b"Trash"):
        expect(report, f"{name} is listed", name in names, True)
    expect(report, "LSUB", b"Work/Sub" in b"\n".join(ok(report, c.lsub(), "LSUB")), True)
    data = ok(report, c.append("Work/Sub", "(\\Seen $Label)", when, message), "APPEND")
    expect(report, "APPENDUID", bool(re.search(rb"APPENDUID \d+ \d+", data[0])), True)
    expect(report, "EXISTS", ok(report, c.select("Work/Sub"), "SELECT"), [b"1"])
    expect(report, "INTERNALDATE", imaplib.Internaldate2tuple(fetched(c, "1", "INTERNALDATE")) ==
           time.localtime(1_700_000_000), True)
    expect(report, "RFC822.SIZE", b"RFC822.SIZE %d" % len(message) in fetched(c, "1", "RFC822.SIZE"), True)
    flags = imaplib.ParseFlags(fetched(c, "1", "FLAGS"))
    expect(report, "flags", set(flags) - {b"\\Recent"}, {b"\\Seen", b"$Label"})
    expect(report, "BODY[]", c.fetch("1", "(BODY.PEEK[])")[1][0][1], message)
    expect(report, "partial", c.fetch("1", "(BODY.PEEK[]<5.10>)")[1][0][1], message[5:15])
    expect(report, "HEADER", c.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1], message.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n")
    expect(report, "HEADER.FIELDS", c.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1], b"Subject: mixed\r\n\r\n")
    envelope = fetched(c, "1", "ENVELOPE")
    expect(report, "ENVELOPE", b'"mixed"' in envelope and account.split("@")[0].encode() in envelope, True)
    expect(report, "BODYSTRUCTURE", b'"boundary"' in fetched(c, "1", "BODYSTRUCTURE").lower(), True)
    for key in ("ALL", "SEEN", "KEYWORD $Label", "SUBJECT mix", "LARGER 100", "SINCE 1-Jan-2020", "NOT DELETED",
                "OR ANSWERED SEEN", "BODY text", "TEXT interop", "UID 1:*", "HEADER Message-ID interop", "SENTON 2-Jan-2024"):
        expect(report, f"SEARCH {key}", ok(report, c.search(None, key), key), [b"1"])
    for key in ("UNSEEN", "SMALLER 10", "SUBJECT nothing", "BEFORE 1-Jan-2020", "UNKEYWORD $Label"):
        expect(report, f"SEARCH {key}", ok(report, c.search(None, key), key), [b""])
    ok(report, c.store("1", "+FLAGS", "(\\Deleted \\Flagged)"), "STORE")
    expect(report, "COPYUID", bool(c.uid("COPY", "1", "INBOX")[0] == "OK"), True)
    ok(report, c.store("1", "FLAGS", "(\\Answered)"), "STORE replaces")
    expect(report, "flags replaced", set(imaplib.ParseFlags(fetched(c, "1", "FLAGS"))) - {b"\\Recent"}, {b"\\Answered"})
    ok(report, c.store("1", "-FLAGS", "(\\Answered)"), "STORE removes")
    ok(report, c.store("1", "+FLAGS", "(\\Deleted)"), "STORE")
    expect(report, "EXPUNGE", ok(report, c.expunge(), "EXPUNGE"), [b"1"])
    ok(report, c.close(), "CLOSE")
    data = ok(report, c.status("INBOX", "(MESSAGES UIDNEXT UNSEEN)"), "STATUS")
    expect(report, "STATUS", b"MESSAGES 1" in data[0], True)
    ok(report, c.rename("Work/Sub", "Play/Deep"), "RENAME")
    ok(report, c.unsubscribe("Work/Sub"), "UNSUBSCRIBE")
    ok(report, c.delete("Play/Deep"), "DELETE")
    ok(report, c.noop(), "NOOP")
    expect(report, "DELETE of nothing", c.delete("No/Such")[0], "NO")
    expect(report, "SELECT of nothing", c.select("No/Such")[0], "NO")
    expect(report, "LOGOUT", c.logout()[0], "BYE")


def fetched(client, numbers, item):
    data = client.fetch(numbers, f"({item})")[1]
    return b"".join(b"".join(part) if isinstance(part, tuple) else part for part in data if part)


def imap_two_sessions(site, report):
    account = site.new_account()
    a, b = site.imap(account), site.imap(account)
    ok(report, a.select("INBOX"), "SELECT")
    ok(report, b.select("INBOX"), "SELECT")
    for n in range(5):
        ok(report, a.append("INBOX", None, None, make(f"m{n}", account, account, b"x\r\n")), "APPEND")
    b.noop()
    expect(report, "the other sees EXISTS", b.response("EXISTS")[1][-1], b"5")
    a.store("2,4", "+FLAGS.SILENT", "(\\Deleted)")
    a.expunge()
    b.response("EXPUNGE")
    b.noop()
    gone = b.response("EXPUNGE")[1]
    expect(report, "the other sees EXPUNGE", gone in ([b"2", b"3"], [b"4", b"2"]), True)
    subjects = [b.fetch(str(n), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1].strip() for n in (1, 2, 3)]
    expect(report, "the numbers are right", subjects, [b"Subject: m0", b"Subject: m2", b"Subject: m4"])
    b.store("3", "+FLAGS.SILENT", "(\\Flagged)")
    a.noop()
    expect(report, "flags of the other", b"\\Flagged" in b" ".join(p or b"" for p in a.response("FETCH")[1]), True)
    a.logout()
    b.logout()


def imap_authentication(site, report):
    account = site.new_account()
    c = imaplib.IMAP4("localhost", site.ports["imap"])
    ok(report, c.starttls(site.tls()), "STARTTLS")
    try:
        c.login(account, "wrong")
        raise Failure("a wrong password was accepted")
    except imaplib.IMAP4.error:
        report.count()
    password = site.password(account)
    ok(report, c.authenticate("PLAIN", lambda _: f"\0{account}\0{password}".encode()), "AUTHENTICATE PLAIN")
    ok(report, c.select("INBOX"), "SELECT")
    c.logout()


def imap_sharing(site, report):
    owner, reader = site.new_account(), site.new_account()
    c, r = site.imap(owner), site.imap(reader)
    ok(report, c.append("INBOX", None, None, make("shared", owner, reader, b"text\r\n")), "append")
    ok(report, c.setacl("INBOX", reader, "lrsi"), "SETACL")
    acl = ok(report, c.getacl("INBOX"), "GETACL")[0].decode()
    expect(report, "ACL", f"{reader} lrsi" in acl.replace('"', ""), True)
    name = f'"Other Users/{owner}/INBOX"'
    rights = ok(report, r.myrights(name), "MYRIGHTS")[0].decode()
    expect(report, "rights", rights.rsplit(" ", 1)[1], "lrsi")
    spaces = ok(report, r.namespace(), "NAMESPACE")[0].decode()
    expect(report, "namespace", '"Other Users/"' in spaces, True)
    expect(report, "messages", ok(report, r.select(name), "SELECT"), [b"1"])
    ok(report, r.store("1", "+FLAGS", "(\\Seen)"), "STORE of \\Seen")
    expect(report, "no right to write", r.store("1", "+FLAGS", "(\\Flagged)")[0], "NO")
    ok(report, c.select("INBOX"), "SELECT")
    expect(report, "the owner's \\Seen", b"\\Seen" in ok(report, c.fetch("1", "(FLAGS)"), "FETCH")[0], False)
    roots, quota = ok(report, c.getquotaroot("INBOX"), "GETQUOTAROOT")
    expect(report, "quota root", owner in roots[0].decode() and owner in quota[0].decode(), True)
    for command in ("SETMETADATA", "GETMETADATA"):
        imaplib.Commands[command] = ("AUTH", "SELECTED")
    ok(report, c._simple_command("SETMETADATA", "INBOX", '(/private/comment "mine")'), "SETMETADATA")
    ok(report, c._simple_command("GETMETADATA", "INBOX", "/private/comment"), "GETMETADATA")
    said = c.response("METADATA")[1][0].decode()
    expect(report, "annotation", '(/private/comment "mine")' in said, True)
    ok(report, c.deleteacl("INBOX", reader), "DELETEACL")
    expect(report, "gone", r.select(name)[0], "NO")


def imap_annotations(site, report):
    """Annotations of messages (RFC 5257). No client is known that uses them, so imaplib is led by the hand."""
    account = site.new_account()
    c, other = site.imap(account), site.imap(account)
    expect(report, "announced", b"ANNOTATE-EXPERIMENT-1" in ok(report, c.capability(), "CAPABILITY")[0], True)
    for n in range(2):
        ok(report, c.append("INBOX", None, None, make(f"m{n}", account, account, b"x\r\n")), "APPEND")
    for client in (c, other):
        ok(report, client._simple_command("SELECT", "INBOX", "(ANNOTATE)"), "SELECT (ANNOTATE)")
        client.state = "SELECTED"
    size = c.response("ANNOTATIONS")[1][0]
    expect(report, "ANNOTATIONS", size.isdigit() and int(size) >= 1024, True)
    ok(report, c.store("1", "ANNOTATION", '(/comment (value.priv "My comment" value.shared "Group note"))'), "STORE")
    got = fetched(c, "1", "ANNOTATION (/* (value size.priv))")
    want = b'(/comment (value.priv "My comment" value.shared "Group note" size.priv "10"))'
    expect(report, "FETCH", want in got, True)
    other.noop()
    told = b" ".join(part or b"" for part in other.response("FETCH")[1])
    expect(report, "told without values", (b"ANNOTATION (/comment)" in told, b"My comment" in told), (True, False))
    for key, found in (("/comment value.shared \"group\"", b"1"), ("* value.priv \"group\"", b""), ("/comment value NIL", b"2")):
        expect(report, key, ok(report, c.search(None, f"ANNOTATION {key}"), "SEARCH"), [found])
    expect(report, "SORT", ok(report, c.sort("(REVERSE ANNOTATION /comment value.priv)", "UTF-8", "ALL"), "SORT"), [b"1 2"])
    ok(report, c.copy("1", "Archive"), "COPY")
    ok(report, c.select("Archive"), "SELECT")
    expect(report, "a copy has them", want in fetched(c, "1", "ANNOTATION (/* (value size.priv))"), True)
    expect(report, "too big", c.store("1", "ANNOTATION", f'(/comment (value.priv "{"x" * (int(size) + 1)}"))')[0], "NO")
    ok(report, c.store("1", "ANNOTATION", "(/comment (value.priv NIL value.shared NIL))"), "STORE of NIL")
    expect(report, "gone", ok(report, c.search(None, "ANNOTATION * value \"\""), "SEARCH"), [b""])


def pop3_keep_and_delete(site, report):
    account = site.new_account()
    sent = list(corpus("a@remote.example", account).values())
    with smtplib.SMTP("127.0.0.1", site.ports["smtp"]) as client:
        for message in sent:
            client.sendmail("a@remote.example", [account], message, ["BODY=8BITMIME"])
    stored = site.mailbox(account, expect=len(sent))
    first = pop(site, account)
    expect(report, "STAT", first.stat(), (len(stored), sum(map(len, stored))))
    uidls = first.uidl()[1]
    expect(report, "UIDL", len(set(uidls)), len(stored))
    for n, want in enumerate(stored, 1):
        lines = first.retr(n)[1]
        expect(report, f"RETR {n}", b"\r\n".join(lines) + b"\r\n", want)
    expect(report, "TOP", len(first.top(1, 0)[1]) > 3, True)
    for n in (1, 3):
        first.dele(n)
    first.rset()
    first.dele(2)
    first.close()  # dropped: nothing may be deleted
    second = pop(site, account)
    expect(report, "a dropped connection deletes nothing", second.uidl()[1], uidls)
    second.dele(2)
    second.quit()
    third = pop(site, account)
    left = [line.split()[1] for line in third.uidl()[1]]
    expect(report, "QUIT deletes", left, [line.split()[1] for n, line in enumerate(uidls, 1) if n != 2])
    third.quit()
    capabilities = pop(site, account)
    expect(report, "CAPA", {"UIDL", "TOP"} <= set(capabilities.capa()), True)
    capabilities.quit()
    try:
        bad = poplib.POP3("127.0.0.1", site.ports["pop3"])
        bad.user(account)
        bad.pass_("wrong")
        raise Failure("a wrong password was accepted")
    except poplib.error_proto:
        report.count()


def pop(site, account):
    client = poplib.POP3("localhost", site.ports["pop3"])
    client.stls(site.tls())
    client.user(account)
    client.pass_(site.password(account))
    return client


TESTS = (
    smtp_reception,
    smtp_starttls_and_extensions,
    submission,
    forward_without_download,
    imap_walk,
    imap_two_sessions,
    imap_authentication,
    imap_sharing,
    imap_annotations,
    pop3_keep_and_delete,
)
