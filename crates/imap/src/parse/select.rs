//! SELECT and EXAMINE.

use super::{Parsed, Parser, Stop};
use crate::{Command, QResync, Reply, Select};

impl Parser<'_> {
    /// ```text
    /// select        = "SELECT" SP mailbox [select-params]
    /// select-params = SP "(" select-param *(SP select-param) ")" ; RFC 4466 §2.1
    /// select-param  = "CONDSTORE" / "QRESYNC" SP "(" … ")"       ; RFC 7162 §7
    /// select-param  =/ "ANNOTATE"                                ; RFC 5257 §5
    /// ```
    pub(super) fn select(&mut self, read_only: bool) -> Parsed<Command> {
        let mut select = Select {
            read_only,
            ..Select::new(self.sp_mailbox()?)
        };
        if self.cursor.eat(b' ') {
            self.open()?;
            loop {
                let error = self.wrong("ANNOTATE, CONDSTORE or QRESYNC, each once");
                match self.word("a parameter")?.as_str() {
                    "ANNOTATE" if !select.annotate => select.annotate = true,
                    "CONDSTORE" if !select.condstore => select.condstore = true,
                    "QRESYNC" if select.qresync.is_none() => {
                        select.qresync = Some(self.qresync()?);
                    }
                    _ => return Err(error),
                }
                if self.list_ends()? {
                    break;
                }
            }
        }
        // RFC 7162 §3.2.5: after ENABLE QRESYNC only.
        if select.qresync.is_some() && !self.context.enabled.qresync {
            return Err(Stop::Refused(Reply::bad("ENABLE QRESYNC first")));
        }
        Ok(Command::Select(select))
    }

    /// ```text
    /// "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
    /// seq-match-data = "(" known-sequence-set SP known-uid-set ")"
    /// ```
    fn qresync(&mut self) -> Parsed<QResync> {
        self.sp()?;
        self.open()?;
        let uid_validity = self.nz_number("UIDVALIDITY")?;
        self.sp()?;
        let mut known = QResync {
            uid_validity,
            modseq: self.mod_sequence()?,
            known_uids: None,
            matches: None,
        };
        if self.list_ends()? {
            return Ok(known);
        }
        if self.cursor.peek() != Some(b'(') {
            known.known_uids = Some(self.known_set()?);
            if self.list_ends()? {
                return Ok(known);
            }
        }
        self.open()?;
        let error = self.wrong("as many sequence numbers as UIDs, both ascending");
        let numbers = self.known_set()?;
        self.sp()?;
        let uids = self.known_set()?;
        if self.context.enabled.uid_only {
            // RFC 9586 §3.7
            let reply = Reply::bad("No message numbers, please").with(crate::Code::UidRequired);
            return Err(Stop::Refused(reply));
        }
        if numbers.count() != uids.count() || !numbers.is_ascending() || !uids.is_ascending() {
            return Err(error);
        }
        known.matches = Some((numbers, uids));
        self.cursor.expect(b')', "a closing parenthesis")?;
        self.cursor.expect(b')', "a closing parenthesis")?;
        Ok(known)
    }

    /// ```text
    /// mod-sequence-value = 1*DIGIT ; Positive unsigned 63-bit integer
    /// ```
    pub(super) fn mod_sequence(&mut self) -> Parsed<u64> {
        let error = self.wrong("a mod-sequence");
        match self.mod_sequence_or_zero()? {
            0 => Err(error),
            modseq => Ok(modseq),
        }
    }

    /// ```text
    /// mod-sequence-valzer = "0" / mod-sequence-value
    /// ```
    pub(super) fn mod_sequence_or_zero(&mut self) -> Parsed<u64> {
        Ok(super::base::number64(&mut self.cursor, "a mod-sequence")?)
    }
}
