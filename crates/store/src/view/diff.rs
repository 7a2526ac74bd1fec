//! What happened between two pictures of one mailbox.

use std::cmp::Ordering;
use std::sync::Arc;

use super::chunk::Chunk;
use super::{Diff, Entry, Expunged, ViewSnapshot};

/// Walks over the messages of a picture; can step over a whole chunk.
struct Walk<'v> {
    chunks: &'v [Arc<Chunk>],
    chunk: usize,
    index: usize,
    seq: u32,
}

impl<'v> Walk<'v> {
    fn new(view: &'v ViewSnapshot) -> Walk<'v> {
        Walk {
            chunks: &view.chunks,
            chunk: 0,
            index: 0,
            seq: 1,
        }
    }

    fn peek(&self) -> Option<Entry> {
        self.chunks.get(self.chunk)?.entry(self.index)
    }

    /// The chunk at whose beginning the walk stands.
    fn at_beginning(&self) -> Option<&'v Arc<Chunk>> {
        self.chunks.get(self.chunk).filter(|_| self.index == 0)
    }

    fn step(&mut self) {
        self.seq += 1;
        self.index += 1;
        if self
            .chunks
            .get(self.chunk)
            .is_none_or(|chunk| self.index >= chunk.len())
        {
            self.chunk += 1;
            self.index = 0;
        }
    }

    fn skip_chunk(&mut self) {
        self.seq += self
            .chunks
            .get(self.chunk)
            .map_or(0, |chunk| chunk.len() as u32);
        self.chunk += 1;
        self.index = 0;
    }
}

/// See [`ViewSnapshot::diff`].
pub(crate) fn diff(old: &ViewSnapshot, new: &ViewSnapshot) -> Diff {
    let mut diff = Diff {
        keywords_added: old.head.keywords.len() < new.head.keywords.len(),
        gone: !old.head.gone && new.head.gone,
        ..Diff::default()
    };
    // Chunks shrink and join when messages vanish, so a shared chunk may stand at different places; but whatever is before it,
    // both walks come to its beginning together.
    let (mut left, mut right) = (Walk::new(old), Walk::new(new));
    loop {
        let both = left.at_beginning().zip(right.at_beginning());
        if both.is_some_and(|(old, new)| Arc::ptr_eq(old, new)) {
            left.skip_chunk();
            right.skip_chunk();
            continue;
        }
        // Flags were changed, and nobody came or went: the columns are compared.
        if let Some((old, new)) = both.filter(|(old, new)| old.has_same_uids(new)) {
            let first = right.seq;
            diff.changed
                .extend(old.changed_in(new).map(|(at, entry)| (first + at, entry)));
            left.skip_chunk();
            right.skip_chunk();
            continue;
        }
        match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(a), None) => {
                diff.expunged.push(Expunged {
                    seq: left.seq,
                    uid: a.uid,
                });
                left.step();
            }
            (None, Some(_)) => {
                diff.new = Some(right.seq..=new.length);
                break;
            }
            (Some(a), Some(b)) => match a.uid.cmp(&b.uid) {
                Ordering::Equal => {
                    if a != b {
                        diff.changed.push((right.seq, b));
                    }
                    left.step();
                    right.step();
                }
                Ordering::Less => {
                    diff.expunged.push(Expunged {
                        seq: left.seq,
                        uid: a.uid,
                    });
                    left.step();
                }
                // A message below others that is only in the newer picture: the pictures are the wrong way round.
                Ordering::Greater => right.step(),
            },
        }
    }
    diff.expunged.reverse();
    diff
}

/// See [`ViewSnapshot::keeping_new`].
pub(crate) fn keeping_new(old: &Arc<ViewSnapshot>, new: &Arc<ViewSnapshot>) -> Arc<ViewSnapshot> {
    let last = old.head.uid_next;
    if new.count_below(last) == new.length {
        return new.clone();
    }
    let mut head = new.head.clone();
    head.uid_next = last;
    let known = new.iter().map(|(_, entry)| entry);
    let known = known.take_while(|entry| entry.uid < last);
    Arc::new(ViewSnapshot::new(head, known))
}

/// See [`ViewSnapshot::keeping_expunged`].
pub(crate) fn keeping_expunged(
    old: &Arc<ViewSnapshot>,
    new: &Arc<ViewSnapshot>,
) -> Arc<ViewSnapshot> {
    let gone = diff(old, new).expunged;
    if gone.is_empty() {
        return new.clone();
    }
    let mut kept = gone
        .iter()
        .rev()
        .filter_map(|gone| old.entry_of(gone.uid))
        .peekable();
    let mut merged: Vec<Entry> = Vec::with_capacity(new.length as usize + gone.len());
    for (_, entry) in new.iter() {
        while let Some(before) = kept.next_if(|kept| kept.uid < entry.uid) {
            merged.push(before);
        }
        merged.push(entry);
    }
    merged.extend(kept);
    Arc::new(ViewSnapshot::new(new.head.clone(), merged.into_iter()))
}
