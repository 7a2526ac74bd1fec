//! BURL (RFC 4468): messages submitted out of mailboxes, and who may not.

use testkit::{Connection, Server};

const HOST: &str = "mail.waxwing.test";

fn start() -> Server {
    let server = Server::builder()
        .setting("limits.message_mib", "1")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    for user in ["alice", "bob"] {
        server
            .add_account(&format!("{user}@example.test"))
            .expect("account");
    }
    server
}

fn imap(server: &Server, user: &str) -> Connection {
    let mut imap = server.connect(server.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    imap.imap(&format!("LOGIN {user}@example.test open-sesame"))
        .expect("login");
    imap
}

fn submission(server: &Server, user: &str) -> Connection {
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp("AUTH LOGIN", 334).expect("AUTH");
    let user = match user {
        "alice" => "YWxpY2VAZXhhbXBsZS50ZXN0",
        _ => "Ym9iQGV4YW1wbGUudGVzdA==",
    };
    smtp.smtp(user, 334).expect("user");
    smtp.smtp("b3Blbi1zZXNhbWU=", 235).expect("password");
    smtp
}

/// Opens a transaction from a user to Bob, asks for a URL and returns the reply.
fn burl(smtp: &mut Connection, user: &str, body: &str, command: &str) -> String {
    smtp.smtp(&format!("MAIL FROM:<{user}@example.test>{body}"), 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<bob@example.test>", 250).expect("RCPT");
    smtp.line(command).expect("BURL");
    let (_, lines) = smtp.reply().expect("reply");
    lines.last().cloned().unwrap_or_default()
}

/// A URL of a message of Alice's, authorized.
fn authorized(imap: &mut Connection, path: &str, access: &str) -> String {
    let rump = format!("imap://alice%40example.test@{HOST}/{path};urlauth={access}");
    let lines = imap
        .imap(&format!("GENURLAUTH \"{rump}\" INTERNAL"))
        .expect("GENURLAUTH");
    lines[0].split('"').nth(1).expect("a URL").to_owned()
}

/// The message with this number in Bob's INBOX.
fn received(server: &Server, number: u32) -> String {
    let mut imap = imap(server, "bob");
    imap.imap("SELECT INBOX").expect("SELECT");
    imap.line(&format!("f FETCH {number} BODY.PEEK[]"))
        .expect("FETCH");
    let lines = imap
        .answers_until(|line| line.starts_with("f "))
        .expect("answer");
    assert!(lines.last().expect("end").starts_with("f OK"), "{lines:?}");
    lines.join("\n")
}

const ORIGINAL: &[u8] = b"From: carol@remote.example\r\nSubject: original\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nthe text\r\n--o\r\n\
    Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--o--\r\n";

/// RFC 4468 §1, RFC 4469: a message is forwarded with its attachment and never leaves the server.
#[test]
fn forwarding_without_download() {
    let server = start();
    server
        .append("alice@example.test", "INBOX", ORIGINAL)
        .expect("append");
    let mut alice = imap(&server, "alice");
    let head = "From: alice@example.test\r\nTo: bob@example.test\r\nSubject: Fwd: original\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n\r\nsee below\r\n\
        --f\r\nContent-Type: message/rfc822\r\n\r\n";
    let tail = "\r\n--f--\r\n";
    let append = format!(
        "t APPEND Drafts CATENATE (TEXT {{{}+}}\r\n{head} URL \"/INBOX/;UID=1\" TEXT {{{}+}}\r\n{tail})\r\n",
        head.len(),
        tail.len()
    );
    alice.send(append.as_bytes()).expect("APPEND");
    let told = alice
        .answers_until(|line| line.starts_with("t "))
        .expect("answer");
    assert!(told.last().expect("end").starts_with("t OK"), "{told:?}");
    let url = authorized(&mut alice, "Drafts/;uid=1", "submit+alice%40example.test");
    let mut smtp = submission(&server, "alice");
    let told = burl(&mut smtp, "alice", "", &format!("BURL {url} LAST"));
    assert!(told.starts_with("250 2.6.0"), "{told}");
    let message = received(&server, 1);
    for text in [
        "Subject: Fwd: original",
        "see below",
        "From: carol@remote.example",
        "iVBORw==",
    ] {
        assert!(message.contains(text), "{text}: {message}");
    }
    // In pieces, with nothing kept in Drafts; pipelined as one group (RFC 4468 §3.2).
    let whole = authorized(&mut alice, "INBOX/;uid=1", "submit+alice%40example.test");
    let group = format!(
        "MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nBDAT {}\r\n{head}BURL {whole}\r\nBDAT {} LAST\r\n{tail}",
        head.len(),
        tail.len()
    );
    smtp.send(group.as_bytes()).expect("group");
    for code in [
        "250 2.1.0",
        "250 2.1.5",
        "250 2.6.0",
        "250 2.5.0",
        "250 2.6.0",
    ] {
        let (_, lines) = smtp.reply().expect("reply");
        assert!(lines[0].starts_with(code), "{lines:?}, not {code}");
    }
    let message = received(&server, 2);
    assert!(message.contains("iVBORw==\n--o--\n\n--f--"), "{message}");
    // What was fetched is not seen because of it.
    let lines = alice.imap("STATUS INBOX (UNSEEN)").expect("STATUS");
    assert!(lines[0].ends_with("(UNSEEN 1)"), "{lines:?}");
    server.check().expect("check");
}

/// A46: a URL is good for whom it names, on the door it names, until its time is over, its key changed, or the right,
/// the mailbox or its owner gone.
#[test]
fn a46_urls_of_submission() {
    let server = start();
    let message = b"From: alice@example.test\r\nSubject: x\r\n\r\nx\r\n";
    server
        .append("alice@example.test", "INBOX", message)
        .expect("append");
    let mut alice = imap(&server, "alice");
    alice.imap("CREATE Work").expect("CREATE");
    alice.imap("SELECT INBOX").expect("SELECT");
    alice.imap("COPY 1 Work").expect("COPY");
    alice.imap("UNSELECT").expect("UNSELECT");
    let (mut smtp, mut bob) = (submission(&server, "alice"), submission(&server, "bob"));
    let tried = |smtp: &mut Connection, user: &str, url: &str| {
        burl(smtp, user, "", &format!("BURL {url} LAST"))[..9].to_owned()
    };
    let (taken, refused, nothing) = ("250 2.6.0", "554 5.7.0", "554 5.6.6");

    // Who: `submit+` its user, `user+` nobody here, the others everybody who may submit (RFC 4467 §3). As Bob may not send
    // as Alice, what he was given comes to the rules of submission before it is refused.
    let url = authorized(&mut alice, "Work/;uid=1", "submit+alice%40example.test");
    assert_eq!(tried(&mut smtp, "alice", &url), taken);
    assert_eq!(
        tried(&mut smtp, "alice", &url.replace("internal", "INTERNAL")),
        taken
    );
    assert_eq!(tried(&mut bob, "bob", &url), refused);
    for (access, own, others) in [
        ("submit+bob%40example.test", refused, "550 5.7.1"),
        ("user+alice%40example.test", refused, refused),
        ("user+bob%40example.test", refused, refused),
        ("authuser", taken, "550 5.7.1"),
        ("anonymous", taken, "550 5.7.1"),
        ("submit+nobody%40example.test", refused, refused),
    ] {
        let url = authorized(&mut alice, "Work/;uid=1", access);
        assert_eq!(tried(&mut smtp, "alice", &url), own, "{access}");
        assert_eq!(tried(&mut bob, "bob", &url), others, "{access}");
    }
    // A changed URL is not the one that was signed.
    for (from, to) in [
        ("uid=1", "uid=2"),
        ("Work", "INBOX"),
        ("alice%40", "ALICE%40"),
        (":internal:01", ":internal:02"),
    ] {
        assert_eq!(
            tried(&mut smtp, "alice", &url.replacen(from, to, 1)),
            refused,
            "{to}"
        );
    }
    assert_eq!(
        tried(&mut smtp, "alice", url.rsplit_once(":internal:").unwrap().0),
        refused
    );
    let old = authorized(
        &mut alice,
        "Work/;uid=1;expire=2001-01-01T00:00:00Z",
        "submit+alice%40example.test",
    );
    assert_eq!(tried(&mut smtp, "alice", &old), refused);
    let missing = authorized(&mut alice, "Work/;uid=9", "submit+alice%40example.test");
    assert_eq!(tried(&mut smtp, "alice", &missing), nothing);

    // RESETKEY, of one mailbox and of all.
    let inbox = authorized(&mut alice, "INBOX/;uid=1", "submit+alice%40example.test");
    alice.imap("RESETKEY Work").expect("RESETKEY");
    assert_eq!(tried(&mut smtp, "alice", &url), refused);
    assert_eq!(tried(&mut smtp, "alice", &inbox), taken);
    let url = authorized(&mut alice, "Work/;uid=1", "submit+alice%40example.test");
    alice.imap("RESETKEY").expect("RESETKEY");
    assert_eq!(tried(&mut smtp, "alice", &url), refused);
    assert_eq!(tried(&mut smtp, "alice", &inbox), refused);

    // The mailbox is deleted, and another of its name takes its place.
    let url = authorized(&mut alice, "Work/;uid=1", "submit+alice%40example.test");
    alice.imap("DELETE Work").expect("DELETE");
    assert_eq!(tried(&mut smtp, "alice", &url), refused);
    alice.imap("CREATE Work").expect("CREATE");
    alice.imap("SELECT INBOX").expect("SELECT");
    alice.imap("COPY 1 Work").expect("COPY");
    assert_eq!(tried(&mut smtp, "alice", &url), refused);

    // A right that was taken away, in a mailbox of another's.
    server
        .append("bob@example.test", "INBOX", message)
        .expect("append");
    let mut owner = imap(&server, "bob");
    owner
        .imap("SETACL INBOX alice@example.test lr")
        .expect("SETACL");
    let path = "Other%20Users/bob%40example.test/INBOX/;uid=1";
    let signed = authorized(&mut alice, path, "submit+alice%40example.test");
    let plain = format!("imap://{HOST}/{path}");
    assert!(!tried(&mut smtp, "alice", &signed).starts_with("554 5.7"));
    assert!(!tried(&mut smtp, "alice", &plain).starts_with("554"));
    owner
        .imap("SETACL INBOX alice@example.test l")
        .expect("SETACL");
    assert_eq!(tried(&mut smtp, "alice", &signed), refused);
    assert_eq!(tried(&mut smtp, "alice", &plain), nothing);
    owner
        .imap("DELETEACL INBOX alice@example.test")
        .expect("DELETEACL");
    assert_eq!(tried(&mut smtp, "alice", &signed), refused);
    assert_eq!(tried(&mut smtp, "alice", &plain), nothing);

    // Who signed it is kept out; who was to use it is not.
    let url = authorized(&mut alice, "INBOX/;uid=1", "submit+bob%40example.test");
    assert_eq!(tried(&mut bob, "bob", &url), "550 5.7.1");
    server
        .cli(&["account", "disable", "alice@example.test"])
        .expect("disable");
    assert_eq!(tried(&mut bob, "bob", &url), refused);
    assert!(!server.log().contains(&url), "tokens are not logged");
}

/// RFC 4468 §4, RFC 3030: what is not text is refused where it was not declared, and converted where it was.
#[test]
fn binary_and_large_messages() {
    let server = start();
    let mut alice = imap(&server, "alice");
    let message = "From: alice@example.test\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: binary\r\n\r\na\0\n\u{fc}";
    let append = format!("t APPEND INBOX ~{{{}+}}\r\n{message}\r\n", message.len());
    alice.send(append.as_bytes()).expect("APPEND");
    let told = alice
        .answers_until(|line| line.starts_with("t "))
        .expect("answer");
    assert!(told.last().expect("end").starts_with("t OK"), "{told:?}");
    let mut smtp = submission(&server, "alice");
    let command = format!("BURL imap://{HOST}/INBOX/;uid=1 LAST");
    let told = burl(&mut smtp, "alice", " BODY=8BITMIME", &command);
    assert!(told.starts_with("554 5.6.3"), "{told}");
    let told = burl(&mut smtp, "alice", " BODY=BINARYMIME", &command);
    assert!(told.starts_with("250 2.6.0"), "{told}");
    assert!(received(&server, 1).contains("YQAKw7w="), "as base64");

    // 8 bits are taken as with DATA; couriers convert for servers that take none.
    let text = "From: alice@example.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n\r\n";
    server
        .append("alice@example.test", "INBOX", text.as_bytes())
        .expect("append");
    let told = burl(&mut smtp, "alice", "", &command.replace("uid=1", "uid=2"));
    assert!(told.starts_with("250 2.6.0"), "{told}");
    assert!(received(&server, 2).contains("gr\u{fc}n"));

    // Two thirds of what a message may have, twice.
    let large = [
        b"From: alice@example.test\r\n\r\n".to_vec(),
        b"0123456789\r\n".repeat(58_000),
    ]
    .concat();
    server
        .append("alice@example.test", "INBOX", &large)
        .expect("append");
    let piece = format!("BURL imap://{HOST}/INBOX/;uid=3");
    let told = burl(&mut smtp, "alice", "", &piece);
    assert!(told.starts_with("250 2.5.0"), "{told}");
    smtp.smtp(&format!("{piece} LAST"), 554).expect("too big");
    smtp.smtp("BDAT 0 LAST", 503)
        .expect("the transaction is over");
    let told = burl(&mut smtp, "alice", "", &format!("{piece} LAST"));
    assert!(told.starts_with("250 2.6.0"), "{told}");
    server.check().expect("check");
}
