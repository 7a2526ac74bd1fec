//! The asking side of IMAP, for migration and tests: one command at a time, no policy.
//!
//! [`Session`] writes commands, waits with literals until the server asks for them, and turns responses into owned
//! [`Event`]s. What a server sends is bounded by [`Limits`]; what is not understood is passed over.
//!
//! Before TLS nobody can be believed: with [`Config::require_tls`] untagged data is dropped until the handshake, no
//! password is sent, PREAUTH is an error, and octets behind the answer to STARTTLS end the session.

mod session;

pub use session::{Config, Error, Event, Limits, Session};

#[cfg(test)]
mod tests;
