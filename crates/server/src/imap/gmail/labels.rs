//! What mailboxes are called as labels, and which of them messages have.

use ::imap::{GmailLabel, MailboxName, SystemLabel};
use ::store::{AccountId, Flags, Mailbox, MailboxId, MessageId, Rights, Snapshot, SpecialUse};

use crate::imap::access;

/// `\Starred`
const STARRED: GmailLabel = GmailLabel::System(SystemLabel::Starred);

/// The mailboxes of an account, as a user who may read there calls them.
#[derive(Debug, Default)]
pub struct Names(Vec<Named>);

/// A mailbox and what it is called.
#[derive(Debug)]
pub struct Named {
    /// Which.
    pub id: MailboxId,
    /// Its name as the user writes it.
    pub name: String,
    /// The label.
    pub label: GmailLabel,
}

impl Names {
    /// Reads them.
    pub fn read(
        snapshot: &Snapshot<'_>,
        user: AccountId,
        owner: AccountId,
    ) -> ::store::Result<Names> {
        let others = match user == owner {
            true => None,
            false => snapshot
                .account_by_id(owner)?
                .map(|account| account.address),
        };
        let mut names: Vec<Named> = Vec::new();
        for mailbox in snapshot.mailboxes(owner)? {
            if !snapshot
                .rights(user, owner, mailbox.id)?
                .contains(Rights::READ)
            {
                continue;
            }
            let name = match &others {
                Some(address) => access::other(address, &mailbox.name),
                None => mailbox.name.clone(),
            };
            // Two mailboxes may have the same use; what they are called must tell them apart.
            let system = system(&mailbox)
                .filter(|_| others.is_none())
                .map(GmailLabel::System)
                .filter(|label| names.iter().all(|known| known.label != *label));
            let label = match (system, MailboxName::new(&name)) {
                (Some(label), _) => label,
                (None, Ok(name)) => GmailLabel::Mailbox(name),
                // What cannot be written as a name cannot be told as one.
                (None, Err(_)) => continue,
            };
            names.push(Named {
                id: mailbox.id,
                name,
                label,
            });
        }
        names.sort_unstable_by_key(|named| named.id);
        Ok(Names(names))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Named> {
        self.0.iter()
    }

    /// The label of a mailbox.
    pub fn label(&self, id: MailboxId) -> Option<&GmailLabel> {
        let at = self.0.binary_search_by_key(&id, |named| named.id).ok()?;
        self.0.get(at).map(|named| &named.label)
    }

    /// The mailboxes that a label means: that of this very name or use, else those whose names differ in case only, or in
    /// having blanks and slashes where a search has hyphens.
    pub fn meant(&self, label: &GmailLabel) -> Vec<MailboxId> {
        let of = |is: &dyn Fn(&Named) -> bool| -> Vec<MailboxId> {
            let found = self.0.iter().filter(|named| is(named));
            found.map(|named| named.id).collect()
        };
        let exact = of(&|named| {
            named.label == *label
                || matches!(label, GmailLabel::Mailbox(name) if named.name == name.as_str())
        });
        match label {
            GmailLabel::Mailbox(name) if exact.is_empty() => {
                let wanted = loose(name.as_str());
                of(&|named| loose(&named.name) == wanted)
            }
            _ => exact,
        }
    }
}

fn loose(name: &str) -> String {
    let hyphen = |c| if matches!(c, ' ' | '/') { '-' } else { c };
    name.to_lowercase().chars().map(hyphen).collect()
}

fn system(mailbox: &Mailbox) -> Option<SystemLabel> {
    if mailbox.name == "INBOX" {
        return Some(SystemLabel::Inbox);
    }
    match mailbox.special_use? {
        SpecialUse::Sent => Some(SystemLabel::Sent),
        SpecialUse::Drafts => Some(SystemLabel::Drafts),
        SpecialUse::Important => Some(SystemLabel::Important),
        SpecialUse::Trash => Some(SystemLabel::Trash),
        SpecialUse::Junk => Some(SystemLabel::Junk),
        _ => None,
    }
}

/// The labels of some messages, seen from one mailbox.
#[derive(Debug, Default)]
pub struct Labels {
    names: Names,
    /// Other mailboxes of each message, ascending.
    places: Vec<(MessageId, MailboxId)>,
}

impl Labels {
    /// Reads those of these messages, which ascend, but for the mailbox they are seen from.
    pub fn read(
        snapshot: &Snapshot<'_>,
        user: AccountId,
        (owner, here): (AccountId, MailboxId),
        wanted: &[MessageId],
    ) -> ::store::Result<Labels> {
        let mut places = Vec::new();
        snapshot.places(owner, wanted, &mut |mailbox, _, message| {
            if mailbox != here {
                places.push((message, mailbox));
            }
        })?;
        places.sort_unstable();
        places.dedup();
        Ok(Labels {
            names: Names::read(snapshot, user, owner)?,
            places,
        })
    }

    /// Those of one message, system labels first.
    pub fn of(&self, message: MessageId, flags: Flags) -> Vec<&GmailLabel> {
        let from = self.places.partition_point(|(known, _)| *known < message);
        let places = self.places.get(from..).unwrap_or_default().iter();
        let mut labels: Vec<&GmailLabel> = places
            .take_while(|(known, _)| *known == message)
            .filter_map(|(_, mailbox)| self.names.label(*mailbox))
            .collect();
        if flags.contains(Flags::FLAGGED) {
            labels.push(&STARRED);
        }
        labels.sort_unstable();
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: i64, name: &str, label: Option<SystemLabel>) -> Named {
        let own = || GmailLabel::Mailbox(MailboxName::new(name).unwrap());
        Named {
            id: MailboxId(id),
            name: name.to_owned(),
            label: label.map_or_else(own, GmailLabel::System),
        }
    }

    #[test]
    fn labels_mean_mailboxes() {
        let names = Names(vec![
            named(1, "INBOX", Some(SystemLabel::Inbox)),
            named(2, "Muy Importante", None),
            named(3, "Work/Sub", None),
            named(4, "foo", None),
            named(5, "Foo", None),
        ]);
        let mailbox = |name: &str| GmailLabel::Mailbox(MailboxName::new(name).unwrap());
        for (label, expected) in [
            (GmailLabel::System(SystemLabel::Inbox), vec![1]),
            (GmailLabel::System(SystemLabel::Sent), vec![]),
            (mailbox("inbox"), vec![1]),
            (mailbox("muy-importante"), vec![2]),
            (mailbox("WORK-SUB"), vec![3]),
            (mailbox("foo"), vec![4]),
            (mailbox("FOO"), vec![4, 5]),
            (GmailLabel::Other("\\Muted".into()), vec![]),
        ] {
            let found: Vec<i64> = names.meant(&label).into_iter().map(|id| id.0).collect();
            assert_eq!(found, expected, "{label:?}");
        }
    }
}
