//! A large message on its way.
//!
//! Limits: portions of [`OUTPUT_LIMIT`] octets of the message, at most twice that once dots are stuffed.

use super::OUTPUT_LIMIT;
use wire::dots::{BareNewlines, DotEncoder};

/// A large message with dots to stuff: encoded as it is written, so that it is in memory once.
#[derive(Debug)]
pub(super) struct Sending {
    message: Vec<u8>,
    position: usize,
    /// None once the end is written.
    encoder: Option<DotEncoder>,
}

impl Sending {
    pub(super) fn new(message: Vec<u8>) -> Sending {
        Sending {
            message,
            position: 0,
            encoder: Some(DotEncoder::new(BareNewlines::Canonical)),
        }
    }

    /// The next octets; none at the end.
    pub(super) fn portion(&mut self) -> Option<Vec<u8>> {
        let mut encoder = self.encoder.take()?;
        let end = self
            .position
            .saturating_add(OUTPUT_LIMIT)
            .min(self.message.len());
        let mut out = Vec::new();
        encoder.feed(
            self.message.get(self.position..end).unwrap_or_default(),
            &mut out,
        );
        self.position = end;
        if end == self.message.len() {
            encoder.finish(&mut out);
        } else {
            self.encoder = Some(encoder);
        }
        Some(out)
    }

    /// Never 0 before the end is written.
    pub(super) fn pending(&self) -> usize {
        let rest = self.message.len().saturating_sub(self.position);
        rest.saturating_add(usize::from(self.encoder.is_some()))
    }
}
