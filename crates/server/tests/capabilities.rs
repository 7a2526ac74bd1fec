//! What the server announces, a dialog or an end-to-end test shows.
//!
//! A dialog shows a capability when one of its lines, comments included,
//! names it; here is only what a dialog cannot show, with the test that does.

use std::collections::BTreeSet;
use std::path::Path;
use testkit::Server;

/// Announced names that no dialog can show, and the file that does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("AUTH=SCRAM-SHA-256", "tools/interop/clients/msmtp.py"),
    // An administrator sets the limit.
    (
        "QUOTA=RES-ANNOTATION-STORAGE",
        "crates/server/tests/imap_annotations.rs",
    ),
    ("AUTH=SCRAM-SHA-256-PLUS", "crates/wire/src/sasl/mod.rs"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// All text of a protocol's dialogs, in capitals.
fn dialogs(protocol: &str) -> String {
    let folder = root().join("tests/dialogs").join(protocol);
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("dialogs").flatten() {
        text.push_str(&std::fs::read_to_string(entry.path()).expect("a dialog"));
    }
    text.to_ascii_uppercase()
}

fn unshown(names: &BTreeSet<String>, protocol: &str) -> Vec<String> {
    let text = dialogs(protocol);
    let words: BTreeSet<&str> = text
        .split(|c: char| c.is_whitespace() || "()[],;:`".contains(c))
        .collect();
    let elsewhere = |name: &str| {
        ELSEWHERE
            .iter()
            .any(|(known, file)| *known == name && root().join(file).exists())
    };
    names
        .iter()
        // What stands behind a number's equals sign is a setting.
        .map(|name| match name.strip_prefix("APPENDLIMIT=") {
            Some(_) => "APPENDLIMIT",
            None => name,
        })
        .filter(|name| !words.contains(name) && !elsewhere(name))
        .map(|name| format!("{protocol}: {name}"))
        .collect()
}

#[test]
fn each_announced_capability_has_a_dialog() {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let mut missing = Vec::new();

    for (port, hello, folder) in [
        (server.ports().smtp, "EHLO", "smtp"),
        (server.ports().submission, "EHLO", "submission"),
        (server.ports().lmtp, "LHLO", "lmtp"),
    ] {
        let mut smtp = server.connect(port).expect("connect");
        smtp.reply().expect("greeting");
        let lines = smtp
            .smtp(&format!("{hello} test.example"), 250)
            .expect("hello");
        let names = lines.iter().skip(1).filter_map(|line| line.get(4..));
        let names: BTreeSet<String> = names
            .filter_map(|line| line.split(' ').next())
            .map(str::to_ascii_uppercase)
            .collect();
        assert!(names.contains("PIPELINING"), "{names:?}");
        // The extensions of reception hold for the other two as well.
        let shown = unshown(&names, "smtp");
        let here = unshown(&names, folder);
        missing.extend(here.into_iter().filter(|line| {
            let name = line.split(": ").nth(1).unwrap_or_default();
            shown.contains(&format!("smtp: {name}"))
        }));
    }

    let mut imap = server.connect(server.ports().imap).expect("connect");
    let mut lines = vec![imap.answer().expect("greeting")];
    lines.extend(
        imap.imap("LOGIN alice@example.test open-sesame")
            .expect("login"),
    );
    lines.extend(imap.imap("CAPABILITY").expect("capability"));
    let names: BTreeSet<String> = lines
        .iter()
        .filter_map(|line| line.split_once("CAPABILITY "))
        .flat_map(|(_, list)| list.split(']').next().unwrap_or_default().split(' '))
        .map(str::to_ascii_uppercase)
        .collect();
    assert!(names.contains("IMAP4REV2"), "{names:?}");
    missing.extend(unshown(&names, "imap"));

    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    pop3.answer().expect("greeting");
    pop3.line("CAPA").expect("CAPA");
    let lines = pop3
        .answers_until(|line| line == ".")
        .expect("capabilities");
    let names: BTreeSet<String> = lines
        .iter()
        .filter(|line| !line.starts_with('+') && *line != ".")
        .filter_map(|line| line.split(' ').next())
        .map(str::to_ascii_uppercase)
        .collect();
    assert!(names.contains("UIDL"), "{names:?}");
    missing.extend(unshown(&names, "pop3"));
    assert!(
        missing.is_empty(),
        "announced, and shown nowhere:\n{}",
        missing.join("\n")
    );
}
