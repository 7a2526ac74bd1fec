//! The files of `tests/oracle` speak of dialogs that exist, and
//! `docs/differences.md` says what they say. `ORACLE_WRITE=1` writes the page.

use std::path::{Path, PathBuf};
use waxwing_testkit::oracle::explain::{Differences, Ground};
use waxwing_testkit::oracle::page;

/// What stands before the tables is written by hand.
const MARK: &str = "<!-- from here on made of tests/oracle/dovecot.toml -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn differences() -> Differences {
    Differences::read(&root().join("tests/oracle/dovecot.toml")).expect("differences")
}

#[test]
fn every_difference_is_of_a_line_that_exists() {
    let mut wrong = Vec::new();
    for entry in &differences().entries {
        let path = root().join("tests/dialogs").join(&entry.dialog);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let known = |line: &str| text.lines().any(|l| l == line);
        let first = match &entry.ground {
            Ground::Follows(at) => at,
            _ => &entry.at,
        };
        if !known(&entry.at) || !known(first) {
            wrong.push(format!("{}: {}", entry.dialog, entry.at));
        }
    }
    assert!(wrong.is_empty(), "no such line:\n{}", wrong.join("\n"));
}

#[test]
fn the_page_says_what_the_file_says() {
    let path = root().join("docs/differences.md");
    let page = std::fs::read_to_string(&path).expect("page");
    let (head, tables) = page.split_once(MARK).expect("the mark");
    let want = format!("\n{}", page::tables(&differences()));
    if std::env::var_os("ORACLE_WRITE").is_some() {
        std::fs::write(&path, format!("{head}{MARK}{want}")).expect("write");
        return;
    }
    assert!(
        tables == want,
        "ORACLE_WRITE=1 cargo test -p waxwing-testkit --test differences"
    );
}
