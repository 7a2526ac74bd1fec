//! ESEARCH (RFC 7377): one search in several mailboxes, answered mailbox by mailbox.
//!
//! Mailboxes that the user may not read, or where they are not named, not list, are left out as if they were not there
//! (RFC 7377 §2.2). The working time of one search is that of all its mailboxes together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::imap::server::Found;
use ::imap::{MailboxFilter, MailboxName, Reply, Search};
use ::store::{AccountId, MailboxId, Rights, Snapshot, SpecialUse, Store, ViewSnapshot};

use super::compile::Against;
use super::run::{self, Hit};
use super::{context, failed, filter, is_fuzzy, modseq};
use crate::imap::access::{self, Place};
use crate::imap::annotate;
use crate::imap::error::Failure;
use crate::imap::gmail::{self, search::Labelled};
use crate::imap::list;
use crate::imap::progress::Pace;
use crate::imap::{Answer, Imap, Link};

/// Searches each mailbox and answers for those where something was found.
pub async fn esearch(
    imap: &mut Imap,
    link: &mut Link,
    sources: Vec<MailboxFilter>,
    mut search: Search,
) -> Answer {
    let key = filter::expand(imap, search.key).await?;
    let (key, labelled) = gmail::search::expand(imap, key).await?;
    search.key = key;
    let user = imap.account()?;
    let selected = imap
        .selected
        .as_ref()
        .map(|selected| (selected.account, selected.mailbox));
    if let Some(selected) = &imap.selected {
        context::check_tag(selected, link, &search)?;
    }
    let read = imap.shared.db.read(move |snapshot| {
        let all = Choice::read(snapshot, user)?;
        all.choose(snapshot, &sources, selected)
    });
    let places = read.await?;
    let mut spent = Duration::ZERO;
    let mut looked_at = 0u64;
    for (name, owner, mailbox) in places {
        let is_selected = selected == Some((owner, mailbox));
        let told = match &imap.selected {
            Some(selected) if is_selected => Arc::clone(&selected.told),
            _ => {
                let work = move |store: &Store| store.view_as(user, owner, mailbox);
                let opened = imap.shared.db.blocking_for(user, work);
                match imap.progress.during(link, None, opened).await? {
                    Ok(view) => view.snapshot(),
                    // It was deleted meanwhile.
                    Err(::store::Error::NotFound(_)) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let so_far = (spent, looked_at);
        let hits;
        (hits, spent) =
            match find(imap, link, &told, (&search, &labelled), is_selected, so_far).await {
                Ok(found) => found,
                Err(failure) => return Err(failed(imap, &search, failure)),
            };
        looked_at = looked_at.saturating_add(u64::from(told.len()));
        if is_selected {
            keep(imap, link, &search, &hits)?;
        }
        if !hits.is_empty() {
            tell(link, &search, &told, &hits, &name);
        }
        link.flush_if_full().await?;
    }
    Ok(Reply::ok("searched"))
}

/// Searches one mailbox, after some time and some messages in others.
async fn find(
    imap: &mut Imap,
    link: &mut Link,
    told: &Arc<ViewSnapshot>,
    (search, labelled): (&Search, &Labelled),
    is_selected: bool,
    (spent, before): (Duration, u64),
) -> Result<(Vec<Hit>, Duration), Failure> {
    // `$` is about the selected mailbox.
    let saved = match &imap.selected {
        Some(selected) if is_selected => selected.saved.as_slice(),
        _ => &[],
    };
    let user = imap.account()?;
    let key = search.key.clone();
    let key = annotate::expand(&imap.shared, user, told, imap.collation, key).await?;
    let key = Against {
        told,
        saved,
        now: imap.shared.timestamp(),
        collation: imap.collation,
        labelled,
    }
    .compile(&key)?;
    // RFC 9738 has one UID to say where a command stopped, and here are many mailboxes: it is not begun.
    imap.limit.whole(told, &key, before)?;
    let order = run::Order {
        user: imap.account()?,
        told,
        fuzzy: is_fuzzy(&search.key),
        spent,
    };
    let mut pace = Pace::Told {
        progress: &mut imap.progress,
        link,
        before,
        all: false,
    };
    run::find(&imap.shared, order, key, &mut pace).await
}

/// What a search of the selected mailbox leaves behind: `$`, and a result that is followed.
fn keep(imap: &mut Imap, link: &mut Link, search: &Search, hits: &[Hit]) -> Result<(), Failure> {
    let collation = imap.collation;
    let selected = imap.selected()?;
    let uids: Vec<u32> = hits.iter().map(|hit| hit.uid).collect();
    if let Some(returns) = search.returns.filter(|returns| returns.save) {
        selected.saved = returns.saved(&uids);
    }
    context::follow(selected, link, search, &[], collation, uids);
    Ok(())
}

fn tell(link: &mut Link, search: &Search, told: &ViewSnapshot, hits: &[Hit], name: &MailboxName) {
    let numbers: Vec<u32> = hits.iter().map(|hit| hit.uid).collect();
    let scores: Vec<u8> = hits.iter().map(|hit| hit.score).collect();
    let found = Found {
        numbers: &numbers,
        scores: is_fuzzy(&search.key).then_some(&scores),
        modseq: modseq(told, search, hits.iter()),
        sorted: false,
        mailbox: Some((name.clone(), told.uid_validity())),
    };
    link.session.search_results(search, &found);
}

/// What can be chosen from.
struct Choice {
    user: AccountId,
    places: BTreeMap<String, Place>,
    subscribed: BTreeSet<String>,
}

/// A mailbox to be searched: its name, owner and identifier.
type Chosen = (MailboxName, AccountId, MailboxId);

impl Choice {
    fn read(snapshot: &Snapshot<'_>, user: AccountId) -> ::store::Result<Choice> {
        let (places, subscribed) = list::places(snapshot, user)?;
        Ok(Choice {
            user,
            places,
            subscribed,
        })
    }

    /// The mailboxes, each once, in the order of the choice.
    fn choose(
        &self,
        snapshot: &Snapshot<'_>,
        sources: &[MailboxFilter],
        selected: Option<(AccountId, MailboxId)>,
    ) -> ::store::Result<Vec<Chosen>> {
        let mut chosen: Vec<Chosen> = Vec::new();
        let mut seen: BTreeSet<(AccountId, MailboxId)> = BTreeSet::new();
        let mut take = |place: &Place| {
            let key = (place.owner, place.mailbox.id);
            if let Ok(name) = MailboxName::new(&place.name)
                && place.rights.contains(Rights::READ)
                && seen.insert(key)
            {
                chosen.push((name, key.0, key.1));
            }
        };
        for source in sources {
            match source {
                // Selected, it takes no right to list either.
                MailboxFilter::Selected => {
                    if let Some(selected) = selected
                        && let Some(place) = access::by_id(snapshot, self.user, selected)?
                    {
                        take(&place);
                    }
                }
                // RFC 5465 §6.3: where mail is delivered to.
                MailboxFilter::Inboxes => self
                    .own()
                    .filter(|place| {
                        place.name == "INBOX" || place.mailbox.special_use == Some(SpecialUse::Junk)
                    })
                    .for_each(&mut take),
                MailboxFilter::Personal => self.own().for_each(&mut take),
                MailboxFilter::Subscribed => self
                    .places
                    .values()
                    .filter(|place| self.subscribed.contains(&place.name))
                    .for_each(&mut take),
                MailboxFilter::Subtree(names) => {
                    for name in names {
                        self.below(name, usize::MAX).for_each(&mut take);
                    }
                }
                MailboxFilter::SubtreeOne(names) => {
                    for name in names {
                        self.below(name, 1).for_each(&mut take);
                    }
                }
                MailboxFilter::Mailboxes(names) => {
                    for name in names {
                        // Named, it takes no right to list.
                        let found = access::find(snapshot, self.user, name.as_str(), Rights::READ)?;
                        if let access::Found::There(place) = found {
                            take(&place);
                        }
                    }
                }
            }
        }
        Ok(chosen)
    }

    fn own(&self) -> impl Iterator<Item = &Place> {
        let places = self.places.values();
        places.filter(|place| place.owner == self.user)
    }

    /// A mailbox and those below it, so many levels deep.
    fn below(&self, name: &MailboxName, levels: usize) -> impl Iterator<Item = &Place> {
        let top = name.as_str().to_owned();
        let start = format!("{top}/");
        let levels = levels.saturating_sub(1);
        self.places.values().filter(move |place| {
            place.name == top
                || place
                    .name
                    .strip_prefix(&start)
                    .is_some_and(|rest| rest.matches('/').count() <= levels)
        })
    }
}
