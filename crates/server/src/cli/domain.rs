//! `waxwing domain`

use clap::Subcommand;

use super::show::{self, Column};
use super::{Context, Result};
use crate::manage::Request;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a domain whose mail is kept here
    Add {
        /// The domain
        domain: String,
    },
    /// Remove a domain without accounts and aliases
    Remove {
        /// The domain
        domain: String,
    },
    /// List the domains
    List,
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    match command {
        Command::Add { domain } => target.ask(&Request::DomainAdd { name: domain }).map(drop),
        Command::Remove { domain } => target
            .ask(&Request::DomainRemove { name: domain })
            .map(drop),
        Command::List => {
            let answer = target.ask(&Request::DomainList)?;
            let columns = [
                Column("DOMAIN", "name", show::text),
                Column("ADDED", "created", show::day),
            ];
            show::table(&answer.value, &columns, context.json);
            Ok(())
        }
    }
}
