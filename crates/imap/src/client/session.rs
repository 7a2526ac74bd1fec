//! The session of one connection to a server.

use std::collections::VecDeque;
use std::time::Duration;

use wire::input::{Input, Line};
use wire::output::Output;

use crate::encode::command::Writer;
use crate::parse::response::{Response, may_hold_literals, response};
use crate::parse::trailing_literal;
use crate::{Capability, Code, Command, Reply, Status, Untagged};

/// Responses that were not understood and are kept for [`Session::passed_over`].
const PASSED_OVER: usize = 64;

/// Octets kept of each: enough to name it to a person.
const PASSED_OVER_OCTETS: usize = 200;

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The connection is already under TLS.
    pub tls: bool,
    /// Nothing is believed and no password is sent before TLS.
    pub require_tls: bool,
    /// Limits of this session.
    pub limits: Limits,
}

/// What a server may have us hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets of a line between literals. Lists of flags and ENVELOPEs come in one line; no sane one is longer.
    pub line: usize,
    /// Octets of a response with its literals: the largest message and some.
    pub response: usize,
    /// Silence of the server: a search of a large mailbox takes its time.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            line: 4 << 20,
            response: 128 << 20,
            timeout: Duration::from_secs(300),
        }
    }
}

/// Why a session ended, or a command cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A command is under way.
    #[error("a command is under way")]
    Busy,
    /// The session has ended.
    #[error("the session has ended")]
    Closed,
    /// The server's octets have not the form of a response.
    #[error("the server does not speak IMAP")]
    NotImap,
    /// A response is larger than the limits allow.
    #[error("the server's response is too large")]
    TooLarge,
    /// TLS is required and not there.
    #[error("TLS is required before this")]
    NeedsTls,
    /// Octets came behind the answer to STARTTLS, or PREAUTH before TLS: somebody is between us and the server.
    #[error("the connection was tampered with before TLS")]
    Tampered,
    /// The server was silent for too long.
    #[error("the server was silent for too long")]
    Timeout,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The greeting: OK, PREAUTH or BYE.
    Greeting(Reply),
    /// Untagged data.
    Untagged(Box<Untagged>),
    /// The server waits: a challenge of AUTHENTICATE, decoded (answer with [`Session::respond`] or
    /// [`Session::cancel`]), or IDLE has begun (end it with [`Session::idle_done`]).
    Continue(Vec<u8>),
    /// The command has ended.
    Done(Reply),
    /// STARTTLS was accepted: shake hands, then call [`Session::tls_started`].
    StartTls,
    /// The session has ended by an error.
    Failed(Error),
}

/// What the open command means to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    StartTls,
    Authenticate,
    Idle,
    Other,
}

/// The session of one connection to a server.
#[derive(Debug)]
pub struct Session {
    config: Config,
    input: Input,
    output: Output,
    /// Lines and literals of a response that is not complete.
    text: Vec<u8>,
    /// Octets of a literal still to come.
    literal: usize,
    greeted: bool,
    /// Pieces of the open command that wait for the server.
    waiting: VecDeque<Vec<u8>>,
    /// Tag and kind of the open command.
    open: Option<(String, Kind)>,
    commands: u64,
    capabilities: Vec<Capability>,
    utf8: bool,
    passed_over: VecDeque<Vec<u8>>,
    closed: bool,
}

impl Session {
    /// A session that waits for the greeting.
    pub fn new(config: Config) -> Session {
        Session {
            config,
            input: Input::new(),
            output: Output::new(),
            text: Vec::new(),
            literal: 0,
            greeted: false,
            waiting: VecDeque::new(),
            open: None,
            commands: 0,
            capabilities: Vec::new(),
            utf8: false,
            passed_over: VecDeque::new(),
            closed: false,
        }
    }

    /// Takes octets from the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.input.receive(bytes);
        }
    }

    /// The next chunk for the server.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.output.take()
    }

    /// Octets for the server that `transmit` has not handed out.
    pub fn pending(&self) -> usize {
        self.output.pending()
    }

    /// How long the server may be silent.
    pub fn timeout(&self) -> Duration {
        self.config.limits.timeout
    }

    /// The server was silent for too long.
    pub fn handle_timeout(&mut self) -> Event {
        self.fail(Error::Timeout)
    }

    /// Whether the session has ended.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Whether a command can be sent now.
    pub fn is_ready(&self) -> bool {
        self.greeted && self.open.is_none() && !self.closed
    }

    /// What the server announced last; empty until it did.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// The next response that was not understood, its beginning alone; the latest [`PASSED_OVER`] are kept. A client that
    /// must miss nothing looks here.
    pub fn passed_over(&mut self) -> Option<Vec<u8>> {
        self.passed_over.pop_front()
    }

    /// Sends a command.
    pub fn send(&mut self, command: &Command) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        if !self.is_ready() {
            return Err(Error::Busy);
        }
        let secret = matches!(
            command,
            Command::Login { .. } | Command::Authenticate { .. }
        );
        if secret && self.config.require_tls && !self.config.tls {
            return Err(Error::NeedsTls);
        }
        let kind = match command {
            Command::StartTls => Kind::StartTls,
            Command::Authenticate { .. } => Kind::Authenticate,
            Command::Idle => Kind::Idle,
            _ => Kind::Other,
        };
        self.commands = self.commands.wrapping_add(1);
        let tag = format!("w{}", self.commands);
        self.waiting = Writer::new(self.utf8, self.unasked())
            .command(&tag, command)
            .into();
        self.open = Some((tag, kind));
        self.write_piece();
        Ok(())
    }

    /// Answers a challenge.
    pub fn respond(&mut self, response: &[u8]) {
        if matches!(self.open, Some((_, Kind::Authenticate))) {
            self.output.put(wire::base64::encode(response).as_bytes());
            self.output.put(b"\r\n");
        }
    }

    /// Cancels AUTHENTICATE; the server answers with an error.
    pub fn cancel(&mut self) {
        if matches!(self.open, Some((_, Kind::Authenticate))) {
            self.output.put(b"*\r\n");
        }
    }

    /// Ends IDLE.
    pub fn idle_done(&mut self) {
        if matches!(self.open, Some((_, Kind::Idle))) {
            self.output.put(b"DONE\r\n");
        }
    }

    /// TLS has begun: what the server said before is forgotten.
    pub fn tls_started(&mut self) {
        self.config.tls = true;
        self.capabilities = Vec::new();
        if !self.input.is_empty() {
            self.fail(Error::Tampered);
        }
    }

    /// The next event; `None` when more input is needed.
    pub fn poll(&mut self) -> Option<Event> {
        while !self.closed {
            match self.read_response() {
                Ok(Some(response)) => {
                    if let Some(event) = self.take(response) {
                        return Some(event);
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(self.fail(error)),
            }
        }
        None
    }

    fn fail(&mut self, error: Error) -> Event {
        self.closed = true;
        self.open = None;
        self.input.clear();
        self.text = Vec::new();
        Event::Failed(error)
    }

    /// The largest literal the server takes unasked (RFC 7888).
    fn unasked(&self) -> u64 {
        let has = |capability| self.capabilities.contains(&capability);
        if has(Capability::LiteralPlus) {
            u64::MAX
        } else if has(Capability::LiteralMinus) || has(Capability::Imap4rev2) {
            4096
        } else {
            // No literal is this small but the empty one, which may as well wait: nobody announced anything.
            0
        }
    }

    fn write_piece(&mut self) {
        if let Some(piece) = self.waiting.pop_front() {
            self.output.put_owned(piece);
        }
    }

    /// One whole response, literals included.
    fn read_response(&mut self) -> Result<Option<Response>, Error> {
        loop {
            if self.literal > 0 {
                let octets = self.input.octets(self.literal);
                if octets.is_empty() {
                    return Ok(None);
                }
                self.literal = self.literal.saturating_sub(octets.len());
                self.text.extend_from_slice(octets);
                continue;
            }
            let line = match self.input.line(self.config.limits.line) {
                Line::Incomplete => return Ok(None),
                Line::TooLong => return Err(Error::TooLarge),
                Line::Complete { text, .. } => text,
            };
            let frame = if self.text.is_empty() {
                line
            } else {
                &self.text
            };
            let literal = if may_hold_literals(frame) {
                trailing_literal(line)
            } else {
                None
            };
            self.text.extend_from_slice(line);
            let Some(literal) = literal else { break };
            let size = usize::try_from(literal.size).map_err(|_| Error::TooLarge)?;
            if self.text.len().saturating_add(size) > self.config.limits.response {
                return Err(Error::TooLarge);
            }
            self.text.extend_from_slice(b"\r\n");
            self.literal = size;
        }
        let text = std::mem::take(&mut self.text);
        let response = response(&text, self.utf8).ok_or(Error::NotImap)?;
        if matches!(response, Response::Untagged(None)) {
            if self.passed_over.len() >= PASSED_OVER {
                self.passed_over.pop_front();
            }
            let beginning = text.get(..PASSED_OVER_OCTETS).unwrap_or(&text);
            self.passed_over.push_back(beginning.to_vec());
        }
        Ok(Some(response))
    }

    /// What a response means; `None` if nothing to the caller.
    fn take(&mut self, response: Response) -> Option<Event> {
        match response {
            Response::Continue(text) => self.take_continue(&text),
            Response::Untagged(untagged) => self.take_untagged(*untagged?),
            Response::Tagged(tag, reply) => Some(self.take_tagged(&tag, reply)),
        }
    }

    fn take_continue(&mut self, text: &[u8]) -> Option<Event> {
        if !self.waiting.is_empty() {
            self.write_piece();
            return None;
        }
        match self.open {
            Some((_, Kind::Authenticate)) => match wire::base64::decode(text) {
                Ok(challenge) => Some(Event::Continue(challenge)),
                Err(_) => Some(self.fail(Error::NotImap)),
            },
            Some((_, Kind::Idle)) => Some(Event::Continue(Vec::new())),
            _ => Some(self.fail(Error::NotImap)),
        }
    }

    fn take_untagged(&mut self, untagged: Untagged) -> Option<Event> {
        match &untagged {
            Untagged::Capability(capabilities) => self.capabilities.clone_from(capabilities),
            Untagged::Status(Reply {
                code: Some(Code::Capability(capabilities)),
                ..
            }) => {
                self.capabilities.clone_from(capabilities);
            }
            // RFC 9755 §3: mailbox names are UTF-8 from then on, as in IMAP4rev2.
            Untagged::Enabled(enabled)
                if enabled.contains(&Capability::Imap4rev2)
                    || enabled.contains(&Capability::Utf8Accept) =>
            {
                self.utf8 = true
            }
            _ => {}
        }
        if !self.greeted {
            let Untagged::Status(reply) = untagged else {
                return Some(self.fail(Error::NotImap));
            };
            self.greeted = true;
            return Some(match reply.status {
                Status::PreAuth if self.config.require_tls && !self.config.tls => {
                    self.fail(Error::Tampered)
                }
                Status::Bye => {
                    self.closed = true;
                    Event::Greeting(reply)
                }
                _ => Event::Greeting(reply),
            });
        }
        if self.config.require_tls && !self.config.tls {
            return None;
        }
        Some(Event::Untagged(Box::new(untagged)))
    }

    fn take_tagged(&mut self, tag: &str, reply: Reply) -> Event {
        let kind = match self.open.take() {
            Some((open, kind)) if open == tag => kind,
            _ => return self.fail(Error::NotImap),
        };
        self.waiting.clear();
        if let Some(Code::Capability(capabilities)) = &reply.code {
            self.capabilities.clone_from(capabilities);
        }
        if kind == Kind::StartTls && reply.status == Status::Ok {
            if !self.input.is_empty() {
                return self.fail(Error::Tampered);
            }
            return Event::StartTls;
        }
        Event::Done(reply)
    }
}
