//! UIDBATCHES.

use super::{Parsed, Parser, Stop};
use crate::{Code, Command, Reply};

impl Parser<'_> {
    /// ```text
    /// uidbatches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number] ; RFC 10022
    /// ```
    pub(super) fn uid_batches(&mut self) -> Parsed<Command> {
        self.sp()?;
        let size = self.nz_number("how many messages make a batch")?;
        let mut batches = None;
        if self.cursor.eat(b' ') {
            let first = self.nz_number("the first batch")?;
            self.cursor.expect(b':', "a colon and the last batch")?;
            let last = self.nz_number("the last batch")?;
            if first > last {
                // RFC 10022 §3.1.5
                let reply = Reply::bad("The first batch is behind the last").with(Code::ClientBug);
                return Err(Stop::Refused(reply));
            }
            batches = Some((first, last));
        }
        Ok(Command::UidBatches { size, batches })
    }
}
