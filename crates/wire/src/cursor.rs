//! The parsing cursor: a place in a line, moved by the functions that parse one grammar rule each.
//!
//! Invariants: the position never passes the end and never moves on a failed match, so a parser may try one
//! alternative after the other. Errors carry the octet offset.

/// Something else was expected at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at octet {offset}")]
pub struct Error {
    /// Octets from the start of the line.
    pub offset: usize,
    /// What the grammar wants there, in words for a human.
    pub expected: &'static str,
}

/// A place in a line. Copy it to remember a place and come back.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    all: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor {
            all: bytes,
            position: 0,
        }
    }

    /// The next octet, which stays.
    pub fn peek(&self) -> Option<u8> {
        self.all.get(self.position).copied()
    }

    /// Takes the next octet.
    #[allow(clippy::should_implement_trait)] // A parser that is an iterator invites adapters that overrun.
    pub fn next(&mut self) -> Option<u8> {
        let octet = self.peek()?;
        self.position = self.position.saturating_add(1);
        Some(octet)
    }

    /// Takes the next octet if it is `octet`.
    pub fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.position = self.position.saturating_add(1);
        }
        found
    }

    /// Takes `tag` if it comes next, ASCII letters in either case.
    pub fn eat_ignore_case(&mut self, tag: &[u8]) -> bool {
        let found = self
            .rest()
            .get(..tag.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(tag));
        if found {
            self.position = self.position.saturating_add(tag.len());
        }
        found
    }

    /// Takes `octet` or says what was `expected`.
    pub fn expect(&mut self, octet: u8, expected: &'static str) -> Result<(), Error> {
        if self.eat(octet) {
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    /// Takes octets as long as `accept` holds; possibly none.
    pub fn take_while(&mut self, mut accept: impl FnMut(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|&octet| !accept(octet))
            .unwrap_or(rest.len());
        self.take(length).unwrap_or_default()
    }

    /// Takes at least one octet as long as `accept` holds, or says what was `expected`.
    pub fn take_while1(
        &mut self,
        accept: impl FnMut(u8) -> bool,
        expected: &'static str,
    ) -> Result<&'a [u8], Error> {
        match self.take_while(accept) {
            [] => Err(self.error(expected)),
            taken => Ok(taken),
        }
    }

    /// Takes exactly `count` octets, or none and nothing moves.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..count)?;
        self.position = self.position.saturating_add(count);
        Some(taken)
    }

    /// Takes all that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.position = self.all.len();
        rest
    }

    /// Takes a decimal number that fits, leading zeros permitted, or says what was `expected`.
    pub fn number(&mut self, expected: &'static str) -> Result<u64, Error> {
        let error = self.error(expected);
        let start = *self;
        let digits = self.take_while1(|octet| octet.is_ascii_digit(), expected)?;
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            value
                .checked_mul(10)?
                .checked_add(u64::from(digit.wrapping_sub(b'0')))
        });
        value.ok_or_else(|| {
            *self = start;
            error
        })
    }

    /// What is left, which stays.
    pub fn rest(&self) -> &'a [u8] {
        self.all.get(self.position..).unwrap_or_default()
    }

    /// Octets from the start.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What was passed since `start`, an earlier [`Cursor::position`].
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.all.get(start..self.position).unwrap_or_default()
    }

    /// Goes back (or forth) to an earlier [`Cursor::position`], at most to the end.
    pub fn seek(&mut self, position: usize) {
        self.position = position.min(self.all.len());
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.position >= self.all.len()
    }

    /// Says that nothing may follow, as an error naming what was `expected` instead of the rest.
    pub fn end(&self, expected: &'static str) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    /// An error at this place.
    pub fn error(&self, expected: &'static str) -> Error {
        Error {
            offset: self.position,
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_on_a_match() {
        let mut cursor = Cursor::new(b"Retr 12 x");
        assert!(!cursor.eat(b'x') && cursor.position() == 0);
        assert!(cursor.eat_ignore_case(b"RETR"));
        assert!(!cursor.eat_ignore_case(b" 123456789"));
        assert_eq!(
            cursor.expect(b'x', "an x"),
            Err(Error {
                offset: 4,
                expected: "an x"
            })
        );
        assert_eq!(cursor.expect(b' ', "a space"), Ok(()));
        assert_eq!(cursor.number("a number"), Ok(12));
        assert_eq!(cursor.since(5), b"12");
        assert_eq!(
            cursor.end("the end"),
            Err(Error {
                offset: 7,
                expected: "the end"
            })
        );
        assert_eq!(cursor.take(3), None);
        assert_eq!((cursor.next(), cursor.peek()), (Some(b' '), Some(b'x')));
        assert_eq!(cursor.take_rest(), b"x");
        assert_eq!(
            (cursor.next(), cursor.peek(), cursor.is_empty()),
            (None, None, true)
        );
        assert_eq!(cursor.end("the end"), Ok(()));
        cursor.seek(1000);
        assert_eq!(cursor.position(), 9);
    }

    #[test]
    fn numbers_fit_or_are_errors() {
        let cases: [(&[u8], Option<u64>); 6] = [
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"-1", None),
        ];
        for (text, value) in cases {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.number("a number").ok(), value);
            assert_eq!(cursor.is_empty(), value.is_some() || text.is_empty());
        }
    }
}
