//! IMAP end to end, against the built binary: every command, two sessions on one mailbox, and the attacks by their ids.

use std::time::{Duration, Instant};

use testkit::server::{PASSWORD, Server};

mod imap_client;
use imap_client::{Client, item};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn server() -> Server {
    let server = Server::start().unwrap();
    server.add_domain("example.test").unwrap();
    server.add_account(ALICE).unwrap();
    server
}

fn plain(subject: &str, body: &str) -> Vec<u8> {
    format!("From: A <a@x.test>\r\nTo: b@y.test\r\nSubject: {subject}\r\nDate: Mon, 7 Feb 2022 21:52:25 -0800\r\n\r\n{body}\r\n")
        .into_bytes()
}

const MIXED: &[u8] = b"From: Fred <fred@x.test>\r\n\
To: team: a@y.test, b@y.test;\r\n\
Subject: =?utf-8?q?caf=C3=A9?= au lait\r\n\
Message-ID: <1@x.test>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\
\r\n\
preamble\r\n\
--b\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\
\r\n\
Gr=C3=BC=C3=9Fe\r\n\
--b\r\n\
Content-Type: application/octet-stream; name=a.bin\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
AAECAwQF\r\n\
--b\r\n\
Content-Type: message/rfc822\r\n\
\r\n\
Subject: inner one\r\n\
Content-Type: text/plain\r\n\
\r\n\
inner text\r\n\
--b--\r\n";

/// The literal in a response.
fn literal(response: &[u8]) -> &[u8] {
    let open = response.iter().position(|b| *b == b'{').expect("a literal");
    let close = open + response[open..].iter().position(|b| *b == b'}').unwrap();
    let size: usize = std::str::from_utf8(&response[open + 1..close])
        .unwrap()
        .parse()
        .unwrap();
    &response[close + 3..close + 3 + size]
}

/// A string of a response, quoted or literal, behind `name `.
fn value(response: &[u8], name: &str) -> Option<Vec<u8>> {
    let at = response
        .windows(name.len() + 1)
        .position(|w| w == format!("{name} ").as_bytes())?
        + name.len()
        + 1;
    match response[at] {
        b'"' => {
            let end = response[at + 1..].iter().position(|b| *b == b'"')?;
            Some(response[at + 1..at + 1 + end].to_vec())
        }
        b'{' | b'~' => Some(literal(&response[at..]).to_vec()),
        _ => None,
    }
}

fn section(client: &mut Client, item: &str) -> Option<Vec<u8>> {
    let answer = client.ok(&format!(
        "FETCH 1 {}",
        item.replace("BODY[", "BODY.PEEK[")
            .replace("BINARY[", "BINARY.PEEK[")
    ));
    let name = match item.find('<') {
        Some(at) => format!(
            "{}>",
            item[..item[at..].find('.').map_or(item.len(), |dot| at + dot)].to_owned()
        ),
        None => item.to_owned(),
    };
    answer
        .untagged
        .iter()
        .find_map(|response| value(response, &name))
}

#[test]
fn every_section_form() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.append("INBOX", MIXED);
    c.ok("SELECT INBOX");
    let header_end = MIXED.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    for (item, expected) in [
        ("BODY[]", Some(MIXED)),
        ("BODY[HEADER]", Some(&MIXED[..header_end])),
        ("BODY[TEXT]", Some(&MIXED[header_end..])),
        ("BODY[1]", Some(&b"Gr=C3=BC=C3=9Fe"[..])),
        ("BODY[1.MIME]", Some(b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")),
        ("BODY[2]", Some(b"AAECAwQF")),
        ("BODY[3]", Some(b"Subject: inner one\r\nContent-Type: text/plain\r\n\r\ninner text")),
        ("BODY[3.HEADER]", Some(b"Subject: inner one\r\nContent-Type: text/plain\r\n\r\n")),
        ("BODY[3.TEXT]", Some(b"inner text")),
        ("BODY[3.1]", Some(b"inner text")),
        ("BODY[3.HEADER.FIELDS (SUBJECT)]", Some(b"Subject: inner one\r\n\r\n")),
        ("BODY[HEADER.FIELDS (Message-ID X-None)]", Some(b"Message-ID: <1@x.test>\r\n\r\n")),
        (
            "BODY[HEADER.FIELDS.NOT (FROM TO SUBJECT CONTENT-TYPE)]",
            Some(b"Message-ID: <1@x.test>\r\nMIME-Version: 1.0\r\n\r\n"),
        ),
        ("BODY[]<0.4>", Some(b"From")),
        ("BODY[1]<2.3>", Some(b"=C3")),
        ("BODY[1]<5000.3>", Some(b"")),
        ("BINARY[1]", Some("Gr\u{fc}\u{df}e".as_bytes())),
        ("BINARY[2]", Some(b"\x00\x01\x02\x03\x04\x05")),
        ("BINARY[2]<1.2>", Some(b"\x01\x02")),
        ("BODY[9]", None),
        ("BODY[1.1.1]", None),
    ] {
        let got = section(&mut c, item);
        // A part that is not there is NIL or empty.
        match expected {
            Some(expected) => assert_eq!(
                got.as_deref().map(String::from_utf8_lossy),
                Some(String::from_utf8_lossy(expected)),
                "{item}"
            ),
            None => assert!(got.is_none_or(|got| got.is_empty()), "{item}"),
        }
    }
    let fetched = c.ok("FETCH 1 (BINARY.SIZE[2] RFC822.SIZE)").fetched(1);
    assert!(fetched.contains("BINARY.SIZE[2] 6"), "{fetched}");
    assert!(
        fetched.contains(&format!("RFC822.SIZE {}", MIXED.len())),
        "{fetched}"
    );
    for (item, expected) in [
        ("RFC822", MIXED),
        ("RFC822.HEADER", &MIXED[..header_end]),
        ("RFC822.TEXT", &MIXED[header_end..]),
    ] {
        let answer = c.ok(&format!("FETCH 1 {item}"));
        assert_eq!(
            value(&answer.untagged[0], item).unwrap(),
            expected,
            "{item}"
        );
    }
}

#[test]
fn fetch_of_attributes_and_macros() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.append(
        "INBOX (\\Flagged custom) \" 7-Feb-1994 21:52:25 -0800\"",
        MIXED,
    );
    c.ok("SELECT INBOX");
    let all = c.ok("FETCH 1 FULL").fetched(1);
    assert!(
        all.contains("INTERNALDATE \"08-Feb-1994 05:52:25 +0000\"")
            || all.contains("INTERNALDATE \" 8-Feb-1994 05:52:25 +0000\"")
            || all.contains("INTERNALDATE \" 7-Feb-1994 21:52:25 -0800\""),
        "{all}"
    );
    assert!(all.contains("\"fred\" \"x.test\""), "{all}");
    assert!(
        all.contains("((\"TEXT\" \"PLAIN\"") || all.contains("((\"text\" \"plain\""),
        "{all}"
    );
    let flags = imap_client::flags(item(&all, "FLAGS").unwrap());
    assert_eq!(
        flags.into_iter().collect::<Vec<_>>(),
        ["\\flagged", "custom"]
    );
    let structure = c.ok("UID FETCH 1:* BODYSTRUCTURE").fetched(1);
    assert!(
        structure.contains("UID ")
            && structure
                .to_ascii_lowercase()
                .contains("\"boundary\" \"b\""),
        "{structure}"
    );
    // Sequence numbers that no message has are an error; UIDs that no message has are not.
    c.bad("FETCH 2 FLAGS");
    assert!(c.ok("UID FETCH 500:600 FLAGS").untagged.is_empty());
    assert_eq!(c.ok("UID FETCH 500:* FLAGS").untagged.len(), 1);
}

#[test]
fn large_messages_among_small_ones() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    let mut sent = Vec::new();
    for (n, lines) in [1, 40_000, 2, 70_000, 3, 9_000, 9_000, 4]
        .into_iter()
        .enumerate()
    {
        let text = plain(
            &n.to_string(),
            &"0123456789 0123456789 012345\r\n".repeat(lines),
        );
        assert!(c.append("INBOX", &text).ok());
        sent.push(text);
    }
    c.ok("SELECT INBOX");
    let answer = c.ok("FETCH 1:* (UID BODY.PEEK[] RFC822.SIZE)");
    assert_eq!(answer.untagged.len(), sent.len());
    for (response, text) in answer.untagged.iter().zip(&sent) {
        assert!(literal(response) == text.as_slice());
    }
    // Reading in pieces, as clients do, gives the whole.
    let mut whole = Vec::new();
    while whole.len() < sent[3].len() {
        let answer = c.ok(&format!("UID FETCH 4 BODY.PEEK[]<{}.300000>", whole.len()));
        whole.extend_from_slice(literal(&answer.untagged[0]));
    }
    assert!(whole == sent[3]);
    let header = c.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
    assert_eq!(literal(&header.untagged[3]), b"Subject: 3\r\n\r\n");
}

#[test]
fn seen_is_set_by_reading_and_durable() {
    let mut server = server();
    let mut c = Client::login(&server, ALICE);
    c.append("INBOX", &plain("one", "text"));
    c.ok("SELECT INBOX");
    assert!(!c.ok("FETCH 1 BODY.PEEK[]").fetched(1).contains("FLAGS"));
    assert!(c.ok("FETCH 1 FLAGS").fetched(1).contains("FLAGS ()"));
    // In the response with the text, where clients look that take one response for one message.
    let told = c.ok("FETCH 1 BODY[]").fetched(1);
    assert!(told.contains("FLAGS (\\Seen)"), "{told}");
    assert!(!c.ok("FETCH 1 BODY[]").lines().join("\n").contains("FLAGS"));
    server.kill().unwrap();
    server.launch().unwrap();
    let mut c = Client::login(&server, ALICE);
    c.ok("EXAMINE INBOX");
    assert!(c.ok("FETCH 1 FLAGS").fetched(1).contains("\\Seen"));
    // Nothing changes in a mailbox opened for reading only.
    c.no("STORE 1 -FLAGS (\\Seen)");
    c.append("INBOX", &plain("two", "text"));
    c.ok("FETCH 2 BODY[]");
    assert!(!c.ok("FETCH 2 FLAGS").fetched(2).contains("\\Seen"));
    c.no("EXPUNGE");
}

#[test]
fn select_tells_what_it_must() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.append("INBOX (\\Seen)", &plain("one", "x"));
    c.append("INBOX (keyword)", &plain("two", "x"));
    let answer = c.ok("SELECT inbox");
    let lines = answer.lines().join("\n");
    assert_eq!(answer.numbers("EXISTS"), [2]);
    for needed in [
        "FLAGS (",
        "[PERMANENTFLAGS (",
        "\\*",
        "[UIDNEXT ",
        "[UIDVALIDITY ",
        "keyword",
    ] {
        assert!(lines.contains(needed), "{needed} in {lines}");
    }
    assert!(
        answer.tagged.starts_with("OK [READ-WRITE]"),
        "{}",
        answer.tagged
    );
    let answer = c.ok("EXAMINE Sent");
    let mut modern = Client::login(&server, ALICE);
    modern.ok("ENABLE IMAP4rev2");
    let listed = modern.ok("SELECT INBOX").lines().join("\n");
    // RFC 9051 §6.3.2. Others would take it for a part of the answer to their next LIST.
    assert!(listed.contains("LIST (") && !lines.contains("LIST ("));
    let closed = modern.ok("EXAMINE Sent").lines().remove(0);
    assert!(closed.starts_with("OK [CLOSED]"), "{closed}");
    assert!(
        answer.tagged.starts_with("OK [READ-ONLY]"),
        "{}",
        answer.tagged
    );
    assert!(answer.lines().join("\n").contains("[PERMANENTFLAGS ()]"));
    // A SELECT that fails leaves nothing selected.
    c.no("SELECT nowhere");
    c.bad("FETCH 1 FLAGS");
    c.ok("SELECT INBOX");
    c.ok("UNSELECT");
    c.bad("CLOSE");
}

#[test]
fn list_in_all_its_forms() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.ok("CREATE Work/Projects/Wax");
    c.ok("SUBSCRIBE Work/Projects");
    c.ok("SUBSCRIBE Gone/Away");
    let names = |lines: Vec<String>| -> Vec<String> {
        let mut names: Vec<String> = lines
            .iter()
            .map(|l| {
                l.split("\"/\" ")
                    .nth(1)
                    .unwrap()
                    .trim_matches('"')
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    };
    let all = c.ok("LIST \"\" *");
    let listed = names(all.with("LIST"));
    for name in [
        "INBOX",
        "Drafts",
        "Sent",
        "Junk",
        "Trash",
        "Archive",
        "Work",
        "Work/Projects",
        "Work/Projects/Wax",
    ] {
        assert!(listed.contains(&name.to_owned()), "{name} in {listed:?}");
    }
    assert!(!listed.contains(&"Gone/Away".to_owned()));
    assert!(
        all.lines()
            .iter()
            .any(|l| l.contains("\\Drafts") && l.ends_with("Drafts")),
        "{:?}",
        all.lines()
    );
    assert_eq!(
        names(c.ok("LIST \"\" Work/%").with("LIST")),
        ["Work/Projects"]
    );
    assert_eq!(names(c.ok("LIST Work/ %").with("LIST")), ["Work/Projects"]);
    assert_eq!(
        c.ok("LIST \"\" \"\"").lines(),
        ["LIST (\\Noselect) \"/\" \"\""]
    );
    let subscribed = c.ok("LIST (SUBSCRIBED) \"\" *").lines();
    assert!(
        subscribed.iter().any(|l| l.contains("\\NonExistent")
            && l.contains("\\Subscribed")
            && l.contains("Gone/Away")),
        "{subscribed:?}"
    );
    assert!(
        !subscribed.iter().any(|l| l.ends_with("Work/Projects/Wax")),
        "{subscribed:?}"
    );
    let recursive = c.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" Work").lines();
    assert_eq!(recursive.len(), 1);
    assert!(
        recursive[0].contains("(\"CHILDINFO\" (\"SUBSCRIBED\"))"),
        "{recursive:?}"
    );
    c.bad("LIST (RECURSIVEMATCH) \"\" *");
    // Work itself is not subscribed: told where its child is not (RFC 9051 §6.3.9.6).
    for (pattern, told) in [("%", true), ("*", false), ("Work*", false)] {
        let lines = c
            .ok(&format!("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" {pattern}"))
            .lines();
        assert_eq!(
            lines.iter().any(|l| l.contains("\"/\" Work (")),
            told,
            "{pattern}: {lines:?}"
        );
    }
    let children = c
        .ok("LIST \"\" (Work Sent) RETURN (CHILDREN SUBSCRIBED)")
        .lines();
    assert!(
        children
            .iter()
            .any(|l| l.contains("\\HasChildren") && l.ends_with("Work")),
        "{children:?}"
    );
    assert!(
        children.iter().any(|l| l.contains("\\HasNoChildren")
            && l.contains("\\Subscribed")
            && l.ends_with("Sent")),
        "{children:?}"
    );
    let special = c.ok("LIST (SPECIAL-USE) \"\" *").lines();
    assert_eq!(special.len(), 5, "{special:?}");
    let status = c
        .ok("LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN))")
        .lines();
    assert!(
        status
            .iter()
            .any(|l| l == "STATUS Sent (MESSAGES 0 UNSEEN 0)"),
        "{status:?}"
    );
    // LSUB, for the clients of before: `%` shows levels whose children are subscribed (RFC 3501 §6.3.9).
    let lsub = c.ok("LSUB \"\" %").lines();
    assert!(
        lsub.iter()
            .any(|l| l.contains("\\Noselect") && l.ends_with("Work")),
        "{lsub:?}"
    );
    let lsub = names(c.ok("LSUB \"\" *").with("LSUB"));
    assert!(lsub.contains(&"Work/Projects".to_owned()) && lsub.contains(&"Gone/Away".to_owned()));
    assert_eq!(
        c.ok("NAMESPACE").lines(),
        ["NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL"]
    );
}

#[test]
fn mailboxes_come_and_go() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.ok("CREATE Work/");
    assert_eq!(c.no("CREATE Work").code(), "ALREADYEXISTS");
    c.no("CREATE inbox");
    assert_eq!(c.no("CREATE Outgoing (USE (\\Sent))").code(), "USEATTR");
    c.ok("DELETE Sent");
    c.ok("CREATE Outgoing (USE (\\Sent))");
    assert!(c.ok("LIST (SPECIAL-USE) \"\" Out*").lines()[0].contains("\\Sent"));
    c.ok("CREATE Work/a/b");
    c.append("Work/a", &plain("kept", "x"));
    c.ok("RENAME Work Job");
    assert_eq!(c.no("SELECT Work/a").code(), "NONEXISTENT");
    assert_eq!(c.ok("SELECT Job/a").numbers("EXISTS"), [1]);
    c.ok("CLOSE");
    assert_eq!(c.no("RENAME Job/a Job/a/b").code(), "ALREADYEXISTS");
    c.no("RENAME Job Job/x/y");
    assert_eq!(c.no("RENAME nothing other").code(), "NONEXISTENT");
    assert_eq!(c.no("DELETE nothing").code(), "NONEXISTENT");
    c.no("DELETE INBOX");
    // A name with children: the mailbox goes, the children stay (RFC 9051 §6.3.5).
    c.ok("DELETE Job/a");
    assert_eq!(c.no("SELECT Job/a").code(), "NONEXISTENT");
    c.ok("SELECT Job/a/b");
    c.ok("UNSELECT");
    assert!(
        c.ok("LIST \"\" Job/%")
            .lines()
            .iter()
            .any(|l| l.contains("\\Noselect") || l.contains("\\NonExistent"))
    );
    // The name stays, \Noselect, for every pattern.
    let all = c.ok("LIST \"\" *").lines();
    assert!(
        all.iter()
            .any(|l| l.contains("\\Noselect") && l.ends_with(" Job/a")),
        "{all:?}"
    );
    // RENAME INBOX moves its messages and leaves it.
    c.append("INBOX", &plain("moves", "x"));
    c.ok("RENAME INBOX Old");
    assert_eq!(c.ok("EXAMINE Old").numbers("EXISTS"), [1]);
    assert_eq!(c.ok("EXAMINE INBOX").numbers("EXISTS"), [0]);
    c.ok("UNSELECT");
    // A new mailbox under an old name never repeats UIDs within one UIDVALIDITY.
    let uid = |c: &mut Client| c.append("Again", &plain("x", "x")).code().to_owned();
    c.ok("CREATE Again");
    let first = uid(&mut c);
    c.ok("DELETE Again");
    c.ok("CREATE Again");
    assert_ne!(first, uid(&mut c));
    // International names, both ways of writing them.
    c.ok("CREATE Entw&APw-rfe");
    assert!(c.ok("LIST \"\" Entw*").lines()[0].ends_with("Entw&APw-rfe"));
    let mut d = Client::login(&server, ALICE);
    d.ok("ENABLE IMAP4rev2");
    assert!(d.ok("LIST \"\" \"Entw*\"").lines()[0].contains("Entw\u{fc}rfe"));
    d.ok("SELECT \"Entw\u{fc}rfe\"");
}

#[test]
fn status_counts() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    let text = plain("one", "x");
    c.append("Sent (\\Seen)", &text);
    c.append("Sent (\\Deleted)", &text);
    let line = c
        .ok("STATUS Sent (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE RECENT)")
        .with("STATUS")
        .remove(0);
    for part in [
        "MESSAGES 2",
        "UNSEEN 1",
        "DELETED 1",
        &format!("SIZE {}", 2 * text.len()),
        "RECENT ",
        "UIDNEXT ",
        "UIDVALIDITY ",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(c.no("STATUS nowhere (MESSAGES)").code(), "NONEXISTENT");
}

#[test]
fn append_and_copy_answer_with_uids() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    assert_eq!(
        c.append("nowhere", b"Subject: x\r\n\r\n").code(),
        "TRYCREATE"
    );
    let code = c
        .append("INBOX (\\Seen)", &plain("one", "x"))
        .code()
        .to_owned();
    assert!(code.starts_with("APPENDUID "), "{code}");
    c.append("INBOX (\\Deleted)", &plain("two", "x"));
    let answer = c.ok("SELECT INBOX");
    assert_eq!(answer.numbers("EXISTS"), [2]);
    // The selected mailbox is told at once.
    assert_eq!(
        c.append("INBOX", &plain("three", "x")).numbers("EXISTS"),
        [3]
    );
    assert_eq!(c.no("COPY 1 nowhere").code(), "TRYCREATE");
    assert_eq!(c.no("UID MOVE 1:* nowhere").code(), "TRYCREATE");
    let code = c.ok("COPY 2:3 Sent").code().to_owned();
    let words: Vec<&str> = code.split(' ').collect();
    assert_eq!((words[0], words[2]), ("COPYUID", "2:3"), "{code}");
    let moved = c.ok("MOVE 1 Sent");
    assert!(
        moved.lines()[0].starts_with("OK [COPYUID "),
        "{:?}",
        moved.lines()
    );
    assert_eq!(moved.numbers("EXPUNGE"), [1]);
    assert!(c.ok("UID COPY 999 Sent").code().is_empty());
    assert_eq!(c.ok("UID EXPUNGE 900:999").numbers("EXPUNGE"), []);
    assert_eq!(c.ok("EXPUNGE").numbers("EXPUNGE"), [1]);
    c.ok("SELECT Sent");
    let flags: Vec<String> = c
        .ok("FETCH 1:* FLAGS")
        .lines()
        .iter()
        .map(|l| item(l, "FLAGS").unwrap().to_owned())
        .collect();
    assert_eq!(flags, ["\\Deleted", "", "\\Seen"]);
    // Into itself.
    assert!(c.ok("COPY 1 Sent").code().starts_with("COPYUID"));
    assert_eq!(c.ok("NOOP").numbers("EXISTS").len() + 1, 1);
}

#[test]
fn over_quota_says_so() {
    let server = server();
    server.set_quota(ALICE, 2000).unwrap();
    let mut c = Client::login(&server, ALICE);
    c.append("INBOX", &plain("one", "x"));
    let big = plain("two", &"y".repeat(3000));
    assert_eq!(c.append("INBOX", &big).code(), "OVERQUOTA");
    c.ok("SELECT INBOX");
    for _ in 0..3 {
        c.append("INBOX", &plain("more", &"z".repeat(300)));
    }
    assert_eq!(c.no("COPY 1:* Sent").code(), "OVERQUOTA");
    assert_eq!(
        c.ok("STATUS Sent (MESSAGES)").lines(),
        ["STATUS Sent (MESSAGES 0)"]
    );
    // A move needs no room.
    c.ok("MOVE 1:* Sent");
}

#[test]
fn store_and_its_answers() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    for n in 0..4 {
        c.append("INBOX", &plain(&n.to_string(), "x"));
    }
    c.ok("SELECT INBOX");
    let lines = c.ok("STORE 2:3 +FLAGS (\\Seen new-keyword)").lines();
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("FLAGS (") && l.contains("new-keyword")),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("2 FETCH") && l.contains("\\Seen") && l.contains("new-keyword"))
    );
    assert!(
        c.ok("STORE 1:4 FLAGS.SILENT (\\Flagged)")
            .with("")
            .is_empty()
    );
    let line = c.ok("UID STORE 4 -FLAGS \\Flagged").fetched(4);
    assert!(
        line.contains("UID 4") && line.contains("FLAGS ()"),
        "{line}"
    );
    // A STORE that changes nothing answers with the flags all the same.
    assert!(
        c.ok("STORE 4 -FLAGS (\\Flagged)")
            .fetched(4)
            .contains("FLAGS ()")
    );
    c.bad("STORE 9 FLAGS ()");
    c.bad("STORE 1 FLAGS (\\Recent)");
}

#[test]
fn search_by_every_key() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.append(
        "INBOX (\\Seen \\Answered k1) \"07-Feb-1994 21:52:25 -0800\"",
        &plain("alpha", "needle in text"),
    );
    c.append(
        "INBOX (\\Flagged \\Draft) \"01-Jan-2020 00:00:00 +0000\"",
        MIXED,
    );
    c.append("INBOX (\\Deleted)", &plain("omega", &"long ".repeat(1000)));
    c.ok("SELECT INBOX");
    for (keys, expected) in [
        ("ALL", "1 2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("ANSWERED", "1"),
        ("UNANSWERED", "2 3"),
        ("FLAGGED", "2"),
        ("UNFLAGGED", "1 3"),
        ("DRAFT", "2"),
        ("UNDRAFT", "1 3"),
        ("DELETED", "3"),
        ("UNDELETED", "1 2"),
        ("KEYWORD K1", "1"),
        ("UNKEYWORD k1", "2 3"),
        ("KEYWORD none", ""),
        ("OLD", "OLD"),
        ("1,3", "1 3"),
        ("2:*", "2 3"),
        ("UID 1:2", "1 2"),
        ("UID 900:*", "3"),
        ("BEFORE 1-Jan-2020", "1"),
        ("ON 1-Jan-2020", "2"),
        ("SINCE 1-Jan-2020", "2 3"),
        ("SENTON 7-Feb-2022", "1 3"),
        ("SENTBEFORE 8-Feb-2022", "1 3"),
        ("SENTSINCE 8-Feb-2022", ""),
        ("LARGER 4000", "3"),
        ("SMALLER 4000", "1 2"),
        ("FROM fred", "2"),
        ("FROM A@X.TEST", "1 3"),
        ("TO y.test", "1 2 3"),
        ("CC x", ""),
        ("BCC x", ""),
        ("SUBJECT ALPHA", "1"),
        ("HEADER message-id 1@x", "2"),
        ("HEADER Message-ID \"\"", "2"),
        ("HEADER Subject omega", "3"),
        ("BODY NEEDLE", "1"),
        ("BODY alpha", ""),
        ("BODY \"inner one\"", "2"),
        ("TEXT alpha", "1"),
        ("TEXT a.bin", "2"),
        ("NOT SEEN", "2 3"),
        ("OR SEEN FLAGGED", "1 2"),
        ("NOT (OR SEEN FLAGGED)", "3"),
        ("(SEEN ANSWERED) BODY needle", "1"),
        ("OR (NOT BODY needle) SUBJECT alpha", "1 2 3"),
    ] {
        let line = c.ok(&format!("SEARCH {keys}")).with("SEARCH").remove(0);
        if expected != "OLD" {
            assert_eq!(
                line.strip_prefix("SEARCH").unwrap().trim(),
                expected,
                "{keys}"
            );
        }
    }
    // Text is decoded before it is compared; other charsets are refused by name.
    let octets = "CAF\u{c9}".as_bytes();
    let mut command =
        format!("x SEARCH CHARSET UTF-8 SUBJECT {{{}+}}\r\n", octets.len()).into_bytes();
    command.extend_from_slice(octets);
    command.extend_from_slice(b"\r\n");
    c.connection.send(&command).unwrap();
    assert_eq!(c.answer("x").with("SEARCH"), ["SEARCH 2"]);
    assert!(
        c.no("SEARCH CHARSET x-nothing TEXT a")
            .code()
            .starts_with("BADCHARSET")
    );
    // ESEARCH and the saved result.
    let tag = c.send("SEARCH RETURN (MIN MAX COUNT) ALL");
    assert_eq!(
        c.answer(&tag).lines(),
        [format!("ESEARCH (TAG \"{tag}\") MIN 1 MAX 3 COUNT 3")]
    );
    let tag = c.send("UID SEARCH RETURN () UNSEEN");
    assert_eq!(
        c.answer(&tag).lines(),
        [format!("ESEARCH (TAG \"{tag}\") UID ALL 2:3")]
    );
    let tag = c.send("SEARCH RETURN (MIN COUNT) BODY nothing-here");
    assert_eq!(
        c.answer(&tag).lines(),
        [format!("ESEARCH (TAG \"{tag}\") COUNT 0")]
    );
    assert!(c.ok("SEARCH RETURN (SAVE) UNSEEN").lines().is_empty());
    assert_eq!(c.ok("FETCH $ UID").lines().len(), 2);
    assert_eq!(c.ok("SEARCH $ FLAGGED").lines(), ["SEARCH 2"]);
    c.ok("SEARCH RETURN (SAVE MIN) UNSEEN");
    assert_eq!(c.ok("UID FETCH $ FLAGS").lines().len(), 1);
    c.ok("UID STORE 2 +FLAGS (\\Deleted)");
    c.ok("SEARCH RETURN (SAVE) ALL");
    c.ok("UID EXPUNGE 2");
    assert_eq!(c.ok("FETCH $ UID").lines().len(), 2);
    // In rev2 a SEARCH without RETURN is answered with ESEARCH (RFC 9051 §6.4.4).
    let mut d = Client::login(&server, ALICE);
    d.ok("ENABLE IMAP4rev2");
    d.ok("SELECT INBOX");
    assert!(d.ok("SEARCH ALL").lines()[0].ends_with("ALL 1:2"));
}

#[test]
fn two_sessions_see_each_other() {
    let server = server();
    let (mut a, mut b) = (Client::login(&server, ALICE), Client::login(&server, ALICE));
    for n in 0..5 {
        a.append("INBOX", &plain(&n.to_string(), "x"));
    }
    a.ok("SELECT INBOX");
    b.ok("SELECT INBOX");
    a.ok("STORE 2 +FLAGS (\\Seen)");
    assert!(b.ok("NOOP").fetched(2).contains("\\Seen"));
    a.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)");
    a.ok("EXPUNGE");
    // FETCH, STORE and SEARCH by sequence number must not tell of it (RFC 9051 §7.5.1) ...
    let answer = b.ok("FETCH 5 (UID FLAGS)");
    assert!(answer.numbers("EXPUNGE").is_empty());
    assert_eq!(item(&answer.fetched(5), "UID"), Some("5"));
    assert!(
        b.ok("STORE 5 +FLAGS (\\Flagged)")
            .numbers("EXPUNGE")
            .is_empty()
    );
    assert!(
        b.ok("SEARCH FLAGGED")
            .lines()
            .contains(&"SEARCH 5".to_owned())
    );
    // ... and what was expunged is said to be gone, not confused with another.
    let gone = b.command("FETCH 2 (UID ENVELOPE)");
    assert!(
        gone.ok() || gone.code() == "EXPUNGEISSUED",
        "{}",
        gone.tagged
    );
    assert!(
        gone.lines().iter().all(|l| !l.contains("UID 3")),
        "{:?}",
        gone.lines()
    );
    // COPY may tell of them, and copies nothing where a number meant one of them.
    let refused = b.no("COPY 1:2 Sent");
    assert_eq!(refused.code(), "EXPUNGEISSUED");
    assert_eq!(
        b.ok("STATUS Sent (MESSAGES)").lines(),
        ["STATUS Sent (MESSAGES 0)"]
    );
    let numbers = refused.numbers("EXPUNGE");
    assert!(numbers == [4, 2] || numbers == [2, 3], "{numbers:?}");
    assert_eq!(item(&b.ok("FETCH 3 UID").fetched(3), "UID"), Some("5"));
    // A mailbox deleted under a session.
    a.ok("CREATE Temp");
    a.append("Temp", &plain("x", "x"));
    b.ok("SELECT Temp");
    a.ok("DELETE Temp");
    let told = b.command("NOOP");
    assert!(told.ok() || told.tagged.contains("BYE"), "{}", told.tagged);
    let after = b.command("FETCH 1 FLAGS");
    assert!(!after.ok(), "{:?}", after);
    b.ok("SELECT INBOX");
}

#[test]
fn what_was_moved_away_can_be_read_until_told() {
    let server = server();
    let (mut a, mut b) = (Client::login(&server, ALICE), Client::login(&server, ALICE));
    for n in 1..=3 {
        a.append(
            "INBOX (\\Flagged)",
            &plain(&n.to_string(), &format!("body {n}")),
        );
    }
    a.ok("SELECT INBOX");
    b.ok("SELECT INBOX");
    a.ok("MOVE 2 Archive");
    let answer = b.ok("FETCH 1:3 (UID FLAGS ENVELOPE BODY.PEEK[TEXT])");
    let lines = answer.with("2 FETCH");
    assert_eq!(lines.len(), 1, "{:?}", answer.lines());
    assert!(
        lines[0].contains("UID 2 ") && lines[0].contains("body 2") && lines[0].contains("\"2\"")
    );
    // Nothing of it is left when it is expunged there, too.
    let mut c = Client::login(&server, ALICE);
    c.ok("SELECT Archive");
    c.ok("STORE 1 +FLAGS (\\Deleted)");
    c.ok("EXPUNGE");
    let answer = b.no("FETCH 1:3 (UID BODY.PEEK[TEXT])");
    assert_eq!(answer.code(), "EXPUNGEISSUED");
    assert_eq!(answer.untagged.len(), 2, "{:?}", answer.lines());
    assert_eq!(b.ok("NOOP").numbers("EXPUNGE"), [2]);
}

#[test]
fn idle_tells_at_once() {
    let server = server();
    let (mut a, mut b) = (Client::login(&server, ALICE), Client::login(&server, ALICE));
    a.ok("SELECT INBOX");
    let tag = a.send("IDLE");
    assert!(a.connection.answer().unwrap().starts_with("+ "));
    let mut times = Vec::new();
    for n in 1..=30 {
        b.append("INBOX", &plain("x", "x"));
        let begun = Instant::now();
        loop {
            let line = a.connection.answer().unwrap();
            if line == format!("* {n} EXISTS") {
                break;
            }
        }
        times.push(begun.elapsed());
    }
    times.sort();
    assert!(
        times[15] < Duration::from_millis(50),
        "half of the notices took {:?} or more",
        times[15]
    );
    b.ok("SELECT INBOX");
    b.ok("STORE 1 +FLAGS (\\Deleted)");
    let line = a
        .connection
        .answers_until(|l| l.contains("\\Deleted"))
        .unwrap()
        .pop()
        .unwrap();
    assert!(
        line.starts_with("* 1 FETCH") && line.contains("UID "),
        "{line}"
    );
    b.ok("EXPUNGE");
    a.connection.answers_until(|l| l == "* 1 EXPUNGE").unwrap();
    a.connection.line("DONE").unwrap();
    assert!(a.answer(&tag).ok());
}

#[test]
fn login_and_the_small_commands() {
    let server = server();
    let mut c = Client::connect(&server);
    assert_eq!(
        c.no(&format!("LOGIN {ALICE} wrong")).code(),
        "AUTHENTICATIONFAILED"
    );
    c.bad("SELECT INBOX");
    assert!(c.ok("CAPABILITY").lines()[0].contains("IMAP4rev2"));
    assert!(c.ok("ID NIL").lines()[0].starts_with("ID (\"name\" \"Waxwing\""));
    // RFC 4616, with an initial response (RFC 4959).
    let plain = base64(&format!("\0{ALICE}\0{PASSWORD}"));
    let tag = c.send(&format!("AUTHENTICATE PLAIN {plain}"));
    assert!(c.answer(&tag).ok());
    assert_eq!(
        c.ok("ENABLE IMAP4rev2 X-NONE").lines(),
        ["ENABLED IMAP4REV2".replace("REV", "rev")]
    );
    c.ok("NOOP");
    let bye = c.ok("LOGOUT");
    assert!(bye.lines()[0].starts_with("BYE"));
    assert_eq!(c.connection.read_line().unwrap(), None);
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let n = (0..3).fold(0u32, |n, i| n << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            out.push(if i <= chunk.len() {
                ALPHABET[(n >> (18 - 6 * i) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    out
}

/// A12: what a stranger sends before logging in is refused before it is stored, on many connections at once.
#[test]
fn a12_memory_before_login() {
    let server = Server::builder()
        .setting("limits.connections_per_network", "2000")
        .start()
        .unwrap();
    server.add_domain("example.test").unwrap();
    server.add_account(ALICE).unwrap();
    // The first check of a password takes its memory, too.
    let mut good = Client::login(&server, ALICE);
    let before = resident(&server);
    let parentheses = format!("x NOOP {}", "(".repeat(100_000));
    let literals = format!("x LOGIN {{{}}}\r\n", u32::MAX);
    let quick = format!("x LOGIN {{{}+}}\r\n", 999_999_999);
    let base64 = format!("x AUTHENTICATE PLAIN\r\n{}", "QUFB".repeat(50_000));
    let mut held = Vec::new();
    for at in 0..1000 {
        let mut c = Client::connect(&server);
        let bytes = [&parentheses, &literals, &quick, &base64][at % 4];
        // The server may close before it has taken everything.
        let _ = c.connection.send(bytes.as_bytes());
        if at % 4 == 1 {
            let line = c.connection.answer().unwrap();
            assert!(!line.starts_with('+'), "asked for four gigabytes: {line}");
        }
        held.push(c);
    }
    good.ok("NOOP");
    let grown = resident(&server).saturating_sub(before);
    assert!(
        grown < (1000 * 64) << 10,
        "{grown} octets for 1,000 connections"
    );
}

/// A13: bad and aborted SASL costs others nothing, and leaves the connection usable.
#[test]
fn a13_aborted_sasl() {
    let server = server();
    let mut good = Client::login(&server, ALICE);
    let mut c = Client::connect(&server);
    for response in ["*", "=", "!!!!", "AAAA"] {
        c.connection.line("x AUTHENTICATE PLAIN").unwrap();
        let line = c.connection.answer().unwrap();
        if line.starts_with("* BYE") {
            break;
        }
        assert!(line.starts_with('+'), "{line}");
        c.connection.line(response).unwrap();
        let line = c
            .connection
            .answers_until(|l| l.starts_with("x ") || l.starts_with("* BYE"))
            .unwrap()
            .pop()
            .unwrap();
        assert!(!line.starts_with("x OK"), "{line}");
    }
    good.ok("NOOP");
}

/// A20: searches and lists made to cost are bounded, and others are served meanwhile.
#[test]
fn a20_costly_commands_are_bounded() {
    let server = server();
    server.add_account(BOB).unwrap();
    let mut c = Client::login(&server, ALICE);
    for n in 0..50 {
        c.append(
            "INBOX",
            &plain(&n.to_string(), &"words and words ".repeat(2000)),
        );
    }
    c.ok("SELECT INBOX");
    let begun = Instant::now();
    c.ok(&format!("LIST \"\" \"{}x\"", "%*".repeat(200)));
    c.command(&format!("SEARCH {}", "1:*,".repeat(1500) + "1"));
    c.command(&format!("SEARCH {}TEXT x", "NOT BODY nothing ".repeat(200)));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    let tag = c.send(&format!("SEARCH {}", "NOT TEXT zzz ".repeat(300)));
    let mut bob = Client::login(&server, BOB);
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let begun = Instant::now();
        bob.ok("NOOP");
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    c.answer(&tag);
}

/// A21: repeated items are answered once; a client that does not read holds no memory; copies are within the quota.
#[test]
fn a21_amplification() {
    let server = server();
    server.set_quota(ALICE, 4_000_000).unwrap();
    let mut c = Client::login(&server, ALICE);
    let text = plain("big", &"0123456789abcdef".repeat(6000));
    for _ in 0..5 {
        c.append("INBOX", &text);
    }
    c.ok("SELECT INBOX");
    let answer = c.ok(&format!(
        "UID FETCH 1:*,1:*,1:* ({})",
        ["BODY.PEEK[]"; 60].join(" ")
    ));
    assert_eq!(answer.untagged.len(), 5);
    for response in &answer.untagged {
        assert!(response.len() < text.len() + 200);
    }
    // Doubling by copying into itself ends at the quota.
    let mut refused = false;
    for _ in 0..12 {
        let answer = c.command("UID COPY 1:* INBOX");
        if !answer.ok() {
            assert_eq!(answer.code(), "OVERQUOTA");
            refused = true;
            break;
        }
    }
    assert!(refused);
    // Asks for far more than the socket holds, and does not read.
    let before = resident(&server);
    let mut lazy: Vec<Client> = (0..10).map(|_| Client::login(&server, ALICE)).collect();
    for client in &mut lazy {
        client.ok("SELECT INBOX");
        for _ in 0..40 {
            client.send("FETCH 1:* BODY.PEEK[]");
        }
    }
    c.ok("NOOP");
    std::thread::sleep(Duration::from_millis(500));
    let grown = resident(&server).saturating_sub(before);
    assert!(
        grown < 40 << 20,
        "{grown} octets for ten clients that do not read"
    );
}

fn resident(server: &Server) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid().unwrap())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A25: names that would be paths elsewhere are names or refused, and nothing appears outside the data folder.
#[test]
fn a25_names_are_never_paths() {
    let server = server();
    let mut c = Client::login(&server, ALICE);
    let outside = server.data().parent().unwrap().to_owned();
    let before: Vec<_> = std::fs::read_dir(&outside)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    for name in [
        "../x",
        "..",
        ".",
        "a/../../b",
        "a//b",
        "/etc/passwd",
        "x/./y",
    ] {
        let answer = c.command(&format!("CREATE \"{name}\""));
        assert!(!answer.ok(), "{name}: {}", answer.tagged);
        assert!(!c.command(&format!("SELECT \"{name}\"")).ok(), "{name}");
        assert!(
            !c.command(&format!("RENAME Sent \"{name}\"")).ok(),
            "{name}"
        );
    }
    let long = "x".repeat(256);
    let deep = ["d"; 400].join("/");
    for name in [long.as_str(), deep.as_str()] {
        // Accepted or refused, but never a failure of the server.
        let answer = c.command(&format!("CREATE \"{name}\""));
        assert!(!answer.tagged.contains("SERVERBUG"), "{}", answer.tagged);
    }
    let after: Vec<_> = std::fs::read_dir(&outside)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(before.len(), after.len(), "{after:?}");
}

/// A25, seen by the kernel: whatever mailboxes are called, no file outside of the data folder is touched.
#[test]
fn a25_no_path_outside_of_the_store() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let server = server();
    let mut c = Client::login(&server, ALICE);
    c.ok("SELECT INBOX");
    let log = server.data().with_file_name("trace");
    let tracer = Command::new("strace")
        .args(["-f", "-e", "trace=%file", "-o"])
        .arg(&log)
        .args(["-p", &server.pid().unwrap().to_string()])
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tracer) = tracer else {
        return println!("skipped: there is no strace here");
    };
    let mut lines = BufReader::new(tracer.stderr.take().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    if !first.contains("attached") {
        let _ = tracer.wait();
        return println!("skipped: strace may not trace here: {first}");
    }
    for name in [
        "../x",
        "..",
        "/etc/passwd",
        "a/../../b",
        "~root",
        "#news.x",
        "adm",
        "c:\\x",
        "x%2f..%2fy",
        "&AC8-x",
    ] {
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\"));
        c.command(&format!("CREATE {quoted}"));
        c.command(&format!("SELECT {quoted}"));
        c.command(&format!("STATUS {quoted} (MESSAGES)"));
        c.command(&format!("RENAME {quoted} {quoted}"));
        c.command(&format!("GETMETADATA {quoted} /private/comment"));
        c.command(&format!("LIST {quoted} *"));
        c.command(&format!("DELETE {quoted}"));
    }
    c.append(
        "INBOX",
        &plain("seen by the tracer", "so that there is something to see"),
    );
    let pid = tracer.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    tracer.wait().unwrap();
    let data = server.data().display().to_string();
    let trace = std::fs::read_to_string(&log).unwrap();
    for line in trace.lines() {
        for path in line.split('"').skip(1).step_by(2) {
            let inside = path.starts_with(&data) || !path.starts_with('/');
            let system = ["/proc/", "/sys/", "/dev/", "/etc/resolv.conf", "/etc/hosts"];
            let of_system = system.iter().any(|known| path.starts_with(known));
            assert!(inside || of_system, "{line}");
            assert!(!path.contains("..") && !path.contains("passwd"), "{line}");
        }
    }
}

/// A client that writes a literal and the line end behind it apart waits for an acknowledgement of the first (RFC 896)
/// on a socket that is not told otherwise. Forty such appends in a row must not cost forty delays of 40 ms.
#[test]
fn halves_of_a_command_are_not_held_up() {
    use std::io::{Read, Write};
    let server = testkit::Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    // No TCP_NODELAY here, on purpose.
    let mut stream =
        std::net::TcpStream::connect(server.address(server.ports().imap)).expect("connect");
    let mut answers = Vec::new();
    let mut until = |stream: &mut std::net::TcpStream, end: &str| {
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&answers).contains(end) {
            let count = stream.read(&mut chunk).expect("an answer");
            assert!(count > 0, "closed before {end:?}");
            answers.extend_from_slice(&chunk[..count]);
        }
        answers.clear();
    };
    until(&mut stream, "ready");
    stream
        .write_all(b"a LOGIN alice@example.test open-sesame\r\n")
        .expect("send");
    until(&mut stream, "a OK");
    let mut delayed = 0;
    for number in 0..40 {
        let command = format!("t{number}x APPEND INBOX {{6}}\r\n");
        stream.write_all(command.as_bytes()).expect("send");
        until(&mut stream, "+ ");
        stream.write_all(b"A: b\r\n").expect("send");
        let between = std::time::Instant::now();
        stream.write_all(b"\r\n").expect("send");
        until(&mut stream, &format!("t{number}x OK"));
        // A commit takes a millisecond or a few; the kernel's patience is 40 at least.
        delayed += usize::from(between.elapsed() >= std::time::Duration::from_millis(38));
    }
    assert!(
        delayed < 20,
        "{delayed} of 40 appends waited for an acknowledgement"
    );
}

/// Messages of one MULTIAPPEND, in one go.
fn several(count: usize) -> String {
    " {8+}\r\nA: b\r\n\r\n".repeat(count)
}

#[test]
fn batches_of_uids_meet_end_to_end() {
    let server = server();
    let mut client = Client::login(&server, "alice@example.test");
    // As many messages as one command may bring, and not one more (attack A12).
    client.no(&format!("APPEND INBOX{}", several(1001)));
    client.ok(&format!("APPEND INBOX{}", several(1000)));
    client.ok(&format!("APPEND INBOX{}", several(200)));
    client.ok("SELECT INBOX");
    let told = |client: &mut Client, command: &str| {
        let line = client.ok(command).with("UIDBATCHES").remove(0);
        line.split_once(')').unwrap().1.trim().to_owned()
    };
    assert_eq!(
        told(&mut client, "UIDBATCHES 500"),
        "1200:701,700:201,200:1"
    );
    assert_eq!(told(&mut client, "UIDBATCHES 500 2:9"), "700:201,200:1");
    assert_eq!(told(&mut client, "UIDBATCHES 1200"), "1200:1");
    // Holes belong to the batch of the next older message.
    client.ok("UID STORE 600:900 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    assert_eq!(told(&mut client, "UIDBATCHES 500"), "1200:400,399:1");
}
