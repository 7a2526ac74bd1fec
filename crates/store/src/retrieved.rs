//! Which messages POP3 clients have taken, and when: what an expiry (RFC 2449 §6.7) is counted from. Written only where there
//! is one. A row goes when its message leaves the mailbox.

use crate::engine::values;
use crate::error::Result;
use crate::flags::normal_runs;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// A message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Retrieved {
    /// Whose.
    pub account: AccountId,
    /// In which mailbox.
    pub mailbox: MailboxId,
    /// Its UID.
    pub uid: u32,
    /// When it was first taken.
    pub at: Timestamp,
}

impl Snapshot<'_> {
    /// Messages taken before a moment, in order, behind one of them, at most so many.
    pub fn pop3_retrieved(
        &self,
        before: Timestamp,
        behind: Option<Retrieved>,
        limit: u32,
    ) -> Result<Vec<Retrieved>> {
        let (account, mailbox, uid) = match behind {
            Some(behind) => (behind.account, behind.mailbox, behind.uid),
            None => (AccountId(0), MailboxId(0), 0),
        };
        let sql = "SELECT account_id, mailbox_id, uid, retrieved FROM pop3_retrieved \
                   WHERE (account_id, mailbox_id, uid) > ($2, $3, $4) AND retrieved < $1 \
                   ORDER BY account_id, mailbox_id, uid LIMIT $5";
        self.sql
            .rows(sql, values![before, account, mailbox, uid, limit], |row| {
                Ok(Retrieved {
                    account: AccountId(row.int(0)?),
                    mailbox: MailboxId(row.int(1)?),
                    uid: row.u32(2)?,
                    at: row.int(3)?,
                })
            })
    }
}

impl Tx<'_> {
    /// Notes that a client has taken messages; those that are gone are passed over, and the first time counts.
    pub fn note_pop3_retrieved(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
    ) -> Result<()> {
        let sql = "INSERT INTO pop3_retrieved (account_id, mailbox_id, uid, retrieved) \
                   SELECT account_id, mailbox_id, uid, $5 FROM entry \
                   WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4 ON CONFLICT DO NOTHING";
        for run in normal_runs(uids) {
            self.sql.execute(
                sql,
                values![account, mailbox, *run.start(), *run.end(), self.now],
            )?;
        }
        Ok(())
    }
}
