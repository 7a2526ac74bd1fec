//! The blocking connection of `waxwing send`: TCP, and TLS on top of it when asked for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use smtp::client::Session;

use crate::cli::Result;

/// How long connecting may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Where systems keep the certificates they trust.
const SYSTEM_TRUST: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whose certificates are taken.
pub(super) enum Trust {
    Roots(RootCertStore),
    /// The certificate file to read when TLS is really started; absent on many small systems.
    System,
    Anybody,
}

/// What the arguments say about trust.
pub(super) fn trust(ca: Option<&Path>, insecure: bool) -> Result<Trust> {
    match (insecure, ca) {
        (true, _) => Ok(Trust::Anybody),
        (false, Some(file)) => Ok(Trust::Roots(roots(file)?)),
        (false, None) => Ok(Trust::System),
    }
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let octets = std::fs::read(file).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&octets) {
        // Old bundles hold certificates that rustls cannot use; the others count.
        let _ = roots.add(certificate.map_err(|error| wrong(&error))?);
    }
    if roots.is_empty() {
        return Err(wrong(&"no certificate found").into());
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = named.or_else(|| {
        SYSTEM_TRUST
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
    });
    let file =
        found.ok_or("this system has no certificates to trust; use --ca FILE or --insecure")?;
    roots(&file)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub(super) fn host_and_port(server: &str, default: u16) -> Result<(String, u16)> {
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("{server:?}: {text:?} is no port"))
    };
    if let Some(rest) = server.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| format!("{server:?}: `]` is missing"))?;
        return match rest.strip_prefix(':') {
            Some(text) => Ok((host.to_owned(), port(text)?)),
            None => Ok((host.to_owned(), default)),
        };
    }
    match server.split_once(':') {
        Some((host, text)) if !text.contains(':') => Ok((host.to_owned(), port(text)?)),
        _ => Ok((server.to_owned(), default)),
    }
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<rustls::StreamOwned<ClientConnection, TcpStream>>),
    /// While TLS is being started.
    Nothing,
}

/// One connection.
pub(super) struct Connection {
    stream: Stream,
    host: String,
    loopback: bool,
    trust: Trust,
}

impl Connection {
    pub(super) fn open(host: &str, port: u16, trust: Trust) -> Result<Connection> {
        let unreachable = |error: &io::Error| format!("{host}:{port}: {error}");
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|error| unreachable(&error))?;
        let mut last = io::Error::from(ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(Connection {
                        stream: Stream::Clear(stream),
                        host: host.to_owned(),
                        loopback: address.ip().to_canonical().is_loopback(),
                        trust,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(&last).into())
    }

    /// Shakes hands.
    pub(super) fn start_tls(&mut self) -> Result {
        let Stream::Clear(mut socket) = std::mem::replace(&mut self.stream, Stream::Nothing) else {
            return Err("TLS was started twice".into());
        };
        socket.set_read_timeout(Some(CONNECT_PATIENCE))?;
        let name = ServerName::try_from(self.host.clone())?;
        let mut tls = ClientConnection::new(self.client_config()?, name)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)
                .map_err(|error| format!("TLS: {error}"))?;
        }
        self.stream = Stream::Tls(Box::new(rustls::StreamOwned::new(tls, socket)));
        Ok(())
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match &self.trust {
            Trust::Roots(roots) => builder
                .with_root_certificates(roots.clone())
                .with_no_client_auth(),
            Trust::System => builder
                .with_root_certificates(system_roots()?)
                .with_no_client_auth(),
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// RFC 9266 §2, with TLS 1.3 alone.
    pub(super) fn exporter(&self) -> Option<[u8; 32]> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        if stream.conn.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return None;
        }
        stream
            .conn
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]))
            .ok()
    }

    /// Whether nobody in between can listen.
    pub(super) fn is_protected(&self) -> bool {
        self.loopback || matches!(self.stream, Stream::Tls(_))
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, session: &mut Session) -> Result {
        let stream = self.stream.io()?;
        while let Some(octets) = session.transmit() {
            stream.write_all(&octets)?;
        }
        Ok(stream.flush()?)
    }

    /// Writes what waits, then reads what comes.
    pub(super) fn exchange(&mut self, session: &mut Session) -> Result {
        self.flush(session)?;
        self.socket()?.set_read_timeout(Some(session.timeout()))?;
        let mut octets = [0; 4096];
        match self.stream.io()?.read(&mut octets) {
            Ok(0) => Err("the server closed the connection".into()),
            Ok(read) => {
                session.receive(octets.get(..read).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                session.handle_timeout();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn socket(&self) -> Result<&TcpStream> {
        match &self.stream {
            Stream::Clear(socket) => Ok(socket),
            Stream::Tls(stream) => Ok(&stream.sock),
            Stream::Nothing => Err("the connection is gone".into()),
        }
    }
}

/// What both kinds of stream can.
trait Io: Read + Write {}
impl<T: Read + Write> Io for T {}

impl Stream {
    fn io(&mut self) -> Result<&mut dyn Io> {
        match self {
            Stream::Clear(socket) => Ok(socket),
            Stream::Tls(stream) => Ok(stream.as_mut()),
            Stream::Nothing => Err("the connection is gone".into()),
        }
    }
}

/// Takes any certificate; the handshake still has to be signed with its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let read = |text| host_and_port(text, 25).ok();
        assert_eq!(read("mx.example"), Some(("mx.example".into(), 25)));
        assert_eq!(read("mx.example:587"), Some(("mx.example".into(), 587)));
        assert_eq!(read("[::1]:2525"), Some(("::1".into(), 2525)));
        assert_eq!(read("::1"), Some(("::1".into(), 25)));
        for wrong in ["mx.example:smtp", "[::1", "x:99999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
