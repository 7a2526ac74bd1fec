//! Loading of messages for FETCH, in batches, on threads that may block.
//!
//! A [`Loader`] holds what is still to come: runs of messages, and rows that were read but whose octets were not. Each
//! [`Loader::step`] reads one ordered scan of rows when it has none left, then octets as there is room for, and returns
//! a [`Batch`].
//!
//! Limits: [`BATCH_MESSAGES`], [`BATCH_OCTETS`]. Two batches exist at most per session: one being written, one loaded.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ::imap::FetchAttribute;
use ::store::{
    AccountId, BodyId, BodyRef, Columns, Entry, MailboxId, MessageRow, Store, UidRange,
    ViewSnapshot, Whose,
};

use super::annotate::{self, Annotation};
use super::fetch::Plan;
use super::section::{self, Layout, Span, Value};
use super::selected::{Run, Selected};
use crate::db::Db;

/// Most rows of a scan: enough that its beginning does not count.
const BATCH_MESSAGES: usize = 1024;

/// Octets of a batch. A message that needs more is a batch of its own.
pub const BATCH_OCTETS: usize = 512 * 1024;

/// Rows that are read at once on the session's own thread, where no octets are needed: some microseconds, less than
/// going to another thread and back.
const AT_ONCE: usize = 16;

/// What is still to be loaded.
pub struct Loader {
    /// What for.
    pub plan: Arc<Plan>,
    account: AccountId,
    mailbox: MailboxId,
    /// Whether it is one's own: only then is it one's business where a message went.
    own: bool,
    told: Arc<ViewSnapshot>,
    runs: std::vec::IntoIter<Run>,
    run: Option<Run>,
    /// Messages next in turn.
    wanted: Vec<(u32, Entry)>,
    /// Rows read, octets not.
    rows: VecDeque<Row>,
    /// What the rows refer to.
    text: Arc<Vec<u8>>,
    /// From the highest number down.
    newest_first: bool,
    /// Who asks.
    user: AccountId,
}

/// Some messages, loaded.
#[derive(Default)]
pub struct Batch {
    /// In order.
    pub rows: Vec<Row>,
    /// Envelopes and structures, one behind the other.
    pub text: Arc<Vec<u8>>,
    /// Some messages are not there any more.
    pub missing: bool,
    /// An annotation was asked of a part that a message does not have.
    pub no_part: bool,
    /// A part cannot be decoded.
    pub unknown_encoding: bool,
    /// The first message needs this many octets, more than there was room for; it was not loaded.
    pub large: Option<usize>,
}

/// A message.
pub struct Row {
    /// Its sequence number.
    pub seq: u32,
    /// What the client was told of it.
    pub entry: Entry,
    /// Octets of the message.
    pub size: u64,
    /// Internal date.
    pub received: i64,
    /// Save date (RFC 8514).
    pub saved: i64,
    /// ENVELOPE in the batch's text.
    pub envelope: Range<usize>,
    /// BODYSTRUCTURE in the batch's text.
    pub structure: Range<usize>,
    /// Values of the attributes that need octets, in their order.
    pub values: Vec<Value>,
    /// Its annotations, if asked for.
    pub annotations: Vec<Annotation>,
    /// Names the octets.
    pub email: BodyId,
    /// Names the thread.
    pub thread: Option<i64>,
    index: Range<usize>,
    body: Option<BodyRef>,
}

impl Loader {
    /// A loader for runs of messages that the client was told of.
    pub fn new(selected: &Selected, plan: Arc<Plan>, runs: Vec<Run>, newest_first: bool) -> Loader {
        let mut runs = match newest_first {
            true => pieces(runs),
            false => runs,
        }
        .into_iter();
        Loader {
            plan,
            account: selected.account,
            mailbox: selected.mailbox,
            own: selected.user == selected.account,
            told: Arc::clone(&selected.told),
            run: runs.next(),
            runs,
            wanted: Vec::new(),
            rows: VecDeque::new(),
            text: Arc::default(),
            newest_first,
            user: selected.user,
        }
    }

    /// How many messages are to be loaded, before the first step.
    pub fn count(&self) -> u64 {
        let runs: Vec<Run> = self
            .run
            .iter()
            .chain(self.runs.as_slice())
            .cloned()
            .collect();
        super::selected::count(&runs)
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.rows.is_empty() && self.wanted.is_empty() && self.run.is_none()
    }

    /// Loads the next batch, of at most `room` octets of messages.
    pub async fn step(mut self, db: &Db, room: usize) -> ::store::Result<(Loader, Batch)> {
        self.want();
        let rows_only = self.plan.columns.is_some_and(|columns| !columns.body);
        if rows_only && self.wanted.len() <= AT_ONCE {
            let batch = self.load(db.store(), room)?;
            return Ok((self, batch));
        }
        db.blocking_for(self.user, move |store| {
            let batch = self.load(store, room)?;
            Ok((self, batch))
        })
        .await
    }

    /// Fills up the messages next in turn.
    fn want(&mut self) {
        if !self.rows.is_empty() {
            return;
        }
        while self.wanted.len() < BATCH_MESSAGES
            && let Some(run) = self.run.take()
        {
            let before = self.wanted.len();
            let more = BATCH_MESSAGES.saturating_sub(before);
            let entries = self.told.range(*run.start(), *run.end());
            self.wanted.extend(entries.take(more));
            let taken = u32::try_from(self.wanted.len().saturating_sub(before)).unwrap_or(u32::MAX);
            let rest = run.start().saturating_add(taken.max(1))..=*run.end();
            self.run = if rest.is_empty() {
                self.runs.next()
            } else {
                Some(rest)
            };
            if self.newest_first && !self.wanted.is_empty() {
                return;
            }
        }
    }

    fn load(&mut self, store: &Store, room: usize) -> ::store::Result<Batch> {
        let mut batch = Batch::default();
        if self.rows.is_empty() {
            self.read_rows(store, &mut batch)?;
        }
        batch.text = Arc::clone(&self.text);
        match self.plan.columns {
            Some(columns) if columns.body => self.read_octets(store, &mut batch, room)?,
            _ if self.plan.annotates => self.read_annotations(store, &mut batch, room)?,
            _ => batch.rows.extend(self.rows.drain(..)),
        }
        Ok(batch)
    }

    /// One ordered scan for the rows of the messages next in turn.
    fn read_rows(&mut self, store: &Store, batch: &mut Batch) -> ::store::Result<()> {
        let columns = self.plan.columns.unwrap_or(Columns::ENTRY);
        let wanted = std::mem::take(&mut self.wanted);
        let runs = runs_of_uids(wanted.iter().copied());
        let mut text = Vec::new();
        let mut vanished = Vec::new();
        let mut next = 0;
        let mut full = false;
        // A piece is read wholly, so that it can be turned round.
        let backwards = self.newest_first;
        let rows = &mut self.rows;
        let mut each = |row: MessageRow<'_>| {
            // Both ascend by UID; what is wanted and has no row was expunged.
            while let Some((seq, entry)) = wanted.get(next).filter(|(_, e)| e.uid <= row.uid) {
                next += 1;
                if entry.uid == row.uid {
                    rows.push_back(Row::keep(*seq, *entry, &row, &mut text));
                } else {
                    vanished.push((*seq, *entry));
                }
            }
            full = text.len() > BATCH_OCTETS && !backwards;
            Ok(if full {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        };
        let (account, mailbox) = (self.account, self.mailbox);
        store.read(|snapshot| snapshot.messages(account, mailbox, &runs, columns, &mut each))?;
        let left = wanted.get(next..).unwrap_or_default();
        if full {
            self.wanted = left.to_vec();
        } else {
            vanished.extend_from_slice(left);
        }
        for (seq, entry) in vanished {
            match self.elsewhere(store, seq, entry, &mut text)? {
                Some(row) => {
                    let at = self.rows.partition_point(|row| row.seq < seq);
                    self.rows.insert(at, row);
                }
                None => batch.missing = true,
            }
        }
        if backwards {
            self.rows.make_contiguous().reverse();
        }
        self.text = Arc::new(text);
        Ok(())
    }

    /// A message that another session expunged, which this client could not be told yet, while its content is still
    /// somewhere: it was moved, or there is a copy. When it came into the mailbox went with its place.
    fn elsewhere(
        &self,
        store: &Store,
        seq: u32,
        entry: Entry,
        text: &mut Vec<u8>,
    ) -> ::store::Result<Option<Row>> {
        let dated = |attribute: &FetchAttribute| {
            matches!(
                attribute,
                FetchAttribute::SaveDate | FetchAttribute::ThreadId
            )
        };
        if self.plan.attributes.iter().any(dated) || text.len() > BATCH_OCTETS || !self.own {
            return Ok(None);
        }
        let account = self.account;
        let found = store.read(|snapshot| snapshot.body_of(account, entry.message))?;
        let Some(body) = found else { return Ok(None) };
        let octets = match store.body(&body) {
            Err(::store::Error::NotFound(_)) => return Ok(None),
            other => other?,
        };
        let index = mime::Index::parse(&octets);
        let row = MessageRow {
            uid: entry.uid,
            message: entry.message,
            flags: entry.flags,
            keywords: entry.keywords,
            modseq: entry.modseq,
            size: body.size,
            received: entry.received,
            saved: 0,
            body: Some(body),
            index: &index.to_bytes(),
            envelope: &mime::imap::envelope(&index, &octets),
            body_structure: &mime::imap::bodystructure(&index, &octets),
            email: Some(body.id),
            thread: None,
        };
        Ok(Some(Row::keep(seq, entry, &row, text)))
    }

    /// Reads the annotations of rows, of as many as there is room for.
    fn read_annotations(
        &mut self,
        store: &Store,
        batch: &mut Batch,
        room: usize,
    ) -> ::store::Result<()> {
        let whose = (self.account, self.mailbox);
        let (mut done, mut total) = (0_usize, 0_usize);
        let rows = self.rows.make_contiguous();
        if !self.newest_first {
            done = annotate(store, self.user, whose, rows, room)?;
        } else {
            // They are read upwards, and told downwards.
            for row in rows.iter_mut() {
                if total > room {
                    break;
                }
                let one = std::slice::from_mut(row);
                let more = annotate(store, self.user, whose, one, room)?;
                done = done.saturating_add(more);
                let octets = row.annotations.iter().map(Annotation::octets);
                total = total.saturating_add(octets.sum());
            }
        }
        for row in self.rows.drain(..done) {
            let index = self.text.get(row.index.clone()).unwrap_or_default();
            batch.no_part |= !annotate::has_parts(index, &self.plan.parts);
            batch.rows.push(row);
        }
        Ok(())
    }

    /// Reads the octets that the rows need, as many as there is room for.
    fn read_octets(
        &mut self,
        store: &Store,
        batch: &mut Batch,
        room: usize,
    ) -> ::store::Result<()> {
        let mut total = 0usize;
        while let Some(row) = self.rows.front() {
            let Some(body) = row.body else {
                self.rows.pop_front();
                continue;
            };
            let stored = self.text.get(row.index.clone()).unwrap_or_default();
            let size = usize::try_from(body.size).unwrap_or(usize::MAX);
            let attributes = &self.plan.attributes;
            let layout = Layout::read(stored, self.plan.depth, size);
            // Without an index, because another version wrote it, the message itself says what is where.
            let range = layout
                .as_ref()
                .map_or(0..size, |layout| section::extent(attributes, layout));
            let held = section::held(attributes, layout.as_ref(), &range);
            if held > room.saturating_sub(total) {
                batch.large = (total == 0 && batch.rows.is_empty()).then_some(held);
                break;
            }
            total = total.saturating_add(held);
            let Some(mut row) = self.rows.pop_front() else {
                break;
            };
            let octets = match store.body_range(&body, range.start as u64..range.end as u64) {
                // Expunged and reclaimed since the row was read.
                Err(::store::Error::NotFound(_)) => {
                    batch.missing = true;
                    continue;
                }
                other => other?,
            };
            let layout = layout.unwrap_or_else(|| Layout::Parts(mime::Index::parse(&octets)));
            let start = range.start;
            if self.plan.annotates {
                let rows = std::slice::from_mut(&mut row);
                annotate(store, self.user, (self.account, self.mailbox), rows, room)?;
                batch.no_part |= !annotate::has_parts(stored, &self.plan.parts);
            }
            row.values = section::values(attributes, &layout, Span { start, octets });
            batch.unknown_encoding |= row.values.contains(&Value::UnknownEncoding);
            batch.rows.push(row);
        }
        Ok(())
    }
}

impl Row {
    fn keep(seq: u32, entry: Entry, row: &MessageRow<'_>, text: &mut Vec<u8>) -> Row {
        let mut keep = |octets: &[u8]| {
            let start = text.len();
            text.extend_from_slice(octets);
            start..text.len()
        };
        Row {
            seq,
            entry,
            size: row.size,
            received: row.received,
            saved: row.saved,
            envelope: keep(row.envelope),
            structure: keep(row.body_structure),
            index: keep(row.index),
            email: row.email.unwrap_or(BodyId(0)),
            thread: row.thread,
            body: row.body,
            values: Vec::new(),
            annotations: Vec::new(),
        }
    }
}

/// Messages of a piece that is read wholly and told backwards: small, because its rows are all in memory.
const PIECE: u32 = 64;

/// Ascending runs as pieces, the highest first.
fn pieces(runs: Vec<Run>) -> Vec<Run> {
    let mut pieces = Vec::new();
    for run in runs.into_iter().rev() {
        let (first, mut last) = (*run.start(), *run.end());
        while last >= first && last > 0 {
            let start = last.saturating_sub(PIECE - 1).max(first);
            pieces.push(start..=last);
            last = start.saturating_sub(1);
        }
    }
    pieces
}

/// Gives rows their annotations; how many rows, one at least, have all of theirs. A message has few, so that what is read
/// beyond the room is bounded.
fn annotate(
    store: &Store,
    user: AccountId,
    whose: Whose,
    rows: &mut [Row],
    room: usize,
) -> ::store::Result<usize> {
    let uids: Vec<UidRange> = rows
        .iter()
        .map(|row| row.entry.uid..=row.entry.uid)
        .collect();
    let (mut at, mut total, mut complete) = (0_usize, 0_usize, rows.len());
    store.read(|snapshot| {
        snapshot.message_annotations(user, whose, &uids, &mut |one| {
            while rows.get(at).is_some_and(|row| row.entry.uid < one.uid) {
                at = at.saturating_add(1);
            }
            let Some(row) = rows.get_mut(at).filter(|row| row.entry.uid == one.uid) else {
                return Ok(ControlFlow::Continue(()));
            };
            if total > room && row.annotations.is_empty() {
                complete = at;
                return Ok(ControlFlow::Break(()));
            }
            // Names are as long as some hundred octets, also of values that are empty.
            total = total
                .saturating_add(one.value.len())
                .saturating_add(one.name.len());
            row.annotations.push(Annotation {
                shared: one.shared,
                name: one.name.to_owned(),
                value: one.value.to_vec(),
            });
            Ok(ControlFlow::Continue(()))
        })
    })?;
    Ok(complete)
}

/// Runs of UIDs that hold these messages and nothing else the client knows.
pub fn runs_of_uids(wanted: impl Iterator<Item = (u32, Entry)>) -> Vec<UidRange> {
    let mut runs: Vec<UidRange> = Vec::new();
    let mut before = None;
    for (seq, entry) in wanted {
        match runs.last_mut() {
            Some(run) if before.is_some_and(|before: u32| before.checked_add(1) == Some(seq)) => {
                *run = *run.start()..=entry.uid;
            }
            _ => runs.push(entry.uid..=entry.uid),
        }
        before = Some(seq);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::store::{Flags, MessageId};

    fn entry(uid: u32) -> Entry {
        Entry {
            uid,
            flags: Flags::NONE,
            keywords: 0,
            modseq: 1,
            message: MessageId(1),
            received: 0,
        }
    }

    #[test]
    fn pieces_come_from_the_end() {
        assert_eq!(
            pieces(vec![3..=5, 100..=230]),
            [167..=230, 103..=166, 100..=102, 3..=5]
        );
        assert_eq!(pieces(vec![1..=1]), [1..=1]);
    }

    #[test]
    fn runs_hold_what_is_wanted_only() {
        let wanted = [(1, entry(5)), (2, entry(9)), (4, entry(12)), (5, entry(13))];
        assert_eq!(runs_of_uids(wanted.into_iter()), [5..=9, 12..=13]);
        assert_eq!(runs_of_uids(std::iter::empty()), []);
    }
}
