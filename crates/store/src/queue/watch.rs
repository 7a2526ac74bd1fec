//! Telling the scheduler what a commit made due.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::store::Store;
use crate::types::Timestamp;
use crate::view::Notify;

/// A destination for which something is due, now or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The destination.
    pub domain: String,
    /// Its most urgent lane, the negative priority.
    pub lane: i8,
    /// The earliest time.
    pub due: Timestamp,
    /// Somebody wants it tried now, whatever is known of the destination.
    pub forced: bool,
}

/// What became due since it was last asked. One entry per destination, however much happens.
pub struct QueueWatch {
    pending: Mutex<HashMap<String, (i8, Timestamp, bool)>>,
    notify: Arc<dyn Notify>,
}

impl QueueWatch {
    /// What became due since the last call.
    pub fn take(&self) -> Vec<Due> {
        std::mem::take(&mut *lock(&self.pending))
            .into_iter()
            .map(|(domain, (lane, due, forced))| Due {
                domain,
                lane,
                due,
                forced,
            })
            .collect()
    }

    fn add(&self, due: &Due) {
        let mut pending = lock(&self.pending);
        let entry = pending
            .entry(due.domain.clone())
            .or_insert((due.lane, due.due, due.forced));
        entry.0 = entry.0.min(due.lane);
        entry.1 = entry.1.min(due.due);
        entry.2 |= due.forced;
    }
}

/// Everybody who watches the queue.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Vec<Weak<QueueWatch>>>);

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchers")
    }
}

impl Watchers {
    /// Hands on what a commit made due; whom to notify then.
    pub(crate) fn publish(&self, due: &[Due]) -> Vec<Arc<dyn Notify>> {
        if due.is_empty() {
            return Vec::new();
        }
        let mut watchers = lock(&self.0);
        watchers.retain(|watch| watch.strong_count() > 0);
        watchers
            .iter()
            .filter_map(Weak::upgrade)
            .map(|watch| {
                due.iter().for_each(|due| watch.add(due));
                Arc::clone(&watch.notify)
            })
            .collect()
    }

    pub(crate) fn watch(&self, notify: Arc<dyn Notify>) -> Arc<QueueWatch> {
        let watch = Arc::new(QueueWatch {
            pending: Mutex::default(),
            notify,
        });
        lock(&self.0).push(Arc::downgrade(&watch));
        watch
    }
}

impl Store {
    /// Calls `notify` after each commit that made something of the queue due, now or later. Ends when the watch is dropped.
    pub fn watch_queue(&self, notify: Arc<dyn Notify>) -> Arc<QueueWatch> {
        self.inner.views.watchers().watch(notify)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
