//! `MAIL FROM`.

use super::{Command, Error};
use crate::address;
use crate::parameters;
use wire::cursor::Cursor;

/// `mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]`.
///
/// A kindness: spaces behind the colon, which scripts and network appliances send.
pub(super) fn mail<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    if !cursor.eat_ignore_case(b"FROM:") {
        return Err(Error::Arguments);
    }
    cursor.take_while(|octet| octet == b' ');
    let from = address::reverse_path(cursor).map_err(Error::Sender)?;
    let parameters = parameters::Mail::parse(cursor)?;
    if from.mailbox().is_some_and(|mailbox| mailbox.needs_utf8()) && !parameters.smtputf8 {
        return Err(Error::Utf8);
    }
    Ok(Command::Mail { from, parameters })
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command};
    use crate::address;
    use crate::parameters::{Body, Mail};

    fn parsed(line: &str) -> Result<(String, Mail), Error> {
        match command(line.as_bytes())? {
            Command::Mail { from, parameters } => Ok((from.to_string(), parameters)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines() {
        assert_eq!(parsed("MAIL FROM:<>"), Ok((String::new(), Mail::default())));
        assert_eq!(
            parsed("mail from: <a@b>"),
            Ok(("a@b".into(), Mail::default()))
        );
        let (_, all) =
            parsed("MAIL FROM:<ä@b> SIZE=123 BODY=8bitmime SMTPUTF8 AUTH=e+3Dmc2@example.com")
                .unwrap();
        let expected = Mail {
            size: Some(123),
            body: Body::EightBitMime,
            smtputf8: true,
            auth: Some("e=mc2@example.com".into()),
        };
        assert_eq!(all, expected);
        assert_eq!(
            parsed("MAIL FROM:<a@b> AUTH=<>").unwrap().1.auth.as_deref(),
            Some("")
        );
        assert_eq!(
            parsed("MAIL FROM:<a@b> BODY=7BIT").unwrap().1.body,
            Body::SevenBit
        );
    }

    #[test]
    fn refused() {
        let sender = |offset| Error::Sender(address::Error::Unexpected(offset));
        let table = [
            ("MAIL", Error::Arguments),
            ("MAIL <a@b>", Error::Arguments),
            ("MAIL FROM:a@b", sender(10)),
            ("MAIL FROM:<a@b", sender(14)),
            ("MAIL FROM:<a@b>x", Error::Arguments),
            ("MAIL FROM:<ä@b>", Error::Utf8),
            ("MAIL FROM:<a@b> FOO=1", Error::Parameter),
            ("MAIL FROM:<a@b> RET=HDRS", Error::Parameter),
            ("MAIL FROM:<a@b> SIZE", Error::Arguments),
            ("MAIL FROM:<a@b> SIZE=", Error::Arguments),
            ("MAIL FROM:<a@b> SIZE=-1", Error::Arguments),
            (
                "MAIL FROM:<a@b> SIZE=99999999999999999999",
                Error::Arguments,
            ),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=2", Error::Arguments),
            ("MAIL FROM:<a@b> BODY=BINARYMIME", Error::Arguments),
            ("MAIL FROM:<a@b> SMTPUTF8=1", Error::Arguments),
            ("MAIL FROM:<a@b> AUTH=a+4", Error::Arguments),
            ("MAIL FROM:<a@b> AUTH=", Error::Arguments),
            ("MAIL FROM:<a@b>  SIZE=1", Error::Arguments),
        ];
        for (line, error) in table {
            assert_eq!(parsed(line), Err(error), "{line}");
        }
    }

    /// A27: controls that hide in xtext.
    #[test]
    fn a27_controls_in_xtext() {
        for value in ["a+00b", "a+0D+0Ab", "a+7Fb", "+0A"] {
            assert_eq!(
                parsed(&format!("MAIL FROM:<a@b> AUTH={value}")),
                Err(Error::Arguments),
                "{value}"
            );
        }
    }
}
