//! MTA-STS (RFC 8461): policies found, fetched, kept and renewed.
//!
//! A TXT record says that a domain has a policy and which; the policy comes over HTTPS from a host of a fixed name. It is kept
//! in the store for as long as it says, so that taking the record away, or the web server, does not take the policy away
//! (RFC 8461 §3.3, §5.1). Once a day each is fetched again, before it can grow old.
//!
//! Invariants: only a policy that was fetched whole, with a valid certificate, without redirects and as `text/plain` counts; a
//! kept policy in force is replaced only by another such.
//!
//! Limits: [`SIZE`] and [`PATIENCE`] for a fetch, [`HOSTS`] hosts and [`MAX_AGE`] of a policy; a fetch that failed is not
//! repeated for [`QUIET`]; [`FAILURES`] of these are remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::{StsPolicy, Timestamp};

use super::policy::Reported;
use crate::http::{self, Http, Limits, Response};
use crate::shared::Shared;

/// Octets of a policy (RFC 8461 §3.3 suggests 64 KiB).
const SIZE: usize = 64 * 1024;

/// How long a fetch may take; delivery waits for it (RFC 8461 §3.3 suggests a minute at most).
const PATIENCE: Duration = Duration::from_secs(30);

/// Host patterns of a policy.
const HOSTS: usize = 100;

/// Seconds a policy is kept at most (RFC 8461 §3.2: about a year).
const MAX_AGE: i64 = 31_557_600;

/// How long a domain whose policy could not be fetched is left alone (RFC 8461 §3.3: five minutes or longer).
const QUIET: Duration = Duration::from_secs(300);

/// Domains of failed fetches remembered.
const FAILURES: usize = 10_000;

/// Seconds after which a policy is fetched again (RFC 8461 §3.3: about once a day).
const RENEW: Timestamp = 86_400;

/// What a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// What fails it gets no mail.
    Enforce,
    /// What fails it is reported.
    Testing,
    /// Nothing.
    None,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// Whose.
    pub(super) domain: String,
    /// The name its record gives it.
    pub(super) id: String,
    /// What it asks for.
    pub(super) mode: Mode,
    /// The hosts: `mx.example.org` or `*.example.org`.
    pub(super) mx: Vec<String>,
    /// Seconds for which it holds.
    pub(super) max_age: i64,
    /// Its lines, for reports.
    pub(super) lines: Vec<String>,
}

impl Policy {
    /// Reads a policy (RFC 8461 §3.2).
    pub(super) fn parse(domain: &str, id: &str, text: &str) -> Option<Policy> {
        let lines: Vec<String> = text
            .split('\n')
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        let mut fields: HashMap<&str, &str> = HashMap::new();
        let mut mx = Vec::new();
        for line in &lines {
            let (key, value) = line.split_once(':')?;
            let (key, value) = (key.trim(), value.trim());
            if key == "mx" {
                if mx.len() < HOSTS {
                    mx.push(
                        idna::domain_to_ascii(value).unwrap_or_else(|_| value.to_ascii_lowercase()),
                    );
                }
            } else {
                // RFC 8461 §3.2: of fields that come twice the first counts.
                fields.entry(key).or_insert(value);
            }
        }
        if *fields.get("version")? != "STSv1" {
            return None;
        }
        let mode = match *fields.get("mode")? {
            "enforce" => Mode::Enforce,
            "testing" => Mode::Testing,
            "none" => Mode::None,
            _ => return None,
        };
        let max_age = fields.get("max_age")?;
        if max_age.len() > 10 || !max_age.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let max_age = max_age.parse::<i64>().ok()?.min(MAX_AGE);
        if mx.is_empty() && mode != Mode::None {
            return None;
        }
        Some(Policy {
            domain: domain.to_owned(),
            id: id.to_owned(),
            mode,
            mx,
            max_age,
            lines,
        })
    }

    /// Whether the policy names this host (RFC 8461 §4.1): `*` stands for one label.
    pub(super) fn lists(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.mx
            .iter()
            .any(|pattern| match pattern.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
                None => *pattern == host,
            })
    }

    /// As reports name it.
    pub(super) fn reported(&self) -> Reported {
        Reported {
            kind: "sts",
            lines: self.lines.clone(),
            hosts: self.mx.clone(),
        }
    }

    fn kept(&self, now: Timestamp) -> StsPolicy {
        StsPolicy {
            domain: self.domain.clone(),
            id: self.id.clone(),
            text: self.lines.join("\n"),
            fetched: now,
            expires: now.saturating_add(self.max_age),
        }
    }
}

/// What was found of a domain's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// The policy in force.
    pub(super) policy: Option<Policy>,
    /// What failed on the way, as reports name it, and in words.
    pub(super) failure: Option<(&'static str, String)>,
}

/// When fetches failed.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<String, Instant>>);

impl Failures {
    fn is_recent(&self, domain: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(domain).is_some_and(|at| at.elapsed() < QUIET)
    }

    fn note(&self, domain: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= FAILURES {
            known.retain(|_, at| at.elapsed() < QUIET);
        }
        if known.len() < FAILURES {
            known.insert(domain.to_owned(), Instant::now());
        }
    }
}

/// The policy of a domain.
pub(super) async fn find(shared: &Arc<Shared>, failures: &Failures, domain: &str) -> Finding {
    let now = shared.timestamp();
    let name = domain.to_owned();
    let read = shared
        .db
        .read(move |snapshot| snapshot.sts_policy(&name))
        .await;
    let kept = read.unwrap_or_else(|error| {
        tracing::warn!(%error, domain, "a kept MTA-STS policy cannot be read");
        None
    });
    let kept = kept.filter(|kept| kept.expires > now);
    let in_force = kept
        .as_ref()
        .and_then(|kept| Policy::parse(domain, &kept.id, &kept.text));
    let record = shared.dns.txt(&format!("_mta-sts.{domain}")).await;
    let Some(id) = record.ok().and_then(|answer| record_id(&answer.records)) else {
        // RFC 8461 §5.1: without a record a kept policy still holds.
        return Finding {
            policy: in_force,
            failure: None,
        };
    };
    let is_known = in_force.as_ref().is_some_and(|policy| policy.id == id);
    if is_known || failures.is_recent(domain) {
        return Finding {
            policy: in_force,
            failure: None,
        };
    }
    match fetch(&shared.http, domain, &id).await {
        Ok(policy) => {
            keep(shared, &policy).await;
            Finding {
                policy: Some(policy),
                failure: None,
            }
        }
        Err((kind, why)) => {
            failures.note(domain);
            tracing::info!(domain, kind, why, "the MTA-STS policy cannot be fetched");
            Finding {
                policy: in_force,
                failure: Some((kind, why)),
            }
        }
    }
}

async fn keep(shared: &Arc<Shared>, policy: &Policy) {
    let kept = policy.kept(shared.timestamp());
    let written = shared.db.write(move |tx| tx.keep_sts_policy(&kept)).await;
    if let Err(error) = written {
        tracing::warn!(%error, domain = policy.domain, "an MTA-STS policy cannot be kept");
    }
}

/// `sts-text-record = sts-version 1*(sts-field-delim sts-field) [sts-field-delim]` (RFC 8461 §3.1). More than one record
/// that begins so, and there is none.
fn record_id(records: &[Vec<u8>]) -> Option<String> {
    let mut found = records.iter().filter_map(|record| {
        let text = std::str::from_utf8(record).ok()?;
        let rest = text.strip_prefix("v=STSv1")?;
        rest.trim_start().starts_with(';').then_some(rest)
    });
    let (one, None) = (found.next()?, found.next()) else {
        return None;
    };
    let id = one.split(';').find_map(|field| {
        let (key, value) = field.split_once('=')?;
        (key.trim() == "id").then(|| value.trim())
    })?;
    let fine =
        (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    fine.then(|| id.to_owned())
}

/// Fetches a policy (RFC 8461 §3.3).
async fn fetch(http: &Http, domain: &str, id: &str) -> Result<Policy, (&'static str, String)> {
    let url = format!("https://mta-sts.{domain}/.well-known/mta-sts.txt");
    let limits = Limits {
        body: SIZE,
        time: PATIENCE,
    };
    match http.get(&url, limits).await {
        Ok(response) => read(domain, id, &response),
        Err(error) => {
            let kind = match error {
                http::Error::Tls { .. } => "sts-webpki-invalid",
                _ => "sts-policy-fetch-error",
            };
            Err((kind, error.to_string()))
        }
    }
}

fn read(domain: &str, id: &str, response: &Response) -> Result<Policy, (&'static str, String)> {
    if response.status != 200 {
        // RFC 8461 §3.3: redirects are not followed.
        return Err((
            "sts-policy-fetch-error",
            format!("the web server answers {}", response.status),
        ));
    }
    if response.media_type() != "text/plain" {
        return Err((
            "sts-policy-invalid",
            format!("the policy is {:?}, not text/plain", response.media_type()),
        ));
    }
    std::str::from_utf8(&response.body)
        .ok()
        .and_then(|text| Policy::parse(domain, id, text))
        .ok_or_else(|| ("sts-policy-invalid", "the policy is malformed".to_owned()))
}

/// Fetches again what is older than a day, and forgets what has expired. To be called every hour or so.
pub(super) async fn renew(shared: &Arc<Shared>, failures: &Failures) {
    let now = shared.timestamp();
    let due = shared
        .db
        .write(move |tx| {
            tx.forget_sts_policies(now)?;
            tx.sts_policies_before(now.saturating_sub(RENEW))
        })
        .await;
    let due = match due {
        Ok(due) => due,
        Err(error) => return tracing::warn!(%error, "MTA-STS policies cannot be renewed"),
    };
    for old in due {
        let record = shared.dns.txt(&format!("_mta-sts.{}", old.domain)).await;
        let id = record.ok().and_then(|answer| record_id(&answer.records));
        let id = id.unwrap_or(old.id);
        match fetch(&shared.http, &old.domain, &id).await {
            Ok(policy) => keep(shared, &policy).await,
            Err((kind, why)) => {
                failures.note(&old.domain);
                tracing::info!(
                    domain = old.domain,
                    kind,
                    why,
                    "an MTA-STS policy cannot be renewed"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    const TEXT: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.test\r\nmx: *.example.test\r\nmax_age: 604800\r\n";

    #[test]
    fn policies() {
        let policy = Policy::parse("example.test", "a1", TEXT).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
        assert_eq!(policy.lines.len(), 5);
        for (host, listed) in [
            ("mail.example.test", true),
            ("MX.example.test", true),
            ("a.b.example.test", false),
            ("example.test", false),
            ("mxexample.test", false),
            ("mail.example.test.evil", false),
        ] {
            assert_eq!(policy.lists(host), listed, "{host}");
        }
        // A newline alone ends a line as well; unknown fields do no harm; the first of two counts.
        let odd = TEXT.replace("\r\n", "\n") + "x-new: 1\nmode: none\n";
        assert_eq!(Policy::parse("d", "1", &odd).unwrap().mode, Mode::Enforce);
        for (cut, with) in [
            ("STSv1", "STSv2"),
            ("enforce", "hard"),
            ("604800", "1e5"),
            ("604800", "-1"),
            ("max_age", "max-age"),
            ("mode: ", "mode "),
        ] {
            assert_eq!(
                Policy::parse("d", "1", &TEXT.replace(cut, with)),
                None,
                "{with}"
            );
        }
        let ages = TEXT.replace("604800", "9999999999");
        assert_eq!(Policy::parse("d", "1", &ages).unwrap().max_age, MAX_AGE);
        assert_eq!(
            Policy::parse("d", "1", "version: STSv1\nmode: enforce\nmax_age: 1"),
            None
        );
        assert!(Policy::parse("d", "1", "version: STSv1\nmode: none\nmax_age: 1").is_some());
    }

    #[test]
    fn records() {
        let id = |records: &[&str]| {
            let records: Vec<Vec<u8>> = records.iter().map(|r| r.as_bytes().to_vec()).collect();
            record_id(&records)
        };
        assert_eq!(id(&["v=STSv1; id=2026a;"]).as_deref(), Some("2026a"));
        assert_eq!(id(&["v=spf1 -all", "v=STSv1;id=1"]).as_deref(), Some("1"));
        for none in [
            &["v=STSv1; id=1;", "v=STSv1; id=2;"][..],
            &["v=STSv1"],
            &["v=STSv1; id=;"],
            &["v=STSv1; id=a b;"],
            &["v=STSv10; id=1;"],
            &["id=1; v=STSv1"],
            &[],
        ] {
            assert_eq!(id(none), None, "{none:?}");
        }
    }

    /// A38: redirects, other types and errors are no policy.
    #[test]
    fn a38_answers_that_are_no_policy() {
        let answer = |status, media: &'static str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
            let response = Response {
                status,
                headers,
                body: body.as_bytes().to_vec(),
            };
            read("d", "1", &response)
                .map(|policy| policy.mode)
                .map_err(|(kind, _)| kind)
        };
        assert_eq!(
            answer(200, "text/plain; charset=utf-8", TEXT),
            Ok(Mode::Enforce)
        );
        assert_eq!(
            answer(301, "text/plain", TEXT),
            Err("sts-policy-fetch-error")
        );
        assert_eq!(
            answer(404, "text/plain", TEXT),
            Err("sts-policy-fetch-error")
        );
        assert_eq!(answer(200, "text/html", TEXT), Err("sts-policy-invalid"));
        assert_eq!(
            answer(200, "text/plain", "hello"),
            Err("sts-policy-invalid")
        );
    }
}
