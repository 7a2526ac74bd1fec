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

/// Whether `body` is sent as it is, only the final dot to be added: whole lines, none of which begins with a dot,
/// no CR or LF alone. Most messages are so, and need no copy.
pub fn needs_no_encoding(body: &[u8]) -> bool {
    if body.starts_with(b".") || !(body.is_empty() || body.ends_with(b"\r\n")) {
        return false;
    }
    let mut ends = memchr::memchr2_iter(b'\r', b'\n', body);
    while let Some(cr) = ends.next() {
        let lf = ends.next();
        let pair = body.get(cr..=cr.saturating_add(1)) == Some(b"\r\n");
        if !pair || lf != cr.checked_add(1) || body.get(cr.saturating_add(2)) == Some(&b'.') {
            return false;
        }
    }
    true
}

/// The whole of `body` dot-stuffed and ended.
pub fn encode(body: &[u8], bare: BareNewlines) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = DotEncoder::new(bare);
    encoder.feed(body, &mut out);
    encoder.finish(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<u8>, bool, Seen) {
        let mut decoder = DotDecoder::new();
        let (mut body, mut rest, mut done) = (Vec::new(), Vec::new(), false);
        for piece in pieces {
            let progress = decoder.feed(piece, &mut body);
            done = progress.done;
            rest.extend_from_slice(&piece[progress.consumed..]);
        }
        (body, rest, done, decoder.seen())
    }

    #[test]
    fn bodies() {
        let cases: [(&[u8], &[u8], &[u8]); 6] = [
            (b".\r\nNOOP", b"", b"NOOP"),
            (b"a\r\n.\r\n", b"a\r\n", b""),
            (b"..\r\n.\r\n.", b".\r\n", b"."),
            (b".a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", b""),
            (b"\r\n.\r\n", b"\r\n", b""),
            (b"a.\r\n.\r\n", b"a.\r\n", b""),
        ];
        for (octets, body, rest) in cases {
            let expected = (body.to_vec(), rest.to_vec(), true, Seen::default());
            assert_eq!(
                decode([octets]),
                expected,
                "{:?}",
                String::from_utf8_lossy(octets)
            );
        }
    }

    /// A1: no other mixture ends the body, whole or cut at any place, and each is seen.
    #[test]
    fn a1_only_crlf_dot_crlf_ends() {
        let variants: [&[u8]; 14] = [
            b"\n.\n",
            b"\n.\r",
            b"\r.\n",
            b"\r.\r",
            b"\n.\r\n",
            b"\r.\r\n",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\r\n.\r\r\n",
            b"\r\r\n.\r\r\n",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n. \r\n",
            b"\r\n\x0b.\r\n",
        ];
        for variant in variants {
            let octets = [b"body", variant, b"MAIL FROM:<>\r\n.\r\n"].concat();
            let whole = decode([octets.as_slice()]);
            let (body, rest, done, seen) = &whole;
            assert!(*done && rest.is_empty(), "{variant:?}");
            assert!(body.ends_with(b"MAIL FROM:<>\r\n"), "{variant:?}");
            let harmless: [&[u8]; 2] = [b"\r\n. \r\n", b"\r\n\x0b.\r\n"];
            assert_eq!(seen.any(), !harmless.contains(&variant), "{variant:?}");
            for cut in 0..=octets.len() {
                let (head, tail) = octets.split_at(cut);
                assert_eq!(decode([head, tail]), whole, "{variant:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_unfinished_body_is_not_done() {
        for octets in [
            &b""[..],
            b".",
            b".\r",
            b"a\r\n.",
            b"a\r\n.\r",
            b"a\r\n..\r\n",
        ] {
            assert!(!decode([octets]).2, "{octets:?}");
        }
    }

    #[test]
    fn encoding_table() {
        use BareNewlines::{Canonical, Keep};
        let cases: [(BareNewlines, &[u8], &[u8]); 10] = [
            (Keep, b"", b".\r\n"),
            (Keep, b"a", b"a\r\n.\r\n"),
            (Keep, b".", b"..\r\n.\r\n"),
            (Keep, b"a\r\n.\r\n..\r\n", b"a\r\n..\r\n...\r\n.\r\n"),
            (Keep, b"a\n.\nb", b"a\n.\nb\r\n.\r\n"),
            (Keep, b"a\r.\r", b"a\r.\r\r\n.\r\n"),
            (Canonical, b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (Canonical, b"a\r.\r", b"a\r\n..\r\n.\r\n"),
            (Canonical, b"\r\r\n", b"\r\n\r\n.\r\n"),
            (Canonical, b"\r\n.\n", b"\r\n..\r\n.\r\n"),
        ];
        for (bare, body, expected) in cases {
            let encoded = encode(body, bare);
            assert_eq!(encoded, expected, "{:?}", String::from_utf8_lossy(&encoded));
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[.\r\na\0]{0,40}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..200)
        ]
    }

    proptest! {
        #[test]
        fn what_was_stuffed_comes_back(body in octets(), more in octets()) {
            let mut canonical = encode(&body, BareNewlines::Canonical);
            canonical.extend_from_slice(&more);
            let (decoded, rest, done, seen) = decode([canonical.as_slice()]);
            prop_assert!(done && !seen.bare_cr && !seen.bare_lf);
            prop_assert_eq!(&rest, &more);
            // Encoding what came out changes nothing any more, and its dots are found by lenient readers as well.
            prop_assert_eq!(encode(&decoded, BareNewlines::Keep), encode(&body, BareNewlines::Canonical));
            let kept = encode(&body, BareNewlines::Keep);
            let (decoded, _, done, _) = decode([kept.as_slice()]);
            prop_assert!(done && decoded.starts_with(&body));
        }

        #[test]
        fn any_cut_encodes_and_decodes_the_same(body in octets(), size in 1_usize..7) {
            for bare in [BareNewlines::Keep, BareNewlines::Canonical] {
                let mut encoder = DotEncoder::new(bare);
                let mut pieces = Vec::new();
                body.chunks(size).for_each(|piece| encoder.feed(piece, &mut pieces));
                encoder.finish(&mut pieces);
                prop_assert_eq!(&pieces, &encode(&body, bare));
                let unchanged = pieces == [body.as_slice(), b".\r\n"].concat();
                if needs_no_encoding(&body) {
                    prop_assert!(unchanged);
                } else {
                    prop_assert!(!unchanged || bare == BareNewlines::Keep);
                }
            }
            prop_assert_eq!(decode(body.chunks(size)), decode([body.as_slice()]));
        }
    }
}
