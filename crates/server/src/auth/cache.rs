//! The short memory of passwords that were right, so that a client's tenth connection costs no Argon2.
//!
//! Holds no password: a keyed hash of account, stored verifier and password, the key random for each process. Since
//! the stored verifier is part of it, a changed password is forgotten by itself.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use store::AccountId;
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use wire::sasl::Secret;

/// How long a password is remembered. Clients reconnect within minutes; somebody who reads our memory finds little.
const MEMORY: Duration = Duration::from_secs(10 * 60);

/// Remembered passwords at once; about 64 octets each.
const ENTRIES: usize = 50_000;

#[derive(Debug)]
pub(super) struct Cache {
    key: [u8; 32],
    entries: HashMap<AccountId, (Instant, [u8; 32])>,
}

impl Cache {
    /// An empty cache under a random key.
    pub(super) fn new(key: [u8; 32]) -> Cache {
        Cache {
            key,
            entries: HashMap::new(),
        }
    }

    /// Whether `password` was right for `account` while its stored verifier was `stored`.
    pub(super) fn holds(
        &self,
        account: AccountId,
        stored: &str,
        password: &Secret,
        now: Instant,
    ) -> bool {
        let Some((until, known)) = self.entries.get(&account) else {
            return false;
        };
        let tag = self.tag(account, stored, password);
        now < *until && bool::from(known.ct_eq(&tag))
    }

    /// Remembers a password that was right.
    pub(super) fn insert(
        &mut self,
        account: AccountId,
        stored: &str,
        password: &Secret,
        now: Instant,
    ) {
        if self.entries.len() >= ENTRIES {
            self.entries.retain(|_, (until, _)| *until > now);
            if self.entries.len() >= ENTRIES {
                self.entries.clear();
            }
        }
        let tag = self.tag(account, stored, password);
        self.entries.insert(account, (now + MEMORY, tag));
    }

    /// The key comes first and has the length of the hash's half block; lengths keep the fields apart (attack A44:
    /// two users with one password have two tags).
    fn tag(&self, account: AccountId, stored: &str, password: &Secret) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(account.0.to_be_bytes());
        hash.update((stored.len() as u64).to_be_bytes());
        hash.update(stored.as_bytes());
        hash.update(password.expose().as_bytes());
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn remembers_only_the_same_account_verifier_and_password_for_a_while() {
        let mut cache = Cache::new([7; 32]);
        let start = Instant::now();
        let password = Secret::from("secret");
        cache.insert(AccountId(1), "$argon2id$a", &password, start);
        assert!(cache.holds(AccountId(1), "$argon2id$a", &password, start));
        assert!(!cache.holds(AccountId(2), "$argon2id$a", &password, start));
        assert!(!cache.holds(AccountId(1), "$argon2id$b", &password, start));
        assert!(!cache.holds(AccountId(1), "$argon2id$a", &Secret::from("secreT"), start));
        assert!(!cache.holds(AccountId(1), "$argon2id$a", &password, start + MEMORY));
    }
}
