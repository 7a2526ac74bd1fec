#!/usr/bin/env python3
"""Drives foreign mail clients against the server and compares what went in
with what comes out.

    run.py [CLIENT…]            the built binary, started here
    run.py --site FILE [CLIENT…]  a site that runs already

Clients that are missing are installed with apt when that is possible; when
it is not, the run says which, and fails.
"""

import argparse
import importlib
import os
import shutil
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "harness"), HERE]

import site_under_test  # noqa: E402  (the path is set above)
from site_under_test import Failure, run  # noqa: E402

# Client, the command it needs, the package that brings it.
CLIENTS = {
    "curl": ("curl", "curl"),
    "swaks": ("swaks", "swaks libnet-ssleay-perl libio-socket-ssl-perl libnet-dns-perl"),
    "stdlib": ("python3", "python3"),
    "msmtp": ("msmtp", "msmtp"),
    "mbsync": ("mbsync", "isync"),
    "fetchmail": ("fetchmail", "fetchmail"),
    "dkimpy": ("dkimverify", "python3-dkim python3-nacl"),
    "neomutt": ("neomutt", "neomutt libsasl2-modules"),
}


def install(names):
    """Installs what is missing; returns the packages that could not be."""
    wanted = ["openssl openssl"] if not shutil.which("openssl") else []
    wanted += [f"{CLIENTS[n][0]} {CLIENTS[n][1]}" for n in names if not shutil.which(CLIENTS[n][0])]
    missing = []
    for entry in wanted:
        command, *packages = entry.split()
        if os.geteuid() == 0 and shutil.which("apt-get"):
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            arguments = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
            if run(*arguments, check=False, timeout=600, env=env).returncode != 0:
                run("apt-get", "update", "-qq", check=False, timeout=300)
                run(*arguments, check=False, timeout=600, env=env)
        if not shutil.which(command):
            missing.append(f"{command} (Debian package {packages[0]})")
    return missing


class Report:
    """Counts checks and prints a line for each test."""

    def __init__(self):
        self.checks = self.passed = self.failed = 0

    def count(self, number=1):
        self.checks += number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", help="JSON file of a site that runs already")
    parser.add_argument("--test", default="", help="only tests whose name contains this")
    parser.add_argument("clients", nargs="*", help=", ".join(CLIENTS))
    options = parser.parse_args()
    names = options.clients or list(CLIENTS)
    missing = install(names)
    if missing:
        sys.exit("interop: missing, and not installable here: " + ", ".join(missing))
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
