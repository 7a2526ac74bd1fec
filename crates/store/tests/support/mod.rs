//! A store in a temporary folder that is examined when a test is done with it.
#![allow(dead_code)]

pub mod disk;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use waxwing_store::*;

/// A clock that stands still until it is told.
#[derive(Debug)]
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }
}

pub struct Checked {
    store: Option<Store>,
    pub clock: Arc<TestClock>,
    pub folder: Arc<tempfile::TempDir>,
}

impl Deref for Checked {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else {
            return;
        };
        if !std::thread::panicking() {
            let report = store.check(false).unwrap();
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
        store.close();
    }
}

impl Checked {
    pub fn new() -> Checked {
        Checked::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Checked {
        Checked::at(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    pub fn at(folder: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Options)) -> Checked {
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000)));
        let mut options = Options {
            clock: clock.clone(),
            reserve: 0,
            ..Options::default()
        };
        change(&mut options);
        let store = Store::open(folder.path(), options).unwrap();
        Checked {
            store: Some(store),
            clock,
            folder,
        }
    }

    /// Closes and opens again, examining before and later.
    pub fn reopen(self) -> Checked {
        let folder = self.folder.clone();
        drop(self);
        Checked::at(folder, |_| {})
    }

    /// Hands out the store without the examination at the end.
    pub fn unchecked(mut self) -> (Store, Arc<tempfile::TempDir>) {
        (self.store.take().unwrap(), self.folder.clone())
    }

    pub fn account(&self, address: &str) -> AccountId {
        let address = address.to_owned();
        self.write(move |tx| {
            let (_, domain) = address.split_once('@').unwrap();
            if tx.domain(domain)?.is_none() {
                tx.add_domain(domain)?;
            }
            tx.add_account(&address, None, None)
        })
        .unwrap()
    }

    pub fn inbox(&self, account: AccountId) -> MailboxId {
        self.mailbox_id(account, "INBOX")
    }

    pub fn mailbox_id(&self, account: AccountId, name: &str) -> MailboxId {
        self.read(|s| s.mailbox(account, name)).unwrap().unwrap().id
    }

    pub fn content(&self, raw: &[u8]) -> Content {
        self.ingest(&BodyMeta::default(), &[raw]).unwrap()
    }

    pub fn add(&self, account: AccountId, mailbox: MailboxId, raw: &[u8], flags: Flags) -> Placed {
        let append = Append {
            content: self.content(raw),
            flags,
            keywords: vec![],
            received: 1_600_000_000,
        };
        self.write(move |tx| tx.append(account, mailbox, &append))
            .unwrap()
    }

    pub fn send(
        &self,
        accounts: &[AccountId],
        raw: &[u8],
    ) -> Vec<std::result::Result<Placed, Error>> {
        let delivery = delivery(self.content(raw), accounts);
        self.write(move |tx| tx.deliver(&delivery)).unwrap()
    }

    pub fn octets(&self, account: AccountId, mailbox: MailboxId, uid: u32) -> Vec<u8> {
        let mut body = None;
        self.read(|s| {
            s.messages(account, mailbox, &[uid..=uid], Columns::ALL, &mut |row| {
                body = row.body;
                Ok(std::ops::ControlFlow::Break(()))
            })
        })
        .unwrap();
        self.body(&body.unwrap()).unwrap()
    }
}

pub fn delivery(content: Content, accounts: &[AccountId]) -> Delivery {
    let recipients = accounts
        .iter()
        .map(|account| Recipient {
            account: *account,
            target: Target::Inbox,
            flags: Flags::NONE,
        })
        .collect();
    Delivery {
        content,
        received: 1_600_000_000,
        recipients,
    }
}

pub fn flags(mode: FlagMode, flags: Flags) -> FlagChange {
    FlagChange {
        mode,
        flags,
        keywords: vec![],
        unchanged_since: None,
    }
}

pub fn message(n: u32) -> Vec<u8> {
    format!(
        "From: a@example.org\r\nTo: b@example.test\r\nSubject: {n}\r\n\r\nThis is message {n}.\r\n"
    )
    .into_bytes()
}
