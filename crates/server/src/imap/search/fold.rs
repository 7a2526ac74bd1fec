//! Comparators: how texts are folded before they are compared (RFC 4790, RFC 5051, RFC 5255 §4).
//!
//! Folding works on one character after the other, so a text that is a substring of another stays one when both are
//! folded.

use std::borrow::Cow;

use unicode_normalization::char::decompose_compatible;

/// A comparator of the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collation {
    /// `i;unicode-casemap` (RFC 5051): title case, then decomposed. The default, and what is indexed.
    #[default]
    UnicodeCasemap,
    /// `i;ascii-casemap` (RFC 4790 §9.2): capitals, in ASCII.
    AsciiCasemap,
    /// `i;octet` (RFC 4790 §9.3): as it is.
    Octet,
}

impl Collation {
    /// All of them, the default first.
    pub const ALL: [Collation; 3] = [
        Collation::UnicodeCasemap,
        Collation::AsciiCasemap,
        Collation::Octet,
    ];

    /// The name in the registry.
    pub fn name(self) -> &'static str {
        match self {
            Collation::UnicodeCasemap => "i;unicode-casemap",
            Collation::AsciiCasemap => "i;ascii-casemap",
            Collation::Octet => "i;octet",
        }
    }

    /// The folded text.
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        if self == Collation::Octet {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        self.fold_into(text, &mut out);
        Cow::Owned(out)
    }

    /// The folded text, appended.
    pub fn fold_into(self, text: &str, out: &mut String) {
        match self {
            Collation::Octet => out.push_str(text),
            Collation::AsciiCasemap => push_capitals(text, out),
            Collation::UnicodeCasemap => casemap(text, out),
        }
    }
}

fn push_capitals(text: &str, out: &mut String) {
    let start = out.len();
    out.push_str(text);
    if let Some(new) = out.get_mut(start..) {
        new.make_ascii_uppercase();
    }
}

fn casemap(mut text: &str, out: &mut String) {
    // Most text, and looked at many octets at a time.
    if text.is_ascii() {
        return push_capitals(text, out);
    }
    out.reserve(text.len());
    loop {
        // Most text is ASCII, or has long stretches of it.
        let ascii = text.bytes().take_while(u8::is_ascii).count();
        let (plain, rest) = text.split_at_checked(ascii).unwrap_or((text, ""));
        push_capitals(plain, out);
        let other = rest.find(|c: char| c.is_ascii()).unwrap_or(rest.len());
        let (strange, rest) = rest.split_at_checked(other).unwrap_or((rest, ""));
        for c in strange.chars() {
            casemap_char(c, out);
        }
        if rest.is_empty() {
            return;
        }
        text = rest;
    }
}

fn casemap_char(c: char, out: &mut String) {
    match c {
        // What has neither case nor parts: ideographs, kana without marks are rare enough to be looked up.
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' => out.push(c),
        // Cyrillic letters without parts.
        '\u{410}'..='\u{418}' | '\u{41a}'..='\u{42f}' => out.push(c),
        '\u{430}'..='\u{438}' | '\u{43a}'..='\u{44f}' => {
            out.push(char::from_u32(c as u32 - 0x20).unwrap_or(c))
        }
        _ => decompose_compatible(title_case(c), |part| out.push(part)),
    }
}

/// The simple title case mapping of the Unicode Character Database. The standard library has the full upper case
/// mapping; where the two differ is listed here.
fn title_case(c: char) -> char {
    let shifted = |by: u32| char::from_u32(c as u32 + by).unwrap_or(c);
    match c {
        // Digraphs have a form for titles.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian letters are their own title case.
        '\u{10d0}'..='\u{10ff}' => c,
        // Greek letters with iota written below, whose full mapping is two letters.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(9),
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                // No simple mapping: sharp s, ligatures and their like.
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_casemap_as_its_rfc_has_it() {
        let fold = |text| Collation::UnicodeCasemap.fold(text).into_owned();
        // The example of RFC 5051 §2.
        assert_eq!(fold("\u{1c4}"), "Dz\u{30c}");
        for (one, other) in [
            ("stra\u{df}e", "STRA\u{df}E"),
            ("\u{e9}t\u{e9}", "E\u{301}TE\u{301}"),
            ("\u{439}", "\u{419}"),
            ("\u{43c}\u{438}\u{440}", "\u{41c}\u{418}\u{420}"),
            (
                "\u{3bf}\u{3b4}\u{3bf}\u{3c2}",
                "\u{39f}\u{394}\u{39f}\u{3a3}",
            ),
            ("\u{ff21}\u{ff42}", "AB"),
            ("\u{212a}", "k"),
            ("\u{1f80}", "\u{1f88}"),
            ("\u{10d0}", "\u{10d0}"),
            ("\u{4e2d}\u{6587}", "\u{4e2d}\u{6587}"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("\u{10d0}"), fold("\u{1c90}"));
        assert_ne!(fold("e"), fold("\u{e9}"));
        assert!(fold("\u{e9}").starts_with(&fold("e")));
    }

    #[test]
    fn the_others() {
        assert_eq!(Collation::AsciiCasemap.fold("a\u{e9}B"), "A\u{e9}B");
        assert_eq!(Collation::Octet.fold("a\u{e9}B"), "a\u{e9}B");
    }
}
