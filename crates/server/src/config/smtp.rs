//! Whom we know, and what we offer to whom: `[smtp]`, `[submission]`, `[proxy]` and `[auth.oidc]`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::Service;
use crate::judge::Network;

/// How SMTP is spoken with other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// Mail servers of ours: they may use XCLIENT, XFORWARD and ETRN, raise priorities, and need not wait.
    pub trusted: Vec<Network>,
    /// How long a stranger waits for the greeting; who talks before it is turned away. This machine does not wait.
    pub greeting_delay: Duration,
    /// Classes of solicitation that are refused (RFC 3865); none turns the extension off.
    pub no_soliciting: Vec<String>,
    /// Whether the sender's domain must be able to take mail.
    pub check_sender_domain: bool,
}

impl Default for Smtp {
    fn default() -> Smtp {
        Smtp {
            trusted: Vec::new(),
            // Long enough that who does not wait has talked, short enough for everybody else.
            greeting_delay: Duration::from_millis(500),
            no_soliciting: Vec::new(),
            check_sender_domain: true,
        }
    }
}

impl Smtp {
    /// Whether the address belongs to a mail server of ours.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// How mail of our users is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// For how long users may hold messages back (RFC 4865); zero turns that off.
    pub hold: Duration,
    /// The highest priority that users may ask for (RFC 6710).
    pub priority: i8,
}

impl Default for Submission {
    fn default() -> Submission {
        Submission {
            hold: Duration::from_secs(60 * 86_400),
            priority: 3,
        }
    }
}

/// Proxies before us that tell who the client is (PROXY protocol, versions 1 and 2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Where they are. Connections from there begin with the header, all others must not.
    pub from: Vec<Network>,
    /// For which services; empty is for all.
    pub services: Vec<Service>,
}

impl Proxy {
    /// Whether a connection to `service` from this address begins with the header.
    pub fn expects(&self, service: Service, address: IpAddr) -> bool {
        (self.services.is_empty() || self.services.contains(&service))
            && self.from.iter().any(|network| network.contains(address))
    }
}

/// Who issues tokens for OAUTHBEARER and XOAUTH2 (RFC 7628), and how they are checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Oidc {
    /// The issuer, as it stands in the claim `iss`.
    pub issuer: String,
    /// What must be in the claim `aud`.
    pub audience: String,
    /// The claim that holds the address of the account.
    pub claim: String,
    /// Where the keys are; without it the issuer's `.well-known/openid-configuration` tells.
    pub jwks: Option<String>,
    /// Asks the issuer about each token instead (RFC 7662).
    pub introspection: Option<Introspection>,
}

/// RFC 7662.
#[derive(Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The endpoint.
    pub url: String,
    /// Who we are there.
    pub client: String,
    /// Our password there.
    pub secret: String,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out of logs.
        f.debug_struct("Oidc")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
