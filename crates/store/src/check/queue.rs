//! What must hold of the queue, and how it is mended.

use super::Problems;
use super::repair::Fix;
use crate::engine::values;
use crate::error::Result;
use crate::queue::QueueId;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::BodyId;

/// How a problem of the queue is mended.
#[derive(Clone, Copy)]
pub(crate) enum QueueFix {
    /// A message that nobody waits for goes, and its hold on the body.
    Finished(QueueId),
    /// Recipients without a message go: there is nothing to send them.
    Strays(QueueId),
    /// What recipients repeat of their message is repeated again; impossible states become waiting.
    Repeated(QueueId),
}

/// Applies all rules to one picture.
pub(super) fn rows(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let id = |sql: &str| snapshot.sql.rows(sql, &[], |row| Ok(QueueId(row.int(0)?)));
    let sql = "SELECT body_id FROM queue_message m WHERE NOT EXISTS (SELECT 1 FROM body b WHERE b.body_id = m.body_id)";
    for body in snapshot.sql.rows(sql, &[], |row| Ok(BodyId(row.int(0)?)))? {
        problems.add(
            Fix::Body(body),
            format!(
                "the octets of body {}, which is queued, are recorded nowhere",
                body.0
            ),
        );
    }
    for queue in id(
        "SELECT queue_id FROM queue_message WHERE queue_id NOT IN (SELECT queue_id FROM queue_recipient)",
    )? {
        problems.add(
            Fix::Queue(QueueFix::Finished(queue)),
            format!(
                "queued message {} has no recipient left and is still there",
                queue.0
            ),
        );
    }
    for queue in id(
        "SELECT DISTINCT queue_id FROM queue_recipient WHERE queue_id NOT IN (SELECT queue_id FROM queue_message)",
    )? {
        problems.add(
            Fix::Queue(QueueFix::Strays(queue)),
            format!("queued recipients of message {} have no message", queue.0),
        );
    }
    for queue in id(
        "SELECT DISTINCT m.queue_id FROM queue_recipient r JOIN queue_message m ON m.queue_id = r.queue_id \
         WHERE r.lane <> -m.priority OR r.sender <> COALESCE(m.submitter, 0) OR r.state NOT IN (0, 1, 2) \
         OR r.wanted NOT IN (0, 1, 2) OR (r.state = 1) <> (r.owner IS NOT NULL) OR r.domain = '' \
         OR m.submitter IS NOT NULL AND m.submitter NOT IN (SELECT account_id FROM account)",
    )? {
        problems.add(
            Fix::Queue(QueueFix::Repeated(queue)),
            format!(
                "the recipients of queued message {} contradict it or themselves",
                queue.0
            ),
        );
    }
    let last = "SELECT COUNT(*) FROM queue_message WHERE queue_id > (SELECT value FROM counter WHERE name = 'queue')";
    if snapshot.sql.number(last, &[])? > 0 {
        problems.add(
            Fix::None,
            "there are queued messages above the counter of the queue",
        );
    }
    Ok(())
}

/// Mends one problem; looks again before it acts.
pub(super) fn mend(tx: &mut Tx<'_>, fix: QueueFix) -> Result<()> {
    match fix {
        QueueFix::Finished(queue) => tx.drop_when_done(queue),
        QueueFix::Strays(queue) => {
            let sql = "DELETE FROM queue_recipient WHERE queue_id = $1 \
                       AND queue_id NOT IN (SELECT queue_id FROM queue_message)";
            tx.sql.execute(sql, values![queue]).map(drop)
        }
        QueueFix::Repeated(queue) => {
            let orphaned = "UPDATE queue_message SET submitter = NULL WHERE queue_id = $1 \
                            AND submitter NOT IN (SELECT account_id FROM account)";
            tx.sql.execute(orphaned, values![queue])?;
            let impossible = "UPDATE queue_recipient SET state = 0, wanted = 0, owner = NULL, due = $2, \
                              domain = CASE domain WHEN '' THEN 'invalid' ELSE domain END WHERE queue_id = $1 AND \
                              (state NOT IN (0, 1, 2) OR wanted NOT IN (0, 1, 2) OR (state = 1) <> (owner IS NOT NULL) OR domain = '')";
            tx.sql.execute(impossible, values![queue, tx.now])?;
            let repeated = "UPDATE queue_recipient SET \
                            lane = (SELECT -m.priority FROM queue_message m WHERE m.queue_id = $1), \
                            sender = (SELECT COALESCE(m.submitter, 0) FROM queue_message m WHERE m.queue_id = $1) \
                            WHERE queue_id = $1 AND EXISTS (SELECT 1 FROM queue_message m WHERE m.queue_id = $1)";
            tx.sql.execute(repeated, values![queue]).map(drop)
        }
    }
}
