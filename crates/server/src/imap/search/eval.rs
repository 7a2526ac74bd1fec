//! A search as a program over one message, evaluated with as little of the message as decides it.
//!
//! Every key answers `Some(yes or no)` or `None`: not with these facts. A search first runs over the view alone; for
//! the messages still open it runs again with what the index has of them, then with their rows, and for those still open
//! with their octets. AND and OR are
//! decided by any child that can decide them, so `UNSEEN TEXT x` never opens a seen message, whatever the order.

use std::ops::{Range, RangeInclusive};

use std::sync::Arc;

use store::{Entry, Flags, MessageId, MessageRow, SearchColumn};

use super::attached;
use super::content::Content;
use super::digest;
use super::envelope::{self, Member};
use super::fold::Collation;
use super::index::segment::Segment;
use super::index::signature::Probe;
use super::text::Needle;
use crate::imap::objectid;
use crate::imap::selected::holds;

/// What a search asks, compiled against one picture of a mailbox.
#[derive(Debug)]
pub enum Key {
    /// Every message, or none.
    Always(bool),
    /// Messages with a sequence number in these ascending runs.
    Sequence(Vec<RangeInclusive<u32>>),
    /// Messages with a UID in these ascending runs.
    Uid(Vec<RangeInclusive<u32>>),
    /// Messages with all of these flags.
    Flags(Flags),
    /// Messages with this keyword, a bit of the view's table.
    Keyword(u64),
    /// Messages of more octets than this.
    Larger(u64),
    /// Messages of fewer octets than this.
    Smaller(u64),
    /// Messages with an internal date in these seconds.
    Received(Range<i64>),
    /// Messages that came into the mailbox in these seconds (RFC 8514).
    Saved(Range<i64>),
    /// Messages with this modification sequence or a higher one (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// Messages whose Date field names a day in these days since 1970.
    Sent(Range<i64>),
    /// Messages with this text in an address field.
    Address(Member, Needle),
    /// Messages of these octets (RFC 8474 §6).
    EmailId(String),
    /// Messages of this thread (RFC 8474 §6).
    ThreadId(String),
    /// Messages of these contents, ascending.
    Contents(Arc<[MessageId]>),
    /// Messages with an attachment, or one with this text in its name.
    Attached(Option<Needle>),
    /// Messages with this text in the subject.
    Subject(Needle),
    /// Messages with a field of this name that contains this text.
    Header(String, Needle, Option<Probe>),
    /// Messages with this text in the body.
    Body(Needle, Option<Probe>),
    /// Messages with this text in header or body.
    Text(Needle, Option<Probe>),
    /// The others.
    Not(Box<Key>),
    /// Messages that match all of these.
    And(Vec<Key>),
    /// Messages that match one of these.
    Or(Vec<Key>),
}

/// How much of a message a key needs at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The view.
    View,
    /// The row, without blobs.
    Row,
    /// The stored envelope.
    Envelope,
    /// The octets of the header.
    Header,
    /// All octets.
    Body,
}

/// What is known of a message so far.
pub struct Facts<'a> {
    /// Its sequence number.
    pub seq: u32,
    /// What the view has.
    pub entry: Entry,
    /// What the index has of it: a segment with the columns of [`Key::columns`], and its place there.
    pub indexed: Option<(&'a Segment<'a>, usize)>,
    /// Its row; the envelope is in it if the search needs one.
    pub row: Option<&'a MessageRow<'a>>,
    /// Its octets, or those of its header.
    pub content: Option<&'a Content<'a>>,
}

impl Key {
    /// The most this key can need.
    pub fn need(&self) -> Need {
        match self {
            Key::Always(_)
            | Key::Sequence(_)
            | Key::Uid(_)
            | Key::Flags(_)
            | Key::Keyword(_)
            | Key::Received(_)
            | Key::Contents(_)
            | Key::ModSeq(_) => Need::View,
            Key::Larger(_) | Key::Smaller(_) | Key::Saved(_) => Need::Row,
            Key::Sent(_)
            | Key::Address(..)
            | Key::Subject(_)
            | Key::Attached(_)
            | Key::EmailId(_)
            | Key::ThreadId(_) => Need::Envelope,
            Key::Header(..) => Need::Header,
            Key::Body(..) | Key::Text(..) => Need::Body,
            Key::Not(key) => key.need(),
            Key::And(keys) | Key::Or(keys) => {
                keys.iter().map(Key::need).max().unwrap_or(Need::View)
            }
        }
    }

    /// Whether the stored structure is needed.
    pub fn structure(&self) -> bool {
        match self {
            Key::Attached(_) => true,
            Key::Not(key) => key.structure(),
            Key::And(keys) | Key::Or(keys) => keys.iter().any(Key::structure),
            _ => false,
        }
    }

    /// Adds the columns of the index that may decide this key.
    pub fn columns(&self, columns: &mut Vec<SearchColumn>) {
        let mut add = |column| {
            if !columns.contains(&column) {
                columns.push(column);
            }
        };
        match self {
            Key::Address(member, needle) if is_indexed(needle) => add(column_of(*member)),
            Key::Subject(needle) if is_indexed(needle) => add(SearchColumn::Subject),
            Key::Sent(_) => add(SearchColumn::Dates),
            Key::Header(_, _, Some(_)) | Key::Body(_, Some(_)) | Key::Text(_, Some(_)) => {
                add(SearchColumn::Signatures)
            }
            Key::Not(key) => key.columns(columns),
            Key::And(keys) | Key::Or(keys) => keys.iter().for_each(|key| key.columns(columns)),
            _ => {}
        }
    }

    /// Puts cheap keys before dear ones, everywhere.
    pub fn order(&mut self) {
        match self {
            Key::Not(key) => key.order(),
            Key::And(keys) | Key::Or(keys) => {
                keys.iter_mut().for_each(Key::order);
                keys.sort_by_key(Key::need);
            }
            _ => {}
        }
    }

    /// Whether the message matches; `None` if these facts do not tell.
    pub fn test(&self, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Key::Always(answer) => Some(*answer),
            Key::Sequence(runs) => Some(holds(runs, facts.seq)),
            Key::Uid(runs) => Some(holds(runs, facts.entry.uid)),
            Key::Flags(flags) => Some(facts.entry.flags.contains(*flags)),
            Key::Keyword(bit) => Some(facts.entry.keywords & bit != 0),
            Key::Larger(size) => facts.row.map(|row| row.size > *size),
            Key::Smaller(size) => facts.row.map(|row| row.size < *size),
            Key::Received(seconds) => Some(seconds.contains(&facts.entry.received)),
            Key::Saved(seconds) => facts.row.map(|row| seconds.contains(&row.saved)),
            Key::ModSeq(modseq) => Some(facts.entry.modseq >= *modseq),
            Key::Contents(messages) => Some(messages.binary_search(&facts.entry.message).is_ok()),
            Key::Attached(name) => facts
                .row
                .map(|row| attached::is_in(row.body_structure, name.as_ref())),
            Key::Sent(days) => {
                let day = match (facts.indexed, facts.row) {
                    (Some((segment, at)), _) => segment.dates(at)?.day,
                    (None, Some(row)) => sent(row.envelope),
                    (None, None) => return None,
                };
                Some(day.is_some_and(|day| days.contains(&day)))
            }
            Key::EmailId(id) => facts
                .row
                .map(|row| row.email.is_some_and(|email| objectid::email(email) == *id)),
            Key::ThreadId(id) => facts.row.map(|row| {
                row.email
                    .is_some_and(|email| objectid::thread(row.thread, email) == *id)
            }),
            Key::Address(member, needle) => match (facts.indexed, facts.row) {
                (_, Some(row)) => Some(address(row.envelope, *member, needle)),
                (Some(indexed), None) => in_column(indexed, column_of(*member), needle),
                (None, None) => None,
            },
            Key::Subject(needle) => match (facts.indexed, facts.row) {
                (_, Some(row)) => Some(subject(row.envelope, needle)),
                (Some(indexed), None) => in_column(indexed, SearchColumn::Subject, needle),
                (None, None) => None,
            },
            Key::Header(name, needle, probe) => match facts.content {
                Some(content) => Some(content.field(name, needle)),
                None => ruled_out(facts, probe),
            },
            Key::Body(needle, probe) => match facts.content {
                Some(content) if content.whole => Some(content.body(needle)),
                _ => ruled_out(facts, probe),
            },
            Key::Text(needle, probe) => match facts.content {
                Some(content) if content.whole => Some(content.text(needle)),
                _ => ruled_out(facts, probe),
            },
            Key::Not(key) => key.test(facts).map(|answer| !answer),
            Key::And(keys) => decide(keys, facts, false),
            Key::Or(keys) => decide(keys, facts, true),
        }
    }
}

impl Key {
    /// How well a message that matches does so, from 1 to 100, as far as keys are fuzzy (RFC 6203 §4): the mean of all that
    /// must match, the best of those of which one must. `None` where nothing is fuzzy.
    pub fn score(&self, facts: &Facts<'_>) -> Option<u8> {
        match self {
            Key::Address(member, needle) => {
                let words = needle.words()?;
                let value = envelope::member(facts.row?.envelope, *member);
                envelope::addresses(value)
                    .filter_map(|address| words.score(&digest::line(&address)))
                    .max()
            }
            Key::Subject(needle) => {
                let words = needle.words()?;
                let value = envelope::member(facts.row?.envelope, Member::Subject);
                words.score(&digest::subject_text(&envelope::string(value)?))
            }
            Key::Header(name, needle, _) => Some(facts.content?.field_score(name, needle.words()?)),
            // What is said on top counts for more than what is said somewhere below.
            Key::Body(needle, _) => Some(lessened(facts.content?.score(needle.words()?, false))),
            Key::Text(needle, _) => {
                let words = needle.words()?;
                let value = envelope::member(facts.row?.envelope, Member::Subject);
                let subject = envelope::string(value)
                    .and_then(|field| words.score(&digest::subject_text(&field)))
                    .unwrap_or(0);
                Some(subject.max(lessened(facts.content?.score(words, true))))
            }
            Key::And(keys) => {
                let scores: Vec<u32> = keys
                    .iter()
                    .filter_map(|key| key.score(facts).map(u32::from))
                    .collect();
                let count = u32::try_from(scores.len())
                    .ok()
                    .filter(|count| *count > 0)?;
                u8::try_from(scores.iter().sum::<u32>() / count).ok()
            }
            Key::Or(keys) => keys
                .iter()
                .filter(|key| key.test(facts) == Some(true))
                .filter_map(|key| key.score(facts))
                .max(),
            _ => None,
        }
    }
}

fn lessened(score: u8) -> u8 {
    score.saturating_sub(score / 10)
}

/// Whether the index has texts that are folded as this needle is.
fn is_indexed(needle: &Needle) -> bool {
    needle.collation() == Collation::UnicodeCasemap && needle.folded().is_some()
}

fn column_of(member: Member) -> SearchColumn {
    match member {
        Member::To => SearchColumn::To,
        Member::Cc => SearchColumn::Cc,
        Member::Bcc => SearchColumn::Bcc,
        _ => SearchColumn::From,
    }
}

fn in_column(
    (segment, at): (&Segment<'_>, usize),
    column: SearchColumn,
    needle: &Needle,
) -> Option<bool> {
    if !is_indexed(needle) {
        return None;
    }
    let text = segment.text(column, at)?;
    Some(match needle.is_empty() {
        // The empty text asks whether the field is there.
        true => !text.is_empty(),
        false => needle.is_in_folded(text),
    })
}

/// No, if the signature says so; otherwise the octets must be looked at.
fn ruled_out(facts: &Facts<'_>, probe: &Option<Probe>) -> Option<bool> {
    let (segment, at) = facts.indexed?;
    (!segment.may_contain(probe.as_ref()?, at)).then_some(false)
}

/// AND is decided by a child that says no, OR by one that says yes; else by all of them.
fn decide(keys: &[Key], facts: &Facts<'_>, by: bool) -> Option<bool> {
    let mut open = false;
    for key in keys {
        match key.test(facts) {
            Some(answer) if answer == by => return Some(by),
            Some(_) => {}
            None => open = true,
        }
    }
    if open { None } else { Some(!by) }
}

/// The day that the Date field names, in the zone it names (RFC 9051 §6.4.4: "disregarding time and timezone").
fn sent(stored: &[u8]) -> Option<i64> {
    let field = envelope::string(envelope::member(stored, Member::Date))?;
    super::content::day(&field)
}

fn subject(stored: &[u8], needle: &Needle) -> bool {
    if !needle.may_be_in(stored) {
        return false;
    }
    let value = envelope::member(stored, Member::Subject);
    envelope::string(value).is_some_and(|field| {
        // Most subjects are as they stand.
        if memchr::memmem::find(&field, b"=?").is_none()
            && memchr::memchr(b'\t', &field).is_none()
            && let Some(answer) = needle.is_in_octets(field.trim_ascii())
        {
            return answer;
        }
        needle.is_in(&digest::subject_text(&field))
    })
}

/// Whether one of the addresses, written `name <mailbox@host>`, contains the text.
fn address(stored: &[u8], member: Member, needle: &Needle) -> bool {
    let value = envelope::member(stored, member);
    // The empty text asks whether the field is there.
    if needle.is_empty() {
        return value.first() == Some(&b'(');
    }
    needle.may_be_in(stored)
        && envelope::addresses(value).any(|address| needle.is_in(&digest::line(&address)))
}
