//! The findings in words that an owner understands, and as the fields of RFC 8601.

use std::net::IpAddr;

use super::authenticate::{Applied, Dmarc, Findings, Identity};
use super::dmarc::Policy;
use super::record::Check;
use super::results::Field;
use super::{arc, dkim, iprev, spf};
use crate::pipeline::Arrival;

/// Each finding as a check of the record.
pub fn checks(findings: &Findings, ip: IpAddr) -> Vec<Check> {
    let mut all = vec![iprev(&findings.iprev, ip)];
    all.push(spf(&findings.hello, "HELO", ip));
    if let Some(sender) = &findings.sender {
        all.push(spf(sender, "MAIL FROM", ip));
    }
    if findings.dkim.is_empty() {
        all.push(Check::new("dkim", "none", "It has no DKIM signature."));
    }
    all.extend(findings.dkim.iter().map(signature));
    if !(findings.arc.chain == arc::Chain::None && findings.arc.because.is_empty()) {
        all.push(chain(&findings.arc));
    }
    all.push(dmarc(&findings.dmarc));
    all
}

fn iprev(verified: &iprev::Verified, ip: IpAddr) -> Check {
    let words = match verified {
        iprev::Verified::Pass(host) => {
            format!("The name of {ip} is {host}, and that name leads back to it.")
        }
        iprev::Verified::Fail(Some(host)) => {
            format!("The name of {ip} is {host}, but that name does not lead back to it.")
        }
        iprev::Verified::Fail(None) => format!("{ip} has no name in the DNS."),
        iprev::Verified::TempError => format!("The DNS did not tell the name of {ip}."),
    };
    Check::new("iprev", verified.result(), words).with("address", ip.to_string())
}

fn spf(identity: &Identity, scope: &str, ip: IpAddr) -> Check {
    use spf::Outcome::*;
    let (domain, because) = (&identity.domain, &identity.verified.because);
    let words = match identity.verified.outcome {
        Pass => format!("{ip} is among the servers that {domain} allows: {because}."),
        Fail => format!("{ip} is not among the servers that {domain} allows: {because}."),
        SoftFail => {
            format!("{ip} is probably not among the servers that {domain} allows: {because}.")
        }
        Neutral => format!("{domain} does not say whether {ip} may send its mail: {because}."),
        None => format!("There is nothing to check for {domain:?}: {because}."),
        TempError => format!("{domain} could not be checked: {because}."),
        PermError => format!("What {domain} publishes cannot be used: {because}."),
    };
    Check::new("spf", identity.verified.outcome.name(), words)
        .with("identity", scope)
        .with("domain", domain)
        .with("address", ip.to_string())
}

fn signature(verified: &dkim::Verified) -> Check {
    let because = &verified.because;
    let of = match verified.domain.as_str() {
        "" => "A DKIM signature".to_owned(),
        domain => format!("The DKIM signature of {domain}"),
    };
    let words = match verified.outcome {
        dkim::Outcome::Pass => format!("{of} holds."),
        dkim::Outcome::TempError => format!("{of} could not be checked: {because}."),
        dkim::Outcome::Policy => format!("{of} is not accepted: {because}."),
        _ => format!("{of} does not hold: {because}."),
    };
    Check::new("dkim", verified.outcome.name(), words)
        .with("domain", &verified.domain)
        .with("selector", &verified.selector)
        .with("algorithm", verified.algorithm)
}

fn chain(verified: &arc::Verified) -> Check {
    let because = &verified.because;
    let words = match (verified.chain, verified.temporary) {
        (arc::Chain::Pass, _) => {
            let by = verified.sealers.join(", ");
            format!("It was sealed on its way by {by}, and the seals hold.")
        }
        (_, true) => {
            format!("The seals of those who forwarded it could not be checked: {because}.")
        }
        _ => format!("The seals of those who forwarded it do not hold: {because}."),
    };
    Check::new("arc", verified.chain.name(), words).with("sealers", verified.sealers.join(", "))
}

fn dmarc(dmarc: &Dmarc) -> Check {
    match dmarc {
        Dmarc::NoDomain => Check::new("dmarc", "none", "Its From field names no domain to ask."),
        Dmarc::NoPolicy(domain) => {
            let words = format!("{domain} publishes no policy about mail in its name.");
            Check::new("dmarc", "none", words).with("domain", domain)
        }
        Dmarc::Unanswered(domain) => {
            let words = format!("The DNS gave no answer about the policy of {domain}.");
            Check::new("dmarc", "temperror", words).with("domain", domain)
        }
        Dmarc::Applied(applied) => {
            let policy = &applied.policy;
            Check::new("dmarc", result(applied), outcome(applied))
                .with("domain", &policy.author)
                .with("policy of", &policy.publisher)
                .with("record", &policy.record.text)
        }
    }
}

fn result(applied: &Applied) -> &'static str {
    match (applied.passed(), applied.uncertain) {
        (true, _) => "pass",
        (false, true) => "temperror",
        (false, false) => "fail",
    }
}

fn outcome(applied: &Applied) -> String {
    let author = &applied.policy.author;
    let wants = match applied.policy.policy {
        Policy::None => "asks for nothing to be done about such mail",
        Policy::Quarantine => "asks to treat such mail as suspicious",
        Policy::Reject => "asks to refuse such mail",
    };
    match (&applied.dkim, &applied.spf, applied.uncertain) {
        (Some(domain), _, _) => {
            format!("{author} vouches for it: the DKIM signature of {domain} counts for it.")
        }
        (_, Some(domain), _) => {
            format!("{author} vouches for it: the SPF record of {domain} counts for it.")
        }
        (None, None, true) => format!(
            "Whether it comes from {author} could not be told, because the DNS failed; its policy {wants}."
        ),
        (None, None, false) => {
            format!("Nothing proves that it comes from {author}; its policy {wants}.")
        }
    }
}

/// The field of RFC 8601 for the findings.
pub fn field(findings: &Findings, arrival: &Arrival, server: &str) -> String {
    let mut field = Field::new(server);
    let ip = arrival.peer.ip.to_string();
    field.add(
        "iprev",
        findings.iprev.result(),
        "",
        &[("policy.iprev", &ip)],
    );
    let hello = &findings.hello;
    if hello.verified.outcome != spf::Outcome::None || findings.sender.is_none() {
        let result = hello.verified.outcome.name();
        field.add("spf", result, "", &[("smtp.helo", &hello.domain)]);
    }
    if let Some(sender) = &findings.sender {
        let address = match arrival.from.mailbox() {
            Some(mailbox) if mailbox.local().is_ascii() => {
                format!("{}@{}", mailbox.local(), sender.domain)
            }
            _ => sender.domain.clone(),
        };
        let result = sender.verified.outcome.name();
        field.add("spf", result, "", &[("smtp.mailfrom", &address)]);
    }
    if findings.dkim.is_empty() {
        field.add("dkim", "none", "", &[]);
    }
    for one in &findings.dkim {
        let reason = match one.outcome {
            dkim::Outcome::Pass => "",
            _ => &one.because,
        };
        let properties = [
            ("header.d", one.domain.as_str()),
            ("header.s", &one.selector),
            ("header.a", one.algorithm),
            ("header.b", &one.mark),
        ];
        field.add("dkim", one.outcome.name(), reason, &properties);
    }
    if findings.arc.chain != arc::Chain::None {
        let sealer = findings.arc.sealers.first();
        let properties = [("header.d", sealer.map_or("", String::as_str))];
        field.add("arc", findings.arc.chain.name(), "", &properties);
    }
    let (result, comment, from) = match &findings.dmarc {
        Dmarc::NoDomain => ("none", String::new(), ""),
        Dmarc::NoPolicy(domain) => ("none", String::new(), domain.as_str()),
        Dmarc::Unanswered(domain) => ("temperror", String::new(), domain.as_str()),
        Dmarc::Applied(applied) => {
            let policy = format!("p={}", applied.policy.policy.name());
            (result(applied), policy, applied.policy.author.as_str())
        }
    };
    field.add("dmarc", result, &comment, &[("header.from", from)]);
    field.finish()
}
