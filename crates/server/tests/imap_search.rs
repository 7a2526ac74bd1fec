//! Searching against the built server: the index beside it, crashes, and searches made to cost.

mod imap_client;

use std::time::{Duration, Instant};

use imap_client::Client;
use testkit::server::Server;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn server() -> Server {
    let server = Server::start().expect("starts");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("account");
    server.add_account(BOB).expect("account");
    server
}

fn message(n: usize) -> Vec<u8> {
    let kind = ["apple", "pear", "plum"][n % 3];
    format!(
        "From: sender{n}@remote.example\r\nSubject: {kind} {n}\r\nMessage-ID: <{n}@remote.example>\r\n\
         References: <{}@remote.example>\r\nDate: 1 Jan 2020 00:{:02}:{:02} +0000\r\n\r\nabout a {kind}tree\r\n",
        n / 2,
        n / 60 % 60,
        n % 60
    )
    .into_bytes()
}

fn fill(client: &mut Client, numbers: std::ops::Range<usize>) {
    for n in numbers {
        assert!(client.append("INBOX", &message(n)).ok());
    }
}

/// What is found is the same whether a message is indexed, was just delivered, or came before a crash.
#[test]
fn nothing_is_missed_while_the_index_follows_and_after_kills() {
    let mut server = server();
    let mut told = 0;
    for round in 0..3 {
        let mut client = Client::login(&server, ALICE);
        fill(&mut client, told..told + 60);
        told += 60;
        client.ok("SELECT INBOX");
        for wait in [0, 400] {
            // At once, when nothing is indexed, and when it is or is being indexed.
            std::thread::sleep(Duration::from_millis(wait));
            let expect = |kind: usize| (0..told).filter(|n| n % 3 == kind).count();
            for (command, count) in [
                ("BODY peartree", expect(1)),
                ("SUBJECT plum", expect(2)),
                ("TEXT sender1@remote", 1),
                ("HEADER Message-ID <17@remote.example>", 1),
                ("NOT TEXT appletree", told - expect(0)),
                ("FROM remote.example SENTON 1-Jan-2020", told),
            ] {
                let answer = client.ok(&format!("SEARCH RETURN (COUNT) {command}"));
                let line = answer.with("ESEARCH").concat();
                assert!(
                    line.ends_with(&format!("COUNT {count}")),
                    "{command}: {line}"
                );
            }
            let answer = client.ok("SORT (REVERSE DATE) UTF-8 ALL");
            let expected: Vec<String> = (1..=told).rev().map(|n| n.to_string()).collect();
            assert_eq!(answer.lines(), [format!("SORT {}", expected.join(" "))]);
            let threads = client.ok("THREAD REFERENCES UTF-8 ALL").lines().concat();
            let numbers = threads.split(|c: char| !c.is_ascii_digit());
            assert_eq!(numbers.filter(|n| !n.is_empty()).count(), told);
        }
        if round < 2 {
            server.kill().expect("kills");
            server.launch().expect("starts again");
        }
    }
    // Words leave with their messages: SEARCH is right in between, too.
    let mut client = Client::login(&server, ALICE);
    client.ok("SELECT INBOX");
    client.ok("STORE 1:90 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    let answer = client.ok("SEARCH RETURN (COUNT) BODY appletree");
    assert!(answer.with("ESEARCH").concat().ends_with("COUNT 30"));
}

/// A20: many connections that search, sort and thread without end; others are answered meanwhile.
#[test]
fn a20_searches_of_many_connections_leave_others_alone() {
    let server = server();
    let mut filler = Client::login(&server, ALICE);
    fill(&mut filler, 0..300);
    let mut busy: Vec<Client> = (0..20).map(|_| Client::login(&server, ALICE)).collect();
    let mut tags = Vec::new();
    for client in &mut busy {
        client.ok("SELECT INBOX");
        let each = [
            "SEARCH NOT BODY x",
            "SEARCH FUZZY TEXT treeappel",
            "THREAD REFERENCES UTF-8 BODY e",
            "SORT (SUBJECT DISPLAYFROM) UTF-8 BODY t",
            "ESEARCH IN (personal) BODY a",
        ];
        tags.push(each.map(|command| client.send(command)));
    }
    let mut bob = Client::login(&server, BOB);
    let mut slowest = Duration::ZERO;
    for _ in 0..30 {
        let begun = Instant::now();
        bob.ok("NOOP");
        slowest = slowest.max(begun.elapsed());
    }
    // The machine that tests has other work; a search of these takes much longer in all.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for (client, tags) in busy.iter_mut().zip(tags) {
        for tag in tags {
            let answer = client.answer(&tag);
            assert!(answer.ok() || answer.code() == "LIMIT", "{}", answer.tagged);
        }
    }
}

/// A20: fifty connections of one account that search all the time leave somebody else's search its share.
#[test]
fn a20_one_account_has_one_share() {
    let server = server();
    let words = "some words that are looked through ".repeat(100);
    let mut filler = Client::login(&server, ALICE);
    for n in 0..30 {
        let text = format!("Subject: {n}\r\n\r\n{words}\r\n");
        assert!(filler.append("INBOX", text.as_bytes()).ok());
    }
    let mut bob = Client::login(&server, BOB);
    assert!(bob.append("INBOX", &message(1)).ok());
    bob.ok("SELECT INBOX");
    let mut busy: Vec<Client> = (0..50).map(|_| Client::login(&server, ALICE)).collect();
    for client in &mut busy {
        client.ok("SELECT INBOX");
    }
    let begun = Instant::now();
    let tags: Vec<Vec<String>> = busy
        .iter_mut()
        .map(|client| {
            let search = "SEARCH FUZZY BODY lokedthruogh FUZZY BODY sommewordds FUZZY BODY nothing";
            (0..2).map(|_| client.send(search)).collect()
        })
        .collect();
    // A search of one's own, in the middle of all that: it stands before most of those that were asked for earlier.
    let mut waits = Vec::new();
    for _ in 0..5 {
        let asked = Instant::now();
        bob.ok("SEARCH BODY tree");
        waits.push(asked.elapsed());
    }
    let asked = begun.elapsed();
    for (client, tags) in busy.iter_mut().zip(tags) {
        for tag in tags {
            let answer = client.answer(&tag);
            assert!(answer.ok() || answer.code() == "LIMIT", "{}", answer.tagged);
        }
    }
    let all = begun.elapsed();
    println!("{waits:?}, {asked:?} of {all:?}");
    // In one line with the others, each of the five would come after fifty.
    assert!(asked < all / 2, "{waits:?}, {asked:?} of {all:?}");
}
