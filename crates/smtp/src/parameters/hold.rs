//! `HOLDFOR=` and `HOLDUNTIL=` of MAIL FROM (RFC 4865).

use super::time;
use std::fmt;

/// How long a message is kept before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// This many seconds.
    For(u64),
    /// Until this instant, in seconds since 1970.
    Until(i64),
}

impl Hold {
    /// `future-release-interval`: 1 to 9 digits, and not zero ("a positive integer", RFC 4865 §3).
    pub(super) fn parse_for(value: &str) -> Option<Hold> {
        if value.len() > 9 || !value.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        value
            .parse()
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(Hold::For)
    }

    /// `Internet-style-date-time-UTC`: the time zone is `Z` (RFC 4865 §3).
    pub(super) fn parse_until(value: &str) -> Option<Hold> {
        value
            .ends_with(['Z', 'z'])
            .then(|| time::parse(value))
            .flatten()
            .map(Hold::Until)
    }
}

/// As the field `Future-Release-Request` of a delivery report writes it (RFC 4865 §5.1.2).
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::For(seconds) => write!(f, "for;{seconds}"),
            Hold::Until(at) => write!(f, "until;{}", time::format(*at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(Hold::parse_for("1"), Some(Hold::For(1)));
        assert_eq!(Hold::parse_for("999999999"), Some(Hold::For(999_999_999)));
        for bad in ["", "0", "-1", "+1", "1000000000", "1s"] {
            assert_eq!(Hold::parse_for(bad), None, "{bad}");
        }
        assert_eq!(
            Hold::parse_until("2014-04-03T23:01:00Z"),
            Some(Hold::Until(1_396_566_060))
        );
        for bad in [
            "",
            "tomorrow",
            "2014-04-03T23:01:00+00:00",
            "2014-04-03T23:01:00.1Z",
        ] {
            assert_eq!(Hold::parse_until(bad), None, "{bad}");
        }
        assert_eq!(Hold::For(60).to_string(), "for;60");
        assert_eq!(Hold::Until(0).to_string(), "until;1970-01-01T00:00:00Z");
    }
}
