//! A report of ours on TLS (RFC 8460 §4): how connections to the servers of a domain went on a day, as JSON.

use serde_json::{Value, json};
use store::TlsResult;

use super::{DAY, Envelope, gzip, hash};

/// A report about a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsReport {
    /// The domain that was written to.
    pub domain: String,
    /// How we call it.
    pub id: String,
    /// The report.
    pub json: String,
}

/// The report about a domain and a day; `rows` are of that domain.
pub fn report(domain: &str, day: i64, rows: &[TlsResult], sender: &Envelope) -> TlsReport {
    let id = hash(&["tls", domain, &day.to_string(), &sender.host]);
    let begin = day.saturating_mul(DAY);
    let mut policies: Vec<(&TlsResult, Vec<&TlsResult>)> = Vec::new();
    for row in rows {
        let same = |first: &TlsResult| {
            (&first.policy, &first.lines, &first.hosts) == (&row.policy, &row.lines, &row.hosts)
        };
        match policies.iter_mut().find(|(first, _)| same(first)) {
            Some((_, all)) => all.push(row),
            None => policies.push((row, vec![row])),
        }
    }
    let json = json!({
        "organization-name": sender.host,
        "date-range": {
            "start-datetime": rfc3339(begin),
            "end-datetime": rfc3339(begin.saturating_add(DAY - 1)),
        },
        "contact-info": sender.from,
        "report-id": id,
        "policies": policies.iter().map(|(first, all)| policy(domain, first, all)).collect::<Value>(),
    });
    TlsReport {
        domain: domain.to_owned(),
        id,
        json: json.to_string(),
    }
}

fn policy(domain: &str, first: &TlsResult, all: &[&TlsResult]) -> Value {
    let sum = |failed: bool| -> u64 {
        all.iter()
            .filter(|row| row.failure.is_empty() != failed)
            .fold(0, |sum, row| sum.saturating_add(row.sessions))
    };
    let failures = all.iter().filter(|row| !row.failure.is_empty());
    let mut policy = json!({
        "policy-type": first.policy,
        "policy-domain": domain,
    });
    if let Some(object) = policy.as_object_mut() {
        // RFC 8460 §4.4: left out where there is none.
        if !first.lines.is_empty() {
            object.insert("policy-string".to_owned(), json!(first.lines));
        }
        if !first.hosts.is_empty() {
            object.insert("mx-host".to_owned(), json!(first.hosts));
        }
    }
    json!({
        "policy": policy,
        "summary": {
            "total-successful-session-count": sum(false),
            "total-failure-session-count": sum(true),
        },
        "failure-details": failures.map(|row| failure(row)).collect::<Value>(),
    })
}

fn failure(row: &TlsResult) -> Value {
    let mut detail = json!({
        "result-type": row.failure,
        "failed-session-count": row.sessions,
    });
    if let Some(object) = detail.as_object_mut() {
        for (name, value) in [
            ("sending-mta-ip", &row.source),
            ("receiving-mx-hostname", &row.mx),
            ("receiving-ip", &row.address),
            ("failure-reason-code", &row.reason),
        ] {
            if !value.is_empty() {
                object.insert(name.to_owned(), json!(value));
            }
        }
    }
    detail
}

fn rfc3339(at: i64) -> String {
    let date = mime::DateTime::from_timestamp(at, 0);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year, date.month, date.day, date.hour, date.minute, date.second
    )
}

impl TlsReport {
    /// Packed, as it is posted (RFC 8460 §5.4).
    pub fn packed(&self) -> Vec<u8> {
        gzip(self.json.as_bytes())
    }

    /// The message to one address (RFC 8460 §5.3).
    pub fn message(&self, to: &str, day: i64, sender: &Envelope) -> Vec<u8> {
        use mime::write::build::{Builder, PartBuilder};
        let begin = day.saturating_mul(DAY);
        let end = begin.saturating_add(DAY - 1);
        let name = format!(
            "{}!{}!{begin}!{end}!{}.json.gz",
            sender.host, self.domain, self.id
        );
        let words = format!(
            "This is a report on how connections over TLS from {} to the servers of {} went.\r\nThe attached file is for programs.\r\n",
            sender.host, self.domain
        );
        let parts = [
            PartBuilder::text(words),
            PartBuilder::bytes("application/tlsrpt+gzip", self.packed()).attachment(&name),
        ];
        Builder::new()
            .from("", &sender.from)
            .to("", to)
            .subject(&format!(
                "Report Domain: {} Submitter: {} Report-ID: <{}@{}>",
                self.domain, sender.host, self.id, sender.host
            ))
            .date(mime::DateTime::from_timestamp(sender.now, 0))
            .message_id(&format!("{}.{}@{}", self.id, hash(&[to]), sender.domain))
            .field("TLS-Report-Domain", &self.domain)
            .field("TLS-Report-Submitter", &sender.host)
            // RFC 8460 §3: what hinders TLS must not hinder the report about it.
            .field("TLS-Required", "No")
            .field("Auto-Submitted", "auto-generated")
            .body(PartBuilder::multipart("report", parts).param("report-type", "tlsrpt"))
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(failure: &str, sessions: u64) -> TlsResult {
        TlsResult {
            day: 20_000,
            domain: "b.example".into(),
            policy: "sts".into(),
            lines: vec!["version: STSv1".into(), "mode: enforce".into()],
            hosts: vec!["mx.b.example".into()],
            failure: failure.into(),
            mx: "mx.b.example".into(),
            address: "192.0.2.1".into(),
            source: "192.0.2.9".into(),
            reason: String::new(),
            sessions,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sender = Envelope {
            host: "mx.us.example".into(),
            domain: "us.example".into(),
            from: "postmaster@us.example".into(),
            now: 1_795_445_127,
        };
        let rows = [
            row("", 10),
            row("certificate-expired", 3),
            row("starttls-not-supported", 1),
        ];
        let report = report("b.example", 20_000, &rows, &sender);
        let mail = report.message("x@b.example", 20_000, &sender);
        let read = super::super::receive::read(&mail).unwrap();
        assert_eq!(
            (
                read.kind.as_str(),
                read.domain.as_str(),
                read.organization.as_str()
            ),
            ("tls", "b.example", "mx.us.example")
        );
        assert_eq!(
            (read.begins, read.ends),
            (20_000 * DAY, 20_000 * DAY + DAY - 1)
        );
        let rows: Vec<_> = read.rows.iter().map(|row| (row.good, row.count)).collect();
        assert_eq!(rows, [(true, 10), (false, 3), (false, 1)]);
        let text = String::from_utf8(mail).unwrap();
        for wanted in [
            "report-type=\"tlsrpt\"",
            "TLS-Required: No",
            "TLS-Report-Domain: b.example",
        ] {
            assert!(
                text.contains(wanted) || text.contains(&wanted.replace('"', "")),
                "{wanted}: {text}"
            );
        }
    }
}
