//! What SMTP extensions come to, end to end.

use std::time::{Duration, Instant};

use testkit::Server;

/// RFC 5890: U-labels and A-labels of a domain are one name, wherever it is said.
#[test]
fn domains_in_u_labels_and_a_labels_are_one() {
    let server = Server::start().expect("start");
    server.add_domain("bücher.example").expect("domain");
    server
        .add_account("bob@xn--bcher-kva.example")
        .expect("account");
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp("MAIL FROM:<a@remote.example> SMTPUTF8", 250)
        .expect("MAIL");
    for same in [
        "bob@bücher.example",
        "BOB@BÜCHER.example",
        "bob@XN--bcher-kva.example",
    ] {
        smtp.smtp(&format!("RCPT TO:<{same}>"), 250).expect(same);
    }
    smtp.smtp("RCPT TO:<bob@bucher.example>", 550)
        .expect("another domain");
    smtp.smtp("DATA", 354).expect("DATA");
    smtp.send(b"Subject: x\r\n\r\nx\r\n").expect("text");
    smtp.smtp(".", 250).expect("end");
    for login in ["bob@bücher.example", "bob@xn--bcher-kva.example"] {
        let mut pop3 = server.connect(server.ports().pop3).expect("connect");
        pop3.answer().expect("greeting");
        pop3.line(&format!("USER {login}")).expect("USER");
        assert!(pop3.answer().expect("answer").starts_with("+OK"));
        pop3.line("PASS open-sesame").expect("PASS");
        assert!(pop3.answer().expect("answer").starts_with("+OK"), "{login}");
        pop3.line("STAT").expect("STAT");
        assert!(
            pop3.answer().expect("answer").starts_with("+OK 1 "),
            "one copy"
        );
        pop3.line("QUIT").expect("QUIT");
        pop3.answer().expect("bye");
    }
}

fn stranger(server: &Server) -> testkit::Connection {
    let mut connection = server.connect(server.ports().smtp).expect("connect");
    connection
        .send(b"PROXY TCP4 198.51.100.7 192.0.2.1 9999 25\r\n")
        .expect("header");
    connection
}

/// Strangers wait for the greeting; who talks before it is turned away (RFC 5321 §4.3.1).
#[test]
fn a5_strangers_wait_for_the_greeting() {
    let server = Server::builder()
        .setting("proxy.from", "[\"127.0.0.1\"]")
        .setting("proxy.services", "[\"smtp\"]")
        .setting("smtp.greeting_delay_ms", "400")
        .start()
        .expect("start");
    let began = Instant::now();
    let mut patient = stranger(&server);
    assert_eq!(patient.reply().expect("greeting").0, 220);
    assert!(began.elapsed() >= Duration::from_millis(350));
    patient.smtp("EHLO client.example", 250).expect("EHLO");

    let began = Instant::now();
    let mut hasty = stranger(&server);
    hasty.line("EHLO client.example").expect("EHLO");
    assert_eq!(hasty.reply().expect("refusal").0, 554);
    assert!(
        began.elapsed() < Duration::from_millis(350),
        "nobody waits for who talks"
    );
}

/// A client in the middle of its message is told when the server ends, and the server ends all the same.
#[test]
fn a_message_under_way_at_the_end_is_answered() {
    let mut server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp("MAIL FROM:<a@remote.example>", 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<alice@example.test>", 250)
        .expect("RCPT");
    smtp.smtp("DATA", 354).expect("DATA");
    smtp.send(b"Subject: never ends\r\n").expect("text");
    let told = std::thread::spawn(move || smtp.reply());
    assert!(server.stop().expect("stop"));
    let (code, lines) = told.join().expect("join").expect("a reply");
    assert_eq!(code, 421, "{lines:?}");
}

/// RFC 7505: a stranger's sender must be able to take an answer.
#[test]
fn senders_that_no_answer_reaches() {
    let server = Server::builder()
        .setting("proxy.from", "[\"127.0.0.1\"]")
        .setting("proxy.services", "[\"smtp\"]")
        .setting("smtp.greeting_delay_ms", "0")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.dns().mx("good.example", &[(10, "mx.good.example")]);
    server.dns().host("plain.example", &["198.51.100.9"]);
    server.dns().mx("nomail.example", &[(0, ".")]);
    server
        .dns()
        .fail("broken.example", Some(testkit::dns::Failure::ServFail));
    let mut smtp = stranger(&server);
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    for (from, code, enhanced) in [
        ("", 250, "2.1.0"),
        ("a@good.example", 250, "2.1.0"),
        ("a@plain.example", 250, "2.1.0"),
        ("a@[198.51.100.7]", 250, "2.1.0"),
        ("a@example.test", 250, "2.1.0"),
        ("a@broken.example", 250, "2.1.0"),
        ("a@nomail.example", 550, "5.7.27"),
        ("a@nothing.example", 550, "5.1.8"),
    ] {
        let said = smtp.smtp(&format!("MAIL FROM:<{from}>"), code).expect(from);
        assert!(
            said.iter().any(|line| line.contains(enhanced)),
            "{from}: {said:?}"
        );
        smtp.smtp("RSET", 250).expect("RSET");
    }
}

/// RFC 7504 §4: a user learns while he writes that a domain takes no mail.
#[test]
fn recipients_whose_domain_takes_no_mail() {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    server.dns().mx("nomail.example", &[(0, ".")]);
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp(
        "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABvcGVuLXNlc2FtZQ==",
        235,
    )
    .expect("login");
    smtp.smtp("MAIL FROM:<alice@example.test>", 250)
        .expect("MAIL");
    let said = smtp
        .smtp("RCPT TO:<bob@nomail.example>", 556)
        .expect("RCPT");
    assert!(said.iter().any(|line| line.contains("5.1.10")), "{said:?}");
}

/// A silent DNS costs a client a moment, not one for each recipient.
#[test]
fn a_silent_dns_is_waited_for_once() {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp(
        "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABvcGVuLXNlc2FtZQ==",
        235,
    )
    .expect("login");
    smtp.smtp("MAIL FROM:<alice@example.test>", 250)
        .expect("MAIL");
    let began = Instant::now();
    for number in 0..5 {
        let domain = format!("silent{number}.example");
        let silence = testkit::dns::Failure::Silence;
        server.dns().fail(&domain, Some(silence));
        smtp.smtp(&format!("RCPT TO:<bob@{domain}>"), 250)
            .expect("RCPT");
    }
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(8), "{waited:?}");
}

/// RFC 4865 §4.2: what is held back reaches nobody before its time, also nobody here; RFC 3461: then its sender is told.
#[test]
fn held_messages_wait_for_those_here_too() {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    server.add_account("bob@example.test").expect("account");
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp(
        "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABvcGVuLXNlc2FtZQ==",
        235,
    )
    .expect("login");
    for (hold, subject) in [("HOLDFOR=2", "soon"), ("HOLDFOR=86400", "tomorrow")] {
        smtp.smtp(
            &format!("MAIL FROM:<alice@example.test> {hold} ENVID=later"),
            250,
        )
        .expect("MAIL");
        smtp.smtp("RCPT TO:<bob@example.test> NOTIFY=SUCCESS", 250)
            .expect("RCPT");
        smtp.smtp("DATA", 354).expect("DATA");
        let text = format!("From: alice@example.test\r\nSubject: {subject}\r\n\r\nx\r\n");
        smtp.send(text.as_bytes()).expect("text");
        smtp.smtp(".", 250).expect("end");
    }
    let count = |user: &str| {
        let mut imap = server.connect(server.ports().imap).expect("connect");
        imap.answer().expect("greeting");
        imap.imap(&format!("LOGIN {user}@example.test open-sesame"))
            .expect("LOGIN");
        let status = imap.imap("STATUS INBOX (MESSAGES)").expect("STATUS");
        let line = status
            .iter()
            .find(|line| line.contains("MESSAGES"))
            .cloned();
        line.and_then(|line| {
            let number = line.rsplit_once("MESSAGES ")?.1;
            number.trim_end_matches(')').parse::<u32>().ok()
        })
        .expect("a number")
    };
    assert_eq!(count("bob"), 0, "it waits");
    let until = Instant::now() + Duration::from_secs(20);
    while (count("bob"), count("alice")) != (1, 1) {
        assert!(
            Instant::now() < until,
            "it arrives, and its sender is told: {}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let queue = server.cli(&["queue", "list", "--json"]).expect("queue");
    assert_eq!(queue.matches("bob@example.test").count(), 1, "{queue}");
    // RFC 4865 §1: sending later can be taken back.
    let all = server.cli(&["queue", "remove", "--sender", "alice@example.test"]);
    all.expect("remove");
    let queue = server.cli(&["queue", "list", "--json"]).expect("queue");
    assert!(!queue.contains("bob@example.test"), "{queue}");
}

/// Mail to colleagues goes to no other server, also where it waits in the queue for its time.
#[test]
fn held_messages_to_those_here_count_for_no_daily_limit() {
    let server = Server::builder()
        .setting("limits.messages_per_day", "1")
        .setting("limits.strangers_per_day", "1")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    for user in ["alice", "bob", "carol"] {
        let address = format!("{user}@example.test");
        server.add_account(&address).expect("account");
    }
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp(
        "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABvcGVuLXNlc2FtZQ==",
        235,
    )
    .expect("login");
    for subject in ["one", "two"] {
        smtp.smtp("MAIL FROM:<alice@example.test> HOLDFOR=86400", 250)
            .expect("MAIL");
        for user in ["bob", "carol"] {
            smtp.smtp(&format!("RCPT TO:<{user}@example.test>"), 250)
                .expect("RCPT");
        }
        smtp.smtp("DATA", 354).expect("DATA");
        let text = format!("From: alice@example.test\r\nSubject: {subject}\r\n\r\nx\r\n");
        smtp.send(text.as_bytes()).expect("text");
        smtp.smtp(".", 250).expect("end");
    }
    // The one message that the limit allows is still free.
    smtp.smtp("MAIL FROM:<alice@example.test>", 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<dave@[127.0.0.1]>", 250).expect("RCPT");
}

/// RFC 3030 §3: the octets of a binary part are the same for who reads them.
#[test]
fn binary_octets_come_through() {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let part: Vec<u8> = (0..=255_u8)
        .chain(*b"\r\n.\r\n\n\r\0")
        .cycle()
        .take(3_000)
        .collect();
    let mut message = b"From: a@remote.example\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n"
        .to_vec();
    message.extend_from_slice(&part);
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp("MAIL FROM:<a@remote.example> BODY=BINARYMIME", 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<alice@example.test>", 250)
        .expect("RCPT");
    let (first, second) = message.split_at(1_000);
    for (chunk, last) in [(first, ""), (second, " LAST")] {
        smtp.line(&format!("BDAT {}{last}", chunk.len()))
            .expect("BDAT");
        smtp.send(chunk).expect("octets");
        assert_eq!(smtp.reply().expect("reply").0, 250);
    }
    let mut imap = server.connect(server.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    imap.imap("LOGIN alice@example.test open-sesame")
        .expect("LOGIN");
    imap.imap("SELECT INBOX").expect("SELECT");
    imap.line("a FETCH 1 BINARY[1]").expect("FETCH");
    let line = imap.answer().expect("FETCH");
    assert!(line.ends_with(&format!("{{{}}}", part.len())), "{line}");
    assert_eq!(imap.read_octets(part.len()).expect("octets"), part);
}
