//! ENABLE.

use super::{Parsed, Parser, too_many};
use crate::{Capability, Command};

/// Capabilities of one ENABLE: more than there are to enable.
const LIMIT: usize = 32;

impl Parser<'_> {
    /// ```text
    /// enable = "ENABLE" 1*(SP capability)
    /// ```
    pub(super) fn enable(&mut self) -> Parsed<Command> {
        let mut capabilities = Vec::new();
        self.sp()?;
        loop {
            if capabilities.len() == LIMIT {
                return Err(too_many("ENABLE names too many capabilities"));
            }
            capabilities.push(Capability::from_name(self.atom("a capability")?));
            if !self.cursor.eat(b' ') {
                return Ok(Command::Enable(capabilities));
            }
        }
    }
}
