//! `waxwing queue`: mail that waits for other servers.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::show::{self, Column};
use super::target::Target;
use super::{Context, Result};
use crate::courier::admin::{self, Change, Filter};
use crate::manage::Request;

/// Messages asked for at a time.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what waits, the oldest first
    List {
        #[command(flatten)]
        which: Which,
        /// At most as many messages
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// Show one message and every attempt to deliver it, also after it has left the queue
    Show {
        /// The number that `queue list` gives it
        id: i64,
    },
    /// Try at once
    Retry(Chosen),
    /// Do not try until it is released
    Hold(Chosen),
    /// Go on with what was held
    Release(Chosen),
    /// Take out of the queue; nobody is told
    Remove(Chosen),
    /// How much waits, by destination and by sender
    Stats,
}

/// How much an account may send.
#[derive(Debug, Args)]
pub(super) struct Sending {
    /// The account
    address: String,
    /// Messages; 0 is unlimited
    #[arg(long)]
    messages: Option<u64>,
    /// Recipients it has never written to; 0 is unlimited
    #[arg(long)]
    strangers: Option<u64>,
    /// What the configuration says
    #[arg(long, conflicts_with_all = ["messages", "strangers"])]
    default: bool,
}

/// Which recipients.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Messages with these numbers
    id: Vec<i64>,
    /// Recipients in this domain
    #[arg(long)]
    domain: Option<String>,
    /// Messages from this address, or of the account with it
    #[arg(long)]
    sender: Option<String>,
}

/// Which recipients; all of them only when it is said.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    #[command(flatten)]
    which: Which,
    /// Everything in the queue
    #[arg(long)]
    all: bool,
}

impl Which {
    /// One filter for each number, or one for all.
    fn filters(self) -> Vec<Filter> {
        let filter = Filter {
            id: None,
            domain: self.domain,
            sender: self.sender,
        };
        if self.id.is_empty() {
            return vec![filter];
        }
        let with = |id: i64| Filter {
            id: Some(id),
            ..filter.clone()
        };
        self.id.into_iter().map(with).collect()
    }
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    match command {
        Command::List { which, limit } => list(&mut target, which, limit, context.json),
        Command::Show { id } => {
            let answer = target.ask(&Request::Queue(admin::Request::Show { id }))?;
            match context.json {
                true => say!("{:#}", answer.value),
                false => tell(&answer.value),
            }
            Ok(())
        }
        Command::Retry(chosen) => change(&mut target, Change::Retry, chosen, context.json),
        Command::Hold(chosen) => change(&mut target, Change::Hold, chosen, context.json),
        Command::Release(chosen) => change(&mut target, Change::Release, chosen, context.json),
        Command::Remove(chosen) => change(&mut target, Change::Remove, chosen, context.json),
        Command::Stats => {
            let answer = target.ask(&Request::Queue(admin::Request::Stats))?;
            stats(&answer.value, context.json);
            Ok(())
        }
    }
}

/// Shows, and sets where it is said, what an account may send.
pub(super) fn sending(target: &mut Target, sending: Sending, json: bool) -> Result {
    let ask = |target: &mut Target, set| {
        target.ask(&Request::Queue(admin::Request::Limits {
            address: sending.address.clone(),
            set,
        }))
    };
    let mut shown = ask(target, None)?.value;
    if sending.default || sending.messages.is_some() || sending.strangers.is_some() {
        // What is not named stays as it is.
        let own = |key: &str| {
            shown
                .get(key)
                .and_then(Value::as_u64)
                .filter(|_| !sending.default)
        };
        let limits = admin::Limits {
            messages: sending.messages.or(own("messages")),
            strangers: sending.strangers.or(own("strangers")),
        };
        shown = ask(target, Some(limits))?.value;
    }
    if json {
        say!("{shown:#}");
        return Ok(());
    }
    for (what, key) in [("messages", "messages"), ("new recipients", "strangers")] {
        let limit = match shown.get(key).and_then(Value::as_u64) {
            None => "as configured".to_owned(),
            Some(0) => "unlimited".to_owned(),
            Some(limit) => format!("at most {limit}"),
        };
        let sent = shown.get(format!("{key}_sent")).and_then(Value::as_u64);
        say!(
            "{what}: {} in the last 24 hours, {limit}",
            sent.unwrap_or(0)
        );
    }
    Ok(())
}

fn change(target: &mut Target, what: Change, chosen: Chosen, json: bool) -> Result {
    let which = &chosen.which;
    let none = which.id.is_empty() && which.domain.is_none() && which.sender.is_none();
    if none && !chosen.all {
        return Err("say which: numbers of messages, --domain, --sender, or --all".into());
    }
    let mut recipients = 0_u64;
    for filter in chosen.which.filters() {
        let request = admin::Request::Change { what, filter };
        let answer = target.ask(&Request::Queue(request))?;
        let some = answer.value.get("recipients").and_then(Value::as_u64);
        recipients = recipients.saturating_add(some.unwrap_or(0));
    }
    match json {
        true => say!("{:#}", json!({ "recipients": recipients })),
        false if recipients == 1 => say!("1 recipient"),
        false => say!("{recipients} recipients"),
    }
    Ok(())
}

fn list(target: &mut Target, which: Which, limit: usize, json: bool) -> Result {
    let mut items: Vec<Value> = Vec::new();
    for filter in which.filters() {
        let mut after = 0;
        while items.len() < limit {
            let request = admin::Request::List {
                filter: filter.clone(),
                after,
                limit: PAGE.min(limit.saturating_sub(items.len())),
            };
            let page = target.ask(&Request::Queue(request))?.value;
            let Some(page) = page.as_array().filter(|page| !page.is_empty()) else {
                break;
            };
            after = page
                .last()
                .and_then(|item| item.get("id")?.as_i64())
                .unwrap_or(i64::MAX);
            items.extend(page.iter().cloned());
        }
    }
    if json {
        say!("{:#}", Value::Array(items));
        return Ok(());
    }
    let rows: Vec<Value> = items.iter().flat_map(rows).collect();
    let columns = [
        Column("ID", "id", show::number),
        Column("ACCEPTED", "received", time),
        Column("SIZE", "size", show::size),
        Column("FROM", "from", path),
        Column("TO", "to", show::text),
        Column("STATE", "state", show::text),
        Column("NEXT", "due", time),
        Column("TRIES", "attempts", show::number),
        Column("LAST ANSWER", "why", show::text),
    ];
    show::table(&Value::Array(rows), &columns, false);
    Ok(())
}

/// One row for each recipient.
fn rows(item: &Value) -> Vec<Value> {
    let recipients = item.get("recipients").and_then(Value::as_array);
    let row = |recipient: &Value| {
        let why = recipient.pointer("/last/why").cloned();
        json!({
            "id": item.get("id"),
            "received": item.get("received"),
            "size": item.get("size"),
            "from": item.get("from"),
            "to": recipient.get("address"),
            "state": recipient.get("state"),
            "due": recipient.get("due"),
            "attempts": recipient.get("attempts"),
            "why": why,
        })
    };
    recipients.into_iter().flatten().map(row).collect()
}

fn tell(value: &Value) {
    let field = |key: &str| value.get(key).unwrap_or(&Value::Null);
    say!(
        "Message   {} ({})",
        show::number(field("id")),
        match field("queued").as_bool() {
            Some(true) => "in the queue",
            _ => "has left the queue",
        }
    );
    if field("queued") == &Value::Bool(true) {
        say!(
            "Accepted  {} as {}",
            time(field("received")),
            show::text(field("trace_id"))
        );
        say!("From      {}", path(field("from")));
        say!("Size      {}", show::size(field("size")));
        say!("Until     {}", time(field("expires")));
        for row in rows(value) {
            let text = |key: &str| row.get(key).map(show::text).unwrap_or_default();
            let due = row.get("due").map(time).unwrap_or_default();
            let next = if due.is_empty() {
                due
            } else {
                format!(", next {due}")
            };
            say!("To        {}: {}{next}", text("to"), text("state"));
        }
    }
    for attempt in field("attempts").as_array().into_iter().flatten() {
        let text = |key: &str| attempt.get(key).map(show::text).unwrap_or_default();
        say!("");
        let at = attempt.get("at").map(time).unwrap_or_default();
        say!(
            "{at}  {}  {} {}",
            text("recipient"),
            text("outcome"),
            text("status")
        );
        let pairs = [
            ("server", format!("{} {}", text("peer"), text("address"))),
            ("TLS", text("tls")),
            ("policy", text("policy")),
            ("answer", text("reply")),
            ("why", text("why")),
        ];
        for (name, value) in pairs {
            if !value.trim().is_empty() {
                say!("    {name}: {}", value.trim());
            }
        }
    }
}

fn stats(value: &Value, json: bool) {
    if json {
        return say!("{value:#}");
    }
    let number = |key: &str| value.get(key).map(show::number).unwrap_or_default();
    say!(
        "{} messages for {} recipients",
        number("messages"),
        number("recipients")
    );
    for (title, key) in [("DESTINATION", "domains"), ("SENDER", "senders")] {
        let Some(list) = value
            .get(key)
            .filter(|list| list.as_array().is_some_and(|l| !l.is_empty()))
        else {
            continue;
        };
        say!("");
        let columns = [
            Column(title, "name", path),
            Column("WAITING", "waiting", show::number),
            Column("SENDING", "sending", show::number),
            Column("HELD", "held", show::number),
            Column("OLDEST", "oldest", time),
        ];
        show::table(list, &columns, false);
    }
}

/// A reverse-path: the null one is visible.
fn path(value: &Value) -> String {
    match value.as_str() {
        Some("") => "<>".to_owned(),
        _ => show::text(value),
    }
}

/// A time in UTC, to the second; nothing for null.
fn time(value: &Value) -> String {
    let Some(at) = value.as_i64() else {
        return String::new();
    };
    let seconds = at.rem_euclid(86_400);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}Z", show::day(value))
}
