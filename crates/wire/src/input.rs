//! The receive buffer of a session: cuts what arrived into lines or counted octets.
//!
//! Invariants: octets are handed out once and in order. A line over its limit is reported once, and the rest of
//! it is thrown away as it arrives, up to and with its LF, so that the tail of an overlong line is never read
//! as a command. An empty buffer holds no memory.
//!
//! Limits: the buffer holds at most one unfinished line (below the limit the session asks with) plus what one
//! call of [`Input::receive`] brought; the driver reads in pieces of bounded size and does not read while the
//! session waits for an answer.

/// What [`Input::line`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// No line ending has arrived yet.
    Incomplete,
    /// A line, which is now consumed.
    Complete {
        /// The line without its line ending.
        text: &'a [u8],
        /// The line ended in LF without CR. Whether that is tolerated is the protocol's decision.
        bare_lf: bool,
    },
    /// The line is longer than the limit. Reported once for the line; its rest is discarded.
    TooLong,
}

/// The receive buffer of a session.
#[derive(Debug, Default)]
pub struct Input {
    buffer: Vec<u8>,
    /// Octets before this were consumed.
    start: usize,
    /// Octets before this hold no LF, so that a line arriving in small pieces is searched only once.
    scanned: usize,
    /// The rest of an overlong line is being thrown away.
    discarding: bool,
}

impl Input {
    /// An empty buffer.
    pub fn new() -> Input {
        Input::default()
    }

    /// Appends octets as they arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        let bytes = if self.discarding {
            match memchr::memchr(b'\n', bytes) {
                Some(end) => {
                    self.discarding = false;
                    bytes.get(end.saturating_add(1)..).unwrap_or_default()
                }
                None => return,
            }
        } else {
            bytes
        };
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next line. `limit` is the largest permitted length in octets, line ending included.
    pub fn line(&mut self, limit: usize) -> Line<'_> {
        self.release();
        let from = self.scanned.max(self.start);
        let found = self
            .buffer
            .get(from..)
            .and_then(|rest| memchr::memchr(b'\n', rest));
        let Some(offset) = found else {
            if self.len() >= limit {
                self.clear();
                self.discarding = true;
                return Line::TooLong;
            }
            self.scanned = self.buffer.len();
            return Line::Incomplete;
        };
        let end = from.saturating_add(offset);
        let line = self.start..end;
        self.start = end.saturating_add(1);
        self.scanned = self.start;
        if line.len() >= limit {
            return Line::TooLong;
        }
        let text = self.buffer.get(line).unwrap_or_default();
        match text.strip_suffix(b"\r") {
            Some(text) => Line::Complete {
                text,
                bare_lf: false,
            },
            None => Line::Complete {
                text,
                bare_lf: true,
            },
        }
    }

    /// Takes up to `max` octets; empty when nothing has arrived.
    pub fn octets(&mut self, max: usize) -> &[u8] {
        self.release();
        let from = self.start;
        self.consume(max);
        self.buffer.get(from..self.start).unwrap_or_default()
    }

    /// What has arrived and is not consumed.
    pub fn peek(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Drops up to `count` octets from the front.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.buffer.len());
        self.scanned = self.scanned.max(self.start);
    }

    /// How many octets have arrived and are not consumed.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    /// Whether nothing is buffered. The discarded rest of an overlong line does not count.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the rest of an overlong line is still to come and be thrown away.
    pub fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Forgets everything that was received.
    pub fn clear(&mut self) {
        *self = Input::default();
    }

    /// Gives the memory back once all is consumed: ten thousand idle sessions shall hold no buffers.
    fn release(&mut self) {
        if self.start >= self.buffer.len() && self.buffer.capacity() > 0 {
            self.buffer = Vec::new();
            self.start = 0;
            self.scanned = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 8;

    /// A line and whether a bare LF ended it; none for one that was too long.
    type Found = Option<(Vec<u8>, bool)>;

    /// What comes out for `cuts` of the same octets: each line, or that it was too long.
    fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Found>, Vec<u8>) {
        let mut input = Input::new();
        let mut lines = Vec::new();
        for piece in pieces {
            input.receive(piece);
            loop {
                match input.line(LIMIT) {
                    Line::Incomplete => break,
                    Line::Complete { text, bare_lf } => lines.push(Some((text.to_vec(), bare_lf))),
                    Line::TooLong => lines.push(None),
                }
            }
            assert!(input.len() < LIMIT, "{} octets kept", input.len());
        }
        (lines, input.peek().to_vec())
    }

    #[test]
    fn lines_of_every_kind() {
        let line = |text: &str, bare| Some((text.as_bytes().to_vec(), bare));
        let cases: [(&[u8], Vec<Found>, &[u8]); 9] = [
            (b"", vec![], b""),
            (b"NOOP\r\n", vec![line("NOOP", false)], b""),
            (
                b"NOOP\n\r\n\n",
                vec![line("NOOP", true), line("", false), line("", true)],
                b"",
            ),
            (b"a\rb\r\r\n", vec![line("a\rb\r", false)], b""),
            (b"123456\r\n", vec![line("123456", false)], b""),
            (b"1234567\n", vec![line("1234567", true)], b""),
            (b"1234567\r\nA\r\n", vec![None, line("A", false)], b""),
            (b"12345678", vec![None], b""),
            (b"A\r\n1234567", vec![line("A", false)], b"1234567"),
        ];
        for (octets, expected, rest) in cases {
            assert_eq!(
                lines([octets]),
                (expected, rest.to_vec()),
                "{:?}",
                String::from_utf8_lossy(octets)
            );
        }
    }

    #[test]
    fn octets_come_between_lines() {
        let mut input = Input::new();
        input.receive(b"BDAT 5\r\n\r\n.\r\nNOOP\r\n");
        assert!(matches!(
            input.line(100),
            Line::Complete {
                text: b"BDAT 5",
                ..
            }
        ));
        assert_eq!(input.octets(2), b"\r\n");
        assert_eq!(input.octets(3), b".\r\n");
        assert_eq!(input.octets(0), b"");
        assert_eq!(
            input.line(100),
            Line::Complete {
                text: b"NOOP",
                bare_lf: false
            }
        );
        assert_eq!(input.octets(9), b"");
        assert!(input.is_empty());
    }

    #[test]
    fn idle_buffers_hold_no_memory() {
        let mut input = Input::new();
        input.receive(&[b'x'; 5000]);
        input.receive(b"\r\n");
        assert!(matches!(input.line(10_000), Line::Complete { .. }));
        assert_eq!(input.line(10_000), Line::Incomplete);
        assert_eq!(input.buffer.capacity(), 0);
    }

    /// A11: 64 MiB without a line ending take no memory, are reported once, and the next line is read.
    #[test]
    fn a11_endless_line_stays_bounded() {
        let mut input = Input::new();
        let piece = [b'A'; 64 * 1024];
        let mut reports = 0;
        for _ in 0..1024 {
            input.receive(&piece);
            while input.line(2048) != Line::Incomplete {
                reports += 1;
            }
            assert!(input.buffer.capacity() <= 2 * piece.len());
        }
        assert_eq!((reports, input.is_discarding(), input.len()), (1, true, 0));
        input.receive(b"QUIT\r\nNOOP\r\n");
        assert_eq!(
            input.line(2048),
            Line::Complete {
                text: b"NOOP",
                bare_lf: false
            }
        );
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_lines(
            octets in "[ab\r\n]{0,60}",
            cuts in proptest::collection::vec(0_usize..60, 0..10),
        ) {
            let octets = octets.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(octets.len())).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect();
            let whole = lines([octets]);
            prop_assert_eq!(&lines(pieces), &whole);
            prop_assert_eq!(&lines(octets.chunks(1)), &whole);
        }
    }
}
