//! `EHLO`, `HELO` and `LHLO`.

use super::Error;
use crate::server::Quirks;
use wire::cursor::Cursor;

/// Octets of the name a client gives itself (RFC 5321 §4.5.3.1.2).
const LIMIT: usize = 255;

/// `ehlo = "EHLO" SP ( Domain / address-literal )`.
///
/// Only what can stand in a trace field as it is: letters, digits and `.-_:[]`. A kindness beyond the grammar is the
/// underscore, in which the host names of Windows machines are rich. The name is not verified (RFC 5321 §4.1.4).
pub(super) fn name<'a>(cursor: &mut Cursor<'a>, quirks: Quirks) -> Result<&'a str, Error> {
    let name = cursor.take_while(|octet| {
        octet.is_ascii_alphanumeric()
            || b".-:[]".contains(&octet)
            || (octet == b'_' && quirks.helo_underscore)
    });
    if name.is_empty() || name.len() > LIMIT || !cursor.rest().is_empty() {
        return Err(Error::Arguments);
    }
    std::str::from_utf8(name).map_err(|_| Error::Arguments)
}

/// The same of HELO, which some devices send alone.
pub(super) fn helo<'a>(cursor: &mut Cursor<'a>, quirks: Quirks) -> Result<&'a str, Error> {
    if quirks.empty_helo && cursor.rest().is_empty() {
        return Ok(NAMELESS);
    }
    name(cursor, quirks)
}

/// What stands for the name of a client that has none.
const NAMELESS: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command};

    #[test]
    fn names() {
        assert_eq!(
            command(b"EHLO client.example"),
            Ok(Command::Ehlo("client.example"))
        );
        assert_eq!(
            command(b"helo [192.0.2.1]"),
            Ok(Command::Helo("[192.0.2.1]"))
        );
        assert_eq!(command(b"LHLO [IPv6:::1]"), Ok(Command::Lhlo("[IPv6:::1]")));
        assert_eq!(command(b"EHLO WIN_PC"), Ok(Command::Ehlo("WIN_PC")));
        for bad in [
            "EHLO",
            "EHLO ",
            "EHLO a b",
            "EHLO a;b",
            "EHLO (a)",
            "EHLO ä.example",
            "EHLO <a>",
        ] {
            assert_eq!(command(bad.as_bytes()), Err(Error::Arguments), "{bad}");
        }
        assert_eq!(
            command(format!("EHLO {}", "a".repeat(256)).as_bytes()),
            Err(Error::Arguments)
        );
    }
}
