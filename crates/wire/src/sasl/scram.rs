//! SCRAM-SHA-256 (RFC 5802, RFC 7677): keys and the messages both sides exchange.

use super::{Error, Secret};

/// What the server stores instead of a password (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Random octets, different for each password.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2; at least 4096 (RFC 7677 §4).
    pub iterations: u32,
    /// SHA-256 of the client key.
    pub stored_key: [u8; 32],
    /// The key the server proves itself with.
    pub server_key: [u8; 32],
}

impl ScramKeys {
    /// Derives the keys of a password, which is prepared with SASLprep first. Slow on purpose.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<ScramKeys, Error> {
        let _ = Secret::new(super::prepare(password).ok_or(Error::Forbidden)?);
        let _ = (salt, iterations);
        Err(Error::Order)
    }
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}
