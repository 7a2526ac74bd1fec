//! `waxwing.toml`: what must be known before the store is open. Everything else lives in the store.
//!
//! Owns: the types of the configuration, its reading with errors that name file, line and key, and the commented
//! file that `waxwing setup` writes. All mistakes of a file are reported together.
//!
//! Invariant: a [`Config`] that exists is possible; nobody checks its values again.

mod imap;
mod outbound;
mod pop3;
mod read;
mod smtp;
mod template;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use imap::{Every, ImapOptions, MessageLimit};
pub use outbound::{CourierOptions, DnsOptions, Dnssec, Pattern, Route, RouteTls, route};
pub use pop3::{Deleted, Expire, Pop3Options};
pub use smtp::{Introspection, Oidc, Proxy, Smtp, Submission};
pub use template::template;

/// The folders searched for `waxwing.toml` when none is named.
pub const SEARCH: [&str; 2] = ["waxwing.toml", "/etc/waxwing/waxwing.toml"];

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from; none for the demonstration.
    pub file: Option<PathBuf>,
    /// The name this server greets with.
    pub hostname: String,
    /// The data folder.
    pub data: PathBuf,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Certificate and key.
    pub tls: TlsFiles,
    /// How clients prove who they are.
    pub auth: AuthOptions,
    /// How SMTP is spoken with other servers.
    pub smtp: Smtp,
    /// How mail of our users is taken.
    pub submission: Submission,
    /// Proxies that tell who the client is.
    pub proxy: Proxy,
    /// How strangers are treated.
    pub strangers: crate::strangers::Options,
    /// Programs that look at messages.
    pub filters: crate::filter::Options,
    /// What may be used up.
    pub limits: Limits,
    /// What IMAP does.
    pub imap: ImapOptions,
    /// What POP3 does.
    pub pop3: Pop3Options,
    /// The language of answers that the administrator prefers; one of [`crate::language::TAGS`].
    pub language: &'static str,
    /// What is done for clients that break the rules.
    pub quirks: crate::quirks::Quirks,
    /// How mail from other servers is judged.
    pub reception: crate::judge::Options,
    /// How outgoing mail is tried.
    pub queue: crate::courier::QueueOptions,
    /// Name servers.
    pub dns: DnsOptions,
    /// How mail leaves.
    pub courier: CourierOptions,
    /// Where mail of which domain goes.
    pub routes: Vec<Route>,
    /// What is logged, as a filter of `tracing`: `info`, `waxwing=debug`.
    pub log: String,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// SMTP from other servers (RFC 5321), with STARTTLS.
    Smtp,
    /// Submission by users (RFC 6409), with STARTTLS.
    Submission,
    /// Submission over TLS (RFC 8314).
    Submissions,
    /// LMTP (RFC 2033).
    Lmtp,
    /// IMAP with STARTTLS.
    Imap,
    /// IMAP over TLS (RFC 8314).
    Imaps,
    /// POP3 with STLS.
    Pop3,
    /// POP3 over TLS (RFC 8314).
    Pop3s,
}

impl Service {
    /// All services.
    pub const ALL: [Service; 8] = [
        Service::Smtp,
        Service::Submission,
        Service::Submissions,
        Service::Lmtp,
        Service::Imap,
        Service::Imaps,
        Service::Pop3,
        Service::Pop3s,
    ];

    /// Its key in the table `listen`, and its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Submissions => "submissions",
            Service::Lmtp => "lmtp",
            Service::Imap => "imap",
            Service::Imaps => "imaps",
            Service::Pop3 => "pop3",
            Service::Pop3s => "pop3s",
        }
    }

    /// Whether TLS starts before the protocol does.
    pub fn is_implicit_tls(self) -> bool {
        matches!(self, Service::Submissions | Service::Imaps | Service::Pop3s)
    }

    /// The protocol name in ALPN: registered for IMAP and POP3, used by nobody else for SMTP. A client that names
    /// only others (a browser with `http/1.1`) is refused in the handshake.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Service::Smtp | Service::Submission | Service::Submissions => b"smtp",
            Service::Lmtp => b"lmtp",
            Service::Imap | Service::Imaps => b"imap",
            Service::Pop3 | Service::Pop3s => b"pop3",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a listener waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket; LMTP only.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What it speaks.
    pub service: Service,
    /// Where.
    pub address: Address,
}

/// The files of certificate and key; PEM. Where both are the default ones and absent, a self-signed certificate is
/// made at the first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates that sign those of clients, for EXTERNAL; none asks clients for nothing.
    pub client_ca: Option<PathBuf>,
    /// Whether the paths are the defaults in the data folder.
    pub own: bool,
}

/// How clients prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthOptions {
    /// Whether clients on this machine may send passwords without TLS.
    pub cleartext_on_loopback: bool,
    /// Failed logins per minute and network (an IPv4 address or an IPv6 /64), over all protocols; 0 is unlimited.
    pub failures_per_minute: u32,
    /// Who issues tokens; none leaves OAUTHBEARER and XOAUTH2 out.
    pub oidc: Option<Oidc>,
}

impl Default for AuthOptions {
    fn default() -> AuthOptions {
        AuthOptions {
            cleartext_on_loopback: false,
            failures_per_minute: 10,
            oidc: None,
        }
    }
}

/// What may be used up. SIGHUP changes these; sessions in progress keep theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest message, in octets.
    pub message_size: u64,
    /// Memory for messages in flight over all sessions, in octets.
    pub memory: u64,
    /// Connections in all. Each costs a descriptor and some ten KiB.
    pub connections: usize,
    /// Connections from one network (an IPv4 address or an IPv6 /64); this machine is exempt, because proxies and
    /// local programs all come from one address.
    pub connections_per_network: usize,
    /// Recipients of one message. RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub recipients: usize,
    /// What an account may send to other servers in a day.
    pub daily: crate::pipeline::daily::Daily,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // What the big providers take, after base64 some 36 MiB of attachments.
            message_size: 50 << 20,
            // Five of the largest messages, or thousands of common ones.
            memory: 256 << 20,
            connections: 16_000,
            // A household or small office behind one address.
            connections_per_network: 50,
            recipients: 1_000,
            // More than anybody writes, and less than whoever steals a password wants.
            daily: crate::pipeline::daily::Daily {
                messages: 1_000,
                strangers: 200,
            },
        }
    }
}

/// A mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its line, from 1.
    pub line: usize,
    /// The key with its table, `limits.connections`; empty for a mistake of the file's form.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// No file was named and none is at the usual places.
    #[error(
        "no configuration: neither ./waxwing.toml nor /etc/waxwing/waxwing.toml exists; `waxwing setup DOMAIN` writes one, `--config FILE` names another"
    )]
    Missing,
    /// The file's text is wrong.
    #[error("{}", list(file, mistakes))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// All that is wrong, in order of lines.
        mistakes: Vec<Mistake>,
    },
}

fn list(file: &Path, mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|m| match m.key.as_str() {
            "" => format!("{}:{}: {}", file.display(), m.line, m.what),
            key => format!("{}:{}: {key}: {}", file.display(), m.line, m.what),
        })
        .collect();
    lines.join("\n")
}

impl Config {
    /// Reads `file`, or without one the first of [`SEARCH`] that exists.
    pub fn load(file: Option<&Path>) -> Result<Config, Error> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => SEARCH
                .iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
                .ok_or(Error::Missing)?,
        };
        match std::fs::read_to_string(&file) {
            Ok(text) => Config::parse(&text, &file),
            Err(error) => Err(Error::Unreadable { file, error }),
        }
    }

    /// Reads the text of `file`. Relative paths in it start at the file's folder.
    pub fn parse(text: &str, file: &Path) -> Result<Config, Error> {
        read::config(text, file).map_err(|mistakes| Error::Wrong {
            file: file.to_owned(),
            mistakes,
        })
    }
}

impl TlsFiles {
    /// The default files in a data folder.
    pub fn in_folder(data: &Path) -> TlsFiles {
        TlsFiles {
            certificate: data.join("tls/certificate.pem"),
            key: data.join("tls/key.pem"),
            client_ca: None,
            own: true,
        }
    }
}
