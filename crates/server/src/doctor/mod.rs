//! `waxwing doctor`: what the world sees of a domain and its server, against what it should see, with what to change.
//!
//! Owns: the checks and their words. Nothing is changed by looking. Each check says one of [`Grade`]; none ends another.
//! Everything is asked from this machine, so that what a firewall further out does is seen only where the answer says so.

mod names;
mod reach;

use serde_json::{Value, json};
use store::Timestamp;

use crate::certificate;
use crate::dns::Dns;
use crate::http::Http;
use crate::records::Facts;

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Could be there, and mail works without.
    Hint,
    /// It could not be found out.
    Unknown,
    /// Some mail is lost, or trusted less.
    Advice,
    /// Mail does not work.
    Broken,
}

impl Grade {
    /// The word in front of a line.
    pub fn name(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Hint => "hint",
            Grade::Unknown => "unknown",
            Grade::Advice => "advice",
            Grade::Broken => "broken",
        }
    }

    /// What the command ends with.
    pub fn exit_code(self) -> u8 {
        match self {
            Grade::Good | Grade::Hint => 0,
            Grade::Unknown | Grade::Advice => 1,
            Grade::Broken => 2,
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// How good.
    pub grade: Grade,
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub todo: Option<String>,
}

impl Finding {
    fn good(check: &'static str, what: impl Into<String>) -> Finding {
        Finding {
            check,
            grade: Grade::Good,
            what: what.into(),
            todo: None,
        }
    }

    fn new(
        check: &'static str,
        grade: Grade,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Finding {
        Finding {
            check,
            grade,
            what: what.into(),
            todo: Some(todo.into()),
        }
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        json!({
            "check": self.check,
            "grade": self.grade.name(),
            "what": self.what,
            "todo": self.todo,
        })
    }
}

/// A domain and how to look at it.
pub struct Patient {
    /// What we would publish.
    pub facts: Facts,
    /// State, selector and public key of the published keys.
    pub keys: Vec<(String, String, Vec<u8>)>,
    /// The certificate in the file of the configuration.
    pub certificate: Result<certificate::Facts, String>,
    /// Names.
    pub dns: Dns,
    /// The web.
    pub http: Http,
    /// The port on which other servers reach this one.
    pub port: u16,
    /// Whether outgoing mail goes over another server of the owner's, so that port 25 out does not matter.
    pub relayed: bool,
    /// Domains whose servers are called to see whether port 25 is open outwards.
    pub probes: Vec<String>,
    /// DNS lists of addresses that send unwanted mail.
    pub blocklists: Vec<String>,
    /// Now.
    pub now: Timestamp,
}

/// All checks, in the order in which one would mend what is wrong.
pub async fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    let addresses = names::host(patient, &mut findings).await;
    findings.extend(names::mx(patient).await);
    findings.extend(names::reverse(patient, &addresses).await);
    findings.extend(names::spf(patient, &addresses).await);
    findings.extend(names::dkim(patient).await);
    findings.extend(names::dmarc(patient).await);
    findings.extend(own_certificate(patient));
    findings.extend(reach::inwards(patient, &addresses).await);
    findings.extend(reach::outwards(patient).await);
    findings.extend(reach::services(patient, &addresses).await);
    findings.extend(names::tlsa(patient).await);
    findings.extend(names::sts(patient).await);
    findings.extend(names::tls_reports(patient).await);
    findings.extend(reach::blocklists(patient, &addresses).await);
    findings
}

fn own_certificate(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let host = &patient.facts.hostname;
    let facts = match &patient.certificate {
        Ok(facts) => facts,
        Err(error) => {
            let todo = "set tls.certificate and tls.key in the configuration";
            return vec![Finding::new(CHECK, Grade::Broken, error, todo)];
        }
    };
    let mut findings = Vec::new();
    if let Some(trouble) = facts.trouble(patient.now) {
        let grade = match facts.not_after <= patient.now || patient.now < facts.not_before {
            true => Grade::Broken,
            false => Grade::Advice,
        };
        let todo = "renew it, then send the server SIGHUP";
        findings.push(Finding::new(CHECK, grade, trouble, todo));
    }
    if !facts.is_for(host) {
        let what = format!(
            "the certificate is for {}, not for {host}",
            facts.names.join(", ")
        );
        let todo = format!("get one for {host}");
        findings.push(Finding::new(CHECK, Grade::Advice, what, todo));
    }
    if facts.self_signed {
        let what =
            "the certificate is self-signed: mail programs will warn, and senders cannot verify it";
        let todo = format!(
            "get one for {host} from an authority, for example with an ACME client, and set tls.certificate and tls.key"
        );
        findings.push(Finding::new(CHECK, Grade::Advice, what, todo));
    }
    if findings.is_empty() {
        let days = facts.not_after.saturating_sub(patient.now) / 86_400;
        findings.push(Finding::good(
            CHECK,
            format!("for {host}, for {days} more days"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_say_how_the_command_ends() {
        let codes: Vec<u8> = [
            Grade::Good,
            Grade::Hint,
            Grade::Unknown,
            Grade::Advice,
            Grade::Broken,
        ]
        .map(Grade::exit_code)
        .to_vec();
        assert_eq!(codes, [0, 0, 1, 1, 2]);
        assert!(codes.is_sorted());
    }
}
