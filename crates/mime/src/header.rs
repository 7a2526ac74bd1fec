//! Headers by themselves: fields of a stretch of bytes, and the selections of IMAP's `BODY[HEADER.FIELDS (...)]`.

use std::ops::Range;

use crate::Parser;
use crate::field::{Field, FieldRecord};

/// The header fields in this range of a message.
pub fn fields(raw: &[u8], range: Range<usize>) -> impl Iterator<Item = Field<'_>> {
    let end = range.end.min(raw.len());
    let bytes = raw.get(..end).unwrap_or_default();
    records(bytes, range.start)
        .into_iter()
        .map(move |at| Field { message: bytes, at })
}

fn records(bytes: &[u8], start: usize) -> Vec<FieldRecord> {
    let mut parser = Parser::new();
    parser.run_header(bytes, start);
    parser.tree.fields
}

/// RFC 9051 §6.4.5.1 `HEADER.FIELDS`: the fields of these names as they stand, in the order of the message, and an empty line.
///
/// ```
/// let header = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: folded\r\n here\r\n\r\n";
/// assert_eq!(waxwing_mime::header::select(header, &["subject", "from"]), b"From: a@b.example\r\nSubject: folded\r\n here\r\n\r\n");
/// assert_eq!(waxwing_mime::header::select_not(header, &["subject", "from"]), b"To: c@d.example\r\n\r\n");
/// ```
pub fn select(header: &[u8], names: &[&str]) -> Vec<u8> {
    selected(header, |field| names.iter().any(|name| field.is(name)))
}

/// RFC 9051 §6.4.5.1 `HEADER.FIELDS.NOT`: all other fields.
pub fn select_not(header: &[u8], names: &[&str]) -> Vec<u8> {
    selected(header, |field| !names.iter().any(|name| field.is(name)))
}

fn selected(header: &[u8], wanted: impl Fn(&Field) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields(header, 0..header.len()).filter(wanted) {
        out.extend_from_slice(field.raw());
        if !out.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}
