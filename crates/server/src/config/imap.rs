//! What IMAP does that an owner may want otherwise.

/// The table `[imap]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImapOptions {
    /// Accounts that may set quotas with SETQUOTA (RFC 9208 §4.1.3), in lower case.
    pub administrators: Vec<String>,
}
