//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8). All messages or none.

use std::sync::Arc;

use ::imap::{Code, MailboxName, NumberSet, Reply, SequenceSet, Untagged};
use ::store::{Copied, Error, Rights};

use super::error::Failure;
use super::{Answer, Imap, Link, access, selected};

/// COPY and UID COPY.
pub async fn copy(
    imap: &mut Imap,
    link: &mut Link,
    uid: bool,
    set: &SequenceSet,
    to: MailboxName,
) -> Answer {
    imap.selected()?;
    let done = Reply::ok("copied");
    match transfer(imap, link, uid, set, to, false).await? {
        Some(copied) => Ok(done.with(code(&copied))),
        None => Ok(done),
    }
}

/// MOVE and UID MOVE. COPYUID comes before the EXPUNGE responses (RFC 9051 §6.4.8), which the sync after every command
/// writes.
pub async fn move_messages(
    imap: &mut Imap,
    link: &mut Link,
    uid: bool,
    set: &SequenceSet,
    to: MailboxName,
) -> Answer {
    imap.writable()?;
    if let Some(moved) = transfer(imap, link, uid, set, to, true).await? {
        link.session
            .untagged(&Untagged::Status(Reply::ok("moved").with(code(&moved))));
    }
    Ok(Reply::ok("moved"))
}

async fn transfer(
    imap: &mut Imap,
    link: &mut Link,
    uid: bool,
    set: &SequenceSet,
    to: MailboxName,
    moves: bool,
) -> Result<Option<Copied>, Failure> {
    let selected = imap.selected()?;
    let runs = selected.runs(set, uid)?;
    let told = Arc::clone(&selected.told);
    // RFC 9738 §3.1: COPY is all or nothing, MOVE goes as far as it may.
    let runs = match moves {
        true => imap.limit.cut(&told, runs),
        false => {
            imap.limit.copied(&told, &runs)?;
            runs
        }
    };
    let selected = imap.selected()?;
    let uids = selected.uids(&runs);
    // A sequence number is a promise that the message is there; one that others expunged meanwhile is not, and to copy
    // only the rest would go unnoticed (RFC 2180 §4.4). A UID promises nothing.
    let expected = (!uid).then(|| selected::count(&runs));
    let (user, from) = (selected.user, (selected.account, selected.mailbox));
    // RFC 6851 §4.5: MOVE takes what COPY, STORE \Deleted and EXPUNGE take together.
    let needed = match moves {
        true => Rights::READ
            .with(Rights::DELETE_MESSAGES)
            .with(Rights::EXPUNGE),
        false => Rights::READ,
    };
    let write = imap.shared.db.write(move |tx| {
        let found = access::find(tx, user, to.as_str(), Rights::INSERT)?;
        let place = match found.target(to.as_str()) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if uids.is_empty() || tx.mailbox_by_id(from.0, from.1)?.is_none() {
            return Ok(Ok(Copied::default()));
        }
        // What a session has selected it could read; whether it still may is looked up where the work is done.
        let here = tx.rights(user, from.0, from.1)?;
        if !here.contains(needed) {
            return Ok(Err(access::NO_PERMISSION.into()));
        }
        let to = (place.owner, place.mailbox.id);
        let copied = match moves {
            true => tx.move_as(user, from, &uids, to, place.rights)?,
            false => tx.copy_as(user, from, &uids, to, place.rights)?,
        };
        match expected {
            Some(expected) if copied.uids.len() as u64 != expected => {
                Err(Error::NotFound("message"))
            }
            _ => Ok(Ok(copied)),
        }
    });
    let copied = imap.progress.during(link, None, write).await???;
    Ok(Some(copied).filter(|copied| !copied.uids.is_empty()))
}

fn code(copied: &Copied) -> Code {
    let source: NumberSet = copied.uids.iter().map(|(from, _)| *from).collect();
    let destination: NumberSet = copied.uids.iter().map(|(_, to)| *to).collect();
    Code::CopyUid {
        uid_validity: copied.uid_validity,
        source,
        destination,
    }
}
