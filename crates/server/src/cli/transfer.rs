//! `waxwing import` and `waxwing export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::target::Mailbag;
use super::{Context, Result};
use crate::transfer::{self, Format, Progress};

/// Progress is drawn at most this often per second.
const FRAMES: u8 = 10;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    /// Maildir++, as Dovecot and others keep it
    Maildir,
    /// A file per mailbox
    Mbox,
    /// A file per message
    Eml,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The account
    account: String,
    /// How the mail is kept there
    format: From,
    /// A folder, or a single file
    path: PathBuf,
    /// What would go to INBOX goes to this mailbox
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The account
    account: String,
    /// How the mail shall be kept
    format: From,
    /// The folder to write into
    path: PathBuf,
}

impl From {
    fn format(self) -> Format {
        match self {
            From::Maildir => Format::Maildir,
            From::Mbox => Format::Mbox,
            From::Eml => Format::Eml,
        }
    }
}

pub(super) fn import(arguments: Import, context: &Context) -> Result {
    let (target, address) = (context.target()?, arguments.account);
    let mut bag = Mailbag {
        target,
        address,
        inbox: arguments.mailbox,
        last: None,
    };
    let mut bar = Bar::new(context.json);
    let done = transfer::import(
        &mut bag,
        arguments.format.format(),
        &arguments.path,
        &mut bar,
    )?;
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
    Ok(())
}

pub(super) fn export(arguments: Export, context: &Context) -> Result {
    let (target, address) = (context.target()?, arguments.account);
    let mut bag = Mailbag {
        target,
        address,
        inbox: None,
        last: None,
    };
    let mut bar = Bar::new(context.json);
    let done = transfer::export(
        &mut bag,
        arguments.format.format(),
        &arguments.path,
        &mut bar,
    )?;
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
    Ok(())
}

/// A bar on a terminal, nothing elsewhere.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(json: bool) -> Bar {
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
