//! Which hosts take the mail of a destination, in which order, and whether the answer can be trusted (RFC 5321 §5.1).
//!
//! Invariants: a destination fails for good only when the DNS says so (no such domain, null MX, nothing to send to, only
//! ourselves); whatever keeps the DNS from saying anything defers. No host at or behind our own place in the list is tried,
//! so that a backup server never sends mail back to itself or further from its goal.
//!
//! Limits: [`HOSTS`] hosts of a destination; what a host may have is bounded in [`crate::dns`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use futures_util::future::join_all;

use super::Outcome;
use crate::config::{Address, Config, Route, Service};
use crate::dns::{Answer, Dns, Error, Mx};

/// Hosts tried for one destination. RFC 5321 §5.1 asks for two addresses at least.
const HOSTS: usize = 10;

/// Where the mail of a destination goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The hosts, best first; never empty.
    pub(super) hosts: Vec<Host>,
    /// How they were found.
    pub(super) found: Found,
    /// The domain and what it is an alias for: names that a server's certificate may have as well (RFC 7672 §3.2.2).
    pub(super) names: Vec<String>,
}

/// How hosts were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// By MX records, which DNSSEC vouches for or not.
    Mx { secure: bool },
    /// The domain has none and is the host itself.
    Itself,
    /// The destination is an address.
    Literal,
    /// The configuration names it.
    Route,
}

/// A host that may take the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name; the address in brackets for a literal.
    pub(super) name: String,
    /// The port.
    pub(super) port: u16,
    /// Its addresses, or why there are none.
    pub(super) addresses: Result<Answer<IpAddr>, Error>,
}

/// Why there is no host to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nowhere {
    pub(super) outcome: Outcome,
}

fn failed(status: &str, why: impl Into<String>) -> Nowhere {
    Nowhere {
        outcome: Outcome::Failed {
            status: status.to_owned(),
            why: why.into(),
        },
    }
}

fn deferred(why: impl Into<String>) -> Nowhere {
    Nowhere {
        outcome: Outcome::Deferred {
            status: "4.4.3".to_owned(),
            why: why.into(),
        },
    }
}

/// The hosts of a destination. `random` orders those of equal preference (RFC 5321 §5.1).
pub(super) async fn destination(
    dns: &Dns,
    config: &Config,
    domain: &str,
    route: Option<&Route>,
    random: impl FnMut() -> u64,
) -> Result<Destination, Nowhere> {
    if let Some(route) = route
        && let Some(host) = &route.host
    {
        return Ok(routed(dns, host, route.port).await);
    }
    let port = config.courier.port;
    if let Some(address) = literal(domain) {
        return of_literal(config, domain, address?, port);
    }
    let (records, found, names) = match dns.mx(domain).await {
        Ok(answer) => {
            let found = Found::Mx {
                secure: answer.secure,
            };
            let names = vec![domain.to_owned(), answer.canonical.clone()];
            (usable(domain, answer.records)?, found, names)
        }
        // RFC 5321 §5.1: without MX the domain is its own, with preference 0.
        Err(Error::NoData) => {
            let own = Mx {
                preference: 0,
                host: domain.to_owned(),
            };
            (vec![own], Found::Itself, vec![domain.to_owned()])
        }
        Err(Error::NotFound) => {
            return Err(failed(
                "5.1.2",
                format!("the domain {domain} does not exist"),
            ));
        }
        Err(error) => {
            return Err(deferred(format!(
                "the mail servers of {domain} cannot be looked up: {error}"
            )));
        }
    };
    let records = ordered(records, random);
    let looked_up = join_all(records.iter().map(|mx| dns.addresses(&mx.host))).await;
    let hosts = records.into_iter().zip(looked_up);
    let hosts = hosts.map(|(mx, addresses)| (mx, addresses.map(sendable)));
    let mut names = names;
    names.dedup();
    Ok(Destination {
        hosts: without_ourselves(config, domain, hosts.collect(), port)?,
        found,
        names,
    })
}

/// The host of a route. The system is asked where the DNS knows nothing: `/etc/hosts` may name the machine inside.
async fn routed(dns: &Dns, host: &str, port: u16) -> Destination {
    let plain = |records| Answer {
        records,
        secure: false,
        canonical: host.to_owned(),
        alias: None,
    };
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => Ok(plain(vec![address])),
        Err(_) => match dns.addresses(host).await {
            Err(error) if error.is_absence() => match tokio::net::lookup_host((host, port)).await {
                Ok(found) => Ok(plain(found.map(|address| address.ip()).collect())),
                Err(_) => Err(error),
            },
            answer => answer,
        },
    };
    Destination {
        hosts: vec![Host {
            name: host.to_owned(),
            port,
            addresses,
        }],
        found: Found::Route,
        names: vec![host.to_owned()],
    }
}

/// `address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / … ) "]"` (RFC 5321 §4.1.3); none for a name.
fn literal(domain: &str) -> Option<Result<IpAddr, Nowhere>> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let six = inner
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("ipv6:"))
        .and_then(|_| inner.get(5..));
    let address = match six {
        Some(text) => text.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
        None => inner.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
    };
    Some(address.ok_or_else(|| failed("5.1.2", format!("{domain} is no address mail can go to"))))
}

fn of_literal(
    config: &Config,
    domain: &str,
    address: IpAddr,
    port: u16,
) -> Result<Destination, Nowhere> {
    if is_ours(config, address, port) {
        return Err(loops(domain));
    }
    let answer = sendable(Answer {
        records: vec![address],
        secure: false,
        canonical: domain.to_owned(),
        alias: None,
    });
    if answer.records.is_empty() {
        return Err(failed(
            "5.1.2",
            format!("{domain} is no address mail can go to"),
        ));
    }
    Ok(Destination {
        hosts: vec![Host {
            name: domain.to_owned(),
            port,
            addresses: Ok(answer),
        }],
        found: Found::Literal,
        names: vec![domain.to_owned()],
    })
}

/// The records that name a host.
fn usable(domain: &str, mut records: Vec<Mx>) -> Result<Vec<Mx>, Nowhere> {
    // RFC 7505 §3: one record, the root: this domain takes no mail.
    if let [only] = records.as_slice()
        && only.host.is_empty()
    {
        return Err(failed(
            "5.1.10",
            format!("the domain {domain} takes no mail (null MX)"),
        ));
    }
    records.retain(|mx| is_host(&mx.host));
    if records.is_empty() {
        let why = format!("no MX record of {domain} names a host");
        return Err(failed("5.4.4", why));
    }
    Ok(records)
}

/// Whether a name can be a host's. An address in place of a name is none, and looking it up would only cost time.
fn is_host(name: &str) -> bool {
    let fine = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(fine) && name.parse::<IpAddr>().is_err()
}

/// By preference, and by chance among equals.
fn ordered(records: Vec<Mx>, mut random: impl FnMut() -> u64) -> Vec<Mx> {
    let mut drawn: Vec<(u16, u64, Mx)> = records
        .into_iter()
        .map(|mx| (mx.preference, random(), mx))
        .collect();
    drawn.sort_by_key(|(preference, chance, _)| (*preference, *chance));
    let mut seen = std::collections::HashSet::new();
    let sorted = drawn.into_iter().map(|(_, _, mx)| mx);
    sorted
        .filter(|mx| seen.insert(mx.host.clone()))
        .take(HOSTS)
        .collect()
}

/// Leaves out ourselves and all that are not better (RFC 5321 §5.1).
fn without_ourselves(
    config: &Config,
    domain: &str,
    hosts: Vec<(Mx, Result<Answer<IpAddr>, Error>)>,
    port: u16,
) -> Result<Vec<Host>, Nowhere> {
    let ours = |(mx, addresses): &&(Mx, Result<Answer<IpAddr>, Error>)| {
        let at_home = addresses.as_ref().is_ok_and(|answer| {
            answer
                .records
                .iter()
                .any(|address| is_ours(config, *address, port))
        });
        at_home || (mx.host == config.hostname && listens(config, None, port))
    };
    let own = hosts.iter().filter(ours).map(|(mx, _)| mx.preference).min();
    let kept: Vec<Host> = hosts
        .into_iter()
        .filter(|(mx, _)| own.is_none_or(|own| mx.preference < own))
        .map(|(mx, addresses)| Host {
            name: mx.host,
            port,
            addresses,
        })
        .collect();
    if own.is_some() && kept.is_empty() {
        return Err(loops(domain));
    }
    let reachable = |host: &Host| host.addresses.as_ref().is_ok_and(|a| !a.records.is_empty());
    let unsure = |host: &Host| {
        host.addresses
            .as_ref()
            .is_err_and(|error| !error.is_absence())
    };
    if kept.iter().any(reachable) {
        return Ok(kept);
    }
    if kept.iter().any(unsure) {
        return Err(deferred(format!(
            "the addresses of the mail servers of {domain} cannot be looked up"
        )));
    }
    Err(failed(
        "5.4.4",
        format!("the domain {domain} has no mail server with an address"),
    ))
}

fn loops(domain: &str) -> Nowhere {
    failed(
        "5.4.6",
        format!(
            "the DNS says that mail for {domain} goes to this very server, which does not know that domain"
        ),
    )
}

/// Only what can be one machine's address.
fn sendable(mut answer: Answer<IpAddr>) -> Answer<IpAddr> {
    answer.records.retain(|address| match address {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    });
    answer
}

/// Whether a connection to this address and port would come back to us.
fn is_ours(config: &Config, address: IpAddr, port: u16) -> bool {
    let address = address.to_canonical();
    let here = address.is_loopback() || address.is_unspecified() || is_local(address);
    // On port 25 nobody but a mail server listens, and this one's is the one that was meant.
    here && (port == 25 || listens(config, Some(address), port))
}

/// Whether the system takes this address for its own: what it would send to it, it would send from it. Nothing is sent.
fn is_local(address: IpAddr) -> bool {
    let any: SocketAddr = match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let source = UdpSocket::bind(any).and_then(|socket| {
        socket.connect((address, 25))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

/// Whether we listen for SMTP on this port, at this address or at all.
fn listens(config: &Config, address: Option<IpAddr>, port: u16) -> bool {
    config
        .listeners
        .iter()
        .any(|listener| match listener.address {
            Address::Tcp(own) => {
                listener.service == Service::Smtp
                    && own.port() == port
                    && address.is_none_or(|address| {
                        own.ip().is_unspecified() || own.ip().to_canonical() == address
                    })
            }
            Address::Unix(_) => false,
        })
}

/// Addresses to try, the families in turns beginning with IPv6: where one does not work the other is next.
pub(super) fn in_turns(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (mut six, mut four): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6());
    six.reverse();
    four.reverse();
    let mut turns = Vec::with_capacity(addresses.len());
    while !six.is_empty() || !four.is_empty() {
        turns.extend(six.pop());
        turns.extend(four.pop());
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(preference: u16, host: &str) -> Mx {
        Mx {
            preference,
            host: host.to_owned(),
        }
    }

    #[test]
    fn the_better_come_first_and_equals_by_chance() {
        let records = vec![mx(20, "c"), mx(10, "a"), mx(10, "b"), mx(20, "a")];
        let mut numbers = [1, 9, 2, 3].into_iter();
        let order = ordered(records.clone(), || numbers.next().unwrap());
        let names: Vec<_> = order.iter().map(|mx| mx.host.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        let many = (0..200).map(|n| mx(n, &format!("h{n}"))).collect();
        assert_eq!(ordered(many, || 0).len(), HOSTS);
    }

    /// A37: what is no host is no host, and a null MX is final.
    #[test]
    fn a37_odd_mx_records() {
        assert_eq!(
            usable("d", vec![mx(0, "")]),
            Err(failed("5.1.10", "the domain d takes no mail (null MX)"))
        );
        let odd = ["", "a\\000b", "a\\.b", "192.0.2.1", "b\u{fc}cher", "a b"];
        let all: Vec<Mx> = odd.iter().map(|host| mx(1, host)).collect();
        assert!(
            matches!(usable("d", all.clone()), Err(Nowhere { outcome: Outcome::Failed { status, .. } }) if status == "5.4.4")
        );
        let mut mixed = all;
        mixed.push(mx(5, "mx.example.org"));
        assert_eq!(usable("d", mixed), Ok(vec![mx(5, "mx.example.org")]));
    }

    #[test]
    fn literals() {
        let read = |text| literal(text).map(|found| found.ok());
        assert_eq!(read("example.org"), None);
        assert_eq!(
            read("[192.0.2.1]"),
            Some(Some("192.0.2.1".parse().unwrap()))
        );
        assert_eq!(
            read("[IPv6:2001:db8::1]"),
            Some(Some("2001:db8::1".parse().unwrap()))
        );
        assert_eq!(read("[2001:db8::1]"), Some(None));
        assert_eq!(read("[x:y]"), Some(None));
    }

    #[test]
    fn families_take_turns() {
        let parse = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(
            in_turns(&parse(&[
                "2001:db8::1",
                "2001:db8::2",
                "2001:db8::3",
                "192.0.2.1",
                "192.0.2.2"
            ])),
            parse(&[
                "2001:db8::1",
                "192.0.2.1",
                "2001:db8::2",
                "192.0.2.2",
                "2001:db8::3"
            ])
        );
    }

    fn config(text: &str) -> Config {
        let whole = format!("hostname = \"mx2.example.test\"\ndata = \"d\"\n{text}");
        Config::parse(&whole, std::path::Path::new("/tmp/waxwing.toml")).unwrap()
    }

    fn at(addresses: &[&str]) -> Result<Answer<IpAddr>, Error> {
        Ok(Answer {
            records: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            secure: false,
            canonical: String::new(),
            alias: None,
        })
    }

    /// A41: servers that are ourselves, by name, by address or by loopback, and all behind them, are left out.
    #[test]
    fn a41_no_mail_to_ourselves() {
        let config = config("listen.smtp = [\"0.0.0.0:25\"]\n");
        let names = |hosts: Vec<(Mx, Result<Answer<IpAddr>, Error>)>| {
            without_ourselves(&config, "d", hosts, 25)
                .map(|hosts| hosts.into_iter().map(|host| host.name).collect::<Vec<_>>())
        };
        let better = (mx(5, "mx1.example.test"), at(&["192.0.2.1"]));
        let us = (mx(10, "mx2.example.test"), at(&["192.0.2.2"]));
        let equal = (mx(10, "mx3.example.test"), at(&["192.0.2.3"]));
        let behind = (mx(20, "mx4.example.test"), at(&["192.0.2.4"]));
        assert_eq!(
            names(vec![
                better.clone(),
                equal.clone(),
                us.clone(),
                behind.clone()
            ]),
            Ok(vec!["mx1.example.test".to_owned()])
        );
        assert_eq!(names(vec![us, equal, behind.clone()]), Err(loops("d")));
        for home in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"] {
            assert_eq!(
                names(vec![(mx(0, "x.test"), at(&[home]))]),
                Err(loops("d")),
                "{home}"
            );
        }
        // A machine that does not answer now is not proof that there is none.
        let unknown = (mx(1, "y.test"), Err(Error::Temporary("x".into())));
        let absent = (mx(1, "z.test"), Err(Error::NotFound));
        assert!(matches!(
            names(vec![unknown, absent.clone()]),
            Err(Nowhere {
                outcome: Outcome::Deferred { .. }
            })
        ));
        assert!(matches!(
            names(vec![absent]),
            Err(Nowhere {
                outcome: Outcome::Failed { .. }
            })
        ));
    }
}
