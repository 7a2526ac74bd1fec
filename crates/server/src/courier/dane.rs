//! DANE for SMTP (RFC 7672): which TLSA records count, and whether a certificate chain fits one of them.
//!
//! Invariants: only usages DANE-TA(2) and DANE-EE(3) count (RFC 7672 §3.1.3); one record that fits is enough, so a key can be
//! rolled over with both records published. A record is never fitted by a chain that merely could not be read.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256, Sha512};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::verify::Flaw;
use crate::dns::Tlsa;

const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;

/// The records that can be fitted: usage 2 or 3, known selector and matching type, and data of the right length
/// (RFC 7672 §2.2, "usable").
pub(super) fn usable(records: &[Tlsa]) -> Vec<Tlsa> {
    let fine = |record: &&Tlsa| {
        matches!(record.usage, DANE_TA | DANE_EE)
            && record.selector <= 1
            && match record.matching {
                0 => !record.data.is_empty(),
                1 => record.data.len() == 32,
                2 => record.data.len() == 64,
                _ => false,
            }
    };
    records.iter().filter(fine).cloned().collect()
}

/// Whether a chain fits one of the records. `names` are the reference identifiers for DANE-TA (RFC 7672 §3.2.2).
pub(super) fn check(
    records: &[Tlsa],
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    names: &[String],
    now: UnixTime,
    provider: &Arc<CryptoProvider>,
) -> Result<(), Flaw> {
    // RFC 7672 §3.1.1: neither names nor dates count for DANE-EE.
    if records
        .iter()
        .any(|record| record.usage == DANE_EE && fits(record, leaf))
    {
        return Ok(());
    }
    let mut flaw = Flaw {
        kind: "validation-failure",
        what: "the certificate fits no TLSA record".to_owned(),
    };
    for record in records.iter().filter(|record| record.usage == DANE_TA) {
        for anchor in anchors(record, others) {
            let mut roots = RootCertStore::empty();
            roots.roots.push(anchor);
            match chain(Arc::new(roots), leaf, others, names, now, provider) {
                Ok(()) => return Ok(()),
                Err(found) => flaw = found,
            }
        }
    }
    Err(flaw)
}

/// Whether a chain leads to one of `roots` and the leaf has one of `names`.
pub(super) fn chain(
    roots: Arc<RootCertStore>,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    names: &[String],
    now: UnixTime,
    provider: &Arc<CryptoProvider>,
) -> Result<(), Flaw> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|_| Flaw {
            kind: "certificate-not-trusted",
            what: "this server trusts no certificate authority".to_owned(),
        })?;
    let mut flaw = Flaw {
        kind: "validation-failure",
        what: "the server's name cannot be in a certificate".to_owned(),
    };
    for name in names {
        let Ok(name) = ServerName::try_from(name.as_str()) else {
            continue;
        };
        match verifier.verify_server_cert(leaf, others, &name, &[], now) {
            Ok(_) => return Ok(()),
            Err(error) => flaw = Flaw::of(&error),
        }
    }
    Err(flaw)
}

/// The trust anchors that a DANE-TA record means: certificates of the chain that fit it, or what it holds itself.
fn anchors(record: &Tlsa, others: &[CertificateDer<'_>]) -> Vec<TrustAnchor<'static>> {
    let anchor = |der: &CertificateDer<'_>| {
        let mut store = RootCertStore::empty();
        store.add(der.clone().into_owned()).ok()?;
        store.roots.pop()
    };
    let mut found: Vec<TrustAnchor<'static>> = others
        .iter()
        .filter(|der| fits(record, der))
        .filter_map(anchor)
        .collect();
    if record.matching == 0 && record.selector == 0 {
        found.extend(anchor(&CertificateDer::from(record.data.clone())));
    }
    // RFC 7671 §5.2.3: a bare key signs the last certificate of the chain, whatever issuer that names.
    if record.matching == 0 && record.selector == 1 {
        let issuers = others.iter().filter_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some((
                contents(certificate.issuer().as_raw())?.to_vec(),
                contents(&record.data)?.to_vec(),
            ))
        });
        found.extend(issuers.map(|(subject, key)| TrustAnchor {
            subject: subject.into(),
            subject_public_key_info: key.into(),
            name_constraints: None,
        }));
    }
    found
}

/// What a DER sequence contains, without its tag and length.
fn contents(der: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *tag != 0x30 {
        return None;
    }
    let skip = match length {
        0..0x80 => 0,
        long => usize::from(long & 0x7f),
    };
    rest.get(skip..)
}

/// Whether a certificate is what the record says (RFC 6698 §2.1.2, §2.1.3).
fn fits(record: &Tlsa, der: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        0 => der.to_vec(),
        1 => match X509Certificate::from_der(der) {
            Ok((_, certificate)) => certificate.public_key().raw.to_vec(),
            Err(_) => return false,
        },
        _ => return false,
    };
    match record.matching {
        0 => selected == record.data,
        1 => Sha256::digest(&selected).as_slice() == record.data,
        2 => Sha512::digest(&selected).as_slice() == record.data,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    fn record(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Tlsa {
        Tlsa {
            usage,
            selector,
            matching,
            data: data.to_vec(),
        }
    }

    fn spki(der: &[u8]) -> Vec<u8> {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        certificate.public_key().raw.to_vec()
    }

    /// A root, an intermediate it signed, and a leaf for `mx.example.test`, each DER.
    fn chain_of_three(expired: bool) -> [CertificateDer<'static>; 3] {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params
        };
        let (root_key, middle_key, leaf_key) = (
            KeyPair::generate().unwrap(),
            KeyPair::generate().unwrap(),
            KeyPair::generate().unwrap(),
        );
        let root = authority("root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(authority("root"), root_key);
        let middle = authority("middle")
            .signed_by(&middle_key, &root_issuer)
            .unwrap();
        let middle_issuer = Issuer::new(authority("middle"), middle_key);
        let mut params = CertificateParams::new(vec!["mx.example.test".to_owned()]).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let leaf = params.signed_by(&leaf_key, &middle_issuer).unwrap();
        [leaf.der().clone(), middle.der().clone(), root.der().clone()]
    }

    fn verdict(
        records: &[Tlsa],
        chain: &[CertificateDer<'static>],
        names: &[&str],
    ) -> Result<(), &'static str> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (leaf, others) = chain.split_first().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        check(records, leaf, others, &names, UnixTime::now(), &provider).map_err(|flaw| flaw.kind)
    }

    #[test]
    fn what_is_usable() {
        let table = [
            (record(3, 1, 1, &[0; 32]), true),
            (record(2, 0, 2, &[0; 64]), true),
            (record(3, 0, 0, b"x"), true),
            (record(3, 1, 1, &[0; 31]), false),
            (record(3, 1, 2, &[0; 32]), false),
            (record(3, 1, 0, b""), false),
            (record(0, 1, 1, &[0; 32]), false),
            (record(1, 1, 1, &[0; 32]), false),
            (record(4, 1, 1, &[0; 32]), false),
            (record(3, 2, 1, &[0; 32]), false),
            (record(3, 1, 3, &[0; 32]), false),
        ];
        for (record, expected) in table {
            assert_eq!(
                !usable(std::slice::from_ref(&record)).is_empty(),
                expected,
                "{record:?}"
            );
        }
    }

    #[test]
    fn domain_issued_certificates() {
        let chain = chain_of_three(true);
        let leaf = chain[0].as_ref();
        let key = spki(leaf);
        // Neither name nor date counts.
        for fitting in [
            record(3, 0, 0, leaf),
            record(3, 0, 1, &Sha256::digest(leaf)),
            record(3, 0, 2, &Sha512::digest(leaf)),
            record(3, 1, 0, &key),
            record(3, 1, 1, &Sha256::digest(&key)),
            record(3, 1, 2, &Sha512::digest(&key)),
        ] {
            assert_eq!(
                verdict(std::slice::from_ref(&fitting), &chain, &["other.test"]),
                Ok(()),
                "{fitting:?}"
            );
            // Rollover: the other record is for the next key.
            let next = record(3, 1, 1, &[7; 32]);
            assert_eq!(verdict(&[next, fitting], &chain, &["other.test"]), Ok(()));
        }
        for not in [
            record(3, 1, 1, &[7; 32]),
            record(3, 0, 1, &Sha256::digest(&key)),
            record(3, 1, 1, &Sha256::digest(spki(&chain[1]))),
        ] {
            assert_eq!(
                verdict(&[not], &chain, &["mx.example.test"]),
                Err("validation-failure")
            );
        }
    }

    #[test]
    fn trust_anchors_need_name_and_date() {
        let chain = chain_of_three(false);
        let names = ["mx.example.test"];
        for anchor in [&chain[1], &chain[2]] {
            let der = anchor.as_ref();
            for fitting in [
                record(2, 0, 1, &Sha256::digest(der)),
                record(2, 1, 1, &Sha256::digest(spki(der))),
                record(2, 0, 0, der),
            ] {
                assert_eq!(
                    verdict(std::slice::from_ref(&fitting), &chain, &names),
                    Ok(()),
                    "{fitting:?}"
                );
                // Any of the names will do.
                assert_eq!(
                    verdict(
                        std::slice::from_ref(&fitting),
                        &chain,
                        &["a.test", "mx.example.test"]
                    ),
                    Ok(())
                );
                assert_eq!(
                    verdict(&[fitting], &chain, &["a.test"]),
                    Err("certificate-host-mismatch")
                );
            }
        }
        // The root itself, or its key, in the record: the server need not send it.
        let without_root = &chain[..2];
        assert_eq!(
            verdict(&[record(2, 0, 0, &chain[2])], without_root, &names),
            Ok(())
        );
        assert_eq!(
            verdict(&[record(2, 1, 0, &spki(&chain[2]))], without_root, &names),
            Ok(())
        );
        assert_eq!(
            verdict(
                &[record(2, 0, 1, &Sha256::digest(&chain[2]))],
                without_root,
                &names
            ),
            Err("validation-failure")
        );
        let other = chain_of_three(false);
        assert!(verdict(&[record(2, 0, 0, &other[2])], &chain, &names).is_err());
        let expired = chain_of_three(true);
        assert_eq!(
            verdict(
                &[record(2, 0, 1, &Sha256::digest(&expired[2]))],
                &expired,
                &names
            ),
            Err("certificate-expired")
        );
    }
}
