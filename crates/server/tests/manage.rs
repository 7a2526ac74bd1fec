//! Every managing command, beside a running server and without one.

use std::fs;
use std::path::Path;

use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server};

const ALICE: &str = "alice@example.test";

fn server() -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("account");
    server
}

/// Whether POP3 lets somebody in; the same check serves all protocols.
fn lets_in(server: &Server, user: &str, password: &str) -> bool {
    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    pop3.answer().expect("greeting");
    say(&mut pop3, &format!("USER {user}"));
    let answer = say(&mut pop3, &format!("PASS {password}"));
    say(&mut pop3, "QUIT");
    answer.starts_with("+OK")
}

fn say(connection: &mut Connection, line: &str) -> String {
    connection.line(line).expect("send");
    connection.answer().expect("answer")
}

fn json(server: &Server, arguments: &[&str]) -> serde_json::Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    serde_json::from_str(&server.cli(&all).expect("command")).expect("JSON")
}

fn fails(server: &Server, arguments: &[&str], why: &str) {
    let output = server.cli_with(arguments, "").expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(text.contains(why), "{arguments:?}: {text}");
}

#[test]
fn passwords_change_at_once_and_everywhere() {
    let server = server();
    assert!(lets_in(&server, ALICE, PASSWORD));
    assert!(lets_in(&server, ALICE, PASSWORD), "from memory");
    assert!(!lets_in(&server, ALICE, "wrong"));
    assert!(!lets_in(&server, "nobody@example.test", PASSWORD));
    let set = server.cli_with(
        &["account", "password", ALICE, "--password-stdin"],
        "another one\n",
    );
    assert!(set.expect("run").status.success());
    assert!(
        !lets_in(&server, ALICE, PASSWORD),
        "the remembered password must not count any more"
    );
    assert!(lets_in(&server, ALICE, "another one"));
    let new = server
        .cli(&["account", "password", ALICE])
        .expect("a new one is printed");
    assert!(lets_in(&server, ALICE, new.trim()));
    server.cli(&["account", "disable", ALICE]).expect("disable");
    assert!(!lets_in(&server, ALICE, new.trim()));
    server.cli(&["account", "enable", ALICE]).expect("enable");
    assert!(lets_in(&server, ALICE, new.trim()));
    server.cli(&["account", "remove", ALICE]).expect("remove");
    assert!(!lets_in(&server, ALICE, new.trim()));
}

#[test]
fn app_passwords_come_and_go() {
    let server = server();
    let password = server
        .cli(&["app-password", "add", ALICE, "phone"])
        .expect("add");
    let password = password.trim();
    assert!(lets_in(&server, ALICE, password));
    assert!(lets_in(&server, ALICE, &password.replace('-', "")));
    assert!(lets_in(&server, ALICE, PASSWORD));
    let list = json(&server, &["app-password", "list", ALICE]);
    assert_eq!(list[0]["name"], "phone");
    assert!(list[0]["last_used"].is_i64(), "{list}");
    fails(
        &server,
        &["app-password", "add", ALICE, "phone"],
        "exists already",
    );
    server
        .cli(&["app-password", "remove", ALICE, "phone"])
        .expect("remove");
    assert!(!lets_in(&server, ALICE, password));
}

#[test]
fn lists_are_the_same_with_and_without_a_server() {
    let mut server = server();
    server
        .cli(&["domain", "add", "other.test"])
        .expect("domain");
    server
        .cli(&["account", "add", "bob@other.test", "--quota", "5M"])
        .expect("account");
    server
        .cli(&["account", "quota", ALICE, "1G"])
        .expect("quota");
    server
        .cli(&["alias", "add", "team@example.test", ALICE, "bob@other.test"])
        .expect("alias");
    server
        .cli(&["alias", "add", "*@example.test", ALICE])
        .expect("catch-all");
    server
        .deliver("someone@example.test", b"Subject: caught\r\n\r\nx\r\n")
        .expect("catch-all");
    fails(&server, &["domain", "add", "other.test"], "exists already");
    fails(&server, &["domain", "remove", "example.test"], "");
    fails(
        &server,
        &["account", "add", "x@nowhere.test"],
        "no such domain",
    );
    fails(
        &server,
        &["account", "quota", "x@example.test", "1G"],
        "account not found",
    );
    let lists: [&[&str]; 5] = [
        &["domain", "list"],
        &["account", "list"],
        &["account", "list", "example.test"],
        &["alias", "list"],
        &["mailbox", "list", ALICE],
    ];
    let beside: Vec<_> = lists.iter().map(|list| json(&server, list)).collect();
    let tables: Vec<_> = lists
        .iter()
        .map(|list| server.cli(list).expect("table"))
        .collect();
    assert!(
        tables[1].contains("alice@example.test") && tables[1].contains("1.0G"),
        "{}",
        tables[1]
    );
    assert!(
        tables[4].contains("Drafts") && tables[4].contains("INBOX"),
        "{}",
        tables[4]
    );
    assert!(server.stop().expect("stop"));
    let without: Vec<_> = lists.iter().map(|list| json(&server, list)).collect();
    assert_eq!(beside, without);
    assert_eq!(beside[1].as_array().map(Vec::len), Some(2));
    assert_eq!(beside[2][0]["messages"], 1);
    assert_eq!(beside[3][0]["address"], "@example.test");
}

#[test]
fn many_accounts_at_once() {
    let server = server();
    let mut lines = String::from("# who and what\n\n");
    for n in 0..30 {
        lines.push_str(&format!("u{n}@example.test secret {n}\n"));
    }
    let output = server
        .cli_with(&["account", "add", "--from", "-"], &lines)
        .expect("run");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "30 accounts added\n"
    );
    assert!(lets_in(&server, "u29@example.test", "secret 29"));
    let again = server.cli_with(
        &["account", "add", "--from", "-"],
        "new@example.test a\nu3@example.test b\n",
    );
    let text = String::from_utf8_lossy(&again.expect("run").stderr).into_owned();
    assert!(text.contains("u3@example.test exists already"), "{text}");
    let all = json(&server, &["account", "list"]);
    assert_eq!(
        all.as_array().map(Vec::len),
        Some(31),
        "all of a batch or none"
    );
}

/// Message `n` of the imports.
fn message(n: usize) -> Vec<u8> {
    format!(
        "From: a@remote.example\r\nSubject: number {n}\r\n\r\n{}\r\n",
        "text ".repeat(n % 50)
    )
    .into_bytes()
}

fn write_maildir(folder: &Path, count: usize) {
    for name in [
        "cur",
        "new",
        "tmp",
        ".Lists.Rust/cur",
        ".Lists.Rust/new",
        ".Lists.Rust/tmp",
    ] {
        fs::create_dir_all(folder.join(name)).expect("folder");
    }
    for n in 0..count {
        let place = if n % 3 == 0 { ".Lists.Rust/cur" } else { "cur" };
        let flags = if n % 2 == 0 { "S" } else { "FR" };
        fs::write(
            folder.join(place).join(format!("{n:05}.M1.host:2,{flags}")),
            message(n),
        )
        .expect("write");
    }
}

#[test]
fn import_goes_on_where_it_was_cut_off_and_export_gives_it_back() {
    let mut server = server();
    let folder = tempfile::tempdir().expect("folder");
    let source = folder.path().join("in");
    write_maildir(&source, 300);
    let source = source.to_str().expect("UTF-8");
    server.set_quota(ALICE, 20_000).expect("quota");
    fails(&server, &["import", ALICE, "maildir", source], "over quota");
    let part: u64 = json(&server, &["account", "list"])[0]["messages"]
        .as_u64()
        .expect("number");
    assert!(part > 10 && part < 300, "{part}");
    server
        .cli(&["account", "quota", ALICE, "none"])
        .expect("quota");
    let done = json(&server, &["import", ALICE, "maildir", source]);
    assert_eq!(
        done["messages"].as_u64().map(|now| now + part),
        Some(300),
        "{done}"
    );
    assert_eq!(done["known"], part, "{done}");
    let boxes = json(&server, &["mailbox", "list", ALICE]);
    let count = |name: &str| {
        let rows = boxes.as_array().expect("rows");
        rows.iter()
            .find(|row| row["name"] == name)
            .map(|row| (row["messages"].clone(), row["unseen"].clone()))
    };
    assert_eq!(count("INBOX"), Some((200.into(), 100.into())));
    assert_eq!(count("Lists/Rust"), Some((100.into(), 50.into())));

    for running in [true, false] {
        let out = folder.path().join(format!("out-{running}"));
        let path = out.to_str().expect("UTF-8");
        assert_eq!(
            json(&server, &["export", ALICE, "maildir", path])["messages"],
            300
        );
        assert_eq!(
            json(&server, &["export", ALICE, "maildir", path])["known"],
            300,
            "a second run adds nothing"
        );
        let mut bodies = all_files(&out);
        let mut expected: Vec<Vec<u8>> = (0..300)
            .map(|n| message(n).into_iter().filter(|&b| b != b'\r').collect())
            .collect();
        bodies.sort();
        expected.sort();
        let bodies: Vec<Vec<u8>> = bodies
            .into_iter()
            .map(|body| body.into_iter().filter(|&b| b != b'\r').collect())
            .collect();
        assert!(
            bodies == expected,
            "{} files of {}",
            bodies.len(),
            expected.len()
        );
        if running {
            assert!(server.stop().expect("stop"));
        }
    }
}

/// The contents of all messages under a Maildir.
fn all_files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else if path
            .parent()
            .is_some_and(|parent| parent.ends_with("cur") || parent.ends_with("new"))
        {
            found.push(fs::read(&path).expect("file"));
        }
    }
    found
}

#[test]
fn backup_beside_a_running_server_can_be_served() {
    let server = server();
    for n in 0..20 {
        server.deliver(ALICE, &message(n)).expect("deliver");
    }
    let folder = tempfile::tempdir().expect("folder");
    let copy = folder.path().join("copy");
    let done = json(&server, &["backup", copy.to_str().expect("UTF-8")]);
    assert!(
        done["octets"].as_u64().is_some_and(|octets| octets > 0),
        "{done}"
    );
    let config = folder.path().join("waxwing.toml");
    fs::write(
        &config,
        "hostname = \"copy.test.example\"\ndata = \"copy\"\n",
    )
    .expect("write");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(testkit::server::binary());
        let output = command
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .output()
            .expect("run");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run(&["check"]).contains("20 messages"));
    assert!(run(&["mailbox", "list", ALICE]).contains("INBOX"));
}

#[test]
fn setup_makes_a_configuration_that_serves() {
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("waxwing.toml");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(testkit::server::binary());
        command
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .output()
            .expect("run")
    };
    let wrong = run(&["setup", "Example.TEST", "--account", "not one"]);
    assert!(!wrong.status.success(), "{wrong:?}");
    // What failed leaves nothing in the way of the right one.
    let made = run(&["setup", "Example.TEST", "--account", "me"]);
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    assert!(
        text.contains("me@example.test") && text.contains("Password"),
        "{text}"
    );
    let aliases = run(&["--json", "alias", "list"]);
    let aliases: serde_json::Value = serde_json::from_slice(&aliases.stdout).expect("JSON");
    assert_eq!(aliases[1]["address"], "postmaster@example.test");
    let again = run(&["setup", "example.test"]);
    assert!(
        !again.status.success()
            && String::from_utf8_lossy(&again.stderr).contains("exists already")
    );
    let bad = run(&["--config", "/nowhere/at/all.toml", "domain", "list"]);
    assert!(!bad.status.success());
}

/// The demonstration on ports of its own: a folder with a configuration keeps it.
#[test]
fn the_demonstration_prints_what_works() {
    let folder = tempfile::tempdir().expect("folder");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|one| one.local_addr())
        .expect("a free port");
    let text = format!("hostname = \"localhost\"\ndata = \"store\"\nlisten.pop3s = [\"{port}\"]\n");
    fs::write(folder.path().join("waxwing.toml"), text).expect("write");
    let run = || {
        let mut command = std::process::Command::new(testkit::server::binary());
        let child = command
            .arg("demo")
            .arg(folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut child = child.expect("start");
        let lines = std::io::BufReader::new(child.stdout.take().expect("output"));
        let mut text = String::new();
        for line in std::io::BufRead::lines(lines) {
            text.push_str(&line.expect("line"));
            text.push('\n');
            if text.contains("Manage it beside") {
                break;
            }
        }
        (child, text)
    };
    let (mut child, text) = run();
    let word = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    let (alice, bob) = (word("alice@example.test"), word("bob@example.test"));
    assert!(
        alice.len() == 31 && bob.len() == 31 && alice != bob,
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "pop3s://{port}/1' --user 'bob@example.test:{bob}'"
        )),
        "{text}"
    );
    child.kill().expect("kill");
    child.wait().expect("wait");
    let (mut child, text) = run();
    assert!(
        !text.contains(&bob) && text.contains("account password alice@example.test"),
        "{text}"
    );
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// Root could open everybody's data folder and would leave files in it that the server's own user cannot open.
#[test]
fn somebody_elses_data_folder_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("waxwing.toml");
    fs::write(&config, "hostname = \"a.example.test\"\ndata = \"d\"\n").expect("write");
    fs::create_dir(folder.path().join("d")).expect("folder");
    if std::os::unix::fs::chown(folder.path().join("d"), Some(12_345), None).is_err() {
        eprintln!("skipped: only root can give a folder away");
        return;
    }
    let mut command = std::process::Command::new(testkit::server::binary());
    let output = command
        .arg("--config")
        .arg(&config)
        .args(["domain", "list"])
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("belongs to user 12345"),
        "{text}"
    );
    assert_eq!(
        fs::read_dir(folder.path().join("d"))
            .expect("folder")
            .count(),
        0
    );
}
