//! What an administrator can ask about DKIM keys. Blocks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{DkimKey, DkimState, Error, NewDkimKey, Result, Store, Timestamp, Tx};

use super::key::{self, Algorithm};
use crate::manage::Answer;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "dkim", rename_all = "kebab-case")]
pub enum Request {
    /// The keys of one domain or of all. Of one, keys that are missing are made.
    List {
        /// Of this one.
        domain: Option<String>,
    },
    /// Makes keys to follow those that sign now.
    Rotate {
        /// Of this domain.
        domain: String,
        /// Whether they sign at once, their records seen or not.
        now: bool,
    },
    /// Notes whether the record of a key is in the DNS; a waiting key whose record is there signs from then on.
    Note {
        /// Whose.
        domain: String,
        /// Which key.
        selector: String,
        /// Whether its record was there.
        seen: bool,
    },
}

impl Request {
    /// What the log says of it.
    pub fn describe(&self) -> Option<String> {
        match self {
            Request::List { .. } | Request::Note { .. } => None,
            Request::Rotate { domain, now } => Some(format!(
                "dkim rotate {domain}{}",
                if *now { " --now" } else { "" }
            )),
        }
    }
}

/// Does what is asked.
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    match request {
        Request::List { domain } => list(store, domain.as_deref()),
        Request::Rotate { domain, now } => rotate(store, &domain, now),
        Request::Note {
            domain,
            selector,
            seen,
        } => {
            let activated = store.write(move |tx| note(tx, &domain, &selector, seen))?;
            Ok(json!(activated).into())
        }
    }
}

/// Notes what the DNS says of a key. Whether it signs from now on and did not before.
pub fn note(tx: &mut Tx<'_>, domain: &str, selector: &str, seen: bool) -> Result<bool> {
    tx.dkim_key_checked(domain, selector, seen)?;
    let keys = tx.dkim_keys(Some(domain))?;
    let waits = keys
        .iter()
        .any(|key| key.selector == selector && key.state == DkimState::Pending);
    if seen && waits {
        tx.activate_dkim_key(domain, selector)?;
    }
    Ok(seen && waits)
}

/// Adds a domain with the key that costs nothing to make. The other one is made before anybody is told what to put into
/// the DNS ([`complete`]), and until then no signature can be verified anyway.
pub fn add_domain(store: &Store, name: String) -> Result<Answer> {
    let selector = key::selector(Algorithm::Ed25519, now(), &[]);
    let new = generate(Algorithm::Ed25519, selector)?;
    store.write(move |tx| {
        tx.add_domain(&name)?;
        tx.add_dkim_key(&name, &new).map(drop)
    })?;
    Ok(Answer::default())
}

/// Makes the keys that a domain lacks, an RSA key at first.
pub fn complete(store: &Store, domain: &str) -> Result<()> {
    let keys = store.read(|snapshot| snapshot.dkim_keys(Some(domain)))?;
    let missing = Algorithm::ALL.into_iter().filter(|algorithm| {
        !keys
            .iter()
            .any(|key| key.state == DkimState::Active && key.algorithm == algorithm.name())
    });
    for algorithm in missing {
        let new = generate(
            algorithm,
            key::selector(algorithm, now(), &selectors(&keys)),
        )?;
        let domain = domain.to_owned();
        let added = store.write(move |tx| tx.add_dkim_key(&domain, &new).map(drop));
        // Somebody else asked in the same moment.
        if !matches!(added, Err(Error::Exists(_))) {
            added?;
        }
    }
    Ok(())
}

fn list(store: &Store, domain: Option<&str>) -> Result<Answer> {
    if let Some(domain) = domain {
        store
            .read(|snapshot| snapshot.domain(domain))?
            .ok_or(Error::NotFound("domain"))?;
        complete(store, domain)?;
    }
    let keys = store.read(|snapshot| snapshot.dkim_keys(domain))?;
    Ok(keys.iter().map(row).collect::<Value>().into())
}

fn row(key: &DkimKey) -> Value {
    let domain = mail_auth::common::to_a_label(&key.domain).into_owned();
    json!({
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state.name(),
        "published": key.state.is_published(),
        "created": key.created,
        "since": key.since,
        "checked": key.checked,
        "seen": key.seen,
        "name": format!("{}._domainkey.{domain}.", key.selector),
        "record": key::record(&key.algorithm, &key.public),
    })
}

/// New keys beside the old ones. Those that wait already are taken instead of more.
fn rotate(store: &Store, domain: &str, at_once: bool) -> Result<Answer> {
    complete(store, domain)?;
    let keys = store.read(|snapshot| snapshot.dkim_keys(Some(domain)))?;
    for algorithm in Algorithm::ALL {
        let waits = keys
            .iter()
            .any(|key| key.state == DkimState::Pending && key.algorithm == algorithm.name());
        if !waits {
            let new = generate(
                algorithm,
                key::selector(algorithm, now(), &selectors(&keys)),
            )?;
            let domain = domain.to_owned();
            store.write(move |tx| tx.add_dkim_key(&domain, &new).map(drop))?;
        }
    }
    if at_once {
        let domain = domain.to_owned();
        store.write(move |tx| {
            for key in tx.dkim_keys(Some(&domain))? {
                if key.state == DkimState::Pending {
                    tx.activate_dkim_key(&domain, &key.selector)?;
                }
            }
            Ok(())
        })?;
    }
    list(store, Some(domain))
}

fn selectors(keys: &[DkimKey]) -> Vec<String> {
    keys.iter().map(|key| key.selector.clone()).collect()
}

fn generate(algorithm: Algorithm, selector: String) -> Result<NewDkimKey> {
    key::generate(algorithm, selector).map_err(|error| Error::Internal(error.to_string()))
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::try_from(since.as_secs()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_travel_inside_others() {
        let request = crate::manage::Request::Dkim(Request::Rotate {
            domain: "a.example".into(),
            now: true,
        });
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<crate::manage::Request>(&text).unwrap(),
            request
        );
    }
}
