//! A certificate for the server under test and a client that trusts it alone.

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

/// The name in the certificate.
pub const HOST: &str = "mail.waxwing.test";

/// A TLS connection of a test.
pub type ClientStream = StreamOwned<ClientConnection, TcpStream>;

/// A self-signed certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, PEM.
    pub key_pem: String,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
}

impl Identity {
    /// A new identity for [`HOST`] and `localhost`.
    pub fn generate() -> io::Result<Identity> {
        Identity::named(&[HOST, "localhost", "127.0.0.1"])
    }

    /// A new identity with these names.
    pub fn named(names: &[&str]) -> io::Result<Identity> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        Ok(Identity {
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            certificate: made.cert.der().to_vec(),
        })
    }
}

/// Does the handshake as a client.
pub fn connect(mut stream: TcpStream, certificate: &[u8]) -> io::Result<ClientStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(certificate.to_vec()))
        .map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}
