//! Attacks on an IMAP server by who is logged in (A20, A21), and by strangers that come in numbers (A12, A13, A44, A45).

mod imap_client;

use std::time::{Duration, Instant};

use imap_client::Client;
use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server};
use wire::base64;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn server(settings: &[(&str, &str)]) -> Server {
    let mut builder = Server::builder().setting("auth.failures_per_minute", "0");
    for (key, value) in settings {
        builder = builder.setting(key, value);
    }
    let server = builder.start().expect("start");
    server.add_domain("example.test").expect("domain");
    for address in [ALICE, BOB] {
        server.add_account(address).expect("account");
    }
    server
}

fn resident(server: &Server) -> u64 {
    let statm = format!("/proc/{}/statm", server.pid().expect("pid"));
    let statm = std::fs::read_to_string(statm).expect("statm");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: u64| pages * 4096)
}

fn message(n: usize, octets: usize) -> Vec<u8> {
    let text = "0123456789 abcdef\r\n".repeat(octets / 19);
    format!("Subject: {n}\r\n\r\n{text}").into_bytes()
}

/// Sets that name everything ten thousand times, and commands as long as they may be, cost what they name once.
#[test]
fn a20_sets_and_keys_without_end() {
    let server = server(&[]);
    let mut client = Client::login(&server, ALICE);
    for n in 0..60 {
        assert!(client.append("INBOX", &message(n, 2_000)).ok());
    }
    client.ok("CREATE other");
    client.ok("ENABLE QRESYNC");
    client.ok("SELECT INBOX");
    let mut slowest = (Duration::ZERO, String::new());
    let mut took = |client: &mut Client, command: String, fine: &[&str]| {
        let begun = Instant::now();
        let answer = client.command(&command);
        let start: String = command.chars().take(60).collect();
        let word = answer.tagged.split(' ').next().unwrap_or_default();
        assert!(fine.contains(&word), "{start}: {}", answer.tagged);
        slowest = std::mem::take(&mut slowest).max((begun.elapsed(), start));
        answer
    };
    let everything = "4294967295:1,1:*,";
    let set = everything.repeat(10_000) + "1";
    let answer = took(&mut client, format!("UID FETCH {set} FLAGS"), &["OK"]);
    assert_eq!(answer.with("").len(), 60);
    took(&mut client, format!("FETCH {set} FLAGS"), &["BAD"]);
    took(&mut client, format!("UID SEARCH UID {set}"), &["OK"]);
    took(&mut client, format!("SEARCH {set}"), &["OK", "BAD"]);
    let flags = format!("UID STORE {set} +FLAGS.SILENT (\\Seen)");
    took(&mut client, flags, &["OK"]);
    let copied = took(&mut client, format!("UID COPY {set} other"), &["OK"]);
    assert!(copied.tagged.len() < 200, "{}", copied.tagged);
    took(&mut client, format!("UID EXPUNGE {set}"), &["OK"]);
    let since = format!("UID FETCH {set} FLAGS (CHANGEDSINCE 1 VANISHED)");
    took(&mut client, since, &["OK"]);
    // What a client says that it knows is not gone through number by number.
    let known = "SELECT INBOX (QRESYNC (1 1 1:4294967295 (1:4294967295 1:4294967295)))";
    took(&mut client, known.to_owned(), &["OK", "BAD"]);
    let numbers: Vec<String> = (0..12_000).map(|n| (n * 2 + 1).to_string()).collect();
    let odd = format!("UID SEARCH RETURN (COUNT) UID {}", numbers.join(","));
    took(&mut client, odd, &["OK"]);
    // Sixty thousand keys, and some that cost.
    for (key, times) in [
        ("ALL ", 60_000),
        ("NOT SEEN ", 25_000),
        ("1:* ", 60_000),
        ("UID 1:* ", 30_000),
        ("BODY zzz ", 28_000),
        ("OR TEXT a TEXT b ", 15_000),
        ("KEYWORD x ", 25_000),
        ("MODSEQ 1 ", 25_000),
    ] {
        let command = format!("SEARCH {}ALL", key.repeat(times));
        took(&mut client, command, &["OK", "NO", "BAD"]);
    }
    for times in [60, 99] {
        let pattern = format!("\"{}x\"", "%*".repeat(times));
        let patterns = vec![pattern; 100].join(" ");
        let list = format!("LIST \"\" ({patterns})");
        took(&mut client, list, &["OK", "NO", "BAD"]);
    }
    assert!(slowest.0 < Duration::from_secs(5), "{slowest:?}");
    println!("{slowest:?}");
}

/// Pieces that overlap: what is asked for in many pieces counts as often as it is sent.
#[test]
fn a21_pieces_that_overlap() {
    let server = server(&[]);
    let mut client = Client::login(&server, ALICE);
    for octets in [1 << 20, 400 << 10] {
        assert!(client.append("INBOX", &message(1, octets)).ok());
    }
    client.ok("SELECT INBOX");
    client.ok("FETCH 1:* BODY.PEEK[]");
    let before = resident(&server);
    let pieces = |count: usize, size: usize| {
        let pieces: Vec<String> = (0..count)
            .map(|n| format!("BODY.PEEK[]<{n}.{size}>"))
            .collect();
        pieces.join(" ")
    };
    // A GiB of one message, and four hundred MiB of the other one.
    for set in ["1", "2", "1:*"] {
        let refused = client.no(&format!("FETCH {set} ({})", pieces(900, 2 << 20)));
        assert_eq!(refused.code(), "UNAVAILABLE", "{}", refused.tagged);
    }
    // Single octets are as many as they are, and more items than that are too many.
    let answer = client.ok(&format!("FETCH 1:* ({})", pieces(999, 1)));
    assert_eq!(answer.untagged.len(), 2);
    let answer = client.command(&format!("FETCH 1:* ({})", pieces(9_000, 1)));
    assert!(!answer.ok(), "{}", answer.tagged);
    // The usual way of asking for a message twice goes on.
    client.ok("FETCH 1:* (BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT])");
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} octets");
}

/// Clients that ask for much and never read: each holds little, and what they all hold is not what others need.
#[test]
fn a21_clients_that_do_not_read() {
    const CLIENTS: usize = 200;
    let server = server(&[("limits.connections_per_network", "2000")]);
    let mut client = Client::login(&server, ALICE);
    for n in 0..30 {
        assert!(client.append("INBOX", &message(n, 200 << 10)).ok());
    }
    client.ok("SELECT INBOX");
    client.ok("FETCH 1:* BODY.PEEK[]");
    let before = resident(&server);
    let mut lazy: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = Client::login(&server, ALICE);
            client.ok("SELECT INBOX");
            for _ in 0..20 {
                client.send("FETCH 1:* BODY.PEEK[]");
            }
            client
        })
        .collect();
    let mut bob = Client::login(&server, BOB);
    // The sockets take some MiB each before they are full; all of them are, once memory stays as it is.
    let (mut last, mut most) = (0, 0);
    for _ in 0..30 {
        let begun = Instant::now();
        bob.ok("NOOP");
        assert!(begun.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(100));
        let now = resident(&server);
        most = most.max(now);
        if now.abs_diff(last) < 1 << 20 {
            break;
        }
        last = now;
    }
    let each = most.saturating_sub(before) / CLIENTS as u64;
    println!("{each} octets each");
    assert!(each < 1400 << 10, "{each} octets for each client");
    assert!(bob.append("INBOX", &message(1, 100 << 10)).ok());
    assert!(lazy.pop().is_some());
}

fn submission(server: &Server) -> Connection {
    let mut connection = server.connect(server.ports().submission).expect("connects");
    connection.reply().expect("greeting");
    connection.smtp("EHLO client.example", 250).expect("EHLO");
    connection
}

fn plain(user: &str, password: &str) -> String {
    base64::encode(format!("\0{user}\0{password}").as_bytes())
}

/// What a login over submission is answered.
fn smtp(server: &Server, user: &str, password: &str) -> (u16, Vec<String>) {
    let mut connection = submission(server);
    let line = format!("AUTH PLAIN {}", plain(user, password));
    connection.line(&line).expect("sends");
    connection.reply().expect("answer")
}

/// Names that mean something to others, over submission.
#[test]
fn a45_names_over_submission() {
    let server = server(&[]);
    let unknown = smtp(&server, "nobody@example.test", PASSWORD);
    assert_eq!(unknown.0, 535);
    for user in [
        "' OR 1=1--",
        "alice@example.test' --",
        "*)(uid=*))(|(uid=*",
        "%{user}%u%d",
        "${jndi:ldap://x}",
        "../../alice@example.test",
        "alice@example.test\\",
        "%",
        "_lice@example.test",
        "ali%@example.test",
    ] {
        assert_eq!(smtp(&server, user, PASSWORD), unknown, "{user}");
    }
    assert_eq!(smtp(&server, &"\u{1f4a9}".repeat(250), PASSWORD), unknown);
}

/// People with one password, over three protocols at the same time: everybody is himself.
#[test]
fn a44_equal_passwords_at_the_same_time() {
    let server = server(&[]);
    for address in [ALICE, BOB] {
        let text = format!("Subject: of {address}\r\n\r\n");
        server
            .append(address, "INBOX", text.as_bytes())
            .expect("append");
    }
    std::thread::scope(|scope| {
        for (address, other) in [(ALICE, BOB), (BOB, ALICE), (ALICE, BOB), (BOB, ALICE)] {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..6 {
                    let mut client = Client::login(server, address);
                    client.ok("SELECT INBOX");
                    let answer = client.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
                    let lines = answer.lines().concat();
                    assert!(lines.contains(&format!("Subject: of {address}")), "{lines}");
                    // Who is let in to send may send as himself alone.
                    let mut connection = submission(server);
                    let line = format!("AUTH PLAIN {}", plain(address, PASSWORD));
                    connection.smtp(&line, 235).expect("login");
                    connection
                        .line(&format!("MAIL FROM:<{other}>"))
                        .expect("sends");
                    assert_ne!(connection.reply().expect("answer").0, 250);
                    connection
                        .smtp(&format!("MAIL FROM:<{address}>"), 250)
                        .expect("MAIL");
                }
            });
        }
    });
}

/// A password of a MiB is not taken, whoever is said to have it.
#[test]
fn a43_a_password_without_end() {
    let server = server(&[]);
    let endless = "x".repeat(1 << 20);
    let said = |user: &str| {
        let mut client = Client::connect(&server);
        let line = format!("x LOGIN {user} {{{}+}}\r\n", endless.len());
        client.connection.send(line.as_bytes()).expect("sends");
        // The server may close before it has taken everything.
        let _ = client.connection.send(endless.as_bytes());
        let imap = client.connection.answer().expect("answer");
        let mut mail = submission(&server);
        let _ = mail.send(format!("AUTH PLAIN {}\r\n", plain(user, &endless)).as_bytes());
        (imap, mail.reply().expect("answer"))
    };
    let known = said(ALICE);
    assert!(
        known.0.contains("[TOOBIG]") && known.1.0 >= 500,
        "{known:?}"
    );
    assert_eq!(said("nobody@example.test"), known);
}

/// A hundred connections that break off and guess in one go while somebody logs in, over submission.
#[test]
fn a13_pipelined_logins_of_many_connections() {
    let server = Server::builder()
        .setting("limits.connections_per_network", "2000")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("account");
    // Somebody whose place is known.
    assert_eq!(smtp(&server, ALICE, PASSWORD).0, 235);
    let before = resident(&server);
    let burst = format!(
        "AUTH PLAIN =\r\nAUTH PLAIN\r\n*\r\nAUTH SCRAM-SHA-256 =\r\nAUTH PLAIN {}\r\n",
        plain("nobody@example.test", "guess")
    )
    .repeat(20);
    let mut bad: Vec<Connection> = (0..100).map(|_| submission(&server)).collect();
    for connection in &mut bad {
        // The server may close before it has taken everything.
        let _ = connection.send(burst.as_bytes());
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(smtp(&server, ALICE, PASSWORD).0, 235);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} octets");
}
