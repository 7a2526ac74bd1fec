//! What is known of one destination: how much it takes at once, and whether it takes anything.
//!
//! Slow start: two attempts at a time, one more with each success, half with each sign of trouble. A destination that
//! cannot be reached is left alone for a while, longer each time, then asked with a single message; meanwhile its mail
//! waits without being tried one by one.

use std::time::Duration;

use store::Timestamp;

use super::options::{QueueOptions, spread};

/// Attempts at once for a destination that nothing is known of.
const BEGIN: u32 = 2;

/// How long a destination that cannot be reached is left alone at first, and at most.
const PAUSE: Timestamp = 30;
const LONGEST_PAUSE: Timestamp = 1_800;

/// An attempt that takes so long marks its destination as slow.
pub(super) const SLOW: Duration = Duration::from_secs(15);

/// What an attempt says about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It took a message.
    Well,
    /// It answered, about the recipient or the message.
    Alive,
    /// It asked to be left alone for now.
    Busy,
    /// It could not be reached, or went away.
    Down,
}

/// One destination.
#[derive(Debug)]
pub(super) struct Destination {
    /// Attempts under way.
    pub(super) active: u32,
    /// Attempts that may be.
    limit: u32,
    /// Times in a row that it could not be reached.
    failures: u32,
    /// Its last attempt was slow.
    slow: bool,
    /// When it may be asked again.
    not_before: Timestamp,
    /// Whose turn it was last.
    pub(super) after: i64,
    /// Where the last look for somebody due stopped.
    pub(super) from: Option<(i64, i64)>,
    /// The lane and time of who is due next, as far as is known.
    pub(super) next: Option<(i8, Timestamp)>,
    /// Attempts begun in the minute since this time.
    begun: (Timestamp, u32),
}

impl Default for Destination {
    fn default() -> Destination {
        Destination {
            active: 0,
            limit: BEGIN,
            failures: 0,
            slow: false,
            not_before: 0,
            after: -1,
            from: None,
            next: None,
            begun: (0, 0),
        }
    }
}

impl Destination {
    /// Whether it keeps those who deal with it waiting.
    pub(super) fn is_bad(&self) -> bool {
        self.slow || self.failures > 0
    }

    /// Whether nothing needs to be remembered of it.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.active == 0 && self.next.is_none() && self.not_before <= now
    }

    /// How many more attempts may begin now.
    pub(super) fn free(&self, options: &QueueOptions, now: Timestamp) -> u32 {
        if self.not_before > now {
            return 0;
        }
        let limit = match self.failures {
            0 => self.limit.min(options.per_destination),
            // One asks for all.
            _ => 1,
        };
        let free = limit.saturating_sub(self.active);
        match options.rate_per_minute {
            0 => free,
            rate if self.begun.0.saturating_add(60) <= now => free.min(rate),
            rate => free.min(rate.saturating_sub(self.begun.1)),
        }
    }

    /// When an attempt may begin, as far as this destination is concerned: with somebody due, and not too early.
    pub(super) fn ready_at(&self, options: &QueueOptions) -> Option<(i8, Timestamp)> {
        let (lane, due) = self.next?;
        let mut at = due.max(self.not_before);
        if options.rate_per_minute > 0 && self.begun.1 >= options.rate_per_minute {
            at = at.max(self.begun.0.saturating_add(60));
        }
        Some((lane, at))
    }

    /// Somebody is due.
    pub(super) fn add(&mut self, lane: i8, due: Timestamp) {
        self.next = Some(match self.next {
            None => (lane, due),
            Some((known, at)) => (known.min(lane), at.min(due)),
        });
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.active = self.active.saturating_add(1);
        if self.begun.0.saturating_add(60) <= now {
            self.begun = (now, 0);
        }
        self.begun.1 = self.begun.1.saturating_add(1);
    }

    /// An attempt has ended.
    pub(super) fn end(
        &mut self,
        sign: Sign,
        took: Duration,
        now: Timestamp,
        jitter: u64,
        options: &QueueOptions,
    ) {
        // Whoever wants single messages tried more often wants destinations asked as often.
        let seconds =
            |time: Duration| Timestamp::try_from(time.as_secs()).unwrap_or(Timestamp::MAX);
        let first = PAUSE.min(seconds(options.retry));
        let longest = LONGEST_PAUSE.min(seconds(options.retry_most));
        self.active = self.active.saturating_sub(1);
        self.slow = took > SLOW;
        match sign {
            Sign::Well => {
                self.failures = 0;
                self.not_before = 0;
                self.limit = self.limit.saturating_add(1);
            }
            Sign::Alive => self.failures = 0,
            Sign::Busy => {
                self.limit = (self.limit / 2).max(1);
                self.not_before = self
                    .not_before
                    .max(now.saturating_add(spread(first, jitter)));
            }
            Sign::Down => {
                self.limit = BEGIN;
                // Those that were under way together have seen one failure, not many.
                if self.not_before <= now {
                    let pause = first.saturating_mul(1_i64 << self.failures.min(16));
                    let pause = spread(pause.min(longest), jitter);
                    self.not_before = now.saturating_add(pause);
                    self.failures = self.failures.saturating_add(1);
                }
            }
        }
    }

    /// An attempt takes long already.
    pub(super) fn found_slow(&mut self) {
        self.slow = true;
    }

    /// When it may be asked again.
    pub(super) fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Somebody wants it tried now.
    pub(super) fn forgive(&mut self) {
        self.not_before = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    #[test]
    fn grows_with_success_and_shrinks_with_trouble() {
        let options = QueueOptions::default();
        let mut destination = Destination::default();
        assert_eq!(destination.free(&options, 0), 2);
        for _ in 0..100 {
            destination.begin(0);
            destination.end(Sign::Well, QUICK, 0, 0, &options);
        }
        assert_eq!(destination.free(&options, 0), options.per_destination);
        destination.begin(0);
        assert_eq!(destination.free(&options, 0), options.per_destination - 1);
        destination.end(Sign::Busy, QUICK, 0, 0, &options);
        assert_eq!(destination.free(&options, 1), 0);
        assert_eq!(destination.free(&options, 60), 20);
    }

    #[test]
    fn what_is_down_is_asked_rarely_and_by_one() {
        let options = QueueOptions::default();
        let mut destination = Destination::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            destination.add(0, now);
            destination.begin(now);
            destination.begin(now);
            destination.end(Sign::Down, QUICK, now, 0, &options);
            // The second of them makes it no worse.
            destination.end(Sign::Down, QUICK, now, 0, &options);
            let (_, at) = destination.ready_at(&options).unwrap();
            assert_eq!(destination.free(&options, at - 1), 0);
            assert_eq!(destination.free(&options, at), 1);
            pauses.push(at - now);
            now = at;
        }
        assert_eq!(pauses[..4], [24, 48, 96, 192]);
        assert_eq!(pauses[11], LONGEST_PAUSE - LONGEST_PAUSE / 5);
        assert!(destination.is_bad());
        destination.end(Sign::Alive, QUICK, now, 0, &options);
        assert!(!destination.is_bad());
    }

    #[test]
    fn whoever_retries_soon_asks_destinations_soon() {
        let options = QueueOptions {
            retry: Duration::from_secs(2),
            retry_most: Duration::from_secs(5),
            ..QueueOptions::default()
        };
        let mut destination = Destination::default();
        for now in [0, 100, 200, 300] {
            destination.end(Sign::Down, QUICK, now, 1_000_003, &options);
            assert!(destination.not_before() - now <= 6);
        }
    }

    #[test]
    fn no_more_than_the_rate() {
        let options = QueueOptions {
            rate_per_minute: 3,
            ..QueueOptions::default()
        };
        let mut destination = Destination::default();
        let mut begun = 0;
        for now in 1000..1060 {
            destination.add(0, now);
            while destination.free(&options, now) > 0 {
                destination.begin(now);
                destination.end(Sign::Well, QUICK, now, 0, &options);
                begun += 1;
            }
        }
        assert_eq!(begun, 3);
        assert_eq!(destination.ready_at(&options), Some((0, 1060)));
        assert_eq!(destination.free(&options, 1060), 3);
    }
}
