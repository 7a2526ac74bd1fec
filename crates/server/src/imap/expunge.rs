//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).

use ::imap::{Reply, SequenceSet};

use super::{Answer, Imap};

/// Removes the messages with `\Deleted`, with `set` only those of these UIDs. That they are gone is told by the sync that
/// follows every command.
pub async fn expunge(imap: &mut Imap, set: Option<&SequenceSet>) -> Answer {
    let selected = imap.writable()?;
    if selected.view.snapshot().gone() {
        return Ok(Reply::ok("nothing is left"));
    }
    let uids = match set {
        None => vec![1..=u32::MAX],
        Some(set) => selected.uids(&selected.runs(set, true)?),
    };
    let (account, mailbox) = (selected.account, selected.mailbox);
    if !uids.is_empty() {
        imap.shared
            .db
            .write(move |tx| tx.expunge(account, mailbox, &uids, true))
            .await?;
    }
    Ok(Reply::ok("expunged"))
}
