//! What belongs into the DNS for a domain whose mail is kept here: `waxwing dns records` prints it, `waxwing doctor`
//! compares it with what the world sees.
//!
//! Pure: from [`Facts`] to records and files.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::config::Service;

/// Before the @ in the address that takes DMARC reports. The sub-address tells them from letters.
pub const DMARC_REPORTS: &str = "postmaster+dmarc";
/// The same for reports on TLS.
pub const TLS_REPORTS: &str = "postmaster+tls";

/// How long others may keep our MTA-STS policy: RFC 8461 §3.2 speaks of weeks, so that an attack on the DNS outlasts it.
const POLICY_AGE: u32 = 1_209_600;

/// What the records are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The domain, A-labels.
    pub domain: String,
    /// The server's name.
    pub hostname: String,
    /// Its addresses, as far as known.
    pub addresses: Vec<IpAddr>,
    /// Selector and record of each key to be published.
    pub keys: Vec<(String, String)>,
    /// Data of the TLSA records: of the certificate, and of the next one.
    pub tlsa: Vec<String>,
    /// Whether strangers can verify the certificate.
    pub public_certificate: bool,
    /// The services for clients, with their ports.
    pub services: Vec<(Service, u16)>,
}

/// How much a record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Mail does not work without.
    Required,
    /// Others trust the mail less without.
    Recommended,
    /// Good to have.
    Optional,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name, with the dot at the end.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// Its data as in a zone file; of TXT the text itself.
    pub data: String,
    /// How much it matters.
    pub need: Need,
    /// What it is for.
    pub why: &'static str,
}

/// A file to be served over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where.
    pub url: String,
    /// What.
    pub content: String,
    /// What it is for.
    pub why: &'static str,
}

/// All records, in the order in which one would write them down.
pub fn records(facts: &Facts) -> Vec<Record> {
    let mut list = List(Vec::new());
    let (domain, host) = (&facts.domain, &facts.hostname);
    use Need::*;
    let why = "mail for the domain goes to this server (RFC 5321)";
    list.add("", domain, "MX", format!("10 {host}."), Required, why);
    for address in &facts.addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let why = "where this server is; the provider of the address must set its reverse name to the same";
        list.add("", host, kind, address.to_string(), Required, why);
    }
    let why = "only this server sends mail of the domain (SPF, RFC 7208)";
    list.add(
        "",
        domain,
        "TXT",
        "v=spf1 mx -all".to_owned(),
        Recommended,
        why,
    );
    if host != domain {
        let why = "the same for the server's own name, which bounces are judged by (RFC 7208)";
        list.add("", host, "TXT", "v=spf1 a -all".to_owned(), Optional, why);
    }
    for (selector, record) in &facts.keys {
        let why = "the key that signatures of the domain are verified with (DKIM, RFC 6376)";
        let at = format!("{selector}._domainkey.");
        list.add(&at, domain, "TXT", record.clone(), Recommended, why);
    }
    let policy = format!("v=DMARC1; p=quarantine; rua=mailto:{DMARC_REPORTS}@{domain}");
    let why = "what others do with mail that only pretends to come from the domain, and where they report it (DMARC, RFC 7489)";
    list.add("_dmarc.", domain, "TXT", policy, Recommended, why);
    let policy = format!("v=TLSRPTv1; rua=mailto:{TLS_REPORTS}@{domain}");
    let why = "where others report what goes wrong with TLS (RFC 8460)";
    list.add("_smtp._tls.", domain, "TXT", policy, Optional, why);
    for data in &facts.tlsa {
        let why = "the server's certificate, for senders that trust DNSSEC (DANE, RFC 7672); useless in a zone that is not signed";
        list.add("_25._tcp.", host, "TLSA", data.clone(), Optional, why);
    }
    if let Some(policy) = policy_file(facts) {
        let id = policy_id(&policy.content);
        let why = "senders must use TLS and verify the certificate (MTA-STS, RFC 8461); needs the policy file on a web server";
        list.add(
            "_mta-sts.",
            domain,
            "TXT",
            format!("v=STSv1; id={id}"),
            Optional,
            why,
        );
        let why =
            "the web server that has the policy file; another one than the mail server will do";
        list.add(
            "mta-sts.",
            domain,
            "CNAME",
            format!("{host}."),
            Optional,
            why,
        );
    }
    services(facts, &mut list);
    let why = "where mail programs look for their settings; needs the file below on a web server";
    list.add(
        "autoconfig.",
        domain,
        "CNAME",
        format!("{host}."),
        Optional,
        why,
    );
    let why = "the same for Outlook";
    list.add(
        "autodiscover.",
        domain,
        "CNAME",
        format!("{host}."),
        Optional,
        why,
    );
    list.0
}

/// RFC 6186 §3, RFC 8314 §5.1: which services there are for clients, those with TLS from the start preferred.
fn services(facts: &Facts, list: &mut List) {
    const NAMES: [(Service, &str, u8); 6] = [
        (Service::Submissions, "_submissions._tcp.", 0),
        (Service::Submission, "_submission._tcp.", 10),
        (Service::Imaps, "_imaps._tcp.", 0),
        (Service::Imap, "_imap._tcp.", 10),
        (Service::Pop3s, "_pop3s._tcp.", 20),
        (Service::Pop3, "_pop3._tcp.", 30),
    ];
    for (service, name, priority) in NAMES {
        let port = facts.services.iter().find(|(known, _)| *known == service);
        let (data, why) = match port {
            Some((_, port)) => (
                format!("{priority} 1 {port} {}.", facts.hostname),
                "how mail programs find the service (RFC 6186, RFC 8314)",
            ),
            // RFC 6186 §3.4
            None => (
                "0 0 0 .".to_owned(),
                "this service is not offered (RFC 6186)",
            ),
        };
        list.add(name, &facts.domain, "SRV", data, Need::Optional, why);
    }
}

struct List(Vec<Record>);

impl List {
    fn add(
        &mut self,
        prefix: &str,
        name: &str,
        kind: &'static str,
        data: String,
        need: Need,
        why: &'static str,
    ) {
        self.0.push(Record {
            name: format!("{prefix}{name}."),
            kind,
            data,
            need,
            why,
        });
    }
}

/// The files that belong on a web server.
pub fn pages(facts: &Facts) -> Vec<Page> {
    policy_file(facts)
        .into_iter()
        .chain([client_settings(facts)])
        .collect()
}

/// RFC 8461 §3.2. Only with a certificate that strangers can verify: otherwise it would keep mail away.
fn policy_file(facts: &Facts) -> Option<Page> {
    facts.public_certificate.then(|| Page {
        url: format!("https://mta-sts.{}/.well-known/mta-sts.txt", facts.domain),
        content: format!(
            "version: STSv1\r\nmode: enforce\r\nmx: {}\r\nmax_age: {POLICY_AGE}\r\n",
            facts.hostname
        ),
        why: "the policy of MTA-STS",
    })
}

/// RFC 8461 §3.1: another id for each other policy.
fn policy_id(content: &str) -> String {
    let hash = Sha256::digest(content.as_bytes());
    crate::manage::hex(hash.get(..8).unwrap_or_default())
}

/// What Thunderbird and others read (the format `clientConfig` version 1.1).
fn client_settings(facts: &Facts) -> Page {
    let mut content = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{0}\">\n    \
         <domain>{0}</domain>\n    <displayName>{0}</displayName>\n    <displayShortName>{0}</displayShortName>\n",
        facts.domain
    );
    const KINDS: [(Service, &str, &str, &str); 6] = [
        (Service::Imaps, "incomingServer", "imap", "SSL"),
        (Service::Imap, "incomingServer", "imap", "STARTTLS"),
        (Service::Pop3s, "incomingServer", "pop3", "SSL"),
        (Service::Pop3, "incomingServer", "pop3", "STARTTLS"),
        (Service::Submissions, "outgoingServer", "smtp", "SSL"),
        (Service::Submission, "outgoingServer", "smtp", "STARTTLS"),
    ];
    for (service, element, kind, security) in KINDS {
        let Some((_, port)) = facts.services.iter().find(|(known, _)| *known == service) else {
            continue;
        };
        content.push_str(&format!(
            "    <{element} type=\"{kind}\">\n      <hostname>{}</hostname>\n      <port>{port}</port>\n      \
             <socketType>{security}</socketType>\n      <authentication>password-cleartext</authentication>\n      \
             <username>%EMAILADDRESS%</username>\n    </{element}>\n",
            facts.hostname
        ));
    }
    content.push_str("  </emailProvider>\n</clientConfig>\n");
    Page {
        url: format!("https://autoconfig.{}/mail/config-v1.1.xml", facts.domain),
        content,
        why: "the settings of mail programs",
    }
}

impl Record {
    /// Its line in a zone file. A TXT record is cut into strings of 255 octets (RFC 1035 §3.3), which readers join.
    pub fn line(&self) -> String {
        let data = match self.kind {
            "TXT" => quoted(&self.data),
            _ => self.data.clone(),
        };
        format!("{} 3600 IN {} {data}", self.name, self.kind)
    }
}

fn quoted(text: &str) -> String {
    let strings = text.as_bytes().chunks(255).map(|part| {
        let part = String::from_utf8_lossy(part);
        format!("\"{}\"", part.replace('\\', "\\\\").replace('"', "\\\""))
    });
    strings.collect::<Vec<_>>().join(" ")
}

/// A zone file with the reasons as comments.
pub fn zone(facts: &Facts, records: &[Record]) -> String {
    let mut text = String::new();
    let mut last = "";
    for record in records {
        if record.why != last {
            text.push_str(&format!("\n; {}\n", record.why));
            last = record.why;
        }
        text.push_str(&record.line());
        text.push('\n');
    }
    if facts.addresses.is_empty() {
        text.push_str(&format!(
            "\n; The addresses of this machine are not known here:\n; {0}. 3600 IN A ...\n; {0}. 3600 IN AAAA ...\n",
            facts.hostname
        ));
    }
    let outside = !format!(".{}", facts.hostname).ends_with(&format!(".{}", facts.domain));
    if outside {
        text.push_str(&format!(
            "\n; Records of {} belong into the zone of that name.\n",
            facts.hostname
        ));
    }
    for page in pages(facts) {
        text.push_str(&format!("\n; {}: {}\n", page.url, page.why));
        for line in page.content.lines() {
            text.push_str(&format!(";   {line}\n"));
        }
    }
    text.trim_start_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            domain: "example.org".into(),
            hostname: "mail.example.org".into(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            keys: vec![(
                "rsa-1".into(),
                format!("v=DKIM1; k=rsa; p={}", "A".repeat(392)),
            )],
            tlsa: vec!["3 1 1 00ff".into()],
            public_certificate: true,
            services: vec![
                (Service::Submissions, 465),
                (Service::Imaps, 993),
                (Service::Imap, 143),
            ],
        }
    }

    #[test]
    fn everything_is_there() {
        let facts = facts();
        let lines: Vec<String> = records(&facts).iter().map(Record::line).collect();
        let id = policy_id(&policy_file(&facts).unwrap().content);
        for expected in [
            "example.org. 3600 IN MX 10 mail.example.org.",
            "mail.example.org. 3600 IN A 192.0.2.1",
            "mail.example.org. 3600 IN AAAA 2001:db8::1",
            "example.org. 3600 IN TXT \"v=spf1 mx -all\"",
            "mail.example.org. 3600 IN TXT \"v=spf1 a -all\"",
            "_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=quarantine; rua=mailto:postmaster+dmarc@example.org\"",
            "_smtp._tls.example.org. 3600 IN TXT \"v=TLSRPTv1; rua=mailto:postmaster+tls@example.org\"",
            "_25._tcp.mail.example.org. 3600 IN TLSA 3 1 1 00ff",
            &format!("_mta-sts.example.org. 3600 IN TXT \"v=STSv1; id={id}\""),
            "_submissions._tcp.example.org. 3600 IN SRV 0 1 465 mail.example.org.",
            "_submission._tcp.example.org. 3600 IN SRV 0 0 0 .",
            "_imap._tcp.example.org. 3600 IN SRV 10 1 143 mail.example.org.",
            "_pop3s._tcp.example.org. 3600 IN SRV 0 0 0 .",
            "autoconfig.example.org. 3600 IN CNAME mail.example.org.",
        ] {
            assert!(
                lines.iter().any(|line| line == expected),
                "{expected}\n{lines:#?}"
            );
        }
        // RFC 8461 §3.1: 1 to 32 letters and digits.
        assert!(id.len() <= 32 && id.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    }

    #[test]
    fn long_texts_are_cut_into_strings() {
        let text = quoted(&"x".repeat(600));
        let strings: Vec<usize> = text.split(' ').map(|string| string.len() - 2).collect();
        assert_eq!(strings, [255, 255, 90]);
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn without_a_public_certificate_there_is_no_policy_to_verify_it() {
        let facts = Facts {
            public_certificate: false,
            addresses: Vec::new(),
            domain: "example.net".into(),
            ..facts()
        };
        let all = records(&facts);
        assert!(all.iter().all(|record| !record.name.contains("mta-sts")));
        let zone = zone(&facts, &all);
        assert!(!zone.contains("mta-sts") && zone.contains("are not known here"));
        assert!(zone.contains("belong into the zone of that name"), "{zone}");
    }

    #[test]
    fn a_changed_policy_has_another_id() {
        assert_ne!(policy_id("a"), policy_id("b"));
    }
}
