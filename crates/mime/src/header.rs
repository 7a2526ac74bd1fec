//! Headers by themselves: fields of a stretch of bytes, and the selections of IMAP's `BODY[HEADER.FIELDS (...)]`.

use std::ops::Range;

use crate::field::{Field, FieldRecord};
use crate::parse::Lines;
use crate::{MAX_FIELDS, Parser};

/// The header fields in this range of a message.
pub fn fields(raw: &[u8], range: Range<usize>) -> impl Iterator<Item = Field<'_>> {
    let end = range.end.min(raw.len());
    let bytes = raw.get(..end).unwrap_or_default();
    records(bytes, range.start)
        .into_iter()
        .map(move |at| Field { message: bytes, at })
}

fn records(bytes: &[u8], start: usize) -> Vec<FieldRecord> {
    let mut parser = Parser::new();
    parser.run_header(bytes, start);
    parser.tree.fields
}

/// RFC 9051 §6.4.5.1 `HEADER.FIELDS`: the fields of these names as they stand, in the order of the message, and an empty line.
///
/// ```
/// let header = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: folded\r\n here\r\n\r\n";
/// assert_eq!(waxwing_mime::header::select(header, &["subject", "from"]), b"From: a@b.example\r\nSubject: folded\r\n here\r\n\r\n");
/// assert_eq!(waxwing_mime::header::select_not(header, &["subject", "from"]), b"To: c@d.example\r\n\r\n");
/// ```
pub fn select(header: &[u8], names: &[&str]) -> Vec<u8> {
    selected(header, |name| is_one_of(name, names))
}

/// RFC 9051 §6.4.5.1 `HEADER.FIELDS.NOT`: all other fields.
pub fn select_not(header: &[u8], names: &[&str]) -> Vec<u8> {
    selected(header, |name| !is_one_of(name, names))
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    let same = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
    names.iter().any(same)
}

fn selected(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    selected_plainly(header, &wanted).unwrap_or_else(|| selected_carefully(header, &wanted))
}

/// Any header, by what the parser makes of it.
fn selected_carefully(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields(header, 0..header.len()).filter(|field| wanted(field.name())) {
        out.extend_from_slice(field.raw());
        if !out.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// A header in which there is nothing odd, as nearly all are: line by line, several times as fast. `None` for all others.
fn selected_plainly(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(header.len().saturating_add(2));
    let mut lines = Lines::new(header, 0);
    let (mut at, mut fields) = (0, 0);
    // Where the fields begin that are wanted and stand together.
    let mut from: Option<usize> = None;
    header.ends_with(b"\n").then_some(())?;
    while at < header.len() {
        let end = lines.end(at);
        let line = header.get(at..end)?;
        match line.first()? {
            b' ' | b'\t' => {
                let visible = line.get(1)?.is_ascii_graphic() || !line.trim_ascii().is_empty();
                (fields > 0 && visible).then_some(())?;
            }
            b'\r' | b'\n' => {
                // The empty line; behind it there is nothing.
                (matches!(line, b"\r\n" | b"\n") && end == header.len()).then_some(())?;
                break;
            }
            _ => {
                let name = plain_name(line)?;
                fields += 1;
                match (wanted(name), from) {
                    (true, None) => from = Some(at),
                    (false, Some(start)) => {
                        out.extend_from_slice(header.get(start..at)?);
                        from = None;
                    }
                    _ => {}
                }
            }
        }
        at = end;
    }
    (fields <= MAX_FIELDS).then_some(())?;
    if let Some(start) = from {
        out.extend_from_slice(header.get(start..at)?);
    }
    out.extend_from_slice(b"\r\n");
    Some(out)
}

/// The name a line begins with, if there is nothing to say about it.
fn plain_name(line: &[u8]) -> Option<&[u8]> {
    /// No name is longer that anybody asks for.
    const LONGEST: usize = 76;
    let colon = line.iter().take(LONGEST).position(|octet| *octet == b':')?;
    let name = line.get(..colon)?;
    let plain = name.iter().all(u8::is_ascii_graphic);
    (plain && !name.is_empty() && !name.starts_with(b"--")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every header of four such pieces is selected from as the parser sees it.
    #[test]
    fn plain_headers_are_selected_from_like_all_others() {
        let pieces: [&[u8]; 16] = [
            b"Subject: a\r\n",
            b"subject:\r\n",
            b" folded\r\n",
            b"\tfolded\n",
            b"\r\n",
            b"\n",
            b"--b: x\r\n",
            b"no field\r\n",
            b"To : b\r\n",
            b"X-Long-Name-Of-A-Field: y\n",
            b" \r\n",
            b"From me\r\n",
            b"\xff: x\r\n",
            b"A:b",
            b": nameless\r\n",
            b"\rT: x\r\n",
        ];
        let names = ["SUBJECT", "To", "x-long-name-of-a-field", "t"];
        let mut plain = 0;
        for number in 0..16usize.pow(4) {
            let places = [
                number % 16,
                number / 16 % 16,
                number / 256 % 16,
                number / 4096,
            ];
            let header: Vec<u8> = places.iter().flat_map(|at| pieces[*at].to_vec()).collect();
            for not in [false, true] {
                let wanted = |name: &[u8]| is_one_of(name, &names) != not;
                if let Some(fast) = selected_plainly(&header, wanted) {
                    plain += 1;
                    let text = String::from_utf8_lossy(&header);
                    assert_eq!(fast, selected_carefully(&header, wanted), "{text:?}");
                }
            }
        }
        assert!(plain > 1_000, "{plain}");
    }

    #[test]
    fn too_many_fields_are_none_of_the_selection() {
        let header = b"To: a\r\n".repeat(MAX_FIELDS + 3);
        assert_eq!(select(&header, &["to"]).len(), 7 * MAX_FIELDS + 2);
    }
}
