//! `\Seen` of those who read a mailbox of another account: each reader has a flag of their own, and the owner's is not
//! touched. All other flags are the mailbox's.
//!
//! Rows are kept for what a reader marked; what has no row is unseen. They follow messages that are moved, and vanish
//! with them. A reader's modseq of a message is the later of the message's and the row's.

use crate::change::{MailboxChange, Patch};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::flags::{normal_runs, runs_of};
use crate::rights::Rights;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

impl Snapshot<'_> {
    /// A mailbox as a reader sees it: unseen messages and the highest modseq are the reader's, and it is not subscribed
    /// under the owner's name.
    pub fn mailbox_as(
        &self,
        reader: AccountId,
        owner: AccountId,
        id: MailboxId,
    ) -> Result<Option<Mailbox>> {
        let Some(mut mailbox) = self.mailbox_by_id(owner, id)? else {
            return Ok(None);
        };
        if reader == owner {
            return Ok(Some(mailbox));
        }
        let sql = "SELECT COALESCE(SUM(seen), 0), COALESCE(MAX(modseq), 0) FROM seen \
                   WHERE account_id = $1 AND mailbox_id = $2 AND reader = $3";
        let (seen, modseq) = self
            .sql
            .row(sql, values![owner, id, reader], |row| {
                Ok((row.u32(0)?, row.uint(1)?))
            })?
            .unwrap_or_default();
        mailbox.unseen = mailbox.messages.saturating_sub(seen);
        mailbox.highest_modseq = mailbox.highest_modseq.max(modseq);
        mailbox.special_use = None;
        mailbox.subscribed = false;
        Ok(Some(mailbox))
    }

    /// Whether anybody but the owner has marked anything.
    fn has_readers(&self, owner: AccountId, mailbox: MailboxId) -> Result<bool> {
        let sql = "SELECT 1 FROM seen WHERE account_id = $1 AND mailbox_id = $2 LIMIT 1";
        Ok(self
            .sql
            .row(sql, values![owner, mailbox], |_| Ok(()))?
            .is_some())
    }
}

impl Tx<'_> {
    /// Changes flags as somebody who has these rights on the mailbox: what they do not allow stays as it is (RFC 4314 §4).
    /// For all but the owner `\Seen` is the reader's own.
    pub fn store_flags_as(
        &mut self,
        user: AccountId,
        owner: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        change: &FlagChange,
        rights: Rights,
    ) -> Result<Stored> {
        if user == owner {
            return self.store_flags(owner, mailbox, uids, change);
        }
        let allowed = rights.flags();
        let mut runs = normal_runs(uids);
        let mut stored = Stored::default();
        if let Some(since) = change.unchanged_since {
            stored.modified = self.modified_as(user, owner, mailbox, &runs, since)?;
            runs = without(&runs, &stored.modified);
        }
        let keywords = match rights.contains(Rights::WRITE) {
            true => change.keywords.clone(),
            false => Vec::new(),
        };
        let others = allowed.without(Flags::SEEN);
        let touches = change.mode == FlagMode::Replace
            || change.flags.0 & others.0 != 0
            || !keywords.is_empty();
        if touches && (others != Flags::NONE) {
            let shared = FlagChange {
                mode: change.mode,
                flags: Flags(change.flags.0 & others.0),
                keywords,
                unchanged_since: None,
            };
            let only = Allowed {
                flags: others,
                keywords: rights.contains(Rights::WRITE),
            };
            let done = self.store_allowed(owner, mailbox, &runs, &shared, only)?;
            stored.changed = done.changed;
            stored.modseq = done.modseq;
        }
        let wanted = change.flags.contains(Flags::SEEN);
        let sees = match change.mode {
            FlagMode::Replace => Some(wanted),
            FlagMode::Add => wanted.then_some(true),
            FlagMode::Remove => wanted.then_some(false),
        };
        if let Some(seen) = sees.filter(|_| allowed.contains(Flags::SEEN)) {
            let done = self.set_seen(user, owner, mailbox, &runs, seen)?;
            stored.changed = stored.changed.max(done.changed);
            stored.modseq = done.modseq.or(stored.modseq);
        }
        Ok(stored)
    }

    /// Marks messages as seen or not by a reader who is not the owner.
    pub(crate) fn set_seen(
        &mut self,
        reader: AccountId,
        owner: AccountId,
        mailbox: MailboxId,
        runs: &[UidRange],
        seen: bool,
    ) -> Result<Stored> {
        self.mailbox_by_id(owner, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let modseq = self.next_modseq(owner)?;
        let mut stored = Stored::default();
        for run in runs {
            // What has no row is unseen; marking it unseen needs none.
            let sql = if seen {
                "INSERT INTO seen (account_id, mailbox_id, uid, reader, seen, modseq) \
                 SELECT account_id, mailbox_id, uid, $5, 1, $6 FROM entry \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 \
                 ON CONFLICT (account_id, mailbox_id, uid, reader) DO UPDATE SET seen = 1, modseq = excluded.modseq \
                 WHERE seen.seen = 0"
            } else {
                "UPDATE seen SET seen = 0, modseq = $6 \
                 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND reader = $5 AND seen = 1"
            };
            stored.changed += self.sql.execute(
                sql,
                values![owner, mailbox, *run.start(), *run.end(), reader, modseq],
            )?;
        }
        if stored.changed > 0 {
            stored.modseq = Some(modseq);
            self.changed(
                owner,
                mailbox,
                MailboxChange::Seen {
                    reader,
                    runs: runs.to_vec(),
                    seen,
                    modseq,
                },
            );
        }
        Ok(stored)
    }

    /// RFC 7162 §3.1.3, as a reader sees it.
    pub(crate) fn modified_as(
        &self,
        reader: AccountId,
        owner: AccountId,
        mailbox: MailboxId,
        runs: &[UidRange],
        since: u64,
    ) -> Result<Vec<u32>> {
        let sql = "SELECT e.uid FROM entry e LEFT JOIN seen s ON s.account_id = e.account_id AND s.mailbox_id = e.mailbox_id \
                   AND s.uid = e.uid AND s.reader = $5 WHERE e.account_id = $1 AND e.mailbox_id = $2 \
                   AND e.uid BETWEEN $3 AND $4 AND (e.modseq > $6 OR COALESCE(s.modseq, 0) > $6) ORDER BY e.uid";
        let mut modified = Vec::new();
        for run in runs {
            modified.extend(self.sql.rows(
                sql,
                values![owner, mailbox, *run.start(), *run.end(), reader, since],
                |row| row.u32(0),
            )?);
        }
        Ok(modified)
    }

    /// What readers saw goes with the messages.
    pub(crate) fn forget_seen(
        &self,
        owner: AccountId,
        mailbox: MailboxId,
        runs: &[UidRange],
    ) -> Result<()> {
        if !self.has_readers(owner, mailbox)? {
            return Ok(());
        }
        for run in runs {
            self.sql.execute(
                "DELETE FROM seen WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4",
                values![owner, mailbox, *run.start(), *run.end()],
            )?;
        }
        Ok(())
    }

    /// What readers saw of messages that are copied or moved within an account, they have seen there. Call it before the
    /// old places are forgotten and after the new ones exist.
    pub(crate) fn carry_seen(
        &mut self,
        owner: AccountId,
        from: MailboxId,
        to: MailboxId,
        pairs: &[(u32, u32)],
    ) -> Result<()> {
        if !self.has_readers(owner, from)? {
            return Ok(());
        }
        let sql = "SELECT reader FROM seen WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 AND seen = 1 AND reader <> $1";
        let mut seen: Vec<(AccountId, u32)> = Vec::new();
        for (old, new) in pairs {
            let readers = self
                .sql
                .rows(sql, values![owner, from, *old], |row| row.int(0))?;
            seen.extend(readers.into_iter().map(|reader| (AccountId(reader), *new)));
        }
        seen.sort_unstable();
        for group in seen.chunk_by(|a, b| a.0 == b.0) {
            let uids: Vec<u32> = group.iter().map(|(_, uid)| *uid).collect();
            if let Some((reader, _)) = group.first() {
                self.set_seen(*reader, owner, to, &runs_of(&uids), true)?;
            }
        }
        Ok(())
    }

    /// UIDs in these runs that a reader has seen; of the owner's own mailbox those with `\Seen`.
    pub(crate) fn seen_by(
        &self,
        reader: AccountId,
        owner: AccountId,
        mailbox: MailboxId,
        runs: &[UidRange],
    ) -> Result<Vec<u32>> {
        let sql = match reader == owner {
            true => {
                "SELECT uid FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND (flags & 1) = 1 \
                 ORDER BY uid"
            }
            false => {
                "SELECT uid FROM seen WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND reader = $5 \
                 AND seen = 1 ORDER BY uid"
            }
        };
        let mut uids = Vec::new();
        for run in runs {
            uids.extend(self.sql.rows(
                sql,
                values![owner, mailbox, *run.start(), *run.end(), reader],
                |row| row.u32(0),
            )?);
        }
        Ok(uids)
    }
}

/// Which flags a change may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) flags: Flags,
    pub(crate) keywords: bool,
}

impl Allowed {
    /// Keeps a rule from touching what is not allowed.
    pub(crate) fn bound(self, patch: Patch) -> Patch {
        Patch {
            keep: patch.keep | !self.flags.0,
            set: patch.set & self.flags.0,
            keep_keywords: if self.keywords {
                patch.keep_keywords
            } else {
                u64::MAX
            },
            set_keywords: if self.keywords { patch.set_keywords } else { 0 },
            unchanged_since: patch.unchanged_since,
        }
    }
}

/// Runs without some of their UIDs, ascending.
fn without(runs: &[UidRange], uids: &[u32]) -> Vec<UidRange> {
    let mut left = Vec::new();
    for run in runs {
        let mut start = *run.start();
        let from = uids.partition_point(|uid| uid < run.start());
        for uid in uids.iter().skip(from).take_while(|uid| run.contains(uid)) {
            if start < *uid {
                left.push(start..=uid.saturating_sub(1));
            }
            start = uid.saturating_add(1);
        }
        if start <= *run.end() {
            left.push(start..=*run.end());
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lose_single_uids() {
        assert_eq!(without(&[1..=5, 9..=9], &[3, 9]), [1..=2, 4..=5]);
        assert_eq!(without(&[1..=3], &[1, 3]), [2..=2]);
        assert_eq!(without(&[1..=3], &[]), [1..=3]);
    }
}
