//! ENVELOPE, BODY and BODYSTRUCTURE of IMAP (RFC 9051 §7.5.2), written from the index and the headers; bodies are not read.

use crate::address::{AddressList, Entry};
use crate::field::{Field, without_line_break};
use crate::index::{Index, IndexPart};
use crate::parse::cursor::{Cursor, is_token};
use crate::{Kind, Name, encoded_word, header, param};

/// The value of ENVELOPE: a parenthesised list, ready to be sent.
///
/// ```
/// let raw = b"From: A <a@b.example>\r\nSubject: \"hi\"\r\n\r\n";
/// let envelope = waxwing_mime::imap::envelope(&waxwing_mime::Index::parse(raw), raw);
/// let from = "((\"A\" NIL \"a\" \"b.example\"))";
/// assert_eq!(
///     String::from_utf8_lossy(&envelope),
///     format!("(NIL \"\\\"hi\\\"\" {from} {from} {from} NIL NIL NIL NIL NIL)"),
/// );
/// ```
pub fn envelope(index: &Index, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_envelope(index.root(), raw, &mut out);
    out
}

/// The value of BODY: the structure without extension data.
pub fn body(index: &Index, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer {
        index,
        raw,
        extended: false,
        out: &mut out,
    }
    .part(0);
    out
}

/// The value of BODYSTRUCTURE.
pub fn bodystructure(index: &Index, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer {
        index,
        raw,
        extended: true,
        out: &mut out,
    }
    .part(0);
    out
}

/// RFC 9051 §9 `nstring`: quoted where it can be, else a literal; NUL, which neither may hold, is left out.
pub fn put_string(text: &[u8], out: &mut Vec<u8>) {
    // Quoted strings of IMAP4rev1 are ASCII; every client reads a literal.
    if text.iter().all(|b| (b' '..127).contains(b) || *b == b'\t') {
        out.push(b'"');
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
        return;
    }
    let clean: Vec<u8> = text.iter().copied().filter(|b| *b != 0).collect();
    out.extend_from_slice(format!("{{{}}}\r\n", clean.len()).as_bytes());
    out.extend_from_slice(&clean);
}

fn put_optional(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => put_string(text, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A field value unfolded, not decoded.
fn unfolded(field: &Field) -> Vec<u8> {
    let value = field.value();
    let mut out = Vec::with_capacity(value.len());
    for line in value.split(|b| *b == b'\n') {
        let line: Vec<u8> = line.iter().copied().filter(|b| *b != b'\r').collect();
        // RFC 7103 §7.2: a line that was joined without a blank of its own gets one.
        if !out.is_empty()
            && line
                .first()
                .is_some_and(|first| !matches!(first, b' ' | b'\t'))
        {
            out.push(b' ');
        }
        out.extend_from_slice(&line);
    }
    out.trim_ascii().to_vec()
}

fn put_envelope(part: &IndexPart, raw: &[u8], out: &mut Vec<u8>) {
    let fields: Vec<Field> = header::fields(raw, part.header_range())
        .filter(|field| field.id() != Name::Other)
        .collect();
    let first = |name: Name| fields.iter().find(|field| field.id() == name);
    let text = |name: Name, out: &mut Vec<u8>| {
        let value = first(name).map(unfolded);
        put_optional(value.as_deref(), out);
    };
    let list = |name: Name| {
        let mut list = AddressList::default();
        // RFC 5322 §4.5.3: further fields of recipients add to the first; of all others the first counts.
        let all = matches!(name, Name::To | Name::Cc | Name::Bcc);
        for field in fields
            .iter()
            .filter(|field| field.id() == name)
            .take(if all { usize::MAX } else { 1 })
        {
            list.add_undecoded(field.value());
        }
        list
    };
    out.push(b'(');
    text(Name::Date, out);
    out.push(b' ');
    text(Name::Subject, out);
    let from = list(Name::From);
    for name in [
        Name::From,
        Name::Sender,
        Name::ReplyTo,
        Name::To,
        Name::Cc,
        Name::Bcc,
    ] {
        out.push(b' ');
        let own = list(name);
        // RFC 9051 §7.5.2: Sender and Reply-To are From's where they are missing or empty.
        let stands_in = matches!(name, Name::Sender | Name::ReplyTo) && own.is_empty();
        put_addresses(if stands_in { &from } else { &own }, out);
    }
    for name in [Name::InReplyTo, Name::MessageId] {
        out.push(b' ');
        text(name, out);
    }
    out.push(b')');
}

fn put_addresses(list: &AddressList, out: &mut Vec<u8>) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for entry in list.entries() {
        match entry {
            Entry::GroupStart(name) => {
                out.extend_from_slice(b"(NIL NIL ");
                put_string(name.as_bytes(), out);
                out.extend_from_slice(b" NIL)");
            }
            Entry::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
            Entry::Mailbox(mailbox) => {
                out.push(b'(');
                put_optional(mailbox.name.map(str::as_bytes), out);
                out.push(b' ');
                put_optional(mailbox.route.map(str::as_bytes), out);
                out.push(b' ');
                put_string(unquoted(mailbox.local()).as_bytes(), out);
                out.push(b' ');
                // A NIL host would mean a group.
                put_string(mailbox.domain().unwrap_or_default().as_bytes(), out);
                out.push(b')');
            }
        }
    }
    out.push(b')');
}

/// RFC 9051 §7.5.2: the local part without its quoting.
fn unquoted(local: &str) -> String {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return local.to_string();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

struct Writer<'a> {
    index: &'a Index,
    raw: &'a [u8],
    extended: bool,
    out: &'a mut Vec<u8>,
}

/// The MIME fields of a part, the first of each name.
#[derive(Default)]
struct Fields<'a> {
    content_type: Option<Field<'a>>,
    encoding: Option<Field<'a>>,
    disposition: Option<Field<'a>>,
    id: Option<Field<'a>>,
    description: Option<Field<'a>>,
    md5: Option<Field<'a>>,
    language: Option<Field<'a>>,
    location: Option<Field<'a>>,
}

impl<'a> Fields<'a> {
    fn of(part: &IndexPart, raw: &'a [u8]) -> Self {
        let mut found = Fields::default();
        for field in header::fields(raw, part.header_range()) {
            let slot = match field.id() {
                Name::ContentType => &mut found.content_type,
                Name::ContentTransferEncoding => &mut found.encoding,
                Name::ContentDisposition => &mut found.disposition,
                Name::ContentId => &mut found.id,
                Name::ContentDescription => &mut found.description,
                Name::ContentMd5 => &mut found.md5,
                Name::ContentLanguage => &mut found.language,
                Name::ContentLocation => &mut found.location,
                _ => continue,
            };
            slot.get_or_insert(field);
        }
        found
    }
}

impl Writer<'_> {
    /// Recursion is bounded by [`crate::MAX_DEPTH`]: the index has no deeper parts.
    fn part(&mut self, id: u32) {
        let index = self.index;
        let Some(part) = index.part(id) else { return };
        let fields = Fields::of(part, self.raw);
        self.out.push(b'(');
        if part.kind() == Kind::Multipart {
            for child in index.children(id) {
                self.part(child);
            }
            self.out.push(b' ');
            self.upper(part.media_type().1);
            if self.extended {
                self.out.push(b' ');
                self.params(part, fields.content_type.as_ref());
                self.extension(&fields);
            }
        } else {
            self.leaf(id, part, &fields);
        }
        self.out.push(b')');
    }

    fn leaf(&mut self, id: u32, part: &IndexPart, fields: &Fields) {
        let (mut kind, mut subtype) = part.media_type();
        let encoded_message = part.kind() == Kind::Leaf
            && kind == "message"
            && matches!(subtype, "rfc822" | "global");
        if encoded_message {
            // A nested message that has a transfer encoding against RFC 2046 §5.2.1 has no envelope that could be given.
            (kind, subtype) = ("application", "octet-stream");
        }
        self.upper(kind);
        self.out.push(b' ');
        self.upper(subtype);
        self.out.push(b' ');
        self.params(part, fields.content_type.as_ref());
        self.out.push(b' ');
        self.text(fields.id.as_ref());
        self.out.push(b' ');
        self.text(fields.description.as_ref());
        self.out.push(b' ');
        self.encoding(fields.encoding.as_ref());
        self.out
            .extend_from_slice(format!(" {}", part.size()).as_bytes());
        if part.kind() == Kind::Message
            && let Some(root) = self.index.children(id).next()
        {
            self.out.push(b' ');
            if let Some(root) = self.index.part(root) {
                put_envelope(root, self.raw, self.out);
            }
            self.out.push(b' ');
            self.part(root);
        }
        if part.kind() == Kind::Message || part.is_text() {
            self.out
                .extend_from_slice(format!(" {}", part.lines()).as_bytes());
        }
        if self.extended {
            self.out.push(b' ');
            self.text(fields.md5.as_ref());
            self.extension(fields);
        }
    }

    fn upper(&mut self, text: &str) {
        put_string(text.to_ascii_uppercase().as_bytes(), self.out);
    }

    fn text(&mut self, field: Option<&Field>) {
        let value = field.map(unfolded);
        put_optional(value.as_deref(), self.out);
    }

    fn encoding(&mut self, field: Option<&Field>) {
        let name = field.and_then(|field| {
            let mut cursor = Cursor::new(field.value(), 0..field.value().len());
            cursor.skip_cfws();
            cursor.eat(b'"');
            let token = cursor.take_while(is_token);
            (!token.is_empty()).then(|| cursor.slice(token).to_ascii_uppercase())
        });
        put_string(name.as_deref().unwrap_or(b"7BIT"), self.out);
    }

    /// Parameters, continuations joined; clients decode RFC 2231's encoding themselves.
    fn params(&mut self, part: &IndexPart, field: Option<&Field>) {
        let written = field.filter(|field| {
            let mut cursor = Cursor::new(field.value(), 0..field.value().len());
            cursor.skip_cfws();
            let token = cursor.take_while(is_token);
            cursor
                .slice(token)
                .eq_ignore_ascii_case(part.media_type().0.as_bytes())
        });
        match written {
            Some(field) => self.param_list(field),
            // RFC 2045 §5.2.
            None if part.is_text() => self.out.extend_from_slice(b"(\"CHARSET\" \"US-ASCII\")"),
            None => self.out.extend_from_slice(b"NIL"),
        }
    }

    fn param_list(&mut self, field: &Field) {
        let value = field.value();
        let mut cursor = Cursor::new(value, 0..value.len());
        cursor.take_while(|b| b != b';');
        let params = param::joined(&mut cursor);
        if params.is_empty() {
            self.out.extend_from_slice(b"NIL");
            return;
        }
        for (n, (name, value)) in params.iter().enumerate() {
            self.out.push(if n > 0 { b' ' } else { b'(' });
            put_string(&name.to_ascii_uppercase(), self.out);
            self.out.push(b' ');
            put_string(value, self.out);
        }
        self.out.push(b')');
    }

    fn extension(&mut self, fields: &Fields) {
        self.out.push(b' ');
        match &fields.disposition {
            None => self.out.extend_from_slice(b"NIL"),
            Some(field) => {
                let mut cursor = Cursor::new(field.value(), 0..field.value().len());
                cursor.skip_cfws();
                let token = cursor.take_while(is_token);
                self.out.push(b'(');
                put_string(&cursor.slice(token).to_ascii_uppercase(), self.out);
                self.out.push(b' ');
                self.param_list(field);
                self.out.push(b')');
            }
        }
        self.out.push(b' ');
        self.languages(fields.language.as_ref());
        self.out.push(b' ');
        self.text(fields.location.as_ref());
    }

    fn languages(&mut self, field: Option<&Field>) {
        let mut text = String::new();
        if let Some(field) = field {
            encoded_word::unfold_into(without_line_break(field.value()), &mut text);
        }
        let tags: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .collect();
        match tags.as_slice() {
            [] => self.out.extend_from_slice(b"NIL"),
            [one] => put_string(one.as_bytes(), self.out),
            many => {
                self.out.push(b'(');
                for (n, tag) in many.iter().enumerate() {
                    if n > 0 {
                        self.out.push(b' ');
                    }
                    put_string(tag.as_bytes(), self.out);
                }
                self.out.push(b')');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(raw: &str) -> String {
        let raw = raw.as_bytes();
        String::from_utf8(bodystructure(&Index::parse(raw), raw)).unwrap()
    }

    #[test]
    fn continuations_are_one_parameter() {
        for (written, given) in [
            ("name*0=a; name*1=\"b c\"", r#""NAME" "ab c""#),
            // RFC 2231 §4.1: encoded and plain segments.
            (
                "title*0*=us-ascii'en'This%20is%20; title*1*=fun; title*2=\" isn't it!\"",
                r#""TITLE*" "us-ascii'en'This%20is%20fun%20isn%27t%20it!""#,
            ),
            ("x*0=100%; x*1*=%20b", r#""X*" "''100%25%20b""#),
            // In any order, others between them.
            ("n*1=b; size=3; N*0=a", r#""N" "ab" "SIZE" "3""#),
            // One that is whole, and what is no sequence.
            ("n*=utf-8''%41", r#""N*" "utf-8''%41""#),
            ("n*1=b; n*2=c", r#""N*1" "b" "N*2" "c""#),
            ("n*0=a; n*2=c; n*0=x", r#""N" "a" "N*2" "c""#),
            ("n=old; n*0=a; n*1=b", r#""N" "old" "N*0" "a" "N*1" "b""#),
        ] {
            let type_line = structure(&format!("Content-Type: application/x; {written}\r\n\r\n"));
            assert!(
                type_line.starts_with(&format!(r#"("APPLICATION" "X" ({given}) "#)),
                "{written}: {type_line}"
            );
            let disposition = structure(&format!(
                "Content-Disposition: attachment; {written}\r\n\r\n"
            ));
            assert!(
                disposition.contains(&format!(r#"("ATTACHMENT" ({given}))"#)),
                "{written}: {disposition}"
            );
        }
    }

    #[test]
    fn recipients_of_all_fields_are_in_the_envelope() {
        let raw = b"To: a@x\r\nCc: c@x\r\nTo: b@x\r\nFrom: f@x\r\nFrom: g@x\r\nCc: d@x\r\n\r\n";
        let from = r#"((NIL NIL "f" "x"))"#;
        let to = r#"((NIL NIL "a" "x")(NIL NIL "b" "x"))"#;
        let cc = r#"((NIL NIL "c" "x")(NIL NIL "d" "x"))"#;
        assert_eq!(
            String::from_utf8(envelope(&Index::parse(raw), raw)).unwrap(),
            format!("(NIL NIL {from} {from} {from} {to} {cc} NIL NIL NIL)")
        );
    }
}
