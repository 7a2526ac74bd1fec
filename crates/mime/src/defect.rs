//! What is wrong with a message, where, and in plain words.

use std::fmt;
use std::ops::Range;

/// One deviation from the standards, or a limit that was reached. The message is read as well as it can be all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What is wrong.
    pub kind: DefectKind,
    /// The octets concerned.
    pub range: Range<usize>,
}

/// Kinds of [`Defect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum DefectKind {
    MboxLine,
    ContinuationWithoutField,
    NotAField,
    BlankInFieldName,
    HeaderWithoutEnd,
    NoBlankLine,
    RawEightBit,
    NulInHeader,
    DuplicateField,
    BoundaryMissing,
    BoundaryEmpty,
    BoundaryTooLong,
    BoundaryRepeated,
    NoParts,
    NotClosed,
    TextAfterDelimiter,
    ContentTypeInvalid,
    EncodingInvalid,
    EncodingUnknown,
    EncodedMultipart,
    EncodedMessage,
    TooDeep,
    TooManyParts,
    TooManyFields,
    TooLarge,
    BareCr,
    BareLf,
    NulInBody,
    LineTooLong,
    EncodedWordInvalid,
    CharsetUnknown,
    BodyDamaged,
    ParameterDuplicate,
    AddressInvalid,
    DateInvalid,
}

impl DefectKind {
    /// True where two readers of the message may come to see different content: what a policy may refuse.
    pub fn is_ambiguous(self) -> bool {
        matches!(
            self,
            Self::NotAField
                | Self::HeaderWithoutEnd
                | Self::NoBlankLine
                | Self::DuplicateField
                | Self::BoundaryMissing
                | Self::BoundaryEmpty
                | Self::BoundaryTooLong
                | Self::BoundaryRepeated
                | Self::NoParts
                | Self::NotClosed
                | Self::TextAfterDelimiter
                | Self::ContentTypeInvalid
                | Self::EncodingInvalid
                | Self::EncodingUnknown
                | Self::EncodedMultipart
                | Self::EncodedMessage
                | Self::TooDeep
                | Self::TooManyParts
                | Self::TooManyFields
                | Self::BareCr
                | Self::ParameterDuplicate
                | Self::BodyDamaged
        )
    }

    /// What is wrong, in a sentence for people.
    pub fn explain(self) -> &'static str {
        match self {
            Self::MboxLine => "an mbox \"From \" line stands before the header",
            Self::ContinuationWithoutField => "the header begins with a continuation line",
            Self::NotAField => {
                "a line of the header is no field (it has no colon); it was joined to the field above"
            }
            Self::BlankInFieldName => "there is a blank between the field name and its colon",
            Self::HeaderWithoutEnd => "the header ends without an empty line",
            Self::NoBlankLine => "the body follows the header without an empty line between",
            Self::RawEightBit => {
                "the header has octets above 127 that are not UTF-8, and names no charset for them"
            }
            Self::NulInHeader => "the header has a NUL octet",
            Self::DuplicateField => {
                "a field that may stand once stands several times; the first one counts"
            }
            Self::BoundaryMissing => "a multipart names no boundary; its body is shown as one text",
            Self::BoundaryEmpty => "the boundary of a multipart is empty",
            Self::BoundaryTooLong => "the boundary of a multipart is longer than 70 characters",
            Self::BoundaryRepeated => "a multipart has the same boundary as one around it",
            Self::NoParts => "a multipart has no parts; its body is shown as one text",
            Self::NotClosed => "a multipart ends without its closing delimiter",
            Self::TextAfterDelimiter => "there is text after a closing delimiter on its line",
            Self::ContentTypeInvalid => "the content type can't be understood; text/plain is taken",
            Self::EncodingInvalid => {
                "the transfer encoding has something around its name; the name counts"
            }
            Self::EncodingUnknown => "the transfer encoding is unknown; the body is taken as it is",
            Self::EncodedMultipart => {
                "a multipart has a transfer encoding, which is not allowed; it is ignored"
            }
            Self::EncodedMessage => {
                "a nested message has a transfer encoding, which is not allowed"
            }
            Self::TooDeep => "parts are nested too deep; the rest is taken as one part",
            Self::TooManyParts => "there are too many parts; the rest is taken as one part",
            Self::TooManyFields => "there are too many header fields; the rest is not indexed",
            Self::TooLarge => "the message is larger than 4 GiB; the rest is not read",
            Self::BareCr => "there is a CR without LF",
            Self::BareLf => "lines end with LF instead of CRLF",
            Self::NulInBody => "the body has a NUL octet",
            Self::LineTooLong => "a line is longer than 998 octets",
            Self::EncodedWordInvalid => "an encoded word can't be decoded",
            Self::CharsetUnknown => "the charset is unknown",
            Self::BodyDamaged => {
                "the transfer encoding of the body is damaged; what could be read is shown"
            }
            Self::ParameterDuplicate => "a parameter is given twice; the first one counts",
            Self::AddressInvalid => "an address can't be understood",
            Self::DateInvalid => "the date can't be understood",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "octets {}-{}: {}",
            self.range.start,
            self.range.end,
            self.kind.explain()
        )
    }
}
