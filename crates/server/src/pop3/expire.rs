//! EXPIRE (RFC 2449 §6.7): messages that a POP3 client has taken are removed some days later, or with its QUIT.
//!
//! Counted from the first session that took a message by RETR and ended with QUIT. Removed is what an account has removed by
//! POP3 otherwise: for good, or into Trash. A maildrop that a session has open is left alone until the next look.
//!
//! Limits: [`PAGE`] messages with one write.

use std::sync::Arc;
use std::time::Duration;

use store::{Retrieved, Store, Timestamp};

use super::options::{self, Own};
use crate::config::{Expire, Pop3Options};
use crate::shared::Shared;

/// How often it is looked whether something is due. Days are counted, so an hour is no time.
const LOOK: Duration = Duration::from_secs(3600);
/// Messages looked at together.
const PAGE: u32 = 1_000;
const DAY: Timestamp = 86_400;

/// Removes what is due, for ever.
pub async fn run(shared: Arc<Shared>) {
    let mut timer = tokio::time::interval(LOOK);
    loop {
        timer.tick().await;
        let (config, now) = (shared.config().pop3, shared.timestamp());
        let done = shared.db.blocking(move |store| due(store, config, now));
        if let Err(error) = done.await {
            tracing::error!(%error, "POP3: messages whose time is over are not removed");
        }
    }
}

/// One look; how many were removed.
fn due(store: &Store, config: Pop3Options, now: Timestamp) -> store::Result<usize> {
    // Those that are taken away with QUIT are gone; what is left is from when there was another rule.
    let Expire::Days(least) = config.expire else {
        return Ok(0);
    };
    let before = days_ago(now, least);
    let (mut behind, mut removed) = (None, 0);
    loop {
        let page = store.read(|snapshot| snapshot.pop3_retrieved(before, behind, PAGE))?;
        let Some(last) = page.last() else {
            return Ok(removed);
        };
        behind = Some(*last);
        for one in page.chunk_by(|a, b| (a.account, a.mailbox) == (b.account, b.mailbox)) {
            removed += remove(store, config, one.to_vec(), now)?;
        }
    }
}

/// Removes of one mailbox what is over for its account.
fn remove(
    store: &Store,
    config: Pop3Options,
    taken: Vec<Retrieved>,
    now: Timestamp,
) -> store::Result<usize> {
    let Some((account, mailbox)) = taken.first().map(|first| (first.account, first.mailbox)) else {
        return Ok(0);
    };
    let Some(_lock) = store.lock_maildrop(account) else {
        return Ok(0);
    };
    let removed = store.write(move |tx| {
        let own = Own::read(tx, account)?;
        let Expire::Days(days) = own.expire(config.expire) else {
            return Ok(0);
        };
        let before = days_ago(now, days);
        let over = taken.iter().filter(|message| message.at < before);
        let uids = super::runs(over.map(|message| message.uid));
        let deleted = own.deleted.unwrap_or(config.deleted);
        options::delete(tx, account, mailbox, &uids, deleted)
    })?;
    if removed > 0 {
        tracing::info!(
            account = account.0,
            removed,
            "POP3: messages taken long ago are removed"
        );
    }
    Ok(removed)
}

fn days_ago(now: Timestamp, days: u32) -> Timestamp {
    now.saturating_sub(i64::from(days).saturating_mul(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Deleted;
    use store::{AccountId, Append, BodyMeta, Flags, Options, Tx};

    const DAYS_30: Pop3Options = Pop3Options {
        deleted: Deleted::Remove,
        login_delay: Duration::ZERO,
        expire: Expire::Days(30),
    };

    /// A store with accounts that have three messages each, of which the first two were taken now.
    fn taken(store: &Store, names: &[&str]) -> Vec<AccountId> {
        let content = store.ingest(&BodyMeta::default(), &[b"Subject: x\r\n\r\n"]);
        let message = Append {
            content: content.unwrap(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            received: 0,
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let add = move |tx: &mut Tx<'_>| {
            tx.add_domain("example.test")?;
            let mut accounts = Vec::new();
            for name in &names {
                let account = tx.add_account(&format!("{name}@example.test"), None, None)?;
                let inbox = tx.maildrop(account)?.mailbox;
                for _ in 0..3 {
                    tx.append(account, inbox, &message)?;
                }
                tx.note_pop3_retrieved(account, inbox, &[1..=2, 9..=9])?;
                accounts.push(account);
            }
            Ok(accounts)
        };
        store.write(add).unwrap()
    }

    fn left(store: &Store, account: AccountId) -> Vec<u32> {
        let maildrop = store.read(|snapshot| snapshot.maildrop(account)).unwrap();
        maildrop
            .messages
            .iter()
            .map(|message| message.uid)
            .collect()
    }

    #[test]
    fn what_was_taken_goes_after_its_days() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let accounts = taken(
            &store,
            &["usual", "longer", "never", "shorter", "trash", "open"],
        );
        let [usual, longer, never, shorter, trash, open] = accounts[..] else {
            panic!("six accounts");
        };
        let set = move |tx: &mut Tx<'_>| {
            tx.set_account_option(longer, options::EXPIRE, Some("60d"))?;
            tx.set_account_option(never, options::EXPIRE, Some("never"))?;
            tx.set_account_option(shorter, options::EXPIRE, Some("1d"))?;
            tx.set_account_option(trash, options::DELETED, Some("trash"))
        };
        store.write(set).unwrap();
        let now = store.write(|tx| Ok(tx.now())).unwrap();
        let after = |days: i64| now + days * DAY + 1;
        assert_eq!(
            due(&store, Pop3Options::default(), after(4_000)).unwrap(),
            0
        );
        assert_eq!(due(&store, DAYS_30, after(29)).unwrap(), 0);
        let lock = store.lock_maildrop(open).unwrap();
        assert_eq!(due(&store, DAYS_30, after(30)).unwrap(), 6);
        for account in [usual, shorter, trash] {
            assert_eq!(left(&store, account), [3]);
        }
        for account in [longer, never, open] {
            assert_eq!(left(&store, account), [1, 2, 3]);
        }
        let in_trash = store
            .read(|snapshot| snapshot.mailbox(trash, "Trash"))
            .unwrap();
        assert_eq!(in_trash.map(|mailbox| mailbox.messages), Some(2));
        drop(lock);
        assert_eq!(due(&store, DAYS_30, after(61)).unwrap(), 4);
        assert_eq!(
            (left(&store, longer), left(&store, open)),
            (vec![3], vec![3])
        );
        assert_eq!(left(&store, never), [1, 2, 3]);
        assert!(store.check(false).unwrap().findings.is_empty());
    }
}
