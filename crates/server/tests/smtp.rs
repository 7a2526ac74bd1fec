//! SMTP, submission and LMTP against the built binary: attacks, quota, aliases, and foreign clients.

use std::io::{self, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server, dot_stuffed};
use wire::base64;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn server() -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    for account in [ALICE, BOB] {
        server.add_account(account).expect("account");
    }
    server
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Reception { tls: bool },
    Submission { tls: bool },
    Lmtp,
}

const DOORS: [Door; 5] = [
    Door::Reception { tls: false },
    Door::Reception { tls: true },
    Door::Submission { tls: false },
    Door::Submission { tls: true },
    Door::Lmtp,
];

/// A connection on which MAIL may follow.
fn open(server: &Server, door: Door) -> Connection {
    let ports = server.ports();
    let port = match door {
        Door::Reception { .. } => ports.smtp,
        Door::Submission { .. } => ports.submission,
        Door::Lmtp => ports.lmtp,
    };
    let mut connection = server.connect(port).expect("connect");
    assert_eq!(connection.reply().expect("greeting").0, 220);
    let hello = if door == Door::Lmtp {
        "LHLO c.example"
    } else {
        "EHLO c.example"
    };
    connection.smtp(hello, 250).expect("hello");
    if matches!(
        door,
        Door::Reception { tls: true } | Door::Submission { tls: true }
    ) {
        connection.smtp("STARTTLS", 220).expect("STARTTLS");
        connection
            .start_tls(server.certificate())
            .expect("handshake");
        connection.smtp(hello, 250).expect("hello under TLS");
    }
    if matches!(door, Door::Submission { .. }) {
        let response = base64::encode(format!("\0{ALICE}\0{PASSWORD}").as_bytes());
        connection
            .smtp(&format!("AUTH PLAIN {response}"), 235)
            .expect("login");
    }
    connection
}

/// What a door answers to a command.
fn code(connection: &mut Connection, command: &str) -> u16 {
    connection.line(command).expect("send");
    connection.reply().expect(command).0
}

/// All messages of an account, oldest first, over POP3.
fn messages(server: &Server, account: &str) -> Vec<Vec<u8>> {
    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    let mut ok = |command: String| {
        if !command.is_empty() {
            pop3.line(&command).expect("send");
        }
        let answer = pop3.answer().expect("answer");
        assert!(answer.starts_with("+OK"), "{command}: {answer}");
        if !command.starts_with("RETR") {
            return answer.into_bytes();
        }
        let mut message = Vec::new();
        loop {
            let line = pop3.read_line().expect("line").expect("open");
            if line == b"." {
                return message;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            message.extend_from_slice(b"\r\n");
        }
    };
    ok(String::new());
    ok("UTF8".to_owned());
    ok(format!("USER {account}"));
    ok(format!("PASS {PASSWORD}"));
    let stat = String::from_utf8(ok("STAT".to_owned())).expect("text");
    let count: usize = stat
        .split(' ')
        .nth(1)
        .and_then(|count| count.parse().ok())
        .expect("STAT");
    let all = (1..=count)
        .map(|number| ok(format!("RETR {number}")))
        .collect();
    ok("QUIT".to_owned());
    all
}

/// The message below the trace fields that we put on top.
fn without_trace(message: &[u8]) -> &[u8] {
    let text = message
        .strip_prefix(b"Return-Path: <".as_slice())
        .expect("Return-Path on top");
    let at = text
        .windows(10)
        .position(|window| window == b"\r\nReceived")
        .expect("Received below it");
    let mut rest = &text[at + 2..];
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .expect("line")
            + 2;
        rest = &rest[end..];
        // What our users send is signed.
        if !rest.starts_with(b"\t") && !rest.starts_with(b"DKIM-Signature:") {
            return rest;
        }
    }
}

/// Sends a message to bob and returns the final code.
fn deliver(connection: &mut Connection, message: &[u8]) -> u16 {
    connection
        .smtp(&format!("MAIL FROM:<{ALICE}>"), 250)
        .expect("MAIL");
    connection
        .smtp(&format!("RCPT TO:<{BOB}>"), 250)
        .expect("RCPT");
    connection.smtp("DATA", 354).expect("DATA");
    connection.send(&dot_stuffed(message)).expect("send");
    code(connection, ".")
}

#[test]
fn what_goes_in_comes_out() {
    let server = server();
    let mails: [&[u8]; 5] = [
        b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n.\r\n..\r\n.a\r\n\r\n",
        b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <2@x>\r\nReceived: old\r\n\r\n",
        "From: alice@example.test\r\nDate: x\r\nMessage-ID: <3@x>\r\n\r\nGrüße \u{7f}\u{1}\t\r\n"
            .as_bytes(),
        b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <4@x>\r\nX: y\r\n \r\n z\r\n\r\nx",
        b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <5@x>\r\nno header line\r\n\r\nx\r\n",
    ];
    for door in DOORS {
        let mut connection = open(&server, door);
        for mail in mails {
            assert_eq!(deliver(&mut connection, mail), 250, "{door:?}");
        }
    }
    let found = messages(&server, BOB);
    assert_eq!(found.len(), mails.len() * DOORS.len());
    for (message, mail) in found.iter().zip(mails.iter().cycle()) {
        let mut expected = mail.to_vec();
        if !expected.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        assert_eq!(without_trace(message), expected);
    }
    let with = [
        "ESMTP\r\n",
        "ESMTPS (TLS",
        "ESMTPA\r\n",
        "ESMTPSA (TLS",
        "LMTP\r\n",
    ];
    for (message, with) in found.iter().step_by(mails.len()).zip(with) {
        let text = String::from_utf8_lossy(message);
        assert!(
            text.contains(&format!("\tby mail.test with {with}"))
                || text.contains(&format!(" with {with}")),
            "{text}"
        );
        assert!(text.contains("\tfor <bob@example.test>;\r\n"), "{text}");
    }
}

const V: [&[u8]; 14] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n. \r\n",
    b"\r\n\x0b.\r\n",
];

/// A1: one message and one reply, whatever sequence tries to end it early, however it is cut.
#[test]
fn a1_smuggling() {
    let server = server();
    let mut stored = 0;
    for door in DOORS {
        let mut connection = open(&server, door);
        for v in V {
            let clean = matches!(v, b"\r\n. \r\n" | b"\r\n\x0b.\r\n");
            for cut in 0..=v.len() {
                for command in [format!("MAIL FROM:<{ALICE}>"), format!("RCPT TO:<{BOB}>")] {
                    connection.smtp(&command, 250).expect("envelope");
                }
                connection.smtp("DATA", 354).expect("DATA");
                let start = b"From: alice@example.test\r\n\r\nouter".to_vec();
                let inner =
                    format!("MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nINNER\r\n.\r\n");
                connection
                    .send(&[&start, &v[..cut]].concat())
                    .expect("first half");
                connection
                    .send(&[&v[cut..], inner.as_bytes()].concat())
                    .expect("second half");
                let (reply, _) = connection.reply().expect("verdict");
                assert_eq!(reply, if clean { 250 } else { 550 }, "{door:?} {v:?} {cut}");
                assert_eq!(
                    code(&mut connection, "NOOP"),
                    250,
                    "{door:?} {v:?} {cut}: replies out of step"
                );
                stored += usize::from(clean);
            }
        }
    }
    let found = messages(&server, BOB);
    assert_eq!(found.len(), stored);
    assert!(
        found
            .iter()
            .all(|message| message.windows(5).any(|window| window == b"outer"))
    );
}

/// A3 (b): the end of TLS in the middle of a chunk ends the connection; what follows in the clear is nobody's.
#[test]
fn a3_tls_ends_within_a_chunk() {
    let server = server();
    let mut connection = open(&server, Door::Reception { tls: true });
    connection
        .smtp(&format!("MAIL FROM:<{ALICE}>"), 250)
        .expect("MAIL");
    connection
        .smtp(&format!("RCPT TO:<{BOB}>"), 250)
        .expect("RCPT");
    connection
        .send(b"BDAT 100 LAST\r\nhalf")
        .expect("half a chunk");
    connection.close();
    assert!(messages(&server, BOB).is_empty());
}

/// A3: chunks over the wire, byte-identical, and a failed one leaves nothing behind.
#[test]
fn a3_chunks() {
    let server = server();
    for door in DOORS {
        let mut connection = open(&server, door);
        connection
            .smtp(&format!("MAIL FROM:<{ALICE}>"), 250)
            .expect("MAIL");
        connection
            .smtp(&format!("RCPT TO:<{BOB}>"), 250)
            .expect("RCPT");
        connection
            .send(b"BDAT 54\r\nFrom: alice@example.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n")
            .expect("header");
        assert_eq!(connection.reply().expect("chunk").0, 250);
        connection
            .send(b"BDAT 8 LAST\r\n\r\n\r\n.\r\nx")
            .expect("body");
        assert_eq!(connection.reply().expect("message").0, 250, "{door:?}");
        connection
            .smtp(&format!("MAIL FROM:<{ALICE}>"), 250)
            .expect("MAIL");
        connection
            .smtp(&format!("RCPT TO:<{BOB}>"), 250)
            .expect("RCPT");
        connection
            .send(b"BDAT 8 LAST\r\na\n.\r\nb\r\n")
            .expect("bare LF");
        assert_eq!(connection.reply().expect("refusal").0, 550, "{door:?}");
        assert_eq!(code(&mut connection, "DATA"), 503, "{door:?}");
    }
    let found = messages(&server, BOB);
    assert_eq!(found.len(), DOORS.len());
    for message in found {
        assert_eq!(
            without_trace(&message),
            b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n\r\n.\r\nx\r\n"
        );
    }
}

/// A5: who talks before the greeting is no mail server. The server is held while the client connects and talks, so that
/// the order is certain.
#[test]
fn a5_early_talk() {
    let server = server();
    let pid = server.pid().expect("runs").to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill")
            .args([name, &pid])
            .status()
            .expect("kill");
        assert!(sent.success());
    };
    for (port, expected) in [(server.ports().smtp, 554), (server.ports().submission, 220)] {
        signal("-STOP");
        wait_until_stopped(&pid);
        let mut connection = server.connect(port).expect("connect");
        connection.send(b"EHLO early\r\n").expect("send");
        signal("-CONT");
        assert_eq!(connection.reply().expect("first words").0, expected);
        if expected == 554 {
            assert_eq!(connection.read_line().ok().flatten(), None);
        }
    }
    // Message octets behind DATA, before 354.
    let mut connection = open(&server, Door::Reception { tls: false });
    let group = format!("MAIL FROM:<>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: early\r\n\r\n.\r\n");
    connection.send(group.as_bytes()).expect("send");
    for expected in [250, 250, 554] {
        assert_eq!(connection.reply().expect("reply").0, expected);
    }
    assert_eq!(connection.read_line().ok().flatten(), None);
    assert!(messages(&server, BOB).is_empty());
}

/// A signal is delivered some time after kill returns: waits until no thread runs.
fn wait_until_stopped(pid: &str) {
    let stopped = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server's threads");
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The name in parentheses may hold anything; the state follows it.
            stat.rsplit_once(") ")
                .is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !stopped() {
        assert!(
            std::time::Instant::now() < deadline,
            "the server did not stop"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A5, A9: HTTP at a mail port.
#[test]
fn a5_http() {
    let server = server();
    for port in [
        server.ports().smtp,
        server.ports().submission,
        server.ports().lmtp,
    ] {
        let mut connection = server.connect(port).expect("connect");
        connection.reply().expect("greeting");
        connection
            .send(b"POST /<script> HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<>\r\n")
            .expect("send");
        let (reply, lines) = connection.reply().expect("refusal");
        assert_eq!(reply, 554);
        assert!(!lines.concat().contains("script"));
        assert_eq!(connection.read_line().ok().flatten(), None);
    }
}

/// A6: commands behind STARTTLS in one segment: no handshake, no answers to them.
#[test]
fn a6_starttls_injection() {
    let server = server();
    for port in [server.ports().smtp, server.ports().submission] {
        let mut connection = server.connect(port).expect("connect");
        connection.reply().expect("greeting");
        connection.send(b"STARTTLS\r\nEHLO inj\r\n").expect("send");
        assert_eq!(connection.reply().expect("refusal").0, 554);
        assert_eq!(connection.read_line().ok().flatten(), None);
    }
}

/// A7: nothing said in the clear counts under TLS.
#[test]
fn a7_state_before_tls() {
    let server = server();
    let mut connection = server.connect(server.ports().submission).expect("connect");
    connection.reply().expect("greeting");
    connection.smtp("EHLO before", 250).expect("hello");
    assert_eq!(code(&mut connection, "STARTTLS"), 220);
    connection
        .start_tls(server.certificate())
        .expect("handshake");
    assert_eq!(code(&mut connection, &format!("MAIL FROM:<{ALICE}>")), 503);
    assert_eq!(code(&mut connection, "AUTH PLAIN"), 503);
    let offer = connection.smtp("EHLO after", 250).expect("hello");
    assert!(!offer.concat().contains("STARTTLS"));
    assert!(
        offer
            .iter()
            .any(|line| line.contains("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN")),
        "{offer:?}"
    );
    assert_eq!(code(&mut connection, "STARTTLS"), 503);
    assert_eq!(code(&mut connection, &format!("MAIL FROM:<{ALICE}>")), 530);
}

/// A7: where the configuration does not exempt loopback, no password is asked for in the clear.
#[test]
fn a7_no_login_in_the_clear() {
    let server = Server::builder()
        .setting("auth.cleartext_on_loopback", "false")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("account");
    let mut connection = server.connect(server.ports().submission).expect("connect");
    connection.reply().expect("greeting");
    let offer = connection.smtp("EHLO c", 250).expect("hello").concat();
    assert!(
        offer.contains("STARTTLS") && !offer.contains("AUTH"),
        "{offer}"
    );
    assert_eq!(code(&mut connection, "AUTH PLAIN"), 538);
    assert_eq!(code(&mut connection, "AUTH LOGIN"), 538);
    assert_eq!(code(&mut connection, &format!("MAIL FROM:<{ALICE}>")), 530);
}

/// A11: a line without end is refused and the connection closed long before it is all sent.
#[test]
fn a11_endless_line() {
    let server = server();
    for port in [
        server.ports().smtp,
        server.ports().submission,
        server.ports().lmtp,
    ] {
        let mut connection = server.connect(port).expect("connect");
        connection.reply().expect("greeting");
        connection.send(&[b'A'; 4_000]).expect("send");
        assert_eq!(connection.reply().expect("refusal").0, 500);
        let mut raw = TcpStream::connect(server.address(port)).expect("connect");
        raw.set_write_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        let piece = [b'A'; 64 * 1024];
        let sent = (0..1_024)
            .take_while(|_| raw.write_all(&piece).is_ok())
            .count();
        // 16 MiB are thrown away while the server lingers at the end; the kernel's buffers take some too.
        assert!(sent < 640, "{sent} pieces of 64 KiB were taken");
    }
}

/// A27: NUL in a command, a header, and in xtext.
#[test]
fn a27_controls() {
    let server = server();
    let mut connection = open(&server, Door::Submission { tls: false });
    assert_eq!(code(&mut connection, "MAIL FROM:<a\0@b>"), 500);
    assert_eq!(
        code(&mut connection, &format!("MAIL FROM:<{ALICE}> AUTH=a+00b")),
        501
    );
    assert_eq!(
        code(
            &mut connection,
            &format!("MAIL FROM:<{ALICE}> AUTH=a+0D+0Ab")
        ),
        501
    );
    assert_eq!(
        code(
            &mut connection,
            "MAIL FROM:<alice@example\u{2028}.test> SMTPUTF8"
        ),
        501
    );
    assert_eq!(
        deliver(
            &mut connection,
            b"From: alice@example.test\r\nSubject: a\0b\r\n\r\n"
        ),
        550
    );
    assert_eq!(
        deliver(&mut connection, b"From: alice@example.test\r\n\r\na\0b\r\n"),
        550
    );
    assert!(messages(&server, BOB).is_empty());
}

/// A30: mail in another's name, in the envelope and in the header.
#[test]
fn a30_spoofing() {
    let server = server();
    server
        .add_alias("sales@example.test", &[ALICE.to_owned()])
        .expect("alias");
    let mut connection = open(&server, Door::Submission { tls: true });
    for from in [BOB, "nobody@example.test", "alice@elsewhere.example"] {
        assert_eq!(
            code(&mut connection, &format!("MAIL FROM:<{from}>")),
            550,
            "{from}"
        );
    }
    for from in [
        "sales@example.test",
        "alice+list@example.test",
        "Alice@Example.TEST",
        "",
    ] {
        assert_eq!(
            code(&mut connection, &format!("MAIL FROM:<{from}>")),
            250,
            "{from}"
        );
        assert_eq!(code(&mut connection, "RSET"), 250);
    }
    let table: [(&str, u16); 12] = [
        ("From: bob@example.test", 550),
        ("From: <attacker@x.example>:<bob@example.test>;", 550),
        ("From: \"alice@example.test\" <bob@example.test>", 550),
        ("From: alice@example.test, bob@example.test", 550),
        ("From: alice@example.test\r\nFrom: bob@example.test", 550),
        ("From : alice@example.test", 550),
        ("From: alice@example.test\r\nSender: bob@example.test", 550),
        ("From: Friends: alice@example.test;", 550),
        ("Subject: no author", 550),
        ("From: \"bob@example.test\" <alice@example.test>", 250),
        (
            "From: sales@example.test\r\nSender: alice+x@example.test",
            250,
        ),
        ("From: =?utf-8?q?Alice?= (me) <alice@example.test>", 250),
    ];
    for (header, expected) in table {
        let message = format!("{header}\r\nTo: {BOB}\r\n\r\nx\r\n");
        assert_eq!(
            deliver(&mut connection, message.as_bytes()),
            expected,
            "{header}"
        );
    }
}

/// A39: no form of address relays, through no door.
#[test]
fn a39_open_relay() {
    let server = server();
    let local = [
        ("<@evil.example,@other.example:bob@example.test>", 250),
        ("<\"bob\"@example.test>", 250),
        ("<bob+tag@EXAMPLE.TEST>", 250),
        ("<postmaster@example.test>", 250),
        ("<postmaster>", 250),
    ];
    // Of a user of ours these are taken: he may write to whom he likes.
    let elsewhere = [
        "<u@evil.example>",
        "<@example.test:u@evil.example>",
        "<@a.example,@b.example:u@evil.example>",
        "<u@[127.0.0.1]>",
        "<u@[IPv6:::1]>",
        "<u@LOCALHOST>",
        "<postmaster@evil.example>",
        "<bob@example.test.evil.example>",
        "<bob@sub.example.test>",
        "<bob@xexample.test>",
    ];
    let refused = [
        "<u%evil.example@example.test>",
        "<u@evil.example@example.test>",
        "<\"u@evil.example\">",
        "<\"u@evil.example\"@example.test>",
        "<evil.example!u@example.test>",
        "<u@evil.example.>",
        "<=?utf-8?q?u=40evil.example=3e=00?=@example.test>",
        "<bob>",
        "<u@evil.example,bob@example.test>",
        "<bob@example.test> <u@evil.example>",
        "u@evil.example",
        "<@evil.example>",
        "<>",
    ];
    for door in DOORS {
        for from in ["", ALICE] {
            let mut connection = open(&server, door);
            let mut envelope = |to: &str| {
                connection
                    .smtp(&format!("MAIL FROM:<{from}>"), 250)
                    .expect("MAIL");
                let answer = code(&mut connection, &format!("RCPT TO:{to}"));
                connection.smtp("RSET", 250).expect("RSET");
                answer
            };
            for (to, expected) in local {
                assert_eq!(envelope(to), expected, "{door:?} {to}");
            }
            for to in refused {
                let answer = envelope(to);
                assert!((500..600).contains(&answer), "{door:?} {to}: {answer}");
            }
            let user = matches!(door, Door::Submission { .. });
            for to in elsewhere {
                let answer = envelope(to);
                let expected = if user { 250 } else { 550 };
                assert_eq!(answer, expected, "{door:?} {to}");
            }
        }
    }
}

/// A41: aliases in a circle reach nobody, or whoever stands beside the circle, once.
#[test]
fn a41_alias_loops() {
    let server = server();
    let alias = |name: &str, targets: &[&str]| {
        let targets: Vec<String> = targets
            .iter()
            .map(|target| format!("{target}@example.test"))
            .collect();
        server
            .add_alias(&format!("{name}@example.test"), &targets)
            .expect("alias");
    };
    alias("a", &["b"]);
    alias("b", &["a"]);
    alias("c", &["d", "bob"]);
    alias("d", &["c", "bob+x"]);
    let mut connection = open(&server, Door::Reception { tls: false });
    connection.smtp("MAIL FROM:<>", 250).expect("MAIL");
    assert_eq!(code(&mut connection, "RCPT TO:<a@example.test>"), 550);
    connection
        .smtp("RCPT TO:<c@example.test>", 250)
        .expect("RCPT");
    connection
        .smtp("RCPT TO:<d@example.test>", 250)
        .expect("RCPT");
    connection.smtp("DATA", 354).expect("DATA");
    connection
        .smtp("Subject: once\r\n\r\n.", 250)
        .expect("message");
    assert_eq!(messages(&server, BOB).len(), 1);
}

/// A41, A14: what loops or bombs is refused at the end of its data, through every door.
#[test]
fn a41_received_loop_and_a14_header_bombs() {
    let server = server();
    let author = b"From: alice@example.test\r\n".to_vec();
    for door in DOORS {
        let mut connection = open(&server, door);
        let message = |fields: &[u8], count: usize| {
            [author.clone(), fields.repeat(count), b"\r\n".to_vec()].concat()
        };
        assert_eq!(
            deliver(&mut connection, &message(b"Received: by x\r\n", 101)),
            554,
            "{door:?}"
        );
        assert_eq!(
            deliver(&mut connection, &message(b"To: a@b.example\r\n", 1_000)),
            554,
            "{door:?}"
        );
        assert_eq!(
            deliver(&mut connection, &message(b"To: a@b.example\r\n", 50_000)),
            552,
            "{door:?}"
        );
        assert_eq!(
            deliver(&mut connection, &message(b"X: y\r\n", 900)),
            250,
            "{door:?}"
        );
    }
    assert_eq!(messages(&server, BOB).len(), DOORS.len());
}

/// A43: somebody who tries names is sent away; somebody who knows some is not.
#[test]
fn a43_harvesting() {
    let server = server();
    let mut connection = open(&server, Door::Reception { tls: false });
    connection.smtp("MAIL FROM:<>", 250).expect("MAIL");
    for number in 0..10 {
        assert_eq!(
            code(
                &mut connection,
                &format!("RCPT TO:<u{number}@example.test>")
            ),
            550
        );
    }
    assert_eq!(code(&mut connection, "RCPT TO:<u10@example.test>"), 421);
    assert_eq!(connection.read_line().ok().flatten(), None);
}

#[test]
fn over_quota_is_a_matter_of_one_recipient() {
    let server = server();
    server.set_quota(BOB, 2_000).expect("quota");
    // Known to be too large at RCPT.
    let mut connection = open(&server, Door::Reception { tls: false });
    connection
        .smtp("MAIL FROM:<> SIZE=3000", 250)
        .expect("MAIL");
    assert_eq!(code(&mut connection, &format!("RCPT TO:<{BOB}>")), 452);
    assert_eq!(code(&mut connection, &format!("RCPT TO:<{ALICE}>")), 250);
    connection.smtp("RSET", 250).expect("RSET");
    // Known only at the end: nobody gets it, because one reply is for all.
    let large = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(1_000));
    connection.smtp("MAIL FROM:<>", 250).expect("MAIL");
    connection
        .smtp(&format!("RCPT TO:<{BOB}>"), 250)
        .expect("RCPT");
    connection
        .smtp(&format!("RCPT TO:<{ALICE}>"), 250)
        .expect("RCPT");
    connection.smtp("DATA", 354).expect("DATA");
    connection.send(large.as_bytes()).expect("send");
    assert_eq!(code(&mut connection, "."), 452);
    assert!(messages(&server, ALICE).is_empty() && messages(&server, BOB).is_empty());
    // LMTP has a reply for each.
    let mut lmtp = open(&server, Door::Lmtp);
    lmtp.smtp("MAIL FROM:<>", 250).expect("MAIL");
    for to in [BOB, ALICE, "alice+again@example.test"] {
        lmtp.smtp(&format!("RCPT TO:<{to}>"), 250).expect("RCPT");
    }
    lmtp.smtp("DATA", 354).expect("DATA");
    lmtp.send(large.as_bytes()).expect("send");
    assert_eq!(code(&mut lmtp, "."), 452);
    assert_eq!(lmtp.reply().expect("second").0, 250);
    assert_eq!(lmtp.reply().expect("third").0, 250);
    assert_eq!(messages(&server, ALICE).len(), 1);
    // Full is full, at RCPT.
    server.set_quota(ALICE, 1_000).expect("quota");
    lmtp.smtp("MAIL FROM:<>", 250).expect("MAIL");
    assert_eq!(code(&mut lmtp, &format!("RCPT TO:<{ALICE}>")), 452);
}

#[test]
fn submission_completes_what_is_missing() {
    let server = server();
    let mut connection = open(&server, Door::Submission { tls: true });
    assert_eq!(
        deliver(&mut connection, b"From: alice@example.test\r\n\r\nx\r\n"),
        250
    );
    assert_eq!(
        deliver(
            &mut connection,
            b"From: alice@example.test\r\nDate: d\r\nMessage-Id: <m@x>\r\n\r\nx\r\n"
        ),
        250
    );
    let found = messages(&server, BOB);
    let text: Vec<String> = found
        .iter()
        .map(|message| String::from_utf8_lossy(message).into_owned())
        .collect();
    assert!(
        text[0].contains("\r\nDate: ") && text[0].contains("\r\nMessage-ID: <"),
        "{}",
        text[0]
    );
    assert!(
        text[0].contains("@example.test>\r\nFrom: alice"),
        "{}",
        text[0]
    );
    assert_eq!(
        text[1].matches("Date: ").count() + text[1].to_lowercase().matches("message-id: ").count(),
        2
    );
}

/// A catch-all, an alias to several, and a domain whose postmaster is nobody in particular.
#[test]
fn whom_addresses_reach() {
    let server = server();
    server.add_domain("second.test").expect("domain");
    server
        .add_alias("both@example.test", &[ALICE.to_owned(), BOB.to_owned()])
        .expect("alias");
    let mut connection = open(&server, Door::Reception { tls: false });
    let mut to = |address: &str, expected| {
        connection
            .smtp("MAIL FROM:<x@y.example>", 250)
            .expect("MAIL");
        assert_eq!(
            code(&mut connection, &format!("RCPT TO:<{address}>")),
            expected,
            "{address}"
        );
        if expected == 250 {
            connection.smtp("DATA", 354).expect("DATA");
            connection
                .smtp(&format!("Subject: {address}\r\n\r\n."), 250)
                .expect("message");
        } else {
            connection.smtp("RSET", 250).expect("RSET");
        }
    };
    to("both+x@example.test", 250);
    to("anything@second.test", 550);
    to("postmaster@second.test", 250);
    server
        .add_alias("@second.test", &[BOB.to_owned()])
        .expect("catch-all");
    to("anything@second.test", 250);
    to("PostMaster@second.test", 250);
    server
        .add_alias("away@example.test", &["u@elsewhere.example".to_owned()])
        .expect("alias");
    // An alias may lead elsewhere, for anybody's mail.
    to("away@example.test", 250);
    // The oldest account of all is alice's: the second domain has none.
    assert_eq!(messages(&server, ALICE).len(), 2);
    assert_eq!(messages(&server, BOB).len(), 3);
}

/// Runs a script with Python.
fn python(script: &str, arguments: &[String]) -> io::Result<Output> {
    let mut child = Command::new("python3")
        .arg("-")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(script.as_bytes()))
        .transpose()?;
    child.wait_with_output()
}

#[test]
fn python_smtplib() {
    let server = server();
    let ports = server.ports();
    let arguments =
        [ports.smtp, ports.submission, ports.submissions, ports.lmtp].map(|port| port.to_string());
    let output = match python(
        include_str!("smtplib_client.py"),
        &[&arguments[..], &[PASSWORD.to_owned()]].concat(),
    ) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return eprintln!("skipped, because there is no python3");
        }
        Err(error) => panic!("{error}"),
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let subjects: Vec<String> = messages(&server, BOB)
        .iter()
        .filter_map(|message| {
            let text = String::from_utf8_lossy(message).into_owned();
            text.lines()
                .find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned))
        })
        .collect();
    assert_eq!(
        subjects,
        [
            "reception",
            "options",
            "starttls",
            "tls",
            "clear",
            "lmtp",
            "large",
            "Größe"
        ]
    );
}

/// Our own client, through every door.
#[test]
fn waxwing_send() {
    let server = server();
    let ports = server.ports();
    let message = "From: alice@example.test\nTo: bob@example.test\nBcc: alice@example.test\nSubject: s\n\n.x\n";
    let send = |arguments: &[&str], password: &str| {
        let mut child = Command::new(testkit::server::binary())
            .arg("send")
            .args(arguments)
            .env("WAXWING_PASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("spawn");
        child
            .stdin
            .take()
            .expect("stdin")
            .write_all(message.as_bytes())
            .expect("message");
        let output = child.wait_with_output().expect("end");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let at = |port: u16| format!("127.0.0.1:{port}");
    let (smtp, submission, tls, lmtp) = (
        at(ports.smtp),
        at(ports.submission),
        at(ports.submissions),
        at(ports.lmtp),
    );
    let good: [&[&str]; 5] = [
        &["-s", &smtp, "--insecure"],
        &["-s", &submission, "--insecure", "-u", ALICE],
        &[
            "-s",
            &submission,
            "--insecure",
            "-u",
            ALICE,
            "--mechanism",
            "login",
            "--tls",
            "none",
        ],
        &[
            "-s",
            &tls,
            "--insecure",
            "-u",
            ALICE,
            "--tls",
            "implicit",
            "--mechanism",
            "SCRAM-SHA-256",
        ],
        &["-s", &lmtp, "--lmtp", "--tls", "none"],
    ];
    for arguments in good {
        let (success, said) = send(arguments, PASSWORD);
        assert!(success, "{arguments:?}: {said}");
        assert!(
            said.contains("bob@example.test: 250 2.6.0 ")
                && said.contains("alice@example.test: 250"),
            "{said}"
        );
    }
    let bad: [(&[&str], &str, &str); 4] = [
        (
            &["-s", &submission, "--insecure", "-u", ALICE],
            "wrong",
            "535",
        ),
        (
            &[
                "-s",
                &submission,
                "-u",
                ALICE,
                "--tls",
                "starttls",
                "--ca",
                "/nonexistent",
            ],
            PASSWORD,
            "nonexistent",
        ),
        (
            &["-s", &smtp, "--insecure", "-t", "nobody@example.test"],
            PASSWORD,
            "550 5.1.1",
        ),
        (&["-s", &submission, "--insecure"], PASSWORD, "530"),
    ];
    for (arguments, password, expected) in bad {
        let (success, said) = send(arguments, password);
        assert!(!success && said.contains(expected), "{arguments:?}: {said}");
    }
    let found = messages(&server, BOB);
    assert_eq!(found.len(), good.len());
    assert!(
        found
            .iter()
            .all(|message| message.ends_with(b"Subject: s\r\n\r\n.x\r\n"))
    );
    assert!(!String::from_utf8_lossy(&found.concat()).contains("Bcc"));
}
