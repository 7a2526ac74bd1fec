//! The replaceable world: clock, randomness and the disk of the packs. Real ones by default, fakes in tests.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::Timestamp;

/// Wall clock.
pub trait Clock: Send + Sync + Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Source of random octets.
pub trait Random: Send + Sync + Debug {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The file system as the packs use it. (The database's files are SQLite's own.)
pub trait Disk: Send + Sync + Debug {
    /// Creates a new, empty file; fails if it exists. Its name is durable only after `sync_folder`.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the files in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in the folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Octets that can still be written to the file system of this folder.
    fn free(&self, folder: &Path) -> io::Result<u64>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: Send + Sync + Debug {
    /// Reads until the buffer is full or the file ends; returns the octets read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads into two buffers, one behind the other; returns the octets read in all.
    fn read_two_at(&self, first: &mut [u8], second: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.read_at(first, offset)?;
        if read < first.len() {
            return Ok(read);
        }
        Ok(read + self.read_at(second, offset + read as u64)?)
    }
    /// Writes all slices one behind the other.
    fn write_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Makes the content (and the length needed to read it) durable. After an error nothing of it may be trusted.
    fn sync(&self) -> io::Result<()>;
    /// Octets in the file.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(_) => 0,
        }
    }
}

/// The system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // The kernel's source does not fail once it is seeded; going on with predictable octets would be worse than stopping.
        if let Err(error) = getrandom::fill(buffer) {
            panic!("no randomness from the system: {error}");
        }
    }
}

/// The system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?
            .map(|entry| entry.map(|e| e.path()))
            .collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_two_at(&self, first: &mut [u8], second: &mut [u8], offset: u64) -> io::Result<usize> {
        let wanted = first.len() + second.len();
        let mut vector = [IoSliceMut::new(first), IoSliceMut::new(second)];
        // One system call in the usual case; after a short read, which a signal or the end of the file makes, both anew.
        match rustix::io::preadv(&self.0, &mut vector, offset) {
            Ok(read) if read == wanted => return Ok(read),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let read = self.read_at(first, offset)?;
        if read < first.len() {
            return Ok(read);
        }
        Ok(read + self.read_at(second, offset + read as u64)?)
    }

    fn write_at(&self, slices: &[&[u8]], mut offset: u64) -> io::Result<()> {
        // One system call in the usual case; what a short write leaves follows slice by slice.
        let total: usize = slices.iter().map(|s| s.len()).sum();
        let vector: Vec<IoSlice<'_>> = slices.iter().map(|s| IoSlice::new(s)).collect();
        let mut written = match rustix::io::pwritev(&self.0, &vector, offset) {
            Ok(n) => n,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if written == total {
            return Ok(());
        }
        for slice in slices {
            let skip = written.min(slice.len());
            written -= skip;
            offset += skip as u64;
            self.0.write_all_at(&slice[skip..], offset)?;
            offset += (slice.len() - skip) as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
