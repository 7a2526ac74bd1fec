//! The search index: what is kept so that SEARCH, SORT and THREAD read no messages. The store keeps it, the server knows
//! what is in it.
//!
//! A segment holds columns about the messages of an account whose identifiers lie in a range; columns are opaque here.
//! Ranges do not overlap. A message in no segment is not indexed (yet), which readers must expect; so a segment may go at
//! any time, and the index is made anew by making segments for what is in none.
//!
//! Invariants: a segment is written whole, in one transaction, together with the removal of those it replaces; every blob
//! ends with its checksum, and one that does not match makes its segment invisible. Content that goes is noted in the same
//! transaction ([`Snapshot::search_dead`]), so that its words leave the index, too.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::values;
use crate::error::{Error, Result};
use crate::message::{account_messages, body_ref};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::tx::Tx;
use crate::types::*;

/// A column of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum SearchColumn {
    /// Which messages the segment is about; all other columns are in this order.
    Ids,
    /// Folded From.
    From,
    /// Folded Subject.
    Subject,
    /// Sent dates.
    Dates,
    /// Folded base subjects.
    Base,
    /// Folded To.
    To,
    /// Folded Cc.
    Cc,
    /// Folded Bcc.
    Bcc,
    /// What SORT FROM compares.
    SortFrom,
    /// What SORT TO compares.
    SortTo,
    /// What SORT CC compares.
    SortCc,
    /// What SORT DISPLAYFROM compares.
    DisplayFrom,
    /// What SORT DISPLAYTO compares.
    DisplayTo,
    /// Message identifiers and references.
    Threads,
    /// Signatures of texts.
    Signatures,
}

impl SearchColumn {
    /// All columns, in the order of a segment.
    pub const ALL: [SearchColumn; 15] = {
        use SearchColumn::*;
        [
            Ids,
            From,
            Subject,
            Dates,
            Base,
            To,
            Cc,
            Bcc,
            SortFrom,
            SortTo,
            SortCc,
            DisplayFrom,
            DisplayTo,
            Threads,
            Signatures,
        ]
    };

    fn sql(self) -> &'static str {
        match self {
            SearchColumn::Ids => "s.ids",
            SearchColumn::From => "s.senders",
            SearchColumn::Subject => "s.subjects",
            SearchColumn::Dates => "s.dates",
            SearchColumn::Base => "s.bases",
            SearchColumn::To => "s.recipients",
            SearchColumn::Cc => "s.copies",
            SearchColumn::Bcc => "s.blind",
            SearchColumn::SortFrom => "s.sort_from",
            SearchColumn::SortTo => "s.sort_to",
            SearchColumn::SortCc => "s.sort_cc",
            SearchColumn::DisplayFrom => "s.display_from",
            SearchColumn::DisplayTo => "s.display_to",
            SearchColumn::Threads => "s.threads",
            SearchColumn::Signatures => "g.signatures",
        }
    }
}

/// A segment to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchSegment {
    /// First identifier of its range.
    pub first: MessageId,
    /// Last identifier of its range; the segment's key.
    pub last: MessageId,
    /// One per [`SearchColumn`], in their order.
    pub columns: Vec<Vec<u8>>,
}

/// A segment as it is read: the columns asked for, in the order asked for.
#[derive(Debug)]
pub struct SearchRow<'r> {
    /// First identifier of its range.
    pub first: MessageId,
    /// Last identifier of its range.
    pub last: MessageId,
    /// The columns.
    pub columns: &'r [&'r [u8]],
}

/// A message to be indexed.
#[derive(Debug, Clone)]
pub struct Unindexed {
    /// Which.
    pub message: MessageId,
    /// Where its octets are.
    pub body: BodyRef,
    /// Its stored envelope.
    pub envelope: Vec<u8>,
}

/// Told of every account whose messages came or went, on the writer's thread after the commit: hand it on, do not work.
pub trait SearchWatch: Send + Sync {
    /// There is something to index, or to take out of the index.
    fn touched(&self, account: AccountId);
    /// A piece of the index was removed because it was damaged; called by who repairs.
    fn damaged(&self, account: AccountId);
}

impl Store {
    /// Has this one told of what is to be indexed from now on; the one before is told no more.
    pub fn watch_for_search(&self, watch: Option<Arc<dyn SearchWatch>>) {
        self.inner.views.watch_for_search(watch);
    }
}

impl Snapshot<'_> {
    /// Shows the segments of an account that reach into a range of identifiers, ascending, until `each` breaks. Damaged
    /// ones are left out.
    pub fn search_segments(
        &self,
        account: AccountId,
        range: (MessageId, MessageId),
        columns: &[SearchColumn],
        each: &mut dyn FnMut(SearchRow<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let (low, high) = account_messages(account);
        let mut sql = String::from("SELECT s.first_message, s.last_message");
        for column in columns {
            sql.push_str(", ");
            sql.push_str(column.sql());
        }
        sql.push_str(" FROM search_segment s");
        if columns.contains(&SearchColumn::Signatures) {
            sql.push_str(" JOIN search_signature g ON g.last_message = s.last_message");
        }
        sql.push_str(" WHERE s.last_message BETWEEN $1 AND $2 ORDER BY s.last_message");
        self.sql.query(
            &sql,
            values![range.0.0.max(low), high],
            &mut |row| {
                let first = MessageId(row.int(0)?);
                let last = MessageId(row.int(1)?);
                if first > range.1 {
                    return Ok(ControlFlow::Break(()));
                }
                let mut blobs: [&[u8]; SearchColumn::ALL.len()] = Default::default();
                let places = blobs.iter_mut().zip(0..columns.len());
                for (place, at) in places {
                    match sound(row.blob(at.saturating_add(2))?) {
                        Some(blob) => *place = blob,
                        None => {
                            tracing::warn!(segment = last.0, "a piece of the search index is damaged and not used; `waxwing check --repair` makes it anew");
                            return Ok(ControlFlow::Continue(()));
                        }
                    }
                }
                each(SearchRow {
                    first,
                    last,
                    columns: blobs.get(..columns.len()).unwrap_or_default(),
                })
            },
        )
    }

    /// Ranges of the account's segments, ascending: first and last identifier.
    pub fn search_ranges(&self, account: AccountId) -> Result<Vec<(MessageId, MessageId)>> {
        let (low, high) = account_messages(account);
        self.sql.rows(
            "SELECT first_message, last_message FROM search_segment WHERE last_message BETWEEN $1 AND $2 ORDER BY last_message",
            values![low, high],
            |row| Ok((MessageId(row.int(0)?), MessageId(row.int(1)?))),
        )
    }

    /// Contents of an account with identifiers in a range, ascending, at most `limit`.
    pub fn search_unindexed(
        &self,
        account: AccountId,
        range: (MessageId, MessageId),
        limit: usize,
    ) -> Result<Vec<Unindexed>> {
        let (low, high) = account_messages(account);
        self.sql.rows(
            "SELECT m.message_id, m.envelope, b.body_id, b.pack, b.position, b.length, b.size FROM message m \
             JOIN body b ON b.body_id = m.body_id WHERE m.message_id BETWEEN $1 AND $2 ORDER BY m.message_id LIMIT $3",
            values![range.0.0.max(low), range.1.0.min(high), limit as u64],
            |row| {
                Ok(Unindexed {
                    message: MessageId(row.int(0)?),
                    envelope: row.blob(1)?.to_vec(),
                    body: body_ref(row, 2)?,
                })
            },
        )
    }

    /// Contents that are gone and may be in segments still, ascending, at most `limit`.
    pub fn search_dead(&self, account: AccountId, limit: usize) -> Result<Vec<MessageId>> {
        self.sql.rows(
            "SELECT message_id FROM search_dead WHERE account_id = $1 ORDER BY message_id LIMIT $2",
            values![account, limit as u64],
            |row| Ok(MessageId(row.int(0)?)),
        )
    }

    /// The identifiers that messages of an account can have.
    pub fn search_span(&self, account: AccountId) -> (MessageId, MessageId) {
        let (low, high) = account_messages(account);
        (MessageId(low), MessageId(high))
    }

    /// The accounts there are, for who looks through all of them.
    pub fn search_accounts(&self) -> Result<Vec<AccountId>> {
        self.sql.rows(
            "SELECT account_id FROM account ORDER BY account_id",
            &[],
            |row| Ok(AccountId(row.int(0)?)),
        )
    }
}

impl Tx<'_> {
    /// Removes the segments with these keys and writes others in their place. The account may be gone: then nothing is
    /// written.
    pub fn replace_search_segments(
        &mut self,
        account: AccountId,
        old: &[MessageId],
        new: &[SearchSegment],
    ) -> Result<()> {
        if self.account_by_id(account)?.is_none() {
            return Ok(());
        }
        for key in old {
            self.remove_search_segment(*key)?;
        }
        for segment in new {
            self.insert_search_segment(account, segment)?;
        }
        Ok(())
    }

    /// Forgets that these contents are gone: no segment has them any more.
    pub fn forget_search_dead(&mut self, account: AccountId, messages: &[MessageId]) -> Result<()> {
        for message in messages {
            self.sql.execute(
                "DELETE FROM search_dead WHERE account_id = $1 AND message_id = $2",
                values![account, *message],
            )?;
        }
        Ok(())
    }

    /// Notes that a content is gone.
    pub(crate) fn search_died(&self, account: AccountId, message: MessageId) -> Result<()> {
        self.sql.execute(
            "INSERT INTO search_dead (account_id, message_id) VALUES ($1, $2) ON CONFLICT (account_id, message_id) DO NOTHING",
            values![account, message],
        )?;
        Ok(())
    }

    /// Removes all that is indexed of an account.
    pub(crate) fn remove_search_of(&self, account: AccountId) -> Result<()> {
        let (low, high) = account_messages(account);
        for table in ["search_segment", "search_signature"] {
            let sql = format!("DELETE FROM {table} WHERE last_message BETWEEN $1 AND $2");
            self.sql.execute(&sql, values![low, high])?;
        }
        self.sql.execute(
            "DELETE FROM search_dead WHERE account_id = $1",
            values![account],
        )?;
        Ok(())
    }

    pub(crate) fn remove_search_segment(&self, key: MessageId) -> Result<()> {
        for table in ["search_segment", "search_signature"] {
            let sql = format!("DELETE FROM {table} WHERE last_message = $1");
            self.sql.execute(&sql, values![key])?;
        }
        Ok(())
    }

    fn insert_search_segment(&self, account: AccountId, segment: &SearchSegment) -> Result<()> {
        let sealed: Vec<Vec<u8>> = segment.columns.iter().map(|column| seal(column)).collect();
        let [
            ids,
            from,
            subject,
            dates,
            base,
            to,
            cc,
            bcc,
            sort_from,
            sort_to,
            sort_cc,
            display_from,
            display_to,
            threads,
            signatures,
        ] = sealed.as_slice()
        else {
            return Err(Error::Internal("a segment without all its columns".into()));
        };
        self.sql.execute(
            "INSERT INTO search_segment (account_id, last_message, first_message, ids, senders, subjects, dates, bases, recipients, \
             copies, blind, sort_from, sort_to, sort_cc, display_from, display_to, threads) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            values![
                account,
                segment.last,
                segment.first,
                ids,
                from,
                subject,
                dates,
                base,
                to,
                cc,
                bcc,
                sort_from,
                sort_to,
                sort_cc,
                display_from,
                display_to,
                threads
            ],
        )?;
        self.sql.execute(
            "INSERT INTO search_signature (account_id, last_message, signatures) VALUES ($1, $2, $3)",
            values![account, segment.last, signatures],
        )?;
        Ok(())
    }
}

/// Keys of segments that are damaged or not whole, for the checks.
pub(crate) fn damaged(snapshot: &Snapshot<'_>) -> Result<Vec<(AccountId, MessageId)>> {
    let mut found = Vec::new();
    let mut sql = String::from("SELECT s.account_id, s.last_message, s.first_message");
    for column in SearchColumn::ALL {
        sql.push_str(", ");
        sql.push_str(column.sql());
    }
    sql.push_str(
        " FROM search_segment s LEFT JOIN search_signature g ON g.last_message = s.last_message ORDER BY s.last_message",
    );
    let mut before = i64::MIN;
    snapshot.sql.query(&sql, &[], &mut |row| {
        let key = MessageId(row.int(1)?);
        let mut whole = row.int(2)? > before;
        before = key.0;
        for at in 0..SearchColumn::ALL.len() {
            whole &= sound(row.blob(at.saturating_add(3))?).is_some();
        }
        if !whole {
            found.push((AccountId(row.int(0)?), key));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let lonely = snapshot.sql.rows(
        "SELECT account_id, last_message FROM search_signature WHERE last_message NOT IN (SELECT last_message FROM search_segment)",
        &[],
        |row| Ok((AccountId(row.int(0)?), MessageId(row.int(1)?))),
    )?;
    found.extend(lonely);
    Ok(found)
}

/// A blob with its checksum.
fn seal(blob: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(blob.len().saturating_add(4));
    sealed.extend_from_slice(blob);
    sealed.extend_from_slice(&crc32fast::hash(blob).to_le_bytes());
    sealed
}

/// A blob without its checksum, if that is right.
fn sound(sealed: &[u8]) -> Option<&[u8]> {
    let (blob, sum) = sealed.split_last_chunk::<4>()?;
    (crc32fast::hash(blob).to_le_bytes() == *sum).then_some(blob)
}
