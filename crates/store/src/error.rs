//! The closed set of what can go wrong in the store.
//!
//! Each protocol maps these classes to its replies in one place. Texts inside are for the log, never for the peer.

use std::io;

/// A failure of the store. Cloned to everybody who waited for the same commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The named kind of thing (account, mailbox, message …) does not exist.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The named kind of thing exists already.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// The account's quota does not hold this.
    #[error("over quota")]
    OverQuota,
    /// The state forbids the operation (delete INBOX, rename below itself, remove a domain in use …).
    #[error("conflict: {0}")]
    Conflict(String),
    /// A count or length limit of the store is reached (keywords per mailbox, UIDs, mailboxes …).
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// An argument can never be valid (mailbox name, address, keyword …).
    #[error("invalid: {0}")]
    Invalid(String),
    /// Too much work is waiting, or another process holds the data folder. Try again later.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// The disk (or its inodes) is full. Temporary.
    #[error("disk full")]
    Full,
    /// Stored bytes do not match their checksum, or rows contradict each other.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// The data folder was written by a newer version of the program.
    #[error("{0}")]
    TooNew(String),
    /// Reading, writing or syncing failed. Nothing of the operation may be trusted. Temporary.
    #[error("input/output: {0}")]
    Io(String),
    /// A fault of our own (a panic in a closure, a wrong statement). Temporary.
    #[error("internal: {0}")]
    Internal(String),
    /// The store is closing. Temporary.
    #[error("closed")]
    Closed,
}

/// Results of the store.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether trying the same again later can succeed: such failures become 4xx, `NO [UNAVAILABLE]`, `-ERR [SYS/TEMP]`.
    pub fn is_temporary(&self) -> bool {
        !matches!(
            self,
            Error::NotFound(_)
                | Error::Exists(_)
                | Error::Conflict(_)
                | Error::Limit(_)
                | Error::Invalid(_)
                | Error::TooNew(_)
        )
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io(error.to_string()),
        }
    }
}
