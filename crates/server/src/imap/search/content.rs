//! The text of a message as SEARCH sees it: transfer encodings and encoded words undone (RFC 9051 §6.4.4).

use std::borrow::Cow;
use std::cell::OnceCell;

use mime::{Message, Part};

use super::text::Needle;

/// A message opened for searching: whole, or its header alone.
pub struct Content<'a> {
    message: Message<'a>,
    /// Whether the body is there, too.
    pub whole: bool,
    /// The decoded text parts, made once for all keys of a search. About as large as the message, which is bounded.
    texts: OnceCell<Vec<String>>,
}

impl<'a> Content<'a> {
    /// Opens the octets of a message, or with `whole` false those of its header.
    pub fn new(octets: &'a [u8], whole: bool) -> Content<'a> {
        Content {
            message: Message::parse(octets),
            whole,
            texts: OnceCell::new(),
        }
    }

    /// Whether a header field of this name contains the text; the empty text asks whether there is such a field.
    pub fn field(&self, name: &str, needle: &Needle) -> bool {
        self.message
            .root()
            .fields()
            .filter(|field| field.is(name))
            .any(|field| needle.is_in(&blank_tabs(field.text())))
    }

    /// Whether the text is in the body: in the text parts, and in the headers of messages within this one.
    pub fn body(&self, needle: &Needle) -> bool {
        if needle.is_empty() {
            return true;
        }
        self.texts().iter().any(|text| needle.is_in(text))
            || self
                .message
                .parts()
                .filter(is_inner_message)
                .any(|part| header_has(&part, needle))
    }

    /// Whether the text is anywhere: also in the header, and in the MIME headers of parts.
    pub fn text(&self, needle: &Needle) -> bool {
        needle.is_empty()
            || self.message.parts().any(|part| header_has(&part, needle))
            || self.texts().iter().any(|text| needle.is_in(text))
    }

    /// Shows every text that [`Content::text`] looks into.
    pub fn each_text(&self, each: &mut dyn FnMut(&str)) {
        for part in self.message.parts() {
            for field in part.fields() {
                match plain_line(&field) {
                    Some(line) => each(line),
                    None => each(&line(&field)),
                }
            }
        }
        self.texts().iter().for_each(|text| each(text));
    }

    /// About how many octets its texts have.
    pub fn size(&self) -> usize {
        let texts: usize = self.texts().iter().map(String::len).sum();
        let headers: usize = self
            .message
            .parts()
            .map(|part| part.header_range().len())
            .sum();
        texts.saturating_add(headers)
    }

    /// The message.
    pub fn message(&self) -> &Message<'a> {
        &self.message
    }

    /// How well the best of its texts matches a fuzzy needle; with `header`, the fields as well.
    pub fn score(&self, words: &super::fuzzy::Fuzzy, header: bool) -> u8 {
        let mut best = 0;
        let mut see = |text: &str| best = best.max(words.score(text).unwrap_or(0));
        if header {
            self.each_text(&mut see);
        } else {
            self.texts().iter().for_each(|text| see(text));
        }
        best
    }

    /// How well the best field of a name matches a fuzzy needle.
    pub fn field_score(&self, name: &str, words: &super::fuzzy::Fuzzy) -> u8 {
        let root = self.message.root();
        let named = root.fields().filter(|field| field.is(name));
        named
            .filter_map(|field| words.score(&field.text()))
            .max()
            .unwrap_or(0)
    }

    fn texts(&self) -> &[String] {
        self.texts.get_or_init(|| {
            self.message
                .parts()
                .filter(is_readable)
                .map(|part| {
                    let mut text = String::new();
                    part.text_into(&mut text);
                    text
                })
                .collect()
        })
    }
}

/// Text, and the reports of delivery and the like under `message`, which are ASCII or UTF-8 lines (RFC 3464, RFC 8098).
fn is_readable(part: &Part<'_>) -> bool {
    part.is_text() || (part.kind() == mime::Kind::Leaf && part.media_type().0 == "message")
}

fn is_inner_message(part: &Part<'_>) -> bool {
    part.parent()
        .is_some_and(|parent| parent.kind() == mime::Kind::Message)
}

/// Whether one of the fields, name included, contains the text.
fn header_has(part: &Part<'_>, needle: &Needle) -> bool {
    let needle = needle.of_headers();
    part.fields().any(|field| match plain_line(&field) {
        // Most fields: no copy for them.
        Some(line) => needle.is_in(line),
        None => needle.is_in(&line(&field)),
    })
}

/// A field as it is searched: `name: text`, on one line, a tab as a blank.
fn line(field: &mime::Field<'_>) -> String {
    blank_tabs(Cow::Owned(format!(
        "{}: {}",
        field.name_text(),
        field.text()
    )))
    .into_owned()
}

/// The field as it stands, if that is just what [`line`] makes of it.
fn plain_line<'a>(field: &mime::Field<'a>) -> Option<&'a str> {
    let raw = field.raw();
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let value = field.value().strip_prefix(b" ")?;
    let head = field.name().len().checked_add(2)?;
    let as_it_stands = raw.len() == head.checked_add(value.len())?
        && value.first()? > &b' '
        && value.last()? > &b' '
        && raw.iter().all(|octet| (b' '..127).contains(octet))
        && memchr::memmem::find(value, b"=?").is_none();
    if as_it_stands {
        std::str::from_utf8(raw).ok()
    } else {
        None
    }
}

fn blank_tabs(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\t') {
        return Cow::Owned(text.replace('\t', " "));
    }
    text
}

/// Header text with its encoded words decoded.
pub fn decode_words(text: &[u8]) -> Cow<'_, str> {
    mime::encoded_word::text(text)
}

/// The day of a date field, in days since 1970-01-01 and in its own zone.
pub fn day(field: &[u8]) -> Option<i64> {
    let date = mime::DateTime::parse(field)?;
    let local = date.timestamp().saturating_add(i64::from(date.offset) * 60);
    Some(local.div_euclid(86_400))
}

#[cfg(test)]
mod tests {
    use super::super::fold::Collation;
    use super::*;

    #[test]
    fn reports_of_delivery_are_searched() {
        let report = b"Subject: x\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nfailed\r\n--b\r\n\
            Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\n\
            Final-Recipient: rfc822; gone@y.test\r\n--b\r\n\
            Content-Type: application/octet-stream\r\n\r\nopaque\r\n--b--\r\n";
        let content = Content::new(report, true);
        for (text, found) in [("failed", true), ("GONE@y.test", true), ("opaque", false)] {
            let needle = Needle::new(text, Collation::default());
            assert_eq!(content.body(&needle), found, "{text}");
            assert_eq!(content.text(&needle), found, "{text}");
        }
    }
}
