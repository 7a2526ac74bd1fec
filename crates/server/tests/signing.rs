//! Signatures over what our users send, and the life of the keys behind them, against a name server of the test's.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::common::crypto::Algorithm;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};
use testkit::connection::Connection;
use testkit::dns;
use testkit::server::{PASSWORD, Server};
use testkit::sink::Sink;

const ALICE: &str = "alice@example.test";

fn start(dns: &dns::Server) -> Server {
    let server = Server::builder()
        .setting("dns.servers", &dns.setting())
        .start()
        .expect("server");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("alice");
    server
}

fn keys(server: &Server) -> Vec<serde_json::Value> {
    let text = server
        .cli(&["--json", "dkim", "show", "example.test"])
        .expect("dkim show");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'v>(row: &'v serde_json::Value, key: &str) -> &'v str {
    row.get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

fn with_state(keys: &[serde_json::Value], state: &str) -> Vec<String> {
    let these = keys.iter().filter(|row| text(row, "state") == state);
    these.map(|row| text(row, "selector").to_owned()).collect()
}

/// Puts the records of all keys in a state into the DNS.
fn publish(dns: &dns::Server, keys: &[serde_json::Value], state: &str) {
    for row in keys.iter().filter(|row| text(row, "state") == state) {
        dns.txt(
            text(row, "name").trim_end_matches('.'),
            &[text(row, "record")],
        );
    }
}

fn submit(server: &Server, message: &[u8]) -> Vec<u8> {
    submit_to(server, ALICE, message);
    newest(server)
}

fn submit_to(server: &Server, recipient: &str, message: &[u8]) {
    let mut smtp = server
        .connect(server.ports().submission)
        .expect("connection");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    login(&mut smtp);
    smtp.smtp(&format!("MAIL FROM:<{ALICE}>"), 250)
        .expect("MAIL");
    smtp.smtp(&format!("RCPT TO:<{recipient}>"), 250)
        .expect("RCPT");
    smtp.smtp("DATA", 354).expect("DATA");
    smtp.send(message).expect("message");
    smtp.smtp(".", 250).expect("end");
    smtp.smtp("QUIT", 221).expect("QUIT");
}

fn login(smtp: &mut Connection) {
    use base64::Engine as _;
    let plain = format!("\0{ALICE}\0{PASSWORD}");
    let token = base64::engine::general_purpose::STANDARD.encode(plain);
    smtp.smtp(&format!("AUTH PLAIN {token}"), 235)
        .expect("AUTH");
}

fn newest(server: &Server) -> Vec<u8> {
    let mut pop3 = server.connect(server.ports().pop3).expect("connection");
    let mut ok = |command: &str| {
        if !command.is_empty() {
            pop3.line(command).expect("send");
        }
        let answer = pop3.answer().expect("answer");
        assert!(answer.starts_with("+OK"), "{command}: {answer}");
        answer
    };
    ok("");
    ok(&format!("USER {ALICE}"));
    ok(&format!("PASS {PASSWORD}"));
    let stat = ok("STAT");
    let count = stat.split(' ').nth(1).expect("a number").to_owned();
    ok(&format!("RETR {count}"));
    let mut message = Vec::new();
    loop {
        let line = pop3.read_line().expect("line").expect("open");
        if line == b"." {
            break;
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// Algorithm, selector and result of each signature, from the top.
fn verify(dns: &dns::Server, message: &[u8]) -> Vec<(Algorithm, String, bool)> {
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
        let outputs = authenticator.verify_dkim(&parsed).await;
        let result = |output: &mail_auth::DkimOutput<'_>| {
            let signature = output.signature().expect("a signature");
            let good = *output.result() == DkimResult::Pass;
            (signature.a, signature.s.clone(), good)
        };
        outputs.iter().map(result).collect()
    })
}

const MESSAGE: &[u8] =
    b"From: alice@example.test\r\nTo: bob@remote.example\r\nSubject: x\r\n\r\nbody\r\n";

/// RFC 8463 §3: both signatures, and those that know one of them verify that one.
#[test]
fn what_users_send_verifies_with_both_algorithms() {
    let dns = dns::Server::start().expect("name server");
    let server = start(&dns);
    publish(&dns, &keys(&server), "active");
    let message = submit(&server, MESSAGE);
    let found = verify(&dns, &message);
    let algorithms: Vec<_> = found.iter().map(|(a, _, good)| (*a, *good)).collect();
    assert_eq!(
        algorithms,
        [
            (Algorithm::RsaSha256, true),
            (Algorithm::Ed25519Sha256, true)
        ]
    );
    // What was missing was added first, and is under the signature.
    let text = String::from_utf8(message).expect("text");
    let changed = text.replacen("\r\nDate: ", "\r\nDate: Mon, ", 1);
    assert_ne!(changed, text);
    assert!(
        verify(&dns, changed.as_bytes())
            .iter()
            .all(|(.., good)| !good)
    );
}

/// A34: a signature that is replayed later is no good, and its addressees cannot be exchanged.
#[test]
fn a34_signatures_expire_and_cover_the_addressees() {
    let dns = dns::Server::start().expect("name server");
    let server = start(&dns);
    publish(&dns, &keys(&server), "active");
    let message = String::from_utf8(submit(&server, MESSAGE)).expect("text");
    let number = |tag: &str| -> u64 {
        let (_, rest) = message.split_once(tag).expect(tag);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let unfolded = message.replace("\r\n\t", " ");
    assert!(unfolded.contains(" t=") && unfolded.contains(" x="));
    assert_eq!(number("x=") - number("t="), 7 * 24 * 3600);
    for (from, to) in [
        ("To: bob@", "To: eve@"),
        ("\r\nSubject", "\r\nCc: eve@remote.example\r\nSubject"),
    ] {
        let changed = message.replacen(from, to, 1);
        assert_ne!(changed, message);
        assert!(
            verify(&dns, changed.as_bytes())
                .iter()
                .all(|(.., good)| !good),
            "{to}"
        );
    }
}

/// New keys sign only once their records are seen; the old ones stay published.
#[test]
fn keys_rotate_when_the_dns_has_the_new_ones() {
    let dns = dns::Server::start().expect("name server");
    let server = start(&dns);
    let first = with_state(&keys(&server), "active");
    let check = |server: &Server| {
        let output = server
            .cli_with(&["--json", "dkim", "check", "example.test"], "")
            .expect("dkim check");
        output.status.success()
    };
    assert!(!check(&server), "nothing is in the DNS yet");
    publish(&dns, &keys(&server), "active");
    assert!(check(&server));
    server
        .cli(&["dkim", "rotate", "example.test"])
        .expect("rotate");
    server
        .cli(&["dkim", "rotate", "example.test"])
        .expect("rotating twice makes no more keys");
    let waiting = keys(&server);
    let second = with_state(&waiting, "pending");
    assert_eq!(
        (with_state(&waiting, "active"), second.len()),
        (first.clone(), 2)
    );
    assert!(check(&server), "what waits is no fault");
    let selectors = |message: &[u8]| {
        let found = verify(&dns, message).into_iter();
        let mut found: Vec<String> = found
            .map(|(_, selector, good)| {
                assert!(good, "{selector}");
                selector
            })
            .collect();
        found.sort();
        found
    };
    assert_eq!(selectors(&submit(&server, MESSAGE)), first);
    // A record with another key is not the one that is waited for.
    dns.txt(
        &format!("{}._domainkey.example.test", second[0]),
        &["v=DKIM1; k=rsa; p=AAAA"],
    );
    check(&server);
    assert_eq!(with_state(&keys(&server), "active"), first);
    publish(&dns, &waiting, "pending");
    assert!(check(&server));
    let after = keys(&server);
    assert_eq!(with_state(&after, "active"), second);
    assert_eq!(with_state(&after, "retired"), first);
    assert_eq!(selectors(&submit(&server, MESSAGE)), second);
}

/// A signature arrives whole at other servers, also at one that takes 7-bit messages only (RFC 6376 §5.3).
#[test]
fn signatures_survive_delivery_and_conversion() {
    for (capabilities, converted) in [(&["8BITMIME"][..], false), (&["SIZE 0"][..], true)] {
        let dns = dns::Server::start().expect("name server");
        let sink = Sink::new()
            .capabilities(capabilities)
            .start()
            .expect("sink");
        let route = format!(
            "[{{ domain = \"*\", host = \"127.0.0.1\", port = {} }}]",
            sink.port()
        );
        let server = Server::builder()
            .setting("dns.servers", &dns.setting())
            .setting("dns.dnssec", "\"off\"")
            .setting("route", &route)
            .start()
            .expect("server");
        server.add_domain("example.test").expect("domain");
        server.add_account(ALICE).expect("alice");
        publish(&dns, &keys(&server), "active");
        let message = "From: alice@example.test\r\nTo: bob@remote.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n";
        submit_to(&server, "bob@remote.example", message.as_bytes());
        sink.wait(|_, messages| messages.len() == 1);
        let came = sink.messages()[0].content.clone();
        assert_eq!(
            came.is_ascii(),
            converted,
            "{}",
            String::from_utf8_lossy(&came)
        );
        let found: Vec<bool> = verify(&dns, &came).iter().map(|(.., good)| *good).collect();
        assert_eq!(found, [true, true], "{}", String::from_utf8_lossy(&came));
    }
}
