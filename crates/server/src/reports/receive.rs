//! Reports of others that arrive as mail. A message that looks like one and came to an address that the domain's records
//! name is read beside its delivery, which it neither delays nor changes.
//!
//! Limits: one report is read at a time and [`WAITING`] are kept in memory for it, [`SIZE`] of mail, [`extract::LIMIT`] of
//! report, [`ENTRIES`].

use mail_auth::report::DmarcResult;
use mail_auth::report::Report;
use mail_auth::report::tlsrpt::{ResultType, TlsReport};
use serde_json::{Value, json};
use store::{NewReport, ReportRow};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::extract::{self, Kind};
use crate::pipeline::Arrival;
use crate::records::{DMARC_REPORTS, TLS_REPORTS};
use crate::shared::Shared;

/// Octets of a message that is looked into.
const SIZE: usize = 10 << 20;

/// Entries of a report: each costs some hundred octets of memory.
const ENTRIES: usize = 50_000;

/// Reports being read.
static TURN: Semaphore = Semaphore::const_new(1);

/// Copies of messages that are looked at. Anybody can send what looks like a report, and each copy waits for the DNS: this
/// bounds them to 80 MiB. What comes beyond is delivered like all mail, and its report left unread.
static WAITING: Semaphore = Semaphore::const_new(8);

/// A message that may hold a report.
#[derive(Debug)]
pub struct Candidate {
    raw: Vec<u8>,
    recipients: Vec<String>,
    /// Its place among those that wait.
    _place: SemaphorePermit<'static>,
}

/// Whether a message looks like a report; a copy of it, then, while there are not too many.
pub fn candidate(arrival: &Arrival) -> Option<Candidate> {
    candidate_among(&WAITING, arrival)
}

fn candidate_among(waiting: &'static Semaphore, arrival: &Arrival) -> Option<Candidate> {
    let raw = &arrival.message;
    if raw.len() > SIZE {
        return None;
    }
    let header = 0..crate::sign::header_end(raw);
    // RFC 7489 §7.2.1.1 and RFC 8460 §5.3 fix the subject; the second has fields of its own as well.
    let looks = mime::header::fields(raw, header).any(|field| {
        field.is("TLS-Report-Domain")
            || (field.is("Subject")
                && field
                    .value()
                    .to_ascii_lowercase()
                    .windows(14)
                    .any(|window| window == b"report domain:"))
    });
    if !looks {
        return None;
    }
    let Ok(place) = waiting.try_acquire() else {
        tracing::info!("too many reports at once: one is delivered and not read");
        return None;
    };
    let recipients = arrival.recipients.iter();
    Some(Candidate {
        raw: raw.clone(),
        // One report goes to one address.
        recipients: recipients
            .take(5)
            .map(|path| path.address.clone())
            .collect(),
        _place: place,
    })
}

/// Reads a report beside everything else.
pub fn spawn(shared: &Shared, candidate: Candidate) {
    let (db, dns) = (shared.db.clone(), std::sync::Arc::clone(&shared.dns));
    tokio::spawn(async move {
        let mut wanted = false;
        for recipient in &candidate.recipients {
            wanted |= is_named(&dns, recipient).await;
        }
        if !wanted {
            return;
        }
        let Ok(_turn) = TURN.acquire().await else {
            return;
        };
        let read = tokio::task::spawn_blocking(move || read(&candidate.raw)).await;
        let report = match read {
            Ok(Ok(report)) => report,
            Ok(Err(why)) => return tracing::info!(why, "a report was not understood"),
            Err(error) => return tracing::error!(%error, "reading a report failed"),
        };
        let (kind, domain, organization) = (
            report.kind.clone(),
            report.domain.clone(),
            report.organization.clone(),
        );
        let kept = db
            .write(move |tx| match tx.domain(&report.domain)? {
                Some(domain) => tx.add_report(&NewReport {
                    domain: domain.name,
                    ..report
                }),
                None => Ok(false),
            })
            .await;
        match kept {
            Ok(true) => tracing::info!(kind, domain, organization, "report received"),
            Ok(false) => tracing::debug!(kind, domain, organization, "a report was not needed"),
            Err(error) => tracing::warn!(kind, domain, organization, %error, "report not kept"),
        }
    });
}

/// Whether the records of the address's domain name it: those that we propose do without asking.
async fn is_named(dns: &crate::dns::Dns, address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    if [DMARC_REPORTS, TLS_REPORTS]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(local))
    {
        return true;
    }
    let domain = mail_auth::common::to_a_label(domain);
    let uri = format!("mailto:{}", address.to_ascii_lowercase());
    for prefix in ["_dmarc", "_smtp._tls"] {
        let Ok(answer) = dns.txt(&format!("{prefix}.{domain}")).await else {
            continue;
        };
        let named = answer.records.iter().any(|record| {
            let text = String::from_utf8_lossy(record).to_ascii_lowercase();
            let uris = super::rua(&text);
            uris.iter()
                .any(|found| found.split('!').next() == Some(uri.as_str()))
        });
        if named {
            return true;
        }
    }
    false
}

/// Reads the report in a message; blocks.
pub fn read(raw: &[u8]) -> Result<NewReport, String> {
    let (kind, content) = extract::report(raw).map_err(|error| error.to_string())?;
    match kind {
        Kind::Dmarc => dmarc(&content),
        Kind::Tls => tls(&content),
    }
}

fn count(content: &[u8], what: &[u8]) -> usize {
    memchr::memmem::find_iter(content, what).count()
}

fn dmarc(xml: &[u8]) -> Result<NewReport, String> {
    if count(xml, b"<record") > ENTRIES || count(xml, b"<dkim") > 4 * ENTRIES {
        return Err("the report has too many records".to_owned());
    }
    let report = Report::parse_xml(xml)?;
    let rows = report.records().iter().map(|record| {
        let passed = |result| result == DmarcResult::Pass;
        let (dkim, spf) = (
            passed(record.dmarc_dkim_result()),
            passed(record.dmarc_spf_result()),
        );
        let signed: Vec<Value> = record
            .dkim_auth_result()
            .iter()
            .take(4)
            .map(|one| json!([one.domain(), one.result().to_string()]))
            .collect();
        let sent: Vec<Value> = record
            .spf_auth_result()
            .iter()
            .take(2)
            .map(|one| json!([one.domain(), one.result().to_string()]))
            .collect();
        let detail = json!({
            "header_from": record.header_from(),
            "disposition": record.action_disposition().to_string(),
            "dkim": signed,
            "spf": sent,
        });
        ReportRow {
            source: record
                .source_ip()
                .map(|ip| ip.to_string())
                .unwrap_or_default(),
            good: dkim || spf,
            count: record.count().into(),
            detail: detail.to_string(),
        }
    });
    Ok(NewReport {
        kind: "dmarc".to_owned(),
        domain: report.domain().to_owned(),
        organization: clean(report.org_name()),
        external_id: clean(report.report_id()),
        begins: seconds(report.date_range_begin()),
        ends: seconds(report.date_range_end()),
        rows: rows.collect(),
    })
}

/// The domain is that of the policy (RFC 7489 §7.2); a report that publishes no policy at all says nothing.
fn tls(json: &[u8]) -> Result<NewReport, String> {
    if count(json, b"\"result-type\"") > ENTRIES || count(json, b"\"policy\"") > ENTRIES {
        return Err("the report has too many entries".to_owned());
    }
    let report = TlsReport::parse_json(json).map_err(|error| format!("{error:?}"))?;
    let mut rows = Vec::new();
    for policy in &report.policies {
        let kind = serde_json::to_value(policy.policy.policy_type).unwrap_or_default();
        rows.push(ReportRow {
            source: clean(&policy.policy.mx_host.join(", ")),
            good: true,
            count: policy.summary.total_success.into(),
            detail: json!({"policy": kind}).to_string(),
        });
        let mut told = 0_u64;
        for failure in &policy.failure_details {
            let count = u64::from(failure.failed_session_count.max(1));
            told = told.saturating_add(count);
            rows.push(tls_row(failure.result_type, count, &kind, failure));
        }
        // RFC 8460 §4.4: details may be left out, the sum is not.
        let untold = u64::from(policy.summary.total_failure).saturating_sub(told);
        if untold > 0 {
            rows.push(ReportRow {
                source: String::new(),
                good: false,
                count: untold,
                detail: json!({"policy": kind, "result": "unknown"}).to_string(),
            });
        }
    }
    rows.retain(|row| row.count > 0);
    let domain = report
        .policies
        .iter()
        .map(|policy| policy.policy.policy_domain.as_str())
        .find(|domain| !domain.is_empty())
        .ok_or("the report names no domain")?;
    Ok(NewReport {
        kind: "tls".to_owned(),
        domain: domain.to_owned(),
        organization: clean(report.organization_name.as_deref().unwrap_or_default()),
        external_id: clean(&report.report_id),
        begins: report.date_range.start_datetime.to_timestamp(),
        ends: report.date_range.end_datetime.to_timestamp(),
        rows,
    })
}

fn tls_row(
    result: ResultType,
    count: u64,
    policy: &Value,
    failure: &mail_auth::report::tlsrpt::FailureDetails,
) -> ReportRow {
    let source = failure.receiving_mx_hostname.as_deref().unwrap_or_default();
    let detail = json!({
        "policy": policy,
        "result": serde_json::to_value(result).unwrap_or_default(),
        "reason": failure.failure_reason_code.as_deref().map(clean),
        "more": failure.additional_information.as_deref().map(clean),
    });
    ReportRow {
        source: clean(source),
        good: false,
        count,
        detail: detail.to_string(),
    }
}

/// Texts of strangers end up on terminals.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

fn seconds(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::extract::tests::{gz, mail};
    use super::*;

    const XML: &str = "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>Big\u{7} Mail</org_name>\
        <email>x@big.example</email><report_id>r1</report_id><date_range><begin>1700000000</begin><end>1700086399</end>\
        </date_range></report_metadata><policy_published><domain>example.test</domain><adkim>r</adkim><aspf>r</aspf>\
        <p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated>\
        <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers>\
        <header_from>example.test</header_from></identifiers><auth_results><dkim><domain>example.test</domain>\
        <result>pass</result></dkim></auth_results></record><record><row><source_ip>192.0.2.9</source_ip><count>7</count>\
        <policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
        <identifiers><header_from>example.test</header_from></identifiers><auth_results><spf><domain>evil.example</domain>\
        <result>pass</result></spf></auth_results></record></feedback>";

    #[test]
    fn dmarc_reports_are_read() {
        let report = read(&mail("application/gzip", "a.xml.gz", gz(XML.as_bytes()))).unwrap();
        assert_eq!(
            (
                report.kind.as_str(),
                report.domain.as_str(),
                report.organization.as_str(),
                report.external_id.as_str()
            ),
            ("dmarc", "example.test", "Big Mail", "r1")
        );
        assert_eq!((report.begins, report.ends), (1_700_000_000, 1_700_086_399));
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| (row.source.as_str(), row.good, row.count))
            .collect();
        assert_eq!(rows, [("192.0.2.1", true, 3), ("192.0.2.9", false, 7)]);
        let detail: Value = serde_json::from_str(&report.rows[1].detail).unwrap();
        assert_eq!(detail["spf"], json!([["evil.example", "pass"]]));
        assert_eq!(detail["header_from"], "example.test");
    }

    #[test]
    fn tls_reports_are_read() {
        let text = json!({
            "organization-name": "Big Mail",
            "date-range": {"start-datetime": "2026-01-01T00:00:00Z", "end-datetime": "2026-01-01T23:59:59Z"},
            "contact-info": "x@big.example",
            "report-id": "t1",
            "policies": [{
                "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "example.test", "mx-host": ["mail.example.test"]},
                "summary": {"total-successful-session-count": 100, "total-failure-session-count": 5},
                "failure-details": [{
                    "result-type": "certificate-expired", "sending-mta-ip": "192.0.2.7",
                    "receiving-mx-hostname": "mail.example.test", "failed-session-count": 3
                }]
            }]
        });
        let report = read(&mail(
            "application/tlsrpt+gzip",
            "a.json.gz",
            gz(text.to_string().as_bytes()),
        ))
        .unwrap();
        assert_eq!(
            (report.kind.as_str(), report.domain.as_str()),
            ("tls", "example.test")
        );
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| (row.source.as_str(), row.good, row.count))
            .collect();
        assert_eq!(
            rows,
            [
                ("mail.example.test", true, 100),
                ("mail.example.test", false, 3),
                ("", false, 2)
            ]
        );
        assert!(report.rows[1].detail.contains("certificate-expired"));
    }

    /// A19: entries that cost more memory than octets.
    #[test]
    fn a19_reports_of_a_million_entries() {
        let xml = format!("<feedback>{}</feedback>", "<record/>".repeat(1_000_000));
        assert!(dmarc(xml.as_bytes()).unwrap_err().contains("too many"));
        let json = format!(
            "{{\"policies\":[{}]}}",
            "{\"policy\":{}},".repeat(1_000_000)
        );
        assert!(tls(json.as_bytes()).unwrap_err().contains("too many"));
    }

    /// Anybody can send what looks like a report, as often as they like: copies wait for the DNS, and memory is bounded.
    #[test]
    fn copies_that_wait_are_few() {
        static WAITING: Semaphore = Semaphore::const_new(2);
        let mut arrival = crate::pipeline::trace::tests::arrival();
        arrival.message = b"Subject: lunch\r\n\r\n".to_vec();
        assert!(candidate_among(&WAITING, &arrival).is_none());
        arrival.message = b"Subject: Report Domain: example.test\r\n\r\n".to_vec();
        let waiting = [(); 2].map(|()| candidate_among(&WAITING, &arrival).unwrap());
        assert!(candidate_among(&WAITING, &arrival).is_none());
        drop(waiting);
        assert!(candidate_among(&WAITING, &arrival).is_some());
    }

    /// Reports as they are sent in the world, where the samples are at hand.
    #[test]
    fn samples_of_the_world_are_read() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
        let shared = std::env::var("WAXWING_SHARED").unwrap_or_else(|_| root.to_owned());
        let mut read_some = 0;
        for folder in ["dmarc-feedback", "tlsrpt"] {
            let folder = std::path::Path::new(&shared)
                .join("corpus/mail-auth")
                .join(folder);
            let Ok(files) = std::fs::read_dir(&folder) else {
                eprintln!("skipped: {} is not there", folder.display());
                continue;
            };
            for file in files.map(|file| file.unwrap().path()) {
                let octets = std::fs::read(&file).unwrap();
                let name = file.display();
                match file.extension().and_then(|end| end.to_str()) {
                    Some("eml") => {
                        drop(read(&octets).unwrap_or_else(|why| panic!("{name}: {why}")))
                    }
                    Some("xml") => {
                        drop(dmarc(&octets).unwrap_or_else(|why| panic!("{name}: {why}")))
                    }
                    _ => continue,
                }
                read_some += 1;
            }
        }
        eprintln!("{read_some} samples read");
    }
}
