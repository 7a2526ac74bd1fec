//! Reading: every question that can be asked of the store, on one consistent picture. The questions are in the file of what they
//! are about (`directory`, `resolve`, `mailbox`, `message`), beside the changes.

use crate::engine::{Sql, values};
use crate::error::Result;

/// A consistent picture of the store. [`crate::Tx`] dereferences to it, so all of this can be asked inside a write too.
pub struct Snapshot<'a> {
    pub(crate) sql: &'a dyn Sql,
}

impl Snapshot<'_> {
    /// A setting of the installation (see `Tx::set_setting`).
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.sql.row(
            "SELECT value FROM setting WHERE name = $1",
            values![name],
            |row| Ok(row.blob(0)?.to_vec()),
        )
    }

    /// Names of the settings that begin so, sorted.
    pub fn settings(&self, prefix: &str) -> Result<Vec<String>> {
        let names = self.sql.rows(
            "SELECT name FROM setting WHERE name >= $1 ORDER BY name",
            values![prefix],
            |row| Ok(row.text(0)?.to_owned()),
        )?;
        Ok(names
            .into_iter()
            .take_while(|name| name.starts_with(prefix))
            .collect())
    }
}
