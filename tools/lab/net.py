"""One lab: its hosts (network namespaces on a bridge), DNS, certificates, weather."""

import contextlib, ctypes, fcntl, hashlib, json, os, re, select, shutil, signal, socket
import subprocess, sys, time
from pathlib import Path

from plan import *

HERE = Path(__file__).resolve().parent
RUN = Path("/run/maillab")                       # one small file per running lab


class LabError(Exception):
    pass


def sh(*cmd, check=True, timeout=60, **kw):
    r = subprocess.run([str(c) for c in cmd], text=True, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=timeout, **kw)
    if check and r.returncode:
        raise LabError("%s: %s" % (" ".join(map(str, cmd)), (r.stderr or r.stdout).strip()[-600:]))
    return r.stdout


def wait_for(what, probe, limit=15.0, step=0.05):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        v = probe()
        if v:
            return v
        time.sleep(step)
    raise LabError("gave up waiting for " + what)


_libc = ctypes.CDLL(None, use_errno=True)


class Lab:
    def __init__(self, dir):
        self.dir = Path(dir).resolve()
        for p in RUN.glob("lab*"):
            if p.read_text() == str(self.dir):
                self.prefix = p.name + "-"
                return
        raise LabError("no lab is up at %s" % self.dir)

    # -------------------------------------------------------------- addresses
    def ns(self, host):
        if host not in HOSTS and host != "switch":
            raise LabError("no host %r; there are %s" % (host, ", ".join(HOSTS)))
        return self.prefix + host

    @staticmethod
    def v4(host):
        return V4 % (host if isinstance(host, int) else HOSTS[host])

    @staticmethod
    def v6(host):
        return V6 % (host if isinstance(host, int) else HOSTS[host])

    # -------------------------------------------------- running things in hosts
    @contextlib.contextmanager
    def inside(self, host):
        """Sockets that this thread opens meanwhile belong to that host."""
        old = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        new = os.open("/run/netns/" + self.ns(host), os.O_RDONLY)
        try:
            if _libc.setns(new, 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            _libc.setns(old, 0x40000000)
            os.close(old)
            os.close(new)

    def argv(self, host, cmd):
        """Command line that runs cmd in host: its network, files of /etc, hostname."""
        if host == "switch":
            return ["ip", "netns", "exec", self.ns(host)] + [str(c) for c in cmd]
        return ["ip", "netns", "exec", self.ns(host), "unshare", "--uts", "sh", "-c",
                'hostname "$0" && exec "$@"', FQDN[host]] + [str(c) for c in cmd]

    def env(self):
        env = dict(os.environ, SSL_CERT_FILE=str(self.dir / "certs/ca.pem"), LAB_DIR=str(self.dir))
        for k in list(env):
            if k.lower().endswith("_proxy") or k == "SSL_CERT_DIR":
                del env[k]
        return env

    def run(self, host, *cmd, **kw):
        return sh(*self.argv(host, cmd), env=self.env(), **kw)

    def spawn(self, host, cmd, log):
        with open(log, "ab") as out:
            return subprocess.Popen(self.argv(host, cmd), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=out, start_new_session=True, env=self.env()).pid

    def pids(self, host, word=""):
        """The host's processes, or those with that word in their command line."""
        found = []
        for p in sh("ip", "netns", "pids", self.ns(host), check=False).split():
            with contextlib.suppress(OSError):
                if word in Path("/proc/%s/cmdline" % p).read_text(errors="replace"):
                    found.append(int(p))
        return found

    def listening(self, host, port, addr=None):
        with self.inside(host):
            with socket.socket(socket.AF_INET6 if addr and ":" in addr else socket.AF_INET) as s:
                s.settimeout(1)
                return s.connect_ex((addr or self.v4(host), port)) == 0

    # -------------------------------------------------------------------- DNS
    @property
    def records_file(self):
        return self.dir / "dns/records.json"

    def records(self):
        return json.loads(self.records_file.read_text())

    @contextlib.contextmanager
    def locked(self):
        with open(self.dir / "lock", "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def dns_change(self, edit):
        """edit(records) changes the list; what it touched is signed and served anew."""
        with self.locked():
            old = self.records()
            new = [list(r) for r in old]
            edit(new)
            changed = {tuple(r) for r in old} ^ {tuple(r) for r in new}
            zones = sorted({zone_of(r[0]) for r in changed})
            self.records_file.write_text(json.dumps(new, indent=0))
            try:
                for z in zones:
                    self.sign(z)
            except LabError:                     # not a record: all stays as it was
                self.records_file.write_text(json.dumps(old, indent=0))
                raise
            if zones:
                self.reload_dns(zones)

    def dns_add(self, name, type, value):
        name, type = fqdn(name), type.upper()
        rr = [name, type, rdata(type, value)]
        self.dns_change(lambda rs: rs.append(rr) if rr not in rs else None)

    def dns_del(self, name, type=None):
        name = fqdn(name)

        def edit(rs):
            rs[:] = [r for r in rs if not (r[0] == name and (type is None or r[1] == type.upper()))]
        self.dns_change(edit)

    def dns_set(self, name, type, *values):
        name, type = fqdn(name), type.upper()

        def edit(rs):
            rs[:] = [r for r in rs if not (r[0] == name and r[1] == type)]
            rs.extend([name, type, rdata(type, v)] for v in values)
        self.dns_change(edit)

    def zone_path(self, z):
        return self.dir / "dns" / ("zone-" + (z.strip(".") or "root"))

    def sign(self, z):
        d = self.dir / "dns"
        serial_file = d / "serial"
        serial = int(serial_file.read_text()) + 1 if serial_file.exists() else 1
        serial_file.write_text(str(serial))
        lines = ["$TTL %d" % TTL,
                 "%s IN SOA ns.test. hostmaster.test. %d 3600 600 86400 1" % (z, serial),
                 "%s IN NS ns.test." % z]
        for name, type, value in self.records():
            if zone_of(name) == z:
                lines.append("%s IN %s %s" % (name, type, value))
        for child in ZONES[1:]:
            if parent_of(child) == z:
                lines.append("%s IN NS ns.test." % child)
                ds = d / ("ds-" + child.strip("."))
                if ds.exists():
                    lines.append(ds.read_text().strip())
        if z == ".":                                      # glue
            lines += ["ns.test. IN A " + V4 % 53, "ns.test. IN AAAA " + V6 % 53]
        path = self.zone_path(z)
        path.write_text("\n".join(lines) + "\n")
        if z == "insecure.test.":
            shutil.copy(path, str(path) + ".signed")
        else:
            sh("dnssec-signzone", "-q", "-P", "-n", "1", "-S", "-K", d / "keys", "-d", d,
               "-e", "now+2592000", "-o", z, "-f", str(path) + ".signed", path)
        return serial

    def reload_dns(self, zones):
        rndc = ["rndc", "-c", self.dir / "dns/rndc.conf"]
        for z in zones:
            self.run("ns-dns", *rndc, "reload", z, check=False)
        for z in zones:
            want = re.search(r"hostmaster\.test\. (\d+)", self.zone_path(z).read_text()).group(1)
            wait_for("zone " + z, lambda: want in self.run(
                "ns-dns", "dig", "+short", "+time=1", "+tries=1", "@" + V4 % 53, z, "SOA",
                check=False).split(), limit=5)
        self.flush_dns()

    def flush_dns(self):
        for n in (RESOLVER, LAX_RESOLVER):
            for what in (["flush_zone", "."], ["flush_infra", "all"]):
                self.run("ns-dns", "unbound-control", "-c", self.dir / ("dns/unbound-%d.conf" % n),
                         *what, check=False)

    def start_named(self, conf="named.conf", answer="ns.test."):
        d = self.dir / "dns"
        stop(self.pids("ns-dns", "/dns/named"))
        self.spawn("ns-dns", ["named", "-f", "-n", "1", "-c", d / conf], d / "named.log")
        wait_for("the authoritative DNS server", lambda: answer in self.run(
            "ns-dns", "dig", "+noedns", "+time=1", "+tries=1", "@" + V4 % 53, "test.", "NS", check=False))

    def dns_fail(self, mode):
        """servfail: the authoritative server refuses, so resolvers answer SERVFAIL.
        timeout: the resolvers are mute."""
        self.dns_heal()
        if mode == "servfail":
            self.start_named("named-empty.conf", "REFUSED")
            self.flush_dns()
        else:
            for p in self.pids("ns-dns", "/dns/unbound-"):
                os.kill(p, signal.SIGSTOP)

    def dns_heal(self):
        for p in self.pids("ns-dns", "/dns/unbound-"):
            os.kill(p, signal.SIGCONT)
        if not self.pids("ns-dns", "/dns/named.conf"):
            self.start_named()
        self.flush_dns()

    # ---------------------------------------------------------------- weather
    def cut(self, host, mode="link"):
        """link: the cable is out.  drop: packets vanish.  reset: TCP is refused."""
        ns = self.ns(host)
        self.heal_cut(host)
        if mode == "link":
            sh("ip", "-n", self.ns("switch"), "link", "set", host, "down")
        elif mode in ("drop", "reset"):
            rule = "drop" if mode == "drop" else "meta l4proto tcp reject with tcp reset"
            sh("ip", "netns", "exec", ns, "nft",
               'table inet labcut { chain in { type filter hook input priority 0; '
               'iifname "eth0" %s; }; }' % rule)
        else:
            raise LabError("cut HOST link | drop | reset")

    def heal_cut(self, host):
        sh("ip", "netns", "exec", self.ns(host), "nft", "delete table inet labcut", check=False)
        sh("ip", "-n", self.ns("switch"), "link", "set", host, "up")

    def heal(self, host):
        self.heal_cut(host)
        self.undelay(host)

    def undelay(self, host):
        sw = self.ns("switch")
        sh("ip", "netns", "exec", sw, "tc", "qdisc", "del", "dev", host, "root", check=False)
        wires = self.pids("switch", "wire.py\0%s\0" % host)
        if wires:
            stop(wires)
            sh("ip", "-n", sw, "link", "del", "d-" + host, check=False)
            sh("ip", "-n", sw, "link", "set", host, "master", "br0")

    def delay(self, host, ms, loss=0.0):
        """Adds ms to every packet from and to host, and drops loss % of them."""
        self.ns(host)
        self.undelay(host)
        sw = self.ns("switch")
        if ms == 0 and loss == 0:
            return "none"
        # netem acts where packets leave towards the host, so it takes both delays
        r = subprocess.run(["ip", "netns", "exec", sw, "tc", "qdisc", "add", "dev", host, "root",
                            "netem", "delay", "%gms" % (2 * ms), "loss", "%g%%" % loss],
                           capture_output=True)
        if r.returncode == 0:
            return "netem"
        self.spawn("switch", [sys.executable, HERE / "wire.py", host, ms, loss], self.dir / "wire.log")
        wait_for("the slow wire", lambda: "d-" + host in sh("ip", "-n", sw, "-o", "link", "show",
                                                             host))
        return "wire.py (this kernel has no netem)"


# --------------------------------------------------------------------- helpers
def fqdn(name):
    name = name.lower()
    return name if name.endswith(".") else name + "."


def zone_of(name):
    return max((z for z in ZONES if z == "." or name == z or name.endswith("." + z)), key=len)


def parent_of(zone):
    return max((z for z in ZONES if z != zone and (z == "." or zone.endswith("." + z))), key=len)


def rdata(type, value):
    if type in ("TXT", "SPF") and not value.startswith('"'):
        return " ".join('"%s"' % value[i:i + 250].replace('"', '\\"')
                        for i in range(0, max(len(value), 1), 250))
    return value


def rev4(n):
    return "%d.%s" % (n, REV4)


def rev6(n):
    h = "20010db8" + "%024x" % int(str(n), 16)
    return ".".join(reversed(h)) + ".ip6.arpa."


def stop(pids, grace=4.0):
    """Ends these processes, politely first.  By pidfd, as numbers get reused."""
    fds = []
    for p in pids:
        with contextlib.suppress(ProcessLookupError):
            fds.append(os.pidfd_open(p))
    for sig, limit in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0)):
        for fd in fds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGCONT)
                signal.pidfd_send_signal(fd, sig)
        end = time.monotonic() + limit
        while fds and time.monotonic() < end:
            ended = select.select(fds, [], [], 0.1)[0]
            for fd in ended:
                os.close(fd)
            fds = [fd for fd in fds if fd not in ended]
    for fd in fds:
        os.close(fd)


def tlsa(pem):
    der = subprocess.run("openssl x509 -in '%s' -noout -pubkey | openssl pkey -pubin -outform DER"
                         % pem, shell=True, capture_output=True, check=True).stdout
    return "3 1 1 " + hashlib.sha256(der).hexdigest()


def dkim_key(path):
    """Makes an RSA key at path; returns the TXT record's value."""
    sh("openssl", "genrsa", "-out", path, "2048")
    os.chmod(path, 0o600)
    pub = sh("openssl", "rsa", "-in", path, "-pubout")
    return "v=DKIM1; k=rsa; p=" + "".join(pub.strip().splitlines()[1:-1])


# ------------------------------------------------------- making the network and DNS
def make_certs(lab):
    c = lab.dir / "certs"
    c.mkdir()
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "60"]
    sh("openssl", "req", "-x509", *ec, "-subj", "/CN=Lab CA", "-keyout", c / "ca.key", "-out",
       c / "ca.pem", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def leaf(file, names, ca=True):
        sign = ["-CA", c / "ca.pem", "-CAkey", c / "ca.key"] if ca else []
        sh("openssl", "req", "-x509", *ec, *sign, "-subj", "/CN=" + names[0],
           "-keyout", c / (file + ".key"), "-out", c / (file + ".pem"),
           "-addext", "basicConstraints=critical,CA:FALSE",
           "-addext", "extendedKeyUsage=serverAuth,clientAuth",
           "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names))
    for name, (_, kind, _) in FACES.items():
        if kind == "ca":
            leaf(name, [name] + (["imap.beta.test"] if name == "mx1.beta.test" else []))
        elif kind == "self":
            leaf(name, ["wrong.invalid"], ca=False)
    leaf("mx.gamma.test", ["mx.gamma.test"])
    leaf("alpha", ["mail.alpha.test", "alpha.test", "imap.alpha.test", "smtp.alpha.test",
                   "mta-sts.alpha.test", "autoconfig.alpha.test"])
    leaf("web", ["mta-sts." + d for d, (_, sts) in DOMAINS.items() if sts] + ["mta-sts.insecure.test"])
    for f in c.glob("*.key"):
        os.chmod(f, 0o600)
    shutil.chown(c / "mx.gamma.test.key", EXIM_UID, EXIM_UID)


def make_network(lab):
    sw = lab.ns("switch")
    cmds = ["netns add " + sw]
    cmds += ["netns add " + lab.ns(h) for h in HOSTS]
    for c in cmds:
        sh("ip", *c.split())
    batch = ["link set lo up", "link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0",
             "link set br0 up"]
    for h in HOSTS:
        batch += ["link add %s type veth peer name eth0 netns %s" % (h, lab.ns(h)),
                  "link set %s master br0 up" % h]
    sh("ip", "netns", "exec", sw, "sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1")
    ip_batch(sw, batch)
    extra = {"ns-dns": [RESOLVER, LAX_RESOLVER, WEB, CLOSED],
             "beta": [n for n, _, _ in FACES.values() if n != HOSTS["beta"]]}
    for h, n in HOSTS.items():
        batch = ["link set lo up", "link set eth0 up"]
        for m in [n] + extra.get(h, []):
            if m != FACES["mx.v6only.test"][0]:
                batch.append("addr add %s/24 dev eth0" % (V4 % m))
            # only the first address is used as a source, so the others are "deprecated"
            batch.append("addr add %s/64 dev eth0 nodad%s" % (V6 % m, "" if m == n else " preferred_lft 0"))
        ip_batch(lab.ns(h), batch)
        etc = Path("/etc/netns") / lab.ns(h)
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text("nameserver %s\noptions edns0 trust-ad timeout:2 attempts:2\n"
                                         % (V4 % RESOLVER))
        sh("ip", "netns", "exec", lab.ns(h), "sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=0")
        (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
        for f in ("hostname", "mailname"):
            if os.path.exists("/etc/" + f):      # only files that exist can be covered
                (etc / f).write_text(FQDN[h] + "\n")


def ip_batch(ns, lines):
    r = subprocess.run(["ip", "-n", ns, "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                       capture_output=True, timeout=30)
    if r.returncode:
        raise LabError("ip in %s: %s" % (ns, r.stderr.strip()))


def make_records(lab):
    rs = []

    def add(name, type, value):
        rs.append([fqdn(name), type, rdata(type, value)])

    def address(name, n, v4=True, ptr=True):
        if v4:
            add(name, "A", V4 % n)
        add(name, "AAAA", V6 % n)
        if ptr:
            if v4:
                add(rev4(n), "PTR", fqdn(name))
            add(rev6(n), "PTR", fqdn(name))
    certs = lab.dir / "certs"
    for h in ("ns-dns", "alpha", "gamma", "client"):
        address(FQDN[h], HOSTS[h])
    address("resolver.test", RESOLVER)
    address("web.test", WEB)
    for name, (n, _, _) in FACES.items():
        address(name, n, v4=name not in V6ONLY)
    address("mx.bogus.test", 20, ptr=False)
    address("imap.beta.test", 20, ptr=False)
    address("nomx.test", 20, ptr=False)
    address("dead.test", DEAD)
    address("closed.test", CLOSED)
    for d, (mxs, sts) in DOMAINS.items():
        for pref, mx in mxs:
            add(d, "MX", "%d %s" % (pref, mx if mx == "." else fqdn(mx)))
        if sts:
            address("mta-sts." + d, WEB, ptr=False)
            add("_mta-sts." + d, "TXT", "v=STSv1; id=1")
            add("_smtp._tls." + d, "TXT", "v=TLSRPTv1; rua=mailto:tlsrpt@" + d)
    add("alpha.test", "TXT", "v=spf1 mx -all")
    add("beta.test", "TXT", "v=spf1 ip4:%s ip6:%s -all" % (V4 % 20, V6 % 20))
    add("gamma.test", "TXT", "v=spf1 a:mx.gamma.test -all")
    add("client.test", "TXT", "v=spf1 -all")
    for h in ("mail.alpha.test", "mx1.beta.test", "mx.gamma.test"):
        add(h, "TXT", "v=spf1 a -all")
    for d, p in (("alpha.test", "reject"), ("beta.test", "reject"), ("gamma.test", "quarantine")):
        add("_dmarc." + d, "TXT", "v=DMARC1; p=%s; rua=mailto:dmarc@%s" % (p, d))
    keys = lab.dir / "dkim"
    keys.mkdir()
    for d in ("beta.test", "gamma.test"):
        add("lab._domainkey." + d, "TXT", dkim_key(keys / d))
    shutil.chown(keys / "gamma.test", EXIM_UID, EXIM_UID)

    def dane(mx, pem):
        add("_25._tcp." + mx, "TLSA", tlsa(certs / (pem + ".pem")))
    dane("mx1.beta.test", "mx1.beta.test")
    dane("mx2.beta.test", "mx2.beta.test")
    dane("mx.gamma.test", "mx.gamma.test")
    dane("mail.alpha.test", "alpha")
    dane("mx.danebad.test", "web")               # some other certificate
    dane("mx.danenotls.test", "web")
    dane("mx.insecure.test", "web")              # wrong too, but unsigned: to be ignored
    dane("mx.daneself.test", "mx.daneself.test")
    lab.records_file.write_text(json.dumps(rs, indent=0))
    web = lab.dir / "web"
    web.mkdir()
    for d, (_, sts) in DOMAINS.items():
        if sts:
            (web / d).write_bytes(("version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: 86400\r\n"
                                   % sts).encode())


def make_dns(lab):
    d = lab.dir / "dns"
    (d / "keys").mkdir(parents=True)
    make_records(lab)
    key = {}
    for z in ZONES:
        if z != "insecure.test.":
            key[z] = sh("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K",
                        d / "keys", z).strip()
            sh("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-K", d / "keys", z)
    for z, k in key.items():
        if z != ".":
            (d / ("ds-" + z.strip("."))).write_text(sh("dnssec-dsfromkey", "-2", d / "keys" / (k + ".key")))
    bogus = d / "ds-bogus.test"                  # a DS that fits no key of the zone
    w = bogus.read_text().split()
    w[-1] = "".join("0123456789ABCDEF"[15 - int(c, 16)] for c in w[-1])
    bogus.write_text(" ".join(w) + "\n")
    dnskey = [l for l in (d / "keys" / (key["."] + ".key")).read_text().splitlines() if l[:1] != ";"]
    (d / "trust-anchor.key").write_text("\n".join(dnskey) + "\n")
    (d / "trust-anchor.ds").write_text(sh("dnssec-dsfromkey", "-2", d / "keys" / (key["."] + ".key")))
    (d / "root.hints").write_text(". 3600 IN NS ns.test.\nns.test. 3600 IN A %s\nns.test. 3600 IN AAAA %s\n"
                                  % (V4 % 53, V6 % 53))
    for z in ZONES:
        lab.sign(z)
    (d / "rndc.conf").write_text('key "lab" { algorithm hmac-sha256; secret "bWFpbGxhYm1haWxsYWI="; };\n'
                                 'options { default-key "lab"; default-server 127.0.0.1; };\n')
    conf = """key "lab" { algorithm hmac-sha256; secret "bWFpbGxhYm1haWxsYWI="; };
controls { inet 127.0.0.1 allow { 127.0.0.1; } keys { "lab"; }; };
options { directory "%s"; pid-file none; session-keyfile none; recursion no; notify no;
  listen-on { %s; }; listen-on-v6 { %s; }; allow-transfer { any; }; };
""" % (d, V4 % 53, V6 % 53)
    (d / "named-empty.conf").write_text(conf)
    (d / "named.conf").write_text(conf + "".join('zone "%s" { type primary; file "%s.signed"; };\n'
                                         % (z, lab.zone_path(z)) for z in ZONES))
    local = "".join('  local-zone: "%s" nodefault\n' % z for z in
                    ("test.", REV4, REV6, "invalid.", "onion."))
    for n, modules in ((RESOLVER, "validator iterator"), (LAX_RESOLVER, "iterator")):
        (d / ("unbound-%d.conf" % n)).write_text("""server:
  interface: %s
  interface: %s
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  username: ""
  chroot: ""
  directory: "%s"
  pidfile: ""
  use-syslog: no
  logfile: "%s/unbound-%d.log"
  num-threads: 1
  module-config: "%s"
  root-hints: "%s/root.hints"
  trust-anchor-file: "%s/trust-anchor.key"
  cache-max-negative-ttl: 1
  infra-host-ttl: 1
  val-bogus-ttl: 1
  qname-minimisation: no
  ede: yes
  val-log-level: 1
%sremote-control:
  control-enable: yes
  control-use-cert: no
  control-interface: "%s/unbound-%d.sock"
""" % (V4 % n, V6 % n, d, d, n, modules, d, d, local, d, n))
    lab.start_named()
    for n in (RESOLVER, LAX_RESOLVER):
        lab.spawn("ns-dns", ["unbound", "-d", "-c", d / ("unbound-%d.conf" % n)], d / "unbound.out")
    for n in (RESOLVER, LAX_RESOLVER):
        wait_for("the resolver", lambda: V4 % 10 in lab.run(
            "client", "dig", "+short", "+time=1", "+tries=1", "@" + V4 % n, "mail.alpha.test", check=False))
    lab.spawn("ns-dns", [sys.executable, HERE / "web.py", V4 % WEB, V6 % WEB, lab.dir / "web",
                         lab.dir / "certs/web.pem", lab.dir / "certs/web.key"], lab.dir / "web.log")


def current():
    """The lab meant: $LAB_DIR, or the only one running."""
    if os.environ.get("LAB_DIR"):
        return Lab(os.environ["LAB_DIR"])
    found = [p.read_text() for p in sorted(RUN.glob("lab*"))] if RUN.exists() else []
    if len(found) != 1:
        raise LabError("set LAB_DIR: %s" % ("no lab is up" if not found else "up are " + ", ".join(found)))
    return Lab(found[0])
