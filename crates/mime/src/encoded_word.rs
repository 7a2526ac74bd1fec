//! Text of header fields: unfolding and encoded words (RFC 2047).
//!
//! Bytes of adjacent words in one charset are joined before they are converted, so that a character split over two words
//! survives; but in charsets with states (ISO-2022-JP, UTF-7 and the like) each word is converted from its own start.

use std::borrow::Cow;

use crate::charset::{self, Charset};
use crate::scratch;

/// Octets of encoded text that are looked through for its end. RFC 2047 §2 allows 75; a whole subject in one word is sent, too.
const MAX_WORD: usize = 4096;

/// An encoded word found in a text.
struct Word<'a> {
    label: &'a [u8],
    base64: bool,
    text: &'a [u8],
    /// Octets from `=?` to `?=`.
    len: usize,
}

/// The text of an unstructured value. Borrowed if there was nothing to do.
pub fn text(raw: &[u8]) -> Cow<'_, str> {
    let raw = raw.trim_ascii();
    if let Some(plain) = simple(raw) {
        return Cow::Borrowed(plain);
    }
    let mut out = String::with_capacity(raw.len());
    text_into(raw, &mut out);
    Cow::Owned(out)
}

/// As [`text`], put together in `scratch` where it is not as it stands.
pub fn text_with<'a>(raw: &'a [u8], scratch: &'a mut String) -> &'a str {
    let raw = raw.trim_ascii();
    if let Some(plain) = simple(raw) {
        return plain;
    }
    scratch.clear();
    text_into(raw, scratch);
    scratch
}

/// The text if it is printable ASCII without anything like an encoded word: what most values are.
pub(crate) fn simple(raw: &[u8]) -> Option<&str> {
    // Without an early end, so that it is done many octets at a time.
    let (mut odd, mut equals) = (false, false);
    for b in raw {
        odd |= !(b' '..127).contains(b);
        equals |= *b == b'=';
    }
    if odd || (equals && find_word(raw).is_some()) {
        return None;
    }
    std::str::from_utf8(raw).ok()
}

/// Where `=?` is.
fn find_word(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'=', text.get(from..)?)?;
        if text.get(at + 1) == Some(&b'?') {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Where `?=` is.
fn find_end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'?', text.get(from..)?)?;
        if text.get(at + 1) == Some(&b'=') {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Appends the text of an unstructured value. False if something in it could not be read.
pub fn text_into(raw: &[u8], out: &mut String) -> bool {
    let raw = raw.trim_ascii();
    if let Some(plain) = simple(raw) {
        out.push_str(plain);
        return true;
    }
    scratch::lend(|held| words_into(raw, held, out))
}

/// `held`: bytes of the words read last that wait for more of the same charset.
fn words_into(mut rest: &[u8], held: &mut Vec<u8>, out: &mut String) -> bool {
    let mut whole = true;
    let mut held_charset = None;
    while let Some(at) = find_word(rest) {
        let Some(word) = word(rest.get(at..).unwrap_or_default()) else {
            // No encoded word: text up to the next that may be one, if any can end.
            if find_end(rest).is_none() {
                break;
            }
            whole &= flush(held, &mut held_charset, out);
            let until = at + 2;
            whole &= plain(rest.get(..until).unwrap_or_default(), out);
            rest = rest.get(until..).unwrap_or_default();
            continue;
        };
        let charset = Charset::of(word.label);
        let between = rest.get(..at).unwrap_or_default();
        // RFC 2047 §6.2: blanks between two encoded words are not shown.
        let adjacent = held_charset.is_some() && between.iter().all(u8::is_ascii_whitespace);
        if !adjacent {
            whole &= flush(held, &mut held_charset, out);
            whole &= plain(between, out);
        } else if held_charset != Some(charset) || charset.is_stateful() {
            whole &= flush(held, &mut held_charset, out);
        }
        held_charset = Some(charset);
        whole &= if word.base64 {
            crate::decode::base64(word.text, held)
        } else {
            decode_q(word.text, held)
        };
        rest = rest.get(at + word.len..).unwrap_or_default();
    }
    whole &= flush(held, &mut held_charset, out);
    whole & plain(rest, out)
}

/// RFC 2047 §4.2. An `=` that begins no valid sequence is itself; line breaks of folding are nothing.
fn decode_q(mut text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut whole = true;
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        match byte {
            b'_' => out.push(b' '),
            b'=' => match rest {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    out.push(hex(*high) << 4 | hex(*low));
                    text = after;
                }
                _ => {
                    whole = false;
                    out.push(byte);
                }
            },
            b'\r' | b'\n' => (),
            _ => out.push(byte),
        }
    }
    whole
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    if digit <= b'9' {
        digit & 15
    } else {
        (digit & 15) + 9
    }
}

fn flush(held: &mut Vec<u8>, charset: &mut Option<Charset>, out: &mut String) -> bool {
    let Some(charset) = charset.take() else {
        return true;
    };
    let start = out.len();
    let whole = charset::decode(held, charset, out);
    held.clear();
    // A line break inside an encoded word must not become one of the text.
    if out
        .get(start..)
        .is_some_and(|new| new.contains(['\r', '\n']))
    {
        let clean: String = out
            .get(start..)
            .unwrap_or_default()
            .replace(['\r', '\n'], "");
        out.truncate(start);
        out.push_str(&clean);
    }
    whole
}

/// Text that is no encoded word: unfolded (RFC 5322 §2.2.3), raw 8-bit octets read as UTF-8 or windows-1252. A line that was
/// joined without a blank of its own gets one (RFC 7103 §7.2).
fn plain(raw: &[u8], out: &mut String) -> bool {
    match simdutf8::basic::from_utf8(raw) {
        Ok(text) => {
            unfold(text, out);
            true
        }
        Err(_) => {
            let mut text = String::with_capacity(raw.len() * 2);
            charset::guess(raw, &mut text);
            unfold(&text, out);
            false
        }
    }
}

fn unfold(mut text: &str, out: &mut String) {
    while let Some(at) = memchr::memchr(b'\n', text.as_bytes()) {
        push_line(text.get(..at).unwrap_or_default(), out);
        text = text.get(at + 1..).unwrap_or_default();
        if text
            .as_bytes()
            .first()
            .is_some_and(|next| !matches!(next, b' ' | b'\t' | b'\r' | b'\n'))
        {
            out.push(' ');
        }
    }
    push_line(text, out);
}

/// A CR is nothing, wherever it stands.
fn push_line(line: &str, out: &mut String) {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if memchr::memchr(b'\r', line.as_bytes()).is_none() {
        out.push_str(line);
    } else {
        out.extend(line.split('\r'));
    }
}

/// RFC 2047 §2: the encoded word at the start of the text. Blanks within its encoded text are let through: they are sent.
fn word(text: &[u8]) -> Option<Word<'_>> {
    let inner = text.strip_prefix(b"=?")?;
    let charset_len = memchr::memchr(b'?', inner.get(..inner.len().min(80))?)?;
    let label = inner.get(..charset_len)?;
    if label.is_empty() || !label.iter().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let rest = inner.get(charset_len + 1..)?;
    let base64 = match rest {
        [b'b' | b'B', b'?', ..] => true,
        [b'q' | b'Q', b'?', ..] => false,
        _ => return None,
    };
    let encoded = rest.get(2..)?;
    let end = find_end(encoded.get(..MAX_WORD).unwrap_or(encoded))?;
    let body = encoded.get(..end)?;
    Some(Word {
        label,
        base64,
        text: body,
        len: 2 + charset_len + 1 + 2 + end + 2,
    })
}

/// Appends the text of a value unfolded, its encoded words as they are.
pub(crate) fn unfold_into(raw: &[u8], out: &mut String) {
    plain(raw.trim_ascii(), out);
}

/// The length of the encoded word that the text begins with.
pub(crate) fn length(text: &[u8]) -> Option<usize> {
    word(text).map(|word| word.len)
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn words_are_joined_by_charset() {
        assert_eq!(
            text(b" =?utf-8?Q?split_=C3?= =?utf-8?Q?=A9_word?= =?utf-8?B?4pi6?=plain"),
            "split é word☺plain"
        );
        assert_eq!(
            text(b"=?iso-2022-jp?B?GyRCJCIbKEI=?=\r\n =?iso-2022-jp?B?GyRCJCQbKEI=?="),
            "あい"
        );
        assert_eq!(text(b"a =?utf-8?q?b?= c"), "a b c");
        assert_eq!(
            text(b"a =?x =?bad?x?y?= =?utf-8?q?open"),
            "a =?x =?bad?x?y?= =?utf-8?q?open"
        );
    }

    #[test]
    fn folding_and_raw_octets() {
        assert_eq!(text(b" one\r\n two\r\n\tthree\r\n"), "one two\tthree");
        assert_eq!(text(b"caf\xe9"), "café");
        assert_eq!(text("café".as_bytes()), "café");
    }
}
