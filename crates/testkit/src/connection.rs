//! A blocking client connection that reads lines, in clear or over TLS.

use crate::tls;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for an answer before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Longest line read; a server that sends more is at fault.
const LINE_LIMIT: usize = 1 << 20;

#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Tls(Box<tls::ClientStream>),
}

/// A connection to a server under test.
#[derive(Debug)]
pub struct Connection {
    stream: Option<Stream>,
    buffer: Vec<u8>,
    start: usize,
}

impl Connection {
    /// Connects in clear.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: Some(Stream::Clear(stream)),
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// Connects with implicit TLS, trusting `certificate` (DER) alone.
    pub fn open_tls(address: SocketAddr, certificate: &[u8]) -> io::Result<Connection> {
        let mut connection = Connection::open(address)?;
        connection.start_tls(certificate)?;
        Ok(connection)
    }

    /// Does the TLS handshake. Octets received in clear and not read yet are an error.
    pub fn start_tls(&mut self, certificate: &[u8]) -> io::Result<()> {
        if self.start < self.buffer.len() {
            return Err(io::Error::other("octets in clear before the TLS handshake"));
        }
        match self.stream.take() {
            Some(Stream::Clear(stream)) => {
                self.stream = Some(Stream::Tls(Box::new(tls::connect(stream, certificate)?)));
                Ok(())
            }
            Some(Stream::Tls(_)) => Err(io::Error::other("TLS is already on")),
            None => Err(closed()),
        }
    }

    /// How long a read waits; [`PATIENCE`] at first.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self.stream.as_ref().ok_or_else(closed)? {
            Stream::Clear(stream) => stream.set_read_timeout(Some(patience)),
            Stream::Tls(stream) => stream.sock.set_read_timeout(Some(patience)),
        }
    }

    /// The `tls-exporter` channel binding (RFC 9266 §2); none in clear.
    pub fn tls_exporter(&self) -> Option<[u8; 32]> {
        let Some(Stream::Tls(stream)) = &self.stream else {
            return None;
        };
        let label = b"EXPORTER-Channel-Binding";
        let exported = stream
            .conn
            .export_keying_material([0; 32], label, Some(b""));
        exported.ok()
    }

    /// Sends octets in one write.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.as_mut().ok_or_else(closed)? {
            Stream::Clear(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Sends each octet in a write (and segment, and TLS record) of its own.
    pub fn send_octets(&mut self, bytes: &[u8]) -> io::Result<()> {
        for octet in bytes {
            self.send(std::slice::from_ref(octet))?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Sends a line; CRLF is added.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.send(format!("{text}\r\n").as_bytes())
    }

    /// Reads a line without its CRLF; `None` when the server has closed.
    pub fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = self.start;
        loop {
            if let Some(n) = self.buffer[searched..].iter().position(|&b| b == b'\n') {
                let end = searched + n;
                let line = &self.buffer[self.start..end];
                let line = line.strip_suffix(b"\r").ok_or_else(|| {
                    io::Error::other(format!("bare LF after {:?}", String::from_utf8_lossy(line)))
                })?;
                let line = line.to_vec();
                self.start = end + 1;
                return Ok(Some(line));
            }
            if self.buffer.len() - self.start > LINE_LIMIT {
                return Err(io::Error::other("a line without end"));
            }
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            searched = self.buffer.len();
            if !self.fill()? {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::Error::other(format!(
                        "closed in the middle of a line: {:?}",
                        String::from_utf8_lossy(&self.buffer)
                    ))),
                };
            }
        }
    }

    /// Reads exactly `count` octets.
    pub fn read_octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() - self.start < count {
            if !self.fill()? {
                return Err(io::Error::other("closed in the middle of a literal"));
            }
        }
        let bytes = self.buffer[self.start..self.start + count].to_vec();
        self.start += count;
        Ok(bytes)
    }

    /// Reads a line as text and fails when the server has closed.
    pub fn answer(&mut self) -> io::Result<String> {
        let line = self.read_line()?.ok_or_else(closed)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads the lines up to the first that `last` accepts, that one included.
    pub fn answers_until(&mut self, last: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.answer()?);
            if lines.last().is_some_and(|line| last(line)) {
                return Ok(lines);
            }
        }
    }

    /// An SMTP or LMTP reply: its code and its lines.
    pub fn reply(&mut self) -> io::Result<(u16, Vec<String>)> {
        let lines = self.answers_until(|line| line.as_bytes().get(3) != Some(&b'-'))?;
        let code = lines.last().and_then(|line| line.get(..3)?.parse().ok());
        let code = code.ok_or_else(|| io::Error::other(format!("not a reply: {lines:?}")))?;
        Ok((code, lines))
    }

    /// Sends a command and reads its SMTP reply, which must have this code.
    pub fn smtp(&mut self, command: &str, want: u16) -> io::Result<Vec<String>> {
        self.line(command)?;
        let (code, lines) = self.reply()?;
        match code == want {
            true => Ok(lines),
            false => Err(io::Error::other(format!(
                "{command:?} was answered {lines:?}, not {want}"
            ))),
        }
    }

    /// Sends an IMAP command with a tag of its own and reads up to its
    /// tagged answer, which must be OK; literals are not understood here.
    pub fn imap(&mut self, command: &str) -> io::Result<Vec<String>> {
        self.line(&format!("t {command}"))?;
        let lines = self.answers_until(|line| line.starts_with("t "))?;
        match lines.last().is_some_and(|line| line.starts_with("t OK")) {
            true => Ok(lines),
            false => Err(io::Error::other(format!(
                "{command:?} was answered {lines:?}"
            ))),
        }
    }

    /// Closes at once.
    pub fn close(&mut self) {
        self.stream = None;
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let result = match self.stream.as_mut().ok_or_else(closed)? {
            Stream::Clear(stream) => stream.read(&mut chunk),
            Stream::Tls(stream) => stream.read(&mut chunk),
        };
        match result {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(true)
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Ok(false)
            }
            // A read with a time limit is interrupted when the process is stopped and continued (signal(7)).
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.fill(),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer within {PATIENCE:?}"),
                ))
            }
            Err(e) => Err(e),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is closed")
}
