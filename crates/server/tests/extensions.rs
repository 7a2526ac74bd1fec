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
