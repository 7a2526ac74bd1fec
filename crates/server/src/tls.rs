//! Certificates: read, checked, made at the first start, exchanged while running.
//!
//! Invariant: what is in force was read whole and fits together; a bad file leaves it in force. Each protocol has its
//! own rustls configuration with its own ticket keys and ALPN name, so that a session of one is never resumed on
//! another (attack A10) and a browser is turned away in the handshake (A9). What submission, IMAP and POP3 ask of
//! clients (a certificate of their own, where `tls.client_ca` is set) mail servers are not asked, so reception shares no
//! tickets with submission; rustls itself takes a ticket for the name alone that it was given for.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Service, TlsFiles};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// rustls refuses certificate and key.
    #[error("{} and {} do not fit together: {error}", certificate.display(), key.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// A self-signed certificate could not be made.
    #[error("no self-signed certificate could be made: {0}")]
    Generate(#[from] rcgen::Error),
}

type Configs = BTreeMap<&'static str, Arc<ServerConfig>>;

/// The TLS of all services.
#[derive(Debug)]
pub struct Tls {
    current: RwLock<Arc<Configs>>,
}

impl Tls {
    /// Reads the files; where they are the default ones and both absent, makes them for `hostname` first.
    pub fn load(files: &TlsFiles, hostname: &str) -> Result<Tls, Error> {
        if files.own && !files.certificate.exists() && !files.key.exists() {
            generate(files, hostname)?;
        }
        Ok(Tls {
            current: RwLock::new(Arc::new(configs(files)?)),
        })
    }

    /// Reads the files again. After an error the old ones stay in force.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), Error> {
        let configs = Arc::new(configs(files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(())
    }

    /// The configuration for a connection to `service`.
    pub fn config(&self, service: Service) -> Option<Arc<ServerConfig>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.get(group(service)).cloned()
    }
}

fn configs(files: &TlsFiles) -> Result<Configs, Error> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key)?;
    let clients = match &files.client_ca {
        Some(file) => Some(clients(file)?),
        None => None,
    };
    let mut configs = Configs::new();
    for service in Service::ALL {
        let group = group(service);
        if configs.contains_key(group) {
            continue;
        }
        // Mail servers have certificates of their own kind, which prove nothing to us.
        let clients = clients
            .clone()
            .filter(|_| !matches!(service, Service::Smtp | Service::Lmtp));
        let mismatch = |error| Error::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            error,
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(mismatch)?
            .with_client_cert_verifier(
                clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth),
            );
        let mut config = builder
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(mismatch)?;
        config.alpn_protocols = vec![service.alpn().to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(mismatch)?;
        configs.insert(group, Arc::new(config));
    }
    Ok(configs)
}

/// Services that share tickets: the same protocol, with or without STARTTLS.
fn group(service: Service) -> &'static str {
    match service {
        Service::Smtp => "smtp",
        Service::Submission | Service::Submissions => "submission",
        Service::Imap | Service::Imaps => "imap",
        Service::Pop3 | Service::Pop3s => "pop3",
        Service::Lmtp => "lmtp",
    }
}

/// Checks certificates of clients that have one; who has none logs in otherwise.
fn clients(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let content = |what: String| Error::Content {
        file: file.to_owned(),
        what,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| content(format!("holds what signs no certificates: {error}")))?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| content(error.to_string()))
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| Error::File {
        file: file.to_owned(),
        error,
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let content = |what: String| Error::Content {
        file: file.to_owned(),
        what,
    };
    let pem = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(content("holds no certificate; PEM is needed".to_owned()))
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(content(format!("is not PEM: {error}"))),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = zeroize::Zeroizing::new(read(file)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| Error::Content {
        file: file.to_owned(),
        what: format!("holds no private key: {error}"),
    })
}

/// Makes a self-signed certificate. The key is in place, with its mode, before the certificate.
fn generate(files: &TlsFiles, hostname: &str) -> Result<(), Error> {
    let names = vec![
        hostname.to_owned(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let mut params = rcgen::CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, hostname);
    let key = rcgen::KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let secret = zeroize::Zeroizing::new(key.serialize_pem());
    write(&files.key, secret.as_bytes(), 0o600)?;
    write(&files.certificate, certificate.pem().as_bytes(), 0o644)
}

/// Writes a new file durably.
fn write(file: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let attempt = || -> io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(file)?;
        out.write_all(content)?;
        out.sync_all()?;
        fs::File::open(folder)?.sync_all()
    };
    attempt().map_err(|error| Error::File {
        file: file.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn makes_keeps_and_reloads() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles::in_folder(folder.path());
        let tls = Tls::load(&files, "mail.example.test").unwrap();
        let mode = fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let made = fs::read(&files.certificate).unwrap();
        Tls::load(&files, "other.example.test").unwrap();
        assert_eq!(
            fs::read(&files.certificate).unwrap(),
            made,
            "the second start keeps it"
        );

        let before = tls.config(Service::Imaps).unwrap();
        fs::write(&files.certificate, "nonsense").unwrap();
        let error = tls.reload(&files).unwrap_err().to_string();
        assert!(
            error.contains("certificate.pem") && error.contains("holds no certificate"),
            "{error}"
        );
        assert!(
            Arc::ptr_eq(&before, &tls.config(Service::Imap).unwrap()),
            "the old one stays"
        );
        fs::write(&files.certificate, &made).unwrap();
        tls.reload(&files).unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.config(Service::Imap).unwrap()));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut first, second) = (
            TlsFiles::in_folder(one.path()),
            TlsFiles::in_folder(two.path()),
        );
        Tls::load(&first, "a.example.test").unwrap();
        Tls::load(&second, "b.example.test").unwrap();
        first.key = second.key;
        let error = Tls::load(&first, "a.example.test").unwrap_err().to_string();
        assert!(error.contains("do not fit together"), "{error}");
    }

    #[test]
    fn services_have_their_own_names() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::load(&TlsFiles::in_folder(folder.path()), "a.example.test").unwrap();
        assert_eq!(
            tls.config(Service::Imaps).unwrap().alpn_protocols,
            [b"imap".to_vec()]
        );
        assert_eq!(
            tls.config(Service::Smtp).unwrap().alpn_protocols,
            [b"smtp".to_vec()]
        );
        assert_eq!(
            tls.config(Service::Lmtp).unwrap().alpn_protocols,
            [b"lmtp".to_vec()]
        );
    }

    /// A10: what one service gives out, another does not take; and no ticket outlives a change of what clients are asked.
    #[test]
    fn a10_tickets_are_for_one_service() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = TlsFiles::in_folder(folder.path());
        let tls = Tls::load(&files, "a.example.test").unwrap();
        let services = [
            Service::Smtp,
            Service::Submission,
            Service::Imaps,
            Service::Pop3,
        ];
        for from in services {
            let ticket = tls
                .config(from)
                .unwrap()
                .ticketer
                .encrypt(b"state")
                .unwrap();
            for to in services {
                let read = tls.config(to).unwrap().ticketer.decrypt(&ticket);
                assert_eq!(read.is_some(), from == to, "{from} {to}");
            }
        }
        let submissions = tls.config(Service::Submissions).unwrap();
        let ticket = submissions.ticketer.encrypt(b"state").unwrap();
        assert!(Arc::ptr_eq(
            &submissions,
            &tls.config(Service::Submission).unwrap()
        ));
        files.client_ca = Some(files.certificate.clone());
        tls.reload(&files).unwrap();
        let changed = tls.config(Service::Submissions).unwrap();
        assert!(changed.ticketer.decrypt(&ticket).is_none());
    }
}
