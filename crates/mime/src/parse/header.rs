//! The header of a part: where its fields are and where it ends.

use memchr::memchr;

use super::lines::{Lines, short_name};
use super::tree::NONE;
use super::{Delimiter, MAX_FIELDS, Parser};
use crate::defect::DefectKind;
use crate::field::FieldRecord;
use crate::name::Name;

/// How a header ended.
pub(super) enum Ended {
    /// The body follows (its start is noted in the part).
    Body,
    /// At a delimiter of a multipart around it.
    Delimiter(Delimiter),
}

/// What a line of a header is.
enum Line {
    Blank,
    Continuation,
    /// Length of the name, and the position of the colon.
    Field(usize, usize),
    Other,
}

/// What a line says of the header.
enum Verdict {
    /// It is of the header.
    Header,
    /// The body begins here.
    Body(usize),
    Delimiter(Delimiter),
    /// More bytes are needed to say.
    Starved,
}

/// Which header is read: where it begins, its first field, its part.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    first: usize,
    id: u32,
}

/// The scan of one header.
struct Scan {
    content_type: u32,
    encoding: u32,
    disposition: u32,
    /// Bit per known name that stood already.
    seen: u64,
    /// Up to here lines that are no fields were found to belong to the header.
    junk_until: usize,
}

impl Parser {
    /// Indexes the header fields of the part `id`, which begins at `start`, and classifies the part.
    pub(super) fn header(&mut self, raw: &[u8], id: u32, start: usize) -> Ended {
        let mut scan = Scan {
            content_type: NONE,
            encoding: NONE,
            disposition: NONE,
            seen: 0,
            junk_until: 0,
        };
        let first = self.tree.fields.len();
        let mut at = start;
        let mut lines = Lines::new(raw, start);
        let (body, delimiter) = loop {
            if at >= raw.len() {
                if self.more {
                    return self.starve();
                }
                if at > start {
                    self.tree
                        .defect(DefectKind::HeaderWithoutEnd, start..raw.len());
                }
                break (raw.len(), None);
            }
            let line = raw.get(at..).unwrap_or_default();
            let length = lines.end(at) - at;
            // The usual line, dealt with at once.
            if let Some((name_len, name)) = short_name(line)
                && name_len < length
                && !line.starts_with(b"--")
                && (!self.more || line.get(length.wrapping_sub(1)) == Some(&b'\n'))
            {
                self.field(&mut scan, name, at, length, (name_len, name_len));
                at += length;
                continue;
            }
            match self.line(raw, &mut scan, at, length, Place { start, first, id }) {
                Verdict::Header => at += length,
                Verdict::Body(body) => break (body, None),
                Verdict::Delimiter(found) => break (at, Some(found)),
                Verdict::Starved => return self.starve(),
            }
        };
        let fields_end = self.tree.fields.len() as u32;
        if let Some(part) = self.tree.parts.get_mut(id as usize) {
            part.fields_end = fields_end;
            part.body = body as u32;
            part.content_type = scan.content_type;
            part.disposition = scan.disposition;
        }
        match delimiter {
            Some(found) => {
                self.classify_without_body(raw, id, scan.encoding, start..body);
                Ended::Delimiter(found)
            }
            None => {
                self.classify(raw, id, scan.encoding);
                Ended::Body
            }
        }
    }

    /// The header was ended by a delimiter. What it says of its type counts all the same, but it can't open anything.
    fn classify_without_body(
        &mut self,
        raw: &[u8],
        id: u32,
        encoding: u32,
        header: std::ops::Range<usize>,
    ) {
        self.tree.defect(DefectKind::HeaderWithoutEnd, header);
        let (open, boundaries) = (self.open.len(), self.boundaries.len());
        self.classify(raw, id, encoding);
        if self.open.len() > open {
            self.open.truncate(open);
            self.boundaries.truncate(boundaries);
        }
        if let Some(part) = self.tree.parts.get_mut(id as usize)
            && part.kind != super::Kind::Leaf
        {
            super::make_text(part);
        }
    }

    /// A line that is not the usual one.
    fn line(
        &mut self,
        raw: &[u8],
        scan: &mut Scan,
        at: usize,
        length: usize,
        place: Place,
    ) -> Verdict {
        let text = raw.get(at..at + length).unwrap_or_default();
        if self.more && !text.ends_with(b"\n") {
            return Verdict::Starved;
        }
        // Before all else: a boundary may have a colon in it.
        if text.starts_with(b"--")
            && let Some(found) = self.delimiter(raw, at)
        {
            let known = !self.more || found.after < raw.len();
            return if known {
                Verdict::Delimiter(found)
            } else {
                Verdict::Starved
            };
        }
        match classify(text) {
            Line::Blank => return Verdict::Body(at + length),
            Line::Field(..) if text.starts_with(b"--") && self.begins_body(raw, scan, at) => {
                self.tree.defect(DefectKind::NoBlankLine, at..at + length);
                return Verdict::Body(at);
            }
            Line::Field(name_len, colon) => {
                let name = Name::of(text.get(..name_len).unwrap_or_default());
                self.field(scan, name, at, length, (name_len, colon));
            }
            Line::Continuation => {
                let blank = is_all_blank(text);
                if blank && self.more && !has_line(raw, at + length) {
                    return Verdict::Starved;
                }
                if blank && separates(raw, at + length) {
                    self.tree.defect(DefectKind::NoBlankLine, at..at + length);
                    return Verdict::Body(at + length);
                }
                self.extend(
                    place.first,
                    at,
                    length,
                    DefectKind::ContinuationWithoutField,
                );
            }
            Line::Other => return self.odd_line(raw, scan, at, text, place),
        }
        Verdict::Header
    }

    /// A line that is no field, no continuation and no delimiter.
    fn odd_line(
        &mut self,
        raw: &[u8],
        scan: &mut Scan,
        at: usize,
        text: &[u8],
        place: Place,
    ) -> Verdict {
        let belongs = self.belongs(raw, scan, at, text.len(), place);
        if self.starved {
            return Verdict::Starved;
        }
        if !belongs {
            if self.tree.fields.len() > place.first {
                self.tree
                    .defect(DefectKind::NoBlankLine, at..at + text.len());
            }
            return Verdict::Body(at);
        }
        if at == place.start && (text.starts_with(b"From ") || text.starts_with(b">From ")) {
            self.tree.defect(DefectKind::MboxLine, at..at + text.len());
        } else {
            self.extend(place.first, at, text.len(), DefectKind::NotAField);
        }
        Verdict::Header
    }

    /// The bytes given end too early: nothing that was found counts.
    fn starve(&mut self) -> Ended {
        self.starved = true;
        Ended::Body
    }

    /// A field that begins at `at` with a line of `length` octets; its name ends, and the colon stands, so far behind.
    #[inline]
    fn field(
        &mut self,
        scan: &mut Scan,
        name: Name,
        at: usize,
        length: usize,
        (name_len, colon): (usize, usize),
    ) {
        let index = self.tree.fields.len();
        if self.fields_before + index >= MAX_FIELDS {
            if self
                .tree
                .defects
                .last()
                .is_none_or(|last| last.kind != DefectKind::TooManyFields)
            {
                self.tree.defect(DefectKind::TooManyFields, at..at + length);
            }
            return;
        }
        if name != Name::Other {
            self.known(scan, name, index as u32, at..at + length);
        }
        if colon > name_len {
            self.tree
                .defect(DefectKind::BlankInFieldName, at..at + colon);
        }
        self.tree.fields.push(FieldRecord {
            start: at as u32,
            value: (at + colon + 1) as u32,
            end: (at + length) as u32,
            name_len: name_len as u16,
            name,
        });
    }

    /// Remembers the fields that matter for the part; the first of each counts.
    fn known(&mut self, scan: &mut Scan, name: Name, index: u32, range: std::ops::Range<usize>) {
        let slot = match name {
            Name::ContentType => Some(&mut scan.content_type),
            Name::ContentTransferEncoding => Some(&mut scan.encoding),
            Name::ContentDisposition => Some(&mut scan.disposition),
            _ => None,
        };
        match slot {
            Some(slot) if *slot == NONE => *slot = index,
            Some(_) => self.tree.defect(DefectKind::DuplicateField, range),
            None if is_once(name) && scan.seen & 1 << name as u8 != 0 => {
                self.tree.defect(DefectKind::DuplicateField, range);
            }
            None => (),
        }
        scan.seen |= 1 << name as u8;
    }

    /// The line belongs to the field above.
    fn extend(&mut self, first: usize, at: usize, length: usize, otherwise: DefectKind) {
        let full = self.fields_before + self.tree.fields.len() >= MAX_FIELDS;
        let mut odd = otherwise == DefectKind::NotAField;
        if self.tree.fields.len() > first
            && let Some(field) = self.tree.fields.last_mut()
        {
            if !full || field.end as usize == at {
                field.end = (at + length) as u32;
            }
        } else {
            odd = true;
        }
        if odd {
            self.tree.defect(otherwise, at..at + length);
        }
    }

    /// Whether a line that is no field belongs to the header. RFC 7103 §7.2 joins it to the field above if an empty line or
    /// another field follows. An empty line follows nearly always, and a paragraph of the body would become header where the
    /// separating line is missing; hence only a field counts here.
    fn belongs(
        &mut self,
        raw: &[u8],
        scan: &mut Scan,
        at: usize,
        length: usize,
        Place { start, first, id }: Place,
    ) -> bool {
        if at < scan.junk_until {
            return true;
        }
        if self.begins_body(raw, scan, at) {
            return false;
        }
        let in_part = self.tree.parts.get(id as usize).is_some_and(|part| {
            self.tree
                .parts
                .get(part.parent as usize)
                .is_some_and(|parent| parent.kind == super::Kind::Multipart)
        });
        if in_part && self.tree.fields.len() == first && at == start {
            return false;
        }
        let mut next = at + length;
        loop {
            if self.more && !has_line(raw, next) {
                self.starved = true;
                return false;
            }
            let Some(line) = raw.get(next..).filter(|line| !line.is_empty()) else {
                return false;
            };
            let length = memchr(b'\n', line).map_or(line.len(), |n| n + 1);
            let text = line.get(..length).unwrap_or_default();
            match classify(text) {
                Line::Blank => return false,
                Line::Field(name_len, colon) if is_likely_field(text, name_len, colon) => {
                    scan.junk_until = next;
                    return true;
                }
                _ => next += length,
            }
        }
    }

    /// The line at `at` is the delimiter of the multipart whose header is being read: its empty line is missing.
    fn begins_body(&self, raw: &[u8], scan: &Scan, at: usize) -> bool {
        let Some(field) = self.tree.fields.get(scan.content_type as usize) else {
            return false;
        };
        if !raw.get(at..).is_some_and(|line| line.starts_with(b"--")) {
            return false;
        }
        let mut cursor = super::Cursor::new(raw, field.value as usize..field.end as usize);
        cursor.take_while(|b| b != b';' && b != b'=');
        let found = loop {
            let Some(param) = crate::param::next(&mut cursor) else {
                break None;
            };
            if cursor.slice(param.name).eq_ignore_ascii_case(b"boundary") {
                break Some(param.value);
            }
        };
        let Some(value) = found else { return false };
        let text = raw.get(value).unwrap_or_default();
        raw.get(at + 2..)
            .is_some_and(|line| !text.is_empty() && line.starts_with(text))
    }
}

/// There is a whole line at this place.
fn has_line(raw: &[u8], at: usize) -> bool {
    raw.get(at..)
        .is_some_and(|rest| memchr(b'\n', rest).is_some())
}

fn classify(line: &[u8]) -> Line {
    match line {
        [b'\n', ..] | [b'\r', b'\n', ..] => return Line::Blank,
        [b' ' | b'\t', ..] => return Line::Continuation,
        [b'\r', ..] if line.trim_ascii().is_empty() => return Line::Blank,
        _ => (),
    }
    // RFC 5322 §2.2: printable ASCII except the colon; §4.5 lets blanks stand before the colon.
    let mut name_len = 0;
    for byte in line {
        if *byte <= b' ' || *byte >= 127 || *byte == b':' {
            break;
        }
        name_len += 1;
    }
    let mut colon = name_len;
    while matches!(line.get(colon), Some(b' ' | b'\t')) {
        colon += 1;
    }
    if name_len > 0 && name_len <= u16::MAX as usize && line.get(colon) == Some(&b':') {
        Line::Field(name_len, colon)
    } else {
        Line::Other
    }
}

fn is_all_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// RFC 7103 §7.3: a line of blanks is part of the header if a field or a continuation follows; before anything else it is
/// the empty line that the sender meant.
fn separates(raw: &[u8], next: usize) -> bool {
    let line = raw.get(next..).unwrap_or_default();
    let length = memchr(b'\n', line).map_or(line.len(), |n| n + 1);
    matches!(
        classify(line.get(..length).unwrap_or_default()),
        Line::Other
    ) && !line.starts_with(b"--")
}

/// A word, a colon and a blank: what RFC 7103 §7.2 calls a line that appears to be a field. (`http://...` does not.)
fn is_likely_field(line: &[u8], name_len: usize, colon: usize) -> bool {
    let name = line.get(..name_len).unwrap_or_default();
    name.iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && matches!(
            line.get(colon + 1),
            None | Some(b' ' | b'\t' | b'\r' | b'\n')
        )
}

/// RFC 5322 §3.6 and RFC 2045: fields that may stand once.
fn is_once(name: Name) -> bool {
    matches!(
        name,
        Name::From
            | Name::Sender
            | Name::ReplyTo
            | Name::To
            | Name::Cc
            | Name::Bcc
            | Name::Subject
            | Name::Date
            | Name::MessageId
            | Name::InReplyTo
            | Name::References
            | Name::MimeVersion
            | Name::ContentId
            | Name::ContentDescription
    )
}
