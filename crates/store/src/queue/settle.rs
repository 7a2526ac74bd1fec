//! Settling: what became of leased recipients.

use super::types::*;
use super::watch::Due;
use super::{ATTEMPTS_KEPT, LOG_KEPT, NEVER};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::tx::Tx;
use crate::types::{BodyId, Timestamp};

/// Attempts forgotten with each settlement, so that the log ages without a turn of its own.
const FORGOTTEN_AT_ONCE: u32 = 50;

/// What happens to a recipient now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more: it was delivered, or never will be.
    Done,
    /// It waits until this time.
    Later(Timestamp),
}

/// What became of one leased recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which.
    pub number: u32,
    /// What happened; None when nothing was tried.
    pub attempt: Option<AttemptRecord>,
    /// What happens now.
    pub verdict: Verdict,
    /// Of what its sender has been told, now or before.
    pub warned: Warned,
}

/// A recipient's row as settling needs it.
struct Row {
    address: String,
    domain: String,
    lane: i8,
    wanted: i64,
    attempts: i64,
}

impl Tx<'_> {
    /// Whether a message was already delivered to an address here, by an attempt that did not live to settle it.
    pub fn is_queue_placed(&self, id: QueueId, address: &str) -> Result<bool> {
        let sql =
            "SELECT 1 FROM queue_recipient WHERE queue_id = $1 AND address = $2 AND placed = 1";
        let found = self.sql.row(sql, values![id, address], |_| Ok(()))?;
        Ok(found.is_some())
    }

    /// Notes that this transaction delivers a message to an address here.
    pub fn set_queue_placed(&mut self, id: QueueId, address: &str) -> Result<()> {
        let sql = "UPDATE queue_recipient SET placed = 1 WHERE queue_id = $1 AND address = $2";
        self.sql.execute(sql, values![id, address])?;
        Ok(())
    }

    /// Settles leased recipients of a message; with the last one the message goes. `Conflict` when a lease is not `owner`'s
    /// any more: then nothing may be done that rests on it, notifications above all.
    pub fn settle(&mut self, owner: &str, id: QueueId, settlements: &[Settlement]) -> Result<()> {
        let trace_id = self
            .sql
            .row(
                "SELECT trace_id FROM queue_message WHERE queue_id = $1",
                values![id],
                |row| Ok(row.text(0)?.to_owned()),
            )?
            .ok_or(Error::NotFound("queued message"))?;
        for settlement in settlements {
            self.settle_one(owner, id, &trace_id, settlement)?;
        }
        self.forget_attempts()?;
        self.drop_when_done(id)
    }

    /// [`Tx::settle`] after [`Tx::lease_attention`]: time is satisfied for now.
    pub fn settle_attention(
        &mut self,
        owner: &str,
        id: QueueId,
        settlements: &[Settlement],
    ) -> Result<()> {
        self.settle(owner, id, settlements)?;
        self.attended(id)
    }

    fn settle_one(
        &mut self,
        owner: &str,
        id: QueueId,
        trace_id: &str,
        settlement: &Settlement,
    ) -> Result<()> {
        let number = settlement.number;
        let row = self
            .sql
            .row(
                "SELECT address, domain, lane, wanted, attempts FROM queue_recipient \
                 WHERE queue_id = $1 AND number = $2 AND state = 1 AND owner = $3",
                values![id, number, owner],
                |row| {
                    Ok(Row {
                        address: row.text(0)?.to_owned(),
                        domain: row.text(1)?.to_owned(),
                        lane: row.int(2)? as i8,
                        wanted: row.int(3)?,
                        attempts: row.int(4)?,
                    })
                },
            )?
            .ok_or_else(|| {
                Error::Conflict(format!(
                    "recipient {number} of queued message {} is not leased any more",
                    id.0
                ))
            })?;
        let attempts = match &settlement.attempt {
            None => row.attempts,
            Some(record) => {
                let attempt = row.attempts.saturating_add(1);
                self.log_attempt(id, number, attempt, trace_id, &row.address, record)?;
                attempt
            }
        };
        let due = match (settlement.verdict, row.wanted) {
            (Verdict::Later(_), 2) => {
                self.log_removal(id, number, attempts, trace_id, &row.address)?;
                None
            }
            (Verdict::Done, _) => None,
            (Verdict::Later(_), 1) => Some((2, NEVER)),
            (Verdict::Later(due), _) => Some((0, due)),
        };
        let Some((state, due)) = due else {
            let sql = "DELETE FROM queue_recipient WHERE queue_id = $1 AND number = $2";
            return self.sql.execute(sql, values![id, number]).map(drop);
        };
        let last = settlement.attempt.as_ref();
        self.sql.execute(
            "UPDATE queue_recipient SET state = $3, wanted = 0, owner = NULL, due = $4, attempts = $5, warned = $6, \
             last_at = COALESCE($7, last_at), last_status = COALESCE($8, last_status), last_why = COALESCE($9, last_why), \
             last_peer = CASE WHEN $7 IS NULL THEN last_peer ELSE $10 END WHERE queue_id = $1 AND number = $2",
            values![
                id,
                number,
                i64::from(state),
                due,
                attempts,
                settlement.warned.bits(),
                last.map(|record| record.at),
                last.map(|record| record.status.as_str()),
                last.map(|record| record.reply.as_deref().unwrap_or(&record.why)),
                last.and_then(|record| record.peer.as_deref())
            ],
        )?;
        if state == 0 {
            self.due(Due {
                domain: row.domain,
                lane: row.lane,
                due,
                forced: false,
            });
        }
        Ok(())
    }

    /// Removes the message and its hold on the body when nobody waits for it any more.
    pub(crate) fn drop_when_done(&self, id: QueueId) -> Result<()> {
        let body = self.sql.row(
            "DELETE FROM queue_message WHERE queue_id = $1 AND NOT EXISTS \
             (SELECT 1 FROM queue_recipient r WHERE r.queue_id = $1) RETURNING body_id",
            values![id],
            |row| Ok(BodyId(row.int(0)?)),
        )?;
        match body {
            Some(body) => self.release_body(body),
            None => Ok(()),
        }
    }

    fn log_attempt(
        &self,
        id: QueueId,
        number: u32,
        attempt: i64,
        trace_id: &str,
        recipient: &str,
        record: &AttemptRecord,
    ) -> Result<()> {
        self.sql.execute(
            "INSERT INTO queue_attempt (queue_id, number, attempt, trace_id, recipient, at, peer, address, tls, policy, reply, \
             outcome, status, why) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
             ON CONFLICT (queue_id, number, attempt) DO NOTHING",
            values![
                id,
                number,
                attempt,
                trace_id,
                recipient,
                record.at,
                record.peer.as_deref(),
                record.address.as_deref(),
                record.tls.as_deref(),
                &record.policy,
                record.reply.as_deref(),
                record.outcome.number(),
                &record.status,
                &record.why
            ],
        )?;
        let sql = "DELETE FROM queue_attempt WHERE queue_id = $1 AND number = $2 AND attempt <= $3";
        self.sql
            .execute(
                sql,
                values![id, number, attempt.saturating_sub(ATTEMPTS_KEPT)],
            )
            .map(drop)
    }

    /// Says in the log that somebody took the recipient out.
    pub(super) fn log_removal(
        &self,
        id: QueueId,
        number: u32,
        attempts: i64,
        trace_id: &str,
        recipient: &str,
    ) -> Result<()> {
        let record = AttemptRecord {
            at: self.now,
            peer: None,
            address: None,
            tls: None,
            policy: String::new(),
            reply: None,
            outcome: Outcome::Removed,
            status: "5.0.0".into(),
            why: "removed from the queue".into(),
        };
        self.log_attempt(
            id,
            number,
            attempts.saturating_add(1),
            trace_id,
            recipient,
            &record,
        )
    }

    /// Forgets some attempts that are older than [`LOG_KEPT`].
    fn forget_attempts(&self) -> Result<()> {
        let old = self.sql.rows(
            "SELECT queue_id, number, attempt FROM queue_attempt WHERE at < $1 ORDER BY at LIMIT $2",
            values![self.now.saturating_sub(LOG_KEPT), FORGOTTEN_AT_ONCE],
            |row| Ok((QueueId(row.int(0)?), row.int(1)?, row.int(2)?)),
        )?;
        for (id, number, attempt) in old {
            let sql =
                "DELETE FROM queue_attempt WHERE queue_id = $1 AND number = $2 AND attempt = $3";
            self.sql.execute(sql, values![id, number, attempt])?;
        }
        Ok(())
    }
}
