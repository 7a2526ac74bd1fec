//! From octets to events: lines, literals, and the commands the session answers itself.
//!
//! | framing | the next octets are | and lead to |
//! |---|---|---|
//! | `Line` | a line of a command | an event, an answer, or `Literal` |
//! | `Literal` | a literal inside a command | `Line`, for the rest of it |
//! | `Message`, `MessageEnd` | a message of APPEND, and what follows it in the command (see `append`) | another message, or the event of the whole command |
//! | `Discard`, `DiscardLine` | the rest of a command that was refused while the client sends on | `Line` |
//! | `Sasl` | a response of AUTHENTICATE | an event |
//! | `Idle` | DONE | an event |
//! | `Tls` | nothing: a handshake follows | |
//!
//! Limits: a command with its literals stays below [`super::Limits::command`]
//! ([`super::Limits::command_before_login`]), a message below [`super::Limits::append`]; both are checked before the
//! client is asked for octets and before memory is taken.

use wire::input::Line;
use wire::sasl::Mechanism;

use super::session::Enabled;
use super::{Event, Quirks, Session, State};
use crate::parse::{self, Context, Literal, Stop};
use crate::{Capability, Code, Command, Reply, Status, Untagged};

/// Non-synchronizing literals above this are wrong where LITERAL- is announced (RFC 7888 §5).
const LITERAL_MINUS: u64 = 4096;

/// What the next octets are.
#[derive(Debug)]
pub(super) enum Framing {
    Line,
    Literal { left: usize },
    Message { left: usize },
    MessageEnd,
    Discard { left: u64 },
    DiscardLine,
    Sasl { tag: String },
    Idle { tag: String },
    Tls,
}

/// The command the handler has to answer, as far as its answer changes the session.
#[derive(Debug)]
pub(super) enum Open {
    Login { tag: String },
    StartTls { tag: String },
    Append { tag: String, literal: Literal },
    Unauthenticate { tag: String },
    Select { tag: String },
    Close { tag: String },
    Idle { tag: String, broken: bool },
    Other { tag: String },
}

impl Open {
    pub(super) fn tag(&self) -> &str {
        match self {
            Open::Login { tag }
            | Open::StartTls { tag }
            | Open::Append { tag, .. }
            | Open::Unauthenticate { tag }
            | Open::Select { tag }
            | Open::Close { tag }
            | Open::Idle { tag, .. }
            | Open::Other { tag } => tag,
        }
    }
}

/// What a step of reading came to.
pub(super) enum Step {
    Event(Event),
    /// Something was done; there may be more.
    Again,
    /// More octets are needed.
    Starved,
}

impl Session {
    pub(super) fn next_event(&mut self) -> Option<Event> {
        loop {
            if self.open.is_some() || self.state == State::Logout {
                return None;
            }
            let step = match &self.framing {
                Framing::Line => self.read_line(),
                Framing::Literal { .. } => self.read_literal(),
                Framing::Message { .. } => self.read_message(),
                Framing::MessageEnd => self.read_message_end(),
                Framing::Discard { .. } => self.discard(),
                Framing::DiscardLine => self.discard_line(),
                Framing::Sasl { .. } => self.read_sasl(),
                Framing::Idle { .. } => self.read_idle(),
                Framing::Tls => Step::Starved,
            };
            match step {
                Step::Event(event) => return Some(event),
                Step::Again => {}
                Step::Starved => return None,
            }
        }
    }

    pub(super) fn command_limit(&self) -> usize {
        if self.state == State::NotAuthenticated {
            self.config.limits.command_before_login
        } else {
            self.config.limits.command
        }
    }

    /// A line of a command, its first or one behind a literal.
    fn read_line(&mut self) -> Step {
        let room = self.command_limit().saturating_sub(self.text.len()).max(1);
        let context = Context {
            state: self.state,
            utf8: self.utf8,
            login: self.may_login(),
            enabled: self.enabled,
            quirks: self.config.quirks,
            limits: &self.config.limits,
        };
        let (line, bare_lf) = match self.input.line(room) {
            Line::Incomplete => return Step::Starved,
            Line::TooLong => return self.line_too_long(),
            Line::Complete { text, bare_lf } => (kind_end(text, context.quirks), bare_lf),
        };
        // The usual command is one line and is parsed where it lies.
        let first = self.text.is_empty();
        if !first {
            self.text.extend_from_slice(line);
        }
        let text: &[u8] = if first { line } else { &self.text };
        if first && self.state == State::NotAuthenticated && is_http(text) {
            self.bye(Reply::new(Status::Bye, "This is an IMAP server"));
            return Step::Again;
        }
        let refused = line_error(line, bare_lf);
        let (tag, name, parsed) = match refused {
            None => parse::command(text, context),
            // Only the tag counts.
            Some(error) => (
                parse::command(text, context).0,
                None,
                Err(Stop::Refused(Reply::bad(error))),
            ),
        };
        let tag = tag.map(str::to_owned);
        let trailing = if parsed.is_err() {
            parse::trailing_literal(line)
        } else {
            None
        };
        if first && let Err(Stop::Literal(_)) = parsed {
            self.text = line.to_vec();
        }
        match (tag, parsed) {
            (Some(tag), Ok(command)) => {
                self.forget_text();
                self.begin(tag, command)
            }
            (Some(tag), Err(Stop::Literal(literal))) => self.begin_literal(&tag, literal),
            (Some(tag), Err(Stop::Message(outline, literal))) => {
                self.forget_text();
                self.begin_append(tag, *outline, literal)
            }
            (tag, Err(stop)) => {
                self.forget_text();
                let reply = stop_reply(stop, name);
                let tag = tag.filter(|tag| name.is_some() || self.may_repeat(tag));
                self.refuse(tag.as_deref().unwrap_or("*"), &reply);
                self.skip_rest(trailing);
                Step::Again
            }
            // The parser gives no command without a tag.
            (None, Ok(_)) => Step::Again,
        }
    }

    /// Whether the tag of something unknown is repeated. Before login it may be a page that a browser was made to send
    /// here, and must not come back as one; no client's tag looks like that.
    fn may_repeat(&self, tag: &str) -> bool {
        self.state != State::NotAuthenticated
            || tag.bytes().all(|octet| octet.is_ascii_alphanumeric())
    }

    pub(super) fn forget_text(&mut self) {
        self.text = Vec::new();
        self.literals = 0;
    }

    /// A line above the limit, the rest of which is lost, and with it whether a literal follows: nothing behind it can
    /// be trusted to be a command.
    pub(super) fn line_too_long(&mut self) -> Step {
        self.forget_text();
        self.bye(Reply::coded(
            Status::Bye,
            Code::TooBig,
            "The command is too long",
        ));
        Step::Again
    }

    /// Behind a refused line the client may send on unasked: that is not a command.
    pub(super) fn skip_rest(&mut self, trailing: Option<Literal>) {
        let Some(literal) = trailing.filter(|literal| !literal.synchronizing) else {
            return;
        };
        if self.state == State::Logout {
            return;
        }
        // Before login nobody has reason to send much; after it a message of APPEND may be under way.
        let limit = if self.state == State::NotAuthenticated {
            self.config.limits.command_before_login as u64
        } else {
            self.config.limits.append
        };
        if literal.size > limit {
            // RFC 7888 §4
            self.bye(Reply::coded(
                Status::Bye,
                Code::TooBig,
                "The literal is too big",
            ));
        } else {
            self.framing = Framing::Discard { left: literal.size };
        }
    }

    /// A literal inside a command; everything before it is in order.
    pub(super) fn begin_literal(&mut self, tag: &str, literal: Literal) -> Step {
        let room = self.command_limit().saturating_sub(self.text.len());
        let fits = usize::try_from(literal.size)
            .ok()
            .filter(|&size| size < room);
        let too_many = self.literals >= self.config.limits.literals;
        match fits {
            Some(left) if !too_many && self.literal_allowed(literal) => {
                self.literals = self.literals.saturating_add(1);
                self.text.extend_from_slice(b"\r\n");
                self.framing = Framing::Literal { left };
                if literal.synchronizing {
                    self.output.put(b"+ Ready for the literal\r\n");
                }
            }
            _ => {
                self.forget_text();
                self.refuse(
                    tag,
                    &Reply::bad("The literal is too big").with(Code::TooBig),
                );
                self.skip_rest(Some(literal));
                return self.append_aborted();
            }
        }
        Step::Again
    }

    pub(super) fn literal_allowed(&self, literal: Literal) -> bool {
        literal.synchronizing
            || literal.size <= LITERAL_MINUS
            || self.config.capabilities.contains(&Capability::LiteralPlus)
    }

    fn read_literal(&mut self) -> Step {
        let Framing::Literal { left } = &mut self.framing else {
            return Step::Again;
        };
        let octets = self.input.octets(*left);
        *left = left.saturating_sub(octets.len());
        self.text.extend_from_slice(octets);
        if *left > 0 {
            return Step::Starved;
        }
        self.framing = match self.appending {
            Some(_) => Framing::MessageEnd,
            None => Framing::Line,
        };
        Step::Again
    }

    fn discard(&mut self) -> Step {
        let Framing::Discard { left } = &mut self.framing else {
            return Step::Again;
        };
        let octets = self
            .input
            .octets(usize::try_from(*left).unwrap_or(usize::MAX))
            .len();
        *left = left.saturating_sub(octets as u64);
        if *left > 0 {
            return Step::Starved;
        }
        self.framing = Framing::DiscardLine;
        Step::Again
    }

    /// The rest of the line behind a literal that was thrown away; it may announce another.
    fn discard_line(&mut self) -> Step {
        let limit = self.command_limit();
        let trailing = match self.input.line(limit) {
            Line::Incomplete => return Step::Starved,
            Line::TooLong => return self.line_too_long(),
            Line::Complete { text, .. } => parse::trailing_literal(text),
        };
        self.framing = Framing::Line;
        self.skip_rest(trailing);
        Step::Again
    }

    fn read_sasl(&mut self) -> Step {
        let response = match self.input.line(wire::sasl::LINE_LIMIT) {
            Line::Incomplete => return Step::Starved,
            Line::TooLong => return self.line_too_long(),
            Line::Complete { bare_lf: true, .. } => None,
            // RFC 9051 §6.2.2: a client cancels with "*".
            Line::Complete { text: b"*", .. } => None,
            Line::Complete { text, .. } => wire::base64::decode(text).ok(),
        };
        let Framing::Sasl { tag } = std::mem::replace(&mut self.framing, Framing::Line) else {
            return Step::Again;
        };
        match response {
            Some(response) => {
                self.open = Some(Open::Login { tag });
                Step::Event(Event::SaslResponse(response))
            }
            None => {
                self.refuse(&tag, &Reply::bad("AUTHENTICATE: cancelled, or not base64"));
                Step::Event(Event::SaslAborted)
            }
        }
    }

    fn read_idle(&mut self) -> Step {
        if self.config.quirks.command_in_idle && self.has_command() {
            // The line stays where it is, to be read as what it is.
            let Framing::Idle { tag } = std::mem::replace(&mut self.framing, Framing::Line) else {
                return Step::Again;
            };
            self.open = Some(Open::Idle { tag, broken: false });
            return Step::Event(Event::IdleDone);
        }
        let (done, trailing) = match self.input.line(self.config.limits.command_before_login) {
            Line::Incomplete => return Step::Starved,
            Line::TooLong => return self.line_too_long(),
            Line::Complete { text, bare_lf } => (
                text.eq_ignore_ascii_case(b"DONE") && !bare_lf,
                parse::trailing_literal(text),
            ),
        };
        let Framing::Idle { tag } = std::mem::replace(&mut self.framing, Framing::Line) else {
            return Step::Again;
        };
        if !done {
            self.skip_rest(trailing);
        }
        self.open = Some(Open::Idle { tag, broken: !done });
        Step::Event(Event::IdleDone)
    }

    /// Whether a whole line is there that has a tag and something behind it.
    fn has_command(&self) -> bool {
        let octets = self.input.peek();
        let line = memchr::memchr(b'\n', octets).and_then(|end| octets.get(..end));
        let Some((tag, rest)) = line.and_then(|line| {
            let space = memchr::memchr(b' ', line)?;
            Some((line.get(..space)?, line.get(space..)?))
        }) else {
            return false;
        };
        let atoms = !tag.is_empty() && tag.iter().all(|octet| parse::is_astring_char(*octet));
        atoms && rest.get(1).is_some_and(u8::is_ascii_alphabetic)
    }

    /// A complete command that is allowed in this state: answered here, or an event.
    fn begin(&mut self, tag: String, command: Command) -> Step {
        if self.state != State::NotAuthenticated {
            self.bad = 0;
        }
        if command.enables_condstore() {
            self.enabled.condstore = true;
        }
        match command {
            Command::Capability => {
                let announced = Untagged::Capability(self.capabilities());
                self.untagged(&announced);
                self.answer(&tag, "CAPABILITY done")
            }
            Command::Logout => self.logout(&tag),
            Command::Id(pairs) => self.id(&tag, &pairs),
            Command::Enable(wanted) => self.enable(tag, &wanted),
            Command::StartTls => self.start_tls(tag),
            Command::Authenticate { mechanism, initial } => {
                self.authenticate(tag, &mechanism, initial)
            }
            Command::Login { user, password } => {
                self.open = Some(Open::Login { tag });
                Step::Event(Event::Login { user, password })
            }
            Command::Select(_) => self.select(tag, command),
            Command::Compress if self.compressed => {
                // RFC 4978 §3
                let reply = Reply::no("Compression is on").with(Code::CompressionActive);
                self.tagged(&tag, &reply);
                Step::Again
            }
            Command::Compress if !self.input.is_empty() => {
                // RFC 4978 §3: a client waits for the answer. Nobody could tell whether this is compressed.
                let reply = Reply::bad("COMPRESS: expected nothing behind it");
                self.refuse(&tag, &reply);
                Step::Again
            }
            Command::Unauthenticate => {
                self.open = Some(Open::Unauthenticate { tag: tag.clone() });
                Step::Event(Event::Command { tag, command })
            }
            Command::Close | Command::Unselect => {
                self.open = Some(Open::Close { tag: tag.clone() });
                Step::Event(Event::Command { tag, command })
            }
            Command::Idle => {
                self.open = Some(Open::Idle {
                    tag: tag.clone(),
                    broken: false,
                });
                Step::Event(Event::Command { tag, command })
            }
            command => {
                self.open = Some(Open::Other { tag: tag.clone() });
                Step::Event(Event::Command { tag, command })
            }
        }
    }

    fn answer(&mut self, tag: &str, text: &'static str) -> Step {
        self.tagged(tag, &Reply::ok(text));
        Step::Again
    }

    fn logout(&mut self, tag: &str) -> Step {
        self.status(&Reply::new(Status::Bye, "Goodbye"));
        self.tagged(tag, &Reply::ok("LOGOUT done"));
        self.state = State::Logout;
        self.input.clear();
        Step::Again
    }

    fn id(&mut self, tag: &str, pairs: &[(String, Option<String>)]) -> Step {
        let told = pairs
            .iter()
            .filter_map(|(field, value)| Some(format!("{field}={}", value.as_deref()?)));
        let told: String = told
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect();
        self.client_id = Some(told).filter(|told| !told.is_empty());
        let ours = self
            .config
            .id
            .iter()
            .map(|(field, value)| (field.clone(), Some(value.clone())))
            .collect();
        self.untagged(&Untagged::Id(ours));
        self.answer(tag, "ID done")
    }

    /// RFC 5161 §3.1: what is not known is passed over, and what was newly enabled is told.
    fn enable(&mut self, tag: String, wanted: &[Capability]) -> Step {
        let before = self.enabled;
        let mut told = Vec::new();
        for capability in wanted {
            let enabled = &mut self.enabled;
            let switch = match capability {
                Capability::Imap4rev2 => &mut enabled.rev2,
                Capability::Utf8Accept => &mut enabled.utf8_accept,
                Capability::CondStore => &mut enabled.condstore,
                Capability::QResync => &mut enabled.qresync,
                Capability::UidOnly => &mut enabled.uid_only,
                Capability::Metadata => &mut enabled.metadata,
                Capability::MetadataServer => &mut enabled.metadata_server,
                _ => continue,
            };
            if self.config.capabilities.contains(capability) && !*switch {
                *switch = true;
                told.push(capability.clone());
            }
        }
        // RFC 7162 §3.2.3: QRESYNC enables CONDSTORE.
        self.enabled.condstore |= self.enabled.qresync;
        self.utf8 = self.enabled.rev2 || self.enabled.utf8_accept;
        self.untagged(&Untagged::Enabled(told.clone()));
        let condstore =
            self.state == State::Selected && self.enabled.condstore && !before.condstore;
        let annotations = |enabled: Enabled| (enabled.metadata, enabled.metadata_server);
        if condstore || annotations(self.enabled) != annotations(before) {
            // RFC 7162 §3.1: the handler tells HIGHESTMODSEQ; and it looks where annotations stand (RFC 5464 §4.1).
            self.open = Some(Open::Other { tag: tag.clone() });
            let command = Command::Enable(told);
            return Step::Event(Event::Command { tag, command });
        }
        self.answer(&tag, "ENABLE done")
    }

    fn start_tls(&mut self, tag: String) -> Step {
        if self.config.tls || !self.config.starttls {
            let reply = Reply::bad(if self.config.tls {
                "TLS is on already"
            } else {
                "STARTTLS is not offered"
            });
            self.refuse(&tag, &reply);
            return Step::Again;
        }
        if !self.input.is_empty() {
            // Somebody may have put it there to have it read as if it came through TLS.
            self.bye(Reply::new(Status::Bye, "Octets behind STARTTLS"));
            return Step::Again;
        }
        self.open = Some(Open::StartTls { tag });
        Step::Event(Event::StartTls)
    }

    fn authenticate(&mut self, tag: String, mechanism: &str, initial: Option<Vec<u8>>) -> Step {
        let known = Mechanism::from_name(mechanism.as_bytes());
        let offered = if self.config.tls {
            &self.config.mechanisms
        } else {
            &self.config.mechanisms_clear
        };
        if let Some(mechanism) = known.filter(|mechanism| offered.contains(mechanism)) {
            self.open = Some(Open::Login { tag });
            return Step::Event(Event::Authenticate { mechanism, initial });
        }
        let reply = match known {
            Some(mechanism) if self.config.mechanisms.contains(&mechanism) => Reply::coded(
                Status::No,
                Code::PrivacyRequired,
                "That mechanism needs TLS",
            ),
            _ => Reply::coded(Status::No, Code::Cannot, "That mechanism is not offered"),
        };
        self.refuse(&tag, &reply);
        Step::Again
    }

    /// Whatever becomes of it, the mailbox that was selected is not any more (RFC 9051 §6.3.2).
    fn select(&mut self, tag: String, command: Command) -> Step {
        // RFC 7162 §3.2.11, RFC 9051 §7.1
        if self.state == State::Selected && (self.enabled.rev2 || self.enabled.qresync) {
            self.status(&Reply::coded(
                Status::Ok,
                Code::Closed,
                "The mailbox before is closed",
            ));
        }
        self.state = State::Authenticated;
        self.open = Some(Open::Select { tag: tag.clone() });
        Step::Event(Event::Command { tag, command })
    }
}

/// What no line of a command may hold, before any grammar (RFC 9051 §9: "NUL … MUST NOT be used anywhere").
pub(super) fn line_error(line: &[u8], bare_lf: bool) -> Option<&'static str> {
    if bare_lf {
        Some("Expected a line that ends with CR LF")
    } else if memchr::memchr2(0, b'\r', line).is_some() {
        Some("Expected a line without NUL and CR")
    } else {
        None
    }
}

/// A request of a web browser that somebody pointed at this port.
fn is_http(line: &[u8]) -> bool {
    line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
}

pub(super) fn stop_reply(stop: Stop, name: Option<&'static str>) -> Reply {
    match stop {
        Stop::Syntax(error) => {
            let place = error.offset.saturating_add(1);
            let text = match name {
                Some(name) => format!("{name}: expected {} at octet {place}", error.expected),
                None => format!("Expected {} at octet {place}", error.expected),
            };
            Reply::bad("").text(text)
        }
        Stop::Refused(reply) => reply,
        // Dealt with where they are understood.
        Stop::Literal(_) | Stop::Message(..) => Reply::bad("Unexpected literal"),
    }
}

/// A line without the spaces that some clients send behind a command. Octets of literals are not in it.
pub(super) fn kind_end(line: &[u8], quirks: Quirks) -> &[u8] {
    match quirks.trailing_space && line.ends_with(b" ") {
        true => line.trim_ascii_end(),
        false => line,
    }
}
