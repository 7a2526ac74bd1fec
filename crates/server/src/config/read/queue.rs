//! The table `[queue]`.

use std::time::Duration;

use super::{Reader, Table};
use crate::courier::QueueOptions;

const KEYS: [&str; 7] = [
    "give_up",
    "warn_after",
    "retry",
    "retry_most",
    "concurrency",
    "per_destination",
    "rate_per_minute",
];

/// The longest time that makes sense anywhere: a year.
const LONGEST: u64 = 365 * 86_400;

impl<'a> Reader<'a> {
    pub(super) fn queue(&mut self, top: &Table<'a>) -> QueueOptions {
        let mut queue = QueueOptions::default();
        let Some(table) = self.table(top, "queue", &KEYS) else {
            return queue;
        };
        for (key, value) in [
            ("give_up", &mut queue.give_up),
            ("warn_after", &mut queue.warn_after),
            ("retry", &mut queue.retry),
            ("retry_most", &mut queue.retry_most),
        ] {
            if let Some(duration) = self.duration(&table, key) {
                *value = duration;
            }
        }
        if queue.retry_most < queue.retry
            && let Some(value) = table.value("retry_most").or(table.value("retry"))
        {
            let what = "the longest pause is shorter than the first one, queue.retry";
            self.wrong(value.span().start, "queue.retry_most", what);
        }
        if let Some(number) = self.integer(&table, "concurrency", 2..=10_000) {
            queue.concurrency = usize::try_from(number).unwrap_or(usize::MAX);
        }
        if let Some(number) = self.integer(&table, "per_destination", 1..=1_000) {
            queue.per_destination = u32::try_from(number).unwrap_or(u32::MAX);
        }
        if let Some(number) = self.integer(&table, "rate_per_minute", 0..=1_000_000) {
            queue.rate_per_minute = u32::try_from(number).unwrap_or(u32::MAX);
        }
        queue
    }

    /// A time with its unit: `"90s"`, `"5m"`, `"4h"`, `"5d"`; at least a second.
    pub(super) fn duration(&mut self, table: &Table<'a>, key: &str) -> Option<Duration> {
        let wanted = "a time with its unit, for example \"90s\", \"5m\", \"4h\" or \"5d\"";
        let (at, text) = self.string(table, key, wanted)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let what = format!("is {text:?} but must be {wanted}");
            self.wrong(at, &table.key(key), what);
        }
        parsed
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?.trim_end();
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let total = digits.parse::<u64>().ok()?.checked_mul(seconds)?;
    (1..=LONGEST)
        .contains(&total)
        .then(|| Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("4 h", Some(14_400)),
            ("5d", Some(432_000)),
            ("0s", None),
            ("5", None),
            ("h", None),
            ("-5m", None),
            ("5w", None),
            ("366d", None),
            ("99999999999999999999d", None),
            ("", None),
            ("5ö", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).map(|d| d.as_secs()), expected, "{text}");
        }
    }
}
