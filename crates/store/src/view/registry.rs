//! The views that are in use, and everybody who wants to hear of changes.
//!
//! A view is loaded by a reader while the writer goes on. Changes published meanwhile wait in the view; those that the reader's
//! picture already contained are recognised by their modseq (each operation on an account has its own) and left out.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use super::picture::{Builder, Head};
use super::{Entry, Notify, Subscribers, Subscription, View, ViewSnapshot};
use crate::change::{Change, ChangeKind, MailboxChange};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::queue::Watchers;
use crate::search::SearchWatch;
use crate::snapshot::Snapshot;
use crate::types::{AccountId, Flags, MailboxId, MessageId};

/// A mailbox, and who looks at it where that is not its owner: `\Seen` is each reader's own.
pub(super) type Key = (AccountId, MailboxId, Option<AccountId>);

/// The views of one mailbox.
type Viewers = Vec<(Option<AccountId>, Weak<View>)>;

/// All live views and subscriptions of a store.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    views: Mutex<HashMap<(AccountId, MailboxId), Viewers>>,
    accounts: Mutex<HashMap<AccountId, Arc<Subscribers>>>,
    /// Those who want to hear of every change in an account.
    watchers: Mutex<HashMap<AccountId, Arc<Subscribers>>>,
    queue: Watchers,
    /// Who keeps the search index.
    search: Mutex<Watch>,
}

/// Who is told of what is to be indexed.
#[derive(Default)]
struct Watch(Option<Arc<dyn SearchWatch>>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

#[derive(Debug)]
pub(super) enum State {
    /// Being read; what is published meanwhile.
    Loading(Vec<MailboxChange>),
    /// What was read at the account's modseq `since`, and followed from there.
    Ready {
        picture: Arc<ViewSnapshot>,
        since: u64,
    },
    Failed(Error),
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: Mutex<State>,
    pub(super) loaded: Condvar,
}

impl Registry {
    /// The view of a mailbox. `read` gives a consistent picture of the database.
    pub(crate) fn view(
        self: &Arc<Self>,
        key: Key,
        read: impl FnOnce(&mut dyn FnMut(&Snapshot<'_>) -> Result<()>) -> Result<()>,
    ) -> Result<Arc<View>> {
        let view = {
            let mut views = lock(&self.views);
            let viewers = views.entry((key.0, key.1)).or_default();
            viewers.retain(|(_, view)| view.strong_count() > 0);
            let known = viewers.iter().find(|(reader, _)| *reader == key.2);
            if let Some(view) = known.and_then(|(_, view)| view.upgrade()) {
                drop(views);
                return view.wait().map(|_| view);
            }
            let view = Arc::new(View::loading(key, Arc::downgrade(self)));
            viewers.push((key.2, Arc::downgrade(&view)));
            view
        };
        let mut loaded = Err(Error::Internal("the view was not read".into()));
        let outcome = read(&mut |snapshot| {
            loaded = load(snapshot, key);
            Ok(())
        });
        match outcome.and(loaded) {
            Ok((picture, modseq)) => {
                view.ready(picture, modseq);
                Ok(view)
            }
            Err(error) => {
                view.failed(error.clone());
                drop(view);
                Err(error)
            }
        }
    }

    /// See [`crate::Store::watch_for_search`].
    pub(crate) fn watch_for_search(&self, watch: Option<Arc<dyn SearchWatch>>) {
        *lock(&self.search) = Watch(watch);
    }

    /// Tells that a piece of an account's search index is gone.
    pub(crate) fn search_damaged(&self, account: AccountId) {
        let watch = lock(&self.search).0.clone();
        if let Some(watch) = watch {
            watch.damaged(account);
        }
    }

    /// Tells of accounts whose messages came or went.
    fn tell_search(&self, changes: &[Change]) {
        let Some(watch) = lock(&self.search).0.clone() else {
            return;
        };
        let mut last = None;
        for change in changes {
            let came_or_went = matches!(
                change.kind,
                ChangeKind::Mailbox(
                    _,
                    MailboxChange::Added { .. }
                        | MailboxChange::Expunged { .. }
                        | MailboxChange::Gone
                )
            );
            if came_or_went && last != Some(change.account) {
                last = Some(change.account);
                watch.touched(change.account);
            }
        }
    }

    /// Brings views up to date; whom to notify then.
    pub(crate) fn publish(&self, changes: Vec<Change>) -> Vec<Arc<dyn Notify>> {
        self.tell_search(&changes);
        let mut touched: Vec<Arc<Subscribers>> = Vec::new();
        let mut pending: Vec<(Arc<View>, Vec<MailboxChange>)> = Vec::new();
        let mut due = Vec::new();
        {
            let views = lock(&self.views);
            let accounts = lock(&self.accounts);
            let watchers = lock(&self.watchers);
            for change in changes {
                if !watchers.is_empty() {
                    match change.account.0 {
                        0 => touched.extend(watchers.values().cloned()),
                        _ => touched.extend(watchers.get(&change.account).cloned()),
                    }
                }
                match change.kind {
                    // Everybody may be concerned.
                    ChangeKind::List if change.account.0 == 0 => {
                        touched.extend(accounts.values().cloned());
                    }
                    ChangeKind::Queue(due_) => due.push(due_),
                    ChangeKind::List => touched.extend(accounts.get(&change.account).cloned()),
                    ChangeKind::Mailbox(mailbox, change_) => {
                        let viewers = views.get(&(change.account, mailbox));
                        for (reader, view) in viewers.into_iter().flatten() {
                            let Some(change_) = change_.as_seen_by(*reader) else {
                                continue;
                            };
                            let key = (change.account, mailbox, *reader);
                            if let Some((_, list)) =
                                pending.iter_mut().find(|(view, _)| view.key == key)
                            {
                                list.push(change_);
                            } else if let Some(view) = view.upgrade() {
                                pending.push((view, vec![change_]));
                            }
                        }
                    }
                }
            }
        }
        for (view, changes) in pending {
            view.publish(changes);
            touched.push(view.subscribers.clone());
        }
        let mut seen: Vec<*const Subscribers> = Vec::new();
        touched.retain(|s| {
            let new = !seen.contains(&Arc::as_ptr(s));
            seen.push(Arc::as_ptr(s));
            new
        });
        let mut notified = self.queue.publish(&due);
        notified.extend(touched.iter().flat_map(|subscribers| subscribers.all()));
        notified
    }

    /// Those who watch the queue.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.queue
    }

    /// Subscribes to the list of mailboxes of an account.
    pub(crate) fn subscribe_account(
        &self,
        account: AccountId,
        notify: Arc<dyn Notify>,
    ) -> Subscription {
        subscribe(&self.accounts, account, notify)
    }

    /// Subscribes to every change in an account.
    pub(crate) fn watch_account(
        &self,
        account: AccountId,
        notify: Arc<dyn Notify>,
    ) -> Subscription {
        subscribe(&self.watchers, account, notify)
    }

    pub(super) fn forget(&self, key: Key) {
        let mut views = lock(&self.views);
        let place = (key.0, key.1);
        if let Some(viewers) = views.get_mut(&place) {
            viewers.retain(|(_, view)| view.strong_count() > 0);
            if viewers.is_empty() {
                views.remove(&place);
            }
        }
    }
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl View {
    fn wait(&self) -> Result<()> {
        let mut state = self.slot.lock();
        loop {
            match &*state {
                State::Ready { .. } => return Ok(()),
                State::Failed(error) => return Err(error.clone()),
                State::Loading(_) => {
                    state = self
                        .slot
                        .loaded
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }

    fn ready(&self, mut picture: ViewSnapshot, since: u64) {
        let mut state = self.slot.lock();
        if let State::Loading(waiting) = &mut *state {
            for change in std::mem::take(waiting) {
                if change.modseq().is_none_or(|at| at > since) {
                    picture = picture.after(&change);
                }
            }
        }
        *state = State::Ready {
            picture: Arc::new(picture),
            since,
        };
        self.slot.loaded.notify_all();
    }

    fn failed(&self, error: Error) {
        *self.slot.lock() = State::Failed(error);
        self.slot.loaded.notify_all();
    }

    fn publish(&self, changes: Vec<MailboxChange>) {
        let mut state = self.slot.lock();
        match &mut *state {
            State::Loading(waiting) => waiting.extend(changes),
            State::Failed(_) => {}
            State::Ready { picture, since } => {
                // Read between the commit and now: the picture has it already.
                let new = changes
                    .into_iter()
                    .filter(|change| change.modseq().is_none_or(|at| at > *since));
                let mut changes = new.peekable();
                while let Some(mut change) = changes.next() {
                    // A burst of deliveries becomes one new picture.
                    if let MailboxChange::Added { entries, modseq } = &mut change {
                        while let Some(MailboxChange::Added {
                            entries: more,
                            modseq: later,
                        }) =
                            changes.next_if(|next| matches!(next, MailboxChange::Added { .. }))
                        {
                            entries.extend(more);
                            *modseq = later;
                        }
                    }
                    *picture = Arc::new(picture.after(&change));
                }
            }
        }
    }
}

/// Reads a mailbox, and the account's modseq that belongs to what was read.
fn load(snapshot: &Snapshot<'_>, key: Key) -> Result<(ViewSnapshot, u64)> {
    let (account, mailbox, reader) = key;
    let row = snapshot
        .mailbox_as(reader.unwrap_or(account), account, mailbox)?
        .ok_or(Error::NotFound("mailbox"))?;
    let modseq = snapshot.sql.number(
        "SELECT modseq FROM account_state WHERE account_id = $1",
        values![account],
    )?;
    let keywords = snapshot.keywords(account, mailbox)?;
    let mut builder = Builder::default();
    let sql = match reader {
        None => {
            "SELECT uid, flags, keywords, modseq, message_id, received FROM entry WHERE account_id = $1 AND mailbox_id = $2 ORDER BY uid"
        }
        Some(_) => {
            "SELECT e.uid, (e.flags & 30) | COALESCE(s.seen, 0), e.keywords, CASE WHEN COALESCE(s.modseq, 0) > e.modseq \
             THEN s.modseq ELSE e.modseq END, e.message_id, e.received \
             FROM entry e LEFT JOIN seen s ON s.account_id = e.account_id AND s.mailbox_id = e.mailbox_id AND s.uid = e.uid \
             AND s.reader = $3 WHERE e.account_id = $1 AND e.mailbox_id = $2 ORDER BY e.uid"
        }
    };
    snapshot
        .sql
        .query(sql, values![account, mailbox, reader], &mut |row| {
            builder.push(Entry {
                uid: row.u32(0)?,
                flags: Flags(row.int(1)? as u8),
                keywords: row.int(2)? as u64,
                modseq: row.uint(3)?,
                message: MessageId(row.int(4)?),
                received: row.int(5)?,
            });
            Ok(ControlFlow::Continue(()))
        })?;
    let head = Head {
        account,
        mailbox,
        uid_validity: row.uid_validity,
        uid_next: row.uid_next,
        highest_modseq: row.highest_modseq,
        keywords: keywords.into_iter().map(Arc::from).collect(),
        gone: false,
    };
    Ok((builder.finish(head), modseq.unsigned_abs()))
}

fn subscribe(
    lists: &Mutex<HashMap<AccountId, Arc<Subscribers>>>,
    account: AccountId,
    notify: Arc<dyn Notify>,
) -> Subscription {
    let mut lists = lock(lists);
    // Those whom nobody listens to any more go when somebody new comes.
    lists.retain(|_, subscribers| !subscribers.is_empty());
    lists.entry(account).or_default().subscribe(notify)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
