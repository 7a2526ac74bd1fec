//! The receiving side of SMTP, submission and LMTP: order and syntax, no policy.
//!
//! [`Session`] owns the framing of one connection and the state of its transaction. Syntax and order errors are answered
//! inside; everything that needs a decision is an [`Event`], answered with one verdict. State advances only on acceptance.
//!
//! Invariants:
//! * at most one event waits for a verdict, and nothing is read from the input meanwhile;
//! * every end of a transaction, good or bad, leaves nothing of it behind;
//! * only CRLF.CRLF ends DATA, and a message with a bare CR, bare LF or NUL is refused after its true end;
//! * a BURL that fails takes its transaction with it;
//! * a chunk of BDAT is read to its last octet whatever the verdict, and a size that does not parse ends the session:
//!   octets of a message are never read as commands.

mod auth;
mod burl;
mod data;
mod extensions;
mod hello;
mod mail;
mod quirks;
mod rcpt;
mod xclient;

use crate::address::{ForwardPath, ReversePath};
use crate::parameters;
use crate::parse::{self, Client, Command};
use crate::reply::{self, Reply};
use data::{Chunk, Chunks, Lines};
use std::fmt;
use std::time::Duration;
use wire::input::{Input, Line};
use wire::output::Output;
use wire::sasl::Mechanism;

pub use extensions::{Extensions, FutureRelease};
pub use quirks::Quirks;

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
    /// What is offered beyond what every session has.
    pub extensions: Extensions,
    /// What is taken from clients that break the grammar.
    pub quirks: Quirks,
    /// Limits of this session.
    pub limits: Limits,
}

impl Config {
    /// The greeting.
    fn banner(&self) -> String {
        let protocol = if self.kind == Kind::Lmtp {
            "LMTP"
        } else {
            "ESMTP"
        };
        format!("220 {} {protocol} Waxwing\r\n", self.host)
    }
}

/// What one session may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512; the parameters of the extensions offered
    /// add some 550; the rest is margin.
    pub command_line: usize,
    /// Octets of a BURL command with its CRLF, where it is offered: a mailbox name of the longest, encoded, and a token.
    pub burl_line: usize,
    /// Octets of a line without CRLF at which the connection is closed: whoever sends these speaks no SMTP.
    pub endless_line: usize,
    /// Octets of a line in a SASL exchange (RFC 4954 §4 asks for 12,288).
    pub sasl_line: usize,
    /// Octets of a message; announced by SIZE (RFC 1870).
    pub message: u64,
    /// Recipients of one transaction (RFC 5321 §4.5.3.1.8 asks for at least 100).
    pub recipients: usize,
    /// MAIL commands of one session, whatever becomes of them; the next one ends it (RFC 9422).
    pub transactions: u32,
    /// Unknown commands before the session ends: a confused or foreign client.
    pub unknown_commands: u32,
    /// Refused commands before the session ends. Recipients that the handler refuses do not count: how many of those
    /// are too many is its policy, which it speaks as 421.
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
            burl_line: 8_256,
            endless_line: 16 * 1024,
            sasl_line: 12_288,
            message: 50 * 1024 * 1024,
            recipients: 1_000,
            transactions: 10_000,
            unknown_commands: 10,
            errors: 100,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
        }
    }
}

/// What the session needs decided, or tells.
#[derive(Clone, PartialEq, Eq)]
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
    /// DATA, the first BDAT or the first BURL. After acceptance the message follows.
    DataStart,
    /// Octets of the message, without dot-stuffing. Needs no answer.
    Data(Vec<u8>),
    /// BURL: fetch what this URL names (RFC 4468). Answer with [`Session::answer_url`]; the octets come back as
    /// [`Event::Data`], counted and looked at.
    Url(String),
    /// The message is complete. Answer with [`Session::answer`], or in LMTP with [`Session::answer_recipients`].
    DataEnd,
    /// The transaction has ended without a message: forget its sender, recipients and octets. Needs no answer.
    Reset,
    /// STARTTLS. Any transaction is gone. After acceptance write out what is pending, start TLS, forget who the client
    /// said it is and call [`Session::tls_started`].
    StartTls,
    /// XCLIENT from a proxy or filter of ours: another client stands at the other end. After acceptance everything that was
    /// known of the one before is forgotten, and taken from here.
    Client(Box<Client>),
    /// XFORWARD: where the message comes from, for the log.
    Forwarded(Box<Client>),
    /// ETRN: try what waits for this domain (RFC 1985).
    Etrn {
        /// The domain.
        domain: String,
        /// And all domains below it.
        below: bool,
    },
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

impl fmt::Debug for Event {
    /// Responses of a SASL exchange hold passwords and message octets are long: neither is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Hello { name, extended } => f
                .debug_struct("Hello")
                .field("name", name)
                .field("extended", extended)
                .finish(),
            Event::Mail { from, parameters } => f
                .debug_struct("Mail")
                .field("from", from)
                .field("parameters", parameters)
                .finish(),
            Event::Recipient { to, .. } => f
                .debug_struct("Recipient")
                .field("to", to)
                .finish_non_exhaustive(),
            Event::DataStart => f.write_str("DataStart"),
            Event::Data(octets) => write!(f, "Data({} octets)", octets.len()),
            // The token in it is a password.
            Event::Url(_) => f.write_str("Url(..)"),
            Event::DataEnd => f.write_str("DataEnd"),
            Event::Reset => f.write_str("Reset"),
            Event::StartTls => f.write_str("StartTls"),
            Event::Authenticate { mechanism, .. } => f
                .debug_struct("Authenticate")
                .field("mechanism", mechanism)
                .finish_non_exhaustive(),
            Event::Client(client) => f.debug_tuple("Client").field(client).finish(),
            Event::Forwarded(client) => f.debug_tuple("Forwarded").field(client).finish(),
            Event::Etrn { domain, below } => f
                .debug_struct("Etrn")
                .field("domain", domain)
                .field("below", below)
                .finish(),
            Event::SaslResponse(_) => f.write_str("SaslResponse(..)"),
            Event::SaslAborted => f.write_str("SaslAborted"),
        }
    }
}

/// One connection, seen from the server.
#[derive(Debug)]
pub struct Session {
    config: Config,
    input: Input,
    output: Output,
    phase: Phase,
    /// The event that waits for its verdict.
    waiting: Option<Waiting>,
    /// The greeting has been taken for writing: from here on the client may talk.
    greeted: bool,
    stopping: bool,
    tls: bool,
    hello: Option<Hello>,
    authenticated: bool,
    transaction: Option<Transaction>,
    /// Recipients of a transaction that failed in the middle of its chunks, as long as nothing but BDAT follows.
    broken: usize,
    /// Octets so far of a line beyond its limit.
    overlong: usize,
    /// MAIL commands so far.
    transactions: u32,
    unknown: u32,
    errors: u32,
}

/// What the next octets of the input are.
#[derive(Debug)]
enum Phase {
    /// Command lines.
    Command,
    /// A message up to its final dot.
    Data(Lines),
    /// The final dot is read; the handler has yet to be asked.
    DataDone,
    /// The octets of a BDAT command.
    Chunk(Chunk),
    /// A URL that the handler has yet to be asked for.
    Url { url: String, last: bool },
    /// What a URL named; the handler has yet to get it.
    Fetched { octets: Vec<u8>, last: bool },
    /// A response to a SASL challenge.
    Sasl,
    /// A TLS handshake, which is not ours to read.
    Handshake,
    /// Nothing more.
    Closed,
}

/// What its verdict decides.
#[derive(Debug)]
enum Waiting {
    Hello {
        extended: bool,
    },
    Mail {
        smtputf8: bool,
        binary: bool,
    },
    Recipient,
    DataStart,
    ChunkStart {
        size: u64,
        last: bool,
    },
    UrlStart {
        url: String,
        last: bool,
    },
    Url {
        last: bool,
    },
    DataEnd,
    StartTls,
    Authentication,
    Client {
        logged_in: bool,
        hello: Option<Hello>,
    },
    Simple,
}

/// The client has said who it is.
#[derive(Debug)]
struct Hello {
    extended: bool,
}

/// From an accepted MAIL to the end of the message.
#[derive(Debug)]
struct Transaction {
    smtputf8: bool,
    /// BODY=BINARYMIME: any octets, in chunks only (RFC 3030 §3).
    binary: bool,
    recipients: usize,
    /// The message comes in chunks.
    chunks: Option<Chunks>,
}

/// What one turn of the session came to.
enum Step {
    /// Tell the handler.
    Event(Event),
    /// Go on.
    Again,
    /// Nothing to do without more input.
    NeedInput,
}

impl Session {
    /// A session whose greeting waits in the output.
    pub fn new(config: Config) -> Session {
        let greeting = config.banner();
        let mut output = Output::new();
        output.put(greeting.as_bytes());
        Session {
            input: Input::new(),
            output,
            phase: Phase::Command,
            waiting: None,
            greeted: false,
            stopping: false,
            tls: config.tls,
            hello: None,
            authenticated: false,
            transaction: None,
            broken: 0,
            overlong: 0,
            transactions: 0,
            unknown: 0,
            errors: 0,
            config,
        }
    }

    /// Takes bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.phase {
            Phase::Closed => return,
            // Octets in the clear behind STARTTLS: somebody tries to put commands into the coming TLS session.
            Phase::Handshake => return self.close(),
            _ => {}
        }
        if !self.greeted && self.config.strict_pipelining && !bytes.is_empty() {
            // RFC 5321 §4.3.1: the client waits for the greeting.
            self.output.clear();
            return self.close_with(reply::EARLY_TALK);
        }
        if self.input.is_discarding() {
            let rest =
                memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end.saturating_add(1));
            self.overlong = self.overlong.saturating_add(rest);
            if self.overlong > self.config.limits.endless_line {
                return self.close();
            }
        }
        self.input.receive(bytes);
    }

    /// The next event; `None` when more input or an answer is needed.
    pub fn poll(&mut self) -> Option<Event> {
        while self.waiting.is_none() {
            match self.step() {
                Step::Event(event) => return Some(event),
                Step::Again => {}
                Step::NeedInput => return None,
            }
        }
        None
    }

    fn step(&mut self) -> Step {
        match &self.phase {
            Phase::Command | Phase::Sasl if self.stopping => {
                self.close_with(reply::SHUTTING_DOWN);
                Step::NeedInput
            }
            Phase::Command => self.command_line(),
            Phase::Data(_) => self.data_lines(),
            Phase::DataDone => self.end_of_message(None),
            Phase::Chunk(_) => self.chunk(),
            Phase::Url { .. } => self.url(),
            Phase::Fetched { .. } => self.fetched(),
            Phase::Sasl => self.sasl_line(),
            Phase::Handshake | Phase::Closed => Step::NeedInput,
        }
    }

    fn command_line(&mut self) -> Step {
        // RFC 4954 §4: an initial response may make the AUTH command as long as any line of the exchange.
        let verb = self.input.peek().get(..5).unwrap_or_default();
        let auth = verb.eq_ignore_ascii_case(b"AUTH ");
        let burl = self.config.extensions.burl.is_some() && verb.eq_ignore_ascii_case(b"BURL ");
        let limits = &self.config.limits;
        let limit = if auth {
            limits.sasl_line
        } else if burl {
            limits.burl_line
        } else {
            limits.command_line
        };
        let line = match self.take_line(limit) {
            Ok(Some(line)) => line,
            Ok(None) => return Step::NeedInput,
            Err(reply) if burl => return self.fail_message(reply),
            Err(reply) => return self.refuse(reply),
        };
        match parse::command_with(&line, self.config.quirks) {
            Ok(command) => self.dispatch(command),
            Err(error) => self.no_command(error),
        }
    }

    /// What each command does, and where it is allowed.
    fn dispatch(&mut self, command: Command<'_>) -> Step {
        let lmtp = self.config.kind == Kind::Lmtp;
        let broken = std::mem::take(&mut self.broken);
        match command {
            // RFC 2033 §4.1: LHLO replaces HELO and EHLO; elsewhere it is unknown.
            Command::Lhlo(_) if !lmtp => self.no_command(parse::Error::Verb),
            Command::Ehlo(_) | Command::Helo(_) if lmtp => self.no_command(parse::Error::Verb),
            Command::Ehlo(name) | Command::Lhlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::Mail { from, parameters } => self.mail(from, parameters),
            Command::Rcpt { to, parameters } => self.rcpt(to, parameters),
            Command::Data => self.data(),
            Command::Bdat { size, last } => self.bdat(size, last, broken),
            Command::Burl { url, last } => self.burl(url, last),
            Command::Rset => self.rset(),
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Etrn { domain, below } => self.etrn(domain, below),
            Command::Xclient(client) => self.xclient(*client),
            Command::Xforward(client) => self.xforward(*client),
            Command::Noop => self.say(reply::OK),
            Command::Vrfy => self.say(reply::NOT_VERIFIED),
            Command::Help => self.say(reply::HELP),
            Command::Expn => self.refuse(reply::NOT_IMPLEMENTED),
            Command::Quit => {
                self.close_with(reply::BYE);
                Step::NeedInput
            }
        }
    }

    fn no_command(&mut self, error: parse::Error) -> Step {
        self.broken = 0;
        if error.ends_session() {
            self.close_with(error.reply());
            return Step::NeedInput;
        }
        if error == parse::Error::Verb {
            self.unknown = self.unknown.saturating_add(1);
            if self.unknown > self.config.limits.unknown_commands {
                self.close_with(reply::TOO_MANY_ERRORS);
                return Step::NeedInput;
            }
        }
        if error == parse::Error::Url && self.config.extensions.burl.is_some() {
            return self.fail_message(error.reply());
        }
        self.refuse(error.reply())
    }

    /// `RSET` (RFC 5321 §4.1.1.5).
    fn rset(&mut self) -> Step {
        self.put(reply::OK);
        self.reset()
    }

    /// Forgets the transaction, and says so if there was one.
    fn reset(&mut self) -> Step {
        match self.transaction.take() {
            Some(_) => Step::Event(Event::Reset),
            None => Step::Again,
        }
    }

    /// `STARTTLS` (RFC 3207 §4).
    fn starttls(&mut self) -> Step {
        if self.tls {
            return self.refuse(reply::TLS_ACTIVE);
        }
        if !self.config.starttls {
            return self.refuse(reply::NOT_IMPLEMENTED);
        }
        if self.authenticated {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        // RFC 3207 §4.2, RFC 2920 §3.1: nothing may be pipelined behind it. What is here already would be taken for
        // protected once TLS is up.
        if !self.input.is_empty() {
            self.close_with(reply::EARLY_TALK);
            return Step::NeedInput;
        }
        self.ask(Waiting::StartTls, Event::StartTls)
    }

    /// The verdict on the event that waits. A 421 ends the session (RFC 5321 §3.8). Without an event it does nothing.
    pub fn answer(&mut self, verdict: Result<Accepted, Reply>) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        if let Err(reply) = &verdict
            && reply.code == 421
        {
            return self.close_with(reply.clone());
        }
        match waiting {
            Waiting::Hello { extended } => self.hello_answer(extended, verdict),
            Waiting::Mail { smtputf8, binary } => self.mail_answer(smtputf8, binary, verdict),
            Waiting::Recipient => self.rcpt_answer(verdict),
            Waiting::DataStart => self.data_answer(verdict),
            Waiting::ChunkStart { size, last } => self.bdat_answer(size, last, verdict),
            Waiting::UrlStart { url, last } => self.burl_start_answer(url, last, verdict),
            Waiting::Url { last } => {
                // A yes without octets is none.
                self.waiting = Some(Waiting::Url { last });
                self.answer_url(Err(verdict.err().unwrap_or(reply::INTERNAL)));
            }
            Waiting::DataEnd => {
                let count = if self.config.kind == Kind::Lmtp {
                    self.recipients()
                } else {
                    1
                };
                self.message_answer(vec![verdict; count]);
            }
            Waiting::StartTls => self.starttls_answer(verdict),
            Waiting::Authentication => self.auth_answer(verdict),
            Waiting::Client { logged_in, hello } => self.xclient_answer(logged_in, hello, verdict),
            Waiting::Simple => self.simple_answer(verdict),
        }
    }

    /// LMTP: the verdict on the message for each accepted recipient, in the order of the RCPT commands (RFC 2033 §4.2).
    /// Missing verdicts become [`reply::INTERNAL`]. Elsewhere there is one reply, so the first verdict is taken.
    pub fn answer_recipients(&mut self, mut verdicts: Vec<Result<Accepted, Reply>>) {
        if !matches!(self.waiting, Some(Waiting::DataEnd)) {
            return;
        }
        self.waiting = None;
        let count = if self.config.kind == Kind::Lmtp {
            self.recipients()
        } else {
            1
        };
        verdicts.resize(count, Err(reply::INTERNAL));
        self.message_answer(verdicts);
    }

    fn starttls_answer(&mut self, verdict: Result<Accepted, Reply>) {
        match verdict {
            Ok(accepted) => {
                self.transaction = None;
                self.put(accepted.0.unwrap_or(reply::READY_FOR_TLS));
                self.phase = Phase::Handshake;
            }
            Err(reply) => self.count(reply),
        }
    }

    /// The next octets to write.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.greeted = true;
        self.output.take()
    }

    /// Octets that wait to be written.
    pub fn pending(&self) -> usize {
        self.output.pending()
    }

    /// How long the peer may stay silent now.
    pub fn timeout(&self) -> Duration {
        match self.phase {
            Phase::Data(_) | Phase::Chunk(_) => self.config.limits.data_timeout,
            _ => self.config.limits.command_timeout,
        }
    }

    /// The peer was silent for too long: says so and closes.
    pub fn handle_timeout(&mut self) {
        match self.phase {
            Phase::Closed => {}
            // Octets in the clear would land in the middle of the handshake.
            Phase::Handshake => self.close(),
            _ => self.close_with(reply::TIMED_OUT),
        }
    }

    /// The server stops: 421 once the command in hand is done. A message that is being received may still end, as long
    /// as the driver waits for it.
    pub fn shutdown(&mut self) {
        self.stopping = true;
    }

    /// Whether a user has yet to log in; other mail servers need not.
    pub fn awaits_login(&self) -> bool {
        self.config.kind == Kind::Submission && !self.authenticated
    }

    /// The server cannot wait any longer for what it waited for since [`Session::shutdown`]: the client is told so, in the
    /// middle of its message if need be (RFC 5321 §3.8).
    pub fn cut(&mut self) {
        match self.phase {
            Phase::Closed => {}
            Phase::Handshake => self.close(),
            _ => self.close_with(reply::SHUTTING_DOWN),
        }
    }

    /// The user may not go on, in the middle of a message if need be (RFC 5321 §3.8).
    pub fn dismiss(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.close_with(reply::DISMISSED);
        }
    }

    /// The driver writes what is pending, then closes the connection.
    pub fn closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether the connection is under TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// TLS is up: everything learned in the clear is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if !matches!(self.phase, Phase::Handshake) {
            return self.close();
        }
        self.phase = Phase::Command;
        self.tls = true;
        self.input.clear();
        self.hello = None;
        self.authenticated = false;
        self.transaction = None;
        self.broken = 0;
    }

    /// Takes a line of the input: `None` when it is incomplete, a reply when it is too long or not ended by CRLF.
    fn take_line(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Reply> {
        let before = self.input.len();
        match self.input.line(limit) {
            Line::Incomplete => Ok(None),
            Line::Complete { bare_lf: true, .. } => Err(reply::BAD_LINE),
            Line::Complete { text, .. } => Ok(Some(text.to_vec())),
            Line::TooLong => {
                self.overlong = before.saturating_sub(self.input.len());
                Err(reply::LINE_TOO_LONG)
            }
        }
    }

    fn recipients(&self) -> usize {
        self.transaction
            .as_ref()
            .map_or(0, |transaction| transaction.recipients)
    }

    /// Input stands where the client has to wait for us (RFC 2920 §3.1).
    fn out_of_step(&self) -> bool {
        self.config.strict_pipelining && !self.input.is_empty()
    }

    fn ask(&mut self, waiting: Waiting, event: Event) -> Step {
        self.waiting = Some(waiting);
        Step::Event(event)
    }

    fn say(&mut self, reply: Reply) -> Step {
        self.put(reply);
        Step::Again
    }

    fn refuse(&mut self, reply: Reply) -> Step {
        self.count(reply);
        Step::Again
    }

    /// Writes a refusal and counts it.
    fn count(&mut self, reply: Reply) {
        self.put(reply);
        self.count_error();
    }

    fn count_error(&mut self) {
        self.errors = self.errors.saturating_add(1);
        if self.overlong > self.config.limits.endless_line {
            self.close();
        } else if self.errors > self.config.limits.errors {
            self.close_with(reply::TOO_MANY_ERRORS);
        }
    }

    fn put(&mut self, reply: Reply) {
        self.output.put(&reply.to_bytes());
    }

    fn close_with(&mut self, reply: Reply) {
        self.put(reply);
        self.close();
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.waiting = None;
        self.transaction = None;
        self.input.clear();
    }
}

#[cfg(test)]
mod tests;
