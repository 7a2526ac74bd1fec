//! IDLE (RFC 9051 §6.3.13): changes are told as they are committed.
//!
//! The store calls [`Waker`] on its writer thread after each commit that touched the mailbox; that wakes this
//! connection's loop, and the difference is told from there. Between commands a session has no subscription, so that a
//! busy mailbox wakes only those who wait for it.

use std::sync::Arc;

use ::imap::Reply;

use super::search::context;
use super::selected::Expunges;
use super::{Imap, Link, metadata_changes, notify};
use crate::drive::{Gone, Wake};

struct Waker(Arc<Wake>);

impl ::store::Notify for Waker {
    fn notify(&self) {
        self.0.wake();
    }
}

/// Wakes the loop of a session.
pub fn waker(link: &Link) -> Arc<dyn ::store::Notify> {
    Arc::new(Waker(Arc::clone(&link.wake)))
}

/// Begins idling, with or without a mailbox selected.
pub async fn begin(imap: &mut Imap, link: &mut Link) -> Result<(), Gone> {
    link.session.accept_idle();
    if imap.watch.is_some() {
        // RFC 5465 §4: the same events as without IDLE.
        return notify::tell(imap, link, Some(Expunges::Told), true).await;
    }
    if let Some(selected) = &mut imap.selected {
        selected.tells_new = true;
        // First the subscription, then a look: nothing falls between.
        selected.idle_rights = (selected.user != selected.account).then(|| {
            let waker = Arc::new(Waker(Arc::clone(&link.wake)));
            imap.shared
                .db
                .store()
                .subscribe_account(selected.user, waker)
        });
        selected.idle = Some(
            selected
                .view
                .subscribe(Arc::new(Waker(Arc::clone(&link.wake)))),
        );
        selected.recheck(&imap.shared.db, link);
        selected.sync(link, Expunges::Told).await?;
        context::tell(imap, link).await?;
    }
    metadata_changes::tell(imap, link).await
}

/// Tells an idling client what changed.
pub async fn tell(imap: &mut Imap, link: &mut Link) -> Result<(), Gone> {
    if imap.watch.is_some() {
        return notify::tell(imap, link, None, true).await;
    }
    if link.session.is_idling()
        && let Some(selected) = &mut imap.selected
    {
        selected.recheck(&imap.shared.db, link);
        selected.sync(link, Expunges::Told).await?;
        context::tell(imap, link).await?;
    }
    if link.session.is_idling() {
        metadata_changes::tell(imap, link).await?;
    }
    Ok(())
}

/// DONE.
pub async fn end(imap: &mut Imap, link: &mut Link) -> Result<(), Gone> {
    if imap.watch.is_some() {
        notify::tell(imap, link, Some(Expunges::Told), true).await?;
        link.session.complete(Reply::ok("idled"));
        return Ok(());
    }
    if let Some(selected) = &mut imap.selected {
        selected.idle = None;
        selected.idle_rights = None;
        selected.recheck(&imap.shared.db, link);
        selected.sync(link, Expunges::Told).await?;
        context::tell(imap, link).await?;
    }
    metadata_changes::tell(imap, link).await?;
    link.session.complete(Reply::ok("idled"));
    Ok(())
}
