#!/usr/bin/env python3
"""Every dependency may be used under a licence that asks for no more than a notice."""

import json
import re
import subprocess
import sys

PERMISSIVE = {
    "MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib", "Unicode-3.0",
    "Unicode-DFS-2016", "CC0-1.0", "Unlicense", "BSL-1.0", "CDLA-Permissive-2.0", "Apache-2.0 WITH LLVM-exception",
}


def permitted(expression):
    """Evaluates an SPDX expression; `A/B` is the old way to write OR."""
    tokens = re.findall(r"\(|\)|[^()\s/]+|/", expression)
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def either():
        value = both()
        while peek() in ("OR", "/"):
            take()
            value = both() or value
        return value

    def both():
        value = single()
        while peek() == "AND":
            take()
            value = single() and value
        return value

    def single():
        if peek() == "(":
            take()
            value = either()
            take()
            return value
        name = take()
        if peek() == "WITH":
            take()
            exception = take()
            return f"{name} WITH {exception}" in PERMISSIVE or name in PERMISSIVE
        return name in PERMISSIVE

    return either()


def main():
    assert permitted("MIT OR Apache-2.0") and permitted("MIT/Apache-2.0") and permitted("(MIT OR GPL-3.0) AND ISC")
    assert not permitted("GPL-3.0") and not permitted("MIT AND LGPL-2.1") and not permitted("MPL-2.0")
    metadata = json.loads(subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--locked"], check=True, stdout=subprocess.PIPE).stdout)
    bad = []
    for package in metadata["packages"]:
        licence = package["license"]
        if not licence or not permitted(licence):
            bad.append(f"{package['name']} {package['version']}: {licence or package['license_file'] or 'no licence'}")
    if bad:
        sys.exit("licences that are not permissive:\n" + "\n".join(bad))
    print(f"licences: {len(metadata['packages'])} packages, all permissive")


main()
