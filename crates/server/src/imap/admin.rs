//! What an administrator can ask about shared mailboxes, limits and annotations of the server. Blocks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Annotated, Error, Resource, Result, Snapshot, Store};

use super::acl;
use crate::manage::Answer;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sharing", rename_all = "kebab-case")]
pub enum Request {
    /// Who has which rights: on one mailbox of an account, or on all that are shared.
    List {
        /// Whose.
        address: String,
        /// On this one.
        mailbox: Option<String>,
    },
    /// Gives or takes rights on a mailbox.
    Set {
        /// Whose.
        address: String,
        /// On which.
        mailbox: String,
        /// For whom: an address or `anyone`, after `-` rights that are taken away.
        identifier: String,
        /// Which, as letters; none at all takes the entry away.
        rights: String,
    },
    /// What an account uses and may use.
    Limits {
        /// Whose.
        address: String,
    },
    /// Limits a resource of an account.
    Limit {
        /// Whose.
        address: String,
        /// `storage`, `message` or `mailbox`.
        resource: String,
        /// How much; none is unlimited.
        limit: Option<u64>,
    },
    /// Shared annotations of the server.
    Annotations,
    /// Sets or removes one.
    Annotate {
        /// `/shared/comment`, `/shared/admin` …
        entry: String,
        /// Its value.
        value: Option<String>,
    },
}

impl Request {
    /// What the log says of it.
    pub fn describe(&self) -> Option<String> {
        match self {
            Request::List { .. } | Request::Limits { .. } | Request::Annotations => None,
            Request::Set {
                address,
                mailbox,
                identifier,
                rights,
            } => Some(format!(
                "mailbox grant {address} {mailbox} {identifier} {rights}"
            )),
            Request::Limit {
                address, resource, ..
            } => Some(format!("account limit {address} {resource}")),
            Request::Annotate { entry, .. } => Some(format!("annotation {entry}")),
        }
    }
}

/// Does what is asked.
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    match request {
        Request::List { address, mailbox } => {
            let rows = store.read(|snapshot| list(snapshot, &address, mailbox.as_deref()))?;
            Ok(Value::Array(rows).into())
        }
        Request::Set {
            address,
            mailbox,
            identifier,
            rights,
        } => {
            let rights = acl::parse(&rights).ok_or_else(|| {
                Error::Invalid(format!("rights {rights:?}; there are lrswipkxtean"))
            })?;
            store.write(move |tx| {
                let owner = tx.account(&address)?.ok_or(Error::NotFound("account"))?;
                let mailbox = tx
                    .mailbox(owner.id, &mailbox)?
                    .ok_or(Error::NotFound("mailbox"))?;
                let (who, negative) = acl::grantee(tx, &identifier)?
                    .ok_or(Error::NotFound("account to share with"))?;
                tx.set_acl(owner.id, mailbox.id, &who, negative, Some(rights))
            })?;
            Ok(Answer::default())
        }
        Request::Limits { address } => {
            let usage = store.read(|snapshot| {
                let account = snapshot
                    .account(&address)?
                    .ok_or(Error::NotFound("account"))?;
                snapshot.usage(account.id)
            })?;
            let rows = usage.iter().map(|usage| {
                json!({"resource": usage.resource.name(), "used": usage.used, "limit": usage.limit})
            });
            Ok(rows.collect::<Value>().into())
        }
        Request::Limit {
            address,
            resource,
            limit,
        } => {
            let resource = Resource::from_name(&resource)
                .ok_or_else(|| Error::Invalid(format!("resource {resource:?}")))?;
            store.write(move |tx| {
                let account = tx.account(&address)?.ok_or(Error::NotFound("account"))?;
                tx.set_limit(account.id, resource, limit)
            })?;
            Ok(Answer::default())
        }
        Request::Annotations => {
            let all = store.read(|snapshot| snapshot.annotations(Annotated::Server))?;
            let rows = all.iter().map(|(name, value)| {
                json!({"entry": format!("/shared{name}"), "value": String::from_utf8_lossy(value)})
            });
            Ok(rows.collect::<Value>().into())
        }
        Request::Annotate { entry, value } => {
            let name = entry
                .strip_prefix("/shared/")
                .filter(|name| super::metadata::is_name(name))
                .map(|name| format!("/{name}"))
                .ok_or_else(|| {
                    Error::Invalid(format!("entry {entry:?}; it begins with /shared/"))
                })?;
            if !super::metadata::is_filter(&name, value.as_ref().map(String::as_bytes)) {
                let text = "filters are searches as SEARCH takes them, with names without blanks and slashes";
                return Err(Error::Invalid(text.to_owned()));
            }
            store.write(move |tx| {
                tx.set_annotation(
                    Annotated::Server,
                    &name,
                    value.as_ref().map(String::as_bytes),
                )
            })?;
            Ok(Answer::default())
        }
    }
}

fn list(snapshot: &Snapshot<'_>, address: &str, mailbox: Option<&str>) -> Result<Vec<Value>> {
    let owner = snapshot
        .account(address)?
        .ok_or(Error::NotFound("account"))?;
    let mailboxes = match mailbox {
        None => snapshot.mailboxes(owner.id)?,
        Some(name) => vec![
            snapshot
                .mailbox(owner.id, name)?
                .ok_or(Error::NotFound("mailbox"))?,
        ],
    };
    let mut rows = Vec::new();
    for mailbox in mailboxes {
        for entry in snapshot.acl(owner.id, mailbox.id)? {
            let sign = if entry.negative { "-" } else { "" };
            rows.push(json!({
                "mailbox": mailbox.name,
                "identifier": format!("{sign}{}", entry.name),
                "rights": entry.rights.letters(),
            }));
        }
    }
    Ok(rows)
}
