//! Parameters of Content-Type and Content-Disposition: RFC 2045 §5.1, RFC 2183, RFC 2231, and what is sent in their place.

use std::borrow::Cow;
use std::ops::Range;

use crate::charset::{self, Charset};
use crate::encoded_word;
use crate::parse::cursor::{Cursor, is_token, trim};

/// Parameters of one field that are read; real mail has up to ten.
pub const MAX_PARAMS: usize = 64;
/// Segments of one parameter (RFC 2231 §3) that are joined; real file names need up to about twenty.
pub const MAX_SEGMENTS: usize = 100;

/// A parameter as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawParam {
    pub name: Range<usize>,
    pub value: Range<usize>,
    /// The value stood in quotes.
    pub quoted: bool,
}

/// The next parameter; the cursor stands behind the value that the parameters belong to, or behind a parameter.
pub(crate) fn next(cursor: &mut Cursor) -> Option<RawParam> {
    loop {
        cursor.skip_cfws();
        match cursor.peek()? {
            b';' | b',' => cursor.skip(),
            _ => {
                if let Some(found) = parameter(cursor) {
                    return Some(found);
                }
            }
        }
    }
}

/// One parameter, or None if there was only junk, which is skipped (at least one octet).
fn parameter(cursor: &mut Cursor) -> Option<RawParam> {
    let name =
        cursor.take_while(|b| is_token(b) || matches!(b, b':' | b'@' | b'/' | b'?' | b'[' | b']'));
    if name.is_empty() {
        cursor.skip();
        return None;
    }
    cursor.skip_cfws();
    if !cursor.eat(b'=') {
        return None;
    }
    cursor.skip_cfws();
    if cursor.peek() == Some(b'"') {
        let value = cursor.quoted();
        // What follows up to the next `;` belongs to nothing, unless it is a parameter whose `;` was forgotten.
        if cursor
            .peek()
            .is_some_and(|b| !matches!(b, b';' | b' ' | b'\t' | b'\r' | b'\n' | b'('))
        {
            cursor.take_while(|b| b != b';');
        }
        return Some(RawParam {
            name,
            value,
            quoted: true,
        });
    }
    Some(RawParam {
        name,
        value: unquoted(cursor),
        quoted: false,
    })
}

/// A value without quotes. By the grammar it is one token; file names with blanks are sent so all the same, and reach to the
/// next `;`, unless what follows the blank is a comment or another parameter.
fn unquoted(cursor: &mut Cursor) -> Range<usize> {
    let start = cursor.at;
    let mut value =
        cursor.take_while(|b| b != b';' && b != b'(' && !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    loop {
        let mut ahead = cursor.clone();
        ahead.skip_cfws();
        match ahead.peek() {
            None | Some(b';') => {
                cursor.at = ahead.at;
                break;
            }
            _ => (),
        }
        if ahead.at == cursor.at && cursor.peek() != Some(b'(') {
            break;
        }
        let encoded = ahead.slice(ahead.at..ahead.end).starts_with(b"=?");
        if encoded {
            // Encoded words side by side.
            let length = encoded_word::length(ahead.slice(ahead.at..ahead.end));
            ahead.at = (ahead.at + length.unwrap_or(2)).min(ahead.end);
        }
        let word =
            ahead.take_while(|b| !matches!(b, b';' | b'=' | b' ' | b'\t' | b'\r' | b'\n' | b'('));
        if ahead.peek() == Some(b'=') || (word.is_empty() && !encoded) {
            break;
        }
        value = start..word.end;
        cursor.at = ahead.at;
    }
    trim(cursor.bytes, value)
}

/// The parameters of a Content-Type or Content-Disposition field.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    bytes: &'a [u8],
    range: Range<usize>,
}

/// A part of a value that was cut into segments.
struct Segment<'a> {
    number: usize,
    encoded: bool,
    quoted: bool,
    value: &'a [u8],
}

impl<'a> Params<'a> {
    pub(crate) fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Params { bytes, range }
    }

    fn raw(&self) -> impl Iterator<Item = RawParam> {
        let mut cursor = Cursor::new(self.bytes, self.range.clone());
        std::iter::from_fn(move || next(&mut cursor)).take(MAX_PARAMS + MAX_SEGMENTS)
    }

    fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The decoded value of a parameter; its name in any case. RFC 2231 forms go before the plain one, as senders that know
    /// them add the plain one for those who do not.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut plain = None;
        let mut segments: Vec<Segment> = Vec::new();
        for param in self.raw() {
            let (base, number, encoded) = split_name(self.slice(param.name.clone()));
            if !base.eq_ignore_ascii_case(name.as_bytes()) {
                continue;
            }
            let value = self.slice(param.value.clone());
            match number {
                None if !encoded => {
                    plain.get_or_insert((value, param.quoted));
                }
                _ if segments.len() < MAX_SEGMENTS => {
                    segments.push(Segment {
                        number: number.unwrap_or(0),
                        encoded,
                        quoted: param.quoted,
                        value,
                    });
                }
                _ => (),
            }
        }
        if let Some(found) = join(segments) {
            return Some(found);
        }
        plain.map(|(value, quoted)| plain_value(value, quoted).into_owned())
    }

    /// The value of a parameter as it stands, if it is in the plain form alone.
    pub(crate) fn plain(&self, name: &str) -> Option<&'a [u8]> {
        let mut found = None;
        for param in self.raw() {
            let own = self.slice(param.name);
            if own.eq_ignore_ascii_case(name.as_bytes()) {
                found = found.or(Some(self.slice(param.value)));
            } else if own
                .get(..name.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
                && own.get(name.len()) == Some(&b'*')
            {
                return None;
            }
        }
        found
    }

    /// Calls `each` with the name as written and the decoded value of every parameter, using `scratch` where a value has to
    /// be put together: nothing is allocated for plain ones. One in segments is reported once, at its first segment.
    pub fn each(&self, scratch: &mut String, mut each: impl FnMut(&str, &str)) {
        for param in self.raw() {
            let name = self.slice(param.name);
            let Ok(text) = std::str::from_utf8(name) else {
                continue;
            };
            if !name.contains(&b'*') {
                let value = self.slice(param.value);
                match plain_value(value, param.quoted) {
                    Cow::Borrowed(value) => each(text, value),
                    Cow::Owned(value) => each(text, &value),
                }
                continue;
            }
            let (base, number, _) = split_name(name);
            let Ok(base) = std::str::from_utf8(base) else {
                continue;
            };
            if number.unwrap_or(0) == 0
                && let Some(value) = self.value(base)
            {
                scratch.clear();
                scratch.push_str(&value);
                each(base, scratch);
            }
        }
    }

    /// All parameters in order, decoded, each once; names in lower case.
    pub fn all(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for param in self.raw() {
            let (base, _, _) = split_name(self.slice(param.name));
            let name = String::from_utf8_lossy(base).to_ascii_lowercase();
            if found.len() >= MAX_PARAMS || found.iter().any(|(known, _)| *known == name) {
                continue;
            }
            if let Some(value) = self.value(&name) {
                found.push((name, value));
            }
        }
        found
    }
}

/// The parameters at the cursor as IMAP gives them: as they are written, but continuations are one parameter (RFC 2231 §6),
/// `name` if no segment is encoded, else `name*`. Segments behind a gap, and those of a name that is there as well, stay as
/// they are.
pub(crate) fn joined(cursor: &mut Cursor) -> Vec<(Vec<u8>, Vec<u8>)> {
    let raw: Vec<RawParam> = std::iter::from_fn(|| next(cursor))
        .take(MAX_PARAMS + MAX_SEGMENTS)
        .collect();
    let name = |at: usize| cursor.slice(raw.get(at).map_or(0..0, |param| param.name.clone()));
    let value = |at: usize| {
        let mut out = Vec::new();
        if let Some(param) = raw.get(at) {
            raw_value(cursor.slice(param.value.clone()), param.quoted, &mut out);
        }
        out
    };
    let mut spent = vec![false; raw.len()];
    let mut found = Vec::new();
    for at in 0..raw.len() {
        if found.len() >= MAX_PARAMS {
            break;
        }
        if spent.get(at) == Some(&true) {
            continue;
        }
        let (base, number, _) = split_name(name(at));
        let segments = match number {
            Some(_) => sequence(raw.len(), &name, base),
            None => Vec::new(),
        };
        let encoded = segments.iter().any(|segment| segment.encoded);
        let mut whole = base.to_vec();
        whole.extend_from_slice(if encoded { b"*" } else { b"" });
        let there_as_well = (0..raw.len()).any(|at| name(at).eq_ignore_ascii_case(&whole));
        if number.is_none_or(|number| number >= segments.len()) || there_as_well {
            found.push((name(at).to_vec(), value(at)));
            continue;
        }
        for (at, spent) in spent.iter_mut().enumerate() {
            // Of two segments with one number the first counts; the other is gone, too.
            let (of, number, _) = split_name(name(at));
            *spent |= of.eq_ignore_ascii_case(base)
                && number.is_some_and(|number| number < segments.len());
        }
        let mut text = Vec::new();
        if encoded && segments.first().is_some_and(|first| !first.encoded) {
            // RFC 2231 §4: the charset and the language may be left empty, the quotes may not.
            text.extend_from_slice(b"''");
        }
        for segment in segments {
            match encoded && !segment.encoded {
                true => percent_encoded(&value(segment.at), &mut text),
                false => text.extend_from_slice(&value(segment.at)),
            }
        }
        found.push((whole, text));
    }
    found
}

/// Where a segment stands among the parameters.
struct Place {
    at: usize,
    encoded: bool,
}

/// The segments of a name from number 0 to the first gap.
fn sequence<'a>(params: usize, name: &impl Fn(usize) -> &'a [u8], base: &[u8]) -> Vec<Place> {
    let mut segments: Vec<(usize, Place)> = (0..params)
        .filter_map(|at| match split_name(name(at)) {
            (of, Some(number), encoded) if of.eq_ignore_ascii_case(base) => {
                Some((number, Place { at, encoded }))
            }
            _ => None,
        })
        .collect();
    segments.sort_by_key(|(number, _)| *number);
    segments.dedup_by_key(|(number, _)| *number);
    segments
        .into_iter()
        .enumerate()
        .take_while(|(expected, (number, _))| expected == number)
        .map(|(_, (_, place))| place)
        .collect()
}

/// RFC 2231 §7 `ext-octet` for all that is no `attribute-char`.
fn percent_encoded(value: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value {
        if is_token(*byte) && !matches!(byte, b'*' | b'\'' | b'%') {
            out.push(*byte);
        } else {
            out.push(b'%');
            for nibble in [byte >> 4, byte & 15] {
                out.extend(HEX.get(usize::from(nibble)));
            }
        }
    }
}

/// RFC 2231 §3 and §4: `name`, `name*`, `name*0`, `name*0*`: the name, the segment's number, and whether it is encoded.
fn split_name(name: &[u8]) -> (&[u8], Option<usize>, bool) {
    let Some(star) = memchr::memchr(b'*', name) else {
        return (name, None, false);
    };
    let base = name.get(..star).unwrap_or_default();
    let rest = name.get(star + 1..).unwrap_or_default();
    let (digits, encoded) = match rest {
        [] => return (base, None, true),
        [digits @ .., b'*'] => (digits, true),
        digits => (digits, false),
    };
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse::<usize>().ok());
    match number {
        Some(number) => (base, Some(number), encoded),
        None => (name, None, false),
    }
}

/// Joins segments as far as their numbers have no gap; None if the first is missing.
fn join(mut segments: Vec<Segment>) -> Option<String> {
    segments.sort_by_key(|segment| segment.number);
    let first = segments.first().filter(|segment| segment.number == 0)?;
    let mut charset = Charset::Guess;
    let mut bytes = Vec::new();
    let mut expected = 0;
    let mut start = first.value;
    if first.encoded {
        let mut pieces = first.value.splitn(3, |b| *b == b'\'');
        if let (Some(label), Some(_), Some(rest)) = (pieces.next(), pieces.next(), pieces.next()) {
            charset = Charset::of(label);
            start = rest;
        }
    }
    for segment in &segments {
        if segment.number < expected {
            continue;
        }
        if segment.number > expected {
            break;
        }
        let value = if expected == 0 { start } else { segment.value };
        if segment.encoded {
            percent(value, segment.quoted, &mut bytes);
        } else {
            raw_value(value, segment.quoted, &mut bytes);
        }
        expected += 1;
    }
    let mut out = String::new();
    charset::decode(&bytes, charset, &mut out);
    Some(out)
}

/// `%41` is `A`; a `%` that begins no such sequence is itself.
fn percent(mut value: &[u8], quoted: bool, out: &mut Vec<u8>) {
    while let Some((&byte, rest)) = value.split_first() {
        value = rest;
        if let (b'%', [high, low, after @ ..]) = (byte, rest)
            && let (Some(high), Some(low)) = (
                char::from(*high).to_digit(16),
                char::from(*low).to_digit(16),
            )
        {
            out.push((high * 16 + low) as u8);
            value = after;
        } else if let (true, b'\\', [next @ (b'"' | b'\\'), after @ ..]) = (quoted, byte, rest) {
            out.push(*next);
            value = after;
        } else if !matches!(byte, b'\r' | b'\n') {
            out.push(byte);
        }
    }
}

/// A quoted string's content. Only `\"` and `\\` are escapes: elsewhere a backslash is one of a Windows path, which is sent
/// far more often than an escaped letter.
pub(crate) fn unescape(value: &[u8], out: &mut Vec<u8>) {
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                out.push(next);
                bytes.next();
            }
            (b'\r' | b'\n', _) => (),
            _ => out.push(byte),
        }
    }
}

/// A value without its quoting, not decoded.
pub(crate) fn raw_value(value: &[u8], quoted: bool, out: &mut Vec<u8>) {
    if quoted {
        unescape(value, out)
    } else {
        out.extend(value.iter().filter(|b| !matches!(b, b'\r' | b'\n')))
    }
}

/// A value that is not in a form of RFC 2231. Encoded words have no place in it, and are there all the same.
fn plain_value(value: &[u8], quoted: bool) -> Cow<'_, str> {
    if !(quoted && value.contains(&b'\\'))
        && let Some(text) = encoded_word::simple(value)
    {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(value.len());
    if quoted {
        unescape(value, &mut bytes)
    } else {
        bytes.extend_from_slice(value)
    }
    Cow::Owned(encoded_word::text(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String)> {
        let mut cursor = Cursor::new(text.as_bytes(), 0..text.len());
        let mut found = Vec::new();
        while let Some(param) = next(&mut cursor) {
            found.push((text[param.name].to_string(), text[param.value].to_string()));
        }
        found
    }

    fn one(text: &str) -> (String, String) {
        let mut found = all(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found.remove(0)
    }

    #[test]
    fn values_in_all_their_forms() {
        let is = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(one("; a=b"), is("a", "b"));
        assert_eq!(one("; a = \"b;c\" (x)"), is("a", "b;c"));
        assert_eq!(one(" boundary=abc (comment)"), is("boundary", "abc"));
        assert_eq!(
            one(";name=This is a test.txt"),
            is("name", "This is a test.txt")
        );
        assert_eq!(all("; a=b c=d;;; e"), [is("a", "b"), is("c", "d")]);
        assert_eq!(one("; a=\"open"), is("a", "open"));
        assert_eq!(all("; =;=;(("), []);
    }
}
