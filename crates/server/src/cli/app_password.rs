//! `waxwing app-password`

use clap::Subcommand;

use super::show::{self, Column};
use super::{Context, Result};
use crate::auth::password;
use crate::manage::{Request, hex};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a password for one program or device and print it; it cannot be shown again
    Add {
        /// The account
        account: String,
        /// What it is for: phone, laptop, scanner
        name: String,
    },
    /// Remove an app password
    Remove {
        /// The account
        account: String,
        /// Its name
        name: String,
    },
    /// List the app passwords of an account
    List {
        /// The account
        account: String,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    match command {
        Command::Add { account, name } => {
            let secret = password::new_app_password();
            let sha256 = hex(&password::app_password_hash(&secret));
            target.ask(&Request::AppPasswordAdd {
                address: account.clone(),
                name: name.clone(),
                sha256,
            })?;
            match context.json {
                true => say!(
                    "{}",
                    serde_json::json!({"account": account, "name": name, "password": secret.expose()})
                ),
                false => say!("{}", secret.expose()),
            }
            Ok(())
        }
        Command::Remove { account, name } => target
            .ask(&Request::AppPasswordRemove {
                address: account,
                name,
            })
            .map(drop),
        Command::List { account } => {
            let answer = target.ask(&Request::AppPasswordList { address: account })?;
            let columns = [
                Column("NAME", "name", show::text),
                Column("ADDED", "created", show::day),
                Column("LAST USED", "last_used", show::day),
            ];
            show::table(&answer.value, &columns, context.json);
            Ok(())
        }
    }
}
