//! The keys a domain signs its mail with (RFC 6376). Which key signs is decided by whoever calls; here are the rows.
//!
//! A key is one of four states. Only these moves are possible:
//!
//! | from | to | when |
//! |---|---|---|
//! | (new) | pending | made to replace another; its record must be in the DNS first |
//! | (new) | active | the domain has no other key of this algorithm |
//! | pending | active | its record was seen, or an administrator says so |
//! | active | retired | another key of its algorithm became active, in the same transaction |
//! | retired | removed | no message signed with it can be under way any more; the private key is erased |
//! | removed | (gone) | long after, so that its owner was told that the record may go |
//!
//! Invariant: a domain has at most one active key of an algorithm.

use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::{DomainId, Timestamp};

/// Keys of one domain, removed ones included: two algorithms, rotated each month, kept a year.
const KEYS: i64 = 100;

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimState {
    /// Its record is not in the DNS yet, so it does not sign.
    Pending,
    /// It signs.
    Active,
    /// It signs no more; its record must stay until the mail it signed has arrived.
    Retired,
    /// Its record may leave the DNS; there is no private key any more.
    Removed,
}

impl DkimState {
    fn number(self) -> i64 {
        match self {
            DkimState::Pending => 0,
            DkimState::Active => 1,
            DkimState::Retired => 2,
            DkimState::Removed => 3,
        }
    }

    fn from_number(number: i64) -> Result<DkimState> {
        Ok(match number {
            0 => DkimState::Pending,
            1 => DkimState::Active,
            2 => DkimState::Retired,
            3 => DkimState::Removed,
            other => return Err(Error::Corrupt(format!("state {other} of a DKIM key"))),
        })
    }

    /// Its name in lists.
    pub fn name(self) -> &'static str {
        match self {
            DkimState::Pending => "pending",
            DkimState::Active => "active",
            DkimState::Retired => "retired",
            DkimState::Removed => "removed",
        }
    }

    /// Whether the record of a key in this state belongs into the DNS.
    pub fn is_published(self) -> bool {
        self != DkimState::Removed
    }
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimKey {
    /// Whose.
    pub domain: String,
    /// Its name under `_domainkey`.
    pub selector: String,
    /// As in `a=`: `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: String,
    /// What `p=` holds, decoded.
    pub public: Vec<u8>,
    /// Where it is in its life.
    pub state: DkimState,
    /// When it was made.
    pub created: Timestamp,
    /// When it came into its state.
    pub since: Timestamp,
    /// When its record was last looked for.
    pub checked: Option<Timestamp>,
    /// Whether the record was there then.
    pub seen: bool,
}

/// A key to be kept.
#[derive(Clone)]
pub struct NewDkimKey {
    /// Its name under `_domainkey`; one DNS label.
    pub selector: String,
    /// As in `a=`.
    pub algorithm: String,
    /// The private key, DER.
    pub private: Vec<u8>,
    /// What `p=` holds, decoded.
    pub public: Vec<u8>,
}

impl std::fmt::Debug for NewDkimKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewDkimKey({} {})", self.selector, self.algorithm)
    }
}

const KEY: &str = "SELECT d.name, k.selector, k.algorithm, k.public, k.state, k.created, k.since, k.checked, k.seen \
     FROM dkim_key k JOIN domain d ON d.domain_id = k.domain_id";

fn key(row: &dyn Row) -> Result<DkimKey> {
    Ok(DkimKey {
        domain: row.text(0)?.to_owned(),
        selector: row.text(1)?.to_owned(),
        algorithm: row.text(2)?.to_owned(),
        public: row.blob(3)?.to_vec(),
        state: DkimState::from_number(row.int(4)?)?,
        created: row.int(5)?,
        since: row.int(6)?,
        checked: row.opt_int(7)?,
        seen: row.int(8)? != 0,
    })
}

impl Snapshot<'_> {
    /// The keys of one domain or of all, by domain, the oldest first.
    pub fn dkim_keys(&self, domain: Option<&str>) -> Result<Vec<DkimKey>> {
        const ORDER: &str = "ORDER BY d.name, k.created, k.selector";
        let Some(name) = domain else {
            return self.sql.rows(&format!("{KEY} {ORDER}"), &[], key);
        };
        match self.domain(name)? {
            None => Ok(Vec::new()),
            Some(domain) => self.sql.rows(
                &format!("{KEY} WHERE k.domain_id = $1 {ORDER}"),
                values![domain.id],
                key,
            ),
        }
    }

    /// The keys that sign for a domain, as selector and public key, by algorithm: `rsa-sha256` last.
    pub fn dkim_active(&self, domain: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let Some(domain) = self.domain(domain)? else {
            return Ok(Vec::new());
        };
        self.sql.rows(
            "SELECT selector, public FROM dkim_key WHERE domain_id = $1 AND state = 1 ORDER BY algorithm",
            values![domain.id],
            |row| Ok((row.text(0)?.to_owned(), row.blob(1)?.to_vec())),
        )
    }

    /// Algorithm and private key (DER) behind a selector.
    pub fn dkim_private(&self, domain: &str, selector: &str) -> Result<Option<(String, Vec<u8>)>> {
        let Some(domain) = self.domain(domain)? else {
            return Ok(None);
        };
        self.sql.row(
            "SELECT algorithm, private FROM dkim_key WHERE domain_id = $1 AND selector = $2 AND state <> 3",
            values![domain.id, selector],
            |row| Ok((row.text(0)?.to_owned(), row.blob(1)?.to_vec())),
        )
    }

    fn dkim_key(&self, domain: DomainId, selector: &str) -> Result<DkimKey> {
        let sql = format!("{KEY} WHERE k.domain_id = $1 AND k.selector = $2");
        let found = self.sql.row(&sql, values![domain, selector], key)?;
        found.ok_or(Error::NotFound("DKIM key"))
    }
}

impl Tx<'_> {
    /// Keeps a key of a domain: active when the domain has none of its algorithm, else pending. `Exists`.
    pub fn add_dkim_key(&mut self, domain: &str, new: &NewDkimKey) -> Result<DkimState> {
        let domain = self.domain(domain)?.ok_or(Error::NotFound("domain"))?.id;
        let label = !new.selector.is_empty()
            && new.selector.len() <= 63
            && new
                .selector
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if !label {
            return Err(Error::Invalid(format!("selector {}", new.selector)));
        }
        if self.dkim_key(domain, &new.selector).is_ok() {
            return Err(Error::Exists("DKIM key"));
        }
        let count = "SELECT COUNT(*) FROM dkim_key WHERE domain_id = $1";
        if self.sql.number(count, values![domain])? >= KEYS {
            return Err(Error::Limit("DKIM keys of a domain"));
        }
        let signing =
            "SELECT COUNT(*) FROM dkim_key WHERE domain_id = $1 AND algorithm = $2 AND state = 1";
        let state = match self.sql.number(signing, values![domain, &new.algorithm])? {
            0 => DkimState::Active,
            _ => DkimState::Pending,
        };
        self.sql.execute(
            "INSERT INTO dkim_key (domain_id, selector, algorithm, private, public, state, created, since, seen) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0)",
            values![
                domain,
                &new.selector,
                &new.algorithm,
                &new.private,
                &new.public,
                state.number(),
                self.now
            ],
        )?;
        Ok(state)
    }

    /// A pending key signs from now on; the one that did so far is retired. `Conflict` when it is not pending.
    pub fn activate_dkim_key(&mut self, domain: &str, selector: &str) -> Result<()> {
        let id = self.domain(domain)?.ok_or(Error::NotFound("domain"))?.id;
        let key = self.dkim_key(id, selector)?;
        if key.state != DkimState::Pending {
            return Err(Error::Conflict(format!(
                "the key {selector} is {}, not pending",
                key.state.name()
            )));
        }
        self.sql.execute(
            "UPDATE dkim_key SET state = 2, since = $3 WHERE domain_id = $1 AND algorithm = $2 AND state = 1",
            values![id, &key.algorithm, self.now],
        )?;
        self.sql.execute(
            "UPDATE dkim_key SET state = 1, since = $3 WHERE domain_id = $1 AND selector = $2",
            values![id, selector, self.now],
        )?;
        Ok(())
    }

    /// Erases the private keys of keys retired before a time, and forgets keys removed before another. A key stays while
    /// the queue holds a message that it may have signed.
    pub fn expire_dkim_keys(&mut self, retired: Timestamp, removed: Timestamp) -> Result<u64> {
        self.sql.execute(
            "DELETE FROM dkim_key WHERE state = 3 AND since < $1",
            values![removed],
        )?;
        let empty: &[u8] = &[];
        self.sql.execute(
            "UPDATE dkim_key SET state = 3, since = $2, private = $3 WHERE state = 2 AND since < $1 \
             AND NOT EXISTS (SELECT 1 FROM queue_message q WHERE q.received <= dkim_key.since)",
            values![retired, self.now, empty],
        )
    }

    /// Notes whether the record of a key was in the DNS just now.
    pub fn dkim_key_checked(&mut self, domain: &str, selector: &str, seen: bool) -> Result<()> {
        let id = self.domain(domain)?.ok_or(Error::NotFound("domain"))?.id;
        self.sql.execute(
            "UPDATE dkim_key SET checked = $3, seen = $4 WHERE domain_id = $1 AND selector = $2",
            values![id, selector, self.now, seen],
        )?;
        Ok(())
    }

    /// With the domain go its keys.
    pub(crate) fn remove_dkim_keys(&mut self, domain: DomainId) -> Result<()> {
        self.sql
            .execute("DELETE FROM dkim_key WHERE domain_id = $1", values![domain])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store};

    fn new(selector: &str, algorithm: &str) -> NewDkimKey {
        NewDkimKey {
            selector: selector.into(),
            algorithm: algorithm.into(),
            private: vec![1, 2, 3],
            public: vec![4, 5, 6],
        }
    }

    fn states(store: &Store) -> Vec<(String, &'static str)> {
        let keys = store
            .read(|snapshot| snapshot.dkim_keys(Some("A.example")))
            .unwrap();
        keys.into_iter()
            .map(|key| (key.selector, key.state.name()))
            .collect()
    }

    #[test]
    fn a_key_signs_until_its_successor_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        store
            .write(|tx| {
                tx.add_domain("a.example")?;
                assert_eq!(
                    tx.add_dkim_key("a.example", &new("r1", "rsa-sha256"))?,
                    DkimState::Active
                );
                assert_eq!(
                    tx.add_dkim_key("a.example", &new("e1", "ed25519-sha256"))?,
                    DkimState::Active
                );
                assert_eq!(
                    tx.add_dkim_key("a.example", &new("r2", "rsa-sha256"))?,
                    DkimState::Pending
                );
                assert_eq!(
                    tx.add_dkim_key("a.example", &new("r2", "rsa-sha256")),
                    Err(Error::Exists("DKIM key"))
                );
                assert!(
                    tx.add_dkim_key("a.example", &new("r.3", "rsa-sha256"))
                        .is_err()
                );
                assert!(
                    tx.add_dkim_key("b.example", &new("r3", "rsa-sha256"))
                        .is_err()
                );
                Ok(())
            })
            .unwrap();
        let active = |store: &Store| -> Vec<String> {
            let keys = store
                .read(|snapshot| snapshot.dkim_active("a.example"))
                .unwrap();
            keys.into_iter().map(|(selector, _)| selector).collect()
        };
        assert_eq!(active(&store), ["e1", "r1"]);
        store
            .write(|tx| tx.activate_dkim_key("a.example", "r2"))
            .unwrap();
        assert!(
            store
                .write(|tx| tx.activate_dkim_key("a.example", "r2"))
                .is_err()
        );
        assert_eq!(active(&store), ["e1", "r2"]);
        assert_eq!(
            states(&store),
            [
                ("e1".into(), "active"),
                ("r1".into(), "retired"),
                ("r2".into(), "active")
            ]
        );
        // It stays while mail it signed may be under way.
        assert_eq!(
            store.write(|tx| tx.expire_dkim_keys(tx.now() - 10, tx.now() - 20)),
            Ok(0)
        );
        assert!(
            store
                .read(|s| s.dkim_private("a.example", "r1"))
                .unwrap()
                .is_some()
        );
        assert_eq!(
            store.write(|tx| tx.expire_dkim_keys(tx.now() + 10, tx.now() - 20)),
            Ok(1)
        );
        assert_eq!(states(&store)[1], ("r1".into(), "removed"));
        assert_eq!(store.read(|s| s.dkim_private("a.example", "r1")), Ok(None));
        assert!(store.check(false).unwrap().findings.is_empty());
        store
            .write(|tx| tx.expire_dkim_keys(0, tx.now() + 10))
            .unwrap();
        assert_eq!(states(&store).len(), 2);
        store.write(|tx| tx.remove_domain("a.example")).unwrap();
        assert!(store.read(|s| s.dkim_keys(None)).unwrap().is_empty());
        assert!(store.check(false).unwrap().findings.is_empty());
    }
}
