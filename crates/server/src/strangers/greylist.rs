//! Greylisting (RFC 6647): who has never been seen is asked to come back, which programs that only spray do not do.
//!
//! A try is known by network (/24 or /64, because big senders retry from a neighbour), sender and recipient. A network from
//! which [`ENOUGH`] tries have come back is not asked again.

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use smtp::reply::{Enhanced, Reply};
use store::GreylistKey;

use super::Options;
use crate::shared::Shared;
use crate::smtp::refusal;

/// Tries of a network that came back, after which it is known to be a mail server.
const ENOUGH: i64 = 5;

/// The first try.
pub const COME_BACK: Reply = Reply::new(
    450,
    Enhanced(4, 7, 1),
    "We have not met before; try again in a minute",
);

/// Whether this recipient may be named now.
pub async fn admit(
    shared: &Shared,
    options: &Options,
    ip: IpAddr,
    sender: &str,
    recipient: &str,
) -> Result<(), Reply> {
    let network = network(ip);
    let known = key(&[network.as_bytes()]);
    let now = shared.timestamp();
    let passes = shared
        .db
        .glance(|snapshot| snapshot.greylist_passes(&known, now));
    if passes.map_err(|error| refusal::reply(&error))? >= ENOUGH {
        return Ok(());
    }
    // Senders that put a number into each message's path (VERP, SRS, BATV) retry with the same one.
    let try_ = key(&[
        network.as_bytes(),
        sender.to_ascii_lowercase().as_bytes(),
        recipient.to_ascii_lowercase().as_bytes(),
    ]);
    let delay = i64::try_from(options.greylist_delay.as_secs()).unwrap_or(i64::MAX);
    let wait = shared
        .db
        .write(move |tx| tx.greylist(&try_, &known, delay))
        .await
        .map_err(|error| refusal::reply(&error))?;
    match wait {
        None => Ok(()),
        Some(seconds) => Err(COME_BACK.with_text(format!(
            "We have not met before; try again in {seconds} seconds"
        ))),
    }
}

/// The network's name: equal for all its addresses.
fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

/// Parts cannot run into each other: each is hashed with its length.
fn key(parts: &[&[u8]]) -> GreylistKey {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut key = GreylistKey::default();
    for (to, from) in key.iter_mut().zip(digest) {
        *to = from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
    }

    #[test]
    fn neighbours_are_one_network() {
        let name = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(name("192.0.2.1"), name("192.0.2.250"));
        assert_ne!(name("192.0.2.1"), name("192.0.3.1"));
        assert_eq!(name("2001:db8::1"), name("2001:db8::ffff:1"));
        assert_ne!(name("2001:db8::1"), name("2001:db8:0:1::1"));
    }
}
