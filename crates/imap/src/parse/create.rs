//! CREATE.

use super::{Parsed, Parser};
use crate::{Code, Command, Reply, SpecialUse};

impl Parser<'_> {
    /// ```text
    /// create       = "CREATE" SP mailbox [create-params]       ; RFC 4466 §2.2
    /// create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")" ; RFC 6154 §6
    /// ```
    pub(super) fn create(&mut self) -> Parsed<Command> {
        self.sp()?;
        let mailbox = self.new_mailbox()?;
        let mut uses = Vec::new();
        if self.cursor.eat(b' ') {
            self.open()?;
            let error = self.wrong("USE");
            if self.word("USE")? != "USE" {
                return Err(error);
            }
            self.sp()?;
            self.open()?;
            if !self.cursor.eat(b')') {
                loop {
                    let special = self.use_attr()?;
                    if !uses.contains(&special) {
                        uses.push(special);
                    }
                    if self.list_ends()? {
                        break;
                    }
                }
            }
            self.cursor.expect(b')', "a closing parenthesis")?;
        }
        Ok(Command::Create { mailbox, uses })
    }

    /// ```text
    /// use-attr = "\All" / "\Archive" / "\Drafts" / "\Flagged" / "\Junk" / "\Sent" / "\Trash" / use-attr-ext
    /// ```
    fn use_attr(&mut self) -> Parsed<SpecialUse> {
        self.cursor.expect(b'\\', "a special use")?;
        let name = self.atom("a special use")?;
        let all = [
            SpecialUse::All,
            SpecialUse::Archive,
            SpecialUse::Drafts,
            SpecialUse::Flagged,
            SpecialUse::Junk,
            SpecialUse::Sent,
            SpecialUse::Trash,
        ];
        all.into_iter()
            .find(|special| {
                special
                    .name()
                    .get(1..)
                    .is_some_and(|known| known.eq_ignore_ascii_case(name))
            })
            .ok_or_else(
                // RFC 6154 §3: a use the server does not support.
                || super::Stop::Refused(Reply::no("Unknown special use").with(Code::UseAttr)),
            )
    }
}
