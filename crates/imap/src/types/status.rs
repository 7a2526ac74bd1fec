//! What STATUS asks and tells (RFC 9051 §6.3.11, §7.3.4).

/// An item a client asks for (`status-att`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusItem {
    /// Number of messages.
    Messages,
    /// Number of messages with `\Recent` (RFC 3501 only).
    Recent,
    /// Next UID.
    UidNext,
    /// UID validity.
    UidValidity,
    /// Number of messages without `\Seen`.
    Unseen,
    /// Number of messages with `\Deleted` (RFC 9051).
    Deleted,
    /// Total size in octets (RFC 9051, RFC 8438).
    Size,
    /// Octets of messages with `\Deleted` (RFC 9208).
    DeletedStorage,
    /// The mailbox's identifier (RFC 8474).
    MailboxId,
    /// Highest mod-sequence (RFC 7162).
    HighestModSeq,
    /// Largest message that can be appended (RFC 7889).
    AppendLimit,
}

/// The answer to STATUS: an item stays `None` unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusData {
    /// Number of messages.
    pub messages: Option<u32>,
    /// Number of messages with `\Recent`.
    pub recent: Option<u32>,
    /// Next UID.
    pub uid_next: Option<u32>,
    /// UID validity.
    pub uid_validity: Option<u32>,
    /// Number of messages without `\Seen`.
    pub unseen: Option<u32>,
    /// Number of messages with `\Deleted`.
    pub deleted: Option<u32>,
    /// Total size in octets.
    pub size: Option<u64>,
    /// Octets of messages with `\Deleted`.
    pub deleted_storage: Option<u64>,
    /// The mailbox's identifier.
    pub mailbox_id: Option<String>,
    /// Highest mod-sequence.
    pub highest_modseq: Option<u64>,
    /// Largest message that can be appended; `Some(None)` is NIL, no limit known.
    pub append_limit: Option<Option<u64>>,
}
