//! Looking at the queue.

use super::change::{FILTERED, QueueFilter};
use super::lease::{MESSAGE, MESSAGE_COLUMNS, envelope};
use super::types::*;
use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::types::Timestamp;

/// Where a recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// It waits for its time.
    Waiting,
    /// It is being tried.
    Sending,
    /// Somebody said not to.
    Held,
}

impl QueueState {
    /// A word for people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            QueueState::Waiting => "waiting",
            QueueState::Sending => "sending",
            QueueState::Held => "held",
        }
    }
}

/// A queued recipient as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecipient {
    /// RCPT TO.
    pub address: String,
    /// Its destination.
    pub domain: String,
    /// Where it is.
    pub state: QueueState,
    /// When it is tried next; None while it is being tried, or held.
    pub due: Option<Timestamp>,
    /// How often it has been tried.
    pub attempts: u32,
    /// The last time.
    pub last: Option<LastAttempt>,
}

/// A queued message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueItem {
    /// Its name.
    pub id: QueueId,
    /// Its envelope.
    pub envelope: QueuedEnvelope,
    /// The account that sent it.
    pub submitter: Option<String>,
    /// Octets.
    pub size: u64,
    /// Who still waits for it; of a list only those that the filter names.
    pub recipients: Vec<QueueRecipient>,
}

/// Sums over recipients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueSums {
    /// Of this destination or sender.
    pub name: String,
    /// Recipients that wait.
    pub waiting: u64,
    /// Recipients being tried.
    pub sending: u64,
    /// Recipients held.
    pub held: u64,
    /// When the oldest of their messages was accepted.
    pub oldest: Timestamp,
}

impl Snapshot<'_> {
    /// Queued messages behind `after` in the order of acceptance, at most `limit`, with the recipients that the filter names.
    pub fn queue_list(
        &self,
        filter: &QueueFilter,
        after: QueueId,
        limit: usize,
    ) -> Result<Vec<QueueItem>> {
        let sql = format!(
            "SELECT {MESSAGE}, m.queue_id, b.size, a.address FROM queue_message m JOIN body b ON b.body_id = m.body_id \
             LEFT JOIN account a ON a.account_id = m.submitter WHERE m.queue_id > $4 AND EXISTS (SELECT 1 FROM queue_recipient r \
             WHERE r.queue_id = m.queue_id AND {FILTERED}) ORDER BY m.queue_id LIMIT $5"
        );
        let mut items = self.sql.rows(
            &sql,
            values![
                filter.message,
                filter.domain.as_deref(),
                filter.sender.as_deref(),
                after,
                limit as u64
            ],
            |row| {
                Ok(QueueItem {
                    envelope: envelope(row)?,
                    id: QueueId(row.int(MESSAGE_COLUMNS)?),
                    size: row.uint(MESSAGE_COLUMNS + 1)?,
                    submitter: row.opt_text(MESSAGE_COLUMNS + 2)?.map(str::to_owned),
                    recipients: Vec::new(),
                })
            },
        )?;
        for item in &mut items {
            item.recipients = self.sql.rows(
                "SELECT address, domain, state, due, attempts, last_at, last_status, last_why, last_peer \
                 FROM queue_recipient WHERE queue_id = $1 AND ($2 IS NULL OR domain = $2) ORDER BY number",
                values![item.id, filter.domain.as_deref()],
                shown,
            )?;
        }
        Ok(items)
    }

    /// What was tried for a message, in order of time; also of one that has left the queue.
    pub fn queue_attempts(&self, id: QueueId) -> Result<Vec<LoggedAttempt>> {
        self.attempts("queue_id = $1", values![id])
    }

    /// What was tried for the message with this name in log and trace field. Several rows of the queue may have it.
    pub fn attempts_of_trace(&self, trace_id: &str) -> Result<Vec<LoggedAttempt>> {
        self.attempts("trace_id = $1", values![trace_id])
    }

    /// Sums per destination, the longest first.
    pub fn queue_by_domain(&self, limit: usize) -> Result<Vec<QueueSums>> {
        self.sums("r.domain", limit)
    }

    /// Sums per reverse-path, the longest first.
    pub fn queue_by_sender(&self, limit: usize) -> Result<Vec<QueueSums>> {
        self.sums("m.reverse_path", limit)
    }

    /// Messages and recipients in the queue.
    pub fn queue_length(&self) -> Result<(u64, u64)> {
        let count = |table: &str| -> Result<u64> {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            Ok(self.sql.number(&sql, &[])?.unsigned_abs())
        };
        Ok((count("queue_message")?, count("queue_recipient")?))
    }

    fn attempts(
        &self,
        condition: &str,
        values: &[crate::engine::Value<'_>],
    ) -> Result<Vec<LoggedAttempt>> {
        let sql = format!(
            "SELECT queue_id, trace_id, recipient, at, peer, address, tls, policy, reply, outcome, status, why \
             FROM queue_attempt WHERE {condition} ORDER BY at, queue_id, number, attempt"
        );
        self.sql.rows(&sql, values, logged)
    }

    fn sums(&self, column: &str, limit: usize) -> Result<Vec<QueueSums>> {
        let sql = format!(
            "SELECT {column}, SUM(CASE r.state WHEN 0 THEN 1 ELSE 0 END), SUM(CASE r.state WHEN 1 THEN 1 ELSE 0 END), \
             SUM(CASE r.state WHEN 2 THEN 1 ELSE 0 END), MIN(m.received) FROM queue_recipient r \
             JOIN queue_message m ON m.queue_id = r.queue_id GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT $1"
        );
        self.sql.rows(&sql, values![limit as u64], |row| {
            Ok(QueueSums {
                name: row.text(0)?.to_owned(),
                waiting: row.uint(1)?,
                sending: row.uint(2)?,
                held: row.uint(3)?,
                oldest: row.int(4)?,
            })
        })
    }
}

fn shown(row: &dyn Row) -> Result<QueueRecipient> {
    let state = match row.int(2)? {
        0 => QueueState::Waiting,
        1 => QueueState::Sending,
        _ => QueueState::Held,
    };
    let text = |column: usize| -> Result<String> {
        Ok(row.opt_text(column)?.unwrap_or_default().to_owned())
    };
    Ok(QueueRecipient {
        address: row.text(0)?.to_owned(),
        domain: row.text(1)?.to_owned(),
        due: match state {
            QueueState::Waiting => Some(row.int(3)?),
            _ => None,
        },
        state,
        attempts: row.u32(4)?,
        last: match row.opt_int(5)? {
            None => None,
            Some(at) => Some(LastAttempt {
                at,
                status: text(6)?,
                why: text(7)?,
                peer: row.opt_text(8)?.map(str::to_owned),
            }),
        },
    })
}

fn logged(row: &dyn Row) -> Result<LoggedAttempt> {
    let text =
        |column: usize| -> Result<Option<String>> { Ok(row.opt_text(column)?.map(str::to_owned)) };
    let outcome = row.int(9)?;
    Ok(LoggedAttempt {
        queue: QueueId(row.int(0)?),
        trace_id: row.text(1)?.to_owned(),
        recipient: row.text(2)?.to_owned(),
        record: AttemptRecord {
            at: row.int(3)?,
            peer: text(4)?,
            address: text(5)?,
            tls: text(6)?,
            policy: row.text(7)?.to_owned(),
            reply: text(8)?,
            outcome: Outcome::from_number(outcome)
                .ok_or_else(|| Error::Corrupt(format!("outcome {outcome} of an attempt")))?,
            status: row.text(10)?.to_owned(),
            why: row.text(11)?.to_owned(),
        },
    })
}
