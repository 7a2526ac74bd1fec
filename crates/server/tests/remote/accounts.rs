//! Between servers of our own: everything that an account has goes over, once.

use testkit::server::{PASSWORD, Server};

use super::{ANNA, begin, contents, run, server, url, well};

/// An account with something of everything.
fn filled() -> Server {
    let server = server();
    let mut imap = server.connect(server.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    imap.imap(&format!("LOGIN \"{ANNA}\" \"{PASSWORD}\""))
        .expect("login");
    for name in ["Work/2020", "\"B&APw-cher &- x\"", "Empty"] {
        imap.imap(&format!("CREATE {name}")).expect("create");
    }
    imap.imap("SUBSCRIBE Work/2020").expect("subscribe");
    let say =
        |arguments: &str, message: &[u8]| server.append(ANNA, arguments, message).expect("append");
    say(
        "INBOX (\\Seen $Forwarded) \"01-Feb-2003 04:05:06 +0500\"",
        b"Message-ID: <1@x>\r\n\r\none\r\n",
    );
    say(
        "INBOX (\\Flagged) \"28-Feb-2021 23:59:59 -0900\"",
        b"Subject: no id\r\n\r\ntwo, no line end",
    );
    say("INBOX", b"Subject: no id\r\n\r\ntwo, no line end");
    say(
        "Sent (\\Seen \\Answered) \"17-Jul-1996 02:44:25 -0700\"",
        b"Message-ID: <2@x>\r\n\r\nsent\r\n",
    );
    say(
        "Work/2020 (Work NonJunk)",
        &[
            b"Subject: 8 bit \xe4\xff\r\n\r\n".as_slice(),
            &[b'x'; 70_000],
            b"\r\n",
        ]
        .concat(),
    );
    say(
        "\"B&APw-cher &- x\" ()",
        b"Subject: bare\n\nlines\n.\n..\r\nof all kinds\r",
    );
    server
}

#[test]
fn an_account_comes_whole_and_then_what_is_new() {
    let (there, here) = (filled(), server());
    let from = url("imap", there.ports().imap);
    let import = ["import", ANNA, &from];
    let first = well(&here, &import);
    assert_eq!(first["messages"], 6, "{first:#}");
    assert_eq!(contents(&here, ANNA), contents(&there, ANNA));
    let mailboxes = here
        .cli(&["--json", "mailbox", "list", ANNA])
        .expect("list");
    let mailboxes: serde_json::Value = serde_json::from_str(&mailboxes).expect("JSON");
    let work = mailboxes
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["name"] == "Work/2020");
    assert_eq!(work.expect("Work/2020")["subscribed"], true);
    let again = well(&here, &import);
    assert_eq!(
        (&again["messages"], &again["flags"]),
        (&0.into(), &0.into()),
        "{again:#}"
    );
    // What changed there, there and here, and here alone.
    let mut imap = there.connect(there.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    for command in [
        &format!("LOGIN \"{ANNA}\" \"{PASSWORD}\""),
        "SELECT INBOX",
        "STORE 1 FLAGS (\\Flagged Later)",
        "STORE 3 +FLAGS (\\Deleted)",
        "EXPUNGE",
    ] {
        imap.imap(command).expect(command);
    }
    there
        .deliver(ANNA, b"Subject: new\r\n\r\nnew\r\n")
        .expect("deliver");
    let mut imap = here.connect(here.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    for command in [
        &format!("LOGIN \"{ANNA}\" \"{PASSWORD}\""),
        "SELECT INBOX",
        "STORE 1 +FLAGS (\\Answered)",
        "SELECT Sent",
        "STORE 1 +FLAGS (\\Deleted)",
        "EXPUNGE",
    ] {
        imap.imap(command).expect(command);
    }
    let third = well(&here, &import);
    assert_eq!(
        (&third["messages"], &third["gone"]),
        (&1.into(), &1.into()),
        "{third:#}"
    );
    let now = contents(&here, ANNA);
    assert_eq!(now["INBOX"].len(), 4, "what is gone there stays here");
    let flags: Vec<_> = now["INBOX"]
        .iter()
        .filter(|(octets, ..)| octets.ends_with(b"\r\n\r\none\r\n"))
        .collect();
    assert_eq!(flags[0].1, ["Later", "\\Answered", "\\Flagged"]);
    assert_eq!(
        now.get("Sent"),
        None,
        "what was removed here does not come again"
    );
    // And without a server here, directly into the store.
    there
        .deliver(ANNA, b"Subject: newer\r\n\r\nnewer\r\n")
        .expect("deliver");
    let mut here = here;
    here.stop().expect("stop");
    assert_eq!(well(&here, &import)["messages"], 1);
}

#[test]
fn what_is_gone_there_goes_here_when_asked_for() {
    let (there, here) = (filled(), server());
    let from = url("imap", there.ports().imap);
    well(&here, &["import", ANNA, &from]);
    let mut imap = there.connect(there.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    for command in [
        &format!("LOGIN \"{ANNA}\" \"{PASSWORD}\""),
        "SELECT INBOX",
        "STORE 1:2 +FLAGS (\\Deleted)",
        "EXPUNGE",
    ] {
        imap.imap(command).expect(command);
    }
    well(&here, &["import", ANNA, &from, "--delete"]);
    assert_eq!(contents(&here, ANNA), contents(&there, ANNA));
}

#[test]
fn over_tls_one_mailbox_and_who_may_not() {
    let (there, here) = (filled(), server());
    let pem = there.config().with_file_name("cert.pem");
    let pem = pem.to_str().expect("UTF-8");
    let from = url("imaps", there.ports().imaps).replace("127.0.0.1", "localhost");
    let (code, _, said) = run(&here, &["import", ANNA, &from]);
    assert!(
        code == 1 && said.contains("TLS with localhost"),
        "its certificate is unknown: {said}"
    );
    well(&here, &["import", ANNA, &from, "--ca", pem]);
    // With certificates named, STARTTLS is used on this machine too.
    let one = format!("{}/Work/2020", url("imap", there.ports().imap));
    let one = one.replace("127.0.0.1", "localhost");
    let report = well(&here, &["import", ANNA, &one, "--ca", pem]);
    assert_eq!(
        report["mailboxes"].as_array().map(Vec::len),
        Some(1),
        "{report:#}"
    );
    let other = here.config().with_file_name("cert.pem");
    let (code, _, said) = run(
        &here,
        &["import", ANNA, &one, "--ca", other.to_str().expect("UTF-8")],
    );
    assert!(
        code == 1 && said.contains("TLS with localhost"),
        "somebody else's certificate: {said}"
    );
    let wrong = here
        .cli_with(
            &["import", ANNA, &url("imap", there.ports().imap)],
            "wrong\n",
        )
        .expect("run");
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        wrong.status.code() == Some(1) && said.contains("logging in failed"),
        "{said}"
    );
    let (code, _, said) = run(
        &here,
        &[
            "import",
            ANNA,
            &format!("{}/Nowhere", url("imap", there.ports().imap)),
        ],
    );
    assert!(code == 1 && said.contains("no mailbox Nowhere"), "{said}");
    let (code, _, said) = run(&here, &["import", ANNA, "imap://u:pw@127.0.0.1"]);
    assert!(
        code == 2 && said.contains("password has no place in a URL"),
        "{said}"
    );
    let (code, _, said) = run(&here, &["import", ANNA, "imap://u@127.0.0.1:1"]);
    assert!(code == 1 && said.contains("no connection"), "{said}");
}

#[test]
fn an_account_leaves_and_comes_back_the_same() {
    let (here, there) = (filled(), server());
    let to = url("imap", there.ports().imap);
    let export = ["export", ANNA, &to];
    assert_eq!(well(&here, &export)["messages"], 6);
    assert_eq!(contents(&there, ANNA), contents(&here, ANNA));
    assert_eq!(well(&here, &export)["messages"], 0);
    // One that was lost there, one whose flags changed here.
    let mut imap = there.connect(there.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    for command in [
        &format!("LOGIN \"{ANNA}\" \"{PASSWORD}\""),
        "SELECT INBOX",
        "STORE 2 +FLAGS (\\Deleted)",
        "EXPUNGE",
    ] {
        imap.imap(command).expect(command);
    }
    let mut imap = here.connect(here.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    for command in [
        &format!("LOGIN \"{ANNA}\" \"{PASSWORD}\""),
        "SELECT Sent",
        "STORE 1 FLAGS (\\Flagged Kept)",
    ] {
        imap.imap(command).expect(command);
    }
    let third = well(&here, &export);
    assert_eq!(
        (&third["messages"], &third["flags"]),
        (&1.into(), &1.into()),
        "{third:#}"
    );
    assert_eq!(contents(&there, ANNA), contents(&here, ANNA));
    let back = server();
    well(&back, &["import", ANNA, &to]);
    assert_eq!(contents(&back, ANNA), contents(&here, ANNA));
}

/// kill -9 in the middle of an APPEND of many: the next run adds neither too little nor too much.
#[test]
fn an_export_that_is_killed_goes_on() {
    let (here, there) = (server(), server());
    let mut lmtp = here.connect(here.ports().lmtp).expect("connect");
    lmtp.reply().expect("greeting");
    lmtp.smtp("LHLO test.example", 250).expect("LHLO");
    for number in 0..300 {
        lmtp.smtp("MAIL FROM:<a@remote.example>", 250)
            .expect("MAIL");
        lmtp.smtp(&format!("RCPT TO:<{ANNA}>"), 250).expect("RCPT");
        lmtp.smtp("DATA", 354).expect("DATA");
        // Every other one has no Message-ID to be known by.
        let id = if number % 2 == 0 {
            format!("Message-ID: <{number}@x>\r\n")
        } else {
            String::new()
        };
        lmtp.smtp(
            &format!("{id}Subject: {number}\r\n\r\n{}\r\n.", "x".repeat(number)),
            250,
        )
        .expect("message");
    }
    let to = url("imap", there.ports().imap);
    for least in [1, 120] {
        let mut child = begin(&here, &["export", ANNA, &to]);
        let begun = std::time::Instant::now();
        while contents(&there, ANNA).get("INBOX").map_or(0, Vec::len) < least {
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(30),
                "nothing arrives"
            );
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
    well(&here, &["export", ANNA, &to]);
    assert_eq!(contents(&there, ANNA), contents(&here, ANNA));
}

/// Unique-ids of a maildrop.
fn unique_ids(server: &Server) -> Vec<String> {
    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    pop3.answer().expect("greeting");
    for command in [&format!("USER {ANNA}"), &format!("PASS {PASSWORD}")] {
        pop3.line(command).expect("send");
        assert!(pop3.answer().expect("answer").starts_with("+OK"));
    }
    pop3.line("UIDL").expect("send");
    let lines = pop3.answers_until(|line| line == ".").expect("list");
    lines
        .iter()
        .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
        .skip(1)
        .collect()
}

#[test]
fn a_maildrop_comes_with_its_unique_ids_and_goes_there_when_asked_for() {
    let (there, here) = (server(), server());
    for number in 0..40 {
        let received =
            format!("Received: from a by b; Fri, 21 Nov 1997 16:00:{number:02} +0000\r\n");
        let message = format!(
            "{received}Subject: {number}\r\n\r\n.dot\r\n..\r\n{}\r\n",
            "x".repeat(number * 50)
        );
        there
            .append(ANNA, "INBOX", message.as_bytes())
            .expect("append");
    }
    let from = url("pop3", there.ports().pop3);
    let import = ["import", ANNA, &from];
    assert_eq!(well(&here, &import)["messages"], 40);
    assert_eq!(unique_ids(&here), unique_ids(&there));
    let (ours, theirs) = (contents(&here, ANNA), contents(&there, ANNA));
    let octets = |all: &super::Contents| {
        all.iter()
            .map(|(octets, ..)| octets.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(octets(&ours["INBOX"]), octets(&theirs["INBOX"]));
    assert!(
        ours["INBOX"]
            .iter()
            .any(|(.., date)| date == "21-Nov-1997 16:00:07 +0000"),
        "{ours:?}"
    );
    there
        .deliver(ANNA, b"Subject: new\r\n\r\nnew\r\n")
        .expect("deliver");
    let second = well(&here, &["import", ANNA, &from, "--delete"]);
    assert_eq!(second["messages"], 1);
    assert_eq!(contents(&there, ANNA).get("INBOX"), None);
    assert_eq!(contents(&here, ANNA)["INBOX"].len(), 41);
    let third = well(&here, &import);
    assert_eq!(third["messages"], 0);
}

/// What RETR gives of the first message to a client that knows UTF8 (RFC 6856 §2), line by line.
fn original(server: &Server) -> Vec<String> {
    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    pop3.answer().expect("greeting");
    for command in ["UTF8", &format!("USER {ANNA}"), &format!("PASS {PASSWORD}")] {
        pop3.line(command).expect("send");
        assert!(pop3.answer().expect("answer").starts_with("+OK"));
    }
    pop3.line("RETR 1").expect("send");
    pop3.answers_until(|line| line == ".").expect("message")
}

/// What comes, and is then removed there, is the message and not its surrogate.
#[test]
fn a_maildrop_gives_messages_with_utf8_in_their_headers_as_they_are() {
    let (there, here) = (server(), server());
    let message =
        "From: Zo\u{eb} <zo\u{eb}@example.test>\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\n\u{fc}\r\n";
    there.deliver(ANNA, message.as_bytes()).expect("deliver");
    let sent = original(&there);
    assert!(
        sent.contains(&"Subject: Gr\u{fc}\u{df}e".to_owned()),
        "{sent:?}"
    );
    let from = url("pop3", there.ports().pop3);
    assert_eq!(well(&here, &["import", ANNA, &from])["messages"], 1);
    assert_eq!(original(&here), sent);
}
