//! Making DKIM keys, and their records in the DNS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey};
use mail_auth::dkim::generate::DkimKeyPair;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer};
use store::{NewDkimKey, Timestamp};

/// RFC 8301 §3.2: at least 2048 bits. More do not fit into one DNS packet at many hosts.
const RSA_BITS: usize = 2048;

/// The algorithms a domain signs with, as in `a=` (RFC 6376 §3.3, RFC 8463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Everybody verifies it.
    Rsa,
    /// Small and fast; verified by some.
    Ed25519,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Algorithm; 2] = [Algorithm::Rsa, Algorithm::Ed25519];

    /// As in `a=`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa-sha256",
            Algorithm::Ed25519 => "ed25519-sha256",
        }
    }

    /// As in `k=`, and in selectors.
    fn short(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa",
            Algorithm::Ed25519 => "ed25519",
        }
    }

    /// The algorithm called so in `a=`.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("a DKIM key: {0}")]
pub struct Error(String);

impl From<mail_auth::Error> for Error {
    fn from(error: mail_auth::Error) -> Error {
        Error(error.to_string())
    }
}

/// Makes a key. RSA takes some tenths of a second of a processor, so not where others wait.
pub fn generate(algorithm: Algorithm, selector: String) -> Result<NewDkimKey, Error> {
    let (private, public) = match algorithm {
        Algorithm::Rsa => {
            let (private, public) = DkimKeyPair::generate_rsa(RSA_BITS)?.into_inner();
            (private, subject_public_key_info(&public)?)
        }
        Algorithm::Ed25519 => DkimKeyPair::generate_ed25519()?.into_inner(),
    };
    Ok(NewDkimKey {
        selector,
        algorithm: algorithm.name().to_owned(),
        private,
        public,
    })
}

/// Reads a private key of the store.
pub(super) fn read(algorithm: &str, private: &[u8]) -> Result<DkimKey, Error> {
    match Algorithm::from_name(algorithm) {
        Some(Algorithm::Rsa) => {
            let der = PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(private));
            Ok(RsaKey::from_key_der(der)?.into())
        }
        Some(Algorithm::Ed25519) => Ok(Ed25519Key::from_pkcs8_der(private)?.into()),
        None => Err(Error(format!("the algorithm {algorithm} is unknown"))),
    }
}

/// What the TXT record of a key says (RFC 6376 §3.6.1, RFC 8463 §4).
pub fn record(algorithm: &str, public: &[u8]) -> String {
    let kind = Algorithm::from_name(algorithm).map_or("rsa", Algorithm::short);
    format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(public))
}

/// The key that a TXT record holds; none when it holds none or a revoked one (RFC 6376 §3.6.1: `p=` is empty).
pub fn public_of(record: &str) -> Option<Vec<u8>> {
    let value = record.split(';').find_map(|tag| {
        let (name, value) = tag.split_once('=')?;
        (name.trim() == "p").then_some(value)
    })?;
    let compact: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let octets = STANDARD.decode(compact).ok()?;
    (!octets.is_empty()).then_some(octets)
}

/// A selector that tells algorithm and day, so that its owner knows in the DNS what is old.
pub fn selector(algorithm: Algorithm, now: Timestamp, taken: &[String]) -> String {
    let date = mime::DateTime::from_timestamp(now, 0);
    let stem = format!(
        "{}-{:04}{:02}{:02}",
        algorithm.short(),
        date.year,
        date.month,
        date.day
    );
    let mut name = stem.clone();
    let mut number = 1_u32;
    while taken.contains(&name) {
        number = number.saturating_add(1);
        name = format!("{stem}-{number}");
    }
    name
}

/// Wraps the PKCS#1 form of a public key as everybody publishes it: verifiers that read it with OpenSSL know no other.
/// The algorithm is rsaEncryption with NULL parameters (RFC 3279 §2.3.1).
fn subject_public_key_info(pkcs1: &[u8]) -> Result<Vec<u8>, Error> {
    const ALGORITHM: [u8; 15] = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let mut bits = vec![0];
    bits.extend_from_slice(pkcs1);
    let mut content = ALGORITHM.to_vec();
    content.extend(element(0x03, &bits)?);
    element(0x30, &content)
}

/// A DER element with a length of two octets, which all RSA keys of ours need.
fn element(tag: u8, content: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u16::try_from(content.len()).map_err(|_| Error("too long".to_owned()))?;
    let [high, low] = length.to_be_bytes();
    let mut out = vec![tag, 0x82, high, low];
    out.extend_from_slice(content);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_tell_the_day_and_differ() {
        let now = 1_795_445_127;
        let first = selector(Algorithm::Rsa, now, &[]);
        assert_eq!(first, "rsa-20261123");
        let second = selector(Algorithm::Rsa, now, std::slice::from_ref(&first));
        assert_eq!(second, "rsa-20261123-2");
        assert_eq!(
            selector(Algorithm::Ed25519, now, &[first, second]),
            "ed25519-20261123"
        );
    }

    #[test]
    fn records_say_what_is_read_back() {
        for algorithm in Algorithm::ALL {
            let new = generate(algorithm, "s".into()).unwrap();
            let text = record(&new.algorithm, &new.public);
            assert_eq!(public_of(&text), Some(new.public.clone()), "{text}");
            assert!(read(&new.algorithm, &new.private).is_ok());
            assert!(text.len() < 450, "{text}");
        }
        let rsa = generate(Algorithm::Rsa, "s".into()).unwrap();
        assert!(record("rsa-sha256", &rsa.public).contains("p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
    }

    #[test]
    fn revoked_and_broken_records_hold_no_key() {
        for (text, expected) in [
            ("v=DKIM1; p=", None),
            ("v=DKIM1; k=rsa", None),
            ("v=DKIM1; p=!!!", None),
            ("v=DKIM1; k=ed25519; p=AQ I\tD", Some(vec![1, 2, 3])),
            ("p=AQID", Some(vec![1, 2, 3])),
        ] {
            assert_eq!(public_of(text), expected, "{text}");
        }
    }
}
