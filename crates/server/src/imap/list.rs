//! LIST with its extensions, LSUB, NAMESPACE (RFC 9051 §6.3.9, §6.3.10; RFC 3501 §6.3.9; RFC 5819; RFC 6154).
//!
//! Every answer is computed from one consistent reading of the account's names. A level of hierarchy without a mailbox
//! (its mailbox was deleted, its children stay) is listed as `\NonExistent \Noselect`: RFC 9051 §6.3.5 asks that DELETE
//! leaves such a name behind.

use std::collections::{BTreeMap, BTreeSet};

use ::imap::{
    List, ListEntry, ListPattern, MailboxAttribute, MailboxName, Namespace, NamespaceEntry, Reply,
    SpecialUse, Untagged,
};
use ::store::{AccountId, Rights, Snapshot};

use super::access::{self, Place};
use super::pattern::{Pattern, parents};
use super::{Answer, Imap, Link, acl, metadata, status};

/// The names of an account.
pub struct Names {
    pub mailboxes: BTreeMap<String, Place>,
    pub subscribed: BTreeSet<String>,
}

impl Names {
    pub fn read(snapshot: &Snapshot<'_>, account: AccountId) -> ::store::Result<Names> {
        let own = snapshot
            .mailboxes(account)?
            .into_iter()
            .map(|mailbox| (mailbox.name.clone(), Place::own(account, mailbox)));
        let shared = snapshot.shared_with(account)?.into_iter();
        let others = shared
            .filter(|shared| shared.rights.contains(Rights::LOOKUP))
            .map(|shared| {
                let name = access::other(&shared.address, &shared.mailbox.name);
                let place = Place {
                    owner: shared.owner,
                    name: name.clone(),
                    mailbox: shared.mailbox,
                    rights: shared.rights,
                };
                (name, place)
            });
        Ok(Names {
            mailboxes: own.chain(others).collect(),
            subscribed: snapshot.subscriptions(account)?.into_iter().collect(),
        })
    }

    fn has_children(&self, name: &str) -> bool {
        let start = format!("{name}/");
        let mut below = self.mailboxes.range(start.clone()..);
        below
            .next()
            .is_some_and(|(below, _)| below.starts_with(&start))
    }

    fn subscribed_children(&self, name: &str) -> impl Iterator<Item = &String> {
        let start = format!("{name}/");
        let below = self.subscribed.range(start.clone()..);
        below.take_while(move |below| below.starts_with(&start))
    }

    /// The entry of a name with its attributes; `None` for a name that the protocol cannot write.
    pub fn entry(&self, name: &str, tell_subscribed: bool) -> Option<ListEntry> {
        let mut entry = ListEntry::new(MailboxName::new(name).ok()?);
        let attributes = &mut entry.attributes;
        let mailbox = self.mailboxes.get(name).map(|place| &place.mailbox);
        if mailbox.is_none() {
            // RFC 9051 §7.3.1: \NonExistent implies \Noselect, which older clients know.
            attributes.extend([MailboxAttribute::NonExistent, MailboxAttribute::NoSelect]);
        }
        // RFC 3348 §3: told whether asked for or not, because it costs nothing here.
        attributes.push(match self.has_children(name) {
            true => MailboxAttribute::HasChildren,
            false => MailboxAttribute::HasNoChildren,
        });
        if tell_subscribed && self.subscribed.contains(name) {
            attributes.push(MailboxAttribute::Subscribed);
        }
        let special_use = mailbox
            .and_then(|mailbox| mailbox.special_use)
            .and_then(told_use);
        attributes.extend(special_use.map(MailboxAttribute::Use));
        Some(entry)
    }
}

/// All mailboxes that an account may list, by name, and the names it has subscribed to.
pub fn places(
    snapshot: &Snapshot<'_>,
    account: AccountId,
) -> ::store::Result<(BTreeMap<String, Place>, BTreeSet<String>)> {
    let names = Names::read(snapshot, account)?;
    Ok((names.mailboxes, names.subscribed))
}

/// LIST.
pub async fn list(imap: &mut Imap, link: &mut Link, list: List) -> Answer {
    if list.asks_delimiter() {
        if let Ok(name) = MailboxName::new("") {
            let attributes = vec![MailboxAttribute::NoSelect];
            link.session.untagged(&Untagged::List(ListEntry {
                attributes,
                ..ListEntry::new(name)
            }));
        }
        return Ok(Reply::ok("listed"));
    }
    let account = imap.account()?;
    // Matching many patterns against many names takes its time (attack A20): not on a thread that others need.
    let limit = imap.shared.config().limits.message_size;
    let read = imap.shared.db.read(move |snapshot| {
        let names = Names::read(snapshot, account)?;
        entries(snapshot, account, &names, &list, limit)
    });
    for entry in read.await? {
        link.session.untagged(&Untagged::List(entry));
        link.flush_if_full().await?;
    }
    Ok(Reply::ok("listed"))
}

fn entries(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    names: &Names,
    list: &List,
    append_limit: u64,
) -> ::store::Result<Vec<ListEntry>> {
    let patterns = compile(&list.full_patterns(), list.extended);
    let selection = &list.selection;
    let candidates = match selection.subscribed {
        true => with_levels(names.subscribed.iter().map(String::as_str)),
        false => with_levels(names.mailboxes.keys().map(String::as_str)),
    };
    let mut entries = Vec::new();
    for name in candidates {
        if !patterns.iter().any(|pattern| pattern.matches(name)) {
            continue;
        }
        let place = names.mailboxes.get(name);
        let mailbox = place.map(|place| &place.mailbox);
        // Of the mailboxes all candidates are, levels without a mailbox among them (RFC 9051 §6.3.5).
        let mut selected = !selection.subscribed || names.subscribed.contains(name);
        if selection.special_use {
            selected &= mailbox.is_some_and(|mailbox| mailbox.special_use.is_some());
        }
        // RFC 9051 §6.3.9.6: CHILDINFO tells of children that qualify, whether or not the pattern has them.
        // For a name that does not qualify itself it is redundant where such a child is listed.
        let child_info = selection.recursive_match
            && names
                .subscribed_children(name)
                .any(|child| selected || !patterns.iter().any(|pattern| pattern.matches(child)));
        if !selected && !child_info {
            continue;
        }
        let Some(mut entry) = names.entry(name, list.returns.subscribed || selection.subscribed)
        else {
            continue;
        };
        entry.child_info = child_info;
        if let Some(place) = place {
            // RFC 5819 §2: of what cannot be selected there is no STATUS.
            if place.rights.contains(Rights::READ) && !list.returns.status.is_empty() {
                let items = &list.returns.status;
                entry.status = Some(status::data(snapshot, place, items, append_limit)?);
            }
            if list.returns.my_rights {
                entry.my_rights = Some(acl::letters(place.rights));
            }
            entry.metadata = metadata::listed(snapshot, user, place, &list.returns.metadata)?;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// LSUB: subscribed names, and with `%` the levels above them, `\Noselect` (RFC 3501 §6.3.9).
pub async fn lsub(
    imap: &mut Imap,
    link: &mut Link,
    reference: &str,
    pattern: &ListPattern,
) -> Answer {
    let account = imap.account()?;
    let pattern = Pattern::new(pattern.after(reference).as_str());
    let marks = imap.quirks.lsub_noselect;
    let read = imap.shared.db.read(move |snapshot| {
        let names = Names::read(snapshot, account)?;
        Ok(subscribed(&names, &pattern, marks))
    });
    for entry in read.await? {
        link.session.untagged(&Untagged::Lsub(entry));
        link.flush_if_full().await?;
    }
    Ok(Reply::ok("listed"))
}

/// With `marks` a subscribed name that is no mailbox is `\Noselect` as well, which RFC 3501 has for levels alone.
fn subscribed(names: &Names, pattern: &Pattern, marks: bool) -> Vec<ListEntry> {
    let mut entries = Vec::new();
    for name in with_levels(names.subscribed.iter().map(String::as_str)) {
        let subscribed = names.subscribed.contains(name);
        if !pattern.matches(name) || !(subscribed || pattern.ends_in_percent()) {
            continue;
        }
        let Ok(written) = MailboxName::new(name) else {
            continue;
        };
        let mut entry = ListEntry::new(written);
        if !subscribed || (marks && !names.mailboxes.contains_key(name)) {
            entry.attributes.push(MailboxAttribute::NoSelect);
        }
        entries.push(entry);
    }
    entries
}

/// NAMESPACE: one's own mailboxes, without prefix, and those of others.
pub fn namespace(link: &mut Link) -> Reply {
    let own = NamespaceEntry {
        prefix: String::new(),
        delimiter: Some(MailboxName::DELIMITER),
        translation: None,
    };
    let others = NamespaceEntry {
        prefix: access::OTHERS.to_owned(),
        delimiter: Some(MailboxName::DELIMITER),
        translation: link.session.translate(access::OTHERS),
    };
    link.session.untagged(&Untagged::Namespace(Namespace {
        personal: vec![own],
        other_users: vec![others],
        ..Namespace::default()
    }));
    Reply::ok("told")
}

/// The LIST response that SELECT gives (RFC 9051 §6.3.2).
pub fn one(
    snapshot: &Snapshot<'_>,
    account: AccountId,
    place: &Place,
) -> ::store::Result<Option<ListEntry>> {
    Ok(Names::read(snapshot, account)?.entry(&place.name, true))
}

/// Patterns ready to match. In extended LIST empty ones mean nothing (RFC 9051 §6.3.9).
fn compile(patterns: &[ListPattern], extended: bool) -> Vec<Pattern> {
    patterns
        .iter()
        .filter(|pattern| !extended || !pattern.as_str().is_empty())
        .map(|pattern| Pattern::new(pattern.as_str()))
        .collect()
}

/// Names and all levels above them, sorted.
fn with_levels<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::new();
    for name in names {
        all.insert(name);
        all.extend(parents(name));
    }
    all
}

fn told_use(special_use: ::store::SpecialUse) -> Option<SpecialUse> {
    use ::store::SpecialUse as Stored;
    Some(match special_use {
        Stored::All => SpecialUse::All,
        Stored::Archive => SpecialUse::Archive,
        Stored::Drafts => SpecialUse::Drafts,
        Stored::Flagged => SpecialUse::Flagged,
        Stored::Junk => SpecialUse::Junk,
        Stored::Sent => SpecialUse::Sent,
        Stored::Trash => SpecialUse::Trash,
        // RFC 8457 is not announced.
        Stored::Important => return None,
    })
}
