//! Bytes of mail protocols: framing with limits, the parsing cursor, output, SASL.
//!
//! This crate owns what SMTP, IMAP and POP3 have in common before any of their grammar begins. It performs no
//! input or output and holds no clock and no random source: octets, nonces and keys come in as arguments.
//!
//! Invariants: nothing here panics on any octets of a peer; how the octets are cut into segments never changes
//! a result; no buffer grows past what its caller hands in plus the limit it names.
#![forbid(unsafe_code)]

pub mod base64;
pub mod cursor;
pub mod dots;
pub mod input;
pub mod language;
pub mod output;
pub mod sasl;
pub mod utf7;
