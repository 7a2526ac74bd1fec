//! Where reports go: the URIs of `rua`, and whether the owner of an address elsewhere wants them.

use crate::dns::{Dns, Error};

/// An address in `rua`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Mail, of at most so many octets.
    Mail {
        /// Whom.
        address: String,
        /// RFC 7489 §6.4: the size that the owner allows.
        limit: Option<u64>,
    },
    /// HTTPS (RFC 8460 §3).
    Web(String),
}

/// Reads a URI; None when it is of no use.
pub fn target(uri: &str) -> Option<Target> {
    let (scheme, rest) = uri.trim().split_once(':')?;
    if scheme.eq_ignore_ascii_case("https") && rest.starts_with("//") {
        return Some(Target::Web(uri.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("mailto") {
        return None;
    }
    let (address, limit) = match rest.split_once('!') {
        Some((address, limit)) => (address, Some(size(limit)?)),
        None => (rest, None),
    };
    // RFC 6068 §2: header fields behind a question mark are not for us.
    let address = decoded(address.split('?').next().unwrap_or_default())?;
    smtp::address::Mailbox::parse(address.as_bytes(), true).ok()?;
    Some(Target::Mail { address, limit })
}

/// RFC 7489 §6.4: a number, with k, m, g or t.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let (digits, shift) = match lower.strip_suffix(['k', 'm', 'g', 't']) {
        None => (lower.as_str(), 0),
        Some(digits) if lower.ends_with('k') => (digits, 10),
        Some(digits) if lower.ends_with('m') => (digits, 20),
        Some(digits) if lower.ends_with('g') => (digits, 30),
        Some(digits) => (digits, 40),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Percent-encoding undone.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            octets.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(octets).ok()
}

/// Whether reports about `domain` may go to an address elsewhere (RFC 7489 §7.1): the domain there must say so, or
/// anybody could have mail sent to anybody. `Err` when the DNS does not answer now.
pub async fn is_wanted(dns: &Dns, domain: &str, address: &str) -> Result<bool, Error> {
    let there = address.rsplit_once('@').map_or("", |(_, there)| there);
    let there = mail_auth::common::to_a_label(there).to_ascii_lowercase();
    let domain = mail_auth::common::to_a_label(domain).to_ascii_lowercase();
    // Without a list of public suffixes only what is below the domain is surely its owner's.
    if there == domain || there.ends_with(&format!(".{domain}")) {
        return Ok(true);
    }
    match dns.txt(&format!("{domain}._report._dmarc.{there}")).await {
        Ok(answer) => Ok(answer.records.iter().any(|record| {
            let text = String::from_utf8_lossy(record);
            let tag = text.split(';').next().unwrap_or_default();
            tag.split_once('=')
                .is_some_and(|(name, value)| name.trim() == "v" && value.trim() == "DMARC1")
        })),
        Err(error) if error.is_absence() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let mail = |address: &str, limit| {
            Some(Target::Mail {
                address: address.into(),
                limit,
            })
        };
        for (uri, expected) in [
            ("mailto:a@b.example", mail("a@b.example", None)),
            (
                "MailTo:a@b.example!10m",
                mail("a@b.example", Some(10 << 20)),
            ),
            (" mailto:a@b.example!50 ", mail("a@b.example", Some(50))),
            ("mailto:a%2Bb@b.example", mail("a+b@b.example", None)),
            ("mailto:a@b.example?subject=x", mail("a@b.example", None)),
            (
                "https://a.example/v1",
                Some(Target::Web("https://a.example/v1".into())),
            ),
            ("http://a.example/v1", None),
            ("mailto:a@b.example!10x", None),
            ("mailto:a@b.example!99999999999999t", None),
            ("mailto:a", None),
            ("mailto:a%", None),
            ("mailto:a@b.example%0d%0aX: y", None),
            ("a@b.example", None),
            ("", None),
        ] {
            assert_eq!(target(uri), expected, "{uri}");
        }
    }
}
