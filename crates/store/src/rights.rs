//! Rights of others on mailboxes (RFC 4314).
//!
//! The owner of a mailbox always has all rights. Everybody else has what the entries that apply to them grant together,
//! less what any negative entry takes. `anyone` are the accounts of the owner's domain: tenants of one server are
//! strangers to each other.

use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::mailbox;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Entries on one mailbox: more is a mailing list's business, and every LIST of those named pays for them.
const ENTRIES: i64 = 1_000;

/// The grantee that stands for everybody.
const ANYONE: i64 = 0;

/// A set of rights on a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(pub u16);

impl Rights {
    /// None.
    pub const NONE: Rights = Rights(0);
    /// `l`: see it in LIST, subscribe it.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: select it, ask for its status.
    pub const READ: Rights = Rights(2);
    /// `s`: keep one's own `\Seen`.
    pub const SEEN: Rights = Rights(4);
    /// `w`: change flags other than `\Seen` and `\Deleted`.
    pub const WRITE: Rights = Rights(8);
    /// `i`: put messages into it.
    pub const INSERT: Rights = Rights(16);
    /// `p`: send mail to its submission address.
    pub const POST: Rights = Rights(32);
    /// `k`: create mailboxes below it.
    pub const CREATE: Rights = Rights(64);
    /// `x`: delete or rename it.
    pub const DELETE: Rights = Rights(128);
    /// `t`: change `\Deleted`.
    pub const DELETE_MESSAGES: Rights = Rights(256);
    /// `e`: expunge.
    pub const EXPUNGE: Rights = Rights(512);
    /// `a`: change rights.
    pub const ADMIN: Rights = Rights(1024);
    /// `n`: write shared annotations of messages (RFC 5257 §3.4).
    pub const ANNOTATE: Rights = Rights(2048);
    /// All of them.
    pub const ALL: Rights = Rights(4095);
    /// Those of which one at least lets a user know that the mailbox is there (RFC 4314 §4, MYRIGHTS).
    pub const KNOWN: Rights = Rights(1 | 2 | 16 | 64 | 128 | 1024);

    const LETTERS: [(char, Rights); 12] = [
        ('l', Rights::LOOKUP),
        ('r', Rights::READ),
        ('s', Rights::SEEN),
        ('w', Rights::WRITE),
        ('i', Rights::INSERT),
        ('p', Rights::POST),
        ('k', Rights::CREATE),
        ('x', Rights::DELETE),
        ('t', Rights::DELETE_MESSAGES),
        ('e', Rights::EXPUNGE),
        ('a', Rights::ADMIN),
        ('n', Rights::ANNOTATE),
    ];

    /// The right of a letter; `c` and `d` of RFC 2086 stand for several (RFC 4314 §2.1.1).
    pub fn of_letter(letter: char) -> Option<Rights> {
        match letter {
            'c' => Some(Rights::CREATE.with(Rights::DELETE)),
            'd' => Some(Rights::DELETE_MESSAGES.with(Rights::EXPUNGE)),
            _ => Rights::LETTERS
                .iter()
                .find(|(known, _)| *known == letter)
                .map(|(_, right)| *right),
        }
    }

    /// The letters, in the order of the RFC.
    pub fn letters(self) -> String {
        Rights::LETTERS
            .iter()
            .filter(|(_, right)| self.contains(*right))
            .map(|(letter, _)| *letter)
            .collect()
    }

    /// Whether all of `other` are among them.
    pub fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is among them.
    pub fn any(self, other: Rights) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of both.
    pub fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// Without those of `other`.
    pub fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// The system flags that these rights let somebody change (RFC 4314 §4, STORE).
    pub fn flags(self) -> Flags {
        let mut flags = Flags::NONE;
        if self.contains(Rights::SEEN) {
            flags = flags.with(Flags::SEEN);
        }
        if self.contains(Rights::DELETE_MESSAGES) {
            flags = flags.with(Flags::DELETED);
        }
        if self.contains(Rights::WRITE) {
            flags = flags.with(Flags::ALL.without(Flags::SEEN | Flags::DELETED));
        }
        flags
    }
}

/// Whom an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// Every account of the owner's domain.
    Anyone,
    /// One account.
    Account(AccountId),
}

impl Grantee {
    fn key(&self) -> i64 {
        match self {
            Grantee::Anyone => ANYONE,
            Grantee::Account(account) => account.0,
        }
    }
}

/// An entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is about.
    pub grantee: Grantee,
    /// The account's address, `anyone` otherwise.
    pub name: String,
    /// It takes away instead of granting.
    pub negative: bool,
    /// What.
    pub rights: Rights,
}

/// A mailbox of another account, as one account may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMailbox {
    /// Whose.
    pub owner: AccountId,
    /// The owner's address.
    pub address: String,
    /// Which; `unseen` is the reader's, `subscribed` false.
    pub mailbox: Mailbox,
    /// What is allowed.
    pub rights: Rights,
}

/// The entries that apply to a user ($3) on mailboxes of an owner ($1): the user's own, and anyone's within the domain.
const APPLIES: &str = "(grantee = $3 OR (grantee = 0 AND (SELECT u.domain_id FROM account u WHERE u.account_id = $3) = \
     (SELECT o.domain_id FROM account o WHERE o.account_id = acl.account_id)))";

fn combined(rows: impl IntoIterator<Item = (bool, Rights)>) -> Rights {
    let (mut granted, mut taken) = (Rights::NONE, Rights::NONE);
    for (negative, rights) in rows {
        match negative {
            true => taken = taken.with(rights),
            false => granted = granted.with(rights),
        }
    }
    granted.without(taken)
}

fn entry(row: &dyn Row, at: usize) -> Result<(bool, Rights)> {
    let rights = u16::try_from(row.int(at + 1)?).unwrap_or_default();
    Ok((row.int(at)? != 0, Rights(rights)))
}

impl Snapshot<'_> {
    /// What `user` may do with a mailbox of `owner`; nothing where it is not there.
    pub fn rights(&self, user: AccountId, owner: AccountId, mailbox: MailboxId) -> Result<Rights> {
        if user == owner {
            return Ok(Rights::ALL);
        }
        let sql = format!(
            "SELECT negative, rights FROM acl WHERE account_id = $1 AND mailbox_id = $2 AND {APPLIES}"
        );
        let rows = self
            .sql
            .rows(&sql, values![owner, mailbox, user], |row| entry(row, 0))?;
        Ok(combined(rows))
    }

    /// The entries on a mailbox, anyone's first, then by address.
    pub fn acl(&self, owner: AccountId, mailbox: MailboxId) -> Result<Vec<AclEntry>> {
        let sql = "SELECT acl.grantee, acl.negative, acl.rights, COALESCE(a.address, 'anyone') FROM acl \
                   LEFT JOIN account a ON a.account_id = acl.grantee WHERE acl.account_id = $1 AND acl.mailbox_id = $2 \
                   ORDER BY a.address, acl.negative";
        self.sql.rows(sql, values![owner, mailbox], |row| {
            let grantee = row.int(0)?;
            let (negative, rights) = entry(row, 1)?;
            Ok(AclEntry {
                grantee: match grantee {
                    ANYONE => Grantee::Anyone,
                    id => Grantee::Account(AccountId(id)),
                },
                name: row.text(3)?.to_owned(),
                negative,
                rights,
            })
        })
    }

    /// All mailboxes of others on which `user` has any right, by owner and name.
    pub fn shared_with(&self, user: AccountId) -> Result<Vec<SharedMailbox>> {
        let sql = format!(
            "SELECT acl.account_id, acl.mailbox_id, acl.negative, acl.rights FROM acl WHERE grantee IN ($1, 0) \
             AND account_id <> $1 AND {} ORDER BY account_id, mailbox_id",
            APPLIES.replace("$3", "$1")
        );
        let rows = self.sql.rows(&sql, values![user], |row| {
            let place = (AccountId(row.int(0)?), MailboxId(row.int(1)?));
            Ok((place, entry(row, 2)?))
        })?;
        let mut shared = Vec::new();
        for group in rows.chunk_by(|a, b| a.0 == b.0) {
            let rights = combined(group.iter().map(|(_, entry)| *entry));
            let Some(((owner, id), _)) = group.first().filter(|_| rights != Rights::NONE) else {
                continue;
            };
            let Some(account) = self.account_by_id(*owner)? else {
                continue;
            };
            if let Some(mailbox) = self.mailbox_as(user, *owner, *id)? {
                shared.push(SharedMailbox {
                    owner: *owner,
                    address: account.address,
                    mailbox,
                    rights,
                });
            }
        }
        shared.sort_by(|a, b| (&a.address, &a.mailbox.name).cmp(&(&b.address, &b.mailbox.name)));
        Ok(shared)
    }

    /// Whether `user` can know of any mailbox of `owner`.
    pub fn knows(&self, user: AccountId, owner: AccountId) -> Result<bool> {
        if user == owner {
            return Ok(true);
        }
        let sql = format!(
            "SELECT mailbox_id, negative, rights FROM acl WHERE account_id = $1 AND {APPLIES} ORDER BY mailbox_id"
        );
        let rows = self
            .sql
            .rows(&sql, values![owner, MailboxId(0), user], |row| {
                Ok((row.int(0)?, entry(row, 1)?))
            })?;
        Ok(rows
            .chunk_by(|a, b| a.0 == b.0)
            .any(|group| combined(group.iter().map(|(_, entry)| *entry)).any(Rights::KNOWN)))
    }
}

impl Tx<'_> {
    /// Sets an entry of a mailbox's access control list; none removes it. Entries about the owner: `Conflict`, because the
    /// owner's rights cannot be changed.
    pub fn set_acl(
        &mut self,
        owner: AccountId,
        mailbox: MailboxId,
        grantee: &Grantee,
        negative: bool,
        rights: Option<Rights>,
    ) -> Result<()> {
        self.mailbox_by_id(owner, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        if let Grantee::Account(account) = grantee {
            self.account_by_id(*account)?
                .ok_or(Error::NotFound("account"))?;
            if *account == owner {
                return Err(Error::Conflict("the owner has all rights".into()));
            }
        }
        match rights.filter(|rights| *rights != Rights::NONE) {
            None => {
                let sql = "DELETE FROM acl WHERE account_id = $1 AND mailbox_id = $2 AND grantee = $3 AND negative = $4";
                self.sql
                    .execute(sql, values![owner, mailbox, grantee.key(), negative])?;
            }
            Some(rights) => {
                let count = "SELECT COUNT(*) FROM acl WHERE account_id = $1 AND mailbox_id = $2";
                if self.sql.number(count, values![owner, mailbox])? >= ENTRIES {
                    return Err(Error::Limit("rights on a mailbox"));
                }
                self.sql.execute(
                    "INSERT INTO acl (account_id, mailbox_id, grantee, negative, rights) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (account_id, mailbox_id, grantee, negative) DO UPDATE SET rights = excluded.rights",
                    values![owner, mailbox, grantee.key(), negative, i64::from(rights.0 & Rights::ALL.0)],
                )?;
            }
        }
        self.list_changed(owner);
        self.list_changed(AccountId(grantee.key()));
        Ok(())
    }

    /// RFC 4314 §4, CREATE: a new mailbox has the rights of the one above it.
    pub(crate) fn inherit_acl(
        &mut self,
        owner: AccountId,
        name: &str,
        mailbox: MailboxId,
    ) -> Result<()> {
        let Some(above) = mailbox::above(name) else {
            return Ok(());
        };
        let Some(parent) = self.mailbox(owner, above)? else {
            return Ok(());
        };
        self.sql.execute(
            "INSERT INTO acl (account_id, mailbox_id, grantee, negative, rights) \
             SELECT account_id, $3, grantee, negative, rights FROM acl WHERE account_id = $1 AND mailbox_id = $2",
            values![owner, parent.id, mailbox],
        )?;
        self.sharers_changed(owner, mailbox)
    }

    /// Those who can see a mailbox hear that the list of names changed.
    pub(crate) fn sharers_changed(&mut self, owner: AccountId, mailbox: MailboxId) -> Result<()> {
        let sql = "SELECT DISTINCT grantee FROM acl WHERE account_id = $1 AND mailbox_id = $2";
        let grantees = self
            .sql
            .rows(sql, values![owner, mailbox], |row| row.int(0))?;
        for grantee in grantees {
            self.list_changed(AccountId(grantee));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_for_rights() {
        assert_eq!(Rights::ALL.letters(), "lrswipkxtean");
        assert_eq!(
            Rights::of_letter('d').map(Rights::letters).as_deref(),
            Some("te")
        );
        assert_eq!(
            Rights::of_letter('c').map(Rights::letters).as_deref(),
            Some("kx")
        );
        assert_eq!(Rights::of_letter('Q'), None);
    }

    #[test]
    fn what_is_taken_stays_taken() {
        let read = Rights::LOOKUP.with(Rights::READ);
        let rows = [(false, read), (true, Rights::READ), (false, Rights::READ)];
        assert_eq!(combined(rows), Rights::LOOKUP);
    }

    #[test]
    fn rights_allow_flags() {
        assert_eq!(Rights::SEEN.flags(), Flags::SEEN);
        assert_eq!(Rights::DELETE_MESSAGES.flags(), Flags::DELETED);
        assert_eq!(Rights::ALL.flags(), Flags::ALL);
        assert!(!Rights::WRITE.flags().contains(Flags::SEEN));
    }
}
