//! The count of failed logins: an allowance per network over all protocols, growing delays per network and account.
//!
//! A network is an IPv4 address or an IPv6 /64, which one subscriber has (attack A42). The owner of an account is not
//! locked out by strangers: an account only slows guesses down, and a network from which somebody came in lately
//! is let in again with the remembered password even when its allowance is used up.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use store::AccountId;
use tokio::time::Instant;

use crate::stream::Peer;

/// Networks and accounts counted at once; beyond, those with the oldest failure are forgotten. About 50 octets each.
const ENTRIES: usize = 100_000;

/// After this long without a failure it is forgotten.
const FORGET: Duration = Duration::from_secs(15 * 60);

/// How long a network counts as one from which an account's owner comes.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);

/// The delay after the first failure; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// The longest delay: clients give up after some 30 seconds, and a mistyped password shall not look like an outage.
const LAST_DELAY: Duration = Duration::from_secs(8);

/// What counts as one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6([u16; 4]),
}

impl Network {
    /// The network of a client.
    pub fn of(peer: &Peer) -> Network {
        Network::from(peer.ip)
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Network {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Network::V4(ip),
            IpAddr::V6(ip) => Network::V6(prefix(ip)),
        }
    }
}

fn prefix(ip: Ipv6Addr) -> [u16; 4] {
    let [a, b, c, d, ..] = ip.segments();
    [a, b, c, d]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Network(Network),
    Account(AccountId),
}

#[derive(Debug)]
struct Count {
    /// Guesses used of the allowance, refilled evenly over a minute.
    used: f64,
    /// Failures in a row, for the delay.
    failures: u32,
    last: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Throttle {
    counts: HashMap<Subject, Count>,
    known: HashMap<(Network, AccountId), Instant>,
}

impl Throttle {
    /// Whether the network may guess now. Counts the guess; [`Throttle::succeeded`] takes it back.
    pub(super) fn admit(&mut self, network: Network, per_minute: u32, now: Instant) -> bool {
        if per_minute == 0 {
            return true;
        }
        self.make_room(now);
        let count = self.count(Subject::Network(network), now);
        let refilled =
            now.saturating_duration_since(count.last).as_secs_f64() / 60.0 * f64::from(per_minute);
        count.used = (count.used - refilled).max(0.0);
        count.last = now;
        if count.used + 1.0 > f64::from(per_minute) {
            return false;
        }
        count.used += 1.0;
        true
    }

    /// A login was right.
    pub(super) fn succeeded(&mut self, network: Network, account: AccountId, now: Instant) {
        if let Some(count) = self.counts.get_mut(&Subject::Network(network)) {
            count.used = (count.used - 1.0).max(0.0);
            count.failures = 0;
        }
        if self.known.len() >= ENTRIES {
            self.known.retain(|_, until| *until > now);
            if self.known.len() >= ENTRIES {
                self.known.clear();
            }
        }
        self.known.insert((network, account), now + KNOWN);
    }

    /// A login was wrong; answers how long the reply has to wait.
    pub(super) fn failed(
        &mut self,
        network: Network,
        account: Option<AccountId>,
        now: Instant,
    ) -> Duration {
        let mut failures = self.add_failure(Subject::Network(network), now);
        // Many networks guessing one account slow each other down; its owner's own network stays fast.
        if let Some(account) = account.filter(|account| !self.knows(network, *account, now)) {
            failures = failures.max(self.add_failure(Subject::Account(account), now));
        }
        FIRST_DELAY
            .saturating_mul(1 << failures.saturating_sub(1).min(8))
            .min(LAST_DELAY)
    }

    /// Whether somebody came into `account` from `network` lately.
    pub(super) fn knows(&self, network: Network, account: AccountId, now: Instant) -> bool {
        self.known
            .get(&(network, account))
            .is_some_and(|until| *until > now)
    }

    fn add_failure(&mut self, subject: Subject, now: Instant) -> u32 {
        let count = self.count(subject, now);
        if now.saturating_duration_since(count.last) > FORGET {
            count.failures = 0;
        }
        count.last = now;
        count.failures = count.failures.saturating_add(1);
        count.failures
    }

    fn count(&mut self, subject: Subject, now: Instant) -> &mut Count {
        self.counts.entry(subject).or_insert(Count {
            used: 0.0,
            failures: 0,
            last: now,
        })
    }

    fn make_room(&mut self, now: Instant) {
        if self.counts.len() < ENTRIES {
            return;
        }
        self.counts
            .retain(|_, count| now.saturating_duration_since(count.last) < FORGET);
        if self.counts.len() >= ENTRIES {
            let mut last: Vec<Instant> = self.counts.values().map(|count| count.last).collect();
            last.sort_unstable();
            let middle = last.get(last.len() / 2).copied().unwrap_or(now);
            self.counts.retain(|_, count| count.last > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountId = AccountId(1);

    fn network(ip: &str) -> Network {
        Network::from(ip.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn networks() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn ten_guesses_a_minute_and_no_more() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let here = network("192.0.2.1");
        for _ in 0..10 {
            assert!(throttle.admit(here, 10, start));
        }
        assert!(!throttle.admit(here, 10, start));
        assert!(throttle.admit(network("192.0.2.2"), 10, start));
        assert!(throttle.admit(here, 10, start + Duration::from_secs(7)));
        assert!(!throttle.admit(here, 10, start + Duration::from_secs(7)));
        assert!(throttle.admit(here, 0, start));
    }

    #[tokio::test(start_paused = true)]
    async fn success_gives_the_guess_back_and_makes_known() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let here = network("192.0.2.1");
        for _ in 0..100 {
            assert!(throttle.admit(here, 10, start));
            throttle.succeeded(here, ALICE, start);
        }
        assert!(throttle.knows(here, ALICE, start));
        assert!(!throttle.knows(here, ALICE, start + KNOWN));
        assert!(!throttle.knows(network("192.0.2.2"), ALICE, start));
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_per_network_and_per_account() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let delays: Vec<u128> = (0..6)
            .map(|_| {
                throttle
                    .failed(network("192.0.2.1"), None, start)
                    .as_millis()
            })
            .collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 8000]);
        for n in 1..=9 {
            let delay = throttle.failed(network(&format!("198.51.100.{n}")), Some(ALICE), start);
            assert_eq!(delay, LAST_DELAY.min(FIRST_DELAY * (1 << (n - 1))));
        }
        let later = start + FORGET + Duration::from_secs(1);
        assert_eq!(
            throttle.failed(network("192.0.2.1"), None, later),
            FIRST_DELAY
        );
    }
}
