//! The folder's lock, check and repair, backup, housekeeping, the reserve.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::{Checked, message};
use waxwing_store::*;

fn sql(folder: &Path, statement: &str) {
    let database = rusqlite::Connection::open(folder.join("waxwing.db")).unwrap();
    database.execute_batch(statement).unwrap();
}

#[test]
fn one_process_has_the_folder() {
    let store = Checked::new();
    let again = Store::open(store.folder.path(), Options::default());
    assert!(matches!(again, Err(Error::Busy(_))));
    let store = store.reopen();
    store.account("a@example.test");
}

#[test]
fn a_closed_store_refuses_and_what_waited_is_done() {
    let (store, folder) = Checked::new().unchecked();
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..20 {
        let send = send.clone();
        store.write_then(|tx| tx.next(), move |result| send.send(result).unwrap());
    }
    store.close();
    drop(send);
    assert_eq!(receive.iter().filter(Result::is_ok).count(), 20);
    assert_eq!(store.write(|_| Ok(())), Err(Error::Closed));
    assert_eq!(store.read(|s| s.domains()), Err(Error::Closed));
    assert!(
        !folder.path().join("waxwing.db-wal").exists(),
        "the log was emptied"
    );
}

trait Next {
    fn next(&mut self) -> Result<()>;
}

impl Next for Tx<'_> {
    fn next(&mut self) -> Result<()> {
        let n = self.settings("n/")?.len();
        self.set_setting(&format!("n/{n}"), Some(b"x"))
    }
}

/// Each kind of damage is found, said, and mended so that a second look finds nothing.
#[test]
fn damage_is_found_and_mended() {
    let kinds = [
        "UPDATE account_state SET usage = 1, modseq = 1, last_uid_validity = 1, last_mailbox = 0, last_message = 0",
        "UPDATE account_state SET usage = -5",
        "UPDATE mailbox SET messages = 7, unseen = 7, deleted = 7, size = 7",
        "UPDATE mailbox SET uid_next = 1 WHERE name = 'INBOX'",
        "UPDATE entry SET flags = 255 WHERE uid = 2",
        "UPDATE entry SET keywords = 8 WHERE uid = 2",
        "UPDATE entry SET size = 5 WHERE uid = 1",
        "UPDATE message SET refs = 9",
        "UPDATE body SET refs = 9",
        "DELETE FROM body WHERE body_id = (SELECT MIN(body_id) FROM body)",
        "UPDATE message SET envelope = x'00'",
        "DELETE FROM mailbox WHERE name = 'INBOX'",
        "DELETE FROM account_state",
        "DELETE FROM mailbox WHERE name = 'Archive'",
        "DELETE FROM message WHERE message_id = (SELECT MIN(message_id) FROM message)",
        "DELETE FROM entry WHERE uid = 1",
    ];
    for kind in kinds {
        let store = Checked::new();
        let a = store.account("a@example.test");
        for n in 0..3 {
            store.send(&[a], &message(n));
        }
        store
            .write(move |tx| {
                let (inbox, archive) = (
                    tx.mailbox(a, "INBOX")?.unwrap().id,
                    tx.mailbox(a, "Archive")?.unwrap().id,
                );
                tx.copy(a, inbox, &[1..=2], archive)
            })
            .unwrap();
        let (store, folder) = store.unchecked();
        store.close();
        sql(folder.path(), kind);
        let store = Store::open(
            folder.path(),
            Options {
                reserve: 0,
                ..Options::default()
            },
        )
        .unwrap();
        let found = store.check(false).unwrap().findings;
        assert!(!found.is_empty(), "{kind}");
        let mended = store.check(true).unwrap().findings;
        assert!(mended.iter().all(|f| f.repaired), "{kind}: {mended:#?}");
        let after = store.check(false).unwrap().findings;
        assert!(after.is_empty(), "{kind}: {after:#?}");
        let a = store
            .read(|s| s.account("a@example.test"))
            .unwrap()
            .unwrap()
            .id;
        let content = store.ingest(&BodyMeta::default(), &[b"new"]).unwrap();
        let delivery = support::delivery(content, &[a]);
        store.write(move |tx| tx.deliver(&delivery)).unwrap()[0]
            .as_ref()
            .unwrap();
        assert!(store.check(false).unwrap().findings.is_empty(), "{kind}");
        store.close();
    }
}

#[test]
fn a_damaged_body_is_named_and_the_rest_is_served() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    for n in 0..3 {
        store.send(&[a], &message(n));
    }
    let bodies = store.read(|s| s.maildrop(a)).unwrap().messages;
    let (store, folder) = store.unchecked();
    let pack = folder.path().join("packs/0001.pack");
    let mut bytes = std::fs::read(&pack).unwrap();
    let end = (bodies[1].body.offset + bodies[1].body.length) as usize;
    bytes[end - 3] ^= 4;
    std::fs::write(&pack, bytes).unwrap();
    assert!(matches!(
        store.body(&bodies[1].body),
        Err(Error::Corrupt(_))
    ));
    assert_eq!(store.body(&bodies[2].body).unwrap(), message(2));
    let report = store.check(true).unwrap();
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    assert!(report.findings[0].text.contains("a@example.test") && !report.findings[0].repaired);
    store.close();
}

#[test]
fn a_newer_schema_is_refused_with_a_clear_word() {
    let (store, folder) = Checked::new().unchecked();
    store.close();
    sql(folder.path(), "UPDATE schema_version SET version = 99");
    let error = Store::open(folder.path(), Options::default()).unwrap_err();
    assert!(
        matches!(&error, Error::TooNew(text) if text.contains("99") && text.contains("newer program")),
        "{error}"
    );
}

#[test]
fn a_backup_opens_and_has_everything_and_a_second_one_copies_little() {
    let store = Checked::with(|options| options.pack_size = 700);
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    for n in 0..20 {
        store.send(&[a], &message(n));
    }
    let target = Arc::new(tempfile::tempdir().unwrap());
    // Writers go on meanwhile.
    let running = std::sync::atomic::AtomicBool::new(true);
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 100;
            while running.load(Ordering::Relaxed) {
                store.send(&[a], &message(n));
                n += 1;
            }
        });
        let first = store.backup(target.path()).unwrap();
        running.store(false, Ordering::Relaxed);
        first
    });
    assert!(first.packs_copied > 2);
    store.send(&[a], &message(500));
    let second = store.backup(target.path()).unwrap();
    assert!(
        second.packs_kept >= first.packs_copied - 1 && second.packs_copied >= 1,
        "{first:?} {second:?}"
    );
    let live = store.read(|s| s.maildrop(a)).unwrap().messages;
    let restored = Checked::at(target, |_| {});
    let found = restored.read(|s| s.maildrop(a)).unwrap().messages;
    assert_eq!(found.len(), live.len());
    for n in 0..20 {
        assert_eq!(restored.octets(a, inbox, n + 1), message(n));
    }
    assert_eq!(
        restored.body(&found.last().unwrap().body).unwrap(),
        message(500)
    );
    assert!(
        matches!(
            store.backup(restored.folder.path()),
            Err(Error::Conflict(_))
        ),
        "a folder in use is no target"
    );
    restored.send(&[a], &message(501));
}

#[test]
fn housekeeping_gives_back_what_was_deleted_and_old_references_still_read() {
    let store = Checked::with(|options| options.pack_size = 4_000);
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    for n in 0..100 {
        store.send(&[a], &message(n));
    }
    let before = store.read(|s| s.maildrop(a)).unwrap().messages;
    let waiting = store.content(b"placed late");
    let gone: Vec<UidRange> = (1..=100)
        .filter(|uid| uid % 10 != 0)
        .map(|uid| uid..=uid)
        .collect();
    store
        .write(move |tx| tx.expunge(a, inbox, &gone, false))
        .unwrap();
    assert_eq!(
        store.maintain().unwrap(),
        0,
        "bodies may still wait to be placed"
    );
    store.clock.0.fetch_add(7_200, Ordering::Relaxed);
    let reclaimable = store.check(false).unwrap().reclaimable;
    let freed = store.maintain().unwrap();
    assert!(freed > reclaimable / 2, "{freed} of {reclaimable}");
    for uid in (10..=90).step_by(10) {
        let old = before[uid - 1].body;
        assert_eq!(store.body(&old).unwrap(), message(uid as u32 - 1));
    }
    assert_eq!(store.body(&before[0].body), Err(Error::NotFound("message")));
    // A body that waited too long cannot be placed any more, or is whole: never half.
    let late = support::delivery(waiting, &[a]);
    match store.write(move |tx| tx.deliver(&late)) {
        Ok(placed) => assert_eq!(
            store.octets(a, inbox, placed[0].as_ref().unwrap().uid),
            b"placed late"
        ),
        Err(error) => assert!(error.is_temporary()),
    }
}

#[test]
fn the_reserve_is_there_and_a_folder_is_private() {
    let store = Checked::with(|options| options.reserve = 1 << 20);
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let reserve = store.folder.path().join("reserve").metadata().unwrap();
    assert!(reserve.len() == 1 << 20 && reserve.blocks() * 512 >= 1 << 20);
    let packs = store.folder.path().join("packs").metadata().unwrap();
    assert_eq!(packs.permissions().mode() & 0o777, 0o700);
    assert_eq!(store.trouble(), None);
}

#[test]
fn too_many_writers_are_turned_away() {
    let store = Checked::with(|options| options.queue = 4);
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (started, start) = std::sync::mpsc::channel();
    store.write_then(
        move |_| {
            started.send(()).unwrap();
            held.recv().ok();
            Ok(())
        },
        |_| {},
    );
    start.recv().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..10 {
        let send = send.clone();
        store.write_then(|_| Ok(()), move |result| send.send(result).unwrap());
    }
    drop((hold, send));
    let results: Vec<Result<()>> = receive.iter().collect();
    assert_eq!(
        results
            .iter()
            .filter(|r| matches!(r, Err(Error::Busy(_))))
            .count(),
        6
    );
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 4);
}

#[test]
fn a_view_loaded_amid_writes_misses_nothing_and_doubles_nothing() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..200 {
                store.send(&[a], &message(n));
                if n % 3 == 0 {
                    let change = support::flags(FlagMode::Add, Flags::SEEN);
                    store
                        .write(move |tx| tx.store_flags(a, inbox, &[1..=n], &change))
                        .unwrap();
                }
                if n % 7 == 0 {
                    store
                        .write(move |tx| tx.expunge(a, inbox, &[n / 2..=n / 2], false))
                        .unwrap();
                }
            }
        });
        while !writer.is_finished() {
            let view = store.view(a, inbox).unwrap();
            let picture = view.snapshot();
            let uids: Vec<u32> = picture.iter().map(|(_, e)| e.uid).collect();
            assert!(uids.is_sorted_by(|a, b| a < b));
        }
    });
    let view = store.view(a, inbox).unwrap();
    let row = store.read(|s| s.mailbox_by_id(a, inbox)).unwrap().unwrap();
    assert_eq!(
        (view.snapshot().len(), view.snapshot().unseen()),
        (row.messages, row.unseen)
    );
    assert_eq!(
        (view.snapshot().uid_next(), view.snapshot().highest_modseq()),
        (row.uid_next, row.highest_modseq)
    );
}

#[test]
fn a_reader_that_stays_hinders_nobody_and_the_log_does_not_grow_for_ever() {
    let store = Checked::new();
    let log = store.folder.path().join("waxwing.db-wal");
    let write = |times: usize| {
        for n in 0..times {
            // 256 pages each.
            store
                .write(move |tx| tx.set_setting("x", Some(&vec![n as u8; 1 << 20])))
                .unwrap();
        }
        log.metadata().unwrap().len()
    };
    let held = std::thread::scope(|scope| {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (started, start) = std::sync::mpsc::channel();
        let store = &store;
        scope.spawn(move || {
            store
                .read(|s| {
                    s.domains()?;
                    started.send(()).unwrap();
                    held.recv().ok();
                    assert_eq!(s.setting("x")?, None, "a reader keeps its picture");
                    Ok(())
                })
                .unwrap();
        });
        start.recv().unwrap();
        let size = write(80);
        drop(hold);
        size
    });
    assert!(held > 70 << 20, "{held}");
    let after = write(160);
    assert!(after < held + (90 << 20), "{held} {after}");
}

#[test]
fn after_going_back_to_a_backup_no_uid_or_modseq_is_given_again() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    for n in 0..3 {
        store.send(&[a], &message(n));
    }
    let target = Arc::new(tempfile::tempdir().unwrap());
    store.backup(target.path()).unwrap();
    // Clients see these, and these changes, and then they are lost.
    let lost = store.send(&[a], &message(3))[0].clone().unwrap();
    let change = support::flags(FlagMode::Add, Flags::SEEN);
    let seen = store
        .write(move |tx| tx.store_flags(a, inbox, &[1..=2], &change))
        .unwrap();
    let created = store
        .write(move |tx| tx.create_mailbox(a, "later", None))
        .unwrap();

    let restored = Checked::at(target, |_| {});
    let row = restored
        .read(|s| s.mailbox_by_id(a, inbox))
        .unwrap()
        .unwrap();
    assert_eq!(row.uid_validity, lost.uid_validity, "caches stay good");
    assert!(row.highest_modseq > seen.modseq.unwrap());
    let picture = restored.view(a, inbox).unwrap().snapshot();
    assert_eq!(
        picture.iter().map(|(_, e)| e.uid).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        picture
            .iter()
            .all(|(_, e)| e.modseq > seen.modseq.unwrap() && e.flags == Flags::NONE)
    );
    let new = restored.send(&[a], &message(9))[0].clone().unwrap();
    assert!(new.uid > lost.uid && new.message > lost.message);
    let again = restored
        .write(move |tx| tx.create_mailbox(a, "later", None))
        .unwrap();
    assert!(again.id > created.id && again.uid_validity > created.uid_validity);
    // Once is enough.
    let restored = restored.reopen();
    assert_eq!(
        restored.send(&[a], &message(10))[0].as_ref().unwrap().uid,
        new.uid + 1
    );
}

/// Going back to an older database after housekeeping moved what it refers to.
#[test]
fn bodies_that_were_moved_since_are_found_again() {
    let store = Checked::with(|options| options.pack_size = 2_000);
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    for n in 0..40 {
        store.send(&[a], &message(n));
    }
    let gone: Vec<UidRange> = (1..=40)
        .filter(|uid| uid % 5 != 0)
        .map(|uid| uid..=uid)
        .collect();
    store
        .write(move |tx| tx.expunge(a, inbox, &gone, false))
        .unwrap();
    let backup = tempfile::tempdir().unwrap();
    store.backup(backup.path()).unwrap();
    // While a snapshot is young nothing moves.
    store.clock.0.fetch_add(7_200, Ordering::Relaxed);
    let young = store
        .folder
        .path()
        .join("snapshots/waxwing-version-1-at-1700000000.db");
    std::fs::write(&young, b"").unwrap();
    assert_eq!(store.maintain().unwrap(), 0);
    store.clock.0.fetch_add(8 * 86_400, Ordering::Relaxed);
    assert!(store.maintain().unwrap() > 0);
    let (store, folder) = store.unchecked();
    store.close();
    std::fs::copy(
        backup.path().join("waxwing.db"),
        folder.path().join("waxwing.db"),
    )
    .unwrap();
    let store = Store::open(
        folder.path(),
        Options {
            reserve: 0,
            ..Options::default()
        },
    )
    .unwrap();
    assert!(!store.check(false).unwrap().findings.is_empty());
    assert!(
        store
            .check(true)
            .unwrap()
            .findings
            .iter()
            .all(|f| f.repaired)
    );
    assert!(store.check(false).unwrap().findings.is_empty());
    let found = store.read(|s| s.maildrop(a)).unwrap().messages;
    assert_eq!(found.len(), 8);
    for m in found {
        assert_eq!(store.body(&m.body).unwrap(), message(m.uid - 1));
    }
    store.close();
}
