//! Who is it: passwords, app passwords, SCRAM, tokens and certificates, for all protocols alike.
//!
//! Owns: the check of a login, the short memory of passwords that were right, the count of those that were wrong,
//! and the driving of SASL exchanges. An identity is an account and its address; the login name is the full address.
//!
//! Invariants: an unknown user costs the same work and gets the same answer as a wrong password (attack A43); a
//! remembered password counts only as long as the stored one it was checked against is unchanged; secrets are never
//! logged; failures are counted per network over all protocols (A42).
//!
//! Limits: [`password`] bounds Argon2 in memory and number, [`throttle`] guesses, [`cache`] its entries.

mod cache;
mod jwt;
mod oidc;
pub mod password;
pub mod sasl;
mod throttle;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use store::{AccountId, AppPasswordId, Credentials, Timestamp};
use tokio::time::Instant;
use wire::sasl::{Mechanism, Secret};

use crate::config::{AuthOptions, Service};
use crate::db::Db;
use crate::stream::{Peer, TlsInfo};

pub use sasl::{Exchange, Outcome};
pub use throttle::Network;

/// The longest login name looked at; RFC 5321 §4.5.3.1 allows 64 + 1 + 255 octets.
const USER_LIMIT: usize = 320;

/// A day: how exactly the last use of an app password is noted, because noting costs a write.
const DAY: Timestamp = 86_400;

/// Somebody who proved to be an account's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Its address in the stored spelling.
    pub address: String,
}

/// Why somebody may not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Unknown user, wrong password, disabled account: nobody shall see which.
    #[error("wrong user name or password")]
    Wrong,
    /// Too many failures from this network; temporary.
    #[error("too many failed logins, try again in a minute")]
    Throttled,
    /// The client's SASL message is against the mechanism's grammar.
    #[error("malformed message")]
    Malformed,
    /// The store does not answer; temporary.
    #[error("{0}")]
    Unavailable(store::Error),
}

/// From where a login comes.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The client.
    pub peer: &'a Peer,
    /// The service, for the log.
    pub service: Service,
}

/// The checker of logins; one for the whole server.
pub struct Auth {
    db: Db,
    options: RwLock<AuthOptions>,
    cache: Mutex<cache::Cache>,
    throttle: Mutex<throttle::Throttle>,
    hasher: password::Hasher,
    tokens: oidc::Tokens,
    /// Keeps the invented salts of unknown users the same over restarts.
    salt_secret: [u8; 32],
}

impl Auth {
    /// A checker for the accounts of `db`. Makes the installation's secret at the first start.
    pub fn new(db: Db, options: AuthOptions) -> store::Result<Auth> {
        let salt_secret = installation_secret(&db)?;
        Ok(Auth {
            db,
            options: RwLock::new(options),
            cache: Mutex::new(cache::Cache::new(random())),
            throttle: Mutex::new(throttle::Throttle::default()),
            hasher: password::Hasher::new(),
            tokens: oidc::Tokens::default(),
            salt_secret,
        })
    }

    /// Takes over changed options.
    pub fn set_options(&self, options: AuthOptions) {
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// Whether a client may log in on this connection: under TLS, or from this machine where the configuration
    /// exempts it.
    pub fn may_log_in(&self, peer: &Peer, tls: Option<&TlsInfo>) -> bool {
        let exempt = || {
            self.options
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .cleartext_on_loopback
        };
        tls.is_some() || (peer.is_loopback() && exempt())
    }

    /// The mechanisms to announce on this connection, strongest first; none where nobody may log in.
    pub fn mechanisms(&self, peer: &Peer, tls: Option<&TlsInfo>) -> Vec<Mechanism> {
        if !self.may_log_in(peer, tls) {
            return Vec::new();
        }
        let tokens = self.takes_tokens();
        let offered = |mechanism: &Mechanism| match mechanism {
            Mechanism::ScramSha256Plus => tls.is_some_and(|tls| tls.exporter.is_some()),
            Mechanism::External => tls.is_some_and(|tls| !tls.client.is_empty()),
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => tokens,
            Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::Login => true,
        };
        Mechanism::ALL.into_iter().filter(offered).collect()
    }

    /// Checks a user name and password. Takes its time for wrong ones.
    pub async fn login(
        &self,
        origin: Origin<'_>,
        user: &str,
        password: &Secret,
    ) -> Result<Identity, Refusal> {
        let network = Network::of(origin.peer);
        let credentials = self.credentials(user)?;
        if let Some(identity) = self.remembered(&credentials, password, Some(network)) {
            return Ok(identity);
        }
        self.admit(origin, network, user).await?;
        if let Some(identity) = self.remembered(&credentials, password, None) {
            return Ok(self.succeeded(origin, network, identity));
        }
        let checked = match self.app_password(&credentials, password)? {
            Some(app_password) => {
                self.note_use(&credentials, app_password).await;
                true
            }
            None => self.check_password(&credentials, password).await,
        };
        match credentials {
            Some(credentials) if checked && !credentials.disabled => {
                let identity = Identity {
                    account: credentials.account,
                    address: credentials.address,
                };
                Ok(self.succeeded(origin, network, identity))
            }
            other => Err(self
                .failed(origin, network, other.map(|c| c.account), user)
                .await),
        }
    }

    fn credentials(&self, user: &str) -> Result<Option<Credentials>, Refusal> {
        if user.len() > USER_LIMIT {
            return Ok(None);
        }
        self.db
            .glance(|snapshot| snapshot.credentials(user))
            .map_err(|error| {
                tracing::error!(%error, "login: the store does not answer");
                Refusal::Unavailable(error)
            })
    }

    /// Whether the password was right a short while ago; with a network, only if it was from there.
    fn remembered(
        &self,
        credentials: &Option<Credentials>,
        password: &Secret,
        network: Option<Network>,
    ) -> Option<Identity> {
        let credentials = credentials
            .as_ref()
            .filter(|credentials| !credentials.disabled)?;
        let stored = &credentials.secret.as_ref()?.argon2;
        let account = credentials.account;
        if network
            .is_some_and(|network| !lock(&self.throttle).knows(network, account, Instant::now()))
        {
            return None;
        }
        let right = lock(&self.cache).holds(account, stored, password, Instant::now());
        right.then(|| Identity {
            account,
            address: credentials.address.clone(),
        })
    }

    /// Takes one guess from the network's allowance; a success gives it back.
    async fn admit(&self, origin: Origin<'_>, network: Network, user: &str) -> Result<(), Refusal> {
        let allowance = self
            .options
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .failures_per_minute;
        if lock(&self.throttle).admit(network, allowance, Instant::now()) {
            return Ok(());
        }
        tracing::warn!(peer = %origin.peer, service = %origin.service, ?user, "login refused: too many failures");
        // Slower than a fresh guess would be, so that hammering gains nothing.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Err(Refusal::Throttled)
    }

    fn app_password(
        &self,
        credentials: &Option<Credentials>,
        password: &Secret,
    ) -> Result<Option<AppPasswordId>, Refusal> {
        // The hash is computed for unknown users too; the lookup is of no measurable length.
        let sha256 = password::app_password_hash(password);
        let Some(credentials) = credentials.as_ref().filter(|c| c.has_app_passwords) else {
            return Ok(None);
        };
        let found = self
            .db
            .glance(|snapshot| snapshot.app_password(credentials.account, &sha256));
        found
            .map(|found| found.map(|found| found.id))
            .map_err(Refusal::Unavailable)
    }

    async fn note_use(&self, credentials: &Option<Credentials>, id: AppPasswordId) {
        let Some(account) = credentials.as_ref().map(|credentials| credentials.account) else {
            return;
        };
        let recent = self.db.glance(|snapshot| {
            let all = snapshot.app_passwords(account)?;
            let used = all
                .iter()
                .find(|one| one.id == id)
                .and_then(|one| one.last_used);
            Ok(used.is_some_and(|used| now().saturating_sub(used) < DAY))
        });
        if matches!(recent, Ok(false)) {
            let noted = self
                .db
                .write(move |tx| tx.touch_app_password(account, id))
                .await;
            if let Err(error) = noted {
                tracing::warn!(%error, "the use of an app password was not noted");
            }
        }
    }

    async fn check_password(&self, credentials: &Option<Credentials>, password: &Secret) -> bool {
        let stored = credentials
            .as_ref()
            .and_then(|c| c.secret.as_ref())
            .map(|secret| secret.argon2.clone());
        let right = self.hasher.verify(stored.clone(), password.clone()).await;
        if let (true, Some(credentials), Some(stored)) = (right, credentials, stored) {
            lock(&self.cache).insert(credentials.account, &stored, password, Instant::now());
        }
        right
    }

    fn succeeded(&self, origin: Origin<'_>, network: Network, identity: Identity) -> Identity {
        lock(&self.throttle).succeeded(network, identity.account, Instant::now());
        tracing::debug!(peer = %origin.peer, service = %origin.service, user = ?identity.address, "login");
        identity
    }

    /// Lets in whom a certificate names: the one account among its addresses, or the one of them that the client names.
    fn certified(
        &self,
        origin: Origin<'_>,
        names: &[String],
        wanted: Option<&str>,
    ) -> Result<Option<Identity>, Refusal> {
        let mut found: Option<Identity> = None;
        for name in names {
            if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(name)) {
                continue;
            }
            let Some(credentials) = self.credentials(name)?.filter(|c| !c.disabled) else {
                continue;
            };
            let identity = Identity {
                account: credentials.account,
                address: credentials.address,
            };
            match &found {
                Some(other) if *other != identity => return Ok(None),
                _ => found = Some(identity),
            }
        }
        let network = Network::of(origin.peer);
        Ok(found.map(|identity| self.succeeded(origin, network, identity)))
    }

    async fn failed(
        &self,
        origin: Origin<'_>,
        network: Network,
        account: Option<AccountId>,
        user: &str,
    ) -> Refusal {
        let counted = self
            .options
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .failures_per_minute
            > 0;
        let user: String = user.chars().take(USER_LIMIT).collect();
        tracing::info!(peer = %origin.peer, service = %origin.service, ?user, "login failed");
        let delay = lock(&self.throttle).failed(network, account, Instant::now());
        if counted {
            tokio::time::sleep(delay).await;
        }
        Refusal::Wrong
    }
}

/// Locks what a panicking session may have left: the data behind stays consistent by construction.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::try_from(since.as_secs()).unwrap_or(Timestamp::MAX)
}

/// Random octets of the system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    if let Err(error) = getrandom::fill(&mut octets) {
        // Going on without randomness would hand out guessable nonces; this ends the session, not the server.
        panic!("the system gives no random octets: {error}");
    }
    octets
}

fn installation_secret(db: &Db) -> store::Result<[u8; 32]> {
    const NAME: &str = "auth.salt-secret";
    let known = db.glance(|snapshot| snapshot.setting(NAME))?;
    if let Some(secret) = known.and_then(|secret| secret.try_into().ok()) {
        return Ok(secret);
    }
    let secret: [u8; 32] = random();
    db.store()
        .write(move |tx| tx.set_setting(NAME, Some(&secret)))?;
    Ok(secret)
}

#[cfg(test)]
mod tests;
