//! The server's side of a connection.
//!
//! | state | valid commands | goes to |
//! |---|---|---|
//! | AUTHORIZATION | USER PASS AUTH STLS UTF8 LANG CAPA QUIT | TRANSACTION on login, the same again on STLS, closed on QUIT |
//! | inside AUTH | responses | TRANSACTION or AUTHORIZATION |
//! | starting TLS | none: octets now are an attack | AUTHORIZATION |
//! | TRANSACTION | STAT LIST UIDL RETR TOP DELE NOOP RSET LANG CAPA QUIT | closed, by way of UPDATE on QUIT |
//!
//! An event that wants an answer stops the session until one comes. Messages are removed by [`Event::Update`]
//! alone, which only QUIT brings: a connection that ends otherwise deletes nothing (RFC 1939 §6).
//!
//! Limits: [`Limits`]. Lists and dot-stuffed messages are written in portions, so that the output stays below
//! [`OUTPUT_LIMIT`] plus one message; the driver writes it out and polls again.

mod authorization;
mod sending;
mod transaction;

use crate::command::{self, Command};
use crate::maildrop::{Maildrop, Message, top};
use crate::reply::{self, Refusal};
use sending::Sending;
use std::time::Duration;
use transaction::Transaction;
use wire::base64;
use wire::dots::{self, BareNewlines};
use wire::input::{Input, Line};
use wire::language::{Language, Languages};
use wire::output::Output;
use wire::sasl::{self, Mechanism, Secret};

/// Octets of output above which the session takes no further command before some are sent: the answers to
/// pipelined commands must not gather without bound.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// What a connection offers. It changes when TLS begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// USER and PASS.
    pub user: bool,
    /// Mechanisms of AUTH, in the order of the capability list.
    pub mechanisms: Vec<Mechanism>,
    /// STLS.
    pub stls: bool,
    /// The connection is under TLS.
    pub tls: bool,
    /// Seconds that must be between two logins, at most; some accounts may wait less (RFC 2449 §6.5).
    pub login_delay: Option<u32>,
    /// Days after which messages that were taken may go, at least; some accounts keep them for longer. None is never
    /// (RFC 2449 §6.7).
    pub expire: Option<u32>,
}

/// What a session is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in the greeting.
    pub host: String,
    /// What this connection offers.
    pub offer: Offer,
    /// Languages that answers can be in. The first answers are in English.
    pub languages: Languages,
    /// Bounds of this session.
    pub limits: Limits,
}

/// What one session may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of a command line with its CRLF (RFC 2449 §4). Longer lines are refused.
    pub command_line: usize,
    /// Octets of a line at which the connection is closed: whoever sends these speaks no POP3.
    pub endless_line: usize,
    /// Octets of a line inside AUTH.
    pub sasl_line: usize,
    /// Unknown commands before login at which the connection is closed: another protocol's client.
    pub unknown_commands: u32,
    /// Commands with errors at which the connection is closed.
    pub errors: u32,
    /// Failed logins at which the connection is closed.
    pub logins: u32,
    /// Silence allowed before login. Shorter than RFC 1939 §3 grants a session, since a connection without a
    /// maildrop loses nothing by its end.
    pub login_timeout: Duration,
    /// Silence allowed after login (RFC 1939 §3: at least 10 minutes).
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            command_line: command::LINE_LIMIT,
            endless_line: 2 * 1024,
            sasl_line: sasl::LINE_LIMIT,
            unknown_commands: 3,
            errors: 50,
            logins: 5,
            login_timeout: Duration::from_secs(180),
            timeout: Duration::from_secs(600),
        }
    }
}

/// What the session needs decided, or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// USER and PASS. Answer with [`Session::login`] or [`Session::refuse`].
    Login {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// AUTH. Answer with [`Session::challenge`], [`Session::login`] or [`Session::refuse`].
    Authenticate {
        /// One of those offered.
        mechanism: Mechanism,
        /// The initial response, decoded.
        initial: Option<Vec<u8>>,
    },
    /// The response to a challenge, decoded. Answered like [`Event::Authenticate`].
    SaslResponse(Vec<u8>),
    /// The client cancelled the exchange or broke its framing; it has been told. Needs no answer.
    SaslAborted,
    /// STLS. Answer with [`Session::start_tls`] or [`Session::refuse`]. After acceptance write out what is
    /// pending, start TLS and call [`Session::tls_started`].
    StartTls,
    /// RETR or TOP. Answer with [`Session::message`] or [`Session::refuse`].
    Retrieve {
        /// The place of the message in the list given at login, from 0.
        index: usize,
        /// RETR, not TOP.
        whole: bool,
    },
    /// QUIT in TRANSACTION: remove these messages (there may be none), all or nothing, release the maildrop, then
    /// answer with [`Session::updated`] or [`Session::refuse`]. The maildrop comes free before the answer, so
    /// that a client that returns at once finds it so.
    Update {
        /// Places in the list given at login, ascending.
        deleted: Vec<usize>,
    },
}

/// One connection, seen from the server.
#[derive(Debug)]
pub struct Session {
    offer: Offer,
    limits: Limits,
    languages: Languages,
    /// What LANG chose.
    language: Option<&'static Language>,
    /// UTF8 was said.
    utf8: bool,
    input: Input,
    output: Output,
    /// A large message that is on its way, behind the output.
    sending: Option<Sending>,
    state: State,
    waiting: Option<Waiting>,
    unknown_commands: u32,
    errors: u32,
    logins: u32,
    stopping: bool,
}

#[derive(Debug)]
enum State {
    Authorization { user: Option<String> },
    Sasl,
    StartingTls,
    Transaction(Box<Transaction>),
    Closed,
}

/// The event that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Login,
    StartTls,
    /// With the lines of the body that TOP asks for.
    Message {
        lines: Option<u32>,
    },
    Update,
}

impl Session {
    /// A session whose greeting waits in the output.
    pub fn new(config: Config) -> Session {
        let Config {
            host,
            offer,
            languages,
            limits,
        } = config;
        let mut session = Session {
            offer,
            limits,
            languages,
            language: None,
            utf8: false,
            input: Input::new(),
            output: Output::new(),
            sending: None,
            state: State::Authorization { user: None },
            waiting: None,
            unknown_commands: 0,
            errors: 0,
            logins: 0,
            stopping: false,
        };
        // No timestamp in angle brackets: APOP is not offered (RFC 1939 §7).
        let host: String = host
            .chars()
            .filter(|c| c.is_ascii_graphic() && *c != '<')
            .take(255)
            .collect();
        session.say(&format!("+OK {host} POP3 ready"));
        session
    }

    /// Takes bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.state {
            State::Closed => {}
            // RFC 2595 §4: nothing may follow STLS before the handshake.
            State::StartingTls if !bytes.is_empty() => self.close(),
            _ => self.input.receive(bytes),
        }
    }

    /// The next event. `None` when more input or an answer is needed, or output must be sent first.
    pub fn poll(&mut self) -> Option<Event> {
        // Behind a message on its way nothing may be put: answers leave in the order of the commands.
        while self.waiting.is_none()
            && self.sending.is_none()
            && self.output.pending() < OUTPUT_LIMIT
        {
            if let State::Transaction(transaction) = &mut self.state
                && transaction.go_on_listing(&mut self.output)
            {
                continue;
            }
            if self.stopping && !self.closed() {
                self.refuse_and_close(&reply::STOPPING);
            }
            let event = match self.state {
                State::Closed | State::StartingTls => return None,
                State::Sasl => self.sasl_line(),
                State::Authorization { .. } | State::Transaction(_) => self.command_line(),
            };
            match event {
                Took::Event(event) => return Some(event),
                Took::Line => {}
                Took::Nothing => return None,
            }
        }
        None
    }

    /// Accepts a login: the session enters TRANSACTION with these messages, numbered from 1.
    pub fn login(&mut self, messages: Vec<Message>) {
        if !self.settle(Waiting::Login) {
            return;
        }
        let maildrop = Maildrop::new(messages);
        let transaction = Transaction::new(maildrop);
        self.ok(&transaction.summary());
        self.state = State::Transaction(Box::new(transaction));
    }

    /// Goes on with the exchange: sends a challenge.
    pub fn challenge(&mut self, challenge: &[u8]) {
        if !self.settle(Waiting::Login) {
            return;
        }
        self.state = State::Sasl;
        // RFC 5034 §4: an empty challenge keeps the space.
        self.say(&format!("+ {}", base64::encode(challenge)));
    }

    /// Accepts STLS.
    pub fn start_tls(&mut self) {
        if self.settle(Waiting::StartTls) {
            self.ok("begin TLS");
            self.state = State::StartingTls;
        }
    }

    /// TLS is up: everything learned in the clear is forgotten, and this is offered from now on (RFC 2595 §4).
    pub fn tls_started(&mut self, offer: Offer) {
        if !matches!(self.state, State::StartingTls) {
            return;
        }
        self.offer = Offer {
            stls: false,
            tls: true,
            ..offer
        };
        self.input.clear();
        self.language = None;
        self.state = State::Authorization { user: None };
    }

    /// Whether the client takes messages with UTF-8 in their headers (RFC 6856 §2.1). What it does not take is told and sent
    /// as something else, which is the handler's to make. Settled at login.
    pub fn utf8(&self) -> bool {
        self.utf8
    }

    /// What holds for this account, in seconds and days: what CAPA tells from now on.
    pub fn set_policy(&mut self, login_delay: Option<u32>, expire: Option<u32>) {
        self.offer.login_delay = login_delay;
        self.offer.expire = expire;
    }

    /// The message that RETR or TOP asked for, whole.
    pub fn message(&mut self, message: Vec<u8>) {
        let Some(Waiting::Message { lines }) = self.waiting else {
            return;
        };
        self.waiting = None;
        if let Some(lines) = lines {
            self.say("+OK");
            let top = top(&message, lines);
            self.output
                .put_owned(dots::encode(top, BareNewlines::Canonical));
            return;
        }
        self.ok(&format!("{} octets", message.len()));
        if dots::needs_no_encoding(&message) {
            self.output.put_owned(message);
            self.output.put(b".\r\n");
        } else if message.len() < OUTPUT_LIMIT {
            self.output
                .put_owned(dots::encode(&message, BareNewlines::Canonical));
        } else {
            self.sending = Some(Sending::new(message));
        }
    }

    /// The marked messages are removed, durably.
    pub fn updated(&mut self) {
        if self.settle(Waiting::Update) {
            self.ok("bye");
            self.close();
        }
    }

    /// Refuses what waits for an answer.
    pub fn refuse(&mut self, refusal: &Refusal) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        match waiting {
            Waiting::Login => {
                self.state = State::Authorization { user: None };
                self.logins = self.logins.saturating_add(1);
                if self.logins >= self.limits.logins {
                    return self.refuse_and_close(refusal);
                }
            }
            // RFC 1939 §6: the connection is closed whether removal succeeded or not.
            Waiting::Update => return self.refuse_and_close(refusal),
            Waiting::StartTls | Waiting::Message { .. } => {}
        }
        self.say_no(refusal);
    }

    /// The next octets to write.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        if let Some(chunk) = self.output.take() {
            return Some(chunk);
        }
        let mut sending = self.sending.take()?;
        let chunk = sending.portion();
        if sending.pending() > 0 {
            self.sending = Some(sending);
        }
        chunk
    }

    /// Octets that wait to be written, those not counted that dot stuffing will add.
    pub fn pending(&self) -> usize {
        let sending = self.sending.as_ref().map_or(0, Sending::pending);
        self.output.pending().saturating_add(sending)
    }

    /// How long the peer may stay silent now.
    pub fn timeout(&self) -> Duration {
        match self.state {
            State::Transaction(_) => self.limits.timeout,
            _ => self.limits.login_timeout,
        }
    }

    /// The peer was silent for too long: closes, and removes and says nothing (RFC 1939 §3).
    pub fn handle_timeout(&mut self) {
        self.close();
    }

    /// The server stops: the session closes once the command in hand is done.
    pub fn shutdown(&mut self) {
        self.stopping = true;
        if matches!(self.state, State::StartingTls) {
            self.close();
        }
    }

    /// Whether nobody has logged in yet.
    pub fn awaits_login(&self) -> bool {
        !matches!(self.state, State::Transaction(_))
    }

    /// The driver writes what is pending, then closes the connection.
    pub fn closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn command_line(&mut self) -> Took {
        let before_login = matches!(self.state, State::Authorization { .. });
        // Kindness: tokens are longer than RFC 5034 §4 lets a command be, and Thunderbird sends them with it.
        let auth = before_login
            && self
                .input
                .peek()
                .get(..5)
                .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        let limits = &self.limits;
        let (endless, longest) = if auth {
            (limits.sasl_line, limits.sasl_line)
        } else {
            (limits.endless_line, limits.command_line)
        };
        let parsed = match self.input.line(endless) {
            Line::Incomplete => return Took::Nothing,
            Line::TooLong => {
                self.refuse_and_close(&reply::LINE_TOO_LONG);
                return Took::Nothing;
            }
            // Kindness, for people at a terminal: LF alone ends a line as well. Nothing but commands follows
            // commands here, so that nothing can hide behind it.
            Line::Complete { text, .. } if text.len().saturating_add(2) > longest => {
                Err(reply::LINE_TOO_LONG)
            }
            Line::Complete { text, .. } if before_login && speaks_http(text) => {
                self.refuse_and_close(&reply::UNKNOWN_COMMAND);
                return Took::Nothing;
            }
            Line::Complete { text, .. } => Command::parse(text),
        };
        let more = !self.input.is_empty();
        let reply = match (parsed, &mut self.state) {
            (Ok(command), State::Authorization { user }) => {
                authorization::execute(command, user.take(), &self.offer, self.utf8, more)
            }
            (Ok(command), State::Transaction(transaction)) => transaction.execute(command),
            (Err(refusal), state) => {
                // RFC 1939 §7: PASS comes immediately after USER.
                if let State::Authorization { user } = state {
                    *user = None;
                }
                Reply::Error(refusal)
            }
            (Ok(_), _) => Reply::Error(reply::WRONG_STATE),
        };
        self.carry_out(reply)
    }

    /// The one place where commands are answered.
    fn carry_out(&mut self, reply: Reply) -> Took {
        match reply {
            Reply::Line(line) => self.say(&line),
            Reply::Text(text) => self.ok(&text),
            Reply::Utf8 => {
                self.utf8 = true;
                self.ok("UTF-8 from here on");
            }
            Reply::Language(range) => self.language(range.as_deref()),
            Reply::User(name) => {
                self.state = State::Authorization { user: Some(name) };
                // RFC 1939 §7: whether there is such a user is not said here.
                self.say("+OK");
            }
            Reply::Capabilities => self.capabilities(),
            Reply::Refuse(refusal) => self.say_no(&refusal),
            Reply::Error(refusal) => self.command_error(&refusal),
            Reply::Bye => {
                self.ok("bye");
                self.close();
            }
            Reply::Close(refusal) => self.refuse_and_close(&refusal),
            Reply::Ask(waiting, event) => {
                self.waiting = Some(waiting);
                return Took::Event(event);
            }
        }
        Took::Line
    }

    fn sasl_line(&mut self) -> Took {
        let response = match self.input.line(self.limits.sasl_line) {
            Line::Incomplete => return Took::Nothing,
            Line::TooLong => {
                self.refuse_and_close(&reply::LINE_TOO_LONG);
                return Took::Event(Event::SaslAborted);
            }
            Line::Complete { text, .. } => base64::decode(text),
        };
        match response {
            Ok(response) => {
                self.waiting = Some(Waiting::Login);
                Took::Event(Event::SaslResponse(response))
            }
            // `*` is no base64 either: both end the exchange (RFC 5034 §4).
            Err(base64::Error) => {
                self.state = State::Authorization { user: None };
                self.command_error(&reply::SASL_ABORTED);
                Took::Event(Event::SaslAborted)
            }
        }
    }

    /// RFC 2449 §5: what is announced before login is announced after it too; STLS is not (RFC 2595 §4).
    fn capabilities(&mut self) {
        let mut lines =
            String::from("+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n");
        let before = matches!(self.state, State::Authorization { .. });
        let user = if before { " USER" } else { "" };
        match self.offer.expire {
            None => lines.push_str("EXPIRE NEVER\r\n"),
            Some(days) => lines.push_str(&format!("EXPIRE {days}{user}\r\n")),
        }
        lines.push_str("UTF8 USER\r\n");
        if !self.languages.all.is_empty() {
            lines.push_str("LANG\r\n");
        }
        if let Some(seconds) = self.offer.login_delay {
            lines.push_str(&format!("LOGIN-DELAY {seconds}{user}\r\n"));
        }
        if self.offer.user {
            lines.push_str("USER\r\n");
        }
        if !self.offer.mechanisms.is_empty() {
            lines.push_str("SASL");
            for mechanism in &self.offer.mechanisms {
                lines.push(' ');
                lines.push_str(mechanism.name());
            }
            lines.push_str("\r\n");
        }
        if self.offer.stls && !self.offer.tls && matches!(self.state, State::Authorization { .. }) {
            lines.push_str("STLS\r\n");
        }
        lines.push_str("IMPLEMENTATION Waxwing\r\n.\r\n");
        self.output.put(lines.as_bytes());
    }

    /// LANG (RFC 6856 §3.2).
    fn language(&mut self, range: Option<&str>) {
        let Some(range) = range else {
            self.ok("the languages are");
            for language in self.languages.all {
                self.say(&format!("{} {}", language.tag, language.name));
            }
            return self.say(".");
        };
        match self.languages.choose(range) {
            Some(language) => {
                self.language = Some(language);
                let text = reply::localized("this is the language from here on", self.translate());
                let line = format!("+OK {} {text}", language.tag);
                self.say(&line);
            }
            None => self.say_no(&reply::UNKNOWN_LANGUAGE),
        }
    }

    fn translate(&self) -> Option<reply::Translate> {
        self.language.map(|language| language.translate)
    }

    /// Refuses a command that a working client does not send, and closes when there are too many.
    fn command_error(&mut self, refusal: &Refusal) {
        self.say_no(refusal);
        self.errors = self.errors.saturating_add(1);
        if matches!(self.state, State::Authorization { .. }) && *refusal == reply::UNKNOWN_COMMAND {
            self.unknown_commands = self.unknown_commands.saturating_add(1);
        }
        if self.errors >= self.limits.errors
            || self.unknown_commands >= self.limits.unknown_commands
        {
            self.refuse_and_close(&reply::TOO_MANY_ERRORS);
        }
    }

    fn refuse_and_close(&mut self, refusal: &Refusal) {
        self.say_no(refusal);
        self.close();
    }

    /// Takes the waiting event if it is this one; an answer to another is ignored.
    fn settle(&mut self, waiting: Waiting) -> bool {
        let right = self.waiting == Some(waiting);
        if right {
            self.waiting = None;
        }
        right
    }

    /// `+OK` with words.
    fn ok(&mut self, text: &str) {
        let line = format!("+OK {}", reply::localized(text, self.translate()));
        self.say(&line);
    }

    fn say_no(&mut self, refusal: &Refusal) {
        let line = refusal.line(self.translate());
        self.output.put(line.as_bytes());
    }

    /// A line of data.
    fn say(&mut self, line: &str) {
        self.output.put(line.as_bytes());
        self.output.put(b"\r\n");
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.waiting = None;
        self.input.clear();
    }
}

/// What became of the next line.
enum Took {
    Event(Event),
    Line,
    Nothing,
}

/// The answer to a command, for [`Session::carry_out`].
enum Reply {
    /// A whole line of data.
    Line(String),
    /// Words behind `+OK`.
    Text(String),
    Utf8,
    Language(Option<String>),
    /// USER is noted.
    User(String),
    Capabilities,
    /// A refusal that working clients get as well.
    Refuse(Refusal),
    /// A refusal that counts as an error.
    Error(Refusal),
    Ask(Waiting, Event),
    Bye,
    Close(Refusal),
}

/// Whether a browser is at the other end: a web page can make it send commands in the lines of a request.
fn speaks_http(line: &[u8]) -> bool {
    let verbs: [&[u8]; 8] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"OPTIONS ",
        b"CONNECT ",
        b"DELETE ",
        b"PATCH ",
    ];
    verbs.iter().any(|verb| line.starts_with(verb))
}

#[cfg(test)]
mod tests;
