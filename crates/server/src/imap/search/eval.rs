//! A search as a program over one message, evaluated with as little of the message as decides it.
//!
//! Every key answers `Some(yes or no)` or `None`: not with these facts. A search first runs over the view alone; for
//! the messages still open it runs again with their rows, and for those still open with their octets. AND and OR are
//! decided by any child that can decide them, so `UNSEEN TEXT x` never opens a seen message, whatever the order.

use std::ops::{Range, RangeInclusive};

use store::{Entry, Flags, MessageRow};

use super::content::Content;
use super::envelope::{self, Member};
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
    /// Messages with this text in the subject.
    Subject(Needle),
    /// Messages with a field of this name that contains this text.
    Header(String, Needle),
    /// Messages with this text in the body.
    Body(Needle),
    /// Messages with this text in header or body.
    Text(Needle),
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
            | Key::ModSeq(_) => Need::View,
            Key::Larger(_) | Key::Smaller(_) | Key::Received(_) | Key::Saved(_) => Need::Row,
            Key::Sent(_)
            | Key::Address(..)
            | Key::Subject(_)
            | Key::EmailId(_)
            | Key::ThreadId(_) => Need::Envelope,
            Key::Header(..) => Need::Header,
            Key::Body(_) | Key::Text(_) => Need::Body,
            Key::Not(key) => key.need(),
            Key::And(keys) | Key::Or(keys) => {
                keys.iter().map(Key::need).max().unwrap_or(Need::View)
            }
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
            Key::Received(seconds) => facts.row.map(|row| seconds.contains(&row.received)),
            Key::Saved(seconds) => facts.row.map(|row| seconds.contains(&row.saved)),
            Key::ModSeq(modseq) => Some(facts.entry.modseq >= *modseq),
            Key::Sent(days) => facts
                .row
                .map(|row| sent(row.envelope).is_some_and(|day| days.contains(&day))),
            Key::Address(member, needle) => {
                facts.row.map(|row| address(row.envelope, *member, needle))
            }
            Key::EmailId(id) => facts
                .row
                .map(|row| row.email.is_some_and(|email| objectid::email(email) == *id)),
            Key::ThreadId(id) => facts.row.map(|row| {
                row.email
                    .is_some_and(|email| objectid::thread(row.thread, email) == *id)
            }),
            Key::Subject(needle) => facts.row.map(|row| subject(row.envelope, needle)),
            Key::Header(name, needle) => facts.content.map(|content| content.field(name, needle)),
            Key::Body(needle) => facts
                .content
                .filter(|content| content.whole)
                .map(|content| content.body(needle)),
            Key::Text(needle) => facts
                .content
                .filter(|content| content.whole)
                .map(|content| content.text(needle)),
            Key::Not(key) => key.test(facts).map(|answer| !answer),
            Key::And(keys) => decide(keys, facts, false),
            Key::Or(keys) => decide(keys, facts, true),
        }
    }
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
    envelope::string(value).is_some_and(|subject| decoded_is_in(&subject, needle))
}

/// Whether one of the addresses, written `name <mailbox@host>`, contains the text.
fn address(stored: &[u8], member: Member, needle: &Needle) -> bool {
    let value = envelope::member(stored, member);
    // The empty text asks whether the field is there.
    if needle.is_empty() {
        return value.first() == Some(&b'(');
    }
    if !needle.may_be_in(stored) {
        return false;
    }
    envelope::addresses(value).any(|address| {
        if address
            .name
            .as_ref()
            .is_some_and(|name| decoded_is_in(name, needle))
        {
            return true;
        }
        let mut line = String::new();
        if let Some(name) = &address.name {
            line.push_str(&super::content::decode_words(name));
            line.push(' ');
        }
        if let Some(mailbox) = &address.mailbox {
            line.push('<');
            line.push_str(&String::from_utf8_lossy(mailbox));
            if let Some(host) = &address.host {
                line.push('@');
                line.push_str(&String::from_utf8_lossy(host));
            }
            line.push('>');
        }
        needle.is_in(&line)
    })
}

/// Whether a header text contains the needle once its encoded words are decoded.
fn decoded_is_in(text: &[u8], needle: &Needle) -> bool {
    if memchr::memmem::find(text, b"=?").is_none()
        && let Some(answer) = needle.is_in_octets(text)
    {
        return answer;
    }
    needle.is_in(&super::content::decode_words(text))
}
