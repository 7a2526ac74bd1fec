//! Attacks over POP3: memory (A12), names (A25, A26, A45), control characters (A27), logins (A42-A44), and accounts that
//! lose their right in the middle of a session (A46).

use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server};
use wire::base64;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const WRONG: &str = "-ERR [AUTH] wrong name or password";

fn server(failures: &str) -> Server {
    let builder = Server::builder().setting("auth.failures_per_minute", failures);
    let server = builder.start().expect("start");
    server.add_domain("example.test").expect("domain");
    for address in [ALICE, BOB] {
        server.add_account(address).expect("account");
    }
    server
}

fn greeted(server: &Server) -> Connection {
    let mut connection = server.connect(server.ports().pop3).expect("connect");
    assert!(connection.answer().expect("greeting").starts_with("+OK"));
    connection
}

fn say(connection: &mut Connection, command: &str) -> String {
    connection.line(command).expect("send");
    connection.answer().expect(command)
}

fn logged_in(server: &Server, address: &str) -> Connection {
    let mut connection = greeted(server);
    say(&mut connection, &format!("USER {address}"));
    let answer = say(&mut connection, &format!("PASS {PASSWORD}"));
    assert!(answer.starts_with("+OK"), "{answer}");
    connection
}

fn plain(user: &str, password: &str) -> String {
    format!(
        "AUTH PLAIN {}",
        base64::encode(format!("\0{user}\0{password}").as_bytes())
    )
}

/// What a login is answered, by USER and PASS and by AUTH.
fn login(server: &Server, user: &str, password: &str) -> [String; 3] {
    let mut connection = greeted(server);
    let name = say(&mut connection, &format!("USER {user}"));
    let password_answer = say(&mut connection, &format!("PASS {password}"));
    // The maildrop comes free.
    say(&mut connection, "QUIT");
    let mut connection = greeted(server);
    [
        name,
        password_answer,
        say(&mut connection, &plain(user, password)),
    ]
}

/// Resident memory of the server in KiB.
fn resident(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid().expect("pid"));
    let status = std::fs::read_to_string(path).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.expect("VmRSS")
}

/// Lines that never end and exchanges that never end, from many connections at once, cost little each.
#[test]
fn a12_memory_before_login() {
    let server = Server::builder()
        .setting("limits.connections_per_network", "1000")
        .start()
        .expect("start");
    drop(greeted(&server));
    let before = resident(&server);
    let base64 = "QUFB".repeat(2_500);
    let mut held = Vec::new();
    for n in 0..300 {
        let mut connection = greeted(&server);
        let octets = match n % 3 {
            0 => format!("USER {}", "(".repeat(1_900)),
            1 => format!("AUTH PLAIN {base64}"),
            _ => {
                assert_eq!(say(&mut connection, "AUTH PLAIN"), "+ ");
                base64.clone()
            }
        };
        connection.send(octets.as_bytes()).expect("send");
        held.push(connection);
    }
    // An answer to each shows that the server has read what came before.
    drop(greeted(&server));
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 300 * 64, "300 connections cost {grown} KiB");
}

/// There are no names of mailboxes here; what looks like a path, as a user, a mechanism or a language, is nothing.
#[test]
fn a25_names_are_never_paths() {
    let server = server("0");
    let unknown = login(&server, "nobody@example.test", PASSWORD);
    for name in [
        "../alice@example.test",
        "/etc/passwd",
        "..",
        ".",
        "a/../../alice@example.test",
        "~alice",
        "#news.",
        "alice@example.test/../bob@example.test",
    ] {
        assert_eq!(login(&server, name, PASSWORD), unknown, "{name}");
        let mut connection = greeted(&server);
        let language = say(&mut connection, &format!("LANG {name}"));
        assert_eq!(language, "-ERR this language is not known here", "{name}");
        let mechanism = say(&mut connection, &format!("AUTH {name} ="));
        assert_eq!(mechanism, "-ERR mechanism not offered", "{name}");
    }
}

/// A name has one account in all its spellings, and names that only look alike are others.
#[test]
fn a26_one_account_in_every_spelling() {
    let server = server("0");
    server.add_account("jörg@example.test").expect("account");
    for same in [
        "jörg@example.test",
        "jo\u{308}rg@example.test",
        "jörg@EXAMPLE.test",
    ] {
        let [_, answer, sasl] = login(&server, same, PASSWORD);
        assert!(
            answer.starts_with("+OK") && sasl.starts_with("+OK"),
            "{same}: {answer} {sasl}"
        );
    }
    for other in [
        "jorg@example.test",
        "j&APY-rg@example.test",
        "j=?utf-8?q?=C3=B6?=rg@example.test",
        "\u{430}lice@example.test",
        "alice@example.test\u{200e}",
    ] {
        let [_, answer, sasl] = login(&server, other, PASSWORD);
        assert!(
            answer.starts_with("-ERR") && sasl.starts_with("-ERR"),
            "{other}: {answer} {sasl}"
        );
    }
}

/// Controls in commands are refused each by one answer, and nothing a message holds ends it early.
#[test]
fn a27_controls() {
    let server = server("0");
    let mut connection = greeted(&server);
    for line in [
        &b"USER a\0b"[..],
        b"USER a\rQUIT",
        b"NOOP\x0b",
        b"PASS \x1b[2J",
        b"LANG \x7f",
    ] {
        connection.send(line).expect("send");
        connection.send(b"\r\n").expect("send");
        let answer = connection.answer().expect("answer");
        assert_eq!(answer, "-ERR forbidden octets in the line");
    }
    let ends = [
        "\n.\n",
        "\r.\r",
        "\r\n.\n",
        "\n.\r\n",
        "\r\n.\r\r\n",
        "\r\n.\r\n",
        "\r\n..\r\n",
    ];
    let mails: Vec<Vec<u8>> = ends
        .iter()
        .map(|end| format!("Subject: x\r\n\r\nbody{end}+OK 99 octets\r\n-ERR no\r\n").into_bytes())
        .collect();
    for mail in &mails {
        server.append(ALICE, "INBOX", mail).expect("append");
    }
    let mut connection = logged_in(&server, ALICE);
    for (n, mail) in (1..).zip(&mails) {
        connection.line(&format!("RETR {n}")).expect("RETR");
        assert!(connection.answer().expect("answer").starts_with("+OK"));
        let lines = connection
            .answers_until(|line| line == ".")
            .expect("message");
        assert_eq!(
            lines[lines.len() - 3..],
            ["+OK 99 octets", "-ERR no", "."],
            "{mail:?}"
        );
        assert_eq!(say(&mut connection, "NOOP"), "+OK");
    }
}

/// However they are made, guesses are counted together, and the right password does not help any more.
#[test]
fn a42_every_way_to_guess_counts() {
    let server = server("4");
    let mut connection = greeted(&server);
    assert_eq!(say(&mut connection, &format!("USER {ALICE}")), "+OK");
    assert_eq!(say(&mut connection, "PASS wrong"), WRONG);
    assert_eq!(say(&mut connection, &plain(ALICE, "wrong")), WRONG);
    assert_eq!(say(&mut connection, &plain(BOB, "wrong")), WRONG);
    let mut connection = greeted(&server);
    assert!(say(&mut connection, "AUTH LOGIN").starts_with("+ "));
    say(&mut connection, &base64::encode(ALICE.as_bytes()));
    assert_eq!(say(&mut connection, &base64::encode(b"wrong")), WRONG);
    for address in [ALICE, BOB] {
        let [_, password, sasl] = login(&server, address, PASSWORD);
        for answer in [password, sasl] {
            assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
        }
    }
}

/// Nothing but the right password learns whether somebody is there, disabled, without a password, or busy.
#[test]
fn a43_only_the_password_opens_anything() {
    let server = Server::builder()
        .setting("auth.failures_per_minute", "0")
        .setting("pop3.login_delay", "\"1h\"")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    for address in [ALICE, BOB] {
        server.add_account(address).expect("account");
    }
    server.cli(&["account", "disable", BOB]).expect("disable");
    // Alice has the maildrop open and has just logged in; both are told to whom has the password alone.
    let _open = logged_in(&server, ALICE);
    let known = login(&server, ALICE, "wrong");
    assert_eq!(known, ["+OK", WRONG, WRONG]);
    for (user, password) in [
        ("nobody@example.test", PASSWORD),
        ("alice@elsewhere.test", PASSWORD),
        ("alice", PASSWORD),
        (BOB, PASSWORD),
        (BOB, "wrong"),
        ("niem\u{e4}nd@example.test", "w\u{f6}rong"),
    ] {
        assert_eq!(login(&server, user, password), known, "{user}");
    }
    // Neither does the language of an answer (RFC 6856 §7).
    for user in [ALICE, "nobody@example.test"] {
        let mut connection = greeted(&server);
        assert_eq!(say(&mut connection, &format!("USER {user}")), "+OK");
        let answer = say(&mut connection, "LANG *");
        assert_eq!(answer, "+OK en this is the language from here on");
    }
    let [_, password, _] = login(&server, ALICE, PASSWORD);
    assert!(password.starts_with("-ERR [IN-USE]"), "{password}");
}

/// Two people with one password, at the same time and one after the other, each get their own maildrop.
#[test]
fn a44_equal_passwords_are_different_people() {
    let server = server("0");
    server
        .append(ALICE, "INBOX", b"Subject: of alice\r\n\r\n")
        .expect("append");
    server
        .append(BOB, "INBOX", b"Subject: of bob\r\n\r\n")
        .expect("append");
    std::thread::scope(|scope| {
        for (address, other) in [(ALICE, BOB), (BOB, ALICE)] {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..5 {
                    let mut connection = logged_in(server, address);
                    connection.line("TOP 1 0").expect("TOP");
                    let lines = connection.answers_until(|line| line == ".").expect("head");
                    let name = address.split('@').next().expect("name");
                    assert!(lines.contains(&format!("Subject: of {name}")), "{lines:?}");
                    assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
                    // A name behind another, and a wish to be somebody else, are of no use.
                    for user in [format!("{address}*{other}"), format!("{other}*{address}")] {
                        let mut connection = greeted(server);
                        assert_eq!(say(&mut connection, &plain(&user, PASSWORD)), WRONG);
                    }
                    let wish = base64::encode(format!("{other}\0{address}\0{PASSWORD}").as_bytes());
                    let mut connection = greeted(server);
                    let answer = say(&mut connection, &format!("AUTH PLAIN {wish}"));
                    assert!(answer.starts_with("-ERR"), "{answer}");
                }
            });
        }
    });
    // A connection that failed to log in as one is not the other's, nor anybody's.
    let mut connection = greeted(&server);
    say(&mut connection, &format!("USER {ALICE}"));
    assert_eq!(say(&mut connection, "PASS wrong"), WRONG);
    assert_eq!(
        say(&mut connection, &format!("PASS {PASSWORD}")),
        "-ERR USER first"
    );
    assert_eq!(say(&mut connection, "STAT"), "-ERR not now");
}

/// What means something in a query, a template or a directory is a name that nobody has.
#[test]
fn a45_names_that_mean_something_elsewhere_are_only_names() {
    let server = server("0");
    let unknown = login(&server, "nobody@example.test", PASSWORD);
    for name in [
        "' OR 1=1--",
        "alice@example.test' --",
        "*)(uid=*))(|(uid=*",
        "%{user}%u%d",
        "${jndi:ldap://x}",
        "alice@example.test\\",
        "\"alice\"@example.test@example.test",
        "%",
        "_lice@example.test",
        "ali%@example.test",
    ] {
        assert_eq!(login(&server, name, PASSWORD), unknown, "{name}");
    }
    let wide = "\u{1f4a9}".repeat(55);
    assert_eq!(login(&server, &wide, PASSWORD), unknown);
}

/// An account that is disabled or removed in the middle of a session gets nothing and removes nothing from there on.
#[test]
fn a46_the_right_to_read_is_asked_for_each_time() {
    let server = server("0");
    for address in [ALICE, BOB] {
        server
            .append(address, "INBOX", b"Subject: secret\r\n\r\n")
            .expect("append");
    }
    let mut alice = logged_in(&server, ALICE);
    let mut bob = logged_in(&server, BOB);
    for connection in [&mut alice, &mut bob] {
        connection.line("RETR 1").expect("RETR");
        connection
            .answers_until(|line| line == ".")
            .expect("message");
        assert_eq!(say(connection, "DELE 1"), "+OK message 1 deleted");
        assert!(say(connection, "RSET").starts_with("+OK"));
    }
    server.cli(&["account", "disable", ALICE]).expect("disable");
    server.cli(&["account", "remove", BOB]).expect("remove");
    let refused = "-ERR [AUTH] this account may not be used any more";
    for connection in [&mut alice, &mut bob] {
        assert_eq!(say(connection, "RETR 1"), refused);
        assert_eq!(say(connection, "TOP 1 0"), refused);
        assert_eq!(say(connection, "DELE 1"), "+OK message 1 deleted");
        assert_eq!(say(connection, "QUIT"), refused);
    }
    server.cli(&["account", "enable", ALICE]).expect("enable");
    let mut alice = logged_in(&server, ALICE);
    assert!(
        say(&mut alice, "STAT").starts_with("+OK 1 "),
        "what was marked is still there"
    );
    // The address may be somebody else's by now; he starts with nothing.
    server.add_account(BOB).expect("account");
    assert_eq!(say(&mut logged_in(&server, BOB), "STAT"), "+OK 0 0");
}
