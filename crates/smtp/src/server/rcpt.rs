//! `RCPT TO`.

use super::{Accepted, Event, Session, Step, Waiting};
use crate::address::ForwardPath;
use crate::parameters;
use crate::reply::{self, Reply};

impl Session {
    pub(super) fn rcpt(&mut self, to: ForwardPath, parameters: parameters::Recipient) -> Step {
        let Some(transaction) = &self.transaction else {
            return self.refuse(reply::BAD_SEQUENCE);
        };
        if transaction.chunks.is_some() {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        if let Err(reply) = self.config.extensions.check_recipient(&parameters) {
            return self.refuse(reply);
        }
        // RFC 6531 §3.5; RFC 6533 §3 for the original address.
        let utf8 = matches!(&to, ForwardPath::Mailbox(mailbox) if mailbox.needs_utf8())
            || parameters
                .original
                .as_ref()
                .is_some_and(|original| original.raw_utf8);
        if utf8 && !transaction.smtputf8 {
            return self.refuse(reply::UTF8_REQUIRED);
        }
        if transaction.recipients >= self.config.limits.recipients {
            // Not counted as an error: RFC 5321 §4.5.3.1.10 makes this the ordinary way to split a long list.
            return self.say(reply::TOO_MANY_RECIPIENTS);
        }
        self.ask(Waiting::Recipient, Event::Recipient { to, parameters })
    }

    pub(super) fn rcpt_answer(&mut self, verdict: Result<Accepted, Reply>) {
        match verdict {
            Err(reply) => self.put(reply),
            Ok(accepted) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients = transaction.recipients.saturating_add(1);
                }
                self.put(accepted.0.unwrap_or(reply::RECIPIENT_OK));
            }
        }
    }
}
