//! Received fields (RFC 5321 §4.4), as programs really write them.

use crate::parse::cursor::{Cursor, is_blank};
use crate::{DateTime, Field};

/// One hop of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What the sending host called itself.
    pub from: Option<String>,
    /// The comment after it: usually its real name and address.
    pub from_info: Option<String>,
    /// The receiving host.
    pub by: Option<String>,
    /// `TCP` and the like.
    pub via: Option<String>,
    /// `ESMTPS` and the like (RFC 3848).
    pub with: Option<String>,
    /// The receiver's id.
    pub id: Option<String>,
    /// The recipient, without angle brackets.
    pub r#for: Option<String>,
    /// When.
    pub date: Option<DateTime>,
}

impl Received {
    /// Reads a field value.
    ///
    /// ```
    /// let value = b"from a.example (a.example [192.0.2.1]) by b.example with ESMTPS id 1; Fri, 21 Nov 1997 09:55:06 -0600";
    /// let hop = waxwing_mime::received::Received::parse(value);
    /// assert_eq!((hop.from.as_deref(), hop.with.as_deref()), (Some("a.example"), Some("ESMTPS")));
    /// ```
    pub fn parse(value: &[u8]) -> Received {
        let mut found = Received::default();
        // Comments may have semicolons too, the date has none.
        let date_at = memchr::memrchr(b';', value);
        if let Some(at) = date_at {
            found.date = value.get(at + 1..).and_then(DateTime::parse);
        }
        let mut cursor = Cursor::new(value, 0..date_at.unwrap_or(value.len()));
        let mut last = Clause::None;
        let mut clause = Clause::None;
        loop {
            cursor.skip_blanks();
            match cursor.peek() {
                None => return found,
                Some(b'(') => {
                    let comment = cursor.comment();
                    if last == Clause::From && found.from_info.is_none() {
                        found.from_info = Some(text(cursor.slice(comment)));
                    }
                }
                Some(b';') => cursor.skip(),
                Some(_) => {
                    let word = cursor.take_while(|b| !is_blank(b) && b != b'(' && b != b';');
                    let word = cursor.slice(word);
                    if clause == Clause::None {
                        clause = Clause::of(word);
                    } else {
                        last = clause;
                        found.put(std::mem::replace(&mut clause, Clause::None), word);
                    }
                }
            }
        }
    }

    fn put(&mut self, clause: Clause, word: &[u8]) {
        let slot = match clause {
            Clause::From => &mut self.from,
            Clause::By => &mut self.by,
            Clause::Via => &mut self.via,
            Clause::With => &mut self.with,
            Clause::Id => &mut self.id,
            Clause::For => &mut self.r#for,
            Clause::None => return,
        };
        slot.get_or_insert_with(|| text(word).trim_matches(['<', '>']).to_string());
    }
}

/// RFC 5321 §4.4: words that say what the next one is.
#[derive(Clone, Copy, PartialEq)]
enum Clause {
    None,
    From,
    By,
    Via,
    With,
    Id,
    For,
}

impl Clause {
    fn of(word: &[u8]) -> Clause {
        const WORDS: [(&str, Clause); 6] = [
            ("from", Clause::From),
            ("by", Clause::By),
            ("via", Clause::Via),
            ("with", Clause::With),
            ("id", Clause::Id),
            ("for", Clause::For),
        ];
        WORDS
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
            .map_or(Clause::None, |(_, clause)| *clause)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

impl Field<'_> {
    /// The value as a Received field.
    pub fn received(&self) -> Received {
        Received::parse(self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::Received;

    #[test]
    fn usual_forms() {
        let hop = Received::parse(b" from [192.0.2.1] (helo=x (really; y))\r\n\tby mx (Postfix)\r\n\tvia TCP with SMTP id <abc>\r\n\tfor <a@b.example>; 21 Nov 1997 15:55:06 GMT");
        assert_eq!(hop.from.as_deref(), Some("[192.0.2.1]"));
        assert_eq!(hop.from_info.as_deref(), Some("helo=x (really; y)"));
        assert_eq!(
            (
                hop.by.as_deref(),
                hop.via.as_deref(),
                hop.with.as_deref(),
                hop.id.as_deref()
            ),
            (Some("mx"), Some("TCP"), Some("SMTP"), Some("abc"))
        );
        assert_eq!(hop.r#for.as_deref(), Some("a@b.example"));
        assert_eq!(hop.date.unwrap().timestamp(), 880_127_706);
        assert_eq!(
            Received::parse(b"(qmail 123 invoked by uid 0); 21 Nov 1997 15:55:06 -0000").from,
            None
        );
    }
}
