//! The structure of a message without its bytes: small, owned, and storable. `BODY[1.2]` becomes a ranged read with it.

use std::ops::Range;

use crate::message::Part;
use crate::parse::tree::{NONE, PartRecord};
use crate::{Encoding, Kind, Message, Parser};

/// First octet of the stored form; changes whenever the form does.
const VERSION: u8 = 1;

/// What a stored index can't be read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The form is of another version: parse the message again.
    #[error("the index has version {0}, not 1")]
    Version(u8),
    /// The bytes end too early or contradict themselves.
    #[error("the stored index is damaged")]
    Damaged,
}

/// Where everything in a message is, with what it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Index {
    size: u32,
    parts: Vec<IndexPart>,
}

/// One part of an [`Index`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPart {
    parent: u32,
    end: u32,
    kind: Kind,
    encoding: Encoding,
    header: u32,
    body: u32,
    body_end: u32,
    lines: u32,
    media_type: String,
    subtype: String,
    params: Vec<(String, String)>,
    disposition: Option<(String, Vec<(String, String)>)>,
    content_id: Option<String>,
}

/// What of a part an IMAP section means (RFC 9051 §6.4.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// `BODY[1.2]`: the body of the part; without numbers the whole message.
    Whole,
    /// `BODY[HEADER]`, `BODY[1.HEADER]`: the header of the message, or of a nested one.
    Header,
    /// `BODY[TEXT]`, `BODY[1.TEXT]`: its body.
    Text,
    /// `BODY[1.MIME]`: the header of the part itself.
    Mime,
}

impl Index {
    /// Parses a message for its structure alone.
    ///
    /// ```
    /// let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n";
    /// let index = waxwing_mime::Index::parse(raw);
    /// let range = index.section(&[2], waxwing_mime::Section::Whole).unwrap();
    /// assert_eq!(&raw[range], b"two");
    /// assert_eq!(waxwing_mime::Index::from_bytes(&index.to_bytes()), Ok(index));
    /// ```
    pub fn parse(raw: &[u8]) -> Index {
        Parser::new().parse(raw).index()
    }

    /// Octets of the message.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// All parts in document order, the message itself first.
    pub fn parts(&self) -> &[IndexPart] {
        &self.parts
    }

    /// The part with this number in [`Index::parts`].
    pub fn part(&self, id: u32) -> Option<&IndexPart> {
        self.parts.get(id as usize)
    }

    /// The message itself.
    pub fn root(&self) -> &IndexPart {
        static EMPTY: IndexPart = IndexPart::EMPTY;
        self.parts.first().unwrap_or(&EMPTY)
    }

    /// Numbers of the parts directly in a part.
    pub fn children(&self, id: u32) -> impl Iterator<Item = u32> {
        let end = self.part(id).map_or(0, |part| part.end);
        let mut next = id.saturating_add(1);
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.part(child)?.end.max(child + 1);
            Some(child)
        })
    }

    /// The part that IMAP calls by these numbers (RFC 9051 §6.4.5.1): `[1, 2]` for `1.2`. No numbers: the message itself.
    pub fn find(&self, path: &[u32]) -> Option<u32> {
        let mut id = 0;
        for (level, number) in path.iter().enumerate() {
            let nested = level == 0 || self.part(id)?.kind == Kind::Message;
            // Within a nested message numbers count the parts of what it holds.
            let holder = if level > 0 && nested {
                self.children(id).next()?
            } else {
                id
            };
            id = match self.part(holder)?.kind {
                Kind::Multipart => self
                    .children(holder)
                    .nth((*number as usize).checked_sub(1)?)?,
                // A message that is no multipart is its own part 1.
                _ if *number == 1 && nested => holder,
                _ => return None,
            };
        }
        Some(id)
    }

    /// Where a section is in the message; None if there is no such section.
    pub fn section(&self, path: &[u32], section: Section) -> Option<Range<usize>> {
        let id = self.find(path)?;
        let part = self.part(id)?;
        if path.is_empty() {
            return match section {
                Section::Whole => Some(0..self.size()),
                Section::Header => Some(part.header_range()),
                Section::Text => Some(part.body_range()),
                Section::Mime => None,
            };
        }
        match section {
            Section::Whole => Some(part.body_range()),
            Section::Mime => Some(part.header_range()),
            // Only a nested message has a header and a text of its own.
            _ if part.kind != Kind::Message => None,
            Section::Header => Some(self.part(self.children(id).next()?)?.header_range()),
            Section::Text => Some(self.part(self.children(id).next()?)?.body_range()),
        }
    }

    /// The compact form for storage.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.size);
        put(&mut out, self.parts.len() as u32);
        let mut last = 0;
        for part in &self.parts {
            let kind = match part.kind {
                Kind::Multipart => 0,
                Kind::Message => 1,
                Kind::Leaf => 2,
            };
            out.push(kind << 4 | part.encoding as u8);
            put(&mut out, part.parent.wrapping_add(1));
            put(&mut out, part.end);
            put(&mut out, part.header.wrapping_sub(last));
            put(&mut out, part.body.wrapping_sub(part.header));
            put(&mut out, part.body_end.wrapping_sub(part.body));
            put(&mut out, part.lines);
            put_text(&mut out, &part.media_type);
            put_text(&mut out, &part.subtype);
            put_params(&mut out, &part.params);
            match &part.disposition {
                None => out.push(0),
                Some((token, params)) => {
                    out.push(1);
                    put_text(&mut out, token);
                    put_params(&mut out, params);
                }
            }
            match &part.content_id {
                None => out.push(0),
                Some(id) => {
                    out.push(1);
                    put_text(&mut out, id);
                }
            }
            last = part.header;
        }
        out
    }

    /// Where the message's own header is, the empty line included, from the stored form: without reading the rest.
    ///
    /// ```
    /// let index = waxwing_mime::Index::parse(b"Subject: x\r\n\r\nbody");
    /// assert_eq!(waxwing_mime::Index::header_in(&index.to_bytes()), Ok(0..14));
    /// ```
    pub fn header_in(bytes: &[u8]) -> Result<Range<usize>, IndexError> {
        let mut read = Read { rest: bytes };
        let version = read.byte()?;
        if version != VERSION {
            return Err(IndexError::Version(version));
        }
        let size = read.number()?;
        let _count = read.number()?;
        let (_kind, _parent, _end) = (read.byte()?, read.number()?, read.number()?);
        let header = read.number()?;
        let body = header
            .checked_add(read.number()?)
            .filter(|body| *body <= size);
        let body = body.ok_or(IndexError::Damaged)?;
        Ok(header as usize..body as usize)
    }

    /// Reads the stored form. Every relation between parts is checked, so that damaged bytes can't mislead a reader.
    pub fn from_bytes(bytes: &[u8]) -> Result<Index, IndexError> {
        let mut read = Read { rest: bytes };
        let version = read.byte()?;
        if version != VERSION {
            return Err(IndexError::Version(version));
        }
        let size = read.number()?;
        let count = read.number()?;
        if count == 0 || count as usize > bytes.len() {
            return Err(IndexError::Damaged);
        }
        let mut parts: Vec<IndexPart> = Vec::with_capacity(count as usize);
        let mut last = 0;
        for id in 0..count {
            let part = read.part(last)?;
            let parent = if id == 0 {
                part.parent == NONE
            } else {
                parts
                    .get(part.parent as usize)
                    .is_some_and(|p| p.end >= part.end)
            };
            let ranges =
                part.header <= part.body && part.body <= part.body_end && part.body_end <= size;
            if !parent || !ranges || part.end <= id || part.end > count {
                return Err(IndexError::Damaged);
            }
            last = part.header;
            parts.push(part);
        }
        if read.rest.is_empty() {
            Ok(Index { size, parts })
        } else {
            Err(IndexError::Damaged)
        }
    }
}

impl Message<'_> {
    /// The structure without the bytes.
    pub fn index(&self) -> Index {
        let parts = self.parts().map(|part| {
            let lines = if part.kind() == Kind::Multipart {
                0
            } else {
                part.lines()
            };
            IndexPart::of(part, lines as u32)
        });
        Index {
            size: self.raw().len().min(NONE as usize - 1) as u32,
            parts: parts.collect(),
        }
    }
}

impl Index {
    pub(crate) fn from_parts(size: u32, parts: Vec<IndexPart>) -> Index {
        Index { size, parts }
    }
}

impl IndexPart {
    pub(crate) fn of(part: Part, lines: u32) -> IndexPart {
        let record = part.record();
        let (media_type, subtype) = part.media_type();
        IndexPart {
            parent: record.parent,
            end: record.end,
            kind: record.kind,
            encoding: record.encoding,
            header: record.header,
            body: record.body,
            body_end: record.body_end,
            lines,
            media_type: media_type.into_owned(),
            subtype: subtype.into_owned(),
            params: part.params().all(),
            disposition: part
                .disposition()
                .map(|(token, params)| (token.into_owned(), params.all())),
            content_id: part.content_id(),
        }
    }

    /// Takes what is known only when the part has ended.
    pub(crate) fn update(&mut self, record: &PartRecord, lines: u32) {
        self.end = record.end;
        self.encoding = record.encoding;
        self.header = record.header;
        self.body = record.body;
        self.body_end = record.body_end;
        if self.kind != record.kind {
            // A multipart without parts became text.
            self.kind = record.kind;
            self.media_type = "text".into();
            self.subtype = "plain".into();
        }
        self.lines = if self.kind == Kind::Multipart {
            0
        } else {
            lines
        };
    }

    const EMPTY: IndexPart = IndexPart {
        parent: NONE,
        end: 1,
        kind: Kind::Leaf,
        encoding: Encoding::SevenBit,
        header: 0,
        body: 0,
        body_end: 0,
        lines: 0,
        media_type: String::new(),
        subtype: String::new(),
        params: Vec::new(),
        disposition: None,
        content_id: None,
    };

    /// The number of the part around it.
    pub fn parent(&self) -> Option<u32> {
        (self.parent != NONE).then_some(self.parent)
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its transfer encoding.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Where its header is, the empty line included.
    pub fn header_range(&self) -> Range<usize> {
        self.header as usize..self.body as usize
    }

    /// Where its body is.
    pub fn body_range(&self) -> Range<usize> {
        self.body as usize..self.body_end as usize
    }

    /// Octets of its body, encoded as it stands.
    pub fn size(&self) -> usize {
        self.body_range().len()
    }

    /// Lines of its body; 0 for a multipart.
    pub fn lines(&self) -> usize {
        self.lines as usize
    }

    /// Media type and subtype that count, in lower case.
    pub fn media_type(&self) -> (&str, &str) {
        (&self.media_type, &self.subtype)
    }

    /// Text by its media type, and a leaf.
    pub fn is_text(&self) -> bool {
        self.kind == Kind::Leaf && self.media_type == "text"
    }

    /// Parameters of the content type: names in lower case, values decoded.
    pub fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// A parameter of the content type; its name in lower case.
    pub fn param(&self, name: &str) -> Option<&str> {
        value(&self.params, name)
    }

    /// The disposition in lower case, and its parameters.
    pub fn disposition(&self) -> Option<(&str, &[(String, String)])> {
        self.disposition
            .as_ref()
            .map(|(token, params)| (token.as_str(), params.as_slice()))
    }

    /// The file name as the sender gave it.
    pub fn file_name(&self) -> Option<&str> {
        self.disposition()
            .and_then(|(_, params)| value(params, "filename"))
            .or_else(|| self.param("name"))
            .filter(|name| !name.is_empty())
    }

    /// The content id, without angle brackets.
    pub fn content_id(&self) -> Option<&str> {
        self.content_id.as_deref()
    }
}

fn value<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn put(out: &mut Vec<u8>, mut value: u32) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

fn put_params(out: &mut Vec<u8>, params: &[(String, String)]) {
    put(out, params.len() as u32);
    for (name, value) in params {
        put_text(out, name);
        put_text(out, value);
    }
}

/// Reads the stored form.
struct Read<'a> {
    rest: &'a [u8],
}

impl Read<'_> {
    fn byte(&mut self) -> Result<u8, IndexError> {
        let (byte, rest) = self.rest.split_first().ok_or(IndexError::Damaged)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u32, IndexError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return u32::try_from(value).map_err(|_| IndexError::Damaged);
            }
        }
        Err(IndexError::Damaged)
    }

    fn text(&mut self) -> Result<String, IndexError> {
        let len = self.number()? as usize;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(IndexError::Damaged)?;
        self.rest = rest;
        String::from_utf8(text.to_vec()).map_err(|_| IndexError::Damaged)
    }

    fn params(&mut self) -> Result<Vec<(String, String)>, IndexError> {
        let count = self.number()? as usize;
        if count > self.rest.len() {
            return Err(IndexError::Damaged);
        }
        (0..count)
            .map(|_| Ok((self.text()?, self.text()?)))
            .collect()
    }

    fn flag(&mut self) -> Result<bool, IndexError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(IndexError::Damaged),
        }
    }

    fn part(&mut self, last: u32) -> Result<IndexPart, IndexError> {
        let first = self.byte()?;
        let kind = match first >> 4 {
            0 => Kind::Multipart,
            1 => Kind::Message,
            2 => Kind::Leaf,
            _ => return Err(IndexError::Damaged),
        };
        let encoding = match first & 15 {
            0 => Encoding::SevenBit,
            1 => Encoding::EightBit,
            2 => Encoding::Binary,
            3 => Encoding::Base64,
            4 => Encoding::QuotedPrintable,
            5 => Encoding::Uuencode,
            6 => Encoding::Unknown,
            _ => return Err(IndexError::Damaged),
        };
        let parent = self.number()?.wrapping_sub(1);
        let end = self.number()?;
        let header = last
            .checked_add(self.number()?)
            .ok_or(IndexError::Damaged)?;
        let body = header
            .checked_add(self.number()?)
            .ok_or(IndexError::Damaged)?;
        let body_end = body
            .checked_add(self.number()?)
            .ok_or(IndexError::Damaged)?;
        Ok(IndexPart {
            parent,
            end,
            kind,
            encoding,
            header,
            body,
            body_end,
            lines: self.number()?,
            media_type: self.text()?,
            subtype: self.text()?,
            params: self.params()?,
            disposition: if self.flag()? {
                Some((self.text()?, self.params()?))
            } else {
                None
            },
            content_id: if self.flag()? {
                Some(self.text()?)
            } else {
                None
            },
        })
    }
}
