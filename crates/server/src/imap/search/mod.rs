//! SEARCH (RFC 9051 §6.4.4).
//!
//! A search reads as little as it can: the view first, rows for what the view leaves open, octets for what rows leave
//! open ([`eval`]). Pieces run on threads that may block and are bounded in number for all sessions together, so that
//! searches wait for each other and everybody else waits for none.
//!
//! Limits: [`WORK`] of working time per search; [`PIECE_ENTRIES`], [`PIECE_ROWS`] and [`PIECE_OCTETS`] between turns.

pub mod content;
pub mod envelope;
pub mod eval;
pub mod text;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::imap::server::Found;
use ::imap::{Date, Flag, Reply, Search, SearchKey, SequenceSet};
use ::store::{BodyRef, Columns, Entry, MessageRow, Store, UidRange, ViewSnapshot};

use super::selected::{Selected, runs_of, system_bit};
use super::{Answer, Imap, Link, error};
use content::Content;
use envelope::Member;
use eval::{Facts, Key, Need};
use text::Needle;

/// Working time of one search before it is refused (attack A20). Reading 100,000 messages takes less.
pub const WORK: Duration = Duration::from_secs(10);

/// Messages looked at in the view before others get their turn.
const PIECE_ENTRIES: u32 = 65_536;

/// Mailboxes up to this size are searched on the session's own thread where the view has all that is needed: a
/// millisecond at most.
const AT_ONCE: u32 = 20_000;

/// The same where rows are needed.
const ROWS_AT_ONCE: u32 = 128;

/// Rows read in one go.
const PIECE_ROWS: usize = 8_192;

/// Octets of messages read in one go.
const PIECE_OCTETS: u64 = 4 << 20;

/// Searches, answers in the form the client asked for, and saves the result if it asked for that.
pub async fn search(imap: &mut Imap, link: &mut Link, search: Search) -> Answer {
    let saves = search.returns.is_some_and(|returns| returns.save);
    let found = find(imap, &search.key).await;
    let selected = imap.selected()?;
    let found = match found {
        Ok(found) => found,
        Err(failure) => {
            if saves {
                // RFC 9051 §6.4.4.1: a SEARCH with SAVE that fails leaves the empty result.
                selected.saved.clear();
            }
            return Err(failure);
        }
    };
    if let Some(returns) = search.returns.filter(|returns| returns.save) {
        let uids: Vec<u32> = found.iter().map(|(_, uid)| *uid).collect();
        selected.saved = returns.saved(&uids);
    }
    let results: Vec<u32> = found
        .iter()
        .map(|(seq, uid)| if search.uid { *uid } else { *seq })
        .collect();
    let found = Found {
        numbers: &results,
        ..Found::default()
    };
    link.session.search_results(&search, &found);
    Ok(Reply::ok("searched"))
}

/// Sequence numbers and UIDs of the messages that match, ascending.
async fn find(imap: &mut Imap, key: &SearchKey) -> Result<Vec<(u32, u32)>, error::Failure> {
    let now = imap.shared.timestamp();
    let selected = imap.selected()?;
    let mut key = compile(key, selected, now)?;
    key.order();
    let job = Arc::new(Job {
        need: key.need(),
        key,
        told: Arc::clone(&selected.told),
    });
    let shared = &imap.shared;
    let mut state = State {
        next: 1,
        found: Vec::new(),
        open: Vec::new(),
        spent: Duration::ZERO,
    };
    // What takes less than going to another thread is done here.
    let at_once = match job.need {
        Need::View => job.told.len() <= AT_ONCE,
        Need::Row | Need::Envelope => job.told.len() <= ROWS_AT_ONCE,
        Need::Header | Need::Body => false,
    };
    let mut done = false;
    while !done {
        if at_once {
            done = job.turn(shared.db.store(), &mut state)?;
        } else {
            let turn = match job.need {
                Need::Header | Need::Body => shared.searches.acquire().await.ok(),
                _ => None,
            };
            let job = Arc::clone(&job);
            let work = shared.db.blocking(move |store| {
                let done = job.turn(store, &mut state)?;
                Ok((state, done))
            });
            (state, done) = work.await?;
            drop(turn);
        }
        if state.spent > WORK {
            return Err(error::TOO_MUCH_WORK.into());
        }
    }
    state.found.sort_unstable();
    Ok(state.found)
}

/// A search that does not change while it runs.
struct Job {
    key: Key,
    need: Need,
    told: Arc<ViewSnapshot>,
}

/// How far a search is.
struct State {
    /// The next sequence number to look at.
    next: u32,
    /// Sequence numbers and UIDs.
    found: Vec<(u32, u32)>,
    /// Messages that only their octets decide.
    open: Vec<Open>,
    spent: Duration,
}

/// A message that its row left open, with what the row said.
struct Open {
    seq: u32,
    entry: Entry,
    size: u64,
    received: i64,
    saved: i64,
    envelope: Vec<u8>,
    body: BodyRef,
    header: Range<usize>,
    thread: Option<i64>,
}

impl Job {
    /// One turn; true when nothing is left.
    fn turn(&self, store: &Store, state: &mut State) -> ::store::Result<bool> {
        let begun = Instant::now();
        let done = self.work(store, state, begun)?;
        state.spent = state.spent.saturating_add(begun.elapsed());
        Ok(done)
    }

    fn work(&self, store: &Store, state: &mut State, begun: Instant) -> ::store::Result<bool> {
        if !state.open.is_empty() {
            self.look_at_octets(store, state, begun)?;
            return Ok(false);
        }
        if state.next > self.told.len() {
            return Ok(true);
        }
        let entries = self.look_at_view(state, begun);
        if !entries.is_empty() {
            self.look_at_rows(store, state, entries)?;
        }
        Ok(false)
    }

    /// Decides what the view decides; returns the others.
    fn look_at_view(&self, state: &mut State, begun: Instant) -> Vec<(u32, Entry)> {
        let last = state.next.saturating_add(PIECE_ENTRIES - 1);
        let mut undecided = Vec::new();
        for (seq, entry) in self.told.range(state.next, last) {
            match self.key.test(&Facts {
                seq,
                entry,
                row: None,
                content: None,
            }) {
                Some(true) => state.found.push((seq, entry.uid)),
                Some(false) => {}
                None => undecided.push((seq, entry)),
            }
            state.next = seq.saturating_add(1);
            // Thousands of keys make even the view slow.
            let slow = seq.is_multiple_of(1024) && begun.elapsed() > Duration::from_millis(50);
            if undecided.len() >= PIECE_ROWS || slow {
                break;
            }
        }
        undecided
    }

    fn look_at_rows(
        &self,
        store: &Store,
        state: &mut State,
        entries: Vec<(u32, Entry)>,
    ) -> ::store::Result<()> {
        let octets = self.need >= Need::Header;
        let columns = Columns {
            index: self.need == Need::Header,
            envelope: self.need >= Need::Envelope,
            body_structure: false,
            body: octets,
            ids: false,
        };
        let mut wanted = entries.iter().peekable();
        let told = &self.told;
        store.read(|snapshot| {
            let runs = uid_runs(&entries);
            snapshot.messages(told.account(), told.mailbox(), &runs, columns, &mut |row| {
                while wanted.next_if(|(_, entry)| entry.uid < row.uid).is_some() {}
                let Some((seq, entry)) = wanted.next_if(|(_, entry)| entry.uid == row.uid) else {
                    return Ok(ControlFlow::Continue(()));
                };
                match self.key.test(&Facts {
                    seq: *seq,
                    entry: *entry,
                    row: Some(&row),
                    content: None,
                }) {
                    Some(true) => state.found.push((*seq, entry.uid)),
                    Some(false) => {}
                    None => state.open.extend(open(*seq, *entry, &row)),
                }
                Ok(ControlFlow::Continue(()))
            })
        })
    }

    fn look_at_octets(
        &self,
        store: &Store,
        state: &mut State,
        begun: Instant,
    ) -> ::store::Result<()> {
        let whole = self.need == Need::Body;
        let mut read = 0u64;
        while let Some(open) = state.open.pop() {
            let octets = match whole {
                true => store.body(&open.body),
                false => {
                    store.body_range(&open.body, open.header.start as u64..open.header.end as u64)
                }
            };
            let octets = match octets {
                // Expunged and reclaimed since the row was read: no message, no match.
                Err(::store::Error::NotFound(_)) => continue,
                other => other?,
            };
            read = read.saturating_add(octets.len() as u64);
            let content = Content::new(&octets, whole);
            let row = open.row();
            let facts = Facts {
                seq: open.seq,
                entry: open.entry,
                row: Some(&row),
                content: Some(&content),
            };
            if self.key.test(&facts) == Some(true) {
                state.found.push((open.seq, open.entry.uid));
            }
            if read > PIECE_OCTETS || begun.elapsed() > Duration::from_millis(50) {
                break;
            }
        }
        Ok(())
    }
}

fn open(seq: u32, entry: Entry, row: &MessageRow<'_>) -> Option<Open> {
    let header = match mime::Index::from_bytes(row.index) {
        Ok(index) => index.root().header_range(),
        // Not read, or of another version: the whole message then.
        Err(_) => 0..usize::try_from(row.size).unwrap_or(usize::MAX),
    };
    let envelope = row.envelope.to_vec();
    Some(Open {
        seq,
        entry,
        size: row.size,
        received: row.received,
        saved: row.saved,
        envelope,
        body: row.body?,
        header,
        thread: row.thread,
    })
}

impl Open {
    fn row(&self) -> MessageRow<'_> {
        MessageRow {
            uid: self.entry.uid,
            message: self.entry.message,
            flags: self.entry.flags,
            keywords: self.entry.keywords,
            modseq: self.entry.modseq,
            size: self.size,
            received: self.received,
            saved: self.saved,
            body: Some(self.body),
            index: &[],
            envelope: &self.envelope,
            body_structure: &[],
            email: Some(self.body.id),
            thread: self.thread,
        }
    }
}

/// Runs of UIDs that hold these messages; between two of one run there is no other the client knows.
fn uid_runs(entries: &[(u32, Entry)]) -> Vec<UidRange> {
    let mut runs: Vec<UidRange> = Vec::new();
    let mut last = None;
    for (seq, entry) in entries {
        match runs.last_mut() {
            // A few rows too many cost less than another run.
            Some(run) if last.is_some_and(|last: u32| seq.saturating_sub(last) <= 8) => {
                *run = *run.start()..=entry.uid
            }
            _ => runs.push(entry.uid..=entry.uid),
        }
        last = Some(*seq);
    }
    runs
}

/// The search as a program against what the client was told. Recursion is bounded by [`SearchKey::DEPTH_LIMIT`].
fn compile(key: &SearchKey, selected: &Selected, now: i64) -> Result<Key, error::Failure> {
    let all = |keys: &[SearchKey]| {
        keys.iter()
            .map(|key| compile(key, selected, now))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(match key {
        SearchKey::All => Key::Always(true),
        SearchKey::Flag(flag) => match flag {
            Flag::Keyword(name) => match selected.keyword(name) {
                0 => Key::Always(false),
                bit => Key::Keyword(bit),
            },
            // Nothing is recent here, see `selected`.
            Flag::Recent | Flag::Extension(_) => Key::Always(false),
            system => Key::Flags(system_bit(system)),
        },
        SearchKey::Sequence(SequenceSet::Saved) => {
            Key::Uid(runs_of(selected.saved.iter().copied()))
        }
        SearchKey::Sequence(set) => Key::Sequence(set.resolve(selected.told.len())),
        SearchKey::Uid(SequenceSet::Saved) => Key::Uid(runs_of(selected.saved.iter().copied())),
        SearchKey::Uid(set) => {
            let last = selected.told.uid_at(selected.told.len()).unwrap_or(0);
            Key::Uid(set.resolve(last))
        }
        SearchKey::From(text) => Key::Address(Member::From, Needle::new(text)),
        SearchKey::To(text) => Key::Address(Member::To, Needle::new(text)),
        SearchKey::Cc(text) => Key::Address(Member::Cc, Needle::new(text)),
        SearchKey::Bcc(text) => Key::Address(Member::Bcc, Needle::new(text)),
        SearchKey::Subject(text) => Key::Subject(Needle::new(text)),
        SearchKey::Header { field, text } => Key::Header(field.clone(), Needle::new(text)),
        SearchKey::Body(text) => Key::Body(Needle::new(text)),
        SearchKey::Text(text) => Key::Text(Needle::new(text)),
        SearchKey::Before(day) => Key::Received(i64::MIN..seconds(*day)),
        SearchKey::On(day) => Key::Received(seconds(*day)..seconds(*day).saturating_add(DAY)),
        SearchKey::Since(day) => Key::Received(seconds(*day)..i64::MAX),
        SearchKey::SentBefore(day) => Key::Sent(i64::MIN..day.days()),
        SearchKey::SentOn(day) => Key::Sent(day.days()..day.days().saturating_add(1)),
        SearchKey::SentSince(day) => Key::Sent(day.days()..i64::MAX),
        SearchKey::Older(seconds) => Key::Received(
            i64::MIN
                ..now
                    .saturating_sub(i64::from(seconds.get()))
                    .saturating_add(1),
        ),
        SearchKey::Younger(seconds) => {
            Key::Received(now.saturating_sub(i64::from(seconds.get()))..i64::MAX)
        }
        SearchKey::ModSeq(modseq) => Key::ModSeq(*modseq),
        SearchKey::SavedBefore(day) => Key::Saved(i64::MIN..seconds(*day)),
        SearchKey::SavedOn(day) => Key::Saved(seconds(*day)..seconds(*day).saturating_add(DAY)),
        SearchKey::SavedSince(day) => Key::Saved(seconds(*day)..i64::MAX),
        SearchKey::SaveDateSupported => Key::Always(true),
        SearchKey::EmailId(id) => Key::EmailId(id.clone()),
        SearchKey::ThreadId(id) => Key::ThreadId(id.clone()),
        SearchKey::Filter(name) => return Err(error::undefined_filter(name).into()),
        SearchKey::Fuzzy(key) => compile(key, selected, now)?,
        SearchKey::Larger(size) => Key::Larger(*size),
        SearchKey::Smaller(size) => Key::Smaller(*size),
        SearchKey::Not(key) => Key::Not(Box::new(compile(key, selected, now)?)),
        SearchKey::Or(keys) => Key::Or(all(keys)?),
        SearchKey::And(keys) => Key::And(all(keys)?),
    })
}

const DAY: i64 = 86_400;

/// The first second of a day. Internal dates are kept, and told, in UTC, so their day is that of UTC.
fn seconds(day: Date) -> i64 {
    day.days().saturating_mul(DAY)
}
