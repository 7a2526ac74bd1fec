//! How much an account may send elsewhere in a day: a stolen password sends no million messages, and whoever has it learns
//! nothing from the refusal but when to come back.

use mime::DateTime;
use smtp::reply::{self, Reply};
use store::{AccountId, Sent, Snapshot, Tx};

use super::{Arrival, Remote};
use crate::shared::Shared;

/// The limits in force for an account; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Daily {
    /// Messages to recipients elsewhere.
    pub messages: u64,
    /// Recipients elsewhere that the account has never written to.
    pub strangers: u64,
}

/// A message that counts.
pub(super) struct Counted {
    account: AccountId,
    limits: Daily,
    /// Its recipients elsewhere, as they are compared.
    recipients: Vec<String>,
}

impl Counted {
    /// What our user sends elsewhere; nothing else counts.
    pub(super) fn of(shared: &Shared, arrival: &Arrival) -> Option<Counted> {
        let identity = arrival.submitter.as_ref()?;
        let mut recipients: Vec<String> = arrival
            .recipients
            .iter()
            .flat_map(|path| &path.remote)
            .filter(|remote| counts(remote))
            .map(|remote| remote.address.to_lowercase())
            .collect();
        recipients.sort_unstable();
        recipients.dedup();
        (!recipients.is_empty()).then(|| Counted {
            account: identity.account,
            limits: shared.config().limits.daily,
            recipients,
        })
    }

    pub(super) fn allowed(&self, tx: &Tx<'_>) -> store::Result<Result<(), Reply>> {
        let recipients: Vec<&str> = self.recipients.iter().map(String::as_str).collect();
        allowed(tx, self.account, self.limits, &recipients, tx.now())
    }

    pub(super) fn count(&self, tx: &mut Tx<'_>) -> store::Result<()> {
        tx.count_sent(self.account, &self.recipients)
    }
}

/// Whether a recipient is elsewhere because our user wants it: where an alias leads is the postmaster's affair, and mail that is
/// held for somebody here goes nowhere.
pub fn counts(remote: &Remote) -> bool {
    !remote.alias && !remote.held
}

/// Whether the account may send one more message, to these recipients elsewhere.
pub fn allowed(
    snapshot: &Snapshot<'_>,
    account: AccountId,
    installation: Daily,
    recipients: &[&str],
    now: i64,
) -> store::Result<Result<(), Reply>> {
    let own = snapshot.allowance(account)?;
    let messages = own.messages.unwrap_or(installation.messages);
    let strangers = own.strangers.unwrap_or(installation.strangers);
    let sent = snapshot.sent(account, now)?;
    if messages > 0 && sent.messages >= messages {
        return Ok(Err(enough(messages, "messages to other servers", sent)));
    }
    if strangers == 0 {
        return Ok(Ok(()));
    }
    let mut new = 0_u64;
    for address in recipients {
        new = new.saturating_add(u64::from(snapshot.is_stranger(account, address)?));
    }
    if new > 0 && sent.strangers.saturating_add(new) > strangers {
        let what = "recipients elsewhere to whom you have not written before";
        return Ok(Err(enough(strangers, what, sent)));
    }
    Ok(Ok(()))
}

fn enough(limit: u64, what: &str, sent: Sent) -> Reply {
    let from = match sent.until {
        0 => "ask your postmaster for more".to_owned(),
        until => format!(
            "some are free again from {}, or ask your postmaster for more",
            DateTime::from_timestamp(until, 0)
        ),
    };
    reply::DAILY_LIMIT.with_text(format!("Your limit is {limit} {what} in 24 hours: {from}"))
}
