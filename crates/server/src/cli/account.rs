//! `waxwing account`

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use wire::sasl::Secret;

use super::input::{self, Quota};
use super::show::{self, Column};
use super::target::Target;
use super::{Context, Result};
use crate::imap::admin;
use crate::manage::{NewAccount, Request};

/// Accounts added in one request, and so in one transaction.
const BATCH: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an account; its random password is printed unless you give one
    Add {
        /// The address
        #[arg(required_unless_present = "from", conflicts_with = "from")]
        address: Option<String>,
        /// Read the password from the first line of standard input
        #[arg(long, conflicts_with = "from")]
        password_stdin: bool,
        /// The most its mail may take: octets, or with K, M, G, T; or none
        #[arg(long, value_parser = input::quota)]
        quota: Option<Quota>,
        /// Add many: a file with lines of address and password ("-" is standard input)
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Remove an account and all its mail
    Remove {
        /// The account
        address: String,
    },
    /// List accounts
    List {
        /// Only those of this domain
        domain: Option<String>,
    },
    /// Set a new password; a random one is printed unless you give one
    Password {
        /// The account
        address: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Set how much an account's mail may take
    Quota {
        /// The account
        address: String,
        /// Octets, or with K, M, G, T; or none
        #[arg(value_parser = input::quota)]
        quota: Quota,
    },
    /// Limit how many messages or mailboxes an account has, or show what is used
    Limit {
        /// The account
        address: String,
        /// message or mailbox; without it, all are shown
        #[arg(requires = "limit", value_parser = ["message", "mailbox"])]
        resource: Option<String>,
        /// How many, or none
        #[arg(value_parser = input::quota)]
        limit: Option<Quota>,
    },
    /// Show or set how much an account may send to other servers in 24 hours
    Sending(super::queue::Sending),
    /// Show or set what POP3 does for an account
    Pop3(super::pop3::Pop3),
    /// Forbid logins; mail still arrives
    Disable {
        /// The account
        address: String,
    },
    /// Allow logins again
    Enable {
        /// The account
        address: String,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    match command {
        Command::Add {
            from: Some(file),
            quota,
            ..
        } => add_many(&mut target, &file, quota, context),
        Command::Add {
            address,
            password_stdin,
            quota,
            ..
        } => {
            let (secret, new) = input::password_or_new(password_stdin)?;
            let address = address.unwrap_or_default();
            add(
                &mut target,
                &address,
                &secret,
                quota.and_then(|quota| quota.0),
            )?;
            report(&address, new.then_some(&secret), context);
            Ok(())
        }
        Command::Pop3(pop3) => super::pop3::run(&mut target, pop3, context.json),
        Command::Sending(sending) => super::queue::sending(&mut target, sending, context.json),
        Command::Remove { address } => target.ask(&Request::AccountRemove { address }).map(drop),
        Command::List { domain } => list(&mut target, domain, context),
        Command::Password {
            address,
            password_stdin,
        } => {
            let (secret, new) = input::password_or_new(password_stdin)?;
            let sealed = input::seal(&secret)?;
            target.ask(&Request::AccountPassword {
                address: address.clone(),
                secret: sealed,
            })?;
            report(&address, new.then_some(&secret), context);
            Ok(())
        }
        Command::Quota { address, quota } => target
            .ask(&Request::AccountQuota {
                address,
                quota: quota.0,
            })
            .map(drop),
        Command::Limit {
            address,
            resource: Some(resource),
            limit,
        } => target
            .ask(&Request::Sharing(admin::Request::Limit {
                address,
                resource,
                limit: limit.and_then(|limit| limit.0),
            }))
            .map(drop),
        Command::Limit { address, .. } => {
            let answer = target.ask(&Request::Sharing(admin::Request::Limits { address }))?;
            let columns = [
                Column("RESOURCE", "resource", show::text),
                Column("USED", "used", show::number),
                Column("LIMIT", "limit", show::number),
            ];
            show::table(&answer.value, &columns, context.json);
            Ok(())
        }
        Command::Disable { address } => target
            .ask(&Request::AccountDisabled {
                address,
                disabled: true,
            })
            .map(drop),
        Command::Enable { address } => target
            .ask(&Request::AccountDisabled {
                address,
                disabled: false,
            })
            .map(drop),
    }
}

/// Adds one account.
pub(super) fn add(
    target: &mut Target,
    address: &str,
    secret: &Secret,
    quota: Option<u64>,
) -> Result {
    let secret = Some(input::seal(secret)?);
    let accounts = vec![NewAccount {
        address: address.to_owned(),
        secret,
        quota,
    }];
    target.ask(&Request::AccountAdd { accounts }).map(drop)
}

/// Shows a password that was made here; one that was given is known.
fn report(address: &str, secret: Option<&Secret>, context: &Context) {
    match (context.json, secret) {
        (true, secret) => {
            let password = secret.map(Secret::expose);
            say!(
                "{}",
                serde_json::json!({"address": address, "password": password})
            );
        }
        (false, Some(secret)) => say!("{}", secret.expose()),
        (false, None) => {}
    }
}

fn list(target: &mut Target, domain: Option<String>, context: &Context) -> Result {
    let answer = target.ask(&Request::AccountList { domain })?;
    let columns = [
        Column("ACCOUNT", "address", show::text),
        Column("MESSAGES", "messages", show::number),
        Column("USED", "usage", show::size),
        Column("QUOTA", "quota", show::size),
        Column("ADDED", "created", show::day),
        Column("", "disabled", |value| {
            if value == true {
                "disabled".to_owned()
            } else {
                String::new()
            }
        }),
    ];
    show::table(&answer.value, &columns, context.json);
    Ok(())
}

fn add_many(target: &mut Target, file: &Path, quota: Option<Quota>, context: &Context) -> Result {
    let lines: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => {
            let file = std::fs::File::open(file)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            Box::new(BufReader::new(file))
        }
    };
    let mut batch: Vec<(String, Secret)> = Vec::new();
    let mut added = 0;
    for (number, line) in lines.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line
            .split_once([' ', '\t'])
            .filter(|(_, password)| !password.trim().is_empty());
        let Some((address, password)) = parts else {
            return Err(format!(
                "line {}: write an address, a space and a password",
                number + 1
            )
            .into());
        };
        batch.push((address.to_owned(), Secret::from(password.trim_start())));
        if batch.len() == BATCH {
            added += add_batch(target, &mut batch, quota)?;
        }
    }
    added += add_batch(target, &mut batch, quota)?;
    match context.json {
        true => say!("{}", serde_json::json!({ "added": added })),
        false => say!("{added} accounts added"),
    }
    Ok(())
}

fn add_batch(
    target: &mut Target,
    batch: &mut Vec<(String, Secret)>,
    quota: Option<Quota>,
) -> Result<usize> {
    let (addresses, secrets): (Vec<String>, Vec<Secret>) = batch.drain(..).unzip();
    let sealed = input::seal_all(&secrets)?;
    let quota = quota.and_then(|quota| quota.0);
    let accounts: Vec<NewAccount> = addresses
        .into_iter()
        .zip(sealed)
        .map(|(address, secret)| NewAccount {
            address,
            secret: Some(secret),
            quota,
        })
        .collect();
    let count = accounts.len();
    if count > 0 {
        target.ask(&Request::AccountAdd { accounts })?;
    }
    Ok(count)
}
