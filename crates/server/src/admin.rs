//! The admin socket: how the command line reaches a running server.
//!
//! A Unix socket in the data folder, mode 0600 in a folder of mode 0700: who may open it may open the store too. A
//! request is a line of JSON (see [`Request`]), with `octets` raw octets behind it where the line says so; an answer
//! likewise. Answers come in the order of requests; requests may be sent ahead, and appends sent ahead share commits.
//!
//! Runs on threads of its own, because everything it does blocks.
//!
//! Limits: [`CONNECTIONS`], [`LINE_LIMIT`], `transfer::MESSAGE_LIMIT`, [`AHEAD`].

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Store;

use crate::manage::{self, Answer, Request};
use crate::sessions::Sessions;
use crate::transfer::MESSAGE_LIMIT;

/// Administrators at the same time.
const CONNECTIONS: usize = 16;

/// The longest line: some ten thousand accounts in one request.
const LINE_LIMIT: u64 = 16 << 20;

/// Appends whose commit is awaited at once, by either side. The client's number is the larger one: it never waits
/// for an answer that the server holds back for more requests.
pub const AHEAD: usize = 32;

/// A line in either direction.
#[derive(Debug, Serialize, Deserialize)]
struct Framed<T> {
    #[serde(flatten)]
    content: T,
    /// Raw octets behind the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    octets: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Ok(Value),
    Error(String),
}

/// The socket's path in a data folder.
pub fn path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// The path under which the socket can be opened: socket addresses hold 108 octets only, so a longer path goes
/// through a descriptor of its folder. The file keeps the folder open.
fn reachable(data: &Path) -> io::Result<(PathBuf, Option<fs::File>)> {
    use std::os::fd::AsRawFd;
    let direct = path(data);
    if direct.as_os_str().len() < 100 {
        return Ok((direct, None));
    }
    let folder = fs::File::open(data)?;
    let indirect = PathBuf::from(format!("/proc/self/fd/{}/admin.sock", folder.as_raw_fd()));
    Ok((indirect, Some(folder)))
}

/// Serves the admin socket until the process ends. The caller holds the data folder's lock, so a socket that is
/// there already is nobody's.
pub fn serve(data: &Path, store: Store, sessions: Arc<Sessions>) -> io::Result<()> {
    let (reachable, _folder) = reachable(data)?;
    match fs::remove_file(&reachable) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&reachable)?;
    fs::set_permissions(&reachable, fs::Permissions::from_mode(0o600))?;
    let open = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    continue;
                };
                if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
                    open.fetch_sub(1, Ordering::AcqRel);
                    continue;
                }
                let (store, guard) = (store.clone(), Guard(Arc::clone(&open)));
                let sessions = Arc::clone(&sessions);
                let started = std::thread::Builder::new()
                    .name("admin session".to_owned())
                    .spawn(move || {
                        let _guard = guard;
                        if let Err(error) = converse(&stream, &store, &sessions) {
                            tracing::debug!(%error, "admin connection");
                        }
                    });
                if let Err(error) = started {
                    tracing::warn!(%error, "no thread for an admin connection");
                }
            }
        })?;
    Ok(())
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

type Awaited = VecDeque<mpsc::Receiver<store::Result<()>>>;

fn converse(stream: &UnixStream, store: &Store, sessions: &Sessions) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, stream);
    let mut output = BufWriter::new(stream);
    let mut awaited = Awaited::new();
    loop {
        // Nothing more was sent ahead: the client waits for what it asked.
        if input.buffer().is_empty() {
            settle(&mut awaited, 0, &mut output)?;
            output.flush()?;
        }
        let Some((request, octets)) = receive::<Request>(&mut input)? else {
            return Ok(());
        };
        if let Request::Append(append) = request {
            let (sender, receiver) = mpsc::sync_channel(1);
            manage::append(store, append, &octets.unwrap_or_default(), move |result| {
                let _ = sender.send(result);
            });
            awaited.push_back(receiver);
            settle(&mut awaited, AHEAD, &mut output)?;
            continue;
        }
        settle(&mut awaited, 0, &mut output)?;
        let described = describe(&request);
        let dismisses = matches!(
            request,
            Request::AccountRemove { .. } | Request::AccountDisabled { disabled: true, .. }
        );
        let result = manage::execute(store, request);
        if dismisses {
            sessions.recheck(store);
        }
        match (&result, described) {
            (Ok(_), Some(what)) => tracing::info!(?what, "administration"),
            (Err(error), Some(what)) => tracing::info!(?what, %error, "administration refused"),
            _ => {}
        }
        answer(&mut output, result)?;
    }
}

/// Answers the oldest appends until only `leave` are open.
fn settle(awaited: &mut Awaited, leave: usize, output: &mut impl Write) -> io::Result<()> {
    while awaited.len() > leave {
        let Some(oldest) = awaited.pop_front() else {
            break;
        };
        let result = oldest.recv().unwrap_or(Err(store::Error::Closed));
        answer(output, result.map(|()| Answer::default()))?;
    }
    Ok(())
}

fn answer(output: &mut impl Write, result: store::Result<Answer>) -> io::Result<()> {
    match result {
        Ok(answer) => send(output, Reply::Ok(answer.value), answer.octets.as_deref()),
        Err(error) => send(output, Reply::Error(error.to_string()), None),
    }
}

/// What the log says about a request that changes something.
fn describe(request: &Request) -> Option<String> {
    let text = match request {
        Request::DomainAdd { name } => format!("domain add {name}"),
        Request::Dkim(request) => return request.describe(),
        Request::Reports(request) => return request.describe(),
        Request::Sharing(request) => return request.describe(),
        Request::Pop3(request) => return request.describe(),
        Request::Queue(request) => return request.describe(),
        Request::Remote(request) => return request.describe(),
        Request::DomainRemove { name } => format!("domain remove {name}"),
        Request::AccountAdd { accounts } => match accounts.as_slice() {
            [one] => format!("account add {}", one.address),
            many => format!("account add, {} accounts", many.len()),
        },
        Request::AccountRemove { address } => format!("account remove {address}"),
        Request::AccountPassword { address, .. } => format!("account password {address}"),
        Request::AccountQuota { address, .. } => format!("account quota {address}"),
        Request::AccountDisabled {
            address,
            disabled: true,
        } => format!("account disable {address}"),
        Request::AccountDisabled { address, .. } => format!("account enable {address}"),
        Request::AliasAdd { address, .. } => format!("alias add {address}"),
        Request::AliasRemove { address } => format!("alias remove {address}"),
        Request::AppPasswordAdd { address, name, .. } => {
            format!("app-password add {address} {name}")
        }
        Request::AppPasswordRemove { address, name } => {
            format!("app-password remove {address} {name}")
        }
        Request::Finish { address, source } => format!("import {address} from {source}"),
        Request::Backup { folder } => format!("backup {folder}"),
        Request::Check { repair: true } => "check --repair".to_owned(),
        _ => return None,
    };
    Some(text)
}

fn send<T: Serialize>(
    output: &mut impl Write,
    content: T,
    octets: Option<&[u8]>,
) -> io::Result<()> {
    let line = Framed {
        content,
        octets: octets.map(|octets| octets.len() as u64),
    };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")?;
    output.write_all(octets.unwrap_or_default())
}

type Received<T> = Option<(T, Option<Vec<u8>>)>;

fn receive<T: for<'de> Deserialize<'de>>(input: &mut impl BufRead) -> io::Result<Received<T>> {
    let mut line = Vec::new();
    input
        .by_ref()
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let framed: Framed<T> = serde_json::from_slice(&line)?;
    let Some(length) = framed.octets else {
        return Ok(Some((framed.content, None)));
    };
    if length > MESSAGE_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message too large",
        ));
    }
    let mut octets = Vec::new();
    let read = input.by_ref().take(length).read_to_end(&mut octets)?;
    if read as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((framed.content, Some(octets))))
}

/// The client's side.
#[derive(Debug)]
pub struct Client {
    input: BufReader<UnixStream>,
    output: BufWriter<UnixStream>,
    /// Appends sent and not answered.
    open: usize,
}

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[from] io::Error),
}

impl Client {
    /// Connects to the server of a data folder; `None` when none runs.
    pub fn connect(data: &Path) -> io::Result<Option<Client>> {
        let (reachable, _folder) = match reachable(data) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match UnixStream::connect(reachable) {
            Ok(stream) => Ok(Some(Client {
                input: BufReader::new(stream.try_clone()?),
                output: BufWriter::with_capacity(1 << 16, stream),
                open: 0,
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        self.settle(0)?;
        send(&mut self.output, request, None)?;
        self.output.flush()?;
        self.answer()
    }

    /// Sends a message ahead; a refusal of an earlier one shows here or in the next [`Client::ask`].
    pub fn append(&mut self, append: manage::Append, octets: &[u8]) -> Result<(), Failure> {
        send(&mut self.output, Request::Append(append), Some(octets))?;
        self.open += 1;
        self.settle(2 * AHEAD)
    }

    fn settle(&mut self, leave: usize) -> Result<(), Failure> {
        if self.open > leave {
            self.output.flush()?;
        }
        while self.open > leave {
            self.open -= 1;
            self.answer()?;
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<Answer, Failure> {
        match receive::<Reply>(&mut self.input)? {
            Some((Reply::Ok(value), octets)) => Ok(Answer { value, octets }),
            Some((Reply::Error(why), _)) => Err(Failure::Refused(why)),
            None => Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manage::{Append, NewAccount};
    use store::Options;

    const ALICE: &str = "alice@example.test";

    fn served(data: &Path) -> (Store, Client) {
        fs::create_dir_all(data).unwrap();
        let store = Store::open(data, Options::default()).unwrap();
        serve(data, store.clone(), Arc::default()).unwrap();
        let mut client = Client::connect(data).unwrap().expect("it runs");
        client
            .ask(&Request::DomainAdd {
                name: "example.test".to_owned(),
            })
            .unwrap();
        let accounts = vec![NewAccount {
            address: ALICE.to_owned(),
            secret: None,
            quota: Some(3000),
        }];
        client.ask(&Request::AccountAdd { accounts }).unwrap();
        (store, client)
    }

    fn append(n: usize) -> Append {
        Append {
            address: ALICE.to_owned(),
            source: "/somewhere".to_owned(),
            key: format!("{n:04}"),
            after: n.checked_sub(1).map(|before| format!("{before:04}")),
            mailbox: "Old/2020".to_owned(),
            flags: store::Flags::SEEN.0 | 0x80,
            keywords: vec!["$Work".to_owned()],
            received: Some(86_400),
            pop3_uid: (n == 0).then(|| "from-elsewhere".to_owned()),
            remote: None,
        }
    }

    fn list(client: &mut Client) -> Vec<Value> {
        let (address, mailbox) = (ALICE.to_owned(), "Old/2020".to_owned());
        let request = Request::MessageList {
            address,
            mailbox,
            after: 0,
            limit: 10_000,
        };
        client
            .ask(&request)
            .unwrap()
            .value
            .as_array()
            .unwrap()
            .clone()
    }

    #[test]
    fn answers_in_order_and_refuses_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, mut client) = served(folder.path());
        let twice = client.ask(&Request::DomainAdd {
            name: "example.test".to_owned(),
        });
        assert_eq!(twice.unwrap_err().to_string(), "domain exists already");
        let value = client.ask(&Request::DomainList).unwrap().value;
        assert_eq!(value[0]["name"], "example.test");
        assert_eq!(value.as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn appends_sent_ahead_keep_order_key_and_octets_and_stop_at_the_quota() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut client) = served(folder.path());
        let message = |n: usize| format!("Subject: {n}\r\n\r\n{{\"octets\": 9}}\r\n").into_bytes();
        let size = message(100).len();
        let mut sent = 0;
        let refused = loop {
            match client.append(append(sent), &message(100 + sent)) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 1000);
        };
        assert_eq!(refused.to_string(), "over quota");
        drop(client);
        let mut client = Client::connect(folder.path()).unwrap().expect("it runs");
        let rows = list(&mut client);
        assert_eq!(rows.len(), 3000 / size);
        assert_eq!(rows[0]["flags"], store::Flags::SEEN.0);
        assert_eq!(rows[0]["keywords"][0], "$Work");
        assert_eq!(rows[0]["received"], 86_400);
        let (address, source) = (ALICE.to_owned(), "/somewhere".to_owned());
        let key = client
            .ask(&Request::ResumeKey {
                address: address.clone(),
                source: source.clone(),
            })
            .unwrap()
            .value;
        assert_eq!(
            key,
            format!("{:04}", rows.len() - 1),
            "the key of the last message that was kept"
        );
        let uid = u32::try_from(rows[1]["uid"].as_u64().unwrap()).unwrap();
        let request = Request::Message {
            address: address.clone(),
            mailbox: "Old/2020".to_owned(),
            uid,
        };
        assert_eq!(client.ask(&request).unwrap().octets, Some(message(101)));
        client
            .ask(&Request::Finish {
                address: address.clone(),
                source: source.clone(),
            })
            .unwrap();
        assert_eq!(
            client
                .ask(&Request::ResumeKey { address, source })
                .unwrap()
                .value,
            Value::Null
        );
        assert!(store.check(false).unwrap().findings.is_empty());
    }

    /// An import was killed while its messages waited in the socket, and started again at once: nothing comes twice.
    /// One message is refused and smaller ones come behind it: they are not kept either, or the next run, which
    /// starts behind the last one kept, would leave the refused one out.
    #[test]
    fn two_imports_and_gaps_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, mut first) = served(folder.path());
        let mut second = Client::connect(folder.path()).unwrap().expect("it runs");
        let small = b"Subject: small\r\n\r\n".as_slice();
        first.append(append(0), small).unwrap();
        first.settle(0).unwrap();
        second.append(append(0), small).unwrap();
        let twice = second.settle(0).unwrap_err().to_string();
        assert!(twice.contains("another import"), "{twice}");
        first.append(append(1), &[b'x'; 5000]).unwrap();
        first.append(append(2), small).unwrap();
        assert_eq!(first.settle(1).unwrap_err().to_string(), "over quota");
        assert!(first.settle(0).is_err());
        assert_eq!(list(&mut second).len(), 1);
    }

    #[test]
    fn a_long_path_has_a_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("d".repeat(120));
        let (_store, mut client) = served(&data);
        assert!(path(&data).exists());
        assert!(client.ask(&Request::Status).unwrap().value["trouble"].is_null());
    }

    #[test]
    fn nonsense_ends_the_connection_only() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, mut client) = served(folder.path());
        for nonsense in [
            "GET / HTTP/1.1\r\n\r\n",
            "{}\n",
            "{\"do\":\"append\",\"octets\":99999999999}\n",
            "[[[[\n",
        ] {
            let mut stream = UnixStream::connect(path(folder.path())).unwrap();
            stream.write_all(nonsense.as_bytes()).unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap_or_default();
            assert!(heard.is_empty(), "{nonsense:?}");
        }
        assert!(client.ask(&Request::Status).is_ok());
    }

    #[test]
    fn without_a_server_there_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Client::connect(folder.path()).unwrap().is_none());
        drop(UnixListener::bind(path(folder.path())).unwrap());
        assert!(
            Client::connect(folder.path()).unwrap().is_none(),
            "a socket left from a crash"
        );
        assert!(
            Client::connect(&folder.path().join("missing"))
                .unwrap()
                .is_none()
        );
    }
}
