//! `waxwing alias`

use clap::Subcommand;

use super::show::{self, Column};
use super::{Context, Result};
use crate::manage::Request;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an alias, or set its targets anew
    Add {
        /// user@domain, or @domain for every address that nobody has (also written *@domain)
        address: String,
        /// Where its mail goes
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Remove an alias
    Remove {
        /// The alias
        address: String,
    },
    /// List the aliases
    List {
        /// Only those of this domain
        domain: Option<String>,
    },
}

/// `*@domain` is how people write a catch-all; the store writes `@domain`.
fn catch_all(address: String) -> String {
    match address.strip_prefix('*') {
        Some(rest) if rest.starts_with('@') => rest.to_owned(),
        _ => address,
    }
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    match command {
        Command::Add { address, targets } => {
            let address = catch_all(address);
            target
                .ask(&Request::AliasAdd { address, targets })
                .map(drop)
        }
        Command::Remove { address } => target
            .ask(&Request::AliasRemove {
                address: catch_all(address),
            })
            .map(drop),
        Command::List { domain } => {
            let answer = target.ask(&Request::AliasList { domain })?;
            let columns = [
                Column("ALIAS", "address", show::text),
                Column("TARGETS", "targets", show::list),
            ];
            show::table(&answer.value, &columns, context.json);
            Ok(())
        }
    }
}
