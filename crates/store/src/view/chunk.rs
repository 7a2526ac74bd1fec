//! A chunk: up to 512 neighbouring messages, immutable, in columns.
//!
//! A message takes 17 octets (UID 4, flags 1, modseq 4, content 4, internal date 4), 8 more in chunks where any message has
//! a keyword, and 8 instead of 4 where a chunk's modseqs, contents or dates lie too far apart for 32 bits.

use crate::change::Patch;
use crate::types::{Flags, MessageId, UidRange};

use super::Entry;

/// Messages in a full chunk: small enough that changing one message copies little, large enough that an unchanged million
/// is skipped in two thousand steps.
pub(crate) const CHUNK: usize = 512;

/// Up to [`CHUNK`] messages, never empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    uids: Box<[u32]>,
    flags: Box<[u8]>,
    modseqs: Column,
    messages: Column,
    received: Column,
    /// None where no message has a keyword.
    keywords: Option<Box<[u64]>>,
    unseen: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Near { base: u64, offsets: Box<[u32]> },
    Far(Box<[u64]>),
}

impl Column {
    fn new(values: impl Iterator<Item = u64> + Clone) -> Column {
        let base = values.clone().min().unwrap_or(0);
        let near: Option<Box<[u32]>> = values
            .clone()
            .map(|v| u32::try_from(v - base).ok())
            .collect();
        near.map_or_else(
            || Column::Far(values.collect()),
            |offsets| Column::Near { base, offsets },
        )
    }

    fn values(&self, length: usize) -> Vec<u64> {
        (0..length).map(|index| self.at(index)).collect()
    }

    fn at(&self, index: usize) -> u64 {
        match self {
            Column::Near { base, offsets } => {
                base + u64::from(offsets.get(index).copied().unwrap_or(0))
            }
            Column::Far(values) => values.get(index).copied().unwrap_or(0),
        }
    }
}

impl Chunk {
    pub(crate) fn new(entries: &[Entry]) -> Chunk {
        let keywords = entries.iter().any(|e| e.keywords != 0);
        Chunk {
            uids: entries.iter().map(|e| e.uid).collect(),
            flags: entries.iter().map(|e| e.flags.0).collect(),
            modseqs: Column::new(entries.iter().map(|e| e.modseq)),
            messages: Column::new(entries.iter().map(|e| e.message.0 as u64)),
            received: Column::new(entries.iter().map(|e| e.received as u64)),
            keywords: keywords.then(|| entries.iter().map(|e| e.keywords).collect()),
            unseen: entries
                .iter()
                .filter(|e| !e.flags.contains(Flags::SEEN))
                .count() as u32,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.uids.len()
    }

    pub(crate) fn unseen(&self) -> u32 {
        self.unseen
    }

    pub(crate) fn first_uid(&self) -> u32 {
        self.uids.first().copied().unwrap_or(0)
    }

    pub(crate) fn last_uid(&self) -> u32 {
        self.uids.last().copied().unwrap_or(0)
    }

    /// Number of messages with a UID below this one.
    pub(crate) fn count_below(&self, uid: u32) -> usize {
        self.uids.partition_point(|u| *u < uid)
    }

    pub(crate) fn uid(&self, index: usize) -> Option<u32> {
        self.uids.get(index).copied()
    }

    pub(crate) fn flags(&self, index: usize) -> Flags {
        Flags(self.flags.get(index).copied().unwrap_or(0))
    }

    pub(crate) fn entry(&self, index: usize) -> Option<Entry> {
        Some(Entry {
            uid: self.uid(index)?,
            flags: self.flags(index),
            keywords: self
                .keywords
                .as_ref()
                .and_then(|k| k.get(index).copied())
                .unwrap_or(0),
            modseq: self.modseqs.at(index),
            message: MessageId(self.messages.at(index) as i64),
            received: self.received.at(index) as i64,
        })
    }

    /// Whether another chunk has the same messages.
    pub(crate) fn has_same_uids(&self, other: &Chunk) -> bool {
        self.uids == other.uids
    }

    /// What changed up to another chunk of the same messages: places from 0 on, and the messages as they are there.
    pub(crate) fn changed_in<'c>(&'c self, new: &'c Chunk) -> impl Iterator<Item = (u32, Entry)> {
        let keywords = |chunk: &Chunk, at: usize| {
            let keywords = chunk.keywords.as_ref();
            keywords.and_then(|k| k.get(at).copied()).unwrap_or(0)
        };
        let differs = move |at: &usize| {
            self.flags.get(*at) != new.flags.get(*at)
                || self.modseqs.at(*at) != new.modseqs.at(*at)
                || keywords(self, *at) != keywords(new, *at)
        };
        let changed = (0..new.len()).filter(differs);
        changed.filter_map(|at| Some((at as u32, new.entry(at)?)))
    }

    /// The chunk after a change of the flags of these runs; `None` if it changes nothing in it.
    pub(crate) fn patched(&self, runs: &[UidRange], patch: &Patch, modseq: u64) -> Option<Chunk> {
        let mut flags = self.flags.clone();
        let mut keywords: Option<Vec<u64>> = self.keywords.as_deref().map(<[u64]>::to_vec);
        let mut modseqs: Option<Vec<u64>> = None;
        for run in runs {
            let (from, to) = (self.count_below(*run.start()), self.count_up_to(*run.end()));
            for at in from..to {
                let flag = flags.get_mut(at)?;
                let known = keywords.as_ref().and_then(|k| k.get(at).copied());
                let Some((new_flags, new_keywords)) =
                    patch.apply(*flag, known.unwrap_or(0), self.modseqs.at(at))
                else {
                    continue;
                };
                *flag = new_flags;
                if new_keywords != known.unwrap_or(0) {
                    let keywords = keywords.get_or_insert_with(|| vec![0; self.len()]);
                    *keywords.get_mut(at)? = new_keywords;
                }
                let modseqs = modseqs.get_or_insert_with(|| self.modseqs.values(self.len()));
                *modseqs.get_mut(at)? = modseq;
            }
        }
        let modseqs = modseqs?;
        let keywords = keywords.filter(|keywords| keywords.iter().any(|bits| *bits != 0));
        let unseen = flags.iter().filter(|f| **f & Flags::SEEN.0 == 0).count() as u32;
        Some(Chunk {
            uids: self.uids.clone(),
            flags,
            modseqs: Column::new(modseqs.iter().copied()),
            messages: self.messages.clone(),
            received: self.received.clone(),
            keywords: keywords.map(Vec::into_boxed_slice),
            unseen,
        })
    }

    /// The chunk with another modseq for the messages of these runs, whose annotations changed.
    pub(crate) fn touched(&self, runs: &[UidRange], modseq: u64) -> Chunk {
        let mut entries: Vec<Entry> = self.entries().collect();
        for run in runs {
            let (from, to) = (self.count_below(*run.start()), self.count_up_to(*run.end()));
            for entry in entries.get_mut(from..to).unwrap_or_default() {
                entry.modseq = modseq;
            }
        }
        Chunk::new(&entries)
    }

    fn count_up_to(&self, uid: u32) -> usize {
        self.uids.partition_point(|u| *u <= uid)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).filter_map(|index| self.entry(index))
    }
}
