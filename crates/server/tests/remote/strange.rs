//! Servers that are not like ours: other names and separators, numbers that change, connections that end, and attackers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use testkit::server::Server;

use super::fake::{Fake, Mailbox, Message, Quirk};
use super::{ANNA, begin, contents, run, server, well};

fn many(count: u32) -> Vec<Message> {
    (1..=count)
        .map(|uid| Message::new(uid, &format!("number {uid}")))
        .collect()
}

/// Waits for something that another process does.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn names_of_other_servers_become_ours() {
    let here = server();
    let fake = Fake::start(vec![
        Mailbox::new("INBOX", many(2)),
        Mailbox::new("INBOX.Sent Items", many(1)).with("\\Sent"),
        Mailbox::new("INBOX.Entw&APw-rfe", many(1)),
        Mailbox::new("INBOX.Work", Vec::new()).with("\\Noselect \\HasChildren"),
        Mailbox::new("INBOX.Work.a/b", many(1)),
        Mailbox::new("INBOX.100%", many(1)),
        Mailbox::new("INBOX...x", many(1)),
        Mailbox::new("Shared.theirs", many(1)),
        Mailbox::new(
            "INBOX.All",
            vec![many(2).remove(1), Message::new(9, "archived")],
        )
        .with("\\All"),
    ]);
    fake.change(|site| site.subscribed = vec!["INBOX.Work.a/b", "INBOX.gone"]);
    let report = well(&here, &["import", ANNA, &fake.url()]);
    let here_now = contents(&here, ANNA);
    let names: Vec<(&str, usize)> = here_now
        .iter()
        .map(|(name, all)| (name.as_str(), all.len()))
        .collect();
    assert_eq!(
        names,
        [
            ("100_", 1),
            ("Archive", 1),
            ("Drafts", 1),
            ("INBOX", 2),
            ("Sent", 1),
            ("Work/a_b", 1),
            ("_/_/x", 1)
        ],
        "{report:#}"
    );
    assert!(here_now["Archive"][0].0.starts_with(b"Subject: archived"));
    assert_eq!(here_now["INBOX"][0].2, "17-Jul-1996 09:44:25 +0000");
    let mailboxes = here
        .cli(&["--json", "mailbox", "list", ANNA])
        .expect("list");
    assert!(mailboxes.contains("\"Work/a_b\""), "{mailboxes}");
    assert_eq!(well(&here, &["import", ANNA, &fake.url()])["messages"], 0);
}

#[test]
fn passwords_and_tokens_go_only_where_they_may() {
    let here = server();
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(1))]);
    let pem = here.config().with_file_name("cert.pem");
    let import = [
        "import",
        ANNA,
        &fake.url(),
        "--ca",
        pem.to_str().expect("UTF-8"),
    ];
    let (code, _, said) = run(&here, &import);
    assert!(code == 1 && said.contains("offers no TLS"), "{said}");
    let heard = |word: &str| {
        fake.heard
            .lock()
            .expect("list")
            .iter()
            .filter(|line| line.contains(word))
            .count()
    };
    assert_eq!((heard("STARTTLS"), heard("LOGIN")), (1, 0));
    well(&here, &[&import[..], &["--unencrypted"]].concat());
    assert_eq!(heard("LOGIN"), 1);
    let token = here.config().with_file_name("token");
    std::fs::write(&token, "t0ken\nnot this\n").expect("write");
    for (mechanism, octets) in [
        ("OAUTHBEARER", "n,a=anna,\u{1}auth=Bearer t0ken\u{1}\u{1}"),
        ("XOAUTH2", "user=anna\u{1}auth=Bearer t0ken\u{1}\u{1}"),
    ] {
        let announced = format!("IMAP4rev1 SASL-IR AUTH=PLAIN AUTH={mechanism}").leak();
        fake.change(|site| site.capabilities = announced);
        well(
            &here,
            &[
                "import",
                ANNA,
                &fake.url(),
                "--token-file",
                token.to_str().expect("UTF-8"),
            ],
        );
        let all = fake.heard.lock().expect("list").clone();
        let said = all
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("AUTHENTICATE ")?.strip_prefix(mechanism))
            .expect("a login");
        let said = unbase64(said.trim());
        assert_eq!(said, octets);
    }
    fake.change(|site| site.capabilities = "IMAP4rev1 LOGINDISABLED");
    let (code, _, said) = run(&here, &["import", ANNA, &fake.url()]);
    assert!(code == 1 && said.contains("no way to log in"), "{said}");
}

/// Octets of base64.
fn unbase64(text: &str) -> String {
    let mut bits = 0_u32;
    let (mut count, mut out) = (0, Vec::new());
    for digit in text.bytes().filter(|octet| *octet != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(out).expect("text")
}

/// What is only seen in All Mail once it left its mailbox there.
#[test]
fn a_message_that_moves_there_moves_here_when_asked_for() {
    let here = server();
    let all = [many(3), vec![Message::new(4, "archived")]].concat();
    let fake = Fake::start(vec![
        Mailbox::new("INBOX", many(3)),
        Mailbox::new("INBOX.All", all).with("\\All"),
        Mailbox::new("INBOX.Starred", vec![many(2).remove(1)]).with("\\Flagged"),
    ]);
    let import = ["import", ANNA, &fake.url(), "--delete"];
    well(&here, &import);
    let counts = || {
        let all = contents(&here, ANNA);
        let count = |name: &str| all.get(name).map_or(0, Vec::len);
        (all.len(), count("INBOX"), count("Archive"))
    };
    assert_eq!(counts(), (2, 3, 1));
    // One leaves the INBOX, one its star.
    fake.change(|site| {
        site.mailboxes[0].messages.remove(0);
        site.mailboxes[2].messages.clear();
    });
    well(&here, &import);
    assert_eq!(counts(), (2, 2, 2));
    well(&here, &import);
    assert_eq!(counts(), (2, 2, 2));
    let (code, report, _) = run(&here, &["import", ANNA, &fake.url(), "--skip-views"]);
    assert_eq!(
        (code, report["mailboxes"].as_array().map(Vec::len)),
        (0, Some(1)),
        "{report:#}"
    );
}

#[test]
fn an_empty_message_and_one_that_is_too_large_for_the_quota() {
    let here = server();
    let mut empty = Message::new(1, "x");
    empty.octets.clear();
    let fake = Fake::start(vec![Mailbox::new(
        "INBOX",
        vec![empty, Message::new(2, "y")],
    )]);
    well(&here, &["import", ANNA, &fake.url()]);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 2);
    fake.change(|site| {
        let mut large = Message::new(3, "large");
        large.octets = vec![b'x'; 50_000];
        site.mailboxes[0]
            .messages
            .extend([large, Message::new(4, "small")]);
    });
    here.set_quota(ANNA, 10_000).expect("quota");
    let (code, _, said) = run(&here, &["import", ANNA, &fake.url()]);
    assert!(code == 1 && said.contains("over quota"), "{said}");
    here.set_quota(ANNA, 100_000).expect("quota");
    well(&here, &["import", ANNA, &fake.url()]);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 4);
}

/// A POP3 server that gives these answers, one after the other, on each connection.
fn pop3(answers: &'static [&'static str]) -> String {
    pop3_of(vec![answers])
}

/// The same with other answers on each connection; the last ones for all further connections.
fn pop3_of(connections: Vec<&'static [&'static str]>) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        let last = connections.last().copied().unwrap_or_default();
        let connections = connections.into_iter().chain(std::iter::repeat(last));
        for (mut stream, answers) in listener.incoming().flatten().zip(connections) {
            let mut lines = BufReader::new(stream.try_clone().expect("clone")).lines();
            for answer in answers {
                // The client may hang up at any time.
                let endless = answer.strip_suffix('\u{221e}');
                let _ = stream.write_all(endless.unwrap_or(answer).as_bytes());
                while endless.is_some() && stream.write_all(&[b'x'; 65536]).is_ok() {}
                if !matches!(lines.next(), Some(Ok(_))) {
                    break;
                }
            }
        }
    });
    format!("pop3://anna@127.0.0.1:{port}")
}

#[test]
fn maildrops_of_attackers_get_a_clear_answer() {
    let here = server();
    const LOGIN: &str = "+OK\r\n";
    for (answers, why) in [
        (&["220 smtp\r\n"] as &[&str], "does not speak POP3"),
        (&["+OK\u{221e}"], "line is too long"),
        (
            &[LOGIN, "-ERR\r\n", LOGIN, "-ERR no\r\n"],
            "logging in failed: no",
        ),
        (
            &[LOGIN, "-ERR\r\n", LOGIN, LOGIN, "-ERR\r\n", "-ERR\r\n"],
            "no unique-ids",
        ),
        (
            &[
                LOGIN,
                "-ERR\r\n",
                LOGIN,
                LOGIN,
                "-ERR\r\n",
                "+OK\r\n1 \u{1}\u{2}\r\n.\r\n",
                "+OK\r\n.\r\n",
            ],
            "unique-id that is none",
        ),
        (
            &[
                LOGIN,
                "-ERR\r\n",
                LOGIN,
                LOGIN,
                "-ERR\r\n",
                "+OK\r\n\u{221e}",
            ],
            "more at once",
        ),
    ] {
        let (code, _, said) = run(&here, &["import", ANNA, &pop3(answers)]);
        assert!(code == 1 && said.contains(why), "{answers:?}: {said}");
    }
    // Two messages under one id are two.
    let answers = &[
        LOGIN,
        "-ERR\r\n",
        LOGIN,
        LOGIN,
        "-ERR\r\n",
        "+OK\r\n1 same\r\n2 same\r\n.\r\n",
        "+OK\r\n1 3\r\n2 3\r\n.\r\n",
        "+OK\r\na\r\n.\r\n",
        "+OK\r\nb\r\n.\r\n",
        LOGIN,
    ];
    well(&here, &["import", ANNA, &pop3(answers)]);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 2);
}

#[test]
fn a_name_that_nobody_can_read_is_told() {
    let here = server();
    let mut broken = Mailbox::new("x", many(1));
    broken.name = "\"R&D\"".to_owned();
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(1)), broken]);
    let (code, report, said) = run(&here, &["import", ANNA, &fake.url()]);
    assert_eq!(code, 1);
    assert!(said.contains("R&D"), "{said}");
    assert_eq!(report["complete"], false);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 1, "the rest comes");
}

#[test]
fn a_new_uidvalidity_brings_nothing_twice() {
    let here = server();
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(30))]);
    well(&here, &["import", ANNA, &fake.url()]);
    fake.change(|site| {
        let inbox = &mut site.mailboxes[0];
        inbox.uid_validity = 8;
        inbox.messages.reverse();
        for (uid, message) in (1000..).zip(&mut inbox.messages) {
            message.uid = uid;
        }
        inbox.messages[0].flags = "\\Seen";
        inbox.messages.push(Message::new(5000, "new"));
    });
    well(&here, &["import", ANNA, &fake.url()]);
    let inbox = &contents(&here, ANNA)["INBOX"];
    assert_eq!(inbox.len(), 31);
    let seen = inbox
        .iter()
        .filter(|(_, flags, _)| flags.contains(&"\\Seen".to_owned()));
    assert_eq!(seen.count(), 1, "flags are those of now");
}

/// How many messages the INBOX has.
fn messages(server: &Server) -> u64 {
    let text = server
        .cli(&["--json", "mailbox", "list", ANNA])
        .expect("list");
    let rows: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let inbox = rows
        .as_array()
        .into_iter()
        .flatten()
        .find(|row| row["name"] == "INBOX");
    inbox
        .and_then(|row| row["messages"].as_u64())
        .expect("a number")
}

/// kill -9 in the middle, of the import and of the server, again and again.
#[test]
fn an_import_that_is_killed_goes_on() {
    let mut here = server();
    let fake = Fake::start(vec![
        Mailbox::new("INBOX", many(700)),
        Mailbox::new("INBOX.b", many(40)),
    ]);
    for (round, most) in [3, 150, 200, 77].into_iter().enumerate() {
        fake.change(|site| site.quirk = Quirk::HangAfter(most));
        let before = fake.given.load(Ordering::Acquire);
        let kept = messages(&here);
        let mut child = begin(&here, &["import", ANNA, &fake.url()]);
        until("messages", || {
            fake.given.load(Ordering::Acquire) >= before + most
        });
        // Beyond what may wait for its answer, messages are in the store by then.
        if most > 100 {
            until("the store", || messages(&here) > kept);
        }
        if round % 2 == 1 {
            here.kill().expect("kill the server");
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        if round % 2 == 1 {
            here.launch().expect("launch");
        }
    }
    fake.change(|site| site.quirk = Quirk::None);
    let report = well(&here, &["import", ANNA, &fake.url()]);
    assert!(
        report["messages"].as_u64().is_some_and(|new| new < 740),
        "something had been kept: {report:#}"
    );
    let all = contents(&here, ANNA);
    assert_eq!((all["INBOX"].len(), all["b"].len()), (700, 40));
    let mut octets: Vec<_> = all["INBOX"].iter().map(|(octets, ..)| octets).collect();
    octets.dedup();
    assert_eq!(octets.len(), 700, "each once");
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let here = server();
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(20))]);
    fake.change(|site| site.quirk = Quirk::DropAfter(7));
    let report = well(&here, &["import", ANNA, &fake.url()]);
    assert_eq!(fake.connections(), 2);
    assert_eq!(report["messages"], 20, "{report:#}");
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 20);
}

#[test]
fn dates_that_are_none_and_messages_unasked_for() {
    let here = server();
    let dated = |uid: u32| {
        let mut message = Message::new(uid, "x");
        message.octets =
            format!("Date: Fri, 21 Nov 1997 09:55:0{uid} -0600\r\n\r\n{uid}").into_bytes();
        message
    };
    let fake = Fake::start(vec![Mailbox::new("INBOX", vec![dated(1), dated(2)])]);
    fake.change(|site| site.quirk = Quirk::NoDate);
    well(&here, &["import", ANNA, &fake.url()]);
    let inbox = &contents(&here, ANNA)["INBOX"];
    assert_eq!(inbox[0].2, "21-Nov-1997 15:55:01 +0000");
    fake.change(|site| {
        site.quirk = Quirk::OtherUids;
        site.mailboxes[0].messages.push(Message::new(77, "new"));
    });
    well(&here, &["import", ANNA, &fake.url()]);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 3);
}

#[test]
fn servers_that_lie_are_told_of() {
    let here = server();
    let mut lying = many(3);
    lying[1].said = Some(5);
    let mut missing = Mailbox::new("INBOX.b", many(2));
    missing.exists = Some(9);
    let mut large = many(2);
    large[0].said = Some(999_999_999_999);
    let fake = Fake::start(vec![
        Mailbox::new("INBOX", lying),
        missing,
        Mailbox::new("INBOX.c", large),
    ]);
    let (code, report, said) = run(&here, &["import", ANNA, &fake.url()]);
    assert_eq!(code, 1, "{report:#}");
    let differs = |at: usize| report["mailboxes"][at]["differs"].to_string();
    assert!(differs(0).contains("octets"), "{report:#}");
    assert!(
        differs(1).contains("says it has 9 messages and lists 2"),
        "{report:#}"
    );
    assert!(said.contains("UID 1: 999999999999 octets"), "{said}");
    let all = contents(&here, ANNA);
    assert_eq!(
        (all["INBOX"].len(), all["b"].len(), all["c"].len()),
        (3, 2, 1),
        "what can come has come"
    );
}

/// The highest memory that a process had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}

#[test]
fn attackers_get_a_clear_answer_and_no_memory() {
    let here = server();
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(1))]);
    for (quirk, why) in [
        (Quirk::EndlessLine, "more at once than any message"),
        (Quirk::AbsurdLiteral, "more at once than any message"),
        (Quirk::Million, "lists more than 20000 mailboxes"),
        (Quirk::Nonsense, "not written as names must be"),
    ] {
        fake.change(|site| site.quirk = quirk);
        let mut child = begin(&here, &["import", ANNA, &fake.url()]);
        let mut most = 0;
        until("its end", || {
            most = most.max(peak(child.id()));
            child.try_wait().expect("state").is_some()
        });
        assert!(most < 128 * 1024, "{quirk:?}: {most} KiB");
        let (code, _, said) = run(&here, &["import", ANNA, &fake.url()]);
        assert_eq!(code, 1, "{quirk:?}");
        assert!(said.contains(why), "{quirk:?}: {said}");
    }
    assert_eq!(
        contents(&here, ANNA)["INBOX"].len(),
        1,
        "what could be understood"
    );
}

/// A damaged index, or an answer that nobody understands: what is not listed is not gone.
#[test]
fn what_a_server_fails_to_list_is_not_removed() {
    let here = server();
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(3))]);
    let import = ["import", ANNA, &fake.url(), "--delete"];
    well(&here, &import);
    let lost = fake.site.lock().expect("site").mailboxes[0].messages[1].clone();
    fake.change(|site| {
        site.mailboxes[0].messages.remove(1);
        site.mailboxes[0].exists = Some(3);
    });
    let (code, report, said) = run(&here, &import);
    assert_eq!(code, 1, "{report:#} {said}");
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 3, "{report:#}");
    // Nor is it brought twice when it shows again.
    fake.change(|site| site.mailboxes[0].messages.insert(1, lost));
    well(&here, &import);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 3);
    // And once it is gone by all accounts, it goes.
    fake.change(|site| {
        site.mailboxes[0].messages.remove(1);
        site.mailboxes[0].exists = None;
    });
    well(&here, &import);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 2);
}

/// Two machines behind one name, each with numbers of its own.
#[test]
fn a_uidvalidity_that_comes_back_stops_nothing() {
    let here = server();
    let fake = Fake::start(vec![Mailbox::new("INBOX", Vec::new())]);
    for round in 0..6_u32 {
        fake.change(|site| {
            site.mailboxes[0].uid_validity = 7 + round % 2;
            site.mailboxes[0].messages = vec![Message::new(1, &format!("round {round}"))];
        });
        well(&here, &["import", ANNA, &fake.url()]);
    }
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 6);
    // The same key goes twice under one UIDVALIDITY.
    for round in 6..9 {
        fake.change(|site| site.mailboxes[0].messages.clear());
        well(&here, &["import", ANNA, &fake.url()]);
        fake.change(|site| {
            site.mailboxes[0].messages = vec![Message::new(1, &format!("round {round}"))];
        });
        well(&here, &["import", ANNA, &fake.url()]);
    }
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 9);
}

#[test]
fn nothing_brought_is_not_everything_brought() {
    let here = server();
    let fake = Fake::start(Vec::new());
    let (code, _, said) = run(&here, &["import", ANNA, &fake.url()]);
    assert!(code == 1 && said.contains("no mailbox INBOX"), "{said}");
    // A name with more levels than names may have here leaves its mailbox out, and no other.
    let long = format!("INBOX{}", ".x".repeat(60));
    fake.change(|site| {
        site.mailboxes = vec![
            Mailbox::new("INBOX", many(1)),
            Mailbox::new(&long, many(1)),
            Mailbox::new("INBOX.y", many(1)),
        ];
    });
    let (code, _, said) = run(&here, &["import", ANNA, &fake.url()]);
    assert!(code == 1 && said.contains("left out: INBOX.x.x"), "{said}");
    assert_eq!(contents(&here, ANNA)["y"].len(), 1);
}

/// Nobody knows whether what is not listed is ours.
#[test]
fn nothing_is_added_where_not_all_is_listed() {
    let here = server();
    here.deliver(ANNA, b"Subject: ours\r\n\r\n")
        .expect("deliver");
    let fake = Fake::start(vec![Mailbox::new("INBOX", many(2))]);
    fake.change(|site| site.mailboxes[0].exists = Some(3));
    let (code, _, said) = run(&here, &["export", ANNA, &fake.url()]);
    assert!(code == 1 && said.contains("lists"), "{said}");
    let heard = fake.heard.lock().expect("list");
    assert!(
        !heard.iter().any(|line| line.starts_with("APPEND")),
        "{heard:?}"
    );
}

#[test]
fn a_maildrop_that_shows_less_for_a_while() {
    const OK: &str = "+OK\r\n";
    const LOGIN: [&str; 5] = [OK, "-ERR\r\n", OK, OK, "-ERR\r\n"];
    const FULL: &[&str] = &[
        LOGIN[0],
        LOGIN[1],
        LOGIN[2],
        LOGIN[3],
        LOGIN[4],
        "+OK\r\n1 a\r\n2 b\r\n.\r\n",
        "+OK\r\n1 3\r\n2 3\r\n.\r\n",
        "+OK\r\na\r\n.\r\n",
        "+OK\r\nb\r\n.\r\n",
        OK,
    ];
    const EMPTY: &[&str] = &[
        LOGIN[0],
        LOGIN[1],
        LOGIN[2],
        LOGIN[3],
        LOGIN[4],
        "+OK\r\n.\r\n",
        "+OK\r\n.\r\n",
        OK,
    ];
    const LESS: &[&str] = &[
        LOGIN[0],
        LOGIN[1],
        LOGIN[2],
        LOGIN[3],
        LOGIN[4],
        "+OK\r\n1 a\r\n.\r\n",
        "+OK\r\n1 3\r\n2 3\r\n.\r\n",
        OK,
    ];
    let here = server();
    let url = pop3_of(vec![FULL, EMPTY, FULL, LESS]);
    let import = ["import", ANNA, &url];
    for expected in [2, 2, 2] {
        well(&here, &import);
        assert_eq!(contents(&here, ANNA)["INBOX"].len(), expected);
    }
    let less = pop3(LESS_FIRST);
    let (code, report, _) = run(&here, &["import", ANNA, &less]);
    assert_eq!(code, 1, "one of two is not all: {report:#}");
    assert_eq!(run(&here, &import).0, 0, "what is not listed is here");

    const LESS_FIRST: &[&str] = &[
        LOGIN[0],
        LOGIN[1],
        LOGIN[2],
        LOGIN[3],
        LOGIN[4],
        "+OK\r\n1 a\r\n.\r\n",
        "+OK\r\n1 3\r\n2 3\r\n.\r\n",
        "+OK\r\na\r\n.\r\n",
        OK,
    ];
}
