#!/usr/bin/env python3
"""Drives foreign mail clients against the server and compares what went in
with what comes out.

    run.py [CLIENT…]            the built binary, started here
    run.py --site FILE [CLIENT…]  a site that runs already

Clients that are missing are installed: Debian packages with apt, others from
PyPI and npm, pinned, into a folder under target/. When that is not possible
the run says what is missing, and fails.
"""

import argparse
import importlib
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "harness"), HERE]

import site_under_test  # noqa: E402  (the path is set above)
from packages import GETMAIL, IMAPCLIENT, IMAPFLOW, Needs, folder, install  # noqa: E402
from site_under_test import Failure  # noqa: E402

CLIENTS = {
    "curl": Needs("curl"),
    "swaks": Needs("swaks", "swaks libnet-ssleay-perl libio-socket-ssl-perl libnet-dns-perl"),
    "stdlib": Needs("python3"),
    "msmtp": Needs("msmtp"),
    "mbsync": Needs("mbsync", "isync"),
    "offlineimap": Needs("offlineimap", "offlineimap3"),
    "fetchmail": Needs("fetchmail"),
    "getmail": Needs(pypi=GETMAIL),
    "mpop": Needs("mpop"),
    "imapclient": Needs(pypi=IMAPCLIENT),
    "gmail": Needs(pypi=IMAPCLIENT),
    "imapflow": Needs("node", "nodejs", pypi=IMAPCLIENT, npm=IMAPFLOW),
    "cclient": Needs("mailutil", "uw-mailutils"),
    "alpine": Needs("alpine"),
    "migration": Needs("dovecot", "dovecot-imapd dovecot-pop3d"),
    "dkimpy": Needs("dkimverify", "python3-dkim python3-nacl"),
    "neomutt": Needs("neomutt", "neomutt libsasl2-modules"),
    "mutt": Needs("mutt", "mutt libsasl2-modules"),
}


class Report:
    """Counts checks and prints a line for each test."""

    def __init__(self):
        self.checks = self.passed = self.failed = 0

    def count(self, number=1):
        self.checks += number

    def expect(self, what, got, want):
        if got != want:
            raise Failure(f"{what}: got {short(got)}, expected {short(want)}")
        self.count()


def short(value):
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}… ({len(text)} characters)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", help="JSON file of a site that runs already")
    parser.add_argument("--test", default="", help="only tests whose name contains this")
    parser.add_argument("clients", nargs="*", help=", ".join(CLIENTS))
    options = parser.parse_args()
    names = options.clients or list(CLIENTS)
    missing = install([CLIENTS[name] for name in names])
    if missing:
        sys.exit("interop: missing, and not installable here: " + ", ".join(missing))
    sys.path += [folder("pypi", package) for name in names for package in CLIENTS[name].pypi]
    if options.site:
        site = site_under_test.Given(options.site)
    else:
        site = site_under_test.Waxwing().start()
        site.add_domain("bench.test")
    report = Report()
    started = time.monotonic()
    try:
        for name in names:
            module = importlib.import_module(f"clients.{name}")
            for test in module.TESTS:
                if options.test in test.__name__:
                    one(report, site, name, test)
    finally:
        try:
            site.close()
            closed = True
        except Failure as why:
            print(f"FAIL closing: {why}")
            closed = False
    seconds = time.monotonic() - started
    print(f"interop: {len(names)} clients, {report.passed} tests passed, {report.failed} failed, "
          f"{report.checks} checks, {seconds:.0f} s")
    sys.exit(0 if closed and not report.failed and report.passed else 1)


def one(report, site, client, test):
    label = f"{client}/{test.__name__}"
    before, started = report.checks, time.monotonic()
    try:
        test(site, report)
    except (Failure, Exception) as why:
        report.failed += 1
        print(f"FAIL {label}: {why}", flush=True)
        if not isinstance(why, Failure):
            traceback.print_exc()
        return
    if report.checks == before:
        report.failed += 1
        print(f"FAIL {label}: checked nothing", flush=True)
        return
    report.passed += 1
    print(f"ok   {label} ({report.checks - before} checks, {time.monotonic() - started:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
