//! Fetching regularly: the running server looks for new mail on accounts elsewhere, as `waxwing fetch` ordered.
//!
//! Each order is done by a task of its own, at most [`AT_ONCE`] look at the same time. Where an IMAP server tells of new
//! mail (IDLE), its task waits for that until the next look is due. What fails is tried again with pauses that grow to
//! [`LONGEST`]; a refused login waits [`REFUSED`] at least, so that the account is not locked.
//!
//! Limits: [`ORDERS`] orders are followed; a look may take [`RUN`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use store::{AccountId, Fetch, Store};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use wire::sasl::Secret;

use super::{
    Address, Credential, Door, Error, Login, MailboxReport, Options, Protocol, Report, Watch,
    import, import_maildrop, wait,
};
use crate::manage::{self, Answer, Append, Request};
use crate::shared::Shared;

/// Looks at the same time.
const AT_ONCE: usize = 8;

/// Orders that are followed.
const ORDERS: u32 = 1000;

/// How long a look may take: a first one brings all that is there.
const RUN: Duration = Duration::from_secs(6 * 3600);

/// The longest pause after failures, unless the order itself has a longer one.
const LONGEST: i64 = 6 * 3600;

/// The shortest pause after a refused login.
const REFUSED: i64 = 15 * 60;

/// IDLE is begun anew before servers log idle clients out (RFC 2177: 29 minutes).
const IDLE: Duration = Duration::from_secs(25 * 60);

/// How long it may take to begin and to end waiting for news.
const LOGIN: Duration = Duration::from_secs(120);

/// Between news and the look that it asks for: whoever tells of news without end is not asked without end.
const BREATH: Duration = Duration::from_secs(1);

/// How long the list of orders is trusted without being told of changes.
const LOOK: Duration = Duration::from_secs(60);

/// Messages on their way into the store at once.
const AHEAD: usize = 16;

/// Octets of a file with a secret.
const SECRET: u64 = 64 * 1024;

/// Counts changes of orders, for the task that follows them and for those that wait.
static CHANGES: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Tells the running server, if it is this process, that orders have changed.
pub fn changed() {
    CHANGES.send_modify(|count| *count = count.wrapping_add(1));
}

/// The first line of a file that its owner alone may read.
pub fn secret(file: &Path) -> Result<Secret, Error> {
    let wrong = |why: &dyn std::fmt::Display| Error::Unsafe(format!("{}: {why}", file.display()));
    if !file.is_absolute() {
        return Err(wrong(&"is to be named from the root, beginning with /"));
    }
    let metadata = std::fs::metadata(file).map_err(|error| wrong(&error))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(wrong(&"others may read it; use chmod 600"));
    }
    if metadata.len() > SECRET {
        return Err(wrong(&"is no password, by its size"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    match text.lines().next().unwrap_or_default() {
        "" => Err(wrong(&"its first line is empty")),
        line => Ok(Secret::new(line.to_owned())),
    }
}

/// Runs as long as the server does.
pub async fn run(shared: Arc<Shared>) {
    let mut changes = CHANGES.subscribe();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running: HashSet<(AccountId, i64)> = HashSet::new();
    let mut orders: HashMap<tokio::task::Id, (AccountId, i64)> = HashMap::new();
    let mut tasks: JoinSet<()> = JoinSet::new();
    loop {
        changes.borrow_and_update();
        let now = shared.timestamp();
        let next = shared
            .db
            .read(|snapshot| snapshot.fetches_next(ORDERS))
            .await;
        let mut rest = LOOK;
        for (account, id, due) in next.unwrap_or_default() {
            if running.contains(&(account, id)) {
                continue;
            }
            if due > now {
                let until = u64::try_from(due.saturating_sub(now)).unwrap_or(0);
                rest = rest.min(Duration::from_secs(until));
                break;
            }
            running.insert((account, id));
            let (shared, turns) = (Arc::clone(&shared), Arc::clone(&turns));
            let task = tasks.spawn(async move { one(&shared, &turns, account, id).await });
            orders.insert(task.id(), (account, id));
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = changes.changed() => {}
            Some(done) = tasks.join_next_with_id() => {
                let task = match done {
                    Ok((task, ())) => task,
                    Err(error) => {
                        tracing::error!(%error, "fetching broke off");
                        // It is due still, and would break off at once again.
                        tokio::time::sleep(BREATH).await;
                        error.id()
                    }
                };
                if let Some(order) = orders.remove(&task) {
                    running.remove(&order);
                }
            }
        }
    }
}

/// Looks once, notes how it went, and waits for news until the next look is due.
async fn one(shared: &Arc<Shared>, turns: &Semaphore, account: AccountId, id: i64) {
    let Ok(turn) = turns.acquire().await else {
        return;
    };
    let Ok(Some(fetch)) = shared.db.glance(|snapshot| snapshot.fetch(account, id)) else {
        return;
    };
    let looked = match tokio::time::timeout(RUN, look(shared, &fetch)).await {
        Ok(looked) => looked,
        Err(_) => Err(Error::Broken("it took too long".to_owned())),
    };
    drop(turn);
    let url = &fetch.order.url;
    let (outcome, pause) = match &looked {
        Ok((_, report)) => {
            let new = report
                .mailboxes
                .iter()
                .fold(0_u64, |sum, one| sum.saturating_add(one.new));
            match report.left_out.first() {
                None => {
                    tracing::info!(url, new, "fetched");
                    (Ok(new), fetch.order.every)
                }
                Some(what) => (Err(format!("left out: {what}")), fetch.order.every),
            }
        }
        Err(error) => (Err(error.to_string()), pause(&fetch, error)),
    };
    if let Err(why) = &outcome {
        tracing::warn!(url, why, "fetching failed");
    }
    let due = shared.timestamp().saturating_add(pause);
    let well = outcome.is_ok();
    let noted = shared
        .db
        .write(move |tx| tx.fetch_done(account, id, &outcome, due))
        .await;
    if let Err(error) = noted {
        tracing::error!(url, %error, "how fetching went is not noted");
        // Without the note it would be due at once, again and again.
        return tokio::time::sleep(LOOK).await;
    }
    if let (Ok((login, report)), true) = (looked, well)
        && login.address.protocol == Protocol::Imap
        && let Some(seen) = report.mailboxes.first()
    {
        idle(shared, &fetch, &login, seen, due).await;
    }
}

/// Seconds until a failed look is tried again.
fn pause(fetch: &Fetch, error: &Error) -> i64 {
    let every = fetch.order.every;
    let grown = every.saturating_mul(1 << fetch.failures.min(20));
    let least = match error {
        Error::Login(_) => REFUSED,
        _ => every,
    };
    grown.min(LONGEST.max(every)).max(least)
}

async fn look(shared: &Arc<Shared>, fetch: &Fetch) -> Result<(Login, Report), Error> {
    let order = &fetch.order;
    let ca = order.ca_file.as_ref().map(Path::new);
    let secret = secret(Path::new(&order.secret_file))?;
    let login = Login {
        address: Address::parse(&order.url)?,
        credential: match order.token {
            true => Credential::Token(secret),
            false => Credential::Password(secret),
        },
        roots: match ca {
            Some(_) => Login::roots(ca)?,
            None => shared.roots.store(),
        },
        roots_named: ca.is_some(),
        unencrypted: order.unencrypted,
    };
    let account = shared
        .db
        .glance(|snapshot| snapshot.account_by_id(fetch.account));
    let account = account
        .ok()
        .flatten()
        .ok_or_else(|| Error::Account("there is no such account".to_owned()))?;
    let options = Options {
        account: account.address,
        delete: false,
        skip_views: false,
        inbox: Some(order.folder.clone()),
        into: Some(order.folder.clone()),
        flags: false,
        remove_there: order.remove,
        forget: true,
        message_limit: shared.config().limits.message_size,
    };
    let mut door = Inside {
        store: shared.db.store().clone(),
        awaited: VecDeque::new(),
    };
    let mut notes = Notes { url: &order.url };
    let report = match login.address.protocol {
        Protocol::Imap => import(&mut door, &login, &options, &mut notes).await?,
        Protocol::Pop3 => import_maildrop(&mut door, &login, &options, &mut notes).await?,
    };
    Ok((login, report))
}

/// Waits for news until the next look is due, and then makes it due. An order that changed meanwhile ends it.
async fn idle(shared: &Arc<Shared>, fetch: &Fetch, login: &Login, seen: &MailboxReport, due: i64) {
    let (account, id) = (fetch.account, fetch.id);
    let mut changes = CHANGES.subscribe();
    let is_due = || {
        let now = shared.timestamp();
        match shared.db.glance(|snapshot| snapshot.fetch(account, id)) {
            Ok(Some(fetch)) => fetch.due <= now,
            _ => true,
        }
    };
    while !is_due() {
        let rest = u64::try_from(due.saturating_sub(shared.timestamp())).unwrap_or(0);
        let limit = IDLE.min(Duration::from_secs(rest));
        tokio::select! {
            _ = changes.changed() => {}
            // A server that talks without end keeps nobody from the next look.
            news = tokio::time::timeout(limit.saturating_add(LOGIN), wait(login, seen, limit)) => match news {
                Ok(Ok(true)) => {
                    tokio::time::sleep(BREATH).await;
                    if let Err(error) = shared.db.write(move |tx| tx.fetch_now(account, id)).await {
                        tracing::error!(%error, "fetching at once");
                    }
                    return;
                }
                Ok(Ok(false)) if limit >= IDLE => {}
                // No IDLE there, or no connection: the next look is made when it is due.
                _ => return,
            },
        }
    }
}

/// The store, from within the server.
struct Inside {
    store: Store,
    awaited: VecDeque<mpsc::Receiver<store::Result<()>>>,
}

impl Inside {
    fn settle(&mut self, leave: usize) -> Result<(), Error> {
        while self.awaited.len() > leave {
            let Some(oldest) = self.awaited.pop_front() else {
                break;
            };
            let kept = oldest.recv().unwrap_or(Err(store::Error::Closed));
            kept.map_err(|error| Error::Account(error.to_string()))?;
        }
        Ok(())
    }
}

impl Door for Inside {
    fn ask(&mut self, request: Request) -> Result<Answer, Error> {
        tokio::task::block_in_place(|| {
            self.settle(0)?;
            manage::execute(&self.store, request).map_err(|error| Error::Account(error.to_string()))
        })
    }

    fn append(&mut self, append: Append, message: &[u8]) -> Result<(), Error> {
        tokio::task::block_in_place(|| {
            let (sender, receiver) = mpsc::sync_channel(1);
            manage::append(&self.store, append, message, move |result| {
                let _ = sender.send(result);
            });
            self.awaited.push_back(receiver);
            self.settle(AHEAD)
        })
    }
}

struct Notes<'a> {
    url: &'a str,
}

impl Watch for Notes<'_> {
    fn expect(&mut self, _: u64) {}

    fn done(&mut self) {}

    fn note(&mut self, what: &str) {
        tracing::info!(url = self.url, what, "fetching");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn failed(failures: u32, every: i64) -> Fetch {
        Fetch {
            account: AccountId(1),
            id: 1,
            order: store::FetchOrder {
                url: String::new(),
                secret_file: String::new(),
                token: false,
                ca_file: None,
                unencrypted: false,
                folder: String::new(),
                every,
                remove: false,
            },
            due: 0,
            failures,
            trouble: None,
            last_success: None,
            fetched: 0,
        }
    }

    #[test]
    fn pauses_grow_and_a_refused_login_waits() {
        let broken = Error::Broken(String::new());
        let refused = Error::Login(String::new());
        for (failures, every, error, seconds) in [
            (0, 300, &broken, 300),
            (1, 300, &broken, 600),
            (3, 300, &broken, 2400),
            (4_000_000_000, 300, &broken, LONGEST),
            (0, 60, &refused, REFUSED),
            (9, 60, &refused, LONGEST),
            (5, 86_400, &broken, 86_400),
            (31, i64::MAX, &broken, i64::MAX),
        ] {
            assert_eq!(
                pause(&failed(failures, every), error),
                seconds,
                "{failures} {every}"
            );
        }
    }

    #[test]
    fn a_secret_that_others_may_read_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let with = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            secret(&file).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(with("pass word\nmore\n", 0o600).unwrap(), "pass word");
        assert_eq!(with("crlf\r\n", 0o400).unwrap(), "crlf");
        for (text, mode, why) in [
            ("x", 0o640, "others may read it"),
            ("x", 0o604, "others may read it"),
            ("\nx", 0o600, "first line is empty"),
            (&*"x".repeat(70_000), 0o600, "by its size"),
        ] {
            let error = with(text, mode).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(secret(Path::new("relative")).is_err());
        assert!(secret(&folder.path().join("missing")).is_err());
    }
}
