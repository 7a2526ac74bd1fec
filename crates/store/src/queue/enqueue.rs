//! Putting a message into the queue.

use super::types::*;
use super::watch::Due;
use crate::engine::values;
use crate::error::{Error, Result};
use crate::tx::Tx;
use crate::types::{Content, Timestamp};

/// Recipients of one message in the queue: far above what one transaction of SMTP may bring.
const RECIPIENTS: usize = 100_000;

impl Tx<'_> {
    /// Queues a message for recipients elsewhere, in the transaction that places it with those here. Its body gets one more
    /// reference. `Invalid` without recipients or with a destination that is empty.
    pub fn enqueue(
        &mut self,
        content: &Content,
        envelope: &QueuedEnvelope,
        recipients: &[NewRecipient],
    ) -> Result<QueueId> {
        if recipients.is_empty() || recipients.iter().any(|to| to.domain.is_empty()) {
            return Err(Error::Invalid("a queued message without recipients".into()));
        }
        if recipients.len() > RECIPIENTS {
            return Err(Error::Limit("recipients of a queued message"));
        }
        if !self.packs.placeable(&content.body) {
            return Err(Error::Io(
                "the message's octets were lost or reclaimed before it was queued".into(),
            ));
        }
        let id = QueueId(self.next_id("queue")?);
        self.insert_queued(id, content, envelope)?;
        self.keep_body(&content.body, 1)?;
        let due = envelope.release_at.max(self.now);
        let mut number = 0_u32;
        for recipient in recipients {
            number = number.saturating_add(1);
            self.insert_recipient(id, number, recipient, envelope, due)?;
            self.due(Due {
                domain: recipient.domain.clone(),
                lane: lane(envelope.priority),
                due,
                forced: false,
            });
        }
        Ok(id)
    }

    fn insert_queued(
        &self,
        id: QueueId,
        content: &Content,
        envelope: &QueuedEnvelope,
    ) -> Result<()> {
        let by = envelope.deliver_by;
        self.sql.execute(
            "INSERT INTO queue_message (queue_id, body_id, reverse_path, report_to, envid, ret, body_kind, smtputf8, \
             require_tls, tls_optional, priority, deliver_by, deliver_by_mode, deliver_by_trace, release_at, submitter, auth, \
             trace_id, received, warn_at, expires, attention) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
            values![
                id,
                content.body.id,
                &envelope.reverse_path,
                envelope.report_to.as_deref(),
                envelope.envid.as_deref(),
                envelope.ret.map(|ret| i64::from(ret == Ret::Headers)),
                body_kind(envelope.body),
                envelope.smtputf8,
                envelope.require_tls,
                envelope.tls_optional,
                i64::from(envelope.priority),
                by.map(|by| by.at),
                by.is_some_and(|by| by.mode == DeliverByMode::Return),
                by.is_some_and(|by| by.trace),
                envelope.release_at,
                envelope.submitter,
                envelope.auth.as_deref(),
                &envelope.trace_id,
                envelope.received,
                envelope.warn_at,
                envelope.expires,
                envelope.attention_after(self.now)
            ],
        )?;
        Ok(())
    }

    fn insert_recipient(
        &self,
        id: QueueId,
        number: u32,
        recipient: &NewRecipient,
        envelope: &QueuedEnvelope,
        due: Timestamp,
    ) -> Result<()> {
        self.sql.execute(
            "INSERT INTO queue_recipient (queue_id, number, address, original, notify, rrvs, domain, lane, sender, state, \
             wanted, due, attempts, warned) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, 0, 0)",
            values![
                id,
                number,
                &recipient.address,
                recipient.original.as_deref(),
                recipient.notify.bits() | recipient.rrvs.map_or(0, |since| i64::from(since.anyway) * ValidSince::ANYWAY),
                recipient.rrvs.map(|since| since.at),
                &recipient.domain,
                i64::from(lane(envelope.priority)),
                envelope.submitter.map_or(0, |account| account.0),
                due
            ],
        )?;
        Ok(())
    }
}

/// The lower the sooner.
pub(super) fn lane(priority: i8) -> i8 {
    priority.clamp(-9, 9).saturating_neg()
}

fn body_kind(kind: BodyKind) -> i64 {
    match kind {
        BodyKind::SevenBit => 0,
        BodyKind::EightBit => 1,
        BodyKind::Binary => 2,
    }
}
