//! The session of one connection: what the server calls. The road from octets to events is in `framing`.

use std::time::Duration;

use wire::input::Input;
use wire::language::Language;
use wire::output::Output;
use wire::sasl::Mechanism;

use super::append::Appending;
use super::framing::{Framing, Open};
use super::{Config, Event, Fetch};
use crate::encode::{self, untagged};
use crate::{Capability, Code, Esearch, MailboxName, NumberSet, Reply, Search, Status, Untagged};

/// What a search found, for [`Session::search_results`].
#[derive(Clone, Debug, Default)]
pub struct Found<'a> {
    /// Numbers or UIDs, in the order of the result.
    pub numbers: &'a [u32],
    /// Scores from 1 to 100 in the same order, if there was a FUZZY key.
    pub scores: Option<&'a [u8]>,
    /// The highest modification sequence of what is told, if there was a MODSEQ key (RFC 7162 §3.1.5).
    pub modseq: Option<u64>,
    /// It is the result of SORT.
    pub sorted: bool,
    /// The mailbox searched and its UIDVALIDITY, for ESEARCH (RFC 7377 §2.1).
    pub mailbox: Option<(MailboxName, u32)>,
}

/// Where a session stands (RFC 9051 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Somebody has.
    Authenticated,
    /// And selected a mailbox.
    Selected,
    /// The connection ends.
    Logout,
}

/// What a client switched on, by ENABLE or by using it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// IMAP4rev2 (RFC 9051 §6.3.1).
    pub rev2: bool,
    /// UTF8=ACCEPT (RFC 9755).
    pub utf8_accept: bool,
    /// The client is told mod-sequences (RFC 7162 §3.1).
    pub condstore: bool,
    /// VANISHED takes the place of EXPUNGE (RFC 7162 §3.2.3).
    pub qresync: bool,
    /// No sequence numbers either way (RFC 9586).
    pub uid_only: bool,
    /// Changes of annotations of mailboxes and of the server are told (RFC 5464 §4.1).
    pub metadata: bool,
    /// Those of the server alone.
    pub metadata_server: bool,
}

/// The session of one connection.
#[derive(Debug)]
pub struct Session {
    pub(super) config: Config,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) state: State,
    /// What the next octets are.
    pub(super) framing: Framing,
    /// The command the handler has to answer.
    pub(super) open: Option<Open>,
    /// Lines and literals of a command that is not complete.
    pub(super) text: Vec<u8>,
    /// Literals in `text`.
    pub(super) literals: usize,
    /// Commands that were not understood.
    pub(super) bad: u32,
    /// The APPEND that is arriving.
    pub(super) appending: Option<Box<Appending>>,
    /// What the client switched on.
    pub(super) enabled: Enabled,
    /// Names and texts are UTF-8, because of IMAP4rev2 or UTF8=ACCEPT.
    pub(super) utf8: bool,
    /// Octets go through DEFLATE.
    pub(super) compressed: bool,
    /// What puts human text into the language that the client chose.
    pub(super) language: Option<fn(&str) -> Option<String>>,
    pub(super) client_id: Option<String>,
    pub(super) shutting_down: bool,
}

impl Session {
    /// A session; its greeting is ready to transmit.
    pub fn new(config: Config) -> Session {
        let mut session = Session {
            config,
            input: Input::new(),
            output: Output::new(),
            state: State::NotAuthenticated,
            framing: Framing::Line,
            open: None,
            text: Vec::new(),
            literals: 0,
            bad: 0,
            appending: None,
            enabled: Enabled::default(),
            utf8: false,
            compressed: false,
            language: None,
            client_id: None,
            shutting_down: false,
        };
        let greeting = Reply::ok("")
            .text(session.config.greeting.clone())
            .with(Code::Capability(session.capabilities()));
        session.status(&greeting);
        session
    }

    /// Takes octets from the client.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.state != State::Logout {
            self.input.receive(bytes);
        }
    }

    /// The next event; `None` when more input or the answer to the open event is needed.
    pub fn poll(&mut self) -> Option<Event> {
        self.next_event()
    }

    /// The next chunk for the client.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.output.take()
    }

    /// Octets for the client that `transmit` has not handed out.
    pub fn pending(&self) -> usize {
        self.output.pending()
    }

    /// Whether nobody has logged in yet.
    pub fn awaits_login(&self) -> bool {
        self.state == State::NotAuthenticated
    }

    /// How long the client may be silent now.
    pub fn timeout(&self) -> Duration {
        let limits = &self.config.limits;
        if self.state == State::NotAuthenticated {
            limits.login_timeout
        } else if self.text.is_empty()
            && matches!(self.framing, Framing::Line | Framing::Idle { .. })
        {
            limits.timeout
        } else {
            limits.command_timeout
        }
    }

    /// The client was silent for too long: says BYE and closes.
    pub fn handle_timeout(&mut self) {
        self.bye(Reply::new(Status::Bye, "Silent for too long"));
    }

    /// The user may not go on: says BYE and closes, whatever is open.
    pub fn dismiss(&mut self, why: &'static str) {
        self.bye(Reply::new(Status::Bye, why));
    }

    /// The server ends: says BYE, at once or after the open command, and closes.
    pub fn shutdown(&mut self) {
        self.shutting_down = true;
        if self.open.is_none() {
            self.end_for_shutdown();
        }
    }

    /// Whether the connection ends once everything is transmitted.
    pub fn closed(&self) -> bool {
        self.state == State::Logout
    }

    /// TLS has begun after [`Event::StartTls`]: all that was learned before is forgotten (RFC 9051 §6.2.1).
    ///
    /// If octets came in between, somebody put them there: the session is closed.
    pub fn tls_started(&mut self) {
        if !self.input.is_empty() || !matches!(self.framing, Framing::Tls) {
            self.state = State::Logout;
            return;
        }
        self.config.tls = true;
        self.framing = Framing::Line;
        self.bad = 0;
        self.utf8 = false;
        self.enabled = Enabled::default();
        self.language = None;
        self.client_id = None;
    }

    /// Human text is in this language from here on (RFC 5255 §3.2).
    pub fn set_language(&mut self, language: &Language) {
        self.language = Some(language.translate);
    }

    /// A text in the language chosen; None where it stays as it is.
    pub fn translate(&self, text: &str) -> Option<String> {
        self.language.and_then(|translate| translate(text))
    }

    /// Offers a mechanism no more: what TLS agreed on does not allow it.
    pub fn withdraw(&mut self, mechanism: Mechanism) {
        self.config
            .mechanisms
            .retain(|offered| *offered != mechanism);
    }

    /// Writes an untagged response: as part of the open command, or while idling.
    pub fn untagged(&mut self, response: &Untagged) {
        // RFC 9051 §7.3: IMAP4rev2 has no RECENT.
        if self.enabled.rev2 && matches!(response, Untagged::Recent(_)) {
            return;
        }
        if let Untagged::Status(reply) = response {
            return self.status(reply);
        }
        untagged::untagged(&mut self.output, response, self.utf8);
    }

    /// Begins an untagged FETCH response, or UIDFETCH (RFC 9586 §3.3) for a client that enabled UIDONLY.
    pub fn fetch(&mut self, seq: u32, uid: u32) -> Fetch<'_> {
        Fetch::new(self, seq, uid)
    }

    /// Tells that messages are gone, as the client wants to hear it: their UIDs at once (RFC 7162 §3.2.10), or a number
    /// for each, which count what is left. `gone` holds numbers and UIDs, highest first.
    pub fn expunged(&mut self, gone: impl DoubleEndedIterator<Item = (u32, u32)>) {
        if self.enabled.qresync || self.enabled.uid_only {
            let uids: NumberSet = gone.rev().map(|(_, uid)| uid).collect();
            if !uids.is_empty() {
                self.untagged(&Untagged::Vanished {
                    earlier: false,
                    uids,
                });
            }
            return;
        }
        for (seq, _) in gone {
            self.untagged(&Untagged::Expunge(seq));
        }
    }

    /// Octets are compressed both ways from here on (after [`crate::Command::Compress`] was completed with OK).
    pub fn compression_started(&mut self) {
        self.compressed = true;
    }

    /// Writes the result of a SEARCH, SORT or ESEARCH in the form the client asked for: SEARCH or SORT, or ESEARCH with
    /// what RETURN names, or ESEARCH with ALL for a SEARCH of a client that enabled IMAP4rev2 (RFC 9051 §6.4.4). Keeping
    /// the result for `$` is up to the handler (see [`crate::SearchReturn::saved`]).
    pub fn search_results(&mut self, search: &Search, found: &Found<'_>) {
        let returns = match search.returns {
            Some(returns) => returns,
            None if self.enabled.rev2 && !found.sorted => crate::SearchReturn {
                all: true,
                ..Default::default()
            },
            None => {
                let name = if found.sorted { "SORT" } else { "SEARCH" };
                self.output.put(b"* ");
                // RFC 7162 §3.1.5: no results, no mod-sequence.
                let modseq = found.modseq.filter(|_| !found.numbers.is_empty());
                encode::search::list(&mut self.output, name, found.numbers, modseq);
                return self.output.put(b"\r\n");
            }
        };
        let only_saves = crate::SearchReturn {
            save: true,
            ..Default::default()
        };
        // RFC 9051 §6.4.4: SAVE alone suppresses the response.
        if returns == only_saves {
            return;
        }
        let set = |numbers: &[u32]| numbers.iter().copied().collect::<NumberSet>();
        let partial = returns
            .partial
            .map(|range| (range, range.of(found.numbers)));
        let scores = found.scores.map(|scores| match returns.partial {
            Some(range) => range.of(scores).to_vec(),
            None => scores.to_vec(),
        });
        let data = Esearch {
            tag: self.tag().map(str::to_owned),
            mailbox: found.mailbox.clone(),
            uid: search.uid,
            min: found.numbers.first().copied().filter(|_| returns.min),
            max: found.numbers.last().copied().filter(|_| returns.max),
            count: returns
                .count
                .then_some(u32::try_from(found.numbers.len()).unwrap_or(u32::MAX)),
            all: returns.all.then(|| set(found.numbers)),
            partial: partial.map(|(range, numbers)| (range, set(numbers))),
            relevancy: scores.filter(|_| returns.relevancy),
            modseq: found.modseq.filter(|_| !found.numbers.is_empty()),
            changes: Vec::new(),
        };
        self.untagged(&Untagged::Esearch(Box::new(data)));
    }

    /// The tag of the open command.
    pub fn tag(&self) -> Option<&str> {
        self.open.as_ref().map(Open::tag)
    }

    /// Ends the open command with a tagged reply. Without an open command this does nothing.
    pub fn complete(&mut self, mut reply: Reply) {
        let Some(open) = self.open.take() else { return };
        let ok = reply.status == Status::Ok;
        let tag = open.tag().to_owned();
        match open {
            Open::Login { .. } if ok => {
                self.state = State::Authenticated;
                if reply.code.is_none() {
                    reply = reply.with(Code::Capability(self.capabilities()));
                }
            }
            Open::StartTls { .. } if ok => self.framing = Framing::Tls,
            Open::Select { .. } if ok => self.state = State::Selected,
            Open::Close { .. } if ok => self.state = State::Authenticated,
            Open::Append { literal, .. } => {
                self.appending = None;
                if !literal.synchronizing {
                    self.framing = Framing::Discard { left: literal.size };
                }
            }
            Open::Unauthenticate { .. } if ok => self.forget_login(),
            Open::Idle { broken: true, .. } => {
                self.framing = Framing::Line;
                self.count_bad();
                reply = Reply::bad("IDLE: expected DONE");
            }
            Open::Idle { .. } => self.framing = Framing::Line,
            _ => {}
        }
        self.tagged(&tag, &reply);
        self.after_answer();
    }

    /// Sends a SASL challenge; the answer comes as [`Event::SaslResponse`] or [`Event::SaslAborted`].
    pub fn challenge(&mut self, challenge: &[u8]) {
        if let Some(Open::Login { tag }) = self.open.take() {
            self.output.put(b"+ ");
            self.output.put(wire::base64::encode(challenge).as_bytes());
            self.output.put(b"\r\n");
            self.framing = Framing::Sasl { tag };
            self.after_answer();
        }
    }

    /// Has octets of the open APPEND sent (after [`Event::AppendStart`]).
    pub fn accept_literal(&mut self) {
        match self.open.take() {
            Some(Open::Append { tag, literal }) => self.begin_message(tag, literal),
            other => self.open = other,
        }
    }

    /// RFC 8437 §3: as if nobody had logged in yet. Of what was agreed on with the connection TLS alone stays.
    fn forget_login(&mut self) {
        self.state = State::NotAuthenticated;
        self.enabled = Enabled::default();
        self.language = None;
        self.utf8 = false;
        self.compressed = false;
        self.bad = 0;
        self.client_id = None;
    }

    /// Begins idling (after [`crate::Command::Idle`]).
    pub fn accept_idle(&mut self) {
        match self.open.take() {
            Some(Open::Idle { tag, .. }) => {
                self.output.put(b"+ idling\r\n");
                self.framing = Framing::Idle { tag };
                self.after_answer();
            }
            other => self.open = other,
        }
    }

    /// Announces one more capability from now on: what only some users may do.
    pub fn announce(&mut self, capability: Capability) {
        if !self.config.capabilities.contains(&capability) {
            self.config.capabilities.push(capability);
        }
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// True between [`Session::accept_idle`] and the event [`Event::IdleDone`].
    pub fn is_idling(&self) -> bool {
        matches!(self.framing, Framing::Idle { .. })
            && self.open.is_none()
            && self.state != State::Logout
    }

    /// Whether the client enabled the capability. IMAP4rev2 decides the form of names and results, which the session
    /// looks after; it also asks for OLDNAME in LIST and silences RECENT.
    pub fn is_enabled(&self, capability: &Capability) -> bool {
        match capability {
            Capability::Imap4rev2 => self.enabled.rev2,
            Capability::Utf8Accept => self.enabled.utf8_accept,
            Capability::CondStore => self.enabled.condstore,
            Capability::QResync => self.enabled.qresync,
            Capability::UidOnly => self.enabled.uid_only,
            Capability::Metadata => self.enabled.metadata,
            Capability::MetadataServer => self.enabled.metadata_server,
            _ => false,
        }
    }

    /// The tag of the command that is being answered.
    pub fn open_tag(&self) -> Option<&str> {
        self.open.as_ref().map(Open::tag)
    }

    /// What the client told of itself by ID, for the log: short printable text, or `None`.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// What is announced now (RFC 9051 §6.1.1).
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let all = self.config.capabilities.iter();
        if self.state != State::NotAuthenticated {
            return all
                .filter(|capability| match capability {
                    Capability::SaslIr => false,
                    // RFC 4978 §4: not while it is on.
                    Capability::CompressDeflate => !self.compressed,
                    _ => true,
                })
                .cloned()
                .collect();
        }
        let mechanisms = if self.config.tls {
            &self.config.mechanisms
        } else {
            &self.config.mechanisms_clear
        };
        let mut announced: Vec<Capability> = all
            .filter(|capability| match capability {
                Capability::SaslIr => !mechanisms.is_empty(),
                // IDLE is of no use yet, but some libraries look for it only here (CPython's imaplib).
                Capability::Imap4rev1
                | Capability::Imap4rev2
                | Capability::LiteralPlus
                | Capability::LiteralMinus
                | Capability::Id
                | Capability::Enable
                | Capability::Language
                | Capability::Idle => true,
                _ => false,
            })
            .cloned()
            .collect();
        if self.config.starttls && !self.config.tls {
            announced.push(Capability::StartTls);
        }
        if !self.may_login() {
            announced.push(Capability::LoginDisabled);
        }
        announced.extend(
            mechanisms
                .iter()
                .map(|mechanism| Capability::Auth(mechanism.name().to_owned())),
        );
        announced
    }

    /// Whether LOGIN is allowed.
    pub(super) fn may_login(&self) -> bool {
        self.config.tls || self.config.login_clear
    }

    /// Writes a tagged reply.
    pub(super) fn tagged(&mut self, tag: &str, reply: &Reply) {
        match self.translate(&reply.text) {
            Some(text) => {
                encode::reply::translated(&mut self.output, tag, reply, &text, self.utf8);
            }
            None => encode::reply::reply(&mut self.output, tag, reply, self.utf8),
        }
    }

    /// Writes an untagged reply.
    pub(super) fn status(&mut self, reply: &Reply) {
        self.tagged("*", reply);
    }

    /// Says BYE and closes. What else was received is not looked at.
    pub(super) fn bye(&mut self, reply: Reply) {
        if self.state == State::Logout {
            return;
        }
        self.status(&reply);
        self.state = State::Logout;
        self.open = None;
        self.input.clear();
        self.text = Vec::new();
        self.appending = None;
    }

    /// Counts a command that was not understood; too many of them end the session.
    pub(super) fn count_bad(&mut self) {
        self.bad = self.bad.saturating_add(1);
    }

    pub(super) fn after_answer(&mut self) {
        let limits = &self.config.limits;
        let limit = if self.state == State::NotAuthenticated {
            limits.bad_before_login
        } else {
            limits.bad
        };
        if self.shutting_down && self.open.is_none() && !matches!(self.framing, Framing::Tls) {
            self.end_for_shutdown();
        } else if self.bad >= limit {
            self.bye(Reply::new(
                Status::Bye,
                "Too many commands that are not understood",
            ));
        }
    }

    fn end_for_shutdown(&mut self) {
        self.bye(Reply::coded(
            Status::Bye,
            Code::Unavailable,
            "The server shuts down",
        ));
    }

    /// Answers a command that was refused inside.
    pub(super) fn refuse(&mut self, tag: &str, reply: &Reply) {
        if reply.status == Status::Bad {
            self.count_bad();
        }
        self.tagged(tag, reply);
        self.after_answer();
    }
}
