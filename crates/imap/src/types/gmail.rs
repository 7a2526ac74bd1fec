//! Labels, as Gmail's extension has them (X-GM-EXT-1, developers.google.com/gmail/imap/imap-extensions).

use super::{MailboxName, SequenceSet, StoreAction};

/// A label: what another mailbox that holds the message is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GmailLabel {
    /// One that every account has.
    System(SystemLabel),
    /// The name of a mailbox.
    Mailbox(MailboxName),
    /// A system label that this crate knows nothing of, with its backslash.
    Other(String),
}

/// Labels that every account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemLabel {
    /// `\Inbox`
    Inbox,
    /// `\Sent`
    Sent,
    /// `\Drafts`; `\Draft` is read as well, which Gmail sends.
    Drafts,
    /// `\Important`
    Important,
    /// `\Starred`: the message is flagged.
    Starred,
    /// `\Trash`
    Trash,
    /// `\Junk`; `\Spam` is read as well.
    Junk,
}

impl SystemLabel {
    /// All of them by name, the one that is written first.
    pub const NAMES: [(&'static str, SystemLabel); 9] = [
        ("Inbox", SystemLabel::Inbox),
        ("Sent", SystemLabel::Sent),
        ("Drafts", SystemLabel::Drafts),
        ("Draft", SystemLabel::Drafts),
        ("Important", SystemLabel::Important),
        ("Starred", SystemLabel::Starred),
        ("Trash", SystemLabel::Trash),
        ("Junk", SystemLabel::Junk),
        ("Spam", SystemLabel::Junk),
    ];

    /// By its name without the backslash, in any case.
    pub fn from_name(name: &str) -> Option<SystemLabel> {
        let mut names = Self::NAMES.iter();
        names
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, label)| *label)
    }

    /// Its name without the backslash.
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.iter();
        names
            .find(|(_, label)| *label == self)
            .map_or("", |(name, _)| name)
    }
}

/// STORE of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLabels {
    /// UID STORE.
    pub uid: bool,
    /// Of which messages.
    pub set: SequenceSet,
    /// What is done with the labels.
    pub action: StoreAction,
    /// `.SILENT`
    pub silent: bool,
    /// The labels.
    pub labels: Vec<GmailLabel>,
}
