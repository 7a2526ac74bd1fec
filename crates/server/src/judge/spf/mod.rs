//! SPF (RFC 7208): whether a domain lets an address send mail in its name.
//!
//! Our own, and not the library's: it must count void lookups, refuse several records, map nested includes as the
//! standard says, and tell which term decided.
//!
//! Limits (A36): [`TERMS`] terms that ask the DNS, [`VOIDS`] answers without records, [`QUESTIONS`] questions,
//! [`HOSTS`] hosts of an MX or PTR, [`TIME`] in all. `exp=` is read for its syntax and never asked for: its text is a
//! stranger's, and §6.2 makes explanations optional.

mod macros;
mod record;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use macros::{Template, Values};
use record::{Directive, Mechanism, Prefixes, Qualifier, Spf};

use super::lookup::{Found, Lookup, Missing};
use super::name;

/// Terms that ask the DNS (§4.6.4).
const TERMS: u32 = 10;

/// Answers without records (§4.6.4).
const VOIDS: u32 = 2;

/// Hosts of one MX or PTR (§4.6.4).
const HOSTS: usize = 10;

/// Questions in all: ten MX of ten hosts would be more than any sender needs.
const QUESTIONS: u32 = 50;

/// Time in all (§4.6.4: at least 20 seconds).
const TIME: Duration = Duration::from_secs(20);

/// A result (§2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No record, or no domain to ask.
    None,
    /// The domain says nothing about the address.
    Neutral,
    /// The address may send.
    Pass,
    /// The address may not send.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The DNS failed.
    TempError,
    /// The record is wrong.
    PermError,
}

impl Outcome {
    /// The word of RFC 8601 §2.7.2.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::None => "none",
            Outcome::Neutral => "neutral",
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::SoftFail => "softfail",
            Outcome::TempError => "temperror",
            Outcome::PermError => "permerror",
        }
    }
}

/// A result and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The result.
    pub outcome: Outcome,
    /// What decided, in words without a subject: `its record ends in "-all"`.
    pub because: String,
}

impl Verified {
    fn new(outcome: Outcome, because: impl Into<String>) -> Verified {
        Verified {
            outcome,
            because: because.into(),
        }
    }
}

/// `check_host()` (§4) for an identity. `domain` is an A-label name, `sender` is `local@domain`.
pub async fn check_host(
    dns: &impl Lookup,
    ip: IpAddr,
    domain: &str,
    sender: &str,
    hello: &str,
) -> Verified {
    let mut check = Check {
        dns,
        ip: ip.to_canonical(),
        sender,
        hello,
        terms: 0,
        voids: 0,
        questions: 0,
        validated: None,
    };
    match tokio::time::timeout(TIME, check.host(domain.to_owned())).await {
        Ok(Ok(verified)) => verified,
        Ok(Err(ended)) => ended.into(),
        Err(_) => Verified::new(Outcome::TempError, "the DNS took too long"),
    }
}

/// What ends a check at once, wherever it is.
#[derive(Debug)]
enum Ended {
    Temporary(String),
    Permanent(String),
}

impl From<Ended> for Verified {
    fn from(ended: Ended) -> Verified {
        match ended {
            Ended::Temporary(why) => Verified::new(Outcome::TempError, why),
            Ended::Permanent(why) => Verified::new(Outcome::PermError, why),
        }
    }
}

type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

struct Check<'a, D> {
    dns: &'a D,
    ip: IpAddr,
    sender: &'a str,
    hello: &'a str,
    terms: u32,
    voids: u32,
    questions: u32,
    /// The validated names of the address, once asked for.
    validated: Option<Vec<String>>,
}

impl<D: Lookup> Check<'_, D> {
    /// One level: the record of `domain`. Boxed, because include and redirect come back here; [`TERMS`] bounds how deep.
    fn host(&mut self, domain: String) -> Boxed<'_, Result<Verified, Ended>> {
        Box::pin(async move {
            let Some(spf) = self.record(&domain).await? else {
                return Ok(Verified::new(
                    Outcome::None,
                    format!("{domain} publishes no SPF record"),
                ));
            };
            for directive in &spf.directives {
                if let Some(how) = self.matches(directive, &domain).await? {
                    let outcome = match directive.qualifier {
                        Qualifier::Pass => Outcome::Pass,
                        Qualifier::Fail => Outcome::Fail,
                        Qualifier::SoftFail => Outcome::SoftFail,
                        Qualifier::Neutral => Outcome::Neutral,
                    };
                    return Ok(Verified::new(outcome, how));
                }
            }
            let Some(redirect) = &spf.redirect else {
                // §4.7
                let because = format!("no term of the record of {domain} is about it");
                return Ok(Verified::new(Outcome::Neutral, because));
            };
            self.term()?;
            let target = self.target(redirect, &domain).await?;
            let verified = match name::is_name(&target) {
                true => self.host(target.clone()).await?,
                false => Verified::new(Outcome::None, ""),
            };
            match verified.outcome {
                // §6.1
                Outcome::None => Err(Ended::Permanent(format!(
                    "{domain} redirects to {target}, which publishes no SPF record"
                ))),
                _ => Ok(verified),
            }
        })
    }

    /// The record of a domain (§4.4, §4.5).
    async fn record(&mut self, domain: &str) -> Result<Option<Spf>, Ended> {
        if !name::is_name(domain) || !domain.contains('.') {
            return Ok(None);
        }
        self.ask()?;
        let texts = match self.dns.txt(domain).await {
            Ok(texts) => texts,
            Err(Missing::Failure) => return Err(temporary(domain)),
            Err(Missing::NoName | Missing::NoData) => return Ok(None),
        };
        let mut records = texts.iter().filter(|text| record::is_spf(text));
        let Some(record) = records.next() else {
            return Ok(None);
        };
        if records.next().is_some() {
            return Err(Ended::Permanent(format!(
                "{domain} publishes several SPF records"
            )));
        }
        Spf::parse(record)
            .map(Some)
            .map_err(|record::Invalid(term)| {
                Ended::Permanent(format!("{term:?} in the record of {domain} is no SPF"))
            })
    }

    /// Whether a mechanism matches; if so, how that is told.
    async fn matches(
        &mut self,
        directive: &Directive,
        domain: &str,
    ) -> Result<Option<String>, Ended> {
        let text = &directive.text;
        let matched = match &directive.mechanism {
            Mechanism::All => {
                return Ok(Some(format!("the record of {domain} ends in {text:?}")));
            }
            Mechanism::Ip4(network, prefix) => {
                within(self.ip, IpAddr::V4(*network), *prefix, *prefix)
            }
            Mechanism::Ip6(network, prefix) => {
                within(self.ip, IpAddr::V6(*network), *prefix, *prefix)
            }
            Mechanism::Include(template) => return self.include(template, domain, text).await,
            Mechanism::A(template, prefixes) => {
                let target = self.term_target(template.as_ref(), domain).await?;
                self.host_matches(&target, *prefixes).await?
            }
            Mechanism::Mx(template, prefixes) => {
                let target = self.term_target(template.as_ref(), domain).await?;
                self.mx_matches(&target, *prefixes).await?
            }
            Mechanism::Ptr(template) => {
                let target = self.term_target(template.as_ref(), domain).await?;
                let names = self.validated_names().await?;
                names.iter().any(|name| name::is_within(name, &target))
            }
            Mechanism::Exists(template) => {
                let target = self.term_target(Some(template), domain).await?;
                // §5.7: A, whatever family the client's address is of.
                match is_askable(&target) {
                    true => {
                        self.ask()?;
                        let found = self.dns.a(&target).await;
                        self.some(found, &target)?.is_some()
                    }
                    false => self.none()?,
                }
            }
        };
        Ok(matched.then(|| format!("the record of {domain} says {text:?}")))
    }

    /// §5.2
    async fn include(
        &mut self,
        template: &Template,
        domain: &str,
        text: &str,
    ) -> Result<Option<String>, Ended> {
        let target = self.term_target(Some(template), domain).await?;
        let verified = match name::is_name(&target) {
            true => self.host(target.clone()).await?,
            false => Verified::new(Outcome::None, ""),
        };
        match verified.outcome {
            Outcome::Pass => Ok(Some(format!(
                "the record of {domain} says {text:?}, and {}",
                verified.because
            ))),
            Outcome::Fail | Outcome::SoftFail | Outcome::Neutral => Ok(None),
            Outcome::TempError => Err(Ended::Temporary(verified.because)),
            Outcome::None | Outcome::PermError => Err(Ended::Permanent(format!(
                "the record of {domain} says {text:?}, where there is no SPF record"
            ))),
        }
    }

    async fn host_matches(&mut self, host: &str, prefixes: Prefixes) -> Result<bool, Ended> {
        if !is_askable(host) {
            return self.none();
        }
        self.ask()?;
        let found = self.dns.addresses(host, self.ip).await;
        let addresses = self.some(found, host)?.unwrap_or_default();
        let of_client = |address: IpAddr| within(self.ip, address, prefixes.ip4, prefixes.ip6);
        Ok(addresses.into_iter().any(of_client))
    }

    /// §5.4
    async fn mx_matches(&mut self, domain: &str, prefixes: Prefixes) -> Result<bool, Ended> {
        if !is_askable(domain) {
            return self.none();
        }
        self.ask()?;
        let found = self.dns.mx(domain).await;
        let hosts = self.some(found, domain)?.unwrap_or_default();
        if hosts.len() > HOSTS {
            return Err(Ended::Permanent(format!(
                "{domain} has more than {HOSTS} MX records"
            )));
        }
        for host in hosts {
            if self.host_matches(&host, prefixes).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of the client's address that lead back to it (§5.5). Errors are no names; the owner of the address, not
    /// of the record, is to blame for them.
    async fn validated_names(&mut self) -> Result<&[String], Ended> {
        if self.validated.is_none() {
            self.ask()?;
            let names = self.dns.ptr(self.ip).await.unwrap_or_default();
            let mut valid = Vec::new();
            for name in names.into_iter().take(HOSTS) {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                if !is_askable(&name) {
                    continue;
                }
                self.ask()?;
                let addresses = self.dns.addresses(&name, self.ip).await;
                if addresses.is_ok_and(|addresses| addresses.contains(&self.ip)) {
                    valid.push(name);
                }
            }
            self.validated = Some(valid);
        }
        Ok(self.validated.as_deref().unwrap_or_default())
    }

    /// Counts a term that asks the DNS and expands its name.
    async fn term_target(
        &mut self,
        template: Option<&Template>,
        domain: &str,
    ) -> Result<String, Ended> {
        self.term()?;
        match template {
            Some(template) => self.target(template, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    async fn target(&mut self, template: &Template, domain: &str) -> Result<String, Ended> {
        let mut validated = "unknown".to_owned();
        if template.needs_validated() {
            let names = self.validated_names().await?;
            // §7.3: the domain itself, else one below it, else any.
            let best = names
                .iter()
                .find(|name| *name == domain)
                .or_else(|| names.iter().find(|name| name::is_within(name, domain)))
                .or_else(|| names.first());
            validated = best.map_or(validated, String::clone);
        }
        Ok(template.target(&Values {
            ip: self.ip,
            sender: self.sender,
            hello: self.hello,
            domain,
            validated: &validated,
        }))
    }

    fn term(&mut self) -> Result<(), Ended> {
        self.terms = self.terms.saturating_add(1);
        match self.terms > TERMS {
            true => Err(Ended::Permanent(format!(
                "its record takes more than {TERMS} lookups"
            ))),
            false => Ok(()),
        }
    }

    fn ask(&mut self) -> Result<(), Ended> {
        self.questions = self.questions.saturating_add(1);
        match self.questions > QUESTIONS {
            true => Err(Ended::Permanent(format!(
                "its record takes more than {QUESTIONS} questions to the DNS"
            ))),
            false => Ok(()),
        }
    }

    /// The records, or a void lookup.
    fn some<T>(&mut self, found: Found<T>, name: &str) -> Result<Option<Vec<T>>, Ended> {
        match found {
            Ok(records) => Ok(Some(records)),
            Err(Missing::Failure) => Err(temporary(name)),
            Err(Missing::NoName | Missing::NoData) => self.none().map(|_| None),
        }
    }

    /// Counts a void lookup; nothing matches it.
    fn none(&mut self) -> Result<bool, Ended> {
        self.voids = self.voids.saturating_add(1);
        match self.voids > VOIDS {
            true => Err(Ended::Permanent(format!(
                "its record names more than {VOIDS} hosts that do not exist"
            ))),
            false => Ok(false),
        }
    }
}

fn temporary(name: &str) -> Ended {
    Ended::Temporary(format!("the DNS gave no answer about {name}"))
}

/// Whether a question about an expanded name can be asked. Local parts may have put anything into it; then no record is
/// meant (RFC 8616 §4 for those that are not ASCII).
fn is_askable(target: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.len() <= 63;
    target.len() <= 253
        && target.split('.').all(label)
        && target
            .bytes()
            .all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'\\' | b'"'))
}

/// Whether the address is in the network (RFC 7208 §5.6); families never match each other.
fn within(ip: IpAddr, network: IpAddr, prefix4: u8, prefix6: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32_u32.saturating_sub(prefix4.into());
            a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128_u32.saturating_sub(prefix6.into());
            a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}
