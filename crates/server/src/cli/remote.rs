//! Mail of other servers on the command line: `waxwing import ACCOUNT imap://…` and its like.
//!
//! A password is never an argument: others see those.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use wire::sasl::Secret;

use super::target::Target;
use super::transfer::Bar;
use super::{Context, Result, input, show};
use crate::manage::{Answer, Append, Request};
use crate::remote::{
    self, Address, Credential, Door, Login, MailboxReport, Options, Protocol, Report, Watch,
};

/// How to log in on another server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Another server")]
pub(super) struct Access {
    /// A file whose first line is the password there; without it the environment variable WAXWING_PASSWORD, or else the first
    /// line of standard input
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    password_file: Option<PathBuf>,
    /// A file whose first line is an access token of OAuth 2.0, used instead of a password (OAUTHBEARER, XOAUTH2)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates to trust there instead of the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Go on without TLS where the server offers none: all in between can read the password and the mail
    #[arg(long)]
    unencrypted: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Another server")]
pub(super) struct Bring {
    #[command(flatten)]
    access: Access,
    /// Messages that are gone there since the last run are removed here; with POP3, messages are removed there once they are
    /// safe here
    #[arg(long)]
    delete: bool,
    /// Leave out mailboxes that show messages of others (All Mail, Starred); without it what is in no other mailbox comes from
    /// them
    #[arg(long)]
    skip_views: bool,
}

impl Access {
    fn login(&self, url: &str) -> Result<Login> {
        let address = Address::parse(url)?;
        Ok(Login {
            credential: self.credential(&address)?,
            roots: Login::roots(self.ca.as_deref())?,
            roots_named: self.ca.is_some(),
            unencrypted: self.unencrypted,
            address,
        })
    }

    fn credential(&self, address: &Address) -> Result<Credential> {
        if let Some(file) = &self.token_file {
            return Ok(Credential::Token(first_line(file)?));
        }
        let password = match (&self.password_file, std::env::var("WAXWING_PASSWORD")) {
            (Some(file), _) => first_line(file)?,
            (None, Ok(password)) => Secret::new(password),
            (None, Err(_)) => {
                eprintln!("{} on {}", address.user, address.host);
                input::password_line()?
            }
        };
        match password.is_empty() {
            true => Err("the password is empty".into()),
            false => Ok(Credential::Password(password)),
        }
    }
}

fn first_line(file: &Path) -> Result<Secret> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    Ok(Secret::new(line.to_owned()))
}

impl Door for Target {
    fn ask(&mut self, request: Request) -> std::result::Result<Answer, remote::Error> {
        Target::ask(self, &request).map_err(|error| remote::Error::Account(error.to_string()))
    }

    fn append(&mut self, append: Append, message: &[u8]) -> std::result::Result<(), remote::Error> {
        Target::append(self, append, message)
            .map_err(|error| remote::Error::Account(error.to_string()))
    }
}

impl Watch for Bar {
    fn expect(&mut self, more: u64) {
        self.bar.inc_length(more);
    }

    fn done(&mut self) {
        self.bar.inc(1);
    }

    fn note(&mut self, what: &str) {
        self.bar.suspend(|| eprintln!("{what}"));
    }
}

/// `waxwing import ACCOUNT URL`
pub(super) fn import(
    account: String,
    url: &str,
    inbox: Option<String>,
    arguments: Bring,
    context: &Context,
) -> Result<ExitCode> {
    let mut target = context.target()?;
    let login = arguments.access.login(url)?;
    let options = Options {
        account,
        delete: arguments.delete,
        skip_views: arguments.skip_views,
        inbox,
        into: None,
        flags: true,
        remove_there: arguments.delete && login.address.protocol == Protocol::Pop3,
        forget: false,
        message_limit: crate::transfer::MESSAGE_LIMIT,
    };
    let mut bar = Bar::new(context.json);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        match login.address.protocol {
            Protocol::Imap => remote::import(&mut target, &login, &options, &mut bar).await,
            Protocol::Pop3 => {
                remote::import_maildrop(&mut target, &login, &options, &mut bar).await
            }
        }
    });
    bar.bar.finish_and_clear();
    Ok(conclude(&report?, "brought", context))
}

/// `waxwing export ACCOUNT URL`
pub(super) fn export(
    account: &str,
    url: &str,
    access: &Access,
    context: &Context,
) -> Result<ExitCode> {
    let mut target = context.target()?;
    let login = access.login(url)?;
    if login.address.protocol == Protocol::Pop3 {
        return Err("POP3 takes no mail; use imap:// or imaps://".into());
    }
    let mut bar = Bar::new(context.json);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(remote::export(&mut target, &login, account, &mut bar));
    bar.bar.finish_and_clear();
    Ok(conclude(&report?, "carried", context))
}

fn conclude(report: &Report, done: &str, context: &Context) -> ExitCode {
    match context.json {
        true => say!("{}", as_json(report)),
        false => tell(report, done),
    }
    match report.is_complete() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    let mailbox = |one: &MailboxReport| {
        json!({
            "there": one.there, "here": one.here,
            "messages_there": one.messages_there, "messages_here": one.messages_here,
            "octets_there": one.octets_there, "octets_here": one.octets_here,
            "removed_here": one.removed_here, "elsewhere": one.elsewhere,
            "new": one.new, "octets": one.octets, "flags": one.flags, "gone": one.gone,
            "differs": one.differs,
        })
    };
    let sum = |of: fn(&MailboxReport) -> u64| {
        report.mailboxes.iter().map(of).fold(0, u64::saturating_add)
    };
    json!({
        "complete": report.is_complete(),
        "messages": sum(|one| one.new), "octets": sum(|one| one.octets), "flags": sum(|one| one.flags),
        "gone": sum(|one| one.gone),
        "mailboxes": report.mailboxes.iter().map(mailbox).collect::<Vec<_>>(),
        "left_out": report.left_out,
    })
}

fn tell(report: &Report, done: &str) {
    for one in &report.mailboxes {
        let name = match one.there == one.here {
            true => one.here.clone(),
            false => format!("{} -> {}", one.there, one.here),
        };
        let mut parts = vec![format!("{} new", one.new)];
        for (number, what) in [
            (one.flags, "flags changed"),
            (one.gone, "gone there"),
            (one.elsewhere, "kept in other mailboxes"),
            (one.removed_here, "removed or moved here"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        say!(
            "{name}: {} messages, {} there and here ({})",
            one.messages_here,
            show::octets(one.octets_here),
            parts.join(", ")
        );
        for differs in &one.differs {
            say!("{name}: DIFFERS: {differs}");
        }
    }
    let sum = |of: fn(&MailboxReport) -> u64| {
        report.mailboxes.iter().map(of).fold(0, u64::saturating_add)
    };
    let (new, octets) = (sum(|one| one.new), show::octets(sum(|one| one.octets)));
    say!(
        "{new} messages {done} ({octets}), {} left out",
        report.left_out.len()
    );
    if !report.is_complete() {
        say!("there and here differ; see above, and run it again");
    }
}
