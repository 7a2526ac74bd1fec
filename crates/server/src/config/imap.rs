//! What IMAP does that an owner may want otherwise.

use std::time::Duration;

/// The table `[imap]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImapOptions {
    /// Accounts that may set quotas with SETQUOTA (RFC 9208 §4.1.3), in lower case.
    pub administrators: Vec<String>,
    /// X-GM-EXT-1 is offered: labels and searches as Gmail has them.
    pub gmail_extensions: bool,
    /// How often a client is told that its command goes on (RFC 9585).
    pub progress: Every,
    /// On how many messages a command works (RFC 9738).
    pub limit: MessageLimit,
}

/// How often something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Never.
    Never,
    /// Once in this time.
    Interval(Duration),
    /// At each step of the work, however short; so that it can be seen.
    Step,
}

impl Default for Every {
    /// RFC 9585 §4 recommends 10 to 15 seconds.
    fn default() -> Every {
        Every::Interval(Duration::from_secs(10))
    }
}

/// How many messages one command works on (RFC 9738 §3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessageLimit {
    /// Any number.
    #[default]
    None,
    /// So many: MESSAGELIMIT.
    Messages(u32),
    /// So many are added by COPY and APPEND: SAVELIMIT.
    Saved(u32),
}
