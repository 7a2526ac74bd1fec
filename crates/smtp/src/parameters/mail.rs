//! Parameters of MAIL FROM.

use super::{DeliverBy, Hold, ascii, parameter, time, whole, xtext};
use crate::parse::Error;
use wire::cursor::Cursor;

/// Octets of the whole parameter ENVID (RFC 3461 §4.4).
const ENVID_LIMIT: usize = 100;

/// Octets of the value of SOLICIT (RFC 3865 §2.3).
const SOLICIT_LIMIT: usize = 1_000;

/// What the sender says about the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing, or `BODY=7BIT`.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME` (RFC 6152 §3).
    EightBitMime,
    /// `BODY=BINARYMIME`, with BDAT only (RFC 3030 §3).
    BinaryMime,
}

/// What of a message is returned with a report of its failure (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// `RET=FULL`: all of it.
    Full,
    /// `RET=HDRS`: its header.
    Headers,
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
    /// `AUTH=`, decoded from xtext; `<>` is the empty string (RFC 4954 §5).
    pub auth: Option<String>,
    /// `RET=` (RFC 3461 §4.3).
    pub ret: Option<Return>,
    /// `ENVID=`, decoded from xtext: printable ASCII (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// `BY=` (RFC 2852 §4).
    pub deliver_by: Option<DeliverBy>,
    /// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865).
    pub hold: Option<Hold>,
    /// `MT-PRIORITY=`, -9 to 9 (RFC 6710 §3).
    pub priority: Option<i8>,
    /// `REQUIRETLS` (RFC 8689 §2).
    pub require_tls: bool,
    /// `SOLICIT=`, the classes of solicitation the message belongs to (RFC 3865 §2.3).
    pub solicit: Vec<String>,
}

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
                (b"RET", Some(value)) => mail.ret.replace(ret(value)?).is_none(),
                (b"ENVID", Some(value)) => mail.envid.replace(envid(value)?).is_none(),
                (b"BY", Some(value)) => {
                    let by = whole(DeliverBy::parse(ascii(value)?))?;
                    mail.deliver_by.replace(by).is_none()
                }
                // RFC 4865 §4.2: one of the two, once.
                (b"HOLDFOR", Some(value)) => {
                    let hold = whole(Hold::parse_for(ascii(value)?))?;
                    mail.hold.replace(hold).is_none()
                }
                (b"HOLDUNTIL", Some(value)) => {
                    let hold = whole(Hold::parse_until(ascii(value)?))?;
                    mail.hold.replace(hold).is_none()
                }
                (b"MT-PRIORITY", Some(value)) => {
                    mail.priority.replace(whole(priority(value))?).is_none()
                }
                (b"REQUIRETLS", None) => !std::mem::replace(&mut mail.require_tls, true),
                (b"SOLICIT", Some(value)) => {
                    std::mem::replace(&mut mail.solicit, solicit(value)?).is_empty()
                }
                (keyword, _) if is_known(keyword) => false,
                _ => return Err(Error::Parameter),
            };
            if !first {
                return Err(Error::Arguments);
            }
        }
        Ok(mail)
    }

    /// The parameters as they go behind the path, each with a space before it, of those that `offered` names. SIZE, BODY
    /// and SMTPUTF8 are the caller's, who knows the message.
    pub fn offered(&self, offered: impl Fn(&str) -> bool) -> String {
        let mut all: Vec<(&str, String)> = Vec::new();
        if let Some(ret) = self.ret {
            let ret = match ret {
                Return::Full => "RET=FULL",
                Return::Headers => "RET=HDRS",
            };
            all.push(("DSN", ret.to_owned()));
        }
        if let Some(envid) = &self.envid {
            all.push(("DSN", format!("ENVID={}", super::xtext(envid))));
        }
        if let Some(by) = &self.deliver_by {
            all.push(("DELIVERBY", format!("BY={by}")));
        }
        match self.hold {
            Some(Hold::For(seconds)) => all.push(("FUTURERELEASE", format!("HOLDFOR={seconds}"))),
            Some(Hold::Until(at)) => {
                all.push(("FUTURERELEASE", format!("HOLDUNTIL={}", time::format(at))));
            }
            None => {}
        }
        if let Some(priority) = self.priority {
            all.push(("MT-PRIORITY", format!("MT-PRIORITY={priority}")));
        }
        if self.require_tls {
            all.push(("REQUIRETLS", "REQUIRETLS".to_owned()));
        }
        if !self.solicit.is_empty() {
            let value = format!("SOLICIT={}", self.solicit.join(","));
            all.push(("NO-SOLICITING", value));
        }
        match self.auth.as_deref() {
            Some("") => all.push(("AUTH", "AUTH=<>".to_owned())),
            Some(auth) => all.push(("AUTH", format!("AUTH={}", super::xtext(auth)))),
            None => {}
        }
        all.into_iter()
            .filter(|(keyword, _)| offered(keyword))
            .map(|(_, text)| format!(" {text}"))
            .collect()
    }
}

/// Known, and with a value where there is none, or without where there is one.
fn is_known(keyword: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 12] = [
        b"SIZE",
        b"BODY",
        b"SMTPUTF8",
        b"AUTH",
        b"RET",
        b"ENVID",
        b"BY",
        b"HOLDFOR",
        b"HOLDUNTIL",
        b"MT-PRIORITY",
        b"REQUIRETLS",
        b"SOLICIT",
    ];
    KEYWORDS.contains(&keyword)
}

/// `size-value = 1*20DIGIT` (RFC 1870 §5); what does not fit 64 bits is refused as well.
fn size(value: &[u8]) -> Result<u64, Error> {
    let mut cursor = Cursor::new(value);
    match cursor.number("size") {
        Ok(size) if cursor.rest().is_empty() && value.len() <= 20 => Ok(size),
        _ => Err(Error::Arguments),
    }
}

/// `body-value = "7BIT" / "8BITMIME"` (RFC 6152 §3), `/ "BINARYMIME"` (RFC 3030 §3).
fn body(value: &[u8]) -> Result<Body, Error> {
    match value.to_ascii_uppercase().as_slice() {
        b"7BIT" => Ok(Body::SevenBit),
        b"8BITMIME" => Ok(Body::EightBitMime),
        b"BINARYMIME" => Ok(Body::BinaryMime),
        _ => Err(Error::Arguments),
    }
}

/// `AUTH=` is xtext of a mailbox, or `<>` (RFC 4954 §5).
fn auth(value: &[u8]) -> Result<String, Error> {
    if value == b"<>" {
        return Ok(String::new());
    }
    whole(xtext::decode(value).filter(|auth| !auth.is_empty()))
}

/// `ret-value = "FULL" / "HDRS"` (RFC 3461 §4.3).
fn ret(value: &[u8]) -> Result<Return, Error> {
    match value.to_ascii_uppercase().as_slice() {
        b"FULL" => Ok(Return::Full),
        b"HDRS" => Ok(Return::Headers),
        _ => Err(Error::Arguments),
    }
}

/// `envid-parameter = "ENVID=" xtext` (RFC 3461 §4.4).
fn envid(value: &[u8]) -> Result<String, Error> {
    if "ENVID=".len().saturating_add(value.len()) > ENVID_LIMIT {
        return Err(Error::Arguments);
    }
    whole(xtext::decode(value))
}

/// `priority-value = (["-"] NZDIGIT) / "0"` (RFC 6710 §7).
fn priority(value: &[u8]) -> Option<i8> {
    match value {
        [b'0'] => Some(0),
        [digit @ b'1'..=b'9'] => i8::try_from(digit.saturating_sub(b'0')).ok(),
        [b'-', digit @ b'1'..=b'9'] => i8::try_from(digit.saturating_sub(b'0'))
            .ok()
            .map(std::ops::Neg::neg),
        _ => None,
    }
}

/// `Solicitation-keywords = word *("," word)`, `word = ALPHA *(wordchar)`, `wordchar = "." / "-" / "_" / ":" / ALPHA /
/// DIGIT` (RFC 3865 §2.3).
fn solicit(value: &[u8]) -> Result<Vec<String>, Error> {
    if value.len() > SOLICIT_LIMIT {
        return Err(Error::Arguments);
    }
    let words = ascii(value)?.split(',').map(|word| {
        let plain = word.starts_with(|first: char| first.is_ascii_alphabetic())
            && word
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet));
        plain.then(|| word.to_owned()).ok_or(Error::Arguments)
    });
    words.collect()
}
