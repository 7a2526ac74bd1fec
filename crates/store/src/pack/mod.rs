//! Packs: append-only files of message bodies.
//!
//! Order: a body is appended, the pack synced, then the rows that refer to it are committed. So a body without a row is
//! possible (and reclaimed), a row without a body is not. A record that was once referred to is never written again.
//!
//! A pack goes through: *active* (appended to) → *full* or *abandoned* (only read) → *closing* (nothing new may refer to it,
//! what lives is copied) → removed. Abandoned is a pack that could not be written or synced: after a failed sync the kernel
//! may have dropped the pages and forgotten the error, so what was not durable before counts as lost, a new pack is begun,
//! and the sync is never tried again on the old one.
//!
//! On opening, the last pack is read through its headers. It is continued only when it ends cleanly; behind a torn record
//! a new pack is begun. Nothing is ever cut off.

mod record;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::types::{BodyId, BodyMeta, BodyRef};
use crate::world::{Disk, DiskFile, Random};
pub(crate) use record::Fixed;
use record::{Cut, FIXED, Header};

/// Open packs kept at hand for reading.
const HANDLES: usize = 64;
/// Octets of a pack's own header: "WXPACK\0\x01", number u32, zero u32, nonce u64, first body id i64.
const PACK_HEADER: u64 = 32;
const PACK_MAGIC: [u8; 8] = *b"WXPACK\0\x01";

/// All packs of a store.
#[derive(Debug)]
pub(crate) struct Packs {
    disk: Arc<dyn Disk>,
    random: Arc<dyn Random>,
    folder: PathBuf,
    pack_size: u64,
    /// Octets that must stay free on the disk for the database, so that deletions work when it is full.
    margin: u64,
    state: Mutex<State>,
    handles: Mutex<HashMap<u32, Arc<dyn DiskFile>>>,
}

#[derive(Debug)]
struct State {
    active: Option<Active>,
    /// Full packs whose end has not been synced yet.
    unsynced: Vec<(u32, Arc<dyn DiskFile>)>,
    /// Every pack that there is.
    packs: BTreeMap<u32, Pack>,
    last_number: u32,
    next_body: i64,
}

#[derive(Debug)]
struct Active {
    number: u32,
    file: Arc<dyn DiskFile>,
    length: u64,
    synced: u64,
}

#[derive(Debug, Default)]
struct Pack {
    /// From here on nothing is durable: its sync failed.
    lost_from: Option<u64>,
    /// It is being emptied; nothing new may refer to it.
    closing: bool,
    /// When it stopped being active, for packs of this run: bodies in it may still wait to be placed.
    sealed: Option<i64>,
}

impl Packs {
    /// Opens the packs in a folder. `next_body` is above every body id in the database.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        random: Arc<dyn Random>,
        folder: &Path,
        pack_size: u64,
        margin: u64,
        next_body: i64,
    ) -> Result<Packs> {
        let mut packs = BTreeMap::new();
        for path in disk.list(folder)? {
            if let Some(number) = number_of(&path) {
                packs.insert(number, Pack::default());
            }
        }
        let last_number = packs.keys().next_back().copied().unwrap_or(0);
        let this = Packs {
            disk,
            random,
            folder: folder.to_owned(),
            pack_size,
            margin,
            state: Mutex::new(State {
                active: None,
                unsynced: Vec::new(),
                packs,
                last_number,
                next_body,
            }),
            handles: Mutex::new(HashMap::new()),
        };
        if last_number > 0 {
            this.resume(last_number)?;
        }
        Ok(this)
    }

    /// Appends a record. Not durable before [`Packs::sync`].
    pub(crate) fn append(&self, meta: &BodyMeta, slices: &[&[u8]], now: i64) -> Result<BodyRef> {
        let size: u64 = slices.iter().map(|s| s.len() as u64).sum();
        if self.disk.free(&self.folder)? < size.saturating_add(self.margin) {
            return Err(Error::Full);
        }
        // The identifier is in the header, so it is taken first; one that is then not used does no harm.
        let id = {
            let mut state = self.state();
            let id = state.next_body;
            state.next_body += 1;
            BodyId(id)
        };
        let header = record::header(id, meta, slices)?;
        self.append_record(id, size, &header, slices, now)
    }

    fn append_record(
        &self,
        id: BodyId,
        size: u64,
        header: &[u8],
        slices: &[&[u8]],
        now: i64,
    ) -> Result<BodyRef> {
        let length = header.len() as u64 + size;
        let mut pieces = Vec::with_capacity(slices.len() + 1);
        pieces.push(header);
        pieces.extend_from_slice(slices);
        let mut state = self.state();
        let active = self.active(&mut state, length, now)?;
        let (number, offset) = (active.number, active.length);
        if let Err(error) = active.file.write_at(&pieces, offset) {
            // What is behind the last whole record is cut off if the disk lets us, else the pack is given up.
            if active.file.set_length(offset).is_err() {
                self.abandon(&mut state, now);
            }
            return Err(error.into());
        }
        active.length += length;
        Ok(BodyRef {
            id,
            pack: number,
            offset,
            length,
            size,
        })
    }

    /// Makes everything appended so far durable. On failure nothing that was not durable before can be placed any more.
    pub(crate) fn sync(&self, now: i64) -> Result<()> {
        let (unsynced, active) = {
            let mut state = self.state();
            let active = state.active.as_ref().filter(|a| a.synced < a.length);
            let active = active.map(|a| (a.number, a.file.clone(), a.length));
            (std::mem::take(&mut state.unsynced), active)
        };
        let mut result = Ok(());
        for (number, file) in unsynced {
            if let Err(error) = file.sync() {
                tracing::error!(pack = number, %error, "a pack could not be synced and is given up");
                result = Err(error.into());
            }
            // When it was left, `lost_from` was set to where it was durable; now all of it is.
            else if let Some(pack) = self.state().packs.get_mut(&number) {
                pack.lost_from = None;
            }
        }
        if let Some((number, file, length)) = active {
            let outcome = file.sync();
            let mut state = self.state();
            let same = state.active.as_mut().filter(|a| a.number == number);
            match (outcome, same) {
                (Ok(()), Some(active)) => active.synced = active.synced.max(length),
                // It became full meanwhile and waits in `unsynced` for the rest.
                (Ok(()), None) => {
                    if let Some(from) = state
                        .packs
                        .get_mut(&number)
                        .and_then(|p| p.lost_from.as_mut())
                    {
                        *from = length.max(*from);
                    }
                }
                (Err(error), same) => {
                    tracing::error!(pack = number, %error, "a pack could not be synced and is given up");
                    if same.is_some() {
                        self.abandon(&mut state, now);
                    }
                    state.unsynced.retain(|(n, _)| *n != number);
                    result = Err(error.into());
                }
            }
        }
        result
    }

    /// Whether rows may refer to this body: its pack is there, not being emptied, and not lost.
    pub(crate) fn placeable(&self, body: &BodyRef) -> bool {
        let state = self.state();
        // A full pack that still waits for its sync has `lost_from` set as well; the writer syncs it before it commits,
        // and when that fails the commit does not happen.
        let waiting = state
            .unsynced
            .iter()
            .any(|(number, _)| *number == body.pack);
        state.packs.get(&body.pack).is_some_and(|pack| {
            let lost = pack
                .lost_from
                .is_some_and(|from| body.offset + body.length > from);
            !pack.closing && (waiting || !lost)
        })
    }

    /// Reads a whole body and verifies it.
    pub(crate) fn read(&self, body: &BodyRef) -> Result<Vec<u8>> {
        self.read_with_meta(body).map(|(octets, _)| octets)
    }

    fn read_with_meta(&self, body: &BodyRef) -> Result<(Vec<u8>, BodyMeta)> {
        let file = self.file(body.pack)?;
        let mut head = head_for(body)?;
        let mut octets = buffer(body.size)?;
        fill_two(&*file, &mut head, &mut octets, body.offset)?;
        let header = header_of(body, &head)?;
        header.verify(0, &octets)?;
        Ok((octets, header.meta()))
    }

    /// Reads part of a body and verifies the blocks it touches.
    pub(crate) fn read_range(&self, body: &BodyRef, range: Range<u64>) -> Result<Vec<u8>> {
        let range = range.start..range.end.min(body.size);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let file = self.file(body.pack)?;
        let mut head = head_for(body)?;
        let around = Cut::NEW.around(&range, body.size);
        let mut octets = Vec::new();
        // Most parts that are asked for are headers: they come with the record's own header in one call.
        let at_once = around.start == 0;
        if at_once {
            octets = buffer(around.end)?;
            fill_two(&*file, &mut head, &mut octets, body.offset)?;
        } else {
            fill(&*file, &mut head, body.offset)?;
        }
        let header = header_of(body, &head)?;
        let around = header.fixed.cut.around(&range, body.size);
        if !at_once || header.fixed.cut != Cut::NEW {
            octets = buffer(around.end - around.start)?;
            let from = body.offset + header.fixed.header_length() + around.start;
            fill(&*file, &mut octets, from)?;
        }
        header.verify(around.start, &octets)?;
        octets.truncate((range.end - around.start) as usize);
        octets.drain(..(range.start - around.start) as usize);
        Ok(octets)
    }

    /// Copies a verified record to the active pack, under its own identifier.
    pub(crate) fn copy(&self, body: &BodyRef, now: i64) -> Result<BodyRef> {
        let (octets, meta) = self.read_with_meta(body)?;
        let bytes = record::header(body.id, &meta, &[&octets])?;
        self.append_record(body.id, body.size, &bytes, &[&octets], now)
    }

    /// Numbers and lengths of the packs that are no longer appended to, and that no body waiting to be placed can be in:
    /// sealed before `before`, or before this run.
    pub(crate) fn settled(&self, before: i64) -> Result<Vec<(u32, u64)>> {
        let numbers: Vec<u32> = {
            let state = self.state();
            let active = state.active.as_ref().map(|a| a.number);
            let packs = state.packs.iter().filter(|(number, pack)| {
                Some(**number) != active && pack.sealed.is_none_or(|at| at < before)
            });
            packs.map(|(number, _)| *number).collect()
        };
        numbers
            .into_iter()
            .map(|number| Ok((number, self.file(number)?.length()?)))
            .collect()
    }

    /// Every pack with the octets in it now.
    pub(crate) fn all(&self) -> Result<Vec<(u32, u64)>> {
        let numbers: Vec<u32> = self.state().packs.keys().copied().collect();
        numbers
            .into_iter()
            .map(|number| Ok((number, self.file(number)?.length()?)))
            .collect()
    }

    /// Forbids (or allows again) new references into a pack.
    pub(crate) fn set_closing(&self, number: u32, closing: bool) {
        if let Some(pack) = self.state().packs.get_mut(&number) {
            pack.closing = closing;
        }
    }

    /// Removes a pack to which nothing refers.
    pub(crate) fn remove(&self, number: u32) -> Result<()> {
        self.disk.remove(&self.path(number))?;
        self.handles().remove(&number);
        self.state().packs.remove(&number);
        Ok(self.disk.sync_folder(&self.folder)?)
    }

    /// Calls `each` with the offset and fixed header of the records of a pack up to its end or the first gap.
    pub(crate) fn scan(&self, number: u32, each: &mut dyn FnMut(u64, Fixed)) -> Result<Scan> {
        let file = self.file(number)?;
        let length = file.length()?;
        let mut head = [0u8; PACK_HEADER as usize];
        let read = file.read_at(&mut head, 0)?;
        let first_body = parse_pack_header(head.get(..read).unwrap_or_default(), number);
        let Some(first_body) = first_body else {
            return Ok(Scan {
                end: 0,
                length,
                next_body: 0,
                whole: false,
            });
        };
        let mut scan = Scan {
            end: PACK_HEADER,
            length,
            next_body: first_body,
            whole: true,
        };
        while scan.end < length {
            let mut bytes = [0u8; FIXED];
            let read = file.read_at(&mut bytes, scan.end)?;
            let fixed = bytes.get(..read).and_then(Fixed::parse);
            let next = fixed.map(|fixed| scan.end.saturating_add(fixed.record_length()));
            match (fixed, next) {
                (Some(fixed), Some(next))
                    if next <= length && self.sound(&*file, scan.end, &fixed)? =>
                {
                    each(scan.end, fixed);
                    scan.next_body = scan.next_body.max(fixed.id.0.saturating_add(1));
                    scan.end = next;
                }
                _ => {
                    scan.whole = false;
                    break;
                }
            }
        }
        Ok(scan)
    }

    /// The path of a pack.
    pub(crate) fn path(&self, number: u32) -> PathBuf {
        self.folder.join(name_of(number))
    }

    fn sound(&self, file: &dyn DiskFile, offset: u64, fixed: &Fixed) -> Result<bool> {
        let mut bytes = buffer(fixed.header_length())?;
        let read = file.read_at(&mut bytes, offset)?;
        Ok(read == bytes.len() && Header::parse(&bytes).is_ok())
    }

    /// Goes on with the last pack of an earlier run when it ends cleanly and has room.
    fn resume(&self, number: u32) -> Result<()> {
        let scan = self.scan(number, &mut |_, _| {})?;
        let file = self.file(number)?;
        // What an earlier run wrote but never synced may still be only in memory; it is made durable before anything
        // that comes behind it is trusted. If that fails, a new pack is begun.
        let whole = scan.whole && scan.end < self.pack_size && file.sync().is_ok();
        let mut state = self.state();
        state.next_body = state.next_body.max(scan.next_body);
        if whole {
            state.active = Some(Active {
                number,
                file,
                length: scan.end,
                synced: scan.end,
            });
        } else if !scan.whole {
            tracing::info!(
                pack = number,
                end = scan.end,
                length = scan.length,
                "the last pack ends in a torn record; a new one is begun"
            );
        }
        Ok(())
    }

    /// The pack to append `length` octets to; a new one when there is none or it is full.
    fn active<'s>(&self, state: &'s mut State, length: u64, now: i64) -> Result<&'s mut Active> {
        let full =
            |a: &Active| a.length > PACK_HEADER && a.length.saturating_add(length) > self.pack_size;
        if let Some(left) = state.active.take_if(|a| full(a)) {
            let pack = state.packs.entry(left.number).or_default();
            pack.sealed = Some(now);
            if left.synced < left.length {
                pack.lost_from = Some(left.synced);
                state.unsynced.push((left.number, left.file));
            }
        }
        if state.active.is_none() {
            let active = self.begin_pack(state)?;
            state.active = Some(active);
        }
        state.active.as_mut().ok_or(Error::Closed)
    }

    fn begin_pack(&self, state: &mut State) -> Result<Active> {
        let number = state
            .last_number
            .checked_add(1)
            .ok_or(Error::Limit("number of packs"))?;
        let path = self.path(number);
        let file = self.disk.create(&path)?;
        // The number is used up even if the rest fails: a half-made pack is left aside.
        state.last_number = number;
        state.packs.insert(number, Pack::default());
        let mut nonce = [0u8; 8];
        self.random.fill(&mut nonce);
        let mut header = Vec::with_capacity(PACK_HEADER as usize);
        header.extend_from_slice(&PACK_MAGIC);
        header.extend_from_slice(&number.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&nonce);
        header.extend_from_slice(&state.next_body.to_le_bytes());
        // The name must be durable before any row refers into the file.
        let made = file
            .write_at(&[&header], 0)
            .and_then(|()| self.disk.sync_folder(&self.folder));
        if let Err(error) = made {
            // On a full disk every attempt ends here: half-made packs must not pile up.
            if self.disk.remove(&path).is_ok() {
                state.packs.remove(&number);
            }
            return Err(error.into());
        }
        self.handles().insert(number, file.clone());
        Ok(Active {
            number,
            file,
            length: PACK_HEADER,
            synced: 0,
        })
    }

    fn abandon(&self, state: &mut State, now: i64) {
        if let Some(active) = state.active.take() {
            let pack = state.packs.entry(active.number).or_default();
            pack.lost_from = Some(active.synced);
            pack.sealed = Some(now);
        }
    }

    fn file(&self, number: u32) -> Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.handles().get(&number) {
            return Ok(file.clone());
        }
        let file = self
            .disk
            .open(&self.path(number))
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Error::NotFound("pack"),
                _ => error.into(),
            })?;
        let mut handles = self.handles();
        if handles.len() >= HANDLES {
            // Any one goes: packs are few, and opening one again is cheap.
            let victim = handles.keys().next().copied();
            victim.and_then(|number| handles.remove(&number));
        }
        handles.insert(number, file.clone());
        Ok(file)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<u32, Arc<dyn DiskFile>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What reading through a pack found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    /// End of the last sound record.
    pub(crate) end: u64,
    /// End of the file.
    pub(crate) length: u64,
    /// Above every body id in it.
    pub(crate) next_body: i64,
    /// Whether nothing is behind `end`.
    pub(crate) whole: bool,
}

/// The file name of a pack.
pub(crate) fn name_of(number: u32) -> String {
    format!("{number:04}.pack")
}

fn number_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let number: u32 = name.strip_suffix(".pack")?.parse().ok()?;
    (name == name_of(number)).then_some(number)
}

fn parse_pack_header(bytes: &[u8], number: u32) -> Option<i64> {
    let own = bytes.get(8..12)?;
    (bytes.get(..8)? == PACK_MAGIC && own == number.to_le_bytes()).then_some(())?;
    Some(i64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?))
}

fn buffer(length: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(length)
        .ok()
        .filter(|l| *l as u64 <= record::SIZE_LIMIT);
    let length = length.ok_or_else(|| Error::Corrupt("a body has an impossible length".into()))?;
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(length)
        .map_err(|_| Error::Busy("not enough memory for a message"))?;
    buffer.resize(length, 0);
    Ok(buffer)
}

fn fill(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> Result<()> {
    if file.read_at(buffer, offset)? == buffer.len() {
        Ok(())
    } else {
        Err(Error::Corrupt("a pack ends before its record does".into()))
    }
}

/// Fills both buffers, one behind the other.
fn fill_two(file: &dyn DiskFile, first: &mut [u8], second: &mut [u8], offset: u64) -> Result<()> {
    let wanted = first.len().saturating_add(second.len());
    if file.read_two_at(first, second, offset)? == wanted {
        Ok(())
    } else {
        Err(Error::Corrupt("a pack ends before its record does".into()))
    }
}

/// Room for the header of a body's record.
fn head_for(body: &BodyRef) -> Result<Vec<u8>> {
    let length = body.length.checked_sub(body.size);
    let length = length.filter(|length| *length <= record::longest_header(body.size));
    buffer(length.ok_or_else(|| mismatch(body))?)
}

/// The verified header of a body's record.
fn header_of<'h>(body: &BodyRef, head: &'h [u8]) -> Result<Header<'h>> {
    let header = Header::parse(head)?;
    if header.fixed.id == body.id && header.fixed.size == body.size {
        Ok(header)
    } else {
        Err(mismatch(body))
    }
}

fn mismatch(body: &BodyRef) -> Error {
    Error::Corrupt(format!("body {} is not where its row says", body.id.0))
}

#[cfg(test)]
mod tests;
