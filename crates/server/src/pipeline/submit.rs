//! What a message must be to be sent by one of our users (RFC 6409 §6, §8).

use smtp::address::Mailbox;
use smtp::reply::{self, Reply};
use store::{AccountId, Resolution, Snapshot};

use crate::auth::Identity;
use crate::pipeline::trace;
use crate::shared::Shared;
use crate::smtp::refusal;

/// Authors of one message. Each costs a look into the store.
const AUTHOR_LIMIT: usize = 20;

/// Whether mail for `address` reaches the account: its own address, a sub-address of it, an alias that names it.
pub fn owns(snapshot: &Snapshot<'_>, account: AccountId, address: &str) -> store::Result<bool> {
    match snapshot.resolve(address)? {
        Resolution::Local { accounts, .. } => {
            Ok(accounts.iter().any(|resolved| resolved.account == account))
        }
        Resolution::Remote | Resolution::Unknown => Ok(false),
    }
}

/// Checks the header and returns the fields to add on top.
pub(super) fn check(
    shared: &Shared,
    identity: &Identity,
    message: &[u8],
    header: usize,
) -> Result<String, Reply> {
    let found = Found::in_header(message, header)?;
    let owned = shared.db.glance(|snapshot| {
        for address in &found.senders {
            if !owns(snapshot, identity.account, address)? {
                return Ok(false);
            }
        }
        Ok(true)
    });
    match owned {
        Ok(true) => {}
        Ok(false) => return Err(reply::SENDER_NOT_OWNED),
        Err(error) => return Err(refusal::reply(&error)),
    }
    let mut additions = String::new();
    if !found.date {
        // RFC 6409 §8.2
        let date = mime::DateTime::from_timestamp(shared.timestamp(), 0);
        additions.push_str(&format!("Date: {date}\r\n"));
    }
    if !found.message_id {
        // RFC 6409 §8.3. The domain of the sender makes it unique together with the random part.
        let domain = identity
            .address
            .rsplit_once('@')
            .map_or("localhost", |(_, domain)| domain);
        additions.push_str(&format!(
            "Message-ID: <{}@{domain}>\r\n",
            trace::id(shared.timestamp(), shared.random())
        ));
    }
    Ok(additions)
}

/// What a header says about where it comes from.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The addresses of From and Sender.
    senders: Vec<String>,
    date: bool,
    message_id: bool,
}

impl Found {
    fn in_header(message: &[u8], header: usize) -> Result<Found, Reply> {
        let mut found = Found {
            senders: Vec::new(),
            date: false,
            message_id: false,
        };
        let (mut authors, mut senders) = (0, 0);
        for field in mime::header::fields(message, 0..header) {
            let name = field.name().trim_ascii();
            // A name that hides behind blanks is a From to somebody (A29).
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            if is("From") || is("Sender") {
                if name.len() != field.name().len() || field.raw().get(name.len()) != Some(&b':') {
                    return Err(reply::BAD_FROM);
                }
                *(if is("From") {
                    &mut authors
                } else {
                    &mut senders
                }) += 1;
                found.senders.extend(addresses(&field)?);
            }
            found.date |= is("Date");
            found.message_id |= is("Message-ID");
        }
        // RFC 5322 §3.6: From exactly once, Sender at most once.
        if authors != 1 || senders > 1 || found.senders.len() > AUTHOR_LIMIT {
            return Err(reply::BAD_FROM);
        }
        Ok(found)
    }
}

/// RFC 5322 §3.6.2: plain mailboxes. Groups, routes and what does not parse would show one sender to one program and
/// another to the next (A30).
fn addresses(field: &mime::Field<'_>) -> Result<Vec<String>, Reply> {
    let list = field.addresses();
    let mut found = Vec::new();
    for entry in list.entries() {
        let mime::address::Entry::Mailbox(mailbox) = entry else {
            return Err(reply::BAD_FROM);
        };
        if mailbox.route.is_some() || mailbox.address.matches('@').count() != 1 {
            return Err(reply::BAD_FROM);
        }
        let parsed =
            Mailbox::parse(mailbox.address.as_bytes(), true).map_err(|_| reply::BAD_FROM)?;
        found.push(parsed.to_string());
    }
    if found.is_empty() {
        return Err(reply::BAD_FROM);
    }
    // As many `@` as addresses: nothing was overlooked. Otherwise the field says something that looks like an address
    // where a name belongs, and some programs show that one: it must be the user's too.
    let bare = bare_text(field.value());
    if bare.matches('@').count() > found.len() {
        for word in bare.split([' ', '\t', '\r', '\n', '<', '>', ',', ';', ':']) {
            if word.contains('@') {
                let parsed = Mailbox::parse(word.as_bytes(), true).map_err(|_| reply::BAD_FROM)?;
                found.push(parsed.to_string());
            }
        }
    }
    Ok(found)
}

/// A structured field's text without quoted strings and comments (RFC 5322 §3.2.2, §3.2.4).
fn bare_text(value: &[u8]) -> String {
    let mut bare = String::new();
    let (mut quoted, mut comments) = (false, 0_usize);
    let text = String::from_utf8_lossy(value);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted || comments > 0 => drop(letters.next()),
            '"' if comments == 0 => quoted = !quoted,
            '(' if !quoted => comments = comments.saturating_add(1),
            ')' if !quoted => comments = comments.saturating_sub(1),
            other if !quoted && comments == 0 => bare.push(other),
            _ => {}
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &str) -> Result<Vec<String>, u16> {
        let message = format!("{header}\r\n\r\n").into_bytes();
        let end = message.len();
        Found::in_header(&message, end)
            .map(|found| found.senders)
            .map_err(|reply| reply.code)
    }

    #[test]
    fn senders() {
        assert_eq!(
            found("From: Alice <alice@a.example>"),
            Ok(vec!["alice@a.example".into()])
        );
        assert_eq!(
            found("From: \"x@y\" <alice@a.example>"),
            Ok(vec!["alice@a.example".into()])
        );
        assert_eq!(
            found("From: (b@b.example) \"c@c.example\" <a@a.example>"),
            Ok(vec!["a@a.example".into()])
        );
        let two = found("from: a@a.example, b@a.example\r\nSender: a@a.example");
        assert_eq!(two.map(|all| all.len()), Ok(3));
        let all = Found::in_header(
            b"From: a@b.example\r\nDate: x\r\nMessage-Id: <1@b>\r\n\r\n",
            50,
        )
        .unwrap();
        assert!(all.date && all.message_id);
    }

    /// A29: a name that looks like an address is one that must be owned; scanners like to send their own twice.
    #[test]
    fn a29_addresses_in_place_of_names() {
        let both = found("From: a@a.example <b@b.example>");
        assert!(both.unwrap().contains(&"a@a.example".to_owned()));
        let twice = found("From: a@a.example <a@a.example>").unwrap();
        assert!(twice.iter().all(|address| address == "a@a.example"));
    }

    /// A29, A30: From fields that different programs read differently.
    #[test]
    fn a30_ambiguous_senders() {
        for header in [
            "Subject: none",
            "From: a@a.example\r\nFrom: b@a.example",
            "From : a@a.example",
            "From:",
            "From: Group: a@a.example;",
            "From: <attacker@x.example>:<victim@y.example>;",
            "From: undisclosed-recipients:;",
            "From: <@attack.example,@any.example:admin@legit.example>",
            "From: alice",
            "From: a@a.example\r\nSender: b@a.example\r\nSender: c@a.example",
            "From: a@b@c.example",
            "From: a@a.example@ <b@b.example>",
        ] {
            assert_eq!(found(header), Err(550), "{header}");
        }
    }
}
