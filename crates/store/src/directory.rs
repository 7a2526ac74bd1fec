//! Domains, accounts, app passwords and aliases.

use crate::address::{self, Address};
use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::*;

/// Targets of one alias: a list for a small organisation; more belongs in mailing list software.
const TARGETS: usize = 1_000;
/// App passwords of one account.
const APP_PASSWORDS: i64 = 100;
/// Octets in the name of an app password.
const APP_PASSWORD_NAME: usize = 200;

const ACCOUNT: &str = "SELECT a.account_id, a.address, a.quota, s.usage, s.messages, a.disabled, a.created, s.modseq \
     FROM account a JOIN account_state s ON s.account_id = a.account_id";

fn account(row: &dyn Row) -> Result<Account> {
    Ok(Account {
        id: AccountId(row.int(0)?),
        address: row.text(1)?.to_owned(),
        quota: row.opt_int(2)?.map(i64::unsigned_abs),
        usage: row.uint(3)?,
        messages: row.uint(4)?,
        disabled: row.int(5)? != 0,
        created: row.int(6)?,
        modseq: row.uint(7)?,
    })
}

fn domain(row: &dyn Row) -> Result<Domain> {
    Ok(Domain {
        id: DomainId(row.int(0)?),
        name: row.text(1)?.to_owned(),
        created: row.int(2)?,
    })
}

fn app_password(row: &dyn Row) -> Result<AppPassword> {
    Ok(AppPassword {
        id: AppPasswordId(row.int(0)?),
        name: row.text(1)?.to_owned(),
        created: row.int(2)?,
        last_used: row.opt_int(3)?,
    })
}

impl Snapshot<'_> {
    /// All domains, by name.
    pub fn domains(&self) -> Result<Vec<Domain>> {
        self.sql.rows(
            "SELECT domain_id, name, created FROM domain ORDER BY name",
            &[],
            domain,
        )
    }

    /// A domain by name, any case.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        let Ok(name) = address::domain(name) else {
            return Ok(None);
        };
        self.sql.row(
            "SELECT domain_id, name, created FROM domain WHERE name = $1",
            values![&name],
            domain,
        )
    }

    /// Accounts of one domain or of all, by address.
    pub fn accounts(&self, domain: Option<&str>) -> Result<Vec<Account>> {
        match domain {
            None => self
                .sql
                .rows(&format!("{ACCOUNT} ORDER BY a.address"), &[], account),
            Some(name) => match self.domain(name)? {
                None => Ok(Vec::new()),
                Some(domain) => self.sql.rows(
                    &format!("{ACCOUNT} WHERE a.domain_id = $1 ORDER BY a.address"),
                    values![domain.id],
                    account,
                ),
            },
        }
    }

    /// An account by its address, any case.
    pub fn account(&self, address: &str) -> Result<Option<Account>> {
        let Ok(address) = Address::parse(address) else {
            return Ok(None);
        };
        self.sql.row(
            &format!("{ACCOUNT} WHERE a.address = $1"),
            values![&address.to_string()],
            account,
        )
    }

    /// An account by its identifier.
    pub fn account_by_id(&self, id: AccountId) -> Result<Option<Account>> {
        self.sql.row(
            &format!("{ACCOUNT} WHERE a.account_id = $1"),
            values![id],
            account,
        )
    }

    /// What a login is checked against; the login name is the address, any case.
    pub fn credentials(&self, login: &str) -> Result<Option<Credentials>> {
        let Ok(address) = Address::parse(login) else {
            return Ok(None);
        };
        self.sql.row(
            "SELECT account_id, address, disabled, argon2, scram_salt, scram_iterations, scram_stored_key, scram_server_key, \
             (SELECT COUNT(*) FROM app_password p WHERE p.account_id = account.account_id) FROM account WHERE address = $1",
            values![&address.to_string()],
            |row| {
                let scram = match (row.opt_blob(4)?, row.opt_int(5)?) {
                    (Some(salt), Some(iterations)) => Some(ScramKeys {
                        salt: salt.to_vec(),
                        iterations: u32::try_from(iterations).map_err(|_| Error::Corrupt("SCRAM iterations".into()))?,
                        stored_key: row.blob(6)?.to_vec(),
                        server_key: row.blob(7)?.to_vec(),
                    }),
                    _ => None,
                };
                Ok(Credentials {
                    account: AccountId(row.int(0)?),
                    address: row.text(1)?.to_owned(),
                    disabled: row.int(2)? != 0,
                    secret: row.opt_text(3)?.map(|argon2| Secret { argon2: argon2.to_owned(), scram }),
                    has_app_passwords: row.int(8)? > 0,
                })
            },
        )
    }

    /// App passwords of an account, by name.
    pub fn app_passwords(&self, account: AccountId) -> Result<Vec<AppPassword>> {
        let sql = "SELECT app_password_id, name, created, last_used FROM app_password WHERE account_id = $1 ORDER BY name";
        self.sql.rows(sql, values![account], app_password)
    }

    /// The app password whose secret has this SHA-256.
    pub fn app_password(
        &self,
        account: AccountId,
        sha256: &[u8; 32],
    ) -> Result<Option<AppPassword>> {
        let sql = "SELECT app_password_id, name, created, last_used FROM app_password WHERE account_id = $1 AND sha256 = $2";
        self.sql
            .row(sql, values![account, sha256.as_slice()], app_password)
    }

    /// Aliases of one domain or of all, by address.
    pub fn aliases(&self, domain: Option<&str>) -> Result<Vec<Alias>> {
        let domain = match domain {
            None => None,
            Some(name) => match self.domain(name)? {
                None => return Ok(Vec::new()),
                Some(domain) => Some(domain.id),
            },
        };
        let sql = "SELECT alias_id, address, created FROM alias WHERE $1 IS NULL OR domain_id = $1 ORDER BY address";
        let found = self.sql.rows(sql, values![domain], |row| {
            Ok(Alias {
                id: AliasId(row.int(0)?),
                address: row.text(1)?.to_owned(),
                targets: Vec::new(),
                created: row.int(2)?,
            })
        })?;
        found
            .into_iter()
            .map(|alias| {
                Ok(Alias {
                    targets: self.alias_targets(alias.id)?,
                    ..alias
                })
            })
            .collect()
    }

    pub(crate) fn alias_targets(&self, alias: AliasId) -> Result<Vec<String>> {
        let sql = "SELECT target FROM alias_target WHERE alias_id = $1 ORDER BY position";
        self.sql
            .rows(sql, values![alias], |row| Ok(row.text(0)?.to_owned()))
    }

    pub(crate) fn alias_id(&self, address: &str) -> Result<Option<AliasId>> {
        self.sql.row(
            "SELECT alias_id FROM alias WHERE address = $1",
            values![address],
            |row| Ok(AliasId(row.int(0)?)),
        )
    }
}

impl Tx<'_> {
    /// Adds a domain. `Exists`, `Invalid`.
    pub fn add_domain(&mut self, name: &str) -> Result<DomainId> {
        let name = address::domain(name)?;
        if self.domain(&name)?.is_some() {
            return Err(Error::Exists("domain"));
        }
        let id = self.next_id("domain")?;
        let sql = "INSERT INTO domain (domain_id, name, created) VALUES ($1, $2, $3)";
        self.sql.execute(sql, values![id, &name, self.now])?;
        Ok(DomainId(id))
    }

    /// Removes a domain; `Conflict` while it has accounts or aliases.
    pub fn remove_domain(&mut self, name: &str) -> Result<()> {
        let id = self.domain(name)?.ok_or(Error::NotFound("domain"))?.id;
        let used = self.sql.number(
            "SELECT (SELECT COUNT(*) FROM account WHERE domain_id = $1) + (SELECT COUNT(*) FROM alias WHERE domain_id = $1)",
            values![id],
        )?;
        if used > 0 {
            return Err(Error::Conflict(format!(
                "the domain still has {used} accounts or aliases"
            )));
        }
        self.remove_dkim_keys(id)?;
        self.sql
            .execute("DELETE FROM domain WHERE domain_id = $1", values![id])?;
        Ok(())
    }

    /// Adds an account with INBOX, Drafts, Sent, Junk, Trash and Archive, all subscribed. The domain must be there.
    pub fn add_account(
        &mut self,
        address: &str,
        secret: Option<&Secret>,
        quota: Option<u64>,
    ) -> Result<AccountId> {
        let address = Address::parse(address)?;
        let domain = self
            .domain(&address.domain)?
            .ok_or(Error::NotFound("domain"))?;
        let text = address.to_string();
        if self.account(&text)?.is_some() {
            return Err(Error::Exists("account"));
        }
        if self.alias_id(&text)?.is_some() {
            return Err(Error::Exists("alias"));
        }
        let id = AccountId(self.next_id("account")?);
        let sql = "INSERT INTO account (account_id, domain_id, address, quota, disabled, created) VALUES ($1, $2, $3, $4, 0, $5)";
        self.sql
            .execute(sql, values![id, domain.id, &text, quota, self.now])?;
        self.sql.execute(
            "INSERT INTO account_state (account_id, modseq, usage, messages, last_uid_validity, last_mailbox, last_message, \
             last_app_password) VALUES ($1, 1, 0, 0, 0, 0, 0, 0)",
            values![id],
        )?;
        self.set_secret(id, secret)?;
        use SpecialUse::*;
        self.create_mailbox(id, "INBOX", None)?;
        self.subscribe(id, "INBOX", true)?;
        for special_use in [Drafts, Sent, Junk, Trash, Archive] {
            self.create_mailbox(id, special_use.name(), Some(special_use))?;
            self.subscribe(id, special_use.name(), true)?;
        }
        Ok(id)
    }

    /// Removes an account with everything in it. Its address may be given to a new account, which shares nothing with it.
    pub fn remove_account(&mut self, account: AccountId) -> Result<()> {
        self.account_by_id(account)?
            .ok_or(Error::NotFound("account"))?;
        for mailbox in self.mailboxes(account)? {
            self.empty_mailbox(account, mailbox.id)?;
            self.sharers_changed(account, mailbox.id)?;
            self.changed(account, mailbox.id, crate::change::MailboxChange::Gone);
        }
        // What it had in mailboxes of others.
        for (table, column) in [
            ("acl", "grantee"),
            ("seen", "reader"),
            ("annotation", "reader"),
            ("message_annotation", "reader"),
            ("url_key", "reader"),
        ] {
            let sql = format!("DELETE FROM {table} WHERE {column} = $1");
            self.sql.execute(&sql, values![account])?;
        }
        // What it sent is on its way; nobody sends it any more, and it is no one's turn but that of mail without a sender.
        for sql in [
            "UPDATE queue_recipient SET sender = 0 WHERE queue_id IN (SELECT queue_id FROM queue_message WHERE submitter = $1)",
            "UPDATE queue_message SET submitter = NULL WHERE submitter = $1",
        ] {
            self.sql.execute(sql, values![account])?;
        }
        self.remove_search_of(account)?;
        for table in [
            "account_sent",
            "account_known",
            "account_allowance",
            "subscription",
            "keyword",
            "expunged",
            "acl",
            "seen",
            "quota_limit",
            "thread_key",
            "annotation",
            "message_annotation",
            "url_key",
            "pop3_uid",
            "pop3_retrieved",
            "remote_message",
            "remote_mailbox",
            "fetch",
            "account_option",
            "mailbox",
            "app_password",
            "account_state",
            "account",
        ] {
            self.sql.execute(
                &format!("DELETE FROM {table} WHERE account_id = $1"),
                values![account],
            )?;
        }
        self.list_changed(account);
        Ok(())
    }

    /// Sets the password; None leaves app passwords only.
    pub fn set_secret(&mut self, account: AccountId, secret: Option<&Secret>) -> Result<()> {
        let scram = secret.and_then(|s| s.scram.as_ref());
        let count = self.sql.execute(
            "UPDATE account SET argon2 = $2, scram_salt = $3, scram_iterations = $4, scram_stored_key = $5, scram_server_key = $6 \
             WHERE account_id = $1",
            values![
                account,
                secret.map(|s| &s.argon2),
                scram.map(|s| &s.salt),
                scram.map(|s| s.iterations),
                scram.map(|s| &s.stored_key),
                scram.map(|s| &s.server_key),
            ],
        )?;
        found(count, "account")
    }

    /// Sets the quota in octets; None is unlimited. May be below what is used: then nothing more comes in.
    pub fn set_quota(&mut self, account: AccountId, quota: Option<u64>) -> Result<()> {
        found(
            self.sql.execute(
                "UPDATE account SET quota = $2 WHERE account_id = $1",
                values![account, quota],
            )?,
            "account",
        )
    }

    /// Forbids or allows logins.
    pub fn set_disabled(&mut self, account: AccountId, disabled: bool) -> Result<()> {
        found(
            self.sql.execute(
                "UPDATE account SET disabled = $2 WHERE account_id = $1",
                values![account, disabled],
            )?,
            "account",
        )
    }

    /// Adds an app password under a name that is unique in the account, by the SHA-256 of its secret.
    pub fn add_app_password(
        &mut self,
        account: AccountId,
        name: &str,
        sha256: &[u8; 32],
    ) -> Result<AppPasswordId> {
        if name.trim().is_empty()
            || name.len() > APP_PASSWORD_NAME
            || name.chars().any(char::is_control)
        {
            return Err(Error::Invalid("the name of an app password".into()));
        }
        let taken = "SELECT COUNT(*) FROM app_password WHERE account_id = $1 AND name = $2";
        if self.sql.number(taken, values![account, name])? > 0 {
            return Err(Error::Exists("app password"));
        }
        if self.sql.number(
            "SELECT COUNT(*) FROM app_password WHERE account_id = $1",
            values![account],
        )? >= APP_PASSWORDS
        {
            return Err(Error::Limit("app passwords of an account"));
        }
        let next = "UPDATE account_state SET last_app_password = last_app_password + 1 WHERE account_id = $1 RETURNING last_app_password";
        let id = self
            .sql
            .row(next, values![account], |row| row.int(0))?
            .ok_or(Error::NotFound("account"))?;
        self.sql.execute(
            "INSERT INTO app_password (account_id, app_password_id, name, sha256, created) VALUES ($1, $2, $3, $4, $5)",
            values![account, id, name, sha256.as_slice(), self.now],
        )?;
        Ok(AppPasswordId(id))
    }

    /// Removes an app password by name.
    pub fn remove_app_password(&mut self, account: AccountId, name: &str) -> Result<()> {
        let sql = "DELETE FROM app_password WHERE account_id = $1 AND name = $2";
        found(
            self.sql.execute(sql, values![account, name])?,
            "app password",
        )
    }

    /// Notes that an app password was used now. (Call it at most once a day per password: it costs a write.)
    pub fn touch_app_password(&mut self, account: AccountId, id: AppPasswordId) -> Result<()> {
        let sql =
            "UPDATE app_password SET last_used = $3 WHERE account_id = $1 AND app_password_id = $2";
        found(
            self.sql.execute(sql, values![account, id, self.now])?,
            "app password",
        )
    }

    /// Sets the targets of an alias, added if missing (`user@domain` or catch-all `@domain`; at most 1,000 targets). `Exists`
    /// when an account has the address.
    pub fn set_alias(&mut self, address: &str, targets: &[String]) -> Result<AliasId> {
        let address = Address::parse_alias(address)?;
        let domain = self
            .domain(&address.domain)?
            .ok_or(Error::NotFound("domain"))?;
        let text = address.to_string();
        if self.account(&text)?.is_some() {
            return Err(Error::Exists("account"));
        }
        if targets.is_empty() {
            return Err(Error::Invalid("an alias needs a target".into()));
        }
        if targets.len() > TARGETS {
            return Err(Error::Limit("targets of an alias"));
        }
        let targets: Vec<String> = targets
            .iter()
            .map(|t| address::target(t))
            .collect::<Result<_>>()?;
        let id = match self.alias_id(&text)? {
            Some(id) => id,
            None => {
                let id = self.next_id("alias")?;
                let sql = "INSERT INTO alias (alias_id, domain_id, address, created) VALUES ($1, $2, $3, $4)";
                self.sql
                    .execute(sql, values![id, domain.id, &text, self.now])?;
                AliasId(id)
            }
        };
        self.sql
            .execute("DELETE FROM alias_target WHERE alias_id = $1", values![id])?;
        for (position, target) in targets.iter().enumerate() {
            let sql = "INSERT INTO alias_target (alias_id, position, target) VALUES ($1, $2, $3)";
            self.sql
                .execute(sql, values![id, position as i64, target])?;
        }
        Ok(id)
    }

    /// Removes an alias.
    pub fn remove_alias(&mut self, address: &str) -> Result<()> {
        let address = Address::parse_alias(address)?.to_string();
        let id = self.alias_id(&address)?.ok_or(Error::NotFound("alias"))?;
        self.sql
            .execute("DELETE FROM alias_target WHERE alias_id = $1", values![id])?;
        self.sql
            .execute("DELETE FROM alias WHERE alias_id = $1", values![id])?;
        Ok(())
    }
}

fn found(count: u64, what: &'static str) -> Result<()> {
    if count == 0 {
        Err(Error::NotFound(what))
    } else {
        Ok(())
    }
}
