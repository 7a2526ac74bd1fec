//! The queue: recipients elsewhere, from the commit that accepted their message to the one that settles them.
//!
//! A message with such recipients has one row, which holds a reference of its body, and a row for each of them. The rows
//! come in the transaction that places the message with the recipients here; so a message is accepted for all of them or
//! for none, and those here get it exactly once. Those elsewhere get it at least once: a crash between the peer's `250` and
//! our commit means that it is sent again.
//!
//! ## States of a recipient
//!
//! | state | is | `due` is |
//! |---|---|---|
//! | waiting | nobody works on it | when it may be tried |
//! | leased | `owner` works on it | when the lease ends for other nodes |
//! | held | somebody said so | never |
//! | (no row) | settled: delivered, relayed, failed, expired or removed | |
//!
//! ## Moves
//!
//! | from | to | by | with |
//! |---|---|---|---|
//! | | waiting | [`crate::Tx::enqueue`] | the message's other recipients |
//! | waiting | leased | [`crate::Tx::lease`], [`crate::Tx::lease_attention`] | |
//! | leased | waiting | [`crate::Tx::settle`], deferred | its attempt; a notification if one is due |
//! | leased | held | likewise, where a hold was asked for meanwhile | its attempt |
//! | leased | (no row) | [`crate::Tx::settle`]; or deferred, where a removal was asked for | its attempt; its notification |
//! | leased | waiting | [`crate::Tx::take_back`], the lease of a dead process; or its end, seen by another node | |
//! | waiting | held | [`crate::Tx::change_queue`] hold | |
//! | held | waiting | [`crate::Tx::change_queue`] release, retry | |
//! | waiting, held | (no row) | [`crate::Tx::change_queue`] remove | an attempt that says so |
//!
//! With the last recipient the message's row goes, and its reference of the body.
//!
//! ## Found after a crash
//!
//! | found | means | is |
//! |---|---|---|
//! | waiting, held | nothing was under way | left alone |
//! | leased | it may have been sent, or not | waiting again, due at once ([`crate::Tx::take_back`]) |
//! | a message without recipients | a fault of ours | removed by `check --repair` |
//! | recipients without message | a fault of ours | reported; removed by `check --repair`, for there is nothing to send |
//!
//! ## Order and fairness
//!
//! One destination's recipients are taken by priority (RFC 6710), then turn by turn between the accounts that sent, then by
//! time. The index says who is next with a few look-ups however long the queue is; nothing of it is kept in memory but one
//! entry per destination.
//!
//! Limits: [`TOGETHER`], [`PROBES`], [`ATTEMPTS_KEPT`], [`LOG_KEPT`].

mod allowance;
mod change;
mod enqueue;
mod lease;
mod settle;
mod show;
mod types;
mod watch;

pub use allowance::{Allowance, Sent};
pub use change::{QueueChange, QueueFilter};
pub use lease::{Taken, Turn};
pub use settle::{Settlement, Verdict};
pub use show::{QueueItem, QueueRecipient, QueueState, QueueSums};
pub use types::*;
pub(crate) use watch::Watchers;
pub use watch::{Due, QueueWatch};

/// Recipients of one message that are leased together for a destination: as many as every server has to take in one
/// transaction (RFC 5321 §4.5.3.1.8).
pub const TOGETHER: i64 = 100;

/// Senders looked at for one lease. More than wait for one destination at once nearly everywhere; beyond, the next lease
/// goes on where this one stopped.
pub(crate) const PROBES: usize = 256;

/// Attempts kept of a recipient: five days have fewer than fifty, and the first ones tell no more than the last.
pub(crate) const ATTEMPTS_KEPT: i64 = 20;

/// Seconds for which attempts are kept behind their message.
pub(crate) const LOG_KEPT: i64 = 30 * 86_400;

/// When a held recipient is due.
pub(crate) const NEVER: i64 = i64::MAX;
