//! Maildir++ (as Courier and Dovecot write it): messages in `cur` and `new`, folders as `.A.B` beside them, flags behind
//! `:2,` in the file name, keywords `a`-`z` named in `dovecot-keywords`, the internal date as the file's time, the unique-ids of POP3 clients in
//! `dovecot-uidlist`.

use std::fs;
use std::path::{Path, PathBuf};

use store::Flags;

use super::import::Source;
use super::uidlist::UidList;
use super::{Error, Item, canonical, entries, file_name, modified, read_message};

/// Which letter stands for which flag.
const LETTERS: [(char, Flags); 5] = [
    ('D', Flags::DRAFT),
    ('F', Flags::FLAGGED),
    ('R', Flags::ANSWERED),
    ('S', Flags::SEEN),
    ('T', Flags::DELETED),
];

/// The letters behind `:2,` for these flags, in the order of the alphabet.
pub fn letters(flags: Flags) -> String {
    LETTERS
        .iter()
        .filter(|(_, flag)| flags.contains(*flag))
        .map(|(letter, _)| letter)
        .collect()
}

/// The folder's directory name under the root: INBOX is the root itself.
pub fn directory(mailbox: &str) -> String {
    if mailbox == "INBOX" {
        return String::new();
    }
    let levels: Vec<String> = mailbox
        .split('/')
        // A dot separates levels in the directory name; Dovecot's listescape writes one that belongs to a name as \2e.
        .map(|level| {
            wire::utf7::encode(level)
                .replace('\\', "\\5c")
                .replace('.', "\\2e")
        })
        .collect();
    format!(".{}", levels.join("."))
}

/// The mailbox that a directory name (with its dot in front) stands for.
fn mailbox(directory: &str) -> String {
    let levels: Vec<String> = directory
        .trim_start_matches('.')
        .split('.')
        .map(|level| {
            let level = level.replace("\\2e", ".").replace("\\5c", "\\");
            // Not modified UTF-7: a name that some other program wrote; taken as it is.
            wire::utf7::decode(level.as_bytes())
                .unwrap_or(level)
                .replace('/', "_")
        })
        .collect();
    levels.join("/")
}

/// A Maildir that is read.
pub struct Maildir {
    /// Folders still to be read, the next one last.
    folders: Vec<(String, PathBuf)>,
    /// Messages of the folder being read, the next one last.
    files: Vec<PathBuf>,
    name: String,
    keywords: Vec<String>,
    unique_ids: UidList,
}

impl Maildir {
    /// Opens a Maildir and counts its messages.
    pub fn open(root: &Path) -> Result<(Maildir, u64), Error> {
        if !root.join("cur").is_dir() {
            return Err(Error::NotThis {
                path: root.to_path_buf(),
                why: "is not a Maildir: it has no folder 'cur'".into(),
            });
        }
        let mut folders = vec![("INBOX".to_string(), root.to_path_buf())];
        for path in entries(root)? {
            let name = file_name(&path);
            if name.starts_with('.') && path.join("cur").is_dir() {
                folders.push((mailbox(&name), path));
            }
        }
        folders.sort();
        let mut total = 0u64;
        for (_, path) in &folders {
            total += messages(path)?.len() as u64;
        }
        folders.reverse();
        let maildir = Maildir {
            folders,
            files: Vec::new(),
            name: String::new(),
            keywords: Vec::new(),
            unique_ids: UidList::default(),
        };
        Ok((maildir, total))
    }
}

/// The message files of a folder, sorted by their unique names.
fn messages(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for part in ["cur", "new"] {
        let part = folder.join(part);
        if part.is_dir() {
            files.extend(
                entries(&part)?
                    .into_iter()
                    .filter(|path| path.is_file() && !file_name(path).starts_with('.')),
            );
        }
    }
    files.sort_by_key(|path| file_name(path));
    Ok(files)
}

/// The part of a file name that stays when flags change.
pub(super) fn unique_name(name: &str) -> &str {
    name.split(":2,").next().unwrap_or(name)
}

/// The names behind the letters `a`-`z`: lines `0 name` in `dovecot-keywords`.
fn keyword_names(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("dovecot-keywords")).unwrap_or_default();
    let mut names = vec![String::new(); 26];
    for line in text.lines() {
        let mut words = line.splitn(2, ' ');
        let number = words.next().and_then(|word| word.parse::<usize>().ok());
        if let (Some(number), Some(name)) = (number, words.next())
            && let Some(slot) = names.get_mut(number)
        {
            *slot = name.to_string();
        }
    }
    names
}

/// Flags and keywords from the part behind `:2,`.
fn flags(name: &str, keyword_names: &[String]) -> (Flags, Vec<String>) {
    let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
    let mut flags = Flags::NONE;
    let mut keywords = Vec::new();
    for letter in letters.chars() {
        if let Some((_, flag)) = LETTERS.iter().find(|(known, _)| *known == letter) {
            flags = flags.with(*flag);
        } else if letter == 'P' {
            keywords.push("$Forwarded".to_string());
        } else if letter.is_ascii_lowercase()
            && let Some(name) = keyword_names.get(usize::from(letter as u8 - b'a'))
            && !name.is_empty()
        {
            keywords.push(name.clone());
        }
    }
    (flags, keywords)
}

impl Source for Maildir {
    fn next(&mut self) -> Option<Result<Item, Error>> {
        while self.files.is_empty() {
            let (name, path) = self.folders.pop()?;
            self.name = name;
            self.keywords = keyword_names(&path);
            // POP3 clients know INBOX alone.
            self.unique_ids = match self.name.as_str() {
                "INBOX" => UidList::read(&path),
                _ => UidList::default(),
            };
            match messages(&path) {
                Ok(files) => self.files = files.into_iter().rev().collect(),
                Err(error) => return Some(Err(error)),
            }
        }
        let path = self.files.pop()?;
        let name = file_name(&path);
        let (mut flags, keywords) = flags(&name, &self.keywords);
        if path.parent().is_some_and(|parent| parent.ends_with("new")) {
            flags = flags.without(Flags::SEEN);
        }
        Some(read_message(&path).map(|message| Item {
            mailbox: self.name.clone(),
            key: format!("{}\0{}", self.name, unique_name(&name)),
            pop3_uid: self.unique_ids.unique_id(unique_name(&name)),
            flags,
            keywords,
            received: modified(&path),
            message: canonical(message),
        }))
    }

    fn unit(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn folder_names_go_both_ways() {
        for name in [
            "Sent",
            "Archive/2024",
            "Entwürfe/Ablage",
            "a.b/c\\d",
            "日本語",
        ] {
            let directory = directory(name);
            assert!(
                directory.starts_with('.') && !directory.contains('/'),
                "{directory}"
            );
            assert_eq!(mailbox(&directory), name);
        }
        assert_eq!(directory("INBOX"), "");
        assert_eq!(mailbox(".Foreign&name"), "Foreign&name");
    }

    #[test]
    fn flags_of_a_name() {
        let names: Vec<String> = vec!["$Label1".into()];
        let table: [(&str, Flags, &[&str]); 4] = [
            ("1.a:2,", Flags::NONE, &[]),
            ("1.a", Flags::NONE, &[]),
            (
                "1.a:2,FRS",
                Flags::FLAGGED | Flags::ANSWERED | Flags::SEEN,
                &[],
            ),
            (
                "1.a:2,DPTaz",
                Flags::DRAFT | Flags::DELETED,
                &["$Forwarded", "$Label1"],
            ),
        ];
        for (name, expected, keywords) in table {
            let (flags, found) = flags(name, &names);
            assert_eq!(flags, expected, "{name}");
            assert_eq!(found, keywords, "{name}");
        }
        assert_eq!(letters(Flags::ALL), "DFRST");
    }
}
