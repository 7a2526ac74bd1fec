//! `waxwing dns`: what belongs into the DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, Result};
use crate::certificate;
use crate::config::{Address, Config, Service};
use crate::manage::Request;
use crate::records::{self, Facts, Need};
use crate::sign::admin;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the records of a domain as a zone file
    Records(Arguments),
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The domain
    domain: String,
    /// A certificate that will follow, so that its TLSA record can be there before it is in use
    #[arg(long, value_name = "FILE")]
    next_certificate: Option<PathBuf>,
}

pub(super) fn run(command: Command, context: &Context) -> Result {
    let Command::Records(arguments) = command;
    let mut facts = facts(&arguments.domain, context)?;
    if let Some(next) = arguments.next_certificate {
        let data = certificate::Facts::of_file(&next)?.tlsa();
        if !facts.tlsa.contains(&data) {
            facts.tlsa.push(data);
        }
    }
    let all = records::records(&facts);
    if context.json {
        say!("{:#}", as_json(&facts, &all));
    } else {
        say!("{}", records::zone(&facts, &all).trim_end());
    }
    Ok(())
}

/// What is known here of a domain and its server.
pub(super) fn facts(domain: &str, context: &Context) -> Result<Facts> {
    let config = context.load()?;
    let request = admin::Request::List {
        domain: Some(domain.to_owned()),
    };
    let keys = context.target()?.ask(&Request::Dkim(request))?.value;
    let rows = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key)?.as_str().map(str::to_owned);
    let published = rows
        .iter()
        .filter(|row| row.get("published") == Some(&Value::Bool(true)));
    let keys = published
        .filter_map(|row| Some((text(row, "selector")?, text(row, "record")?)))
        .collect();
    // Before the first start there is none.
    let certificate = certificate::Facts::of_file(&config.tls.certificate).ok();
    Ok(Facts {
        domain: mail_auth::common::to_a_label(domain.trim_end_matches('.')).into_owned(),
        hostname: config.hostname.clone(),
        addresses: own_addresses(),
        keys,
        tlsa: certificate.iter().map(certificate::Facts::tlsa).collect(),
        public_certificate: certificate.is_some_and(|facts| !facts.self_signed),
        services: services(&config),
    })
}

/// What clients elsewhere can reach.
fn services(config: &Config) -> Vec<(Service, u16)> {
    let listeners = config.listeners.iter();
    listeners
        .filter_map(|listener| match listener.address {
            Address::Tcp(address) if !address.ip().is_loopback() => {
                Some((listener.service, address.port()))
            }
            _ => None,
        })
        .collect()
}

/// The addresses that this machine would send from, if they are the world's: the system says them without sending
/// anything (RFC 5737 and RFC 3849 addresses stand for the world).
fn own_addresses() -> Vec<IpAddr> {
    let towards = [
        (
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from(([192, 0, 2, 1], 9)),
        ),
        (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)),
        ),
    ];
    let source = |(from, to): (SocketAddr, SocketAddr)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    towards
        .into_iter()
        .filter_map(source)
        .filter(|address| is_public(*address))
        .collect()
}

/// Whether the world can reach it: none of the addresses set aside for local use (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_documentation()
                || shared
                || first == 0
                || first >= 224)
        }
        IpAddr::V6(ip) => {
            let [first, ..] = ip.segments();
            first & 0xe000 == 0x2000 && !ip.segments().starts_with(&[0x2001, 0xdb8])
        }
    }
}

fn as_json(facts: &Facts, all: &[records::Record]) -> Value {
    let record = |record: &records::Record| {
        json!({
            "name": record.name,
            "type": record.kind,
            "data": record.data,
            "need": match record.need {
                Need::Required => "required",
                Need::Recommended => "recommended",
                Need::Optional => "optional",
            },
            "why": record.why,
            "line": record.line(),
        })
    };
    let page =
        |page: records::Page| json!({"url": page.url, "content": page.content, "why": page.why});
    json!({
        "domain": facts.domain,
        "hostname": facts.hostname,
        "records": all.iter().map(record).collect::<Value>(),
        "files": records::pages(facts).into_iter().map(page).collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_world_are_told() {
        for (address, expected) in [
            ("10.1.2.3", false),
            ("172.17.0.2", false),
            ("100.64.0.1", false),
            ("192.0.2.1", false),
            ("203.0.114.5", true),
            ("8.8.8.8", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("2001:db8::1", false),
            ("2a00::1", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }
}
