//! The table `[queue]` of the configuration: how often, how fast and how long outgoing mail is tried.

use std::time::Duration;

use store::Timestamp;

/// How outgoing mail is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long a message is tried before it goes back.
    pub give_up: Duration,
    /// After which time senders who want it are told of a delay.
    pub warn_after: Duration,
    /// The pause after the first failure; each further one is twice as long.
    pub retry: Duration,
    /// The longest pause.
    pub retry_most: Duration,
    /// Attempts at the same time. Half of them is kept from destinations that are slow or down.
    pub concurrency: usize,
    /// Attempts at the same time for one destination, once it has shown that it takes them.
    pub per_destination: u32,
    /// Attempts a minute for one destination; 0 is unlimited.
    pub rate_per_minute: u32,
}

impl Default for QueueOptions {
    fn default() -> QueueOptions {
        QueueOptions {
            // RFC 5321 §4.5.4.1: at least 4 to 5 days.
            give_up: Duration::from_secs(5 * 86_400),
            warn_after: Duration::from_secs(4 * 3_600),
            // Greylisting mostly opens after five minutes.
            retry: Duration::from_secs(300),
            retry_most: Duration::from_secs(3 * 3_600),
            concurrency: 200,
            // What the big providers take from a sender they do not know yet.
            per_destination: 20,
            rate_per_minute: 0,
        }
    }
}

impl QueueOptions {
    /// When a message accepted (or released) at `from` is given up, and when its delay is told.
    pub fn times(&self, from: Timestamp) -> (Timestamp, Timestamp) {
        (
            from.saturating_add(seconds(self.give_up)),
            from.saturating_add(seconds(self.warn_after)),
        )
    }

    /// The pause after attempt number `attempts`, from 1. `jitter` (any number) moves it by up to a fifth, so that what
    /// failed together is not tried together for ever.
    pub fn pause(&self, attempts: u32, jitter: u64) -> Timestamp {
        let doublings = attempts.saturating_sub(1).min(20);
        let pause = seconds(self.retry)
            .saturating_mul(1_i64 << doublings)
            .min(seconds(self.retry_most))
            .max(1);
        spread(pause, jitter)
    }
}

/// `pause` more or less by up to a fifth, at least a second.
pub(super) fn spread(pause: Timestamp, jitter: u64) -> Timestamp {
    let fifth = pause / 5;
    let width = fifth.saturating_mul(2).saturating_add(1).max(1);
    let shift = i64::try_from(jitter % width.unsigned_abs()).unwrap_or(0);
    pause.saturating_sub(fifth).saturating_add(shift).max(1)
}

fn seconds(duration: Duration) -> Timestamp {
    Timestamp::try_from(duration.as_secs()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary() {
        let options = QueueOptions::default();
        let middle = |attempts| {
            let pause = options.pause(attempts, 0);
            let most = options.pause(attempts, 2 * (pause as u64 / 4));
            assert!(pause < most, "{attempts}: {pause} {most}");
            (pause + most) / 2
        };
        let all: Vec<Timestamp> = (1..=9).map(middle).collect();
        assert_eq!(all, [300, 600, 1200, 2400, 4800, 9600, 10800, 10800, 10800]);
        assert_eq!(options.pause(u32::MAX, 7), options.pause(9, 7));
        for jitter in 0..1000 {
            let pause = options.pause(1, jitter);
            assert!((240..=360).contains(&pause), "{pause}");
        }
        let quick = QueueOptions {
            retry: Duration::from_secs(1),
            ..options
        };
        assert_eq!(quick.pause(1, u64::MAX), 1);
    }
}
