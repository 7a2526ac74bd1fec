//! What must hold between rows. Each function is one rule.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::Problems;
use super::repair::Fix;
use crate::engine::values;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::types::*;

/// Applies all rules to one picture.
pub(super) fn rows(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    strangers(snapshot, problems)?;
    directory(snapshot, problems)?;
    entries_without_mailbox(snapshot, problems)?;
    entries_without_content(snapshot, problems)?;
    entry_values(snapshot, problems)?;
    keywords(snapshot, problems)?;
    message_references(snapshot, problems)?;
    body_references(snapshot, problems)?;
    mailbox_counts(snapshot, problems)?;
    account_counts(snapshot, problems)?;
    search_index(snapshot, problems)?;
    super::queue::rows(snapshot, problems)
}

/// The search index is readable and nothing in it overlaps.
fn search_index(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    for (account, key) in crate::search::damaged(snapshot)? {
        problems.add(
            Fix::Search(account, key),
            format!(
                "a piece of the search index of {} is damaged (segment {}); searching takes longer until it is made anew",
                name(snapshot, account)?,
                key.0
            ),
        );
    }
    Ok(())
}

/// Rows of accounts that there are not.
fn strangers(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    for table in [
        "account_state",
        "app_password",
        "mailbox",
        "keyword",
        "subscription",
        "message",
        "entry",
        "expunged",
        "search_segment",
        "search_signature",
        "search_dead",
        "acl",
        "seen",
        "quota_limit",
        "thread_key",
        "annotation",
        "message_annotation",
        "url_key",
        "pop3_uid",
        "pop3_retrieved",
        "account_option",
        "account_sent",
        "account_known",
        "account_allowance",
    ] {
        let sql = format!(
            "SELECT account_id, COUNT(*) FROM {table} WHERE account_id NOT IN (SELECT account_id FROM account) GROUP BY account_id"
        );
        for (account, count) in snapshot
            .sql
            .rows(&sql, &[], |row| Ok((row.int(0)?, row.int(1)?)))?
        {
            problems.add(
                Fix::None,
                format!(
                    "{count} rows in {table} belong to account {account}, which does not exist"
                ),
            );
        }
    }
    Ok(())
}

/// Accounts and aliases have their domain, accounts their counters and INBOX, aliases their targets.
fn directory(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    for table in ["account", "alias"] {
        let sql = format!(
            "SELECT address FROM {table} WHERE domain_id NOT IN (SELECT domain_id FROM domain)"
        );
        for address in snapshot
            .sql
            .rows(&sql, &[], |row| Ok(row.text(0)?.to_owned()))?
        {
            problems.add(
                Fix::None,
                format!("{table} {address} is in a domain that does not exist"),
            );
        }
    }
    let keys =
        "SELECT selector FROM dkim_key WHERE domain_id NOT IN (SELECT domain_id FROM domain)";
    for selector in snapshot
        .sql
        .rows(keys, &[], |row| Ok(row.text(0)?.to_owned()))?
    {
        problems.add(
            Fix::None,
            format!("the DKIM key {selector} is of a domain that does not exist"),
        );
    }
    let rows =
        "SELECT COUNT(*) FROM report_row WHERE report_id NOT IN (SELECT report_id FROM report)";
    let lost = snapshot.sql.number(rows, &[])?;
    if lost > 0 {
        problems.add(
            Fix::None,
            format!("{lost} rows belong to reports that do not exist"),
        );
    }
    let doubled = "SELECT domain_id, algorithm FROM dkim_key WHERE state = 1 GROUP BY domain_id, algorithm HAVING COUNT(*) > 1";
    for (domain, algorithm) in snapshot.sql.rows(doubled, &[], |row| {
        Ok((row.int(0)?, row.text(1)?.to_owned()))
    })? {
        problems.add(
            Fix::None,
            format!("domain {domain} has two active DKIM keys for {algorithm}"),
        );
    }
    let sql = "SELECT account_id, address FROM account WHERE account_id NOT IN (SELECT account_id FROM account_state)";
    for (account, address) in snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), row.text(1)?.to_owned()))
    })? {
        problems.add(
            Fix::Counters(account),
            format!("the counters of {address} are missing"),
        );
    }
    let sql = "SELECT account_id, address FROM account a WHERE NOT EXISTS \
               (SELECT 1 FROM mailbox m WHERE m.account_id = a.account_id AND m.name = 'INBOX')";
    for (account, address) in snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), row.text(1)?.to_owned()))
    })? {
        problems.add(Fix::Inbox(account), format!("{address} has no INBOX"));
    }
    let sql = "SELECT address FROM alias WHERE alias_id NOT IN (SELECT alias_id FROM alias_target)";
    for address in snapshot
        .sql
        .rows(sql, &[], |row| Ok(row.text(0)?.to_owned()))?
    {
        problems.add(Fix::None, format!("alias {address} has no target"));
    }
    Ok(())
}

fn entries_without_mailbox(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT account_id, mailbox_id, COUNT(*) FROM entry e WHERE NOT EXISTS (SELECT 1 FROM mailbox m \
               WHERE m.account_id = e.account_id AND m.mailbox_id = e.mailbox_id) GROUP BY account_id, mailbox_id";
    let found = snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), MailboxId(row.int(1)?), row.int(2)?))
    })?;
    for (account, mailbox, count) in found {
        let name = name(snapshot, account)?;
        problems.add(
            Fix::Mailbox(account, mailbox),
            format!("{count} messages of {name} are in a mailbox that does not exist"),
        );
    }
    Ok(())
}

fn entries_without_content(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT account_id, mailbox_id, uid FROM entry e WHERE NOT EXISTS (SELECT 1 FROM message m \
               WHERE m.account_id = e.account_id AND m.message_id = e.message_id)";
    let found = snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), MailboxId(row.int(1)?), row.u32(2)?))
    })?;
    for (account, mailbox, uid) in found {
        let place = place(snapshot, account, mailbox)?;
        problems.add(
            Fix::Entry(account, mailbox, uid),
            format!("message {uid} in {place} has no content"),
        );
    }
    Ok(())
}

/// Flags are known ones, sizes those of the content, UIDs below the next.
fn entry_values(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT account_id, mailbox_id, uid, flags FROM entry WHERE flags < 0 OR flags > 31";
    let found = snapshot.sql.rows(sql, &[], |row| {
        Ok((
            AccountId(row.int(0)?),
            MailboxId(row.int(1)?),
            row.u32(2)?,
            row.int(3)?,
        ))
    })?;
    for (account, mailbox, uid, flags) in found {
        let place = place(snapshot, account, mailbox)?;
        problems.add(
            Fix::Flags(account, mailbox, uid),
            format!("message {uid} in {place} has impossible flags {flags}"),
        );
    }
    let sql = "SELECT e.account_id, e.mailbox_id, e.uid, e.size, b.size FROM entry e \
               JOIN message m ON m.account_id = e.account_id AND m.message_id = e.message_id \
               JOIN body b ON b.body_id = m.body_id WHERE e.size <> b.size";
    let found = snapshot.sql.rows(sql, &[], |row| {
        Ok((
            AccountId(row.int(0)?),
            MailboxId(row.int(1)?),
            row.u32(2)?,
            row.int(3)?,
            row.uint(4)?,
        ))
    })?;
    for (account, mailbox, uid, said, size) in found {
        let place = place(snapshot, account, mailbox)?;
        let text =
            format!("message {uid} in {place} is said to have {said} octets, and has {size}");
        problems.add(Fix::Size(account, mailbox, uid, size), text);
    }
    let sql = "SELECT account_id, mailbox_id, COUNT(*) FROM entry WHERE uid < 1 OR uid > 4294967294 GROUP BY account_id, mailbox_id";
    for (account, mailbox, count) in snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), MailboxId(row.int(1)?), row.int(2)?))
    })? {
        problems.add(
            Fix::None,
            format!(
                "{count} messages in {} have impossible UIDs",
                place(snapshot, account, mailbox)?
            ),
        );
    }
    Ok(())
}

/// Every keyword bit of an entry has a name.
fn keywords(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let mut named: HashMap<(i64, i64), u64> = HashMap::new();
    snapshot.sql.query(
        "SELECT account_id, mailbox_id, bit FROM keyword",
        &[],
        &mut |row| {
            let bit = u32::try_from(row.int(2)?)
                .ok()
                .and_then(|bit| 1u64.checked_shl(bit));
            *named.entry((row.int(0)?, row.int(1)?)).or_default() |= bit.unwrap_or(0);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    let mut found = Vec::new();
    let sql = "SELECT account_id, mailbox_id, uid, keywords FROM entry WHERE keywords <> 0";
    snapshot.sql.query(sql, &[], &mut |row| {
        let known = named.get(&(row.int(0)?, row.int(1)?)).copied().unwrap_or(0);
        if row.int(3)? as u64 & !known != 0 {
            found.push((
                AccountId(row.int(0)?),
                MailboxId(row.int(1)?),
                row.u32(2)?,
                known,
            ));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (account, mailbox, uid, known) in found {
        let place = place(snapshot, account, mailbox)?;
        problems.add(
            Fix::Keywords(account, mailbox, uid, known),
            format!("message {uid} in {place} has a keyword without a name"),
        );
    }
    Ok(())
}

fn message_references(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT m.account_id, m.message_id, m.refs, COALESCE(e.n, 0) FROM message m LEFT JOIN \
               (SELECT account_id, message_id, COUNT(*) AS n FROM entry GROUP BY account_id, message_id) e \
               ON e.account_id = m.account_id AND e.message_id = m.message_id WHERE m.refs <> COALESCE(e.n, 0)";
    let found = snapshot.sql.rows(sql, &[], |row| {
        Ok((
            AccountId(row.int(0)?),
            MessageId(row.int(1)?),
            row.int(2)?,
            row.int(3)?,
        ))
    })?;
    for (account, message, said, counted) in found {
        let name = name(snapshot, account)?;
        let text = format!(
            "message {} of {name} is said to be in {said} places, and is in {counted}",
            message.0
        );
        problems.add(Fix::MessageReferences(account, message, counted), text);
    }
    Ok(())
}

fn body_references(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT DISTINCT body_id FROM message m WHERE NOT EXISTS (SELECT 1 FROM body b WHERE b.body_id = m.body_id)";
    for body in snapshot.sql.rows(sql, &[], |row| Ok(BodyId(row.int(0)?)))? {
        problems.add(
            Fix::Body(body),
            format!("the octets of body {} are recorded nowhere", body.0),
        );
    }
    let sql = "SELECT b.body_id, b.refs, COALESCE(m.n, 0) + COALESCE(q.n, 0) FROM body b LEFT JOIN \
               (SELECT body_id, COUNT(*) AS n FROM message GROUP BY body_id) m ON m.body_id = b.body_id LEFT JOIN \
               (SELECT body_id, COUNT(*) AS n FROM queue_message GROUP BY body_id) q ON q.body_id = b.body_id \
               WHERE b.refs <> COALESCE(m.n, 0) + COALESCE(q.n, 0)";
    for (body, said, counted) in snapshot.sql.rows(sql, &[], |row| {
        Ok((BodyId(row.int(0)?), row.int(1)?, row.int(2)?))
    })? {
        let text = format!(
            "body {} is said to be used {said} times, and is used {counted} times",
            body.0
        );
        problems.add(Fix::BodyReferences(body, counted), text);
    }
    Ok(())
}

fn mailbox_counts(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT m.account_id, m.mailbox_id FROM mailbox m LEFT JOIN \
               (SELECT account_id, mailbox_id, COUNT(*) AS n, SUM(1 - (flags & 1)) AS unseen, SUM((flags & 8) / 8) AS deleted, \
               SUM(size) AS size, MAX(uid) AS uid, MAX(modseq) AS modseq FROM entry GROUP BY account_id, mailbox_id) e \
               ON e.account_id = m.account_id AND e.mailbox_id = m.mailbox_id \
               WHERE m.messages <> COALESCE(e.n, 0) OR m.unseen <> COALESCE(e.unseen, 0) \
               OR m.deleted <> COALESCE(e.deleted, 0) OR m.size <> COALESCE(e.size, 0) \
               OR m.uid_next <= COALESCE(e.uid, 0) OR m.highest_modseq < COALESCE(e.modseq, 0)";
    for (account, mailbox) in snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), MailboxId(row.int(1)?)))
    })? {
        let place = place(snapshot, account, mailbox)?;
        problems.add(
            Fix::MailboxCounts(account, mailbox),
            format!("the counts of {place} are not those of its messages"),
        );
    }
    let sql = "SELECT account_id, uid_validity FROM mailbox GROUP BY account_id, uid_validity HAVING COUNT(*) > 1 OR uid_validity < 1";
    for (account, validity) in snapshot
        .sql
        .rows(sql, &[], |row| Ok((AccountId(row.int(0)?), row.int(1)?)))?
    {
        problems.add(
            Fix::None,
            format!(
                "UIDVALIDITY {validity} of {} is given twice or impossible",
                name(snapshot, account)?
            ),
        );
    }
    Ok(())
}

fn account_counts(snapshot: &Snapshot<'_>, problems: &mut Problems) -> Result<()> {
    let sql = "SELECT s.account_id, s.usage, COALESCE(m.size, 0) FROM account_state s LEFT JOIN \
               (SELECT account_id, SUM(size) AS size, SUM(messages) AS messages, MAX(highest_modseq) AS modseq, \
               MAX(uid_validity) AS validity, MAX(mailbox_id) AS id FROM mailbox GROUP BY account_id) m \
               ON m.account_id = s.account_id LEFT JOIN \
               (SELECT account_id, MAX(message_id) - account_id * 68719476736 AS number FROM message GROUP BY account_id) c \
               ON c.account_id = s.account_id LEFT JOIN \
               (SELECT CASE WHEN reader = 0 THEN account_id ELSE reader END AS payer, SUM(LENGTH(value)) AS octets \
               FROM message_annotation GROUP BY payer) a ON a.payer = s.account_id \
               WHERE s.annotations <> COALESCE(a.octets, 0) OR s.usage <> COALESCE(m.size, 0) OR s.messages <> COALESCE(m.messages, 0) \
               OR s.modseq < COALESCE(m.modseq, 0) OR s.last_uid_validity < COALESCE(m.validity, 0) \
               OR s.last_mailbox < COALESCE(m.id, 0) OR s.last_message < COALESCE(c.number, 0)";
    for (account, said, counted) in snapshot.sql.rows(sql, &[], |row| {
        Ok((AccountId(row.int(0)?), row.int(1)?, row.int(2)?))
    })? {
        let name = name(snapshot, account)?;
        let text = format!(
            "the counters of {name} are wrong (it is said to use {said} octets; its mailboxes say {counted})"
        );
        problems.add(Fix::AccountCounts(account), text);
    }
    Ok(())
}

pub(super) fn name(snapshot: &Snapshot<'_>, account: AccountId) -> Result<String> {
    let sql = "SELECT address FROM account WHERE account_id = $1";
    let found = snapshot
        .sql
        .row(sql, values![account], |row| Ok(row.text(0)?.to_owned()))?;
    Ok(found.unwrap_or_else(|| format!("account {}", account.0)))
}

fn place(snapshot: &Snapshot<'_>, account: AccountId, mailbox: MailboxId) -> Result<String> {
    let sql = "SELECT name FROM mailbox WHERE account_id = $1 AND mailbox_id = $2";
    let found = snapshot.sql.row(sql, values![account, mailbox], |row| {
        Ok(row.text(0)?.to_owned())
    })?;
    let mailbox = found.unwrap_or_else(|| format!("mailbox {}", mailbox.0));
    Ok(format!("{mailbox} of {}", name(snapshot, account)?))
}
