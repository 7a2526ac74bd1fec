//! What senders are told (RFC 3461, RFC 3464), and who is not.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mime::Message;
use mime::report::{DeliveryStatus, Recipient};
use testkit::sink::Sink;

use super::*;

/// The delivery status of a notification, with what every one of them must have.
fn status(raw: &[u8]) -> DeliveryStatus {
    let text = String::from_utf8_lossy(raw);
    let message = Message::parse(raw);
    assert!(text.starts_with("Return-Path: <>\r\n"), "{text}");
    assert!(
        text.contains("\r\nAuto-Submitted: auto-replied\r\n"),
        "{text}"
    );
    assert!(
        text.contains("report-type=\"delivery-status\"")
            || text.contains("report-type=delivery-status"),
        "{text}"
    );
    DeliveryStatus::of(&message).unwrap_or_else(|| panic!("no report: {text}"))
}

fn only(status: &DeliveryStatus) -> &Recipient {
    assert_eq!(status.recipients.len(), 1, "{status:?}");
    &status.recipients[0]
}

#[test]
fn a_refusal_comes_back_with_all_that_the_standard_wants() {
    let sink = Sink::new()
        .reply("RCPT TO:<gone@", "550 5.1.1 no such user\u{7} here")
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    let envid = "Q+2B1+20+20x";
    let to = [
        "<gone@x.example> ORCPT=rfc822;Old+2Bone@y.example NOTIFY=FAILURE",
        "<fine@x.example>",
    ];
    let from = format!("<alice@example.test> ENVID={envid} RET=FULL");
    transaction(&mut smtp, &from, &to, &message("lost"));
    let mail = inbox(&server, ALICE, 1);
    empty(&server);
    let report = status(&mail[0]);
    assert_eq!(report.reporting_mta, testkit::tls::HOST);
    assert!(report.arrival_date.is_some());
    let one = only(&report);
    assert_eq!(one.final_recipient, "gone@x.example");
    assert_eq!(one.original_recipient.as_deref(), Some("Old+one@y.example"));
    assert_eq!(
        (one.action.as_str(), one.status.as_str()),
        ("failed", "5.1.1")
    );
    assert!(
        one.diagnostic
            .as_deref()
            .is_some_and(|d| d.contains("no such user")),
        "{one:?}"
    );
    assert!(one.remote_mta.is_some() && one.last_attempt.is_some());
    let text = String::from_utf8_lossy(&mail[0]);
    // As the sender gave it, octet by octet.
    assert!(text.contains("Original-Envelope-Id: Q+1  x\r\n"), "{text}");
    assert!(text.contains("Subject: Not delivered: lost\r\n"), "{text}");
    assert!(text.contains("There is no such mailbox"), "{text}");
    assert!(
        text.contains("In-Reply-To: <lost@example.test>\r\n"),
        "{text}"
    );
    assert!(text.contains("Content-Type: message/rfc822\r\n"), "{text}");
    assert!(!text.contains('\u{7}'), "{text}");
    python(&mail[0]);
}

/// Another implementation reads it too.
fn python(raw: &[u8]) {
    let script = r#"
import email, email.policy, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
assert m.get_content_type() == "multipart/report", m.get_content_type()
assert m.get_param("report-type") == "delivery-status"
parts = list(m.iter_parts())
assert [p.get_content_type() for p in parts] == ["text/plain", "message/delivery-status", "message/rfc822"], parts
status = parts[1].get_payload()
assert status[0]["Reporting-MTA"].startswith("dns;"), status[0].items()
assert status[0]["Original-Envelope-Id"] == "Q+1  x", status[0].items()
assert status[1]["Final-Recipient"] == "rfc822; gone@x.example", status[1].items()
assert status[1]["Original-Recipient"] == "rfc822;Old+one@y.example", status[1].items()
assert status[1]["Action"] == "failed" and status[1]["Status"] == "5.1.1"
assert status[1]["Diagnostic-Code"].startswith("smtp; 550 5.1.1"), status[1].items()
for p in m.walk():
    assert not p.defects, p.defects
assert parts[2].get_payload(0)["Subject"] == "lost"
print("read")
"#;
    let child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return eprintln!("skipped: there is no python3");
    };
    if let Some(mut input) = child.stdin.take() {
        input.write_all(raw).expect("write");
    }
    let output = child.wait_with_output().expect("python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "read");
}

#[test]
fn a_delay_is_told_once_and_giving_up_after_it() {
    let sink = Sink::new()
        .reply("RCPT", "452 4.2.2 mailbox full")
        .start()
        .expect("sink");
    let builder = sending_to(&sink)
        .setting("queue.retry", "\"1s\"")
        .setting("queue.retry_most", "\"1s\"")
        .setting("queue.warn_after", "\"1s\"")
        .setting("queue.give_up", "\"5s\"");
    let server = started(builder);
    let mut smtp = logged_in(&server, ALICE);
    let to = [
        "<u@x.example>",
        "<quiet@x.example> NOTIFY=FAILURE",
        "<mute@x.example> NOTIFY=NEVER",
    ];
    transaction(&mut smtp, "<alice@example.test>", &to, &message("full"));
    let mail = inbox(&server, ALICE, 2);
    empty(&server);
    assert_eq!(count(&server, ALICE), 2);
    let delay = status(&mail[0]);
    let one = only(&delay);
    assert_eq!(
        (one.action.as_str(), one.status.as_str()),
        ("delayed", "4.2.2")
    );
    assert_eq!(one.final_recipient, "u@x.example");
    assert!(one.will_retry_until.is_some());
    let text = String::from_utf8_lossy(&mail[0]);
    assert!(text.contains("Subject: Delayed: full"), "{text}");
    assert!(text.contains("text/rfc822-headers"), "{text}");
    let end = status(&mail[1]);
    let whom: Vec<&str> = end
        .recipients
        .iter()
        .map(|r| r.final_recipient.as_str())
        .collect();
    assert_eq!(whom, ["u@x.example", "quiet@x.example"]);
    assert!(
        end.recipients
            .iter()
            .all(|r| r.action == "failed" && r.status == "4.4.7"),
        "{end:?}"
    );
    let text = String::from_utf8_lossy(&mail[1]);
    assert!(
        text.contains("it could not be delivered in time")
            || text.contains("It could not be delivered in time"),
        "{text}"
    );
    assert!(
        text.contains("tried ") && text.contains("mailbox full"),
        "{text}"
    );
}

#[test]
fn success_is_told_where_it_was_asked_for_and_nobody_else_does() {
    // The sink knows nothing of notifications.
    let sink = Sink::new()
        .capabilities(&["8BITMIME"])
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    server
        .add_alias(
            "all@example.test",
            &[BOB.to_owned(), "far@y.example".to_owned()],
        )
        .expect("alias");
    let mut smtp = logged_in(&server, ALICE);
    let to = [
        "<u@x.example> NOTIFY=SUCCESS",
        "<bob@example.test> NOTIFY=SUCCESS ORCPT=rfc822;bobby@example.test",
        "<all@example.test> NOTIFY=SUCCESS",
        "<v@x.example>",
    ];
    transaction(
        &mut smtp,
        "<alice@example.test> RET=FULL",
        &to,
        &message("told"),
    );
    let mail = inbox(&server, ALICE, 2);
    empty(&server);
    assert_eq!(count(&server, ALICE), 2);
    let mut seen: Vec<(String, String)> = mail
        .iter()
        .flat_map(|raw| status(raw).recipients)
        .map(|r| (r.action, r.final_recipient))
        .collect();
    seen.sort();
    let expected = [
        ("delivered", "bob@example.test"),
        ("expanded", "all@example.test"),
        ("relayed", "u@x.example"),
    ];
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    assert_eq!(seen, expected);
    // Success never brings the body back (RFC 3461 §4.3).
    assert!(
        mail.iter()
            .all(|raw| !String::from_utf8_lossy(raw).contains("\r\nHello."))
    );
}

/// A41: nobody is told about a notification.
#[test]
fn a41_no_notification_of_a_notification() {
    let sink = Sink::new()
        .reply("RCPT", "550 5.1.1 nobody")
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    // A read receipt.
    transaction(
        &mut smtp,
        "<>",
        &["<u@x.example> NOTIFY=SUCCESS,FAILURE,DELAY"],
        &message("receipt"),
    );
    empty(&server);
    // A failure that is told to an address elsewhere which refuses that as well.
    server
        .add_alias("away@example.test", &["far@y.example".to_owned()])
        .expect("alias");
    let mut stranger = stranger(&server);
    transaction(
        &mut stranger,
        "<>",
        &["<away@example.test>"],
        &message("bounce"),
    );
    empty(&server);
    assert_eq!((count(&server, ALICE), count(&server, BOB)), (0, 0));
    assert!(sink.messages().is_empty());
}

/// Who has no room learns of it when there is room again.
#[test]
fn a_notification_waits_for_room() {
    let sink = Sink::new()
        .reply("RCPT", "550 5.1.1 nobody")
        .start()
        .expect("sink");
    let builder = sending_to(&sink)
        .setting("queue.retry", "\"1s\"")
        .setting("queue.retry_most", "\"1s\"");
    let server = started(builder);
    server.set_quota(ALICE, 1).expect("quota");
    let mut smtp = logged_in(&server, ALICE);
    let from = "<alice@example.test>";
    transaction(&mut smtp, from, &["<u@x.example>"], &message("lost"));
    let waits = |list: &[Value]| {
        let to = |one: &Value| one.pointer("/recipients/0/address") == Some(&ALICE.into());
        list.len() == 1 && to(&list[0]) && list[0].pointer("/recipients/0/last/status").is_some()
    };
    let list = until(&server, "a notification that waits", waits);
    assert_eq!(list[0]["recipients"][0]["last"]["status"], "4.2.2");
    server.set_quota(ALICE, 1 << 20).expect("quota");
    let mail = inbox(&server, ALICE, 1);
    empty(&server);
    let report = status(&mail[0]);
    assert_eq!(only(&report).final_recipient, "u@x.example");
    assert_eq!(count(&server, ALICE), 1);
}

/// A40: whoever is only named in an envelope gets no mail because of it.
#[test]
fn a40_backscatter() {
    let sink = Sink::new()
        .reply("RCPT TO:<far@", "552 5.7.1 looks like spam")
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    server
        .add_alias("away@example.test", &["far@y.example".to_owned()])
        .expect("alias");
    server
        .add_alias("postmaster@example.test", &[BOB.to_owned()])
        .expect("alias");
    let mut forged = stranger(&server);
    let from = "<victim@victim.example>";
    let to = [
        "<alice@example.test> NOTIFY=SUCCESS",
        "<away@example.test> NOTIFY=SUCCESS,FAILURE",
    ];
    transaction(&mut forged, from, &to, &message("forged"));
    // Whoever keeps the alias is told instead, without the message.
    let mail = inbox(&server, BOB, 1);
    empty(&server);
    let report = status(&mail[0]);
    assert_eq!(only(&report).final_recipient, "far@y.example");
    assert!(!String::from_utf8_lossy(&mail[0]).contains("\r\nHello."));
    assert_eq!(count(&server, ALICE), 1);
    // Refused in the session, each of them, not later.
    server.set_quota(ALICE, 1).expect("quota");
    for (to, code) in [
        ("nobody@example.test", 550),
        ("u@x.example", 550),
        ("alice@example.test", 452),
    ] {
        forged
            .smtp(&format!("MAIL FROM:{from}"), 250)
            .expect("MAIL");
        forged
            .smtp(&format!("RCPT TO:<{to}>"), code)
            .expect("refused");
        forged.smtp("RSET", 250).expect("RSET");
    }
    assert!(sink.messages().is_empty(), "{:#?}", sink.messages());
    assert!(
        !sink
            .sessions()
            .iter()
            .flat_map(|s| &s.commands)
            .any(|c| c.contains("RCPT TO:<victim@"))
    );
}

/// RFC 2852 §4.1.3: by a time, or back.
#[test]
fn a_deadline_brings_it_back_or_is_told() {
    let sink = Sink::new()
        .capabilities(&["DELIVERBY"])
        .reply("RCPT", "450 4.2.0 later")
        .start()
        .expect("sink");
    let builder = sending_to(&sink)
        .setting("queue.retry", "\"1s\"")
        .setting("queue.retry_most", "\"1s\"");
    let server = started(builder);
    let mut smtp = logged_in(&server, ALICE);
    transaction(
        &mut smtp,
        "<alice@example.test> BY=2;N",
        &["<n@x.example>"],
        &message("tell"),
    );
    let mail = inbox(&server, ALICE, 1);
    let report = status(&mail[0]);
    let one = only(&report);
    assert_eq!(
        (one.action.as_str(), one.status.as_str()),
        ("delayed", "4.4.7")
    );
    assert!(String::from_utf8_lossy(&mail[0]).contains("Deliver-By-Date: "));
    assert_eq!(queued(&server).len(), 1);
}

/// RFC 2852 §4.1.4, §4.1.4.2: who is passed on to a server that knows nothing of the deadline, or with a trace, is told of.
#[test]
fn a_deadline_that_gets_lost_is_told() {
    let sink = Sink::new().capabilities(&["DSN"]).start().expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    let from = "<alice@example.test> BY=3600;N";
    let to = ["<n@x.example>", "<mute@x.example> NOTIFY=NEVER"];
    transaction(&mut smtp, from, &to, &message("lost"));
    let mail = inbox(&server, ALICE, 1);
    let report = status(&mail[0]);
    let one = only(&report);
    assert_eq!(
        (one.action.as_str(), one.final_recipient.as_str()),
        ("relayed", "n@x.example")
    );
    let messages = sink.wait_messages(1);
    assert!(messages[0].recipients[0].contains("NOTIFY=FAILURE,DELAY"));
    assert!(messages[0].recipients[1].contains("NOTIFY=NEVER"));
}

/// RFC 6533: with addresses that only SMTPUTF8 carries, to a sender who uses it.
#[test]
fn international_addresses_are_told_as_they_are() {
    let sink = Sink::new()
        .capabilities(&["SMTPUTF8", "8BITMIME"])
        .reply("RCPT", "550 5.1.1 kennt niemand: größe")
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    let from = "<alice@example.test> SMTPUTF8 BODY=8BITMIME";
    let to = ["<jürgen@x.example> ORCPT=utf-8;j\\x{FC}rgen@x.example"];
    transaction(&mut smtp, from, &to, &message("umlaut"));
    let mail = inbox(&server, ALICE, 1);
    let text = String::from_utf8_lossy(&mail[0]);
    assert!(
        text.contains("Content-Type: message/global-delivery-status"),
        "{text}"
    );
    assert!(
        text.contains("Final-Recipient: utf-8;jürgen@x.example\r\n"),
        "{text}"
    );
    assert!(
        text.contains("Original-Recipient: utf-8;jürgen@x.example\r\n"),
        "{text}"
    );
    // Whoever did not ask for SMTPUTF8 gets ASCII: the domain in A-labels, what the server said without its umlauts.
    let from = "<alice@example.test>";
    transaction(&mut smtp, from, &["<u@x.example>"], &message("ascii"));
    let mail = inbox(&server, ALICE, 2);
    assert!(mail[1].is_ascii(), "{}", String::from_utf8_lossy(&mail[1]));
}
