//! BODY from BODYSTRUCTURE: the same value without its extension data (RFC 9051 §7.5.2), made from the stored octets, so
//! that no message is opened for it.

/// How deep structures are followed. `mime` nests no deeper than 100 parts, each at most two lists.
const DEPTH: usize = 256;

/// The value of BODY, given that of BODYSTRUCTURE. What cannot be read is copied as it stands.
pub fn without_extensions(structure: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(structure.len());
    match (Reader { rest: structure }).part(&mut out, DEPTH) {
        Some(()) => out,
        None => structure.to_vec(),
    }
}

/// Fields of a leaf before its extension data: type, subtype, parameters, id, description, encoding, size.
const BASIC_FIELDS: usize = 7;

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn part(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.eat(b'(')?;
        out.push(b'(');
        if self.rest.first() == Some(&b'(') {
            while self.rest.first() == Some(&b'(') {
                self.part(out, depth)?;
            }
            self.eat(b' ')?;
            out.push(b' ');
            out.extend_from_slice(self.value()?);
        } else {
            self.leaf(out, depth)?;
        }
        out.push(b')');
        while self.rest.first() != Some(&b')') {
            self.eat(b' ')?;
            self.value()?;
        }
        self.eat(b')')
    }

    fn leaf(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        let kind = self.value()?;
        out.extend_from_slice(kind);
        let subtype = self.next(out)?;
        for _ in 2..BASIC_FIELDS {
            self.next(out)?;
        }
        let is = |text: &[u8], name: &str| text.eq_ignore_ascii_case(name.as_bytes());
        if is(kind, "\"TEXT\"") {
            self.next(out)?;
        } else if is(kind, "\"MESSAGE\"")
            && (is(subtype, "\"RFC822\"") || is(subtype, "\"GLOBAL\""))
        {
            self.next(out)?;
            self.eat(b' ')?;
            out.push(b' ');
            self.part(out, depth)?;
            self.next(out)?;
        }
        Some(())
    }

    /// Copies a space and the value behind it.
    fn next(&mut self, out: &mut Vec<u8>) -> Option<&'a [u8]> {
        self.eat(b' ')?;
        out.push(b' ');
        let value = self.value()?;
        out.extend_from_slice(value);
        Some(value)
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let end = super::search::envelope::value_end(self.rest)?;
        let (value, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(value)
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two forms are written by the same code from the same message; one must lead to the other.
    #[test]
    fn body_follows_from_bodystructure() {
        let inner = "Subject: i\r\nContent-Type: text/html; charset=utf-8\r\nContent-Disposition: inline\r\n\r\n<p>\r\n";
        for message in [
            "Subject: x\r\n\r\ntext\r\n".to_owned(),
            inner.to_owned(),
            "Content-Type: application/pdf; name=\"a b.pdf\"\r\nContent-Disposition: attachment; filename=\"(x).pdf\"\r\n\r\nx".to_owned(),
            format!("Content-Type: message/rfc822\r\n\r\n{inner}"),
            format!(
                "Content-Type: multipart/mixed; boundary=b\r\nContent-Language: de, en\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
                 Content-Type: message/rfc822\r\nContent-Location: a\r\n\r\n{inner}\r\n--b\r\nContent-Type: \
                 multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\na\r\n--c--\r\n--b--\r\n"
            ),
        ] {
            let index = mime::Index::parse(message.as_bytes());
            let structure = mime::imap::bodystructure(&index, message.as_bytes());
            let body = mime::imap::body(&index, message.as_bytes());
            assert_eq!(
                String::from_utf8_lossy(&without_extensions(&structure)),
                String::from_utf8_lossy(&body),
                "{message}"
            );
        }
    }

    #[test]
    fn damage_is_copied() {
        for damaged in ["", "(", "(\"TEXT\"", "NIL", &"(".repeat(10_000)] {
            assert_eq!(without_extensions(damaged.as_bytes()), damaged.as_bytes());
        }
    }
}
