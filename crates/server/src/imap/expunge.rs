//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).

use ::imap::{Reply, SequenceSet};
use ::store::Rights;

use super::{Answer, Imap, access};

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
    let (user, account, mailbox) = (selected.user, selected.account, selected.mailbox);
    if !selected.rights.contains(Rights::EXPUNGE) {
        return Err(access::NO_PERMISSION.into());
    }
    if !uids.is_empty() {
        imap.shared
            .db
            .write(
                move |tx| match tx.rights(user, account, mailbox)?.contains(Rights::EXPUNGE) {
                    true => tx.expunge(account, mailbox, &uids, true),
                    false => Ok(Vec::new()),
                },
            )
            .await?;
    }
    Ok(Reply::ok("expunged"))
}
