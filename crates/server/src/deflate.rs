//! DEFLATE in both directions of a connection (RFC 4978), raw as in RFC 1951.
//!
//! Owns: the state of the peer's stream, and octets that were received and not inflated. What is sent is compressed piece
//! by piece with a compressor that belongs to the thread, so that an idle connection keeps none; each piece ends at an
//! octet boundary (a sync flush), and begins without a dictionary, which the peer's side need not know.
//!
//! Invariants: octets are inflated in windows of at most [`WINDOW`], and the next only once the session has dealt with the
//! one before, so that a bomb meets the same limits as anybody else's octets.
//!
//! Limits: [`RATIO`], [`DRY`].

use std::cell::RefCell;
use std::collections::VecDeque;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Octets inflated at once.
const WINDOW: usize = 64 * 1024;

/// What comes in at once up to this size is inflated line by line, so that it is known which octets a command ended
/// compression with (RFC 8437 §4.1). More than this at once is a message.
const CAREFUL: usize = 4 * 1024;

/// Most octets that one may become, over [`STRETCH`] of them: no text of a client's comes near it, and the format itself
/// ends at 1032 (attack A19).
const RATIO: u64 = 200;
/// Inflated octets over which the ratio is looked at.
const STRETCH: u64 = 1 << 20;

/// Octets received between two looks at whether they say anything: empty blocks cost work and are no command.
const DRY: u64 = 64 * 1024;
/// One octet at least comes of so many.
const DRY_RATIO: u64 = 8;

/// Fast rather than small: replies are compressed by the core that also serves everybody else.
const LEVEL: u32 = 2;

thread_local! {
    static COMPRESSOR: RefCell<Compress> =
        RefCell::new(Compress::new(Compression::new(LEVEL), false));
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; WINDOW].into_boxed_slice());
}

/// The peer's stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It is not DEFLATE.
    #[error("the compressed stream is damaged or ended")]
    Damaged,
    /// It grows beyond anything a client has to say, or says nothing at great length.
    #[error("the compressed stream is a bomb")]
    Bomb,
}

/// Compression of one connection.
#[derive(Debug)]
pub struct Deflate {
    inflate: Decompress,
    /// Received; from `at` on not inflated.
    waiting: Vec<u8>,
    at: usize,
    /// The last window was full, so that there may be more without more input.
    full: bool,
    ended: bool,
    /// Since the last look at their ratio.
    received: u64,
    inflated: u64,
    /// Since the last look at whether anything was said.
    dry_received: u64,
    dry_inflated: u64,
}

impl Default for Deflate {
    fn default() -> Deflate {
        Deflate {
            inflate: Decompress::new(false),
            waiting: Vec::new(),
            at: 0,
            full: false,
            ended: false,
            received: 0,
            inflated: 0,
            dry_received: 0,
            dry_inflated: 0,
        }
    }
}

impl Deflate {
    /// Takes octets from the peer.
    pub fn receive(&mut self, octets: &[u8]) {
        self.waiting.extend_from_slice(octets);
    }

    /// Whether there is something to inflate.
    pub fn has_more(&self) -> bool {
        self.full || self.at < self.waiting.len()
    }

    /// Inflates the next window and hands it to `take`. Answers its size, which may be 0.
    pub fn window(&mut self, take: impl FnOnce(&[u8])) -> Result<usize, Broken> {
        BUFFER.with_borrow_mut(|buffer| {
            let filled = self.fill(buffer)?;
            take(buffer.get(..filled).unwrap_or_default());
            Ok(filled)
        })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        if self.ended {
            return Err(Broken::Damaged);
        }
        let careful = self.waiting.len() <= CAREFUL;
        let mut filled = 0;
        loop {
            let rest = self.waiting.get(self.at..).unwrap_or_default();
            let input = match careful {
                true => rest.get(..1).unwrap_or_default(),
                false => rest,
            };
            let room = buffer.get_mut(filled..).unwrap_or_default();
            if room.is_empty() || (input.is_empty() && !self.full) {
                break;
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, room, FlushDecompress::None)
                .map_err(|_| Broken::Damaged)?;
            let taken = self.inflate.total_in().saturating_sub(before_in);
            let given = self.inflate.total_out().saturating_sub(before_out);
            self.count(taken, given)?;
            self.at = self
                .at
                .saturating_add(usize::try_from(taken).unwrap_or(usize::MAX));
            let given = usize::try_from(given).unwrap_or(usize::MAX);
            self.full = given == room.len();
            filled = filled.saturating_add(given);
            if status == Status::StreamEnd {
                self.ended = true;
                self.full = false;
                break;
            }
            let line = careful && given > 0 && filled > 0 && buffer.get(filled - 1) == Some(&b'\n');
            if line || (taken == 0 && given == 0) {
                break;
            }
        }
        if self.at >= self.waiting.len() {
            // An idle connection keeps no buffer.
            self.waiting = Vec::new();
            self.at = 0;
        }
        Ok(filled)
    }

    fn count(&mut self, taken: u64, given: u64) -> Result<(), Broken> {
        self.received = self.received.saturating_add(taken);
        self.inflated = self.inflated.saturating_add(given);
        self.dry_received = self.dry_received.saturating_add(taken);
        self.dry_inflated = self.dry_inflated.saturating_add(given);
        if self.inflated >= STRETCH {
            if self.received.saturating_mul(RATIO) < self.inflated {
                return Err(Broken::Bomb);
            }
            (self.received, self.inflated) = (0, 0);
        }
        if self.dry_received >= DRY {
            if self.dry_inflated.saturating_mul(DRY_RATIO) < self.dry_received {
                return Err(Broken::Bomb);
            }
            (self.dry_received, self.dry_inflated) = (0, 0);
        }
        Ok(())
    }

    /// The peer ended compression behind the last line (RFC 8437 §4.1). What it sent since then in the clear: behind the
    /// end of the stream, or behind the flush that ended the line.
    pub fn end(mut self) -> Vec<u8> {
        while !self.ended && self.at < self.waiting.len() {
            let rest = self.waiting.get(self.at..).unwrap_or_default();
            // The flush is an empty stored block, whose length and its complement stand at an octet boundary.
            if let Some(after) = rest.strip_prefix(b"\0\0\xff\xff") {
                return after.to_vec();
            }
            let before = self.inflate.total_in();
            let mut nothing = [0; 1];
            let octet = rest.get(..1).unwrap_or_default();
            match self
                .inflate
                .decompress(octet, &mut nothing, FlushDecompress::None)
            {
                Ok(Status::StreamEnd) => self.ended = true,
                Ok(_) if self.inflate.total_in() > before => {}
                _ => return Vec::new(),
            }
            self.at = self.at.saturating_add(1);
        }
        self.waiting.split_off(self.at.min(self.waiting.len()))
    }
}

/// Compresses chunks into one that the peer can inflate to its end.
pub fn compress(chunks: &mut VecDeque<Vec<u8>>) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        let total: usize = chunks.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(total / 2 + 64);
        for chunk in chunks.drain(..) {
            feed(compressor, &chunk, &mut out, FlushCompress::None);
        }
        feed(compressor, &[], &mut out, FlushCompress::Sync);
        out
    })
}

fn feed(compressor: &mut Compress, mut input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) {
    loop {
        out.reserve(input.len() / 2 + 1024);
        let before = compressor.total_in();
        // Errors are of streams that were finished, which these never are.
        let Ok(_) = compressor.compress_vec(input, out, flush) else {
            return;
        };
        let taken = usize::try_from(compressor.total_in().saturating_sub(before)).unwrap_or(0);
        input = input.get(taken..).unwrap_or_default();
        // Room left means that nothing is held back.
        if input.is_empty() && out.len() < out.capacity() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's stream, flushed behind each piece.
    fn deflated(pieces: &[&[u8]]) -> Vec<u8> {
        let mut compressor = Compress::new(Compression::best(), false);
        let mut out = Vec::new();
        for piece in pieces {
            feed(&mut compressor, piece, &mut out, FlushCompress::None);
            feed(&mut compressor, &[], &mut out, FlushCompress::Sync);
        }
        out
    }

    fn inflated(deflate: &mut Deflate) -> Result<Vec<u8>, Broken> {
        let mut all = Vec::new();
        while deflate.has_more() {
            deflate.window(|octets| all.extend_from_slice(octets))?;
        }
        Ok(all)
    }

    #[test]
    fn what_is_sent_in_pieces_is_one_stream_to_the_peer() {
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        for size in [0usize, 1, 17, 70_000, 300_000] {
            let text: Vec<u8> = (0..size).map(|n| (n * n % 251) as u8).collect();
            let mut chunks: VecDeque<Vec<u8>> = text.chunks(4096).map(<[u8]>::to_vec).collect();
            sent.extend_from_slice(&compress(&mut chunks));
            expected.extend_from_slice(&text);
        }
        let mut peer = Deflate::default();
        peer.receive(&sent);
        assert_eq!(inflated(&mut peer).unwrap(), expected);
    }

    #[test]
    fn octets_come_in_any_pieces() {
        let stream = deflated(&[b"a NOOP\r\n", b"b NOOP\r\n", &[b'x'; 5000]]);
        let mut whole = b"a NOOP\r\nb NOOP\r\n".to_vec();
        whole.extend_from_slice(&[b'x'; 5000]);
        for size in [1, 2, 7, stream.len()] {
            let mut deflate = Deflate::default();
            let mut all = Vec::new();
            for piece in stream.chunks(size) {
                deflate.receive(piece);
                all.extend(inflated(&mut deflate).unwrap());
            }
            assert_eq!(all, whole);
        }
    }

    #[test]
    fn a19_bombs_end_the_stream() {
        let zeros = vec![0u8; 4 << 20];
        let mut bomb = Deflate::default();
        bomb.receive(&deflated(&[&zeros]));
        let mut most = 0;
        let mut windows = 0;
        let broken = loop {
            match bomb.window(|octets| most = most.max(octets.len())) {
                Ok(_) => windows += 1,
                Err(broken) => break broken,
            }
        };
        assert_eq!(broken, Broken::Bomb);
        assert!(most <= WINDOW && windows <= 17, "{most} {windows}");
        // Blocks without content, for ever.
        let mut flood = Deflate::default();
        flood.receive(&b"\0\0\0\xff\xff".repeat(100_000));
        assert_eq!(inflated(&mut flood), Err(Broken::Bomb));
        // Text of a client passes, however well it compresses.
        let noops = b"a NOOP\r\n".repeat(100);
        let lines: Vec<&[u8]> = (0..2000).map(|_| noops.as_slice()).collect();
        let mut client = Deflate::default();
        client.receive(&deflated(&lines));
        assert_eq!(inflated(&mut client).unwrap().len(), noops.len() * 2000);
    }

    #[test]
    fn damage_is_found() {
        let mut deflate = Deflate::default();
        deflate.receive(b"a NOOP\r\n");
        assert_eq!(inflated(&mut deflate), Err(Broken::Damaged));
    }

    #[test]
    fn what_follows_the_end_is_clear() {
        for finish in [FlushCompress::Sync, FlushCompress::Finish] {
            let mut compressor = Compress::new(Compression::default(), false);
            let mut stream = Vec::new();
            feed(
                &mut compressor,
                b"a UNAUTHENTICATE\r\n",
                &mut stream,
                FlushCompress::None,
            );
            stream.reserve(64);
            compressor.compress_vec(&[], &mut stream, finish).unwrap();
            stream.extend_from_slice(b"b LOGIN u p\r\n");
            let mut deflate = Deflate::default();
            deflate.receive(&stream);
            let mut line = Vec::new();
            while !line.ends_with(b"\n") {
                deflate
                    .window(|octets| line.extend_from_slice(octets))
                    .unwrap();
            }
            assert_eq!(line, b"a UNAUTHENTICATE\r\n");
            assert_eq!(deflate.end(), b"b LOGIN u p\r\n");
        }
    }
}
