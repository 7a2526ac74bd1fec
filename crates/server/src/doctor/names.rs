//! What the DNS says.

use std::net::IpAddr;
use std::time::Duration;

use super::{Finding, Grade, Patient};
use crate::dns::Error;
use crate::http::Limits;
use crate::judge;
use crate::records::{self, Need, Record};
use crate::reports::rua;
use crate::sign::tend::{self, Seen};

/// The record that we would publish under a name, as its owner would paste it.
fn wanted(patient: &Patient, kind: &str, name: &str) -> String {
    let all = records::records(&patient.facts);
    let matching = |record: &&Record| record.kind == kind && record.name == format!("{name}.");
    let lines: Vec<String> = all.iter().filter(matching).map(Record::line).collect();
    match lines.is_empty() {
        true => format!("add a record of type {kind} for {name}"),
        false => format!("put into the DNS: {}", lines.join(" ; ")),
    }
}

/// The DNS did not say yes or no.
fn unknown(check: &'static str, name: &str, error: &Error) -> Finding {
    let todo = match error {
        Error::Bogus => {
            "mend the DNSSEC signatures of the zone: validating resolvers see nothing of it"
        }
        _ => "look whether this machine's resolver works, and try again",
    };
    Finding::new(check, Grade::Unknown, format!("{name}: {error}"), todo)
}

/// The server's own name.
pub(super) async fn host(patient: &Patient, findings: &mut Vec<Finding>) -> Vec<IpAddr> {
    const CHECK: &str = "host";
    let host = &patient.facts.hostname;
    let addresses = match patient.dns.addresses(host).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_absence() => {
            let what = format!("{host} has no address: nobody finds this server");
            findings.push(Finding::new(
                CHECK,
                Grade::Broken,
                what,
                wanted(patient, "A", host),
            ));
            return Vec::new();
        }
        Err(error) => {
            findings.push(unknown(CHECK, host, &error));
            return Vec::new();
        }
    };
    let own = &patient.facts.addresses;
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let foreign = |address: &&IpAddr| {
        own.iter().any(|known| known.is_ipv4() == address.is_ipv4()) && !own.contains(address)
    };
    findings.push(match addresses.iter().find(foreign) {
        None => Finding::good(CHECK, format!("{host} is {}", listed.join(", "))),
        Some(address) => {
            let what = format!("{host} is {address}, but this machine sends from {}", join(own));
            let todo = "right if a router translates addresses; otherwise set the address records of the name to this machine";
            Finding::new(CHECK, Grade::Advice, what, todo)
        }
    });
    addresses
}

fn join(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// RFC 5321 §5.1.
pub(super) async fn mx(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "MX";
    let (domain, host) = (&patient.facts.domain, &patient.facts.hostname);
    let todo = || wanted(patient, "MX", domain);
    let found = match patient.dns.mx(domain).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_absence() => {
            let what = format!("{domain} has no MX record: mail for it does not come here");
            return vec![Finding::new(CHECK, Grade::Broken, what, todo())];
        }
        Err(error) => return vec![unknown(CHECK, domain, &error)],
    };
    let mut findings = Vec::new();
    if !found.iter().any(|mx| mx.host.eq_ignore_ascii_case(host)) {
        let hosts: Vec<&str> = found.iter().map(|mx| mx.host.as_str()).collect();
        let what = format!(
            "mail for {domain} goes to {}, not to {host}",
            hosts.join(", ")
        );
        findings.push(Finding::new(CHECK, Grade::Broken, what, todo()));
    }
    for mx in &found {
        // RFC 2181 §10.3
        if let Ok(answer) = patient.dns.addresses(&mx.host).await
            && !answer.canonical.eq_ignore_ascii_case(&mx.host)
        {
            let what = format!("the MX record names {}, which is an alias", mx.host);
            let todo = format!("name {} itself", answer.canonical);
            findings.push(Finding::new(CHECK, Grade::Advice, what, todo));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            CHECK,
            format!("mail for {domain} goes to {host}"),
        ));
    }
    findings
}

/// The names of the addresses, and whether they lead back.
pub(super) async fn reverse(patient: &Patient, addresses: &[IpAddr]) -> Vec<Finding> {
    let host = &patient.facts.hostname;
    let mut findings = Vec::new();
    for address in addresses {
        let names = match patient.dns.ptr(*address).await {
            Ok(answer) => answer.records,
            Err(error) if error.is_absence() => Vec::new(),
            Err(error) => {
                findings.push(unknown(REVERSE, &address.to_string(), &error));
                continue;
            }
        };
        let confirmed = match names.first() {
            None => false,
            Some(name) => {
                let back = patient.dns.addresses(name).await;
                back.is_ok_and(|answer| answer.records.contains(address))
            }
        };
        findings.push(named(host, *address, &names, confirmed));
    }
    findings
}

const REVERSE: &str = "reverse DNS";

/// Large providers refuse mail from addresses without a name, or with one that does not lead back.
fn named(host: &str, address: IpAddr, names: &[String], confirmed: bool) -> Finding {
    let is_host = |name: &String| name.trim_end_matches('.').eq_ignore_ascii_case(host);
    if names.iter().any(is_host) {
        return Finding::good(REVERSE, format!("{address} is {host}"));
    }
    let (grade, what) = match names.first() {
        None => (
            Grade::Broken,
            format!("{address} has no name: many servers refuse mail from it"),
        ),
        Some(name) if confirmed => (
            Grade::Advice,
            format!("{address} is called {name}, not {host}"),
        ),
        Some(name) => (
            Grade::Broken,
            format!("{address} is called {name}, and that name does not lead back to it"),
        ),
    };
    let todo = format!("let the provider of the address set its reverse name to {host}");
    Finding::new(REVERSE, grade, what, todo)
}

/// The records of a name that begin as they should.
async fn texts(patient: &Patient, name: &str, tag: &str) -> Result<Vec<String>, Error> {
    match patient.dns.txt(name).await {
        Ok(answer) => Ok(answer
            .records
            .iter()
            .map(|record| String::from_utf8_lossy(record).into_owned())
            .filter(|text| {
                let start = text.get(..tag.len()).unwrap_or_default();
                let rest = text.get(tag.len()..).unwrap_or_default();
                start.eq_ignore_ascii_case(tag)
                    && (rest.is_empty() || rest.starts_with([' ', ';', '\t']))
            })
            .collect()),
        Err(error) if error.is_absence() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// RFC 7208: not only whether there is a record, but whether this server passes it.
pub(super) async fn spf(patient: &Patient, addresses: &[IpAddr]) -> Vec<Finding> {
    const CHECK: &str = "SPF";
    let (domain, host) = (&patient.facts.domain, &patient.facts.hostname);
    let todo = || wanted(patient, "TXT", domain);
    let found = match texts(patient, domain, "v=spf1").await {
        Ok(found) => found,
        Err(error) => return vec![unknown(CHECK, domain, &error)],
    };
    let record = match found.as_slice() {
        [only] => only,
        [] => {
            let what = format!("{domain} has no SPF record: its mail is trusted less");
            return vec![Finding::new(CHECK, Grade::Advice, what, todo())];
        }
        // RFC 7208 §4.5
        _ => {
            let what = format!(
                "{domain} has {} SPF records; there must be one",
                found.len()
            );
            return vec![Finding::new(
                CHECK,
                Grade::Broken,
                what,
                "leave one of them",
            )];
        }
    };
    let mut findings = Vec::new();
    let sender = format!("postmaster@{domain}");
    let resolver = judge::lookup::Resolver(patient.dns.authenticator());
    for address in addresses {
        let verified = judge::spf::check_host(&resolver, *address, domain, &sender, host).await;
        if verified.outcome != judge::spf::Outcome::Pass {
            let what = format!(
                "mail from {address} gets \"{}\": {} ({record})",
                verified.outcome.name(),
                verified.because
            );
            findings.push(Finding::new(CHECK, Grade::Broken, what, todo()));
        }
    }
    let lower = record.to_ascii_lowercase();
    if lower
        .split_ascii_whitespace()
        .any(|term| term == "+all" || term == "all")
    {
        let what = format!("the record lets everybody send as {domain}: {record}");
        findings.push(Finding::new(
            CHECK,
            Grade::Advice,
            what,
            "let it end with -all",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good(CHECK, record));
    }
    findings
}

/// RFC 6376.
pub(super) async fn dkim(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "DKIM";
    let domain = &patient.facts.domain;
    let mut findings = Vec::new();
    for (state, selector, public) in &patient.keys {
        let name = tend::name(domain, selector);
        let todo = wanted(patient, "TXT", &name);
        let seen = tend::look(&patient.dns, domain, selector, public).await;
        let active = state == "active";
        let grade = if active { Grade::Advice } else { Grade::Hint };
        findings.push(match seen {
            Seen::Good => Finding::good(CHECK, format!("{selector} ({state}) is in the DNS")),
            Seen::Missing if state == "retired" => {
                let what = format!("the record of the retired key {selector} is gone already");
                let todo = "nothing any more; the next time leave it until waxwing dkim show says otherwise";
                Finding::new(CHECK, Grade::Hint, what, todo)
            }
            Seen::Missing => {
                let what = format!("the record of the key {selector} ({state}) is not in the DNS");
                Finding::new(CHECK, grade, what, todo)
            }
            Seen::Other => {
                let what = format!("{name} holds another key: signatures fail");
                Finding::new(CHECK, if active { Grade::Broken } else { grade }, what, todo)
            }
            Seen::Several => {
                let what = format!("{name} has several records");
                Finding::new(CHECK, Grade::Broken, what, "leave one of them")
            }
            Seen::Unknown(why) => {
                let what = format!("{name}: {why}");
                Finding::new(CHECK, Grade::Unknown, what, "try again")
            }
        });
    }
    findings
}

/// RFC 7489 §6.
pub(super) async fn dmarc(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "DMARC";
    let name = format!("_dmarc.{}", patient.facts.domain);
    let found = match texts(patient, &name, "v=DMARC1").await {
        Ok(found) => found,
        Err(error) => return vec![unknown(CHECK, &name, &error)],
    };
    let record = match found.as_slice() {
        [only] => only,
        [] => {
            let what = "there is no DMARC record: large providers put such mail aside, and anybody may use the name";
            let todo = wanted(patient, "TXT", &name);
            return vec![Finding::new(CHECK, Grade::Advice, what, todo)];
        }
        _ => {
            let what = format!(
                "{name} has {} DMARC records, and so none counts",
                found.len()
            );
            return vec![Finding::new(
                CHECK,
                Grade::Advice,
                what,
                "leave one of them",
            )];
        }
    };
    let policy = record.split(';').find_map(|tag| {
        let (name, value) = tag.split_once('=')?;
        (name.trim() == "p").then(|| value.trim().to_ascii_lowercase())
    });
    if policy.as_deref() == Some("none") {
        let what =
            "the policy is p=none: mail that only pretends to come from the domain is let through";
        let todo = "look at waxwing reports dmarc; when nothing of yours fails, set p=quarantine or p=reject";
        return vec![Finding::new(CHECK, Grade::Hint, what, todo)];
    }
    if rua(record).is_empty() {
        let what = format!("nobody tells you what is done in the name of the domain: {record}");
        let todo = wanted(patient, "TXT", &name);
        return vec![Finding::new(CHECK, Grade::Hint, what, todo)];
    }
    vec![Finding::good(CHECK, record)]
}

/// RFC 7672: a wrong record is worse than none.
pub(super) async fn tlsa(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "DANE";
    let host = &patient.facts.hostname;
    let name = format!("_25._tcp.{host}");
    let answer = match patient.dns.tlsa(&name).await {
        Ok(answer) => answer,
        Err(error) if error.is_absence() => {
            let secure = patient
                .dns
                .addresses(host)
                .await
                .is_ok_and(|answer| answer.secure);
            if !secure {
                return Vec::new();
            }
            let what = "the zone is signed and has no TLSA record";
            let todo = wanted(patient, "TLSA", &name);
            return vec![Finding::new(CHECK, Grade::Hint, what, todo)];
        }
        Err(error) => return vec![unknown(CHECK, &name, &error)],
    };
    if !answer.secure {
        let what =
            format!("{name} has TLSA records that nobody believes: DNSSEC does not vouch for them");
        let todo = "sign the zone with DNSSEC, or take the records out";
        return vec![Finding::new(CHECK, Grade::Hint, what, todo)];
    }
    let usable: Vec<_> = answer
        .records
        .iter()
        .filter(|record| (record.usage, record.selector, record.matching) == (3, 1, 1))
        .collect();
    let Ok(certificate) = &patient.certificate else {
        return Vec::new();
    };
    let matches = |data: &[u8]| data == certificate.spki_sha256.as_slice();
    if usable.iter().any(|record| matches(&record.data)) {
        return vec![Finding::good(
            CHECK,
            "a TLSA record stands for the certificate",
        )];
    }
    let grade = if usable.len() == answer.records.len() {
        Grade::Broken
    } else {
        // Other usages may fit; they are rare, and not what we publish.
        Grade::Advice
    };
    let what = "no TLSA record stands for the certificate: senders that use DANE deliver nothing";
    vec![Finding::new(
        CHECK,
        grade,
        what,
        wanted(patient, "TLSA", &name),
    )]
}

/// RFC 8461: the record and the policy behind it.
pub(super) async fn sts(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "MTA-STS";
    let (domain, host) = (&patient.facts.domain, &patient.facts.hostname);
    let name = format!("_mta-sts.{domain}");
    let found = match texts(patient, &name, "v=STSv1").await {
        Ok(found) => found,
        Err(error) => return vec![unknown(CHECK, &name, &error)],
    };
    if found.is_empty() {
        if !patient.facts.public_certificate {
            return Vec::new();
        }
        let what = "there is no policy: senders without DANE can be made to send in the clear";
        let todo = "see waxwing dns records for the record and the file";
        return vec![Finding::new(CHECK, Grade::Hint, what, todo)];
    }
    let url = format!("https://mta-sts.{domain}/.well-known/mta-sts.txt");
    let limits = Limits {
        // RFC 8461 §3.3 suggests 64 KiB and a minute.
        body: 64 * 1024,
        time: Duration::from_secs(30),
    };
    let policy = match patient.http.get(&url, limits).await {
        Ok(response) if response.status == 200 => {
            String::from_utf8_lossy(&response.body).into_owned()
        }
        Ok(response) => {
            let what = format!(
                "{url} answers {}: the policy does not count",
                response.status
            );
            return vec![Finding::new(
                CHECK,
                Grade::Advice,
                what,
                "put the file there",
            )];
        }
        Err(error) => {
            let what = format!("{url}: {error}");
            let todo = "put the file on a web server with a certificate for that name, or take the record out";
            return vec![Finding::new(CHECK, Grade::Advice, what, todo)];
        }
    };
    vec![policy_finding(&policy, host)]
}

fn policy_finding(policy: &str, host: &str) -> Finding {
    const CHECK: &str = "MTA-STS";
    let values = |key: &str| -> Vec<String> {
        let lines = policy.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim().to_ascii_lowercase())
            .collect()
    };
    let host = host.to_ascii_lowercase();
    let named = values("mx")
        .iter()
        .any(|pattern| match pattern.strip_prefix("*.") {
            // RFC 8461 §4.1: the wildcard stands for one label.
            Some(rest) => host
                .split_once('.')
                .is_some_and(|(_, parent)| parent == rest),
            None => *pattern == host,
        });
    let mode = values("mode").first().cloned().unwrap_or_default();
    if !named {
        let grade = if mode == "enforce" {
            Grade::Broken
        } else {
            Grade::Advice
        };
        let what = format!("the policy does not name {host}: senders that obey it deliver nothing");
        return Finding::new(
            CHECK,
            grade,
            what,
            format!("add the line mx: {host}, and change the id in the record"),
        );
    }
    match mode.as_str() {
        "enforce" => Finding::good(CHECK, "the policy is in force"),
        "testing" | "none" => Finding::new(
            CHECK,
            Grade::Hint,
            format!("the policy's mode is {mode}"),
            "look at waxwing reports tls; when nothing fails, set mode: enforce and change the id in the record",
        ),
        other => Finding::new(
            CHECK,
            Grade::Advice,
            format!("the policy's mode is {other:?}, which nobody knows"),
            "set mode: enforce, and change the id in the record",
        ),
    }
}

/// RFC 8460 §3, and the names by which mail programs find the services.
pub(super) async fn tls_reports(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "TLS reports";
    let name = format!("_smtp._tls.{}", patient.facts.domain);
    let mut findings = match texts(patient, &name, "v=TLSRPTv1").await {
        Ok(found) if found.is_empty() => {
            let what = "nobody tells you when TLS with this server fails";
            vec![Finding::new(
                CHECK,
                Grade::Hint,
                what,
                wanted(patient, "TXT", &name),
            )]
        }
        Ok(found) => vec![Finding::good(CHECK, found.join(" "))],
        Err(error) => vec![unknown(CHECK, &name, &error)],
    };
    let missing = records::records(&patient.facts)
        .iter()
        .filter(|record| record.kind == "SRV" && record.need == Need::Optional)
        .count();
    if missing > 0 && patient.facts.services.is_empty() {
        let what = "no service for mail programs can be reached from elsewhere";
        let todo = "give the table listen addresses that are not of this machine alone";
        findings.push(Finding::new("services", Grade::Hint, what, todo));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses() {
        let address = "203.0.113.5".parse().unwrap();
        for (names, confirmed, grade) in [
            (vec!["Mail.a.example."], true, Grade::Good),
            (vec!["other.example", "mail.a.example"], false, Grade::Good),
            (vec!["pool-5.provider.example"], true, Grade::Advice),
            (vec!["pool-5.provider.example"], false, Grade::Broken),
            (vec![], false, Grade::Broken),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let finding = named("mail.a.example", address, &names, confirmed);
            assert_eq!(finding.grade, grade, "{names:?}");
        }
    }

    #[test]
    fn policies() {
        let host = "mail.a.example";
        for (policy, grade) in [
            (
                "version: STSv1\r\nmode: enforce\r\nmx: mail.a.example\r\nmax_age: 1\r\n",
                Grade::Good,
            ),
            ("mode: enforce\nmx: *.a.example\n", Grade::Good),
            ("mode: enforce\nmx: *.example\n", Grade::Broken),
            ("mode: enforce\nmx: other.example\n", Grade::Broken),
            ("mode: testing\nmx: other.example\n", Grade::Advice),
            ("mode: testing\nmx: Mail.A.example\n", Grade::Hint),
            ("mode: x\nmx: mail.a.example\n", Grade::Advice),
            ("", Grade::Advice),
        ] {
            assert_eq!(policy_finding(policy, host).grade, grade, "{policy}");
        }
    }
}
