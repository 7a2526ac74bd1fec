//! The table `[imap]`.

use super::{Reader, Table};
use crate::config::{Every, ImapOptions, MessageLimit};

const KEYS: [&str; 5] = [
    "administrators",
    "gmail_extensions",
    "progress_every",
    "message_limit",
    "save_limit",
];

impl<'a> Reader<'a> {
    pub(super) fn imap(&mut self, top: &Table<'a>) -> ImapOptions {
        let mut options = ImapOptions::default();
        let Some(table) = self.table(top, "imap", &KEYS) else {
            return options;
        };
        let wanted = "a list of accounts, for example [\"admin@example.org\"]";
        options.administrators = self.list(&table, "administrators", wanted, |text| {
            let address = text
                .split_once('@')
                .filter(|(local, domain)| !local.is_empty() && super::is_hostname(domain));
            address.map(|_| text.to_lowercase())
        });
        options.progress = self.progress(&table).unwrap_or_default();
        options.limit = self.message_limit(&table);
        if let Some(offered) = self.boolean(&table, "gmail_extensions") {
            options.gmail_extensions = offered;
        }
        options
    }

    fn progress(&mut self, table: &Table<'a>) -> Option<Every> {
        let key = "progress_every";
        let wanted = "a time with its unit, for example \"10s\", or \"off\"";
        match self.string(table, key, wanted)?.1 {
            "off" => Some(Every::Never),
            // Shown in dialogs: each step of a command is told.
            "step" => Some(Every::Step),
            _ => self.duration(table, key).map(Every::Interval),
        }
    }

    /// RFC 9738 §3: a server announces one of the two.
    fn message_limit(&mut self, table: &Table<'a>) -> MessageLimit {
        let mut number = |key| {
            let number = self.integer(table, key, 1..=u64::from(u32::MAX))?;
            u32::try_from(number).ok()
        };
        match (number("message_limit"), number("save_limit")) {
            (Some(_), Some(_)) => {
                let at = table
                    .value("save_limit")
                    .map_or(0, |value| value.span().start);
                let what = "stands beside message_limit, which limits COPY and APPEND as well; leave one out";
                self.wrong(at, "imap.save_limit", what);
                MessageLimit::None
            }
            (Some(limit), None) => MessageLimit::Messages(limit),
            (None, Some(limit)) => MessageLimit::Saved(limit),
            (None, None) => MessageLimit::None,
        }
    }
}
