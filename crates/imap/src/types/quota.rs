//! Quotas (RFC 9208).

use super::MailboxName;

/// A command about quotas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaCommand {
    /// GETQUOTA: of a quota root.
    Get(String),
    /// GETQUOTAROOT: of a mailbox.
    Root(MailboxName),
    /// SETQUOTA
    Set {
        /// The quota root.
        root: String,
        /// Names of resources in capitals, and their limits. What is not named is not limited.
        limits: Vec<(String, u64)>,
    },
}

impl QuotaCommand {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            QuotaCommand::Get(_) => "GETQUOTA",
            QuotaCommand::Root(_) => "GETQUOTAROOT",
            QuotaCommand::Set { .. } => "SETQUOTA",
        }
    }
}

/// What the server says about quotas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaData {
    /// QUOTA
    Quota {
        /// The quota root.
        root: String,
        /// What is limited there.
        resources: Vec<QuotaResource>,
    },
    /// QUOTAROOT
    Roots {
        /// The mailbox as the client wrote it.
        mailbox: MailboxName,
        /// Its quota roots.
        roots: Vec<String>,
    },
}

/// A limited resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaResource {
    /// Its name: `STORAGE`, `MESSAGE` …
    pub name: String,
    /// Used, in units of the resource (STORAGE: 1024 octets).
    pub usage: u64,
    /// Allowed, likewise.
    pub limit: u64,
}
