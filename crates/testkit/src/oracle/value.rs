//! IMAP responses as trees, so that two ways to write one thing are equal.
//!
//! The same reader is used for what a server said and for what a dialog
//! expects of it. The holes of a dialog (see `dialog::pattern`) stay in the
//! texts; `{{*}}` outside of quotes becomes an element of its own, "any more".

/// A value of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An atom, a number, a flag, a section like `BODY[1]<0>`; `NIL` too.
    Atom(Vec<u8>),
    /// A quoted string or a literal.
    String(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
    /// `{{*}}`: any values or none.
    Open,
}

/// A response of an IMAP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `+ …`
    Continue,
    /// OK, NO, BAD, BYE or PREAUTH.
    Status {
        /// `*` or the command's tag.
        tag: String,
        /// In upper case.
        word: String,
        /// What stands between the brackets.
        code: Option<Vec<Value>>,
    },
    /// Anything else without a tag, its first `*` left out.
    Data(Vec<Value>),
}

impl Value {
    /// The text of anything but a list.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Atom(text) | Value::String(text) => Some(text),
            Value::List(_) | Value::Open => None,
        }
    }

    /// Whether this atom is that word, in any case.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Value::Atom(text) if text.eq_ignore_ascii_case(word.as_bytes()))
    }
}

const ANY: &[u8] = b"{{*}}";

/// Reads a response, without its last line end. `None` where it is none.
pub fn read(raw: &[u8]) -> Option<Response> {
    if raw.first() == Some(&b'+') {
        return Some(Response::Continue);
    }
    let (tag, rest) = split_word(raw);
    let (word, after) = split_word(rest);
    let upper = String::from_utf8_lossy(word).to_ascii_uppercase();
    if matches!(upper.as_str(), "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") {
        let code = match after.first() {
            Some(b'[') => {
                let mut reader = Reader { rest: &after[1..] };
                Some(reader.list(b']')?)
            }
            _ => None,
        };
        return Some(Response::Status {
            tag: String::from_utf8_lossy(tag).into_owned(),
            word: upper,
            code,
        });
    }
    if tag != b"*" {
        return None;
    }
    let mut reader = Reader { rest };
    reader.list(0).map(Response::Data)
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|&b| b == b' ') {
        Some(n) => (&text[..n], &text[n + 1..]),
        None => (text, b""),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Values up to `end` (0: the end of the response). A list that ends in
    /// `{{*}}` may lack its own end, as dialogs cut responses short with it.
    fn list(&mut self, end: u8) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            match self.rest.first().copied() {
                None if end == 0 || values.last() == Some(&Value::Open) => return Some(values),
                None => return None,
                Some(b) if b == end => {
                    self.rest = &self.rest[1..];
                    return Some(values);
                }
                Some(b' ') => self.rest = &self.rest[1..],
                Some(b'(') => {
                    self.rest = &self.rest[1..];
                    values.push(Value::List(self.list(b')')?));
                }
                Some(b'"') => values.push(Value::String(self.quoted()?)),
                Some(_) if self.rest.starts_with(ANY) => {
                    self.rest = &self.rest[ANY.len()..];
                    values.push(Value::Open);
                }
                Some(b'{') if !self.rest.starts_with(b"{{") => {
                    values.push(Value::String(self.literal()?));
                }
                Some(b'~') if self.rest.get(1) == Some(&b'{') => {
                    self.rest = &self.rest[1..];
                    values.push(Value::String(self.literal()?));
                }
                Some(_) => values.push(Value::Atom(self.atom(end)?)),
            }
        }
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut bytes = self.rest.iter().copied().enumerate().skip(1);
        while let Some((n, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.rest = &self.rest[n + 1..];
                    return Some(text);
                }
                b'\\' => text.push(bytes.next()?.1),
                byte => text.push(byte),
            }
        }
        None
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.iter().position(|&b| b == b'}')?;
        let digits = std::str::from_utf8(&self.rest[1..end]).ok()?;
        let count: usize = digits.parse().ok()?;
        let rest = self.rest[end + 1..].strip_prefix(b"\r\n")?;
        let text = rest.get(..count)?.to_vec();
        self.rest = &rest[count..];
        Some(text)
    }

    /// An atom; in brackets (`BODY[HEADER.FIELDS (SUBJECT)]`) anything belongs to it.
    fn atom(&mut self, end: u8) -> Option<Vec<u8>> {
        let mut depth = 0_usize;
        let mut n = 0;
        while let Some(&byte) = self.rest.get(n) {
            let hole = self.rest[n..].starts_with(b"{{");
            match byte {
                _ if hole && depth == 0 && self.rest[n..].starts_with(ANY) => break,
                b'{' if hole => n += self.rest[n..].iter().position(|&b| b == b'}')?,
                b'[' => depth += 1,
                b']' if depth == 0 && end == b']' => break,
                b']' => depth = depth.saturating_sub(1),
                b' ' | b'(' | b')' | b'"' if depth == 0 => break,
                _ => {}
            }
            n += 1;
        }
        let text = self.rest.get(..n).filter(|text| !text.is_empty())?.to_vec();
        self.rest = &self.rest[n..];
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(text: &str) -> Value {
        Value::Atom(text.as_bytes().to_vec())
    }

    fn string(text: &str) -> Value {
        Value::String(text.as_bytes().to_vec())
    }

    #[test]
    fn quoted_strings_and_literals_are_equal() {
        let quoted = read(b"* 1 FETCH (BODY[TEXT] \"a\\\"b\" UID 3)");
        let literal = read(b"* 1 FETCH (BODY[TEXT] {3}\r\na\"b UID 3)");
        assert!(quoted.is_some());
        assert_eq!(quoted, literal);
    }

    #[test]
    fn a_section_is_one_atom() {
        let response = read(b"* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT TO)]<0> NIL)");
        let want = vec![
            atom("1"),
            atom("FETCH"),
            Value::List(vec![
                atom("BODY[HEADER.FIELDS (SUBJECT TO)]<0>"),
                atom("NIL"),
            ]),
        ];
        assert_eq!(response, Some(Response::Data(want)));
    }

    #[test]
    fn holes_stay_and_open_ends_need_no_bracket() {
        let response = read(b"k NO [BADURL {{*}}");
        let Some(Response::Status { tag, word, code }) = response else {
            panic!("{response:?}");
        };
        assert_eq!((tag.as_str(), word.as_str()), ("k", "NO"));
        assert_eq!(code, Some(vec![atom("BADURL"), Value::Open]));
        let flags = read(b"* FLAGS ({{*}}$Kw {{one}})");
        let list = Value::List(vec![Value::Open, atom("$Kw"), atom("{{one}}")]);
        assert_eq!(flags, Some(Response::Data(vec![atom("FLAGS"), list])));
    }

    #[test]
    fn what_is_no_response_is_none() {
        assert_eq!(read(b"* 1 FETCH (UID"), None);
        assert_eq!(read(b"body of a literal"), None);
        assert_eq!(read(b"* LIST () \"/\" \"x"), None);
        assert_eq!(
            read(b"* LIST () \"/\" x"),
            Some(Response::Data(vec![
                atom("LIST"),
                Value::List(vec![]),
                string("/"),
                atom("x")
            ]))
        );
    }
}
