//! The table `[pop3]`, and the language of answers.

use super::{Reader, Table};
use crate::config::{Deleted, Expire, Pop3Options};

const KEYS: [&str; 3] = ["deleted", "login_delay", "expire"];

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
        let wanted = "\"never\", or a number of days, for example \"30d\"; \"0d\" is until QUIT";
        if let Some((at, text)) = self.string(&table, "expire", wanted) {
            match Expire::from_name(text) {
                Some(expire) => options.expire = expire,
                None => {
                    let what = format!("is {text:?} but must be {wanted}");
                    self.wrong(at, &table.key("expire"), what);
                }
            }
        }
        options
    }

    /// The language that clients get who ask for the server's own.
    pub(super) fn language(&mut self, top: &Table<'a>) -> &'static str {
        let words = crate::language::TAGS.map(|tag| (tag, tag));
        self.one_of(top, "language", &words).unwrap_or("en")
    }
}
