//! What POP3 does that an owner may want otherwise.

use std::time::Duration;

/// The table `[pop3]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pop3Options {
    /// What becomes of messages that a client deletes.
    pub deleted: Deleted,
    /// How long an account waits between two logins; zero is no wait.
    pub login_delay: Duration,
    /// How long messages stay that a client has taken.
    pub expire: Expire,
}

/// How long messages stay that a client has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expire {
    /// For ever.
    #[default]
    Never,
    /// For so many days; 0 is until QUIT.
    Days(u32),
}

impl Expire {
    /// `never`, or days as `30d`; ten years at most.
    pub fn from_name(name: &str) -> Option<Expire> {
        if name == "never" {
            return Some(Expire::Never);
        }
        let digits = name.strip_suffix('d')?;
        let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
        let days = digits.parse().ok().filter(|days| plain && *days <= 3_650);
        days.map(Expire::Days)
    }

    /// As it is written.
    pub fn name(self) -> String {
        match self {
            Expire::Never => "never".to_owned(),
            Expire::Days(days) => format!("{days}d"),
        }
    }

    /// What CAPA tells.
    pub fn days(self) -> Option<u32> {
        match self {
            Expire::Never => None,
            Expire::Days(days) => Some(days),
        }
    }
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
