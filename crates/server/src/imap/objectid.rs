//! Identifiers that stay (RFC 8474): of mailboxes over renames, of content over copies and accounts, of threads.
//!
//! An EMAILID names the octets, so that what is copied to another account keeps it (RFC 8474 §5.1). Each kind has a
//! letter of its own.

use ::store::{AccountId, BodyId, MailboxId};

/// Above the numbers of threads that were named by a Message-ID.
const ALONE: i64 = 1 << 62;

/// MAILBOXID: never another's, whoever looks.
pub fn mailbox(owner: AccountId, mailbox: MailboxId) -> String {
    format!("F{}-{}", owner.0, mailbox.0)
}

/// EMAILID
pub fn email(body: BodyId) -> String {
    format!("M{}", body.0)
}

/// The number in a THREADID.
pub fn thread_number(thread: Option<i64>, body: BodyId) -> i64 {
    thread.unwrap_or(ALONE | body.0)
}

/// THREADID. What came before threads were kept is alone in one.
pub fn thread(thread: Option<i64>, body: BodyId) -> String {
    format!("T{:x}", thread_number(thread, body))
}
