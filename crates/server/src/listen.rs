//! The listeners: bind, accept, count, and give each connection to its protocol.
//!
//! Invariants: a panic in one connection ends that one alone; when descriptors run out accepting pauses and existing
//! connections go on (fault F7); a connection over a limit is told why, in its protocol's words.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::config::{Address, Listener, Service};
use crate::drive::{Connection, HANDSHAKE_PATIENCE};
use crate::proxy;
use crate::sessions::{Entry, Refused};
use crate::shared::Shared;
use crate::stream::{Peer, Stream};

/// Connections that may wait to be accepted; the kernel cuts it to its own limit.
const BACKLOG: i32 = 1024;

/// How long accepting pauses when the system has no descriptors or memory. Short enough that nobody gives up, long
/// enough not to spin.
const PAUSE: Duration = Duration::from_millis(200);

/// After this long without traffic the kernel asks whether the peer still is there; home routers forget
/// connections after some minutes.
const KEEPALIVE: Duration = Duration::from_secs(240);

/// A bound listener.
#[derive(Debug)]
pub struct Bound {
    service: Service,
    socket: Accepting,
}

#[derive(Debug)]
enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listen.{}: cannot listen on {}: {error}{}", listener.service, listener.address, hint(error))]
pub struct Error {
    listener: Listener,
    error: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has it (stop it, or choose another port)",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

impl Bound {
    /// Binds one listener.
    pub fn new(listener: &Listener) -> Result<Bound, Error> {
        let socket = match &listener.address {
            Address::Tcp(address) => bind_tcp(*address).map(Accepting::Tcp),
            Address::Unix(path) => bind_unix(path).map(Accepting::Unix),
        };
        match socket {
            Ok(socket) => Ok(Bound {
                service: listener.service,
                socket,
            }),
            Err(error) => Err(Error {
                listener: listener.clone(),
                error,
            }),
        }
    }

    /// Where it listens, as the log says it.
    pub fn address(&self) -> String {
        match &self.socket {
            Accepting::Tcp(socket) => socket
                .local_addr()
                .map(|a| a.to_string())
                .unwrap_or_default(),
            Accepting::Unix(socket) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map(|path| format!("unix:{}", path.display()))
                    .unwrap_or_default()
            }
        }
    }

    /// What it speaks.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Accepts for ever; the caller drops the future to stop.
    pub async fn accept(self, shared: Arc<Shared>) {
        loop {
            match self.accept_one().await {
                Ok((stream, peer)) => self.admit(stream, peer, &shared),
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(service = %self.service, %error, "accepting pauses");
                    tokio::time::sleep(PAUSE).await;
                }
                // The peer gave up before we took it.
                Err(error) => tracing::debug!(service = %self.service, %error, "accept"),
            }
        }
    }

    async fn accept_one(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Accepting::Tcp(socket) => {
                let (stream, remote) = socket.accept().await?;
                // Replies leave in one write each; waiting for more to send would only delay them.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream)
                    .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
                let local = stream.local_addr().ok();
                Ok((Stream::Tcp(stream), Peer::tcp(remote, local)))
            }
            Accepting::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Stream::Unix(stream), Peer::unix()))
            }
        }
    }

    fn admit(&self, stream: Stream, peer: Peer, shared: &Arc<Shared>) {
        let config = shared.config();
        let proxied = !peer.unix && config.proxy.expects(self.service, peer.ip);
        let counted = (!proxied).then_some(&peer);
        match shared.sessions.enter(counted, &config.limits) {
            Ok(entry) => {
                tokio::spawn(converse(
                    stream,
                    peer,
                    self.service,
                    Arc::clone(shared),
                    entry,
                    proxied,
                ));
            }
            Err(refused) => {
                tracing::warn!(%peer, service = %self.service, %refused, "connection refused");
                refuse(&stream, self.service, refused);
            }
        }
    }
}

/// One connection from its handshake to its end.
async fn converse(
    mut stream: Stream,
    mut peer: Peer,
    service: Service,
    shared: Arc<Shared>,
    mut entry: Entry,
    proxied: bool,
) {
    if proxied {
        match proxy::client(&mut stream, &peer).await {
            Ok(client) => peer = client,
            Err(error) => {
                return tracing::warn!(proxy = %peer, %service, %error, "connection ended");
            }
        }
        if let Err(refused) = entry.comes_from(&peer, &shared.config().limits) {
            tracing::warn!(%peer, %service, %refused, "connection refused");
            return refuse(&stream, service, refused);
        }
    }
    let mut acceptor = shared.tls.config(service);
    let mut tls = None;
    if service.is_implicit_tls() {
        let Some(config) = acceptor.take() else {
            return;
        };
        let handshake = Box::pin(async {
            let acceptor = TlsAcceptor::from(config);
            tokio::select! {
                result = timeout(HANDSHAKE_PATIENCE, stream.accept_tls(&acceptor)) => Some(result),
                () = entry.wake.stopped() => None,
            }
        });
        match handshake.await {
            Some(Ok(Ok(info))) => tls = Some(info),
            Some(Ok(Err(error))) => {
                return tracing::info!(%peer, %service, %error, "TLS handshake failed");
            }
            Some(Err(_)) => return tracing::info!(%peer, %service, "TLS handshake took too long"),
            None => return,
        }
    }
    if peer.unix {
        acceptor = None;
    }
    let connection = Connection {
        stream,
        peer,
        tls,
        acceptor,
        wake: Arc::clone(&entry.wake),
    };
    crate::dispatch(connection, shared, service).await;
    drop(entry);
}

/// Tells a client why it is not served, without waiting for it. Under implicit TLS there is no way to say it.
fn refuse(stream: &Stream, service: Service, refused: Refused) {
    if service.is_implicit_tls() {
        return;
    }
    let text = match service {
        // RFC 5321 §3.8: 421 closes the channel.
        Service::Smtp | Service::Submission | Service::Submissions | Service::Lmtp => {
            format!("421 4.7.0 {refused}, try again later\r\n")
        }
        Service::Imap | Service::Imaps => format!("* BYE [UNAVAILABLE] {refused}\r\n"),
        Service::Pop3 | Service::Pop3s => format!("-ERR [SYS/TEMP] {refused}\r\n"),
    };
    let _ = match stream {
        Stream::Tcp(stream) => stream.try_write(text.as_bytes()),
        Stream::Unix(stream) => stream.try_write(text.as_bytes()),
        _ => Ok(0),
    };
}

fn is_exhaustion(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM: the same numbers on every Linux.
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and [::] can stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    // A socket that nobody listens on is left from a crash; one that answers is in use.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()) => {
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the path is a file, not a socket",
            ));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    // Owner and group: the program that hands mail over is put into the group.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
