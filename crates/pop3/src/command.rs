//! The commands: their types, parser and encoder.
//!
//! ```text
//! command      =  keyword *(SP param) CRLF    ;255 octets maximum
//! keyword      =  3*4VCHAR
//! param        =  1*VCHAR
//! ```
//! (RFC 2449 §3.) Keywords are taken in either case (RFC 1939 §3). Kindness, for people at a terminal and old
//! clients: several spaces between parameters and spaces at the end are taken as one and none.

use crate::reply::{self, Refusal};
use wire::cursor::Cursor;
use wire::sasl::Secret;

/// The longest command line, CRLF included (RFC 2449 §4).
pub const LINE_LIMIT: usize = 255;

/// A command. Message numbers count from 1 and may be anything the client wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `USER name`
    User(String),
    /// `PASS password`
    Pass(Secret),
    /// `AUTH mechanism [initial response]`, the response still in base64 (RFC 5034 §4).
    Auth {
        /// The mechanism's name as written.
        mechanism: String,
        /// The initial response as written.
        initial: Option<String>,
    },
    /// `STAT`
    Stat,
    /// `LIST [number]`
    List(Option<u32>),
    /// `UIDL [number]`
    Uidl(Option<u32>),
    /// `RETR number`
    Retr(u32),
    /// `TOP number lines`
    Top {
        /// Which message.
        number: u32,
        /// How many lines of the body.
        lines: u32,
    },
    /// `DELE number`
    Dele(u32),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `CAPA`
    Capa,
    /// `STLS`
    Stls,
    /// `UTF8` (RFC 6856 §2.1)
    Utf8,
    /// `LANG [range]` (RFC 6856 §3)
    Lang(Option<String>),
    /// `QUIT`
    Quit,
}

impl Command {
    /// Parses a line without its line ending.
    ///
    /// # Errors
    /// The answer the client gets.
    pub fn parse(line: &[u8]) -> Result<Command, Refusal> {
        // Neither NUL nor any other control character has a place in a command; UTF-8 has one in names and
        // passwords.
        if line.iter().any(u8::is_ascii_control) {
            return Err(reply::FORBIDDEN_OCTETS);
        }
        let line = std::str::from_utf8(line).map_err(|_| reply::FORBIDDEN_OCTETS)?;
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut arguments = Arguments(Cursor::new(rest.as_bytes()));
        let command = match keyword.to_ascii_uppercase().as_str() {
            "USER" => Command::User(non_empty(rest.trim_matches(' '))?.to_owned()),
            // RFC 1939 §7 (PASS): spaces belong to the password.
            "PASS" => return Ok(Command::Pass(non_empty(rest)?.into())),
            "AUTH" => {
                let mut words = rest.split(' ').filter(|word| !word.is_empty());
                let mechanism = words.next().ok_or(reply::SYNTAX)?.to_owned();
                let initial = words.next().map(str::to_owned);
                if words.next().is_some() {
                    return Err(reply::SYNTAX);
                }
                return Ok(Command::Auth { mechanism, initial });
            }
            "STAT" => Command::Stat,
            "LIST" => Command::List(arguments.optional_number()?),
            "UIDL" => Command::Uidl(arguments.optional_number()?),
            "RETR" => Command::Retr(arguments.number()?),
            "TOP" => Command::Top {
                number: arguments.number()?,
                lines: arguments.number()?,
            },
            "DELE" => Command::Dele(arguments.number()?),
            "NOOP" => Command::Noop,
            "RSET" => Command::Rset,
            "CAPA" => Command::Capa,
            "STLS" => Command::Stls,
            "UTF8" => Command::Utf8,
            "LANG" => return language(rest),
            "QUIT" => Command::Quit,
            _ => return Err(reply::UNKNOWN_COMMAND),
        };
        match command {
            Command::User(_) => Ok(command),
            command => arguments.end().map(|()| command),
        }
    }

    /// Whether a positive answer has more lines than its first (RFC 1939 §3).
    pub fn is_multi_line(&self) -> bool {
        match self {
            Command::Capa
            | Command::Retr(_)
            | Command::Top { .. }
            | Command::List(None)
            | Command::Uidl(None)
            | Command::Lang(None) => true,
            Command::User(_)
            | Command::Pass(_)
            | Command::Auth { .. }
            | Command::Stat
            | Command::List(Some(_))
            | Command::Uidl(Some(_))
            | Command::Dele(_)
            | Command::Noop
            | Command::Rset
            | Command::Stls
            | Command::Utf8
            | Command::Lang(Some(_))
            | Command::Quit => false,
        }
    }

    /// Appends the line to `out`.
    ///
    /// # Errors
    /// [`Unsendable`] when an argument holds control characters, is empty, or the line would be too long.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        let line = match self {
            Command::User(name) => format!("USER {}", sendable(name)?),
            Command::Pass(password) => format!("PASS {}", sendable(password)?),
            Command::Auth {
                mechanism,
                initial: None,
            } => format!("AUTH {}", sendable(mechanism)?),
            Command::Auth {
                mechanism,
                initial: Some(initial),
            } => {
                format!("AUTH {} {}", sendable(mechanism)?, sendable(initial)?)
            }
            Command::Stat => "STAT".to_owned(),
            Command::List(None) => "LIST".to_owned(),
            Command::List(Some(number)) => format!("LIST {number}"),
            Command::Uidl(None) => "UIDL".to_owned(),
            Command::Uidl(Some(number)) => format!("UIDL {number}"),
            Command::Retr(number) => format!("RETR {number}"),
            Command::Top { number, lines } => format!("TOP {number} {lines}"),
            Command::Dele(number) => format!("DELE {number}"),
            Command::Noop => "NOOP".to_owned(),
            Command::Rset => "RSET".to_owned(),
            Command::Capa => "CAPA".to_owned(),
            Command::Stls => "STLS".to_owned(),
            Command::Utf8 => "UTF8".to_owned(),
            Command::Lang(None) => "LANG".to_owned(),
            Command::Lang(Some(range)) if range.contains(' ') => return Err(Unsendable),
            Command::Lang(Some(range)) => format!("LANG {}", sendable(range)?),
            Command::Quit => "QUIT".to_owned(),
        };
        if line.len().saturating_add(2) > LINE_LIMIT {
            return Err(Unsendable);
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// An argument cannot be written in a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an argument is empty, too long or holds control characters")]
pub struct Unsendable;

fn sendable(text: &str) -> Result<&str, Unsendable> {
    if text.is_empty() || text.chars().any(|c| c.is_ascii_control()) {
        Err(Unsendable)
    } else {
        Ok(text)
    }
}

fn non_empty(text: &str) -> Result<&str, Refusal> {
    if text.is_empty() {
        Err(reply::SYNTAX)
    } else {
        Ok(text)
    }
}

fn language(rest: &str) -> Result<Command, Refusal> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    match (words.next(), words.next()) {
        (range, None) => Ok(Command::Lang(range.map(str::to_owned))),
        _ => Err(reply::SYNTAX),
    }
}

struct Arguments<'a>(Cursor<'a>);

impl Arguments<'_> {
    fn number(&mut self) -> Result<u32, Refusal> {
        self.optional_number()?.ok_or(reply::SYNTAX)
    }

    fn optional_number(&mut self) -> Result<Option<u32>, Refusal> {
        self.skip_spaces();
        if self.0.is_empty() {
            return Ok(None);
        }
        let number = self.0.number("a number").map_err(|_| reply::SYNTAX)?;
        // What follows a number is a space or nothing.
        if !matches!(self.0.peek(), None | Some(b' ')) {
            return Err(reply::SYNTAX);
        }
        // A number no maildrop can have is a message that is not there, and lines without end.
        Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn end(&mut self) -> Result<(), Refusal> {
        self.skip_spaces();
        self.0.end("the end").map_err(|_| reply::SYNTAX)
    }

    fn skip_spaces(&mut self) {
        self.0.take_while(|octet| octet == b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_and_commands() {
        let auth = |mechanism: &str, initial: Option<&str>| Command::Auth {
            mechanism: mechanism.to_owned(),
            initial: initial.map(str::to_owned),
        };
        let cases: [(&[u8], Result<Command, Refusal>); 35] = [
            (b"USER a@b", Ok(Command::User("a@b".to_owned()))),
            (b"user  a b ", Ok(Command::User("a b".to_owned()))),
            ("USER jö@b".as_bytes(), Ok(Command::User("jö@b".to_owned()))),
            (b"USER", Err(reply::SYNTAX)),
            (b"USER  ", Err(reply::SYNTAX)),
            (b"PASS  two words ", Ok(Command::Pass(" two words ".into()))),
            (b"PASS ", Err(reply::SYNTAX)),
            (b"PASS a\0b", Err(reply::FORBIDDEN_OCTETS)),
            (b"PASS a\rb", Err(reply::FORBIDDEN_OCTETS)),
            (b"PASS \xff", Err(reply::FORBIDDEN_OCTETS)),
            (b"AUTH", Err(reply::SYNTAX)),
            (b"AUTH plain", Ok(auth("plain", None))),
            (b"AUTH PLAIN =", Ok(auth("PLAIN", Some("=")))),
            (b"AUTH PLAIN a b", Err(reply::SYNTAX)),
            (b"STAT ", Ok(Command::Stat)),
            (b"STAT 1", Err(reply::SYNTAX)),
            (b"LIST", Ok(Command::List(None))),
            (b"LIST 2", Ok(Command::List(Some(2)))),
            (b"LIST 2 3", Err(reply::SYNTAX)),
            (b"UIDL 0", Ok(Command::Uidl(Some(0)))),
            (b"RETR", Err(reply::SYNTAX)),
            (b"RETR 1x", Err(reply::SYNTAX)),
            (b"RETR -1", Err(reply::SYNTAX)),
            (b"RETR 99999999999", Ok(Command::Retr(u32::MAX))),
            (b"RETR 99999999999999999999999", Err(reply::SYNTAX)),
            (
                b"top 1  0 ",
                Ok(Command::Top {
                    number: 1,
                    lines: 0,
                }),
            ),
            (b"TOP 1", Err(reply::SYNTAX)),
            (b"UTF8", Ok(Command::Utf8)),
            (b"UTF8 USER", Err(reply::SYNTAX)),
            (b"LANG", Ok(Command::Lang(None))),
            (b"lang de-AT ", Ok(Command::Lang(Some("de-AT".to_owned())))),
            (b"LANG de fr", Err(reply::SYNTAX)),
            (b"XTND", Err(reply::UNKNOWN_COMMAND)),
            (b"", Err(reply::UNKNOWN_COMMAND)),
            (b" QUIT", Err(reply::UNKNOWN_COMMAND)),
        ];
        for (line, expected) in cases {
            assert_eq!(
                Command::parse(line),
                expected,
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
    }

    fn command() -> impl Strategy<Value = Command> {
        let number = proptest::option::of(any::<u32>());
        prop_oneof![
            "[!-~é]{1,30}".prop_map(Command::User),
            "[ -~é]{1,30}".prop_map(|password| Command::Pass(password.into())),
            (
                "[A-Z0-9-]{1,20}",
                proptest::option::of("[A-Za-z0-9+/]{1,40}={0,2}")
            )
                .prop_map(|(mechanism, initial)| Command::Auth { mechanism, initial }),
            number.clone().prop_map(Command::List),
            number.prop_map(Command::Uidl),
            any::<u32>().prop_map(Command::Retr),
            any::<u32>().prop_map(Command::Dele),
            (any::<u32>(), any::<u32>()).prop_map(|(number, lines)| Command::Top { number, lines }),
            Just(Command::Stat),
            Just(Command::Noop),
            Just(Command::Rset),
            Just(Command::Capa),
            Just(Command::Stls),
            Just(Command::Utf8),
            proptest::option::of("[A-Za-z0-9*-]{1,20}").prop_map(Command::Lang),
            Just(Command::Quit),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(command in command()) {
            let mut line = Vec::new();
            command.encode(&mut line).unwrap();
            let line = line.strip_suffix(b"\r\n").unwrap();
            prop_assert_eq!(Command::parse(line), Ok(command));
        }

        #[test]
        fn arbitrary_lines_are_parsed_or_refused(
            line in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                "(USER|PASS|AUTH|LANG|UTF8|LIST|UIDL|RETR|TOP|DELE|QUIT)[ 0-9a-z=]{0,20}".prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(command) = Command::parse(&line) {
                // What is understood once is understood the same way after writing it properly.
                let mut again = Vec::new();
                if command.encode(&mut again).is_ok() {
                    prop_assert_eq!(Command::parse(again.strip_suffix(b"\r\n").unwrap()), Ok(command));
                }
            }
        }
    }
}
