//! Whole accounts in and out: the folder formats that mail is kept in elsewhere (Maildir++, mbox, `.eml` files).
//!
//! This module reads and writes files and knows no store: an [`Account`] stands for the account, whether it is reached
//! through the admin socket or directly. Import goes by message and says after each which one it was (`Item::key`), so
//! that the account can remember it in the transaction that keeps the message; an import that was cut off goes on
//! behind the last one and brings nothing twice. Export writes under names that follow from mailbox and UID, so that a
//! second run only adds what is missing.
//!
//! Limits: one message is in memory at a time, at most [`MESSAGE_LIMIT`] octets; file names of one folder are held, sorted.

mod eml;
mod export;
mod import;
mod maildir;
mod mbox;
#[cfg(test)]
mod tests;
mod uidlist;

use std::io;
use std::path::{Path, PathBuf};

use store::{Flags, Timestamp};

pub use export::export;
pub use import::import;

/// The largest message that is read from a file, in octets. Larger ones than servers accept anywhere are damage.
pub const MESSAGE_LIMIT: u64 = 256 * 1024 * 1024;

/// How mail is kept in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Maildir++: a file per message, `.Folder.Sub` directories, flags in the name.
    Maildir,
    /// mbox (mboxrd quoting): a file per mailbox, `From ` lines between messages.
    Mbox,
    /// Files named `*.eml`, directories are mailboxes.
    Eml,
}

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Mailbox name, `/` between levels, UTF-8.
    pub mailbox: String,
    /// Names the message within its source; ascends in the order of reading.
    pub key: String,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<String>,
    /// When it was received; None when the source does not say.
    pub received: Option<Timestamp>,
    /// The unique-id that POP3 clients know it by (RFC 1939 §7), where the source has one.
    pub pop3_uid: Option<String>,
    /// The message, lines ending in CRLF.
    pub message: Vec<u8>,
}

/// A message in an account, as export needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: u32,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<String>,
    /// Internal date.
    pub received: Timestamp,
    /// Octets.
    pub size: u64,
}

/// A mailbox in an account, as export needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Full name, `/` between levels.
    pub name: String,
    /// RFC 9051 §2.3.1.1
    pub uid_validity: u32,
    /// Messages in it.
    pub messages: u32,
}

/// The account that mail is carried to or from.
pub trait Account {
    /// The key remembered for a source, if an earlier import of it was cut off.
    fn resume_key(&mut self, source: &str) -> Result<Option<String>, Error>;
    /// Keeps a message durably and remembers its key for the source in the same transaction.
    fn append(&mut self, source: &str, item: Item) -> Result<(), Error>;
    /// Forgets the key: the source was read to its end.
    fn finish(&mut self, source: &str) -> Result<(), Error>;
    /// All mailboxes.
    fn folders(&mut self) -> Result<Vec<Folder>, Error>;
    /// The messages of a mailbox with a UID above `after`, in order, at most `limit` of them.
    fn list(&mut self, folder: &str, after: u32, limit: usize) -> Result<Vec<Listed>, Error>;
    /// The octets of one message; None when it has gone meanwhile.
    fn message(&mut self, folder: &str, uid: u32) -> Result<Option<Vec<u8>>, Error>;
}

/// What a run tells while it works.
pub trait Progress {
    /// How many messages (or octets, for mbox) there will be in all.
    fn expect(&mut self, total: u64);
    /// How far the run has come, in the same unit.
    fn at(&mut self, position: u64);
    /// Something was left out, and why; the run goes on.
    fn skipped(&mut self, what: &str);
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The path holds no mail of this format.
    #[error("{path}: {why}")]
    NotThis {
        /// Which.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The account refused.
    #[error("{0}")]
    Account(String),
}

/// Adds the path to an input or output error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |error| Error::File {
        path: path.to_path_buf(),
        error,
    }
}

/// Ends every line in CRLF, as Internet messages have it (RFC 5322 §2.3). Octets that already do are left alone.
fn canonical(message: Vec<u8>) -> Vec<u8> {
    let bare = memchr::memchr_iter(b'\n', &message)
        .filter(|&at| at == 0 || message.get(at - 1) != Some(&b'\r'))
        .count();
    if bare == 0 {
        return message;
    }
    let mut out = Vec::with_capacity(message.len() + bare);
    let mut from = 0;
    for lf in memchr::memchr_iter(b'\n', &message) {
        let line = &message[from..lf];
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
        from = lf + 1;
    }
    out.extend_from_slice(&message[from..]);
    out
}

/// The octets of a file, refused above [`MESSAGE_LIMIT`].
fn read_message(path: &Path) -> Result<Vec<u8>, Error> {
    let length = std::fs::metadata(path).map_err(at(path))?.len();
    if length > MESSAGE_LIMIT {
        return Err(Error::NotThis {
            path: path.to_path_buf(),
            why: format!("is {length} octets long; a message may have {MESSAGE_LIMIT}"),
        });
    }
    std::fs::read(path).map_err(at(path))
}

/// When a file was last written, as seconds since 1970.
fn modified(path: &Path) -> Option<Timestamp> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// The entries of a directory, sorted by name, so that every run meets them in the same order.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(at(directory))? {
        paths.push(entry.map_err(at(directory))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The last component of a path as text; names that are not UTF-8 are shown with replacement characters.
fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
