//! Mailboxes and paths of the envelope (RFC 5321 §4.1.2, internationalised by RFC 6531 §3.3).

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use wire::cursor::Cursor;

/// `Mailbox = Local-part "@" ( Domain / address-literal )`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local: String,
    domain: Domain,
}

/// What stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// A domain name as it was written, A-labels or U-labels.
    Name(String),
    /// `[192.0.2.1]`.
    Ipv4(Ipv4Addr),
    /// `[IPv6:2001:db8::1]`.
    Ipv6(Ipv6Addr),
}

/// `Reverse-path = Path / "<>"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a notification, to which no notification may be sent.
    Null,
    /// The sender.
    Mailbox(Mailbox),
}

/// What RCPT TO names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    Postmaster,
    /// The recipient; a source route in front of it was dropped (RFC 5321 Appendix C).
    Mailbox(Mailbox),
}

/// Why an address does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else than the grammar allows stands at this octet.
    #[error("unexpected octet at {0}")]
    Unexpected(usize),
    /// Octets above 127 without SMTPUTF8, or that are no UTF-8.
    #[error("internationalised address without SMTPUTF8")]
    Utf8NotAllowed,
    /// A local part above [`LOCAL_LIMIT`].
    #[error("local part too long")]
    LocalTooLong,
    /// A domain above 255 octets or a label above 63 (RFC 5321 §4.5.3.1.2, RFC 1035 §2.3.4).
    #[error("domain too long")]
    DomainTooLong,
}

/// Octets of a local part. RFC 5321 §4.5.3.1.1 says 64 and asks for more where possible: return addresses of
/// mailing lists that carry the recipient's address exceed it daily.
pub const LOCAL_LIMIT: usize = 255;

/// Octets of a domain (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_LIMIT: usize = 255;

/// Octets of a label (RFC 1035 §2.3.4). A U-label may be longer in UTF-8 than as A-label; it is not measured here.
const LABEL_LIMIT: usize = 63;

impl Mailbox {
    /// Parses the whole of `text`. `utf8` allows what RFC 6531 §3.3 adds.
    pub fn parse(text: &[u8], utf8: bool) -> Result<Mailbox, Error> {
        let mut cursor = Cursor::new(text);
        let mailbox = mailbox(&mut cursor)?;
        if !cursor.rest().is_empty() {
            return Err(unexpected(&cursor));
        }
        if mailbox.needs_utf8() && !utf8 {
            return Err(Error::Utf8NotAllowed);
        }
        Ok(mailbox)
    }

    /// The local part without its quotes and escapes.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether the address can only travel with SMTPUTF8.
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || matches!(&self.domain, Domain::Name(name) if !name.is_ascii())
    }
}

impl Domain {
    /// Parses the whole of `text`.
    pub fn parse(text: &[u8]) -> Result<Domain, Error> {
        let mut cursor = Cursor::new(text);
        let domain = domain_or_literal(&mut cursor)?;
        if cursor.rest().is_empty() {
            Ok(domain)
        } else {
            Err(unexpected(&cursor))
        }
    }
}

impl ReversePath {
    /// The mailbox, unless the path is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// `Reverse-path = Path / "<>"`. Non-ASCII is let through: SMTPUTF8 stands behind the path and is checked there.
pub(crate) fn reverse_path(cursor: &mut Cursor<'_>, bare: bool) -> Result<ReversePath, Error> {
    if cursor.eat_ignore_case(b"<>") {
        return Ok(ReversePath::Null);
    }
    path(cursor, bare).map(ReversePath::Mailbox)
}

/// `"<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path` (RFC 5321 §4.1.1.3).
pub(crate) fn forward_path(cursor: &mut Cursor<'_>, bare: bool) -> Result<ForwardPath, Error> {
    if cursor.eat_ignore_case(b"<postmaster>") {
        return Ok(ForwardPath::Postmaster);
    }
    path(cursor, bare).map(ForwardPath::Mailbox)
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`, where the source route is dropped (RFC 5321 §4.1.2, Appendix C).
///
/// With `bare` the brackets may be missing, and then there is no source route.
fn path(cursor: &mut Cursor<'_>, bare: bool) -> Result<Mailbox, Error> {
    if bare && cursor.peek() != Some(b'<') {
        return mailbox(cursor);
    }
    expect(cursor, b'<')?;
    if cursor.peek() == Some(b'@') {
        source_route(cursor)?;
    }
    let mailbox = mailbox(cursor)?;
    expect(cursor, b'>')?;
    Ok(mailbox)
}

/// `A-d-l = At-domain *( "," At-domain )`, with the colon that ends it.
fn source_route(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    loop {
        expect(cursor, b'@')?;
        domain_or_literal(cursor)?;
        if cursor.eat(b',') {
            continue;
        }
        return expect(cursor, b':');
    }
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )`.
fn mailbox(cursor: &mut Cursor<'_>) -> Result<Mailbox, Error> {
    let local = if cursor.peek() == Some(b'"') {
        quoted_string(cursor)?
    } else {
        dot_string(cursor)?
    };
    if local.len() > LOCAL_LIMIT {
        return Err(Error::LocalTooLong);
    }
    expect(cursor, b'@')?;
    let domain = domain_or_literal(cursor)?;
    Ok(Mailbox { local, domain })
}

/// `Dot-string = Atom *("."  Atom)`.
fn dot_string(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let start = cursor.position();
    loop {
        if cursor.take_while(is_atext).is_empty() {
            return Err(unexpected(cursor));
        }
        if !cursor.eat(b'.') {
            return text(cursor.since(start), start);
        }
    }
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`, returned without quotes and escapes.
fn quoted_string(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let start = cursor.position();
    expect(cursor, b'"')?;
    let mut content = Vec::new();
    loop {
        let before = *cursor;
        match cursor.next() {
            Some(b'"') => return text(&content, start),
            // quoted-pairSMTP = %d92 %d32-126
            Some(b'\\') => match cursor.next() {
                Some(octet @ b' '..=b'~') => content.push(octet),
                _ => return Err(unexpected(&before)),
            },
            // qtextSMTP = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii
            Some(octet) if (b' '..=b'~').contains(&octet) || octet >= 0x80 => content.push(octet),
            _ => return Err(unexpected(&before)),
        }
    }
}

/// `Domain / address-literal`.
fn domain_or_literal(cursor: &mut Cursor<'_>) -> Result<Domain, Error> {
    if cursor.peek() == Some(b'[') {
        return address_literal(cursor);
    }
    let start = cursor.position();
    loop {
        sub_domain(cursor)?;
        if !cursor.eat(b'.') {
            break;
        }
    }
    let name = text(cursor.since(start), start)?;
    if name.len() > DOMAIN_LIMIT {
        return Err(Error::DomainTooLong);
    }
    Ok(Domain::Name(name))
}

/// `sub-domain = Let-dig [Ldh-str] / U-label` (RFC 5321 §4.1.2, RFC 6531 §3.3).
fn sub_domain(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    let before = *cursor;
    let label =
        cursor.take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet >= 0x80);
    if label.is_empty() {
        return Err(unexpected(cursor));
    }
    if label.starts_with(b"-") || label.ends_with(b"-") {
        return Err(unexpected(&before));
    }
    if label.is_ascii() && label.len() > LABEL_LIMIT {
        return Err(Error::DomainTooLong);
    }
    Ok(())
}

/// `address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"`. There is no
/// registered general literal, so none is taken (RFC 5321 §4.1.3).
fn address_literal(cursor: &mut Cursor<'_>) -> Result<Domain, Error> {
    expect(cursor, b'[')?;
    let before = *cursor;
    let v6 = cursor.eat_ignore_case(b"IPv6:");
    let literal =
        cursor.take_while(|octet| octet.is_ascii_hexdigit() || octet == b'.' || octet == b':');
    let literal = std::str::from_utf8(literal).unwrap_or_default();
    let domain = if v6 {
        literal.parse().ok().map(Domain::Ipv6)
    } else {
        literal.parse().ok().map(Domain::Ipv4)
    };
    let domain = domain.ok_or_else(|| unexpected(&before))?;
    expect(cursor, b']')?;
    Ok(domain)
}

/// `atext` (RFC 5322 §3.2.3) and UTF8-non-ascii (RFC 6531 §3.3).
fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet) || octet >= 0x80
}

/// UTF-8 without characters that hide, reorder or end text: they have no place in an address and would forge what
/// people and logs see. The full stops that IDNA maps to `.` (RFC 3490 §3.1) would move the domain's borders.
fn text(octets: &[u8], offset: usize) -> Result<String, Error> {
    let text = std::str::from_utf8(octets).map_err(|_| Error::Utf8NotAllowed)?;
    let bad = |c: char| {
        c.is_control()
            || (!c.is_ascii() && c.is_whitespace())
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || matches!(
                c,
                '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{fff9}'..='\u{ffff}'
            )
    };
    match text.find(bad) {
        Some(at) => Err(Error::Unexpected(offset.saturating_add(at))),
        None => Ok(text.to_owned()),
    }
}

fn expect(cursor: &mut Cursor<'_>, octet: u8) -> Result<(), Error> {
    if cursor.eat(octet) {
        Ok(())
    } else {
        Err(unexpected(cursor))
    }
}

fn unexpected(cursor: &Cursor<'_>) -> Error {
    Error::Unexpected(cursor.position())
}

/// Writes the address as it goes into an envelope: quoted only where it has to be.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot_string = self
            .local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
        if dot_string {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Name(name) => f.write_str(name),
            Domain::Ipv4(ip) => write!(f, "[{ip}]"),
            Domain::Ipv6(ip) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

/// Writes the mailbox, or nothing for the null path; brackets are the caller's.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Writes the mailbox, or `postmaster`; brackets are the caller's.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Result<String, Error> {
        Mailbox::parse(text.as_bytes(), true).map(|mailbox| mailbox.to_string())
    }

    #[test]
    fn mailboxes() {
        let good = [
            ("a@b", "a@b"),
            ("first.last+tag@Example.ORG", "first.last+tag@Example.ORG"),
            ("u%dest@our", "u%dest@our"),
            ("dest!u@our", "dest!u@our"),
            ("\"plain\"@x.example", "plain@x.example"),
            ("\"two words\"@x.example", "\"two words\"@x.example"),
            ("\"a\\b\\\"c\"@x", "\"ab\\\"c\"@x"),
            ("\"\"@x", "\"\"@x"),
            ("\"u@dest\"@our", "\"u@dest\"@our"),
            ("\".\"@x", "\".\"@x"),
            ("u@[192.0.2.1]", "u@[192.0.2.1]"),
            ("u@[ipv6:2001:DB8::1]", "u@[IPv6:2001:db8::1]"),
            ("dörte@sörensen.example", "dörte@sörensen.example"),
            (
                "=?utf-8?q?u=40dest=3e=00?=@our",
                "=?utf-8?q?u=40dest=3e=00?=@our",
            ),
        ];
        for (text, expected) in good {
            assert_eq!(written(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn not_mailboxes() {
        let bad = [
            "",
            "a",
            "@b",
            "a@",
            "a@b.",
            "a@.b",
            "a@b..c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@-b",
            "a@b-",
            "a@b_c",
            "\"a@b",
            "\"a\"b@c",
            "\"a\\\"@b",
            "u@dest@our",
            "u@[1.2.3]",
            "u@[300.1.1.1]",
            "u@[IPv6:1.2.3.4]",
            "u@[x-y:z]",
            "u@[1.2.3.4",
            "a@b>c",
            "a\u{0}@b",
            "a\r@b",
            "a@b\u{2028}c",
            "a\u{202e}@b",
            "a@b\u{3002}c",
            "a@b\u{a0}c",
        ];
        for text in bad {
            assert!(
                matches!(written(text), Err(Error::Unexpected(_))),
                "{text:?}: {:?}",
                written(text)
            );
        }
        assert_eq!(Mailbox::parse(b"a\xff@b", true), Err(Error::Utf8NotAllowed));
        assert_eq!(
            Mailbox::parse("ä@b".as_bytes(), false),
            Err(Error::Utf8NotAllowed)
        );
        assert_eq!(
            written(&format!("{}@b", "a".repeat(256))),
            Err(Error::LocalTooLong)
        );
        assert_eq!(
            written(&format!("a@{}", "b".repeat(64))),
            Err(Error::DomainTooLong)
        );
        assert_eq!(
            written(&format!("a@{}", "b.".repeat(128) + "b")),
            Err(Error::DomainTooLong)
        );
    }

    #[test]
    fn paths() {
        let reverse = |text: &str| {
            reverse_path(&mut Cursor::new(text.as_bytes()), false).map(|path| path.to_string())
        };
        assert_eq!(reverse("<>").as_deref(), Ok(""));
        assert_eq!(reverse("<a@b>").as_deref(), Ok("a@b"));
        assert_eq!(reverse("<@a,@[192.0.2.1]:u@dest>").as_deref(), Ok("u@dest"));
        assert!(reverse("a@b").is_err());
        assert!(reverse("< >").is_err());
        assert!(reverse("<a@b").is_err());
        assert!(reverse("<@a:>").is_err());
        assert!(reverse("<postmaster>").is_err());
        let forward = |text: &str| forward_path(&mut Cursor::new(text.as_bytes()), false);
        assert_eq!(forward("<PostMaster>"), Ok(ForwardPath::Postmaster));
        assert!(forward("<>").is_err());
        assert_eq!(
            forward("<postmaster@x>").unwrap().to_string(),
            "postmaster@x"
        );
    }

    proptest! {
        /// What is written parses to the same mailbox; parsing never panics.
        #[test]
        fn written_and_read(local in "[ -~äß]{0,40}", domain in "[a-z]([a-z0-9]{0,5}\\.[a-z]){0,3}") {
            let mailbox = Mailbox { local, domain: Domain::Name(domain) };
            prop_assert_eq!(Mailbox::parse(mailbox.to_string().as_bytes(), true), Ok(mailbox));
        }

        #[test]
        fn any_octets(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Mailbox::parse(&octets, true);
            let _ = forward_path(&mut Cursor::new(&octets), false);
        }
    }
}
