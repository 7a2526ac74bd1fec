//! `AUTH` (RFC 4954): the framing of the exchange. What is said in it is the handler's.

use super::{Accepted, Event, Kind, Phase, Session, Step, Waiting};
use crate::reply::{self, Reply};
use wire::base64;
use wire::sasl::Mechanism;

impl Session {
    pub(super) fn auth(&mut self, mechanism: &[u8], initial: Option<&[u8]>) -> Step {
        // RFC 4954 §4: once per session, and not during a transaction.
        if self.authenticated {
            return self.refuse(reply::ALREADY_AUTHENTICATED);
        }
        if self.transaction.is_some() || !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        if self.mechanisms().is_empty() {
            // No challenge is given in the clear that would pull a password out of the client.
            let under_tls =
                !self.tls && self.config.kind != Kind::Lmtp && !self.config.mechanisms.is_empty();
            return self.refuse(if under_tls {
                reply::ENCRYPTION_REQUIRED
            } else {
                reply::NOT_IMPLEMENTED
            });
        }
        let offered = |mechanism: &Mechanism| self.mechanisms().contains(mechanism);
        let Some(mechanism) = Mechanism::from_name(mechanism).filter(offered) else {
            return self.refuse(reply::UNKNOWN_MECHANISM);
        };
        let Ok(initial) = initial.map(base64::decode_initial).transpose() else {
            return self.refuse(reply::BAD_SASL);
        };
        self.ask(
            Waiting::Authentication,
            Event::Authenticate { mechanism, initial },
        )
    }

    /// Stops offering a mechanism, from the next EHLO on.
    pub fn withdraw(&mut self, mechanism: Mechanism) {
        self.config
            .mechanisms
            .retain(|offered| *offered != mechanism);
    }

    /// Sends a challenge of the SASL exchange.
    pub fn challenge(&mut self, challenge: &[u8]) {
        if !matches!(self.waiting, Some(Waiting::Authentication)) {
            return;
        }
        self.waiting = None;
        self.output
            .put(format!("334 {}\r\n", base64::encode(challenge)).as_bytes());
        self.phase = Phase::Sasl;
    }

    pub(super) fn sasl_line(&mut self) -> Step {
        let line = match self.take_line(self.config.limits.sasl_line) {
            Ok(Some(line)) => line,
            Ok(None) => return Step::NeedInput,
            Err(reply) if reply == reply::LINE_TOO_LONG => {
                return self.sasl_abort(reply::SASL_TOO_LONG);
            }
            Err(_) => return self.sasl_abort(reply::BAD_SASL),
        };
        if line == b"*" {
            return self.sasl_abort(reply::SASL_ABORTED);
        }
        match base64::decode(&line) {
            Ok(response) => {
                self.phase = Phase::Command;
                self.ask(Waiting::Authentication, Event::SaslResponse(response))
            }
            Err(_) => self.sasl_abort(reply::BAD_SASL),
        }
    }

    fn sasl_abort(&mut self, reply: Reply) -> Step {
        self.phase = Phase::Command;
        self.count(reply);
        Step::Event(Event::SaslAborted)
    }

    pub(super) fn auth_answer(&mut self, verdict: Result<Accepted, Reply>) {
        match verdict {
            Err(reply) => self.count(reply),
            Ok(accepted) => {
                self.authenticated = true;
                self.put(accepted.0.unwrap_or(reply::AUTHENTICATED));
            }
        }
    }
}
