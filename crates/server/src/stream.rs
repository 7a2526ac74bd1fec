//! The connection under a session: TCP, a Unix socket, or TLS over either, behind one type.
//!
//! Owns: who the peer is ([`Peer`]), what TLS agreed on ([`TlsInfo`]), and the one way bytes move.
//! Reading uses one buffer per thread, so an idle connection owns no read buffer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::sasl::Mechanism;

use crate::certificate;

/// Octets taken from a socket at once. Large enough that a big message costs few system calls, small enough that
/// a session never holds more than this beyond its own limits.
const READ_SIZE: usize = 64 * 1024;

/// Octets thrown away at the end of a connection; a peer that sends more does not want to hear the reply.
const LINGER_OCTETS: usize = 16 * 1024 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into_boxed_slice());
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address; the loopback address for a Unix socket. IPv4-mapped IPv6 addresses appear as IPv4.
    pub ip: IpAddr,
    /// Its port; 0 for a Unix socket.
    pub port: u16,
    /// Our own end, where there is one.
    pub local: Option<SocketAddr>,
    /// Whether it came through a Unix socket.
    pub unix: bool,
}

impl Peer {
    /// The peer of a TCP connection.
    pub fn tcp(remote: SocketAddr, local: Option<SocketAddr>) -> Peer {
        Peer {
            ip: remote.ip().to_canonical(),
            port: remote.port(),
            local,
            unix: false,
        }
    }

    /// The peer of a Unix socket: always this machine.
    pub fn unix() -> Peer {
        Peer {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            local: None,
            unix: true,
        }
    }

    /// Whether the peer is this machine.
    pub fn is_loopback(&self) -> bool {
        self.unix || self.ip.is_loopback()
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.unix {
            f.write_str("unix")
        } else {
            SocketAddr::new(self.ip, self.port).fmt(f)
        }
    }
}

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version as trace headers write it: `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite: `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The `tls-exporter` channel binding (RFC 9266 §2); only with TLS 1.3, where it is always sound
    /// (RFC 9266 §4.2: TLS 1.2 would need the extended master secret).
    pub exporter: Option<[u8; 32]>,
    /// The host name the client asked for.
    pub server_name: Option<String>,
    /// The mail addresses in the certificate that the client has proven to own; none without one.
    pub client: Vec<String>,
}

impl TlsInfo {
    fn of(connection: &rustls::ServerConnection) -> TlsInfo {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
            .unwrap_or_default();
        // RFC 9266 §2: label "EXPORTER-Channel-Binding", zero-length context, 32 octets.
        let exporter = (version == "TLSv1.3")
            .then(|| {
                connection
                    .export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(&[]))
                    .ok()
            })
            .flatten();
        TlsInfo {
            version,
            cipher,
            exporter,
            server_name: connection.server_name().map(str::to_owned),
            client: connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|leaf| certificate::mail_addresses(leaf))
                .unwrap_or_default(),
        }
    }

    /// What TLS may come to agree on at best, for offers that are made before it starts.
    pub fn at_best() -> TlsInfo {
        TlsInfo {
            version: "TLSv1.3",
            cipher: String::new(),
            exporter: Some([0; 32]),
            server_name: None,
            client: vec![String::new()],
        }
    }

    /// Mechanisms that were offered for TLS at its best, and that it does not allow after all: without the exporter there is
    /// nothing to bind to (RFC 9266 §4.2), without a certificate nobody is known.
    pub fn withdrawn(&self) -> impl Iterator<Item = Mechanism> + use<> {
        let bound = self
            .exporter
            .is_none()
            .then_some(Mechanism::ScramSha256Plus);
        let known = self.client.is_empty().then_some(Mechanism::External);
        bound.into_iter().chain(known)
    }
}

/// Bytes in and out.
#[derive(Debug)]
pub enum Stream {
    /// Cleartext TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP. Boxed: its state is a thousand octets, most sessions on loopback have none.
    Tls(Box<TlsStream<TcpStream>>),
    /// Nothing any more: the handshake failed or the connection was given away.
    Closed,
}

impl Stream {
    /// Whether TLS protects the bytes.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Performs the server's side of a TLS handshake and answers what was agreed. After a failure the stream is
    /// closed. TLS over a Unix socket is not offered: its ends are on one machine.
    pub async fn accept_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<TlsInfo> {
        let Stream::Tcp(tcp) = std::mem::replace(self, Stream::Closed) else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "TLS is offered once, over TCP",
            ));
        };
        let tls = acceptor.accept(tcp).await?;
        let info = TlsInfo::of(tls.get_ref().1);
        *self = Stream::Tls(Box::new(tls));
        Ok(info)
    }

    /// Reads once and hands the octets to `take`. Answers how many; 0 at the end of the stream.
    pub async fn read_with(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                ready!(self.poll_read(cx, &mut read))?;
                take(read.filled());
                Poll::Ready(Ok(read.filled().len()))
            })
        })
        .await
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }

    /// Writes some of `slices`; answers how many octets went.
    pub async fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        std::future::poll_fn(|cx| match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })
        .await
    }

    /// Tells the peer's kernel at once that its octets came. Where a reply is on its way that does it; where the peer
    /// has sent half of something, its kernel may hold the other half back until then (RFC 896), and ours would wait
    /// 40 ms in the hope of a reply. Clients that write a literal and the line end behind it apart are common.
    pub fn acknowledge(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // An option that cannot be set only costs the time it would have saved.
            let _ = match self {
                Stream::Tcp(stream) => stream.set_quickack(true),
                Stream::Tls(stream) => stream.get_ref().0.set_quickack(true),
                Stream::Unix(_) | Stream::Closed => Ok(()),
            };
        }
    }

    /// Pushes what TLS still holds to the socket.
    pub async fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tls(stream) => {
                std::future::poll_fn(|cx| Pin::new(stream.as_mut()).poll_flush(cx)).await
            }
            _ => Ok(()),
        }
    }

    /// Ends the stream in order: `close_notify` where TLS is, then a half-close. What the peer still sends is thrown
    /// away until it closes too, because closing with unread octets resets the connection, and the reset can overtake
    /// our last reply. The caller limits the time.
    pub async fn close(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Stream::Closed => Poll::Ready(Ok(())),
        })
        .await?;
        let mut left = LINGER_OCTETS;
        while left > 0 {
            match self.read_with(|_| {}).await? {
                0 => break,
                octets => left = left.saturating_sub(octets),
            }
        }
        *self = Stream::Closed;
        Ok(())
    }
}
