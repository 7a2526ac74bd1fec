//! What FETCH asks for (RFC 9051 §6.4.5).

use super::{AnnotationFetch, PartialRange};

/// One item of a FETCH (`fetch-att`). Macros and, for UID FETCH, the implied UID are already expanded by the parser.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FetchAttribute {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY` without a section: BODYSTRUCTURE without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `RFC822` (RFC 3501): `BODY[]`, sets `\Seen`, answered as `RFC822`.
    Rfc822,
    /// `RFC822.HEADER` (RFC 3501): `BODY.PEEK[HEADER]`, answered as `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT` (RFC 3501): `BODY[TEXT]`, sets `\Seen`, answered as `RFC822.TEXT`.
    Rfc822Text,
    /// `EMAILID` (RFC 8474 §5.3)
    EmailId,
    /// `THREADID` (RFC 8474 §5.3)
    ThreadId,
    /// `X-GM-MSGID` (X-GM-EXT-1)
    GmailMessageId,
    /// `X-GM-THRID`
    GmailThreadId,
    /// `X-GM-LABELS`
    GmailLabels,
    /// `BODY[section]<partial>` and `BODY.PEEK[…]`
    BodySection {
        /// Which bytes.
        section: Section,
        /// Which part of them.
        partial: Option<Partial>,
        /// `.PEEK`: leave `\Seen` alone.
        peek: bool,
    },
    /// `BINARY[part]<partial>` and `BINARY.PEEK[…]`: the part with its transfer encoding undone.
    Binary {
        /// Part numbers from the top; empty for the whole message.
        part: Vec<u32>,
        /// Which part of the bytes.
        partial: Option<Partial>,
        /// `.PEEK`: leave `\Seen` alone.
        peek: bool,
    },
    /// `BINARY.SIZE[part]`
    BinarySize {
        /// Part numbers from the top; empty for the whole message.
        part: Vec<u32>,
    },
    /// `MODSEQ` (RFC 7162 §3.1.4.2)
    ModSeq,
    /// `SAVEDATE` (RFC 8514)
    SaveDate,
    /// `ANNOTATION` (RFC 5257 §4.3)
    Annotation(AnnotationFetch),
    /// `PREVIEW` (RFC 8970)
    Preview {
        /// `(LAZY)`: NIL will do where it is not at hand.
        lazy: bool,
    },
}

/// What narrows the set of a FETCH (`fetch-modifiers`, RFC 4466 §2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchModifiers {
    /// `CHANGEDSINCE`: only messages with a higher mod-sequence (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// `VANISHED`: expunged messages are told too (RFC 7162 §3.2.6). Only of UID FETCH, and with CHANGEDSINCE.
    pub vanished: bool,
    /// `PARTIAL`: only these of the messages (RFC 9394 §3.3). Only of UID FETCH.
    pub partial: Option<PartialRange>,
}

impl FetchAttribute {
    /// True if answering it sets `\Seen` (RFC 9051 §6.4.5).
    pub fn sets_seen(&self) -> bool {
        match self {
            FetchAttribute::Rfc822 | FetchAttribute::Rfc822Text => true,
            FetchAttribute::BodySection { peek, .. } | FetchAttribute::Binary { peek, .. } => !peek,
            _ => false,
        }
    }
}

/// The part of a message between the brackets of `BODY[…]` (`section-spec`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Section {
    /// Part numbers from the top, each at least 1; empty for the message itself.
    pub part: Vec<u32>,
    /// Which text of that part; `None` is all of it (of a part: its body without the MIME header).
    pub text: Option<SectionText>,
}

/// `section-text`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SectionText {
    /// `HEADER`: the header and the empty line behind it. Below the top only of message/rfc822 parts.
    Header,
    /// `HEADER.FIELDS (…)`, or `HEADER.FIELDS.NOT (…)` with `not`.
    HeaderFields {
        /// Field names as written by the client; at least one. They compare without case.
        names: Vec<String>,
        /// All fields but these.
        not: bool,
    },
    /// `TEXT`: the body without the header.
    Text,
    /// `MIME`: the MIME header of the part. `part` is never empty with it.
    Mime,
}

/// `<offset.count>`: a substring in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partial {
    /// First octet, from 0.
    pub offset: u64,
    /// Most octets; at least 1.
    pub count: u64,
}

impl Partial {
    /// The range of a text of `len` octets that this means: empty beyond its end.
    pub fn range(self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }
}
