//! COPY and MOVE: entries in another mailbox of the account, for the same content.

use std::ops::ControlFlow;

use crate::across::Whose;
use crate::change::MailboxChange;
use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::expunge::Gone;
use crate::flags::normal_runs;
use crate::message::NewEntry;
use crate::tx::Tx;
use crate::types::*;
use crate::view::Entry;

/// An entry on its way.
pub(crate) struct Source {
    pub(crate) uid: u32,
    pub(crate) entry: NewEntry,
}

const COLUMNS: &str = "uid, flags, keywords, message_id, size, received";

fn source(row: &dyn Row) -> Result<Source> {
    Ok(Source {
        uid: row.u32(0)?,
        entry: NewEntry {
            flags: Flags(row.int(1)? as u8),
            keywords: row.int(2)? as u64,
            message: MessageId(row.int(3)?),
            size: row.uint(4)?,
            received: row.int(5)?,
        },
    })
}

impl Tx<'_> {
    /// Copies messages, all or none.
    pub fn copy(
        &mut self,
        account: AccountId,
        from: MailboxId,
        uids: &[UidRange],
        to: MailboxId,
    ) -> Result<Copied> {
        let mut sources = self.read_sources(account, from, uids)?;
        let mut copied = self.destination((account, from), (account, to))?;
        if sources.is_empty() {
            return Ok(copied);
        }
        let octets = sources.iter().map(|s| s.entry.size).sum();
        let (modseq, _) = self.charge(account, octets, sources.len() as u64, 0)?;
        let messages = sources.iter().map(|source| source.entry.message);
        self.refer_to_messages(account, messages)?;
        self.translate_keywords((account, from), (account, to), &mut sources)?;
        copied.uids = self.add_all(account, to, &sources, modseq)?;
        self.carry_seen(account, from, to, &copied.uids)?;
        let (from, to) = ((account, from), (account, to));
        self.carry_annotations(account, from, to, &copied.uids, true, false)?;
        Ok(copied)
    }

    /// Moves messages, all or none (RFC 6851). What they use of the quota stays the same.
    pub fn move_messages(
        &mut self,
        account: AccountId,
        from: MailboxId,
        uids: &[UidRange],
        to: MailboxId,
    ) -> Result<Copied> {
        let mut copied = self.destination((account, from), (account, to))?;
        let sql = format!(
            "DELETE FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 RETURNING {COLUMNS}"
        );
        let mut sources = self.sources(account, from, uids, &sql)?;
        if sources.is_empty() {
            return Ok(copied);
        }
        let modseq = self.next_modseq(account)?;
        let gone: Vec<Gone> = sources
            .iter()
            .map(|s| Gone {
                uid: s.uid,
                flags: s.entry.flags,
                size: s.entry.size,
            })
            .collect();
        self.translate_keywords((account, from), (account, to), &mut sources)?;
        copied.uids = self.add_all(account, to, &sources, modseq)?;
        self.carry_seen(account, from, to, &copied.uids)?;
        let places = ((account, from), (account, to));
        self.carry_annotations(account, places.0, places.1, &copied.uids, true, true)?;
        self.record_gone(account, from, &gone, modseq)?;
        Ok(copied)
    }

    /// The entries in these runs, ascending.
    pub(crate) fn read_sources(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: &[UidRange],
    ) -> Result<Vec<Source>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 ORDER BY uid"
        );
        self.sources(account, from, uids, &sql)
    }

    fn sources(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: &[UidRange],
        sql: &str,
    ) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for run in normal_runs(uids) {
            self.sql.query(
                sql,
                values![account, from, *run.start(), *run.end()],
                &mut |row| {
                    sources.push(source(row)?);
                    Ok(ControlFlow::Continue(()))
                },
            )?;
        }
        // RETURNING promises no order.
        sources.sort_unstable_by_key(|s| s.uid);
        Ok(sources)
    }

    pub(crate) fn destination(&self, from: Whose, to: Whose) -> Result<Copied> {
        self.mailbox_by_id(from.0, from.1)?
            .ok_or(Error::NotFound("mailbox"))?;
        let to = self
            .mailbox_by_id(to.0, to.1)?
            .ok_or(Error::NotFound("destination mailbox"))?;
        Ok(Copied {
            uid_validity: to.uid_validity,
            uids: Vec::new(),
        })
    }

    /// The same keyword has another bit in another mailbox.
    pub(crate) fn translate_keywords(
        &mut self,
        from: Whose,
        to: Whose,
        sources: &mut [Source],
    ) -> Result<()> {
        let used = sources.iter().fold(0, |bits, s| bits | s.entry.keywords);
        if used == 0 || from == to {
            return Ok(());
        }
        let mut table = [0u64; 64];
        for (bit, name) in self.keywords(from.0, from.1)?.into_iter().enumerate() {
            if used & (1 << bit) != 0
                && let Some(place) = table.get_mut(bit)
            {
                *place = self.keyword_bits(to.0, to.1, &[name], true)?;
            }
        }
        for source in sources {
            let bits = table
                .iter()
                .enumerate()
                .filter(|(bit, _)| source.entry.keywords & (1 << bit) != 0);
            source.entry.keywords = bits.fold(0, |all, (_, new)| all | new);
        }
        Ok(())
    }

    /// Adds entries at the end of a mailbox, which is counted once for all of them.
    pub(crate) fn add_all(
        &mut self,
        account: AccountId,
        to: MailboxId,
        sources: &[Source],
        modseq: u64,
    ) -> Result<Vec<(u32, u32)>> {
        let unseen = sources
            .iter()
            .filter(|s| !s.entry.flags.contains(Flags::SEEN))
            .count() as u64;
        let deleted = sources
            .iter()
            .filter(|s| s.entry.flags.contains(Flags::DELETED))
            .count() as u64;
        let octets: u64 = sources.iter().map(|s| s.entry.size).sum();
        let count = sources.len() as u64;
        let uid_next = self
            .sql
            .row(
                "UPDATE mailbox SET uid_next = uid_next + $3, messages = messages + $3, unseen = unseen + $4, \
                 deleted = deleted + $5, size = size + $6, highest_modseq = $7 WHERE account_id = $1 AND mailbox_id = $2 \
                 RETURNING uid_next",
                values![account, to, count, unseen, deleted, octets, modseq],
                |row| row.uint(0),
            )?
            .ok_or(Error::NotFound("destination mailbox"))?;
        let first = u32::try_from(uid_next.saturating_sub(count))
            .map_err(|_| Error::Limit("UIDs of a mailbox"))?;
        if u32::try_from(uid_next).is_err() {
            return Err(Error::Limit("UIDs of a mailbox"));
        }
        let mut pairs = Vec::with_capacity(sources.len());
        let mut entries = Vec::with_capacity(sources.len());
        for (uid, source) in (first..).zip(sources) {
            self.insert_entry_at(account, to, uid, &source.entry, modseq)?;
            pairs.push((source.uid, uid));
            let NewEntry {
                flags,
                keywords,
                message,
                received,
                ..
            } = source.entry;
            entries.push(Entry {
                uid,
                flags,
                keywords,
                modseq,
                message,
                received,
            });
        }
        self.changed(account, to, MailboxChange::Added { entries, modseq });
        Ok(pairs)
    }
}
