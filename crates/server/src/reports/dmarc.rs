//! A DMARC aggregate report of ours (RFC 7489 §7.2): the facts of a day about one policy, as XML in a message.
//!
//! The form is that of RFC 7489 appendix C without a name space, as the large providers write it.

use std::fmt::Write as _;

use store::Feedback;

use super::{DAY, Envelope, gzip, hash};
use crate::judge::feedback::{Facts, Published};

/// A report for all addresses of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The domain whose policy it is.
    pub domain: String,
    /// Where it wants reports, as written.
    pub rua: Vec<String>,
    /// How we call the report.
    pub id: String,
    /// The report.
    pub xml: String,
}

/// The reports about a domain and a day: one for each policy that was in force.
pub fn aggregates(domain: &str, day: i64, rows: &[Feedback], sender: &Envelope) -> Vec<Aggregate> {
    let mut found: Vec<(&str, Vec<(Facts, u64)>)> = Vec::new();
    for row in rows {
        let Some(facts) = Facts::from_text(&row.facts) else {
            continue;
        };
        match found.iter_mut().find(|(policy, _)| *policy == row.policy) {
            Some((_, all)) => all.push((facts, row.count)),
            None => found.push((&row.policy, vec![(facts, row.count)])),
        }
    }
    let aggregate = |(policy, facts): (&str, Vec<(Facts, u64)>)| {
        let published = Published::from_text(policy)?;
        let id = hash(&["dmarc", domain, &day.to_string(), policy, &sender.host]);
        Some(Aggregate {
            domain: published.domain.clone(),
            rua: published.rua.clone(),
            xml: xml(&published, &facts, day, &id, sender),
            id,
        })
    };
    found.into_iter().filter_map(aggregate).collect()
}

fn xml(
    published: &Published,
    facts: &[(Facts, u64)],
    day: i64,
    id: &str,
    sender: &Envelope,
) -> String {
    let begin = day.saturating_mul(DAY);
    let end = begin.saturating_add(DAY - 1);
    let mut xml = Xml(String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n",
    ));
    xml.value("version", "1.0");
    xml.open("report_metadata");
    xml.value("org_name", &sender.host);
    xml.value("email", &sender.from);
    xml.value("report_id", id);
    xml.open("date_range");
    xml.value("begin", &begin.to_string());
    xml.value("end", &end.to_string());
    xml.close("date_range");
    xml.close("report_metadata");
    xml.open("policy_published");
    xml.value("domain", &published.domain);
    for (name, value) in [
        ("adkim", &published.adkim),
        ("aspf", &published.aspf),
        ("p", &published.p),
        ("sp", &published.sp),
    ] {
        if !value.is_empty() {
            xml.value(name, value);
        }
    }
    xml.value("pct", "100");
    if !published.fo.is_empty() {
        xml.value("fo", &published.fo);
    }
    xml.close("policy_published");
    for (facts, count) in facts {
        xml.record(facts, *count);
    }
    xml.close("feedback");
    xml.0
}

struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str) {
        let _ = writeln!(self.0, "<{name}>");
    }

    fn close(&mut self, name: &str) {
        let _ = writeln!(self.0, "</{name}>");
    }

    fn value(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "<{name}>{}</{name}>", escaped(value));
    }

    fn record(&mut self, facts: &Facts, count: u64) {
        let word = |passed| if passed { "pass" } else { "fail" };
        self.open("record");
        self.open("row");
        if let Some(source) = facts.source {
            self.value("source_ip", &source.to_string());
        }
        self.value("count", &count.to_string());
        self.open("policy_evaluated");
        self.value("disposition", &facts.disposition);
        self.value("dkim", word(facts.dkim));
        self.value("spf", word(facts.spf));
        for (kind, comment) in &facts.reasons {
            self.open("reason");
            self.value("type", kind);
            if !comment.is_empty() {
                self.value("comment", comment);
            }
            self.close("reason");
        }
        self.close("policy_evaluated");
        self.close("row");
        self.open("identifiers");
        self.value("envelope_from", &facts.envelope_from);
        self.value("header_from", &facts.header_from);
        self.close("identifiers");
        self.open("auth_results");
        for one in &facts.dkim_results {
            self.open("dkim");
            self.value("domain", &one.domain);
            self.value("selector", &one.selector);
            self.value("result", &one.result);
            self.close("dkim");
        }
        for one in &facts.spf_results {
            self.open("spf");
            self.value("domain", &one.domain);
            self.value("scope", &one.scope);
            self.value("result", &one.result);
            self.close("spf");
        }
        self.close("auth_results");
        self.close("record");
    }
}

/// What XML 1.0 can hold; strangers choose most of these texts.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// The attachment: packed, and what RFC 7489 §7.2.1.1 calls the file.
pub fn attachment(report: &Aggregate, day: i64, sender: &Envelope) -> (String, Vec<u8>) {
    let begin = day.saturating_mul(DAY);
    let end = begin.saturating_add(DAY - 1);
    let name = format!("{}!{}!{begin}!{end}.xml.gz", sender.host, report.domain);
    (name, gzip(report.xml.as_bytes()))
}

/// The message to one address (RFC 7489 §7.2.1.1).
pub fn message(report: &Aggregate, to: &str, day: i64, sender: &Envelope) -> Vec<u8> {
    use mime::write::build::{Builder, PartBuilder};
    let (name, packed) = attachment(report, day, sender);
    Builder::new()
        .from("", &sender.from)
        .to("", to)
        .subject(&format!(
            "Report Domain: {} Submitter: {} Report-ID: <{}>",
            report.domain, sender.host, report.id
        ))
        .date(mime::DateTime::from_timestamp(sender.now, 0))
        .message_id(&format!("{}.{}@{}", report.id, hash(&[to]), sender.domain))
        // RFC 3834 §5
        .field("Auto-Submitted", "auto-generated")
        .text(format!(
            "This is a DMARC aggregate report about mail in the name of {}\r\nthat came to {}. The attached file is for programs.\r\n",
            report.domain, sender.host
        ))
        .attach(PartBuilder::bytes("application/gzip", packed).attachment(&name))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::feedback::{DkimFact, SpfFact};

    fn feedback(p: &str, source: &str, count: u64) -> Feedback {
        let published = Published {
            domain: "a.example".into(),
            p: p.into(),
            sp: p.into(),
            adkim: "r".into(),
            aspf: "s".into(),
            rua: vec!["mailto:x@a.example".into()],
            ..Published::default()
        };
        let facts = Facts {
            source: Some(source.parse().unwrap()),
            disposition: "quarantine".into(),
            dkim: false,
            spf: true,
            reasons: vec![("local_policy".into(), "a<b>&\u{1}c".into())],
            header_from: "a.example".into(),
            envelope_from: "b.example".into(),
            dkim_results: vec![DkimFact {
                domain: "a.example".into(),
                selector: "s".into(),
                result: "fail".into(),
            }],
            spf_results: vec![SpfFact {
                domain: "b.example".into(),
                scope: "mfrom".into(),
                result: "pass".into(),
            }],
        };
        Feedback {
            policy: published.to_text(),
            facts: facts.to_text(),
            count,
        }
    }

    fn sender() -> Envelope {
        Envelope {
            host: "mx.us.example".into(),
            domain: "us.example".into(),
            from: "postmaster@us.example".into(),
            now: 1_795_445_127,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rows = [
            feedback("none", "192.0.2.1", 3),
            feedback("none", "2001:db8::1", 4),
        ];
        let reports = aggregates("a.example", 20_000, &rows, &sender());
        assert_eq!(reports.len(), 1);
        let mail = message(&reports[0], "x@a.example", 20_000, &sender());
        let read = super::super::receive::read(&mail).unwrap();
        assert_eq!(
            (read.domain.as_str(), read.organization.as_str()),
            ("a.example", "mx.us.example")
        );
        assert_eq!(
            (read.begins, read.ends),
            (20_000 * DAY, 20_000 * DAY + DAY - 1)
        );
        assert_eq!(read.external_id, reports[0].id);
        let rows: Vec<_> = read
            .rows
            .iter()
            .map(|row| (row.source.as_str(), row.good, row.count))
            .collect();
        assert_eq!(rows, [("192.0.2.1", true, 3), ("2001:db8::1", true, 4)]);
        let library = mail_auth::report::Report::parse_xml(reports[0].xml.as_bytes()).unwrap();
        let record = &library.records()[0];
        assert_eq!(
            record.policy_override_reason()[0].comment(),
            Some("a<b>&?c")
        );
        assert_eq!(record.dkim_auth_result()[0].selector(), "s");
        assert_eq!(record.envelope_from(), "b.example");
        let text = String::from_utf8(mail).unwrap();
        assert!(text.contains("Submitter: mx.us.example"), "{text}");
    }

    #[test]
    fn a_policy_that_changed_makes_two_reports() {
        let rows = [
            feedback("none", "192.0.2.1", 3),
            feedback("reject", "192.0.2.1", 4),
        ];
        let reports = aggregates("a.example", 20_000, &rows, &sender());
        assert_eq!(reports.len(), 2);
        assert_ne!(reports[0].id, reports[1].id);
        // The same report has the same name, should it be sent twice.
        assert_eq!(aggregates("a.example", 20_000, &rows, &sender()), reports);
    }
}
