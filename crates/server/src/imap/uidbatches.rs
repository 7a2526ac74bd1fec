//! UIDBATCHES (RFC 10022): where to cut a mailbox into batches of equal size, for those who do not count messages.
//!
//! The view knows the UID of each sequence number, so that a batch costs two lookups, however large it is.
//!
//! Limits: [`SMALLEST`], [`SPAN`].

use ::imap::{Code, Reply, Status, Untagged};

use super::{Answer, Imap, Link};

/// Fewest messages of a batch (RFC 10022 §3.1.3.2): smaller ones would bring sequence numbers back.
const SMALLEST: u32 = 500;

/// Most messages in all batches that are named (RFC 10022 §3.1.5).
const SPAN: u64 = 100_000;

/// Tells the ranges of UIDs from the newest message on.
pub fn uid_batches(
    imap: &mut Imap,
    link: &mut Link,
    size: u32,
    batches: Option<(u32, u32)>,
) -> Answer {
    // As many as one command works on must make a batch, or nobody could work by batches.
    let smallest = imap
        .limit
        .messages()
        .map_or(SMALLEST, |limit| limit.min(SMALLEST));
    let told = &imap.selected()?.told;
    if size < smallest {
        let reply = Reply::coded(Status::No, Code::TooFew, "");
        return Ok(reply.text(format!("a batch has {smallest} messages at least")));
    }
    let spans = |(first, last): (u32, u32)| {
        u64::from(last.saturating_sub(first))
            .saturating_add(1)
            .saturating_mul(u64::from(size))
    };
    if batches.is_some_and(|batches| spans(batches) > SPAN) {
        return Ok(Reply::coded(Status::No, Code::TooMany, "too many messages"));
    }
    let count = told.len();
    let there = count.div_ceil(size);
    let (first, last) = batches.unwrap_or((1, there));
    let uid = |seq: u32| told.uid_at(seq).unwrap_or(0);
    let range = |batch: u32| {
        let newer = batch.saturating_sub(1).saturating_mul(size);
        let older = count.saturating_sub(batch.saturating_mul(size));
        // Down to the next older message, and the last one to the end: no UID is between two batches (RFC 10022 §3.1.4).
        (
            uid(count.saturating_sub(newer)),
            uid(older).saturating_add(1),
        )
    };
    let ranges = (first..=last.min(there)).map(range).collect();
    let tag = link.session.open_tag().unwrap_or_default().to_owned();
    link.session.untagged(&Untagged::UidBatches { tag, ranges });
    Ok(Reply::ok("batches told"))
}
