//! Reading: every question that can be asked of the store, on one consistent picture.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::types::*;
use crate::unfinished;

/// A consistent picture of the store. [`crate::Tx`] dereferences to it, so all of this can be asked inside a write too.
pub struct Snapshot<'a> {
    pub(crate) sql: PhantomData<&'a ()>,
}

impl Snapshot<'_> {
    /// A setting of the installation (see `Tx::set_setting`).
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let _ = name;
        unfinished()
    }
    /// Names of the settings that begin so.
    pub fn settings(&self, prefix: &str) -> Result<Vec<String>> {
        let _ = prefix;
        unfinished()
    }

    /// All domains, by name.
    pub fn domains(&self) -> Result<Vec<Domain>> {
        unfinished()
    }
    /// A domain by name, any case.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        let _ = name;
        unfinished()
    }
    /// Accounts of one domain or of all, by address.
    pub fn accounts(&self, domain: Option<&str>) -> Result<Vec<Account>> {
        let _ = domain;
        unfinished()
    }
    /// An account by its address, any case.
    pub fn account(&self, address: &str) -> Result<Option<Account>> {
        let _ = address;
        unfinished()
    }
    /// An account by its identifier.
    pub fn account_by_id(&self, account: AccountId) -> Result<Option<Account>> {
        let _ = account;
        unfinished()
    }
    /// What a login is checked against; the login name is the address, any case.
    pub fn credentials(&self, login: &str) -> Result<Option<Credentials>> {
        let _ = login;
        unfinished()
    }
    /// App passwords of an account, by name.
    pub fn app_passwords(&self, account: AccountId) -> Result<Vec<AppPassword>> {
        let _ = account;
        unfinished()
    }
    /// The app password whose secret has this SHA-256.
    pub fn app_password(
        &self,
        account: AccountId,
        sha256: &[u8; 32],
    ) -> Result<Option<AppPassword>> {
        let _ = (account, sha256);
        unfinished()
    }
    /// Aliases of one domain or of all, by address.
    pub fn aliases(&self, domain: Option<&str>) -> Result<Vec<Alias>> {
        let _ = domain;
        unfinished()
    }
    /// What an address (without angle brackets) means: account, sub-address, alias, catch-all, in this order. Any case.
    pub fn resolve(&self, address: &str) -> Result<Resolution> {
        let _ = address;
        unfinished()
    }

    /// Mailboxes of an account, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>> {
        let _ = account;
        unfinished()
    }
    /// A mailbox by name (INBOX in any case).
    pub fn mailbox(&self, account: AccountId, name: &str) -> Result<Option<Mailbox>> {
        let _ = (account, name);
        unfinished()
    }
    /// A mailbox by identifier.
    pub fn mailbox_by_id(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<Mailbox>> {
        let _ = (account, mailbox);
        unfinished()
    }
    /// Subscribed names, sorted, those of mailboxes that do not exist included.
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<String>> {
        let _ = account;
        unfinished()
    }

    /// Calls `each` for the messages in these runs, in order of UIDs within each run, until it breaks.
    pub fn messages(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[UidRange],
        columns: Columns,
        each: &mut dyn FnMut(MessageRow<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let _ = (account, mailbox, uids, columns, each);
        unfinished()
    }
    /// Where the octets of one message are, by its content id (as views have it).
    pub fn body_of(&self, account: AccountId, message: MessageId) -> Result<Option<BodyRef>> {
        let _ = (account, message);
        unfinished()
    }
    /// INBOX for POP3.
    pub fn maildrop(&self, account: AccountId) -> Result<Maildrop> {
        let _ = account;
        unfinished()
    }
    /// UIDs expunged with a modseq above this one (RFC 7162 §3.2.6), as ascending runs.
    pub fn expunged_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: u64,
    ) -> Result<Vec<UidRange>> {
        let _ = (account, mailbox, modseq);
        unfinished()
    }
}
