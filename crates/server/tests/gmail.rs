//! X-GM-EXT-1 beyond what a dialog shows: rights, quotas, other sessions, and what is refused as a whole.

use testkit::{Connection, Server};

fn start() -> Server {
    let server = Server::builder()
        .setting("imap.gmail_extensions", "true")
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

/// A command that is refused; the tagged answer.
fn refused(imap: &mut Connection, command: &str) -> String {
    imap.line(&format!("r {command}")).expect("command");
    let lines = imap
        .answers_until(|line| line.starts_with("r "))
        .expect("answer");
    let last = lines.last().cloned().unwrap_or_default();
    assert!(last.starts_with("r NO"), "{command}: {lines:?}");
    last
}

fn labels(imap: &mut Connection, uid: u32) -> String {
    let lines = imap
        .imap(&format!("UID FETCH {uid} (X-GM-LABELS)"))
        .expect("FETCH");
    lines[0]
        .split_once("X-GM-LABELS ")
        .expect("labels")
        .1
        .to_owned()
}

/// A label costs what a copy costs; what does not fit is not begun.
#[test]
fn quotas_hold_for_labels() {
    let server = start();
    let message = [b"Subject: x\r\n\r\n".to_vec(), b"0123456789\r\n".repeat(50)].concat();
    server
        .append("alice@example.test", "INBOX", &message)
        .expect("append");
    server
        .set_quota("alice@example.test", message.len() as u64 * 5 / 2)
        .expect("quota");
    let mut alice = imap(&server, "alice");
    alice.imap("SELECT INBOX").expect("SELECT");
    let told = refused(&mut alice, "UID STORE 1 +X-GM-LABELS (one two)");
    assert!(told.contains("[OVERQUOTA]"), "{told}");
    assert_eq!(labels(&mut alice, 1), "())", "all or nothing");
    let listed = alice.imap("LIST \"\" (one two)").expect("LIST");
    assert_eq!(listed.len(), 1, "no mailbox was made: {listed:?}");
    alice
        .imap("UID STORE 1 +X-GM-LABELS (one)")
        .expect("one fits");
    // What is moved is not counted twice.
    alice
        .imap("UID STORE 1 -X-GM-LABELS (one)")
        .expect("a label less");
    alice
        .imap("UID STORE 1 -X-GM-LABELS (\\Inbox)")
        .expect("into the archive");
    let lines = alice.imap("STATUS Archive (MESSAGES)").expect("STATUS");
    assert!(lines[0].contains("MESSAGES 1"), "{lines:?}");
    server.check().expect("check");
}

/// Attack A46: labels are told and changed with the rights one has, and never lead into another account.
#[test]
fn a46_labels_and_rights() {
    let server = start();
    for mailbox in ["INBOX", "INBOX"] {
        server
            .append("bob@example.test", mailbox, b"Subject: x\r\n\r\nx\r\n")
            .expect("append");
    }
    let mut bob = imap(&server, "bob");
    for mailbox in ["open", "closed"] {
        bob.imap(&format!("CREATE {mailbox}")).expect("CREATE");
    }
    bob.imap("SELECT INBOX").expect("SELECT");
    bob.imap("STORE 1:2 +X-GM-LABELS (open closed)")
        .expect("STORE");
    for (mailbox, rights) in [("INBOX", "lrw"), ("open", "lri")] {
        bob.imap(&format!("SETACL {mailbox} alice@example.test {rights}"))
            .expect("SETACL");
    }
    let mut alice = imap(&server, "alice");
    let theirs = "Other Users/bob@example.test";
    alice
        .imap(&format!("SELECT \"{theirs}/INBOX\""))
        .expect("SELECT");
    // What she may not read is no label, and cannot be found out about.
    assert_eq!(labels(&mut alice, 1), format!("(\"{theirs}/open\"))"));
    let closed = refused(
        &mut alice,
        &format!("UID STORE 1 +X-GM-LABELS (\"{theirs}/closed\")"),
    );
    let missing = refused(
        &mut alice,
        &format!("UID STORE 1 +X-GM-LABELS (\"{theirs}/nowhere\")"),
    );
    assert_eq!(closed, missing);
    for search in [format!("{theirs}/closed"), "closed".to_owned()] {
        let lines = alice
            .imap(&format!("UID SEARCH X-GM-LABELS \"{search}\""))
            .expect("SEARCH");
        assert_eq!(lines[0], "* SEARCH");
    }
    let lines = alice
        .imap(&format!("UID SEARCH X-GM-LABELS \"{theirs}/open\""))
        .expect("SEARCH");
    assert_eq!(lines[0], "* SEARCH 1 2");
    // Her own mailboxes are no labels of his messages, nor his of hers.
    refused(&mut alice, "UID STORE 1 +X-GM-LABELS (Archive)");
    refused(&mut alice, "UID STORE 1 +X-GM-LABELS (\\Important)");
    // Taking a label away takes what deleting takes.
    refused(
        &mut alice,
        &format!("UID STORE 1 -X-GM-LABELS (\"{theirs}/open\")"),
    );
    refused(
        &mut alice,
        &format!("UID STORE 1 -X-GM-LABELS (\"{theirs}/INBOX\")"),
    );
    bob.imap("SETACL open alice@example.test lrite")
        .expect("SETACL");
    alice
        .imap(&format!("UID STORE 1 -X-GM-LABELS (\"{theirs}/open\")"))
        .expect("now she may");
    assert_eq!(labels(&mut alice, 1), "())");
    alice
        .imap(&format!("UID STORE 1 +X-GM-LABELS (\"{theirs}/open\")"))
        .expect("and put it back");
    bob.imap("DELETEACL INBOX alice@example.test")
        .expect("DELETEACL");
    alice.line("r UID FETCH 1 (X-GM-LABELS)").expect("FETCH");
    let lines = alice
        .answers_until(|line| line.starts_with("r "))
        .expect("answer");
    assert!(
        !lines.iter().any(|line| line.contains("X-GM-LABELS (")),
        "{lines:?}"
    );
    server.check().expect("check");
}

/// A session that idles in a mailbox sees messages come and go as others change labels.
#[test]
fn labels_change_what_others_see() {
    let server = start();
    for _ in 0..3 {
        server
            .append("alice@example.test", "INBOX", b"Subject: x\r\n\r\nx\r\n")
            .expect("append");
    }
    let (mut one, mut other) = (imap(&server, "alice"), imap(&server, "alice"));
    one.imap("CREATE Work").expect("CREATE");
    one.imap("SELECT INBOX").expect("SELECT");
    other.imap("SELECT Work").expect("SELECT");
    other.line("i IDLE").expect("IDLE");
    other
        .answers_until(|line| line.starts_with('+'))
        .expect("idling");
    one.imap("STORE 1:3 +X-GM-LABELS.SILENT (Work)")
        .expect("STORE");
    other
        .answers_until(|line| line == "* 3 EXISTS")
        .expect("they come");
    one.imap("STORE 2 -X-GM-LABELS (Work)").expect("STORE");
    other
        .answers_until(|line| line == "* 2 EXPUNGE")
        .expect("one goes");
    // A copy of a copy is the same message still.
    one.imap("CREATE More").expect("CREATE");
    other.line("DONE").expect("DONE");
    other
        .answers_until(|line| line.starts_with("i OK"))
        .expect("done");
    other.imap("COPY 1 More").expect("COPY");
    assert_eq!(labels(&mut one, 1), "(More Work))");
    other.imap("DELETE More").expect("DELETE");
    other.imap("RENAME Work Rest").expect("RENAME");
    assert_eq!(labels(&mut one, 1), "(Rest))");
    server.check().expect("check");
}
