//! How much an account may send elsewhere in a day, and what it sent.
//!
//! A day is the last 24 hours, counted in whole hours. A stranger is somebody whom the account has never written to.

use crate::engine::values;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::{AccountId, Timestamp};

/// Seconds of an hour, and hours of a day.
const HOUR: Timestamp = 3_600;
const DAY: Timestamp = 24;

/// Limits of an account that differ from the installation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Messages a day; 0 is unlimited, None the installation's.
    pub messages: Option<u64>,
    /// Strangers a day; likewise.
    pub strangers: Option<u64>,
}

/// What an account sent in the last 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Messages to recipients elsewhere.
    pub messages: u64,
    /// Recipients among them that were written to for the first time.
    pub strangers: u64,
    /// When the oldest hour of it stops counting; 0 when there is none.
    pub until: Timestamp,
}

impl Snapshot<'_> {
    /// The account's own limits.
    pub fn allowance(&self, account: AccountId) -> Result<Allowance> {
        let sql = "SELECT messages, strangers FROM account_allowance WHERE account_id = $1";
        let found = self.sql.row(sql, values![account], |row| {
            Ok(Allowance {
                messages: row.opt_int(0)?.map(i64::unsigned_abs),
                strangers: row.opt_int(1)?.map(i64::unsigned_abs),
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// What the account sent in the 24 hours before `now`.
    pub fn sent(&self, account: AccountId, now: Timestamp) -> Result<Sent> {
        let sql = "SELECT SUM(messages), SUM(strangers), MIN(hour) FROM account_sent WHERE account_id = $1 AND hour > $2";
        let since = now.div_euclid(HOUR).saturating_sub(DAY);
        let found = self.sql.row(sql, values![account, since], |row| {
            Ok(Sent {
                messages: row.opt_int(0)?.unwrap_or(0).unsigned_abs(),
                strangers: row.opt_int(1)?.unwrap_or(0).unsigned_abs(),
                until: row
                    .opt_int(2)?
                    .map_or(0, |hour| hour.saturating_add(DAY).saturating_mul(HOUR)),
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Whether the account has never written to this address (as the caller normalises addresses).
    pub fn is_stranger(&self, account: AccountId, address: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM account_known WHERE account_id = $1 AND address = $2";
        let known = self
            .sql
            .row(sql, values![account, address], |row| row.int(0))?;
        Ok(known.is_none())
    }
}

impl Tx<'_> {
    /// Sets the account's own limits.
    pub fn set_allowance(&mut self, account: AccountId, allowance: Allowance) -> Result<()> {
        self.sql.execute(
            "INSERT INTO account_allowance (account_id, messages, strangers) VALUES ($1, $2, $3) ON CONFLICT (account_id) \
             DO UPDATE SET messages = excluded.messages, strangers = excluded.strangers",
            values![account, allowance.messages, allowance.strangers],
        )?;
        Ok(())
    }

    /// Counts a message of the account to these recipients elsewhere.
    pub fn count_sent(&mut self, account: AccountId, recipients: &[String]) -> Result<()> {
        let mut strangers = 0_u64;
        for address in recipients {
            strangers = strangers.saturating_add(self.sql.execute(
                "INSERT INTO account_known (account_id, address, since) VALUES ($1, $2, $3) \
                 ON CONFLICT (account_id, address) DO NOTHING",
                values![account, address, self.now],
            )?);
        }
        let hour = self.now.div_euclid(HOUR);
        let sql = "DELETE FROM account_sent WHERE account_id = $1 AND hour <= $2";
        self.sql
            .execute(sql, values![account, hour.saturating_sub(DAY)])?;
        self.sql.execute(
            "INSERT INTO account_sent (account_id, hour, messages, strangers) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (account_id, hour) DO UPDATE SET messages = account_sent.messages + 1, \
             strangers = account_sent.strangers + excluded.strangers",
            values![account, hour, strangers],
        )?;
        Ok(())
    }
}
