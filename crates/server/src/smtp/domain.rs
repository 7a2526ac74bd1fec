//! Whether a domain can take mail at all, as far as the DNS says: asked of senders, who must be able to take an answer, and of
//! recipients, so that a user learns of his mistake while he writes (RFC 7505 §4.1).

use std::time::{Duration, Instant};

use smtp::address::{Domain, ReversePath};
use smtp::reply::{self, Reply};
use smtp::server::{Kind, Session};

use super::{Handler, refusal};
use crate::config;
use crate::drive::Link;
use crate::pipeline::route::Routed;

/// How long a connection waits for the DNS at all its MAIL and RCPT together: a client with a hundred recipients waits no
/// longer for a silent DNS than one with a single recipient. What is not told in time is decided later.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What the DNS says about a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// It has servers, or nobody knows.
    Mail,
    /// It says that it takes none (RFC 7505 §3).
    NoMail,
    /// There is nothing to send to.
    Nothing,
}

impl Handler {
    /// A stranger's sender must be able to take an answer (RFC 5321 §4.5.5; RFC 7505 §4.1).
    pub(super) async fn sender_exists(
        &mut self,
        from: &ReversePath,
        link: &Link<Session>,
    ) -> Result<(), Reply> {
        let config = self.shared.config();
        let ip = link.peer.ip;
        let known = crate::judge::is_known(&config.reception, ip) || config.smtp.trusts(ip);
        if self.kind != Kind::Reception || known || !config.smtp.check_sender_domain {
            return Ok(());
        }
        let Some(Domain::Name(name)) = from.mailbox().map(|mailbox| mailbox.domain()) else {
            return Ok(());
        };
        let ours = self.shared.db.glance(|snapshot| snapshot.domain(name));
        if ours.map_err(|error| refusal::reply(&error))?.is_some() {
            return Ok(());
        }
        match self.takes(name).await {
            Takes::Mail => Ok(()),
            Takes::NoMail => Err(reply::SENDER_NULL_MX),
            Takes::Nothing => Err(reply::SENDER_DOMAIN_UNKNOWN),
        }
    }

    /// RFC 7505 §4.1, RFC 7504 §4: 556 where the recipient's domain takes no mail. That it has no servers is left to the
    /// queue, which looks again.
    pub(super) async fn recipient_takes_mail(&mut self, routed: &Routed) -> Result<(), Reply> {
        let config = self.shared.config();
        for remote in routed.remote.iter().filter(|remote| !remote.alias) {
            let routed = config::route(&config.routes, &remote.domain).is_some();
            if !routed
                && !remote.domain.starts_with('[')
                && self.takes(&remote.domain).await == Takes::NoMail
            {
                return Err(reply::DOMAIN_TAKES_NO_MAIL);
            }
        }
        Ok(())
    }

    async fn takes(&mut self, name: &str) -> Takes {
        let Some(name) = crate::judge::ascii(name) else {
            return Takes::Nothing;
        };
        if self.patience_left.is_zero() {
            return Takes::Mail;
        }
        let dns = &self.shared.dns;
        let asked = async {
            match dns.mx(&name).await {
                Ok(answer) => match answer.records.as_slice() {
                    [only] if only.host.is_empty() => Takes::NoMail,
                    _ => Takes::Mail,
                },
                // RFC 5321 §5.1: without MX the domain's own addresses.
                Err(error) if error.is_absence() => match dns.addresses(&name).await {
                    Err(error) if error.is_absence() => Takes::Nothing,
                    _ => Takes::Mail,
                },
                Err(_) => Takes::Mail,
            }
        };
        let began = Instant::now();
        let told = tokio::time::timeout(self.patience_left, asked).await;
        self.patience_left = match told {
            Ok(_) => self.patience_left.saturating_sub(began.elapsed()),
            Err(_) => Duration::ZERO,
        };
        told.unwrap_or(Takes::Mail)
    }
}
