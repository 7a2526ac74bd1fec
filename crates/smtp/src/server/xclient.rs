//! `XCLIENT`, `XFORWARD` and `ETRN`: where they are offered, and in which order.
//!
//! Invariant: once XCLIENT has told of a client, none of the three is offered or taken again on the connection.

use super::{Accepted, Event, Hello, Session, Step, Waiting};
use crate::parse::{Client, Told};
use crate::reply::{self, Reply};

impl Session {
    /// Another client stands at the other end: everything begins anew.
    pub(super) fn xclient(&mut self, client: Client) -> Step {
        if !self.config.extensions.xclient {
            return self.refuse(reply::NOT_TRUSTED);
        }
        if self.transaction.is_some() {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        if self.out_of_step() {
            self.close_with(reply::EARLY_TALK);
            return Step::NeedInput;
        }
        let waiting = Waiting::Client {
            logged_in: client.login.known().is_some(),
            hello: client.hello.known().is_some().then_some(Hello {
                extended: client.extended != Told::Is(false),
            }),
        };
        self.ask(waiting, Event::Client(Box::new(client)))
    }

    /// The greeting again; the client says EHLO again.
    pub(super) fn xclient_answer(
        &mut self,
        logged_in: bool,
        hello: Option<Hello>,
        verdict: Result<Accepted, Reply>,
    ) {
        match verdict {
            Err(reply) => self.count(reply),
            Ok(_) => {
                self.hello = hello;
                self.authenticated = logged_in;
                self.transaction = None;
                self.broken = 0;
                // From here on the client itself may be talking, through a proxy that only copies octets: what the proxy may
                // do, its clients may not.
                let extensions = &mut self.config.extensions;
                extensions.xclient = false;
                extensions.xforward = false;
                extensions.etrn = false;
                let greeting = self.config.banner();
                self.output.put(greeting.as_bytes());
            }
        }
    }

    pub(super) fn xforward(&mut self, client: Client) -> Step {
        if !self.config.extensions.xforward {
            return self.refuse(reply::NOT_TRUSTED);
        }
        if self.transaction.is_some() {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        self.ask(Waiting::Simple, Event::Forwarded(Box::new(client)))
    }

    /// RFC 1985 §5.
    pub(super) fn etrn(&mut self, domain: &str, below: bool) -> Step {
        if !self.config.extensions.etrn {
            return self.refuse(reply::NOT_IMPLEMENTED);
        }
        if self.hello.is_none() || self.transaction.is_some() {
            return self.refuse(reply::BAD_SEQUENCE);
        }
        let domain = domain.to_owned();
        self.ask(Waiting::Simple, Event::Etrn { domain, below })
    }

    /// Nothing of the session depends on it.
    pub(super) fn simple_answer(&mut self, verdict: Result<Accepted, Reply>) {
        match verdict {
            Err(reply) => self.count(reply),
            Ok(accepted) => self.put(accepted.0.unwrap_or(reply::OK)),
        }
    }
}
