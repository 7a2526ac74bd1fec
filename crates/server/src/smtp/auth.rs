//! `AUTH`: the exchange is `crate::auth`'s, its outcome a reply.

use smtp::reply::{self, Reply};
use smtp::server::{Accepted, Session};

use super::{Handler, Origin};
use crate::auth::{Outcome, Refusal};
use crate::drive::Link;
use crate::sessions;

impl Handler {
    /// One step of the exchange.
    pub(super) async fn auth(
        &mut self,
        link: &mut Link<Session>,
        first: bool,
        response: Option<Vec<u8>>,
    ) {
        let Some(exchange) = &mut self.exchange else {
            return link.session.answer(Err(reply::BAD_SEQUENCE));
        };
        let origin = Origin {
            peer: &link.peer,
            service: self.service,
        };
        let auth = &self.shared.auth;
        let outcome = if first {
            exchange.start(auth, origin, response.as_deref()).await
        } else {
            exchange
                .step(auth, origin, &response.unwrap_or_default())
                .await
        };
        match outcome {
            Outcome::Challenge(challenge) => return link.session.challenge(&challenge),
            Outcome::Done(identity)
                if !sessions::admit(self.shared.db.store(), &link.wake, identity.account) =>
            {
                link.session.answer(Err(reply_to(&Refusal::Wrong)));
            }
            Outcome::Done(identity) => {
                self.identity = Some(identity);
                link.session.answer(Ok(Accepted::default()));
            }
            Outcome::Failed(refusal) => link.session.answer(Err(reply_to(&refusal))),
        }
        self.exchange = None;
    }
}

/// RFC 4954 §6.
fn reply_to(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::Wrong => reply::AUTHENTICATION_FAILED,
        Refusal::Throttled => {
            reply::AUTHENTICATION_UNAVAILABLE.with_text("Too many failed logins, try again later")
        }
        Refusal::Malformed => reply::BAD_SASL,
        Refusal::Unavailable(_) => reply::AUTHENTICATION_UNAVAILABLE,
    }
}
