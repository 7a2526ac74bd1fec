"""Scenarios that need more of the candidate than mail in and out: an address that forwards, its command line.

World.cli(ARGUMENT...) runs the candidate's command; facts["forward"] goes to bob@beta.test."""
import contextlib, datetime, email, email.policy, gzip, io, json, re, time, zipfile
import dkim, dns.message, dns.query

import lab as lablib
from scenarios import check, header, received, signed_by_beta

SCENARIOS = []


def scenario(f):
    SCENARIOS.append(f)
    return f


def txt_of(w):
    """A TXT lookup for dkimpy, in the lab's DNS."""
    def txt(name, timeout=5):
        q = dns.message.make_query(name.decode() if isinstance(name, bytes) else name, "TXT")
        with w.lab.inside("client"):
            answer = dns.query.tcp(q, w.lab.v4(lablib.RESOLVER), timeout=5)
        for rr in answer.answer:
            for x in rr:
                if hasattr(x, "strings"):
                    return b"".join(x.strings)
    return txt


def held_back(w, token, seconds=None):
    """It does not arrive meanwhile; a control mail does."""
    w.arrives("beta", w.submit("bob@plain.test", subject="control"))
    end = time.monotonic() + (seconds or w.f["quiet"])
    while time.monotonic() < end:
        check(not w.foreign_mail("beta", token), "it was delivered")
        time.sleep(0.2)


@contextlib.contextmanager
def records(w, *changes):
    """(name, type, values...) for a while; then what was there before."""
    before = w.lab.records()
    try:
        for name, type, *values in changes:
            w.lab.dns_set(name, type, *values)
        time.sleep(2.5)                          # TTL
        yield
    finally:
        for name, type, *_ in changes:
            old = [v for n, t, v in before if n == lablib.fqdn(name) and t == type]
            w.lab.dns_set(name, type, *old) if old else w.lab.dns_del(name, type)
        time.sleep(2.5)


# ------------------------------------------------------------------- forwarding
@scenario
def arc_sealed(w):
    """A signed mail of gamma, forwarded to beta: sealed so that dkimpy finds the chain whole."""
    raw = w.arrives("beta", w.foreign_send("gamma", w.f["forward"]))
    seals = header(raw, "ARC-Seal")
    check(len(seals) == 1 and "cv=none" in seals[0] and "d=" + w.f["domain"] in seals[0], "ARC-Seal: %s", seals)
    results = header(raw, "ARC-Authentication-Results")[0]
    check("dkim=pass" in results and "spf=pass" in results and "dmarc=pass" in results, "sealed: %s", results)
    cv, _, reason = dkim.arc_verify(raw, dnsfunc=txt_of(w))
    check(cv == dkim.CV_Pass, "dkimpy: %s, %s", cv, reason)
    check(dkim.DKIM(raw).verify(idx=0, dnsfunc=txt_of(w)), "the first signature broke on the way")
    # Altered behind our back, the chain does not hold.
    broken = raw.replace(b"Hello.", b"Hellos", 1)
    check(broken != raw and dkim.arc_verify(broken, dnsfunc=txt_of(w))[0] != dkim.CV_Pass, "the seal covers no body")
    return seals[0][:80]


@scenario
def srs_forward_and_back(w):
    """The forwarded envelope is ours (SPF passes at beta), and a notice to it finds the sender."""
    raw = w.arrives("beta", w.foreign_send("gamma", w.f["forward"]))
    path = header(raw, "Return-Path")[0].strip("<>")
    check(path.endswith("@" + w.f["domain"]) and "carol" in path and "gamma.test" in path, "return path %s", path)
    spf = header(raw, "Received-SPF")
    check(spf and spf[0].lower().startswith("pass"), "SPF at beta: %s", spf)
    token, notice = w.message(path, sender="mailer-daemon@beta.test", subject="notice")
    check(w.inject(notice, "", path, host="beta") is None, "a notice to the rewritten sender was refused")
    w.arrives("gamma", token)
    token, notice = w.message(path, sender="mailer-daemon@beta.test", subject="forged notice")
    forged = re.sub("(?i)(srs0=)....", r"\1AAAA", path)
    check(w.inject(notice, "", forged, host="beta") is not None, "a made-up %s was taken" % forged)
    return path


# -------------------------------------------------------------------------- TLS
@scenario
def starttls_stripped(w):
    """The policy is known; then somebody leads its MX to a server without STARTTLS: nothing goes there."""
    w.arrives("beta", w.submit("bob@stsgood.test"))
    plain = [(n, t, v) for n, t, v in w.lab.records() if n == "mx.plain.test." and t in ("A", "AAAA")]
    with records(w, *[("mx.stsgood.test", t, v) for _, t, v in plain]):
        time.sleep(5)                            # a connection from before may serve one more message
        t = w.submit("bob@stsgood.test")
        held_back(w, t)
    raw = w.arrives("beta", t)
    check("using TLS" in received(raw)[0], "in the clear: %s", received(raw)[0])
    return "held back, then " + received(raw)[0][:60]


@scenario
def tlsa_rollover(w):
    """Old and new record stand side by side: delivered. Only one that matches nothing: held back."""
    name = "_25._tcp.mx.daneself.test"
    good = [v for n, t, v in w.lab.records() if n == name + "." and t == "TLSA"]
    other = "3 1 1 " + "ab" * 32
    with records(w, (name, "TLSA", other, *good)):
        w.arrives("beta", w.submit("bob@daneself.test"))
    with records(w, (name, "TLSA", other)):
        t = w.submit("bob@daneself.test")
        held_back(w, t)
    w.arrives("beta", t)
    return "both: delivered; new one alone: held back"


@scenario
def sts_policy_expiry(w):
    """A policy that is gone holds until its max_age is over, and not longer."""
    policy, domain = w.lab.dir / "web/insecure.test", "insecure.test"      # no DANE: unsigned zone
    mx = "mx.insecure.test"
    plain = [(n, t, v) for n, t, v in w.lab.records() if n == "mx.plain.test." and t in ("A", "AAAA")]
    web = [(n, t, v) for n, t, v in w.lab.records() if n == "mta-sts.stsgood.test." and t in ("A", "AAAA")]
    check(web, "the lab serves no policies")
    age = 20
    policy.write_text("version: STSv1\r\nmode: enforce\r\nmx: %s\r\nmax_age: %d\r\n" % (mx, age))
    try:
        with records(w, *[("mta-sts." + domain, t, v) for _, t, v in web],
                     ("_mta-sts." + domain, "TXT", "v=STSv1; id=%d" % time.time())):
            asked = (w.lab.dir / "web.log").read_text().count("mta-sts." + domain)
            w.arrives("beta", w.submit("bob@" + domain))
            fetched = time.monotonic()
            if (w.lab.dir / "web.log").read_text().count("mta-sts." + domain) == asked:
                check(False, "the policy was not fetched")
            policy.unlink()
        with records(w, *[(mx, t, v) for _, t, v in plain]):
            t = w.submit("bob@" + domain)
            held_back(w, t, max(1.0, fetched + age - 6 - time.monotonic()))
            raw = w.arrives("beta", t, age + w.f["patience"])
            check(time.monotonic() > fetched + age - 3, "delivered before the policy was over")
            check("using TLS" not in received(raw)[0], "the server has TLS?")
    finally:
        policy.unlink(missing_ok=True)
    return "held back %d s, then delivered" % age


# ---------------------------------------------------------------- SMTP extensions
@scenario
def chunking(w):
    """BDAT, both ways: Postfix counts the commands it gets, Exim marks deliveries with K."""
    before = len(w.beta_log())
    w.arrives("beta", w.submit("bob@beta.test", body=("0123456789" * 7 + "\r\n") * 5000))
    # Connections are kept for a while for the next message, and other mail is tried meanwhile.
    ended = re.compile(r"disconnect from mail\.alpha\.\S+ .*\bbdat=[1-9]")
    lablib.wait_for("a session with BDAT in Postfix's log", lambda: ended.search(w.beta_log()[before:]), limit=90)
    t = w.foreign_send("gamma", body=("0123456789" * 7 + "\r\n") * 5000)
    (_, raw), *_ = w.comes_back(t)
    check(raw.count(b"0123456789" * 7) == 5000, "the body changed")
    log = (w.lab.dir / "gamma/log/mainlog").read_text().splitlines()
    check(any("=> " + w.me in line and " K " in line for line in log), "Exim did not use CHUNKING")
    return "bdat= in Postfix's log, K in Exim's"


# ------------------------------------------------------------------------ reports
@scenario
def reports_sent(w):
    """Beta asks for reports about TLS and DMARC, and gets them for today."""
    with records(w, ("_smtp._tls.beta.test", "TXT", "v=TLSRPTv1; rua=mailto:bob@beta.test"),
                 ("_dmarc.beta.test", "TXT", "v=DMARC1; p=reject; rua=mailto:bob@beta.test")):
        w.arrives("beta", w.submit("bob@beta.test"))
        w.comes_back(w.foreign_send("beta"))
        day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
        w.cli("reports", "send", "--day", day)
        end, tls, dmarc = time.monotonic() + w.f["patience"], None, None
        while time.monotonic() < end and not (tls and dmarc):
            for raw in w.foreign_mail("beta", "Report Domain: beta.test") + w.foreign_mail("beta", "TLS-Report-Domain"):
                message = email.message_from_bytes(raw, policy=email.policy.default)
                for part in message.walk():
                    kind, data = part.get_content_type(), part.get_payload(decode=True)
                    if kind == "application/tlsrpt+gzip":
                        found = json.loads(gzip.decompress(data))
                        # Reports to all the other domains come to the same mailbox.
                        if any(p["policy"]["policy-domain"] == "beta.test" for p in found["policies"]):
                            tls = found
                    elif kind == "application/gzip":
                        dmarc = gzip.decompress(data).decode()
                    elif kind == "application/zip":
                        archive = zipfile.ZipFile(io.BytesIO(data))
                        dmarc = archive.read(archive.namelist()[0]).decode()
            time.sleep(0.5)
    check(tls, "no report about TLS")
    good = sum(p["summary"]["total-successful-session-count"] for p in tls["policies"])
    check(good >= 1, "%s", tls)
    check(dmarc, "no report about DMARC")
    check("<header_from>beta.test</header_from>" in dmarc and w.lab.v4("beta") in dmarc
          or "<header_from>beta.test</header_from>" in dmarc and w.lab.v6("beta") in dmarc, "%s", dmarc)
    return "TLS: %d sessions; DMARC: %d rows" % (good, dmarc.count("<record>"))
