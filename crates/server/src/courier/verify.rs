//! What a server's certificate must prove, as a verifier for rustls.
//!
//! Invariant: the handshake is always signed with the certificate's key, also where nothing else is asked of it. What was
//! found is kept beside the verdict: a policy that only tests lets the connection live and reports the flaw.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::dane;
use crate::dns::Tlsa;

/// What a certificate must prove.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// Nothing.
    None,
    /// One of these names, by an authority the system trusts.
    Names(Vec<String>, Arc<RootCertStore>),
    /// That it fits one of these records; the names are for those of authorities.
    Dane(Vec<Tlsa>, Vec<String>),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The name that reports give it (RFC 8460 §4.3.1).
    pub(super) kind: &'static str,
    /// In words.
    pub(super) what: String,
}

impl Flaw {
    /// Of an error of rustls.
    pub(super) fn of(error: &rustls::Error) -> Flaw {
        use CertificateError as E;
        let kind = match error {
            rustls::Error::InvalidCertificate(found) => match found {
                E::Expired
                | E::ExpiredContext { .. }
                | E::NotValidYet
                | E::NotValidYetContext { .. } => "certificate-expired",
                E::NotValidForName | E::NotValidForNameContext { .. } => {
                    "certificate-host-mismatch"
                }
                E::UnknownIssuer | E::BadSignature => "certificate-not-trusted",
                // A certificate that is its own authority, and no authority of ours.
                E::Other(_) => "certificate-not-trusted",
                _ => "validation-failure",
            },
            _ => "validation-failure",
        };
        Flaw {
            kind,
            what: error.to_string(),
        }
    }
}

/// Checks certificates of one connection.
#[derive(Debug)]
pub(super) struct Verifier {
    proof: Proof,
    enforce: bool,
    provider: Arc<CryptoProvider>,
    found: Mutex<Option<Flaw>>,
}

impl Verifier {
    /// One that asks for `proof`, and ends the handshake without it if `enforce`.
    pub(super) fn new(proof: Proof, enforce: bool) -> Verifier {
        Verifier {
            proof,
            enforce,
            provider: Arc::new(ring::default_provider()),
            found: Mutex::new(None),
        }
    }

    /// What was wrong, enforced or not.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        let found = self.found.lock();
        found.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Flaw> {
        match &self.proof {
            Proof::None => Ok(()),
            Proof::Names(names, roots) => {
                dane::chain(Arc::clone(roots), leaf, others, names, now, &self.provider)
            }
            Proof::Dane(records, names) => {
                dane::check(records, leaf, others, names, now, &self.provider)
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Err(flaw) = self.check(leaf, others, now) {
            let refusal = rustls::Error::General(flaw.what.clone());
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(flaw);
            if self.enforce {
                return Err(refusal);
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
