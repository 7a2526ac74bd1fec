//! Flags of messages and the STORE command.

use super::SequenceSet;

/// A flag (RFC 9051 §2.3.2). Keywords keep the case they were written in and compare without it.
#[derive(Clone, Debug, Eq)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: only ever in responses and as a SEARCH key (RFC 3501 §2.3.2); clients cannot set it.
    Recent,
    /// A keyword, an atom without a leading backslash.
    Keyword(String),
    /// A flag that begins with a backslash and is none of the above: only a client meets it, in responses.
    Extension(String),
}

impl PartialEq for Flag {
    fn eq(&self, other: &Flag) -> bool {
        match (self, other) {
            (Flag::Keyword(a), Flag::Keyword(b)) | (Flag::Extension(a), Flag::Extension(b)) => {
                a.eq_ignore_ascii_case(b)
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// What STORE does with the flags it names (RFC 9051 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreAction {
    /// `FLAGS`: these and no others.
    Set,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// STORE and UID STORE (RFC 9051 §6.4.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The set names UIDs (UID STORE), and FETCH responses must carry the UID.
    pub uid: bool,
    /// The messages.
    pub set: SequenceSet,
    /// What to do.
    pub action: StoreAction,
    /// `.SILENT`: no untagged FETCH for the changes this command makes.
    pub silent: bool,
    /// `UNCHANGEDSINCE`: messages with a higher mod-sequence are left alone (RFC 7162 §3.1.3).
    pub unchanged_since: Option<u64>,
    /// The flags; may be empty.
    pub flags: Vec<Flag>,
}
