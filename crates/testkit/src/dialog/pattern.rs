//! The text of a dialog line: literal octets with `{{…}}` holes.
//!
//! In what the client sends, `{{name}}` is a value captured before and
//! `{{b64:text}}` the base64 of a text. In what the server must answer,
//! `{{*}}` is any run of octets, `{{#}}` a run of digits, and `{{name}}`
//! captures a run without blanks the first time and must be equal later.

use std::collections::BTreeMap;

/// Values captured so far, by name.
pub type Values = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Any,
    Digits,
    Name(String),
    Base64(Vec<u8>),
}

/// A line of a dialog with its holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Parses the text of a `C:` or `S:` line.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, after) = (&rest[..start], &rest[start + 2..]);
            let end = after
                .find("}}")
                .ok_or_else(|| format!("`{{{{` without `}}}}` in {text:?}"))?;
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.as_bytes().to_vec()));
            }
            pieces.push(match &after[..end] {
                "*" => Piece::Any,
                "#" => Piece::Digits,
                hole => match hole.strip_prefix("b64:") {
                    Some(plain) => Piece::Base64(unescape(plain)?),
                    None if hole.chars().all(|c| c.is_ascii_alphanumeric()) => {
                        Piece::Name(hole.to_owned())
                    }
                    None => return Err(format!("unknown hole {{{{{hole}}}}}")),
                },
            });
            rest = &after[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.as_bytes().to_vec()));
        }
        Ok(Pattern(pieces))
    }

    /// A text without holes whose escapes (`\r`, `\n`, `\0`, `\xHH`, `\\`) are resolved.
    pub fn raw(text: &str) -> Result<Pattern, String> {
        Ok(Pattern(vec![Piece::Literal(unescape(text)?)]))
    }

    /// Replaces octets in every literal; `from` and `to` have the same length.
    pub fn replace(&mut self, from: &[u8], to: &[u8]) {
        for piece in &mut self.0 {
            if let Piece::Literal(bytes) | Piece::Base64(bytes) = piece {
                *bytes = replace(bytes, from, to);
            }
        }
    }

    /// The text it was parsed from, escapes and base64 resolved.
    pub fn source(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(bytes) => text.extend_from_slice(bytes),
                Piece::Any => text.extend_from_slice(b"{{*}}"),
                Piece::Digits => text.extend_from_slice(b"{{#}}"),
                Piece::Name(name) => text.extend_from_slice(format!("{{{{{name}}}}}").as_bytes()),
                Piece::Base64(bytes) => text.extend_from_slice(&base64(bytes)),
            }
        }
        text
    }

    /// The first name that has no value yet.
    pub fn unbound(&self, values: &Values) -> Option<&str> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Name(name) if !values.contains_key(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The octets to send.
    pub fn fill(&self, values: &Values) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => bytes.extend_from_slice(text),
                Piece::Base64(text) => bytes.extend_from_slice(&base64(text)),
                Piece::Name(name) => {
                    let value = values.get(name);
                    bytes.extend_from_slice(
                        value.ok_or_else(|| format!("{{{{{name}}}}} has no value yet"))?,
                    );
                }
                Piece::Any | Piece::Digits => {
                    return Err("a wildcard cannot be sent".to_owned());
                }
            }
        }
        Ok(bytes)
    }

    /// Whether the line is matched; captures are then added to `values`.
    pub fn matches(&self, line: &[u8], values: &mut Values) -> bool {
        let mut captured = values.clone();
        let matched = fits(&self.0, line, &mut captured);
        if matched {
            *values = captured;
        }
        matched
    }

    /// Whether the client must read this answer before it may go on: the
    /// end of a pipelined group (RFC 2920 §3.1, RFC 9051 §4.3).
    pub fn invites_more(&self) -> bool {
        match self.0.first() {
            Some(Piece::Literal(text)) => {
                text.starts_with(b"354")
                    || text.starts_with(b"334")
                    || text.starts_with(b"+ ")
                    || text == b"+"
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => write!(f, "{}", String::from_utf8_lossy(text).trim_end())?,
                Piece::Any => f.write_str("{{*}}")?,
                Piece::Digits => f.write_str("{{#}}")?,
                Piece::Name(name) => write!(f, "{{{{{name}}}}}")?,
                Piece::Base64(text) => write!(f, "{}", String::from_utf8_lossy(&base64(text)))?,
            }
        }
        Ok(())
    }
}

fn fits(pieces: &[Piece], line: &[u8], values: &mut Values) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return line.is_empty();
    };
    match piece {
        Piece::Literal(text) => line
            .strip_prefix(text.as_slice())
            .is_some_and(|line| fits(rest, line, values)),
        Piece::Base64(text) => line
            .strip_prefix(base64(text).as_slice())
            .is_some_and(|line| fits(rest, line, values)),
        Piece::Any => (0..=line.len()).any(|n| fits(rest, &line[n..], values)),
        Piece::Digits => {
            let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
            (1..=digits).rev().any(|n| fits(rest, &line[n..], values))
        }
        Piece::Name(name) => {
            if let Some(value) = values.get(name).cloned() {
                return line
                    .strip_prefix(value.as_slice())
                    .is_some_and(|line| fits(rest, line, values));
            }
            let run = line.iter().take_while(|b| !b.is_ascii_whitespace()).count();
            (1..=run).rev().any(|n| {
                values.insert(name.clone(), line[..n].to_vec());
                let fit = fits(rest, &line[n..], values);
                if !fit {
                    values.remove(name);
                }
                fit
            })
        }
    }
}

/// `bytes` with every `from` replaced by `to`.
pub fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).map_err(|e| format!("\\x{digits}: {e}"))?
            }
            other => return Err(format!("unknown escape \\{other:?} in {text:?}")),
        });
    }
    Ok(out)
}

/// Base64 with padding (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let octet = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for n in 0..4 {
            if n <= chunk.len() {
                out.push(ALPHABET[(bits >> (18 - 6 * n)) as usize & 63]);
            } else {
                out.push(b'=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, line: &str) -> Option<Values> {
        let mut values = Values::new();
        let pattern = Pattern::parse(pattern).expect("pattern");
        pattern
            .matches(line.as_bytes(), &mut values)
            .then_some(values)
    }

    #[test]
    fn a_line_without_holes_must_be_equal() {
        assert!(matches("* 1 EXISTS", "* 1 EXISTS").is_some());
        assert!(matches("* 1 EXISTS", "* 12 EXISTS").is_none());
        assert!(matches("* 1 EXISTS", "* 1 EXISTS ").is_none());
    }

    #[test]
    fn wildcards_match_what_they_say() {
        assert!(matches("250 {{*}}", "250 anything at all").is_some());
        assert!(matches("250 {{*}}", "250").is_none());
        assert!(matches("* {{#}} EXISTS", "* 42 EXISTS").is_some());
        assert!(matches("* {{#}} EXISTS", "* x EXISTS").is_none());
        assert!(matches("{{*}}ab{{*}}c", "abababc").is_some());
    }

    #[test]
    fn a_name_captures_once_and_must_be_equal_later() {
        let values = matches(
            "[UIDVALIDITY {{v}}] {{*}} {{v}}.1",
            "[UIDVALIDITY 77] ok 77.1",
        );
        assert_eq!(values.expect("match")["v"], b"77");
        assert!(matches("{{v}} {{v}}", "1 2").is_none());
    }

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b""), b"");
        assert_eq!(base64(b"f"), b"Zg==");
        assert_eq!(base64(b"fo"), b"Zm8=");
        assert_eq!(base64(b"foobar"), b"Zm9vYmFy");
    }

    #[test]
    fn raw_text_resolves_escapes() {
        let raw = Pattern::raw(r"a\r\n.\0\x7f\\").expect("escapes");
        assert_eq!(raw.fill(&Values::new()).expect("bytes"), b"a\r\n.\0\x7f\\");
        assert!(Pattern::raw(r"\q").is_err());
    }
}
