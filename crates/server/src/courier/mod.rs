//! The road of an outgoing message: from the queue to another server, or back to its sender.
//!
//! `schedule` decides what is tried when and keeps destinations apart; [`attempt`] is one try; `settle` writes down what
//! came of it, together with what the sender is told (`bounce`), in one transaction.

pub mod admin;
mod attempt;
mod bounce;
mod connect;
mod convert;
mod dane;
mod destination;
mod local;
mod options;
mod policy;
mod pool;
mod resolve;
mod schedule;
mod settle;
mod sts;
#[cfg(test)]
mod tests;
mod tls_report;
mod transaction;
mod verify;

use std::net::IpAddr;
use std::sync::Arc;

use store::{NotifyOn, QueueId, QueuedEnvelope, Timestamp, ValidSince};

pub use attempt::{Ways, attempt, renew};

pub use bounce::{Action, Report, Told, letter, prepare};
pub use options::QueueOptions;
pub use schedule::Courier;

/// Where mail for an address is routed by: its domain in A-labels and lower case, or its literal in brackets. None when it
/// is no address.
pub fn destination_of(address: &str) -> Option<String> {
    use smtp::address::{Domain, Mailbox};
    let mailbox = Mailbox::parse(address.as_bytes(), true).ok()?;
    match mailbox.domain() {
        Domain::Name(name) => idna::domain_to_ascii(name)
            .ok()
            .filter(|name| !name.is_empty()),
        Domain::Ipv4(ip) => Some(format!("[{ip}]")),
        Domain::Ipv6(ip) => Some(format!("[IPv6:{ip}]")),
    }
}

/// One message for recipients at one destination.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name in the queue.
    pub queue: QueueId,
    /// Its envelope.
    pub envelope: QueuedEnvelope,
    /// The destination: a domain in A-labels and lower case, or an address literal with its brackets.
    pub domain: String,
    /// Whom it is for, there; never empty, at most `store::queue::TOGETHER`.
    pub recipients: Vec<JobRecipient>,
    /// The message as it goes out, without Return-Path.
    pub message: Arc<[u8]>,
}

/// A recipient of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecipient {
    /// RCPT TO without angle brackets.
    pub address: String,
    /// `ORCPT=` decoded, with its type.
    pub original: Option<String>,
    /// `NOTIFY=`.
    pub notify: NotifyOn,
    /// `RRVS=` (RFC 7293).
    pub rrvs: Option<ValidSince>,
}

/// What a try came to for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// The name of the server that was tried.
    pub peer: Option<String>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// What protected the connection: `TLSv1.3 …`.
    pub tls: Option<String>,
    /// Why that protection was asked for, in words.
    pub policy: String,
    /// The server's answer that decided, with its code.
    pub reply: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer has it.
    Delivered {
        /// Whether the peer took over what NOTIFY asks for (RFC 3461 §5.2.1).
        dsn_relayed: bool,
        /// Whether the peer took over by when it is to be delivered (RFC 2852 §4.1.4).
        by_relayed: bool,
    },
    /// Not now; tried again.
    Deferred {
        /// `4.x.x`
        status: String,
        /// In words that its sender understands.
        why: String,
    },
    /// Never.
    Failed {
        /// `5.x.x`
        status: String,
        /// In words that its sender understands.
        why: String,
    },
}
