//! BODY from BODYSTRUCTURE: the same value without its extension data (RFC 9051 §7.5.2), made from the stored octets, so
//! that no message is opened for it. And the structure of one part (RFC 5524), found in that of its message.

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

/// The structure of a part, by its numbers from the top; without numbers that of the message.
pub fn part<'s>(structure: &'s [u8], path: &[u32]) -> Option<&'s [u8]> {
    let mut here = structure;
    // A message of one part has that as its part 1 (RFC 9051 §6.4.5.1).
    let mut message = true;
    for number in path {
        let number = usize::try_from(*number).ok()?;
        if let (false, Some(inner)) = (message, inner(here)) {
            (here, message) = (inner, true);
        }
        here = match (is_multipart(here), message) {
            (true, _) => child(here, number)?,
            (false, true) if number == 1 => here,
            (false, _) => return None,
        };
        message = false;
    }
    Some(here)
}

/// The structure of a leaf as it is without its transfer encoding, when these are its octets then.
pub fn decoded(leaf: &[u8], octets: &[u8]) -> Vec<u8> {
    if is_multipart(leaf) || inner(leaf).is_some() {
        return leaf.to_vec();
    }
    let encoding = match octets {
        octets if !is_lines(octets) => "\"BINARY\"",
        octets if !octets.is_ascii() => "\"8BIT\"",
        _ => "\"7BIT\"",
    };
    let lines = memchr::memchr_iter(b'\n', octets).count();
    let is_text = field(leaf, 0).is_some_and(|kind| kind.eq_ignore_ascii_case(b"\"TEXT\""));
    let mut out = b"(".to_vec();
    for at in 0.. {
        let Some(value) = field(leaf, at) else { break };
        if at > 0 {
            out.push(b' ');
        }
        match at {
            ENCODING => out.extend_from_slice(encoding.as_bytes()),
            SIZE => out.extend_from_slice(octets.len().to_string().as_bytes()),
            LINES if is_text => out.extend_from_slice(lines.to_string().as_bytes()),
            _ => out.extend_from_slice(value),
        }
    }
    out.push(b')');
    out
}

/// Places of fields in a leaf (RFC 9051 §9, `body-fields`, `body-type-text`, `body-type-msg`).
const ENCODING: usize = 5;
const SIZE: usize = 6;
const LINES: usize = 7;
const INNER: usize = 8;

/// Octets of a line that may travel outside of BINARY (RFC 2045 §2.7).
const LINE: usize = 998;

fn is_lines(octets: &[u8]) -> bool {
    let whole = |line: &[u8]| {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        line.len() <= LINE && !line.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n'))
    };
    octets.split_inclusive(|octet| *octet == b'\n').all(whole)
}

fn is_multipart(structure: &[u8]) -> bool {
    structure.starts_with(b"((")
}

/// The part of a multipart with this number, from 1.
fn child(multipart: &[u8], number: usize) -> Option<&[u8]> {
    let mut rest = multipart.strip_prefix(b"(")?;
    for _ in 1..number {
        rest = rest.get(child_end(rest)?..)?;
    }
    rest.get(..child_end(rest)?)
}

fn child_end(rest: &[u8]) -> Option<usize> {
    match rest.first() {
        Some(b'(') => super::search::envelope::value_end(rest),
        _ => None,
    }
}

/// The structure of the message in a part that is one.
fn inner(leaf: &[u8]) -> Option<&[u8]> {
    let is = |at, name: &[u8]| field(leaf, at).is_some_and(|is| is.eq_ignore_ascii_case(name));
    let message = is(0, b"\"MESSAGE\"") && (is(1, b"\"RFC822\"") || is(1, b"\"GLOBAL\""));
    field(leaf, INNER).filter(|inner| message && inner.starts_with(b"("))
}

/// The field of a leaf at this place.
fn field(leaf: &[u8], at: usize) -> Option<&[u8]> {
    let mut reader = Reader {
        rest: leaf.strip_prefix(b"(")?,
    };
    for _ in 0..at {
        reader.value()?;
        reader.eat(b' ')?;
    }
    reader.value()
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

    /// Parts are where `mime` has them.
    #[test]
    fn structures_of_parts() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
             Content-Type: message/rfc822\r\n\r\nSubject: i\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
             --c\r\nContent-Type: text/html\r\n\r\n<p>\r\n--c--\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
             Subject: j\r\n\r\nplain\r\n--b--\r\n";
        let index = mime::Index::parse(message.as_bytes());
        let structure = mime::imap::bodystructure(&index, message.as_bytes());
        let kind = |path: &[u32]| {
            let found = part(&structure, path)?;
            Some(String::from_utf8_lossy(found.get(..14)?).into_owned())
        };
        for (path, expected) in [
            (&[][..], Some("((\"TEXT\" \"PLAI")),
            (&[1], Some("(\"TEXT\" \"PLAIN")),
            (&[2], Some("(\"MESSAGE\" \"RF")),
            (&[2, 1], Some("(\"TEXT\" \"HTML\"")),
            (&[3, 1], Some("(\"TEXT\" \"PLAIN")),
            (&[1, 1], None),
            (&[2, 1, 1], None),
            (&[2, 2], None),
            (&[3, 2], None),
            (&[4], None),
        ] {
            assert_eq!(kind(path).as_deref(), expected, "{path:?}");
            assert_eq!(index.find(path).is_some(), expected.is_some(), "{path:?}");
        }
        let one = b"Content-Type: image/png\r\n\r\nx";
        let structure = mime::imap::bodystructure(&mime::Index::parse(one), one);
        assert_eq!(part(&structure, &[1]), Some(structure.as_slice()));
        assert_eq!(part(&structure, &[1, 1]), None);
    }

    #[test]
    fn what_is_decoded_says_so() {
        let image = b"(\"IMAGE\" \"PNG\" (\"NAME\" \"a b\") NIL NIL \"BASE64\" 4 NIL (\"ATTACHMENT\" NIL) NIL NIL)";
        for (octets, encoding) in [
            (&b"a\0"[..], "BINARY"),
            (b"a\r", "BINARY"),
            (b"\xfc\r\n", "8BIT"),
            (b"a\r\n", "7BIT"),
            (&[b'x'; 999], "BINARY"),
        ] {
            let expected = format!(
                "(\"IMAGE\" \"PNG\" (\"NAME\" \"a b\") NIL NIL \"{encoding}\" {} NIL (\"ATTACHMENT\" NIL) NIL NIL)",
                octets.len()
            );
            let told = decoded(image, octets);
            assert_eq!(String::from_utf8_lossy(&told), expected);
        }
        let text = b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"QUOTED-PRINTABLE\" 40 1)";
        let told = decoded(text, "\u{fc}\r\nb\r\n".as_bytes());
        let expected = "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"8BIT\" 7 2)";
        assert_eq!(String::from_utf8_lossy(&told), expected);
    }

    #[test]
    fn damage_is_copied() {
        for damaged in ["", "(", "(\"TEXT\"", "NIL", &"(".repeat(10_000)] {
            assert_eq!(without_extensions(damaged.as_bytes()), damaged.as_bytes());
            assert_eq!(part(damaged.as_bytes(), &[2, 1]), None);
            decoded(damaged.as_bytes(), b"x");
        }
    }
}
