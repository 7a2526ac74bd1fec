//! The table `[quirks]`: switches by their names.

use super::{Reader, Table};
use crate::quirks::Quirks;

impl<'a> Reader<'a> {
    pub(super) fn quirks(&mut self, top: &Table<'a>) -> Quirks {
        let mut quirks = Quirks::default();
        let names = Quirks::ALL.map(|(name, _)| name);
        let Some(table) = self.table(top, "quirks", &names) else {
            return quirks;
        };
        for (name, switch) in Quirks::ALL {
            if let Some(on) = self.boolean(&table, name) {
                *switch(&mut quirks) = on;
            }
        }
        quirks
    }
}
