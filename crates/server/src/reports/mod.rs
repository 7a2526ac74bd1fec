//! Reports between mail servers: DMARC aggregate reports (RFC 7489 §7) and reports on TLS (RFC 8460), those of others
//! about us, and ours about others.

pub mod address;
pub mod admin;
pub mod dmarc;
pub mod extract;
pub mod receive;
pub mod send;
pub mod tls;

use std::io::Write as _;

use sha2::{Digest, Sha256};
use store::Timestamp;

/// Seconds of a day.
const DAY: Timestamp = 86_400;

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// This server's name.
    pub host: String,
    /// The domain that reports come from.
    pub domain: String,
    /// The address they come from.
    pub from: String,
    /// Now.
    pub now: Timestamp,
}

/// The URIs of a record's `rua`, as written.
pub fn rua(record: &str) -> Vec<String> {
    let tag = record.split(';').find_map(|tag| {
        let (name, value) = tag.split_once('=')?;
        name.trim().eq_ignore_ascii_case("rua").then_some(value)
    });
    tag.unwrap_or_default()
        .split(',')
        .map(|uri| uri.trim().to_owned())
        .filter(|uri| !uri.is_empty())
        .collect()
}

/// A name that is the same for the same, and tells nothing.
fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    crate::manage::hex(digest.finalize().get(..8).unwrap_or_default())
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // Memory does not fail to be written to.
    let _ = out.write_all(octets);
    out.finish().unwrap_or_default()
}
