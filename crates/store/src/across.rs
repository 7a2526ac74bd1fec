//! Putting messages into mailboxes of others, and taking them from there: APPEND, COPY and MOVE by somebody who is not
//! the owner, and between accounts.
//!
//! The destination's owner pays with their quota. Flags that the user may not change there are not set (RFC 4314 §4);
//! `\Seen` is the user's own. Between accounts the content gets a row of its own for the same octets.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::expunge::Gone;
use crate::flags::{normal_runs, runs_of};
use crate::message::message_id;
use crate::rights::Rights;
use crate::thread;
use crate::transfer::Source;
use crate::tx::Tx;
use crate::types::*;

/// A mailbox and whose it is.
pub type Whose = (AccountId, MailboxId);

impl Tx<'_> {
    /// [`Tx::append`] by somebody who has these rights there. `Invalid` without the right to insert.
    pub fn append_as(
        &mut self,
        user: AccountId,
        to: Whose,
        message: &Append,
        rights: Rights,
    ) -> Result<Placed> {
        let (owner, mailbox) = to;
        if user == owner {
            return self.append(owner, mailbox, message);
        }
        let allowed = rights.flags();
        let mut bound = message.clone();
        bound.flags = Flags(message.flags.0 & allowed.0).without(Flags::SEEN);
        if !rights.contains(Rights::WRITE) {
            bound.keywords.clear();
        }
        let placed = self.append(owner, mailbox, &bound)?;
        if message.flags.contains(Flags::SEEN) && allowed.contains(Flags::SEEN) {
            self.set_seen(user, owner, mailbox, &[placed.uid..=placed.uid], true)?;
        }
        Ok(placed)
    }

    /// COPY by somebody who has these rights on the destination, within an account or between two. All or none.
    pub fn copy_as(
        &mut self,
        user: AccountId,
        from: Whose,
        uids: &[UidRange],
        to: Whose,
        rights: Rights,
    ) -> Result<Copied> {
        if user == from.0 && user == to.0 {
            return self.copy(user, from.1, uids, to.1);
        }
        self.pass(user, from, uids, to, rights, false)
    }

    /// MOVE likewise; whether messages may be taken away is the caller's to know.
    pub fn move_as(
        &mut self,
        user: AccountId,
        from: Whose,
        uids: &[UidRange],
        to: Whose,
        rights: Rights,
    ) -> Result<Copied> {
        if user == from.0 && user == to.0 {
            return self.move_messages(user, from.1, uids, to.1);
        }
        self.pass(user, from, uids, to, rights, true)
    }

    fn pass(
        &mut self,
        user: AccountId,
        from: Whose,
        uids: &[UidRange],
        to: Whose,
        rights: Rights,
        moves: bool,
    ) -> Result<Copied> {
        let mut copied = self.destination(from, to)?;
        let runs = normal_runs(uids);
        let mut sources = self.read_sources(from.0, from.1, &runs)?;
        if sources.is_empty() {
            return Ok(copied);
        }
        let seen = self.seen_by(user, from.0, from.1, &runs)?;
        let allowed = rights.flags();
        for source in &mut sources {
            let mut flags = Flags(source.entry.flags.0 & allowed.0).without(Flags::SEEN);
            let keeps = from.0 == to.0 && source.entry.flags.contains(Flags::SEEN);
            let marks = user == to.0 && seen.binary_search(&source.uid).is_ok();
            if keeps || marks {
                flags = flags.with(Flags::SEEN);
            }
            source.entry.flags = flags;
            if !rights.contains(Rights::WRITE) {
                source.entry.keywords = 0;
            }
        }
        let octets = sources.iter().map(|s| s.entry.size).sum();
        let count = sources.len() as u64;
        // What is moved within an account is not counted twice, so it cannot be over the quota.
        let within = from.0 == to.0;
        let modseq = if within && moves {
            self.next_modseq(to.0)?
        } else {
            let numbers = if within { 0 } else { count };
            let (modseq, last) = self.charge(to.0, octets, count, numbers)?;
            match within {
                true => self.share_contents(to.0, &sources)?,
                false => self.double_contents(from.0, to.0, &mut sources, last)?,
            }
            modseq
        };
        self.translate_keywords(from, to, &mut sources)?;
        copied.uids = self.add_all(to.0, to.1, &sources, modseq)?;
        if within {
            self.carry_seen(to.0, from.1, to.1, &copied.uids)?;
        } else if user != to.0 && allowed.contains(Flags::SEEN) {
            let news: Vec<u32> = copied
                .uids
                .iter()
                .filter(|(old, _)| seen.binary_search(old).is_ok())
                .map(|(_, new)| *new)
                .collect();
            self.set_seen(user, to.0, to.1, &runs_of(&news), true)?;
        }
        // RFC 5257 §4.6: what the destination does not allow stays behind.
        let shared = rights.contains(Rights::ANNOTATE) || user == to.0;
        if rights.contains(Rights::READ) || user == to.0 {
            self.carry_annotations(user, from, to, &copied.uids, shared, within && moves)?;
        }
        if moves {
            self.take_away(from, &sources, within, modseq)?;
        }
        Ok(copied)
    }

    /// The old places of messages that were moved.
    fn take_away(
        &mut self,
        from: Whose,
        sources: &[Source],
        within: bool,
        modseq: u64,
    ) -> Result<()> {
        let uids: Vec<u32> = sources.iter().map(|s| s.uid).collect();
        if !within {
            return self
                .expunge(from.0, from.1, &runs_of(&uids), false)
                .map(drop);
        }
        let mut gone = Vec::with_capacity(sources.len());
        let sql = "DELETE FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 RETURNING flags, size";
        for uid in uids {
            let left = self.sql.row(sql, values![from.0, from.1, uid], |row| {
                Ok(Gone {
                    uid,
                    flags: Flags(row.int(0)? as u8),
                    size: row.uint(1)?,
                })
            })?;
            gone.extend(left);
        }
        self.record_gone(from.0, from.1, &gone, modseq)
    }

    fn share_contents(&self, account: AccountId, sources: &[Source]) -> Result<()> {
        for source in sources {
            let sql =
                "UPDATE message SET refs = refs + 1 WHERE account_id = $1 AND message_id = $2";
            self.sql
                .execute(sql, values![account, source.entry.message])?;
        }
        Ok(())
    }

    /// Content for another account: its own row, the same octets. `last` is the last of the numbers that were reserved.
    fn double_contents(
        &self,
        from: AccountId,
        to: AccountId,
        sources: &mut [Source],
        last: i64,
    ) -> Result<()> {
        let mut number = last.saturating_sub(sources.len() as i64);
        for source in sources {
            number += 1;
            let message = message_id(to, number)?;
            let sql = "SELECT body_id, thread, thread_keys FROM message WHERE account_id = $1 AND message_id = $2";
            let of = self
                .sql
                .row(sql, values![from, source.entry.message], |row| {
                    Ok((
                        BodyId(row.int(0)?),
                        row.opt_int(1)?,
                        thread::from_bytes(row.blob(2)?),
                    ))
                })?;
            let Some((body, thread, keys)) = of else {
                return Err(Error::Corrupt(format!(
                    "message {} is missing",
                    source.entry.message.0
                )));
            };
            // RFC 8474 §5.2: it keeps its thread.
            if thread.is_some() {
                self.thread(to, body, &keys, thread)?;
            }
            self.sql.execute(
                "INSERT INTO message (account_id, message_id, body_id, refs, parsed, envelope, structure, thread, thread_keys, surrogate) \
                 SELECT $3, $4, body_id, 1, parsed, envelope, structure, thread, thread_keys, surrogate FROM message \
                 WHERE account_id = $1 AND message_id = $2",
                values![from, source.entry.message, to, message],
            )?;
            self.sql.execute(
                "UPDATE body SET refs = refs + 1 WHERE body_id = $1",
                values![body],
            )?;
            source.entry.message = message;
        }
        Ok(())
    }
}
