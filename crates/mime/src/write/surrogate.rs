//! What stands in for a message with raw UTF-8 in its headers (RFC 6532) where a client knows nothing of it: the same
//! message with headers in ASCII, as much of them kept as can be (RFC 6857).
//!
//! Names and texts become encoded words and parameters those of RFC 2231, domains their A-labels. An address whose local part
//! is not ASCII becomes an empty group named after it, which no program can answer to. Message-IDs move into `Downgraded-` fields.
//! Headers that are ASCII, and all bodies but delivery reports, stay octet for octet. Signatures stay, and fail.
//!
//! Invariants: every header of a surrogate is ASCII; the parts are those of the message, in the same places.

use std::ops::Range;

use super::header::{self, Line};
use crate::address::{AddressList, Entry};
use crate::parse::cursor::{Cursor, is_blank};
use crate::{Field, Index, IndexPart, Message, Name, Part, encoded_word};

/// Writes a domain in A-labels; None where it is no domain.
pub type ToAscii<'f> = &'f dyn Fn(&str) -> Option<String>;

/// Whether a message needs one.
///
/// ```
/// use waxwing_mime::{Index, write::surrogate};
/// let raw = "Subject: café\r\n\r\n".as_bytes();
/// assert!(surrogate::needed(&Index::parse(raw), raw));
/// let raw = "Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\ncafé\r\n".as_bytes();
/// assert!(!surrogate::needed(&Index::parse(raw), raw));
/// ```
pub fn needed(index: &Index, raw: &[u8]) -> bool {
    let ascii = |range: Range<usize>| raw.get(range).is_none_or(<[u8]>::is_ascii);
    let report = |part: &IndexPart| is_report(part.media_type()) && !part.encoding().is_encoded();
    index
        .parts()
        .iter()
        .any(|part| !ascii(part.header_range()) || (report(part) && !ascii(part.body_range())))
}

/// The surrogate of a message.
///
/// ```
/// use waxwing_mime::write::surrogate;
/// let raw = "From: Zoë <zoë@b.example>\r\nSubject: café\r\n\r\ncafé\r\n".as_bytes();
/// let made = surrogate::make(raw, &|_| None);
/// assert_eq!(
///     String::from_utf8(made).unwrap(),
///     "From: =?utf-8?b?Wm/DqyB6b8OrQGIuZXhhbXBsZQ==?= :;\r\nSubject: =?utf-8?b?Y2Fmw6k=?=\r\n\r\ncafé\r\n",
/// );
/// ```
pub fn make(raw: &[u8], to_ascii: ToAscii) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 1024);
    let mut kept = 0;
    for edit in edits(raw, to_ascii) {
        out.extend_from_slice(raw.get(kept..edit.place.start).unwrap_or_default());
        out.extend_from_slice(edit.text.as_bytes());
        kept = edit.place.end;
    }
    out.extend_from_slice(raw.get(kept..).unwrap_or_default());
    out
}

/// Its octets, without making it.
pub fn size(raw: &[u8], to_ascii: ToAscii) -> usize {
    edits(raw, to_ascii).iter().fold(raw.len(), |size, edit| {
        size + edit.text.len() - edit.place.len().min(size)
    })
}

/// What takes the place of some octets. Edits ascend and do not overlap.
struct Edit {
    place: Range<usize>,
    text: String,
}

fn edits(raw: &[u8], to_ascii: ToAscii) -> Vec<Edit> {
    let message = Message::parse(raw);
    let mut edits = Vec::new();
    for part in message.parts() {
        if !part.raw_header().is_ascii() {
            header_of(&part, to_ascii, &mut edits);
        }
        let (kind, subtype) = part.media_type();
        if is_report((&kind, &subtype))
            && !part.encoding().is_encoded()
            && !part.raw_body().is_ascii()
        {
            report(&part, &mut edits);
        }
    }
    edits
}

fn header_of(part: &Part, to_ascii: ToAscii, edits: &mut Vec<Edit>) {
    let header = part.header_range();
    let mut at = header.start;
    for field in part.fields() {
        junk(part.raw, at..field.range().start, edits);
        at = field.range().end;
        if !field.raw().is_ascii() {
            let mut text = rewritten(&field, to_ascii);
            if !field.raw().ends_with(b"\n") {
                text.truncate(text.trim_end().len());
            }
            edits.push(Edit {
                place: field.range(),
                text,
            });
        }
    }
    junk(part.raw, at..header.end, edits);
}

/// Lines of a header that are no fields: what is not ASCII in them says nothing to anybody.
fn junk(raw: &[u8], place: Range<usize>, edits: &mut Vec<Edit>) {
    let octets = raw.get(place.clone()).unwrap_or_default();
    if !octets.is_ascii() {
        let ascii = |octet: &u8| {
            if octet.is_ascii() {
                char::from(*octet)
            } else {
                '?'
            }
        };
        edits.push(Edit {
            place,
            text: octets.iter().map(ascii).collect(),
        });
    }
}

/// RFC 6857 §3.2: what becomes of each field.
fn rewritten(field: &Field, to_ascii: ToAscii) -> String {
    if !field.name().is_ascii() {
        return String::new();
    }
    let name = field.name_text();
    let structured = match field.id() {
        Name::From
        | Name::Sender
        | Name::ReplyTo
        | Name::To
        | Name::Cc
        | Name::Bcc
        | Name::ResentFrom
        | Name::ResentSender
        | Name::ResentReplyTo
        | Name::ResentTo
        | Name::ResentCc
        | Name::ResentBcc
        | Name::ReturnPath
        | Name::DeliveredTo
        | Name::DispositionNotificationTo => Some(addresses(field, to_ascii)),
        Name::Date
        | Name::ResentDate
        | Name::MimeVersion
        | Name::ContentId
        | Name::ContentTransferEncoding
        | Name::ContentLanguage
        | Name::AutoSubmitted => comments(field),
        Name::MessageId | Name::ResentMessageId | Name::InReplyTo | Name::References => {
            Some(comments(field).unwrap_or_else(|| encapsulated(&name, field.value())))
        }
        Name::Received => received(field, to_ascii),
        Name::ContentType | Name::ContentDisposition => Some(params(field)),
        Name::Keywords => Some(keywords(field)),
        _ if is_recipient(&name) => Some(typed_address(&name, field.value())),
        _ => None,
    };
    structured.unwrap_or_else(|| header::text(&name, &field.text()))
}

/// RFC 6857 §3.1.10.
fn encapsulated(name: &str, value: &[u8]) -> String {
    let mut text = String::new();
    encoded_word::unfold_into(value.trim_ascii(), &mut text);
    header::text(&format!("Downgraded-{name}"), &text)
}

/// RFC 6857 §3.2.1: comments that are no names are left out.
fn addresses(field: &Field, to_ascii: ToAscii) -> String {
    let list = AddressList::parse(field.value());
    let mut line = Line::new(&field.name_text());
    let mut entries = list.entries().peekable();
    let mut first = true;
    while let Some(entry) = entries.next() {
        if !std::mem::take(&mut first) {
            line.push(",");
        }
        match entry {
            Entry::Mailbox(mailbox) => put_mailbox(&mut line, &mailbox, to_ascii),
            Entry::GroupStart(name) => {
                let mut members = Vec::new();
                while let Some(Entry::Mailbox(mailbox)) =
                    entries.next_if(|entry| matches!(entry, Entry::Mailbox(_)))
                {
                    members.push(mailbox);
                }
                entries.next_if(|entry| matches!(entry, Entry::GroupEnd));
                put_group(&mut line, name, &members, to_ascii);
            }
            Entry::GroupEnd => {}
        }
    }
    line.finish()
}

/// An address in ASCII; None where there is none.
fn ascii_address(address: &str, to_ascii: ToAscii) -> Option<String> {
    if address.is_ascii() {
        return Some(address.to_owned());
    }
    let (local, domain) = address.rsplit_once('@')?;
    let domain = to_ascii(domain).filter(|domain| domain.is_ascii())?;
    local.is_ascii().then(|| format!("{local}@{domain}"))
}

/// RFC 6857 §3.1.8. Name and address are one text: blanks between encoded words are not shown.
fn put_mailbox(line: &mut Line, mailbox: &crate::Mailbox, to_ascii: ToAscii) {
    let name = mailbox.name.unwrap_or_default();
    match ascii_address(mailbox.address, to_ascii) {
        Some(address) if address.is_empty() && !name.is_empty() => line.phrase(name),
        Some(address) => line.mailbox(name, &address),
        None => {
            let text = format!("{name} {}", mailbox.address);
            line.encoded(text.trim(), true);
            line.push(" :;");
        }
    }
}

/// RFC 6857 §3.1.7.
fn put_group(line: &mut Line, name: &str, members: &[crate::Mailbox], to_ascii: ToAscii) {
    let writable = |member: &crate::Mailbox| ascii_address(member.address, to_ascii).is_some();
    if members.iter().all(writable) {
        if name.trim().is_empty() {
            line.word("\"\"");
        } else {
            line.phrase(name);
        }
        line.push(":");
        for (n, member) in members.iter().enumerate() {
            line.push(if n > 0 { "," } else { "" });
            put_mailbox(line, member, to_ascii);
        }
        return line.push(";");
    }
    let list = members.iter().map(|member| match member.name {
        Some(name) => format!("{name} <{}>", member.address),
        None => member.address.to_owned(),
    });
    let text = format!("{name} {}", list.collect::<Vec<_>>().join(", "));
    line.encoded(text.trim(), true);
    line.push(" :;");
}

/// A piece of a structured field.
enum Token {
    Word(String),
    /// What is between its parentheses.
    Comment(String),
}

/// Words, quoted strings and comments; None where one is no UTF-8.
fn tokens(field: &Field) -> Option<Vec<Token>> {
    let mut cursor = Cursor::new(field.message, field.value_range());
    let text = |octets: &[u8]| std::str::from_utf8(octets).ok().map(str::to_owned);
    let mut tokens = Vec::new();
    loop {
        cursor.skip_blanks();
        let start = cursor.at;
        match cursor.peek() {
            None => return Some(tokens),
            Some(b'(') => {
                let inside = cursor.comment();
                tokens.push(Token::Comment(text(cursor.slice(inside))?));
                continue;
            }
            Some(b'"') => {
                cursor.quoted();
            }
            Some(_) => {
                cursor.take_while(|octet| !is_blank(octet) && octet != b'(' && octet != b'"');
            }
        }
        tokens.push(Token::Word(text(cursor.slice(start..cursor.at))?));
    }
}

fn put_comment(line: &mut Line, comment: &str) {
    if comment.is_ascii() {
        let whole = format!("({comment})");
        return whole
            .split_ascii_whitespace()
            .for_each(|word| line.word(word));
    }
    line.word("(");
    line.encoded(&encoded_word::text(comment.as_bytes()), true);
    line.push(")");
}

/// RFC 6857 §3.1.3; None where something is left that is not ASCII.
fn comments(field: &Field) -> Option<String> {
    let mut line = Line::new(&field.name_text());
    for token in tokens(field)? {
        match token {
            Token::Comment(comment) => put_comment(&mut line, &comment),
            Token::Word(word) if word.is_ascii() => line.word(&word),
            Token::Word(_) => return None,
        }
    }
    Some(line.finish())
}

/// RFC 6857 §3.2.4; None where something is left that is not ASCII.
fn received(field: &Field, to_ascii: ToAscii) -> Option<String> {
    let mut line = Line::new(&field.name_text());
    let mut tokens = tokens(field)?.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let word = match token {
            Token::Comment(comment) => {
                put_comment(&mut line, &comment);
                continue;
            }
            Token::Word(word) => word,
        };
        let clause = word.eq_ignore_ascii_case("for") || word.eq_ignore_ascii_case("id");
        let of_clause = |next: &Token| matches!(next, Token::Word(next) if !next.is_ascii());
        if clause && let Some(Token::Word(value)) = tokens.next_if(of_clause) {
            let (value, end) = without_semicolon(&value);
            let address = value.trim_start_matches('<').trim_end_matches('>');
            // A clause that cannot be written goes.
            match ascii_address(address, to_ascii) {
                Some(address) if word.eq_ignore_ascii_case("for") => {
                    line.word(&word);
                    line.word(&format!("<{address}>{end}"));
                }
                _ => line.push(end),
            }
        } else if word.is_ascii() {
            line.word(&word);
        } else {
            let (domain, end) = without_semicolon(&word);
            let domain = to_ascii(domain).filter(|domain| domain.is_ascii())?;
            line.word(&format!("{domain}{end}"));
        }
    }
    Some(line.finish())
}

fn without_semicolon(word: &str) -> (&str, &'static str) {
    match word.strip_suffix(';') {
        Some(word) => (word, ";"),
        None => (word, ""),
    }
}

/// RFC 6857 §3.1.4.
fn params(field: &Field) -> String {
    let (first, second, params) = field.with_params();
    // Another octet in its place, so that a type which is none does not become one.
    let ascii = |word: &[u8]| -> String {
        let octet = |octet: &u8| {
            if octet.is_ascii() {
                char::from(*octet)
            } else {
                '_'
            }
        };
        word.iter().map(octet).collect()
    };
    let value = match second {
        [] => ascii(first),
        _ => format!("{}/{}", ascii(first), ascii(second)),
    };
    let params = params.all();
    let named = params.iter().filter(|(name, _)| name.is_ascii());
    header::with_params(
        &field.name_text(),
        &value,
        named.map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

/// RFC 6857 §3.2.7.
fn keywords(field: &Field) -> String {
    let mut line = Line::new(&field.name_text());
    let text = field.text();
    for (n, phrase) in text.split(',').map(str::trim).enumerate() {
        line.push(if n > 0 { "," } else { "" });
        if !phrase.is_empty() {
            line.phrase(phrase);
        }
    }
    line.finish()
}

fn is_report((kind, subtype): (&str, &str)) -> bool {
    kind == "message" && matches!(subtype, "delivery-status" | "global-delivery-status")
}

fn is_recipient(name: &str) -> bool {
    name.eq_ignore_ascii_case("Original-Recipient") || name.eq_ignore_ascii_case("Final-Recipient")
}

/// RFC 6857 §4.2: the addresses of a delivery report.
fn report(part: &Part, edits: &mut Vec<Edit>) {
    let mut at = part.body_range().start;
    for line in part.raw_body().split_inclusive(|octet| *octet == b'\n') {
        let place = at..at + line.len();
        at = place.end;
        let Some(colon) = line.iter().position(|octet| *octet == b':') else {
            continue;
        };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        if !line.is_ascii() && is_recipient(&name) {
            let text = typed_address(&name, value.get(1..).unwrap_or_default());
            edits.push(Edit { place, text });
        }
    }
}

/// RFC 6857 §3.1.9: `utf-8; address` with what is not ASCII as `\x{…}` (RFC 6533 §3), other types encapsulated.
fn typed_address(name: &str, value: &[u8]) -> String {
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.split_once(';') {
        Some((kind, address)) if kind.trim().eq_ignore_ascii_case("utf-8") => {
            let mut written = String::new();
            for c in address.trim().chars() {
                match c {
                    '+' | '=' | '\\' => written.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
                    c if c.is_ascii_graphic() => written.push(c),
                    c => written.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
                }
            }
            format!("{name}: utf-8; {written}\r\n")
        }
        _ => encapsulated(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn a_labels(domain: &str) -> Option<String> {
        match domain {
            "bücher.example" => Some("xn--bcher-kva.example".to_owned()),
            other => other.is_ascii().then(|| other.to_owned()),
        }
    }

    fn made(raw: &str) -> String {
        let out = make(raw.as_bytes(), &a_labels);
        assert_eq!(out.len(), size(raw.as_bytes(), &a_labels));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_field_in_its_way() {
        let cases = [
            (
                "Subject: ASCII  stays\r\n as it is",
                "Subject: ASCII  stays\r\n as it is",
            ),
            ("Subject: Grüße", "Subject: =?utf-8?b?R3LDvMOfZQ==?="),
            ("X-Other: Grüße", "X-Other: =?utf-8?b?R3LDvMOfZQ==?="),
            (
                "To: Jörg <j@b.example>, k@b.example",
                "To: =?utf-8?b?SsO2cmc=?= <j@b.example>, k@b.example",
            ),
            ("To: j@bücher.example", "To: j@xn--bcher-kva.example"),
            (
                "Cc: jörg@b.example, J <jörg@bücher.example>",
                "Cc: =?utf-8?b?asO2cmdAYi5leGFtcGxl?= :;, =?utf-8?q?J_?=\r\n =?utf-8?b?asO2cmdAYsO8Y2hlci5leGFtcGxl?= :;",
            ),
            (
                "To: Läser: a@b.example, c@bücher.example;",
                "To: =?utf-8?b?TMOkc2Vy?=: a@b.example, c@xn--bcher-kva.example;",
            ),
            (
                "To: G: ä@b.example;, x@b.example",
                "To: =?utf-8?b?RyDDpEBiLmV4YW1wbGU=?= :;, x@b.example",
            ),
            (
                "Return-Path: <ä@b.example>",
                "Return-Path: =?utf-8?b?w6RAYi5leGFtcGxl?= :;",
            ),
            (
                "Date: Mon, 30 Jul 2012 01:23:45 +0200 (Mitteleuropäische Zeit)",
                "Date: Mon, 30 Jul 2012 01:23:45 +0200 ( =?utf-8?q?Mitteleurop=C3=A4ische_?=\r\n =?utf-8?q?Zeit?=)",
            ),
            (
                "Message-ID: <ä@b.example>",
                "Downgraded-Message-ID: =?utf-8?q?<=C3=A4@b.example>?=",
            ),
            (
                "References: <a@b> (ä)",
                "References: <a@b> ( =?utf-8?b?w6Q=?=)",
            ),
            (
                "Received: from bücher.example (bücher) by b.example id ä1 for <ä@b.example>; Mon, 30 Jul 2012",
                "Received: from xn--bcher-kva.example ( =?utf-8?q?b=C3=BCcher?=) by b.example;\r\n Mon, 30 Jul 2012",
            ),
            (
                "Received: by b.example for <a@bücher.example>; Mon",
                "Received: by b.example for <a@xn--bcher-kva.example>; Mon",
            ),
            (
                "Content-Type: text/plain; charset=utf-8; name=\"größe.txt\"",
                "Content-Type: text/plain; charset=utf-8; name*=utf-8''gr%C3%B6%C3%9Fe.txt",
            ),
            (
                "Content-Disposition: attachment; filename=ä",
                "Content-Disposition: attachment; filename*=utf-8''%C3%A4",
            ),
            (
                "Keywords: eins, zwölf",
                "Keywords: eins, =?utf-8?b?enfDtmxm?=",
            ),
            (
                "Original-Recipient: utf-8; ä+b@c.example",
                "Original-Recipient: utf-8; \\x{E4}\\x{2B}b@c.example",
            ),
            (
                "Original-Recipient: x; ä",
                "Downgraded-Original-Recipient: =?utf-8?b?eDsgw6Q=?=",
            ),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .map(|(field, expected)| (made(&format!("{field}\r\n\r\ncafé")), expected))
            .filter(|(found, expected)| *found != format!("{expected}\r\n\r\ncafé"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn parts_and_reports_too() {
        let raw = "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
            Content-Description: Prüfung\r\n\r\ncafé\r\n--b\r\nContent-Type: message/global-delivery-status\r\n\r\n\
            Reporting-MTA: dns; b.example\r\n\r\nFinal-Recipient: utf-8; ä@b.example\r\nAction: failed\r\n\r\n--b\r\n\
            Content-Type: message/global\r\n\r\nSubject: café\r\n\r\ncafé\r\n--b--\r\n";
        let expected = raw
            .replace("Prüfung", "=?utf-8?q?Pr=C3=BCfung?=")
            .replace("ä@b", "\\x{E4}@b")
            .replace("Subject: café", "Subject: =?utf-8?b?Y2Fmw6k=?=");
        assert_eq!(made(raw), expected);
    }

    #[test]
    fn what_is_no_header_does_not_become_one() {
        for (raw, expected) in [
            ("Süb: x\r\nA: b\r\n\r\n", "S??b: x\r\nA: b\r\n\r\n"),
            ("Subject: é", "Subject: =?utf-8?b?w6k=?="),
            (
                "Content-Type: multipart/mixed; éboundary=b\r\n\r\n--b\r\n\r\n--b--\r\n",
                "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n--b--\r\n",
            ),
        ] {
            assert_eq!(made(raw), expected);
        }
        let latin = make(b"Subject: caf\xe9\r\n\r\n", &a_labels);
        assert_eq!(latin, b"Subject: =?utf-8?b?Y2Fmw6k=?=\r\n\r\n");
    }

    proptest! {
        #[test]
        fn headers_are_ascii_and_parts_stay(
            fields in proptest::collection::vec(
                ("(From|To|Cc|Date|Message-ID|Received|Subject|Content-Type|Content-Disposition|Keywords|X|é)",
                 "[ -~é世\"(<>;,@:=]{0,60}"),
                0..6,
            ),
            nested in "[ -~é\r\n:;\"]{0,60}",
        ) {
            let mut raw = String::new();
            for (name, value) in fields {
                raw.push_str(&format!("{name}: {value}\r\n"));
            }
            raw.push_str("Content-Type: multipart/mixed; boundary=b; name=é\r\n\r\n--b\r\n");
            raw.push_str(&format!("{nested}\r\n\r\ncafé\r\n--b\r\nSubject: é\r\n\r\ncafé\r\n--b--\r\n"));
            let out = make(raw.as_bytes(), &a_labels);
            prop_assert_eq!(out.len(), size(raw.as_bytes(), &a_labels));
            let (old, new) = (Index::parse(raw.as_bytes()), Index::parse(&out));
            prop_assert!(!needed(&new, &out), "{}", String::from_utf8_lossy(&out));
            prop_assert_eq!(old.parts().len(), new.parts().len());
        }
    }
}
