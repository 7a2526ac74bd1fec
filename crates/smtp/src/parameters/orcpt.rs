//! `ORCPT=` of RCPT TO (RFC 3461 §4.2, RFC 6533 §3).

use super::xtext;
use crate::parse::Error;
use std::fmt;

/// Octets of the whole parameter (RFC 3461 §4.2).
const LIMIT: usize = 500;

/// The address a sender wrote to, before any alias or list made another of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The type of the address, lower case: `rfc822`, `utf-8`, or another that is only carried.
    pub kind: String,
    /// The address, decoded: text without control characters.
    pub address: String,
    /// It came with characters beyond ASCII that were not escaped, which only SMTPUTF8 allows (RFC 6533 §3).
    pub raw_utf8: bool,
}

impl Original {
    /// `original-recipient-address = addr-type ";" xtext`.
    pub(super) fn parse(value: &[u8]) -> Result<Original, Error> {
        if "ORCPT=".len().saturating_add(value.len()) > LIMIT {
            return Err(Error::Arguments);
        }
        let text = std::str::from_utf8(value).map_err(|_| Error::Arguments)?;
        Original::decode(text).ok_or(Error::Arguments)
    }

    fn decode(text: &str) -> Option<Original> {
        let (kind, address) = text.split_once(';')?;
        // addr-type = atom (RFC 3464 §2.1.2)
        if kind.is_empty() || !kind.bytes().all(is_atext) {
            return None;
        }
        let kind = kind.to_ascii_lowercase();
        let address = if kind == "utf-8" {
            unitext(address)?
        } else {
            xtext::decode(address.as_bytes())?
        };
        (!address.is_empty()).then_some(Original {
            kind,
            address,
            raw_utf8: !text.is_ascii(),
        })
    }

    /// Of `type;address` with the address decoded, as [`Original`] displays itself and as it is stored.
    pub fn from_text(text: &str) -> Option<Original> {
        let (kind, address) = text.split_once(';')?;
        Original::decode(&format!("{kind};{}", escaped(kind, address, false)))
    }

    /// The parameter's value. Without `utf8`, other characters are escaped (RFC 6533 §3).
    pub fn encode(&self, utf8: bool) -> String {
        format!("{};{}", self.kind, escaped(&self.kind, &self.address, utf8))
    }
}

fn escaped(kind: &str, address: &str, utf8: bool) -> String {
    if !kind.eq_ignore_ascii_case("utf-8") {
        return xtext::xtext(address);
    }
    let mut out = String::new();
    for character in address.chars() {
        let plain = match character {
            '\\' | '+' | '=' => false,
            '!'..='~' => true,
            _ => utf8 && !character.is_ascii(),
        };
        if plain {
            out.push(character);
        } else {
            out.push_str(&format!("\\x{{{:02X}}}", u32::from(character)));
        }
    }
    out
}

/// As the field `Original-Recipient` of a delivery report writes it: decoded (RFC 3461 §6.3).
impl fmt::Display for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, self.address)
    }
}

/// RFC 5322 §3.2.3.
fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// `1*(QUCHAR / EmbeddedUnicodeChar)` (RFC 6533 §3). What decodes to a control character is refused, as in xtext.
fn unitext(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..)?;
        let (character, after) = match character {
            '\\' => {
                let (point, after) = after.strip_prefix("x{")?.split_once('}')?;
                (embedded(point)?, after)
            }
            '+' | '=' => return None,
            other => (other, after),
        };
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            return None;
        }
        out.push(character);
        rest = after;
    }
    Some(out)
}

/// `HEXPOINT`: 2 to 6 upper-case digits.
fn embedded(point: &str) -> Option<char> {
    let digits = |octet: u8| matches!(octet, b'0'..=b'9' | b'A'..=b'F');
    if !(2..=6).contains(&point.len()) || !point.bytes().all(digits) {
        return None;
    }
    u32::from_str_radix(point, 16).ok().and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<String> {
        Original::parse(value.as_bytes())
            .ok()
            .map(|original| original.to_string())
    }

    #[test]
    fn addresses() {
        let table = [
            ("rfc822;Bob@Example.COM", "rfc822;Bob@Example.COM"),
            ("RFC822;a+2Bb@x.example", "rfc822;a+b@x.example"),
            ("x400;/G=Bob+20B/", ""),
            ("x400;/G+3DBob+20B/", "x400;/G=Bob B/"),
            ("utf-8;b\\x{FC}cher@x.example", "utf-8;bücher@x.example"),
            ("utf-8;bücher@x.example", "utf-8;bücher@x.example"),
            ("utf-8;\\x{1F600}@x", "utf-8;😀@x"),
            ("utf-8;a\\x{2B}b@x", "utf-8;a+b@x"),
        ];
        for (value, expected) in table {
            let expected = (!expected.is_empty()).then(|| expected.to_owned());
            assert_eq!(parsed(value), expected, "{value}");
        }
        let original = Original::decode("utf-8;b\\x{FC}+").is_none();
        assert!(original, "a plus is escaped otherwise");
    }

    #[test]
    fn written_again() {
        for value in [
            "rfc822;Bob@Example.COM",
            "rfc822;a+2Bb@x",
            "utf-8;\\x{FC}\\x{2B}@x",
        ] {
            let original = Original::parse(value.as_bytes()).unwrap();
            assert_eq!(original.encode(false), value);
            assert_eq!(Original::from_text(&original.to_string()), Some(original));
        }
        let utf8 = Original::parse("utf-8;ü@x".as_bytes()).unwrap();
        assert_eq!(utf8.encode(true), "utf-8;ü@x");
        assert_eq!(utf8.encode(false), "utf-8;\\x{FC}@x");
    }

    /// A27, A28: what would begin a line of its own wherever the address is written.
    #[test]
    fn a27_controls() {
        for value in [
            "rfc822;a+0D+0Ab",
            "rfc822;a+00",
            "rfc822;a+7F",
            "utf-8;a\\x{0D}\\x{0A}b",
            "utf-8;a\\x{00}",
            "utf-8;a\\x{85}b",
            "utf-8;a\\x{2028}b",
            "utf-8;a\u{2028}b",
            "utf-8;\\x{D800}",
            "utf-8;\\x{}",
            "utf-8;\\x{1}",
            "utf-8;\\xFC",
            "rfc822;ä@x",
            "rfc822;",
            ";a@b",
            "a@b",
            "a b;c",
            "(a);c",
        ] {
            assert_eq!(parsed(value), None, "{value}");
        }
        let longest = format!("rfc822;{}", "a".repeat(500 - 13));
        assert!(parsed(&longest).is_some());
        assert_eq!(parsed(&format!("{longest}a")), None);
    }
}
