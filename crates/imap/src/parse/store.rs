//! STORE.

use super::{Parsed, Parser};
use crate::{Command, Store, StoreAction};

impl Parser<'_> {
    /// ```text
    /// store           = "STORE" SP sequence-set [store-modifiers] SP store-att-flags
    /// store-modifiers = SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" ; RFC 7162 §7
    /// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag))) /
    ///                   att-annotate ; RFC 5257 §5
    /// store-att-flags =/ (["+" / "-"] "X-GM-LABELS" [".SILENT"]) SP ("(" [label *(SP label)] ")" / label *(SP label))
    /// ```
    pub(super) fn store(&mut self, uid: bool) -> Parsed<Command> {
        self.sp()?;
        let set = self.sequence_set()?;
        self.sp()?;
        let mut unchanged_since = None;
        if self.cursor.eat(b'(') {
            let error = self.wrong("UNCHANGEDSINCE");
            if self.word("UNCHANGEDSINCE")? != "UNCHANGEDSINCE" {
                return Err(error);
            }
            self.sp()?;
            unchanged_since = Some(self.mod_sequence_or_zero()?);
            self.cursor.expect(b')', "a closing parenthesis")?;
            self.sp()?;
        }
        if self.cursor.eat_ignore_case(b"ANNOTATION ") {
            return self.store_annotation(uid, set, unchanged_since);
        }
        let error = self.wrong("FLAGS, +FLAGS, -FLAGS or ANNOTATION");
        let action = if self.cursor.eat(b'+') {
            StoreAction::Add
        } else if self.cursor.eat(b'-') {
            StoreAction::Remove
        } else {
            StoreAction::Set
        };
        let silent = match self.word("FLAGS")?.as_str() {
            "FLAGS" => false,
            "FLAGS.SILENT" => true,
            // Labels have no mod-sequence to be unchanged since.
            "X-GM-LABELS" if unchanged_since.is_none() => {
                return self.store_labels(uid, set, action, false);
            }
            "X-GM-LABELS.SILENT" if unchanged_since.is_none() => {
                return self.store_labels(uid, set, action, true);
            }
            _ => return Err(error),
        };
        self.sp()?;
        let mut flags = Vec::new();
        if self.cursor.peek() == Some(b'(') {
            flags = self.flag_list()?;
        } else {
            self.add_flag(&mut flags)?;
            while self.cursor.eat(b' ') {
                self.add_flag(&mut flags)?;
            }
        }
        Ok(Command::Store(Store {
            uid,
            set,
            action,
            silent,
            unchanged_since,
            flags,
        }))
    }
}
