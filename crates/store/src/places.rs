//! Where the same content has entries: all mailboxes of an account that hold a message.
//!
//! No index leads from content to its entries, which every delivery would pay for; one pass over the account's entries
//! answers for many messages at once.

use std::ops::ControlFlow;

use crate::engine::values;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::types::*;

impl Snapshot<'_> {
    /// Calls `each` for every entry of these messages, which ascend: mailbox, UID and message, by mailbox and UID.
    pub fn places(
        &self,
        account: AccountId,
        wanted: &[MessageId],
        each: &mut dyn FnMut(MailboxId, u32, MessageId),
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let sql = "SELECT mailbox_id, uid, message_id FROM entry WHERE account_id = $1 ORDER BY mailbox_id, uid";
        self.sql.query(sql, values![account], &mut |row| {
            let message = MessageId(row.int(2)?);
            if wanted.binary_search(&message).is_ok() {
                each(MailboxId(row.int(0)?), row.u32(1)?, message);
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}
