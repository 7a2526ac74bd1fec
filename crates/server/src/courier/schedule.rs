//! What is tried when.
//!
//! One task. It keeps one entry per destination that somebody in the queue waits for, and leases from the store whom it
//! begins with; the queue itself stays in the database. It wakes when a commit makes something due, when an attempt has
//! ended, and when the next time has come.
//!
//! A destination is in one of four places: ready (somebody is due and an attempt may begin), timed (somebody is due later,
//! or the destination is left alone until then), full (its attempts under way are all it gets; the end of one of them moves
//! it on), or forgotten (nobody waits).
//!
//! A destination that is slow or down delays no other: each has its own attempts ([`Destination`]), and those that keep us
//! waiting share half of all attempts and memory of their own. Which they are shows soon: an attempt that takes long gives
//! its place to others, and goes on beside them.
//!
//! Limits: [`DESTINATIONS`], [`AT_ONCE`], [`MEMORY`], [`ATTEMPT`], [`MOST`]; the rest is configured.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use store::{Due, Leased, QueueWatch, Timestamp, Turn};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::attempt::PATIENCE;
use super::destination::{Destination, SLOW, Sign};
use super::settle::{self, Tried};
use super::{Attempt, Job, JobRecipient, Outcome, attempt};
use crate::budget::Budget;
use crate::shared::Shared;

/// Destinations in memory, some 200 octets each; those beyond wait until there is room again.
const DESTINATIONS: usize = 200_000;

/// Messages leased in one write.
const AT_ONCE: usize = 64;

/// Memory for messages on their way out, for destinations that are well and for those that are not; more where the largest
/// message needs it.
const MEMORY: u64 = 64 << 20;

/// When an attempt is cut from outside. Only one that hangs: an attempt ends itself at [`PATIENCE`] and tells what it came
/// to, while a cut one forgets who has the message already, and they would get it again.
const ATTEMPT: Duration = Duration::from_secs(PATIENCE.as_secs() + 60);

/// How long a lease lasts for other nodes. Ours last as long as we do.
const LEASE: Timestamp = 3_600;

const _: () = assert!(PATIENCE.as_secs() < ATTEMPT.as_secs() && ATTEMPT.as_secs() < LEASE as u64);

/// Messages of which time asks something, handled in one go.
const ATTENTION: usize = 50;

/// How many times the configured number of attempts may be under way when most of them are slow.
const MOST: usize = 4;

/// How often the clock of the messages is looked at when nothing else happens.
const LOOK: Duration = Duration::from_secs(30);

/// How often destinations are looked for in the database when there were too many.
const RELOAD: Duration = Duration::from_secs(60);

/// The courier of a running server.
pub struct Courier {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Courier {
    /// Starts it.
    pub fn start(shared: &Arc<Shared>) -> Courier {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(Arc::clone(shared), stopped));
        Courier { stop, task }
    }

    /// Begins nothing new; what is under way may end until `grace` is over. What is cut is tried again after the next start.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            tracing::warn!("attempts to deliver were cut: they did not end in time");
            self.task.abort();
        }
    }
}

struct Waker(Notify);

impl store::Notify for Waker {
    fn notify(&self) {
        self.0.notify_one();
    }
}

async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let waker = Arc::new(Waker(Notify::new()));
    let notify: Arc<dyn store::Notify> = Arc::clone(&waker) as _;
    let watch = shared.db.store().watch_queue(notify);
    let mut scheduler = Scheduler::new(shared, watch);
    while let Err(error) = scheduler.begin().await {
        tracing::error!(%error, "the queue cannot be read; it is tried again");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
            _ = stopped.changed() => return,
        }
    }
    while !*stopped.borrow() {
        scheduler.look().await;
        let pause = scheduler.pause();
        tokio::select! {
            _ = stopped.changed() => {}
            () = waker.0.notified() => {}
            Some(ended) = scheduler.running.join_next() => scheduler.ended(ended),
            () = tokio::time::sleep(pause) => {}
        }
    }
    while let Some(ended) = scheduler.running.join_next().await {
        scheduler.ended(ended);
    }
}

/// What a task reports at its end. Without a number it was no attempt.
struct Ended {
    number: Option<u64>,
    sign: Sign,
}

/// An attempt under way.
struct Running {
    domain: Arc<str>,
    begun: Instant,
    /// Whether its destination keeps us waiting.
    bad: bool,
}

struct Scheduler {
    shared: Arc<Shared>,
    watch: Arc<QueueWatch>,
    /// Our name on leases.
    owner: Arc<str>,
    destinations: HashMap<Arc<str>, Destination>,
    /// By lane, then in turn.
    ready: BTreeMap<(i8, u64), Arc<str>>,
    timed: BTreeSet<(Timestamp, Arc<str>)>,
    /// Where each destination is.
    places: HashMap<Arc<str>, Place>,
    turns: u64,
    running: JoinSet<Ended>,
    /// Attempts under way, the oldest first.
    attempts: BTreeMap<u64, Running>,
    /// Those of them for destinations that keep us waiting.
    bad: usize,
    /// The oldest attempt that has not been found slow yet.
    young: u64,
    begun: u64,
    memory: Budget,
    bad_memory: Budget,
    attended: Option<Instant>,
    /// There are more destinations than fit; when they were looked for.
    more: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Ready(i8, u64),
    Timed(Timestamp),
}

impl Scheduler {
    fn new(shared: Arc<Shared>, watch: Arc<QueueWatch>) -> Scheduler {
        let memory = MEMORY.max(shared.config().limits.message_size.saturating_mul(2));
        let owner = crate::manage::hex(&crate::auth::random::<8>());
        Scheduler {
            watch,
            owner: owner.into(),
            destinations: HashMap::new(),
            ready: BTreeMap::new(),
            timed: BTreeSet::new(),
            places: HashMap::new(),
            turns: 0,
            running: JoinSet::new(),
            attempts: BTreeMap::new(),
            bad: 0,
            young: 0,
            begun: 0,
            memory: Budget::new(memory),
            bad_memory: Budget::new(memory),
            attended: None,
            more: None,
            shared,
        }
    }

    /// Takes back what was under way when the last process ended, and learns who waits.
    async fn begin(&mut self) -> store::Result<()> {
        let owner = Arc::clone(&self.owner);
        let back = self.shared.db.write(move |tx| tx.take_back(&owner)).await?;
        if back > 0 {
            tracing::info!(
                recipients = back,
                "attempts that the last end cut short are made again"
            );
        }
        self.load().await
    }

    async fn load(&mut self) -> store::Result<()> {
        let found = self
            .shared
            .db
            .read(|snapshot| snapshot.queue_destinations(DESTINATIONS))
            .await?;
        self.more = (found.len() >= DESTINATIONS).then(Instant::now);
        found.into_iter().for_each(|due| self.learn(due));
        Ok(())
    }

    /// One round: what has become due, what may begin, what time asks for.
    async fn look(&mut self) {
        for due in self.watch.take() {
            self.learn(due);
        }
        if self.more.is_some_and(|since| {
            since.elapsed() >= RELOAD && self.destinations.len() < DESTINATIONS / 2
        }) && let Err(error) = self.load().await
        {
            tracing::warn!(%error, "the queue cannot be read");
        }
        let now = self.shared.timestamp();
        while let Some((at, domain)) = self.timed.first().cloned() {
            if at > now {
                break;
            }
            self.place(&domain, now);
        }
        self.find_slow();
        self.attend(now).await;
        while self.begin_some(now).await {}
    }

    /// How long nothing needs to be done unless something happens.
    fn pause(&self) -> Duration {
        let now = self.shared.timestamp();
        let next = self.timed.first().map(|(at, _)| at.saturating_sub(now));
        let next = next.map_or(LOOK, |seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
        });
        // Somebody may be found slow, and leave his place.
        let longest = if self.ready.is_empty() {
            LOOK
        } else {
            SLOW / 5
        };
        next.min(longest)
    }

    /// Attempts that have become slow leave their places to others.
    fn find_slow(&mut self) {
        while let Some((number, running)) = self.attempts.range_mut(self.young..).next() {
            if running.begun.elapsed() < SLOW {
                break;
            }
            self.young = number.saturating_add(1);
            if !running.bad {
                running.bad = true;
                self.bad = self.bad.saturating_add(1);
            }
            if let Some(destination) = self.destinations.get_mut(&running.domain) {
                destination.found_slow();
            }
        }
    }

    fn learn(&mut self, due: Due) {
        let now = self.shared.timestamp();
        if due.due == Timestamp::MAX {
            return;
        }
        if !self.destinations.contains_key(due.domain.as_str())
            && self.destinations.len() >= DESTINATIONS
        {
            self.more.get_or_insert_with(Instant::now);
            return;
        }
        let domain: Arc<str> = due.domain.into();
        let destination = self.destinations.entry(Arc::clone(&domain)).or_default();
        destination.add(due.lane, due.due);
        if due.forced {
            destination.forgive();
        }
        self.place(&domain, now);
    }

    /// Puts a destination where it belongs.
    fn place(&mut self, domain: &Arc<str>, now: Timestamp) {
        match self.places.remove(domain) {
            Some(Place::Ready(lane, turn)) => drop(self.ready.remove(&(lane, turn))),
            Some(Place::Timed(at)) => drop(self.timed.remove(&(at, Arc::clone(domain)))),
            None => {}
        }
        let options = &self.shared.config().queue;
        let Some(destination) = self.destinations.get(domain) else {
            return;
        };
        let place = match destination.ready_at(options) {
            None if destination.is_idle(now) => {
                self.destinations.remove(domain);
                return;
            }
            None if destination.active > 0 => return,
            // It is remembered until it may be asked again, and then forgotten.
            None => Place::Timed(destination.not_before()),
            Some((_, at)) if at > now => Place::Timed(at),
            Some(_) if destination.free(options, now) == 0 => return,
            Some((lane, _)) => {
                self.turns = self.turns.wrapping_add(1);
                Place::Ready(lane, self.turns)
            }
        };
        match place {
            Place::Ready(lane, turn) => {
                self.ready.insert((lane, turn), Arc::clone(domain));
            }
            Place::Timed(at) => {
                self.timed.insert((at, Arc::clone(domain)));
            }
        }
        self.places.insert(Arc::clone(domain), place);
    }

    /// Leases for the destinations whose turn it is and begins with them; whether there may be more to begin.
    async fn begin_some(&mut self, now: Timestamp) -> bool {
        let turns = self.turns(now);
        if turns.is_empty() {
            return false;
        }
        let owner = Arc::clone(&self.owner);
        let asked = turns.clone();
        let until = now.saturating_add(LEASE);
        let taken = self
            .shared
            .db
            .write(move |tx| {
                asked
                    .iter()
                    .map(|(_, turn)| tx.lease(&owner, until, turn))
                    .collect::<store::Result<Vec<_>>>()
            })
            .await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%error, "nothing can be taken from the queue");
                // They stay due; time brings them back.
                for (domain, _) in turns {
                    if let Some(destination) = self.destinations.get_mut(&domain) {
                        destination.next = Some((0, now.saturating_add(10)));
                    }
                    self.place(&domain, now);
                }
                return false;
            }
        };
        for ((domain, _), taken) in turns.into_iter().zip(taken) {
            if let Some(destination) = self.destinations.get_mut(&domain) {
                destination.after = taken.after;
                destination.from = taken.stopped;
                destination.next = taken.next;
            }
            for leased in taken.leased {
                self.start(&domain, leased, now);
            }
            self.place(&domain, now);
        }
        // What was learned in between is as new as what the lease said.
        for due in self.watch.take() {
            self.learn(due);
        }
        true
    }

    /// Whose turn it is: the ready destinations in order, each with its share of what is free.
    fn turns(&mut self, now: Timestamp) -> Vec<(Arc<str>, Turn)> {
        let options = self.shared.config().queue.clone();
        // Attempts that are slow do not count against the others, up to a number that the machine can bear.
        let well = self.attempts.len().saturating_sub(self.bad);
        let most = options.concurrency.saturating_mul(MOST);
        let free = options
            .concurrency
            .saturating_sub(well)
            .min(most.saturating_sub(self.attempts.len()));
        let mut left = free.min(AT_ONCE);
        let mut bad_left = (options.concurrency / 2).saturating_sub(self.bad);
        let share = left / self.ready.len().clamp(1, AT_ONCE);
        let mut turns = Vec::new();
        let mut passed = Vec::new();
        while left > 0
            && let Some((key, domain)) = self.ready.pop_first()
        {
            let Some(destination) = self.destinations.get(&domain) else {
                self.places.remove(&domain);
                continue;
            };
            let wanted = usize::try_from(destination.free(&options, now)).unwrap_or(0);
            let mut messages = wanted.min(share.max(1)).min(left);
            if destination.is_bad() {
                messages = messages.min(bad_left);
                if messages == 0 && wanted > 0 {
                    // Its turn comes when another of its kind has ended.
                    passed.push((key, domain));
                    continue;
                }
                bad_left = bad_left.saturating_sub(messages);
            }
            self.places.remove(&domain);
            if messages == 0 {
                continue;
            }
            left = left.saturating_sub(messages);
            let turn = Turn {
                domain: domain.to_string(),
                after: destination.after,
                from: destination.from,
                messages,
            };
            turns.push((domain, turn));
        }
        self.ready.extend(passed);
        turns
    }

    /// Begins an attempt.
    fn start(&mut self, domain: &Arc<str>, leased: Leased, now: Timestamp) {
        let Some(destination) = self.destinations.get_mut(domain) else {
            return;
        };
        let bad = destination.is_bad();
        destination.begin(now);
        self.bad = self.bad.saturating_add(usize::from(bad));
        let number = self.begun;
        self.begun = self.begun.saturating_add(1);
        let running = Running {
            domain: Arc::clone(domain),
            begun: Instant::now(),
            bad,
        };
        self.attempts.insert(number, running);
        let memory = if bad { &self.bad_memory } else { &self.memory };
        let work = Work {
            shared: Arc::clone(&self.shared),
            owner: Arc::clone(&self.owner),
            memory: memory.clone(),
            leased,
        };
        let domain = Arc::clone(domain);
        self.running.spawn(async move {
            let sign = work.deliver(&domain).await;
            Ended {
                number: Some(number),
                sign,
            }
        });
    }

    /// Notes that a task has ended.
    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Its place is lost until the next start, and its lease with it; both are small.
                return tracing::error!(%error, "a task of the courier failed");
            }
        };
        let Some(running) = ended
            .number
            .and_then(|number| self.attempts.remove(&number))
        else {
            return;
        };
        let now = self.shared.timestamp();
        self.bad = self.bad.saturating_sub(usize::from(running.bad));
        if let Some(destination) = self.destinations.get_mut(&running.domain) {
            let jitter = u64::from_ne_bytes(crate::auth::random());
            let options = &self.shared.config().queue;
            destination.end(ended.sign, running.begun.elapsed(), now, jitter, options);
        }
        for due in self.watch.take() {
            self.learn(due);
        }
        self.place(&running.domain, now);
    }

    /// Does what time asks for: warnings, deadlines, giving up.
    async fn attend(&mut self, now: Timestamp) {
        if self
            .attended
            .is_some_and(|last| last.elapsed() < Duration::from_secs(1))
        {
            return;
        }
        self.attended = Some(Instant::now());
        let due = self.shared.db.glance(|snapshot| snapshot.queue_attention());
        match due {
            Ok(Some(at)) if at <= now => {}
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "the queue cannot be read"),
        }
        let owner = Arc::clone(&self.owner);
        let until = now.saturating_add(LEASE);
        let leased = self
            .shared
            .db
            .write(move |tx| tx.lease_attention(&owner, until, ATTENTION))
            .await;
        match leased {
            Err(error) => tracing::error!(%error, "nothing can be taken from the queue"),
            Ok(all) => {
                for leased in all {
                    let (shared, owner) = (Arc::clone(&self.shared), Arc::clone(&self.owner));
                    let memory = self.memory.clone();
                    self.running.spawn(async move {
                        settle::time_passed(&shared, &owner, &memory, leased).await;
                        Ended {
                            number: None,
                            sign: Sign::Alive,
                        }
                    });
                }
            }
        }
    }
}

/// One attempt with everything it needs.
struct Work {
    shared: Arc<Shared>,
    owner: Arc<str>,
    memory: Budget,
    leased: Leased,
}

impl Work {
    /// From the lease to its settlement.
    async fn deliver(self, domain: &str) -> Sign {
        let Work {
            shared,
            owner,
            memory,
            leased,
        } = self;
        let now = shared.timestamp();
        let loaded = settle::message(&shared, &memory, &leased).await;
        let (message, permit) = match loaded {
            Ok((message, permit)) => (message, Some(permit)),
            Err(why) => {
                let tried = unsent(&leased, now, &why);
                settle::settle(&shared, &owner, leased, Arc::from([]), tried).await;
                return Sign::Alive;
            }
        };
        let job = Job {
            queue: leased.queue,
            envelope: leased.envelope.clone(),
            domain: domain.to_owned(),
            recipients: leased
                .recipients
                .iter()
                .map(|to| JobRecipient {
                    address: to.address.clone(),
                    original: to.original.clone(),
                    notify: to.notify,
                    rrvs: to.rrvs,
                })
                .collect(),
            message: Arc::clone(&message),
        };
        let attempts = try_once(&shared, job).await;
        let (attempts, sign) = match attempts {
            Ok(attempts) if attempts.len() == leased.recipients.len() => {
                let sign = sign(&attempts);
                (attempts, sign)
            }
            Ok(_) => {
                tracing::error!(queue = leased.queue.0, "an attempt forgot a recipient");
                (unsent(&leased, now, "an internal error"), Sign::Alive)
            }
            Err(why) => (unsent(&leased, now, &why), Sign::Down),
        };
        settle::settle(&shared, &owner, leased, message, attempts).await;
        drop(permit);
        sign
    }
}

/// The attempt itself, cut when it takes too long; a fault in it is its own.
async fn try_once(shared: &Arc<Shared>, job: Job) -> Result<Vec<Attempt>, String> {
    let queue = job.queue.0;
    let shared = Arc::clone(shared);
    // A task of its own catches a panic; dropped with ours.
    let mut task = JoinSet::new();
    task.spawn(async move { attempt(&shared, &job).await });
    match tokio::time::timeout(ATTEMPT, task.join_next()).await {
        Ok(Some(Ok(attempts))) => Ok(attempts),
        Ok(ended) => {
            tracing::error!(
                queue,
                ?ended,
                "an attempt to deliver failed by a fault of ours"
            );
            Err("an internal error".to_owned())
        }
        Err(_) => Err("the other server took too long".to_owned()),
    }
}

/// Nothing could be tried.
fn unsent(leased: &Leased, now: Timestamp, why: &str) -> Vec<Tried> {
    let one = Attempt {
        at: now,
        peer: None,
        address: None,
        tls: None,
        policy: "no connection was made".to_owned(),
        reply: None,
        outcome: Outcome::Deferred {
            status: "4.3.0".to_owned(),
            why: why.to_owned(),
        },
    };
    vec![one; leased.recipients.len()]
}

/// What attempts say about their destination.
fn sign(attempts: &[Attempt]) -> Sign {
    let delivered = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Delivered { .. });
    let deferred = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Deferred { .. });
    if attempts.iter().any(delivered) {
        return Sign::Well;
    }
    if !attempts.iter().all(deferred) {
        return Sign::Alive;
    }
    let replied = |attempt: &&Attempt| attempt.reply.is_some();
    match attempts.iter().find(replied) {
        None => Sign::Down,
        // RFC 5321 §4.2.1: the service goes away.
        Some(first) if first.reply.as_deref().is_some_and(|r| r.starts_with("421")) => Sign::Busy,
        Some(_) => Sign::Alive,
    }
}
