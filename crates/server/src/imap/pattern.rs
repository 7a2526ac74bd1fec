//! Matching of mailbox names against LIST patterns.
//!
//! Owns the meaning of `*` and `%` (RFC 9051 §6.3.9). Time is linear in the name for every pattern: the pattern is
//! run as a set of positions kept in bits, never by backtracking, so `%*%*%*%x` costs what `x` costs.

use ::imap::MailboxName;

const SEPARATOR: u8 = MailboxName::DELIMITER as u8;

/// A LIST pattern, ready to match.
///
/// Position `n` means "the first `n` literals are matched". Literals move a position on; a wildcard behind it lets it
/// stay.
pub struct Pattern {
    literals: Vec<u8>,
    /// Positions that any octet leaves alive: a `*` stands there.
    stay: Vec<u64>,
    /// Positions that any octet but the separator leaves alive: a `%` stands there.
    stay_in_level: Vec<u64>,
    /// For each distinct literal, the positions it leads to.
    moves: Vec<(u8, Vec<u64>)>,
    ends_in_percent: bool,
}

impl Pattern {
    /// Reads a pattern: the canonical one, reference and mailbox name already joined.
    pub fn new(pattern: &str) -> Pattern {
        let literals: Vec<u8> = pattern
            .bytes()
            .filter(|b| !matches!(b, b'*' | b'%'))
            .collect();
        let words = literals.len() / 64 + 1;
        let (mut stay, mut stay_in_level) = (vec![0; words], vec![0; words]);
        let mut moves: Vec<(u8, Vec<u64>)> = Vec::new();
        let mut position = 0;
        for byte in pattern.bytes() {
            match byte {
                b'*' => set(&mut stay, position),
                b'%' => set(&mut stay_in_level, position),
                literal => {
                    position += 1;
                    match moves.iter_mut().find(|(known, _)| *known == literal) {
                        Some((_, to)) => set(to, position),
                        None => {
                            let mut to = vec![0; words];
                            set(&mut to, position);
                            moves.push((literal, to));
                        }
                    }
                }
            }
        }
        Pattern {
            literals,
            stay,
            stay_in_level,
            moves,
            ends_in_percent: pattern.ends_with('%'),
        }
    }

    /// True if levels of hierarchy that are no mailboxes match, too (RFC 9051 §6.3.9: `%` is the last character).
    pub fn ends_in_percent(&self) -> bool {
        self.ends_in_percent
    }

    /// Whether the pattern matches a name. `INBOX` as the first level compares without case (RFC 9051 §5.1).
    pub fn matches(&self, name: &str) -> bool {
        let caseless = match name.get(..5) {
            Some(first)
                if first.eq_ignore_ascii_case("INBOX")
                    && matches!(name.as_bytes().get(5), None | Some(b'/')) =>
            {
                5
            }
            _ => 0,
        };
        let mut alive = vec![0u64; self.stay.len()];
        set(&mut alive, 0);
        let nowhere = Vec::new();
        for (at, byte) in name.bytes().enumerate() {
            let to = self.moves_of(byte).unwrap_or(&nowhere);
            let other = match at < caseless {
                true if byte.is_ascii_lowercase() => {
                    self.moves_of(byte.to_ascii_uppercase()).unwrap_or(&nowhere)
                }
                true => self.moves_of(byte.to_ascii_lowercase()).unwrap_or(&nowhere),
                false => &nowhere,
            };
            let mut carry = 0;
            let mut any = 0;
            for (word, state) in alive.iter_mut().enumerate() {
                let moved = (*state << 1) | carry;
                carry = *state >> 63;
                let mut next = moved & (bits(to, word) | bits(other, word));
                next |= *state & bits(&self.stay, word);
                if byte != SEPARATOR {
                    next |= *state & bits(&self.stay_in_level, word);
                }
                *state = next;
                any |= next;
            }
            if any == 0 {
                return false;
            }
        }
        bits(&alive, self.literals.len() / 64) >> (self.literals.len() % 64) & 1 == 1
    }

    fn moves_of(&self, byte: u8) -> Option<&Vec<u64>> {
        self.moves
            .iter()
            .find(|(literal, _)| *literal == byte)
            .map(|(_, to)| to)
    }
}

/// The levels above a name, the highest first: `a` and `a/b` of `a/b/c`.
pub fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(MailboxName::DELIMITER)
        .filter_map(move |(at, _)| name.get(..at))
}

fn set(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn bits(words: &[u64], at: usize) -> u64 {
    words.get(at).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_and_levels() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a%", "abc", true),
            ("a%c", "a/c", false),
            ("a*c", "a/c", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", false),
            ("inbox", "INBOX", true),
            ("InBox/%", "INBOX/x", true),
            ("i%", "INBOX", true),
            ("inboxes", "INBOXES", false),
            ("*é*", "Entwürfe é", true),
            ("%*%", "a/b", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
    }

    /// A20: a pattern made to explode a backtracking matcher costs what any other does.
    #[test]
    fn a20_wildcards_are_linear() {
        let pattern = Pattern::new(&format!("{}x", "%*a".repeat(300)));
        let name = "a".repeat(1000);
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            assert!(!pattern.matches(&name));
        }
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }

    /// The definition, by backtracking.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) => {
                slow(&pattern[1..], name) || (!name.is_empty() && slow(pattern, &name[1..]))
            }
            (Some(b'%'), _) => {
                slow(&pattern[1..], name)
                    || (!name.is_empty() && name[0] != b'/' && slow(pattern, &name[1..]))
            }
            (Some(a), Some(b)) if a == b => slow(&pattern[1..], &name[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn same_as_the_definition(pattern in "[ab/*%]{0,8}", name in "[ab/]{0,8}") {
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), slow(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn long_patterns_too(pattern in "[ab*%]{60,140}", name in "[ab]{0,150}") {
            // Against a table instead of the exponential definition.
            let (p, n) = (pattern.as_bytes(), name.as_bytes());
            let mut row: Vec<bool> = (0..=n.len()).map(|i| i == 0).collect();
            for b in p {
                let old = row.clone();
                for i in 0..=n.len() {
                    row[i] = if matches!(b, b'*' | b'%') { old[i] || (i > 0 && row[i - 1]) }
                        else { i > 0 && old[i - 1] && n[i - 1] == *b };
                }
            }
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), row[n.len()]);
        }
    }
}
