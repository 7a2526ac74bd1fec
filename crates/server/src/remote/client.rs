//! An IMAP client: one command at a time over [`imap::client::Session`], with the login.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use imap::client::{self, Config, Event, Session};
use imap::{
    Capability, Code, Command, List, ListPattern, ListReturn, ListSelection, MailboxName,
    NamespaceEntry, Reply, Select, Status, Untagged,
};
use wire::sasl::Mechanism;

use super::connect::{Login, Protection, Wire};
use super::names::Listed;
use super::{Error, MAILBOXES, Watch, shown};

/// Octets of a line between literals: a list of flags, a name. What holds more is no answer to what we ask.
const LINE: usize = 1 << 20;

/// How long a server may be silent. A search of a large mailbox takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// Pauses before another connection is tried; what comes to rest longer is to be run again.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// Connections lost since there was progress.
#[derive(Debug, Default)]
pub(super) struct Lost(usize);

impl Lost {
    /// There was progress.
    pub(super) fn forget(&mut self) {
        self.0 = 0;
    }

    /// Waits before another connection; the error when it is time to give up.
    pub(super) async fn pause(&mut self, error: Error, watch: &mut dyn Watch) -> Result<(), Error> {
        let Some(pause) = PAUSES.get(self.0) else {
            return Err(error);
        };
        self.0 = self.0.saturating_add(1);
        watch.note(&format!("{error}; trying again in {} s", pause.as_secs()));
        tokio::time::sleep(*pause).await;
        Ok(())
    }

    /// Another connection after one broke.
    pub(super) async fn reopen(
        &mut self,
        login: &Login,
        message_limit: u64,
        mut error: Error,
        watch: &mut dyn Watch,
    ) -> Result<Imap, Error> {
        loop {
            self.pause(error, watch).await?;
            match Imap::open(login, message_limit).await {
                Err(again) if again.is_broken() => error = again,
                other => return other,
            }
        }
    }
}

/// A selected mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) exists: u32,
    pub(super) uid_validity: Option<u32>,
    pub(super) uid_next: Option<u32>,
    pub(super) modseq: Option<u64>,
}

/// A connection that is logged in.
pub(super) struct Imap {
    wire: Wire,
    session: Session,
    /// UTF8=ACCEPT is in force.
    pub(super) utf8: bool,
}

impl Imap {
    /// Connects and logs in. `message` is the size of the largest message that may come.
    pub(super) async fn open(login: &Login, message: u64) -> Result<Imap, Error> {
        let wire = Wire::open(login).await?;
        let protection = wire.protection;
        let session = Session::new(Config {
            tls: wire.is_tls(),
            require_tls: matches!(protection, Protection::Implicit | Protection::Required),
            limits: client::Limits {
                line: LINE,
                response: usize::try_from(message)
                    .unwrap_or(usize::MAX)
                    .saturating_add(LINE),
                timeout: PATIENCE,
            },
        });
        let mut imap = Imap {
            wire,
            session,
            utf8: false,
        };
        let greeting = match imap.event().await? {
            Event::Greeting(greeting) => greeting,
            _ => return Err(Error::Hostile("does not greet".to_owned())),
        };
        if greeting.status == Status::Bye {
            return Err(Error::Broken(format!(
                "the server says: {}",
                shown(&greeting.text)
            )));
        }
        imap.know_capabilities().await?;
        if protection == Protection::Required || protection == Protection::Offered {
            imap.protect(protection).await?;
        }
        if greeting.status != Status::PreAuth {
            imap.log_in(login).await?;
        }
        imap.introduce().await?;
        Ok(imap)
    }

    /// STARTTLS (RFC 9051 §6.2.1).
    async fn protect(&mut self, protection: Protection) -> Result<(), Error> {
        let offered = self.has(&Capability::StartTls);
        // Before TLS a list without STARTTLS may be somebody else's; asking costs nothing where it must be.
        if !offered && protection == Protection::Offered {
            return Ok(());
        }
        let refused = || {
            Error::Unsafe(
                "the server offers no TLS on this connection; use imaps://, or --unencrypted if all may read the password \
                 and the mail on their way"
                    .to_owned(),
            )
        };
        self.start(&Command::StartTls)?;
        loop {
            match self.event().await? {
                Event::StartTls => break,
                Event::Done(_) => return Err(refused()),
                _ => {}
            }
        }
        self.wire.start_tls().await?;
        self.session.tls_started();
        self.know_capabilities().await
    }

    async fn know_capabilities(&mut self) -> Result<(), Error> {
        if self.session.capabilities().is_empty() {
            self.run(&Command::Capability, |_| Ok(())).await?;
        }
        Ok(())
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Error> {
        let offers =
            |mechanism: Mechanism| self.has(&Capability::Auth(mechanism.name().to_owned()));
        let plus = offers(Mechanism::ScramSha256Plus);
        let reply = match login.mechanism(offers, &self.wire) {
            Some(mechanism) => {
                let mut exchange = login.exchange(mechanism, plus, &self.wire);
                let reply = self.authenticate(mechanism, &mut exchange).await?;
                if reply.status == Status::Ok {
                    exchange
                        .finish()
                        .map_err(|error| Error::Login(error.to_string()))?;
                }
                reply
            }
            // RFC 9051 §6.2.3
            None if !self.has(&Capability::LoginDisabled)
                && matches!(login.credential, super::Credential::Password(_))
                && login.may_send_password(&self.wire) =>
            {
                let command = Command::Login {
                    user: login.address.user.clone(),
                    password: login.secret().clone(),
                };
                self.run(&command, |_| Ok(())).await?
            }
            None => {
                let why = "the server offers no way to log in that is safe and known";
                return Err(Error::Login(why.to_owned()));
            }
        };
        if reply.status != Status::Ok {
            let text = shown(&reply.text);
            // RFC 5530 §3: that is for later.
            return Err(match reply.code {
                Some(Code::Unavailable | Code::InUse) => Error::Broken(text),
                _ => Error::Login(text),
            });
        }
        // What was said before the login may have changed, and some servers say it only then.
        self.run(&Command::Capability, |_| Ok(())).await.map(drop)
    }

    async fn authenticate(
        &mut self,
        mechanism: Mechanism,
        exchange: &mut wire::sasl::client::Exchange,
    ) -> Result<Reply, Error> {
        let broken = |error: wire::sasl::Error| Error::Login(error.to_string());
        let mut initial = exchange.initial().map_err(broken)?;
        let name = mechanism.name().to_owned();
        let early = match self.has(&Capability::SaslIr) {
            true => initial.take(),
            false => None,
        };
        self.start(&Command::Authenticate {
            mechanism: name,
            initial: early,
        })?;
        loop {
            match self.event().await? {
                Event::Continue(challenge) => {
                    // Without SASL-IR the first challenge is empty and asks for it (RFC 9051 §6.2.2).
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
                Event::Done(reply) => return Ok(reply),
                _ => {}
            }
        }
    }

    /// Says who we are where that is asked for (some servers refuse SELECT without), and takes UTF-8, so that messages come as
    /// they are (RFC 9755 §3).
    async fn introduce(&mut self) -> Result<(), Error> {
        if self.has(&Capability::Id) {
            let name = ("name".to_owned(), Some("Waxwing".to_owned()));
            self.run(&Command::Id(vec![name]), |_| Ok(())).await?;
        }
        if self.has(&Capability::Utf8Accept) && self.has(&Capability::Enable) {
            let mut utf8 = false;
            self.run(&Command::Enable(vec![Capability::Utf8Accept]), |untagged| {
                if let Untagged::Enabled(enabled) = untagged {
                    utf8 = enabled.contains(&Capability::Utf8Accept);
                }
                Ok(())
            })
            .await?;
            self.utf8 = utf8;
        }
        Ok(())
    }

    pub(super) fn has(&self, capability: &Capability) -> bool {
        self.session.capabilities().contains(capability)
    }

    /// The next response that was not understood.
    pub(super) fn passed_over(&mut self) -> Option<String> {
        let octets = self.session.passed_over()?;
        Some(shown(&String::from_utf8_lossy(&octets)))
    }

    fn start(&mut self, command: &Command) -> Result<(), Error> {
        self.session.send(command).map_err(failed)
    }

    /// Runs a command; untagged data goes to `each` as it comes.
    pub(super) async fn run(
        &mut self,
        command: &Command,
        mut each: impl FnMut(Untagged) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        self.start(command)?;
        loop {
            match self.event().await? {
                Event::Untagged(untagged) => match *untagged {
                    Untagged::Status(Reply {
                        status: Status::Bye,
                        text,
                        ..
                    }) if !matches!(command, Command::Logout) => {
                        return Err(Error::Broken(format!(
                            "the server says goodbye: {}",
                            shown(&text)
                        )));
                    }
                    other => each(other)?,
                },
                Event::Done(reply) => return Ok(reply),
                _ => return Err(Error::Hostile("answers what was not asked".to_owned())),
            }
        }
    }

    /// Runs a command that must succeed.
    pub(super) async fn must(
        &mut self,
        command: &Command,
        each: impl FnMut(Untagged) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        let reply = self.run(command, each).await?;
        match reply.status {
            Status::Ok => Ok(reply),
            _ => Err(refused(command.name(), &reply)),
        }
    }

    /// EXAMINE, or SELECT.
    pub(super) async fn select(
        &mut self,
        mailbox: &MailboxName,
        read_only: bool,
    ) -> Result<Selected, Error> {
        let command = Command::Select(Select {
            read_only,
            condstore: self.has(&Capability::CondStore),
            ..Select::new(mailbox.clone())
        });
        let mut selected = Selected::default();
        self.must(&command, |untagged| {
            match untagged {
                Untagged::Exists(exists) => selected.exists = exists,
                Untagged::Status(Reply {
                    code: Some(code), ..
                }) => match code {
                    Code::UidValidity(value) => selected.uid_validity = Some(value),
                    Code::UidNext(value) => selected.uid_next = Some(value),
                    Code::HighestModSeq(value) => selected.modseq = Some(value),
                    _ => {}
                },
                _ => {}
            }
            Ok(())
        })
        .await?;
        Ok(selected)
    }

    /// The prefix of one's own mailboxes, and those of other people's (RFC 2342).
    pub(super) async fn namespace(&mut self) -> Result<(String, Vec<String>), Error> {
        let mut found = (String::new(), Vec::new());
        if !self.has(&Capability::Namespace) {
            return Ok(found);
        }
        self.run(&Command::Namespace, |untagged| {
            if let Untagged::Namespace(namespace) = untagged {
                let prefix = |entry: NamespaceEntry| entry.prefix;
                found.0 = namespace
                    .personal
                    .into_iter()
                    .next()
                    .map(prefix)
                    .unwrap_or_default();
                let others = namespace.other_users.into_iter().chain(namespace.shared);
                // An empty prefix would be everything.
                found.1 = others
                    .map(prefix)
                    .filter(|prefix| !prefix.is_empty())
                    .collect();
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// All mailboxes, with what they are for and whether they are subscribed.
    pub(super) async fn list(&mut self) -> Result<Vec<Listed>, Error> {
        let extended = self.has(&Capability::ListExtended);
        let command = Command::List(List {
            selection: ListSelection::default(),
            reference: String::new(),
            patterns: vec![ListPattern::new("*")],
            returns: ListReturn {
                subscribed: extended,
                special_use: extended && self.has(&Capability::SpecialUse),
                ..ListReturn::default()
            },
            extended,
        });
        let mut listed: Vec<Listed> = Vec::new();
        let mut heard = 0_usize;
        let mut take = |untagged| {
            if let Untagged::List(entry) | Untagged::Lsub(entry) = untagged {
                heard = heard.saturating_add(1);
                if heard > 2 * MAILBOXES {
                    return Err(Error::Hostile(format!(
                        "lists more than {MAILBOXES} mailboxes"
                    )));
                }
                listed.push(Listed::new(entry));
            }
            Ok(())
        };
        self.must(&command, &mut take).await?;
        if !extended {
            let command = Command::Lsub {
                reference: String::new(),
                pattern: ListPattern::new("*"),
            };
            let before = self.run(&command, |untagged| {
                if let Untagged::Lsub(mut entry) = untagged {
                    entry.attributes = vec![
                        imap::MailboxAttribute::Subscribed,
                        imap::MailboxAttribute::NoSelect,
                    ];
                    take(Untagged::Lsub(entry))?;
                }
                Ok(())
            });
            before.await?;
        }
        let merged = merged(listed);
        match merged.len() > MAILBOXES {
            true => Err(Error::Hostile(format!(
                "lists more than {MAILBOXES} mailboxes"
            ))),
            false => Ok(merged),
        }
    }

    /// IDLE until something is new, or for so long (RFC 2177).
    pub(super) async fn idle(&mut self, limit: Duration) -> Result<bool, Error> {
        self.start(&Command::Idle)?;
        let until = tokio::time::Instant::now() + limit;
        let mut new = false;
        let mut waiting = true;
        loop {
            // What has come so far of an answer is kept, so that waiting can be cut off anywhere.
            let event = match waiting {
                true => {
                    tokio::time::timeout_at(
                        until,
                        self.event_within(limit.saturating_add(PATIENCE)),
                    )
                    .await
                }
                false => Ok(self.event().await),
            };
            match event {
                Err(_) => {
                    waiting = false;
                    self.session.idle_done();
                }
                Ok(event) => match event? {
                    Event::Untagged(untagged) => {
                        let exists = matches!(*untagged, Untagged::Exists(_));
                        if exists && waiting {
                            new = true;
                            waiting = false;
                            self.session.idle_done();
                        }
                    }
                    Event::Done(reply) if reply.status == Status::Ok => return Ok(new),
                    Event::Done(reply) => return Err(refused("IDLE", &reply)),
                    _ => {}
                },
            }
        }
    }

    /// Says goodbye without waiting long.
    pub(super) async fn quit(&mut self) {
        let farewell = self.run(&Command::Logout, |_| Ok(()));
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    async fn event(&mut self) -> Result<Event, Error> {
        self.event_within(self.session.timeout()).await
    }

    async fn event_within(&mut self, patience: Duration) -> Result<Event, Error> {
        loop {
            match self.session.poll() {
                Some(Event::Failed(error)) => return Err(failed(error)),
                Some(event) => return Ok(event),
                None => {}
            }
            if self.session.closed() {
                return Err(Error::Broken("the server closed the connection".to_owned()));
            }
            while let Some(octets) = self.session.transmit() {
                self.wire.write(&octets, PATIENCE).await?;
            }
            match self.wire.read(patience).await? {
                Some(octets) => self.session.receive(octets),
                None => {
                    self.session.handle_timeout();
                    return Err(failed(client::Error::Timeout));
                }
            }
        }
    }
}

/// The same mailbox from LIST and LSUB is one.
fn merged(listed: Vec<Listed>) -> Vec<Listed> {
    let mut places: HashMap<MailboxName, usize> = HashMap::new();
    let mut merged: Vec<Listed> = Vec::new();
    for one in listed {
        if one.name.as_str().is_empty() {
            continue;
        }
        match places.get(&one.name).and_then(|at| merged.get_mut(*at)) {
            Some(known) => {
                known.subscribed |= one.subscribed;
                known.selectable |= one.selectable;
                known.special_use = known.special_use.or(one.special_use);
            }
            None => {
                places.insert(one.name.clone(), merged.len());
                merged.push(one);
            }
        }
    }
    merged
}

/// What the session made of the server's words.
fn failed(error: client::Error) -> Error {
    match error {
        client::Error::Timeout | client::Error::Closed => Error::Broken(error.to_string()),
        client::Error::NeedsTls | client::Error::Tampered => Error::Unsafe(error.to_string()),
        client::Error::NotImap => Error::Hostile("does not speak IMAP".to_owned()),
        client::Error::TooLarge => {
            Error::Hostile("sends more at once than any message may be large".to_owned())
        }
        client::Error::Busy => Error::Hostile("is asked before it has answered".to_owned()),
    }
}

pub(super) fn refused(what: &'static str, reply: &Reply) -> Error {
    let text: Cow<'_, str> = match reply.text.is_empty() {
        true => "without a reason".into(),
        false => shown(&reply.text).into(),
    };
    Error::Refused {
        what,
        reply: text.into_owned(),
    }
}
