//! SQLite in WAL mode. `synchronous=FULL`: a commit is on disk when it returns.
//!
//! The WAL is never checkpointed inside a commit (`wal_autocheckpoint=0`): the writer does it after it has answered.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, ToSql};

use super::{Each, Row, Sql, Value};
use crate::error::{Error, Result};

/// Prepared statements kept per connection: all that the store has, with room.
const STATEMENTS: usize = 256;
/// Page cache of the writer, KiB. Holds the inner pages and the busy leaves of large tables.
const WRITER_CACHE: i64 = 32 << 10;
/// Page cache of each reader, KiB. The kernel's cache is behind it.
const READER_CACHE: i64 = 4 << 10;
/// How long a checkpoint or an opening waits for another connection.
const BUSY: Duration = Duration::from_secs(5);

thread_local! {
    /// The hook has no place for state of its own; only the writer's thread commits.
    static LOG_FRAMES: Cell<u32> = const { Cell::new(0) };
}

/// A connection to the database.
#[derive(Debug)]
pub(crate) struct Connection {
    inner: rusqlite::Connection,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

impl Connection {
    /// Opens the database file, creating it for a writer.
    pub(crate) fn open(path: &Path, role: Role) -> Result<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if role == Role::Writer {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let inner = rusqlite::Connection::open_with_flags(path, flags)?;
        inner.set_prepared_statement_cache_capacity(STATEMENTS);
        inner.busy_timeout(BUSY)?;
        // Otherwise each statement with a parameter behind LIMIT is prepared anew whenever it is bound, because its plan
        // might depend on the number: 20 µs each.
        inner.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        let mode: String = inner.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(Error::Io(format!(
                "the database refuses WAL mode and stays in {mode}"
            )));
        }
        let cache = if role == Role::Writer {
            WRITER_CACHE
        } else {
            READER_CACHE
        };
        inner.execute_batch(&format!(
            "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY; \
             PRAGMA cache_size=-{cache}; PRAGMA foreign_keys=OFF; PRAGMA trusted_schema=OFF;"
        ))?;
        inner.wal_hook(Some(|_, frames| {
            LOG_FRAMES.set(u32::try_from(frames).unwrap_or(0));
            Ok(())
        }));
        if role == Role::Reader {
            inner.execute_batch("PRAGMA query_only=ON")?;
        }
        Ok(Connection { inner })
    }

    /// Begins the writer's transaction.
    pub(crate) fn begin_write(&self) -> Result<()> {
        self.plain("BEGIN IMMEDIATE")
    }

    /// Begins a reader's transaction; its picture is fixed by its first statement.
    pub(crate) fn begin_read(&self) -> Result<()> {
        self.plain("BEGIN")
    }

    /// Ends the transaction; what it wrote is durable when this returns.
    pub(crate) fn commit(&self) -> Result<()> {
        self.plain("COMMIT")
    }

    /// Undoes the transaction, if one is open.
    pub(crate) fn rollback(&self) -> Result<()> {
        if self.in_transaction() {
            self.plain("ROLLBACK")
        } else {
            Ok(())
        }
    }

    /// Marks a point to go back to.
    pub(crate) fn savepoint(&self) -> Result<()> {
        self.plain("SAVEPOINT job")
    }

    /// Forgets the mark, keeping what came after it.
    pub(crate) fn release(&self) -> Result<()> {
        self.plain("RELEASE job")
    }

    /// Goes back to the mark and forgets it.
    pub(crate) fn rollback_to_savepoint(&self) -> Result<()> {
        self.plain("ROLLBACK TO job")?;
        self.plain("RELEASE job")
    }

    /// Whether a transaction is open. Some failures (disk full, I/O) end it by themselves.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.inner.is_autocommit()
    }

    /// [`Connection::checkpoint`] that empties the log, without waiting longer than this for readers: the writer is needed.
    pub(crate) fn empty_log_within(&self, patience: Duration) -> Result<()> {
        self.inner.busy_timeout(patience)?;
        let emptied = self.checkpoint(true).map(|_| ());
        self.inner.busy_timeout(BUSY)?;
        emptied
    }

    /// Copies what the WAL holds into the database as far as readers allow, and syncs it. Returns frames in the WAL and
    /// those of them copied.
    pub(crate) fn checkpoint(&self, empty: bool) -> Result<(i64, i64)> {
        let sql = if empty {
            "PRAGMA wal_checkpoint(TRUNCATE)"
        } else {
            "PRAGMA wal_checkpoint(PASSIVE)"
        };
        let (busy, frames, copied): (i64, i64, i64) = self
            .inner
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if empty && busy != 0 {
            return Err(Error::Busy("readers keep the write-ahead log in use"));
        }
        Ok((frames, copied))
    }

    /// Frames in the write-ahead log after this thread's last commit.
    pub(crate) fn log_frames(&self) -> u32 {
        LOG_FRAMES.get()
    }

    /// Runs several statements, for migrations.
    pub(crate) fn script(&self, sql: &str) -> Result<()> {
        Ok(self.inner.execute_batch(sql)?)
    }

    /// Writes a consistent, compact copy of the database to a new file. The caller syncs it.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        let name = path
            .to_str()
            .ok_or_else(|| Error::Invalid("the path is not UTF-8".into()))?;
        self.inner.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    }

    /// SQLite's own examination; an empty list when all is well.
    pub(crate) fn integrity(&self) -> Result<Vec<String>> {
        let mut statement = self.inner.prepare("PRAGMA integrity_check(100)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let lines: Vec<String> = lines.collect::<std::result::Result<_, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    fn plain(&self, sql: &str) -> Result<()> {
        self.inner.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

impl Sql for Connection {
    fn query(&self, sql: &str, values: &[Value<'_>], each: &mut Each<'_>) -> Result<()> {
        let mut statement = self.inner.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if let ControlFlow::Break(()) = each(&SqliteRow(row))? {
                break;
            }
        }
        Ok(())
    }

    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        let mut statement = self.inner.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        Ok(statement.raw_execute()? as u64)
    }
}

/// SQLite takes `$1` for a name and numbers names as they appear, so each is looked up.
fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> Result<()> {
    for position in 1..=statement.parameter_count() {
        let number = statement
            .parameter_name(position)
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| number.checked_sub(1));
        let value = number.and_then(|number| values.get(number));
        let value =
            *value.ok_or_else(|| Error::Internal(format!("parameter {position} has no value")))?;
        statement.raw_bind_parameter(position, value)?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

struct SqliteRow<'r>(&'r rusqlite::Row<'r>);

impl Row for SqliteRow<'_> {
    fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.0.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(wrong_type(column)),
        }
    }

    fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.0.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .map(Some)
                .map_err(|_| wrong_type(column)),
            _ => Err(wrong_type(column)),
        }
    }

    fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>> {
        match self.0.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(blob) => Ok(Some(blob)),
            _ => Err(wrong_type(column)),
        }
    }
}

fn wrong_type(column: usize) -> Error {
    Error::Corrupt(format!("a value of the wrong type in column {column}"))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        let text = error.to_string();
        let rusqlite::Error::SqliteFailure(failure, _) = error else {
            return Error::Internal(text);
        };
        match failure.code {
            ErrorCode::DiskFull => Error::Full,
            // The shared-memory index could not grow, which on a full disk (or tmpfs) is how "full" shows first.
            ErrorCode::SystemIoFailure
                if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
            {
                Error::Full
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                Error::Busy("the database is locked")
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt(text),
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory => Error::Io(text),
            _ => Error::Internal(text),
        }
    }
}
