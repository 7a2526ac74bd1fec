//! The table of connections: how many there are, from where, whose, and how to tell them to end.
//!
//! Invariant: no session of an account that was disabled or removed goes on. Either it is in the table as that account's
//! when [`Sessions::recheck`] looks, behind the commit, or [`admit`] sees the commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{AccountId, Store};
use tokio::sync::Notify;

use crate::auth::Network;
use crate::config::Limits;
use crate::drive::Wake;
use crate::stream::Peer;

/// All connections of the server.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<Table>,
    /// Told when the last connection ends.
    empty: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    wakes: HashMap<u64, Arc<Wake>>,
    networks: HashMap<Network, usize>,
    stopping: bool,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server is full.
    #[error("too many connections")]
    Total,
    /// Its network has its share.
    #[error("too many connections from your network")]
    Network,
    /// The server is ending.
    #[error("the server is stopping")]
    Stopping,
}

/// One connection in the table; leaves it when dropped, also in a panic.
#[derive(Debug)]
pub struct Entry {
    sessions: Arc<Sessions>,
    id: u64,
    network: Option<Network>,
    /// Wakes the connection's loop.
    pub wake: Arc<Wake>,
}

impl Sessions {
    /// Enters a connection, if there is room. Without a peer it comes from a proxy that has yet to say for whom, and counts
    /// for no network until [`Entry::comes_from`].
    pub fn enter(
        self: &Arc<Sessions>,
        peer: Option<&Peer>,
        limits: &Limits,
    ) -> Result<Entry, Refused> {
        let network = peer.and_then(counted);
        let mut table = self.table();
        if table.stopping {
            return Err(Refused::Stopping);
        }
        if table.wakes.len() >= limits.connections {
            return Err(Refused::Total);
        }
        if let Some(network) = network {
            table.count(network, limits)?;
        }
        let id = table.next;
        table.next = table.next.wrapping_add(1);
        let wake = Arc::new(Wake::default());
        table.wakes.insert(id, Arc::clone(&wake));
        Ok(Entry {
            sessions: Arc::clone(self),
            id,
            network,
            wake,
        })
    }

    /// Tells every connection to end after its current command; no new ones enter.
    pub fn stop(&self) {
        let mut table = self.table();
        table.stopping = true;
        table.wakes.values().for_each(|wake| wake.stop());
    }

    /// Dismisses the sessions of accounts that were disabled or removed; to be called behind the commit.
    pub fn recheck(&self, store: &Store) {
        let mut owned = HashMap::<AccountId, Vec<Arc<Wake>>>::new();
        for wake in self.table().wakes.values() {
            if let Some(account) = wake.account() {
                owned.entry(account).or_default().push(Arc::clone(wake));
            }
        }
        for (account, wakes) in owned {
            if !usable(store, account) {
                wakes.iter().for_each(|wake| wake.dismiss());
            }
        }
    }

    /// Returns once there is no connection.
    pub async fn ended(&self) {
        loop {
            let told = self.empty.notified();
            if self.len() == 0 {
                return;
            }
            told.await;
        }
    }

    /// Connections now.
    pub fn len(&self) -> usize {
        self.table().wakes.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enters whose session it is now. Answers whether the account may be used still, now that it would be told of a change.
pub fn admit(store: &Store, wake: &Wake, account: AccountId) -> bool {
    wake.belongs_to(Some(account));
    let usable = usable(store, account);
    if !usable {
        wake.belongs_to(None);
    }
    usable
}

/// When it cannot be known, nobody is kept out: whatever a session asks of the store then fails as well.
fn usable(store: &Store, account: AccountId) -> bool {
    let found = store.read(|snapshot| snapshot.account_by_id(account));
    found.map_or(true, |found| found.is_some_and(|account| !account.disabled))
}

impl Table {
    fn count(&mut self, network: Network, limits: &Limits) -> Result<(), Refused> {
        let count = self.networks.entry(network).or_insert(0);
        if *count >= limits.connections_per_network {
            return Err(Refused::Network);
        }
        *count += 1;
        Ok(())
    }
}

/// The network a connection counts for; this machine is exempt.
fn counted(peer: &Peer) -> Option<Network> {
    (!peer.is_loopback()).then(|| Network::of(peer))
}

impl Entry {
    /// Counts the connection for the network of its peer, if there is room.
    pub fn comes_from(&mut self, peer: &Peer, limits: &Limits) -> Result<(), Refused> {
        if let Some(network) = counted(peer).filter(|_| self.network.is_none()) {
            self.sessions.table().count(network, limits)?;
            self.network = Some(network);
        }
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        table.wakes.remove(&self.id);
        if let Some(network) = self.network
            && let Some(count) = table.networks.get_mut(&network)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.networks.remove(&network);
            }
        }
        if table.wakes.is_empty() {
            self.sessions.empty.notify_waiters();
            if table.wakes.capacity() > 1024 {
                table.wakes.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::tcp(std::net::SocketAddr::new(ip.parse().unwrap(), 1), None)
    }

    #[tokio::test]
    async fn counts_per_network_and_in_all_and_gives_back() {
        let sessions = Arc::new(Sessions::default());
        let limits = Limits {
            connections: 4,
            connections_per_network: 2,
            ..Limits::default()
        };
        let first = sessions.enter(Some(&peer("2001:db8::1")), &limits).unwrap();
        let _second = sessions.enter(Some(&peer("2001:db8::2")), &limits).unwrap();
        assert_eq!(
            sessions
                .enter(Some(&peer("2001:db8::3")), &limits)
                .unwrap_err(),
            Refused::Network
        );
        let mut proxied = sessions.enter(None, &limits).unwrap();
        assert_eq!(
            proxied.comes_from(&peer("2001:db8::4"), &limits),
            Err(Refused::Network)
        );
        proxied.comes_from(&peer("192.0.2.1"), &limits).unwrap();
        drop(proxied);
        drop(first);
        let _third = sessions.enter(Some(&peer("2001:db8::3")), &limits).unwrap();
        let _local = [(); 2].map(|()| sessions.enter(Some(&peer("127.0.0.1")), &limits).unwrap());
        assert_eq!(
            sessions
                .enter(Some(&peer("127.0.0.1")), &limits)
                .unwrap_err(),
            Refused::Total
        );
    }

    #[tokio::test]
    async fn stopping_wakes_all_and_refuses_new_ones() {
        let sessions = Arc::new(Sessions::default());
        let entry = sessions
            .enter(Some(&peer("192.0.2.1")), &Limits::default())
            .unwrap();
        sessions.stop();
        assert!(entry.wake.is_stopping());
        assert_eq!(
            sessions
                .enter(Some(&peer("192.0.2.1")), &Limits::default())
                .unwrap_err(),
            Refused::Stopping
        );
        let waiter = tokio::spawn({
            let sessions = Arc::clone(&sessions);
            async move { sessions.ended().await }
        });
        drop(entry);
        waiter.await.unwrap();
    }
}
