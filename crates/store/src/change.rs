//! The change stream: what a write did, recorded by each operation, published once it is durable.

use std::sync::Arc;

use crate::queue::Due;
use crate::types::{AccountId, Flags, MailboxId, UidRange};
use crate::view::Entry;

/// One change, in the order of the operations.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) account: AccountId,
    pub(crate) kind: ChangeKind,
}

/// What changed.
#[derive(Debug, Clone)]
pub(crate) enum ChangeKind {
    /// The list of mailboxes or subscriptions.
    List,
    /// A mailbox.
    Mailbox(MailboxId, MailboxChange),
    /// Something of the queue is due, now or later; belongs to no account.
    Queue(Due),
}

/// What changed in a mailbox.
#[derive(Debug, Clone)]
pub(crate) enum MailboxChange {
    /// Messages came, with UIDs above all others, ascending.
    Added { entries: Vec<Entry>, modseq: u64 },
    /// Flags of the messages in these runs were changed by a rule, the same that the statement used.
    Flags {
        runs: Vec<UidRange>,
        patch: Patch,
        modseq: u64,
    },
    /// Messages were seen, or not, by one who reads the mailbox of another.
    Seen {
        reader: AccountId,
        runs: Vec<UidRange>,
        seen: bool,
        modseq: u64,
    },
    /// Annotations of messages changed, for everybody or for one who looks (none: the owner) only.
    Annotated {
        only: Option<Option<AccountId>>,
        runs: Vec<UidRange>,
        modseq: u64,
    },
    /// Messages vanished; ascending.
    Expunged { uids: Vec<u32>, modseq: u64 },
    /// A keyword got the next bit.
    Keyword { bit: u32, name: Arc<str> },
    /// The mailbox was deleted.
    Gone,
}

impl MailboxChange {
    /// The modseq it was made with, for changes that a freshly read view may contain already.
    pub(crate) fn modseq(&self) -> Option<u64> {
        match self {
            MailboxChange::Added { modseq, .. }
            | MailboxChange::Flags { modseq, .. }
            | MailboxChange::Seen { modseq, .. }
            | MailboxChange::Annotated { modseq, .. }
            | MailboxChange::Expunged { modseq, .. } => Some(*modseq),
            MailboxChange::Keyword { .. } | MailboxChange::Gone => None,
        }
    }
}

impl MailboxChange {
    /// The change as it is in the picture of a reader (none: the owner). `\Seen` is each reader's own.
    pub(crate) fn as_seen_by(&self, reader: Option<AccountId>) -> Option<MailboxChange> {
        let seen = Flags::SEEN.0;
        match (self, reader) {
            (MailboxChange::Seen { reader, .. }, viewer) if viewer != Some(*reader) => None,
            (
                MailboxChange::Seen {
                    runs,
                    seen: set,
                    modseq,
                    ..
                },
                _,
            ) => Some(MailboxChange::Flags {
                runs: runs.clone(),
                patch: Patch {
                    keep: !seen,
                    set: if *set { seen } else { 0 },
                    keep_keywords: u64::MAX,
                    set_keywords: 0,
                    unchanged_since: u64::MAX,
                },
                modseq: *modseq,
            }),
            (
                MailboxChange::Annotated {
                    only: Some(only), ..
                },
                viewer,
            ) if *only != viewer => None,
            (other, None) => Some(other.clone()),
            (MailboxChange::Added { entries, modseq }, Some(_)) => Some(MailboxChange::Added {
                entries: entries
                    .iter()
                    .map(|entry| Entry {
                        flags: entry.flags.without(Flags::SEEN),
                        ..*entry
                    })
                    .collect(),
                modseq: *modseq,
            }),
            (
                MailboxChange::Flags {
                    runs,
                    patch,
                    modseq,
                },
                Some(_),
            ) => Some(MailboxChange::Flags {
                runs: runs.clone(),
                patch: Patch {
                    keep: patch.keep | seen,
                    set: patch.set & !seen,
                    ..*patch
                },
                modseq: *modseq,
            }),
            (other, Some(_)) => Some(other.clone()),
        }
    }
}

/// How flags change: what is kept of the old ones, and what is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) keep: u8,
    pub(crate) set: u8,
    pub(crate) keep_keywords: u64,
    pub(crate) set_keywords: u64,
    /// Messages with a higher modseq are left alone.
    pub(crate) unchanged_since: u64,
}

impl Patch {
    /// The flags and keywords after it; None when the message stays as it is.
    pub(crate) fn apply(&self, flags: u8, keywords: u64, modseq: u64) -> Option<(u8, u64)> {
        let new = (
            flags & self.keep | self.set,
            keywords & self.keep_keywords | self.set_keywords,
        );
        (new != (flags, keywords) && modseq <= self.unchanged_since).then_some(new)
    }
}
