//! The road of an incoming message, from the end of its data to the durable commit.
//!
//! Owns: the loop check, the limits of the header, the rules of submission, the trace fields and the delivery to all
//! recipients in one transaction. Mail in transport enters here and nowhere else.
//!
//! Invariants: the message's octets stay as they came, except that trace fields go on top and a Return-Path of the
//! sender's goes away; a verdict of `Ok` means that the message is durable for that recipient; a sender that gets one
//! reply for all recipients gets it for all or none.

mod binary;
mod commit;
pub mod daily;
pub mod demands;
pub mod envelope;
mod forward;
mod outbound;
pub mod route;
pub mod submit;
pub mod trace;

use std::sync::Arc;

use smtp::address::ReversePath;
use smtp::parameters;
use smtp::reply::{self, Reply};
use smtp::server::Kind;
use store::AccountId;

use crate::auth::Identity;
use crate::filter;
use crate::judge;
use crate::reports;
use crate::shared::Shared;
use crate::sign;
use crate::stream::{Peer, TlsInfo};

pub use envelope::Envelope;
pub use route::Remote;

/// Octets of a header. Some mailing lists and filters write much, nobody this much (A14).
const HEADER_LIMIT: usize = 256 * 1024;

/// Fields of a header, for the same reason.
const FIELD_LIMIT: usize = 1_000;

/// Received fields of a message that goes round in circles (RFC 5321 §6.3 asks for at least 100).
const HOP_LIMIT: usize = 100;

/// A message that has come in completely.
#[derive(Debug)]
pub struct Arrival {
    /// How it came.
    pub kind: Kind,
    /// From where.
    pub peer: Peer,
    /// What protected it.
    pub tls: Option<TlsInfo>,
    /// What the client calls itself.
    pub hello: String,
    /// EHLO or LHLO, not HELO.
    pub extended: bool,
    /// The sender asked for SMTPUTF8.
    pub smtputf8: bool,
    /// Who logged in.
    pub submitter: Option<Identity>,
    /// MAIL FROM.
    pub from: ReversePath,
    /// What was asked for with MAIL FROM.
    pub envelope: Envelope,
    /// RCPT TO, each with the accounts it stands for.
    pub recipients: Vec<Path>,
    /// The message.
    pub message: Vec<u8>,
}

/// A recipient of the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// As the client wrote it.
    pub address: String,
    /// Whom it reaches here.
    pub accounts: Vec<AccountId>,
    /// Whom it reaches elsewhere. One of the two is not empty.
    pub remote: Vec<Remote>,
    /// What was asked for with RCPT TO.
    pub parameters: parameters::Recipient,
}

/// What became of a message.
#[derive(Debug)]
pub struct Delivered {
    /// The name that the trace field and the log give it.
    pub id: String,
    /// For each recipient, in order.
    pub verdicts: Vec<Result<(), Reply>>,
}

/// A name for a message of our own.
pub fn new_id(shared: &Shared) -> String {
    trace::id(shared.timestamp(), shared.random())
}

/// Takes a message in, past the filters `aside`. `Err` when it is refused for all recipients.
pub async fn receive(
    shared: &Arc<Shared>,
    mut arrival: Arrival,
    aside: &mut filter::Aside,
) -> Result<Delivered, Reply> {
    let header = header_end(&arrival.message);
    check_header(&arrival.message, header)?;
    binary::check(&arrival, header)?;
    let now = shared.timestamp();
    let id = trace::id(now, shared.random());
    let additions = match (arrival.kind, &arrival.submitter) {
        (Kind::Submission, Some(identity)) => {
            submit::check(shared, identity, &arrival.message, header)?
        }
        (Kind::Submission, None) => return Err(reply::AUTHENTICATION_REQUIRED),
        _ => String::new(),
    };
    demands::obey(shared, &mut arrival, header)?;
    let mut judgement = judge::judge(shared, &arrival, header, &id, now).await;
    let mut discard = false;
    if judgement.verdict.refusal().is_none() {
        discard = filter::examine(shared, aside, &mut arrival, &mut judgement, &id).await;
    }
    if let Some(reply) = judgement.verdict.refusal() {
        judge::keep_refused(shared, &judgement).await;
        return Err(reply.clone());
    }
    if discard {
        judge::keep_refused(shared, &judgement).await;
        let verdicts = vec![Ok(()); arrival.recipients.len()];
        return Ok(Delivered { id, verdicts });
    }
    binary::to_lines(&mut arrival)?;
    let header = header_end(&arrival.message);
    judge::remove_forged(&mut arrival, header, &shared.config());
    let header = header_end(&arrival.message);
    remove_return_path(&mut arrival.message, header);
    let mut top = trace::fields(
        &arrival,
        &shared.config().hostname,
        &id,
        now,
        &judgement.fields,
    );
    if arrival.kind == Kind::Submission {
        let message = std::mem::take(&mut arrival.message);
        let release = arrival.envelope.release_at;
        let (message, signatures) = sign::submission(shared, &additions, message, release).await;
        arrival.message = message;
        top.push_str(&signatures);
    } else {
        top.push_str(&forward::seal(shared, &arrival, &judgement));
    }
    top.push_str(&additions);
    let report = reports::receive::candidate(&arrival);
    let verdicts =
        commit::commit(shared, &mut arrival, top.into_bytes(), &id, now, judgement).await?;
    if let Some(report) = report.filter(|_| verdicts.iter().any(Result::is_ok)) {
        reports::receive::spawn(shared, report);
    }
    log(&arrival, &id, &verdicts);
    Ok(Delivered { id, verdicts })
}

fn log(arrival: &Arrival, id: &str, verdicts: &[Result<(), Reply>]) {
    let delivered = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
    tracing::info!(
        id,
        peer = %arrival.peer,
        from = ?arrival.from.to_string(),
        user = ?arrival.submitter.as_ref().map(|identity| identity.address.as_str()),
        recipients = arrival.recipients.len(),
        delivered,
        "message received"
    );
}

/// Where the header ends: behind the empty line, or at the end where there is none.
pub fn header_end(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 2;
    }
    // Only CRLF ends lines here: the session has refused everything else.
    memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at.saturating_add(4))
}

fn check_header(message: &[u8], header: usize) -> Result<(), Reply> {
    if header > HEADER_LIMIT {
        return Err(reply::HEADER_TOO_BIG);
    }
    // It would become part of our Received or Message-ID, and hide a From from some readers (A29).
    if message.starts_with(b" ") || message.starts_with(b"\t") {
        return Err(reply::BAD_FIRST_LINE);
    }
    let (mut fields, mut hops) = (0_usize, 0_usize);
    for field in mime::header::fields(message, 0..header) {
        fields = fields.saturating_add(1);
        hops = hops.saturating_add(usize::from(field.is("Received")));
    }
    if fields > FIELD_LIMIT {
        return Err(reply::TOO_MANY_FIELDS);
    }
    if hops >= HOP_LIMIT {
        return Err(reply::LOOP);
    }
    Ok(())
}

/// RFC 5321 §4.4: exactly one Return-Path stands in a delivered message, and it is ours.
fn remove_return_path(message: &mut Vec<u8>, header: usize) {
    let ranges: Vec<_> = mime::header::fields(message, 0..header)
        .filter(|field| field.is("Return-Path"))
        .map(|field| field.range())
        .collect();
    for range in ranges.into_iter().rev() {
        message.drain(range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_at_the_first_empty_line() {
        for (message, end) in [
            (b"".as_slice(), 0),
            (b"\r\nbody", 2),
            (b"A: b\r\n\r\nbody\r\n\r\n", 8),
            (b"A: b\r\n", 6),
            (b"A: b\r\n c\r\n\r\n", 12),
        ] {
            assert_eq!(header_end(message), end, "{message:?}");
        }
    }

    /// A41: a message with 100 hops behind it is in a loop.
    #[test]
    fn a41_received_loop() {
        let message = |hops| [b"Received: x\r\n".repeat(hops), b"\r\n".to_vec()].concat();
        let check = |message: &[u8]| check_header(message, header_end(message));
        assert_eq!(check(&message(99)), Ok(()));
        assert_eq!(check(&message(100)), Err(reply::LOOP));
        // In the body they are text.
        let quoted = [b"Subject: bounce\r\n\r\n".to_vec(), message(200)].concat();
        assert_eq!(check(&quoted), Ok(()));
    }

    /// A14: headers that cost everybody who reads them later.
    #[test]
    fn a14_header_bombs() {
        let check = |message: &[u8]| check_header(message, header_end(message));
        assert_eq!(check(&b"To: a@b.example\r\n".repeat(1_000)), Ok(()));
        assert_eq!(
            check(&b"To: a@b.example\r\n".repeat(1_001)),
            Err(reply::TOO_MANY_FIELDS)
        );
        assert_eq!(
            check(&b"To: a@b.example\r\n".repeat(500_000)),
            Err(reply::HEADER_TOO_BIG)
        );
        let long = [b"To: ".to_vec(), b"a@b.example,\r\n ".repeat(100_000)].concat();
        assert_eq!(check(&long), Err(reply::HEADER_TOO_BIG));
    }

    /// A29: a first line that would continue the trace field put before it.
    #[test]
    fn a29_first_line_that_continues() {
        for message in [" From: a@b.example\r\nFrom: c@b.example\r\n\r\n", "\tx\r\n"] {
            let message = message.as_bytes();
            let checked = check_header(message, header_end(message));
            assert_eq!(checked, Err(reply::BAD_FIRST_LINE));
        }
    }

    #[test]
    fn the_senders_return_path_goes_and_nothing_else() {
        let mut message = b"Return-Path: <x@y>\r\nA: b\r\nreturn-path:\r\n <z>\r\nC: d\r\n\r\nReturn-Path: text\r\n".to_vec();
        let header = header_end(&message);
        remove_return_path(&mut message, header);
        assert_eq!(message, b"A: b\r\nC: d\r\n\r\nReturn-Path: text\r\n");
    }
}
