//! A server from start to end: what is opened in which order, the signals, and the orderly end.
//!
//! Start: folder and lock, certificates, admin socket, listeners; the first failure ends the start and nothing has
//! been accepted. End (SIGTERM, SIGINT): no new connections, every session finishes its command and says goodbye,
//! what is acknowledged is durable already; after [`GRACE`] the rest is cut.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::admin;
use crate::config::{self, Config};
use crate::courier::Courier;
use crate::db::{self, Db};
use crate::dns::{self, Dns};
use crate::listen::{self, Bound};
use crate::shared::Shared;
use crate::tls::{self, Tls};

/// How long sessions may take to finish when the server ends; with what follows it stays below five seconds.
const GRACE: Duration = Duration::from_secs(4);

/// How often the store's housekeeping runs.
const MAINTENANCE: Duration = Duration::from_secs(3600);

/// How often it is looked whether the store is short of space.
const URGENT_MAINTENANCE: Duration = Duration::from_secs(60);

/// Why a server did not start, or what ended it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] config::Error),
    /// The data folder cannot be used.
    #[error("data folder {}: {error}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The data folder is somebody else's.
    #[error("data folder {} belongs to user {owner}; run this as that user, for example: sudo -u '#{owner}' waxwing ...", folder.display())]
    Owner {
        /// Which.
        folder: PathBuf,
        /// Whose.
        owner: u32,
    },
    /// The store does not open.
    #[error("data folder {}: {error}", folder.display())]
    Store {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: store::Error,
    },
    /// No certificate.
    #[error("[tls] {0}")]
    Tls(#[from] tls::Error),
    /// No name servers.
    #[error("[dns] {0}")]
    Dns(#[from] dns::SetupError),
    /// A listener cannot be bound.
    #[error("{0}")]
    Listen(#[from] listen::Error),
    /// The system refuses something basic.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Makes the data folder where it is missing, for its owner only, and opens the store in it.
pub fn open_store(folder: &Path) -> Result<Store, Error> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    let failed = |error| Error::Folder {
        folder: folder.to_owned(),
        error,
    };
    made.map_err(failed)?;
    // Root could open it, and would leave files that the server's user cannot.
    let owner = fs::metadata(folder).map_err(failed)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(Error::Owner {
            folder: folder.to_owned(),
            owner,
        });
    }
    Store::open(folder, db::options()).map_err(|error| Error::Store {
        folder: folder.to_owned(),
        error,
    })
}

/// Descriptors that are no connections: the database and its readers, packs, listeners, the log, some to spare.
const OTHER_DESCRIPTORS: u64 = 128;

/// Takes all descriptors the system allows, and says when they are fewer than the connections allowed.
fn raise_descriptors(limits: &config::Limits) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let needed = (limits.connections as u64).saturating_add(OTHER_DESCRIPTORS);
    if let Some(allowed) = getrlimit(Resource::Nofile)
        .current
        .filter(|allowed| *allowed < needed)
    {
        tracing::warn!(
            allowed,
            needed,
            "fewer open files are allowed than limits.connections needs"
        );
    }
}

/// Runs a server with a configuration until a signal ends it. `ready` is called once everything listens.
pub fn run(config: Config, ready: impl FnOnce()) -> Result<(), Error> {
    raise_descriptors(&config.limits);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(db::workers())
        // Reads and password checks are bounded by their own semaphores; this bounds their sum and the rest.
        .max_blocking_threads(db::workers().saturating_mul(4).max(16))
        .enable_all()
        .build()?;
    let store = open_store(&config.data)?;
    let folder = config.data.clone();
    let result = runtime.block_on(serve(config, store.clone(), ready));
    // Whatever still blocks has nobody waiting for it.
    runtime.shutdown_timeout(Duration::from_millis(500));
    store.close();
    let _ = fs::remove_file(admin::path(&folder));
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

async fn serve(config: Config, store: Store, ready: impl FnOnce()) -> Result<(), Error> {
    let mut stop = Stop::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let folder = config.data.clone();
    let tls = Tls::load(&config.tls, &config.hostname)?;
    // Before the listeners: whoever sees one of them finds the other too.
    let sessions = Arc::default();
    admin::serve(&folder, store.clone(), Arc::clone(&sessions))?;
    let bound = config
        .listeners
        .iter()
        .map(Bound::new)
        .collect::<Result<Vec<_>, _>>()?;
    let dns = Dns::new(&config.dns)?;
    let opened = Shared::new(config, Db::new(store), tls, dns);
    let mut opened = opened.map_err(|error| Error::Store { folder, error })?;
    opened.sessions = sessions;
    let shared = Arc::new(opened);
    if bound.is_empty() {
        tracing::warn!("the table listen of the configuration is empty: nobody can connect");
    }
    // Ends, with its thread, when this function does.
    let _keeper = crate::imap::SearchKeeper::start(shared.db.store().clone())?;
    let mut listeners = JoinSet::new();
    for bound in bound {
        tracing::info!(service = %bound.service(), address = bound.address(), "listening");
        listeners.spawn(bound.accept(Arc::clone(&shared)));
    }
    listeners.spawn(maintain(Arc::clone(&shared)));
    listeners.spawn(crate::courier::renew(Arc::clone(&shared)));
    listeners.spawn(crate::certificate::watch(Arc::clone(&shared)));
    listeners.spawn(crate::pop3::tend(Arc::clone(&shared)));
    listeners.spawn(crate::sign::tend::run(Arc::clone(&shared)));
    listeners.spawn(crate::reports::send::run(Arc::clone(&shared)));
    listeners.spawn(crate::remote::poll::run(Arc::clone(&shared)));
    let courier = Courier::start(&shared);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        hostname = shared.config().hostname,
        "ready"
    );
    ready();
    loop {
        tokio::select! {
            name = stop.received() => {
                tracing::info!(signal = name, sessions = shared.sessions.len(), "stopping");
                break;
            }
            _ = hangup.recv() => reload(&shared),
        }
    }
    listeners.shutdown().await;
    shared.sessions.stop();
    let (ended, ()) = tokio::join!(
        tokio::time::timeout(GRACE, shared.sessions.ended()),
        courier.stop(GRACE)
    );
    if ended.is_err() {
        tracing::warn!(
            sessions = shared.sessions.len(),
            "cut: they did not end in time"
        );
    }
    Ok(())
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Stop> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP: certificates and limits, all or nothing.
fn reload(shared: &Shared) {
    let old = shared.config();
    let Some(file) = old.file.as_deref() else {
        return tracing::warn!("SIGHUP: there is no configuration file");
    };
    let new = match Config::load(Some(file)) {
        Ok(new) => new,
        Err(error) => {
            for line in error.to_string().lines() {
                tracing::error!("SIGHUP: {line}");
            }
            return tracing::error!(
                "SIGHUP: the configuration is wrong; the old one stays in force"
            );
        }
    };
    // The memory cannot grow while it is lent out, and must hold at least two of the largest messages.
    if new.limits.message_size > old.limits.memory / 2 {
        return tracing::error!(
            "SIGHUP: limits.message_mib needs the larger limits.memory_mib, which takes a restart; the old configuration stays in force"
        );
    }
    if let Err(error) = shared.tls.reload(&new.tls) {
        return tracing::error!(%error, "SIGHUP: the certificate is wrong; the old configuration stays in force");
    }
    for key in needs_restart(&old, &new) {
        tracing::warn!(key, "SIGHUP: this change takes effect at the next start");
    }
    // What cannot change while running keeps its old value, so that everyone sees one truth.
    let config = Config {
        tls: new.tls,
        limits: crate::config::Limits {
            memory: old.limits.memory,
            ..new.limits
        },
        auth: new.auth,
        smtp: new.smtp,
        submission: new.submission,
        proxy: new.proxy,
        imap: new.imap,
        reception: new.reception,
        queue: new.queue,
        strangers: new.strangers,
        filters: new.filters,
        ..Config::clone(&old)
    };
    shared.set_config(config);
    tracing::info!("SIGHUP: certificates and limits are reloaded");
}

fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("hostname", old.hostname != new.hostname),
        ("data", old.data != new.data),
        ("listen", old.listeners != new.listeners),
        ("log", old.log != new.log),
        ("dns", old.dns != new.dns),
        ("courier", old.courier != new.courier),
        ("route", old.routes != new.routes),
        ("limits.memory_mib", old.limits.memory != new.limits.memory),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

/// Housekeeping each hour, and each minute while the store lacks space: what it gives back may end that.
async fn maintain(shared: Arc<Shared>) {
    let mut timer = tokio::time::interval(URGENT_MAINTENANCE);
    let mut last = tokio::time::Instant::now();
    loop {
        timer.tick().await;
        let due = last.elapsed() >= MAINTENANCE || shared.db.store().trouble().is_some();
        if !due {
            continue;
        }
        last = tokio::time::Instant::now();
        match shared.db.blocking(Store::maintain).await {
            Ok(0) => {}
            Ok(octets) => tracing::info!(octets, "housekeeping gave space back"),
            Err(error) => tracing::error!(%error, "housekeeping failed"),
        }
    }
}
