//! What the server fetches from elsewhere by itself: the orders, and how each last went.
//!
//! Secrets are not here, only the names of files that hold them.

use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Orders of one account.
const ORDERS: i64 = 20;

/// What may be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOrder {
    /// The account elsewhere.
    pub url: String,
    /// The file with the password or token.
    pub secret_file: String,
    /// It holds an access token.
    pub token: bool,
    /// Certificates to trust.
    pub ca_file: Option<String>,
    /// Without TLS where none is offered.
    pub unencrypted: bool,
    /// The mailbox here.
    pub folder: String,
    /// Seconds between two looks.
    pub every: i64,
    /// Messages are removed there.
    pub remove: bool,
}

/// An order, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Whose.
    pub account: AccountId,
    /// Its number within the account.
    pub id: i64,
    /// What is to be done.
    pub order: FetchOrder,
    /// When it is next.
    pub due: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// Why the last one failed.
    pub trouble: Option<String>,
    /// When it last went well.
    pub last_success: Option<Timestamp>,
    /// Messages fetched in all.
    pub fetched: u64,
}

const FETCH: &str = "SELECT account_id, fetch_id, url, secret_file, token, ca_file, unencrypted, folder, every, remove, due, \
     failures, trouble, last_success, fetched FROM fetch";

fn fetch(row: &dyn Row) -> Result<Fetch> {
    Ok(Fetch {
        account: AccountId(row.int(0)?),
        id: row.int(1)?,
        order: FetchOrder {
            url: row.text(2)?.to_owned(),
            secret_file: row.text(3)?.to_owned(),
            token: row.int(4)? > 0,
            ca_file: row.opt_text(5)?.map(str::to_owned),
            unencrypted: row.int(6)? > 0,
            folder: row.text(7)?.to_owned(),
            every: row.int(8)?,
            remove: row.int(9)? > 0,
        },
        due: row.int(10)?,
        failures: row.u32(11)?,
        trouble: row.opt_text(12)?.map(str::to_owned),
        last_success: row.opt_int(13)?,
        fetched: row.uint(14)?,
    })
}

impl Snapshot<'_> {
    /// The orders of an account, or all.
    pub fn fetches(&self, account: Option<AccountId>) -> Result<Vec<Fetch>> {
        match account {
            Some(account) => {
                let sql = format!("{FETCH} WHERE account_id = $1 ORDER BY fetch_id");
                self.sql.rows(&sql, values![account], fetch)
            }
            None => {
                let sql = format!("{FETCH} ORDER BY account_id, fetch_id");
                self.sql.rows(&sql, &[], fetch)
            }
        }
    }

    /// One order.
    pub fn fetch(&self, account: AccountId, id: i64) -> Result<Option<Fetch>> {
        let sql = format!("{FETCH} WHERE account_id = $1 AND fetch_id = $2");
        self.sql.row(&sql, values![account, id], fetch)
    }

    /// The orders that come next, with when each is due.
    pub fn fetches_next(&self, limit: u32) -> Result<Vec<(AccountId, i64, Timestamp)>> {
        let sql = "SELECT account_id, fetch_id, due FROM fetch ORDER BY due LIMIT $1";
        self.sql.rows(sql, values![limit], |row| {
            Ok((AccountId(row.int(0)?), row.int(1)?, row.int(2)?))
        })
    }
}

impl Tx<'_> {
    /// Orders to fetch from elsewhere, from now on. One order for an account elsewhere: `Exists`.
    pub fn add_fetch(&mut self, account: AccountId, order: &FetchOrder) -> Result<i64> {
        let all = self.fetches(Some(account))?;
        if all.iter().any(|known| known.order.url == order.url) {
            return Err(Error::Exists("fetching from there"));
        }
        if i64::try_from(all.len()).unwrap_or(i64::MAX) >= ORDERS {
            return Err(Error::Limit("accounts elsewhere that are fetched from"));
        }
        let id = all.last().map_or(1, |last| last.id.saturating_add(1));
        self.sql.execute(
            "INSERT INTO fetch (account_id, fetch_id, url, secret_file, token, ca_file, unencrypted, folder, every, remove, \
             due, failures, trouble, last_success, fetched) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, NULL, \
             NULL, 0)",
            values![
                account,
                id,
                &order.url,
                &order.secret_file,
                order.token,
                order.ca_file.as_deref(),
                order.unencrypted,
                &order.folder,
                order.every,
                order.remove,
                self.now
            ],
        )?;
        Ok(id)
    }

    /// Takes an order back. What is remembered of its messages stays, should it be given again.
    pub fn remove_fetch(&mut self, account: AccountId, id: i64) -> Result<()> {
        let sql = "DELETE FROM fetch WHERE account_id = $1 AND fetch_id = $2";
        match self.sql.execute(sql, values![account, id])? {
            0 => Err(Error::NotFound("fetching from there")),
            _ => Ok(()),
        }
    }

    /// Makes an order due, whatever happened before.
    pub fn fetch_now(&mut self, account: AccountId, id: i64) -> Result<()> {
        let sql = "UPDATE fetch SET due = $3 WHERE account_id = $1 AND fetch_id = $2";
        self.sql.execute(sql, values![account, id, self.now])?;
        Ok(())
    }

    /// Notes how it went, and when it is due again: messages fetched, or why it failed.
    pub fn fetch_done(
        &mut self,
        account: AccountId,
        id: i64,
        outcome: &std::result::Result<u64, String>,
        due: Timestamp,
    ) -> Result<()> {
        match outcome {
            Ok(fetched) => self.sql.execute(
                "UPDATE fetch SET due = $3, failures = 0, trouble = NULL, last_success = $4, fetched = fetched + $5 \
                 WHERE account_id = $1 AND fetch_id = $2",
                values![account, id, due, self.now, *fetched],
            )?,
            Err(why) => self.sql.execute(
                "UPDATE fetch SET due = $3, failures = failures + 1, trouble = $4 WHERE account_id = $1 AND fetch_id = $2",
                values![account, id, due, why],
            )?,
        };
        Ok(())
    }
}
