//! Every text that is sent has a translation: those in the sources, and those that dialogs show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn german(text: &str) -> Option<String> {
    (ALL[1].translate)(text)
}

#[test]
fn particulars_are_carried_over() {
    for (text, expected) in [
        ("no such message", Some("diese Nachricht gibt es nicht")),
        (
            "7 messages (12345 octets)",
            Some("7 Nachrichten (12345 Oktette)"),
        ),
        ("message 3 deleted", Some("Nachricht 3 gelöscht")),
        (
            "try again later (error 00ff)",
            Some("bitte später noch einmal (Fehler 00ff)"),
        ),
        ("message 3 and 4 deleted", None),
        ("message  deleted", None),
        (" octets", None),
        ("what nobody wrote", None),
    ] {
        assert_eq!(german(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn the_table_is_whole() {
    let mut seen = BTreeSet::new();
    for (english, german, french) in table::TEXTS {
        assert!(seen.insert(english), "{english:?} is there twice");
        // Clients that chose no language get ASCII (RFC 3501 §9, `text`).
        assert!(english.is_ascii(), "{english:?}");
        let holes = english.matches("{}").count();
        for text in [german, french] {
            assert_eq!(text.matches("{}").count(), holes, "{text:?}");
            // What stands first may not look like a response code, and a line is one line.
            let odd = text.starts_with('[') || text.chars().any(char::is_control);
            assert!(!odd && !text.trim().is_empty(), "{text:?}");
            assert!(
                text.len() <= 120,
                "{text:?} is too long for a line of 512 octets"
            );
        }
    }
}

#[test]
fn languages_are_told_apart() {
    let languages = languages("fr");
    let tag = |range: &str| languages.choose(range).map(|language| language.tag);
    assert_eq!(tag("*"), Some("fr"));
    assert_eq!(
        (tag("de-CH"), tag("i-default")),
        (Some("de"), Some("i-default"))
    );
    assert!(TAGS.iter().all(|known| tag(known) == Some(known)));
}

/// What makes an answer with words, and where its text is written. BAD is not translated.
const MAKERS: [&str; 14] = [
    "Reply::ok(",
    "Reply::no(",
    "Reply::coded(",
    "Reply::new(",
    "Reply::Text(",
    ".answer(",
    ".ok(",
    ".text(",
    "too_many(",
    "Refusal::plain(",
    "Refusal::coded(",
    "Refusal::new(",
    "localized(",
    " tell(",
];

/// Literals in the arguments of the makers, holes as `{}`, with the file of each.
fn sent() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    for folder in [
        "imap/src/server",
        "imap/src/parse",
        "pop3/src",
        "server/src/imap",
        "server/src/pop3",
    ] {
        collect(&crates().join(folder), &mut files);
    }
    files.push(crates().join("server/src/pop3.rs"));
    let mut texts = BTreeMap::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source");
        let code: String = source
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for maker in MAKERS {
            for (at, _) in code.match_indices(maker) {
                let arguments = arguments(&code[at + maker.len()..]);
                if arguments.contains("Status::Bad") {
                    continue;
                }
                for literal in literals(arguments) {
                    texts.insert(literal, file.display().to_string());
                }
            }
        }
    }
    texts
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

/// Up to the parenthesis that closes.
fn arguments(code: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, c) in code.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
    }
    code
}

/// The string literals of some code, what is particular in them as `{}`.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = code.chars();
    while chars.any(|c| c == '"') {
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    // The line goes on in the next.
                    Some('\n') => {
                        let rest = chars.as_str().trim_start();
                        chars = rest.chars();
                    }
                    Some(escaped) => text.push(escaped),
                    None => break,
                },
                '{' => {
                    text.push_str("{}");
                    chars.find(|c| *c == '}');
                }
                c => text.push(c),
            }
        }
        found.push(text);
    }
    found.retain(|text| !text.is_empty());
    found
}

#[test]
fn every_text_in_the_sources_is_translated() {
    let known: BTreeSet<&str> = table::TEXTS.iter().map(|row| row.0).collect();
    let sent = sent();
    assert!(
        sent.len() > 100 && sent.contains_key("no such mailbox"),
        "{sent:#?}"
    );
    let missing: Vec<String> = sent
        .iter()
        .filter(|(text, _)| !known.contains(text.as_str()))
        .map(|(text, file)| format!("{text:?} in {file}"))
        .collect();
    assert!(
        missing.is_empty(),
        "add to language/table.rs, in German and French:\n{}",
        missing.join("\n")
    );
    // Put together elsewhere, and the name of a namespace.
    let elsewhere = ["{} messages ({} octets)", "Other Users/"];
    let unused = |text: &&str| !sent.contains_key(*text) && !elsewhere.contains(text);
    let unused: Vec<_> = known.into_iter().filter(unused).collect();
    assert!(unused.is_empty(), "nobody says this any more: {unused:#?}");
}

/// The sources are read by their looks, so what dialogs show is looked at as well.
#[test]
fn every_text_that_dialogs_show_is_translated() {
    let mut missing = BTreeSet::new();
    for protocol in ["imap", "pop3"] {
        let folder = crates().join("../tests/dialogs").join(protocol);
        for entry in std::fs::read_dir(folder).expect("dialogs").flatten() {
            let dialog = std::fs::read_to_string(entry.path()).expect("a dialog");
            // Where another language was chosen, texts are not English.
            if dialog.contains(" LANG") {
                continue;
            }
            let texts = dialog.lines().filter_map(|line| shown(line, protocol));
            missing.extend(texts.filter(|text| german(text).is_none()));
        }
    }
    assert!(missing.is_empty(), "not in language/table.rs: {missing:#?}");
}

/// The text of `S: a OK [CODE] text`, or of `S: -ERR [CODE] text`.
fn shown(line: &str, protocol: &str) -> Option<String> {
    let (who, answer) = line.split_once(": ")?;
    let text = match protocol {
        "pop3" => answer.strip_prefix("-ERR ")?,
        _ => {
            let (_, answer) = answer.split_once(' ')?;
            answer.strip_prefix("OK ").or(answer.strip_prefix("NO "))?
        }
    };
    let text = match text.strip_prefix('[') {
        Some(coded) => coded.split_once("] ")?.1,
        None => text,
    };
    let server = who == "S" || (who.starts_with('S') && who[1..].parse::<u8>().is_ok());
    let whole = server && !text.contains("{{") && !text.contains("Waxwing");
    whole.then(|| text.to_owned())
}
