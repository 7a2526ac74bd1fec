//! DMARC (RFC 7489, and the tree walk of RFC 9989): whether the author's domain vouches for a message, and what it asks to do
//! with one that it does not vouch for.
//!
//! Our own, and not the library's: reports must name the domain that publishes the policy, a mistake in one tag must not hide
//! the others (RFC 7489 §6.3), and the owner wants to know which record said what.
//!
//! Limit: [`WALK`] questions for one name.

use super::lookup::{Lookup, Missing};
use super::name;

/// Questions of one walk up the tree (RFC 9989 §4.10).
const WALK: usize = 8;

/// What a domain asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing.
    None,
    /// To Junk.
    Quarantine,
    /// Not at all.
    Reject,
}

impl Policy {
    /// The word of the record.
    pub fn name(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }

    fn parse(value: &str) -> Option<Policy> {
        [Policy::None, Policy::Quarantine, Policy::Reject]
            .into_iter()
            .find(|policy| policy.name().eq_ignore_ascii_case(value))
    }

    /// One step weaker: what is done in test mode (RFC 9989 §4.7) and with messages outside of `pct` (RFC 7489 §6.6.4).
    fn weaker(self) -> Policy {
        match self {
            Policy::Reject => Policy::Quarantine,
            Policy::Quarantine | Policy::None => Policy::None,
        }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// As it is in the DNS.
    pub text: String,
    /// `p`
    pub p: Policy,
    /// `sp`, or `p`
    pub sp: Policy,
    /// `np`, or `sp`
    pub np: Policy,
    /// `adkim=s`
    pub strict_dkim: bool,
    /// `aspf=s`
    pub strict_spf: bool,
    /// `t=y`
    pub testing: bool,
    /// `pct`
    pub percent: u8,
    /// `psd`: it is a public suffix, it is the top of an organisation, it does not say.
    pub psd: Option<bool>,
    /// `fo`
    pub fo: String,
    /// The addresses of `rua`, as written.
    pub rua: Vec<String>,
}

impl Record {
    /// Reads a TXT record; None for what is no DMARC record, or one that asks for nothing.
    pub fn parse(octets: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(octets).ok()?;
        let mut tags = text.split(';').map(|tag| {
            let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
            (name.trim().to_ascii_lowercase(), value.trim())
        });
        // RFC 7489 §6.3: v comes first, in this case.
        match tags.next()? {
            (name, "DMARC1") if name == "v" => {}
            _ => return None,
        }
        let tags: Vec<(String, &str)> = tags.collect();
        let value = |wanted: &str| {
            let found = tags.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| *value)
        };
        let rua: Vec<String> = value("rua")
            .unwrap_or_default()
            .split(',')
            .map(|address| address.trim().to_owned())
            .filter(|address| address.contains(':'))
            .collect();
        // RFC 7489 §6.6.3 (6): without a policy that is known the record is used if it asks for reports.
        let p = match value("p").and_then(Policy::parse) {
            Some(policy) => policy,
            None if !rua.is_empty() => Policy::None,
            None => return None,
        };
        let sp = value("sp").and_then(Policy::parse).unwrap_or(p);
        let percent = value("pct").and_then(|percent| percent.parse().ok());
        Some(Record {
            text: text.to_owned(),
            p,
            sp,
            np: value("np").and_then(Policy::parse).unwrap_or(sp),
            strict_dkim: value("adkim").is_some_and(|mode| mode.eq_ignore_ascii_case("s")),
            strict_spf: value("aspf").is_some_and(|mode| mode.eq_ignore_ascii_case("s")),
            testing: value("t").is_some_and(|mode| mode.eq_ignore_ascii_case("y")),
            percent: percent.filter(|percent| *percent <= 100).unwrap_or(100),
            psd: match value("psd") {
                Some(value) if value.eq_ignore_ascii_case("y") => Some(true),
                Some(value) if value.eq_ignore_ascii_case("n") => Some(false),
                _ => None,
            },
            fo: value("fo").unwrap_or("0").to_owned(),
            rua,
        })
    }
}

/// The DNS did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

/// The policy that is in force for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The domain of From.
    pub author: String,
    /// The organisational domain of it.
    pub organisation: String,
    /// The domain that publishes the record.
    pub publisher: String,
    /// The record.
    pub record: Record,
    /// The policy as it is for this domain: `p`, `sp` or `np`.
    pub policy: Policy,
}

/// Finds the policy for a domain (RFC 9989 §4.10.1). None where nobody publishes one.
pub async fn discover(dns: &impl Lookup, author: &str) -> Result<Option<InForce>, Unanswered> {
    let records = walk(dns, author).await?;
    let organisation = organisation(&records, author);
    let own = records.iter().find(|(name, _)| *name == author);
    let of_organisation = || records.iter().find(|(name, _)| *name == organisation);
    let (publisher, record) = match own.or_else(of_organisation).or(records.last()) {
        Some(found) => found,
        None => return Ok(None),
    };
    let policy = if *publisher == author {
        record.p
    } else if record.np != record.sp && dns.a(author).await == Err(Missing::NoName) {
        // RFC 9989 §4.7: a domain that does not exist.
        record.np
    } else {
        record.sp
    };
    Ok(Some(InForce {
        author: author.to_owned(),
        organisation: organisation.to_owned(),
        publisher: (*publisher).to_owned(),
        record: record.clone(),
        policy,
    }))
}

impl InForce {
    /// Whether a domain that was authenticated is aligned with the author's (RFC 7489 §3.1). `strict` is the mode.
    pub async fn aligns(
        &self,
        dns: &impl Lookup,
        domain: &str,
        strict: bool,
    ) -> Result<bool, Unanswered> {
        if domain == self.author {
            return Ok(true);
        }
        // What is not below the organisation's domain has another one, by labels (A35); nothing need be asked.
        if strict || !name::is_within(domain, &self.organisation) {
            return Ok(false);
        }
        let records = walk(dns, domain).await?;
        Ok(organisation(&records, domain) == self.organisation)
    }

    /// What is to be done with a message that is not aligned. `luck` is below 100 and different for each message.
    pub fn disposition(&self, luck: u8) -> Policy {
        if self.record.testing || luck >= self.record.percent {
            return self.policy.weaker();
        }
        self.policy
    }
}

/// The records of a name and of those above it, the longest first (RFC 9989 §4.10).
async fn walk<'n>(dns: &impl Lookup, name: &'n str) -> Result<Vec<(&'n str, Record)>, Unanswered> {
    let mut found = Vec::new();
    let mut at = name;
    for _ in 0..WALK {
        if let Some(record) = record(dns, at).await? {
            let ends = record.psd.is_some();
            found.push((at, record));
            if ends {
                break;
            }
        }
        // A long name is cut to seven labels, so that eight questions always reach the top.
        let labels = at.split('.').count();
        let skip = if at.len() == name.len() && labels > WALK {
            labels.saturating_sub(WALK - 1)
        } else {
            1
        };
        match at.splitn(skip.saturating_add(1), '.').nth(skip) {
            Some(rest) => at = rest,
            None => break,
        }
    }
    Ok(found)
}

/// The record at a name. Several are as good as none (RFC 7489 §6.6.3 (5)).
async fn record(dns: &impl Lookup, name: &str) -> Result<Option<Record>, Unanswered> {
    let texts = match dns.txt(&format!("_dmarc.{name}")).await {
        Ok(texts) => texts,
        Err(Missing::Failure) => return Err(Unanswered),
        Err(Missing::NoName | Missing::NoData) => return Ok(None),
    };
    let mut records = texts.iter().filter_map(|text| Record::parse(text));
    match (records.next(), records.next()) {
        (Some(record), None) => Ok(Some(record)),
        _ => Ok(None),
    }
}

/// The organisational domain of a name (RFC 9989 §4.10.2) from the records of its walk.
fn organisation<'n>(records: &[(&'n str, Record)], name: &'n str) -> &'n str {
    for (at, record) in records {
        match record.psd {
            Some(false) => return at,
            Some(true) if *at != name => {
                // One label below the public suffix.
                let below = name.len().saturating_sub(at.len()).saturating_sub(1);
                let before = name.get(..below).unwrap_or_default();
                let start = before.rfind('.').map_or(0, |dot| dot.saturating_add(1));
                return name.get(start..).unwrap_or(name);
            }
            _ => {}
        }
    }
    records.last().map_or(name, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;
    use std::sync::atomic::Ordering;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(future)
    }

    fn found(zone: &str, author: &str) -> Option<InForce> {
        run(discover(&Table::parse(zone), author)).unwrap()
    }

    const ZONE: &str = "
        _dmarc.example.org TXT v=DMARC1; p=reject; sp=quarantine; np=reject; rua=mailto:a@example.org
        mail.example.org A 192.0.2.1
        _dmarc.uk TXT v=DMARC1; p=none; psd=y
        _dmarc.legit.co.uk TXT v=DMARC1; p=reject; psd=n
        _dmarc.co.uk TXT v=DMARC1; p=reject; psd=y
        www.shop.co.uk A 192.0.2.1";

    #[test]
    fn policies_come_from_the_tree() {
        let table = [
            ("example.org", "example.org", "example.org", Policy::Reject),
            (
                "mail.example.org",
                "example.org",
                "example.org",
                Policy::Quarantine,
            ),
            (
                "ghost.example.org",
                "example.org",
                "example.org",
                Policy::Reject,
            ),
            (
                "a.legit.co.uk",
                "legit.co.uk",
                "legit.co.uk",
                Policy::Reject,
            ),
            ("www.shop.co.uk", "shop.co.uk", "co.uk", Policy::Reject),
        ];
        for (author, organisation, publisher, policy) in table {
            let found = found(ZONE, author).unwrap();
            assert_eq!(found.organisation, organisation, "{author}");
            assert_eq!(
                (found.publisher.as_str(), found.policy),
                (publisher, policy),
                "{author}"
            );
        }
        assert_eq!(found(ZONE, "example.net"), None);
    }

    /// A35: alignment is by organisational domain, label by label.
    #[test]
    fn a35_alignment() {
        let dns = Table::parse(ZONE);
        let aligns = |author: &str, domain: &str, strict| {
            let policy = run(discover(&dns, author)).unwrap().unwrap();
            run(policy.aligns(&dns, domain, strict)).unwrap()
        };
        for (author, domain, relaxed, strict) in [
            ("example.org", "example.org", true, true),
            ("example.org", "bounce.example.org", true, false),
            ("mail.example.org", "news.example.org", true, false),
            ("example.org", "notexample.org", false, false),
            ("example.org", "org", false, false),
            ("example.org", "example.org.attack.example", false, false),
            ("a.legit.co.uk", "b.legit.co.uk", true, false),
            ("www.shop.co.uk", "other.co.uk", false, false),
            ("www.shop.co.uk", "co.uk", false, false),
        ] {
            assert_eq!(aligns(author, domain, false), relaxed, "{author} {domain}");
            assert_eq!(
                aligns(author, domain, true),
                strict,
                "{author} {domain} strict"
            );
        }
    }

    #[test]
    fn records() {
        let parse = |text: &str| Record::parse(text.as_bytes());
        for wrong in [
            "",
            "v=DMARC2; p=none",
            "p=none; v=DMARC1",
            "v=spf1",
            "v=DMARC1",
            "v=DMARC1; p=maybe",
            "v=dmarc1; p=none",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let record = parse("v=DMARC1 ; P=Reject; adkim=S; aspf=x; fo=1:d; pct=50; t=y; rua=mailto:a@b.example!10m, mailto:c@d.example").unwrap();
        assert_eq!(
            (record.p, record.sp, record.np),
            (Policy::Reject, Policy::Reject, Policy::Reject)
        );
        assert!(record.strict_dkim && !record.strict_spf && record.testing);
        assert_eq!(
            (record.percent, record.rua.len(), record.fo.as_str()),
            (50, 2, "1:d")
        );
        let reports_only = parse("v=DMARC1; p=maybe; rua=mailto:a@b.example").unwrap();
        assert_eq!(reports_only.p, Policy::None);
        // Several records are none, and so is one that fails.
        let twice =
            "_dmarc.a.example TXT v=DMARC1; p=reject\n_dmarc.a.example TXT v=DMARC1; p=none";
        assert_eq!(found(twice, "a.example"), None);
        let slow = Table::parse("_dmarc.a.example TIMEOUT");
        assert_eq!(run(discover(&slow, "a.example")), Err(Unanswered));
    }

    #[test]
    fn test_mode_and_samples_weaken() {
        let policy = |tags: &str| {
            let zone = format!("_dmarc.a.example TXT v=DMARC1; p=reject; {tags}");
            found(&zone, "a.example").unwrap()
        };
        assert_eq!(policy("").disposition(99), Policy::Reject);
        assert_eq!(policy("t=y").disposition(0), Policy::Quarantine);
        assert_eq!(policy("pct=30").disposition(29), Policy::Reject);
        assert_eq!(policy("pct=30").disposition(30), Policy::Quarantine);
        assert_eq!(policy("pct=0").disposition(0), Policy::Quarantine);
    }

    #[test]
    fn a_walk_asks_eight_times_at_most() {
        let dns = Table::parse("_dmarc.example TXT v=DMARC1; p=none");
        let name = format!("{}example", "a.".repeat(100));
        assert!(run(discover(&dns, &name)).unwrap().is_some());
        assert_eq!(dns.asked.load(Ordering::Relaxed), 8);
    }
}
