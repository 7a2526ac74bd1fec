//! Whom a recipient address reaches: accounts here, and addresses elsewhere, where an alias leads there or a user of ours
//! sends there.
//!
//! Postmaster (RFC 5321 §4.5.1) always reaches somebody: the account, alias or catch-all of that name where there is
//! one, else the oldest account of the domain, which is that of whoever set the domain up. Without a domain it means
//! the domain of this server's own name, or else the oldest domain.

use smtp::address::{Domain, ForwardPath};
use smtp::reply::{self, Reply};
use store::{AccountId, Resolution, Snapshot};

use super::forward;
use crate::shared::Shared;
use crate::sign::srs;
use crate::smtp::refusal;

/// Whom an address reaches; one of the two is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routed {
    /// Accounts here.
    pub accounts: Vec<AccountId>,
    /// Addresses elsewhere.
    pub remote: Vec<Remote>,
}

/// An address that is reached through the queue, nearly always one elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Without angle brackets.
    pub address: String,
    /// Its destination: A-labels in lower case, or an address literal.
    pub domain: String,
    /// An alias of ours led there.
    pub alias: bool,
    /// It is here after all: its mail only waits in the queue until it may be released.
    pub held: bool,
}

/// Who is behind `to`, or why mail for it is not taken. With a declared size, accounts that cannot hold it are full. Only
/// those who may `relay` reach others than ours; a `bounce` (a message with the null reverse-path) also finds back to those
/// whose mail we forwarded.
pub async fn route(
    shared: &Shared,
    to: &ForwardPath,
    size: Option<u64>,
    relay: bool,
    bounce: bool,
) -> Result<Routed, Reply> {
    if let ForwardPath::Mailbox(mailbox) = to
        && is_remote(shared, mailbox.domain())?
    {
        return match relay {
            true => remote(mailbox.to_string(), false)
                .map(|remote| Routed {
                    accounts: Vec::new(),
                    remote: vec![remote],
                })
                .ok_or(reply::BAD_RECIPIENT),
            false => Err(reply::RELAYING_DENIED),
        };
    }
    if let ForwardPath::Mailbox(mailbox) = to
        && bounce
        && srs::is_rewritten(mailbox.local())
        && let Some(original) = forward::original(shared, mailbox.local())
        && let Some(remote) = remote(original, true)
    {
        return Ok(Routed {
            accounts: Vec::new(),
            remote: vec![remote],
        });
    }
    let address = match to {
        ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
        ForwardPath::Postmaster => own_postmaster(shared).await?,
    };
    let size = size.unwrap_or(0);
    let found = shared.db.glance(|snapshot| local(snapshot, &address, size));
    match found.map_err(|error| refusal::reply(&error))? {
        Err(reply) if reply == reply::MAILBOX_UNKNOWN && is_postmaster(&address) => {
            let domain = address
                .rsplit_once('@')
                .map(|(_, domain)| domain.to_owned())
                .unwrap_or_default();
            let oldest = shared
                .db
                .read(move |snapshot| oldest_account(snapshot, &domain))
                .await;
            match oldest.map_err(|error| refusal::reply(&error))? {
                Some(account) => Ok(Routed {
                    accounts: vec![account],
                    remote: Vec::new(),
                }),
                None => Err(reply),
            }
        }
        outcome => outcome,
    }
}

/// Whether a domain is not ours. What is no valid name is nobody's.
fn is_remote(shared: &Shared, domain: &Domain) -> Result<bool, Reply> {
    let Domain::Name(name) = domain else {
        return Ok(true);
    };
    match shared.db.glance(|snapshot| snapshot.domain(name)) {
        Ok(found) => Ok(found.is_none()),
        Err(store::Error::Invalid(_)) => Ok(true),
        Err(error) => Err(refusal::reply(&error)),
    }
}

fn remote(address: String, alias: bool) -> Option<Remote> {
    let domain = crate::courier::destination_of(&address)?;
    Some(Remote {
        address,
        domain,
        alias,
        held: false,
    })
}

fn local(
    snapshot: &Snapshot<'_>,
    address: &str,
    size: u64,
) -> store::Result<Result<Routed, Reply>> {
    let (accounts, elsewhere) = match snapshot.resolve(address)? {
        Resolution::Remote => return Ok(Err(reply::RELAYING_DENIED)),
        Resolution::Unknown => return Ok(Err(reply::MAILBOX_UNKNOWN)),
        Resolution::Local { accounts, remote } => (accounts, remote),
    };
    for resolved in &accounts {
        if is_full(snapshot, resolved.account, size)? {
            return Ok(Err(reply::MAILBOX_FULL));
        }
    }
    let routed = Routed {
        accounts: accounts
            .into_iter()
            .map(|resolved| resolved.account)
            .collect(),
        remote: elsewhere
            .into_iter()
            .filter_map(|address| remote(address, true))
            .collect(),
    };
    if routed == Routed::default() {
        return Ok(Err(reply::MAILBOX_UNKNOWN));
    }
    Ok(Ok(routed))
}

/// Whether `size` more octets, or any at all, are too much for the account.
pub(super) fn is_full(
    snapshot: &Snapshot<'_>,
    account: AccountId,
    size: u64,
) -> store::Result<bool> {
    let account = snapshot
        .account_by_id(account)?
        .ok_or(store::Error::NotFound("account"))?;
    Ok(account
        .quota
        .is_some_and(|quota| account.usage >= quota || account.usage.saturating_add(size) > quota))
}

/// What stands behind the last `@`; empty without one.
pub(super) fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn is_postmaster(address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(local, _)| {
        // The records that we propose send reports to sub-addresses of it.
        let user = local.split_once('+').map_or(local, |(user, _)| user);
        user.eq_ignore_ascii_case("postmaster")
    })
}

async fn own_postmaster(shared: &Shared) -> Result<String, Reply> {
    let host = shared.config().hostname.clone();
    let domain = shared
        .db
        .read(move |snapshot| own_domain(snapshot, &host))
        .await;
    match domain.map_err(|error| refusal::reply(&error))? {
        Some(domain) => Ok(format!("postmaster@{domain}")),
        None => Err(reply::MAILBOX_UNKNOWN),
    }
}

/// `mail.example.org` is the server of `example.org`, if that is served here.
pub fn own_domain(snapshot: &Snapshot<'_>, host: &str) -> store::Result<Option<String>> {
    let mut name = host;
    loop {
        if let Ok(Some(domain)) = snapshot.domain(name) {
            return Ok(Some(domain.name));
        }
        match name.split_once('.') {
            Some((_, parent)) => name = parent,
            None => break,
        }
    }
    Ok(snapshot
        .domains()?
        .into_iter()
        .min_by_key(|domain| domain.id)
        .map(|domain| domain.name))
}

/// Of the domain; where that has none, of the whole server.
fn oldest_account(snapshot: &Snapshot<'_>, domain: &str) -> store::Result<Option<AccountId>> {
    let oldest = |accounts: Vec<store::Account>| accounts.iter().map(|account| account.id).min();
    match oldest(snapshot.accounts(Some(domain))?) {
        Some(account) => Ok(Some(account)),
        None => Ok(oldest(snapshot.accounts(None)?)),
    }
}
