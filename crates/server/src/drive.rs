//! The one loop that drives any session over any stream.
//!
//! Owns: reading, writing with backpressure, silence limits, the TLS swap of STARTTLS, wake-ups from outside
//! (changes of a mailbox, the server's end). Knows no protocol: a protocol's session implements [`Session`], its
//! policy [`Handler`], and `drive(connection, session, handler)` does the rest.
//!
//! Invariants: a handler runs alone with its session; replies of pipelined commands leave together; nothing is read
//! while replies wait for a slow peer, so a session's memory is bounded by [`FLUSH_ABOVE`] plus its own limits.
//!
//! Limits: [`FLUSH_ABOVE`], [`LOGIN_PATIENCE`], [`LAST_MESSAGE_PATIENCE`], [`WRITE_PATIENCE`], [`WRITE_PROGRESS`], [`HANDSHAKE_PATIENCE`], [`PROGRESS_OCTETS`].

use std::collections::VecDeque;
use std::future::Future;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use store::AccountId;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::deflate::{self, Deflate};
use crate::stream::{Peer, Stream, TlsInfo};

/// Octets of replies a session may hold before the handler has to let them go to the peer. Some large TCP windows
/// worth, so that a fast reader never waits for us; times ten thousand sessions still a bearable worst case.
pub const FLUSH_ABOVE: usize = 256 * 1024;

/// How long a peer may take none of what we write. Below the five minutes of RFC 5321 §4.5.3.2 on purpose: those
/// are for the peer's thinking; a peer that does not read holds our memory.
const WRITE_PATIENCE: Duration = Duration::from_secs(120);

/// A peer that takes less than this within [`WRITE_PATIENCE`] does not read: an octet now and then would hold a large message,
/// and its part of the memory for messages, for days (attack A21). The slowest mobile lines are four times as fast.
const WRITE_PROGRESS: usize = 64 * 1024;

/// How long a TLS handshake may take; a distant phone needs about two seconds.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// A peer that sends less than this within the session's silence limit, and no complete command, counts as silent.
/// Otherwise one octet now and then would hold a connection, and the memory of its message, for ever. With three
/// minutes of patience it asks for 45 octets per second, which the worst of lines exceeds.
const PROGRESS_OCTETS: usize = 8 * 1024;

/// How long a connection may last without a login, however busily it talks: a thousand that say NOOP now and then would take
/// the room of a thousand users. People at a terminal need a few minutes.
const LOGIN_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long a client may go on with the message it was sending when the server was told to stop. Then it is told so; what
/// follows must be over before the server ends.
const LAST_MESSAGE_PATIENCE: Duration = Duration::from_secs(3);

/// Chunks handed to one vectored write; the kernel takes up to 1,024, few replies have more than these.
const WRITE_SLICES: usize = 64;

/// How long the orderly end of a connection may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The same when the server is ending.
const STOP_PATIENCE: Duration = Duration::from_millis(200);

/// A protocol's session as the loop sees it: bytes in, events out, bytes out. The protocol crates' sessions have
/// these methods already; the server's module of that protocol connects them.
pub trait Session: Send {
    /// What the session asks its handler.
    type Event: Send;
    /// Takes octets from the peer.
    fn receive(&mut self, bytes: &[u8]);
    /// The next question for the handler; `None` when more input is needed.
    fn poll(&mut self) -> Option<Self::Event>;
    /// The next chunk for the peer.
    fn transmit(&mut self) -> Option<Vec<u8>>;
    /// Octets for the peer that `transmit` has not handed out.
    fn pending(&self) -> usize;
    /// How long the peer may be silent now.
    fn timeout(&self) -> Duration;
    /// The peer was silent for too long: says goodbye and closes.
    fn handle_timeout(&mut self);
    /// The server ends: says goodbye and closes once the current command is done.
    fn shutdown(&mut self);
    /// Whether a user has yet to log in.
    fn awaits_login(&self) -> bool {
        false
    }
    /// The server has waited long enough since `shutdown`: says goodbye and closes, whatever is under way.
    fn cut(&mut self) {
        self.handle_timeout();
    }
    /// Whether the connection ends once everything is transmitted.
    fn closed(&self) -> bool;
    /// TLS has begun.
    fn tls_started(&mut self, tls: &TlsInfo);
    /// Whether an event shows that the peer is not silent. Pieces of a message do not, as they may be single octets:
    /// they count by their octets.
    fn is_progress(event: &Self::Event) -> bool {
        let _ = event;
        true
    }
}

/// What follows an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on with the next event.
    Continue,
    /// The session accepted STARTTLS or STLS: send its reply, then shake hands.
    StartTls,
    /// The session accepted COMPRESS: send its reply, then compress both ways.
    Compress,
    /// Compression ends behind the reply, if there is any.
    EndCompression,
}

/// The peer is gone or stopped reading; there is nobody to answer. What a handler committed stays committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer is gone")]
pub struct Gone;

/// The policy behind a session.
pub trait Handler<S: Session>: Send {
    /// Deals with one event and answers it on `link.session`. Long answers call [`Link::flush_if_full`] on the way.
    fn handle(
        &mut self,
        link: &mut Link<S>,
        event: S::Event,
    ) -> impl Future<Output = Result<Next, Gone>> + Send;

    /// Something called [`Wake::wake`] while the session waited for input, or during the last event. Called between
    /// events only. The IMAP handler tells its idle client here what changed.
    fn woken(&mut self, link: &mut Link<S>) -> impl Future<Output = Result<Next, Gone>> + Send {
        let _ = link;
        async { Ok(Next::Continue) }
    }

    /// The connection is over, in whatever way: release locks, abandon what was half done.
    fn ended(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Wakes the loop of one session from anywhere. Cheap to call, calls merge.
#[derive(Debug, Default)]
pub struct Wake {
    notify: Notify,
    woken: AtomicBool,
    stopping: AtomicBool,
    /// The account that is logged in; 0 is none.
    account: AtomicI64,
    /// The account may not be used any more.
    dismissed: AtomicBool,
}

impl Wake {
    /// Has [`Handler::woken`] called soon.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Has the session end after its current command.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Whether the session shall end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whose session it is from here on.
    pub fn belongs_to(&self, account: Option<AccountId>) {
        let account = account.map_or(0, |account| account.0);
        self.account.store(account, Ordering::SeqCst);
    }

    /// Whose session it is.
    pub fn account(&self) -> Option<AccountId> {
        let account = self.account.load(Ordering::SeqCst);
        (account != 0).then_some(AccountId(account))
    }

    /// The account may not be used any more: its handler ends the session before it does anything else.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the account may not be used any more.
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// Returns once the session shall end; for the time before its loop runs.
    pub async fn stopped(&self) {
        while !self.is_stopping() {
            self.notify.notified().await;
        }
    }

    fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }
}

/// One accepted connection, ready for a session. Made by the listener.
#[derive(Debug)]
pub struct Connection {
    /// The bytes. Implicit TLS is up already.
    pub stream: Stream,
    /// The other end.
    pub peer: Peer,
    /// What implicit TLS agreed on.
    pub tls: Option<TlsInfo>,
    /// What STARTTLS would use; `None` where it is not offered.
    pub acceptor: Option<Arc<rustls::ServerConfig>>,
    /// Wakes this connection's loop.
    pub wake: Arc<Wake>,
}

/// A session and its connection, as a handler gets them.
#[derive(Debug)]
pub struct Link<S> {
    /// The protocol's session.
    pub session: S,
    /// The other end.
    pub peer: Peer,
    /// What TLS agreed on, implicit or by STARTTLS.
    pub tls: Option<TlsInfo>,
    /// Wakes this session's loop; give clones to whatever may have news.
    pub wake: Arc<Wake>,
    stream: Stream,
    acceptor: Option<Arc<rustls::ServerConfig>>,
    /// Chunks taken from the session and not written; the first one from `written` on.
    chunks: VecDeque<Vec<u8>>,
    written: usize,
    /// Octets go through DEFLATE.
    deflate: Option<Box<Deflate>>,
}

impl<S: Session> Link<S> {
    /// Writes everything pending. Waits for the peer, at most [`WRITE_PATIENCE`] for each [`WRITE_PROGRESS`] octets.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        let mut wrote = false;
        let mut limit = Instant::now() + WRITE_PATIENCE;
        let mut progress = 0usize;
        loop {
            // What is compressed goes as one piece, and the next is made when that has gone.
            let room = self.deflate.is_none() || self.chunks.is_empty();
            while room && self.chunks.len() < WRITE_SLICES {
                let Some(chunk) = self.session.transmit() else {
                    break;
                };
                if !chunk.is_empty() {
                    self.chunks.push_back(chunk);
                }
            }
            if self.deflate.is_some() && room && !self.chunks.is_empty() {
                let piece = deflate::compress(&mut self.chunks);
                self.chunks.push_back(piece);
            }
            if self.chunks.is_empty() {
                break;
            }
            progress = progress.saturating_add(self.write_once(limit).await?);
            wrote = true;
            if progress >= WRITE_PROGRESS {
                limit = Instant::now() + WRITE_PATIENCE;
                progress = 0;
            }
        }
        if self.chunks.capacity() > WRITE_SLICES {
            self.chunks = VecDeque::new();
        }
        if wrote && self.stream.is_tls() {
            match timeout(WRITE_PATIENCE, self.stream.flush()).await {
                Ok(Ok(())) => {}
                _ => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Writes if more than [`FLUSH_ABOVE`] octets wait. To be called between the parts of a long answer.
    pub async fn flush_if_full(&mut self) -> Result<(), Gone> {
        if self.session.pending() > FLUSH_ABOVE {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn write_once(&mut self, limit: Instant) -> Result<usize, Gone> {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
        let mut count = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            let skip = if count == 0 { self.written } else { 0 };
            *slot = IoSlice::new(chunk.get(skip..).unwrap_or_default());
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let taken = match timeout_at(limit, self.stream.write(slices)).await {
            Ok(Ok(taken)) if taken > 0 => taken,
            _ => return Err(Gone),
        };
        let mut written = taken;
        while let Some(chunk) = self.chunks.front() {
            let left = chunk.len().saturating_sub(self.written);
            if written < left {
                self.written += written;
                break;
            }
            written -= left;
            self.written = 0;
            self.chunks.pop_front();
        }
        Ok(taken)
    }

    /// RFC 4978 §3: behind the positive reply.
    async fn compress(&mut self) -> Result<(), Gone> {
        self.flush().await?;
        self.deflate = Some(Box::default());
        Ok(())
    }

    /// RFC 8437 §4.1: behind the reply on our side, behind the command on the peer's.
    async fn end_compression(&mut self) -> Result<(), Gone> {
        self.flush().await?;
        if let Some(deflate) = self.deflate.take() {
            let clear = deflate.end();
            if !clear.is_empty() {
                self.session.receive(&clear);
            }
        }
        Ok(())
    }

    /// RFC 3207 §4, RFC 9051 §6.2.1, RFC 2595 §4: the handshake follows the positive reply at once.
    async fn start_tls(&mut self) -> Result<(), Gone> {
        self.flush().await?;
        // The session closed itself because cleartext was pipelined behind the command: no handshake then.
        if self.session.closed() {
            return Ok(());
        }
        let acceptor = TlsAcceptor::from(self.acceptor.take().ok_or(Gone)?);
        let handshake = Box::pin(timeout(
            HANDSHAKE_PATIENCE,
            self.stream.accept_tls(&acceptor),
        ));
        match handshake.await {
            Ok(Ok(tls)) => {
                self.session.tls_started(&tls);
                self.tls = Some(tls);
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::info!(peer = %self.peer, %error, "TLS handshake failed");
                Err(Gone)
            }
            Err(_) => {
                tracing::info!(peer = %self.peer, "TLS handshake took too long");
                Err(Gone)
            }
        }
    }
}

/// Drives `session` with `handler` until the connection ends.
pub async fn drive<S: Session, H: Handler<S>>(connection: Connection, session: S, mut handler: H) {
    let Connection {
        stream,
        peer,
        tls,
        acceptor,
        wake,
    } = connection;
    let mut link = Link {
        session,
        peer,
        tls,
        wake,
        stream,
        acceptor,
        chunks: VecDeque::new(),
        written: 0,
        deflate: None,
    };
    let ended = run(&mut link, &mut handler).await;
    // Locks and subscriptions go now; the peer may take its time to close.
    Box::pin(handler.ended()).await;
    drop(handler);
    if ended.is_ok() {
        let patience = if link.wake.is_stopping() {
            STOP_PATIENCE
        } else {
            CLOSE_PATIENCE
        };
        let _ = timeout(patience, link.stream.close()).await;
    }
}

async fn run<S: Session, H: Handler<S>>(link: &mut Link<S>, handler: &mut H) -> Result<(), Gone> {
    let mut timer = pin!(sleep_until(Instant::now() + link.session.timeout()));
    let mut silence = Silence::new(&link.session);
    let mut told_to_stop = false;
    let began = Instant::now();
    let mut unanswered = false;
    loop {
        if work(link, handler).await? {
            silence.broken(&link.session);
        }
        let held_back = link.session.pending() > 0;
        link.flush().await?;
        if link.session.closed() {
            return Ok(());
        }
        if link.wake.is_stopping() && !told_to_stop {
            told_to_stop = true;
            link.session.shutdown();
            silence.limit(Instant::now() + LAST_MESSAGE_PATIENCE);
            continue;
        }
        // A session takes no more commands while its output is full; now it has room.
        if held_back {
            unanswered = false;
            continue;
        }
        if std::mem::take(&mut unanswered) {
            link.stream.acknowledge();
        }
        if !told_to_stop {
            let limit = link.session.awaits_login().then(|| began + LOGIN_PATIENCE);
            silence.last = limit;
        }
        match wait(link, timer.as_mut(), &mut silence).await? {
            Waited::Input => unanswered = true,
            Waited::Woken => {}
            Waited::End => return Ok(()),
            Waited::Silent => {
                if told_to_stop {
                    link.session.cut();
                } else {
                    link.session.handle_timeout();
                }
                silence.broken(&link.session);
            }
        }
    }
}

/// Lets the handler deal with all events there are; answers whether there was any.
async fn work<S: Session, H: Handler<S>>(
    link: &mut Link<S>,
    handler: &mut H,
) -> Result<bool, Gone> {
    let mut worked = false;
    loop {
        // Boxed, so that an idle session does not carry the room of its largest command.
        let next = if let Some(event) = link.session.poll() {
            worked |= S::is_progress(&event);
            Box::pin(handler.handle(link, event)).await?
        } else if link.wake.take_woken() {
            Box::pin(handler.woken(link)).await?
        } else {
            return Ok(worked || link.session.pending() > 0);
        };
        match next {
            Next::Continue => link.flush_if_full().await?,
            Next::StartTls => link.start_tls().await?,
            Next::Compress => link.compress().await?,
            Next::EndCompression => link.end_compression().await?,
        }
    }
}

enum Waited {
    Input,
    Woken,
    Silent,
    End,
}

/// Measures the peer's silence without touching the timer wheel for every read: the timer is moved only when it
/// fires early or must fire sooner.
struct Silence {
    deadline: Instant,
    octets: usize,
    /// When patience ends however much the peer says.
    last: Option<Instant>,
}

impl Silence {
    fn new<S: Session>(session: &S) -> Silence {
        Silence {
            deadline: Instant::now() + session.timeout(),
            octets: 0,
            last: None,
        }
    }

    fn broken<S: Session>(&mut self, session: &S) {
        *self = Silence {
            last: self.last,
            ..Silence::new(session)
        };
    }

    /// Patience ends then, at the latest.
    fn limit(&mut self, last: Instant) {
        self.last = Some(last);
    }

    fn deadline(&self) -> Instant {
        self.last
            .map_or(self.deadline, |last| last.min(self.deadline))
    }

    fn received<S: Session>(&mut self, octets: usize, session: &S) {
        self.octets = self.octets.saturating_add(octets);
        if self.octets >= PROGRESS_OCTETS {
            self.broken(session);
        }
    }
}

async fn wait<S: Session>(
    link: &mut Link<S>,
    mut timer: std::pin::Pin<&mut Sleep>,
    silence: &mut Silence,
) -> Result<Waited, Gone> {
    if silence.deadline() < timer.deadline() {
        timer.as_mut().reset(silence.deadline());
    }
    loop {
        let Link {
            session,
            stream,
            wake,
            deflate,
            peer,
            ..
        } = link;
        if let Some(deflate) = deflate.as_mut().filter(|deflate| deflate.has_more()) {
            match deflate.window(|bytes| session.receive(bytes)) {
                Ok(0) => continue,
                Ok(octets) => {
                    silence.received(octets, session);
                    return Ok(Waited::Input);
                }
                Err(error) => {
                    tracing::info!(%peer, %error, "connection closed");
                    return Err(Gone);
                }
            }
        }
        let read = stream.read_with(|bytes| match deflate.as_mut() {
            Some(deflate) => deflate.receive(bytes),
            None => session.receive(bytes),
        });
        tokio::select! {
            read = read => match read {
                Ok(0) => return Ok(Waited::End),
                // Inflated first, and only then a sign of life.
                Ok(_) if link.deflate.is_some() => {}
                Ok(octets) => {
                    silence.received(octets, &link.session);
                    return Ok(Waited::Input);
                }
                Err(_) => return Err(Gone),
            },
            () = wake.notify.notified() => return Ok(Waited::Woken),
            () = timer.as_mut() => {
                if Instant::now() >= silence.deadline() {
                    return Ok(Waited::Silent);
                }
                timer.as_mut().reset(silence.deadline());
            }
        }
    }
}

#[cfg(test)]
mod tests;
