#!/usr/bin/env python3
"""What 50,000 messages for a tarpit cost everybody else: delay from `250` to arrival, before and during.

    tarpit.py [--messages 50000] [--probes 300]

One destination takes connections and says nothing. Mail for twenty others is timed first without and then with the queue for the tarpit; the
ratio of the 99th percentiles is the figure. Prints the server's memory too. Needs the release binary."""

import argparse
import os
import smtplib
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from site_under_test import PASSWORD, Waxwing  # noqa: E402

OTHERS = 20


def tarpit():
    """Accepts connections for ever and never writes."""
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    held = []

    def serve():
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], held


class Sink:
    """A quick SMTP server that notes when each probe arrived."""

    def __init__(self):
        self.arrived = {}
        self.server = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        stream = client.makefile("rwb")
        stream.write(b"220 sink\r\n")
        stream.flush()
        data = False
        for line in stream:
            if data:
                if line.startswith(b"Subject: probe "):
                    probe = line.split()[2].decode()
                if line == b".\r\n":
                    self.arrived[probe] = time.monotonic()
                    data = False
                    stream.write(b"250 ok\r\n")
            elif line[:4].upper() == b"EHLO":
                stream.write(b"250-sink\r\n250 PIPELINING\r\n")
            elif line[:4].upper() == b"DATA":
                data = True
                stream.write(b"354 go\r\n")
            elif line[:4].upper() == b"QUIT":
                stream.write(b"221 bye\r\n")
                stream.flush()
                break
            else:
                stream.write(b"250 ok\r\n")
            stream.flush()
        client.close()


def submission(site):
    client = smtplib.SMTP("127.0.0.1", site.ports["submission"])
    client.login("user@bench.test", PASSWORD)
    return client


def probes(site, sink, number, name):
    """The delays of single messages, sent at a steady pace to all the other destinations in turn."""
    client, sent = submission(site), {}
    for n in range(number):
        probe = f"{name}{n}"
        text = f"From: user@bench.test\r\nTo: x@other{n % OTHERS}.test\r\nSubject: probe {probe}\r\n\r\nhello\r\n"
        client.sendmail("user@bench.test", [f"x@other{n % OTHERS}.test"], text)
        sent[probe] = time.monotonic()
        time.sleep(0.02)
    end = time.monotonic() + 120
    while time.monotonic() < end and not all(probe in sink.arrived for probe in sent):
        time.sleep(0.05)
    missing = [probe for probe in sent if probe not in sink.arrived]
    if missing:
        sys.exit(f"{len(missing)} of {number} never arrived")
    return sorted(max(0.0, sink.arrived[probe] - sent[probe]) for probe in sent)


def fill(site, number):
    """Messages of 500 recipients each, all at the tarpit."""
    client = submission(site)
    text = "From: user@bench.test\r\nTo: many@tarpit.test\r\nSubject: stuck\r\n\r\n" + "x" * 1000 + "\r\n"
    for start in range(0, number, 500):
        client.sendmail("user@bench.test", [f"u{n}@tarpit.test" for n in range(start, min(start + 500, number))], text)
    client.quit()


def memory(site):
    with open(f"/proc/{site.process.pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--probes", type=int, default=300)
    options = parser.parse_args()
    site, sink = Waxwing(), Sink()
    hole, held = tarpit()
    with open(site.config, "a") as out:
        out.write("limits = { messages_per_day = 0, strangers_per_day = 0 }\nsmtp = { check_sender_domain = false }\n")
        routes = [("tarpit.test", hole)] + [(f"other{n}.test", sink.port) for n in range(OTHERS)]
        rows = ", ".join(f'{{ domain = "{d}", host = "127.0.0.1", port = {p}, tls = "none" }}' for d, p in routes)
        out.write(f"route = [{rows}]\n")
    site.start()
    try:
        site.add_domain("bench.test")
        site.add_account("user@bench.test")
        probes(site, sink, 40, "warm")
        before = probes(site, sink, options.probes, "before")
        fill(site, options.messages)
        time.sleep(2)
        during = probes(site, sink, options.probes, "during")
        resident = memory(site)
        site.kill()
        started = time.monotonic()
        site.start()
        banner = time.monotonic() - started
        again = memory(site)
    finally:
        site.kill()
    p99 = [delays[int(len(delays) * 0.99)] * 1000 for delays in (before, during)]
    median = [delays[len(delays) // 2] * 1000 for delays in (before, during)]
    print(f"delay of others: median {median[0]:.1f} -> {median[1]:.1f} ms, p99 {p99[0]:.1f} -> {p99[1]:.1f} ms, "
          f"ratio {p99[1] / max(p99[0], 0.1):.2f}; {options.messages} for the tarpit, {len(held)} connections to it")
    print(f"memory {resident} MiB; after kill -9: all ports answer after {banner:.2f} s, {again} MiB")


if __name__ == "__main__":
    main()
