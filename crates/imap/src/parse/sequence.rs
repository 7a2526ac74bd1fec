//! Sequence sets.

use std::num::NonZeroU32;

use super::{Parsed, Parser, too_many};
use crate::{Bound, NumberSet, SequenceSet};

impl Parser<'_> {
    /// ```text
    /// sequence-set = (seq-number / seq-range) ["," sequence-set]
    /// sequence-set =/ seq-last-command
    /// seq-range    = seq-number ":" seq-number
    /// ```
    pub(super) fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        if self.cursor.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = self.seq_number()?;
            let second = if self.cursor.eat(b':') {
                self.seq_number()?
            } else {
                first
            };
            if ranges.len() >= self.context.limits.ranges {
                return Err(too_many("A set has too many ranges"));
            }
            ranges.push((first, second));
            if !self.cursor.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// A set in which `*` has no place.
    ///
    /// ```text
    /// known-uids = sequence-set ; Sequence of UIDs; "*" is not allowed, RFC 7162 §7
    /// ```
    pub(super) fn known_set(&mut self) -> Parsed<NumberSet> {
        let mut set = NumberSet::new();
        let mut ranges = 0_usize;
        loop {
            let first = self.nz_number("a number")?;
            let second = if self.cursor.eat(b':') {
                self.nz_number("a number")?
            } else {
                first
            };
            ranges = ranges.saturating_add(1);
            if ranges > self.context.limits.ranges {
                return Err(too_many("A set has too many ranges"));
            }
            set.push_range(first.min(second)..=first.max(second));
            if !self.cursor.eat(b',') {
                return Ok(set);
            }
        }
    }

    /// ```text
    /// seq-number = nz-number / "*"
    /// ```
    pub(super) fn seq_number(&mut self) -> Parsed<Bound> {
        if self.cursor.eat(b'*') {
            return Ok(Bound::Last);
        }
        let error = self.wrong("a message number, * or $");
        NonZeroU32::new(self.nz_number("a message number, * or $")?)
            .map(Bound::Number)
            .ok_or(error)
    }
}
