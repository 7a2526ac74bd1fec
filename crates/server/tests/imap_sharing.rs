//! Mailboxes of others, end to end: what is told across accounts, quotas. Who may do what is in `imap_rights`.

mod imap_client;

use imap_client::Client;
use testkit::Server;

const MESSAGE: &[u8] = b"Subject: shared\r\n\r\ntext\r\n";

fn server() -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    for name in ["owner", "reader", "writer", "stranger"] {
        server
            .add_account(&format!("{name}@example.test"))
            .expect("account");
    }
    server
}

fn login(server: &Server, name: &str) -> Client {
    Client::login(server, &format!("{name}@example.test"))
}

/// A mailbox of the owner with three messages, shared with reader and writer.
fn share(owner: &mut Client, name: &str) {
    owner.ok(&format!("CREATE {name}"));
    for _ in 0..3 {
        assert!(owner.append(name, MESSAGE).ok());
    }
    owner.ok(&format!("SETACL {name} reader@example.test lr"));
    owner.ok(&format!("SETACL {name} writer@example.test lrswite"));
}

fn other(name: &str) -> String {
    format!("\"Other Users/owner@example.test/{name}\"")
}

#[test]
fn changes_of_one_account_are_told_to_another_that_idles() {
    let server = server();
    let mut owner = login(&server, "owner");
    share(&mut owner, "shared");
    let mut reader = login(&server, "reader");
    reader.ok(&format!("SELECT {}", other("shared")));
    reader.send("IDLE");
    assert!(
        reader
            .connection
            .answer()
            .expect("continues")
            .starts_with('+')
    );
    assert!(owner.append("shared", MESSAGE).ok());
    let told = reader
        .connection
        .answers_until(|line| line.ends_with("EXISTS"))
        .expect("told");
    assert_eq!(told.last().map(String::as_str), Some("* 4 EXISTS"));
    owner.ok("SELECT shared");
    owner.ok("STORE 1 FLAGS (\\Seen \\Flagged)");
    let told = reader
        .connection
        .answers_until(|line| line.contains("FETCH"))
        .expect("told");
    assert_eq!(
        told.last().map(String::as_str),
        Some("* 1 FETCH (UID 1 FLAGS (\\Flagged))")
    );
    // The right is taken away while it idles.
    owner.ok("DELETEACL shared reader@example.test");
    let told = reader
        .connection
        .answers_until(|line| line == "* 1 EXPUNGE")
        .expect("told");
    assert_eq!(
        told.iter().filter(|line| line.ends_with("EXPUNGE")).count(),
        4
    );
}

#[test]
fn the_owner_pays_for_what_others_put_there() {
    let server = server();
    server.set_quota("owner@example.test", 200).expect("quota");
    let mut owner = login(&server, "owner");
    owner.ok("CREATE shared");
    owner.ok("SETACL shared writer@example.test lrswite");
    let mut writer = login(&server, "writer");
    for _ in 0..10 {
        assert!(writer.append("INBOX", MESSAGE).ok());
    }
    writer.ok("SELECT INBOX");
    let name = other("shared");
    writer.ok(&format!("COPY 1:8 {name}"));
    assert_eq!(writer.no(&format!("COPY 9:10 {name}")).code(), "OVERQUOTA");
    assert_eq!(writer.no(&format!("MOVE 9:10 {name}")).code(), "OVERQUOTA");
    assert_eq!(writer.append(&name, MESSAGE).code(), "OVERQUOTA");
    let quota = writer.ok(&format!("GETQUOTAROOT {name}")).lines();
    assert_eq!(quota[1], "QUOTA owner@example.test (STORAGE 1 0)");
    assert_eq!(
        owner.ok("STATUS shared (MESSAGES)").lines(),
        ["STATUS shared (MESSAGES 8)"]
    );
    // Taken back by MOVE, the room is free again.
    writer.ok(&format!("SELECT {name}"));
    writer.ok("MOVE 1:8 INBOX");
    assert_eq!(
        owner.ok("STATUS shared (MESSAGES SIZE)").lines(),
        ["STATUS shared (MESSAGES 0 SIZE 0)"]
    );
    assert_eq!(
        writer.ok("STATUS INBOX (MESSAGES)").lines(),
        ["STATUS INBOX (MESSAGES 18)"]
    );
}

#[test]
fn administrators_set_quotas() {
    let server = Server::builder()
        .setting("imap.administrators", "[\"admin@example.test\"]")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("admin@example.test").expect("account");
    server.add_account("user@example.test").expect("account");
    let mut admin = Client::login(&server, "admin@example.test");
    let mut user = Client::login(&server, "user@example.test");
    let announced = |client: &mut Client| {
        let lines = client.ok("CAPABILITY").lines();
        lines[0].split(' ').any(|word| word == "QUOTASET")
    };
    assert!(announced(&mut admin));
    assert!(!announced(&mut user));
    // RFC 9208 §4.1.3: what is not named is not limited any more.
    assert_eq!(
        admin
            .ok("SETQUOTA user@example.test (STORAGE 512 MESSAGE 2 MAILBOX 7)")
            .lines(),
        ["QUOTA user@example.test (STORAGE 0 512 MESSAGE 0 2 MAILBOX 6 7)"]
    );
    user.ok("CREATE one");
    assert_eq!(user.no("CREATE two").code(), "OVERQUOTA");
    assert!(user.append("INBOX", MESSAGE).ok());
    assert!(user.append("INBOX", MESSAGE).ok());
    assert_eq!(user.append("INBOX", MESSAGE).code(), "OVERQUOTA");
    server
        .deliver("user@example.test", MESSAGE)
        .expect_err("over the quota of messages");
    assert_eq!(
        admin.ok("SETQUOTA user@example.test (STORAGE 512)").lines(),
        ["QUOTA user@example.test (STORAGE 1 512)"]
    );
    user.ok("CREATE two");
    assert!(user.append("INBOX", MESSAGE).ok());
    admin.no("SETQUOTA user@example.test (BICYCLES 1)");
    assert_eq!(
        admin.no("SETQUOTA nobody@example.test ()").code(),
        "NONEXISTENT"
    );
    assert_eq!(user.no("SETQUOTA user@example.test ()").code(), "NOPERM");
}

#[test]
fn an_address_given_to_somebody_new_grants_nothing() {
    let server = server();
    let mut owner = login(&server, "owner");
    share(&mut owner, "shared");
    server
        .cli(&["account", "remove", "reader@example.test"])
        .expect("removed");
    server.add_account("reader@example.test").expect("account");
    let mut reader = login(&server, "reader");
    reader.no(&format!("SELECT {}", other("shared")));
    assert_eq!(
        owner.ok("GETACL shared").lines(),
        ["ACL shared owner@example.test lrswipkxteancd writer@example.test lrswited"]
    );
}

#[test]
fn anyone_is_everybody_of_the_domain() {
    let server = server();
    server.add_domain("elsewhere.test").expect("domain");
    server
        .add_account("tenant@elsewhere.test")
        .expect("account");
    let mut owner = login(&server, "owner");
    share(&mut owner, "shared");
    owner.ok("SETACL shared anyone lr");
    owner.ok("SETACL shared -reader@example.test r");
    login(&server, "stranger").ok(&format!("SELECT {}", other("shared")));
    let mut reader = login(&server, "reader");
    assert_eq!(
        reader.no(&format!("SELECT {}", other("shared"))).code(),
        "NOPERM"
    );
    let mut tenant = Client::login(&server, "tenant@elsewhere.test");
    tenant.no(&format!("SELECT {}", other("shared")));
    assert!(
        tenant
            .ok("LIST \"\" *")
            .lines()
            .iter()
            .all(|line| !line.contains("Other"))
    );
}

#[test]
fn an_administrator_shares_and_limits() {
    let server = server();
    let grant = ["mailbox", "grant", "owner@example.test", "INBOX"];
    server
        .cli(&[&grant[..], &["reader@example.test"]].concat())
        .expect("grant");
    server
        .cli(&[
            "metadata",
            "set",
            "/shared/admin",
            "mailto:root@example.test",
        ])
        .expect("metadata");
    server
        .cli(&["account", "limit", "owner@example.test", "mailbox", "6"])
        .expect("limit");
    let shares = server
        .cli(&["mailbox", "shares", "owner@example.test", "--json"])
        .expect("shares");
    assert!(shares.contains("\"rights\": \"lrs\""), "{shares}");
    let mut reader = login(&server, "reader");
    reader.ok(&format!("SELECT {}", other("INBOX")));
    assert_eq!(
        reader.ok("GETMETADATA \"\" /shared/admin").lines(),
        ["METADATA \"\" (/shared/admin \"mailto:root@example.test\")"]
    );
    assert_eq!(
        login(&server, "owner").no("CREATE more").code(),
        "OVERQUOTA"
    );
    server
        .cli(&[
            "mailbox",
            "revoke",
            "owner@example.test",
            "INBOX",
            "reader@example.test",
        ])
        .expect("revoke");
    reader.no(&format!("SELECT {}", other("INBOX")));
    let wrong = server.cli(&[&grant[..], &["reader@example.test", "lrq"]].concat());
    assert!(wrong.is_err());
}

#[test]
fn relative_urls_are_of_the_selected_mailbox_not_of_ones_own_of_that_name() {
    let server = server();
    let mut owner = login(&server, "owner");
    share(&mut owner, "notes");
    let mut reader = login(&server, "reader");
    reader.ok("CREATE notes");
    for _ in 0..3 {
        assert!(
            reader
                .append("notes", b"Subject: private\r\n\r\nsecret\r\n")
                .ok()
        );
    }
    reader.ok("CREATE made");
    reader.ok(&format!("EXAMINE {}", other("notes")));
    reader.ok("APPEND made CATENATE (URL \";UID=2\")");
    // Without rights, a URL leads nowhere: not home.
    owner.ok("SETACL notes reader@example.test l");
    reader.no("APPEND made CATENATE (URL \";UID=2\")");
    reader.ok("SELECT notes");
    reader.ok("APPEND made CATENATE (URL \";UID=2\")");
    reader.ok("SELECT made");
    let subjects: Vec<String> = reader
        .ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
        .with("");
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects[0].contains("shared"), "{subjects:?}");
    assert!(subjects[1].contains("private"), "{subjects:?}");
}

#[test]
fn urls_of_who_is_kept_out_are_worth_nothing() {
    let server = server();
    let mut owner = login(&server, "owner");
    assert!(owner.append("INBOX", MESSAGE).ok());
    let rump =
        "imap://owner%40example.test@mail.waxwing.test/INBOX/;uid=1/;section=TEXT;urlauth=authuser";
    let url = owner.ok(&format!("GENURLAUTH \"{rump}\" INTERNAL"));
    let url = url.lines().remove(0).replace("GENURLAUTH ", "");
    let mut reader = login(&server, "reader");
    let mut fetched = || reader.ok(&format!("URLFETCH {url}")).lines();
    assert_eq!(fetched(), [format!("URLFETCH {url} {{6}}\r\ntext\r\n")]);
    let account = |what| server.cli(&["account", what, "owner@example.test"]);
    account("disable").expect("disabled");
    assert_eq!(fetched(), [format!("URLFETCH {url} NIL")]);
    account("enable").expect("enabled");
    assert!(!fetched()[0].ends_with("NIL"));
}
