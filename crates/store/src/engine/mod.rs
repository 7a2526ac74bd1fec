//! The database behind the store, as little of it as the statements need.
//!
//! Statements are written once, in what SQLite and PostgreSQL have in common: `$1` parameters, `ON CONFLICT`, `RETURNING`,
//! 64-bit integers, text and blobs. An engine is one file that implements [`Sql`] and opens connections.

use std::ops::ControlFlow;

use crate::error::{Error, Result};

pub(crate) mod sqlite;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'v> {
    Null,
    Int(i64),
    Text(&'v str),
    Blob(&'v [u8]),
}

/// A row of a result, valid until the next one.
pub(crate) trait Row {
    fn opt_int(&self, column: usize) -> Result<Option<i64>>;
    fn opt_text(&self, column: usize) -> Result<Option<&str>>;
    fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>>;

    fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| null(column))
    }
    fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| null(column))
    }
    /// NULL is an empty blob.
    fn blob(&self, column: usize) -> Result<&[u8]> {
        Ok(self.opt_blob(column)?.unwrap_or_default())
    }
    /// A count, size or modseq: never negative in a sound database.
    fn uint(&self, column: usize) -> Result<u64> {
        let value = self.int(column)?;
        u64::try_from(value)
            .map_err(|_| Error::Corrupt(format!("negative number {value} in column {column}")))
    }
    /// A UID or a number of messages.
    fn u32(&self, column: usize) -> Result<u32> {
        let value = self.int(column)?;
        u32::try_from(value)
            .map_err(|_| Error::Corrupt(format!("number {value} out of range in column {column}")))
    }
}

fn null(column: usize) -> Error {
    Error::Corrupt(format!("unexpected NULL in column {column}"))
}

/// What [`Sql::query`] calls for each row.
pub(crate) type Each<'e> = dyn FnMut(&dyn Row) -> Result<ControlFlow<()>> + 'e;

/// A connection inside a transaction.
pub(crate) trait Sql {
    /// Runs a statement and shows its rows until `each` breaks.
    fn query(&self, sql: &str, values: &[Value<'_>], each: &mut Each<'_>) -> Result<()>;
    /// Runs a statement without rows; the number of rows it touched.
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64>;
}

impl dyn Sql + '_ {
    /// The first row, if any.
    pub(crate) fn row<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut found = None;
        self.query(sql, values, &mut |row| {
            found = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// All rows. Only for results that are bounded by a limit of the store.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.query(sql, values, &mut |row| {
            found.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// A single number, 0 where there is none.
    pub(crate) fn number(&self, sql: &str, values: &[Value<'_>]) -> Result<i64> {
        Ok(self
            .row(sql, values, |row| Ok(row.opt_int(0)?.unwrap_or(0)))?
            .unwrap_or(0))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}
impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Value::Int(value.into())
    }
}
impl From<u64> for Value<'_> {
    /// Sizes and modseqs stay below 2^63 (RFC 7162 §3.1 limits a mod-sequence to 63 bits). Keyword bits use all 64 and
    /// are reinterpreted, not converted, by their callers.
    fn from(value: u64) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Int(value.into())
    }
}
impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Value::Text(value)
    }
}
impl<'v> From<&'v String> for Value<'v> {
    fn from(value: &'v String) -> Self {
        Value::Text(value)
    }
}
impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(value: &'v [u8]) -> Self {
        Value::Blob(value)
    }
}
impl<'v> From<&'v Vec<u8>> for Value<'v> {
    fn from(value: &'v Vec<u8>) -> Self {
        Value::Blob(value)
    }
}
impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
impl From<crate::queue::QueueId> for Value<'_> {
    fn from(value: crate::queue::QueueId) -> Self {
        Value::Int(value.0)
    }
}
macro_rules! id_value {
    ($($name:ident),*) => {$(
        impl From<crate::types::$name> for Value<'_> {
            fn from(value: crate::types::$name) -> Self {
                Value::Int(value.0)
            }
        }
    )*};
}
id_value!(
    DomainId,
    AccountId,
    AliasId,
    AppPasswordId,
    MailboxId,
    MessageId,
    BodyId
);
impl From<crate::types::Flags> for Value<'_> {
    fn from(value: crate::types::Flags) -> Self {
        Value::Int(value.0.into())
    }
}

/// The parameters of a statement, `$1` first.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::engine::Value::from($value)),*] };
}
pub(crate) use values;
