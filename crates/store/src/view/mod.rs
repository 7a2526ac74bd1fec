//! Views: what a selected mailbox looks like, in memory, shared by all its sessions.
//!
//! A [`View`] lives as long as somebody holds it and follows the change stream. Its pictures ([`ViewSnapshot`]) are immutable
//! and share what did not change, so a session keeps the one its client knows, and [`ViewSnapshot::diff`] tells what to say.

mod chunk;
mod diff;
mod picture;
mod registry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use crate::types::*;
use chunk::Chunk;
use picture::Head;
pub(crate) use registry::Registry;
use registry::{Key, Slot, State};

/// Told that something changed. Called on the writer thread, before who changed it is answered: hand it on, do not work,
/// and never wait for anything.
pub trait Notify: Send + Sync {
    /// Something changed; look at it.
    fn notify(&self);
}

/// Those who wait for one thing.
#[derive(Default)]
pub(crate) struct Subscribers {
    next: AtomicU64,
    list: Mutex<Vec<(u64, Arc<dyn Notify>)>>,
}

impl Subscribers {
    fn subscribe(self: &Arc<Self>, notify: Arc<dyn Notify>) -> Subscription {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((id, notify));
        Subscription {
            subscribers: self.clone(),
            id,
        }
    }

    fn all(&self) -> Vec<Arc<dyn Notify>> {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(_, notify)| notify.clone())
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscribers")
    }
}

/// Ends the notification when dropped.
#[derive(Debug)]
pub struct Subscription {
    subscribers: Arc<Subscribers>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut list = self
            .subscribers
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        list.retain(|(id, _)| *id != self.id);
    }
}

/// The live view of one mailbox.
#[derive(Debug)]
pub struct View {
    key: Key,
    slot: Slot,
    subscribers: Arc<Subscribers>,
    registry: Weak<Registry>,
}

impl View {
    fn loading(key: Key, registry: Weak<Registry>) -> View {
        let slot = Slot {
            state: Mutex::new(State::Loading(Vec::new())),
            loaded: Condvar::new(),
        };
        View {
            key,
            slot,
            subscribers: Arc::default(),
            registry,
        }
    }

    /// The view of a mailbox that is not there any more for whoever looks: empty for good.
    pub fn nothing(account: AccountId, mailbox: MailboxId) -> Arc<View> {
        let view = View::loading((account, mailbox, None), Weak::new());
        let picture = Arc::new(ViewSnapshot::nothing((account, mailbox)));
        *view.slot.lock() = State::Ready { picture, since: 0 };
        Arc::new(view)
    }

    /// The newest picture. A write's changes are in it before the writer's caller is answered.
    pub fn snapshot(&self) -> Arc<ViewSnapshot> {
        match &*self.slot.lock() {
            State::Ready { picture, .. } => picture.clone(),
            // Only a loaded view is ever handed out.
            State::Loading(_) | State::Failed(_) => {
                Arc::new(ViewSnapshot::nothing((self.key.0, self.key.1)))
            }
        }
    }

    /// Calls `notify` after each commit that changed this mailbox (messages, flags, its deletion).
    pub fn subscribe(&self, notify: Arc<dyn Notify>) -> Subscription {
        self.subscribers.subscribe(notify)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.forget(self.key);
        }
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
    /// Internal date.
    pub received: Timestamp,
}

/// An immutable picture of a mailbox. Sequence numbers count from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct ViewSnapshot {
    head: Head,
    chunks: Vec<Arc<Chunk>>,
    /// Messages before each chunk.
    starts: Vec<u32>,
    length: u32,
    unseen: u32,
}

impl ViewSnapshot {
    fn nothing(key: (AccountId, MailboxId)) -> ViewSnapshot {
        let head = Head {
            account: key.0,
            mailbox: key.1,
            uid_validity: 0,
            uid_next: 1,
            highest_modseq: 0,
            keywords: Arc::default(),
            gone: true,
        };
        ViewSnapshot::from_chunks(head, Vec::new())
    }

    /// Account.
    pub fn account(&self) -> AccountId {
        self.head.account
    }
    /// Mailbox.
    pub fn mailbox(&self) -> MailboxId {
        self.head.mailbox
    }
    /// Whether the mailbox has been deleted; then it is empty for good.
    pub fn gone(&self) -> bool {
        self.head.gone
    }
    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.head.uid_validity
    }
    /// UIDNEXT.
    pub fn uid_next(&self) -> u32 {
        self.head.uid_next
    }
    /// HIGHESTMODSEQ.
    pub fn highest_modseq(&self) -> u64 {
        self.head.highest_modseq
    }
    /// Keyword names; the position is the bit. Names are only ever added at the end.
    pub fn keywords(&self) -> &[Arc<str>] {
        &self.head.keywords
    }
    /// Number of messages (EXISTS).
    pub fn len(&self) -> u32 {
        self.length
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// Messages without `\Seen`.
    pub fn unseen(&self) -> u32 {
        self.unseen
    }
    /// Sequence number of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        let at = self.chunks.iter().position(|chunk| chunk.unseen() > 0)?;
        let chunk = self.chunks.get(at)?;
        let index = (0..chunk.len()).find(|index| !chunk.flags(*index).contains(Flags::SEEN))?;
        Some(self.starts.get(at)? + index as u32 + 1)
    }
    /// UID of a sequence number.
    pub fn uid_at(&self, seq: u32) -> Option<u32> {
        let (chunk, index) = self.locate(seq)?;
        self.chunks.get(chunk)?.uid(index)
    }
    /// Sequence number of a UID that is there.
    pub fn seq_of(&self, uid: u32) -> Option<u32> {
        let seq = self.count_below(uid).checked_add(1)?;
        (self.uid_at(seq)? == uid).then_some(seq)
    }
    /// Number of messages with a UID below this one.
    pub fn count_below(&self, uid: u32) -> u32 {
        let after = self.chunks.partition_point(|chunk| chunk.last_uid() < uid);
        match (self.chunks.get(after), self.starts.get(after)) {
            (Some(chunk), Some(start)) => start + chunk.count_below(uid) as u32,
            _ => self.length,
        }
    }
    /// The message with this sequence number.
    pub fn entry(&self, seq: u32) -> Option<Entry> {
        let (chunk, index) = self.locate(seq)?;
        self.chunks.get(chunk)?.entry(index)
    }
    /// The message with this UID.
    pub fn entry_of(&self, uid: u32) -> Option<Entry> {
        self.entry(self.seq_of(uid)?)
    }
    /// All messages with their sequence numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Entry)> + '_ {
        self.range(1, u32::MAX)
    }
    /// Messages of a run of sequence numbers, inclusive, cut to what is there.
    pub fn range(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let first = first.max(1);
        let count = last
            .min(self.length)
            .checked_sub(first)
            .map_or(0, |n| n as usize + 1);
        let (chunk, index) = self.locate(first).unwrap_or((self.chunks.len(), 0));
        let rest = self.chunks.get(chunk..).unwrap_or_default();
        let entries = rest.iter().enumerate().flat_map(move |(nth, chunk)| {
            let from = if nth == 0 { index } else { 0 };
            (from..chunk.len()).filter_map(move |index| chunk.entry(index))
        });
        (first..=u32::MAX).zip(entries.take(count))
    }
    /// Messages of a run of UIDs, inclusive.
    pub fn uid_range(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let from = self.count_below(first).saturating_add(1);
        let to = last
            .checked_add(1)
            .map_or(self.length, |after| self.count_below(after));
        // An empty run must not become the whole one.
        let (from, to) = if first > last { (1, 0) } else { (from, to) };
        self.range(from, to)
    }
    /// What happened between two pictures of one mailbox. Unchanged stretches are skipped without looking at them.
    pub fn diff(old: &ViewSnapshot, new: &ViewSnapshot) -> Diff {
        diff::diff(old, new)
    }
    /// The picture of a session that may be told of flags and new messages but not of expunges yet (RFC 9051 §7.5.1): `new`,
    /// with the messages of `old` that are gone left in their places.
    pub fn keeping_expunged(old: &Arc<ViewSnapshot>, new: &Arc<ViewSnapshot>) -> Arc<ViewSnapshot> {
        diff::keeping_expunged(old, new)
    }
    /// The picture of a session that is not to be told of new messages yet: `new` up to the last message of `old`.
    pub fn keeping_new(old: &Arc<ViewSnapshot>, new: &Arc<ViewSnapshot>) -> Arc<ViewSnapshot> {
        diff::keeping_new(old, new)
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
    pub new: Option<RangeInclusive<u32>>,
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
