"""Verifies the message of a JSON request on standard input with dkimpy, its records instead of the DNS."""

import base64
import json
import re
import sys

import dkim


def main():
    request = json.load(sys.stdin)
    message = base64.b64decode(request["message"])

    def dns(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        record = request["records"].get(name.rstrip(".") + ".")
        return record.encode() if record else None

    if request["what"] == "arc":
        result, _, why = dkim.ARC(message).verify(dnsfunc=dns)
        print(json.dumps([(result or b"none").decode(), str(why)]))
        return
    header = message.split(b"\r\n\r\n", 1)[0]
    fields = re.findall(rb"(?im)^DKIM-Signature:(?:.*\r?\n?)(?:[ \t].*\r?\n?)*", header)
    found = []
    for index, field in enumerate(fields):
        algorithm = re.search(rb"\ba=([a-z0-9-]+)", field)[1].decode()
        domain = re.search(rb"\bd=([^;\s]+)", field)[1].decode()
        try:
            good = bool(dkim.DKIM(message).verify(idx=index, dnsfunc=dns))
        except dkim.DKIMException as why:
            print(why, file=sys.stderr)
            good = False
        found.append((algorithm, domain, good))
    print(json.dumps(found))


main()
