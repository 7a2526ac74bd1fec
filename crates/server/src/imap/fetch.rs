//! FETCH (RFC 9051 §6.4.5).
//!
//! UID and FLAGS come from what the client was told and cost no query. Everything else is loaded in pieces: one ordered
//! scan of rows per piece, then the octets of messages, on a thread that may block; what a piece holds is written and
//! flushed before the next is loaded. So memory stays bounded however much is asked for, a client that does not read
//! stops its own FETCH only, and other sessions get their turn between pieces.
//!
//! Limits: [`PIECE_MESSAGES`], [`PIECE_OCTETS`].

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ::imap::{Body, DateTime, FetchAttribute, Reply, SequenceSet};
use ::store::{
    AccountId, BodyRef, Columns, Entry, FlagChange, FlagMode, Flags, MailboxId, Store, UidRange,
};

use super::error;
use super::section::{self, Span, Value};
use super::selected::{Expunges, Run, Selected, holds};
use super::structure;
use super::{Answer, Imap, Link};
use crate::db::Db;
use crate::drive::Gone;

/// Most messages of a piece: enough that going to another thread and back does not count.
const PIECE_MESSAGES: usize = 1024;

/// Octets after which a piece is complete. A message larger than this is a piece of its own.
pub const PIECE_OCTETS: usize = 512 * 1024;

/// Messages between two looks at the output, where nothing is loaded.
const LOOK: usize = 1024;

/// Answers with the attributes of all messages of the set.
pub async fn fetch(
    imap: &mut Imap,
    link: &mut Link,
    uid: bool,
    set: &SequenceSet,
    attributes: Vec<FetchAttribute>,
) -> Answer {
    let selected = imap.selected()?;
    let runs = selected.runs(set, uid)?;
    let mut seen = Vec::new();
    if attributes.iter().any(FetchAttribute::sets_seen) && !selected.read_only {
        let expunges = if uid { Expunges::Told } else { Expunges::Kept };
        seen = see(imap, link, &runs, expunges).await?;
    }
    // With UIDs the sync above may have told expunges; then the numbers are looked up again.
    let selected = imap.selected()?;
    let runs = selected.runs(set, uid)?;
    let plan = Plan::new(attributes, seen);
    if plan.columns.is_none() {
        from_view(selected, link, &runs, &plan).await?;
        return Ok(Reply::ok("fetched"));
    }
    let (account, mailbox, told) = (
        selected.account,
        selected.mailbox,
        Arc::clone(&selected.told),
    );
    let plan = Arc::new(plan);
    let db = imap.shared.db.clone();
    let mut runs = runs.into_iter();
    let mut run = runs.next();
    let mut left: Vec<(u32, Entry)> = Vec::new();
    let mut missing = false;
    loop {
        while left.len() < PIECE_MESSAGES
            && let Some(todo) = run.take()
        {
            let more = PIECE_MESSAGES.saturating_sub(left.len());
            let last = left.len();
            left.extend(told.range(*todo.start(), *todo.end()).take(more));
            let taken = u32::try_from(left.len().saturating_sub(last)).unwrap_or(u32::MAX);
            let rest = todo.start().saturating_add(taken.max(1))..=*todo.end();
            run = if rest.is_empty() {
                runs.next()
            } else {
                Some(rest)
            };
        }
        if left.is_empty() {
            break;
        }
        let mut piece = load(
            &db,
            account,
            mailbox,
            &plan,
            std::mem::take(&mut left),
            PIECE_OCTETS,
        )
        .await?;
        // A large message counts against the memory for messages until it is on its way.
        let mut permit = None;
        missing |= piece.missing;
        if let Some(large) = piece.large {
            permit = Some(
                imap.shared
                    .budget
                    .reserve(large as u64)
                    .await
                    .map_err(|_| error::NO_MEMORY)?,
            );
            piece = load(&db, account, mailbox, &plan, piece.left, large).await?;
        }
        if piece.unknown_encoding {
            return Ok(error::UNKNOWN_ENCODING);
        }
        missing |= piece.missing;
        left = write(imap.selected()?, link, &plan, piece).await?;
        if permit.is_some() {
            link.flush().await?;
        }
        tokio::task::yield_now().await;
    }
    // RFC 2180 §4.1: messages that others expunged, which could not be told yet, have nothing left to fetch. A UID may name
    // nothing (RFC 9051 §6.4.9).
    if missing && !uid {
        Ok(error::EXPUNGE_ISSUED)
    } else {
        Ok(Reply::ok("fetched"))
    }
}

/// Sets `\Seen`, durably, on what is going to be read. Returns the UIDs whose flags are not told yet: they go into the same
/// response as the text (RFC 9051 §6.4.5), where clients look that take one response for one message.
async fn see(
    imap: &mut Imap,
    link: &mut Link,
    runs: &[Run],
    expunges: Expunges,
) -> Result<Vec<UidRange>, error::Failure> {
    let selected = imap.selected()?;
    let told = &selected.told;
    let entries = runs
        .iter()
        .flat_map(|run| told.range(*run.start(), *run.end()));
    let unseen = entries.filter(|(_, entry)| !entry.flags.contains(Flags::SEEN));
    let uids = runs_of_uids(unseen);
    if uids.is_empty() || selected.view.snapshot().gone() {
        return Ok(Vec::new());
    }
    let (account, mailbox, stored) = (selected.account, selected.mailbox, uids.clone());
    let change = FlagChange {
        mode: FlagMode::Add,
        flags: Flags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    let write = imap
        .shared
        .db
        .write(move |tx| tx.store_flags(account, mailbox, &stored, &change));
    write.await?;
    let selected = imap.selected()?;
    selected
        .sync_but(link, expunges, |entry| holds(&uids, entry.uid))
        .await?;
    Ok(uids)
}

/// What to answer, and what that needs.
struct Plan {
    attributes: Vec<FetchAttribute>,
    /// Columns of the rows; none if the view has everything.
    columns: Option<Columns>,
    /// UIDs of messages whose flags are told although not asked for, because reading sets `\Seen`.
    seen: Vec<UidRange>,
}

impl Plan {
    fn new(mut attributes: Vec<FetchAttribute>, mut seen: Vec<UidRange>) -> Plan {
        use FetchAttribute::*;
        // Attack A21: what is asked for twice is answered once. The parser does this already for what is written alike.
        let mut once: Vec<FetchAttribute> = Vec::with_capacity(attributes.len());
        for attribute in attributes.drain(..) {
            if !once.contains(&attribute) {
                once.push(attribute);
            }
        }
        let any = |test: fn(&FetchAttribute) -> bool| once.iter().any(test);
        let octets = any(section::needs_octets);
        let columns = Columns {
            index: octets,
            body: octets,
            envelope: any(|a| matches!(a, Envelope)),
            body_structure: any(|a| matches!(a, Body | BodyStructure)),
        };
        if any(|a| matches!(a, Flags)) {
            seen.clear();
        }
        let view_only = !any(|a| !matches!(a, Uid | Flags));
        Plan {
            columns: (!view_only).then_some(columns),
            attributes: once,
            seen,
        }
    }
}

/// Answers from what was told, without a query.
async fn from_view(
    selected: &Selected,
    link: &mut Link,
    runs: &[Run],
    plan: &Plan,
) -> Result<(), Gone> {
    let mut until_look = LOOK;
    for run in runs {
        for (seq, entry) in selected.told.range(*run.start(), *run.end()) {
            let mut fetch = link.session.fetch(seq);
            for attribute in &plan.attributes {
                match attribute {
                    FetchAttribute::Uid => fetch.uid(entry.uid),
                    _ => fetch.flags(selected.flags(&entry)),
                };
            }
            fetch.end();
            until_look -= 1;
            if until_look == 0 {
                until_look = LOOK;
                link.flush_if_full().await?;
                tokio::task::consume_budget().await;
            }
        }
    }
    Ok(())
}

/// Rows and values of some messages.
#[derive(Default)]
struct Piece {
    rows: Vec<Row>,
    /// Envelopes and structures of all rows, one behind the other.
    text: Vec<u8>,
    /// What the piece had no room for.
    left: Vec<(u32, Entry)>,
    /// Some messages have no row any more.
    missing: bool,
    /// A part cannot be decoded.
    unknown_encoding: bool,
    /// The first message needs so many octets, more than there was room for; nothing was loaded.
    large: Option<usize>,
}

struct Row {
    seq: u32,
    entry: Entry,
    size: u64,
    received: i64,
    envelope: Range<usize>,
    structure: Range<usize>,
    index: Range<usize>,
    body: Option<BodyRef>,
    values: Vec<Value>,
    /// Its octets are gone.
    gone: bool,
}

async fn load(
    db: &Db,
    account: AccountId,
    mailbox: MailboxId,
    plan: &Arc<Plan>,
    wanted: Vec<(u32, Entry)>,
    room: usize,
) -> ::store::Result<Piece> {
    let plan = Arc::clone(plan);
    db.blocking(move |store| {
        let mut piece = rows(store, account, mailbox, &plan, wanted)?;
        if plan.columns.is_some_and(|columns| columns.body) {
            octets(store, &plan, &mut piece, room)?;
        }
        Ok(piece)
    })
    .await
}

/// One ordered scan for the rows.
fn rows(
    store: &Store,
    account: AccountId,
    mailbox: MailboxId,
    plan: &Plan,
    wanted: Vec<(u32, Entry)>,
) -> ::store::Result<Piece> {
    let columns = plan.columns.unwrap_or(Columns::ENTRY);
    let mut piece = Piece {
        rows: Vec::with_capacity(wanted.len()),
        ..Piece::default()
    };
    let mut next = 0;
    store.read(|snapshot| {
        snapshot.messages(
            account,
            mailbox,
            &runs_of_uids(wanted.iter().copied()),
            columns,
            &mut |row| {
                // Both ascend by UID; what is wanted and has no row was expunged.
                while let Some((seq, entry)) =
                    wanted.get(next).filter(|(_, entry)| entry.uid <= row.uid)
                {
                    next += 1;
                    if entry.uid < row.uid {
                        piece.missing = true;
                        continue;
                    }
                    let mut keep = |octets: &[u8]| {
                        let start = piece.text.len();
                        piece.text.extend_from_slice(octets);
                        start..piece.text.len()
                    };
                    piece.rows.push(Row {
                        seq: *seq,
                        entry: *entry,
                        size: row.size,
                        received: row.received,
                        envelope: keep(row.envelope),
                        structure: keep(row.body_structure),
                        index: keep(row.index),
                        body: row.body,
                        values: Vec::new(),
                        gone: false,
                    });
                }
                Ok(if piece.text.len() > PIECE_OCTETS {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            },
        )
    })?;
    if piece.text.len() > PIECE_OCTETS {
        piece.left = wanted.get(next..).unwrap_or_default().to_vec();
    } else {
        piece.missing |= next < wanted.len();
    }
    Ok(piece)
}

/// Runs of UIDs that hold these messages and nothing else the client knows.
fn runs_of_uids(wanted: impl Iterator<Item = (u32, Entry)>) -> Vec<UidRange> {
    let mut runs: Vec<UidRange> = Vec::new();
    let mut before = None;
    for (seq, entry) in wanted {
        match runs.last_mut() {
            Some(run) if before.is_some_and(|before: u32| before.checked_add(1) == Some(seq)) => {
                *run = *run.start()..=entry.uid;
            }
            _ => runs.push(entry.uid..=entry.uid),
        }
        before = Some(seq);
    }
    runs
}

/// Reads the octets that the rows need, as many as there is room for.
fn octets(store: &Store, plan: &Plan, piece: &mut Piece, room: usize) -> ::store::Result<()> {
    let mut total = 0usize;
    let mut full_at = None;
    for (at, row) in piece.rows.iter_mut().enumerate() {
        let Some(body) = &row.body else { continue };
        let stored = piece.text.get(row.index.clone()).unwrap_or_default();
        let index = mime::Index::from_bytes(stored).ok();
        // Without an index, because another version wrote it, the message itself says what is where.
        let whole = 0..usize::try_from(body.size).unwrap_or(usize::MAX);
        let range = index
            .as_ref()
            .map_or(whole, |index| section::extent(&plan.attributes, index));
        if range.len() > room.saturating_sub(total) {
            piece.large = (at == 0).then_some(range.len());
            full_at = Some(at);
            break;
        }
        total = total.saturating_add(range.len());
        let octets = match store.body_range(body, range.start as u64..range.end as u64) {
            // Expunged and reclaimed since the row was read.
            Err(::store::Error::NotFound(_)) => {
                piece.missing = true;
                row.gone = true;
                continue;
            }
            other => other?,
        };
        let index = index.unwrap_or_else(|| mime::Index::parse(&octets));
        let span = Span {
            start: range.start,
            octets,
        };
        row.values = section::values(&plan.attributes, &index, span);
        piece.unknown_encoding |= row.values.contains(&Value::UnknownEncoding);
    }
    if let Some(at) = full_at {
        let mut left: Vec<(u32, Entry)> = piece
            .rows
            .drain(at..)
            .map(|row| (row.seq, row.entry))
            .collect();
        left.append(&mut piece.left);
        piece.left = left;
    }
    Ok(())
}

/// Writes a piece, flushing as it goes; returns what was left over.
async fn write(
    selected: &Selected,
    link: &mut Link,
    plan: &Plan,
    piece: Piece,
) -> Result<Vec<(u32, Entry)>, Gone> {
    let text = |range: &Range<usize>| piece.text.get(range.clone()).unwrap_or_default();
    for row in piece.rows.into_iter().filter(|row| !row.gone) {
        let mut values = row.values.into_iter();
        let mut fetch = link.session.fetch(row.seq);
        for attribute in &plan.attributes {
            match attribute {
                FetchAttribute::Uid => fetch.uid(row.entry.uid),
                FetchAttribute::Flags => fetch.flags(selected.flags(&row.entry)),
                FetchAttribute::InternalDate => fetch.internal_date(DateTime::utc(row.received)),
                FetchAttribute::Rfc822Size => fetch.size(row.size),
                FetchAttribute::Envelope => fetch.envelope(text(&row.envelope)),
                FetchAttribute::BodyStructure => fetch.body_structure(text(&row.structure)),
                FetchAttribute::Body => {
                    fetch.body(&structure::without_extensions(text(&row.structure)))
                }
                FetchAttribute::BinarySize { part } => match values.next() {
                    Some(Value::Size(size)) => fetch.binary_size(part, size),
                    _ => fetch.binary_size(part, 0),
                },
                FetchAttribute::Rfc822 => fetch.rfc822(body(values.next())),
                FetchAttribute::Rfc822Header => fetch.rfc822_header(body(values.next())),
                FetchAttribute::Rfc822Text => fetch.rfc822_text(body(values.next())),
                FetchAttribute::BodySection {
                    section, partial, ..
                } => fetch.section(section, *partial, body(values.next())),
                FetchAttribute::Binary { part, partial, .. } => {
                    fetch.binary(part, *partial, body(values.next()))
                }
            };
        }
        if holds(&plan.seen, row.entry.uid) {
            fetch.flags(selected.flags(&row.entry));
        }
        fetch.end();
        link.flush_if_full().await?;
    }
    Ok(piece.left)
}

fn body(value: Option<Value>) -> Body<'static> {
    match value {
        Some(Value::Octets(octets)) => Body::Owned(octets),
        _ => Body::Nil,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::store::MessageId;

    fn entry(uid: u32) -> Entry {
        Entry {
            uid,
            flags: Flags::NONE,
            keywords: 0,
            modseq: 1,
            message: MessageId(1),
        }
    }

    #[test]
    fn runs_hold_what_is_wanted_only() {
        let wanted = [(1, entry(5)), (2, entry(9)), (4, entry(12)), (5, entry(13))];
        assert_eq!(runs_of_uids(wanted.into_iter()), [5..=9, 12..=13]);
        assert_eq!(runs_of_uids(std::iter::empty()), []);
    }

    #[test]
    fn a21_repeated_attributes_are_answered_once() {
        let plan = Plan::new(
            vec![
                FetchAttribute::Flags,
                FetchAttribute::Uid,
                FetchAttribute::Flags,
            ],
            Vec::new(),
        );
        assert_eq!(plan.attributes.len(), 2);
        assert!(plan.columns.is_none());
        let body = FetchAttribute::BodySection {
            section: Default::default(),
            partial: None,
            peek: true,
        };
        let plan = Plan::new(vec![body.clone(), body], Vec::new());
        assert_eq!(plan.attributes.len(), 1);
        assert!(
            plan.columns
                .is_some_and(|columns| columns.body && !columns.envelope)
        );
    }
}
