//! A name server for tests: what it says can change while it runs, and it can be broken in every way.
//!
//! UDP and TCP on one loopback port. Nothing is signed. Records live for 0 seconds, so a change counts at once. A name that
//! has nothing, and nothing below it, does not exist.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Record types by their numbers.
#[allow(missing_docs, reason = "each is the type of its name")]
pub mod kind {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const TLSA: u16 = 52;
}

/// How the server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// No answer at all.
    Silence,
}

/// Octets of a UDP answer; a longer one is cut off and asked for again over TCP.
const UDP_LIMIT: usize = 1_232;

#[derive(Debug, Default)]
struct Zone {
    records: BTreeMap<(String, u16), Vec<Vec<u8>>>,
    failures: BTreeMap<String, Failure>,
    all: Option<Failure>,
    authentic: bool,
    asked: Vec<(String, u16)>,
}

/// A running name server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts one without records.
    pub fn start() -> io::Result<Server> {
        let (udp, tcp) = sockets()?;
        let address = udp.local_addr()?;
        let zone = Arc::<Mutex<Zone>>::default();
        let stop = Arc::<AtomicBool>::default();
        let threads = vec![
            std::thread::spawn({
                let (zone, stop) = (Arc::clone(&zone), Arc::clone(&stop));
                move || serve_udp(&udp, &zone, &stop)
            }),
            std::thread::spawn({
                let (zone, stop) = (Arc::clone(&zone), Arc::clone(&stop));
                move || serve_tcp(&tcp, &zone, &stop)
            }),
        ];
        Ok(Server {
            address,
            zone,
            stop,
            threads,
        })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of `dns.servers` that names it.
    pub fn setting(&self) -> String {
        format!("[\"{}\"]", self.address)
    }

    /// Sets all records of a name and type, as octets on the wire; an empty list removes them.
    pub fn raw(&self, name: &str, kind: u16, records: Vec<Vec<u8>>) {
        let key = (lower(name), kind);
        let mut zone = lock(&self.zone);
        if records.is_empty() {
            zone.records.remove(&key);
        } else {
            zone.records.insert(key, records);
        }
    }

    /// Sets the A and AAAA records of a host.
    pub fn host(&self, name: &str, addresses: &[&str]) {
        let parsed: Vec<IpAddr> = addresses
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let four = parsed.iter().filter_map(|ip| match ip {
            IpAddr::V4(ip) => Some(ip.octets().to_vec()),
            IpAddr::V6(_) => None,
        });
        let six = parsed.iter().filter_map(|ip| match ip {
            IpAddr::V6(ip) => Some(ip.octets().to_vec()),
            IpAddr::V4(_) => None,
        });
        self.raw(name, kind::A, four.collect());
        self.raw(name, kind::AAAA, six.collect());
    }

    /// Sets the MX records of a domain.
    pub fn mx(&self, name: &str, hosts: &[(u16, &str)]) {
        let records = hosts.iter().map(|(preference, host)| {
            let mut data = preference.to_be_bytes().to_vec();
            data.extend(labels(host));
            data
        });
        self.raw(name, kind::MX, records.collect());
    }

    /// Sets the TXT records of a name.
    pub fn txt(&self, name: &str, texts: &[&str]) {
        let records = texts.iter().map(|text| {
            let mut data = Vec::new();
            for part in text.as_bytes().chunks(255) {
                data.push(u8::try_from(part.len()).unwrap_or_default());
                data.extend_from_slice(part);
            }
            data
        });
        self.raw(name, kind::TXT, records.collect());
    }

    /// Makes a name an alias.
    pub fn cname(&self, name: &str, target: &str) {
        self.raw(name, kind::CNAME, vec![labels(target)]);
    }

    /// Sets the names of an address.
    pub fn ptr(&self, address: IpAddr, names: &[&str]) {
        let records = names.iter().map(|name| labels(name)).collect();
        self.raw(&reverse(address), kind::PTR, records);
    }

    /// Sets the TLSA records of a name: usage, selector, matching type, data.
    pub fn tlsa(&self, name: &str, records: &[(u8, u8, u8, &[u8])]) {
        let records = records.iter().map(|(usage, selector, matching, data)| {
            let mut record = vec![*usage, *selector, *matching];
            record.extend_from_slice(data);
            record
        });
        self.raw(name, kind::TLSA, records.collect());
    }

    /// Makes every question about a name fail; `None` ends that.
    pub fn fail(&self, name: &str, failure: Option<Failure>) {
        let mut zone = lock(&self.zone);
        match failure {
            Some(failure) => zone.failures.insert(lower(name), failure),
            None => zone.failures.remove(&lower(name)),
        };
    }

    /// Makes every question fail; `None` ends that.
    pub fn fail_all(&self, failure: Option<Failure>) {
        lock(&self.zone).all = failure;
    }

    /// Whether answers say that they were validated (the AD bit).
    pub fn authentic(&self, authentic: bool) {
        lock(&self.zone).authentic = authentic;
    }

    /// What was asked so far: names in lower case, and types.
    pub fn asked(&self) -> Vec<(String, u16)> {
        lock(&self.zone).asked.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Each thread waits for a packet or a connection: it gets one.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], self.address);
        }
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Both sockets on one port.
fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(_) if tries < 100 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, stop: &AtomicBool) {
    let mut buffer = [0; 4_096];
    while let Ok((read, peer)) = socket.recv_from(&mut buffer) {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let question = buffer.get(..read).unwrap_or_default();
        if let Some(answer) = answer(question, zone, Some(UDP_LIMIT)) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Arc<Mutex<Zone>>, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let zone = Arc::clone(zone);
        if let Ok(stream) = stream {
            std::thread::spawn(move || serve_stream(stream, &zone));
        }
    }
}

fn serve_stream(mut stream: TcpStream, zone: &Mutex<Zone>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        let Some(answer) = answer(&question, zone, None) else {
            continue;
        };
        let mut out = u16::try_from(answer.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes()
            .to_vec();
        out.extend(answer);
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to a question; none for silence.
fn answer(question: &[u8], zone: &Mutex<Zone>, limit: Option<usize>) -> Option<Vec<u8>> {
    let (name, kind, end) = parse(question)?;
    let mut zone = lock(zone);
    zone.asked.push((name.clone(), kind));
    let failure = zone.all.or_else(|| zone.failures.get(&name).copied());
    let (code, records) = match failure {
        Some(Failure::Silence) => return None,
        Some(Failure::ServFail) => (2, Vec::new()),
        Some(Failure::Refused) => (5, Vec::new()),
        None => zone.find(&name, kind),
    };
    let whole = message(question, end, code, &records, zone.authentic, false)?;
    match limit {
        Some(limit) if whole.len() > limit => message(question, end, code, &[], false, true),
        _ => Some(whole),
    }
}

type Found = (String, u16, Vec<u8>);

impl Zone {
    /// The code and the records of an answer, aliases followed.
    fn find(&self, name: &str, kind: u16) -> (u8, Vec<Found>) {
        let mut found = Vec::new();
        let mut name = name.to_owned();
        for _ in 0..12 {
            let alias = self.records.get(&(name.clone(), kind::CNAME));
            match alias.and_then(|records| records.first()) {
                Some(target) if kind != kind::CNAME => {
                    found.push((name.clone(), kind::CNAME, target.clone()));
                    name = unlabel(target);
                }
                _ => break,
            }
        }
        let records = self.records.get(&(name.clone(), kind));
        found.extend(
            records
                .into_iter()
                .flatten()
                .map(|data| (name.clone(), kind, data.clone())),
        );
        let below = format!(".{name}");
        let exists = |(other, _): &(String, u16)| *other == name || other.ends_with(&below);
        let code = if self.records.keys().any(exists) {
            0
        } else {
            3
        };
        (code, found)
    }
}

fn message(
    question: &[u8],
    end: usize,
    code: u8,
    records: &[Found],
    authentic: bool,
    truncated: bool,
) -> Option<Vec<u8>> {
    let mut out = question.get(..2)?.to_vec();
    let truncated = if truncated { 0x02 } else { 0 };
    // Response, authoritative, recursion as asked; recursion available.
    out.push(0x84 | truncated | (question.get(2)? & 0x01));
    out.push(0x80 | if authentic { 0x20 } else { 0 } | code);
    out.extend([0, 1]);
    out.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend_from_slice(question.get(12..end)?);
    for (name, kind, data) in records {
        out.extend(labels(name));
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 0]);
        out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        out.extend_from_slice(data);
    }
    Some(out)
}

/// Name and type of a question, and where it ends.
fn parse(question: &[u8]) -> Option<(String, u16, usize)> {
    let mut at = 12;
    let mut name = String::new();
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    Some((name, kind, at + 4))
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

/// A name as on the wire; `\.` and other escapes are not understood.
pub fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap_or(63).min(63));
        out.extend(label.bytes().take(63));
    }
    out.push(0);
    out
}

fn unlabel(mut wire: &[u8]) -> String {
    let mut name = Vec::new();
    while let Some((length @ 1.., rest)) = wire.split_first() {
        let (label, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        name.push(String::from_utf8_lossy(label).to_lowercase());
        wire = rest;
    }
    name.join(".")
}

/// The name under which the names of an address are.
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev();
            let nibbles = nibbles.map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
    }
}
