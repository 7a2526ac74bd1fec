//! Names of mailboxes.

use std::fmt;

/// A mailbox name, in UTF-8 whatever the form it had on the wire. `/` separates the levels of the hierarchy.
///
/// `INBOX` is spelled in capitals however it was written, also as the first level of a deeper name, so that one
/// mailbox has one name (RFC 9051 §5.1). There are no control characters in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

/// Why a text is no mailbox name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxNameError {
    /// It holds a control character, or a line or paragraph separator (RFC 9051 §5.1, RFC 5198 §2).
    #[error("a mailbox name holds no control characters")]
    Control,
    /// It is not well-formed, canonical modified UTF-7 (RFC 9051 §A.1, RFC 3501 §5.1.3).
    #[error("the mailbox name is not canonical modified UTF-7")]
    Utf7,
    /// It is not UTF-8.
    #[error("the mailbox name is not UTF-8")]
    Utf8,
    /// It is longer than [`MailboxName::LIMIT`].
    #[error("the mailbox name is too long")]
    TooLong,
}

impl MailboxName {
    /// Longest name in octets of UTF-8. Deeper trees and longer names than any client makes, and small enough to
    /// keep every list of names cheap.
    pub const LIMIT: usize = 1000;

    /// Separator of hierarchy levels.
    pub const DELIMITER: char = '/';

    /// The name `INBOX`.
    pub fn inbox() -> MailboxName {
        MailboxName("INBOX".to_owned())
    }

    /// Checks and normalises a name given in UTF-8.
    pub fn new(name: &str) -> Result<MailboxName, MailboxNameError> {
        if name.len() > Self::LIMIT {
            return Err(MailboxNameError::TooLong);
        }
        if name
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
        {
            return Err(MailboxNameError::Control);
        }
        let (first, rest) = match name.find(Self::DELIMITER) {
            Some(end) => name.split_at(end),
            None => (name, ""),
        };
        if first.eq_ignore_ascii_case("INBOX") {
            return Ok(MailboxName(format!("INBOX{rest}")));
        }
        Ok(MailboxName(name.to_owned()))
    }

    /// The name in UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `INBOX` itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for MailboxName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
