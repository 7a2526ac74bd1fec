//! Writing: every change that can be made to the store, inside one transaction.

use std::ops::Deref;

use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::types::*;
use crate::unfinished;

/// The running write transaction. Reads through it see its own changes.
pub struct Tx<'a> {
    snapshot: Snapshot<'a>,
}

impl<'a> Deref for Tx<'a> {
    type Target = Snapshot<'a>;
    fn deref(&self) -> &Snapshot<'a> {
        &self.snapshot
    }
}

impl Tx<'_> {
    /// Keeps a setting of the installation under a name (at most 1 MiB); None removes it.
    pub fn set_setting(&mut self, name: &str, value: Option<&[u8]>) -> Result<()> {
        let _ = (name, value);
        unfinished()
    }

    /// Adds a domain. `Exists`, `Invalid`.
    pub fn add_domain(&mut self, name: &str) -> Result<DomainId> {
        let _ = name;
        unfinished()
    }
    /// Removes a domain; `Conflict` while it has accounts or aliases.
    pub fn remove_domain(&mut self, name: &str) -> Result<()> {
        let _ = name;
        unfinished()
    }
    /// Adds an account with INBOX, Drafts, Sent, Junk, Trash and Archive, all subscribed. The domain must be there.
    pub fn add_account(
        &mut self,
        address: &str,
        secret: Option<&Secret>,
        quota: Option<u64>,
    ) -> Result<AccountId> {
        let _ = (address, secret, quota);
        unfinished()
    }
    /// Removes an account with everything in it.
    pub fn remove_account(&mut self, account: AccountId) -> Result<()> {
        let _ = account;
        unfinished()
    }
    /// Sets the password; None leaves app passwords only.
    pub fn set_secret(&mut self, account: AccountId, secret: Option<&Secret>) -> Result<()> {
        let _ = (account, secret);
        unfinished()
    }
    /// Sets the quota in octets; None is unlimited. May be below what is used: then nothing more comes in.
    pub fn set_quota(&mut self, account: AccountId, quota: Option<u64>) -> Result<()> {
        let _ = (account, quota);
        unfinished()
    }
    /// Forbids or allows logins.
    pub fn set_disabled(&mut self, account: AccountId, disabled: bool) -> Result<()> {
        let _ = (account, disabled);
        unfinished()
    }
    /// Adds an app password under a name that is unique in the account, by the SHA-256 of its secret.
    pub fn add_app_password(
        &mut self,
        account: AccountId,
        name: &str,
        sha256: &[u8; 32],
    ) -> Result<AppPasswordId> {
        let _ = (account, name, sha256);
        unfinished()
    }
    /// Removes an app password by name.
    pub fn remove_app_password(&mut self, account: AccountId, name: &str) -> Result<()> {
        let _ = (account, name);
        unfinished()
    }
    /// Notes that an app password was used now. (Call it at most once a day per password: it costs a write.)
    pub fn touch_app_password(&mut self, account: AccountId, id: AppPasswordId) -> Result<()> {
        let _ = (account, id);
        unfinished()
    }
    /// Sets the targets of an alias, added if missing (`user@domain` or catch-all `@domain`; at most 1,000 targets). `Exists` when an account has the address.
    pub fn set_alias(&mut self, address: &str, targets: &[String]) -> Result<AliasId> {
        let _ = (address, targets);
        unfinished()
    }
    /// Removes an alias.
    pub fn remove_alias(&mut self, address: &str) -> Result<()> {
        let _ = address;
        unfinished()
    }

    /// Creates a mailbox and those above it that are missing. `Exists`, `Invalid`, `Limit`.
    pub fn create_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<Mailbox> {
        let _ = (account, name, special_use);
        unfinished()
    }
    /// Deletes a mailbox and its messages; those below it stay. INBOX: `Conflict`.
    pub fn delete_mailbox(&mut self, account: AccountId, name: &str) -> Result<()> {
        let _ = (account, name);
        unfinished()
    }
    /// Renames a mailbox and all below it. INBOX: its messages move to a new mailbox (RFC 9051 §6.3.6).
    pub fn rename_mailbox(&mut self, account: AccountId, from: &str, to: &str) -> Result<()> {
        let _ = (account, from, to);
        unfinished()
    }
    /// Subscribes or unsubscribes a name, whether or not a mailbox has it. Doing it twice is no error.
    pub fn subscribe(&mut self, account: AccountId, name: &str, subscribed: bool) -> Result<()> {
        let _ = (account, name, subscribed);
        unfinished()
    }
    /// Says what a mailbox is for.
    pub fn set_special_use(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        special_use: Option<SpecialUse>,
    ) -> Result<()> {
        let _ = (account, mailbox, special_use);
        unfinished()
    }

    /// Places one message with many accounts: one body, one result per recipient in their order (`OverQuota`, `NotFound` …).
    /// The outer error means that nothing was placed.
    pub fn deliver(
        &mut self,
        delivery: &Delivery,
    ) -> Result<Vec<std::result::Result<Placed, Error>>> {
        let _ = delivery;
        unfinished()
    }
    /// Places one message in one mailbox.
    pub fn append(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        message: &Append,
    ) -> Result<Placed> {
        let _ = (account, mailbox, message);
        unfinished()
    }
    /// Changes flags of the messages in these runs. What really changed shows in the view's diff.
    pub fn store_flags(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        change: &FlagChange,
    ) -> Result<Stored> {
        let _ = (account, mailbox, uids, change);
        unfinished()
    }
    /// Copies messages, all or none.
    pub fn copy(
        &mut self,
        account: AccountId,
        from: MailboxId,
        uids: &[UidRange],
        to: MailboxId,
    ) -> Result<Copied> {
        let _ = (account, from, uids, to);
        unfinished()
    }
    /// Moves messages, all or none (RFC 6851).
    pub fn move_messages(
        &mut self,
        account: AccountId,
        from: MailboxId,
        uids: &[UidRange],
        to: MailboxId,
    ) -> Result<Copied> {
        let _ = (account, from, uids, to);
        unfinished()
    }
    /// Removes messages for good: those of the runs, or with `deleted_only` (EXPUNGE, UID EXPUNGE) those of them with
    /// `\Deleted`. UIDs that are gone already are no error. Returns the UIDs removed, ascending.
    pub fn expunge(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        deleted_only: bool,
    ) -> Result<Vec<u32>> {
        let _ = (account, mailbox, uids, deleted_only);
        unfinished()
    }
}
