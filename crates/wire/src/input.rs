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
