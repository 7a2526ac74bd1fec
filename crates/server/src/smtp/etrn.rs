//! `ETRN` (RFC 1985): a server of ours that was away asks for what waits for its domain.

use smtp::reply::{self, Reply};
use smtp::server::Accepted;
use store::{QueueChange, QueueFilter, Snapshot};

use super::{Handler, Verdict, refusal};
use crate::config;

/// Recipients changed in one transaction, so that nobody waits long for it.
const AT_ONCE: usize = 1_000;

/// Destinations looked at for a domain and all below it.
const DESTINATIONS: usize = 10_000;

impl Handler {
    pub(super) async fn etrn(&mut self, domain: String, below: bool) -> Verdict {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        // RFC 1985 §5.2: only for servers that we send to by a route of ours.
        if config::route(&self.shared.config().routes, &domain).is_none() {
            return Err(reply::NODE_NOT_ALLOWED);
        }
        let found = self
            .shared
            .db
            .read(move |snapshot| destinations(snapshot, &domain, below))
            .await;
        let domains = found.map_err(|error| refusal::reply(&error))?;
        let mut started = 0_u64;
        for domain in domains {
            started = started.saturating_add(self.start(domain).await?);
        }
        Ok(Accepted::with(if started == 0 {
            reply::QUEUE_EMPTY
        } else {
            reply::QUEUE_STARTED
        }))
    }

    /// What waits for its next attempt is due now; what is held, or may not leave yet, stays.
    async fn start(&self, domain: String) -> Result<u64, Reply> {
        let filter = QueueFilter {
            domain: Some(domain),
            ..QueueFilter::default()
        };
        let (mut started, mut after) = (0_u64, None);
        loop {
            let filter = filter.clone();
            let changed = self
                .shared
                .db
                .write(move |tx| tx.change_queue(&filter, QueueChange::Hurry, after, AT_ONCE))
                .await;
            let (changed, more) = changed.map_err(|error| refusal::reply(&error))?;
            started = started.saturating_add(changed);
            match more {
                Some(_) => after = more,
                None => return Ok(started),
            }
        }
    }
}

/// The destinations in the queue that are meant.
fn destinations(snapshot: &Snapshot<'_>, domain: &str, below: bool) -> store::Result<Vec<String>> {
    if !below {
        return Ok(vec![domain.to_owned()]);
    }
    let all = snapshot.queue_destinations(DESTINATIONS)?;
    Ok(all
        .into_iter()
        .map(|due| due.domain)
        .filter(|name| {
            name.strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
        .collect())
}
