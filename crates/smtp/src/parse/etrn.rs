//! `ETRN`.

use super::{Command, Error};
use wire::cursor::Cursor;

/// Octets of a domain name (RFC 5321 §4.5.3.1.2).
const LIMIT: usize = 255;

/// `"ETRN" SP ["@"] domain`; `@` is for the domain and all below it (RFC 1985 §5.3). `#queue` names what we have not.
pub(super) fn etrn<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    let below = cursor.eat(b'@');
    let name = std::str::from_utf8(cursor.take_rest()).map_err(|_| Error::Arguments)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    if name.is_empty() || name.len() > LIMIT || !name.chars().all(plain) {
        return Err(Error::Arguments);
    }
    Ok(Command::Etrn {
        domain: name,
        below,
    })
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn nodes() {
        let etrn = |domain, below| Ok(Command::Etrn { domain, below });
        assert_eq!(command(b"ETRN a.example"), etrn("a.example", false));
        assert_eq!(command(b"etrn @a.example"), etrn("a.example", true));
        for bad in [
            "ETRN",
            "ETRN @",
            "ETRN #queue",
            "ETRN a b",
            "ETRN <a>",
            "ETRN a;b",
        ] {
            assert_eq!(command(bad.as_bytes()), Err(Error::Arguments), "{bad}");
        }
    }
}
