//! The built server, started for a test.
//!
//! Loopback, free ports, a data folder of its own. On drop the process is
//! asked to end, ended by its own id if it does not, and the data folder is
//! checked: a test whose store is not clean afterwards fails.

use crate::connection::Connection;
use crate::tls::{HOST, Identity};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of every account made by this module, unless another is given.
pub const PASSWORD: &str = "open-sesame";

/// How long a start may take under a loaded machine.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A server has this long to end after SIGTERM; its own promise is 5 seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Where each service listens.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each is the service of its name")]
pub struct Ports {
    pub smtp: u16,
    pub submission: u16,
    pub submissions: u16,
    pub lmtp: u16,
    pub imap: u16,
    pub imaps: u16,
    pub pop3: u16,
    pub pop3s: u16,
}

/// Settings of a server under test.
#[derive(Clone, Debug)]
pub struct Builder {
    binary: PathBuf,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    ports: Ports,
    identity: Identity,
    folder: TempDir,
    dns: crate::dns::Server,
    check_on_drop: bool,
}

/// The binary `waxwing` beside the running test; `WAXWING_BIN` overrides it.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WAXWING_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("."));
    folder.join("waxwing")
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            binary: binary(),
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl Builder {
    /// Sets `table.key` of `waxwing.toml` to a TOML value.
    pub fn setting(mut self, key: &str, value: &str) -> Builder {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets an environment variable of the server.
    pub fn environment(mut self, name: &str, value: &str) -> Builder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until every port answers.
    pub fn start(self) -> io::Result<Server> {
        let folder = tempfile::Builder::new().prefix("waxwing-test-").tempdir()?;
        let identity = Identity::generate()?;
        std::fs::write(folder.path().join("cert.pem"), &identity.certificate_pem)?;
        std::fs::write(folder.path().join("key.pem"), &identity.key_pem)?;
        let ports = free_ports()?;
        let dns = crate::dns::Server::start()?;
        let config = configuration(&ports, folder.path(), &dns, &self.settings);
        std::fs::write(folder.path().join("waxwing.toml"), config)?;
        let mut server = Server {
            binary: self.binary,
            environment: self.environment,
            child: None,
            ports,
            identity,
            folder,
            dns,
            check_on_drop: false,
        };
        // Another test may have taken a port since it was found free: then others are tried.
        let mut tries = 0;
        while let Err(error) = server.launch() {
            tries += 1;
            if tries > 5 || !error.to_string().contains("Address already in use") {
                return Err(error);
            }
            server.ports = free_ports()?;
            let config = configuration(
                &server.ports,
                server.folder.path(),
                &server.dns,
                &self.settings,
            );
            std::fs::write(server.config(), config)?;
        }
        // What never ran has nothing to check, and its own failure is the one to report.
        server.check_on_drop = true;
        Ok(server)
    }
}

impl Server {
    /// A server with the settings that suit most tests: authentication in
    /// clear is allowed, since all is loopback.
    pub fn start() -> io::Result<Server> {
        Builder::default().start()
    }

    /// A server with settings of its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where the services listen.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.identity.certificate
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("waxwing.toml")
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The name server it asks, unless `dns.servers` was set. It knows no name at first.
    pub fn dns(&self) -> &crate::dns::Server {
        &self.dns
    }

    /// The address of a port.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Opens a connection in clear.
    pub fn connect(&self, port: u16) -> io::Result<Connection> {
        Connection::open(self.address(port))
    }

    /// Opens a connection with implicit TLS.
    pub fn connect_tls(&self, port: u16) -> io::Result<Connection> {
        Connection::open_tls(self.address(port), self.certificate())
    }

    /// Runs `waxwing ARGUMENTS` on this server's configuration, with `input` on standard input.
    pub fn cli_with(&self, arguments: &[&str], input: &str) -> io::Result<Output> {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.config()).args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may have closed its end.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    }

    /// Runs `waxwing ARGUMENTS`, which must succeed; returns standard output.
    pub fn cli(&self, arguments: &[&str]) -> io::Result<String> {
        self.succeed(arguments, "")
    }

    fn succeed(&self, arguments: &[&str], input: &str) -> io::Result<String> {
        let output = self.cli_with(arguments, input)?;
        if !output.status.success() {
            return Err(io::Error::other(format!(
                "waxwing {arguments:?}: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Adds a domain.
    pub fn add_domain(&self, domain: &str) -> io::Result<()> {
        self.cli(&["domain", "add", domain]).map(drop)
    }

    /// Adds an account with the password [`PASSWORD`].
    pub fn add_account(&self, address: &str) -> io::Result<()> {
        self.succeed(
            &["account", "add", address, "--password-stdin"],
            &format!("{PASSWORD}\n"),
        )
        .map(drop)
    }

    /// Sets the quota of an account, in octets.
    pub fn set_quota(&self, address: &str, octets: u64) -> io::Result<()> {
        self.cli(&["account", "quota", address, &octets.to_string()])
            .map(drop)
    }

    /// Adds an alias.
    pub fn add_alias(&self, address: &str, targets: &[String]) -> io::Result<()> {
        let mut arguments = vec!["alias", "add", address];
        arguments.extend(targets.iter().map(String::as_str));
        self.cli(&arguments).map(drop)
    }

    /// Delivers a message over LMTP to one recipient.
    pub fn deliver(&self, recipient: &str, message: &[u8]) -> io::Result<()> {
        let mut lmtp = self.connect(self.ports.lmtp)?;
        lmtp.reply()?;
        lmtp.smtp("LHLO test.example", 250)?;
        lmtp.smtp("MAIL FROM:<sender@remote.example>", 250)?;
        lmtp.smtp(&format!("RCPT TO:<{recipient}>"), 250)?;
        lmtp.smtp("DATA", 354)?;
        lmtp.send(&dot_stuffed(message))?;
        lmtp.smtp(".", 250)?;
        lmtp.smtp("QUIT", 221).map(drop)
    }

    /// Appends a message over IMAP; `arguments` are the mailbox, then flags and date if wanted.
    pub fn append(&self, address: &str, arguments: &str, message: &[u8]) -> io::Result<()> {
        let mut imap = self.connect(self.ports.imap)?;
        imap.answer()?;
        imap.imap(&format!("LOGIN \"{address}\" \"{PASSWORD}\""))?;
        imap.line(&format!("a APPEND {arguments} {{{}}}", message.len()))?;
        let go_on = imap.answers_until(|line| line.starts_with('+') || line.starts_with("a "))?;
        if !go_on.last().is_some_and(|line| line.starts_with('+')) {
            return Err(io::Error::other(format!("APPEND was answered {go_on:?}")));
        }
        imap.send(message)?;
        imap.line("")?;
        let lines = imap.answers_until(|line| line.starts_with("a "))?;
        if !lines.last().is_some_and(|line| line.starts_with("a OK")) {
            return Err(io::Error::other(format!("APPEND was answered {lines:?}")));
        }
        imap.imap("LOGOUT").map(drop)
    }

    /// SIGTERM, and waits for the end. Returns whether it ended with success.
    pub fn stop(&mut self) -> io::Result<bool> {
        let Some(mut child) = self.child.take() else {
            return Ok(true);
        };
        signal(&child, rustix::process::Signal::TERM);
        let until = Instant::now() + STOP_PATIENCE;
        while Instant::now() < until {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill()?;
        child.wait()?;
        Err(io::Error::other(format!(
            "still ran {STOP_PATIENCE:?} after SIGTERM"
        )))
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Sends SIGHUP.
    pub fn reload(&self) {
        if let Some(child) = &self.child {
            signal(child, rustix::process::Signal::HUP);
        }
    }

    /// Starts again on the same folder and ports.
    pub fn launch(&mut self) -> io::Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))?;
        let child = Command::new(&self.binary)
            .args(["--config"])
            .arg(self.config())
            .arg("serve")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.binary.display())))?;
        self.child = Some(child);
        let all = [
            self.ports.smtp,
            self.ports.submission,
            self.ports.submissions,
            self.ports.lmtp,
            self.ports.imap,
            self.ports.imaps,
            self.ports.pop3,
            self.ports.pop3s,
        ];
        let until = Instant::now() + START_PATIENCE;
        for port in all {
            while TcpStream::connect(self.address(port)).is_err() {
                let ended = self.child.as_mut().and_then(|c| c.try_wait().transpose());
                if let Some(status) = ended {
                    self.child = None;
                    return Err(io::Error::other(format!(
                        "ended at once: {:?}\n{}",
                        status?,
                        self.log()
                    )));
                }
                if Instant::now() > until {
                    return Err(io::Error::other(format!(
                        "no answer on port {port}\n{}",
                        self.log()
                    )));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // What answered may have been somebody else, on a port this server did not get.
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => {
                self.child = None;
                Err(io::Error::other(format!(
                    "ended at once: {status}\n{}",
                    self.log()
                )))
            }
            _ => Ok(()),
        }
    }

    /// `waxwing check` on the data folder; the error is its report.
    pub fn check(&self) -> io::Result<()> {
        self.cli(&["check"]).map(drop)
    }

    /// Leaves out the check on drop, for tests that damage the store on purpose.
    pub fn without_check(&mut self) {
        self.check_on_drop = false;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.stop();
        let checked = if self.check_on_drop {
            self.check()
        } else {
            Ok(())
        };
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
            return;
        }
        if let Err(why) = stopped.map(drop).and(checked) {
            panic!("the server did not end clean: {why}\n{}", self.log());
        }
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // The child is not reaped yet, so the id is still its own.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Doubles leading dots and ends with CRLF, without the final dot (RFC 5321 §4.5.2).
pub fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Eight ports that were free together a moment ago. They lie below those
/// that the kernel gives to clients, so that a restart finds them free.
fn free_ports() -> io::Result<Ports> {
    use std::hash::{BuildHasher, RandomState};
    let mut held = Vec::new();
    let mut ports = [0; 8];
    let mut tries = 0_u64;
    for port in &mut ports {
        *port = loop {
            tries += 1;
            let chance = RandomState::new().hash_one(tries) % 22_000;
            let candidate = 10_000 + u16::try_from(chance).unwrap_or_default();
            match TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)) {
                Ok(listener) => {
                    held.push(listener);
                    break candidate;
                }
                Err(_) if tries < 1_000 => {}
                Err(e) => return Err(e),
            }
        };
    }
    let [
        smtp,
        submission,
        submissions,
        lmtp,
        imap,
        imaps,
        pop3,
        pop3s,
    ] = ports;
    Ok(Ports {
        smtp,
        submission,
        submissions,
        lmtp,
        imap,
        imaps,
        pop3,
        pop3s,
    })
}

/// The text of `waxwing.toml`; settings are `table.key` or `key` with a TOML value.
fn configuration(
    ports: &Ports,
    folder: &Path,
    dns: &crate::dns::Server,
    settings: &[(String, String)],
) -> String {
    let quoted = |name: &str| format!("{:?}", folder.join(name).display().to_string());
    let listen = |port: u16| format!("[\"127.0.0.1:{port}\"]");
    let mut all: Vec<(String, String)> = [
        ("data", quoted("data")),
        ("hostname", format!("{HOST:?}")),
        ("tls.certificate", quoted("cert.pem")),
        ("tls.key", quoted("key.pem")),
        ("listen.smtp", listen(ports.smtp)),
        ("listen.submission", listen(ports.submission)),
        ("listen.submissions", listen(ports.submissions)),
        ("listen.lmtp", listen(ports.lmtp)),
        ("listen.imap", listen(ports.imap)),
        ("listen.imaps", listen(ports.imaps)),
        ("listen.pop3", listen(ports.pop3)),
        ("listen.pop3s", listen(ports.pop3s)),
        ("auth.cleartext_on_loopback", "true".to_owned()),
        ("auth.failures_per_minute", "0".to_owned()),
        ("dns.servers", dns.setting()),
        ("dns.dnssec", "\"off\"".to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for (key, value) in settings {
        all.retain(|(known, _)| known != key);
        all.push((key.clone(), value.clone()));
    }
    // Dotted keys at the top level need no order of tables.
    all.iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_and_the_end_is_a_line_end() {
        assert_eq!(dot_stuffed(b"a\r\n.b\r\n..\r\n"), b"a\r\n..b\r\n...\r\n");
        assert_eq!(dot_stuffed(b".x"), b"..x\r\n");
        assert_eq!(dot_stuffed(b""), b"");
    }

    #[test]
    fn a_setting_replaces_the_default() {
        let ports = free_ports().expect("ports");
        let settings = [("hostname".to_owned(), "\"other.test\"".to_owned())];
        let dns = crate::dns::Server::start().expect("a name server");
        let text = configuration(&ports, Path::new("/tmp/x"), &dns, &settings);
        assert_eq!(text.matches("hostname").count(), 1);
        assert!(text.contains("hostname = \"other.test\"\n"));
    }
}
