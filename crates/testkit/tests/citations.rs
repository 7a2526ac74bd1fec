//! Every cited section of an RFC exists.
//!
//! The texts lie in `$WAXWING_SHARED/rfc` or `../shared/rfc`; without them
//! the test says so and passes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn texts() -> Option<PathBuf> {
    let shared =
        std::env::var_os("WAXWING_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    Some(shared.join("rfc")).filter(|folder| folder.is_dir())
}

/// Citations `RFC 9051 §6.4.5` in a text; further sections of the same
/// document may follow (`RFC 5321 §4.1.1, §4.2`).
fn citations(text: &str) -> BTreeSet<(u32, String)> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("RFC ") {
        let rest = &text[at + 4..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let Ok(document) = digits.parse() else {
            continue;
        };
        let mut rest = &rest[digits.len()..];
        loop {
            let trimmed = rest.trim_start_matches([' ', ',']);
            let Some(after) = trimmed.strip_prefix('§') else {
                break;
            };
            let section: String = after
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '.')
                .collect();
            rest = &after[section.len()..];
            found.insert((document, section.trim_end_matches('.').to_owned()));
        }
    }
    found
}

/// The section numbers of a text: what stands at the start of a heading.
fn sections(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start_matches(['#', ' ', '*']);
            let line = line.strip_prefix("Appendix ").unwrap_or(line);
            let word = line.split_whitespace().next()?;
            let word = word.trim_end_matches(['.', ':', '*']);
            let first = word.chars().next()?;
            let numbered = first.is_ascii_digit()
                || (first.is_ascii_uppercase() && word.len() > 1 && word.as_bytes()[1] == b'.')
                || (first.is_ascii_uppercase() && word.len() == 1);
            numbered.then(|| word.to_owned())
        })
        .collect()
}

fn cited() -> BTreeMap<(u32, String), PathBuf> {
    let mut all = BTreeMap::new();
    let mut folders = vec![
        root().join("crates"),
        root().join("tests"),
        root().join("docs"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let wanted = path
                .extension()
                .is_some_and(|e| e == "rs" || e == "txt" || e == "md" || e == "toml");
            if wanted && path.file_name().is_some_and(|n| n != "citations.rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                for citation in citations(&text) {
                    all.entry(citation).or_insert_with(|| path.clone());
                }
            }
        }
    }
    all
}

#[test]
fn every_cited_section_exists() {
    let Some(texts) = texts() else {
        eprintln!("skipped, because the RFC texts are not there");
        return;
    };
    let mut known: BTreeMap<u32, Option<BTreeSet<String>>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for ((document, section), path) in cited() {
        let sections = known.entry(document).or_insert_with(|| {
            let text = std::fs::read_to_string(texts.join(format!("rfc{document}.md"))).ok()?;
            // Something else may lie under the name: a page that says that there is nothing.
            let is_it = text.contains(&document.to_string()) && text.contains("Introduction");
            is_it.then(|| sections(&text))
        });
        // A document whose text is not at hand cannot be checked.
        if sections.as_ref().is_some_and(|s| !s.contains(&section)) {
            wrong.push(format!("{}: RFC {document} §{section}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "no such section:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_citations_reads() {
    let got = citations("see RFC 9051 §6.4.5. And RFC 5321 §4.1.1, §D.1; RFC 2920.");
    let want = [(5321, "4.1.1"), (5321, "D.1"), (9051, "6.4.5")];
    assert_eq!(got, want.map(|(d, s)| (d, s.to_owned())).into());
    assert!(
        sections("## 6.4.5. FETCH Command\n### A.1 x\nAppendix B. y\n")
            .is_superset(&["6.4.5", "A.1", "B"].map(str::to_owned).into())
    );
}
