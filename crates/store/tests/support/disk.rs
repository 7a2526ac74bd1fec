//! A disk in memory that knows what a power cut would leave: per file what is synced, each write since, and which names are
//! durable. At a chosen call it stops the world; from then on every call fails.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use waxwing_store::{Disk, DiskFile};

/// What is on the platter after the cut, of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    Nothing,
    Everything,
    /// All but the second half of the last write.
    Torn,
    /// Some of the writes, by this seed.
    Some(u64),
}

#[derive(Debug, Clone)]
enum Write {
    Data(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    synced: Vec<u8>,
    /// Since the last sync, in order.
    writes: Vec<Write>,
    /// What reading gives: everything.
    cached: Vec<u8>,
    /// A sync failed: what was unsynced then is in memory only and no later sync brings it to the platter.
    name_durable: bool,
    removed: bool,
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The world stops.
    Cut,
    /// This sync (counted alone) fails, once.
    Sync,
    /// This and all later syncs fail.
    SyncsFrom,
    /// This write (counted alone) stops half way for want of space, and so do all until `full` is taken back.
    Full,
}

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Content>,
    calls: usize,
    syncs: usize,
    writes: usize,
    fault: Option<(Fault, usize)>,
    frozen: bool,
    full: bool,
    on_cut: Option<Box<dyn FnOnce() + Send>>,
}

#[derive(Clone, Default)]
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for FakeDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeDisk")
    }
}

fn apply(bytes: &mut Vec<u8>, write: &Write) {
    match write {
        Write::Data(offset, data) => {
            let end = *offset as usize + data.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*offset as usize..end].copy_from_slice(data);
        }
        Write::Length(length) => bytes.resize(*length as usize, 0),
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl FakeDisk {
    pub fn arm(&self, fault: Fault, at: usize, on_cut: impl FnOnce() + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.fault = Some((fault, at));
        state.on_cut = Some(Box::new(on_cut));
        (state.calls, state.syncs, state.writes) = (0, 0, 0);
    }

    pub fn frozen(&self) -> bool {
        self.state.lock().unwrap().frozen
    }

    pub fn set_full(&self, full: bool) {
        let mut state = self.state.lock().unwrap();
        (state.full, state.fault) = (full, None);
    }

    /// Calls, syncs and writes since the arming.
    pub fn counted(&self) -> (usize, usize, usize) {
        let state = self.state.lock().unwrap();
        (state.calls, state.syncs, state.writes)
    }

    /// The disk as the next start finds it.
    pub fn after_cut(&self, left: Left) -> FakeDisk {
        let state = self.state.lock().unwrap();
        let mut files = BTreeMap::new();
        for (path, content) in &state.files {
            let everything = matches!(left, Left::Everything);
            let gone = if content.removed {
                everything
            } else {
                !content.name_durable && matches!(left, Left::Nothing)
            };
            if gone {
                continue;
            }
            let mut bytes = content.synced.clone();
            let last = content.writes.len().wrapping_sub(1);
            for (n, write) in content.writes.iter().enumerate() {
                match (left, write) {
                    (Left::Nothing, _) => {}
                    (Left::Torn, Write::Data(offset, data)) if n == last => {
                        apply(
                            &mut bytes,
                            &Write::Data(*offset, data[..data.len() / 2].to_vec()),
                        );
                    }
                    (Left::Some(seed), _)
                        if (seed >> ((n + path.as_os_str().len()) % 60)) & 1 == 0 => {}
                    _ => apply(&mut bytes, write),
                }
            }
            let content = Content {
                cached: bytes.clone(),
                synced: bytes,
                name_durable: true,
                ..Content::default()
            };
            files.insert(path.clone(), content);
        }
        FakeDisk {
            state: Arc::new(Mutex::new(State {
                files,
                ..State::default()
            })),
        }
    }

    /// Files are found under another folder.
    pub fn moved(self, from: &Path, to: &Path) -> FakeDisk {
        {
            let mut state = self.state.lock().unwrap();
            let files = std::mem::take(&mut state.files);
            state.files = files
                .into_iter()
                .map(|(path, c)| (to.join(path.strip_prefix(from).unwrap()), c))
                .collect();
        }
        self
    }

    /// Flips one bit of a file on the platter and in the cache.
    pub fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.state.lock().unwrap();
        let content = state.files.get_mut(path).unwrap();
        content.cached[bit / 8] ^= 1 << (bit % 8);
    }

    pub fn paths(&self) -> Vec<(PathBuf, usize)> {
        self.state
            .lock()
            .unwrap()
            .files
            .iter()
            .filter(|(_, c)| !c.removed)
            .map(|(p, c)| (p.clone(), c.cached.len()))
            .collect()
    }

    fn call<T>(&self, f: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap();
        if state.frozen {
            return Err(eio());
        }
        state.calls += 1;
        if state.fault == Some((Fault::Cut, state.calls)) {
            state.frozen = true;
            if let Some(on_cut) = state.on_cut.take() {
                on_cut();
            }
            return Err(eio());
        }
        f(&mut state)
    }
}

impl Disk for FakeDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call(|state| {
            if state.files.get(path).is_some_and(|c| !c.removed) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.insert(path.to_owned(), Content::default());
            Ok(())
        })?;
        Ok(Arc::new(FakeFile {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock().unwrap();
        if state.files.get(path).is_none_or(|c| c.removed) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(FakeFile {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state.lock().unwrap();
        Ok(state
            .files
            .iter()
            .filter(|(p, c)| p.parent() == Some(folder) && !c.removed)
            .map(|(p, _)| p.clone())
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            let content = state.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
            content.removed = true;
            if !content.name_durable {
                state.files.remove(path);
            }
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(|state| {
            state
                .files
                .retain(|p, c| p.parent() != Some(folder) || !c.removed);
            for (path, content) in &mut state.files {
                content.name_durable |= path.parent() == Some(folder);
            }
            Ok(())
        })
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    path: PathBuf,
}

impl DiskFile for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state.lock().unwrap();
        let bytes = &state
            .files
            .get(&self.path)
            .ok_or(io::ErrorKind::NotFound)?
            .cached;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut data = slices.concat();
        self.disk.call(|state| {
            state.writes += 1;
            state.full |= state.fault == Some((Fault::Full, state.writes));
            let full = state.full;
            if full {
                data.truncate(data.len() / 2);
            }
            let content = state
                .files
                .get_mut(&self.path)
                .ok_or(io::ErrorKind::NotFound)?;
            let write = Write::Data(offset, data);
            apply(&mut content.cached, &write);
            content.writes.push(write);
            if full { Err(enospc()) } else { Ok(()) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call(|state| {
            state.syncs += 1;
            let fails = match state.fault {
                Some((Fault::Sync, at)) => state.syncs == at,
                Some((Fault::SyncsFrom, at)) => state.syncs >= at,
                _ => false,
            };
            let content = state
                .files
                .get_mut(&self.path)
                .ok_or(io::ErrorKind::NotFound)?;
            let writes = std::mem::take(&mut content.writes);
            if fails {
                // The kernel drops what it could not write and says so once: the lie that must not be believed.
                return Err(eio());
            }
            writes
                .iter()
                .for_each(|write| apply(&mut content.synced, write));
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state.lock().unwrap();
        Ok(state
            .files
            .get(&self.path)
            .ok_or(io::ErrorKind::NotFound)?
            .cached
            .len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.call(|state| {
            let content = state
                .files
                .get_mut(&self.path)
                .ok_or(io::ErrorKind::NotFound)?;
            let write = Write::Length(length);
            apply(&mut content.cached, &write);
            content.writes.push(write);
            Ok(())
        })
    }
}
