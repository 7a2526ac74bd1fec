//! `waxwing mailbox`

use clap::Subcommand;

use super::show::{self, Column};
use super::{Context, Result};
use crate::manage::Request;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the mailboxes of an account
    List {
        /// The account
        account: String,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let Command::List { account } = command;
    let answer = context
        .target()?
        .ask(&Request::MailboxList { address: account })?;
    let columns = [
        Column("MAILBOX", "name", show::text),
        Column("MESSAGES", "messages", show::number),
        Column("UNSEEN", "unseen", show::number),
        Column("SIZE", "size", show::size),
        Column("USE", "special_use", show::text),
    ];
    show::table(&answer.value, &columns, context.json);
    Ok(())
}
