//! The file that explains how a foreign server differs, one for each.
//!
//! ```toml
//! [[everywhere]]             # wherever it occurs
//! command = "{{*}} SELECT {{*}}"  # only behind such commands
//! ours = "* {{#}} RECENT"    # an expected response that may be missing
//! theirs = "* {{#}} RECENT"  # a response that may be there; with `ours`: instead
//! rfc = "RFC 9051 §E"
//! right = "both"
//! why = "…"
//!
//! [[difference]]
//! dialog = "imap/append.txt"
//! at = "C: b APPEND nowhere {10}"   # the client's line, as it stands in the dialog
//! ours = ["b NO [TRYCREATE] {{*}}"] # what is expected and not said
//! theirs = ["b OK {{*}}"]           # what is said and not expected
//! rfc = "RFC 9051 §6.3.12"          # the paragraph that decides
//! right = "ours"                    # or theirs, or both
//! why = "…"
//! stop = true                       # the dialog cannot go on from here
//! ```
//!
//! Instead of `rfc`, `right` and `why`, `lacks = "EXTENSION"` says that the
//! server does not announce what the command needs, and `follows = "C: …"`
//! that the difference is a consequence of the one at that line.

use super::replay::Difference;
use crate::dialog::pattern::{Pattern, Values};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use toml::{Table, Value};

/// What a server does otherwise, and why.
#[derive(Debug, Default)]
pub struct Differences {
    everywhere: Vec<Everywhere>,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// Who is right, and by which paragraph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// `RFC 9051 §6.4.5`, several with commas.
    pub rfc: String,
    /// `ours`, `theirs` or `both`.
    pub right: String,
    /// In a sentence.
    pub why: String,
}

/// Why a difference is none of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A paragraph decides.
    Paragraph(Reason),
    /// The server does not announce this.
    Lacks(String),
    /// It is a consequence of the difference at that line.
    Follows(String),
}

#[derive(Debug)]
struct Everywhere {
    command: Option<Pattern>,
    ours: Option<Pattern>,
    theirs: Option<Pattern>,
    /// The texts of both patterns, for the page.
    lines: (Vec<String>, Vec<String>),
    ground: Ground,
    text: String,
    used: AtomicBool,
}

/// A difference of one command of one dialog.
#[derive(Debug)]
pub struct Entry {
    /// `imap/append.txt`
    pub dialog: String,
    /// The client's line.
    pub at: String,
    /// What is expected and not said.
    pub ours: Vec<String>,
    /// What is said and not expected.
    pub theirs: Vec<String>,
    /// Why.
    pub ground: Ground,
    stop: bool,
    used: AtomicBool,
}

/// What the file says of a difference.
#[derive(Debug)]
pub enum Verdict {
    /// What differs everywhere is all there was.
    Nothing,
    /// The file has it.
    Explained,
    /// A report, with the lines that the file would need.
    Unexplained(String),
}

impl Differences {
    /// Reads a file; errors name the entry.
    pub fn read(path: &Path) -> Result<Differences, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Differences::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Parses the text of a file.
    pub fn parse(text: &str) -> Result<Differences, String> {
        let table: Table = text.parse().map_err(|e| format!("{e}"))?;
        let mut read = Differences::default();
        for (name, list) in &table {
            let list = list
                .as_array()
                .ok_or_else(|| format!("{name} is no list"))?;
            for item in list {
                let item = item.as_table().ok_or("an entry is no table")?;
                let add = match name.as_str() {
                    "everywhere" => everywhere(item).map(|e| read.everywhere.push(e)),
                    "difference" => entry(item).map(|e| read.entries.push(e)),
                    other => Err(format!("unknown table {other}")),
                };
                add.map_err(|why| format!("{why} in\n{item}"))?;
            }
        }
        Ok(read)
    }

    /// What differs everywhere: ours, theirs, why.
    pub fn everywhere(&self) -> impl Iterator<Item = (&[String], &[String], &Ground)> {
        let rules = self.everywhere.iter();
        rules.map(|r| (r.lines.0.as_slice(), r.lines.1.as_slice(), &r.ground))
    }

    /// Whether the dialog ends behind this command.
    pub fn stops(&self, dialog: &str, at: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|e| e.stop && e.dialog == dialog && e.at == at)
    }

    /// Looks a difference up, and takes from it what differs everywhere.
    pub fn explain(&self, dialog: &str, difference: &mut Difference) -> Verdict {
        let exact = |d: &Difference| {
            let mut entries = self.entries.iter();
            entries.find(|e| e.dialog == dialog && e.at == d.at && e.explains(d))
        };
        if let Some(entry) = exact(difference) {
            entry.used.store(true, Ordering::Relaxed);
            return Verdict::Explained;
        }
        for rule in &self.everywhere {
            while rule.take(difference) {}
        }
        if difference.ours.is_empty() && difference.theirs.is_empty() {
            return Verdict::Nothing;
        }
        if let Some(entry) = exact(difference) {
            entry.used.store(true, Ordering::Relaxed);
            return Verdict::Explained;
        }
        Verdict::Unexplained(skeleton(dialog, difference))
    }

    /// Entries that explained nothing.
    pub fn idle(&self) -> Vec<String> {
        let idle = |used: &AtomicBool| !used.load(Ordering::Relaxed);
        let rules = self.everywhere.iter().filter(|r| idle(&r.used));
        let rules = rules.map(|r| format!("occurs nowhere any more:\n{}", r.text));
        let entries = self.entries.iter().filter(|e| idle(&e.used));
        let entries =
            entries.map(|e| format!("{}: {:?} does not differ so any more", e.dialog, e.at));
        rules.chain(entries).collect()
    }

    /// Entries that name an extension which is announced, or a line that does not differ.
    pub fn unfounded(&self, announced: &BTreeSet<String>) -> Vec<String> {
        let rules = self.everywhere.iter().filter_map(|r| match &r.ground {
            Ground::Lacks(word) => announced
                .contains(word)
                .then(|| format!("it announces {word}:\n{}", r.text)),
            Ground::Follows(_) => Some(format!("follows nothing:\n{}", r.text)),
            Ground::Paragraph(_) => None,
        });
        let wrong = self.entries.iter().filter_map(|e| match &e.ground {
            Ground::Lacks(word) => announced
                .contains(word)
                .then(|| format!("{}: {:?}: it announces {word}", e.dialog, e.at)),
            Ground::Follows(at) => {
                let first = |o: &Entry| o.dialog == e.dialog && o.at == *at;
                (!self.entries.iter().any(first) || *at == e.at)
                    .then(|| format!("{}: {:?} follows nothing", e.dialog, e.at))
            }
            Ground::Paragraph(_) => None,
        });
        rules.chain(wrong).collect()
    }
}

impl Entry {
    fn explains(&self, difference: &Difference) -> bool {
        let fits = |text: &String, said: &Vec<u8>| {
            let pattern = Pattern::parse(text);
            pattern.is_ok_and(|p| p.matches(&unfolded(said), &mut Values::new()))
        };
        self.ours == difference.ours
            && self.theirs.len() == difference.theirs.len()
            && self
                .theirs
                .iter()
                .zip(&difference.theirs)
                .all(|(text, said)| fits(text, said))
    }
}

impl Everywhere {
    /// Takes one occurrence away.
    fn take(&self, difference: &mut Difference) -> bool {
        let mut values = Values::new();
        if let Some(command) = &self.command
            && !command.matches(difference.at.as_bytes(), &mut values)
        {
            return false;
        }
        let ours = self.ours.as_ref().map(|p| {
            let mut lines = difference.ours.iter();
            lines.position(|line| p.matches(line.as_bytes(), &mut Values::new()))
        });
        let theirs = self.theirs.as_ref().map(|p| {
            let mut lines = difference.theirs.iter();
            lines.position(|line| p.matches(&unfolded(line), &mut Values::new()))
        });
        if ours == Some(None) || theirs == Some(None) {
            return false;
        }
        if let Some(Some(n)) = ours {
            difference.ours.remove(n);
        }
        if let Some(Some(n)) = theirs {
            difference.theirs.remove(n);
        }
        self.used.store(true, Ordering::Relaxed);
        true
    }
}

/// One line for one response: line ends become `\r\n` in letters.
fn unfolded(said: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(said)
        .replace('\r', "\\r")
        .replace('\n', "\\n")
        .into_bytes()
}

/// The report, in the words of the file.
fn skeleton(dialog: &str, difference: &Difference) -> String {
    let quoted = |lines: Vec<String>| {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| Value::String(line.clone()).to_string())
            .collect();
        format!("[{}]", lines.join(", "))
    };
    let theirs = difference.theirs.iter().map(|said| generalised(said));
    format!(
        "[[difference]]\ndialog = {}\nat = {}\nours = {}\ntheirs = {}\n# line {}\n",
        Value::String(dialog.to_owned()),
        Value::String(difference.at.clone()),
        quoted(difference.ours.clone()),
        quoted(theirs.collect()),
        difference.line,
    )
}

/// A response without the text that says nothing and the numbers that change.
fn generalised(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&unfolded(said)).into_owned();
    if text.starts_with("* CAPABILITY ") {
        return "* CAPABILITY {{*}}".to_owned();
    }
    let text = text
        .split_inclusive(|c: char| !c.is_ascii_digit())
        .map(|part| {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
            // UIDVALIDITY is made of the time.
            match digits.len() >= 10 {
                true => part.replace(digits, "{{#}}"),
                false => part.to_owned(),
            }
        })
        .collect::<String>();
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    match words.as_slice() {
        ["+", ..] => "+ {{*}}".to_owned(),
        ["+OK" | "-ERR", ..] => match text.find(']') {
            Some(n) if words.get(1).is_some_and(|w| w.starts_with('[')) => {
                format!("{}{{{{*}}}}", &text[..=n])
            }
            _ => format!("{}{{{{*}}}}", words[0]),
        },
        [tag, word @ ("OK" | "NO" | "BAD" | "BYE"), rest] => match rest.find(']') {
            Some(n) if rest.starts_with('[') => format!("{tag} {word} {} {{{{*}}}}", &rest[..=n]),
            _ => format!("{tag} {word} {{{{*}}}}"),
        },
        _ => text,
    }
}

fn text(item: &Table, key: &str) -> Result<Option<String>, String> {
    match item.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key} is no text")),
    }
}

fn lines(item: &Table, key: &str) -> Result<Vec<String>, String> {
    let list = item.get(key).and_then(Value::as_array);
    let list = list.ok_or_else(|| format!("no list {key}"))?;
    let texts = list.iter().map(|v| v.as_str().map(str::to_owned));
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| format!("{key} has more than texts"))
}

fn reason(item: &Table) -> Result<Reason, String> {
    let need = |key: &str| text(item, key)?.ok_or_else(|| format!("no {key}"));
    let reason = Reason {
        rfc: need("rfc")?,
        right: need("right")?,
        why: need("why")?,
    };
    if !reason.rfc.starts_with("RFC ") && reason.rfc != "none" {
        return Err("rfc is no paragraph".to_owned());
    }
    match reason.right.as_str() {
        "ours" | "theirs" | "both" => Ok(reason),
        other => Err(format!("right = {other:?}")),
    }
}

fn ground(item: &Table) -> Result<Ground, String> {
    let ground = match (text(item, "lacks")?, text(item, "follows")?) {
        (Some(word), None) => Ground::Lacks(word.to_ascii_uppercase()),
        (None, Some(at)) => Ground::Follows(at),
        (None, None) => return reason(item).map(Ground::Paragraph),
        _ => return Err("lacks and follows".to_owned()),
    };
    match item.contains_key("rfc") {
        true => Err("two grounds".to_owned()),
        false => Ok(ground),
    }
}

fn known(item: &Table, keys: &[&str]) -> Result<(), String> {
    match item.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown key {key}")),
        None => Ok(()),
    }
}

fn everywhere(item: &Table) -> Result<Everywhere, String> {
    let keys = ["command", "ours", "theirs", "rfc", "right", "why", "lacks"];
    known(item, &keys)?;
    let pattern = |key| {
        text(item, key)?
            .map(|text| Pattern::parse(&text))
            .transpose()
    };
    let rule = Everywhere {
        command: pattern("command")?,
        ours: pattern("ours")?,
        theirs: pattern("theirs")?,
        lines: (
            text(item, "ours")?.into_iter().collect(),
            text(item, "theirs")?.into_iter().collect(),
        ),
        ground: ground(item)?,
        text: item.to_string(),
        used: AtomicBool::new(false),
    };
    match (&rule.ours, &rule.theirs) {
        (None, None) => Err("neither ours nor theirs".to_owned()),
        _ => Ok(rule),
    }
}

fn entry(item: &Table) -> Result<Entry, String> {
    let keys = [
        "dialog", "at", "ours", "theirs", "rfc", "right", "why", "stop", "lacks", "follows",
    ];
    known(item, &keys)?;
    let need = |key: &str| text(item, key)?.ok_or_else(|| format!("no {key}"));
    Ok(Entry {
        dialog: need("dialog")?,
        at: need("at")?,
        ours: lines(item, "ours")?,
        theirs: lines(item, "theirs")?,
        ground: ground(item)?,
        stop: item.get("stop").and_then(Value::as_bool) == Some(true),
        used: AtomicBool::new(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[[everywhere]]
ours = "* {{#}} RECENT"
rfc = "RFC 9051 §E"
right = "both"
why = "it is gone"

[[difference]]
dialog = "imap/x.txt"
at = "C: a NOOP"
ours = ["a OK {{*}}"]
theirs = ["a NO {{*}}"]
rfc = "RFC 9051 §6.1.2"
right = "ours"
why = "always succeeds"

[[difference]]
dialog = "imap/x.txt"
at = "C: b NOOP"
ours = []
theirs = ["* 1 EXISTS"]
follows = "C: a NOOP"
"#;

    fn difference(at: &str, ours: &[&str], theirs: &[&str]) -> Difference {
        Difference {
            at: at.to_owned(),
            line: 1,
            ours: ours.iter().map(|l| (*l).to_owned()).collect(),
            theirs: theirs.iter().map(|l| l.as_bytes().to_vec()).collect(),
        }
    }

    #[test]
    fn a_difference_is_explained_or_reported() {
        let file = Differences::parse(FILE).expect("file");
        let mut recent = difference("C: x NOOP", &["* 0 RECENT", "* 1 RECENT"], &[]);
        assert!(matches!(
            file.explain("imap/x.txt", &mut recent),
            Verdict::Nothing
        ));
        let mut known = difference("C: a NOOP", &["a OK {{*}}", "* 0 RECENT"], &["a NO never"]);
        assert!(matches!(
            file.explain("imap/x.txt", &mut known),
            Verdict::Explained
        ));
        let mut other = difference("C: a NOOP", &["a OK {{*}}"], &["a BAD never"]);
        let Verdict::Unexplained(text) = file.explain("imap/x.txt", &mut other) else {
            panic!("explained");
        };
        assert!(text.contains("theirs = [\"a BAD {{*}}\"]"), "{text}");
        assert_eq!(file.idle().len(), 1);
        assert!(file.unfounded(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn a_file_that_says_too_little_is_refused() {
        for (text, want) in [
            (FILE.replace("why = \"always succeeds\"", ""), "no why"),
            (
                FILE.replace("right = \"ours\"", "right = \"me\""),
                "right =",
            ),
            (FILE.replace("ours = []", "oops = []"), "unknown key oops"),
        ] {
            let error = Differences::parse(&text).expect_err("refused");
            assert!(error.contains(want), "{error}");
        }
    }
}
