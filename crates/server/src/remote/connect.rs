//! A connection to a server elsewhere, in the clear or under TLS, and how to log in there.
//!
//! Invariant: a password or token leaves only under TLS with a certificate that proves the server's name, to this machine
//! itself, or where [`Login::unencrypted`] says so.
//!
//! Limits: [`CONNECT_PATIENCE`] for each address and for the handshake; [`READ`] octets at once.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, Secret, nonce};

use super::{Address, Error};
use crate::roots::Roots;

/// How long one address may take to answer, and how long a handshake may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Octets read at once.
const READ: usize = 64 * 1024;

/// What proves who we are.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A password.
    Password(Secret),
    /// An access token of OAuth 2.0.
    Token(Secret),
}

/// Everything needed to log in.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where and who.
    pub address: Address,
    /// With what.
    pub credential: Credential,
    /// Whose certificates are believed.
    pub roots: Arc<RootCertStore>,
    /// STARTTLS is used on this machine as well, since certificates were named.
    pub roots_named: bool,
    /// The password may go through the net in the clear.
    pub unencrypted: bool,
}

/// How the connection is to be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first octet.
    Implicit,
    /// STARTTLS or STLS, or nothing is sent.
    Required,
    /// Used where it is offered.
    Offered,
    /// Not needed.
    None,
}

impl Login {
    /// The roots of a PEM file, or those of the system.
    pub fn roots(file: Option<&Path>) -> Result<Arc<RootCertStore>, Error> {
        let Some(file) = file else {
            return Ok(Roots::default().store());
        };
        let wrong =
            |why: &dyn std::fmt::Display| Error::Unsafe(format!("{}: {why}", file.display()));
        let octets = std::fs::read(file).map_err(|error| wrong(&error))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&octets) {
            // Old bundles hold certificates that rustls cannot use; the others count.
            let _ = roots.add(certificate.map_err(|error| wrong(&error))?);
        }
        match roots.is_empty() {
            true => Err(wrong(&"no certificate found")),
            false => Ok(Arc::new(roots)),
        }
    }

    /// How a connection to this peer is to be protected.
    pub(super) fn protection(&self, peer: SocketAddr) -> Protection {
        match (self.address.tls, self.unencrypted) {
            (true, _) => Protection::Implicit,
            // On this machine nobody listens in between, and its certificate is hardly one that others sign.
            (false, _) if peer.ip().to_canonical().is_loopback() && !self.roots_named => {
                Protection::None
            }
            (false, true) => Protection::Offered,
            (false, false) => Protection::Required,
        }
    }

    /// The strongest mechanism that both know.
    pub(super) fn mechanism(
        &self,
        offered: impl Fn(Mechanism) -> bool,
        stream: &Wire,
    ) -> Option<Mechanism> {
        let token = matches!(self.credential, Credential::Token(_));
        Mechanism::ALL.into_iter().find(|mechanism| {
            offered(*mechanism)
                && *mechanism != Mechanism::External
                && mechanism.is_token() == token
                && (*mechanism != Mechanism::ScramSha256Plus || stream.exporter().is_some())
                && (!mechanism.is_cleartext() || self.may_send_password(stream))
        })
    }

    /// Whether the password itself may go over this connection.
    pub(super) fn may_send_password(&self, stream: &Wire) -> bool {
        stream.is_tls() || stream.loopback || self.unencrypted
    }

    /// Begins an exchange.
    pub(super) fn exchange(
        &self,
        mechanism: Mechanism,
        plus_offered: bool,
        stream: &Wire,
    ) -> Exchange {
        let credentials = Credentials {
            authzid: None,
            user: self.address.user.clone(),
            password: self.secret().clone(),
        };
        let binding = ChannelBinding {
            tls_exporter: stream.exporter(),
            plus_advertised: plus_offered,
        };
        Exchange::new(
            mechanism,
            credentials,
            binding,
            nonce(crate::auth::random()),
        )
    }

    pub(super) fn secret(&self) -> &Secret {
        match &self.credential {
            Credential::Password(secret) | Credential::Token(secret) => secret,
        }
    }
}

enum Stream {
    Clear(TcpStream),
    /// Boxed: the state of TLS is a thousand octets.
    Tls(Box<TlsStream<TcpStream>>),
    /// While TLS is being started.
    Nothing,
}

/// Octets in both directions.
pub(super) struct Wire {
    stream: Stream,
    host: String,
    roots: Arc<RootCertStore>,
    /// The other end is this machine.
    pub(super) loopback: bool,
    /// How it is to be protected.
    pub(super) protection: Protection,
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects; under TLS where that is from the first octet.
    pub(super) async fn open(login: &Login) -> Result<Wire, Error> {
        let Address { host, port, .. } = &login.address;
        let unreachable = |error: &dyn std::fmt::Display| {
            Error::Broken(format!("no connection to {host}:{port}: {error}"))
        };
        let found = tokio::time::timeout(
            CONNECT_PATIENCE,
            tokio::net::lookup_host((host.as_str(), *port)),
        )
        .await;
        let addresses: Vec<SocketAddr> = found
            .map_err(|_| unreachable(&"the name is not found in time"))?
            .map_err(|error| unreachable(&error))?
            .collect();
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            let tcp =
                match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
                    Ok(Ok(tcp)) => tcp,
                    Ok(Err(error)) => {
                        last = error;
                        continue;
                    }
                    Err(_) => {
                        last = io::ErrorKind::TimedOut.into();
                        continue;
                    }
                };
            let _ = tcp.set_nodelay(true);
            let mut wire = Wire {
                stream: Stream::Clear(tcp),
                host: host.clone(),
                roots: Arc::clone(&login.roots),
                loopback: address.ip().to_canonical().is_loopback(),
                protection: login.protection(address),
                buffer: vec![0; READ],
            };
            if wire.protection == Protection::Implicit {
                wire.start_tls().await?;
            }
            return Ok(wire);
        }
        Err(unreachable(&last))
    }

    /// Shakes hands.
    pub(super) async fn start_tls(&mut self) -> Result<(), Error> {
        let Stream::Clear(tcp) = std::mem::replace(&mut self.stream, Stream::Nothing) else {
            return Err(Error::Hostile("starts TLS twice".to_owned()));
        };
        let bad =
            |why: &dyn std::fmt::Display| Error::Unsafe(format!("TLS with {}: {why}", self.host));
        let name = ServerName::try_from(self.host.clone()).map_err(|error| bad(&error))?;
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| bad(&error))?
                .with_root_certificates(Arc::clone(&self.roots))
                .with_no_client_auth();
        let shake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        match tokio::time::timeout(CONNECT_PATIENCE, shake).await {
            Ok(Ok(stream)) => self.stream = Stream::Tls(Box::new(stream)),
            // What breaks off may go better; what is wrong will be wrong again.
            Ok(Err(error)) if error.get_ref().is_none() => {
                return Err(Error::Broken(bad(&error).to_string()));
            }
            Ok(Err(error)) => return Err(bad(&error)),
            Err(_) => return Err(Error::Broken(bad(&"no answer").to_string())),
        }
        Ok(())
    }

    /// Whether nobody in between can listen.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// RFC 9266 §2, with TLS 1.3 alone.
    fn exporter(&self) -> Option<[u8; 32]> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let (_, state) = stream.get_ref();
        if state.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        let label = b"EXPORTER-Channel-Binding";
        state.export_keying_material([0; 32], label, Some(&[])).ok()
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, octets: &[u8], patience: Duration) -> Result<(), Error> {
        let writing = async {
            match &mut self.stream {
                Stream::Clear(stream) => {
                    stream.write_all(octets).await?;
                    stream.flush().await
                }
                Stream::Tls(stream) => {
                    stream.write_all(octets).await?;
                    stream.flush().await
                }
                Stream::Nothing => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        match tokio::time::timeout(patience, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Broken(format!("the connection broke: {error}"))),
            Err(_) => Err(Error::Broken(
                "the server takes nothing any more".to_owned(),
            )),
        }
    }

    /// Reads what has come; waits until something has. `None` when nothing came in time.
    pub(super) async fn read(&mut self, patience: Duration) -> Result<Option<&[u8]>, Error> {
        let reading = async {
            match &mut self.stream {
                Stream::Clear(stream) => stream.read(&mut self.buffer).await,
                Stream::Tls(stream) => stream.read(&mut self.buffer).await,
                Stream::Nothing => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        match tokio::time::timeout(patience, reading).await {
            Err(_) => Ok(None),
            Ok(Ok(0)) => Err(Error::Broken("the server closed the connection".to_owned())),
            Ok(Ok(read)) => Ok(Some(self.buffer.get(..read).unwrap_or_default())),
            Ok(Err(error)) => Err(Error::Broken(format!("the connection broke: {error}"))),
        }
    }
}
