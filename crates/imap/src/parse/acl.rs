//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS, and the responses to them.

use super::{Parsed, Parser};
use crate::{AclCommand, AclData, Command, RightsMode, Untagged};

/// Rights in one string; there are not so many letters and digits.
const RIGHTS: usize = 64;

impl Parser<'_> {
    /// ```text
    /// setacl     = "SETACL" SP mailbox SP identifier SP mod-rights ; RFC 4314 §7
    /// mod-rights = astring ; +rights to add, -rights to remove, rights to replace
    /// ```
    pub(super) fn setacl(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        let identifier = self.sp_identifier()?;
        self.sp()?;
        let error = self.wrong("rights");
        let text = self.astring_text("rights")?;
        let (mode, rights) = match text.strip_prefix('+') {
            Some(rights) => (RightsMode::Add, rights),
            None => match text.strip_prefix('-') {
                Some(rights) => (RightsMode::Remove, rights),
                None => (RightsMode::Replace, text.as_str()),
            },
        };
        // RFC 4314 §2: rights are lowercase letters and digits.
        let known = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if rights.len() > RIGHTS || !rights.bytes().all(known) {
            return Err(error);
        }
        Ok(Command::Acl(AclCommand::Set {
            mailbox,
            identifier,
            mode,
            rights: rights.to_owned(),
        }))
    }

    /// ```text
    /// deleteacl = "DELETEACL" SP mailbox SP identifier
    /// ```
    pub(super) fn deleteacl(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        let identifier = self.sp_identifier()?;
        Ok(Command::Acl(AclCommand::Delete {
            mailbox,
            identifier,
        }))
    }

    /// ```text
    /// listrights = "LISTRIGHTS" SP mailbox SP identifier
    /// ```
    pub(super) fn listrights(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        let identifier = self.sp_identifier()?;
        Ok(Command::Acl(AclCommand::List {
            mailbox,
            identifier,
        }))
    }

    /// ```text
    /// identifier = astring
    /// ```
    fn sp_identifier(&mut self) -> Parsed<String> {
        self.sp()?;
        let error = self.wrong("an identifier");
        let identifier = self.astring_text("an identifier")?;
        // RFC 4314 §3: one that is empty is BAD.
        if identifier.is_empty()
            || identifier.len() > 1_000
            || identifier.chars().any(char::is_control)
        {
            return Err(error);
        }
        Ok(identifier)
    }

    /// ```text
    /// acl-data = "ACL" SP mailbox *(SP identifier SP rights)
    /// ```
    pub(super) fn acl_data(&mut self) -> Parsed<Untagged> {
        let mailbox = self.sp_mailbox()?;
        let mut entries = Vec::new();
        while self.cursor.eat(b' ') {
            let identifier = self.astring_text("an identifier")?;
            self.sp()?;
            entries.push((identifier, self.astring_text("rights")?));
        }
        Ok(Untagged::Acl(AclData::Acl { mailbox, entries }))
    }

    /// ```text
    /// listrights-data = "LISTRIGHTS" SP mailbox SP identifier SP rights *(SP rights)
    /// ```
    pub(super) fn listrights_data(&mut self) -> Parsed<Untagged> {
        let mailbox = self.sp_mailbox()?;
        let identifier = self.sp_identifier()?;
        self.sp()?;
        let required = self.astring_text("rights")?;
        let mut optional = Vec::new();
        while self.cursor.eat(b' ') {
            optional.push(self.astring_text("rights")?);
        }
        Ok(Untagged::Acl(AclData::ListRights {
            mailbox,
            identifier,
            required,
            optional,
        }))
    }

    /// ```text
    /// myrights-data = "MYRIGHTS" SP mailbox SP rights
    /// ```
    pub(super) fn myrights_data(&mut self) -> Parsed<Untagged> {
        let mailbox = self.sp_mailbox()?;
        self.sp()?;
        let rights = self.astring_text("rights")?;
        Ok(Untagged::Acl(AclData::MyRights { mailbox, rights }))
    }
}
