//! Text of header fields: unfolding and encoded words (RFC 2047).
//!
//! Bytes of adjacent words in one charset are joined before they are converted, so that a character split over two words
//! survives; but in charsets with states (ISO-2022-JP, UTF-7 and the like) each word is converted from its own start.

use std::borrow::Cow;

use encodify::qp;

use crate::charset::{self, Charset};

/// An encoded word found in a text.
struct Word<'a> {
    charset: Charset,
    base64: bool,
    text: &'a [u8],
    /// Octets from `=?` to `?=`.
    len: usize,
}

/// The text of an unstructured value. Borrowed if there was nothing to do.
pub fn text(raw: &[u8]) -> Cow<'_, str> {
    let raw = raw.trim_ascii();
    match std::str::from_utf8(raw) {
        Ok(plain) if is_plain(raw) => Cow::Borrowed(plain),
        _ => {
            let mut out = String::with_capacity(raw.len());
            text_into(raw, &mut out);
            Cow::Owned(out)
        }
    }
}

fn is_plain(raw: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', raw).is_none() && memchr::memmem::find(raw, b"=?").is_none()
}

/// Appends the text of an unstructured value. False if something in it could not be read.
pub fn text_into(raw: &[u8], out: &mut String) -> bool {
    let mut rest = raw.trim_ascii();
    let mut whole = true;
    // Bytes of the words read last that wait for more of the same charset.
    let mut held: Vec<u8> = Vec::new();
    let mut held_charset = None;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let Some(word) = word(rest.get(at..).unwrap_or_default()) else {
            // No encoded word: text up to the next that may be one.
            whole &= flush(&mut held, &mut held_charset, out);
            let until = at + 2;
            whole &= plain(rest.get(..until).unwrap_or_default(), out);
            rest = rest.get(until..).unwrap_or_default();
            continue;
        };
        let between = rest.get(..at).unwrap_or_default();
        // RFC 2047 §6.2: blanks between two encoded words are not shown.
        let adjacent = held_charset.is_some() && between.iter().all(u8::is_ascii_whitespace);
        if !adjacent {
            whole &= flush(&mut held, &mut held_charset, out);
            whole &= plain(between, out);
        } else if held_charset != Some(word.charset) || word.charset.is_stateful() {
            whole &= flush(&mut held, &mut held_charset, out);
        }
        held_charset = Some(word.charset);
        whole &= if word.base64 {
            crate::decode::base64(word.text, &mut held)
        } else {
            qp::Q_TEXT.decode_append(word.text, &mut held).is_ok()
        };
        rest = rest.get(at + word.len..).unwrap_or_default();
    }
    whole &= flush(&mut held, &mut held_charset, out);
    whole & plain(rest, out)
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
fn plain(mut raw: &[u8], out: &mut String) -> bool {
    let mut whole = true;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', raw) {
        whole &= plain_run(raw.get(..at).unwrap_or_default(), out);
        let broken = raw.get(at) == Some(&b'\n');
        raw = raw.get(at + 1..).unwrap_or_default();
        if broken
            && raw
                .first()
                .is_some_and(|next| !matches!(next, b' ' | b'\t' | b'\r' | b'\n'))
        {
            out.push(' ');
        }
    }
    whole & plain_run(raw, out)
}

fn plain_run(run: &[u8], out: &mut String) -> bool {
    charset::guess(run, out) || std::str::from_utf8(run).is_ok()
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
    let end = memchr::memmem::find(encoded, b"?=")?;
    let body = encoded.get(..end)?;
    Some(Word {
        charset: Charset::of(label),
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
