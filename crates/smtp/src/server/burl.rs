//! `BURL` (RFC 4468): pieces of a message that the server fetches itself.
//!
//! What the handler fetched goes the way of a chunk of BDAT, with which it may be mixed (RFC 4468 §3.2): its size counts,
//! its line ends are looked at, and it reaches the handler as [`Event::Data`]. A BURL that fails, for whatever reason,
//! ends the transaction, so that pipelined pieces behind it never become a message with a hole.

use super::data::{Chunk, Chunks};
use super::{Accepted, Event, Phase, Session, Step, Waiting};
use crate::reply::{self, Reply};

impl Session {
    pub(super) fn burl(&mut self, url: &str, last: bool) -> Step {
        // RFC 4468 §3.1: on submission only, and whoever may open a transaction there has logged in.
        if self.config.extensions.burl.is_none() {
            return self.refuse(reply::NOT_IMPLEMENTED);
        }
        let Some(transaction) = &self.transaction else {
            return self.refuse(reply::BAD_SEQUENCE);
        };
        if transaction.recipients == 0 {
            // RFC 4468 §3.2: nothing is resolved.
            return self.fail_message(reply::NO_RECIPIENTS_FOR_URL);
        }
        let url = url.to_owned();
        if transaction.chunks.is_some() {
            return self.ask(Waiting::Url { last }, Event::Url(url));
        }
        self.ask(Waiting::UrlStart { url, last }, Event::DataStart)
    }

    /// The message may begin: its first piece is asked for.
    pub(super) fn burl_start_answer(
        &mut self,
        url: String,
        last: bool,
        verdict: Result<Accepted, Reply>,
    ) {
        match verdict {
            Err(reply) => self.phase = Phase::Chunk(Chunk::refused(last, reply)),
            Ok(_) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.chunks = Some(Chunks::default());
                }
                self.phase = Phase::Url { url, last };
            }
        }
    }

    /// Asks for what the URL names.
    pub(super) fn url(&mut self) -> Step {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Url { url, last } => self.ask(Waiting::Url { last }, Event::Url(url)),
            _ => Step::Again,
        }
    }

    /// What an [`Event::Url`] came to: the octets it names, or why there are none. Without such an event it does nothing.
    pub fn answer_url(&mut self, fetched: Result<Vec<u8>, Reply>) {
        let Some(Waiting::Url { last }) = self.waiting else {
            return;
        };
        self.waiting = None;
        match fetched {
            Err(reply) if reply.code == 421 => self.close_with(reply),
            Err(reply) => self.phase = Phase::Chunk(Chunk::refused(last, reply)),
            Ok(octets) => self.phase = Phase::Fetched { octets, last },
        }
    }

    /// Passes on what was fetched as if it had come in a chunk.
    pub(super) fn fetched(&mut self) -> Step {
        let Phase::Fetched { octets, last } = std::mem::replace(&mut self.phase, Phase::Command)
        else {
            return Step::Again;
        };
        let limit = self.config.limits.message;
        let binary = self.transaction.as_ref().is_some_and(|open| open.binary);
        let chunks = self.transaction.as_mut().and_then(|t| t.chunks.as_mut());
        let refusal = match chunks {
            None => Some(reply::BAD_SEQUENCE),
            Some(chunks) => match chunks.take(&octets, binary) {
                size if size > limit => Some(reply::URL_TOO_BIG),
                // RFC 4468 §4: binary data may be refused. Whoever declares it (RFC 3030 §3) has it converted.
                _ if chunks.is_unclean() => Some(reply::URL_IS_BINARY),
                _ => None,
            },
        };
        let taken = refusal.is_none() && !octets.is_empty();
        self.phase = Phase::Chunk(match refusal {
            Some(reply) => Chunk::refused(last, reply),
            None => Chunk::fetched(last),
        });
        if taken {
            Step::Event(Event::Data(octets))
        } else {
            Step::Again
        }
    }

    /// A piece of the message is missing for good.
    pub(super) fn fail_message(&mut self, reply: Reply) -> Step {
        self.count(reply);
        self.reset()
    }
}
