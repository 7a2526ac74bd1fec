//! A chunk: up to 512 neighbouring messages, immutable, in columns.
//!
//! A message takes 13 octets (UID 4, flags 1, modseq 4, content 4), 8 more in chunks where any message has a keyword, and 8
//! instead of 4 where a chunk's modseqs or contents lie too far apart for 32 bits.

use crate::types::{Flags, MessageId};

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
    /// None where no message has a keyword.
    keywords: Option<Box<[u64]>>,
    unseen: u32,
}

#[derive(Debug, PartialEq, Eq)]
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
        })
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).filter_map(|index| self.entry(index))
    }
}
