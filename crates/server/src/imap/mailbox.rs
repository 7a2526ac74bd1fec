//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8).
//!
//! Names go to the store as names and are nowhere paths. The store normalises them (NFC); where that changed a name, the
//! client is told with OLDNAME (RFC 9051 §6.3.9.7).

use ::imap::{Capability, Code, ListEntry, MailboxName, Reply, SpecialUse, Status, Untagged};
use ::store::Error;

use super::{Answer, Imap, Link};

/// RFC 6154 §3: the mailbox cannot have that use.
const USE_TAKEN: Reply = Reply::coded(Status::No, Code::UseAttr, "another mailbox has that use");

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
        .write(move |tx| tx.create_mailbox(account, wanted.as_str(), special_use))
        .await;
    let created = match created {
        Err(Error::Conflict(_)) if special_use.is_some() => return Ok(USE_TAKEN),
        created => created?,
    };
    tell_normalised(link, name, &created.name);
    Ok(Reply::ok("created"))
}

/// DELETE. Mailboxes below stay, as RFC 9051 §6.3.5 wants; the name is then a level of hierarchy only.
pub async fn delete(imap: &mut Imap, name: MailboxName) -> Answer {
    let account = imap.account()?;
    imap.shared
        .db
        .write(move |tx| tx.delete_mailbox(account, name.as_str()))
        .await?;
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
            tx.rename_mailbox(account, from.as_str(), wanted.as_str())?;
            Ok(tx
                .mailbox(account, wanted.as_str())?
                .map(|mailbox| mailbox.name))
        })
        .await?;
    if let Some(stored) = stored {
        tell_normalised(link, to, &stored);
    }
    Ok(Reply::ok("renamed"))
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
