//! How a search is run: over the view, the index, rows and octets, in turns.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::store::{
    AccountId, BodyRef, Columns, Entry, MessageId, MessageRow, SearchColumn, Store, UidRange,
    ViewSnapshot,
};

use super::content::Content;
use super::eval::{Facts, Key, Need};
use super::index::segment::Segment;
use crate::imap::error::{self, Failure};
use crate::imap::progress::Pace;
use crate::shared::Shared;

/// Working time of one search before it is refused (attack A20). Reading 100,000 messages takes less.
pub const WORK: Duration = Duration::from_secs(10);

/// Messages looked at in the view before others get their turn.
const PIECE_ENTRIES: u32 = 65_536;

/// Mailboxes up to this size are searched on the session's own thread where the view has all that is needed: a
/// millisecond at most.
const AT_ONCE: u32 = 20_000;

/// The same where rows are needed.
const ROWS_AT_ONCE: u32 = 128;

/// A turn that took longer is not followed by another on the session's own thread.
const LONG: Duration = Duration::from_millis(2);

/// Rows read in one go.
const PIECE_ROWS: usize = 8_192;

/// Octets of messages read in one go.
const PIECE_OCTETS: u64 = 4 << 20;

/// Identifiers between two messages of one read of the index: those of some segments in vain cost less than another read.
const NEIGHBOURS: u64 = 512;

/// A message that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Its sequence number.
    pub seq: u32,
    /// Its UID.
    pub uid: u32,
    /// Its score if the search is fuzzy, else 0.
    pub score: u8,
}

/// What is searched, for whom, and what it shares with the rest of its command.
pub struct Order<'a> {
    /// Who asks: searches of one account take turns with those of others.
    pub user: AccountId,
    /// The picture that is searched.
    pub told: &'a Arc<ViewSnapshot>,
    /// Scores are wanted.
    pub fuzzy: bool,
    /// Working time that the command took before.
    pub spent: Duration,
}

/// The messages of a picture that match, ascending, and the working time of the command so far.
pub async fn find(
    shared: &Arc<Shared>,
    order: Order<'_>,
    mut key: Key,
    pace: &mut Pace<'_>,
) -> Result<(Vec<Hit>, Duration), Failure> {
    key.order();
    let mut columns = vec![SearchColumn::Ids];
    key.columns(&mut columns);
    let job = Arc::new(Job {
        need: key.need(),
        structure: key.structure(),
        key,
        columns,
        fuzzy: order.fuzzy,
        told: Arc::clone(order.told),
    });
    let mut state = State {
        next: 1,
        found: Vec::new(),
        open: Vec::new(),
        spent: order.spent,
    };
    // What takes less than going to another thread is done here.
    let mut at_once = match job.need {
        Need::View => job.told.len() <= AT_ONCE,
        Need::Row | Need::Envelope => job.told.len() <= ROWS_AT_ONCE,
        Need::Header | Need::Body => false,
    };
    let all = u64::from(job.told.len());
    let mut done = false;
    while !done {
        if !state.is_done(&job) {
            pace.step(state.looked_at(), all).await?;
        }
        if at_once {
            let before = state.spent;
            done = job.turn(shared.db.store(), &mut state)?;
            // A costly key makes even a small mailbox slow: then it is work like any other.
            at_once = state.spent.saturating_sub(before) < LONG;
        } else {
            let turn = pace.during(shared.searches.take(order.user)).await?;
            let job = Arc::clone(&job);
            let work = shared.db.blocking_for(order.user, move |store| {
                let done = job.turn(store, &mut state)?;
                Ok((state, done))
            });
            (state, done) = pace.during(work).await??;
            drop(turn);
        }
        if state.spent > WORK {
            return Err(error::TOO_MUCH_WORK.into());
        }
    }
    state.found.sort_unstable();
    Ok((state.found, state.spent))
}

/// The same without a server, with or without the index.
#[cfg(test)]
pub fn find_in(store: &Store, told: &Arc<ViewSnapshot>, key: Key, indexed: bool) -> Vec<Hit> {
    let mut columns = vec![SearchColumn::Ids];
    if indexed {
        key.columns(&mut columns);
    }
    let job = Job {
        need: key.need(),
        structure: key.structure(),
        key,
        columns,
        fuzzy: false,
        told: Arc::clone(told),
    };
    let mut state = State {
        next: 1,
        found: Vec::new(),
        open: Vec::new(),
        spent: Duration::ZERO,
    };
    while !job.turn(store, &mut state).unwrap() {}
    state.found.sort_unstable();
    state.found
}

/// A search that does not change while it runs.
struct Job {
    key: Key,
    need: Need,
    /// It asks for structures.
    structure: bool,
    /// What it asks of the index.
    columns: Vec<SearchColumn>,
    /// Scores are wanted: a message is found only when all of it is known.
    fuzzy: bool,
    told: Arc<ViewSnapshot>,
}

/// How far a search is.
struct State {
    /// The next sequence number to look at.
    next: u32,
    found: Vec<Hit>,
    /// Messages that only their octets decide.
    open: Vec<Open>,
    spent: Duration,
}

impl State {
    /// Messages that are decided.
    fn looked_at(&self) -> u64 {
        let passed = u64::from(self.next.saturating_sub(1));
        passed.saturating_sub(self.open.len() as u64)
    }

    fn is_done(&self, job: &Job) -> bool {
        self.open.is_empty() && self.next > job.told.len()
    }
}

/// A message that its row left open, with what the row said.
struct Open {
    seq: u32,
    entry: Entry,
    size: u64,
    received: i64,
    saved: i64,
    envelope: Vec<u8>,
    structure: Vec<u8>,
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
        let mut entries = self.look_at_view(state, begun);
        if self.columns.len() > 1 && !entries.is_empty() {
            entries = self.look_at_index(store, state, entries)?;
        }
        if !entries.is_empty() {
            self.look_at_rows(store, state, entries)?;
        }
        Ok(false)
    }

    /// Tests a message, of which nothing more can be known if the facts are `complete`; true if it is decided.
    fn decide(&self, facts: &Facts<'_>, complete: bool, found: &mut Vec<Hit>) -> bool {
        let score = match self.key.test(facts) {
            Some(false) => return true,
            Some(true) if !self.fuzzy => 0,
            Some(true) if complete => self.key.score(facts).unwrap_or(100).clamp(1, 100),
            _ => return false,
        };
        found.push(Hit {
            seq: facts.seq,
            uid: facts.entry.uid,
            score,
        });
        true
    }

    /// Decides what the view decides; returns the others.
    fn look_at_view(&self, state: &mut State, begun: Instant) -> Vec<(u32, Entry)> {
        let last = state.next.saturating_add(PIECE_ENTRIES - 1);
        let mut undecided = Vec::new();
        for (seq, entry) in self.told.range(state.next, last) {
            let facts = Facts {
                seq,
                entry,
                indexed: None,
                row: None,
                content: None,
            };
            if !self.decide(&facts, self.need == Need::View, &mut state.found) {
                undecided.push((seq, entry));
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

    /// Decides what the index decides; returns the others.
    fn look_at_index(
        &self,
        store: &Store,
        state: &mut State,
        entries: Vec<(u32, Entry)>,
    ) -> ::store::Result<Vec<(u32, Entry)>> {
        let mut decided = vec![false; entries.len()];
        let ids = entries.iter().map(|(_, entry)| entry.message);
        each_indexed(
            store,
            &self.told,
            ids,
            &self.columns,
            &mut |at, segment, place| {
                if let (Some((seq, entry)), Some(decided)) = (entries.get(at), decided.get_mut(at))
                {
                    let facts = Facts {
                        seq: *seq,
                        entry: *entry,
                        indexed: Some((segment, place)),
                        row: None,
                        content: None,
                    };
                    *decided = self.decide(&facts, false, &mut state.found);
                }
            },
        )?;
        let left = entries.into_iter().zip(decided);
        Ok(left
            .filter_map(|(entry, decided)| (!decided).then_some(entry))
            .collect())
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
            body_structure: self.structure,
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
                let facts = Facts {
                    seq: *seq,
                    entry: *entry,
                    indexed: None,
                    row: Some(&row),
                    content: None,
                };
                if !self.decide(&facts, !octets, &mut state.found) {
                    state.open.extend(open(*seq, *entry, &row));
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
                indexed: None,
                row: Some(&row),
                content: Some(&content),
            };
            self.decide(&facts, true, &mut state.found);
            if read > PIECE_OCTETS || begun.elapsed() > Duration::from_millis(50) {
                break;
            }
        }
        Ok(())
    }
}

/// Shows where the index has the messages with these identifiers, by their place among them. Those it has not are left out.
pub fn each_indexed(
    store: &Store,
    told: &ViewSnapshot,
    messages: impl Iterator<Item = MessageId>,
    columns: &[SearchColumn],
    each: &mut dyn FnMut(usize, &Segment<'_>, usize),
) -> ::store::Result<()> {
    let mut wanted: Vec<(MessageId, usize)> =
        messages.enumerate().map(|(at, id)| (id, at)).collect();
    // Mostly they are in order; copies and moves are not.
    if !wanted.is_sorted() {
        wanted.sort_unstable();
    }
    let apart = |one: &(MessageId, usize), other: &(MessageId, usize)| {
        other.0.0.abs_diff(one.0.0) <= NEIGHBOURS
    };
    store.read(|snapshot| {
        for run in wanted.chunk_by(apart) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let mut run = run.iter().peekable();
            let range = (first.0, last.0);
            snapshot.search_segments(told.account(), range, columns, &mut |row| {
                let segment = Segment::open(&row, columns);
                for (place, id) in segment.ids().iter().enumerate() {
                    while run.next_if(|(wanted, _)| wanted < id).is_some() {}
                    // A message may be in the mailbox more than once.
                    while let Some((_, at)) = run.next_if(|(wanted, _)| wanted == id) {
                        each(*at, &segment, place);
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    })
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
        structure: row.body_structure.to_vec(),
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
            body_structure: &self.structure,
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
