//! GETQUOTA, GETQUOTAROOT, SETQUOTA, and the responses to them.

use super::base::number64;
use super::{Parsed, Parser, too_many};
use crate::{Command, QuotaCommand, QuotaData, QuotaResource, Untagged};

/// Resources in one SETQUOTA: more than there are.
const RESOURCES: usize = 20;

impl Parser<'_> {
    /// ```text
    /// getquota = "GETQUOTA" SP quota-root-name ; RFC 9208 §7
    /// ```
    pub(super) fn getquota(&mut self) -> Parsed<Command> {
        Ok(Command::Quota(QuotaCommand::Get(self.sp_quota_root()?)))
    }

    /// ```text
    /// setquota          = "SETQUOTA" SP quota-root-name SP setquota-list
    /// setquota-list     = "(" [setquota-resource *(SP setquota-resource)] ")"
    /// setquota-resource = resource-name SP resource-limit
    /// ```
    pub(super) fn setquota(&mut self) -> Parsed<Command> {
        let root = self.sp_quota_root()?;
        self.sp()?;
        self.open()?;
        let mut limits: Vec<(String, u64)> = Vec::new();
        if !self.cursor.eat(b')') {
            loop {
                if limits.len() == RESOURCES {
                    return Err(too_many("SETQUOTA names too many resources"));
                }
                let again = self.wrong("each resource once");
                let name = self.atom("the name of a resource")?.to_ascii_uppercase();
                if limits.iter().any(|(known, _)| *known == name) {
                    return Err(again);
                }
                self.sp()?;
                limits.push((name, number64(&mut self.cursor, "a limit")?));
                if self.list_ends()? {
                    break;
                }
            }
        }
        Ok(Command::Quota(QuotaCommand::Set { root, limits }))
    }

    /// ```text
    /// quota-root-name = astring
    /// ```
    fn sp_quota_root(&mut self) -> Parsed<String> {
        self.sp()?;
        self.astring_text("the name of a quota root")
    }

    /// ```text
    /// quota-response = "QUOTA" SP quota-root-name SP quota-list
    /// quota-list     = "(" quota-resource *(SP quota-resource) ")"
    /// quota-resource = resource-name SP resource-usage SP resource-limit
    /// ```
    pub(super) fn quota_data(&mut self) -> Parsed<Untagged> {
        let root = self.sp_quota_root()?;
        self.sp()?;
        self.open()?;
        let mut resources = Vec::new();
        // RFC 9208 §4.2.1: an empty list means that there are no limits.
        if !self.cursor.eat(b')') {
            loop {
                let name = self.atom("the name of a resource")?.to_ascii_uppercase();
                self.sp()?;
                let usage = number64(&mut self.cursor, "what is used")?;
                self.sp()?;
                let limit = number64(&mut self.cursor, "a limit")?;
                resources.push(QuotaResource { name, usage, limit });
                if self.list_ends()? {
                    break;
                }
            }
        }
        Ok(Untagged::Quota(QuotaData::Quota { root, resources }))
    }

    /// ```text
    /// quotaroot-response = "QUOTAROOT" SP mailbox *(SP quota-root-name)
    /// ```
    pub(super) fn quotaroot_data(&mut self) -> Parsed<Untagged> {
        let mailbox = self.sp_mailbox()?;
        let mut roots = Vec::new();
        while self.cursor.eat(b' ') {
            roots.push(self.astring_text("the name of a quota root")?);
        }
        Ok(Untagged::Quota(QuotaData::Roots { mailbox, roots }))
    }
}
