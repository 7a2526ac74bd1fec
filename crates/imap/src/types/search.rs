//! SEARCH (RFC 9051 §6.4.4).

use super::{Date, Flag, SequenceSet};

/// SEARCH and UID SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// UID SEARCH: results are UIDs.
    pub uid: bool,
    /// `RETURN (…)`, if given (RFC 4731); `RETURN ()` means ALL and is told so here.
    pub returns: Option<SearchReturn>,
    /// What to find. Texts are UTF-8; the charset has been dealt with.
    pub key: SearchKey,
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
}

impl SearchReturn {
    /// What [`SearchReturn::save`] must keep of a result in ascending order (RFC 5182 §2.1): with only MIN and/or
    /// MAX beside it the extremes, otherwise all.
    pub fn saved(&self, results: &[u32]) -> Vec<u32> {
        let mut saved: Vec<u32> = match (self.all || self.count, self.min, self.max) {
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
    /// Deepest nesting of `Not`, `Or` and `And`: far beyond any client's, and safe to walk recursively.
    pub const DEPTH_LIMIT: usize = 64;
}
