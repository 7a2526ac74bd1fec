#!/usr/bin/env python3
"""Has other programs read messages that the builder made, and compares every
field with what went in: subject, from, to, date, id, and of each leaf its
kind, name and decoded text or octets.

    peers.py [COUNT]       500 messages

Python's email is asked always; GMime where its bindings are (Debian packages
gir1.2-gmime-3.0 and python3-gi); Node's mailparser where npm can bring it.
"""

import datetime
import email
import email.policy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def blanks(text):
    """Folding may leave any blank where the writer put one."""
    return " ".join((text or "").split())


def plain(text):
    return text.replace("\r\n", "\n").rstrip(" \t\r\n")


def read_python(raw):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    people = lambda field: [[a.display_name, a.addr_spec] for a in message[field].addresses]
    parts = []

    def walk(part):
        for below in part.iter_parts() if part.is_multipart() else ():
            if below.get_content_type() == "message/rfc822":
                parts.append(["message/rfc822", None, None, None])
                walk_leaf(below.get_content())
            else:
                walk_leaf(below)

    def walk_leaf(part):
        if part.is_multipart():
            return walk(part)
        octets = part.get_payload(decode=True)
        text = part.get_content() if part.get_content_maintype() == "text" else None
        parts.append([part.get_content_type(), part.get_filename(), text, zlib.crc32(octets)])

    walk_leaf(message)
    return {
        "subject": message["subject"], "from": people("from"), "to": people("to"),
        "date": int(message["date"].datetime.timestamp()), "id": message["message-id"], "parts": parts,
    }


GMIME = r"""
import json, sys, zlib
import gi
gi.require_version("GMime", "3.0")
from gi.repository import GMime
GMime.init()

def people(these):
    found = (these.get_address(n) for n in range(these.length()))
    return [[one.get_name() or "", one.get_addr()] for one in found]

def walk(part, parts):
    if isinstance(part, GMime.Multipart):
        for n in range(part.get_count()):
            walk(part.get_part(n), parts)
    elif isinstance(part, GMime.MessagePart):
        parts.append(["message/rfc822", None, None, None])
        walk(part.get_message().get_mime_part(), parts)
    else:
        kind = part.get_content_type().get_mime_type().lower()
        out = GMime.StreamMem.new()
        part.get_content().write_to_stream(out)
        octets = bytes(out.get_byte_array())
        text = part.get_text() if isinstance(part, GMime.TextPart) else None
        parts.append([kind, part.get_filename(), text, zlib.crc32(octets)])

for line in sys.stdin:
    stream = GMime.StreamMem.new_with_buffer(open(line.strip(), "rb").read())
    message = GMime.Parser.new_with_stream(stream).construct_message(None)
    parts = []
    walk(message.get_mime_part(), parts)
    print(json.dumps({
        "subject": message.get_subject(), "from": people(message.get_from()),
        "to": people(message.get_addresses(GMime.AddressType.TO)),
        "date": message.get_date().to_unix(), "id": "<" + message.get_message_id() + ">", "parts": parts,
    }))
"""

NODE = r"""
const { simpleParser } = require('mailparser');
const fs = require('fs');
const crc = data => { let c = ~0; for (const b of data) { c ^= b; for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1)); } return (~c) >>> 0; };
const people = field => field.value.map(one => [one.name, one.address]);
(async () => {
  for (const file of fs.readFileSync(0, 'utf8').trim().split('\n')) {
    const m = await simpleParser(fs.readFileSync(file), { skipTextToHtml: true, skipHtmlToText: true, skipTextLinks: true, skipImageLinks: true });
    console.log(JSON.stringify({
      subject: m.subject, from: people(m.from), to: people(m.to), date: Math.floor(m.date.getTime() / 1000), id: m.messageId,
      attachments: m.attachments.filter(a => a.contentType !== 'message/rfc822').map(a => [a.contentType, a.filename, null, crc(a.content)]),
      text: m.text, html: m.html || undefined }));
  }
})();
"""


def ask(command, program, files, folder):
    """One JSON object a line for each file; None where the program cannot run."""
    script = os.path.join(folder, "program")
    with open(script, "w", encoding="utf-8") as out:
        out.write(program)
    done = subprocess.run([*command, script], input="\n".join(files) + "\n", text=True, capture_output=True, timeout=300)
    if done.returncode != 0:
        print(f"  {done.stderr.strip().splitlines()[-1:]}")
        return None
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(name, truths, answers):
    """Prints the differences; returns their number."""
    wrong = checks = 0
    for truth, got in zip(truths, answers, strict=True):
        want = {key: truth[key] for key in ("subject", "from", "to", "date", "id")}
        leaves = [[p["kind"], p["name"], p["text"], None if p["kind"].startswith("message/") else p["crc"]] for p in truth["parts"]]
        tidy = lambda row: [row[0], blanks(row[1]), None if row[2] is None else plain(row[2]), None if row[2] is not None else row[3]]
        pairs = [(key, got[key], want[key]) for key in ("date", "id")]
        pairs += [("subject", blanks(got["subject"]), blanks(want["subject"]))]
        pairs += [(key, [[blanks(n), a] for n, a in got[key]], [[blanks(n), a] for n, a in want[key]]) for key in ("from", "to")]
        if "parts" in got:
            pairs.append(("parts", [tidy(row) for row in got["parts"]], [tidy(row) for row in leaves]))
        else:
            # mailparser lists attachments and shows the texts apart; those of nested messages are its attachments.
            nested = any(row[0].startswith("message/") for row in leaves)
            pairs.append(("attachments", [tidy(row) for row in got["attachments"]], [tidy(row) for row in leaves if row[2] is None and not row[0].startswith("message/")]))
            if not nested:
                for kind, key in (("text/plain", "text"), ("text/html", "html")):
                    texts = [row[2] for row in leaves if row[0] == kind]
                    if texts:
                        pairs.append((key, plain(got.get(key) or ""), plain("\n".join(texts))))
        for what, left, right in pairs:
            checks += 1
            if left != right:
                wrong += 1
                if wrong <= 5:
                    print(f"  {name} {truth['file']} {what}:\n    got  {str(left)[:300]}\n    want {str(right)[:300]}")
    print(f"{name}: {len(truths)} messages, {checks} fields compared, {wrong} differ")
    return wrong


def main():
    count = sys.argv[1] if len(sys.argv) > 1 else "500"
    cargo = os.environ.get("CARGO", "cargo")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "built")
        subprocess.run([cargo, "run", "--quiet", "--locked", "--package", "waxwing-mime", "--example", "make_mail", "--", out, count], check=True, cwd=ROOT)
        with open(out + ".jsonl", encoding="utf-8") as lines:
            truths = [json.loads(line) for line in lines]
        files = [os.path.join(out, truth["file"]) for truth in truths]
        wrong += compare("Python email", truths, [read_python(open(file, "rb").read()) for file in files])
        answers = ask(["/usr/bin/python3"], GMIME, files, folder)
        wrong += compare("GMime", truths, answers) if answers else print("GMime: skipped, because its bindings are not here") or 0
        node = shutil.which("npm") and subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "mailparser@3"], capture_output=True, timeout=300)
        answers = ask(["node"], NODE, files, folder) if node and node.returncode == 0 else None
        wrong += compare("Node mailparser", truths, answers) if answers else print("Node mailparser: skipped, because npm could not bring it") or 0
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
