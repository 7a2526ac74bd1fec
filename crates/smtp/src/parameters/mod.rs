//! Parameters of MAIL FROM and RCPT TO (RFC 5321 §4.1.1.11 and the extensions that define them).
//!
//! Reading is whole: every parameter that any extension here defines is understood, with its edge cases, whether or not
//! the session offers it; `server::Session` refuses what it does not offer. Writing ([`Mail::offered`],
//! [`Recipient::offered`]) is the same table the other way round, for those who send.

mod deliver_by;
mod hold;
mod mail;
mod orcpt;
mod rcpt;
pub mod time;
mod xtext;

use crate::parse::Error;
use wire::cursor::Cursor;

pub use deliver_by::{ByMode, DeliverBy};
pub use hold::Hold;
pub use mail::{Body, Mail, Return};
pub use orcpt::Original;
pub use rcpt::{NoSupport, Notify, Recipient, ValidSince};
pub(crate) use xtext::decode as decode_xtext;
pub use xtext::xtext;

/// A keyword and its value.
type Parameter<'a> = (&'a [u8], Option<&'a [u8]>);

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]` with the space before it.
fn parameter<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Parameter<'a>>, Error> {
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
    // esmtp-value = 1*(%d33-60 / %d62-126); RFC 6531 §3.3 adds UTF8-non-ascii, which ORCPT alone uses (RFC 6533 §3).
    let value = cursor
        .take_while1(
            |octet| octet >= 0x80 || ((b'!'..=b'~').contains(&octet) && octet != b'='),
            "value",
        )
        .map_err(|_| Error::Arguments)?;
    Ok(Some((keyword, Some(value))))
}

/// The value as text, where only printable ASCII is allowed.
fn ascii(value: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or(Error::Arguments)
}

/// All of it, or an error of the arguments.
fn whole<T>(parsed: Option<T>) -> Result<T, Error> {
    parsed.ok_or(Error::Arguments)
}
