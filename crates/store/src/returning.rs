//! Going back to a copy: a restored backup, or the snapshot from before a migration.
//!
//! Clients may have seen what came after the copy was taken. If the store just went on counting, a new message would get a UID
//! that a client already knows as another (RFC 9051 §2.3.1.1 forbids it), and a client that asks for changes since a modseq of
//! that time would not hear that flags are again what they were. So each copy carries a mark, and the first start on it
//! leaves a gap in all that is counted and gives every entry a new modseq. Mail and folders stay as they are; clients keep
//! their caches and ask for flags once.

use std::path::Path;

use crate::engine::sqlite::{Connection, Role};
use crate::engine::{Sql, values};
use crate::error::Result;

/// The setting that marks a copy.
const MARK: &str = "store/copy";
/// More messages, mailboxes or changes than can have come between the copy and the return to it.
const GAP: i64 = 1_000_000;
/// No gap above this UIDNEXT: such a mailbox has had four thousand million messages, and must not run out of UIDs.
const UID_LIMIT: i64 = 4_000_000_000;

/// Writes a copy of the database to a new file and marks it. The caller syncs and names it. What an attempt that was cut off
/// left is removed first; above all its log, which must not be taken for the new file's.
pub(crate) fn copy(database: &Connection, path: &Path) -> Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    database.copy_to(path)?;
    let copy = Connection::open(path, Role::Writer)?;
    copy.begin_write()?;
    let sql = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    copy.execute(sql, values![MARK, [].as_slice()])?;
    copy.commit()?;
    copy.checkpoint(true).map(|_| ())
}

/// At the start, after the migrations: leaves the gaps if this is a copy.
pub(crate) fn settle(database: &Connection) -> Result<()> {
    let sql: &dyn Sql = database;
    if sql.number(
        "SELECT COUNT(*) FROM setting WHERE name = $1",
        values![MARK],
    )? == 0
    {
        return Ok(());
    }
    tracing::info!("this is a copy that was gone back to: UIDs and modseqs go on behind a gap");
    database.begin_write()?;
    let done = leave_gaps(sql).and_then(|()| database.commit());
    if done.is_err() {
        database.rollback()?;
    }
    done
}

fn leave_gaps(sql: &dyn Sql) -> Result<()> {
    sql.execute(
        "UPDATE account_state SET modseq = modseq + $1, last_mailbox = last_mailbox + $1, last_message = last_message + $1, \
         last_uid_validity = last_uid_validity + $1, last_app_password = last_app_password + $1",
        values![GAP],
    )?;
    for table in ["mailbox", "entry"] {
        let column = if table == "mailbox" {
            "highest_modseq"
        } else {
            "modseq"
        };
        let sql_ = format!(
            "UPDATE {table} SET {column} = (SELECT s.modseq FROM account_state s WHERE s.account_id = {table}.account_id)"
        );
        sql.execute(&sql_, &[])?;
    }
    let uids = "UPDATE mailbox SET uid_next = uid_next + $1 WHERE uid_next < $2";
    sql.execute(uids, values![GAP, UID_LIMIT])?;
    sql.execute("UPDATE counter SET value = value + $1", values![GAP])?;
    // What was queued then may have been delivered since. Nobody wants it twice, weeks later: its owner decides.
    let held = sql.execute(
        "UPDATE queue_recipient SET state = 2, wanted = 0, owner = NULL, due = $1",
        values![i64::MAX],
    )?;
    if held > 0 {
        tracing::warn!(
            recipients = held,
            "the queue of the copy is held, since it may have been sent meanwhile: see waxwing queue list, release and remove"
        );
    }
    sql.execute("DELETE FROM setting WHERE name = $1", values![MARK])?;
    Ok(())
}
