//! The serving side of IMAP: order, syntax and framing, no policy.
//!
//! [`Session`] owns the framing of one connection and its state (RFC 9051 §3). Syntax and order errors are answered
//! inside; everything that needs a decision or data is an [`Event`], and exactly one is open at a time: pipelined
//! commands wait for their turn, so that no ambiguity of RFC 9051 §5.5 can arise.

mod append;
mod config;
mod event;
mod fetch;
mod framing;
mod quirks;
mod session;

pub use config::{Config, Limits};
pub use event::Event;
pub use fetch::{Fetch, SectionName};
pub use quirks::Quirks;
pub use session::{Enabled, Found, Session, State};

/// Reads search keys that stand alone, as a filter has them (RFC 5466 §3.2); `None` for anything else.
pub fn search_criteria(text: &[u8], limits: &Limits) -> Option<crate::SearchKey> {
    crate::parse::search_criteria(text, limits)
}

/// The names of all commands that a session knows, `UID` before the UID forms: a table that must have each of them can be
/// held against it.
pub fn command_names() -> Vec<String> {
    crate::parse::command_names()
}

#[cfg(test)]
mod tests;
