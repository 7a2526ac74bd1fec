//! `waxwing dkim`: the keys that sign a domain's mail, and which records they need.

use clap::Subcommand;
use serde_json::Value;

use super::show::{self, Column};
use super::{Context, Result};
use crate::manage::Request;
use crate::sign::admin;

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
    /// Make new keys. The old ones sign until the new records are seen in the DNS
    Rotate {
        /// The domain
        domain: String,
        /// Sign with the new keys at once, for example because an old one has leaked
        #[arg(long)]
        now: bool,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result {
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
        Command::Rotate { domain, now } => {
            let answer = ask(admin::Request::Rotate { domain, now })?;
            tell(&answer.value, context.json);
        }
    }
    Ok(())
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
