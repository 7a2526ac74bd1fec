//! The parser: one pass from delimiter to delimiter, no recursion, no allocation once its arenas have grown.

pub(crate) mod cursor;
mod header;
mod lines;
mod media;
pub(crate) mod push;
pub(crate) mod tree;

pub(crate) use lines::Lines;
use memchr::memmem;

use crate::defect::{Defect, DefectKind};
use crate::field::FieldRecord;
use crate::param;
use cursor::Cursor;
use header::Ended;
pub(crate) use media::media_of;
use media::{content_type, is_message, is_multipart, subtype_of, transfer_encoding};
use tree::{Encoding, Kind, Media, NONE, PartRecord};

/// Parts within parts. Real mail stays below 20; each level costs a comparison at every delimiter.
pub const MAX_DEPTH: usize = 100;
/// Parts of a message. The largest digests have some thousands.
pub const MAX_PARTS: usize = 10_000;
/// Header fields of a message with all its parts that are indexed: bounds the index to about a megabyte.
pub const MAX_FIELDS: usize = 65_000;
/// Octets of a message: offsets have 32 bits.
pub const MAX_SIZE: usize = NONE as usize - 1;
/// Octets of a delimiter line; boundaries have up to 70, but blanks may follow.
const MAX_DELIMITER: usize = 8 * 1024;
/// Defects that are noted; after that only their kinds are lost, nothing of the message.
const MAX_DEFECTS: usize = 100;

/// Parses messages, keeping its memory from one to the next.
///
/// ```
/// let mut parser = waxwing_mime::Parser::new();
/// for raw in [&b"Subject: one\r\n\r\n"[..], b"Subject: two\r\n\r\n"] {
///     let message = parser.parse(raw);
///     assert!(message.root().subject().is_some());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Parser {
    pub(crate) tree: Tree,
    open: Vec<Open>,
    boundaries: Vec<u8>,
    dashes: memmem::Finder<'static>,
    /// Where in the message the bytes begin that are given; 0 unless they come in pieces.
    base: usize,
    /// Fields that were indexed and forgotten again.
    fields_before: usize,
    /// The bytes given are not the end of the message.
    more: bool,
    /// What was asked can't be said without more bytes.
    starved: bool,
}

/// What a parse found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub parts: Vec<PartRecord>,
    pub fields: Vec<FieldRecord>,
    pub defects: Vec<Defect>,
}

impl Tree {
    pub(super) fn defect(&mut self, kind: DefectKind, range: std::ops::Range<usize>) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(Defect { kind, range });
        }
    }
}

/// A multipart whose closing delimiter was not met yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    part: u32,
    /// The boundary's place in `Parser::boundaries`.
    start: usize,
    len: usize,
    /// Its last eight octets, to tell most lines apart by one comparison.
    tail: u64,
    children: u32,
}

/// A part whose header comes next. Offsets are relative to the bytes given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    parent: u32,
    delimiter: usize,
    start: usize,
}

/// What follows the header of a part.
enum Step {
    /// The header of what is in it.
    Nested(Next),
    /// A delimiter, before there was a body.
    Delimiter(Delimiter),
    /// A body, from here on.
    Body(usize),
}

/// What a delimiter leads to.
enum Met {
    Part(Next),
    /// What closes it was one: text up to the next delimiter.
    Closed,
    /// Nothing more is looked for.
    End,
}

/// A delimiter line.
#[derive(Clone, Copy, Debug)]
struct Delimiter {
    /// Index into the open multiparts.
    open: usize,
    line: usize,
    after: usize,
    closes: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Parser {
            tree: Tree::default(),
            open: Vec::new(),
            boundaries: Vec::new(),
            dashes: memmem::Finder::new(b"\n--"),
            base: 0,
            fields_before: 0,
            more: false,
            starved: false,
        }
    }
}

impl Parser {
    /// A parser without memory of its own yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn reset(&mut self) {
        self.tree.parts.clear();
        self.tree.fields.clear();
        self.tree.defects.clear();
        self.open.clear();
        self.boundaries.clear();
        self.base = 0;
        self.fields_before = 0;
        self.more = false;
        self.starved = false;
    }

    /// Fills the arenas from a message.
    pub(crate) fn run(&mut self, raw: &[u8]) {
        self.reset();
        // Offsets have 32 bits, and the largest is NONE.
        let limit = raw.len().min(MAX_SIZE);
        if limit < raw.len() {
            self.tree.defect(DefectKind::TooLarge, limit..raw.len());
        }
        let raw = raw.get(..limit).unwrap_or_default();
        let mut next = Some(Next {
            parent: NONE,
            delimiter: 0,
            start: 0,
        });
        while let Some(part) = next {
            next = match self.part(raw, part) {
                Step::Nested(inner) => Some(inner),
                Step::Delimiter(found) => self.arrive(raw, found),
                Step::Body(body) => self
                    .find(raw, body, true, self.last_is_base64())
                    .and_then(|found| self.arrive(raw, found)),
            };
        }
        self.close(raw.len());
    }

    /// Indexes the fields of one header alone.
    pub(crate) fn run_header(&mut self, raw: &[u8], start: usize) {
        self.reset();
        self.tree.parts.push(PartRecord {
            header: start as u32,
            body: start as u32,
            ..PartRecord::EMPTY
        });
        self.header(raw, 0, start);
    }

    /// Reads the header of a part, and says what comes after it. Offsets are relative to `raw`.
    fn part(&mut self, raw: &[u8], part: Next) -> Step {
        let id = self.tree.parts.len() as u32;
        let fields = self.tree.fields.len() as u32;
        self.tree.parts.push(PartRecord {
            parent: part.parent,
            delimiter: part.delimiter as u32,
            header: part.start as u32,
            body: part.start as u32,
            body_end: raw.len() as u32,
            fields,
            fields_end: fields,
            ..PartRecord::EMPTY
        });
        if let Ended::Delimiter(found) = self.header(raw, id, part.start) {
            return Step::Delimiter(found);
        }
        let body = self
            .tree
            .parts
            .get(id as usize)
            .map_or(raw.len(), |part| part.body as usize);
        if self.kind(id) == Kind::Message {
            return Step::Nested(Next {
                parent: id,
                delimiter: body,
                start: body,
            });
        }
        Step::Body(body)
    }

    /// Empty parts take 8 octets, and their BODYSTRUCTURE 80: what is told of a message stays in proportion to it.
    fn is_full(&self, at: usize) -> bool {
        self.tree.parts.len() >= MAX_PARTS.min(100 + (self.base + at) / 64)
    }

    /// The part read last has a body in base64.
    fn last_is_base64(&self) -> bool {
        self.tree
            .parts
            .last()
            .is_some_and(|part| part.encoding == Encoding::Base64)
    }

    fn kind(&self, id: u32) -> Kind {
        self.tree
            .parts
            .get(id as usize)
            .map_or(Kind::Leaf, |part| part.kind)
    }

    /// At a delimiter: closes what it ends, and says where the next part begins.
    fn arrive(&mut self, raw: &[u8], mut found: Delimiter) -> Option<Next> {
        loop {
            match self.meet(raw, found) {
                Met::Part(next) => return Some(next),
                Met::End => return None,
                Met::Closed => found = self.find(raw, found.after, true, false)?,
            }
        }
    }

    fn meet(&mut self, raw: &[u8], found: Delimiter) -> Met {
        let content_end = self.base + before_line_break(raw, found.line);
        let Some(within) = self.open.get(found.open).copied() else {
            return Met::End;
        };
        self.close_children(found.open, within.part, content_end);
        if !found.closes {
            if found.after >= raw.len() && within.children > 0 {
                // Cut off, or the two dashes of the closing delimiter are missing: nothing follows that could be a part.
                return Met::End;
            }
            if self.is_full(found.line) {
                self.tree.defect(
                    DefectKind::TooManyParts,
                    self.base + found.line..self.base + raw.len(),
                );
                return Met::End;
            }
            if let Some(open) = self.open.get_mut(found.open) {
                open.children += 1;
            }
            return Met::Part(Next {
                parent: within.part,
                delimiter: found.line,
                start: found.after,
            });
        }
        if within.children == 0 {
            self.childless(within.part, self.base + raw.len());
        }
        self.open.truncate(found.open);
        self.boundaries.truncate(within.start);
        Met::Closed
    }

    /// The part with the open multipart `open` as its parent, and all in it, end at `end`.
    fn close_children(&mut self, open: usize, parent: u32, end: usize) {
        while self.open.len() > open + 1 {
            self.close_unclosed(end);
        }
        self.set_ends(parent, end);
    }

    /// The innermost open multipart ends without a closing delimiter.
    fn close_unclosed(&mut self, end: usize) {
        let Some(inner) = self.open.pop() else { return };
        self.boundaries.truncate(inner.start);
        let at = self
            .tree
            .parts
            .get(inner.part as usize)
            .map_or(end, |part| part.header as usize);
        if inner.children == 0 {
            self.childless(inner.part, end);
        } else {
            self.tree.defect(DefectKind::NotClosed, at..end.max(at));
        }
    }

    /// Parts are in document order: those without an end are the last one and what is around it. They end here, up to `until`.
    fn set_ends(&mut self, until: u32, end: usize) {
        let count = self.tree.parts.len() as u32;
        let mut id = count.wrapping_sub(1);
        while id != until
            && let Some(part) = self.tree.parts.get_mut(id as usize)
        {
            if part.end == NONE {
                part.end = count;
                part.body_end = (end as u32).max(part.body);
            }
            id = part.parent;
        }
    }

    /// The message ends.
    fn close(&mut self, end: usize) {
        while !self.open.is_empty() {
            self.close_unclosed(end);
        }
        self.set_ends(NONE, end);
    }

    /// A multipart without any part in it: its text must not be lost.
    fn childless(&mut self, id: u32, end: usize) {
        if let Some(part) = self.tree.parts.get_mut(id as usize) {
            let at = part.header as usize;
            make_text(part);
            self.tree.defect(DefectKind::NoParts, at..end.max(at));
        }
    }

    /// The next delimiter line of an open multipart. `from` is the start of a line, or else the first line break counts.
    fn find(&mut self, raw: &[u8], from: usize, at_line: bool, base64: bool) -> Option<Delimiter> {
        if self.open.is_empty() {
            return None;
        }
        if at_line && let Some(found) = self.delimiter(raw, from) {
            return Some(found);
        }
        let mut at = from;
        if base64 {
            // Base64 has no dash: one that is there begins a delimiter nearly always, and is found faster than a pair.
            let mut tries = 8;
            while tries > 0 {
                at += memchr::memchr(b'-', raw.get(at..)?)?;
                if raw.get(at + 1) == Some(&b'-')
                    && raw.get(at.wrapping_sub(1)) == Some(&b'\n')
                    && at > from
                    && let Some(found) = self.delimiter(raw, at)
                {
                    return Some(found);
                }
                at += 1;
                tries -= 1;
            }
            // Back to the line break, if the pair just left behind is one that begins a line.
            at = at.saturating_sub(1).max(from);
        }
        loop {
            at += self.dashes.find(raw.get(at..)?)? + 1;
            if let Some(found) = self.delimiter(raw, at) {
                return Some(found);
            }
        }
    }

    /// RFC 2046 §5.1.1: the delimiter that the line at `line` is, if it is one. `--abcd` is not a delimiter of `abc`, as inner
    /// boundaries often begin like the outer one; but text that follows after a blank is let through and noted.
    fn delimiter(&mut self, raw: &[u8], line: usize) -> Option<Delimiter> {
        let rest = raw.get(line..)?.strip_prefix(b"--")?;
        let rest = rest.get(..MAX_DELIMITER).unwrap_or(rest);
        let length = match memchr::memchr(b'\n', rest) {
            Some(length) => length,
            None if rest.len() == MAX_DELIMITER => return None,
            None => rest.len(),
        };
        let after = (line + 2 + length + 1).min(raw.len());
        let text = rest.get(..length)?.trim_ascii_end();
        if let Some((open, closes)) = self.matches(text) {
            return Some(Delimiter {
                open,
                line,
                after,
                closes,
            });
        }
        let (open, closes) = self.matches(text.get(..memchr::memchr2(b' ', b'\t', text)?)?)?;
        self.tree
            .defect(DefectKind::TextAfterDelimiter, line..after);
        Some(Delimiter {
            open,
            line,
            after,
            closes,
        })
    }

    /// The open multipart, the innermost first, whose delimiter this is, and whether it closes.
    fn matches(&self, text: &[u8]) -> Option<(usize, bool)> {
        let closing = text.strip_suffix(b"--");
        let (tail, closing_tail) = (tail_of(text), closing.map(tail_of));
        for (open, candidate) in self.open.iter().enumerate().rev() {
            let boundary = self
                .boundaries
                .get(candidate.start..candidate.start + candidate.len)?;
            if candidate.tail == tail && boundary == text {
                return Some((open, false));
            }
            if Some(candidate.tail) == closing_tail && closing == Some(boundary) {
                return Some((open, true));
            }
        }
        None
    }

    /// Takes what the Content-Type and Content-Transfer-Encoding fields of a part say. `cte` is the field's index.
    fn classify(&mut self, raw: &[u8], id: u32, cte: u32) {
        let parent = self
            .tree
            .parts
            .get(id as usize)
            .map_or(NONE, |part| part.parent);
        let in_digest = self
            .tree
            .parts
            .get(parent as usize)
            .is_some_and(|parent| parent.digest);
        let Some(mut part) = self.tree.parts.get(id as usize).copied() else {
            return;
        };
        if in_digest {
            part.media = Media::MessageRfc822;
            part.text = false;
        }
        if let Some(field) = self.tree.fields.get(part.content_type as usize).copied() {
            content_type(raw, &mut part, field, &mut self.tree);
        }
        if let Some(field) = self.tree.fields.get(cte as usize).copied() {
            part.encoding = transfer_encoding(raw, field, &mut self.tree);
        }
        let depth = self.depth(part.parent);
        if is_multipart(raw, &part) {
            self.open_multipart(raw, id, &mut part, depth);
        } else if is_message(raw, &part) && !part.encoding.is_encoded() {
            if depth >= MAX_DEPTH || self.is_full(part.body as usize) {
                part.media = Media::OctetStream;
                self.tree
                    .defect(DefectKind::TooDeep, part.header as usize..raw.len());
            } else {
                part.kind = Kind::Message;
            }
        }
        if is_message(raw, &part) && part.encoding.is_encoded() {
            self.tree.defect(
                DefectKind::EncodedMessage,
                part.header as usize..part.body as usize,
            );
        }
        if let Some(slot) = self.tree.parts.get_mut(id as usize) {
            *slot = part;
        }
    }

    /// How many parts are around a part with this parent.
    fn depth(&self, mut parent: u32) -> usize {
        let mut depth = 0;
        while let Some(part) = self.tree.parts.get(parent as usize) {
            depth += 1;
            parent = part.parent;
        }
        depth
    }

    fn open_multipart(&mut self, raw: &[u8], id: u32, part: &mut PartRecord, depth: usize) {
        let header = part.header as usize..part.body as usize;
        if depth >= MAX_DEPTH {
            part.media = Media::OctetStream;
            part.text = false;
            self.tree
                .defect(DefectKind::TooDeep, header.start..raw.len());
            return;
        }
        let start = self.boundaries.len();
        if !self.boundary(raw, part) {
            self.tree.defect(DefectKind::BoundaryMissing, header);
            make_text(part);
            return;
        }
        let text = self.boundaries.get(start..).unwrap_or_default();
        let len = text.len();
        if len > 70 {
            self.tree
                .defect(DefectKind::BoundaryTooLong, header.clone());
        }
        let again = self
            .open
            .iter()
            .any(|o| self.boundaries.get(o.start..o.start + o.len) == Some(text));
        let tail = tail_of(text);
        if again {
            self.tree
                .defect(DefectKind::BoundaryRepeated, header.clone());
        }
        if part.encoding.is_encoded() {
            self.tree.defect(DefectKind::EncodedMultipart, header);
        }
        part.kind = Kind::Multipart;
        part.digest = subtype_of(raw, part).eq_ignore_ascii_case(b"digest");
        part.text = false;
        part.encoding = Encoding::SevenBit;
        self.open.push(Open {
            part: id,
            start,
            len,
            tail,
            children: 0,
        });
    }

    /// Appends the boundary parameter to `boundaries`; false if there is none or it is empty.
    fn boundary(&mut self, raw: &[u8], part: &PartRecord) -> bool {
        let Some(field) = self.tree.fields.get(part.content_type as usize) else {
            return false;
        };
        let mut cursor = Cursor::new(raw, part.params as usize..field.end as usize);
        while let Some(found) = param::next(&mut cursor) {
            let name = cursor.slice(found.name);
            if !name.eq_ignore_ascii_case(b"boundary") {
                continue;
            }
            let start = self.boundaries.len();
            let value = cursor.slice(found.value);
            let mut escaped = false;
            for byte in value {
                match byte {
                    b'\\' if found.quoted && !escaped => escaped = true,
                    b'\r' | b'\n' => escaped = false,
                    _ => {
                        self.boundaries.push(*byte);
                        escaped = false;
                    }
                }
            }
            let again = std::iter::from_fn(|| param::next(&mut cursor)).take(param::MAX_PARAMS);
            if again
                .filter(|more| {
                    raw.get(more.name.clone())
                        .is_some_and(|name| name.eq_ignore_ascii_case(b"boundary"))
                })
                .count()
                > 0
            {
                self.tree.defect(
                    DefectKind::ParameterDuplicate,
                    part.header as usize..part.body as usize,
                );
            }
            // RFC 2046 §5.1.1: a boundary does not end with a blank; transport may have added some.
            while self.boundaries.len() > start
                && self.boundaries.last().is_some_and(u8::is_ascii_whitespace)
            {
                self.boundaries.pop();
            }
            return self.boundaries.len() > start;
        }
        false
    }
}

/// Its body is shown as text.
fn make_text(part: &mut PartRecord) {
    part.kind = Kind::Leaf;
    part.digest = false;
    part.media = Media::TextPlain;
    part.text = true;
}

fn tail_of(text: &[u8]) -> u64 {
    match text.last_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => text
            .iter()
            .fold(0, |tail, byte| tail << 8 | u64::from(*byte)),
    }
}

/// RFC 2046 §5.1.1: the line break before a delimiter belongs to it.
fn before_line_break(raw: &[u8], line: usize) -> usize {
    match raw.get(..line) {
        Some([.., b'\r', b'\n']) => line - 2,
        Some([.., b'\n']) => line - 1,
        _ => line,
    }
}
