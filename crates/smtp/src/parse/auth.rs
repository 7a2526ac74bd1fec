//! `AUTH`.

use super::{Command, Error};
use wire::cursor::Cursor;

/// `auth-command = "AUTH" SP sasl-mech [SP initial-response]`, `initial-response = base64 / "="` (RFC 4954 §8).
/// The base64 is decoded by the session, which also knows what is offered.
pub(super) fn auth<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    let mechanism = cursor
        .take_while1(
            |octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_',
            "mechanism",
        )
        .map_err(|_| Error::Arguments)?;
    let initial = if cursor.eat(b' ') {
        Some(cursor.take_rest())
    } else {
        None
    };
    if cursor.rest().is_empty() {
        Ok(Command::Auth { mechanism, initial })
    } else {
        Err(Error::Arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command};

    #[test]
    fn lines() {
        let auth = |mechanism, initial| Ok(Command::Auth { mechanism, initial });
        assert_eq!(command(b"AUTH PLAIN"), auth(b"PLAIN".as_slice(), None));
        assert_eq!(
            command(b"auth scram-sha-256 ="),
            auth(b"scram-sha-256".as_slice(), Some(b"=".as_slice()))
        );
        assert_eq!(
            command(b"AUTH PLAIN AGEAYg=="),
            auth(b"PLAIN".as_slice(), Some(b"AGEAYg==".as_slice()))
        );
        assert_eq!(command(b"AUTH"), Err(Error::Arguments));
        assert_eq!(command(b"AUTH PL/AIN"), Err(Error::Arguments));
    }
}
