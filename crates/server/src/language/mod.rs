//! The languages of what people may read in answers: LANG of POP3 (RFC 6856 §3) and LANGUAGE of IMAP (RFC 5255 §3).
//!
//! Texts stand in English where they are sent. Each passes one point of its session on the way out, and there is looked up
//! in [`table`]: a constant by itself, one with something particular in it by what is around that. So nothing that sends a text
//! has to know of languages.
//!
//! BAD answers to malformed IMAP commands stay in English: they name the grammar, for those who write clients.

mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

use wire::language::{Language, Languages};

/// All languages, English first. `i-default` is what IMAP begins with and can go back to (RFC 5255 §3.1): English in ASCII.
static ALL: [Language; 4] = [
    Language {
        tag: "en",
        name: "English",
        translate: |_| None,
    },
    Language {
        tag: "de",
        name: "Deutsch",
        translate: |text| translated(text, |row| row.1),
    },
    Language {
        tag: "fr",
        name: "Français",
        translate: |text| translated(text, |row| row.2),
    },
    Language {
        tag: "i-default",
        name: "English",
        translate: |_| None,
    },
];

/// Tags that the configuration may name.
pub const TAGS: [&str; 3] = ["en", "de", "fr"];

/// The languages, with the one that the configuration prefers.
pub fn languages(preferred: &str) -> Languages {
    let named = |language: &Language| language.tag == preferred;
    Languages {
        all: &ALL,
        preferred: ALL.iter().position(named).unwrap_or(0),
    }
}

type Row = (&'static str, &'static str, &'static str);

static CONSTANT: LazyLock<HashMap<&'static str, &'static Row>> = LazyLock::new(|| {
    let rows = table::TEXTS.iter().filter(|row| !row.0.contains("{}"));
    rows.map(|row| (row.0, row)).collect()
});

fn translated(text: &str, column: fn(&Row) -> &'static str) -> Option<String> {
    if let Some(row) = CONSTANT.get(text) {
        return Some(column(row).to_owned());
    }
    let patterns = table::TEXTS.iter().filter(|row| row.0.contains("{}"));
    patterns
        .filter_map(|row| Some((row, particulars(row.0, text)?)))
        .map(|(row, particulars)| filled(column(row), &particulars))
        .next()
}

/// What stands in a text where its pattern has `{}`; None for a text of another pattern.
fn particulars<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut around = pattern.split("{}");
    let mut rest = text.strip_prefix(around.next()?)?;
    let mut found = Vec::new();
    let mut around = around.peekable();
    while let Some(behind) = around.next() {
        let at = match around.peek() {
            Some(_) => rest.find(behind)?,
            None => rest.len().checked_sub(behind.len())?,
        };
        found.push(rest.get(..at)?);
        rest = rest.get(at..)?.strip_prefix(behind)?;
    }
    let plain = |found: &&str| !found.is_empty() && !found.contains(' ');
    found.iter().all(plain).then_some(found)
}

fn filled(pattern: &str, particulars: &[&str]) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut particulars = particulars.iter();
    for (n, piece) in pattern.split("{}").enumerate() {
        if n > 0 {
            out.push_str(particulars.next().unwrap_or(&""));
        }
        out.push_str(piece);
    }
    out
}

#[cfg(test)]
mod tests;
