//! Mending. Each repair is a write of its own and looks again before it acts, so that it is right beside a running server.

use std::collections::HashMap;

use super::queue::QueueFix;
use crate::change::{MailboxChange, Patch};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::expunge::Gone;
use crate::store::Store;
use crate::tx::Tx;
use crate::types::*;

/// How a problem is mended.
pub(crate) enum Fix {
    /// Only a person (with a backup) can.
    None,
    /// Make the counters of an account.
    Counters(AccountId),
    /// Make the INBOX of an account.
    Inbox(AccountId),
    /// Make a mailbox for entries that have none.
    Mailbox(AccountId, MailboxId),
    /// Remove an entry without content.
    Entry(AccountId, MailboxId, u32),
    /// Take away flags that there are not.
    Flags(AccountId, MailboxId, u32),
    /// Take away keywords that have no name; the bits that have one.
    Keywords(AccountId, MailboxId, u32, u64),
    /// The size of the content.
    Size(AccountId, MailboxId, u32, u64),
    /// References counted anew; unreferenced content goes.
    MessageReferences(AccountId, MessageId, i64),
    /// Likewise for bodies.
    BodyReferences(BodyId, i64),
    /// Find a sound record in the packs: after going back to an older database it may have been moved since.
    Body(BodyId),
    /// Count a mailbox anew.
    MailboxCounts(AccountId, MailboxId),
    /// Sum up an account anew.
    AccountCounts(AccountId),
    /// Forget what refers to nothing; which rule of `sharing`.
    Purposeless(usize),
    /// Remove a piece of the search index; the server makes it anew.
    Search(AccountId, MessageId),
    /// See there.
    Queue(QueueFix),
    /// Store what parsing says.
    Reparse(AccountId, MessageId, Box<Content>),
}

/// Where the records of each body are, read through the packs when first asked.
#[derive(Default)]
pub(super) struct Records(Option<HashMap<BodyId, Vec<BodyRef>>>);

impl Store {
    /// Mends one problem; whether it did.
    pub(super) fn mend(&self, fix: Fix, text: &str, records: &mut Records) -> Result<bool> {
        let found = match fix {
            Fix::None => return Ok(false),
            // Reading through packs is too slow for the writer's turn.
            Fix::Body(body) => match self.find_body(body, records)? {
                None => return Ok(false),
                found => found,
            },
            _ => None,
        };
        let unsearchable = match fix {
            Fix::Search(account, _) => Some(account),
            _ => None,
        };
        match self.write(move |tx| mend(tx, fix, found)) {
            Ok(()) => {
                if let Some(account) = unsearchable {
                    self.inner.views.search_damaged(account);
                }
                Ok(true)
            }
            Err(error @ (Error::Full | Error::Io(_) | Error::Closed)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, text, "a repair failed");
                Ok(false)
            }
        }
    }

    /// A sound record of a body, in any pack.
    fn find_body(&self, wanted: BodyId, records: &mut Records) -> Result<Option<BodyRef>> {
        if records.0.is_none() {
            records.0 = Some(self.all_records()?);
        }
        let candidates = records.0.as_ref().and_then(|all| all.get(&wanted));
        let mut candidates = candidates.into_iter().flatten();
        Ok(candidates
            .find(|body| self.inner.packs.read(body).is_ok())
            .copied())
    }

    fn all_records(&self) -> Result<HashMap<BodyId, Vec<BodyRef>>> {
        let mut all: HashMap<BodyId, Vec<BodyRef>> = HashMap::new();
        for (pack, _) in self.inner.packs.all()? {
            self.inner.packs.scan(pack, &mut |offset, fixed| {
                let body = BodyRef {
                    id: fixed.id,
                    pack,
                    offset,
                    length: fixed.record_length(),
                    size: fixed.size,
                };
                all.entry(fixed.id).or_default().push(body);
            })?;
        }
        Ok(all)
    }
}

fn mend(tx: &mut Tx<'_>, fix: Fix, found: Option<BodyRef>) -> Result<()> {
    match fix {
        Fix::None => Ok(()),
        Fix::Search(_, key) => tx.remove_search_segment(key),
        Fix::Counters(account) => counters(tx, account),
        Fix::Inbox(account) => tx.create_mailbox(account, "INBOX", None).map(|_| ()),
        Fix::Mailbox(account, mailbox) => mailbox_for_strays(tx, account, mailbox),
        Fix::Entry(account, mailbox, uid) => remove_entry(tx, account, mailbox, uid),
        Fix::Flags(account, mailbox, uid) => mask_flags(tx, account, mailbox, uid, u64::MAX),
        Fix::Keywords(account, mailbox, uid, named) => mask_flags(tx, account, mailbox, uid, named),
        Fix::Size(account, mailbox, uid, size) => {
            let sql =
                "UPDATE entry SET size = $4 WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3";
            tx.sql
                .execute(sql, values![account, mailbox, uid, size])
                .map(|_| ())
        }
        Fix::MessageReferences(account, message, 0) => {
            let sql = "DELETE FROM message WHERE account_id = $1 AND message_id = $2 AND NOT EXISTS \
                       (SELECT 1 FROM entry e WHERE e.account_id = $1 AND e.message_id = $2)";
            tx.sql.execute(sql, values![account, message]).map(|_| ())
        }
        Fix::MessageReferences(account, message, _) => {
            let sql = "UPDATE message SET refs = (SELECT COUNT(*) FROM entry e WHERE e.account_id = $1 AND e.message_id = $2) \
                       WHERE account_id = $1 AND message_id = $2";
            tx.sql.execute(sql, values![account, message]).map(|_| ())
        }
        Fix::BodyReferences(body, 0) => {
            let sql = "DELETE FROM body WHERE body_id = $1 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.body_id = $1) \
                       AND NOT EXISTS (SELECT 1 FROM queue_message q WHERE q.body_id = $1)";
            tx.sql.execute(sql, values![body]).map(|_| ())
        }
        Fix::BodyReferences(body, _) => {
            let sql = "UPDATE body SET refs = (SELECT COUNT(*) FROM message m WHERE m.body_id = $1) + \
                       (SELECT COUNT(*) FROM queue_message q WHERE q.body_id = $1) WHERE body_id = $1";
            tx.sql.execute(sql, values![body]).map(|_| ())
        }
        Fix::Body(_) => match found {
            None => Err(Error::NotFound("body")),
            Some(body) => {
                let sql = "INSERT INTO body (body_id, pack, position, length, size, refs) SELECT $1, $2, $3, $4, $5, COUNT(*) + \
                           (SELECT COUNT(*) FROM queue_message q WHERE q.body_id = $1) \
                           FROM message m WHERE m.body_id = $1 ON CONFLICT (body_id) \
                       DO UPDATE SET pack = excluded.pack, position = excluded.position, length = excluded.length";
                let values = values![body.id, body.pack, body.offset, body.length, body.size];
                tx.sql.execute(sql, values).map(|_| ())
            }
        },
        Fix::MailboxCounts(account, mailbox) => count_mailbox(tx, account, mailbox),
        Fix::AccountCounts(account) => count_account(tx, account),
        Fix::Purposeless(rule) => super::sharing::forget(tx, rule),
        Fix::Queue(fix) => super::queue::mend(tx, fix),
        Fix::Reparse(account, message, content) => {
            let sql = "UPDATE message SET parsed = $3, envelope = $4, structure = $5, surrogate = $6 \
                       WHERE account_id = $1 AND message_id = $2";
            let values = values![
                account,
                message,
                &content.index,
                &content.envelope,
                &content.body_structure,
                content.surrogate
            ];
            tx.sql.execute(sql, values).map(|_| ())
        }
    }
}

fn counters(tx: &mut Tx<'_>, account: AccountId) -> Result<()> {
    // The modseq must be above all that was ever told to a client; what is left of it is in the rows.
    tx.sql.execute(
        "INSERT INTO account_state (account_id, modseq, usage, messages, last_uid_validity, last_mailbox, last_message, \
         last_app_password) VALUES ($1, 1, 0, 0, $2, 0, 0, \
         (SELECT COALESCE(MAX(app_password_id), 0) FROM app_password WHERE account_id = $1)) ON CONFLICT (account_id) DO NOTHING",
        values![account, tx.now.clamp(1, 4_000_000_000)],
    )?;
    count_account(tx, account)
}

fn mailbox_for_strays(tx: &mut Tx<'_>, account: AccountId, mailbox: MailboxId) -> Result<()> {
    let new = tx.create_mailbox(account, &format!("Recovered {}", mailbox.0), None)?;
    // The entries keep their UIDs; the new UIDVALIDITY tells clients that the mailbox is another.
    tx.sql.execute(
        "UPDATE mailbox SET mailbox_id = $3 WHERE account_id = $1 AND mailbox_id = $2",
        values![account, new.id, mailbox],
    )?;
    count_mailbox(tx, account, mailbox)?;
    count_account(tx, account)
}

fn remove_entry(tx: &mut Tx<'_>, account: AccountId, mailbox: MailboxId, uid: u32) -> Result<()> {
    let sql = "DELETE FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3 RETURNING flags, size";
    let gone = tx.sql.row(sql, values![account, mailbox, uid], |row| {
        Ok(Gone {
            uid,
            flags: Flags(row.int(0)? as u8),
            size: row.uint(1)?,
        })
    })?;
    let Some(gone) = gone else { return Ok(()) };
    let modseq = tx.next_modseq(account)?;
    tx.record_gone(account, mailbox, &[gone], modseq)?;
    count_mailbox(tx, account, mailbox)?;
    count_account(tx, account)
}

fn mask_flags(
    tx: &mut Tx<'_>,
    account: AccountId,
    mailbox: MailboxId,
    uid: u32,
    named: u64,
) -> Result<()> {
    let modseq = tx.next_modseq(account)?;
    tx.sql.execute(
        "UPDATE entry SET flags = flags & 31, keywords = keywords & $4, modseq = $5 \
         WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3",
        values![account, mailbox, uid, named as i64, modseq],
    )?;
    count_mailbox(tx, account, mailbox)?;
    let patch = Patch {
        keep: Flags::ALL.0,
        set: 0,
        keep_keywords: named,
        set_keywords: 0,
        unchanged_since: u64::MAX,
    };
    tx.changed(
        account,
        mailbox,
        MailboxChange::Flags {
            runs: vec![uid..=uid],
            patch,
            modseq,
        },
    );
    Ok(())
}

fn count_mailbox(tx: &mut Tx<'_>, account: AccountId, mailbox: MailboxId) -> Result<()> {
    let sums = tx.sql.row(
        "SELECT COUNT(*), COALESCE(SUM(1 - (flags & 1)), 0), COALESCE(SUM((flags & 8) / 8), 0), COALESCE(SUM(size), 0), \
         COALESCE(MAX(uid), 0) + 1, COALESCE(MAX(modseq), 0) FROM entry WHERE account_id = $1 AND mailbox_id = $2",
        values![account, mailbox],
        |row| Ok([row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?, row.int(4)?, row.int(5)?]),
    )?;
    let [count, unseen, deleted, size, uid_next, modseq] = sums.unwrap_or_default();
    tx.sql.execute(
        "UPDATE mailbox SET messages = $3, unseen = $4, deleted = $5, size = $6, \
         uid_next = CASE WHEN uid_next > $7 THEN uid_next ELSE $7 END, \
         highest_modseq = CASE WHEN highest_modseq > $8 THEN highest_modseq ELSE $8 END \
         WHERE account_id = $1 AND mailbox_id = $2",
        values![
            account, mailbox, count, unseen, deleted, size, uid_next, modseq
        ],
    )?;
    Ok(())
}

fn count_account(tx: &mut Tx<'_>, account: AccountId) -> Result<()> {
    let sums = tx.sql.row(
        "SELECT COALESCE(SUM(size), 0), COALESCE(SUM(messages), 0), COALESCE(MAX(highest_modseq), 0), \
         COALESCE(MAX(uid_validity), 0), COALESCE(MAX(mailbox_id), 0), \
         (SELECT COALESCE(MAX(message_id) - $1 * 68719476736, 0) FROM message WHERE account_id = $1), \
         (SELECT COALESCE(SUM(LENGTH(value)), 0) FROM message_annotation WHERE account_id = $1 AND reader = 0 OR reader = $1) \
         FROM mailbox WHERE account_id = $1",
        values![account],
        |row| Ok([row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?, row.int(4)?, row.int(5)?, row.int(6)?]),
    )?;
    let [
        usage,
        messages,
        modseq,
        validity,
        mailbox,
        message,
        annotations,
    ] = sums.unwrap_or_default();
    let higher = |column: &str, value: &str| {
        format!("{column} = CASE WHEN {column} > {value} THEN {column} ELSE {value} END")
    };
    let sql = format!(
        "UPDATE account_state SET usage = $2, messages = $3, annotations = $8, {}, {}, {}, {} WHERE account_id = $1",
        higher("modseq", "$4"),
        higher("last_uid_validity", "$5"),
        higher("last_mailbox", "$6"),
        higher("last_message", "$7"),
    );
    tx.sql.execute(
        &sql,
        values![
            account,
            usage,
            messages,
            modseq,
            validity,
            mailbox,
            message,
            annotations
        ],
    )?;
    Ok(())
}
