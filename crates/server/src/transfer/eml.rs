//! Files named `*.eml`: one message each. A directory is a mailbox named like it; files in the root go to INBOX.

use std::path::{Path, PathBuf};

use store::Flags;

use super::import::Source;
use super::{Error, Item, canonical, entries, file_name, modified, read_message};

/// How deep directories may lie in one another, so that a link to a directory above ends.
const DEPTH: usize = 32;

/// A file or a tree of files that is read.
pub struct Eml {
    /// Mailbox and file, the next one last.
    files: Vec<(String, PathBuf)>,
}

impl Eml {
    /// Finds the files.
    pub fn open(root: &Path) -> Result<(Eml, u64), Error> {
        let mut files = Vec::new();
        if root.is_file() {
            files.push(("INBOX".to_string(), root.to_path_buf()));
        } else {
            collect(root, "", DEPTH, &mut files)?;
        }
        if files.is_empty() {
            return Err(Error::NotThis {
                path: root.to_path_buf(),
                why: "holds no file whose name ends in '.eml'".into(),
            });
        }
        let total = files.len() as u64;
        files.reverse();
        Ok((Eml { files }, total))
    }
}

fn collect(
    directory: &Path,
    mailbox: &str,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Error> {
    let (directories, plain): (Vec<_>, Vec<_>) = entries(directory)?
        .into_iter()
        .partition(|path| path.is_dir());
    for path in plain {
        if path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("eml"))
        {
            let mailbox = if mailbox.is_empty() { "INBOX" } else { mailbox };
            files.push((mailbox.to_string(), path));
        }
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(());
    };
    for path in directories {
        let name = file_name(&path);
        let below = if mailbox.is_empty() {
            name
        } else {
            format!("{mailbox}/{name}")
        };
        collect(&path, &below, depth, files)?;
    }
    Ok(())
}

impl Source for Eml {
    fn next(&mut self) -> Option<Result<Item, Error>> {
        let (mailbox, path) = self.files.pop()?;
        Some(read_message(&path).map(|message| {
            let message = canonical(message);
            Item {
                key: format!("{mailbox}\0{}", file_name(&path)),
                flags: Flags::SEEN,
                keywords: Vec::new(),
                received: modified(&path),
                pop3_uid: None,
                mailbox,
                message,
            }
        }))
    }

    fn unit(&self) -> u64 {
        1
    }
}
