//! The store: opening, reading, writing, bodies, views.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;
use crate::unfinished;
use crate::view::{Notify, Subscription, View};
use crate::world::*;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Read-only database connections (and so reads at the same time).
    pub readers: usize,
    /// Closures that may wait for the writer; beyond it writes fail with `Busy`.
    pub queue: usize,
    /// A pack is closed when it reaches this many octets.
    pub pack_size: u64,
    /// Octets kept back so that deletions work on a full disk.
    pub reserve: u64,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random octets.
    pub random: Arc<dyn Random>,
    /// The packs' disk.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            readers: 4,
            queue: 4096,
            pack_size: 64 << 20,
            reserve: 2 << 20,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            disk: Arc::new(SystemDisk),
        }
    }
}

/// A handle to an open store; clones share it. The last one closes it, after the writer has finished what waits.
#[derive(Clone)]
pub struct Store;

impl Store {
    /// Opens (or creates) the store in a folder and takes the folder's lock: `Busy` when another process has it, `TooNew`
    /// when a newer version wrote it. Migrations run here, each behind a snapshot of the database.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Store> {
        let _ = (folder, options);
        unfinished()
    }

    /// Runs a closure on a consistent picture of the store. Never waits for the writer. Keep it short: it holds one of a few
    /// connections and keeps the WAL from being emptied.
    pub fn read<T>(&self, f: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let _ = f;
        unfinished()
    }

    /// Runs a closure in the writer's next transaction and returns when that is durable. An error (or panic) undoes this
    /// closure alone. No slow work inside: all other writers wait.
    pub fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _ = f;
        unfinished()
    }

    /// [`Store::write`] without a waiting thread: `done` runs on the writer thread once the outcome is certain (at once, with
    /// `Busy`, when too many wait) and must only hand the result on.
    pub fn write_then<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let _ = f;
        done(unfinished())
    }

    /// Appends a message's octets (the slices one behind the other) to a pack. They are durable, and kept, once a write that
    /// places them commits; otherwise they are reclaimed. Place them within the hour.
    pub fn append_body(&self, meta: &BodyMeta, slices: &[&[u8]]) -> Result<BodyRef> {
        let _ = (meta, slices);
        unfinished()
    }

    /// [`Store::append_body`] and the parsing that placing needs. Do it before the write, outside the writer's turn.
    pub fn ingest(&self, meta: &BodyMeta, slices: &[&[u8]]) -> Result<Content> {
        let _ = (meta, slices);
        unfinished()
    }

    /// A whole message, verified against its checksum (`Corrupt` when that fails).
    pub fn body(&self, body: &BodyRef) -> Result<Vec<u8>> {
        let _ = body;
        unfinished()
    }

    /// Part of a message, verified likewise; the range is cut to the message.
    pub fn body_range(&self, body: &BodyRef, range: Range<u64>) -> Result<Vec<u8>> {
        let _ = (body, range);
        unfinished()
    }

    /// The shared in-memory view of a mailbox, loaded when nobody has it yet, dropped with its last holder.
    pub fn view(&self, account: AccountId, mailbox: MailboxId) -> Result<Arc<View>> {
        let _ = (account, mailbox);
        unfinished()
    }

    /// Calls `notify` after each commit that changed the account's list of mailboxes or subscriptions.
    pub fn subscribe_account(&self, account: AccountId, notify: Arc<dyn Notify>) -> Subscription {
        let _ = (account, notify);
        Subscription::default()
    }

    /// For `\Recent` (RFC 3501 §2.3.2): the first UID that no earlier caller was told to be recent; messages from it on are
    /// recent to this caller alone. Kept in memory: after a restart, or when the mailbox is first asked for, what is there then is not recent.
    pub fn claim_recent(&self, account: AccountId, mailbox: MailboxId, uid_next: u32) -> u32 {
        let _ = (account, mailbox, uid_next);
        0
    }

    /// The exclusive-access lock of a POP3 session (RFC 1939 §4); None while another session has it. Released on drop.
    pub fn lock_maildrop(&self, account: AccountId) -> Option<MaildropLock> {
        let _ = account;
        None
    }

    /// Examines everything; with `repair` mends what can be mended. Findings are in plain words.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        let _ = repair;
        unfinished()
    }

    /// Writes a consistent copy into a folder (created if missing), durable, while others go on reading and writing. A second
    /// backup into the same folder copies only new packs. The copy is a data folder that can be opened.
    pub fn backup(&self, folder: impl AsRef<Path>) -> Result<BackupReport> {
        let _ = folder;
        unfinished()
    }

    /// Housekeeping: copies mostly dead packs and drops them. Call now and then (hourly). Returns octets given back.
    pub fn maintain(&self) -> Result<u64> {
        unfinished()
    }

    /// Whether writes fail until a restart (after a disk error) or wait for space; the text says which. For status and alarms.
    pub fn trouble(&self) -> Option<String> {
        None
    }

    /// Finishes what waits, refuses new work with `Closed`, empties the WAL and releases the folder. Dropping the last handle
    /// does the same.
    pub fn close(&self) {}
}

/// Held by the one POP3 session of an account.
#[derive(Debug)]
pub struct MaildropLock;

/// What `check` saw.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// What is or was wrong; empty when all is well.
    pub findings: Vec<Finding>,
    /// Accounts examined.
    pub accounts: u64,
    /// Messages examined.
    pub messages: u64,
    /// Bodies whose checksum was verified.
    pub bodies: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In plain words, with names.
    pub text: String,
    /// Whether it has been mended in this run.
    pub repaired: bool,
}

/// What a backup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Packs copied in this run.
    pub packs_copied: u64,
    /// Packs that were there already.
    pub packs_kept: u64,
    /// Octets written.
    pub octets: u64,
}
