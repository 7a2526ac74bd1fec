//! Power cuts at every call to the packs' disk, failed syncs, full disks. The database's own crash safety is SQLite's; here it
//! is taken as it is in the files at the moment of the cut. What is shown is the order between packs and database.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use support::TestClock;
use support::disk::{FakeDisk, Fault, Left};
use waxwing_store::*;

const PACK: u64 = 1_500;

struct Scene {
    folder: tempfile::TempDir,
    disk: FakeDisk,
    clock: Arc<TestClock>,
    store: Store,
    account: AccountId,
    /// What was acknowledged before the cut: subject to octets.
    kept: BTreeMap<u32, Vec<u8>>,
    /// What was asked to be removed: it may be there or not, once the world has stopped.
    open: BTreeMap<u32, Vec<u8>>,
    /// What was acknowledged with recipients elsewhere: number to octets.
    queued: BTreeMap<u32, Vec<u8>>,
    /// What was asked to be removed, whatever came of it.
    removed: Vec<Vec<u8>>,
    /// What was acknowledged as removed.
    gone: Vec<u32>,
    /// Octets given back by housekeeping.
    freed: u64,
    /// A copy of the database's files at the moment of the cut.
    copy: Arc<Mutex<Option<tempfile::TempDir>>>,
}

fn open(folder: &Path, disk: &FakeDisk, clock: &Arc<TestClock>) -> Result<Store> {
    let options = Options {
        disk: Arc::new(disk.clone()),
        clock: clock.clone(),
        pack_size: PACK,
        reserve: 0,
        ..Options::default()
    };
    Store::open(folder, options)
}

fn copy_database(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["waxwing.db", "waxwing.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.path().join(name)).unwrap();
        }
    }
    to
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let disk = FakeDisk::default();
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000)));
        let store = open(folder.path(), &disk, &clock).unwrap();
        let account = store
            .write(|tx| {
                tx.add_domain("example.test")?;
                tx.add_account("a@example.test", None, None)
            })
            .unwrap();
        let (kept, open, queued, removed, gone, copy) = Default::default();
        Scene {
            folder,
            disk,
            clock,
            store,
            account,
            kept,
            open,
            queued,
            removed,
            gone,
            freed: 0,
            copy,
        }
    }

    fn arm(&self, fault: Fault, at: usize) {
        let (copy, from) = (self.copy.clone(), self.folder.path().to_owned());
        self.disk.arm(fault, at, move || {
            *copy.lock().unwrap() = Some(copy_database(&from))
        });
    }

    fn send(&mut self, n: u32) {
        let octets = [support::message(n), vec![b'x'; 100 * (n as usize % 5)]].concat();
        let account = self.account;
        let sent = self
            .store
            .ingest(&BodyMeta::default(), &[&octets])
            .and_then(|content| {
                let delivery = support::delivery(content, &[account]);
                self.store.write(move |tx| {
                    if n.is_multiple_of(QUEUED) {
                        tx.enqueue(&delivery.content, &envelope(), &[elsewhere(n)])?;
                    }
                    tx.deliver(&delivery)
                })
            });
        match sent {
            Ok(placed) if !self.disk.frozen() => {
                if n.is_multiple_of(QUEUED) {
                    self.queued.insert(n, octets.clone());
                }
                self.kept.insert(placed[0].as_ref().unwrap().uid, octets);
            }
            _ => {}
        }
    }

    fn expunge(&mut self, uid: u32) {
        if self.disk.frozen() {
            return;
        }
        let account = self.account;
        let inbox = self
            .store
            .read(|s| s.mailbox(account, "INBOX"))
            .unwrap()
            .unwrap()
            .id;
        let gone = self
            .store
            .write(move |tx| tx.expunge(account, inbox, &[uid..=uid], false));
        let octets = self.kept.remove(&uid);
        self.removed.extend(octets.clone());
        if gone.is_err() || self.disk.frozen() {
            self.open.extend(octets.map(|octets| (uid, octets)));
        } else {
            self.gone.push(uid);
        }
    }

    /// Deliveries over several packs, deletions, housekeeping, deliveries.
    fn play(&mut self) {
        (1..=8).for_each(|n| self.send(n));
        [1, 2, 3, 5, 6]
            .into_iter()
            .for_each(|uid| self.expunge(uid));
        self.clock.0.fetch_add(7_200, Ordering::Relaxed);
        self.freed = self.store.maintain().unwrap_or(0);
        (9..=12).for_each(|n| self.send(n));
    }

    /// Starts again on what is left, and compares with what was acknowledged.
    fn judge(&self, database: &Path, disk: FakeDisk, what: &str) {
        let folder = copy_database(database);
        let disk = disk.moved(self.folder.path(), folder.path());
        let store =
            open(folder.path(), &disk, &self.clock).unwrap_or_else(|e| panic!("{what}: {e}"));
        let report = store.check(false).unwrap();
        assert!(report.findings.is_empty(), "{what}: {:#?}", report.findings);
        let found = store.read(|s| s.maildrop(self.account)).unwrap();
        let found: BTreeMap<u32, BodyRef> =
            found.messages.iter().map(|m| (m.uid, m.body)).collect();
        for (uid, octets) in &self.kept {
            let body = found
                .get(uid)
                .unwrap_or_else(|| panic!("{what}: acknowledged message {uid} is lost"));
            assert_eq!(&store.body(body).unwrap(), octets, "{what}: message {uid}");
        }
        for uid in &self.gone {
            assert!(!found.contains_key(uid), "{what}: message {uid} is back");
        }
        for (uid, octets) in &self.open {
            let body = found.get(uid).map(|body| store.body(body).unwrap());
            assert!(
                body.is_none_or(|body| body == *octets),
                "{what}: message {uid} is half there"
            );
        }
        self.judge_queue(&store, &found, what);
        // Going on works, and does not disturb what is there.
        let content = store.ingest(&BodyMeta::default(), &[b"after"]).unwrap();
        let delivery = support::delivery(content, &[self.account]);
        store.write(move |tx| tx.deliver(&delivery)).unwrap()[0]
            .as_ref()
            .unwrap();
        assert!(
            store.check(false).unwrap().findings.is_empty(),
            "{what}: after going on"
        );
        store.close();
    }
}

impl Scene {
    /// What was accepted for others is queued, whole, and only together with what is here.
    fn judge_queue(&self, store: &Store, found: &BTreeMap<u32, BodyRef>, what: &str) {
        let turn = Turn {
            domain: "x.example".into(),
            after: -1,
            from: None,
            messages: 100,
        };
        let leased = store
            .write(move |tx| tx.lease("judge", i64::MAX, &turn))
            .unwrap()
            .leased;
        let queued: BTreeMap<String, Vec<u8>> = leased
            .iter()
            .map(|one| {
                let body = store.body(&one.body).unwrap();
                (one.recipients[0].address.clone(), body)
            })
            .collect();
        for (n, octets) in &self.queued {
            let body = queued.get(&elsewhere(*n).address);
            assert_eq!(body, Some(octets), "{what}: queued message {n}");
        }
        let here: Vec<Vec<u8>> = found
            .values()
            .map(|body| store.body(body).unwrap())
            .collect();
        for (address, octets) in &queued {
            assert!(
                here.contains(octets) || self.removed.contains(octets),
                "{what}: {address} is queued, and not here"
            );
        }
        // Nobody else works on them, so that the examination finds all as it should be.
        store.write(|tx| tx.take_back("nobody")).unwrap();
    }
}

/// Each of so many messages has a recipient elsewhere as well.
const QUEUED: u32 = 4;

fn elsewhere(n: u32) -> NewRecipient {
    NewRecipient {
        address: format!("u{n}@x.example"),
        domain: "x.example".into(),
        ..NewRecipient::default()
    }
}

fn envelope() -> QueuedEnvelope {
    QueuedEnvelope {
        reverse_path: "a@example.test".into(),
        report_to: None,
        envid: None,
        ret: None,
        body: BodyKind::SevenBit,
        smtputf8: false,
        require_tls: false,
        tls_optional: false,
        priority: 0,
        deliver_by: None,
        release_at: 0,
        submitter: None,
        auth: None,
        trace_id: "trace".into(),
        received: 0,
        warn_at: i64::MAX - 1,
        expires: i64::MAX - 1,
    }
}

#[test]
fn a_cut_at_every_call_loses_nothing_acknowledged() {
    let mut scene = Scene::new();
    scene.arm(Fault::Cut, usize::MAX);
    scene.play();
    let (calls, ..) = scene.disk.counted();
    assert!(
        scene.kept.len() == 7 && calls > 30 && scene.freed > 500,
        "{calls} {}",
        scene.freed
    );
    for at in 1..=calls {
        let mut scene = Scene::new();
        scene.arm(Fault::Cut, at);
        scene.play();
        assert!(scene.disk.frozen());
        let copy = scene.copy.lock().unwrap().take().unwrap();
        let seed = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(at as u64);
        for left in [
            Left::Nothing,
            Left::Everything,
            Left::Torn,
            Left::Some(seed),
        ] {
            scene.judge(
                copy.path(),
                scene.disk.after_cut(left),
                &format!("cut at call {at}, {left:?}"),
            );
        }
    }
}

#[test]
fn a_failed_sync_is_never_trusted() {
    let mut scene = Scene::new();
    scene.arm(Fault::Cut, usize::MAX);
    scene.play();
    let (_, syncs, _) = scene.disk.counted();
    assert!(syncs > 10, "{syncs}");
    for at in 1..=syncs {
        let mut scene = Scene::new();
        scene.arm(Fault::Sync, at);
        scene.play();
        // One delivery, or a step of housekeeping, failed; all others were acknowledged and must be on the platter.
        scene.judge(
            scene.folder.path(),
            scene.disk.after_cut(Left::Nothing),
            &format!("sync {at} failed"),
        );
    }
}

#[test]
fn when_every_sync_fails_nothing_is_acknowledged() {
    for at in [1, 4] {
        let mut scene = Scene::new();
        scene.arm(Fault::SyncsFrom, at);
        (1..=8).for_each(|n| scene.send(n));
        assert_eq!(scene.kept.len(), at - 1);
        scene.judge(
            scene.folder.path(),
            scene.disk.after_cut(Left::Nothing),
            "all syncs fail",
        );
    }
}

#[test]
fn a_full_disk_refuses_and_then_goes_on() {
    let mut scene = Scene::new();
    scene.arm(Fault::Full, 5);
    (1..=8).for_each(|n| scene.send(n));
    assert!(!scene.kept.is_empty() && scene.kept.len() < 5);
    let refused = scene.store.ingest(&BodyMeta::default(), &[b"x"]);
    assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
    // Deleting works, and so does the rest once there is space.
    let before = scene.kept.len();
    scene.expunge(1);
    assert_eq!((scene.kept.len(), scene.open.len()), (before - 1, 0));
    scene.disk.set_full(false);
    (9..=12).for_each(|n| scene.send(n));
    assert_eq!(scene.kept.len(), before + 3);
    scene.judge(
        scene.folder.path(),
        scene.disk.after_cut(Left::Nothing),
        "full",
    );
}

#[test]
fn no_flipped_bit_is_ever_served() {
    let mut scene = Scene::new();
    (1..=4).for_each(|n| scene.send(n));
    let found = scene
        .store
        .read(|s| s.maildrop(scene.account))
        .unwrap()
        .messages;
    for (path, length) in scene.disk.paths() {
        for bit in (0..length * 8).step_by(37) {
            scene.disk.flip(&path, bit);
            let mut damaged = 0;
            for message in &found {
                match scene.store.body(&message.body) {
                    Ok(octets) => assert_eq!(octets, scene.kept[&message.uid]),
                    Err(Error::Corrupt(_)) => damaged += 1,
                    Err(other) => panic!("{other}"),
                }
                if let Ok(part) = scene.store.body_range(&message.body, 5..25) {
                    assert_eq!(part, scene.kept[&message.uid][5..25]);
                }
            }
            assert!(damaged <= 1, "one flip damages one message at most");
            scene.disk.flip(&path, bit);
        }
    }
    assert!(scene.store.check(false).unwrap().findings.is_empty());
}
