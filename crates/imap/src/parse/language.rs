//! LANGUAGE (RFC 5255 §3.5).

use super::{Parsed, Parser, too_many};
use crate::{Command, Untagged};

impl Parser<'_> {
    /// ```text
    /// language-cmd = "LANGUAGE" *(SP lang-range-quoted)
    /// ```
    pub(super) fn language(&mut self) -> Parsed<Command> {
        let mut wanted = Vec::new();
        while !self.cursor.is_empty() {
            self.sp()?;
            wanted.push(self.astring_text("a language range")?);
            if wanted.len() > self.context.limits.items {
                return Err(too_many("LANGUAGE has too many arguments"));
            }
        }
        Ok(Command::Language(wanted))
    }

    /// ```text
    /// language-data = "LANGUAGE" SP "(" lang-tag-quoted *(SP lang-tag-quoted) ")"
    /// ```
    pub(super) fn language_data(&mut self) -> Parsed<Untagged> {
        self.sp()?;
        self.open()?;
        let mut tags = Vec::new();
        loop {
            tags.push(self.astring_text("a language tag")?);
            if self.list_ends()? {
                return Ok(Untagged::Language(tags));
            }
        }
    }
}
