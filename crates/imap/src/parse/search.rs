//! SEARCH.
//!
//! Keys nest, and the client decides how deep, so that a stack of our own takes the place of recursion. It is bounded
//! by the number of keys; the tree it builds by [`SearchKey::DEPTH_LIMIT`].

use std::num::NonZeroU32;

use encoding_rs::{Encoding, UTF_8};

use super::base::number64;
use super::{Parsed, Parser, Stop, too_many};
use crate::{
    Bound, Code, Command, Flag, PartialRange, Reply, Search, SearchKey, SearchReturn, SequenceSet,
    Status,
};

/// The charset of a search's texts.
pub(super) type Charset = &'static Encoding;

/// A key that is not complete.
enum Frame {
    /// `NOT`, and its key to come.
    Not,
    /// `FUZZY`, and its key to come.
    Fuzzy,
    /// `OR`, and those of its two keys that were read, flattened.
    Or(Tree, u8),
    /// An opening parenthesis, and the keys behind it.
    Group(Tree),
}

/// Keys to be joined, and how deep the deepest of them nests.
#[derive(Default)]
struct Tree {
    keys: Vec<SearchKey>,
    depth: usize,
}

impl Tree {
    fn add(&mut self, key: SearchKey, depth: usize) {
        self.keys.push(key);
        self.depth = self.depth.max(depth);
    }

    /// Joins the keys with `join`, or gives the only one as it is.
    fn join(mut self, join: fn(Vec<SearchKey>) -> SearchKey) -> (SearchKey, usize) {
        match self.keys.pop() {
            None => (SearchKey::All, 0),
            Some(key) if self.keys.is_empty() => (key, self.depth),
            Some(key) => {
                self.keys.push(key);
                (join(self.keys), self.depth.saturating_add(1))
            }
        }
    }
}

impl Parser<'_> {
    /// ```text
    /// search         = "SEARCH" [search-return-opts] SP search-program
    /// search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)
    /// ```
    pub(super) fn search(&mut self, uid: bool) -> Parsed<Command> {
        let returns = self.sp_search_returns()?;
        let (charset, key) = self.search_program()?;
        let fetch = std::mem::take(&mut self.fetches);
        let search = Search {
            uid,
            returns,
            key,
            fetch,
        };
        check(&search, charset, false)?;
        Ok(Command::Search(search))
    }

    /// The space behind the command's name, and `RETURN (…)` with the space behind it if it is there.
    pub(super) fn sp_search_returns(&mut self) -> Parsed<Option<SearchReturn>> {
        self.sp()?;
        if !self.cursor.eat_ignore_case(b"RETURN ") {
            return Ok(None);
        }
        let returns = self.search_return_opts()?;
        self.sp()?;
        Ok(Some(returns))
    }

    /// ```text
    /// search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)
    /// ```
    pub(super) fn search_program(&mut self) -> Parsed<(Charset, SearchKey)> {
        let mut charset = UTF_8;
        if self.cursor.eat_ignore_case(b"CHARSET ") {
            // RFC 6855 §3: it could only contradict.
            if self.context.enabled.utf8_accept {
                let reply = Reply::bad("No CHARSET after ENABLE UTF8=ACCEPT");
                return Err(Stop::Refused(reply));
            }
            charset = self.charset()?;
            self.sp()?;
        }
        Ok((charset, self.search_keys(charset)?))
    }

    /// The charset of the texts that follow: any that the WHATWG's encoding standard has.
    pub(super) fn charset(&mut self) -> Parsed<Charset> {
        let name = self.astring_text("a charset")?;
        // US-ASCII is not what browsers take it for.
        if name.eq_ignore_ascii_case("US-ASCII") {
            return Ok(UTF_8);
        }
        Encoding::for_label_no_replacement(name.as_bytes())
            .ok_or_else(|| Stop::Refused(bad_charset(Status::No)))
    }

    /// ```text
    /// search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
    /// ```
    fn search_return_opts(&mut self) -> Parsed<SearchReturn> {
        self.open()?;
        let mut returns = SearchReturn::default();
        if !self.cursor.eat(b')') {
            loop {
                self.search_return_opt(&mut returns)?;
                if self.list_ends()? {
                    break;
                }
            }
        }
        if returns == SearchReturn::default() {
            // RFC 9051 §6.4.4: an empty list means ALL.
            returns.all = true;
        }
        Ok(returns)
    }

    /// ```text
    /// search-return-opt =/ "UPDATE" / "CONTEXT" / "PARTIAL" SP partial-range / "RELEVANCY"
    /// ```
    fn search_return_opt(&mut self, returns: &mut SearchReturn) -> Parsed<()> {
        let error = self.wrong("a result option");
        match self.word("a return option")?.as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            "UPDATE" => {
                returns.update = true;
                // RFC 5465 §7
                if self.cursor.eat_ignore_case(b" (") {
                    self.fetches = self.fetch_list()?;
                }
            }
            "CONTEXT" => returns.context = true,
            "RELEVANCY" => returns.relevancy = true,
            // RFC 5267 §4.4: PARTIAL or ALL at most once.
            "PARTIAL" if returns.partial.is_none() => {
                self.sp()?;
                returns.partial = Some(self.partial_range()?);
            }
            _ => return Err(error),
        }
        if returns.all && returns.partial.is_some() {
            return Err(error);
        }
        Ok(())
    }

    /// ```text
    /// partial-range-first = nz-number ":" nz-number
    /// partial-range-last  = "-" nz-number ":" "-" nz-number
    /// partial-range       = partial-range-first / partial-range-last
    /// ```
    pub(super) fn partial_range(&mut self) -> Parsed<PartialRange> {
        let error = self.wrong("a range of positions");
        let from_end = self.cursor.eat(b'-');
        let first = self.nz_number("a position")?;
        self.cursor.expect(b':', "a colon")?;
        if self.cursor.eat(b'-') != from_end {
            return Err(error);
        }
        let last = self.nz_number("a position")?;
        match (NonZeroU32::new(first), NonZeroU32::new(last)) {
            (Some(first), Some(last)) => Ok(PartialRange {
                first,
                last,
                from_end,
            }),
            _ => Err(error),
        }
    }

    /// The keys up to the end of the command, joined by AND.
    pub(super) fn search_keys(&mut self, charset: Charset) -> Parsed<SearchKey> {
        let mut top = Tree::default();
        let mut stack: Vec<Frame> = Vec::new();
        let (mut keys, mut parentheses) = (0_usize, 0_usize);
        loop {
            keys = keys.saturating_add(1);
            if keys > self.context.limits.search_keys {
                return Err(too_many("SEARCH has too many keys"));
            }
            if self.cursor.peek() == Some(b'(') {
                parentheses = parentheses.saturating_add(1);
                if parentheses > SearchKey::DEPTH_LIMIT {
                    return Err(too_many("SEARCH nests too deep"));
                }
                self.cursor.eat(b'(');
                stack.push(Frame::Group(Tree::default()));
                continue;
            }
            if self.cursor.eat_ignore_case(b"NOT ") {
                // Two of them say nothing.
                if matches!(stack.last(), Some(Frame::Not)) {
                    stack.pop();
                } else {
                    stack.push(Frame::Not);
                }
                continue;
            }
            if self.cursor.eat_ignore_case(b"FUZZY ") {
                // Fuzzier than fuzzy there is not.
                if !matches!(stack.last(), Some(Frame::Fuzzy)) {
                    stack.push(Frame::Fuzzy);
                }
                continue;
            }
            if self.cursor.eat_ignore_case(b"OR ") {
                stack.push(Frame::Or(Tree::default(), 0));
                continue;
            }
            let leaf = self.search_leaf(charset)?;
            if self.reduce(leaf, &mut stack, &mut top, &mut parentheses)? {
                return Ok(top.join(SearchKey::And).0);
            }
        }
    }

    /// Hands a complete key to what waits for it, and what that completes further on; true at the end of the command.
    fn reduce(
        &mut self,
        leaf: SearchKey,
        stack: &mut Vec<Frame>,
        top: &mut Tree,
        parentheses: &mut usize,
    ) -> Parsed<bool> {
        let (mut key, mut depth) = (leaf, 0_usize);
        loop {
            match stack.pop() {
                Some(Frame::Not) => {
                    (key, depth) = match key {
                        SearchKey::Not(inner) => (*inner, depth.saturating_sub(1)),
                        key => (SearchKey::Not(Box::new(key)), depth.saturating_add(1)),
                    };
                }
                Some(Frame::Fuzzy) => {
                    (key, depth) = (SearchKey::Fuzzy(Box::new(key)), depth.saturating_add(1));
                }
                Some(Frame::Or(mut tree, seen)) => {
                    match key {
                        SearchKey::Or(keys) => {
                            tree.keys.extend(keys);
                            tree.depth = tree.depth.max(depth.saturating_sub(1));
                        }
                        key => tree.add(key, depth),
                    }
                    if seen == 0 {
                        stack.push(Frame::Or(tree, 1));
                        self.sp()?;
                        return Ok(false);
                    }
                    (key, depth) = tree.join(SearchKey::Or);
                }
                Some(Frame::Group(mut tree)) => {
                    tree.add(key, depth);
                    if !self.list_ends()? {
                        stack.push(Frame::Group(tree));
                        return Ok(false);
                    }
                    *parentheses = parentheses.saturating_sub(1);
                    (key, depth) = tree.join(SearchKey::And);
                }
                None => {
                    top.add(key, depth);
                    if self.cursor.is_empty() {
                        return Ok(true);
                    }
                    self.sp()?;
                    return Ok(false);
                }
            }
            // One less than the limit: the top level may add one.
            if depth >= SearchKey::DEPTH_LIMIT {
                return Err(too_many("SEARCH nests too deep"));
            }
        }
    }

    /// A key that holds no other.
    ///
    /// ```text
    /// search-key = "ALL" / "ANSWERED" / "BCC" SP astring / "BEFORE" SP date / "BODY" SP astring / "CC" SP astring /
    ///              "DELETED" / "FLAGGED" / "FROM" SP astring / "KEYWORD" SP flag-keyword / "ON" SP date / "SEEN" /
    ///              "SINCE" SP date / "SUBJECT" SP astring / "TEXT" SP astring / "TO" SP astring / "UNANSWERED" /
    ///              "UNDELETED" / "UNFLAGGED" / "UNKEYWORD" SP flag-keyword / "UNSEEN" / "DRAFT" /
    ///              "HEADER" SP header-fld-name SP astring / "LARGER" SP number64 / "NOT" SP search-key /
    ///              "OR" SP search-key SP search-key / "SENTBEFORE" SP date / "SENTON" SP date / "SENTSINCE" SP date /
    ///              "SMALLER" SP number64 / "UID" SP sequence-set / "UNDRAFT" / sequence-set /
    ///              "(" search-key *(SP search-key) ")"
    /// search-key =/ "NEW" / "OLD" / "RECENT" ; RFC 3501 §9
    /// search-key =/ ("OLDER" / "YOUNGER") SP nz-number ; RFC 5032 §5
    /// search-key =/ "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer ; RFC 7162 §7
    /// search-key =/ ("SAVEDBEFORE" / "SAVEDON" / "SAVEDSINCE") SP date / "SAVEDATESUPPORTED" ; RFC 8514 §4.3
    /// search-key =/ ("EMAILID" / "THREADID") SP objectid ; RFC 8474 §7
    /// search-key =/ ("X-GM-MSGID" / "X-GM-THRID") SP number64 / "X-GM-LABELS" SP label / "X-GM-RAW" SP astring
    /// search-key =/ "FILTER" SP filter-name ; RFC 5466 §4
    /// search-key =/ "FUZZY" SP search-key ; RFC 6203 §7
    /// search-key =/ ("UIDAFTER" / "UIDBEFORE") SP uniqueid ; RFC 9738 §4
    /// search-key =/ "ANNOTATION" SP entry-match SP att-search SP value ; RFC 5257 §5
    /// ```
    fn search_leaf(&mut self, charset: Charset) -> Parsed<SearchKey> {
        use SearchKey as Key;
        if matches!(self.cursor.peek(), Some(b'0'..=b'9' | b'*' | b'$')) {
            let set = self.sequence_set()?;
            if self.context.enabled.uid_only && set != SequenceSet::Saved {
                // RFC 9586 §3.5
                let reply = Reply::bad("Use UID and a set").with(Code::UidRequired);
                return Err(Stop::Refused(reply));
            }
            return Ok(Key::Sequence(set));
        }
        let error = self.wrong("a search key");
        let not = |flag| Key::Not(Box::new(Key::Flag(flag)));
        Ok(match self.word("a search key")?.as_str() {
            "ALL" => Key::All,
            "ANSWERED" => Key::Flag(Flag::Answered),
            "DELETED" => Key::Flag(Flag::Deleted),
            "DRAFT" => Key::Flag(Flag::Draft),
            "FLAGGED" => Key::Flag(Flag::Flagged),
            "RECENT" => Key::Flag(Flag::Recent),
            "SEEN" => Key::Flag(Flag::Seen),
            "UNANSWERED" => not(Flag::Answered),
            "UNDELETED" => not(Flag::Deleted),
            "UNDRAFT" => not(Flag::Draft),
            "UNFLAGGED" => not(Flag::Flagged),
            "UNSEEN" => not(Flag::Seen),
            "OLD" => not(Flag::Recent),
            "NEW" => Key::And(vec![Key::Flag(Flag::Recent), not(Flag::Seen)]),
            "KEYWORD" => Key::Flag(self.sp().and_then(|()| self.keyword())?),
            "UNKEYWORD" => not(self.sp().and_then(|()| self.keyword())?),
            "BCC" => Key::Bcc(self.search_text(charset)?),
            "BODY" => Key::Body(self.search_text(charset)?),
            "CC" => Key::Cc(self.search_text(charset)?),
            "FROM" => Key::From(self.search_text(charset)?),
            "SUBJECT" => Key::Subject(self.search_text(charset)?),
            "TEXT" => Key::Text(self.search_text(charset)?),
            "TO" => Key::To(self.search_text(charset)?),
            "HEADER" => Key::Header {
                field: self.search_text(charset)?,
                text: self.search_text(charset)?,
            },
            "BEFORE" => Key::Before(self.sp().and_then(|()| self.date())?),
            "ON" => Key::On(self.sp().and_then(|()| self.date())?),
            "SINCE" => Key::Since(self.sp().and_then(|()| self.date())?),
            "SENTBEFORE" => Key::SentBefore(self.sp().and_then(|()| self.date())?),
            "SENTON" => Key::SentOn(self.sp().and_then(|()| self.date())?),
            "SENTSINCE" => Key::SentSince(self.sp().and_then(|()| self.date())?),
            "OLDER" => Key::Older(self.search_interval()?),
            "YOUNGER" => Key::Younger(self.search_interval()?),
            "MODSEQ" => Key::ModSeq(self.search_modseq()?),
            "SAVEDBEFORE" => Key::SavedBefore(self.sp().and_then(|()| self.date())?),
            "SAVEDON" => Key::SavedOn(self.sp().and_then(|()| self.date())?),
            "SAVEDSINCE" => Key::SavedSince(self.sp().and_then(|()| self.date())?),
            "SAVEDATESUPPORTED" => Key::SaveDateSupported,
            "EMAILID" => Key::EmailId(self.object_id()?),
            "THREADID" => Key::ThreadId(self.object_id()?),
            "ANNOTATION" => self.search_annotation(charset)?,
            "X-GM-MSGID" => Key::GmailMessageId(self.search_size()?),
            "X-GM-THRID" => Key::GmailThreadId(self.search_size()?),
            "X-GM-LABELS" => Key::GmailLabel(self.sp().and_then(|()| self.gmail_label())?),
            "X-GM-RAW" => Key::GmailRaw(self.search_text(charset)?),
            "FILTER" => Key::Filter(self.filter_name()?),
            "LARGER" => Key::Larger(self.search_size()?),
            "SMALLER" => Key::Smaller(self.search_size()?),
            "UID" => Key::Uid(self.sp().and_then(|()| self.sequence_set())?),
            // RFC 9738 §3.2: `*` has no part in it, so that nothing is found above the last.
            "UIDAFTER" => self.search_uid()?.checked_add(1).map_or_else(
                || Key::Not(Box::new(Key::All)),
                |first| uids(first, u32::MAX),
            ),
            "UIDBEFORE" => match self.search_uid()?.saturating_sub(1) {
                0 => Key::Not(Box::new(Key::All)),
                last => uids(1, last),
            },
            _ => return Err(error),
        })
    }

    fn search_text(&mut self, charset: Charset) -> Parsed<String> {
        self.sp()?;
        if charset == UTF_8 {
            return self.astring_text("a text in UTF-8");
        }
        let error = self.wrong("a text in the charset");
        let octets = self.astring("a text")?;
        charset
            .decode_without_bom_handling_and_without_replacement(&octets)
            .map(|text| text.into_owned())
            .ok_or(error)
    }

    fn search_uid(&mut self) -> Parsed<u32> {
        self.sp()?;
        self.nz_number("a UID")
    }

    fn search_size(&mut self) -> Parsed<u64> {
        self.sp()?;
        Ok(number64(&mut self.cursor, "a size in octets")?)
    }

    fn search_interval(&mut self) -> Parsed<NonZeroU32> {
        self.sp()?;
        let error = self.wrong("a number of seconds");
        NonZeroU32::new(self.nz_number("a number of seconds")?).ok_or(error)
    }

    /// ```text
    /// search-modseq-ext = *(SP entry-name SP entry-type-req)
    /// entry-name        = DQUOTE "/flags/" attr-flag DQUOTE
    /// entry-type-req    = "priv" / "shared" / "all"
    /// ```
    fn search_modseq(&mut self) -> Parsed<u64> {
        self.sp()?;
        if self.cursor.peek() == Some(b'"') {
            let error = self.wrong("the entry of a flag");
            let name = self.astring_text("an entry")?;
            let flag = name
                .get(..7)
                .is_some_and(|start| start.eq_ignore_ascii_case("/flags/"));
            self.sp()?;
            let kind = self.word("priv, shared or all")?;
            if !flag || !matches!(kind.as_str(), "PRIV" | "SHARED" | "ALL") {
                return Err(error);
            }
            self.sp()?;
        }
        Ok(number64(&mut self.cursor, "a mod-sequence")?)
    }

    /// ```text
    /// objectid = 1*255(ALPHA / DIGIT / "_" / "-")
    /// ```
    fn object_id(&mut self) -> Parsed<String> {
        self.sp()?;
        let error = self.wrong("an object identifier");
        let id = self.cursor.take_while1(
            |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'),
            "an object identifier",
        )?;
        match std::str::from_utf8(id) {
            Ok(id) if id.len() <= 255 => Ok(id.to_owned()),
            _ => Err(error),
        }
    }

    /// ```text
    /// filter-name = 1*<any ATOM-CHAR except "/">
    /// ```
    fn filter_name(&mut self) -> Parsed<String> {
        self.sp()?;
        let error = self.wrong("the name of a filter");
        let name = self.atom("the name of a filter")?;
        if name.contains('/') || name.len() > 255 {
            return Err(error);
        }
        Ok(name.to_owned())
    }
}

/// The UIDs of a range.
fn uids(first: u32, last: u32) -> SearchKey {
    let bound = |number| NonZeroU32::new(number).map_or(Bound::Last, Bound::Number);
    SearchKey::Uid(SequenceSet::Ranges(vec![(bound(first), bound(last))]))
}

/// What the grammar does not say of a search.
pub(super) fn check(search: &Search, charset: Charset, by_relevancy: bool) -> Parsed<()> {
    let relevancy = by_relevancy || search.returns.is_some_and(|returns| returns.relevancy);
    if relevancy && !search.key.any(&|key| matches!(key, SearchKey::Fuzzy(_))) {
        // RFC 6203 §4
        return Err(Stop::Refused(Reply::bad("RELEVANCY needs a FUZZY key")));
    }
    if charset != UTF_8 && search.key.any(&|key| matches!(key, SearchKey::Filter(_))) {
        // RFC 5466 §3.1
        return Err(Stop::Refused(bad_charset(Status::Bad)));
    }
    Ok(())
}

/// The refusal of a charset, with those that can be had (RFC 9051 §6.4.4).
fn bad_charset(status: Status) -> Reply {
    let known = ["UTF-8", "US-ASCII"].into_iter().map(str::to_owned);
    let others = OTHER_CHARSETS
        .iter()
        .map(|charset| charset.name().to_owned());
    Reply::new(status, "That charset is not supported")
        .with(Code::BadCharset(known.chain(others).collect()))
}

/// The charsets told besides UTF-8; each has many labels more.
static OTHER_CHARSETS: [Charset; 36] = [
    encoding_rs::BIG5,
    encoding_rs::EUC_JP,
    encoding_rs::EUC_KR,
    encoding_rs::GB18030,
    encoding_rs::GBK,
    encoding_rs::IBM866,
    encoding_rs::ISO_2022_JP,
    encoding_rs::ISO_8859_10,
    encoding_rs::ISO_8859_13,
    encoding_rs::ISO_8859_14,
    encoding_rs::ISO_8859_15,
    encoding_rs::ISO_8859_16,
    encoding_rs::ISO_8859_2,
    encoding_rs::ISO_8859_3,
    encoding_rs::ISO_8859_4,
    encoding_rs::ISO_8859_5,
    encoding_rs::ISO_8859_6,
    encoding_rs::ISO_8859_7,
    encoding_rs::ISO_8859_8,
    encoding_rs::KOI8_R,
    encoding_rs::KOI8_U,
    encoding_rs::MACINTOSH,
    encoding_rs::SHIFT_JIS,
    encoding_rs::UTF_16BE,
    encoding_rs::UTF_16LE,
    encoding_rs::WINDOWS_1250,
    encoding_rs::WINDOWS_1251,
    encoding_rs::WINDOWS_1252,
    encoding_rs::WINDOWS_1253,
    encoding_rs::WINDOWS_1254,
    encoding_rs::WINDOWS_1255,
    encoding_rs::WINDOWS_1256,
    encoding_rs::WINDOWS_1257,
    encoding_rs::WINDOWS_1258,
    encoding_rs::WINDOWS_874,
    encoding_rs::X_MAC_CYRILLIC,
];
