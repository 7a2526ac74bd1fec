//! STORE (RFC 9051 §6.4.6), conditional where the client asks for it (RFC 7162 §3.1.3).

use std::ops::ControlFlow;
use std::sync::Arc;

use ::imap::{Capability, Code, Flag, NumberSet, Reply, Status, Store, StoreAction};
use ::store::{
    AccountId, Columns, Entry, FlagChange, FlagMode, Flags, MailboxId, Rights, Stored, Tx,
    UidRange, ViewSnapshot,
};

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
        let (uids, newest) = (selected.newest_uids(&command.set), selected.view.snapshot());
        (imap.limit.cut_uids(&newest, uids), None)
    } else {
        let (runs, told) = (
            selected.runs(&command.set, false)?,
            Arc::clone(&selected.told),
        );
        let runs = imap.limit.cut(&told, runs);
        let count = selected::count(&runs);
        (imap.selected()?.uids(&runs), Some(count))
    };
    let selected = imap.selected()?;
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
        unchanged_since: command.unchanged_since,
    };
    let (user, account, mailbox) = (selected.user, selected.account, selected.mailbox);
    let stored = uids.clone();
    let told = Arc::clone(&selected.told);
    let write = imap.shared.db.write(move |tx| {
        let rights = tx.rights(user, account, mailbox)?;
        let mut done = tx.store_flags_as(user, account, mailbox, &stored, &change, rights)?;
        if user == account && !done.modified.is_empty() && change.mode != FlagMode::Replace {
            retry(tx, account, mailbox, &told, &change, &mut done)?;
        }
        Ok(done)
    });
    let done = imap.progress.during(link, None, write).await??;
    let newest_first = imap.limit.was_cut();
    let selected = imap.selected()?;
    let expunges = if command.uid {
        Expunges::Told
    } else {
        Expunges::Kept
    };
    let newest = selected.view.snapshot();
    let all = expected.is_none_or(|expected| selected::count_in(&newest, &uids) == expected);
    let condstore = link.session.is_enabled(&Capability::CondStore);
    let modified = selected::runs_of(done.modified.iter().copied());
    let ours = |uid: u32| selected::holds(&uids, uid) && !selected::holds(&modified, uid);
    let before = Arc::clone(&selected.told);
    if command.silent {
        let changed = Change {
            mode,
            flags,
            keywords: bits(&newest, &keywords),
        };
        // What the client cannot work out itself, because another session changed the message too, is told.
        let known = |seq: u32, entry: &Entry| {
            // Mostly it still has the number it had.
            let old = before.entry(seq).filter(|old| old.uid == entry.uid);
            ours(entry.uid)
                && old
                    .or_else(|| before.entry_of(entry.uid))
                    .is_some_and(|old| changed.leads(&old, entry))
        };
        selected.sync_but(link, expunges, known).await?;
    } else {
        selected
            .sync_but(link, expunges, |_, entry| ours(entry.uid))
            .await?;
    }
    let telling = Telling {
        uid: command.uid || condstore,
        flags: !command.silent,
        modseq: condstore,
        // RFC 7162 §3.1.3: after a conditional STORE for every message, otherwise where the client has another one, which
        // may be due to another session that stored the same.
        but: (command.silent && command.unchanged_since.is_none()).then_some(&*before),
        alive: (!all).then_some(&*newest),
        newest_first,
    };
    if !command.silent || condstore {
        tell(selected, link, &uids, &modified, &telling).await?;
    }
    let silent = command.silent && command.unchanged_since.is_none();
    Ok(conclude(selected, command.uid, silent, &done.modified, all))
}

/// The tagged reply. `silent`: the client does not want to know.
pub fn conclude(
    selected: &Selected,
    uid: bool,
    silent: bool,
    modified: &[u32],
    all: bool,
) -> Reply {
    if modified.is_empty() {
        // RFC 2180 §4.2: what is gone could not be stored, and a client that counts in numbers should hear of it.
        return match all || silent {
            true => Reply::ok("stored"),
            false => error::EXPUNGE_ISSUED,
        };
    }
    let numbers: NumberSet = match uid {
        true => modified.iter().copied().collect(),
        false => modified
            .iter()
            .filter_map(|uid| selected.told.seq_of(*uid))
            .collect(),
    };
    let status = if all { Status::Ok } else { Status::No };
    Reply::new(status, "some have changed meanwhile").with(Code::Modified(numbers))
}

/// RFC 7162 §3.1.12: a message that changed, but not in what is to be stored, is no conflict: the client saw these flags
/// as they are.
fn retry(
    tx: &mut Tx<'_>,
    account: AccountId,
    mailbox: MailboxId,
    told: &ViewSnapshot,
    change: &FlagChange,
    done: &mut Stored,
) -> ::store::Result<()> {
    let since = change.unchanged_since.unwrap_or(u64::MAX);
    let known = |name: &String| selected::keyword_bit(told, name);
    // A keyword the client has never been told of may have come with that very change.
    if change.keywords.iter().any(|name| known(name) == 0) {
        return Ok(());
    }
    let keywords = change
        .keywords
        .iter()
        .fold(0, |bits, name| bits | known(name));
    let runs = selected::runs_of(done.modified.iter().copied());
    let mut unrelated = Vec::new();
    tx.messages(account, mailbox, &runs, Columns::ENTRY, &mut |row| {
        let same = told.entry_of(row.uid).is_some_and(|old| {
            old.modseq <= since
                && (old.flags.0 ^ row.flags.0) & change.flags.0 == 0
                && (old.keywords ^ row.keywords) & keywords == 0
        });
        if same {
            unrelated.push(row.uid);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if unrelated.is_empty() {
        return Ok(());
    }
    unrelated.sort_unstable();
    let runs = selected::runs_of(unrelated.iter().copied());
    let unconditional = FlagChange {
        unchanged_since: None,
        ..change.clone()
    };
    let more = tx.store_flags(account, mailbox, &runs, &unconditional)?;
    done.changed = done.changed.saturating_add(more.changed);
    // The older of the two: all that this command changed is at or above it.
    done.modseq = done.modseq.or(more.modseq);
    done.modified.retain(|uid| !selected::holds(&runs, *uid));
    Ok(())
}

/// What is told of messages.
pub struct Telling<'a> {
    /// UID
    pub uid: bool,
    /// FLAGS
    pub flags: bool,
    /// MODSEQ
    pub modseq: bool,
    /// Not of messages that have the mod-sequence they have there.
    pub but: Option<&'a ViewSnapshot>,
    /// Only of those that are in it.
    pub alive: Option<&'a ViewSnapshot>,
    /// From the highest number down.
    pub newest_first: bool,
}

/// Tells these messages, without those that were left alone.
pub async fn tell(
    selected: &Selected,
    link: &mut Link,
    uids: &[UidRange],
    modified: &[UidRange],
    telling: &Telling<'_>,
) -> Result<(), Gone> {
    let told = &selected.told;
    for run in in_order(uids, telling.newest_first) {
        let (first, last) = (*run.start(), *run.end());
        let seqs = match telling.newest_first {
            // Cut, so there are only so many.
            true => told.uid_range(first, last).collect(),
            false => Vec::new(),
        };
        let ascending = (!telling.newest_first).then(|| told.uid_range(first, last));
        let entries = ascending
            .into_iter()
            .flatten()
            .chain(seqs.into_iter().rev());
        for (seq, entry) in entries {
            let gone = |alive: &ViewSnapshot| alive.seq_of(entry.uid).is_none();
            let same = |before: &ViewSnapshot| {
                let old = before.entry_of(entry.uid);
                old.is_some_and(|old| old.modseq == entry.modseq)
            };
            if telling.but.is_some_and(same)
                || selected::holds(modified, entry.uid)
                || telling.alive.is_some_and(gone)
            {
                continue;
            }
            let mut fetch = link.session.fetch(seq, entry.uid);
            if telling.uid {
                fetch.uid(entry.uid);
            }
            if telling.flags {
                fetch.flags(selected.flags(&entry));
            }
            if telling.modseq {
                fetch.modseq(entry.modseq);
            }
            fetch.end();
            link.flush_if_full().await?;
        }
    }
    Ok(())
}

/// Ascending runs in the order they are told in.
fn in_order(runs: &[UidRange], newest_first: bool) -> impl Iterator<Item = &UidRange> {
    let (up, down) = match newest_first {
        true => (&[][..], runs),
        false => (runs, &[][..]),
    };
    up.iter().chain(down.iter().rev())
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
