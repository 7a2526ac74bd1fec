//! Commands from octets: one function per rule of the grammar, one file per command.
//!
//! The text of a command is its lines without the last CRLF, each literal with its octets in place. A session parses
//! what it has at the end of every line: if the text ends right behind the announcement of a literal, the parser stops
//! with [`Stop::Literal`], having found everything before it in order, and the session knows whether to ask for the
//! octets. So nothing is asked for that would be refused anyhow.
//!
//! Invariants: no recursion; nothing is allocated in proportion to a number the client only names; every list has a
//! limit.

mod acl;
mod annotation;
mod append;
mod authenticate;
mod base;
mod create;
mod date;
mod enable;
mod esearch;
mod fetch;
mod flag;
mod gmail;
mod id;
mod language;
mod list;
mod login;
mod mailbox;
mod metadata;
mod notify;
mod quota;
pub(crate) mod response;
mod search;
mod select;
mod sequence;
mod sort;
mod status;
mod store;
mod thread;
mod uidbatches;
mod untagged;
mod urlauth;

use wire::cursor::{Cursor, Error};

pub(crate) use base::{is_astring_char, is_atom_char};

pub(crate) use append::{Outline, fill};

use crate::server::{Enabled, Limits, Quirks, State};
use crate::{AclCommand, Command, QuotaCommand, Reply};

/// What a parser knows besides the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// Where the session stands: commands out of place are refused by their name.
    pub state: State,
    /// Mailbox names are UTF-8 (the client enabled IMAP4rev2); otherwise modified UTF-7.
    pub utf8: bool,
    /// LOGIN is allowed here.
    pub login: bool,
    /// What the client enabled.
    pub enabled: Enabled,
    /// What is taken beyond the grammar.
    pub quirks: Quirks,
    /// Limits.
    pub limits: &'a Limits,
}

/// A literal that is announced at the end of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Octets.
    pub size: u64,
    /// The client waits to be asked for them.
    pub synchronizing: bool,
    /// NUL is allowed.
    pub binary: bool,
}

/// Why a parser stopped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The text is wrong there.
    Syntax(Error),
    /// The command is well-formed so far and refused.
    Refused(Reply),
    /// The octets of this literal are needed.
    Literal(Literal),
    /// APPEND or REPLACE is complete up to octets of a message.
    Message(Box<Outline>, Literal),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Syntax(error)
    }
}

/// What parser functions return.
pub(crate) type Parsed<T> = Result<T, Stop>;

/// A place in the text of a command, and what is known around it.
#[derive(Debug)]
pub(crate) struct Parser<'a> {
    cursor: Cursor<'a>,
    context: Context<'a>,
    /// What `UPDATE (…)` among the result options of a search named.
    fetches: Vec<crate::FetchAttribute>,
}

/// Where a command is allowed (RFC 9051 §6).
#[derive(Clone, Copy, PartialEq)]
enum Where {
    Any,
    NotAuthenticated,
    Authenticated,
    Selected,
}

impl Where {
    fn allows(self, state: State) -> bool {
        match self {
            Where::Any => true,
            Where::NotAuthenticated => state == State::NotAuthenticated,
            Where::Authenticated => matches!(state, State::Authenticated | State::Selected),
            Where::Selected => state == State::Selected,
        }
    }
}

type Rule = for<'p, 'a> fn(&'p mut Parser<'a>) -> Parsed<Command>;

/// Every command: name, where it is allowed, what parses its arguments.
const COMMANDS: &[(&str, Where, Rule)] = &[
    ("CAPABILITY", Where::Any, |_| Ok(Command::Capability)),
    ("NOOP", Where::Any, |_| Ok(Command::Noop)),
    ("LOGOUT", Where::Any, |_| Ok(Command::Logout)),
    ("ID", Where::Any, |p| p.id()),
    ("LANGUAGE", Where::Any, |p| p.language()),
    ("STARTTLS", Where::NotAuthenticated, |_| {
        Ok(Command::StartTls)
    }),
    ("AUTHENTICATE", Where::NotAuthenticated, |p| {
        p.authenticate()
    }),
    ("LOGIN", Where::NotAuthenticated, |p| p.login()),
    ("ENABLE", Where::Authenticated, |p| p.enable()),
    ("SELECT", Where::Authenticated, |p| p.select(false)),
    ("EXAMINE", Where::Authenticated, |p| p.select(true)),
    ("CREATE", Where::Authenticated, |p| p.create()),
    ("DELETE", Where::Authenticated, |p| {
        p.sp_mailbox().map(Command::Delete)
    }),
    ("RENAME", Where::Authenticated, |p| p.rename()),
    ("SUBSCRIBE", Where::Authenticated, |p| {
        p.sp_mailbox().map(Command::Subscribe)
    }),
    ("UNSUBSCRIBE", Where::Authenticated, |p| {
        p.sp_mailbox().map(Command::Unsubscribe)
    }),
    ("LIST", Where::Authenticated, |p| p.list()),
    ("LSUB", Where::Authenticated, |p| p.lsub()),
    ("GENURLAUTH", Where::Authenticated, |p| p.genurlauth()),
    ("RESETKEY", Where::Authenticated, |p| p.resetkey()),
    ("URLFETCH", Where::Authenticated, |p| p.urlfetch()),
    ("NOTIFY", Where::Authenticated, |p| p.notify()),
    ("SETACL", Where::Authenticated, |p| p.setacl()),
    ("DELETEACL", Where::Authenticated, |p| p.deleteacl()),
    ("GETACL", Where::Authenticated, |p| {
        p.sp_mailbox()
            .map(|mailbox| Command::Acl(AclCommand::Get(mailbox)))
    }),
    ("LISTRIGHTS", Where::Authenticated, |p| p.listrights()),
    ("MYRIGHTS", Where::Authenticated, |p| {
        p.sp_mailbox()
            .map(|mailbox| Command::Acl(AclCommand::My(mailbox)))
    }),
    ("GETQUOTA", Where::Authenticated, |p| p.getquota()),
    ("GETQUOTAROOT", Where::Authenticated, |p| {
        p.sp_mailbox()
            .map(|mailbox| Command::Quota(QuotaCommand::Root(mailbox)))
    }),
    ("SETQUOTA", Where::Authenticated, |p| p.setquota()),
    ("GETMETADATA", Where::Authenticated, |p| p.getmetadata()),
    ("SETMETADATA", Where::Authenticated, |p| p.setmetadata()),
    ("NAMESPACE", Where::Authenticated, |_| {
        Ok(Command::Namespace)
    }),
    ("STATUS", Where::Authenticated, |p| p.status()),
    ("APPEND", Where::Authenticated, |p| p.append()),
    ("COMPRESS", Where::Authenticated, |p| p.compress()),
    ("UNAUTHENTICATE", Where::Authenticated, |_| {
        Ok(Command::Unauthenticate)
    }),
    ("IDLE", Where::Authenticated, |_| Ok(Command::Idle)),
    ("CHECK", Where::Selected, |_| Ok(Command::Check)),
    ("CLOSE", Where::Selected, |_| Ok(Command::Close)),
    ("UNSELECT", Where::Selected, |_| Ok(Command::Unselect)),
    ("EXPUNGE", Where::Selected, |_| {
        Ok(Command::Expunge { uids: None })
    }),
    ("SEARCH", Where::Selected, |p| p.search(false)),
    ("SORT", Where::Selected, |p| p.sort(false)),
    ("THREAD", Where::Selected, |p| p.thread(false)),
    ("ESEARCH", Where::Authenticated, |p| p.esearch()),
    ("CANCELUPDATE", Where::Selected, |p| p.cancel_update()),
    ("COMPARATOR", Where::Authenticated, |p| p.comparator()),
    ("FETCH", Where::Selected, |p| p.fetch(false)),
    ("STORE", Where::Selected, |p| p.store(false)),
    ("COPY", Where::Selected, |p| p.copy(false)),
    ("MOVE", Where::Selected, |p| p.move_(false)),
    ("REPLACE", Where::Selected, |p| p.replace(false)),
    ("UIDBATCHES", Where::Selected, |p| p.uid_batches()),
    ("UID", Where::Selected, |p| p.uid()),
];

/// The UID form of commands, by the name behind `UID`.
const UID_COMMANDS: &[(&str, Rule)] = &[
    ("COPY", |p| p.copy(true)),
    ("MOVE", |p| p.move_(true)),
    ("FETCH", |p| p.fetch(true)),
    ("SEARCH", |p| p.search(true)),
    ("SORT", |p| p.sort(true)),
    ("THREAD", |p| p.thread(true)),
    ("STORE", |p| p.store(true)),
    ("REPLACE", |p| p.replace(true)),
    ("EXPUNGE", |p| p.uid_expunge()),
];

/// The names of all commands, `UID` before the UID forms.
pub(crate) fn command_names() -> Vec<String> {
    let plain = COMMANDS.iter().filter(|(name, ..)| *name != "UID");
    let by_uid = UID_COMMANDS.iter().map(|(name, _)| format!("UID {name}"));
    plain
        .map(|(name, ..)| (*name).to_owned())
        .chain(by_uid)
        .collect()
}

/// Commands that name messages by sequence number, and have a UID form that does not.
const BY_NUMBER: [&str; 8] = [
    "SEARCH", "FETCH", "STORE", "COPY", "MOVE", "REPLACE", "SORT", "THREAD",
];

/// Parses one command.
///
/// Returns its tag as soon as that much is clear, and the name of the command for error texts (`None` if unknown).
///
/// ```text
/// command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
/// ```
pub(crate) fn command<'a>(
    text: &'a [u8],
    context: Context<'a>,
) -> (Option<&'a str>, Option<&'static str>, Parsed<Command>) {
    let mut parser = Parser {
        fetches: Vec::new(),
        cursor: Cursor::new(text),
        context,
    };
    let tag = match parser.tag() {
        Ok(tag) => tag,
        Err(stop) => return (None, None, Err(stop)),
    };
    let (name, parsed) = parser.after_tag();
    (Some(tag), name, parsed)
}

/// Goes on with an APPEND or REPLACE behind the octets of a message.
pub(crate) fn append_rest(text: &[u8], context: Context<'_>, outline: Outline) -> Parsed<Command> {
    let mut parser = Parser {
        fetches: Vec::new(),
        cursor: Cursor::new(text),
        context,
    };
    parser.append_rest(outline)
}

/// Reads search keys that stand alone, as a filter has them (RFC 5466 §4, `search-criteria`); texts are UTF-8.
pub(crate) fn search_criteria(text: &[u8], limits: &Limits) -> Option<crate::SearchKey> {
    let context = Context {
        state: State::Selected,
        utf8: true,
        login: false,
        enabled: Enabled::default(),
        quirks: Quirks::STRICT,
        limits,
    };
    let mut parser = Parser {
        fetches: Vec::new(),
        cursor: Cursor::new(text),
        context,
    };
    parser.search_keys(encoding_rs::UTF_8).ok()
}

impl<'a> Parser<'a> {
    fn after_tag(&mut self) -> (Option<&'static str>, Parsed<Command>) {
        let found = match self.sp().and_then(|()| self.command_name()) {
            Ok(found) => found,
            Err(stop) => return (None, Err(stop)),
        };
        let (name, place, rule) = found;
        if !place.allows(self.context.state) {
            let reply = Reply::bad(match (place, self.context.state) {
                (Where::NotAuthenticated, _) => "Not allowed after login",
                (_, State::NotAuthenticated) => "Log in first",
                _ => "Select a mailbox first",
            });
            return (Some(name), Err(Stop::Refused(reply)));
        }
        // RFC 9586 §3.2: no sequence numbers any more.
        if self.context.enabled.uid_only && BY_NUMBER.contains(&name) {
            let reply = Reply::bad("Use the UID form").with(crate::Code::UidRequired);
            return (Some(name), Err(Stop::Refused(reply)));
        }
        let parsed = rule(self).and_then(|command| {
            self.cursor.end("the end of the command")?;
            Ok(command)
        });
        (Some(name), parsed)
    }

    fn command_name(&mut self) -> Parsed<(&'static str, Where, Rule)> {
        let unknown = self.wrong("a command");
        let name = self.cursor.take_while(|octet| octet.is_ascii_alphabetic());
        COMMANDS
            .iter()
            .copied()
            .find(|(known, ..)| known.as_bytes().eq_ignore_ascii_case(name))
            .ok_or(unknown)
    }

    /// ```text
    /// uid = "UID" SP (copy / move / fetch / search / sort / store / thread / uid-expunge / replace)
    /// ```
    fn uid(&mut self) -> Parsed<Command> {
        self.sp()?;
        let unknown =
            self.wrong("COPY, MOVE, FETCH, SEARCH, SORT, STORE, THREAD, REPLACE or EXPUNGE");
        let name = self.cursor.take_while(|octet| octet.is_ascii_alphabetic());
        let found = UID_COMMANDS
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        let (_, rule) = found.ok_or(unknown)?;
        rule(self)
    }

    fn uid_expunge(&mut self) -> Parsed<Command> {
        self.sp()?;
        Ok(Command::Expunge {
            uids: Some(self.sequence_set()?),
        })
    }

    /// ```text
    /// compress  = "COMPRESS" SP algorithm ; RFC 4978 §5
    /// algorithm = "DEFLATE"
    /// ```
    fn compress(&mut self) -> Parsed<Command> {
        self.sp()?;
        let error = self.wrong("DEFLATE");
        match self.atom("an algorithm")?.eq_ignore_ascii_case("DEFLATE") {
            true => Ok(Command::Compress),
            false => Err(error),
        }
    }

    /// The error that something else stands here.
    fn wrong(&self, expected: &'static str) -> Stop {
        Stop::Syntax(self.cursor.error(expected))
    }
}

/// The section that a URL names (`isection`, RFC 5092 §11), decoded.
pub(crate) fn url_section(text: &str) -> Option<crate::Section> {
    let bracketed = format!("[{text}]");
    let limits = Limits::default();
    let mut parser = Parser {
        fetches: Vec::new(),
        cursor: Cursor::new(bracketed.as_bytes()),
        context: Context {
            state: State::Selected,
            utf8: true,
            login: false,
            enabled: Enabled::default(),
            quirks: Quirks::STRICT,
            limits: &limits,
        },
    };
    let section = parser.section().ok()?;
    parser.cursor.is_empty().then_some(section)
}

/// A refusal because a limit of ours is reached.
fn too_many(text: &'static str) -> Stop {
    Stop::Refused(Reply::no(text).with(crate::Code::Limit))
}

/// The literal that a refused line announces at its end, if it is one the client sends without being asked.
///
/// Works on lines whose grammar is not understood, so it goes by the look of the last octets alone (RFC 7888 §4).
pub(crate) fn trailing_literal(line: &[u8]) -> Option<Literal> {
    let open = memchr::memrchr(b'{', line)?;
    let start = open
        .checked_sub(1)
        .filter(|&at| line.get(at) == Some(&b'~'))
        .unwrap_or(open);
    let mut cursor = Cursor::new(line.get(start..)?);
    let literal = base::literal_head(&mut cursor).ok()??;
    cursor.is_empty().then_some(literal)
}

#[cfg(test)]
mod tests;
