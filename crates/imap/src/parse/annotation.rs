//! Annotations of messages (RFC 5257 §5), wherever commands and responses have them.

use super::base::{is_list_char, number64};
use super::search::Charset;
use super::{Parsed, Parser, too_many};
use crate::{
    AnnotationAttribute, AnnotationData, AnnotationFetch, AnnotationKind, AnnotationScope,
    AnnotationSupport, AnnotationValue, Code, Command, NewAnnotation, SearchKey, SequenceSet,
    SortKey, StoreAnnotation,
};

/// Entries in one command, and attributes of one of them.
const ENTRIES: usize = 200;
/// Octets of an entry's name.
const NAME: usize = 255;
/// Numbers of a part, as in FETCH.
const PART_DEPTH: usize = 100;

/// Whether this can be the name of an entry (RFC 5257 §3.2), or a pattern of names.
fn is_entry(name: &str, wild: bool) -> bool {
    let mut octets = name.bytes();
    let known = octets.all(|octet| match octet {
        b'*' | b'%' => wild,
        octet => matches!(octet, b' '..=b'~'),
    });
    let rooted = name.starts_with('/') || wild && name.starts_with(['*', '%']);
    let whole = !name.contains("//") && !name.ends_with('/');
    known && rooted && whole && name.len() <= NAME && is_of_part(name)
}

/// RFC 5257 §3.2.1: what begins with a digit names a part of the message, and names it right.
fn is_of_part(name: &str) -> bool {
    let first = name
        .strip_prefix('/')
        .and_then(|rest| rest.split('/').next());
    let Some(first) = first.filter(|first| first.starts_with(|c: char| c.is_ascii_digit())) else {
        return true;
    };
    // What a pattern leaves open cannot be wrong.
    if first.contains(['*', '%']) {
        return true;
    }
    let number = |text: &str| {
        text.bytes().all(|octet| octet.is_ascii_digit())
            && !text.starts_with('0')
            && text.parse::<u32>().is_ok()
    };
    first.split('.').all(number) && first.split('.').count() <= PART_DEPTH
}

impl Parser<'_> {
    /// ```text
    /// entry = astring ; slash-separated path to entry, MUST NOT contain "*" or "%"
    /// ```
    fn annotation_entry(&mut self) -> Parsed<String> {
        let error = self.wrong("the name of an entry");
        let name = self.astring_text("the name of an entry")?;
        match is_entry(&name, false) {
            true => Ok(name),
            false => Err(error),
        }
    }

    /// ```text
    /// entry-match = list-mailbox ; slash-separated path to entry, MAY contain "*" or "%"
    /// ```
    fn annotation_pattern(&mut self) -> Parsed<String> {
        let error = self.wrong("the name of an entry or a pattern");
        let name = match self.string()? {
            Some(text) => text.into_owned(),
            None => self
                .cursor
                .take_while1(is_list_char, "the name of an entry or a pattern")?
                .to_vec(),
        };
        match String::from_utf8(name) {
            Ok(name) if is_entry(&name, true) => Ok(name),
            _ => Err(error),
        }
    }

    /// Names are told apart by case (RFC 5257 §3.2).
    ///
    /// ```text
    /// attrib = astring ; dot-separated attribute name
    /// ```
    fn annotation_attribute(&mut self) -> Parsed<AnnotationAttribute> {
        let error = self.wrong("value or size, with .priv, .shared or neither");
        let name = self.astring_text("an attribute")?;
        attribute(&name).ok_or(error)
    }

    /// ```text
    /// att-search = "value" / "value.priv" / "value.shared"
    /// att-sort   = "value.priv" / "value.shared"
    /// ```
    fn value_scope(&mut self) -> Parsed<Option<AnnotationScope>> {
        let error = self.wrong("value, value.priv or value.shared");
        let name = self.word("value")?.to_ascii_lowercase();
        match attribute(&name) {
            Some(AnnotationAttribute {
                kind: AnnotationKind::Value,
                scope,
            }) => Ok(scope),
            _ => Err(error),
        }
    }

    /// ```text
    /// fetch-att =/ "ANNOTATION" SP "(" entries SP attribs ")"
    /// entries   = entry-match / "(" entry-match *(SP entry-match) ")"
    /// attribs   = attrib / "(" attrib *(SP attrib) ")"
    /// ```
    pub(super) fn fetch_annotation(&mut self) -> Parsed<AnnotationFetch> {
        self.sp()?;
        self.open()?;
        let entries = self.one_or_list(|parser| parser.annotation_pattern())?;
        self.sp()?;
        let attributes = self.one_or_list(|parser| parser.annotation_attribute())?;
        self.cursor.expect(b')', "a closing parenthesis")?;
        Ok(AnnotationFetch {
            entries,
            attributes,
        })
    }

    /// One, or some in parentheses, each once.
    fn one_or_list<T: PartialEq>(
        &mut self,
        one: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        if !self.cursor.eat(b'(') {
            return Ok(vec![one(self)?]);
        }
        let mut list = Vec::new();
        loop {
            let item = one(self)?;
            if list.len() == ENTRIES {
                return Err(too_many("ANNOTATION names too much"));
            }
            if !list.contains(&item) {
                list.push(item);
            }
            if self.list_ends()? {
                return Ok(list);
            }
        }
    }

    /// Behind `ANNOTATION SP`. Clients say which of the two values they mean, and cannot store a size (RFC 5257 §3.2.2).
    ///
    /// ```text
    /// att-annotate = "ANNOTATION" SP "(" entry-att *(SP entry-att) ")"
    /// entry-att    = entry SP "(" att-value *(SP att-value) ")"
    /// att-value    = attrib SP value
    /// ```
    pub(super) fn att_annotate(&mut self) -> Parsed<Vec<NewAnnotation>> {
        self.open()?;
        let mut annotations: Vec<NewAnnotation> = Vec::new();
        loop {
            let entry = self.annotation_entry()?;
            self.sp()?;
            self.open()?;
            loop {
                let error = self.wrong("value.priv or value.shared");
                let attribute = self.annotation_attribute()?;
                let (AnnotationKind::Value, Some(scope)) = (attribute.kind, attribute.scope) else {
                    return Err(error);
                };
                self.sp()?;
                let value = self.metadata_value()?;
                if annotations.len() == ENTRIES {
                    return Err(too_many("ANNOTATION has too many values"));
                }
                annotations.retain(|known| known.entry != entry || known.scope != scope);
                annotations.push(NewAnnotation {
                    entry: entry.clone(),
                    scope,
                    value,
                });
                if self.list_ends()? {
                    break;
                }
            }
            if self.list_ends()? {
                return Ok(annotations);
            }
        }
    }

    /// Behind `ANNOTATION SP` of STORE.
    ///
    /// ```text
    /// store-att-flags =/ att-annotate
    /// ```
    pub(super) fn store_annotation(
        &mut self,
        uid: bool,
        set: SequenceSet,
        unchanged_since: Option<u64>,
    ) -> Parsed<Command> {
        Ok(Command::StoreAnnotation(StoreAnnotation {
            uid,
            set,
            unchanged_since,
            annotations: self.att_annotate()?,
        }))
    }

    /// ```text
    /// search-key =/ "ANNOTATION" SP entry-match SP att-search SP value
    /// value      = nstring / literal8
    /// ```
    pub(super) fn search_annotation(&mut self, charset: Charset) -> Parsed<SearchKey> {
        self.sp()?;
        let entry = self.annotation_pattern()?;
        self.sp()?;
        let scope = self.value_scope()?;
        self.sp()?;
        let error = self.wrong("a text in the charset, or NIL");
        let text = match self.metadata_value()? {
            None => None,
            Some(octets) => Some(
                charset
                    .decode_without_bom_handling_and_without_replacement(&octets)
                    .map(|text| text.into_owned())
                    .ok_or(error)?,
            ),
        };
        Ok(SearchKey::Annotation { entry, scope, text })
    }

    /// ```text
    /// sort-key =/ "ANNOTATION" SP entry SP att-sort
    /// ```
    pub(super) fn sort_annotation(&mut self) -> Parsed<SortKey> {
        self.sp()?;
        let entry = self.annotation_entry()?;
        self.sp()?;
        let error = self.wrong("value.priv or value.shared");
        let scope = self.value_scope()?.ok_or(error)?;
        Ok(SortKey::Annotation { entry, scope })
    }

    /// ```text
    /// msg-att-dynamic =/ "ANNOTATION" SP ("(" entry-att *(SP entry-att) ")" / "(" entry *(SP entry) ")")
    /// ```
    pub(super) fn annotation_item(&mut self) -> Parsed<AnnotationData> {
        self.open()?;
        // Cyrus tells none like that.
        if self.cursor.eat(b')') {
            return Ok(AnnotationData::Values(Vec::new()));
        }
        let (mut values, mut changed) = (Vec::new(), Vec::new());
        loop {
            let entry = self.astring_text("the name of an entry")?;
            if self.cursor.eat_ignore_case(b" (") {
                values.push((entry, self.annotation_values()?));
            } else {
                changed.push(entry);
            }
            if self.list_ends()? {
                return Ok(match changed.is_empty() {
                    true => AnnotationData::Values(values),
                    false => AnnotationData::Changed(changed),
                });
            }
        }
    }

    fn annotation_values(&mut self) -> Parsed<Vec<AnnotationValue>> {
        let mut attributes = Vec::new();
        loop {
            let attribute = self.astring_text("an attribute")?;
            self.sp()?;
            attributes.push((attribute, self.nstring()?));
            if self.list_ends()? {
                return Ok(attributes);
            }
        }
    }

    /// ```text
    /// resp-text-code =/ "ANNOTATE" SP "TOOBIG" / "ANNOTATE" SP "TOOMANY" / "ANNOTATIONS" SP ann-size
    /// ```
    pub(super) fn annotate_code(&mut self) -> Parsed<Code> {
        self.sp()?;
        let error = self.wrong("TOOBIG or TOOMANY");
        match self.word("TOOBIG or TOOMANY")?.as_str() {
            "TOOBIG" => Ok(Code::AnnotateTooBig),
            "TOOMANY" => Ok(Code::AnnotateTooMany),
            _ => Err(error),
        }
    }

    /// ```text
    /// ann-size = "NONE" / (("READ-ONLY" / nz-number) [SP "NOPRIVATE"])
    /// ```
    pub(super) fn annotations_code(&mut self) -> Parsed<Code> {
        self.sp()?;
        if self.cursor.eat_ignore_case(b"NONE") {
            return Ok(Code::Annotations(AnnotationSupport::None));
        }
        let max_size = match self.cursor.eat_ignore_case(b"READ-ONLY") {
            true => None,
            false => {
                let size = number64(&mut self.cursor, "a size, NONE or READ-ONLY")?;
                Some(u32::try_from(size).unwrap_or(u32::MAX))
            }
        };
        let private = !self.cursor.eat_ignore_case(b" NOPRIVATE");
        Ok(Code::Annotations(AnnotationSupport::Some {
            max_size,
            private,
        }))
    }
}

/// The attribute of a name.
fn attribute(name: &str) -> Option<AnnotationAttribute> {
    let (kind, scope) = match name.split_once('.') {
        None => (name, None),
        Some((kind, "priv")) => (kind, Some(AnnotationScope::Private)),
        Some((kind, "shared")) => (kind, Some(AnnotationScope::Shared)),
        Some(_) => return None,
    };
    let kinds = [AnnotationKind::Value, AnnotationKind::Size];
    let kind = kinds.into_iter().find(|known| known.name() == kind)?;
    Some(AnnotationAttribute { kind, scope })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Enabled, Limits, State};
    use crate::{FetchAttribute, NewMessage, Reply, Status};
    use AnnotationScope::{Private, Shared};

    fn parse(text: &str) -> Option<Command> {
        let limits = Limits::default();
        let context = crate::parse::Context {
            quirks: crate::server::Quirks::STRICT,
            state: State::Selected,
            utf8: false,
            login: false,
            enabled: Enabled::default(),
            limits: &limits,
        };
        let text = format!("a {text}");
        crate::parse::command(text.as_bytes(), context).2.ok()
    }

    fn new(entry: &str, scope: AnnotationScope, value: Option<&str>) -> NewAnnotation {
        NewAnnotation {
            entry: entry.to_owned(),
            scope,
            value: value.map(|value| value.as_bytes().to_vec()),
        }
    }

    fn wanted(text: &str) -> Option<AnnotationFetch> {
        let Some(Command::Fetch { attributes, .. }) = parse(&format!("FETCH 1 ({text})")) else {
            return None;
        };
        match attributes.as_slice() {
            [FetchAttribute::Annotation(wanted)] => Some(wanted.clone()),
            _ => None,
        }
    }

    #[test]
    fn fetch() {
        use AnnotationKind::{Size, Value};
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        for (text, entries, attributes) in [
            (
                "ANNOTATION (/comment value)",
                names(&["/comment"]),
                vec![(Value, None)],
            ),
            (
                "annotation (/* (value.priv size.priv))",
                names(&["/*"]),
                vec![(Value, Some(Private)), (Size, Some(Private))],
            ),
            (
                "ANNOTATION ((/comment \"/alt subject\" /comment) value.shared)",
                names(&["/comment", "/alt subject"]),
                vec![(Value, Some(Shared))],
            ),
        ] {
            let attributes = attributes.into_iter();
            let expected = AnnotationFetch {
                entries,
                attributes: attributes
                    .map(|(kind, scope)| AnnotationAttribute { kind, scope })
                    .collect(),
            };
            assert_eq!(wanted(text), Some(expected), "{text}");
        }
        for wrong in [
            "ANNOTATION",
            "ANNOTATION ()",
            "ANNOTATION (/comment)",
            "ANNOTATION (/comment ())",
            "ANNOTATION (() value)",
            "ANNOTATION (/comment VALUE)",
            "ANNOTATION (/comment value.both)",
            "ANNOTATION (/comment value.priv.shared)",
            "ANNOTATION (/comment content-type)",
            "ANNOTATION (comment value)",
            "ANNOTATION (/comment/ value)",
            "ANNOTATION (/0/comment value)",
        ] {
            assert_eq!(wanted(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn store_and_append() {
        let Some(Command::StoreAnnotation(store)) = parse(
            "UID STORE 1:3 (UNCHANGEDSINCE 9) ANNOTATION (/comment (value.priv \"a\" value.shared NIL) /1/flags/seen (value.priv {1}\r\n1) /comment (value.priv \"b\"))",
        ) else {
            panic!("no STORE");
        };
        assert!(store.uid);
        assert_eq!(store.unchanged_since, Some(9));
        assert_eq!(
            store.annotations,
            [
                new("/comment", Shared, None),
                new("/1/flags/seen", Private, Some("1")),
                new("/comment", Private, Some("b")),
            ]
        );
        for wrong in [
            "STORE 1 ANNOTATION ()",
            "STORE 1 ANNOTATION (/comment ())",
            "STORE 1 ANNOTATION (/comment (value \"x\"))",
            "STORE 1 ANNOTATION (/comment (size.priv \"1\"))",
            "STORE 1 ANNOTATION (/comment (value.priv x))",
            "STORE 1 ANNOTATION (/com* (value.priv \"x\"))",
            "STORE 1 +ANNOTATION (/comment (value.priv \"x\"))",
            "STORE 1 ANNOTATION.SILENT (/comment (value.priv \"x\"))",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let many = vec!["/comment (value.priv NIL)"; 300].join(" ");
        // The same value again and again is one; as many different ones are too many.
        assert!(parse(&format!("STORE 1 ANNOTATION ({many})")).is_some());
        let many: Vec<String> = (0..300)
            .map(|n| format!("/vendor/x/{n} (value.priv NIL)"))
            .collect();
        assert_eq!(
            parse(&format!("STORE 1 ANNOTATION ({})", many.join(" "))),
            None
        );
        let limits = Limits::default();
        let context = crate::parse::Context {
            quirks: crate::server::Quirks::STRICT,
            state: State::Selected,
            utf8: false,
            login: false,
            enabled: Enabled::default(),
            limits: &limits,
        };
        let text =
            b"a APPEND drafts (\\Draft) ANNOTATION (/comment (value.priv {5}\r\nx y z)) {310}";
        let Err(crate::parse::Stop::Message(mut outline, literal)) =
            crate::parse::command(text, context).2
        else {
            panic!("no message");
        };
        assert_eq!(literal.size, 310);
        let message: NewMessage = outline.append.messages.remove(0);
        assert_eq!(
            message.annotations,
            [new("/comment", Private, Some("x y z"))]
        );
    }

    #[test]
    fn search_and_sort() {
        let key = |text: &str| match parse(text) {
            Some(Command::Search(search)) => Some(search.key),
            _ => None,
        };
        let annotation = |entry: &str, scope, text: Option<&str>| SearchKey::Annotation {
            entry: entry.to_owned(),
            scope,
            text: text.map(str::to_owned),
        };
        for (text, expected) in [
            (
                "SEARCH ANNOTATION /comment value \"IMAP4\"",
                annotation("/comment", None, Some("IMAP4")),
            ),
            (
                "SEARCH ANNOTATION * value.priv \"IMAP4\"",
                annotation("*", Some(Private), Some("IMAP4")),
            ),
            (
                "SEARCH ANNOTATION /% VALUE.SHARED NIL",
                annotation("/%", Some(Shared), None),
            ),
            (
                "SEARCH CHARSET ISO-8859-1 ANNOTATION /x value {1}\r\n\u{7f}",
                annotation("/x", None, Some("\u{7f}")),
            ),
        ] {
            assert_eq!(key(text), Some(expected), "{text}");
        }
        for wrong in [
            "SEARCH ANNOTATION /comment size \"1\"",
            "SEARCH ANNOTATION /comment value IMAP4",
            "SEARCH ANNOTATION /comment/ value \"x\"",
            "SORT (ANNOTATION /comment value) UTF-8 ALL",
            "SORT (ANNOTATION /% value.priv) UTF-8 ALL",
            "SORT (ANNOTATION /comment size.priv) UTF-8 ALL",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let Some(Command::Sort { criteria, .. }) =
            parse("SORT (REVERSE ANNOTATION /altsubject value.shared SUBJECT) UTF-8 ALL")
        else {
            panic!("no SORT");
        };
        assert!(criteria[0].reverse);
        assert_eq!(
            criteria[0].key,
            SortKey::Annotation {
                entry: "/altsubject".to_owned(),
                scope: Shared
            }
        );
    }

    #[test]
    fn codes_are_read_as_they_are_written() {
        let some =
            |max_size, private| Code::Annotations(AnnotationSupport::Some { max_size, private });
        for (code, text) in [
            (Code::AnnotateTooBig, "[ANNOTATE TOOBIG]"),
            (Code::AnnotateTooMany, "[ANNOTATE TOOMANY]"),
            (
                Code::Annotations(AnnotationSupport::None),
                "[ANNOTATIONS NONE]",
            ),
            (some(Some(20_480), false), "[ANNOTATIONS 20480 NOPRIVATE]"),
            (some(Some(20_480), true), "[ANNOTATIONS 20480]"),
            (some(None, true), "[ANNOTATIONS READ-ONLY]"),
            (some(None, false), "[ANNOTATIONS READ-ONLY NOPRIVATE]"),
        ] {
            let mut out = wire::output::Output::new();
            let reply = Reply::new(Status::Ok, "done").with(code.clone());
            crate::encode::reply::reply(&mut out, "a", &reply, false);
            let mut written = Vec::new();
            while let Some(chunk) = out.take() {
                written.extend_from_slice(&chunk);
            }
            let written = String::from_utf8(written).unwrap();
            assert!(written.contains(text), "{written}");
            let read = crate::parse::response::response(written.trim_end().as_bytes(), false);
            let read = format!("{read:?}");
            assert!(read.contains(&format!("{code:?}")), "{read}");
        }
    }

    #[test]
    fn names_of_entries() {
        for (name, is, pattern) in [
            ("/comment", true, true),
            ("/vendor/foobar/label.priv", true, true),
            ("/1/comment", true, true),
            ("/1.2.33/flags/seen", true, true),
            ("/*", false, true),
            ("*", false, true),
            ("/%/comment", false, true),
            ("/1%/comment", false, true),
            ("/0/comment", false, false),
            ("/01/comment", false, false),
            ("/1./comment", false, false),
            ("/1x/comment", false, false),
            ("/4294967296/comment", false, false),
            ("/", false, false),
            ("//comment", false, false),
            ("/comment/", false, false),
            ("comment", false, false),
            ("/com\u{e9}", false, false),
            ("/com\nment", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_entry(name, false), is, "{name}");
            assert_eq!(is_entry(name, true), pattern, "{name}");
        }
        assert!(!is_entry(&format!("/{}", "x".repeat(255)), false));
    }
}
