//! A table of DNS records for tests.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};

use super::lookup::{Found, Lookup, Missing};

/// A record of the table.
#[derive(Debug, Clone)]
pub enum Entry {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx(u16, String),
    Txt(Vec<u8>),
    Ptr(String),
    /// The records are another name's.
    Cname(String),
    /// Any question that nothing before it answers fails.
    Timeout,
}

/// Records by name. Counts the questions.
#[derive(Debug, Default)]
pub struct Table {
    names: HashMap<String, Vec<Entry>>,
    pub asked: AtomicU32,
}

impl Table {
    pub fn add(&mut self, name: &str, entry: Entry) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.names.entry(name).or_default().push(entry);
    }

    /// `name type value` on each line.
    pub fn parse(zone: &str) -> Table {
        let mut table = Table::default();
        for line in zone.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let value = words.next().unwrap_or_default();
            let entry = match kind {
                "A" => Entry::A(value.parse().unwrap()),
                "AAAA" => Entry::Aaaa(value.parse().unwrap()),
                "MX" => Entry::Mx(10, value.to_owned()),
                "TXT" => Entry::Txt(value.as_bytes().to_vec()),
                "PTR" => Entry::Ptr(value.to_owned()),
                "TIMEOUT" => Entry::Timeout,
                other => panic!("{other}"),
            };
            table.add(name, entry);
        }
        table
    }

    fn find<T>(&self, name: &str, pick: impl Fn(&Entry) -> Option<T>) -> Found<T> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut name = name.to_ascii_lowercase();
        for _ in 0..10 {
            let alias = self
                .names
                .get(&name)
                .and_then(|entries| match entries.as_slice() {
                    [Entry::Cname(other)] => Some(other.trim_end_matches('.').to_ascii_lowercase()),
                    _ => None,
                });
            match alias {
                Some(other) => name = other,
                None => break,
            }
        }
        let Some(entries) = self.names.get(&name) else {
            let below = format!(".{name}");
            return match self.names.keys().any(|other| other.ends_with(&below)) {
                true => Err(Missing::NoData),
                false => Err(Missing::NoName),
            };
        };
        let mut found = Vec::new();
        for entry in entries {
            match (entry, pick(entry)) {
                (_, Some(value)) => found.push(value),
                (Entry::Timeout, _) if found.is_empty() => return Err(Missing::Failure),
                _ => {}
            }
        }
        match found.is_empty() {
            true => Err(Missing::NoData),
            false => Ok(found),
        }
    }
}

impl Lookup for Table {
    async fn txt(&self, name: &str) -> Found<Vec<u8>> {
        self.find(name, |entry| match entry {
            Entry::Txt(text) => Some(text.clone()),
            _ => None,
        })
    }

    async fn a(&self, name: &str) -> Found<Ipv4Addr> {
        self.find(name, |entry| match entry {
            Entry::A(ip) => Some(*ip),
            _ => None,
        })
    }

    async fn aaaa(&self, name: &str) -> Found<Ipv6Addr> {
        self.find(name, |entry| match entry {
            Entry::Aaaa(ip) => Some(*ip),
            _ => None,
        })
    }

    async fn mx(&self, name: &str) -> Found<String> {
        let mut found = self.find(name, |entry| match entry {
            Entry::Mx(preference, host) => Some((*preference, host.clone())),
            _ => None,
        })?;
        found.sort();
        Ok(found.into_iter().map(|(_, host)| host).collect())
    }

    async fn ptr(&self, ip: IpAddr) -> Found<String> {
        let name = match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(ip) => {
                let digits = format!("{:032x}", ip.to_bits());
                let digits: Vec<String> = digits.chars().rev().map(String::from).collect();
                format!("{}.ip6.arpa", digits.join("."))
            }
        };
        self.find(&name, |entry| match entry {
            Entry::Ptr(name) => Some(name.clone()),
            _ => None,
        })
    }
}
