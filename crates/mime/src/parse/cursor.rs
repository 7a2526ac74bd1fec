//! A cursor over a structured field value: comments, folding, tokens, quoted strings. Never recurses, never fails.

use std::ops::Range;

/// Reads `bytes[at..end]`. All positions are absolute, so that they can go into the index.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub end: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        let end = range.end.min(bytes.len());
        Cursor {
            bytes,
            at: range.start.min(end),
            end,
        }
    }

    pub fn peek(&self) -> Option<u8> {
        if self.at < self.end {
            self.bytes.get(self.at).copied()
        } else {
            None
        }
    }

    pub fn skip(&mut self) {
        self.at = (self.at + 1).min(self.end);
    }

    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    pub fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        start..self.at
    }

    /// Blanks and line breaks.
    pub fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// RFC 5322 §3.2.2: CFWS. Returns whether anything was skipped.
    pub fn skip_cfws(&mut self) -> bool {
        let start = self.at;
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'(') {
                return self.at > start;
            }
            self.comment();
        }
    }

    /// A comment with those inside it, the cursor being on its `(`; the range of what is between the outer parentheses.
    /// One that is never closed reaches to the end.
    pub fn comment(&mut self) -> Range<usize> {
        let start = self.at + 1;
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.skip(),
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        return start..self.at - 1;
                    }
                }
                _ => (),
            }
        }
        start.min(self.end)..self.end
    }

    /// A quoted string, the cursor being on its first quote; the range between the quotes.
    pub fn quoted(&mut self) -> Range<usize> {
        self.skip();
        let start = self.at;
        loop {
            match memchr::memchr2(b'"', b'\\', self.slice(self.at..self.end)) {
                None => {
                    self.at = self.end;
                    return start..self.end;
                }
                Some(n) => {
                    self.at += n;
                    if self.peek() == Some(b'"') {
                        self.at += 1;
                        return start..self.at - 1;
                    }
                    self.at = (self.at + 2).min(self.end);
                }
            }
        }
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// RFC 2045 §5.1: octets of a token; those above 127 are let through, as they do occur.
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!' as usize;
    while byte < 256 {
        let special = matches!(
            byte as u8,
            127 | b'('
                | b')'
                | b'<'
                | b'>'
                | b'@'
                | b','
                | b';'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'='
        );
        table[byte] = !special;
        byte += 1;
    }
    table
};

/// The range without blanks and line breaks at both ends.
pub(crate) fn trim(bytes: &[u8], mut range: Range<usize>) -> Range<usize> {
    while range.start < range.end && bytes.get(range.start).is_some_and(|b| is_blank(*b)) {
        range.start += 1;
    }
    while range.start < range.end && bytes.get(range.end - 1).is_some_and(|b| is_blank(*b)) {
        range.end -= 1;
    }
    range
}
