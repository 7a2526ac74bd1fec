//! Transfer encodings: base64, quoted-printable and uuencode, as damaged as they come.
//!
//! Output is never longer than input. Each function appends to the caller's buffer and returns false if the input was damaged.

use encodify::{base64, qp};

use crate::Encoding;

/// A body without its transfer encoding.
pub fn body(raw: &[u8], encoding: Encoding, out: &mut Vec<u8>) -> bool {
    match encoding {
        Encoding::Base64 => base64(raw, out),
        Encoding::QuotedPrintable => quoted_printable(raw, out),
        Encoding::Uuencode => uuencode(raw, out),
        _ => {
            out.extend_from_slice(raw);
            encoding != Encoding::Unknown
        }
    }
}

/// RFC 2045 §6.8. Octets that are no base64 are skipped; padding ends a quantum, and what follows it starts anew.
pub fn base64(raw: &[u8], out: &mut Vec<u8>) -> bool {
    if base64::MIME.decode_append(raw, out).is_ok() {
        return ends_whole(raw);
    }
    let clean: Vec<u8> = raw
        .iter()
        .copied()
        .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        .collect();
    let _ = base64::MIME.decode_append(&clean, out);
    false
}

/// The last quantum is complete, padding included. Lines are of whole quanta; where they are not, all of it is counted.
fn ends_whole(raw: &[u8]) -> bool {
    let text = raw.trim_ascii_end();
    let line = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    let symbols = |bytes: &[u8]| bytes.iter().filter(|b| !b.is_ascii_whitespace()).count();
    symbols(text.get(line..).unwrap_or_default()).is_multiple_of(4)
        || symbols(text).is_multiple_of(4)
}

/// RFC 2045 §6.7. An `=` that begins no valid sequence is text, blanks at line ends are removed.
pub fn quoted_printable(raw: &[u8], out: &mut Vec<u8>) -> bool {
    if qp::BODY.strict().decode_append(raw, out).is_ok() {
        return true;
    }
    let _ = qp::BODY.decode_append(raw, out);
    false
}

/// The octets between `begin` and `end` lines.
pub fn uuencode(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let mut inside = false;
    let mut whole = true;
    for line in raw.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !inside {
            inside = line.starts_with(b"begin ");
            continue;
        }
        if line == b"end" {
            return whole;
        }
        whole &= uuencoded_line(line, out);
    }
    false
}

fn uuencoded_line(line: &[u8], out: &mut Vec<u8>) -> bool {
    let value = |b: u8| u32::from(b.wrapping_sub(b' ')) & 63;
    let Some((first, data)) = line.split_first() else {
        return true;
    };
    let mut left = value(*first) as usize;
    for group in data.chunks(4) {
        let at = |n: usize| group.get(n).copied().map_or(0, value);
        let bits = at(0) << 18 | at(1) << 12 | at(2) << 6 | at(3);
        let [_, bytes @ ..] = bits.to_be_bytes();
        let take = left.min(3).min(group.len().saturating_sub(1));
        out.extend_from_slice(bytes.get(..take).unwrap_or_default());
        left -= take;
    }
    left == 0
}
