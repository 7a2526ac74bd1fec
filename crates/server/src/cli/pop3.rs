//! `waxwing account pop3`

use clap::Args;

use super::Result;
use super::show::{self, Column};
use super::target::Target;
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
}

fn seconds(text: &str) -> std::result::Result<String, String> {
    match text == "default" || text.parse::<u32>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("write a number of seconds, or default".to_owned()),
    }
}

pub(super) fn run(target: &mut Target, pop3: Pop3, json: bool) -> Result {
    let answer = target.ask(&Request::Pop3(admin::Request {
        address: pop3.address,
        deleted: pop3.deleted,
        login_delay: pop3.login_delay,
    }))?;
    let columns = [
        Column("DELETED", "deleted", own),
        Column("LOGIN DELAY", "login_delay", own),
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
