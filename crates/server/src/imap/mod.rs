//! IMAP: what each command means for accounts and mailboxes (RFC 9051, RFC 3501).
//!
//! Owns: the state of one IMAP connection beyond its protocol, which is who logged in, which mailbox is selected, and
//! what of it the client has been told ([`selected::Selected`]). Bytes, syntax and order are `imap::server::Session`'s;
//! storage is the store's. One command, one file.
//!
//! Invariants: a tagged OK follows the commit, never precedes it; what changed is told before the tagged reply, and
//! EXPUNGE only where a client expects it (RFC 9051 §7.5.1); no command works on numbers the client cannot know.
//!
//! Limits: answers are flushed above `drive::FLUSH_ABOVE`; messages are loaded in batches of [`load::BATCH_OCTETS`];
//! a search may work for [`search::WORK`].

mod access;
mod acl;
pub mod admin;
mod append;
mod close;
mod copy;
mod error;
mod expunge;
mod fetch;
mod idle;
mod list;
mod load;
mod login;
mod mailbox;
mod metadata;
mod pattern;
mod quota;
mod recent;
mod search;
mod section;
mod select;
mod selected;
mod status;
mod store;
mod structure;

use std::sync::Arc;
use std::time::Duration;

use ::imap::server::{Config, Event, Limits, Session};
use ::imap::{Command, Reply};
use ::store::AccountId;
use wire::sasl::Mechanism;

use crate::auth::{Exchange, Origin};
use crate::budget::Permit;
use crate::config::Service;
use crate::drive::{self, Connection, Gone, Handler, Next};
use crate::shared::Shared;
use crate::stream::TlsInfo;
use error::Failure;
pub use recent::Recent;
use selected::{Expunges, Selected};

/// The session and its connection.
type Link = drive::Link<Session>;

/// What a command comes to: the tagged reply, or why there is none.
type Answer = Result<Reply, Failure>;

/// The policy of one IMAP connection.
pub struct Imap {
    shared: Arc<Shared>,
    service: Service,
    /// The SASL exchange in progress.
    exchange: Option<Box<Exchange>>,
    /// Who logged in.
    account: Option<AccountId>,
    /// The mailbox selected.
    selected: Option<Box<Selected>>,
    /// Memory taken for the message that APPEND is sending.
    arriving: Option<Permit>,
}

/// Serves one connection to its end.
pub async fn serve(connection: Connection, shared: Arc<Shared>, service: Service) {
    let session = Session::new(config(&shared, &connection));
    let imap = Imap {
        shared,
        service,
        exchange: None,
        account: None,
        selected: None,
        arriving: None,
    };
    drive::drive(connection, session, imap).await;
}

fn config(shared: &Shared, connection: &Connection) -> Config {
    let config = shared.config();
    let auth = &shared.auth;
    // What TLS will agree on is not known before; the session is told only whether it is there.
    let under_tls = TlsInfo {
        version: "TLSv1.3",
        cipher: String::new(),
        exporter: Some([0; 32]),
        server_name: None,
    };
    let tls = connection.tls.as_ref();
    Config {
        greeting: format!("{} Waxwing ready", config.hostname),
        tls: tls.is_some(),
        starttls: connection.acceptor.is_some(),
        login_clear: auth.may_log_in(&connection.peer, None),
        mechanisms: auth.mechanisms(&connection.peer, Some(tls.unwrap_or(&under_tls))),
        mechanisms_clear: auth.mechanisms(&connection.peer, None),
        capabilities: Config::all_capabilities(),
        id: vec![
            ("name".to_owned(), "Waxwing".to_owned()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ],
        limits: Limits {
            append: config.limits.message_size,
            ..Limits::default()
        },
    }
}

impl Imap {
    fn origin<'a>(&self, link: &'a Link) -> Origin<'a> {
        Origin {
            peer: &link.peer,
            service: self.service,
        }
    }

    /// The account of a session that is logged in, as every session is that gets here.
    fn account(&self) -> Result<AccountId, Failure> {
        self.account.ok_or(Failure::Reply(error::NOT_LOGGED_IN))
    }

    /// Whether the configuration names the account as one that sets quotas.
    fn administrator(&self) -> Result<bool, Failure> {
        let user = self.account()?;
        let config = self.shared.config();
        if config.imap.administrators.is_empty() {
            return Ok(false);
        }
        let account = self
            .shared
            .db
            .glance(|snapshot| snapshot.account_by_id(user))?;
        Ok(account.is_some_and(|account| config.imap.administrators.contains(&account.address)))
    }

    /// The mailbox selected, as one is in every session that gets here.
    fn selected(&mut self) -> Result<&mut Selected, Failure> {
        self.selected
            .as_deref_mut()
            .ok_or(Failure::Reply(error::NOT_SELECTED))
    }

    /// The mailbox selected, if it may be changed.
    fn writable(&mut self) -> Result<&mut Selected, Failure> {
        let selected = self.selected()?;
        if selected.read_only {
            Err(Failure::Reply(error::READ_ONLY))
        } else {
            Ok(selected)
        }
    }

    async fn command(&mut self, link: &mut Link, command: Command) -> Answer {
        match command {
            Command::Noop | Command::Check => Ok(Reply::ok("completed")),
            Command::Select(mailbox) => select::select(self, link, &mailbox, false).await,
            Command::Examine(mailbox) => select::select(self, link, &mailbox, true).await,
            Command::Create { mailbox, uses } => mailbox::create(self, link, mailbox, &uses).await,
            Command::Delete(mailbox) => mailbox::delete(self, mailbox).await,
            Command::Rename { from, to } => mailbox::rename(self, link, from, to).await,
            Command::Subscribe(mailbox) => mailbox::subscribe(self, mailbox, true).await,
            Command::Unsubscribe(mailbox) => mailbox::subscribe(self, mailbox, false).await,
            Command::List(list) => list::list(self, link, list).await,
            Command::Lsub { reference, pattern } => {
                list::lsub(self, link, &reference, &pattern).await
            }
            Command::Acl(command) => acl::acl(self, link, command).await,
            Command::Quota(command) => quota::quota(self, link, command).await,
            Command::Metadata(command) => metadata::metadata(self, link, command).await,
            Command::Namespace => Ok(list::namespace(link)),
            Command::Status { mailbox, items } => status::status(self, link, mailbox, &items).await,
            Command::Append(append) => append::append(self, append).await,
            Command::Close => close::close(self).await,
            Command::Unselect => Ok(close::unselect(self)),
            Command::Expunge { uids } => expunge::expunge(self, uids.as_ref()).await,
            Command::Search(search) => search::search(self, link, search).await,
            Command::Fetch {
                uid,
                set,
                attributes,
            } => fetch::fetch(self, link, uid, &set, attributes).await,
            Command::Store(command) => store::store(self, link, command).await,
            Command::Copy { uid, set, mailbox } => copy::copy(self, uid, &set, mailbox).await,
            Command::Move { uid, set, mailbox } => {
                copy::move_messages(self, link, uid, &set, mailbox).await
            }
            // The session answers the others, and IDLE is begun before this.
            _ => Err(Failure::Reply(error::NOT_HERE)),
        }
    }

    /// One command from its event to its tagged reply.
    async fn run(&mut self, link: &mut Link, command: Command) -> Result<(), Gone> {
        let after = Expunges::after(&command);
        if let Some(selected) = &mut self.selected {
            selected.recheck(&self.shared.db, link);
        }
        if after == Expunges::Kept && self.selected.as_ref().is_some_and(|it| it.revoked) {
            // What may not be told to be expunged yet may not be read either.
            link.session.complete(error::EXPUNGE_ISSUED);
            return Ok(());
        }
        if let Some(before) = Expunges::before(&command)
            && let Some(selected) = &mut self.selected
        {
            selected.sync(link, before).await?;
        }
        let reply = match self.command(link, command).await {
            Ok(reply) | Err(Failure::Reply(reply)) => reply,
            Err(Failure::Gone) => return Err(Gone),
        };
        if let Some(selected) = &mut self.selected {
            selected.sync(link, after).await?;
        }
        link.session.complete(reply);
        Ok(())
    }
}

impl Handler<Session> for Imap {
    async fn handle(&mut self, link: &mut Link, event: Event) -> Result<Next, Gone> {
        match event {
            Event::StartTls => {
                link.session
                    .complete(Reply::ok("begin TLS negotiation now"));
                return Ok(Next::StartTls);
            }
            Event::Login { user, password } => login::login(self, link, &user, &password).await,
            Event::Authenticate { mechanism, initial } => {
                login::authenticate(self, link, mechanism, initial).await
            }
            Event::SaslResponse(response) => login::respond(self, link, &response).await,
            Event::SaslAborted => self.exchange = None,
            Event::AppendStart { append, size } => append::start(self, link, &append, size).await,
            Event::AppendAborted => self.arriving = None,
            Event::Command {
                command: Command::Idle,
                ..
            } => idle::begin(self, link).await?,
            Event::Command { command, .. } => {
                // What was selected is no more, whatever comes of a SELECT; its view lives until then, in case it is the same.
                let selects = matches!(command, Command::Select(_) | Command::Examine(_));
                let _before = if selects { self.selected.take() } else { None };
                self.run(link, command).await?;
            }
            Event::IdleDone => idle::end(self, link).await?,
        }
        Ok(Next::Continue)
    }

    async fn woken(&mut self, link: &mut Link) -> Result<Next, Gone> {
        idle::tell(self, link).await?;
        Ok(Next::Continue)
    }
}

impl drive::Session for Session {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        Session::receive(self, bytes);
    }
    fn poll(&mut self) -> Option<Event> {
        Session::poll(self)
    }
    fn transmit(&mut self) -> Option<Vec<u8>> {
        Session::transmit(self)
    }
    fn pending(&self) -> usize {
        Session::pending(self)
    }
    fn timeout(&self) -> Duration {
        Session::timeout(self)
    }
    fn handle_timeout(&mut self) {
        Session::handle_timeout(self);
    }
    fn shutdown(&mut self) {
        Session::shutdown(self);
    }
    fn closed(&self) -> bool {
        Session::closed(self)
    }
    fn tls_started(&mut self, tls: &TlsInfo) {
        if tls.exporter.is_none() {
            // RFC 9266 §4.2: TLS 1.2 gives no sound channel binding.
            self.withdraw(Mechanism::ScramSha256Plus);
        }
        Session::tls_started(self);
    }
}
