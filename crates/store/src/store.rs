//! The store: opening, reading, writing, bodies, views.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::checkpoint::Checkpointer;
use crate::engine::Sql;
use crate::engine::sqlite::{Connection, Role};
use crate::error::{Error, Result};
use crate::pack::Packs;
use crate::readers::Readers;
use crate::reserve::Reserve;
use crate::returning;
use crate::schema;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;
use crate::view::{Notify, Registry, Subscription, View};
use crate::world::*;
use crate::writer::{Closure, Writer, WriterThread};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Read-only database connections (and so reads at the same time).
    pub readers: usize,
    /// Closures that may wait for the writer; beyond it writes fail with `Busy`.
    pub queue: usize,
    /// A pack is closed when it reaches this many octets.
    pub pack_size: u64,
    /// Octets kept back so that deletions work on a full disk.
    pub reserve: u64,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random octets.
    pub random: Arc<dyn Random>,
    /// The packs' disk.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            readers: 4,
            queue: 4096,
            pack_size: 64 << 20,
            reserve: 2 << 20,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            disk: Arc::new(SystemDisk),
        }
    }
}

/// A handle to an open store; clones share it. The last one closes it, after the writer has finished what waits.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.folder.display())
    }
}

pub(crate) struct Inner {
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) packs: Arc<Packs>,
    pub(crate) readers: Readers,
    writer: Arc<Writer>,
    pub(crate) views: Arc<Registry>,
    pub(crate) reserve: Arc<Reserve>,
    checkpointer: Arc<Checkpointer>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    recent: Mutex<HashMap<(AccountId, MailboxId), u32>>,
    maildrops: Arc<Mutex<HashSet<AccountId>>>,
    /// Held by what needs packs to stay where they are, and by what moves them.
    pub(crate) maintenance: Mutex<()>,
    lock: Mutex<Option<File>>,
}

impl Store {
    /// Opens (or creates) the store in a folder and takes the folder's lock: `Busy` when another process has it, `TooNew`
    /// when a newer version wrote it. Migrations run here, each behind a snapshot of the database.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Store> {
        let folder = folder.as_ref().to_owned();
        let lock = prepare_folder(&folder)?;
        let database = folder.join("waxwing.db");
        let connection = Connection::open(&database, Role::Writer)?;
        // The database's name must outlive a power cut before anything in it is acknowledged.
        options.disk.sync_folder(&folder)?;
        schema::migrate(
            &connection,
            schema::MIGRATIONS,
            &folder.join("snapshots"),
            options.clock.now(),
        )?;
        returning::settle(&connection)?;
        // The write-ahead log's name as well: the first migration or this checkpoint has created it.
        connection.checkpoint(true)?;
        options.disk.sync_folder(&folder)?;
        let sql: &dyn Sql = &connection;
        let next_body = sql
            .number("SELECT MAX(body_id) FROM body", &[])?
            .saturating_add(1);
        let packs = Arc::new(Packs::open(
            options.disk.clone(),
            options.random.clone(),
            &folder.join("packs"),
            options.pack_size,
            Reserve::margin(options.reserve),
            next_body,
        )?);
        let reserve = Arc::new(Reserve::new(options.disk.clone(), &folder, options.reserve));
        let views = Arc::new(Registry::default());
        let writer = Arc::new(Writer::new(options.queue));
        let (checkpointer, checkpoint_thread) = Checkpointer::start(database.clone())?;
        let thread = WriterThread {
            shared: writer.clone(),
            path: database.clone(),
            connection,
            packs: packs.clone(),
            views: views.clone(),
            clock: options.clock.clone(),
            reserve: reserve.clone(),
            checkpointer: checkpointer.clone(),
        };
        let writer_thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || thread.run())?;
        let inner = Inner {
            readers: Readers::new(database, options.readers),
            folder,
            options,
            packs,
            writer,
            views,
            reserve,
            checkpointer,
            threads: Mutex::new(vec![checkpoint_thread, writer_thread]),
            recent: Mutex::default(),
            maildrops: Arc::default(),
            maintenance: Mutex::new(()),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Store {
            inner: Arc::new(inner),
        })
    }

    /// Runs a closure on a consistent picture of the store. Never waits for the writer. Keep it short: it holds one of a few
    /// connections and keeps the WAL from being emptied.
    pub fn read<T>(&self, f: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.inner.readers.with(f)
    }

    /// Runs a closure in the writer's next transaction and returns when that is durable. An error (or panic) undoes this
    /// closure alone. No slow work inside: all other writers wait. Not from inside another write (`Internal`).
    pub fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if Writer::is_current() {
            return Err(Error::Internal(
                "a write inside a write would wait for itself".into(),
            ));
        }
        let (send, receive) = mpsc::sync_channel(1);
        self.write_then(f, move |result| {
            // Nobody waits any more only if the waiting thread is gone.
            let _ = send.send(result);
        });
        receive.recv().unwrap_or(Err(Error::Closed))
    }

    /// [`Store::write`] without a waiting thread: `done` runs on the writer thread once the outcome is certain (on this one,
    /// at once, with `Busy` when too many wait) and must only hand the result on.
    pub fn write_then<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.inner.writer.submit(Box::new(Closure::new(f, done)));
    }

    /// Appends a message's octets (the slices one behind the other) to a pack. They are durable, and kept, once a write that
    /// places them commits; otherwise they are reclaimed. Place them within the hour.
    pub fn append_body(&self, meta: &BodyMeta, slices: &[&[u8]]) -> Result<BodyRef> {
        if let Some(error) = self.inner.writer.failing() {
            return Err(error);
        }
        self.inner
            .packs
            .append(meta, slices, self.inner.options.clock.now())
    }

    /// [`Store::append_body`] and the parsing that placing needs. Do it before the write, outside the writer's turn.
    pub fn ingest(&self, meta: &BodyMeta, slices: &[&[u8]]) -> Result<Content> {
        let body = self.append_body(meta, slices)?;
        let joined;
        let raw: &[u8] = match slices {
            [one] => one,
            many => {
                joined = many.concat();
                &joined
            }
        };
        Ok(Content::parse(body, raw))
    }

    /// A whole message, verified against its checksum (`Corrupt` when that fails).
    pub fn body(&self, body: &BodyRef) -> Result<Vec<u8>> {
        self.with_body(body, |packs, body| packs.read(body))
    }

    /// Part of a message, verified likewise; the range is cut to the message.
    pub fn body_range(&self, body: &BodyRef, range: Range<u64>) -> Result<Vec<u8>> {
        self.with_body(body, |packs, body| packs.read_range(body, range.clone()))
    }

    /// Reads where the reference says, or, when housekeeping has moved the body since, where it is now.
    fn with_body<T>(
        &self,
        body: &BodyRef,
        read: impl Fn(&Packs, &BodyRef) -> Result<T>,
    ) -> Result<T> {
        match read(&self.inner.packs, body) {
            Err(Error::NotFound(_)) => {}
            other => return other,
        }
        match self.read(|snapshot| snapshot.body(body.id))? {
            Some(moved) if moved != *body => {
                read(&self.inner.packs, &moved).map_err(|error| match error {
                    Error::NotFound(_) => Error::Corrupt(format!("pack {} is missing", moved.pack)),
                    other => other,
                })
            }
            Some(same) => Err(Error::Corrupt(format!("pack {} is missing", same.pack))),
            None => Err(Error::NotFound("message")),
        }
    }

    /// The shared in-memory view of a mailbox, loaded when nobody has it yet, dropped with its last holder.
    pub fn view(&self, account: AccountId, mailbox: MailboxId) -> Result<Arc<View>> {
        self.view_as(account, account, mailbox)
    }

    /// The same as somebody sees it: `\Seen` is the reader's own where that is not the owner.
    pub fn view_as(
        &self,
        reader: AccountId,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Result<Arc<View>> {
        let reader = (reader != account).then_some(reader);
        self.inner.views.view((account, mailbox, reader), |load| {
            self.read(|snapshot| load(snapshot))
        })
    }

    /// Calls `notify` after each commit that changed the account's list of mailboxes or subscriptions.
    pub fn subscribe_account(&self, account: AccountId, notify: Arc<dyn Notify>) -> Subscription {
        self.inner.views.subscribe_account(account, notify)
    }

    /// Calls `notify` after each commit that changed anything of an account: messages, flags, names, rights, annotations.
    pub fn watch_account(&self, account: AccountId, notify: Arc<dyn Notify>) -> Subscription {
        self.inner.views.watch_account(account, notify)
    }

    /// For `\Recent` (RFC 3501 §2.3.2): the first UID that no earlier caller was told to be recent; messages from it on are
    /// recent to this caller alone. Kept in memory: what is there when a mailbox is first asked for after a start is not recent.
    pub fn claim_recent(&self, account: AccountId, mailbox: MailboxId, uid_next: u32) -> u32 {
        let mut recent = lock(&self.inner.recent);
        let claimed = recent.entry((account, mailbox)).or_insert(uid_next);
        let first = *claimed;
        *claimed = uid_next.max(first);
        first
    }

    /// The exclusive-access lock of a POP3 session (RFC 1939 §4); None while another session has it. Released on drop.
    pub fn lock_maildrop(&self, account: AccountId) -> Option<MaildropLock> {
        let new = lock(&self.inner.maildrops).insert(account);
        new.then(|| MaildropLock {
            account,
            all: self.inner.maildrops.clone(),
        })
    }

    /// Whether writes fail until a restart (after a disk error) or wait for space; the text says which. For status and alarms.
    pub fn trouble(&self) -> Option<String> {
        let failing = self.inner.writer.failing().map(|error| error.to_string());
        failing.or_else(|| {
            self.inner
                .reserve
                .low()
                .then(|| "the disk is nearly full: no new mail is taken".to_owned())
        })
    }

    /// Finishes what waits, refuses new work with `Closed`, empties the WAL and releases the folder. Dropping the last handle
    /// does the same.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        self.writer.close();
        self.checkpointer.close();
        // The last handle may be dropped by the writer itself, in an answer: it cannot wait for its own end.
        if Writer::is_current() {
            return;
        }
        self.readers.close();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
        lock(&self.lock).take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Creates what is missing of a data folder, durably, and locks it.
fn prepare_folder(folder: &Path) -> Result<File> {
    let mut missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|f| !f.as_os_str().is_empty() && !f.exists())
        .collect();
    missing.reverse();
    for new in missing {
        create_folder(new)?;
    }
    // Whoever made the folder may not have made its name durable.
    sync_parent(folder)?;
    for inside in ["packs", "snapshots"] {
        let path = folder.join(inside);
        if !path.exists() {
            create_folder(&path)?;
        }
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::Busy("another process has the data folder open"))
        }
        Err(error) => Err(Error::Io(format!(
            "the data folder cannot be locked: {error}"
        ))),
    }
}

/// Mail is nobody else's business: only the owner may look in.
fn create_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    sync_parent(path)
}

/// Makes the name of a folder durable.
fn sync_parent(path: &Path) -> Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match File::open(parent.unwrap_or(Path::new("."))) {
        Ok(parent) => Ok(parent.sync_all()?),
        // A parent that we may not look into was not made by us.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held by the one POP3 session of an account.
#[derive(Debug)]
pub struct MaildropLock {
    account: AccountId,
    all: Arc<Mutex<HashSet<AccountId>>>,
}

impl Drop for MaildropLock {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.account);
    }
}
