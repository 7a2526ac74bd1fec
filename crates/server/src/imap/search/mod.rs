//! SEARCH (RFC 9051 §6.4.4).
//!
//! A search reads as little as it can: the view first, what the index has for what the view leaves open ([`index`]), rows
//! for what is not indexed, octets for what rows leave open ([`eval`]). Pieces run on threads that may block and are
//! bounded in number for all sessions together, so that searches wait for each other and everybody else waits for none.
//!
//! SORT and THREAD search first and then load what they compare ([`keys`]). Limits are in [`run`].

mod attached;
pub mod comparator;
mod compile;
pub mod content;
pub mod context;
pub mod digest;
pub mod envelope;
pub mod eval;
pub mod filter;
pub mod fold;
pub mod fuzzy;
pub mod index;
mod keys;
pub mod multi;
mod run;
pub mod sort;
mod subject;
pub mod text;
pub mod thread;

use std::sync::Arc;
use std::time::Duration;

use ::imap::server::Found;
use ::imap::{Capability, Reply, Search, SearchKey};
use ::store::ViewSnapshot;

use super::progress::Pace;
use super::selected::Selected;
use super::{Answer, Imap, Link, annotate, error, gmail};
use compile::Against;
use eval::Key;
use run::Hit;
pub use run::WORK;

/// A search would take too long.
pub const TOO_LONG: Reply = error::TOO_MUCH_WORK;

/// Searches, answers in the form the client asked for, and saves the result if it asked for that.
pub async fn search(imap: &mut Imap, link: &mut Link, mut search: Search) -> Answer {
    context::check_tag(imap.selected()?, link, &search)?;
    let hits = match find(imap, link, &mut search, Beyond::Cut).await {
        Ok((hits, _)) => hits,
        Err(failure) => return Err(failed(imap, &search, failure)),
    };
    let collation = imap.collation;
    let mut order: Vec<usize> = (0..hits.len()).collect();
    let plain = search.returns.is_none() && !link.session.is_enabled(&Capability::Imap4rev2);
    if imap.limit.was_cut() && plain {
        // RFC 9738 §3.1: as they were looked at. ESEARCH has sets, which ascend.
        order.reverse();
    }
    let selected = imap.selected()?;
    answer(selected, link, &search, &hits, &order, false);
    let members = hits.iter().map(|hit| hit.uid).collect();
    context::follow(selected, link, &search, &[], collation, members);
    Ok(Reply::ok("searched"))
}

/// What a search that fails leaves behind.
fn failed(imap: &mut Imap, search: &Search, failure: error::Failure) -> error::Failure {
    let saves = search.returns.is_some_and(|returns| returns.save);
    if let (true, Ok(selected)) = (saves, imap.selected()) {
        // RFC 9051 §6.4.4.1: a SEARCH with SAVE that fails leaves the empty result.
        selected.saved.clear();
    }
    failure
}

/// What becomes of a search that looks at more messages than one command may (RFC 9738).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// It looks at the newest.
    Cut,
    /// It is refused: an order of some is not the order of all (RFC 9738 §3.3).
    Refused,
}

/// Finds the messages of the selected mailbox; and the working time that took. Filters are put into the search.
async fn find(
    imap: &mut Imap,
    link: &mut Link,
    search: &mut Search,
    beyond: Beyond,
) -> Result<(Vec<Hit>, Duration), error::Failure> {
    let key = std::mem::replace(&mut search.key, SearchKey::All);
    let key = filter::expand(imap, key).await?;
    let (key, labelled) = gmail::search::expand(imap, key).await?;
    search.key = key;
    let now = imap.shared.timestamp();
    let collation = imap.collation;
    let user = imap.account()?;
    let selected = imap.selected()?;
    let told = Arc::clone(&selected.told);
    let key = search.key.clone();
    let key = annotate::expand(&imap.shared, user, &told, collation, key).await?;
    let selected = imap.selected()?;
    let mut key = Against {
        told: &selected.told,
        saved: &selected.saved,
        now,
        collation,
        labelled: &labelled,
    }
    .compile(&key)?;
    if beyond == Beyond::Refused {
        imap.limit.whole(&told, &key, 0)?;
    } else if let Some(lowest) = imap.limit.cut_search(&told, &key) {
        key = Key::And(vec![Key::Uid(vec![lowest..=u32::MAX]), key]);
    }
    let order = run::Order {
        user,
        told: &told,
        fuzzy: is_fuzzy(&search.key),
        spent: Duration::ZERO,
    };
    let mut pace = Pace::Told {
        progress: &mut imap.progress,
        link,
        before: 0,
        all: true,
    };
    run::find(&imap.shared, order, key, &mut pace).await
}

fn is_fuzzy(key: &SearchKey) -> bool {
    key.any(&|key| matches!(key, SearchKey::Fuzzy(_)))
}

/// Writes a result, whose order is given by places in the list, and keeps it for `$` if it is to be saved.
fn answer(
    selected: &mut Selected,
    link: &mut Link,
    search: &Search,
    hits: &[Hit],
    order: &[usize],
    sorted: bool,
) {
    let in_order = || order.iter().filter_map(|at| hits.get(*at));
    if let Some(returns) = search.returns.filter(|returns| returns.save) {
        let uids: Vec<u32> = in_order().map(|hit| hit.uid).collect();
        selected.saved = returns.saved(&uids);
        selected.saved.sort_unstable();
    }
    let numbers: Vec<u32> = in_order()
        .map(|hit| if search.uid { hit.uid } else { hit.seq })
        .collect();
    let scores: Option<Vec<u8>> =
        is_fuzzy(&search.key).then(|| in_order().map(|hit| hit.score).collect());
    let found = Found {
        numbers: &numbers,
        scores: scores.as_deref(),
        modseq: modseq(&selected.told, search, in_order()),
        sorted,
        mailbox: None,
    };
    link.session.search_results(search, &found);
}

/// With a MODSEQ key, the highest of what is told (RFC 7162 §3.1.5): of the first and the last where only MIN and MAX are
/// asked for.
fn modseq<'h>(
    told: &ViewSnapshot,
    search: &Search,
    hits: impl Iterator<Item = &'h Hit>,
) -> Option<u64> {
    if !search.key.any(&|key| matches!(key, SearchKey::ModSeq(_))) {
        return None;
    }
    let modseqs: Vec<u64> = hits
        .filter_map(|hit| told.entry(hit.seq).map(|entry| entry.modseq))
        .collect();
    let all = || modseqs.iter().copied().max();
    let ends = |first: bool, last: bool| {
        let first = modseqs.first().copied().filter(|_| first);
        first.max(modseqs.last().copied().filter(|_| last))
    };
    match search.returns {
        Some(returns) if (returns.min || returns.max) && !returns.all && !returns.count => {
            match returns.partial {
                Some(_) => all(),
                None => ends(returns.min, returns.max),
            }
        }
        _ => all(),
    }
}
