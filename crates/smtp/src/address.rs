//! Mailboxes and paths of the envelope (RFC 5321 §4.1.2, internationalised by RFC 6531 §3.3).

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

/// `Mailbox = Local-part "@" ( Domain / address-literal )`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local: String,
    domain: Domain,
}

/// What stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// A domain name as it was written, A-labels or U-labels.
    Name(String),
    /// `[192.0.2.1]`.
    Ipv4(Ipv4Addr),
    /// `[IPv6:2001:db8::1]`.
    Ipv6(Ipv6Addr),
}

/// `Reverse-path = Path / "<>"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a notification, to which no notification may be sent.
    Null,
    /// The sender.
    Mailbox(Mailbox),
}

/// What RCPT TO names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    Postmaster,
    /// The recipient; a source route in front of it was dropped (RFC 5321 Appendix C).
    Mailbox(Mailbox),
}

/// Why an address does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else than the grammar allows stands here.
    #[error("unexpected octet at {0}")]
    Unexpected(usize),
    /// Non-ASCII without SMTPUTF8.
    #[error("internationalised address without SMTPUTF8")]
    Utf8NotAllowed,
    /// Local part above 64 octets (RFC 5321 §4.5.3.1.1).
    #[error("local part too long")]
    LocalTooLong,
    /// Domain above 255 octets or a label above 63 (RFC 5321 §4.5.3.1.2).
    #[error("domain too long")]
    DomainTooLong,
}

impl Mailbox {
    /// Parses the whole of `text`. `utf8` allows what RFC 6531 §3.3 adds.
    pub fn parse(text: &[u8], utf8: bool) -> Result<Mailbox, Error> {
        let _ = (text, utf8);
        Err(Error::Unexpected(0))
    }

    /// The local part without its quotes and escapes.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether the address can only travel with SMTPUTF8.
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || matches!(&self.domain, Domain::Name(name) if !name.is_ascii())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Name(name) => f.write_str(name),
            Domain::Ipv4(ip) => write!(f, "[{ip}]"),
            Domain::Ipv6(ip) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

/// Writes the mailbox, or nothing for the null path; brackets are the caller's.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Writes the mailbox, or `postmaster`; brackets are the caller's.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}
