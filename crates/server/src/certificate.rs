//! What a certificate says: for whom it is, until when, and the hash that DANE wants of it. And the alarm before it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use store::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::shared::Shared;

/// From here on before its end everybody is told. ACME clients renew 30 days before; who still has the old one after
/// half of that has a broken renewal.
pub const ALARM: Timestamp = 14 * DAY;

const DAY: Timestamp = 24 * 3600;

/// How often the alarm looks.
const WATCH: Duration = Duration::from_secs(6 * 3600);

/// What there is to know of the first certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The names it is for, lower case.
    pub names: Vec<String>,
    /// From when.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Whether nobody but itself vouches for it.
    pub self_signed: bool,
    /// SHA-256 of its public key: TLSA 3 1 1 (RFC 7672 §3.1.1).
    pub spki_sha256: [u8; 32],
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, String),
    /// It is no certificate.
    #[error("this is no certificate: {0}")]
    Form(String),
}

/// The mail addresses a certificate is for (RFC 5280 §4.2.1.6: `rfc822Name`). What is in its subject is a name for people.
pub fn mail_addresses(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = alternatives.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::RFC822Name(address) => Some((*address).to_owned()),
            _ => None,
        })
        .collect()
}

impl Facts {
    /// Of the first certificate in a PEM file.
    pub fn of_file(file: &Path) -> Result<Facts, Error> {
        let named = |error: String| Error::File(file.display().to_string(), error);
        let pem = std::fs::read(file).map_err(|error| named(error.to_string()))?;
        let der = CertificateDer::from_pem_slice(&pem).map_err(|error| named(error.to_string()))?;
        Facts::of_der(&der).map_err(|error| named(error.to_string()))
    }

    /// Of a certificate as it comes over TLS.
    pub fn of_der(der: &[u8]) -> Result<Facts, Error> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| Error::Form(error.to_string()))?;
        let mut names = Vec::new();
        if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
            for name in &alternatives.value.general_names {
                if let GeneralName::DNSName(name) = name {
                    names.push(name.to_ascii_lowercase());
                }
            }
        }
        Ok(Facts {
            names,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            spki_sha256: Sha256::digest(certificate.public_key().raw).into(),
        })
    }

    /// Whether it is for this host: its name, or a wildcard for its first label (RFC 9525 §6.3).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => Some(rest) == parent,
            None => *name == host,
        })
    }

    /// What is wrong with its time, if anything is or soon will be.
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let left = self.not_after.saturating_sub(now);
        if now < self.not_before {
            Some("the certificate is not valid yet: look at the clock of this machine".to_owned())
        } else if left <= 0 {
            let days = left.unsigned_abs() / DAY.unsigned_abs();
            Some(format!("the certificate has expired {days} days ago"))
        } else if left <= ALARM {
            Some(format!(
                "the certificate expires in {} days: renew it, then send the server SIGHUP",
                left / DAY
            ))
        } else {
            None
        }
    }

    /// The data of its TLSA record, usage DANE-EE.
    pub fn tlsa(&self) -> String {
        format!("3 1 1 {}", crate::manage::hex(&self.spki_sha256))
    }
}

/// Warns of a certificate that is about to end, at start and four times a day, as long as the server runs.
pub async fn watch(shared: Arc<Shared>) {
    let mut timer = tokio::time::interval(WATCH);
    loop {
        timer.tick().await;
        let file = shared.config().tls.certificate.clone();
        match Facts::of_file(&file) {
            Ok(facts) => {
                if let Some(trouble) = facts.trouble(shared.timestamp()) {
                    tracing::warn!(file = %file.display(), "{trouble}");
                }
            }
            // It was readable when it was loaded; what is in force now may soon be missed.
            Err(error) => tracing::warn!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str], not_after: (i32, u8, u8)) -> Facts {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let facts = Facts::of_der(certificate.der()).unwrap();
        let spki: [u8; 32] =
            Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)).into();
        assert_eq!(facts.spki_sha256, spki);
        facts
    }

    #[test]
    fn names_and_wildcards() {
        let facts = made(&["mail.example.org", "*.example.net"], (2030, 1, 1));
        assert!(facts.self_signed);
        for (host, expected) in [
            ("mail.example.org", true),
            ("MAIL.example.org.", true),
            ("example.org", false),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
        ] {
            assert_eq!(facts.is_for(host), expected, "{host}");
        }
    }

    #[test]
    fn the_alarm_begins_two_weeks_before_the_end() {
        let facts = made(&["a.example"], (2024, 3, 1));
        let end = facts.not_after;
        assert_eq!(facts.trouble(end - 15 * DAY), None);
        for (when, word) in [
            (end - 13 * DAY, "expires in 13 days"),
            (end + 1, "has expired"),
            (facts.not_before - 1, "not valid yet"),
        ] {
            assert!(facts.trouble(when).unwrap().contains(word), "{when}");
        }
    }
}
