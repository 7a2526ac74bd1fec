//! What an administrator can ask about POP3: settings of single accounts. Blocks.

use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Error, Result, Store};

use super::options::{DELETED, EXPIRE, LOGIN_DELAY, Own};
use crate::config::{Deleted, Expire};
use crate::manage::Answer;

/// A request about an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Whose.
    pub address: String,
    /// What becomes of messages that POP3 deletes; absent leaves it, `default` is what the configuration says.
    pub deleted: Option<String>,
    /// Seconds between two logins, at most those of the configuration; likewise.
    pub login_delay: Option<String>,
    /// How long messages stay that were taken, at least as long as the configuration says; likewise.
    pub expire: Option<String>,
}

impl Request {
    /// What the log says of it.
    pub fn describe(&self) -> Option<String> {
        let changes = self.deleted.is_some() || self.login_delay.is_some() || self.expire.is_some();
        changes.then(|| format!("account pop3 {}", self.address))
    }
}

/// Does what is asked, and tells what holds then.
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    let Request {
        address,
        deleted,
        login_delay,
        expire,
    } = request;
    let deleted = deleted.map(|text| known(text, |text| Deleted::from_name(text).is_some()));
    let login_delay = login_delay.map(|text| known(text, |text| text.parse::<u32>().is_ok()));
    let expire = expire.map(|text| known(text, |text| Expire::from_name(text).is_some()));
    let options = [
        (DELETED, deleted.transpose()?),
        (LOGIN_DELAY, login_delay.transpose()?),
        (EXPIRE, expire.transpose()?),
    ];
    let own = store.write(move |tx| {
        let account = tx.account(&address)?.ok_or(Error::NotFound("account"))?.id;
        for (name, value) in options {
            if let Some(value) = value {
                tx.set_account_option(account, name, value.as_deref())?;
            }
        }
        Own::read(tx, account)
    })?;
    Ok(json!({
        "deleted": own.deleted.map(Deleted::name),
        "login_delay": own.login_delay,
        "expire": own.expire.map(Expire::name),
    })
    .into())
}

/// None for `default`.
fn known(text: String, right: impl Fn(&str) -> bool) -> Result<Option<String>> {
    match text.as_str() {
        "default" => Ok(None),
        _ if right(&text) => Ok(Some(text)),
        _ => Err(Error::Invalid(format!("{text:?}"))),
    }
}
