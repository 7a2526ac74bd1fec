//! Peers that nobody here knows: how much they may ask for, and what is said of them, before their message is taken.
//!
//! Owns: rate limits per network ([`Rates`]), lists in the DNS ([`lists`]), greylisting ([`greylist`]), and the patience with
//! which refusals are given. What a list says also goes into the message's decision record, where it counts like any
//! other check.
//!
//! A stranger is a peer of the reception service that is neither on this machine nor in a private network nor trusted by
//! `reception.trusted`. All others never meet what is here.

pub mod greylist;
pub mod lists;
mod rates;

use std::net::IpAddr;
use std::time::Duration;

use smtp::reply::{Enhanced, Reply};

pub use lists::List;
pub use rates::{Rates, What};

use crate::judge::Check;

/// How strangers are treated: the table `[strangers]` and the lists of `[[list]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Messages per minute from one network; 0 is unlimited.
    pub messages_per_minute: u32,
    /// Recipients per minute from one network; 0 is unlimited.
    pub recipients_per_minute: u32,
    /// The longest wait before a refusal; zero for none.
    pub tarpit: Duration,
    /// Whether first tries are asked to come back.
    pub greylist: bool,
    /// After how long they may.
    pub greylist_delay: Duration,
    /// Points from which on a message goes to Junk.
    pub junk_at: f32,
    /// Points from which on a message, or for lists alone a peer, is refused.
    pub refuse_at: f32,
    /// Lists in the DNS.
    pub lists: Vec<List>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            // A big provider sends a busy domain some dozens in a minute from each of its machines.
            messages_per_minute: 120,
            recipients_per_minute: 600,
            tarpit: Duration::from_secs(5),
            greylist: false,
            greylist_delay: Duration::from_secs(60),
            junk_at: 5.0,
            refuse_at: 8.0,
            lists: Vec::new(),
        }
    }
}

/// What is known of one connection's stranger.
#[derive(Debug, Default)]
pub struct Stranger {
    /// What lists say; None until they are asked.
    pub standing: Option<Standing>,
    /// Refusals so far.
    pub refused: u32,
}

/// What lists say about a peer.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// One check per list that answered.
    pub checks: Vec<Check>,
}

impl Standing {
    /// The points of all lists together.
    pub fn points(&self) -> f32 {
        self.checks.iter().map(|check| check.weight).sum()
    }

    /// Whether a list speaks for the peer.
    pub fn is_praised(&self) -> bool {
        self.checks.iter().any(|check| check.weight < 0.0)
    }

    /// The refusal, when lists alone are enough for it.
    pub fn refusal(&self, options: &Options, ip: IpAddr) -> Option<Reply> {
        let worst = self
            .checks
            .iter()
            .filter(|check| check.weight > 0.0)
            .max_by(|a, b| a.weight.total_cmp(&b.weight))?;
        if self.points() < options.refuse_at {
            return None;
        }
        let text = format!("{ip} is not welcome here: {}", worst.explanation);
        Some(LISTED.with_text(text))
    }
}

/// The peer's network asks for more than one network may.
pub const TOO_FAST: Reply = Reply::new(
    450,
    Enhanced(4, 7, 1),
    "Your network sends faster than is taken here; try again in a minute",
);

/// Lists speak against the peer (RFC 5782).
pub const LISTED: Reply = Reply::new(554, Enhanced(5, 7, 1), "Your address is listed");

impl Stranger {
    /// How long to wait before the next refusal: nothing for those who err once or twice, then longer and longer.
    pub fn patience(&mut self, most: Duration) -> Duration {
        self.refused = self.refused.saturating_add(1);
        let steps = self.refused.saturating_sub(3).min(16);
        Duration::from_secs(u64::from(steps)).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_slower_and_slower_up_to_a_limit() {
        let mut stranger = Stranger::default();
        let waits: Vec<u64> = (0..8)
            .map(|_| stranger.patience(Duration::from_secs(3)).as_secs())
            .collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 3, 3, 3]);
        assert_eq!(stranger.patience(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn lists_add_up_and_praise_counts() {
        let check = |weight| Check::new("list", "listed", "Somebody complained.").weighing(weight);
        let options = Options::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let standing = |weights: &[f32]| Standing {
            checks: weights.iter().map(|weight| check(*weight)).collect(),
        };
        assert!(standing(&[]).refusal(&options, ip).is_none());
        assert!(standing(&[5.0]).refusal(&options, ip).is_none());
        let reply = standing(&[5.0, 4.0]).refusal(&options, ip).unwrap();
        assert_eq!(reply.code, 554);
        assert!(reply.text.contains("192.0.2.1") && reply.text.contains("complained"));
        assert!(standing(&[9.0, -3.0]).refusal(&options, ip).is_none());
        assert!(standing(&[9.0, -3.0]).is_praised());
    }
}
