//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8). All messages or none.

use ::imap::{Code, MailboxName, NumberSet, Reply, SequenceSet, Untagged};
use ::store::{Copied, Error};

use super::error::{self, Failure};
use super::{Answer, Imap, Link, selected};

/// COPY and UID COPY.
pub async fn copy(imap: &mut Imap, uid: bool, set: &SequenceSet, to: MailboxName) -> Answer {
    imap.selected()?;
    let done = Reply::ok("copied");
    match transfer(imap, uid, set, to, false).await? {
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
    if let Some(moved) = transfer(imap, uid, set, to, true).await? {
        link.session
            .untagged(&Untagged::Status(Reply::ok("moved").with(code(&moved))));
    }
    Ok(Reply::ok("moved"))
}

async fn transfer(
    imap: &mut Imap,
    uid: bool,
    set: &SequenceSet,
    to: MailboxName,
    moves: bool,
) -> Result<Option<Copied>, Failure> {
    let selected = imap.selected()?;
    let runs = selected.runs(set, uid)?;
    let uids = selected.uids(&runs);
    // A sequence number is a promise that the message is there; one that others expunged meanwhile is not, and to copy
    // only the rest would go unnoticed (RFC 2180 §4.4). A UID promises nothing.
    let expected = (!uid).then(|| selected::count(&runs));
    let (account, from) = (selected.account, selected.mailbox);
    let copied = imap
        .shared
        .db
        .write(move |tx| {
            let Some(to) = tx.mailbox(account, to.as_str())? else {
                return Ok(None);
            };
            if uids.is_empty() || tx.mailbox_by_id(account, from)?.is_none() {
                return Ok(Some(Copied::default()));
            }
            let copied = match moves {
                true => tx.move_messages(account, from, &uids, to.id)?,
                false => tx.copy(account, from, &uids, to.id)?,
            };
            match expected {
                Some(expected) if copied.uids.len() as u64 != expected => {
                    Err(Error::NotFound("message"))
                }
                _ => Ok(Some(copied)),
            }
        })
        .await?;
    match copied {
        None => Err(error::TRY_CREATE.into()),
        Some(copied) if copied.uids.is_empty() => Ok(None),
        copied => Ok(copied),
    }
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
