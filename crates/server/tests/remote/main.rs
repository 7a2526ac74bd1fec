//! Mail of other servers: accounts brought here and carried away, over IMAP and POP3, in one go and in pieces.

mod accounts;
mod fake;
mod fetch;
mod strange;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use testkit::server::{PASSWORD, Server};

/// The account here.
const ANNA: &str = "anna@example.test";

fn server() -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(ANNA).expect("account");
    server
}

/// `waxwing import` and `export` with the password on standard input: exit code, JSON, what was said.
fn run(server: &Server, arguments: &[&str]) -> (i32, serde_json::Value, String) {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let output = server
        .cli_with(&all, &format!("{PASSWORD}\n"))
        .expect("run");
    told(&output)
}

fn told(output: &Output) -> (i32, serde_json::Value, String) {
    let value = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), value, said)
}

/// The same, and all is well.
fn well(server: &Server, arguments: &[&str]) -> serde_json::Value {
    let (code, value, said) = run(server, arguments);
    assert_eq!(code, 0, "{arguments:?}: {value:#} {said}");
    assert_eq!(value["complete"], true, "{value:#}");
    value
}

/// Starts a run that will be cut off.
fn begin(server: &Server, arguments: &[&str]) -> std::process::Child {
    let mut child = Command::new(testkit::server::binary())
        .arg("--config")
        .arg(server.config())
        .args(arguments)
        .env("WAXWING_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start");
    assert!(child.try_wait().expect("state").is_none());
    child
}

/// What a mailbox holds: octets with flags and date, sorted, by what an administrator sees.
type Contents = Vec<(Vec<u8>, Vec<String>, String)>;

/// All mailboxes of an account that hold anything, over IMAP.
fn contents(server: &Server, user: &str) -> BTreeMap<String, Contents> {
    let mut imap = server.connect(server.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    imap.imap(&format!("LOGIN \"{user}\" \"{PASSWORD}\""))
        .expect("login");
    let listed = imap.imap("LIST \"\" \"*\"").expect("list");
    let mut all = BTreeMap::new();
    for line in listed.iter().filter(|line| line.starts_with("* LIST")) {
        let name = line.rsplit_once(" \"/\" ").expect("a name").1.to_owned();
        let selected = imap.imap(&format!("EXAMINE {name}")).expect("examine");
        let exists = selected
            .iter()
            .find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS"));
        let count: u32 = exists
            .and_then(|count| count.parse().ok())
            .expect("a number");
        let mut messages = Contents::new();
        for number in 1..=count {
            messages.push(message(&mut imap, number));
        }
        messages.sort();
        if count > 0 {
            all.insert(name.trim_matches('"').to_owned(), messages);
        }
    }
    all
}

fn message(
    imap: &mut testkit::connection::Connection,
    number: u32,
) -> (Vec<u8>, Vec<String>, String) {
    imap.line(&format!(
        "f FETCH {number} (FLAGS INTERNALDATE BODY.PEEK[])"
    ))
    .expect("fetch");
    // News of others may come first.
    let lines = imap
        .answers_until(|line| line.contains(" FETCH ("))
        .expect("answer");
    let line = lines.last().expect("a line");
    let between = |from: &str, to: &str| {
        let rest = line.split_once(from).expect(line).1;
        rest.split_once(to).expect(line).0.to_owned()
    };
    let mut flags: Vec<String> = between("FLAGS (", ")")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    flags.sort();
    let date = between("INTERNALDATE \"", "\"");
    if line.ends_with("BODY[] \"\")") {
        imap.answers_until(|line| line.starts_with("f "))
            .expect("end");
        return (Vec::new(), flags, date);
    }
    let octets: usize = between("{", "}").parse().expect("a size");
    let octets = imap.read_octets(octets).expect("octets");
    imap.answers_until(|line| line.starts_with("f "))
        .expect("end");
    (octets, flags, date)
}

fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://anna%40example.test@127.0.0.1:{port}")
}
