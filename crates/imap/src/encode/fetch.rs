//! Items of the FETCH response.

use wire::output::Output;

use super::{annotation, astring, date_time, flags, literal_head, number};
use crate::{Body, FetchAttribute, Fetched, GmailLabel, Partial, Section, SectionText};

/// The name of a section in a response.
///
/// ```text
/// "BODY" section ["<" number ">"]
/// ```
pub(crate) fn section_name(out: &mut Output, wanted: &Section, from: Option<u64>) {
    out.put(b"BODY");
    section(out, wanted);
    origin(out, from);
}

/// ```text
/// section = "[" [section-spec] "]"
/// ```
fn section(out: &mut Output, section: &Section) {
    out.put(b"[");
    part(out, &section.part);
    if let Some(text) = &section.text {
        if !section.part.is_empty() {
            out.put(b".");
        }
        section_text(out, text);
    }
    out.put(b"]");
}

fn section_text(out: &mut Output, text: &SectionText) {
    match text {
        SectionText::Header => out.put(b"HEADER"),
        SectionText::Text => out.put(b"TEXT"),
        SectionText::Mime => out.put(b"MIME"),
        SectionText::HeaderFields { names, not } => {
            out.put(if *not {
                b"HEADER.FIELDS.NOT ("
            } else {
                b"HEADER.FIELDS ("
            });
            super::separated(out, names, |out, name| astring(out, name.as_bytes(), false));
            out.put(b")");
        }
    }
}

/// ```text
/// section-part = nz-number *("." nz-number)
/// ```
pub(crate) fn part(out: &mut Output, part: &[u32]) {
    for (index, &value) in part.iter().enumerate() {
        if index > 0 {
            out.put(b".");
        }
        number(out, value);
    }
}

/// ```text
/// ["<" number ">"]
/// ```
pub(crate) fn origin(out: &mut Output, origin: Option<u64>) {
    if let Some(origin) = origin {
        out.put(b"<");
        number(out, origin);
        out.put(b">");
    }
}

/// ```text
/// nstring
/// ```
///
/// A literal, so that the octets go as they are; nothing looks at them. They hold no NUL unless the message came by
/// a literal8.
pub(crate) fn body(out: &mut Output, body: Body<'_>) {
    match body {
        Body::Nil => out.put(b"NIL"),
        Body::Bytes([]) => out.put(b"\"\""),
        Body::Owned(octets) if octets.is_empty() => out.put(b"\"\""),
        Body::Bytes(octets) => {
            literal_head(out, octets.len());
            out.put(octets);
        }
        Body::Owned(octets) => {
            literal_head(out, octets.len());
            out.put_owned(octets);
        }
    }
}

/// ```text
/// nstring / literal8
/// ```
///
/// A literal8 only where it is needed (RFC 9051 §7.5.2): NUL can stand nowhere else.
pub(crate) fn binary(out: &mut Output, octets: Body<'_>) {
    let has_nul = match &octets {
        Body::Nil => false,
        Body::Bytes(octets) => memchr::memchr(0, octets).is_some(),
        Body::Owned(octets) => memchr::memchr(0, octets).is_some(),
    };
    if has_nul {
        out.put(b"~");
    }
    body(out, octets);
}

/// One item with its name.
pub(crate) fn fetched(out: &mut Output, item: &Fetched) {
    let bytes = |octets: &Option<Vec<u8>>| octets.clone().map_or(Body::Nil, Body::Owned);
    match item {
        Fetched::Uid(uid) => {
            out.put(b"UID ");
            number(out, *uid);
        }
        Fetched::Flags(list) => {
            out.put(b"FLAGS ");
            flags(out, list);
        }
        Fetched::InternalDate(moment) => {
            out.put(b"INTERNALDATE ");
            date_time(out, *moment);
        }
        Fetched::Rfc822Size(size) => {
            out.put(b"RFC822.SIZE ");
            number(out, *size);
        }
        Fetched::ModSeq(modseq) => modseq_item(out, *modseq),
        Fetched::SaveDate(moment) => {
            out.put(b"SAVEDATE ");
            match moment {
                Some(moment) => date_time(out, *moment),
                None => out.put(b"NIL"),
            }
        }
        Fetched::Annotation(data) => annotation::item(out, data, true),
        Fetched::Preview(text) => {
            out.put(b"PREVIEW ");
            match text {
                Some(text) => super::string(out, text.as_bytes(), true),
                None => out.put(b"NIL"),
            }
        }
        Fetched::GmailMessageId(id) => {
            out.put(b"X-GM-MSGID ");
            number(out, *id);
        }
        Fetched::GmailThreadId(id) => {
            out.put(b"X-GM-THRID ");
            number(out, *id);
        }
        Fetched::GmailLabels(labels) => {
            out.put(b"X-GM-LABELS ");
            gmail_labels(out, labels, false);
        }
        Fetched::Structure { name, value } | Fetched::Other { name, value } => {
            out.put(name.as_bytes());
            out.put(b" ");
            out.put(value);
        }
        Fetched::Body {
            section,
            origin,
            body: octets,
        } => {
            section_name(out, section, *origin);
            out.put(b" ");
            body(out, bytes(octets));
        }
        Fetched::Binary {
            part: numbers,
            origin: from,
            body: octets,
        } => {
            out.put(b"BINARY[");
            part(out, numbers);
            out.put(b"]");
            origin(out, *from);
            out.put(b" ");
            binary(out, bytes(octets));
        }
        Fetched::BinarySize {
            part: numbers,
            size,
        } => {
            out.put(b"BINARY.SIZE[");
            part(out, numbers);
            out.put(b"] ");
            number(out, *size);
        }
    }
}

/// A label as an astring: system labels in quotes, since a backslash stands in no atom.
///
/// ```text
/// astring
/// ```
pub(crate) fn gmail_label(out: &mut Output, label: &GmailLabel, utf8: bool) {
    match label {
        GmailLabel::System(system) => {
            super::astring(out, format!("\\{}", system.name()).as_bytes(), utf8);
        }
        GmailLabel::Mailbox(name) => {
            super::astring(out, super::name_form(name.as_str(), utf8).as_bytes(), utf8);
        }
        GmailLabel::Other(text) => super::astring(out, text.as_bytes(), utf8),
    }
}

/// ```text
/// "(" [label *(SP label)] ")"
/// ```
pub(crate) fn gmail_labels<'l>(
    out: &mut Output,
    labels: impl IntoIterator<Item = &'l GmailLabel>,
    utf8: bool,
) {
    out.put(b"(");
    super::separated(out, labels, |out, label| gmail_label(out, label, utf8));
    out.put(b")");
}

/// ```text
/// fetch-mod-resp = "MODSEQ" SP "(" permsg-modsequence ")" ; RFC 7162 §7
/// ```
pub(crate) fn modseq_item(out: &mut Output, modseq: u64) {
    out.put(b"MODSEQ (");
    number(out, modseq);
    out.put(b")");
}

/// What a client asks for.
///
/// ```text
/// fetch-att
/// ```
pub(crate) fn attribute(out: &mut Output, attribute: &FetchAttribute) {
    let name: &[u8] = match attribute {
        FetchAttribute::Uid => b"UID",
        FetchAttribute::Flags => b"FLAGS",
        FetchAttribute::InternalDate => b"INTERNALDATE",
        FetchAttribute::Rfc822Size => b"RFC822.SIZE",
        FetchAttribute::Envelope => b"ENVELOPE",
        FetchAttribute::Body => b"BODY",
        FetchAttribute::BodyStructure => b"BODYSTRUCTURE",
        FetchAttribute::Rfc822 => b"RFC822",
        FetchAttribute::Rfc822Header => b"RFC822.HEADER",
        FetchAttribute::Rfc822Text => b"RFC822.TEXT",
        FetchAttribute::EmailId => b"EMAILID",
        FetchAttribute::ThreadId => b"THREADID",
        FetchAttribute::GmailMessageId => b"X-GM-MSGID",
        FetchAttribute::GmailThreadId => b"X-GM-THRID",
        FetchAttribute::GmailLabels => b"X-GM-LABELS",
        FetchAttribute::BodySection { peek: false, .. } => b"BODY",
        FetchAttribute::BodySection { peek: true, .. } => b"BODY.PEEK",
        FetchAttribute::Binary { peek: false, .. } => b"BINARY",
        FetchAttribute::Binary { peek: true, .. } => b"BINARY.PEEK",
        FetchAttribute::BinarySize { .. } => b"BINARY.SIZE",
        FetchAttribute::ModSeq => b"MODSEQ",
        FetchAttribute::SaveDate => b"SAVEDATE",
        FetchAttribute::Annotation(wanted) => return annotation::fetch(out, wanted),
        FetchAttribute::Preview { lazy: false } => b"PREVIEW",
        FetchAttribute::Preview { lazy: true } => b"PREVIEW (LAZY)",
    };
    out.put(name);
    match attribute {
        FetchAttribute::BodySection {
            section: wanted,
            partial,
            ..
        } => {
            section(out, wanted);
            self::partial(out, *partial);
        }
        FetchAttribute::Binary {
            part: numbers,
            partial,
            ..
        } => {
            section_binary(out, numbers);
            self::partial(out, *partial);
        }
        FetchAttribute::BinarySize { part: numbers } => section_binary(out, numbers),
        _ => {}
    }
}

fn section_binary(out: &mut Output, numbers: &[u32]) {
    out.put(b"[");
    part(out, numbers);
    out.put(b"]");
}

/// ```text
/// partial = "<" number64 "." nz-number64 ">"
/// ```
fn partial(out: &mut Output, partial: Option<Partial>) {
    if let Some(Partial { offset, count }) = partial {
        out.put(b"<");
        number(out, offset);
        out.put(b".");
        number(out, count);
        out.put(b">");
    }
}
