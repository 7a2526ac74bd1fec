//! The table `[reception]` of the configuration: what is done with mail from other servers.

use std::net::IpAddr;

/// How mail from other servers is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What From fields must be.
    pub from: FromRule,
    /// Whether the policies of senders' domains are obeyed.
    pub dmarc: DmarcRule,
    /// What an SPF result of `fail` does by itself.
    pub spf_fail: SpfRule,
    /// Whether mail whose policy cannot be known because the DNS fails is taken all the same, instead of later.
    pub accept_on_dns_failure: bool,
    /// Networks whose mail is not judged: own relays, forwarders.
    pub trusted: Vec<Network>,
    /// Domains whose ARC seals are believed.
    pub trusted_arc: Vec<String>,
    /// Whether mail from this machine and from private networks is judged too.
    pub check_private: bool,
    /// Days for which decision records are kept; 0 keeps none.
    pub record_days: u32,
    /// Days for which those of refused messages are kept.
    pub refused_record_days: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            from: FromRule::Strict,
            dmarc: DmarcRule::Obey,
            spf_fail: SpfRule::Record,
            accept_on_dns_failure: false,
            trusted: Vec::new(),
            trusted_arc: Vec::new(),
            check_private: false,
            record_days: 90,
            refused_record_days: 14,
        }
    }
}

/// What From fields must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromRule {
    /// Exactly one, well-formed; else the message is refused.
    Strict,
    /// Anything; DMARC is then not applied to what is malformed.
    Accept,
}

/// What is done with DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcRule {
    /// `p=reject` refuses, `p=quarantine` goes to Junk.
    Obey,
    /// The result is recorded, nothing else.
    Record,
}

/// What an SPF result of `fail` does by itself, where DMARC does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfRule {
    /// Nothing: the result is recorded.
    Record,
    /// The message goes to Junk.
    Junk,
    /// The message is refused.
    Reject,
}

/// An address, or a network in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Parses `192.0.2.0/24`, `2001:db8::/32` or an address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most)?,
            None => most,
        };
        Some(Network { address, prefix })
    }

    /// Whether the address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32_u32.saturating_sub(self.prefix.into());
                let cut = |ip: std::net::Ipv4Addr| ip.to_bits().checked_shr(shift);
                cut(a) == cut(b)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128_u32.saturating_sub(self.prefix.into());
                let cut = |ip: std::net::Ipv6Addr| ip.to_bits().checked_shr(shift);
                cut(a) == cut(b)
            }
            _ => false,
        }
    }
}

/// Whether an address is of a network that is nobody's in particular: this machine, private networks, the local link.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let table = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("::/0", "::1", true),
        ];
        for (network, ip, inside) in table {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.contains(ip.parse().unwrap()),
                inside,
                "{network:?} {ip}"
            );
        }
        for wrong in [
            "",
            "192.0.2.0/33",
            "192.0.2/24",
            "::/129",
            "a/1",
            "192.0.2.1/",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
