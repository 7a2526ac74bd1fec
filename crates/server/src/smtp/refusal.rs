//! The one map from failures of the store to SMTP replies.

use smtp::reply::{self, Reply};
use store::Error;

/// What the peer is told. Faults of ours get an id under which the log has the whole story.
pub fn reply(error: &Error) -> Reply {
    match error {
        Error::NotFound(_) => reply::MAILBOX_UNKNOWN,
        Error::OverQuota => reply::MAILBOX_FULL,
        Error::Full => reply::STORAGE_FULL,
        Error::Busy(_) | Error::Closed => reply::BUSY,
        // Aliases that lead on and on.
        Error::Limit(_) => reply::LOOP,
        Error::Exists(_)
        | Error::Conflict(_)
        | Error::Invalid(_)
        | Error::Corrupt(_)
        | Error::TooNew(_)
        | Error::Io(_)
        | Error::Internal(_) => internal(error),
    }
}

/// Temporary, because it may be mended before the sender gives up.
fn internal(error: &Error) -> Reply {
    let id = format!("{:016x}", u64::from_ne_bytes(crate::auth::random()));
    tracing::error!(%error, id, "a message was not stored");
    reply::INTERNAL.with_text(format!("Local error {id}, try again later"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unknown failures are temporary.
    #[test]
    fn every_class() {
        let table = [
            (Error::NotFound("account"), 550),
            (Error::OverQuota, 452),
            (Error::Full, 452),
            (Error::Busy("writer"), 451),
            (Error::Closed, 451),
            (Error::Limit("aliases"), 554),
            (Error::Corrupt("row".into()), 451),
            (Error::Io("disk".into()), 451),
        ];
        for (error, code) in table {
            assert_eq!(reply(&error).code, code, "{error}");
        }
        assert!(
            !reply(&Error::Io("secret path".into()))
                .text
                .contains("secret")
        );
    }
}
