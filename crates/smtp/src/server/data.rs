//! `DATA` and `BDAT`: how the octets of a message come, and the verdict on it.

use super::{Accepted, Event, Kind, Phase, Session, Step, Waiting};
use crate::reply::{self, Reply};
use wire::dots::{DotDecoder, Seen};

/// A message that comes as lines up to the final dot.
#[derive(Debug, Default)]
pub(super) struct Lines {
    decoder: DotDecoder,
    /// Octets without the dot-stuffing (RFC 1870 §5).
    size: u64,
}

/// What the chunks of a message have in common.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    size: u64,
    ends: LineEnds,
}

/// The octets behind one BDAT command.
#[derive(Debug)]
pub(super) struct Chunk {
    remaining: u64,
    last: bool,
    /// The verdict is known; the octets are read and dropped.
    refusal: Option<Reply>,
    /// They were fetched (RFC 4468).
    fetched: bool,
}

impl Chunk {
    /// A piece without octets of its own in the input, which ends the message badly.
    pub(super) fn refused(last: bool, reply: Reply) -> Chunk {
        Chunk {
            remaining: 0,
            last,
            refusal: Some(reply),
            fetched: true,
        }
    }

    /// A piece that has been fetched and passed on.
    pub(super) fn fetched(last: bool) -> Chunk {
        Chunk {
            remaining: 0,
            last,
            refusal: None,
            fetched: true,
        }
    }
}

impl Chunks {
    /// Counts octets and looks at their line ends; the size of all so far.
    pub(super) fn take(&mut self, octets: &[u8], binary: bool) -> u64 {
        self.size = self.size.saturating_add(octets.len() as u64);
        if !binary {
            self.ends.feed(octets);
        }
        self.size
    }

    /// Whether something was seen that a text must not have.
    pub(super) fn is_unclean(&self) -> bool {
        self.ends.seen.any()
    }
}

/// Line ends across chunks: without BINARYMIME text must be canonical (RFC 3030 §2).
#[derive(Debug, Default)]
struct LineEnds {
    after_cr: bool,
    seen: Seen,
}

impl LineEnds {
    fn feed(&mut self, mut octets: &[u8]) {
        while let Some((&first, rest)) = octets.split_first() {
            if self.after_cr && first != b'\n' {
                self.seen.bare_cr = true;
            }
            match first {
                b'\n' => self.seen.bare_lf |= !self.after_cr,
                0 => self.seen.nul = true,
                _ => {}
            }
            self.after_cr = first == b'\r';
            octets = rest;
            if !self.after_cr {
                let run = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                octets = rest.get(run..).unwrap_or_default();
            }
        }
    }

    /// What was seen, when nothing follows.
    fn finish(&self) -> Seen {
        Seen {
            bare_cr: self.seen.bare_cr || self.after_cr,
            ..self.seen
        }
    }
}

impl Session {
    pub(super) fn data(&mut self) -> Step {
        let lmtp = self.config.kind == Kind::Lmtp;
        match &self.transaction {
            None => return self.refuse(reply::BAD_SEQUENCE),
            // RFC 3030 §2: DATA and BDAT are not mixed; §3: BINARYMIME comes with BDAT only.
            Some(transaction) if transaction.chunks.is_some() || transaction.binary => {
                return self.refuse(reply::BAD_SEQUENCE);
            }
            // RFC 2033 §4.2 asks for 503 here.
            Some(transaction) if transaction.recipients == 0 && lmtp => {
                return self.refuse(reply::BAD_SEQUENCE);
            }
            Some(transaction) if transaction.recipients == 0 => {
                return self.refuse(reply::NO_RECIPIENTS);
            }
            Some(_) => {}
        }
        if self.out_of_step() {
            // RFC 2920 §3.1: DATA ends a group. Message octets that are here already come from somebody who does not
            // read our replies, and would be read as commands if this one were refused.
            self.close_with(reply::EARLY_TALK);
            return Step::NeedInput;
        }
        self.ask(Waiting::DataStart, Event::DataStart)
    }

    pub(super) fn data_answer(&mut self, verdict: Result<Accepted, Reply>) {
        match verdict {
            Err(reply) => self.count(reply),
            Ok(accepted) => {
                self.put(accepted.0.unwrap_or(reply::START_MAIL));
                self.phase = Phase::Data(Lines::default());
            }
        }
    }

    /// Takes what has arrived of the message.
    pub(super) fn data_lines(&mut self) -> Step {
        let Phase::Data(lines) = &mut self.phase else {
            return Step::Again;
        };
        if self.input.is_empty() {
            return Step::NeedInput;
        }
        let mut octets = Vec::with_capacity(self.input.len());
        let progress = lines.decoder.feed(self.input.peek(), &mut octets);
        lines.size = lines.size.saturating_add(octets.len() as u64);
        let too_big = lines.size > self.config.limits.message;
        let bad = lines.decoder.seen().any();
        self.input.consume(progress.consumed);
        if !octets.is_empty() && !too_big && !bad {
            if progress.done {
                self.phase = Phase::DataDone;
            }
            return Step::Event(Event::Data(octets));
        }
        if !progress.done {
            return Step::NeedInput;
        }
        let refusal = refusal(too_big, bad);
        self.end_of_message(refusal)
    }

    pub(super) fn bdat(&mut self, size: u64, last: bool, broken: usize) -> Step {
        let started = match &self.transaction {
            None => {
                self.broken = broken;
                return self.drop_chunk(size, last, reply::BAD_SEQUENCE);
            }
            Some(transaction) if transaction.recipients == 0 => {
                let reply = if self.config.kind == Kind::Lmtp {
                    reply::BAD_SEQUENCE
                } else {
                    reply::NO_RECIPIENTS
                };
                return self.drop_chunk(size, last, reply);
            }
            Some(transaction) => transaction.chunks.is_some(),
        };
        if started {
            self.phase = Phase::Chunk(Chunk {
                remaining: size,
                last,
                refusal: None,
                fetched: false,
            });
            return Step::Again;
        }
        self.ask(Waiting::ChunkStart { size, last }, Event::DataStart)
    }

    pub(super) fn bdat_answer(&mut self, size: u64, last: bool, verdict: Result<Accepted, Reply>) {
        let refusal = match verdict {
            Err(reply) => Some(reply),
            Ok(_) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.chunks = Some(Chunks::default());
                }
                None
            }
        };
        self.phase = Phase::Chunk(Chunk {
            remaining: size,
            last,
            refusal,
            fetched: false,
        });
    }

    /// RFC 3030 §2: the octets of a refused chunk are taken and dropped before the refusal is sent.
    fn drop_chunk(&mut self, size: u64, last: bool, reply: Reply) -> Step {
        self.phase = Phase::Chunk(Chunk {
            remaining: size,
            last,
            refusal: Some(reply),
            fetched: false,
        });
        Step::Again
    }

    /// Takes what has arrived of the chunk.
    pub(super) fn chunk(&mut self) -> Step {
        let Phase::Chunk(chunk) = &mut self.phase else {
            return Step::Again;
        };
        if chunk.remaining == 0 {
            return self.chunk_end();
        }
        let max = usize::try_from(chunk.remaining).unwrap_or(usize::MAX);
        let octets = self.input.octets(max);
        if octets.is_empty() {
            return Step::NeedInput;
        }
        let length = octets.len() as u64;
        chunk.remaining = chunk.remaining.saturating_sub(length);
        let binary = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.binary);
        let chunks = self
            .transaction
            .as_mut()
            .and_then(|transaction| transaction.chunks.as_mut());
        let Some(chunks) = chunks.filter(|_| chunk.refusal.is_none()) else {
            return Step::Again;
        };
        if chunks.take(octets, binary) > self.config.limits.message {
            chunk.refusal = Some(reply::MESSAGE_TOO_BIG);
        } else if !chunks.is_unclean() {
            return Step::Event(Event::Data(octets.to_vec()));
        }
        Step::Again
    }

    /// All octets of the chunk are here.
    fn chunk_end(&mut self) -> Step {
        let Phase::Chunk(chunk) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return Step::Again;
        };
        let Chunk {
            last,
            refusal,
            fetched,
            ..
        } = chunk;
        if last {
            let chunks = self
                .transaction
                .as_ref()
                .and_then(|transaction| transaction.chunks.as_ref());
            let bad = chunks.is_some_and(|chunks| chunks.ends.finish().any());
            let reason = if fetched {
                reply::URL_IS_BINARY
            } else {
                reply::BAD_CONTENT
            };
            return self.end_of_message(refusal.or(bad.then_some(reason)));
        }
        match refusal {
            None if fetched => self.say(reply::URL_OK),
            None => self.say(reply::CHUNK_OK),
            Some(reply) => {
                // The transaction is over. LMTP clients that have pipelined more chunks count replies by its recipients.
                self.broken = self.broken.max(self.recipients());
                self.count(reply);
                self.reset()
            }
        }
    }

    /// The message is complete: a fault that needs no handler is answered here.
    pub(super) fn end_of_message(&mut self, refusal: Option<Reply>) -> Step {
        self.phase = Phase::Command;
        let Some(reply) = refusal else {
            return self.ask(Waiting::DataEnd, Event::DataEnd);
        };
        // RFC 2033 §4.2, §4.3: a reply per recipient, and none where there is no recipient.
        let replies = match (self.config.kind, &self.transaction) {
            (Kind::Lmtp, Some(transaction)) => transaction.recipients,
            (Kind::Lmtp, None) => std::mem::take(&mut self.broken).max(1),
            _ => 1,
        };
        for _ in 1..replies {
            self.put(reply.clone());
        }
        if replies > 0 {
            self.count(reply);
        }
        self.reset()
    }

    /// Ends the transaction with the handler's verdicts.
    pub(super) fn message_answer(&mut self, verdicts: Vec<Result<Accepted, Reply>>) {
        self.transaction = None;
        let mut failed = None;
        for verdict in verdicts {
            match verdict {
                Ok(accepted) => self.put(accepted.0.unwrap_or(reply::MESSAGE_OK)),
                Err(reply) => {
                    self.put(reply.clone());
                    failed = Some(reply);
                }
            }
        }
        if failed.is_some() {
            self.count_error();
        }
    }
}

/// The size counts before what is in the message is judged, as it does when chunks come.
fn refusal(too_big: bool, bad: bool) -> Option<Reply> {
    if too_big {
        Some(reply::MESSAGE_TOO_BIG)
    } else {
        bad.then_some(reply::BAD_CONTENT)
    }
}
