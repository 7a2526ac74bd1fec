"""alpine, at its keyboard: flags, saves elsewhere, expunges, sends with an attachment and keeps a copy."""

import email
import os
import shutil
import tempfile

from clients.neomutt import terminal
from messages import make


def at_the_keyboard(site, report):
    account, friend = site.new_account(), site.new_account()
    client = site.imap(account)
    for n in range(3):
        client.append("INBOX", None, None, make(f"m{n}", friend, account, b"body %d\r\n" % n))
    folder = tempfile.mkdtemp(prefix="alpine-")
    try:
        rc, blob = os.path.join(folder, "rc"), os.path.join(folder, "data.bin")
        with open(blob, "wb") as out:
            out.write(bytes(range(256)) * 20)
        box = f"{{localhost:{site.ports['imaps']}/imap/ssl/user={account}}}"
        with open(rc, "w") as out:
            out.write(
                f"personal-name=Ann\ninbox-path={box}INBOX\nfolder-collections={box}[]\ndefault-fcc={box}Sent\n"
                f"customized-hdrs=From: Ann <{account}>\nfeature-list=allow-changing-from\n"
                f"smtp-server=localhost:{site.ports['submissions']}/ssl/user={account}\nlast-version-used=6.26\n"
                "feature-list=quit-without-confirm,enable-aggregate-command-set,expunge-without-confirm,"
                f"expunge-without-confirm-everywhere\nnewsrc-path={folder}/news\naddress-book={folder}/book\n"
            )
        # What it says at the foot of the index it may say so shortly that nobody sees it: there its silence is enough.
        steps = [
            ("message 1 of 3", ";"), ("select criteria", "a"), ("", "a"), ("apply command", "*"), ("flag new", "*"), ("", "a"),
            ("apply command", "s"), ("save 3 msgs", "Archive\r"), ("", "x"), ("", "c"),
            ("message text", f"{friend}\r\r{blob}\rfrom alpine\rfirst\r.\rFrom here\r\x18"), ("send message", "y"),
            ("message sent|writing fcc.*fldrlist", "q"),
        ]
        status, seen = terminal(
            ["alpine", "-p", rc, "-P", f"{folder}/none", "-i"], {"HOME": folder, "SSL_CERT_FILE": site.cafile},
            {"enter password:": site.password(account) + "\r", "preserve password": "n"}, steps=steps)
        report.expect(f"alpine's end, after {seen[-300:]!r}", status, 0)
        report.expect("left in INBOX", client.select("INBOX")[1], [b"0"])
        report.expect("saved", client.select("Archive")[1], [b"3"])
        report.expect("flagged", client.search(None, "FLAGGED")[1], [b"1 2 3"])
        for [raw] in (site.mailbox(friend, expect=1), site.mailbox(account, "Sent", expect=1)):
            message = email.message_from_bytes(raw)
            parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
            report.expect("subject", message["Subject"], "from alpine")
            report.expect("text", parts[0].replace(b"\r\n", b"\n").rstrip(), b"first\n.\nFrom here")
            report.expect("attachment", parts[1] == bytes(range(256)) * 20, True)
    finally:
        shutil.rmtree(folder)


TESTS = (at_the_keyboard,)
