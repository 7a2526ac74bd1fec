//! Whether an address has a name that leads back to it (RFC 8601 §3).

use std::net::IpAddr;

use super::lookup::{Lookup, Missing};
use super::name;

/// Names of an address that are looked at. More than two are a sign of a hosting farm, not of a mail server.
const NAMES: usize = 5;

/// The result and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// This name leads back to the address.
    Pass(String),
    /// The address has no name, or none that leads back.
    Fail(Option<String>),
    /// The DNS failed.
    TempError,
}

impl Verified {
    /// The word of RFC 8601 §2.7.3.
    pub fn result(&self) -> &'static str {
        match self {
            Verified::Pass(_) => "pass",
            Verified::Fail(_) => "fail",
            Verified::TempError => "temperror",
        }
    }
}

/// Looks the address up, and its names.
pub async fn verify(dns: &impl Lookup, ip: IpAddr) -> Verified {
    let names = match dns.ptr(ip).await {
        Ok(names) => names,
        Err(Missing::Failure) => return Verified::TempError,
        Err(Missing::NoName | Missing::NoData) => return Verified::Fail(None),
    };
    let (mut first, mut failed) = (None, false);
    for host in names.into_iter().take(NAMES) {
        let Some(host) = name::ascii(&host) else {
            continue;
        };
        match dns.addresses(&host, ip).await {
            Ok(addresses) if addresses.contains(&ip) => return Verified::Pass(host),
            Err(Missing::Failure) => failed = true,
            _ => {}
        }
        first.get_or_insert(host);
    }
    match failed {
        true => Verified::TempError,
        false => Verified::Fail(first),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    #[tokio::test]
    async fn names_must_lead_back() {
        let table = Table::parse(
            "1.2.0.192.in-addr.arpa PTR a.example.org
            a.example.org A 192.0.2.1
            2.2.0.192.in-addr.arpa PTR a.example.org
            3.2.0.192.in-addr.arpa PTR slow.example.org
            slow.example.org TIMEOUT
            4.2.0.192.in-addr.arpa PTR evil\"name.example",
        );
        for (ip, expected) in [
            ("192.0.2.1", Verified::Pass("a.example.org".into())),
            ("192.0.2.2", Verified::Fail(Some("a.example.org".into()))),
            ("192.0.2.3", Verified::TempError),
            ("192.0.2.4", Verified::Fail(None)),
            ("192.0.2.5", Verified::Fail(None)),
        ] {
            assert_eq!(verify(&table, ip.parse().unwrap()).await, expected, "{ip}");
        }
    }
}
