//! Mail from files into an account.

use std::path::Path;

use super::eml::Eml;
use super::maildir::Maildir;
use super::mbox::Mbox;
use super::{Account, Error, Format, Item, Progress};

/// Messages from files, in an order that is the same in every run.
pub(super) trait Source {
    /// The next message; None at the end. An error may concern one message only: the run goes on.
    fn next(&mut self) -> Option<Result<Item, Error>>;
    /// How much of the total the last message was.
    fn unit(&self) -> u64;
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Messages brought in.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that an earlier run had already brought in.
    pub known: u64,
    /// Messages left out; `Progress::skipped` said why.
    pub skipped: u64,
}

/// Brings everything under `path` into the account. An account that refuses a message (`Error::Account`) ends the run,
/// and the next run goes on there; a file that can't be read is skipped.
pub fn import(
    account: &mut dyn Account,
    format: Format,
    path: &Path,
    progress: &mut dyn Progress,
) -> Result<Imported, Error> {
    let path = path.canonicalize().map_err(super::at(path))?;
    let (mut source, total): (Box<dyn Source>, u64) = match format {
        Format::Maildir => {
            Maildir::open(&path).map(|(s, n)| (Box::new(s) as Box<dyn Source>, n))?
        }
        Format::Mbox => Mbox::open(&path).map(|(s, n)| (Box::new(s) as Box<dyn Source>, n))?,
        Format::Eml => Eml::open(&path).map(|(s, n)| (Box::new(s) as Box<dyn Source>, n))?,
    };
    progress.expect(total);
    let name = path.to_string_lossy().into_owned();
    let mut resume = account.resume_key(&name)?;
    let mut done = Imported::default();
    let mut position = 0u64;
    while let Some(item) = source.next() {
        position = position.saturating_add(source.unit());
        progress.at(position);
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                progress.skipped(&error.to_string());
                done.skipped += 1;
                continue;
            }
        };
        if let Some(last) = &resume {
            done.known += 1;
            if item.key == *last {
                resume = None;
            }
            continue;
        }
        if item.message.is_empty() {
            progress.skipped(&format!(
                "{}: an empty message",
                item.key.replace('\0', "/")
            ));
            done.skipped += 1;
            continue;
        }
        done.messages += 1;
        done.octets = done.octets.saturating_add(item.message.len() as u64);
        account.append(&name, item)?;
    }
    account.finish(&name)?;
    if resume.is_some() {
        // The message at which the earlier run stopped is gone, so where to go on is not known.
        return Err(Error::NotThis {
            path,
            why: "changed since the import that was cut off; nothing was brought in by this run. \
                  Run it again to import everything that is there now"
                .into(),
        });
    }
    Ok(done)
}
