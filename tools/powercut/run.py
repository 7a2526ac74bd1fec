#!/usr/bin/env python3
"""Takes the power, the process, the disk space and fsync away from a server
at work, and compares what it promised with what is there afterwards.

    run.py [--cuts N] [--kills N] [--seed N] [MODE…]

Modes: power (ext4 on a loop device, shut down without its journal), kill
(SIGKILL), full (a tmpfs without space), fsync (each fsync fails, by strace),
liar (each fsync only says that it was done: the test must see the loss).
A mode that cannot run here says 'skipped, because …'.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "harness"), HERE]

import clients  # noqa: E402  (the path is set above)
import oracle  # noqa: E402
import volume  # noqa: E402
from site_under_test import PASSWORD, Failure, Waxwing, run  # noqa: E402

RECIPIENTS = [f"r{n}@bench.test" for n in range(6)]
IMAP_ACCOUNTS = [f"i{n}@bench.test" for n in range(3)]
POP_ACCOUNT, KEY_ACCOUNT = "p@bench.test", "k@bench.test"
SENDER, BESIDE = "o@bench.test", "q@bench.test"
ACCOUNTS = [*RECIPIENTS, *IMAP_ACCOUNTS, POP_ACCOUNT, KEY_ACCOUNT, SENDER, BESIDE]

# A disk is used for this many cuts, so that verification stays quick.
CUTS_PER_DISK = 10


class World:
    """A site, its accounts and what they were promised."""

    def __init__(self, site):
        self.site = site
        self.deliveries = oracle.Deliveries(RECIPIENTS)
        self.imap = [oracle.Mailboxes(account, ()) for account in IMAP_ACCOUNTS]
        self.pop = oracle.Mailboxes(POP_ACCOUNT, ("INBOX",))
        self.key = oracle.Passwords(KEY_ACCOUNT, PASSWORD)
        self.outgoing = oracle.Outgoing(SENDER, BESIDE)
        self.sink = site.sink
        self.round = 0
        self.workers = []

    def populate(self):
        self.site.add_domain("bench.test")
        for account in ACCOUNTS:
            self.site.add_account(account)
        self.learn()

    def learn(self):
        for model in self.imap:
            client = self.site.imap(model.account)
            for box in clients.Imap.BOXES[1:]:
                client.create(box)
            client.logout()
            model.state = clients.read_account(self.site, model.account)

    def work(self, seed, smtp=8):
        """Starts 8 SMTP and LMTP clients, a user who writes elsewhere, 3 IMAP clients, a POP3 client and one that changes a
        password."""
        self.round += 1
        stop = threading.Event()
        seed = f"{seed}/{self.round}"
        workers = [clients.Smtp(self.site, f"{seed}/s{n}", stop, self.deliveries, lmtp=n >= 6) for n in range(smtp)]
        workers += [clients.Imap(self.site, f"{seed}/{n}", stop, model) for n, model in enumerate(self.imap)]
        workers.append(clients.Pop3(self.site, f"{seed}/p", stop, self.pop))
        workers.append(clients.Submit(self.site, f"{seed}/o", stop, self.outgoing))
        if hasattr(self.site, "set_password"):
            workers.append(clients.Password(self.site, f"{seed}/k", stop, self.key))
        for worker in workers:
            worker.start()
        self.workers, self.stop = workers, stop

    def rest(self, refusals=False):
        """Waits for the workers to end; returns what was acknowledged in this round."""
        self.stop.set()
        for worker in self.workers:
            worker.join(60)
            if worker.is_alive():
                raise Failure(f"{type(worker).__name__} still waits for an answer after a minute")
            if worker.error is not None:
                raise Failure(f"{type(worker).__name__}: {worker.error!r}") from worker.error
            if worker.refusals and not refusals:
                raise Failure(f"{type(worker).__name__} was refused: {worker.refusals[0]}")
        return sum(worker.acknowledged for worker in self.workers)

    def verify(self):
        """Returns the number of promises that were found kept."""
        checked = self.verify_outgoing()
        checked += self.deliveries.verify({r: self.texts(r) for r in RECIPIENTS})
        for model in self.imap:
            checked += model.verify(clients.read_account(self.site, model.account))
        inbox = clients.read_account(self.site, POP_ACCOUNT)["INBOX"].values()
        names = {"INBOX": {name: (name, frozenset()) for name, _ in inbox}}
        if len(names["INBOX"]) != len(inbox):
            raise Failure(f"{POP_ACCOUNT}: a message is there twice")
        if self.pop.after is not None:
            # Names are the keys here, so a delivery in flight is one key more.
            state, new = self.pop.after
            more = {name: (name, flags) for name, flags in new.get("INBOX", ())}
            self.pop.after = ({"INBOX": {**state["INBOX"], **more}}, {})
        checked += self.pop.verify(names)
        return checked + self.key.verify(self.opens)

    def verify_outgoing(self):
        """What was accepted for others is queued, delivered, or told of."""
        listed = json.loads(self.site.cli("--json", "queue", "list", "--limit", "1000000"))
        queued = {to["address"] for item in listed for to in item["recipients"]}
        taken = set(self.sink.taken)
        if self.sink.wrong:
            raise Failure(f"elsewhere: {self.sink.wrong[0]}")
        final = re.compile(rb"(?m)^Final-Recipient: rfc822; (\S+)\r?$")
        told = collections.Counter(to.decode() for text in self.texts(SENDER) for to in final.findall(text))
        here = collections.Counter(oracle.name_of(text, BESIDE, SENDER) for text in self.texts(BESIDE))
        return self.outgoing.verify(queued, taken, told, here)

    def verify_loosely(self):
        """As `verify`, but refused operations may have happened: a failed fsync leaves that open."""
        self.outgoing.in_flight.clear()
        listed = json.loads(self.site.cli("--json", "queue", "list", "--limit", "1000000"))
        queued = {to["address"] for item in listed for to in item["recipients"]}
        told = b"".join(self.texts(SENDER))
        for away, _ in self.outgoing.kept.values():
            for address in away:
                if address not in queued and address not in self.sink.taken and address.encode() not in told:
                    raise Failure(f"{address}, accepted, is forgotten")
        found = {r: {oracle.name_of(text, r) for text in self.texts(r)} for r in RECIPIENTS}
        for name, recipients in self.deliveries.kept.items():
            for recipient in recipients:
                if name not in found[recipient]:
                    raise Failure(f"{name}, acknowledged to {recipient}, is gone")
        for model in self.imap:
            there = model.names(clients.read_account(self.site, model.account))
            gone = model.names(model.state) - there - model.doubtful
            if model.after is None and gone:
                raise Failure(f"{model.account}: {sorted(gone)[:5]} are gone")
        return sum(map(len, self.deliveries.kept.values()))

    def opens(self, password):
        import imaplib
        client = imaplib.IMAP4("127.0.0.1", self.site.ports["imap"])
        try:
            client.login(KEY_ACCOUNT, password)
            return True
        except imaplib.IMAP4.error:
            return False
        finally:
            client.logout()

    def texts(self, account):
        client = self.site.imap(account)
        try:
            client.select("INBOX", readonly=True)
            return [text for _, text in clients.pairs(client.uid("FETCH", "1:*", "(UID BODY.PEEK[])"))]
        finally:
            client.logout()


def serve(folder, data, site_class=Waxwing):
    """A server whose data lies at `data`."""
    site = site_class(folder=os.path.join(folder, "etc"))
    site.sink = clients.Sink(SENDER)
    with open(site.config) as source:
        lines = [line for line in source if not line.startswith(("data = ", "route = ", "queue.", "limits."))]
    own = [f'data = "{data}"\n',
           f'route = [{{ domain = "*", host = "127.0.0.1", port = {site.sink.port}, tls = "none" }}]\n',
           'queue.retry = "5s"\n', 'queue.retry_most = "5s"\n',
           "limits.messages_per_day = 0\n", "limits.strangers_per_day = 0\n"]
    with open(site.config, "w") as out:
        out.writelines([*own, *lines])
    return site


def power(folder, options, seed, report):
    rounds(folder, options.cuts, seed, report, cut=True)


def kill(folder, options, seed, report):
    rounds(folder, options.kills, seed, report, cut=False)


def rounds(folder, count, seed, report, cut):
    rng = random.Random(seed)
    world = disk = None
    try:
        for number in range(count):
            if number % CUTS_PER_DISK == 0:
                if world:
                    finish(world)
                    world = None
                if disk:
                    disk.remove()
                shutil.rmtree(os.path.join(folder, "etc"), ignore_errors=True)
                disk = volume.Image(folder)
                world = World(serve(folder, os.path.join(disk.mountpoint, "data")))
                world.site.start()
                world.populate()
            seconds = rng.uniform(0.3, 2.5)
            world.work(f"{seed}/{number}")
            time.sleep(seconds)
            if cut:
                # The processor ends with the disk. Else an fsync that was waiting in the kernel is told, after the
                # cut, that all is well (ext4 aborts its journal without an error there), and the server passes it on.
                world.site.freeze()
                disk.cut()
            world.site.kill()
            acknowledged = world.rest()
            if cut:
                disk.unmount()
                disk.mount()
            started = time.monotonic()
            world.site.start()
            ready = time.monotonic() - started
            promises = world.verify()
            world.site.check()
            report.operations += acknowledged
            report.events += 1
            print(f"  {'cut' if cut else 'kill'} {number + 1} after {seconds:.2f} s: {acknowledged} operations acknowledged, "
                  f"{promises} promises kept, up again in {ready:.2f} s", flush=True)
        finish(world)
        world = None
    finally:
        if world:
            world.site.kill()
        if disk:
            disk.remove()


def liar(folder, options, seed, report):
    """A disk that only says that it synced: the oracle must see what is lost, or it sees nothing at all."""
    disk = volume.Image(folder)
    world = World(serve(folder, os.path.join(disk.mountpoint, "data")))
    faults = "fsync,fdatasync,sync_file_range,msync"
    try:
        world.site.start()
        world.populate()
        world.site.stop()
        os.sync()
        # -D: the tracer is the child, so that the server is the process that is frozen and killed.
        world.site.wrapper = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={faults}",
                              "-e", f"inject={faults}:retval=0"]
        world.site.start()
        world.work(f"{seed}/liar")
        time.sleep(2)
        world.stop.set()
        disk.cut()
        world.site.kill()
        acknowledged = world.rest(refusals=True)
        disk.unmount()
        disk.mount()
        world.site.wrapper = []
        try:
            world.site.start()
            world.verify()
        except Exception as why:  # the loss may show as anything: mail gone, a database that does not open
            report.events += 1
            print(f"  a disk that lies: {acknowledged} operations acknowledged, and the loss was seen: {str(why)[:120]}", flush=True)
            return
        raise Failure(f"{acknowledged} operations were acknowledged without a sync, and nothing was missed")
    finally:
        world.site.kill()
        disk.remove()


def finish(world):
    """The last life ends in order, and leaves a clean store."""
    world.site.stop()
    world.site.check()


def full(folder, options, seed, report):
    disk = volume.Tmpfs(folder, 24)
    world = World(serve(folder, os.path.join(disk.mountpoint, "data")))
    try:
        world.site.start()
        world.populate()
        world.work(f"{seed}/full")
        until = time.monotonic() + 90
        while time.monotonic() < until and not all(w.refusals for w in world.workers if isinstance(w, clients.Smtp)):
            if all(not w.is_alive() for w in world.workers):
                break
            time.sleep(0.05)
        acknowledged = world.rest(refusals=True)
        refusals = [reply for w in world.workers if isinstance(w, clients.Smtp) for reply in w.refusals]
        if not refusals:
            raise Failure("24 MiB were never full")
        permanent = [reply for reply in refusals if not 400 <= reply[0] < 500]
        if permanent:
            raise Failure(f"a full disk is temporary, but the answer was {permanent[0]}")
        promises = world.verify()
        make_room(world)
        disk.grow(300)
        started = time.monotonic()
        client = clients.Smtp(world.site, f"{seed}/grown", threading.Event(), world.deliveries)
        client.open()
        while client.acknowledged == 0:
            client.turn()
            if time.monotonic() - started > 10:
                raise Failure(f"10 s after there is space again: {client.refusals[-1]}")
        again = time.monotonic() - started
        promises = world.verify()
        finish(world)
        report.operations += acknowledged
        report.events += 1
        print(f"  disk full: {acknowledged} operations acknowledged, {len(refusals)} refused with 4xx, {promises} promises "
              f"kept, deleting worked, accepting again {again:.2f} s after there was space", flush=True)
    finally:
        world.site.kill()
        disk.remove()


def make_room(world):
    """Deleting works on a full disk."""
    recipient = max(RECIPIENTS, key=lambda r: len(world.texts(r)))
    client = world.site.imap(recipient)
    client.select("INBOX")
    for command in (("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)"), ("EXPUNGE", "1:*")):
        answer = client.uid(*command)
        if answer[0] != "OK":
            raise Failure(f"{command} on a full disk: {answer}")
    client.logout()
    for name, recipients in list(world.deliveries.kept.items()):
        left = [r for r in recipients if r != recipient]
        world.deliveries.kept[name] = left
    if world.texts(recipient):
        raise Failure("messages came back")


def fsync(folder, options, seed, report):
    world = World(serve(folder, os.path.join(folder, "fsync-data")))
    tracer = None
    try:
        world.site.start()
        world.populate()
        world.work(f"{seed}/before")
        time.sleep(1.5)
        before = world.rest()
        tracer = fail_fsync(world.site.process.pid)
        world.work(f"{seed}/failing")
        time.sleep(4)
        after = world.rest(refusals=True)
        if after:
            who = [(type(w).__name__, w.acknowledged, w.last) for w in world.workers if w.acknowledged]
            raise Failure(f"{after} operations were acknowledged while every fsync failed: {who}")
        refusals = sum(len(w.refusals) for w in world.workers)
        smtp = [reply for w in world.workers if isinstance(w, clients.Smtp) for reply in w.refusals]
        permanent = [reply for reply in smtp if not 400 <= reply[0] < 500]
        if permanent:
            raise Failure(f"a failing disk is temporary, but the answer was {permanent[0]}")
        if world.site.process.poll() is None and not refusals:
            raise Failure("nothing was refused: was the fault injected?")
        tracer.terminate()
        tracer.wait(10)
        tracer = None
        world.site.kill()
        world.site.start()
        # What was refused may have reached the disk all the same: it was only never promised.
        promises = world.verify_loosely()
        finish(world)
        report.operations += before
        report.events += 1
        print(f"  every fsync fails: {before} operations acknowledged before, 0 of {refusals} during, "
              f"{promises} promises kept", flush=True)
    finally:
        if tracer:
            tracer.kill()
        world.site.kill()


def fail_fsync(pid):
    """Attaches strace; returns when the fault is in force."""
    faults = "fsync,fdatasync,sync_file_range,msync"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={faults}", "-e", f"inject={faults}:error=EIO", "-p", str(pid)],
        stdin=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        tasks = os.listdir(f"/proc/{pid}/task")
        traced = sum(f"TracerPid:\t{tracer.pid}\n" in open(f"/proc/{pid}/task/{task}/status").read() for task in tasks)
        if traced == len(tasks):
            return tracer
        time.sleep(0.02)
    tracer.kill()
    raise Failure("strace did not attach")


class Report:
    def __init__(self):
        self.events = self.operations = self.skipped = self.failed = 0


def reason_to_skip(mode):
    if mode in ("power", "full"):
        return volume.why_not()
    if mode in ("kill", "liar") and volume.why_not():
        return volume.why_not()
    if mode == "kill":
        return None
    if not shutil.which("strace"):
        return "strace is missing"
    scope = "/proc/sys/kernel/yama/ptrace_scope"
    if os.geteuid() != 0 and os.path.exists(scope) and open(scope).read().strip() != "0":
        return "processes may not be traced here"
    return None


MODES = {"power": power, "kill": kill, "full": full, "fsync": fsync, "liar": liar}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=int(os.environ.get("CUTS") or 20))
    parser.add_argument("--kills", type=int, default=int(os.environ.get("KILLS") or 5))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("modes", nargs="*", help=", ".join(MODES))
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    print(f"powercut: seed {seed}")
    report = Report()
    if os.geteuid() == 0 and not shutil.which("strace") and shutil.which("apt-get"):
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "strace", check=False, timeout=300)
    for mode in options.modes or MODES:
        why = reason_to_skip(mode)
        if why:
            report.skipped += 1
            print(f"{mode}: skipped, because {why}", flush=True)
            continue
        print(f"{mode}:", flush=True)
        folder = tempfile.mkdtemp(prefix="waxwing-powercut-", dir=os.environ.get("POWERCUT_DIR"))
        try:
            MODES[mode](folder, options, seed, report)
        except Exception as why:  # a foreign library may fail in its own way when the server misbehaves
            report.failed += 1
            print(f"FAIL {mode}: {why!r}" if not isinstance(why, Failure) else f"FAIL {mode}: {why}", flush=True)
            log = os.path.join(folder, "etc", "log")
            if os.path.exists(log):
                print(open(log, errors="replace").read()[-2000:])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"powercut: {report.events} faults, {report.operations} operations acknowledged, {report.failed} modes failed, "
          f"{report.skipped} skipped")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
