//! Writing: the running transaction. The changes that can be made are in the file of what they are about (`directory`,
//! `mailbox`, `message`, `flags`, `transfer`, `expunge`).

use std::ops::Deref;
use std::sync::Arc;

use crate::change::{Change, ChangeKind, MailboxChange};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::pack::Packs;
use crate::queue::Due;
use crate::snapshot::Snapshot;
use crate::types::*;

/// Longest value of a setting.
const SETTING_LIMIT: usize = 1 << 20;

/// The running write transaction. Reads through it see its own changes.
///
/// When an operation fails, return its error from the closure: what the operation had done until then is undone with the
/// closure, not by itself. (The results for single recipients of a delivery are no such errors.)
pub struct Tx<'a> {
    snapshot: Snapshot<'a>,
    changes: &'a mut Vec<Change>,
    pub(crate) packs: &'a Arc<Packs>,
    pub(crate) now: Timestamp,
}

impl<'a> Deref for Tx<'a> {
    type Target = Snapshot<'a>;
    fn deref(&self) -> &Snapshot<'a> {
        &self.snapshot
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(
        snapshot: Snapshot<'a>,
        changes: &'a mut Vec<Change>,
        packs: &'a Arc<Packs>,
        now: Timestamp,
    ) -> Tx<'a> {
        Tx {
            snapshot,
            changes,
            packs,
            now,
        }
    }

    /// The time of this transaction.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Keeps a setting of the installation under a name (at most 1 MiB); None removes it.
    pub fn set_setting(&mut self, name: &str, value: Option<&[u8]>) -> Result<()> {
        match value {
            None => self.sql.execute("DELETE FROM setting WHERE name = $1", values![name])?,
            Some(value) if value.len() > SETTING_LIMIT => return Err(Error::Limit("size of a setting")),
            Some(value) => self.sql.execute(
                "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                values![name, value],
            )?,
        };
        Ok(())
    }

    /// The next identifier of a kind that is counted over the whole store.
    pub(crate) fn next_id(&self, kind: &str) -> Result<i64> {
        // RETURNING costs SQLite a temporary table for each call. Nobody else writes, so this is the same.
        let sql = "UPDATE counter SET value = value + 1 WHERE name = $1";
        self.sql.execute(sql, values![kind])?;
        let sql = "SELECT value FROM counter WHERE name = $1";
        let id = self.sql.row(sql, values![kind], |row| row.int(0))?;
        id.ok_or_else(|| Error::Corrupt(format!("the counter of {kind} is missing")))
    }

    /// Begins an operation on an account: its modseq.
    pub(crate) fn next_modseq(&self, account: AccountId) -> Result<u64> {
        let sql = "UPDATE account_state SET modseq = modseq + 1 WHERE account_id = $1";
        self.sql.execute(sql, values![account])?;
        let sql = "SELECT modseq FROM account_state WHERE account_id = $1";
        self.sql
            .row(sql, values![account], |row| row.uint(0))?
            .ok_or(Error::NotFound("account"))
    }

    /// Records that the list of mailboxes or subscriptions changed.
    pub(crate) fn list_changed(&mut self, account: AccountId) {
        self.changes.push(Change {
            account,
            kind: ChangeKind::List,
        });
    }

    /// Records that something of the queue is due.
    pub(crate) fn due(&mut self, due: Due) {
        self.changes.push(Change {
            account: AccountId(0),
            kind: ChangeKind::Queue(due),
        });
    }

    /// Records a change in a mailbox.
    pub(crate) fn changed(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        change: MailboxChange,
    ) {
        self.changes.push(Change {
            account,
            kind: ChangeKind::Mailbox(mailbox, change),
        });
    }
}
