//! APPEND and REPLACE as they arrive: messages, and the text of the command between them.
//!
//! A message's octets never pass through the parser and are taken only after the handler agreed
//! ([`Event::AppendStart`]). When another message begins, the ones before it are handed over with that event, so that the
//! handler can put them away: however many messages one command brings (RFC 3502), the octets of one at a time are in
//! memory.
//!
//! Limits: [`super::Limits::append`] octets in a message, its parts together (RFC 4469 §4.2);
//! [`super::Limits::messages`] messages; the text between two of them counts as a command of its own.

use super::framing::{Framing, Open, Step, kind_end, line_error, stop_reply};
use super::{Event, Session};
use crate::parse::{self, Context, Literal, Outline, Stop};
use crate::{Append, Capability, Code, Command, Reply};
use wire::input::Line;

/// An APPEND or REPLACE on its way.
#[derive(Debug)]
pub(super) struct Appending {
    tag: String,
    /// What is known of the command.
    outline: Outline,
    /// Octets of its parts, in order, as far as they were not handed over.
    received: Vec<Vec<u8>>,
    /// Octets of the message that is arriving.
    octets: u64,
    /// Its number, from 1.
    number: usize,
    /// NUL may stand in the part that is arriving.
    binary: bool,
    /// Somewhere it stands where it may not.
    has_nul: bool,
    /// The handler has been asked, so that it has to be told of a failure.
    started: bool,
}

impl Session {
    /// The text came to the octets of a message.
    pub(super) fn begin_append(&mut self, tag: String, outline: Outline, literal: Literal) -> Step {
        let number = outline.before.saturating_add(outline.append.messages.len());
        let mut appending = self.appending.take().unwrap_or_else(|| {
            Box::new(Appending {
                tag: tag.clone(),
                outline: outline.clone(),
                received: Vec::new(),
                octets: 0,
                number,
                binary: false,
                has_nul: false,
                started: false,
            })
        });
        if appending.number != number {
            appending.octets = 0;
        }
        appending.number = number;
        appending.octets = appending.octets.saturating_add(literal.size);
        appending.binary = literal.binary;
        appending.outline = outline;
        if let Some(reply) = self.refuses(&appending, literal) {
            let started = appending.started;
            self.refuse(&tag, &reply);
            self.skip_rest(Some(literal));
            return aborted(started);
        }
        let messages = appending.outline.take_complete(&mut appending.received);
        appending.started = true;
        let event = Event::AppendStart {
            append: Append {
                mailbox: appending.outline.append.mailbox.clone(),
                replaces: appending.outline.append.replaces,
                messages,
            },
            size: literal.size,
        };
        self.appending = Some(appending);
        self.open = Some(Open::Append { tag, literal });
        Step::Event(event)
    }

    /// Why the octets are not asked for.
    fn refuses(&self, appending: &Appending, literal: Literal) -> Option<Reply> {
        let single = appending
            .outline
            .append
            .messages
            .last()
            .is_some_and(|message| !message.catenate);
        if literal.binary && !self.config.capabilities.contains(&Capability::Binary) {
            Some(Reply::bad("APPEND: literal8 needs BINARY"))
        } else if appending.octets > self.config.limits.append || !self.literal_allowed(literal) {
            // RFC 4469 §4.2, RFC 7888 §5, RFC 7889 §5
            Some(Reply::no("The message is too big").with(Code::TooBig))
        } else if literal.size == 0 && single {
            // RFC 3502 §6.3.11: so a client calls it off.
            Some(Reply::no("A message of no octets is not kept"))
        } else {
            None
        }
    }

    /// The handler agreed.
    pub(super) fn begin_message(&mut self, tag: String, literal: Literal) {
        let Some(appending) = &mut self.appending else {
            return;
        };
        let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
        let mut octets = Vec::new();
        if octets.try_reserve_exact(size).is_err() {
            self.open = Some(Open::Append { tag, literal });
            return self.complete(Reply::no("Out of memory").with(Code::Limit));
        }
        appending.received.push(octets);
        if literal.synchronizing {
            self.output.put(b"+ Ready for the message\r\n");
        }
        self.framing = Framing::Message { left: size };
        self.after_answer();
    }

    pub(super) fn read_message(&mut self) -> Step {
        let (Framing::Message { left }, Some(appending)) = (&mut self.framing, &mut self.appending)
        else {
            return Step::Again;
        };
        let octets = self.input.octets(*left);
        *left = left.saturating_sub(octets.len());
        // RFC 9051 §9: only a literal8 holds NUL.
        appending.has_nul |= !appending.binary && memchr::memchr(0, octets).is_some();
        if let Some(part) = appending.received.last_mut() {
            part.extend_from_slice(octets);
        }
        if *left > 0 {
            return Step::Starved;
        }
        self.framing = Framing::MessageEnd;
        Step::Again
    }

    /// The text behind a message: the end of the command, or more of it.
    pub(super) fn read_message_end(&mut self) -> Step {
        let room = self.command_limit().saturating_sub(self.text.len()).max(1);
        let (line, bare_lf) = match self.input.line(room) {
            Line::Incomplete => return Step::Starved,
            Line::TooLong => {
                let aborted = self.append_aborted();
                self.line_too_long();
                return aborted;
            }
            Line::Complete { text, bare_lf } => (kind_end(text, self.config.quirks), bare_lf),
        };
        let Some(mut appending) = self.appending.take() else {
            self.framing = Framing::Line;
            return Step::Again;
        };
        let first = self.text.is_empty();
        if !first {
            self.text.extend_from_slice(line);
        }
        let context = Context {
            state: self.state,
            utf8: self.utf8,
            login: false,
            enabled: self.enabled,
            quirks: self.config.quirks,
            limits: &self.config.limits,
        };
        let text: &[u8] = if first { line } else { &self.text };
        let parsed = if appending.has_nul {
            Err(Stop::Refused(Reply::bad(
                "APPEND: expected a message without NUL",
            )))
        } else if let Some(error) = line_error(line, bare_lf) {
            Err(Stop::Refused(Reply::bad(error)))
        } else {
            parse::append_rest(text, context, appending.outline.clone())
        };
        let trailing = parse::trailing_literal(line);
        if first && let Err(Stop::Literal(_)) = parsed {
            self.text = line.to_vec();
        }
        self.framing = Framing::Line;
        match parsed {
            Ok(Command::Append(mut append)) => {
                self.forget_text();
                parse::fill(&mut append.messages, &mut appending.received);
                let tag = appending.tag;
                self.open = Some(Open::Other { tag: tag.clone() });
                Step::Event(Event::Command {
                    tag,
                    command: Command::Append(append),
                })
            }
            Err(Stop::Literal(literal)) => {
                let tag = appending.tag.clone();
                self.appending = Some(appending);
                self.begin_literal(&tag, literal)
            }
            Err(Stop::Message(outline, literal)) => {
                self.forget_text();
                let tag = appending.tag.clone();
                self.appending = Some(appending);
                self.begin_append(tag, *outline, literal)
            }
            Ok(_) => Step::Again,
            Err(stop) => {
                self.forget_text();
                let name = match appending.outline.append.replaces {
                    None => "APPEND",
                    Some(_) => "REPLACE",
                };
                self.refuse(&appending.tag, &stop_reply(stop, Some(name)));
                self.skip_rest(trailing);
                aborted(appending.started)
            }
        }
    }

    /// Whatever was arriving is not wanted any more.
    pub(super) fn append_aborted(&mut self) -> Step {
        self.forget_text();
        aborted(
            self.appending
                .take()
                .is_some_and(|appending| appending.started),
        )
    }
}

fn aborted(started: bool) -> Step {
    match started {
        true => Step::Event(Event::AppendAborted),
        false => Step::Again,
    }
}
