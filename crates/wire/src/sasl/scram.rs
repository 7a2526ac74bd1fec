//! SCRAM-SHA-256 (RFC 5802, RFC 7677): keys, and what both sides compute and spell alike.

use super::{ChannelBinding, Error};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use zeroize::{Zeroize, Zeroizing};

/// Fewer rounds are refused (RFC 7677 §4).
pub const MIN_ITERATIONS: u32 = 4096;

/// More rounds are refused by the client: a hostile server must not keep it computing for minutes.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// What the server stores instead of a password (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Random octets, different for each password.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2; at least [`MIN_ITERATIONS`].
    pub iterations: u32,
    /// SHA-256 of the client key.
    pub stored_key: [u8; 32],
    /// The key the server proves itself with.
    pub server_key: [u8; 32],
}

impl ScramKeys {
    /// Derives the keys of a password, which is prepared with SASLprep first. Slow on purpose.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a password SASLprep forbids, [`Error::Parameters`] for fewer than
    /// [`MIN_ITERATIONS`] rounds or an empty salt.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<ScramKeys, Error> {
        if iterations < MIN_ITERATIONS || salt.is_empty() {
            return Err(Error::Parameters);
        }
        let salted = salted_password(password, salt, iterations)?;
        let client_key = Zeroizing::new(hmac(&*salted, b"Client Key"));
        Ok(ScramKeys {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(client_key.as_slice()).into(),
            server_key: hmac(&*salted, b"Server Key"),
        })
    }
}

impl Drop for ScramKeys {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// `SaltedPassword := Hi(Normalize(password), salt, i)` (RFC 5802 §3).
pub(super) fn salted_password(
    password: &str,
    salt: &[u8],
    rounds: u32,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let prepared = Zeroizing::new(super::prepare(password).ok_or(Error::Forbidden)?);
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, rounds, &mut *salted);
    Ok(salted)
}

pub(super) fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length; the other arm cannot be reached and yields a value that matches nothing
    // a peer can know.
    match <Hmac<Sha256> as Mac>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(text).finalize().into_bytes().into(),
        Err(_) => Sha256::digest(key).into(),
    }
}

pub(super) fn xor(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut result = *left;
    result
        .iter_mut()
        .zip(right)
        .for_each(|(octet, other)| *octet ^= other);
    result
}

/// `AuthMessage := client-first-message-bare + "," + server-first-message + "," +
/// client-final-message-without-proof`
pub(super) fn auth_message(
    client_first_bare: &str,
    server_first: &str,
    without_proof: &str,
) -> String {
    format!("{client_first_bare},{server_first},{without_proof}")
}

/// Whether `text` may stand in a nonce: printable ASCII except the comma (RFC 5802 §7).
pub(super) fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| matches!(octet, 0x21..=0x2b | 0x2d..=0x7e))
}

/// The channel binding a client claims (RFC 5802 §7).
///
/// ```text
/// gs2-cbind-flag  = ("p=" cb-name) / "n" / "y"
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    /// The client binds to the channel with `tls-exporter`.
    Exporter,
    /// The client cannot bind.
    Unable,
    /// The client could, and believes that the server cannot.
    NotOffered,
}

impl Flag {
    pub(super) fn parse(text: &str) -> Result<Flag, Error> {
        match text {
            "n" => Ok(Flag::Unable),
            "y" => Ok(Flag::NotOffered),
            "p=tls-exporter" => Ok(Flag::Exporter),
            _ if text.starts_with("p=") => Err(Error::ChannelBinding("unknown type")),
            _ => Err(Error::Malformed("channel binding flag")),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Flag::Exporter => "p=tls-exporter",
            Flag::Unable => "n",
            Flag::NotOffered => "y",
        }
    }

    /// The octets of `c=` before base64: `gs2-header [ cbind-data ]`.
    pub(super) fn bound(self, gs2_header: &str, binding: &ChannelBinding) -> Vec<u8> {
        let mut bound = gs2_header.as_bytes().to_vec();
        if let (Flag::Exporter, Some(exporter)) = (self, &binding.tls_exporter) {
            bound.extend_from_slice(exporter);
        }
        bound
    }
}

/// Spells a name: `,` and `=` are escaped (RFC 5802 §5.1).
pub(super) fn escape(name: &str) -> Cow<'_, str> {
    if name.contains([',', '=']) {
        Cow::Owned(name.replace('=', "=3D").replace(',', "=2C"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Reads a name back.
///
/// ```text
/// saslname        = 1*(value-safe-char / "=2C" / "=3D")
/// ```
pub(super) fn unescape(text: &str) -> Result<String, Error> {
    const NAME: Error = Error::Malformed("name");
    let mut parts = text.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (octet, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(NAME),
        };
        name.push(octet);
        name.push_str(rest);
    }
    if name.is_empty() || name.contains('\0') {
        Err(NAME)
    } else {
        Ok(name)
    }
}

/// Takes the value of the attribute `key` at the front of `text`, and what follows its comma.
pub(super) fn attribute<'a>(
    text: &'a str,
    key: &str,
    what: &'static str,
) -> Result<(&'a str, Option<&'a str>), Error> {
    let value = text
        .strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('='));
    let value = value.ok_or(Error::Malformed(what))?;
    Ok(match value.split_once(',') {
        Some((value, rest)) => (value, Some(rest)),
        None => (value, None),
    })
}

pub(super) fn text(message: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(message).map_err(|_| Error::Malformed("not UTF-8"))
}
