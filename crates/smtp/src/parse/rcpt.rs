//! `RCPT TO`.

use super::{Command, Error};
use crate::address;
use crate::parameters;
use wire::cursor::Cursor;

/// `rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]`.
///
/// The same kindness as in `MAIL`. Whether SMTPUTF8 was asked for is known to the transaction only.
pub(super) fn rcpt<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    if !cursor.eat_ignore_case(b"TO:") {
        return Err(Error::Arguments);
    }
    cursor.take_while(|octet| octet == b' ');
    let to = address::forward_path(cursor).map_err(Error::Recipient)?;
    let parameters = parameters::Recipient::parse(cursor)?;
    Ok(Command::Rcpt { to, parameters })
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command};
    use crate::address;

    fn parsed(line: &str) -> Result<String, Error> {
        match command(line.as_bytes())? {
            Command::Rcpt { to, .. } => Ok(to.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines() {
        assert_eq!(parsed("RCPT TO:<a@b>").as_deref(), Ok("a@b"));
        assert_eq!(parsed("rcpt to:  <@r:a@b>").as_deref(), Ok("a@b"));
        assert_eq!(parsed("RCPT TO:<POSTMASTER>").as_deref(), Ok("postmaster"));
        assert_eq!(parsed("RCPT TO:<ä@b>").as_deref(), Ok("ä@b"));
        assert_eq!(parsed("RCPT <a@b>"), Err(Error::Arguments));
        assert_eq!(
            parsed("RCPT TO:<>"),
            Err(Error::Recipient(address::Error::Unexpected(9)))
        );
        assert_eq!(parsed("RCPT TO:<a@b> NOTIFY=NEVER"), Err(Error::Parameter));
        assert_eq!(parsed("RCPT TO:<a@b> "), Ok("a@b".into()));
    }
}
