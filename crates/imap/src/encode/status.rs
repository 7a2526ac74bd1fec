//! The STATUS response.

use wire::output::Output;

use super::{mailbox, number};
use crate::{MailboxName, StatusData};

/// ```text
/// "STATUS" SP mailbox SP "(" [status-att-list] ")"
/// ```
pub(crate) fn status(out: &mut Output, name: &MailboxName, data: &StatusData, utf8: bool) {
    out.put(b"STATUS ");
    mailbox(out, name, utf8);
    out.put(b" (");
    let small = |value: Option<u32>| value.map(u64::from);
    let items: [(&[u8], Option<u64>); 9] = [
        (b"MESSAGES ", small(data.messages)),
        (b"RECENT ", small(data.recent)),
        (b"UIDNEXT ", small(data.uid_next)),
        (b"UIDVALIDITY ", small(data.uid_validity)),
        (b"UNSEEN ", small(data.unseen)),
        (b"DELETED ", small(data.deleted)),
        (b"SIZE ", data.size),
        (b"DELETED-STORAGE ", data.deleted_storage),
        (b"HIGHESTMODSEQ ", data.highest_modseq),
    ];
    let present = items
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut any = false;
    super::separated(out, present, |out, (name, value)| {
        out.put(name);
        number(out, value);
        any = true;
    });
    if let Some(id) = &data.mailbox_id {
        out.put(if any { b" MAILBOXID (" } else { b"MAILBOXID (" });
        out.put(id.as_bytes());
        out.put(b")");
    }
    if let Some(limit) = data.append_limit {
        // Whether something stands before it decides about the space.
        let any = any || data.mailbox_id.is_some();
        out.put(if any {
            b" APPENDLIMIT "
        } else {
            b"APPENDLIMIT "
        });
        match limit {
            Some(limit) => number(out, limit),
            None => out.put(b"NIL"),
        }
    }
    out.put(b")");
}
