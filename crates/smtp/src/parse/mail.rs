//! `MAIL FROM`.

use super::{Command, Error};
use crate::address;
use crate::parameters;
use crate::server::Quirks;
use wire::cursor::Cursor;

/// `mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]`.
///
/// Kindnesses: spaces behind the colon, which scripts and network appliances send, and no angle brackets.
pub(super) fn mail<'a>(cursor: &mut Cursor<'a>, quirks: Quirks) -> Result<Command<'a>, Error> {
    if !cursor.eat_ignore_case(b"FROM:") {
        return Err(Error::Arguments);
    }
    if quirks.space_after_colon {
        cursor.take_while(|octet| octet == b' ');
    }
    let from = address::reverse_path(cursor, quirks.bare_address).map_err(Error::Sender)?;
    let parameters = parameters::Mail::parse(cursor)?;
    if from.mailbox().is_some_and(|mailbox| mailbox.needs_utf8()) && !parameters.smtputf8 {
        return Err(Error::Utf8);
    }
    Ok(Command::Mail { from, parameters })
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command, command_with};
    use crate::address;
    use crate::parameters::{Body, Hold, Mail, Return};
    use crate::server::Quirks;

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
            ..Mail::default()
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
    fn every_parameter_is_read_and_written() {
        let line = " RET=HDRS ENVID=QQ+2B1 BY=-120;NT HOLDUNTIL=2030-01-01T00:00:00Z MT-PRIORITY=-3 REQUIRETLS \
            SOLICIT=org.example:ADV,net.example:ADULT AUTH=a+2Bb@c.example";
        let (_, mail) = parsed(&format!("MAIL FROM:<a@b>{line}")).unwrap();
        assert_eq!(mail.ret, Some(Return::Headers));
        assert_eq!(mail.envid.as_deref(), Some("QQ+1"));
        assert_eq!(mail.priority, Some(-3));
        assert_eq!(mail.hold, Some(Hold::Until(1_893_456_000)));
        assert_eq!(mail.solicit, ["org.example:ADV", "net.example:ADULT"]);
        assert!(mail.require_tls && mail.deliver_by.is_some_and(|by| by.trace));
        assert_eq!(mail.offered(|_| true), line);
        assert_eq!(mail.offered(|_| false), "");
        assert_eq!(
            mail.offered(|keyword| keyword == "REQUIRETLS"),
            " REQUIRETLS"
        );
        let longest = "a".repeat(94);
        assert!(parsed(&format!("MAIL FROM:<> ENVID={longest}")).is_ok());
        assert!(parsed(&format!("MAIL FROM:<> ENVID={longest}a")).is_err());
    }

    #[test]
    fn kindnesses_have_switches() {
        let strict = Quirks::STRICT;
        let with = |line: &str, quirks| match command_with(line.as_bytes(), quirks) {
            Ok(Command::Mail { from, parameters }) => Ok((from.to_string(), parameters.size)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let sender = |offset| Err(Error::Sender(address::Error::Unexpected(offset)));
        assert_eq!(with("MAIL FROM: <a@b>", strict), sender(10));
        let bare = Quirks {
            bare_address: true,
            ..Quirks::default()
        };
        for line in ["MAIL FROM:a@b SIZE=5", "MAIL FROM: a@b  SIZE=5"] {
            let expected = match line.contains("  ") {
                true => Err(Error::Arguments),
                false => Ok(("a@b".to_owned(), Some(5))),
            };
            assert_eq!(with(line, bare), expected, "{line}");
        }
        assert_eq!(with("MAIL FROM:<>", bare), Ok((String::new(), None)));
        // No route, no second address, nothing that is no address.
        for line in [
            "MAIL FROM:@r:a@b",
            "MAIL FROM:a@b,c@d",
            "MAIL FROM:",
            "MAIL FROM:a",
        ] {
            assert!(with(line, bare).is_err(), "{line}");
        }
        assert_eq!(command_with(b"HELO", strict), Err(Error::Arguments));
        assert_eq!(command_with(b"HELO a_b", strict), Err(Error::Arguments));
        let nameless = Quirks {
            empty_helo: true,
            ..strict
        };
        assert_eq!(
            command_with(b"HELO", nameless),
            Ok(Command::Helo("unknown"))
        );
        assert_eq!(command_with(b"EHLO", nameless), Err(Error::Arguments));
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
            ("MAIL FROM:<a@b> RET=HEADERS", Error::Arguments),
            ("MAIL FROM:<a@b> RET=FULL RET=HDRS", Error::Arguments),
            ("MAIL FROM:<a@b> ENVID=a ENVID=a", Error::Arguments),
            ("MAIL FROM:<a@b> ENVID", Error::Arguments),
            ("MAIL FROM:<a@b> BY=0;R", Error::Arguments),
            ("MAIL FROM:<a@b> BY=1;R BY=2;N", Error::Arguments),
            (
                "MAIL FROM:<a@b> HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z",
                Error::Arguments,
            ),
            ("MAIL FROM:<a@b> HOLDFOR=0", Error::Arguments),
            ("MAIL FROM:<a@b> MT-PRIORITY=10", Error::Arguments),
            ("MAIL FROM:<a@b> MT-PRIORITY=-0", Error::Arguments),
            ("MAIL FROM:<a@b> MT-PRIORITY=+1", Error::Arguments),
            ("MAIL FROM:<a@b> REQUIRETLS=1", Error::Arguments),
            ("MAIL FROM:<a@b> REQUIRETLS REQUIRETLS", Error::Arguments),
            ("MAIL FROM:<a@b> SOLICIT=1a", Error::Arguments),
            ("MAIL FROM:<a@b> SOLICIT=a,,b", Error::Arguments),
            ("MAIL FROM:<a@b> SIZE", Error::Arguments),
            ("MAIL FROM:<a@b> SIZE=", Error::Arguments),
            ("MAIL FROM:<a@b> SIZE=-1", Error::Arguments),
            (
                "MAIL FROM:<a@b> SIZE=99999999999999999999",
                Error::Arguments,
            ),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=2", Error::Arguments),
            ("MAIL FROM:<a@b> BODY=BINARY", Error::Arguments),
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
            for keyword in ["AUTH", "ENVID"] {
                let line = format!("MAIL FROM:<a@b> {keyword}={value}");
                assert_eq!(parsed(&line), Err(Error::Arguments), "{line}");
            }
        }
    }
}
