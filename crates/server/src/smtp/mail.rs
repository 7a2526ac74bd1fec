//! `MAIL FROM`: who may send as whom.

use smtp::address::ReversePath;
use smtp::parameters::{self, Hold};
use smtp::reply::{self, Reply};
use smtp::server::{Accepted, Kind};

use super::data::Incoming;
use super::{Handler, Verdict, extensions, refusal};
use crate::pipeline::{Envelope, Path, submit};
use crate::stream::Peer;

/// An open transaction.
pub(super) struct Transaction {
    pub(super) from: ReversePath,
    pub(super) parameters: parameters::Mail,
    pub(super) envelope: Envelope,
    pub(super) recipients: Vec<Path>,
    pub(super) incoming: Option<Incoming>,
}

impl Handler {
    pub(super) fn mail(
        &mut self,
        from: ReversePath,
        parameters: parameters::Mail,
        peer: &Peer,
        may_log_in: bool,
    ) -> Verdict {
        if self.kind == Kind::Submission {
            self.may_send_as(&from, may_log_in)?;
        }
        let now = self.shared.timestamp();
        if parameters
            .hold
            .is_some_and(|hold| matches!(hold, Hold::Until(at) if at < now))
        {
            // RFC 4865 §3: "the future date and time".
            return Err(reply::HELD_TOO_LONG);
        }
        let config = self.shared.config();
        let most = match self.kind {
            _ if extensions::is_trusted(self.kind, &config, peer) => 9,
            Kind::Submission => config.submission.priority,
            _ => 0,
        };
        let (envelope, reply) =
            extensions::envelope(&parameters, self.identity.as_ref(), most, now);
        self.transaction = Some(Transaction {
            envelope,
            from,
            parameters,
            recipients: Vec::new(),
            incoming: None,
        });
        Ok(reply.map_or_else(Accepted::default, Accepted::with))
    }

    /// RFC 6409 §4.3, §6.1. The null path stays allowed: read receipts carry it (RFC 8098 §3).
    fn may_send_as(&self, from: &ReversePath, may_log_in: bool) -> Result<(), Reply> {
        let Some(identity) = &self.identity else {
            return Err(if may_log_in {
                reply::AUTHENTICATION_REQUIRED
            } else {
                reply::TLS_REQUIRED
            });
        };
        let Some(mailbox) = from.mailbox() else {
            return Ok(());
        };
        let address = mailbox.to_string();
        let owned = self
            .shared
            .db
            .glance(|snapshot| submit::owns(snapshot, identity.account, &address));
        match owned {
            Ok(true) => Ok(()),
            Ok(false) => Err(reply::SENDER_NOT_OWNED),
            Err(error) => Err(refusal::reply(&error)),
        }
    }
}
