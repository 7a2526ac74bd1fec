//! The PROXY protocol, versions 1 and 2: a proxy before us tells, in front of everything else, who the client is.
//!
//! Owns: reading the header from a connection of a configured proxy, and its grammar. Invariants: only connections from
//! configured addresses are read this way, all of them, and nobody else's (attack A44); not one octet beyond the header is
//! taken, because TLS or the protocol begins there; a header that does not parse ends the connection without an answer.
//!
//! Limits: [`V1_LIMIT`], [`V2_LIMIT`], [`PATIENCE`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::stream::{Peer, Stream};

/// Octets of a header of version 1, CRLF included: the protocol's own bound.
const V1_LIMIT: usize = 107;

/// Octets behind the fixed part of version 2. Addresses take 36; what proxies add (the TLS they ended, a unique id) fits many
/// times.
const V2_LIMIT: usize = 2_048;

/// How long the header may take. The proxy sends it with the connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Octets of the signature, version, command, family and length.
const FIXED: usize = 16;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection ended or failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("no PROXY header came in time")]
    Late,
    /// What came is none.
    #[error("no PROXY header: {0}")]
    Malformed(&'static str),
}

/// Reads the header in front of a connection from a proxy, and answers who is behind it: the proxy itself where it says that
/// it speaks for itself (health checks), or does not know.
pub async fn client(stream: &mut Stream, proxy: &Peer) -> Result<Peer, Error> {
    let Stream::Tcp(tcp) = stream else {
        return Err(Error::Malformed("not over TCP"));
    };
    let read = timeout(PATIENCE, header(tcp)).await;
    let addresses = read.map_err(|_| Error::Late)??;
    Ok(match addresses {
        Some((source, destination)) => Peer::tcp(source, Some(destination)),
        None => proxy.clone(),
    })
}

type Addresses = Option<(SocketAddr, SocketAddr)>;

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Addresses, Error> {
    // The shortest header of version 1, `PROXY UNKNOWN`, and the signature of version 2 with one more octet are as long.
    let mut start = [0; 13];
    stream.read_exact(&mut start).await?;
    if start.starts_with(&SIGNATURE) {
        let mut rest = [0; FIXED - 13];
        stream.read_exact(&mut rest).await?;
        let [_, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > V2_LIMIT {
            return Err(Error::Malformed("too long"));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let [family, ..] = rest;
        let version = start.last().copied().unwrap_or_default();
        return binary(version, family, &body);
    }
    if !start.starts_with(b"PROXY ") {
        return Err(Error::Malformed("something else"));
    }
    let mut line = start.to_vec();
    // Octet by octet, so that what follows stays where it is. The line is short and in the socket already.
    while !line.ends_with(b"\n") {
        if line.len() >= V1_LIMIT {
            return Err(Error::Malformed("too long"));
        }
        line.push(stream.read_u8().await?);
    }
    text(&line)
}

/// `"PROXY" SP ("TCP4" / "TCP6") SP source SP destination SP port SP port CRLF`, or `"PROXY UNKNOWN" *any CRLF`.
fn text(line: &[u8]) -> Result<Addresses, Error> {
    let line = line
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or(Error::Malformed("not a line"))?;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            destination,
            from,
            to,
        ] => {
            let address = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().ok()?;
                let plain = port.bytes().all(|digit| digit.is_ascii_digit());
                let port = port.parse().ok().filter(|_| plain)?;
                (ip.is_ipv4() == (*family == "TCP4")).then_some(SocketAddr::new(ip, port))
            };
            match (address(source, from), address(destination, to)) {
                (Some(source), Some(destination)) => Ok(Some((source, destination))),
                _ => Err(Error::Malformed("addresses")),
            }
        }
        _ => Err(Error::Malformed("form")),
    }
}

/// The octets behind the signature: version and command, family and transport, addresses, and what else the proxy tells.
fn binary(version: u8, family: u8, body: &[u8]) -> Result<Addresses, Error> {
    match version {
        // LOCAL: the proxy's own connection; the rest is not looked at.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(Error::Malformed("version or command")),
    }
    match family {
        0x11 => {
            let (source, body) = take(body)?;
            let (destination, body) = take(body)?;
            let ports = ports(body)?;
            let address = |ip: [u8; 4], port| SocketAddr::new(Ipv4Addr::from(ip).into(), port);
            Ok(Some((
                address(source, ports.0),
                address(destination, ports.1),
            )))
        }
        0x21 => {
            let (source, body) = take(body)?;
            let (destination, body) = take(body)?;
            let ports = ports(body)?;
            let address = |ip: [u8; 16], port| SocketAddr::new(Ipv6Addr::from(ip).into(), port);
            Ok(Some((
                address(source, ports.0),
                address(destination, ports.1),
            )))
        }
        // Unspecified, datagrams, Unix sockets: nothing that could stand for the client.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(None),
        _ => Err(Error::Malformed("family")),
    }
}

fn take<const N: usize>(body: &[u8]) -> Result<([u8; N], &[u8]), Error> {
    body.split_first_chunk()
        .map(|(head, rest)| (*head, rest))
        .ok_or(Error::Malformed("too short"))
}

fn ports(body: &[u8]) -> Result<(u16, u16), Error> {
    let ([a, b, c, d], _) = take(body)?;
    Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(octets: &[u8]) -> (Option<Addresses>, usize) {
        let mut rest = octets;
        let read = header(&mut rest).await.ok();
        (read, rest.len())
    }

    fn v2(version: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version, family], &length, body].concat()
    }

    #[tokio::test]
    async fn clients_are_told_and_nothing_more_is_taken() {
        let told = |source: &str, destination: &str| {
            Some(Some((
                source.parse().unwrap(),
                destination.parse().unwrap(),
            )))
        };
        let four = [192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 0, 25];
        let mut six = [0_u8; 36];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        six[15] = 1;
        six[31] = 2;
        six[33] = 9;
        six[35] = 25;
        let mut with_more = four.to_vec();
        with_more.extend_from_slice(&[0x20, 0, 3, 1, 2, 3]);
        let table = [
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 25\r\n".to_vec(),
                told("192.0.2.1:8080", "198.51.100.2:25"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::2 9 25\r\n".to_vec(),
                told("[2001:db8::1]:9", "[::2]:25"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(None)),
            (
                b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n".to_vec(),
                Some(None),
            ),
            (
                v2(0x21, 0x11, &four),
                told("192.0.2.1:8080", "198.51.100.2:25"),
            ),
            (
                v2(0x21, 0x11, &with_more),
                told("192.0.2.1:8080", "198.51.100.2:25"),
            ),
            (v2(0x21, 0x21, &six), told("[2001:db8::1]:9", "[::2]:25")),
            (v2(0x20, 0x00, b""), Some(None)),
            (v2(0x21, 0x31, &[0; 216]), Some(None)),
        ];
        for (header, expected) in table {
            let mut octets = header.clone();
            octets.extend_from_slice(b"EHLO x\r\n");
            assert_eq!(read(&octets).await, (expected, 8), "{header:?}");
        }
    }

    /// A44: headers that are none, or too long.
    #[tokio::test]
    async fn a44_malformed_headers() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        let table: [&[u8]; 18] = [
            b"",
            b"PROXY",
            b"EHLO client.example\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 8080\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 25 26\r\n",
            b"PROXY TCP4 2001:db8::1 ::2 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 +80 25\r\n",
            b"PROXY  TCP4 192.0.2.1 198.51.100.2 80 25\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 80 25\n",
            b"proxy TCP4 192.0.2.1 198.51.100.2 80 25\r\n",
            long.as_bytes(),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x41, &[0; 12]),
            &v2(0x21, 0x11, &[0; V2_LIMIT + 1]),
        ];
        for octets in table {
            assert_eq!(read(octets).await.0, None, "{octets:?}");
        }
    }
}
