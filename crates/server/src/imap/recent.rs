//! Views kept for a while after the last session that had the mailbox selected.
//!
//! Most clients come and go: they log in, select INBOX, look and leave. Without this each SELECT would load the mailbox
//! again. A view that is kept follows every commit like any other, so it is as right as one loaded anew.
//!
//! Limits: [`VIEWS`], [`MESSAGES`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ::store::View;

/// Most views kept.
const VIEWS: usize = 128;

/// Most messages in all of them together: some ten MiB.
const MESSAGES: u64 = 250_000;

/// The views lately selected, the latest at the end.
#[derive(Default)]
pub struct Recent {
    views: Mutex<VecDeque<Arc<View>>>,
}

impl Recent {
    /// Keeps a view that has just been selected, and lets go of those that were not for longest.
    pub fn keep(&self, view: &Arc<View>) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|kept| !Arc::ptr_eq(kept, view) && !kept.snapshot().gone());
        views.push_back(Arc::clone(view));
        let messages = |view: &Arc<View>| u64::from(view.snapshot().len());
        let mut total: u64 = views.iter().map(messages).sum();
        while views.len() > VIEWS || total > MESSAGES {
            let Some(oldest) = views.pop_front() else {
                break;
            };
            total = total.saturating_sub(messages(&oldest));
        }
    }
}
