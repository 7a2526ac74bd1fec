//! What POP3 does that an owner may want otherwise.

use std::time::Duration;

/// The table `[pop3]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pop3Options {
    /// What becomes of messages that a client deletes.
    pub deleted: Deleted,
    /// How long an account waits between two logins; zero is no wait.
    pub login_delay: Duration,
}

/// What becomes of deleted messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deleted {
    /// They are gone.
    #[default]
    Remove,
    /// They move to the mailbox for deleted messages.
    Trash,
}

impl Deleted {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Deleted::Remove => "remove",
            Deleted::Trash => "trash",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Deleted> {
        [Deleted::Remove, Deleted::Trash]
            .into_iter()
            .find(|deleted| deleted.name() == name)
    }
}
