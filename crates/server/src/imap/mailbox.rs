//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8).
//!
//! Names go to the store as names and are nowhere paths. The store normalises them (NFC); where that changed a name, the
//! client is told with OLDNAME (RFC 9051 §6.3.9.7).

use ::imap::{Capability, Code, ListEntry, MailboxName, Reply, SpecialUse, Status, Untagged};
use ::store::{AccountId, Error, Rights, Snapshot};

use super::access::{self, Named, Place};
use super::error::Failure;
use super::{Answer, Imap, Link, objectid};

/// RFC 6154 §3: the mailbox cannot have that use.
const USE_TAKEN: Reply = Reply::coded(Status::No, Code::UseAttr, "another mailbox has that use");

/// A mailbox stays in its account.
const OTHER_ACCOUNT: Reply = Reply::coded(
    Status::No,
    Code::Cannot,
    "a mailbox cannot be moved to another account",
);

/// CREATE, with the special use of RFC 6154 §3.
pub async fn create(
    imap: &mut Imap,
    link: &mut Link,
    name: MailboxName,
    uses: &[SpecialUse],
) -> Answer {
    let account = imap.account()?;
    let special_use = match uses {
        [] => None,
        [one] => Some(stored_use(*one)),
        // A mailbox has one use here (RFC 6154 §3: USEATTR where one cannot be given).
        _ => {
            return Ok(Reply::coded(
                Status::No,
                Code::UseAttr,
                "one special use at most",
            ));
        }
    };
    let wanted = name.clone();
    let created = imap
        .shared
        .db
        .write(move |tx| {
            let Some((owner, inner)) = access::cradle(tx, account, wanted.as_str())? else {
                return Ok(None);
            };
            // What a mailbox is for is its owner's to say.
            let special_use = special_use.filter(|_| owner == account);
            let created = tx.create_mailbox(owner, &inner, special_use)?;
            let id = objectid::mailbox(owner, created.id);
            Ok(Some((full_name(tx, account, owner, created.name)?, id)))
        })
        .await;
    let created = match created {
        Err(Error::Conflict(_)) if special_use.is_some() => return Ok(USE_TAKEN),
        created => created?,
    };
    // Nobody learns here which accounts and mailboxes there are.
    let Some((created, id)) = created else {
        return Err(access::NO_PERMISSION.into());
    };
    tell_normalised(link, name, &created);
    // RFC 8474 §4.1
    Ok(Reply::ok("created").with(Code::MailboxId(id)))
}

/// DELETE. Mailboxes below stay, as RFC 9051 §6.3.5 wants; the name is then a level of hierarchy only.
pub async fn delete(imap: &mut Imap, name: MailboxName) -> Answer {
    let account = imap.account()?;
    imap.shared
        .db
        .write(move |tx| {
            let found = access::find(tx, account, name.as_str(), Rights::DELETE)?;
            match found.place() {
                Ok(place) => tx.delete_mailbox(place.owner, &place.mailbox.name).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            }
        })
        .await??;
    Ok(Reply::ok("deleted"))
}

/// RENAME, of INBOX the move of its messages (RFC 9051 §6.3.6).
pub async fn rename(
    imap: &mut Imap,
    link: &mut Link,
    from: MailboxName,
    to: MailboxName,
) -> Answer {
    let account = imap.account()?;
    let wanted = to.clone();
    let stored = imap
        .shared
        .db
        .write(move |tx| {
            let (old, new) = match passage(tx, account, from.as_str(), wanted.as_str())? {
                Ok(passage) => passage,
                Err(refusal) => return Ok(Err(refusal)),
            };
            tx.rename_mailbox(old.0, &old.1, &new)?;
            let Some(mailbox) = tx.mailbox(old.0, &new)? else {
                return Ok(Ok(None));
            };
            full_name(tx, account, old.0, mailbox.name).map(|name| Ok(Some(name)))
        })
        .await??;
    if let Some(stored) = stored {
        tell_normalised(link, to, &stored);
    }
    Ok(Reply::ok("renamed"))
}

/// Whose mailbox with which name gets which one.
type Passage = ((AccountId, String), String);

/// Whose mailbox is renamed, its name there, and its new one. Between accounts there is no way.
fn passage(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    from: &str,
    to: &str,
) -> ::store::Result<Result<Passage, Failure>> {
    let (old, new) = (access::parse(from), access::parse(to));
    if let (Named::Own(from), Named::Own(to)) = (&old, &new) {
        // A level without a mailbox has a name, too.
        return Ok(Ok(((user, (*from).to_owned()), (*to).to_owned())));
    }
    let place = match access::find(snapshot, user, from, Rights::DELETE)?.place() {
        Ok(place) => place,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(match access::cradle(snapshot, user, to)? {
        None => Err(access::NO_PERMISSION.into()),
        Some((owner, _)) if owner != place.owner => Err(OTHER_ACCOUNT.into()),
        // Renaming an INBOX moves its messages, which is more than a new name.
        Some(_) if owner_inbox(&place, user) => Err(OTHER_ACCOUNT.into()),
        Some((owner, name)) => Ok(((owner, place.mailbox.name), name)),
    })
}

fn owner_inbox(place: &Place, user: AccountId) -> bool {
    place.owner != user && place.mailbox.name == "INBOX"
}

/// The name under which a user knows a mailbox.
fn full_name(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    owner: AccountId,
    name: String,
) -> ::store::Result<String> {
    if user == owner {
        return Ok(name);
    }
    let account = snapshot.account_by_id(owner)?;
    Ok(account.map_or(name.clone(), |account| {
        access::other(&account.address, &name)
    }))
}

/// SUBSCRIBE and UNSUBSCRIBE. A name may be subscribed before it exists (RFC 9051 §6.3.7).
pub async fn subscribe(imap: &mut Imap, name: MailboxName, subscribed: bool) -> Answer {
    let account = imap.account()?;
    imap.shared
        .db
        .write(move |tx| tx.subscribe(account, name.as_str(), subscribed))
        .await?;
    Ok(if subscribed {
        Reply::ok("subscribed")
    } else {
        Reply::ok("unsubscribed")
    })
}

fn tell_normalised(link: &mut Link, given: MailboxName, stored: &str) {
    if given.as_str() == stored || !link.session.is_enabled(&Capability::Imap4rev2) {
        return;
    }
    if let Ok(name) = MailboxName::new(stored) {
        let entry = ListEntry {
            old_name: Some(given),
            ..ListEntry::new(name)
        };
        link.session.untagged(&Untagged::List(entry));
    }
}

fn stored_use(special_use: SpecialUse) -> ::store::SpecialUse {
    use ::store::SpecialUse as Stored;
    match special_use {
        SpecialUse::All => Stored::All,
        SpecialUse::Archive => Stored::Archive,
        SpecialUse::Drafts => Stored::Drafts,
        SpecialUse::Flagged => Stored::Flagged,
        SpecialUse::Junk => Stored::Junk,
        SpecialUse::Sent => Stored::Sent,
        SpecialUse::Trash => Stored::Trash,
    }
}
