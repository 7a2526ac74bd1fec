//! SORT (RFC 5256 §3, RFC 5957, RFC 6203 §6), also as ESORT (RFC 5267 §3).
//!
//! The messages found are sorted by one criterion after the other, the least important first, by an order that keeps what
//! is equal as it is; so the last resort is the order of the mailbox, whatever is reversed.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use ::imap::{AnnotationScope, Reply, Search, SortCriterion, SortKey};
use ::store::{AccountId, SearchColumn, Store, ViewSnapshot};

use super::fold::Collation;
use super::keys::{self, Keys, Wanted};
use super::run::Hit;
use super::{Beyond, answer, context, failed, find};
use crate::imap::error::Failure;
use crate::imap::{Answer, Imap, Link};
use crate::shared::Shared;

/// Searches, sorts and answers.
pub async fn sort(
    imap: &mut Imap,
    link: &mut Link,
    criteria: &[SortCriterion],
    mut search: Search,
) -> Answer {
    context::check_tag(imap.selected()?, link, &search)?;
    let (hits, spent) = match find(imap, link, &mut search, Beyond::Refused).await {
        Ok(found) => found,
        Err(failure) => return Err(failed(imap, &search, failure)),
    };
    let hits = Arc::new(hits);
    let collation = imap.collation;
    let told = Arc::clone(&imap.selected()?.told);
    let work = order(
        &imap.shared,
        imap.account()?,
        &told,
        &hits,
        criteria,
        collation,
        spent,
    );
    let order = match imap.progress.during(link, None, work).await? {
        Ok(order) => order,
        Err(failure) => return Err(failed(imap, &search, failure)),
    };
    let selected = imap.selected()?;
    answer(selected, link, &search, &hits, &order, true);
    let members = order.iter().filter_map(|at| hits.get(*at));
    let members = members.map(|hit| hit.uid).collect();
    context::follow(selected, link, &search, criteria, collation, members);
    Ok(Reply::ok("sorted"))
}

/// The order of messages by criteria: their places in the list.
pub async fn order(
    shared: &Arc<Shared>,
    user: AccountId,
    told: &Arc<ViewSnapshot>,
    hits: &Arc<Vec<Hit>>,
    criteria: &[SortCriterion],
    collation: Collation,
    spent: Duration,
) -> Result<Vec<usize>, Failure> {
    let mut wanted = Wanted {
        collation,
        ..Wanted::default()
    };
    for criterion in criteria {
        match &criterion.key {
            SortKey::Annotation { entry, scope } => {
                let shared = *scope == AnnotationScope::Shared;
                wanted.annotations.push((user, shared, entry.clone()));
            }
            SortKey::Date => wanted.dates = true,
            SortKey::Arrival | SortKey::Size => wanted.rows = true,
            SortKey::Relevancy => {}
            text => wanted.texts.push(column(text)),
        }
    }
    let keys = keys::load(shared, user, told, hits, wanted.clone(), spent).await?;
    if hits.len() <= AT_ONCE {
        return Ok(sorted(hits, criteria, &wanted, &keys));
    }
    let (hits, criteria) = (Arc::clone(hits), criteria.to_vec());
    let _turn = shared.searches.take(user).await;
    let work = move |_: &Store| Ok(sorted(&hits, &criteria, &wanted, &keys));
    Ok(shared.db.blocking_for(user, work).await?)
}

/// Messages that are put in order on the session's own thread: some hundred microseconds.
const AT_ONCE: usize = 2_000;

fn column(key: &SortKey) -> SearchColumn {
    match key {
        SortKey::Cc => SearchColumn::SortCc,
        SortKey::DisplayFrom => SearchColumn::DisplayFrom,
        SortKey::DisplayTo => SearchColumn::DisplayTo,
        SortKey::From => SearchColumn::SortFrom,
        SortKey::To => SearchColumn::SortTo,
        _ => SearchColumn::Base,
    }
}

fn sorted(hits: &[Hit], criteria: &[SortCriterion], wanted: &Wanted, keys: &Keys) -> Vec<usize> {
    let mut order: Vec<usize> = (0..hits.len()).collect();
    for criterion in criteria.iter().rev() {
        let reverse = criterion.reverse;
        match &criterion.key {
            SortKey::Annotation { entry, scope } => {
                let shared = *scope == AnnotationScope::Shared;
                let mut places = wanted.annotations.iter();
                let place = places.position(|(_, s, name)| (*s, name) == (shared, entry));
                let spans = place.and_then(|place| keys.annotations.get(place));
                by_text(&mut order, reverse, keys, spans.map_or(&[], Vec::as_slice));
            }
            SortKey::Date => by(&mut order, reverse, |at| keys.sent.get(at).copied()),
            SortKey::Arrival => by(&mut order, reverse, |at| keys.received.get(at).copied()),
            SortKey::Size => by(&mut order, reverse, |at| keys.sizes.get(at).copied()),
            // RFC 6203 §6: the best comes first.
            SortKey::Relevancy => by(&mut order, !reverse, |at| hits.get(at).map(|hit| hit.score)),
            text => {
                let place = wanted
                    .texts
                    .iter()
                    .position(|wanted| *wanted == column(text));
                let spans = place.and_then(|place| keys.texts.get(place));
                by_text(&mut order, reverse, keys, spans.map_or(&[], Vec::as_slice));
            }
        }
    }
    order
}

/// Sorts by a value, keeping what is equal in its order.
fn by<T: Ord + Copy>(order: &mut [usize], reverse: bool, value: impl Fn(usize) -> Option<T>) {
    let mut keyed: Vec<(Option<T>, usize)> = order.iter().map(|at| (value(*at), *at)).collect();
    put_in_order(order, &mut keyed, reverse, |one, other| one.cmp(other));
}

/// The first octets of a text, and where it is.
type Text = (u64, (u32, u32));

/// The same by a text. Its first octets decide most comparisons, without going where the text is.
fn by_text(order: &mut [usize], reverse: bool, keys: &Keys, spans: &[(u32, u32)]) {
    let mut keyed: Vec<(Text, usize)> = order
        .iter()
        .map(|at| {
            let span = spans.get(*at).copied().unwrap_or_default();
            ((head(keys.text(span)), span), *at)
        })
        .collect();
    put_in_order(order, &mut keyed, reverse, |one, other| {
        one.0
            .cmp(&other.0)
            .then_with(|| keys.text(one.1).cmp(keys.text(other.1)))
    });
}

fn put_in_order<T>(
    order: &mut [usize],
    keyed: &mut [(T, usize)],
    reverse: bool,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    if reverse {
        keyed.sort_by(|one, other| compare(&other.0, &one.0));
    } else {
        keyed.sort_by(|one, other| compare(&one.0, &other.0));
    }
    for (place, (_, at)) in order.iter_mut().zip(keyed) {
        *place = *at;
    }
}

/// The first eight octets as a number that sorts like them.
fn head(text: &[u8]) -> u64 {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(text) {
        *to = *from;
    }
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_keeps_the_order_of_the_mailbox() {
        let values = [3, 1, 2, 1, 3];
        let value = |at: usize| values.get(at).copied();
        let mut order: Vec<usize> = (0..5).collect();
        by(&mut order, false, value);
        assert_eq!(order, [1, 3, 2, 0, 4]);
        let mut order: Vec<usize> = (0..5).collect();
        // RFC 5256 §3: REVERSE does not turn the order of the mailbox.
        by(&mut order, true, value);
        assert_eq!(order, [0, 4, 2, 1, 3]);
    }

    #[test]
    fn heads_sort_like_texts() {
        let texts: [&[u8]; 6] = [b"", b"A", b"AB", b"ABCDEFGH", b"B", "\u{e9}".as_bytes()];
        assert!(texts.iter().map(|text| head(text)).is_sorted());
    }
}
