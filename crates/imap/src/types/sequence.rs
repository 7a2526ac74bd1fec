//! Sets of message numbers: as a client writes them, and as a server reports them.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

/// One end of a range (`seq-number`, RFC 9051 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// A sequence number or UID.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Last,
}

/// What a client writes to name messages (`sequence-set`, RFC 9051 §9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SequenceSet {
    /// `$`: the result saved by the last SEARCH (RFC 5182).
    Saved,
    /// Ranges in the order written; a single number has two equal ends. Never empty.
    Ranges(Vec<(Bound, Bound)>),
}

impl SequenceSet {
    /// The ranges this set means when `last` is the largest number in use: ascending, disjoint, not touching.
    ///
    /// `*` stands for `last`; with `last` 0 (an empty mailbox) it means nothing. Numbers beyond `last` are kept:
    /// whether they are an error (sequence numbers) or ignored (UIDs) is the caller's to know. [`SequenceSet::Saved`]
    /// gives nothing; the caller holds the saved result.
    pub fn resolve(&self, last: u32) -> Vec<RangeInclusive<u32>> {
        let SequenceSet::Ranges(ranges) = self else {
            return Vec::new();
        };
        let number = |bound: &Bound| match bound {
            Bound::Number(number) => number.get(),
            Bound::Last => last,
        };
        let mut ends: Vec<(u32, u32)> = ranges
            .iter()
            .map(|(first, second)| (number(first), number(second)))
            // In an empty mailbox `*` is no message at all, and a range from it is not one either.
            .filter(|&(first, second)| first != 0 && second != 0)
            .map(|(first, second)| (first.min(second), first.max(second)))
            .collect();
        ends.sort_unstable();
        let mut resolved: Vec<RangeInclusive<u32>> = Vec::new();
        for (low, high) in ends {
            match resolved.last_mut() {
                Some(range) if low <= range.end().saturating_add(1) => {
                    *range = *range.start()..=high.max(*range.end());
                }
                _ => resolved.push(low..=high),
            }
        }
        resolved
    }
}

/// A set of numbers without `*`, ascending and joined into ranges: UIDs of APPENDUID and COPYUID, results of ESEARCH
/// (`uid-set` and `sequence-set` in responses).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NumberSet {
    ranges: Vec<RangeInclusive<u32>>,
}

impl NumberSet {
    /// An empty set.
    pub fn new() -> NumberSet {
        NumberSet::default()
    }

    /// Adds a number at the end of the order. Numbers that ascend one by one share a range.
    ///
    /// The order of pushing is kept, because COPYUID pairs the two sets position by position (RFC 9051 §7.1).
    pub fn push(&mut self, number: u32) {
        match self.ranges.last_mut() {
            Some(range) if range.end().checked_add(1) == Some(number) => {
                *range = *range.start()..=number
            }
            _ => self.ranges.push(number..=number),
        }
    }

    /// Adds a range at the end of the order; one that is empty is left out.
    pub fn push_range(&mut self, added: RangeInclusive<u32>) {
        if added.is_empty() {
            return;
        }
        match self.ranges.last_mut() {
            Some(range) if range.end().checked_add(1) == Some(*added.start()) => {
                *range = *range.start()..=*added.end()
            }
            _ => self.ranges.push(added),
        }
    }

    /// The ranges in order.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.ranges
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(Clone::clone)
    }

    /// Whether each number is above the one before it.
    pub fn is_ascending(&self) -> bool {
        self.ranges
            .windows(2)
            .all(|pair| matches!(pair, [first, second] if first.end() < second.start()))
    }

    /// How many numbers the set holds.
    pub fn count(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| u64::from(range.end() - range.start()) + 1)
            .sum()
    }

    /// True if the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<u32> for NumberSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> NumberSet {
        let mut set = NumberSet::new();
        for number in numbers {
            set.push(number);
        }
        set
    }
}
