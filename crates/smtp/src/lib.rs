//! ESMTP and LMTP without I/O: commands, replies, parameters; server and client sessions.
//!
//! Nothing here opens a socket, reads a clock or draws a random number. A session takes bytes, yields owned events,
//! takes verdicts and gives bytes back, so the same code is fed one byte at a time in tests, fuzzed, and driven over TLS.
//!
//! * [`address`] parses paths and mailboxes (RFC 5321 §4.1.2, RFC 6531 §3.3).
//! * [`parameters`] are what may follow MAIL FROM and RCPT TO.
//! * [`reply`] names every reply the server gives, each with its enhanced status code (RFC 3463).
//! * [`server::Session`] receives mail: for a domain, from its users (RFC 6409), or over LMTP (RFC 2033).
//! * [`client::Session`] sends it.
#![forbid(unsafe_code)]

pub mod address;
pub mod client;
pub mod parameters;
mod parse;
pub mod reply;
pub mod server;

pub use parse::{Client, Told};
