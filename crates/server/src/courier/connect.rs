//! A connection to another server: opened, protected as the policy asks, and driven.
//!
//! Invariants: nothing of a message is sent before the protection stands; what a server says in the clear behind its answer to
//! STARTTLS ends the connection (attack A8); a password goes only where the route allows it.
//!
//! Limits: [`CONNECT_PATIENCE`] for TCP and for the handshake; a reply has the time that RFC 5321 §4.5.3.2 asks for, counted
//! until it is whole, so that one octet now and then gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::{ClientConfig, ProtocolVersion};
use rustls_pki_types::ServerName;
use smtp::client::{self, Capabilities, Event, Session};
use smtp::reply::Reply;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, Secret, nonce};

use super::policy::{Protection, Tls};
use super::verify::{Flaw, Verifier};

/// How long an address may take to answer, and how long a handshake may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Octets read at once.
const READ_SIZE: usize = 16 * 1024;

/// Why a connection cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// It will be so next time as well.
    pub(super) permanent: bool,
    /// The status without its class.
    pub(super) status: &'static str,
    /// In words.
    pub(super) why: String,
    /// What the server said.
    pub(super) reply: Option<Reply>,
    /// What reports are told.
    pub(super) flaw: Option<Flaw>,
    /// Without TLS it may go better, where that is allowed. Not so when somebody has tampered with STARTTLS.
    pub(super) clear_helps: bool,
}

impl Failure {
    /// One that may be otherwise next time.
    pub(super) fn new(status: &'static str, why: impl Into<String>) -> Failure {
        Failure {
            permanent: false,
            status,
            why: why.into(),
            reply: None,
            flaw: None,
            clear_helps: false,
        }
    }

    /// One that will be so next time as well.
    pub(super) fn never(status: &'static str, why: impl Into<String>) -> Failure {
        Failure {
            permanent: true,
            ..Failure::new(status, why)
        }
    }

    fn tls(why: impl Into<String>, flaw: Flaw) -> Failure {
        Failure {
            flaw: Some(flaw),
            ..Failure::new("7.5", why)
        }
    }

    /// What the session made of the server's words.
    pub(super) fn session(error: client::Error) -> Failure {
        use client::Error as E;
        let why = error.to_string();
        match error {
            // RFC 7504 §3: the host takes no mail at all. Any other refusal may be about us, or about today.
            E::Refused(reply) => Failure {
                permanent: reply.code == 521,
                reply: Some(reply),
                ..Failure::new("3.2", why)
            },
            E::NoTls => Failure {
                clear_helps: true,
                ..Failure::tls(why, no_starttls())
            },
            E::Injection => Failure::tls(
                why.clone(),
                Flaw {
                    kind: "validation-failure",
                    what: why,
                },
            ),
            E::TimedOut | E::Closed => Failure::new("4.2", why),
            E::Malformed | E::Order => Failure::new("5.0", why),
            E::BadContent => Failure::never("6.0", why),
            E::NoUtf8 => Failure::never("6.7", why),
            E::NoBinary => Failure::never("6.1", why),
            // None is ever given to a courier.
            E::NoUrls => Failure::new("5.0", why),
            E::TooBig(_) => Failure::never("3.4", why),
        }
    }
}

fn no_starttls() -> Flaw {
    Flaw {
        kind: "starttls-not-supported",
        what: "the server does not offer STARTTLS".to_owned(),
    }
}

/// How to open a connection.
#[derive(Debug, Clone)]
pub(super) struct Opening<'a> {
    /// Our name for EHLO.
    pub(super) hello: &'a str,
    /// The host's name.
    pub(super) host: &'a str,
    /// Where it is.
    pub(super) peer: SocketAddr,
    /// The address to send from.
    pub(super) source: Option<IpAddr>,
    /// How it is protected.
    pub(super) protection: &'a Protection,
    /// Whether TLS is used where it is only offered; without it after it failed.
    pub(super) opportunistic: bool,
    /// User name and password.
    pub(super) login: Option<&'a (String, Secret)>,
    /// How long the server may take for a reply.
    pub(super) patience: Duration,
}

/// A connection that is ready for messages.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    session: Session,
    /// Octets on their way out.
    out: Vec<u8>,
    sent: usize,
    /// What the server said before it was asked.
    early: Option<Event>,
    /// The host's name.
    pub(super) host: String,
    /// Its address.
    pub(super) peer: SocketAddr,
    /// Our own.
    pub(super) local: Option<IpAddr>,
    /// What TLS agreed on: `TLSv1.3 TLS13_AES_256_GCM_SHA384`.
    pub(super) tls: Option<String>,
    /// What its certificate does not prove, or that there is no TLS; only where that is allowed.
    pub(super) flaw: Option<Flaw>,
    /// Whether we logged in.
    pub(super) authenticated: bool,
    /// Messages sent over it.
    pub(super) messages: u32,
}

#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    /// Boxed: the state of TLS is a thousand octets.
    Tls(Box<TlsStream<TcpStream>>),
    Nothing,
}

impl Connection {
    /// Connects, protects and greets.
    pub(super) async fn open(opening: &Opening<'_>) -> Result<Connection, Failure> {
        let tcp = connect(opening.peer, opening.source).await?;
        let implicit = opening.protection.tls == Tls::Implicit;
        let session = Session::new(client::Config {
            lmtp: false,
            host: opening.hello.to_owned(),
            tls: implicit,
            limits: client::Limits {
                reply_timeout: opening.patience,
                data_end_timeout: opening.patience.saturating_mul(2),
                ..client::Limits::default()
            },
        });
        let mut connection = Connection {
            local: tcp.local_addr().ok().map(|address| address.ip()),
            stream: Stream::Clear(tcp),
            session,
            out: Vec::new(),
            sent: 0,
            early: None,
            host: opening.host.to_owned(),
            peer: opening.peer,
            tls: None,
            flaw: None,
            authenticated: false,
            messages: 0,
        };
        if implicit {
            connection.handshake(opening.protection).await?;
        }
        let mut offered = connection.ready().await?;
        let wanted = match opening.protection.tls {
            Tls::Must => true,
            Tls::IfOffered => {
                if !offered.starttls {
                    connection.flaw = Some(no_starttls());
                }
                opening.opportunistic && offered.starttls
            }
            Tls::Never | Tls::Implicit => false,
        };
        if wanted {
            offered = connection.start_tls(opening.protection).await?;
        }
        // RFC 8689 §4.2.1: what it offered in the clear does not count.
        if opening.protection.require_tls
            && !(connection.tls.is_some() && offered.has("REQUIRETLS"))
        {
            connection.quit().await;
            return Err(Failure {
                permanent: true,
                ..Failure::new(
                    "7.30",
                    "the message requires TLS on its whole way, which the server does not promise",
                )
            });
        }
        if let Some(login) = opening.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    async fn ready(&mut self) -> Result<Capabilities, Failure> {
        match self.event().await {
            Event::Ready(offered) => Ok(offered),
            Event::Failed(error) => Err(Failure::session(error)),
            _ => Err(Failure::session(client::Error::Order)),
        }
    }

    async fn start_tls(&mut self, protection: &Protection) -> Result<Capabilities, Failure> {
        self.session.start_tls();
        match self.event().await {
            Event::StartTls => {}
            Event::Failed(error) => return Err(Failure::session(error)),
            _ => return Err(Failure::session(client::Error::Order)),
        }
        self.handshake(protection).await?;
        self.session.tls_started();
        self.ready().await
    }

    async fn handshake(&mut self, protection: &Protection) -> Result<(), Failure> {
        let Stream::Clear(tcp) = std::mem::replace(&mut self.stream, Stream::Nothing) else {
            return Err(Failure::session(client::Error::Order));
        };
        let verifier = Arc::new(Verifier::new(protection.proof.clone(), protection.enforce));
        let connecting = connector(&verifier)
            .and_then(|connector| Ok((connector, server_name(protection, self.peer.ip())?)));
        let done = match connecting {
            Ok((connector, name)) => {
                let shake = connector.connect(name, tcp);
                match tokio::time::timeout(CONNECT_PATIENCE, shake).await {
                    Ok(done) => done,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                }
            }
            Err(error) => Err(error),
        };
        let stream = done.map_err(|error| {
            let flaw = verifier.flaw();
            let what = flaw
                .as_ref()
                .map_or_else(|| error.to_string(), |flaw| flaw.what.clone());
            let flaw = flaw.unwrap_or_else(|| Flaw {
                kind: "validation-failure",
                what: error.to_string(),
            });
            // What is no TLS at all was put there, or a server that says one thing and does another.
            let garbled = matches!(
                error.get_ref().and_then(|inner| inner.downcast_ref()),
                Some(rustls::Error::InvalidMessage(_))
            );
            Failure {
                clear_helps: !garbled,
                ..Failure::tls(format!("TLS failed: {what}"), flaw)
            }
        })?;
        let (_, state) = stream.get_ref();
        let version = match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = state.negotiated_cipher_suite();
        let cipher = cipher
            .map(|suite| format!(" {:?}", suite.suite()))
            .unwrap_or_default();
        self.tls = Some(format!("{version}{cipher}"));
        self.flaw = verifier.flaw();
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// Logs in with the strongest mechanism both know.
    async fn log_in(&mut self, (user, password): &(String, Secret)) -> Result<(), Failure> {
        let offered = self.session.capabilities().mechanisms.clone();
        let knows = |mechanism: Mechanism| offered.iter().any(|name| name == mechanism.name());
        let binding = ChannelBinding {
            tls_exporter: self.exporter(),
            plus_advertised: knows(Mechanism::ScramSha256Plus),
        };
        let usable = Mechanism::ALL.into_iter().filter(|mechanism| {
            knows(*mechanism)
                && (*mechanism != Mechanism::ScramSha256Plus || binding.tls_exporter.is_some())
                // Without TLS the password itself stays here; on this machine nobody listens in between.
                && (!mechanism.is_cleartext() || self.tls.is_some() || self.peer.ip().is_loopback())
        });
        let Some(mechanism) = usable.min() else {
            return Err(Failure::new(
                "7.0",
                "the server offers no way to log in that is safe and known",
            ));
        };
        let credentials = Credentials {
            authzid: None,
            user: user.clone(),
            password: password.clone(),
        };
        let mut exchange = Exchange::new(
            mechanism,
            credentials,
            binding,
            nonce(crate::auth::random()),
        );
        let broken =
            |error: wire::sasl::Error| Failure::new("7.0", format!("logging in failed: {error}"));
        let initial = exchange.initial().map_err(broken)?;
        self.session.authenticate(mechanism, initial.as_deref());
        loop {
            match self.event().await {
                Event::Challenge(challenge) => {
                    let response = exchange.step(&challenge);
                    self.session.respond(response.as_deref().ok());
                    if let Err(error) = response {
                        return Err(broken(error));
                    }
                }
                Event::Authenticated(Ok(())) => {
                    exchange.finish().map_err(broken)?;
                    self.authenticated = true;
                    return Ok(());
                }
                Event::Authenticated(Err(reply)) => {
                    return Err(Failure {
                        reply: Some(reply),
                        ..Failure::new("7.8", "the server does not let us in")
                    });
                }
                Event::Failed(error) => return Err(Failure::session(error)),
                _ => return Err(Failure::session(client::Error::Order)),
            }
        }
    }

    /// RFC 9266 §2, with TLS 1.3 alone.
    fn exporter(&self) -> Option<[u8; 32]> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let (_, state) = stream.get_ref();
        if state.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        let label = b"EXPORTER-Channel-Binding";
        state.export_keying_material([0; 32], label, Some(&[])).ok()
    }

    /// What the server offers.
    pub(super) fn offered(&self) -> &Capabilities {
        self.session.capabilities()
    }

    /// The session, to give it commands.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether everything given to the session has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.session.pending() == 0 && self.sent >= self.out.len()
    }

    /// The next event; the end of the connection and of patience are events as well.
    pub(super) async fn event(&mut self) -> Event {
        let mut clock = Clock::new(&self.session);
        loop {
            if let Some(event) = self.early.take().or_else(|| self.session.poll()) {
                return event;
            }
            if self.session.closed() {
                return Event::Failed(client::Error::Closed);
            }
            self.step(&mut clock).await;
        }
    }

    /// Lets octets leave until few wait. What the server says meanwhile is left for [`Connection::event`]; if it decides
    /// anything, nothing more needs to leave.
    pub(super) async fn drain(&mut self, few: usize) {
        let mut clock = Clock::new(&self.session);
        while self.early.is_none() && !self.session.closed() {
            self.early = self.session.poll();
            let waiting = self.out.len().saturating_sub(self.sent);
            if self.session.pending().saturating_add(waiting) <= few {
                return;
            }
            if self.early.is_none() {
                self.step(&mut clock).await;
            }
        }
    }

    /// Whether the server has decided something in the middle of the message.
    pub(super) fn has_early(&self) -> bool {
        self.early.is_some()
    }

    /// Waits until the server has answered everything so far.
    pub(super) async fn answered(&mut self) {
        let mut clock = Clock::new(&self.session);
        while self.early.is_none() && !self.session.closed() {
            self.early = self.session.poll();
            if self.session.outstanding() == 0 {
                return;
            }
            if self.early.is_none() {
                self.step(&mut clock).await;
            }
        }
    }

    /// Reads and writes what is possible, waiting until something is. Time runs until octets leave or a reply is whole.
    async fn step(&mut self, clock: &mut Clock) {
        clock.wind(&self.session);
        match tokio::time::timeout_at(clock.until, self.transfer()).await {
            Err(_) => self.session.handle_timeout(),
            Ok(Moved::Out) => *clock = Clock::new(&self.session),
            Ok(Moved::In) => {}
            Ok(Moved::Ended) => {
                // Its last words count.
                self.early = self.session.poll();
                if self.early.is_none() {
                    self.session.handle_eof();
                }
            }
        }
    }

    /// Moves octets in both directions: a server may refuse in the middle of a message, and stop reading.
    async fn transfer(&mut self) -> Moved {
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0;
            while let Some(octets) = self.session.transmit() {
                match self.out.is_empty() {
                    true => self.out = octets,
                    false => self.out.extend_from_slice(&octets),
                }
            }
        }
        let Connection {
            stream,
            session,
            out,
            sent,
            ..
        } = self;
        std::future::poll_fn(|context| {
            let mut moved = None;
            while let Some(rest) = out.get(*sent..).filter(|rest| !rest.is_empty()) {
                match stream.poll_write(context, rest) {
                    Poll::Ready(Ok(octets)) => {
                        *sent = sent.saturating_add(octets);
                        moved = Some(Moved::Out);
                    }
                    // What the server said before it hung up may still be there to read.
                    Poll::Ready(Err(_)) => *sent = out.len(),
                    Poll::Pending => break,
                }
            }
            if *sent >= out.len() {
                let _ = stream.poll_flush(context);
            }
            let mut space = [0; READ_SIZE];
            let mut buffer = ReadBuf::new(&mut space);
            match stream.poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Moved::Ended),
                Poll::Ready(Err(_)) => Poll::Ready(Moved::Ended),
                Poll::Ready(Ok(())) => {
                    session.receive(buffer.filled());
                    Poll::Ready(moved.unwrap_or(Moved::In))
                }
                Poll::Pending => match moved {
                    Some(moved) => Poll::Ready(moved),
                    None => Poll::Pending,
                },
            }
        })
        .await
    }

    /// Says goodbye without waiting long for an answer (RFC 5321 §4.1.1.10).
    pub(super) async fn quit(&mut self) {
        if self.session.closed() {
            return;
        }
        self.session.quit();
        let farewell =
            async { while !matches!(self.event().await, Event::Quit | Event::Failed(_)) {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
    }
}

/// How long the server may still be silent.
struct Clock {
    until: Instant,
    outstanding: usize,
}

impl Clock {
    fn new(session: &Session) -> Clock {
        Clock {
            until: Instant::now() + session.timeout(),
            outstanding: session.outstanding(),
        }
    }

    /// Begins anew where a reply has come.
    fn wind(&mut self, session: &Session) {
        if self.outstanding != session.outstanding() {
            *self = Clock::new(session);
        }
    }
}

enum Moved {
    In,
    Out,
    Ended,
}

async fn connect(peer: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Failure> {
    let opening = async {
        let socket = match peer {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match tokio::time::timeout(CONNECT_PATIENCE, opening).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::new(
            "4.1",
            format!("no connection to {peer}: {error}"),
        )),
        Err(_) => Err(Failure::new(
            "4.1",
            format!("no connection to {peer}: no answer"),
        )),
    }
}

fn connector(verifier: &Arc<Verifier>) -> io::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier) as Arc<_>)
        .with_no_client_auth();
    // A ticket would carry the verdict of one policy over to another.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name for the handshake; an address where the host has no name that TLS could carry.
fn server_name(protection: &Protection, address: IpAddr) -> io::Result<ServerName<'static>> {
    Ok(match ServerName::try_from(protection.server_name.clone()) {
        Ok(name) => name,
        Err(_) => ServerName::IpAddress(address.into()),
    })
}

impl Stream {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Stream::Clear(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Stream::Nothing => Poll::Ready(Ok(())),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Clear(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, octets),
            Stream::Nothing => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Stream::Nothing => Poll::Ready(Ok(())),
        }
    }
}
