//! What single accounts have otherwise than the configuration says: names and values, whose meaning is the server's.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::AccountId;

/// Octets of a name, and of a value.
const LONGEST: usize = 200;

impl Snapshot<'_> {
    /// An option of an account.
    pub fn account_option(&self, account: AccountId, name: &str) -> Result<Option<String>> {
        let sql = "SELECT value FROM account_option WHERE account_id = $1 AND name = $2";
        self.sql.row(sql, values![account, name], |row| {
            Ok(row.text(0)?.to_owned())
        })
    }
}

impl Tx<'_> {
    /// Sets an option of an account; None removes it.
    pub fn set_account_option(
        &mut self,
        account: AccountId,
        name: &str,
        value: Option<&str>,
    ) -> Result<()> {
        self.account_by_id(account)?
            .ok_or(Error::NotFound("account"))?;
        let Some(value) = value else {
            let sql = "DELETE FROM account_option WHERE account_id = $1 AND name = $2";
            self.sql.execute(sql, values![account, name])?;
            return Ok(());
        };
        if name.len() > LONGEST || value.len() > LONGEST {
            return Err(Error::Limit("size of an account's option"));
        }
        self.sql.execute(
            "INSERT INTO account_option (account_id, name, value) VALUES ($1, $2, $3) \
             ON CONFLICT (account_id, name) DO UPDATE SET value = excluded.value",
            values![account, name, value],
        )?;
        Ok(())
    }
}
