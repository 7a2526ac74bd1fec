//! Decision records: what was decided about each message that came, and why, for the administrator to look up.
//!
//! A record is octets of the server's. It is written in the transaction that places the message, so that what is there
//! has one; records of refused messages are written by themselves. Each has a time after which housekeeping drops it.

use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::Timestamp;

/// Octets of one record. A message with the most signatures and the longest names stays far below.
const RECORD_LIMIT: usize = 256 * 1024;

/// Records dropped in one write, so that nobody waits long for it.
const DROPPED_AT_ONCE: u32 = 1_000;

/// A decision record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The message's id in its Received field and in the reply to its sender.
    pub trace_id: String,
    /// Its Message-ID without angle brackets, for looking up only; empty where there is none.
    pub message_id: String,
    /// When it came.
    pub at: Timestamp,
    /// From when on the record may be dropped.
    pub expires: Timestamp,
    /// The record.
    pub record: Vec<u8>,
}

/// A decision record as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The message's id.
    pub trace_id: String,
    /// When it came.
    pub at: Timestamp,
    /// The record.
    pub record: Vec<u8>,
}

impl Snapshot<'_> {
    /// The record under a trace id.
    pub fn decision(&self, trace_id: &str) -> Result<Option<DecisionRow>> {
        let sql = "SELECT trace_id, at, record FROM decision WHERE trace_id = $1";
        self.sql.row(sql, values![trace_id], decision)
    }

    /// Records of messages with this Message-ID, the newest first, at most `limit`. Another message's may be among them
    /// (a hash is looked up): compare.
    pub fn decisions_of(&self, message_id: &str, limit: u32) -> Result<Vec<DecisionRow>> {
        let sql = "SELECT trace_id, at, record FROM decision WHERE message_key = $1 ORDER BY decision_id DESC LIMIT $2";
        self.sql
            .rows(sql, values![message_key(message_id), limit], decision)
    }
}

fn decision(row: &dyn Row) -> Result<DecisionRow> {
    Ok(DecisionRow {
        trace_id: row.text(0)?.to_owned(),
        at: row.int(1)?,
        record: row.blob(2)?.to_vec(),
    })
}

impl Tx<'_> {
    /// Keeps a record; one of the same trace id is replaced.
    pub fn record_decision(&mut self, decision: &Decision) -> Result<()> {
        if decision.record.len() > RECORD_LIMIT {
            return Err(Error::Limit("size of a decision record"));
        }
        self.sql.execute(
            "INSERT INTO decision (trace_id, message_key, at, expires, record) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (trace_id) DO UPDATE SET expires = excluded.expires, record = excluded.record",
            values![
                &decision.trace_id,
                message_key(&decision.message_id),
                decision.at,
                decision.expires,
                &decision.record,
            ],
        )?;
        Ok(())
    }

    /// Drops some records that expired; how many. Repeat until none is left.
    pub fn expire_decisions(&mut self) -> Result<u64> {
        self.sql.execute(
            "DELETE FROM decision WHERE decision_id IN \
             (SELECT decision_id FROM decision WHERE expires <= $1 ORDER BY expires LIMIT $2)",
            values![self.now, DROPPED_AT_ONCE],
        )
    }
}

/// FNV-1a. Whoever makes two Message-IDs collide gains nothing: the caller compares.
fn message_key(message_id: &str) -> i64 {
    let hash = message_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
    hash.cast_signed()
}
