//! Fields of mailing lists: List-* (RFC 2369), List-Id (RFC 2919), one-click unsubscription (RFC 8058).

use crate::parse::cursor::Cursor;
use crate::{Name, Part, encoded_word};

/// What a message says of the list it came by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFields {
    /// RFC 2919: the list's name for people, and its id.
    pub id: Option<(String, String)>,
    /// Where the archive is.
    pub archive: Vec<String>,
    /// How to get help.
    pub help: Vec<String>,
    /// Who runs it.
    pub owner: Vec<String>,
    /// How to write to it; empty with `no_posting` if nobody may.
    pub post: Vec<String>,
    /// RFC 2369 §3.4: `List-Post: NO`.
    pub no_posting: bool,
    /// How to subscribe.
    pub subscribe: Vec<String>,
    /// How to leave, the preferred way first.
    pub unsubscribe: Vec<String>,
    /// RFC 8058: a POST to the https URI of `unsubscribe` is enough.
    pub one_click: bool,
}

impl Part<'_> {
    /// What the header says of the mailing list.
    ///
    /// ```
    /// let raw = b"List-Id: Friends <friends.example.org>\r\nList-Unsubscribe: <https://example.org/u>\r\n\r\n";
    /// let list = waxwing_mime::Message::parse(raw).root().list();
    /// assert_eq!(list.id, Some(("Friends".into(), "friends.example.org".into())));
    /// ```
    pub fn list(&self) -> ListFields {
        let uris = |name: Name| {
            self.field(name)
                .map(|field| uris(field.value()))
                .unwrap_or_default()
        };
        let post = self.field(Name::ListPost).map(|field| field.value());
        ListFields {
            id: self
                .field(Name::ListId)
                .and_then(|field| list_id(field.value())),
            archive: uris(Name::ListArchive),
            help: uris(Name::ListHelp),
            owner: uris(Name::ListOwner),
            post: uris(Name::ListPost),
            no_posting: post.is_some_and(|value| {
                value
                    .trim_ascii_start()
                    .get(..2)
                    .is_some_and(|word| word.eq_ignore_ascii_case(b"no"))
            }),
            subscribe: uris(Name::ListSubscribe),
            unsubscribe: uris(Name::ListUnsubscribe),
            one_click: self.field(Name::ListUnsubscribePost).is_some_and(|field| {
                field
                    .value()
                    .trim_ascii()
                    .eq_ignore_ascii_case(b"List-Unsubscribe=One-Click")
            }),
        }
    }
}

/// URIs in angle brackets; blanks within them are folding.
fn uris(value: &[u8]) -> Vec<String> {
    /// A field with more is no help to anybody.
    const MAX: usize = 20;
    let mut found = Vec::new();
    let mut cursor = Cursor::new(value, 0..value.len());
    while found.len() < MAX {
        cursor.skip_cfws();
        match cursor.peek() {
            None => break,
            Some(b'<') => {
                cursor.skip();
                let inner = cursor.take_while(|b| b != b'>');
                let clean: Vec<u8> = cursor
                    .slice(inner)
                    .iter()
                    .copied()
                    .filter(|b| !b.is_ascii_whitespace())
                    .collect();
                if !clean.is_empty() {
                    found.push(String::from_utf8_lossy(&clean).into_owned());
                }
            }
            Some(_) => cursor.skip(),
        }
    }
    found
}

/// RFC 2919 §3: a phrase, and the id in angle brackets.
fn list_id(value: &[u8]) -> Option<(String, String)> {
    let open = memchr::memrchr(b'<', value);
    let (name, id) = match open {
        Some(at) => (
            value.get(..at)?,
            value.get(at + 1..)?.split(|b| *b == b'>').next()?,
        ),
        None => (&b""[..], value),
    };
    let id = String::from_utf8_lossy(id.trim_ascii()).into_owned();
    let name = encoded_word::text(name)
        .trim_matches(['"', ' '])
        .to_string();
    (!id.is_empty()).then_some((name, id))
}

#[cfg(test)]
mod tests {
    use crate::Message;

    #[test]
    fn all_fields() {
        let raw = b"List-Id: \"A =?utf-8?q?=C3=A9?=\" <a.example>\r\nList-Post: NO (closed)\r\nList-Unsubscribe: (x) <mailto:u@a.example?\r\n subject=x>, <https://a.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Help: nothing\r\n\r\n";
        let list = Message::parse(raw).root().list();
        assert_eq!(list.id, Some(("A é".into(), "a.example".into())));
        assert!(list.no_posting && list.post.is_empty() && list.one_click && list.help.is_empty());
        assert_eq!(
            list.unsubscribe,
            ["mailto:u@a.example?subject=x", "https://a.example/u"]
        );
    }
}
