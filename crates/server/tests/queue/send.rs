//! Out, later, not at all: what the queue does with mail.

use serde_json::Value;
use testkit::sink::Sink;

use super::*;

#[test]
fn mail_goes_out_and_stays_here_in_one_transaction() {
    let sink = Sink::new().start().expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    let to = [
        "<u@x.example>",
        "<v@X.example>",
        "<w@y.example>",
        "<bob@example.test>",
    ];
    transaction(&mut smtp, "<alice@example.test>", &to, &message("both"));
    sink.wait(|_, messages| messages.iter().map(|m| m.recipients.len()).sum::<usize>() == 3);
    empty(&server);
    let messages = sink.messages();
    // Recipients of one domain travel together, others alone.
    assert_eq!(messages.len(), 2, "{messages:#?}");
    for message in &messages {
        assert!(message.mail.starts_with("MAIL FROM:<alice@example.test>"));
        let text = String::from_utf8_lossy(&message.content);
        assert!(text.starts_with("Received: "), "{text}");
        assert!(text.contains("Subject: both\r\n"));
    }
    let here = inbox(&server, BOB, 1);
    assert!(here[0].starts_with(b"Return-Path: <alice@example.test>\r\n"));
    assert_eq!((here.len(), count(&server, ALICE)), (1, 0));
}

#[test]
fn a_refusal_for_now_waits_with_its_reason_and_goes_out_when_told() {
    let sink = Sink::new()
        .reply("RCPT TO:<u@", "450 4.2.0 come back later")
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    let to = ["<u@x.example>", "<v@x.example>"];
    transaction(&mut smtp, "<alice@example.test>", &to, &message("later"));
    let tried =
        |list: &[Value]| list.len() == 1 && list[0].pointer("/recipients/0/last/status").is_some();
    let list = until(&server, "an attempt", tried);
    // The other one has it.
    assert_eq!(sink.messages().len(), 1);
    let waits = &list[0]["recipients"][0];
    assert_eq!(list[0]["recipients"].as_array().map(Vec::len), Some(1));
    assert_eq!(waits["address"], "u@x.example");
    assert_eq!(waits["state"], "waiting");
    assert_eq!(waits["last"]["status"], "4.2.0");
    assert!(
        waits["last"]["why"]
            .as_str()
            .is_some_and(|why| why.contains("come back later"))
    );
    let id = list[0]["id"].to_string();
    let shown = server.cli(&["queue", "show", &id]).expect("show");
    assert!(shown.contains("450 4.2.0 come back later"), "{shown}");
    sink.behave();
    assert_eq!(
        server.cli(&["queue", "retry", &id]).expect("retry").trim(),
        "1 recipient"
    );
    sink.wait_messages(2);
    empty(&server);
    let shown = json(&server, &["queue", "show", &id]);
    let outcomes: Vec<&str> = shown["attempts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|attempt| attempt["recipient"] == "u@x.example")
        .filter_map(|attempt| attempt["outcome"].as_str())
        .collect();
    assert_eq!(outcomes.len(), 2, "{shown:#}");
    assert_eq!(outcomes[0], "deferred");
    assert_eq!(shown["queued"], false);
}

#[test]
fn it_is_tried_again_by_itself() {
    let sink = Sink::new()
        .reply_times("RCPT", "451 4.7.1 greylisted", 2)
        .start()
        .expect("sink");
    let builder = sending_to(&sink)
        .setting("queue.retry", "\"1s\"")
        .setting("queue.retry_most", "\"1s\"");
    let server = started(builder);
    let mut smtp = logged_in(&server, ALICE);
    transaction(
        &mut smtp,
        "<alice@example.test>",
        &["<u@x.example>"],
        &message("again"),
    );
    sink.wait_messages(1);
    empty(&server);
    assert_eq!(count(&server, ALICE), 0);
}

#[test]
fn held_mail_waits_released_mail_goes_and_removed_mail_is_gone() {
    let sink = Sink::new().start().expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    // RFC 4865: not before an hour.
    let from = "<alice@example.test> HOLDFOR=3600";
    transaction(&mut smtp, from, &["<u@x.example>"], &message("one"));
    transaction(&mut smtp, from, &["<u@y.example>"], &message("two"));
    let list = queued(&server);
    assert_eq!(list.len(), 2);
    let release = list[0]["release_at"].as_i64().unwrap_or(0);
    assert_eq!(release - list[0]["received"].as_i64().unwrap_or(0), 3_600);
    assert_eq!(list[0]["recipients"][0]["due"].as_i64(), Some(release));
    // What is to be sent later can be taken back.
    let (first, second) = (list[0]["id"].to_string(), list[1]["id"].to_string());
    server.cli(&["queue", "remove", &first]).expect("remove");
    server
        .cli(&["queue", "hold", "--sender", ALICE])
        .expect("hold");
    assert_eq!(queued(&server)[0]["recipients"][0]["state"], "held");
    assert!(
        server.cli(&["queue", "release"]).is_err(),
        "not everything by mistake"
    );
    server
        .cli(&["queue", "release", "--domain", "Y.example"])
        .expect("release");
    let messages = sink.wait_messages(1);
    assert!(String::from_utf8_lossy(&messages[0].content).contains("Subject: two"));
    empty(&server);
    assert_eq!(sink.messages().len(), 1);
    let shown = json(&server, &["queue", "show", &first]);
    assert_eq!(shown["attempts"][0]["outcome"], "removed");
    assert!(server.cli(&["queue", "show", "99"]).is_err());
    let shown = json(&server, &["queue", "show", &second]);
    assert_eq!(shown["attempts"][0]["recipient"], "u@y.example");
}

/// F15: what was accepted before a crash goes out after it.
#[test]
fn f15_a_crash_forgets_nothing() {
    let sink = Sink::new()
        .reply("RCPT", "450 4.2.0 not now")
        .start()
        .expect("sink");
    let mut server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    for n in 0..20 {
        let to = [format!("<u@x{n}.example>"), format!("<v@x{n}.example>")];
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        transaction(
            &mut smtp,
            "<alice@example.test>",
            &to,
            &message(&format!("m{n}")),
        );
    }
    server.kill().expect("kill");
    sink.behave();
    server.launch().expect("launch");
    server.cli(&["queue", "retry", "--all"]).expect("retry");
    sink.wait(|_, messages| messages.len() >= 20);
    empty(&server);
    let mut subjects: Vec<String> = sink
        .messages()
        .iter()
        .map(|message| String::from_utf8_lossy(&message.content).into_owned())
        .filter_map(|text| Some(text.split_once("Subject: ")?.1.lines().next()?.to_owned()))
        .collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 20);
}

/// A28: what travels with the envelope arrives as it came.
#[test]
fn a28_envelope_parameters_round_trip() {
    let sink = Sink::new()
        .capabilities(&["DSN", "AUTH PLAIN", "8BITMIME", "SIZE 10000000"])
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    let mut smtp = logged_in(&server, ALICE);
    // What needs no escape has none: one value has one form.
    let envid = "a+2Bb+3D+20+20c\";\\<x>";
    let orcpt = "rfc822;O+2B+3D+20'\"<a>@y.example";
    let from = format!("<alice@example.test> RET=HDRS ENVID={envid}");
    let to = format!("<u@x.example> NOTIFY=SUCCESS,DELAY ORCPT={orcpt}");
    transaction(&mut smtp, &from, &[&to], &message("parameters"));
    let messages = sink.wait_messages(1);
    assert!(
        messages[0].mail.contains(&format!(" ENVID={envid}")),
        "{}",
        messages[0].mail
    );
    assert!(messages[0].mail.contains(" RET=HDRS"));
    let rcpt = &messages[0].recipients[0];
    assert!(rcpt.contains(&format!(" ORCPT={orcpt}")), "{rcpt}");
    assert!(rcpt.contains(" NOTIFY=SUCCESS,DELAY"), "{rcpt}");
    empty(&server);
    // The peer tells now, not we.
    assert_eq!(count(&server, ALICE), 0);
}

#[test]
fn stats_count_by_domain_and_sender() {
    let sink = Sink::new()
        .reply("RCPT", "450 4.2.0 no")
        .start()
        .expect("sink");
    let server = started(sending_to(&sink));
    let mut alice = logged_in(&server, ALICE);
    transaction(
        &mut alice,
        "<alice@example.test>",
        &["<u@x.example>", "<v@x.example>"],
        &message("a"),
    );
    transaction(
        &mut alice,
        "<alice@example.test>",
        &["<u@y.example>"],
        &message("b"),
    );
    let stats = json(&server, &["queue", "stats"]);
    assert_eq!(
        (&stats["messages"], &stats["recipients"]),
        (&2.into(), &3.into())
    );
    assert_eq!(stats["domains"][0]["name"], "x.example");
    assert_eq!(stats["senders"][0]["name"], ALICE);
    let text = server.cli(&["queue", "stats"]).expect("stats");
    assert!(text.contains("2 messages for 3 recipients"), "{text}");
    let listed = server
        .cli(&["queue", "list", "--domain", "y.example"])
        .expect("list");
    assert!(
        listed.contains("u@y.example") && !listed.contains("x.example"),
        "{listed}"
    );
}
