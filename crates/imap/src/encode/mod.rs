//! Responses to octets, written straight into the output queue. One file per response.
//!
//! What can stand in a response is decided by two things: the grammar, and whether the client enabled IMAP4rev2, which
//! allows UTF-8 in quoted strings and turns mailbox names from modified UTF-7 to UTF-8 (`utf8` in what follows).

pub(crate) mod acl;
pub(crate) mod annotation;
pub(crate) mod command;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod metadata;
pub(crate) mod quota;
pub(crate) mod reply;
pub(crate) mod search;
mod sharing;
pub(crate) mod status;
pub(crate) mod untagged;
pub(crate) mod urlauth;

use std::borrow::Cow;
use std::ops::RangeInclusive;

use wire::output::Output;

use crate::parse::{is_astring_char, is_atom_char};
use crate::{Date, DateTime, Flag, MailboxName, NumberSet};

/// Longest quoted string: longer ones go as literals, which need no look at every octet on the other side.
const QUOTED_LIMIT: usize = 1024;

/// Writes a number.
pub(crate) fn number(out: &mut Output, number: impl Into<u64>) {
    let mut number: u64 = number.into();
    let mut digits = [0_u8; 20];
    let mut length = 0;
    for slot in digits.iter_mut().rev() {
        // A remainder of ten is below ten.
        *slot = b'0' + (number % 10) as u8;
        length += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put(digits.get(digits.len() - length..).unwrap_or_default());
}

/// ```text
/// atom / string
/// ```
///
/// NIL is quoted, so that it stays a string.
pub(crate) fn astring(out: &mut Output, text: &[u8], utf8: bool) {
    if !text.is_empty()
        && text.iter().copied().all(is_astring_char)
        && !text.eq_ignore_ascii_case(b"NIL")
    {
        out.put(text);
    } else {
        string(out, text, utf8);
    }
}

/// ```text
/// string = quoted / literal
/// ```
pub(crate) fn string(out: &mut Output, text: &[u8], utf8: bool) {
    let quotable = |&octet: &u8| !matches!(octet, b'\r' | b'\n' | 0) && (octet < 0x80 || utf8);
    let quoted = text.len() <= QUOTED_LIMIT
        && text.iter().all(quotable)
        && (text.is_ascii() || std::str::from_utf8(text).is_ok());
    if !quoted {
        literal_head(out, text.len());
        out.put(text);
        return;
    }
    out.put(b"\"");
    let mut rest = text;
    while let Some(special) = memchr::memchr2(b'"', b'\\', rest) {
        let (plain, tail) = rest.split_at(special);
        out.put(plain);
        out.put(b"\\");
        out.put(tail.get(..1).unwrap_or_default());
        rest = tail.get(1..).unwrap_or_default();
    }
    out.put(rest);
    out.put(b"\"");
}

/// Announces a literal. The server's need no continuation (RFC 9051 §4.3).
pub(crate) fn literal_head(out: &mut Output, length: usize) {
    out.put(b"{");
    number(out, length as u64);
    out.put(b"}\r\n");
}

/// A mailbox name in the form the client understands.
pub(crate) fn mailbox(out: &mut Output, name: &MailboxName, utf8: bool) {
    astring(out, name_form(name.as_str(), utf8).as_bytes(), utf8);
}

/// A name, or the prefix of names, in UTF-8 or modified UTF-7.
pub(crate) fn name_form(name: &str, utf8: bool) -> Cow<'_, str> {
    // Printable ASCII without the shift character is the same in both forms, and nearly every name is.
    if utf8
        || name
            .bytes()
            .all(|octet| matches!(octet, b' '..=b'~') && octet != b'&')
    {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(wire::utf7::encode(name))
    }
}

/// ```text
/// DQUOTE QUOTED-CHAR DQUOTE / nil
/// ```
pub(crate) fn delimiter(out: &mut Output, delimiter: Option<char>, utf8: bool) {
    match delimiter {
        Some(delimiter) => string(out, delimiter.encode_utf8(&mut [0; 4]).as_bytes(), utf8),
        None => out.put(b"NIL"),
    }
}

/// A flag as written.
pub(crate) fn flag(out: &mut Output, flag: &Flag) {
    out.put(match flag {
        Flag::Answered => b"\\Answered",
        Flag::Flagged => b"\\Flagged",
        Flag::Deleted => b"\\Deleted",
        Flag::Seen => b"\\Seen",
        Flag::Draft => b"\\Draft",
        Flag::Recent => b"\\Recent",
        Flag::Keyword(keyword) => return atom(out, keyword),
        Flag::Extension(name) => {
            out.put(b"\\");
            return atom(out, name);
        }
    });
}

/// An atom; octets that no atom holds become `_`, so that a response stays in form whatever it was made of.
pub(crate) fn atom(out: &mut Output, atom: &str) {
    if !atom.is_empty() && atom.bytes().all(is_atom_char) {
        return out.put(atom.as_bytes());
    }
    let replaced: Vec<u8> = atom
        .bytes()
        .map(|octet| if is_atom_char(octet) { octet } else { b'_' })
        .collect();
    out.put(if replaced.is_empty() { b"_" } else { &replaced });
}

/// Flags in parentheses.
pub(crate) fn flags<'f>(out: &mut Output, flags: impl IntoIterator<Item = &'f Flag>) {
    out.put(b"(");
    separated(out, flags, flag);
    out.put(b")");
}

/// Writes items with single spaces between them.
pub(crate) fn separated<T>(
    out: &mut Output,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Output, T),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.put(b" ");
        }
        write(out, item);
    }
}

/// ```text
/// sequence-set = (seq-number / seq-range) ["," sequence-set]
/// ```
pub(crate) fn number_set(out: &mut Output, set: &NumberSet) {
    for (index, range) in set.ranges().iter().enumerate() {
        if index > 0 {
            out.put(b",");
        }
        number_range(out, range);
    }
}

fn number_range(out: &mut Output, range: &RangeInclusive<u32>) {
    number(out, *range.start());
    if range.start() != range.end() {
        out.put(b":");
        number(out, *range.end());
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The name of a month from 1 to 12.
pub(crate) fn month(month: u8) -> &'static str {
    MONTHS
        .get(usize::from(month).wrapping_sub(1))
        .copied()
        .unwrap_or("Jan")
}

/// ```text
/// date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
/// ```
///
/// A moment outside the years 0 to 9999 has no form; it becomes the epoch.
pub(crate) fn date_time(out: &mut Output, moment: DateTime) {
    let local = moment.unix.saturating_add(i64::from(moment.offset) * 60);
    let (local, date) = match Date::from_days(local.div_euclid(86_400)) {
        Some(date) => (local, date.parts()),
        None => (0, (1970, 1, 1)),
    };
    let (year, month_number, day) = date;
    let second = local.rem_euclid(86_400).unsigned_abs();
    let offset = u64::from(moment.offset.unsigned_abs());
    // Written for every message of a mailbox at times, so without the machinery of formatting.
    let mut text = *b"\" 0-Jan-0000 00:00:00 +0000\"";
    let mut place = |at: usize, digits: usize, mut value: u64| {
        for slot in text.iter_mut().skip(at).take(digits).rev() {
            *slot = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    place(2, 1, u64::from(day));
    if day >= 10 {
        place(1, 2, u64::from(day));
    }
    place(8, 4, u64::from(year));
    place(13, 2, second / 3600);
    place(16, 2, second / 60 % 60);
    place(19, 2, second % 60);
    place(23, 2, offset / 60 % 24);
    place(25, 2, offset % 60);
    for (slot, letter) in text.iter_mut().skip(4).zip(month(month_number).bytes()) {
        *slot = letter;
    }
    if moment.offset < 0
        && let Some(sign) = text.get_mut(22)
    {
        *sign = b'-';
    }
    out.put(&text);
}

#[cfg(test)]
mod tests;
