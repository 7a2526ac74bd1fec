//! SASL (RFC 4422): the mechanisms of Waxwing, the server's and the client's side.
//!
//! This module owns what is inside the exchange; base64 and the lines around it belong to the protocols. Both
//! sides are pure: nonces and keys come in as arguments, and each response goes in once.
//!
//! Invariants: after `Done`, `VerifyPassword` or `Failed` an exchange answers nothing but `Failed`; passwords are
//! overwritten when dropped and never printed.
//!
//! Limits: [`LINE_LIMIT`] for the base64 line; user names and passwords are bounded by it.

pub mod client;
mod prepare;
mod scram;
pub mod server;
mod token;

pub use prepare::prepare;
pub use scram::{MAX_ITERATIONS, MIN_ITERATIONS, ScramKeys};

use std::fmt;
use std::ops::Deref;
use zeroize::Zeroize;

/// The longest base64 line of an exchange in octets with its CRLF (RFC 4954 §4.1 asks for 12288 of base64).
pub const LINE_LIMIT: usize = 12_288 + 2;

/// A mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never standardised; Outlook and many libraries know no other.
    Login,
    /// RFC 7677.
    ScramSha256,
    /// RFC 7677 with the channel binding `tls-exporter` of RFC 9266.
    ScramSha256Plus,
    /// RFC 7628: a token instead of a password.
    OAuthBearer,
    /// What OAUTHBEARER was before it was standardised; many programs know no other.
    XOAuth2,
    /// RFC 4422 Appendix A: the certificate of the TLS connection.
    External,
}

impl Mechanism {
    /// All of them, strongest first.
    pub const ALL: [Mechanism; 7] = [
        Mechanism::External,
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// Those that prove a password, strongest first.
    pub const PASSWORD: [Mechanism; 4] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// The name in capability lists.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::External => "EXTERNAL",
        }
    }

    /// The mechanism of a name in either case.
    pub fn from_name(name: &[u8]) -> Option<Mechanism> {
        Mechanism::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether the server sees the password or token: such a mechanism is offered over TLS only.
    pub fn is_cleartext(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::Login) || self.is_token()
    }

    /// Whether a token takes the password's place.
    pub fn is_token(self) -> bool {
        matches!(self, Mechanism::OAuthBearer | Mechanism::XOAuth2)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an exchange knows about the TLS connection around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelBinding {
    /// The exporter value labelled `EXPORTER-Channel-Binding` (RFC 9266 §2); none without TLS 1.3, or where TLS
    /// cannot give it.
    pub tls_exporter: Option<[u8; 32]>,
    /// The server offered SCRAM-SHA-256-PLUS on this connection. A client that could have used it and was told
    /// otherwise by somebody in between is recognised by this (RFC 5802 §6).
    pub plus_advertised: bool,
}

/// A password: overwritten when dropped, compared without a timing leak, never printed.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes over `text`.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Deref for Secret {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// Why an exchange failed. For the log: the peer gets the protocol's one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message does not follow the mechanism's grammar.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The client proved nothing, or something wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The token is not believed.
    #[error("the token is not accepted")]
    WrongToken,
    /// The channel binding does not fit this connection: somebody stands in between.
    #[error("channel binding does not match: {0}")]
    ChannelBinding(&'static str),
    /// The nonce is not the one of this exchange.
    #[error("nonce does not match")]
    Nonce,
    /// The client asks for an extension of SCRAM that nobody knows (`m=`).
    #[error("unknown mandatory extension")]
    Extension,
    /// A name or password holds characters that SASLprep forbids.
    #[error("forbidden character in a name or password")]
    Forbidden,
    /// The server's proof is wrong: it does not know the password.
    #[error("the server did not prove itself")]
    ServerProof,
    /// The server reported an error inside the exchange.
    #[error("the server refused")]
    Refused,
    /// Too many or too few iterations, or a salt too long.
    #[error("parameters out of bounds")]
    Parameters,
    /// A response after the end of the exchange, or before its keys.
    #[error("message out of order")]
    Order,
}

/// A nonce for SCRAM from 18 random octets: 24 printable characters (RFC 5802 §5.1).
pub fn nonce(random: [u8; 18]) -> String {
    crate::base64::encode(&random)
}

#[cfg(test)]
mod tests;
