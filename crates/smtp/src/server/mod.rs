//! The receiving side of SMTP, submission and LMTP: order and syntax, no policy.
//!
//! [`Session`] owns the framing of one connection and the state of its transaction. Syntax and order errors are answered
//! inside; everything that needs a decision is an [`Event`], answered with one verdict. State advances only on acceptance.

use crate::address::{ForwardPath, ReversePath};
use crate::parameters;
use crate::reply::Reply;
use std::time::Duration;
use wire::sasl::Mechanism;

/// Whom a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Mail from anyone for our own domains (RFC 5321).
    Reception,
    /// Mail from our own users (RFC 6409).
    Submission,
    /// Mail from a trusted local system, a reply per recipient (RFC 2033).
    Lmtp,
}

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which protocol is spoken.
    pub kind: Kind,
    /// Our name in the greeting and the EHLO answer.
    pub host: String,
    /// The connection is already under TLS (implicit TLS).
    pub tls: bool,
    /// STARTTLS can be offered while the connection is clear.
    pub starttls: bool,
    /// Mechanisms offered under TLS; none means that AUTH is not offered at all.
    pub mechanisms: Vec<Mechanism>,
    /// Mechanisms offered in the clear: none unless the configuration exempts this peer.
    pub mechanisms_clear: Vec<Mechanism>,
    /// Input that comes where the client has to wait (before the greeting, behind EHLO, DATA, AUTH) ends the session with
    /// 554 (RFC 2920 §3.1). Otherwise it is taken as if it had come later.
    pub strict_pipelining: bool,
    /// Limits of this session.
    pub limits: Limits,
}

/// What one session may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512; the parameters of the extensions offered
    /// add some 550; the rest is margin.
    pub command_line: usize,
    /// Octets of a line without CRLF at which the connection is closed: whoever sends these speaks no SMTP.
    pub endless_line: usize,
    /// Octets of a line in a SASL exchange (RFC 4954 §4 asks for 12,288).
    pub sasl_line: usize,
    /// Octets of a message; announced by SIZE (RFC 1870).
    pub message: u64,
    /// Recipients of one transaction (RFC 5321 §4.5.3.1.8 asks for at least 100).
    pub recipients: usize,
    /// Unknown commands before the session ends: a confused or foreign client.
    pub unknown_commands: u32,
    /// Refused commands of any kind before the session ends.
    pub errors: u32,
    /// Silence allowed where a command is expected (RFC 5321 §4.5.3.2.7: 5 minutes).
    pub command_timeout: Duration,
    /// Silence allowed inside of a message (RFC 5321 §4.5.3.2.5 gives the client 3 minutes per block).
    pub data_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            command_line: 2_048,
            endless_line: 16 * 1024,
            sasl_line: 12_288,
            message: 50 * 1024 * 1024,
            recipients: 1_000,
            unknown_commands: 10,
            errors: 100,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
        }
    }
}

/// What the session needs decided, or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// EHLO, HELO or LHLO. Any transaction is gone, as with [`Event::Reset`].
    Hello {
        /// What the client calls itself: a domain or an address literal.
        name: String,
        /// EHLO or LHLO, not HELO.
        extended: bool,
    },
    /// MAIL FROM.
    Mail {
        /// The sender.
        from: ReversePath,
        /// Parameters; the size is already within the limit.
        parameters: parameters::Mail,
    },
    /// RCPT TO.
    Recipient {
        /// The recipient.
        to: ForwardPath,
        /// Parameters.
        parameters: parameters::Recipient,
    },
    /// DATA or the first BDAT. After acceptance the message follows.
    DataStart,
    /// Octets of the message, without dot-stuffing. Needs no answer.
    Data(Vec<u8>),
    /// The message is complete. Answer with [`Session::answer`], or in LMTP with [`Session::answer_recipients`].
    DataEnd,
    /// The transaction has ended without a message: forget its sender, recipients and octets. Needs no answer.
    Reset,
    /// STARTTLS. After acceptance write out what is pending, start TLS and call [`Session::tls_started`].
    StartTls,
    /// AUTH. Answer with [`Session::challenge`], or with [`Session::answer`] when decided.
    Authenticate {
        /// One of those offered.
        mechanism: Mechanism,
        /// The initial response, decoded.
        initial: Option<Vec<u8>>,
    },
    /// The answer to a challenge, decoded. Answered like [`Event::Authenticate`].
    SaslResponse(Vec<u8>),
    /// The client cancelled the exchange or broke its framing; it has been told. Needs no answer.
    SaslAborted,
}

/// A handler's yes, with the usual reply or a particular one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted(Option<Reply>);

impl Accepted {
    /// Yes, in these words.
    pub fn with(reply: Reply) -> Accepted {
        Accepted(Some(reply))
    }
}

/// One connection, seen from the server.
#[derive(Debug)]
pub struct Session {
    config: Config,
}

impl Session {
    /// A session whose greeting waits in the output.
    pub fn new(config: Config) -> Session {
        Session { config }
    }

    /// Takes bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The next event; `None` when more input or an answer is needed.
    pub fn poll(&mut self) -> Option<Event> {
        None
    }

    /// The verdict on the event that waits.
    pub fn answer(&mut self, verdict: Result<Accepted, Reply>) {
        let _ = verdict;
    }

    /// LMTP: the verdict on the message for each accepted recipient, in the order of the RCPT commands (RFC 2033 §4.2).
    pub fn answer_recipients(&mut self, verdicts: Vec<Result<Accepted, Reply>>) {
        let _ = verdicts;
    }

    /// Sends a challenge of the SASL exchange.
    pub fn challenge(&mut self, challenge: &[u8]) {
        let _ = challenge;
    }

    /// The next octets to write.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Octets that wait to be written.
    pub fn pending(&self) -> usize {
        0
    }

    /// How long the peer may stay silent now.
    pub fn timeout(&self) -> Duration {
        self.config.limits.command_timeout
    }

    /// The peer was silent for too long: says so and closes.
    pub fn handle_timeout(&mut self) {}

    /// The server stops: 421 once the command in hand is done.
    pub fn shutdown(&mut self) {}

    /// The driver writes what is pending, then closes the connection.
    pub fn closed(&self) -> bool {
        false
    }

    /// TLS is up: everything learned in the clear is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {}
}
