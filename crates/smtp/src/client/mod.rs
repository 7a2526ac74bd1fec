//! The sending side of SMTP and LMTP, for couriers, for moving mail and for `waxwing send`.
//!
//! [`Session`] pipelines when the server allows it, never sends a bare CR or LF, stuffs every leading dot, and takes
//! nothing from the server that came before TLS was up. What the server said is an owned [`Event`].
//!
//! Invariants: replies are matched with commands in their order, and a reply that nothing waits for ends the session;
//! a message that turns out to have a bare CR, bare LF or NUL is never ended, so that no server takes it.
//!
//! Limits: [`Limits`] for what the server may say, [`WINDOW`] for what is pipelined.

mod hello;
mod parse;
mod send;
#[cfg(test)]
mod tests;

use crate::address::{Mailbox, ReversePath};
use crate::parameters;
use crate::reply::Reply;
use send::Transaction;
use std::collections::VecDeque;
use std::time::Duration;
use wire::base64;
use wire::input::Input;
use wire::output::Output;
use wire::sasl::Mechanism;

/// Commands that may wait for their replies at once. With more, both sides could fill the connection with what the
/// other does not read (RFC 2920 §3.1).
const WINDOW: usize = 100;

/// What the client is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// LHLO and a reply per recipient (RFC 2033) instead of EHLO.
    pub lmtp: bool,
    /// Our name for EHLO.
    pub host: String,
    /// The connection is already under TLS.
    pub tls: bool,
    /// Limits.
    pub limits: Limits,
}

/// What a server may make us hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets of one reply line. RFC 5321 §4.5.3.1.5 says 512; servers with long texts exceed it.
    pub reply_line: usize,
    /// Lines of one reply.
    pub reply_lines: usize,
    /// Silence allowed for the greeting, and for each reply (RFC 5321 §4.5.3.2: 5 minutes).
    pub reply_timeout: Duration,
    /// Silence allowed after the final dot (RFC 5321 §4.5.3.2.6: 10 minutes).
    pub data_end_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            reply_line: 4_096,
            reply_lines: 128,
            reply_timeout: Duration::from_secs(300),
            data_end_timeout: Duration::from_secs(600),
        }
    }
}

/// What the server said it can (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// SIZE: `None` when not offered, zero when no maximum is given (RFC 1870 §4).
    pub size: Option<u64>,
    /// Names of the AUTH mechanisms, upper case.
    pub mechanisms: Vec<String>,
    /// BURL with its arguments, in small letters; `imap` must be among them for URLs of IMAP (RFC 4468 §3.1).
    pub burl: Option<Vec<String>>,
    /// Messages of one connection and recipients of one message, where LIMITS tells them (RFC 9422).
    pub limits: Announced,
    /// Every keyword of the answer, upper case.
    pub keywords: Vec<String>,
}

impl Capabilities {
    /// Whether the server named this keyword, `DSN` or `REQUIRETLS`.
    pub fn has(&self, keyword: &str) -> bool {
        self.keywords.iter().any(|known| known == keyword)
    }
}

/// What LIMITS announces (RFC 9422); `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// MAILMAX: MAIL commands of one connection.
    pub mails: Option<u32>,
    /// RCPTMAX: recipients of one message.
    pub recipients: Option<u32>,
    /// RCPTDOMAINMAX: domains among the recipients of one connection.
    pub domains: Option<u32>,
}

/// The envelope of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub from: ReversePath,
    /// RCPT TO, in this order.
    pub to: Vec<Mailbox>,
    /// Octets of the message, for SIZE.
    pub size: Option<u64>,
    /// The message has octets above 127.
    pub eight_bit: bool,
    /// The header or an address needs SMTPUTF8.
    pub smtputf8: bool,
    /// Parameters of MAIL; those that the server does not offer are left out. Of them SIZE, BODY and SMTPUTF8 follow from
    /// the fields above.
    pub parameters: parameters::Mail,
    /// Parameters of the recipients, in the order of `to`; for those beyond its end there are none. What the server does
    /// not offer is left out.
    pub recipients: Vec<parameters::Recipient>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server greeted and answered EHLO: commands may follow. Comes again after STARTTLS.
    Ready(Capabilities),
    /// STARTTLS was accepted: start TLS, then call [`Session::tls_started`].
    StartTls,
    /// A challenge of the SASL exchange: call [`Session::respond`].
    Challenge(Vec<u8>),
    /// AUTH ended: with 235, or with the refusal.
    Authenticated(Result<(), Reply>),
    /// The server wants the message: call [`Session::body`] until [`Session::body_end`].
    SendBody,
    /// What became of each recipient, in the order of the envelope.
    Sent(Vec<Result<Reply, Reply>>),
    /// The session cannot go on and closes; what became of a transaction under way is not known.
    Failed(Error),
    /// The server has answered QUIT.
    Quit,
}

/// Why a session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server refused the session, EHLO, or said 421.
    #[error("the server refused: {0}")]
    Refused(Reply),
    /// The server refused STARTTLS, or does not offer it.
    #[error("the server cannot start TLS")]
    NoTls,
    /// The server said more behind its answer to STARTTLS, in the clear (an injection).
    #[error("the server sent data in the clear behind STARTTLS")]
    Injection,
    /// The server hung up.
    #[error("the server closed the connection")]
    Closed,
    /// What came is no SMTP reply, or beyond the limits.
    #[error("the server's reply is malformed")]
    Malformed,
    /// The server was silent for too long.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The message has a bare CR, bare LF or NUL (RFC 5321 §2.3.8): it was not sent.
    #[error("the message has a bare CR, a bare LF or a NUL")]
    BadContent,
    /// The envelope needs SMTPUTF8, which the server does not offer (RFC 6531 §3.1).
    #[error("the server does not take internationalised addresses")]
    NoUtf8,
    /// The message has octets that only BINARYMIME carries, which the server does not offer (RFC 3030 §3).
    #[error("the server does not take binary messages")]
    NoBinary,
    /// The server fetches no URLs (RFC 4468).
    #[error("the server fetches no URLs")]
    NoUrls,
    /// The message is larger than the server takes (RFC 1870 §6).
    #[error("the server takes messages of up to {0} octets")]
    TooBig(u64),
    /// The caller asked for something while something else was under way.
    #[error("commands out of order")]
    Order,
}

/// One connection, seen from the client.
#[derive(Debug)]
pub struct Session {
    config: Config,
    input: Input,
    output: Output,
    phase: Phase,
    /// Lines of the reply that is coming in.
    lines: parse::Lines,
    /// What the replies to come are for.
    expected: VecDeque<Expect>,
    capabilities: Capabilities,
    transaction: Option<Transaction>,
    /// A transaction ended before its message: the next one starts with RSET.
    dirty: bool,
    failure: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Talking,
    /// A TLS handshake, which is not ours to read.
    Handshake,
    Closed,
}

/// What a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Rset,
    Mail,
    /// The recipient with this number.
    Rcpt(usize),
    Data,
    /// A chunk before the last.
    Chunk,
    /// The final dot or the last chunk; in LMTP for the recipient with this number.
    DataEnd(Option<usize>),
    Quit,
}

impl Session {
    /// A session that waits for the greeting and then says EHLO by itself.
    pub fn new(config: Config) -> Session {
        Session {
            config,
            input: Input::new(),
            output: Output::new(),
            phase: Phase::Talking,
            lines: parse::Lines::default(),
            expected: VecDeque::from([Expect::Greeting]),
            capabilities: Capabilities::default(),
            transaction: None,
            dirty: false,
            failure: None,
        }
    }

    /// Takes bytes from the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.phase {
            Phase::Talking => self.input.receive(bytes),
            Phase::Handshake if !bytes.is_empty() => self.fail(Error::Injection),
            Phase::Handshake | Phase::Closed => {}
        }
    }

    /// The next event; `None` when more input or a command is needed.
    pub fn poll(&mut self) -> Option<Event> {
        loop {
            if let Some(error) = self.failure.take() {
                return Some(Event::Failed(error));
            }
            if self.phase != Phase::Talking {
                return None;
            }
            match self.lines.next(&mut self.input, &self.config.limits) {
                Ok(None) => return None,
                Ok(Some(reply)) => {
                    if let Some(event) = self.reply(reply) {
                        return Some(event);
                    }
                }
                Err(error) => self.fail(error),
            }
        }
    }

    fn reply(&mut self, reply: Reply) -> Option<Event> {
        let expected = self.expected.pop_front();
        // RFC 5321 §3.8: the server may end the session at any time.
        if reply.code == 421 && expected != Some(Expect::Quit) {
            self.fail(Error::Refused(reply));
            return None;
        }
        match expected {
            None => {
                // Words in the middle of a message are about it: it is too large, or the disk is full.
                let refused = self.sends_body() && !reply.is_positive();
                self.fail(match refused {
                    true => Error::Refused(reply),
                    false => Error::Malformed,
                });
                None
            }
            Some(Expect::Greeting) => self.greeting(reply),
            Some(Expect::Ehlo) => self.ehlo(reply),
            Some(Expect::Helo) => self.helo(reply),
            Some(Expect::StartTls) => self.starttls(reply),
            Some(Expect::Auth) => self.auth(reply),
            Some(Expect::Rset) => self.rset(reply),
            Some(Expect::Mail) => self.mail(reply),
            Some(Expect::Rcpt(number)) => self.rcpt(number, reply),
            Some(Expect::Data) => self.data(reply),
            Some(Expect::Chunk) => self.chunk(reply),
            Some(Expect::DataEnd(number)) => self.data_end(number, reply),
            Some(Expect::Quit) => {
                self.close();
                Some(Event::Quit)
            }
        }
    }

    /// Asks for TLS.
    pub fn start_tls(&mut self) {
        if self.capabilities.starttls {
            self.command("STARTTLS", Expect::StartTls);
        } else {
            self.fail(Error::NoTls);
        }
    }

    fn starttls(&mut self, reply: Reply) -> Option<Event> {
        if reply.code != 220 {
            self.fail(Error::NoTls);
            return None;
        }
        // What came behind the reply came in the clear, and would be taken for protected.
        if !self.input.is_empty() {
            self.fail(Error::Injection);
            return None;
        }
        self.phase = Phase::Handshake;
        Some(Event::StartTls)
    }

    /// TLS is up: forgets what the server said and says EHLO again (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if self.phase != Phase::Handshake {
            return;
        }
        self.phase = Phase::Talking;
        self.config.tls = true;
        self.capabilities = Capabilities::default();
        self.say_hello();
    }

    /// Begins AUTH.
    pub fn authenticate(&mut self, mechanism: Mechanism, initial: Option<&[u8]>) {
        let line = match initial {
            None => format!("AUTH {}", mechanism.name()),
            // RFC 4954 §4: `=` is the empty response.
            Some([]) => format!("AUTH {} =", mechanism.name()),
            Some(response) => format!("AUTH {} {}", mechanism.name(), base64::encode(response)),
        };
        self.command(&line, Expect::Auth);
    }

    /// Answers a challenge; `None` cancels the exchange.
    pub fn respond(&mut self, response: Option<&[u8]>) {
        let line = response.map_or_else(|| "*".to_owned(), base64::encode);
        self.command(&line, Expect::Auth);
    }

    fn auth(&mut self, reply: Reply) -> Option<Event> {
        match reply.code {
            235 => Some(Event::Authenticated(Ok(()))),
            334 => match base64::decode(reply.text.trim_end().as_bytes()) {
                Ok(challenge) => Some(Event::Challenge(challenge)),
                Err(_) => {
                    self.fail(Error::Malformed);
                    None
                }
            },
            _ => Some(Event::Authenticated(Err(reply))),
        }
    }

    /// Says QUIT.
    pub fn quit(&mut self) {
        self.command("QUIT", Expect::Quit);
    }

    /// The next octets to write.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.output.take()
    }

    /// Octets that wait to be written.
    pub fn pending(&self) -> usize {
        self.output.pending()
    }

    /// How long the server may stay silent now.
    pub fn timeout(&self) -> Duration {
        match self.expected.front() {
            Some(Expect::DataEnd(_) | Expect::Chunk) => self.config.limits.data_end_timeout,
            _ => self.config.limits.reply_timeout,
        }
    }

    /// The server was silent for too long.
    pub fn handle_timeout(&mut self) {
        self.fail(Error::TimedOut);
    }

    /// The server ended its side.
    pub fn handle_eof(&mut self) {
        self.fail(Error::Closed);
    }

    /// Replies that are waited for.
    pub fn outstanding(&self) -> usize {
        self.expected.len()
    }

    /// The driver writes what is pending, then closes the connection.
    pub fn closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// What the server can; empty before [`Event::Ready`].
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn command(&mut self, line: &str, expect: Expect) {
        if self.phase == Phase::Talking {
            self.output.put(line.as_bytes());
            self.output.put(b"\r\n");
            self.expected.push_back(expect);
        }
    }

    fn fail(&mut self, error: Error) {
        if self.phase != Phase::Closed {
            self.failure = Some(error);
            self.close();
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.input.clear();
        self.expected.clear();
        self.transaction = None;
    }
}
