//! STORE X-GM-LABELS: a label more is an entry in that mailbox, a label less is one less. All of it or nothing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use ::imap::{Code, GmailLabel, Reply, Status, StoreAction, StoreLabels, SystemLabel};
use ::store::{
    AccountId, Columns, FlagChange, FlagMode, Flags, MailboxId, MessageId, Rights, Snapshot,
    SpecialUse, Tx, UidRange,
};

use super::labels::{Labels, Names};
use crate::imap::access::{self, Found};
use crate::imap::error::{self, Failure};
use crate::imap::selected::{holds, runs_of};
use crate::imap::{Answer, Imap, Link};

/// A label that is no mailbox of this account, nor could become one.
const NO_LABEL: Reply = Reply::coded(
    Status::No,
    Code::Cannot,
    "a label is a mailbox of the same account",
);

/// A message would be in no mailbox, and there is none for archives.
const NOWHERE: Reply = Reply::coded(
    Status::No,
    Code::Cannot,
    "the message would be nowhere: it needs a mailbox for archives",
);

/// Changes labels in one commit, then tells them, unless silent.
pub async fn store(imap: &mut Imap, link: &mut Link, command: StoreLabels) -> Answer {
    let selected = imap.writable()?;
    let runs = selected.runs(&command.set, command.uid)?;
    let uids = match command.uid {
        true => selected.newest_uids(&command.set),
        false => selected.uids(&runs),
    };
    if uids.is_empty() || selected.view.snapshot().gone() {
        return Ok(Reply::ok("nothing to store"));
    }
    // RFC 9738: labels are copies, which are done wholly or not at all.
    let told = Arc::clone(&selected.told);
    imap.limit.copied(&told, &runs)?;
    let selected = imap.selected()?;
    let work = Work {
        user: selected.user,
        owner: selected.account,
        here: selected.mailbox,
        uids: uids.clone(),
        action: command.action,
    };
    let labels = command.labels.clone();
    let (user, here) = (work.user, (work.owner, work.here));
    let write = imap.shared.db.write(move |tx| {
        let plan = match work.plan(tx, &labels)? {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let wanted = plan.messages();
        work.carry_out(tx, plan)?;
        Ok(Ok(wanted))
    });
    let wanted = imap.progress.during(link, None, write).await???;
    let labels = match command.silent {
        true => Labels::default(),
        false => {
            let read = move |snapshot: &Snapshot<'_>| Labels::read(snapshot, user, here, &wanted);
            imap.shared.db.read(read).await?
        }
    };
    let selected = imap.selected()?;
    let newest = selected.view.snapshot();
    let mut all = true;
    let told = Arc::clone(&selected.told);
    for run in &uids {
        for (seq, entry) in told.uid_range(*run.start(), *run.end()) {
            let Some(now) = newest.entry_of(entry.uid) else {
                all = false;
                continue;
            };
            if command.silent {
                continue;
            }
            let mut fetch = link.session.fetch(seq, entry.uid);
            if command.uid {
                fetch.uid(entry.uid);
            }
            fetch.gmail_labels(labels.of(entry.message, now.flags));
            fetch.end();
            link.flush_if_full().await?;
        }
    }
    let removes = command.action == StoreAction::Remove;
    Ok(match all || command.uid || removes {
        true => Reply::ok("stored"),
        false => error::EXPUNGE_ISSUED,
    })
}

/// What a command is about.
struct Work {
    user: AccountId,
    owner: AccountId,
    here: MailboxId,
    uids: Vec<UidRange>,
    action: StoreAction,
}

/// Where a message is: mailbox, UID, message.
type Place = (MailboxId, u32, MessageId);

/// A message that labels are changed of.
struct Message {
    uid: u32,
    message: MessageId,
}

/// What is to be done, after everything that could be refused was looked at.
struct Plan {
    messages: Vec<Message>,
    /// All places of these messages, ascending.
    places: Vec<Place>,
    /// The same, to be asked for.
    known: BTreeSet<(MessageId, MailboxId)>,
    /// `\Flagged` is to be set, or taken away.
    starred: Option<bool>,
    /// Mailboxes to create first: name, and what for.
    create: Vec<(String, Option<SpecialUse>)>,
    add: Vec<(MailboxId, Rights)>,
    remove: BTreeSet<MailboxId>,
    /// Where messages go that would be nowhere.
    archive: Option<(MailboxId, Rights)>,
}

impl Plan {
    /// The messages, ascending.
    fn messages(&self) -> Vec<MessageId> {
        let messages: BTreeSet<MessageId> = self.messages.iter().map(|m| m.message).collect();
        messages.into_iter().collect()
    }

    fn is_in(&self, message: MessageId, mailbox: MailboxId) -> bool {
        self.known.contains(&(message, mailbox))
    }

    /// Whether a message is nowhere else than where it is to go from.
    fn is_orphaned(&self, message: MessageId) -> bool {
        let all = (message, MailboxId(i64::MIN))..=(message, MailboxId(i64::MAX));
        let mut places = self.known.range(all);
        places.all(|(_, at)| self.remove.contains(at))
            && self.add.is_empty()
            && self.create.is_empty()
    }

    /// The places in one mailbox.
    fn places_in(&self, mailbox: MailboxId) -> &[Place] {
        let from = self.places.partition_point(|(at, ..)| *at < mailbox);
        let to = self.places.partition_point(|(at, ..)| *at <= mailbox);
        self.places.get(from..to).unwrap_or_default()
    }
}

/// What a label leads to.
enum Target {
    Starred,
    There(MailboxId, Rights),
    Missing(String, Option<SpecialUse>),
    None,
}

type Planned<T> = ::store::Result<Result<T, Failure>>;

impl Work {
    fn plan(&self, tx: &Tx<'_>, labels: &[GmailLabel]) -> Planned<Plan> {
        let rights = tx.rights(self.user, self.owner, self.here)?;
        if !rights.contains(Rights::READ) {
            return Ok(Err(access::NO_PERMISSION.into()));
        }
        let (messages, places) = self.messages(tx)?;
        let names = Names::read(tx, self.user, self.owner)?;
        let mut plan = Plan {
            messages,
            known: places.iter().map(|(at, _, of)| (*of, *at)).collect(),
            places,
            starred: None,
            create: Vec::new(),
            add: Vec::new(),
            remove: BTreeSet::new(),
            archive: None,
        };
        let removes = self.action == StoreAction::Remove;
        for label in labels {
            match self.target(tx, &names, label)? {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(Target::Starred) => plan.starred = Some(!removes),
                Ok(Target::None) => {}
                Ok(Target::Missing(..)) if removes => {}
                Ok(Target::Missing(name, special_use)) => {
                    if !plan.create.iter().any(|(known, _)| *known == name) {
                        plan.create.push((name, special_use));
                    }
                }
                Ok(Target::There(mailbox, _)) if removes => {
                    plan.remove.insert(mailbox);
                }
                Ok(Target::There(mailbox, rights)) => plan.add.push((mailbox, rights)),
            }
        }
        if self.action == StoreAction::Set {
            plan.starred = Some(plan.starred.is_some());
            let kept = |id| id == self.here || plan.add.iter().any(|(kept, _)| *kept == id);
            plan.remove = names.iter().map(|n| n.id).filter(|id| !kept(*id)).collect();
        }
        self.look_at_rights(tx, &mut plan, rights)
            .map(|looked| looked.map(|()| plan))
    }

    /// The messages, and everywhere they are.
    fn messages(&self, snapshot: &Snapshot<'_>) -> ::store::Result<(Vec<Message>, Vec<Place>)> {
        let mut messages = Vec::new();
        let (owner, here) = (self.owner, self.here);
        snapshot.messages(owner, here, &self.uids, Columns::ENTRY, &mut |row| {
            messages.push(Message {
                uid: row.uid,
                message: row.message,
            });
            Ok(ControlFlow::Continue(()))
        })?;
        let mut wanted: Vec<MessageId> = messages.iter().map(|m| m.message).collect();
        wanted.sort_unstable();
        let mut places = Vec::new();
        snapshot.places(owner, &wanted, &mut |mailbox, uid, message| {
            places.push((mailbox, uid, message));
        })?;
        Ok((messages, places))
    }

    fn target(
        &self,
        snapshot: &Snapshot<'_>,
        names: &Names,
        label: &GmailLabel,
    ) -> Planned<Target> {
        let name = match label {
            GmailLabel::System(SystemLabel::Starred) => return Ok(Ok(Target::Starred)),
            GmailLabel::Other(_) => return Ok(Err(NO_LABEL.into())),
            GmailLabel::System(system) => {
                if let Some(mailbox) = names.meant(label).first() {
                    let rights = snapshot.rights(self.user, self.owner, *mailbox)?;
                    return Ok(Ok(Target::There(*mailbox, rights)));
                }
                if self.user != self.owner {
                    return Ok(Err(NO_LABEL.into()));
                }
                let name = system.name().to_owned();
                return Ok(Ok(Target::Missing(name, special_use(*system))));
            }
            GmailLabel::Mailbox(name) => name.as_str(),
        };
        // What may not be listed is answered like what is not there.
        let needed = match self.action {
            StoreAction::Remove => remove(),
            StoreAction::Add | StoreAction::Set => Rights::INSERT,
        };
        let found = access::find(snapshot, self.user, name, needed)?;
        Ok(match found {
            Found::There(place) if place.owner == self.owner => {
                Ok(Target::There(place.mailbox.id, place.rights))
            }
            Found::There(_) => Err(NO_LABEL.into()),
            Found::Forbidden => Err(access::NO_PERMISSION.into()),
            Found::Missing if self.action == StoreAction::Remove => Ok(Target::None),
            Found::Missing => match access::cradle(snapshot, self.user, name)? {
                Some((owner, name)) if owner == self.owner => Ok(Target::Missing(name, None)),
                _ => Err(NO_LABEL.into()),
            },
        })
    }

    /// RFC 4314 §4: a label more takes what COPY takes, one less what deleting takes.
    fn look_at_rights(&self, tx: &Tx<'_>, plan: &mut Plan, here: Rights) -> Planned<()> {
        let refused = Ok(Err(access::NO_PERMISSION.into()));
        if plan.starred.is_some()
            && self.action != StoreAction::Set
            && !here.flags().contains(Flags::FLAGGED)
        {
            return refused;
        }
        if !here.flags().contains(Flags::FLAGGED) {
            plan.starred = None;
        }
        if plan
            .add
            .iter()
            .any(|(_, rights)| !rights.contains(Rights::INSERT))
        {
            return refused;
        }
        let held = |mailbox: &MailboxId| !plan.places_in(*mailbox).is_empty();
        plan.remove = plan.remove.iter().copied().filter(held).collect();
        for mailbox in &plan.remove {
            let rights = tx.rights(self.user, self.owner, *mailbox)?;
            if !rights.contains(remove()) {
                return refused;
            }
        }
        if plan.messages.iter().any(|m| plan.is_orphaned(m.message)) {
            let mut mailboxes = tx.mailboxes(self.owner)?.into_iter();
            let archive = mailboxes.find(|it| it.special_use == Some(SpecialUse::Archive));
            let Some(archive) = archive.filter(|it| !plan.remove.contains(&it.id)) else {
                return Ok(Err(NOWHERE.into()));
            };
            let rights = tx.rights(self.user, self.owner, archive.id)?;
            if !rights.contains(Rights::INSERT) {
                return Ok(Err(NOWHERE.into()));
            }
            plan.archive = Some((archive.id, rights));
        }
        Ok(Ok(()))
    }

    fn carry_out(&self, tx: &mut Tx<'_>, mut plan: Plan) -> ::store::Result<()> {
        for (name, special_use) in std::mem::take(&mut plan.create) {
            let created = tx.create_mailbox(self.owner, &name, special_use)?;
            let rights = tx.rights(self.user, self.owner, created.id)?;
            plan.add.push((created.id, rights));
        }
        if let Some(starred) = plan.starred {
            let change = FlagChange {
                mode: if starred {
                    FlagMode::Add
                } else {
                    FlagMode::Remove
                },
                flags: Flags::FLAGGED,
                keywords: Vec::new(),
                unchanged_since: None,
            };
            let rights = tx.rights(self.user, self.owner, self.here)?;
            tx.store_flags_as(
                self.user, self.owner, self.here, &self.uids, &change, rights,
            )?;
        }
        for (mailbox, rights) in &plan.add {
            let mut copied = BTreeSet::new();
            let missing = plan
                .messages
                .iter()
                .filter(|m| !plan.is_in(m.message, *mailbox) && copied.insert(m.message));
            let uids = runs_of(missing.map(|m| m.uid));
            if *mailbox != self.here && !uids.is_empty() {
                let (from, to) = ((self.owner, self.here), (self.owner, *mailbox));
                tx.copy_as(self.user, from, &uids, to, *rights)?;
            }
        }
        let mut kept = Vec::new();
        if let Some((archive, rights)) = plan.archive {
            let orphans = plan.messages.iter().filter(|m| plan.is_orphaned(m.message));
            kept = runs_of(orphans.map(|m| m.uid));
            let (from, to) = ((self.owner, self.here), (self.owner, archive));
            tx.move_as(self.user, from, &kept, to, rights)?;
        }
        for mailbox in &plan.remove {
            let places = plan.places_in(*mailbox).iter();
            let here = places.filter(|(at, uid, _)| *at != self.here || !holds(&kept, *uid));
            let uids = runs_of(here.map(|(_, uid, _)| *uid));
            tx.expunge(self.owner, *mailbox, &uids, false)?;
        }
        Ok(())
    }
}

/// What a label less takes (RFC 4314 §4): what STORE `\Deleted` and EXPUNGE take together.
fn remove() -> Rights {
    Rights::DELETE_MESSAGES.with(Rights::EXPUNGE)
}

fn special_use(label: SystemLabel) -> Option<SpecialUse> {
    match label {
        SystemLabel::Sent => Some(SpecialUse::Sent),
        SystemLabel::Drafts => Some(SpecialUse::Drafts),
        SystemLabel::Important => Some(SpecialUse::Important),
        SystemLabel::Trash => Some(SpecialUse::Trash),
        SystemLabel::Junk => Some(SpecialUse::Junk),
        SystemLabel::Inbox | SystemLabel::Starred => None,
    }
}
