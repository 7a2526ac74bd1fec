//! A POP3 client over [`pop3::client::Session`], with the login. Commands that need no answer of each other are sent ahead
//! where the server announces PIPELINING.

use std::collections::VecDeque;
use std::time::Duration;

use pop3::client::{Error as SessionError, Event, Response, Session};
use pop3::command::Command;
use wire::sasl::Mechanism;

use super::connect::{Credential, Login, Protection, Wire};
use super::{Error, shown};

/// How long a server may be silent: some look through the whole maildrop before they answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Octets of a list (CAPA, UIDL, LIST): a line of 80 octets for each message.
pub(super) const LIST: usize = 64 << 20;

/// A connection that is logged in.
pub(super) struct Pop3 {
    wire: Wire,
    session: Session,
    capabilities: Vec<String>,
}

impl Pop3 {
    /// Connects and logs in.
    pub(super) async fn open(login: &Login) -> Result<Pop3, Error> {
        let wire = Wire::open(login).await?;
        let mut pop3 = Pop3 {
            wire,
            session: Session::new(),
            capabilities: Vec::new(),
        };
        match pop3.event().await? {
            Event::Greeting(greeting) if greeting.ok => {}
            Event::Greeting(greeting) => {
                return Err(Error::Broken(format!(
                    "the server says: {}",
                    shown(&greeting.text)
                )));
            }
            _ => return Err(Error::Hostile("does not greet".to_owned())),
        }
        pop3.know_capabilities().await?;
        let protection = pop3.wire.protection;
        if protection == Protection::Required
            || (protection == Protection::Offered && pop3.has("STLS"))
        {
            pop3.protect().await?;
        }
        pop3.want_originals().await?;
        pop3.log_in(login).await?;
        pop3.know_capabilities().await?;
        Ok(pop3)
    }

    /// STLS (RFC 2595 §4).
    async fn protect(&mut self) -> Result<(), Error> {
        self.send(&Command::Stls)?;
        if !self.response().await?.ok {
            return Err(Error::Unsafe(
                "the server offers no TLS on this connection; use pop3s://, or --unencrypted if all may read the password \
                 and the mail on their way"
                    .to_owned(),
            ));
        }
        self.wire.start_tls().await?;
        self.session.tls_started();
        self.know_capabilities().await
    }

    /// UTF8 (RFC 6856 §2), before the login, where alone it may be said: without it messages with UTF-8 in their headers come
    /// as surrogates, and what is imported, and then perhaps removed there, would not be what was sent.
    async fn want_originals(&mut self) -> Result<(), Error> {
        if self.has("UTF8") {
            self.send(&Command::Utf8)?;
            // A server that refuses gives what it gives.
            self.response().await?;
        }
        Ok(())
    }

    /// CAPA (RFC 2449 §5); old servers do not know it.
    async fn know_capabilities(&mut self) -> Result<(), Error> {
        self.capabilities.clear();
        if let Ok(list) = self.list(&Command::Capa).await? {
            let text = String::from_utf8_lossy(&list);
            self.capabilities = text.lines().map(str::to_ascii_uppercase).collect();
        }
        Ok(())
    }

    /// Whether a capability is announced.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameters(name).is_some()
    }

    fn parameters(&self, name: &str) -> Option<impl Iterator<Item = &str>> {
        self.capabilities.iter().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then_some(words)
        })
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Error> {
        let offers = |mechanism: Mechanism| {
            self.parameters("SASL")
                .is_some_and(|mut names| names.any(|name| name == mechanism.name()))
        };
        let plus = offers(Mechanism::ScramSha256Plus);
        let response = match login.mechanism(offers, &self.wire) {
            Some(mechanism) => {
                let mut exchange = login.exchange(mechanism, plus, &self.wire);
                let response = self.authenticate(mechanism, &mut exchange).await?;
                if response.ok {
                    exchange
                        .finish()
                        .map_err(|error| Error::Login(error.to_string()))?;
                }
                response
            }
            None if matches!(login.credential, Credential::Password(_))
                && login.may_send_password(&self.wire) =>
            {
                self.send(&Command::User(login.address.user.clone()))?;
                let user = self.response().await?;
                match user.ok {
                    false => user,
                    true => {
                        self.send(&Command::Pass(login.secret().clone()))?;
                        self.response().await?
                    }
                }
            }
            None => {
                let why = "the server offers no way to log in that is safe and known";
                return Err(Error::Login(why.to_owned()));
            }
        };
        match (response.ok, response.code.as_deref()) {
            (true, _) => Ok(()),
            // RFC 2449 §8.1, RFC 3206 §4: that is for later.
            (false, Some("IN-USE" | "LOGIN-DELAY" | "SYS/TEMP")) => {
                Err(Error::Broken(shown(&response.text)))
            }
            (false, _) => Err(Error::Login(shown(&response.text))),
        }
    }

    async fn authenticate(
        &mut self,
        mechanism: Mechanism,
        exchange: &mut wire::sasl::client::Exchange,
    ) -> Result<Response, Error> {
        let broken = |error: wire::sasl::Error| Error::Login(error.to_string());
        // Never with the command: a token may be longer than its line (RFC 5034 §4).
        let mut initial = exchange.initial().map_err(broken)?;
        self.send(&Command::Auth {
            mechanism: mechanism.name().to_owned(),
            initial: None,
        })?;
        loop {
            match self.event().await? {
                Event::Challenge(challenge) => {
                    let response = match initial.take() {
                        Some(initial) => Ok(initial),
                        None => exchange.step(&challenge),
                    };
                    match response {
                        Ok(response) => self.session.respond(&response),
                        Err(error) => {
                            self.session.cancel();
                            return Err(broken(error));
                        }
                    }
                }
                Event::Response(response) => return Ok(response),
                _ => return Err(Error::Hostile("answers what was not asked".to_owned())),
            }
        }
    }

    pub(super) fn send(&mut self, command: &Command) -> Result<(), Error> {
        self.session
            .send(command)
            .map_err(|error| Error::Login(error.to_string()))
    }

    /// The first line of the next answer.
    pub(super) async fn response(&mut self) -> Result<Response, Error> {
        match self.event().await? {
            Event::Response(response) => Ok(response),
            _ => Err(Error::Hostile("answers what was not asked".to_owned())),
        }
    }

    /// The lines behind a positive answer, at most `limit` octets.
    pub(super) async fn body(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            match self.event().await? {
                Event::Body(more) if body.len().saturating_add(more.len()) <= limit => {
                    body.extend_from_slice(&more)
                }
                Event::Body(_) => {
                    return Err(Error::Hostile(
                        "sends more at once than any message may be large".to_owned(),
                    ));
                }
                Event::BodyEnd => return Ok(body),
                _ => return Err(Error::Hostile("answers what was not asked".to_owned())),
            }
        }
    }

    /// Asks for a list; the refusal where there is none.
    pub(super) async fn list(
        &mut self,
        command: &Command,
    ) -> Result<Result<Vec<u8>, Response>, Error> {
        self.send(command)?;
        let response = self.response().await?;
        match response.ok {
            true => Ok(Ok(self.body(LIST).await?)),
            false => Ok(Err(response)),
        }
    }

    /// Runs commands with an answer of one line each; the refusals.
    pub(super) async fn all(&mut self, commands: &[Command]) -> Result<Vec<Response>, Error> {
        let mut refused = Vec::new();
        let mut open = VecDeque::new();
        let ahead = match self.has("PIPELINING") {
            true => 32,
            false => 1,
        };
        for command in commands {
            self.send(command)?;
            open.push_back(());
            if open.len() >= ahead {
                open.pop_front();
                refused.push(self.response().await?);
            }
        }
        while open.pop_front().is_some() {
            refused.push(self.response().await?);
        }
        refused.retain(|response| !response.ok);
        Ok(refused)
    }

    async fn event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.session.poll().map_err(failed)? {
                return Ok(event);
            }
            while let Some(octets) = self.session.transmit() {
                self.wire.write(&octets, PATIENCE).await?;
            }
            match self.wire.read(PATIENCE).await? {
                Some(octets) => self.session.receive(octets),
                None => {
                    return Err(Error::Broken(
                        "the server was silent for too long".to_owned(),
                    ));
                }
            }
        }
    }
}

/// What the session made of the server's words.
fn failed(error: SessionError) -> Error {
    match error {
        SessionError::Injected => {
            Error::Unsafe("the connection was tampered with before TLS".to_owned())
        }
        SessionError::NotPop3 => Error::Hostile("does not speak POP3".to_owned()),
        SessionError::LineTooLong | SessionError::Challenge => {
            Error::Hostile(format!("is not understood: {error}"))
        }
    }
}
