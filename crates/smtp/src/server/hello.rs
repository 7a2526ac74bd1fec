//! `EHLO`, `HELO` and `LHLO`, and the list of what is offered.

use super::{Accepted, Event, Hello, Kind, Session, Step, Waiting};
use crate::reply::{self, Reply};
use wire::sasl::Mechanism;

impl Session {
    /// RFC 5321 §4.1.4: a greeting at any time ends the transaction.
    pub(super) fn hello(&mut self, name: &str, extended: bool) -> Step {
        if self.out_of_step() {
            self.close_with(reply::EARLY_TALK);
            return Step::NeedInput;
        }
        self.transaction = None;
        let name = name.to_owned();
        self.ask(Waiting::Hello { extended }, Event::Hello { name, extended })
    }

    pub(super) fn hello_answer(&mut self, extended: bool, verdict: Result<Accepted, Reply>) {
        match verdict {
            Err(reply) => self.count(reply),
            Ok(accepted) => {
                self.hello = Some(Hello { extended });
                let reply = accepted.0.unwrap_or_else(|| self.greeting(extended));
                self.put(reply);
            }
        }
    }

    /// Only what works is announced.
    fn greeting(&self, extended: bool) -> Reply {
        let mut lines = vec![self.config.host.clone()];
        if extended {
            lines.extend(
                [
                    "PIPELINING",
                    "8BITMIME",
                    "SMTPUTF8",
                    "ENHANCEDSTATUSCODES",
                    "CHUNKING",
                ]
                .map(String::from),
            );
            lines.push(format!("SIZE {}", self.config.limits.message));
            self.config.extensions.announce(self.tls, &mut lines);
            if let Some(arguments) = &self.config.extensions.burl {
                // RFC 4468 §3.1: without arguments it says that one has to log in first.
                let arguments = arguments.iter().filter(|_| self.authenticated);
                let words: Vec<&str> = std::iter::once("BURL")
                    .chain(arguments.map(String::as_str))
                    .collect();
                lines.push(words.join(" "));
            }
            if self.config.extensions.limits {
                let limits = &self.config.limits;
                lines.push(format!(
                    "LIMITS MAILMAX={} RCPTMAX={}",
                    limits.transactions, limits.recipients
                ));
            }
            if self.config.starttls && !self.tls {
                lines.push("STARTTLS".to_owned());
            }
            let mechanisms: Vec<_> = self
                .mechanisms()
                .iter()
                .map(|mechanism| mechanism.name())
                .collect();
            if !mechanisms.is_empty() && !self.authenticated {
                lines.push(format!("AUTH {}", mechanisms.join(" ")));
                if self.config.quirks.auth_equals {
                    lines.push(format!("AUTH={}", mechanisms.join(" ")));
                }
            }
        }
        Reply::plain(250, "").with_text(lines.join("\n"))
    }

    /// What is offered on the connection as it is now.
    pub(super) fn mechanisms(&self) -> &[Mechanism] {
        // LMTP is for trusted local systems (RFC 2033 §5); whoever may connect may deliver.
        match (self.config.kind, self.tls) {
            (Kind::Lmtp, _) => &[],
            (_, true) => &self.config.mechanisms,
            (_, false) => &self.config.mechanisms_clear,
        }
    }
}
