//! `MAIL FROM`.

use super::{Accepted, Event, Session, Step, Transaction, Waiting};
use crate::address::ReversePath;
use crate::parameters;
use crate::reply::{self, Reply};

impl Session {
    pub(super) fn mail(&mut self, from: ReversePath, parameters: parameters::Mail) -> Step {
        // RFC 5321 §4.1.4: EHLO first; §4.1.1.2: no nested transactions.
        if self.hello.is_none() || self.transaction.is_some() {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        // RFC 9422: what is announced holds, and counts every MAIL command.
        self.transactions = self.transactions.saturating_add(1);
        if self.transactions > self.config.limits.transactions {
            self.close_with(reply::TOO_MANY_MESSAGES);
            return Step::NeedInput;
        }
        if let Err(reply) = self.config.extensions.check_mail(&parameters, self.tls) {
            return self.refuse(reply);
        }
        // RFC 1870 §6.1: what is declared too large is refused before it is sent.
        if parameters
            .size
            .is_some_and(|size| size > self.config.limits.message)
        {
            return self.refuse(reply::MESSAGE_TOO_BIG);
        }
        let waiting = Waiting::Mail {
            smtputf8: parameters.smtputf8,
            binary: parameters.body == parameters::Body::BinaryMime,
        };
        self.ask(waiting, Event::Mail { from, parameters })
    }

    pub(super) fn mail_answer(
        &mut self,
        smtputf8: bool,
        binary: bool,
        verdict: Result<Accepted, Reply>,
    ) {
        match verdict {
            Err(reply) => self.count(reply),
            Ok(accepted) => {
                self.transaction = Some(Transaction {
                    smtputf8,
                    binary,
                    recipients: 0,
                    chunks: None,
                });
                self.put(accepted.0.unwrap_or(reply::SENDER_OK));
            }
        }
    }
}
