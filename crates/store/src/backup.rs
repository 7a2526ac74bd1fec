//! Backup while others go on: a snapshot of the database, then the packs it refers to.
//!
//! Packs are append-only, so one that is copied after the snapshot was taken has everything the snapshot refers to. Housekeeping
//! waits meanwhile. A pack that the folder already has with the same beginning and length is kept, which makes a second backup
//! cheap. The database gets its name last: a backup that was cut off is recognised by having the old one or none.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::PoisonError;

use crate::engine::sqlite::{Connection, Role};
use crate::error::{Error, Result};
use crate::pack;
use crate::returning;
use crate::store::Store;

/// Octets compared at both ends to recognise a pack: its header has a random number, its end the last checksummed record.
const PROBE: u64 = 64 << 10;

/// What a backup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Packs copied in this run.
    pub packs_copied: u64,
    /// Packs that were there already.
    pub packs_kept: u64,
    /// Octets written.
    pub octets: u64,
}

impl Store {
    /// Writes a consistent copy into a folder (created if missing), durable, while others go on reading and writing. A second
    /// backup into the same folder copies only new packs. The copy is a data folder that can be opened; once it has been
    /// (a `lock` file tells), it is refused as a target.
    pub fn backup(&self, folder: impl AsRef<Path>) -> Result<BackupReport> {
        let folder = folder.as_ref();
        if folder.join("lock").exists() {
            return Err(Error::Conflict(
                "the target is a data folder in use, not a backup".into(),
            ));
        }
        let packs = folder.join("packs");
        std::fs::create_dir_all(&packs)?;
        let _packs_stay = self
            .inner
            .maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let partial = folder.join("waxwing.db.partial");
        let database = Connection::open(&self.inner.folder.join("waxwing.db"), Role::Writer)?;
        returning::copy(&database, &partial)?;
        drop(database);
        let snapshot = File::open(&partial)?;
        snapshot.sync_all()?;
        let mut report = BackupReport {
            octets: snapshot.metadata()?.len(),
            ..BackupReport::default()
        };
        let all = self.inner.packs.all()?;
        for (number, length) in &all {
            let target = packs.join(pack::name_of(*number));
            match copy_pack(&self.inner.packs.path(*number), &target, *length)? {
                0 => report.packs_kept += 1,
                octets => {
                    report.packs_copied += 1;
                    report.octets += octets;
                }
            }
        }
        File::open(&packs)?.sync_all()?;
        std::fs::rename(&partial, folder.join("waxwing.db"))?;
        File::open(folder)?.sync_all()?;
        // Only now are packs of an older backup superfluous.
        for entry in std::fs::read_dir(&packs)? {
            let path = entry?.path();
            if !all
                .iter()
                .any(|(number, _)| path.ends_with(pack::name_of(*number)))
            {
                std::fs::remove_file(path)?;
            }
        }
        Ok(report)
    }
}

/// Copies the first `length` octets, unless they are there; the octets written.
fn copy_pack(source: &Path, target: &Path, length: u64) -> Result<u64> {
    if let Ok(mut there) = File::open(target)
        && same(&mut File::open(source)?, &mut there, length)?
    {
        return Ok(0);
    }
    let partial = target.with_extension("partial");
    let mut from = File::open(source)?.take(length);
    let mut to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&partial)?;
    let octets = std::io::copy(&mut from, &mut to)?;
    if octets != length {
        return Err(Error::Corrupt(format!(
            "{} became shorter",
            source.display()
        )));
    }
    to.flush()?;
    to.sync_all()?;
    std::fs::rename(&partial, target)?;
    Ok(octets.max(1))
}

fn same(a: &mut File, b: &mut File, length: u64) -> Result<bool> {
    if b.metadata()?.len() != length {
        return Ok(false);
    }
    let tail = length.saturating_sub(PROBE);
    for offset in [0, tail] {
        let mut pieces = [Vec::new(), Vec::new()];
        for (file, piece) in [&mut *a, &mut *b].into_iter().zip(&mut pieces) {
            file.seek(SeekFrom::Start(offset))?;
            file.take(PROBE.min(length - offset)).read_to_end(piece)?;
        }
        if pieces[0] != pieces[1] {
            return Ok(false);
        }
    }
    Ok(true)
}
