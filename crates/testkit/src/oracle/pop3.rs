//! POP3 answers laid upon what a dialog expects.
//!
//! What never counts: the text behind `+OK` and `-ERR` (RFC 1939 §3), unless
//! it is numbers, and the order of the lines of CAPA (RFC 2449 §5).

use super::judge::Rest;
use crate::dialog::pattern::{Pattern, Values};

/// Whether an answer that begins with `+OK` has more lines (RFC 1939 §3, RFC 2449 §5, RFC 6856 §3.2).
pub fn is_long(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    match verb.as_str() {
        "CAPA" | "RETR" | "TOP" => true,
        "LIST" | "UIDL" | "LANG" => words.next().is_none(),
        _ => false,
    }
}

/// Lays what was said upon what is expected.
pub fn judge(
    expected: &[(String, Pattern)],
    open: bool,
    said: &[Vec<u8>],
    values: &mut Values,
) -> Rest {
    let listing = said.last().is_some_and(|line| line == b".") && expected.len() > 1;
    let capa = listing
        && expected
            .iter()
            .any(|(text, _)| text.starts_with("IMPLEMENTATION"));
    let mut left: Vec<Option<&Vec<u8>>> = said.iter().map(Some).collect();
    let mut rest = Rest::default();
    for (next, (text, pattern)) in expected.iter().enumerate() {
        let fits = |n: usize, values: &mut Values| {
            left.get(n)
                .copied()
                .flatten()
                .is_some_and(|line| fits(pattern, line, values))
        };
        let found = match capa || open {
            true => (0..said.len()).find(|&n| fits(n, values)),
            false => Some(next).filter(|&n| fits(n, values)),
        };
        match found {
            Some(n) => left[n] = None,
            None => rest.ours.push(text.clone()),
        }
    }
    if !open {
        rest.theirs = left.into_iter().flatten().cloned().collect();
    }
    rest
}

fn fits(pattern: &Pattern, line: &[u8], values: &mut Values) -> bool {
    if pattern.matches(line, values) {
        return true;
    }
    let source = pattern.source();
    if source.starts_with(b"SASL ") {
        // RFC 5034 §6: mechanisms in any order.
        let sorted = |line: &[u8]| {
            let line = String::from_utf8_lossy(line).into_owned();
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            words.sort_unstable();
            words
        };
        return sorted(&source) == sorted(line);
    }
    let (ours, theirs) = (split(&source), split(line));
    match ours.word.as_slice() {
        b"+" => theirs.word == b"+",
        b"+OK" | b"-ERR" => {
            ours.word == theirs.word
                && (ours.code.is_empty() || ours.code == theirs.code)
                && data(&ours.rest, &theirs.rest, values)
        }
        _ => false,
    }
}

struct Status {
    word: Vec<u8>,
    code: Vec<u8>,
    rest: String,
}

/// `-ERR [AUTH] no`
fn split(line: &[u8]) -> Status {
    let text = String::from_utf8_lossy(line);
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let (code, rest) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((code, rest)) => (code, rest),
        None => ("", rest),
    };
    Status {
        word: word.as_bytes().to_vec(),
        code: code.as_bytes().to_vec(),
        rest: rest.trim().to_owned(),
    }
}

/// `2 46` is data, `2 messages` is text.
fn data(ours: &str, theirs: &str, values: &mut Values) -> bool {
    let is_data = |word: &str| {
        word.bytes().all(|b| b.is_ascii_digit()) || (word.starts_with("{{") && word != "{{*}}")
    };
    if ours.is_empty() || !ours.split_whitespace().all(is_data) {
        return true;
    }
    let mut words = theirs.split_whitespace();
    ours.split_whitespace().all(|word| {
        let pattern = Pattern::parse(word);
        let theirs = words.next().unwrap_or_default();
        pattern.is_ok_and(|pattern| pattern.matches(theirs.as_bytes(), values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_and_text_does_not() {
        let fits = |pattern: &str, line: &str| {
            let pattern = Pattern::parse(pattern).expect("pattern");
            fits(&pattern, line.as_bytes(), &mut Values::new())
        };
        assert!(fits("+OK 2 messages (46 octets)", "+OK Logged in."));
        assert!(fits("-ERR no such message", "-ERR There's no message 3."));
        assert!(fits("+OK 2 46", "+OK 2 46"));
        assert!(fits("+OK 1 {{one}}", "+OK 1 0000abc"));
        assert!(!fits("+OK 2 46", "+OK 2 47"));
        assert!(!fits("-ERR [AUTH] no", "-ERR no"));
        assert!(!fits("-ERR no", "+OK no"));
        assert!(!fits("1 19", "1 20"));
    }

    #[test]
    fn long_answers_are_known_by_their_command() {
        for (command, long) in [
            ("LIST", true),
            ("list 1", false),
            ("TOP 1 0", true),
            ("STAT", false),
            ("CAPA", true),
        ] {
            assert_eq!(is_long(command), long, "{command}");
        }
    }
}
