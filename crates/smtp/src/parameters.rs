//! Parameters of MAIL FROM and RCPT TO (RFC 5321 §4.1.1.11 and the extensions that define them).

use crate::parse::Error;
use wire::cursor::Cursor;

/// What the sender says about the body (RFC 6152 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing, or `BODY=7BIT`.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// Parameters of MAIL FROM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// `SIZE=`, octets as the client estimates them (RFC 1870 §5).
    pub size: Option<u64>,
    /// `BODY=`.
    pub body: Body,
    /// `SMTPUTF8` (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// `AUTH=`, decoded from xtext; `<>` is the empty string (RFC 4954 §5). Never trusted, only carried.
    pub auth: Option<String>,
}

/// Parameters of RCPT TO. None is offered yet: the type keeps its place for DSN (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {}

impl Mail {
    /// `Mail-parameters = esmtp-param *(SP esmtp-param)`, each at most once.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Mail, Error> {
        let mut mail = Mail::default();
        let mut seen_body = false;
        while let Some((keyword, value)) = parameter(cursor)? {
            let first = match (keyword.to_ascii_uppercase().as_slice(), value) {
                (b"SIZE", Some(value)) => mail.size.replace(size(value)?).is_none(),
                (b"BODY", Some(value)) => {
                    mail.body = body(value)?;
                    !std::mem::replace(&mut seen_body, true)
                }
                (b"SMTPUTF8", None) => !std::mem::replace(&mut mail.smtputf8, true),
                (b"AUTH", Some(value)) => mail.auth.replace(auth(value)?).is_none(),
                (b"SIZE" | b"BODY" | b"SMTPUTF8" | b"AUTH", _) => false,
                _ => return Err(Error::Parameter),
            };
            if !first {
                return Err(Error::Arguments);
            }
        }
        Ok(mail)
    }
}

impl Recipient {
    /// `Rcpt-parameters = esmtp-param *(SP esmtp-param)`.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Recipient, Error> {
        match parameter(cursor)? {
            None => Ok(Recipient {}),
            Some(_) => Err(Error::Parameter),
        }
    }
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]` with the space before it.
#[allow(clippy::type_complexity)] // A keyword and its value.
fn parameter<'a>(cursor: &mut Cursor<'a>) -> Result<Option<(&'a [u8], Option<&'a [u8]>)>, Error> {
    if cursor.rest().is_empty() {
        return Ok(None);
    }
    cursor.expect(b' ', "space").map_err(|_| Error::Arguments)?;
    // esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
    let keyword = cursor
        .take_while1(
            |octet| octet.is_ascii_alphanumeric() || octet == b'-',
            "keyword",
        )
        .map_err(|_| Error::Arguments)?;
    if !cursor.eat(b'=') {
        return Ok(Some((keyword, None)));
    }
    // esmtp-value = 1*(%d33-60 / %d62-126); RFC 6531 §3.3 adds UTF8-non-ascii, which no parameter here needs.
    let value = cursor
        .take_while1(
            |octet| (b'!'..=b'~').contains(&octet) && octet != b'=',
            "value",
        )
        .map_err(|_| Error::Arguments)?;
    Ok(Some((keyword, Some(value))))
}

/// `size-value = 1*20DIGIT` (RFC 1870 §5); what does not fit 64 bits is refused as well.
fn size(value: &[u8]) -> Result<u64, Error> {
    let mut cursor = Cursor::new(value);
    match cursor.number("size") {
        Ok(size) if cursor.rest().is_empty() && value.len() <= 20 => Ok(size),
        _ => Err(Error::Arguments),
    }
}

/// `body-value = "7BIT" / "8BITMIME"` (RFC 6152 §3). BINARYMIME is not offered.
fn body(value: &[u8]) -> Result<Body, Error> {
    match value.to_ascii_uppercase().as_slice() {
        b"7BIT" => Ok(Body::SevenBit),
        b"8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(Error::Arguments),
    }
}

/// `AUTH=` is xtext of a mailbox, or `<>` (RFC 4954 §5).
fn auth(value: &[u8]) -> Result<String, Error> {
    if value == b"<>" {
        return Ok(String::new());
    }
    xtext(value).ok_or(Error::Arguments)
}

/// `xtext = *( xchar / hexchar )` (RFC 3461 §4). Control characters are refused although the grammar can carry them:
/// the value ends up in logs and headers.
pub(crate) fn xtext(value: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut cursor = Cursor::new(value);
    while let Some(octet) = cursor.next() {
        let octet = match octet {
            b'+' => hexchar(cursor.take(2)?)?,
            b'!'..=b'~' if octet != b'=' => octet,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&octet) {
            return None;
        }
        out.push(char::from(octet));
    }
    Some(out)
}

/// `hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits`.
fn hexchar(digits: &[u8]) -> Option<u8> {
    if !digits
        .iter()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'))
    {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
