//! The queue: states, fairness, crash clean-up, references, and what the examination finds.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use support::Checked;
use waxwing_store::*;

const NOW: Timestamp = 1_700_000_000;
const LEASE: Timestamp = NOW + 3_600;

fn envelope(submitter: Option<AccountId>) -> QueuedEnvelope {
    QueuedEnvelope {
        reverse_path: "alice@example.test".into(),
        report_to: None,
        envid: None,
        ret: None,
        body: BodyKind::SevenBit,
        smtputf8: false,
        require_tls: false,
        tls_optional: false,
        priority: 0,
        deliver_by: None,
        release_at: NOW,
        submitter,
        auth: None,
        trace_id: "trace".into(),
        received: NOW,
        warn_at: NOW + 14_400,
        expires: NOW + 432_000,
    }
}

fn to(address: &str) -> NewRecipient {
    NewRecipient {
        address: address.into(),
        domain: address.rsplit_once('@').unwrap().1.into(),
        ..NewRecipient::default()
    }
}

fn enqueue(store: &Store, envelope: QueuedEnvelope, recipients: &[&str]) -> QueueId {
    let content = store
        .ingest(&BodyMeta::default(), &[b"Subject: x\r\n\r\nbody\r\n"])
        .unwrap();
    let recipients: Vec<NewRecipient> = recipients.iter().map(|address| to(address)).collect();
    store
        .write(move |tx| tx.enqueue(&content, &envelope, &recipients))
        .unwrap()
}

fn lease(store: &Store, owner: &'static str, domain: &str, messages: usize, after: i64) -> Taken {
    lease_from(store, owner, domain, messages, after, None)
}

fn lease_from(
    store: &Store,
    owner: &'static str,
    domain: &str,
    messages: usize,
    after: i64,
    from: Option<(i64, i64)>,
) -> Taken {
    let turn = Turn {
        domain: domain.into(),
        after,
        from,
        messages,
    };
    store
        .write(move |tx| tx.lease(owner, LEASE, &turn))
        .unwrap()
}

fn record(outcome: Outcome) -> AttemptRecord {
    AttemptRecord {
        at: NOW,
        peer: Some("mx.example".into()),
        address: Some("192.0.2.1".into()),
        tls: Some("TLSv1.3".into()),
        policy: "opportunistic".into(),
        reply: Some("450 4.2.0 later\nsecond line".into()),
        outcome,
        status: "4.2.0".into(),
        why: "later".into(),
    }
}

fn settle(
    store: &Store,
    owner: &'static str,
    leased: &Leased,
    outcome: Outcome,
    verdict: Verdict,
) -> Result<()> {
    let id = leased.queue;
    let settlements: Vec<Settlement> = leased
        .recipients
        .iter()
        .map(|recipient| Settlement {
            number: recipient.number,
            attempt: Some(record(outcome)),
            verdict,
            warned: Warned::default(),
        })
        .collect();
    store.write(move |tx| tx.settle(owner, id, &settlements))
}

fn all(store: &Store) -> Vec<QueueItem> {
    store
        .read(|snapshot| snapshot.queue_list(&QueueFilter::default(), QueueId(0), 1_000))
        .unwrap()
}

#[test]
fn a_message_is_placed_here_and_queued_in_one_write_or_not_at_all() {
    let store = Checked::new();
    let bob = store.account("bob@example.test");
    let content = store.content(b"Subject: both\r\n\r\nx\r\n");
    let delivery = Delivery {
        content: content.clone(),
        received: NOW,
        recipients: vec![Recipient {
            account: bob,
            target: Target::Inbox,
            flags: Flags::NONE,
        }],
    };
    let (again, recipients) = (delivery.clone(), vec![to("u@x.example")]);
    let refused: Result<()> = store.write(move |tx| {
        tx.deliver(&again)?;
        tx.enqueue(&again.content, &envelope(None), &recipients)?;
        Err(Error::Invalid("the caller changes its mind".into()))
    });
    assert!(refused.is_err());
    assert!(all(&store).is_empty());
    let recipients = vec![to("u@x.example"), to("v@y.example")];
    store
        .write(move |tx| {
            tx.deliver(&delivery)?;
            tx.enqueue(&delivery.content, &envelope(None), &recipients)
        })
        .unwrap();
    let items = all(&store);
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].recipients.len(), 2);
    assert_eq!(items[0].recipients[0].state, QueueState::Waiting);
    // The body has two holders now; `Checked` compares the counts with the rows.
    let taken = lease(&store, "me", "x.example", 10, -1);
    assert_eq!(taken.leased.len(), 1);
    assert_eq!(
        store.body(&taken.leased[0].body).unwrap(),
        b"Subject: both\r\n\r\nx\r\n"
    );
    settle(
        &store,
        "me",
        &taken.leased[0],
        Outcome::Delivered,
        Verdict::Done,
    )
    .unwrap();
    assert_eq!(all(&store)[0].recipients.len(), 1);
    let taken = lease(&store, "me", "y.example", 10, -1);
    settle(
        &store,
        "me",
        &taken.leased[0],
        Outcome::Failed,
        Verdict::Done,
    )
    .unwrap();
    assert!(all(&store).is_empty());
    // The mailbox still has it.
    assert_eq!(store.body(&content.body).unwrap().len(), 20);
}

#[test]
fn the_body_goes_with_the_last_recipient() {
    let store = Checked::new();
    enqueue(&store, envelope(None), &["a@x.example", "b@x.example"]);
    let taken = lease(&store, "me", "x.example", 1, -1);
    let leased = &taken.leased[0];
    assert_eq!(leased.recipients.len(), 2);
    settle(&store, "me", leased, Outcome::Delivered, Verdict::Done).unwrap();
    assert!(matches!(
        store.body(&leased.body),
        Ok(_) | Err(Error::NotFound(_))
    ));
    let bodies = store.check(false).unwrap().bodies;
    assert_eq!(bodies, 0);
    // What was tried stays to be told.
    let attempts = store.read(|s| s.attempts_of_trace("trace")).unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0].record, record(Outcome::Delivered));
}

#[test]
fn leases_are_exclusive_until_settled_or_taken_back() {
    let store = Checked::new();
    enqueue(&store, envelope(None), &["a@x.example"]);
    let taken = lease(&store, "first", "x.example", 5, -1);
    assert_eq!(taken.leased.len(), 1);
    // Somebody else gets nothing, and learns when the lease ends.
    let nothing = lease(&store, "second", "x.example", 5, -1);
    assert!(nothing.leased.is_empty());
    assert_eq!(nothing.next, Some((0, LEASE)));
    let stolen = settle(
        &store,
        "second",
        &taken.leased[0],
        Outcome::Delivered,
        Verdict::Done,
    );
    assert!(matches!(stolen, Err(Error::Conflict(_))));
    // Its end for others; never for its own owner, who still works on it.
    store.clock.0.store(LEASE + 1, Ordering::Relaxed);
    assert!(lease(&store, "first", "x.example", 5, -1).leased.is_empty());
    let expired = lease(&store, "second", "x.example", 5, -1);
    assert_eq!(expired.leased.len(), 1);
    let late = settle(
        &store,
        "first",
        &taken.leased[0],
        Outcome::Delivered,
        Verdict::Done,
    );
    assert!(matches!(late, Err(Error::Conflict(_))));
    // A new process on the folder takes back what all others had.
    assert_eq!(store.write(|tx| tx.take_back("third")).unwrap(), 1);
    assert_eq!(lease(&store, "third", "x.example", 5, -1).leased.len(), 1);
}

#[test]
fn a_crash_leaves_leases_that_are_taken_back_at_once() {
    let store = Checked::new();
    enqueue(&store, envelope(None), &["a@x.example", "b@y.example"]);
    lease(&store, "dead", "x.example", 5, -1);
    let store = store.reopen();
    assert_eq!(store.write(|tx| tx.take_back("new")).unwrap(), 1);
    let destinations = store.read(|s| s.queue_destinations(10)).unwrap();
    assert_eq!(destinations.len(), 2);
    assert!(
        destinations
            .iter()
            .all(|due| due.due == NOW && due.lane == 0)
    );
    assert_eq!(lease(&store, "new", "x.example", 5, -1).leased.len(), 1);
}

#[test]
fn priority_first_then_turn_by_turn_between_senders() {
    let store = Checked::new();
    let (loud, quiet) = (
        store.account("loud@example.test"),
        store.account("quiet@example.test"),
    );
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push((
            loud,
            enqueue(&store, envelope(Some(loud)), &["u@x.example"]),
        ));
    }
    let one = enqueue(&store, envelope(Some(quiet)), &["u@x.example"]);
    let urgent = QueuedEnvelope {
        priority: 5,
        ..envelope(Some(loud))
    };
    let urgent = enqueue(&store, urgent, &["u@x.example"]);
    let mut after = -1;
    let mut order = Vec::new();
    for _ in 0..4 {
        let taken = lease(&store, "me", "x.example", 1, after);
        after = taken.after;
        order.push(taken.leased[0].queue);
    }
    assert_eq!(order[0], urgent);
    assert!(order[1..3].contains(&one), "{order:?} {one:?}");
    let rest = lease(&store, "me", "x.example", 100, after);
    assert_eq!(rest.leased.len(), 18);
    assert_eq!(rest.next, Some((-5, LEASE)).or(rest.next));
}

/// However many senders wait for another time before it, in its own lane and in more urgent ones: who is due gets a turn.
#[test]
fn nobody_is_forgotten_behind_many_senders_who_wait() {
    let store = Checked::new();
    let content = store
        .ingest(&BodyMeta::default(), &[b"Subject: x\r\n\r\nbody\r\n"])
        .unwrap();
    // 300 in each of two lanes, all of them later; of the others, whoever is due stands in front, amid and at the end.
    let queue = move |tx: &mut Tx<'_>, sender: i64, priority, release_at| {
        let envelope = QueuedEnvelope {
            priority,
            release_at,
            ..envelope(Some(AccountId(sender)))
        };
        tx.enqueue(&content, &envelope, &[to("u@x.example")])
    };
    let due = [(0, 150), (-4, 1_001), (-4, 1_290), (-4, 1_450)];
    let mut ids: Vec<QueueId> = store
        .write(move |tx| {
            for sender in 1..=300 {
                queue(tx, sender, 0, NOW + 9_000)?;
                queue(tx, 1_000 + sender, -4, NOW + 9_000)?;
            }
            let due = due.into_iter();
            due.map(|(priority, sender)| queue(tx, sender, priority, NOW))
                .collect()
        })
        .unwrap();
    for begin in [-1, 0, 200, 1_200, 5_000] {
        let (mut after, mut from) = (begin, None);
        let mut taken = Vec::new();
        let mut rounds = 0;
        while taken.len() < ids.len() {
            let some = lease_from(&store, "me", "x.example", 10, after, from);
            (after, from) = (some.after, some.stopped);
            let next = some.next.map(|(_, at)| at);
            assert!(next.is_some_and(|at| at <= NOW + 1), "{begin}: {some:?}");
            taken.extend(some.leased);
            rounds += 1;
            assert!(rounds < 20, "{begin}: {taken:?}");
        }
        assert_eq!(taken[0].queue, ids[0], "the urgent one first");
        let mut all: Vec<QueueId> = taken.iter().map(|leased| leased.queue).collect();
        all.sort();
        ids.sort();
        assert_eq!(all, ids, "{begin}");
        // The end of the pass.
        while let Some(stopped) = from {
            let rest = lease_from(&store, "me", "x.example", 10, after, Some(stopped));
            assert!(rest.leased.is_empty());
            from = rest.stopped;
        }
        store.write(|tx| tx.take_back("another")).unwrap();
    }
    // Their senders are no accounts.
    let everything = QueueFilter::default();
    store
        .write(move |tx| tx.change_queue(&everything, QueueChange::Remove, None, 1_000))
        .unwrap();
}

#[test]
fn deferred_waits_for_its_time_and_keeps_its_history() {
    let store = Checked::new();
    let id = enqueue(&store, envelope(None), &["a@x.example"]);
    for round in 1..=30_i64 {
        let taken = lease(&store, "me", "x.example", 5, -1);
        assert_eq!(taken.leased[0].recipients[0].attempts as i64, round - 1);
        let due = NOW + 300 * round;
        settle(
            &store,
            "me",
            &taken.leased[0],
            Outcome::Deferred,
            Verdict::Later(due),
        )
        .unwrap();
        let nothing = lease(&store, "me", "x.example", 5, -1);
        assert!(nothing.leased.is_empty());
        assert_eq!(nothing.next, Some((0, due)));
        store.clock.0.store(due, Ordering::Relaxed);
    }
    let item = &all(&store)[0];
    let last = item.recipients[0].last.as_ref().unwrap();
    assert_eq!(item.recipients[0].attempts, 30);
    assert_eq!(last.why, "450 4.2.0 later\nsecond line");
    assert_eq!(last.peer.as_deref(), Some("mx.example"));
    // The newest of them only.
    assert_eq!(store.read(|s| s.queue_attempts(id)).unwrap().len(), 20);
}

#[test]
fn held_released_retried_removed() {
    let store = Checked::new();
    let first = enqueue(&store, envelope(None), &["a@x.example", "a@y.example"]);
    let other = QueuedEnvelope {
        reverse_path: "eve@example.test".into(),
        ..envelope(None)
    };
    let second = enqueue(&store, other, &["b@x.example"]);
    let change = |filter: QueueFilter, change: QueueChange| {
        store
            .write(move |tx| tx.change_queue(&filter, change, None, 100))
            .unwrap()
            .0
    };
    let of_domain = QueueFilter {
        domain: Some("x.example".into()),
        ..QueueFilter::default()
    };
    let of_sender = QueueFilter {
        sender: Some("eve@example.test".into()),
        ..QueueFilter::default()
    };
    assert_eq!(change(of_domain.clone(), QueueChange::Hold), 2);
    assert_eq!(change(of_domain.clone(), QueueChange::Hold), 0);
    let nothing = lease(&store, "me", "x.example", 10, -1);
    assert!(nothing.leased.is_empty() && nothing.next.is_none());
    assert_eq!(change(of_sender.clone(), QueueChange::Release), 1);
    let taken = lease(&store, "me", "x.example", 10, -1);
    assert_eq!(taken.leased.len(), 1);
    assert_eq!(taken.leased[0].queue, second);
    // In flight: held or removed once it has failed.
    assert_eq!(change(of_sender.clone(), QueueChange::Hold), 1);
    settle(
        &store,
        "me",
        &taken.leased[0],
        Outcome::Deferred,
        Verdict::Later(NOW + 1),
    )
    .unwrap();
    assert_eq!(change(of_sender.clone(), QueueChange::Retry), 1);
    let taken = lease(&store, "me", "x.example", 10, -1);
    assert_eq!(change(of_sender, QueueChange::Remove), 1);
    settle(
        &store,
        "me",
        &taken.leased[0],
        Outcome::Deferred,
        Verdict::Later(NOW + 1),
    )
    .unwrap();
    let attempts = store.read(|s| s.queue_attempts(second)).unwrap();
    let outcomes: Vec<Outcome> = attempts.iter().map(|a| a.record.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Deferred, Outcome::Deferred, Outcome::Removed]
    );
    // A delivered one is delivered, whatever was asked for meanwhile.
    let message = QueueFilter {
        message: Some(first),
        ..QueueFilter::default()
    };
    assert_eq!(change(message, QueueChange::Remove), 2);
    assert!(all(&store).is_empty());
}

#[test]
fn many_are_changed_in_steps() {
    let store = Checked::new();
    for _ in 0..25 {
        enqueue(&store, envelope(None), &["a@x.example", "b@y.example"]);
    }
    let (mut changed, mut after, mut rounds) = (0, None, 0);
    loop {
        let filter = QueueFilter::default();
        let (some, next) = store
            .write(move |tx| tx.change_queue(&filter, QueueChange::Remove, after, 7))
            .unwrap();
        changed += some;
        rounds += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((changed, rounds), (50, 8));
    assert!(all(&store).is_empty());
}

#[test]
fn time_asks_for_attention() {
    let store = Checked::new();
    let deadline = QueuedEnvelope {
        deliver_by: Some(DeliverBy {
            at: NOW + 100,
            mode: DeliverByMode::Notify,
            trace: false,
        }),
        ..envelope(None)
    };
    let id = enqueue(&store, deadline, &["a@x.example", "b@y.example"]);
    let next = || store.read(|s| s.queue_attention()).unwrap();
    assert_eq!(next(), Some(NOW + 100));
    let attend = || {
        store
            .write(|tx| tx.lease_attention("me", LEASE, 10))
            .unwrap()
    };
    assert!(attend().is_empty());
    let flying = lease(&store, "me", "y.example", 1, -1);
    store.clock.0.store(NOW + 100, Ordering::Relaxed);
    let leased = attend();
    assert_eq!(leased.len(), 1);
    // Not the one in flight.
    assert_eq!(leased[0].recipients.len(), 1);
    let settlements = vec![Settlement {
        number: 1,
        attempt: None,
        verdict: Verdict::Later(leased[0].recipients[0].due),
        warned: Warned {
            delay: false,
            deadline: true,
        },
    }];
    store
        .write(move |tx| tx.settle_attention("me", id, &settlements))
        .unwrap();
    assert_eq!(next(), Some(NOW + 14_400));
    let again = lease(&store, "me", "x.example", 1, -1);
    assert!(again.leased[0].recipients[0].warned.deadline);
    assert_eq!(again.leased[0].recipients[0].attempts, 0);
    // Both are in flight at the next time: it is looked at again later.
    store.clock.0.store(NOW + 14_400, Ordering::Relaxed);
    assert!(attend().is_empty());
    assert_eq!(next(), Some(NOW + 432_000));
    drop(flying);
}

/// A28: what the peer says is a value, whatever it looks like.
#[test]
fn a28_queue_record_injection() {
    let store = Checked::new();
    let nasty = "a'; DROP TABLE queue_message;--\n\r\n0\tT<b@x.example>\u{0}\u{1f}\"\\,{}";
    let hostile = QueuedEnvelope {
        reverse_path: format!("\"{nasty}\"@example.test"),
        envid: Some(nasty.into()),
        auth: Some(nasty.into()),
        trace_id: nasty.into(),
        ..envelope(None)
    };
    let recipient = NewRecipient {
        address: format!("\"{nasty}\"@x.example"),
        original: Some(format!("rfc822;{nasty}")),
        domain: "x.example".into(),
        notify: NotifyOn {
            success: true,
            delay: true,
            ..NotifyOn::default()
        },
        rrvs: Some(ValidSince {
            at: -1,
            anyway: true,
        }),
    };
    let content = store.content(b"x");
    let (e, r) = (hostile.clone(), vec![recipient.clone()]);
    store.write(move |tx| tx.enqueue(&content, &e, &r)).unwrap();
    let taken = lease(&store, "me", "x.example", 10, -1);
    assert_eq!(taken.leased.len(), 1, "no second record");
    let leased = &taken.leased[0];
    assert_eq!(leased.envelope, hostile);
    let got = &leased.recipients[0];
    assert_eq!(
        (&got.address, &got.original, got.notify, got.rrvs),
        (
            &recipient.address,
            &recipient.original,
            recipient.notify,
            recipient.rrvs
        )
    );
    let id = leased.queue;
    let mut attempt = record(Outcome::Deferred);
    attempt.reply = Some(nasty.into());
    let settlement = Settlement {
        number: 1,
        attempt: Some(attempt.clone()),
        verdict: Verdict::Later(NOW + 1),
        warned: Warned::default(),
    };
    store
        .write(move |tx| tx.settle("me", id, &[settlement]))
        .unwrap();
    let attempts = store.read(|s| s.attempts_of_trace(nasty)).unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].record, attempt);
}

#[test]
fn an_account_that_goes_leaves_its_mail_under_way() {
    let store = Checked::new();
    let alice = store.account("alice@example.test");
    enqueue(&store, envelope(Some(alice)), &["a@x.example"]);
    let known = vec!["a@x.example".to_owned()];
    store.write(move |tx| tx.count_sent(alice, &known)).unwrap();
    let own = Allowance {
        messages: Some(1),
        strangers: None,
    };
    store.write(move |tx| tx.set_allowance(alice, own)).unwrap();
    store.write(move |tx| tx.remove_account(alice)).unwrap();
    let taken = lease(&store, "me", "x.example", 10, -1);
    assert_eq!(taken.leased[0].envelope.submitter, None);
}

#[test]
fn allowances_count_a_day_and_know_strangers() {
    let store = Checked::new();
    let alice = store.account("alice@example.test");
    let send = |to: &[&str]| {
        let to: Vec<String> = to.iter().map(|t| (*t).to_owned()).collect();
        store.write(move |tx| tx.count_sent(alice, &to)).unwrap();
    };
    let sent = |now| store.read(|s| s.sent(alice, now)).unwrap();
    assert_eq!(sent(NOW), Sent::default());
    send(&["a@x.example", "b@x.example"]);
    send(&["a@x.example"]);
    let now = sent(NOW);
    assert_eq!((now.messages, now.strangers), (2, 2));
    assert!(now.until > NOW && now.until <= NOW + 86_400);
    assert_eq!(sent(now.until - 1).messages, 2);
    assert_eq!(sent(now.until), Sent::default());
    assert!(!store.read(|s| s.is_stranger(alice, "a@x.example")).unwrap());
    assert!(store.read(|s| s.is_stranger(alice, "c@x.example")).unwrap());
    // Known for ever, counted for a day.
    store.clock.0.store(NOW + 2 * 86_400, Ordering::Relaxed);
    send(&["a@x.example"]);
    let later = sent(NOW + 2 * 86_400);
    assert_eq!((later.messages, later.strangers), (1, 0));
}

#[test]
fn commits_tell_what_became_due() {
    struct Teller(mpsc::Sender<()>);
    impl Notify for Teller {
        fn notify(&self) {
            let _ = self.0.send(());
        }
    }
    let store = Checked::new();
    let (sender, told) = mpsc::channel();
    let watch = store.watch_queue(Arc::new(Teller(sender)));
    let id = enqueue(
        &store,
        envelope(None),
        &["a@x.example", "b@x.example", "c@y.example"],
    );
    told.recv_timeout(Duration::from_secs(30)).unwrap();
    let mut due = watch.take();
    due.sort_by(|a, b| a.domain.cmp(&b.domain));
    assert_eq!(due.len(), 2);
    assert_eq!(
        (due[0].domain.as_str(), due[0].due, due[0].forced),
        ("x.example", NOW, false)
    );
    assert!(watch.take().is_empty());
    // What does not commit is not told.
    let content = store.content(b"x");
    let refused: Result<()> = store.write(move |tx| {
        tx.enqueue(&content, &envelope(None), &[to("z@z.example")])?;
        Err(Error::Invalid("no".into()))
    });
    assert!(refused.is_err() && watch.take().is_empty());
    let filter = QueueFilter {
        message: Some(id),
        ..QueueFilter::default()
    };
    store
        .write(move |tx| tx.change_queue(&filter, QueueChange::Retry, None, 10))
        .unwrap();
    assert!(watch.take().iter().all(|due| due.forced));
}

/// Faults that no code of ours makes, each found and mended.
#[test]
fn check_finds_and_mends_the_queue() {
    let faults = [
        "UPDATE queue_recipient SET lane = 7",
        "UPDATE queue_recipient SET state = 1",
        "UPDATE queue_recipient SET state = 5, wanted = 9",
        "UPDATE queue_recipient SET sender = 99",
        "UPDATE queue_message SET submitter = 99",
        "DELETE FROM queue_recipient",
        "DELETE FROM queue_message",
        "UPDATE body SET refs = 7",
        "DELETE FROM body",
    ];
    for fault in faults {
        let store = Checked::new();
        enqueue(&store, envelope(None), &["a@x.example", "b@y.example"]);
        let (store, folder) = store.unchecked();
        store.close();
        drop(store);
        let database = rusqlite::Connection::open(folder.path().join("waxwing.db")).unwrap();
        assert!(database.execute(fault, []).unwrap() > 0, "{fault}");
        drop(database);
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let found = store.check(false).unwrap().findings;
        assert!(!found.is_empty(), "{fault}");
        let mended = store.check(true).unwrap().findings;
        assert!(mended.iter().all(|f| f.repaired), "{fault}: {mended:?}");
        assert_eq!(store.check(false).unwrap().findings, [], "{fault}");
        store.close();
    }
}

/// Going back to a copy sends nothing twice: what it has queued waits for a decision.
#[test]
fn the_queue_of_a_backup_is_held() {
    let store = Checked::new();
    enqueue(&store, envelope(None), &["a@x.example"]);
    let target = tempfile::tempdir().unwrap();
    store.backup(target.path()).unwrap();
    let copy = Checked::at(Arc::new(target), |_| {});
    assert_eq!(all(&copy)[0].recipients[0].state, QueueState::Held);
    assert!(lease(&copy, "me", "x.example", 10, -1).leased.is_empty());
    let filter = QueueFilter::default();
    let released = copy
        .write(move |tx| tx.change_queue(&filter, QueueChange::Release, None, 10))
        .unwrap();
    assert_eq!(released, (1, None));
    let taken = lease(&copy, "me", "x.example", 10, -1);
    assert_eq!(
        copy.body(&taken.leased[0].body).unwrap(),
        b"Subject: x\r\n\r\nbody\r\n"
    );
}

/// Housekeeping moves bodies that only the queue holds.
#[test]
fn queued_bodies_survive_housekeeping() {
    let store = Checked::with(|options| options.pack_size = 4_096);
    let alice = store.account("alice@example.test");
    let inbox = store.inbox(alice);
    let id = enqueue(&store, envelope(None), &["a@x.example"]);
    for _ in 0..20 {
        store.add(alice, inbox, &[b'x'; 1_000], Flags::NONE);
    }
    store
        .write(move |tx| tx.expunge(alice, inbox, &[1..=u32::MAX], false).map(drop))
        .unwrap();
    store.clock.0.store(NOW + 30 * 86_400, Ordering::Relaxed);
    assert!(store.maintain().unwrap() > 0);
    let taken = lease(&store, "me", "x.example", 10, -1);
    assert_eq!(taken.leased[0].queue, id);
    assert_eq!(
        store.body(&taken.leased[0].body).unwrap(),
        b"Subject: x\r\n\r\nbody\r\n"
    );
}

/// An attempt that delivered here and did not live to say so is not repeated.
#[test]
fn what_was_placed_here_is_known_after_a_crash() {
    let store = Checked::new();
    let id = enqueue(
        &store,
        envelope(None),
        &["a@here.example", "b@here.example"],
    );
    lease(&store, "one", "here.example", 10, -1);
    store
        .write(move |tx| tx.set_queue_placed(id, "a@here.example"))
        .unwrap();
    let placed = |address: &'static str| {
        store
            .write(move |tx| tx.is_queue_placed(id, address))
            .unwrap()
    };
    assert!(placed("a@here.example"));
    assert!(!placed("b@here.example"));
}
