//! One transaction for all recipients of a message, those here and those elsewhere.

use std::collections::{HashMap, HashSet};

use smtp::reply::Reply;
use smtp::server::Kind;
use store::{
    AccountId, BodyMeta, Content, Delivery, Error, Flags, QueueId, Recipient, SpecialUse, Target,
    Timestamp, Tx,
};

use super::outbound::Outbound;
use super::{Arrival, Path, route};
use crate::judge::{self, Judgement, Verdict};
use crate::shared::Shared;
use crate::smtp::refusal;

/// Stores the message with `top` before it. The body goes into the pack first; then one write places it with every
/// account, or with none when the sender cannot be told about each.
pub(super) async fn commit(
    shared: &Shared,
    arrival: &mut Arrival,
    top: Vec<u8>,
    id: &str,
    now: Timestamp,
    judgement: Judgement,
) -> Result<Vec<Result<(), Reply>>, Reply> {
    let paths = arrival.recipients.clone();
    let meta = BodyMeta {
        accounts: accounts(paths.iter()),
        received: now,
        reverse_path: arrival.from.to_string(),
        recipients: paths.iter().map(|path| path.address.clone()).collect(),
    };
    let each = arrival.kind == Kind::Lmtp;
    let config = shared.config();
    let queued = arrival.envelope.queued;
    let message = std::mem::take(&mut arrival.message);
    let outbound = Outbound::plan(shared, arrival, &judgement, &message, id, now)
        .await
        .map_err(|error| refusal::reply(&error))?;
    let content = shared
        .db
        .ingest(meta, vec![top, message])
        .await
        .map_err(|error| refusal::reply(&error))?;
    let placed = shared
        .db
        .write(move |tx| {
            let mut judgement = judgement;
            if let Err(enough) = outbound.allowed(tx)? {
                return Ok(Err(enough));
            }
            let open = still_open(tx, queued, &paths)?;
            let both = paths.iter().zip(&open);
            let left: Vec<Path> = both
                .filter(|(_, open)| **open)
                .map(|(path, _)| path.clone())
                .collect();
            let mut placed = place(tx, &content, now, &left, each, &mut judgement)?.into_iter();
            let verdicts: Vec<_> = open
                .iter()
                .map(|open| match open {
                    true => placed.next().unwrap_or(Ok(())),
                    false => Ok(()),
                })
                .collect();
            let taken = |place: usize| {
                open.get(place) == Some(&true) && verdicts.get(place).is_some_and(Result::is_ok)
            };
            outbound.place(tx, &content, taken)?;
            if let Some(queued) = queued {
                for (_, path) in paths.iter().enumerate().filter(|(place, _)| taken(*place)) {
                    tx.set_queue_placed(queued, &path.address)?;
                }
            }
            // What nobody got is told by the reply.
            if verdicts.iter().any(Result::is_ok) {
                judge::keep(tx, &judgement, &config.reception)?;
            }
            Ok(Ok(verdicts))
        })
        .await;
    match placed {
        Ok(Err(enough)) => Err(enough),
        Ok(Ok(verdicts)) => Ok(verdicts
            .into_iter()
            .map(|verdict| verdict.map_err(|error| refusal::reply(&error)))
            .collect()),
        Err(error) => Err(refusal::reply(&error)),
    }
}

/// Which paths are still to be served: all but those that an earlier attempt of the queue delivered to.
fn still_open(tx: &Tx<'_>, queued: Option<QueueId>, paths: &[Path]) -> store::Result<Vec<bool>> {
    let is_open = |path: &Path| match queued {
        Some(queued) => Ok(!tx.is_queue_placed(queued, &path.address)?),
        None => Ok(true),
    };
    paths.iter().map(is_open).collect()
}

/// Runs in the writer. With `each`, a path that fails does not hold up the others; without, the first failure undoes all.
fn place(
    tx: &mut Tx<'_>,
    content: &Content,
    received: Timestamp,
    paths: &[Path],
    each: bool,
    judgement: &mut Judgement,
) -> store::Result<Vec<store::Result<()>>> {
    // Many addresses may stand for the same accounts: each is looked at once, because all other writers wait.
    let mut room = HashMap::new();
    let mut verdicts = Vec::with_capacity(paths.len());
    for path in paths {
        verdicts.push(fits(tx, path, content.body.size, &mut room));
    }
    if !each {
        verdicts = verdicts
            .into_iter()
            .map(|verdict| verdict.map(Ok))
            .collect::<store::Result<_>>()?;
    }
    let fitting = paths
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| verdict.is_ok())
        .map(|(path, _)| path);
    let accounts = accounts(fitting);
    if accounts.is_empty() {
        return Ok(verdicts);
    }
    let target = match judgement.verdict {
        Verdict::Junk => Target::SpecialUse(SpecialUse::Junk),
        _ => Target::Inbox,
    };
    let recipient = |account: &AccountId| Recipient {
        account: *account,
        target: target.clone(),
        flags: Flags::NONE,
    };
    let delivery = Delivery {
        content: content.clone(),
        received,
        recipients: accounts.iter().map(recipient).collect(),
    };
    let outcomes = tx.deliver(&delivery)?;
    for placed in outcomes.iter().flatten() {
        let (account, mailbox) = (placed.account.0, placed.mailbox.0);
        judgement.record.placed(account, mailbox, placed.uid);
    }
    let failed: HashMap<AccountId, Error> = accounts
        .into_iter()
        .zip(outcomes)
        .filter_map(|(account, outcome)| outcome.err().map(|error| (account, error)))
        .collect();
    for (path, verdict) in paths.iter().zip(&mut verdicts) {
        let Some(error) = path.accounts.iter().find_map(|account| failed.get(account)) else {
            continue;
        };
        // An address of several accounts that reaches only some of them would reach those again with the next try.
        if !each || path.accounts.len().saturating_add(path.remote.len()) > 1 {
            return Err(error.clone());
        }
        *verdict = Err(error.clone());
    }
    Ok(verdicts)
}

/// Whether every account of the path can hold the message. `room` remembers the accounts already asked.
fn fits(
    tx: &Tx<'_>,
    path: &Path,
    size: u64,
    room: &mut HashMap<AccountId, store::Result<()>>,
) -> store::Result<()> {
    for account in &path.accounts {
        let verdict =
            room.entry(*account)
                .or_insert_with(|| match route::is_full(tx, *account, size) {
                    Ok(false) => Ok(()),
                    Ok(true) => Err(Error::OverQuota),
                    Err(error) => Err(error),
                });
        verdict.clone()?;
    }
    Ok(())
}

/// Each account once, in order.
fn accounts<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<AccountId> {
    let mut known = HashSet::new();
    paths
        .flat_map(|path| path.accounts.iter().copied())
        .filter(|account| known.insert(*account))
        .collect()
}
