//! Whether the name servers hand DNSSEC through.
//!
//! Some resolvers, mostly those of small routers, drop signatures or do not know EDNS. With validation every answer through
//! them would be bogus and no mail could leave. The SOA record of the root is signed everywhere: an answer about it without
//! signature tells such a resolver.
//!
//! Somebody on the way to the resolver can imitate that, and so can take DANE away, though not make a forged answer secure.
//! Who has such neighbours runs a resolver on the same machine.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;

/// How long a finding holds. One that forbids DANE is looked at again sooner.
const GOOD_FOR: Duration = Duration::from_secs(3_600);
const STRIPPED_FOR: Duration = Duration::from_secs(300);
/// Where nobody answered, lookups fail anyway.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// How long a server may take, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 2;

/// The finding so far.
pub(super) struct Probe {
    servers: Vec<SocketAddr>,
    found: Mutex<Option<(Finding, Instant)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Signed,
    Stripped,
    /// No answer: what is asked is validated, and fails by itself.
    Unknown,
}

impl Finding {
    fn holds(self) -> Duration {
        match self {
            Finding::Signed => GOOD_FOR,
            Finding::Stripped => STRIPPED_FOR,
            Finding::Unknown => UNKNOWN_FOR,
        }
    }
}

impl Probe {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Probe {
        Probe {
            servers,
            found: Mutex::new(None),
        }
    }

    /// Whether a server takes signatures out. Asks when the last finding is old; others wait meanwhile.
    pub(super) async fn is_stripped(&self) -> bool {
        let mut found = self.found.lock().await;
        let before = match *found {
            Some((finding, at)) if at.elapsed() < finding.holds() => {
                return finding == Finding::Stripped;
            }
            Some((finding, _)) => finding,
            None => Finding::Unknown,
        };
        let mut now = Finding::Unknown;
        for server in &self.servers {
            match ask(*server).await {
                // The resolver asks whichever server it likes, so the worst of them counts.
                Finding::Stripped => {
                    if before != Finding::Stripped {
                        tracing::warn!(%server, "this name server takes DNSSEC out of its answers: none of them counts as secure, and DANE is not possible");
                    }
                    now = Finding::Stripped;
                    break;
                }
                Finding::Signed => now = Finding::Signed,
                Finding::Unknown => {}
            }
        }
        if before == Finding::Stripped && now == Finding::Signed {
            tracing::info!("the name servers hand DNSSEC through again");
        }
        *found = Some((now, Instant::now()));
        now == Finding::Stripped
    }
}

async fn ask(server: SocketAddr) -> Finding {
    for _ in 0..TRIES {
        if let Ok(Ok(response)) = tokio::time::timeout(PATIENCE, exchange(server)).await {
            return judge(&response);
        }
    }
    Finding::Unknown
}

async fn exchange(server: SocketAddr) -> std::io::Result<Message> {
    let mut question = Message::query();
    question.metadata.id = u16::from_ne_bytes(crate::auth::random());
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::root(), RecordType::SOA));
    let mut edns = Edns::new();
    edns.set_max_payload(1_232).set_dnssec_ok(true);
    question.set_edns(edns);
    let octets = question.to_vec().map_err(std::io::Error::other)?;
    let any = match server {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&octets).await?;
    let mut buffer = [0; 4_096];
    loop {
        let read = socket.recv(&mut buffer).await?;
        let response = Message::from_vec(buffer.get(..read).unwrap_or_default());
        match response {
            Ok(response) if response.metadata.id == question.metadata.id => return Ok(response),
            // Somebody else's, or noise.
            Ok(_) | Err(_) => {}
        }
    }
}

fn judge(response: &Message) -> Finding {
    let signed = response
        .answers
        .iter()
        .any(|record| record.record_type() == RecordType::RRSIG);
    match response.metadata.response_code {
        _ if signed || response.metadata.truncation => Finding::Signed,
        ResponseCode::NoError
        | ResponseCode::NXDomain
        | ResponseCode::FormErr
        | ResponseCode::NotImp => Finding::Stripped,
        // It fails for us or fails in all; neither says anything about signatures.
        _ => Finding::Unknown,
    }
}
