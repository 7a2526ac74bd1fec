//! Annotations of messages: named values of an entry in a mailbox (RFC 5257).
//!
//! A value is shared, or private to one reader. It hangs at the message's place, not at its content: copies take the
//! shared ones and the private ones of who copies along (RFC 5257 §4.6), and what is expunged loses all. Who put a
//! private value there pays for it; for shared ones the mailbox's owner does.
//!
//! A change gives the message a modseq, in the pictures of those who can see the value and in no other: a private value
//! of a reader who is not the owner raises the modseq of that reader's row in `seen`.
//!
//! Limits: [`MESSAGE_ANNOTATION_VALUE`], [`MESSAGE_ANNOTATIONS`], the account's limit of annotations or [`UNLIMITED`], and
//! [`AT_ONCE`] and [`UNPAID`] for one change: the one writer works for everybody.

use std::ops::ControlFlow;

use crate::across::Whose;
use crate::annotation::ANNOTATION_NAME;
use crate::change::MailboxChange;
use crate::engine::values;
use crate::error::{Error, Result};
use crate::flags::{normal_runs, runs_of};
use crate::quota::Resource;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Octets of a value: a note, an other subject, a small picture.
pub const MESSAGE_ANNOTATION_VALUE: usize = 16 << 10;
/// Values of one reader, or shared ones, on one message: with the size, this bounds what FETCH tells of a message.
pub const MESSAGE_ANNOTATIONS: usize = 64;
/// Names of removed values of one reader on one message that are remembered, so that others hear which one changed.
const REMEMBERED: usize = 32;
/// Octets of annotations of an account without a limit of its own: they must not be a way around the limit of octets.
const UNLIMITED: u64 = 64 << 20;
/// Values that one change touches, messages times entries: about a second, for which nobody else can write.
const AT_ONCE: u64 = 100_000;
/// Octets of a change that are written before its payers are looked at again. Looked at only in the end, one value for each
/// message of a large mailbox would be gigabytes, all to be undone.
const UNPAID: u64 = 1 << 20;

/// A value of a message, borrowed from the row that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageAnnotation<'r> {
    /// UID of the message.
    pub uid: u32,
    /// For all who may read the mailbox; otherwise the reader's own.
    pub shared: bool,
    /// Its name, from the slash on.
    pub name: &'r str,
    /// The value.
    pub value: &'r [u8],
}

/// A change of a value of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotationChange {
    /// For all who may read the mailbox; otherwise the user's own.
    pub shared: bool,
    /// Its name.
    pub name: String,
    /// The new value; none removes it.
    pub value: Option<Vec<u8>>,
}

impl Snapshot<'_> {
    /// Calls `each` for the values that a user can see of the messages in these runs, by UID, until it breaks.
    pub fn message_annotations(
        &self,
        user: AccountId,
        (owner, mailbox): Whose,
        uids: &[UidRange],
        each: &mut dyn FnMut(MessageAnnotation<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let sql = "SELECT uid, reader, name, value FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 \
                   AND uid BETWEEN $3 AND $4 AND reader IN (0, $5) AND value IS NOT NULL ORDER BY uid, reader, name";
        let mut go_on = true;
        for run in normal_runs(uids) {
            let values = values![owner, mailbox, *run.start(), *run.end(), user];
            self.sql.query(sql, values, &mut |row| {
                let flow = each(MessageAnnotation {
                    uid: row.u32(0)?,
                    shared: row.int(1)? == 0,
                    name: row.text(2)?,
                    value: row.blob(3)?,
                })?;
                go_on = flow.is_continue();
                Ok(flow)
            })?;
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    /// UIDs, names and modseqs of the values in a run that a user can see, or could, and that changed after a modseq.
    pub fn annotations_changed(
        &self,
        user: AccountId,
        (owner, mailbox): Whose,
        run: UidRange,
        since: u64,
    ) -> Result<Vec<(u32, String, u64)>> {
        let sql = "SELECT uid, name, modseq FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 \
                   AND uid BETWEEN $3 AND $4 AND reader IN (0, $5) AND modseq > $6 ORDER BY uid, name";
        let values = values![owner, mailbox, *run.start(), *run.end(), user, since];
        self.sql.rows(sql, values, |row| {
            Ok((row.u32(0)?, row.text(1)?.to_owned(), row.uint(2)?))
        })
    }

    /// Octets of values on messages that an account pays for.
    pub(crate) fn message_annotation_octets(&self, account: AccountId) -> Result<u64> {
        let sql = "SELECT annotations FROM account_state WHERE account_id = $1";
        let octets = self.sql.row(sql, values![account], |row| row.uint(0))?;
        Ok(octets.unwrap_or_default())
    }
}

impl Tx<'_> {
    /// Changes values of the messages in these runs, as somebody who may. Values that are there already stay as they are,
    /// modseq included. `Limit` where a value is too long or there are too many, `OverQuota` where an account may keep no
    /// more.
    pub fn annotate(
        &mut self,
        user: AccountId,
        (owner, mailbox): Whose,
        uids: &[UidRange],
        changes: &[AnnotationChange],
        unchanged_since: Option<u64>,
    ) -> Result<Stored> {
        self.mailbox_by_id(owner, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let runs = normal_runs(uids);
        let before = self.paid(user, owner)?;
        let mut stored = Stored::default();
        if let Some(since) = unchanged_since {
            stored.modified = self.modified_as(user, owner, mailbox, &runs, since)?;
        }
        let modseq = self.next_modseq(owner)?;
        let (mut all, mut own) = (Vec::new(), Vec::new());
        let uids = self.uids_in(owner, mailbox, &runs)?;
        if (uids.len() as u64).saturating_mul(changes.len() as u64) > AT_ONCE {
            return Err(Error::Limit("annotations changed at once"));
        }
        let values = changes.iter().filter_map(|change| change.value.as_ref());
        let each: u64 = values.map(|value| value.len() as u64).sum();
        let mut unpaid = 0u64;
        for uid in uids {
            unpaid = unpaid.saturating_add(each);
            if unpaid > UNPAID {
                self.annotations_within(before)?;
                unpaid = each;
            }
            if stored.modified.binary_search(&uid).is_ok() {
                continue;
            }
            let (mut shared, mut private) = (false, false);
            for change in changes {
                let changed = self.put_annotation(user, (owner, mailbox), uid, change, modseq)?;
                shared |= changed && change.shared;
                private |= changed && !change.shared;
            }
            if shared || private && user == owner {
                let sql = "UPDATE entry SET modseq = $4 WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3";
                self.sql
                    .execute(sql, values![owner, mailbox, uid, modseq])?;
            }
            if private && user != owner {
                self.sql.execute(
                    "INSERT INTO seen (account_id, mailbox_id, uid, reader, seen, modseq) VALUES ($1, $2, $3, $4, 0, $5) \
                     ON CONFLICT (account_id, mailbox_id, uid, reader) DO UPDATE SET modseq = excluded.modseq",
                    values![owner, mailbox, uid, user, modseq],
                )?;
            }
            if shared {
                all.push(uid);
            } else if private {
                own.push(uid);
            }
        }
        self.annotations_within(before)?;
        stored.changed = (all.len() as u64).saturating_add(own.len() as u64);
        if stored.changed > 0 {
            stored.modseq = Some(modseq);
        }
        if !all.is_empty() || !own.is_empty() && user == owner {
            let sql =
                "UPDATE mailbox SET highest_modseq = $3 WHERE account_id = $1 AND mailbox_id = $2";
            self.sql.execute(sql, values![owner, mailbox, modseq])?;
        }
        let me = Some((user != owner).then_some(user));
        for (uids, only) in [(all, None), (own, me)] {
            if !uids.is_empty() {
                let runs = runs_of(&uids);
                let change = MailboxChange::Annotated { only, runs, modseq };
                self.changed(owner, mailbox, change);
            }
        }
        Ok(stored)
    }

    /// Gives a message its first values, in the transaction that placed it.
    pub fn annotate_new(
        &mut self,
        user: AccountId,
        placed: &Placed,
        changes: &[AnnotationChange],
    ) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let before = self.paid(user, placed.account)?;
        for change in changes {
            let whose = (placed.account, placed.mailbox);
            self.put_annotation(user, whose, placed.uid, change, placed.modseq)?;
        }
        self.annotations_within(before)
    }

    /// Copies values with their messages: shared ones where that is allowed, and the user's own, but those of nobody else
    /// (RFC 5257 §4.6). Call it before the old places are forgotten. `free`: the old ones will be, and the same accounts pay.
    pub(crate) fn carry_annotations(
        &mut self,
        user: AccountId,
        from: Whose,
        to: Whose,
        pairs: &[(u32, u32)],
        shared: bool,
        free: bool,
    ) -> Result<()> {
        let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else {
            return Ok(());
        };
        let modseq =
            "SELECT modseq FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3";
        let modseq = self
            .sql
            .row(modseq, values![to.0, to.1, first.1], |row| row.uint(0))?
            .unwrap_or_default();
        let mut found: Vec<(u32, AnnotationChange)> = Vec::new();
        self.message_annotations(user, from, &[first.0..=last.0], &mut |one| {
            if shared || !one.shared {
                let change = AnnotationChange {
                    shared: one.shared,
                    name: one.name.to_owned(),
                    value: Some(one.value.to_vec()),
                };
                found.push((one.uid, change));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let before = self.paid(user, to.0)?;
        for (uid, change) in &found {
            let new = pairs.binary_search_by_key(uid, |(old, _)| *old);
            if let Some((_, new)) = new.ok().and_then(|at| pairs.get(at)) {
                self.put_annotation(user, to, *new, change, modseq)?;
            }
        }
        match free {
            true => Ok(()),
            false => self.annotations_within(before),
        }
    }

    /// Values go with their messages, and nobody pays for them any more.
    pub(crate) fn forget_annotations(
        &self,
        owner: AccountId,
        mailbox: MailboxId,
        runs: &[UidRange],
    ) -> Result<()> {
        let any =
            "SELECT 1 FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 LIMIT 1";
        let any = self.sql.row(any, values![owner, mailbox], |_| Ok(()))?;
        if any.is_none() {
            return Ok(());
        }
        let sql = "DELETE FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 \
                   RETURNING reader, COALESCE(LENGTH(value), 0)";
        let mut freed: Vec<(i64, i64)> = Vec::new();
        for run in runs {
            let values = values![owner, mailbox, *run.start(), *run.end()];
            freed.extend(
                self.sql
                    .rows(sql, values, |row| Ok((row.int(0)?, row.int(1)?)))?,
            );
        }
        freed.sort_unstable();
        for group in freed.chunk_by(|a, b| a.0 == b.0) {
            let octets: i64 = group.iter().map(|(_, octets)| octets).sum();
            if let Some((reader, _)) = group.first() {
                let payer = if *reader == 0 {
                    owner
                } else {
                    AccountId(*reader)
                };
                self.pay(payer, octets.saturating_neg())?;
            }
        }
        Ok(())
    }

    /// Sets or removes one value; whether that changed anything.
    fn put_annotation(
        &self,
        user: AccountId,
        (owner, mailbox): Whose,
        uid: u32,
        change: &AnnotationChange,
        modseq: u64,
    ) -> Result<bool> {
        let (reader, payer) = match change.shared {
            true => (AccountId(0), owner),
            false => (user, user),
        };
        let size = change.value.as_ref().map_or(0, Vec::len);
        if change.name.len() > ANNOTATION_NAME || size > MESSAGE_ANNOTATION_VALUE {
            return Err(Error::Limit("size of a message's annotation"));
        }
        let old = self
            .sql
            .row(
                "SELECT value FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 AND reader = $4 \
                 AND name = $5",
                values![owner, mailbox, uid, reader, change.name.as_str()],
                |row| Ok(row.opt_blob(0)?.map(<[u8]>::to_vec)),
            )?
            .flatten();
        if old == change.value {
            return Ok(false);
        }
        if old.is_none() {
            let count = "SELECT COUNT(*) FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 \
                         AND reader = $4 AND value IS NOT NULL";
            let count = self
                .sql
                .number(count, values![owner, mailbox, uid, reader])?;
            if count >= MESSAGE_ANNOTATIONS as i64 {
                return Err(Error::Limit("annotations of a message"));
            }
        }
        self.pay(payer, size as i64 - old.map_or(0, |old| old.len()) as i64)?;
        self.sql.execute(
            "INSERT INTO message_annotation (account_id, mailbox_id, uid, reader, name, value, modseq) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account_id, mailbox_id, uid, reader, name) \
             DO UPDATE SET value = excluded.value, modseq = excluded.modseq",
            values![owner, mailbox, uid, reader, change.name.as_str(), change.value.as_deref(), modseq],
        )?;
        if change.value.is_none() {
            self.sql.execute(
                "DELETE FROM message_annotation WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 AND reader = $4 \
                 AND value IS NULL AND modseq < (SELECT COALESCE(MIN(modseq), 0) FROM (SELECT modseq FROM message_annotation \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 AND reader = $4 AND value IS NULL \
                 ORDER BY modseq DESC LIMIT $5) recent)",
                values![owner, mailbox, uid, reader, REMEMBERED as i64],
            )?;
        }
        Ok(true)
    }

    /// Counts octets for an account.
    fn pay(&self, account: AccountId, octets: i64) -> Result<()> {
        if octets != 0 {
            let sql =
                "UPDATE account_state SET annotations = annotations + $2 WHERE account_id = $1";
            self.sql.execute(sql, values![account, octets])?;
        }
        Ok(())
    }

    /// What the two who may pay for a change keep so far.
    fn paid(&self, user: AccountId, owner: AccountId) -> Result<[(AccountId, u64); 2]> {
        Ok([
            (user, self.message_annotation_octets(user)?),
            (owner, self.message_annotation_octets(owner)?),
        ])
    }

    /// `OverQuota` where one of them keeps more than before, and more than is allowed.
    fn annotations_within(&self, before: [(AccountId, u64); 2]) -> Result<()> {
        for (account, before) in before {
            if self.message_annotation_octets(account)? <= before {
                continue;
            }
            let limit = self.quota_limit(account, Resource::AnnotationStorage)?;
            if self.annotation_octets(account)? > limit.unwrap_or(UNLIMITED) {
                return Err(Error::OverQuota);
            }
        }
        Ok(())
    }

    fn uids_in(&self, owner: AccountId, mailbox: MailboxId, runs: &[UidRange]) -> Result<Vec<u32>> {
        let sql = "SELECT uid FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 ORDER BY uid";
        let mut uids = Vec::new();
        for run in runs {
            let values = values![owner, mailbox, *run.start(), *run.end()];
            uids.extend(self.sql.rows(sql, values, |row| row.u32(0))?);
        }
        Ok(uids)
    }
}
