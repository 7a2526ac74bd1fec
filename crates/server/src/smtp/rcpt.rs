//! `RCPT TO`: for whom mail is taken. Local recipients only, whoever sends.

use smtp::address::ForwardPath;
use smtp::parameters;
use smtp::reply;
use smtp::server::{Accepted, Kind};

use super::{Handler, Verdict};
use crate::pipeline::{Path, demands, route};

/// Unknown recipients after which a stranger who found hardly anybody has to go: somebody tries out names.
const UNKNOWN_LIMIT: u32 = 10;

impl Handler {
    pub(super) async fn rcpt(
        &mut self,
        to: ForwardPath,
        parameters: parameters::Recipient,
    ) -> Verdict {
        let size = self
            .transaction
            .as_ref()
            .and_then(|transaction| transaction.parameters.size);
        let routed = route::route(&self.shared, &to, size).await;
        match routed {
            Ok(accounts) => {
                demands::since(&self.shared, &to.to_string(), parameters.valid_since)?;
                self.known = self.known.saturating_add(1);
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(Path {
                        address: to.to_string(),
                        accounts,
                        parameters,
                    });
                }
                Ok(Accepted::default())
            }
            Err(reply) if reply == reply::MAILBOX_UNKNOWN && self.kind == Kind::Reception => {
                self.unknown = self.unknown.saturating_add(1);
                // Mailing lists age: who knows somebody here may be wrong about as many.
                let guessing = self.unknown > UNKNOWN_LIMIT && self.unknown > self.known;
                Err(if guessing {
                    reply::TOO_MANY_ERRORS
                } else {
                    reply
                })
            }
            Err(reply) => Err(reply),
        }
    }
}
