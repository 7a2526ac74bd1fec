//! xtext, in which ENVID, ORCPT and AUTH travel.

use std::fmt::Write as _;
use wire::cursor::Cursor;

/// `xtext = *( xchar / hexchar )` (RFC 3461 §4). Control characters are refused although the grammar can carry them:
/// the value ends up in logs and headers.
pub(crate) fn decode(value: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut cursor = Cursor::new(value);
    while let Some(octet) = cursor.next() {
        let octet = match octet {
            b'+' => hexchar(cursor.take(2)?)?,
            b'!'..=b'~' if octet != b'=' => octet,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&octet) {
            return None;
        }
        out.push(char::from(octet));
    }
    Some(out)
}

/// `hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits`.
fn hexchar(digits: &[u8]) -> Option<u8> {
    if !digits
        .iter()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'))
    {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The text as xtext (RFC 3461 §4): what is not a printable ASCII character, and `+` and `=`, becomes hexadecimal.
pub fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if (b'!'..=b'~').contains(&octet) && octet != b'+' && octet != b'=' {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "+{octet:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["", "QQ314159", "a+b=c d", "Bob@Example.COM", "~!\"%"] {
            assert_eq!(decode(xtext(text).as_bytes()).as_deref(), Some(text));
        }
        assert_eq!(xtext("a+b=c d"), "a+2Bb+3Dc+20d");
    }

    #[test]
    fn refused() {
        for value in [
            "a=b", "a b", "+2b", "+", "+4", "ä", "+00", "+0A", "+7F", "+80",
        ] {
            assert_eq!(decode(value.as_bytes()), None, "{value}");
        }
    }
}
