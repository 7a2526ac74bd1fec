//! Substrings under a comparator: what FROM, SUBJECT, BODY, TEXT and their like compare with.
//!
//! RFC 9051 §6.4.4 asks for substrings, without case at least in ASCII; RFC 5255 §4.2 for the active comparator, which is
//! i;unicode-casemap by default: text and needle are folded (`fold`) and compared octet by octet. So `cafe` is found in
//! `café`, whose folded form is `CAFE` and an accent, and `café` is not found in `cafe`.
//!
//! Time is linear in the text but for adversarial needles, where it is bounded by text times needle; a needle is at most a
//! command line or literal long, and the search has its budget.

use memchr::memchr2_iter;
use memchr::memmem::{self, Finder};

use super::fold::Collation;
use super::fuzzy::Fuzzy;

/// A text to be found, folded once.
#[derive(Debug)]
pub struct Needle {
    collation: Collation,
    folded: Finder<'static>,
    /// For needles in ASCII: where in it its rarest octet is. They are searched without folding the text.
    rare: Option<(usize, u8)>,
    /// The longest piece of it that an envelope would hold in one stretch, where it is in ASCII.
    piece: Option<Box<Needle>>,
    /// The same with blanks for tabs, where there are any: for header fields.
    blank: Option<Box<Needle>>,
    /// Words to be found more or less (RFC 6203), instead of the text.
    fuzzy: Option<Fuzzy>,
}

impl Needle {
    /// A needle for a text under a comparator.
    pub fn new(text: &str, collation: Collation) -> Needle {
        let mut needle = Needle::whole(text, collation);
        let piece = text
            .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
            .max_by_key(|piece| piece.len());
        needle.piece = piece
            .filter(|piece| text.is_ascii() && !piece.is_empty())
            .map(|piece| Box::new(Needle::whole(piece, collation)));
        needle.blank = text
            .contains('\t')
            .then(|| Box::new(Needle::of_header(text, collation)));
        needle
    }

    /// The needle for header fields, where a tab is a blank.
    pub fn of_headers(&self) -> &Needle {
        self.blank.as_deref().unwrap_or(self)
    }

    /// A needle for a text in a header field, where a tab is a blank: lines are folded with either.
    pub fn of_header(text: &str, collation: Collation) -> Needle {
        if text.contains('\t') {
            return Needle::new(&text.replace('\t', " "), collation);
        }
        Needle::new(text, collation)
    }

    /// A needle that is found in texts that have words like its own.
    pub fn fuzzy(text: &str) -> Needle {
        Needle {
            fuzzy: Some(Fuzzy::new(text)).filter(|fuzzy| !fuzzy.is_empty()),
            ..Needle::of_header(text, Collation::UnicodeCasemap)
        }
    }

    fn whole(text: &str, collation: Collation) -> Needle {
        let folded = collation.fold(text).into_owned().into_bytes();
        let by_case = collation != Collation::Octet;
        Needle {
            collation,
            rare: (by_case && folded.is_ascii())
                .then(|| rarest(&folded))
                .flatten(),
            folded: Finder::new(&folded).into_owned(),
            piece: None,
            blank: None,
            fuzzy: None,
        }
    }

    /// True for the needle that every text contains.
    pub fn is_empty(&self) -> bool {
        self.folded.needle().is_empty()
    }

    /// How the text of this needle is folded.
    pub fn collation(&self) -> Collation {
        self.collation
    }

    /// The folded text, unless the needle is fuzzy.
    pub fn folded(&self) -> Option<&[u8]> {
        self.fuzzy.is_none().then(|| self.folded.needle())
    }

    /// The words of a fuzzy needle.
    pub fn words(&self) -> Option<&Fuzzy> {
        self.fuzzy.as_ref()
    }

    /// Whether the text contains the needle.
    pub fn is_in(&self, text: &str) -> bool {
        if let Some(fuzzy) = &self.fuzzy {
            return fuzzy.score(text).is_some();
        }
        if self.is_empty() {
            return true;
        }
        match self.is_in_octets(text.as_bytes()) {
            Some(answer) => answer,
            None => self.is_in_folded(self.collation.fold(text).as_bytes()),
        }
    }

    /// Whether a text that has been folded contains the needle.
    pub fn is_in_folded(&self, folded: &[u8]) -> bool {
        self.folded.find(folded).is_some()
    }

    /// Whether some text of a stored envelope may contain the needle. No is certain: then there are no encoded words in
    /// it and nothing else that would have to be decoded or folded, and a piece of the needle that no quoting or list
    /// syntax can part is nowhere in it. One scan instead of a reading for the messages that do not match, which are most.
    pub fn may_be_in(&self, envelope: &[u8]) -> bool {
        match &self.piece {
            Some(piece) if self.fuzzy.is_none() => {
                piece.is_in_octets(envelope) != Some(false)
                    || memmem::find(envelope, b"=?").is_some()
            }
            _ => true,
        }
    }

    /// Whether octets that are valid text, or ASCII with anything else in between, contain the needle. `None` if only
    /// decoding or folding can tell.
    pub fn is_in_octets(&self, octets: &[u8]) -> Option<bool> {
        if self.fuzzy.is_some() {
            return None;
        }
        if self.is_empty() {
            return Some(true);
        }
        let needle = self.folded.needle();
        let ascii_text = || octets.is_ascii();
        match self.rare {
            Some(rare) if ascii_find(octets, needle, rare) => Some(true),
            // A letter with a mark is folded into the letter and the mark.
            Some(_) => (self.collation == Collation::AsciiCasemap || ascii_text()).then_some(false),
            None if self.collation == Collation::Octet && self.folded.find(octets).is_some() => {
                Some(true)
            }
            None => ascii_text().then_some(false),
        }
    }
}

/// The octet of a needle that mail is least full of.
fn rarest(needle: &[u8]) -> Option<(usize, u8)> {
    const COMMON: &[u8] = b" ETAOINSRHLDCUMFPGWYBVKXJQZ.-@0123456789";
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
    memchr2_iter(rare, rare.to_ascii_lowercase(), text).any(|at| {
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

    fn needle(text: &str) -> Needle {
        Needle::new(text, Collation::UnicodeCasemap)
    }

    #[test]
    fn found_without_case() {
        for (text, inside, expected) in [
            ("smith", "Agent SMITH <smith@x>", true),
            ("Smith", "smit", false),
            ("", "", true),
            ("", "x", true),
            ("x", "", false),
            ("ÄRGER", "viel ärger", true),
            ("ärger", "VIEL ÄRGER", true),
            ("arger", "viel ärger", false),
            ("cafe", "au café", true),
            ("café", "au cafe", false),
            ("cafe\u{301}", "au café", true),
            ("отпуск", "мой ОТПУСК", true),
            ("ΟΔΟΣ", "οδος ab", true),
            ("fi", "ﬁnd", false),
            ("find", "\u{ff46}\u{ff49}\u{ff4e}\u{ff44}", true),
            ("a b", "A  B", false),
            ("aaab", "aaaaaaab", true),
        ] {
            assert_eq!(needle(text).is_in(inside), expected, "{text} {inside}");
        }
    }

    #[test]
    fn other_comparators() {
        for (collation, text, inside, expected) in [
            (Collation::AsciiCasemap, "smith", "SMITH", true),
            (Collation::AsciiCasemap, "cafe", "café", false),
            (Collation::AsciiCasemap, "é", "É", false),
            (Collation::AsciiCasemap, "é", "aé", true),
            (Collation::Octet, "smith", "SMITH", false),
            (Collation::Octet, "smith", "smith", true),
            (Collation::Octet, "é", "aé", true),
            (Collation::Octet, "", "", true),
        ] {
            let needle = Needle::new(text, collation);
            assert_eq!(needle.is_in(inside), expected, "{collation:?} {text}");
        }
    }

    #[test]
    fn an_envelope_is_ruled_out_only_for_certain() {
        let stored = b"(NIL \"topic 77\" ((\"Ann B\" NIL \"ann\" \"x.test\")) NIL)";
        for (text, may) in [
            ("ann@x.test", true),
            ("ann@y.test", false),
            ("bob@y.example", false),
            ("77", true),
            ("78", false),
            ("@", true),
            ("\u{e4}78", true),
        ] {
            assert_eq!(needle(text).may_be_in(stored), may, "{text}");
        }
        assert!(needle("zzz").may_be_in(b"(NIL \"=?utf-8?q?x?=\")"));
        assert!(needle("cafe").may_be_in("(NIL {5}\r\ncafé)".as_bytes()));
    }

    #[test]
    fn octets_answer_only_what_they_can() {
        assert_eq!(needle("ab").is_in_octets(b"x\xffAB"), Some(true));
        assert_eq!(needle("ab").is_in_octets(b"x\xffAC"), None);
        assert_eq!(needle("\u{e4}").is_in_octets(b"plain"), Some(false));
        assert_eq!(needle("\u{e4}").is_in_octets("\u{e4}".as_bytes()), None);
    }
}
