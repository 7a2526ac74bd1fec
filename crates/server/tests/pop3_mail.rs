//! POP3 and what a maildrop holds: messages with UTF-8 in their headers, ids that come from another server, deletion into
//! Trash; with Python's poplib and fetchmail where they are installed.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server};

const ALICE: &str = "alice@example.test";

fn server(settings: &[(&str, &str)]) -> Server {
    let mut builder = Server::builder();
    for (key, value) in settings {
        builder = builder.setting(key, value);
    }
    let server = builder.start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("account");
    server
}

fn say(connection: &mut Connection, command: &str) -> String {
    connection.line(command).expect("send");
    connection.answer().expect(command)
}

fn logged_in(server: &Server, first: &str) -> Connection {
    let mut connection = server.connect(server.ports().pop3).expect("connect");
    connection.answer().expect("greeting");
    for command in [first, &format!("USER {ALICE}"), &format!("PASS {PASSWORD}")] {
        let answer = say(&mut connection, command);
        assert!(answer.starts_with("+OK"), "{command}: {answer}");
    }
    connection
}

fn listed(connection: &mut Connection, command: &str) -> Vec<String> {
    assert!(say(connection, command).starts_with("+OK"));
    let mut lines = connection.answers_until(|line| line == ".").expect(command);
    lines.pop();
    lines
}

/// A program of the machine; none, and a word about it, where it is not installed.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped, because {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(input).expect("input");
    drop(stdin);
    Some(child.wait_with_output().expect(program))
}

/// Messages that need UTF8, each in a way of its own, and one that does not.
fn international() -> Vec<Vec<u8>> {
    let body = "Grüße\r\n".repeat(20);
    [
        "Subject: plain\r\nFrom: a@remote.example\r\n\r\nx\r\n".to_owned(),
        format!("From: Zoë <zoë@bücher.example>\r\nSubject: Grüße\r\n\r\n{body}"),
        format!("To: 你好 <世界@例え.example>, b@remote.example\r\nMessage-ID: <ä@b.example>\r\n\r\n{body}"),
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf; name=\"Prüfung.pdf\"\r\n\
         Content-Disposition: attachment; filename=\"Prüfung.pdf\"\r\n\r\nx\r\n.\r\n--b--\r\n"
            .to_owned(),
        format!("Subject: {}\r\n\r\n{}", "sehr lange Grüße ".repeat(20), ".dots\r\n".repeat(12_000)),
    ]
    .map(String::into_bytes)
    .into()
}

/// LMTP takes what people send each other; POP3 clients of both kinds then find what they were told.
fn delivered(server: &Server) -> usize {
    let mails = international();
    for mail in &mails {
        server.deliver(ALICE, mail).expect("deliver");
    }
    mails.len()
}

/// RFC 6856 §2.1: LIST tells what RETR sends, in both modes; without UTF8 no header has anything but ASCII.
#[test]
fn sizes_are_those_of_what_is_sent() {
    let server = server(&[]);
    let count = delivered(&server);
    for first in ["NOOP", "UTF8"] {
        let mut connection = server.connect(server.ports().pop3).expect("connect");
        connection.answer().expect("greeting");
        say(&mut connection, first);
        say(&mut connection, &format!("USER {ALICE}"));
        let welcome = say(&mut connection, &format!("PASS {PASSWORD}"));
        let sizes: Vec<usize> = listed(&mut connection, "LIST")
            .iter()
            .map(|line| {
                line.split_once(' ')
                    .expect("size")
                    .1
                    .parse()
                    .expect("number")
            })
            .collect();
        let sum: usize = sizes.iter().sum();
        assert_eq!(welcome, format!("+OK {count} messages ({sum} octets)"));
        let mut differ = 0;
        for (n, size) in (1..).zip(&sizes) {
            assert_eq!(
                say(&mut connection, &format!("RETR {n}")),
                format!("+OK {size} octets")
            );
            let mut lines = connection
                .answers_until(|line| line == ".")
                .expect("message");
            lines.pop();
            // Dots that were stuffed come off, line ends come back.
            let octets: usize = lines
                .iter()
                .map(|line| line.strip_prefix('.').unwrap_or(line).len() + 2)
                .sum();
            assert_eq!(octets, *size, "{first}, message {n}");
            let head: Vec<&String> = lines.iter().take_while(|line| !line.is_empty()).collect();
            differ += usize::from(!head.iter().all(|line| line.is_ascii()));
        }
        assert_eq!(differ, if first == "UTF8" { 3 } else { 0 });
    }
}

/// Python's poplib with and without UTF8.
#[test]
fn poplib_with_utf8() {
    const SCRIPT: &str = r#"
import poplib, sys, email, email.policy
port, user, password = sys.argv[1:]

def session(utf8):
    pop = poplib.POP3("127.0.0.1", int(port), timeout=20)
    capabilities = pop.capa()
    assert capabilities["UTF8"] == ["USER"] and "LANG" in capabilities, capabilities
    if utf8:
        assert pop.utf8().startswith(b"+OK")
    pop.user(user)
    pop.pass_(password)
    return pop

for utf8 in [False, True]:
    pop = session(utf8)
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    assert pop.stat() == (len(sizes), sum(sizes)), pop.stat()
    subjects = []
    for number, size in enumerate(sizes, 1):
        answer, lines, octets = pop.retr(number)
        raw = b"".join(line + b"\r\n" for line in lines)
        assert len(raw) == size, (utf8, number, len(raw), size)
        head = raw.split(b"\r\n\r\n", 1)[0]
        assert utf8 or head.isascii(), head
        message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
        subjects.append(message["Subject"])
        if number == 2 and utf8:
            assert "zoë@bücher.example" in str(message["From"]), message["From"]
        if number == 4:
            part = list(message.walk())[1]
            assert part.get_filename() == "Prüfung.pdf", (utf8, part.get_filename())
    assert subjects[:2] == ["plain", "Grüße"], subjects
    assert subjects[4].split() == ("sehr lange Grüße " * 20).split(), subjects[4]
    pop.quit()
"#;
    let server = server(&[]);
    delivered(&server);
    let port = server.ports().pop3.to_string();
    let arguments = ["-", &port, ALICE, PASSWORD];
    let Some(output) = run("python3", &arguments, SCRIPT.as_bytes()) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A Maildir as Dovecot leaves it, its list of UIDs with a saved id among those that are made of numbers.
fn dovecot(folder: &Path) {
    for part in ["cur", "new", "tmp", ".Old/cur", ".Old/new", ".Old/tmp"] {
        std::fs::create_dir_all(folder.join(part)).expect("folder");
    }
    for (name, text) in [
        ("cur/1276528487.M1.host,S=30:2,S", "one"),
        ("cur/1276528488.M2.host:2,", "two"),
        ("new/1276528489.M3.host", "three"),
        ("cur/1276528490.M4.host:2,F", "four"),
        (".Old/cur/1276528491.M5.host:2,S", "old"),
    ] {
        let message = format!("From: a@remote.example\nSubject: {text}\n\nx\n");
        std::fs::write(folder.join(name), message).expect("message");
    }
    let list = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n\
        25006 :1276528487.M1.host,S=30\n\
        25007 W2481 PUID42-990 :1276528488.M2.host\n\
        25008 PUID42-990 :1276528489.M3.host\n";
    std::fs::write(folder.join("dovecot-uidlist"), list).expect("list");
}

/// Ids come along; what has none, or one that is taken, has ours.
#[test]
fn ids_of_a_maildir_are_kept() {
    let server = server(&[]);
    let folder = tempfile::tempdir().expect("folder");
    dovecot(folder.path());
    let path = folder.path().to_string_lossy().into_owned();
    server
        .cli(&["import", ALICE, "maildir", &path])
        .expect("import");
    let ids = |connection: &mut Connection| -> Vec<String> {
        let lines = listed(connection, "UIDL");
        lines
            .iter()
            .map(|line| line.split_once(' ').expect("id").1.to_owned())
            .collect()
    };
    let mut connection = logged_in(&server, "UTF8");
    let found = ids(&mut connection);
    assert_eq!(found[..2], ["000061ae4c0907b0", "UID42-990"]);
    assert!(
        found[2].ends_with(".3") && found[3].ends_with(".4"),
        "{found:?}"
    );
    assert_eq!(say(&mut connection, "UIDL 2"), "+OK 2 UID42-990");
    say(&mut connection, "DELE 2");
    assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    // The others keep theirs, over a restart as well.
    let mut server = server;
    server.kill().expect("kill");
    server.launch().expect("launch");
    let left = ids(&mut logged_in(&server, "UTF8"));
    assert_eq!(left, [&*found[0], &*found[2], &*found[3]]);
}

/// Deleted messages are found in Trash, for all or for single accounts, and twice deleted is once there.
#[test]
fn deleted_messages_move_to_trash_where_that_is_wanted() {
    let server = server(&[("pop3.deleted", "\"trash\"")]);
    server.add_account("bob@example.test").expect("account");
    let mail = b"Subject: x\r\n\r\nx\r\n";
    let counts = |account: &str| {
        let list = server
            .cli(&["--json", "mailbox", "list", account])
            .expect("list");
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        let count = |name: &str| {
            let rows = list.as_array().expect("rows").iter();
            rows.filter(|row| row["name"] == name)
                .map(|row| row["messages"].as_u64().expect("count"))
                .sum::<u64>()
        };
        (count("INBOX"), count("Trash"))
    };
    let delete_all = |account: &str| {
        let mut connection = server.connect(server.ports().pop3).expect("connect");
        connection.answer().expect("greeting");
        say(&mut connection, &format!("USER {account}"));
        let answer = say(&mut connection, &format!("PASS {PASSWORD}"));
        let count: u32 = answer
            .split(' ')
            .nth(1)
            .expect("count")
            .parse()
            .expect("count");
        for number in 1..=count {
            say(&mut connection, &format!("DELE {number}"));
        }
        assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    };
    for account in [ALICE, "bob@example.test"] {
        for _ in 0..3 {
            server.append(account, "INBOX", mail).expect("append");
        }
    }
    let shown = server
        .cli(&["account", "pop3", "bob@example.test", "--deleted", "remove"])
        .expect("set");
    assert!(
        shown.contains("remove") && shown.contains("default"),
        "{shown}"
    );
    delete_all(ALICE);
    delete_all("bob@example.test");
    assert_eq!(counts(ALICE), (0, 3));
    assert_eq!(counts("bob@example.test"), (0, 0));
    server
        .cli(&[
            "account",
            "pop3",
            "bob@example.test",
            "--deleted",
            "default",
        ])
        .expect("set");
    server
        .append("bob@example.test", "INBOX", mail)
        .expect("append");
    delete_all("bob@example.test");
    assert_eq!(counts("bob@example.test"), (0, 1));
    assert!(
        server
            .cli(&["account", "pop3", ALICE, "--deleted", "burn"])
            .is_err()
    );
    assert!(
        server
            .cli(&["account", "pop3", "nobody@example.test"])
            .is_err()
    );
}

/// An account may wait less than the others, and is told so.
#[test]
fn a_delay_of_its_own() {
    let server = server(&[("pop3.login_delay", "\"1h\"")]);
    server
        .cli(&["account", "pop3", ALICE, "--login-delay", "0"])
        .expect("set");
    for _ in 0..3 {
        let mut connection = logged_in(&server, "UTF8");
        let capabilities = listed(&mut connection, "CAPA");
        assert!(
            !capabilities
                .iter()
                .any(|line| line.starts_with("LOGIN-DELAY"))
        );
        assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    }
    server
        .cli(&["account", "pop3", ALICE, "--login-delay", "600"])
        .expect("set");
    let mut connection = logged_in(&server, "UTF8");
    assert!(listed(&mut connection, "CAPA").contains(&"LOGIN-DELAY 600".to_owned()));
    assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    let mut connection = server.connect(server.ports().pop3).expect("connect");
    connection.answer().expect("greeting");
    say(&mut connection, &format!("USER {ALICE}"));
    let answer = say(&mut connection, &format!("PASS {PASSWORD}"));
    assert!(answer.starts_with("-ERR [LOGIN-DELAY]"), "{answer}");
}

/// EXPIRE: `0d` removes what was taken with QUIT, and not without it; days are announced and remembered.
#[test]
fn what_was_taken_may_not_stay() {
    let server = server(&[("pop3.expire", "\"0d\"")]);
    server.add_account("bob@example.test").expect("account");
    for n in 0..4 {
        let mail = format!("Subject: {n}\r\n\r\nx\r\n");
        server
            .append(ALICE, "INBOX", mail.as_bytes())
            .expect("append");
    }
    let expires = |connection: &mut Connection| {
        let lines = listed(connection, "CAPA").into_iter();
        lines
            .filter(|line| line.starts_with("EXPIRE"))
            .collect::<Vec<_>>()
    };
    let mut connection = server.connect(server.ports().pop3).expect("connect");
    connection.answer().expect("greeting");
    assert_eq!(expires(&mut connection), ["EXPIRE 0 USER"]);
    let mut connection = logged_in(&server, "UTF8");
    assert_eq!(expires(&mut connection), ["EXPIRE 0"]);
    listed(&mut connection, "RETR 1");
    drop(connection);
    let mut connection = logged_in(&server, "UTF8");
    assert!(
        say(&mut connection, "STAT").starts_with("+OK 4 "),
        "no QUIT, no removal"
    );
    listed(&mut connection, "RETR 1");
    listed(&mut connection, "TOP 2 0");
    say(&mut connection, "DELE 3");
    assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    let mut connection = logged_in(&server, "UTF8");
    assert!(
        say(&mut connection, "STAT").starts_with("+OK 2 "),
        "1 was taken and 3 deleted"
    );
    assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    // An account may keep its mail for longer.
    for (days, told) in [("30d", "EXPIRE 30"), ("never", "EXPIRE NEVER")] {
        server
            .cli(&["account", "pop3", ALICE, "--expire", days])
            .expect("set");
        let mut connection = logged_in(&server, "UTF8");
        assert_eq!(expires(&mut connection), [told]);
        listed(&mut connection, "RETR 1");
        assert_eq!(say(&mut connection, "QUIT"), "+OK bye");
    }
    assert!(say(&mut logged_in(&server, "UTF8"), "STAT").starts_with("+OK 2 "));
}

/// fetchmail keeps its mail on the server and knows it by the ids of the server before: after the move nothing is fetched.
#[test]
fn fetchmail_fetches_nothing_again() {
    let server = server(&[]);
    let folder = tempfile::tempdir().expect("folder");
    let home = folder.path();
    let maildir = home.join("old");
    std::fs::create_dir(&maildir).expect("folder");
    dovecot(&maildir);
    let path = maildir.to_string_lossy().into_owned();
    server
        .cli(&["import", ALICE, "maildir", &path])
        .expect("import");
    // What fetchmail noted with the old server: two of the messages.
    std::fs::write(
        home.join("ids"),
        format!("{ALICE}@localhost 000061ae4c0907b0\n{ALICE}@localhost UID42-990\n"),
    )
    .expect("ids");
    let got = home.join("got");
    let rules = format!(
        "set no bouncemail\npoll localhost protocol pop3 service {} uidl\n user '{ALICE}' password '{PASSWORD}' keep \
         sslproto '' no rewrite\n mda \"sh -c 'cat >> {}'\"\n",
        server.ports().pop3,
        got.display()
    );
    let rules_file = home.join("rules");
    std::fs::write(&rules_file, rules).expect("rules");
    for file in [&rules_file, &home.join("ids")] {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file, permissions).expect("mode");
    }
    let of_home = |name: &str| home.join(name).to_string_lossy().into_owned();
    let (rules, ids, pid) = (of_home("rules"), of_home("ids"), of_home("pid"));
    let arguments = [
        "-f",
        &rules,
        "-i",
        &ids,
        "-N",
        "--nosyslog",
        "--pidfile",
        &pid,
    ];
    for expected in [2, 2] {
        let Some(output) = run("fetchmail", &arguments, b"") else {
            return;
        };
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let got = std::fs::read_to_string(&got).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(got.matches("Subject: ").count(), expected, "{text}");
        assert!(
            got.contains("Subject: three") && got.contains("Subject: four"),
            "{text}"
        );
    }
}
