//! CLOSE and UNSELECT (RFC 9051 §6.4.1, §6.4.2).

use ::imap::Reply;
use ::store::Rights;

use super::{Answer, Imap, Link};

/// CLOSE: expunges silently, unless the mailbox was only examined, and deselects.
pub async fn close(imap: &mut Imap, link: &mut Link) -> Answer {
    let selected = imap.selected()?;
    let (user, account, mailbox, read_only, gone) = (
        selected.user,
        selected.account,
        selected.mailbox,
        selected.read_only,
        selected.view.snapshot().gone(),
    );
    if !read_only && !gone {
        let write = imap.shared.db.write(move |tx| {
            // RFC 4314 §4: without the right the mailbox is closed and keeps what is deleted.
            match tx.rights(user, account, mailbox)?.contains(Rights::EXPUNGE) {
                true => tx.expunge(account, mailbox, &[1..=u32::MAX], true),
                false => Ok(Vec::new()),
            }
        });
        imap.progress.during(link, None, write).await??;
    }
    imap.selected = None;
    Ok(Reply::ok("closed"))
}

/// UNSELECT.
pub fn unselect(imap: &mut Imap) -> Reply {
    imap.selected = None;
    Reply::ok("deselected")
}
