//! What the Content-Type and Content-Transfer-Encoding fields of a part say.

use super::Tree;
use super::cursor::{self, Cursor};
use super::tree::{Encoding, Media, PartRecord};
use crate::defect::DefectKind;
use crate::field::FieldRecord;

fn type_of<'a>(raw: &'a [u8], part: &PartRecord) -> &'a [u8] {
    match part.media {
        Media::Written => raw
            .get(part.type_at as usize..part.type_at as usize + part.type_len as usize)
            .unwrap_or_default(),
        Media::TextPlain => b"text",
        Media::OctetStream => b"application",
        Media::MessageRfc822 => b"message",
        Media::MultipartMixed => b"multipart",
    }
}

pub(super) fn subtype_of<'a>(raw: &'a [u8], part: &PartRecord) -> &'a [u8] {
    match part.media {
        Media::Written => raw
            .get(part.subtype_at as usize..part.subtype_at as usize + part.subtype_len as usize)
            .unwrap_or_default(),
        Media::TextPlain => b"plain",
        Media::OctetStream => b"octet-stream",
        Media::MessageRfc822 => b"rfc822",
        Media::MultipartMixed => b"mixed",
    }
}

/// The media type of a part that counts.
pub(crate) fn media_of<'a>(raw: &'a [u8], part: &PartRecord) -> (&'a [u8], &'a [u8]) {
    (type_of(raw, part), subtype_of(raw, part))
}

pub(super) fn is_multipart(raw: &[u8], part: &PartRecord) -> bool {
    type_of(raw, part).eq_ignore_ascii_case(b"multipart")
}

/// RFC 2046 §5.2.1 and RFC 6532 §3.7.
pub(super) fn is_message(raw: &[u8], part: &PartRecord) -> bool {
    let (kind, subtype) = media_of(raw, part);
    kind.eq_ignore_ascii_case(b"message")
        && (subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global"))
}

/// RFC 2045 §5.1: reads `type/subtype` and notes where the parameters begin.
pub(super) fn content_type(raw: &[u8], part: &mut PartRecord, field: FieldRecord, tree: &mut Tree) {
    let range = field.value as usize..field.end as usize;
    let mut cursor = Cursor::new(raw, range.clone());
    cursor.skip_cfws();
    let kind = cursor.take_while(cursor::is_token);
    cursor.skip_cfws();
    let slash = cursor.eat(b'/');
    let mut params = cursor.at;
    let mut subtype = 0..0;
    if slash {
        cursor.skip_cfws();
        subtype = cursor.take_while(cursor::is_token);
        params = cursor.at;
    }
    part.params = params as u32;
    let fits = kind.len() <= u16::MAX as usize && subtype.len() <= u16::MAX as usize;
    if slash && !kind.is_empty() && !subtype.is_empty() && fits {
        part.media = Media::Written;
        part.type_at = kind.start as u32;
        part.type_len = kind.len() as u16;
        part.subtype_at = subtype.start as u32;
        part.subtype_len = subtype.len() as u16;
        part.text = cursor.slice(kind).eq_ignore_ascii_case(b"text");
        return;
    }
    // RFC 2045 §5.2 takes text/plain for a type that can't be read; for one that plainly is no text, that would show garbage.
    tree.defect(DefectKind::ContentTypeInvalid, range);
    let word = cursor.slice(kind);
    let known = [
        &b"application"[..],
        b"image",
        b"audio",
        b"video",
        b"message",
        b"model",
        b"font",
    ];
    (part.media, part.text) = if word.eq_ignore_ascii_case(b"multipart") {
        (Media::MultipartMixed, false)
    } else if known.iter().any(|name| word.eq_ignore_ascii_case(name)) {
        (Media::OctetStream, false)
    } else {
        (Media::TextPlain, true)
    };
}

/// RFC 2045 §6.1. The first token counts, whatever stands around it.
pub(super) fn transfer_encoding(raw: &[u8], field: FieldRecord, tree: &mut Tree) -> Encoding {
    let range = field.value as usize..field.end as usize;
    let mut cursor = Cursor::new(raw, range.clone());
    cursor.skip_blanks();
    let clean_start = cursor.peek() != Some(b'(');
    cursor.skip_cfws();
    cursor.eat(b'"');
    let name = cursor.take_while(cursor::is_token);
    let end = cursor.at;
    cursor.skip_blanks();
    let encoding = if name.is_empty() {
        Encoding::SevenBit
    } else {
        Encoding::of(cursor.slice(name))
    };
    if encoding == Encoding::Unknown {
        tree.defect(DefectKind::EncodingUnknown, range);
    } else if !clean_start || cursor.at < cursor.end || blank_at(raw, end) {
        tree.defect(DefectKind::EncodingInvalid, range);
    }
    encoding
}

fn blank_at(raw: &[u8], at: usize) -> bool {
    matches!(raw.get(at), Some(b' ' | b'\t'))
}
