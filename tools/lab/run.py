#!/usr/bin/python3
"""run.py [NAME...]: Waxwing in the lab, against every scenario.

    --keep DIR    the lab stays up in DIR, with the server at work, for a look around
    --json OUT    verdicts as JSON
    --again N     scenarios that fail are tried up to N times more (a busy machine)

WAXWING_BIN names another binary than target/release/waxwing.  The last line is `lab: ...`.
Without root, namespaces or the Debian packages it says what is missing, and ends with 0."""
import argparse, json, os, shutil, signal, subprocess, sys, tempfile
from pathlib import Path

import lab as L
import more
import scenarios as S

FORWARD = "forward@alpha.test"
ROOT = Path(__file__).resolve().parents[2]
EXTRA = """[dns]
servers = ["{resolver}"]
dnssec = "validate"
trust_anchor = "{anchor}"

[queue]
retry = "2s"
retry_most = "3s"
"""
CONFIG = """hostname = "mail.alpha.test"
data = "{dir}/data"
log = "info,waxwing=debug"

[listen]
smtp = ["0.0.0.0:25", "[::]:25"]
submission = ["0.0.0.0:587", "[::]:587"]
imaps = ["0.0.0.0:993", "[::]:993"]

[tls]
certificate = "{certs}/alpha.pem"
key = "{certs}/alpha.key"

[limits]
message_mib = 2

{extra}
"""


def binary():
    target = os.environ.get("CARGO_TARGET_DIR") or ROOT / "target"
    path = Path(os.environ.get("WAXWING_BIN") or Path(target) / "release/waxwing").resolve()
    if not os.access(path, os.X_OK):
        sys.exit("%s is missing: run `make build` first" % path)
    return path


def able():
    """Why there can be no lab here; None when there can."""
    if os.geteuid():
        return "it needs root"
    probe = "lab-probe-%d" % os.getpid()
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True) if shutil.which("ip") else None
    if made is None or made.returncode:
        return "network namespaces are not to be had here"
    link = subprocess.run(["ip", "-n", probe, "link", "add", "name", "probe0", "type", "veth",
                           "peer", "name", "probe1"], capture_output=True)
    bridge = subprocess.run(["ip", "-n", probe, "link", "add", "name", "probe2", "type", "bridge"], capture_output=True)
    subprocess.run(["ip", "netns", "del", probe], capture_output=True)
    return "the kernel has no veth or no bridge" if link.returncode or bridge.returncode else None


def start(lab, resolver=None, extra=""):
    """The server on alpha, with its domain, user and published DKIM keys.  Returns its command line."""
    home = lab.dir / "alpha/waxwing"
    home.mkdir(parents=True, exist_ok=True)
    Path("/etc/netns", lab.ns("alpha"), "resolv.conf").write_text(
        "nameserver %s\noptions edns0 trust-ad timeout:2 attempts:2\n" % lab.v4(resolver or L.LAX_RESOLVER))
    (home / "waxwing.toml").write_text(CONFIG.format(
        dir=home, certs=lab.dir / "certs", extra=extra or EXTRA.format(
            resolver=lab.v4(L.LAX_RESOLVER), anchor=lab.dir / "dns/trust-anchor.key")))
    command = [binary(), "--config", home / "waxwing.toml"]

    def cli(*arguments, input=""):
        done = subprocess.run([str(x) for x in lab.argv("alpha", command + list(arguments))], input=input, text=True,
                              capture_output=True, timeout=60, env=lab.env())
        if done.returncode:
            raise L.LabError("waxwing %s: %s" % (" ".join(arguments), done.stderr or done.stdout))
        return done.stdout

    lab.spawn("alpha", command + ["serve"], home / "log")
    for port in (25, 587, 993):
        L.wait_for("port %d of the server, see %s/log" % (port, home), lambda: lab.listening("alpha", port))
    cli("domain", "add", "alpha.test")
    cli("account", "add", S.FACTS["user"], "--password-stdin", input=S.FACTS["password"] + "\n")
    cli("alias", "add", FORWARD, "bob@beta.test")
    publish(lab, cli)
    return cli


def publish(lab, cli):
    """The owner's part: the DKIM keys of `waxwing dns records` go into the zone."""
    keys = [r for r in json.loads(cli("dns", "records", "alpha.test", "--json"))["records"]
            if "._domainkey." in r["name"]]
    if not keys:
        raise L.LabError("`waxwing dns records` shows no DKIM key")
    for r in keys:
        lab.dns_set(r["name"].rstrip("."), "TXT", r["data"])


def scenarios(lab, cli, names, again):
    world = S.World(lab, {"forward": FORWARD})
    world.cli = cli
    results = {r["name"]: r for r in S.run(world, names, out=lambda s: print(s, flush=True))}
    for _ in range(again):
        bad = [n for n, r in results.items() if r["verdict"] != "pass"]
        if not bad:
            break
        print("== again: %s" % " ".join(bad), flush=True)
        for r in S.run(world, bad, out=lambda s: print(s, flush=True)):
            results[r["name"]] = dict(r, again=True)
    return list(results.values())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--keep", metavar="DIR")
    p.add_argument("--json", metavar="OUT")
    p.add_argument("--again", type=int, default=2)
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    S.SCENARIOS += more.SCENARIOS
    unknown = set(a.names) - {f.__name__ for f in S.SCENARIOS}
    if unknown:
        sys.exit("no scenario " + ", ".join(sorted(unknown)))
    why = able()
    if why:
        print("lab: skipped, because %s" % why)
        return 0
    binary()
    try:
        L.setup_if_needed()
    except (subprocess.CalledProcessError, OSError) as e:
        print("lab: skipped, because its Debian packages cannot be installed: %s" % e)
        return 0
    dir = Path(a.keep) if a.keep else Path(tempfile.mkdtemp(prefix="waxlab-"))
    if not a.keep:
        dir.chmod(0o755)
    lab, bad = L.up(dir), []
    try:
        cli = start(lab)
        results = scenarios(lab, cli, a.names, a.again)
        bad = [r["name"] for r in results if r["verdict"] != "pass"]
        if a.json:
            Path(a.json).write_text(json.dumps(results, indent=1))
    finally:
        if a.keep:
            print("the lab stays up in %s; `lab down %s` ends it" % (dir, dir))
        else:
            L.down(dir)
            if bad:
                print("mail and logs are in %s" % dir)
            else:
                shutil.rmtree(dir, ignore_errors=True)
    print("lab: %d of %d scenarios passed%s" % (len(results) - len(bad), len(results),
                                                 "; failed: " + ", ".join(bad) if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))      # so that what is begun is undone
    try:
        sys.exit(main())
    except L.LabError as e:
        sys.exit("lab: %s" % e)
