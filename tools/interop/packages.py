"""Brings what the clients need: Debian packages, and from PyPI and npm pinned ones into folders of their own.

The folders are kept under target/, so that only the first run fetches. What cannot be had is named, and the run ends.
"""

import os
import shutil
import subprocess
import sys

from site_under_test import ROOT, run

KEPT = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "interop")
# The versions that the tests were written for.
GETMAIL, IMAPCLIENT, IMAPFLOW = "getmail6==6.20.2", "imapclient==4.1.0", "imapflow@2.10.2"
# Asks nothing, and starts no services that a package brings.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


class Needs:
    """What one client needs: commands with the Debian packages that bring them, and packages of PyPI and npm."""

    def __init__(self, command=None, debian="", pypi="", npm=""):
        self.command, self.debian = command, (debian or command or "").split()
        self.pypi, self.npm = pypi.split(), npm


def apt(*packages):
    """Tries to install; what came of it shows in what is there afterwards."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    arguments = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    if run(*arguments, check=False, timeout=600, env=QUIET).returncode != 0:
        run("apt-get", "update", "-qq", check=False, timeout=300)
        run(*arguments, check=False, timeout=600, env=QUIET)


def folder(kind, package):
    """A folder per package and version, and per interpreter where that matters."""
    version = f"-{sys.version_info[0]}.{sys.version_info[1]}" if kind == "pypi" else ""
    return os.path.join(KEPT, f"{kind}{version}", package.replace("/", "-").replace("==", "-"))


def finished(place, fetch):
    """Fetches beside and renames, so that what is there is whole; returns why it is not."""
    if os.path.isdir(place):
        return None
    beside = f"{place}.part"
    shutil.rmtree(beside, ignore_errors=True)
    os.makedirs(beside)
    try:
        done = fetch(beside)
    except (OSError, subprocess.TimeoutExpired) as why:
        return str(why)
    if done.returncode != 0:
        return (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
    os.rename(beside, place)
    return None


def pypi(package):
    if run(sys.executable, "-m", "pip", "--version", check=False).returncode != 0:
        apt("python3-pip")
    return finished(folder("pypi", package), lambda place: run(
        sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "--target", place,
        package, check=False, timeout=300))


def npm(package):
    if not shutil.which("npm"):
        apt("nodejs", "npm")
    return finished(folder("npm", package), lambda place: run(
        "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", place, package,
        check=False, timeout=300))


def install(needs):
    """Installs what is missing; returns in words what could not be."""
    missing, wanted = [], {}
    for need in [Needs("openssl"), *needs]:
        if need.command and not shutil.which(need.command):
            wanted[need.command] = need.debian
    if wanted:
        apt(*sorted({package for packages in wanted.values() for package in packages}))
    for command, packages in wanted.items():
        if not shutil.which(command):
            apt(*packages)
        if not shutil.which(command):
            missing.append(f"{command} (Debian package {packages[0]})")
    for need in needs:
        for package in need.pypi:
            why = pypi(package)
            if why:
                missing.append(f"{package} from PyPI ({why})")
        if need.npm:
            why = npm(need.npm)
            if why:
                missing.append(f"{need.npm} from npm ({why})")
    return missing
