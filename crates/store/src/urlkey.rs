//! Keys that sign IMAP URLs (RFC 4467 §2.4): of each user for each mailbox, made when first needed.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

impl Snapshot<'_> {
    /// The key of a user for a mailbox.
    pub fn url_key(
        &self,
        user: AccountId,
        owner: AccountId,
        mailbox: MailboxId,
    ) -> Result<Option<Vec<u8>>> {
        let sql =
            "SELECT value FROM url_key WHERE account_id = $1 AND mailbox_id = $2 AND reader = $3";
        self.sql.row(sql, values![owner, mailbox, user], |row| {
            Ok(row.blob(0)?.to_vec())
        })
    }
}

impl Tx<'_> {
    /// Sets a user's key for a mailbox; URLs signed with the one before are worth nothing any more.
    pub fn set_url_key(
        &mut self,
        user: AccountId,
        owner: AccountId,
        mailbox: MailboxId,
        key: &[u8],
    ) -> Result<()> {
        self.mailbox_by_id(owner, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        self.sql.execute(
            "INSERT INTO url_key (account_id, mailbox_id, reader, value) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account_id, mailbox_id, reader) DO UPDATE SET value = excluded.value",
            values![owner, mailbox, user, key],
        )?;
        Ok(())
    }

    /// Removes all keys of a user.
    pub fn remove_url_keys(&mut self, user: AccountId) -> Result<()> {
        let sql = "DELETE FROM url_key WHERE reader = $1";
        self.sql.execute(sql, values![user])?;
        Ok(())
    }
}
