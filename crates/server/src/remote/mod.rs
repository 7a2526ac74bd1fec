//! Mail of other servers: brought here from IMAP and POP3, carried there over IMAP, fetched regularly.
//!
//! Owns: connections to such servers, the translation of their mailboxes into ours, and what is remembered of them. The
//! protocols are those of the crates `imap` and `pop3`; the account is reached through a [`Door`], which is the admin
//! socket of a running server, the store itself, or the server's own store.
//!
//! Invariants: a source is opened read-only unless removing was asked for, and nothing is removed there before it is
//! durable here; that a message was brought is written in the transaction that keeps it, so an end at any moment neither
//! loses nor doubles one; what is left out is told, and then the run has not succeeded.
//!
//! Limits: one message and one answer of the admin socket are in memory at a time; of a mailbox's list [`MESSAGES`] short
//! entries; [`MAILBOXES`] mailboxes; [`import::BATCH`] messages in one FETCH. What a server may send at once is bounded by
//! the sessions of the protocols.

mod address;
pub mod admin;
mod client;
mod connect;
mod export;
mod import;
mod maildrop;
mod names;
pub mod poll;
mod pop3;

use crate::manage::{Answer, Append, Request};

pub use address::{Address, Protocol};
pub use connect::{Credential, Login};
pub use export::export;
pub use import::{MailboxReport, Options, Report, import, wait};
pub use maildrop::import as import_maildrop;

/// Mailboxes that are taken from a server: as many as an account here can have.
const MAILBOXES: usize = 20_000;

/// Messages of one mailbox that are taken from a server; their list is in memory.
const MESSAGES: usize = 5_000_000;

/// What was left out and is told one by one; it takes a server no effort to have millions of it.
const LEFT_OUT: usize = 1000;

/// Takes note of what was left out, and tells it.
fn leave_out(list: &mut Vec<String>, watch: &mut dyn Watch, what: String) {
    let what = match list.len().cmp(&LEFT_OUT) {
        std::cmp::Ordering::Less => what,
        std::cmp::Ordering::Equal => "and more, which is not told one by one".to_owned(),
        std::cmp::Ordering::Greater => return,
    };
    watch.note(&format!("left out: {what}"));
    list.push(what);
}

/// The way to the account.
pub trait Door: Send {
    /// Asks and waits for the answer.
    fn ask(&mut self, request: Request) -> Result<Answer, Error>;
    /// Keeps a message; its refusal may show in a later call.
    fn append(&mut self, append: Append, message: &[u8]) -> Result<(), Error>;
}

/// What a run tells while it works.
pub trait Watch: Send {
    /// So many messages more are to come.
    fn expect(&mut self, more: u64);
    /// One message is done.
    fn done(&mut self);
    /// Something a person may want to know.
    fn note(&mut self, what: &str);
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of a mail server.
    #[error("{0}")]
    Address(String),
    /// There is no connection, or it broke: it may go better later.
    #[error("{0}")]
    Broken(String),
    /// The connection would not be safe.
    #[error("{0}")]
    Unsafe(String),
    /// The server does not let us in.
    #[error("logging in failed: {0}")]
    Login(String),
    /// The server refuses a command.
    #[error("the server refuses {what}: {reply}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it says.
        reply: String,
    },
    /// The server says what no server may.
    #[error("the server {0}")]
    Hostile(String),
    /// The account here refuses.
    #[error("{0}")]
    Account(String),
}

impl Error {
    /// Whether another connection may do better.
    fn is_broken(&self) -> bool {
        matches!(self, Error::Broken(_))
    }
}

/// Text of a server, short and without what could move a terminal's cursor.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut out: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        out.push('\u{2026}');
    }
    out
}

/// When a message came to where it is from, by its own account: the uppermost Received field, or else Date.
fn dated(message: &[u8]) -> Option<store::Timestamp> {
    let end = header_end(message);
    let mut sent = None;
    for field in mime::header::fields(message, 0..end) {
        if field.is("Received")
            && let Some(date) = field.received().date
        {
            return Some(date.timestamp());
        }
        if field.is("Date") && sent.is_none() {
            sent = field.date();
        }
    }
    sent.map(|date| date.timestamp())
}

/// Where the header of a message ends.
fn header_end(message: &[u8]) -> usize {
    let mut end = 0_usize;
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        if matches!(line, b"\r\n" | b"\n") {
            break;
        }
        end = end.saturating_add(line.len());
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_when_it_came() {
        let date = "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n";
        let received = "Received: from a by b; Fri, 21 Nov 1997 16:00:00 +0000\r\n";
        assert_eq!(dated(format!("{date}\r\nx").as_bytes()), Some(880_127_706));
        assert_eq!(
            dated(format!("{date}{received}{received}\r\n").as_bytes()),
            Some(880_128_000)
        );
        assert_eq!(
            dated(b"Subject: x\r\n\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n"),
            None
        );
        assert_eq!(dated(b""), None);
    }

    #[test]
    fn what_a_server_says_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), 201);
    }
}
