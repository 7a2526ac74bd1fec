//! `waxwing dkim`: the keys that sign a domain's mail, and which records they need.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::show::{self, Column};
use super::{Context, Result};
use crate::dns::Dns;
use crate::manage::Request;
use crate::sign::tend::{self, Seen};
use crate::sign::{admin, key};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the keys
    List {
        /// Of this domain only
        domain: Option<String>,
    },
    /// Show the records of a domain's keys, and what to do in the DNS
    Show {
        /// The domain
        domain: String,
    },
    /// Look whether the records of a domain's keys are in the DNS; waiting keys whose records are there start to sign
    Check {
        /// The domain
        domain: String,
    },
    /// Make new keys. The old ones sign until the new records are seen in the DNS
    Rotate {
        /// The domain
        domain: String,
        /// Sign with the new keys at once, for example because an old one has leaked
        #[arg(long)]
        now: bool,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result<ExitCode> {
    let mut target = context.target()?;
    let mut ask = |request| target.ask(&Request::Dkim(request));
    match command {
        Command::List { domain } => {
            let answer = ask(admin::Request::List { domain })?;
            let columns = [
                Column("DOMAIN", "domain", show::text),
                Column("SELECTOR", "selector", show::text),
                Column("ALGORITHM", "algorithm", show::text),
                Column("STATE", "state", show::text),
                Column("SINCE", "since", show::day),
            ];
            show::table(&answer.value, &columns, context.json);
        }
        Command::Show { domain } => {
            let domain = Some(domain);
            let answer = ask(admin::Request::List { domain })?;
            tell(&answer.value, context.json);
        }
        Command::Check { domain } => return check(&domain, context),
        Command::Rotate { domain, now } => {
            let answer = ask(admin::Request::Rotate { domain, now })?;
            tell(&answer.value, context.json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when a key that signs cannot be verified.
fn check(domain: &str, context: &Context) -> Result<ExitCode> {
    let request = admin::Request::List {
        domain: Some(domain.to_owned()),
    };
    let mut target = context.target()?;
    let keys = target.ask(&Request::Dkim(request))?.value;
    let dns = Dns::new(&context.load()?.dns)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    let mut good = true;
    for row in keys.as_array().into_iter().flatten() {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let (selector, state) = (text("selector"), text("state"));
        let Some(public) = key::public_of(text("record")).filter(|_| state != "removed") else {
            continue;
        };
        let seen = runtime.block_on(tend::look(&dns, domain, selector, &public));
        let mut state = state.to_owned();
        if !matches!(seen, Seen::Unknown(_)) {
            let note = admin::Request::Note {
                domain: domain.to_owned(),
                selector: selector.to_owned(),
                seen: seen == Seen::Good,
            };
            if target.ask(&Request::Dkim(note))?.value == Value::Bool(true) {
                state = "active".to_owned();
            }
        }
        good &= seen == Seen::Good || state != "active";
        rows.push(json!({
            "selector": selector,
            "state": state,
            "record": words(&seen),
            "seen": seen == Seen::Good,
        }));
    }
    let columns = [
        Column("SELECTOR", "selector", show::text),
        Column("STATE", "state", show::text),
        Column("RECORD", "record", show::text),
    ];
    show::table(&Value::Array(rows), &columns, context.json);
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn words(seen: &Seen) -> String {
    match seen {
        Seen::Good => "is in the DNS".to_owned(),
        Seen::Missing => "is not in the DNS".to_owned(),
        Seen::Other => "there is a record of this name, but with another key".to_owned(),
        Seen::Several => "there are several records of this name; there must be one".to_owned(),
        Seen::Unknown(why) => format!("cannot be looked for: {why}"),
    }
}

/// The keys by what their owner has to do for them.
fn tell(keys: &Value, json: bool) {
    if json {
        say!("{keys:#}");
        return;
    }
    let told = [
        (
            "active",
            "These keys sign. Their records must be in the DNS:",
        ),
        (
            "pending",
            "These keys wait. Put their records into the DNS beside the others; once the server sees them there, it signs\nwith these keys:",
        ),
        (
            "retired",
            "These keys sign no more. Mail they signed is still under way: leave their records where they are:",
        ),
        (
            "removed",
            "These records are not needed any more. Take them out of the DNS:",
        ),
    ];
    let rows = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut first = true;
    for (state, words) in told {
        let mut these = rows
            .iter()
            .filter(|row| row.get("state").and_then(Value::as_str) == Some(state))
            .peekable();
        if these.peek().is_none() {
            continue;
        }
        if !first {
            say!();
        }
        first = false;
        say!("{words}");
        for row in these {
            let text = |key: &str| row.get(key).map(show::text).unwrap_or_default();
            say!();
            say!("{} TXT {}", text("name"), text("record"));
        }
    }
}
