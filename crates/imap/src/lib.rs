//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) without I/O: types, parser, encoder, sessions.
//!
//! Bytes go in ([`server::Session::receive`]), owned events come out ([`server::Session::poll`]), answers are
//! written by the session ([`server::Session::transmit`]). Nothing here knows sockets, files, clocks or randomness.
//!
//! - [`Command`] and what it is made of are owned and can only hold what the grammar allows.
//! - `parse`: one function per rule of the grammar, one file per command; never recursive on input.
//! - `encode`: responses, written straight into the output queue.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod client;
mod encode;
mod parse;
pub mod server;
pub mod types;
pub mod url;

pub use types::*;
