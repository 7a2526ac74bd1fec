"""c-client, the library of pine and alpine, by its mailutil: checks, copies, transfers of hierarchies, pruning."""

import mailbox
import os
import shutil
import tempfile

from clients.neomutt import terminal
from messages import corpus, make
from site_under_test import Failure, modified_utf7, paired


def mailutil(site, account, folder, *arguments):
    """c-client asks for the password on the terminal. Some of its commands end with 1 when all went well."""
    status, seen = terminal(["mailutil", *arguments], {"HOME": folder, "SSL_CERT_FILE": site.cafile},
                            {"password:": site.password(account) + "\n"})
    said = seen.decode(errors="replace")
    if status not in (0, 1) or any(trouble in said for trouble in ("an't ", "failed", "rror", "not available")):
        raise Failure(f"mailutil {' '.join(arguments)} ended with {status}: {said[-1500:]}")
    return said


def local(folder, name):
    """A file of ours; c-client takes / for the home of root."""
    return f"{folder}/{name}"[1:] if os.geteuid() == 0 else name


def remote(site, account, name="", service="imaps"):
    kind = {"imap": "imap/tls-sslv23", "imaps": "imap/ssl", "pop3s": "pop3/ssl"}[service]
    return f"{{localhost:{site.ports[service]}/{kind}/user={account}}}{name}"


def texts(path):
    """But for the message that c-client keeps its notes in."""
    box = mailbox.mbox(path, create=False)
    texts = [box.get_bytes(key).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for key in box.keys()]
    return [text for text in texts if b"\r\nX-IMAP: " not in text]


def there_and_back(site, report):
    account = site.new_account()
    sent = corpus("a@remote.example", account, large=50_000)
    client = site.imap(account)
    for message in sent.values():
        client.append("INBOX", "(\\Seen \\Flagged)", None, message)
    folder = tempfile.mkdtemp(prefix="cclient-")
    try:
        said = mailutil(site, account, folder, "check", remote(site, account, "INBOX"))
        report.expect("check", "No new messages" in said, True)
        # To another mailbox, over both connections of the client, with flags and keywords.
        mailutil(site, account, folder, "copy", remote(site, account, "INBOX"), remote(site, account, "Copies/" + modified_utf7("Grün")))
        got = site.mailbox(account, "Copies/" + modified_utf7("Grün"), expect=len(sent))
        for message, text in paired(sent.values(), got):
            report.expect("the same octets", text == message, True)
        client.select('"Copies/Gr&APw-n"', readonly=True)
        report.expect("flags", client.search(None, "FLAGGED", "SEEN")[1], [b"1 2 3 4 5 6 7 8 9"])
        client.unselect()
        for service, command in (("imap", "copy"), ("pop3s", "move")):
            target = f"local-{service}"
            mailutil(site, account, folder, command, remote(site, account, "INBOX", service), "#driver.unix/" + local(folder, target))
            got = texts(os.path.join(folder, target))
            report.expect(f"{service}: count", len(got), len(sent))
            for message, text in paired(sent.values(), got):
                body = message.split(b"\r\n\r\n", 1)[1].replace(b"\r\n>From", b"\r\nFrom")
                unquoted = text.split(b"\r\n\r\n", 1)[1].replace(b"\r\n>From", b"\r\nFrom").removeprefix(b">")
                report.expect(f"{service}: the same body", unquoted.rstrip() == body.rstrip(), True)
        report.expect("moved by POP3", site.mailbox(account), [])
        mailutil(site, account, folder, "append", local(folder, "local-imap"), remote(site, account, "Archive"))
        report.expect("brought back", len(site.mailbox(account, "Archive")), len(sent))
    finally:
        shutil.rmtree(folder)


def hierarchies_and_pruning(site, report):
    source, target = site.new_account(), site.new_account()
    client = site.imap(source)
    for n, name in enumerate(("work", "work/a", "work/b/c", "other")):
        client.create(name)
        for m in range(3):
            client.append(name, "(\\Answered)" if m else None, f'"0{m + 1}-Jan-2003 00:00:00 +0000"',
                          make(f"{name} {m}".replace("/", "-"), source, source, b"x\r\n"))
    folder = tempfile.mkdtemp(prefix="cclient-")
    try:
        there = site.imap(target)
        # Its "transfer" would do this at once, but spoils the names (copies of overlapping strings).
        for name in ("work", "work/a", "work/b/c"):
            mailutil(site, source, folder, "copy", remote(site, source, name), remote(site, target, f"from/{name}"))
        for name in ("from/work", "from/work/a", "from/work/b/c"):
            report.expect(f"{name}: messages", there.select(name, readonly=True)[1], [b"3"])
            report.expect(f"{name}: flags", there.search(None, "ANSWERED")[1], [b"2 3"])
            report.expect(f"{name}: dates", there.search(None, "ON", "2-Jan-2003")[1], [b"2"])
        report.expect("nothing else", there.select("from/other")[0], "NO")
        mailutil(site, source, folder, "prune", remote(site, source, "work/a"), "before 2-jan-2003")
        report.expect("pruned", client.select("work/a")[1], [b"2"])
        client.close()
        mailutil(site, source, folder, "move", remote(site, source, "work/a"), remote(site, source, "moved"))
        report.expect("moved away", client.select("work/a")[1], [b"0"])
        report.expect("moved there", client.select("moved")[1], [b"2"])
        client.close()
        mailutil(site, source, folder, "rename", remote(site, source, "moved"), remote(site, source, "deep/er"))
        mailutil(site, source, folder, "delete", remote(site, source, "other"))
        names = b"\n".join(client.list()[1])
        report.expect("renamed, deleted", (b"deep/er" in names, b"moved" in names, b"other" in names), (True, False, False))
    finally:
        shutil.rmtree(folder)


TESTS = (there_and_back, hierarchies_and_pruning)
