//! STATUS (RFC 9051 §6.3.11).

use ::imap::{MailboxName, Reply, StatusData, StatusItem, Untagged};
use ::store::{Mailbox, Rights, Snapshot};

use super::access::{self, Place};
use super::{Answer, Imap, Link, objectid};

/// Answers from the counts the store keeps, whether or not the mailbox is selected.
pub async fn status(
    imap: &mut Imap,
    link: &mut Link,
    name: MailboxName,
    items: &[StatusItem],
) -> Answer {
    let account = imap.account()?;
    let found = imap
        .shared
        .db
        .glance(|snapshot| access::find(snapshot, account, name.as_str(), Rights::READ))?;
    let place = found.place()?;
    let limit = imap.shared.config().limits.message_size;
    let data = imap
        .shared
        .db
        .glance(|snapshot| data(snapshot, &place, items, limit))?;
    link.session.untagged(&Untagged::StatusData {
        mailbox: name,
        data,
    });
    Ok(Reply::ok("status told"))
}

/// What STATUS tells of a mailbox.
pub fn data(
    snapshot: &Snapshot<'_>,
    place: &Place,
    items: &[StatusItem],
    append_limit: u64,
) -> ::store::Result<StatusData> {
    let mailbox = &place.mailbox;
    let mut data = counts(mailbox, items);
    for item in items {
        match item {
            // RFC 9208 §4.1.4: in octets, as RFC822.SIZE is.
            StatusItem::DeletedStorage if mailbox.deleted == 0 => data.deleted_storage = Some(0),
            StatusItem::DeletedStorage => {
                let octets = snapshot.deleted_storage(place.owner, mailbox.id)?;
                data.deleted_storage = Some(octets);
            }
            // The same for every mailbox (RFC 7889 §3).
            StatusItem::AppendLimit => data.append_limit = Some(Some(append_limit)),
            StatusItem::MailboxId => {
                data.mailbox_id = Some(objectid::mailbox(place.owner, mailbox.id));
            }
            _ => {}
        }
    }
    Ok(data)
}

/// The items that a mailbox's counts answer.
pub fn counts(mailbox: &Mailbox, items: &[StatusItem]) -> StatusData {
    let mut data = StatusData::default();
    for item in items {
        match item {
            StatusItem::Messages => data.messages = Some(mailbox.messages),
            StatusItem::Recent => data.recent = Some(0),
            StatusItem::UidNext => data.uid_next = Some(mailbox.uid_next),
            StatusItem::UidValidity => data.uid_validity = Some(mailbox.uid_validity),
            StatusItem::Unseen => data.unseen = Some(mailbox.unseen),
            StatusItem::Deleted => data.deleted = Some(mailbox.deleted),
            StatusItem::Size => data.size = Some(mailbox.size),
            StatusItem::HighestModSeq => data.highest_modseq = Some(mailbox.highest_modseq),
            StatusItem::DeletedStorage | StatusItem::AppendLimit | StatusItem::MailboxId => {}
        }
    }
    data
}
