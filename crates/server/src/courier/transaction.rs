//! One message over one connection.
//!
//! Invariant (fault F18): a verdict is what the server said, or that it said nothing and whether it may have the message. Only
//! before the end of the message has left is it certain that it has not; behind that the message is tried again later and may
//! arrive twice, but never not at all.

use smtp::address::{Mailbox, ReversePath};
use smtp::client::{Envelope, Event};
use smtp::parameters;
use smtp::reply::Reply;
use store::{BodyKind, DeliverByMode, Ret, Timestamp};

use super::connect::{Connection, Failure};
use super::{Job, JobRecipient};

/// Octets given to the session at once.
const PIECE: usize = 256 * 1024;

/// Octets that may wait before more is given.
const WAITING: usize = 64 * 1024;

/// What the server said to each recipient, or why it could not.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Each recipient's, in order.
    Said(Vec<Result<Reply, Reply>>),
    /// The connection broke, or could not carry the message. `unsure` if the server may have it all the same.
    Lost { failure: Failure, unsure: bool },
}

/// Sends `message` to some recipients of `job`.
pub(super) async fn send(
    connection: &mut Connection,
    envelope: Envelope,
    message: &[u8],
) -> Verdict {
    let lost = |failure| Verdict::Lost {
        failure,
        unsure: false,
    };
    if let Err(error) = connection.session().send(envelope) {
        return lost(Failure::session(error));
    }
    connection.messages = connection.messages.saturating_add(1);
    let mut ended = false;
    loop {
        match connection.event().await {
            Event::SendBody => {
                ended = body(connection, message).await;
            }
            Event::Sent(verdicts) => return Verdict::Said(verdicts),
            Event::Failed(error) => {
                let unsure = ended
                    && connection.is_flushed()
                    && !matches!(error, smtp::client::Error::Refused(_));
                return Verdict::Lost {
                    failure: Failure::session(error),
                    unsure,
                };
            }
            _ => return lost(Failure::session(smtp::client::Error::Order)),
        }
    }
}

/// Gives the message; answers whether its end was given.
async fn body(connection: &mut Connection, message: &[u8]) -> bool {
    let pipelining = connection.offered().pipelining;
    for piece in message.chunks(PIECE) {
        connection.session().body(piece);
        connection.drain(WAITING).await;
        // RFC 3030 §2: only where commands may be pipelined may chunks go out before the last was answered.
        if !pipelining {
            connection.answered().await;
        }
        if connection.session().closed() || connection.has_early() {
            return false;
        }
    }
    connection.session().body_end();
    true
}

/// The envelope for these recipients. None where an address cannot be one.
pub(super) fn envelope(
    job: &Job,
    recipients: &[&JobRecipient],
    connection: &Connection,
    message: &[u8],
    now: Timestamp,
) -> Option<Envelope> {
    let offered = connection.offered();
    let own = &job.envelope;
    let mailbox = |address: &str| {
        let plain = match offered.smtputf8 {
            true => address.to_owned(),
            false => plain(address),
        };
        Mailbox::parse(plain.as_bytes(), true).ok()
    };
    let from = match own.reverse_path.as_str() {
        "" => ReversePath::Null,
        address => ReversePath::Mailbox(mailbox(address)?),
    };
    let to: Option<Vec<Mailbox>> = recipients.iter().map(|one| mailbox(&one.address)).collect();
    // RFC 2852 §4.1.4.2: a server that knows nothing of the deadline tells at least of delays.
    let asks_for_delays = !offered.has("DELIVERBY")
        && own
            .deliver_by
            .is_some_and(|by| by.mode == DeliverByMode::Notify);
    let binary = own.body == BodyKind::Binary && offered.has("BINARYMIME") && offered.chunking;
    Some(Envelope {
        from,
        to: to?,
        size: Some(message.len() as u64),
        eight_bit: !message.is_ascii(),
        smtputf8: own.smtputf8 && !header(message).is_ascii(),
        parameters: parameters::Mail {
            body: match binary && !super::convert::is_text(message) {
                true => parameters::Body::BinaryMime,
                false => parameters::Body::SevenBit,
            },
            // RFC 4954 §5: told only to those who can check who tells it.
            auth: own.auth.clone().filter(|_| connection.authenticated),
            ret: own.ret.map(|ret| match ret {
                Ret::Full => parameters::Return::Full,
                Ret::Headers => parameters::Return::Headers,
            }),
            envid: own.envid.clone(),
            // RFC 2852 §4.1.4: what is left of the time.
            deliver_by: own.deliver_by.map(|by| parameters::DeliverBy {
                seconds: by.at.saturating_sub(now),
                mode: match by.mode {
                    DeliverByMode::Notify => parameters::ByMode::Notify,
                    DeliverByMode::Return => parameters::ByMode::Return,
                },
                trace: by.trace,
            }),
            priority: Some(own.priority).filter(|priority| *priority != 0),
            require_tls: own.require_tls,
            ..parameters::Mail::default()
        },
        recipients: recipients
            .iter()
            .map(|one| parameters_of(one, asks_for_delays))
            .collect(),
    })
}

fn parameters_of(recipient: &JobRecipient, asks_for_delays: bool) -> parameters::Recipient {
    let mut found = parameters::Recipient::default();
    let notify = recipient.notify;
    found.notify = match notify.is_given() {
        true => Some(parameters::Notify {
            success: notify.success && !notify.never,
            failure: notify.failure && !notify.never,
            delay: (notify.delay || asks_for_delays) && !notify.never,
        }),
        false => asks_for_delays.then_some(parameters::Notify {
            success: false,
            failure: true,
            delay: true,
        }),
    };
    found.original = recipient
        .original
        .as_deref()
        .and_then(parameters::Original::from_text);
    found.valid_since = recipient.rrvs.map(|since| parameters::ValidSince {
        at: since.at,
        no_support: since.anyway.then_some(parameters::NoSupport::Continue),
    });
    found
}

/// An address with its domain in A-labels: so it can travel without SMTPUTF8, if its local part lets it (RFC 6531 §3.2).
fn plain(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() => match idna::domain_to_ascii(domain) {
            Ok(domain) => format!("{local}@{domain}"),
            Err(_) => address.to_owned(),
        },
        _ => address.to_owned(),
    }
}

/// The header of a message, with what separates it from the body.
pub(super) fn header(message: &[u8]) -> &[u8] {
    let end =
        memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at.saturating_add(4));
    message.get(..end).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_become_a_labels() {
        assert_eq!(
            plain("bob@b\u{fc}cher.example"),
            "bob@xn--bcher-kva.example"
        );
        assert_eq!(
            plain("b\u{f6}b@b\u{fc}cher.example"),
            "b\u{f6}b@xn--bcher-kva.example"
        );
        assert_eq!(
            plain("\"a@b\u{fc}\"@example.org"),
            "\"a@b\u{fc}\"@example.org"
        );
    }
}
