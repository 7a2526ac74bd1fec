//! What an administrator asks about messages: the record, where the message is now, and what was tried to deliver it.

use serde_json::{Value, json};
use store::{AccountId, LoggedAttempt, MailboxId, Result, Snapshot, Store};

use super::record::{Place, Record};
use crate::manage::Answer;

/// Messages told about for one Message-ID: a message to a list and to oneself comes twice, and some programs send the same
/// id for ever.
const MESSAGES: u32 = 20;

/// All that is known about the messages of a trace id or a Message-ID, the newest first.
pub fn explain(store: &Store, name: &str) -> Result<Answer> {
    let name = name.trim().trim_start_matches('<').trim_end_matches('>');
    let found = store.read(|snapshot| {
        if let Some(row) = snapshot.decision(name)? {
            return Ok(vec![told(snapshot, &row.trace_id, &row.record)?]);
        }
        let mut found = Vec::new();
        for row in snapshot.decisions_of(name, MESSAGES)? {
            let is_it = |record: Record| record.message_id == name;
            if Record::from_bytes(&row.record).is_some_and(is_it) {
                found.push(told(snapshot, &row.trace_id, &row.record)?);
            }
        }
        // What this server made itself, a notification, has attempts only.
        if found.is_empty() && !snapshot.attempts_of_trace(name)?.is_empty() {
            found.push(told(snapshot, name, b"{}")?);
        }
        Ok(found)
    })?;
    Ok(Value::from(found).into())
}

fn told(snapshot: &Snapshot<'_>, trace_id: &str, record: &[u8]) -> Result<Value> {
    let places = Record::from_bytes(record).unwrap_or_default().places;
    let mut value: Value = serde_json::from_slice(record).unwrap_or_else(|_| json!({}));
    value["id"] = json!(trace_id);
    let places: Vec<Value> = places
        .iter()
        .map(|at| place(snapshot, at))
        .collect::<Result<_>>()?;
    value["places"] = places.into();
    let attempts = snapshot.attempts_of_trace(trace_id)?;
    value["attempts"] = attempts.iter().map(attempt).collect();
    Ok(value)
}

/// By names, as they are now; null for what is gone.
fn place(snapshot: &Snapshot<'_>, place: &Place) -> Result<Value> {
    let account = AccountId(place.account);
    let mailbox = snapshot.mailbox_by_id(account, MailboxId(place.mailbox))?;
    let account = snapshot.account_by_id(account)?;
    Ok(json!({
        "account": account.map(|account| account.address),
        "mailbox": mailbox.map(|mailbox| mailbox.name),
        "uid": place.uid,
    }))
}

fn attempt(logged: &LoggedAttempt) -> Value {
    let record = &logged.record;
    json!({
        "recipient": logged.recipient,
        "at": record.at,
        "peer": record.peer,
        "address": record.address,
        "tls": record.tls,
        "policy": record.policy,
        "reply": record.reply,
        "outcome": record.outcome.name(),
        "status": record.status,
        "why": record.why,
    })
}
