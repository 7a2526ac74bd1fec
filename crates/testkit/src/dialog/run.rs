//! Running dialogs against a server.

use super::parse::{Action, Dialog, Step};
use super::pattern::{Values, replace};
use crate::connection::Connection;
use crate::server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The domain that dialogs are written with.
pub const DOMAIN: &str = "example.test";

/// Dialogs run at once; enough to hide waiting, few enough for two cores.
const WORKERS: usize = 4;

/// How the client's octets reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A write per line.
    Lines,
    /// A write per octet.
    Octets,
    /// A write per group of commands that need no answer between them.
    Pipelined,
}

impl Mode {
    /// All three.
    pub const ALL: [Mode; 3] = [Mode::Lines, Mode::Octets, Mode::Pipelined];
}

/// Runs every dialog of `folder` in every mode against servers started
/// here, and panics with all failures. `DIALOG=part-of-the-name` selects.
pub fn run_folder(folder: &Path) {
    let dialogs = read_folder(folder).unwrap_or_else(|why| panic!("{why}"));
    assert!(!dialogs.is_empty(), "no dialog in {}", folder.display());
    let shared = Server::start().unwrap_or_else(|why| panic!("start: {why}"));
    let jobs: Vec<(&Dialog, Mode)> = dialogs
        .iter()
        .flat_map(|dialog| Mode::ALL.map(|mode| (dialog, mode)))
        .filter(|(dialog, mode)| match mode {
            Mode::Lines => true,
            Mode::Octets => dialog.no_octets.is_none(),
            Mode::Pipelined => dialog.no_pipeline.is_none(),
        })
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((dialog, mode)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = run_on(&shared, dialog, *mode) {
                        let text = format!("{} ({mode:?}): {why}", dialog.path.display());
                        failures
                            .lock()
                            .unwrap_or_else(|e| e.into_inner())
                            .push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(|e| e.into_inner());
    assert!(
        failures.is_empty(),
        "{} of {} runs failed\n\n{}",
        failures.len(),
        jobs.len(),
        failures.join("\n\n")
    );
    println!("{} dialogs, {} runs", dialogs.len(), jobs.len());
}

/// The dialogs of a folder by name; `DIALOG` selects some.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Dialog>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    paths.sort();
    if let Ok(part) = std::env::var("DIALOG") {
        paths.retain(|path| path.to_string_lossy().contains(&part));
    }
    paths.iter().map(|path| Dialog::read(path)).collect()
}

/// Runs one dialog on the shared server, or on one of its own when it sets options.
fn run_on(shared: &Server, dialog: &Dialog, mode: Mode) -> Result<(), String> {
    if dialog.settings.is_empty() {
        return run(shared, dialog, mode);
    }
    let mut builder = Server::builder();
    for (key, value) in &dialog.settings {
        builder = builder.setting(key, value);
    }
    let mut server = builder.start().map_err(|e| format!("start: {e}"))?;
    let result = run(&server, dialog, mode);
    server.without_check();
    let stopped = server.stop().map_err(|e| format!("{e}\n{}", server.log()));
    let checked = server.check().map_err(|e| format!("check: {e}"));
    result.and(stopped.map(drop)).and(checked)
}

/// Runs one dialog in one mode.
pub fn run(server: &Server, dialog: &Dialog, mode: Mode) -> Result<(), String> {
    static RUN: AtomicU32 = AtomicU32::new(0);
    let number = RUN.fetch_add(1, Ordering::Relaxed) % 1_000_000;
    let domain = format!("d{number:06}.test");
    prepare(server, dialog, &domain).map_err(|e| format!("set-up: {e}"))?;
    let mut steps = dialog.steps.clone();
    for step in &mut steps {
        match &mut step.action {
            Action::Send(pattern) | Action::Expect(pattern) => {
                pattern.replace(DOMAIN.as_bytes(), domain.as_bytes());
            }
            _ => {}
        }
    }
    let mut runner = Runner {
        server,
        dialog,
        mode,
        connections: BTreeMap::new(),
        values: Values::new(),
        skipping: BTreeSet::new(),
        transcript: String::new(),
    };
    runner
        .all(&steps)
        .map_err(|(line, why)| format!("line {line}: {why}\n{}", runner.transcript))
}

/// Makes the accounts and messages that a dialog supposes.
pub(crate) fn prepare(server: &Server, dialog: &Dialog, domain: &str) -> io::Result<()> {
    let address = |local: &str| format!("{local}@{domain}");
    server.add_domain(domain)?;
    for (account, quota) in &dialog.accounts {
        server.add_account(&address(account))?;
        if *quota > 0 {
            server.set_quota(&address(account), *quota)?;
        }
    }
    for (alias, targets) in &dialog.aliases {
        let targets: Vec<String> = targets
            .iter()
            .map(|t| {
                if t.contains('@') {
                    t.replace(DOMAIN, domain)
                } else {
                    address(t)
                }
            })
            .collect();
        server.add_alias(&address(alias), &targets)?;
    }
    for mail in &dialog.mails {
        let text = replace(&mail.text, DOMAIN.as_bytes(), domain.as_bytes());
        match &mail.append {
            Some(arguments) => server.append(&address(&mail.account), arguments, &text)?,
            None => server.deliver(&address(&mail.account), &text)?,
        }
    }
    Ok(())
}

struct Runner<'a> {
    server: &'a Server,
    dialog: &'a Dialog,
    mode: Mode,
    connections: BTreeMap<u8, Connection>,
    values: Values,
    /// Connections on which lines are skipped up to the next expectation.
    skipping: BTreeSet<u8>,
    transcript: String,
}

/// Commands written together and the answers they await.
#[derive(Default)]
struct Group<'a> {
    connection: u8,
    bytes: Vec<u8>,
    answers: Vec<&'a Step>,
    ended: bool,
}

impl Runner<'_> {
    fn all(&mut self, steps: &[Step]) -> Result<(), (usize, String)> {
        let mut group = Group::default();
        for step in steps {
            let at = |why: String| (step.line, why);
            let other = step.connection != group.connection;
            if other || self.mode != Mode::Pipelined {
                self.finish(&mut group)?;
                group.connection = step.connection;
            }
            match &step.action {
                Action::Send(pattern) => {
                    if group.ended || pattern.unbound(&self.values).is_some() {
                        self.finish(&mut group)?;
                    }
                    let bytes = pattern.fill(&self.values).map_err(at)?;
                    group.ended = ends_group(&bytes);
                    group.bytes.extend_from_slice(&bytes);
                    if self.mode != Mode::Pipelined {
                        self.send(&mut group).map_err(at)?;
                    }
                }
                Action::Expect(_) | Action::Has(_) | Action::Skip if !group.bytes.is_empty() => {
                    group.answers.push(step);
                    let invited = matches!(&step.action, Action::Expect(p) if p.invites_more());
                    if invited {
                        self.finish(&mut group)?;
                    }
                }
                Action::Expect(_) | Action::Has(_) | Action::Skip => {
                    self.expect(step).map_err(at)?
                }
                Action::Sync => self.finish(&mut group)?,
                Action::ServerCloses | Action::ClientCloses | Action::StartTls => {
                    self.finish(&mut group)?;
                    self.control(step).map_err(at)?;
                }
            }
        }
        self.finish(&mut group)
    }

    fn finish(&mut self, group: &mut Group<'_>) -> Result<(), (usize, String)> {
        let line = group.answers.first().map_or(0, |step| step.line);
        group.ended = false;
        self.send(group).map_err(|why| (line, why))?;
        for step in std::mem::take(&mut group.answers) {
            self.expect(step).map_err(|why| (step.line, why))?;
        }
        Ok(())
    }

    fn send(&mut self, group: &mut Group<'_>) -> Result<(), String> {
        let bytes = std::mem::take(&mut group.bytes);
        if bytes.is_empty() {
            return Ok(());
        }
        self.note('C', group.connection, &bytes);
        let octets = self.mode == Mode::Octets;
        let connection = self.connection(group.connection)?;
        let sent = match octets {
            true => connection.send_octets(&bytes),
            false => connection.send(&bytes),
        };
        match sent {
            // The server may have had enough in the middle: what it said is read next.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                Ok(())
            }
            sent => sent.map_err(|e| format!("send: {e}")),
        }
    }

    fn expect(&mut self, step: &Step) -> Result<(), String> {
        if step.action == Action::Skip {
            self.skipping.insert(step.connection);
            return Ok(());
        }
        loop {
            let line = self.connection(step.connection)?.read_line();
            let line = line.map_err(|e| format!("{e}; expected {}", describe(&step.action)))?;
            let Some(line) = line else {
                return Err(format!("closed; expected {}", describe(&step.action)));
            };
            self.note('S', step.connection, &line);
            let fits = match &step.action {
                Action::Expect(pattern) => pattern.matches(&line, &mut self.values),
                Action::Has(words) => has(words, &line),
                _ => false,
            };
            if fits {
                self.skipping.remove(&step.connection);
                return Ok(());
            }
            if !self.skipping.contains(&step.connection) {
                return Err(format!(
                    "got {:?}, expected {}",
                    String::from_utf8_lossy(&line),
                    describe(&step.action)
                ));
            }
        }
    }

    fn control(&mut self, step: &Step) -> Result<(), String> {
        let certificate = self.server.certificate();
        let connection = self.connection(step.connection)?;
        match &step.action {
            Action::ClientCloses => {
                self.connections.remove(&step.connection);
                Ok(())
            }
            Action::StartTls => connection
                .start_tls(certificate)
                .map_err(|e| format!("TLS: {e}")),
            _ => self.expect_end(step.connection),
        }
    }

    fn expect_end(&mut self, connection: u8) -> Result<(), String> {
        loop {
            match self.connection(connection)?.read_line() {
                Ok(None) => return Ok(()),
                Ok(Some(line)) if self.skipping.contains(&connection) => {
                    self.note('S', connection, &line)
                }
                Ok(Some(line)) => {
                    return Err(format!(
                        "expected the end, got {:?}",
                        String::from_utf8_lossy(&line)
                    ));
                }
                Err(e) => return Err(format!("expected the end: {e}")),
            }
        }
    }

    fn connection(&mut self, number: u8) -> Result<&mut Connection, String> {
        use std::collections::btree_map::Entry;
        match self.connections.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let port = port(self.server, &self.dialog.path, self.dialog.tls)?;
                let opened = match self.dialog.tls {
                    true => self.server.connect_tls(port),
                    false => self.server.connect(port),
                };
                Ok(entry.insert(opened.map_err(|e| format!("connect: {e}"))?))
            }
        }
    }

    fn note(&mut self, side: char, connection: u8, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).split_terminator("\r\n") {
            let _ = writeln!(
                self.transcript,
                "    {side}{connection}: {}",
                line.escape_debug()
            );
        }
    }
}

/// A client may not go on before it has read what the server offers (RFC 2920 §3.1).
fn ends_group(bytes: &[u8]) -> bool {
    let verb = bytes.get(..4).unwrap_or_default().to_ascii_uppercase();
    matches!(verb.as_slice(), b"EHLO" | b"HELO" | b"LHLO")
}

fn has(words: &[String], line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_uppercase();
    let present: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || "()[]".contains(c))
        .collect();
    words.iter().all(|word| {
        let word = word.to_ascii_uppercase();
        match word.strip_prefix('!') {
            Some(absent) => !present.contains(&absent),
            None => present.contains(&word.as_str()),
        }
    })
}

fn describe(action: &Action) -> String {
    match action {
        Action::Expect(pattern) => format!("{pattern}"),
        Action::Has(words) => format!("a line with {words:?}"),
        other => format!("{other:?}"),
    }
}

/// The port is chosen by the folder that the dialog lies in.
fn port(server: &Server, path: &Path, tls: bool) -> Result<u16, String> {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let ports = server.ports();
    match (folder.to_string_lossy().as_ref(), tls) {
        ("smtp", false) => Ok(ports.smtp),
        ("submission", false) => Ok(ports.submission),
        ("submission", true) => Ok(ports.submissions),
        ("lmtp", false) => Ok(ports.lmtp),
        ("imap", false) => Ok(ports.imap),
        ("imap", true) => Ok(ports.imaps),
        ("pop3", false) => Ok(ports.pop3),
        ("pop3", true) => Ok(ports.pop3s),
        (other, tls) => Err(format!("no port for folder {other:?}, TLS {tls}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Pattern;
    use super::*;

    #[test]
    fn words_are_whole_and_absence_is_checked() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(has(
            &words("idle auth=PLAIN !starttls"),
            b"* CAPABILITY IDLE AUTH=PLAIN"
        ));
        assert!(!has(&words("IDL"), b"* CAPABILITY IDLE"));
        assert!(!has(&words("!IDLE"), b"* OK [CAPABILITY IDLE] x"));
    }

    #[test]
    fn answers_that_invite_more_end_a_group() {
        for (text, invites) in [
            ("354 {{*}}", true),
            ("+ {{*}}", true),
            ("+OK {{*}}", false),
            ("250 x", false),
        ] {
            let pattern = Pattern::parse(text).expect("pattern");
            assert_eq!(pattern.invites_more(), invites, "{text}");
        }
    }
}
