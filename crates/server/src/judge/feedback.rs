//! What DMARC aggregate reports tell (RFC 7489 §7.2, §12.4): the facts of one message, counted in the store by day, policy
//! domain, policy and facts. Reporting reads them back with [`Published::from_text`] and [`Facts::from_text`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use store::Tx;

/// The policy that a domain publishes, as it was when a message came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Published {
    /// The domain whose record it is: the author's or the organisational domain.
    pub domain: String,
    /// The record, as it is in the DNS.
    pub record: String,
    /// `adkim`: `r` or `s`.
    pub adkim: String,
    /// `aspf`: `r` or `s`.
    pub aspf: String,
    /// `p`.
    pub p: String,
    /// `sp`, or what stands for it.
    pub sp: String,
    /// `np`, or what stands for it.
    pub np: String,
    /// `t=y`.
    pub testing: bool,
    /// `fo`.
    pub fo: String,
    /// The addresses of `rua`, as written (`mailto:…`).
    pub rua: Vec<String>,
}

/// What a report says about a message; equal ones are counted together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// What was done: `none`, `quarantine` or `reject`.
    pub disposition: String,
    /// Whether an aligned DKIM signature passed.
    pub dkim: bool,
    /// Whether an aligned SPF identity passed.
    pub spf: bool,
    /// Why the disposition is another than the policy: type (`local_policy`, `trusted_forwarder`, …) and comment.
    pub reasons: Vec<(String, String)>,
    /// The domain of From.
    pub header_from: String,
    /// The domain of MAIL FROM; empty for the null path.
    pub envelope_from: String,
    /// Each signature.
    pub dkim_results: Vec<DkimFact>,
    /// Each SPF identity.
    pub spf_results: Vec<SpfFact>,
}

/// A DKIM result of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DkimFact {
    /// `d=`.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// The word of RFC 8601 §2.7.1.
    pub result: String,
}

/// An SPF result of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpfFact {
    /// The domain looked at.
    pub domain: String,
    /// `mfrom` or `helo`.
    pub scope: String,
    /// The word of RFC 8601 §2.7.2.
    pub result: String,
}

impl Published {
    /// As the store keeps it; equal policies are equal texts.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As the store kept it.
    pub fn from_text(text: &str) -> Option<Published> {
        serde_json::from_str(text).ok()
    }
}

impl Facts {
    /// As the store keeps them; equal facts are equal texts.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As the store kept them.
    pub fn from_text(text: &str) -> Option<Facts> {
        serde_json::from_str(text).ok()
    }
}

/// Counts a message for the report of its day.
pub(super) fn count(tx: &mut Tx<'_>, published: &Published, facts: &Facts) -> store::Result<()> {
    let day = tx.now().div_euclid(super::DAY);
    let (policy, facts) = (published.to_text(), facts.to_text());
    match tx.count_feedback(day, &published.domain, &policy, &facts) {
        // A report that leaves something out is better than a message that is not delivered.
        Ok(_) | Err(store::Error::Limit(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
