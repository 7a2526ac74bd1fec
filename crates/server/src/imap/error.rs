//! What failures are to the client: the one place where errors of the store become IMAP replies.

use ::imap::{Code, Reply, Status};
use ::store::Error;

use super::annotate;
use crate::drive::Gone;

/// Why a command has no result.
#[derive(Debug)]
pub enum Failure {
    /// The client is told this.
    Reply(Reply),
    /// There is no client any more.
    Gone,
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Failure {
        Failure::Gone
    }
}

impl From<Reply> for Failure {
    fn from(reply: Reply) -> Failure {
        Failure::Reply(reply)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Reply(reply(&error))
    }
}

/// No login; the session lets nobody get so far.
pub const NOT_LOGGED_IN: Reply = Reply::bad("log in first");
/// No mailbox; likewise.
pub const NOT_SELECTED: Reply = Reply::bad("select a mailbox first");
/// A command that is not the handler's.
pub const NOT_HERE: Reply = Reply::bad("not possible here");
/// A change in a mailbox opened with EXAMINE.
pub const READ_ONLY: Reply = Reply::coded(
    Status::No,
    Code::ReadOnly,
    "the mailbox is open for reading only",
);
/// A sequence number that no message has (RFC 9051 §9, `seq-number`).
pub const NO_SUCH_NUMBER: Reply = Reply::bad("no message has that number");
/// The mailbox to put messages into is not there (RFC 9051 §6.3.12, §6.4.7).
pub const TRY_CREATE: Reply = Reply::coded(
    Status::No,
    Code::TryCreate,
    "no such mailbox, create it first",
);
/// Messages were expunged by another session, which could not be told yet (RFC 2180 §4, RFC 5530 §3).
pub const EXPUNGE_ISSUED: Reply = Reply::coded(
    Status::No,
    Code::ExpungeIssued,
    "some of these messages are gone",
);
/// The mailbox is not there.
pub const NO_MAILBOX: Reply = Reply::coded(Status::No, Code::NonExistent, "no such mailbox");
/// A message does not fit the quota.
pub const OVER_QUOTA: Reply = Reply::coded(Status::No, Code::OverQuota, "the quota is used up");
/// There is no quota root of that name, or none that one may know of.
pub const NO_QUOTA_ROOT: Reply = Reply::coded(Status::No, Code::NonExistent, "no such quota root");
/// A SEARCH would take too long.
pub const TOO_MUCH_WORK: Reply = Reply::coded(
    Status::No,
    Code::Limit,
    "this search takes too long, narrow it",
);
/// A part has a transfer encoding that cannot be undone (RFC 9051 §6.4.5).
pub const UNKNOWN_ENCODING: Reply = Reply::coded(
    Status::No,
    Code::UnknownCte,
    "the part has an unknown transfer encoding",
);
/// All memory for messages is taken.
pub const NO_MEMORY: Reply = Reply::coded(
    Status::No,
    Code::Unavailable,
    "too much mail is arriving, try again",
);

/// A search names a filter that is not there, or that leads to itself (RFC 5466 §3.1).
pub fn undefined_filter(name: &str) -> Reply {
    Reply::no("there is no such filter").with(Code::UndefinedFilter(name.to_owned()))
}

/// The reply to a failure of the store. What the client cannot mend is logged, under an id that the client gets.
pub fn reply(error: &Error) -> Reply {
    match error {
        Error::NotFound("message") => EXPUNGE_ISSUED,
        Error::NotFound(_) => NO_MAILBOX,
        Error::Exists(_) => Reply::coded(
            Status::No,
            Code::AlreadyExists,
            "the mailbox exists already",
        ),
        Error::OverQuota => OVER_QUOTA,
        Error::Conflict(_) => Reply::coded(
            Status::No,
            Code::Cannot,
            "that cannot be done with this mailbox",
        ),
        Error::Limit("size of a message's annotation") => annotate::TOO_BIG,
        Error::Limit("annotations of a message") => annotate::TOO_MANY,
        Error::Limit(_) => {
            Reply::coded(Status::No, Code::Limit, "a limit of the account is reached")
        }
        Error::Invalid(_) => Reply::coded(
            Status::No,
            Code::Cannot,
            "that is not possible with this name or flag",
        ),
        Error::Busy(_) | Error::Closed => {
            Reply::coded(Status::No, Code::Unavailable, "busy, try again")
        }
        Error::Full => {
            tracing::error!("the disk is full");
            Reply::coded(
                Status::No,
                Code::Unavailable,
                "no space left, try again later",
            )
        }
        Error::Corrupt(_) => logged(error, Code::Corruption),
        _ => logged(error, Code::ServerBug),
    }
}

fn logged(error: &Error, code: Code) -> Reply {
    let id = u64::from_be_bytes(crate::auth::random());
    tracing::error!(id = %format_args!("{id:016x}"), %error, "an IMAP command failed");
    Reply::new(Status::No, "")
        .with(code)
        .text(format!("internal failure {id:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_code_and_no_text_of_the_log() {
        for (error, code) in [
            (Error::NotFound("mailbox"), Code::NonExistent),
            (Error::NotFound("message"), Code::ExpungeIssued),
            (Error::Exists("mailbox"), Code::AlreadyExists),
            (Error::OverQuota, Code::OverQuota),
            (Error::Limit("keywords"), Code::Limit),
            (Error::Conflict("secret".to_owned()), Code::Cannot),
            (Error::Corrupt("secret".to_owned()), Code::Corruption),
            (Error::Io("secret".to_owned()), Code::ServerBug),
            (Error::Closed, Code::Unavailable),
        ] {
            let reply = reply(&error);
            assert_eq!(reply.status, Status::No);
            assert_eq!(reply.code, Some(code));
            assert!(!reply.text.contains("secret"));
        }
    }
}
