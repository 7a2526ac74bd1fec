//! Placing, reading, flags, copying, moving, expunging.

mod support;

use support::{Checked, flags, message};
use waxwing_store::*;

#[test]
fn one_body_for_many_recipients_and_a_result_for_each() {
    let store = Checked::new();
    let (a, b, c) = (
        store.account("a@example.test"),
        store.account("b@example.test"),
        store.account("c@example.test"),
    );
    store.write(move |tx| tx.set_quota(b, Some(10))).unwrap();
    let results = store.send(&[a, b, AccountId(99), c], &message(1));
    assert!(results[0].is_ok() && results[3].is_ok());
    assert_eq!(results[1], Err(Error::OverQuota));
    assert_eq!(results[2], Err(Error::NotFound("account")));
    assert_eq!(store.octets(a, store.inbox(a), 1), message(1));
    assert_eq!(store.octets(c, store.inbox(c), 1), message(1));
    assert_eq!(
        store.read(|s| s.account_by_id(a)).unwrap().unwrap().usage,
        message(1).len() as u64
    );
    assert_eq!(
        store.read(|s| s.account_by_id(b)).unwrap().unwrap().usage,
        0
    );
    // The body goes with its last message only.
    let first = store.read(|s| s.maildrop(c)).unwrap().messages[0].body;
    for account in [a, c] {
        let inbox = store.inbox(account);
        assert_eq!(
            store
                .write(move |tx| tx.expunge(account, inbox, &[1..=1], false))
                .unwrap(),
            [1]
        );
    }
    assert_eq!(store.check(false).unwrap().bodies, 0);
    assert_eq!(
        store.body(&first).unwrap(),
        message(1),
        "octets stay until housekeeping"
    );
}

#[test]
fn what_was_acknowledged_is_there_after_opening_again() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    for n in 0..50 {
        store.send(&[a], &message(n));
    }
    let store = store.reopen();
    let inbox = store.inbox(a);
    for n in 0..50 {
        assert_eq!(store.octets(a, inbox, n + 1), message(n));
    }
    assert_eq!(store.send(&[a], &message(50))[0].as_ref().unwrap().uid, 51);
}

#[test]
fn flags_change_in_runs_and_only_where_they_differ() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    for n in 0..10 {
        store.add(
            a,
            inbox,
            &message(n),
            if n % 2 == 0 { Flags::SEEN } else { Flags::NONE },
        );
    }
    let before = store.read(|s| s.mailbox_by_id(a, inbox)).unwrap().unwrap();
    assert_eq!((before.messages, before.unseen), (10, 5));
    let view = store.view(a, inbox).unwrap();
    let old = view.snapshot();
    let stored = store
        .write(move |tx| {
            tx.store_flags(
                a,
                inbox,
                &[3..=6, 1..=4],
                &flags(FlagMode::Add, Flags::SEEN),
            )
        })
        .unwrap();
    assert_eq!(stored.changed, 3);
    let changed: Vec<u32> = ViewSnapshot::diff(&old, &view.snapshot())
        .changed
        .iter()
        .map(|(seq, _)| *seq)
        .collect();
    assert_eq!(changed, [2, 4, 6]);
    assert_eq!(
        store
            .read(|s| s.mailbox_by_id(a, inbox))
            .unwrap()
            .unwrap()
            .unseen,
        2
    );
    // Again: nothing changes, no modseq.
    let again = store
        .write(move |tx| tx.store_flags(a, inbox, &[1..=6], &flags(FlagMode::Add, Flags::SEEN)))
        .unwrap();
    assert_eq!((again.changed, again.modseq), (0, None));
    // Only what has not changed since.
    let since = FlagChange {
        unchanged_since: Some(stored.modseq.unwrap() - 1),
        ..flags(FlagMode::Replace, Flags::DELETED)
    };
    let conditional = store
        .write(move |tx| tx.store_flags(a, inbox, &[1..=10], &since))
        .unwrap();
    assert_eq!(conditional.modified, [2, 4, 6]);
    assert_eq!(conditional.changed, 7);
    let row = store.read(|s| s.mailbox_by_id(a, inbox)).unwrap().unwrap();
    assert_eq!((row.unseen, row.deleted), (7, 7));
}

#[test]
fn copies_have_their_own_flags_and_keywords_find_their_bits() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let (inbox, archive) = (store.inbox(a), store.mailbox_id(a, "Archive"));
    store.add(a, inbox, &message(1), Flags::NONE);
    store.add(a, archive, &message(2), Flags::NONE);
    let keyword = |name: &str| FlagChange {
        keywords: vec![name.into()],
        ..flags(FlagMode::Add, Flags::NONE)
    };
    let (one, two) = (keyword("$Work"), keyword("$Home"));
    store
        .write(move |tx| tx.store_flags(a, archive, &[1..=1], &two))
        .unwrap();
    store
        .write(move |tx| tx.store_flags(a, inbox, &[1..=1], &one))
        .unwrap();
    let copied = store
        .write(move |tx| tx.copy(a, inbox, &[1..=9], archive))
        .unwrap();
    assert_eq!(copied.uids, [(1, 2)]);
    let picture = store.view(a, archive).unwrap().snapshot();
    assert_eq!(
        picture.keywords().iter().map(|k| &**k).collect::<Vec<_>>(),
        ["$Home", "$Work"]
    );
    assert_eq!(picture.entry(2).unwrap().keywords, 0b10);
    store
        .write(move |tx| {
            tx.store_flags(a, archive, &[2..=2], &flags(FlagMode::Replace, Flags::SEEN))
        })
        .unwrap();
    assert_eq!(
        store
            .view(a, inbox)
            .unwrap()
            .snapshot()
            .entry(1)
            .unwrap()
            .keywords,
        1
    );
    // The case of a keyword does not make another.
    let same = keyword("$WORK");
    assert_eq!(
        store
            .write(move |tx| tx.store_flags(a, inbox, &[1..=1], &same))
            .unwrap()
            .changed,
        0
    );
}

#[test]
fn moving_keeps_the_quota_and_leaves_history() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let (inbox, trash) = (store.inbox(a), store.mailbox_id(a, "Trash"));
    for n in 0..5 {
        store.add(a, inbox, &message(n), Flags::NONE);
    }
    let before = store.read(|s| s.account_by_id(a)).unwrap().unwrap();
    let moved = store
        .write(move |tx| tx.move_messages(a, inbox, &[2..=3, 5..=5], trash))
        .unwrap();
    assert_eq!(moved.uids, [(2, 1), (3, 2), (5, 3)]);
    let after = store.read(|s| s.account_by_id(a)).unwrap().unwrap();
    assert_eq!(
        (before.usage, before.messages),
        (after.usage, after.messages)
    );
    assert_eq!(
        store
            .read(|s| s.expunged_since(a, inbox, before.modseq))
            .unwrap(),
        Some(vec![2..=3, 5..=5])
    );
    assert_eq!(store.octets(a, trash, 3), message(4));
    // UIDs are never used again, not even by the newest message (RFC 9051 §2.3.1.1).
    assert_eq!(store.add(a, inbox, &message(9), Flags::NONE).uid, 6);
}

#[test]
fn a_failed_closure_undoes_itself_alone() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    let view = store.view(a, inbox).unwrap();
    let mut waiting = Vec::new();
    for n in 0..60u32 {
        let content = store.content(&message(n));
        let (send, receive) = std::sync::mpsc::channel();
        store.write_then(
            move |tx| {
                let append = Append {
                    content,
                    flags: Flags::NONE,
                    keywords: vec![],
                    received: 0,
                };
                let placed = tx.append(a, inbox, &append)?;
                match n % 3 {
                    0 => Ok(placed),
                    1 => Err(Error::Conflict("wanted".into())),
                    _ => panic!("wanted too"),
                }
            },
            move |result| send.send(result).unwrap(),
        );
        waiting.push((n, receive));
    }
    for (n, receive) in waiting {
        match (n % 3, receive.recv().unwrap()) {
            (0, Ok(_)) | (1, Err(Error::Conflict(_))) | (2, Err(Error::Internal(_))) => {}
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(view.snapshot().len(), 20);
    assert_eq!(
        store
            .read(|s| s.mailbox_by_id(a, inbox))
            .unwrap()
            .unwrap()
            .messages,
        20
    );
}

#[test]
fn unique_ids_from_elsewhere_are_kept_with_their_message() {
    let store = Checked::new();
    let a = store.account("a@example.test");
    let inbox = store.inbox(a);
    for n in 0..4 {
        store.add(a, inbox, &message(n), Flags::NONE);
    }
    let validity = store.read(|s| s.maildrop(a)).unwrap().uid_validity;
    let keep = |uid: u32, id: &str| {
        let id = id.to_owned();
        store.write(move |tx| tx.set_pop3_uid(a, inbox, uid, &id))
    };
    let kept = || {
        let maildrop = store.read(|s| s.maildrop(a)).unwrap();
        let messages = maildrop.messages.into_iter();
        messages
            .map(|m| m.kept_id.map(String::from))
            .collect::<Vec<_>>()
    };
    assert_eq!(keep(2, "0000000753e8a1c2"), Ok(true));
    for (id, why) in [
        ("", "too short"),
        (&"x".repeat(71), "too long"),
        ("a b", "a space"),
        ("é", "not ASCII"),
        ("0000000753e8a1c2", "another message's"),
        (&format!("{validity}.1"), "one of ours"),
    ] {
        assert_eq!(keep(3, id), Ok(false), "{why}");
    }
    assert_eq!(keep(3, &"x".repeat(70)), Ok(true));
    assert_eq!(keep(3, "second"), Ok(false), "a message has one");
    assert_eq!(keep(99, "nobody"), Err(Error::NotFound("message")));
    let expected = [
        None,
        Some("0000000753e8a1c2".into()),
        Some("x".repeat(70)),
        None,
    ];
    assert_eq!(kept(), expected);

    // It goes with the message, also when that leaves for another mailbox, and may come again.
    let trash = store
        .write(move |tx| tx.create_mailbox(a, "Elsewhere", None))
        .unwrap()
        .id;
    store
        .write(move |tx| tx.move_messages(a, inbox, &[2..=2], trash))
        .unwrap();
    store
        .write(move |tx| tx.expunge(a, inbox, &[3..=3], false))
        .unwrap();
    assert_eq!(kept(), [None, None]);
    assert_eq!(keep(4, "0000000753e8a1c2"), Ok(true));
    store.write(move |tx| tx.remove_account(a)).unwrap();
}

#[test]
fn the_size_of_a_surrogate_is_known_with_the_message() {
    let store = Checked::new();
    let (a, b) = (
        store.account("a@example.test"),
        store.account("b@example.test"),
    );
    let international =
        "From: Zoë <zoë@bücher.example>\r\nSubject: café\r\n\r\ncafé\r\n".as_bytes();
    store.send(&[a, b], international);
    store.send(&[a], &message(1));
    let expected = surrogate(international).unwrap();
    assert!(expected.ends_with("\r\n\r\ncafé\r\n".as_bytes()) && expected != international);
    assert_eq!(surrogate(&message(1)), None);
    let sizes = |account| {
        let maildrop = store.read(|s| s.maildrop(account)).unwrap();
        let messages = maildrop.messages.into_iter();
        messages.map(|m| m.surrogate).collect::<Vec<_>>()
    };
    assert_eq!(sizes(a), [Some(expected.len() as u64), None]);
    assert_eq!(sizes(b), [Some(expected.len() as u64)]);
}
