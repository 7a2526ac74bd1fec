//! One try: hosts in their order, connections, and what each recipient gets out of it.
//!
//! | what happens | what follows |
//! |---|---|
//! | no host, null MX, loop | all recipients get that ([`resolve`]) |
//! | a host may not be used, no connection, broken before the end of the message | the next address, the next host |
//! | a recipient is accepted | delivered |
//! | a recipient is refused for good | failed |
//! | a recipient is refused for now | the next host, if there is one (RFC 5321 §5.1) |
//! | broken behind the end of the message | deferred: the server may have it |
//! | nothing left to try | what was most telling of all that happened |
//!
//! Limits: [`PATIENCE`] for the whole, [`ADDRESSES`] addresses and [`SESSIONS`] conversations, [`TOGETHER`] recipients of one
//! transaction.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smtp::reply::Reply;
use store::{DeliverByMode, Timestamp};

use super::connect::{Connection, Failure, Opening};
use super::policy::{self, Dane, Protection, Tls, Unfit, Wish};
use super::pool::Pool;
use super::resolve::{self, Destination, Found, Host};
use super::tls_report::{self, Place};
use super::transaction::{self, Verdict};
use super::verify::Proof;
use super::{Attempt, Job, JobRecipient, Outcome, convert, sts};
use crate::config::{Config, Route, route};
use crate::shared::Shared;

/// How long a try may take in all. Longer than any single wait of RFC 5321 §4.5.3.2, so that a slow server is not a dead one.
pub(super) const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Addresses tried: each may cost the patience of a connection.
const ADDRESSES: usize = 10;

/// Servers that were spoken to. A recipient that several refuse for now is not taken by the next.
const SESSIONS: usize = 4;

/// Recipients of one transaction: what every server must take (RFC 5321 §4.5.3.1.8).
const TOGETHER: usize = 100;

/// What the tries of a server share.
#[derive(Debug, Default)]
pub struct Ways {
    pool: Arc<Pool>,
    failures: sts::Failures,
}

/// How often it is looked which MTA-STS policies have grown old.
const RENEWAL: Duration = Duration::from_secs(3_600);

/// Fetches kept MTA-STS policies again before they grow old, for as long as the server runs.
pub async fn renew(shared: Arc<Shared>) {
    let mut timer = tokio::time::interval(RENEWAL);
    loop {
        timer.tick().await;
        sts::renew(&shared, &shared.ways.failures).await;
    }
}

/// Tries once to pass a message on; one result for each recipient, in order. Never panics, and is bounded in time.
pub async fn attempt(shared: &Arc<Shared>, job: &Job) -> Vec<Attempt> {
    if let Some(attempts) = Box::pin(super::local::deliver(shared, job)).await {
        return attempts;
    }
    let mut progress = Progress::new(job.recipients.len());
    let work = Try {
        shared,
        config: &shared.config(),
        job,
        sessions: 0,
        addresses: 0,
        progress: &mut progress,
        route: None,
        report: false,
    };
    if tokio::time::timeout(PATIENCE, work.run()).await.is_err() {
        let failure = Failure::new("4.7", "the servers were too slow");
        progress.note_all(shared.timestamp(), &Spot::default(), &failure, CONNECTION);
    }
    progress.finish(shared.timestamp())
}

// How telling something is; the more telling of two is what the sender is told.
const CONNECTION: u8 = 0;
const POLICY: u8 = 1;
const REPLY: u8 = 2;

/// Where something happened.
#[derive(Debug, Clone, Default)]
struct Spot {
    peer: Option<String>,
    address: Option<IpAddr>,
    tls: Option<String>,
    policy: Option<String>,
}

/// What has come of each recipient.
struct Progress {
    recipients: Vec<State>,
}

#[derive(Default, Clone)]
struct State {
    done: Option<Attempt>,
    /// The most telling of what may be otherwise next time.
    temporary: Option<(u8, Attempt)>,
    /// The most telling of what will not.
    permanent: Option<(u8, Attempt)>,
}

impl Progress {
    fn new(recipients: usize) -> Progress {
        Progress {
            recipients: vec![State::default(); recipients],
        }
    }

    fn pending(&self) -> Vec<usize> {
        let open = self.recipients.iter().enumerate();
        open.filter(|(_, state)| state.done.is_none())
            .map(|(number, _)| number)
            .collect()
    }

    /// Remembers a failure for all that are still open.
    fn note_all(&mut self, at: Timestamp, spot: &Spot, failure: &Failure, telling: u8) {
        for number in self.pending() {
            self.note(number, at, spot, failure, telling);
        }
    }

    fn note(&mut self, number: usize, at: Timestamp, spot: &Spot, failure: &Failure, telling: u8) {
        let Some(state) = self.recipients.get_mut(number) else {
            return;
        };
        let attempt = spot.attempt(at, failure.reply.as_ref(), failure.outcome());
        let place = match failure.permanent {
            true => &mut state.permanent,
            false => &mut state.temporary,
        };
        if place.as_ref().is_none_or(|(before, _)| telling >= *before) {
            *place = Some((telling, attempt));
        }
    }

    fn settle(&mut self, number: usize, attempt: Attempt) {
        if let Some(state) = self.recipients.get_mut(number) {
            state.done = Some(attempt);
        }
    }

    fn settle_all(&mut self, attempt: &Attempt) {
        for number in self.pending() {
            self.settle(number, attempt.clone());
        }
    }

    fn finish(self, at: Timestamp) -> Vec<Attempt> {
        let nothing = Outcome::Deferred {
            status: "4.4.1".to_owned(),
            why: "no server could be reached".to_owned(),
        };
        let states = self.recipients.into_iter().map(|state| {
            // What may change, changes the verdict: only where every way is closed for good has it failed.
            let open = state
                .temporary
                .or(state.permanent)
                .map(|(_, attempt)| attempt);
            let last = || Spot::default().attempt(at, None, nothing.clone());
            state.done.or(open).unwrap_or_else(last)
        });
        states.collect()
    }
}

impl Failure {
    fn outcome(&self) -> Outcome {
        let why = self.words();
        if self.permanent {
            Outcome::Failed {
                status: format!("5.{}", self.status),
                why,
            }
        } else {
            let own = self.reply.as_ref().filter(|reply| reply.is_temporary());
            let status = own
                .and_then(|reply| reply.enhanced)
                .map(|code| code.to_string());
            Outcome::Deferred {
                status: status.unwrap_or_else(|| format!("4.{}", self.status)),
                why,
            }
        }
    }

    fn telling(&self) -> u8 {
        match (&self.reply, &self.flaw) {
            (Some(_), _) => REPLY,
            (None, Some(_)) => POLICY,
            (None, None) if self.permanent => POLICY,
            (None, None) => CONNECTION,
        }
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Failure {
        Failure {
            permanent: unfit.permanent,
            status: unfit.status,
            flaw: unfit.kind.map(|kind| super::verify::Flaw {
                kind,
                what: unfit.why.clone(),
            }),
            why: unfit.why,
            reply: None,
            clear_helps: false,
        }
    }
}

impl Spot {
    fn attempt(&self, at: Timestamp, reply: Option<&Reply>, outcome: Outcome) -> Attempt {
        Attempt {
            at,
            peer: self.peer.clone(),
            address: self.address,
            tls: self.tls.clone(),
            policy: self
                .policy
                .clone()
                .unwrap_or_else(|| "no connection was made".to_owned()),
            reply: reply.map(Reply::to_string),
            outcome,
        }
    }

    fn of(connection: &Connection, protection: &Protection) -> Spot {
        Spot {
            peer: Some(connection.host.clone()),
            address: Some(connection.peer.ip()),
            tls: connection.tls.clone(),
            policy: Some(protection.why.clone()),
        }
    }
}

/// A try under way.
struct Try<'a> {
    shared: &'a Arc<Shared>,
    config: &'a Config,
    job: &'a Job,
    progress: &'a mut Progress,
    sessions: usize,
    addresses: usize,
    route: Option<&'a Route>,
    /// Whether the domain asks for reports about TLS.
    report: bool,
}

impl Try<'_> {
    async fn run(mut self) {
        self.route = route(&self.config.routes, &self.job.domain);
        let random = || u64::from_ne_bytes(self.shared.random());
        let found = resolve::destination(
            &self.shared.dns,
            self.config,
            &self.job.domain,
            self.route,
            random,
        );
        let destination = match found.await {
            Ok(destination) => destination,
            Err(nowhere) => {
                let attempt = Spot::default().attempt(self.now(), None, nowhere.outcome);
                return self.progress.settle_all(&attempt);
            }
        };
        let of_domain = matches!(destination.found, Found::Mx { .. } | Found::Itself);
        let mut policy = None;
        if of_domain {
            let domain = &self.job.domain;
            let (found, report) = tokio::join!(
                sts::find(self.shared, &self.shared.ways.failures, domain),
                tls_report::wanted(self.shared, domain)
            );
            self.report = report;
            if let Some((kind, what)) = found.failure {
                let flaw = super::verify::Flaw { kind, what };
                let reported = policy::Reported {
                    kind: "sts",
                    ..policy::Reported::default()
                };
                self.count(&reported, Place::default(), Some(&flaw)).await;
            }
            policy = found.policy;
        }
        for host in &destination.hosts {
            self.host(&destination, host, policy.as_ref()).await;
            let spent = self.addresses >= ADDRESSES || self.sessions >= SESSIONS;
            if spent || self.progress.pending().is_empty() {
                return;
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.timestamp()
    }

    async fn count(
        &self,
        reported: &policy::Reported,
        place: Place,
        flaw: Option<&super::verify::Flaw>,
    ) {
        if self.report {
            let domain = &self.job.domain;
            tls_report::count(self.shared, domain, reported, place, flaw).await;
        }
    }

    /// Tries a host.
    async fn host(&mut self, destination: &Destination, host: &Host, sts: Option<&sts::Policy>) {
        let mut spot = Spot {
            peer: Some(host.name.clone()),
            ..Spot::default()
        };
        let addresses = match &host.addresses {
            Ok(answer) => resolve::in_turns(&answer.records),
            Err(error) => {
                let failure = Failure {
                    permanent: error.is_absence(),
                    status: if error.is_absence() { "4.4" } else { "4.3" },
                    why: format!("the address of {}: {error}", host.name),
                    reply: None,
                    flaw: None,
                    clear_helps: false,
                };
                return self.note(&spot, &failure);
            }
        };
        let protection = match self.protection(destination, host, sts).await {
            Ok(protection) => protection,
            Err(unfit) => {
                let failure = Failure::from(unfit);
                if let Some(flaw) = &failure.flaw {
                    let reported = match (flaw.kind, sts) {
                        ("dnssec-invalid", _) | (_, None) => policy::Reported {
                            kind: "tlsa",
                            ..policy::Reported::default()
                        },
                        (_, Some(policy)) => policy.reported(),
                    };
                    let place = Place {
                        mx: host.name.clone(),
                        ..Place::default()
                    };
                    self.count(&reported, place, Some(flaw)).await;
                }
                return self.note(&spot, &failure);
            }
        };
        spot.policy = Some(protection.why.clone());
        let key = self.key(host, &protection);
        while let Some(mut connection) = self.shared.ways.pool.take(&key) {
            // The server may have closed it meanwhile; then a new one tells.
            if let Used::Spoke = self.converse(&mut connection, &protection, true).await {
                self.release(key, connection);
                return;
            }
        }
        for address in addresses {
            if self.addresses >= ADDRESSES {
                return;
            }
            self.addresses = self.addresses.saturating_add(1);
            let peer = SocketAddr::new(address, host.port);
            spot.address = Some(address);
            let Some(mut connection) = self.connect(host, peer, &protection, &mut spot).await
            else {
                continue;
            };
            self.sessions = self.sessions.saturating_add(1);
            let used = self.converse(&mut connection, &protection, false).await;
            if let Used::Spoke = used {
                self.release(key, connection);
                return;
            }
            if self.progress.pending().is_empty() || self.sessions >= SESSIONS {
                return;
            }
        }
    }

    fn note(&mut self, spot: &Spot, failure: &Failure) {
        let now = self.now();
        self.progress
            .note_all(now, spot, failure, failure.telling());
    }

    async fn protection(
        &self,
        destination: &Destination,
        host: &Host,
        sts: Option<&sts::Policy>,
    ) -> Result<Protection, Unfit> {
        let envelope = &self.job.envelope;
        let wish = Wish {
            // RFC 8689 §4.2.1 speaks of messages whose return-path is not empty.
            require: envelope.require_tls && !envelope.reverse_path.is_empty(),
            optional: envelope.tls_optional,
        };
        let roots = || self.shared.roots.store();
        if let Some(route) = self.route
            && let Some(decided) = policy::routed(route.tls, host, wish, roots)
        {
            return decided;
        }
        let by_address = host.name.parse::<IpAddr>().is_ok();
        let dane = match destination.found {
            Found::Literal => Ok(Dane::None),
            Found::Route if by_address => Ok(Dane::None),
            found => policy::dane(&self.shared.dns, found, host).await,
        };
        policy::decide(destination, host, &dane, sts, wish, roots)
    }

    /// What a connection must have in common with one that is opened now.
    fn key(&self, host: &Host, protection: &Protection) -> String {
        let proof = match &protection.proof {
            Proof::None => String::new(),
            Proof::Names(names, _) => format!("{names:?}"),
            Proof::Dane(records, names) => format!("{records:?}{names:?}"),
        };
        let user = self
            .route
            .and_then(|route| route.login.as_ref())
            .map(|(user, _)| user);
        let source = self.route.and_then(|route| route.source);
        let Protection {
            tls,
            enforce,
            require_tls,
            server_name,
            ..
        } = protection;
        format!(
            "{}:{} {tls:?} {enforce} {require_tls} {server_name} {user:?} {source:?} {proof}",
            host.name, host.port
        )
    }

    /// Opens a connection; without TLS if it fails and was only to be used if it works.
    async fn connect(
        &mut self,
        host: &Host,
        peer: SocketAddr,
        protection: &Protection,
        spot: &mut Spot,
    ) -> Option<Connection> {
        let configured = self.config.courier.sources.iter();
        let mut configured = configured.filter(|ip| ip.is_ipv4() == peer.is_ipv4());
        let routed = self.route.and_then(|route| route.source);
        let source = routed
            .filter(|ip| ip.is_ipv4() == peer.is_ipv4())
            .or_else(|| configured.next().copied());
        for opportunistic in [true, false] {
            let opening = Opening {
                hello: &self.config.hostname,
                host: &host.name,
                peer,
                source,
                protection,
                opportunistic,
                login: self.route.and_then(|route| route.login.as_ref()),
                patience: self.config.courier.patience,
            };
            let place = |local: Option<IpAddr>| Place {
                mx: host.name.clone(),
                address: peer.ip().to_string(),
                source: local.map(|ip| ip.to_string()).unwrap_or_default(),
            };
            match Connection::open(&opening).await {
                Ok(connection) => {
                    // A failure before was counted as one.
                    if opportunistic {
                        let flaw = connection.flaw.clone();
                        let place = place(connection.local);
                        self.count(&protection.reported, place, flaw.as_ref()).await;
                    }
                    return Some(connection);
                }
                Err(failure) => {
                    tracing::debug!(host = host.name, %peer, why = failure.why, "no connection");
                    if let Some(flaw) = &failure.flaw {
                        let place = place(source);
                        self.count(&protection.reported, place, Some(flaw)).await;
                    }
                    self.note(spot, &failure);
                    // RFC 7435 §3: what would have been sent in the clear anyway, goes in the clear.
                    if !(opportunistic && protection.tls == Tls::IfOffered && failure.clear_helps) {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn release(&self, key: String, connection: Connection) {
        self.shared.ways.pool.put(key, connection);
    }

    /// Sends the message to all that still need it over one connection. `again`: it has been used before.
    async fn converse(
        &mut self,
        connection: &mut Connection,
        protection: &Protection,
        again: bool,
    ) -> Used {
        let spot = Spot::of(connection, protection);
        let message = match fits(self.job, connection) {
            // The conversion broke our signatures, and only ours can be made again.
            Ok(Cow::Owned(converted)) if self.job.envelope.submitter.is_some() => {
                Cow::Owned(crate::sign::again(self.shared, converted))
            }
            Ok(message) => message,
            Err(failure) => {
                self.note(&spot, &failure);
                return Used::Spoke;
            }
        };
        self.leave_to_new_owners(connection, &spot);
        let announced = connection.offered().limits.recipients;
        let most = announced.map_or(TOGETHER, |most| usize::try_from(most).unwrap_or(TOGETHER));
        for numbers in self.progress.pending().chunks(most.clamp(1, TOGETHER)) {
            let recipients: Vec<&JobRecipient> = numbers
                .iter()
                .filter_map(|number| self.job.recipients.get(*number))
                .collect();
            let now = self.now();
            let Some(envelope) =
                transaction::envelope(self.job, &recipients, connection, &message, now)
            else {
                let failure = Failure::never("1.3", "an address of the envelope is malformed");
                self.note(&spot, &failure);
                return Used::Spoke;
            };
            match transaction::send(connection, envelope, &message).await {
                Verdict::Said(verdicts) => self.said(numbers, verdicts, connection, &spot),
                Verdict::Lost { failure, unsure } => {
                    return self.lost(numbers, &spot, failure, unsure, again);
                }
            }
        }
        Used::Spoke
    }

    /// RFC 7293 §5.1.1: an address that may have a new owner goes only to a server that can tell.
    fn leave_to_new_owners(&mut self, connection: &Connection, spot: &Spot) {
        if connection.offered().has("RRVS") {
            return;
        }
        let now = self.now();
        for number in self.progress.pending() {
            let recipient = self.job.recipients.get(number);
            let asked = recipient.and_then(|recipient| recipient.rrvs);
            if asked.is_some_and(|since| !since.anyway) {
                let outcome = Outcome::Failed {
                    status: "5.7.19".to_owned(),
                    why: "the address may have a new owner, which the server cannot tell"
                        .to_owned(),
                };
                self.progress
                    .settle(number, spot.attempt(now, None, outcome));
            }
        }
    }

    fn said(
        &mut self,
        numbers: &[usize],
        verdicts: Vec<Result<Reply, Reply>>,
        connection: &Connection,
        spot: &Spot,
    ) {
        let now = self.now();
        let dsn_relayed = connection.offered().has("DSN");
        let by_relayed = connection.offered().has("DELIVERBY");
        for (number, verdict) in numbers.iter().zip(verdicts) {
            match verdict {
                Ok(reply) => {
                    let outcome = Outcome::Delivered {
                        dsn_relayed,
                        by_relayed,
                    };
                    self.progress
                        .settle(*number, spot.attempt(now, Some(&reply), outcome));
                }
                Err(reply) if reply.is_permanent() => {
                    let status = reply
                        .enhanced
                        .map_or_else(|| "5.0.0".to_owned(), |code| code.to_string());
                    let outcome = Outcome::Failed {
                        status,
                        why: format!("the server answered: {reply}"),
                    };
                    self.progress
                        .settle(*number, spot.attempt(now, Some(&reply), outcome));
                }
                Err(reply) => {
                    let failure = Failure {
                        permanent: false,
                        status: "0.0",
                        why: String::new(),
                        reply: Some(reply),
                        flaw: None,
                        clear_helps: false,
                    };
                    self.progress.note(*number, now, spot, &failure, REPLY);
                }
            }
        }
    }

    fn lost(
        &mut self,
        numbers: &[usize],
        spot: &Spot,
        failure: Failure,
        unsure: bool,
        again: bool,
    ) -> Used {
        let now = self.now();
        let telling = failure.telling();
        let refused = failure.reply.as_ref().is_some_and(Reply::is_permanent);
        if failure.permanent || refused || unsure {
            for number in numbers {
                let mut outcome = failure.outcome();
                if refused {
                    let status = failure.reply.as_ref().and_then(|reply| reply.enhanced);
                    outcome = Outcome::Failed {
                        status: status.map_or_else(|| "5.0.0".to_owned(), |code| code.to_string()),
                        why: failure.words(),
                    };
                }
                let attempt = spot.attempt(now, failure.reply.as_ref(), outcome);
                self.progress.settle(*number, attempt);
            }
            return Used::Broke;
        }
        // A server may end a connection that waited; that says nothing about the message.
        if !again {
            for number in numbers {
                self.progress.note(*number, now, spot, &failure, telling);
            }
        }
        Used::Broke
    }
}

/// The message as the server can take it, or why it cannot.
fn fits<'m>(job: &'m Job, connection: &Connection) -> Result<Cow<'m, [u8]>, Box<Failure>> {
    let offered = connection.offered();
    let never = |status, why: &str| Box::new(Failure::never(status, why));
    // RFC 2852 §4.1.4.1.
    let returned = |by: &store::DeliverBy| by.mode == DeliverByMode::Return;
    if job.envelope.deliver_by.as_ref().is_some_and(returned) && !offered.has("DELIVERBY") {
        return Err(never(
            "3.3",
            "the message must arrive in time, which the server does not promise",
        ));
    }
    let international = job.envelope.smtputf8 && !transaction::header(&job.message).is_ascii();
    if international && !offered.smtputf8 {
        return Err(never(
            "6.7",
            "the header of the message needs SMTPUTF8, which the server does not offer",
        ));
    }
    convert::fit(job, offered)
}

impl Failure {
    fn words(&self) -> String {
        match &self.reply {
            Some(reply) => format!("the server answered: {reply}"),
            None => self.why.clone(),
        }
    }
}

/// What became of a connection.
enum Used {
    /// It can be used again.
    Spoke,
    /// It cannot.
    Broke,
}
