//! `RCPT TO`.

use super::{Command, Error};
use crate::address;
use crate::parameters;
use crate::server::Quirks;
use wire::cursor::Cursor;

/// `rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]`.
///
/// The same kindness as in `MAIL`. Whether SMTPUTF8 was asked for is known to the transaction only.
pub(super) fn rcpt<'a>(cursor: &mut Cursor<'a>, quirks: Quirks) -> Result<Command<'a>, Error> {
    if !cursor.eat_ignore_case(b"TO:") {
        return Err(Error::Arguments);
    }
    if quirks.space_after_colon {
        cursor.take_while(|octet| octet == b' ');
    }
    let to = address::forward_path(cursor, quirks.bare_address).map_err(Error::Recipient)?;
    let parameters = parameters::Recipient::parse(cursor)?;
    Ok(Command::Rcpt { to, parameters })
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command};
    use crate::address;
    use crate::parameters::Recipient;

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
        assert_eq!(parsed("RCPT TO:<a@b> FOO=1"), Err(Error::Parameter));
        assert_eq!(parsed("RCPT TO:<a@b> "), Ok("a@b".into()));
    }

    fn parameters(text: &str) -> Result<Recipient, Error> {
        match command(format!("RCPT TO:<a@b> {text}").as_bytes())? {
            Command::Rcpt { parameters, .. } => Ok(parameters),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_are_read_and_written() {
        for text in [
            "NOTIFY=NEVER",
            "NOTIFY=SUCCESS,FAILURE,DELAY",
            "NOTIFY=DELAY ORCPT=rfc822;Bob@Example.COM RRVS=2014-04-03T23:01:00Z;C",
            "ORCPT=utf-8;\\x{FC}@x.example RRVS=2014-04-03T23:01:00Z",
        ] {
            let read = parameters(text).unwrap();
            assert_eq!(read.offered(|_| true, false), format!(" {text}"));
            assert_eq!(read.offered(|_| false, true), "");
        }
        let notify = parameters("notify=success,Success").unwrap().notify;
        assert_eq!(
            notify.map(|notify| notify.encode()),
            Some("SUCCESS".to_owned())
        );
        for bad in [
            "NOTIFY",
            "NOTIFY=",
            "NOTIFY=NEVER,SUCCESS",
            "NOTIFY=SUCCESS,",
            "NOTIFY=ALWAYS",
            "NOTIFY=NEVER NOTIFY=NEVER",
            "ORCPT=a@b",
            "ORCPT=rfc822;a ORCPT=rfc822;a",
            "RRVS=2014-04-03T23:01:00Z;X",
            "RRVS=2014-04-03T23:01:00.1Z",
            "RRVS=yesterday",
            "RRVS",
        ] {
            assert_eq!(parameters(bad), Err(Error::Arguments), "{bad}");
        }
    }
}
