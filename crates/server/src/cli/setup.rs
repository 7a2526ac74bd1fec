//! `waxwing setup`: from nothing to a configuration, a domain and an account.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::target::Target;
use super::{Context, Result, account, input};
use crate::config::{Config, template};
use crate::manage::Request;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The domain whose mail shall be kept here
    domain: String,
    /// This server's name in the DNS; mail.DOMAIN without it
    #[arg(long)]
    hostname: Option<String>,
    /// The data folder; waxwing-data beside the configuration without it
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The first account, before the @
    #[arg(long, default_value = "postmaster")]
    account: String,
    /// Read the account's password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result {
    let file = context
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from("waxwing.toml"));
    let file = std::path::absolute(file)?;
    if file.exists() {
        let hint = "setup writes a new one only; manage what is there with the other commands";
        return Err(format!("{} exists already; {hint}", file.display()).into());
    }
    let domain = arguments.domain.to_ascii_lowercase();
    let hostname = arguments
        .hostname
        .unwrap_or_else(|| format!("mail.{domain}"));
    let folder = file.parent().unwrap_or(Path::new("."));
    let data = std::path::absolute(
        arguments
            .data
            .unwrap_or_else(|| folder.join("waxwing-data")),
    )?;
    let text = template(&hostname, &data);
    // A wrong host name shows here, before anything is made.
    Config::parse(&text, &file)?;
    let (secret, new) = input::password_or_new(arguments.password_stdin)?;
    let address = format!("{}@{domain}", arguments.account);
    {
        let mut target = Target::open(&data)?;
        let added = target.ask(&Request::DomainAdd {
            name: domain.clone(),
        });
        // An earlier run that failed at the account has added it.
        if let Err(error) = added
            && !is_there(&mut target, &domain)?
        {
            return Err(error);
        }
        account::add(&mut target, &address, &secret, None)?;
        // RFC 5321 §4.5.1: postmaster must reach somebody; RFC 2142 §4 asks for abuse.
        for role in ["postmaster", "abuse"] {
            let alias = format!("{role}@{domain}");
            if alias != address {
                target.ask(&Request::AliasAdd {
                    address: alias,
                    targets: vec![address.clone()],
                })?;
            }
        }
    }
    // The configuration comes last: with it, everything it names is there.
    let made = OpenOptions::new().write(true).create_new(true).open(&file);
    let mut out = made.map_err(|error| format!("{}: {error}", file.display()))?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    say!("Configuration  {}", file.display());
    say!("Data folder    {}", data.display());
    say!("Account        {address}");
    if new {
        say!("Password       {}", secret.expose());
    }
    say!();
    let command = format!("waxwing --config {}", file.display());
    say!(
        "In the DNS:    what {command} dns records {domain} prints; {domain}. MX 10 {hostname}. first"
    );
    say!("Is it right?   {command} doctor {domain}");
    say!("Certificate:   set tls.certificate and tls.key; until then a self-signed one is used");
    say!("Start:         waxwing --config {} serve", file.display());
    Ok(())
}

fn is_there(target: &mut Target, domain: &str) -> Result<bool> {
    let domains = target.ask(&Request::DomainList)?.value;
    let mut rows = domains.as_array().into_iter().flatten();
    Ok(rows.any(|row| row.get("name").and_then(|name| name.as_str()) == Some(domain)))
}
