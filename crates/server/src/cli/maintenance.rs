//! `waxwing backup` and `waxwing check`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Context, Result, show};
use crate::manage::Request;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The folder to copy into; a data folder that can be served
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,
}

pub(super) fn backup(arguments: Backup, context: &Context) -> Result {
    // The server may run in another folder.
    let folder = std::path::absolute(&arguments.folder)?;
    let folder = folder
        .to_str()
        .ok_or("the folder's name must be UTF-8")?
        .to_owned();
    let answer = context.target()?.ask(&Request::Backup { folder })?.value;
    if context.json {
        say!("{answer:#}");
        return Ok(());
    }
    let number = |key: &str| {
        answer
            .get(key)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0)
    };
    say!(
        "{} copied ({} packs new, {} there already)",
        show::octets(number("octets")),
        number("packs_copied"),
        number("packs_kept")
    );
    Ok(())
}

/// Answers with failure when something is wrong and stays so.
pub(super) fn check(arguments: Check, context: &Context) -> Result<ExitCode> {
    let answer = context
        .target()?
        .ask(&Request::Check {
            repair: arguments.repair,
        })?
        .value;
    let findings = answer
        .get("findings")
        .and_then(|findings| findings.as_array())
        .cloned()
        .unwrap_or_default();
    let repaired = |finding: &serde_json::Value| finding.get("repaired") == Some(&true.into());
    if context.json {
        say!("{answer:#}");
    } else {
        for finding in &findings {
            let what = finding.get("text").map(show::text).unwrap_or_default();
            say!("{what}{}", if repaired(finding) { " (mended)" } else { "" });
        }
        let number = |key: &str| {
            answer
                .get(key)
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(0)
        };
        say!(
            "{} accounts, {} messages, {} bodies examined: {}",
            number("accounts"),
            number("messages"),
            number("bodies"),
            if findings.is_empty() {
                "all is well".to_owned()
            } else {
                format!("{} findings", findings.len())
            }
        );
    }
    Ok(if findings.iter().all(repaired) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
