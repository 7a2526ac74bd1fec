//! Substrings without case: what FROM, SUBJECT, BODY, TEXT and their like compare with.
//!
//! RFC 9051 §6.4.4 asks for substrings, without case at least in ASCII. All of Unicode is folded here by its simple
//! lower-case mapping, applied to both sides (in the spirit of i;unicode-casemap, RFC 5051, without its decomposition:
//! `é` and `e` with a combining accent differ). Time is linear in the text but for adversarial needles, where it is
//! bounded by text times needle; a needle is at most a command line or literal long, and the search has its budget.

use memchr::memchr2_iter;
use memchr::memmem;

/// A text to be found, folded once.
#[derive(Debug)]
pub struct Needle {
    folded: String,
    /// For needles in ASCII: where in it its rarest octet is. They are searched without folding the text.
    rare: Option<(usize, u8)>,
    /// The longest piece of it that an envelope would hold in one stretch, where it is in ASCII.
    piece: Option<Box<Needle>>,
}

impl Needle {
    /// A needle for a text in any case.
    pub fn new(text: &str) -> Needle {
        let mut needle = Needle::whole(text);
        let piece = needle
            .folded
            .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
            .max_by_key(|piece| piece.len());
        needle.piece = piece
            .filter(|piece| needle.rare.is_some() && !piece.is_empty())
            .map(|piece| Box::new(Needle::whole(piece)));
        needle
    }

    fn whole(text: &str) -> Needle {
        let folded = fold(text);
        // Kelvin sign and dotted capital I fold into ASCII; a needle made of them must not take the short way wrongly,
        // which it does not: the short way looks at the folded needle, and at unfolded ASCII text.
        let rare = folded
            .is_ascii()
            .then(|| rarest(folded.as_bytes()))
            .flatten();
        Needle {
            folded,
            rare,
            piece: None,
        }
    }

    /// True for the needle that every text contains.
    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Whether the text contains the needle.
    pub fn is_in(&self, text: &str) -> bool {
        if self.folded.is_empty() {
            return true;
        }
        match self.rare {
            Some(rare) => ascii_find(text.as_bytes(), self.folded.as_bytes(), rare),
            None if text.is_ascii() => false,
            None => memmem::find(fold(text).as_bytes(), self.folded.as_bytes()).is_some(),
        }
    }

    /// Whether some text of a stored envelope may contain the needle. No is certain: then there are no encoded words in
    /// it, and a piece of the needle that no quoting or list syntax can part is nowhere in it. One scan instead of a
    /// reading for the messages that do not match, which are most.
    pub fn may_be_in(&self, envelope: &[u8]) -> bool {
        match &self.piece {
            Some(piece) => {
                piece.is_in_octets(envelope) != Some(false)
                    || memmem::find(envelope, b"=?").is_some()
            }
            None => true,
        }
    }

    /// Whether octets, taken as ASCII with anything else in between, contain the needle. `None` if only decoding can
    /// tell: the needle is not ASCII, and the octets are not either.
    pub fn is_in_octets(&self, octets: &[u8]) -> Option<bool> {
        if self.folded.is_empty() {
            return Some(true);
        }
        match self.rare {
            Some(rare) => Some(ascii_find(octets, self.folded.as_bytes(), rare)),
            None if octets.is_ascii() => Some(false),
            None => None,
        }
    }
}

fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Not `str::to_lowercase`: its final sigma depends on what follows, which would make a substring differ from the
    // same letters inside a longer text.
    text.chars().flat_map(char::to_lowercase).collect()
}

/// The octet of a needle that mail is least full of.
fn rarest(needle: &[u8]) -> Option<(usize, u8)> {
    const COMMON: &[u8] = b" etaoinsrhldcumfpgwybvkxjqz.-@0123456789";
    let rank = |byte: u8| {
        COMMON
            .iter()
            .position(|c| *c == byte)
            .unwrap_or(COMMON.len())
    };
    needle
        .iter()
        .copied()
        .enumerate()
        .max_by_key(|&(_, byte)| rank(byte))
}

fn ascii_find(text: &[u8], needle: &[u8], (offset, rare): (usize, u8)) -> bool {
    if text.len() < needle.len() {
        return false;
    }
    memchr2_iter(rare, rare.to_ascii_uppercase(), text).any(|at| {
        let Some(start) = at.checked_sub(offset) else {
            return false;
        };
        let end = start.saturating_add(needle.len());
        text.get(start..end)
            .is_some_and(|found| found.eq_ignore_ascii_case(needle))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_without_case() {
        for (needle, text, expected) in [
            ("smith", "Agent SMITH <smith@x>", true),
            ("Smith", "smit", false),
            ("", "", true),
            ("", "x", true),
            ("x", "", false),
            ("ÄRGER", "viel ärger", true),
            ("ärger", "VIEL ÄRGER", true),
            ("отпуск", "мой ОТПУСК", true),
            ("ΟΔΟΣ", "οδοσ ab", true),
            ("a b", "A  B", false),
            ("aaab", "aaaaaaab", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), expected, "{needle} {text}");
        }
    }

    #[test]
    fn an_envelope_is_ruled_out_only_for_certain() {
        let stored = b"(NIL \"topic 77\" ((\"Ann B\" NIL \"ann\" \"x.test\")) NIL)";
        for (needle, may) in [
            ("ann@x.test", true),
            ("ann@y.test", false),
            ("bob@y.example", false),
            ("77", true),
            ("78", false),
            ("@", true),
            ("\u{e4}78", true),
        ] {
            assert_eq!(Needle::new(needle).may_be_in(stored), may, "{needle}");
        }
        assert!(Needle::new("zzz").may_be_in(b"(NIL \"=?utf-8?q?x?=\")"));
    }

    #[test]
    fn octets_answer_only_what_they_can() {
        assert_eq!(Needle::new("ab").is_in_octets(b"x\xffAB"), Some(true));
        assert_eq!(Needle::new("\u{e4}").is_in_octets(b"plain"), Some(false));
        assert_eq!(
            Needle::new("\u{e4}").is_in_octets("\u{e4}".as_bytes()),
            None
        );
    }
}
