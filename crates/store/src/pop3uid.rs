//! Unique-ids that messages had on the server they were imported from, so that POP3 clients that keep their mail on the
//! server do not fetch all of it again after a move (RFC 1939 §7, UIDL).
//!
//! Invariants: a kept id is one that UIDL can send, no two messages of a mailbox have the same, and none looks like one
//! of ours, which are `UIDVALIDITY.UID`. It goes when its message leaves the mailbox, by MOVE too: to a POP3 client the message
//! is gone then, and what comes back is new to it, as it is with ids of ours.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// RFC 1939 §7: a unique-id has one to 70 characters.
const LONGEST: usize = 70;

impl Snapshot<'_> {
    /// Adds what was kept to messages in the order of their UIDs.
    pub(crate) fn kept_pop3_uids(
        &self,
        account: AccountId,
        inbox: &Mailbox,
        messages: &mut [MaildropMessage],
    ) -> Result<()> {
        let sql = "SELECT uid, unique_id FROM pop3_uid WHERE account_id = $1 AND mailbox_id = $2 ORDER BY uid";
        let kept = self.sql.rows(sql, values![account, inbox.id], |row| {
            Ok((row.u32(0)?, Box::<str>::from(row.text(1)?)))
        })?;
        let mut messages = messages.iter_mut();
        for (uid, unique_id) in kept {
            // A UIDVALIDITY that a repair gave anew may have made it one of ours.
            if is_ours(&unique_id, inbox.uid_validity) {
                continue;
            }
            if let Some(message) = messages.find(|message| message.uid >= uid)
                && message.uid == uid
            {
                message.kept_id = Some(unique_id);
            }
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Keeps the unique-id that a message had elsewhere; whether it could be. It cannot where UIDL could not send it, where
    /// another message of the mailbox has it, and where it reads like one of ours: the message is then known by ours.
    pub fn set_pop3_uid(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uid: u32,
        unique_id: &str,
    ) -> Result<bool> {
        let place = self
            .mailbox_by_id(account, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let sendable = (1..=LONGEST).contains(&unique_id.len())
            && unique_id.bytes().all(|octet| octet.is_ascii_graphic());
        if !sendable || is_ours(unique_id, place.uid_validity) {
            return Ok(false);
        }
        let sql =
            "SELECT COUNT(*) FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3";
        if self.sql.number(sql, values![account, mailbox, uid])? == 0 {
            return Err(Error::NotFound("message"));
        }
        let sql = "INSERT INTO pop3_uid (account_id, mailbox_id, uid, unique_id) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        Ok(self
            .sql
            .execute(sql, values![account, mailbox, uid, unique_id])?
            > 0)
    }

    /// What POP3 keeps of messages goes with them.
    pub(crate) fn forget_pop3(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        runs: &[UidRange],
    ) -> Result<()> {
        for sql in [
            "DELETE FROM pop3_uid WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4",
            "DELETE FROM pop3_retrieved WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4",
        ] {
            for run in runs {
                self.sql
                    .execute(sql, values![account, mailbox, *run.start(), *run.end()])?;
            }
        }
        Ok(())
    }
}

/// Whether an id is, or could become, that of another message by its UID.
fn is_ours(unique_id: &str, validity: u32) -> bool {
    unique_id
        .split_once('.')
        .is_some_and(|(of, uid)| of.parse() == Ok(validity) && uid.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn ours_are_known_by_their_form() {
        for (id, expected) in [
            ("7.1", true),
            ("7.4294967295", true),
            ("8.1", false),
            ("7.x", false),
            ("7.", false),
            ("7", false),
            ("0000000753e8a1c2", false),
        ] {
            assert_eq!(is_ours(id, 7), expected, "{id}");
        }
    }
}
