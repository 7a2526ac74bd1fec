//! `BURL`.

use super::{Command, Error};
use wire::cursor::Cursor;

/// `burl-cmd = "BURL" SP absolute-URI [SP end-marker]` (RFC 4468 §3.5); what the URI means is the handler's to say.
pub(super) fn burl<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    let url = cursor.take_while(|octet| octet != b' ');
    let last = cursor.eat_ignore_case(b" LAST");
    let url = std::str::from_utf8(url).ok().filter(|url| is_absolute(url));
    match url.filter(|_| cursor.rest().is_empty()) {
        Some(url) => Ok(Command::Burl { url, last }),
        None => Err(Error::Url),
    }
}

/// `scheme ":" hier-part ["?" query]`: octets that may stand in a URI, and no fragment (RFC 3986 §4.3).
fn is_absolute(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else {
        return false;
    };
    let named = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&octet);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(named)
        && !rest.is_empty()
        && rest.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn urls_with_and_without_an_end_marker() {
        let url = "imap://harry@gryffindor.example.com/outbox;uidvalidity=1078863300/;uid=25;urlauth=submit+harry:internal:91354a473744909de610943775f92038";
        for (line, last) in [
            (format!("BURL {url} LAST"), true),
            (format!("burl {url} last "), true),
            (format!("BURL {url}"), false),
        ] {
            assert_eq!(command(line.as_bytes()), Ok(Command::Burl { url, last }));
        }
    }

    #[test]
    fn what_is_no_absolute_uri() {
        for line in [
            "BURL",
            "BURL ",
            "BURL /INBOX/;uid=1 LAST",
            "BURL imap: LAST",
            "BURL 1map://a/b",
            "BURL imap://a/b#c",
            "BURL imap://a/<b>",
            "BURL imap://a/b LAST x",
            "BURL imap://a/b FIRST",
            "BURL imap://a/\u{fc}",
            "BURL  imap://a/b",
            "BURL LAST",
        ] {
            assert_eq!(command(line.as_bytes()), Err(Error::Url), "{line}");
        }
    }
}
