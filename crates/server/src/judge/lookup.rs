//! What judging asks of the DNS, so that the checks run over any source of records: the server's resolver, or a table.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
