//! SEARCH (RFC 9051 §6.4.4).

use std::num::NonZeroU32;

use super::{
    AnnotationScope, Date, FetchAttribute, Flag, GmailLabel, MailboxName, NumberSet, SequenceSet,
};

/// SEARCH and UID SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// UID SEARCH: results are UIDs.
    pub uid: bool,
    /// `RETURN (…)`, if given (RFC 4731); `RETURN ()` means ALL and is told so here.
    pub returns: Option<SearchReturn>,
    /// What to find. Texts are UTF-8; the charset has been dealt with.
    pub key: SearchKey,
    /// What to tell of messages that come into a result that is followed (`UPDATE (…)`, RFC 5465 §7).
    pub fetch: Vec<FetchAttribute>,
}

/// Result options (RFC 9051 §6.4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`
    pub min: bool,
    /// `MAX`
    pub max: bool,
    /// `ALL`
    pub all: bool,
    /// `COUNT`
    pub count: bool,
    /// `SAVE`: keep the result for `$`.
    pub save: bool,
    /// `UPDATE`: tell of changes of the result (RFC 5267 §4.3).
    pub update: bool,
    /// `CONTEXT`: the criteria will be used again (RFC 5267 §4.2).
    pub context: bool,
    /// `RELEVANCY`: tell scores (RFC 6203 §4).
    pub relevancy: bool,
    /// `PARTIAL`: a window of the result (RFC 9394 §3.1, RFC 5267 §4.4). Never beside `ALL`.
    pub partial: Option<PartialRange>,
}

/// A window of a list: positions from the first, or with `from_end` from the last (RFC 9394 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartialRange {
    /// As the client wrote it: first number.
    pub first: NonZeroU32,
    /// As the client wrote it: second number; may be less than the first.
    pub last: NonZeroU32,
    /// `-1:-100`: positions count from the end of the list.
    pub from_end: bool,
}

impl PartialRange {
    /// The part of a list that is in the window.
    pub fn of<'l, T>(&self, list: &'l [T]) -> &'l [T] {
        let (low, high) = (self.first.min(self.last), self.first.max(self.last));
        let low = usize::try_from(low.get()).unwrap_or(usize::MAX);
        let high = usize::try_from(high.get())
            .unwrap_or(usize::MAX)
            .min(list.len());
        let window = if self.from_end {
            list.len().saturating_sub(high)..list.len().saturating_sub(low.saturating_sub(1))
        } else {
            low.saturating_sub(1)..high
        };
        list.get(window).unwrap_or_default()
    }
}

/// The data of an ESEARCH response (RFC 4731 §3.1 and what extends it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Esearch {
    /// Tag of the command it belongs to.
    pub tag: Option<String>,
    /// The mailbox that was searched, and its UIDVALIDITY (RFC 7377 §2.1).
    pub mailbox: Option<(MailboxName, u32)>,
    /// Numbers are UIDs.
    pub uid: bool,
    /// `MIN`
    pub min: Option<u32>,
    /// `MAX`
    pub max: Option<u32>,
    /// `COUNT`
    pub count: Option<u32>,
    /// `ALL`, in the order of the result
    pub all: Option<NumberSet>,
    /// `PARTIAL`: the window asked for, and what is in it
    pub partial: Option<(PartialRange, NumberSet)>,
    /// `RELEVANCY`: scores from 1 to 100, in the order of the result (RFC 6203 §4).
    pub relevancy: Option<Vec<u8>>,
    /// `MODSEQ`: the highest of the messages told (RFC 7162 §3.1.5).
    pub modseq: Option<u64>,
    /// `ADDTO` and `REMOVEFROM`, to be applied in this order (RFC 5267 §4.3.2).
    pub changes: Vec<ListChange>,
}

/// A change of a result (RFC 5267 §4.3). Positions begin at 1; 0 leaves the place to the order of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListChange {
    /// `ADDTO`: these were inserted, the first of them at the position.
    Add(u32, NumberSet),
    /// `REMOVEFROM`: these were removed, beginning at the position.
    Remove(u32, NumberSet),
}

/// One criterion of SORT (RFC 5256 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortCriterion {
    /// `REVERSE`
    pub reverse: bool,
    /// By what.
    pub key: SortKey,
}

/// What SORT sorts by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// `ANNOTATION`: a value of an annotation (RFC 5257 §4.9).
    Annotation {
        /// Name of the entry.
        entry: String,
        /// Whose value.
        scope: AnnotationScope,
    },
    /// `ARRIVAL`: internal date.
    Arrival,
    /// `CC`: mailbox of the first Cc address.
    Cc,
    /// `DATE`: sent date.
    Date,
    /// `DISPLAYFROM`: display name of the first From address (RFC 5957).
    DisplayFrom,
    /// `DISPLAYTO`
    DisplayTo,
    /// `FROM`: mailbox of the first From address.
    From,
    /// `RELEVANCY`: score, best first (RFC 6203 §6).
    Relevancy,
    /// `SIZE`
    Size,
    /// `SUBJECT`: base subject.
    Subject,
    /// `TO`: mailbox of the first To address.
    To,
}

impl SortKey {
    /// Those that have no arguments, by name.
    pub const NAMES: [(&'static str, SortKey); 10] = [
        ("ARRIVAL", SortKey::Arrival),
        ("CC", SortKey::Cc),
        ("DATE", SortKey::Date),
        ("DISPLAYFROM", SortKey::DisplayFrom),
        ("DISPLAYTO", SortKey::DisplayTo),
        ("FROM", SortKey::From),
        ("RELEVANCY", SortKey::Relevancy),
        ("SIZE", SortKey::Size),
        ("SUBJECT", SortKey::Subject),
        ("TO", SortKey::To),
    ];
}

/// How THREAD threads (RFC 5256 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// `ORDEREDSUBJECT`
    OrderedSubject,
    /// `REFERENCES`
    References,
}

/// A tree of messages in the THREAD response, in the order in which it is written: a number stands for a message, whose
/// children follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadToken {
    /// `(`
    Open,
    /// A message; a child of the one written before it unless that is a parenthesis.
    Message(u32),
    /// `)`
    Close,
}

/// Which mailboxes ESEARCH searches (`filter-mailboxes`, RFC 5465 §6, RFC 7377 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxFilter {
    /// `selected`
    Selected,
    /// `inboxes`
    Inboxes,
    /// `personal`
    Personal,
    /// `subscribed`
    Subscribed,
    /// `subtree`
    Subtree(Vec<MailboxName>),
    /// `subtree-one`
    SubtreeOne(Vec<MailboxName>),
    /// `mailboxes`
    Mailboxes(Vec<MailboxName>),
}

impl SearchReturn {
    /// What [`SearchReturn::save`] must keep of a result in ascending order (RFC 5182 §2.1): with only MIN and/or
    /// MAX beside it the extremes, otherwise all.
    pub fn saved(&self, results: &[u32]) -> Vec<u32> {
        let all = self.all || self.count || self.partial.is_some() || self.relevancy;
        let mut saved: Vec<u32> = match (all, self.min, self.max) {
            (true, _, _) | (_, false, false) => return results.to_vec(),
            (_, true, true) => results
                .first()
                .into_iter()
                .chain(results.last())
                .copied()
                .collect(),
            (_, true, false) => results.first().copied().into_iter().collect(),
            (_, false, true) => results.last().copied().into_iter().collect(),
        };
        saved.dedup();
        saved
    }
}

/// What a message must be. Keys that others express are normalised by the parser: `UNSEEN` is
/// `Not(Flag(Seen))`, `NEW` is `And([Flag(Recent), Not(Flag(Seen))])`, `OLD` is `Not(Flag(Recent))`, `KEYWORD x` is
/// `Flag(Keyword(x))`. `OR a OR b c` is one `Or` of three, and `NOT NOT a` is `a`.
///
/// Never nested deeper than [`SearchKey::DEPTH_LIMIT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// The message has the flag.
    Flag(Flag),
    /// A sequence set, `$` included.
    Sequence(SequenceSet),
    /// `UID` and a set.
    Uid(SequenceSet),
    /// `FROM`, `TO`, `CC`, `BCC`: the text is in that envelope field. Without case; empty matches any message that
    /// has the field. `SUBJECT` likewise.
    From(String),
    /// `TO`
    To(String),
    /// `CC`
    Cc(String),
    /// `BCC`
    Bcc(String),
    /// `SUBJECT`
    Subject(String),
    /// `HEADER` field name and text.
    Header {
        /// Name of the field.
        field: String,
        /// Text; empty matches any message that has the field.
        text: String,
    },
    /// `BODY`: the text is in the body.
    Body(String),
    /// `TEXT`: the text is in header or body.
    Text(String),
    /// `BEFORE`: internal date is earlier than the day.
    Before(Date),
    /// `ON`: internal date is within the day.
    On(Date),
    /// `SINCE`: internal date is within the day or later.
    Since(Date),
    /// `SENTBEFORE`: Date field is earlier than the day.
    SentBefore(Date),
    /// `SENTON`: Date field is within the day.
    SentOn(Date),
    /// `SENTSINCE`: Date field is within the day or later.
    SentSince(Date),
    /// `OLDER`: internal date is this many seconds ago or more (RFC 5032).
    Older(NonZeroU32),
    /// `YOUNGER`: internal date is within the last so many seconds (RFC 5032).
    Younger(NonZeroU32),
    /// `MODSEQ`: modification sequence is this or higher (RFC 7162 §3.1.5). An entry name is read and left out: there is
    /// one sequence for all of a message.
    ModSeq(u64),
    /// `SAVEDBEFORE`: came into the mailbox before the day (RFC 8514).
    SavedBefore(Date),
    /// `SAVEDON`
    SavedOn(Date),
    /// `SAVEDSINCE`
    SavedSince(Date),
    /// `SAVEDATESUPPORTED`: the mailbox keeps save dates.
    SaveDateSupported,
    /// `EMAILID` (RFC 8474)
    EmailId(String),
    /// `THREADID` (RFC 8474)
    ThreadId(String),
    /// `X-GM-MSGID` (X-GM-EXT-1)
    GmailMessageId(u64),
    /// `X-GM-THRID`
    GmailThreadId(u64),
    /// `X-GM-LABELS`: the message is in that mailbox as well.
    GmailLabel(GmailLabel),
    /// `X-GM-RAW`: a search in the words of Gmail.
    GmailRaw(String),
    /// What `has:attachment` means in [`SearchKey::GmailRaw`], or `filename:` with a text of the name. A client that
    /// sends it sends that.
    GmailAttachment(Option<String>),
    /// `FILTER`: the named search kept at the server (RFC 5466).
    Filter(String),
    /// `ANNOTATION`: a value of an annotation contains the text, or there is none (RFC 5257 §4.8).
    Annotation {
        /// Name of the entry, in which `*` and `%` stand for what is left open.
        entry: String,
        /// Whose value; either, if none is named.
        scope: Option<AnnotationScope>,
        /// The text; `None` is NIL.
        text: Option<String>,
    },
    /// `FUZZY`: matches the key more or less (RFC 6203).
    Fuzzy(Box<SearchKey>),
    /// `LARGER`: size in octets is greater.
    Larger(u64),
    /// `SMALLER`: size in octets is less.
    Smaller(u64),
    /// Does not match the key.
    Not(Box<SearchKey>),
    /// Matches any; at least two.
    Or(Vec<SearchKey>),
    /// Matches all; at least two.
    And(Vec<SearchKey>),
}

impl SearchKey {
    /// Deepest nesting of `Not`, `Or`, `And` and `Fuzzy`: far beyond any client's, and safe to walk recursively.
    pub const DEPTH_LIMIT: usize = 64;

    /// Whether the key, or one inside of it, is so. Recursion is bounded by [`SearchKey::DEPTH_LIMIT`].
    pub fn any(&self, is: &dyn Fn(&SearchKey) -> bool) -> bool {
        is(self)
            || match self {
                SearchKey::Not(key) | SearchKey::Fuzzy(key) => key.any(is),
                SearchKey::Or(keys) | SearchKey::And(keys) => keys.iter().any(|key| key.any(is)),
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_from_either_end() {
        let range = |first: u32, last: u32, from_end| PartialRange {
            first: NonZeroU32::new(first).unwrap(),
            last: NonZeroU32::new(last).unwrap(),
            from_end,
        };
        let list = [1, 2, 3, 4, 5];
        for (window, expected) in [
            (range(1, 2, false), &[1, 2][..]),
            (range(2, 1, false), &[1, 2]),
            (range(4, 9, false), &[4, 5]),
            (range(6, 9, false), &[]),
            (range(u32::MAX, u32::MAX, false), &[]),
            (range(1, 2, true), &[4, 5]),
            (range(4, 9, true), &[1, 2]),
            (range(6, 9, true), &[]),
            (range(2, 2, true), &[4]),
        ] {
            assert_eq!(window.of(&list), expected, "{window:?}");
        }
    }
}
