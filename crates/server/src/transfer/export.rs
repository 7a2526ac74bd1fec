//! Mail from an account into files.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use store::{Flags, Timestamp};

use super::{
    Account, Error, Folder, Format, Listed, Progress, at, entries, file_name, maildir, mbox,
};

/// Messages listed at a time.
const PAGE: usize = 500;

/// The state of mbox files, so that a second run goes on behind the last message.
const STATE: &str = ".waxwing-export.json";

/// What an export did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Messages written.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that were there from an earlier run.
    pub known: u64,
}

/// Writes the account's mail under `path`, which is made when missing.
pub fn export(
    account: &mut dyn Account,
    format: Format,
    path: &Path,
    progress: &mut dyn Progress,
) -> Result<Exported, Error> {
    fs::create_dir_all(path).map_err(at(path))?;
    let folders = account.folders()?;
    progress.expect(
        folders
            .iter()
            .map(|folder| u64::from(folder.messages))
            .sum(),
    );
    let mut run = Run {
        done: Exported::default(),
        progress,
        position: 0,
    };
    for folder in folders {
        match format {
            Format::Maildir => run.maildir(account, &folder, path)?,
            Format::Mbox => run.mbox(account, &folder, path)?,
            Format::Eml => run.eml(account, &folder, path)?,
        }
    }
    Ok(run.done)
}

struct Run<'p> {
    done: Exported,
    progress: &'p mut dyn Progress,
    position: u64,
}

impl Run<'_> {
    fn step(&mut self, written: Option<usize>) {
        match written {
            Some(octets) => {
                self.done.messages += 1;
                self.done.octets = self.done.octets.saturating_add(octets as u64);
            }
            None => self.done.known += 1,
        }
        self.position += 1;
        self.progress.at(self.position);
    }

    /// A file per message, named by UIDVALIDITY and UID; a changed flag renames it.
    fn maildir(
        &mut self,
        account: &mut dyn Account,
        folder: &Folder,
        root: &Path,
    ) -> Result<(), Error> {
        let directory = root.join(maildir::directory(&folder.name));
        for part in ["cur", "new", "tmp"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).map_err(at(&part))?;
        }
        let mut keywords = Keywords::open(&directory)?;
        let cur = directory.join("cur");
        let mut present: HashMap<String, PathBuf> = entries(&cur)?
            .into_iter()
            .map(|path| (unique(&file_name(&path)).to_string(), path))
            .collect();
        let mut after = 0;
        loop {
            let page = account.list(&folder.name, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.uid;
            for listed in page {
                let unique = format!(
                    "{}.V{}U{}.waxwing",
                    listed.received.max(0),
                    folder.uid_validity,
                    listed.uid
                );
                let letters = keywords.letters(&listed);
                let target = cur.join(format!("{unique}:2,{letters}"));
                if let Some(old) = present.remove(&unique) {
                    if old != target {
                        fs::rename(&old, &target).map_err(at(&target))?;
                    }
                    self.step(None);
                    continue;
                }
                let Some(message) = account.message(&folder.name, listed.uid)? else {
                    continue;
                };
                write_whole(
                    &directory.join("tmp").join(&unique),
                    &target,
                    &message,
                    listed.received,
                )?;
                self.step(Some(message.len()));
            }
        }
        sync_directory(&cur)
    }

    /// `NAME/UIDVALIDITY-UID.eml`; flags have no place in this format.
    fn eml(
        &mut self,
        account: &mut dyn Account,
        folder: &Folder,
        root: &Path,
    ) -> Result<(), Error> {
        let mut directory = root.to_path_buf();
        directory.extend(folder.name.split('/').map(safe_level));
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        let mut after = 0;
        loop {
            let page = account.list(&folder.name, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.uid;
            for listed in page {
                let name = format!("{}-{:010}.eml", folder.uid_validity, listed.uid);
                let target = directory.join(&name);
                if target.exists() {
                    self.step(None);
                    continue;
                }
                let Some(message) = account.message(&folder.name, listed.uid)? else {
                    continue;
                };
                write_whole(
                    &directory.join(format!(".{name}.part")),
                    &target,
                    &message,
                    listed.received,
                )?;
                self.step(Some(message.len()));
            }
        }
        sync_directory(&directory)
    }

    /// One file per mailbox. How long it is and up to which UID it reaches is noted after each page, once that is on disk.
    fn mbox(
        &mut self,
        account: &mut dyn Account,
        folder: &Folder,
        root: &Path,
    ) -> Result<(), Error> {
        let mut state = MboxState::read(root);
        let name = format!(
            "{}.mbox",
            folder
                .name
                .split('/')
                .map(safe_level)
                .collect::<Vec<_>>()
                .join("%")
        );
        let path = root.join(&name);
        let (mut after, length) = state.of(&folder.name, folder.uid_validity);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at(&path))?;
        file.set_len(length).map_err(at(&path))?;
        file.seek(SeekFrom::End(0)).map_err(at(&path))?;
        if after > 0 {
            let known = account.list(&folder.name, 0, usize::MAX)?;
            for _ in known.iter().take_while(|listed| listed.uid <= after) {
                self.step(None);
            }
        }
        let mut out = Vec::new();
        loop {
            let page = account.list(&folder.name, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.uid;
            for listed in page {
                let Some(message) = account.message(&folder.name, listed.uid)? else {
                    continue;
                };
                out.clear();
                out.extend_from_slice(mbox::from_line(listed.received).as_bytes());
                out.extend_from_slice(status_fields(&listed).as_bytes());
                mbox::quote(&message, &mut out);
                file.write_all(&out).map_err(at(&path))?;
                self.step(Some(message.len()));
            }
            file.sync_data().map_err(at(&path))?;
            let length = file.stream_position().map_err(at(&path))?;
            state.set(&folder.name, folder.uid_validity, after, length);
            state.write(root)?;
        }
        Ok(())
    }
}

/// The fields that carry flags in mbox; they stand on top of the message.
fn status_fields(listed: &Listed) -> String {
    let has = |flag| listed.flags.contains(flag);
    let mut text = format!("Status: {}O\n", if has(Flags::SEEN) { "R" } else { "" });
    let letters: String = [
        ('A', Flags::ANSWERED),
        ('F', Flags::FLAGGED),
        ('D', Flags::DELETED),
        ('T', Flags::DRAFT),
    ]
    .iter()
    .filter(|(_, flag)| has(*flag))
    .map(|(letter, _)| letter)
    .collect();
    if !letters.is_empty() {
        text.push_str(&format!("X-Status: {letters}\n"));
    }
    if !listed.keywords.is_empty() {
        text.push_str(&format!("X-Keywords: {}\n", listed.keywords.join(" ")));
    }
    text
}

/// The part of a Maildir file name that stays when flags change.
fn unique(name: &str) -> &str {
    name.split(":2,").next().unwrap_or(name)
}

/// A level of a mailbox name as a file name: what a path would read otherwise is written as `%XX`.
fn safe_level(level: &str) -> String {
    let mut out = String::new();
    for (at, c) in level.char_indices() {
        let first_dot = at == 0 && c == '.';
        if first_dot || c.is_control() || matches!(c, '/' | '\\' | '%' | ':') {
            let mut octets = [0; 4];
            for octet in c.encode_utf8(&mut octets).bytes() {
                out.push_str(&format!("%{octet:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes beside the target, makes it durable and puts it in place, so that a file that exists is whole.
fn write_whole(
    part: &Path,
    target: &Path,
    message: &[u8],
    received: Timestamp,
) -> Result<(), Error> {
    let mut file = File::create(part).map_err(at(part))?;
    file.write_all(message).map_err(at(part))?;
    let seconds = u64::try_from(received).unwrap_or(0);
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
        .map_err(at(part))?;
    file.sync_all().map_err(at(part))?;
    fs::rename(part, target).map_err(at(target))
}

fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(at(directory))
}

/// The `dovecot-keywords` file of a folder: which letter stands for which keyword. More than 26 have no letter.
struct Keywords {
    path: PathBuf,
    names: Vec<String>,
}

impl Keywords {
    fn open(directory: &Path) -> Result<Keywords, Error> {
        let path = directory.join("dovecot-keywords");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let names = text
            .lines()
            .filter_map(|line| line.split_once(' ').map(|(_, name)| name.to_string()))
            .collect();
        Ok(Keywords { path, names })
    }

    /// Flag and keyword letters of a message in the order of ASCII, as Maildir wants them.
    fn letters(&mut self, listed: &Listed) -> String {
        let mut letters: Vec<char> = maildir::letters(listed.flags).chars().collect();
        for keyword in &listed.keywords {
            if keyword.eq_ignore_ascii_case("$Forwarded") {
                letters.push('P');
                continue;
            }
            let known = self.names.iter().position(|name| name == keyword);
            let number = known.unwrap_or_else(|| {
                self.names.push(keyword.clone());
                self.save();
                self.names.len() - 1
            });
            if let Some(letter) = u8::try_from(number).ok().filter(|number| *number < 26) {
                letters.push(char::from(b'a' + letter));
            }
        }
        letters.sort_unstable();
        letters.into_iter().collect()
    }

    /// Best effort: the letters of messages without their names lose nothing but the names.
    fn save(&self) {
        let lines: String = self
            .names
            .iter()
            .take(26)
            .enumerate()
            .map(|(number, name)| format!("{number} {name}\n"))
            .collect();
        if let Err(error) = fs::write(&self.path, lines) {
            tracing::warn!(path = %self.path.display(), %error, "keyword names not written");
        }
    }
}

/// Up to where each mbox file is complete: mailbox → [UIDVALIDITY, last UID, octets].
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct MboxState(HashMap<String, (u32, u32, u64)>);

impl MboxState {
    fn read(root: &Path) -> MboxState {
        fs::read(root.join(STATE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn of(&self, mailbox: &str, uid_validity: u32) -> (u32, u64) {
        match self.0.get(mailbox) {
            Some((validity, uid, length)) if *validity == uid_validity => (*uid, *length),
            _ => (0, 0),
        }
    }

    fn set(&mut self, mailbox: &str, uid_validity: u32, uid: u32, length: u64) {
        self.0
            .insert(mailbox.to_string(), (uid_validity, uid, length));
    }

    fn write(&self, root: &Path) -> Result<(), Error> {
        let (part, target) = (root.join(format!("{STATE}.part")), root.join(STATE));
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let mut file = File::create(&part).map_err(at(&part))?;
        file.write_all(&bytes).map_err(at(&part))?;
        file.sync_all().map_err(at(&part))?;
        fs::rename(&part, &target).map_err(at(&target))
    }
}
