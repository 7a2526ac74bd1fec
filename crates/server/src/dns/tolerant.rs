//! Answers with malformed records: these are set aside, and the others count.
//!
//! The library gives up a whole answer for one record that is too short, and a domain with such an MX record could get no
//! mail. Here its type is made one that nobody asks for, before the library sees it. Under DNSSEC the signature does not fit
//! any more, so that a signed set is taken whole or not at all.
//!
//! Over UDP only: what comes over TCP is long, and read by the library as it is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider};

/// A type for private use (RFC 6895 §3.1), which carries any octets.
const ASIDE: u16 = 65_280;

/// Opens sockets for the library.
#[derive(Clone, Default)]
pub(super) struct Tolerant(TokioRuntimeProvider);

impl RuntimeProvider for Tolerant {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = Socket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        self.0.connect_tcp(server, bind, timeout)
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Socket>>>> {
        let binding = self.0.bind_udp(local, server);
        Box::pin(async move { binding.await.map(Socket) })
    }
}

/// A socket whose answers hold only records of the right length.
pub(super) struct Socket(<TokioRuntimeProvider as RuntimeProvider>::Udp);

impl DnsUdpSocket for Socket {
    type Time = <TokioRuntimeProvider as RuntimeProvider>::Timer;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let (read, from) = ready!(DnsUdpSocket::poll_recv_from(&self.0, cx, buffer))?;
        if let Some(packet) = buffer.get_mut(..read) {
            // A packet that ends too early is the library's to refuse.
            let _ = set_aside(packet);
        }
        Poll::Ready(Ok((read, from)))
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        packet: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        DnsUdpSocket::poll_send_to(&self.0, cx, packet, to)
    }
}

/// Gives records that are too short another type (RFC 1035 §4.1).
fn set_aside(packet: &mut [u8]) -> Option<()> {
    let questions = number(packet, 4)?;
    let mut records = 0;
    for at in [6, 8, 10] {
        records += usize::from(number(packet, at)?);
    }
    let mut at = 12;
    for _ in 0..questions {
        at = behind_name(packet, at)?.checked_add(4)?;
    }
    for _ in 0..records {
        let kind = behind_name(packet, at)?;
        let length = usize::from(number(packet, kind.checked_add(8)?)?);
        if length == 0 {
            empty(packet.get_mut(at..kind.checked_add(10)?)?);
        } else if !fits(number(packet, kind)?, length) {
            let place = packet.get_mut(kind..kind.checked_add(2)?)?;
            place.copy_from_slice(&ASIDE.to_be_bytes());
        }
        at = kind.checked_add(10)?.checked_add(length)?;
    }
    Some(())
}

/// A record without data is not even read: it gets some, from the place of its name, and the root's name instead.
fn empty(record: &mut [u8]) {
    let data = record.len().saturating_sub(11);
    let Ok(length) = u16::try_from(data) else {
        return;
    };
    if length == 0 {
        return;
    }
    let mut made = vec![0];
    made.extend(ASIDE.to_be_bytes());
    // Class IN, no time to live.
    made.extend([0, 1, 0, 0, 0, 0]);
    made.extend(length.to_be_bytes());
    made.resize(record.len(), 0);
    record.copy_from_slice(&made);
}

fn number(packet: &[u8], at: usize) -> Option<u16> {
    let octets = packet.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(octets.try_into().ok()?))
}

/// Where a name ends: behind its root, or behind a pointer.
fn behind_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *packet.get(at)?;
        at = at.checked_add(1)?;
        match length {
            0 => return Some(at),
            0xc0.. => return at.checked_add(1),
            _ => at = at.checked_add(usize::from(length))?,
        }
    }
}

/// Whether a record of this type can have so many octets.
fn fits(kind: u16, length: usize) -> bool {
    match kind {
        // A
        1 => length == 4,
        // AAAA
        28 => length == 16,
        // MX: a preference and a name
        15 => length >= 3,
        // SRV
        33 => length >= 7,
        // TLSA
        52 => length >= 3,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_records_are_set_aside() {
        // A question for `a.`, then an A record of three octets and one of four.
        let mut packet = vec![
            0, 1, 0x80, 0, 0, 1, 0, 2, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1,
        ];
        let record = |length: u8| {
            let mut record = vec![0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, length];
            record.extend((0..length).map(|n| n + 1));
            record
        };
        packet.extend(record(3));
        packet.extend(record(4));
        let before = packet.clone();
        assert_eq!(set_aside(&mut packet), Some(()));
        assert_eq!(packet.get(21..23), Some(&ASIDE.to_be_bytes()[..]));
        packet[21..23].copy_from_slice(&[0, 1]);
        assert_eq!(packet, before);
    }

    proptest! {
        #[test]
        fn any_packet_is_survived(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut changed = packet.clone();
            let _ = set_aside(&mut changed);
            prop_assert_eq!(changed.len(), packet.len());
        }
    }
}
