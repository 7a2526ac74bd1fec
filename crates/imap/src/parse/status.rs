//! STATUS.

use super::{Parsed, Parser};
use crate::{Command, StatusItem};

impl Parser<'_> {
    /// ```text
    /// status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
    /// ```
    pub(super) fn status(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        self.sp()?;
        Ok(Command::Status {
            mailbox,
            items: self.status_items()?,
        })
    }

    /// ```text
    /// "(" status-att *(SP status-att) ")"
    /// ```
    pub(super) fn status_items(&mut self) -> Parsed<Vec<StatusItem>> {
        self.open()?;
        let mut items = Vec::new();
        loop {
            let item = self.status_att()?;
            if !items.contains(&item) {
                items.push(item);
            }
            if self.list_ends()? {
                return Ok(items);
            }
        }
    }

    /// ```text
    /// status-att = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / "DELETED" / "SIZE"
    /// status-att =/ "RECENT"        ; RFC 3501 §9
    /// status-att =/ "HIGHESTMODSEQ" ; RFC 7162 §7
    /// status-att =/ "APPENDLIMIT"   ; RFC 7889 §6
    /// ```
    fn status_att(&mut self) -> Parsed<StatusItem> {
        let error = self.wrong("a status item");
        match self.word("a status item")?.as_str() {
            "MESSAGES" => Ok(StatusItem::Messages),
            "RECENT" => Ok(StatusItem::Recent),
            "UIDNEXT" => Ok(StatusItem::UidNext),
            "UIDVALIDITY" => Ok(StatusItem::UidValidity),
            "UNSEEN" => Ok(StatusItem::Unseen),
            "DELETED" => Ok(StatusItem::Deleted),
            "SIZE" => Ok(StatusItem::Size),
            "DELETED-STORAGE" => Ok(StatusItem::DeletedStorage),
            "MAILBOXID" => Ok(StatusItem::MailboxId),
            "HIGHESTMODSEQ" => Ok(StatusItem::HighestModSeq),
            "APPENDLIMIT" => Ok(StatusItem::AppendLimit),
            _ => Err(error),
        }
    }
}
