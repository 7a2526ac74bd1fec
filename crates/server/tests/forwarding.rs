//! What aliases send elsewhere: the reverse-path that leads back, and the seal over what was found out.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};
use serde_json::Value;
use testkit::dns;
use testkit::server::Server;
use testkit::sink::{self, Sink};

const ALIAS: &str = "club@example.test";

struct World {
    dns: dns::Server,
    sink: sink::Server,
    server: Server,
}

fn start() -> World {
    let dns = dns::Server::start().expect("name server");
    // Senders must be able to get an answer.
    for domain in ["sender.example", "lists.sender.example", "evil.example"] {
        dns.mx(domain, &[(10, "mx.sender.example")]);
    }
    dns.host("mx.sender.example", &["192.0.2.1"]);
    let sink = Sink::new().start().expect("sink");
    let route = format!(
        "[{{ domain = \"*\", host = \"127.0.0.1\", port = {} }}]",
        sink.port()
    );
    let server = Server::builder()
        .setting("dns.servers", &dns.setting())
        .setting("dns.dnssec", "\"off\"")
        .setting("reception.check_private", "true")
        .setting("route", &route)
        .start()
        .expect("server");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("alice");
    server
        .add_alias(ALIAS, &["friend@remote.example".to_owned()])
        .expect("alias");
    World { dns, sink, server }
}

impl World {
    /// Puts the server's keys into the DNS.
    fn publish(&self) {
        let text = self
            .server
            .cli(&["--json", "dkim", "show", "example.test"])
            .expect("keys");
        let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        for row in rows {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            self.dns
                .txt(text("name").trim_end_matches('.'), &[&text("record")]);
        }
    }

    /// Sends over SMTP; the code of the answer to RCPT, and of that to the message.
    fn send(&self, from: &str, to: &str, message: &str) -> (u16, u16) {
        let mut smtp = self
            .server
            .connect(self.server.ports().smtp)
            .expect("connection");
        smtp.reply().expect("greeting");
        smtp.smtp("EHLO sender.example", 250).expect("EHLO");
        smtp.smtp(&format!("MAIL FROM:<{from}>"), 250)
            .expect("MAIL");
        smtp.line(&format!("RCPT TO:<{to}>")).expect("RCPT");
        let (recipient, _) = smtp.reply().expect("an answer");
        if recipient != 250 {
            return (recipient, 0);
        }
        smtp.smtp("DATA", 354).expect("DATA");
        smtp.send(message.as_bytes()).expect("message");
        smtp.line(".").expect("end");
        let (end, _) = smtp.reply().expect("an answer");
        (recipient, end)
    }

    /// The message that arrived elsewhere as the nth, from 0.
    fn arrived(&self, number: usize) -> sink::Message {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            if let Some(message) = self.sink.messages().get(number) {
                return message.clone();
            }
            assert!(
                std::time::Instant::now() < until,
                "nothing came\n{}",
                self.server.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// The path in a MAIL command.
fn path(command: &str) -> String {
    let (_, rest) = command.split_once('<').expect("a path");
    rest.split_once('>').expect("a path").0.to_owned()
}

const MESSAGE: &str = "From: ann@sender.example\r\nTo: club@example.test\r\nSubject: x\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n\
    Message-ID: <1@sender.example>\r\n\r\nbody\r\n";

/// A bounce of what an alias forwarded finds back to the sender, and nothing else does.
#[test]
fn bounces_of_forwarded_mail_go_back_to_the_sender() {
    let world = start();
    assert_eq!(world.send("ann@sender.example", ALIAS, MESSAGE), (250, 250));
    let forwarded = world.arrived(0);
    assert!(
        forwarded.recipients[0].contains("<friend@remote.example>"),
        "{forwarded:?}"
    );
    let rewritten = path(&forwarded.mail);
    assert!(
        rewritten.starts_with("SRS0=") && rewritten.ends_with("=sender.example=ann@example.test"),
        "{rewritten}"
    );

    let report = "From: postmaster@remote.example\r\nSubject: failed\r\n\r\nfailed\r\n";
    assert_eq!(world.send("", &rewritten, report), (250, 250));
    let returned = world.arrived(1);
    assert_eq!(path(&returned.mail), "");
    assert!(
        returned.recipients[0].contains("<ann@sender.example>"),
        "{returned:?}"
    );

    // Others do not get through here, and nobody who makes up an address.
    assert_eq!(world.send("eve@evil.example", &rewritten, report).0, 550);
    assert_eq!(
        world.send("", &rewritten.replace("ann", "bob"), report).0,
        550
    );
    assert_eq!(
        world
            .send("", "SRS0=aaaaaa=aa=sender.example=ann@example.test", report)
            .0,
        550
    );

    // Too long for a local part: kept here instead.
    let long = format!("bounces+{}@lists.sender.example", "x".repeat(50));
    assert_eq!(world.send(&long, ALIAS, MESSAGE), (250, 250));
    let rewritten = path(&world.arrived(2).mail);
    let (local, _) = rewritten.split_once('@').expect("an address");
    assert!(
        local.len() <= 64 && local.starts_with("SRS0="),
        "{rewritten}"
    );
    assert_eq!(world.send("", &rewritten, report), (250, 250));
    assert!(world.arrived(3).recipients[0].contains(&format!("<{long}>")));

    // Our own mail keeps its sender: SPF lets us send it.
    assert_eq!(world.send("", ALIAS, MESSAGE), (250, 250));
    assert_eq!(path(&world.arrived(4).mail), "");
}

/// RFC 8617: the next server can verify what we saw, over two hops of ours.
#[test]
fn forwarded_mail_is_sealed() {
    let world = start();
    world.publish();
    world
        .dns
        .txt("sender.example", &["v=spf1 ip4:127.0.0.1 -all"]);
    assert_eq!(world.send("ann@sender.example", ALIAS, MESSAGE), (250, 250));
    let once = world.arrived(0).content;
    let text = String::from_utf8(once.clone()).expect("text");
    assert!(text.contains("ARC-Authentication-Results: i=1;"), "{text}");
    let unfolded = text.replace("\r\n\t", " ");
    let results = unfolded
        .lines()
        .find(|line| line.starts_with("ARC-Authentication-Results"))
        .expect("results");
    assert!(results.contains("spf=pass"), "{results}");
    assert_eq!(verify(&world.dns, &once), (DkimResult::Pass, 1));
    let changed = text.replacen("\r\n\r\nbody", "\r\n\r\nother", 1);
    assert_ne!(changed, text);
    assert_ne!(verify(&world.dns, changed.as_bytes()).0, DkimResult::Pass);

    // It comes back, and goes on a second time.
    assert_eq!(world.send("ann@sender.example", ALIAS, &text), (250, 250));
    let twice = world.arrived(1).content;
    assert_eq!(verify(&world.dns, &twice), (DkimResult::Pass, 2));

    // A chain that is broken is said to be so, once.
    assert_eq!(
        world.send("ann@sender.example", ALIAS, &changed),
        (250, 250)
    );
    let broken = String::from_utf8(world.arrived(2).content).expect("text");
    assert!(broken.contains("cv=fail"), "{broken}");
    assert_eq!(world.send("ann@sender.example", ALIAS, &broken), (250, 250));
    let again = String::from_utf8(world.arrived(3).content).expect("text");
    assert!(!again.contains("i=3;"), "{again}");
}

/// The result of the chain, and how many sets it has.
fn verify(dns: &dns::Server, message: &[u8]) -> (DkimResult, usize) {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let mut server = NameServerConfig::udp_and_tcp(dns.address().ip());
        for connection in &mut server.connections {
            connection.port = dns.address().port();
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let authenticator = MessageAuthenticator(resolver.build().expect("resolver"));
        let parsed = AuthenticatedMessage::parse(message).expect("a message");
        let output = authenticator.verify_arc(&parsed).await;
        (output.result().clone(), output.sets().len())
    })
}
