//! STORE: flags of messages, by runs of UIDs. One statement per run changes millions of rows a second; one per message does not.

use std::ops::ControlFlow;

use crate::change::{MailboxChange, Patch};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::seen::Allowed;
use crate::tx::Tx;
use crate::types::*;

/// Sorted, without overlaps, neighbours joined.
pub(crate) fn normal_runs(uids: &[UidRange]) -> Vec<UidRange> {
    let mut runs: Vec<UidRange> = uids
        .iter()
        .filter(|run| run.start() <= run.end())
        .cloned()
        .collect();
    runs.sort_by_key(|run| *run.start());
    let mut joined: Vec<UidRange> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(last) if *run.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(run.end());
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Runs of consecutive numbers in an ascending list.
pub(crate) fn runs_of(uids: &[u32]) -> Vec<UidRange> {
    let singles: Vec<UidRange> = uids.iter().map(|uid| *uid..=*uid).collect();
    normal_runs(&singles)
}

impl Tx<'_> {
    /// Changes flags of the messages in these runs. Messages that have the flags already stay as they are, modseq included.
    /// What really changed shows in the view's diff.
    pub fn store_flags(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        change: &FlagChange,
    ) -> Result<Stored> {
        let all = Allowed {
            flags: Flags::ALL,
            keywords: true,
        };
        self.store_allowed(account, mailbox, uids, change, all)
    }

    /// The same for somebody who may not touch all flags.
    pub(crate) fn store_allowed(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        change: &FlagChange,
        allowed: Allowed,
    ) -> Result<Stored> {
        self.mailbox_by_id(account, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let runs = normal_runs(uids);
        let keywords = self.keyword_bits(
            account,
            mailbox,
            &change.keywords,
            change.mode != FlagMode::Remove,
        )?;
        let patch = allowed.bound(patch(change, keywords));
        let mut stored = Stored::default();
        if change.unchanged_since.is_some() {
            for run in &runs {
                self.modified(
                    account,
                    mailbox,
                    run,
                    patch.unchanged_since,
                    &mut stored.modified,
                )?;
            }
        }
        let modseq = self.next_modseq(account)?;
        let (mut unseen, mut deleted) = (0i64, 0i64);
        for run in &runs {
            let (more_unseen, more_deleted) = self.counts_after(account, mailbox, run, &patch)?;
            unseen += more_unseen;
            deleted += more_deleted;
            stored.changed += self.patch_rows(account, mailbox, run, &patch, modseq)?;
        }
        if stored.changed > 0 {
            self.sql.execute(
                "UPDATE mailbox SET highest_modseq = $3, unseen = unseen + $4, deleted = deleted + $5 \
                 WHERE account_id = $1 AND mailbox_id = $2",
                values![account, mailbox, modseq, unseen, deleted],
            )?;
            stored.modseq = Some(modseq);
            self.changed(
                account,
                mailbox,
                MailboxChange::Flags {
                    runs,
                    patch,
                    modseq,
                },
            );
        }
        Ok(stored)
    }

    /// Changes the rows of a run that the patch changes; how many. Of millions of rows each comparison counts, so there is
    /// none that the patch does not need.
    fn patch_rows(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        run: &UidRange,
        patch: &Patch,
        modseq: u64,
    ) -> Result<u64> {
        let keywords = patch.keep_keywords != u64::MAX || patch.set_keywords != 0;
        let sql = match (keywords, patch.unchanged_since != u64::MAX) {
            (false, false) => {
                "UPDATE entry SET flags = (flags & $5) | $6, modseq = $7 \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND (flags & $5) | $6 <> flags"
            }
            (false, true) => {
                "UPDATE entry SET flags = (flags & $5) | $6, modseq = $7 \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND (flags & $5) | $6 <> flags \
                 AND modseq <= $8"
            }
            (true, _) => {
                "UPDATE entry SET flags = (flags & $5) | $6, keywords = (keywords & $9) | $10, modseq = $7 \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND modseq <= $8 \
                 AND ((flags & $5) | $6 <> flags OR (keywords & $9) | $10 <> keywords)"
            }
        };
        self.sql.execute(
            sql,
            values![
                account,
                mailbox,
                *run.start(),
                *run.end(),
                i64::from(patch.keep),
                i64::from(patch.set),
                modseq,
                patch.unchanged_since,
                patch.keep_keywords as i64,
                patch.set_keywords as i64
            ],
        )
    }

    /// RFC 7162 §3.1.3: those that changed since.
    fn modified(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        run: &UidRange,
        since: u64,
        found: &mut Vec<u32>,
    ) -> Result<()> {
        let sql = "SELECT uid FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND modseq > $5 \
                   ORDER BY uid";
        self.sql.query(
            sql,
            values![account, mailbox, *run.start(), *run.end(), since],
            &mut |row| {
                found.push(row.u32(0)?);
                Ok(ControlFlow::Continue(()))
            },
        )
    }

    /// By how much the counts of messages without `\Seen` and with `\Deleted` will change.
    fn counts_after(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        run: &UidRange,
        patch: &Patch,
    ) -> Result<(i64, i64)> {
        let touched = !patch.keep | patch.set;
        if touched & (Flags::SEEN.0 | Flags::DELETED.0) == 0 {
            return Ok((0, 0));
        }
        let (count, seen, deleted) = self
            .sql
            .row(
                "SELECT COUNT(*), COALESCE(SUM(flags & 1), 0), COALESCE(SUM((flags & 8) / 8), 0) FROM entry \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND modseq <= $5",
                values![account, mailbox, *run.start(), *run.end(), patch.unchanged_since],
                |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)),
            )?
            .unwrap_or_default();
        let after = |flag: Flags, before: i64| {
            if patch.set & flag.0 != 0 {
                count
            } else if patch.keep & flag.0 == 0 {
                0
            } else {
                before
            }
        };
        Ok((
            seen - after(Flags::SEEN, seen),
            after(Flags::DELETED, deleted) - deleted,
        ))
    }
}

fn patch(change: &FlagChange, keywords: u64) -> Patch {
    let flags = change.flags.0 & Flags::ALL.0;
    let unchanged_since = change.unchanged_since.unwrap_or(u64::MAX);
    match change.mode {
        FlagMode::Add => Patch {
            keep: u8::MAX,
            set: flags,
            keep_keywords: u64::MAX,
            set_keywords: keywords,
            unchanged_since,
        },
        FlagMode::Remove => Patch {
            keep: !flags,
            set: 0,
            keep_keywords: !keywords,
            set_keywords: 0,
            unchanged_since,
        },
        FlagMode::Replace => Patch {
            keep: 0,
            set: flags,
            keep_keywords: 0,
            set_keywords: keywords,
            unchanged_since,
        },
    }
}
