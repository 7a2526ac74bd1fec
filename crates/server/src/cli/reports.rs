//! `waxwing reports`: what others report about our domains, in words.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Context, Result, show};
use crate::manage::Request;
use crate::reports::admin;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What others saw of mail that bears a domain's name, and from where it came
    Dmarc(Arguments),
    /// Where other servers failed to reach this one over TLS
    Tls(Arguments),
    /// Have the running server send its reports of a day now; without this it does so after midnight UTC
    Send {
        /// The day, UTC; yesterday without it
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        day: Option<i64>,
    },
}

/// Days since 1970 of a date.
fn day(text: &str) -> std::result::Result<i64, String> {
    let wrong = || format!("{text} is no date; write 2026-01-31");
    let numbers: Vec<&str> = text.split('-').collect();
    let [year, month, day] = numbers.as_slice() else {
        return Err(wrong());
    };
    let date = mime::DateTime {
        year: year.parse().map_err(|_| wrong())?,
        month: month.parse().map_err(|_| wrong())?,
        day: day.parse().map_err(|_| wrong())?,
        ..mime::DateTime::from_timestamp(0, 0)
    };
    let days = date.timestamp().div_euclid(86_400);
    // A day that there is not becomes another one.
    let back = mime::DateTime::from_timestamp(days.saturating_mul(86_400), 0);
    match (back.year, back.month, back.day) == (date.year, date.month, date.day) {
        true => Ok(days),
        false => Err(wrong()),
    }
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// About this domain only
    domain: Option<String>,
    /// How many days back
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let (kind, arguments) = match command {
        Command::Dmarc(arguments) => ("dmarc", arguments),
        Command::Tls(arguments) => ("tls", arguments),
        Command::Send { day } => return send(day, context),
    };
    let days = i64::from(arguments.days);
    let request = admin::Request::Summary {
        kind: kind.to_owned(),
        domain: arguments.domain,
        after: super::now().saturating_sub(days.saturating_mul(86_400)),
    };
    let answer = context.target()?.ask(&Request::Reports(request))?.value;
    if context.json {
        say!("{answer:#}");
        return Ok(());
    }
    for (number, row) in answer.as_array().into_iter().flatten().enumerate() {
        if number > 0 {
            say!();
        }
        for line in words(kind, row, days) {
            say!("{line}");
        }
    }
    Ok(())
}

fn send(day: Option<i64>, context: &Context) -> Result {
    let yesterday = super::now().div_euclid(86_400).saturating_sub(1);
    let request = admin::Request::Send {
        day: day.unwrap_or(yesterday),
    };
    let answer = context.target()?.ask(&Request::Reports(request))?.value;
    let columns = [
        show::Column("KIND", "kind", show::text),
        show::Column("ABOUT", "domain", show::text),
        show::Column("TO", "to", show::text),
        show::Column("OUTCOME", "outcome", show::text),
    ];
    show::table(&answer, &columns, context.json);
    Ok(())
}

fn words(kind: &str, row: &Value, days: i64) -> Vec<String> {
    let text = |key: &str| row.get(key).map(show::text).unwrap_or_default();
    let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or(0);
    let length = |key: &str| row.get(key).and_then(Value::as_array).map_or(0, Vec::len);
    let (domain, good, bad) = (text("domain"), number("good"), number("bad"));
    if length("reports") == 0 {
        return vec![format!(
            "{domain}: no reports of the last {days} days. They come to the address in the record {}.{domain}.",
            if kind == "dmarc" {
                "_dmarc"
            } else {
                "_smtp._tls"
            },
        )];
    }
    let what = match kind {
        "dmarc" => "messages under its name",
        _ => "connections over TLS",
    };
    let mut lines = vec![format!(
        "{domain}: in {days} days {} {what}, {good} good and {bad} not; {} reports of {}.",
        good.saturating_add(bad),
        length("reports"),
        row.get("organizations").map(show::list).unwrap_or_default(),
    )];
    for failure in row
        .get("failures")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        lines.push(match kind {
            "dmarc" => dmarc_failure(failure),
            _ => tls_failure(failure),
        });
    }
    if bad > 0 && kind == "dmarc" {
        lines.push(
            "  An address of yours in this list? Let it send through this server, or name it in SPF and let it sign with DKIM. \
             All others only pretend, or forward."
                .to_owned(),
        );
    }
    lines
}

fn dmarc_failure(failure: &Value) -> String {
    let detail = |key: &str| failure.pointer(&format!("/detail/{key}"));
    let results = |key: &str| -> Vec<String> {
        let list = detail(key).and_then(Value::as_array);
        let each = list.into_iter().flatten().map(|one| {
            let part = |at: usize| one.get(at).map(show::text).unwrap_or_default();
            format!("{key} {} for {}", part(1), part(0))
        });
        each.collect()
    };
    let mut checks = results("spf");
    checks.extend(results("dkim"));
    if results("dkim").is_empty() {
        checks.push("no signature".to_owned());
    }
    format!(
        "  {:>6} from {}: neither SPF nor DKIM stands for {} ({}); {} by {}",
        failure.get("count").map(show::number).unwrap_or_default(),
        failure.get("source").map(show::text).unwrap_or_default(),
        detail("header_from").map(show::text).unwrap_or_default(),
        checks.join(", "),
        match detail("disposition").and_then(Value::as_str) {
            Some("reject") => "refused",
            Some("quarantine") => "put aside",
            _ => "let through",
        },
        failure
            .get("reported_by")
            .map(show::list)
            .unwrap_or_default(),
    )
}

/// RFC 8460 §4.3 in words.
fn tls_failure(failure: &Value) -> String {
    let result = failure
        .pointer("/detail/result")
        .map(show::text)
        .unwrap_or_default();
    let why = match result.as_str() {
        "starttls-not-supported" => {
            "STARTTLS was not offered: somebody in between may take it away"
        }
        "certificate-host-mismatch" => {
            "the certificate is for another name than the MX record says"
        }
        "certificate-expired" => "the certificate had expired",
        "certificate-not-trusted" => "the certificate is of no authority that they trust",
        "tlsa-invalid" => "the certificate and the TLSA record do not fit together",
        "dnssec-invalid" => "the DNSSEC signatures are wrong",
        "dane-required" => "they want DANE, and there is no TLSA record",
        "sts-policy-fetch-error" => "the policy file of MTA-STS could not be fetched",
        "sts-policy-invalid" => "the policy file of MTA-STS is wrong",
        "sts-webpki-invalid" => "the certificate of the web server with the policy file is wrong",
        "validation-failure" => "TLS failed",
        _ => "they do not say why",
    };
    let host = failure.get("source").map(show::text).unwrap_or_default();
    let reason = failure.pointer("/detail/reason").map(show::text);
    format!(
        "  {:>6}{}: {why}{}; reported by {}",
        failure.get("count").map(show::number).unwrap_or_default(),
        if host.is_empty() {
            String::new()
        } else {
            format!(" at {host}")
        },
        reason
            .filter(|reason| !reason.is_empty())
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default(),
        failure
            .get("reported_by")
            .map(show::list)
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn days() {
        assert_eq!(day("1970-01-02"), Ok(1));
        assert_eq!(day("2026-11-23"), Ok(20_780));
        for wrong in ["2026-02-30", "2026-1", "x", "2026-13-01", ""] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn failures_in_words() {
        let row = json!({
            "domain": "a.example", "good": 10, "bad": 2, "organizations": ["Big Mail"], "reports": [{}],
            "failures": [{
                "source": "192.0.2.9", "count": 2, "reported_by": ["Big Mail"],
                "detail": {"header_from": "a.example", "disposition": "quarantine", "spf": [["b.example", "pass"]], "dkim": []}
            }]
        });
        let lines = words("dmarc", &row, 7);
        assert_eq!(
            lines[0],
            "a.example: in 7 days 12 messages under its name, 10 good and 2 not; 1 reports of Big Mail."
        );
        assert_eq!(
            lines[1],
            "       2 from 192.0.2.9: neither SPF nor DKIM stands for a.example (spf pass for b.example, no signature); put aside by Big Mail"
        );
        let failure = json!({"source": "mail.a.example", "count": 3, "reported_by": ["x"], "detail": {"result": "certificate-expired"}});
        assert_eq!(
            tls_failure(&failure),
            "       3 at mail.a.example: the certificate had expired; reported by x"
        );
        let none = json!({"domain": "a.example", "reports": []});
        assert!(words("tls", &none, 7)[0].contains("_smtp._tls.a.example"));
    }
}
