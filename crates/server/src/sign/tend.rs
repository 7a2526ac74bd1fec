//! The life of keys while the server runs: their records are looked for in the DNS, the waiting ones start to sign once
//! theirs are seen, and the retired ones go when no mail they signed can be under way any more.

use std::sync::Arc;
use std::time::Duration;

use store::{DkimKey, DkimState, Timestamp};

use super::{LIFETIME, key};
use crate::dns::{Dns, Error};
use crate::shared::Shared;

/// How often it is looked whether records of waiting keys have come.
const PENDING: Duration = Duration::from_secs(300);

/// How often all others are looked for.
const REST: Timestamp = 6 * 3600;

/// How long a retired key stays published beyond the life of its last signature.
const MARGIN: Timestamp = 24 * 3600;

/// How long it is told that the record of a removed key may go.
const FAREWELL: Timestamp = 90 * 24 * 3600;

/// What the DNS says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Its record is there.
    Good,
    /// There is none.
    Missing,
    /// There is one with another key, or with none.
    Other,
    /// More than one record: verifiers take any, or none (RFC 6376 §3.6.2.2).
    Several,
    /// The DNS does not answer.
    Unknown(String),
}

/// The name of a key's record.
pub fn name(domain: &str, selector: &str) -> String {
    let domain = mail_auth::common::to_a_label(domain);
    format!("{selector}._domainkey.{domain}")
}

/// Looks for the record of a key.
pub async fn look(dns: &Dns, domain: &str, selector: &str, public: &[u8]) -> Seen {
    match dns.txt(&name(domain, selector)).await {
        Ok(answer) => match answer.records.as_slice() {
            [only] => {
                let found = key::public_of(&String::from_utf8_lossy(only));
                match found.as_deref() == Some(public) {
                    true => Seen::Good,
                    false => Seen::Other,
                }
            }
            [] => Seen::Missing,
            _ => Seen::Several,
        },
        Err(error) if error.is_absence() => Seen::Missing,
        Err(error @ (Error::Temporary(_) | Error::Bogus)) => Seen::Unknown(error.to_string()),
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// Runs as long as the server does.
pub async fn run(shared: Arc<Shared>) {
    let mut timer = tokio::time::interval(PENDING);
    loop {
        timer.tick().await;
        if let Err(error) = round(&shared).await {
            tracing::error!(%error, "DKIM keys cannot be tended");
        }
    }
}

async fn round(shared: &Shared) -> store::Result<()> {
    let keys = shared.db.read(|snapshot| snapshot.dkim_keys(None)).await?;
    let now = shared.timestamp();
    if keys.iter().any(|key| is_over(key, now)) {
        let (retired, removed) = (now - LIFETIME - MARGIN, now - FAREWELL);
        shared
            .db
            .write(move |tx| tx.expire_dkim_keys(retired, removed))
            .await?;
    }
    for key in keys.into_iter().filter(|key| is_due(key, now)) {
        let seen = look(&shared.dns, &key.domain, &key.selector, &key.public).await;
        let (domain, selector) = (key.domain.clone(), key.selector.clone());
        tell(&key, &seen);
        if let Seen::Unknown(_) = seen {
            continue;
        }
        let noted = shared
            .db
            .write(move |tx| super::admin::note(tx, &domain, &selector, seen == Seen::Good))
            .await;
        match noted {
            Ok(true) => tracing::info!(
                domain = key.domain,
                selector = key.selector,
                "the record of this DKIM key is in the DNS: it signs from now on"
            ),
            // Removed in the meantime.
            Ok(false) | Err(store::Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A record that was there and is gone is a fault that nobody else notices before mail is lost.
fn tell(key: &DkimKey, seen: &Seen) {
    let gone = matches!(seen, Seen::Missing | Seen::Other | Seen::Several);
    if key.state == DkimState::Active && key.seen && gone {
        tracing::warn!(
            domain = key.domain,
            selector = key.selector,
            "the record of this DKIM key has gone from the DNS: what it signs cannot be verified; see waxwing dkim check"
        );
    }
}

fn is_due(key: &DkimKey, now: Timestamp) -> bool {
    match key.state {
        DkimState::Pending => true,
        DkimState::Removed => false,
        DkimState::Active | DkimState::Retired => {
            key.checked.is_none_or(|checked| now - checked >= REST)
        }
    }
}

fn is_over(key: &DkimKey, now: Timestamp) -> bool {
    match key.state {
        DkimState::Retired => key.since < now - LIFETIME - MARGIN,
        DkimState::Removed => key.since < now - FAREWELL,
        DkimState::Pending | DkimState::Active => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_and_what_is_over() {
        let now = 1_800_000_000;
        let key = |state, since, checked| DkimKey {
            domain: "a.example".into(),
            selector: "s".into(),
            algorithm: "rsa-sha256".into(),
            public: vec![1],
            state,
            created: since,
            since,
            checked,
            seen: false,
        };
        use DkimState::*;
        for (state, age, checked, due, over) in [
            (Pending, 0, Some(now - 1), true, false),
            (Pending, FAREWELL * 2, None, true, false),
            (Active, FAREWELL * 2, Some(now - 1), false, false),
            (Active, 0, None, true, false),
            (Active, 0, Some(now - REST), true, false),
            (Retired, LIFETIME, Some(now - 1), false, false),
            (Retired, LIFETIME + MARGIN + 1, Some(now - 1), false, true),
            (Removed, 1, None, false, false),
            (Removed, FAREWELL + 1, None, false, true),
        ] {
            let key = key(state, now - age, checked);
            assert_eq!(
                (is_due(&key, now), is_over(&key, now)),
                (due, over),
                "{state:?} {age}"
            );
        }
    }

    #[test]
    fn internationalised_domains_are_asked_for_by_a_labels() {
        assert_eq!(
            name("bücher.example", "s"),
            "s._domainkey.xn--bcher-kva.example"
        );
    }
}
