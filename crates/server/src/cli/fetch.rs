//! `waxwing fetch`: what the server fetches from accounts elsewhere by itself.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::show::{self, Column};
use super::{Context, Result};
use crate::manage::Request;
use crate::remote::admin::{self, FetchAdd};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Fetch new mail from an account elsewhere, again and again
    Add(Add),
    /// Tell what is fetched, when it last went well, and why it does not
    List {
        /// Of this account alone
        account: Option<String>,
    },
    /// Fetch no more from there
    Remove {
        /// The account
        account: String,
        /// The URL as it was added
        url: String,
    },
    /// Fetch at once, without waiting for the next time
    Now {
        /// Into this account alone
        account: Option<String>,
        /// From there alone, the URL as it was added
        url: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The account that gets the mail
    account: String,
    /// The account elsewhere: imaps://user@host, pop3s://user@host; for a mailbox other than INBOX imaps://user@host/mailbox
    url: String,
    /// A file whose first line is the password there. The server reads it each time; nobody but its user may
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "token_file",
        conflicts_with = "token_file"
    )]
    password_file: Option<PathBuf>,
    /// A file whose first line is an access token of OAuth 2.0, kept fresh by somebody else
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates to trust there instead of the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Go on without TLS where the server offers none: all in between can read the password and the mail
    #[arg(long)]
    unencrypted: bool,
    /// The time between two looks, as 5m, 1h or 1d
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = seconds)]
    every: i64,
    /// The mailbox here
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    folder: String,
    /// Remove messages there once they are safe here
    #[arg(long)]
    delete: bool,
}

/// Seconds from `90s`, `5m`, `1h` or `1d`.
fn seconds(text: &str) -> std::result::Result<i64, String> {
    let wrong = || format!("{text:?} is no time; write a number with s, m, h or d");
    let (unit, factor) = match text.chars().last() {
        Some('s') => ("s", 1),
        Some('m') => ("m", 60),
        Some('h') => ("h", 3600),
        Some('d') => ("d", 86_400),
        _ => return Err(wrong()),
    };
    let number: i64 = text
        .strip_suffix(unit)
        .unwrap_or_default()
        .parse()
        .map_err(|_| wrong())?;
    number
        .checked_mul(factor)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(wrong)
}

/// The server has another folder to begin from.
fn absolute(path: &Path) -> Result<String> {
    let path = path
        .canonicalize()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{}: its name is not UTF-8", path.display()).into())
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let mut target = context.target()?;
    match command {
        Command::Add(add) => {
            let token = add.token_file.is_some();
            let file = add
                .token_file
                .or(add.password_file)
                .ok_or("a file with the password is missing")?;
            let request = admin::Request::FetchAdd(FetchAdd {
                address: add.account,
                url: add.url,
                secret_file: absolute(&file)?,
                token,
                ca_file: add.ca.as_deref().map(absolute).transpose()?,
                unencrypted: add.unencrypted,
                folder: add.folder,
                every: add.every,
                remove: add.delete,
            });
            target.ask(&Request::Remote(request)).map(drop)
        }
        Command::List { account } => {
            let request = admin::Request::FetchList { address: account };
            let answer = target.ask(&Request::Remote(request))?;
            let columns = [
                Column("ACCOUNT", "account", show::text),
                Column("FROM", "url", show::text),
                Column("INTO", "folder", show::text),
                Column("EVERY", "every", every),
                Column("FETCHED", "fetched", show::number),
                Column("LAST", "last_success", moment),
                Column("TROUBLE", "trouble", show::text),
            ];
            show::table(&answer.value, &columns, context.json);
            Ok(())
        }
        Command::Remove { account, url } => {
            let request = admin::Request::FetchRemove {
                address: account,
                url,
            };
            target.ask(&Request::Remote(request)).map(drop)
        }
        Command::Now { account, url } => {
            let request = admin::Request::FetchNow {
                address: account,
                url,
            };
            target.ask(&Request::Remote(request))?;
            if matches!(target, super::Target::Store { .. }) && !context.json {
                say!("no server runs; it will fetch at once when it does");
            }
            Ok(())
        }
    }
}

fn every(value: &Value) -> String {
    match value.as_i64().unwrap_or_default() {
        days if days > 0 && days % 86_400 == 0 => format!("{}d", days / 86_400),
        hours if hours > 0 && hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes > 0 && minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

/// How long ago.
fn moment(value: &Value) -> String {
    let Some(then) = value.as_i64() else {
        return "never".to_owned();
    };
    match super::now().saturating_sub(then) {
        ago if ago < 120 => format!("{} s ago", ago.max(0)),
        ago if ago < 7200 => format!("{} min ago", ago / 60),
        ago if ago < 172_800 => format!("{} h ago", ago / 3600),
        ago => format!("{} d ago", ago / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [("90s", 90), ("5m", 300), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-1m",
            "0s",
            "99999999999999999999d",
            "9999999999999999d",
            "5\u{e9}",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(every(&serde_json::json!(300)), "5m");
        assert_eq!(every(&serde_json::json!(90)), "90s");
    }
}
