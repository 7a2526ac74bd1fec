//! What judging asks of the DNS, so that the checks run over any source of records: the server's resolver, or a table.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use mail_auth::MessageAuthenticator;

/// Records taken from an answer: work is done for each.
const RECORDS: usize = 100;

/// Why there are no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The name does not exist.
    NoName,
    /// The name exists and has no such record.
    NoData,
    /// Nobody answered, or with an error; also where validation failed.
    Failure,
}

/// Records, never none of them.
pub type Found<T> = Result<Vec<T>, Missing>;

/// A source of DNS records. Names come without a dot at the end, as A-labels.
pub trait Lookup: Sync {
    /// TXT, the strings of each record joined.
    fn txt(&self, name: &str) -> impl Future<Output = Found<Vec<u8>>> + Send;
    /// A.
    fn a(&self, name: &str) -> impl Future<Output = Found<Ipv4Addr>> + Send;
    /// AAAA.
    fn aaaa(&self, name: &str) -> impl Future<Output = Found<Ipv6Addr>> + Send;
    /// The hosts of MX, the preferred first.
    fn mx(&self, name: &str) -> impl Future<Output = Found<String>> + Send;
    /// PTR of an address.
    fn ptr(&self, ip: IpAddr) -> impl Future<Output = Found<String>> + Send;

    /// The addresses of the same family as `like`.
    fn addresses(&self, name: &str, like: IpAddr) -> impl Future<Output = Found<IpAddr>> + Send {
        async move {
            match like {
                IpAddr::V4(_) => Ok(self.a(name).await?.into_iter().map(IpAddr::V4).collect()),
                IpAddr::V6(_) => Ok(self.aaaa(name).await?.into_iter().map(IpAddr::V6).collect()),
            }
        }
    }
}

/// The server's resolver. The one without DNSSEC: nothing that is judged here rests on it.
pub struct Resolver<'a>(pub &'a MessageAuthenticator);

impl Resolver<'_> {
    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Found<T> {
        let mut name = Name::from_str_relaxed(name).map_err(|_| Missing::NoName)?;
        name.set_fqdn(true);
        let lookup = match self.0.0.lookup(name, kind).await {
            Ok(lookup) => lookup,
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                return Err(match none.response_code {
                    ResponseCode::NXDomain => Missing::NoName,
                    ResponseCode::NoError => Missing::NoData,
                    _ => Missing::Failure,
                });
            }
            Err(_) => return Err(Missing::Failure),
        };
        let answers = lookup.answers().iter().take(RECORDS);
        let found: Vec<T> = answers.filter_map(|record| pick(&record.data)).collect();
        match found.is_empty() {
            true => Err(Missing::NoData),
            false => Ok(found),
        }
    }
}

/// Without the dot at its end.
fn text(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase()
}

impl Lookup for Resolver<'_> {
    async fn txt(&self, name: &str) -> Found<Vec<u8>> {
        self.records(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    async fn a(&self, name: &str) -> Found<Ipv4Addr> {
        self.records(name, RecordType::A, |data| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .await
    }

    async fn aaaa(&self, name: &str) -> Found<Ipv6Addr> {
        self.records(name, RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        })
        .await
    }

    async fn mx(&self, name: &str) -> Found<String> {
        let found = self.records(name, RecordType::MX, |data| match data {
            RData::MX(mx) => Some((mx.preference, text(&mx.exchange))),
            _ => None,
        });
        let mut found = found.await?;
        found.sort();
        Ok(found.into_iter().map(|(_, host)| host).collect())
    }

    async fn ptr(&self, ip: IpAddr) -> Found<String> {
        let name = Name::from(ip).to_ascii();
        self.records(&name, RecordType::PTR, |data| match data {
            RData::PTR(name) => Some(text(&name.0)),
            _ => None,
        })
        .await
    }
}
