//! Flags.

use super::{Parsed, Parser, too_many};
use crate::Flag;

/// Octets of a keyword: longer than any in use; every one is kept for each mailbox.
const KEYWORD_LIMIT: usize = 128;

impl Parser<'_> {
    /// ```text
    /// flag-list = "(" [flag *(SP flag)] ")"
    /// ```
    pub(super) fn flag_list(&mut self) -> Parsed<Vec<Flag>> {
        self.open()?;
        let mut flags = Vec::new();
        if self.cursor.eat(b')') {
            return Ok(flags);
        }
        loop {
            self.add_flag(&mut flags)?;
            if self.list_ends()? {
                return Ok(flags);
            }
        }
    }

    /// Parses one flag into a list that holds each once.
    pub(super) fn add_flag(&mut self, flags: &mut Vec<Flag>) -> Parsed<()> {
        let flag = self.flag()?;
        if flags.contains(&flag) {
            return Ok(());
        }
        if flags.len() >= self.context.limits.items {
            return Err(too_many("Too many flags"));
        }
        flags.push(flag);
        Ok(())
    }

    /// A flag a client may name. `\Recent` is none of them (RFC 3501 §2.3.2), nor is any flag-extension: there are
    /// none yet (RFC 9051 §2.3.2).
    ///
    /// ```text
    /// flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
    /// ```
    fn flag(&mut self) -> Parsed<Flag> {
        let error = self.wrong("\\Answered, \\Flagged, \\Deleted, \\Seen, \\Draft or a keyword");
        if !self.cursor.eat(b'\\') {
            return self.keyword();
        }
        match self.word("a flag")?.as_str() {
            "ANSWERED" => Ok(Flag::Answered),
            "FLAGGED" => Ok(Flag::Flagged),
            "DELETED" => Ok(Flag::Deleted),
            "SEEN" => Ok(Flag::Seen),
            "DRAFT" => Ok(Flag::Draft),
            _ => Err(error),
        }
    }

    /// ```text
    /// flag-keyword = "$MDNSent" / "$Forwarded" / "$Junk" / "$NotJunk" / "$Phishing" / atom
    /// ```
    pub(super) fn keyword(&mut self) -> Parsed<Flag> {
        let keyword = self.atom("a keyword")?;
        if keyword.len() > KEYWORD_LIMIT {
            return Err(too_many("A keyword is too long"));
        }
        Ok(Flag::Keyword(keyword.to_owned()))
    }
}
