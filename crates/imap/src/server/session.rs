//! The session of one connection.

use std::time::Duration;

use wire::input::Input;
use wire::output::Output;

use super::{Config, Event, Fetch};
use crate::{Capability, Reply, Search, Untagged};

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

/// The session of one connection.
#[derive(Debug)]
pub struct Session {
    config: Config,
    input: Input,
    output: Output,
    state: State,
}

impl Session {
    /// A session; its greeting is ready to transmit.
    pub fn new(config: Config) -> Session {
        Session {
            config,
            input: Input::new(),
            output: Output::new(),
            state: State::NotAuthenticated,
        }
    }

    /// Takes octets from the client.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.receive(bytes);
    }

    /// The next event; `None` when more input or the answer to the open event is needed.
    pub fn poll(&mut self) -> Option<Event> {
        None
    }

    /// The next chunk for the client.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.output.take()
    }

    /// Octets for the client that `transmit` has not handed out.
    pub fn pending(&self) -> usize {
        self.output.pending()
    }

    /// How long the client may be silent now.
    pub fn timeout(&self) -> Duration {
        self.config.limits.timeout
    }

    /// The client was silent for too long: says BYE and closes.
    pub fn handle_timeout(&mut self) {}

    /// The server ends: says BYE, at once or after the open command, and closes.
    pub fn shutdown(&mut self) {}

    /// Whether the connection ends once everything is transmitted.
    pub fn closed(&self) -> bool {
        self.state == State::Logout
    }

    /// TLS has begun after [`Event::StartTls`]: all that was learned before is forgotten (RFC 9051 §6.2.1).
    pub fn tls_started(&mut self) {}

    /// Writes an untagged response: as part of the open command, or while idling.
    pub fn untagged(&mut self, response: &Untagged) {
        let _ = response;
    }

    /// Begins an untagged FETCH response.
    pub fn fetch(&mut self, seq: u32) -> Fetch<'_> {
        Fetch::new(self, seq)
    }

    /// Writes the result of a SEARCH, ascending, in the form the client asked for: SEARCH, or ESEARCH with what
    /// RETURN names, or ESEARCH with ALL for a client that enabled IMAP4rev2 (RFC 9051 §6.4.4). Keeping the result
    /// for `$` is up to the handler (see [`crate::SearchReturn::saved`]).
    pub fn search_results(&mut self, search: &Search, results: &[u32]) {
        let _ = (search, results);
    }

    /// Ends the open command with a tagged reply. Without an open command this does nothing.
    pub fn complete(&mut self, reply: Reply) {
        let _ = reply;
    }

    /// Sends a SASL challenge; the answer comes as [`Event::SaslResponse`] or [`Event::SaslAborted`].
    pub fn challenge(&mut self, challenge: &[u8]) {
        let _ = challenge;
    }

    /// Has the message of the open APPEND sent (after [`Event::AppendStart`]).
    pub fn accept_literal(&mut self) {}

    /// Begins idling (after [`crate::Command::Idle`]).
    pub fn accept_idle(&mut self) {}

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// True between [`Session::accept_idle`] and the event [`Event::IdleDone`].
    pub fn is_idling(&self) -> bool {
        false
    }

    /// Whether the client enabled the capability. IMAP4rev2 decides the form of names and results, which the session
    /// looks after; it also asks for OLDNAME in LIST and silences RECENT.
    pub fn is_enabled(&self, capability: &Capability) -> bool {
        let _ = capability;
        false
    }

    /// What the client told of itself by ID, for the log: short printable text, or `None`.
    pub fn client_id(&self) -> Option<&str> {
        None
    }
}
