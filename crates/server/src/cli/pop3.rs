//! `waxwing account pop3`

use clap::Args;

use super::Result;
use super::show::{self, Column};
use super::target::Target;
use crate::config::Expire;
use crate::manage::Request;
use crate::pop3::admin;

/// What POP3 does for an account.
#[derive(Debug, Args)]
pub(super) struct Pop3 {
    /// The account
    address: String,
    /// What becomes of messages that POP3 deletes
    #[arg(long, value_parser = ["remove", "trash", "default"])]
    deleted: Option<String>,
    /// Seconds between two logins, at most those of the configuration; or default
    #[arg(long, value_parser = seconds)]
    login_delay: Option<String>,
    /// How long messages stay that POP3 has taken, at least as long as the configuration says: never, days as 30d, or default
    #[arg(long, value_parser = expire)]
    expire: Option<String>,
}

fn seconds(text: &str) -> std::result::Result<String, String> {
    match text == "default" || text.parse::<u32>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("write a number of seconds, or default".to_owned()),
    }
}

fn expire(text: &str) -> std::result::Result<String, String> {
    match text == "default" || Expire::from_name(text).is_some() {
        true => Ok(text.to_owned()),
        false => Err("write never, days as 30d, or default".to_owned()),
    }
}

pub(super) fn run(target: &mut Target, pop3: Pop3, json: bool) -> Result {
    let answer = target.ask(&Request::Pop3(admin::Request {
        address: pop3.address,
        deleted: pop3.deleted,
        login_delay: pop3.login_delay,
        expire: pop3.expire,
    }))?;
    let columns = [
        Column("DELETED", "deleted", own),
        Column("LOGIN DELAY", "login_delay", own),
        Column("EXPIRE", "expire", own),
    ];
    show::table(&serde_json::json!([answer.value]), &columns, json);
    Ok(())
}

fn own(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "default".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
