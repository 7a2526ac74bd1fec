//! Editing messages: every octet that is not concerned stays as it is.

use encodify::qp;

use super::build::{Transport, needs};
use crate::{Encoding, Field, Kind, Message, Name, Part};

/// The message with a field (or several, whole lines) before all others, after an mbox line.
pub fn insert_top(raw: &[u8], field: &[u8]) -> Vec<u8> {
    let message = Message::parse(raw);
    let at = message
        .root()
        .fields()
        .next()
        .map_or(0, |first| first.range().start);
    splice(raw, at..at, &with_line_break(field))
}

/// The message without the fields that `unwanted` names.
pub fn remove_fields(raw: &[u8], unwanted: impl Fn(&Field) -> bool) -> Vec<u8> {
    let message = Message::parse(raw);
    let mut out = Vec::with_capacity(raw.len());
    let mut kept = 0;
    for field in message.root().fields().filter(unwanted) {
        out.extend_from_slice(raw.get(kept..field.range().start).unwrap_or_default());
        kept = field.range().end;
    }
    out.extend_from_slice(raw.get(kept..).unwrap_or_default());
    out
}

/// The message with `field` (whole lines) in place of the first field of that name; on top if there is none.
///
/// ```
/// use waxwing_mime::write::edit;
/// let raw = b"To: a@b.example\r\nSubject: old\r\n\r\nbody";
/// assert_eq!(edit::replace_field(raw, "Subject", b"Subject: new\r\n"), b"To: a@b.example\r\nSubject: new\r\n\r\nbody");
/// ```
pub fn replace_field(raw: &[u8], name: &str, field: &[u8]) -> Vec<u8> {
    let message = Message::parse(raw);
    match message.root().field_named(name) {
        Some(old) => splice(raw, old.range(), &with_line_break(field)),
        None => insert_top(raw, field),
    }
}

/// The message with header and body of one part replaced (its number in [`Message::parts`]). The new part must not have a line
/// that is a delimiter of a multipart around it.
pub fn replace_part(raw: &[u8], id: u32, part: &[u8]) -> Option<Vec<u8>> {
    let range = Message::parse(raw).part(id)?.range();
    Some(splice(raw, range, part))
}

fn splice(raw: &[u8], range: std::ops::Range<usize>, new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + new.len());
    out.extend_from_slice(raw.get(..range.start).unwrap_or_default());
    out.extend_from_slice(new);
    out.extend_from_slice(raw.get(range.end..).unwrap_or_default());
    out
}

fn with_line_break(field: &[u8]) -> Vec<u8> {
    let mut out = field.to_vec();
    if !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Why a message can't be made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A signed part would have to change (RFC 1847 §2.1).
    #[error("a signed part has 8-bit data, which may not be changed")]
    Signed,
    /// A header has raw UTF-8 (RFC 6532), which only SMTPUTF8 carries.
    #[error("a header has raw 8-bit data")]
    Header,
}

/// The message for a next hop that takes only 7 bits: 8-bit and binary leaves become quoted-printable or base64 (RFC 6152 §3),
/// their Content-Transfer-Encoding fields with them; all else stays as it is. Signed parts are never touched.
pub fn to_seven_bit(raw: &[u8]) -> Result<Vec<u8>, ConvertError> {
    if needs(raw) == Transport::SevenBit {
        return Ok(raw.to_vec());
    }
    convert(raw, Transport::SevenBit)
}

/// The message as lines: binary leaves (RFC 3030 §3) become base64, or quoted-printable where they are text with overlong
/// lines, their Content-Transfer-Encoding fields with them; all else, 8-bit text and headers included, stays as it is. What
/// is binary outside of leaves stays binary, so the caller looks whether it got lines.
pub fn to_eight_bit(raw: &[u8]) -> Result<Vec<u8>, ConvertError> {
    convert(raw, Transport::EightBit)
}

/// The least change that makes all leaves fit what is `taken`.
fn convert(raw: &[u8], taken: Transport) -> Result<Vec<u8>, ConvertError> {
    let seven = taken == Transport::SevenBit;
    let message = Message::parse(raw);
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 4);
    let mut kept = 0;
    for part in message.parts() {
        if seven && !part.raw_header().is_ascii() {
            return Err(ConvertError::Header);
        }
        let leaf = part.kind() == Kind::Leaf;
        let encode = leaf && needs(part.raw_body()) > taken && !part.encoding().is_encoded();
        let relabel = match part.encoding() {
            Encoding::EightBit => seven || encode,
            Encoding::Binary => true,
            _ => false,
        };
        if !encode && !relabel {
            continue;
        }
        if encode && is_signed(part) {
            return Err(ConvertError::Signed);
        }
        if is_signed(part) {
            continue;
        }
        out.extend_from_slice(raw.get(kept..part.header_range().start).unwrap_or_default());
        let quoted = part.is_text() && lines_survive(part.raw_body());
        let encoding = match (encode, quoted) {
            (false, _) if seven => "7bit",
            (false, _) => "8bit",
            (true, true) => "quoted-printable",
            (true, false) => "base64",
        };
        put_header(part, encoding, &mut out);
        kept = part.header_range().end;
        if encode {
            if quoted {
                out.extend_from_slice(qp::BODY.encode(part.raw_body()).as_bytes());
            } else {
                out.extend_from_slice(encodify::base64::MIME.encode(part.raw_body()).as_bytes());
            }
            kept = part.body_range().end;
        }
    }
    out.extend_from_slice(raw.get(kept..).unwrap_or_default());
    Ok(out)
}

fn lines_survive(body: &[u8]) -> bool {
    let mut last = 0;
    for byte in body {
        if (*byte == b'\n') != (last == b'\r') {
            return false;
        }
        last = *byte;
    }
    last != b'\r'
}

fn is_signed(part: Part) -> bool {
    let mut around = part.parent();
    while let Some(part) = around {
        if part.is("multipart", "signed") {
            return true;
        }
        around = part.parent();
    }
    false
}

/// The header with another transfer encoding.
fn put_header(part: Part, encoding: &str, out: &mut Vec<u8>) {
    let header = part.header_range();
    let field = format!("Content-Transfer-Encoding: {encoding}\r\n");
    let mut at = header.start;
    let raw = |range: std::ops::Range<usize>| part.raw.get(range).unwrap_or_default();
    let mut done = false;
    let mut last = header.start;
    for old in part.fields() {
        if old.id() == Name::ContentTransferEncoding {
            out.extend_from_slice(raw(at..old.range().start));
            at = old.range().end;
            if !done {
                out.extend_from_slice(field.as_bytes());
                done = true;
            }
        }
        last = old.range().end;
    }
    if !done {
        out.extend_from_slice(raw(at..last));
        out.extend_from_slice(field.as_bytes());
        at = last;
    }
    out.extend_from_slice(raw(at..header.end));
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &[u8] = b"Received: x\r\nFrom: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\xff\r\n--b--\r\n";

    #[test]
    fn other_octets_stay() {
        let top = insert_top(RAW, b"Received: y");
        assert_eq!(top, [b"Received: y\r\n", RAW].concat());
        assert_eq!(
            remove_fields(&top, |field| field.is("received") && field.value() == b" y"),
            RAW
        );
        let part = replace_part(RAW, 1, b"\r\nnew").unwrap();
        assert_eq!(Message::parse(&part).part(1).unwrap().raw_body(), b"new");
        assert!(part.ends_with(b"\x00\xff\r\n--b--\r\n"));
    }

    #[test]
    fn eight_bits_become_seven() {
        let out = to_seven_bit(RAW).unwrap();
        assert!(out.is_ascii());
        let (old, new) = (Message::parse(RAW), Message::parse(&out));
        for (old, new) in old.parts().zip(new.parts()) {
            assert_eq!(old.media_type(), new.media_type());
            if old.kind() == Kind::Leaf {
                assert_eq!(old.decoded(), new.decoded());
            }
        }
        assert!(out.starts_with(b"Received: x\r\nFrom: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"));
        let signed = String::from_utf8_lossy(RAW)
            .replace("multipart/mixed", "multipart/signed")
            .into_bytes();
        assert_eq!(to_seven_bit(&signed), Err(ConvertError::Signed));
        assert_eq!(
            to_seven_bit(b"Subject: caf\xc3\xa9\r\n\r\n"),
            Err(ConvertError::Header)
        );
        assert_eq!(to_seven_bit(b"A: b\r\n\r\n").unwrap(), b"A: b\r\n\r\n");
    }

    #[test]
    fn binary_becomes_lines_and_nothing_else_changes() {
        let out = to_eight_bit(RAW).unwrap();
        assert!(!out.contains(&0) && lines_survive(&out));
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains("8bit\r\n\r\ncaf\u{e9}\r\n"), "{text}");
        assert!(
            text.contains("Content-Transfer-Encoding: base64\r\n\r\nAP8="),
            "{text}"
        );
        let (old, new) = (Message::parse(RAW), Message::parse(&out));
        for (old, new) in old.parts().zip(new.parts()) {
            if old.kind() == Kind::Leaf {
                assert_eq!(old.decoded(), new.decoded());
            }
        }
        let international =
            b"Subject: caf\xc3\xa9\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb";
        let out = to_eight_bit(international).unwrap();
        assert!(out.starts_with(b"Subject: caf\xc3\xa9\r\nContent-Transfer-Encoding: base64\r\n"));
        let signed = String::from_utf8_lossy(RAW)
            .replace("multipart/mixed", "multipart/signed")
            .into_bytes();
        assert_eq!(to_eight_bit(&signed), Err(ConvertError::Signed));
    }
}
