//! The arenas a parse fills: parts in document order and header fields, as offsets into the message.
//!
//! Invariants: a part's children come after it, `parent < child < end`; ranges lie within the message and
//! `header <= body <= body_end`; parts and fields are limited by the constants of [`super`].

/// No part, no field.
pub(crate) const NONE: u32 = u32::MAX;

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Other parts, between delimiters.
    Multipart,
    /// A message: one part, its root.
    Message,
    /// Data.
    Leaf,
}

/// The transfer encoding of a body (RFC 2045 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Encoding {
    #[default]
    SevenBit,
    EightBit,
    Binary,
    Base64,
    QuotedPrintable,
    Uuencode,
    /// A name that is not known: the body is taken as it is.
    Unknown,
}

impl Encoding {
    /// The encoding of that name, in any case.
    pub fn of(name: &[u8]) -> Encoding {
        const NAMES: [(&[u8], Encoding); 10] = [
            (b"7bit", Encoding::SevenBit),
            (b"8bit", Encoding::EightBit),
            (b"base64", Encoding::Base64),
            (b"quoted-printable", Encoding::QuotedPrintable),
            (b"binary", Encoding::Binary),
            (b"x-uuencode", Encoding::Uuencode),
            (b"uuencode", Encoding::Uuencode),
            (b"x-uue", Encoding::Uuencode),
            (b"7-bit", Encoding::SevenBit),
            (b"8-bit", Encoding::EightBit),
        ];
        NAMES
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map_or(Encoding::Unknown, |(_, found)| *found)
    }

    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::SevenBit => "7bit",
            Encoding::EightBit => "8bit",
            Encoding::Binary => "binary",
            Encoding::Base64 => "base64",
            Encoding::QuotedPrintable => "quoted-printable",
            Encoding::Uuencode => "x-uuencode",
            Encoding::Unknown => "unknown",
        }
    }

    /// The body has to be decoded.
    pub fn is_encoded(self) -> bool {
        matches!(
            self,
            Encoding::Base64 | Encoding::QuotedPrintable | Encoding::Uuencode
        )
    }
}

/// Which media type counts, where it is not the one written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// As written in the Content-Type field.
    Written,
    TextPlain,
    OctetStream,
    MessageRfc822,
    MultipartMixed,
}

/// A part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartRecord {
    pub parent: u32,
    /// After the last part inside this one.
    pub end: u32,
    pub kind: Kind,
    pub media: Media,
    pub encoding: Encoding,
    /// Text by its media type.
    pub text: bool,
    /// A multipart/digest.
    pub digest: bool,
    /// The delimiter line that opened the part, or its header's start if none did.
    pub delimiter: u32,
    pub header: u32,
    pub body: u32,
    pub body_end: u32,
    pub fields: u32,
    pub fields_end: u32,
    /// Index of its Content-Type field, or NONE.
    pub content_type: u32,
    pub disposition: u32,
    /// Type, subtype in the message, and where the parameters begin.
    pub type_at: u32,
    pub type_len: u16,
    pub subtype_len: u16,
    pub subtype_at: u32,
    pub params: u32,
}

impl PartRecord {
    pub const EMPTY: PartRecord = PartRecord {
        parent: NONE,
        end: NONE,
        kind: Kind::Leaf,
        media: Media::TextPlain,
        encoding: Encoding::SevenBit,
        text: true,
        digest: false,
        delimiter: 0,
        header: 0,
        body: 0,
        body_end: 0,
        fields: 0,
        fields_end: 0,
        content_type: NONE,
        disposition: NONE,
        type_at: 0,
        type_len: 0,
        subtype_len: 0,
        subtype_at: 0,
        params: 0,
    };
}
