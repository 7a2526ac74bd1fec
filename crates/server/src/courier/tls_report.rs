//! How TLS went, counted for the reports that domains ask for (RFC 8460).
//!
//! Only domains that publish `_smtp._tls` are counted: for all others nobody would ever read the numbers.

use std::sync::Arc;

use store::TlsResult;

use super::policy::Reported;
use super::verify::Flaw;
use crate::shared::Shared;

/// Octets of the words kept about a failure.
const REASON: usize = 200;

const DAY: i64 = 86_400;

/// Whether a domain asks for reports. Where the DNS does not answer it counts: then it may.
pub(super) async fn wanted(shared: &Shared, domain: &str) -> bool {
    match shared.dns.txt(&format!("_smtp._tls.{domain}")).await {
        Ok(answer) => answer
            .records
            .iter()
            .any(|record| record.starts_with(b"v=TLSRPTv1")),
        Err(error) => !error.is_absence(),
    }
}

/// Where a connection led.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) mx: String,
    pub(super) address: String,
    pub(super) source: String,
}

/// Counts one connection, or one failure on the way to it.
pub(super) async fn count(
    shared: &Arc<Shared>,
    domain: &str,
    reported: &Reported,
    place: Place,
    flaw: Option<&Flaw>,
) {
    if reported.kind.is_empty() {
        return;
    }
    let reason = flaw.map_or("", |flaw| flaw.what.as_str());
    let result = TlsResult {
        day: shared.timestamp().div_euclid(DAY),
        domain: domain.to_owned(),
        policy: reported.kind.to_owned(),
        lines: reported.lines.clone(),
        hosts: reported.hosts.clone(),
        failure: flaw.map_or("", |flaw| flaw.kind).to_owned(),
        mx: place.mx,
        address: place.address,
        source: place.source,
        reason: reason
            .chars()
            .filter(|c| !c.is_control())
            .take(REASON)
            .collect(),
        sessions: 1,
    };
    let written = shared.db.write(move |tx| tx.tls_result(&result)).await;
    if let Err(error) = written {
        tracing::warn!(%error, domain, "a result for TLS reports cannot be kept");
    }
}
