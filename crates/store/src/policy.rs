//! What the courier keeps of other domains: their MTA-STS policies, and how TLS went with them.
//!
//! Results are counted per UTC day; a day is reported when it is over and forgotten some days later.

use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::Timestamp;

/// Rows of one domain and day. Each is a server and a way to fail; whoever makes up new ones for each connection stops
/// being counted exactly.
const ROWS: i64 = 1_000;

/// A kept MTA-STS policy (RFC 8461 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsPolicy {
    /// Whose.
    pub domain: String,
    /// The name its TXT record gave it.
    pub id: String,
    /// The policy.
    pub text: String,
    /// When it was fetched.
    pub fetched: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

/// Connections to servers of a domain that ended alike (RFC 8460 §4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsResult {
    /// The UTC day, in days since 1970.
    pub day: i64,
    /// The domain that was written to.
    pub domain: String,
    /// `tlsa`, `sts` or `no-policy-found`.
    pub policy: String,
    /// The TLSA records or the lines of the policy.
    pub lines: Vec<String>,
    /// The hosts of an MTA-STS policy.
    pub hosts: Vec<String>,
    /// The kind of failure (RFC 8460 §4.3); empty for success.
    pub failure: String,
    /// The server's name; empty where it did not come to one.
    pub mx: String,
    /// The server's address; empty where there was no connection.
    pub address: String,
    /// Our address.
    pub source: String,
    /// More about a failure, in words.
    pub reason: String,
    /// How many.
    pub sessions: u64,
}

const COLUMNS: &str =
    "day, domain, policy, lines, hosts, failure, mx, address, source, reason, sessions";

fn result(row: &dyn Row) -> Result<TlsResult> {
    let list = |text: &str| text.lines().map(str::to_owned).collect();
    Ok(TlsResult {
        day: row.int(0)?,
        domain: row.text(1)?.to_owned(),
        policy: row.text(2)?.to_owned(),
        lines: list(row.text(3)?),
        hosts: list(row.text(4)?),
        failure: row.text(5)?.to_owned(),
        mx: row.text(6)?.to_owned(),
        address: row.text(7)?.to_owned(),
        source: row.text(8)?.to_owned(),
        reason: row.text(9)?.to_owned(),
        sessions: row.uint(10)?,
    })
}

fn policy(row: &dyn Row) -> Result<StsPolicy> {
    Ok(StsPolicy {
        domain: row.text(0)?.to_owned(),
        id: row.text(1)?.to_owned(),
        text: row.text(2)?.to_owned(),
        fetched: row.int(3)?,
        expires: row.int(4)?,
    })
}

impl Snapshot<'_> {
    /// The kept policy of a domain, expired or not.
    pub fn sts_policy(&self, domain: &str) -> Result<Option<StsPolicy>> {
        let sql = "SELECT domain, id, text, fetched, expires FROM sts_policy WHERE domain = $1";
        self.sql.row(sql, values![domain], policy)
    }

    /// Policies fetched before this time, oldest first; at most 1,000.
    pub fn sts_policies_before(&self, time: Timestamp) -> Result<Vec<StsPolicy>> {
        let sql = "SELECT domain, id, text, fetched, expires FROM sts_policy WHERE fetched < $1 ORDER BY fetched LIMIT 1000";
        self.sql.rows(sql, values![time], policy)
    }

    /// What was counted on a UTC day (days since 1970), domain by domain.
    pub fn tls_results(&self, day: i64) -> Result<Vec<TlsResult>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tls_result WHERE day = $1 ORDER BY domain, policy, failure, mx, address"
        );
        self.sql.rows(&sql, values![day], result)
    }

    /// The days before `day` of which something is counted.
    pub fn tls_result_days(&self, day: i64) -> Result<Vec<i64>> {
        let sql = "SELECT DISTINCT day FROM tls_result WHERE day < $1 ORDER BY day";
        self.sql.rows(sql, values![day], |row| row.int(0))
    }
}

impl Tx<'_> {
    /// Keeps a policy in place of the domain's former one.
    pub fn keep_sts_policy(&mut self, policy: &StsPolicy) -> Result<()> {
        let StsPolicy {
            domain,
            id,
            text,
            fetched,
            expires,
        } = policy;
        self.sql.execute(
            "INSERT INTO sts_policy (domain, id, text, fetched, expires) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (domain) \
             DO UPDATE SET id = excluded.id, text = excluded.text, fetched = excluded.fetched, expires = excluded.expires",
            values![domain.as_str(), id.as_str(), text.as_str(), *fetched, *expires],
        )?;
        Ok(())
    }

    /// Forgets policies that have expired.
    pub fn forget_sts_policies(&mut self, now: Timestamp) -> Result<()> {
        self.sql
            .execute("DELETE FROM sts_policy WHERE expires <= $1", values![now])?;
        Ok(())
    }

    /// Adds connections to the count.
    pub fn tls_result(&mut self, result: &TlsResult) -> Result<()> {
        let sql = "SELECT COUNT(*) FROM tls_result WHERE day = $1 AND domain = $2";
        let rows = self
            .sql
            .number(sql, values![result.day, result.domain.as_str()])?;
        // Words differ most, so they go first; the kinds are few.
        let (address, reason) = match rows < ROWS {
            true => (result.address.as_str(), result.reason.as_str()),
            false => ("", ""),
        };
        let sessions =
            i64::try_from(result.sessions).map_err(|_| Error::Limit("number of sessions"))?;
        self.sql.execute(
            &format!(
                "INSERT INTO tls_result ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (day, domain, policy, lines, failure, mx, address, source, reason) \
                 DO UPDATE SET sessions = tls_result.sessions + excluded.sessions"
            ),
            values![
                result.day,
                result.domain.as_str(),
                result.policy.as_str(),
                result.lines.join("\n").as_str(),
                result.hosts.join("\n").as_str(),
                result.failure.as_str(),
                result.mx.as_str(),
                address,
                result.source.as_str(),
                reason,
                sessions
            ],
        )?;
        Ok(())
    }

    /// Forgets what was counted of a domain on a day: it was reported, or nobody wants it.
    pub fn forget_tls_results_of(&mut self, day: i64, domain: &str) -> Result<()> {
        let sql = "DELETE FROM tls_result WHERE day = $1 AND domain = $2";
        self.sql.execute(sql, values![day, domain])?;
        Ok(())
    }

    /// Forgets what was counted before a day.
    pub fn forget_tls_results(&mut self, day: i64) -> Result<()> {
        self.sql
            .execute("DELETE FROM tls_result WHERE day < $1", values![day])?;
        Ok(())
    }
}
