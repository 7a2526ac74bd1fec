//! Mail from the queue for a domain of ours: what a user held back (RFC 4865), or what was queued before the domain came here.
//! It enters the pipeline as from a program on this machine, which delivers, expands aliases and tells of success.
//!
//! The transaction that delivers marks the recipient's row, so that an attempt that did not live to settle it is not repeated:
//! here everybody gets a message exactly once.

use std::sync::Arc;

use smtp::address::{ForwardPath, Mailbox, ReversePath};
use smtp::parameters::{Body, ByMode, Notify, Original, Recipient, Return, ValidSince};
use smtp::reply::{self, Reply};
use smtp::server::Kind;
use store::{BodyKind, DeliverByMode, Ret};

use super::{Attempt, Job, JobRecipient, Outcome};
use crate::filter::Aside;
use crate::pipeline::envelope::DeliverBy;
use crate::pipeline::{self, Arrival, Envelope, Path, route};
use crate::shared::Shared;
use crate::smtp::refusal;
use crate::stream::Peer;

/// One attempt per recipient where the domain is ours; None where it is not.
pub(super) async fn deliver(shared: &Arc<Shared>, job: &Job) -> Option<Vec<Attempt>> {
    match shared.db.glance(|snapshot| snapshot.domain(&job.domain)) {
        Ok(Some(_)) => {}
        Ok(None) => return None,
        // Whose the domain is cannot be seen now. Elsewhere its mail would be refused for good.
        Err(error) => {
            let why = refusal::reply(&error);
            let each = job.recipients.iter();
            return Some(each.map(|_| attempt(shared, Err(why.clone()))).collect());
        }
    }
    let bounce = job.envelope.reverse_path.is_empty();
    let mut paths = Vec::new();
    let mut refused: Vec<Option<Reply>> = Vec::new();
    for recipient in &job.recipients {
        match path(shared, recipient, bounce).await {
            Ok(path) => {
                paths.push(path);
                refused.push(None);
            }
            Err(reply) => refused.push(Some(reply)),
        }
    }
    let mut verdicts = if paths.is_empty() {
        Vec::new()
    } else {
        place(shared, job, paths).await
    }
    .into_iter();
    let attempts = refused.into_iter().map(|refused| {
        let verdict = match refused {
            Some(reply) => Err(reply),
            None => verdicts.next().unwrap_or(Err(reply::INTERNAL)),
        };
        attempt(shared, verdict)
    });
    Some(attempts.collect())
}

async fn path(shared: &Arc<Shared>, recipient: &JobRecipient, bounce: bool) -> Result<Path, Reply> {
    let mailbox = Mailbox::parse(recipient.address.as_bytes(), true);
    let to = ForwardPath::Mailbox(mailbox.map_err(|_| reply::BAD_RECIPIENT)?);
    let routed = route::route(shared, &to, None, false, bounce).await?;
    let mut parameters = Recipient::default();
    parameters.original = recipient.original.as_deref().and_then(Original::from_text);
    parameters.notify = recipient.notify.is_given().then_some(Notify {
        success: recipient.notify.success,
        failure: recipient.notify.failure,
        delay: recipient.notify.delay,
    });
    parameters.valid_since = recipient.rrvs.map(|since| ValidSince {
        at: since.at,
        no_support: None,
    });
    pipeline::demands::since(shared, &recipient.address, parameters.valid_since)?;
    Ok(Path {
        address: recipient.address.clone(),
        accounts: routed.accounts,
        remote: routed.remote,
        parameters,
    })
}

async fn place(shared: &Arc<Shared>, job: &Job, paths: Vec<Path>) -> Vec<Result<(), Reply>> {
    let count = paths.len();
    let from = match Mailbox::parse(job.envelope.reverse_path.as_bytes(), true) {
        Ok(mailbox) => ReversePath::Mailbox(mailbox),
        Err(_) => ReversePath::Null,
    };
    let arrival = Arrival {
        kind: Kind::Lmtp,
        peer: Peer::unix(),
        tls: None,
        hello: shared.config().hostname.clone(),
        extended: true,
        smtputf8: job.envelope.smtputf8,
        submitter: None,
        from,
        envelope: envelope(job),
        recipients: paths,
        message: job.message.to_vec(),
    };
    match pipeline::receive(shared, arrival, &mut Aside::default()).await {
        Ok(delivered) => delivered.verdicts,
        Err(reply) => vec![Err(reply); count],
    }
}

/// What the sender asked for holds as well where an alias here leads elsewhere.
fn envelope(job: &Job) -> Envelope {
    let asked = &job.envelope;
    Envelope {
        envid: asked.envid.clone(),
        ret: asked.ret.map(|ret| match ret {
            Ret::Full => Return::Full,
            Ret::Headers => Return::Headers,
        }),
        body: match asked.body {
            BodyKind::SevenBit => Body::SevenBit,
            BodyKind::EightBit => Body::EightBitMime,
            BodyKind::Binary => Body::BinaryMime,
        },
        deliver_by: asked.deliver_by.map(|by| DeliverBy {
            at: by.at,
            mode: match by.mode {
                DeliverByMode::Notify => ByMode::Notify,
                DeliverByMode::Return => ByMode::Return,
            },
            trace: by.trace,
        }),
        // It has been released.
        release_at: None,
        hold: None,
        priority: asked.priority,
        require_tls: asked.require_tls,
        tls_optional: asked.tls_optional,
        auth: asked.auth.clone(),
        solicit: Vec::new(),
        queued: Some(job.queue),
    }
}

fn attempt(shared: &Shared, verdict: Result<(), Reply>) -> Attempt {
    let status = |reply: &Reply, otherwise: &str| match reply.enhanced {
        Some(enhanced) => enhanced.to_string(),
        None => otherwise.to_owned(),
    };
    let (reply, outcome) = match verdict {
        // Whoever asked to be told of it has been told.
        Ok(()) => (
            None,
            Outcome::Delivered {
                dsn_relayed: true,
                by_relayed: true,
            },
        ),
        Err(reply) if reply.is_permanent() => {
            let outcome = Outcome::Failed {
                status: status(&reply, "5.0.0"),
                why: reply.text.to_string(),
            };
            (Some(reply), outcome)
        }
        Err(reply) => {
            let outcome = Outcome::Deferred {
                status: status(&reply, "4.0.0"),
                why: reply.text.to_string(),
            };
            (Some(reply), outcome)
        }
    };
    Attempt {
        at: shared.timestamp(),
        peer: Some(shared.config().hostname.clone()),
        address: None,
        tls: None,
        policy: "the domain is served here".to_owned(),
        reply: reply.map(|reply| reply.to_string()),
        outcome,
    }
}
