//! Moving what the write-ahead log holds into the database, beside the writer.
//!
//! A thread with a connection of its own copies while the writer goes on. Under endless load the log would then never be
//! copied to its end (and so never begin anew), so past a size the writer does the rest itself between two batches.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::sqlite::{Connection, Role};
use crate::error::Result;

/// Frames (pages of 4 KiB) in the log from which the thread copies: enough that busy pages are copied once, not for each commit.
const COPY_AT: u32 = 2_000;
/// Frames from which the writer does it: 64 MiB of log.
const HURRY_AT: u32 = 16_000;

/// How long the writer waits for readers when it empties the log on a full disk.
const PATIENCE: Duration = Duration::from_millis(20);

/// Decides, and wakes the thread.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    state: Mutex<State>,
    wake: Condvar,
    /// Frames in the log when the writer last did it.
    hurried: AtomicU32,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum State {
    #[default]
    Idle,
    Wanted,
    Busy,
    Closing,
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(path: PathBuf) -> Result<(Arc<Checkpointer>, JoinHandle<()>)> {
        let connection = Connection::open(&path, Role::Writer)?;
        let this = Arc::new(Checkpointer {
            state: Mutex::default(),
            wake: Condvar::new(),
            hurried: AtomicU32::new(0),
        });
        let own = this.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || own.serve(&connection))?;
        Ok((this, thread))
    }

    /// After the writer has answered a batch. With `low` (the disk is full) the log is emptied each time to stay small.
    pub(crate) fn after_commit(&self, writer: &Connection, low: bool) {
        let frames = writer.log_frames();
        if low && frames > 0 {
            self.hurry(frames, || writer.empty_log_within(PATIENCE));
        } else if frames > HURRY_AT {
            // A reader that stays keeps the log from beginning anew; then not every commit shall pay for the attempt.
            let last = self.hurried.swap(frames, Ordering::Relaxed);
            if frames < last || frames - last >= COPY_AT {
                self.hurry(frames, || writer.checkpoint(false).map(|_| ()));
            } else {
                self.hurried.store(last, Ordering::Relaxed);
            }
        } else if frames > COPY_AT {
            let mut state = self.state();
            if *state == State::Idle {
                *state = State::Wanted;
                self.wake.notify_one();
            }
        }
    }

    fn hurry(&self, frames: u32, empty: impl FnOnce() -> Result<()>) {
        // The thread is at it already: two cannot copy at once.
        if *self.state() == State::Busy {
            return;
        }
        if let Err(error) = empty() {
            tracing::warn!(%error, frames, "the write-ahead log could not be emptied yet");
        }
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        *self.state() = State::Closing;
        self.wake.notify_one();
    }

    fn serve(&self, connection: &Connection) {
        loop {
            {
                let mut state = self.state();
                while *state == State::Idle {
                    state = self
                        .wake
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                if *state == State::Closing {
                    return;
                }
                *state = State::Busy;
            }
            if let Err(error) = connection.checkpoint(false) {
                tracing::error!(%error, "copying the write-ahead log into the database failed; it is kept and tried again");
            }
            let mut state = self.state();
            if *state == State::Busy {
                *state = State::Idle;
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
