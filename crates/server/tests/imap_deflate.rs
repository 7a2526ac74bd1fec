//! COMPRESS=DEFLATE as a client meets it (RFC 4978), with an ordinary DEFLATE at the other end.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::Server;

/// A client that compresses with one stream each way, as zlib's users do.
struct Client {
    socket: TcpStream,
    out: Compress,
    inflate: Decompress,
    compressed: bool,
    /// Text read and not looked at.
    text: Vec<u8>,
}

impl Client {
    fn open(server: &Server) -> Client {
        let socket = TcpStream::connect(server.address(server.ports().imap)).expect("connect");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        let mut client = Client {
            socket,
            out: Compress::new(Compression::default(), false),
            inflate: Decompress::new(false),
            compressed: false,
            text: Vec::new(),
        };
        client.until(b"\r\n");
        client
    }

    fn deflated(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(octets.len() + 1024);
        let before = self.out.total_in();
        self.out
            .compress_vec(octets, &mut out, FlushCompress::Sync)
            .expect("deflate");
        assert_eq!(self.out.total_in() - before, octets.len() as u64);
        out
    }

    fn send(&mut self, octets: &[u8]) {
        let wire = match self.compressed {
            true => self.deflated(octets),
            false => octets.to_vec(),
        };
        self.socket.write_all(&wire).expect("write");
    }

    /// Reads some more text; false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let Ok(count @ 1..) = self.socket.read(&mut buffer) else {
            return false;
        };
        if !self.compressed {
            self.text.extend_from_slice(&buffer[..count]);
            return true;
        }
        let mut rest = &buffer[..count];
        loop {
            self.text.reserve(64 * 1024);
            let before = self.inflate.total_in();
            self.inflate
                .decompress_vec(rest, &mut self.text, FlushDecompress::None)
                .expect("inflate");
            rest = &rest[(self.inflate.total_in() - before) as usize..];
            if rest.is_empty() && self.text.len() < self.text.capacity() {
                return true;
            }
        }
    }

    /// Everything up to what ends with `end`.
    fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .text
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return self.text.drain(..at + end.len()).collect();
            }
            assert!(self.read(), "closed before {}", end.escape_ascii());
        }
    }

    fn command(&mut self, tag: &str, command: &str) -> String {
        self.send(format!("{tag} {command}\r\n").as_bytes());
        self.answer(tag)
    }

    fn answer(&mut self, tag: &str) -> String {
        let mut text = String::new();
        loop {
            let line = self.until(b"\r\n");
            text.push_str(&String::from_utf8_lossy(&line));
            if line.starts_with(format!("{tag} ").as_bytes()) {
                return text;
            }
        }
    }

    fn compress(&mut self) {
        assert!(self.command("z0", "COMPRESS DEFLATE").contains("z0 OK"));
        self.compressed = true;
    }
}

fn server() -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    server
}

fn login(server: &Server) -> Client {
    let mut client = Client::open(server);
    let told = client.command("a", "LOGIN alice@example.test open-sesame");
    assert!(told.contains("COMPRESS=DEFLATE"), "{told}");
    client
}

#[test]
fn everything_goes_through_deflate() {
    let server = server();
    let mut client = login(&server);
    client.compress();
    // Not offered any more, and not twice.
    let told = client.command("b", "CAPABILITY");
    assert!(!told.contains("COMPRESS"), "{told}");
    let told = client.command("c", "COMPRESS DEFLATE");
    assert!(told.contains("c NO [COMPRESSIONACTIVE]"), "{told}");
    // A message with everything in it, there and back, several in flight.
    let body: Vec<u8> = (0..400_000u32)
        .map(|n| b'!' + (n.wrapping_mul(n) % 89) as u8)
        .collect();
    let head = format!("d APPEND INBOX {{{}+}}\r\n", body.len());
    let mut all = head.into_bytes();
    all.extend_from_slice(&body);
    all.extend_from_slice(b"\r\ne SELECT INBOX\r\nf FETCH 1 BODY.PEEK[]\r\n");
    client.send(&all);
    assert!(client.answer("d").contains("d OK"));
    assert!(client.answer("e").contains("e OK"));
    let mut fetched = client.until(b"\r\n");
    assert!(
        fetched.ends_with(b"{400000}\r\n"),
        "{}",
        fetched.escape_ascii()
    );
    fetched = client.until(b"f OK");
    assert_eq!(&fetched[..body.len()], body);
    client.until(b"\r\n");
    // IDLE and what others do.
    client.send(b"g IDLE\r\n");
    client.until(b"+ idling\r\n");
    server
        .append("alice@example.test", "INBOX", b"A: b\r\n\r\n")
        .expect("append");
    client.until(b"* 2 EXISTS\r\n");
    client.send(b"DONE\r\n");
    assert!(client.answer("g").contains("g OK"));
    assert!(client.command("h", "LOGOUT").contains("BYE"));
}

#[test]
fn unauthenticate_ends_it_on_both_sides() {
    let server = server();
    let mut client = login(&server);
    client.compress();
    assert!(client.command("b", "NOOP").contains("b OK"));
    // RFC 8437 §3: the next login may follow at once, in the clear.
    let mut wire = client.deflated(b"c UNAUTHENTICATE\r\n");
    wire.extend_from_slice(b"d LOGIN alice@example.test open-sesame\r\n");
    client.socket.write_all(&wire).expect("write");
    // Ours ends behind the answer, with the flush that every piece ends with.
    client.compressed = false;
    let raw = client.until(b"\0\0\xff\xff");
    let mut told = Vec::with_capacity(1024);
    client
        .inflate
        .decompress_vec(&raw, &mut told, FlushDecompress::None)
        .expect("inflate");
    assert!(told.starts_with(b"c OK"), "{}", told.escape_ascii());
    let rest = client.until(b"\r\n");
    assert!(rest.starts_with(b"d OK"), "{}", rest.escape_ascii());
    // And again, with streams of their own.
    client.out = Compress::new(Compression::default(), false);
    client.inflate = Decompress::new(false);
    client.compress();
    assert!(client.command("e", "NOOP").contains("e OK"));
}

/// Ten GiB in ten MiB: nobody has to read more of it than shows what it is.
#[test]
fn a19_a_bomb_is_closed() {
    let server = server();
    let mut client = login(&server);
    client.compress();
    let mut bomb = Compress::new(Compression::best(), false);
    let mut zeros = Vec::with_capacity(64 * 1024);
    // The text of a message that was announced in order, so that no limit on lines is in the way.
    client.send(b"b APPEND INBOX {20000000+}\r\n");
    let chunk = b"a NOOP\r\n".repeat(1 << 20);
    bomb.compress_vec(&chunk, &mut zeros, FlushCompress::Sync)
        .expect("deflate");
    assert!(zeros.len() * 200 < chunk.len());
    // The server may close while this is on its way.
    for _ in 0..1280 {
        if client.socket.write_all(&zeros).is_err() {
            break;
        }
    }
    assert!(!client.read(), "closed");
    // Everybody else is served.
    let mut other = login(&server);
    assert!(other.command("b", "NOOP").contains("b OK"));
    // What is no DEFLATE ends the connection, too.
    other.compress();
    other.socket.write_all(&[0xff; 16]).expect("write");
    assert!(!other.read());
}

/// Lines and literals have the same limits under compression as without.
#[test]
fn a19_limits_hold_under_compression() {
    let server = server();
    let mut client = login(&server);
    client.compress();
    // A line of four MiB that compresses like text.
    let mut line = b"b SEARCH TEXT \"".to_vec();
    line.extend((0..4u32 << 20).map(|n| b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26));
    let wire = client.deflated_in_pieces(&line);
    let _ = client.socket.write_all(&wire);
    client.until(b"* BYE [TOOBIG]");
}

impl Client {
    fn deflated_in_pieces(&mut self, octets: &[u8]) -> Vec<u8> {
        octets
            .chunks(64 * 1024)
            .flat_map(|chunk| {
                let mut out = Vec::with_capacity(128 * 1024);
                self.out
                    .compress_vec(chunk, &mut out, FlushCompress::Sync)
                    .expect("deflate");
                out
            })
            .collect()
    }
}
