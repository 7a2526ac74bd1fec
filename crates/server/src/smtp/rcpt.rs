//! `RCPT TO`: for whom mail is taken. Anybody's mail for those here; for those elsewhere only that of our users.

use smtp::address::ForwardPath;
use smtp::parameters;
use smtp::reply::{self, Reply};
use smtp::server::{Accepted, Kind, Session};

use super::{Handler, Verdict, refusal};
use crate::courier;
use crate::drive::Link;
use crate::pipeline::route::Routed;
use crate::pipeline::{Path, Remote, daily, demands, route};

/// Unknown recipients after which a stranger who found hardly anybody has to go: somebody tries out names.
const UNKNOWN_LIMIT: u32 = 10;

impl Handler {
    pub(super) async fn rcpt(
        &mut self,
        to: ForwardPath,
        parameters: parameters::Recipient,
        link: &Link<Session>,
    ) -> Verdict {
        let size = self
            .transaction
            .as_ref()
            .and_then(|transaction| transaction.parameters.size);
        let relay = self.kind == Kind::Submission && self.identity.is_some();
        let bounce = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.from.mailbox().is_none());
        let routed = route::route(&self.shared, &to, size, relay, bounce).await;
        match routed {
            Ok(routed) => {
                self.daily(&routed)?;
                self.recipient_takes_mail(&routed).await?;
                self.recipient_admitted(link, &to.to_string()).await?;
                demands::since(&self.shared, &to.to_string(), parameters.valid_since)?;
                self.known = self.known.saturating_add(1);
                if let Some(transaction) = &mut self.transaction {
                    let routed = match transaction.envelope.hold {
                        Some(_) => held(&to, routed),
                        None => routed,
                    };
                    transaction.recipients.push(Path {
                        address: to.to_string(),
                        accounts: routed.accounts,
                        remote: routed.remote,
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

    /// Whether the account may write to one more elsewhere today. The commit looks again; this says it at the recipient it
    /// is about.
    fn daily(&self, routed: &Routed) -> Result<(), Reply> {
        let Some(identity) = &self.identity else {
            return Ok(());
        };
        let elsewhere = |remote: &[Remote]| -> Vec<String> {
            remote
                .iter()
                .filter(|remote| daily::counts(remote))
                .map(|remote| remote.address.to_lowercase())
                .collect()
        };
        let mut recipients = elsewhere(&routed.remote);
        if recipients.is_empty() {
            return Ok(());
        }
        for path in self.paths() {
            recipients.extend(elsewhere(&path.remote));
        }
        recipients.sort_unstable();
        recipients.dedup();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let (limits, now) = (self.shared.config().limits.daily, self.shared.timestamp());
        let allowed = self.shared.db.glance(|snapshot| {
            daily::allowed(snapshot, identity.account, limits, &recipients, now)
        });
        allowed.map_err(|error| refusal::reply(&error))?
    }
}

/// RFC 4865 §4.2: nothing is released before its time, to nobody: who is here waits in the queue as well.
fn held(to: &ForwardPath, routed: Routed) -> Routed {
    let address = to.to_string();
    match courier::destination_of(&address) {
        Some(domain) if !routed.accounts.is_empty() => Routed {
            accounts: Vec::new(),
            remote: vec![Remote {
                address,
                domain,
                alias: false,
                held: true,
            }],
        },
        _ => routed,
    }
}
