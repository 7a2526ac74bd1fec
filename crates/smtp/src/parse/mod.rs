//! Command lines (RFC 5321 §4.1.1 and the extensions that add verbs). One file per family of commands; each rule's
//! ABNF stands above its function.
//!
//! A line comes without its CRLF and within the session's limit. What does not parse is an [`Error`], which maps to
//! exactly one reply.

mod auth;
mod burl;
mod data;
mod etrn;
mod hello;
mod mail;
mod rcpt;
mod xclient;

use crate::address::{self, ForwardPath, ReversePath};
use crate::parameters;
use crate::reply::{self, Reply};
use crate::server::Quirks;
use wire::cursor::Cursor;

pub use xclient::{Client, Told};

/// A command as the client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Helo(&'a str),
    Ehlo(&'a str),
    Lhlo(&'a str),
    Mail {
        from: ReversePath,
        parameters: parameters::Mail,
    },
    Rcpt {
        to: ForwardPath,
        parameters: parameters::Recipient,
    },
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    Burl {
        url: &'a str,
        last: bool,
    },
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    StartTls,
    Etrn {
        domain: &'a str,
        /// And all domains below it.
        below: bool,
    },
    Xclient(Box<Client>),
    Xforward(Box<Client>),
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("NUL, a control character or a bare line end")]
    Line,
    #[error("unknown verb")]
    Verb,
    #[error("a verb of another protocol")]
    Protocol,
    #[error("a verb that is not offered")]
    NotOffered,
    #[error("arguments that do not parse")]
    Arguments,
    #[error("chunk size that does not parse")]
    ChunkSize,
    #[error("a URL that does not parse")]
    Url,
    #[error("reverse-path: {0}")]
    Sender(address::Error),
    #[error("forward-path: {0}")]
    Recipient(address::Error),
    #[error("unknown parameter")]
    Parameter,
    #[error("address needs SMTPUTF8")]
    Utf8,
}

impl Error {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Error::Line => reply::BAD_LINE,
            Error::Verb => reply::UNKNOWN_COMMAND,
            Error::Protocol => reply::WRONG_PROTOCOL,
            Error::NotOffered => reply::NOT_IMPLEMENTED,
            Error::Arguments | Error::ChunkSize | Error::Url => reply::BAD_ARGUMENTS,
            Error::Sender(address::Error::Utf8NotAllowed) | Error::Utf8 => reply::UTF8_REQUIRED,
            Error::Recipient(address::Error::Utf8NotAllowed) => reply::UTF8_REQUIRED,
            Error::Sender(_) => reply::BAD_SENDER,
            Error::Recipient(_) => reply::BAD_RECIPIENT,
            Error::Parameter => reply::UNKNOWN_PARAMETER,
        }
    }

    /// After these the place where the next command begins is unknown, or the peer is no mail client.
    pub(crate) fn ends_session(self) -> bool {
        matches!(self, Error::Protocol | Error::ChunkSize)
    }
}

/// First words of HTTP requests and proxies: a browser or a forged cross-protocol request, which must not get further.
const FOREIGN_VERBS: [&[u8]; 10] = [
    b"GET", b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"DELETE", b"PATCH", b"TRACE", b"PRI",
];

/// Verbs of SMTP that are not offered: EXPN would tell who is here, the others are obsolete (RFC 5321 Appendix F).
const UNOFFERED_VERBS: [&[u8]; 4] = [b"TURN", b"SEND", b"SOML", b"SAML"];

/// Parses one command line as most servers do.
#[cfg(test)]
pub(crate) fn command(line: &[u8]) -> Result<Command<'_>, Error> {
    command_with(line, Quirks::default())
}

/// Parses one command line.
pub(crate) fn command_with(line: &[u8], quirks: Quirks) -> Result<Command<'_>, Error> {
    if line
        .iter()
        .any(|&octet| (octet < b' ' && octet != b'\t') || octet == 0x7f)
    {
        return Err(Error::Line);
    }
    // RFC 5321 §4.1.1: trailing white space before the CRLF is tolerated.
    let line = line.trim_ascii_end();
    let mut cursor = Cursor::new(line);
    let verb = cursor.take_while(|octet| octet != b' ');
    cursor.eat(b' ');
    let verb = verb.to_ascii_uppercase();
    match verb.as_slice() {
        b"EHLO" => hello::name(&mut cursor, quirks).map(Command::Ehlo),
        b"HELO" => hello::helo(&mut cursor, quirks).map(Command::Helo),
        b"LHLO" => hello::name(&mut cursor, quirks).map(Command::Lhlo),
        b"MAIL" => mail::mail(&mut cursor, quirks),
        b"RCPT" => rcpt::rcpt(&mut cursor, quirks),
        b"DATA" => bare(&cursor, Command::Data),
        b"BDAT" => data::bdat(&mut cursor),
        b"BURL" => burl::burl(&mut cursor),
        b"RSET" => bare(&cursor, Command::Rset),
        b"QUIT" => bare(&cursor, Command::Quit),
        b"STARTTLS" => bare(&cursor, Command::StartTls),
        b"AUTH" => auth::auth(&mut cursor),
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"VRFY" => with_argument(&cursor, Command::Vrfy),
        b"EXPN" => with_argument(&cursor, Command::Expn),
        b"ETRN" => etrn::etrn(&mut cursor),
        b"XCLIENT" => xclient::xclient(&mut cursor),
        b"XFORWARD" => xclient::xforward(&mut cursor),
        foreign if FOREIGN_VERBS.contains(&foreign) => Err(Error::Protocol),
        unoffered if UNOFFERED_VERBS.contains(&unoffered) => Err(Error::NotOffered),
        _ => Err(Error::Verb),
    }
}

/// A command that takes no argument.
fn bare<'a>(cursor: &Cursor<'a>, command: Command<'a>) -> Result<Command<'a>, Error> {
    if cursor.rest().is_empty() {
        Ok(command)
    } else {
        Err(Error::Arguments)
    }
}

/// A command that needs an argument, which is not looked at.
fn with_argument<'a>(cursor: &Cursor<'a>, command: Command<'a>) -> Result<Command<'a>, Error> {
    if cursor.rest().is_empty() {
        Err(Error::Arguments)
    } else {
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs() {
        assert_eq!(command(b"quit  "), Ok(Command::Quit));
        assert_eq!(command(b"QUIT now"), Err(Error::Arguments));
        assert_eq!(command(b"NOOP anything"), Ok(Command::Noop));
        assert_eq!(command(b"VRFY"), Err(Error::Arguments));
        assert_eq!(command("VRFY ü@x".as_bytes()), Ok(Command::Vrfy));
        assert_eq!(command(b"EXPN list"), Ok(Command::Expn));
        assert_eq!(command(b""), Err(Error::Verb));
        assert_eq!(command(b" NOOP"), Err(Error::Verb));
        assert_eq!(command(b"NOOP\0"), Err(Error::Line));
        assert_eq!(command(b"NOOP\rQUIT"), Err(Error::Line));
        assert_eq!(command(b"DATAx"), Err(Error::Verb));
        assert_eq!(command(b"TURN"), Err(Error::NotOffered));
    }

    /// A9: another protocol's first line.
    #[test]
    fn a9_foreign_verbs() {
        for line in [
            "GET / HTTP/1.1",
            "POST / HTTP/1.1",
            "CONNECT a:25 HTTP/1.1",
            "PRI * HTTP/2.0",
            "options *",
        ] {
            let error = command(line.as_bytes()).unwrap_err();
            assert_eq!(error, Error::Protocol, "{line}");
            assert!(error.ends_session());
        }
    }
}
