//! Message ids and content ids (RFC 5322 §3.6.4, RFC 2392).

use crate::parse::cursor::{Cursor, is_blank};

/// The ids in a field value, without angle brackets. Where there are no brackets at all, words count.
pub fn all(value: &[u8]) -> impl Iterator<Item = String> {
    let bare = memchr::memchr(b'<', value).is_none();
    let mut cursor = Cursor::new(value, 0..value.len());
    std::iter::from_fn(move || next(&mut cursor, bare))
}

fn next(cursor: &mut Cursor, bare: bool) -> Option<String> {
    loop {
        cursor.skip_cfws();
        let byte = cursor.peek()?;
        if byte == b'<' {
            cursor.skip();
            let inner = cursor.take_while(|b| b != b'>' && b != b'<');
            cursor.eat(b'>');
            let id: Vec<u8> = cursor
                .slice(inner)
                .iter()
                .copied()
                .filter(|b| !is_blank(*b))
                .collect();
            if !id.is_empty() {
                return Some(String::from_utf8_lossy(&id).into_owned());
            }
        } else if byte == b',' || byte == b';' {
            cursor.skip();
        } else {
            let word =
                cursor.take_while(|b| !is_blank(b) && !matches!(b, b'<' | b',' | b';' | b'('));
            if word.is_empty() {
                cursor.skip();
            } else if bare {
                return Some(String::from_utf8_lossy(cursor.slice(word)).into_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_with_and_without_brackets() {
        let all = |text: &str| super::all(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all(" <a@b>\r\n <c@\r\n d> junk (<x@y>)"), ["a@b", "c@d"]);
        assert_eq!(all("a@b, c@d"), ["a@b", "c@d"]);
        assert_eq!(all("<>"), Vec::<String>::new());
        assert_eq!(all("<open"), ["open"]);
    }
}
