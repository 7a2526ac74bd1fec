//! What an account may use beside octets: messages, mailboxes, octets of annotations (RFC 9208 §5).
//!
//! The limit of octets is a column of the account ([`crate::Tx::set_quota`]); the others are rows, because few have them.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Something that is counted and may be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Octets of all messages.
    Storage,
    /// Messages.
    Messages,
    /// Mailboxes.
    Mailboxes,
    /// Octets of annotations, of mailboxes and of messages.
    AnnotationStorage,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 4] = [
        Resource::Storage,
        Resource::Messages,
        Resource::Mailboxes,
        Resource::AnnotationStorage,
    ];

    /// The name it is kept and known by (RFC 9208 §5).
    pub fn name(self) -> &'static str {
        match self {
            Resource::Storage => "STORAGE",
            Resource::Messages => "MESSAGE",
            Resource::Mailboxes => "MAILBOX",
            Resource::AnnotationStorage => "ANNOTATION-STORAGE",
        }
    }

    /// By its name, any case.
    pub fn from_name(name: &str) -> Option<Resource> {
        Resource::ALL
            .into_iter()
            .find(|resource| resource.name().eq_ignore_ascii_case(name))
    }
}

/// What an account uses of a resource, and how much it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of what. Octets for storage, counts otherwise.
    pub resource: Resource,
    /// Used.
    pub used: u64,
    /// Allowed; None is unlimited.
    pub limit: Option<u64>,
}

impl Snapshot<'_> {
    /// What an account uses of each resource, and may use.
    pub fn usage(&self, account: AccountId) -> Result<Vec<Usage>> {
        let owner = self
            .account_by_id(account)?
            .ok_or(Error::NotFound("account"))?;
        Resource::ALL
            .into_iter()
            .map(|resource| {
                let used = match resource {
                    Resource::Storage => owner.usage,
                    Resource::Messages => owner.messages,
                    Resource::Mailboxes => self.mailbox_count(account)?,
                    Resource::AnnotationStorage => self.annotation_octets(account)?,
                };
                let limit = match resource {
                    Resource::Storage => owner.quota,
                    _ => self.quota_limit(account, resource)?,
                };
                Ok(Usage {
                    resource,
                    used,
                    limit,
                })
            })
            .collect()
    }

    /// Octets of messages with `\Deleted` in a mailbox: what EXPUNGE would free (RFC 9208 §4.1.4).
    pub fn deleted_storage(&self, account: AccountId, mailbox: MailboxId) -> Result<u64> {
        let sql = "SELECT COALESCE(SUM(size), 0) FROM entry WHERE account_id = $1 AND mailbox_id = $2 AND (flags & 8) = 8";
        Ok(self
            .sql
            .number(sql, values![account, mailbox])?
            .unsigned_abs())
    }

    fn mailbox_count(&self, account: AccountId) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM mailbox WHERE account_id = $1";
        Ok(self.sql.number(sql, values![account])?.unsigned_abs())
    }

    pub(crate) fn annotation_octets(&self, account: AccountId) -> Result<u64> {
        let sql = "SELECT COALESCE(SUM(LENGTH(value)), 0) FROM annotation WHERE account_id = $1";
        let of_mailboxes = self.sql.number(sql, values![account])?.unsigned_abs();
        Ok(of_mailboxes.saturating_add(self.message_annotation_octets(account)?))
    }

    pub(crate) fn quota_limit(
        &self,
        account: AccountId,
        resource: Resource,
    ) -> Result<Option<u64>> {
        let sql = "SELECT value FROM quota_limit WHERE account_id = $1 AND resource = $2";
        self.sql
            .row(sql, values![account, resource.name()], |row| row.uint(0))
    }

    /// `OverQuota` unless so many more fit.
    pub(crate) fn within(&self, account: AccountId, resource: Resource, more: u64) -> Result<()> {
        let Some(limit) = self.quota_limit(account, resource)? else {
            return Ok(());
        };
        let used = match resource {
            Resource::Storage | Resource::Messages => return Ok(()),
            Resource::Mailboxes => self.mailbox_count(account)?,
            Resource::AnnotationStorage => self.annotation_octets(account)?,
        };
        if used.saturating_add(more) > limit {
            return Err(Error::OverQuota);
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Limits a resource of an account; None is unlimited. May be below what is used: then nothing more comes.
    pub fn set_limit(
        &mut self,
        account: AccountId,
        resource: Resource,
        limit: Option<u64>,
    ) -> Result<()> {
        self.account_by_id(account)?
            .ok_or(Error::NotFound("account"))?;
        if resource == Resource::Storage {
            return self.set_quota(account, limit);
        }
        match limit {
            None => self.sql.execute(
                "DELETE FROM quota_limit WHERE account_id = $1 AND resource = $2",
                values![account, resource.name()],
            )?,
            Some(limit) => self.sql.execute(
                "INSERT INTO quota_limit (account_id, resource, value) VALUES ($1, $2, $3) \
                 ON CONFLICT (account_id, resource) DO UPDATE SET value = excluded.value",
                values![account, resource.name(), limit],
            )?,
        };
        Ok(())
    }
}
