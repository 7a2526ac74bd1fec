//! An SMTP server for tests of what we send: it does what it is told, well or badly, and remembers every octet.
//!
//! By default it takes everything. [`Sink`] says what it does otherwise: what it offers, what it answers to which command and
//! how late, and where it hangs up.

use crate::tls::Identity;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a sink does.
#[derive(Clone, Debug)]
pub struct Sink {
    ip: IpAddr,
    port: u16,
    greeting: String,
    capabilities: Vec<String>,
    capabilities_in_tls: Option<Vec<String>>,
    identity: Option<Identity>,
    implicit: bool,
    rules: Vec<Rule>,
    behind_starttls: Option<String>,
    drop_at: usize,
}

#[derive(Clone, Debug)]
struct Rule {
    command: String,
    act: Act,
    /// How often it still applies.
    times: usize,
}

#[derive(Clone, Debug)]
enum Act {
    Reply(String),
    Delay(Duration),
    /// Hangs up instead of an answer.
    Drop,
    /// Says only this, without a line end, and hangs up.
    Part(String),
    /// Answers, then resets the connection.
    ReplyAndReset(String),
}

/// A message that was taken or would have been.
#[derive(Clone, Debug)]
pub struct Message {
    /// The MAIL command.
    pub mail: String,
    /// The RCPT commands that were accepted.
    pub recipients: Vec<String>,
    /// The message as it came over the wire: with DATA dot-stuffed and with its end, with BDAT plain.
    pub wire: Vec<u8>,
    /// The message itself.
    pub content: Vec<u8>,
    /// Whether it came under TLS.
    pub tls: bool,
    /// Which connection it came over, from 0.
    pub session: usize,
    /// What was answered to its end; empty when the sink hung up.
    pub reply: String,
}

/// A connection.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// The commands, without line ends.
    pub commands: Vec<String>,
    /// Whether TLS was begun and came up.
    pub tls: bool,
    /// The name asked for in the handshake.
    pub server_name: Option<String>,
    /// Whether it is over.
    pub ended: bool,
}

#[derive(Debug, Default)]
struct Seen {
    sessions: Vec<Session>,
    messages: Vec<Message>,
}

#[derive(Debug, Default)]
struct Record {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// A running sink.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    record: Arc<Record>,
    rules: Arc<Mutex<Vec<Rule>>>,
    drop_at: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Default for Sink {
    fn default() -> Sink {
        Sink {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            greeting: "220 sink.test ESMTP".to_owned(),
            capabilities: [
                "PIPELINING",
                "8BITMIME",
                "SMTPUTF8",
                "ENHANCEDSTATUSCODES",
                "DSN",
            ]
            .map(str::to_owned)
            .to_vec(),
            capabilities_in_tls: None,
            identity: None,
            implicit: false,
            rules: Vec::new(),
            behind_starttls: None,
            drop_at: usize::MAX,
        }
    }
}

impl Sink {
    /// A sink that takes everything.
    pub fn new() -> Sink {
        Sink::default()
    }

    /// Listens on this address instead of 127.0.0.1 and any port.
    pub fn at(mut self, address: SocketAddr) -> Sink {
        (self.ip, self.port) = (address.ip(), address.port());
        self
    }

    /// Offers exactly these; STARTTLS is added where there is a certificate.
    pub fn capabilities(mut self, capabilities: &[&str]) -> Sink {
        self.capabilities = capabilities.iter().map(|one| (*one).to_owned()).collect();
        self
    }

    /// Offers one more.
    pub fn capability(mut self, capability: &str) -> Sink {
        self.capabilities.push(capability.to_owned());
        self
    }

    /// Offers exactly these once TLS is up.
    pub fn capabilities_in_tls(mut self, capabilities: &[&str]) -> Sink {
        self.capabilities_in_tls = Some(capabilities.iter().map(|one| (*one).to_owned()).collect());
        self
    }

    /// Offers STARTTLS with this certificate.
    pub fn tls(mut self, identity: &Identity) -> Sink {
        self.identity = Some(identity.clone());
        self
    }

    /// Begins with TLS.
    pub fn implicit_tls(mut self, identity: &Identity) -> Sink {
        self.implicit = true;
        self.tls(identity)
    }

    /// Says this in the clear right behind its answer to STARTTLS.
    pub fn behind_starttls(mut self, text: &str) -> Sink {
        self.behind_starttls = Some(text.to_owned());
        self
    }

    /// The greeting; lines are separated by `\r\n`.
    pub fn greeting(mut self, greeting: &str) -> Sink {
        self.greeting = greeting.to_owned();
        self
    }

    /// Answers commands that begin with `command` so; `.` is the end of the message, `CONNECT` the greeting.
    pub fn reply(self, command: &str, reply: &str) -> Sink {
        self.rule(command, Act::Reply(reply.to_owned()), usize::MAX)
    }

    /// Answers so this many times.
    pub fn reply_times(self, command: &str, reply: &str, times: usize) -> Sink {
        self.rule(command, Act::Reply(reply.to_owned()), times)
    }

    /// Waits before it answers.
    pub fn delay(self, command: &str, time: Duration) -> Sink {
        self.rule(command, Act::Delay(time), usize::MAX)
    }

    /// Hangs up instead of answering, this many times.
    pub fn drop_at_command(self, command: &str, times: usize) -> Sink {
        self.rule(command, Act::Drop, times)
    }

    /// Says only this instead of an answer, without a line end, and hangs up, this many times.
    pub fn part_of_reply(self, command: &str, part: &str, times: usize) -> Sink {
        self.rule(command, Act::Part(part.to_owned()), times)
    }

    /// Answers and resets the connection at once.
    pub fn reply_and_reset(self, command: &str, reply: &str) -> Sink {
        self.rule(command, Act::ReplyAndReset(reply.to_owned()), usize::MAX)
    }

    /// Hangs up once this many octets came, counted without TLS, in every connection.
    pub fn drop_at_octet(mut self, octets: usize) -> Sink {
        self.drop_at = octets;
        self
    }

    fn rule(mut self, command: &str, act: Act, times: usize) -> Sink {
        self.rules.push(Rule {
            command: command.to_owned(),
            act,
            times,
        });
        self
    }

    /// Starts it.
    pub fn start(self) -> io::Result<Server> {
        let listener = TcpListener::bind((self.ip, self.port))?;
        let address = listener.local_addr()?;
        let record = Arc::<Record>::default();
        let stop = Arc::<AtomicBool>::default();
        let rules = Arc::new(Mutex::new(self.rules.clone()));
        let drop_at = Arc::new(AtomicUsize::new(self.drop_at));
        let sink = Arc::new(self);
        let thread = std::thread::spawn({
            let (record, stop, rules) = (record.clone(), stop.clone(), rules.clone());
            let drop_at = drop_at.clone();
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let number = record.change(|seen| {
                        seen.sessions.push(Session {
                            peer: stream.peer_addr().ok(),
                            ..Session::default()
                        });
                        seen.sessions.len() - 1
                    });
                    let mut talk = Talk {
                        sink: sink.clone(),
                        rules: rules.clone(),
                        drop_at: drop_at.clone(),
                        record: record.clone(),
                        number,
                        stream: Stream::Clear(stream),
                        received: 0,
                    };
                    std::thread::spawn(move || {
                        // A peer that hangs up is an end like any other.
                        let _ = talk.run();
                        talk.record.change(|seen| {
                            if let Some(session) = seen.sessions.get_mut(talk.number) {
                                session.ended = true;
                            }
                        });
                    });
                }
            }
        });
        Ok(Server {
            address,
            record,
            rules,
            drop_at,
            stop,
            thread: Some(thread),
        })
    }
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Forgets what it was told to answer, and answers well from now on.
    pub fn behave(&self) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Hangs up once this many octets came, in every connection from now on.
    pub fn now_drop_at_octet(&self, octets: usize) {
        self.drop_at.store(octets, Ordering::SeqCst);
    }

    /// Answers commands that begin so from now on.
    pub fn now_reply(&self, command: &str, reply: &str) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Rule {
                command: command.to_owned(),
                act: Act::Reply(reply.to_owned()),
                times: usize::MAX,
            });
    }

    /// The connections so far.
    pub fn sessions(&self) -> Vec<Session> {
        self.record.lock().sessions.clone()
    }

    /// The messages so far.
    pub fn messages(&self) -> Vec<Message> {
        self.record.lock().messages.clone()
    }

    /// Waits until this many messages came; fewer, and the test fails.
    pub fn wait_messages(&self, number: usize) -> Vec<Message> {
        self.wait(|_, messages| messages.len() >= number);
        self.messages()
    }

    /// Waits until what came fits; in vain, and the test fails.
    pub fn wait(&self, fits: impl Fn(&[Session], &[Message]) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.record.lock();
        while !fits(&seen.sessions, &seen.messages) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "in vain waited for a sink: {seen:#?}");
            let waited = self.record.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, f: impl FnOnce(&mut Seen) -> T) -> T {
        let changed = f(&mut self.lock());
        self.changed.notify_all();
        changed
    }
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

/// One conversation.
struct Talk {
    sink: Arc<Sink>,
    rules: Arc<Mutex<Vec<Rule>>>,
    drop_at: Arc<AtomicUsize>,
    record: Arc<Record>,
    number: usize,
    stream: Stream,
    received: usize,
}

/// The transaction under way.
#[derive(Default)]
struct Open {
    mail: String,
    recipients: Vec<String>,
    chunks: Vec<u8>,
}

fn hung_up() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl Talk {
    fn run(&mut self) -> io::Result<()> {
        if self.sink.implicit {
            self.start_tls()?;
        }
        let greeting = self.sink.greeting.clone();
        self.answer("CONNECT", &greeting)?;
        let mut open = Open::default();
        loop {
            let line = self.line()?;
            self.session(|session| session.commands.push(line.clone()));
            let upper = line.to_ascii_uppercase();
            let verb = upper.split(' ').next().unwrap_or_default();
            match verb {
                "EHLO" | "LHLO" => {
                    let text = self.hello();
                    self.answer(&line, &text)?;
                }
                "STARTTLS" if self.sink.identity.is_some() => {
                    if self.answer(&line, "220 go ahead")?.starts_with("220") {
                        if let Some(text) = self.sink.behind_starttls.clone() {
                            self.write(text.as_bytes())?;
                        }
                        self.start_tls()?;
                        open = Open::default();
                    }
                }
                "MAIL" => {
                    if self.answer(&line, "250 2.1.0 ok")?.starts_with('2') {
                        open = Open {
                            mail: line,
                            ..Open::default()
                        };
                    }
                }
                "RCPT" => {
                    if self.answer(&line, "250 2.1.5 ok")?.starts_with('2') {
                        open.recipients.push(line);
                    }
                }
                "DATA" => {
                    let refusal = if open.recipients.is_empty() {
                        "503 5.5.1 no recipients"
                    } else {
                        "354 go ahead"
                    };
                    if self.answer(&line, refusal)?.starts_with("354") {
                        let wire = self.data()?;
                        let content = unstuffed(&wire);
                        self.take(std::mem::take(&mut open), wire, content)?;
                    }
                }
                "BDAT" => self.bdat(&line, &mut open)?,
                "RSET" => {
                    open = Open::default();
                    self.answer(&line, "250 2.0.0 ok")?;
                }
                "QUIT" => {
                    self.answer(&line, "221 2.0.0 bye")?;
                    return Ok(());
                }
                "AUTH" => {
                    self.answer(&line, "235 2.7.0 in")?;
                }
                "HELO" | "NOOP" => {
                    self.answer(&line, "250 ok")?;
                }
                _ => {
                    self.answer(&line, "500 5.5.1 what")?;
                }
            }
        }
    }

    fn hello(&self) -> String {
        let tls = matches!(self.stream, Stream::Tls(_));
        let mut all = match (&self.sink.capabilities_in_tls, tls) {
            (Some(all), true) => all.clone(),
            _ => self.sink.capabilities.clone(),
        };
        if self.sink.identity.is_some() && !tls {
            all.push("STARTTLS".to_owned());
        }
        let mut text = String::from("250-sink.test");
        for capability in all {
            text.push_str(&format!("\r\n250-{capability}"));
        }
        text.push_str("\r\n250 HELP");
        text
    }

    fn bdat(&mut self, line: &str, open: &mut Open) -> io::Result<()> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let size = words.next().and_then(|word| word.parse::<usize>().ok());
        let last = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        for _ in 0..size.unwrap_or(0) {
            let octet = self.octet()?;
            open.chunks.push(octet);
        }
        if last {
            let content = std::mem::take(&mut open.chunks);
            return self.take(std::mem::take(open), content.clone(), content);
        }
        self.answer(line, "250 2.0.0 chunk").map(drop)
    }

    /// Answers the end of a message and remembers it.
    fn take(&mut self, open: Open, wire: Vec<u8>, content: Vec<u8>) -> io::Result<()> {
        let tls = matches!(self.stream, Stream::Tls(_));
        let session = self.number;
        // Before the answer: whoever has that finds the message here.
        let number = self.record.change(|seen| {
            seen.messages.push(Message {
                mail: open.mail,
                recipients: open.recipients,
                wire,
                content,
                tls,
                session,
                reply: String::new(),
            });
            seen.messages.len() - 1
        });
        let reply = self.answer(".", "250 2.0.0 stored");
        let text = reply.as_ref().map(String::clone).unwrap_or_default();
        self.record.change(|seen| {
            if let Some(message) = seen.messages.get_mut(number) {
                message.reply = text;
            }
        });
        reply.map(drop)
    }

    /// Does what the rules say about a command, or gives `usual`. Answers what was answered.
    fn answer(&mut self, command: &str, usual: &str) -> io::Result<String> {
        let mut acts = Vec::new();
        {
            let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
            for rule in rules.iter_mut().filter(|rule| rule.times > 0) {
                let fits = command
                    .get(..rule.command.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(&rule.command));
                if fits {
                    rule.times = rule.times.saturating_sub(1);
                    acts.push(rule.act.clone());
                }
            }
        }
        let mut reply = usual.to_owned();
        let mut reset = false;
        for act in acts {
            match act {
                Act::Delay(time) => std::thread::sleep(time),
                Act::Drop => return Err(hung_up()),
                Act::Part(text) => {
                    self.write(text.as_bytes())?;
                    return Err(hung_up());
                }
                Act::Reply(text) => reply = text,
                Act::ReplyAndReset(text) => (reply, reset) = (text, true),
            }
        }
        self.write(format!("{reply}\r\n").as_bytes())?;
        if reset {
            self.reset();
            // What is remembered about the message must stay; the next read fails.
        }
        Ok(reply)
    }

    /// Closes so that the peer gets a reset instead of an end.
    fn reset(&mut self) {
        let stream = std::mem::replace(&mut self.stream, Stream::Gone);
        let socket = match &stream {
            Stream::Clear(socket) => Some(socket),
            Stream::Tls(tls) => Some(&tls.sock),
            Stream::Gone => None,
        };
        if let Some(socket) = socket {
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    fn start_tls(&mut self) -> io::Result<()> {
        let Stream::Clear(mut socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(hung_up());
        };
        let Some(identity) = &self.sink.identity else {
            return Err(hung_up());
        };
        let mut tls = ServerConnection::new(server_config(identity)?).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let name = tls.server_name().map(str::to_owned);
        self.session(|session| (session.tls, session.server_name) = (true, name));
        self.stream = Stream::Tls(Box::new(StreamOwned::new(tls, socket)));
        Ok(())
    }

    /// The message up to and with the final dot.
    fn data(&mut self) -> io::Result<Vec<u8>> {
        let mut wire = Vec::new();
        loop {
            wire.push(self.octet()?);
            if wire == b".\r\n" || wire.ends_with(b"\r\n.\r\n") {
                return Ok(wire);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            line.push(self.octet()?);
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    fn octet(&mut self) -> io::Result<u8> {
        if self.received >= self.drop_at.load(Ordering::SeqCst) {
            return Err(hung_up());
        }
        let mut octet = [0];
        match &mut self.stream {
            Stream::Clear(stream) => stream.read_exact(&mut octet)?,
            Stream::Tls(stream) => stream.read_exact(&mut octet)?,
            Stream::Gone => return Err(hung_up()),
        }
        self.received += 1;
        let [octet] = octet;
        Ok(octet)
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(octets),
            Stream::Tls(stream) => {
                stream.write_all(octets)?;
                stream.flush()
            }
            Stream::Gone => Err(hung_up()),
        }
    }

    fn session(&self, f: impl FnOnce(&mut Session)) {
        self.record.change(|seen| {
            if let Some(session) = seen.sessions.get_mut(self.number) {
                f(session);
            }
        });
    }
}

fn server_config(identity: &Identity) -> io::Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from(identity.certificate.clone());
    let key =
        PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// Takes dot stuffing and the end off.
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in wire.split_inclusive(|&octet| octet == b'\n') {
        match line {
            b".\r\n" => break,
            [b'.', rest @ ..] => out.extend_from_slice(rest),
            line => out.extend_from_slice(line),
        }
    }
    out
}
