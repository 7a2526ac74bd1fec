//! Contexts (RFC 5267 §4): results that the client is told the changes of.
//!
//! A context keeps which messages are in its result, in its order. Messages that come, change or go are noted while the
//! client is told of them ([`super::super::selected`]); then, and only for those, the search is made again. What goes is
//! told before its EXPUNGE, what comes after its EXISTS, so that numbers are right where they stand.
//!
//! A position is told for results of SORT, whose order only the server knows; those of SEARCH are in the order of the
//! mailbox, which is position 0.
//!
//! Limits: [`CONTEXTS`] in a session with [`MEMBERS`] messages in all; beyond that `NOUPDATE` is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::imap::{
    Bound, Code, Esearch, FetchAttribute, ListChange, NumberSet, Reply, Search, SearchKey,
    SequenceSet, SortCriterion, Untagged,
};
use ::store::{Diff, UidRange, ViewSnapshot};

use super::compile::Against;
use super::fold::Collation;
use super::run::Hit;
use super::{is_fuzzy, run, sort};
use crate::drive::Gone;
use crate::imap::annotate;
use crate::imap::error::Failure;
use crate::imap::gmail::search::Labelled;
use crate::imap::progress::Pace;
use crate::imap::selected::Selected;
use crate::imap::{Answer, Imap, Link, fetch};

/// Contexts of a session.
const CONTEXTS: usize = 16;

/// Messages in all contexts of a session: 2 MiB.
const MEMBERS: usize = 500_000;

/// A result that is followed.
#[derive(Debug)]
pub struct Context {
    tag: String,
    uid: bool,
    /// The search, with sequence numbers as they were (RFC 5267 §4.3).
    key: SearchKey,
    /// How SORT orders it; empty for SEARCH.
    criteria: Vec<SortCriterion>,
    collation: Collation,
    /// UIDs in the order of the result.
    members: Vec<u32>,
    /// Messages that came or changed and were not looked at yet.
    touched: BTreeSet<u32>,
    /// What to tell of new messages that come into the result (RFC 5465 §7).
    fetch: Vec<FetchAttribute>,
    /// Those of the messages touched that are new.
    arrived: BTreeSet<u32>,
}

/// The contexts of a selected mailbox.
#[derive(Debug, Default)]
pub struct Contexts {
    list: Vec<Context>,
}

/// Refuses a tag that a context has already (RFC 5267 §4.3).
pub fn check_tag(selected: &Selected, link: &Link, search: &Search) -> Result<(), Failure> {
    let updates = search.returns.is_some_and(|returns| returns.update);
    let tag = link.session.tag().unwrap_or_default();
    let taken = selected
        .contexts
        .list
        .iter()
        .any(|context| context.tag == tag);
    if updates && taken {
        return Err(Reply::bad("a search with this tag is being followed").into());
    }
    Ok(())
}

/// Follows a result from now on, if that was asked for.
pub fn follow(
    selected: &mut Selected,
    link: &mut Link,
    search: &Search,
    criteria: &[SortCriterion],
    collation: Collation,
    members: Vec<u32>,
) {
    if !search.returns.is_some_and(|returns| returns.update) {
        return;
    }
    let tag = link.session.tag().unwrap_or_default().to_owned();
    let held: usize = selected
        .contexts
        .list
        .iter()
        .map(|context| context.members.len())
        .sum();
    // Who has a label changes in other mailboxes, of which nothing is heard here.
    let labels = search
        .key
        .any(&|key| matches!(key, SearchKey::GmailLabel(_)));
    let full = held.saturating_add(members.len()) > MEMBERS;
    if selected.contexts.list.len() >= CONTEXTS || full || labels {
        return refuse(link, tag);
    }
    let key = freeze(&search.key, &selected.told, &selected.saved);
    selected.contexts.list.push(Context {
        tag,
        uid: search.uid,
        key,
        criteria: criteria.to_vec(),
        collation,
        members,
        touched: BTreeSet::new(),
        fetch: search.fetch.clone(),
        arrived: BTreeSet::new(),
    });
}

/// RFC 5267 §4.3.1.
fn refuse(link: &mut Link, tag: String) {
    let reply = Reply::no("changes of this result are not told").with(Code::NoUpdate(tag));
    link.session.untagged(&Untagged::Status(reply));
}

/// CANCELUPDATE.
pub fn cancel(imap: &mut Imap, tags: &[String]) -> Answer {
    let list = &mut imap.selected()?.contexts.list;
    let known = |tag: &String| list.iter().any(|context| context.tag == *tag);
    if !tags.iter().all(known) {
        return Ok(Reply::bad("no search with such a tag is being followed"));
    }
    list.retain(|context| !tags.contains(&context.tag));
    Ok(Reply::ok("no further updates"))
}

impl Contexts {
    /// Before EXPUNGE is told: what goes leaves the results. Numbers are those of the picture before.
    pub fn before(&mut self, link: &mut Link, diff: &Diff) {
        if diff.expunged.is_empty() {
            return;
        }
        for context in &mut self.list {
            let gone: Vec<(u32, u32)> = diff
                .expunged
                .iter()
                .rev()
                .map(|gone| (gone.uid, if context.uid { gone.uid } else { gone.seq }))
                .collect();
            for (uid, _) in &gone {
                context.touched.remove(uid);
            }
            let changes = context.remove(&gone);
            context.tell(link, changes);
        }
    }

    /// After changes were told: they are to be looked at.
    pub fn after(&mut self, told: &ViewSnapshot, diff: &Diff) {
        if self.list.is_empty() {
            return;
        }
        let changed = diff.changed.iter().map(|(_, entry)| entry.uid);
        let new = diff.new.clone().into_iter().flatten();
        let new = new.filter_map(|seq| told.uid_at(seq));
        let new: Vec<u32> = new.collect();
        let touched: Vec<u32> = changed.chain(new.iter().copied()).collect();
        for context in &mut self.list {
            if !context.fetch.is_empty() {
                context.arrived.extend(&new);
            }
            context.touched.extend(&touched);
        }
    }
}

/// Looks at what came and changed, and tells how that changes the results.
pub async fn tell(imap: &mut Imap, link: &mut Link) -> Result<(), Gone> {
    let Some(selected) = imap.selected.as_deref_mut() else {
        return Ok(());
    };
    if selected
        .contexts
        .list
        .iter()
        .all(|context| context.touched.is_empty())
    {
        return Ok(());
    }
    let mut list = std::mem::take(&mut selected.contexts.list);
    let told = Arc::clone(&selected.told);
    let mut kept = Vec::with_capacity(list.len());
    let mut fetches = Vec::new();
    for mut context in list.drain(..) {
        if context.touched.is_empty() {
            kept.push(context);
            continue;
        }
        match context.look(imap, &told).await {
            Ok(changes) => {
                context.tell(link, changes);
                let joined: BTreeSet<u32> = context.members.iter().copied().collect();
                let news: Vec<UidRange> = std::mem::take(&mut context.arrived)
                    .intersection(&joined)
                    .map(|uid| *uid..=*uid)
                    .collect();
                if !news.is_empty() {
                    fetches.push((news, context.fetch.clone()));
                }
                kept.push(context);
            }
            Err(Failure::Gone) => return Err(Gone),
            Err(Failure::Reply(_)) => refuse(link, context.tag),
        }
    }
    if let Some(selected) = imap.selected.as_deref_mut() {
        selected.contexts.list = kept;
    }
    // RFC 5465 §7: behind all ESEARCH responses.
    for (uids, attributes) in fetches {
        let runs = imap
            .selected
            .as_ref()
            .map(|selected| selected.runs_of_uids(&uids));
        fetch::unsolicited(imap, link, runs.unwrap_or_default(), attributes).await?;
    }
    Ok(())
}

impl Context {
    /// Searches among the messages touched.
    async fn look(
        &mut self,
        imap: &Imap,
        told: &Arc<ViewSnapshot>,
    ) -> Result<Vec<ListChange>, Failure> {
        let touched: Vec<u32> = std::mem::take(&mut self.touched)
            .into_iter()
            .filter(|uid| told.seq_of(*uid).is_some())
            .collect();
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        let only = SearchKey::Uid(uid_set(touched.iter().copied()));
        let user = imap.account()?;
        let key = self.key.clone();
        let key = annotate::expand(&imap.shared, user, told, self.collation, key).await?;
        let key = SearchKey::And(vec![only, key]);
        let key = Against {
            told,
            saved: &[],
            now: imap.shared.timestamp(),
            collation: self.collation,
            labelled: &Labelled::default(),
        }
        .compile(&key)?;
        let order = run::Order {
            user: imap.account()?,
            told,
            fuzzy: is_fuzzy(&self.key),
            spent: Duration::ZERO,
        };
        let (hits, spent) = run::find(&imap.shared, order, key, &mut Pace::Silent).await?;
        let matches: BTreeSet<u32> = hits.iter().map(|hit| hit.uid).collect();
        let members: BTreeSet<u32> = self.members.iter().copied().collect();
        let number = |uid: u32| match self.uid {
            true => Some(uid),
            false => told.seq_of(uid),
        };
        let gone: Vec<(u32, u32)> = touched
            .iter()
            .filter(|uid| members.contains(uid) && !matches.contains(uid))
            .filter_map(|uid| Some((*uid, number(*uid)?)))
            .collect();
        let new: Vec<u32> = matches.difference(&members).copied().collect();
        let mut changes = self.remove(&gone);
        changes.extend(self.add(imap, told, &hits, &new, spent).await?);
        Ok(changes)
    }

    /// Takes messages, by UID and the number told, out of the result.
    fn remove(&mut self, gone: &[(u32, u32)]) -> Vec<ListChange> {
        let number = |uid: &u32| {
            let found = gone.binary_search_by_key(uid, |(uid, _)| *uid);
            found
                .ok()
                .and_then(|at| gone.get(at))
                .map(|(_, number)| *number)
        };
        let mut changes = Vec::new();
        if self.criteria.is_empty() {
            let mut numbers: Vec<u32> = self.members.iter().filter_map(number).collect();
            numbers.sort_unstable();
            if !numbers.is_empty() {
                changes.push(ListChange::Remove(0, numbers.into_iter().collect()));
            }
        } else {
            // From the end, so that the positions before it stay.
            for (at, uid) in self.members.iter().enumerate().rev() {
                if let Some(number) = number(uid) {
                    changes.push(ListChange::Remove(position(at), one(number)));
                }
            }
        }
        self.members.retain(|uid| number(uid).is_none());
        changes
    }

    /// Puts messages into the result.
    async fn add(
        &mut self,
        imap: &Imap,
        told: &Arc<ViewSnapshot>,
        hits: &[Hit],
        new: &[u32],
        spent: Duration,
    ) -> Result<Vec<ListChange>, Failure> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let by_uid = self.uid;
        let number = |uid: u32| match by_uid {
            true => Some(uid),
            false => told.seq_of(uid),
        };
        if self.criteria.is_empty() {
            self.members.extend(new);
            self.members.sort_unstable();
            let numbers = new.iter().filter_map(|uid| number(*uid));
            return Ok(vec![ListChange::Add(0, numbers.collect())]);
        }
        let score = |uid: u32| {
            let found = hits.iter().find(|hit| hit.uid == uid);
            found.map_or(0, |hit| hit.score)
        };
        let mut all: Vec<Hit> = self
            .members
            .iter()
            .chain(new)
            .filter_map(|uid| {
                let seq = told.seq_of(*uid)?;
                let score = score(*uid);
                Some(Hit {
                    seq,
                    uid: *uid,
                    score,
                })
            })
            .collect();
        all.sort_unstable();
        let all = Arc::new(all);
        let order = sort::order(
            &imap.shared,
            imap.account()?,
            told,
            &all,
            &self.criteria,
            self.collation,
            spent,
        )
        .await?;
        let sorted = order.iter().filter_map(|at| all.get(*at));
        self.members = sorted.map(|hit| hit.uid).collect();
        let mut changes: Vec<ListChange> = Vec::new();
        let mut last = None;
        for (at, uid) in self.members.iter().enumerate() {
            let Some(number) = number(*uid).filter(|_| new.binary_search(uid).is_ok()) else {
                continue;
            };
            match changes.last_mut() {
                // Neighbours go together.
                Some(ListChange::Add(_, set)) if last == at.checked_sub(1) && last.is_some() => {
                    set.push(number)
                }
                _ => changes.push(ListChange::Add(position(at), one(number))),
            }
            last = Some(at);
        }
        Ok(changes)
    }

    fn tell(&self, link: &mut Link, changes: Vec<ListChange>) {
        if changes.is_empty() {
            return;
        }
        link.session.untagged(&Untagged::Esearch(Box::new(Esearch {
            tag: Some(self.tag.clone()),
            uid: self.uid,
            changes,
            ..Esearch::default()
        })));
    }
}

fn position(at: usize) -> u32 {
    u32::try_from(at.saturating_add(1)).unwrap_or(u32::MAX)
}

fn one(number: u32) -> NumberSet {
    [number].into_iter().collect()
}

/// A search whose sequence numbers, and `$`, are UIDs from now on. Recursion is bounded by [`SearchKey::DEPTH_LIMIT`].
fn freeze(key: &SearchKey, told: &ViewSnapshot, saved: &[u32]) -> SearchKey {
    let all = |keys: &[SearchKey]| keys.iter().map(|key| freeze(key, told, saved)).collect();
    let uids = |set: SequenceSet| match set {
        SequenceSet::Ranges(ranges) if ranges.is_empty() => {
            SearchKey::Not(Box::new(SearchKey::All))
        }
        set => SearchKey::Uid(set),
    };
    match key {
        SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => {
            uids(uid_set(saved.iter().copied()))
        }
        SearchKey::Sequence(set) => {
            let runs = set.resolve(told.len()).into_iter().flatten();
            uids(uid_set(runs.map_while(|seq| told.uid_at(seq))))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(freeze(key, told, saved))),
        SearchKey::Fuzzy(key) => SearchKey::Fuzzy(Box::new(freeze(key, told, saved))),
        SearchKey::Or(keys) => SearchKey::Or(all(keys)),
        SearchKey::And(keys) => SearchKey::And(all(keys)),
        other => other.clone(),
    }
}

/// Ascending UIDs as a set.
fn uid_set(uids: impl Iterator<Item = u32>) -> SequenceSet {
    let set: NumberSet = uids.collect();
    let bound = |number: u32| std::num::NonZeroU32::new(number).map(Bound::Number);
    let ranges = set.ranges().iter();
    SequenceSet::Ranges(
        ranges
            .filter_map(|range| Some((bound(*range.start())?, bound(*range.end())?)))
            .collect(),
    )
}
