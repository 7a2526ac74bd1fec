//! What the sender asked for beside the addresses: the parameters of MAIL and RCPT, with times made absolute.

use smtp::parameters::{self, Body, ByMode, Hold, Return};
use store::Timestamp;

/// What was asked for the message as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's name for the envelope, printable ASCII (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// What of the message comes back with a report (RFC 3461 §4.3).
    pub ret: Option<Return>,
    /// What the body is said to be.
    pub body: Body,
    /// By when, and what else (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// When it may leave (RFC 4865).
    pub release_at: Option<Timestamp>,
    /// What was asked for with it, as a delivery report quotes it (RFC 4865 §5.1.2).
    pub hold: Option<Hold>,
    /// -9 to 9, after policy (RFC 6710).
    pub priority: i8,
    /// Only over TLS, and only to those who promise the same (RFC 8689).
    pub require_tls: bool,
    /// The message says `TLS-Required: No`, and MAIL did not say otherwise (RFC 8689 §3).
    pub tls_optional: bool,
    /// `AUTH=`, where the client may be believed; the empty string is `<>` (RFC 4954 §5).
    pub auth: Option<String>,
    /// Classes of solicitation (RFC 3865).
    pub solicit: Vec<String>,
    /// The message of the queue that this is, where it comes from there: its recipients get it once.
    pub queued: Option<store::QueueId>,
}

/// By when a message is to be delivered (RFC 2852).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// The deliver-by-time; it may be over.
    pub at: Timestamp,
    /// What is done then.
    pub mode: ByMode,
    /// Relays are reported.
    pub trace: bool,
}

impl Envelope {
    /// Of parameters that came `now`.
    pub fn new(parameters: &parameters::Mail, now: Timestamp) -> Envelope {
        let deliver_by = parameters.deliver_by.map(|by| DeliverBy {
            at: now.saturating_add(by.seconds),
            mode: by.mode,
            trace: by.trace,
        });
        let release_at = parameters.hold.map(|hold| match hold {
            Hold::For(seconds) => {
                now.saturating_add(Timestamp::try_from(seconds).unwrap_or(Timestamp::MAX))
            }
            Hold::Until(at) => at,
        });
        Envelope {
            envid: parameters.envid.clone(),
            ret: parameters.ret,
            body: parameters.body,
            deliver_by,
            release_at,
            hold: parameters.hold,
            priority: parameters.priority.unwrap_or(0),
            require_tls: parameters.require_tls,
            tls_optional: false,
            auth: parameters.auth.clone(),
            solicit: parameters.solicit.clone(),
            queued: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute() {
        let by = |seconds| parameters::DeliverBy {
            seconds,
            mode: ByMode::Notify,
            trace: false,
        };
        let mut mail = parameters::Mail {
            hold: Some(Hold::For(60)),
            deliver_by: Some(by(-5)),
            ..parameters::Mail::default()
        };
        let envelope = Envelope::new(&mail, 1_000);
        assert_eq!(envelope.release_at, Some(1_060));
        assert_eq!(envelope.deliver_by.map(|by| by.at), Some(995));
        mail.hold = Some(Hold::Until(2_000));
        assert_eq!(Envelope::new(&mail, 1_000).release_at, Some(2_000));
        mail.hold = Some(Hold::For(u64::MAX));
        assert_eq!(Envelope::new(&mail, 1_000).release_at, Some(Timestamp::MAX));
    }
}
