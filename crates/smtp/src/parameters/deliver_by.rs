//! `BY=` of MAIL FROM (RFC 2852).

use std::fmt;

/// Within which time a message is to be delivered, and what else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverBy {
    /// Seconds from the MAIL command on; zero and less only with [`ByMode::Notify`], for a time that is over.
    pub seconds: i64,
    /// What is done when the time is over.
    pub mode: ByMode,
    /// The sender wants to be told of each relay that is not sure to keep the time.
    pub trace: bool,
}

/// What is done with a message that is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByMode {
    /// The sender is told and delivery goes on.
    Notify,
    /// It is returned.
    Return,
}

impl DeliverBy {
    /// `by-value = by-time ";" by-mode [by-trace]`, `by-time = ["-" / "+"] 1*9DIGIT` (RFC 2852 §4).
    pub(super) fn parse(value: &str) -> Option<DeliverBy> {
        let (time, mode) = value.split_once(';')?;
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|d| d.is_ascii_digit()) {
            return None;
        }
        let seconds: i64 = digits.parse().ok()?;
        let seconds = if time.starts_with('-') {
            -seconds
        } else {
            seconds
        };
        let (mode, trace) = match mode.to_ascii_uppercase().as_str() {
            "N" => (ByMode::Notify, false),
            "NT" => (ByMode::Notify, true),
            "R" => (ByMode::Return, false),
            "RT" => (ByMode::Return, true),
            _ => return None,
        };
        // RFC 2852 §4: what is late already cannot be returned for being late.
        if mode == ByMode::Return && seconds <= 0 {
            return None;
        }
        Some(DeliverBy {
            seconds,
            mode,
            trace,
        })
    }
}

impl fmt::Display for DeliverBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            ByMode::Notify => "N",
            ByMode::Return => "R",
        };
        let seconds = self.seconds.clamp(-999_999_999, 999_999_999);
        write!(f, "{seconds};{mode}{}", if self.trace { "T" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let by = |seconds, mode, trace| {
            Some(DeliverBy {
                seconds,
                mode,
                trace,
            })
        };
        let table = [
            ("120;R", by(120, ByMode::Return, false)),
            ("+120;rt", by(120, ByMode::Return, true)),
            ("-5;N", by(-5, ByMode::Notify, false)),
            ("0;NT", by(0, ByMode::Notify, true)),
            ("999999999;N", by(999_999_999, ByMode::Notify, false)),
            ("0;R", None),
            ("-1;R", None),
            ("1000000000;N", None),
            ("120", None),
            ("120;", None),
            ("120;X", None),
            ("120;RTT", None),
            ("+-1;N", None),
            (";N", None),
        ];
        for (text, expected) in table {
            assert_eq!(DeliverBy::parse(text), expected, "{text}");
            if let Some(by) = expected {
                assert_eq!(DeliverBy::parse(&by.to_string()), Some(by));
            }
        }
    }
}
