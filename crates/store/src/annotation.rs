//! METADATA: named values of mailboxes and of the server (RFC 5464).
//!
//! A value is shared, or private to one account. Those of a mailbox belong to its account and count there; private ones
//! on the server itself belong to who keeps them. Shared values of the server are settings of the installation.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::quota::Resource;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Octets of a value: signatures, pictures of faces, notes.
pub const ANNOTATION_VALUE: usize = 64 << 10;
/// Octets of a name.
pub const ANNOTATION_NAME: usize = 255;
/// Values on one mailbox or on the server, of one reader.
const VALUES: i64 = 200;
/// Under which name a shared value of the server is kept.
const SERVER: &str = "metadata";

/// Where a value hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Annotated {
    /// The server, as everybody sees it.
    Server,
    /// The server, for one account alone.
    ServerFor(AccountId),
    /// A mailbox, for all who may read it.
    Mailbox(AccountId, MailboxId),
    /// A mailbox, for one reader alone.
    MailboxFor(AccountId, MailboxId, AccountId),
}

impl Annotated {
    fn key(self) -> Option<(AccountId, MailboxId, AccountId)> {
        match self {
            Annotated::Server => None,
            Annotated::ServerFor(account) => Some((account, MailboxId(0), account)),
            Annotated::Mailbox(account, mailbox) => Some((account, mailbox, AccountId(0))),
            Annotated::MailboxFor(account, mailbox, reader) => Some((account, mailbox, reader)),
        }
    }
}

impl Snapshot<'_> {
    /// All values there, by name (in lower case, without `/shared` or `/private`).
    pub fn annotations(&self, place: Annotated) -> Result<Vec<(String, Vec<u8>)>> {
        let Some((account, mailbox, reader)) = place.key() else {
            let mut all = Vec::new();
            for setting in self.settings(SERVER)? {
                let name = setting.strip_prefix(SERVER).unwrap_or_default().to_owned();
                if let Some(value) = self.setting(&setting)?.filter(|_| name.starts_with('/')) {
                    all.push((name, value));
                }
            }
            return Ok(all);
        };
        let sql = "SELECT name, value FROM annotation WHERE account_id = $1 AND mailbox_id = $2 AND reader = $3 ORDER BY name";
        self.sql
            .rows(sql, values![account, mailbox, reader], |row| {
                Ok((row.text(0)?.to_owned(), row.blob(1)?.to_vec()))
            })
    }
}

impl Tx<'_> {
    /// Sets or removes a value. `Limit` where there are too many, `OverQuota` where the account may keep no more.
    pub fn set_annotation(
        &mut self,
        place: Annotated,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<()> {
        if name.len() > ANNOTATION_NAME || value.is_some_and(|value| value.len() > ANNOTATION_VALUE)
        {
            return Err(Error::Limit("size of an annotation"));
        }
        let name = name.to_ascii_lowercase();
        let Some((account, mailbox, reader)) = place.key() else {
            // Everybody sees it.
            self.list_changed(AccountId(0));
            return self.set_setting(&format!("{SERVER}{name}"), value);
        };
        if mailbox.0 != 0 {
            self.mailbox_by_id(account, mailbox)?
                .ok_or(Error::NotFound("mailbox"))?;
        }
        let delete = "DELETE FROM annotation WHERE account_id = $1 AND mailbox_id = $2 AND reader = $3 AND name = $4";
        self.sql
            .execute(delete, values![account, mailbox, reader, &name])?;
        if let Some(value) = value {
            let count = "SELECT COUNT(*) FROM annotation WHERE account_id = $1 AND mailbox_id = $2 AND reader = $3";
            if self.sql.number(count, values![account, mailbox, reader])? >= VALUES {
                return Err(Error::Limit("annotations of a mailbox"));
            }
            self.within(account, Resource::AnnotationStorage, value.len() as u64)?;
            self.sql.execute(
                "INSERT INTO annotation (account_id, mailbox_id, reader, name, value) VALUES ($1, $2, $3, $4, $5)",
                values![account, mailbox, reader, &name, value],
            )?;
        }
        // Those who watch hear of it; what is private concerns one alone.
        self.list_changed(account);
        if reader.0 != 0 && reader != account {
            self.list_changed(reader);
        } else if reader.0 == 0 {
            self.sharers_changed(account, mailbox)?;
        }
        Ok(())
    }
}
