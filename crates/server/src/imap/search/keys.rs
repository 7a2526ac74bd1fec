//! What SORT and THREAD compare, for the messages a search found: from the view, the index, and for what is not indexed
//! from rows and headers.
//!
//! Limits: the working time of the search before counts; texts take the room they have in the index, for the messages
//! found.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::store::{AccountId, BodyRef, Columns, MessageId, SearchColumn, Store, ViewSnapshot};
use mime::Message;

use super::digest::{Digest, Id};
use super::fold::Collation;
use super::run::{Hit, WORK, each_indexed};
use crate::imap::error::{self, Failure};
use crate::shared::Shared;

/// Messages found up to which this is done on the session's own thread.
const AT_ONCE: usize = 256;

/// Messages that are not indexed and read between looks at the time.
const TURN: usize = 512;

/// What to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Texts, by column.
    pub texts: Vec<SearchColumn>,
    /// Sent dates, and whether a message answers another.
    pub dates: bool,
    /// Internal dates and sizes.
    pub rows: bool,
    /// Identifiers and references.
    pub threads: bool,
    /// Values of annotations: who looks, whether it is the shared one, and of which entry.
    pub annotations: Vec<(AccountId, bool, String)>,
    /// The active comparator.
    pub collation: Collation,
}

/// What was loaded; everything has as many places as there were messages.
#[derive(Debug, Default)]
pub struct Keys {
    /// For each text wanted, where that of each message is in `text`.
    pub texts: Vec<Vec<(u32, u32)>>,
    /// For each value wanted of annotations, where that of each message is in `text`.
    pub annotations: Vec<Vec<(u32, u32)>>,
    text: Vec<u8>,
    /// Sent date, or internal date for want of one (RFC 5256 §2.2).
    pub sent: Vec<i64>,
    /// Whether the subject is that of a reply or forward.
    pub reply: Vec<bool>,
    /// Internal dates.
    pub received: Vec<i64>,
    /// Octets.
    pub sizes: Vec<u64>,
    /// Identifiers.
    pub ids: Vec<Option<Id>>,
    /// Where the references of each message are in `references`.
    pub spans: Vec<(u32, u32)>,
    /// References of all messages.
    pub references: Vec<Id>,
}

impl Keys {
    /// Messages without a date of their own have that of their arrival (RFC 5256 §2.2).
    fn dated(mut self) -> Keys {
        for (sent, received) in self.sent.iter_mut().zip(&self.received) {
            if *sent == i64::MIN {
                *sent = *received;
            }
        }
        self
    }

    /// A text that [`Keys::texts`] points to.
    pub fn text(&self, span: (u32, u32)) -> &[u8] {
        self.text
            .get(span.0 as usize..span.1 as usize)
            .unwrap_or_default()
    }

    /// Adds a text.
    #[cfg(test)]
    pub fn put_text(&mut self, text: &[u8]) -> (u32, u32) {
        let mut span = [(0, 0)];
        put(&mut self.text, &mut span, 0, text);
        span[0]
    }

    /// References of a message.
    pub fn references_of(&self, at: usize) -> &[Id] {
        let span = self.spans.get(at).copied().unwrap_or_default();
        self.references
            .get(span.0 as usize..span.1 as usize)
            .unwrap_or_default()
    }
}

/// Loads what is wanted, in turns with the searches of other accounts. `spent` is the working time so far.
pub async fn load(
    shared: &Arc<Shared>,
    user: AccountId,
    told: &Arc<ViewSnapshot>,
    hits: &Arc<Vec<Hit>>,
    wanted: Wanted,
    mut spent: Duration,
) -> Result<Keys, Failure> {
    let loader = Loader {
        told: Arc::clone(told),
        hits: Arc::clone(hits),
        wanted,
    };
    if hits.len() <= AT_ONCE {
        let (mut keys, missing) = loader.begin(shared.db.store())?;
        loader.read_rows(shared.db.store(), &mut keys, &[], &missing)?;
        return Ok(keys.dated());
    }
    let loader = Arc::new(loader);
    let begin = {
        let loader = Arc::clone(&loader);
        move |store: &Store| Ok(timed(|| loader.begin(store)))
    };
    let turn = shared.searches.take(user).await;
    let (begun, time) = shared.db.blocking_for(user, begin).await?;
    drop(turn);
    let (mut keys, missing) = begun?;
    spent = spent.saturating_add(time);
    for some in missing.chunks(TURN) {
        if spent > WORK {
            return Err(error::TOO_MUCH_WORK.into());
        }
        let (loader, some) = (Arc::clone(&loader), some.to_vec());
        let read = move |store: &Store| {
            Ok(timed(|| {
                loader.read_rows(store, &mut keys, &[], &some)?;
                Ok(keys)
            }))
        };
        let _turn = shared.searches.take(user).await;
        let (read, time) = shared.db.blocking_for(user, read).await?;
        keys = read?;
        spent = spent.saturating_add(time);
    }
    Ok(keys.dated())
}

/// What work came to, and how long it took.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> (Result<T, Failure>, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

/// A message that is not indexed: its place, its envelope, and where its header is.
type Unread = (usize, Vec<u8>, Option<(BodyRef, std::ops::Range<u64>)>);

struct Loader {
    told: Arc<ViewSnapshot>,
    hits: Arc<Vec<Hit>>,
    wanted: Wanted,
}

impl Loader {
    /// All that is indexed, and dates and sizes of everything; the places of what is not indexed are left, ascending.
    fn begin(&self, store: &Store) -> Result<(Keys, Vec<usize>), Failure> {
        let count = self.hits.len();
        let mut keys = Keys {
            texts: vec![vec![(0, 0); count]; self.wanted.texts.len()],
            sent: vec![i64::MIN; count],
            reply: vec![false; count],
            ids: vec![None; count],
            spans: vec![(0, 0); count],
            ..Keys::default()
        };
        self.read_annotations(store, &mut keys)?;
        let mut missing = self.read_index(store, &mut keys)?;
        if self.wanted.rows {
            keys.received = vec![0; count];
            keys.sizes = vec![0; count];
            self.read_rows(store, &mut keys, &(0..count).collect::<Vec<_>>(), &[])?;
        } else if self.wanted.dates {
            // RFC 5256 §2.2: without a date of its own, a message has that of its arrival.
            let dateless: Vec<usize> = (0..count)
                .filter(|at| keys.sent.get(*at) == Some(&i64::MIN))
                .collect();
            keys.received = vec![0; count];
            keys.sizes = vec![0; count];
            self.read_rows(store, &mut keys, &dateless, &[])?;
        }
        missing.sort_unstable();
        Ok((keys, missing))
    }

    /// Values of annotations (RFC 5257 §4.9). A message without one has the empty text.
    fn read_annotations(&self, store: &Store, keys: &mut Keys) -> Result<(), Failure> {
        let uids: Vec<u32> = self.hits.iter().map(|hit| hit.uid).collect();
        let whose = (self.told.account(), self.told.mailbox());
        for (user, shared, entry) in &self.wanted.annotations {
            let mut spans = vec![(0, 0); uids.len()];
            store.read(|snapshot| {
                snapshot.message_annotations(*user, whose, &runs(&uids), &mut |one| {
                    if let (true, Ok(at)) = (
                        one.shared == *shared && one.name == entry.as_str(),
                        uids.binary_search(&one.uid),
                    ) {
                        let text = String::from_utf8_lossy(one.value);
                        let folded = self.wanted.collation.fold(&text);
                        put(&mut keys.text, &mut spans, at, folded.as_bytes());
                    }
                    Ok(ControlFlow::Continue(()))
                })
            })?;
            keys.annotations.push(spans);
        }
        Ok(())
    }

    /// Takes what the index has; returns the places of the others.
    fn read_index(&self, store: &Store, keys: &mut Keys) -> Result<Vec<usize>, Failure> {
        let wanted = &self.wanted;
        let needed = wanted.dates || wanted.threads || !wanted.texts.is_empty();
        if !needed {
            return Ok(Vec::new());
        }
        if wanted.collation != Collation::UnicodeCasemap {
            return Ok((0..self.hits.len()).collect());
        }
        let mut columns = vec![SearchColumn::Ids];
        columns.extend(&wanted.texts);
        if wanted.dates {
            columns.push(SearchColumn::Dates);
        }
        if wanted.threads {
            columns.push(SearchColumn::Threads);
        }
        let mut done = vec![false; self.hits.len()];
        let messages = self.messages();
        each_indexed(
            store,
            &self.told,
            messages.into_iter(),
            &columns,
            &mut |at, segment, place| {
                for (column, spans) in wanted.texts.iter().zip(&mut keys.texts) {
                    let text = segment.text(*column, place).unwrap_or_default();
                    put(&mut keys.text, spans, at, text);
                }
                if wanted.dates {
                    let dates = segment.dates(place).unwrap_or_default();
                    set(&mut keys.sent, at, dates.sent.unwrap_or(i64::MIN));
                    set(&mut keys.reply, at, dates.reply);
                }
                if wanted.threads {
                    let from = keys.references.len() as u32;
                    let id = segment.thread(place, &mut keys.references).flatten();
                    set(&mut keys.ids, at, id);
                    set(&mut keys.spans, at, (from, keys.references.len() as u32));
                }
                set(&mut done, at, true);
            },
        )?;
        Ok((0..done.len())
            .filter(|at| done.get(*at) == Some(&false))
            .collect())
    }

    fn messages(&self) -> Vec<MessageId> {
        let entry = |hit: &Hit| self.told.entry(hit.seq).map(|entry| entry.message);
        self.hits
            .iter()
            .map(|hit| entry(hit).unwrap_or(MessageId(i64::MAX)))
            .collect()
    }

    /// Reads rows: internal dates and sizes of the messages at `plain`, all of those at `unindexed`. Both ascend, and so
    /// do UIDs.
    fn read_rows(
        &self,
        store: &Store,
        keys: &mut Keys,
        plain: &[usize],
        unindexed: &[usize],
    ) -> Result<(), Failure> {
        let full = !unindexed.is_empty();
        let places = if full { unindexed } else { plain };
        let uids: Vec<u32> = places
            .iter()
            .filter_map(|at| self.hits.get(*at).map(|hit| hit.uid))
            .collect();
        let columns = Columns {
            envelope: full,
            index: full && self.wanted.threads,
            body: full && self.wanted.threads,
            ..Columns::ENTRY
        };
        let mut rows: Vec<Unread> = Vec::new();
        let mut pairs = uids.iter().zip(places).peekable();
        store.read(|snapshot| {
            let runs = runs(&uids);
            let told = &self.told;
            snapshot.messages(told.account(), told.mailbox(), &runs, columns, &mut |row| {
                while pairs.next_if(|(uid, _)| **uid < row.uid).is_some() {}
                if let Some((_, at)) = pairs.next_if(|(uid, _)| **uid == row.uid) {
                    if keys.received.is_empty() {
                        keys.received = vec![0; self.hits.len()];
                        keys.sizes = vec![0; self.hits.len()];
                    }
                    set(&mut keys.received, *at, row.received);
                    set(&mut keys.sizes, *at, row.size);
                    if full {
                        let header =
                            mime::Index::from_bytes(row.index).map_or(0..row.size, |index| {
                                let range = index.root().header_range();
                                range.start as u64..range.end as u64
                            });
                        rows.push((
                            *at,
                            row.envelope.to_vec(),
                            row.body.map(|body| (body, header)),
                        ));
                    }
                }
                Ok(ControlFlow::Continue(()))
            })
        })?;
        for (at, envelope, body) in rows {
            let header = match body {
                Some((body, range)) => match store.body_range(&body, range) {
                    Err(::store::Error::NotFound(_)) => Vec::new(),
                    other => other?,
                },
                None => Vec::new(),
            };
            let message = self.wanted.threads.then(|| Message::parse(&header));
            let digest = Digest::new(&envelope, message.as_ref(), self.wanted.collation);
            self.take(keys, at, digest);
        }
        Ok(())
    }

    fn take(&self, keys: &mut Keys, at: usize, digest: Digest) {
        for (column, spans) in self.wanted.texts.iter().zip(&mut keys.texts) {
            let text = match column {
                SearchColumn::SortFrom => &digest.sort_from,
                SearchColumn::SortTo => &digest.sort_to,
                SearchColumn::SortCc => &digest.sort_cc,
                SearchColumn::DisplayFrom => &digest.display_from,
                SearchColumn::DisplayTo => &digest.display_to,
                _ => &digest.base,
            };
            put(&mut keys.text, spans, at, text.as_bytes());
        }
        set(&mut keys.sent, at, digest.dates.sent.unwrap_or(i64::MIN));
        set(&mut keys.reply, at, digest.dates.reply);
        set(&mut keys.ids, at, digest.id);
        let from = keys.references.len() as u32;
        keys.references.extend(digest.references);
        set(&mut keys.spans, at, (from, keys.references.len() as u32));
    }
}

fn set<T>(list: &mut [T], at: usize, value: T) {
    if let Some(place) = list.get_mut(at) {
        *place = value;
    }
}

fn put(texts: &mut Vec<u8>, spans: &mut [(u32, u32)], at: usize, text: &[u8]) {
    let from = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    texts.extend_from_slice(text);
    let to = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    set(spans, at, (from, to));
}

/// Runs that hold these UIDs; a few rows too many cost less than another run.
fn runs(uids: &[u32]) -> Vec<::store::UidRange> {
    let mut runs: Vec<::store::UidRange> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some(run) if uid.saturating_sub(*run.end()) <= 8 => *run = *run.start()..=*uid,
            _ => runs.push(*uid..=*uid),
        }
    }
    runs
}
