//! The queue as its users see it: mail goes out, comes back, waits, is counted, and is not forgotten.

mod dsn;
mod limits;
mod load;
mod send;

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::connection::Connection;
use testkit::server::{Builder, PASSWORD, Server};
use testkit::sink;

/// A user.
pub const ALICE: &str = "alice@example.test";
/// Another.
pub const BOB: &str = "bob@example.test";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that sends everything to a sink.
pub fn sending_to(sink: &sink::Server) -> Builder {
    let port = sink.port();
    Server::builder().setting(
        "route",
        &format!("[{{ domain = \"*\", host = \"127.0.0.1\", port = {port}, tls = \"none\" }}]"),
    )
}

/// Starts it, with a domain and two accounts.
pub fn started(builder: Builder) -> Server {
    let server = builder.start().expect("server");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("alice");
    server.add_account(BOB).expect("bob");
    server
}

/// A session of a user who has logged in.
pub fn logged_in(server: &Server, user: &str) -> Connection {
    use base64::Engine as _;
    let mut smtp = server
        .connect(server.ports().submission)
        .expect("connection");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    let plain = format!("\0{user}\0{PASSWORD}");
    let token = base64::engine::general_purpose::STANDARD.encode(plain);
    smtp.smtp(&format!("AUTH PLAIN {token}"), 235)
        .expect("AUTH");
    smtp
}

/// A session of another server.
pub fn stranger(server: &Server) -> Connection {
    let mut smtp = server.connect(server.ports().smtp).expect("connection");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO mx.remote.example", 250).expect("EHLO");
    smtp
}

/// One transaction; paths with their parameters.
pub fn transaction(smtp: &mut Connection, from: &str, to: &[&str], message: &str) {
    smtp.smtp(&format!("MAIL FROM:{from}"), 250).expect("MAIL");
    for to in to {
        smtp.smtp(&format!("RCPT TO:{to}"), 250).expect("RCPT");
    }
    smtp.smtp("DATA", 354).expect("DATA");
    smtp.send(message.as_bytes()).expect("message");
    smtp.smtp(".", 250).expect("end");
}

/// Alice's message with this subject.
pub fn message(subject: &str) -> String {
    format!(
        "From: {ALICE}\r\nTo: somebody\r\nMessage-ID: <{subject}@example.test>\r\nSubject: {subject}\r\n\r\nHello.\r\n"
    )
}

/// `waxwing --json …`
pub fn json(server: &Server, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let text = server.cli(&all).expect("a command");
    serde_json::from_str(&text).expect("JSON")
}

/// What `queue list` says.
pub fn queued(server: &Server) -> Vec<Value> {
    let list = json(server, &["queue", "list"]);
    list.as_array().cloned().unwrap_or_default()
}

/// Waits until the queue looks as it should.
pub fn until(server: &Server, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let list = queued(server);
        if fits(&list) {
            return list;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "in vain waited for {what}: {list:#?}\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until nothing is queued.
pub fn empty(server: &Server) {
    until(server, "an empty queue", <[Value]>::is_empty);
}

/// Waits until a user's INBOX has this many messages, and reads them all.
pub fn inbox(server: &Server, user: &str, count: usize) -> Vec<Vec<u8>> {
    let mut imap = server.connect(server.ports().imap).expect("connection");
    imap.answer().expect("greeting");
    imap.imap(&format!("LOGIN {user} {PASSWORD}"))
        .expect("LOGIN");
    let lines = imap.imap("SELECT INBOX").expect("SELECT");
    let exists = |line: &str| -> Option<usize> {
        line.strip_prefix("* ")?
            .strip_suffix(" EXISTS")?
            .parse()
            .ok()
    };
    let mut have = lines.iter().find_map(|line| exists(line)).unwrap_or(0);
    if have < count {
        imap.line("i IDLE").expect("IDLE");
        while have < count {
            let line = match imap.answer() {
                Ok(line) => line,
                Err(error) => panic!("in vain waited for mail: {error}\n{}", server.log()),
            };
            have = exists(&line).unwrap_or(have);
        }
        imap.line("DONE").expect("DONE");
        imap.answers_until(|line| line.starts_with("i "))
            .expect("end of IDLE");
    }
    let mut all = Vec::new();
    for number in 1..=have {
        imap.line(&format!("f FETCH {number} BODY.PEEK[]"))
            .expect("FETCH");
        let line = imap.answer().expect("literal");
        let size = line
            .rsplit_once('{')
            .and_then(|(_, rest)| rest.strip_suffix('}')?.parse().ok())
            .unwrap_or_else(|| panic!("no literal: {line}"));
        all.push(imap.read_octets(size).expect("octets"));
        imap.answers_until(|line| line.starts_with("f "))
            .expect("end of FETCH");
    }
    all
}

/// How many messages a user has.
pub fn count(server: &Server, user: &str) -> usize {
    inbox(server, user, 0).len()
}
