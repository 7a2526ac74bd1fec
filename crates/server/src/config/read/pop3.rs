//! The table `[pop3]`, and the language of answers.

use super::{Reader, Table};
use crate::config::{Deleted, Pop3Options};

const KEYS: [&str; 2] = ["deleted", "login_delay"];

impl<'a> Reader<'a> {
    pub(super) fn pop3(&mut self, top: &Table<'a>) -> Pop3Options {
        let mut options = Pop3Options::default();
        let Some(table) = self.table(top, "pop3", &KEYS) else {
            return options;
        };
        let words = [Deleted::Remove, Deleted::Trash].map(|deleted| (deleted.name(), deleted));
        if let Some(deleted) = self.one_of(&table, "deleted", &words) {
            options.deleted = deleted;
        }
        if let Some(delay) = self.duration(&table, "login_delay") {
            options.login_delay = delay;
        }
        options
    }

    /// The language that clients get who ask for the server's own.
    pub(super) fn language(&mut self, top: &Table<'a>) -> &'static str {
        let words = crate::language::TAGS.map(|tag| (tag, tag));
        self.one_of(top, "language", &words).unwrap_or("en")
    }
}
