//! Names looked up: every question this server asks the DNS goes through [`Dns`].
//!
//! Owns: the resolvers with their cache, whose word counts about DNSSEC, and what a caller may get from an answer.
//!
//! Invariants: an answer is `secure` only if each record of it and each alias on the way was validated, here or by a
//! resolver that the configuration trusts. A failure is never "no such name": what did not answer, refused, or answered with
//! bad signatures is [`Error::Temporary`] or [`Error::Bogus`], and nobody bounces a message for these. Special names such as
//! `test.` are asked for like all others.
//!
//! Behind a resolver that takes DNSSEC out of its answers nothing could be validated and all mail would wait: [`probe`] finds
//! that out, and then every answer is insecure, as if `dns.dnssec` were off.
//!
//! Limits: [`IN_FLIGHT`] questions at once, [`PATIENCE`] for each, [`RECORDS`] records and [`ADDRESSES`] addresses of an
//! answer, [`ALIASES`] aliases on the way. What validation may cost is bounded by the resolver library (signatures per record
//! set, depth, NSEC3 iterations).

mod probe;
mod tolerant;
mod trust;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use mail_auth::MessageAuthenticator;
use tokio::sync::Semaphore;

use crate::config::{DnsOptions, Dnssec};
use probe::Probe;
use tolerant::Tolerant;
use trust::TrustingResolver;

/// Questions under way at once. A resolver that answers nothing then holds some hundred KiB, and those that wait for it do so
/// here rather than in sockets.
const IN_FLIGHT: usize = 512;

/// How long one question may take with its retries and all that validating its answer asks for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one server may take for one packet.
const PACKET_PATIENCE: Duration = Duration::from_secs(4);

/// Records taken from an answer: nobody needs more, and work is done for each.
const RECORDS: usize = 100;

/// Addresses of one host: each costs a connection attempt.
const ADDRESSES: usize = 10;

/// Aliases followed.
const ALIASES: usize = 16;

/// Answers kept. Some hundred octets each.
const CACHE: u64 = 16_384;

/// What a name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records, in the order in which they came.
    pub records: Vec<T>,
    /// Whether DNSSEC vouches for all of this.
    pub secure: bool,
    /// The name that has the records, behind all aliases: lower case, A-labels, without the last dot.
    pub canonical: String,
    /// Where the name is an alias: whether DNSSEC vouches for the first step, wherever the last leads.
    pub alias: Option<bool>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name does not exist.
    #[error("there is no such name")]
    NotFound,
    /// The name exists and has no such record.
    #[error("the name has no such record")]
    NoData,
    /// No server answered, or only with a failure.
    #[error("{0}")]
    Temporary(String),
    /// The answer's signatures are missing or wrong: it may be forged.
    #[error("the answer fails DNSSEC validation")]
    Bogus,
}

impl Error {
    /// Whether the DNS says that there is nothing, as opposed to saying nothing.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::NotFound | Error::NoData)
    }
}

/// An MX record (RFC 5321 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host; empty for the null MX (RFC 7505 §3).
    pub host: String,
}

/// A TLSA record (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

/// The resolvers could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `trust` without a resolver to trust.
    #[error(
        "dnssec = \"trust\" needs a resolver on this machine or one listed in dns.servers; the system's is {0}"
    )]
    Untrusted(IpAddr),
    /// The library refuses.
    #[error("{0}")]
    Library(String),
}

/// The resolvers of a server.
pub struct Dns {
    /// Sender authentication, which does not rest on DNSSEC, asks by itself.
    authenticator: MessageAuthenticator,
    /// Does not validate.
    plain: Resolver<Tolerant>,
    checked: Checked,
    slots: Semaphore,
}

enum Checked {
    Off,
    Trust(Box<TrustingResolver>),
    Validate(Box<Resolver<Tolerant>>, Probe),
}

impl Dns {
    /// Resolvers as configured. Nothing is asked yet.
    pub fn new(options: &DnsOptions) -> Result<Dns, SetupError> {
        let servers = match options.servers.as_slice() {
            [] => system_servers(),
            listed => listed.to_vec(),
        };
        let authenticator =
            TokioResolver::builder_with_config(config(&servers), TokioRuntimeProvider::default())
                .with_options(resolver_options(false))
                .with_tls_config(no_tls())
                .build()
                .map_err(library)?;
        let provider = Tolerant::default();
        let plain = Resolver::builder_with_config(config(&servers), provider.clone())
            .with_options(resolver_options(false))
            .with_tls_config(no_tls())
            .build()
            .map_err(library)?;
        let checked = match options.dnssec {
            Dnssec::Off => Checked::Off,
            Dnssec::Trust => {
                let remote = servers.iter().find(|server| !server.ip().is_loopback());
                match remote {
                    Some(remote) if options.servers.is_empty() => {
                        return Err(SetupError::Untrusted(remote.ip()));
                    }
                    _ => {}
                }
                Checked::Trust(Box::new(trust::resolver(config(&servers))?))
            }
            Dnssec::Validate => {
                let anchors = match &options.trust_anchor {
                    None => TrustAnchors::default(),
                    Some(text) => TrustAnchors::from_str(text).map_err(library)?,
                };
                let resolver = Resolver::builder_with_config(config(&servers), provider)
                    .with_options(resolver_options(true))
                    .with_tls_config(no_tls())
                    .with_trust_anchor(Arc::new(anchors))
                    .build()
                    .map_err(library)?;
                Checked::Validate(Box::new(resolver), Probe::new(servers))
            }
        };
        Ok(Dns {
            authenticator: MessageAuthenticator(authenticator),
            plain,
            checked,
            slots: Semaphore::new(IN_FLIGHT),
        })
    }

    /// What checks SPF, DKIM, DMARC and ARC, over the same servers.
    pub fn authenticator(&self) -> &MessageAuthenticator {
        &self.authenticator
    }

    /// The MX records of a domain.
    pub async fn mx(&self, name: &str) -> Result<Answer<Mx>, Error> {
        self.records(name, RecordType::MX, |data| match data {
            RData::MX(mx) => Some(Mx {
                preference: mx.preference,
                host: text(&mx.exchange),
            }),
            _ => None,
        })
        .await
    }

    /// The IPv4 addresses of a name alone: what lists answer with (RFC 5782 §2.1).
    pub async fn ipv4(&self, name: &str) -> Result<Answer<Ipv4Addr>, Error> {
        self.records(name, RecordType::A, |data| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .await
    }

    /// The addresses of a host, IPv6 before IPv4. Where one family does not answer, the other's addresses serve.
    pub async fn addresses(&self, name: &str) -> Result<Answer<IpAddr>, Error> {
        let six = self.records(name, RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        let four = self.records(name, RecordType::A, |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        let (six, four) = tokio::join!(six, four);
        match (six, four) {
            (Ok(mut six), Ok(mut four)) => {
                // Neither family may crowd out the other.
                six.records.truncate(ADDRESSES / 2);
                four.records.truncate(ADDRESSES / 2);
                six.records.append(&mut four.records);
                six.secure &= four.secure;
                Ok(six)
            }
            (Ok(mut one), Err(_)) | (Err(_), Ok(mut one)) => {
                one.records.truncate(ADDRESSES);
                Ok(one)
            }
            (Err(six), Err(four)) if six.is_absence() => Err(four),
            (Err(six), Err(_)) => Err(six),
        }
    }

    /// The TLSA records at a name such as `_25._tcp.mx.example.org`.
    pub async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, Error> {
        self.records(name, RecordType::TLSA, |data| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        })
        .await
    }

    /// The TXT records of a name, the strings of each put together.
    pub async fn txt(&self, name: &str) -> Result<Answer<Vec<u8>>, Error> {
        self.records(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// The names of an address.
    #[allow(dead_code, reason = "lists of senders ask for it")]
    pub async fn ptr(&self, ip: IpAddr) -> Result<Answer<String>, Error> {
        let name = text(&Name::from(ip));
        self.records(&name, RecordType::PTR, |data| match data {
            RData::PTR(ptr) => Some(text(&ptr.0)),
            _ => None,
        })
        .await
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, Error> {
        // What is no name has no records.
        let name = fqdn(name).ok_or(Error::NotFound)?;
        let lookup = tokio::time::timeout(PATIENCE, self.ask(&name, kind)).await;
        match lookup {
            Ok(Ok(lookup)) => answer(&lookup, name, kind, pick),
            Ok(Err(error)) => Err(failure(error)),
            Err(_) => Err(Error::Temporary("no name server answers".to_owned())),
        }
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Lookup, NetError> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        match &self.checked {
            Checked::Trust(resolver) => resolver.lookup(name.clone(), kind).await,
            Checked::Validate(resolver, probe) if !probe.is_stripped().await => {
                resolver.lookup(name.clone(), kind).await
            }
            Checked::Off | Checked::Validate(..) => self.plain.lookup(name.clone(), kind).await,
        }
    }
}

/// What an answer holds for `name`, its aliases followed.
fn answer<T>(
    lookup: &Lookup,
    name: Name,
    kind: RecordType,
    pick: impl Fn(&RData) -> Option<T>,
) -> Result<Answer<T>, Error> {
    let mut canonical = name;
    let mut secure = true;
    let mut first = None;
    for _ in 0..ALIASES {
        let alias = lookup
            .answers()
            .iter()
            .find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == canonical => Some((target, record.proof)),
                _ => None,
            });
        let Some((target, proof)) = alias else {
            break;
        };
        secure &= proof == Proof::Secure;
        first.get_or_insert(secure);
        canonical = target.0.clone();
    }
    let mut records = Vec::new();
    for record in lookup.answers() {
        if record.record_type() != kind || record.name != canonical {
            continue;
        }
        secure &= record.proof == Proof::Secure;
        if records.len() < RECORDS {
            records.extend(pick(&record.data));
        }
    }
    if records.is_empty() {
        return Err(Error::NoData);
    }
    Ok(Answer {
        records,
        secure,
        canonical: text(&canonical),
        alias: first,
    })
}

fn failure(error: NetError) -> Error {
    let absence = |code| match code {
        ResponseCode::NXDomain => Error::NotFound,
        ResponseCode::NoError => Error::NoData,
        code => Error::Temporary(format!("the name server says {code}")),
    };
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => absence(none.response_code),
        // Nothing there, in a zone that cannot prove it and need not.
        NetError::Dns(DnsError::Nsec {
            response,
            proof: Proof::Insecure | Proof::Secure,
            ..
        }) => absence(response.metadata.response_code),
        NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus) => Error::Bogus,
        NetError::Dns(DnsError::ResponseCode(code)) => {
            Error::Temporary(format!("the name server says {code}"))
        }
        NetError::Timeout => Error::Temporary("no name server answers".to_owned()),
        error => Error::Temporary(error.to_string()),
    }
}

/// A name from its root. A-labels only; what cannot be a name of the DNS is none.
fn fqdn(name: &str) -> Option<Name> {
    if name.is_empty() || !name.is_ascii() {
        return None;
    }
    let mut name = Name::from_str_relaxed(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Lower case and without the last dot; the root is empty.
fn text(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

fn library(error: impl std::fmt::Display) -> SetupError {
    SetupError::Library(error.to_string())
}

/// The system's resolvers; without any the one on this machine, as the C library does.
fn system_servers() -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    match hickory_resolver::system_conf::read_system_conf() {
        Ok((config, _)) => {
            for server in config.name_servers() {
                let port = server.connections.first().map_or(53, |one| one.port);
                servers.push(SocketAddr::new(server.ip, port));
            }
        }
        Err(error) => tracing::warn!(%error, "/etc/resolv.conf cannot be used"),
    }
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    }
    servers.dedup();
    servers
}

fn config(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut one| {
            one.port = server.port();
            one
        });
        NameServerConfig::new(server.ip(), true, connections.to_vec())
    });
    ResolverConfig::from_name_servers(servers.collect())
}

fn resolver_options(validate: bool) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = PACKET_PATIENCE;
    options.attempts = 2;
    options.validate = validate;
    options.cache_size = CACHE;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
    // A wrong answer is not kept for long, however long its owner wants it.
    options.positive_max_ttl = Some(Duration::from_secs(86_400));
    options.negative_max_ttl = Some(Duration::from_secs(900));
    options
}

/// Nothing is asked over TLS; without this the library would read the system's certificates for each resolver.
fn no_tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    match builder.with_protocol_versions(&versions) {
        Ok(builder) => builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
        // The provider is fixed and has both versions.
        Err(error) => unreachable!("{error}"),
    }
}
