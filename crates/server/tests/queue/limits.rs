//! How much an account may send.

use testkit::sink::Sink;

use super::*;

#[test]
fn an_account_sends_so_many_messages_a_day_and_is_told() {
    let sink = Sink::new().start().expect("sink");
    let server = started(sending_to(&sink).setting("limits.messages_per_day", "2"));
    let mut smtp = logged_in(&server, ALICE);
    for n in 0..2 {
        transaction(
            &mut smtp,
            "<alice@example.test>",
            &["<u@x.example>"],
            &message(&format!("m{n}")),
        );
    }
    smtp.smtp("MAIL FROM:<alice@example.test>", 250)
        .expect("MAIL");
    let told = smtp
        .smtp("RCPT TO:<u@x.example>", 450)
        .expect("a refusal")
        .join(" ");
    assert!(
        told.contains("Your limit is 2 messages to other servers in 24 hours"),
        "{told}"
    );
    assert!(told.contains("free again from"), "{told}");
    // Those here can always be written to.
    smtp.smtp("RCPT TO:<bob@example.test>", 250).expect("RCPT");
    smtp.smtp("RSET", 250).expect("RSET");
    // One account's limit is no other's, and it can be raised.
    let mut other = logged_in(&server, BOB);
    let from_bob = message("bob").replace(ALICE, BOB);
    transaction(
        &mut other,
        "<bob@example.test>",
        &["<u@x.example>"],
        &from_bob,
    );
    server
        .cli(&["account", "sending", ALICE, "--messages", "3"])
        .expect("sending");
    transaction(
        &mut smtp,
        "<alice@example.test>",
        &["<u@x.example>"],
        &message("m3"),
    );
    let shown = json(&server, &["account", "sending", ALICE]);
    assert_eq!(
        (&shown["messages"], &shown["messages_sent"]),
        (&3.into(), &3.into())
    );
    sink.wait_messages(4);
}

#[test]
fn strangers_are_counted_once() {
    let sink = Sink::new().start().expect("sink");
    let server = started(sending_to(&sink).setting("limits.strangers_per_day", "2"));
    let mut smtp = logged_in(&server, ALICE);
    let known = ["<u@x.example>", "<v@x.example>"];
    transaction(&mut smtp, "<alice@example.test>", &known, &message("a"));
    transaction(
        &mut smtp,
        "<alice@example.test>",
        &["<U@X.example>"],
        &message("b"),
    );
    smtp.smtp("MAIL FROM:<alice@example.test>", 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<v@x.example>", 250).expect("known");
    let told = smtp
        .smtp("RCPT TO:<w@x.example>", 450)
        .expect("a refusal")
        .join(" ");
    assert!(
        told.contains("to whom you have not written before"),
        "{told}"
    );
    smtp.smtp("RSET", 250).expect("RSET");
    // Two at once that together are too many: the second is refused.
    let server = started(sending_to(&sink).setting("limits.strangers_per_day", "1"));
    let mut smtp = logged_in(&server, ALICE);
    smtp.smtp("MAIL FROM:<alice@example.test>", 250)
        .expect("MAIL");
    smtp.smtp("RCPT TO:<a@x.example>", 250).expect("first");
    smtp.smtp("RCPT TO:<b@x.example>", 450).expect("second");
}
