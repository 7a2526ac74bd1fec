//! Which extensions are offered to whom.
//!
//! Everything here is announced only where the whole road behind it keeps the promise: the queue for what concerns other
//! servers, the store for what concerns ours.

use std::time::Duration;

use smtp::parameters::Mail;
use smtp::reply::{self, Reply};
use smtp::server::{Extensions, FutureRelease, Kind};
use store::Timestamp;

use crate::auth::Identity;
use crate::config::Config;
use crate::pipeline::Envelope;
use crate::stream::Peer;

/// The least time for `BY=…;R` (RFC 2852 §3): below, a message would come back before the first attempt has ended.
const LEAST_DELIVER_BY: u32 = 60;

/// What a connection is offered that began `now`.
pub(super) fn offered(kind: Kind, config: &Config, peer: &Peer, now: Timestamp) -> Extensions {
    let submission = kind == Kind::Submission;
    let trusted = !peer.unix && kind != Kind::Lmtp && config.smtp.trusts(peer.ip);
    let soliciting = &config.smtp.no_soliciting;
    Extensions {
        dsn: true,
        binary_mime: true,
        deliver_by: Some(LEAST_DELIVER_BY),
        // RFC 4865 §4.2: on submission only.
        future_release: future_release(config.submission.hold, now).filter(|_| submission),
        priority: true,
        // RFC 8689 §2: the session says it under TLS only.
        require_tls: true,
        rrvs: true,
        no_soliciting: (kind == Kind::Reception && !soliciting.is_empty())
            .then(|| soliciting.clone()),
        xclient: trusted,
        xforward: trusted,
        etrn: trusted,
        // RFC 4468 §3.1: on submission only; §3.3: tokens for submission are good here, and we know our own users.
        burl: submission.then(|| vec!["imap".to_owned(), format!("imap://{}", config.hostname)]),
        limits: true,
    }
}

fn future_release(hold: Duration, now: Timestamp) -> Option<FutureRelease> {
    let interval = hold.as_secs();
    (interval > 0).then(|| FutureRelease {
        interval,
        until: now.saturating_add(Timestamp::try_from(interval).unwrap_or(Timestamp::MAX)),
    })
}

/// Whether the client may use what only mail servers and filters of ours may.
pub(super) fn is_trusted(kind: Kind, config: &Config, peer: &Peer) -> bool {
    kind == Kind::Lmtp || config.smtp.trusts(peer.ip)
}

/// The envelope after policy: what the client may not ask for is made less, and the reply says so.
pub(super) fn envelope(
    parameters: &Mail,
    identity: Option<&Identity>,
    most: i8,
    now: Timestamp,
) -> (Envelope, Option<Reply>) {
    let mut envelope = Envelope::new(parameters, now);
    // RFC 4954 §5: from clients that are not believed it counts as `<>`. A user may say nothing or that it is himself.
    if let Some(auth) = &envelope.auth
        && identity.is_none_or(|identity| !auth.eq_ignore_ascii_case(&identity.address))
    {
        envelope.auth = Some(String::new());
    }
    // RFC 6710 §4.1: X.3.6 and the new priority. Lower than asked for is the only change; below zero is everyone's right.
    if envelope.priority > most.max(0) {
        envelope.priority = most.max(0);
        let text = format!("{most} is the highest priority for you");
        return (envelope, Some(reply::PRIORITY_LOWERED.with_text(text)));
    }
    (envelope, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::AccountId;

    fn mail(priority: i8, auth: Option<&str>) -> Mail {
        Mail {
            priority: Some(priority),
            auth: auth.map(str::to_owned),
            ..Mail::default()
        }
    }

    #[test]
    fn priorities_are_lowered_and_never_raised() {
        for (asked, most, given, told) in [
            (9, 3, 3, true),
            (3, 3, 3, false),
            (-9, 0, -9, false),
            (1, 0, 0, true),
            (9, 9, 9, false),
        ] {
            let (envelope, reply) = envelope(&mail(asked, None), None, most, 0);
            assert_eq!(envelope.priority, given);
            assert_eq!(reply.is_some(), told);
        }
    }

    /// RFC 4954 §5
    #[test]
    fn auth_is_believed_of_its_owner_only() {
        let identity = Identity {
            account: AccountId(1),
            address: "bob@example.test".into(),
        };
        for (said, who, kept) in [
            (None, Some(&identity), None),
            (
                Some("Bob@example.test"),
                Some(&identity),
                Some("Bob@example.test"),
            ),
            (Some("eve@example.test"), Some(&identity), Some("")),
            (Some("bob@example.test"), None, Some("")),
            (Some(""), Some(&identity), Some("")),
        ] {
            let (envelope, _) = envelope(&mail(0, said), who, 0, 0);
            assert_eq!(envelope.auth.as_deref(), kept);
        }
    }

    #[test]
    fn holding_can_be_turned_off() {
        assert_eq!(future_release(Duration::ZERO, 5), None);
        let day = future_release(Duration::from_secs(86_400), 5).unwrap();
        assert_eq!((day.interval, day.until), (86_400, 86_405));
    }
}
