//! The pool of read-only connections. In WAL mode a reader sees the picture of its first statement and waits for nobody.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::sqlite::{Connection, Role};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// Lends connections, at most `limit` at a time, opened as they are needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    limit: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
    closed: bool,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, limit: usize) -> Readers {
        Readers {
            path,
            limit: limit.max(1),
            state: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// Runs a closure on one picture of the database. Also safe when it panics: the connection comes back, rolled back.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let lent = self.lend()?;
        let Some(connection) = &lent.connection else {
            return Err(Error::Closed);
        };
        connection.begin_read()?;
        let result = f(&Snapshot { sql: connection });
        connection.commit()?;
        result
    }

    /// Closes the connections, and waits for those that are lent.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        while state.open > 0 {
            state.open -= state.idle.len();
            state.idle.clear();
            if state.open > 0 {
                state = self
                    .returned
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.returned.notify_all();
    }

    fn lend(&self) -> Result<Lent<'_>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return Err(Error::Closed);
            }
            if let Some(connection) = state.idle.pop() {
                return Ok(Lent {
                    readers: self,
                    connection: Some(connection),
                });
            }
            if state.open < self.limit {
                state.open += 1;
                drop(state);
                // From here the guard gives the place back if opening fails.
                let mut lent = Lent {
                    readers: self,
                    connection: None,
                };
                lent.connection = Some(Connection::open(&self.path, Role::Reader)?);
                return Ok(lent);
            }
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent<'r> {
    readers: &'r Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // A connection that cannot be rolled back is not used again.
        let sound = self
            .connection
            .take()
            .filter(|connection| connection.rollback().is_ok());
        let mut state = self.readers.state();
        match sound {
            Some(connection) => state.idle.push(connection),
            None => state.open -= 1,
        }
        drop(state);
        self.readers.returned.notify_all();
    }
}
