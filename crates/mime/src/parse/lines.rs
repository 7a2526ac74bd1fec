//! Lines of a header: where they end, and the name a line begins with, sixteen octets at a time.

use wide::u8x16;

use crate::name::Name;

const BLOCK: usize = 64;

/// Finds the ends of lines one after the other, keeping the line feeds of a block that was read.
pub(crate) struct Lines<'a> {
    raw: &'a [u8],
    block: usize,
    feeds: u64,
}

impl<'a> Lines<'a> {
    pub fn new(raw: &'a [u8], at: usize) -> Self {
        Lines {
            raw,
            block: at,
            feeds: feeds(raw, at),
        }
    }

    /// The place after the first line feed at or behind `at`, or the end. Places asked for must not go back.
    #[inline]
    pub fn end(&mut self, at: usize) -> usize {
        let offset = at.wrapping_sub(self.block);
        if offset < BLOCK {
            let here = self.feeds >> offset;
            if here != 0 {
                return at + here.trailing_zeros() as usize + 1;
            }
            self.block += BLOCK;
        } else {
            self.block = at;
        }
        while self.block < self.raw.len() {
            self.feeds = feeds(self.raw, self.block);
            if self.feeds != 0 {
                return self.block + self.feeds.trailing_zeros() as usize + 1;
            }
            self.block += BLOCK;
        }
        self.raw.len()
    }
}

/// A bit for each line feed of the 64 octets at `at`.
#[inline]
fn feeds(raw: &[u8], at: usize) -> u64 {
    let rest = raw.get(at..).unwrap_or_default();
    match rest.first_chunk::<BLOCK>() {
        Some(block) => feeds_of(block),
        None => {
            let mut block = [0; BLOCK];
            for (to, from) in block.iter_mut().zip(rest) {
                *to = *from;
            }
            feeds_of(&block)
        }
    }
}

#[inline]
fn feeds_of(block: &[u8; BLOCK]) -> u64 {
    let (quarters, _) = block.as_chunks::<16>();
    let mut found = 0;
    for (n, quarter) in quarters.iter().enumerate() {
        let feeds = u8x16::new(*quarter).simd_eq(u8x16::splat(b'\n'));
        found |= u64::from(feeds.to_bitmask()) << (n * 16);
    }
    found
}

/// The field name that a line begins with, if it is one of up to 15 octets with the colon right behind it: its length and what
/// it is. Anything else is left to a slower reader.
#[inline]
pub(super) fn short_name(line: &[u8]) -> Option<(usize, Name)> {
    let head = line.first_chunk::<16>()?;
    let block = u8x16::new(*head);
    let colons = block.simd_eq(u8x16::splat(b':')).to_bitmask();
    let length = colons.trailing_zeros();
    if length == 0 || length >= 16 {
        return None;
    }
    // RFC 5322 §2.2: printable ASCII.
    let odd = block.simd_le(u8x16::splat(b' ')).to_bitmask()
        | block.simd_ge(u8x16::splat(127)).to_bitmask();
    if odd & ((1 << length) - 1) != 0 {
        return None;
    }
    let word = u128::from_le_bytes(*head) & ((1 << (length * 8)) - 1);
    Some((length as usize, Name::of_word(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end() {
        let mut raw = Vec::new();
        for n in 0..300usize {
            raw.extend(std::iter::repeat_n(b'x', n * 7 % 150));
            raw.push(b'\n');
        }
        raw.extend_from_slice(b"tail");
        let mut lines = Lines::new(&raw, 0);
        let (mut at, mut found) = (0, Vec::new());
        while at < raw.len() {
            at = lines.end(at);
            found.push(at);
        }
        let mut expected: Vec<usize> = memchr::memchr_iter(b'\n', &raw).map(|n| n + 1).collect();
        expected.push(raw.len());
        assert_eq!(found, expected);
        assert_eq!(Lines::new(b"", 0).end(0), 0);
    }

    #[test]
    fn names() {
        assert_eq!(short_name(b"SuBject: hello, you"), Some((7, Name::Subject)));
        assert_eq!(
            short_name(b"X-Whatever: hello you"),
            Some((10, Name::Other))
        );
        assert_eq!(
            short_name(b"Resent-Reply-To: x"),
            Some((15, Name::ResentReplyTo))
        );
        assert_eq!(short_name(b"Content-Location: x"), None);
        assert_eq!(short_name(b"Sub ject: hello, you"), None);
        assert_eq!(short_name(b": hello, you and me"), None);
        assert_eq!(short_name(b"To: short"), None);
    }
}
