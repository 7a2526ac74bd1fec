//! What POP3 does for one account otherwise than for all.

use store::{AccountId, MailboxId, Result, Snapshot, SpecialUse, Tx, UidRange};

use crate::config::{Deleted, Expire};

/// Names of account options.
pub(super) const DELETED: &str = "pop3.deleted";
pub(super) const LOGIN_DELAY: &str = "pop3.login_delay";
pub(super) const EXPIRE: &str = "pop3.expire";

/// What an account has for itself; None is what the configuration says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) deleted: Option<Deleted>,
    /// Seconds.
    pub(super) login_delay: Option<u32>,
    pub(super) expire: Option<Expire>,
}

impl Own {
    pub(super) fn read(snapshot: &Snapshot<'_>, account: AccountId) -> Result<Own> {
        let deleted = snapshot.account_option(account, DELETED)?;
        let login_delay = snapshot.account_option(account, LOGIN_DELAY)?;
        let expire = snapshot.account_option(account, EXPIRE)?;
        Ok(Own {
            expire: expire.as_deref().and_then(Expire::from_name),
            deleted: deleted.as_deref().and_then(Deleted::from_name),
            login_delay: login_delay.and_then(|text| text.parse().ok()),
        })
    }
}

impl Own {
    /// How long messages stay that a client has taken. An account may keep them for longer than all others: what is announced
    /// before login is the shortest there is (RFC 2449 §6.7).
    pub(super) fn expire(&self, all: Expire) -> Expire {
        match (all, self.expire) {
            (Expire::Days(least), Some(Expire::Days(days))) => Expire::Days(days.max(least)),
            (Expire::Days(_), Some(Expire::Never)) => Expire::Never,
            (all, _) => all,
        }
    }
}

/// Does with messages of INBOX what their owner wants done with deleted ones. Returns how many it were.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    account: AccountId,
    inbox: MailboxId,
    uids: &[UidRange],
    deleted: Deleted,
) -> Result<usize> {
    if uids.is_empty() {
        return Ok(0);
    }
    match deleted {
        Deleted::Trash => {
            let trash = trash(tx, account)?;
            if trash != inbox {
                return Ok(tx.move_messages(account, inbox, uids, trash)?.uids.len());
            }
        }
        Deleted::Remove => {}
    }
    Ok(tx.expunge(account, inbox, uids, false)?.len())
}

/// The mailbox for deleted messages: the one with that use, or named so; made where there is none.
fn trash(tx: &mut Tx<'_>, account: AccountId) -> Result<MailboxId> {
    let all = tx.mailboxes(account)?;
    let used = |mailbox: &&store::Mailbox| mailbox.special_use == Some(SpecialUse::Trash);
    let named = |mailbox: &&store::Mailbox| mailbox.name == "Trash";
    if let Some(mailbox) = all.iter().find(used).or_else(|| all.iter().find(named)) {
        return Ok(mailbox.id);
    }
    let made = tx.create_mailbox(account, "Trash", Some(SpecialUse::Trash))?;
    tx.subscribe(account, "Trash", true)?;
    Ok(made.id)
}
