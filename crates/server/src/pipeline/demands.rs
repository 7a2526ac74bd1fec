//! Header fields that ask something of the road: TLS-Required, Require-Recipient-Valid-Since, Solicitation.

use smtp::parameters::ValidSince;
use smtp::reply::{self, Reply};
use smtp::server::Kind;
use store::Timestamp;

use super::Arrival;
use crate::shared::Shared;
use crate::smtp::refusal;

/// Fields of a kind that are looked at; each costs a comparison with every recipient.
const FIELD_LIMIT: usize = 100;

/// Local parts of addresses that belong to an office and not to a person (RFC 2142): who holds it may change.
const ROLES: [&str; 17] = [
    "info",
    "marketing",
    "sales",
    "support",
    "abuse",
    "noc",
    "security",
    "postmaster",
    "hostmaster",
    "usenet",
    "news",
    "webmaster",
    "www",
    "uucp",
    "ftp",
    "mailer-daemon",
    "root",
];

/// What the header asks for. `Err` refuses the message for all recipients.
pub(super) fn obey(shared: &Shared, arrival: &mut Arrival, header: usize) -> Result<(), Reply> {
    let mut tls = Vec::new();
    let mut since = Vec::new();
    for field in mime::header::fields(&arrival.message, 0..header) {
        if field.is("TLS-Required") && tls.len() < FIELD_LIMIT {
            tls.push(text(&field));
        } else if field.is("Require-Recipient-Valid-Since") && since.len() < FIELD_LIMIT {
            since.extend(valid_since(&text(&field)));
        } else if field.is("Solicitation") && arrival.kind == Kind::Reception {
            solicitation(shared, &text(&field))?;
        }
    }
    // RFC 8689 §3, §4.1: exactly one, and the parameter of MAIL counts more.
    arrival.envelope.tls_optional = !arrival.envelope.require_tls
        && matches!(tls.as_slice(), [only] if only.eq_ignore_ascii_case("No"));
    if since.is_empty() {
        return Ok(());
    }
    // RFC 7293 §5.2: fields that name a recipient for which no parameter was given.
    for path in &arrival.recipients {
        if path.parameters.valid_since.is_some() || path.accounts.is_empty() {
            continue;
        }
        for (_, at) in since
            .iter()
            .filter(|(address, _)| address.eq_ignore_ascii_case(&path.address))
        {
            check(shared, &path.address, *at)?;
        }
    }
    Ok(())
}

/// RFC 7293 §5.1: whether the address means what it meant then.
pub fn since(shared: &Shared, address: &str, since: Option<ValidSince>) -> Result<(), Reply> {
    match since {
        Some(since) => check(shared, address, since.at),
        None => Ok(()),
    }
}

fn check(shared: &Shared, address: &str, at: Timestamp) -> Result<(), Reply> {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    if ROLES.iter().any(|role| local.eq_ignore_ascii_case(role)) {
        return Ok(());
    }
    match shared.db.glance(|snapshot| snapshot.assigned(address)) {
        Ok(Some(assigned)) if assigned > at => Err(reply::MAILBOX_CHANGED_OWNER),
        Ok(_) => Ok(()),
        Err(error) => Err(refusal::reply(&error)),
    }
}

/// `"Require-Recipient-Valid-Since:" addr-spec ";" date-time`, the date as RFC 5322 §3.3 writes it; what does not parse is no
/// such field (RFC 7293 §5.2).
fn valid_since(value: &str) -> Option<(String, Timestamp)> {
    let (address, date) = value.rsplit_once(';')?;
    let date = mime::DateTime::parse(date.as_bytes())?;
    let address = address.trim();
    address
        .contains('@')
        .then(|| (address.to_owned(), date.timestamp()))
}

/// RFC 3865 §2.5: the classes of the field are those of the parameter.
fn solicitation(shared: &Shared, value: &str) -> Result<(), Reply> {
    let config = shared.config();
    let refused = &config.smtp.no_soliciting;
    let named = |class: &str| {
        refused
            .iter()
            .any(|word| word.eq_ignore_ascii_case(class.trim()))
    };
    if value.split(',').any(named) {
        Err(reply::SOLICITATION_REFUSED)
    } else {
        Ok(())
    }
}

/// The value on one line.
fn text(field: &mime::Field<'_>) -> String {
    let value = String::from_utf8_lossy(field.value());
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_fields() {
        let table = [
            (
                "bob@example.test; Thu, 3 Apr 2014 23:01:00 +0000",
                Some(1_396_566_060),
            ),
            ("bob@example.test; yesterday", None),
            ("bob; Thu, 3 Apr 2014 23:01:00 +0000", None),
            ("bob@example.test", None),
        ];
        for (value, at) in table {
            assert_eq!(valid_since(value).map(|(_, at)| at), at, "{value}");
        }
    }
}
