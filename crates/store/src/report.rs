//! Reports of others about domains of ours: DMARC aggregate reports (RFC 7489) and reports on TLS (RFC 8460).
//!
//! Anybody can send one to an address that stands in the DNS, so everything here is bounded.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::Timestamp;

/// Rows of one report.
const ROWS: usize = 10_000;
/// Reports taken in a day.
const A_DAY: i64 = 2_000;
/// Octets of a text.
const TEXT: usize = 2_000;

/// A report to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewReport {
    /// `dmarc` or `tls`.
    pub kind: String,
    /// About which domain.
    pub domain: String,
    /// Of whom.
    pub organization: String,
    /// How they call it.
    pub external_id: String,
    /// What time it is about: from here.
    pub begins: Timestamp,
    /// To here.
    pub ends: Timestamp,
    /// What it says; more than 10,000 rows are left out.
    pub rows: Vec<ReportRow>,
}

/// What a report says of one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportRow {
    /// An address or a host.
    pub source: String,
    /// Whether it is no failure.
    pub good: bool,
    /// How many messages or connections.
    pub count: u64,
    /// More, a text of the server's.
    pub detail: String,
}

/// A report as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// About which domain.
    pub domain: String,
    /// Of whom.
    pub organization: String,
    /// How they call it.
    pub external_id: String,
    /// From when.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// Messages or connections without a fault.
    pub good: u64,
    /// And those with.
    pub bad: u64,
}

/// Equal rows of several reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSum {
    /// An address or a host.
    pub source: String,
    /// More, a text of the server's.
    pub detail: String,
    /// How many messages or connections.
    pub count: u64,
    /// Who reports them.
    pub organizations: Vec<String>,
}

impl Snapshot<'_> {
    /// Reports about a domain that end after a time, the newest first, at most `limit`.
    pub fn reports(
        &self,
        kind: &str,
        domain: &str,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<Report>> {
        let sql = "SELECT r.domain, r.organization, r.external_id, r.begins, r.ends, \
             (SELECT SUM(count) FROM report_row w WHERE w.report_id = r.report_id AND w.good = 1), \
             (SELECT SUM(count) FROM report_row w WHERE w.report_id = r.report_id AND w.good = 0) \
             FROM report r WHERE r.kind = $1 AND r.domain = $2 AND r.ends > $3 ORDER BY r.ends DESC, r.report_id DESC LIMIT $4";
        self.sql
            .rows(sql, values![kind, domain, after, limit], |row| {
                let count =
                    |column| Ok::<_, Error>(row.opt_int(column)?.unwrap_or(0).unsigned_abs());
                Ok(Report {
                    domain: row.text(0)?.to_owned(),
                    organization: row.text(1)?.to_owned(),
                    external_id: row.text(2)?.to_owned(),
                    begins: row.int(3)?,
                    ends: row.int(4)?,
                    good: count(5)?,
                    bad: count(6)?,
                })
            })
    }

    /// Failures that reports since a time tell, the most frequent first, at most `limit`.
    pub fn report_failures(
        &self,
        kind: &str,
        domain: &str,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<ReportSum>> {
        let sql = "SELECT w.source, w.detail, SUM(w.count) FROM report_row w JOIN report r ON r.report_id = w.report_id \
             WHERE r.kind = $1 AND r.domain = $2 AND r.ends > $3 AND w.good = 0 \
             GROUP BY w.source, w.detail ORDER BY SUM(w.count) DESC, w.source, w.detail LIMIT $4";
        let mut sums = self
            .sql
            .rows(sql, values![kind, domain, after, limit], |row| {
                Ok(ReportSum {
                    source: row.text(0)?.to_owned(),
                    detail: row.text(1)?.to_owned(),
                    count: row.uint(2)?,
                    organizations: Vec::new(),
                })
            })?;
        let who = "SELECT DISTINCT r.organization FROM report r JOIN report_row w ON w.report_id = r.report_id \
             WHERE r.kind = $1 AND r.domain = $2 AND r.ends > $3 AND w.good = 0 AND w.source = $4 AND w.detail = $5 \
             ORDER BY r.organization LIMIT 5";
        for sum in &mut sums {
            let values = values![kind, domain, after, &sum.source, &sum.detail];
            sum.organizations = self
                .sql
                .rows(who, values, |row| Ok(row.text(0)?.to_owned()))?;
        }
        Ok(sums)
    }
}

impl Tx<'_> {
    /// Keeps a report. False when it is there already; `Limit` when too many came today.
    pub fn add_report(&mut self, report: &NewReport) -> Result<bool> {
        let (kind, domain) = (cut(&report.kind), cut(&report.domain));
        let (organization, external_id) = (cut(&report.organization), cut(&report.external_id));
        let known = "SELECT COUNT(*) FROM report WHERE kind = $1 AND domain = $2 AND organization = $3 AND external_id = $4";
        let key = values![kind, domain, organization, external_id];
        if self.sql.number(known, key)? > 0 {
            return Ok(false);
        }
        let today = "SELECT COUNT(*) FROM report WHERE received > $1";
        if self
            .sql
            .number(today, values![self.now.saturating_sub(86_400)])?
            >= A_DAY
        {
            return Err(Error::Limit("reports of one day"));
        }
        let id = self.next_id("report")?;
        self.sql.execute(
            "INSERT INTO report (report_id, kind, domain, organization, external_id, begins, ends, received) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            values![id, kind, domain, organization, external_id, report.begins, report.ends, self.now],
        )?;
        for (number, row) in (0_i64..).zip(report.rows.iter().take(ROWS)) {
            self.sql.execute(
                "INSERT INTO report_row (report_id, number, source, good, count, detail) VALUES ($1, $2, $3, $4, $5, $6)",
                values![id, number, cut(&row.source), row.good, row.count.min(u32::MAX.into()), cut(&row.detail)],
            )?;
        }
        Ok(true)
    }

    /// Forgets reports received before a time.
    pub fn expire_reports(&mut self, before: Timestamp) -> Result<u64> {
        self.sql.execute(
            "DELETE FROM report_row WHERE report_id IN (SELECT report_id FROM report WHERE received < $1)",
            values![before],
        )?;
        self.sql
            .execute("DELETE FROM report WHERE received < $1", values![before])
    }
}

/// Not more than a text may hold.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store};

    fn report(id: &str, organization: &str, rows: &[(&str, bool, u64)]) -> NewReport {
        NewReport {
            kind: "dmarc".into(),
            domain: "a.example".into(),
            organization: organization.into(),
            external_id: id.into(),
            begins: 100,
            ends: 200,
            rows: rows
                .iter()
                .map(|(source, good, count)| ReportRow {
                    source: (*source).into(),
                    good: *good,
                    count: *count,
                    detail: "{}".into(),
                })
                .collect(),
        }
    }

    #[test]
    fn reports_are_kept_once_and_summed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        store
            .write(|tx| {
                let one = report("1", "x", &[("192.0.2.1", true, 5), ("192.0.2.2", false, 2)]);
                assert!(tx.add_report(&one)?);
                assert!(!tx.add_report(&one)?);
                assert!(tx.add_report(&report(
                    "1",
                    "y",
                    &[("192.0.2.2", false, 3), ("192.0.2.3", false, 1)]
                ))?);
                Ok(())
            })
            .unwrap();
        let failures = store
            .read(|s| s.report_failures("dmarc", "a.example", 150, 10))
            .unwrap();
        let told: Vec<_> = failures
            .iter()
            .map(|sum| (sum.source.as_str(), sum.count, sum.organizations.len()))
            .collect();
        assert_eq!(told, [("192.0.2.2", 5, 2), ("192.0.2.3", 1, 1)]);
        let all = store
            .read(|s| s.reports("dmarc", "a.example", 0, 10))
            .unwrap();
        let told: Vec<_> = all
            .iter()
            .map(|r| (r.organization.as_str(), r.good, r.bad))
            .collect();
        assert_eq!(told, [("y", 0, 4), ("x", 5, 2)]);
        assert!(
            store
                .read(|s| s.reports("tls", "a.example", 0, 10))
                .unwrap()
                .is_empty()
        );
        assert!(
            store
                .read(|s| s.reports("dmarc", "a.example", 200, 10))
                .unwrap()
                .is_empty()
        );
        assert!(store.check(false).unwrap().findings.is_empty());
        assert_eq!(store.write(|tx| tx.expire_reports(tx.now() + 1)), Ok(2));
        assert!(store.check(false).unwrap().findings.is_empty());
    }

    /// Strangers may send as many as they like; not all are kept.
    #[test]
    fn a_flood_of_reports_ends() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let last = store.write(|tx| {
            for number in 0..=A_DAY {
                tx.add_report(&report(&number.to_string(), "x", &[]))?;
            }
            Ok(())
        });
        assert_eq!(last, Err(Error::Limit("reports of one day")));
        assert_eq!(cut(&"é".repeat(TEXT)).len(), TEXT);
    }
}
