//! Charsets: bytes to UTF-8 text.
//!
//! Labels are those of WHATWG (`encoding_rs`) with the ones that mail has besides: UTF-7, HZ, ISO-2022-KR and variants of
//! ISO-2022-JP. A label that is missing, unknown or us-ascii is no reason to lose text: what is valid UTF-8 is read as that,
//! all else as windows-1252, and the conversion is reported as damaged.

use std::sync::OnceLock;

use encoding_rs::{ISO_2022_JP, UTF_8, WINDOWS_1252};

/// How text of a charset is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Charset {
    Utf8,
    /// One octet a character: the number is its place in [`SINGLE`].
    Single(u8),
    Whatwg(&'static encoding_rs::Encoding),
    Utf7,
    Hz,
    Iso2022Kr,
    /// us-ascii, none, or a label that nobody knows.
    Guess,
}

/// The labels met most, to be found without a search.
static COMMON: [(&str, Charset); 8] = [
    ("iso-8859-1", Charset::Single(0)),
    ("windows-1252", Charset::Single(0)),
    ("iso-2022-jp", Charset::Whatwg(ISO_2022_JP)),
    ("windows-1251", Charset::Single(1)),
    ("koi8-r", Charset::Single(2)),
    ("iso-8859-15", Charset::Single(3)),
    ("iso-8859-2", Charset::Single(4)),
    ("gb2312", Charset::Whatwg(encoding_rs::GBK)),
];

/// Charsets of one octet a character.
static SINGLE: [&encoding_rs::Encoding; 26] = [
    WINDOWS_1252,
    encoding_rs::WINDOWS_1251,
    encoding_rs::KOI8_R,
    encoding_rs::ISO_8859_15,
    encoding_rs::ISO_8859_2,
    encoding_rs::ISO_8859_3,
    encoding_rs::ISO_8859_4,
    encoding_rs::ISO_8859_5,
    encoding_rs::ISO_8859_6,
    encoding_rs::ISO_8859_7,
    encoding_rs::ISO_8859_8,
    encoding_rs::ISO_8859_10,
    encoding_rs::ISO_8859_13,
    encoding_rs::ISO_8859_14,
    encoding_rs::ISO_8859_16,
    encoding_rs::KOI8_U,
    encoding_rs::MACINTOSH,
    encoding_rs::WINDOWS_874,
    encoding_rs::WINDOWS_1250,
    encoding_rs::WINDOWS_1253,
    encoding_rs::WINDOWS_1254,
    encoding_rs::WINDOWS_1255,
    encoding_rs::WINDOWS_1256,
    encoding_rs::WINDOWS_1257,
    encoding_rs::WINDOWS_1258,
    encoding_rs::IBM866,
];

/// For each octet its UTF-8 form, the first octet lowest, and above it in the highest octet the form's length, with bit 7 set
/// where there is no character (U+FFFD stands for it).
type Table = [u32; 256];

const NO_CHARACTER: u32 = 1 << 31;

/// Tables of [`SINGLE`], made when first asked for.
static TABLES: [OnceLock<Box<Table>>; SINGLE.len()] = [const { OnceLock::new() }; SINGLE.len()];

fn table(charset: u8) -> Option<&'static Table> {
    let (slot, encoding) = (TABLES.get(charset as usize)?, SINGLE.get(charset as usize)?);
    Some(slot.get_or_init(|| {
        let mut table = Box::new([0; 256]);
        for (octet, entry) in (0..=255u8).zip(table.iter_mut()) {
            let octets = [octet];
            let (text, bad) = encoding.decode_without_bom_handling(&octets);
            let mut form = [0; 4];
            for (to, from) in form.iter_mut().zip(text.bytes()) {
                *to = from;
            }
            let bad = if bad { NO_CHARACTER } else { 0 };
            *entry = u32::from_le_bytes(form) | (text.len() as u32) << 24 | bad;
        }
        table
    }))
}

/// A charset of the library by how it is read best.
fn of_whatwg(found: &'static encoding_rs::Encoding) -> Charset {
    if found == UTF_8 {
        return Charset::Utf8;
    }
    match SINGLE
        .iter()
        .position(|single| found.is_single_byte() && *single == found)
    {
        Some(at) => Charset::Single(at as u8),
        None => Charset::Whatwg(found),
    }
}

impl Charset {
    /// The charset of a label as it stands in a message: any case, blanks, quotes and an RFC 2231 language after `*`.
    pub fn of(label: &[u8]) -> Charset {
        if label.eq_ignore_ascii_case(b"utf-8") {
            return Charset::Utf8;
        }
        let label = label
            .split(|b| *b == b'*')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let label = label.strip_prefix(b"\"").unwrap_or(label);
        let label = label.strip_suffix(b"\"").unwrap_or(label);
        let is = |name: &str| label.eq_ignore_ascii_case(name.as_bytes());
        if is("utf-8") || is("utf8") {
            return Charset::Utf8;
        }
        if is("us-ascii") || is("ascii") || label.is_empty() {
            return Charset::Guess;
        }
        if let Some((_, found)) = COMMON.iter().find(|(name, _)| is(name)) {
            return *found;
        }
        if let Some(found) = encoding_rs::Encoding::for_label_no_replacement(label) {
            return of_whatwg(found);
        }
        if is("utf-7") || is("unicode-1-1-utf-7") || is("x-utf-7") || is("utf7") {
            return Charset::Utf7;
        }
        if is("hz-gb-2312") {
            return Charset::Hz;
        }
        if is("iso-2022-kr") {
            return Charset::Iso2022Kr;
        }
        if label
            .get(..11)
            .is_some_and(|head| head.eq_ignore_ascii_case(b"iso-2022-jp"))
            || is("csiso2022jp2")
        {
            return Charset::Whatwg(ISO_2022_JP);
        }
        if let Some(rest) = label
            .get(..2)
            .filter(|head| head.eq_ignore_ascii_case(b"cp"))
            .and(label.get(2..))
        {
            let windows = [b"windows-", rest].concat();
            if let Some(found) = encoding_rs::Encoding::for_label_no_replacement(&windows) {
                return of_whatwg(found);
            }
        }
        Charset::Guess
    }

    /// The bytes of one encoded word can't be joined with those of the next: each starts in its own state.
    pub fn is_stateful(self) -> bool {
        match self {
            Charset::Whatwg(found) => found == ISO_2022_JP,
            Charset::Utf7 | Charset::Hz | Charset::Iso2022Kr => true,
            Charset::Utf8 | Charset::Single(_) | Charset::Guess => false,
        }
    }
}

/// True if the label names a charset that can be read.
pub fn is_known(label: &str) -> bool {
    Charset::of(label.as_bytes()) != Charset::Guess
        || label.eq_ignore_ascii_case("us-ascii")
        || label.eq_ignore_ascii_case("ascii")
}

/// Appends the text to `out`. False if something could not be read (U+FFFD stands for it) or had to be guessed.
pub fn decode_into(bytes: &[u8], label: Option<&[u8]>, out: &mut String) -> bool {
    decode(bytes, Charset::of(label.unwrap_or_default()), out)
}

pub(crate) fn decode(bytes: &[u8], charset: Charset, out: &mut String) -> bool {
    match charset {
        Charset::Utf8 => utf8(bytes, out),
        Charset::Single(at) => single(bytes, at, out),
        Charset::Whatwg(found) => whatwg(bytes, found, out),
        Charset::Utf7 => crate::utf7::decode_mail(bytes, out),
        Charset::Hz => hz(bytes, out),
        Charset::Iso2022Kr => iso_2022_kr(bytes, out),
        Charset::Guess => guess(bytes, out),
    }
}

/// UTF-8 if it is, else windows-1252. True if it was ASCII.
pub(crate) fn guess(bytes: &[u8], out: &mut String) -> bool {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => {
            out.push_str(text);
            text.is_ascii()
        }
        Err(_) => {
            whatwg(bytes, WINDOWS_1252, out);
            false
        }
    }
}

/// Every octet becomes up to three, written as four of which the next one covers the rest: no branch for each.
fn single(bytes: &[u8], charset: u8, out: &mut String) -> bool {
    const PIECE: usize = 512;
    let Some(table) = table(charset) else {
        return false;
    };
    let mut seen = 0;
    let mut buffer = [0u8; PIECE * 3 + 4];
    for piece in bytes.chunks(PIECE) {
        let mut filled = 0;
        let (blocks, rest) = piece.as_chunks::<16>();
        for block in blocks {
            if block.is_ascii()
                && let Some(to) = buffer.get_mut(filled..filled + 16)
            {
                to.copy_from_slice(block);
                filled += 16;
            } else {
                filled = convert(block, table, &mut buffer, filled, &mut seen);
            }
        }
        filled = convert(rest, table, &mut buffer, filled, &mut seen);
        match simdutf8::basic::from_utf8(buffer.get(..filled).unwrap_or_default()) {
            Ok(text) => out.push_str(text),
            Err(_) => return false,
        }
    }
    seen & NO_CHARACTER == 0
}

#[inline(always)]
fn convert(
    octets: &[u8],
    table: &Table,
    buffer: &mut [u8],
    mut filled: usize,
    seen: &mut u32,
) -> usize {
    for octet in octets {
        let entry = table[*octet as usize];
        if let Some(to) = buffer.get_mut(filled..filled + 4) {
            to.copy_from_slice(&entry.to_le_bytes());
        }
        filled += (entry >> 24 & 7) as usize;
        *seen |= entry;
    }
    filled
}

fn utf8(bytes: &[u8], out: &mut String) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => {
            out.push_str(text);
            true
        }
        Err(_) => {
            out.push_str(&String::from_utf8_lossy(bytes));
            false
        }
    }
}

fn whatwg(bytes: &[u8], encoding: &'static encoding_rs::Encoding, out: &mut String) -> bool {
    // A byte order mark settles the order of UTF-16 and is no text.
    let (encoding, bytes) = match bytes {
        [0xFE, 0xFF, rest @ ..] if is_utf16(encoding) => (encoding_rs::UTF_16BE, rest),
        [0xFF, 0xFE, rest @ ..] if is_utf16(encoding) => (encoding_rs::UTF_16LE, rest),
        _ => (encoding, bytes),
    };
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut rest = bytes;
    let mut whole = true;
    loop {
        let needed = decoder
            .max_utf8_buffer_length(rest.len())
            .unwrap_or(rest.len());
        out.reserve(needed.min(rest.len() * 3 + 16));
        let (result, read, bad) = decoder.decode_to_string(rest, out, true);
        whole &= !bad;
        rest = rest.get(read..).unwrap_or_default();
        if result == encoding_rs::CoderResult::InputEmpty {
            return whole;
        }
        out.reserve(64);
    }
}

fn is_utf16(encoding: &'static encoding_rs::Encoding) -> bool {
    encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE
}

/// RFC 1843: `~{` switches to GB 2312, `~}` back.
fn hz(bytes: &[u8], out: &mut String) -> bool {
    let mut plain = Vec::with_capacity(bytes.len());
    let (mut wide, mut at) = (false, 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'~', Some(b'{')) => (wide, at) = (true, at + 2),
            (b'~', Some(b'}')) => (wide, at) = (false, at + 2),
            (b'~', Some(b'~')) if !wide => {
                plain.push(b'~');
                at += 2;
            }
            (b'~', Some(b'\n')) => at += 2,
            _ => {
                let high = wide && byte > b' ' && byte < 127;
                plain.push(if high { byte | 0x80 } else { byte });
                at += 1;
            }
        }
    }
    whatwg(&plain, encoding_rs::GBK, out)
}

/// RFC 1557: SO switches to KS C 5601, SI back; `ESC $ ) C` announces it.
fn iso_2022_kr(bytes: &[u8], out: &mut String) -> bool {
    let mut plain = Vec::with_capacity(bytes.len());
    let (mut wide, mut rest) = (false, bytes);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            0x1B if after.starts_with(b"$)C") => rest = after.get(3..).unwrap_or_default(),
            0x0E => wide = true,
            0x0F => wide = false,
            b'\n' => {
                wide = false;
                plain.push(byte);
            }
            _ => plain.push(if wide && byte > b' ' && byte < 127 {
                byte | 0x80
            } else {
                byte
            }),
        }
    }
    whatwg(&plain, encoding_rs::EUC_KR, out)
}
