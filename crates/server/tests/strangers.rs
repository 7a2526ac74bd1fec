//! Strangers at the reception port: rates, lists in the DNS, greylisting, slow refusals; and the filters beside the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::connection::Connection;
use testkit::dns;
use testkit::server::{Builder, Server};

const BOB: &str = "bob@example.test";

/// A server for which connections from this machine are strangers, judged by lists and filters alone.
fn builder() -> Builder {
    Server::builder()
        .setting("reception.check_private", "true")
        .setting("smtp.greeting_delay_ms", "0")
        .setting("smtp.check_sender_domain", "false")
        .setting("reception.dmarc", "\"record\"")
        .setting("reception.accept_on_dns_failure", "true")
}

fn ready(builder: Builder) -> Server {
    let server = builder.start().expect("server");
    server.add_domain("example.test").expect("domain");
    server.add_account(BOB).expect("bob");
    server
}

fn hello(server: &Server) -> Connection {
    let mut smtp = server.connect(server.ports().smtp).expect("connection");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp
}

fn message(smtp: &mut Connection, subject: &str) -> (u16, String) {
    let text = format!("From: a@remote.example\r\nTo: {BOB}\r\nSubject: {subject}\r\n\r\nbody\r\n");
    smtp.smtp("MAIL FROM:<a@remote.example>", 250)
        .expect("MAIL");
    smtp.smtp(&format!("RCPT TO:<{BOB}>"), 250).expect("RCPT");
    smtp.smtp("DATA", 354).expect("DATA");
    smtp.send(text.as_bytes()).expect("message");
    smtp.line(".").expect("end");
    let (code, lines) = smtp.reply().expect("reply");
    (code, lines.join("\n"))
}

fn mailbox(server: &Server, name: &str) -> Vec<String> {
    let mut imap = server.connect(server.ports().imap).expect("connection");
    imap.answer().expect("greeting");
    imap.imap(&format!("LOGIN {BOB} {}", testkit::PASSWORD))
        .expect("LOGIN");
    imap.imap(&format!("EXAMINE {name}")).expect("EXAMINE");
    imap.imap("FETCH 1:* BODY.PEEK[]").unwrap_or_default()
}

#[test]
fn a_network_that_sends_too_fast_is_slowed_down() {
    let server = ready(builder().setting("strangers.messages_per_minute", "2"));
    let mut smtp = hello(&server);
    assert_eq!(message(&mut smtp, "1").0, 250);
    assert_eq!(message(&mut smtp, "2").0, 250);
    let lines = smtp
        .smtp("MAIL FROM:<a@remote.example>", 450)
        .expect("MAIL");
    assert!(lines.concat().contains("faster"), "{lines:?}");
    smtp.smtp(&format!("RCPT TO:<{BOB}>"), 503)
        .expect("no transaction");
    // A second connection is of the same network.
    let mut other = hello(&server);
    other
        .smtp("MAIL FROM:<b@remote.example>", 450)
        .expect("MAIL");
    server.check().expect("check");
}

#[test]
fn refusals_come_slower_and_slower() {
    let server = ready(builder().setting("strangers.tarpit_seconds", "1"));
    let mut smtp = hello(&server);
    smtp.smtp("MAIL FROM:<a@remote.example>", 250)
        .expect("MAIL");
    let mut times = Vec::new();
    for number in 0..5 {
        let began = Instant::now();
        smtp.smtp(&format!("RCPT TO:<nobody{number}@example.test>"), 550)
            .expect("RCPT");
        times.push(began.elapsed());
    }
    let second = Duration::from_millis(950);
    assert!(times.iter().take(3).all(|time| *time < second), "{times:?}");
    assert!(
        times.iter().skip(3).all(|time| *time >= second),
        "{times:?}"
    );
}

#[test]
fn lists_refuse_junk_and_praise() {
    let dns = dns::Server::start().expect("dns");
    let lists = "[{ zone = \"bad.example\", points = 5 }, { zone = \"worse.example\", points = 4, answers = [\"127.0.0.4\"] }, \
                 { zone = \"good.example\", points = -6 }]";
    let server = ready(
        builder()
            .setting("dns.servers", &dns.setting())
            .setting("list", lists),
    );
    let entry = "1.0.0.127";
    assert_eq!(message(&mut hello(&server), "clean").0, 250);
    assert!(
        mailbox(&server, "INBOX")
            .concat()
            .contains("Subject: clean")
    );
    // One list: Junk.
    dns.host(&format!("{entry}.bad.example"), &["127.0.0.2"]);
    dns.txt(
        &format!("{entry}.bad.example"),
        &["Seen sending\r\n250 spam"],
    );
    // An answer that does not count.
    dns.host(&format!("{entry}.worse.example"), &["127.0.0.2"]);
    assert_eq!(message(&mut hello(&server), "listed").0, 250);
    assert!(
        mailbox(&server, "Junk")
            .concat()
            .contains("Subject: listed")
    );
    // Both: refused before anything is sent.
    dns.host(&format!("{entry}.worse.example"), &["127.0.0.4"]);
    let mut smtp = hello(&server);
    smtp.smtp("MAIL FROM:<a@remote.example>", 250)
        .expect("MAIL");
    let lines = smtp.smtp(&format!("RCPT TO:<{BOB}>"), 554).expect("RCPT");
    assert!(lines.concat().contains("Seen sending"), "{lines:?}");
    // Praise outweighs.
    dns.host(&format!("{entry}.good.example"), &["127.0.9.1"]);
    assert_eq!(message(&mut hello(&server), "praised").0, 250);
    assert!(
        mailbox(&server, "INBOX")
            .concat()
            .contains("Subject: praised")
    );
    // Lists that do not answer say nothing.
    dns.fail_all(Some(dns::Failure::ServFail));
    assert_eq!(message(&mut hello(&server), "unknown").0, 250);
}

#[test]
fn who_was_never_seen_comes_back() {
    let server = ready(
        builder()
            .setting("strangers.greylist", "true")
            .setting("strangers.greylist_seconds", "2"),
    );
    let attempt = |sender: &str, want: u16| {
        let mut smtp = hello(&server);
        smtp.smtp(&format!("MAIL FROM:<{sender}>"), 250)
            .expect("MAIL");
        smtp.smtp(&format!("RCPT TO:<{BOB}>"), want)
            .expect("RCPT")
            .concat()
    };
    let said = attempt("a@remote.example", 450);
    assert!(said.contains("2 seconds"), "{said}");
    attempt("a@remote.example", 450);
    std::thread::sleep(Duration::from_millis(2_100));
    attempt("a@remote.example", 250);
    attempt("A@remote.example", 250);
    // Another sender is another try; unknown recipients are told so at once.
    attempt("b@remote.example", 450);
    let mut smtp = hello(&server);
    smtp.smtp("MAIL FROM:<c@remote.example>", 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<nobody@example.test>", 550)
        .expect("RCPT");
}

/// What a test's milter does with the next message.
#[derive(Debug, Clone, Copy)]
enum Act {
    Accept,
    Change,
    RefuseRecipient,
    Reply,
    Quarantine,
    Discard,
    TempFail,
    DieAtEnd,
    DieInBody,
    Trickle,
    Garbage,
    Envelope,
}

/// Commands and their data, as they came.
type Heard = Arc<Mutex<Vec<(u8, Vec<u8>)>>>;

struct Milter {
    address: SocketAddr,
    act: Arc<Mutex<Act>>,
    heard: Heard,
}

impl Milter {
    fn start() -> Milter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
        let milter = Milter {
            address: listener.local_addr().expect("address"),
            act: Arc::new(Mutex::new(Act::Accept)),
            heard: Arc::default(),
        };
        let (act, heard) = (Arc::clone(&milter.act), Arc::clone(&milter.heard));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (act, heard) = (Arc::clone(&act), Arc::clone(&heard));
                std::thread::spawn(move || converse(stream, &act, &heard));
            }
        });
        milter
    }

    fn next(&self, act: Act) {
        *self.act.lock().unwrap() = act;
        self.heard.lock().unwrap().clear();
    }

    fn heard(&self, command: u8) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let these = heard.iter().filter(|(one, _)| *one == command);
        these
            .map(|(_, data)| String::from_utf8_lossy(data).replace('\0', "|"))
            .collect()
    }
}

fn packet(command: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap();
    [&length.to_be_bytes(), [command].as_slice(), data].concat()
}

/// Reads packets and answers; ends when the stream does, or when it plays dead.
fn converse(mut stream: TcpStream, act: &Mutex<Act>, heard: &Mutex<Vec<(u8, Vec<u8>)>>) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut data = vec![0; u32::from_be_bytes(length) as usize];
        if stream.read_exact(&mut data).is_err() {
            return;
        }
        let command = data.remove(0);
        heard.lock().unwrap().push((command, data.clone()));
        let act = *act.lock().unwrap();
        let insert = |at: u32, text: &[u8]| packet(b'i', &[&at.to_be_bytes(), text].concat());
        let answer = match (command, act) {
            (b'D' | b'A' | b'Q', _) => continue,
            (b'O', Act::Garbage) => vec![0xff; 64],
            (b'O', Act::Envelope) => packet(b'O', &[0, 0, 0, 6, 0, 0, 0, 0x0d, 0, 0, 0, 0]),
            (b'O', _) => packet(b'O', &[0, 0, 0, 6, 0, 0, 0, 0x31, 0, 0, 0, 0]),
            (b'R', Act::RefuseRecipient) => packet(b'y', b"551 5.1.6 He moved\0"),
            (b'B', Act::DieInBody) => return,
            (b'E', Act::Change) => [
                insert(0, b"X-First\0one\n two\0"),
                packet(b'm', b"\0\0\0\x01Subject\0changed\0"),
                packet(b'h', b"X-Last\0end\0"),
                packet(b'p', b""),
                packet(b'b', b"new "),
                packet(b'b', b"body\n"),
                packet(b'c', b""),
            ]
            .concat(),
            (b'E', Act::Reply) => packet(b'y', b"554-5.7.1 No\r\n554 5.7.1 never\0"),
            (b'E', Act::Quarantine) => [packet(b'q', b"strange\0"), packet(b'a', b"")].concat(),
            (b'E', Act::Discard) => packet(b'd', b""),
            (b'E', Act::TempFail) => packet(b't', b""),
            (b'E', Act::DieAtEnd) => {
                let _ = stream.write_all(&packet(b'b', b"half of a new body"));
                let _ = stream.write_all(&[0, 0]);
                return;
            }
            (b'E', Act::Trickle) => {
                for octet in packet(b'y', b"250 never in time\0") {
                    if stream.write_all(&[octet]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                return;
            }
            _ => packet(b'c', b""),
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn with_milter(milter: &Milter, more: &str) -> Server {
    let setting = format!(
        "[{{ address = \"{}\", timeout_seconds = 1{more} }}]",
        milter.address
    );
    ready(builder().setting("milter", &setting))
}

#[test]
fn a_milter_sees_everything_and_changes_what_it_may() {
    let milter = Milter::start();
    let server = with_milter(&milter, "");
    let mut smtp = hello(&server);
    assert_eq!(message(&mut smtp, "plain").0, 250);
    assert!(
        milter.heard(b'C')[0].contains("[127.0.0.1]|4"),
        "{:?}",
        milter.heard(b'C')
    );
    assert_eq!(milter.heard(b'H'), ["client.example|"]);
    assert_eq!(milter.heard(b'M'), ["<a@remote.example>|"]);
    assert_eq!(milter.heard(b'R'), ["<bob@example.test>|"]);
    assert_eq!(milter.heard(b'L')[2], "Subject|plain|");
    assert_eq!(milter.heard(b'B'), ["body\r\n"]);
    // The same connection, and the same milter connection, serve the next message.
    milter.next(Act::Change);
    assert_eq!(message(&mut smtp, "before").0, 250);
    assert!(milter.heard(b'O').is_empty());
    let stored = mailbox(&server, "INBOX").join("\n");
    for part in [
        "X-First: one\n two",
        "Subject: changed",
        "X-Last: end\n\nnew body",
    ] {
        assert!(stored.replace('\r', "").contains(part), "{part}: {stored}");
    }
    assert!(!stored.contains("Subject: before"));
    milter.next(Act::RefuseRecipient);
    smtp.smtp("MAIL FROM:<a@remote.example>", 250)
        .expect("MAIL");
    let lines = smtp.smtp(&format!("RCPT TO:<{BOB}>"), 551).expect("RCPT");
    assert!(lines.concat().contains("5.1.6 He moved"), "{lines:?}");
    smtp.smtp("RSET", 250).expect("RSET");
    milter.next(Act::Reply);
    let (code, text) = message(&mut smtp, "refused");
    assert_eq!(code, 554);
    assert!(text.contains("never"), "{text}");
    milter.next(Act::Quarantine);
    assert_eq!(message(&mut smtp, "odd").0, 250);
    assert!(mailbox(&server, "Junk").concat().contains("Subject: odd"));
    milter.next(Act::Discard);
    assert_eq!(message(&mut smtp, "gone").0, 250);
    milter.next(Act::TempFail);
    assert_eq!(message(&mut smtp, "later").0, 451);
    let all = [mailbox(&server, "INBOX"), mailbox(&server, "Junk")]
        .concat()
        .concat();
    for subject in ["refused", "gone", "later"] {
        assert!(!all.contains(&format!("Subject: {subject}")), "{subject}");
    }
}

/// A57: a filter that breaks in any way is no way around it, and half a change is none.
#[test]
fn a57_filters_fail_closed() {
    let milter = Milter::start();
    let server = with_milter(&milter, "");
    for act in [Act::DieAtEnd, Act::DieInBody, Act::Trickle] {
        milter.next(act);
        let (code, text) = message(&mut hello(&server), "unseen");
        assert_eq!(code, 451, "{act:?}: {text}");
    }
    for act in [Act::Garbage, Act::Envelope] {
        milter.next(act);
        let mut smtp = hello(&server);
        smtp.smtp("MAIL FROM:<a@remote.example>", 451)
            .expect("MAIL");
        smtp.smtp(&format!("RCPT TO:<{BOB}>"), 503).expect("RCPT");
    }
    assert!(!mailbox(&server, "INBOX").concat().contains("unseen"));
    milter.next(Act::Accept);
    assert_eq!(message(&mut hello(&server), "seen").0, 250);
    assert!(mailbox(&server, "INBOX").concat().contains("seen"));
}

/// Whoever wants mail more than examined mail says so; the record tells that nobody looked.
#[test]
fn a_filter_may_be_passed_by_when_the_owner_says_so() {
    let milter = Milter::start();
    let server = with_milter(&milter, ", on_failure = \"accept\"");
    milter.next(Act::DieAtEnd);
    let (code, text) = message(&mut hello(&server), "unseen");
    assert_eq!(code, 250, "{text}");
    let stored = mailbox(&server, "INBOX").concat();
    assert!(
        stored.contains("Subject: unseen") && stored.contains("body"),
        "{stored}"
    );
    assert!(!stored.contains("half of"));
    let id = text.rsplit(' ').next().unwrap_or_default().to_owned();
    let told = server.cli(&["explain", &id]).expect("explain");
    assert!(told.contains("could not be asked"), "{told}");
}

/// An HTTP server with one answer for everything; the requests it got.
fn rspamd(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
    let address = listener.local_addr().expect("address");
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&requests);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&request).contains("body\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&buffer[..count]),
                }
            }
            kept.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&request).into_owned());
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(format!("{head}{answer}").as_bytes());
        }
    });
    (address, requests)
}

#[test]
fn rspamd_is_asked_and_obeyed() {
    let answer = r#"{"action":"add header","score":7.5,"required_score":15,"symbols":{"BAYES_SPAM":{"score":5.1}},
        "milter":{"add_headers":{"X-Spamd-Result":{"value":"default: False [7.50 / 15.00]","order":0}}}}"#;
    let (address, requests) = rspamd(answer);
    let server = ready(builder().setting("rspamd", &format!("{{ url = \"http://{address}\" }}")));
    let (code, text) = message(&mut hello(&server), "pills");
    assert_eq!(code, 250, "{text}");
    let junk = mailbox(&server, "Junk").concat();
    assert!(junk.contains("X-Spamd-Result: default: False"), "{junk}");
    let request = requests.lock().unwrap().concat().to_ascii_lowercase();
    for part in [
        "post /checkv2",
        "ip: 127.0.0.1",
        "from: a@remote.example",
        "rcpt: bob@example.test",
        "helo: client.example",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
    let id = text.rsplit(' ').next().unwrap_or_default().to_owned();
    let told = server.cli(&["explain", &id]).expect("explain");
    assert!(
        told.contains("BAYES_SPAM") && told.contains("Junk"),
        "{told}"
    );
}

#[test]
fn rspamd_that_is_away_means_later() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("listener")
        .local_addr()
        .expect("address");
    let setting = format!("{{ url = \"http://{closed}\", timeout_seconds = 2 }}");
    let server = ready(builder().setting("rspamd", &setting));
    assert_eq!(message(&mut hello(&server), "x").0, 451);
    let setting =
        format!("{{ url = \"http://{closed}\", timeout_seconds = 2, on_failure = \"accept\" }}");
    let server = ready(builder().setting("rspamd", &setting));
    assert_eq!(message(&mut hello(&server), "x").0, 250);
}
