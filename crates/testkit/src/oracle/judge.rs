//! Whether what a server said is what a dialog expects, judged by meaning.
//!
//! What never counts as a difference:
//!
//! - the text behind OK, NO, BAD and `+` (RFC 9051 §7.1), and the case of words;
//! - a quoted string, a literal or an atom for the same string (RFC 9051 §4.3);
//! - the order of FETCH and STATUS items, of flags, of LIST attributes, of
//!   capabilities, of the numbers of SEARCH, of rights and of annotations;
//! - `1:3` for `1,2,3`;
//! - the order of untagged responses, and one FETCH or two for one message
//!   (RFC 9051 §7: each says by itself what it is about);
//! - UID and MODSEQ beside the FETCH items that were asked for (RFC 7162 §3.2.4);
//! - the case of media types and parameters in BODYSTRUCTURE (RFC 2045 §5.1);
//! - an untagged OK that only tells people something (RFC 9051 §7.1.1);
//! - UID in FETCH responses to commands that do not ask for it (RFC 9051 §7.5.2);
//! - the order in which EXPUNGE removes the same messages;
//! - `\Recent` in a list of flags (RFC 3501 §2.3.2; RFC 9051 §E has removed it);
//! - a day written `" 8-Feb"` or `"08-Feb"` (RFC 9051 §9 `date-day-fixed`).
//!
//! Everything else has to be explained.

use super::value::{Response, Value, read};
use crate::dialog::pattern::{Pattern, Values};

/// Longest list of numbers that is compared number by number.
const NUMBERS: u64 = 10_000;

/// Something the dialog expects.
#[derive(Clone, Debug)]
pub struct Expected {
    /// As the dialog has it; a literal's lines belong to it.
    pub text: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Line(Pattern, Option<Response>),
    Words(Vec<String>),
}

/// A response of the server, without its last line end.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its octets, literals included.
    pub raw: Vec<u8>,
    /// What they mean.
    pub tree: Option<Response>,
}

/// What of the two is left when they were laid upon each other.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// Expected, not said.
    pub ours: Vec<String>,
    /// Said, not expected.
    pub theirs: Vec<Vec<u8>>,
}

impl Expected {
    /// A response with holes; `text` is what reports name it by.
    pub fn line(text: String, source: &[u8]) -> Result<Expected, String> {
        let pattern = Pattern::parse(&String::from_utf8_lossy(source))?;
        Ok(Expected {
            text,
            what: What::Line(pattern, read(source)),
        })
    }

    /// With one more line.
    pub fn and(self, text: &str, line: &[u8]) -> Result<Expected, String> {
        let What::Line(pattern, _) = &self.what else {
            return Ok(self);
        };
        let source = [pattern.source().as_slice(), b"\r\n", line].concat();
        Expected::line(format!("{}\\r\\n{text}", self.text), &source)
    }

    /// Whether it is data with a hole, and may go on with lines of a literal.
    pub fn may_hide_a_literal(&self) -> bool {
        let data = matches!(&self.what, What::Line(_, Some(Response::Data(_)) | None));
        data && self.text.contains("{{*}}")
    }

    /// A response with (and, behind `!`, without) these words.
    pub fn words(text: String, words: &[String]) -> Expected {
        Expected {
            text,
            what: What::Words(words.to_vec()),
        }
    }

    /// The tag of the answer that ends a command.
    pub fn tag(&self) -> Option<String> {
        let tag = match &self.what {
            What::Line(_, Some(Response::Status { tag, .. })) => tag.as_str(),
            What::Line(_, Some(_)) => return None,
            // `g {{*}}`: any answer to g.
            What::Line(..) => self.text.split_whitespace().next()?,
            What::Words(words) => words.first()?,
        };
        (tag != "*" && !tag.starts_with('+')).then(|| tag.to_owned())
    }

    /// Whether this asks the client to go on.
    pub fn invites(&self) -> bool {
        matches!(&self.what, What::Line(_, Some(Response::Continue)))
    }

    fn fits(&self, said: &Said, uid: bool, values: &mut Values) -> bool {
        let (pattern, tree) = match &self.what {
            What::Words(words) => return has(words, &said.raw),
            What::Line(pattern, tree) => (pattern, tree),
        };
        if pattern.matches(&said.raw, values) {
            return true;
        }
        let (Some(expected), Some(tree)) = (tree, &said.tree) else {
            return false;
        };
        let mut captured = values.clone();
        let (expected, tree) = (plain(expected, uid), plain(tree, uid));
        let fits = responses(&expected, &tree, &mut captured);
        if fits {
            *values = captured;
        }
        fits
    }
}

impl Said {
    /// Reads a response of IMAP.
    pub fn imap(raw: Vec<u8>) -> Said {
        let tree = read(&raw);
        Said { raw, tree }
    }

    /// The tag, where it is the last answer to a command.
    pub fn tag(&self) -> Option<&str> {
        match &self.tree {
            Some(Response::Status { tag, .. }) if tag != "*" => Some(tag),
            _ => None,
        }
    }

    /// `* OK` that only tells people something.
    fn is_chatter(&self) -> bool {
        match &self.tree {
            Some(Response::Status { tag, word, code }) => {
                tag == "*" && word == "OK" && code.is_none()
            }
            _ => false,
        }
    }

    /// The number and the items, where it is a FETCH response.
    fn fetch(&self) -> Option<(&Value, &[Value])> {
        match &self.tree {
            Some(Response::Data(values)) => match values.as_slice() {
                [number, word, Value::List(items)] if word.is("FETCH") => Some((number, items)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Lays what was said to a command upon what is expected. With `open`,
/// untagged data that nobody expects is left out of the rest.
pub fn judge(
    command: &str,
    expected: &[Expected],
    open: bool,
    said: Vec<Said>,
    values: &mut Values,
) -> Rest {
    let uid = command.to_ascii_uppercase().contains("UID");
    let mut said: Vec<Option<Said>> = said.into_iter().map(Some).collect();
    let mut missing: Vec<&Expected> = expected.iter().collect();
    drop_same_expunges(&mut missing, &mut said);
    missing = pair(missing, &mut said, uid, values);
    if missing.iter().any(|e| e.text.contains(" FETCH ")) && merge(&mut said) {
        missing = pair(missing, &mut said, uid, values);
    }
    let ours: Vec<String> = missing.into_iter().map(|e| e.text.clone()).collect();
    let unexpected = |said: &Said| {
        !said.is_chatter()
            && (!open
                || said.tag().is_some()
                || matches!(said.tree, None | Some(Response::Continue)))
    };
    let rest = said.into_iter().flatten();
    Rest {
        ours,
        theirs: rest.filter(unexpected).map(|said| said.raw).collect(),
    }
}

/// Takes away what fits together; returns what is still expected.
fn pair<'a>(
    expected: Vec<&'a Expected>,
    said: &mut [Option<Said>],
    uid: bool,
    values: &mut Values,
) -> Vec<&'a Expected> {
    let mut missing = Vec::new();
    for expected in expected {
        let found = said
            .iter()
            .position(|s| s.as_ref().is_some_and(|s| expected.fits(s, uid, values)));
        match found {
            Some(n) => said[n] = None,
            None => missing.push(expected),
        }
    }
    missing
}

/// Makes one of the FETCH responses that are left for the same message. The later value of an item counts.
fn merge(said: &mut [Option<Said>]) -> bool {
    let mut merged = false;
    for first in 0..said.len() {
        for second in first + 1..said.len() {
            let (head, tail) = said.split_at_mut(second);
            let (Some(one), Some(two)) = (&head[first], &tail[0]) else {
                continue;
            };
            let (Some((number, items)), Some((same, more))) = (one.fetch(), two.fetch()) else {
                continue;
            };
            if number != same {
                continue;
            }
            let kept = items
                .chunks(2)
                .filter(|pair| !more.chunks(2).any(|m| m.first() == pair.first()));
            let items: Vec<Value> = kept.chain(more.chunks(2)).flatten().cloned().collect();
            let fetch = Value::Atom(b"FETCH".to_vec());
            let tree = Response::Data(vec![number.clone(), fetch, Value::List(items)]);
            let raw = [one.raw.as_slice(), b"\r\n", two.raw.as_slice()].concat();
            head[first] = Some(Said {
                raw,
                tree: Some(tree),
            });
            tail[0] = None;
            merged = true;
        }
    }
    merged
}

/// Drops the EXPUNGE responses of both sides where they remove the same
/// messages: `4 EXPUNGE, 3 EXPUNGE` is `3 EXPUNGE, 3 EXPUNGE`.
fn drop_same_expunges(expected: &mut Vec<&Expected>, said: &mut [Option<Said>]) {
    fn number(tree: Option<&Response>) -> Option<u32> {
        let Some(Response::Data(values)) = tree else {
            return None;
        };
        match values.as_slice() {
            [number, word] if word.is("EXPUNGE") => {
                std::str::from_utf8(number.text()?).ok()?.parse().ok()
            }
            _ => None,
        }
    }
    let ours = |e: &Expected| match &e.what {
        What::Line(_, tree) => number(tree.as_ref()),
        What::Words(_) => None,
    };
    let theirs = |s: &Option<Said>| s.as_ref().and_then(|s| number(s.tree.as_ref()));
    let one: Vec<u32> = expected.iter().filter_map(|e| ours(e)).collect();
    let other: Vec<u32> = said.iter().filter_map(theirs).collect();
    if originals(&one) == originals(&other) {
        expected.retain(|e| ours(e).is_none());
        for said in said {
            if theirs(said).is_some() {
                *said = None;
            }
        }
    }
}

/// The numbers that the messages had before the first of these EXPUNGE responses.
fn originals(expunged: &[u32]) -> Vec<u32> {
    let mut gone: Vec<u32> = Vec::new();
    for number in expunged {
        let mut original = *number;
        for other in &gone {
            if *other <= original {
                original += 1;
            }
        }
        gone.push(original);
        gone.sort_unstable();
    }
    gone
}

/// Whether a line has these words as the dialog runner means it.
pub fn has(words: &[String], line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_uppercase();
    let present: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || "()[]\"".contains(c))
        .collect();
    words.iter().all(|word| {
        let word = word.to_ascii_uppercase();
        match word.strip_prefix('!') {
            Some(absent) => !present.contains(&absent),
            None => present.contains(&word.as_str()),
        }
    })
}

/// A response without what never counts.
fn plain(response: &Response, uid: bool) -> Response {
    let Response::Data(values) = response else {
        return response.clone();
    };
    let mut values = values.clone();
    match values.as_mut_slice() {
        [_, word, Value::List(items)] if word.is("FETCH") => {
            let mut kept = Vec::new();
            let mut rest = items.drain(..).peekable();
            while let Some(name) = rest.next() {
                if name == Value::Open {
                    kept.push(name);
                    continue;
                }
                let mut value = rest.next();
                if name.is("UID") && !uid {
                    continue;
                }
                match &mut value {
                    Some(Value::List(flags)) if name.is("FLAGS") => drop_recent(flags),
                    Some(Value::String(date)) if name.is("INTERNALDATE") => {
                        for digit in date.iter_mut().take(1).filter(|digit| **digit == b'0') {
                            *digit = b' ';
                        }
                    }
                    _ => {}
                }
                kept.push(name);
                kept.extend(value);
            }
            drop(rest);
            *items = kept;
        }
        [word, Value::List(flags)] if word.is("FLAGS") => drop_recent(flags),
        _ => {}
    }
    Response::Data(values)
}

fn drop_recent(flags: &mut Vec<Value>) {
    flags.retain(|flag| !flag.is("\\Recent"));
}

fn responses(expected: &Response, said: &Response, values: &mut Values) -> bool {
    match (expected, said) {
        (Response::Continue, Response::Continue) => true,
        (
            Response::Status { tag, word, code },
            Response::Status {
                tag: their_tag,
                word: their_word,
                code: their_code,
            },
        ) => {
            tag == their_tag
                && word == their_word
                && match (code, their_code) {
                    (None, _) => true,
                    (Some(code), Some(theirs)) => codes(code, theirs, values),
                    (Some(_), None) => false,
                }
        }
        (Response::Data(expected), Response::Data(said)) => data(expected, said, values),
        _ => false,
    }
}

fn codes(expected: &[Value], said: &[Value], values: &mut Values) -> bool {
    let (Some(word), Some(theirs)) = (expected.first(), said.first()) else {
        return expected.len() == said.len();
    };
    if *word == Value::Open {
        return true;
    }
    if !same(word, theirs, values) {
        return false;
    }
    let (expected, said) = (&expected[1..], &said[1..]);
    if word.is("CAPABILITY") {
        return set(expected, said, values);
    }
    match (expected, said) {
        ([Value::List(expected)], [Value::List(said)])
            if word.is("PERMANENTFLAGS") || word.is("BADCHARSET") =>
        {
            set(expected, said, values)
        }
        _ => sequence(expected, said, values),
    }
}

/// Untagged data, by its keyword.
fn data(expected: &[Value], said: &[Value], values: &mut Values) -> bool {
    let keyword = |list: &[Value]| {
        let text = list.first().and_then(Value::text).unwrap_or_default();
        String::from_utf8_lossy(text).to_ascii_uppercase()
    };
    let word = keyword(expected);
    let numbered = |list: &[Value]| {
        list.get(1)
            .is_some_and(|v| v.is("FETCH") || v.is("UIDFETCH"))
    };
    if let ([number, fetch, Value::List(items)], true) = (expected, numbered(expected)) {
        return match said {
            [theirs, other, Value::List(said)] => {
                same(number, theirs, values)
                    && same(fetch, other, values)
                    && pairs(items, said, &["UID", "MODSEQ"], values)
            }
            _ => false,
        };
    }
    if word != keyword(said) {
        return sequence(expected, said, values);
    }
    match (word.as_str(), &expected[1..], &said[1..]) {
        ("SEARCH" | "CAPABILITY" | "ENABLED", expected, said) => set(expected, said, values),
        ("FLAGS", [Value::List(expected)], [Value::List(said)]) => set(expected, said, values),
        ("LIST" | "LSUB", [Value::List(ours), rest @ ..], [Value::List(theirs), more @ ..]) => {
            set(ours, theirs, values) && sequence(rest, more, values)
        }
        ("STATUS", [name, Value::List(expected)], [theirs, Value::List(said)]) => {
            same(name, theirs, values) && pairs(expected, said, &[], values)
        }
        ("METADATA", [name, Value::List(expected)], [theirs, Value::List(said)]) => {
            same(name, theirs, values) && pairs(expected, said, &[], values)
        }
        ("METADATA", expected, said) => set(expected, said, values),
        ("ESEARCH", expected, said) => esearch(expected, said, values),
        ("ACL", [name, expected @ ..], [theirs, said @ ..]) => {
            same(name, theirs, values) && pairs(&rights(expected, 1), &rights(said, 1), &[], values)
        }
        ("MYRIGHTS", expected, said) => sequence(&rights(expected, 1), &rights(said, 1), values),
        ("LISTRIGHTS", expected, said) => {
            let (expected, said) = (rights(expected, 0), rights(said, 0));
            expected.len() >= 3
                && said.len() >= 3
                && sequence(&expected[..3], &said[..3], values)
                && set(&expected[3..], &said[3..], values)
        }
        (_, expected, said) => sequence(expected, said, values),
    }
}

/// ESEARCH: what it answers, whether it is about UIDs, and pairs in any order.
fn esearch(expected: &[Value], said: &[Value], values: &mut Values) -> bool {
    fn split(list: &[Value]) -> (&[Value], bool, &[Value]) {
        let (head, rest) = match list {
            [Value::List(correlator), rest @ ..] => (correlator.as_slice(), rest),
            rest => (&[] as &[Value], rest),
        };
        match rest {
            [uid, rest @ ..] if uid.is("UID") => (head, true, rest),
            rest => (head, false, rest),
        }
    }
    let (ours, uid, expected) = split(expected);
    let (theirs, their_uid, said) = split(said);
    uid == their_uid && pairs(ours, theirs, &[], values) && pairs(expected, said, &[], values)
}

/// With the letters of the rights sorted; they stand at every second place, from the end.
fn rights(list: &[Value], odd: usize) -> Vec<Value> {
    let sorted = |value: &Value| match value {
        Value::Atom(text) | Value::String(text) if !text.starts_with(b"{{") => {
            let mut text = text.clone();
            text.sort_unstable();
            Value::Atom(text)
        }
        other => other.clone(),
    };
    list.iter()
        .enumerate()
        .map(
            |(n, value)| match odd == 0 && n >= 2 || odd == 1 && n % 2 == 1 {
                true => sorted(value),
                false => value.clone(),
            },
        )
        .collect()
}

/// Names with values, in any order; what was said beyond must be among `extra`, unless the list is open.
fn pairs(expected: &[Value], said: &[Value], extra: &[&str], values: &mut Values) -> bool {
    let mut left: Vec<Option<&[Value]>> = said.chunks(2).map(Some).collect();
    let mut rest = expected;
    let mut open = false;
    while let Some((name, tail)) = rest.split_first() {
        rest = tail;
        if *name == Value::Open {
            open = true;
            continue;
        }
        let value = rest.first();
        rest = rest.get(1..).unwrap_or_default();
        let found = left.iter().position(|pair| {
            pair.is_some_and(|pair| {
                let mut tried = values.clone();
                let fits = pair.first().is_some_and(|n| same(name, n, &mut tried))
                    && match (value, pair.get(1)) {
                        (Some(value), Some(theirs)) => item(name, value, theirs, &mut tried),
                        (value, theirs) => value.is_none() && theirs.is_none(),
                    };
                if fits {
                    *values = tried;
                }
                fits
            })
        });
        match found {
            Some(n) => left[n] = None,
            None => return false,
        }
    }
    open || left
        .iter()
        .flatten()
        .all(|pair| extra.iter().any(|word| pair[0].is(word)))
}

/// The value of an item: flags are a set, and media types have no case.
fn item(name: &Value, expected: &Value, said: &Value, values: &mut Values) -> bool {
    match (expected, said) {
        (Value::List(expected), Value::List(said)) if name.is("FLAGS") => {
            set(expected, said, values)
        }
        _ if name.is("BODYSTRUCTURE") || name.is("BODY") => {
            same(&folded(expected), &folded(said), values)
        }
        _ => same(expected, said, values),
    }
}

fn folded(value: &Value) -> Value {
    match value {
        Value::Atom(text) => Value::Atom(text.to_ascii_uppercase()),
        Value::String(text) => Value::String(text.to_ascii_uppercase()),
        Value::List(values) => Value::List(values.iter().map(folded).collect()),
        Value::Open => Value::Open,
    }
}

fn set(expected: &[Value], said: &[Value], values: &mut Values) -> bool {
    let mut left: Vec<Option<&Value>> = said.iter().map(Some).collect();
    let mut open = false;
    for value in expected {
        if *value == Value::Open {
            open = true;
            continue;
        }
        let found = left
            .iter()
            .position(|theirs| theirs.is_some_and(|theirs| same(value, theirs, values)));
        match found {
            Some(n) => left[n] = None,
            None => return false,
        }
    }
    open || left.iter().all(Option::is_none)
}

fn sequence(expected: &[Value], said: &[Value], values: &mut Values) -> bool {
    match expected.split_first() {
        None => said.is_empty(),
        Some((Value::Open, rest)) => (0..=said.len()).any(|n| {
            let mut tried = values.clone();
            let fits = sequence(rest, &said[n..], &mut tried);
            if fits {
                *values = tried;
            }
            fits
        }),
        Some((first, rest)) => match said.split_first() {
            Some((theirs, more)) => same(first, theirs, values) && sequence(rest, more, values),
            None => false,
        },
    }
}

fn same(expected: &Value, said: &Value, values: &mut Values) -> bool {
    match (expected, said) {
        (Value::Open, _) => true,
        (Value::List(expected), Value::List(said)) => sequence(expected, said, values),
        (Value::List(_), _) | (_, Value::List(_) | Value::Open) => false,
        (Value::Atom(_) | Value::String(_), _) => {
            if expected.is("NIL") || said.is("NIL") {
                return expected.is("NIL") && said.is("NIL");
            }
            let atoms = matches!((expected, said), (Value::Atom(_), Value::Atom(_)));
            let ours = expected.text().unwrap_or_default();
            let theirs = said.text().unwrap_or_default();
            if ours.windows(2).any(|two| two == b"{{") {
                let pattern = Pattern::parse(&String::from_utf8_lossy(ours));
                return pattern.is_ok_and(|pattern| pattern.matches(theirs, values));
            }
            ours == theirs
                || atoms
                    && (ours.eq_ignore_ascii_case(theirs)
                        || numbers(ours).is_some_and(|n| Some(n) == numbers(theirs)))
        }
    }
}

/// The numbers of a set, in its order.
fn numbers(text: &[u8]) -> Option<Vec<u64>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        if first.abs_diff(last) > NUMBERS || all.len() as u64 > NUMBERS {
            return None;
        }
        match first <= last {
            true => all.extend(first..=last),
            false => all.extend((last..=first).rev()),
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(expected: &[&str], said: &[&str]) -> (usize, usize) {
        let expected: Vec<Expected> = expected
            .iter()
            .map(|text| Expected::line((*text).to_owned(), text.as_bytes()).expect("pattern"))
            .collect();
        let said = said
            .iter()
            .map(|text| Said::imap(text.as_bytes().to_vec()))
            .collect();
        let rest = judge("a FETCH 1 UID", &expected, false, said, &mut Values::new());
        (rest.ours.len(), rest.theirs.len())
    }

    #[test]
    fn the_same_in_other_words_is_no_difference() {
        for (expected, said) in [
            ("a NO [BADURL {{*}}", "a NO [badurl /x] no such message"),
            (
                "* 1 FETCH (FLAGS (\\Seen $a) UID 1)",
                "* 1 FETCH (UID 1 FLAGS ($a \\Seen))",
            ),
            (
                "* 1 FETCH (BODY[1] {5}\r\nfirst)",
                "* 1 FETCH (BODY[1] \"first\")",
            ),
            (
                "* 1 FETCH (FLAGS ())",
                "* 1 FETCH (UID 7 FLAGS () MODSEQ (3))",
            ),
            ("* STATUS x (A 1 B {{#}})", "* STATUS \"x\" (B 2 A 1)"),
            (
                "* ESEARCH (TAG \"d\") ALL 1,3:4",
                "* ESEARCH (TAG \"d\") ALL 1,3,4",
            ),
            (
                "* ESEARCH (TAG \"d\") MIN 1 COUNT 2",
                "* ESEARCH (TAG d) COUNT 2 MIN 1",
            ),
            ("* SEARCH 1 2", "* SEARCH 2 1"),
            ("* ACL x alice lrs", "* ACL x alice srl"),
            (
                "* LIST ({{*}}\\Sent) \"/\" Sent",
                "* LIST (\\Sent \\A) \"/\" Sent",
            ),
            ("+ {{*}}", "+ OK"),
        ] {
            assert_eq!(rest(&[expected], &[said]), (0, 0), "{expected} / {said}");
        }
    }

    #[test]
    fn another_meaning_is_a_difference() {
        for (expected, said) in [
            ("a NO {{*}}", "a BAD x"),
            ("a NO [TRYCREATE] {{*}}", "a NO x"),
            ("a OK [READ-ONLY] {{*}}", "a OK [READ-WRITE] x"),
            ("* 1 FETCH (FLAGS (\\Seen))", "* 1 FETCH (FLAGS ())"),
            (
                "* 1 FETCH (FLAGS ())",
                "* 1 FETCH (FLAGS () INTERNALDATE \"x\")",
            ),
            ("* 1 FETCH (BODY[1] NIL)", "* 1 FETCH (BODY[1] \"NIL\")"),
            ("* 1 FETCH (BODY[1] \"a\")", "* 1 FETCH (BODY[1] \"A\")"),
            ("* SEARCH 1", "* SEARCH 1 2"),
            ("* SORT 1 2", "* SORT 2 1"),
            (
                "* ESEARCH (TAG \"d\") UID ALL 1",
                "* ESEARCH (TAG \"d\") ALL 1",
            ),
            (
                "* ESEARCH (TAG \"d\") ALL 2,1",
                "* ESEARCH (TAG \"d\") ALL 1:2",
            ),
            ("* 2 EXISTS", "* 3 EXISTS"),
            ("* ACL x alice lrs", "* ACL x alice lr"),
            ("* LIST () \"/\" a", "* LIST (\\Marked) \"/\" a"),
            ("* VANISHED 1", "* VANISHED (EARLIER) 1"),
        ] {
            assert_eq!(rest(&[expected], &[said]), (1, 1), "{expected} / {said}");
        }
    }

    #[test]
    fn captures_hold_across_responses() {
        let both = [
            "* OK [UIDVALIDITY {{v}}] {{*}}",
            "a OK [COPYUID {{v}} 1 1] {{*}}",
        ];
        let good = ["* OK [UIDVALIDITY 7] x", "a OK [COPYUID 7 1 1] x"];
        let bad = ["* OK [UIDVALIDITY 7] x", "a OK [COPYUID 8 1 1] x"];
        assert_eq!(rest(&both, &good), (0, 0));
        assert_eq!(rest(&both, &bad), (1, 1));
    }

    #[test]
    fn expunges_and_fetches_are_laid_together() {
        let down = ["* 5 EXPUNGE", "* 3 EXPUNGE", "* 2 EXPUNGE", "a OK x"];
        let up = ["* 2 EXPUNGE", "* 2 EXPUNGE", "* 3 EXPUNGE", "a OK x"];
        let other = ["* 2 EXPUNGE", "* 3 EXPUNGE", "* 3 EXPUNGE", "a OK x"];
        assert_eq!(rest(&down, &up), (0, 0));
        assert_ne!(rest(&down, &other), (0, 0));
        let one = ["* 3 FETCH (BODY[TEXT] \"\" FLAGS (\\Seen))"];
        let two = [
            "* 3 FETCH (FLAGS (\\Seen))",
            "* 3 FETCH (BODY[TEXT] {0}\r\n)",
        ];
        assert_eq!(rest(&one, &two), (0, 0));
    }
}
