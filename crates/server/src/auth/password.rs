//! Passwords at rest: Argon2id for those that the server sees, SCRAM keys for those it does not, SHA-256 for app
//! passwords, which are random and need no slow hash.

use std::sync::{Arc, Mutex};

use argon2::password_hash::{Output, PasswordHash, PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use wire::sasl::{Secret, prepare};

/// Memory of one Argon2id: 19 MiB with two passes and one lane is the least that OWASP's password storage sheet
/// advises (2023), about 20 ms here. More would give a crowd of guesses too much of our memory.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Passwords checked at once, at most and on machines with as many processors: 76 MiB that stay in use.
const AT_ONCE: usize = 4;

/// Rounds for SCRAM keys: eight times the least of RFC 7677 §4. The client pays them too, at every login.
pub const SCRAM_ITERATIONS: u32 = 32_768;

/// The longest password.
const LENGTH_LIMIT: usize = 1_024;

/// A password that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing in it.
    #[error("the password is empty")]
    Empty,
    /// Over [`LENGTH_LIMIT`].
    #[error("the password is longer than 1,024 octets")]
    TooLong,
    /// A control character, which no client can send.
    #[error("the password holds a control character, which clients cannot send")]
    Forbidden,
}

/// What is stored for a password. Takes some 50 ms.
pub fn seal(password: &Secret) -> Result<store::Secret, Unusable> {
    if password.expose().is_empty() {
        return Err(Unusable::Empty);
    }
    if password.expose().len() > LENGTH_LIMIT {
        return Err(Unusable::TooLong);
    }
    let spelling = spelling(password).ok_or(Unusable::Forbidden)?;
    let salt: [u8; 16] = super::random();
    let argon2_salt =
        SaltString::encode_b64(&super::random::<16>()).map_err(|_| Unusable::Forbidden)?;
    let argon2 = argon2()
        .hash_password(spelling.expose().as_bytes(), &argon2_salt)
        .map_err(|_| Unusable::Forbidden)?
        .to_string();
    let keys = wire::sasl::ScramKeys::derive(spelling.expose(), &salt, SCRAM_ITERATIONS);
    let scram = keys.ok().map(|keys| store::ScramKeys {
        salt: keys.salt.clone(),
        iterations: keys.iterations,
        stored_key: keys.stored_key.to_vec(),
        server_key: keys.server_key.to_vec(),
    });
    Ok(store::Secret { argon2, scram })
}

/// The octets that stand for a password: the prepared form, so that it works the same with every mechanism. What
/// SASLprep refuses, such as Hebrew and Latin letters together, is taken as it is and works where the password itself
/// is sent, while SCRAM has no keys for it.
fn spelling(password: &Secret) -> Option<Secret> {
    match prepare(password.expose()) {
        Some(prepared) => Some(Secret::new(prepared)),
        None if password.expose().chars().any(char::is_control) => None,
        None => Some(password.clone()),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A new app password: 128 random bits in groups of four letters, easy to copy by hand. Letters and digits that look
/// alike are left out.
pub fn new_app_password() -> Secret {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bits = u128::from_be_bytes(super::random());
    let mut text = String::with_capacity(32);
    // 26 letters of 5 bits hold 130.
    for position in 0..26 {
        if position > 0 && position % 5 == 0 {
            text.push('-');
        }
        let letter = LETTERS.get((bits & 31) as usize).copied().unwrap_or(b'a');
        text.push(char::from(letter));
        bits >>= 5;
    }
    Secret::new(text)
}

/// What is stored for an app password; hyphens and spaces do not count, since people type them or leave them out.
pub fn app_password_hash(password: &Secret) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in password.expose().split(['-', ' ']) {
        hash.update(piece.as_bytes());
    }
    hash.finalize().into()
}

/// Checks passwords on threads of their own, a few at once.
pub(super) struct Hasher {
    slots: Arc<Semaphore>,
    /// Working memory, used again: the allocator would keep every thread's 19 MiB for itself.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    /// Checked against for unknown users: the same work for nothing.
    dummy: Arc<str>,
}

impl Hasher {
    pub(super) fn new() -> Hasher {
        let salt = [0x5au8; 16];
        let dummy = SaltString::encode_b64(&salt).map(|salt| {
            format!(
                "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${}",
                "A".repeat(43)
            )
        });
        Hasher {
            slots: Arc::new(Semaphore::new(crate::db::workers().min(AT_ONCE))),
            memory: Arc::default(),
            dummy: dummy.unwrap_or_default().into(),
        }
    }

    /// From now on no password is right, so that a test sees who asks.
    #[cfg(test)]
    pub(super) fn close(&self) {
        self.slots.close();
    }

    /// Whether `password` fits `stored`. Without `stored` it does the work and answers no.
    pub(super) async fn verify(&self, stored: Option<String>, password: Secret) -> bool {
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            return false;
        };
        let (dummy, pool) = (Arc::clone(&self.dummy), Arc::clone(&self.memory));
        let work = tokio::task::spawn_blocking(move || {
            let mut memory = super::lock(&pool).pop().unwrap_or_default();
            let known = stored.is_some();
            let right = verify(stored.as_deref().unwrap_or(&dummy), &password, &mut memory);
            // As many come back as there are slots.
            super::lock(&pool).push(memory);
            drop(slot);
            known && right
        });
        work.await.unwrap_or(false)
    }
}

fn verify(stored: &str, password: &Secret, memory: &mut Vec<Block>) -> bool {
    // An impossible password costs the same work.
    let spelling = spelling(password).unwrap_or_default();
    let computed = compute(stored, &spelling, memory);
    let right = computed
        .is_some_and(|(computed, expected)| bool::from(computed.ct_eq(expected.as_bytes())));
    right && !spelling.expose().is_empty()
}

/// The hash of `password` with the salt and parameters of `stored`, and the one that is stored.
fn compute(stored: &str, password: &Secret, memory: &mut Vec<Block>) -> Option<(Vec<u8>, Output)> {
    let stored = PasswordHash::new(stored).ok()?;
    let algorithm = Algorithm::try_from(stored.algorithm).ok()?;
    let version = stored
        .version
        .and_then(|version| Version::try_from(version).ok())
        .unwrap_or_default();
    let params = Params::try_from(&stored).ok()?;
    let expected = stored.hash?;
    let mut salt = [0; 64];
    let salt = stored.salt?.decode_b64(&mut salt).ok()?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::new());
    }
    let mut computed = vec![0; expected.len()];
    let hasher = Argon2::new(algorithm, version, params);
    hasher
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut computed, memory)
        .ok()?;
    Some((computed, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn seals_and_verifies() {
        let sealed = seal(&Secret::from("pass\u{a0}w\u{f6}rd")).unwrap();
        assert!(
            sealed.argon2.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            sealed.argon2
        );
        assert_eq!(sealed.scram.unwrap().iterations, SCRAM_ITERATIONS);
        let hasher = Hasher::new();
        // RFC 4013 §2.1: a no-break space is mapped to a space.
        assert!(
            hasher
                .verify(Some(sealed.argon2.clone()), Secret::from("pass w\u{f6}rd"))
                .await
        );
        assert!(
            !hasher
                .verify(Some(sealed.argon2), Secret::from("pass word"))
                .await
        );
        assert!(!hasher.verify(None, Secret::from("")).await);
        assert!(
            PasswordHash::new(&hasher.dummy).is_ok(),
            "the dummy must cost real work"
        );
    }

    /// An emoji works everywhere; mixed directions are against SASLprep's rules: no SCRAM, but a login.
    #[tokio::test]
    async fn what_saslprep_refuses_works_without_scram() {
        let hasher = Hasher::new();
        let mixed = "\u{5e9}\u{5dc}\u{5d5}\u{5dd}1a";
        for (text, has_scram) in [("\u{1f600} p\u{e4}ss", true), (mixed, false)] {
            let sealed = seal(&Secret::from(text)).unwrap();
            assert_eq!(sealed.scram.is_some(), has_scram, "{text}");
            let stored = Some(sealed.argon2);
            assert!(hasher.verify(stored.clone(), Secret::from(text)).await);
            assert!(!hasher.verify(stored, Secret::from("\u{1f601}")).await);
        }
    }

    #[test]
    fn unusable_passwords() {
        assert_eq!(seal(&Secret::from("")).unwrap_err(), Unusable::Empty);
        assert_eq!(
            seal(&Secret::from("a\u{7}b")).unwrap_err(),
            Unusable::Forbidden
        );
        assert_eq!(
            seal(&Secret::new("a".repeat(1025))).unwrap_err(),
            Unusable::TooLong
        );
    }

    #[test]
    fn app_passwords_are_long_and_forgiving() {
        let password = new_app_password();
        assert_eq!(password.expose().len(), 31);
        assert_ne!(password, new_app_password());
        let spaced = Secret::new(password.expose().replace('-', " "));
        let plain = Secret::new(password.expose().replace('-', ""));
        assert_eq!(app_password_hash(&password), app_password_hash(&spaced));
        assert_eq!(app_password_hash(&password), app_password_hash(&plain));
    }
}
