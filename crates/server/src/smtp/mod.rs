//! Policy and storage behind SMTP, submission and LMTP: what `smtp::server::Session` cannot know.
//!
//! Owns: who may send from and to where, the memory of the message in flight, and the map from failures of the store to
//! replies. One file per command; each handler returns its verdict, and [`Handler::handle`] alone passes it on.
//!
//! Invariants: mail is taken for local recipients only, whoever sends it; nothing is answered with 250 before the
//! pipeline says that it is durable; STARTTLS forgets all that was known in the clear.
//!
//! Limits: [`data::Incoming`] holds the octets of one message against the server's memory budget.

mod auth;
mod burl;
mod data;
mod domain;
mod etrn;
mod extensions;
mod hello;
mod mail;
mod rcpt;
pub mod refusal;
mod stranger;
mod xclient;

use std::sync::Arc;
use std::time::Duration;

use smtp::reply::Reply;
use smtp::server::{Accepted, Config, Event, Kind, Limits, Session};
use socket2::SockRef;

use crate::auth::{Exchange, Identity, Origin};
use crate::config::Service;
use crate::drive::{self, Connection, Gone, Link, Next};
use crate::filter::Aside;
use crate::pipeline::Path;
use crate::shared::Shared;
use crate::strangers::Stranger;
use crate::stream::{Stream, TlsInfo};

/// What a handler answers with.
type Verdict = Result<Accepted, Reply>;

/// Serves one connection of an SMTP service until it ends.
pub async fn serve(connection: Connection, shared: Arc<Shared>, service: Service) {
    if service == Service::Smtp {
        keep_waiting(&connection, &shared).await;
    }
    let mut session = Session::new(config(&connection, &shared, service));
    if talks_first(&connection.stream) {
        // RFC 5321 §4.3.1: the client waits for the greeting. What it said is not even read.
        session.receive(b"\0");
    }
    let handler = Handler::new(shared, service);
    drive::drive(connection, session, handler).await;
}

fn config(connection: &Connection, shared: &Shared, service: Service) -> Config {
    let config = shared.config();
    let kind = match service {
        Service::Submission | Service::Submissions => Kind::Submission,
        Service::Lmtp => Kind::Lmtp,
        _ => Kind::Reception,
    };
    let tls = connection.tls.as_ref();
    // Users log in where they submit; a login on the reception port would only widen what can be attacked.
    let (mechanisms, mechanisms_clear) = match (kind, tls) {
        (Kind::Submission, Some(_)) => (shared.auth.mechanisms(&connection.peer, tls), Vec::new()),
        (Kind::Submission, None) => (
            shared
                .auth
                .mechanisms(&connection.peer, Some(&TlsInfo::at_best())),
            shared.auth.mechanisms(&connection.peer, None),
        ),
        _ => (Vec::new(), Vec::new()),
    };
    Config {
        kind,
        host: config.hostname.clone(),
        tls: tls.is_some(),
        starttls: connection.acceptor.is_some(),
        mechanisms,
        mechanisms_clear,
        // Submission clients are many and old; strangers have to keep to the protocol.
        strict_pipelining: kind == Kind::Reception,
        extensions: extensions::offered(kind, &config, &connection.peer, shared.timestamp()),
        quirks: config.quirks.smtp,
        limits: Limits {
            message: config.limits.message_size,
            recipients: config.limits.recipients,
            ..Limits::default()
        },
    }
}

/// Lets a stranger wait a moment for the greeting, until it talks or has gone. Programs that only send do not listen either.
async fn keep_waiting(connection: &Connection, shared: &Shared) {
    let config = shared.config();
    let ip = connection.peer.ip;
    let known = crate::judge::is_known(&config.reception, ip) || config.smtp.trusts(ip);
    let Stream::Tcp(socket) = &connection.stream else {
        return;
    };
    if known || config.smtp.greeting_delay.is_zero() {
        return;
    }
    let mut octet = [0];
    tokio::select! {
        _ = socket.peek(&mut octet) => {}
        () = tokio::time::sleep(config.smtp.greeting_delay) => {}
        () = connection.wake.stopped() => {}
    }
}

/// Whether octets have come before our greeting went out. Only a glance: nobody is made to wait for it.
fn talks_first(stream: &Stream) -> bool {
    let Stream::Tcp(socket) = stream else {
        return false;
    };
    let mut octet = [std::mem::MaybeUninit::uninit()];
    matches!(SockRef::from(socket).peek(&mut octet), Ok(1..))
}

impl drive::Session for Session {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        Session::receive(self, bytes);
    }

    fn poll(&mut self) -> Option<Event> {
        Session::poll(self)
    }

    fn transmit(&mut self) -> Option<Vec<u8>> {
        Session::transmit(self)
    }

    fn pending(&self) -> usize {
        Session::pending(self)
    }

    fn timeout(&self) -> Duration {
        Session::timeout(self)
    }

    fn handle_timeout(&mut self) {
        Session::handle_timeout(self);
    }

    fn shutdown(&mut self) {
        Session::shutdown(self);
    }

    fn closed(&self) -> bool {
        Session::closed(self)
    }

    fn is_progress(event: &Event) -> bool {
        !matches!(event, Event::Data(_))
    }

    fn awaits_login(&self) -> bool {
        Session::awaits_login(self)
    }

    fn cut(&mut self) {
        Session::cut(self);
    }

    fn tls_started(&mut self, tls: &TlsInfo) {
        Session::tls_started(self);
        for mechanism in tls.withdrawn() {
            self.withdraw(mechanism);
        }
    }
}

/// The policy of one connection.
struct Handler {
    shared: Arc<Shared>,
    service: Service,
    kind: Kind,
    /// What the client calls itself, and whether it speaks ESMTP.
    hello: Option<hello::Hello>,
    identity: Option<Identity>,
    exchange: Option<Exchange>,
    transaction: Option<mail::Transaction>,
    /// Recipients that nobody has, and those that somebody has, over the whole connection.
    unknown: u32,
    known: u32,
    /// How long the connection may still wait for the DNS at MAIL and RCPT.
    patience_left: Duration,
    /// Who looks at messages, and what is known of a stranger.
    aside: Aside,
    stranger: Option<Stranger>,
}

impl Handler {
    fn new(shared: Arc<Shared>, service: Service) -> Handler {
        let kind = match service {
            Service::Submission | Service::Submissions => Kind::Submission,
            Service::Lmtp => Kind::Lmtp,
            _ => Kind::Reception,
        };
        let aside = Aside::new(&shared.config().filters, kind);
        Handler {
            shared,
            service,
            kind,
            hello: None,
            identity: None,
            exchange: None,
            transaction: None,
            unknown: 0,
            known: 0,
            patience_left: domain::PATIENCE,
            aside,
            stranger: None,
        }
    }

    /// What TLS begins with: nothing.
    fn forget(&mut self) {
        self.hello = None;
        self.identity = None;
        self.exchange = None;
        self.transaction = None;
        self.aside.forget();
    }

    /// Paths of the recipients so far.
    fn paths(&self) -> &[Path] {
        self.transaction
            .as_ref()
            .map_or(&[], |transaction| &transaction.recipients)
    }
}

impl drive::Handler<Session> for Handler {
    async fn handle(&mut self, link: &mut Link<Session>, event: Event) -> Result<Next, Gone> {
        if link.wake.is_dismissed() {
            // RFC 5321 §3.8: 421, in the middle of a message if need be, of which nothing is kept.
            link.session.dismiss();
            return Ok(Next::Continue);
        }
        let address = match &event {
            Event::Mail { from, .. } => from.to_string(),
            Event::Recipient { to, .. } => to.to_string(),
            _ => String::new(),
        };
        let verdict = match event {
            Event::Hello { name, extended } => self.hello(name, extended),
            Event::Mail { from, parameters } => {
                let may_log_in = self.shared.auth.may_log_in(&link.peer, link.tls.as_ref());
                match self.sender_exists(&from, link).await {
                    Ok(()) => match self.mail(from, parameters, &link.peer, may_log_in) {
                        Ok(accepted) => self.sender_admitted(link).await.map(|()| accepted),
                        refused => refused,
                    },
                    Err(reply) => Err(reply),
                }
            }
            Event::Recipient { to, parameters } => self.rcpt(to, parameters, link).await,
            Event::DataStart => self.data_start().await,
            Event::Data(octets) => {
                self.data(octets).await;
                return Ok(Next::Continue);
            }
            Event::Url(url) => {
                let shown = burl::without_token(&url).to_owned();
                let fetched = self.url(url).await;
                let outcome = fetched.as_ref().map(Vec::len);
                // RFC 4468 §8: who used which URL.
                match outcome {
                    Ok(octets) => {
                        tracing::info!(peer = %link.peer, url = ?shown, octets, "a URL was fetched");
                    }
                    Err(reply) => {
                        tracing::info!(peer = %link.peer, url = ?shown, %reply, "a URL was refused");
                    }
                }
                link.session.answer_url(fetched);
                return Ok(Next::Continue);
            }
            Event::DataEnd => {
                let verdicts = self.data_end(link).await;
                link.session.answer_recipients(verdicts);
                return Ok(Next::Continue);
            }
            Event::Reset => {
                self.transaction = None;
                self.aside.reset().await;
                return Ok(Next::Continue);
            }
            Event::StartTls => {
                self.forget();
                link.session.answer(Ok(Accepted::default()));
                return Ok(Next::StartTls);
            }
            Event::Client(client) => self.xclient(link, &client),
            Event::Forwarded(client) => self.xforward(link, &client),
            Event::Etrn { domain, below } => self.etrn(domain, below).await,
            Event::Authenticate { mechanism, initial } => {
                self.exchange = Some(Exchange::new(mechanism, link.tls.as_ref()));
                self.auth(link, true, initial).await;
                return Ok(Next::Continue);
            }
            Event::SaslResponse(response) => {
                self.auth(link, false, Some(response)).await;
                return Ok(Next::Continue);
            }
            Event::SaslAborted => {
                self.exchange = None;
                return Ok(Next::Continue);
            }
        };
        if let Err(reply) = &verdict {
            self.patience().await;
            tracing::info!(peer = %link.peer, service = %self.service, ?address, %reply, "refused");
        }
        link.session.answer(verdict);
        Ok(Next::Continue)
    }

    async fn woken(&mut self, link: &mut Link<Session>) -> Result<Next, Gone> {
        if link.wake.is_dismissed() {
            link.session.dismiss();
        }
        Ok(Next::Continue)
    }
}
