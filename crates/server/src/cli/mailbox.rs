//! `waxwing mailbox`

use clap::Subcommand;

use super::show::{self, Column};
use super::{Context, Result};
use crate::imap::admin;
use crate::manage::Request;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the mailboxes of an account
    List {
        /// The account
        account: String,
    },
    /// Show with whom an account shares its mailboxes
    Shares {
        /// The account
        account: String,
        /// Only this mailbox
        mailbox: Option<String>,
    },
    /// Give somebody rights on a mailbox; they replace those they had
    Grant {
        /// The account
        account: String,
        /// Its mailbox
        mailbox: String,
        /// Who: another account, or anyone, which is everybody of the domain
        who: String,
        /// Letters: l list, r read, s keep seen, w write flags, i insert, p post, k create below, x delete,
        /// t mark as deleted, e expunge, a administer
        #[arg(default_value = "lrs")]
        rights: String,
    },
    /// Take somebody's rights on a mailbox away
    Revoke {
        /// The account
        account: String,
        /// Its mailbox
        mailbox: String,
        /// Who
        who: String,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    if let Command::List { account } = command {
        return list(account, context);
    }
    let mut target = context.target()?;
    let mut ask = |request| target.ask(&Request::Sharing(request));
    match command {
        Command::List { .. } => Ok(()),
        Command::Shares { account, mailbox } => {
            let answer = ask(admin::Request::List {
                address: account,
                mailbox,
            })?;
            let columns = [
                Column("MAILBOX", "mailbox", show::text),
                Column("WHO", "identifier", show::text),
                Column("RIGHTS", "rights", show::text),
            ];
            show::table(&answer.value, &columns, context.json);
            Ok(())
        }
        Command::Grant {
            account,
            mailbox,
            who,
            rights,
        } => ask(admin::Request::Set {
            address: account,
            mailbox,
            identifier: who,
            rights,
        })
        .map(drop),
        Command::Revoke {
            account,
            mailbox,
            who,
        } => ask(admin::Request::Set {
            address: account,
            mailbox,
            identifier: who,
            rights: String::new(),
        })
        .map(drop),
    }
}

fn list(account: String, context: &Context) -> Result {
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
