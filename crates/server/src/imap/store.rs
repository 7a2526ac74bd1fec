//! STORE (RFC 9051 §6.4.6).

use ::imap::{Flag, Reply, Store, StoreAction};
use ::store::{Entry, FlagChange, FlagMode, Flags, Rights, UidRange, ViewSnapshot};

use super::selected::{self, Expunges, Selected};
use super::{Answer, Imap, Link, access, error};
use crate::drive::Gone;

/// Changes flags of all messages of the set in one commit, then tells them, unless silent.
pub async fn store(imap: &mut Imap, link: &mut Link, command: Store) -> Answer {
    if command.flags.contains(&Flag::Recent) {
        // RFC 3501 §2.3.2: a client cannot alter it.
        return Ok(Reply::bad("\\Recent cannot be stored"));
    }
    let selected = imap.writable()?;
    let rights = selected.rights;
    let (uids, expected) = if command.uid {
        (selected.newest_uids(&command.set), None)
    } else {
        let runs = selected.runs(&command.set, false)?;
        (selected.uids(&runs), Some(selected::count(&runs)))
    };
    if uids.is_empty() || selected.view.snapshot().gone() {
        return Ok(Reply::ok("nothing to store"));
    }
    let (flags, keywords) = selected::split(&command.flags);
    // RFC 4314 §4: it fails only where nothing of it is allowed.
    let asks = flags != Flags::NONE || !keywords.is_empty();
    let may = rights.flags().0 & flags.0 != 0
        || (!keywords.is_empty() && rights.contains(Rights::WRITE))
        || (command.action == StoreAction::Set && !asks && rights.flags() != Flags::NONE);
    if asks && !may || !asks && rights.flags() == Flags::NONE {
        return Err(access::NO_PERMISSION.into());
    }
    let mode = match command.action {
        StoreAction::Set => FlagMode::Replace,
        StoreAction::Add => FlagMode::Add,
        StoreAction::Remove => FlagMode::Remove,
    };
    let change = FlagChange {
        mode,
        flags,
        keywords: keywords.clone(),
        unchanged_since: None,
    };
    let (user, account, mailbox) = (selected.user, selected.account, selected.mailbox);
    let stored = uids.clone();
    imap.shared
        .db
        .write(move |tx| {
            let rights = tx.rights(user, account, mailbox)?;
            tx.store_flags_as(user, account, mailbox, &stored, &change, rights)
        })
        .await?;

    let selected = imap.selected()?;
    let expunges = if command.uid {
        Expunges::Told
    } else {
        Expunges::Kept
    };
    let newest = selected.view.snapshot();
    let all = expected.is_none_or(|expected| selected::count_in(&newest, &uids) == expected);
    if command.silent {
        let before = std::sync::Arc::clone(&selected.told);
        let changed = Change {
            mode,
            flags,
            keywords: bits(&newest, &keywords),
        };
        // What the client cannot work out itself, because another session changed the message too, is told.
        let known = |entry: &Entry| {
            selected::holds(&uids, entry.uid)
                && before
                    .entry_of(entry.uid)
                    .is_some_and(|old| changed.leads(&old, entry))
        };
        selected.sync_but(link, expunges, known).await?;
        return Ok(Reply::ok("stored"));
    }
    selected
        .sync_but(link, expunges, |entry| selected::holds(&uids, entry.uid))
        .await?;
    let alive = (!all).then_some(&*newest);
    tell(selected, link, &uids, command.uid, alive).await?;
    // RFC 2180 §4.2: what is gone could not be stored, and a client that counts in numbers should hear of it.
    if all {
        Ok(Reply::ok("stored"))
    } else {
        Ok(error::EXPUNGE_ISSUED)
    }
}

/// Tells the flags of these messages; with a picture given, of those that are in it.
async fn tell(
    selected: &Selected,
    link: &mut Link,
    uids: &[UidRange],
    with_uid: bool,
    alive: Option<&ViewSnapshot>,
) -> Result<(), Gone> {
    for run in uids {
        for (seq, entry) in selected.told.uid_range(*run.start(), *run.end()) {
            if alive.is_some_and(|alive| alive.seq_of(entry.uid).is_none()) {
                continue;
            }
            let mut fetch = link.session.fetch(seq);
            if with_uid {
                fetch.uid(entry.uid);
            }
            fetch.flags(selected.flags(&entry));
            fetch.end();
            link.flush_if_full().await?;
        }
    }
    Ok(())
}

/// What a STORE does to a message, in bits.
struct Change {
    mode: FlagMode,
    flags: Flags,
    keywords: u64,
}

impl Change {
    /// Whether the change alone made `new` of `old`.
    fn leads(&self, old: &Entry, new: &Entry) -> bool {
        let (flags, keywords) = match self.mode {
            FlagMode::Replace => (self.flags, self.keywords),
            FlagMode::Add => (old.flags.with(self.flags), old.keywords | self.keywords),
            FlagMode::Remove => (old.flags.without(self.flags), old.keywords & !self.keywords),
        };
        new.flags == flags && new.keywords == keywords
    }
}

fn bits(picture: &ViewSnapshot, keywords: &[String]) -> u64 {
    keywords
        .iter()
        .fold(0, |bits, name| bits | selected::keyword_bit(picture, name))
}
