//! The queue of what a session wants to send.
//!
//! Invariants: octets leave in the order they were put. Small pieces are gathered into chunks, large owned ones
//! are queued without a copy. An empty queue holds no memory.
//!
//! Limits: none of its own; a session answers one event at a time and its driver flushes between answers, and
//! inside long ones above 256 KiB ([`Output::pending`]).

use std::collections::VecDeque;
use std::io::IoSlice;

/// Small pieces are gathered up to this size: about one TLS record.
const CHUNK: usize = 16 * 1024;

/// Owned pieces up to this size are copied behind the last chunk, which is cheaper than another write.
const COPY: usize = 1024;

/// The queue of octets to send.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Vec<u8>>,
    /// Octets of the first chunk that were sent already.
    sent: usize,
    pending: usize,
}

impl Output {
    /// An empty queue.
    pub fn new() -> Output {
        Output::default()
    }

    /// Queues a copy of `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.pending = self.pending.saturating_add(bytes.len());
        match self.chunks.back_mut() {
            Some(last) if last.len().saturating_add(bytes.len()) <= CHUNK => {
                last.extend_from_slice(bytes)
            }
            // The first chunk is as small as a reply; behind it an answer is long, and grows into the next at once.
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK.max(bytes.len()));
                chunk.extend_from_slice(bytes);
                self.chunks.push_back(chunk);
            }
            None => self.chunks.push_back(bytes.to_vec()),
        }
    }

    /// Queues `bytes` without copying them, unless they are few.
    pub fn put_owned(&mut self, bytes: Vec<u8>) {
        if bytes.len() <= COPY {
            return self.put(&bytes);
        }
        self.pending = self.pending.saturating_add(bytes.len());
        self.chunks.push_back(bytes);
    }

    /// How many octets wait to be sent.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Takes the next chunk; the caller sends all of it.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let mut chunk = self.chunks.pop_front()?;
        if self.sent > 0 {
            chunk.drain(..self.sent.min(chunk.len()));
            self.sent = 0;
        }
        self.pending = self.pending.saturating_sub(chunk.len());
        self.release();
        Some(chunk)
    }

    /// Up to `max` slices for a vectored write, to be followed by [`Output::advance`].
    pub fn write_slices(&self, max: usize) -> Vec<IoSlice<'_>> {
        let skip = std::iter::once(self.sent).chain(std::iter::repeat(0));
        let slices = self.chunks.iter().zip(skip).take(max);
        slices
            .map(|(chunk, skip)| IoSlice::new(chunk.get(skip..).unwrap_or_default()))
            .collect()
    }

    /// Drops `count` octets from the front: they were sent.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.pending);
        self.pending = self.pending.saturating_sub(left);
        while let Some(first) = self.chunks.front() {
            let rest = first.len().saturating_sub(self.sent);
            if left < rest {
                self.sent = self.sent.saturating_add(left);
                return;
            }
            left = left.saturating_sub(rest);
            self.sent = 0;
            self.chunks.pop_front();
        }
        self.release();
    }

    /// Forgets everything that was queued.
    pub fn clear(&mut self) {
        *self = Output::default();
    }

    fn release(&mut self) {
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_pieces_share_a_chunk_and_large_ones_move_in() {
        let mut output = Output::new();
        output.put(b"+OK\r\n");
        output.put(b"");
        output.put_owned(b"small".to_vec());
        let large = vec![b'x'; 100_000];
        let place = large.as_ptr();
        output.put_owned(large);
        assert_eq!((output.pending(), output.chunks.len()), (100_010, 2));
        assert_eq!(output.take().as_deref(), Some(&b"+OK\r\nsmall"[..]));
        assert_eq!(output.take().map(|chunk| chunk.as_ptr()), Some(place));
        assert_eq!(output.take(), None);
        assert_eq!((output.pending(), output.chunks.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn octets_leave_in_order(
            pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..3000), any::<bool>()), 0..12),
            advances in proptest::collection::vec(0_usize..5000, 0..30),
        ) {
            let mut output = Output::new();
            let mut expected = Vec::new();
            for (piece, owned) in pieces {
                expected.extend_from_slice(&piece);
                if owned { output.put_owned(piece) } else { output.put(&piece) }
            }
            let mut sent = Vec::new();
            for count in advances {
                let flat: Vec<u8> = output.write_slices(64).iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert_eq!(flat.len(), output.pending());
                sent.extend_from_slice(&flat[..count.min(flat.len())]);
                output.advance(count);
            }
            while let Some(chunk) = output.take() {
                sent.extend_from_slice(&chunk);
            }
            prop_assert_eq!(sent, expected);
            prop_assert!(output.is_empty());
        }
    }
}
