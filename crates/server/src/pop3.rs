//! POP3: logins, the maildrop and its messages for [`pop3::server::Session`].
//!
//! Owns: the lock of the maildrop from login to QUIT or the end of the connection, and the list of messages taken at
//! login. The maildrop is INBOX; a unique-id is `UIDVALIDITY.UID`, or the one a message had where it was imported from.
//!
//! A client that has not said UTF8 gets a surrogate of a message with UTF-8 in its headers, whose size is what LIST tells
//! (RFC 6856 §2.1).
//!
//! Invariants: messages are removed by QUIT alone, in one durable transaction, before the answer; the lock is given
//! back before the answer too. An account that was disabled or removed since the login gets and removes nothing any more. What
//! another program removed meanwhile is refused, never sent from what is left of it.
//!
//! Limits: messages beyond [`SMALL`] count against the memory of messages in flight until they are written out;
//! [`LOCK_PATIENCE`].

pub mod admin;
mod delay;
mod expire;
mod options;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pop3::maildrop::{Message, UniqueId};
use pop3::reply::{self, Code, Refusal};
use pop3::server::{Config, Event, Limits, Offer};
use store::{
    AccountId, Columns, Error, MailboxId, MaildropLock, MaildropMessage, Snapshot, Store, UidRange,
};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::auth::{self, Exchange, Identity, Origin, Outcome};
use crate::config::{Deleted, Expire, Service};
use crate::drive::{self, Connection, Gone, Next, drive};
use crate::shared::Shared;
use crate::stream::{Peer, TlsInfo};
pub use delay::Delays;
pub use expire::run as tend;
use options::Own;

/// Octets up to which a message is neither counted nor written out at once: the answers to pipelined commands leave
/// together.
const SMALL: u64 = 64 * 1024;

/// How long a login waits for a maildrop that another session has: a client whose connection was cut comes back
/// before we have seen its end.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Speaks POP3 on a connection until it ends.
pub async fn serve(connection: Connection, shared: Arc<Shared>, service: Service) {
    let Connection {
        peer,
        tls,
        acceptor,
        ..
    } = &connection;
    let session = Session {
        inner: pop3::server::Session::new(Config {
            host: shared.config().hostname.clone(),
            offer: offer(&shared, peer, tls.as_ref(), acceptor.is_some()),
            languages: crate::language::languages(shared.config().language),
            limits: Limits::default(),
        }),
        shared: Arc::clone(&shared),
        peer: peer.clone(),
    };
    drive(
        connection,
        session,
        Handler {
            shared,
            service,
            exchange: None,
            open: None,
        },
    )
    .await;
}

fn offer(shared: &Shared, peer: &Peer, tls: Option<&TlsInfo>, stls: bool) -> Offer {
    Offer {
        user: shared.auth.may_log_in(peer, tls),
        mechanisms: shared.auth.mechanisms(peer, tls),
        stls,
        tls: tls.is_some(),
        login_delay: seconds(shared.config().pop3.login_delay),
        expire: shared.config().pop3.expire.days(),
    }
}

/// What CAPA tells of a delay.
fn seconds(delay: Duration) -> Option<u32> {
    let seconds = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
    (seconds > 0).then_some(seconds)
}

/// The protocol's session, and what tells it what is offered once TLS is up.
struct Session {
    inner: pop3::server::Session,
    shared: Arc<Shared>,
    peer: Peer,
}

impl drive::Session for Session {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        self.inner.receive(bytes);
    }

    fn poll(&mut self) -> Option<Event> {
        self.inner.poll()
    }

    fn transmit(&mut self) -> Option<Vec<u8>> {
        self.inner.transmit()
    }

    fn pending(&self) -> usize {
        self.inner.pending()
    }

    fn timeout(&self) -> Duration {
        self.inner.timeout()
    }

    fn handle_timeout(&mut self) {
        self.inner.handle_timeout();
    }

    fn shutdown(&mut self) {
        self.inner.shutdown();
    }

    fn closed(&self) -> bool {
        self.inner.closed()
    }

    fn awaits_login(&self) -> bool {
        self.inner.awaits_login()
    }

    fn tls_started(&mut self, tls: &TlsInfo) {
        self.inner
            .tls_started(offer(&self.shared, &self.peer, Some(tls), false));
    }
}

type Link = drive::Link<Session>;

struct Handler {
    shared: Arc<Shared>,
    service: Service,
    /// The SASL exchange in progress.
    exchange: Option<Exchange>,
    /// What a login opened.
    open: Option<Open>,
}

/// A maildrop with its lock, which is given back when this is dropped.
struct Open {
    identity: Identity,
    mailbox: MailboxId,
    messages: Vec<MaildropMessage>,
    /// What becomes of deleted messages.
    deleted: Deleted,
    /// How long messages stay that were taken.
    expire: Expire,
    /// UIDs of messages that this session took.
    taken: BTreeSet<u32>,
    _lock: MaildropLock,
    /// Dropped behind the lock.
    _released: Released,
}

/// Tells those who wait for a maildrop that one came free.
struct Released;

impl Drop for Released {
    fn drop(&mut self) {
        RELEASED.notify_waiters();
    }
}

static RELEASED: Notify = Notify::const_new();

impl drive::Handler<Session> for Handler {
    async fn handle(&mut self, link: &mut Link, event: Event) -> Result<Next, Gone> {
        match event {
            Event::Login { user, password } => {
                let checked = self
                    .shared
                    .auth
                    .login(self.origin(&link.peer), &user, &password)
                    .await;
                self.finish_login(link, checked).await;
            }
            Event::Authenticate { mechanism, initial } => {
                let mut exchange = Exchange::new(mechanism, link.tls.as_ref());
                let start = exchange.start(
                    &self.shared.auth,
                    self.origin(&link.peer),
                    initial.as_deref(),
                );
                let outcome = start.await;
                self.exchange = Some(exchange);
                self.sasl(link, outcome).await;
            }
            Event::SaslResponse(response) => match self.exchange.take() {
                Some(mut exchange) => {
                    let outcome = exchange
                        .step(&self.shared.auth, self.origin(&link.peer), &response)
                        .await;
                    self.exchange = Some(exchange);
                    self.sasl(link, outcome).await;
                }
                None => link.session.inner.refuse(&reply::SASL_ABORTED),
            },
            Event::SaslAborted => self.exchange = None,
            Event::StartTls => {
                link.session.inner.start_tls();
                return Ok(Next::StartTls);
            }
            Event::Retrieve { index, whole } => self.retrieve(link, index, whole).await?,
            Event::Update { deleted } => self.update(link, &deleted).await,
        }
        Ok(Next::Continue)
    }
}

impl Handler {
    fn origin<'a>(&self, peer: &'a Peer) -> Origin<'a> {
        Origin {
            peer,
            service: self.service,
        }
    }

    async fn sasl(&mut self, link: &mut Link, outcome: Outcome) {
        let checked = match outcome {
            Outcome::Challenge(challenge) => return link.session.inner.challenge(&challenge),
            Outcome::Done(identity) => Ok(identity),
            Outcome::Failed(refusal) => Err(refusal),
        };
        self.exchange = None;
        self.finish_login(link, checked).await;
    }

    async fn finish_login(&mut self, link: &mut Link, checked: Result<Identity, auth::Refusal>) {
        let utf8 = link.session.inner.utf8();
        let opened = match checked {
            Ok(identity) => self.open(identity, utf8).await,
            Err(refusal) => Err(login_refusal(&refusal)),
        };
        match opened {
            Ok((messages, delay, expire)) => {
                link.session.inner.set_policy(seconds(delay), expire.days());
                link.session.inner.login(messages);
            }
            Err(refusal) => link.session.inner.refuse(&refusal),
        }
    }

    /// Locks the maildrop and takes the list of what is in it now. Also how long the account waits until its next login, and
    /// how long messages stay that it takes.
    async fn open(
        &mut self,
        identity: Identity,
        utf8: bool,
    ) -> Result<(Vec<Message>, Duration, Expire), Refusal> {
        let account = identity.account;
        let lock = self.lock(account).await.ok_or(reply::IN_USE)?;
        // Whoever has the lock is alone with it, so that two logins cannot both be the first.
        if !self.shared.pop3_delays.admits(account, Instant::now()) {
            return Err(reply::TOO_SOON);
        }
        let read = self
            .shared
            .db
            .read(move |snapshot| Ok((snapshot.maildrop(account)?, Own::read(snapshot, account)?)))
            .await;
        let (maildrop, own) = read.map_err(|error| store_refusal(&error, &identity))?;
        let options = self.shared.config().pop3;
        // RFC 2449 §6.5: what is announced before login is the largest there is.
        let delay = own.login_delay.map_or(options.login_delay, |seconds| {
            options.login_delay.min(Duration::from_secs(seconds.into()))
        });
        self.shared
            .pop3_delays
            .logged_in(account, delay, Instant::now());
        let expire = own.expire(options.expire);
        let message = |message: &MaildropMessage| Message {
            size: told_size(message, utf8),
            unique_id: match &message.kept_id {
                Some(kept) => UniqueId::Kept(kept.clone()),
                None => UniqueId::Numbered {
                    validity: maildrop.uid_validity,
                    uid: message.uid,
                },
            },
        };
        let messages = maildrop.messages.iter().map(message).collect();
        self.open = Some(Open {
            identity,
            mailbox: maildrop.mailbox,
            messages: maildrop.messages,
            deleted: own.deleted.unwrap_or(options.deleted),
            expire,
            taken: BTreeSet::new(),
            _lock: lock,
            _released: Released,
        });
        Ok((messages, delay, expire))
    }

    async fn lock(&self, account: AccountId) -> Option<MaildropLock> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            let mut released = pin!(RELEASED.notified());
            // Listening before asking: a lock given back in between is not missed.
            released.as_mut().enable();
            if let Some(lock) = self.shared.db.store().lock_maildrop(account) {
                return Some(lock);
            }
            timeout_at(deadline, released).await.ok()?;
        }
    }

    async fn retrieve(&mut self, link: &mut Link, index: usize, whole: bool) -> Result<(), Gone> {
        let Some((open, message)) = self
            .open
            .as_ref()
            .and_then(|open| Some((open, open.messages.get(index)?)))
        else {
            link.session.inner.refuse(&reply::NO_SUCH_MESSAGE);
            return Ok(());
        };
        let surrogate = message.surrogate.filter(|_| !link.session.inner.utf8());
        // While a surrogate is made, the message is there as well.
        let octets = message.size.saturating_add(surrogate.unwrap_or(0));
        let mut permit = None;
        if octets > SMALL {
            match self.shared.budget.reserve_outgoing(octets).await {
                Ok(reserved) => permit = Some(reserved),
                Err(_) => {
                    link.session.inner.refuse(&reply::TEMPORARY);
                    return Ok(());
                }
            }
        }
        let (account, mailbox, uid) = (open.identity.account, open.mailbox, message.uid);
        let body = self
            .shared
            .db
            .blocking(move |store| {
                let body = body(store, account, mailbox, uid)?;
                Ok(match (body, surrogate) {
                    (Found::Body(body), Some(_)) => {
                        Found::Body(::store::surrogate(&body).unwrap_or(body))
                    }
                    (found, _) => found,
                })
            })
            .await;
        match body {
            Ok(Found::Body(body)) => {
                let quirks = self.shared.config().quirks;
                link.session.inner.message(quirks.pop3_message(body));
                if let Some(open) = self.open.as_mut().filter(|_| whole) {
                    open.taken.insert(uid);
                }
            }
            Ok(Found::Gone) => link.session.inner.refuse(&reply::GONE),
            Ok(Found::NotAnyMore) => link.session.inner.refuse(&reply::NOT_ANY_MORE),
            Err(error) => link
                .session
                .inner
                .refuse(&store_refusal(&error, &open.identity)),
        }
        if permit.is_some() {
            link.flush().await?;
        }
        Ok(())
    }

    /// QUIT: removes the marked messages, all or none, and gives the lock back.
    async fn update(&mut self, link: &mut Link, deleted: &[usize]) {
        let Some(open) = self.open.take() else {
            return link.session.inner.updated();
        };
        let marked = deleted
            .iter()
            .filter_map(|index| Some(open.messages.get(*index)?.uid));
        let mut uids: BTreeSet<u32> = marked.collect();
        let mut taken = Vec::new();
        match open.expire {
            Expire::Never => {}
            // RFC 2449 §6.7: an implicit DELE for each message that was taken.
            Expire::Days(0) => uids.extend(&open.taken),
            Expire::Days(_) => taken = runs(open.taken.iter().copied()),
        }
        let uids = runs(uids.into_iter());
        let mut removed = Ok(());
        if !uids.is_empty() || !taken.is_empty() {
            let (account, mailbox, deleted) = (open.identity.account, open.mailbox, open.deleted);
            let write = self
                .shared
                .db
                .write(move |tx| {
                    if !in_use(tx, account)? {
                        return Err(Error::Conflict("the account is disabled".into()));
                    }
                    let removed = options::delete(tx, account, mailbox, &uids, deleted)?;
                    tx.note_pop3_retrieved(account, mailbox, &taken)?;
                    Ok(removed)
                })
                .await;
            removed = write.map(|removed| {
                let user = open.identity.address.as_str();
                tracing::info!(peer = %link.peer, user, removed, to = open.deleted.name(), "POP3 removed messages");
            });
        }
        let identity = open.identity.clone();
        drop(open);
        match removed {
            Ok(()) => link.session.inner.updated(),
            Err(Error::Conflict(_)) => link.session.inner.refuse(&reply::NOT_ANY_MORE),
            Err(error) => {
                store_refusal(&error, &identity);
                link.session.inner.refuse(&reply::NOT_REMOVED);
            }
        }
    }
}

/// What LIST tells: the octets that RETR will send.
fn told_size(message: &MaildropMessage, utf8: bool) -> u64 {
    message.surrogate.filter(|_| !utf8).unwrap_or(message.size)
}

/// Whether the account may still be used.
fn in_use(snapshot: &Snapshot<'_>, account: AccountId) -> store::Result<bool> {
    let found = snapshot.account_by_id(account)?;
    Ok(found.is_some_and(|account| !account.disabled))
}

/// What became of a message since the login.
enum Found {
    Body(Vec<u8>),
    Gone,
    /// The account may not be used.
    NotAnyMore,
}

/// The octets of a message that is still in the mailbox.
fn body(store: &Store, account: AccountId, mailbox: MailboxId, uid: u32) -> store::Result<Found> {
    let columns = Columns {
        body: true,
        ..Columns::ENTRY
    };
    let mut place = None;
    let allowed = store.read(|snapshot| {
        snapshot.messages(account, mailbox, &[uid..=uid], columns, &mut |row| {
            place = row.body;
            Ok(ControlFlow::Break(()))
        })?;
        in_use(snapshot, account)
    })?;
    match place {
        _ if !allowed => Ok(Found::NotAnyMore),
        Some(place) => store.body(&place).map(Found::Body),
        None => Ok(Found::Gone),
    }
}

/// Ascending UIDs as runs. Those between two of a run, if there ever were any, are not included: only direct
/// neighbours join.
fn runs(uids: impl Iterator<Item = u32>) -> Vec<UidRange> {
    let mut runs: Vec<UidRange> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(uid) => *last = *last.start()..=uid,
            _ => runs.push(uid..=uid),
        }
    }
    runs
}

/// The one place where failed logins become answers. `[AUTH]` is for the credentials alone (RFC 3206 §5): a client
/// asks its user for another password on it.
fn login_refusal(refusal: &auth::Refusal) -> Refusal {
    match refusal {
        auth::Refusal::Wrong => reply::WRONG_CREDENTIALS,
        auth::Refusal::Throttled => Refusal::new(Some(Code::Temporary), refusal.to_string()),
        auth::Refusal::Malformed => reply::SASL_ABORTED,
        auth::Refusal::Unavailable(_) => reply::TEMPORARY,
    }
}

/// The one place where failures of the store become answers; the log gets the rest, joined by an id.
fn store_refusal(error: &Error, identity: &Identity) -> Refusal {
    let user = identity.address.as_str();
    match error {
        Error::Busy(_) | Error::Closed | Error::Full => {
            tracing::warn!(user, %error, "POP3");
            reply::TEMPORARY
        }
        Error::NotFound(_) => reply::GONE,
        Error::Corrupt(_) => {
            tracing::error!(user, %error, "POP3: a stored message is damaged");
            reply::DAMAGED
        }
        _ => {
            let id = u32::from_le_bytes(auth::random());
            let id = format!("{id:08x}");
            tracing::error!(user, id, %error, "POP3");
            Refusal::new(
                Some(Code::Temporary),
                format!("try again later (error {id})"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_join_to_runs() {
        assert_eq!(
            runs([1, 2, 3, 5, 8, 9, u32::MAX].into_iter()),
            [1..=3, 5..=5, 8..=9, u32::MAX..=u32::MAX]
        );
        assert!(runs(std::iter::empty()).is_empty());
    }

    #[test]
    fn only_credentials_get_the_code_for_credentials() {
        let cases = [
            (auth::Refusal::Wrong, Some(Code::Auth)),
            (auth::Refusal::Throttled, Some(Code::Temporary)),
            (auth::Refusal::Malformed, None),
            (
                auth::Refusal::Unavailable(Error::Full),
                Some(Code::Temporary),
            ),
        ];
        for (refusal, code) in cases {
            assert_eq!(login_refusal(&refusal).code(), code, "{refusal:?}");
        }
    }
}
