//! The table `[imap]`.

use super::{Reader, Table};
use crate::config::ImapOptions;

const KEYS: [&str; 1] = ["administrators"];

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
        options
    }
}
