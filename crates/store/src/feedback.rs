//! What DMARC aggregate reports (RFC 7489 §7.2) are made from: counted facts, by day and domain.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;

/// Different facts of a day about one domain. Beyond, messages are not counted: strangers choose most of what makes them
/// differ. A report of so many rows is some MiB.
const FACTS_LIMIT: i64 = 10_000;

/// Octets of a policy or of facts.
const TEXT_LIMIT: usize = 16 * 1024;

/// Messages of one day that are the same to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// The policy as it was then, a text of the server's.
    pub policy: String,
    /// What a report says about them, a text of the server's.
    pub facts: String,
    /// How many.
    pub count: u64,
}

impl Snapshot<'_> {
    /// Days (since 1970, UTC) and domains with feedback from before `day`, the oldest first, at most `limit`.
    pub fn feedback_due(&self, day: i64, limit: u32) -> Result<Vec<(i64, String)>> {
        let sql = "SELECT DISTINCT day, domain FROM dmarc_feedback WHERE day < $1 ORDER BY day, domain LIMIT $2";
        self.sql.rows(sql, values![day, limit], |row| {
            Ok((row.int(0)?, row.text(1)?.to_owned()))
        })
    }

    /// The feedback of a day for a domain, rows of one policy together.
    pub fn feedback(&self, day: i64, domain: &str) -> Result<Vec<Feedback>> {
        let sql = "SELECT policy, facts, count FROM dmarc_feedback WHERE day = $1 AND domain = $2 ORDER BY policy, facts";
        self.sql.rows(sql, values![day, domain], |row| {
            Ok(Feedback {
                policy: row.text(0)?.to_owned(),
                facts: row.text(1)?.to_owned(),
                count: row.uint(2)?,
            })
        })
    }
}

impl Tx<'_> {
    /// Counts a message. False where the day has too many different facts about the domain already.
    pub fn count_feedback(
        &mut self,
        day: i64,
        domain: &str,
        policy: &str,
        facts: &str,
    ) -> Result<bool> {
        if policy.len() > TEXT_LIMIT || facts.len() > TEXT_LIMIT {
            return Err(Error::Limit("size of feedback"));
        }
        let sql = "UPDATE dmarc_feedback SET count = count + 1 WHERE day = $1 AND domain = $2 AND policy = $3 AND facts = $4";
        let known = self.sql.execute(sql, values![day, domain, policy, facts])?;
        if known > 0 {
            return Ok(true);
        }
        let sql = "SELECT COUNT(*) FROM dmarc_feedback WHERE day = $1 AND domain = $2";
        if self.sql.number(sql, values![day, domain])? >= FACTS_LIMIT {
            return Ok(false);
        }
        self.sql.execute(
            "INSERT INTO dmarc_feedback (day, domain, policy, facts, count) VALUES ($1, $2, $3, $4, 1)",
            values![day, domain, policy, facts],
        )?;
        Ok(true)
    }

    /// Forgets the feedback of a day for a domain: it was reported, or nobody wants it.
    pub fn forget_feedback(&mut self, day: i64, domain: &str) -> Result<()> {
        let sql = "DELETE FROM dmarc_feedback WHERE day = $1 AND domain = $2";
        self.sql.execute(sql, values![day, domain])?;
        Ok(())
    }
}
