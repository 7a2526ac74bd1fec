//! Changes of annotations of mailboxes and of the server, told to clients that asked with ENABLE METADATA or ENABLE
//! METADATA-SERVER (RFC 5464 §4.1, §4.4.2): at the end of commands and while idling, names without values.
//!
//! Owns [`Changes`]: what the client has been told, which is compared with what is there after a commit said that
//! something changed. What the session sets itself is not told to it. NOTIFY says itself what it wants and counts for
//! more (RFC 5465 §3.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::imap::{Capability, MailboxName, MetadataData, Reply, Untagged};
use ::store::{AccountId, MailboxId, Subscription};

use super::notify::{self, AnnotationsChanged, Picture};
use super::{Answer, Imap, Link, idle};
use crate::drive::Gone;

/// A mailbox and whose it is; none is the server.
type Whose = Option<(AccountId, MailboxId)>;

/// What is watched of annotations.
pub struct Changes {
    told: Picture,
    /// Something may have changed.
    touched: Arc<AtomicBool>,
    /// What the session itself set since.
    mine: Vec<(Whose, Vec<String>)>,
    _subscription: Subscription,
}

impl Changes {
    /// The session's own command sets these.
    pub fn own(&mut self, whose: Whose, entries: Vec<String>) {
        self.mine.push((whose, entries));
    }
}

/// Notes that something changed, and wakes a session that idles.
struct Touch {
    touched: Arc<AtomicBool>,
    waker: Arc<dyn ::store::Notify>,
}

impl ::store::Notify for Touch {
    fn notify(&self) {
        self.touched.store(true, Ordering::Release);
        self.waker.notify();
    }
}

/// ENABLE: from here on changes are told.
pub async fn begin(imap: &mut Imap, link: &Link) -> Answer {
    let enabled = [Capability::Metadata, Capability::MetadataServer];
    let wanted = enabled.iter().any(|it| link.session.is_enabled(it));
    if wanted && imap.annotations.is_none() {
        let user = imap.account()?;
        let touched = Arc::new(AtomicBool::new(false));
        // First the subscription, then a look: nothing falls between. Those who can see a mailbox hear of its annotations
        // as of changes of the list of names.
        let touch = Arc::new(Touch {
            touched: Arc::clone(&touched),
            waker: idle::waker(link),
        });
        let subscription = imap.shared.db.store().subscribe_account(user, touch);
        let read = move |snapshot: &::store::Snapshot<'_>| Picture::read(snapshot, user, true);
        imap.annotations = Some(Box::new(Changes {
            told: imap.shared.db.read(read).await?,
            touched,
            mine: Vec::new(),
            _subscription: subscription,
        }));
    }
    Ok(Reply::ok("ENABLE done"))
}

/// Tells what others changed.
pub async fn tell(imap: &mut Imap, link: &mut Link) -> Result<(), Gone> {
    let (Some(changes), Some(user)) = (&mut imap.annotations, imap.account) else {
        return Ok(());
    };
    if !changes.touched.swap(false, Ordering::AcqRel) {
        return Ok(());
    }
    let read = move |snapshot: &::store::Snapshot<'_>| Picture::read(snapshot, user, true);
    let now = match imap.shared.db.read(read).await {
        Ok(now) => now,
        // What cannot be read now is told later.
        Err(error) => {
            tracing::warn!(%error, "changes of annotations are not told");
            changes.touched.store(true, Ordering::Release);
            return Ok(());
        }
    };
    let told = std::mem::replace(&mut changes.told, now);
    let mine = std::mem::take(&mut changes.mine);
    if imap.watch.is_some() {
        return Ok(());
    }
    for changed in notify::annotations_changed(&told, &changes.told) {
        let AnnotationsChanged {
            mailbox: whose,
            name,
            mut entries,
        } = changed;
        let own = |entry: &String| {
            let mut all = mine.iter().filter(|(of, _)| *of == whose);
            all.any(|(_, entries)| entries.contains(entry))
        };
        entries.retain(|entry| !own(entry));
        let wanted = match whose {
            None => true,
            Some(_) => link.session.is_enabled(&Capability::Metadata),
        };
        if let (true, false, Ok(mailbox)) = (wanted, entries.is_empty(), MailboxName::new(&name)) {
            let data = MetadataData::Changed { mailbox, entries };
            link.session.untagged(&Untagged::Metadata(data));
            link.flush_if_full().await?;
        }
    }
    Ok(())
}
