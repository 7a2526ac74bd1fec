//! How a connection to a host must be protected, and why.
//!
//! | what there is | what follows |
//! |---|---|
//! | a route says `none` | in the clear |
//! | a route says `required` or `implicit` | TLS, the certificate proves the host's name |
//! | secure TLSA records, one of them usable | TLS that fits one of them (RFC 7672 §2.2) |
//! | secure TLSA records, none usable | TLS, whatever the certificate (RFC 7672 §2.2) |
//! | a TLSA question that fails or is bogus | nothing is sent to this host now (RFC 7672 §2.1.2) |
//! | else an MTA-STS policy, `enforce` | the host is listed, TLS, the certificate proves its name (RFC 8461 §5) |
//! | … `testing` | as without, and what would have failed is reported |
//! | nothing | TLS if it is offered and comes up, else the clear |
//!
//! DANE goes before MTA-STS (RFC 8461 §2). `REQUIRETLS` turns the last rows into refusals (RFC 8689 §4.2.1);
//! `TLS-Required: No` drops every consequence: TLS is only used where it comes up (RFC 8689 §4.2.2).
//!
//! Invariant: [`Protection::tls`] is decided before the first octet; nothing a peer says later weakens it.

use std::sync::Arc;

use rustls::RootCertStore;

use super::dane;
use super::resolve::{Destination, Found, Host};
use super::sts::{Mode, Policy};
use super::verify::Proof;
use crate::config::RouteTls;
use crate::dns::{self, Dns, Tlsa};

/// What a message asks of every connection that carries it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// `REQUIRETLS`, and not a notification.
    pub(super) require: bool,
    /// `TLS-Required: No`.
    pub(super) optional: bool,
}

/// How a connection is protected.
#[derive(Debug, Clone)]
pub(super) struct Protection {
    /// Whether and when TLS starts.
    pub(super) tls: Tls,
    /// What the certificate must prove.
    pub(super) proof: Proof,
    /// Whether what it does not prove ends the connection.
    pub(super) enforce: bool,
    /// The server must offer REQUIRETLS (RFC 8689 §4.2.1).
    pub(super) require_tls: bool,
    /// The name asked for in the handshake (RFC 7672 §8.1: the TLSA base domain).
    pub(super) server_name: String,
    /// Why, in words.
    pub(super) why: String,
    /// What it is in reports.
    pub(super) reported: Reported,
}

/// Whether and when TLS starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tls {
    /// Never.
    Never,
    /// If the server offers it; without it if it fails.
    IfOffered,
    /// Before anything is sent, or nothing is.
    Must,
    /// From the first octet.
    Implicit,
}

/// A policy as TLS reports name it (RFC 8460 §4.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// `tlsa`, `sts` or `no-policy-found`; empty where no report is due.
    pub(super) kind: &'static str,
    /// The records or lines of the policy.
    pub(super) lines: Vec<String>,
    /// The hosts of an MTA-STS policy.
    pub(super) hosts: Vec<String>,
}

/// Why a host cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Never, as opposed to not now.
    pub(super) permanent: bool,
    /// The status without its class: `7.5`.
    pub(super) status: &'static str,
    /// In words.
    pub(super) why: String,
    /// The name reports give it, if it goes there.
    pub(super) kind: Option<&'static str>,
}

/// What the DNS says of a host's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dane {
    /// Nothing that counts.
    None,
    /// These records at this base domain.
    Records(Vec<Tlsa>, String),
}

/// Looks for TLSA records where they can count (RFC 7672 §2.2.1, §2.2.2).
pub(super) async fn dane(dns: &Dns, found: Found, host: &Host) -> Result<Dane, dns::Error> {
    for base in bases(found, host) {
        match dns.tlsa(&format!("_{}._tcp.{base}", host.port)).await {
            Ok(answer) if answer.secure => return Ok(Dane::Records(answer.records, base)),
            Ok(_) => {}
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Dane::None)
}

/// Where TLSA records may be.
fn bases(found: Found, host: &Host) -> Vec<String> {
    // RFC 7672 §2.2.1: without a secure MX record set anybody may have named the host.
    let named = !matches!(found, Found::Mx { secure: false } | Found::Literal);
    let Ok(answer) = &host.addresses else {
        return Vec::new();
    };
    match (named, answer.secure, answer.alias) {
        (false, ..) => Vec::new(),
        (true, true, Some(_)) => vec![answer.canonical.clone(), host.name.clone()],
        (true, true, None) | (true, false, Some(true)) => vec![host.name.clone()],
        // RFC 7672 §2.2.2: not asked, since servers of unsigned zones often fail to answer.
        (true, false, _) => Vec::new(),
    }
}

/// Decides. `dane` comes from [`dane`], `sts` is the domain's policy.
pub(super) fn decide(
    destination: &Destination,
    host: &Host,
    dane: &Result<Dane, dns::Error>,
    sts: Option<&Policy>,
    wish: Wish,
    roots: impl Fn() -> Arc<RootCertStore>,
) -> Result<Protection, Unfit> {
    let names = || Proof::Names(vec![host.name.clone()], roots());
    // RFC 8689 §4.2.2: then what TLSA records and MTA-STS policies demand is ignored, and a host is used all the same.
    let waived = wish.optional && !wish.require;
    let mut protection = match dane {
        Err(error) if !waived => {
            return Err(Unfit {
                permanent: false,
                status: "4.3",
                why: format!(
                    "the TLSA records of {} cannot be looked up: {error}",
                    host.name
                ),
                // RFC 8460 §4.3.2.1.
                kind: (*error == dns::Error::Bogus).then_some("dnssec-invalid"),
            });
        }
        Ok(Dane::Records(records, base)) => by_dane(destination, records, base),
        Ok(Dane::None) | Err(_) => match sts {
            Some(policy) if policy.mode != Mode::None => by_sts(host, policy, names, waived)?,
            _ => opportunistic(destination, host),
        },
    };
    if wish.require {
        required(&mut protection, destination, host, sts, names)?;
    } else if waived && protection.tls == Tls::Must {
        protection.tls = Tls::IfOffered;
        protection.enforce = false;
        protection.why += "; not insisted on, because the message says TLS-Required: No";
    }
    Ok(protection)
}

fn by_dane(destination: &Destination, records: &[Tlsa], base: &str) -> Protection {
    let usable = dane::usable(records);
    // RFC 7672 §3.2.2: the base domain, then the domain that was written to and what it is an alias for.
    let mut names = vec![base.to_owned()];
    if destination.found != Found::Route {
        names.extend(destination.names.iter().cloned());
    }
    let (proof, why) = match usable.len() {
        0 => (
            Proof::None,
            format!(
                "DANE: the TLSA records of {base} are secure and none is usable, so TLS is a must and the certificate is not looked at"
            ),
        ),
        _ => (
            Proof::Dane(usable, names),
            format!("DANE: {base} has secure TLSA records"),
        ),
    };
    Protection {
        tls: Tls::Must,
        enforce: true,
        proof,
        require_tls: false,
        server_name: base.to_owned(),
        why,
        reported: Reported {
            kind: "tlsa",
            lines: records.iter().map(in_words).collect(),
            hosts: Vec::new(),
        },
    }
}

/// A TLSA record as a zone file has it.
fn in_words(record: &Tlsa) -> String {
    let data: String = record
        .data
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let Tlsa {
        usage,
        selector,
        matching,
        ..
    } = record;
    format!("{usage} {selector} {matching} {data}")
}

fn by_sts(
    host: &Host,
    policy: &Policy,
    names: impl Fn() -> Proof,
    waived: bool,
) -> Result<Protection, Unfit> {
    let enforce = policy.mode == Mode::Enforce;
    let listed = policy.lists(&host.name);
    if !listed && enforce && !waived {
        return Err(Unfit {
            permanent: false,
            status: "7.5",
            why: format!(
                "the MTA-STS policy of {} does not list {}",
                policy.domain, host.name
            ),
            kind: Some("validation-failure"),
        });
    }
    let why = match (enforce, listed) {
        (true, _) => format!("the MTA-STS policy of {} enforces TLS", policy.domain),
        (false, true) => format!("the MTA-STS policy of {} tests TLS", policy.domain),
        (false, false) => format!(
            "the MTA-STS policy of {} tests TLS and does not list {}",
            policy.domain, host.name
        ),
    };
    Ok(Protection {
        tls: if enforce { Tls::Must } else { Tls::IfOffered },
        proof: names(),
        enforce,
        require_tls: false,
        server_name: host.name.clone(),
        why,
        reported: policy.reported(),
    })
}

fn opportunistic(destination: &Destination, host: &Host) -> Protection {
    let why = match destination.found {
        Found::Route => "the route leaves TLS to the server",
        Found::Literal => "an address has no policy: TLS if it is offered",
        Found::Mx { .. } | Found::Itself => "the domain has no policy: TLS if it is offered",
    };
    Protection {
        tls: Tls::IfOffered,
        proof: Proof::None,
        enforce: false,
        require_tls: false,
        server_name: host.name.clone(),
        why: why.to_owned(),
        reported: Reported {
            kind: match destination.found {
                Found::Mx { .. } | Found::Itself => "no-policy-found",
                Found::Literal | Found::Route => "",
            },
            ..Reported::default()
        },
    }
}

/// RFC 8689 §4.2.1.
fn required(
    protection: &mut Protection,
    destination: &Destination,
    host: &Host,
    sts: Option<&Policy>,
    names: impl Fn() -> Proof,
) -> Result<(), Unfit> {
    let vouched = match destination.found {
        Found::Mx { secure } => {
            secure
                || sts.is_some_and(|policy| policy.mode != Mode::None && policy.lists(&host.name))
        }
        // No MX record names the host: the domain or the configuration itself does.
        Found::Itself | Found::Route => true,
        Found::Literal => false,
    };
    if !vouched {
        return Err(Unfit {
            permanent: true,
            status: "7.10",
            why: format!(
                "the message requires TLS, and neither DNSSEC nor an MTA-STS policy vouches that {} takes mail for this domain",
                host.name
            ),
            kind: None,
        });
    }
    if !matches!(protection.proof, Proof::Dane(..)) {
        protection.proof = names();
    }
    if protection.tls != Tls::Implicit {
        protection.tls = Tls::Must;
    }
    protection.enforce = true;
    protection.require_tls = true;
    protection.why += "; the message requires TLS (REQUIRETLS)";
    Ok(())
}

/// What a route says, where it does not leave it to the others.
pub(super) fn routed(
    route: RouteTls,
    host: &Host,
    wish: Wish,
    roots: impl Fn() -> Arc<RootCertStore>,
) -> Option<Result<Protection, Unfit>> {
    let (tls, why) = match route {
        RouteTls::Policy => return None,
        RouteTls::None if wish.require => {
            return Some(Err(Unfit {
                permanent: true,
                status: "7.10",
                why: "the message requires TLS, and its route has none".to_owned(),
                kind: None,
            }));
        }
        RouteTls::None => (Tls::Never, "the route is in the clear"),
        RouteTls::Required => (Tls::Must, "the route requires TLS"),
        RouteTls::Implicit => (Tls::Implicit, "the route begins with TLS"),
    };
    let proof = match tls {
        Tls::Never => Proof::None,
        _ => Proof::Names(vec![host.name.clone()], roots()),
    };
    Some(Ok(Protection {
        tls,
        proof,
        enforce: true,
        require_tls: wish.require,
        server_name: host.name.clone(),
        why: why.to_owned(),
        reported: Reported::default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Answer, Error};
    use std::net::IpAddr;

    fn host(secure: bool, alias: Option<bool>) -> Host {
        Host {
            name: "mx.example.test".to_owned(),
            port: 25,
            addresses: Ok(Answer {
                records: vec![IpAddr::from([192, 0, 2, 1])],
                secure,
                canonical: "real.example.net".to_owned(),
                alias,
            }),
        }
    }

    fn destination(found: Found) -> Destination {
        Destination {
            hosts: Vec::new(),
            found,
            names: vec!["example.test".to_owned(), "alias.test".to_owned()],
        }
    }

    fn policy(mode: Mode) -> Policy {
        Policy {
            domain: "example.test".to_owned(),
            id: "1".to_owned(),
            mode,
            mx: vec!["*.example.test".to_owned()],
            max_age: 86_400,
            lines: Vec::new(),
        }
    }

    fn decided(
        found: Found,
        dane: Result<Dane, Error>,
        sts: Option<Mode>,
        wish: Wish,
    ) -> Result<(Tls, bool, Proof), &'static str> {
        let sts = sts.map(policy);
        let roots = || Arc::new(RootCertStore::empty());
        let made = decide(
            &destination(found),
            &host(true, None),
            &dane,
            sts.as_ref(),
            wish,
            roots,
        );
        made.map(|made| (made.tls, made.enforce, made.proof))
            .map_err(|unfit| unfit.status)
    }

    const MX: Found = Found::Mx { secure: true };
    const INSECURE: Found = Found::Mx { secure: false };
    const ANY: Wish = Wish {
        require: false,
        optional: false,
    };

    fn usable() -> Result<Dane, Error> {
        let record = Tlsa {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![0; 32],
        };
        Ok(Dane::Records(vec![record], "mx.example.test".to_owned()))
    }

    fn unusable() -> Result<Dane, Error> {
        let record = Tlsa {
            usage: 1,
            selector: 1,
            matching: 1,
            data: vec![0; 32],
        };
        Ok(Dane::Records(vec![record], "mx.example.test".to_owned()))
    }

    /// A38: DANE before MTA-STS; failed or bogus answers never mean that there is no DANE; nothing falls back to the clear.
    #[test]
    fn a38_what_follows_from_what() {
        let dane = decided(MX, usable(), Some(Mode::Enforce), ANY).unwrap();
        assert!(
            matches!(dane, (Tls::Must, true, Proof::Dane(..))),
            "{dane:?}"
        );
        let unauthenticated = decided(MX, unusable(), Some(Mode::Enforce), ANY).unwrap();
        assert!(matches!(unauthenticated, (Tls::Must, true, Proof::None)));
        for error in [Error::Bogus, Error::Temporary("x".to_owned())] {
            assert!(matches!(
                decided(MX, Err(error), Some(Mode::Testing), ANY),
                Err("4.3")
            ));
        }
        let sts = decided(INSECURE, Ok(Dane::None), Some(Mode::Enforce), ANY).unwrap();
        assert!(matches!(sts, (Tls::Must, true, Proof::Names(..))));
        let testing = decided(INSECURE, Ok(Dane::None), Some(Mode::Testing), ANY).unwrap();
        assert!(matches!(testing, (Tls::IfOffered, false, Proof::Names(..))));
        for none in [None, Some(Mode::None)] {
            let open = decided(INSECURE, Ok(Dane::None), none, ANY).unwrap();
            assert!(matches!(open, (Tls::IfOffered, false, Proof::None)));
        }
    }

    #[test]
    fn a38_only_listed_hosts() {
        let mut other = policy(Mode::Enforce);
        other.mx = vec!["mx.other.test".to_owned()];
        let roots = || Arc::new(RootCertStore::empty());
        let none = Ok(Dane::None);
        let refused = decide(
            &destination(INSECURE),
            &host(false, None),
            &none,
            Some(&other),
            ANY,
            roots,
        );
        assert!(matches!(
            refused,
            Err(Unfit {
                permanent: false,
                status: "7.5",
                ..
            })
        ));
        other.mode = Mode::Testing;
        let tested = decide(
            &destination(INSECURE),
            &host(false, None),
            &none,
            Some(&other),
            ANY,
            roots,
        );
        assert!(tested.is_ok());
    }

    #[test]
    fn messages_with_wishes() {
        let require = Wish {
            require: true,
            optional: false,
        };
        let optional = Wish {
            require: false,
            optional: true,
        };
        // Nobody vouches for the name.
        assert!(matches!(
            decided(INSECURE, Ok(Dane::None), None, require),
            Err("7.10")
        ));
        for (found, dane, sts) in [
            (MX, Ok(Dane::None), None),
            (INSECURE, Ok(Dane::None), Some(Mode::Testing)),
            (Found::Itself, Ok(Dane::None), None),
            (MX, unusable(), None),
        ] {
            let made = decided(found, dane, sts, require).unwrap();
            assert!(
                matches!(made, (Tls::Must, true, Proof::Names(..))),
                "{made:?}"
            );
        }
        assert!(matches!(
            decided(MX, usable(), None, require),
            Ok((Tls::Must, true, Proof::Dane(..)))
        ));
        assert!(matches!(
            decided(MX, usable(), None, optional),
            Ok((Tls::IfOffered, false, Proof::Dane(..)))
        ));
        assert!(matches!(
            decided(MX, Ok(Dane::None), Some(Mode::Enforce), optional),
            Ok((Tls::IfOffered, false, _))
        ));
        // Nor does a lookup that fails keep the message from a host, or that no policy lists it.
        for error in [Error::Bogus, Error::Temporary("x".to_owned())] {
            for sts in [None, Some(Mode::Enforce)] {
                assert!(matches!(
                    decided(MX, Err(error.clone()), sts, optional),
                    Ok((Tls::IfOffered, false, _))
                ));
            }
        }
        let mut other = policy(Mode::Enforce);
        other.mx = vec!["mx.other.test".to_owned()];
        let decided = |wish| {
            let roots = || Arc::new(RootCertStore::empty());
            let none = Ok(Dane::None);
            let (to, host) = (destination(INSECURE), host(false, None));
            decide(&to, &host, &none, Some(&other), wish, roots)
                .map(|made| (made.tls, made.enforce))
                .map_err(|unfit| unfit.status)
        };
        assert_eq!(decided(optional), Ok((Tls::IfOffered, false)));
        // RFC 8689 §4.1: REQUIRETLS counts more.
        let both = Wish {
            require: true,
            optional: true,
        };
        assert_eq!(decided(both), Err("7.5"));
    }

    #[test]
    fn where_tlsa_records_may_be() {
        let table = [
            (INSECURE, host(true, None), vec![]),
            (Found::Literal, host(true, None), vec![]),
            (MX, host(false, None), vec![]),
            (MX, host(false, Some(false)), vec![]),
            (MX, host(true, None), vec!["mx.example.test"]),
            (MX, host(false, Some(true)), vec!["mx.example.test"]),
            (
                MX,
                host(true, Some(true)),
                vec!["real.example.net", "mx.example.test"],
            ),
            (Found::Route, host(true, None), vec!["mx.example.test"]),
        ];
        for (found, host, expected) in table {
            assert_eq!(bases(found, &host), expected, "{found:?} {host:?}");
        }
    }
}
