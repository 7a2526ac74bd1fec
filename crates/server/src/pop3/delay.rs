//! LOGIN-DELAY (RFC 2449 §6.5): how long an account waits between two logins.
//!
//! Counted from each login that succeeded, over all connections. Not kept over a restart: the delay spares the server, and
//! one login too many then does no harm.
//!
//! Limits: an entry for each account that logged in within its delay; [`PRUNED_AT`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use store::AccountId;
use tokio::time::Instant;

/// Entries at which those whose time is over are looked for.
const PRUNED_AT: usize = 1024;

/// When each account may log in again.
#[derive(Default)]
pub struct Delays(Mutex<HashMap<AccountId, Instant>>);

impl Delays {
    /// Whether an account may log in now.
    pub(super) fn admits(&self, account: AccountId, now: Instant) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&account).is_none_or(|until| *until <= now)
    }

    /// Notes a login.
    pub(super) fn logged_in(&self, account: AccountId, delay: Duration, now: Instant) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= PRUNED_AT {
            until.retain(|_, until| *until > now);
        }
        if let Some(end) = now.checked_add(delay).filter(|_| !delay.is_zero()) {
            until.insert(account, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_waits_for_its_own_delay() {
        let delays = Delays::default();
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (a, b, c) = (AccountId(1), AccountId(2), AccountId(3));
        delays.logged_in(a, 60 * second, start);
        delays.logged_in(b, second, start);
        delays.logged_in(c, Duration::ZERO, start);
        let admitted =
            |after: Duration| [a, b, c].map(|account| delays.admits(account, start + after));
        assert_eq!(admitted(Duration::ZERO), [false, false, true]);
        assert_eq!(admitted(second), [false, true, true]);
        assert_eq!(admitted(60 * second), [true, true, true]);
        for n in 0..5_000 {
            delays.logged_in(AccountId(n), second, start + 2 * second * n as u32);
        }
        assert!(delays.0.lock().unwrap().len() <= PRUNED_AT);
    }
}
