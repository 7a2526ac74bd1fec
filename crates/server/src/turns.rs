//! Turns at work that is bounded in number, handed out fairly between accounts.
//!
//! Who asks waits in the line of the account that asks, and the lines are served one after the other: an account with fifty
//! connections gets as much as one with a single connection, as long as both want something (attack A20). An account alone
//! gets everything.
//!
//! Fair only if a turn is short: whoever has much to do gives its turn back now and then and asks again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::AccountId;
use tokio::sync::oneshot;

/// Turns, so many at a time.
#[derive(Debug)]
pub struct Turns {
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    /// Turns nobody has. Above zero only while nobody waits.
    free: usize,
    /// Accounts with somebody in line, the next one first.
    order: VecDeque<AccountId>,
    /// Who waits, by account; no line is empty.
    waiting: HashMap<AccountId, VecDeque<oneshot::Sender<Turn>>>,
}

/// The right to work; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Option<Arc<Turns>>,
}

impl Turns {
    /// So many turns at a time, one at least.
    pub fn new(count: usize) -> Arc<Turns> {
        Arc::new(Turns {
            lines: Mutex::new(Lines {
                free: count.max(1),
                order: VecDeque::new(),
                waiting: HashMap::new(),
            }),
        })
    }

    /// Waits for a turn in the line of an account.
    pub async fn take(self: &Arc<Self>, account: AccountId) -> Turn {
        let waits = {
            let mut lines = self.lock();
            if lines.free > 0 {
                lines.free -= 1;
                return self.turn();
            }
            lines.join(account)
        };
        match waits.await {
            Ok(turn) => turn,
            // A line lives as long as its turns do; were it gone, working beats waiting for ever.
            Err(_) => Turn { turns: None },
        }
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            turns: Some(Arc::clone(self)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a turn to who is next, or keeps it.
    fn give(self: Arc<Self>) {
        let mut turn = self.turn();
        loop {
            let next = {
                let mut lines = self.lock();
                let Some(next) = lines.next() else {
                    lines.free += 1;
                    turn.turns = None;
                    return;
                };
                next
            };
            match next.send(turn) {
                Ok(()) => return,
                // Went away while waiting.
                Err(refused) => turn = refused,
            }
        }
    }
}

impl Lines {
    fn join(&mut self, account: AccountId) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        let line = self.waiting.entry(account).or_default();
        if line.is_empty() {
            self.order.push_back(account);
        }
        line.push_back(sender);
        receiver
    }

    /// The first in the line of the account whose turn it is; that account is the last one then.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(account) = self.order.pop_front() {
            let Some(line) = self.waiting.get_mut(&account) else {
                continue;
            };
            let first = line.pop_front();
            if line.is_empty() {
                self.waiting.remove(&account);
            } else {
                self.order.push_back(account);
            }
            if first.is_some() {
                return first;
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.give();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets everything run that can.
    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a20_lines_are_served_one_after_the_other() {
        let turns = Turns::new(1);
        let first = turns.take(AccountId(1)).await;
        let served: Arc<Mutex<Vec<i64>>> = Arc::default();
        for account in [1, 1, 1, 1, 2, 3, 3] {
            let (turns, served) = (Arc::clone(&turns), Arc::clone(&served));
            tokio::spawn(async move {
                let _turn = turns.take(AccountId(account)).await;
                served.lock().unwrap().push(account);
            });
            settle().await;
        }
        assert!(served.lock().unwrap().is_empty());
        drop(first);
        settle().await;
        assert_eq!(*served.lock().unwrap(), [1, 2, 3, 1, 3, 1, 1]);
        assert_eq!(turns.lock().free, 1);
        assert!(turns.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_loses_no_turn() {
        let turns = Turns::new(2);
        let (one, other) = (
            turns.take(AccountId(1)).await,
            turns.take(AccountId(1)).await,
        );
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take(AccountId(2)).await })
            })
            .collect();
        settle().await;
        for wait in &waits {
            wait.abort();
        }
        settle().await;
        drop(one);
        drop(other);
        settle().await;
        assert_eq!(turns.lock().free, 2);
        drop(turns.take(AccountId(3)).await);
        assert_eq!(turns.lock().free, 2);
    }
}
