//! The commands after login, answered from the maildrop.

use super::{Event, OUTPUT_LIMIT, Reply, Waiting};
use crate::command::Command;
use crate::maildrop::{Maildrop, Message};
use crate::reply;
use wire::output::Output;

#[derive(Debug)]
pub(super) struct Transaction {
    maildrop: Maildrop,
    listing: Option<Listing>,
}

/// A list that is being written.
#[derive(Debug, Clone, Copy)]
struct Listing {
    unique_ids: bool,
    next: usize,
}

impl Transaction {
    pub(super) fn new(maildrop: Maildrop) -> Transaction {
        Transaction {
            maildrop,
            listing: None,
        }
    }

    /// A command after login.
    pub(super) fn execute(&mut self, command: Command) -> Reply {
        match command {
            Command::Stat => {
                let (count, octets) = self.maildrop.totals();
                Reply::Line(format!("+OK {count} {octets}"))
            }
            Command::List(None) => self.list(false),
            Command::Uidl(None) => self.list(true),
            Command::List(Some(number)) => self.with(number, |message| {
                Reply::Line(format!("+OK {number} {}", message.size))
            }),
            Command::Uidl(Some(number)) => self.with(number, |message| {
                Reply::Line(format!("+OK {number} {}", message.unique_id))
            }),
            Command::Retr(number) => self.retrieve(number, None),
            Command::Top { number, lines } => self.retrieve(number, Some(lines)),
            Command::Dele(number) => {
                let reply = self.with(number, |_| Reply::Text(format!("message {number} deleted")));
                self.maildrop.mark(number);
                reply
            }
            Command::Rset => {
                self.maildrop.unmark_all();
                Reply::Text(self.summary())
            }
            Command::Noop => Reply::Line("+OK".to_owned()),
            Command::Capa => Reply::Capabilities,
            Command::Lang(range) => Reply::Language(range),
            Command::Quit => {
                let deleted = self.maildrop.marked();
                Reply::Ask(Waiting::Update, Event::Update { deleted })
            }
            // RFC 5034 §4: no second AUTH; RFC 2595 §4: no STLS after login; RFC 6856 §2: nor UTF8.
            Command::User(_)
            | Command::Pass(_)
            | Command::Auth { .. }
            | Command::Stls
            | Command::Utf8 => Reply::Error(reply::WRONG_STATE),
        }
    }

    fn with(&self, number: u32, answer: impl FnOnce(&Message) -> Reply) -> Reply {
        match self.maildrop.find(number) {
            Some((_, message)) => answer(message),
            None => Reply::Refuse(reply::NO_SUCH_MESSAGE),
        }
    }

    fn retrieve(&self, number: u32, lines: Option<u32>) -> Reply {
        match self.maildrop.find(number) {
            Some((index, _)) => {
                let whole = lines.is_none();
                Reply::Ask(Waiting::Message { lines }, Event::Retrieve { index, whole })
            }
            None => Reply::Refuse(reply::NO_SUCH_MESSAGE),
        }
    }

    fn list(&mut self, unique_ids: bool) -> Reply {
        self.listing = Some(Listing {
            unique_ids,
            next: 0,
        });
        Reply::Text(self.summary())
    }

    pub(super) fn summary(&self) -> String {
        let (count, octets) = self.maildrop.totals();
        format!("{count} messages ({octets} octets)")
    }

    /// Writes the next portion of the list, if one is being written.
    pub(super) fn go_on_listing(&mut self, output: &mut Output) -> bool {
        let Some(Listing {
            unique_ids,
            mut next,
        }) = self.listing
        else {
            return false;
        };
        while output.pending() < OUTPUT_LIMIT {
            let Some((number, message)) = self.maildrop.next(next) else {
                output.put(b".\r\n");
                self.listing = None;
                return true;
            };
            let line = if unique_ids {
                format!("{number} {}\r\n", message.unique_id)
            } else {
                format!("{number} {}\r\n", message.size)
            };
            output.put(line.as_bytes());
            // A message's number is the place of the one behind it.
            next = number;
        }
        self.listing = Some(Listing { unique_ids, next });
        true
    }
}
