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
    /// It expires before others of its time.
    pub short: bool,
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
        let sql =
            "SELECT trace_id, at, record FROM decision WHERE decision_id = $1 AND trace_id = $2";
        self.sql
            .row(sql, values![decision_id(trace_id), trace_id], decision)
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
            "INSERT INTO decision (decision_id, trace_id, message_key, at, expires, short, record) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (decision_id) DO UPDATE SET trace_id = excluded.trace_id, \
             message_key = excluded.message_key, at = excluded.at, expires = excluded.expires, short = excluded.short, \
             record = excluded.record",
            values![
                decision_id(&decision.trace_id),
                &decision.trace_id,
                message_key(&decision.message_id),
                decision.at,
                decision.expires,
                decision.short,
                &decision.record,
            ],
        )?;
        Ok(())
    }

    /// Drops some records that expired; how many. Repeat until none is left. A lifetime made shorter counts for records to
    /// come: one that lives longer holds up those behind it.
    pub fn expire_decisions(&mut self) -> Result<u64> {
        let short = self.sql.execute(
            "DELETE FROM decision WHERE decision_id IN \
             (SELECT decision_id FROM decision WHERE short = 1 AND expires <= $1 ORDER BY expires LIMIT $2)",
            values![self.now, DROPPED_AT_ONCE],
        )?;
        let oldest = self.sql.execute(
            "DELETE FROM decision WHERE expires <= $1 AND decision_id IN \
             (SELECT decision_id FROM decision ORDER BY decision_id LIMIT $2)",
            values![self.now, DROPPED_AT_ONCE],
        )?;
        Ok(short.saturating_add(oldest))
    }
}

/// The place of a record: the first 63 of the 80 bits of an id of 16 letters, which begins with the time. Another id has a
/// place like any other. Two ids of one place do not come in practice; the later record would stay.
fn decision_id(trace_id: &str) -> i64 {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digit = |octet: u8| ALPHABET.iter().position(|letter| *letter == octet);
    let mut number = 0_u128;
    for octet in trace_id.bytes() {
        match digit(octet) {
            Some(digit) if trace_id.len() == 16 => number = number << 5 | digit as u128,
            _ => return message_key(trace_id) & i64::MAX,
        }
    }
    i64::try_from(number >> 17).unwrap_or(i64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_ids() {
        assert_eq!(decision_id("0000000000000000"), 0);
        assert_eq!(decision_id("zzzzzzzzzzzzzzzz"), i64::MAX);
        assert!(decision_id("1n0abcd000000000") < decision_id("1n0abce000000000"));
        assert!(decision_id("short") >= 0);
    }
}
