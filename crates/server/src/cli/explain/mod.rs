//! `waxwing explain`: what became of a message and why, in words; or what a message in a file tells of itself.

mod file;

use std::path::Path;

use clap::Args;
use mime::DateTime;
use serde_json::Value;

use super::{Context, Result, show};
use crate::manage::Request;

/// The message to explain.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The id of a message (in its Received field, in the answer to its sender, and in the log), its Message-ID, or a file
    /// that holds a message; - reads standard input
    #[arg(value_name = "MESSAGE")]
    message: String,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let message = arguments.message;
    let path = Path::new(&message);
    if message == "-" || path.exists() {
        return file::run(path, context);
    }
    let request = Request::Explain {
        message: message.clone(),
    };
    let found = context.target()?.ask(&request)?.value;
    let all = found.as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        let what = "is no file, and no message of that id is known; records are kept for reception.record_days, those of refused messages for reception.refused_record_days";
        return Err(format!("{message:?} {what}").into());
    }
    if context.json {
        say!("{found:#}");
        return Ok(());
    }
    for (number, one) in all.iter().enumerate() {
        if number > 0 {
            say!("");
        }
        for line in lines(one) {
            say!("{line}");
        }
    }
    Ok(())
}

/// The whole story, one sentence or check on each line. All texts of peers are escaped.
fn lines(record: &Value) -> Vec<String> {
    let mut lines = came(record);
    for check in list(record, "checks") {
        let name = text(check, "name");
        let result = text(check, "result");
        let explanation = text(check, "explanation");
        lines.push(format!("  {} ({result}): {explanation}", title(&name)));
        let weight = check.get("weight").and_then(Value::as_f64);
        if let Some(weight) = weight.filter(|weight| *weight != 0.0) {
            lines.push(format!("    It counts {weight:+.1}."));
        }
    }
    let why = text(record, "why");
    if !why.is_empty() {
        lines.push(format!("Decision ({}): {why}", text(record, "decision")));
    }
    lines.extend(list(record, "places").iter().map(place));
    lines.extend(list(record, "attempts").iter().map(attempt));
    lines
}

fn came(record: &Value) -> Vec<String> {
    let id = text(record, "id");
    let Some(at) = record.get("at").and_then(Value::as_i64) else {
        return vec![format!("Message {id} was made by this server.")];
    };
    let mut how = format!(
        "{}: message {id} came over {} from {}",
        date(at),
        text(record, "service").to_uppercase(),
        text(record, "peer"),
    );
    for (key, before, after) in [
        ("hello", ", which calls itself ", ""),
        ("tls", ", under ", ""),
        ("user", ", submitted by ", ""),
    ] {
        let value = text(record, key);
        if !value.is_empty() {
            how.push_str(&format!("{before}{value}{after}"));
        }
    }
    how.push('.');
    let mut recipients: Vec<String> = list(record, "recipients")
        .iter()
        .map(|address| format!("<{}>", show::text(address)))
        .collect();
    let count = record.get("recipient_count").and_then(Value::as_u64);
    let more = count
        .unwrap_or_default()
        .saturating_sub(recipients.len() as u64);
    if more > 0 {
        recipients.push(format!("{more} more"));
    }
    let mut lines = vec![
        how,
        format!(
            "  From <{}> to {}, {} octets.",
            text(record, "sender"),
            recipients.join(", "),
            record.get("size").map(show::number).unwrap_or_default(),
        ),
    ];
    let message_id = text(record, "message_id");
    if !message_id.is_empty() {
        lines.push(format!("  Message-ID: <{message_id}>"));
    }
    lines
}

fn place(place: &Value) -> String {
    let uid = place.get("uid").map(show::number).unwrap_or_default();
    match (text(place, "account"), text(place, "mailbox")) {
        (account, _) if account.is_empty() => {
            "It was delivered to an account that is gone.".to_owned()
        }
        (account, mailbox) if mailbox.is_empty() => {
            format!("It was delivered to a mailbox of {account} that is gone.")
        }
        (account, mailbox) => {
            format!("It was delivered to {account}, into {mailbox} as message {uid}.")
        }
    }
}

fn attempt(attempt: &Value) -> String {
    let at = attempt.get("at").and_then(Value::as_i64).map(date);
    let mut line = format!(
        "{}: for <{}>: {}",
        at.unwrap_or_default(),
        text(attempt, "recipient"),
        text(attempt, "outcome"),
    );
    for (key, before, after) in [
        ("peer", " by ", ""),
        ("address", " at ", ""),
        ("tls", ", under ", ""),
        ("policy", " (", ")"),
        ("status", ", ", ""),
        ("reply", ": ", ""),
        ("why", "; ", ""),
    ] {
        let value = text(attempt, key);
        if !value.is_empty() {
            line.push_str(&format!("{before}{value}{after}"));
        }
    }
    line
}

/// The name of a check as people write it.
fn title(name: &str) -> String {
    match name {
        "spf" | "dkim" | "dmarc" | "arc" => name.to_uppercase(),
        "from" => "Author".to_owned(),
        "iprev" => "Name of the address".to_owned(),
        "judging" => "Judging".to_owned(),
        other => other.to_owned(),
    }
}

fn date(at: i64) -> String {
    DateTime::from_timestamp(at, 0).to_string()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map(show::text).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_story_of_a_message() {
        let record = json!({
            "id": "abc", "at": 880_127_706, "service": "smtp", "peer": "192.0.2.1", "hello": "mx\u{1b}.example",
            "sender": "a@b.example", "recipients": ["c@d.example"], "recipient_count": 3, "size": 10,
            "message_id": "1@b.example",
            "checks": [
                {"name": "spf", "result": "fail", "explanation": "192.0.2.1 is not among them."},
                {"name": "list", "result": "listed", "explanation": "It is listed.", "weight": 2.5},
            ],
            "decision": "junk", "why": "It goes to Junk.",
            "places": [{"account": "c@d.example", "mailbox": "Junk", "uid": 7}, {"account": null, "uid": 1}],
            "attempts": [{"recipient": "e@f.example", "at": 880_127_706, "peer": "mx.f.example", "outcome": "deferred",
                "status": "4.2.1", "reply": "450 4.2.1 later", "policy": "no policy", "why": ""}],
        });
        assert_eq!(
            lines(&record),
            [
                "Fri, 21 Nov 1997 15:55:06 +0000: message abc came over SMTP from 192.0.2.1, which calls itself mx\\u{1b}.example.",
                "  From <a@b.example> to <c@d.example>, 2 more, 10 octets.",
                "  Message-ID: <1@b.example>",
                "  SPF (fail): 192.0.2.1 is not among them.",
                "  list (listed): It is listed.",
                "    It counts +2.5.",
                "Decision (junk): It goes to Junk.",
                "It was delivered to c@d.example, into Junk as message 7.",
                "It was delivered to an account that is gone.",
                "Fri, 21 Nov 1997 15:55:06 +0000: for <e@f.example>: deferred by mx.f.example (no policy), 4.2.1: 450 4.2.1 later",
            ]
        );
    }
}
