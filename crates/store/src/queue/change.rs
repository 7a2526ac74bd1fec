//! What an administrator does to the queue: hold, release, try at once, remove.

use super::NEVER;
use super::enqueue::lane;
use super::types::QueueId;
use super::watch::Due;
use crate::engine::values;
use crate::error::{Error, Result};
use crate::tx::Tx;

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueChange {
    /// Not tried until it is released.
    Hold,
    /// Goes on where it was held.
    Release,
    /// Tried at once; released where it was held.
    Retry,
    /// Tried at once where it only waits for its next attempt; what is held or may not leave yet stays (RFC 1985).
    Hurry,
    /// Taken out; nobody is told.
    Remove,
}

/// Which recipients. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// Of this message.
    pub message: Option<QueueId>,
    /// At this destination, in A-labels and lower case.
    pub domain: Option<String>,
    /// From this reverse-path, or sent by the account with this address.
    pub sender: Option<String>,
}

/// The condition of a filter on `queue_recipient r` and `queue_message m`, with `$1` to `$3`.
pub(super) const FILTERED: &str = "($1 IS NULL OR m.queue_id = $1) AND ($2 IS NULL OR r.domain = $2) AND ($3 IS NULL OR \
    m.reverse_path = $3 OR m.submitter = (SELECT account_id FROM account WHERE address = $3))";

struct Found {
    id: QueueId,
    number: i64,
    state: i64,
    attempts: i64,
    address: String,
    domain: String,
    priority: i8,
    trace_id: String,
    release_at: i64,
}

impl Tx<'_> {
    /// Changes up to `limit` recipients of messages behind `after`. How many were changed, and where to go on: None when
    /// all are done. A recipient in flight is held or removed once its attempt has failed; nothing calls back what is sent.
    pub fn change_queue(
        &mut self,
        filter: &QueueFilter,
        change: QueueChange,
        after: Option<(QueueId, i64)>,
        limit: usize,
    ) -> Result<(u64, Option<(QueueId, i64)>)> {
        let (id, number) = after.unwrap_or((QueueId(0), 0));
        let sql = format!(
            "SELECT r.queue_id, r.number, r.state, r.attempts, r.address, r.domain, m.priority, m.trace_id, m.release_at \
             FROM queue_recipient r JOIN queue_message m ON m.queue_id = r.queue_id WHERE {FILTERED} \
             AND (r.queue_id > $4 OR r.queue_id = $4 AND r.number > $5) ORDER BY r.queue_id, r.number LIMIT $6"
        );
        let found = self.sql.rows(
            &sql,
            values![
                filter.message,
                filter.domain.as_deref(),
                filter.sender.as_deref(),
                id,
                number,
                limit as u64
            ],
            |row| {
                Ok(Found {
                    id: QueueId(row.int(0)?),
                    number: row.int(1)?,
                    state: row.int(2)?,
                    attempts: row.int(3)?,
                    address: row.text(4)?.to_owned(),
                    domain: row.text(5)?.to_owned(),
                    priority: row.int(6)? as i8,
                    trace_id: row.text(7)?.to_owned(),
                    release_at: row.int(8)?,
                })
            },
        )?;
        let more = found.len() == limit && limit > 0;
        let last = found.last().map(|last| (last.id, last.number));
        let mut changed = 0_u64;
        for one in found {
            changed = changed.saturating_add(u64::from(self.change_one(one, change)?));
        }
        Ok((changed, last.filter(|_| more)))
    }

    fn change_one(&mut self, found: Found, change: QueueChange) -> Result<bool> {
        let (id, number) = (found.id, found.number);
        let set = |assignments: &str, due: i64| {
            let sql = format!(
                "UPDATE queue_recipient SET {assignments} WHERE queue_id = $1 AND number = $2 AND $3 = $3"
            );
            self.sql.execute(&sql, values![id, number, due])
        };
        match (change, found.state) {
            (QueueChange::Hurry, 0) if found.release_at > self.now => return Ok(false),
            (QueueChange::Hold, 0) => set("state = 2, due = $3", NEVER)?,
            (QueueChange::Hold, 1) => set("wanted = 1", 0)?,
            (QueueChange::Remove, 1) => set("wanted = 2", 0)?,
            (QueueChange::Release | QueueChange::Retry, 1) => set("wanted = 0", 0)?,
            (QueueChange::Release, 2) | (QueueChange::Retry, 0 | 2) | (QueueChange::Hurry, 0) => {
                set("state = 0, due = $3", self.now)?;
                self.due(Due {
                    domain: found.domain,
                    lane: lane(found.priority),
                    due: self.now,
                    forced: true,
                });
                return Ok(true);
            }
            (QueueChange::Remove, _) => {
                let number = u32::try_from(number)
                    .map_err(|_| Error::Corrupt("number of a queued recipient".into()))?;
                self.log_removal(id, number, found.attempts, &found.trace_id, &found.address)?;
                let sql = "DELETE FROM queue_recipient WHERE queue_id = $1 AND number = $2";
                self.sql.execute(sql, values![id, number])?;
                self.drop_when_done(id)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        Ok(true)
    }
}
