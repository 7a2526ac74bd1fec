//! APPEND and REPLACE.
//!
//! The text of such a command is interrupted by messages, which never become part of it: at each one the parser stops
//! with [`Stop::Message`] and what it has so far, and goes on from there with what follows the octets. So what is parsed
//! again for a literal inside of the text (a mailbox name, a URL) is bounded by the limit of a command, however many
//! messages came before.

use super::base::literal_head;
use super::{Literal, Parsed, Parser, Stop, too_many};
use crate::{Append, AppendPart, Command, NewMessage, Reply};

/// APPEND or REPLACE as far as it is known. Octets of messages are missing: their parts are empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outline {
    /// The command.
    pub append: Append,
    /// What comes next.
    within: Within,
    /// Messages that were complete before those in `append`.
    pub before: usize,
}

/// Where in the grammar the parser stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Within {
    /// Behind the mailbox: a message begins.
    Begin,
    /// Behind a message.
    Message,
    /// Behind the octets of `UTF8 (`.
    Utf8 { catenate: bool },
    /// Behind a part of CATENATE.
    Catenate,
}

impl Outline {
    /// Takes out the messages before the last one, with their octets, which `received` holds in order.
    pub(crate) fn take_complete(&mut self, received: &mut Vec<Vec<u8>>) -> Vec<NewMessage> {
        let complete = self.append.messages.len().saturating_sub(1);
        self.before = self.before.saturating_add(complete);
        let mut messages: Vec<NewMessage> = self.append.messages.drain(..complete).collect();
        fill(&mut messages, received);
        messages
    }
}

/// Puts octets into the parts they belong to.
pub(crate) fn fill(messages: &mut [NewMessage], received: &mut Vec<Vec<u8>>) {
    let texts = messages
        .iter_mut()
        .flat_map(|message| &mut message.parts)
        .filter_map(|part| match part {
            AppendPart::Text { octets, .. } => Some(octets),
            AppendPart::Url(_) => None,
        });
    let count = texts
        .zip(received.iter_mut())
        .map(|(octets, received)| *octets = std::mem::take(received))
        .count();
    received.drain(..count);
}

impl Parser<'_> {
    /// ```text
    /// append = "APPEND" SP mailbox 1*append-message
    /// ```
    pub(super) fn append(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        self.append_rest(Outline {
            append: Append {
                mailbox,
                replaces: None,
                messages: Vec::new(),
            },
            within: Within::Begin,
            before: 0,
        })
    }

    /// ```text
    /// replace = "REPLACE" SP seq-number SP mailbox append-message ; RFC 8508 §5
    /// ```
    pub(super) fn replace(&mut self, uid: bool) -> Parsed<Command> {
        self.sp()?;
        let message = self.seq_number()?;
        let mailbox = self.sp_mailbox()?;
        self.append_rest(Outline {
            append: Append {
                mailbox,
                replaces: Some(crate::Replaced { uid, message }),
                messages: Vec::new(),
            },
            within: Within::Begin,
            before: 0,
        })
    }

    /// Goes on where an outline stopped.
    ///
    /// ```text
    /// append-message = [SP flag-list] [SP date-time] *(SP append-ext) SP append-data
    /// append-ext     = att-annotate ; RFC 5257 §5
    /// append-data    = literal / literal8 / "CATENATE" SP "(" cat-part *(SP cat-part) ")" / utf8-literal
    /// utf8-literal   = "UTF8" SP "(" literal8 ")" ; RFC 9755 §4
    /// ```
    pub(super) fn append_rest(&mut self, mut outline: Outline) -> Parsed<Command> {
        loop {
            match outline.within {
                Within::Begin => {
                    self.sp()?;
                    self.append_message(&mut outline)?;
                }
                Within::Message => {
                    if self.cursor.is_empty() {
                        return Ok(Command::Append(outline.append));
                    }
                    if outline.append.replaces.is_some() {
                        return Err(self.wrong("the end of the command behind the message"));
                    }
                    let messages = outline.before.saturating_add(outline.append.messages.len());
                    if messages >= self.context.limits.messages {
                        return Err(too_many("APPEND has too many messages"));
                    }
                    self.sp()?;
                    // IMAPClient (Python, to 4.1) sends a second space before a message without flags and date.
                    if self.context.quirks.append_space {
                        self.cursor.eat(b' ');
                    }
                    self.append_message(&mut outline)?;
                }
                Within::Utf8 { catenate } => {
                    self.cursor.expect(b')', "a closing parenthesis")?;
                    outline.within = match catenate {
                        true => Within::Catenate,
                        false => Within::Message,
                    };
                }
                Within::Catenate => {
                    if self.list_ends()? {
                        outline.within = Within::Message;
                    } else {
                        self.cat_part(&mut outline)?;
                    }
                }
            }
        }
    }

    /// A message up to its octets, or to the end of its parts.
    fn append_message(&mut self, outline: &mut Outline) -> Parsed<()> {
        let mut message = NewMessage::default();
        if self.cursor.peek() == Some(b'(') {
            message.flags = self.flag_list()?;
            self.sp()?;
        }
        if self.cursor.peek() == Some(b'"') {
            message.date = Some(self.date_time()?);
            self.sp()?;
        }
        while self.cursor.eat_ignore_case(b"ANNOTATION ") {
            if !message.annotations.is_empty() {
                return Err(self.wrong("ANNOTATION once"));
            }
            message.annotations = self.att_annotate()?;
            self.sp()?;
        }
        let error = self.wrong("the message as a literal, CATENATE or UTF8");
        if let Some(literal) = literal_head(&mut self.cursor)? {
            outline.append.messages.push(message);
            outline.within = Within::Message;
            return self.stop_for(outline, literal, false);
        }
        match self.word("a message").map_err(|_| error.clone())?.as_str() {
            "CATENATE" => {
                self.sp()?;
                self.open()?;
                message.catenate = true;
                outline.append.messages.push(message);
                self.cat_part(outline)
            }
            "UTF8" => {
                outline.append.messages.push(message);
                self.utf8_literal(outline, false)
            }
            _ => Err(error),
        }
    }

    /// ```text
    /// cat-part     = text-literal / url / utf8-literal ; RFC 4469 §5
    /// text-literal = "TEXT" SP literal
    /// url          = "URL" SP astring
    /// ```
    fn cat_part(&mut self, outline: &mut Outline) -> Parsed<()> {
        let parts = outline.append.messages.last().map_or(0, |m| m.parts.len());
        if parts >= self.context.limits.items {
            return Err(too_many("CATENATE has too many parts"));
        }
        let error = self.wrong("URL, TEXT or UTF8");
        outline.within = Within::Catenate;
        match self.word("a part")?.as_str() {
            "URL" => {
                self.sp()?;
                let url = self.astring_text("a URL")?;
                if let Some(message) = outline.append.messages.last_mut() {
                    message.parts.push(AppendPart::Url(url));
                }
                Ok(())
            }
            "TEXT" => {
                self.sp()?;
                let error = self.wrong("a literal");
                let literal = literal_head(&mut self.cursor)?.ok_or(error)?;
                self.stop_for(outline, literal, false)
            }
            "UTF8" => self.utf8_literal(outline, true),
            _ => Err(error),
        }
    }

    fn utf8_literal(&mut self, outline: &mut Outline, catenate: bool) -> Parsed<()> {
        if !self.context.enabled.utf8_accept {
            return Err(Stop::Refused(Reply::bad("ENABLE UTF8=ACCEPT first")));
        }
        self.sp()?;
        self.open()?;
        let error = self.wrong("a literal8");
        let literal = literal_head(&mut self.cursor)?
            .filter(|literal| literal.binary)
            .ok_or(error)?;
        outline.within = Within::Utf8 { catenate };
        self.stop_for(outline, literal, true)
    }

    /// Stops for the octets of a literal, whose place is already in the outline.
    fn stop_for(&mut self, outline: &mut Outline, literal: Literal, utf8: bool) -> Parsed<()> {
        self.cursor
            .end("the end of the line behind the size of the message")?;
        let mut outline = outline.clone();
        if let Some(message) = outline.append.messages.last_mut() {
            message.parts.push(AppendPart::Text {
                octets: Vec::new(),
                binary: literal.binary,
                utf8,
            });
        }
        Err(Stop::Message(Box::new(outline), literal))
    }
}
