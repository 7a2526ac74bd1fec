//! The nouns of the queue.

use crate::types::{AccountId, BodyRef, Timestamp};

/// A message in the queue; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub i64);

/// What a notification of failure carries of the message (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// What the sender says about the octets of the body (RFC 6152 §3, RFC 3030 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyKind {
    /// `BODY=7BIT`, or nothing.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBit,
    /// `BODY=BINARYMIME`.
    Binary,
}

/// Which notifications the sender wants for a recipient (RFC 3461 §4.1). All false: it did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notify {
    /// `NEVER`
    pub never: bool,
    /// `SUCCESS`
    pub success: bool,
    /// `FAILURE`
    pub failure: bool,
    /// `DELAY`
    pub delay: bool,
}

impl Notify {
    /// `NEVER`.
    pub const NEVER: Notify = Notify {
        never: true,
        success: false,
        failure: false,
        delay: false,
    };

    /// Whether the sender said anything.
    pub fn is_given(self) -> bool {
        self != Notify::default()
    }

    /// Whether a failure is told; RFC 3461 §4.1: also when the sender did not say.
    pub fn wants_failure(self) -> bool {
        self.failure || !self.is_given()
    }

    /// Whether a delay is told; RFC 3461 §4.1 leaves it to us when the sender did not say.
    pub fn wants_delay(self) -> bool {
        self.delay || !self.is_given()
    }

    pub(crate) fn bits(self) -> i64 {
        i64::from(self.never)
            | i64::from(self.success) << 1
            | i64::from(self.failure) << 2
            | i64::from(self.delay) << 3
    }

    pub(crate) fn from_bits(bits: i64) -> Notify {
        Notify {
            never: bits & 1 != 0,
            success: bits & 2 != 0,
            failure: bits & 4 != 0,
            delay: bits & 8 != 0,
        }
    }
}

/// What happens when the deadline passes (RFC 2852 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliverByMode {
    /// `N`: the sender is told, and delivery goes on.
    Notify,
    /// `R`: the message comes back.
    Return,
}

/// `BY=` (RFC 2852).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// The deadline.
    pub at: Timestamp,
    /// What then.
    pub mode: DeliverByMode,
    /// Whether each server on the way is to be told (`T`).
    pub trace: bool,
}

/// The envelope of a queued message, without its recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEnvelope {
    /// MAIL FROM without angle brackets; empty is the null path.
    pub reverse_path: String,
    /// Where notifications go, if not to the reverse-path; empty is nowhere.
    pub report_to: Option<String>,
    /// `ENVID=`, decoded from xtext.
    pub envid: Option<String>,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `BODY=`.
    pub body: BodyKind,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `REQUIRETLS` (RFC 8689 §2).
    pub require_tls: bool,
    /// The message says `TLS-Required: No` (RFC 8689 §5).
    pub tls_optional: bool,
    /// `MT-PRIORITY=`, from -9 to 9 (RFC 6710).
    pub priority: i8,
    /// `BY=`.
    pub deliver_by: Option<DeliverBy>,
    /// Not to be sent before (RFC 4865); the time of acceptance where nothing is asked.
    pub release_at: Timestamp,
    /// Who sent it from here; none for what is forwarded, and for notifications.
    pub submitter: Option<AccountId>,
    /// `AUTH=`, decoded from xtext; empty is `<>`.
    pub auth: Option<String>,
    /// The name that trace field and log give the message.
    pub trace_id: String,
    /// When it was accepted.
    pub received: Timestamp,
    /// When senders who want it are told of the delay.
    pub warn_at: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
}

impl QueuedEnvelope {
    /// Where a notification goes; None when there is nobody to tell (RFC 5321 §4.5.5: nobody is told of a notification).
    pub fn notified(&self) -> Option<&str> {
        let to = self.report_to.as_deref().unwrap_or(&self.reverse_path);
        (!to.is_empty()).then_some(to)
    }

    /// When time itself next asks for something after `now`.
    pub(crate) fn attention_after(&self, now: Timestamp) -> Timestamp {
        /// Somebody is in flight or held at the last moment: look again.
        const AGAIN: Timestamp = 300;
        [
            Some(self.warn_at),
            self.deliver_by.map(|by| by.at),
            Some(self.expires),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
        .unwrap_or(now.saturating_add(AGAIN))
    }
}

/// Since when a recipient must have had its address (RFC 7293).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidSince {
    /// The time.
    pub at: Timestamp,
    /// Whether the message goes on where nobody can tell (`C`).
    pub anyway: bool,
}

impl ValidSince {
    /// Kept beside what NOTIFY asks for.
    pub(crate) const ANYWAY: i64 = 16;

    pub(crate) fn from_columns(at: Option<i64>, notify: i64) -> Option<ValidSince> {
        at.map(|at| ValidSince {
            at,
            anyway: notify & ValidSince::ANYWAY != 0,
        })
    }
}

/// A recipient to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecipient {
    /// RCPT TO without angle brackets.
    pub address: String,
    /// `ORCPT=` decoded, with its type: `rfc822;bob@example.org`.
    pub original: Option<String>,
    /// `NOTIFY=`.
    pub notify: Notify,
    /// `RRVS=` (RFC 7293).
    pub rrvs: Option<ValidSince>,
    /// Where it is routed by: the domain in A-labels and lower case, or an address literal.
    pub domain: String,
}

/// Of what the sender of a recipient has been told while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Warned {
    /// That it takes long.
    pub delay: bool,
    /// That the time has passed by which the sender wanted it delivered (RFC 2852 §4.1.3).
    pub deadline: bool,
}

impl Warned {
    pub(crate) fn bits(self) -> i64 {
        i64::from(self.delay) | i64::from(self.deadline) << 1
    }

    pub(crate) fn from_bits(bits: i64) -> Warned {
        Warned {
            delay: bits & 1 != 0,
            deadline: bits & 2 != 0,
        }
    }
}

/// A recipient under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedRecipient {
    /// Its number within the message.
    pub number: u32,
    /// RCPT TO without angle brackets.
    pub address: String,
    /// `ORCPT=`.
    pub original: Option<String>,
    /// `NOTIFY=`.
    pub notify: Notify,
    /// `RRVS=`.
    pub rrvs: Option<ValidSince>,
    /// Its destination.
    pub domain: String,
    /// When it was due before the lease.
    pub due: Timestamp,
    /// How often it has been tried.
    pub attempts: u32,
    /// Of what its sender has been told.
    pub warned: Warned,
    /// The last attempt.
    pub last: Option<LastAttempt>,
}

/// What the last attempt for a recipient came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// When.
    pub at: Timestamp,
    /// The enhanced status code.
    pub status: String,
    /// In words: the peer's reply where there was one.
    pub why: String,
    /// The server that was tried.
    pub peer: Option<String>,
}

/// Recipients of one message that one owner works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The message.
    pub queue: QueueId,
    /// Its envelope.
    pub envelope: QueuedEnvelope,
    /// Its octets.
    pub body: BodyRef,
    /// Whom it is for; never empty.
    pub recipients: Vec<LeasedRecipient>,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The peer took the message.
    Delivered,
    /// The peer took the message, but knows nothing of notifications (RFC 3461 §5.2.2).
    Relayed,
    /// Not now.
    Deferred,
    /// Never.
    Failed,
    /// Too late: it was given up without another attempt.
    Expired,
    /// An administrator took it out.
    Removed,
}

impl Outcome {
    /// All, in the order of their numbers in the database.
    pub const ALL: [Outcome; 6] = [
        Outcome::Delivered,
        Outcome::Relayed,
        Outcome::Deferred,
        Outcome::Failed,
        Outcome::Expired,
        Outcome::Removed,
    ];

    /// A word for people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Relayed => "relayed",
            Outcome::Deferred => "deferred",
            Outcome::Failed => "failed",
            Outcome::Expired => "expired",
            Outcome::Removed => "removed",
        }
    }

    pub(crate) fn number(self) -> i64 {
        Outcome::ALL
            .iter()
            .position(|outcome| *outcome == self)
            .map_or(0, |at| at as i64)
    }

    pub(crate) fn from_number(number: i64) -> Option<Outcome> {
        Outcome::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// The record of one attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// When.
    pub at: Timestamp,
    /// The name of the server that was tried.
    pub peer: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// What protected the connection.
    pub tls: Option<String>,
    /// Why that protection was asked for.
    pub policy: String,
    /// What the server answered.
    pub reply: Option<String>,
    /// What it came to.
    pub outcome: Outcome,
    /// The enhanced status code (RFC 3463).
    pub status: String,
    /// In words.
    pub why: String,
}

/// An attempt as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// The message.
    pub queue: QueueId,
    /// The name that trace field and log give the message.
    pub trace_id: String,
    /// For whom.
    pub recipient: String,
    /// What happened.
    pub record: AttemptRecord,
}
