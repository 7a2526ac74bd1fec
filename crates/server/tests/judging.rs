//! What reception makes of mail from other servers, against a name server of the test's.

use mail_auth::arc::ArcSealer;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use mail_auth::{ArcOutput, AuthenticatedMessage, AuthenticationResults, DmarcOutput, DmarcResult};
use serde_json::Value;
use testkit::dns::{Failure, kind};
use testkit::server::{Builder, PASSWORD, Server, dot_stuffed};

const BOB: &str = "bob@example.test";

/// Published under every selector of the tests; its private half is the seed of RFC 8032 §7.1.
const KEY: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn key() -> Ed25519Key {
    use base64::Engine as _;
    let decode = |text: &str| {
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .expect("base64")
    };
    Ed25519Key::from_seed_and_public_key(
        &decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="),
        &decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
    )
    .expect("key")
}

/// A server that judges what this machine sends, and domains of every policy.
fn server(change: impl FnOnce(Builder) -> Builder) -> Server {
    let builder = Server::builder()
        .setting("reception.check_private", "true")
        .setting("smtp.check_sender_domain", "false");
    let server = change(builder).start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(BOB).expect("account");
    let dns = server.dns();
    dns.txt("good.example", &["v=spf1 ip4:127.0.0.1 -all"]);
    dns.txt("bad.example", &["v=spf1 ip4:192.0.2.1 -all"]);
    for (domain, policy) in [
        ("good", "reject"),
        ("bad", "reject"),
        ("meh", "quarantine"),
        ("lax", "none"),
    ] {
        let record = format!("v=DMARC1; p={policy}; rua=mailto:dmarc@{domain}.example");
        dns.txt(&format!("_dmarc.{domain}.example"), &[&record]);
    }
    dns.txt("s._domainkey.bad.example", &[KEY]);
    dns.txt("s._domainkey.list.example", &[KEY]);
    server
}

fn message(from: &str, more: &str) -> String {
    format!("From: {from}\r\nTo: {BOB}\r\nSubject: judged\r\n{more}\r\nHello.\r\n")
}

/// Sends as `sender` and returns the last reply.
fn send(server: &Server, sender: &str, message: &str) -> (u16, String) {
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    smtp.smtp(&format!("MAIL FROM:<{sender}>"), 250)
        .expect("MAIL");
    smtp.smtp(&format!("RCPT TO:<{BOB}>"), 250).expect("RCPT");
    smtp.smtp("DATA", 354).expect("DATA");
    smtp.send(&dot_stuffed(message.as_bytes())).expect("send");
    smtp.line(".").expect("end");
    let (code, lines) = smtp.reply().expect("reply");
    (code, lines.join(" "))
}

/// The id of a reply: `… accepted as ID`, `… (id ID)`.
fn id(reply: &str) -> String {
    let last = reply.rsplit(' ').next().expect("id");
    last.trim_end_matches(')').to_owned()
}

fn accepted(server: &Server, sender: &str, message: &str) -> Value {
    let (code, text) = send(server, sender, message);
    assert_eq!(code, 250, "{text}");
    explained(server, &id(&text))
}

fn explained(server: &Server, id: &str) -> Value {
    let text = server.cli(&["--json", "explain", id]).expect("explain");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{text}");
    all[0].clone()
}

/// The results of the checks of a name.
fn results(record: &Value, name: &str) -> Vec<String> {
    let checks = record["checks"].as_array().expect("checks");
    let of_name = checks.iter().filter(|check| check["name"] == name);
    of_name
        .map(|check| check["result"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The newest message of bob's INBOX.
fn newest(server: &Server) -> String {
    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    pop3.answer().expect("greeting");
    let mut ok = |command: &str| {
        pop3.line(command).expect("send");
        let answer = pop3.answer().expect("answer");
        assert!(answer.starts_with("+OK"), "{command}: {answer}");
        answer
    };
    ok(&format!("USER {BOB}"));
    ok(&format!("PASS {PASSWORD}"));
    let stat = ok("STAT");
    let last = stat.split(' ').nth(1).expect("STAT");
    ok(&format!("RETR {last}"));
    let mut text = String::new();
    loop {
        let line = pop3.read_line().expect("line").expect("open");
        if line == b"." {
            return text;
        }
        text.push_str(&String::from_utf8_lossy(&line));
        text.push_str("\r\n");
    }
}

/// What was asked for mail that came; the server's own names are looked after by themselves.
fn asked(server: &Server) -> Vec<(String, u16)> {
    let mut asked = server.dns().asked();
    asked.retain(|(name, _)| !name.ends_with("example.test"));
    asked
}

fn signed(domain: &str, message: &str) -> String {
    let signature = DkimSigner::from_key(key())
        .domain(domain)
        .selector("s")
        .headers(["From", "To", "Subject"])
        .sign(message.as_bytes())
        .expect("sign");
    format!("{}{message}", signature.to_header())
}

#[test]
fn spf_and_dmarc_pass_and_are_told() {
    let server = server(|builder| builder);
    let more = "Message-ID: <one@good.example>\r\n\
        Authentication-Results: mail.waxwing.test; dkim=pass header.d=bank.example\r\n\
        Authentication-Results: other.example; dkim=pass header.d=kept.example\r\n";
    let record = accepted(
        &server,
        "a@good.example",
        &message("A <a@good.example>", more),
    );
    assert_eq!(results(&record, "spf"), ["none", "pass"]);
    assert_eq!(results(&record, "dmarc"), ["pass"]);
    assert_eq!(record["places"][0]["mailbox"], "INBOX");
    // By Message-ID too, in words.
    for name in ["<one@good.example>", "one@good.example"] {
        let words = server.cli(&["explain", name]).expect("explain");
        assert!(
            words.contains("SPF (pass): 127.0.0.1 is among the servers that good.example allows: the record of good.example says \"ip4:127.0.0.1\"."),
            "{words}"
        );
        assert!(
            words.contains("It was delivered to bob@example.test, into INBOX as message 1."),
            "{words}"
        );
    }
    let text = newest(&server);
    assert!(
        text.contains("Authentication-Results: mail.waxwing.test;\r\n\tiprev=fail"),
        "{text}"
    );
    assert!(
        text.contains(";\r\n\tspf=pass\r\n\t smtp.mailfrom=a@good.example;"),
        "{text}"
    );
    assert!(
        text.contains(";\r\n\tdmarc=pass (p=reject)\r\n\t header.from=good.example\r\n"),
        "{text}"
    );
    // A32: what claimed to be ours is gone, another's stays.
    assert!(
        !text.contains("bank.example") && text.contains("kept.example"),
        "{text}"
    );
    let results_at = text
        .find("Authentication-Results: mail.waxwing.test")
        .expect("results");
    assert!(results_at < text.find("Received: ").expect("Received"));
}

#[test]
fn policies_are_obeyed() {
    let server = server(|builder| builder);
    let (code, text) = send(&server, "x@attack.example", &message("a@bad.example", ""));
    assert_eq!(code, 550, "{text}");
    assert!(
        text.contains("5.7.1 The policy of bad.example asks to refuse") && !text.contains("http"),
        "{text}"
    );
    let record = explained(&server, &id(&text));
    assert_eq!(
        (&record["decision"], &record["places"]),
        (&"reject".into(), &Value::Array(vec![]))
    );
    let record = accepted(&server, "x@attack.example", &message("a@meh.example", ""));
    assert_eq!(
        (&record["decision"], &record["places"][0]["mailbox"]),
        (&"junk".into(), &"Junk".into())
    );
    let record = accepted(&server, "x@attack.example", &message("a@lax.example", ""));
    assert_eq!(
        (&record["decision"], &record["places"][0]["mailbox"]),
        (&"accept".into(), &"INBOX".into())
    );
    assert_eq!(results(&record, "dmarc"), ["fail"]);
    // The DNS fails, and it matters.
    server
        .dns()
        .fail("_dmarc.bad.example", Some(Failure::ServFail));
    let (code, text) = send(&server, "x@attack.example", &message("a@bad.example", ""));
    assert_eq!(code, 451, "{text}");
    server.dns().fail("_dmarc.bad.example", None);
    server.dns().fail("good.example", Some(Failure::ServFail));
    let (code, text) = send(&server, "a@good.example", &message("a@good.example", ""));
    assert_eq!(code, 451, "{text}");
    // Where SPF of another domain fails it does not matter: the policy decides.
    let (code, _) = send(&server, "x@good.example", &message("a@lax.example", ""));
    assert_eq!(code, 250);
}

#[test]
fn policies_are_recorded_only_where_the_owner_wants_that() {
    let server = server(|builder| {
        builder
            .setting("reception.dmarc", "\"record\"")
            .setting("reception.spf_fail", "\"junk\"")
            .setting("reception.refused_record_days", "0")
    });
    let record = accepted(&server, "x@attack.example", &message("a@bad.example", ""));
    assert_eq!(
        (&record["decision"], results(&record, "dmarc")),
        (&"accept".into(), vec!["fail".to_owned()])
    );
    let record = accepted(&server, "x@bad.example", &message("a@nobody.example", ""));
    assert_eq!(
        (&record["decision"], results(&record, "spf")),
        (&"junk".into(), vec!["none".to_owned(), "fail".to_owned()])
    );
    let (code, text) = send(
        &server,
        "x@attack.example",
        &message("a@x.example, b@y.example", ""),
    );
    assert_eq!(code, 550, "{text}");
}

#[test]
fn signatures_count() {
    let server = server(|builder| builder);
    let plain = message("a@bad.example", "");
    let record = accepted(&server, "x@attack.example", &signed("bad.example", &plain));
    assert_eq!(
        (results(&record, "dkim"), results(&record, "dmarc")),
        (vec!["pass".to_owned()], vec!["pass".to_owned()])
    );
    let changed = signed("bad.example", &plain).replace("Hello", "Hullo");
    let (code, text) = send(&server, "x@attack.example", &changed);
    assert_eq!(code, 550, "{text}");
    let record = explained(&server, &id(&text));
    let words = record["checks"].to_string();
    assert!(words.contains("The DKIM signature of bad.example does not hold: the text was changed after it was signed."), "{words}");
    // A35: a signature of another domain is right and counts for nothing.
    let (code, text) = send(&server, "x@attack.example", &signed("list.example", &plain));
    assert_eq!(code, 550, "{text}");
    assert_eq!(results(&explained(&server, &id(&text)), "dkim"), ["pass"]);
}

/// A forwarder changed the message and sealed that it had passed.
fn sealed(sealer: &str, author: &str, message: &str) -> String {
    let parsed = AuthenticatedMessage::parse(message.as_bytes()).expect("message");
    let dmarc = DmarcOutput::new(author.to_owned()).with_spf_result(DmarcResult::Pass);
    let results = AuthenticationResults::new("mx.list.example").with_dmarc_result(&dmarc);
    let set = ArcSealer::from_key(key())
        .domain(sealer)
        .selector("s")
        .headers(["From", "To", "Subject"])
        .seal(&parsed, &results, &ArcOutput::default())
        .expect("seal");
    format!("{}{message}", set.to_header())
}

#[test]
fn trusted_sealers_are_believed() {
    let server = server(|builder| builder.setting("reception.trusted_arc", "[\"list.example\"]"));
    let plain = message("a@bad.example", "");
    let record = accepted(
        &server,
        "x@attack.example",
        &sealed("list.example", "bad.example", &plain),
    );
    assert_eq!(
        (results(&record, "arc"), results(&record, "dmarc")),
        (vec!["pass".to_owned()], vec!["fail".to_owned()])
    );
    assert!(
        record["why"]
            .as_str()
            .unwrap_or_default()
            .contains("list.example, which reception.trusted_arc believes")
    );
    for other in [
        // Somebody whom nobody trusts; what was sealed for another author; a text that changed since.
        sealed("bad.example", "bad.example", &plain),
        sealed("list.example", "other.example", &plain),
        sealed("list.example", "bad.example", &plain).replace("Hello", "Hullo"),
    ] {
        let (code, text) = send(&server, "x@attack.example", &other);
        assert_eq!(code, 550, "{text}");
    }
}

/// A29, A30: what programs read differently is refused by default, before the DNS is asked.
#[test]
fn a29_a30_ambiguous_authors_are_refused() {
    let server = server(|builder| builder);
    for from in [
        "a@good.example\r\nFrom: b@bank.example",
        "<a@good.example>:<b@bank.example>;",
        "Group: a@good.example;",
        "a@good.example, b@bank.example",
        "<@good.example:a@bank.example>",
        "",
    ] {
        let (code, text) = send(&server, "a@good.example", &message(from, ""));
        assert!(
            code == 550 && text.contains("5.6.0"),
            "{from}: {code} {text}"
        );
        assert_eq!(explained(&server, &id(&text))["decision"], "reject");
    }
    assert_eq!(asked(&server), Vec::new());
}

/// A32: what peers put into names never gets into a question, and no value of theirs becomes a result.
#[test]
fn a32_nothing_is_injected() {
    let server = server(|builder| builder);
    let forged = "DKIM-Signature: v=1; a=rsa-sha256; d=attack.example; s=sel._domainkey.legit.example.\u{1}.any; h=From; bh=YQ==; b=YQ==\r\n";
    let record = accepted(
        &server,
        "\"x; dkim=pass header.d=legit.example\"@good.example",
        &message("a@lax.example", forged),
    );
    assert_eq!(results(&record, "dkim"), ["permerror"]);
    let asked = asked(&server);
    assert!(
        asked
            .iter()
            .all(|(name, _)| !name.contains("legit") && !name.contains("_domainkey")),
        "{asked:?}"
    );
    let text = newest(&server);
    assert!(
        text.contains("smtp.mailfrom=\"x; dkim=pass header.d=legit.example@good.example\""),
        "{text}"
    );
    for sender in [
        "any@legit.com(a.attack.example",
        "any@legit.com'a.attack.example",
    ] {
        let mut smtp = server.connect(server.ports().smtp).expect("connect");
        smtp.reply().expect("greeting");
        smtp.smtp("EHLO client.example", 250).expect("EHLO");
        smtp.smtp(&format!("MAIL FROM:<{sender}>"), 501)
            .expect("MAIL");
    }
}

/// A33: signatures that cover too little, or are made with too little.
#[test]
fn a33_weak_signatures_count_for_nothing() {
    let server = server(|builder| builder);
    let plain = message("a@bad.example", "");
    let short = DkimSigner::from_key(key())
        .domain("bad.example")
        .selector("s")
        .headers(["From", "To", "Subject"])
        .body_length(true)
        .sign(plain.as_bytes())
        .expect("sign");
    let short = format!("{}{plain}", short.to_header());
    assert!(short.contains("l=8"), "{short}");
    // It covers the whole text: as good as one without l=.
    let record = accepted(&server, "x@attack.example", &short);
    assert_eq!(results(&record, "dkim"), ["pass"]);
    let appended = format!("{short}<b>Pay here</b>\r\n");
    let (code, text) = send(&server, "x@attack.example", &appended);
    assert_eq!(code, 550, "{text}");
    assert_eq!(results(&explained(&server, &id(&text)), "dkim"), ["policy"]);
    let unsigned_from = DkimSigner::from_key(key())
        .domain("bad.example")
        .selector("s")
        .headers(["To", "Subject"])
        .sign(plain.as_bytes())
        .expect("sign");
    let (code, text) = send(
        &server,
        "x@attack.example",
        &format!("{}{plain}", unsigned_from.to_header()),
    );
    assert_eq!(code, 550, "{text}");
    assert_eq!(
        results(&explained(&server, &id(&text)), "dkim"),
        ["permerror"]
    );
    let expired = signed("bad.example", &plain);
    let time = expired.find(" t=").expect("t=");
    let expired = format!("{} t=1; x=2; z={}", &expired[..time], &expired[time + 3..]);
    let (code, text) = send(&server, "x@attack.example", &expired);
    assert_eq!(code, 550, "{text}");
    assert_eq!(results(&explained(&server, &id(&text)), "dkim"), ["fail"]);
    // A key that is for something else than mail.
    server.dns().txt(
        "s._domainkey.bad.example",
        &[&KEY.replace("k=", "s=tlsrpt; k=")],
    );
    let (code, text) = send(&server, "x@attack.example", &signed("bad.example", &plain));
    assert_eq!(code, 550, "{text}");
    assert_eq!(
        results(&explained(&server, &id(&text)), "dkim"),
        ["permerror"]
    );
    // A hundred signatures: ten are looked at, and the key is asked for once at most.
    let one = signed("list.example", &plain);
    let field = one.strip_suffix(&plain).expect("field");
    let before = asked(&server).len();
    let (code, text) = send(
        &server,
        "x@attack.example",
        &format!("{}{plain}", field.repeat(100)),
    );
    assert_eq!(code, 550, "{text}");
    assert_eq!(results(&explained(&server, &id(&text)), "dkim").len(), 10);
    assert!(asked(&server).len() - before <= 40);
}

/// A35: what looks aligned and is not.
#[test]
fn a35_alignment() {
    let server = server(|builder| builder);
    server.dns().txt("notbad.example", &["v=spf1 +all"]);
    server.dns().txt("attack.example", &["v=spf1 +all"]);
    server.dns().txt("client.example", &["v=spf1 +all"]);
    for sender in ["x@notbad.example", "x@attack.example", ""] {
        let (code, text) = send(&server, sender, &message("a@bad.example", ""));
        assert_eq!(code, 550, "{sender}: {text}");
    }
    // A-labels and U-labels are the same domain.
    server.dns().txt("xn--bcher-kva.example", &["v=spf1 +all"]);
    server
        .dns()
        .txt("_dmarc.xn--bcher-kva.example", &["v=DMARC1; p=reject"]);
    let record = accepted(
        &server,
        "a@xn--bcher-kva.example",
        &message("a@b\u{fc}cher.example", ""),
    );
    assert_eq!(results(&record, "dmarc"), ["pass"]);
    // The null path is aligned through HELO.
    server
        .dns()
        .txt("_dmarc.client.example", &["v=DMARC1; p=reject"]);
    let record = accepted(&server, "", &message("postmaster@client.example", ""));
    assert_eq!(results(&record, "dmarc"), ["pass"]);
}

/// Nothing is asked about what this machine sends itself, unless the owner wants it.
#[test]
fn own_mail_is_not_judged() {
    let server = server(|builder| builder.setting("reception.check_private", "false"));
    let record = accepted(&server, "x@attack.example", &message("a@bad.example", ""));
    assert_eq!(results(&record, "judging"), ["skipped"]);
    assert_eq!(asked(&server), Vec::new());
    assert!(!newest(&server).contains("Authentication-Results: mail.waxwing.test"));
    let unknown = server.cli(&["explain", "0000000000000000"]);
    assert!(unknown.is_err());
}

/// Each question is asked once, and beside the others: silence of the DNS does not add up.
#[test]
fn a36_questions_are_few() {
    let server = server(|builder| builder);
    accepted(&server, "a@good.example", &message("a@good.example", ""));
    let asked = asked(&server);
    let texts = asked.iter().filter(|(_, of)| *of == kind::TXT).count();
    assert!(texts <= 6, "{asked:?}");
}

/// What aggregate reports are made from: equal messages are one row, whoever gets no report has none.
#[test]
fn feedback_is_counted() {
    let mut server = server(|builder| builder);
    for _ in 0..2 {
        accepted(&server, "a@good.example", &message("a@good.example", ""));
    }
    send(&server, "x@attack.example", &message("a@bad.example", ""));
    server
        .dns()
        .txt("_dmarc.quiet.example", &["v=DMARC1; p=none"]);
    accepted(&server, "x@quiet.example", &message("a@quiet.example", ""));
    assert!(server.stop().expect("stop"));
    let options = store::Options::default();
    let store = store::Store::open(server.data(), options).expect("open");
    let rows = |domain: &'static str| {
        let all = store.read(move |snapshot| {
            let due = snapshot.feedback_due(i64::MAX, 100)?;
            let days = due.iter().filter(|(_, of)| of == domain);
            days.map(|(day, domain)| snapshot.feedback(*day, domain))
                .collect::<store::Result<Vec<_>>>()
        });
        all.expect("read").concat()
    };
    let good = rows("good.example");
    assert_eq!(good.iter().map(|row| row.count).sum::<u64>(), 2);
    let facts: Value = serde_json::from_str(&good[0].facts).expect("JSON");
    assert_eq!(
        (&facts["disposition"], &facts["spf"], &facts["dkim"]),
        (&"none".into(), &true.into(), &false.into())
    );
    assert_eq!(
        (&facts["source"], &facts["header_from"]),
        (&"127.0.0.1".into(), &"good.example".into())
    );
    let bad: Value = serde_json::from_str(&rows("bad.example")[0].facts).expect("JSON");
    assert_eq!(
        (&bad["disposition"], &bad["spf_results"][0]["result"]),
        (&"reject".into(), &"none".into())
    );
    let policy: Value = serde_json::from_str(&rows("bad.example")[0].policy).expect("JSON");
    assert_eq!(
        (&policy["p"], &policy["rua"][0]),
        (&"reject".into(), &"mailto:dmarc@bad.example".into())
    );
    assert_eq!(rows("quiet.example"), []);
    store.close();
}

/// Each attempt to deliver a message elsewhere is told with the rest.
#[test]
fn attempts_are_told() {
    let sink = testkit::sink::Sink::new().start().expect("sink");
    let route = format!(
        "[{{ domain = \"*\", host = \"127.0.0.1\", port = {}, tls = \"none\" }}]",
        sink.port()
    );
    let server = server(|builder| builder.setting("route", &route));
    let mut smtp = server
        .connect(server.ports().submission)
        .expect("connection");
    smtp.reply().expect("greeting");
    smtp.smtp("EHLO client.example", 250).expect("EHLO");
    let plain = wire::base64::encode(format!("\0{BOB}\0{PASSWORD}").as_bytes());
    smtp.smtp(&format!("AUTH PLAIN {plain}"), 235)
        .expect("AUTH");
    smtp.smtp(&format!("MAIL FROM:<{BOB}>"), 250).expect("MAIL");
    smtp.smtp("RCPT TO:<far@remote.example>", 250)
        .expect("RCPT");
    smtp.smtp("DATA", 354).expect("DATA");
    let message = message(BOB, "Message-ID: <away@example.test>\r\n");
    smtp.send(message.as_bytes()).expect("message");
    smtp.smtp(".", 250).expect("end");
    sink.wait_messages(1);
    let begun = std::time::Instant::now();
    let told = loop {
        // The attempt is written down after the sink has answered.
        let told = server
            .cli(&["explain", "away@example.test"])
            .expect("explain");
        if told.contains("for <far@remote.example>: ") || begun.elapsed().as_secs() > 20 {
            break told;
        }
        std::thread::yield_now();
    };
    assert!(told.contains("submitted by bob@example.test"), "{told}");
    assert!(
        told.contains("Judging (skipped): It was submitted by a user who logged in."),
        "{told}"
    );
    assert!(told.contains(": for <far@remote.example>: "), "{told}");
    assert!(told.contains("at 127.0.0.1"), "{told}");
}
