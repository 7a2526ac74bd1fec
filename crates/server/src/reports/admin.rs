//! What an administrator can ask about reports. Blocks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Error, Result, Store, Timestamp};

use crate::manage::Answer;

/// Failures told of one domain.
const FAILURES: u32 = 50;

/// Reports told of one domain.
const REPORTS: u32 = 1_000;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reports", rename_all = "kebab-case")]
pub enum Request {
    /// What others report about our domains.
    Summary {
        /// `dmarc` or `tls`.
        kind: String,
        /// About this one; about all without.
        domain: Option<String>,
        /// About the time after this.
        after: Timestamp,
    },
    /// Sends our reports of a day now.
    Send {
        /// Days since 1970, UTC.
        day: i64,
    },
}

impl Request {
    /// What the log says of it.
    pub fn describe(&self) -> Option<String> {
        match self {
            Request::Summary { .. } => None,
            Request::Send { day } => Some(format!("reports send, day {day}")),
        }
    }
}

/// Does what is asked.
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    let (kind, domain, after) = match request {
        Request::Summary {
            kind,
            domain,
            after,
        } => (kind, domain, after),
        Request::Send { day } => {
            let told = super::send::order(day).ok_or_else(|| {
                Error::Conflict("reports are sent by a running server; none runs here".to_owned())
            })?;
            return Ok(Value::Array(told).into());
        }
    };
    let summary = store.read(|snapshot| {
        let domains = match &domain {
            Some(name) => vec![snapshot.domain(name)?.ok_or(Error::NotFound("domain"))?],
            None => snapshot.domains()?,
        };
        let mut rows = Vec::new();
        for domain in domains {
            let reports = snapshot.reports(&kind, &domain.name, after, REPORTS)?;
            let failures = snapshot.report_failures(&kind, &domain.name, after, FAILURES)?;
            rows.push(row(&domain.name, &reports, &failures));
        }
        Ok(rows)
    })?;
    Ok(Value::Array(summary).into())
}

fn row(domain: &str, reports: &[store::Report], failures: &[store::ReportSum]) -> Value {
    let sum = |count: fn(&store::Report) -> u64| -> u64 {
        reports.iter().map(count).fold(0, u64::saturating_add)
    };
    let mut organizations: Vec<&str> = reports.iter().map(|r| r.organization.as_str()).collect();
    organizations.sort_unstable();
    organizations.dedup();
    let failure = |sum: &store::ReportSum| {
        json!({
            "source": sum.source,
            "count": sum.count,
            "detail": serde_json::from_str::<Value>(&sum.detail).unwrap_or_default(),
            "reported_by": sum.organizations,
        })
    };
    let report = |report: &store::Report| {
        json!({
            "organization": report.organization,
            "id": report.external_id,
            "begins": report.begins,
            "ends": report.ends,
            "good": report.good,
            "bad": report.bad,
        })
    };
    json!({
        "domain": domain,
        "good": sum(|report| report.good),
        "bad": sum(|report| report.bad),
        "organizations": organizations,
        "failures": failures.iter().map(failure).collect::<Value>(),
        "reports": reports.iter().map(report).collect::<Value>(),
    })
}
