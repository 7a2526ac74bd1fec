//! Rspamd, asked over HTTP (`/checkv2`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use smtp::reply::Reply;

use super::edit::{self, Edit};
use super::milter::Scene;
use super::{Error, Findings, REFUSED, Rspamd, UNAVAILABLE};
use crate::http::Limits;
use crate::judge::Check;
use crate::shared::Shared;

/// Octets of an answer: symbols with their options, for the largest of messages.
const ANSWER: usize = 1024 * 1024;

/// Symbols kept in the record.
const SYMBOLS: usize = 40;

/// Symbols named in words.
const NAMED: usize = 5;

/// A message to be judged.
pub struct Question<'a> {
    pub scene: &'a Scene,
    pub sender: &'a str,
    pub recipients: &'a [String],
    pub id: &'a str,
}

/// What rspamd says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Opinion {
    action: String,
    score: f64,
    required_score: f64,
    symbols: BTreeMap<String, Symbol>,
    messages: Value,
    milter: Changes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Symbol {
    score: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Changes {
    add_headers: BTreeMap<String, Value>,
    remove_headers: BTreeMap<String, Value>,
}

/// Asks.
pub(super) async fn ask(
    shared: &Arc<Shared>,
    rspamd: &Rspamd,
    question: &Question<'_>,
    message: &[u8],
) -> Result<Opinion, Error> {
    let scene = question.scene;
    let ip = scene.peer.ip.to_string();
    let mut fields: Vec<(&str, &str)> = vec![
        ("IP", &ip),
        ("Helo", &scene.hello),
        ("From", question.sender),
        ("Queue-Id", question.id),
        ("MTA-Name", &scene.host),
        ("Content-Type", "application/octet-stream"),
    ];
    let shown: Vec<String> = question
        .recipients
        .iter()
        .map(|recipient| plain(recipient))
        .collect();
    fields.extend(shown.iter().map(|recipient| ("Rcpt", recipient.as_str())));
    if let Some(user) = &scene.user {
        fields.push(("User", user));
    }
    if let Some((version, cipher)) = &scene.tls {
        fields.push(("TLS-Version", version));
        fields.push(("TLS-Cipher", cipher));
    }
    if let Some(password) = &rspamd.password {
        fields.push(("Password", password));
    }
    let limits = Limits {
        body: ANSWER,
        time: rspamd.timeout,
    };
    let url = format!("{}/checkv2", rspamd.url.trim_end_matches('/'));
    let response = shared
        .http
        .post(&url, &fields, message.to_vec(), limits)
        .await?;
    if response.status != 200 {
        return Err(Error::Status(response.status));
    }
    Ok(serde_json::from_slice(&response.body)?)
}

/// What can stand in a header of HTTP.
fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            ' '..='~' => character,
            _ => '?',
        })
        .collect()
}

impl Opinion {
    /// Does what it says: refuses, marks, adds fields.
    pub(super) fn obey(&self, message: &mut Vec<u8>, findings: &mut Findings) -> Result<(), Reply> {
        findings.checks.push(self.check());
        match self.action.as_str() {
            "reject" => return Err(REFUSED.with_text(self.text("It looks like spam"))),
            "soft reject" | "greylist" => {
                return Err(UNAVAILABLE.with_text(self.text("Try again later")));
            }
            "add header" | "rewrite subject" | "quarantine" => {
                let why = format!("rspamd gives it {:.1} points.", self.score);
                findings.junk.get_or_insert(why);
            }
            "discard" => findings.discard = true,
            _ => {}
        }
        let edits = self.edits();
        if !edits.is_empty() {
            *message = edit::apply(message, &edits).ok_or(UNAVAILABLE)?;
        }
        Ok(())
    }

    fn text(&self, otherwise: &str) -> String {
        let said = self.messages.get("smtp_message").and_then(Value::as_str);
        let text = said.unwrap_or(otherwise);
        text.chars()
            .filter(|character| !character.is_control())
            .take(400)
            .collect()
    }

    fn check(&self) -> Check {
        let mut symbols: Vec<(&str, f64)> = self
            .symbols
            .iter()
            .map(|(name, symbol)| (name.as_str(), symbol.score))
            .collect();
        symbols.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let symbols: Vec<String> = symbols
            .iter()
            .take(SYMBOLS)
            .map(|(name, score)| format!("{name} {score:.1}"))
            .collect();
        let mut words = format!(
            "rspamd gives it {:.1} points of {:.1} and says: {}.",
            self.score, self.required_score, self.action
        );
        if let Some(most) = symbols
            .get(..symbols.len().min(NAMED))
            .filter(|most| !most.is_empty())
        {
            words.push_str(&format!(" What counted most: {}.", most.join(", ")));
        }
        Check::new("rspamd", self.action.as_str(), words)
            .with("score", format!("{:.2}", self.score))
            .with("symbols", symbols.join(", "))
    }

    /// `add_headers` maps a name to a text, to `{value, order}`, or to a list of either; `remove_headers` a name to the number of the field,
    /// 0 for all.
    fn edits(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (name, which) in &self.milter.remove_headers {
            let name = name.as_bytes().to_vec();
            match which.as_u64() {
                Some(number @ 1..) => {
                    let number = usize::try_from(number).unwrap_or(usize::MAX);
                    edits.push(Edit::Change(number, name, Vec::new()));
                }
                _ => edits.push(Edit::Remove(name)),
            }
        }
        for (name, what) in &self.milter.add_headers {
            let several = match what {
                Value::Array(several) => several.as_slice(),
                one => std::slice::from_ref(one),
            };
            for one in several {
                let value = one.as_str().or_else(|| one.get("value")?.as_str());
                let order = one.get("order").and_then(Value::as_i64);
                let (Some(value), name) = (value, name.as_bytes().to_vec()) else {
                    continue;
                };
                let value = value.as_bytes().to_vec();
                edits.push(match order.and_then(|order| usize::try_from(order).ok()) {
                    Some(order) => Edit::Insert(order, name, value),
                    None => Edit::Append(name, value),
                });
            }
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obeyed(json: &str) -> (Result<(), Reply>, String, Findings) {
        let opinion: Opinion = serde_json::from_str(json).unwrap();
        let mut message = b"Subject: x\r\nX-Spam: no\r\n\r\nbody\r\n".to_vec();
        let mut findings = Findings::default();
        let result = opinion.obey(&mut message, &mut findings);
        (result, String::from_utf8(message).unwrap(), findings)
    }

    #[test]
    fn actions() {
        let table = [
            ("no action", None, false, false),
            ("reject", Some(550), false, false),
            ("soft reject", Some(451), false, false),
            ("greylist", Some(451), false, false),
            ("add header", None, true, false),
            ("rewrite subject", None, true, false),
            ("discard", None, false, true),
        ];
        for (action, code, junk, discard) in table {
            let json = format!(r#"{{"action":"{action}","score":7.25,"required_score":15}}"#);
            let (result, _, findings) = obeyed(&json);
            assert_eq!(result.err().map(|reply| reply.code), code, "{action}");
            assert_eq!(findings.junk.is_some(), junk, "{action}");
            assert_eq!(findings.discard, discard, "{action}");
            assert!(findings.checks[0].explanation.contains("7.2"), "{action}");
        }
    }

    #[test]
    fn header_changes_and_words() {
        let json = r#"{"action":"no action","milter":{"add_headers":{"X-Spam":{"value":"yes","order":0},
            "X-B":["1",{"value":"2"}]},"remove_headers":{"X-Spam":0}}}"#;
        let (result, message, _) = obeyed(json);
        assert_eq!(result, Ok(()));
        assert_eq!(
            message,
            "X-Spam: yes\r\nSubject: x\r\nX-B: 1\r\nX-B: 2\r\n\r\nbody\r\n"
        );
        let json = r#"{"action":"reject","messages":{"smtp_message":"Go\r\n250 away"}}"#;
        assert_eq!(obeyed(json).0.unwrap_err().text, "Go250 away");
    }
}
