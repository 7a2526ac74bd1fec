//! The keeper of the index: a thread that follows the change stream and makes segments of what came, off the writing path
//! and with less claim to the processor than what serves clients.
//!
//! States of an account: unknown (its segments have not been looked at since the start: gaps are looked for), followed
//! (everything up to `covered` is in segments or was not there). What is to be done next is in the store alone, so a crash
//! or an end at any moment loses nothing: messages in no segment, and contents noted as dead.
//!
//! Small segments are joined eight at a time, so that mail that comes in single messages is rewritten twice at most.
//!
//! Limits: [`BATCH`] messages at a time, of which one is in memory; [`DEAD`] contents taken out in one write. Mail that is
//! coming is waited for [`PATIENCE`] to be indexed together.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ::store::{
    AccountId, Error, MessageId, Result, SearchColumn, SearchSegment, SearchWatch, Store, Unindexed,
};

use super::segment::{Indexed, Segment, encode};
use super::signature::Builder;
use crate::imap::search::content::Content;
use crate::imap::search::digest::Digest;
use crate::imap::search::fold::Collation;

/// Messages of a full segment: some 40 KiB of signatures, which is what a search reads at a time.
const BATCH: usize = 64;

/// Dead contents taken out of segments in one write.
const DEAD: usize = 64;

/// Segments rewritten in one write, all of them small.
const REWRITTEN: usize = 8;

/// How long more mail is waited for. What arrived must be found by the index within a second.
const PATIENCE: Duration = Duration::from_millis(150);

/// How long is waited after a failure: a full disk or too many writes that wait.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Octets of a text folded at a time.
const FOLDED: usize = 64 << 10;

/// Nice value of the thread.
const NICENESS: i32 = 10;

/// The running keeper. Ends with its thread when dropped.
pub struct Keeper {
    store: Store,
    todo: Arc<Todo>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be done.
#[derive(Default)]
struct Todo {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    accounts: BTreeSet<AccountId>,
    /// Accounts of which a piece of the index was removed.
    damaged: BTreeSet<AccountId>,
    working: bool,
    stopping: bool,
}

impl SearchWatch for Todo {
    fn touched(&self, account: AccountId) {
        let mut state = self.lock();
        if state.accounts.insert(account) && state.accounts.len() == 1 {
            self.changed.notify_all();
        }
    }

    fn damaged(&self, account: AccountId) {
        self.lock().damaged.insert(account);
        self.touched(account);
    }
}

impl Todo {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// The next account and whether to look for gaps; `None` at the end.
    fn next(&self) -> Option<(AccountId, bool)> {
        let mut state = self.lock();
        state.working = false;
        let waited = state.accounts.is_empty();
        while state.accounts.is_empty() && !state.stopping {
            self.changed.notify_all();
            state = self.wait(state, None);
        }
        if waited && !state.stopping {
            // What comes now comes together.
            state = self.wait(state, Some(PATIENCE));
        }
        if state.stopping {
            return None;
        }
        state.working = true;
        let account = state.accounts.pop_first()?;
        let damaged = state.damaged.remove(&account);
        Some((account, damaged))
    }

    /// Comes back to an account, after a while.
    fn again(&self, account: AccountId) {
        let mut state = self.wait(self.lock(), Some(AFTER_FAILURE));
        state.accounts.insert(account);
    }

    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'s, State> {
        match limit {
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.changed
                    .wait_timeout_while(state, limit, |state| !state.stopping)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }
}

impl Keeper {
    /// Starts the thread. It looks through all accounts first.
    pub fn start(store: Store) -> std::io::Result<Keeper> {
        let todo = Arc::new(Todo::default());
        // Before the thread runs, or whoever waits meanwhile would believe that all is done.
        todo.lock().working = true;
        let worker = Worker {
            store: store.clone(),
            todo: Arc::clone(&todo),
            followed: HashMap::new(),
        };
        store.watch_for_search(Some(Arc::clone(&todo) as Arc<dyn SearchWatch>));
        let thread = std::thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || worker.run())?;
        Ok(Keeper {
            store,
            todo,
            thread: Some(thread),
        })
    }

    /// Waits until everything known is indexed.
    #[cfg(test)]
    pub fn settle(&self) {
        let mut state = self.todo.lock();
        while state.working || !state.accounts.is_empty() {
            state = self.todo.wait(state, None);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.store.watch_for_search(None);
        self.todo.lock().stopping = true;
        self.todo.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is known of an account.
struct Followed {
    /// Everything up to here is done.
    covered: MessageId,
    /// The last segments and their sizes, as long as they are small.
    tail: Vec<(MessageId, usize)>,
}

struct Worker {
    store: Store,
    todo: Arc<Todo>,
    followed: HashMap<AccountId, Followed>,
}

impl Worker {
    fn run(mut self) {
        // Serving comes first. On Linux the value is the thread's own; where it is refused nothing is lost.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        match self.store.read(|snapshot| snapshot.search_accounts()) {
            Ok(accounts) => self.todo.lock().accounts.extend(accounts),
            Err(error) => tracing::warn!(%error, "the search index cannot be looked at"),
        }
        while let Some((account, damaged)) = self.todo.next() {
            if damaged {
                self.followed.remove(&account);
            }
            match self.account(account) {
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => {
                    tracing::warn!(account = account.0, %error, "indexing is tried again soon");
                    self.todo.again(account);
                }
            }
        }
    }

    /// Brings an account up to date.
    fn account(&mut self, account: AccountId) -> Result<()> {
        if !self.followed.contains_key(&account) {
            let found = self.look_for_gaps(account)?;
            self.followed.insert(account, found);
        }
        let span = self
            .store
            .read(|snapshot| Ok(snapshot.search_span(account)))?;
        loop {
            let Some(followed) = self.followed.get_mut(&account) else {
                return Ok(());
            };
            let range = (MessageId(followed.covered.0.saturating_add(1)), span.1);
            let Some((last, count)) = index_some(&self.store, account, range, None)? else {
                break;
            };
            followed.covered = last;
            followed.tail.push((last, count));
            join_tail(&self.store, account, &mut followed.tail)?;
            if self.todo.is_stopping() {
                return Ok(());
            }
        }
        while bury_some(&self.store, account)? {
            // Keys stay, but sizes are not what they were.
            if let Some(followed) = self.followed.get_mut(&account) {
                followed.tail.clear();
            }
            if self.todo.is_stopping() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Indexes what lies between segments, which is nothing unless some were removed.
    fn look_for_gaps(&self, account: AccountId) -> Result<Followed> {
        let (span, ranges) = self.store.read(|snapshot| {
            Ok((
                snapshot.search_span(account),
                snapshot.search_ranges(account)?,
            ))
        })?;
        let mut next = span.0;
        for (first, last) in &ranges {
            while next < *first && !self.todo.is_stopping() {
                let range = (next, MessageId(first.0.saturating_sub(1)));
                match index_some(&self.store, account, range, Some(range.1))? {
                    Some((last, _)) => next = MessageId(last.0.saturating_add(1)),
                    None => break,
                }
            }
            next = MessageId(last.0.saturating_add(1));
        }
        let mut tail = Vec::new();
        let last = ranges.iter().rev().take(2 * REWRITTEN).next_back();
        if let Some((from, _)) = last {
            self.store.read(|snapshot| {
                let wanted = [SearchColumn::Ids];
                snapshot.search_segments(account, (*from, span.1), &wanted, &mut |row| {
                    let count = Segment::open(&row, &wanted).ids().len();
                    tail.push((row.last, count));
                    Ok(ControlFlow::Continue(()))
                })
            })?;
        }
        Ok(Followed {
            covered: MessageId(next.0.saturating_sub(1)),
            tail,
        })
    }
}

/// Indexes the first messages of a range that is in no segment. What the new segment covers, up to `until` if it has all
/// of the range, and how many it has; `None` if there are none.
fn index_some(
    store: &Store,
    account: AccountId,
    range: (MessageId, MessageId),
    until: Option<MessageId>,
) -> Result<Option<(MessageId, usize)>> {
    let found = store.read(|snapshot| snapshot.search_unindexed(account, range, BATCH))?;
    let Some(last) = found.last().map(|found| found.message) else {
        return Ok(None);
    };
    let last = match until {
        Some(until) if found.len() < BATCH => until,
        _ => last,
    };
    let mut messages = Vec::with_capacity(found.len());
    for one in &found {
        match index(store, one) {
            Ok(indexed) => messages.push(indexed),
            // Gone meanwhile, or damaged: then searches meet it themselves.
            Err(Error::NotFound(_) | Error::Corrupt(_) | Error::Io(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let count = messages.len();
    let segment = encode(range.0, last, &messages);
    store.write(move |tx| tx.replace_search_segments(account, &[], &[segment]))?;
    Ok(Some((last, count)))
}

/// What is indexed of a message.
pub fn index(store: &Store, found: &Unindexed) -> Result<Indexed> {
    let octets = store.body(&found.body)?;
    let content = Content::new(&octets, true);
    let digest = Digest::new(
        &found.envelope,
        Some(content.message()),
        Collation::UnicodeCasemap,
    );
    let mut builder = Builder::new(content.size());
    let mut folded = String::new();
    let mut octets: Vec<u8> = Vec::new();
    content.each_text(&mut |text| {
        octets.clear();
        for piece in pieces(text) {
            // A group may lie across two pieces.
            octets.drain(..octets.len().saturating_sub(2));
            folded.clear();
            Collation::UnicodeCasemap.fold_into(piece, &mut folded);
            octets.extend_from_slice(folded.as_bytes());
            builder.add(&octets);
        }
    });
    Ok(Indexed {
        message: found.message,
        digest,
        signature: builder.finish(),
    })
}

/// A text in pieces of some [`FOLDED`] octets.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let cut = (FOLDED..text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len());
        let (piece, rest) = text.split_at_checked(cut)?;
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Joins the last segments while eight of them are of a size.
fn join_tail(store: &Store, account: AccountId, tail: &mut Vec<(MessageId, usize)>) -> Result<()> {
    let size = |count: usize| usize::from(count >= REWRITTEN) + usize::from(count >= BATCH);
    loop {
        let Some(from) = tail.len().checked_sub(REWRITTEN) else {
            return Ok(());
        };
        let last = tail.get(from..).unwrap_or_default();
        let first_size = last.first().map_or(2, |(_, count)| size(*count));
        if first_size == 2 || last.iter().any(|(_, count)| size(*count) != first_size) {
            // Nothing before a full segment is ever joined.
            if let Some(full) = tail.iter().rposition(|(_, count)| size(*count) == 2) {
                tail.drain(..=full);
            }
            return Ok(());
        }
        let old: Vec<MessageId> = last.iter().map(|(key, _)| *key).collect();
        let Some((first, messages)) = take_out(store, account, &old)? else {
            tail.clear();
            return Ok(());
        };
        let Some(key) = old.last().copied() else {
            return Ok(());
        };
        let segment = encode(first, key, &messages);
        store.write(move |tx| tx.replace_search_segments(account, &old, &[segment]))?;
        tail.truncate(from);
        tail.push((key, messages.len()));
    }
}

/// All messages of some neighbouring segments, and where they begin; `None` if one is not there or damaged.
fn take_out(
    store: &Store,
    account: AccountId,
    keys: &[MessageId],
) -> Result<Option<(MessageId, Vec<Indexed>)>> {
    let (Some(low), Some(high)) = (keys.first(), keys.last()) else {
        return Ok(None);
    };
    let (mut first, mut messages, mut seen, mut whole) = (None, Vec::new(), 0, true);
    store.read(|snapshot| {
        snapshot.search_segments(account, (*low, *high), &SearchColumn::ALL, &mut |row| {
            whole &= keys.get(seen) == Some(&row.last);
            seen += 1;
            first.get_or_insert(row.first);
            let segment = Segment::open(&row, &SearchColumn::ALL);
            for at in 0..segment.ids().len() {
                match segment.take_out(at) {
                    Some(indexed) => messages.push(indexed),
                    None => whole = false,
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    })?;
    Ok(first
        .filter(|_| whole && seen == keys.len())
        .map(|first| (first, messages)))
}

/// Takes some dead contents out of the index; whether there were any.
fn bury_some(store: &Store, account: AccountId) -> Result<bool> {
    let dead = store.read(|snapshot| snapshot.search_dead(account, DEAD))?;
    if dead.is_empty() {
        return Ok(false);
    }
    let (mut old, mut new): (Vec<MessageId>, Vec<SearchSegment>) = (Vec::new(), Vec::new());
    let mut buried = 0;
    for (at, one) in dead.iter().enumerate() {
        buried = at + 1;
        // A segment may have several of them.
        if new
            .iter()
            .any(|segment| (segment.first..=segment.last).contains(one))
        {
            continue;
        }
        if new.len() == REWRITTEN {
            buried = at;
            break;
        }
        store.read(|snapshot| {
            snapshot.search_segments(account, (*one, *one), &SearchColumn::ALL, &mut |row| {
                let segment = Segment::open(&row, &SearchColumn::ALL);
                let living = (0..segment.ids().len())
                    .filter(|at| {
                        let id = segment.ids().get(*at);
                        id.is_some_and(|id| dead.binary_search(id).is_err())
                    })
                    .filter_map(|at| segment.take_out(at));
                let living: Vec<Indexed> = living.collect();
                old.push(row.last);
                new.push(encode(row.first, row.last, &living));
                Ok(ControlFlow::Continue(()))
            })
        })?;
    }
    let gone: Vec<MessageId> = dead.into_iter().take(buried).collect();
    store.write(move |tx| {
        tx.replace_search_segments(account, &old, &new)?;
        tx.forget_search_dead(account, &gone)
    })?;
    Ok(true)
}
