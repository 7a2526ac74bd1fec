//! Views: what a selected mailbox looks like, in memory, shared by all its sessions.

use std::sync::Arc;

use crate::types::*;

/// Told that something changed. Called on the writer thread: hand it on, do not work.
pub trait Notify: Send + Sync {
    /// Something changed; look at it.
    fn notify(&self);
}

/// Ends the notification when dropped.
#[derive(Debug, Default)]
pub struct Subscription;

/// The live view of one mailbox.
pub struct View;

impl View {
    /// The newest picture. A write's changes are in it before the writer's caller is answered.
    pub fn snapshot(&self) -> Arc<ViewSnapshot> {
        Arc::new(ViewSnapshot)
    }
    /// Calls `notify` after each commit that changed this mailbox (messages, flags, its deletion).
    pub fn subscribe(&self, notify: Arc<dyn Notify>) -> Subscription {
        let _ = notify;
        Subscription
    }
}

/// One message in a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// UID.
    pub uid: u32,
    /// System flags.
    pub flags: Flags,
    /// Keywords, bits into [`ViewSnapshot::keywords`].
    pub keywords: u64,
    /// Modification sequence.
    pub modseq: u64,
    /// Content.
    pub message: MessageId,
}

/// An immutable picture of a mailbox. Sequence numbers count from 1.
pub struct ViewSnapshot;

impl ViewSnapshot {
    /// Account.
    pub fn account(&self) -> AccountId {
        AccountId(0)
    }
    /// Mailbox.
    pub fn mailbox(&self) -> MailboxId {
        MailboxId(0)
    }
    /// Whether the mailbox has been deleted; then it is empty for good.
    pub fn gone(&self) -> bool {
        false
    }
    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        0
    }
    /// UIDNEXT.
    pub fn uid_next(&self) -> u32 {
        0
    }
    /// HIGHESTMODSEQ.
    pub fn highest_modseq(&self) -> u64 {
        0
    }
    /// Keyword names; the position is the bit. Names are only ever added at the end.
    pub fn keywords(&self) -> &[Arc<str>] {
        &[]
    }
    /// Number of messages (EXISTS).
    pub fn len(&self) -> u32 {
        0
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Messages without `\Seen`.
    pub fn unseen(&self) -> u32 {
        0
    }
    /// Sequence number of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        None
    }
    /// UID of a sequence number.
    pub fn uid_at(&self, seq: u32) -> Option<u32> {
        let _ = seq;
        None
    }
    /// Sequence number of a UID that is there.
    pub fn seq_of(&self, uid: u32) -> Option<u32> {
        let _ = uid;
        None
    }
    /// Number of messages with a UID below this one.
    pub fn count_below(&self, uid: u32) -> u32 {
        let _ = uid;
        0
    }
    /// The message with this sequence number.
    pub fn entry(&self, seq: u32) -> Option<Entry> {
        let _ = seq;
        None
    }
    /// The message with this UID.
    pub fn entry_of(&self, uid: u32) -> Option<Entry> {
        let _ = uid;
        None
    }
    /// All messages with their sequence numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Entry)> + '_ {
        self.range(1, u32::MAX)
    }
    /// Messages of a run of sequence numbers, inclusive, cut to what is there.
    pub fn range(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let _ = (first, last);
        std::iter::empty()
    }
    /// Messages of a run of UIDs, inclusive.
    pub fn uid_range(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let _ = (first, last);
        std::iter::empty()
    }
    /// What happened between two pictures of one mailbox. Unchanged stretches are skipped without looking at them.
    pub fn diff(old: &ViewSnapshot, new: &ViewSnapshot) -> Diff {
        let _ = (old, new);
        Diff::default()
    }
    /// The picture of a session that may be told of flags and new messages but not of expunges yet (RFC 9051 §7.5.1): `new`,
    /// with the messages of `old` that are gone left in their places.
    pub fn keeping_expunged(old: &Arc<ViewSnapshot>, new: &Arc<ViewSnapshot>) -> Arc<ViewSnapshot> {
        let _ = old;
        new.clone()
    }
}

/// The difference between two pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Vanished messages, highest sequence number first: sent as EXPUNGE in this order, each number (counted in the old
    /// picture) is right.
    pub expunged: Vec<Expunged>,
    /// Messages whose flags, keywords or modseq changed: sequence number in the new picture and the message as it is now.
    pub changed: Vec<(u32, Entry)>,
    /// Messages that came: sequence numbers in the new picture, from the first on to its end.
    pub new: Option<std::ops::RangeInclusive<u32>>,
    /// Whether the keyword table grew (FLAGS is sent again).
    pub keywords_added: bool,
    /// Whether the mailbox was deleted.
    pub gone: bool,
}

impl Diff {
    /// Whether nothing is to be told.
    pub fn is_empty(&self) -> bool {
        *self == Diff::default()
    }
}

/// A vanished message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expunged {
    /// Its sequence number in the old picture.
    pub seq: u32,
    /// Its UID.
    pub uid: u32,
}
