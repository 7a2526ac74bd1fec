//! Lists in the DNS that speak for or against addresses (RFC 5782).
//!
//! Limits: [`PATIENCE`] for all lists together; what does not answer in time says nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::task::JoinSet;

use super::Standing;
use crate::dns::Error;
use crate::judge::{Check, Network};
use crate::shared::Shared;

/// How long lists may take together. Senders wait for five minutes (RFC 5321 §4.5.3.2), and lists answer in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Octets of a list's own words that are passed on.
const TEXT: usize = 200;

/// A list.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Its zone.
    pub zone: String,
    /// What being listed says: points against the message, below zero for it.
    pub points: f32,
    /// The answers that count; all of 127.0.0.0/8 where none are given.
    pub answers: Vec<Network>,
}

/// Asks all lists about an address.
pub async fn ask(shared: &std::sync::Arc<Shared>, lists: &[List], ip: IpAddr) -> Standing {
    let mut asked = JoinSet::new();
    for list in lists {
        let (shared, list) = (std::sync::Arc::clone(shared), list.clone());
        asked.spawn(async move { one(&shared, &list, ip).await });
    }
    let mut standing = Standing::default();
    let all = async {
        while let Some(answer) = asked.join_next().await {
            if let Ok(Some(check)) = answer {
                standing.checks.push(check);
            }
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        let late = Check::new("list", "temperror", "A list did not answer in time.");
        standing.checks.push(late);
    }
    standing.checks.sort_by(|a, b| a.inputs.cmp(&b.inputs));
    standing
}

async fn one(shared: &Shared, list: &List, ip: IpAddr) -> Option<Check> {
    let name = format!("{}.{}", reversed(ip), list.zone);
    let named = |result: &str, explanation: String| {
        Check::new("list", result, explanation)
            .with("list", &list.zone)
            .with("address", ip.to_string())
    };
    match shared.dns.ipv4(&name).await {
        Ok(answer) => {
            let hits: Vec<Ipv4Addr> = answer
                .records
                .into_iter()
                .filter(|found| counts(list, *found))
                .collect();
            if hits.is_empty() {
                return Some(named("none", format!("{} has nothing on {ip}.", list.zone)));
            }
            let words = match shared.dns.txt(&name).await {
                Ok(text) => text.records.into_iter().next().unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            let words: String = String::from_utf8_lossy(&words)
                .chars()
                .filter(|character| !character.is_control())
                .take(TEXT)
                .collect();
            let verb = if list.points < 0.0 {
                "recommends"
            } else {
                "lists"
            };
            let mut explanation = format!("{} {verb} {ip}", list.zone);
            if !words.is_empty() {
                explanation.push_str(": ");
                explanation.push_str(&words);
            }
            let hits: Vec<String> = hits.iter().map(Ipv4Addr::to_string).collect();
            Some(
                named("listed", explanation)
                    .with("answers", hits.join(" "))
                    .weighing(list.points),
            )
        }
        Err(Error::NotFound | Error::NoData) => {
            Some(named("none", format!("{} has nothing on {ip}.", list.zone)))
        }
        Err(error) => Some(named(
            "temperror",
            format!("{} could not be asked: {error}.", list.zone),
        )),
    }
}

/// RFC 5782 §2.1: entries are in 127.0.0.0/8. 127.255.255.0/24 is what lists answer to whom they do not serve.
fn counts(list: &List, found: Ipv4Addr) -> bool {
    if !found.is_loopback() || found.octets().starts_with(&[127, 255, 255]) {
        return false;
    }
    list.answers.is_empty()
        || list
            .answers
            .iter()
            .any(|network| network.contains(IpAddr::V4(found)))
}

/// RFC 5782 §2.1, §2.4: octets or nibbles backwards.
fn reversed(ip: IpAddr) -> String {
    let parts: Vec<String> = match ip {
        IpAddr::V4(ip) => ip.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(ip) => ip
            .octets()
            .iter()
            .rev()
            .flat_map(|octet| [octet & 15, octet >> 4])
            .map(|nibble| format!("{nibble:x}"))
            .collect(),
    };
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses() {
        assert_eq!(reversed("192.0.2.99".parse().unwrap()), "99.2.0.192");
        assert_eq!(
            reversed("2001:db8:1:2:3:4:567:89ab".parse().unwrap()),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"
        );
    }

    #[test]
    fn answers_that_count() {
        let list = |answers: &[&str]| List {
            zone: "list.example".into(),
            points: 1.0,
            answers: answers
                .iter()
                .filter_map(|text| Network::parse(text))
                .collect(),
        };
        let table: [(&[&str], &str, bool); 6] = [
            (&[], "127.0.0.2", true),
            // A list that was sold or that serves others only.
            (&[], "192.0.2.1", false),
            (&[], "127.255.255.254", false),
            (&["127.0.0.2"], "127.0.0.2", true),
            (&["127.0.0.2"], "127.0.0.3", false),
            (&["127.0.0.4/30"], "127.0.0.7", true),
        ];
        for (answers, found, expected) in table {
            let found = found.parse().unwrap();
            assert_eq!(counts(&list(answers), found), expected, "{found}");
        }
    }
}
