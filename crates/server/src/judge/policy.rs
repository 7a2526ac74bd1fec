//! What follows from the findings.

use smtp::reply::{Enhanced, Reply};

use super::authenticate::{Applied, Dmarc, Findings, asked};
use super::dmarc::Policy;
use super::feedback::{DkimFact, Facts, Published, SpfFact};
use super::options::{DmarcRule, Options, SpfRule};
use super::{Judgement, Verdict, spf};
use crate::pipeline::Arrival;

/// The DNS failed, and what is to be done depends on it.
const UNANSWERED: Reply = Reply::new(
    451,
    Enhanced(4, 7, 1),
    "The sender's policy cannot be looked up now, try again later",
);

/// The author's domain asks to refuse it (RFC 7489 §10.3).
const REFUSED_BY_POLICY: Reply = Reply::new(
    550,
    Enhanced(5, 7, 1),
    "Refused by the policy of the author's domain",
);

/// The sender's domain does not allow the address (RFC 7372 §3.2).
const REFUSED_BY_SPF: Reply = Reply::new(
    550,
    Enhanced(5, 7, 23),
    "The sender's domain does not allow this server to send its mail",
);

/// Sets verdict, reason and feedback.
pub fn decide(
    options: &Options,
    arrival: &Arrival,
    findings: &Findings,
    judgement: &mut Judgement,
) {
    judgement.record.why = "Nothing speaks against it.".to_owned();
    match &findings.dmarc {
        Dmarc::Unanswered(domain) if !options.accept_on_dns_failure => {
            defer(judgement, domain);
        }
        Dmarc::Applied(applied) => dmarc(options, arrival, findings, applied, judgement),
        Dmarc::NoDomain | Dmarc::NoPolicy(_) | Dmarc::Unanswered(_) => {}
    }
    let decided = matches!(&findings.dmarc, Dmarc::Applied(applied)
        if applied.passed() || applied.policy.policy != Policy::None);
    if judgement.verdict == Verdict::Accept && !decided {
        sender(options, findings, judgement);
    }
}

fn defer(judgement: &mut Judgement, domain: &str) {
    let text = format!("The DNS gives no answer about mail of {domain} now, try again later");
    judgement.verdict = Verdict::Defer(told(UNANSWERED, judgement, text));
    judgement.record.why =
        format!("It may come again later: the DNS did not tell whether it comes from {domain}.");
}

/// A reply with its reason and the id under which the record is.
fn told(reply: Reply, judgement: &Judgement, text: String) -> Reply {
    let id = &judgement.record.id;
    reply.with_text(format!("{text} (id {id})"))
}

/// What the author's domain asks for, and what is done.
fn dmarc(
    options: &Options,
    arrival: &Arrival,
    findings: &Findings,
    applied: &Applied,
    judgement: &mut Judgement,
) {
    let author = &applied.policy.author;
    let (wanted, reason) = asked(applied, luck(&judgement.record.id));
    let mut reasons: Vec<(String, String)> = Vec::new();
    let mut done = Policy::None;
    if applied.passed() {
        judgement.record.why = format!("{author} vouches for it.");
    } else if wanted != Policy::None {
        reasons.extend(reason.map(|kind| (kind.to_owned(), String::new())));
        if options.dmarc == DmarcRule::Record {
            reasons.push(("local_policy".to_owned(), String::new()));
            judgement.record.why = format!(
                "{author} does not vouch for it, which reception.dmarc leaves without consequence."
            );
        } else if let Some(sealer) = findings.arc.vouches(&options.trusted_arc, author) {
            let comment = format!("arc=pass d={sealer}");
            reasons.push(("trusted_forwarder".to_owned(), comment));
            judgement.record.why = format!(
                "{sealer}, which reception.trusted_arc believes, saw that {author} vouched for it before it was changed on its way."
            );
        } else if applied.uncertain && !options.accept_on_dns_failure {
            // Not counted: it comes again.
            return defer(judgement, author);
        } else if !applied.uncertain {
            done = wanted;
        }
    } else {
        reasons.extend(reason.map(|kind| (kind.to_owned(), String::new())));
        judgement.record.why =
            format!("{author} does not vouch for it, and asks for nothing to be done.");
    }
    judgement.feedback = feedback(arrival, findings, applied, done, reasons);
    match done {
        Policy::None => {}
        Policy::Quarantine => {
            judgement.verdict = Verdict::Junk;
            judgement.record.why = format!(
                "It goes to Junk: nothing proves that it comes from {author}, whose policy asks to treat such mail as suspicious."
            );
        }
        Policy::Reject => {
            judgement.record.why = format!(
                "It is refused: nothing proves that it comes from {author}, whose policy asks to refuse such mail."
            );
            let text = format!(
                "The policy of {author} asks to refuse mail that neither SPF nor DKIM prove to be from there, and this is such mail"
            );
            judgement.verdict = Verdict::Reject(told(REFUSED_BY_POLICY, judgement, text));
        }
    }
}

/// What SPF says about the sender, where the author's domain asks for nothing.
fn sender(options: &Options, findings: &Findings, judgement: &mut Judgement) {
    let identity = findings.sender.as_ref().unwrap_or(&findings.hello);
    if identity.verified.outcome != spf::Outcome::Fail {
        return;
    }
    let (domain, because) = (&identity.domain, &identity.verified.because);
    match options.spf_fail {
        SpfRule::Record => {}
        SpfRule::Junk => {
            judgement.verdict = Verdict::Junk;
            judgement.record.why = format!(
                "It goes to Junk by reception.spf_fail: {domain} does not allow its sender."
            );
        }
        SpfRule::Reject => {
            judgement.record.why =
                format!("It is refused by reception.spf_fail: {domain} does not allow its sender.");
            let text = format!("{domain} does not allow this server to send its mail: {because}");
            judgement.verdict = Verdict::Reject(told(REFUSED_BY_SPF, judgement, text));
        }
    }
}

/// A number below 100 that is another for each message: the id is random.
fn luck(id: &str) -> u8 {
    let sum = id.bytes().fold(0_u32, |sum, octet| {
        sum.wrapping_mul(31).wrapping_add(octet.into())
    });
    u8::try_from(sum % 100).unwrap_or_default()
}

/// What the domain is told, where it asks for reports.
fn feedback(
    arrival: &Arrival,
    findings: &Findings,
    applied: &Applied,
    done: Policy,
    reasons: Vec<(String, String)>,
) -> Option<(Published, Facts)> {
    let (policy, record) = (&applied.policy, &applied.policy.record);
    if record.rua.is_empty() {
        return None;
    }
    let mode = |strict| if strict { "s" } else { "r" }.to_owned();
    let published = Published {
        domain: policy.publisher.clone(),
        record: record.text.clone(),
        adkim: mode(record.strict_dkim),
        aspf: mode(record.strict_spf),
        p: record.p.name().to_owned(),
        sp: record.sp.name().to_owned(),
        np: record.np.name().to_owned(),
        testing: record.testing,
        fo: record.fo.clone(),
        rua: record.rua.clone(),
    };
    let fact = |domain: &str, scope: &str, outcome: spf::Outcome| SpfFact {
        domain: domain.to_owned(),
        scope: scope.to_owned(),
        result: outcome.name().to_owned(),
    };
    let spf = match &findings.sender {
        Some(sender) => fact(&sender.domain, "mfrom", sender.verified.outcome),
        None => fact(
            &findings.hello.domain,
            "helo",
            findings.hello.verified.outcome,
        ),
    };
    let envelope_from = match (&findings.sender, arrival.from.mailbox()) {
        (Some(sender), Some(_)) => sender.domain.clone(),
        _ => String::new(),
    };
    let signatures = findings.dkim.iter().filter(|one| !one.domain.is_empty());
    let facts = Facts {
        source: Some(arrival.peer.ip),
        disposition: done.name().to_owned(),
        dkim: applied.dkim.is_some(),
        spf: applied.spf.is_some(),
        reasons,
        header_from: policy.author.clone(),
        envelope_from,
        dkim_results: signatures
            .map(|one| DkimFact {
                domain: one.domain.clone(),
                selector: one.selector.clone(),
                result: one.outcome.name().to_owned(),
            })
            .collect(),
        spf_results: vec![spf],
    };
    Some((published, facts))
}
