//! What of a message goes elsewhere: the rows for the queue, and who is told of what.
//!
//! Mail of our users goes where they say. Aliases lead elsewhere for anybody's mail; where a notification about such mail
//! goes depends on how well we know its sender (A40): nobody who was only named in an envelope gets mail because of it.

use smtp::parameters::{Body, ByMode, NoSupport, Return};
use smtp::server::Kind;
use store::{
    BodyKind, Content, DeliverBy, DeliverByMode, NewRecipient, NotifyOn, QueuedEnvelope, Ret,
    Timestamp, Tx, ValidSince,
};

use super::forward::Sender;
use super::{Arrival, Path, route};
use crate::courier::{self, Action, Report, Told};
use crate::judge::Judgement;
use crate::pipeline::daily;
use crate::shared::Shared;

/// Everything about a message that has to do with other servers.
pub(super) struct Outbound {
    /// One for what our user sends, and one for each domain whose aliases forward.
    messages: Vec<Outgoing>,
    /// What is told when paths are placed: the paths, by their place, and the notification.
    reports: Vec<(Vec<usize>, Report)>,
    /// Whose daily limits it counts against.
    counted: Option<daily::Counted>,
}

struct Outgoing {
    envelope: QueuedEnvelope,
    /// The reverse-path, where it is not the sender's.
    sender: Option<Sender>,
    /// Each with the place of its path.
    recipients: Vec<(usize, NewRecipient)>,
}

/// How a decision record calls the check of the reverse-path.
const MAIL_FROM: &str = "MAIL FROM";

/// Why a message is not taken: the account has sent enough for today.
pub(super) type Enough = smtp::reply::Reply;

impl Outbound {
    /// Decides all that can be decided before the write. `header` is the message or its header.
    pub(super) async fn plan(
        shared: &Shared,
        arrival: &Arrival,
        judgement: &Judgement,
        header: &[u8],
        id: &str,
        now: Timestamp,
    ) -> store::Result<Outbound> {
        let mut messages: Vec<Outgoing> = Vec::new();
        let known = is_known(shared, arrival, judgement);
        for (place, path) in arrival.recipients.iter().enumerate() {
            for remote in &path.remote {
                let (envelope, sender) = match (&arrival.submitter, remote.alias) {
                    (None, true) => forwarded(shared, arrival, path, known, id, now),
                    _ => (own(shared, arrival, id, now), None),
                };
                let recipient = (place, recipient(path, remote));
                match messages.iter_mut().find(|m| m.envelope == envelope) {
                    Some(outgoing) => outgoing.recipients.push(recipient),
                    None => messages.push(Outgoing {
                        envelope,
                        sender,
                        recipients: vec![recipient],
                    }),
                }
            }
        }
        let counted = daily::Counted::of(shared, arrival);
        let reports = match known {
            true => reports(shared, arrival, header, id, now).await?,
            false => Vec::new(),
        };
        Ok(Outbound {
            messages,
            reports,
            counted,
        })
    }

    /// Whether the account may send this today; looked at before anything is placed.
    pub(super) fn allowed(&self, tx: &Tx<'_>) -> store::Result<Result<(), Enough>> {
        match &self.counted {
            Some(counted) => counted.allowed(tx),
            None => Ok(Ok(())),
        }
    }

    /// Queues what goes to the paths that were taken, and places the notifications about them.
    pub(super) fn place(
        &self,
        tx: &mut Tx<'_>,
        content: &Content,
        taken: impl Fn(usize) -> bool,
    ) -> store::Result<()> {
        let mut any = false;
        for outgoing in &self.messages {
            let recipients: Vec<NewRecipient> = outgoing
                .recipients
                .iter()
                .filter(|(place, _)| taken(*place))
                .map(|(_, recipient)| recipient.clone())
                .collect();
            if !recipients.is_empty() {
                any = true;
                if let Some(sender) = &outgoing.sender {
                    sender.keep(tx)?;
                }
                tx.enqueue(content, &outgoing.envelope, &recipients)?;
            }
        }
        for (places, report) in &self.reports {
            if places.iter().all(|place| taken(*place)) {
                report.place(tx)?;
            }
        }
        if let Some(counted) = self.counted.as_ref().filter(|_| any) {
            counted.count(tx)?;
        }
        Ok(())
    }
}

/// Whether the sender is who the envelope says, as far as can be known: then he may be told.
fn is_known(shared: &Shared, arrival: &Arrival, judgement: &Judgement) -> bool {
    arrival.submitter.is_some()
        || arrival.kind == Kind::Lmtp
        || shared.config().smtp.trusts(arrival.peer.ip)
        || judgement.record.checks.iter().any(|check| {
            // DKIM says who wrote the message, not who gets its notifications; DMARC may rest on either.
            check.name == "spf"
                && check.result == "pass"
                && check
                    .inputs
                    .iter()
                    .any(|(name, scope)| name == "identity" && scope == MAIL_FROM)
        })
}

fn own(shared: &Shared, arrival: &Arrival, id: &str, now: Timestamp) -> QueuedEnvelope {
    let asked = &arrival.envelope;
    let release_at = asked.release_at.unwrap_or(now).max(now);
    let (expires, warn_at) = shared.config().queue.times(release_at);
    QueuedEnvelope {
        reverse_path: arrival.from.to_string(),
        report_to: None,
        envid: asked.envid.clone(),
        ret: asked.ret.map(|ret| match ret {
            Return::Full => Ret::Full,
            Return::Headers => Ret::Headers,
        }),
        body: match asked.body {
            Body::SevenBit => BodyKind::SevenBit,
            Body::EightBitMime => BodyKind::EightBit,
            Body::BinaryMime => BodyKind::Binary,
        },
        smtputf8: arrival.smtputf8,
        require_tls: asked.require_tls,
        tls_optional: asked.tls_optional,
        priority: asked.priority,
        deliver_by: asked.deliver_by.map(|by| DeliverBy {
            at: by.at,
            mode: match by.mode {
                ByMode::Notify => DeliverByMode::Notify,
                ByMode::Return => DeliverByMode::Return,
            },
            trace: by.trace,
        }),
        release_at,
        submitter: arrival.submitter.as_ref().map(|identity| identity.account),
        auth: asked.auth.clone(),
        trace_id: id.to_owned(),
        received: now,
        warn_at,
        expires,
    }
}

/// The envelope of what an alias forwards for somebody who did not log in.
fn forwarded(
    shared: &Shared,
    arrival: &Arrival,
    path: &Path,
    known: bool,
    id: &str,
    now: Timestamp,
) -> (QueuedEnvelope, Option<Sender>) {
    let from = arrival.from.to_string();
    let envelope = own(shared, arrival, id, now);
    if from.is_empty() {
        return (envelope, None);
    }
    let domain = route::domain_of(&path.address);
    let sender = Sender::new(shared, &from, domain, now);
    let reverse_path = sender.address.clone();
    let report_to = match known {
        true if reverse_path == from => None,
        true => Some(from),
        // Whoever keeps the alias learns that it leads nowhere; a name in an envelope does not (A40).
        false if domain.is_empty() => Some(String::new()),
        false => Some(format!("postmaster@{domain}")),
    };
    let envelope = QueuedEnvelope {
        reverse_path,
        report_to,
        ..envelope
    };
    (envelope, Some(sender))
}

fn recipient(path: &Path, remote: &super::Remote) -> NewRecipient {
    let asked = &path.parameters;
    let mut notify = notify(path);
    let mut original = asked.original.as_ref().map(ToString::to_string);
    if remote.alias {
        // RFC 3461 §5.2.7.2, and §5.2.7.3 (c) where there are several: who gets it is nobody's business but ours.
        if is_expanded(path) {
            notify = without_success(notify);
        }
        original = original.or_else(|| {
            let kind = if path.address.is_ascii() {
                "rfc822"
            } else {
                "utf-8"
            };
            Some(format!("{kind};{}", path.address))
        });
    }
    NewRecipient {
        address: remote.address.clone(),
        original,
        notify,
        rrvs: asked
            .valid_since
            .filter(|_| !remote.alias)
            .map(|since| ValidSince {
                at: since.at,
                anyway: since.no_support == Some(NoSupport::Continue),
            }),
        domain: remote.domain.clone(),
    }
}

fn notify(path: &Path) -> NotifyOn {
    match path.parameters.notify {
        None => NotifyOn::default(),
        Some(asked) => NotifyOn {
            never: !asked.success && !asked.failure && !asked.delay,
            success: asked.success,
            failure: asked.failure,
            delay: asked.delay,
        },
    }
}

/// `SUCCESS` alone, taken away, is nothing at all and not the default.
fn without_success(notify: NotifyOn) -> NotifyOn {
    let rest = NotifyOn {
        success: false,
        ..notify
    };
    match notify.success && rest == NotifyOn::default() {
        true => NotifyOn::NEVER,
        false => rest,
    }
}

/// An alias that stands for several.
fn is_expanded(path: &Path) -> bool {
    path.accounts.len().saturating_add(path.remote.len()) > 1
}

/// The notifications of success that this server itself owes: delivered here, or expanded.
async fn reports(
    shared: &Shared,
    arrival: &Arrival,
    header: &[u8],
    id: &str,
    now: Timestamp,
) -> store::Result<Vec<(Vec<usize>, Report)>> {
    let mut told: Vec<(usize, Told)> = Vec::new();
    for (place, path) in arrival.recipients.iter().enumerate() {
        let wanted = notify(path).success;
        let action = match path.remote.is_empty() {
            true => Action::Delivered,
            // A single one elsewhere tells for himself.
            false if !is_expanded(path) => continue,
            false => Action::Expanded,
        };
        if wanted {
            told.push((place, delivered(path, action, now)));
        }
    }
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let mut about = own(shared, arrival, id, now);
    about.submitter = None;
    // LMTP has a verdict for each, and so a notification for each.
    let groups: Vec<Vec<(usize, Told)>> = match arrival.kind {
        Kind::Lmtp => told.into_iter().map(|one| vec![one]).collect(),
        _ => vec![told],
    };
    let mut all = Vec::new();
    for group in groups {
        let (places, told): (Vec<usize>, Vec<Told>) = group.into_iter().unzip();
        for report in courier::prepare(shared, &about, header, &told).await? {
            all.push((places.clone(), report));
        }
    }
    Ok(all)
}

fn delivered(path: &Path, action: Action, now: Timestamp) -> Told {
    Told {
        address: path.address.clone(),
        original: path.parameters.original.as_ref().map(ToString::to_string),
        action,
        status: match action {
            Action::Expanded => "2.1.5".to_owned(),
            _ => "2.0.0".to_owned(),
        },
        peer: None,
        reply: None,
        why: String::new(),
        at: now,
        attempts: 0,
        retry_until: None,
    }
}
