//! The LIST family (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

use super::{MailboxName, StatusData, StatusItem};

/// LIST, plain or extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Which mailboxes qualify.
    pub selection: ListSelection,
    /// The reference name, UTF-8. Not necessarily the name of a mailbox.
    pub reference: String,
    /// Patterns as written, without the reference; one in plain LIST, at least one in any.
    pub patterns: Vec<ListPattern>,
    /// What to tell about each.
    pub returns: ListReturn,
    /// Any syntax of RFC 5258 was used (selection options, a list of patterns or RETURN). A plain
    /// `LIST "" ""` asks for the hierarchy delimiter only (RFC 9051 §6.3.9).
    pub extended: bool,
}

impl List {
    /// The patterns to match whole names against: the reference before each (RFC 9051 §6.3.9).
    pub fn full_patterns(&self) -> Vec<ListPattern> {
        self.patterns
            .iter()
            .map(|pattern| pattern.after(&self.reference))
            .collect()
    }

    /// True if the client asks for the hierarchy delimiter only: one empty pattern in plain LIST.
    pub fn asks_delimiter(&self) -> bool {
        !self.extended
            && self.patterns.len() == 1
            && self
                .patterns
                .iter()
                .all(|pattern| pattern.as_str().is_empty())
    }
}

/// Selection options of LIST (RFC 9051 §6.3.9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelection {
    /// `SUBSCRIBED`: subscribed names, even of mailboxes that are gone.
    pub subscribed: bool,
    /// `REMOTE`: also mailboxes elsewhere; there are none.
    pub remote: bool,
    /// `RECURSIVEMATCH`: also parents of what matches, with CHILDINFO. Only ever together with `subscribed`.
    pub recursive_match: bool,
    /// `SPECIAL-USE`: only mailboxes with a special use (RFC 6154).
    pub special_use: bool,
}

/// Return options of LIST (RFC 9051 §6.3.9.2). `SUBSCRIBED` as selection implies it here; the parser sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`: tell whether subscribed.
    pub subscribed: bool,
    /// `CHILDREN`: tell whether there are children.
    pub children: bool,
    /// `SPECIAL-USE`: tell special uses.
    pub special_use: bool,
    /// `STATUS (…)`: follow each selectable mailbox with a STATUS response. Empty when not asked for.
    pub status: Vec<StatusItem>,
    /// `MYRIGHTS`: follow each with a MYRIGHTS response (RFC 8440).
    pub my_rights: bool,
    /// `METADATA (…)`: follow each with a METADATA response of these entries (RFC 9590). Empty when not asked for.
    pub metadata: Vec<String>,
}

/// A pattern: `*` matches anything, `%` anything within a level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListPattern(String);

impl ListPattern {
    /// A pattern in UTF-8.
    pub fn new(pattern: &str) -> ListPattern {
        ListPattern(pattern.to_owned())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This pattern with a reference in front.
    pub fn after(&self, reference: &str) -> ListPattern {
        ListPattern(format!("{reference}{}", self.0))
    }

    /// Whether a whole name matches, `INBOX` as first level without regard to case.
    ///
    /// Takes time in proportion to the product of both lengths at worst, both limited; never more, whatever the
    /// wildcards.
    pub fn matches(&self, name: &MailboxName) -> bool {
        let name = name.as_str();
        if matches(self.0.as_bytes(), name.as_bytes()) {
            return true;
        }
        let first_level = |text: &str| {
            text.split(['/', '*', '%'])
                .next()
                .is_some_and(|s| s.eq_ignore_ascii_case("INBOX"))
        };
        first_level(&self.0) && {
            let mut upper = self.0.clone();
            if let Some(level) = upper.get_mut(..5) {
                level.make_ascii_uppercase();
            }
            matches(upper.as_bytes(), name.as_bytes())
        }
    }
}

/// Matching with two points to come back to: behind the last `*` and behind the last `%`.
///
/// A later `*` makes every earlier wildcard irrelevant; a later `%` makes an earlier `%` irrelevant as long as no
/// delimiter was crossed, and when one is, only `*` can help.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut percent: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, n));
                percent = None;
                continue;
            }
            (Some(b'%'), _) => {
                p += 1;
                percent = Some((p, n));
                continue;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        if let Some((after, from)) = percent
            && name.get(from).is_some_and(|&byte| byte != b'/')
        {
            percent = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else if let Some((after, from)) = star
            && from < name.len()
        {
            star = Some((after, from + 1));
            percent = None;
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
}

/// An attribute of a mailbox in LIST and LSUB responses (RFC 9051 §7.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MailboxAttribute {
    /// `\Noselect`
    NoSelect,
    /// `\NonExistent`
    NonExistent,
    /// `\Noinferiors`
    NoInferiors,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\Marked`
    Marked,
    /// `\Unmarked`
    Unmarked,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// A special use (RFC 6154).
    Use(SpecialUse),
    /// Another one; only a client meets it.
    Other(String),
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// The attribute as written, with its backslash.
    pub fn name(self) -> &'static str {
        match self {
            SpecialUse::All => "\\All",
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Flagged => "\\Flagged",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
        }
    }
}

/// One LIST or LSUB response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// Attributes, each once.
    pub attributes: Vec<MailboxAttribute>,
    /// The hierarchy delimiter; `None` for a flat name.
    pub delimiter: Option<char>,
    /// The name. Empty only in the answer to a request for the delimiter.
    pub mailbox: MailboxName,
    /// Extended data `CHILDINFO ("SUBSCRIBED")`: a child qualifies though this one may not (RFC 5258 §3.5).
    pub child_info: bool,
    /// Extended data `OLDNAME (…)`: told to clients that enabled IMAP4rev2 after RENAME (RFC 9051 §6.3.9.7).
    pub old_name: Option<MailboxName>,
    /// Followed by a STATUS response for the same name when `Some` (LIST-STATUS).
    pub status: Option<StatusData>,
    /// Followed by a MYRIGHTS response when `Some` (LIST-MYRIGHTS).
    pub my_rights: Option<String>,
    /// Followed by a METADATA response when `Some` (LIST-METADATA).
    pub metadata: Option<Vec<(String, Option<Vec<u8>>)>>,
}

impl ListEntry {
    /// An entry with `/` as delimiter, without attributes.
    pub fn new(mailbox: MailboxName) -> ListEntry {
        ListEntry {
            attributes: Vec::new(),
            delimiter: Some(MailboxName::DELIMITER),
            mailbox,
            child_info: false,
            old_name: None,
            status: None,
            my_rights: None,
            metadata: None,
        }
    }
}
