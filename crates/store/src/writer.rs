//! The writer: one thread, group commit.
//!
//! It takes what waits, runs each closure in a savepoint (an error or a panic undoes that closure alone), syncs the packs,
//! commits once, publishes the changes, notifies, answers all.
//!
//! Failures. If the sync of a pack fails, nothing is committed and the packs give up the file. If the commit fails, nobody is
//! acknowledged; the connection is opened anew and the write-ahead log emptied into the database, so that what was committed
//! earlier no longer rests on a file whose sync failed. Only when that succeeds does the writer go on; else it answers `Io`
//! until a restart. A full disk is no such failure: it answers `Full`, and goes on once there is space.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::change::Change;
use crate::checkpoint::Checkpointer;
use crate::engine::sqlite::{Connection, Role};
use crate::error::{Error, Result};
use crate::pack::Packs;
use crate::reserve::Reserve;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::view::Registry;
use crate::world::Clock;

/// Closures in one commit. More would only make the first of them wait longer: at this number the cost of the commit is
/// already small against that of its closures.
const BATCH: usize = 256;

thread_local! {
    /// Whether this thread is the writer: a write from inside a write would wait for itself.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// The side of the writer that others see.
pub(crate) struct Writer {
    queue: Mutex<Queue>,
    wake: Condvar,
    limit: usize,
    /// Why writes fail until a restart.
    failing: Mutex<Option<Error>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    closing: bool,
}

/// A closure with somebody who waits for it.
pub(crate) trait Job: Send {
    /// Runs it inside the transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()>;
    /// Answers: with the closure's own result, or with the error that befell the commit.
    fn finish(self: Box<Self>, commit: Result<()>);
}

/// The usual job.
pub(crate) struct Closure<T, F, D> {
    closure: Option<F>,
    result: Result<T>,
    done: D,
}

impl<T, F, D> Closure<T, F, D>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T>,
    D: FnOnce(Result<T>),
{
    pub(crate) fn new(closure: F, done: D) -> Self {
        Closure {
            closure: Some(closure),
            result: Err(Error::Closed),
            done,
        }
    }
}

impl<T, F, D> Job for Closure<T, F, D>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    D: FnOnce(Result<T>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        if let Some(closure) = self.closure.take() {
            self.result = match catch_unwind(AssertUnwindSafe(|| closure(tx))) {
                Ok(result) => result,
                Err(panic) => Err(Error::Internal(format!(
                    "a write panicked: {}",
                    panic_text(&*panic)
                ))),
            };
        }
        self.result.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn finish(self: Box<Self>, commit: Result<()>) {
        let this = *self;
        let result = match (this.result, commit) {
            (Ok(_), Err(error)) => Err(error),
            (Err(_), Err(error)) if this.closure.is_some() => Err(error),
            (result, _) => result,
        };
        let done = this.done;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || done(result))) {
            tracing::error!(
                panic = panic_text(&*panic),
                "the receiver of a write's result panicked"
            );
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

impl Writer {
    pub(crate) fn new(limit: usize) -> Writer {
        Writer {
            queue: Mutex::default(),
            wake: Condvar::new(),
            limit: limit.max(1),
            failing: Mutex::default(),
        }
    }

    /// Queues a job, or answers it at once when it cannot be.
    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        let refusal = {
            let mut queue = lock(&self.queue);
            if queue.closing {
                Error::Closed
            } else if queue.jobs.len() >= self.limit {
                Error::Busy("too many writes wait")
            } else {
                queue.jobs.push_back(job);
                self.wake.notify_one();
                return;
            }
        };
        job.finish(Err(refusal));
    }

    /// Whether the calling thread is a writer.
    pub(crate) fn is_current() -> bool {
        IS_WRITER.get()
    }

    /// Why writes fail, if they do.
    pub(crate) fn failing(&self) -> Option<Error> {
        lock(&self.failing).clone()
    }

    /// Refuses new jobs; what waits is still done.
    pub(crate) fn close(&self) {
        lock(&self.queue).closing = true;
        self.wake.notify_all();
    }

    /// What waits, at most a batch; None when closing and nothing waits.
    fn take(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut queue = lock(&self.queue);
        while queue.jobs.is_empty() {
            if queue.closing {
                return None;
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let count = queue.jobs.len().min(BATCH);
        Some(queue.jobs.drain(..count).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's own side.
pub(crate) struct WriterThread {
    pub(crate) shared: Arc<Writer>,
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
    pub(crate) packs: Arc<Packs>,
    pub(crate) views: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) checkpointer: Arc<Checkpointer>,
}

/// However the thread ends, nobody is left waiting for it.
struct Ending(Arc<Writer>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
        if std::thread::panicking() {
            tracing::error!(
                "the writer ended by a fault of its own: nothing can be written until a restart"
            );
            *lock(&self.0.failing) = Some(Error::Internal(
                "the writer ended by a fault of its own".into(),
            ));
        }
        let left: Vec<Box<dyn Job>> = lock(&self.0.queue).jobs.drain(..).collect();
        left.into_iter()
            .for_each(|job| job.finish(Err(Error::Closed)));
    }
}

/// How a batch went: the outcome of the commit for those whose closure succeeded, and what the commit changed.
struct Outcome {
    commit: Result<()>,
    changes: Vec<Change>,
}

impl WriterThread {
    /// Serves until closed. The last act is to empty the write-ahead log.
    pub(crate) fn run(mut self) {
        IS_WRITER.set(true);
        let _ending = Ending(self.shared.clone());
        while let Some(jobs) = self.shared.take() {
            self.serve(jobs);
            self.checkpointer
                .after_commit(&self.connection, self.reserve.low());
        }
        if self.shared.failing().is_none()
            && let Err(error) = self.connection.checkpoint(true)
        {
            tracing::warn!(%error, "the write-ahead log could not be emptied; the next start does it");
        }
    }

    fn serve(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if let Some(error) = self.shared.failing() {
            jobs.into_iter()
                .for_each(|job| job.finish(Err(error.clone())));
            return;
        }
        self.reserve.before_batch();
        let outcome = self.batch(&mut jobs);
        if let Err(error) = &outcome.commit {
            self.after_failure(error);
        }
        // Views first: whoever is answered finds his own change in them. Then those who watch, who only take a note or wake
        // somebody: what is done after the answer, by whomever, finds that they know.
        if outcome.commit.is_ok() {
            let touched = self.views.publish(outcome.changes);
            touched.into_iter().for_each(|notify| notify.notify());
        }
        for job in jobs {
            job.finish(outcome.commit.clone());
        }
    }

    /// One transaction.
    fn batch(&self, jobs: &mut [Box<dyn Job>]) -> Outcome {
        let mut changes = Vec::new();
        let commit = self.connection.begin_write().and_then(|()| {
            let any = self.run_jobs(jobs, &mut changes)?;
            if !any {
                return self.connection.rollback();
            }
            self.packs.sync(self.clock.now())?;
            self.connection.commit()
        });
        if commit.is_err()
            && let Err(error) = self.connection.rollback()
        {
            tracing::error!(%error, "rolling back failed");
        }
        Outcome { commit, changes }
    }

    /// Runs the closures. Err: the whole transaction is gone. Ok: whether any of them succeeded.
    fn run_jobs(&self, jobs: &mut [Box<dyn Job>], changes: &mut Vec<Change>) -> Result<bool> {
        let alone = jobs.len() == 1;
        let mut any = false;
        for job in jobs {
            let mark = changes.len();
            if !alone {
                self.connection.savepoint()?;
            }
            let mut tx = Tx::new(
                Snapshot {
                    sql: &self.connection,
                },
                changes,
                &self.packs,
                self.clock.now(),
            );
            let done = job.run(&mut tx);
            if !self.connection.in_transaction() {
                // A full disk or an I/O error made the engine undo everything, the work of the others included.
                return Err(done
                    .err()
                    .unwrap_or_else(|| Error::Io("the transaction was lost".into())));
            }
            match done {
                Ok(()) => {
                    any = true;
                    if !alone {
                        self.connection.release()?;
                    }
                }
                Err(_) => {
                    changes.truncate(mark);
                    if !alone {
                        self.connection.rollback_to_savepoint()?;
                    }
                }
            }
        }
        Ok(any)
    }

    fn after_failure(&mut self, error: &Error) {
        match error {
            Error::Full => self.reserve.release(),
            Error::Busy(_) | Error::Internal(_) => tracing::error!(%error, "a transaction failed"),
            _ => {
                tracing::error!(%error, "a transaction failed; the database is opened anew");
                if let Err(error) = self.reopen() {
                    tracing::error!(%error, "that failed too: nothing can be written until a restart");
                    *lock(&self.shared.failing) = Some(Error::Io(format!(
                        "writing has stopped after a disk error: {error}"
                    )));
                }
            }
        }
    }

    /// A new connection, and everything committed moved out of the write-ahead log into the database with a sync of its own.
    fn reopen(&mut self) -> Result<()> {
        self.connection = Connection::open(&self.path, Role::Writer)?;
        self.connection.checkpoint(true)?;
        Ok(())
    }
}
