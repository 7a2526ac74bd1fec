//! An immutable picture of a mailbox, and the next picture after a change. What does not change is shared between them.

use std::sync::Arc;

use super::chunk::{CHUNK, Chunk};
use super::{Entry, ViewSnapshot};
use crate::change::MailboxChange;
use crate::types::{AccountId, MailboxId, UidRange};

/// What a picture says of the mailbox as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) highest_modseq: u64,
    pub(crate) keywords: Arc<[Arc<str>]>,
    pub(crate) gone: bool,
}

/// Makes a picture from messages as they are read, without keeping them all twice.
#[derive(Default)]
pub(crate) struct Builder {
    chunks: Vec<Arc<Chunk>>,
    pending: Vec<Entry>,
}

impl Builder {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.pending.push(entry);
        if self.pending.len() == CHUNK {
            self.chunks.push(Arc::new(Chunk::new(&self.pending)));
            self.pending.clear();
        }
    }

    pub(crate) fn finish(mut self, head: Head) -> ViewSnapshot {
        if !self.pending.is_empty() {
            self.chunks.push(Arc::new(Chunk::new(&self.pending)));
        }
        ViewSnapshot::from_chunks(head, self.chunks)
    }
}

impl ViewSnapshot {
    pub(crate) fn new(head: Head, entries: impl Iterator<Item = Entry>) -> ViewSnapshot {
        let mut builder = Builder::default();
        entries.for_each(|entry| builder.push(entry));
        builder.finish(head)
    }

    pub(crate) fn from_chunks(head: Head, chunks: Vec<Arc<Chunk>>) -> ViewSnapshot {
        let mut starts = Vec::with_capacity(chunks.len());
        let (mut length, mut unseen) = (0u32, 0u32);
        for chunk in &chunks {
            starts.push(length);
            length += chunk.len() as u32;
            unseen += chunk.unseen();
        }
        ViewSnapshot {
            head,
            chunks,
            starts,
            length,
            unseen,
        }
    }

    /// The picture after a change.
    pub(crate) fn after(&self, change: &MailboxChange) -> ViewSnapshot {
        let mut head = self.head.clone();
        if let Some(modseq) = change.modseq() {
            head.highest_modseq = head.highest_modseq.max(modseq);
        }
        let chunks = match change {
            MailboxChange::Added { entries, .. } => {
                let last = entries.last().map_or(0, |e| e.uid);
                head.uid_next = head.uid_next.max(last.saturating_add(1));
                self.with_added(entries)
            }
            MailboxChange::Flags {
                runs,
                patch,
                modseq,
            } => self.with_changed(runs, &|chunk, runs| chunk.patched(runs, patch, *modseq)),
            MailboxChange::Annotated { runs, modseq, .. } => {
                self.with_changed(runs, &|chunk, runs| Some(chunk.touched(runs, *modseq)))
            }
            MailboxChange::Expunged { uids, .. } => self.without(uids),
            // Told to each view as what it is there.
            MailboxChange::Seen { .. } => self.chunks.clone(),
            MailboxChange::Keyword { bit, name } => {
                if *bit as usize == head.keywords.len() {
                    head.keywords = head.keywords.iter().chain([name]).cloned().collect();
                }
                self.chunks.clone()
            }
            MailboxChange::Gone => {
                head.gone = true;
                Vec::new()
            }
        };
        ViewSnapshot::from_chunks(head, chunks)
    }

    fn with_added(&self, entries: &[Entry]) -> Vec<Arc<Chunk>> {
        let mut chunks = self.chunks.clone();
        let mut tail: Vec<Entry> = Vec::new();
        if let Some(last) = chunks.pop_if(|chunk| chunk.len() < CHUNK) {
            tail.extend(last.entries());
        }
        tail.extend_from_slice(entries);
        chunks.extend(tail.chunks(CHUNK).map(|part| Arc::new(Chunk::new(part))));
        chunks
    }

    /// The chunks with messages of some runs changed; `change` gives the new chunk, if there is one.
    fn with_changed(
        &self,
        runs: &[UidRange],
        change: &dyn Fn(&Chunk, &[UidRange]) -> Option<Chunk>,
    ) -> Vec<Arc<Chunk>> {
        let mut chunks = self.chunks.clone();
        for chunk in &mut chunks {
            let (first, last) = (chunk.first_uid(), chunk.last_uid());
            // The runs ascend and do not overlap.
            let runs = runs
                .get(runs.partition_point(|run| *run.end() < first)..)
                .unwrap_or_default();
            if runs.first().is_none_or(|run| *run.start() > last) {
                continue;
            }
            let runs = runs
                .split_at(runs.partition_point(|run| *run.start() <= last))
                .0;
            if let Some(changed) = change(chunk, runs) {
                *chunk = Arc::new(changed);
            }
        }
        chunks
    }

    fn without(&self, uids: &[u32]) -> Vec<Arc<Chunk>> {
        let mut chunks: Vec<Arc<Chunk>> = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let from = uids.partition_point(|u| *u < chunk.first_uid());
            let to = uids.partition_point(|u| *u <= chunk.last_uid());
            let gone = uids.get(from..to).unwrap_or_default();
            if gone.is_empty() {
                chunks.push(chunk.clone());
                continue;
            }
            let mut rest: Vec<Entry> = chunk
                .entries()
                .filter(|e| gone.binary_search(&e.uid).is_err())
                .collect();
            if rest.is_empty() {
                continue;
            }
            // Small remains are joined with a small neighbour, so that expunging cannot leave thousands of tiny chunks.
            if let Some(before) = chunks.pop_if(|before| before.len() + rest.len() <= CHUNK / 2) {
                rest.splice(0..0, before.entries());
            }
            chunks.push(Arc::new(Chunk::new(&rest)));
        }
        chunks
    }

    /// The chunk and index of a sequence number.
    pub(crate) fn locate(&self, seq: u32) -> Option<(usize, usize)> {
        let position = seq.checked_sub(1).filter(|p| *p < self.length)?;
        let chunk = self
            .starts
            .partition_point(|start| *start <= position)
            .checked_sub(1)?;
        let start = self.starts.get(chunk)?;
        Some((chunk, (position - start) as usize))
    }
}
