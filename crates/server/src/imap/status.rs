//! STATUS (RFC 9051 §6.3.11).

use ::imap::{MailboxName, Reply, StatusData, StatusItem, Untagged};
use ::store::{Mailbox, Rights};

use super::{Answer, Imap, Link, access};

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
    let mailbox = found.place()?.mailbox;
    let data = data(&mailbox, items);
    link.session.untagged(&Untagged::StatusData {
        mailbox: name,
        data,
    });
    Ok(Reply::ok("status told"))
}

/// What STATUS tells of a mailbox.
pub fn data(mailbox: &Mailbox, items: &[StatusItem]) -> StatusData {
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
        }
    }
    data
}
