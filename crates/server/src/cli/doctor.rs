//! `waxwing doctor`: what the world sees of a domain, and what to change.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::{Context, Result, dns, now};
use crate::certificate;
use crate::dns::Dns;
use crate::doctor::{self, Grade, Patient};
use crate::http::Http;
use crate::manage::Request;
use crate::sign::{admin, key};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The domain
    domain: String,
    /// The port on which other servers reach this one, where something passes on another than 25
    #[arg(long, default_value_t = 25)]
    port: u16,
    /// A domain whose mail server is called to see whether port 25 is open outwards; may be repeated
    #[arg(long, value_name = "DOMAIN", default_values_t = ["gmail.com".to_owned(), "outlook.com".to_owned()])]
    probe: Vec<String>,
    /// A DNS list of addresses that send unwanted mail; may be repeated
    #[arg(long, value_name = "LIST", default_values_t = ["zen.spamhaus.org".to_owned(), "bl.spamcop.net".to_owned()])]
    blocklist: Vec<String>,
}

/// Answers with 0 when all is good, 1 with advice, 2 when something is broken.
pub(super) fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    let config = context.load()?;
    let facts = dns::facts(&arguments.domain, context)?;
    let request = admin::Request::List {
        domain: Some(arguments.domain.clone()),
    };
    let rows = context.target()?.ask(&Request::Dkim(request))?.value;
    let resolver = Arc::new(Dns::new(&config.dns)?);
    let patient = Patient {
        facts,
        keys: keys(&rows),
        certificate: certificate::Facts::of_file(&config.tls.certificate)
            .map_err(|error| error.to_string()),
        http: Http::new(Arc::clone(&resolver), Arc::default()),
        dns: Dns::new(&config.dns)?,
        port: arguments.port,
        relayed: crate::config::route(&config.routes, "example.com").is_some(),
        probes: arguments.probe,
        blocklists: arguments.blocklist,
        now: now(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let findings = runtime.block_on(doctor::examine(&patient));
    let worst = findings.iter().map(|finding| finding.grade).max();
    if context.json {
        let rows: Value = findings.iter().map(doctor::Finding::json).collect();
        say!("{rows:#}");
    } else {
        for finding in &findings {
            let word = finding.grade.name();
            say!("{word:<8} {:<13} {}", finding.check, finding.what);
            if let Some(todo) = &finding.todo {
                say!("{:<22} -> {todo}", "");
            }
        }
    }
    Ok(ExitCode::from(worst.unwrap_or(Grade::Good).exit_code()))
}

fn keys(rows: &Value) -> Vec<(String, String, Vec<u8>)> {
    let text = |row: &Value, name: &str| row.get(name)?.as_str().map(str::to_owned);
    let key = |row: &Value| {
        let public = key::public_of(&text(row, "record")?)?;
        Some((text(row, "state")?, text(row, "selector")?, public))
    };
    let all = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .filter(|row| row.get("published") == Some(&Value::Bool(true)))
        .filter_map(key)
        .collect()
}
