//! APPEND (RFC 9051 §6.3.12) with all that extends it: several messages (RFC 3502), messages put together of parts
//! (RFC 4469), UTF-8 headers (RFC 9755 §4), and REPLACE (RFC 8508), which is an APPEND that removes a message.

use super::{Bound, DateTime, Flag, MailboxName, NewAnnotation};

/// APPEND, and REPLACE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// REPLACE: what goes.
    pub replaces: Option<Replaced>,
    /// The messages, in order. At the server those that [`crate::server::Event::AppendStart`] brought are not
    /// repeated at the end.
    pub messages: Vec<NewMessage>,
}

/// The message that REPLACE takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// `message` is a UID.
    pub uid: bool,
    /// Which.
    pub message: Bound,
}

/// A message of APPEND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// Flags to set.
    pub flags: Vec<Flag>,
    /// Internal date, if given.
    pub date: Option<DateTime>,
    /// Annotations to begin with (RFC 5257 §4.7).
    pub annotations: Vec<NewAnnotation>,
    /// Its octets: one text, or with CATENATE any number of parts.
    pub parts: Vec<AppendPart>,
    /// Its parts were in `CATENATE (…)` (RFC 4469).
    pub catenate: bool,
}

/// Octets of a message of APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendPart {
    /// As they are.
    Text {
        /// The octets.
        octets: Vec<u8>,
        /// Sent as a literal8 (`~{…}`, RFC 3516 §4.4): they may hold NUL. In any other literal NUL is refused before
        /// this.
        binary: bool,
        /// Sent as `UTF8 (~{…})` (RFC 9755 §4): their header may hold UTF-8.
        utf8: bool,
    },
    /// Those of a message or part that is there already (RFC 4469 §3), as an IMAP URL (RFC 5092).
    Url(String),
}

impl NewMessage {
    /// A message that is one text.
    pub fn text(octets: Vec<u8>) -> NewMessage {
        NewMessage {
            parts: vec![AppendPart::Text {
                octets,
                binary: false,
                utf8: false,
            }],
            ..NewMessage::default()
        }
    }
}
