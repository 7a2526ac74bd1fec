//! One header field of a message: its raw bytes and where they are.

use std::borrow::Cow;
use std::ops::Range;

use crate::address::AddressList;
use crate::date::DateTime;
use crate::param::Params;
use crate::parse::cursor::{Cursor, is_token};
use crate::{Name, encoded_word, ids};

/// Where a field is; offsets into the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldRecord {
    pub start: u32,
    /// The octet after the colon.
    pub value: u32,
    /// After the last octet of the last line, its line break included.
    pub end: u32,
    pub name_len: u16,
    pub name: Name,
}

/// A header field as it stands in the message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) at: FieldRecord,
}

impl<'a> Field<'a> {
    /// The name, if the library knows it.
    pub fn id(&self) -> Name {
        self.at.name
    }

    /// The name as written.
    pub fn name(&self) -> &'a [u8] {
        let start = self.at.start as usize;
        slice(self.message, start..start + self.at.name_len as usize)
    }

    /// The name as text (a field name is ASCII; anything else is shown as U+FFFD).
    pub fn name_text(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.name())
    }

    /// True if this is the field of that name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// Everything from the first octet of the name to the end of the last line, line break included.
    pub fn raw(&self) -> &'a [u8] {
        slice(self.message, self.range())
    }

    /// Where [`Field::raw`] is in the message.
    pub fn range(&self) -> Range<usize> {
        self.at.start as usize..self.at.end as usize
    }

    /// The raw value: all after the colon, folded as it is, without the last line break.
    pub fn value(&self) -> &'a [u8] {
        slice(self.message, self.value_range())
    }

    /// Where [`Field::value`] is in the message.
    pub fn value_range(&self) -> Range<usize> {
        let start = self.at.value as usize;
        let value = slice(self.message, start..self.at.end as usize);
        start..start + without_line_break(value).len()
    }

    /// The value unfolded, encoded words decoded.
    pub fn text(&self) -> Cow<'a, str> {
        encoded_word::text(self.value())
    }

    /// As [`Field::text`], put together in `scratch` where it is not as it stands: nothing is allocated once that has grown.
    pub fn text_with<'s>(&self, scratch: &'s mut String) -> &'s str
    where
        'a: 's,
    {
        encoded_word::text_with(self.value(), scratch)
    }

    /// As [`Field::text`], appended to `out`. False if something in it could not be read.
    pub fn text_into(&self, out: &mut String) -> bool {
        encoded_word::text_into(self.value(), out)
    }

    /// The value as an address list.
    pub fn addresses(&self) -> AddressList {
        AddressList::parse(self.value())
    }

    /// The value as a date.
    pub fn date(&self) -> Option<DateTime> {
        DateTime::parse(self.value())
    }

    /// The value as a media type or disposition: what is before the parameters (`text/plain`, `attachment`: the second word
    /// empty), and the parameters.
    pub fn with_params(&self) -> (&'a [u8], &'a [u8], Params<'a>) {
        let range = self.value_range();
        let mut cursor = Cursor::new(self.message, range.clone());
        cursor.skip_cfws();
        let first = cursor.take_while(is_token);
        let mut ahead = cursor.clone();
        ahead.skip_cfws();
        let mut second = 0..0;
        if ahead.eat(b'/') {
            ahead.skip_cfws();
            second = ahead.take_while(is_token);
            cursor = ahead;
        }
        (
            cursor.slice(first),
            cursor.slice(second),
            Params::new(self.message, cursor.at..range.end),
        )
    }

    /// The message ids in the value, without angle brackets.
    pub fn ids(&self) -> Vec<String> {
        ids::all(self.value()).map(Cow::into_owned).collect()
    }
}

/// A slice that is empty instead of a panic; ranges come from the index and fit the message they were made from.
pub(crate) fn slice(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

/// Without one LF or CRLF at the end.
pub(crate) fn without_line_break(bytes: &[u8]) -> &[u8] {
    match bytes {
        [head @ .., b'\r', b'\n'] => head,
        [head @ .., b'\n'] => head,
        _ => bytes,
    }
}
