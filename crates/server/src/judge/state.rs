//! What judging keeps between messages, all of it bounded and none of it on disk.
//!
//! Limits: [`AT_ONCE`] messages judged at once, [`SEEN`] signatures remembered for [`WINDOW`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::dkim::Keys;

/// Messages judged at once. Each asks some dozens of questions at most; when the DNS is silent the rest wait here for a
/// while and are then told to come again.
const AT_ONCE: usize = 256;

/// How long a message waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Signatures remembered of each of the two generations.
const SEEN: usize = 20_000;

/// How long they are remembered at least, and twice as long at most.
const WINDOW: Duration = Duration::from_secs(6 * 3_600);

/// What judging shares between messages.
pub struct State {
    /// Keys of those who sign.
    pub keys: Keys,
    turns: Semaphore,
    seen: Mutex<Seen>,
}

/// How often each signature came, in two generations.
struct Seen {
    young: HashMap<u64, u32>,
    old: HashMap<u64, u32>,
    since: Instant,
}

impl Default for State {
    fn default() -> State {
        State {
            keys: Keys::default(),
            turns: Semaphore::new(AT_ONCE),
            seen: Mutex::new(Seen {
                young: HashMap::new(),
                old: HashMap::new(),
                since: Instant::now(),
            }),
        }
    }
}

impl State {
    /// Waits for a turn; None when it takes too long.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        turn.ok()?.ok()
    }

    /// How often this signature (domain, selector, and what it signs) came before, of late (A34).
    pub fn replays(&self, domain: &str, selector: &str, mark: &str) -> u32 {
        use std::hash::{BuildHasher as _, RandomState};
        // One key for the process: nobody outside can make two signatures meet.
        static KEY: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
        let hash = KEY.hash_one((domain, selector, mark));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.young.len() >= SEEN || seen.since.elapsed() >= WINDOW {
            seen.old = std::mem::take(&mut seen.young);
            seen.since = Instant::now();
        }
        let before = match seen.young.get(&hash) {
            Some(before) => *before,
            None => seen.old.get(&hash).copied().unwrap_or(0),
        };
        seen.young.insert(hash, before.saturating_add(1));
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A34: the same signed message over and over is counted, in bounded memory.
    #[test]
    fn a34_replays_are_counted() {
        let state = State::default();
        for before in 0..1_000 {
            assert_eq!(state.replays("a.example", "s", "mark"), before);
        }
        assert_eq!(state.replays("b.example", "s", "mark"), 0);
        for n in 0..(3 * SEEN) {
            state.replays("c.example", "s", &n.to_string());
        }
        let seen = state.seen.lock().unwrap();
        assert!(seen.young.len() <= SEEN && seen.old.len() <= SEEN);
    }

    /// A silent DNS holds as many messages as there are turns; others are told to come again.
    #[tokio::test(start_paused = true)]
    async fn turns_are_bounded() {
        let state = State::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(state.turn().await.unwrap());
        }
        assert!(state.turn().await.is_none());
        held.pop();
        assert!(state.turn().await.is_some());
    }
}
