//! Sending our reports: once a day for the day before, at a time that differs from server to server, so that not all of
//! them write to the same reader at midnight.
//!
//! A report is placed into the queue in the transaction that forgets what it was made of. What cannot be addressed now,
//! because the DNS does not answer, is tried again for [`PATIENCE`] days.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use store::{Timestamp, TlsResult};
use tokio::sync::{mpsc, oneshot};

use super::address::{self, Target};
use super::{DAY, Envelope, dmarc, hash, rua, tls};
use crate::courier;
use crate::http::Limits;
use crate::pipeline::route;
use crate::shared::Shared;

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(600);

/// Reports leave within this time from midnight UTC.
const SPREAD: Timestamp = 4 * 3600;

/// Days after which nobody cares any more.
const PATIENCE: i64 = 3;

/// Domains that are reported about in one round.
const ROUND: u32 = 10_000;

/// Addresses of one record; RFC 7489 §6.2 asks for two at least.
const ADDRESSES: usize = 4;

/// How long reports of others are kept.
const KEPT: Timestamp = 400 * DAY;

/// An order from an administrator: this day, now.
struct Order {
    day: i64,
    reply: oneshot::Sender<Vec<Value>>,
}

/// Where orders are taken while the server runs.
static DESK: Mutex<Option<mpsc::UnboundedSender<Order>>> = Mutex::new(None);

/// Has the running server send the reports of a day; blocks. None when no server runs here.
pub fn order(day: i64) -> Option<Vec<Value>> {
    let (reply, answer) = oneshot::channel();
    let desk = DESK
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()?;
    desk.send(Order { day, reply }).ok()?;
    answer.blocking_recv().ok()
}

/// Runs as long as the server does.
pub async fn run(shared: Arc<Shared>) {
    let (sender, mut orders) = mpsc::unbounded_channel();
    *DESK.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    let mut timer = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = timer.tick() => {
                if let Err(error) = due(&shared).await {
                    tracing::error!(%error, "reports are not sent");
                }
            }
            Some(order) = orders.recv() => {
                let told = match one_day(&shared, order.day).await {
                    Ok(told) => told,
                    Err(error) => vec![json!({"outcome": error.to_string()})],
                };
                // Whoever asked may have gone.
                let _ = order.reply.send(told);
            }
        }
    }
}

/// All days that are over, the jitter of this server passed.
async fn due(shared: &Arc<Shared>) -> store::Result<()> {
    let now = shared.timestamp();
    let today = now.div_euclid(DAY);
    let digits = hash(&[&shared.config().hostname, &today.to_string()]);
    let jitter = i64::from_str_radix(digits.get(..6).unwrap_or("0"), 16).unwrap_or(0) % SPREAD;
    if now.rem_euclid(DAY) < jitter {
        return Ok(());
    }
    shared
        .db
        .write(move |tx| {
            tx.expire_reports(now.saturating_sub(KEPT))?;
            tx.expire_srs_addresses()
        })
        .await?;
    let mut days = shared
        .db
        .read(move |snapshot| {
            let mut days = snapshot.tls_result_days(today)?;
            let feedback = snapshot.feedback_due(today, ROUND)?;
            days.extend(feedback.into_iter().map(|(day, _)| day));
            Ok(days)
        })
        .await?;
    days.sort_unstable();
    days.dedup();
    for day in days {
        for told in one_day(shared, day).await? {
            tracing::info!(%told, "report");
        }
    }
    Ok(())
}

/// Sends what there is of a day; what became of each.
async fn one_day(shared: &Arc<Shared>, day: i64) -> store::Result<Vec<Value>> {
    let host = shared.config().hostname.clone();
    let name = host.clone();
    let domain = shared
        .db
        .read(move |snapshot| route::own_domain(snapshot, &name))
        .await?;
    let Some(domain) = domain else {
        return Ok(Vec::new());
    };
    let domain = mail_auth::common::to_a_label(&domain).into_owned();
    let sender = Envelope {
        host,
        from: format!("postmaster@{domain}"),
        domain,
        now: shared.timestamp(),
    };
    let mut told = Vec::new();
    let due = shared
        .db
        .read(move |snapshot| snapshot.feedback_due(day.saturating_add(1), ROUND))
        .await?;
    for (_, about) in due.into_iter().filter(|(of, _)| *of == day) {
        told.extend(feedback(shared, day, &about, &sender).await?);
    }
    let mut results = shared
        .db
        .read(move |snapshot| snapshot.tls_results(day))
        .await?;
    results.sort_by(|a, b| a.domain.cmp(&b.domain));
    for rows in results.chunk_by(|a, b| a.domain == b.domain) {
        told.extend(tls_results(shared, day, rows, &sender).await?);
    }
    Ok(told)
}

fn outcome(kind: &str, about: &str, to: &str, outcome: impl Into<String>) -> Value {
    json!({"kind": kind, "domain": about, "to": to, "outcome": outcome.into()})
}

/// Whether what is left of a day is given up.
fn is_old(day: i64, now: Timestamp) -> bool {
    now.div_euclid(DAY).saturating_sub(day) > PATIENCE
}

async fn feedback(
    shared: &Arc<Shared>,
    day: i64,
    about: &str,
    sender: &Envelope,
) -> store::Result<Vec<Value>> {
    let name = about.to_owned();
    let rows = shared
        .db
        .read(move |snapshot| snapshot.feedback(day, &name))
        .await?;
    let (mut told, mut letters) = (Vec::new(), Vec::new());
    for report in dmarc::aggregates(about, day, &rows, sender) {
        let (_, packed) = dmarc::attachment(&report, day, sender);
        let mut count = 0_usize;
        for uri in &report.rua {
            let Some(Target::Mail { address, limit }) = address::target(uri) else {
                continue;
            };
            count = count.saturating_add(1);
            if count > ADDRESSES {
                break;
            }
            match address::is_wanted(&shared.dns, &report.domain, &address).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = "not sent: the owner of the address has not agreed (RFC 7489 §7.1)";
                    told.push(outcome("dmarc", about, &address, why));
                    continue;
                }
                Err(error) if is_old(day, sender.now) => {
                    told.push(outcome(
                        "dmarc",
                        about,
                        &address,
                        format!("not sent: {error}"),
                    ));
                    continue;
                }
                Err(error) => {
                    let why = format!("tried again later: {error}");
                    return Ok(vec![outcome("dmarc", about, &address, why)]);
                }
            }
            if limit.is_some_and(|limit| packed.len() as u64 > limit) {
                told.push(outcome(
                    "dmarc",
                    about,
                    &address,
                    "not sent: larger than the address allows",
                ));
                continue;
            }
            let octets = dmarc::message(&report, &address, day, sender);
            let letter = courier::letter(shared, &sender.domain, &address, octets, false).await?;
            letters.push(letter);
            told.push(outcome("dmarc", about, &address, "queued"));
        }
    }
    let name = about.to_owned();
    shared
        .db
        .write(move |tx| {
            for letter in &letters {
                letter.place(tx)?;
            }
            tx.forget_feedback(day, &name)
        })
        .await?;
    Ok(told)
}

async fn tls_results(
    shared: &Arc<Shared>,
    day: i64,
    rows: &[TlsResult],
    sender: &Envelope,
) -> store::Result<Vec<Value>> {
    let Some(about) = rows.first().map(|row| row.domain.clone()) else {
        return Ok(Vec::new());
    };
    let targets = match tls_targets(shared, &about).await {
        Ok(targets) => targets,
        Err(error) if is_old(day, sender.now) => {
            tracing::info!(domain = about, %error, "a report on TLS is given up");
            Vec::new()
        }
        Err(error) => {
            return Ok(vec![outcome(
                "tls",
                &about,
                "",
                format!("tried again later: {error}"),
            )]);
        }
    };
    let report = tls::report(&about, day, rows, sender);
    let (mut told, mut letters) = (Vec::new(), Vec::new());
    for target in targets.into_iter().take(ADDRESSES) {
        match target {
            Target::Mail { address, .. } => {
                let octets = report.message(&address, day, sender);
                let letter =
                    courier::letter(shared, &sender.domain, &address, octets, true).await?;
                letters.push(letter);
                told.push(outcome("tls", &about, &address, "queued"));
            }
            Target::Web(url) => {
                let sent = post(shared, &url, report.packed()).await;
                told.push(outcome("tls", &about, &url, sent));
            }
        }
    }
    let name = about.clone();
    shared
        .db
        .write(move |tx| {
            for letter in &letters {
                letter.place(tx)?;
            }
            tx.forget_tls_results_of(day, &name)
        })
        .await?;
    Ok(told)
}

/// RFC 8460 §3: where a domain wants reports on TLS.
async fn tls_targets(shared: &Shared, domain: &str) -> Result<Vec<Target>, crate::dns::Error> {
    let answer = match shared.dns.txt(&format!("_smtp._tls.{domain}")).await {
        Ok(answer) => answer,
        Err(error) if error.is_absence() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let records: Vec<String> = answer
        .records
        .iter()
        .map(|record| String::from_utf8_lossy(record).into_owned())
        .filter(|record| record.starts_with("v=TLSRPTv1"))
        .collect();
    // RFC 8460 §3: with several records there is none.
    let [record] = records.as_slice() else {
        return Ok(Vec::new());
    };
    Ok(rua(record)
        .iter()
        .filter_map(|uri| address::target(uri))
        .collect())
}

/// RFC 8460 §5.4.
async fn post(shared: &Shared, url: &str, packed: Vec<u8>) -> String {
    let limits = Limits {
        body: 64 * 1024,
        time: Duration::from_secs(60),
    };
    let fields = [("content-type", "application/tlsrpt+gzip")];
    match shared.http.post(url, &fields, packed, limits).await {
        Ok(response) if (200..300).contains(&response.status) => "posted".to_owned(),
        Ok(response) => format!("not taken: the web server answers {}", response.status),
        Err(error) => format!("not taken: {error}"),
    }
}
