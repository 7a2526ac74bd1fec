//! `waxwing metadata`: what IMAP clients can read about the server (RFC 5464 §6.2.1).

use clap::Subcommand;

use super::show::{self, Column};
use super::{Context, Result};
use crate::imap::admin;
use crate::manage::Request;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the shared entries of the server
    List,
    /// Set one: /shared/admin (how to reach you, for example mailto:postmaster@example.org), /shared/comment …
    Set {
        /// The entry
        entry: String,
        /// Its value
        value: String,
    },
    /// Remove one
    Remove {
        /// The entry
        entry: String,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    let request = match command {
        Command::List => admin::Request::Annotations,
        Command::Set { entry, value } => admin::Request::Annotate {
            entry,
            value: Some(value),
        },
        Command::Remove { entry } => admin::Request::Annotate { entry, value: None },
    };
    let shows = request == admin::Request::Annotations;
    let answer = target.ask(&Request::Sharing(request))?;
    if shows {
        let columns = [
            Column("ENTRY", "entry", show::text),
            Column("VALUE", "value", show::text),
        ];
        show::table(&answer.value, &columns, context.json);
    }
    Ok(())
}
