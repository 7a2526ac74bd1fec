//! Annotations of mailboxes and of the server (RFC 5464).

use super::MailboxName;

/// A command about annotations. An empty mailbox name is the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataCommand {
    /// GETMETADATA
    Get {
        /// Of what.
        mailbox: MailboxName,
        /// `MAXSIZE`: values up to this many octets.
        max_size: Option<u64>,
        /// `DEPTH`: what is below the entries.
        depth: MetadataDepth,
        /// Names of entries.
        entries: Vec<String>,
    },
    /// SETMETADATA: all or nothing.
    Set {
        /// Of what.
        mailbox: MailboxName,
        /// Names and new values; none removes the entry.
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
}

impl MetadataCommand {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            MetadataCommand::Get { .. } => "GETMETADATA",
            MetadataCommand::Set { .. } => "SETMETADATA",
        }
    }
}

/// How deep GETMETADATA looks (RFC 5464 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataDepth {
    /// The entries alone.
    #[default]
    Zero,
    /// And those immediately below.
    One,
    /// And all below.
    Infinity,
}

/// The METADATA response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataData {
    /// Entries with their values; none is NIL.
    Values {
        /// Of what.
        mailbox: MailboxName,
        /// Names and values.
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Entries that changed (RFC 5464 §4.4.2).
    Changed {
        /// Of what.
        mailbox: MailboxName,
        /// Their names.
        entries: Vec<String>,
    },
}
