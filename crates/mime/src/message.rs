//! A parsed message and its parts.

use std::borrow::Cow;
use std::ops::Range;

use crate::address::AddressList;
use crate::charset::Charset;
use crate::defect::Defect;
use crate::field::{Field, slice};
use crate::param::Params;
use crate::parse::tree::{NONE, PartRecord};
use crate::parse::{Tree, media_of};
use crate::{Encoding, Kind, Name, Parser};

/// A message: its bytes, and where everything in it is. Parsing never fails; what is wrong is in [`Message::defects`].
#[derive(Clone, Debug)]
pub struct Message<'a> {
    raw: &'a [u8],
    tree: Held<'a>,
}

#[derive(Clone, Debug)]
enum Held<'a> {
    Own(Tree),
    Kept(&'a Tree),
}

impl Parser {
    /// Parses a message. The result borrows the parser's memory; [`Message::parse`] gives one that does not.
    pub fn parse<'a>(&'a mut self, raw: &'a [u8]) -> Message<'a> {
        self.run(raw);
        Message {
            raw,
            tree: Held::Kept(&self.tree),
        }
    }
}

impl<'a> Message<'a> {
    /// Parses a message.
    ///
    /// ```
    /// let message = waxwing_mime::Message::parse(b"Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\nHello\r\n");
    /// assert_eq!(message.root().subject().as_deref(), Some("café"));
    /// assert_eq!(message.root().text().0, "Hello\r\n");
    /// ```
    pub fn parse(raw: &'a [u8]) -> Message<'a> {
        let mut parser = Parser::new();
        parser.run(raw);
        Message {
            raw,
            tree: Held::Own(parser.tree),
        }
    }

    pub(crate) fn tree(&self) -> &Tree {
        match &self.tree {
            Held::Own(tree) => tree,
            Held::Kept(tree) => tree,
        }
    }

    /// The bytes it was parsed from.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The message itself: the part that holds its header.
    pub fn root(&self) -> Part<'_> {
        Part {
            raw: self.raw,
            tree: self.tree(),
            id: 0,
        }
    }

    /// All parts in document order, nested messages and their parts included.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Part<'_>> {
        let tree = self.tree();
        (0..tree.parts.len() as u32).map(move |id| Part {
            raw: self.raw,
            tree,
            id,
        })
    }

    /// The part with this number in [`Message::parts`].
    pub fn part(&self, id: u32) -> Option<Part<'_>> {
        let tree = self.tree();
        ((id as usize) < tree.parts.len()).then_some(Part {
            raw: self.raw,
            tree,
            id,
        })
    }

    /// What is wrong with the structure, at most a hundred entries. [`crate::lint`] looks at values and bodies as well.
    pub fn defects(&self) -> &[Defect] {
        &self.tree().defects
    }
}

/// A message that holds its own bytes, for keeping or for sending to another thread.
#[derive(Clone, Debug)]
pub struct OwnedMessage {
    raw: Vec<u8>,
    tree: Tree,
}

impl OwnedMessage {
    /// Parses a message.
    pub fn parse(raw: Vec<u8>) -> OwnedMessage {
        let mut parser = Parser::new();
        parser.run(&raw);
        OwnedMessage {
            raw,
            tree: parser.tree,
        }
    }

    /// The message; costs nothing.
    pub fn message(&self) -> Message<'_> {
        Message {
            raw: &self.raw,
            tree: Held::Kept(&self.tree),
        }
    }

    /// The bytes again.
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }
}

/// A part of a message: multipart, nested message or leaf. Copying it costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) tree: &'a Tree,
    pub(crate) id: u32,
}

impl<'a> Part<'a> {
    pub(crate) fn record(&self) -> &'a PartRecord {
        // The tree has at least its root, and ids come from it.
        static EMPTY: PartRecord = PartRecord::EMPTY;
        self.tree.parts.get(self.id as usize).unwrap_or(&EMPTY)
    }

    fn with(&self, id: u32) -> Part<'a> {
        Part { id, ..*self }
    }

    /// Its number in document order; the message itself is 0.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.record().kind
    }

    /// The part around it.
    pub fn parent(&self) -> Option<Part<'a>> {
        let parent = self.record().parent;
        (parent != NONE).then(|| self.with(parent))
    }

    /// The parts directly in it: those of a multipart, or the root of a nested message.
    pub fn children(&self) -> Children<'a> {
        Children {
            part: *self,
            next: self.id + 1,
            end: self.record().end,
        }
    }

    /// Where its header is, the empty line after it included.
    pub fn header_range(&self) -> Range<usize> {
        self.record().header as usize..self.record().body as usize
    }

    /// Where its body is, encoded as it stands, without the line break that belongs to the next delimiter.
    pub fn body_range(&self) -> Range<usize> {
        self.record().body as usize..self.record().body_end as usize
    }

    /// Where header and body are: what a signature over the part covers (RFC 1847 §2.1).
    pub fn range(&self) -> Range<usize> {
        self.record().header as usize..self.record().body_end as usize
    }

    /// Where the delimiter line begins that opened it; None for the message itself and the root of a nested one.
    pub fn delimiter_start(&self) -> Option<usize> {
        let record = self.record();
        (record.delimiter < record.header).then_some(record.delimiter as usize)
    }

    /// Header and body as they stand.
    pub fn raw(&self) -> &'a [u8] {
        slice(self.raw, self.range())
    }

    /// The header as it stands.
    pub fn raw_header(&self) -> &'a [u8] {
        slice(self.raw, self.header_range())
    }

    /// The body as it stands.
    pub fn raw_body(&self) -> &'a [u8] {
        slice(self.raw, self.body_range())
    }

    /// Lines of the raw body: its line feeds.
    pub fn lines(&self) -> usize {
        memchr::memchr_iter(b'\n', self.raw_body()).count()
    }

    /// Its header fields in order.
    pub fn fields(&self) -> Fields<'a> {
        let record = self.record();
        let range = record.fields as usize..record.fields_end as usize;
        Fields {
            raw: self.raw,
            records: self.tree.fields.get(range).unwrap_or_default().iter(),
        }
    }

    /// The first field of that name.
    pub fn field(&self, name: Name) -> Option<Field<'a>> {
        self.fields().find(|field| field.id() == name)
    }

    /// How many fields have that name.
    pub fn field_count(&self, name: Name) -> usize {
        self.fields().filter(|field| field.id() == name).count()
    }

    /// The first field of that name, in any case; also for names the library does not know.
    pub fn field_named(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.is(name))
    }

    /// The decoded text of the first field of that name.
    pub fn field_text(&self, name: Name) -> Option<String> {
        self.field(name).map(|field| field.text().into_owned())
    }

    /// The decoded subject.
    pub fn subject(&self) -> Option<String> {
        self.field_text(Name::Subject)
    }

    /// The addresses of the first field of that name.
    pub fn addresses(&self, name: Name) -> AddressList {
        self.field(name)
            .map(|field| field.addresses())
            .unwrap_or_default()
    }

    /// The date of the Date field.
    pub fn date(&self) -> Option<crate::DateTime> {
        self.field(Name::Date).and_then(|field| field.date())
    }

    /// The message id, without angle brackets.
    pub fn message_id(&self) -> Option<String> {
        self.field(Name::MessageId)
            .and_then(|field| field.ids().into_iter().next())
    }

    /// Media type and subtype that count, in lower case.
    pub fn media_type(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        let (kind, subtype) = media_of(self.raw, self.record());
        (lower(kind), lower(subtype))
    }

    /// True if the media type that counts is this one; both in lower case, `"*"` for any subtype.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        let (own, own_subtype) = media_of(self.raw, self.record());
        own.eq_ignore_ascii_case(kind.as_bytes())
            && (subtype == "*" || own_subtype.eq_ignore_ascii_case(subtype.as_bytes()))
    }

    /// True for a leaf of any type `text/*`, or without a type.
    pub fn is_text(&self) -> bool {
        self.kind() == Kind::Leaf && self.record().text
    }

    /// The transfer encoding.
    pub fn encoding(&self) -> Encoding {
        self.record().encoding
    }

    /// Parameters of the content type, decoded.
    pub fn params(&self) -> Params<'a> {
        let record = self.record();
        match self.tree.fields.get(record.content_type as usize) {
            Some(field) => Params::new(self.raw, record.params as usize..field.end as usize),
            None => Params::new(self.raw, 0..0),
        }
    }

    /// A parameter of the content type, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        self.params().value(name)
    }

    /// Content-Disposition: `inline`, `attachment` or another token in lower case, and its parameters.
    pub fn disposition(&self) -> Option<(Cow<'a, str>, Params<'a>)> {
        let field = self.tree.fields.get(self.record().disposition as usize)?;
        let mut cursor =
            crate::parse::cursor::Cursor::new(self.raw, field.value as usize..field.end as usize);
        cursor.skip_cfws();
        let token = cursor.take_while(crate::parse::cursor::is_token);
        let at = cursor.at;
        Some((
            lower(cursor.slice(token)),
            Params::new(self.raw, at..field.end as usize),
        ))
    }

    /// The name for saving the part: `filename` of the disposition, else `name` of the type, as the sender gave it. It may
    /// hold paths and control characters: see [`crate::file_name::safe`].
    pub fn file_name(&self) -> Option<String> {
        self.disposition()
            .and_then(|(_, params)| params.value("filename"))
            .or_else(|| self.param("name"))
            .filter(|name| !name.is_empty())
    }

    /// The Content-ID, without angle brackets.
    pub fn content_id(&self) -> Option<String> {
        self.field(Name::ContentId)
            .and_then(|field| field.ids().into_iter().next())
    }

    /// The charset of a text part as written.
    pub fn charset(&self) -> Option<String> {
        self.param("charset")
    }

    /// The body without its transfer encoding, appended to `out`. False if it was damaged: then `out` has what could be read.
    pub fn decode_into(&self, out: &mut Vec<u8>) -> bool {
        crate::decode::body(self.raw_body(), self.encoding(), out)
    }

    /// The body without its transfer encoding; borrowed if it has none.
    pub fn decoded(&self) -> (Cow<'a, [u8]>, bool) {
        if !self.encoding().is_encoded() {
            return (Cow::Borrowed(self.raw_body()), true);
        }
        let mut out = Vec::new();
        let whole = self.decode_into(&mut out);
        (Cow::Owned(out), whole)
    }

    /// The nested message of a part that has a transfer encoding against RFC 2046 §5.2.1: a leaf, as nothing in it has a place
    /// in the bytes of the message, but one that can be opened.
    pub fn encoded_message(&self) -> Option<OwnedMessage> {
        let nested = self.is("message", "rfc822") || self.is("message", "global");
        (self.kind() == Kind::Leaf && nested && self.encoding().is_encoded())
            .then(|| OwnedMessage::parse(self.decoded().0.into_owned()))
    }

    /// The body as text, appended to `out`: transfer encoding removed, charset converted. False if something was damaged or
    /// could not be converted (U+FFFD stands for it).
    pub fn text_into(&self, out: &mut String) -> bool {
        let charset = self.charset_of_text();
        if !self.encoding().is_encoded() {
            return crate::charset::decode(self.raw_body(), charset, out);
        }
        crate::scratch::lend(|scratch| {
            let whole = self.decode_into(scratch);
            crate::charset::decode(scratch, charset, out) && whole
        })
    }

    fn charset_of_text(&self) -> Charset {
        let params = self.params();
        match params.plain("charset") {
            Some(label) => Charset::of(label),
            None => params
                .value("charset")
                .map_or(Charset::Guess, |label| Charset::of(label.as_bytes())),
        }
    }

    /// As [`Part::text`], from the first octets of the body alone.
    pub fn text_up_to(&self, octets: usize) -> (String, bool) {
        let raw = self.raw_body();
        let mut bytes = Vec::new();
        let whole = crate::decode::body(
            raw.get(..octets.min(raw.len())).unwrap_or_default(),
            self.encoding(),
            &mut bytes,
        );
        let mut out = String::new();
        let charset = self.charset();
        let read =
            crate::charset::decode_into(&bytes, charset.as_deref().map(str::as_bytes), &mut out);
        (out, whole && read && raw.len() <= octets)
    }

    /// The body as text, and whether it was whole.
    pub fn text(&self) -> (String, bool) {
        let mut out = String::new();
        let whole = self.text_into(&mut out);
        (out, whole)
    }
}

fn lower(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Borrowed(text),
        _ => Cow::Owned(String::from_utf8_lossy(bytes).to_ascii_lowercase()),
    }
}

/// The parts directly in a part.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    part: Part<'a>,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let child = (self.next < self.end).then(|| self.part.with(self.next))?;
        self.next = child.record().end.max(self.next + 1);
        Some(child)
    }
}

/// The header fields of a part.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    raw: &'a [u8],
    records: std::slice::Iter<'a, crate::field::FieldRecord>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        self.records.next().map(|at| Field {
            message: self.raw,
            at: *at,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}
