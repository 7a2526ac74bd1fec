#!/usr/bin/python3
"""Internet in a box: a few mail hosts, real DNS and real foreign mail servers
on one Linux machine, each host in its own network namespace.  See README.md."""

import argparse, contextlib, os, shutil, signal, subprocess, sys, time
from pathlib import Path

from net import *
from servers import *

PACKAGES = """bind9 bind9-utils bind9-dnsutils unbound nftables iproute2 openssl
postfix dovecot-core swaks curl opendkim opendmarc dbconfig-no-thanks
postfix-policyd-spf-python postfix-mta-sts-resolver
python3-dkim python3-nacl python3-dnspython""".split()
# Exim cannot be installed beside Postfix, nor Dovecot's IMAP beside other IMAP servers:
# these are only unpacked, into TREE; what libraries they need is installed.
UNPACK = ["exim4-daemon-heavy", "dovecot-imapd"]
LIBS = """libgnutls-dane0 libspf2-2 libmariadb3 libpq5 libidn12 libnsl2
libperl5.36 libldap-2.5-0""".split()


def up(dir):
    dir = Path(dir).resolve()
    if len(str(dir)) > 60:
        raise LabError("choose a shorter path: socket names have a limit")
    if dir.exists() and any(dir.iterdir()):
        raise LabError("%s exists and is not empty" % dir)
    if os.geteuid():
        raise LabError("root is needed")
    for prog in ("named", "unbound", "nft", "postfix", "dovecot", "opendkim"):
        if not shutil.which(prog, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise LabError("%s is missing; run: lab setup" % prog)
    program("/usr/sbin/exim4"), program("/usr/lib/dovecot/imap")
    os.umask(0o022)
    dir.mkdir(parents=True, exist_ok=True)
    for p in [dir, *dir.parents]:
        if not p.stat().st_mode & 1:
            raise LabError("%s: mail servers' users must be able to pass through" % p)
    RUN.mkdir(exist_ok=True)
    for n in range(100):                         # first free name
        try:
            with open(RUN / ("lab%d" % n), "x") as f:
                f.write(str(dir))
            break
        except FileExistsError:
            continue
    else:
        raise LabError("too many labs")
    lab = Lab(dir)
    (dir / "alpha").mkdir()
    t0 = time.monotonic()
    try:
        for step in (make_network, make_certs, make_dns, make_beta, make_gamma):
            step(lab)
            if os.environ.get("LAB_VERBOSE"):
                print("%5.1f s  %s" % (time.monotonic() - t0, step.__name__), file=sys.stderr)
        wait_for("beta's SMTP", lambda: lab.listening("beta", 25))
        wait_for("beta's IMAP", lambda: lab.listening("beta", 993))
        wait_for("beta's DKIM filter", lambda: lab.listening("beta", 8891, "127.0.0.1"))
        wait_for("gamma's SMTP", lambda: lab.listening("gamma", 25))
        wait_for("the policy web server", lambda: lab.listening("ns-dns", 443, V4 % WEB))
    except BaseException:
        down(dir, keep=True)
        raise
    return lab


def down(dir, keep=False):
    """Ends the lab's processes, removes its namespaces; keeps mail and logs in DIR/."""
    dir = Path(dir).resolve()
    lab = Lab(dir)
    names = [lab.ns(h) for h in list(HOSTS) + ["switch"]]
    stop([p for h in list(HOSTS) + ["switch"] for p in lab.pids(h)])
    for n in names:
        stop([int(p) for p in sh("ip", "netns", "pids", n, check=False).split()], grace=1)
        sh("ip", "netns", "del", n, check=False)
        shutil.rmtree(Path("/etc/netns") / n, ignore_errors=True)
    (RUN / lab.prefix.rstrip("-")).unlink(missing_ok=True)
    with contextlib.suppress(OSError):           # all this only if no other lab is up
        RUN.rmdir()
        os.rmdir("/etc/exim4")                   # other labs' gamma has files mounted on it
    with contextlib.suppress(OSError):
        os.rmdir("/etc/netns")
    left = [n for n in names if os.path.exists("/run/netns/" + n)]
    if left:
        raise LabError("could not remove " + " ".join(left))


def setup_if_needed():
    """Installs what is missing; nothing where all is there."""
    there = all(shutil.which(prog, path="/usr/sbin:/usr/bin:/sbin:/bin")
                for prog in ("named", "unbound", "nft", "postfix", "dovecot", "opendkim", "swaks"))
    if not (there and (TREE / "usr/sbin/exim4").exists() and (TREE / "usr/lib/dovecot/imap").exists()):
        setup()


def setup():
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    guard = Path("/usr/sbin/policy-rc.d")        # installing must not start daemons
    made = not guard.exists()
    if made:
        guard.write_text("#!/bin/sh\nexit 101\n")
        guard.chmod(0o755)
    try:
        if not shutil.which("postfix"):
            subprocess.run(["debconf-set-selections"], text=True, check=False,
                           input="postfix postfix/main_mailer_type select No configuration\n")
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-q"]
        subprocess.run(apt + ["update"], env=env, check=False, stdout=subprocess.DEVNULL)
        subprocess.run(apt + ["install", "-y", "--no-install-recommends"] + PACKAGES + LIBS,
                       env=env, check=True, stdout=subprocess.DEVNULL)
    finally:
        if made:
            guard.unlink()
    TREE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "-q", "download"] + UNPACK, cwd=TREE, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for deb in TREE.glob("*.deb"):
        subprocess.run(["dpkg", "-x", deb, TREE], check=True)
        deb.unlink()


def main(argv):
    p = argparse.ArgumentParser(prog="lab", description=__doc__)
    sub = p.add_subparsers(dest="verb", required=True)
    sub.add_parser("setup", help="install what the lab needs (once per machine)")
    for v in ("up", "down"):
        sub.add_parser(v).add_argument("dir")
    sub.add_parser("status", help="hosts, addresses and processes")
    e = sub.add_parser("exec", help="run a command in a host")
    e.add_argument("host")
    e.add_argument("cmd", nargs=argparse.REMAINDER)
    d = sub.add_parser("dns", help="add|set|del|show NAME TYPE VALUE...")
    d.add_argument("action", choices=["add", "set", "del", "show"])
    d.add_argument("name", nargs="?")
    d.add_argument("type", nargs="?")
    d.add_argument("value", nargs="*")
    c = sub.add_parser("cut", help="take a host off the network")
    c.add_argument("host")
    c.add_argument("mode", nargs="?", default="link", choices=["link", "drop", "reset"])
    sub.add_parser("heal", help="undo cut and delay").add_argument("host")
    w = sub.add_parser("delay", help="slow, lossy wire: HOST MS LOSS%%")
    w.add_argument("host")
    w.add_argument("ms", type=float)
    w.add_argument("loss", nargs="?", default="0")
    f = sub.add_parser("dns-fail", help="DNS breaks down")
    f.add_argument("mode", nargs="?", default="servfail", choices=["servfail", "timeout"])
    sub.add_parser("dns-heal")
    a = p.parse_args(argv)
    if a.verb == "setup":
        return setup()
    if a.verb == "up":
        t = time.monotonic()
        lab = up(a.dir)
        print("up in %.1f s; namespaces %s*; LAB_DIR=%s" % (time.monotonic() - t, lab.prefix, lab.dir))
        return
    if a.verb == "down":
        return down(a.dir)
    lab = current()
    if a.verb == "exec":
        cmd = a.cmd[1:] if a.cmd[:1] == ["--"] else a.cmd
        argv = lab.argv(a.host, cmd or ["bash"])
        os.execvpe(argv[0], argv, lab.env())
    elif a.verb == "status":
        print("LAB_DIR=%s" % lab.dir)
        for h in HOSTS:
            print("%-8s %-14s %-16s %-18s %d processes"
                  % (h, lab.ns(h), lab.v4(h), lab.v6(h), len(lab.pids(h))))
    elif a.verb == "dns":
        if a.action == "show":
            for r in lab.records():
                if not a.name or r[0] == fqdn(a.name):
                    print(*r)
        elif a.action == "del":
            lab.dns_del(a.name, a.type)
        elif a.action == "add":
            lab.dns_add(a.name, a.type, " ".join(a.value))
        else:
            lab.dns_set(a.name, a.type, *a.value)
    elif a.verb == "cut":
        lab.cut(a.host, a.mode)
    elif a.verb == "heal":
        lab.heal(a.host)
    elif a.verb == "delay":
        print(lab.delay(a.host, a.ms, float(a.loss.rstrip("%"))))
    elif a.verb == "dns-fail":
        lab.dns_fail(a.mode)
    elif a.verb == "dns-heal":
        lab.dns_heal()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))      # so that what is begun is undone
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as e:
        sys.exit("lab: %s" % e)
