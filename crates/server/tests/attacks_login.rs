//! Attacks on logins over IMAP and POP3: guessing (A42), learning who is there (A43), mixing people up (A44), names that
//! mean something else (A45).

mod imap_client;

use imap_client::Client;
use testkit::{Connection, Server};

fn server(failures: &str) -> Server {
    let server = Server::builder()
        .setting("auth.failures_per_minute", failures)
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    for name in ["alice", "bob"] {
        server
            .add_account(&format!("{name}@example.test"))
            .expect("account");
    }
    server
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What a wrong login is answered over IMAP, LOGIN and then AUTHENTICATE.
fn imap(server: &Server, user: &str, password: &str) -> [String; 2] {
    let mut client = Client::connect(server);
    let login = client.command(&format!("LOGIN {} {}", quoted(user), quoted(password)));
    let message = format!("\0{user}\0{password}");
    let message = wire_base64(message.as_bytes());
    let mut client = Client::connect(server);
    let plain = client.command(&format!("AUTHENTICATE PLAIN {message}"));
    [login.tagged, plain.tagged]
}

/// The same over POP3.
fn pop3(server: &Server, user: &str, password: &str) -> [String; 2] {
    let mut client = pop3_connection(server);
    client.line(&format!("USER {user}")).expect("USER");
    let name = client.answer().expect("answer");
    client.line(&format!("PASS {password}")).expect("PASS");
    [name, client.answer().expect("answer")]
}

fn pop3_connection(server: &Server) -> Connection {
    let mut client = server.connect(server.ports().pop3).expect("connect");
    assert!(client.answer().expect("greeting").starts_with("+OK"));
    client
}

fn wire_base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let mut bits = 0u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn a42_guesses_are_counted_over_all_protocols() {
    let server = server("4");
    for _ in 0..2 {
        Client::connect(&server).no("LOGIN alice@example.test wrong");
        assert!(pop3(&server, "alice@example.test", "wrong")[1].starts_with("-ERR"));
    }
    // Four were wrong, two in each protocol: the right password does not help any more, in neither.
    let refused = Client::connect(&server).no("LOGIN alice@example.test open-sesame");
    assert_eq!(refused.code(), "LIMIT");
    let refused = pop3(&server, "alice@example.test", "open-sesame");
    assert!(refused[1].starts_with("-ERR"), "{refused:?}");
    // One network sprays over accounts as little as over passwords.
    let refused = Client::connect(&server).no("LOGIN bob@example.test open-sesame");
    assert_eq!(refused.code(), "LIMIT");
}

#[test]
fn a43_who_is_not_there_is_answered_like_a_wrong_password() {
    let server = server("0");
    server
        .cli(&["account", "disable", "bob@example.test"])
        .expect("disabled");
    let long = "x".repeat(2_000);
    let known = imap(&server, "alice@example.test", "wrong");
    let known_pop3 = pop3(&server, "alice@example.test", "wrong");
    for (user, password) in [
        ("nobody@example.test", "wrong"),
        ("alice@elsewhere.test", "wrong"),
        ("alice", "wrong"),
        ("bob@example.test", "wrong"),
        ("bob@example.test", "open-sesame"),
        ("alice@example.test", long.as_str()),
    ] {
        assert_eq!(imap(&server, user, password), known, "{user}");
        if password.len() < 200 {
            assert_eq!(pop3(&server, user, password), known_pop3, "{user}");
        }
    }
}

#[test]
fn a44_equal_passwords_are_different_people() {
    let server = server("0");
    let mut alice = Client::login(&server, "alice@example.test");
    let mut bob = Client::login(&server, "bob@example.test");
    for n in 0..5 {
        alice.ok(&format!("CREATE of-alice-{n}"));
        bob.ok(&format!("CREATE of-bob-{n}"));
        assert!(
            alice
                .ok("LIST \"\" of*")
                .lines()
                .iter()
                .all(|line| line.contains("of-alice"))
        );
        assert!(
            bob.ok("LIST \"\" of*")
                .lines()
                .iter()
                .all(|line| line.contains("of-bob"))
        );
        // A login that is remembered is the login of one account.
        Client::login(&server, "bob@example.test").ok(&format!("SELECT of-bob-{n}"));
        Client::connect(&server).no("LOGIN \"alice@example.test*bob@example.test\" open-sesame");
    }
    // Nobody logs in as somebody else.
    let as_bob = wire_base64(b"bob@example.test\0alice@example.test\0open-sesame");
    Client::connect(&server).no(&format!("AUTHENTICATE PLAIN {as_bob}"));
}

#[test]
fn a45_names_that_mean_something_elsewhere_are_only_names() {
    let server = server("0");
    let unknown = imap(&server, "nobody@example.test", "open-sesame");
    for user in [
        "' OR 1=1--",
        "alice@example.test' --",
        "*)(uid=*))(|(uid=*",
        "%{user}%u%d",
        "${jndi:ldap://x}",
        "../../alice@example.test",
        "alice@example.test\\",
        "\"alice\"@example.test@example.test",
        "%",
        "_lice@example.test",
        "ali%@example.test",
    ] {
        assert_eq!(imap(&server, user, "open-sesame"), unknown, "{user}");
    }
    let wide = "\u{1f4a9}".repeat(250);
    assert_eq!(imap(&server, &wide, "open-sesame"), unknown);
}

/// The time that a wrong login takes says nothing of whether there is such an account (attack A43): one that is not there
/// costs a hash as well.
#[test]
fn a43_who_is_not_there_takes_as_long() {
    let server = server("0");
    let time = |user: &str| {
        let mut client = Client::connect(&server);
        let begun = std::time::Instant::now();
        client.no(&format!("LOGIN {user} wrong"));
        begun.elapsed().as_secs_f64()
    };
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    // The machine that tests has other work: what is different is so each time.
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            known.push(time("alice@example.test"));
            unknown.push(time("nobody@example.test"));
        }
        let (known, unknown) = (median(known), median(unknown));
        if (known - unknown).abs() < 0.1 * known {
            return;
        }
        seen.push((known, unknown));
    }
    panic!("seconds for a known and an unknown account: {seen:?}");
}

/// Aborted and broken exchanges on many connections at once (attack A13): whoever logs in rightly meanwhile gets in, and
/// nothing is left of the others.
#[test]
fn a13_others_get_in_meanwhile() {
    let server = server("0");
    drop(Client::login(&server, "alice@example.test"));
    let resident = || {
        let statm = format!("/proc/{}/statm", server.pid().expect("a process"));
        let statm = std::fs::read_to_string(statm).expect("statm");
        let pages = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        pages.expect("pages") * 4096
    };
    let before = resident();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let responses = ["*", "=", "!!!!", "AAAA", "biws"];
                for response in responses.iter().cycle().take(100) {
                    let mut client = Client::connect(&server);
                    let mechanism = match *response {
                        "biws" => "SCRAM-SHA-256",
                        _ => "PLAIN",
                    };
                    let line = format!("x AUTHENTICATE {mechanism}\r\n{response}\r\n");
                    client.connection.send(line.as_bytes()).expect("sends");
                    let answer = client
                        .connection
                        .answers_until(|line| line.starts_with("x ") || line.starts_with("* BYE"))
                        .expect("an answer");
                    assert!(answer.iter().all(|line| !line.starts_with("x OK")));
                }
            });
        }
        for _ in 0..10 {
            Client::login(&server, "bob@example.test").ok("NOOP");
        }
    });
    let grown = resident().saturating_sub(before);
    // Each check of a password takes its memory, some at a time.
    assert!(
        grown < 96 << 20,
        "{grown} octets after four hundred exchanges"
    );
}
