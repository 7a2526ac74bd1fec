//! Greylisting's memory (RFC 6647): who has tried, and who has come back.
//!
//! A key stands for network, sender and recipient together, or for a network alone; it is a hash the caller makes, so that
//! rows are small and strangers choose no texts of the database. A row is forgotten when it has not been seen for
//! [`KEPT`], or has not come back within [`WINDOW`].

use crate::engine::values;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::Timestamp;

/// Seconds within which a first try has to be repeated: two days, as slow queues need.
pub const WINDOW: i64 = 2 * 86_400;

/// Seconds for which somebody who came back stays known. Monthly newsletters are older than a month at times.
pub const KEPT: i64 = 36 * 86_400;

/// Rows dropped in one write, so that nobody waits long for it.
const DROPPED_AT_ONCE: u32 = 1_000;

/// A hash of whom the row is about.
pub type GreylistKey = [u8; 16];

impl Snapshot<'_> {
    /// How many have come back under this key lately; 0 for one that is unknown or forgotten.
    pub fn greylist_passes(&self, key: &GreylistKey, now: Timestamp) -> Result<i64> {
        let sql = "SELECT passes FROM greylist WHERE key_hash = $1 AND last >= $2";
        let passes = self.sql.row(
            sql,
            values![key.as_slice(), now.saturating_sub(KEPT)],
            |row| row.int(0),
        )?;
        Ok(passes.unwrap_or(0))
    }
}

impl Tx<'_> {
    /// One try: the seconds still to wait, or `None` when it may pass. The first pass of a key also counts for `network`.
    pub fn greylist(
        &mut self,
        key: &GreylistKey,
        network: &GreylistKey,
        delay: i64,
    ) -> Result<Option<i64>> {
        let now = self.now;
        let sql = "SELECT first, last, passes FROM greylist WHERE key_hash = $1";
        let found = self.sql.row(sql, values![key.as_slice()], |row| {
            Ok((row.int(0)?, row.int(1)?, row.int(2)?))
        })?;
        let known = found.filter(|(first, last, passes)| match passes {
            0 => now.saturating_sub(*first) <= WINDOW,
            _ => now.saturating_sub(*last) <= KEPT,
        });
        // A clock that went back makes nobody wait longer than once.
        match known {
            Some((first, _, 0)) if now < first.saturating_add(delay) && now >= first => {
                Ok(Some(first.saturating_add(delay).saturating_sub(now)))
            }
            Some((first, _, passes)) => {
                self.greylist_row(key, first, now, passes.saturating_add(1))?;
                if passes == 0 {
                    let before = self.greylist_passes(network, now)?;
                    self.greylist_row(network, now, now, before.saturating_add(1))?;
                }
                Ok(None)
            }
            None if delay <= 0 => {
                self.greylist_row(key, now, now, 1)?;
                Ok(None)
            }
            None => {
                self.greylist_row(key, now, now, 0)?;
                Ok(Some(delay))
            }
        }
    }

    fn greylist_row(
        &mut self,
        key: &GreylistKey,
        first: Timestamp,
        last: Timestamp,
        passes: i64,
    ) -> Result<()> {
        self.sql.execute(
            "INSERT INTO greylist (key_hash, first, last, passes) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (key_hash) DO UPDATE SET first = excluded.first, last = excluded.last, passes = excluded.passes",
            values![key.as_slice(), first, last, passes],
        )?;
        Ok(())
    }

    /// Forgets some of what is to be forgotten; how many rows. Repeat until none is left.
    pub fn expire_greylist(&mut self) -> Result<u64> {
        let now = self.now;
        let (window, kept) = (now.saturating_sub(WINDOW), now.saturating_sub(KEPT));
        self.sql.execute(
            "DELETE FROM greylist WHERE key_hash IN (SELECT key_hash FROM greylist \
             WHERE last < $1 OR (passes = 0 AND first < $2) LIMIT $3)",
            values![kept, window, DROPPED_AT_ONCE],
        )
    }
}
