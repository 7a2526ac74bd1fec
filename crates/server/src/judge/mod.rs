//! Judging what arrives from other servers, before it is stored.
//!
//! Owns: the order of the checks, the decision they lead to, and the decision record. A check is a function that gives
//! [`Check`]s: what it looked at, its result, an explanation, and a weight where it votes. The weights are added up in
//! [`Record::score`]. The pipeline keeps the record, in the transaction that places the message.
//!
//! Order: the From field (`from`), then SPF, DKIM, ARC and iprev beside each other and DMARC over them (`authenticate`),
//! then what follows (`policy`). Whatever else looks at messages comes after that, with the findings at hand.
//!
//! Invariants: judging ends within a bounded time and never panics; without the DNS it says so and hangs nothing; what
//! comes from this machine, private and trusted networks is not judged unless the configuration wants it.

pub mod admin;
mod appearance;
mod arc;
mod authenticate;
mod dkim;
mod dmarc;
pub mod feedback;
mod from;
mod iprev;
pub mod lookup;
mod name;
mod options;
mod policy;
mod record;
mod results;
pub mod spf;
mod state;
#[cfg(test)]
mod table;
#[cfg(test)]
mod vectors;
mod words;

pub use arc::Chain;
pub use name::ascii;
pub use options::{DmarcRule, FromRule, Network, Options, SpfRule};
pub use record::{Check, Record};
pub use state::State;

use authenticate::{Findings, authenticate};
use smtp::reply::{self, Reply};
use smtp::server::Kind;
use store::{Decision, Timestamp, Tx};

use crate::config::Config;
use crate::pipeline::Arrival;
use crate::shared::Shared;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How often a signed message may come before it is noted: more than a family or an office has members.
const REPLAYS: u32 = 20;

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
    /// The state of its ARC chain, which a seal of ours has to tell.
    pub chain: Chain,
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
    let config = shared.config();
    let mut judgement = Judgement {
        fields: String::new(),
        verdict: Verdict::Accept,
        chain: Chain::None,
        record: Record::new(arrival, id, now, &message_id),
        feedback: None,
    };
    match exempt(&config.reception, arrival) {
        Some(why) => {
            judgement.record.why = "It is not judged.".to_owned();
            let skipped = Check::new("judging", "skipped", why);
            judgement.record.checks.push(skipped);
        }
        None => authenticated(shared, &config, arrival, header, &mut judgement).await,
    }
    let weights = judgement.record.checks.iter().map(|check| check.weight);
    judgement.record.score = weights.sum();
    judgement.record.decision = judgement.verdict.name().to_owned();
    judgement
}

/// Who really sent it, and what follows from that.
async fn authenticated(
    shared: &Shared,
    config: &Config,
    arrival: &Arrival,
    header: usize,
    judgement: &mut Judgement,
) {
    let options = &config.reception;
    let record = &mut judgement.record;
    let author = from::author(&arrival.message, header);
    match &author {
        Ok(author) => {
            let words = format!("It says that it is from {}.", author.addresses.join(", "));
            record.checks.push(Check::new("from", "pass", words));
            record
                .checks
                .extend(appearance::check(&arrival.message, header));
        }
        Err(why) => {
            let words = format!("Programs may show different senders: {why}.");
            record.checks.push(Check::new("from", "fail", words));
            // A29, A30: refused before anything is asked.
            if options.from == FromRule::Strict {
                record.why = format!("It is refused because {why}.");
                let text = format!(
                    "Message refused: it needs exactly one well-formed From field, but {why} (id {})",
                    record.id
                );
                judgement.verdict = Verdict::Reject(reply::BAD_FROM.with_text(text));
                return;
            }
        }
    }
    let Some(_turn) = shared.judging.turn().await else {
        record.why = "Too many messages wait for the DNS; it may come again later.".to_owned();
        judgement.verdict = Verdict::Defer(reply::BUSY);
        return;
    };
    let (dns, keys) = (shared.dns.authenticator(), &shared.judging.keys);
    let author = author.ok();
    let findings = authenticate(dns, keys, arrival, header, author.as_ref()).await;
    judgement.chain = findings.arc.chain;
    judgement.fields = words::field(&findings, arrival, &config.hostname);
    let checks = words::checks(&findings, arrival.peer.ip);
    judgement.record.checks.extend(checks);
    judgement
        .record
        .checks
        .extend(replayed(&shared.judging, &findings));
    policy::decide(options, arrival, &findings, judgement);
}

/// A34: a signature that came often says nothing about who sends it now. Only what held is counted: the rest could be
/// made up by anybody. It informs; a newsletter with one signature for all its readers looks the same.
fn replayed(state: &State, findings: &Findings) -> Vec<Check> {
    let held = findings
        .dkim
        .iter()
        .filter(|one| one.outcome == dkim::Outcome::Pass);
    let mut checks = Vec::new();
    for one in held {
        let before = state.replays(&one.domain, &one.selector, &one.mark);
        if before >= REPLAYS {
            let words = format!("The same signed message came {before} times before, of late.");
            checks.push(Check::new("replay", "seen", words).with("domain", &one.domain));
        }
    }
    checks
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

/// Whether mail of this address is not judged: ours, a private network's, or trusted.
pub fn is_known(options: &Options, ip: std::net::IpAddr) -> bool {
    options.trusted.iter().any(|network| network.contains(ip))
        || (!options.check_private && options::is_private(ip))
}

/// The first Message-ID of the header, without angle brackets.
fn message_id(message: &[u8], header: usize) -> String {
    mime::header::fields(message, 0..header)
        .find(|field| field.is("Message-ID"))
        .and_then(|field| field.ids().into_iter().next())
        .unwrap_or_default()
}

/// Takes away what claims to be a result of ours (RFC 8601 §5), unless it may be: filters beside this server bring messages
/// back over LMTP, or from an address at home that is trusted. A trusted provider elsewhere passes on what strangers wrote.
pub fn remove_forged(arrival: &mut Arrival, header: usize, config: &Config) {
    let ip = arrival.peer.ip;
    let trusted = &config.reception.trusted;
    let beside = options::is_private(ip) && trusted.iter().any(|network| network.contains(ip));
    if arrival.kind == Kind::Lmtp || beside {
        return;
    }
    let forged = results::claiming(&arrival.message, header, &config.hostname);
    for range in forged.into_iter().rev() {
        arrival.message.drain(range);
    }
}

/// Keeps the record of a message, and counts it for reports, in the transaction that places it.
pub fn keep(tx: &mut Tx<'_>, judgement: &Judgement, options: &Options) -> store::Result<()> {
    if let Some((published, facts)) = &judgement.feedback {
        feedback::count(tx, published, facts)?;
    }
    let Some(decision) = kept(&judgement.record, options) else {
        return Ok(());
    };
    match tx.record_decision(&decision) {
        // Nothing makes a record that large; if something did, the mail would matter more.
        Err(store::Error::Limit(what)) => {
            tracing::warn!(what, id = decision.trace_id, "no decision record");
            Ok(())
        }
        kept => kept,
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
        short: days < options.record_days,
        record: record.to_bytes(),
    })
}
