//! The command line.
//!
//! Owns: arguments, what is printed, exit codes (0 done, 1 refused or failed, 2 wrong arguments). Commands that manage
//! ask a running server through its admin socket, and open the store themselves when none runs.

/// Prints a line. A reader that went away (`waxwing account list | head`) is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod account;
mod alias;
mod app_password;
mod demo;
mod dkim;
mod dns;
mod doctor;
mod domain;
mod explain;
mod fetch;
mod input;
mod mailbox;
mod maintenance;
mod metadata;
mod mime;
mod pop3;
mod queue;
mod remote;
mod reports;
mod send;
mod setup;
mod show;
mod target;
mod transfer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::serve;
use target::Target;

/// What any command may fail with; shown as text.
type Error = Box<dyn std::error::Error + Send + Sync>;

type Result<T = ()> = std::result::Result<T, Error>;

#[derive(Debug, Parser)]
#[command(
    name = "waxwing",
    about = "A mail server: SMTP, LMTP, IMAP and POP3 in one program.",
    version
)]
struct Arguments {
    /// The configuration file; without it ./waxwing.toml, then /etc/waxwing/waxwing.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve,
    /// Write a configuration, add a domain and its first account
    Setup(setup::Arguments),
    /// Run a server to try out, on this machine only, with two accounts
    Demo(demo::Arguments),
    /// Manage domains
    #[command(subcommand)]
    Domain(domain::Command),
    /// Manage the keys that sign a domain's mail
    #[command(subcommand)]
    Dkim(dkim::Command),
    /// Look at mail that waits for other servers, and decide about it
    #[command(subcommand)]
    Queue(queue::Command),
    /// Say what belongs into the DNS
    #[command(subcommand)]
    Dns(dns::Command),
    /// Tell what other servers report about our domains
    #[command(subcommand)]
    Reports(reports::Command),
    /// Look at a domain as the world sees it, and say what to change; ends with 0 when all is good, 1 with advice, 2 when
    /// something is broken
    Doctor(doctor::Arguments),
    /// Manage accounts
    #[command(subcommand)]
    Account(account::Command),
    /// Manage aliases
    #[command(subcommand)]
    Alias(alias::Command),
    /// Manage passwords for single programs
    #[command(subcommand)]
    AppPassword(app_password::Command),
    /// Look at mailboxes and share them
    #[command(subcommand)]
    Mailbox(mailbox::Command),
    /// Tell IMAP clients about the server
    #[command(subcommand)]
    Metadata(metadata::Command),
    /// Bring mail from files or from another server into an account; a second run brings what is new, and one that was cut off
    /// goes on where it was
    Import(transfer::Import),
    /// Write an account's mail to files or to another server; a second run adds what is missing
    Export(transfer::Export),
    /// Have the server fetch mail from accounts elsewhere
    #[command(subcommand)]
    Fetch(fetch::Command),
    /// Copy everything consistently, beside a running server too; a second run copies what is new
    Backup(maintenance::Backup),
    /// Examine everything that is stored
    Check(maintenance::Check),
    /// Send a message over SMTP or LMTP
    Send(send::Arguments),
    /// Tell what became of a message and why: each check, its mailbox, each delivery attempt
    Explain(explain::Arguments),
    /// Look into a message in a file
    #[command(subcommand)]
    Mime(mime::Command),
    /// Show the version
    Version,
}

/// What all commands know.
struct Context {
    config: Option<PathBuf>,
    json: bool,
}

impl Context {
    fn load(&self) -> Result<Config> {
        Ok(Config::load(self.config.as_deref())?)
    }

    /// The store of the configuration, through a server or directly.
    fn target(&self) -> Result<Target> {
        Target::reach(&self.load()?.data)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    // Mail, passwords and keys are for their owner alone (attack A58), whatever the shell's default is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let arguments = Arguments::parse();
    let context = Context {
        config: arguments.config,
        json: arguments.json,
    };
    match run(arguments.command, &context) {
        Ok(code) => code,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("waxwing: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, context: &Context) -> Result<ExitCode> {
    match command {
        Command::Serve => {
            let config = context.load()?;
            crate::log::start(&config.log);
            serve::run(config, || {})?;
        }
        Command::Setup(arguments) => setup::run(arguments, context)?,
        Command::Demo(arguments) => demo::run(arguments)?,
        Command::Domain(command) => domain::run(command, context)?,
        Command::Queue(command) => queue::run(command, context)?,
        Command::Dkim(command) => return dkim::run(command, context),
        Command::Dns(command) => dns::run(command, context)?,
        Command::Reports(command) => reports::run(command, context)?,
        Command::Doctor(arguments) => return doctor::run(arguments, context),
        Command::Account(command) => account::run(command, context)?,
        Command::Alias(command) => alias::run(command, context)?,
        Command::AppPassword(command) => app_password::run(command, context)?,
        Command::Mailbox(command) => mailbox::run(command, context)?,
        Command::Metadata(command) => metadata::run(command, context)?,
        Command::Import(arguments) => return transfer::import(arguments, context),
        Command::Export(arguments) => return transfer::export(arguments, context),
        Command::Fetch(command) => fetch::run(command, context)?,
        Command::Backup(arguments) => maintenance::backup(arguments, context)?,
        Command::Check(arguments) => return maintenance::check(arguments, context),
        Command::Send(arguments) => return send::run(arguments, context),
        Command::Explain(arguments) => explain::run(arguments, context)?,
        Command::Mime(command) => return mime::run(command, context),
        Command::Version => version(context),
    }
    Ok(ExitCode::SUCCESS)
}

/// Seconds since 1970.
fn now() -> store::Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    store::Timestamp::try_from(since.as_secs()).unwrap_or(store::Timestamp::MAX)
}

fn version(context: &Context) {
    let version = env!("CARGO_PKG_VERSION");
    match context.json {
        true => say!("{}", serde_json::json!({ "version": version })),
        false => say!("waxwing {version}"),
    }
}
