//! NOTIFY (RFC 5465).

use super::{FetchAttribute, MailboxFilter};

/// NOTIFY
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyCommand {
    /// `NOTIFY NONE`
    None,
    /// `NOTIFY SET`
    Set {
        /// `STATUS`: tell first where the mailboxes stand.
        status: bool,
        /// Which events on which mailboxes.
        groups: Vec<EventGroup>,
    },
}

/// Some mailboxes, and the events to be told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub filter: NotifyFilter,
    /// Which events; the default is `NONE`.
    pub events: NotifyEvents,
}

/// Which mailboxes an event group is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyFilter {
    /// `SELECTED`, or `SELECTED-DELAYED` with `delayed`.
    Selected {
        /// EXPUNGE waits for a command that allows it.
        delayed: bool,
    },
    /// Others.
    Other(MailboxFilter),
}

/// Events (RFC 5465 §5). New messages and expunged ones are only ever asked for together, and changes of flags
/// and annotations not without them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyEvents {
    /// `MessageNew` and `MessageExpunge`
    pub messages: bool,
    /// What to fetch of a new message in the selected mailbox.
    pub fetch: Vec<FetchAttribute>,
    /// `FlagChange`
    pub flags: bool,
    /// `AnnotationChange`
    pub annotations: bool,
    /// `MailboxName`
    pub names: bool,
    /// `SubscriptionChange`
    pub subscriptions: bool,
    /// `MailboxMetadataChange`
    pub metadata: bool,
    /// `ServerMetadataChange`
    pub server_metadata: bool,
}
