//! A search as a program against what the client was told.

use ::imap::{Date, Flag, SearchKey, SequenceSet};
use ::store::{MessageId, ViewSnapshot};

use super::envelope::Member;
use super::eval::Key;
use super::fold::Collation;
use super::index::signature::Probe;
use super::text::Needle;
use crate::imap::error::{self, Failure};
use crate::imap::gmail::search::Labelled;
use crate::imap::selected::{keyword_bit, runs_of, system_bit};

/// What a search is compiled against.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    /// The mailbox.
    pub told: &'a ViewSnapshot,
    /// `$`, ascending UIDs.
    pub saved: &'a [u32],
    /// Now, in seconds since 1970.
    pub now: i64,
    /// The active comparator.
    pub collation: Collation,
    /// Messages by label.
    pub labelled: &'a Labelled,
}

impl Against<'_> {
    /// Compiles a search. Recursion is bounded by [`SearchKey::DEPTH_LIMIT`].
    pub fn compile(&self, key: &SearchKey) -> Result<Key, Failure> {
        self.key(key, false)
    }

    fn key(&self, key: &SearchKey, fuzzy: bool) -> Result<Key, Failure> {
        let all = |keys: &[SearchKey]| {
            keys.iter()
                .map(|key| self.key(key, fuzzy))
                .collect::<Result<Vec<_>, _>>()
        };
        let ago =
            |seconds: &std::num::NonZeroU32| self.now.saturating_sub(i64::from(seconds.get()));
        let address = |member, text| Key::Address(member, self.needle(text, fuzzy));
        Ok(match key {
            SearchKey::All | SearchKey::SaveDateSupported => Key::Always(true),
            SearchKey::Flag(flag) => self.flag(flag),
            SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => {
                Key::Uid(runs_of(self.saved.iter().copied()))
            }
            SearchKey::Sequence(set) => Key::Sequence(set.resolve(self.told.len())),
            SearchKey::Uid(set) => {
                let last = self.told.uid_at(self.told.len()).unwrap_or(0);
                Key::Uid(set.resolve(last))
            }
            SearchKey::From(text) => address(Member::From, text),
            SearchKey::To(text) => address(Member::To, text),
            SearchKey::Cc(text) => address(Member::Cc, text),
            SearchKey::Bcc(text) => address(Member::Bcc, text),
            SearchKey::Subject(text) => Key::Subject(self.needle(text, fuzzy)),
            SearchKey::Header { field, text } => {
                let probe = self.probe(text, fuzzy);
                Key::Header(field.clone(), self.needle(text, fuzzy), probe)
            }
            // The empty text is in every message.
            SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Key::Always(true),
            SearchKey::Body(text) => Key::Body(self.text(text, fuzzy), self.probe(text, fuzzy)),
            SearchKey::Text(text) => Key::Text(self.text(text, fuzzy), self.probe(text, fuzzy)),
            SearchKey::Before(day) => Key::Received(i64::MIN..seconds(*day)),
            SearchKey::On(day) => Key::Received(seconds(*day)..seconds(*day).saturating_add(DAY)),
            SearchKey::Since(day) => Key::Received(seconds(*day)..i64::MAX),
            // RFC 5032 §2: a message of that very age is both.
            SearchKey::Older(seconds) => Key::Received(i64::MIN..ago(seconds).saturating_add(1)),
            SearchKey::Younger(seconds) => Key::Received(ago(seconds)..i64::MAX),
            SearchKey::SavedBefore(day) => Key::Saved(i64::MIN..seconds(*day)),
            SearchKey::SavedOn(day) => Key::Saved(seconds(*day)..seconds(*day).saturating_add(DAY)),
            SearchKey::SavedSince(day) => Key::Saved(seconds(*day)..i64::MAX),
            SearchKey::SentBefore(day) => Key::Sent(i64::MIN..day.days()),
            SearchKey::SentOn(day) => Key::Sent(day.days()..day.days().saturating_add(1)),
            SearchKey::SentSince(day) => Key::Sent(day.days()..i64::MAX),
            SearchKey::Larger(size) => Key::Larger(*size),
            SearchKey::Smaller(size) => Key::Smaller(*size),
            SearchKey::ModSeq(modseq) => Key::ModSeq(*modseq),
            SearchKey::EmailId(id) => Key::EmailId(id.clone()),
            SearchKey::ThreadId(id) => Key::ThreadId(id.clone()),
            // What they find was put in before.
            SearchKey::Annotation { .. } => Key::Always(false),
            SearchKey::GmailMessageId(id) => match i64::try_from(*id) {
                Ok(id) => Key::Contents([MessageId(id)].into()),
                Err(_) => Key::Always(false),
            },
            SearchKey::GmailThreadId(id) => Key::ThreadId(format!("T{id:x}")),
            SearchKey::GmailLabel(label) => Key::Contents(self.labelled.with(label)),
            SearchKey::GmailAttachment(name) => {
                Key::Attached(name.as_ref().map(|name| self.needle(name, fuzzy)))
            }
            // What it says was put in its place before.
            SearchKey::GmailRaw(_) => Key::Always(false),
            // Those that exist were put in before.
            SearchKey::Filter(name) => return Err(error::undefined_filter(name).into()),
            SearchKey::Fuzzy(key) => self.key(key, true)?,
            SearchKey::Not(key) => Key::Not(Box::new(self.key(key, fuzzy)?)),
            SearchKey::Or(keys) => Key::Or(all(keys)?),
            SearchKey::And(keys) => Key::And(all(keys)?),
        })
    }

    fn flag(&self, flag: &Flag) -> Key {
        match flag {
            Flag::Keyword(name) => match keyword_bit(self.told, name) {
                0 => Key::Always(false),
                bit => Key::Keyword(bit),
            },
            // Nothing is recent here, see `selected`.
            Flag::Recent | Flag::Extension(_) => Key::Always(false),
            system => Key::Flags(system_bit(system)),
        }
    }

    /// A text in a header field.
    fn needle(&self, text: &str, fuzzy: bool) -> Needle {
        match fuzzy {
            true => Needle::fuzzy(text),
            false => Needle::of_header(text, self.collation),
        }
    }

    /// A text anywhere.
    fn text(&self, text: &str, fuzzy: bool) -> Needle {
        match fuzzy {
            true => Needle::fuzzy(text),
            false => Needle::new(text, self.collation),
        }
    }

    /// What a signature can say of a text: nothing for fuzzy ones, nor for those with a tab, which is a blank in some
    /// places. What is the same under a comparator is the same when both are folded.
    fn probe(&self, text: &str, fuzzy: bool) -> Option<Probe> {
        if fuzzy || text.contains('\t') {
            return None;
        }
        Probe::new(Collation::UnicodeCasemap.fold(text).as_bytes())
    }
}

const DAY: i64 = 86_400;

/// The first second of a day. Internal dates are kept, and told, in UTC, so their day is that of UTC.
fn seconds(day: Date) -> i64 {
    day.days().saturating_mul(DAY)
}
