//! What came of an attempt, written down together with what the sender is told: one transaction, so that nothing is
//! delivered without being noted and nobody is told twice, or never.

use std::sync::Arc;
use std::time::Duration;

use store::{
    AttemptRecord, DeliverByMode, Leased, LeasedRecipient, QueuedEnvelope, Settlement, Timestamp,
    Verdict, Warned,
};

use super::bounce::{self, Action, Told};
use super::{Attempt, Outcome};
use crate::budget::{Budget, Permit};
use crate::shared::Shared;

/// What was tried, one for each recipient.
pub(super) type Tried = Attempt;

/// The longest pause between two tries to write down what happened.
const PATIENCE: Duration = Duration::from_secs(60);

/// The octets of a leased message as they go out, and the memory they take; or why not.
pub(super) async fn message(
    shared: &Shared,
    memory: &Budget,
    leased: &Leased,
) -> Result<(Arc<[u8]>, Permit), String> {
    let permit = memory
        .reserve(leased.body.size)
        .await
        .map_err(|_| "there is no memory for it at the moment".to_owned())?;
    let body = leased.body;
    let read = shared.db.blocking(move |store| store.body(&body)).await;
    match read {
        Ok(octets) => Ok((without_return_path(octets).into(), permit)),
        Err(error) => {
            tracing::error!(%error, queue = leased.queue.0, "a queued message cannot be read");
            Err("it cannot be read from the disk at the moment".to_owned())
        }
    }
}

/// RFC 5321 §4.4: the field of final delivery, which stands first for those here, does not travel.
fn without_return_path(mut message: Vec<u8>) -> Vec<u8> {
    let header = mime::header::fields(&message, 0..message.len().min(2_000)).next();
    if let Some(range) = header
        .filter(|field| field.is("Return-Path"))
        .map(|field| field.range())
    {
        message.drain(range);
    }
    message
}

/// Settles what an attempt came to.
pub(super) async fn settle(
    shared: &Arc<Shared>,
    owner: &Arc<str>,
    leased: Leased,
    message: Arc<[u8]>,
    attempts: Vec<Tried>,
) {
    let now = shared.timestamp();
    let mut outcome = Settling::new(shared, &leased, now);
    for (recipient, attempt) in leased.recipients.iter().zip(attempts) {
        let jitter = u64::from_ne_bytes(crate::auth::random());
        outcome.attempted(recipient, attempt, jitter);
    }
    let (settlements, told) = (outcome.settlements, outcome.told);
    write(shared, owner, &leased, &message, settlements, told, false).await;
}

/// Time asked for something: a warning, a deadline, giving up.
pub(super) async fn time_passed(
    shared: &Arc<Shared>,
    owner: &Arc<str>,
    memory: &Budget,
    leased: Leased,
) {
    let now = shared.timestamp();
    let mut outcome = Settling::new(shared, &leased, now);
    for recipient in &leased.recipients {
        outcome.waited(recipient);
    }
    let (settlements, told) = (outcome.settlements, outcome.told);
    // Only a report needs the message. One that cannot be read is reported without it.
    let loaded = match told.is_empty() {
        true => None,
        false => message(shared, memory, &leased).await.ok(),
    };
    let octets = loaded.as_ref().map_or_else(
        || Arc::from([]),
        |(octets, _permit): &(Arc<[u8]>, Permit)| Arc::clone(octets),
    );
    write(shared, owner, &leased, &octets, settlements, told, true).await;
}

/// Collects what is to be written.
struct Settling<'a> {
    envelope: &'a QueuedEnvelope,
    options: super::QueueOptions,
    now: Timestamp,
    settlements: Vec<Settlement>,
    told: Vec<Told>,
}

impl<'a> Settling<'a> {
    fn new(shared: &Shared, leased: &'a Leased, now: Timestamp) -> Settling<'a> {
        Settling {
            envelope: &leased.envelope,
            options: shared.config().queue.clone(),
            now,
            settlements: Vec::new(),
            told: Vec::new(),
        }
    }

    /// One recipient was tried.
    fn attempted(&mut self, recipient: &LeasedRecipient, attempt: Attempt, jitter: u64) {
        let outcome = match &attempt.outcome {
            Outcome::Delivered {
                dsn_relayed: true, ..
            } => store::Outcome::Delivered,
            Outcome::Delivered {
                dsn_relayed: false, ..
            } => store::Outcome::Relayed,
            Outcome::Deferred { .. } => store::Outcome::Deferred,
            Outcome::Failed { .. } => store::Outcome::Failed,
        };
        let unwatched = self.is_unwatched(&attempt.outcome);
        let (status, why) = match &attempt.outcome {
            Outcome::Delivered { .. } => ("2.0.0".to_owned(), "accepted".to_owned()),
            Outcome::Deferred { status, why } | Outcome::Failed { status, why } => {
                (status.clone(), why.clone())
            }
        };
        let record = AttemptRecord {
            at: attempt.at,
            peer: attempt.peer,
            address: attempt.address.map(|address| address.to_string()),
            tls: attempt.tls,
            policy: attempt.policy,
            reply: attempt.reply,
            outcome,
            status,
            why,
        };
        let attempts = recipient.attempts.saturating_add(1);
        let mut warned = recipient.warned;
        let verdict = match outcome {
            store::Outcome::Relayed | store::Outcome::Delivered => {
                // RFC 3461 §5.2.2: the peer will not tell, so we say how far it got.
                let asked = outcome == store::Outcome::Relayed && recipient.notify.success;
                if asked || unwatched && !recipient.notify.never {
                    self.tell(recipient, Action::Relayed, &record, attempts, None);
                }
                Verdict::Done
            }
            store::Outcome::Deferred => match self.deferred(recipient, &record, attempts, jitter) {
                None => Verdict::Done,
                Some(due) => {
                    warned = self.delayed(recipient, &record, attempts);
                    Verdict::Later(due)
                }
            },
            store::Outcome::Failed => {
                self.failed(recipient, &record, attempts);
                Verdict::Done
            }
            store::Outcome::Expired | store::Outcome::Removed => Verdict::Done,
        };
        self.settlements.push(Settlement {
            number: recipient.number,
            attempt: Some(record),
            verdict,
            warned,
        });
    }

    /// Whether the sender is told of the passing on because of a deadline: he wants a trace, or the peer knows nothing of the
    /// deadline (RFC 2852 §4.1.4, §4.1.4.2).
    fn is_unwatched(&self, outcome: &Outcome) -> bool {
        let (Outcome::Delivered { by_relayed, .. }, Some(by)) = (outcome, self.envelope.deliver_by)
        else {
            return false;
        };
        let lost = !by_relayed && by.mode == DeliverByMode::Notify && self.now < by.at;
        by.trace || lost
    }

    /// When it is tried again; None when it is too late for that.
    fn deferred(
        &mut self,
        recipient: &LeasedRecipient,
        record: &AttemptRecord,
        attempts: u32,
        jitter: u64,
    ) -> Option<Timestamp> {
        if let Some(expired) = self.too_late(Some(record)) {
            self.failed(recipient, &expired, attempts);
            return None;
        }
        let due = self
            .now
            .saturating_add(self.options.pause(attempts, jitter));
        // A last try just before the end, instead of none.
        Some(
            due.min(self.envelope.expires.saturating_sub(1))
                .max(self.now.saturating_add(1)),
        )
    }

    /// Whether the message is given up now, with what is said then.
    fn too_late(&self, last: Option<&AttemptRecord>) -> Option<AttemptRecord> {
        let deadline = self
            .envelope
            .deliver_by
            .filter(|by| by.mode == DeliverByMode::Return && by.at <= self.now);
        let why = match deadline {
            // RFC 2852 §4.1.3
            Some(_) => "it could not be delivered by the time its sender set",
            None if self.envelope.expires <= self.now => "it could not be delivered in time",
            None => return None,
        };
        Some(AttemptRecord {
            at: last.map_or(self.now, |last| last.at),
            peer: last.and_then(|last| last.peer.clone()),
            address: last.and_then(|last| last.address.clone()),
            tls: None,
            policy: String::new(),
            reply: last.and_then(|last| last.reply.clone()),
            outcome: store::Outcome::Expired,
            status: match deadline {
                Some(_) => "5.4.7".to_owned(),
                None => "4.4.7".to_owned(),
            },
            why: match last {
                Some(last) => format!("{why}; at last: {}", last.why),
                None => why.to_owned(),
            },
        })
    }

    /// Time has come for a recipient that waits.
    fn waited(&mut self, recipient: &LeasedRecipient) {
        let last = recipient.last.as_ref().map(|last| AttemptRecord {
            at: last.at,
            peer: last.peer.clone(),
            address: None,
            tls: None,
            policy: String::new(),
            reply: None,
            outcome: store::Outcome::Deferred,
            status: last.status.clone(),
            why: last.why.clone(),
        });
        let attempts = recipient.attempts;
        if let Some(expired) = self.too_late(last.as_ref()) {
            self.failed(recipient, &expired, attempts);
            let attempt = AttemptRecord {
                at: self.now,
                ..expired
            };
            return self.settlements.push(Settlement {
                number: recipient.number,
                attempt: Some(attempt),
                verdict: Verdict::Done,
                warned: recipient.warned,
            });
        }
        let record = last.unwrap_or_else(|| AttemptRecord {
            at: self.now,
            peer: None,
            address: None,
            tls: None,
            policy: String::new(),
            reply: None,
            outcome: store::Outcome::Deferred,
            status: "4.4.7".to_owned(),
            why: "the other server could not be reached so far".to_owned(),
        });
        let warned = self.delayed(recipient, &record, attempts);
        self.settlements.push(Settlement {
            number: recipient.number,
            attempt: None,
            verdict: Verdict::Later(recipient.due),
            warned,
        });
    }

    fn failed(&mut self, recipient: &LeasedRecipient, record: &AttemptRecord, attempts: u32) {
        if recipient.notify.wants_failure() {
            self.tell(recipient, Action::Failed, record, attempts, None);
        }
    }

    /// Tells of a delay that is long, or goes beyond what the sender wanted; of what he has been told then.
    fn delayed(
        &mut self,
        recipient: &LeasedRecipient,
        record: &AttemptRecord,
        attempts: u32,
    ) -> Warned {
        let mut warned = recipient.warned;
        let mut record = record.clone();
        let deadline = self
            .envelope
            .deliver_by
            .is_some_and(|by| by.mode == DeliverByMode::Notify && by.at <= self.now);
        let mut tell = false;
        if deadline && !warned.deadline {
            // RFC 2852 §4.1.3
            record.status = "4.4.7".to_owned();
            (warned.deadline, tell) = (true, true);
        }
        if self.envelope.warn_at <= self.now && !warned.delay {
            (warned.delay, tell) = (true, true);
        }
        if tell && recipient.notify.wants_delay() {
            let until = Some(self.envelope.expires);
            self.tell(recipient, Action::Delayed, &record, attempts, until);
        }
        warned
    }

    fn tell(
        &mut self,
        recipient: &LeasedRecipient,
        action: Action,
        record: &AttemptRecord,
        attempts: u32,
        retry_until: Option<Timestamp>,
    ) {
        self.told.push(Told {
            address: recipient.address.clone(),
            original: recipient.original.clone(),
            action,
            status: record.status.clone(),
            peer: record.peer.clone(),
            reply: record.reply.clone(),
            why: record.why.clone(),
            at: record.at,
            attempts,
            retry_until,
        });
    }
}

/// One transaction: the settlements, and the notifications. What cannot be written now is written later: until then the
/// recipients stay leased, and nobody else touches them.
async fn write(
    shared: &Arc<Shared>,
    owner: &Arc<str>,
    leased: &Leased,
    message: &Arc<[u8]>,
    settlements: Vec<Settlement>,
    told: Vec<Told>,
    attention: bool,
) {
    let id = leased.queue;
    log(leased, &settlements);
    let mut pause = Duration::from_millis(200);
    loop {
        let result = write_once(
            shared,
            owner,
            leased,
            message,
            &settlements,
            &told,
            attention,
        );
        match result.await {
            Ok(()) => return,
            Err(error @ (store::Error::Conflict(_) | store::Error::NotFound(_))) => {
                return tracing::error!(%error, queue = id.0, "an attempt cannot be written down");
            }
            Err(error) => {
                tracing::error!(%error, queue = id.0, "an attempt cannot be written down yet");
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PATIENCE);
    }
}

async fn write_once(
    shared: &Arc<Shared>,
    owner: &Arc<str>,
    leased: &Leased,
    message: &Arc<[u8]>,
    settlements: &[Settlement],
    told: &[Told],
    attention: bool,
) -> store::Result<()> {
    let reports = bounce::prepare(shared, &leased.envelope, message, told).await?;
    let (owner, id) = (Arc::clone(owner), leased.queue);
    let settlements = settlements.to_vec();
    shared
        .db
        .write(move |tx| {
            match attention {
                true => tx.settle_attention(&owner, id, &settlements)?,
                false => tx.settle(&owner, id, &settlements)?,
            }
            for report in &reports {
                report.place(tx)?;
            }
            Ok(())
        })
        .await
}

fn log(leased: &Leased, settlements: &[Settlement]) {
    for (recipient, settlement) in leased.recipients.iter().zip(settlements) {
        let Some(attempt) = &settlement.attempt else {
            continue;
        };
        tracing::info!(
            id = leased.envelope.trace_id,
            queue = leased.queue.0,
            to = ?recipient.address,
            peer = ?attempt.peer,
            outcome = attempt.outcome.name(),
            status = attempt.status,
            why = ?attempt.reply.as_deref().unwrap_or(&attempt.why),
            "delivery tried"
        );
    }
}
