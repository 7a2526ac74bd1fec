//! What is known and decided about a message that came: kept under its trace id, told by `waxwing explain`.
//!
//! Limits: [`TEXT_LIMIT`] characters of any text that a peer chose, [`LISTED`] recipients; a record stays far below what
//! the store takes.

use serde::{Deserialize, Serialize};
use store::Timestamp;

use crate::pipeline::Arrival;

/// Characters kept of a text that a peer chose.
const TEXT_LIMIT: usize = 500;

/// Recipients that are listed; of more, only the number is told.
const LISTED: usize = 100;

/// The record of one message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The id in the Received field and in the reply.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// `smtp`, `submission` or `lmtp`.
    pub service: String,
    /// The address it came from.
    pub peer: String,
    /// What the client calls itself.
    pub hello: String,
    /// What protected the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Who logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// MAIL FROM, without angle brackets.
    pub sender: String,
    /// RCPT TO, the first ones.
    pub recipients: Vec<String>,
    /// How many recipients there are.
    pub recipient_count: usize,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// Octets as they came.
    pub size: u64,
    /// Each check, in order.
    pub checks: Vec<Check>,
    /// The sum of what the checks weigh.
    pub score: f32,
    /// What was decided: `accept`, `junk`, `reject` or `defer`.
    pub decision: String,
    /// Why, in words.
    pub why: String,
    /// Where it was put.
    pub places: Vec<Place>,
}

/// One check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// `spf`, `dkim`, …
    pub name: String,
    /// What it looked at.
    pub inputs: Vec<(String, String)>,
    /// The result as a word of its standard: `pass`, `fail`, …
    pub result: String,
    /// The result in words that an owner understands.
    pub explanation: String,
    /// What it says against the message, in points; below zero for it. Zero for checks that only inform.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: f32,
}

/// Where the message was put for an account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The account's number in the store.
    pub account: i64,
    /// The mailbox's number in the account.
    pub mailbox: i64,
    /// The message's UID in it.
    pub uid: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(weight: &f32) -> bool {
    *weight == 0.0
}

impl Record {
    /// A record of a message that nothing has looked at yet.
    pub fn new(arrival: &Arrival, id: &str, at: Timestamp, message_id: &str) -> Record {
        let recipients = arrival.recipients.iter().take(LISTED);
        Record {
            id: id.to_owned(),
            at,
            service: match arrival.kind {
                smtp::server::Kind::Reception => "smtp",
                smtp::server::Kind::Submission => "submission",
                smtp::server::Kind::Lmtp => "lmtp",
            }
            .to_owned(),
            peer: match arrival.peer.unix {
                true => "unix".to_owned(),
                false => arrival.peer.ip.to_string(),
            },
            hello: cut(&arrival.hello),
            tls: arrival
                .tls
                .as_ref()
                .map(|tls| format!("{} {}", tls.version, tls.cipher)),
            user: arrival.submitter.as_ref().map(|who| who.address.clone()),
            sender: cut(&arrival.from.to_string()),
            recipients: recipients.map(|path| cut(&path.address)).collect(),
            recipient_count: arrival.recipients.len(),
            message_id: cut(message_id),
            size: arrival.message.len() as u64,
            ..Record::default()
        }
    }

    /// Adds where the message was put, the first ones.
    pub fn placed(&mut self, account: i64, mailbox: i64, uid: u32) {
        if self.places.len() < LISTED {
            self.places.push(Place {
                account,
                mailbox,
                uid,
            });
        }
    }

    /// As it is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists only: nothing in it can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As it was kept; None for what no version of ours wrote.
    pub fn from_bytes(octets: &[u8]) -> Option<Record> {
        serde_json::from_slice(octets).ok()
    }
}

impl Check {
    /// A check with its result.
    pub fn new(name: &str, result: impl Into<String>, explanation: impl Into<String>) -> Check {
        Check {
            name: name.to_owned(),
            result: result.into(),
            explanation: cut(&explanation.into()),
            ..Check::default()
        }
    }

    /// The same check with one thing more that it looked at.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Check {
        self.inputs.push((name.to_owned(), cut(value.as_ref())));
        self
    }

    /// The same check with a weight.
    #[must_use]
    pub fn weighing(mut self, weight: f32) -> Check {
        self.weight = weight;
        self
    }
}

/// Not more than [`TEXT_LIMIT`] characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_by_later_versions() {
        let record = Record {
            id: "abc".into(),
            checks: vec![
                Check::new("spf", "pass", "fine").with("client", "192.0.2.1"),
                Check::new("list", "listed", "x").weighing(2.5),
            ],
            ..Record::default()
        };
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        let other = br#"{"id":"abc","something":"new","checks":[{"name":"spf"}]}"#;
        let read = Record::from_bytes(other).unwrap();
        assert_eq!(
            read.checks.first().map(|check| check.name.as_str()),
            Some("spf")
        );
    }

    #[test]
    fn texts_of_peers_are_bounded() {
        let check = Check::new("x", "y", "é".repeat(100_000)).with("z", "ß".repeat(9_999));
        assert_eq!(check.explanation.chars().count(), TEXT_LIMIT + 1);
        assert_eq!(check.inputs[0].1.chars().count(), TEXT_LIMIT + 1);
    }
}
