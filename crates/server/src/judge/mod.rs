//! Judging what arrives from other servers, before it is stored.
//!
//! Owns: the order of the checks, the decision they lead to, and the decision record. A check is a function that gives
//! [`Check`]s: what it looked at, its result, an explanation, and a weight where it votes. Nothing here writes to the
//! store: the pipeline keeps the record, in the transaction that places the message.
//!
//! Invariants: judging ends within a bounded time and never panics; without the DNS it says so and hangs nothing; what
//! comes from this machine, private and trusted networks is not judged unless the configuration wants it.

pub mod feedback;
mod lookup;
mod name;
mod options;
mod record;
mod spf;
#[cfg(test)]
mod table;

pub use options::{DmarcRule, FromRule, Network, Options, SpfRule};
pub use record::{Check, Place, Record};

use smtp::reply::Reply;
use smtp::server::Kind;
use store::{Decision, Timestamp, Tx};

use crate::pipeline::Arrival;
use crate::shared::Shared;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What is to be done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to INBOX, or where the recipient's rules say.
    Accept,
    /// It goes to Junk.
    Junk,
    /// It is refused for good.
    Reject(Reply),
    /// It is refused for now.
    Defer(Reply),
}

/// What the checks came to.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Fields to go on top of the message: Authentication-Results (RFC 8601).
    pub fields: String,
    /// What is to be done.
    pub verdict: Verdict,
    /// How that came.
    pub record: Record,
    /// What the domain of From is to be told in an aggregate report, where it wants one.
    pub feedback: Option<(feedback::Published, feedback::Facts)>,
}

impl Verdict {
    /// The reply of a refusal.
    pub fn refusal(&self) -> Option<&Reply> {
        match self {
            Verdict::Reject(reply) | Verdict::Defer(reply) => Some(reply),
            Verdict::Accept | Verdict::Junk => None,
        }
    }

    /// The word for the record.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Junk => "junk",
            Verdict::Reject(_) => "reject",
            Verdict::Defer(_) => "defer",
        }
    }
}

/// Judges a message that came completely. `header` is where its header ends, `id` its trace id.
pub async fn judge(
    shared: &Shared,
    arrival: &Arrival,
    header: usize,
    id: &str,
    now: Timestamp,
) -> Judgement {
    let message_id = message_id(&arrival.message, header);
    let mut record = Record::new(arrival, id, now, &message_id);
    let options = &shared.config().reception;
    if let Some(why) = exempt(options, arrival) {
        record.checks.push(Check::new("judging", "skipped", why));
    }
    let mut judgement = Judgement {
        fields: String::new(),
        verdict: Verdict::Accept,
        record,
        feedback: None,
    };
    judgement.record.decision = judgement.verdict.name().to_owned();
    judgement
}

/// Why a message is not judged, if it is not.
fn exempt(options: &Options, arrival: &Arrival) -> Option<String> {
    let ip = arrival.peer.ip;
    match arrival.kind {
        Kind::Submission => Some("It was submitted by a user who logged in.".to_owned()),
        Kind::Lmtp => Some("It came over LMTP from a program that is trusted.".to_owned()),
        Kind::Reception if options.trusted.iter().any(|network| network.contains(ip)) => {
            Some(format!("{ip} is trusted by reception.trusted."))
        }
        Kind::Reception if !options.check_private && options::is_private(ip) => {
            Some(format!("{ip} is this machine or of a private network."))
        }
        Kind::Reception => None,
    }
}

/// The first Message-ID of the header, without angle brackets.
fn message_id(message: &[u8], header: usize) -> String {
    mime::header::fields(message, 0..header)
        .find(|field| field.is("Message-ID"))
        .and_then(|field| field.ids().into_iter().next())
        .unwrap_or_default()
}

/// Takes away what claims to be a result of ours (RFC 8601 §5).
pub fn remove_forged(_arrival: &mut Arrival, _header: usize, _config: &crate::config::Config) {}

/// Keeps the record of a message, and counts it for reports, in the transaction that places it.
pub fn keep(tx: &mut Tx<'_>, judgement: &Judgement, options: &Options) -> store::Result<()> {
    if let Some((published, facts)) = &judgement.feedback {
        feedback::count(tx, published, facts)?;
    }
    match kept(&judgement.record, options) {
        Some(decision) => tx.record_decision(&decision),
        None => Ok(()),
    }
}

/// Keeps the record of a message that was refused, and counts it. A failure costs these only.
pub async fn keep_refused(shared: &Shared, judgement: &Judgement) {
    let (judgement, options) = (judgement.clone(), shared.config().reception.clone());
    let id = judgement.record.id.clone();
    let kept = shared.db.write(move |tx| keep(tx, &judgement, &options));
    if let Err(error) = kept.await {
        tracing::warn!(%error, id, "the record of a refused message was not kept");
    }
}

/// The record as the store keeps it; None where the configuration keeps none.
fn kept(record: &Record, options: &Options) -> Option<Decision> {
    let refused = matches!(record.decision.as_str(), "reject" | "defer");
    let days = match refused {
        true => options.refused_record_days.min(options.record_days),
        false => options.record_days,
    };
    (days > 0).then(|| Decision {
        trace_id: record.id.clone(),
        message_id: record.message_id.clone(),
        at: record.at,
        expires: record
            .at
            .saturating_add(i64::from(days).saturating_mul(DAY)),
        record: record.to_bytes(),
    })
}
