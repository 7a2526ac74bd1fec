//! The query language of Gmail (support.google.com/mail/answer/7190), as far as it is about what there is here.
//!
//! ```text
//! query = *(term ["OR" term])           ; one behind the other: all of them
//! term  = ["-"] (field ":" value / value)
//! value = word / DQUOTE words DQUOTE / "(" query ")" / "{" query "}"   ; braces: any of them
//! ```
//!
//! Words that are no field are looked for in all of the text, colon and all. What cannot be here, such as `is:muted`, finds
//! nothing. A parenthesis or quote that is left open ends with the text.
//!
//! Limits: [`DEPTH`], [`KEYS`].

use std::num::NonZeroU32;

use ::imap::{Code, Date, Flag, GmailLabel, MailboxName, Reply, SearchKey, Status, SystemLabel};

/// Groups within groups.
pub const DEPTH: usize = 16;

/// Terms of a query: as many as anybody types, and a bound on the work.
const KEYS: usize = 200;

/// What a value is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Text,
    From,
    To,
    Cc,
    Bcc,
    Subject,
    Label,
    Is,
    Has,
    FileName,
    Before,
    After,
    OlderThan,
    NewerThan,
    Larger,
    Smaller,
    MessageId,
    List,
    DeliveredTo,
}

/// By name.
const FIELDS: [(&str, Field); 22] = [
    ("from", Field::From),
    ("to", Field::To),
    ("cc", Field::Cc),
    ("bcc", Field::Bcc),
    ("subject", Field::Subject),
    ("label", Field::Label),
    ("in", Field::Label),
    ("is", Field::Is),
    ("has", Field::Has),
    ("filename", Field::FileName),
    ("before", Field::Before),
    ("older", Field::Before),
    ("after", Field::After),
    ("newer", Field::After),
    ("older_than", Field::OlderThan),
    ("newer_than", Field::NewerThan),
    ("larger", Field::Larger),
    ("size", Field::Larger),
    ("smaller", Field::Smaller),
    ("rfc822msgid", Field::MessageId),
    ("list", Field::List),
    ("deliveredto", Field::DeliveredTo),
];

/// What a query means.
pub fn parse(text: &str) -> Result<SearchKey, Reply> {
    let mut query = Query {
        rest: text,
        keys: 0,
    };
    let mut all = Vec::new();
    // A closing parenthesis without an opening one closes nothing.
    while !query.rest.is_empty() {
        all.extend(query.terms(Field::Text, None, 0)?);
    }
    Ok(join(all, SearchKey::And).unwrap_or(SearchKey::All))
}

struct Query<'t> {
    rest: &'t str,
    keys: usize,
}

impl<'t> Query<'t> {
    /// Terms up to this end, which is taken away, or any other.
    fn terms(
        &mut self,
        field: Field,
        end: Option<char>,
        depth: usize,
    ) -> Result<Vec<SearchKey>, Reply> {
        if depth > DEPTH {
            return Err(refused("the query nests too deep"));
        }
        let mut keys: Vec<SearchKey> = Vec::new();
        let mut either = false;
        loop {
            self.rest = self.rest.trim_start();
            let Some(first) = self.rest.chars().next() else {
                return Ok(keys);
            };
            if matches!(first, ')' | '}') {
                if end.is_none() || end == Some(first) {
                    self.skip(first);
                }
                return Ok(keys);
            }
            if self.eat_word("OR") || self.eat_word("|") {
                either = !keys.is_empty();
                continue;
            }
            if self.eat_word("AND") {
                continue;
            }
            let Some(key) = self.term(field, depth)? else {
                continue;
            };
            match keys.pop() {
                // `a OR b c` is `(a OR b) c`.
                Some(before) if either => keys.extend(join(vec![before, key], SearchKey::Or)),
                before => keys.extend(before.into_iter().chain([key])),
            }
            either = false;
        }
    }

    fn term(&mut self, field: Field, depth: usize) -> Result<Option<SearchKey>, Reply> {
        self.keys = self.keys.saturating_add(1);
        if self.keys > KEYS {
            return Err(refused("the query has too many terms"));
        }
        if let Some(rest) = self.rest.strip_prefix('-') {
            self.rest = rest;
            let key = self.term(field, depth.saturating_add(1))?;
            return Ok(key.map(|key| match key {
                SearchKey::Not(key) => *key,
                key => SearchKey::Not(Box::new(key)),
            }));
        }
        if depth > DEPTH {
            return Err(refused("the query nests too deep"));
        }
        // A plus asks for the very word, which is what is looked for anyway.
        self.rest = self.rest.strip_prefix('+').unwrap_or(self.rest);
        let named = FIELDS.iter().find_map(|(name, named)| {
            let (head, rest) = self.rest.split_at_checked(name.len())?;
            let rest = rest
                .strip_prefix(':')
                .filter(|_| head.eq_ignore_ascii_case(name))?;
            Some((*named, rest))
        });
        let field = match named {
            Some((named, rest)) => {
                self.rest = rest.trim_start();
                named
            }
            None => field,
        };
        self.value(field, depth)
    }

    fn value(&mut self, field: Field, depth: usize) -> Result<Option<SearchKey>, Reply> {
        let depth = depth.saturating_add(1);
        match self.rest.chars().next() {
            Some('(') => {
                self.skip('(');
                let keys = self.terms(field, Some(')'), depth)?;
                Ok(join(keys, SearchKey::And))
            }
            Some('{') => {
                self.skip('{');
                let keys = self.terms(field, Some('}'), depth)?;
                Ok(join(keys, SearchKey::Or))
            }
            Some('"') => {
                self.skip('"');
                let (phrase, rest) = self.rest.split_once('"').unwrap_or((self.rest, ""));
                self.rest = rest;
                let words: Vec<&str> = phrase.split_whitespace().collect();
                leaf(field, &words.join(" "))
            }
            _ => {
                let word = self.word();
                self.rest = self.rest.get(word.len()..).unwrap_or_default();
                leaf(field, word)
            }
        }
    }

    fn word(&self) -> &'t str {
        let ends = |c: char| c.is_whitespace() || "(){}\"".contains(c);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        self.rest.get(..end).unwrap_or_default()
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.word() == word;
        if found {
            self.rest = self.rest.get(word.len()..).unwrap_or_default();
        }
        found
    }

    fn skip(&mut self, octet: char) {
        self.rest = self.rest.strip_prefix(octet).unwrap_or(self.rest);
    }
}

fn join(mut keys: Vec<SearchKey>, by: fn(Vec<SearchKey>) -> SearchKey) -> Option<SearchKey> {
    match keys.len() {
        0 | 1 => keys.pop(),
        _ => Some(by(keys)),
    }
}

fn refused(text: &'static str) -> Reply {
    Reply::coded(Status::No, Code::Cannot, text)
}

/// Finds nothing.
fn nothing() -> SearchKey {
    SearchKey::Not(Box::new(SearchKey::All))
}

fn leaf(field: Field, value: &str) -> Result<Option<SearchKey>, Reply> {
    use SearchKey as Key;
    if value.is_empty() {
        return Ok(None);
    }
    let text = value.to_owned();
    let header = |name: &str| Key::Header {
        field: name.to_owned(),
        text: value.to_owned(),
    };
    Ok(Some(match field {
        Field::Text => Key::Text(text),
        Field::From => Key::From(text),
        Field::To => Key::To(text),
        Field::Cc => Key::Cc(text),
        Field::Bcc => Key::Bcc(text),
        Field::Subject => Key::Subject(text),
        Field::MessageId => header("Message-ID"),
        Field::List => header("List-ID"),
        Field::DeliveredTo => header("Delivered-To"),
        Field::FileName => Key::GmailAttachment(Some(text)),
        Field::Has => match value.eq_ignore_ascii_case("attachment") {
            true => Key::GmailAttachment(None),
            false => nothing(),
        },
        Field::Label => state(value).unwrap_or_else(|| label(value)),
        Field::Is => state(value).unwrap_or_else(nothing),
        Field::Before => Key::Before(day(value)?),
        Field::After => Key::Since(day(value)?),
        Field::OlderThan => Key::Older(span(value)?),
        Field::NewerThan => Key::Younger(span(value)?),
        Field::Larger => Key::Larger(size(value)?),
        Field::Smaller => Key::Smaller(size(value)?),
    }))
}

/// What `is:` says, and `in:` and `label:` as well.
fn state(value: &str) -> Option<SearchKey> {
    let system = |label| Some(SearchKey::GmailLabel(GmailLabel::System(label)));
    match value.to_ascii_lowercase().as_str() {
        "unread" => Some(SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen)))),
        "read" => Some(SearchKey::Flag(Flag::Seen)),
        "starred" => Some(SearchKey::Flag(Flag::Flagged)),
        "important" => system(SystemLabel::Important),
        _ => None,
    }
}

fn label(value: &str) -> SearchKey {
    if value.eq_ignore_ascii_case("anywhere") || value.eq_ignore_ascii_case("all") {
        return SearchKey::All;
    }
    let plain = value.strip_prefix('\\').unwrap_or(value);
    if let Some(system) = SystemLabel::from_name(plain) {
        return SearchKey::GmailLabel(GmailLabel::System(system));
    }
    match MailboxName::new(value) {
        Ok(name) => SearchKey::GmailLabel(GmailLabel::Mailbox(name)),
        Err(_) => nothing(),
    }
}

/// `2004/04/16`, `2004-04-16` or `04/16/2004`.
fn day(value: &str) -> Result<Date, Reply> {
    let numbers: Option<Vec<u16>> = value.split(['/', '-']).map(|n| n.parse().ok()).collect();
    let date = match numbers.as_deref() {
        Some([year, month, day]) if *year > 31 => Some((*year, *month, *day)),
        Some([month, day, year]) => Some((*year, *month, *day)),
        _ => None,
    };
    let small = |n: u16| u8::try_from(n).ok();
    date.and_then(|(year, month, day)| Date::new(year, small(month)?, small(day)?))
        .ok_or_else(|| refused("a day is written 2004/04/16"))
}

/// `3d`, `2m` (of thirty days) or `1y`, in seconds.
fn span(value: &str) -> Result<NonZeroU32, Reply> {
    const DAY: u32 = 86_400;
    let units = [("d", DAY), ("m", 30 * DAY), ("y", 365 * DAY), ("h", 3_600)];
    units
        .iter()
        .find_map(|(unit, seconds)| {
            let number = value.strip_suffix(unit)?.parse::<u32>().ok()?;
            NonZeroU32::new(number.saturating_mul(*seconds))
        })
        .ok_or_else(|| refused("a span is written 3d, 2m or 1y"))
}

/// Octets, with `K`, `M` or `G`.
fn size(value: &str) -> Result<u64, Reply> {
    let upper = value.to_ascii_uppercase();
    let number = upper.strip_suffix('B').unwrap_or(&upper);
    let (number, shift) = match number.chars().last() {
        Some('K') => (number.strip_suffix('K'), 10),
        Some('M') => (number.strip_suffix('M'), 20),
        Some('G') => (number.strip_suffix('G'), 30),
        _ => (Some(number), 0),
    };
    number
        .and_then(|number| number.parse::<u32>().ok())
        .map(|number| u64::from(number) << shift)
        .ok_or_else(|| refused("a size is written 5000, 10K or 3M"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use SearchKey as K;

    fn text(text: &str) -> K {
        K::Text(text.to_owned())
    }

    fn not(key: K) -> K {
        K::Not(Box::new(key))
    }

    fn system(label: SystemLabel) -> K {
        K::GmailLabel(GmailLabel::System(label))
    }

    #[test]
    fn queries() {
        let unread = || not(K::Flag(Flag::Seen));
        let named =
            |name: &str| K::GmailLabel(GmailLabel::Mailbox(MailboxName::new(name).unwrap()));
        let date = |y, m, d| Date::new(y, m, d).unwrap();
        let seconds = |n| NonZeroU32::new(n).unwrap();
        let header = |field: &str, text: &str| K::Header {
            field: field.into(),
            text: text.into(),
        };
        for (query, expected) in [
            ("", K::All),
            ("  ", K::All),
            ("()", K::All),
            ("dinner", text("dinner")),
            ("dinner movie", K::And(vec![text("dinner"), text("movie")])),
            ("\"dinner  and\tmovie\"", text("dinner and movie")),
            (
                "dinner AND movie",
                K::And(vec![text("dinner"), text("movie")]),
            ),
            (
                "from:amy OR from:david to:me",
                K::And(vec![
                    K::Or(vec![K::From("amy".into()), K::From("david".into())]),
                    K::To("me".into()),
                ]),
            ),
            (
                "{from:amy from:david}",
                K::Or(vec![K::From("amy".into()), K::From("david".into())]),
            ),
            (
                "dinner -movie",
                K::And(vec![text("dinner"), not(text("movie"))]),
            ),
            ("--x", text("x")),
            ("-(a b)", not(K::And(vec![text("a"), text("b")]))),
            (
                "subject:(dinner -movie)",
                K::And(vec![
                    K::Subject("dinner".into()),
                    not(K::Subject("movie".into())),
                ]),
            ),
            (
                "Subject:\"anniversary party\"",
                K::Subject("anniversary party".into()),
            ),
            (
                "cc:a bcc:b",
                K::And(vec![K::Cc("a".into()), K::Bcc("b".into())]),
            ),
            ("in:inbox", system(SystemLabel::Inbox)),
            ("in:spam", system(SystemLabel::Junk)),
            ("label:muy-importante", named("muy-importante")),
            ("label:\"Muy Importante\"", named("Muy Importante")),
            ("in:anywhere", K::All),
            (
                "has:attachment in:unread",
                K::And(vec![K::GmailAttachment(None), unread()]),
            ),
            ("is:unread", unread()),
            ("is:read", K::Flag(Flag::Seen)),
            ("is:starred", K::Flag(Flag::Flagged)),
            ("is:important", system(SystemLabel::Important)),
            ("is:muted", not(K::All)),
            ("has:drive", not(K::All)),
            ("filename:pdf", K::GmailAttachment(Some("pdf".into()))),
            ("after:2004/04/16", K::Since(date(2004, 4, 16))),
            ("newer:04/16/2004", K::Since(date(2004, 4, 16))),
            ("before:2004-04-16", K::Before(date(2004, 4, 16))),
            ("older_than:1y", K::Older(seconds(31_536_000))),
            ("newer_than:2d", K::Younger(seconds(172_800))),
            ("larger:10M", K::Larger(10 << 20)),
            ("size:1000000", K::Larger(1_000_000)),
            ("smaller:5kb", K::Smaller(5 << 10)),
            ("rfc822msgid:<a@b>", header("Message-ID", "<a@b>")),
            (
                "list:info@example.org",
                header("List-ID", "info@example.org"),
            ),
            ("unknown:thing", text("unknown:thing")),
            ("+word", text("word")),
            ("(a", text("a")),
            ("\"a b", text("a b")),
            ("a) b", K::And(vec![text("a"), text("b")])),
            ("OR a", text("a")),
            ("a OR", text("a")),
            ("from: amy", K::From("amy".into())),
        ] {
            assert_eq!(parse(query), Ok(expected), "{query}");
        }
        for query in [
            "after:yesterday",
            "before:2004/13/01",
            "older_than:x",
            "newer_than:0d",
            "larger:many",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }

    /// Attack A20: queries that nest or go on for ever.
    #[test]
    fn a20_queries_are_bounded() {
        assert!(parse(&"(".repeat(100_000)).is_err());
        assert!(parse(&"{".repeat(17)).is_err());
        assert!(parse(&"-".repeat(100_000)).is_err());
        assert!(parse(&"a ".repeat(201)).is_err());
        assert!(parse(&"a ".repeat(200)).is_ok());
        let nested = format!("{}a{}", "(".repeat(15), ")".repeat(15));
        assert_eq!(parse(&nested), Ok(text("a")));
        assert!(parse(&")".repeat(100_000)).is_ok());
    }
}
