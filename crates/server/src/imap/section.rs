//! Sections of messages: which octets FETCH BODY[…] and BINARY[…] mean, and their values (RFC 9051 §6.4.5.1).
//!
//! A message is read once per FETCH, and only as far as the sections need: [`extent`] says from where to where.

use std::ops::Range;

use ::imap::{FetchAttribute, Partial, Section, SectionText};
use mime::{Encoding, Index, Kind};

/// The value of one attribute of one message.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// There is no such section.
    Nil,
    /// These octets.
    Octets(Vec<u8>),
    /// PREVIEW.
    Preview(String),
    /// BINARY.SIZE.
    Size(u64),
    /// The transfer encoding is unknown (RFC 9051 §6.4.5: UNKNOWN-CTE).
    UnknownEncoding,
}

/// How much of a message's structure some attributes need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: they mean the whole message.
    Whole,
    /// Where its header is.
    Header,
    /// Everything.
    Parts,
}

/// Where things are in a message, as far as it is known.
pub enum Layout {
    /// Its size.
    Whole(usize),
    /// Its header, and its size.
    Header(Range<usize>, usize),
    /// All its parts.
    Parts(Index),
}

impl Layout {
    /// Reads a stored index as far as `depth` asks for; `None` if another version wrote it.
    pub fn read(stored: &[u8], depth: Depth, size: usize) -> Option<Layout> {
        Some(match depth {
            Depth::Whole => Layout::Whole(size),
            Depth::Header => Layout::Header(Index::header_in(stored).ok()?, size),
            Depth::Parts => Layout::Parts(Index::from_bytes(stored).ok()?),
        })
    }

    fn section(&self, path: &[u32], section: mime::Section) -> Option<Range<usize>> {
        match (self, section) {
            (Layout::Parts(index), _) => index.section(path, section),
            (Layout::Whole(size), mime::Section::Whole) if path.is_empty() => Some(0..*size),
            (Layout::Header(range, _), mime::Section::Header) if path.is_empty() => {
                Some(range.clone())
            }
            (Layout::Header(range, size), mime::Section::Text) if path.is_empty() => {
                Some(range.end..(*size).max(range.end))
            }
            _ => None,
        }
    }

    fn part(&self, path: &[u32]) -> Option<&mime::IndexPart> {
        match self {
            Layout::Parts(index) => index.part(index.find(path)?),
            _ => None,
        }
    }
}

/// How much structure the attributes that need octets need.
pub fn depth(attributes: &[FetchAttribute]) -> Depth {
    let mut needed = attributes
        .iter()
        .filter(|attribute| needs_octets(attribute))
        .map(|attribute| match meant(attribute) {
            Some((Kept::Range([], mime::Section::Whole), _)) => Depth::Whole,
            Some((Kept::Range([], mime::Section::Header) | Kept::Fields([], ..), _)) => {
                Depth::Header
            }
            _ => Depth::Parts,
        });
    let Some(first) = needed.next() else {
        return Depth::Whole;
    };
    if needed.all(|depth| depth == first) {
        first
    } else {
        Depth::Parts
    }
}

/// Part of a message's octets: those from `start` on.
pub struct Span {
    /// Where in the message they begin.
    pub start: usize,
    /// The octets.
    pub octets: Vec<u8>,
}

/// Whether an attribute needs octets of the message.
pub fn needs_octets(attribute: &FetchAttribute) -> bool {
    use FetchAttribute::*;
    matches!(
        attribute,
        Rfc822
            | Rfc822Header
            | Rfc822Text
            | BodySection { .. }
            | Binary { .. }
            | BinarySize { .. }
            | Preview { .. }
    )
}

/// The octets that all of the attributes need together.
pub fn extent(attributes: &[FetchAttribute], layout: &Layout) -> Range<usize> {
    let ranges = attributes
        .iter()
        .filter_map(|attribute| needed(attribute, layout))
        .filter(|range| !range.is_empty());
    ranges
        .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
        .unwrap_or(0..0)
}

/// The octets that a message counts for, whose octets of `range` are read: as many, unless the values together hold more than
/// twice that. A thousand overlapping pieces of a message of a MiB would take a GiB (attack A21).
pub fn held(attributes: &[FetchAttribute], layout: Option<&Layout>, range: &Range<usize>) -> usize {
    let wanted = || {
        attributes
            .iter()
            .filter(|attribute| needs_octets(attribute))
    };
    if wanted().nth(1).is_none() {
        return range.len();
    }
    let octets = |attribute: &FetchAttribute| match layout {
        Some(layout) => needed(attribute, layout).map_or(0, |range| range.len()),
        None => range.len(),
    };
    let values = wanted().map(octets).fold(0, usize::saturating_add);
    if values > range.len().saturating_mul(2) {
        values
    } else {
        range.len()
    }
}

fn needed(attribute: &FetchAttribute, layout: &Layout) -> Option<Range<usize>> {
    match attribute {
        FetchAttribute::Binary { part, .. } | FetchAttribute::BinarySize { part } => {
            layout.section(part, mime::Section::Whole)
        }
        FetchAttribute::Preview { .. } => Some(0..preview_end(layout)),
        _ => match meant(attribute)? {
            (Kept::Range(path, section), partial) => cut(layout.section(path, section)?, partial),
            (Kept::Fields(path, ..), _) => layout.section(path, mime::Section::Header),
        },
    }
}

/// Octets of a text that a preview is made of; behind 256 characters of it nothing counts (RFC 8970 §3.1), but white
/// space, markup and encoding do not count either.
const PREVIEW_OCTETS: usize = 16 * 1024;

/// How much of a message a preview needs: up to somewhere in its first text.
fn preview_end(layout: &Layout) -> usize {
    let whole = layout
        .section(&[], mime::Section::Whole)
        .map_or(0, |range| range.end);
    let text = match layout {
        Layout::Parts(index) => index
            .parts()
            .iter()
            .find(|part| part.kind() == Kind::Leaf && part.is_text())
            .map_or(0, |part| part.body_range().start),
        _ => 0,
    };
    text.saturating_add(PREVIEW_OCTETS).min(whole)
}

/// What an attribute keeps of a message.
enum Kept<'a> {
    /// A range as it stands.
    Range(&'a [u32], mime::Section),
    /// Some fields of a header.
    Fields(&'a [u32], &'a [String], bool),
}

/// The section and substring that an attribute other than BINARY means.
fn meant(attribute: &FetchAttribute) -> Option<(Kept<'_>, Option<Partial>)> {
    use mime::Section as S;
    Some(match attribute {
        FetchAttribute::Rfc822 => (Kept::Range(&[], S::Whole), None),
        FetchAttribute::Rfc822Header => (Kept::Range(&[], S::Header), None),
        FetchAttribute::Rfc822Text => (Kept::Range(&[], S::Text), None),
        FetchAttribute::BodySection {
            section: Section { part, text },
            partial,
            ..
        } => {
            let kept = match text {
                None => Kept::Range(part, S::Whole),
                Some(SectionText::Header) => Kept::Range(part, S::Header),
                Some(SectionText::Text) => Kept::Range(part, S::Text),
                Some(SectionText::Mime) => Kept::Range(part, S::Mime),
                Some(SectionText::HeaderFields { names, not }) => Kept::Fields(part, names, *not),
            };
            (kept, *partial)
        }
        _ => return None,
    })
}

/// A substring of a range.
fn cut(range: Range<usize>, partial: Option<Partial>) -> Option<Range<usize>> {
    let Some(partial) = partial else {
        return Some(range);
    };
    let within = partial.range(range.len());
    Some(range.start.checked_add(within.start)?..range.start.checked_add(within.end)?)
}

/// The values of the attributes that need octets, in their order.
pub fn values(attributes: &[FetchAttribute], layout: &Layout, span: Span) -> Vec<Value> {
    let wanted: Vec<&FetchAttribute> = attributes
        .iter()
        .filter(|attribute| needs_octets(attribute))
        .collect();
    if let [only] = wanted.as_slice()
        && let Some((Kept::Range(path, section), partial)) = meant(only)
        && layout
            .section(path, section)
            .and_then(|range| cut(range, partial))
            == Some(span.start..span.start.saturating_add(span.octets.len()))
    {
        // The usual case: what was read is what is wanted, and moves into the answer.
        return vec![Value::Octets(span.octets)];
    }
    wanted
        .into_iter()
        .map(|attribute| value(attribute, layout, &span))
        .collect()
}

fn value(attribute: &FetchAttribute, layout: &Layout, span: &Span) -> Value {
    match attribute {
        FetchAttribute::Binary { part, partial, .. } => match binary(part, layout, span) {
            Value::Octets(octets) => match partial {
                Some(partial) => Value::Octets(
                    octets
                        .get(partial.range(octets.len()))
                        .unwrap_or_default()
                        .to_vec(),
                ),
                None => Value::Octets(octets),
            },
            other => other,
        },
        FetchAttribute::BinarySize { part } => match binary(part, layout, span) {
            Value::Octets(octets) => Value::Size(octets.len() as u64),
            // RFC 9051 §9 has a number there, always.
            Value::Nil => Value::Size(0),
            other => other,
        },
        FetchAttribute::Preview { .. } => {
            let octets = span.slice(0..preview_end(layout));
            Value::Preview(mime::Message::parse(octets).preview())
        }
        _ => text(attribute, layout, span).unwrap_or(Value::Nil),
    }
}

fn text(attribute: &FetchAttribute, layout: &Layout, span: &Span) -> Option<Value> {
    match meant(attribute)? {
        (Kept::Range(path, section), partial) => {
            let range = cut(layout.section(path, section)?, partial)?;
            Some(Value::Octets(span.slice(range).to_vec()))
        }
        (Kept::Fields(path, names, not), partial) => {
            let header = span.slice(layout.section(path, mime::Section::Header)?);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut kept = match not {
                true => mime::header::select_not(header, &names),
                false => mime::header::select(header, &names),
            };
            // RFC 9051 §6.4.5.1: the empty line ends every selection, except where there is neither it nor a body.
            let body = layout.section(path, mime::Section::Text);
            if !ends_in_empty_line(header) && body.is_none_or(|body| body.is_empty()) {
                kept.truncate(kept.len().saturating_sub(2));
            }
            let range = partial.map_or(0..kept.len(), |partial| partial.range(kept.len()));
            if range == (0..kept.len()) {
                return Some(Value::Octets(kept));
            }
            Some(Value::Octets(kept.get(range).unwrap_or_default().to_vec()))
        }
    }
}

fn ends_in_empty_line(header: &[u8]) -> bool {
    let lines = header.strip_suffix(b"\n");
    let lines = lines.map(|lines| lines.strip_suffix(b"\r").unwrap_or(lines));
    lines.is_some_and(|lines| lines.is_empty() || lines.ends_with(b"\n"))
}

/// A part without its transfer encoding. Lines of text end in CRLF (RFC 9051 §7.5.2).
fn binary(path: &[u32], layout: &Layout, span: &Span) -> Value {
    let Some(range) = layout.section(path, mime::Section::Whole) else {
        return Value::Nil;
    };
    let octets = span.slice(range);
    let part = if path.is_empty() {
        None
    } else {
        layout.part(path)
    };
    // The whole message, and what holds parts of its own, has no encoding to undo.
    let Some(part) = part.filter(|part| part.kind() == Kind::Leaf) else {
        return Value::Octets(octets.to_vec());
    };
    if part.encoding() == Encoding::Unknown {
        return Value::UnknownEncoding;
    }
    let mut out = Vec::with_capacity(octets.len());
    if part.encoding().is_encoded() {
        mime::decode::body(octets, part.encoding(), &mut out);
    } else {
        out.extend_from_slice(octets);
    }
    if part.is_text() && has_bare_line_feed(&out) {
        out = with_crlf(&out);
    }
    Value::Octets(out)
}

fn has_bare_line_feed(octets: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', octets)
        .any(|at| at.checked_sub(1).and_then(|before| octets.get(before)) != Some(&b'\r'))
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

impl Span {
    /// The octets of a range of the message; empty where they were not read.
    fn slice(&self, range: Range<usize>) -> &[u8] {
        let start = range.start.checked_sub(self.start);
        let end = range.end.checked_sub(self.start);
        start
            .zip(end)
            .and_then(|(start, end)| self.octets.get(start..end))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYQpiCg==\r\n--b\r\n\
        Content-Transfer-Encoding: x-strange\r\n\r\n?\r\n--b--\r\n";

    fn body(part: &[u32], text: Option<SectionText>, partial: Option<Partial>) -> FetchAttribute {
        FetchAttribute::BodySection {
            section: Section {
                part: part.to_vec(),
                text,
            },
            partial,
            peek: true,
        }
    }

    fn fetched(attributes: &[FetchAttribute]) -> Vec<Value> {
        let stored = Index::parse(MESSAGE).to_bytes();
        let layout = Layout::read(&stored, depth(attributes), MESSAGE.len()).unwrap();
        let range = extent(attributes, &layout);
        let span = Span {
            start: range.start,
            octets: MESSAGE[range].to_vec(),
        };
        values(attributes, &layout, span)
    }

    fn octets(text: &str) -> Value {
        Value::Octets(text.as_bytes().to_vec())
    }

    #[test]
    fn selections_end_in_the_empty_line_that_a_message_has() {
        let fields = |raw: &[u8], not: bool| {
            let layout = Layout::Header(
                Index::parse(raw)
                    .section(&[], mime::Section::Header)
                    .unwrap(),
                raw.len(),
            );
            let names = vec!["SUBJECT".to_string()];
            let attributes = [body(
                &[],
                Some(SectionText::HeaderFields { names, not }),
                None,
            )];
            let range = extent(&attributes, &layout);
            let span = Span {
                start: range.start,
                octets: raw[range].to_vec(),
            };
            match values(&attributes, &layout, span).pop() {
                Some(Value::Octets(octets)) => String::from_utf8(octets).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        for (raw, with, without) in [
            ("Subject: x\r\nTo: y\r\n", "Subject: x\r\n", "To: y\r\n"),
            ("Subject: x", "Subject: x\r\n", ""),
            ("Subject: x\r\n\r\n", "Subject: x\r\n\r\n", "\r\n"),
            ("Subject: x\r\n\r\nbody", "Subject: x\r\n\r\n", "\r\n"),
            ("\r\n", "\r\n", "\r\n"),
        ] {
            assert_eq!(fields(raw.as_bytes(), false), with, "{raw:?}");
            assert_eq!(fields(raw.as_bytes(), true), without, "{raw:?}");
        }
    }

    #[test]
    fn only_what_is_needed_is_read() {
        let index = Layout::Parts(Index::parse(MESSAGE));
        let partial = Some(Partial {
            offset: 2,
            count: 3,
        });
        assert_eq!(extent(&[body(&[1], None, partial)], &index).len(), 3);
        assert_eq!(extent(&[body(&[7], None, None)], &index), 0..0);
        let header = extent(&[body(&[], Some(SectionText::Header), None)], &index);
        assert_eq!(
            extent(
                &[
                    body(&[], Some(SectionText::Header), None),
                    body(&[1], None, None)
                ],
                &index
            )
            .start,
            header.start
        );
    }

    #[test]
    fn no_more_structure_is_read_than_needed() {
        let fields = SectionText::HeaderFields {
            names: vec!["subject".to_owned()],
            not: false,
        };
        let (whole, header) = (body(&[], None, None), body(&[], Some(fields), None));
        let partial = Some(Partial {
            offset: 3,
            count: 9,
        });
        assert_eq!(depth(std::slice::from_ref(&whole)), Depth::Whole);
        assert_eq!(depth(&[header.clone(), FetchAttribute::Uid]), Depth::Header);
        assert_eq!(depth(&[whole.clone(), header.clone()]), Depth::Parts);
        assert_eq!(depth(&[body(&[1], None, None)]), Depth::Parts);
        assert_eq!(fetched(&[whole, body(&[], None, partial)]).len(), 2);
        assert_eq!(
            fetched(&[body(&[], None, partial)]),
            [octets("ject: x\r\n")]
        );
        assert_eq!(fetched(&[header]), [octets("Subject: x\r\n\r\n")]);
    }

    #[test]
    fn sections_have_their_values() {
        let fields = |not| {
            Some(SectionText::HeaderFields {
                names: vec!["SUBJECT".to_owned()],
                not,
            })
        };
        assert_eq!(
            fetched(&[body(&[], fields(false), None)]),
            [octets("Subject: x\r\n\r\n")]
        );
        assert_eq!(
            fetched(&[
                body(
                    &[],
                    fields(true),
                    Some(Partial {
                        offset: 0,
                        count: 7
                    })
                ),
                body(&[1], None, None)
            ]),
            [octets("Content"), octets("YQpiCg==")]
        );
        assert_eq!(
            fetched(&[body(&[1], Some(SectionText::Header), None)]),
            [Value::Nil]
        );
        assert_eq!(
            fetched(&[body(
                &[1],
                None,
                Some(Partial {
                    offset: 100,
                    count: 7
                })
            )]),
            [octets("")]
        );
    }

    #[test]
    fn binary_undoes_the_encoding_and_ends_lines() {
        let binary = |part: &[u32], partial| FetchAttribute::Binary {
            part: part.to_vec(),
            partial,
            peek: true,
        };
        let size = |part: &[u32]| FetchAttribute::BinarySize {
            part: part.to_vec(),
        };
        assert_eq!(
            fetched(&[
                binary(&[1], None),
                size(&[1]),
                binary(
                    &[1],
                    Some(Partial {
                        offset: 1,
                        count: 2
                    })
                )
            ]),
            [octets("a\r\nb\r\n"), Value::Size(6), octets("\r\n")]
        );
        assert_eq!(fetched(&[binary(&[2], None)]), [Value::UnknownEncoding]);
        assert_eq!(fetched(&[size(&[2])]), [Value::UnknownEncoding]);
        assert_eq!(
            fetched(&[binary(&[], None)]),
            [Value::Octets(MESSAGE.to_vec())]
        );
    }
}
