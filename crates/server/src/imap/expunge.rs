//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).

use ::imap::{Reply, SequenceSet};
use ::store::Rights;

use super::{Answer, Imap, Link, access};

/// Removes the messages with `\Deleted`, with `set` only those of these UIDs. That they are gone is told by the sync that
/// follows every command.
pub async fn expunge(imap: &mut Imap, link: &mut Link, set: Option<&SequenceSet>) -> Answer {
    let selected = imap.writable()?;
    let newest = selected.view.snapshot();
    if newest.gone() {
        return Ok(Reply::ok("nothing is left"));
    }
    let named = match set {
        None => vec![1..=u32::MAX],
        Some(set) => selected.uids(&selected.runs(set, true)?),
    };
    let (user, account, mailbox) = (selected.user, selected.account, selected.mailbox);
    if !selected.rights.contains(Rights::EXPUNGE) {
        return Err(access::NO_PERMISSION.into());
    }
    // RFC 9738 §3.1: EXPUNGE itself knows no limit.
    let uids = match set {
        None => named,
        Some(_) => imap.limit.cut_deleted(&newest, named),
    };
    if !uids.is_empty() {
        let write = imap.shared.db.write(move |tx| {
            match tx.rights(user, account, mailbox)?.contains(Rights::EXPUNGE) {
                true => tx.expunge(account, mailbox, &uids, true),
                false => Ok(Vec::new()),
            }
        });
        imap.progress.during(link, None, write).await??;
    }
    Ok(Reply::ok("expunged"))
}
