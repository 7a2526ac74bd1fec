//! TNEF (`winmail.dat`, application/ms-tnef): the attachments and the text in it, as Outlook sends them.
//!
//! The format: a signature, then attributes of a level, an id, a length, that many octets and a checksum; some of them hold lists
//! of MAPI properties. Only what a reader of mail needs is taken out.

use crate::charset;

const SIGNATURE: u32 = 0x223E_9F78;
const ATTACHMENT_RENDERING: u32 = 0x0006_9002;
const ATTACHMENT_TITLE: u32 = 0x0001_8010;
const ATTACHMENT_DATA: u32 = 0x0006_800F;
const ATTACHMENT_PROPERTIES: u32 = 0x0006_9005;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const MESSAGE_BODY: u32 = 0x0002_800C;
const SUBJECT: u32 = 0x0001_8004;
/// Attachments that are taken out of one file.
const MAX_ATTACHMENTS: usize = 1000;

/// What a TNEF file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tnef {
    /// The subject.
    pub subject: Option<String>,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML, in the charset it declares.
    pub html: Option<Vec<u8>>,
    /// The body as compressed RTF, as it stands.
    pub rtf: Option<Vec<u8>>,
    /// The files.
    pub attachments: Vec<TnefAttachment>,
    /// The file was cut off or contradicts itself; what could be read is there.
    pub damaged: bool,
}

/// A file in a TNEF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TnefAttachment {
    /// Its name as given: see [`crate::file_name::safe`].
    pub name: String,
    /// Its media type, if one is given.
    pub media_type: Option<String>,
    /// Its content id, if one is given.
    pub content_id: Option<String>,
    /// Its octets.
    pub data: Vec<u8>,
}

/// Reads a TNEF file; None if it is none.
pub fn parse(bytes: &[u8]) -> Option<Tnef> {
    let mut read = Read { rest: bytes };
    if read.u32()? != SIGNATURE {
        return None;
    }
    let mut found = Tnef::default();
    if read.take(2).is_none() {
        found.damaged = true;
        return Some(found);
    }
    while !read.rest.is_empty() {
        if attribute(&mut read, &mut found).is_none() {
            found.damaged = true;
            break;
        }
    }
    Some(found)
}

fn attribute(read: &mut Read, found: &mut Tnef) -> Option<()> {
    read.take(1)?;
    let id = read.u32()?;
    let length = read.u32()? as usize;
    let data = read.take(length)?;
    read.take(2)?;
    match id {
        ATTACHMENT_RENDERING if found.attachments.len() < MAX_ATTACHMENTS => {
            found.attachments.push(TnefAttachment::default())
        }
        ATTACHMENT_TITLE => {
            if let Some(attachment) = found.attachments.last_mut().filter(|a| a.name.is_empty()) {
                attachment.name = narrow(data);
            }
        }
        ATTACHMENT_DATA => {
            if let Some(attachment) = found.attachments.last_mut() {
                attachment.data = data.to_vec();
            }
        }
        ATTACHMENT_PROPERTIES => {
            if let Some(attachment) = found.attachments.last_mut() {
                found.damaged |= properties(data, |tag, value| {
                    attachment_property(attachment, tag, value)
                })
                .is_none();
            }
        }
        MESSAGE_PROPERTIES => {
            let (text, html, rtf) = (&mut found.text, &mut found.html, &mut found.rtf);
            let whole = properties(data, |tag, value| match tag {
                0x1000_001F => *text = Some(wide(value)),
                0x1000_001E => *text = Some(narrow(value)),
                0x1013_0102 => *html = Some(value.to_vec()),
                0x1009_0102 => *rtf = Some(value.to_vec()),
                _ => (),
            });
            found.damaged |= whole.is_none();
        }
        MESSAGE_BODY => found.text = Some(narrow(data)),
        SUBJECT => found.subject = Some(narrow(data)),
        _ => (),
    }
    Some(())
}

fn attachment_property(attachment: &mut TnefAttachment, tag: u32, value: &[u8]) {
    match tag {
        // PR_ATTACH_LONG_FILENAME goes before the short names.
        0x3707_001F => attachment.name = wide(value),
        0x3707_001E => attachment.name = narrow(value),
        0x370E_001F => attachment.media_type = Some(wide(value)),
        0x370E_001E => attachment.media_type = Some(narrow(value)),
        0x3712_001F => attachment.content_id = Some(wide(value)),
        0x3712_001E => attachment.content_id = Some(narrow(value)),
        0x3701_0102 if attachment.data.is_empty() => attachment.data = value.to_vec(),
        _ => (),
    }
}

/// A list of MAPI properties; calls `each` with tag (id and type) and every value.
fn properties(data: &[u8], mut each: impl FnMut(u32, &[u8])) -> Option<()> {
    let mut read = Read { rest: data };
    let count = read.u32()?;
    for _ in 0..count {
        let tag = read.u32()?;
        if tag >> 16 >= 0x8000 {
            named(&mut read)?;
        }
        // Tags are sent type first.
        let (kind, id) = (tag & 0xFFFF, tag >> 16);
        let many = kind & 0x1000 != 0;
        let kind = kind & 0x0FFF;
        let variable = matches!(kind, 0x0D | 0x1E | 0x1F | 0x102);
        let values = if many || variable { read.u32()? } else { 1 };
        for _ in 0..values {
            let value = match kind {
                0x02 | 0x03 | 0x04 | 0x0A | 0x0B => read.take(4)?,
                0x05 | 0x06 | 0x07 | 0x14 | 0x40 => read.take(8)?,
                0x48 => read.take(16)?,
                0x0D | 0x1E | 0x1F | 0x102 => {
                    let length = read.u32()? as usize;
                    let value = read.take(length)?;
                    read.take((4 - length % 4) % 4)?;
                    value
                }
                _ => return None,
            };
            each(id << 16 | kind, value);
        }
    }
    Some(())
}

/// The name of a property that has one instead of a number.
fn named(read: &mut Read) -> Option<()> {
    read.take(16)?;
    if read.u32()? == 0 {
        read.take(4)?;
    } else {
        let length = read.u32()? as usize;
        read.take(length)?;
        read.take((4 - length % 4) % 4)?;
    }
    Some(())
}

fn narrow(bytes: &[u8]) -> String {
    let mut out = String::new();
    charset::guess(
        bytes.split(|b| *b == 0).next().unwrap_or_default(),
        &mut out,
    );
    out
}

fn wide(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|c| c.unwrap_or('\u{FFFD}'))
        .collect()
}

struct Read<'a> {
    rest: &'a [u8],
}

impl<'a> Read<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
        let sum: u16 = data
            .iter()
            .fold(0, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        [
            &[level][..],
            &id.to_le_bytes(),
            &(data.len() as u32).to_le_bytes(),
            data,
            &sum.to_le_bytes(),
        ]
        .concat()
    }

    fn text_property(tag: u32, text: &str) -> Vec<u8> {
        let mut value: Vec<u8> = text
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect();
        let length = value.len() as u32;
        value.resize(value.len().next_multiple_of(4), 0);
        [
            &tag.to_le_bytes()[..],
            &1u32.to_le_bytes(),
            &length.to_le_bytes(),
            &value,
        ]
        .concat()
    }

    #[test]
    fn files_and_text() {
        let named = [
            &2u32.to_le_bytes()[..],
            &text_property(0x3707_001F, "Grüße.txt"),
            &0x3705_0003u32.to_le_bytes(),
            &1u32.to_le_bytes(),
        ]
        .concat();
        let file = [
            &SIGNATURE.to_le_bytes()[..],
            &[1, 0],
            &self::attribute(1, SUBJECT, b"Hello\0"),
            &self::attribute(1, MESSAGE_BODY, b"Text\0"),
            &self::attribute(2, ATTACHMENT_RENDERING, &[0; 14]),
            &self::attribute(2, ATTACHMENT_TITLE, b"GRUSSE~1.TXT\0"),
            &self::attribute(2, ATTACHMENT_DATA, b"content"),
            &self::attribute(2, ATTACHMENT_PROPERTIES, &named),
        ]
        .concat();
        let found = parse(&file).unwrap();
        assert_eq!(
            (
                found.subject.as_deref(),
                found.text.as_deref(),
                found.damaged
            ),
            (Some("Hello"), Some("Text"), false)
        );
        assert_eq!(
            found.attachments,
            [TnefAttachment {
                name: "Grüße.txt".into(),
                data: b"content".to_vec(),
                ..TnefAttachment::default()
            }]
        );
        for cut in 4..file.len() {
            let _ = parse(&file[..cut]).unwrap();
        }
        assert_eq!(parse(b"nothing"), None);
    }
}
