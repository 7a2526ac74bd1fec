//! Taking recipients to work on, and taking them back from whoever died over it.

use super::types::*;
use super::watch::Due;
use super::{NEVER, PROBES, TOGETHER};
use crate::engine::{Row, values};
use crate::error::{Error, Result};
use crate::message::body_ref;
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::{AccountId, BodyRef, Timestamp};

/// What is asked for in [`Tx::lease`].
#[derive(Debug, Clone)]
pub struct Turn {
    /// The destination.
    pub domain: String,
    /// Whose turn it was last; -1 at the beginning.
    pub after: i64,
    /// Where the last look stopped ([`Taken::stopped`]).
    pub from: Option<(i64, i64)>,
    /// Messages wanted.
    pub messages: usize,
}

/// What [`Tx::lease`] found for a destination.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// What is leased now.
    pub leased: Vec<Leased>,
    /// Whose turn it was: [`Turn::after`] of the next lease.
    pub after: i64,
    /// The lane and sender at which looking stopped because so many have nothing due: [`Turn::from`] of the next lease.
    pub stopped: Option<(i64, i64)>,
    /// When, in the most urgent lane, somebody else is due for the destination; None when nobody waits.
    pub next: Option<(i8, Timestamp)>,
}

/// The columns of [`envelope`], then those of the body.
pub(super) const MESSAGE: &str = "m.reverse_path, m.report_to, m.envid, m.ret, m.body_kind, m.smtputf8, m.require_tls, m.tls_optional, \
    m.priority, m.deliver_by, m.deliver_by_mode, m.deliver_by_trace, m.release_at, m.submitter, m.auth, m.trace_id, \
    m.received, m.warn_at, m.expires";
pub(super) const MESSAGE_COLUMNS: usize = 19;

/// The columns of [`recipient`].
const RECIPIENT: &str = "number, address, original, notify, rrvs, domain, due, attempts, warned, last_at, last_status, \
    last_why, last_peer";

impl Snapshot<'_> {
    /// Each destination in the queue with its most urgent lane and the earliest time that somebody is due, the earliest
    /// first, at most `limit`. Reads the whole index of the queue: for the start, not for each round.
    pub fn queue_destinations(&self, limit: usize) -> Result<Vec<Due>> {
        self.sql.rows(
            "SELECT domain, MIN(lane), MIN(due) FROM queue_recipient GROUP BY domain ORDER BY 3 LIMIT $1",
            values![limit as u64],
            |row| {
                Ok(Due {
                    domain: row.text(0)?.to_owned(),
                    lane: row.int(1)? as i8,
                    due: row.int(2)?,
                    forced: false,
                })
            },
        )
    }

    /// When time itself next asks for something of any message.
    pub fn queue_attention(&self) -> Result<Option<Timestamp>> {
        let sql = "SELECT attention FROM queue_message ORDER BY attention LIMIT 1";
        self.sql.row(sql, &[], |row| row.int(0))
    }

    pub(super) fn queued(&self, id: QueueId) -> Result<Option<(QueuedEnvelope, BodyRef)>> {
        let sql = format!(
            "SELECT {MESSAGE}, b.body_id, b.pack, b.position, b.length, b.size FROM queue_message m \
             JOIN body b ON b.body_id = m.body_id WHERE m.queue_id = $1"
        );
        self.sql.row(&sql, values![id], |row| {
            Ok((envelope(row)?, body_ref(row, MESSAGE_COLUMNS)?))
        })
    }

    /// The message whose turn it is for a destination, and its sender: the most urgent lane first, in it the senders behind
    /// `after` and then the others. `from` is the lane and sender behind which to go on with a look that stopped.
    fn whose_turn(
        &self,
        ask: &Ask<'_>,
        after: i64,
        from: Option<(i64, i64)>,
        probes: &mut usize,
    ) -> Result<Look> {
        let mut lane = from.map_or(i64::MIN, |(lane, _)| lane.saturating_sub(1));
        while let Some(next) = self.next_lane(ask.domain, lane)? {
            lane = next;
            let seen = from
                .filter(|(stopped, _)| *stopped == lane)
                .map(|(_, sender)| sender);
            let ranges = match seen {
                None => [(after, i64::MAX), (i64::MIN, after)],
                Some(sender) if sender >= after => [(sender, i64::MAX), (i64::MIN, after)],
                // The senders behind `after` have been looked at.
                Some(sender) => [(i64::MAX, i64::MAX), (sender, after)],
            };
            for (mut from, to) in ranges {
                while let Some(sender) = self.next_sender(ask.domain, lane, from, to)? {
                    if *probes == 0 {
                        return Ok(Look::Stopped(lane, from));
                    }
                    *probes = probes.saturating_sub(1);
                    let sql = "SELECT queue_id FROM queue_recipient WHERE domain = $1 AND lane = $2 AND sender = $3 \
                               AND due <= $4 AND (state = 0 OR state = 1 AND owner <> $5) ORDER BY due LIMIT 1";
                    let found = self.sql.row(
                        sql,
                        values![ask.domain, lane, sender, ask.now, ask.owner],
                        |row| Ok(QueueId(row.int(0)?)),
                    )?;
                    if let Some(found) = found {
                        return Ok(Look::Found(found, sender, lane as i8));
                    }
                    from = sender;
                }
            }
        }
        Ok(Look::Nobody)
    }

    /// The earliest time behind now at which somebody of a destination is due. A lease counts with its end.
    fn due_later(&self, ask: &Ask<'_>, probes: &mut usize) -> Result<Option<(i8, Timestamp)>> {
        let mut earliest: Option<(i8, Timestamp)> = None;
        let mut lane = i64::MIN;
        while let Some(next) = self.next_lane(ask.domain, lane)? {
            lane = next;
            let mut from = i64::MIN;
            while let Some(sender) = self.next_sender(ask.domain, lane, from, i64::MAX)? {
                if *probes == 0 {
                    // More senders than we look at: whoever is left gets his turn with the next look.
                    return Ok(Some((lane as i8, ask.now.saturating_add(1))));
                }
                *probes = probes.saturating_sub(1);
                let sql = "SELECT due FROM queue_recipient WHERE domain = $1 AND lane = $2 AND sender = $3 AND due > $4 \
                           ORDER BY due LIMIT 1";
                let due = self
                    .sql
                    .row(sql, values![ask.domain, lane, sender, ask.now], |row| {
                        row.int(0)
                    })?;
                if let Some(due) = due.filter(|due| *due < NEVER)
                    && earliest.is_none_or(|(_, known)| due < known)
                {
                    earliest = Some((lane as i8, due));
                }
                from = sender;
            }
        }
        Ok(earliest)
    }

    fn next_lane(&self, domain: &str, behind: i64) -> Result<Option<i64>> {
        let sql = "SELECT lane FROM queue_recipient WHERE domain = $1 AND lane > $2 ORDER BY lane LIMIT 1";
        self.sql.row(sql, values![domain, behind], |row| row.int(0))
    }

    fn next_sender(&self, domain: &str, lane: i64, behind: i64, to: i64) -> Result<Option<i64>> {
        let sql = "SELECT sender FROM queue_recipient WHERE domain = $1 AND lane = $2 AND sender > $3 AND sender <= $4 \
                   ORDER BY sender LIMIT 1";
        self.sql
            .row(sql, values![domain, lane, behind, to], |row| row.int(0))
    }
}

/// What a look for somebody due came to.
enum Look {
    /// A message, its sender, its lane.
    Found(QueueId, i64, i8),
    /// Nobody is due.
    Nobody,
    /// There are more than are looked at in one go: the lane, and the sender behind whom they begin.
    Stopped(i64, i64),
}

/// Who asks, for what, when.
struct Ask<'a> {
    domain: &'a str,
    owner: &'a str,
    now: Timestamp,
}

impl Tx<'_> {
    /// Leases up to [`Turn::messages`] messages of one destination until a time, each with up to [`TOGETHER`] recipients.
    pub fn lease(&mut self, owner: &str, until: Timestamp, turn: &Turn) -> Result<Taken> {
        let ask = Ask {
            domain: &turn.domain,
            owner,
            now: self.now,
        };
        let mut taken = Taken {
            after: turn.after,
            ..Taken::default()
        };
        let mut probes = PROBES;
        let mut urgent = 0;
        let mut from = turn.from;
        while taken.leased.len() < turn.messages {
            let look = self.whose_turn(&ask, taken.after, from.take(), &mut probes)?;
            let (id, sender, lane) = match look {
                Look::Found(id, sender, lane) => (id, sender, lane),
                Look::Nobody => {
                    taken.next = self.due_later(&ask, &mut PROBES.clone())?;
                    return Ok(taken);
                }
                Look::Stopped(lane, sender) => {
                    taken.stopped = Some((lane, sender));
                    // So many who wait for another time must not keep the writer busy.
                    let pause = Timestamp::from(taken.leased.is_empty());
                    taken.next = Some((lane as i8, self.now.saturating_add(pause)));
                    return Ok(taken);
                }
            };
            taken.after = sender;
            urgent = lane;
            let sql = format!(
                "SELECT {RECIPIENT} FROM queue_recipient WHERE queue_id = $1 AND domain = $2 AND due <= $3 \
                 AND (state = 0 OR state = 1 AND owner <> $4) ORDER BY number LIMIT $5"
            );
            let recipients = self.sql.rows(
                &sql,
                values![id, ask.domain, ask.now, owner, TOGETHER],
                recipient,
            )?;
            taken.leased.push(self.take(owner, until, id, recipients)?);
        }
        // Whoever is next is no more urgent than the last one.
        taken.next = Some((urgent, self.now));
        Ok(taken)
    }

    /// Leases all waiting recipients of messages for which time itself asks for something. Those of a message that are in
    /// flight or held are left; a message that has only such is looked at again later.
    pub fn lease_attention(
        &mut self,
        owner: &str,
        until: Timestamp,
        messages: usize,
    ) -> Result<Vec<Leased>> {
        let due = self.sql.rows(
            "SELECT queue_id FROM queue_message WHERE attention <= $1 ORDER BY attention LIMIT $2",
            values![self.now, messages as u64],
            |row| Ok(QueueId(row.int(0)?)),
        )?;
        let mut all = Vec::new();
        for id in due {
            let sql = format!(
                "SELECT {RECIPIENT} FROM queue_recipient WHERE queue_id = $1 AND state = 0 ORDER BY number"
            );
            let recipients = self.sql.rows(&sql, values![id], recipient)?;
            if recipients.is_empty() {
                self.attended(id)?;
            } else {
                all.push(self.take(owner, until, id, recipients)?);
            }
        }
        Ok(all)
    }

    /// Takes back what others than `owner` had leased when they died: at the start, when the folder's lock says that nobody
    /// else is there. How many recipients.
    pub fn take_back(&mut self, owner: &str) -> Result<u64> {
        self.sql.execute(
            "UPDATE queue_recipient SET state = CASE wanted WHEN 1 THEN 2 ELSE 0 END, \
             due = CASE wanted WHEN 1 THEN $3 ELSE $2 END, wanted = CASE wanted WHEN 2 THEN 2 ELSE 0 END, owner = NULL \
             WHERE owner IS NOT NULL AND owner <> $1",
            values![owner, self.now, NEVER],
        )
    }

    /// Moves on to what time asks for next.
    pub(super) fn attended(&self, id: QueueId) -> Result<()> {
        let Some((envelope, _)) = self.queued(id)? else {
            return Ok(());
        };
        let next = envelope.attention_after(self.now);
        let sql = "UPDATE queue_message SET attention = $2 WHERE queue_id = $1";
        self.sql.execute(sql, values![id, next]).map(drop)
    }

    fn take(
        &self,
        owner: &str,
        until: Timestamp,
        id: QueueId,
        recipients: Vec<LeasedRecipient>,
    ) -> Result<Leased> {
        let (envelope, body) = self
            .queued(id)?
            .ok_or_else(|| Error::Corrupt(format!("queued message {} is missing", id.0)))?;
        for recipient in &recipients {
            self.sql.execute(
                "UPDATE queue_recipient SET state = 1, owner = $3, due = $4 WHERE queue_id = $1 AND number = $2",
                values![id, recipient.number, owner, until],
            )?;
        }
        Ok(Leased {
            queue: id,
            envelope,
            body,
            recipients,
        })
    }
}

pub(super) fn envelope(row: &dyn Row) -> Result<QueuedEnvelope> {
    let text =
        |column: usize| -> Result<Option<String>> { Ok(row.opt_text(column)?.map(str::to_owned)) };
    let deliver_by = match row.opt_int(9)? {
        None => None,
        Some(at) => Some(DeliverBy {
            at,
            mode: match row.int(10)? {
                0 => DeliverByMode::Notify,
                _ => DeliverByMode::Return,
            },
            trace: row.int(11)? != 0,
        }),
    };
    Ok(QueuedEnvelope {
        reverse_path: row.text(0)?.to_owned(),
        report_to: text(1)?,
        envid: text(2)?,
        ret: row.opt_int(3)?.map(|ret| match ret {
            0 => Ret::Full,
            _ => Ret::Headers,
        }),
        body: match row.int(4)? {
            0 => BodyKind::SevenBit,
            1 => BodyKind::EightBit,
            _ => BodyKind::Binary,
        },
        smtputf8: row.int(5)? != 0,
        require_tls: row.int(6)? != 0,
        tls_optional: row.int(7)? != 0,
        priority: row.int(8)? as i8,
        deliver_by,
        release_at: row.int(12)?,
        submitter: row.opt_int(13)?.map(AccountId),
        auth: text(14)?,
        trace_id: row.text(15)?.to_owned(),
        received: row.int(16)?,
        warn_at: row.int(17)?,
        expires: row.int(18)?,
    })
}

fn recipient(row: &dyn Row) -> Result<LeasedRecipient> {
    let text = |column: usize| -> Result<String> {
        Ok(row.opt_text(column)?.unwrap_or_default().to_owned())
    };
    let last = match row.opt_int(9)? {
        None => None,
        Some(at) => Some(LastAttempt {
            at,
            status: text(10)?,
            why: text(11)?,
            peer: row.opt_text(12)?.map(str::to_owned),
        }),
    };
    Ok(LeasedRecipient {
        number: row.u32(0)?,
        address: row.text(1)?.to_owned(),
        original: row.opt_text(2)?.map(str::to_owned),
        notify: Notify::from_bits(row.int(3)?),
        rrvs: ValidSince::from_columns(row.opt_int(4)?, row.int(3)?),
        domain: row.text(5)?.to_owned(),
        due: row.int(6)?,
        attempts: row.u32(7)?,
        warned: Warned::from_bits(row.int(8)?),
        last,
    })
}
