//! What the way out needs: name servers, and where mail for which domain goes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wire::sasl::Secret;

/// The table `dns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsOptions {
    /// Resolvers to ask; empty for those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Whose word counts about DNSSEC.
    pub dnssec: Dnssec,
    /// The text of a file with DNSKEY records of the root, for private roots; without it those of the Internet.
    pub trust_anchor: Option<String>,
}

impl Default for DnsOptions {
    fn default() -> DnsOptions {
        DnsOptions {
            servers: Vec::new(),
            dnssec: Dnssec::Validate,
            trust_anchor: None,
        }
    }
}

/// Whose word counts about DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dnssec {
    /// Signatures are verified in this process.
    Validate,
    /// The AD bit of a resolver that validates and that nobody can impersonate.
    Trust,
    /// No answer counts as secure, so there is no DANE.
    Off,
}

/// The table `courier`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourierOptions {
    /// The port of other servers. Anything but 25 is for networks that redirect it, and for tests.
    pub port: u16,
    /// Addresses to send from; the first of the peer's family is used.
    pub sources: Vec<IpAddr>,
    /// How long a server may take for a reply; for that to a message twice as long.
    pub patience: Duration,
}

impl Default for CourierOptions {
    fn default() -> CourierOptions {
        CourierOptions {
            port: 25,
            sources: Vec::new(),
            // RFC 5321 §4.5.3.2: five minutes, and ten behind the final dot.
            patience: Duration::from_secs(300),
        }
    }
}

/// One `[[route]]`: how mail for some domains leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Which domains.
    pub domain: Pattern,
    /// The host that takes the mail; without one the domain's own servers.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: RouteTls,
    /// User name and password for AUTH.
    pub login: Option<(String, Secret)>,
    /// The address to send from.
    pub source: Option<IpAddr>,
}

/// How the connection of a route is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTls {
    /// As for any other server: DANE, MTA-STS, else TLS where it is offered.
    Policy,
    /// STARTTLS with a certificate that proves the host's name.
    Required,
    /// TLS from the first octet, with a certificate that proves the host's name.
    Implicit,
    /// In the clear, for programs on the same machine or behind a tunnel.
    None,
}

/// Which domains a route is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: all that no other route names.
    All,
    /// `.example.org`: all below it.
    Below(String),
    /// `example.org`: this one.
    Exactly(String),
}

impl Pattern {
    /// How closely the pattern fits; none if it does not. An exact name is closer than a longer suffix, that closer than a
    /// shorter one, and `*` is last.
    pub fn fit(&self, domain: &str) -> Option<usize> {
        match self {
            Pattern::All => Some(0),
            Pattern::Below(parent) => domain
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
                .then_some(parent.len()),
            Pattern::Exactly(name) => (name == domain).then_some(usize::MAX),
        }
    }
}

/// The route of a domain: the one whose pattern fits closest.
pub fn route<'r>(routes: &'r [Route], domain: &str) -> Option<&'r Route> {
    let fits = routes
        .iter()
        .filter_map(|route| Some((route.domain.fit(domain)?, route)));
    fits.max_by_key(|(fit, _)| *fit).map(|(_, route)| route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_route_wins() {
        let made = |pattern| Route {
            domain: pattern,
            host: None,
            port: 25,
            tls: RouteTls::Policy,
            login: None,
            source: None,
        };
        let routes = [
            made(Pattern::All),
            made(Pattern::Below("example.org".into())),
            made(Pattern::Below("b.example.org".into())),
            made(Pattern::Exactly("a.b.example.org".into())),
        ];
        let found = |domain| route(&routes, domain).map(|route| &route.domain);
        assert_eq!(found("a.b.example.org"), Some(&routes[3].domain));
        assert_eq!(found("c.b.example.org"), Some(&routes[2].domain));
        assert_eq!(found("b.example.org"), Some(&routes[1].domain));
        assert_eq!(found("example.org"), Some(&Pattern::All));
        assert_eq!(found("badexample.org"), Some(&Pattern::All));
        assert_eq!(route(&routes[1..], "example.net"), None);
    }
}
