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

/// A file that stands uuencoded in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UuFile {
    /// The name given, see [`crate::file_name::safe`].
    pub name: String,
    /// Its octets.
    pub data: Vec<u8>,
    /// It has an end, and no line of it is damaged.
    pub whole: bool,
}

/// The files that stand uuencoded in a text, between `begin MODE NAME` and `end` lines.
///
/// ```
/// let text = b"See below.\r\nbegin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\nBye\r\n";
/// let files = waxwing_mime::decode::uuencoded_files(text);
/// assert_eq!((files[0].name.as_str(), &files[0].data[..], files[0].whole), ("a.txt", &b"Cat"[..], true));
/// ```
pub fn uuencoded_files(text: &[u8]) -> Vec<UuFile> {
    let mut files: Vec<UuFile> = Vec::new();
    let mut open = false;
    for line in text.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match files.last_mut().filter(|_| open) {
            Some(_) if line == b"end" => open = false,
            Some(file) => file.whole &= uuencoded_line(line, &mut file.data),
            None => {
                if let Some(name) = begin(line) {
                    files.push(UuFile {
                        name,
                        data: Vec::new(),
                        whole: true,
                    });
                    open = true;
                }
            }
        }
    }
    if let Some(file) = files.last_mut().filter(|_| open) {
        file.whole = false;
    }
    files
}

/// `begin 644 name`: the name.
fn begin(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"begin ")?;
    let (mode, name) = rest.split_at_checked(rest.iter().position(|b| *b == b' ')?)?;
    let octal = (3..=4).contains(&mode.len()) && mode.iter().all(|b| (b'0'..=b'7').contains(b));
    let name = String::from_utf8_lossy(name).trim().to_string();
    (octal && !name.is_empty()).then_some(name)
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
