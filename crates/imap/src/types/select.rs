//! SELECT and EXAMINE with their parameters (RFC 9051 §6.3.2, RFC 7162 §3.1.8, §3.2.5).

use super::{MailboxName, NumberSet};

/// SELECT and EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Which mailbox.
    pub mailbox: MailboxName,
    /// EXAMINE.
    pub read_only: bool,
    /// `CONDSTORE`
    pub condstore: bool,
    /// `ANNOTATE`: tell of annotations that others change (RFC 5257 §4.2).
    pub annotate: bool,
    /// `QRESYNC (…)`
    pub qresync: Option<QResync>,
}

impl Select {
    /// SELECT without parameters.
    pub fn new(mailbox: MailboxName) -> Select {
        Select {
            mailbox,
            read_only: false,
            condstore: false,
            annotate: false,
            qresync: None,
        }
    }
}

/// What a client knows of a mailbox (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QResync {
    /// UIDVALIDITY it was known by.
    pub uid_validity: u32,
    /// Mod-sequence up to which changes are known.
    pub modseq: u64,
    /// UIDs that are known; none given means all.
    pub known_uids: Option<NumberSet>,
    /// Sequence numbers and their UIDs, ascending and as many of the one as of the other (RFC 7162 §3.2.5.2).
    pub matches: Option<(NumberSet, NumberSet)>,
}
