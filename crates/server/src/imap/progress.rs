//! INPROGRESS (RFC 9585): who waits for a long command is told that it goes on, and how far it is where that is counted.
//!
//! Work that comes in steps says between them how far it is ([`Progress::step`]); what is only waited for is waited for with
//! [`Progress::during`]. Nothing is said of a command that ends within the first interval.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use ::imap::{Code, Reply, Untagged};
use tokio::time::{Instant, sleep_until};

use super::Link;
use crate::config::Every;
use crate::drive::Gone;

/// Between two notices of one wait, however short the interval is.
const SHORTEST: Duration = Duration::from_secs(1);

/// How far a command is: items done, and of how many.
pub type State = (u64, Option<u64>);

/// When the client of a session was last told something.
#[derive(Debug)]
pub struct Progress {
    every: Every,
    last: Instant,
}

impl Progress {
    /// Notices this often.
    pub fn new(every: Every) -> Progress {
        Progress {
            every,
            last: Instant::now(),
        }
    }

    /// A command begins.
    pub fn begin(&mut self) {
        self.last = Instant::now();
    }

    /// When the next notice is due; none for never.
    fn due(&self) -> Option<Instant> {
        match self.every {
            Every::Never => None,
            Every::Step => Some(self.last),
            Every::Interval(interval) => self.last.checked_add(interval),
        }
    }

    /// Between two steps of work: tells how far it is, if it is time.
    pub async fn step(&mut self, link: &mut Link, state: State) -> Result<(), Gone> {
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.tell(link, Some(state)).await?;
        }
        Ok(())
    }

    /// Waits, telling now and then that it goes on.
    pub async fn during<T>(
        &mut self,
        link: &mut Link,
        state: Option<State>,
        work: impl Future<Output = T>,
    ) -> Result<T, Gone> {
        let mut work = pin!(work);
        if matches!(self.every, Every::Step) {
            self.tell(link, state).await?;
        }
        loop {
            let Some(due) = self.due() else {
                return Ok(work.await);
            };
            let due = match self.every {
                Every::Step => due.checked_add(SHORTEST).unwrap_or(due),
                _ => due,
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = sleep_until(due) => {}
            }
            // The work goes on while the client takes its time to read: it may hold what others wait for, a turn or a
            // thread. A notice that is not gone yet goes with what follows.
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                told = self.tell(link, state) => told?,
            }
        }
    }

    async fn tell(&mut self, link: &mut Link, state: Option<State>) -> Result<(), Gone> {
        // RFC 9585 §4: none where all is done.
        if let Some((done, Some(goal))) = state
            && done >= goal
        {
            return Ok(());
        }
        let code = Code::InProgress {
            tag: link.session.tag().map(str::to_owned),
            progress: state.map(|(done, _)| done),
            goal: state.and_then(|(_, goal)| goal),
        };
        let notice = Reply::ok("still at it").with(code);
        link.session.untagged(&Untagged::Status(notice));
        link.flush().await?;
        self.last = Instant::now();
        Ok(())
    }
}

/// Where a search tells how far it is.
pub enum Pace<'a> {
    /// Nowhere: nobody waits for it.
    Silent,
    /// To the client whose command it is.
    Told {
        /// When.
        progress: &'a mut Progress,
        /// Whom.
        link: &'a mut Link,
        /// Messages that were looked at before, elsewhere.
        before: u64,
        /// Whether the messages of this search are all there are to look at.
        all: bool,
    },
}

impl Pace<'_> {
    /// Between two steps, with messages looked at and how many there are here.
    pub async fn step(&mut self, done: u64, here: u64) -> Result<(), Gone> {
        match self {
            Pace::Silent => Ok(()),
            Pace::Told {
                progress,
                link,
                before,
                all,
            } => {
                let goal = all.then(|| before.saturating_add(here));
                progress
                    .step(link, (before.saturating_add(done), goal))
                    .await
            }
        }
    }

    /// While somebody else works, or while waiting for a turn.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        match self {
            Pace::Silent => Ok(work.await),
            Pace::Told { progress, link, .. } => match progress.every {
                // Steps are told by themselves.
                Every::Step => Ok(work.await),
                _ => progress.during(link, None, work).await,
            },
        }
    }
}
