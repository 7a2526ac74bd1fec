//! The FETCH response, written item by item straight into the output.

use wire::output::Output;

use super::Session;
use crate::encode::{self, annotation, fetch};
use crate::{AnnotationData, Body, DateTime, Flag, GmailLabel, Partial, Section};

/// The name of a section as a response has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionName(Vec<u8>);

impl SectionName {
    /// `BODY[section]<origin>`
    pub fn new(section: &Section, partial: Option<Partial>) -> SectionName {
        let mut out = Output::new();
        fetch::section_name(&mut out, section, partial.map(|partial| partial.offset));
        out.put(b" ");
        let chunks = std::iter::from_fn(|| out.take());
        SectionName(chunks.flatten().collect())
    }
}

/// An untagged FETCH response in the making; [`Fetch::end`] closes it.
#[derive(Debug)]
#[must_use = "a FETCH response is complete only after end()"]
pub struct Fetch<'a> {
    out: &'a mut Output,
    first: bool,
    /// Names go in UTF-8.
    utf8: bool,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(session: &'a mut Session, seq: u32, uid: u32) -> Fetch<'a> {
        let uid_only = session.enabled.uid_only;
        let utf8 = session.utf8;
        let out = &mut session.output;
        out.put(b"* ");
        if uid_only {
            encode::number(out, uid);
            out.put(b" UIDFETCH (");
        } else {
            encode::number(out, seq);
            out.put(b" FETCH (");
        }
        Fetch {
            out,
            first: true,
            utf8,
        }
    }

    /// Begins an item.
    fn item(&mut self, name: &[u8]) -> &mut Output {
        if !self.first {
            self.out.put(b" ");
        }
        self.first = false;
        self.out.put(name);
        self.out
    }

    /// `UID`
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        encode::number(self.item(b"UID "), uid);
        self
    }

    /// `FLAGS`
    pub fn flags<'f>(&mut self, flags: impl IntoIterator<Item = &'f Flag>) -> &mut Self {
        encode::flags(self.item(b"FLAGS "), flags);
        self
    }

    /// `MODSEQ` (RFC 7162 §3.1.4.2)
    pub fn modseq(&mut self, modseq: u64) -> &mut Self {
        fetch::modseq_item(self.item(b""), modseq);
        self
    }

    /// `SAVEDATE` (RFC 8514 §4.1)
    pub fn save_date(&mut self, date: DateTime) -> &mut Self {
        encode::date_time(self.item(b"SAVEDATE "), date);
        self
    }

    /// `ANNOTATION` (RFC 5257 §4.4)
    pub fn annotation(&mut self, data: &AnnotationData) -> &mut Self {
        // Text goes as a literal where it is not ASCII, which holds UTF-8 for every client.
        annotation::item(self.item(b""), data, false);
        self
    }

    /// `PREVIEW` (RFC 8970 §3.2): the text is sent as a literal, which holds UTF-8 for every client.
    pub fn preview(&mut self, text: Option<&str>) -> &mut Self {
        let out = self.item(b"PREVIEW ");
        match text {
            Some(text) => encode::string(out, text.as_bytes(), false),
            None => out.put(b"NIL"),
        }
        self
    }

    /// `INTERNALDATE`
    pub fn internal_date(&mut self, date: DateTime) -> &mut Self {
        encode::date_time(self.item(b"INTERNALDATE "), date);
        self
    }

    /// `RFC822.SIZE`
    pub fn size(&mut self, octets: u64) -> &mut Self {
        encode::number(self.item(b"RFC822.SIZE "), octets);
        self
    }

    /// `ENVELOPE`, with its value ready to send.
    pub fn envelope(&mut self, value: &[u8]) -> &mut Self {
        self.item(b"ENVELOPE ").put(value);
        self
    }

    /// `BODY` without a section, with its value ready to send.
    pub fn body(&mut self, value: &[u8]) -> &mut Self {
        self.item(b"BODY ").put(value);
        self
    }

    /// `BODYSTRUCTURE`, with its value ready to send.
    pub fn body_structure(&mut self, value: &[u8]) -> &mut Self {
        self.item(b"BODYSTRUCTURE ").put(value);
        self
    }

    /// `RFC822`
    pub fn rfc822(&mut self, body: Body<'_>) -> &mut Self {
        fetch::body(self.item(b"RFC822 "), body);
        self
    }

    /// `RFC822.HEADER`
    pub fn rfc822_header(&mut self, body: Body<'_>) -> &mut Self {
        fetch::body(self.item(b"RFC822.HEADER "), body);
        self
    }

    /// `EMAILID` (RFC 8474 §5.3)
    pub fn email_id(&mut self, id: &str) -> &mut Self {
        let out = self.item(b"EMAILID (");
        out.put(id.as_bytes());
        out.put(b")");
        self
    }

    /// `THREADID` (RFC 8474 §5.3)
    pub fn thread_id(&mut self, id: &str) -> &mut Self {
        let out = self.item(b"THREADID (");
        out.put(id.as_bytes());
        out.put(b")");
        self
    }

    /// `X-GM-MSGID` (X-GM-EXT-1)
    pub fn gmail_message_id(&mut self, id: u64) -> &mut Self {
        encode::number(self.item(b"X-GM-MSGID "), id);
        self
    }

    /// `X-GM-THRID` (X-GM-EXT-1)
    pub fn gmail_thread_id(&mut self, id: u64) -> &mut Self {
        encode::number(self.item(b"X-GM-THRID "), id);
        self
    }

    /// `X-GM-LABELS` (X-GM-EXT-1)
    pub fn gmail_labels<'l>(
        &mut self,
        labels: impl IntoIterator<Item = &'l GmailLabel>,
    ) -> &mut Self {
        let utf8 = self.utf8;
        fetch::gmail_labels(self.item(b"X-GM-LABELS "), labels, utf8);
        self
    }

    /// `RFC822.TEXT`
    pub fn rfc822_text(&mut self, body: Body<'_>) -> &mut Self {
        fetch::body(self.item(b"RFC822.TEXT "), body);
        self
    }

    /// `BODY[section]<origin>`. The body is what `partial` cut out of the section already; its offset is told.
    pub fn section(
        &mut self,
        section: &Section,
        partial: Option<Partial>,
        body: Body<'_>,
    ) -> &mut Self {
        let out = self.item(b"");
        fetch::section_name(out, section, partial.map(|partial| partial.offset));
        out.put(b" ");
        fetch::body(out, body);
        self
    }

    /// The same under a name that was made once for many messages.
    pub fn section_named(&mut self, name: &SectionName, body: Body<'_>) -> &mut Self {
        let out = self.item(&name.0);
        fetch::body(out, body);
        self
    }

    /// `BINARY[part]<origin>`, cut already. Sent as a literal8 if it holds NUL.
    pub fn binary(&mut self, part: &[u32], partial: Option<Partial>, body: Body<'_>) -> &mut Self {
        let out = self.item(b"BINARY[");
        fetch::part(out, part);
        out.put(b"]");
        fetch::origin(out, partial.map(|partial| partial.offset));
        out.put(b" ");
        fetch::binary(out, body);
        self
    }

    /// `BINARY.SIZE[part]`
    pub fn binary_size(&mut self, part: &[u32], octets: u64) -> &mut Self {
        let out = self.item(b"BINARY.SIZE[");
        fetch::part(out, part);
        out.put(b"] ");
        encode::number(out, octets);
        self
    }

    /// Closes the response.
    pub fn end(self) {
        self.out.put(b")\r\n");
    }
}
