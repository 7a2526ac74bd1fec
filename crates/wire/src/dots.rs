//! Dot stuffing: how SMTP DATA and the multi-line answers of POP3 mark their end (RFC 5321 §4.5.2, RFC 1939 §3).
//!
//! Invariants: only CRLF "." CRLF ends a body, and the CRLF before the dot is the body's own last line ending
//! (at the very start, that of the command). No other mixture of CR, LF, NUL and dots does, which is what keeps
//! a second message from hiding inside a first one. Both directions give the same result however the octets are
//! cut into segments.
//!
//! Limits: no state beyond a few flags; the caller bounds what it feeds and what it keeps.

/// What was seen in a body that a strict receiver refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// A CR that no LF follows.
    pub bare_cr: bool,
    /// An LF that no CR precedes.
    pub bare_lf: bool,
    /// A NUL octet.
    pub nul: bool,
}

impl Seen {
    /// Whether anything was seen.
    pub fn any(self) -> bool {
        self.bare_cr || self.bare_lf || self.nul
    }
}

/// How far [`DotDecoder::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many octets of the input belonged to the body or its end; all of them unless `done`.
    pub consumed: usize,
    /// The end was found. What follows `consumed` belongs to the protocol again.
    pub done: bool,
}

/// Takes dot stuffing off, in pieces of any size.
#[derive(Debug, Clone, Default)]
pub struct DotDecoder {
    place: Place,
    seen: Seen,
}

/// Where in a line the decoder is. A dot at the start of a line, and a CR behind it, are held back until it is
/// known whether they are the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    Dot,
    DotCr,
    Text,
    Cr,
    End,
}

impl DotDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> DotDecoder {
        DotDecoder::default()
    }

    /// Decodes `input` and appends the body's octets to `body`. Does nothing once the end was found.
    pub fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Progress {
        let mut rest = input;
        while self.place != Place::End {
            if self.place == Place::Text {
                let run = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                let (text, tail) = rest.split_at_checked(run).unwrap_or((rest, &[]));
                body.extend_from_slice(text);
                rest = tail;
            }
            let Some((&octet, tail)) = rest.split_first() else {
                break;
            };
            rest = tail;
            self.octet(octet, body);
        }
        Progress {
            consumed: input.len().saturating_sub(rest.len()),
            done: self.place == Place::End,
        }
    }

    /// What the body held so far that a strict receiver refuses. Complete once the end was found.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    fn octet(&mut self, octet: u8, body: &mut Vec<u8>) {
        self.seen.nul |= octet == 0;
        self.place = match (self.place, octet) {
            (Place::End, _) => return,
            (Place::LineStart, b'.') => return self.place = Place::Dot,
            (Place::Dot, b'\r') => return self.place = Place::DotCr,
            (Place::DotCr, b'\n') => return self.place = Place::End,
            (Place::DotCr, _) => {
                // The dot was stuffing and the CR it held back belongs to the body.
                self.seen.bare_cr = true;
                body.push(b'\r');
                self.after_cr_or_text(octet)
            }
            (Place::Cr, b'\n') => Place::LineStart,
            (Place::Cr, _) => {
                self.seen.bare_cr = true;
                self.after_cr_or_text(octet)
            }
            (Place::LineStart | Place::Dot | Place::Text, _) => self.after_cr_or_text(octet),
        };
        body.push(octet);
    }

    fn after_cr_or_text(&mut self, octet: u8) -> Place {
        self.seen.bare_lf |= octet == b'\n';
        if octet == b'\r' {
            Place::Cr
        } else {
            Place::Text
        }
    }
}

/// What the encoder does with a CR or LF that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareNewlines {
    /// Sends it as it is: for a body whose sender has made sure of its line endings, or checks
    /// [`DotEncoder::seen`] and gives up.
    Keep,
    /// Sends CRLF instead, so that a receiver which takes a lone LF or CR for a line ending finds every dot
    /// stuffed as well and cannot be led to a false end.
    Canonical,
}

/// Puts dot stuffing on, in pieces of any size.
#[derive(Debug, Clone)]
pub struct DotEncoder {
    bare: BareNewlines,
    line_start: bool,
    after_cr: bool,
    seen: Seen,
}

impl DotEncoder {
    /// An encoder at the start of a body.
    pub fn new(bare: BareNewlines) -> DotEncoder {
        DotEncoder {
            bare,
            line_start: true,
            after_cr: false,
            seen: Seen::default(),
        }
    }

    /// Encodes `body` and appends it to `out`.
    pub fn feed(&mut self, body: &[u8], out: &mut Vec<u8>) {
        out.reserve(body.len().saturating_add(body.len() / 64));
        let mut rest = body;
        loop {
            if !self.line_start && !self.after_cr {
                let run = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                let (text, tail) = rest.split_at_checked(run).unwrap_or((rest, &[]));
                out.extend_from_slice(text);
                rest = tail;
            }
            let Some((&octet, tail)) = rest.split_first() else {
                return;
            };
            rest = tail;
            self.octet(octet, out);
        }
    }

    /// Ends the body: completes its last line if need be and appends the final dot. An empty body has no lines.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.settle_cr(out);
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    /// What the body held so far that a strict receiver refuses. A CR at the very end counts only when more
    /// follows it.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.seen.nul |= octet == 0;
        if octet == b'\n' {
            self.seen.bare_lf |= !self.after_cr;
            let canonical = self.after_cr || self.bare == BareNewlines::Canonical;
            out.extend_from_slice(if canonical { b"\r\n" } else { b"\n" });
            self.line_start = canonical;
            self.after_cr = false;
            return;
        }
        self.settle_cr(out);
        if octet == b'\r' {
            self.after_cr = true;
            return;
        }
        if self.line_start && octet == b'.' {
            out.push(b'.');
        }
        self.line_start = false;
        out.push(octet);
    }

    /// Sends a CR that was held back and turned out to stand alone.
    fn settle_cr(&mut self, out: &mut Vec<u8>) {
        if !self.after_cr {
            return;
        }
        self.after_cr = false;
        self.seen.bare_cr = true;
        self.line_start = self.bare == BareNewlines::Canonical;
        out.extend_from_slice(if self.line_start { b"\r\n" } else { b"\r" });
    }
}

/// The whole of `body` dot-stuffed and ended.
pub fn encode(body: &[u8], bare: BareNewlines) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = DotEncoder::new(bare);
    encoder.feed(body, &mut out);
    encoder.finish(&mut out);
    out
}
