//! Tries against a name server and mail servers of the tests.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use store::{BodyKind, NotifyOn, QueueId, QueuedEnvelope, Store, StsPolicy, TlsResult};
use testkit::dns::{self, Failure, kind};
use testkit::sink::Sink;
use testkit::tls::Identity;

use super::*;
use crate::config::Config;
use crate::db::{self, Db};
use crate::dns::Dns;
use crate::shared::Shared;
use crate::tls::Tls;

const MESSAGE: &str =
    "From: a@here.test\r\nTo: b@there.test\r\nSubject: x\r\n\r\nHello\r\n.dot\r\n";

/// A server's inside, its name server and its data.
struct World {
    shared: Arc<Shared>,
    dns: dns::Server,
    _folder: tempfile::TempDir,
}

impl World {
    /// `port` is that of the other servers; `settings` are lines of the configuration.
    fn new(port: u16, settings: &str) -> World {
        World::trusting(port, settings, &[])
    }

    /// One that trusts these certificates.
    fn trusting(port: u16, settings: &str, trusted: &[&Identity]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let dns = dns::Server::start().unwrap();
        let dnssec = match settings.contains("dns.dnssec") {
            true => "",
            false => "dns.dnssec = \"off\"\n",
        };
        let text = format!(
            "hostname = \"mail.here.test\"\ndata = \"data\"\ndns.servers = {}\n{dnssec}courier.port = {port}\ncourier.patience = \"5s\"\n{settings}\n",
            dns.setting()
        );
        let config = Config::parse(&text, &folder.path().join("waxwing.toml")).unwrap();
        let store = Store::open(folder.path().join("data"), db::options()).unwrap();
        let tls = Tls::load(&config.tls, &config.hostname).unwrap();
        let names = Dns::new(&config.dns).unwrap();
        let mut shared = Shared::new(config, Db::new(store), tls, names).unwrap();
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots
                .add(CertificateDer::from(identity.certificate.clone()))
                .unwrap();
        }
        shared.roots = Arc::new(roots.into());
        World {
            shared: Arc::new(shared),
            dns,
            _folder: folder,
        }
    }

    /// `there.test` with one server at 127.0.0.1.
    fn with_mx(self) -> World {
        self.dns.mx("there.test", &[(10, "mx.there.test")]);
        self.dns.host("mx.there.test", &["127.0.0.1"]);
        self
    }

    async fn send(&self, job: &Job) -> Vec<Attempt> {
        attempt(&self.shared, job).await
    }

    async fn one(&self, job: &Job) -> Attempt {
        self.send(job).await.remove(0)
    }

    async fn keep_policy(&self, mode: &str) {
        let text = format!("version: STSv1\nmode: {mode}\nmx: mx.there.test\nmax_age: 86400");
        let now = self.shared.timestamp();
        let policy = StsPolicy {
            domain: "there.test".to_owned(),
            id: "1".to_owned(),
            text,
            fetched: now,
            expires: now + 86_400,
        };
        let kept = self
            .shared
            .db
            .write(move |tx| tx.keep_sts_policy(&policy))
            .await;
        kept.unwrap();
    }

    async fn counted(&self) -> Vec<(String, String, u64)> {
        let day = self.shared.timestamp().div_euclid(86_400);
        let results = self.shared.db.read(move |snapshot| {
            let mut all: Vec<TlsResult> = snapshot.tls_results(day)?;
            all.extend(snapshot.tls_results(day - 1)?);
            Ok(all)
        });
        let all = results.await.unwrap().into_iter();
        all.map(|one| (one.policy, one.failure, one.sessions))
            .collect()
    }
}

fn job(recipients: &[&str], message: &str) -> Job {
    let now = 1_800_000_000;
    Job {
        queue: QueueId(1),
        envelope: QueuedEnvelope {
            reverse_path: "a@here.test".to_owned(),
            report_to: None,
            envid: None,
            ret: None,
            body: BodyKind::EightBit,
            smtputf8: false,
            require_tls: false,
            tls_optional: false,
            priority: 0,
            deliver_by: None,
            release_at: now,
            submitter: None,
            auth: None,
            trace_id: "t".to_owned(),
            received: now,
            warn_at: now,
            expires: now,
        },
        domain: "there.test".to_owned(),
        recipients: recipients
            .iter()
            .map(|address| JobRecipient {
                address: (*address).to_owned(),
                original: None,
                notify: NotifyOn::default(),
                rrvs: None,
            })
            .collect(),
        message: Arc::from(message.as_bytes()),
    }
}

fn simple() -> Job {
    job(&["b@there.test"], MESSAGE)
}

/// A word about an outcome, with its status.
fn told(attempt: &Attempt) -> (&'static str, &str) {
    match &attempt.outcome {
        Outcome::Delivered { .. } => ("delivered", ""),
        Outcome::Deferred { status, .. } => ("deferred", status),
        Outcome::Failed { status, .. } => ("failed", status),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_server_of_its_domain() {
    let sink = Sink::new().start().unwrap();
    let world = World::new(sink.port(), "").with_mx();
    let mut job = job(&["b@there.test", "c@there.test"], MESSAGE);
    job.envelope.envid = Some("e1".to_owned());
    job.recipients[0].notify.success = true;
    let attempts = world.send(&job).await;
    assert_eq!(attempts.len(), 2);
    for one in &attempts {
        assert!(matches!(
            one.outcome,
            Outcome::Delivered {
                dsn_relayed: true,
                ..
            }
        ));
        assert_eq!(one.peer.as_deref(), Some("mx.there.test"));
        assert_eq!(one.address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(one.reply.as_deref(), Some("250 2.0.0 stored"));
        assert!(one.policy.contains("no policy"), "{}", one.policy);
    }
    let messages = sink.wait_messages(1);
    assert_eq!(messages[0].content, MESSAGE.as_bytes());
    assert_eq!(messages[0].mail, "MAIL FROM:<a@here.test> ENVID=e1");
    assert_eq!(
        messages[0].recipients,
        [
            "RCPT TO:<b@there.test> NOTIFY=SUCCESS",
            "RCPT TO:<c@there.test>"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_in_their_order_and_what_each_says() {
    let first = Sink::new()
        .reply("RCPT TO:<later", "451 4.2.1 later")
        .reply("RCPT TO:<never", "550 5.1.1 nobody")
        .start()
        .unwrap();
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], first.port()));
    let second = Sink::new()
        .at(at(2))
        .reply("RCPT TO:<later", "452 4.3.1 full")
        .start()
        .unwrap();
    let world = World::new(first.port(), "");
    let hosts = [
        (30, "two.there.test"),
        (10, "dead.there.test"),
        (20, "one.there.test"),
    ];
    world.dns.mx("there.test", &hosts);
    world.dns.host("one.there.test", &["127.0.0.1"]);
    world.dns.host("two.there.test", &["127.0.0.2"]);
    // Nobody listens there.
    world.dns.host("dead.there.test", &["127.0.0.3"]);
    let all = ["now@there.test", "later@there.test", "never@there.test"];
    let attempts = world.send(&job(&all, MESSAGE)).await;
    let results: Vec<_> = attempts.iter().map(told).collect();
    assert_eq!(
        results,
        [
            ("delivered", ""),
            ("deferred", "4.3.1"),
            ("failed", "5.1.1")
        ]
    );
    assert_eq!(attempts[0].peer.as_deref(), Some("one.there.test"));
    assert_eq!(attempts[1].peer.as_deref(), Some("two.there.test"));
    assert_eq!(first.wait_messages(1).len(), 1);
    // What one server refuses for now is tried at the next, and nothing else is.
    assert_eq!(second.messages().len(), 0);
    let asked = second.sessions()[0].commands.clone();
    assert_eq!(
        asked.iter().filter(|line| line.starts_with("RCPT")).count(),
        1
    );

    second.behave();
    let later = world.one(&job(&["later@there.test"], MESSAGE)).await;
    assert_eq!(told(&later), ("delivered", ""));
}

/// F10: nothing that keeps the DNS from answering fails a message for good, and when it answers again mail goes.
#[tokio::test(flavor = "multi_thread")]
async fn f10_dns_that_fails() {
    let sink = Sink::new().start().unwrap();
    let world = World::new(sink.port(), "").with_mx();
    for failure in [Failure::ServFail, Failure::Refused] {
        world.dns.fail_all(Some(failure));
        let one = world.one(&simple()).await;
        assert_eq!(told(&one), ("deferred", "4.4.3"), "{failure:?}");
    }
    world.dns.fail_all(None);
    world.dns.fail("mx.there.test", Some(Failure::ServFail));
    assert_eq!(told(&world.one(&simple()).await), ("deferred", "4.4.3"));
    world.dns.fail("mx.there.test", None);
    assert_eq!(told(&world.one(&simple()).await), ("delivered", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dns_says_for_good() {
    let world = World::new(9, "");
    world.dns.mx("null.test", &[(0, ".")]);
    world.dns.txt("empty.test", &["nothing else"]);
    world
        .dns
        .mx("nowhere.test", &[(1, "gone.test"), (2, "empty.test")]);
    world.dns.host("plain.test", &["127.0.0.9"]);
    for (domain, expected) in [
        ("missing.test", ("failed", "5.1.2")),
        ("null.test", ("failed", "5.1.10")),
        ("empty.test", ("failed", "5.4.4")),
        ("nowhere.test", ("failed", "5.4.4")),
        ("plain.test", ("deferred", "4.4.1")),
        ("[127.0.0.9]", ("deferred", "4.4.1")),
        ("[x]", ("failed", "5.1.2")),
    ] {
        let mut job = simple();
        job.domain = domain.to_owned();
        assert_eq!(told(&world.one(&job).await), expected, "{domain}");
    }
}

/// A37: answers without end, aliases in circles, records that are none.
#[tokio::test(flavor = "multi_thread")]
async fn a37_answers_out_of_bounds() {
    let sink = Sink::new().start().unwrap();
    let world = World::new(sink.port(), "");
    // As many servers as an answer holds, all dead but one that comes first.
    let names: Vec<String> = (0..1_500).map(|n| format!("d{n}.test")).collect();
    let mut hosts = vec![(1, "good.test")];
    hosts.extend(names.iter().map(|name| (2, name.as_str())));
    world.dns.mx("many.test", &hosts);
    let many: Vec<String> = (0..2_000)
        .map(|n| format!("127.1.{}.{}", n / 250, n % 250))
        .collect();
    let mut addresses: Vec<&str> = vec!["127.0.0.1"];
    addresses.extend(many.iter().map(String::as_str));
    world.dns.host("good.test", &addresses);
    let found = world.shared.dns.addresses("good.test").await.unwrap();
    assert!(found.records.len() <= 10, "{}", found.records.len());
    assert!(
        world
            .shared
            .dns
            .mx("many.test")
            .await
            .unwrap()
            .records
            .len()
            <= 100
    );
    let mut job = simple();
    job.domain = "many.test".to_owned();
    assert_eq!(told(&world.one(&job).await), ("delivered", ""));

    world.dns.cname("loop.test", "pool.test");
    world.dns.cname("pool.test", "loop.test");
    job.domain = "loop.test".to_owned();
    assert_ne!(told(&world.one(&job).await).0, "delivered");

    world
        .dns
        .mx("odd.test", &[(1, "127.0.0.1"), (2, "good.test")]);
    job.domain = "odd.test".to_owned();
    assert_eq!(told(&world.one(&job).await), ("delivered", ""));
    // Records that are too short to be any.
    let mut good = vec![0, 7];
    good.extend(dns::labels("good.test"));
    let short = vec![vec![], vec![0], vec![0, 1], good];
    world.dns.raw("short.test", kind::MX, short);
    job.domain = "short.test".to_owned();
    assert_eq!(told(&world.one(&job).await), ("delivered", ""));
    // An alias in the place of a host is against the rules and common.
    world.dns.mx("alias.test", &[(1, "www.test")]);
    world.dns.cname("www.test", "good.test");
    job.domain = "alias.test".to_owned();
    assert_eq!(told(&world.one(&job).await), ("delivered", ""));
}

/// A2: what is on the wire has no line end that is not one, every dot stuffed, and one end.
#[tokio::test(flavor = "multi_thread")]
async fn a2_octets_on_the_wire() {
    let sink = Sink::new().start().unwrap();
    let world = World::new(sink.port(), "").with_mx();
    let dotted = "From: a@here.test\r\n\r\n.\r\n..\r\n.\r\n.x\r\nend";
    assert_eq!(
        told(&world.one(&job(&["b@there.test"], dotted)).await),
        ("delivered", "")
    );
    let taken = sink.wait_messages(1).remove(0);
    assert_eq!(
        taken.wire,
        b"From: a@here.test\r\n\r\n..\r\n...\r\n..\r\n..x\r\nend\r\n.\r\n"
    );
    assert_eq!(taken.content, [dotted.as_bytes(), b"\r\n"].concat());
    for smuggled in [
        "From: a@here.test\r\n\r\nx\n.\nMAIL FROM:<evil@here.test>\r\n",
        "From: a@here.test\r\n\r\nx\r.\r\nMAIL FROM:<evil@here.test>\r\n",
        "From: a@here.test\r\n\r\nx\r\n.\rMAIL FROM:<evil@here.test>\r\n",
        "From: a@here.test\r\n\r\nx\0y\r\n",
    ] {
        let before = sink.messages().len();
        let one = world.one(&job(&["b@there.test"], smuggled)).await;
        if told(&one).0 == "delivered" {
            let taken = sink.wait_messages(before + 1).remove(before);
            let text = String::from_utf8(taken.wire).unwrap();
            assert!(text.contains("\r\nContent-Transfer-Encoding: "), "{text:?}");
            assert!(!text.contains("evil"), "{text:?}");
            assert!(
                !text.replace("\r\n", "").contains(['\r', '\n', '\0']),
                "{text:?}"
            );
        }
    }
    // Line ends of the header cannot be made into others without guessing.
    let header = "From: a@here.test\r\nX: y\n.\r\n\r\nx\r\n";
    assert_eq!(
        told(&world.one(&job(&["b@there.test"], header)).await),
        ("failed", "5.6.3")
    );
}

/// A8: words behind the answer to STARTTLS end the connection, and nothing goes out in the clear instead.
#[tokio::test(flavor = "multi_thread")]
async fn a8_injection_behind_starttls() {
    let identity = Identity::named(&["mx.there.test"]).unwrap();
    let sink = Sink::new()
        .tls(&identity)
        .behind_starttls("250-AUTH PLAIN\r\n250 X\r\n")
        .start()
        .unwrap();
    let world = World::new(sink.port(), "").with_mx();
    world.dns.txt(
        "_smtp._tls.there.test",
        &["v=TLSRPTv1; rua=mailto:r@there.test"],
    );
    let one = world.one(&simple()).await;
    assert_eq!(told(&one), ("deferred", "4.7.5"));
    assert_eq!(sink.messages().len(), 0);
    assert_eq!(sink.sessions().len(), 1);
    assert_eq!(
        world.counted().await,
        [(
            "no-policy-found".to_owned(),
            "validation-failure".to_owned(),
            1
        )]
    );
}

/// F18: cut at every octet of the conversation, a message is delivered or tried again.
#[tokio::test(flavor = "multi_thread")]
async fn f18_cut_at_every_octet() {
    for chunking in [false, true] {
        let mut sink = Sink::new();
        if chunking {
            sink = sink.capability("CHUNKING");
        }
        let sink = sink.start().unwrap();
        let world = World::new(sink.port(), "").with_mx();
        let body = match chunking {
            true => format!("BDAT {} LAST\r\n{MESSAGE}", MESSAGE.len()),
            false => format!("DATA\r\n{MESSAGE}...\r\n"),
        };
        let commands =
            "EHLO mail.here.test\r\nMAIL FROM:<a@here.test>\r\nRCPT TO:<b@there.test>\r\n";
        let mut octets = commands.len() + body.len();
        if !chunking {
            // One dot is stuffed, and "..." stands for it and the final one.
            octets -= 1;
        }
        for cut in 0..=octets {
            sink.now_drop_at_octet(cut);
            let one = world.one(&simple()).await;
            let (expected, taken) = match cut < octets {
                true => ("deferred", 0),
                false => ("delivered", 1),
            };
            assert_eq!(told(&one).0, expected, "{cut} of {octets}: {one:?}");
            let messages = sink.wait_messages(taken);
            assert_eq!(messages.len(), taken, "{cut} of {octets}");
        }
    }
    // The other direction: half an answer is none.
    let answer = "250 2.0.0 stored";
    for length in 0..=answer.len() {
        let part = &answer[..length];
        let sink = Sink::new().part_of_reply(".", part, 1).start().unwrap();
        let world = World::new(sink.port(), "").with_mx();
        let one = world.one(&simple()).await;
        assert_eq!(told(&one), ("deferred", "4.4.2"), "{part:?}");
    }
}

/// F11: a server that is slower than patience is left, and costs no more than that.
#[tokio::test(flavor = "multi_thread")]
async fn f11_servers_that_are_slow() {
    for command in ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let sink = Sink::new()
            .capabilities(&[])
            .delay(command, std::time::Duration::from_secs(4))
            .start()
            .unwrap();
        // Behind the final dot the patience is twice as long.
        let world = World::new(sink.port(), "").with_mx();
        let config = Config {
            courier: crate::config::CourierOptions {
                patience: std::time::Duration::from_secs(1),
                ..world.shared.config().courier.clone()
            },
            ..Config::clone(&world.shared.config())
        };
        world.shared.set_config(config);
        let begun = std::time::Instant::now();
        let one = world.one(&simple()).await;
        assert_eq!(told(&one), ("deferred", "4.4.2"), "{command}: {one:?}");
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(4),
            "{command}"
        );
    }
}

/// F18, F11: gone before the answer to the end is tried again; an answer and then a reset is delivered.
#[tokio::test(flavor = "multi_thread")]
async fn f11_the_end_of_the_conversation() {
    let silent = Sink::new().drop_at_command(".", 1).start().unwrap();
    let world = World::new(silent.port(), "").with_mx();
    world.dns.mx(
        "there.test",
        &[(10, "mx.there.test"), (20, "mx2.there.test")],
    );
    world.dns.host("mx2.there.test", &["127.0.0.1"]);
    let one = world.one(&simple()).await;
    assert_eq!(told(&one), ("deferred", "4.4.2"));
    // The server may have it, so the next one is not tried at once.
    assert_eq!(silent.wait_messages(1).len(), 1);
    assert_eq!(told(&world.one(&simple()).await), ("delivered", ""));

    let reset = Sink::new()
        .reply_and_reset(".", "250 2.0.0 got it")
        .start()
        .unwrap();
    let world = World::new(reset.port(), "").with_mx();
    let one = world.one(&simple()).await;
    assert_eq!(told(&one), ("delivered", ""));

    let refusing = Sink::new().greeting("421 4.3.2 not now").start().unwrap();
    let world = World::new(refusing.port(), "").with_mx();
    assert_eq!(told(&world.one(&simple()).await), ("deferred", "4.3.2"));
    let closed = Sink::new().greeting("521 no mail here").start().unwrap();
    let world = World::new(closed.port(), "").with_mx();
    assert_eq!(told(&world.one(&simple()).await), ("failed", "5.3.2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again() {
    let sink = Sink::new().start().unwrap();
    let world = World::new(sink.port(), "").with_mx();
    for _ in 0..3 {
        assert_eq!(told(&world.one(&simple()).await), ("delivered", ""));
    }
    let messages = sink.wait_messages(3);
    assert!(messages.iter().all(|message| message.session == 0));
    // Gone meanwhile: a new one is opened, and nobody notices.
    let fickle = Sink::new().reply_and_reset(".", "250 ok").start().unwrap();
    let world = World::new(fickle.port(), "").with_mx();
    for _ in 0..3 {
        assert_eq!(told(&world.one(&simple()).await), ("delivered", ""));
    }
    assert_eq!(fickle.wait_messages(3).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_where_it_is_offered() {
    // For another name, by nobody known: what is only opportunistic does not care.
    let identity = Identity::named(&["other.test"]).unwrap();
    let sink = Sink::new().tls(&identity).start().unwrap();
    let world = World::new(sink.port(), "").with_mx();
    let one = world.one(&simple()).await;
    assert_eq!(told(&one), ("delivered", ""));
    assert!(
        one.tls
            .as_deref()
            .is_some_and(|tls| tls.starts_with("TLSv1.3 ")),
        "{one:?}"
    );
    assert!(sink.wait_messages(1)[0].tls);
    assert_eq!(
        sink.sessions()[0].server_name.as_deref(),
        Some("mx.there.test")
    );

    let refusing = Sink::new()
        .tls(&identity)
        .reply("STARTTLS", "454 4.7.0 no")
        .start()
        .unwrap();
    let world = World::new(refusing.port(), "").with_mx();
    let one = world.one(&simple()).await;
    assert_eq!((told(&one), one.tls.as_deref()), (("delivered", ""), None));
}

/// A38: an MTA-STS policy that is kept and enforced lets nothing out in the clear or to a wrong certificate, though its record
/// is gone; one that tests lets mail through and counts.
#[tokio::test(flavor = "multi_thread")]
async fn a38_mta_sts() {
    let right = Identity::named(&["mx.there.test"]).unwrap();
    let wrong = Identity::named(&["other.test"]).unwrap();
    let clear = Sink::new().start().unwrap();
    let named = Sink::new().tls(&right).start().unwrap();
    let misnamed = Sink::new().tls(&wrong).start().unwrap();
    let stripped = Sink::new()
        .tls(&right)
        .reply("EHLO", "250-x\r\n250 HELP")
        .start()
        .unwrap();
    for (mode, sink, trusted, expected, flaw, tls) in [
        (
            "enforce",
            &clear,
            true,
            "deferred",
            "starttls-not-supported",
            false,
        ),
        (
            "enforce",
            &stripped,
            true,
            "deferred",
            "starttls-not-supported",
            false,
        ),
        (
            "enforce",
            &misnamed,
            true,
            "deferred",
            "certificate-host-mismatch",
            false,
        ),
        (
            "enforce",
            &named,
            false,
            "deferred",
            "certificate-not-trusted",
            false,
        ),
        ("enforce", &named, true, "delivered", "", true),
        (
            "testing",
            &clear,
            true,
            "delivered",
            "starttls-not-supported",
            false,
        ),
        (
            "testing",
            &misnamed,
            true,
            "delivered",
            "certificate-host-mismatch",
            true,
        ),
        ("testing", &named, true, "delivered", "", true),
    ] {
        let trusted = if trusted {
            vec![&right, &wrong]
        } else {
            vec![&wrong]
        };
        let world = World::trusting(sink.port(), "", &trusted).with_mx();
        world.dns.txt(
            "_smtp._tls.there.test",
            &["v=TLSRPTv1; rua=mailto:r@there.test"],
        );
        world.keep_policy(mode).await;
        let before = sink.messages().len();
        let one = world.one(&simple()).await;
        let case = format!("{mode} {flaw}: {one:?}");
        assert_eq!(told(&one).0, expected, "{case}");
        assert_eq!(
            sink.messages().len() - before,
            usize::from(expected == "delivered"),
            "{case}"
        );
        assert_eq!(one.tls.is_some(), tls, "{case}");
        let counted = world.counted().await;
        assert_eq!(counted, [("sts".to_owned(), flaw.to_owned(), 1)], "{case}");
        if expected == "deferred" {
            assert_eq!(told(&one).1, "4.7.5", "{case}");
        }
    }
}

const TRUST: &str = "dns.dnssec = \"trust\"";

/// A38: DANE, with a resolver whose word about DNSSEC counts.
#[tokio::test(flavor = "multi_thread")]
async fn a38_dane() {
    use sha2::{Digest, Sha256};
    let identity = Identity::named(&["whatever.test"]).unwrap();
    let tls = Sink::new().tls(&identity).start().unwrap();
    let clear = Sink::new().start().unwrap();
    let fitting = Sha256::digest(&identity.certificate).to_vec();
    let good: (u8, u8, u8, &[u8]) = (3, 0, 1, &fitting);
    let bad: (u8, u8, u8, &[u8]) = (3, 0, 1, &[7; 32]);
    let unusable: (u8, u8, u8, &[u8]) = (1, 0, 1, &[7; 32]);
    for (sink, records, secure, expected) in [
        (&tls, vec![good], true, "delivered"),
        (&tls, vec![bad, good], true, "delivered"),
        (&tls, vec![bad], true, "deferred"),
        (&tls, vec![unusable], true, "delivered"),
        (&clear, vec![good], true, "deferred"),
        (&clear, vec![unusable], true, "deferred"),
        // Records that nobody vouches for say nothing.
        (&tls, vec![bad], false, "delivered"),
        (&clear, vec![bad], false, "delivered"),
    ] {
        let world = World::new(sink.port(), TRUST).with_mx();
        world.dns.authentic(secure);
        world
            .dns
            .tlsa(&format!("_{}._tcp.mx.there.test", sink.port()), &records);
        world.dns.txt(
            "_smtp._tls.there.test",
            &["v=TLSRPTv1; rua=mailto:r@there.test"],
        );
        // DANE goes before MTA-STS: this policy would refuse the certificate.
        if secure {
            world.keep_policy("enforce").await;
        }
        let before = sink.messages().len();
        let one = world.one(&simple()).await;
        let case = format!("{records:?} {secure}: {one:?}");
        assert_eq!(told(&one).0, expected, "{case}");
        assert_eq!(
            sink.messages().len() - before,
            usize::from(expected == "delivered"),
            "{case}"
        );
        let counted = world.counted().await;
        assert_eq!(
            counted[0].0,
            if secure { "tlsa" } else { "no-policy-found" },
            "{case}"
        );
    }
    // A37: records too short to be any are not there; one that is long enough and empty is not usable.
    let mut fitting_record = vec![3, 0, 1];
    fitting_record.extend(&fitting);
    for (records, expected) in [
        (
            vec![vec![], vec![3], vec![3, 1], vec![3, 1, 1], fitting_record],
            "delivered",
        ),
        (vec![vec![], vec![3], vec![3, 1]], "delivered"),
        (vec![vec![3, 1, 1]], "delivered"),
    ] {
        let world = World::new(tls.port(), TRUST).with_mx();
        world.dns.authentic(true);
        let name = format!("_{}._tcp.mx.there.test", tls.port());
        world.dns.raw(&name, kind::TLSA, records.clone());
        let one = world.one(&simple()).await;
        assert_eq!(told(&one).0, expected, "{records:?}: {one:?}");
    }
    // A question about TLSA that fails defers, whatever else would be possible.
    let world = World::new(tls.port(), TRUST).with_mx();
    world.dns.authentic(true);
    let name = format!("_{}._tcp.mx.there.test", tls.port());
    world.dns.fail(&name, Some(Failure::ServFail));
    let before = tls.messages().len();
    assert_eq!(told(&world.one(&simple()).await), ("deferred", "4.4.3"));
    assert_eq!(tls.messages().len(), before);
}

/// RFC 8689: REQUIRETLS needs a server that promises it under a certificate that counts.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_require_tls() {
    let identity = Identity::named(&["mx.there.test"]).unwrap();
    let promising = Sink::new()
        .tls(&identity)
        .capabilities_in_tls(&["REQUIRETLS"])
        .start()
        .unwrap();
    let silent = Sink::new().tls(&identity).start().unwrap();
    let clear = Sink::new().capability("REQUIRETLS").start().unwrap();
    for (sink, vouched, expected) in [
        (&promising, true, ("delivered", "")),
        (&promising, false, ("failed", "5.7.10")),
        (&silent, true, ("failed", "5.7.30")),
        (&clear, true, ("deferred", "4.7.5")),
    ] {
        let world = World::trusting(sink.port(), TRUST, &[&identity]).with_mx();
        world.dns.authentic(vouched);
        let mut job = simple();
        job.envelope.require_tls = true;
        let one = world.one(&job).await;
        assert_eq!(told(&one), expected, "{one:?}");
    }
    assert_eq!(
        promising.wait_messages(1)[0].mail,
        "MAIL FROM:<a@here.test> REQUIRETLS"
    );
    assert!(silent.messages().is_empty() && clear.messages().is_empty());
    // TLS-Required: No goes out where the policy would forbid it.
    let world = World::new(clear.port(), "").with_mx();
    world.keep_policy("enforce").await;
    let mut job = simple();
    job.envelope.tls_optional = true;
    assert_eq!(told(&world.one(&job).await), ("delivered", ""));
}

/// What came from the queue for an alias here and goes elsewhere is protected as its sender asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_alias_leads_elsewhere_keeps_its_wishes() {
    let world = World::new(1, "");
    let db = &world.shared.db;
    let set_up = db.write(|tx| {
        tx.add_domain("there.test")?;
        tx.set_alias("b@there.test", &["c@elsewhere.test".to_owned()])
    });
    set_up.await.unwrap();
    let mut job = simple();
    let deliver_by = Some(store::DeliverBy {
        at: world.shared.timestamp() + 3_600,
        mode: store::DeliverByMode::Notify,
        trace: true,
    });
    job.envelope.require_tls = true;
    job.envelope.ret = Some(store::Ret::Headers);
    job.envelope.deliver_by = deliver_by;
    job.envelope.auth = Some("a@here.test".to_owned());
    assert_eq!(told(&world.one(&job).await), ("delivered", ""));
    let turn = store::Turn {
        domain: "elsewhere.test".to_owned(),
        after: -1,
        from: None,
        messages: 9,
    };
    let taken = db.write(move |tx| tx.lease("test", i64::MAX, &turn));
    let onward = taken.await.unwrap().leased.remove(0).envelope;
    assert!(onward.require_tls);
    assert_eq!(onward.body, BodyKind::EightBit);
    assert_eq!(onward.ret, job.envelope.ret);
    assert_eq!(onward.deliver_by, deliver_by);
    assert_eq!(onward.auth, job.envelope.auth);
}

/// While it cannot be seen whose a domain is, its mail waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_read_loses_nothing() {
    let world = World::new(1, "");
    world.dns.mx("there.test", &[(0, ".")]);
    assert_eq!(told(&world.one(&simple()).await), ("failed", "5.1.10"));
    world.shared.db.store().close();
    let (kind, status) = ("deferred", "4.");
    let one = world.one(&simple()).await;
    let (said, with) = told(&one);
    assert!(said == kind && with.starts_with(status), "{one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_with_tls_and_password() {
    let identity = Identity::named(&["relay.test"]).unwrap();
    let relay = Sink::new()
        .implicit_tls(&identity)
        .capability("AUTH PLAIN")
        .start()
        .unwrap();
    let route = format!(
        "route = [{{ domain = \"*\", host = \"relay.test\", port = {}, tls = \"implicit\", user = \"me\", password = \"secret\", source = \"127.0.0.5\" }}]",
        relay.port()
    );
    let world = World::trusting(9, &route, &[&identity]);
    world.dns.host("relay.test", &["127.0.0.1"]);
    let one = world.one(&simple()).await;
    assert_eq!(told(&one), ("delivered", ""), "{one:?}");
    assert_eq!(one.policy, "the route begins with TLS");
    let session = relay.sessions().remove(0);
    assert_eq!(
        session.peer.map(|peer| peer.ip().to_string()).as_deref(),
        Some("127.0.0.5")
    );
    assert!(
        session
            .commands
            .contains(&"AUTH PLAIN AG1lAHNlY3JldA==".to_owned()),
        "{session:?}"
    );

    // The certificate does not prove the name: no password, no mail.
    let stranger = World::new(9, &route);
    stranger.dns.host("relay.test", &["127.0.0.1"]);
    assert_eq!(told(&stranger.one(&simple()).await), ("deferred", "4.7.5"));
    assert_eq!(relay.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_cannot_take() {
    let small = Sink::new()
        .capabilities(&["SIZE 50", "8BITMIME"])
        .start()
        .unwrap();
    let world = World::new(small.port(), "").with_mx();
    assert_eq!(told(&world.one(&simple()).await), ("failed", "5.3.4"));

    let plain = Sink::new().capabilities(&[]).start().unwrap();
    let world = World::new(plain.port(), "").with_mx();
    let one = world.one(&job(&["b\u{f6}b@there.test"], MESSAGE)).await;
    assert_eq!(told(&one), ("failed", "5.6.7"));
    // Only the domain is not ASCII: A-labels need no extension.
    let one = world.one(&job(&["bob@b\u{fc}cher.test"], MESSAGE)).await;
    assert!(matches!(
        one.outcome,
        Outcome::Delivered {
            dsn_relayed: false,
            ..
        }
    ));
    let taken = plain.wait_messages(1);
    assert_eq!(taken[0].recipients, ["RCPT TO:<bob@xn--bcher-kva.test>"]);
    let mut utf8 = job(
        &["b@there.test"],
        "From: a@here.test\r\nSubject: gr\u{fc}n\r\n\r\nx\r\n",
    );
    utf8.envelope.smtputf8 = true;
    assert_eq!(told(&world.one(&utf8).await), ("failed", "5.6.7"));
    // Asked for and not needed.
    let mut ascii = simple();
    ascii.envelope.smtputf8 = true;
    assert_eq!(told(&world.one(&ascii).await), ("delivered", ""));
}

/// RFC 6152 §3: what needs 8 bits is made to need 7; what is signed is returned.
#[tokio::test(flavor = "multi_thread")]
async fn seven_bits_are_enough() {
    let old = Sink::new().capabilities(&[]).start().unwrap();
    let world = World::new(old.port(), "").with_mx();
    let part = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n\r\n";
    let whole = |kind: &str| {
        format!(
            "From: a@here.test\r\nContent-Type: multipart/{kind}; boundary=b\r\n\r\n--b\r\n{part}--b--\r\n"
        )
    };
    let one = world.one(&job(&["b@there.test"], &whole("mixed"))).await;
    assert_eq!(told(&one), ("delivered", ""));
    let taken = old.wait_messages(1).remove(0);
    assert_eq!(taken.mail, "MAIL FROM:<a@here.test>");
    let text = String::from_utf8(taken.content).unwrap();
    assert!(text.contains("gr=C3=BCn\r\n--b--\r\n"), "{text}");
    let signed = world.one(&job(&["b@there.test"], &whole("signed"))).await;
    assert_eq!(told(&signed), ("failed", "5.6.3"));
    // Binary data that came in chunks goes on in base64.
    let mut binary = job(
        &["b@there.test"],
        "From: a@here.test\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\u{e9}",
    );
    binary.envelope.body = BodyKind::Binary;
    assert_eq!(told(&world.one(&binary).await), ("delivered", ""));
    let text = String::from_utf8(old.wait_messages(2)[1].content.clone()).unwrap();
    assert!(
        text.contains("Content-Transfer-Encoding: base64\r\n\r\nAArDqQ=="),
        "{text}"
    );
    let modern = Sink::new()
        .capabilities(&["CHUNKING", "BINARYMIME", "8BITMIME"])
        .start()
        .unwrap();
    let world = World::new(modern.port(), "").with_mx();
    assert_eq!(told(&world.one(&binary).await), ("delivered", ""));
    let taken = modern.wait_messages(1).remove(0);
    assert_eq!(taken.content, &*binary.message);
    assert_eq!(taken.mail, "MAIL FROM:<a@here.test> BODY=BINARYMIME");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_limits() {
    let sink = Sink::new()
        .capabilities(&["CHUNKING", "PIPELINING", "LIMITS RCPTMAX=2"])
        .start()
        .unwrap();
    let world = World::new(sink.port(), "").with_mx();
    let all = ["a@there.test", "b@there.test", "c@there.test"];
    let attempts = world.send(&job(&all, MESSAGE)).await;
    assert!(attempts.iter().all(|one| told(one).0 == "delivered"));
    let messages = sink.wait_messages(2);
    assert_eq!(messages[0].recipients.len(), 2);
    assert_eq!(messages[1].content, MESSAGE.as_bytes());
    assert!(
        sink.sessions()[0]
            .commands
            .iter()
            .any(|line| line.ends_with(" LAST"))
    );
    let large = MESSAGE.to_owned() + &format!("{}\r\n", "y".repeat(900)).repeat(1_000);
    assert_eq!(
        told(&world.one(&job(&["a@there.test"], &large)).await),
        ("delivered", "")
    );
    assert_eq!(sink.wait_messages(3)[2].content, large.as_bytes());
}

/// The validating resolver behind a name server that knows nothing of DNSSEC: everything is insecure, nothing bogus.
#[tokio::test(flavor = "multi_thread")]
async fn validation_behind_a_server_that_strips_signatures() {
    let sink = Sink::new().start().unwrap();
    let world = World::new(sink.port(), "dns.dnssec = \"validate\"").with_mx();
    let mx = world.shared.dns.mx("there.test").await.unwrap();
    assert!(!mx.secure);
    assert_eq!(told(&world.one(&simple()).await), ("delivered", ""));
    let asked = world.dns.asked();
    assert!(asked.contains(&(String::new(), kind::SOA)), "{asked:?}");
}
