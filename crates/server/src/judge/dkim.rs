//! DKIM (RFC 6376) through the library, and what the library leaves to its user.
//!
//! Limits (A33): [`SIGNATURES`] of a message; one that does not sign From, has no sound names, uses SHA-1 (RFC 8301 §3.1) or
//! covers only the beginning of the body counts for nothing. RSA keys below 1024 bits (RFC 8301 §3.2) are refused by the
//! cryptography. A body is hashed a bounded number of times, whatever the signatures ask for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use mail_auth::common::cache::NoCache;
use mail_auth::common::crypto::{Algorithm, CryptoError, HashAlgorithm};
use mail_auth::common::headers::{Header, Writable, Writer};
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::{
    AuthenticatedMessage, DkimResult, Error, MessageAuthenticator, Parameters, ResolverCache, Txt,
};

use super::lookup::{Lookup as _, Resolver};
use super::name;

/// Signatures that are looked at, the topmost. Mail through two lists and a forwarder has five.
pub const SIGNATURES: usize = 10;

/// Keys remembered of each of the two generations.
const KEYS: usize = 4_096;

/// A signature and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// `d=`, as A-labels; as written where it is no name.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `a=`
    pub algorithm: &'static str,
    /// The first eight characters of `b=`, by which signatures are told apart (RFC 6008).
    pub mark: String,
    /// The result.
    pub outcome: Outcome,
    /// The result in words without a subject.
    pub because: String,
}

/// RFC 8601 §2.7.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// It verifies or would, and we do not accept how it was made.
    Policy,
    Neutral,
    TempError,
    PermError,
}

impl Outcome {
    /// The word of RFC 8601 §2.7.1.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Policy => "policy",
            Outcome::Neutral => "neutral",
            Outcome::TempError => "temperror",
            Outcome::PermError => "permerror",
        }
    }
}

/// Keys and other TXT records that the library has read, for as long as they are valid. Two generations: when the young one
/// is full it becomes the old one, so what is used stays and the memory is bounded.
#[derive(Default)]
pub struct Keys(Mutex<(Generation, Generation)>);

type Generation = HashMap<Box<str>, (Txt, Instant)>;

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: std::borrow::Borrow<Q>,
        Q: std::hash::Hash + Eq + ?Sized,
    {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = guard.0.get(name).or_else(|| guard.1.get(name));
        found
            .filter(|(_, until)| *until > Instant::now())
            .map(|(record, _)| record.clone())
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: std::borrow::Borrow<Q>,
        Q: std::hash::Hash + Eq + ?Sized,
    {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (young, old) = (guard.0.remove(name), guard.1.remove(name));
        young.or(old).map(|(record, _)| record)
    }

    fn insert(&self, name: Box<str>, record: Txt, until: Instant) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.0.len() >= KEYS {
            guard.1 = std::mem::take(&mut guard.0);
        }
        guard.0.insert(name, (record, until));
    }
}

/// What the library asks with: our cache of keys, and no other.
pub(super) type Questions<'x, P> = Parameters<
    'x,
    P,
    Keys,
    NoCache<Box<str>, mail_auth::RecordSet<mail_auth::MX>>,
    NoCache<Box<str>, mail_auth::RecordSet<std::net::Ipv4Addr>>,
    NoCache<Box<str>, mail_auth::RecordSet<std::net::Ipv6Addr>>,
    NoCache<std::net::IpAddr, mail_auth::RecordSet<Box<str>>>,
>;

/// A question of the library's with the cache.
pub(super) fn question<'x, P>(params: P, keys: &'x Keys) -> Questions<'x, P> {
    Parameters {
        params,
        cache_txt: Some(keys),
        cache_mx: None,
        cache_ptr: None,
        cache_ipv4: None,
        cache_ipv6: None,
    }
}

/// A message read for verification, and the signatures that need no verification to be refused.
pub struct Signed<'m> {
    /// As the library wants it, with the signatures that are worth verifying.
    pub message: AuthenticatedMessage<'m>,
    refused: Vec<Verified>,
}

impl<'m> Signed<'m> {
    /// Reads a message and hashes its body; blocks for as long as that takes. None for a message without a header.
    pub fn parse(raw: &'m [u8]) -> Option<Signed<'m>> {
        // Strict: bodies are hashed whole, once per algorithm and canonicalisation.
        let mut message = AuthenticatedMessage::parse_with_opts(raw, None, true)?;
        let mut refused = Vec::new();
        let (mut candidates, mut left) = (Vec::new(), SIGNATURES);
        for header in std::mem::take(&mut message.dkim_headers) {
            candidates.push(header);
        }
        for header in std::mem::take(&mut message.errors) {
            match header.header {
                Error::Dkim(DkimError::SignatureLength) => {
                    if let Ok(signature) = Signature::parse(header.value) {
                        candidates.push(Header {
                            name: header.name,
                            value: header.value,
                            header: signature,
                        });
                    }
                }
                Error::Arc(_) => message.errors.push(header),
                _ if header.name.eq_ignore_ascii_case(b"DKIM-Signature") && left > 0 => {
                    left = left.saturating_sub(1);
                    refused.push(malformed(&header.header));
                }
                _ => {}
            }
        }
        // As they stand in the header: the topmost is the one added last.
        candidates.sort_by_key(|header| header.value.as_ptr().addr());
        let mut whole = HashMap::new();
        for mut header in candidates.into_iter().take(left) {
            match unacceptable(&mut header.header, &mut message, &mut whole) {
                None => message.dkim_headers.push(header),
                Some((outcome, because)) => {
                    refused.push(Verified::new(&header.header, outcome, because));
                }
            }
        }
        Some(Signed { message, refused })
    }

    /// Verifies all signatures.
    pub async fn verify(&self, dns: &MessageAuthenticator, keys: &Keys) -> Vec<Verified> {
        let mut all = self.refused.clone();
        if self.message.dkim_headers.is_empty() {
            return all;
        }
        for output in dns.verify_dkim(question(&self.message, keys)).await {
            let Some(signature) = output.signature() else {
                continue;
            };
            let (mut outcome, mut because) = outcome(output.result());
            if outcome == Outcome::Pass && !is_for_mail(dns, signature).await {
                (outcome, because) = (Outcome::PermError, "its key is not meant for mail");
            }
            all.push(Verified::new(signature, outcome, because));
        }
        all
    }

    /// All signatures as if the DNS had not answered.
    pub fn unanswered(&self) -> Vec<Verified> {
        let mut all = self.refused.clone();
        for header in &self.message.dkim_headers {
            let because = "the DNS took too long";
            all.push(Verified::new(&header.header, Outcome::TempError, because));
        }
        all
    }
}

impl Verified {
    fn new(signature: &Signature, outcome: Outcome, because: impl Into<String>) -> Verified {
        let mark = signature.b.get(..6).unwrap_or(&signature.b);
        Verified {
            domain: name::ascii(&signature.d).unwrap_or_else(|| shown(&signature.d)),
            selector: shown(&signature.s),
            algorithm: match signature.a {
                Algorithm::RsaSha1 => "rsa-sha1",
                Algorithm::RsaSha256 => "rsa-sha256",
                Algorithm::Ed25519Sha256 => "ed25519-sha256",
            },
            mark: base64::engine::general_purpose::STANDARD.encode(mark),
            outcome,
            because: because.into(),
        }
    }
}

/// RFC 6376 §3.6.1: a key may be for other services than mail, or for other hashes; the library does not look. The
/// resolver has the record still; if not, the key that was found counts.
async fn is_for_mail(dns: &MessageAuthenticator, signature: &Signature) -> bool {
    let name = format!("{}._domainkey.{}", signature.s, signature.d);
    match Resolver(dns).txt(&name).await {
        Ok(records) => records.iter().any(|record| serves_mail(record)),
        Err(_) => true,
    }
}

fn serves_mail(record: &[u8]) -> bool {
    let text = String::from_utf8_lossy(record);
    let names = |wanted: &str, any: &[&str]| {
        let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
        let list = tags.find(|(name, _)| name.trim() == wanted);
        list.is_none_or(|(_, list)| list.split(':').any(|one| any.contains(&one.trim())))
    };
    names("s", &["*", "email"]) && names("h", &["sha256"])
}

/// What is no name may be of any length and letters, and is only shown.
fn shown(written: &str) -> String {
    written.chars().take(253).collect()
}

fn malformed(error: &Error) -> Verified {
    let because = match error {
        Error::Dkim(DkimError::UnsupportedAlgorithm) => "its algorithm is not known",
        Error::Dkim(DkimError::UnsupportedVersion) => "its version is not known",
        _ => "it is malformed",
    };
    Verified {
        domain: String::new(),
        selector: String::new(),
        algorithm: "",
        mark: String::new(),
        outcome: Outcome::Neutral,
        because: because.to_owned(),
    }
}

/// Why a signature counts for nothing, whatever its key says.
fn unacceptable(
    signature: &mut Signature,
    message: &mut AuthenticatedMessage<'_>,
    whole: &mut HashMap<bool, u64>,
) -> Option<(Outcome, &'static str)> {
    // A32: strict names before anything is asked.
    if name::ascii(&signature.d).is_none() || !name::is_name(&signature.s) {
        return Some((Outcome::PermError, "its domain or selector is no name"));
    }
    // RFC 6376 §5.4, §6.1.1
    if !signature
        .h
        .iter()
        .any(|name| name.eq_ignore_ascii_case("From"))
    {
        return Some((Outcome::PermError, "it does not sign the From field"));
    }
    if signature.a == Algorithm::RsaSha1 {
        return Some((Outcome::Policy, "it uses SHA-1, which can be forged"));
    }
    if signature.l > 0 {
        // RFC 6376 §8.2: what comes after the signed part could be anybody's.
        let relaxed = signature.cb == mail_auth::dkim::Canonicalization::Relaxed;
        let length = *whole.entry(relaxed).or_insert_with(|| {
            let mut counted = Counter(0);
            let body = message.raw_message.get(message.body_offset as usize..);
            let canonical = signature.cb.canonical_body(body.unwrap_or_default(), 0);
            canonical.write(&mut counted);
            counted.0
        });
        if signature.l != length {
            return Some((Outcome::Policy, "it covers only the beginning of the text"));
        }
        signature.l = 0;
        let hash = HashAlgorithm::from(signature.a);
        let is_same =
            |known: &(_, _, u64, _)| known.0 == signature.cb && known.1 == hash && known.2 == 0;
        if !message.body_hashes.iter().any(is_same) {
            let body = message.raw_message.get(message.body_offset as usize..);
            let canonical = signature.cb.canonical_body(body.unwrap_or_default(), 0);
            let digest = hash.hash(canonical).as_ref().to_vec();
            message.body_hashes.push((signature.cb, hash, 0, digest));
        }
    }
    // Each of these would cost further questions: reports to signers (RFC 6651) and third-party signatures (RFC 6541).
    signature.r = false;
    signature.atps = None;
    None
}

struct Counter(u64);

impl Writer for Counter {
    fn write(&mut self, octets: &[u8]) {
        self.0 = self.0.saturating_add(octets.len() as u64);
    }
}

/// The library's result as a word of RFC 8601 and in ours.
fn outcome(result: &DkimResult) -> (Outcome, &'static str) {
    match result {
        DkimResult::Pass => (Outcome::Pass, "the signature is right"),
        DkimResult::TempError(_) => (Outcome::TempError, "the DNS gave no answer about its key"),
        DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => {
            reason(error)
        }
        DkimResult::None => (Outcome::Neutral, "it could not be read"),
    }
}

fn reason(error: &Error) -> (Outcome, &'static str) {
    match error {
        Error::Dkim(DkimError::FailedBodyHashMatch) => {
            (Outcome::Fail, "the text was changed after it was signed")
        }
        Error::Dkim(DkimError::SignatureExpired) => (Outcome::Fail, "it has expired"),
        Error::Dkim(DkimError::FailedAuidMatch) => {
            (Outcome::PermError, "its i= does not belong to its domain")
        }
        Error::Dkim(DkimError::RevokedPublicKey) => (Outcome::PermError, "its key was withdrawn"),
        Error::Dkim(DkimError::UnsupportedKeyType) => {
            (Outcome::PermError, "the type of its key is not known")
        }
        Error::Dns(_) => (Outcome::PermError, "its domain publishes no such key"),
        Error::Crypto(CryptoError::IncompatibleAlgorithms) => {
            (Outcome::PermError, "its key is of another kind")
        }
        Error::Crypto(_) => (
            Outcome::Fail,
            "the header was changed after it was signed, or the key is another or too short",
        ),
        _ => (Outcome::PermError, "its key cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_other_services_do_not_count() {
        for (record, serves) in [
            ("v=DKIM1; p=abc", true),
            ("v=DKIM1; s=email; h=sha256; p=abc", true),
            ("v=DKIM1; s = tlsrpt : * ; p=abc", true),
            ("v=DKIM1; s=tlsrpt; p=abc", false),
            ("v=DKIM1; h=sha1; p=abc", false),
            ("v=DKIM1; h=sha1 : sha256 ; p=abc", true),
        ] {
            assert_eq!(serves_mail(record.as_bytes()), serves, "{record}");
        }
    }

    /// What is kept of keys is bounded, and what is used stays.
    #[test]
    fn remembered_keys_are_bounded() {
        let keys = Keys::default();
        let until = Instant::now() + std::time::Duration::from_secs(60);
        let record = || Txt::Error(Error::ParseError);
        for n in 0..(3 * KEYS) {
            keys.insert(format!("{n}.").into(), record(), until);
        }
        let guard = keys.0.lock().unwrap();
        assert!(guard.0.len() <= KEYS && guard.1.len() <= KEYS);
        drop(guard);
        assert!(keys.get(&*format!("{}.", 3 * KEYS - 1)).is_some());
        assert!(keys.get("0.").is_none());
        keys.insert("old.".into(), record(), Instant::now());
        assert!(keys.get("old.").is_none());
    }
}
