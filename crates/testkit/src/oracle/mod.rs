//! Other servers as oracles: the dialogs of `tests/dialogs` that are not ours
//! to choose are held with a foreign server, too, and every difference has to
//! be explained by a paragraph.
//!
//! `replay` sends the client's side of a dialog, command by command, and
//! `judge` lays the answers upon what the dialog expects, by meaning. What is
//! left is looked up in a file of `tests/oracle/` (`explain`): a difference
//! that nobody explained fails, and so does an explanation of a difference
//! that is not there any more. A dialog names the extensions it is about with
//! `@needs`; where the foreign server does not announce them, it is not asked.
//! `@ours` and `@server` keep a dialog from foreign servers altogether.
//!
//! The built server is a target like the others, with nothing to explain:
//! that shows that the judge is not stricter than the dialogs are.

pub mod dovecot;
pub mod explain;
pub mod given;
pub mod judge;
pub mod page;
mod pop3;
mod replay;
pub mod value;

use crate::connection::Connection;
use crate::dialog::pattern::replace;
use crate::dialog::{DOMAIN, Dialog, prepare, read_folder};
use crate::server::{PASSWORD, Server};
use explain::{Differences, Verdict};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use replay::{Difference, Outcome, replay};

/// Dialogs held at once; most of the time goes by waiting.
const WORKERS: usize = 6;

/// A server that dialogs can be held with.
pub trait Target: Sync {
    /// Where it listens for a protocol, with TLS from the start or without.
    fn address(&self, protocol: &str, tls: bool) -> Option<SocketAddr>;

    /// Its certificate, DER.
    fn certificate(&self) -> &[u8];

    /// Makes the accounts and messages of a dialog in a domain of its own.
    fn prepare(&self, dialog: &Dialog, domain: &str) -> io::Result<()>;

    /// Opens a connection.
    fn connect(&self, protocol: &str, tls: bool) -> io::Result<Connection> {
        let address = self.address(protocol, tls);
        let address = address.ok_or_else(|| io::Error::other(format!("no {protocol} here")))?;
        match tls {
            true => Connection::open_tls(address, self.certificate()),
            false => Connection::open(address),
        }
    }
}

impl Target for Server {
    fn address(&self, protocol: &str, tls: bool) -> Option<SocketAddr> {
        let ports = self.ports();
        let port = match (protocol, tls) {
            ("imap", false) => ports.imap,
            ("imap", true) => ports.imaps,
            ("pop3", false) => ports.pop3,
            ("pop3", true) => ports.pop3s,
            _ => return None,
        };
        Some(self.address(port))
    }

    fn certificate(&self) -> &[u8] {
        self.certificate()
    }

    fn prepare(&self, dialog: &Dialog, domain: &str) -> io::Result<()> {
        prepare(self, dialog, domain)
    }
}

/// What came of all dialogs.
#[derive(Debug, Default)]
pub struct Summary {
    /// Failures, each a text of its own.
    pub failures: Vec<String>,
    /// Dialogs in which nothing differs.
    pub equal: usize,
    /// Dialogs with differences that are all explained.
    pub explained: usize,
    /// Dialogs about what the server does not announce.
    pub lacking: usize,
    /// Dialogs that are ours to choose.
    pub ours: usize,
    /// Differences.
    pub differences: usize,
    /// Commands whose answers were compared.
    pub commands: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} dialogs agree, {} differ as explained ({} differences), {} need what it has not, {} are ours to choose; {} commands compared",
            self.equal, self.explained, self.differences, self.lacking, self.ours, self.commands
        )
    }
}

/// Holds the dialogs of `folders` (each named after its protocol) with a target.
pub fn ask(target: &dyn Target, folders: &[&Path], differences: &Differences) -> Summary {
    let mut dialogs = Vec::new();
    let mut summary = Summary::default();
    for folder in folders {
        match read_folder(folder) {
            Ok(read) => dialogs.extend(read),
            Err(why) => summary.failures.push(why),
        }
    }
    let announced = match capabilities(target) {
        Ok(words) => words,
        Err(why) => {
            summary.failures.push(format!("capabilities: {why}"));
            return summary;
        }
    };
    let next = AtomicUsize::new(0);
    let shared = Mutex::new(summary);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(dialog) = dialogs.get(number) else {
                        return;
                    };
                    let one = ask_one(target, dialog, number, &announced, differences);
                    let mut all = shared.lock().unwrap_or_else(|e| e.into_inner());
                    all.add(one);
                }
            });
        }
    });
    let mut summary = shared.into_inner().unwrap_or_else(|e| e.into_inner());
    // Some dialogs alone cannot show that an explanation has become idle.
    if std::env::var_os("DIALOG").is_none() {
        summary.failures.extend(differences.idle());
    }
    summary.failures.extend(differences.unfounded(&announced));
    summary.failures.sort();
    summary
}

impl Summary {
    fn add(&mut self, other: Summary) {
        self.failures.extend(other.failures);
        self.equal += other.equal;
        self.explained += other.explained;
        self.lacking += other.lacking;
        self.ours += other.ours;
        self.differences += other.differences;
        self.commands += other.commands;
    }
}

fn ask_one(
    target: &dyn Target,
    dialog: &Dialog,
    number: usize,
    announced: &BTreeSet<String>,
    differences: &Differences,
) -> Summary {
    let mut one = Summary::default();
    let name = name(dialog);
    if dialog.ours.is_some() || !dialog.settings.is_empty() {
        one.ours = 1;
        return one;
    }
    if dialog.needs.iter().any(|word| !announced.contains(word)) {
        one.lacking = 1;
        return one;
    }
    let domain = format!("o{number:06}.test");
    let outcome = replay(target, dialog, &domain, &|at| differences.stops(&name, at));
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(why) => {
            one.failures.push(format!("{name}: {why}"));
            return one;
        }
    };
    one.commands = outcome.commands;
    for mut difference in outcome.differences {
        match differences.explain(&name, &mut difference) {
            Verdict::Nothing => {}
            Verdict::Explained => one.differences += 1,
            Verdict::Unexplained(text) => one.failures.push(text),
        }
    }
    match (one.failures.is_empty(), one.differences) {
        (true, 0) => one.equal = 1,
        (true, _) => one.explained = 1,
        (false, _) => {}
    }
    one
}

/// `imap/fetch-body.txt`
fn name(dialog: &Dialog) -> String {
    let parts: Vec<_> = dialog.path.iter().map(|p| p.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

/// What the server announces to somebody who has logged in, over IMAP and over POP3.
fn capabilities(target: &dyn Target) -> Result<BTreeSet<String>, String> {
    let dialog = Dialog::parse("@account alice\nS: x\n")?;
    target
        .prepare(&dialog, "o999999.test")
        .map_err(|e| e.to_string())?;
    let mut words = BTreeSet::new();
    let mut ask = || -> io::Result<()> {
        let mut imap = target.connect("imap", false)?;
        imap.answer()?;
        imap.imap(&format!("LOGIN alice@o999999.test {PASSWORD}"))?;
        for line in imap.imap("CAPABILITY")? {
            if let Some(list) = line.strip_prefix("* CAPABILITY ") {
                words.extend(list.split_whitespace().map(str::to_ascii_uppercase));
            }
        }
        imap.imap("LOGOUT").map(drop)
    };
    ask().map_err(|e| e.to_string())?;
    // A server may have no POP3 at all.
    let mut ask = || -> io::Result<()> {
        let mut pop3 = target.connect("pop3", false)?;
        pop3.answer()?;
        pop3.line("CAPA")?;
        let lines = pop3.answers_until(|line| line == ".")?;
        let first = lines
            .iter()
            .filter_map(|line| line.split_whitespace().next());
        words.extend(first.map(|word| format!("POP3:{}", word.to_ascii_uppercase())));
        Ok(())
    };
    let _ = ask();
    Ok(words)
}

/// Puts the messages of a dialog into mailboxes over IMAP.
pub(crate) fn append_all(target: &dyn Target, dialog: &Dialog, domain: &str) -> io::Result<()> {
    for mail in &dialog.mails {
        let text = replace(&mail.text, DOMAIN.as_bytes(), domain.as_bytes());
        let arguments = mail.append.as_deref().unwrap_or("INBOX");
        let mut imap = target.connect("imap", false)?;
        imap.answer()?;
        imap.imap(&format!("LOGIN {}@{domain} {PASSWORD}", mail.account))?;
        imap.line(&format!("a APPEND {arguments} {{{}}}", text.len()))?;
        let go_on = imap.answers_until(|line| line.starts_with('+') || line.starts_with("a "))?;
        if !go_on.last().is_some_and(|line| line.starts_with('+')) {
            return Err(io::Error::other(format!("APPEND was answered {go_on:?}")));
        }
        imap.send(&text)?;
        imap.line("")?;
        let lines = imap.answers_until(|line| line.starts_with("a "))?;
        if !lines.last().is_some_and(|line| line.starts_with("a OK")) {
            return Err(io::Error::other(format!("APPEND was answered {lines:?}")));
        }
        imap.imap("LOGOUT")?;
    }
    Ok(())
}
