//! APPEND.

use super::base::literal_head;
use super::{Parsed, Parser, Stop};
use crate::{Append, Command};

impl Parser<'_> {
    /// The command up to its message, for which it stops. A literal8 is the form of RFC 3516.
    ///
    /// ```text
    /// append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP (literal / literal8)
    /// ```
    pub(super) fn append(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        self.sp()?;
        let mut flags = Vec::new();
        if self.cursor.peek() == Some(b'(') {
            flags = self.flag_list()?;
            self.sp()?;
        }
        let mut date = None;
        if self.cursor.peek() == Some(b'"') {
            date = Some(self.date_time()?);
            self.sp()?;
        }
        let error = self.wrong("the message as a literal");
        let Some(literal) = literal_head(&mut self.cursor)? else {
            return Err(error);
        };
        self.cursor
            .end("the end of the line behind the size of the message")?;
        let append = Append {
            mailbox,
            flags,
            date,
            binary: literal.binary,
            message: Vec::new(),
        };
        Err(Stop::Message(append, literal))
    }
}
