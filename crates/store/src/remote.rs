//! Mail brought from other servers: which of their messages are here, so that a second look brings only what is new.
//!
//! Invariants: a row of `remote_message` is written in the transaction that places the message, so whatever ends a run, no
//! message comes twice and none is taken for brought that is not; a key has one row.
//!
//! Rows outlive what they point at: a message that its owner removed or moved here is not brought again.

use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::flags::runs_of;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Octets of a digest.
pub const REMOTE_DIGEST: usize = 16;

/// Keywords a mailbox can hold; those of a remote message that find no place are left out.
const KEYWORDS: usize = 64;

/// A mailbox elsewhere, as the last look left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMailbox {
    /// Its number within the account.
    pub id: i64,
    /// Server and user.
    pub source: String,
    /// Its name there.
    pub name: String,
    /// Its UIDVALIDITY there.
    pub uid_validity: u32,
    /// Where its mail goes here.
    pub mailbox: MailboxId,
    /// HIGHESTMODSEQ there at the end of the last complete look; 0 for none.
    pub modseq: u64,
    /// UIDNEXT there, likewise.
    pub uid_next: u32,
    /// Messages there, likewise.
    pub messages: u32,
}

/// A message that was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMessage {
    /// Names it in its mailbox there.
    pub key: String,
    /// Its UID here; 0 where it was here from another mailbox of the same source, or was released.
    pub uid: u32,
    /// Octets.
    pub size: u64,
    /// Its flags there.
    pub flags: Flags,
    /// Its keywords there, sorted.
    pub keywords: Vec<String>,
}

/// A message that is being brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteArrival {
    /// Which mailbox it comes from.
    pub id: i64,
    /// Names it there.
    pub key: String,
    /// Of its octets.
    pub digest: [u8; REMOTE_DIGEST],
    /// The mailbox there shows messages of others: what came from one of them is not placed again.
    pub view: bool,
}

/// What is here of a remote mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoteCounts {
    /// Messages that were brought and are where they were placed.
    pub here: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that were here from another mailbox of the same source.
    pub elsewhere: u64,
    /// Their octets.
    pub elsewhere_octets: u64,
    /// Messages that were removed or moved here since.
    pub removed: u64,
    /// Their octets.
    pub removed_octets: u64,
}

/// What becomes of a message that is gone there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteGone {
    /// It stays here, and is known should it come back under another key.
    Keep,
    /// It stays here, and nothing is remembered of it.
    Forget,
    /// It is removed here.
    Remove,
    /// It is about to be removed there because it is here: no later look removes it here.
    Release,
}

/// The key of a message whose key there means nothing any more ($3: UIDVALIDITY). Where it was placed is part of it: the same
/// key may come again under the same UIDVALIDITY for something else, and go again.
const ASIDE: &str = "'~' || $3 || ':' || key || ':' || mailbox_id || ':' || uid";

const MAILBOX: &str = "SELECT remote_id, source, name, uid_validity, mailbox_id, modseq, uid_next, messages \
     FROM remote_mailbox WHERE account_id = $1";

fn remote_mailbox(row: &dyn Row) -> Result<RemoteMailbox> {
    Ok(RemoteMailbox {
        id: row.int(0)?,
        source: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        uid_validity: row.u32(3)?,
        mailbox: MailboxId(row.int(4)?),
        modseq: row.uint(5)?,
        uid_next: row.u32(6)?,
        messages: row.u32(7)?,
    })
}

fn remote_message(row: &dyn Row) -> Result<RemoteMessage> {
    Ok(RemoteMessage {
        key: row.text(0)?.to_owned(),
        uid: row.u32(1)?,
        size: row.uint(2)?,
        flags: Flags(row.int(3)? as u8),
        keywords: row.text(4)?.split_whitespace().map(str::to_owned).collect(),
    })
}

impl Snapshot<'_> {
    /// The mailboxes of a source that were looked at.
    pub fn remote_mailboxes(&self, account: AccountId, source: &str) -> Result<Vec<RemoteMailbox>> {
        self.sql.rows(
            &format!("{MAILBOX} AND source = $2 ORDER BY name"),
            values![account, source],
            remote_mailbox,
        )
    }

    /// One of them, by its number.
    pub fn remote_mailbox(&self, account: AccountId, id: i64) -> Result<Option<RemoteMailbox>> {
        self.sql.row(
            &format!("{MAILBOX} AND remote_id = $2"),
            values![account, id],
            remote_mailbox,
        )
    }

    /// Messages that were brought, by key, at most `limit` behind `after`. Those of an earlier UIDVALIDITY are not among
    /// them.
    pub fn remote_messages(
        &self,
        account: AccountId,
        id: i64,
        after: &str,
        limit: usize,
    ) -> Result<Vec<RemoteMessage>> {
        self.sql.rows(
            "SELECT key, uid, size, flags, keywords FROM remote_message \
             WHERE account_id = $1 AND remote_id = $2 AND key > $3 AND key NOT LIKE '~%' ORDER BY key LIMIT $4",
            values![account, id, after, limit as u64],
            remote_message,
        )
    }

    /// How much of what was brought from a mailbox is here.
    pub fn remote_counts(&self, account: AccountId, id: i64) -> Result<RemoteCounts> {
        let counts = self.sql.row(
            "SELECT COALESCE(SUM(e.uid IS NOT NULL), 0), \
             COALESCE(SUM(CASE WHEN e.uid IS NOT NULL THEN r.size ELSE 0 END), 0), \
             COALESCE(SUM(r.uid = 0), 0), COALESCE(SUM(CASE WHEN r.uid = 0 THEN r.size ELSE 0 END), 0), \
             COUNT(*), COALESCE(SUM(r.size), 0) FROM remote_message r LEFT JOIN entry e \
             ON e.account_id = r.account_id AND e.mailbox_id = r.mailbox_id AND e.uid = r.uid \
             WHERE r.account_id = $1 AND r.remote_id = $2 AND r.key NOT LIKE '~%'",
            values![account, id],
            |row| {
                let counts = RemoteCounts {
                    here: row.uint(0)?,
                    octets: row.uint(1)?,
                    elsewhere: row.uint(2)?,
                    elsewhere_octets: row.uint(3)?,
                    removed: 0,
                    removed_octets: 0,
                };
                let (all, octets) = (row.uint(4)?, row.uint(5)?);
                let known = counts.here.saturating_add(counts.elsewhere);
                let known_octets = counts.octets.saturating_add(counts.elsewhere_octets);
                Ok(RemoteCounts {
                    removed: all.saturating_sub(known),
                    removed_octets: octets.saturating_sub(known_octets),
                    ..counts
                })
            },
        )?;
        Ok(counts.unwrap_or_default())
    }

    fn remote_key(
        &self,
        account: AccountId,
        id: i64,
        key: &str,
    ) -> Result<Option<(MailboxId, RemoteMessage)>> {
        self.sql.row(
            "SELECT key, uid, size, flags, keywords, mailbox_id FROM remote_message \
             WHERE account_id = $1 AND remote_id = $2 AND key = $3",
            values![account, id, key],
            |row| Ok((MailboxId(row.int(5)?), remote_message(row)?)),
        )
    }
}

impl Tx<'_> {
    /// Begins a look at a mailbox elsewhere: where its mail goes, and what is remembered of it. With another UIDVALIDITY
    /// than before (RFC 9051 §2.3.1.1) its keys mean nothing any more; what was brought is kept aside, and is found again
    /// by its digest.
    pub fn begin_remote(
        &mut self,
        account: AccountId,
        source: &str,
        name: &str,
        uid_validity: u32,
        mailbox: MailboxId,
    ) -> Result<RemoteMailbox> {
        self.mailbox_by_id(account, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let known = self.sql.row(
            &format!("{MAILBOX} AND source = $2 AND name = $3"),
            values![account, source, name],
            remote_mailbox,
        )?;
        let id = match &known {
            Some(known) => known.id,
            None => {
                let sql = "SELECT COALESCE(MAX(remote_id), 0) + 1 FROM remote_mailbox WHERE account_id = $1";
                self.sql.number(sql, values![account])?
            }
        };
        match known {
            None => {
                self.sql.execute(
                    "INSERT INTO remote_mailbox (account_id, remote_id, source, name, uid_validity, mailbox_id, modseq, \
                     uid_next, messages) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0)",
                    values![account, id, source, name, uid_validity, mailbox],
                )?;
            }
            Some(known) if known.uid_validity != uid_validity => {
                let old = known.uid_validity.to_string();
                // A server may return to an earlier UIDVALIDITY: what was placed has a name of its own all the same, and of
                // what was not, one is enough.
                self.sql.execute(
                    &format!(
                        "DELETE FROM remote_message WHERE account_id = $1 AND remote_id = $2 AND key IN (SELECT {ASIDE} \
                         FROM remote_message WHERE account_id = $1 AND remote_id = $2 AND key NOT LIKE '~%')"
                    ),
                    values![account, id, &old],
                )?;
                self.sql.execute(
                    &format!(
                        "UPDATE remote_message SET key = {ASIDE} \
                         WHERE account_id = $1 AND remote_id = $2 AND key NOT LIKE '~%'"
                    ),
                    values![account, id, &old],
                )?;
                self.sql.execute(
                    "UPDATE remote_mailbox SET uid_validity = $3, mailbox_id = $4, modseq = 0, uid_next = 0, messages = 0 \
                     WHERE account_id = $1 AND remote_id = $2",
                    values![account, id, uid_validity, mailbox],
                )?;
            }
            Some(known) if known.mailbox != mailbox => {
                self.sql.execute(
                    "UPDATE remote_mailbox SET mailbox_id = $3 WHERE account_id = $1 AND remote_id = $2",
                    values![account, id, mailbox],
                )?;
            }
            Some(_) => {}
        }
        self.remote_mailbox(account, id)?
            .ok_or(Error::NotFound("remote mailbox"))
    }

    /// Remembers a complete look.
    pub fn end_remote(
        &mut self,
        account: AccountId,
        id: i64,
        modseq: u64,
        uid_next: u32,
        messages: u32,
    ) -> Result<()> {
        self.sql.execute(
            "UPDATE remote_mailbox SET modseq = $3, uid_next = $4, messages = $5 WHERE account_id = $1 AND remote_id = $2",
            values![account, id, modseq, uid_next, messages],
        )?;
        Ok(())
    }

    /// Places a message from elsewhere and remembers it. `None` where it is here already.
    pub fn place_remote(
        &mut self,
        account: AccountId,
        arrival: &RemoteArrival,
        message: &Append,
    ) -> Result<Option<Placed>> {
        let remote = self
            .remote_mailbox(account, arrival.id)?
            .ok_or(Error::NotFound("remote mailbox"))?;
        if self
            .remote_key(account, arrival.id, &arrival.key)?
            .is_some()
            || self.adopt(account, arrival, message)?
        {
            return Ok(None);
        }
        let elsewhere = arrival.view
            && self.sql.number(
                "SELECT COUNT(*) FROM remote_message r JOIN remote_mailbox m ON m.account_id = r.account_id \
                 AND m.remote_id = r.remote_id WHERE r.account_id = $1 AND r.digest = $2 AND m.source = $3 \
                 AND r.remote_id <> $4",
                values![account, &arrival.digest[..], &remote.source, arrival.id],
            )? > 0;
        if elsewhere {
            self.remember(account, arrival, message, (remote.mailbox, 0))?;
            return Ok(None);
        }
        let mut message = message.clone();
        self.fit_keywords(account, remote.mailbox, &mut message.keywords)?;
        let placed = self.append(account, remote.mailbox, &message)?;
        self.remember(account, arrival, &message, (placed.mailbox, placed.uid))?;
        Ok(Some(placed))
    }

    /// Whether the message was brought under an earlier UIDVALIDITY; it then has its new key.
    fn adopt(
        &mut self,
        account: AccountId,
        arrival: &RemoteArrival,
        message: &Append,
    ) -> Result<bool> {
        let old = self.sql.row(
            "SELECT key FROM remote_message WHERE account_id = $1 AND digest = $2 AND remote_id = $3 AND key LIKE '~%' \
             ORDER BY key LIMIT 1",
            values![account, &arrival.digest[..], arrival.id],
            |row| Ok(row.text(0)?.to_owned()),
        )?;
        let Some(old) = old else {
            return Ok(false);
        };
        self.sql.execute(
            "UPDATE remote_message SET key = $4 WHERE account_id = $1 AND remote_id = $2 AND key = $3",
            values![account, arrival.id, &old, &arrival.key],
        )?;
        let flags = (arrival.key.clone(), message.flags, message.keywords.clone());
        self.remote_flags(account, arrival.id, &[flags])?;
        Ok(true)
    }

    fn remember(
        &self,
        account: AccountId,
        arrival: &RemoteArrival,
        message: &Append,
        (mailbox, uid): (MailboxId, u32),
    ) -> Result<()> {
        self.sql.execute(
            "INSERT INTO remote_message (account_id, remote_id, key, mailbox_id, uid, size, digest, flags, keywords) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            values![
                account,
                arrival.id,
                &arrival.key,
                mailbox,
                uid,
                message.content.body.size,
                &arrival.digest[..],
                message.flags,
                &joined(&message.keywords)
            ],
        )?;
        Ok(())
    }

    /// Leaves out keywords that the mailbox has no room for.
    fn fit_keywords(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        keywords: &mut Vec<String>,
    ) -> Result<()> {
        if keywords.is_empty() {
            return Ok(());
        }
        let mut table = self.keywords(account, mailbox)?;
        keywords.retain(|name| {
            let known = table.iter().any(|known| known.eq_ignore_ascii_case(name));
            if !known && table.len() < KEYWORDS {
                table.push(name.clone());
                return true;
            }
            known
        });
        Ok(())
    }

    /// Passes on how flags changed there. What was changed here meanwhile stays, where it is not the same flag. Returns how
    /// many messages changed.
    pub fn remote_flags(
        &mut self,
        account: AccountId,
        id: i64,
        changes: &[(String, Flags, Vec<String>)],
    ) -> Result<u64> {
        let mut changed = 0;
        for (key, flags, keywords) in changes {
            let Some((mailbox, known)) = self.remote_key(account, id, key)? else {
                continue;
            };
            if known.uid > 0 && self.mailbox_by_id(account, mailbox)?.is_some() {
                let mut keywords = keywords.clone();
                self.fit_keywords(account, mailbox, &mut keywords)?;
                let has = |list: &[String], name: &String| {
                    list.iter().any(|k| k.eq_ignore_ascii_case(name))
                };
                let only = |of: &[String], not: &[String]| -> Vec<String> {
                    of.iter().filter(|name| !has(not, name)).cloned().collect()
                };
                for (mode, flags, keywords) in [
                    (
                        FlagMode::Add,
                        flags.without(known.flags),
                        only(&keywords, &known.keywords),
                    ),
                    (
                        FlagMode::Remove,
                        known.flags.without(*flags),
                        only(&known.keywords, &keywords),
                    ),
                ] {
                    if flags == Flags::NONE && keywords.is_empty() {
                        continue;
                    }
                    let change = FlagChange {
                        mode,
                        flags,
                        keywords,
                        unchanged_since: None,
                    };
                    let stored =
                        self.store_flags(account, mailbox, &runs_of(&[known.uid]), &change)?;
                    changed += u64::from(stored.changed > 0);
                }
            }
            self.sql.execute(
                "UPDATE remote_message SET flags = $4, keywords = $5 WHERE account_id = $1 AND remote_id = $2 AND key = $3",
                values![account, id, key, *flags, &joined(keywords)],
            )?;
        }
        Ok(changed)
    }

    /// Takes note that messages are gone there. Returns how many were removed here.
    pub fn remote_gone(
        &mut self,
        account: AccountId,
        id: i64,
        keys: &[String],
        then: RemoteGone,
    ) -> Result<u64> {
        let remote = self
            .remote_mailbox(account, id)?
            .ok_or(Error::NotFound("remote mailbox"))?;
        let mut removed = 0;
        for key in keys {
            let Some((mailbox, known)) = self.remote_key(account, id, key)? else {
                continue;
            };
            if then == RemoteGone::Release {
                self.sql.execute(
                    "UPDATE remote_message SET uid = 0 WHERE account_id = $1 AND remote_id = $2 AND key = $3",
                    values![account, id, key],
                )?;
                continue;
            }
            if then == RemoteGone::Keep && known.uid > 0 {
                self.sql.execute(
                    &format!(
                        "UPDATE remote_message SET key = {ASIDE} \
                         WHERE account_id = $1 AND remote_id = $2 AND key = $4"
                    ),
                    values![account, id, &remote.uid_validity.to_string(), key],
                )?;
                continue;
            }
            if then == RemoteGone::Remove
                && known.uid > 0
                && self.mailbox_by_id(account, mailbox)?.is_some()
            {
                removed += self
                    .expunge(account, mailbox, &runs_of(&[known.uid]), false)?
                    .len() as u64;
                // What was only seen in another mailbox there is to be brought from that one now.
                self.sql.execute(
                    "DELETE FROM remote_message WHERE account_id = $1 AND uid = 0 AND digest = \
                     (SELECT g.digest FROM remote_message g WHERE g.account_id = $1 AND g.remote_id = $2 AND g.key = $3)",
                    values![account, id, key],
                )?;
            }
            self.sql.execute(
                "DELETE FROM remote_message WHERE account_id = $1 AND remote_id = $2 AND key = $3",
                values![account, id, key],
            )?;
        }
        Ok(removed)
    }
}

/// Keywords as a row has them: an atom holds no space.
fn joined(keywords: &[String]) -> String {
    let mut sorted = keywords.to_vec();
    sorted.sort_unstable();
    sorted.join(" ")
}
