//! CLOSE and UNSELECT (RFC 9051 §6.4.1, §6.4.2).

use ::imap::Reply;

use super::{Answer, Imap};

/// CLOSE: expunges silently, unless the mailbox was only examined, and deselects.
pub async fn close(imap: &mut Imap) -> Answer {
    let selected = imap.selected()?;
    let (account, mailbox, read_only, gone) = (
        selected.account,
        selected.mailbox,
        selected.read_only,
        selected.view.snapshot().gone(),
    );
    if !read_only && !gone {
        imap.shared
            .db
            .write(move |tx| tx.expunge(account, mailbox, &[1..=u32::MAX], true))
            .await?;
    }
    imap.selected = None;
    Ok(Reply::ok("closed"))
}

/// UNSELECT.
pub fn unselect(imap: &mut Imap) -> Reply {
    imap.selected = None;
    Reply::ok("deselected")
}
