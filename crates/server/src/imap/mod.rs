//! IMAP: what each command means for accounts and mailboxes (RFC 9051, RFC 3501).
//!
//! Owns: the state of one IMAP connection beyond its protocol, which is who logged in, which mailbox is selected, and
//! what of it the client has been told ([`selected::Selected`]). Bytes, syntax and order are `imap::server::Session`'s;
//! storage is the store's. One command, one file.
//!
//! Invariants: a tagged OK follows the commit, never precedes it; what changed is told before the tagged reply, and
//! EXPUNGE only where a client expects it (RFC 9051 §7.5.1); no command works on numbers the client cannot know; a session
//! whose account was disabled or removed does nothing any more but say BYE.
//!
//! Limits: answers are flushed above `drive::FLUSH_ABOVE`; messages are loaded in batches of [`load::BATCH_OCTETS`];
//! a search may work for ten seconds (`search::run`).

mod access;
mod acl;
pub mod admin;
mod annotate;
mod append;
pub mod catenate;
mod close;
mod copy;
mod error;
mod expunge;
mod fetch;
mod gmail;
mod idle;
mod language;
mod limit;
mod list;
mod load;
mod login;
mod mailbox;
mod metadata;
mod metadata_changes;
mod notify;
mod objectid;
mod pattern;
mod progress;
mod quota;
mod recent;
mod resync;
mod search;
mod section;
mod select;
mod selected;
mod status;
mod store;
mod structure;
mod uidbatches;
mod unauthenticate;
pub mod urlauth;
mod urlfetch;

use std::sync::Arc;
use std::time::Duration;

use ::imap::server::{Config, Event, Limits, Session};
use ::imap::{Capability, Code, Command, Reply, Status, Untagged};
use ::store::AccountId;

use crate::auth::{Exchange, Origin};
use crate::config::{Every, ImapOptions, MessageLimit, Service};
use crate::drive::{self, Connection, Gone, Handler, Next};
use crate::quirks::Quirks;
use crate::shared::Shared;
use crate::stream::TlsInfo;
use error::Failure;
pub use recent::Recent;
pub use search::index::keeper::Keeper as SearchKeeper;
use selected::{Expunges, Selected};
pub use urlauth::Resets;

/// What a session is told whose account was disabled or removed.
const DISMISSED: &str = "this account may not be used any more";

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
    /// What NOTIFY asked for.
    watch: Option<Box<notify::Watch>>,
    /// Annotations whose changes ENABLE asked for.
    annotations: Option<Box<metadata_changes::Changes>>,
    /// What APPEND has sent so far.
    arriving: append::Arriving,
    /// HIGHESTMODSEQ was told when the client showed that it knows mod-sequences (RFC 7162 §3.1).
    condstore: bool,
    /// X-GM-EXT-1 is offered.
    gmail: bool,
    /// What texts are compared with (RFC 5255 §4.7).
    collation: search::fold::Collation,
    /// Tells the client that a long command goes on.
    progress: progress::Progress,
    /// On how many messages a command works.
    limit: limit::Limit,
    /// What is done for clients that break the rules.
    quirks: Quirks,
}

/// Serves one connection to its end.
pub async fn serve(connection: Connection, shared: Arc<Shared>, service: Service) {
    let session = Session::new(config(&shared, &connection));
    let options = shared.config();
    let imap = Imap {
        gmail: options.imap.gmail_extensions,
        shared,
        service,
        exchange: None,
        account: None,
        selected: None,
        watch: None,
        annotations: None,
        arriving: append::Arriving::default(),
        condstore: false,
        collation: search::fold::Collation::default(),
        progress: progress::Progress::new(options.imap.progress),
        limit: limit::Limit::new(options.imap.limit),
        quirks: options.quirks,
    };
    drive::drive(connection, session, imap).await;
}

fn config(shared: &Shared, connection: &Connection) -> Config {
    let config = shared.config();
    let auth = &shared.auth;
    // What TLS will agree on is not known before; the session is told only whether it is there.
    let under_tls = TlsInfo::at_best();
    let tls = connection.tls.as_ref();
    Config {
        greeting: format!("{} Waxwing ready", config.hostname),
        tls: tls.is_some(),
        starttls: connection.acceptor.is_some(),
        login_clear: auth.may_log_in(&connection.peer, None),
        mechanisms: auth.mechanisms(&connection.peer, Some(tls.unwrap_or(&under_tls))),
        mechanisms_clear: auth.mechanisms(&connection.peer, None),
        capabilities: capabilities(config.limits.message_size, &config.imap),
        id: vec![
            ("name".to_owned(), "Waxwing".to_owned()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ],
        quirks: config.quirks.imap,
        limits: Limits {
            append: config.limits.message_size,
            ..Limits::default()
        },
    }
}

/// What the protocol crate speaks, and what depends on the configuration.
fn capabilities(message_size: u64, options: &ImapOptions) -> Vec<Capability> {
    let mut capabilities = Config::all_capabilities();
    // RFC 7889 §2: the limit is the same for all mailboxes.
    capabilities.push(Capability::Other(format!("APPENDLIMIT={message_size}")));
    if options.gmail_extensions {
        capabilities.push(Capability::GmailExt1);
    }
    if options.progress == Every::Never {
        capabilities.retain(|capability| *capability != Capability::InProgress);
    }
    // RFC 9738 §3: one of the two.
    let limit = match options.limit {
        MessageLimit::None => return capabilities,
        MessageLimit::Messages(limit) => format!("MESSAGELIMIT={limit}"),
        MessageLimit::Saved(limit) => format!("SAVELIMIT={limit}"),
    };
    capabilities.push(Capability::Other(limit));
    capabilities
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
        if !self.gmail && gmail::is_used(&command) {
            return Ok(gmail::NOT_OFFERED);
        }
        match command {
            Command::Noop | Command::Check => Ok(Reply::ok("completed")),
            Command::Select(command) => select::select(self, link, command).await,
            // The session has done it; HIGHESTMODSEQ is told before every command.
            Command::Enable(_) => metadata_changes::begin(self, link).await,
            Command::Unauthenticate => Ok(unauthenticate::unauthenticate(self)),
            Command::Compress => Ok(Reply::ok("DEFLATE from here on")),
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
            Command::UrlAuth(command) => urlauth::urlauth(self, link, command).await,
            Command::Notify(command) => notify::notify(self, link, command).await,
            Command::Namespace => Ok(list::namespace(link)),
            Command::Status { mailbox, items } => status::status(self, link, mailbox, &items).await,
            Command::Append(append) => append::append(self, link, append).await,
            Command::Close => close::close(self, link).await,
            Command::Unselect => Ok(close::unselect(self)),
            Command::Expunge { uids } => expunge::expunge(self, link, uids.as_ref()).await,
            Command::Search(search) => search::search(self, link, search).await,
            Command::Sort { criteria, search } => {
                search::sort::sort(self, link, &criteria, search).await
            }
            Command::Thread { algorithm, search } => {
                search::thread::thread(self, link, algorithm, search).await
            }
            Command::Esearch { sources, search } => {
                search::multi::esearch(self, link, sources, search).await
            }
            Command::CancelUpdate(tags) => search::context::cancel(self, &tags),
            Command::Language(wanted) => language::language(self, link, &wanted),
            Command::Comparator(wanted) => search::comparator::comparator(self, link, &wanted),
            Command::Fetch {
                uid,
                set,
                attributes,
                modifiers,
            } => fetch::fetch(self, link, uid, &set, attributes, modifiers).await,
            Command::UidBatches { size, batches } => {
                uidbatches::uid_batches(self, link, size, batches)
            }
            Command::Store(command) => store::store(self, link, command).await,
            Command::StoreAnnotation(command) => annotate::store(self, link, command).await,
            Command::StoreLabels(command) => gmail::store::store(self, link, command).await,
            Command::Copy { uid, set, mailbox } => copy::copy(self, link, uid, &set, mailbox).await,
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
        let removes = matches!(command, Command::Expunge { .. } | Command::Move { .. })
            || matches!(&command, Command::Append(append) if append.replaces.is_some());
        if let Some(selected) = &mut self.selected {
            selected.recheck(&self.shared.db, link);
        }
        if after == Expunges::Kept && self.selected.as_ref().is_some_and(|it| it.revoked) {
            // What may not be told to be expunged yet may not be read either.
            link.session.complete(error::EXPUNGE_ISSUED);
            return Ok(());
        }
        let before = Expunges::before(&command);
        let quiet = self.watch.is_some() && notify::changes(&command);
        let tells_new = !self.quirks.delay_new_mail
            || matches!(command, Command::Noop | Command::Check | Command::Select(_));
        if let Some(selected) = &mut self.selected {
            selected.tells_new = tells_new;
        }
        if self.watch.is_some() {
            if let Some(before) = before {
                notify::tell_selected(self, link, Some(before), true).await?;
            }
            if quiet {
                let before = before.unwrap_or(Expunges::Kept);
                notify::tell(self, link, Some(before), true).await?;
            }
        } else if let Some(before) = before
            && let Some(selected) = &mut self.selected
        {
            selected.sync(link, before).await?;
        }
        self.tell_condstore(link);
        urlauth::tell(self, link);
        self.progress.begin();
        self.limit.begin();
        let mut reply = match self.command(link, command).await {
            Ok(reply) => reply,
            Err(Failure::Reply(reply)) => {
                // A MOVE that fails did nothing: there is no place where it stopped.
                self.limit.begin();
                reply
            }
            Err(Failure::Gone) => return Err(Gone),
        };
        if quiet {
            notify::absorb(self).await;
        }
        // What a session does itself it hears of, whatever it watches.
        if self.watch.is_some() && !removes {
            notify::tell(self, link, Some(after), !quiet).await?;
        }
        let watches = self.watch.is_some();
        if let Some(selected) = &mut self.selected
            && (!watches || removes)
        {
            selected.sync(link, after).await?;
            search::context::tell(self, link).await?;
        }
        metadata_changes::tell(self, link).await?;
        if let Some(selected) = &self.selected {
            // RFC 7162 §3.2.7, RFC 6851 §4.4: what the client knows now.
            let modseq = removes
                && reply.status == Status::Ok
                && reply.code.is_none()
                && link.session.is_enabled(&Capability::QResync);
            reply = self.limit.tell(link, reply, modseq);
            if modseq {
                reply = reply.with(Code::HighestModSeq(selected.known_modseq));
            }
        }
        link.session.complete(reply);
        Ok(())
    }

    /// RFC 7162 §3.1: with the first command that shows that the client knows mod-sequences, it is told where the
    /// selected mailbox stands.
    fn tell_condstore(&mut self, link: &mut Link) {
        if self.condstore || !link.session.is_enabled(&Capability::CondStore) {
            return;
        }
        self.condstore = true;
        if let Some(selected) = &self.selected {
            let code = Code::HighestModSeq(selected.known_modseq);
            let told = Reply::ok("mod-sequences are told from here on").with(code);
            link.session.untagged(&Untagged::Status(told));
        }
    }
}

impl Handler<Session> for Imap {
    async fn handle(&mut self, link: &mut Link, event: Event) -> Result<Next, Gone> {
        if link.wake.is_dismissed() {
            link.session.dismiss(DISMISSED);
            return Ok(Next::Continue);
        }
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
            Event::AppendStart { append, size } => append::start(self, link, append, size).await,
            Event::AppendAborted => self.arriving = append::Arriving::default(),
            Event::Command {
                command: Command::Idle,
                ..
            } => idle::begin(self, link).await?,
            Event::Command { command, .. } => {
                // What was selected is no more, whatever comes of a SELECT; its view lives until then, in case it is the same.
                let selects = matches!(command, Command::Select(_));
                let compresses = matches!(command, Command::Compress);
                let ends = matches!(command, Command::Unauthenticate);
                let _before = if selects { self.selected.take() } else { None };
                self.run(link, command).await?;
                if compresses {
                    link.session.compression_started();
                    return Ok(Next::Compress);
                }
                if ends {
                    link.wake.belongs_to(None);
                    return Ok(Next::EndCompression);
                }
            }
            Event::IdleDone => idle::end(self, link).await?,
        }
        Ok(Next::Continue)
    }

    async fn woken(&mut self, link: &mut Link) -> Result<Next, Gone> {
        if link.wake.is_dismissed() {
            link.session.dismiss(DISMISSED);
            return Ok(Next::Continue);
        }
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
    fn awaits_login(&self) -> bool {
        Session::awaits_login(self)
    }

    fn tls_started(&mut self, tls: &TlsInfo) {
        for mechanism in tls.withdrawn() {
            self.withdraw(mechanism);
        }
        Session::tls_started(self);
    }
}
