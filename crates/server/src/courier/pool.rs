//! Connections that wait for the next message to the same host.
//!
//! Invariant: a connection is used again only where it would have been opened alike: same host and port, same protection for
//! the same reasons, same login, same source. It was verified once, and its protection cannot change.
//!
//! Limits: [`IDLE`] of waiting, [`EACH`] connections to one host and [`ALL`] in all, [`MESSAGES`] over one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connect::Connection;

/// How long a connection waits. Long enough for the next message of a burst, too short to annoy the server.
const IDLE: Duration = Duration::from_secs(3);

/// Connections that wait for one host.
const EACH: usize = 4;

/// Connections that wait in all.
const ALL: usize = 200;

/// Messages over one connection; then the host may choose again who serves us.
const MESSAGES: u32 = 100;

/// The connections that wait.
#[derive(Debug, Default)]
pub(super) struct Pool {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: HashMap<String, Vec<(u64, Connection)>>,
    count: usize,
    next: u64,
}

impl Pool {
    /// Takes one that waits, the latest first: the others run out.
    pub(super) fn take(&self, key: &str) -> Option<Connection> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let list = inner.waiting.get_mut(key)?;
        let (_, connection) = list.pop()?;
        if list.is_empty() {
            inner.waiting.remove(key);
        }
        inner.count = inner.count.saturating_sub(1);
        Some(connection)
    }

    /// Lets one wait, or ends it.
    pub(super) fn put(self: &Arc<Self>, key: String, mut connection: Connection) {
        let most = connection.offered().limits.mails.unwrap_or(MESSAGES);
        if connection.messages >= most.min(MESSAGES) {
            tokio::spawn(async move { connection.quit().await });
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let full = inner.count >= ALL
            || inner
                .waiting
                .get(&key)
                .is_some_and(|list| list.len() >= EACH);
        if full {
            tokio::spawn(async move { connection.quit().await });
            return;
        }
        let number = inner.next;
        inner.next = inner.next.wrapping_add(1);
        inner.count = inner.count.saturating_add(1);
        inner
            .waiting
            .entry(key.clone())
            .or_default()
            .push((number, connection));
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            if let Some(mut connection) = pool.remove(&key, number) {
                connection.quit().await;
            }
        });
    }

    fn remove(&self, key: &str, number: u64) -> Option<Connection> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let list = inner.waiting.get_mut(key)?;
        let at = list.iter().position(|(other, _)| *other == number)?;
        let (_, connection) = list.remove(at);
        if list.is_empty() {
            inner.waiting.remove(key);
        }
        inner.count = inner.count.saturating_sub(1);
        Some(connection)
    }
}
