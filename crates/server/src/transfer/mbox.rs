//! mbox: messages behind `From sender date` lines (RFC 4155 tells the idea). Written as mboxrd: a `>` in front of every
//! line that begins with `From ` behind any number of `>`, which reads back exactly. Flags are in `Status`, `X-Status`
//! and `X-Keywords` fields, which are read and left where they are.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use store::{Flags, Timestamp};

use super::import::Source;
use super::{Error, Item, MESSAGE_LIMIT, at, canonical, entries, file_name, modified};

/// The longest `From ` line looked at; longer ones are text.
const FROM_LINE_LIMIT: usize = 1024;

/// A file, or a directory of files, that is read.
pub struct Mbox {
    /// Mailbox and file, the next one last.
    files: Vec<(String, PathBuf)>,
    open: Option<Open>,
    unit: u64,
}

struct Open {
    mailbox: String,
    path: PathBuf,
    file: BufReader<File>,
    /// Offset of `from`, the `From ` line that begins the next message.
    offset: u64,
    from: Option<Vec<u8>>,
}

impl Mbox {
    /// Finds the files; the total is in octets.
    pub fn open(root: &Path) -> Result<(Mbox, u64), Error> {
        let mut files = Vec::new();
        if root.is_file() {
            files.push(("INBOX".to_string(), root.to_path_buf()));
        } else {
            for path in entries(root)? {
                let name = file_name(&path);
                if path.is_file() && !name.starts_with('.') && begins_with_from(&path) {
                    let stem = name
                        .strip_suffix(".mbox")
                        .unwrap_or(&name)
                        .replace('%', "/");
                    let inbox = stem.eq_ignore_ascii_case("inbox");
                    files.push((if inbox { "INBOX".into() } else { stem }, path));
                }
            }
        }
        if files.is_empty() || (root.is_file() && !begins_with_from(root)) {
            return Err(Error::NotThis {
                path: root.to_path_buf(),
                why: "is not an mbox: no file begins with a line 'From …'".into(),
            });
        }
        let mut total = 0u64;
        for (_, path) in &files {
            total += std::fs::metadata(path).map_err(at(path))?.len();
        }
        files.reverse();
        Ok((
            Mbox {
                files,
                open: None,
                unit: 0,
            },
            total,
        ))
    }
}

fn begins_with_from(path: &Path) -> bool {
    let mut start = [0u8; 5];
    File::open(path)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start))
        .is_ok_and(|()| &start == b"From ")
}

/// Whether a line begins a message: `From `, then somewhere a time `12:34`, as every writer puts it.
fn is_from_line(line: &[u8]) -> bool {
    line.starts_with(b"From ")
        && line.len() <= FROM_LINE_LIMIT
        && line.windows(5).any(|w| {
            matches!(w, [a, b, b':', c, d]
                if [a, b, c, d].into_iter().all(|digit| digit.is_ascii_digit()))
        })
}

impl Open {
    fn new(mailbox: String, path: PathBuf) -> Result<Open, Error> {
        let mut file = BufReader::new(File::open(&path).map_err(at(&path))?);
        let mut from = Vec::new();
        file.read_until(b'\n', &mut from).map_err(at(&path))?;
        Ok(Open {
            mailbox,
            path,
            file,
            offset: 0,
            from: Some(from),
        })
    }

    /// The next message and how many octets of the file it took.
    fn message(&mut self) -> Result<Option<(Item, u64)>, Error> {
        let Some(from) = self.from.take() else {
            return Ok(None);
        };
        let offset = self.offset;
        let mut message = Vec::new();
        let mut line = Vec::new();
        let mut blank = true;
        loop {
            line.clear();
            if self
                .file
                .read_until(b'\n', &mut line)
                .map_err(at(&self.path))?
                == 0
            {
                break;
            }
            if blank && is_from_line(&line) {
                self.from = Some(std::mem::take(&mut line));
                break;
            }
            blank = line == b"\n" || line == b"\r\n";
            if message.len() as u64 + line.len() as u64 > MESSAGE_LIMIT {
                return Err(Error::NotThis {
                    path: self.path.clone(),
                    why: format!("the message at octet {offset} is larger than {MESSAGE_LIMIT}"),
                });
            }
            let quoted = line.iter().take_while(|&&octet| octet == b'>').count();
            let unquoted = if quoted > 0 && line[quoted..].starts_with(b"From ") {
                1
            } else {
                0
            };
            message.extend_from_slice(&line[unquoted..]);
        }
        let end = self.file.stream_position().map_err(at(&self.path))?;
        self.offset = end - self.from.as_ref().map_or(0, |from| from.len() as u64);
        // The blank line in front of the next `From ` line belongs to the format.
        let end_of_text = message
            .strip_suffix(b"\r\n")
            .or(message.strip_suffix(b"\n"));
        if let Some(text) = end_of_text
            && (text.is_empty() || text.ends_with(b"\n"))
        {
            message.truncate(text.len());
        }
        let message = canonical(message);
        let (flags, keywords) = flags(&message);
        let item = Item {
            mailbox: self.mailbox.clone(),
            key: format!("{}\0{offset:020}", file_name(&self.path)),
            flags,
            keywords,
            received: from_line_date(&from).or_else(|| modified(&self.path)),
            pop3_uid: None,
            message,
        };
        Ok(Some((item, self.offset - offset)))
    }
}

/// Flags from `Status: RO`, `X-Status: AFDT` and `X-Keywords`.
fn flags(message: &[u8]) -> (Flags, Vec<String>) {
    let mut flags = Flags::NONE;
    let mut keywords = Vec::new();
    for line in message.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        let Some((name, value)) = text.split_once(':') else {
            continue;
        };
        let letters: &[(char, Flags)] = match name.to_ascii_lowercase().as_str() {
            "status" => &[('R', Flags::SEEN)],
            "x-status" => &[
                ('A', Flags::ANSWERED),
                ('F', Flags::FLAGGED),
                ('D', Flags::DELETED),
                ('T', Flags::DRAFT),
            ],
            "x-keywords" => {
                keywords.extend(value.split_whitespace().map(str::to_string));
                continue;
            }
            _ => continue,
        };
        for (letter, flag) in letters {
            if value.contains(*letter) {
                flags = flags.with(*flag);
            }
        }
    }
    (flags, keywords)
}

/// The date of `From sender Thu Jan  1 00:00:00 1970` (UTC), with or without a zone in front of the year or behind it.
fn from_line_date(line: &[u8]) -> Option<Timestamp> {
    if !is_from_line(line) {
        return None;
    }
    let text = String::from_utf8_lossy(line);
    // The sender may hold digits and anything else; it ends at a blank.
    let date = text.splitn(3, ' ').nth(2)?;
    let words: Vec<&str> = date.split_whitespace().collect();
    let clock = words.iter().position(|word| word.contains(':'))?;
    let (month, day) = (
        words.get(clock.checked_sub(2)?)?,
        words.get(clock.checked_sub(1)?)?,
    );
    let is_zone = |word: &&&str| word.starts_with(['+', '-']);
    let rest = words.get(clock.saturating_add(1)..)?;
    let year = rest.iter().find(|word| word.len() == 4)?;
    let zone = rest.iter().find(is_zone).unwrap_or(&"+0000");
    let date = format!("{day} {month} {year} {} {zone}", words.get(clock)?);
    mime::DateTime::parse(date.as_bytes()).map(|date| date.timestamp())
}

/// The line in front of a message that is written.
pub fn from_line(received: Timestamp) -> String {
    let date = mime::DateTime::from_timestamp(received, 0).to_string();
    let words: Vec<&str> = date
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .collect();
    // Fri, 21 Nov 1997 09:55:06 +0000 becomes Fri Nov 21 09:55:06 1997.
    let [weekday, day, month, year, clock, ..] = words.as_slice() else {
        return "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n".into();
    };
    format!("From MAILER-DAEMON {weekday} {month} {day:>2} {clock} {year}\n")
}

/// The message as mboxrd: lines end in LF, `From ` lines quoted, a blank line behind it.
pub fn quote(message: &[u8], out: &mut Vec<u8>) {
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        let depth = line.iter().take_while(|&&octet| octet == b'>').count();
        if line[depth..].starts_with(b"From ") {
            out.push(b'>');
        }
        match line.strip_suffix(b"\r\n") {
            Some(text) => {
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }
    if !message.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.push(b'\n');
}

impl Source for Mbox {
    fn next(&mut self) -> Option<Result<Item, Error>> {
        loop {
            if self.open.is_none() {
                let (mailbox, path) = self.files.pop()?;
                match Open::new(mailbox, path) {
                    Ok(open) => self.open = Some(open),
                    Err(error) => return Some(Err(error)),
                }
            }
            match self.open.as_mut()?.message() {
                Ok(Some((item, octets))) => {
                    self.unit = octets;
                    return Some(Ok(item));
                }
                Ok(None) => self.open = None,
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }

    fn unit(&self) -> u64 {
        self.unit
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn dates_of_from_lines() {
        let table: [(&str, Option<i64>); 6] = [
            ("From a@b Thu Jan  1 00:00:00 1970\n", Some(0)),
            (
                "From MAILER-DAEMON Fri Jul  8 12:08:34 2011\n",
                Some(1310126914),
            ),
            ("From a@b Thu Jan  1 01:00:00 +0100 1970\n", Some(0)),
            ("From a@b Thu Jan  1 01:00:00 1970 +0100\n", Some(0)),
            ("From a@b Thu Jan  1 00:00 1970\n", Some(0)),
            ("From the desk of\n", None),
        ];
        for (line, expected) in table {
            assert_eq!(from_line_date(line.as_bytes()), expected, "{line}");
        }
        for time in [0, 951_782_400, 1_310_126_914, 4_102_444_799] {
            assert_eq!(from_line_date(from_line(time).as_bytes()), Some(time));
        }
    }

    #[test]
    fn only_dated_lines_begin_a_message() {
        assert!(is_from_line(b"From a@b Thu Jan  1 00:00:00 1970\n"));
        assert!(!is_from_line(b"From here on it is text\n"));
        assert!(!is_from_line(b">From a@b Thu Jan  1 00:00:00 1970\n"));
    }
}
