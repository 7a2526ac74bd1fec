//! Annotations end to end: limits, who pays, and that nothing of them is left behind.

mod imap_client;

use imap_client::Client;
use testkit::Server;

const MESSAGE: &[u8] = b"Subject: annotated\r\n\r\ntext\r\n";

fn server() -> Server {
    let server = Server::builder()
        .setting("imap.administrators", "[\"admin@example.test\"]")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    for name in ["admin", "owner", "reader"] {
        server
            .add_account(&format!("{name}@example.test"))
            .expect("account");
    }
    server
}

fn login(server: &Server, name: &str) -> Client {
    Client::login(server, &format!("{name}@example.test"))
}

/// STORE of one value.
fn note(message: &str, entry: &str, scope: &str, octets: usize) -> String {
    let value = "x".repeat(octets);
    format!("STORE {message} ANNOTATION ({entry} (value.{scope} {{{octets}+}}\r\n{value}))")
}

/// Units of annotations that an account uses.
fn used(client: &mut Client, who: &str) -> String {
    let lines = client.ok(&format!("GETQUOTA {who}@example.test")).lines();
    let word = lines[0].split("ANNOTATION-STORAGE ").nth(1).expect("told");
    word.split([' ', ')']).next().unwrap_or_default().to_owned()
}

#[test]
fn values_are_limited_in_size_and_number() {
    let server = server();
    let mut owner = login(&server, "owner");
    assert!(owner.append("INBOX", MESSAGE).ok());
    owner.ok("SELECT INBOX");
    owner.ok(&note("1", "/comment", "priv", 16_384));
    let big = owner.no(&note("1", "/comment", "priv", 16_385));
    assert_eq!(big.code(), "ANNOTATE TOOBIG");
    for number in 1..64 {
        owner.ok(&note("1", &format!("/vendor/x/{number}"), "priv", 1));
    }
    let many = owner.no(&note("1", "/vendor/x/64", "priv", 1));
    assert_eq!(many.code(), "ANNOTATE TOOMANY");
    // What is there may change, shared ones are counted for themselves, and what goes makes room.
    owner.ok(&note("1", "/vendor/x/63", "priv", 2));
    owner.ok(&note("1", "/vendor/x/64", "shared", 1));
    owner.ok("STORE 1 ANNOTATION (/vendor/x/1 (value.priv NIL))");
    owner.ok(&note("1", "/vendor/x/64", "priv", 1));
    let told = owner.ok("FETCH 1 (ANNOTATION (/vendor/* size.priv))");
    assert_eq!(told.fetched(1).matches("size.priv").count(), 63);
    // The same for entries of mailboxes (RFC 5464 §4.3).
    let value = "x".repeat(65_537);
    let big = format!(
        "SETMETADATA INBOX (/private/big {{{}+}}\r\n{value})",
        value.len()
    );
    assert_eq!(owner.no(&big).code(), "METADATA MAXSIZE 65536");
    let entries: Vec<String> = (0..200).map(|n| format!("/private/n{n} \"x\"")).collect();
    owner.ok(&format!("SETMETADATA INBOX ({})", entries.join(" ")));
    let many = owner.no("SETMETADATA INBOX (/private/more \"x\")");
    assert_eq!(many.code(), "METADATA TOOMANY");
    owner.ok("SETMETADATA INBOX (/private/n7 \"y\")");
}

#[test]
fn each_pays_for_what_is_theirs_until_it_is_gone() {
    let server = server();
    let mut admin = login(&server, "admin");
    let mut owner = login(&server, "owner");
    let mut reader = login(&server, "reader");
    for who in ["owner", "reader"] {
        admin.ok(&format!(
            "SETQUOTA {who}@example.test (ANNOTATION-STORAGE 8)"
        ));
    }
    owner.ok("CREATE shared");
    for _ in 0..3 {
        assert!(owner.append("shared", MESSAGE).ok());
    }
    owner.ok("SETACL shared reader@example.test lrn");
    owner.ok("SELECT shared");
    owner.ok(&note("1", "/comment", "priv", 2_048));
    let name = "\"Other Users/owner@example.test/shared\"";
    reader.ok(&format!("SELECT {name}"));
    reader.ok(&note("1:2", "/comment", "priv", 2_048));
    reader.ok(&note("1", "/comment", "shared", 3_072));
    assert_eq!(used(&mut admin, "owner"), "5");
    assert_eq!(used(&mut admin, "reader"), "4");
    // Over the quota of the one who pays: all or nothing.
    let over = reader.no(&note("1:3", "/altsubject", "shared", 3_072));
    assert_eq!(over.code(), "OVERQUOTA");
    let over = reader.no(&note("1:3", "/altsubject", "priv", 2_048));
    assert_eq!(over.code(), "OVERQUOTA");
    assert_eq!(used(&mut admin, "owner"), "5");
    // A copy costs again, a move does not.
    assert_eq!(owner.no("COPY 1 Archive").code(), "OVERQUOTA");
    owner.ok("MOVE 1 Archive");
    // The reader cannot see Archive; theirs went.
    assert_eq!(used(&mut admin, "owner"), "5");
    assert_eq!(used(&mut admin, "reader"), "2");
    // Above a limit that was lowered values can still go.
    admin.ok("SETQUOTA owner@example.test (ANNOTATION-STORAGE 1)");
    owner.ok("SELECT Archive");
    owner.ok("STORE 1 ANNOTATION (/comment (value.priv NIL))");
    assert_eq!(used(&mut admin, "owner"), "3");
    owner.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    owner.ok("EXPUNGE");
    assert_eq!(used(&mut admin, "owner"), "0");
    // With the mailbox goes what others have in it.
    owner.ok("DELETE shared");
    assert_eq!(used(&mut admin, "reader"), "0");
}

#[test]
fn with_an_account_go_its_values_everywhere() {
    let server = server();
    let mut owner = login(&server, "owner");
    assert!(owner.append("INBOX", MESSAGE).ok());
    owner.ok("SETACL INBOX reader@example.test lrn");
    let mut reader = login(&server, "reader");
    reader.ok("SELECT \"Other Users/owner@example.test/INBOX\"");
    reader.ok(&note("1", "/comment", "priv", 10));
    reader.ok(&note("1", "/comment", "shared", 10));
    drop(reader);
    server
        .cli(&["account", "remove", "reader@example.test"])
        .expect("removed");
    server.add_account("reader@example.test").expect("account");
    owner.ok("SETACL INBOX reader@example.test lr");
    let mut reader = login(&server, "reader");
    reader.ok("SELECT \"Other Users/owner@example.test/INBOX\"");
    let told = reader.ok("FETCH 1 (ANNOTATION (/comment value))");
    let shared = "x".repeat(10);
    let want =
        format!("1 FETCH (ANNOTATION (/comment (value.priv NIL value.shared \"{shared}\")))");
    assert_eq!(told.lines(), [want]);
}

#[test]
fn uids_alone_will_do() {
    let server = server();
    let mut owner = login(&server, "owner");
    for _ in 0..3 {
        assert!(owner.append("INBOX", MESSAGE).ok());
    }
    let mut other = login(&server, "owner");
    other.ok("SELECT INBOX (ANNOTATE)");
    owner.ok("ENABLE UIDONLY");
    owner.ok("SELECT INBOX (ANNOTATE)");
    owner.ok("UID STORE 2 ANNOTATION (/comment (value.priv \"x\"))");
    let told = owner
        .ok("UID FETCH 1:* (ANNOTATION (/* value.priv))")
        .lines();
    assert_eq!(
        told,
        [
            "1 UIDFETCH (UID 1)",
            "2 UIDFETCH (UID 2 ANNOTATION (/comment (value.priv \"x\")))",
            "3 UIDFETCH (UID 3)"
        ]
    );
    other.ok("STORE 3 ANNOTATION (/comment (value.shared \"y\"))");
    assert_eq!(
        owner.ok("NOOP").lines(),
        ["3 UIDFETCH (UID 3 ANNOTATION (/comment))"]
    );
}

#[test]
fn a_mailbox_keeps_them_under_another_name_and_inbox_gives_them_away() {
    let server = server();
    let mut owner = login(&server, "owner");
    assert!(owner.append("INBOX", MESSAGE).ok());
    owner.ok("SELECT INBOX");
    owner.ok("STORE 1 ANNOTATION (/comment (value.priv \"x\" value.shared \"y\"))");
    owner.ok("RENAME INBOX old");
    owner.ok("RENAME old older");
    owner.ok("SELECT older");
    let told = owner.ok("FETCH 1 (ANNOTATION (/* value))");
    assert_eq!(
        told.lines(),
        ["1 FETCH (ANNOTATION (/comment (value.priv \"x\" value.shared \"y\")))"]
    );
}

#[test]
fn a17_many_values_are_told_in_bounded_pieces() {
    let server = server();
    let mut owner = login(&server, "owner");
    for _ in 0..60 {
        assert!(owner.append("INBOX", MESSAGE).ok());
    }
    owner.ok("SELECT INBOX");
    owner.ok(&note("1:60", "/comment", "priv", 16_000));
    owner.ok("STORE 7 ANNOTATION (/comment (value.priv NIL))");
    // More than a batch holds, with and without texts beside it.
    for items in [
        "ANNOTATION (/* (value.priv size.priv))",
        "UID ANNOTATION (/* size.priv) BODY.PEEK[TEXT]",
    ] {
        let told = owner.ok(&format!("FETCH 1:* ({items})")).lines();
        let sizes = told
            .iter()
            .filter(|line| line.contains("size.priv \"16000\""));
        assert_eq!(sizes.count(), 59, "{items}");
        let order: Vec<u32> = told
            .iter()
            .filter_map(|line| line.split(' ').next()?.parse().ok())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
    }
    let found = owner
        .ok("SEARCH RETURN (COUNT) ANNOTATION /comment value \"XXX\"")
        .lines();
    assert!(found[0].ends_with("COUNT 59"), "{found:?}");
}
