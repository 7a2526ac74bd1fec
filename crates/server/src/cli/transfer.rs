//! `waxwing import` and `waxwing export`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::target::Mailbag;
use super::{Context, Result};
use crate::remote::Address;
use crate::transfer::{self, Format, Progress};

/// Progress is drawn at most this often per second.
const FRAMES: u8 = 10;

/// Where mail is: in files, or on a server.
#[derive(Debug, Clone)]
enum From {
    Files(Format),
    Server(String),
}

fn from(text: &str) -> std::result::Result<From, String> {
    match text {
        "maildir" => Ok(From::Files(Format::Maildir)),
        "mbox" => Ok(From::Files(Format::Mbox)),
        "eml" => Ok(From::Files(Format::Eml)),
        url if Address::is_meant(url) => Address::parse(url)
            .map(|_| From::Server(url.to_owned()))
            .map_err(|error| error.to_string()),
        _ => Err("use maildir, mbox, eml, or a URL like imaps://user@host".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The account
    account: String,
    /// How the mail is kept: maildir (Maildir++), mbox (a file per mailbox), eml (a file per message); or the URL of an account
    /// on another server, imap://, imaps://, pop3:// or pop3s://, as in imaps://user@host:port/mailbox
    #[arg(value_name = "FORMAT|URL", value_parser = from)]
    from: From,
    /// A folder, or a single file
    path: Option<PathBuf>,
    /// What would go to INBOX goes to this mailbox
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
    #[command(flatten)]
    remote: super::remote::Bring,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The account
    account: String,
    /// How the mail shall be kept: maildir, mbox or eml; or the URL of an account on another server, imap:// or imaps://, as in
    /// imaps://user@host:port
    #[arg(value_name = "FORMAT|URL", value_parser = from)]
    from: From,
    /// The folder to write into
    path: Option<PathBuf>,
    #[command(flatten)]
    access: super::remote::Access,
}

/// The path that goes with a format.
fn path(path: Option<PathBuf>) -> Result<PathBuf> {
    path.ok_or_else(|| "a path is missing".into())
}

pub(super) fn import(arguments: Import, context: &Context) -> Result<ExitCode> {
    let format = match arguments.from {
        From::Files(format) => format,
        From::Server(url) => {
            if arguments.path.is_some() {
                return Err("a path is for mail in files; a mailbox is named in the URL".into());
            }
            let (account, inbox) = (arguments.account, arguments.mailbox);
            return super::remote::import(account, &url, inbox, arguments.remote, context);
        }
    };
    let (target, address) = (context.target()?, arguments.account);
    let mut bag = Mailbag {
        target,
        address,
        inbox: arguments.mailbox,
        last: None,
    };
    let mut bar = Bar::new(context.json);
    let done = transfer::import(&mut bag, format, &path(arguments.path)?, &mut bar)?;
    bar.bar.finish_and_clear();
    match context.json {
        true => say!(
            "{}",
            serde_json::json!({
                "messages": done.messages, "octets": done.octets, "known": done.known, "skipped": done.skipped,
            })
        ),
        false => say!(
            "{} messages imported ({}), {} there already, {} left out",
            done.messages,
            super::show::octets(done.octets),
            done.known,
            done.skipped
        ),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn export(arguments: Export, context: &Context) -> Result<ExitCode> {
    let format = match arguments.from {
        From::Files(format) => format,
        From::Server(url) => {
            if arguments.path.is_some() {
                return Err("a path is for mail in files; a mailbox is named in the URL".into());
            }
            return super::remote::export(&arguments.account, &url, &arguments.access, context);
        }
    };
    let (target, address) = (context.target()?, arguments.account);
    let mut bag = Mailbag {
        target,
        address,
        inbox: None,
        last: None,
    };
    let mut bar = Bar::new(context.json);
    let done = transfer::export(&mut bag, format, &path(arguments.path)?, &mut bar)?;
    bar.bar.finish_and_clear();
    match context.json {
        true => say!(
            "{}",
            serde_json::json!({"messages": done.messages, "octets": done.octets, "known": done.known})
        ),
        false => say!(
            "{} messages exported ({}), {} there already",
            done.messages,
            super::show::octets(done.octets),
            done.known
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// A bar on a terminal, nothing elsewhere.
pub(super) struct Bar {
    pub(super) bar: ProgressBar,
}

impl Bar {
    pub(super) fn new(json: bool) -> Bar {
        let target = match json {
            true => ProgressDrawTarget::hidden(),
            // Draws on standard error, and only where that is a terminal.
            false => ProgressDrawTarget::stderr_with_hz(FRAMES),
        };
        let style =
            ProgressStyle::with_template("{wide_bar} {percent:>3} %  {elapsed} of {duration}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar {
            bar: ProgressBar::with_draw_target(Some(0), target).with_style(style),
        }
    }
}

impl Progress for Bar {
    fn expect(&mut self, total: u64) {
        self.bar.set_length(total);
    }

    fn at(&mut self, position: u64) {
        self.bar.set_position(position);
    }

    fn skipped(&mut self, what: &str) {
        self.bar.suspend(|| eprintln!("left out: {what}"));
    }
}
