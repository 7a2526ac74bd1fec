//! Reports between mail servers: DMARC aggregate reports (RFC 7489 §7) and reports on TLS (RFC 8460), those of others
//! about us, and ours about others.

pub mod admin;
pub mod extract;
pub mod receive;

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
