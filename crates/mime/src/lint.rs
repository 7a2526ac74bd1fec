//! All that is wrong with a message, values and bodies included.

use crate::defect::{Defect, DefectKind};
use crate::{DateTime, Kind, Message, Name, Part, charset, encoded_word};

/// Defects that are listed of each part.
const MAX_OF_PART: usize = 50;

/// What [`Message::defects`] has, and what shows only when values and bodies are read. It costs as much as reading all of it.
///
/// ```
/// let message = waxwing_mime::Message::parse(b"Date: tomorrow\r\n\r\nbare line feed\n");
/// let found: Vec<String> = waxwing_mime::lint(&message).iter().map(|defect| defect.to_string()).collect();
/// assert_eq!(found, ["octets 0-16: the date can't be understood", "octets 32-33: lines end with LF instead of CRLF"]);
/// ```
pub fn lint(message: &Message) -> Vec<Defect> {
    let mut found = message.defects().to_vec();
    for part in message.parts() {
        let mut own = Vec::new();
        fields(part, &mut own);
        if part.kind() == Kind::Leaf {
            body(part, &mut own);
        }
        own.truncate(MAX_OF_PART);
        found.append(&mut own);
    }
    lines(message.raw(), &mut found);
    found.sort_by_key(|defect| (defect.range.start, defect.range.end));
    found.dedup();
    found
}

fn fields(part: Part, found: &mut Vec<Defect>) {
    for field in part.fields() {
        let (value, range) = (field.value(), field.range());
        let mut add = |kind| {
            found.push(Defect {
                kind,
                range: range.clone(),
            })
        };
        if memchr::memchr(0, value).is_some() {
            add(DefectKind::NulInHeader);
        }
        if std::str::from_utf8(value).is_err() {
            add(DefectKind::RawEightBit);
        }
        match field.id() {
            Name::Date | Name::ResentDate if DateTime::parse(value).is_none() => {
                add(DefectKind::DateInvalid)
            }
            Name::From | Name::Sender | Name::ReplyTo | Name::To | Name::Cc | Name::Bcc
                if field
                    .addresses()
                    .mailboxes()
                    .any(|m| m.domain().is_none_or(str::is_empty) || m.local().is_empty()) =>
            {
                add(DefectKind::AddressInvalid);
            }
            Name::Subject if !encoded_word::text_into(value, &mut String::new()) => {
                add(DefectKind::EncodedWordInvalid)
            }
            _ => (),
        }
    }
}

fn body(part: Part, found: &mut Vec<Defect>) {
    let range = part.body_range();
    let header = part.header_range();
    if part.is_text()
        && let Some(name) = part.charset()
        && !charset::is_known(&name)
    {
        found.push(Defect {
            kind: DefectKind::CharsetUnknown,
            range: header,
        });
    }
    let (bytes, whole) = part.decoded();
    if !whole {
        found.push(Defect {
            kind: DefectKind::BodyDamaged,
            range: range.clone(),
        });
    }
    if part.is_text() && memchr::memchr(0, &bytes).is_some() {
        found.push(Defect {
            kind: DefectKind::NulInBody,
            range,
        });
    }
}

/// The first place of each thing that is wrong with line ends.
fn lines(raw: &[u8], found: &mut Vec<Defect>) {
    let mut at = 0;
    let (mut bare_cr, mut bare_lf, mut long) = (None, None, None);
    for line in raw.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let ended = text.len() < line.len();
        let clean = text.strip_suffix(b"\r").unwrap_or(text);
        let end = at + line.len();
        if ended && clean.len() == text.len() {
            bare_lf.get_or_insert(end - 1..end);
        }
        if let Some(cr) = memchr::memchr(b'\r', clean) {
            bare_cr.get_or_insert(at + cr..at + cr + 1);
        }
        // RFC 5322 §2.1.1.
        if clean.len() > 998 {
            long.get_or_insert(at..end);
        }
        at = end;
    }
    let kinds = [
        (DefectKind::BareCr, bare_cr),
        (DefectKind::BareLf, bare_lf),
        (DefectKind::LineTooLong, long),
    ];
    found.extend(kinds.into_iter().filter_map(|(kind, range)| {
        Some(Defect {
            kind,
            range: range?,
        })
    }));
}
