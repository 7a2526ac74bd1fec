//! Message ids and content ids (RFC 5322 §3.6.4, RFC 2392).

use std::borrow::Cow;

use crate::parse::cursor::{Cursor, is_blank};

/// The ids in a field value, without angle brackets. Where there are no brackets at all, words count.
pub fn all(value: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let bare = memchr::memchr(b'<', value).is_none();
    let mut cursor = Cursor::new(value, 0..value.len());
    std::iter::from_fn(move || next(&mut cursor, bare))
}

fn next<'a>(cursor: &mut Cursor<'a>, bare: bool) -> Option<Cow<'a, str>> {
    loop {
        cursor.skip_cfws();
        let byte = cursor.peek()?;
        if byte == b'<' {
            cursor.skip();
            let rest = cursor.slice(cursor.at..cursor.end);
            let length = memchr::memchr2(b'>', b'<', rest).unwrap_or(rest.len());
            let inner = rest.get(..length).unwrap_or_default();
            cursor.at += length;
            cursor.eat(b'>');
            let id = without_blanks(inner);
            if !id.is_empty() {
                return Some(id);
            }
        } else if byte == b',' || byte == b';' {
            cursor.skip();
        } else {
            let word =
                cursor.take_while(|b| !is_blank(b) && !matches!(b, b'<' | b',' | b';' | b'('));
            if word.is_empty() {
                cursor.skip();
            } else if bare {
                return Some(String::from_utf8_lossy(cursor.slice(word)));
            }
        }
    }
}

/// RFC 5322 §4.5.4: blanks may stand in an id, and are no part of it.
fn without_blanks(id: &[u8]) -> Cow<'_, str> {
    if !id.iter().fold(false, |any, b| any | is_blank(*b)) {
        return String::from_utf8_lossy(id);
    }
    let clean: Vec<u8> = id.iter().copied().filter(|b| !is_blank(*b)).collect();
    Cow::Owned(String::from_utf8_lossy(&clean).into_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_with_and_without_brackets() {
        let all = |text: &str| {
            super::all(text.as_bytes())
                .map(|id| id.into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(all(" <a@b>\r\n <c@\r\n d> junk (<x@y>)"), ["a@b", "c@d"]);
        assert_eq!(all("a@b, c@d"), ["a@b", "c@d"]);
        assert_eq!(all("<>"), Vec::<String>::new());
        assert_eq!(all("<open"), ["open"]);
    }
}
