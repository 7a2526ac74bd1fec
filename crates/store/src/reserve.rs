//! The reserve: a file of ballast in the data folder. When the disk is full it is removed, so that there is room for the
//! database to record deletions; it is made again once space has returned. New messages never use that room: the packs refuse
//! them while less than the reserve is free.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::world::Disk;

/// Below this many free octets the database may not be able to commit; the reserve is given up before that is tried.
const LOW: u64 = 512 << 10;
/// How often it is tried to make the reserve again.
const RETRY: Duration = Duration::from_millis(200);

/// The ballast file.
#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    size: u64,
    released: AtomicBool,
    tried: Mutex<Option<Instant>>,
}

impl Reserve {
    /// Makes the reserve if there is room for it.
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, size: u64) -> Reserve {
        let reserve = Reserve {
            disk,
            folder: folder.to_owned(),
            size,
            released: AtomicBool::new(true),
            tried: Mutex::new(None),
        };
        reserve.make();
        reserve
    }

    /// Octets that new messages must leave free.
    pub(crate) fn margin(size: u64) -> u64 {
        size.saturating_add(LOW)
    }

    /// Whether it has been given up and not been made again.
    pub(crate) fn low(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Before the writer works: gives the reserve up when the disk is nearly full, makes it again when it no longer is.
    pub(crate) fn before_batch(&self) {
        if !self.low() {
            if self.disk.free(&self.folder).is_ok_and(|free| free < LOW) {
                self.release();
            }
            return;
        }
        let due = {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            let due = tried.is_none_or(|at| at.elapsed() >= RETRY);
            if due {
                *tried = Some(Instant::now());
            }
            due
        };
        if due {
            self.make();
        }
    }

    /// Gives the reserve up.
    pub(crate) fn release(&self) {
        if self.size > 0 && !self.released.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the disk is full: the reserve is given up so that mail can still be deleted"
            );
            if let Err(error) = self.disk.remove(&self.path()) {
                tracing::error!(%error, "the reserve could not be removed");
            }
        }
    }

    fn make(&self) {
        if self.size == 0 {
            self.released.store(false, Ordering::Relaxed);
            return;
        }
        let path = self.path();
        let there = self
            .disk
            .open(&path)
            .and_then(|file| file.length())
            .unwrap_or(0);
        if there < self.size {
            // Twice the reserve must be free, or making it would be what fills the disk.
            let room = self
                .disk
                .free(&self.folder)
                .is_ok_and(|free| free >= self.size.saturating_mul(2));
            if !room || self.fill(&path).is_err() {
                self.released.store(true, Ordering::Relaxed);
                let _ = self.disk.remove(&path);
                return;
            }
        }
        if self.released.swap(false, Ordering::Relaxed) {
            tracing::debug!("the reserve is in place");
        }
    }

    fn fill(&self, path: &Path) -> std::io::Result<()> {
        let file = match self.disk.create(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.disk.open(path)?
            }
            other => other?,
        };
        // Written, not only sized: a sparse file reserves nothing.
        let block = vec![0u8; 64 << 10];
        let mut at = 0;
        while at < self.size {
            let now = (self.size - at).min(block.len() as u64);
            file.write_at(&[block.get(..now as usize).unwrap_or_default()], at)?;
            at += now;
        }
        file.sync()
    }

    fn path(&self) -> PathBuf {
        self.folder.join("reserve")
    }
}
