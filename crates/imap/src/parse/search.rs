//! SEARCH.
//!
//! Keys nest, and the client decides how deep, so that a stack of our own takes the place of recursion. It is bounded
//! by the number of keys; the tree it builds by [`SearchKey::DEPTH_LIMIT`].

use super::base::number64;
use super::{Parsed, Parser, Stop, too_many};
use crate::{Code, Command, Flag, Reply, Search, SearchKey, SearchReturn};

/// A key that is not complete.
enum Frame {
    /// `NOT`, and its key to come.
    Not,
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
        self.sp()?;
        let mut returns = None;
        if self.cursor.eat_ignore_case(b"RETURN ") {
            returns = Some(self.search_return_opts()?);
            self.sp()?;
        }
        if self.cursor.eat_ignore_case(b"CHARSET ") {
            let charset = self.astring_text("a charset")?;
            if !["UTF-8", "US-ASCII"]
                .iter()
                .any(|known| charset.eq_ignore_ascii_case(known))
            {
                // RFC 9051 §6.4.4
                let known = Code::BadCharset(vec!["UTF-8".to_owned(), "US-ASCII".to_owned()]);
                return Err(Stop::Refused(
                    Reply::no("That charset is not supported").with(known),
                ));
            }
            self.sp()?;
        }
        let key = self.search_keys()?;
        Ok(Command::Search(Search { uid, returns, key }))
    }

    /// ```text
    /// search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
    /// ```
    fn search_return_opts(&mut self) -> Parsed<SearchReturn> {
        self.open()?;
        let mut returns = SearchReturn::default();
        if !self.cursor.eat(b')') {
            loop {
                let error = self.wrong("MIN, MAX, ALL, COUNT or SAVE");
                match self.word("a return option")?.as_str() {
                    "MIN" => returns.min = true,
                    "MAX" => returns.max = true,
                    "ALL" => returns.all = true,
                    "COUNT" => returns.count = true,
                    "SAVE" => returns.save = true,
                    _ => return Err(error),
                }
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

    /// The keys up to the end of the command, joined by AND.
    fn search_keys(&mut self) -> Parsed<SearchKey> {
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
            if self.cursor.eat_ignore_case(b"OR ") {
                stack.push(Frame::Or(Tree::default(), 0));
                continue;
            }
            let leaf = self.search_leaf()?;
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
    /// ```
    fn search_leaf(&mut self) -> Parsed<SearchKey> {
        use SearchKey as Key;
        if matches!(self.cursor.peek(), Some(b'0'..=b'9' | b'*' | b'$')) {
            return self.sequence_set().map(Key::Sequence);
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
            "BCC" => Key::Bcc(self.search_text()?),
            "BODY" => Key::Body(self.search_text()?),
            "CC" => Key::Cc(self.search_text()?),
            "FROM" => Key::From(self.search_text()?),
            "SUBJECT" => Key::Subject(self.search_text()?),
            "TEXT" => Key::Text(self.search_text()?),
            "TO" => Key::To(self.search_text()?),
            "HEADER" => Key::Header {
                field: self.search_text()?,
                text: self.search_text()?,
            },
            "BEFORE" => Key::Before(self.sp().and_then(|()| self.date())?),
            "ON" => Key::On(self.sp().and_then(|()| self.date())?),
            "SINCE" => Key::Since(self.sp().and_then(|()| self.date())?),
            "SENTBEFORE" => Key::SentBefore(self.sp().and_then(|()| self.date())?),
            "SENTON" => Key::SentOn(self.sp().and_then(|()| self.date())?),
            "SENTSINCE" => Key::SentSince(self.sp().and_then(|()| self.date())?),
            "LARGER" => Key::Larger(self.search_size()?),
            "SMALLER" => Key::Smaller(self.search_size()?),
            "UID" => Key::Uid(self.sp().and_then(|()| self.sequence_set())?),
            _ => return Err(error),
        })
    }

    fn search_text(&mut self) -> Parsed<String> {
        self.sp()?;
        self.astring_text("a text in UTF-8")
    }

    fn search_size(&mut self) -> Parsed<u64> {
        self.sp()?;
        Ok(number64(&mut self.cursor, "a size in octets")?)
    }
}
