//! Random operations on a store and on a simple model in memory: after each they agree, and a client that only applies what
//! the views' differences say has the same picture as one that reads afresh.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use support::{Checked, delivery, message};
use waxwing_store::*;

const NAMES: [&str; 7] = ["INBOX", "Archive", "a", "a/b", "a/b/c", "b", "INBOX/x"];
const KEYWORDS: [&str; 4] = ["$Forwarded", "work", "$Junk", "x"];
const QUOTA: u64 = 3_000;

#[derive(Debug, Clone)]
enum Op {
    Deliver {
        first: bool,
        second: bool,
    },
    Append {
        account: usize,
        name: usize,
        flags: u8,
        keywords: Vec<usize>,
    },
    Store {
        account: usize,
        name: usize,
        runs: Vec<(u32, u32)>,
        mode: u8,
        flags: u8,
        keywords: Vec<usize>,
        conditional: bool,
    },
    Copy {
        account: usize,
        from: usize,
        to: usize,
        runs: Vec<(u32, u32)>,
    },
    Move {
        account: usize,
        from: usize,
        to: usize,
        runs: Vec<(u32, u32)>,
    },
    Expunge {
        account: usize,
        name: usize,
        runs: Vec<(u32, u32)>,
        deleted_only: bool,
    },
    Create {
        account: usize,
        name: usize,
    },
    Delete {
        account: usize,
        name: usize,
    },
    Rename {
        account: usize,
        from: usize,
        to: usize,
    },
    Subscribe {
        account: usize,
        name: usize,
        on: bool,
    },
    Sync,
    Maintain,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let account = 0..2usize;
    let name = prop_oneof![3 => Just(0usize), 2 => 0..NAMES.len()];
    let run = (1..14u32, 0..5u32).prop_map(|(a, n)| (a, a + n));
    let runs = prop_oneof![
        proptest::collection::vec(run, 1..4),
        Just(vec![(1, u32::MAX)])
    ];
    let keywords = proptest::collection::vec(0..KEYWORDS.len(), 0..3);
    prop_oneof![
        6 => (any::<bool>(), any::<bool>()).prop_map(|(first, second)| Op::Deliver { first, second }),
        4 => (account.clone(), name.clone(), 0..32u8, keywords.clone())
            .prop_map(|(account, name, flags, keywords)| Op::Append { account, name, flags, keywords }),
        6 => (account.clone(), name.clone(), runs.clone(), 0..3u8, 0..32u8, keywords, any::<bool>()).prop_map(
            |(account, name, runs, mode, flags, keywords, conditional)| Op::Store { account, name, runs, mode, flags, keywords, conditional }
        ),
        3 => (account.clone(), name.clone(), name.clone(), runs.clone())
            .prop_map(|(account, from, to, runs)| Op::Copy { account, from, to, runs }),
        3 => (account.clone(), name.clone(), name.clone(), runs.clone())
            .prop_map(|(account, from, to, runs)| Op::Move { account, from, to, runs }),
        4 => (account.clone(), name.clone(), runs, any::<bool>())
            .prop_map(|(account, name, runs, deleted_only)| Op::Expunge { account, name, runs, deleted_only }),
        2 => (account.clone(), 0..NAMES.len()).prop_map(|(account, name)| Op::Create { account, name }),
        1 => (account.clone(), 0..NAMES.len()).prop_map(|(account, name)| Op::Delete { account, name }),
        1 => (account.clone(), 0..NAMES.len(), 0..NAMES.len()).prop_map(|(account, from, to)| Op::Rename { account, from, to }),
        1 => (account, 0..NAMES.len(), any::<bool>()).prop_map(|(account, name, on)| Op::Subscribe { account, name, on }),
        4 => Just(Op::Sync),
        1 => Just(Op::Maintain),
        1 => Just(Op::Reopen),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Message {
    flags: u8,
    keywords: BTreeSet<&'static str>,
    modseq: u64,
    octets: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Box_ {
    uid_next: u32,
    messages: BTreeMap<u32, Message>,
}

#[derive(Debug, Default)]
struct Person {
    id: Option<AccountId>,
    boxes: BTreeMap<String, Box_>,
    subscribed: BTreeSet<String>,
    validities: BTreeSet<u32>,
    seen_validity: BTreeMap<i64, u32>,
}

impl Person {
    fn usage(&self) -> u64 {
        self.boxes
            .values()
            .flat_map(|b| b.messages.values())
            .map(|m| m.octets.len() as u64)
            .sum()
    }

    fn add(&mut self, name: &str, message: Message) -> u32 {
        let b = self.boxes.get_mut(name).unwrap();
        let uid = b.uid_next.max(1);
        b.uid_next = uid + 1;
        b.messages.insert(uid, message);
        uid
    }

    fn create(&mut self, name: &str) {
        for (end, _) in name.match_indices('/') {
            self.boxes.entry(name[..end].to_owned()).or_default();
        }
        self.boxes.insert(name.to_owned(), Box_::default());
    }
}

/// What a client knows that never reads, only listens.
struct Client {
    view: Arc<View>,
    last: Arc<ViewSnapshot>,
    picture: Vec<Entry>,
    /// A second client that is never told of expunges, like one in the middle of FETCH.
    held: Arc<ViewSnapshot>,
}

struct World {
    store: Option<Checked>,
    people: Vec<Person>,
    clients: BTreeMap<(usize, String), Client>,
    count: u32,
}

fn runs_of(runs: &[(u32, u32)]) -> Vec<UidRange> {
    runs.iter().map(|(a, b)| *a..=*b).collect()
}

fn covered(runs: &[(u32, u32)], uid: u32) -> bool {
    runs.iter().any(|(a, b)| (*a..=*b).contains(&uid))
}

impl World {
    fn new() -> World {
        let store = Checked::with(|options| options.pack_size = 4096);
        let mut people = Vec::new();
        for address in ["one@example.test", "two@example.test"] {
            let id = store.account(address);
            store
                .write(move |tx| tx.set_quota(id, Some(QUOTA)))
                .unwrap();
            let mut person = Person {
                id: Some(id),
                ..Person::default()
            };
            for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
                person.create(name);
                person.subscribed.insert(name.into());
            }
            people.push(person);
        }
        World {
            store: Some(store),
            people,
            clients: BTreeMap::new(),
            count: 0,
        }
    }

    fn store(&self) -> &Checked {
        self.store.as_ref().unwrap()
    }

    fn id(&self, account: usize) -> AccountId {
        self.people[account].id.unwrap()
    }

    fn mailbox(&self, account: usize, name: &str) -> Option<Mailbox> {
        let id = self.id(account);
        let found = self.store().read(|s| s.mailbox(id, name)).unwrap();
        assert_eq!(
            found.is_some(),
            self.people[account].boxes.contains_key(name),
            "{name}"
        );
        found
    }

    fn next_message(&mut self) -> Vec<u8> {
        self.count += 1;
        message(self.count)
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Deliver { first, second } => self.deliver(first, second),
            Op::Append {
                account,
                name,
                flags,
                keywords,
            } => self.append(account, NAMES[name], flags, &keywords),
            Op::Store {
                account,
                name,
                runs,
                mode,
                flags,
                keywords,
                conditional,
            } => {
                self.store_flags(
                    account,
                    NAMES[name],
                    &runs,
                    mode,
                    flags,
                    &keywords,
                    conditional,
                );
            }
            Op::Copy {
                account,
                from,
                to,
                runs,
            } => self.copy(account, NAMES[from], NAMES[to], &runs),
            Op::Move {
                account,
                from,
                to,
                runs,
            } => self.move_(account, NAMES[from], NAMES[to], &runs),
            Op::Expunge {
                account,
                name,
                runs,
                deleted_only,
            } => self.expunge(account, NAMES[name], &runs, deleted_only),
            Op::Create { account, name } => self.create(account, NAMES[name]),
            Op::Delete { account, name } => self.delete(account, NAMES[name]),
            Op::Rename { account, from, to } => self.rename(account, NAMES[from], NAMES[to]),
            Op::Subscribe { account, name, on } => {
                let id = self.id(account);
                self.store()
                    .write(move |tx| tx.subscribe(id, NAMES[name], on))
                    .unwrap();
                let names = &mut self.people[account].subscribed;
                if on {
                    names.insert(NAMES[name].into())
                } else {
                    names.remove(NAMES[name])
                };
            }
            Op::Sync => self.sync(),
            Op::Maintain => {
                self.store().clock.0.fetch_add(7_200, Ordering::Relaxed);
                self.store().maintain().unwrap();
            }
            Op::Reopen => {
                self.sync();
                self.clients.clear();
                self.store = self.store.take().map(Checked::reopen);
            }
        }
        self.compare();
    }

    fn deliver(&mut self, first: bool, second: bool) {
        let octets = self.next_message();
        let accounts: Vec<usize> = [(0, first), (1, second)]
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(n, _)| n)
            .collect();
        let ids: Vec<AccountId> = accounts.iter().map(|a| self.id(*a)).collect();
        let delivery = delivery(self.store().content(&octets), &ids);
        let results = self.store().write(move |tx| tx.deliver(&delivery)).unwrap();
        for (account, result) in accounts.into_iter().zip(results) {
            let fits = self.people[account].usage() + octets.len() as u64 <= QUOTA;
            match result {
                Ok(placed) => {
                    assert!(fits);
                    let new = Message {
                        flags: 0,
                        keywords: BTreeSet::new(),
                        modseq: placed.modseq,
                        octets: octets.clone(),
                    };
                    assert_eq!(self.people[account].add("INBOX", new), placed.uid);
                }
                Err(error) => assert_eq!((error, fits), (Error::OverQuota, false)),
            }
        }
    }

    fn append(&mut self, account: usize, name: &str, flags: u8, keywords: &[usize]) {
        let Some(mailbox) = self.mailbox(account, name) else {
            return;
        };
        let octets = self.next_message();
        let names: Vec<String> = keywords.iter().map(|k| KEYWORDS[*k].to_owned()).collect();
        let append = Append {
            content: self.store().content(&octets),
            flags: Flags(flags),
            keywords: names,
            received: 5,
        };
        let id = self.id(account);
        let fits = self.people[account].usage() + octets.len() as u64 <= QUOTA;
        match self
            .store()
            .write(move |tx| tx.append(id, mailbox.id, &append))
        {
            Ok(placed) => {
                assert!(fits);
                let keywords = keywords.iter().map(|k| KEYWORDS[*k]).collect();
                let uid = self.people[account].add(
                    name,
                    Message {
                        flags,
                        keywords,
                        modseq: placed.modseq,
                        octets,
                    },
                );
                assert_eq!(uid, placed.uid);
            }
            Err(error) => assert_eq!((error, fits), (Error::OverQuota, false)),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn store_flags(
        &mut self,
        account: usize,
        name: &str,
        runs: &[(u32, u32)],
        mode: u8,
        flags: u8,
        keywords: &[usize],
        conditional: bool,
    ) {
        let Some(mailbox) = self.mailbox(account, name) else {
            return;
        };
        let id = self.id(account);
        let since = conditional.then(|| mailbox.highest_modseq.saturating_sub(2));
        let change = FlagChange {
            mode: [FlagMode::Add, FlagMode::Remove, FlagMode::Replace][usize::from(mode)],
            flags: Flags(flags),
            keywords: keywords.iter().map(|k| KEYWORDS[*k].to_owned()).collect(),
            unchanged_since: since,
        };
        let uids = runs_of(runs);
        let stored = self
            .store()
            .write(move |tx| tx.store_flags(id, mailbox.id, &uids, &change))
            .unwrap();
        let named: BTreeSet<&'static str> = keywords.iter().map(|k| KEYWORDS[*k]).collect();
        let (mut changed, mut modified) = (0, Vec::new());
        for (uid, m) in &mut self.people[account].boxes.get_mut(name).unwrap().messages {
            if !covered(runs, *uid) {
                continue;
            }
            if since.is_some_and(|since| m.modseq > since) {
                modified.push(*uid);
                continue;
            }
            let (new, words) = match mode {
                0 => (m.flags | flags, &m.keywords | &named),
                1 => (m.flags & !flags, &m.keywords - &named),
                _ => (flags, named.clone()),
            };
            if (new, &words) != (m.flags, &m.keywords) {
                (m.flags, m.keywords, m.modseq) = (new, words, stored.modseq.unwrap());
                changed += 1;
            }
        }
        assert_eq!((stored.changed, stored.modified), (changed, modified));
        assert_eq!(stored.modseq.is_some(), changed > 0);
    }

    fn copy(&mut self, account: usize, from: &str, to: &str, runs: &[(u32, u32)]) {
        let (Some(source), Some(target)) = (self.mailbox(account, from), self.mailbox(account, to))
        else {
            return;
        };
        let (id, uids) = (self.id(account), runs_of(runs));
        let chosen: Vec<(u32, Message)> = self.people[account].boxes[from]
            .messages
            .iter()
            .filter(|(u, _)| covered(runs, **u))
            .map(|(u, m)| (*u, m.clone()))
            .collect();
        let fits = self.people[account].usage()
            + chosen
                .iter()
                .map(|(_, m)| m.octets.len() as u64)
                .sum::<u64>()
            <= QUOTA;
        match self
            .store()
            .write(move |tx| tx.copy(id, source.id, &uids, target.id))
        {
            Ok(copied) => {
                assert!(fits || chosen.is_empty());
                let modseq = self.mailbox(account, to).unwrap().highest_modseq;
                let pairs: Vec<(u32, u32)> = chosen
                    .into_iter()
                    .map(|(u, m)| (u, self.people[account].add(to, Message { modseq, ..m })))
                    .collect();
                assert_eq!(copied.uids, pairs);
            }
            Err(error) => assert_eq!((error, fits), (Error::OverQuota, false)),
        }
    }

    fn move_(&mut self, account: usize, from: &str, to: &str, runs: &[(u32, u32)]) {
        let (Some(source), Some(target)) = (self.mailbox(account, from), self.mailbox(account, to))
        else {
            return;
        };
        let (id, uids) = (self.id(account), runs_of(runs));
        let moved = self
            .store()
            .write(move |tx| tx.move_messages(id, source.id, &uids, target.id))
            .unwrap();
        self.moved(account, from, to, runs, &moved.uids);
    }

    fn moved(
        &mut self,
        account: usize,
        from: &str,
        to: &str,
        runs: &[(u32, u32)],
        expected: &[(u32, u32)],
    ) {
        let modseq = self.mailbox(account, to).unwrap().highest_modseq;
        let source = self.people[account].boxes.get_mut(from).unwrap();
        let chosen: Vec<u32> = source
            .messages
            .keys()
            .copied()
            .filter(|u| covered(runs, *u))
            .collect();
        let taken: Vec<(u32, Message)> = chosen
            .iter()
            .map(|u| (*u, source.messages.remove(u).unwrap()))
            .collect();
        let pairs: Vec<(u32, u32)> = taken
            .into_iter()
            .map(|(u, m)| (u, self.people[account].add(to, Message { modseq, ..m })))
            .collect();
        assert_eq!(expected, pairs);
    }

    fn expunge(&mut self, account: usize, name: &str, runs: &[(u32, u32)], deleted_only: bool) {
        let Some(mailbox) = self.mailbox(account, name) else {
            return;
        };
        let (id, uids) = (self.id(account), runs_of(runs));
        let gone = self
            .store()
            .write(move |tx| tx.expunge(id, mailbox.id, &uids, deleted_only))
            .unwrap();
        let messages = &mut self.people[account].boxes.get_mut(name).unwrap().messages;
        let expected: Vec<u32> = messages
            .iter()
            .filter(|(u, m)| {
                covered(runs, **u) && (!deleted_only || m.flags & Flags::DELETED.0 != 0)
            })
            .map(|(u, _)| *u)
            .collect();
        assert_eq!(gone, expected);
        messages.retain(|u, _| !gone.contains(u));
        let history = self
            .store()
            .read(|s| s.expunged_since(id, mailbox.id, mailbox.highest_modseq))
            .unwrap();
        let history: Vec<u32> = history.into_iter().flatten().flatten().collect();
        assert_eq!(history, gone);
    }

    fn create(&mut self, account: usize, name: &str) {
        let (id, name_) = (self.id(account), name.to_owned());
        let result = self
            .store()
            .write(move |tx| tx.create_mailbox(id, &name_, None));
        if self.people[account].boxes.contains_key(name) {
            assert_eq!(result, Err(Error::Exists("mailbox")));
        } else {
            result.unwrap();
            self.people[account].create(name);
        }
    }

    fn delete(&mut self, account: usize, name: &str) {
        let (id, name_) = (self.id(account), name.to_owned());
        let result = self.store().write(move |tx| tx.delete_mailbox(id, &name_));
        if name == "INBOX" {
            assert!(matches!(result, Err(Error::Conflict(_))));
        } else if self.people[account].boxes.remove(name).is_some() {
            result.unwrap();
            if let Some(client) = self.clients.remove(&(account, name.to_owned())) {
                assert!(client.view.snapshot().gone());
                assert!(ViewSnapshot::diff(&client.last, &client.view.snapshot()).gone);
            }
        } else {
            assert_eq!(result, Err(Error::NotFound("mailbox")));
        }
    }

    fn rename(&mut self, account: usize, from: &str, to: &str) {
        let (id, from_, to_) = (self.id(account), from.to_owned(), to.to_owned());
        let result = self
            .store()
            .write(move |tx| tx.rename_mailbox(id, &from_, &to_));
        let below = format!("{from}/");
        let exists = self.people[account]
            .boxes
            .keys()
            .any(|n| *n == from || n.starts_with(&below));
        if self.people[account].boxes.contains_key(to) {
            assert_eq!(result, Err(Error::Exists("mailbox")));
        } else if from == "INBOX" {
            result.unwrap();
            self.people[account].create(to);
            let all = [(1, u32::MAX)];
            let count = self.people[account].boxes["INBOX"]
                .messages
                .keys()
                .copied()
                .zip(1..)
                .collect::<Vec<_>>();
            self.moved(account, "INBOX", to, &all, &count);
        } else if to.starts_with(&below) {
            assert!(matches!(result, Err(Error::Conflict(_))));
        } else if !exists {
            assert_eq!(result, Err(Error::NotFound("mailbox")));
        } else {
            match result {
                Ok(()) => {}
                Err(Error::Exists(_)) => return,
                Err(other) => panic!("{other}"),
            }
            let person = &mut self.people[account];
            let moving: Vec<String> = person
                .boxes
                .keys()
                .filter(|n| **n == from || n.starts_with(&below))
                .cloned()
                .collect();
            let taken: Vec<(String, Box_)> = moving
                .iter()
                .map(|n| (n.replacen(from, to, 1), person.boxes.remove(n).unwrap()))
                .collect();
            for (end, _) in to.match_indices('/') {
                person.boxes.entry(to[..end].to_owned()).or_default();
            }
            person.boxes.extend(taken);
            let old: Vec<(usize, String)> = self
                .clients
                .keys()
                .filter(|(a, n)| *a == account && moving.contains(n))
                .cloned()
                .collect();
            for key in old {
                let client = self.clients.remove(&key).unwrap();
                self.clients
                    .insert((account, key.1.replacen(from, to, 1)), client);
            }
        }
    }

    /// Every client hears what happened, and then knows what is there.
    fn sync(&mut self) {
        for client in self.clients.values_mut() {
            let new = client.view.snapshot();
            let diff = ViewSnapshot::diff(&client.last, &new);
            let before = client.picture.len() as u32;
            for gone in &diff.expunged {
                assert_eq!(client.picture.remove(gone.seq as usize - 1).uid, gone.uid);
            }
            for (seq, entry) in &diff.changed {
                let known = &mut client.picture[*seq as usize - 1];
                assert_eq!(known.uid, entry.uid);
                assert_ne!(known, entry);
                *known = *entry;
            }
            if let Some(new_seqs) = diff.new.clone() {
                assert_eq!(*new_seqs.start() as usize, client.picture.len() + 1);
                client.picture.extend(
                    new.range(*new_seqs.start(), *new_seqs.end())
                        .map(|(_, e)| e),
                );
            }
            let fresh: Vec<Entry> = new.iter().map(|(_, e)| e).collect();
            assert_eq!(client.picture, fresh, "from {before} by {diff:?}");
            // Told of all but expunges: nothing that was there moves, and later the rest can still be told.
            let kept = ViewSnapshot::keeping_expunged(&client.held, &new);
            let partial = ViewSnapshot::diff(&client.held, &kept);
            assert!(partial.expunged.is_empty());
            for (seq, entry) in client.held.iter() {
                assert_eq!(kept.uid_at(seq), Some(entry.uid));
            }
            let rest: BTreeSet<u32> = ViewSnapshot::diff(&kept, &new)
                .expunged
                .iter()
                .map(|e| e.uid)
                .collect();
            assert_eq!(
                kept.iter()
                    .map(|(_, e)| e)
                    .filter(|e| !rest.contains(&e.uid))
                    .collect::<Vec<_>>(),
                fresh
            );
            client.held = if kept.len() > new.len() + 3 {
                new.clone()
            } else {
                kept
            };
            client.last = new;
        }
        for account in 0..self.people.len() {
            let names: Vec<String> = self.people[account].boxes.keys().cloned().collect();
            for name in names {
                let mailbox = self.mailbox(account, &name).unwrap();
                let view = self.store().view(self.id(account), mailbox.id).unwrap();
                let last = view.snapshot();
                self.clients
                    .entry((account, name))
                    .or_insert_with(|| Client {
                        picture: last.iter().map(|(_, e)| e).collect(),
                        held: last.clone(),
                        last,
                        view,
                    });
            }
        }
    }

    fn compare(&mut self) {
        for account in 0..self.people.len() {
            let id = self.id(account);
            let rows = self.store().read(|s| s.mailboxes(id)).unwrap();
            let names: Vec<&str> = rows.iter().map(|m| m.name.as_str()).collect();
            assert_eq!(
                names,
                self.people[account]
                    .boxes
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
            );
            let subscribed = self.store().read(|s| s.subscriptions(id)).unwrap();
            assert!(subscribed.iter().eq(&self.people[account].subscribed));
            assert_eq!(
                self.store()
                    .read(|s| s.account_by_id(id))
                    .unwrap()
                    .unwrap()
                    .usage,
                self.people[account].usage()
            );
            for row in rows {
                let person = &mut self.people[account];
                // A UIDVALIDITY is never given to two mailboxes, not even over time.
                match person.seen_validity.insert(row.id.0, row.uid_validity) {
                    None => assert!(person.validities.insert(row.uid_validity)),
                    Some(before) => assert_eq!(before, row.uid_validity),
                }
                self.compare_mailbox(account, &row);
            }
        }
    }

    fn compare_mailbox(&self, account: usize, row: &Mailbox) {
        let id = self.id(account);
        let expected = &self.people[account].boxes[&row.name];
        assert_eq!(row.uid_next, expected.uid_next.max(1));
        assert_eq!(row.messages as usize, expected.messages.len());
        assert_eq!(
            row.unseen as usize,
            expected
                .messages
                .values()
                .filter(|m| m.flags & 1 == 0)
                .count()
        );
        let names = self.store().read(|s| s.keywords(id, row.id)).unwrap();
        let mut found = BTreeMap::new();
        let mut bodies = Vec::new();
        self.store()
            .read(|s| {
                s.messages(id, row.id, &[1..=u32::MAX], Columns::ALL, &mut |m| {
                    let keywords = (0..64).filter(|bit| m.keywords & (1 << bit) != 0);
                    let keywords: BTreeSet<String> =
                        keywords.map(|bit| names[bit].clone()).collect();
                    found.insert(m.uid, (m.flags.0, keywords, m.modseq));
                    bodies.push((m.uid, m.body.unwrap()));
                    Ok(ControlFlow::Continue(()))
                })
            })
            .unwrap();
        let wanted: BTreeMap<_, _> = expected
            .messages
            .iter()
            .map(|(uid, m)| {
                (
                    *uid,
                    (
                        m.flags,
                        m.keywords.iter().map(|k| (*k).to_owned()).collect(),
                        m.modseq,
                    ),
                )
            })
            .collect();
        assert_eq!(found, wanted, "{}", row.name);
        for (uid, body) in bodies {
            assert_eq!(
                self.store().body(&body).unwrap(),
                expected.messages[&uid].octets
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_store_is_what_the_model_says(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.sync();
    }
}

/// More on demand: `PROPTEST_CASES=2000`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(48)
}
