//! What changes when an alias sends somebody's mail on to another server.
//!
//! The next server asks the domain of the reverse-path whether we may send for it, and the sender's does not know us: the
//! path becomes one of ours that leads back to theirs. And what we found out about the message goes along, sealed, because
//! it cannot be found out there any more.

use store::{Timestamp, Tx};

use super::{Arrival, route};
use crate::judge::Judgement;
use crate::shared::Shared;
use crate::sign::{self, srs};

/// Seconds that a path kept in the store is good for.
const KEPT: Timestamp = srs::DAYS * 86_400;

/// A reverse-path for forwarded mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    /// What goes into MAIL FROM.
    pub(super) address: String,
    /// What the store has to keep so that it leads back.
    keep: Option<(String, String)>,
}

impl Sender {
    /// The path under which mail from `from`, sent to an alias in `domain`, goes on. That of a sender here stays as it is.
    pub(super) fn new(shared: &Shared, from: &str, domain: &str, now: Timestamp) -> Sender {
        let own = from.rsplit_once('@').is_some_and(|(_, theirs)| {
            shared
                .db
                .glance(|snapshot| snapshot.domain(theirs))
                .is_ok_and(|found| found.is_some())
        });
        let rewritten = match own {
            true => None,
            // The one form of our name that every server takes.
            false => shared
                .srs
                .forward(from, &mail_auth::common::to_a_label(domain), now),
        };
        match rewritten {
            Some(srs::Rewritten { address, keep }) => Sender { address, keep },
            None => Sender {
                address: from.to_owned(),
                keep: None,
            },
        }
    }

    /// Keeps what leads back.
    pub(super) fn keep(&self, tx: &mut Tx<'_>) -> store::Result<()> {
        match &self.keep {
            Some((token, address)) => {
                let until = tx.now().saturating_add(KEPT);
                tx.keep_srs_address(token, address, until)
            }
            None => Ok(()),
        }
    }
}

/// The address behind a rewritten reverse-path of ours to which a notification came; None when it is none, or not ours, or
/// too old.
pub(super) fn original(shared: &Shared, local: &str) -> Option<String> {
    match shared.srs.reverse(local, shared.timestamp()).ok()? {
        srs::Reversed::Address(address) => Some(address),
        srs::Reversed::Kept(token) => shared
            .db
            .glance(|snapshot| snapshot.srs_address(&token))
            .ok()?,
    }
}

/// The ARC set for a message that goes on, to be put on top of it; empty when it stays here or was not judged.
pub(super) fn seal(shared: &Shared, arrival: &Arrival, judgement: &Judgement) -> String {
    let forwards = |path: &&super::Path| path.remote.iter().any(|remote| remote.alias);
    let Some(path) = arrival.recipients.iter().find(forwards) else {
        return String::new();
    };
    let Some((_, results)) = judgement.fields.split_once(':') else {
        return String::new();
    };
    let domain = route::domain_of(&path.address);
    let results = results.trim();
    let seal = || sign::seal(shared, domain, &arrival.message, results, judgement.chain);
    match arrival.message.len() < sign::LARGE {
        true => seal(),
        // Hashing takes its time; others go on meanwhile.
        false => tokio::task::block_in_place(seal),
    }
}
