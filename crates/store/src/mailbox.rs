//! Mailboxes: names, hierarchy, subscriptions, keywords.
//!
//! A mailbox keeps its identifier and UIDVALIDITY over renames. A UIDVALIDITY is given once per account over all time, so a name
//! that is deleted and made again never repeats one (RFC 9051 §2.3.1.1).

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use crate::change::MailboxChange;
use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::quota::Resource;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Octets of a full name.
const NAME: usize = 1_000;
/// Levels of hierarchy.
const LEVELS: usize = 50;
/// Mailboxes of one account.
const MAILBOXES: i64 = 20_000;
/// Subscribed names of one account.
const SUBSCRIPTIONS: i64 = 40_000;
/// Keywords of one mailbox: the bits of the column.
const KEYWORDS: usize = 64;
/// Octets of a keyword.
const KEYWORD: usize = 255;
/// Largest UIDVALIDITY taken from the clock, so that a clock gone wild leaves room to count on.
const LATEST_UID_VALIDITY: Timestamp = 4_000_000_000;

const MAILBOX: &str = "SELECT m.mailbox_id, m.name, m.uid_validity, m.uid_next, m.highest_modseq, m.messages, m.unseen, \
     m.deleted, m.size, m.special_use, \
     (SELECT COUNT(*) FROM subscription s WHERE s.account_id = m.account_id AND s.name = m.name) \
     FROM mailbox m WHERE m.account_id = $1";

fn mailbox(row: &dyn Row) -> Result<Mailbox> {
    Ok(Mailbox {
        id: MailboxId(row.int(0)?),
        name: row.text(1)?.to_owned(),
        uid_validity: row.u32(2)?,
        uid_next: row.u32(3)?,
        highest_modseq: row.uint(4)?,
        messages: row.u32(5)?,
        unseen: row.u32(6)?,
        deleted: row.u32(7)?,
        size: row.uint(8)?,
        special_use: row.opt_text(9)?.and_then(SpecialUse::from_name),
        subscribed: row.int(10)? > 0,
    })
}

/// The stored form of a name: NFC, INBOX in upper case (RFC 9051 §5.1), no separator at the end (§6.3.4).
pub(crate) fn normal_name(name: &str) -> Result<String> {
    let name: String = name.strip_suffix('/').unwrap_or(name).nfc().collect();
    let wrong =
        |c: char| c.is_control() || c == '*' || c == '%' || matches!(c, '\u{2028}' | '\u{2029}');
    let levels = name.split('/').count();
    // Names never become paths here; but exports and other programs make paths of names, and `..` says nothing else.
    let path_like = |level: &str| matches!(level, "" | "." | "..");
    if name.split('/').any(path_like) || name.contains(wrong) {
        return Err(Error::Invalid("mailbox name".into()));
    }
    if name.len() > NAME || levels > LEVELS {
        return Err(Error::Limit("length of a mailbox name"));
    }
    let (first, rest) = name
        .split_once('/')
        .map_or((name.as_str(), None), |(first, rest)| (first, Some(rest)));
    if !first.eq_ignore_ascii_case("INBOX") {
        return Ok(name);
    }
    Ok(rest.map_or_else(|| "INBOX".to_owned(), |rest| format!("INBOX/{rest}")))
}

/// The name above a name.
pub(crate) fn above(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(above, _)| above)
}

impl Snapshot<'_> {
    /// Mailboxes of an account, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>> {
        self.sql.rows(
            &format!("{MAILBOX} ORDER BY m.name"),
            values![account],
            mailbox,
        )
    }

    /// A mailbox by name (INBOX in any case).
    pub fn mailbox(&self, account: AccountId, name: &str) -> Result<Option<Mailbox>> {
        let Ok(name) = normal_name(name) else {
            return Ok(None);
        };
        self.sql.row(
            &format!("{MAILBOX} AND m.name = $2"),
            values![account, &name],
            mailbox,
        )
    }

    /// A mailbox by identifier.
    pub fn mailbox_by_id(&self, account: AccountId, id: MailboxId) -> Result<Option<Mailbox>> {
        self.sql.row(
            &format!("{MAILBOX} AND m.mailbox_id = $2"),
            values![account, id],
            mailbox,
        )
    }

    /// Subscribed names, sorted, those of mailboxes that do not exist included.
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<String>> {
        let sql = "SELECT name FROM subscription WHERE account_id = $1 ORDER BY name";
        self.sql
            .rows(sql, values![account], |row| Ok(row.text(0)?.to_owned()))
    }

    /// Keywords of a mailbox; the position is the bit.
    pub fn keywords(&self, account: AccountId, mailbox: MailboxId) -> Result<Vec<String>> {
        let sql = "SELECT name FROM keyword WHERE account_id = $1 AND mailbox_id = $2 ORDER BY bit";
        self.sql.rows(sql, values![account, mailbox], |row| {
            Ok(row.text(0)?.to_owned())
        })
    }

    /// The mailbox with this use, the oldest where several have it.
    pub(crate) fn mailbox_for(
        &self,
        account: AccountId,
        special_use: SpecialUse,
    ) -> Result<Option<MailboxId>> {
        let sql = "SELECT mailbox_id FROM mailbox WHERE account_id = $1 AND special_use = $2 ORDER BY mailbox_id";
        self.sql
            .row(sql, values![account, special_use.name()], |row| {
                Ok(MailboxId(row.int(0)?))
            })
    }
}

impl Tx<'_> {
    /// Creates a mailbox and those above it that are missing. `Exists`, `Invalid`, `Limit`; `Conflict` when another mailbox
    /// has the special use.
    pub fn create_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<Mailbox> {
        let name = normal_name(name)?;
        if self.mailbox(account, &name)?.is_some() {
            return Err(Error::Exists("mailbox"));
        }
        self.free_special_use(account, special_use)?;
        self.create_above(account, &name)?;
        let id = self.insert_mailbox(account, &name, special_use)?;
        self.list_changed(account);
        self.mailbox_by_id(account, id)?
            .ok_or(Error::NotFound("mailbox"))
    }

    /// Deletes a mailbox and its messages; those below it stay, and so does its subscription (RFC 9051 §6.3.7). INBOX: `Conflict`.
    pub fn delete_mailbox(&mut self, account: AccountId, name: &str) -> Result<()> {
        let mailbox = self
            .mailbox(account, name)?
            .ok_or(Error::NotFound("mailbox"))?;
        if mailbox.name == "INBOX" {
            return Err(Error::Conflict("INBOX cannot be deleted".into()));
        }
        self.next_modseq(account)?;
        self.empty_mailbox(account, mailbox.id)?;
        self.sharers_changed(account, mailbox.id)?;
        for table in [
            "keyword",
            "expunged",
            "acl",
            "seen",
            "annotation",
            "url_key",
            "pop3_uid",
            "pop3_retrieved",
            "mailbox",
        ] {
            let sql = format!("DELETE FROM {table} WHERE account_id = $1 AND mailbox_id = $2");
            self.sql.execute(&sql, values![account, mailbox.id])?;
        }
        self.changed(account, mailbox.id, MailboxChange::Gone);
        self.list_changed(account);
        Ok(())
    }

    /// Renames a mailbox and all below it. INBOX: its messages move to a new mailbox, itself and those below it stay
    /// (RFC 9051 §6.3.6).
    pub fn rename_mailbox(&mut self, account: AccountId, from: &str, to: &str) -> Result<()> {
        let (from, to) = (normal_name(from)?, normal_name(to)?);
        if self.mailbox(account, &to)?.is_some() {
            return Err(Error::Exists("mailbox"));
        }
        if from == "INBOX" {
            let inbox = self
                .mailbox(account, &from)?
                .ok_or(Error::NotFound("mailbox"))?;
            let new = self.create_mailbox(account, &to, None)?;
            self.move_messages(account, inbox.id, &[1..=u32::MAX], new.id)?;
            return Ok(());
        }
        let below = format!("{from}/");
        if to.starts_with(&below) {
            return Err(Error::Conflict(
                "a mailbox cannot be moved below itself".into(),
            ));
        }
        let moving: Vec<Mailbox> = self
            .mailboxes(account)?
            .into_iter()
            .filter(|m| m.name == from || m.name.starts_with(&below))
            .collect();
        if moving.is_empty() {
            return Err(Error::NotFound("mailbox"));
        }
        self.next_modseq(account)?;
        self.create_above(account, &to)?;
        for mailbox in &moving {
            let rest = mailbox.name.strip_prefix(&from).unwrap_or_default();
            let name = normal_name(&format!("{to}{rest}"))?;
            if self.mailbox(account, &name)?.is_some() {
                return Err(Error::Exists("mailbox"));
            }
            let sql = "UPDATE mailbox SET name = $3 WHERE account_id = $1 AND mailbox_id = $2";
            self.sql.execute(sql, values![account, mailbox.id, &name])?;
            self.sharers_changed(account, mailbox.id)?;
        }
        self.list_changed(account);
        Ok(())
    }

    /// Subscribes or unsubscribes a name, whether or not a mailbox has it. Doing it twice is no error.
    pub fn subscribe(&mut self, account: AccountId, name: &str, subscribed: bool) -> Result<()> {
        let name = normal_name(name)?;
        if subscribed {
            if self.sql.number(
                "SELECT COUNT(*) FROM subscription WHERE account_id = $1",
                values![account],
            )? >= SUBSCRIPTIONS
            {
                return Err(Error::Limit("subscriptions of an account"));
            }
            let sql = "INSERT INTO subscription (account_id, name) VALUES ($1, $2) ON CONFLICT (account_id, name) DO NOTHING";
            self.sql.execute(sql, values![account, &name])?;
        } else {
            self.sql.execute(
                "DELETE FROM subscription WHERE account_id = $1 AND name = $2",
                values![account, &name],
            )?;
        }
        self.list_changed(account);
        Ok(())
    }

    /// Says what a mailbox is for. `Conflict` when another has that use.
    pub fn set_special_use(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        special_use: Option<SpecialUse>,
    ) -> Result<()> {
        let now = self
            .mailbox_by_id(account, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        if now.special_use != special_use {
            self.free_special_use(account, special_use)?;
            let sql =
                "UPDATE mailbox SET special_use = $3 WHERE account_id = $1 AND mailbox_id = $2";
            self.sql.execute(
                sql,
                values![account, mailbox, special_use.map(SpecialUse::name)],
            )?;
            self.list_changed(account);
        }
        Ok(())
    }

    /// The bits of these keywords. With `create`, unknown ones are added; without, they are passed over.
    pub(crate) fn keyword_bits(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        names: &[String],
        create: bool,
    ) -> Result<u64> {
        if names.is_empty() {
            return Ok(0);
        }
        let mut table = self.keywords(account, mailbox)?;
        let mut bits = 0u64;
        for name in names {
            // Keywords differ not by case (RFC 9051 §2.3.2); the first spelling stays.
            if let Some(bit) = table
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name))
            {
                bits |= 1 << bit;
                continue;
            }
            if !create {
                continue;
            }
            if !is_keyword(name) {
                return Err(Error::Invalid(format!("keyword {}", name.escape_debug())));
            }
            let bit = table.len();
            if bit >= KEYWORDS {
                return Err(Error::Limit("keywords of a mailbox"));
            }
            let sql =
                "INSERT INTO keyword (account_id, mailbox_id, bit, name) VALUES ($1, $2, $3, $4)";
            self.sql
                .execute(sql, values![account, mailbox, bit as u64, name])?;
            self.changed(
                account,
                mailbox,
                MailboxChange::Keyword {
                    bit: bit as u32,
                    name: Arc::from(name.as_str()),
                },
            );
            table.push(name.clone());
            bits |= 1 << bit;
        }
        Ok(bits)
    }

    fn free_special_use(&self, account: AccountId, special_use: Option<SpecialUse>) -> Result<()> {
        match special_use {
            Some(used) if self.mailbox_for(account, used)?.is_some() => Err(Error::Conflict(
                format!("another mailbox is for {}", used.name()),
            )),
            _ => Ok(()),
        }
    }

    /// RFC 9051 §6.3.4: superior names that are missing are created.
    fn create_above(&mut self, account: AccountId, name: &str) -> Result<()> {
        for (end, _) in name.match_indices('/') {
            let above = name.get(..end).unwrap_or_default();
            if self.mailbox(account, above)?.is_none() {
                self.insert_mailbox(account, above, None)?;
            }
        }
        Ok(())
    }

    fn insert_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        if self.sql.number(
            "SELECT COUNT(*) FROM mailbox WHERE account_id = $1",
            values![account],
        )? >= MAILBOXES
        {
            return Err(Error::Limit("mailboxes of an account"));
        }
        self.within(account, Resource::Mailboxes, 1)?;
        let (id, uid_validity, modseq) = self
            .sql
            .row(
                "UPDATE account_state SET modseq = modseq + 1, last_mailbox = last_mailbox + 1, last_uid_validity = \
                 CASE WHEN last_uid_validity >= $2 THEN last_uid_validity + 1 ELSE $2 END WHERE account_id = $1 \
                 RETURNING last_mailbox, last_uid_validity, modseq",
                values![account, self.now.clamp(1, LATEST_UID_VALIDITY)],
                |row| Ok((row.int(0)?, row.u32(1)?, row.uint(2)?)),
            )?
            .ok_or(Error::NotFound("account"))?;
        self.sql.execute(
            "INSERT INTO mailbox (account_id, mailbox_id, name, uid_validity, uid_next, highest_modseq, messages, unseen, \
             deleted, size, special_use) VALUES ($1, $2, $3, $4, 1, $5, 0, 0, 0, 0, $6)",
            values![account, id, name, uid_validity, modseq, special_use.map(SpecialUse::name)],
        )?;
        self.inherit_acl(account, name, MailboxId(id))?;
        Ok(MailboxId(id))
    }
}

/// RFC 9051 §9 flag-keyword: an atom.
fn is_keyword(name: &str) -> bool {
    (1..=KEYWORD).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
}
