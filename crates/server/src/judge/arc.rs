//! ARC (RFC 8617): what hosts before us saw, as far as we believe them.

use mail_auth::{ArcOutput, DkimResult, MessageAuthenticator};

use super::dkim::{Keys, Signed, question};
use super::{name, results};

/// The state of a message's chain (RFC 8617 §4.1.3, `cv=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chain {
    /// There is none.
    #[default]
    None,
    /// All seals hold, and the newest signature.
    Pass,
    /// Something in it does not.
    Fail,
}

impl Chain {
    /// The word of `cv=`.
    pub fn name(self) -> &'static str {
        match self {
            Chain::None => "none",
            Chain::Pass => "pass",
            Chain::Fail => "fail",
        }
    }
}

/// A chain and what it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Its state.
    pub chain: Chain,
    /// The DNS failed; the chain counts for nothing this time.
    pub temporary: bool,
    /// The state in words without a subject.
    pub because: String,
    /// Who sealed, the newest first.
    pub sealers: Vec<String>,
    /// What each of them reports, in the same order: the value of its ARC-Authentication-Results.
    pub reports: Vec<Vec<u8>>,
}

impl Verified {
    /// The sealer that we believe and that saw DMARC pass for this author's domain. A sealer is believed only if all who
    /// sealed after it are: an untrusted one could have changed anything.
    pub fn vouches(&self, trusted: &[String], author: &str) -> Option<&str> {
        if self.chain != Chain::Pass {
            return None;
        }
        let believed = self
            .sealers
            .iter()
            .zip(&self.reports)
            .take_while(|(sealer, _)| trusted.iter().any(|domain| domain == *sealer));
        for (sealer, report) in believed {
            let passed = results::parse(report).into_iter().any(|result| {
                let from = result.property("header.from");
                result.method == "dmarc"
                    && result.result == "pass"
                    && from.and_then(name::ascii).as_deref() == Some(author)
            });
            if passed {
                return Some(sealer);
            }
        }
        None
    }
}

/// Verifies the chain of a message.
pub async fn verify(signed: &Signed<'_>, dns: &MessageAuthenticator, keys: &Keys) -> Verified {
    let message = &signed.message;
    if message.as_headers.is_empty() && !message.has_arc_errors && message.ams_headers.is_empty() {
        return Verified::default();
    }
    // RFC 8617 §5.2 (3): a seal without its signature; the library takes that for no chain.
    if message.ams_headers.is_empty() && !message.has_arc_errors {
        return Verified {
            chain: Chain::Fail,
            because: "a seal has no signature".to_owned(),
            ..Verified::default()
        };
    }
    // A32: strict names before anything is asked.
    let sound =
        |domain: &str, selector: &str| name::ascii(domain).is_some() && name::is_name(selector);
    let seals = message.as_headers.iter().map(|seal| &seal.header);
    let signatures = message
        .ams_headers
        .iter()
        .map(|signature| &signature.header);
    if !seals.clone().all(|seal| sound(&seal.d, &seal.s))
        || !signatures
            .clone()
            .all(|signature| sound(&signature.d, &signature.s))
    {
        return Verified {
            chain: Chain::Fail,
            because: "one of its domains or selectors is no name".to_owned(),
            ..Verified::default()
        };
    }
    let output = dns.verify_arc(question(message, keys)).await;
    let mut verified = told(&output);
    for set in output.sets().iter().rev() {
        let domain = &set.seal.header.d;
        verified
            .sealers
            .push(name::ascii(domain).unwrap_or_default());
        verified.reports.push(set.results.value.to_vec());
    }
    verified
}

fn told(output: &ArcOutput<'_>) -> Verified {
    let (chain, temporary, because) = match output.result() {
        DkimResult::None => (Chain::None, false, String::new()),
        DkimResult::Pass => (Chain::Pass, false, "all seals are right".to_owned()),
        DkimResult::TempError(_) => {
            let because = "the DNS gave no answer about one of its keys";
            (Chain::Fail, true, because.to_owned())
        }
        DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => {
            (Chain::Fail, false, error.to_string().to_ascii_lowercase())
        }
    };
    Verified {
        chain,
        temporary,
        because,
        ..Verified::default()
    }
}
