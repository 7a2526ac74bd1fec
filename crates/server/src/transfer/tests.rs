//! Import and export against an account in memory: what goes out comes back, and a run that was cut off goes on.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use super::*;

#[derive(Default)]
struct Memory {
    folders: BTreeMap<String, Vec<(Listed, Vec<u8>)>>,
    keys: HashMap<String, String>,
    /// Refuses the append after this many.
    room: Option<usize>,
}

impl Account for Memory {
    fn resume_key(&mut self, source: &str) -> Result<Option<String>, Error> {
        Ok(self.keys.get(source).cloned())
    }

    fn append(&mut self, source: &str, item: Item) -> Result<(), Error> {
        if let Some(room) = &mut self.room {
            *room = room
                .checked_sub(1)
                .ok_or(Error::Account("over quota".into()))?;
        }
        self.keys.insert(source.into(), item.key);
        let folder = self.folders.entry(item.mailbox).or_default();
        let listed = Listed {
            uid: folder.len() as u32 + 1,
            flags: item.flags,
            keywords: item.keywords,
            received: item.received.unwrap_or(0),
            size: item.message.len() as u64,
        };
        folder.push((listed, item.message));
        Ok(())
    }

    fn finish(&mut self, source: &str) -> Result<(), Error> {
        self.keys.remove(source);
        Ok(())
    }

    fn folders(&mut self) -> Result<Vec<Folder>, Error> {
        let folder = |(name, messages): (&String, &Vec<_>)| Folder {
            name: name.clone(),
            uid_validity: 7,
            messages: messages.len() as u32,
        };
        Ok(self.folders.iter().map(folder).collect())
    }

    fn list(&mut self, folder: &str, after: u32, limit: usize) -> Result<Vec<Listed>, Error> {
        let messages = self.folders.get(folder).into_iter().flatten();
        let above = messages.filter(|(listed, _)| listed.uid > after);
        Ok(above
            .take(limit)
            .map(|(listed, _)| listed.clone())
            .collect())
    }

    fn message(&mut self, folder: &str, uid: u32) -> Result<Option<Vec<u8>>, Error> {
        let messages = self.folders.get(folder).into_iter().flatten();
        Ok(messages
            .filter(|(listed, _)| listed.uid == uid)
            .map(|(_, message)| message.clone())
            .next())
    }
}

#[derive(Default)]
struct Quiet {
    total: u64,
    position: u64,
    skipped: Vec<String>,
}

impl Progress for Quiet {
    fn expect(&mut self, total: u64) {
        self.total = total;
    }
    fn at(&mut self, position: u64) {
        assert!(position >= self.position && position <= self.total);
        self.position = position;
    }
    fn skipped(&mut self, what: &str) {
        self.skipped.push(what.into());
    }
}

fn sample() -> Memory {
    let mut account = Memory::default();
    let bodies = [
        "Subject: one\r\n\r\nFrom here\r\n>From there\r\n",
        "Subject: two\r\n\r\n\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n\r\nend\r\n\r\n",
        "Subject: three\r\n\r\n",
        "Subject: four\r\n\r\nzwölf Boxkämpfer\r\n",
    ];
    let folders = ["INBOX", "Archive/2024", "Entwürfe", "a.b"];
    for (n, body) in (0..40).map(|n| (n, bodies[n % 4])) {
        let item = Item {
            mailbox: folders[n / 10].into(),
            key: String::new(),
            flags: Flags((n % 32) as u8),
            keywords: if n % 3 == 0 {
                vec!["$Label1".into()]
            } else {
                Vec::new()
            },
            received: Some(1_000_000_000 + n as i64),
            pop3_uid: None,
            message: body.as_bytes().to_vec(),
        };
        account.append("sample", item).unwrap();
    }
    account.keys.clear();
    account
}

fn contents(account: &Memory) -> BTreeMap<String, Vec<(Listed, Vec<u8>)>> {
    account.folders.clone()
}

/// Takes the flag fields that mbox adds off again.
fn without_status(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let mut rest = text.as_str();
    for field in ["Status:", "X-Status:", "X-Keywords:"] {
        if rest.starts_with(field) {
            rest = rest.split_once("\r\n").unwrap().1;
        }
    }
    rest.as_bytes().to_vec()
}

#[test]
fn what_goes_out_comes_back() {
    for format in [Format::Maildir, Format::Mbox] {
        let folder = tempfile::tempdir().unwrap();
        let mut from = sample();
        let mut progress = Quiet::default();
        let done = export(&mut from, format, folder.path(), &mut progress).unwrap();
        assert_eq!((done.messages, done.known, progress.position), (40, 0, 40));
        let again = export(&mut from, format, folder.path(), &mut Quiet::default()).unwrap();
        assert_eq!((again.messages, again.known), (0, 40), "{format:?}");

        let mut to = Memory::default();
        let mut progress = Quiet::default();
        let done = import(&mut to, format, folder.path(), &mut progress).unwrap();
        assert_eq!(
            (done.messages, done.skipped),
            (40, 0),
            "{:?}",
            progress.skipped
        );
        assert_eq!(progress.position, progress.total);
        let mut expected = contents(&from);
        let mut found = contents(&to);
        if format == Format::Mbox {
            for (listed, message) in found.values_mut().flatten() {
                *message = without_status(message);
                listed.size = message.len() as u64;
            }
        }
        for (listed, _) in expected.values_mut().chain(found.values_mut()).flatten() {
            listed.keywords.sort();
        }
        assert_eq!(found, expected, "{format:?}");
    }
}

#[test]
fn an_import_that_was_cut_off_goes_on() {
    for format in [Format::Maildir, Format::Mbox, Format::Eml] {
        let folder = tempfile::tempdir().unwrap();
        export(&mut sample(), format, folder.path(), &mut Quiet::default()).unwrap();
        let mut account = Memory {
            room: Some(13),
            ..Memory::default()
        };
        let error = import(&mut account, format, folder.path(), &mut Quiet::default()).unwrap_err();
        assert!(matches!(error, Error::Account(_)), "{error}");
        account.room = None;
        let done = import(&mut account, format, folder.path(), &mut Quiet::default()).unwrap();
        assert_eq!((done.known, done.messages), (13, 27), "{format:?}");
        assert!(account.keys.is_empty());
        let count: usize = account.folders.values().map(Vec::len).sum();
        assert_eq!(count, 40, "{format:?}");
    }
}

#[test]
fn a_source_that_lost_its_place_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.eml"), "Subject: 1\n\n").unwrap();
    let mut account = Memory::default();
    let source = folder
        .path()
        .canonicalize()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    account.keys.insert(source, "INBOX\0gone.eml".into());
    let run =
        |account: &mut Memory| import(account, Format::Eml, folder.path(), &mut Quiet::default());
    assert!(
        run(&mut account)
            .unwrap_err()
            .to_string()
            .contains("Run it again")
    );
    assert_eq!(run(&mut account).unwrap().messages, 1);
    assert_eq!(account.folders["INBOX"][0].1, b"Subject: 1\r\n\r\n");
}

#[test]
fn a_path_of_another_format_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Maildir, Format::Mbox, Format::Eml] {
        let error = import(
            &mut Memory::default(),
            format,
            folder.path(),
            &mut Quiet::default(),
        );
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains(&*folder.path().file_name().unwrap().to_string_lossy()),
            "{text}"
        );
    }
}

#[test]
fn lines_become_crlf_once() {
    let table: [(&str, &str); 5] = [
        ("", ""),
        ("a\nb\n", "a\r\nb\r\n"),
        ("a\r\nb\n", "a\r\nb\r\n"),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("\na", "\r\na"),
    ];
    for (given, expected) in table {
        assert_eq!(canonical(given.into()), expected.as_bytes());
    }
}
