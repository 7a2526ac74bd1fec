//! Mailbox names, and the commands that have little else: RENAME, COPY, MOVE.

use super::{Parsed, Parser, Stop};
use crate::{Code, Command, MailboxName, MailboxNameError, Reply};

impl Parser<'_> {
    /// A space and a mailbox name.
    pub(super) fn sp_mailbox(&mut self) -> Parsed<MailboxName> {
        self.sp()?;
        self.mailbox()
    }

    /// In modified UTF-7 until the client enables IMAP4rev2, in UTF-8 from then on (RFC 9051 §A.1). A name that is a
    /// correct string but no possible name is answered NO, not BAD.
    ///
    /// ```text
    /// mailbox = "INBOX" / astring
    /// ```
    pub(super) fn mailbox(&mut self) -> Parsed<MailboxName> {
        let name = self.astring("a mailbox name")?;
        let name = self.decode_name(&name)?;
        // As a kindness it is passed on, and nobody minds it.
        if name.ends_with(MailboxName::DELIMITER) && !self.context.quirks.trailing_separator {
            let reply = Reply::no("no mailbox's name ends in a separator");
            return Err(Stop::Refused(reply.with(Code::NonExistent)));
        }
        MailboxName::new(&name).map_err(no_name)
    }

    /// A mailbox name whose last level may be empty: "the hierarchy separator … at the end" of a name for CREATE is
    /// a hint we do not need (RFC 9051 §6.3.4).
    pub(super) fn new_mailbox(&mut self) -> Parsed<MailboxName> {
        let name = self.astring("a mailbox name")?;
        let name = self.decode_name(&name)?;
        MailboxName::new(name.strip_suffix(MailboxName::DELIMITER).unwrap_or(&name))
            .map_err(no_name)
    }

    /// A name, reference or pattern as text.
    pub(super) fn decode_name(&self, name: &[u8]) -> Parsed<String> {
        if name.len() > MailboxName::LIMIT * 3 {
            return Err(no_name(MailboxNameError::TooLong));
        }
        if self.context.utf8 {
            std::str::from_utf8(name)
                .map(str::to_owned)
                .map_err(|_| no_name(MailboxNameError::Utf8))
        } else {
            wire::utf7::decode(name).map_err(|_| no_name(MailboxNameError::Utf7))
        }
    }

    /// ```text
    /// rename = "RENAME" SP mailbox SP mailbox
    /// ```
    pub(super) fn rename(&mut self) -> Parsed<Command> {
        let from = self.sp_mailbox()?;
        self.sp()?;
        let to = self.new_mailbox()?;
        Ok(Command::Rename { from, to })
    }

    /// ```text
    /// copy = "COPY" SP sequence-set SP mailbox
    /// ```
    pub(super) fn copy(&mut self, uid: bool) -> Parsed<Command> {
        self.sp()?;
        let set = self.sequence_set()?;
        let mailbox = self.sp_mailbox()?;
        Ok(Command::Copy { uid, set, mailbox })
    }

    /// ```text
    /// move = "MOVE" SP sequence-set SP mailbox
    /// ```
    pub(super) fn move_(&mut self, uid: bool) -> Parsed<Command> {
        self.sp()?;
        let set = self.sequence_set()?;
        let mailbox = self.sp_mailbox()?;
        Ok(Command::Move { uid, set, mailbox })
    }
}

pub(super) fn no_name(error: MailboxNameError) -> Stop {
    Stop::Refused(Reply::no("").with(Code::Cannot).text(match error {
        MailboxNameError::Control => "A mailbox name holds no control characters",
        MailboxNameError::Utf7 => "The mailbox name is not in canonical modified UTF-7",
        MailboxNameError::Utf8 => "The mailbox name is not in UTF-8",
        MailboxNameError::TooLong => "The mailbox name is too long",
    }))
}
