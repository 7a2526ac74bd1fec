//! What a sender looks like to a person, as far as it is meant to mislead (A31): a name that is another address, letters that
//! change the direction of text, domains that mix scripts.
//!
//! None of it is refused, because honest mail does each of these things somewhere; it counts in points, and the decision
//! record says what a reader should look at.

use super::{Check, name};

/// Points of each trick. Alone none reaches Junk with the usual limits.
const POINTS: f32 = 2.0;

/// Letters of a display name that are looked at; nobody reads more.
const NAME: usize = 1_000;

/// Looks at From, Sender and Reply-To.
pub(super) fn check(message: &[u8], header: usize) -> Option<Check> {
    let mut tricks: Vec<String> = Vec::new();
    for field in mime::header::fields(message, 0..header) {
        let (from, others) = (field.is("From"), field.is("Sender") || field.is("Reply-To"));
        if !from && !others {
            continue;
        }
        for mailbox in field.addresses().mailboxes() {
            let domain = mailbox.domain().unwrap_or_default();
            tricks.extend(trick(mailbox.name.unwrap_or_default(), domain));
        }
    }
    tricks.dedup();
    let first = tricks.first()?;
    let found = match tricks.len() {
        1 => first.clone(),
        _ => tricks.join("; "),
    };
    let words = format!("Its sender may not be who it looks like: {found}.");
    Some(Check::new("appearance", "suspicious", words).weighing(POINTS))
}

/// What misleads in one address.
fn trick(shown: &str, domain: &str) -> Vec<String> {
    let mut tricks = Vec::new();
    let shown: String = shown.chars().take(NAME).collect();
    if let Some(other) = other_address(&shown, domain) {
        tricks.push(format!(
            "the name {other:?} is an address, and not the one it comes from"
        ));
    }
    if shown.chars().any(turns) {
        tricks.push("its name has letters that turn the direction of text".to_owned());
    }
    if name::ascii(domain).is_some() && unicode(domain).split('.').any(mixes) {
        tricks.push(format!(
            "the domain {domain} mixes letters of several scripts"
        ));
    }
    tricks
}

/// An address in the name whose domain is neither the real one nor above or below it.
fn other_address<'a>(shown: &'a str, domain: &str) -> Option<&'a str> {
    let real = name::ascii(domain)?;
    shown
        .split(|letter: char| letter.is_whitespace() || "<>\"'(),;:[]".contains(letter))
        .find(|word| {
            let Some((local, claimed)) = word.rsplit_once('@') else {
                return false;
            };
            let claimed = name::ascii(claimed.trim_end_matches('.'));
            let related =
                |claimed: &str| name::is_within(claimed, &real) || name::is_within(&real, claimed);
            !local.is_empty()
                && claimed.is_some_and(|claimed| claimed.contains('.') && !related(&claimed))
        })
}

/// Overrides, embeddings and isolates of bidirectional text, which no name needs.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn unicode(domain: &str) -> String {
    idna::domain_to_unicode(domain).0
}

/// Scripts whose letters pass for one another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
}

fn script(letter: char) -> Option<Script> {
    Some(match letter {
        'a'..='z' | 'A'..='Z' | '\u{00c0}'..='\u{024f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{0370}'..='\u{03ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{0400}'..='\u{052f}' => Script::Cyrillic,
        '\u{0530}'..='\u{058f}' => Script::Armenian,
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Script::Cherokee,
        _ => return None,
    })
}

fn mixes(label: &str) -> bool {
    let mut scripts = label.chars().filter_map(script);
    let Some(first) = scripts.next() else {
        return false;
    };
    scripts.any(|script| script != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A31: tricks on the eye are told, and honest names are not.
    #[test]
    fn a31_names_that_mislead() {
        let table: [(&str, Option<&str>); 14] = [
            ("From: Bob <bob@example.org>", None),
            ("From: bob@example.org", None),
            ("From: \"bob@example.org\" <bob@example.org>", None),
            (
                "From: \"bob@example.org via list\" <list@mail.example.org>",
                None,
            ),
            ("From: \"Bob @ work\" <bob@example.org>", None),
            (
                "From: \"boss@bank.example\" <eve@evil.example>",
                Some("boss@bank.example"),
            ),
            (
                "From: =?utf-8?q?boss=40bank=2Eexample?= <eve@evil.example>",
                Some("boss@bank.example"),
            ),
            (
                "From: \"Boss <boss@bank.example>\" <eve@evil.example>",
                Some("boss@bank.example"),
            ),
            (
                "From: a@b.example\r\nReply-To: \"a@b.example\" <eve@evil.example>",
                Some("a@b.example"),
            ),
            (
                "From: =?utf-8?b?4oCuZWxwbWF4ZQ==?= <a@b.example>",
                Some("direction"),
            ),
            // pаypal with a Cyrillic а, as U-label and as A-label.
            ("From: a@p\u{0430}ypal.example", Some("scripts")),
            ("From: a@xn--pypal-4ve.example", Some("scripts")),
            ("From: a@b\u{fc}cher.example", None),
            (
                "From: a@\u{043f}\u{043e}\u{0447}\u{0442}\u{0430}.example",
                None,
            ),
        ];
        for (header, expected) in table {
            let message = format!("{header}\r\n\r\n");
            let found = check(message.as_bytes(), message.len());
            match (found, expected) {
                (None, None) => {}
                (Some(check), Some(words)) => {
                    assert!(check.explanation.contains(words), "{header}: {check:?}");
                    assert_eq!(check.weight, POINTS);
                }
                other => panic!("{header}: {other:?}"),
            }
        }
    }
}
