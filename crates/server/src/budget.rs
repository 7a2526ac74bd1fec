//! The memory that messages in flight may take, shared by all sessions.
//!
//! A session reserves before it buffers: the declared SIZE or literal at once, or piece by piece while data comes.
//! Past the budget sessions wait, which the peer sees as a slow server (backpressure); after [`PATIENCE`] they
//! refuse temporarily instead, so that two half-full messages never wait for each other for ever.
//!
//! What goes out gets half of it at most: a peer that reads slowly holds its message for long, and a few such would
//! otherwise keep all mail from coming in (attack A21).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit of accounting. A semaphore counts to 2^29 at least, so the budget may reach 2 TiB.
const UNIT: u64 = 4096;

/// How long a session waits for memory. Shorter than any client's patience after DATA (RFC 5321 §4.5.3.2.6: ten
/// minutes) and longer than a commit of everything in flight takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// No memory came free in time, or the request exceeds the whole budget: refuse temporarily.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a message in flight")]
pub struct Full;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    /// The half that messages on their way out may have.
    outgoing: Arc<Semaphore>,
    total: u64,
}

/// Reserved memory; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    octets: u64,
    /// Its part of the half for what goes out.
    _outgoing: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of `octets`.
    pub fn new(octets: u64) -> Budget {
        let units = usize::try_from(octets.div_ceil(UNIT))
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS >> 4);
        Budget {
            units: Arc::new(Semaphore::new(units)),
            outgoing: Arc::new(Semaphore::new(units.div_ceil(2))),
            total: octets,
        }
    }

    /// Reserves `octets` (0 is fine: grow later), waiting for a while if others hold them.
    pub async fn reserve(&self, octets: u64) -> Result<Permit, Full> {
        let mut permit = Permit {
            budget: self.clone(),
            held: None,
            octets: 0,
            _outgoing: None,
        };
        permit.grow_to(octets).await?;
        Ok(permit)
    }

    /// Reserves `octets` for a message on its way out. One that is larger than the half for these has it alone.
    pub async fn reserve_outgoing(&self, octets: u64) -> Result<Permit, Full> {
        if octets > self.total {
            return Err(Full);
        }
        let units = octets.min(self.total / 2).div_ceil(UNIT);
        let units = u32::try_from(units).map_err(|_| Full)?;
        let wait = Arc::clone(&self.outgoing).acquire_many_owned(units);
        let outgoing = tokio::time::timeout(PATIENCE, wait)
            .await
            .map_err(|_| Full)?
            .map_err(|_| Full)?;
        let mut permit = self.reserve(octets).await?;
        permit._outgoing = Some(outgoing);
        Ok(permit)
    }
}

impl Permit {
    /// Extends the reservation to `octets` in all; does nothing if it is that large already.
    pub async fn grow_to(&mut self, octets: u64) -> Result<(), Full> {
        if octets <= self.octets {
            return Ok(());
        }
        if octets > self.budget.total {
            return Err(Full);
        }
        let have = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits) as u64;
        let more = u32::try_from(octets.div_ceil(UNIT).saturating_sub(have)).map_err(|_| Full)?;
        if more > 0 {
            let wait = Arc::clone(&self.budget.units).acquire_many_owned(more);
            let new = tokio::time::timeout(PATIENCE, wait)
                .await
                .map_err(|_| Full)?
                .map_err(|_| Full)?;
            match &mut self.held {
                Some(held) => held.merge(new),
                None => self.held = Some(new),
            }
        }
        self.octets = octets;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_then_refuses_and_gives_back() {
        let budget = Budget::new(100 * UNIT);
        let mut first = budget.reserve(60 * UNIT).await.unwrap();
        assert_eq!(budget.reserve(41 * UNIT).await.unwrap_err(), Full);
        first.grow_to(100 * UNIT).await.unwrap();
        let waiter = budget.clone();
        let waiting = tokio::spawn(async move { waiter.reserve(100 * UNIT).await.is_ok() });
        tokio::task::yield_now().await;
        drop(first);
        assert!(
            waiting.await.unwrap(),
            "what is given back goes to who waits"
        );
        assert_eq!(budget.reserve(101 * UNIT).await.unwrap_err(), Full);
    }

    /// A21: whoever reads slowly leaves half of it to what comes in.
    #[tokio::test(start_paused = true)]
    async fn a21_what_goes_out_has_half_of_it() {
        let budget = Budget::new(100 * UNIT);
        let slow = budget.reserve_outgoing(40 * UNIT).await.unwrap();
        assert_eq!(
            budget.reserve_outgoing(11 * UNIT).await.unwrap_err(),
            Full,
            "more than half"
        );
        let slow_too = budget.reserve_outgoing(10 * UNIT).await.unwrap();
        let incoming = budget.reserve(50 * UNIT).await.unwrap();
        drop((slow_too, incoming));
        drop(slow);
        // What is larger than that can be read as well, alone.
        let large = budget.reserve_outgoing(60 * UNIT).await.unwrap();
        assert_eq!(budget.reserve_outgoing(1).await.unwrap_err(), Full);
        drop(large);
        assert_eq!(budget.reserve_outgoing(101 * UNIT).await.unwrap_err(), Full);
    }
}
