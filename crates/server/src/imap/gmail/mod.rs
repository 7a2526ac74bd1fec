//! X-GM-EXT-1: messages with labels, as Gmail shows them to IMAP (developers.google.com/gmail/imap/imap-extensions).
//!
//! A message with entries in several mailboxes of an account is one message here. X-GM-MSGID names it in all of them;
//! X-GM-LABELS are the other mailboxes it is in, and changing them makes and removes entries; X-GM-THRID is the number in
//! THREADID. Only where the configuration says so (`imap.gmail_extensions`); then, and only then, it is announced.
//!
//! Where the description leaves something open: labels are those of the account the selected mailbox is of, as far as the
//! user may read there; the selected mailbox is not told among them; `\Starred` is `\Flagged` of the entry; a message that
//! would lose its last mailbox goes to the one for archives, or stays.

pub mod labels;
pub mod query;
pub mod search;
pub mod store;

use ::imap::{Command, FetchAttribute, NotifyCommand, Reply, Search, SearchKey};
use ::store::MessageId;

/// What is asked for is not offered.
pub const NOT_OFFERED: Reply = Reply::bad("X-GM-EXT-1 is not offered");

/// Whether a command uses the extension. Filters are looked at when they are put into a search.
pub fn is_used(command: &Command) -> bool {
    let searches = |search: &Search| uses(&search.fetch) || search.key.any(&is_key);
    match command {
        Command::StoreLabels(_) => true,
        Command::Fetch { attributes, .. } => uses(attributes),
        Command::Search(search)
        | Command::Sort { search, .. }
        | Command::Thread { search, .. }
        | Command::Esearch { search, .. } => searches(search),
        Command::Notify(NotifyCommand::Set { groups, .. }) => {
            groups.iter().any(|group| uses(&group.events.fetch))
        }
        _ => false,
    }
}

fn uses(attributes: &[FetchAttribute]) -> bool {
    use FetchAttribute::{GmailLabels, GmailMessageId, GmailThreadId};
    attributes
        .iter()
        .any(|attribute| matches!(attribute, GmailLabels | GmailMessageId | GmailThreadId))
}

/// Whether a key is of the extension.
pub fn is_key(key: &SearchKey) -> bool {
    matches!(
        key,
        SearchKey::GmailMessageId(_)
            | SearchKey::GmailThreadId(_)
            | SearchKey::GmailLabel(_)
            | SearchKey::GmailRaw(_)
            | SearchKey::GmailAttachment(_)
    )
}

/// X-GM-MSGID: the same wherever the account has the message, and no other's.
pub fn message_id(message: MessageId) -> u64 {
    message.0.unsigned_abs()
}
