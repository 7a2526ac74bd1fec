//! Annotations of messages: who pays, what comes along, and what is left of them.

mod support;

use proptest::prelude::*;
use std::ops::ControlFlow;
use support::{Checked, message};
use waxwing_store::*;

const PLACES: usize = 4;

#[derive(Debug, Clone)]
enum Op {
    Add {
        to: usize,
    },
    Annotate {
        user: usize,
        place: usize,
        run: (u32, u32),
        shared: bool,
        name: u8,
        value: Option<u16>,
    },
    Transfer {
        user: usize,
        from: usize,
        to: usize,
        run: (u32, u32),
        moves: bool,
        rights: u16,
    },
    Expunge {
        place: usize,
        run: (u32, u32),
    },
    Delete {
        owner: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let run = (1..8u32, 0..8u32).prop_map(|(first, more)| (first, first + more));
    let annotate = (0..2usize, 0..PLACES, run.clone(), any::<bool>(), 0..3u8)
        .prop_flat_map(|fixed| (Just(fixed), proptest::option::of(0..300u16)))
        .prop_map(|((user, place, run, shared, name), value)| Op::Annotate {
            user,
            place,
            run,
            shared,
            name,
            value,
        });
    let transfer = (0..2usize, 0..PLACES, 0..PLACES, run.clone(), any::<bool>()).prop_flat_map(
        |(user, from, to, run, moves)| {
            any::<u16>().prop_map(move |rights| Op::Transfer {
                user,
                from,
                to,
                run,
                moves,
                rights,
            })
        },
    );
    prop_oneof![
        3 => (0..PLACES).prop_map(|to| Op::Add { to }),
        4 => annotate,
        4 => transfer,
        2 => (0..PLACES, run).prop_map(|(place, run)| Op::Expunge { place, run }),
        1 => (0..2usize).prop_map(|owner| Op::Delete { owner }),
    ]
}

struct World {
    store: Checked,
    users: [AccountId; 2],
    added: u32,
}

impl World {
    fn new() -> World {
        let store = Checked::new();
        let users = ["a@example.test", "b@example.test"].map(|address| store.account(address));
        for user in users {
            store
                .write(move |tx| tx.create_mailbox(user, "Other", None))
                .unwrap();
            let limit =
                move |tx: &mut Tx<'_>| tx.set_limit(user, Resource::AnnotationStorage, Some(2_000));
            store.write(limit).unwrap();
        }
        World {
            store,
            users,
            added: 0,
        }
    }

    fn place(&self, place: usize) -> (AccountId, MailboxId) {
        let owner = self.users[place / 2];
        let name = ["INBOX", "Other"][place % 2];
        (owner, self.store.mailbox_id(owner, name))
    }

    /// Limits are among what is tried; anything else that fails is a fault.
    fn run(&mut self, op: Op) {
        let done = match op {
            Op::Add { to } => {
                self.added += 1;
                let (owner, mailbox) = self.place(to);
                // Some of them share a body.
                match self.added % 3 {
                    0 => drop(self.store.send(&self.users, &message(self.added))),
                    _ => drop(
                        self.store
                            .add(owner, mailbox, &message(self.added), Flags::NONE),
                    ),
                }
                Ok(())
            }
            Op::Annotate {
                user,
                place,
                run,
                shared,
                name,
                value,
            } => {
                let (user, place) = (self.users[user], self.place(place));
                let change = AnnotationChange {
                    shared,
                    name: format!("/vendor/{name}"),
                    value: value.map(|size| vec![b'x'; usize::from(size)]),
                };
                self.store
                    .write(move |tx| tx.annotate(user, place, &[run.0..=run.1], &[change], None))
                    .map(drop)
            }
            Op::Transfer {
                user,
                from,
                to,
                run,
                moves,
                rights,
            } => {
                let (user, from, to) = (self.users[user], self.place(from), self.place(to));
                let rights = match rights & 1 {
                    0 => Rights::ALL,
                    _ => Rights(rights & Rights::ALL.0).with(Rights::INSERT),
                };
                let runs = [run.0..=run.1];
                self.store
                    .write(move |tx| match moves {
                        true => tx.move_as(user, from, &runs, to, rights),
                        false => tx.copy_as(user, from, &runs, to, rights),
                    })
                    .map(drop)
            }
            Op::Expunge { place, run } => {
                let (owner, mailbox) = self.place(place);
                self.store
                    .write(move |tx| tx.expunge(owner, mailbox, &[run.0..=run.1], false))
                    .map(drop)
            }
            Op::Delete { owner } => {
                let owner = self.users[owner];
                self.store.write(move |tx| {
                    tx.delete_mailbox(owner, "Other")?;
                    tx.create_mailbox(owner, "Other", None).map(drop)
                })
            }
        };
        assert!(matches!(done, Ok(()) | Err(Error::OverQuota)), "{done:?}");
    }

    /// Nothing that is referenced is gone, nothing is kept that is not, and everybody pays for what is there.
    fn examine(&self) {
        let report = self.store.check(false).unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        for place in 0..PLACES {
            let (owner, mailbox) = self.place(place);
            let mut bodies = Vec::new();
            self.store
                .read(|s| {
                    s.messages(owner, mailbox, &[1..=u32::MAX], Columns::ALL, &mut |row| {
                        bodies.extend(row.body);
                        Ok(ControlFlow::Continue(()))
                    })
                })
                .unwrap();
            for body in bodies {
                self.store.body(&body).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_done_the_accounts_are_right(ops in proptest::collection::vec(op(), 1..50)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.examine();
        let gone = world.users[0];
        world.store.write(move |tx| tx.remove_account(gone)).unwrap();
        // The examination at the end sees what is left.
    }
}

/// More on demand: `PROPTEST_CASES=2000`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(24)
}

#[test]
fn one_change_is_bounded_before_it_is_made() {
    let store = Checked::new();
    let user = store.account("a@example.test");
    let place = (user, store.inbox(user));
    store.add(user, place.1, &message(1), Flags::NONE);
    for _ in 0..11 {
        store
            .write(move |tx| tx.copy(user, place.1, &[1..=u32::MAX], place.1))
            .unwrap();
    }
    let put = |names: usize, size: usize| {
        let change = |name| AnnotationChange {
            shared: false,
            name: format!("/vendor/{name}"),
            value: Some(vec![b'x'; size]),
        };
        let changes: Vec<_> = (0..names).map(change).collect();
        store.write(move |tx| tx.annotate(user, place, &[1..=u32::MAX], &changes, None))
    };
    // 2,048 messages.
    let begun = std::time::Instant::now();
    assert!(matches!(put(64, 0), Err(Error::Limit(_))));
    assert_eq!(put(48, MESSAGE_ANNOTATION_VALUE), Err(Error::OverQuota));
    // One and a half gigabytes, had it all been written before somebody looked.
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    assert_eq!(put(1, 1).unwrap().changed, 2_048);
}
