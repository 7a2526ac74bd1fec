//! EXPUNGE and deletion: entries go, content goes with its last entry, a body with its last content.

use std::ops::ControlFlow;

use crate::change::MailboxChange;
use crate::engine::values;
use crate::error::{Error, Result};
use crate::flags::{normal_runs, runs_of};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::tx::Tx;
use crate::types::*;

/// An entry that left a mailbox.
pub(crate) struct Gone {
    pub(crate) uid: u32,
    pub(crate) flags: Flags,
    pub(crate) size: u64,
}

/// Runs of vanished UIDs that are remembered for each mailbox, however old they are.
const REMEMBERED: u64 = 100_000;
/// Seconds for which all of them are remembered, however many they are: the absence of a client over a summer.
const REMEMBERED_FOR: i64 = 90 * 86_400;

impl Store {
    /// Forgets of each mailbox which UIDs vanished long ago, where there are many. Returns the runs forgotten.
    pub(crate) fn forget_expunged(&self) -> Result<u64> {
        let before = self
            .inner
            .options
            .clock
            .now()
            .saturating_sub(REMEMBERED_FOR);
        let long = self.read(|snapshot| snapshot.long_histories(REMEMBERED))?;
        let mut forgotten = 0;
        for (account, mailbox) in long {
            forgotten +=
                self.write(move |tx| tx.forget_expunged(account, mailbox, REMEMBERED, before))?;
        }
        Ok(forgotten)
    }
}

impl Snapshot<'_> {
    /// Mailboxes of which more than so many runs of vanished UIDs are remembered.
    fn long_histories(&self, runs: u64) -> Result<Vec<(AccountId, MailboxId)>> {
        let sql = "SELECT account_id, mailbox_id FROM expunged GROUP BY account_id, mailbox_id HAVING COUNT(*) > $1";
        self.sql.rows(sql, values![runs], |row| {
            Ok((AccountId(row.int(0)?), MailboxId(row.int(1)?)))
        })
    }

    /// UIDs expunged with a modseq above this one (RFC 7162 §3.2.6), as ascending runs. `None` if some of them have been
    /// forgotten: then every UID without a message may be one.
    pub fn expunged_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: u64,
    ) -> Result<Option<Vec<UidRange>>> {
        let sql = "SELECT forgotten FROM mailbox WHERE account_id = $1 AND mailbox_id = $2";
        let forgotten = self
            .sql
            .row(sql, values![account, mailbox], |row| row.uint(0))?;
        if forgotten.is_some_and(|forgotten| modseq < forgotten) {
            return Ok(None);
        }
        let sql = "SELECT first_uid, last_uid FROM expunged WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3";
        let runs = self
            .sql
            .rows(sql, values![account, mailbox, modseq], |row| {
                Ok(row.u32(0)?..=row.u32(1)?)
            })?;
        Ok(Some(normal_runs(&runs)))
    }
}

impl Tx<'_> {
    /// Forgets which UIDs vanished before a moment, but not the last `keep` runs of them. Returns how many runs it forgot.
    pub fn forget_expunged(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        keep: u64,
        before: Timestamp,
    ) -> Result<u64> {
        let first = |sql: &str, last: i64| {
            self.sql
                .row(sql, values![account, mailbox, last], |row| row.uint(0))
        };
        let of_number = first(
            "SELECT modseq FROM expunged WHERE account_id = $1 AND mailbox_id = $2 \
             ORDER BY modseq DESC, first_uid DESC LIMIT 1 OFFSET $3",
            i64::try_from(keep.saturating_sub(1)).unwrap_or(i64::MAX),
        )?;
        // One commit's runs share a modseq and are kept or forgotten together.
        let Some(of_number) = of_number else {
            return Ok(0);
        };
        let of_age = first(
            "SELECT COALESCE(MIN(modseq), 9223372036854775807) FROM expunged \
             WHERE account_id = $1 AND mailbox_id = $2 AND expunged_at >= $3",
            before,
        )?;
        let kept = of_age.unwrap_or(of_number).min(of_number);
        let forgotten = self.sql.execute(
            "DELETE FROM expunged WHERE account_id = $1 AND mailbox_id = $2 AND modseq < $3",
            values![account, mailbox, kept],
        )?;
        if forgotten > 0 {
            self.sql.execute(
                "UPDATE mailbox SET forgotten = $3 WHERE account_id = $1 AND mailbox_id = $2",
                values![account, mailbox, kept.saturating_sub(1)],
            )?;
        }
        Ok(forgotten)
    }

    /// Removes messages for good: those of the runs, or with `deleted_only` (EXPUNGE, UID EXPUNGE) those of them with
    /// `\Deleted`. UIDs that are gone already are no error. Returns the UIDs removed, ascending.
    pub fn expunge(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        deleted_only: bool,
    ) -> Result<Vec<u32>> {
        self.mailbox_by_id(account, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let (gone, messages) = self.delete_entries(account, mailbox, uids, deleted_only)?;
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let modseq = self.next_modseq(account)?;
        self.record_gone(account, mailbox, &gone, modseq)?;
        self.discharge(account, &gone)?;
        self.release_messages(account, messages)?;
        Ok(gone.into_iter().map(|gone| gone.uid).collect())
    }

    /// Removes all entries of a mailbox that is about to be removed itself: no history, no counts.
    pub(crate) fn empty_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let (gone, messages) = self.delete_entries(account, mailbox, &[0..=u32::MAX], false)?;
        self.forget_annotations(account, mailbox, &[0..=u32::MAX])?;
        self.discharge(account, &gone)?;
        self.release_messages(account, messages)
    }

    /// The mailbox's counts and history after entries left it; ascending by UID.
    pub(crate) fn record_gone(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        gone: &[Gone],
        modseq: u64,
    ) -> Result<()> {
        let unseen = gone
            .iter()
            .filter(|g| !g.flags.contains(Flags::SEEN))
            .count() as u64;
        let deleted = gone
            .iter()
            .filter(|g| g.flags.contains(Flags::DELETED))
            .count() as u64;
        let octets: u64 = gone.iter().map(|g| g.size).sum();
        self.sql.execute(
            "UPDATE mailbox SET highest_modseq = $3, messages = messages - $4, unseen = unseen - $5, deleted = deleted - $6, \
             size = size - $7 WHERE account_id = $1 AND mailbox_id = $2",
            values![account, mailbox, modseq, gone.len() as u64, unseen, deleted, octets],
        )?;
        let uids: Vec<u32> = gone.iter().map(|g| g.uid).collect();
        for run in runs_of(&uids) {
            self.sql.execute(
                "INSERT INTO expunged (account_id, mailbox_id, modseq, first_uid, last_uid, expunged_at) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
                values![account, mailbox, modseq, *run.start(), *run.end(), self.now],
            )?;
        }
        self.forget_seen(account, mailbox, &runs_of(&uids))?;
        self.forget_annotations(account, mailbox, &runs_of(&uids))?;
        self.forget_pop3(account, mailbox, &runs_of(&uids))?;
        self.changed(account, mailbox, MailboxChange::Expunged { uids, modseq });
        Ok(())
    }

    fn delete_entries(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        deleted_only: bool,
    ) -> Result<(Vec<Gone>, Vec<MessageId>)> {
        let sql = if deleted_only {
            "DELETE FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 AND (flags & 8) <> 0 \
             RETURNING uid, flags, size, message_id"
        } else {
            "DELETE FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 \
             RETURNING uid, flags, size, message_id"
        };
        let (mut gone, mut messages) = (Vec::new(), Vec::new());
        for run in normal_runs(uids) {
            self.sql.query(
                sql,
                values![account, mailbox, *run.start(), *run.end()],
                &mut |row| {
                    gone.push(Gone {
                        uid: row.u32(0)?,
                        flags: Flags(row.int(1)? as u8),
                        size: row.uint(2)?,
                    });
                    messages.push(MessageId(row.int(3)?));
                    Ok(ControlFlow::Continue(()))
                },
            )?;
        }
        // RETURNING promises no order.
        gone.sort_unstable_by_key(|g| g.uid);
        Ok((gone, messages))
    }

    fn discharge(&self, account: AccountId, gone: &[Gone]) -> Result<()> {
        let octets: u64 = gone.iter().map(|g| g.size).sum();
        let sql = "UPDATE account_state SET usage = usage - $2, messages = messages - $3 WHERE account_id = $1";
        self.sql
            .execute(sql, values![account, octets, gone.len() as u64])?;
        Ok(())
    }

    /// Adds a reference to each content for each time it is listed.
    pub(crate) fn refer_to_messages(
        &self,
        account: AccountId,
        messages: impl Iterator<Item = MessageId>,
    ) -> Result<()> {
        let sql = "UPDATE message SET refs = refs + $4 WHERE account_id = $1 AND message_id BETWEEN $2 AND $3";
        for run in counted_runs(messages.map(|message| message.0).collect()) {
            let touched = self
                .sql
                .execute(sql, values![account, run.first, run.last, run.times])?;
            run.check(touched)?;
        }
        Ok(())
    }

    /// Takes one reference from each content for each time it is listed.
    fn release_messages(&self, account: AccountId, messages: Vec<MessageId>) -> Result<()> {
        let last = "DELETE FROM message WHERE account_id = $1 AND message_id BETWEEN $2 AND $3 AND refs <= $4 \
                    RETURNING message_id, body_id, thread_keys";
        let others = "UPDATE message SET refs = refs - $4 WHERE account_id = $1 AND message_id BETWEEN $2 AND $3";
        for run in counted_runs(messages.into_iter().map(|message| message.0).collect()) {
            let values = values![account, run.first, run.last, run.times];
            let (mut bodies, mut keys) = (Vec::new(), Vec::new());
            let mut dead = Vec::new();
            self.sql.query(last, values, &mut |row| {
                dead.push(MessageId(row.int(0)?));
                bodies.push(row.int(1)?);
                keys.extend(crate::thread::from_bytes(row.blob(2)?));
                Ok(ControlFlow::Continue(()))
            })?;
            let mut touched = dead.len() as u64;
            if touched < run.length() {
                touched += self.sql.execute(others, values)?;
            }
            run.check(touched)?;
            self.forget_keys(account, keys)?;
            self.release_bodies(bodies)?;
            dead.sort_unstable();
            for message in dead {
                self.search_died(account, message)?;
            }
        }
        Ok(())
    }

    fn release_bodies(&self, bodies: Vec<i64>) -> Result<()> {
        for run in counted_runs(bodies) {
            let values = values![run.first, run.last, run.times];
            let sql = "DELETE FROM body WHERE body_id BETWEEN $1 AND $2 AND refs <= $3";
            if self.sql.execute(sql, values)? < run.length() {
                // Those that are still there had more.
                let sql = "UPDATE body SET refs = refs - $3 WHERE body_id BETWEEN $1 AND $2";
                self.sql.execute(sql, values)?;
            }
        }
        Ok(())
    }

    pub(crate) fn release_body(&self, body: BodyId) -> Result<()> {
        if self.sql.execute(
            "DELETE FROM body WHERE body_id = $1 AND refs <= 1",
            values![body],
        )? == 0
        {
            self.sql.execute(
                "UPDATE body SET refs = refs - 1 WHERE body_id = $1",
                values![body],
            )?;
        }
        Ok(())
    }
}

/// Neighbouring identifiers that are listed equally often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CountedRun {
    first: i64,
    last: i64,
    times: u64,
}

impl CountedRun {
    /// Identifiers of one statement at most, so that what it tells of them takes little memory.
    const LIMIT: u64 = 4096;

    fn length(&self) -> u64 {
        self.last.abs_diff(self.first) + 1
    }

    /// Whether a statement found all of them.
    fn check(&self, found: u64) -> Result<()> {
        if found == self.length() {
            return Ok(());
        }
        Err(Error::Corrupt(format!(
            "some of the messages {} to {} are missing",
            self.first, self.last
        )))
    }
}

/// Identifiers as runs: what came into a mailbox one after the other mostly has neighbouring ones, and one statement
/// changes all of these.
fn counted_runs(mut identifiers: Vec<i64>) -> Vec<CountedRun> {
    identifiers.sort_unstable();
    let mut runs: Vec<CountedRun> = Vec::new();
    for group in identifiers.chunk_by(|a, b| a == b) {
        let (Some(id), times) = (group.first().copied(), group.len() as u64) else {
            continue;
        };
        match runs.last_mut() {
            Some(run)
                if run.last.checked_add(1) == Some(id)
                    && run.times == times
                    && run.length() < CountedRun::LIMIT =>
            {
                run.last = id;
            }
            _ => runs.push(CountedRun {
                first: id,
                last: id,
                times,
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::store::Options;
    use crate::{AccountId, Clock};

    #[derive(Debug)]
    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            self.0.load(Ordering::Relaxed)
        }
    }

    const DAY: i64 = 86_400;
    const BEGIN: i64 = 1_700_000_000;

    /// UIDs 2, 4, 6 … vanished one after the other, each with a modseq of its own from `from` on, at that time.
    fn vanish(store: &Store, place: (AccountId, MailboxId), from: i64, count: i64, at: i64) {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $5) \
                   INSERT INTO expunged (account_id, mailbox_id, modseq, first_uid, last_uid, expunged_at) \
                   SELECT $1, $2, $3 + i, 2 * ($3 + i), 2 * ($3 + i), $4 FROM n";
        let (account, mailbox) = place;
        let last = count - 1;
        let write = move |tx: &mut Tx<'_>| {
            tx.sql
                .execute(sql, values![account, mailbox, from, at, last])
        };
        assert_eq!(store.write(write).unwrap(), count as u64);
    }

    /// A client that was away for a summer, or behind by a hundred thousand expunges, is told exactly what it missed.
    #[test]
    fn ninety_days_and_a_hundred_thousand_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hands(AtomicI64::new(BEGIN)));
        let options = Options {
            clock: clock.clone(),
            reserve: 0,
            ..Options::default()
        };
        let store = Store::open(folder.path(), options).unwrap();
        let account = store
            .write(|tx| {
                tx.add_domain("a.example")?;
                tx.add_account("u@a.example", None, None)
            })
            .unwrap();
        let inbox = store
            .read(|s| s.mailbox(account, "INBOX"))
            .unwrap()
            .unwrap();
        let place = (account, inbox.id);
        let since = |modseq: i64| {
            store
                .read(|s| s.expunged_since(account, inbox.id, modseq as u64))
                .unwrap()
                .map(|runs| runs.len())
        };
        let keep = REMEMBERED as i64;
        // Old, but not many: nothing is forgotten.
        vanish(&store, place, 1_000, 5_000, BEGIN);
        clock.0.store(BEGIN + 400 * DAY, Ordering::Relaxed);
        store.maintain().unwrap();
        assert_eq!(since(999), Some(5_000));
        // Many, but not old: neither.
        vanish(&store, place, 6_000, keep, BEGIN + 400 * DAY);
        clock.0.store(BEGIN + 489 * DAY, Ordering::Relaxed);
        store.maintain().unwrap();
        // What is old goes, as it is not among the last hundred thousand; what is younger than 90 days stays.
        assert_eq!(since(5_999), Some(REMEMBERED as usize));
        assert_eq!(since(5_998), None);
        assert_eq!(since(0), None);
        // A few more, and time: the last hundred thousand stay, however old they are.
        vanish(&store, place, 6_000 + keep, 10, BEGIN + 489 * DAY);
        store.maintain().unwrap();
        assert_eq!(since(5_999), Some(REMEMBERED as usize + 10));
        clock.0.store(BEGIN + 900 * DAY, Ordering::Relaxed);
        store.maintain().unwrap();
        assert_eq!(since(6_009), Some(REMEMBERED as usize));
        assert_eq!(since(6_008), None);
        store.close();
    }

    #[test]
    fn neighbours_that_are_listed_equally_often_become_runs() {
        let run = |first, last, times| CountedRun { first, last, times };
        assert_eq!(counted_runs(vec![]), []);
        assert_eq!(
            counted_runs(vec![5, 3, 4, 9, 9, 10, 10, 11]),
            [run(3, 5, 1), run(9, 10, 2), run(11, 11, 1)]
        );
        let many = counted_runs((1..=5_000).collect());
        assert_eq!(many, [run(1, 4_096, 1), run(4_097, 5_000, 1)]);
        assert_eq!(counted_runs(vec![i64::MAX, i64::MIN]).len(), 2);
    }
}
