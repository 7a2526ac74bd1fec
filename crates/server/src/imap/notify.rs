//! NOTIFY (RFC 5465): changes of many mailboxes are told as they are committed, also between commands.
//!
//! Owns [`Watch`]: what the client asked for, and the picture of names, counts, subscriptions and annotations that it has
//! been told. A commit in an account it watches wakes the session; the difference between the picture and what is there
//! now is what is told, so nothing is told twice, and what may not be seen any more is simply gone.
//!
//! What a session does itself is not told to it (RFC 5465 §5): around commands that change names or put messages
//! somewhere the picture is brought up to date, before with telling, after in silence.
//!
//! Limits: [`MAILBOXES`].

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use ::imap::{
    Capability, Code, Command, EventGroup, FetchAttribute, ListEntry, MailboxAttribute,
    MailboxFilter, MailboxName, MetadataData, NotifyCommand, NotifyEvents, NotifyFilter, Reply,
    StatusData, StatusItem, Untagged,
};
use ::store::{AccountId, Annotated, MailboxId, Rights, Snapshot, Subscription, View};

use super::access::Place;
use super::list::Names;
use super::selected::Expunges;
use super::{Answer, Imap, Link, fetch, idle, metadata, search, status};
use crate::drive::Gone;

/// Most mailboxes watched: each change in an account is held against all of them.
const MAILBOXES: usize = 5_000;

/// RFC 5465 §3.1.
const OVERFLOW: Reply = Reply::coded(
    ::imap::Status::No,
    Code::NotificationOverflow,
    "there are too many mailboxes to watch",
);

/// What a client wants to be told, and has been.
pub struct Watch {
    groups: Vec<EventGroup>,
    told: Picture,
    /// Wakes for the accounts whose mailboxes can be seen.
    accounts: BTreeMap<AccountId, Subscription>,
    /// Wakes for the selected mailbox.
    selected: Option<(Arc<View>, Subscription)>,
}

/// Everything that can change, as one user sees it.
#[derive(Default)]
pub struct Picture {
    pub names: BTreeMap<(AccountId, MailboxId), Place>,
    subscribed: BTreeSet<String>,
    /// Entries of mailboxes, and of the server under no mailbox, with what stands for their values.
    metadata: BTreeMap<Option<(AccountId, MailboxId)>, BTreeMap<String, u64>>,
    /// The names for LIST.
    list: Option<Names>,
}

impl Picture {
    /// What is there now.
    pub fn read(
        snapshot: &Snapshot<'_>,
        user: AccountId,
        metadata: bool,
    ) -> ::store::Result<Picture> {
        let names = Names::read(snapshot, user)?;
        let mut picture = Picture {
            subscribed: names.subscribed.clone(),
            ..Picture::default()
        };
        for place in names.mailboxes.values() {
            let id = (place.owner, place.mailbox.id);
            // RFC 5464 §3.3: of what may not be read it is not told either that it changed.
            if metadata && metadata::may_annotate(place.rights) {
                let shared = Annotated::Mailbox(id.0, id.1);
                let private = Annotated::MailboxFor(id.0, id.1, user);
                let entries = marks(snapshot, shared, private)?;
                picture.metadata.insert(Some(id), entries);
            }
            picture.names.insert(id, place.clone());
        }
        if metadata {
            let entries = marks(snapshot, Annotated::Server, Annotated::ServerFor(user))?;
            picture.metadata.insert(None, entries);
        }
        picture.list = Some(names);
        Ok(picture)
    }
}

/// Values are others' to choose, so what stands for them is keyed.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

fn marks(
    snapshot: &Snapshot<'_>,
    shared: Annotated,
    private: Annotated,
) -> ::store::Result<BTreeMap<String, u64>> {
    let mut marks = BTreeMap::new();
    for (prefix, place) in [("/shared", shared), ("/private", private)] {
        for (name, value) in snapshot.annotations(place)? {
            marks.insert(format!("{prefix}{name}"), KEY.hash_one(value));
        }
    }
    Ok(marks)
}

impl Watch {
    /// What is asked for of the selected mailbox, and whether EXPUNGE is delayed; without a group about it, nothing.
    fn of_selected(&self) -> Option<(&NotifyEvents, bool)> {
        self.groups.iter().find_map(|group| match group.filter {
            NotifyFilter::Selected { delayed } => Some((&group.events, delayed)),
            NotifyFilter::Other(_) => None,
        })
    }

    fn wants_metadata(&self) -> bool {
        let wants = |group: &EventGroup| group.events.metadata || group.events.server_metadata;
        self.groups.iter().any(wants)
    }

    /// Whether any group about this mailbox asks for an event.
    fn wants(
        &self,
        user: AccountId,
        place: &Place,
        subscribed: &BTreeSet<String>,
        event: impl Fn(&NotifyEvents) -> bool,
    ) -> bool {
        self.groups.iter().any(|group| match &group.filter {
            NotifyFilter::Other(filter) => {
                event(&group.events) && covers(filter, user, place, subscribed)
            }
            NotifyFilter::Selected { .. } => false,
        })
    }

    fn wants_name(&self, name: &str, event: impl Fn(&NotifyEvents) -> bool) -> bool {
        self.groups.iter().any(|group| match &group.filter {
            NotifyFilter::Other(
                MailboxFilter::Subscribed | MailboxFilter::Personal | MailboxFilter::Inboxes,
            ) => event(&group.events),
            NotifyFilter::Other(filter) => event(&group.events) && names_cover(filter, name),
            NotifyFilter::Selected { .. } => false,
        })
    }
}

/// Whether a choice of mailboxes holds one (RFC 5465 §6). Mail may be delivered to any mailbox of one's own.
fn covers(
    filter: &MailboxFilter,
    user: AccountId,
    place: &Place,
    subscribed: &BTreeSet<String>,
) -> bool {
    match filter {
        MailboxFilter::Inboxes | MailboxFilter::Personal => place.owner == user,
        MailboxFilter::Subscribed => subscribed.contains(&place.name),
        MailboxFilter::Selected => false,
        named => names_cover(named, &place.name),
    }
}

fn names_cover(filter: &MailboxFilter, name: &str) -> bool {
    let below = |top: &str| {
        name.strip_prefix(top)
            .is_some_and(|rest| rest.starts_with(MailboxName::DELIMITER))
    };
    match filter {
        MailboxFilter::Mailboxes(names) => names.iter().any(|known| known.as_str() == name),
        MailboxFilter::Subtree(tops) => tops
            .iter()
            .any(|top| top.as_str() == name || below(top.as_str())),
        MailboxFilter::SubtreeOne(tops) => tops.iter().any(|top| {
            top.as_str() == name
                || below(top.as_str())
                    && !name
                        .get(top.as_str().len() + 1..)
                        .unwrap_or("/")
                        .contains('/')
        }),
        _ => false,
    }
}

/// NOTIFY. With SET what has accumulated in the selected mailbox is told, as after every command.
pub async fn notify(imap: &mut Imap, link: &mut Link, command: NotifyCommand) -> Answer {
    let user = imap.account()?;
    let NotifyCommand::Set { status, groups } = command else {
        // RFC 5465 §3.1: nothing is told, of the selected mailbox either.
        imap.watch = Some(Box::new(Watch {
            groups: Vec::new(),
            told: Picture::default(),
            accounts: BTreeMap::new(),
            selected: None,
        }));
        return Ok(Reply::ok("nothing is watched"));
    };
    let mut watch = Watch {
        groups,
        told: Picture::default(),
        accounts: BTreeMap::new(),
        selected: None,
    };
    // First the subscriptions, then a look: nothing falls between.
    subscribe(imap, link, &mut watch, [user]);
    let metadata = watch.wants_metadata();
    let read = move |snapshot: &Snapshot<'_>| Picture::read(snapshot, user, metadata);
    let seen = imap.shared.db.read(read).await?;
    if seen.names.len() > MAILBOXES {
        return Ok(OVERFLOW);
    }
    let owners: BTreeSet<AccountId> = seen.names.keys().map(|(owner, _)| *owner).collect();
    subscribe(imap, link, &mut watch, owners);
    watch.told = imap.shared.db.read(read).await?;
    let selected = imap
        .selected
        .as_ref()
        .map(|selected| (selected.account, selected.mailbox));
    for (id, place) in &watch.told.names {
        let any = |events: &NotifyEvents| events.messages;
        if Some(*id) == selected || !watch.wants(user, place, &watch.told.subscribed, any) {
            continue;
        }
        let Ok(name) = MailboxName::new(&place.name) else {
            continue;
        };
        if !place.rights.contains(Rights::READ) {
            link.session.untagged(&Untagged::List(no_access(name)));
        } else if status {
            let changes = |events: &NotifyEvents| events.flags || events.annotations;
            let flags = watch.wants(user, place, &watch.told.subscribed, changes);
            let data = stands(link, place, true, flags, flags);
            link.session.untagged(&Untagged::StatusData {
                mailbox: name,
                data,
            });
        }
        link.flush_if_full().await?;
    }
    imap.watch = Some(Box::new(watch));
    Ok(Reply::ok("watching"))
}

fn no_access(name: MailboxName) -> ListEntry {
    ListEntry {
        attributes: vec![MailboxAttribute::Other("NoAccess".to_owned())],
        ..ListEntry::new(name)
    }
}

fn subscribe(
    imap: &Imap,
    link: &Link,
    watch: &mut Watch,
    accounts: impl IntoIterator<Item = AccountId>,
) {
    let store = imap.shared.db.store();
    for account in accounts {
        watch
            .accounts
            .entry(account)
            .or_insert_with(|| store.watch_account(account, idle::waker(link)));
    }
}

/// The items of a STATUS response about a mailbox (RFC 5465 §5.1 to §5.3).
fn stands(link: &Link, place: &Place, counts: bool, flags: bool, modseq: bool) -> StatusData {
    let mut items = vec![StatusItem::UidValidity];
    if counts {
        items.extend([StatusItem::Messages, StatusItem::UidNext]);
    }
    if flags {
        items.push(StatusItem::Unseen);
    }
    if modseq || link.session.is_enabled(&Capability::CondStore) {
        items.push(StatusItem::HighestModSeq);
    }
    status::counts(&place.mailbox, &items)
}

/// Whether a command of the session itself changes what others would be told of.
pub fn changes(command: &Command) -> bool {
    match command {
        Command::Create { .. }
        | Command::Delete(_)
        | Command::Rename { .. }
        | Command::Subscribe(_)
        | Command::Unsubscribe(_)
        | Command::Append(_)
        | Command::Copy { .. }
        | Command::StoreLabels(_)
        | Command::Move { .. } => true,
        Command::Metadata(command) => matches!(command, ::imap::MetadataCommand::Set { .. }),
        _ => false,
    }
}

/// Takes what is there now for told, after a command that changed it.
pub async fn absorb(imap: &mut Imap) {
    let (Some(watch), Some(user)) = (&mut imap.watch, imap.account) else {
        return;
    };
    if watch.groups.is_empty() {
        return;
    }
    let metadata = watch.wants_metadata();
    let read = move |snapshot: &Snapshot<'_>| Picture::read(snapshot, user, metadata);
    if let Ok(picture) = imap.shared.db.read(read).await {
        watch.told = picture;
    }
}

/// Tells what changed: of the selected mailbox what was asked for, then of the others. `expunges` is what a command
/// allows; between commands nothing does, unless SELECTED was asked for.
/// `fetches` is false where new messages are the session's own.
pub async fn tell(
    imap: &mut Imap,
    link: &mut Link,
    expunges: Option<Expunges>,
    fetches: bool,
) -> Result<(), Gone> {
    tell_selected(imap, link, expunges, fetches).await?;
    tell_others(imap, link).await
}

/// The selected mailbox. Without NOTIFY all is told (RFC 5465 §3.1); with it, what its group names.
pub async fn tell_selected(
    imap: &mut Imap,
    link: &mut Link,
    expunges: Option<Expunges>,
    fetches: bool,
) -> Result<(), Gone> {
    let Some(watch) = &mut imap.watch else {
        return Ok(());
    };
    let events = watch.of_selected().map(|(events, _)| events);
    let annotations = events.is_some_and(|events| events.annotations);
    let asked = watch
        .of_selected()
        .map(|(events, delayed)| (events.clone(), delayed));
    let Some(selected) = imap.selected.as_deref_mut() else {
        watch.selected = None;
        return Ok(());
    };
    selected.annotations.watched = Some(annotations);
    selected.recheck(&imap.shared.db, link);
    let Some((events, delayed)) = asked.filter(|(events, _)| events.messages) else {
        watch.selected = None;
        return Ok(());
    };
    let followed = watch
        .selected
        .as_ref()
        .is_some_and(|(view, _)| Arc::ptr_eq(view, &selected.view));
    if !followed {
        let subscription = selected.view.subscribe(idle::waker(link));
        watch.selected = Some((Arc::clone(&selected.view), subscription));
    }
    let expunges = match expunges {
        Some(expunges) => expunges,
        None if delayed && !link.session.is_idling() => Expunges::Kept,
        None => Expunges::Told,
    };
    let before = selected.told.uid_next();
    selected
        .sync_but(link, expunges, |_, _| !events.flags)
        .await?;
    search::context::tell(imap, link).await?;
    if events.fetch.is_empty() || !fetches {
        return Ok(());
    }
    // RFC 5465 §5.2: EXISTS first, then what was asked for of each new message.
    let uids = [before..=u32::MAX];
    let Some(selected) = imap.selected.as_deref() else {
        return Ok(());
    };
    let runs = selected.runs_of_uids(&uids);
    if !runs.is_empty() {
        let mut attributes = events.fetch;
        if !attributes.contains(&FetchAttribute::Uid) {
            attributes.insert(0, FetchAttribute::Uid);
        }
        fetch::unsolicited(imap, link, runs, attributes).await?;
    }
    Ok(())
}

async fn tell_others(imap: &mut Imap, link: &mut Link) -> Result<(), Gone> {
    let Some(user) = imap.account else {
        return Ok(());
    };
    let Some(watch) = imap.watch.as_deref().filter(|watch| {
        let other = |group: &EventGroup| matches!(group.filter, NotifyFilter::Other(_));
        watch.groups.iter().any(other)
    }) else {
        return Ok(());
    };
    let metadata = watch.wants_metadata();
    let read = move |snapshot: &Snapshot<'_>| Picture::read(snapshot, user, metadata);
    let now = match imap.shared.db.read(read).await {
        Ok(now) if now.names.len() <= MAILBOXES => now,
        Ok(_) => {
            imap.watch = None;
            if let Some(selected) = &mut imap.selected {
                selected.annotations.watched = None;
            }
            let overflow = Reply::ok("watching ends").with(Code::NotificationOverflow);
            link.session.untagged(&Untagged::Status(overflow));
            return Ok(());
        }
        // What cannot be read now is told later.
        Err(error) => {
            tracing::warn!(%error, "a watching session could not look");
            return Ok(());
        }
    };
    let selected = imap
        .selected
        .as_ref()
        .map(|selected| (selected.account, selected.mailbox));
    let Some(mut watch) = imap.watch.take() else {
        return Ok(());
    };
    let owners: BTreeSet<AccountId> = now.names.keys().map(|(owner, _)| *owner).collect();
    watch
        .accounts
        .retain(|account, _| *account == user || owners.contains(account));
    subscribe(imap, link, &mut watch, owners);
    let told = std::mem::take(&mut watch.told);
    names(&watch, user, &told, &now, link);
    subscriptions(&watch, &told, &now, link);
    for (id, place) in &now.names {
        if let Some(old) = told.names.get(id).filter(|_| Some(*id) != selected) {
            counts(&watch, user, old, place, &now, link);
        }
        link.flush_if_full().await?;
    }
    entries(&watch, user, &told, &now, link);
    watch.told = now;
    imap.watch = Some(watch);
    Ok(())
}

fn listed(now: &Picture, name: &str) -> Option<ListEntry> {
    now.list.as_ref()?.entry(name, true)
}

/// MailboxName (RFC 5465 §5.4): made, deleted, renamed, granted, revoked. What is below a renamed mailbox is not told.
fn names(watch: &Watch, user: AccountId, told: &Picture, now: &Picture, link: &mut Link) {
    let event = |events: &NotifyEvents| events.names;
    let mut renamed: Vec<(&str, &str)> = Vec::new();
    for (id, place) in &now.names {
        let old = told.names.get(id).map(|old| old.name.as_str());
        if old == Some(place.name.as_str()) {
            continue;
        }
        let with_parent = |old: &str| {
            renamed.iter().any(|(from, to)| {
                let rest = |name: &str, top: &str| {
                    name.strip_prefix(top)
                        .filter(|rest| rest.starts_with('/'))
                        .map(str::to_owned)
                };
                rest(old, from).is_some_and(|below| rest(&place.name, to) == Some(below))
            })
        };
        if old.is_some_and(with_parent) {
            continue;
        }
        if let Some(old) = old {
            renamed.push((old, &place.name));
        }
        let wanted = watch.wants(user, place, &now.subscribed, event)
            || old.is_some_and(|old| watch.wants_name(old, event));
        if !wanted {
            continue;
        }
        if let Some(mut entry) = listed(now, &place.name) {
            entry.old_name = old.and_then(|old| MailboxName::new(old).ok());
            link.session.untagged(&Untagged::List(entry));
        }
    }
    for (id, place) in &told.names {
        if now.names.contains_key(id) || !watch.wants(user, place, &told.subscribed, event) {
            continue;
        }
        if let Ok(name) = MailboxName::new(&place.name) {
            let entry = ListEntry {
                attributes: vec![MailboxAttribute::NonExistent],
                ..ListEntry::new(name)
            };
            link.session.untagged(&Untagged::List(entry));
        }
    }
}

/// SubscriptionChange (RFC 5465 §5.5).
fn subscriptions(watch: &Watch, told: &Picture, now: &Picture, link: &mut Link) {
    for name in told.subscribed.symmetric_difference(&now.subscribed) {
        if watch.wants_name(name, |events| events.subscriptions)
            && let Some(entry) = listed(now, name)
        {
            link.session.untagged(&Untagged::List(entry));
        }
    }
}

/// MessageNew, MessageExpunge and FlagChange in a mailbox that is not selected.
fn counts(
    watch: &Watch,
    user: AccountId,
    old: &Place,
    place: &Place,
    now: &Picture,
    link: &mut Link,
) {
    let (before, after) = (&old.mailbox, &place.mailbox);
    let Ok(name) = MailboxName::new(&place.name) else {
        return;
    };
    let readable = |place: &Place| place.rights.contains(Rights::READ);
    let wants = |event: fn(&NotifyEvents) -> bool| watch.wants(user, place, &now.subscribed, event);
    if !wants(|events| events.messages) {
        return;
    }
    if !readable(place) {
        // RFC 5465 §5.9
        if readable(old) {
            link.session.untagged(&Untagged::List(no_access(name)));
        }
        return;
    }
    let moved = (before.messages, before.uid_next, before.uid_validity)
        != (after.messages, after.uid_next, after.uid_validity);
    let changed = before.highest_modseq != after.highest_modseq || before.unseen != after.unseen;
    let flags = changed && wants(|events| events.flags || events.annotations);
    if moved || flags {
        let data = stands(link, place, moved, flags, false);
        link.session.untagged(&Untagged::StatusData {
            mailbox: name,
            data,
        });
    }
}

/// Entries that were set, changed or removed, by their marks.
fn changed_entries<'m>(
    before: &'m BTreeMap<String, u64>,
    now: &'m BTreeMap<String, u64>,
) -> BTreeSet<&'m String> {
    let new = now
        .iter()
        .filter(|(name, mark)| before.get(*name) != Some(mark))
        .map(|(name, _)| name);
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    new.chain(gone).collect()
}

/// Annotations of one mailbox that changed.
pub struct AnnotationsChanged {
    /// The mailbox; none for the server.
    pub mailbox: Option<(AccountId, MailboxId)>,
    /// Its name, empty for the server.
    pub name: String,
    /// Names of the entries.
    pub entries: Vec<String>,
}

/// What changed in annotations of mailboxes that could be seen before and still can, and in those of the server.
pub fn annotations_changed(told: &Picture, now: &Picture) -> Vec<AnnotationsChanged> {
    let mut all = Vec::new();
    for (id, marks) in &now.metadata {
        let Some(before) = told.metadata.get(id) else {
            continue;
        };
        let name = match id {
            None => String::new(),
            Some(id) => match now.names.get(id) {
                Some(place) => place.name.clone(),
                None => continue,
            },
        };
        let changed = changed_entries(before, marks);
        if !changed.is_empty() {
            all.push(AnnotationsChanged {
                mailbox: *id,
                name,
                entries: changed.into_iter().cloned().collect(),
            });
        }
    }
    all
}

/// MailboxMetadataChange and ServerMetadataChange (RFC 5465 §5.6, §5.7).
fn entries(watch: &Watch, user: AccountId, told: &Picture, now: &Picture, link: &mut Link) {
    let none = BTreeMap::new();
    for (id, marks) in &now.metadata {
        let (name, wanted) = match id {
            None => {
                let wants = |group: &EventGroup| group.events.server_metadata;
                ("", watch.groups.iter().any(wants))
            }
            Some(id) => match now.names.get(id) {
                Some(place) => {
                    let event = |events: &NotifyEvents| events.metadata;
                    let wanted = watch.wants(user, place, &now.subscribed, event);
                    // RFC 5465 §5: all events take the rights to list and to read.
                    let may = place.rights.contains(Rights::READ);
                    (
                        place.name.as_str(),
                        wanted && may && told.metadata.contains_key(&Some(*id)),
                    )
                }
                None => continue,
            },
        };
        let changed = changed_entries(told.metadata.get(id).unwrap_or(&none), marks);
        if !wanted || changed.is_empty() {
            continue;
        }
        if let Ok(mailbox) = MailboxName::new(name) {
            let data = MetadataData::Changed {
                mailbox,
                entries: changed.into_iter().cloned().collect(),
            };
            link.session.untagged(&Untagged::Metadata(data));
        }
    }
}
