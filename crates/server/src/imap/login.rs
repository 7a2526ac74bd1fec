//! LOGIN and AUTHENTICATE (RFC 9051 §6.2.2, §6.2.3).

use ::imap::{Capability, Code, Reply, Status};
use wire::sasl::{Mechanism, Secret};

use super::{Imap, Link};
use crate::auth::{Exchange, Identity, Outcome, Refusal};
use crate::sessions;

/// LOGIN.
pub async fn login(imap: &mut Imap, link: &mut Link, user: &str, password: &Secret) {
    let checked = imap
        .shared
        .auth
        .login(imap.origin(link), user, password)
        .await;
    let reply = match checked {
        Ok(identity) => enter(imap, link, &identity),
        Err(refusal) => refused(&refusal),
    };
    link.session.complete(reply);
}

/// AUTHENTICATE.
pub async fn authenticate(
    imap: &mut Imap,
    link: &mut Link,
    mechanism: Mechanism,
    initial: Option<Vec<u8>>,
) {
    let mut exchange = Box::new(Exchange::new(mechanism, link.tls.as_ref()));
    let outcome = exchange
        .start(&imap.shared.auth, imap.origin(link), initial.as_deref())
        .await;
    imap.exchange = Some(exchange);
    proceed(imap, link, outcome);
}

/// The client's answer to a challenge.
pub async fn respond(imap: &mut Imap, link: &mut Link, response: &[u8]) {
    let Some(mut exchange) = imap.exchange.take() else {
        link.session
            .complete(Reply::bad("no authentication is in progress"));
        return;
    };
    let outcome = exchange
        .step(&imap.shared.auth, imap.origin(link), response)
        .await;
    imap.exchange = Some(exchange);
    proceed(imap, link, outcome);
}

fn proceed(imap: &mut Imap, link: &mut Link, outcome: Outcome) {
    let reply = match outcome {
        Outcome::Challenge(challenge) => {
            link.session.challenge(&challenge);
            return;
        }
        Outcome::Done(identity) => enter(imap, link, &identity),
        Outcome::Failed(refusal) => refused(&refusal),
    };
    imap.exchange = None;
    link.session.complete(reply);
}

fn enter(imap: &mut Imap, link: &mut Link, identity: &Identity) -> Reply {
    if !sessions::admit(imap.shared.db.store(), &link.wake, identity.account) {
        return refused(&Refusal::Wrong);
    }
    imap.account = Some(identity.account);
    // RFC 9208 §3.1.1: who may set quotas is told so.
    if imap.administrator().unwrap_or(false) {
        link.session.announce(Capability::QuotaSet);
    }
    Reply::ok("welcome")
}

/// RFC 5530 §3.
fn refused(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::Wrong => Reply::coded(
            Status::No,
            Code::AuthenticationFailed,
            "wrong user name or password",
        ),
        Refusal::Malformed => Reply::bad("malformed authentication message"),
        Refusal::Throttled => Reply::coded(
            Status::No,
            Code::Limit,
            "too many failed logins, try again in a minute",
        ),
        Refusal::Unavailable(_) => {
            Reply::coded(Status::No, Code::Unavailable, "logins are not possible now")
        }
    }
}
