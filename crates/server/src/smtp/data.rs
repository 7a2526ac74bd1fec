//! `DATA` and `BDAT`: the message in flight, and its way into the pipeline.

use smtp::reply::{self, Reply};
use smtp::server::{Accepted, Kind, Session};

use super::{Handler, Verdict};
use crate::budget::Permit;
use crate::drive::Link;
use crate::pipeline::{self, Arrival, Path};

/// Memory reserved before a message of unknown size: most mail fits.
const USUAL_SIZE: u64 = 64 * 1024;

/// What has come of a message so far.
pub(super) struct Incoming {
    octets: Vec<u8>,
    permit: Permit,
    /// Memory did not come free in time; the rest is read and dropped.
    starved: bool,
}

impl Incoming {
    /// Octets so far.
    pub(super) fn size(&self) -> u64 {
        self.octets.len() as u64
    }

    /// Whether memory for so many octets in all is there, or came free in time.
    pub(super) async fn has_room(&mut self, size: u64) -> bool {
        if !self.starved && self.permit.grow_to(size).await.is_err() {
            self.starved = true;
        }
        !self.starved
    }
}

impl Handler {
    /// Waits for memory before the client is told to send, which it sees as a slow server. What a stranger declares
    /// reserves nothing: a few that say much and send nothing would hold all there is.
    pub(super) async fn data_start(&mut self) -> Verdict {
        let limit = self.shared.config().limits.message_size;
        let Some(transaction) = &mut self.transaction else {
            return Err(reply::BAD_SEQUENCE);
        };
        let declared = transaction
            .parameters
            .size
            .filter(|_| self.kind != Kind::Reception);
        let size = declared.unwrap_or(USUAL_SIZE).min(limit);
        let permit = self
            .shared
            .budget
            .reserve(size)
            .await
            .map_err(|_| reply::BUSY)?;
        // The estimate is the client's; what is not sent after all is not taken from the system either.
        let octets = Vec::with_capacity(usize::try_from(size.min(USUAL_SIZE)).unwrap_or_default());
        transaction.incoming = Some(Incoming {
            octets,
            permit,
            starved: false,
        });
        Ok(Accepted::default())
    }

    pub(super) async fn data(&mut self, octets: Vec<u8>) {
        let Some(incoming) = self
            .transaction
            .as_mut()
            .and_then(|transaction| transaction.incoming.as_mut())
        else {
            return;
        };
        let size = incoming.size().saturating_add(octets.len() as u64);
        if !incoming.has_room(size).await {
            incoming.octets = Vec::new();
        } else if incoming.octets.is_empty() && octets.len() > incoming.octets.capacity() {
            incoming.octets = octets;
        } else {
            incoming.octets.extend_from_slice(&octets);
        }
    }

    /// One verdict per recipient for LMTP; else the same for all.
    pub(super) async fn data_end(&mut self, link: &Link<Session>) -> Vec<Verdict> {
        let count = self.paths().len();
        let Some(mut transaction) = self.transaction.take() else {
            return vec![Err(reply::BAD_SEQUENCE)];
        };
        let Some(incoming) = transaction.incoming.take() else {
            return vec![Err(reply::BAD_SEQUENCE); count];
        };
        if incoming.starved {
            return vec![Err(reply::BUSY); count];
        }
        let hello = self.hello.as_ref();
        let arrival = Arrival {
            kind: self.kind,
            peer: link.peer.clone(),
            tls: link.tls.clone(),
            hello: hello.map(|hello| hello.name.clone()).unwrap_or_default(),
            extended: hello.is_some_and(|hello| hello.extended),
            smtputf8: transaction.parameters.smtputf8,
            submitter: self.identity.clone(),
            from: transaction.from,
            envelope: transaction.envelope,
            recipients: transaction.recipients,
            message: incoming.octets,
        };
        let each = self.kind == Kind::Lmtp;
        let outcome = pipeline::receive(&self.shared, arrival, &mut self.aside).await;
        drop(incoming.permit);
        match outcome {
            Ok(delivered) => delivered
                .verdicts
                .into_iter()
                .map(|verdict| accepted(verdict, &delivered.id))
                .collect(),
            Err(reply) => {
                tracing::info!(peer = %link.peer, service = %self.service, %reply, "message refused");
                vec![Err(reply); if each { count } else { 1 }]
            }
        }
    }
}

fn accepted(verdict: Result<(), Reply>, id: &str) -> Verdict {
    verdict
        .map(|()| Accepted::with(reply::MESSAGE_OK.with_text(format!("Message accepted as {id}"))))
}

impl Path {
    /// The path as it stands in a Received field.
    pub(crate) fn bracketed(&self) -> String {
        format!("<{}>", self.address)
    }
}
