//! How much each network asks for, in the last minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::Network;

/// Networks remembered; the map is cleared of those at rest when it is full, and of all when that is not enough, which
/// costs some strangers nothing but a fresh allowance. Some 64 octets each.
const NETWORKS: usize = 50_000;

/// What an allowance is counted over.
const MINUTE: Duration = Duration::from_secs(60);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// MAIL commands.
    Messages,
    /// RCPT commands.
    Recipients,
}

/// The counts of all networks. The map's hash is keyed: strangers choose the keys.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<(Network, What), Bucket>>,
}

/// A token bucket: `used` leaks away over a minute.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    used: f64,
    at: Instant,
}

impl Bucket {
    fn leak(&mut self, per_minute: u32, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        self.used = (self.used - passed * f64::from(per_minute)).max(0.0);
        self.at = now;
    }
}

impl Rates {
    /// Counts one; whether it is within `per_minute`. What is refused is not counted, so that nobody is shut out for
    /// having been refused. 0 is unlimited.
    pub fn admit(&self, network: Network, what: What, per_minute: u32, now: Instant) -> bool {
        if per_minute == 0 {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= NETWORKS && !buckets.contains_key(&(network, what)) {
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < MINUTE);
            if buckets.len() >= NETWORKS {
                buckets.clear();
            }
        }
        let bucket = buckets
            .entry((network, what))
            .or_insert(Bucket { used: 0.0, at: now });
        bucket.leak(per_minute, now);
        if bucket.used + 1.0 > f64::from(per_minute) {
            return false;
        }
        bucket.used += 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_network_has_its_allowance_and_gets_it_back() {
        let rates = Rates::default();
        let start = Instant::now();
        let network = |ip: &str| Network::from(ip.parse::<IpAddr>().unwrap());
        let admit = |ip: &str, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            rates.admit(network(ip), What::Messages, 3, now)
        };
        // An IPv6 network is a /64.
        assert_eq!(
            [
                admit("2001:db8::1", 0),
                admit("2001:db8::2", 0),
                admit("2001:db8::3", 0),
                admit("2001:db8::4", 0),
            ],
            [true, true, true, false]
        );
        assert!(admit("2001:db8:0:1::1", 0));
        assert!(!admit("2001:db8::1", 19));
        assert!(admit("2001:db8::1", 20));
        assert!(!admit("2001:db8::1", 21));
        assert!(admit("2001:db8::1", 3_600) && admit("2001:db8::1", 3_600));
        assert!(rates.admit(network("2001:db8::1"), What::Recipients, 3, start));
        for _ in 0..1_000 {
            assert!(rates.admit(network("192.0.2.1"), What::Messages, 0, start));
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let rates = Rates::default();
        let now = Instant::now();
        for number in 0..60_000_u32 {
            let ip = IpAddr::from(std::net::Ipv4Addr::from_bits(number));
            assert!(rates.admit(Network::from(ip), What::Messages, 1, now));
        }
        assert!(rates.buckets.lock().unwrap().len() <= NETWORKS);
    }
}
