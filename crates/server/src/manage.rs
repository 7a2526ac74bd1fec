//! What an administrator can ask, and doing it. The same code runs inside a server (asked through the admin socket)
//! and in the command line when no server runs.
//!
//! Owns: the requests with their JSON form, and their execution on the store. Passwords arrive sealed: the command
//! line does the slow hashing and no password travels.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Account, AccountId, BodyMeta, Columns, Error, Flags, Result, Store, Timestamp, Tx};

/// A request. With [`Request::Append`] come the octets of the message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Who is there: version and trouble.
    Status,
    /// Adds a domain.
    DomainAdd {
        /// Its name.
        name: String,
    },
    /// About shared mailboxes, limits and annotations.
    Sharing(crate::imap::admin::Request),
    /// About POP3 for one account.
    Pop3(crate::pop3::admin::Request),
    /// About DKIM keys.
    Dkim(crate::sign::admin::Request),
    /// About reports of other servers.
    Reports(crate::reports::admin::Request),
    /// About mail from other servers.
    Remote(crate::remote::admin::Request),
    /// About the queue.
    Queue(crate::courier::admin::Request),
    /// Removes a domain without accounts and aliases.
    DomainRemove {
        /// Its name.
        name: String,
    },
    /// All domains.
    DomainList,
    /// Adds accounts, all or none.
    AccountAdd {
        /// Which.
        accounts: Vec<NewAccount>,
    },
    /// Removes an account and its mail.
    AccountRemove {
        /// Which.
        address: String,
    },
    /// Accounts of a domain or of all.
    AccountList {
        /// Of this one.
        domain: Option<String>,
    },
    /// Sets a password.
    AccountPassword {
        /// Whose.
        address: String,
        /// The sealed password.
        secret: Sealed,
    },
    /// Sets the quota.
    AccountQuota {
        /// Whose.
        address: String,
        /// In octets; none is unlimited.
        quota: Option<u64>,
    },
    /// Forbids or allows logins.
    AccountDisabled {
        /// Whose.
        address: String,
        /// Whether logins are forbidden.
        disabled: bool,
    },
    /// Sets an alias.
    AliasAdd {
        /// `user@domain`, or `@domain` for all else.
        address: String,
        /// Where to.
        targets: Vec<String>,
    },
    /// Removes an alias.
    AliasRemove {
        /// Which.
        address: String,
    },
    /// Aliases of a domain or of all.
    AliasList {
        /// Of this one.
        domain: Option<String>,
    },
    /// Adds an app password.
    AppPasswordAdd {
        /// Whose.
        address: String,
        /// What for.
        name: String,
        /// SHA-256 of the password, hexadecimal.
        sha256: String,
    },
    /// Removes an app password.
    AppPasswordRemove {
        /// Whose.
        address: String,
        /// Which.
        name: String,
    },
    /// App passwords of an account.
    AppPasswordList {
        /// Whose.
        address: String,
    },
    /// Mailboxes of an account.
    MailboxList {
        /// Whose.
        address: String,
    },
    /// Where an import of a source was cut off.
    ResumeKey {
        /// Into which account.
        address: String,
        /// From where.
        source: String,
    },
    /// Keeps one message and remembers its key.
    Append(Append),
    /// Forgets where an import was.
    Finish {
        /// Into which account.
        address: String,
        /// From where.
        source: String,
    },
    /// Messages of a mailbox.
    MessageList {
        /// Whose.
        address: String,
        /// Which mailbox.
        mailbox: String,
        /// Only UIDs above this one.
        after: u32,
        /// At most as many.
        limit: usize,
    },
    /// The octets of a message.
    Message {
        /// Whose.
        address: String,
        /// Which mailbox.
        mailbox: String,
        /// Which message.
        uid: u32,
    },
    /// A copy of everything into a folder of the server's machine.
    Backup {
        /// Where to; absolute.
        folder: String,
    },
    /// All that is known about a message.
    Explain {
        /// Its trace id or Message-ID.
        message: String,
    },
    /// Examines the store.
    Check {
        /// Whether to mend what can be mended.
        repair: bool,
    },
}

/// An account to be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewAccount {
    /// Its address.
    pub address: String,
    /// Its sealed password; none allows app passwords only.
    pub secret: Option<Sealed>,
    /// Its quota in octets; none is unlimited.
    pub quota: Option<u64>,
}

/// A message to be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Append {
    /// Whose.
    pub address: String,
    /// From where.
    pub source: String,
    /// Which of the source's messages.
    pub key: String,
    /// The key remembered for the source so far, that of the message before. Where it is another, the message is
    /// refused: two imports would otherwise bring it twice, and one after a refused message would hide that one.
    pub after: Option<String>,
    /// Into which mailbox; made when missing.
    pub mailbox: String,
    /// System flags as bits.
    pub flags: u8,
    /// Keywords.
    pub keywords: Vec<String>,
    /// Internal date; now when none.
    pub received: Option<Timestamp>,
    /// The unique-id that POP3 clients know the message by.
    #[serde(default)]
    pub pop3_uid: Option<String>,
    /// It comes from another server: what is remembered is there, and `source`, `after` and `mailbox` mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<crate::remote::admin::Arrival>,
}

/// A sealed password as JSON carries it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    argon2: String,
    salt: String,
    iterations: u32,
    stored_key: String,
    server_key: String,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

impl From<&store::Secret> for Sealed {
    fn from(secret: &store::Secret) -> Sealed {
        let keys = secret.scram.as_ref();
        Sealed {
            argon2: secret.argon2.clone(),
            salt: keys.map(|keys| hex(&keys.salt)).unwrap_or_default(),
            iterations: keys.map_or(0, |keys| keys.iterations),
            stored_key: keys.map(|keys| hex(&keys.stored_key)).unwrap_or_default(),
            server_key: keys.map(|keys| hex(&keys.server_key)).unwrap_or_default(),
        }
    }
}

impl Sealed {
    fn open(&self) -> Result<store::Secret> {
        let octets = |text: &str| unhex(text).ok_or(Error::Invalid("a sealed password".to_owned()));
        let scram = (self.iterations > 0)
            .then(|| -> Result<_> {
                Ok(store::ScramKeys {
                    salt: octets(&self.salt)?,
                    iterations: self.iterations,
                    stored_key: octets(&self.stored_key)?,
                    server_key: octets(&self.server_key)?,
                })
            })
            .transpose()?;
        Ok(store::Secret {
            argon2: self.argon2.clone(),
            scram,
        })
    }
}

/// Octets as hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()
        })
        .collect()
}

/// What came of a request: a value, and with [`Request::Message`] the octets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// For the command line to show, or to print as JSON.
    pub value: Value,
    /// A message.
    pub octets: Option<Vec<u8>>,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Answer {
        Answer {
            value,
            octets: None,
        }
    }
}

/// Does what is asked; blocks. [`Request::Append`] is done by [`append`].
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    match request {
        Request::Status => {
            Ok(json!({"version": env!("CARGO_PKG_VERSION"), "trouble": store.trouble()}).into())
        }
        Request::DomainAdd { name } => crate::sign::admin::add_domain(store, name),
        Request::Reports(request) => crate::reports::admin::execute(store, request),
        Request::Sharing(request) => crate::imap::admin::execute(store, request),
        Request::Pop3(request) => crate::pop3::admin::execute(store, request),
        Request::Dkim(request) => crate::sign::admin::execute(store, request),
        Request::Remote(request) => crate::remote::admin::execute(store, request),
        Request::Queue(request) => crate::courier::admin::execute(store, request),
        Request::DomainRemove { name } => write(store, move |tx| tx.remove_domain(&name)),
        Request::DomainList => domains(store),
        Request::AccountAdd { accounts } => add_accounts(store, accounts),
        Request::AccountRemove { address } => {
            change(store, address, |tx, id| tx.remove_account(id))
        }
        Request::AccountList { domain } => accounts(store, domain.as_deref()),
        Request::AccountPassword { address, secret } => {
            let secret = secret.open()?;
            change(store, address, move |tx, id| {
                tx.set_secret(id, Some(&secret))
            })
        }
        Request::AccountQuota { address, quota } => {
            change(store, address, move |tx, id| tx.set_quota(id, quota))
        }
        Request::AccountDisabled { address, disabled } => {
            change(store, address, move |tx, id| tx.set_disabled(id, disabled))
        }
        Request::AliasAdd { address, targets } => {
            write(store, move |tx| tx.set_alias(&address, &targets).map(drop))
        }
        Request::AliasRemove { address } => write(store, move |tx| tx.remove_alias(&address)),
        Request::AliasList { domain } => aliases(store, domain.as_deref()),
        Request::AppPasswordAdd {
            address,
            name,
            sha256,
        } => add_app_password(store, address, name, &sha256),
        Request::AppPasswordRemove { address, name } => change(store, address, move |tx, id| {
            tx.remove_app_password(id, &name)
        }),
        Request::AppPasswordList { address } => app_passwords(store, &address),
        Request::MailboxList { address } => mailboxes(store, &address),
        Request::ResumeKey { address, source } => resume_key(store, &address, &source),
        Request::Append(_) => Err(Error::Invalid("append without a message".to_owned())),
        Request::Finish { address, source } => change(store, address, move |tx, id| {
            tx.set_setting(&import_setting(id, &source), None)
        }),
        Request::MessageList {
            address,
            mailbox,
            after,
            limit,
        } => messages(store, &address, &mailbox, after, limit),
        Request::Message {
            address,
            mailbox,
            uid,
        } => message(store, &address, &mailbox, uid),
        Request::Explain { message } => crate::judge::admin::explain(store, &message),
        Request::Backup { folder } => {
            let report = store.backup(&folder)?;
            Ok(json!({
                "folder": folder,
                "packs_copied": report.packs_copied,
                "packs_kept": report.packs_kept,
                "octets": report.octets,
            })
            .into())
        }
        Request::Check { repair } => check(store, repair),
    }
}

fn write(
    store: &Store,
    f: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    store.write(f).map(|()| Answer::default())
}

/// Writes something about the account with an address.
fn change(
    store: &Store,
    address: String,
    f: impl FnOnce(&mut Tx<'_>, AccountId) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    write(store, move |tx| {
        let account = tx.account(&address)?.ok_or(Error::NotFound("account"))?;
        f(tx, account.id)
    })
}

fn account(store: &Store, address: &str) -> Result<Account> {
    store
        .read(|snapshot| snapshot.account(address))?
        .ok_or(Error::NotFound("account"))
}

fn domains(store: &Store) -> Result<Answer> {
    let domains = store.read(|snapshot| snapshot.domains())?;
    let rows = domains
        .iter()
        .map(|domain| json!({"name": domain.name, "created": domain.created}));
    Ok(rows.collect::<Value>().into())
}

fn add_accounts(store: &Store, accounts: Vec<NewAccount>) -> Result<Answer> {
    let opened = accounts.into_iter().map(|new| {
        let secret = new.secret.as_ref().map(Sealed::open).transpose()?;
        Ok((new.address, secret, new.quota))
    });
    let opened = opened.collect::<Result<Vec<_>>>()?;
    write(store, move |tx| {
        for (address, secret, quota) in &opened {
            // One name among many must be known when it fails.
            tx.add_account(address, secret.as_ref(), *quota)
                .map_err(|error| match error {
                    Error::Exists(_) => Error::Conflict(format!("{address} exists already")),
                    Error::NotFound(_) => {
                        Error::Conflict(format!("{address}: there is no such domain; add it first"))
                    }
                    Error::Invalid(why) => Error::Invalid(format!("{address}: {why}")),
                    other => other,
                })?;
        }
        Ok(())
    })
}

fn accounts(store: &Store, domain: Option<&str>) -> Result<Answer> {
    let accounts = store.read(|snapshot| {
        if let Some(domain) = domain {
            snapshot.domain(domain)?.ok_or(Error::NotFound("domain"))?;
        }
        snapshot.accounts(domain)
    })?;
    let rows = accounts.iter().map(|account| {
        json!({
            "address": account.address,
            "messages": account.messages,
            "usage": account.usage,
            "quota": account.quota,
            "disabled": account.disabled,
            "created": account.created,
        })
    });
    Ok(rows.collect::<Value>().into())
}

fn aliases(store: &Store, domain: Option<&str>) -> Result<Answer> {
    let aliases = store.read(|snapshot| snapshot.aliases(domain))?;
    let rows = aliases
        .iter()
        .map(|alias| json!({"address": alias.address, "targets": alias.targets, "created": alias.created}));
    Ok(rows.collect::<Value>().into())
}

fn add_app_password(store: &Store, address: String, name: String, sha256: &str) -> Result<Answer> {
    let hash: Option<[u8; 32]> = unhex(sha256).and_then(|octets| octets.try_into().ok());
    let hash = hash.ok_or(Error::Invalid("a sealed app password".to_owned()))?;
    change(store, address, move |tx, id| {
        tx.add_app_password(id, &name, &hash).map(drop)
    })
}

fn app_passwords(store: &Store, address: &str) -> Result<Answer> {
    let id = account(store, address)?.id;
    let all = store.read(|snapshot| snapshot.app_passwords(id))?;
    let rows = all
        .iter()
        .map(|one| json!({"name": one.name, "created": one.created, "last_used": one.last_used}));
    Ok(rows.collect::<Value>().into())
}

fn mailboxes(store: &Store, address: &str) -> Result<Answer> {
    let id = account(store, address)?.id;
    let all = store.read(|snapshot| snapshot.mailboxes(id))?;
    let rows = all.iter().map(|mailbox| {
        json!({
            "name": mailbox.name,
            "messages": mailbox.messages,
            "unseen": mailbox.unseen,
            "size": mailbox.size,
            "special_use": mailbox.special_use.map(|special| special.name()),
            "subscribed": mailbox.subscribed,
            "uid_validity": mailbox.uid_validity,
            "uid_next": mailbox.uid_next,
        })
    });
    Ok(rows.collect::<Value>().into())
}

/// Under which setting an import into an account remembers its place.
fn import_setting(account: AccountId, source: &str) -> String {
    format!("import/{}/{source}", account.0)
}

fn resume_key(store: &Store, address: &str, source: &str) -> Result<Answer> {
    let id = account(store, address)?.id;
    let key = store.read(|snapshot| snapshot.setting(&import_setting(id, source)))?;
    Ok(json!(key.map(|key| String::from_utf8_lossy(&key).into_owned())).into())
}

/// Keeps a message and remembers its key, in one transaction that `done` hears of. The octets are written before;
/// the caller may go on with the next message meanwhile, which then shares the commit.
pub fn append(
    store: &Store,
    request: Append,
    octets: &[u8],
    done: impl FnOnce(Result<()>) + Send + 'static,
) {
    match prepare(store, &request, octets) {
        Err(error) => done(Err(error)),
        Ok((id, message)) => {
            let digest = match request.remote {
                Some(_) => crate::remote::admin::digest(octets),
                None => Default::default(),
            };
            let write = move |tx: &mut Tx<'_>| {
                if let Some(arrival) = &request.remote {
                    let key = &request.key;
                    let unique_id = request.pop3_uid.as_deref();
                    return crate::remote::admin::place(
                        tx, id, key, arrival, digest, &message, unique_id,
                    );
                }
                let place = import_setting(id, &request.source);
                if tx.setting(&place)?.as_deref() != request.after.as_deref().map(str::as_bytes) {
                    return Err(Error::Conflict(
                        "another import from there is running or was just cut off; run it again"
                            .to_owned(),
                    ));
                }
                let mailbox = match tx.mailbox(id, &request.mailbox)? {
                    Some(mailbox) => mailbox,
                    None => {
                        let made = tx.create_mailbox(id, &request.mailbox, None)?;
                        tx.subscribe(id, &request.mailbox, true)?;
                        made
                    }
                };
                let placed = tx.append(id, mailbox.id, &message)?;
                if let Some(unique_id) = &request.pop3_uid {
                    tx.set_pop3_uid(id, mailbox.id, placed.uid, unique_id)?;
                }
                tx.set_setting(&place, Some(request.key.as_bytes()))
            };
            store.write_then(write, done);
        }
    }
}

fn prepare(store: &Store, request: &Append, octets: &[u8]) -> Result<(AccountId, store::Append)> {
    let id = account(store, &request.address)?.id;
    let received = request.received.unwrap_or_else(now);
    let meta = BodyMeta {
        accounts: vec![id],
        received,
        ..BodyMeta::default()
    };
    let content = store.ingest(&meta, &[octets])?;
    let flags = Flags(request.flags & Flags::ALL.0);
    Ok((
        id,
        store::Append {
            content,
            flags,
            keywords: request.keywords.clone(),
            received,
        },
    ))
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::try_from(since.as_secs()).unwrap_or(Timestamp::MAX)
}

fn messages(
    store: &Store,
    address: &str,
    mailbox: &str,
    after: u32,
    limit: usize,
) -> Result<Answer> {
    let id = account(store, address)?.id;
    let mailbox = store
        .read(|snapshot| snapshot.mailbox(id, mailbox))?
        .ok_or(Error::NotFound("mailbox"))?;
    let names = store.view(id, mailbox.id)?.snapshot();
    let Some(first) = after.checked_add(1) else {
        return Ok(json!([]).into());
    };
    let mut rows = Vec::new();
    store.read(|snapshot| {
        snapshot.messages(
            id,
            mailbox.id,
            &[first..=u32::MAX],
            Columns::ENTRY,
            &mut |row| {
                if rows.len() >= limit {
                    return Ok(std::ops::ControlFlow::Break(()));
                }
                rows.push(json!({
                    "uid": row.uid,
                    "flags": row.flags.0,
                    "keywords": keywords(names.keywords(), row.keywords),
                    "received": row.received,
                    "size": row.size,
                }));
                Ok(std::ops::ControlFlow::Continue(()))
            },
        )
    })?;
    Ok(Value::Array(rows).into())
}

fn keywords(table: &[Arc<str>], bits: u64) -> Vec<String> {
    let set = |bit: usize| {
        u32::try_from(bit).is_ok_and(|bit| bits.checked_shr(bit).unwrap_or(0) & 1 == 1)
    };
    table
        .iter()
        .enumerate()
        .filter(|(bit, _)| set(*bit))
        .map(|(_, name)| name.to_string())
        .collect()
}

fn message(store: &Store, address: &str, mailbox: &str, uid: u32) -> Result<Answer> {
    let id = account(store, address)?.id;
    let mut body = None;
    store.read(|snapshot| {
        let mailbox = snapshot
            .mailbox(id, mailbox)?
            .ok_or(Error::NotFound("mailbox"))?;
        let columns = Columns {
            body: true,
            ..Columns::ENTRY
        };
        snapshot.messages(id, mailbox.id, &[uid..=uid], columns, &mut |row| {
            body = row.body;
            Ok(std::ops::ControlFlow::Break(()))
        })
    })?;
    match body {
        Some(body) => Ok(Answer {
            value: json!(uid),
            octets: Some(store.body(&body)?),
        }),
        None => Ok(Value::Null.into()),
    }
}

fn check(store: &Store, repair: bool) -> Result<Answer> {
    let report = store.check(repair)?;
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|found| json!({"text": found.text, "repaired": found.repaired}))
        .collect();
    Ok(json!({
        "accounts": report.accounts,
        "messages": report.messages,
        "bodies": report.bodies,
        "findings": findings,
    })
    .into())
}
