//! All that is known about who really sent a message: SPF, DKIM, ARC, iprev, and DMARC over them.
//!
//! The questions run beside each other. Limits: [`TIME`] for each check, then [`ALIGNMENT_TIME`] for what alignment asks.

use std::net::IpAddr;
use std::time::Duration;

use smtp::address::{Domain, ReversePath};

use super::dkim::{self, Keys, Signed};
use super::dmarc::{self, InForce, Policy, Unanswered};
use super::from::Author;
use super::lookup::{Lookup, Resolver};
use super::{arc, iprev, name, spf};
use crate::pipeline::Arrival;
use mail_auth::MessageAuthenticator;

/// Time for one check. The client waits for ten minutes (RFC 5321 §4.5.3.2.6), the memory of its message with it.
const TIME: Duration = Duration::from_secs(20);

/// Time for the organisational domains of what was authenticated, which the resolver mostly knows by then.
const ALIGNMENT_TIME: Duration = Duration::from_secs(10);

/// Octets from which a body is hashed where others do not wait for it.
const LARGE: usize = 1 << 20;

/// What was found.
#[derive(Debug)]
pub struct Findings {
    /// SPF of HELO.
    pub hello: Identity,
    /// SPF of MAIL FROM; None for the null path, for which HELO stands (RFC 7208 §2.4).
    pub sender: Option<Identity>,
    /// Each signature.
    pub dkim: Vec<dkim::Verified>,
    /// The ARC chain.
    pub arc: arc::Verified,
    /// The name of the address.
    pub iprev: iprev::Verified,
    /// What the author's domain says.
    pub dmarc: Dmarc,
}

/// An identity of SPF and its result.
#[derive(Debug)]
pub struct Identity {
    /// The domain as A-labels; as the peer gave it where it is none.
    pub domain: String,
    /// The result.
    pub verified: spf::Verified,
}

/// The result of DMARC.
#[derive(Debug)]
pub enum Dmarc {
    /// There is no author's domain to ask.
    NoDomain,
    /// The domain publishes no policy.
    NoPolicy(String),
    /// The DNS did not tell whether it does.
    Unanswered(String),
    /// There is a policy.
    Applied(Box<Applied>),
}

/// A policy and what the message has to show.
#[derive(Debug)]
pub struct Applied {
    /// The policy.
    pub policy: InForce,
    /// The aligned domain that SPF authenticated.
    pub spf: Option<String>,
    /// The aligned domain that DKIM authenticated.
    pub dkim: Option<String>,
    /// The DNS failed for something that could have been aligned.
    pub uncertain: bool,
}

impl Applied {
    /// Whether the domain vouches for the message.
    pub fn passed(&self) -> bool {
        self.spf.is_some() || self.dkim.is_some()
    }
}

/// Asks everything about an arrival.
pub async fn authenticate(
    dns: &MessageAuthenticator,
    keys: &Keys,
    arrival: &Arrival,
    header: usize,
    author: Option<&Author>,
) -> Findings {
    let table = &Resolver(dns);
    let ip = arrival.peer.ip;
    let signed = signed(arrival, header);
    let domain = author.and_then(|author| author.domain.as_deref());
    let (hello, sender, (dkim, arc), iprev, policy) = tokio::join!(
        hello(table, ip, &arrival.hello),
        sender(table, ip, arrival),
        signatures(signed.as_ref(), dns, keys),
        async {
            let asked = tokio::time::timeout(TIME, iprev::verify(table, ip));
            asked.await.unwrap_or(iprev::Verified::TempError)
        },
        async {
            match domain {
                None => Ok(None),
                Some(domain) => {
                    let asked = tokio::time::timeout(TIME, dmarc::discover(table, domain));
                    asked.await.unwrap_or(Err(Unanswered))
                }
            }
        },
    );
    let identity = sender.as_ref().unwrap_or(&hello);
    let dmarc = match (domain, policy) {
        (None, _) => Dmarc::NoDomain,
        (Some(domain), Ok(None)) => Dmarc::NoPolicy(domain.to_owned()),
        (Some(domain), Err(Unanswered)) => unanswered(domain, identity, &dkim),
        (Some(_), Ok(Some(policy))) => apply(table, policy, identity, &dkim).await,
    };
    Findings {
        hello,
        sender,
        dkim,
        arc,
        iprev,
        dmarc,
    }
}

/// The message as it is verified, if there is a signature in it.
fn signed<'m>(arrival: &'m Arrival, header: usize) -> Option<Signed<'m>> {
    let mut fields = mime::header::fields(&arrival.message, 0..header);
    let is_signature = |field: mime::Field<'_>| {
        let name = field.name();
        let starts = |with: &[u8]| {
            let start = name.get(..with.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        starts(b"DKIM-Signature") || starts(b"ARC-")
    };
    if !fields.any(is_signature) {
        return None;
    }
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    if arrival.message.len() >= LARGE && flavor == tokio::runtime::RuntimeFlavor::MultiThread {
        return tokio::task::block_in_place(|| Signed::parse(&arrival.message));
    }
    Signed::parse(&arrival.message)
}

async fn signatures(
    signed: Option<&Signed<'_>>,
    dns: &MessageAuthenticator,
    keys: &Keys,
) -> (Vec<dkim::Verified>, arc::Verified) {
    let Some(signed) = signed else {
        return (Vec::new(), arc::Verified::default());
    };
    let (dkim, arc) = tokio::join!(
        tokio::time::timeout(TIME, signed.verify(dns, keys)),
        tokio::time::timeout(TIME, arc::verify(signed, dns, keys)),
    );
    let dkim = dkim.unwrap_or_else(|_| signed.unanswered());
    let arc = arc.unwrap_or_else(|_| arc::Verified {
        chain: arc::Chain::Fail,
        temporary: true,
        because: "the DNS took too long".to_owned(),
        ..arc::Verified::default()
    });
    (dkim, arc)
}

/// RFC 7208 §2.3
async fn hello(dns: &impl Lookup, ip: IpAddr, hello: &str) -> Identity {
    match name::ascii(hello) {
        Some(domain) => {
            let sender = format!("postmaster@{domain}");
            let verified = spf::check_host(dns, ip, &domain, &sender, &domain).await;
            Identity { domain, verified }
        }
        None => Identity::nameless(hello),
    }
}

/// RFC 7208 §2.4
async fn sender(dns: &impl Lookup, ip: IpAddr, arrival: &Arrival) -> Option<Identity> {
    let ReversePath::Mailbox(mailbox) = &arrival.from else {
        return None;
    };
    let written = match mailbox.domain() {
        Domain::Name(written) => written,
        literal => return Some(Identity::nameless(&literal.to_string())),
    };
    let Some(domain) = name::ascii(written) else {
        return Some(Identity::nameless(written));
    };
    let sender = format!("{}@{domain}", mailbox.local());
    let verified = spf::check_host(dns, ip, &domain, &sender, &arrival.hello).await;
    Some(Identity { domain, verified })
}

impl Identity {
    fn nameless(written: &str) -> Identity {
        Identity {
            domain: written.chars().take(255).collect(),
            verified: spf::Verified {
                outcome: spf::Outcome::None,
                because: "it is no domain name".to_owned(),
            },
        }
    }
}

/// Without the policy: it does not matter where the author's own domain was authenticated, because that is aligned under
/// any. The message is then as if there were none.
fn unanswered(author: &str, identity: &Identity, dkim: &[dkim::Verified]) -> Dmarc {
    let of_spf = identity.verified.outcome == spf::Outcome::Pass && identity.domain == author;
    let of_dkim = dkim
        .iter()
        .any(|one| one.outcome == dkim::Outcome::Pass && one.domain == author);
    match of_spf || of_dkim {
        true => Dmarc::NoPolicy(author.to_owned()),
        false => Dmarc::Unanswered(author.to_owned()),
    }
}

/// RFC 7489 §3.1: which authenticated domains are aligned.
async fn apply(
    dns: &impl Lookup,
    policy: InForce,
    identity: &Identity,
    dkim: &[dkim::Verified],
) -> Dmarc {
    let mut applied = Applied {
        policy,
        spf: None,
        dkim: None,
        uncertain: false,
    };
    let aligned = tokio::time::timeout(ALIGNMENT_TIME, align(dns, &mut applied, identity, dkim));
    if aligned.await.is_err() {
        applied.uncertain = true;
    }
    Dmarc::Applied(Box::new(applied))
}

async fn align(
    dns: &impl Lookup,
    applied: &mut Applied,
    identity: &Identity,
    dkim: &[dkim::Verified],
) {
    let (strict_spf, strict_dkim) = (
        applied.policy.record.strict_spf,
        applied.policy.record.strict_dkim,
    );
    use spf::Outcome::{Pass, TempError};
    if matches!(identity.verified.outcome, Pass | TempError) {
        let aligned = applied
            .policy
            .aligns(dns, &identity.domain, strict_spf)
            .await;
        match (aligned, identity.verified.outcome) {
            (Ok(true), Pass) => applied.spf = Some(identity.domain.clone()),
            (Ok(true), _) | (Err(Unanswered), _) => applied.uncertain = true,
            (Ok(false), _) => {}
        }
    }
    for signature in dkim {
        use dkim::Outcome::{Pass, TempError};
        if !matches!(signature.outcome, Pass | TempError) || applied.dkim.is_some() {
            continue;
        }
        let aligned = applied
            .policy
            .aligns(dns, &signature.domain, strict_dkim)
            .await;
        match (aligned, signature.outcome) {
            (Ok(true), Pass) => applied.dkim = Some(signature.domain.clone()),
            (Ok(true), _) | (Err(Unanswered), _) => applied.uncertain = true,
            (Ok(false), _) => {}
        }
    }
}

/// What the policy asks to do, and why it is another than the plain one (a type of RFC 7489 Appendix C).
pub fn asked(applied: &Applied, luck: u8) -> (Policy, Option<&'static str>) {
    let (plain, asked) = (applied.policy.policy, applied.policy.disposition(luck));
    let reason = match (plain == asked, applied.policy.record.testing) {
        (true, _) => None,
        (false, true) => Some("policy_test_mode"),
        (false, false) => Some("sampled_out"),
    };
    (asked, reason)
}
