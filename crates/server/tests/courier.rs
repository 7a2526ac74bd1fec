//! Mail from a user to the world and what comes of it: the whole road, with a name server and mail servers of the test.

use testkit::dns::Failure;
use testkit::server::Builder;
use testkit::sink::{self, Sink};
use testkit::tls::Identity;
use testkit::{PASSWORD, Server};

/// A server with the user `ann@here.test`, whose mail to `there.test` goes to `sink`.
fn server(sink: &sink::Server, more: impl FnOnce(Builder) -> Builder) -> Server {
    let builder = Builder::default()
        .setting("courier.port", &sink.port().to_string())
        .setting("queue.retry", "\"1s\"");
    let server = more(builder).start().expect("a server");
    server.add_domain("here.test").expect("a domain");
    server.add_account("ann@here.test").expect("an account");
    server.dns().mx("there.test", &[(10, "mx.there.test")]);
    server.dns().host("mx.there.test", &["127.0.0.1"]);
    server
}

/// Ann writes to these.
fn submit(server: &Server, to: &[&str], body: &str) {
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.test", 250).expect("EHLO");
    let login = format!("\0ann@here.test\0{PASSWORD}");
    smtp.smtp(
        &format!("AUTH PLAIN {}", wire::base64::encode(login.as_bytes())),
        235,
    )
    .expect("AUTH");
    smtp.smtp("MAIL FROM:<ann@here.test>", 250).expect("MAIL");
    for address in to {
        smtp.smtp(&format!("RCPT TO:<{address}>"), 250)
            .expect("RCPT");
    }
    smtp.smtp("DATA", 354).expect("DATA");
    let message =
        format!("From: ann@here.test\r\nTo: bob@there.test\r\nSubject: hello\r\n\r\n{body}");
    smtp.send(&testkit::server::dot_stuffed(message.as_bytes()))
        .expect("message");
    smtp.smtp(".", 250).expect("the end");
    smtp.smtp("QUIT", 221).expect("QUIT");
}

#[test]
fn mail_leaves_over_mx_and_tls() {
    let identity = Identity::named(&["mx.there.test"]).expect("a certificate");
    let sink = Sink::new().tls(&identity).start().expect("a sink");
    let server = server(&sink, |builder| builder);
    submit(
        &server,
        &["bob@there.test", "carol@there.test"],
        ".dotted\r\n",
    );
    let message = sink.wait_messages(1).remove(0);
    assert!(message.tls);
    assert_eq!(message.recipients.len(), 2);
    let text = String::from_utf8_lossy(&message.content);
    assert!(text.ends_with("\r\n\r\n.dotted\r\n"), "{text}");
}

#[test]
fn mail_leaves_through_a_smarthost() {
    let sink = Sink::new().start().expect("a sink");
    let route = format!(
        "[{{ domain = \"*\", host = \"127.0.0.1\", port = {}, tls = \"none\" }}]",
        sink.port()
    );
    let server = server(&sink, |builder| builder.setting("route", &route));
    submit(&server, &["bob@unknown.test"], "x\r\n");
    let message = sink.wait_messages(1).remove(0);
    assert_eq!(message.recipients, ["RCPT TO:<bob@unknown.test>"]);
}

/// F10: the name server is gone and comes back; so does the mail, and nothing was returned meanwhile.
#[test]
fn f10_mail_waits_for_the_dns() {
    let sink = Sink::new().start().expect("a sink");
    let server = server(&sink, |builder| builder);
    server.dns().fail_all(Some(Failure::ServFail));
    submit(&server, &["bob@there.test"], "x\r\n");
    server.dns().fail_all(None);
    assert_eq!(sink.wait_messages(1).len(), 1);
}
