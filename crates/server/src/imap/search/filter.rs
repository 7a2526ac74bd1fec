//! FILTER (RFC 5466): searches kept under a name as annotations of the server, the user's own before those for all.
//!
//! A filter may name others, [`DEPTH`] deep; one that leads to itself is answered like one that is not there.

use ::imap::SearchKey;
use ::imap::server::{Limits, search_criteria};
use ::store::{AccountId, Annotated, Snapshot};

use crate::imap::Imap;
use crate::imap::error::{self, Failure};

/// Filters within filters. RFC 5466 §3.1 asks for three.
const DEPTH: usize = 8;

/// Keys of a search with all filters in it; beyond that it is refused. Filters that name filters twice would double.
const KEYS: usize = 10_000;

/// Where filters are (RFC 5466 §3.2).
pub const VALUES: &str = "/filters/values/";

/// The search with the filters put in.
pub async fn expand(imap: &Imap, key: SearchKey) -> Result<SearchKey, Failure> {
    if !key.any(&|key| matches!(key, SearchKey::Filter(_))) {
        return Ok(key);
    }
    let user = imap.account()?;
    let read = imap
        .shared
        .db
        .read(move |snapshot| Filters::read(snapshot, user));
    let mut filters = read.await?;
    filters.expand(key, &mut Vec::new())
}

/// All filters of a user; annotations are bounded in number and size.
struct Filters {
    own: Vec<(String, Vec<u8>)>,
    shared: Vec<(String, Vec<u8>)>,
    keys: usize,
}

impl Filters {
    fn read(snapshot: &Snapshot<'_>, user: AccountId) -> ::store::Result<Filters> {
        Ok(Filters {
            own: snapshot.annotations(Annotated::ServerFor(user))?,
            shared: snapshot.annotations(Annotated::Server)?,
            keys: 0,
        })
    }

    fn value(&self, name: &str) -> Option<Vec<u8>> {
        let entry = format!("{VALUES}{name}").to_ascii_lowercase();
        let all = self.own.iter().chain(&self.shared);
        all.filter(|(known, _)| *known == entry)
            .map(|(_, value)| value.clone())
            .next()
    }

    /// Recursion is bounded by [`SearchKey::DEPTH_LIMIT`] in each of [`DEPTH`] filters.
    fn expand(&mut self, key: SearchKey, within: &mut Vec<String>) -> Result<SearchKey, Failure> {
        self.keys = self.keys.saturating_add(1);
        if self.keys > KEYS {
            return Err(error::TOO_MUCH_WORK.into());
        }
        Ok(match key {
            SearchKey::Filter(name) => {
                let value = self
                    .value(&name)
                    .filter(|_| !within.contains(&name) && within.len() < DEPTH);
                // RFC 5466 §3.1: what is no search criterion fails the search, too.
                let key = value.and_then(|value| search_criteria(&value, &Limits::default()));
                let key = key.ok_or_else(|| error::undefined_filter(&name))?;
                within.push(name);
                let expanded = self.expand(key, within)?;
                within.pop();
                expanded
            }
            SearchKey::Not(key) => SearchKey::Not(Box::new(self.expand(*key, within)?)),
            SearchKey::Fuzzy(key) => SearchKey::Fuzzy(Box::new(self.expand(*key, within)?)),
            SearchKey::Or(keys) => SearchKey::Or(self.all(keys, within)?),
            SearchKey::And(keys) => SearchKey::And(self.all(keys, within)?),
            other => other,
        })
    }

    fn all(
        &mut self,
        keys: Vec<SearchKey>,
        within: &mut Vec<String>,
    ) -> Result<Vec<SearchKey>, Failure> {
        keys.into_iter()
            .map(|key| self.expand(key, within))
            .collect()
    }
}
