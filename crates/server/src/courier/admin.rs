//! What an administrator can ask about the queue. Blocks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    Allowance, Error, LastAttempt, LoggedAttempt, QueueChange, QueueFilter, QueueId, QueueItem,
    QueueSums, Result, Store,
};

use crate::manage::Answer;

/// Recipients changed in one write: enough to be quick, few enough for other writers.
const AT_ONCE: usize = 500;

/// Destinations and senders that are summed up.
const SUMS: usize = 1_000;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "queue", rename_all = "kebab-case")]
pub enum Request {
    /// Messages that wait.
    List {
        /// Which.
        filter: Filter,
        /// Behind this one.
        after: i64,
        /// At most as many.
        limit: usize,
    },
    /// One message with all that was tried, also when it has left the queue.
    Show {
        /// Which.
        id: i64,
    },
    /// Tries at once, holds, releases or removes.
    Change {
        /// What.
        what: Change,
        /// Which.
        filter: Filter,
    },
    /// Sums.
    Stats,
    /// Limits of an account and what it sent; sets them where `set` says so.
    Limits {
        /// Whose.
        address: String,
        /// The new ones.
        set: Option<Limits>,
    },
}

/// Which recipients; nothing is all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Of this message.
    pub id: Option<i64>,
    /// At this destination.
    pub domain: Option<String>,
    /// From this sender.
    pub sender: Option<String>,
}

/// What is done to recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Tried at once.
    Retry,
    /// Held.
    Hold,
    /// Released.
    Release,
    /// Taken out.
    Remove,
}

/// Limits of an account that differ from the installation's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Messages a day; 0 is unlimited.
    pub messages: Option<u64>,
    /// Strangers a day; likewise.
    pub strangers: Option<u64>,
}

impl Request {
    /// What the log says of it.
    pub fn describe(&self) -> Option<String> {
        match self {
            Request::Change { what, filter } => Some(format!("queue {what:?} {filter:?}")),
            Request::Limits {
                address,
                set: Some(limits),
            } => Some(format!("account sending {address} {limits:?}")),
            _ => None,
        }
    }
}

impl Filter {
    fn of_store(&self) -> QueueFilter {
        QueueFilter {
            message: self.id.map(QueueId),
            domain: self.domain.as_ref().map(|domain| {
                idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_ascii_lowercase())
            }),
            sender: self.sender.clone(),
        }
    }
}

/// Does what is asked.
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    match request {
        Request::List {
            filter,
            after,
            limit,
        } => {
            let items = store
                .read(|snapshot| snapshot.queue_list(&filter.of_store(), QueueId(after), limit))?;
            Ok(Value::Array(items.iter().map(item).collect()).into())
        }
        Request::Show { id } => show(store, QueueId(id)),
        Request::Change { what, filter } => change(store, what, &filter),
        Request::Stats => stats(store),
        Request::Limits { address, set } => limits(store, &address, set),
    }
}

fn show(store: &Store, id: QueueId) -> Result<Answer> {
    let filter = QueueFilter {
        message: Some(id),
        ..QueueFilter::default()
    };
    let (items, attempts) = store.read(|snapshot| {
        Ok((
            snapshot.queue_list(&filter, QueueId(0), 1)?,
            snapshot.queue_attempts(id)?,
        ))
    })?;
    if items.is_empty() && attempts.is_empty() {
        return Err(Error::NotFound("queued message"));
    }
    let mut value = items.first().map_or_else(|| json!({"id": id.0}), item);
    if let Some(fields) = value.as_object_mut() {
        let list = attempts.iter().map(attempt).collect();
        fields.insert("attempts".to_owned(), Value::Array(list));
        fields.insert("queued".to_owned(), Value::Bool(!items.is_empty()));
    }
    Ok(value.into())
}

fn change(store: &Store, what: Change, filter: &Filter) -> Result<Answer> {
    let what = match what {
        Change::Retry => QueueChange::Retry,
        Change::Hold => QueueChange::Hold,
        Change::Release => QueueChange::Release,
        Change::Remove => QueueChange::Remove,
    };
    let filter = filter.of_store();
    let (mut changed, mut after) = (0_u64, None);
    loop {
        let filter = filter.clone();
        let (some, next) = store.write(move |tx| tx.change_queue(&filter, what, after, AT_ONCE))?;
        changed = changed.saturating_add(some);
        after = next;
        if after.is_none() {
            return Ok(json!({ "recipients": changed }).into());
        }
    }
}

fn stats(store: &Store) -> Result<Answer> {
    store.read(|snapshot| {
        let (messages, recipients) = snapshot.queue_length()?;
        let sums = |list: Vec<QueueSums>| -> Vec<Value> { list.iter().map(sum).collect() };
        Ok(json!({
            "messages": messages,
            "recipients": recipients,
            "domains": sums(snapshot.queue_by_domain(SUMS)?),
            "senders": sums(snapshot.queue_by_sender(SUMS)?),
        })
        .into())
    })
}

fn limits(store: &Store, address: &str, set: Option<Limits>) -> Result<Answer> {
    let account = store
        .read(|snapshot| snapshot.account(address))?
        .ok_or(Error::NotFound("account"))?
        .id;
    if let Some(limits) = set {
        let allowance = Allowance {
            messages: limits.messages,
            strangers: limits.strangers,
        };
        store.write(move |tx| tx.set_allowance(account, allowance))?;
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    store.read(|snapshot| {
        let (own, sent) = (snapshot.allowance(account)?, snapshot.sent(account, now)?);
        Ok(json!({
            "messages": own.messages,
            "strangers": own.strangers,
            "messages_sent": sent.messages,
            "strangers_sent": sent.strangers,
        })
        .into())
    })
}

fn item(item: &QueueItem) -> Value {
    let envelope = &item.envelope;
    let recipients: Vec<Value> = item
        .recipients
        .iter()
        .map(|recipient| {
            json!({
                "address": recipient.address,
                "domain": recipient.domain,
                "state": recipient.state.name(),
                "due": recipient.due,
                "attempts": recipient.attempts,
                "last": recipient.last.as_ref().map(last),
            })
        })
        .collect();
    json!({
        "id": item.id.0,
        "trace_id": envelope.trace_id,
        "from": envelope.reverse_path,
        "account": item.submitter,
        "size": item.size,
        "received": envelope.received,
        "release_at": envelope.release_at,
        "expires": envelope.expires,
        "priority": envelope.priority,
        "recipients": recipients,
    })
}

fn last(last: &LastAttempt) -> Value {
    json!({"at": last.at, "status": last.status, "why": last.why, "peer": last.peer})
}

/// An attempt as `queue show` and `explain` tell it.
pub fn attempt(attempt: &LoggedAttempt) -> Value {
    let record = &attempt.record;
    json!({
        "queue": attempt.queue.0,
        "recipient": attempt.recipient,
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

fn sum(sums: &QueueSums) -> Value {
    json!({
        "name": sums.name,
        "waiting": sums.waiting,
        "sending": sums.sending,
        "held": sums.held,
        "oldest": sums.oldest,
    })
}
