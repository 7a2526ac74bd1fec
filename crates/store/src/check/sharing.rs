//! What is kept beside mailboxes refers to mailboxes, messages and accounts that are there. What does not is of no use to
//! anybody and is forgotten.

use super::Problems;
use super::repair::Fix;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::tx::Tx;

/// Table, what is wrong with a row, and the rows it is wrong with.
const RULES: &[(&str, &str, &str)] = &[
    (
        "acl",
        "give rights on a mailbox that does not exist",
        NO_MAILBOX,
    ),
    (
        "acl",
        "give rights to an account that does not exist",
        "grantee <> 0 AND NOT EXISTS (SELECT 1 FROM account a WHERE a.account_id = acl.grantee)",
    ),
    (
        "seen",
        "say that a message was seen that does not exist",
        "NOT EXISTS (SELECT 1 FROM entry e WHERE e.account_id = seen.account_id AND e.mailbox_id = seen.mailbox_id \
         AND e.uid = seen.uid)",
    ),
    (
        "pop3_uid",
        "keep the unique-id of a message that does not exist",
        "NOT EXISTS (SELECT 1 FROM entry e WHERE e.account_id = pop3_uid.account_id \
         AND e.mailbox_id = pop3_uid.mailbox_id AND e.uid = pop3_uid.uid)",
    ),
    (
        "pop3_retrieved",
        "say that a message was taken that does not exist",
        "NOT EXISTS (SELECT 1 FROM entry e WHERE e.account_id = pop3_retrieved.account_id \
         AND e.mailbox_id = pop3_retrieved.mailbox_id AND e.uid = pop3_retrieved.uid)",
    ),
    ("seen", "are of a reader that does not exist", NO_READER),
    (
        "annotation",
        "annotate a mailbox that does not exist",
        "mailbox_id <> 0 AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account_id = annotation.account_id \
         AND m.mailbox_id = annotation.mailbox_id)",
    ),
    (
        "annotation",
        "are of a reader that does not exist",
        "reader <> 0 AND reader NOT IN (SELECT account_id FROM account)",
    ),
    (
        "message_annotation",
        "annotate a message that does not exist",
        "NOT EXISTS (SELECT 1 FROM entry e WHERE e.account_id = message_annotation.account_id \
         AND e.mailbox_id = message_annotation.mailbox_id AND e.uid = message_annotation.uid)",
    ),
    (
        "message_annotation",
        "are of a reader that does not exist",
        "reader <> 0 AND reader NOT IN (SELECT account_id FROM account)",
    ),
    (
        "url_key",
        "are keys of a mailbox that does not exist",
        NO_MAILBOX,
    ),
    ("url_key", "are of a reader that does not exist", NO_READER),
    (
        "remote_message",
        "are of no mailbox elsewhere",
        "NOT EXISTS (SELECT 1 FROM remote_mailbox m WHERE m.account_id = remote_message.account_id \
         AND m.remote_id = remote_message.remote_id)",
    ),
    (
        "remote_mailbox",
        "are of an account that does not exist",
        NO_ACCOUNT,
    ),
    ("fetch", "are of an account that does not exist", NO_ACCOUNT),
];

const NO_MAILBOX: &str =
    "(account_id, mailbox_id) NOT IN (SELECT account_id, mailbox_id FROM mailbox)";
const NO_ACCOUNT: &str = "account_id NOT IN (SELECT account_id FROM account)";
const NO_READER: &str = "reader NOT IN (SELECT account_id FROM account)";

/// Looks for rows without a purpose.
pub(super) fn rows(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    for (rule, (table, what, wrong)) in RULES.iter().enumerate() {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {wrong}");
        let count = snapshot.sql.number(&sql, &[])?;
        if count > 0 {
            problems.add(
                Fix::Purposeless(rule),
                format!("{count} rows in {table} {what}"),
            );
        }
    }
    Ok(())
}

/// Removes the rows that a rule finds.
pub(super) fn forget(tx: &mut Tx<'_>, rule: usize) -> Result<()> {
    if let Some((table, _, wrong)) = RULES.get(rule) {
        tx.sql
            .execute(&format!("DELETE FROM {table} WHERE {wrong}"), &[])?;
        if *table == "message_annotation" {
            // Somebody was counted as paying for them.
            let sql = "UPDATE account_state SET annotations = (SELECT COALESCE(SUM(LENGTH(value)), 0) FROM message_annotation m \
                       WHERE m.account_id = account_state.account_id AND m.reader = 0 OR m.reader = account_state.account_id)";
            tx.sql.execute(sql, &[])?;
        }
    }
    Ok(())
}
