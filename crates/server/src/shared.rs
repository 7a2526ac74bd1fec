//! What all sessions of a server share; handlers get it as `Arc<Shared>`.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use store::Timestamp;

use crate::auth::Auth;
use crate::budget::Budget;
use crate::config::Config;
use crate::db::{Db, workers};
use crate::dns::Dns;
use crate::http::Http;
use crate::imap::Recent;
use crate::judge;
use crate::roots::Roots;
use crate::sessions::Sessions;
use crate::sign::Signer;
use crate::strangers::Rates;
use crate::tls::Tls;
use crate::turns::Turns;

/// The server's context.
pub struct Shared {
    config: RwLock<Arc<Config>>,
    /// The store.
    pub db: Db,
    /// Who may come in.
    pub auth: Auth,
    /// Memory for messages in flight.
    pub budget: Budget,
    /// Turns of searches that take a while. Fewer than processors, so that however many such searches run, everybody
    /// else finds one free.
    pub searches: Arc<Turns>,
    /// Views of mailboxes lately selected.
    pub recent: Recent,
    /// Keys of URLs that were changed.
    pub url_resets: crate::imap::Resets,
    /// When accounts may log in over POP3 again.
    pub pop3_delays: crate::pop3::Delays,
    /// Certificates.
    pub tls: Tls,
    /// What signs our mail.
    pub signer: Signer,
    /// What makes reverse-paths of forwarded mail ours.
    pub srs: crate::sign::srs::Secret,
    /// Names.
    pub dns: Arc<Dns>,
    /// What judging remembers.
    pub judging: judge::State,
    /// Certificates that others are trusted by.
    pub roots: Arc<Roots>,
    /// The web.
    pub http: Http,
    /// What deliveries to other servers share.
    pub ways: crate::courier::Ways,
    /// How much strangers ask for.
    pub rates: Rates,
    /// All connections.
    pub sessions: Arc<Sessions>,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(config: Config, db: Db, tls: Tls, dns: Dns) -> store::Result<Shared> {
        let (dns, roots) = (Arc::new(dns), Arc::<Roots>::default());
        Ok(Shared {
            http: Http::new(Arc::clone(&dns), Arc::clone(&roots)),
            srs: crate::sign::srs::Secret::load(db.store())?,
            auth: Auth::new(db.clone(), config.auth.clone())?
                .with_http(Http::new(Arc::clone(&dns), Arc::clone(&roots))),
            budget: Budget::new(config.limits.memory),
            recent: Recent::default(),
            url_resets: crate::imap::Resets::default(),
            searches: Turns::new(workers().saturating_sub(1)),
            pop3_delays: crate::pop3::Delays::default(),
            config: RwLock::new(Arc::new(config)),
            db,
            tls,
            signer: Signer::default(),
            judging: judge::State::default(),
            dns,
            roots,
            ways: crate::courier::Ways::default(),
            rates: Rates::default(),
            sessions: Arc::default(),
        })
    }

    /// The configuration in force. A session keeps what it began with.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a changed configuration in force for sessions to come.
    pub fn set_config(&self, config: Config) {
        self.auth.set_options(config.auth.clone());
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The wall clock.
    pub fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Seconds since 1970, as the store counts.
    pub fn timestamp(&self) -> Timestamp {
        let since = self
            .now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::try_from(since.as_secs()).unwrap_or(Timestamp::MAX)
    }

    /// Random octets.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        crate::auth::random()
    }
}
