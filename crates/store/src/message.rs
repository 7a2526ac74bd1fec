//! Messages: placing them (delivery, APPEND) and reading them.

use std::ops::{Bound, ControlFlow, RangeBounds};

use crate::change::MailboxChange;
use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;
use crate::view::Entry;

/// Bits of a message identifier below the account's.
const MESSAGE_BITS: u32 = 36;
/// Highest UID that is given out (RFC 9051 §2.3.1.1: 32 bits); its successor must still be a UIDNEXT.
const LAST_UID: u32 = u32::MAX - 1;

/// What an entry needs beyond its place.
pub(crate) struct NewEntry {
    pub(crate) message: MessageId,
    pub(crate) flags: Flags,
    pub(crate) keywords: u64,
    pub(crate) size: u64,
    pub(crate) received: Timestamp,
}

/// The place of an entry.
pub(crate) struct Place {
    pub(crate) mailbox: MailboxId,
    pub(crate) uid_validity: u32,
    pub(crate) uid: u32,
}

impl Snapshot<'_> {
    /// Calls `each` for the messages in these runs, in order of UIDs within each run, until it breaks.
    pub fn messages(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        columns: Columns,
        each: &mut dyn FnMut(MessageRow<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let sql = statement(columns);
        let mut go_on = true;
        for run in uids {
            self.sql.query(
                &sql,
                values![account, mailbox, *run.start(), *run.end()],
                &mut |row| {
                    let flow = each(message_row(row, columns)?)?;
                    go_on = flow.is_continue();
                    Ok(flow)
                },
            )?;
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    /// Where the octets of one message are, by its content id (as views have it).
    pub fn body_of(&self, account: AccountId, message: MessageId) -> Result<Option<BodyRef>> {
        let sql = "SELECT b.body_id, b.pack, b.position, b.length, b.size FROM message m JOIN body b ON b.body_id = m.body_id \
                   WHERE m.account_id = $1 AND m.message_id = $2";
        self.sql
            .row(sql, values![account, message], |row| body_ref(row, 0))
    }

    /// Where a body is now.
    pub(crate) fn body(&self, id: BodyId) -> Result<Option<BodyRef>> {
        let sql = "SELECT body_id, pack, position, length, size FROM body WHERE body_id = $1";
        self.sql.row(sql, values![id], |row| body_ref(row, 0))
    }

    /// INBOX for POP3.
    pub fn maildrop(&self, account: AccountId) -> Result<Maildrop> {
        let inbox = self
            .mailbox(account, "INBOX")?
            .ok_or(Error::NotFound("mailbox"))?;
        let mut messages = self.sql.rows(
            "SELECT e.uid, e.size, m.surrogate, b.body_id, b.pack, b.position, b.length, b.size FROM entry e \
             JOIN message m ON m.account_id = e.account_id AND m.message_id = e.message_id \
             JOIN body b ON b.body_id = m.body_id WHERE e.account_id = $1 AND e.mailbox_id = $2 ORDER BY e.uid",
            values![account, inbox.id],
            |row| {
                Ok(MaildropMessage {
                    uid: row.u32(0)?,
                    kept_id: None,
                    size: row.uint(1)?,
                    surrogate: row.opt_int(2)?.map(i64::unsigned_abs),
                    body: body_ref(row, 3)?,
                })
            },
        )?;
        self.kept_pop3_uids(account, &inbox, &mut messages)?;
        Ok(Maildrop {
            mailbox: inbox.id,
            uid_validity: inbox.uid_validity,
            messages,
        })
    }

    /// Every body, for the checks. `from` is the first pack looked at or any.
    pub(crate) fn bodies_in(
        &self,
        packs: impl RangeBounds<u32>,
        each: &mut dyn FnMut(BodyRef, i64) -> Result<()>,
    ) -> Result<()> {
        let first = match packs.start_bound() {
            Bound::Included(pack) => i64::from(*pack),
            Bound::Excluded(pack) => i64::from(*pack) + 1,
            Bound::Unbounded => 0,
        };
        let last = match packs.end_bound() {
            Bound::Included(pack) => i64::from(*pack),
            Bound::Excluded(pack) => i64::from(*pack) - 1,
            Bound::Unbounded => i64::MAX,
        };
        let sql = "SELECT body_id, pack, position, length, size, refs FROM body WHERE pack BETWEEN $1 AND $2 ORDER BY body_id";
        self.sql.query(sql, values![first, last], &mut |row| {
            each(body_ref(row, 0)?, row.int(5)?)?;
            Ok(ControlFlow::Continue(()))
        })
    }
}

impl Tx<'_> {
    /// Places one message with many accounts: one body, one result per recipient in their order (`OverQuota`, `NotFound` …).
    /// The outer error means that nothing was placed.
    pub fn deliver(
        &mut self,
        delivery: &Delivery,
    ) -> Result<Vec<std::result::Result<Placed, Error>>> {
        let mut results = Vec::with_capacity(delivery.recipients.len());
        // RFC 8474 §5.2: one message has one thread, whoever looks at it.
        let mut thread = None;
        for recipient in &delivery.recipients {
            let mailbox = self.target(recipient)?;
            let mut message = NewMessage {
                content: &delivery.content,
                flags: recipient.flags,
                keywords: 0,
                received: delivery.received,
                thread,
            };
            results.push(match mailbox {
                None => Err(Error::NotFound("account")),
                Some(mailbox) => match self.place(recipient.account, mailbox, &mut message) {
                    // The refusals of one account; they come before anything is written for it.
                    Err(error @ (Error::OverQuota | Error::NotFound(_))) => Err(error),
                    other => Ok(other?),
                },
            });
            thread = message.thread;
        }
        let placed = results.iter().filter(|result| result.is_ok()).count();
        self.keep_body(&delivery.content.body, placed)?;
        Ok(results)
    }

    /// Places one message in one mailbox.
    pub fn append(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        message: &Append,
    ) -> Result<Placed> {
        self.mailbox_by_id(account, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let keywords = self.keyword_bits(account, mailbox, &message.keywords, true)?;
        let mut new = NewMessage {
            content: &message.content,
            flags: message.flags,
            keywords,
            received: message.received,
            thread: None,
        };
        let placed = self.place(account, mailbox, &mut new)?;
        self.keep_body(&message.content.body, 1)?;
        Ok(placed)
    }

    /// Puts an entry at the end of a mailbox and counts it there.
    pub(crate) fn insert_entry(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        entry: &NewEntry,
        modseq: u64,
    ) -> Result<Place> {
        self.sql.execute(
            "UPDATE mailbox SET uid_next = uid_next + 1, messages = messages + 1, unseen = unseen + $3, \
             deleted = deleted + $4, size = size + $5, highest_modseq = $6 WHERE account_id = $1 AND mailbox_id = $2",
            values![
                account,
                mailbox,
                !entry.flags.contains(Flags::SEEN),
                entry.flags.contains(Flags::DELETED),
                entry.size,
                modseq
            ],
        )?;
        let sql = "SELECT uid_validity, uid_next - 1 FROM mailbox WHERE account_id = $1 AND mailbox_id = $2";
        let place = self
            .sql
            .row(sql, values![account, mailbox], |row| {
                Ok(Place {
                    mailbox,
                    uid_validity: row.u32(0)?,
                    uid: row.u32(1)?,
                })
            })?
            .ok_or(Error::Corrupt("a mailbox vanished".into()))?;
        self.insert_entry_at(account, mailbox, place.uid, entry, modseq)?;
        Ok(place)
    }

    /// Puts an entry at a UID that is already reserved and counted.
    pub(crate) fn insert_entry_at(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uid: u32,
        entry: &NewEntry,
        modseq: u64,
    ) -> Result<()> {
        if uid > LAST_UID {
            return Err(Error::Limit("UIDs of a mailbox"));
        }
        self.sql.execute(
            "INSERT INTO entry (account_id, mailbox_id, uid, flags, keywords, modseq, message_id, size, received, saved) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            values![
                account,
                mailbox,
                uid,
                entry.flags,
                entry.keywords as i64,
                modseq,
                entry.message,
                entry.size,
                entry.received,
                self.now
            ],
        )?;
        Ok(())
    }

    /// Adds to what an account uses, if its quota allows; the modseq of the operation and the last message number, which is
    /// `numbers` higher than before.
    pub(crate) fn charge(
        &self,
        account: AccountId,
        octets: u64,
        messages: u64,
        numbers: u64,
    ) -> Result<(u64, i64)> {
        // Without RETURNING, which costs a temporary table each time.
        let charged = self.sql.execute(
            "UPDATE account_state SET modseq = modseq + 1, usage = usage + $2, messages = messages + $3, \
             last_message = last_message + $4 WHERE account_id = $1 \
             AND usage + $2 <= COALESCE((SELECT a.quota FROM account a WHERE a.account_id = $1), 9223372036854775807) \
             AND messages + $3 <= COALESCE((SELECT q.value FROM quota_limit q WHERE q.account_id = $1 \
             AND q.resource = 'MESSAGE'), 9223372036854775807)",
            values![account, octets, messages, numbers],
        )?;
        if charged == 0 {
            return match self.account_by_id(account)? {
                Some(_) => Err(Error::OverQuota),
                None => Err(Error::NotFound("account")),
            };
        }
        let sql = "SELECT modseq, last_message FROM account_state WHERE account_id = $1";
        let state = self
            .sql
            .row(sql, values![account], |row| Ok((row.uint(0)?, row.int(1)?)))?;
        state.ok_or(Error::NotFound("account"))
    }

    fn place(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        new: &mut NewMessage<'_>,
    ) -> Result<Placed> {
        if !self.packs.placeable(&new.content.body) {
            return Err(Error::Io(
                "the message's octets were lost or reclaimed before it was placed".into(),
            ));
        }
        let size = new.content.body.size;
        let (modseq, number) = self.charge(account, size, 1, 1)?;
        let message = message_id(account, number)?;
        let keys = &new.content.thread_keys;
        let thread = self.thread(account, new.content.body.id, keys, new.thread)?;
        new.thread = Some(thread);
        self.sql.execute(
            "INSERT INTO message (account_id, message_id, body_id, refs, parsed, envelope, structure, thread, thread_keys, surrogate) \
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9)",
            values![
                account,
                message,
                new.content.body.id,
                &new.content.index,
                &new.content.envelope,
                &new.content.body_structure,
                thread,
                &crate::thread::to_bytes(keys),
                new.content.surrogate
            ],
        )?;
        let flags = Flags(new.flags.0 & Flags::ALL.0);
        let entry = NewEntry {
            message,
            flags,
            keywords: new.keywords,
            size,
            received: new.received,
        };
        let place = self.insert_entry(account, mailbox, &entry, modseq)?;
        let entries = vec![Entry {
            uid: place.uid,
            flags,
            keywords: new.keywords,
            modseq,
            message,
            received: new.received,
        }];
        self.changed(account, mailbox, MailboxChange::Added { entries, modseq });
        Ok(Placed {
            account,
            mailbox: place.mailbox,
            uid_validity: place.uid_validity,
            uid: place.uid,
            message,
            modseq,
        })
    }

    /// Counts the messages, and rows of the queue, that refer to a body, which gets its row with the first of them.
    pub(crate) fn keep_body(&self, body: &BodyRef, messages: usize) -> Result<()> {
        if messages > 0 {
            self.sql.execute(
                "INSERT INTO body (body_id, pack, position, length, size, refs) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (body_id) DO UPDATE SET refs = body.refs + excluded.refs",
                values![body.id, body.pack, body.offset, body.length, body.size, messages as u64],
            )?;
        }
        Ok(())
    }

    fn target(&self, recipient: &Recipient) -> Result<Option<MailboxId>> {
        let account = recipient.account;
        let wanted = match recipient.target {
            Target::Inbox => None,
            Target::SpecialUse(special_use) => self.mailbox_for(account, special_use)?,
            Target::Mailbox(mailbox) => self.mailbox_by_id(account, mailbox)?.map(|m| m.id),
        };
        if wanted.is_some() {
            return Ok(wanted);
        }
        let sql = "SELECT mailbox_id FROM mailbox WHERE account_id = $1 AND name = 'INBOX'";
        self.sql
            .row(sql, values![account], |row| Ok(MailboxId(row.int(0)?)))
    }
}

struct NewMessage<'c> {
    content: &'c Content,
    flags: Flags,
    keywords: u64,
    received: Timestamp,
    /// The thread that the same message has elsewhere.
    thread: Option<i64>,
}

/// The lowest and highest identifier that a content of an account can have.
pub(crate) fn account_messages(account: AccountId) -> (i64, i64) {
    let low = account.0 << MESSAGE_BITS;
    (low, low | ((1 << MESSAGE_BITS) - 1))
}

/// The account in the upper bits: see the table.
pub(crate) fn message_id(account: AccountId, number: i64) -> Result<MessageId> {
    if number >> MESSAGE_BITS != 0 || account.0 >> (62 - MESSAGE_BITS) != 0 {
        return Err(Error::Limit("messages of an account over all time"));
    }
    Ok(MessageId(account.0 << MESSAGE_BITS | number))
}

fn statement(columns: Columns) -> String {
    let column = |wanted: bool, name: &'static str| if wanted { name } else { "NULL" };
    let of_message =
        columns.index || columns.envelope || columns.body_structure || columns.body || columns.ids;
    let mut sql = String::with_capacity(512);
    sql.push_str(
        "SELECT e.uid, e.message_id, e.flags, e.keywords, e.modseq, e.size, e.received, e.saved",
    );
    for (wanted, name) in [
        (columns.index, "m.parsed"),
        (columns.envelope, "m.envelope"),
        (columns.body_structure, "m.structure"),
    ] {
        sql.push_str(", ");
        sql.push_str(column(wanted, name));
    }
    for name in ["b.body_id", "b.pack", "b.position", "b.length", "b.size"] {
        sql.push_str(", ");
        sql.push_str(column(columns.body, name));
    }
    sql.push_str(if of_message {
        ", m.body_id, m.thread"
    } else {
        ", NULL, NULL"
    });
    sql.push_str(" FROM entry e");
    if of_message {
        sql.push_str(
            " JOIN message m ON m.account_id = e.account_id AND m.message_id = e.message_id",
        );
    }
    if columns.body {
        sql.push_str(" JOIN body b ON b.body_id = m.body_id");
    }
    sql.push_str(
        " WHERE e.account_id = $1 AND e.mailbox_id = $2 AND e.uid BETWEEN $3 AND $4 ORDER BY e.uid",
    );
    sql
}

fn message_row(row: &dyn Row, columns: Columns) -> Result<MessageRow<'_>> {
    Ok(MessageRow {
        uid: row.u32(0)?,
        message: MessageId(row.int(1)?),
        flags: Flags(row.int(2)? as u8),
        keywords: row.int(3)? as u64,
        modseq: row.uint(4)?,
        size: row.uint(5)?,
        received: row.int(6)?,
        saved: row.int(7)?,
        index: row.blob(8)?,
        envelope: row.blob(9)?,
        body_structure: row.blob(10)?,
        body: if columns.body {
            Some(body_ref(row, 11)?)
        } else {
            None
        },
        email: row.opt_int(16)?.map(BodyId),
        thread: row.opt_int(17)?,
    })
}

/// A body from five columns.
pub(crate) fn body_ref(row: &dyn Row, first: usize) -> Result<BodyRef> {
    Ok(BodyRef {
        id: BodyId(row.int(first)?),
        pack: row.u32(first + 1)?,
        offset: row.uint(first + 2)?,
        length: row.uint(first + 3)?,
        size: row.uint(first + 4)?,
    })
}
