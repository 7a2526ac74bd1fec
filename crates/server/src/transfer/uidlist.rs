//! `dovecot-uidlist`: which message POP3 clients of a Maildir knew by which unique-id.
//!
//! ```text
//! 3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1
//! 25006 :1276528487.M364837P9451.host,S=1355,W=1394
//! 25017 W2481 P0000000753e8a1c2 :1276533073.M242911P3632.host
//! ```
//! UIDVALIDITY in the first line, then the UID of each file. `P` is a unique-id that was saved, or was brought along from a
//! server before. Without it Dovecot makes one of UID and UIDVALIDITY as `pop3_uidl_format` says; the one it has unless
//! somebody changed it is assumed here. An assumption that is wrong makes clients fetch mail again, as none would.
//!
//! Limits: a list of at most [`LIST_LIMIT`] octets; a larger one, and one that cannot be read, is as good as none.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::maildir::unique_name;

/// Room for a line of 64 octets for each of two million messages.
const LIST_LIMIT: u64 = 128 * 1024 * 1024;

/// Unique-ids by the unique names of files.
#[derive(Debug, Default)]
pub(super) struct UidList {
    ids: HashMap<Box<str>, Box<str>>,
}

impl UidList {
    /// The list in a folder, where there is one.
    pub(super) fn read(folder: &Path) -> UidList {
        match std::fs::File::open(folder.join("dovecot-uidlist")) {
            Ok(file) => UidList::parse(BufReader::new(file.take(LIST_LIMIT))),
            Err(_) => UidList::default(),
        }
    }

    /// The unique-id of a file.
    pub(super) fn unique_id(&self, unique_name: &str) -> Option<String> {
        self.ids.get(unique_name).map(|id| String::from(&**id))
    }

    fn parse(mut list: impl BufRead) -> UidList {
        let mut ids = HashMap::new();
        let mut line = Vec::new();
        let mut validity = None;
        loop {
            line.clear();
            match list.read_until(b'\n', &mut line) {
                Ok(read) if read > 0 => {}
                _ => return UidList { ids },
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                continue;
            };
            let text = text.trim_end_matches(['\r', '\n']);
            match validity {
                None => match first_line(text) {
                    Some(found) => validity = Some(found),
                    None => return UidList::default(),
                },
                Some(validity) => ids.extend(entry(text, validity)),
            }
        }
    }
}

/// UIDVALIDITY: `3 V<validity> …`, in older lists `1 <validity> <next UID>`.
fn first_line(line: &str) -> Option<u32> {
    let mut words = line.split(' ');
    match words.next()? {
        "3" => words.find_map(|word| word.strip_prefix('V'))?.parse().ok(),
        "1" => words.next()?.parse().ok(),
        _ => None,
    }
}

/// Unique name and unique-id of a line: `<UID> [<letter><value> …] :<file name>`, in older lists `<UID> <file name>`.
fn entry(line: &str, validity: u32) -> Option<(Box<str>, Box<str>)> {
    let (uid, rest) = line.split_once(' ')?;
    let uid: u32 = uid.parse().ok()?;
    let (fields, name) = match rest.strip_prefix(':') {
        Some(name) => ("", name),
        None => rest.split_once(" :").unwrap_or(("", rest)),
    };
    let saved = fields.split(' ').find_map(|field| field.strip_prefix('P'));
    let id = match saved {
        Some(saved) if !saved.is_empty() => saved.into(),
        _ => format!("{uid:08x}{validity:08x}").into(),
    };
    Some((unique_name(name).into(), id))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn saved_ids_and_those_made_of_numbers() {
        let list = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n\
            25006 :1276528487.M364837P9451.host,S=1355,W=1394:2,S\n\
            25017 W2481 P0000000753e8a1c2 :1276533073.M242911P3632.host\n\
            25018 P :1276533074.a b.host\n\
            garbage\n\
            x :1276533075.host\n";
        let list = UidList::parse(list.as_bytes());
        let cases = [
            (
                "1276528487.M364837P9451.host,S=1355,W=1394",
                Some("000061ae4c0907b0"),
            ),
            ("1276533073.M242911P3632.host", Some("0000000753e8a1c2")),
            ("1276533074.a b.host", Some("000061ba4c0907b0")),
            ("1276533075.host", None),
        ];
        for (name, expected) in cases {
            assert_eq!(list.unique_id(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn older_lists_and_what_is_no_list() {
        let old = UidList::parse(&b"1 1065000000 8\r\n7 1070000000.host:2,RS\r\n"[..]);
        assert_eq!(
            old.unique_id("1070000000.host").as_deref(),
            Some("000000073f7a9c40")
        );
        for other in ["", "2 V1 N2\n1 :a\n", "3 N2\n1 :a\n", "<html>\n1 :a\n"] {
            assert!(UidList::parse(other.as_bytes()).ids.is_empty(), "{other}");
        }
    }
}
