//! What a session offers beyond the extensions that every session has, and the refusal of what it does not.

use crate::parameters::{Body, ByMode, Hold, Mail, Recipient};
use crate::reply::{self, Reply};

/// Extensions that depend on the listener, the peer or the configuration. Each is announced after EHLO and its
/// parameters are taken; what is not announced is refused with 555, as a parameter nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// BINARYMIME (RFC 3030 §3).
    pub binary_mime: bool,
    /// DELIVERBY, with the least time for `R` in seconds (RFC 2852 §3).
    pub deliver_by: Option<u32>,
    /// FUTURERELEASE (RFC 4865).
    pub future_release: Option<FutureRelease>,
    /// MT-PRIORITY, without a name of the policy (RFC 6710 §3).
    pub priority: bool,
    /// REQUIRETLS; announced under TLS only (RFC 8689 §2).
    pub require_tls: bool,
    /// RRVS (RFC 7293).
    pub rrvs: bool,
    /// NO-SOLICITING, with the classes that are refused (RFC 3865).
    pub no_soliciting: Option<Vec<String>>,
    /// XCLIENT: the peer is a proxy or filter of ours, and may say who the client is, once. Then this, XFORWARD and ETRN end.
    pub xclient: bool,
    /// XFORWARD: the peer is a filter of ours, and may say where a message came from.
    pub xforward: bool,
    /// ETRN (RFC 1985).
    pub etrn: bool,
    /// BURL, with the arguments it has for who has logged in (RFC 4468 §3.1). Before, it is announced without any.
    pub burl: Option<Vec<String>>,
    /// LIMITS: announces the limits of [`super::Limits`] that clients can keep to (RFC 9422).
    pub limits: bool,
}

/// For how long messages may be held (RFC 4865 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureRelease {
    /// Seconds.
    pub interval: u64,
    /// The latest instant, in seconds since 1970.
    pub until: i64,
}

impl Extensions {
    /// Lines of the EHLO answer.
    pub(super) fn announce(&self, tls: bool, lines: &mut Vec<String>) {
        if self.dsn {
            lines.push("DSN".to_owned());
        }
        if self.binary_mime {
            lines.push("BINARYMIME".to_owned());
        }
        if let Some(least) = self.deliver_by {
            lines.push(format!("DELIVERBY {least}"));
        }
        if let Some(hold) = self.future_release {
            let until = crate::parameters::time::format(hold.until);
            lines.push(format!("FUTURERELEASE {} {until}", hold.interval));
        }
        if self.priority {
            lines.push("MT-PRIORITY".to_owned());
        }
        if self.require_tls && tls {
            lines.push("REQUIRETLS".to_owned());
        }
        if self.rrvs {
            lines.push("RRVS".to_owned());
        }
        if self.etrn {
            lines.push("ETRN".to_owned());
        }
        if self.xclient {
            lines.push("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT".to_owned());
        }
        if self.xforward {
            lines.push("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE".to_owned());
        }
        match self.no_soliciting.as_deref() {
            Some([]) => lines.push("NO-SOLICITING".to_owned()),
            Some(classes) => lines.push(format!("NO-SOLICITING {}", classes.join(","))),
            None => {}
        }
    }

    /// Whether parameters of MAIL are offered, and within what was announced.
    pub(super) fn check_mail(&self, mail: &Mail, tls: bool) -> Result<(), Reply> {
        let unoffered = (!self.dsn && (mail.ret.is_some() || mail.envid.is_some()))
            || (!self.priority && mail.priority.is_some())
            || (!(self.require_tls && tls) && mail.require_tls)
            || (self.no_soliciting.is_none() && !mail.solicit.is_empty())
            || (self.deliver_by.is_none() && mail.deliver_by.is_some())
            || (self.future_release.is_none() && mail.hold.is_some());
        if unoffered {
            return Err(reply::UNKNOWN_PARAMETER);
        }
        if !self.binary_mime && mail.body == Body::BinaryMime {
            return Err(reply::BAD_ARGUMENTS);
        }
        // RFC 2852 §3: strictly less than announced is refused with 55z.
        let least = i64::from(self.deliver_by.unwrap_or_default());
        if mail
            .deliver_by
            .is_some_and(|by| by.mode == ByMode::Return && by.seconds < least)
        {
            return Err(reply::DELIVER_BY_TOO_SOON);
        }
        // RFC 4865 §4.2: 501 5.5.4 beyond what was announced.
        let held = match (self.future_release, mail.hold) {
            (Some(limit), Some(Hold::For(seconds))) => seconds <= limit.interval,
            (Some(limit), Some(Hold::Until(at))) => at <= limit.until,
            _ => true,
        };
        if !held {
            return Err(reply::HELD_TOO_LONG);
        }
        // RFC 3865 §2.3: what belongs to a refused class is refused before it is sent.
        let refused = self.no_soliciting.as_deref().unwrap_or_default();
        if mail
            .solicit
            .iter()
            .any(|class| refused.iter().any(|word| word.eq_ignore_ascii_case(class)))
        {
            return Err(reply::SOLICITATION_REFUSED);
        }
        Ok(())
    }

    /// Whether parameters of RCPT are offered.
    pub(super) fn check_recipient(&self, recipient: &Recipient) -> Result<(), Reply> {
        let unoffered = (!self.dsn && (recipient.notify.is_some() || recipient.original.is_some()))
            || (!self.rrvs && recipient.valid_since.is_some());
        if unoffered {
            Err(reply::UNKNOWN_PARAMETER)
        } else {
            Ok(())
        }
    }
}
