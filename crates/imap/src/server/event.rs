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
    /// APPEND is about to send its message: take the memory, look at mailbox and quota. Answered with
    /// [`super::Session::accept_literal`], whereupon the message comes as [`Command::Append`], or completed with a
    /// refusal, whereupon the message is never sent or thrown away as it arrives.
    AppendStart {
        /// The command, without message.
        append: Append,
        /// Octets of the message; within the limit.
        size: u64,
    },
    /// APPEND that was accepted ended in an error of syntax behind the message; the client has been told. Release
    /// what was taken at [`Event::AppendStart`]. Needs no answer.
    AppendAborted,
    /// A command that is allowed in this state. Never CAPABILITY, LOGOUT, ID, ENABLE, STARTTLS, LOGIN, AUTHENTICATE:
    /// the session answers those or has events for them.
    ///
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
