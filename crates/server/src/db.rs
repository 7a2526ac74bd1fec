//! The store from async code.
//!
//! Owns: the bound on threads that block in the store. A write occupies no thread while it waits for its commit.
//!
//! Limits: reads that may be long share [`slots`] threads and wait in line beyond; each has its own connection, and
//! every worker thread of the runtime finds one free for [`Db::glance`].

use std::sync::Arc;

use store::{AccountId, Content, Error, Options, Result, Snapshot, Store, Tx};
use tokio::sync::oneshot;

use crate::turns::Turns;

/// The store and the bound of its use. Clones share both.
#[derive(Clone)]
pub struct Db {
    store: Store,
    slots: Arc<Turns>,
}

/// Long reads at the same time on a machine with `workers` processors: enough to keep them busy while some wait for
/// the disk.
fn slots(workers: usize) -> usize {
    workers.saturating_mul(2).max(4)
}

/// How the server opens its store.
pub fn options() -> Options {
    let workers = workers();
    Options {
        readers: slots(workers) + workers,
        ..Options::default()
    }
}

/// Processors, and so worker threads.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Db {
    /// Wraps an open store.
    pub fn new(store: Store) -> Db {
        Db {
            store,
            slots: Turns::new(slots(workers())),
        }
    }

    /// The store itself, for what never blocks: views, subscriptions, locks.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs `f` on a consistent picture of the store, on a thread that may block.
    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |store| store.read(f)).await
    }

    /// Runs `f` at once on this thread. Only for a lookup or two by key, which cost some microseconds: less than
    /// going to another thread and back.
    pub fn glance<T>(&self, f: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.store.read(f)
    }

    /// Runs `f` in the writer's next transaction; returns when its outcome is durable.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.store.write_then(f, move |result| {
            // Nobody listens any more when the session ended meanwhile; what is written stays.
            let _ = sender.send(result);
        });
        receiver.await.unwrap_or(Err(Error::Closed))
    }

    /// Appends a message's octets (the chunks one behind the other) and parses them; place the content with a write.
    pub async fn ingest(&self, meta: store::BodyMeta, chunks: Vec<Vec<u8>>) -> Result<Content> {
        self.blocking(move |store| {
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            store.ingest(&meta, &slices)
        })
        .await
    }

    /// Anything else of the store that blocks.
    pub async fn blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking_for(NOBODY, f).await
    }

    /// The same for an account: it waits in line with the account's other work, not before that of others (attack A20).
    pub async fn blocking_for<T: Send + 'static>(
        &self,
        account: AccountId,
        f: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let slot = self.slots.take(account).await;
        let store = self.store.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = f(&store);
            drop(slot);
            result
        });
        task.await
            .unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    }
}

/// The line of work that is the server's own.
const NOBODY: AccountId = AccountId(0);
