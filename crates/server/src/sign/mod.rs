//! What proves that mail comes from here: DKIM signatures (RFC 6376, RFC 8463) over what our users and we ourselves
//! send, and the life of the keys behind them.
//!
//! Owns: the keys in memory, which fields are signed, when a key starts and stops to sign.
//!
//! Invariants: a signature is made over the octets that leave, so it is made last and only fields above it follow; no
//! private key is written anywhere but into the store; mail is never held up because it cannot be signed.
//!
//! Limits: keys in memory, [`CACHED`].

pub mod admin;
mod arc;
pub mod key;
mod signature;
pub mod srs;
pub mod tend;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use mail_auth::common::crypto::DkimKey;
use store::Timestamp;

use crate::judge::Chain;
use crate::shared::Shared;
pub use signature::header_end;
use signature::{LIFETIME, Subject};

/// Keys kept ready to sign: some kilobytes each.
const CACHED: usize = 10_000;

/// Messages from this size on are hashed on a thread that may take its time.
pub const LARGE: usize = 256 * 1024;

/// The keys in memory.
#[derive(Default)]
pub struct Signer {
    /// By public key: the same name may stand for another key when a domain was removed and added again.
    keys: RwLock<HashMap<Vec<u8>, Arc<DkimKey>>>,
}

/// What is signed for which domain.
struct Order {
    domain: String,
    keys: Vec<(String, Arc<DkimKey>)>,
    now: Timestamp,
    expires: Timestamp,
}

/// The signatures of `domain` over a message of our own (a report, a DSN): header fields, to be put on top. Empty when
/// the domain has no key. Call again after any change to the message.
pub fn dkim(shared: &Shared, domain: &str, message: &[u8]) -> String {
    let subject = Subject { top: b"", message };
    order(shared, domain, None).map_or_else(String::new, |order| order.signatures(&subject))
}

/// The signatures over a submitted message with `top` above it, by the domain of its author. `release` is when it may
/// leave, if that is later. Gives the message back.
pub async fn submission(
    shared: &Shared,
    top: &str,
    message: Vec<u8>,
    release: Option<Timestamp>,
) -> (Vec<u8>, String) {
    let Some(domain) = author_domain(&message) else {
        return (message, String::new());
    };
    let Some(order) = order(shared, &domain, release) else {
        return (message, String::new());
    };
    if message.len() < LARGE {
        let subject = Subject {
            top: top.as_bytes(),
            message: &message,
        };
        let fields = order.signatures(&subject);
        return (message, fields);
    }
    let (message, top) = (Arc::new(message), top.to_owned());
    let shared_message = Arc::clone(&message);
    let task = tokio::task::spawn_blocking(move || {
        order.signatures(&Subject {
            top: top.as_bytes(),
            message: &shared_message,
        })
    });
    let fields = task.await.unwrap_or_default();
    (Arc::unwrap_or_clone(message), fields)
}

/// The ARC set for a message that `domain`, one of ours, sends on: header fields, to be put on top. `results` is the value
/// of our Authentication-Results over it. Empty when there is nothing to seal with, or nothing may be added.
pub fn seal(shared: &Shared, domain: &str, message: &[u8], results: &str, chain: Chain) -> String {
    let Some(order) = order(shared, domain, None) else {
        return String::new();
    };
    // Validators of ARC know RSA; few know more.
    let rsa = |(_, key): &&(String, Arc<DkimKey>)| matches!(**key, DkimKey::Rsa(_));
    let Some((selector, key)) = order.keys.iter().find(rsa) else {
        return String::new();
    };
    let sealer = arc::Sealer {
        domain: &order.domain,
        selector,
        key,
        now: order.now,
    };
    match sealer.seal(message, results, chain) {
        Ok(fields) => fields.unwrap_or_default(),
        Err(error) => {
            tracing::error!(domain, selector, %error, "not sealed");
            String::new()
        }
    }
}

/// A message of our user's that had to be changed on its way out, with new signatures in place of ours that no longer
/// hold (RFC 6376 §5.3). Signatures of others stay: they may be over something else.
pub fn again(shared: &Shared, mut message: Vec<u8>) -> Vec<u8> {
    let Some(domain) = author_domain(&message) else {
        return message;
    };
    let ours = mail_auth::common::to_a_label(&domain).into_owned();
    let broken: Vec<_> = mime::header::fields(&message, 0..header_end(&message))
        .filter(|field| field.is("DKIM-Signature") && is_of(field.value(), &ours))
        .map(|field| field.range())
        .collect();
    if broken.is_empty() {
        return message;
    }
    for range in broken.into_iter().rev() {
        message.drain(range);
    }
    let mut signed = dkim(shared, &domain, &message).into_bytes();
    signed.append(&mut message);
    signed
}

/// Whether a signature's `d=` is this domain.
fn is_of(signature: &[u8], domain: &str) -> bool {
    let text = String::from_utf8_lossy(signature);
    text.split(';').any(|tag| {
        tag.split_once('=').is_some_and(|(name, value)| {
            name.trim() == "d" && value.trim().eq_ignore_ascii_case(domain)
        })
    })
}

/// The domain of the first author.
pub fn author_domain(message: &[u8]) -> Option<String> {
    let header = signature::header_end(message);
    let field = mime::header::fields(message, 0..header).find(|field| field.is("From"))?;
    let list = field.addresses();
    let address = list.mailboxes().next()?.address.to_string();
    let (_, domain) = address.rsplit_once('@')?;
    Some(domain.to_owned())
}

fn order(shared: &Shared, domain: &str, release: Option<Timestamp>) -> Option<Order> {
    let keys = keys(shared, domain);
    if keys.is_empty() {
        return None;
    }
    let now = shared.timestamp();
    Some(Order {
        // RFC 8616 §5 allows a U-label in d= of internationalised mail only; the A-label is right everywhere.
        domain: mail_auth::common::to_a_label(domain).into_owned(),
        keys,
        now,
        expires: release.unwrap_or(now).max(now).saturating_add(LIFETIME),
    })
}

/// The active keys of a domain. Which they are is asked each time, so that a change is in force at once.
fn keys(shared: &Shared, domain: &str) -> Vec<(String, Arc<DkimKey>)> {
    let found = shared
        .db
        .glance(|snapshot| snapshot.dkim_active(domain))
        .and_then(|active| {
            let key = |(selector, public): (String, Vec<u8>)| {
                let key = shared.signer.key(shared, domain, &selector, public)?;
                Ok(key.map(|key| (selector, key)))
            };
            let keys: store::Result<Vec<_>> = active.into_iter().map(key).collect();
            Ok(keys?.into_iter().flatten().collect())
        });
    found.unwrap_or_else(|error| {
        tracing::error!(domain, %error, "DKIM keys cannot be read; mail goes unsigned");
        Vec::new()
    })
}

impl Signer {
    fn key(
        &self,
        shared: &Shared,
        domain: &str,
        selector: &str,
        public: Vec<u8>,
    ) -> store::Result<Option<Arc<DkimKey>>> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&public) {
            return Ok(Some(Arc::clone(key)));
        }
        drop(known);
        let stored = shared
            .db
            .glance(|snapshot| snapshot.dkim_private(domain, selector))?;
        let Some((algorithm, private)) = stored else {
            return Ok(None);
        };
        let key = match key::read(&algorithm, &private) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                tracing::error!(domain, selector, %error, "this DKIM key does not sign");
                return Ok(None);
            }
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= CACHED {
            keys.clear();
        }
        keys.insert(public, Arc::clone(&key));
        Ok(Some(key))
    }
}

impl Order {
    /// One signature per key.
    fn signatures(&self, subject: &Subject<'_>) -> String {
        let mut fields = String::new();
        for (selector, key) in &self.keys {
            let signed =
                signature::sign(subject, &self.domain, selector, key, self.now, self.expires);
            match signed {
                Ok(field) => fields.insert_str(0, &String::from_utf8_lossy(&field)),
                Err(error) => {
                    tracing::error!(domain = self.domain, selector, %error, "not signed with this DKIM key");
                }
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_known_by_their_domain() {
        for (signature, expected) in [
            (" v=1; a=rsa-sha256; d=a.example; s=x", true),
            (" v=1;\r\n\td = A.example ;s=x", true),
            (" v=1; d=b.a.example; s=d=a.example", false),
            (" v=1; bd=a.example", false),
        ] {
            assert_eq!(
                is_of(signature.as_bytes(), "a.example"),
                expected,
                "{signature}"
            );
        }
    }

    #[test]
    fn the_first_author_counts() {
        let domain = |message: &str| author_domain(message.as_bytes());
        assert_eq!(
            domain("From: A <a@b.example>, c@d.example\r\n\r\n").as_deref(),
            Some("b.example")
        );
        assert_eq!(domain("Subject: x\r\n\r\nFrom: a@b.example\r\n"), None);
    }
}
