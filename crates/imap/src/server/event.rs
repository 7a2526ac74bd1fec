//! What a session asks its handler.

use wire::sasl::{Mechanism, Secret};

use crate::{Append, Command};

/// What the session needs decided or answered. Unless said otherwise, each is answered with exactly one
/// [`super::Session::complete`], before which any untagged responses may be written; until then no other comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// STARTTLS. After OK write out what is pending, start TLS and call [`super::Session::tls_started`].
    StartTls,
    /// LOGIN, allowed here. OK moves to the authenticated state and announces the capabilities.
    Login {
        /// Login name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// AUTHENTICATE with a mechanism offered here. Answered with [`super::Session::challenge`], or completed. OK
    /// moves to the authenticated state.
    Authenticate {
        /// The mechanism.
        mechanism: Mechanism,
        /// The initial response, decoded.
        initial: Option<Vec<u8>>,
    },
    /// The answer to a challenge, decoded. Answered like [`Event::Authenticate`].
    SaslResponse(Vec<u8>),
    /// The client cancelled the exchange or broke its framing; it has been told. Needs no answer.
    SaslAborted,
    /// APPEND is about to send octets of a message: take the memory, look at mailbox and quota. Answered with
    /// [`super::Session::accept_literal`], whereupon it goes on to the next of these or comes as [`Command::Append`], or
    /// completed with a refusal, whereupon the octets are never sent or thrown away as they arrive.
    AppendStart {
        /// The command, with the messages that are complete since the last of these events. They will not be repeated;
        /// keep them apart until the end of the command, which may still fail and then keeps none (RFC 3502).
        append: Append,
        /// Octets to come; with those of the same message before within the limit.
        size: u64,
    },
    /// APPEND that was accepted ended in an error; the client has been told. Release what was taken and kept at
    /// [`Event::AppendStart`]. Needs no answer.
    AppendAborted,
    /// A command that is allowed in this state. Never CAPABILITY, LOGOUT, ID, STARTTLS, LOGIN, AUTHENTICATE: the
    /// session answers those or has events for them.
    ///
    /// - ENABLE comes only where it made mod-sequences known while a mailbox is selected (RFC 7162 §3.1), and is done
    ///   already.
    /// - UNAUTHENTICATE: OK moves to the not authenticated state.
    /// - COMPRESS: after OK write out what is pending, compress both ways, and call
    ///   [`super::Session::compression_started`].
    /// - SELECT and EXAMINE: OK moves to the selected state; anything else leaves none selected. A mailbox selected
    ///   before is deselected already, forget it first.
    /// - CLOSE and UNSELECT: OK moves to the authenticated state.
    /// - IDLE: answered with [`super::Session::accept_idle`], whereupon untagged responses may be written at any time
    ///   until [`Event::IdleDone`]; or completed with a refusal.
    Command {
        /// The command's tag.
        tag: String,
        /// The command.
        command: Command,
    },
    /// DONE: IDLE ends. Completed with OK after the last changes.
    IdleDone,
}
