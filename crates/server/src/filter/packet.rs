//! The packets of the milter protocol: four octets of length, one of command, the rest.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::{Error, Place};

/// Octets of a packet from a milter: what it may replace a body with at a time is 64 KiB, by agreement 1 MiB at most.
pub const LIMIT: u32 = 1024 * 1024 + 64;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is about.
    pub command: u8,
    /// What it says.
    pub data: Vec<u8>,
}

/// A connection to a milter.
#[derive(Debug)]
pub enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    /// Connects.
    pub async fn open(place: &Place, timeout: Duration) -> Result<Wire, Error> {
        let connecting = async {
            Ok(match place {
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Wire::Tcp(stream)
                }
                Place::Unix(path) => Wire::Unix(UnixStream::connect(path).await?),
            })
        };
        tokio::time::timeout(timeout, connecting)
            .await
            .map_err(|_| Error::TimedOut(timeout))?
    }

    /// Writes packets as one piece.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        match self {
            Wire::Tcp(stream) => stream.write_all(octets).await?,
            Wire::Unix(stream) => stream.write_all(octets).await?,
        }
        Ok(())
    }

    /// The next packet.
    pub async fn read(&mut self) -> Result<Packet, Error> {
        let mut length = [0; 4];
        self.exact(&mut length).await?;
        let length = u32::from_be_bytes(length);
        if length == 0 || length > LIMIT {
            return Err(Error::Malformed("the length of a packet"));
        }
        let mut data = vec![0; usize::try_from(length).unwrap_or_default()];
        self.exact(&mut data).await?;
        let command = data.remove(0);
        Ok(Packet { command, data })
    }

    async fn exact(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        match self {
            Wire::Tcp(stream) => stream.read_exact(buffer).await?,
            Wire::Unix(stream) => stream.read_exact(buffer).await?,
        };
        Ok(())
    }
}

/// Appends a packet.
pub fn put(out: &mut Vec<u8>, command: u8, data: &[u8]) {
    let length = u32::try_from(data.len().saturating_add(1)).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(command);
    out.extend_from_slice(data);
}

/// Strings, each ended by NUL. A NUL inside of one ends it: nothing may forge another.
pub fn strings<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.extend(text.iter().copied().take_while(|octet| *octet != 0));
        out.push(0);
    }
    out
}

/// The strings of a packet.
pub fn split(data: &[u8]) -> Vec<&[u8]> {
    let data = data.strip_suffix(&[0]).unwrap_or(data);
    data.split(|octet| *octet == 0).collect()
}
