//! The schema and its migrations: numbered, forward, each behind a snapshot of the database, so that an upgrade can be undone.
//!
//! Each migration is one transaction together with the new version number: a crash leaves the old or the new schema, never a
//! mixture, and opening again goes on from there.

use std::fs::File;
use std::path::Path;

use crate::engine::sqlite::Connection;
use crate::engine::{Sql, values};
use crate::error::{Error, Result};
use crate::returning;
use crate::types::Timestamp;

/// All migrations; the position is the version they start from.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
];

/// Brings the database to the newest version. Snapshots go to `snapshots`.
pub(crate) fn migrate(
    connection: &Connection,
    migrations: &[&str],
    snapshots: &Path,
    now: Timestamp,
) -> Result<()> {
    connection.script("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let newest = migrations.len() as i64;
    // A store that is being made has nothing to go back to.
    let new = version(connection)? == 0;
    loop {
        let version = version(connection)?;
        if version > newest {
            return Err(Error::TooNew(format!(
                "the data folder has version {version}, this program knows versions up to {newest}: use a newer program, \
                 or put back the snapshot that was taken before the upgrade"
            )));
        }
        let Some(sql) = usize::try_from(version)
            .ok()
            .and_then(|v| migrations.get(v))
        else {
            return Ok(());
        };
        if !new {
            snapshot(connection, snapshots, version, now)?;
        }
        connection.begin_write()?;
        let done = step(connection, sql, version).and_then(|()| connection.commit());
        if let Err(error) = done {
            connection.rollback()?;
            return Err(error);
        }
        tracing::info!(from = version, to = version + 1, "database migrated");
    }
}

/// The version of the database; 0 is empty.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    let sql: &dyn Sql = connection;
    sql.number("SELECT MAX(version) FROM schema_version", &[])
}

/// When a snapshot with this file name was taken.
pub(crate) fn snapshot_time(name: &str) -> Option<Timestamp> {
    let (_, time) = name
        .strip_suffix(".db")?
        .strip_prefix("waxwing-version-")?
        .split_once("-at-")?;
    time.parse().ok()
}

fn step(connection: &Connection, sql: &str, version: i64) -> Result<()> {
    connection.script(&render(sql))?;
    connection.execute("DELETE FROM schema_version", &[])?;
    connection.execute(
        "INSERT INTO schema_version (version) VALUES ($1)",
        values![version + 1],
    )?;
    Ok(())
}

/// Fills in what SQLite spells its own way.
fn render(sql: &str) -> String {
    let mut sql = sql
        .replace("{blob}", "BLOB")
        .replace("{clustered}", "WITHOUT ROWID")
        .replace("{rowkey}", "INTEGER PRIMARY KEY");
    while let Some(start) = sql.find("{rowkey_end(") {
        let end = sql[start..].find('}').map_or(sql.len(), |i| start + i + 1);
        sql.replace_range(start..end, "");
    }
    sql
}

/// A durable copy of the database before it changes its version. It has its final name only when it is whole.
///
/// The time in the name keeps an earlier one: somebody may have gone back to it, worked on, and now upgrades again.
fn snapshot(connection: &Connection, folder: &Path, version: i64, now: Timestamp) -> Result<()> {
    let name = folder.join(format!("waxwing-version-{version}-at-{now}.db"));
    let partial = name.with_extension("partial");
    returning::copy(connection, &partial)?;
    File::open(&partial)?.sync_all()?;
    std::fs::rename(&partial, &name)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sqlite::Role;

    const FIRST: &str = "CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value {blob} NOT NULL) {clustered}; CREATE TABLE a (x BIGINT NOT NULL); INSERT INTO a (x) VALUES (7)";
    const SECOND: &str = "CREATE TABLE b (y {blob}) ; UPDATE a SET x = x + 1";

    #[test]
    fn each_migration_runs_once_behind_a_snapshot_that_can_be_gone_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(&folder.path().join("db"), Role::Writer).unwrap();
        migrate(&connection, &[FIRST], folder.path(), 100).unwrap();
        migrate(&connection, &[FIRST, SECOND], folder.path(), 200).unwrap();
        migrate(&connection, &[FIRST, SECOND], folder.path(), 300).unwrap();
        let sql: &dyn Sql = &connection;
        assert_eq!(
            (
                version(&connection).unwrap(),
                sql.number("SELECT x FROM a", &[]).unwrap()
            ),
            (2, 8)
        );
        assert_eq!(snapshot_time("waxwing-version-1-at-200.db"), Some(200));
        let old = Connection::open(
            &folder.path().join("waxwing-version-1-at-200.db"),
            Role::Writer,
        )
        .unwrap();
        let sql: &dyn Sql = &old;
        assert_eq!(
            (
                version(&old).unwrap(),
                sql.number("SELECT x FROM a", &[]).unwrap()
            ),
            (1, 7)
        );
    }

    #[test]
    fn a_migration_that_fails_changes_nothing_and_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(&folder.path().join("db"), Role::Writer).unwrap();
        migrate(&connection, &[FIRST], folder.path(), 100).unwrap();
        let broken = "UPDATE a SET x = 99; CREATE TABLE a (x BIGINT)";
        assert!(migrate(&connection, &[FIRST, broken], folder.path(), 200).is_err());
        let sql: &dyn Sql = &connection;
        assert_eq!(
            (
                version(&connection).unwrap(),
                sql.number("SELECT x FROM a", &[]).unwrap()
            ),
            (1, 7)
        );
        migrate(&connection, &[FIRST, SECOND], folder.path(), 300).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
    }
}
