//! `waxwing fetch`: the server looks for mail elsewhere by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::server::{PASSWORD, Server};

use super::{ANNA, contents, server, url};

/// A file with a secret beside the server's configuration.
fn secret(server: &Server, text: &str) -> PathBuf {
    let file = server.config().with_file_name("elsewhere");
    fs::write(&file, text).expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
    file
}

fn listed(server: &Server) -> Vec<Value> {
    let text = server
        .cli(&["--json", "fetch", "list", ANNA])
        .expect("list");
    serde_json::from_str(&text).expect("JSON")
}

fn until(server: &Server, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let rows = listed(server);
        if let Some(row) = rows.iter().find(|row| is(row)) {
            return row.clone();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "waited in vain: {what}: {rows:?}\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn inbox(server: &Server) -> Vec<String> {
    let all = contents(server, ANNA);
    let inbox = all.get("INBOX").into_iter().flatten();
    inbox
        .map(|(octets, flags, _)| {
            format!(
                "{} {flags:?}",
                String::from_utf8_lossy(octets)
                    .lines()
                    .nth(1)
                    .unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn mail_elsewhere_comes_by_itself_and_once() {
    let (there, here) = (server(), server());
    let file = secret(&here, &format!("{PASSWORD}\nnot this\n"));
    let file = file.to_str().expect("UTF-8");
    there
        .append(
            ANNA,
            "INBOX (\\Seen) \"01-Feb-2003 04:05:06 +0500\"",
            b"X: 1\r\nSubject: one\r\n\r\n",
        )
        .expect("append");
    let from = url("imap", there.ports().imap);
    here.cli(&[
        "fetch",
        "add",
        ANNA,
        &from,
        "--password-file",
        file,
        "--every",
        "1h",
    ])
    .expect("add");
    let row = until(&here, "the first look", |row| row["fetched"] == 1);
    assert_eq!(
        (&row["trouble"], &row["every"]),
        (&Value::Null, &3600.into())
    );
    let all = contents(&here, ANNA);
    assert_eq!(all["INBOX"][0].1, Vec::<String>::new(), "it is new here");
    assert_eq!(all["INBOX"][0].2, "31-Jan-2003 23:05:06 +0000");
    // IDLE: the hour is not waited for.
    there
        .append(ANNA, "INBOX", b"X: 1\r\nSubject: two\r\n\r\n")
        .expect("append");
    until(&here, "news", |row| row["fetched"] == 2);
    here.cli(&["fetch", "now"]).expect("now");
    let before = row["last_success"].as_i64().unwrap_or(0);
    until(&here, "another look", |row| {
        row["last_success"].as_i64().unwrap_or(0) >= before
    });
    assert_eq!(inbox(&here), ["Subject: one []", "Subject: two []"]);
    let twice = here
        .cli_with(&["fetch", "add", ANNA, &from, "--password-file", file], "")
        .expect("run");
    assert!(String::from_utf8_lossy(&twice.stderr).contains("exists already"));
    // What was fetched is known when it is ordered anew.
    here.cli(&["fetch", "remove", ANNA, &from]).expect("remove");
    assert!(listed(&here).is_empty());
    here.cli(&["fetch", "add", ANNA, &from, "--password-file", file])
        .expect("add");
    until(&here, "a look", |row| row["last_success"].is_i64());
    assert_eq!(inbox(&here).len(), 2);
}

#[test]
fn a_maildrop_is_emptied_into_a_folder() {
    let (there, mut here) = (server(), server());
    let file = secret(&here, PASSWORD);
    let file = file.to_str().expect("UTF-8");
    for number in 0..5 {
        there
            .deliver(ANNA, format!("Subject: {number}\r\n\r\n").as_bytes())
            .expect("deliver");
    }
    // Ordered while no server runs.
    here.stop().expect("stop");
    let from = url("pop3", there.ports().pop3);
    let add = [
        "fetch",
        "add",
        ANNA,
        &from,
        "--password-file",
        file,
        "--folder",
        "Old",
        "--delete",
    ];
    here.cli(&add).expect("add");
    here.launch().expect("launch");
    until(&here, "the first look", |row| row["fetched"] == 5);
    assert_eq!(contents(&here, ANNA)["Old"].len(), 5);
    assert!(contents(&there, ANNA).is_empty());
    let imap = format!("{}/INBOX", url("imap", there.ports().imap));
    here.cli(&[
        "fetch",
        "add",
        ANNA,
        &imap,
        "--password-file",
        file,
        "--delete",
    ])
    .expect("add");
    there
        .deliver(ANNA, b"Subject: six\r\n\r\n")
        .expect("deliver");
    until(&here, "the other look", |row| {
        row["url"] == imap && row["fetched"] == 1
    });
    assert!(contents(&there, ANNA).is_empty());
}

#[test]
fn trouble_is_told_and_secrets_are_kept() {
    let (there, here) = (server(), server());
    let file = secret(&here, "wrong\n");
    let name = file.to_str().expect("UTF-8");
    let from = url("imap", there.ports().imap);
    let add = ["fetch", "add", ANNA, &from, "--password-file", name];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("mode");
    let refused = here.cli_with(&add, "").expect("run");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("others may read it"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
    here.cli(&add).expect("add");
    let row = until(&here, "trouble", |row| row["failures"] == 1);
    assert!(
        row["trouble"].to_string().contains("logging in failed"),
        "{row}"
    );
    let due = row["due"].as_i64().unwrap_or(0);
    assert!(
        due >= there_is(&row) + 14 * 60,
        "a refused login is not tried at once: {row}"
    );
    fs::write(&file, PASSWORD).expect("write");
    here.cli(&["fetch", "now", ANNA]).expect("now");
    until(&here, "success", |row| {
        row["trouble"].is_null() && row["failures"] == 0
    });
    for (arguments, why) in [
        (
            ["fetch", "add", ANNA, "ftp://u@h", "--password-file", name],
            "known are",
        ),
        (
            [
                "fetch",
                "add",
                "nobody@example.test",
                "imap://u@h",
                "--password-file",
                name,
            ],
            "account",
        ),
    ] {
        let refused = here.cli_with(&arguments, "").expect("run");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{said}");
    }
    let add = [
        "fetch",
        "add",
        ANNA,
        "imap://u:t0psecret@h",
        "--password-file",
        name,
    ];
    let refused = here.cli_with(&add, "").expect("run");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("password has no place") && !said.contains("t0psecret"),
        "{said}"
    );
    assert!(!here.log().contains("t0psecret"), "{}", here.log());
    assert!(!here.log().contains("wrong\n"));
    here.cli(&["account", "remove", ANNA]).expect("remove");
}

fn there_is(_: &Value) -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("time");
    i64::try_from(since.as_secs()).expect("seconds")
}

/// What fetching removed there is gone there: a copy of the account made later must not take that for its owner's wish.
#[test]
fn what_fetching_emptied_stays_here() {
    let (there, here) = (server(), server());
    let file = secret(&here, PASSWORD);
    let file = file.to_str().expect("UTF-8");
    for number in 0..3 {
        there
            .deliver(
                ANNA,
                format!("X: x\r\nSubject: {number}\r\n\r\n").as_bytes(),
            )
            .expect("deliver");
    }
    let from = url("imap", there.ports().imap);
    let add = [
        "fetch",
        "add",
        ANNA,
        &from,
        "--password-file",
        file,
        "--delete",
    ];
    here.cli(&add).expect("add");
    until(&here, "the first look", |row| row["fetched"] == 3);
    assert!(contents(&there, ANNA).is_empty());
    super::well(&here, &["import", ANNA, &from, "--delete"]);
    assert_eq!(inbox(&here).len(), 3, "there is no other copy");
}
