//! Parameters of RCPT TO.

use super::{Original, ascii, parameter, time, whole};
use crate::parse::Error;
use wire::cursor::Cursor;

/// Parameters of RCPT TO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// `NOTIFY=` (RFC 3461 §4.1); `None` leaves it to the server, which reports failures.
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 §4.2).
    pub original: Option<Original>,
    /// `RRVS=` (RFC 7293 §3.1).
    pub valid_since: Option<ValidSince>,
}

/// Of what the sender wants to be told. All false is `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Delivery.
    pub success: bool,
    /// That there will be none.
    pub failure: bool,
    /// That it takes longer.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`: of nothing.
    pub const NEVER: Notify = Notify {
        success: false,
        failure: false,
        delay: false,
    };

    /// `notify-esmtp-value = "NEVER" / 1#("SUCCESS" / "FAILURE" / "DELAY")` (RFC 3461 §4.1).
    fn parse(value: &str) -> Option<Notify> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Notify::NEVER);
        }
        let mut notify = Notify::NEVER;
        for word in value.split(',') {
            match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return None,
            }
        }
        Some(notify)
    }

    /// The parameter's value.
    pub fn encode(self) -> String {
        let words = [
            (self.success, "SUCCESS"),
            (self.failure, "FAILURE"),
            (self.delay, "DELAY"),
        ];
        let words: Vec<_> = words
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, word)| word)
            .collect();
        if words.is_empty() {
            "NEVER".to_owned()
        } else {
            words.join(",")
        }
    }
}

/// Since when the recipient must have had the address (RFC 7293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidSince {
    /// Seconds since 1970.
    pub at: i64,
    /// What is done where the next server cannot check it; `None` when the client did not say, which means reject.
    pub no_support: Option<NoSupport>,
}

/// What is done with a message whose next server does not know RRVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSupport {
    /// `C`: it goes on without.
    Continue,
    /// `R`: it is returned.
    Reject,
}

impl ValidSince {
    /// `rrvs-param = "RRVS=" date-time [ ";" ( "C" / "R" ) ]` (RFC 7293 §3.1).
    fn parse(value: &str) -> Option<ValidSince> {
        let (at, no_support) = match value.split_once(';') {
            None => (value, None),
            Some((at, "C" | "c")) => (at, Some(NoSupport::Continue)),
            Some((at, "R" | "r")) => (at, Some(NoSupport::Reject)),
            Some(_) => return None,
        };
        time::parse(at).map(|at| ValidSince { at, no_support })
    }

    /// The parameter's value.
    pub fn encode(self) -> String {
        let action = match self.no_support {
            None => "",
            Some(NoSupport::Continue) => ";C",
            Some(NoSupport::Reject) => ";R",
        };
        format!("{}{action}", time::format(self.at))
    }
}

impl Recipient {
    /// `Rcpt-parameters = esmtp-param *(SP esmtp-param)`, each at most once.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Recipient, Error> {
        let mut recipient = Recipient::default();
        while let Some((keyword, value)) = parameter(cursor)? {
            let first = match (keyword.to_ascii_uppercase().as_slice(), value) {
                (b"NOTIFY", Some(value)) => {
                    let notify = whole(Notify::parse(ascii(value)?))?;
                    recipient.notify.replace(notify).is_none()
                }
                (b"ORCPT", Some(value)) => recipient
                    .original
                    .replace(Original::parse(value)?)
                    .is_none(),
                (b"RRVS", Some(value)) => {
                    let since = whole(ValidSince::parse(ascii(value)?))?;
                    recipient.valid_since.replace(since).is_none()
                }
                (b"NOTIFY" | b"ORCPT" | b"RRVS", None) => false,
                _ => return Err(Error::Parameter),
            };
            if !first {
                return Err(Error::Arguments);
            }
        }
        Ok(recipient)
    }

    /// The parameters as they go behind the path, each with a space before it, of those that `offered` names. With
    /// `utf8` the original address goes as it is, else escaped.
    pub fn offered(&self, offered: impl Fn(&str) -> bool, utf8: bool) -> String {
        let mut line = String::new();
        if offered("DSN") {
            if let Some(notify) = self.notify {
                line.push_str(&format!(" NOTIFY={}", notify.encode()));
            }
            if let Some(original) = &self.original {
                line.push_str(&format!(" ORCPT={}", original.encode(utf8)));
            }
        }
        if let Some(since) = self.valid_since.filter(|_| offered("RRVS")) {
            line.push_str(&format!(" RRVS={}", since.encode()));
        }
        line
    }
}
