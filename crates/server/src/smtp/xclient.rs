//! `XCLIENT` and `XFORWARD`: a proxy or filter of ours tells who the client is. The session offers them only to addresses of
//! `[smtp] trusted`, looked at as the connection came, and only until one client was told of: behind it that client talks.

use std::net::SocketAddr;

use smtp::reply;
use smtp::server::{Accepted, Session};
use smtp::{Client, Told};

use super::hello::Hello;
use super::{Handler, Verdict};
use crate::auth::Identity;
use crate::drive::Link;
use crate::stream::Peer;

impl Handler {
    /// Everything begins anew, as if the client had connected itself.
    pub(super) fn xclient(&mut self, link: &mut Link<Session>, client: &Client) -> Verdict {
        let identity = match client.login.known() {
            Some(login) => Some(self.named(login)?),
            None => None,
        };
        let proxy = link.peer.clone();
        self.forget();
        // What was learnt on this connection was learnt of the proxy.
        (self.unknown, self.known) = (0, 0);
        self.stranger = None;
        self.aside.standing.clear();
        self.identity = identity;
        self.hello = client.hello.known().map(|name| Hello {
            name: trace_safe(name),
            extended: client.extended != Told::Is(false),
        });
        if let Some(ip) = client.address.known() {
            let port = client.port.known().copied().unwrap_or(0);
            let local = client.destination.known().map(|ip| {
                let port = client.destination_port.known().copied();
                SocketAddr::new(*ip, port.unwrap_or(0))
            });
            link.peer = Peer::tcp(SocketAddr::new(*ip, port), local.or(proxy.local));
        }
        tracing::debug!(%proxy, peer = %link.peer, service = %self.service, "XCLIENT");
        Ok(Accepted::default())
    }

    /// The account of a login that the proxy has checked.
    fn named(&self, login: &str) -> Result<Identity, smtp::reply::Reply> {
        let found = self.shared.db.glance(|snapshot| snapshot.account(login));
        match found {
            Ok(Some(account)) if !account.disabled => Ok(Identity {
                account: account.id,
                address: account.address,
            }),
            Ok(_) => Err(reply::AUTHENTICATION_FAILED),
            Err(error) => Err(super::refusal::reply(&error)),
        }
    }

    /// For the log alone: policy goes by the connection.
    pub(super) fn xforward(&mut self, link: &Link<Session>, client: &Client) -> Verdict {
        tracing::info!(
            peer = %link.peer,
            service = %self.service,
            client = ?client.address.known(),
            name = ?client.name.known(),
            hello = ?client.hello.known(),
            ident = ?client.ident.known(),
            "XFORWARD"
        );
        Ok(Accepted::default())
    }
}

/// What may stand in a Received field: other letters are left out.
fn trace_safe(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || ".-_:[]".contains(*letter))
        .collect()
}
