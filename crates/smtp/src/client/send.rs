//! One transaction: MAIL, RCPT and DATA, and what became of each recipient.

use super::{Envelope, Error, Event, Expect, Session, WINDOW};
use crate::address::ReversePath;
use crate::parameters;
use crate::reply::{self, Reply};
use std::collections::VecDeque;
use wire::dots::{BareNewlines, DotEncoder};

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Commands not sent yet.
    todo: VecDeque<(String, Expect)>,
    /// What the server said to each recipient; accepted ones wait for the message's reply.
    outcomes: Vec<Outcome>,
    /// The message goes in chunks (RFC 3030).
    chunking: bool,
    /// The message may have any octets.
    binary: bool,
    body: Option<Body>,
}

#[derive(Debug)]
enum Outcome {
    Waiting,
    Accepted,
    Done(Result<Reply, Reply>),
}

/// The message on its way.
#[derive(Debug)]
enum Body {
    /// Behind DATA.
    Stuffed {
        encoder: DotEncoder,
        ends_in_cr: bool,
    },
    /// Behind BDAT and BURL. The piece that came last is held until it is known whether it is the last chunk.
    Chunks {
        held: Piece,
        ends_in_cr: bool,
        whole_line: bool,
    },
}

/// A piece of a message in chunks.
#[derive(Debug)]
enum Piece {
    Octets(Vec<u8>),
    /// The server fetches it (RFC 4468).
    Url(String),
}

impl Piece {
    fn is_empty(&self) -> bool {
        matches!(self, Piece::Octets(octets) if octets.is_empty())
    }

    /// Its command, with its octets.
    fn command(&self, end: &str) -> Vec<u8> {
        match self {
            Piece::Octets(octets) => chunk(octets, end),
            Piece::Url(url) => format!("BURL {url}{end}\r\n").into_bytes(),
        }
    }
}

impl Session {
    /// Begins a transaction.
    pub fn send(&mut self, envelope: Envelope) -> Result<(), Error> {
        if self.transaction.is_some() || !self.expected.is_empty() {
            return Err(Error::Order);
        }
        let can = &self.capabilities;
        let utf8 = envelope.smtputf8
            || envelope.to.iter().any(|mailbox| mailbox.needs_utf8())
            || envelope
                .from
                .mailbox()
                .is_some_and(|mailbox| mailbox.needs_utf8());
        if utf8 && !can.smtputf8 {
            return Err(Error::NoUtf8);
        }
        // RFC 1870 §6.1: zero means that no limit is known.
        if let (Some(limit @ 1..), Some(size)) = (can.size, envelope.size)
            && size > limit
        {
            return Err(Error::TooBig(limit));
        }
        let binary = envelope.parameters.body == parameters::Body::BinaryMime;
        // RFC 3030 §3: the two belong together.
        if binary && !(can.chunking && can.has("BINARYMIME")) {
            return Err(Error::NoBinary);
        }
        let chunking = can.chunking;
        let mut todo = VecDeque::new();
        if std::mem::take(&mut self.dirty) {
            todo.push_back(("RSET".to_owned(), Expect::Rset));
        }
        todo.push_back((self.mail_line(&envelope, utf8), Expect::Mail));
        for (number, mailbox) in envelope.to.iter().enumerate() {
            let parameters = envelope.recipients.get(number).map(|parameters| {
                parameters.offered(|keyword| self.capabilities.has(keyword), utf8)
            });
            let line = format!("RCPT TO:<{mailbox}>{}", parameters.unwrap_or_default());
            todo.push_back((line, Expect::Rcpt(number)));
        }
        if !chunking {
            todo.push_back(("DATA".to_owned(), Expect::Data));
        }
        let outcomes = envelope.to.iter().map(|_| Outcome::Waiting).collect();
        self.transaction = Some(Transaction {
            todo,
            outcomes,
            chunking,
            binary,
            body: None,
        });
        self.push();
        Ok(())
    }

    fn mail_line(&self, envelope: &Envelope, utf8: bool) -> String {
        let from: &ReversePath = &envelope.from;
        let mut line = format!("MAIL FROM:<{from}>");
        if let (Some(_), Some(size)) = (self.capabilities.size, envelope.size) {
            line.push_str(&format!(" SIZE={size}"));
        }
        if envelope.parameters.body == parameters::Body::BinaryMime {
            line.push_str(" BODY=BINARYMIME");
        } else if (envelope.eight_bit || utf8) && self.capabilities.eight_bit_mime {
            line.push_str(" BODY=8BITMIME");
        }
        if utf8 {
            line.push_str(" SMTPUTF8");
        }
        let offered = |keyword: &str| self.capabilities.has(keyword);
        line.push_str(&envelope.parameters.offered(offered));
        line
    }

    /// Sends what may be sent: everything up to the window, or one command where the server does not pipeline.
    fn push(&mut self) {
        let window = if self.capabilities.pipelining {
            WINDOW
        } else {
            1
        };
        while self.expected.len() < window {
            let Some((line, expect)) = self
                .transaction
                .as_mut()
                .and_then(|open| open.todo.pop_front())
            else {
                return;
            };
            self.command(&line, expect);
        }
    }

    pub(super) fn rset(&mut self, reply: Reply) -> Option<Event> {
        if !reply.is_positive() {
            // That says nothing about the message that would have come.
            self.fail(Error::Closed);
            return None;
        }
        self.push();
        None
    }

    pub(super) fn mail(&mut self, reply: Reply) -> Option<Event> {
        if !reply.is_positive()
            && let Some(open) = &mut self.transaction
        {
            open.todo.clear();
            open.outcomes
                .iter_mut()
                .for_each(|outcome| *outcome = Outcome::Done(Err(reply.clone())));
        }
        self.next()
    }

    pub(super) fn rcpt(&mut self, number: usize, reply: Reply) -> Option<Event> {
        if let Some(open) = &mut self.transaction {
            if let Some(outcome @ Outcome::Waiting) = open.outcomes.get_mut(number) {
                *outcome = if reply.is_positive() {
                    Outcome::Accepted
                } else {
                    Outcome::Done(Err(reply))
                };
            }
            let hopeless = open
                .outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Done(_)));
            if hopeless {
                // Only DATA is left, which would be refused.
                open.todo.clear();
            }
        }
        self.next()
    }

    /// Goes on behind a reply; without anything left to wait for the transaction is over before its message.
    fn next(&mut self) -> Option<Event> {
        self.push();
        if !self.expected.is_empty() {
            return None;
        }
        if let Some(open) = &mut self.transaction
            && open.chunking
            && open.accepted() > 0
        {
            // RFC 3030 §2: BDAT needs no leave. Waiting for the recipients saves the octets of a message that none takes.
            open.body = Some(Body::Chunks {
                held: Piece::Octets(Vec::new()),
                ends_in_cr: false,
                whole_line: true,
            });
            return Some(Event::SendBody);
        }
        self.end(true)
    }

    pub(super) fn data(&mut self, reply: Reply) -> Option<Event> {
        let Some(open) = &mut self.transaction else {
            return None;
        };
        if reply.code != 354 {
            open.settle(|| Err(reply.clone()));
            return self.end(true);
        }
        if open.accepted() == 0 {
            // RFC 2920 §3.1: DATA went out with the recipients, all of which were refused, and the server wants a
            // message all the same: it gets an empty one.
            self.output.put(b".\r\n");
            self.expected.push_back(Expect::DataEnd(None));
            return None;
        }
        open.body = Some(Body::Stuffed {
            encoder: DotEncoder::new(BareNewlines::Keep),
            ends_in_cr: false,
        });
        Some(Event::SendBody)
    }

    /// Whether the message is on its way.
    pub(super) fn sends_body(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|open| open.body.is_some())
    }

    /// The next octets of the message, with CRLF line ends. A bare CR, bare LF or NUL ends the session
    /// ([`Error::BadContent`]) and leaves the message without its end; with `BODY=BINARYMIME` all octets may come.
    pub fn body(&mut self, bytes: &[u8]) {
        let Some(open) = self.transaction.as_mut() else {
            return;
        };
        let mut encoded = Vec::new();
        match &mut open.body {
            None => return,
            Some(Body::Stuffed {
                encoder,
                ends_in_cr,
            }) => {
                encoder.feed(bytes, &mut encoded);
                if let Some(last) = bytes.last() {
                    *ends_in_cr = *last == b'\r';
                }
                if encoder.seen().any() {
                    return self.fail(Error::BadContent);
                }
            }
            Some(Body::Chunks {
                held,
                ends_in_cr,
                whole_line,
            }) => {
                if !open.binary && !is_text(bytes, ends_in_cr) {
                    return self.fail(Error::BadContent);
                }
                if bytes.is_empty() {
                    return;
                }
                *whole_line = bytes.ends_with(b"\n");
                let piece = std::mem::replace(held, Piece::Octets(bytes.to_vec()));
                if piece.is_empty() {
                    return;
                }
                encoded = piece.command("");
                self.expected.push_back(Expect::Chunk);
            }
        }
        self.output.put_owned(encoded);
    }

    /// The next piece of the message is what this URL names, which the server fetches itself (RFC 4468). For servers that
    /// offer it together with CHUNKING, in place of or between calls of [`Session::body`]; the URL has no blank in it.
    pub fn body_url(&mut self, url: &str) -> Result<(), Error> {
        if self.capabilities.burl.is_none() {
            return Err(Error::NoUrls);
        }
        if !url.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Error::BadContent);
        }
        let Some(Body::Chunks {
            held,
            ends_in_cr,
            whole_line,
        }) = self
            .transaction
            .as_mut()
            .and_then(|open| open.body.as_mut())
        else {
            return Err(Error::Order);
        };
        // What the URL ends in only the server knows.
        (*ends_in_cr, *whole_line) = (false, true);
        let piece = std::mem::replace(held, Piece::Url(url.to_owned()));
        if !piece.is_empty() {
            let encoded = piece.command("");
            self.expected.push_back(Expect::Chunk);
            self.output.put_owned(encoded);
        }
        Ok(())
    }

    /// The message is complete.
    pub fn body_end(&mut self) {
        let Some(open) = &mut self.transaction else {
            return;
        };
        let Some(body) = open.body.take() else {
            return;
        };
        match body {
            Body::Stuffed {
                ends_in_cr: true, ..
            } => return self.fail(Error::BadContent),
            Body::Chunks {
                ends_in_cr: true, ..
            } if !open.binary => return self.fail(Error::BadContent),
            Body::Stuffed { encoder, .. } => {
                let mut end = Vec::new();
                encoder.finish(&mut end);
                self.output.put(&end);
            }
            Body::Chunks {
                mut held,
                whole_line,
                ..
            } => {
                // As behind DATA, the last line is a whole one.
                if let Piece::Octets(octets) = &mut held
                    && !open.binary
                    && !whole_line
                {
                    octets.extend_from_slice(b"\r\n");
                }
                self.output.put_owned(held.command(" LAST"));
            }
        }
        self.expect_end();
    }

    fn expect_end(&mut self) {
        // RFC 2033 §4.2: a reply for each accepted recipient.
        if let (true, Some(open)) = (self.config.lmtp, &self.transaction) {
            let accepted = open.outcomes.iter().enumerate();
            let accepted = accepted.filter(|(_, outcome)| matches!(outcome, Outcome::Accepted));
            self.expected
                .extend(accepted.map(|(number, _)| Expect::DataEnd(Some(number))));
        } else {
            self.expected.push_back(Expect::DataEnd(None));
        }
    }

    /// A chunk that is not the last. Behind a refusal the others are refused as well (RFC 3030 §2), and the first says why.
    pub(super) fn chunk(&mut self, reply: Reply) -> Option<Event> {
        if !reply.is_positive()
            && let Some(open) = &mut self.transaction
        {
            open.settle(|| Err(reply.clone()));
        }
        None
    }

    pub(super) fn data_end(&mut self, number: Option<usize>, reply: Reply) -> Option<Event> {
        let open = self.transaction.as_mut()?;
        let verdict = if reply.is_positive() {
            Ok(reply)
        } else {
            Err(reply)
        };
        match number.and_then(|number| open.outcomes.get_mut(number)) {
            Some(Outcome::Done(_)) => {}
            Some(outcome) => *outcome = Outcome::Done(verdict),
            None => open.settle(|| verdict.clone()),
        }
        if self.expected.is_empty() {
            self.end(false)
        } else {
            None
        }
    }

    fn end(&mut self, dirty: bool) -> Option<Event> {
        let open = self.transaction.take()?;
        self.dirty = dirty;
        let verdicts = open.outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Done(verdict) => verdict,
            // Nothing said so far means that nothing was promised.
            Outcome::Waiting | Outcome::Accepted => Err(reply::INTERNAL),
        });
        Some(Event::Sent(verdicts.collect()))
    }
}

/// `bdat-cmd ::= "BDAT" SP chunk-size [ SP end-marker ] CR LF` and the chunk (RFC 3030 §2).
fn chunk(octets: &[u8], end: &str) -> Vec<u8> {
    let mut out = format!("BDAT {}{end}\r\n", octets.len()).into_bytes();
    out.extend_from_slice(octets);
    out
}

/// Whether these octets can go on in a text: no NUL, no CR or LF alone. A CR at the end waits for what follows.
fn is_text(bytes: &[u8], after_cr: &mut bool) -> bool {
    for octet in bytes {
        let lone = *octet == 0 || (*octet == b'\n') != *after_cr;
        if lone {
            return false;
        }
        *after_cr = *octet == b'\r';
    }
    true
}

impl Transaction {
    fn accepted(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Accepted))
            .count()
    }

    /// The verdict for all that wait for one.
    fn settle(&mut self, verdict: impl Fn() -> Result<Reply, Reply>) {
        for outcome in &mut self.outcomes {
            if matches!(outcome, Outcome::Accepted | Outcome::Waiting) {
                *outcome = Outcome::Done(verdict());
            }
        }
    }
}
