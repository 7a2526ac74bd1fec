//! Annotations of messages (RFC 5257 §5), as either side writes them.

use wire::output::Output;

use super::command::Writer;
use super::{astring, literal_head, number, separated, string};
use crate::{
    AnnotationData, AnnotationFetch, AnnotationScope, AnnotationSupport, NewAnnotation,
    StoreAnnotation,
};

/// ```text
/// "ANNOTATION" SP ("(" entry-att *(SP entry-att) ")" / "(" entry *(SP entry) ")")
/// ```
pub(crate) fn item(out: &mut Output, data: &AnnotationData, utf8: bool) {
    out.put(b"ANNOTATION (");
    match data {
        AnnotationData::Changed(entries) => {
            separated(out, entries, |out, entry| {
                astring(out, entry.as_bytes(), utf8);
            });
        }
        AnnotationData::Values(entries) => {
            separated(out, entries, |out, (entry, attributes)| {
                astring(out, entry.as_bytes(), utf8);
                out.put(b" (");
                separated(out, attributes, |out, (attribute, octets)| {
                    astring(out, attribute.as_bytes(), utf8);
                    out.put(b" ");
                    value(out, octets.as_deref(), utf8);
                });
                out.put(b")");
            });
        }
    }
    out.put(b")");
}

/// ```text
/// value = nstring / literal8
/// ```
fn value(out: &mut Output, value: Option<&[u8]>, utf8: bool) {
    match value {
        None => out.put(b"NIL"),
        // Only a literal8 holds NUL.
        Some(octets) if octets.contains(&0) => {
            out.put(b"~");
            literal_head(out, octets.len());
            out.put(octets);
        }
        Some(octets) => string(out, octets, utf8),
    }
}

/// ```text
/// ann-size = "NONE" / (("READ-ONLY" / nz-number) [SP "NOPRIVATE"])
/// ```
pub(crate) fn support(out: &mut Output, support: AnnotationSupport) {
    let AnnotationSupport::Some { max_size, private } = support else {
        return out.put(b"NONE");
    };
    match max_size {
        None => out.put(b"READ-ONLY"),
        Some(size) => number(out, size.max(1)),
    }
    if !private {
        out.put(b" NOPRIVATE");
    }
}

/// ```text
/// fetch-att =/ "ANNOTATION" SP "(" entries SP attribs ")"
/// ```
pub(crate) fn fetch(out: &mut Output, wanted: &AnnotationFetch) {
    out.put(b"ANNOTATION ((");
    separated(out, &wanted.entries, |out, entry| pattern(out, entry));
    out.put(b") (");
    separated(out, &wanted.attributes, |out, attribute| {
        out.put(attribute.kind.name().as_bytes());
        out.put(scope(attribute.scope).as_bytes());
    });
    out.put(b"))");
}

/// A pattern, whose wildcards are no characters of an astring.
pub(crate) fn pattern(out: &mut Output, entry: &str) {
    let list = |octet: u8| crate::parse::is_astring_char(octet) || matches!(octet, b'*' | b'%');
    match entry.bytes().all(list) && !entry.is_empty() {
        true => out.put(entry.as_bytes()),
        false => string(out, entry.as_bytes(), false),
    }
}

/// The suffix of an attribute.
pub(crate) fn scope(scope: Option<AnnotationScope>) -> &'static str {
    scope.map_or("", AnnotationScope::suffix)
}

impl Writer {
    pub(super) fn store_annotation(&mut self, store: &StoreAnnotation) {
        self.sp_set(&store.set);
        if let Some(modseq) = store.unchanged_since {
            self.put(&format!(" (UNCHANGEDSINCE {modseq})"));
        }
        self.att_annotate(&store.annotations);
    }

    /// ```text
    /// SP "ANNOTATION" SP "(" entry-att *(SP entry-att) ")"
    /// ```
    pub(super) fn att_annotate(&mut self, annotations: &[NewAnnotation]) {
        let mut before = " ANNOTATION (";
        for annotation in annotations {
            self.put(before);
            before = " ";
            astring(&mut self.out, annotation.entry.as_bytes(), self.utf8);
            self.put(" (value");
            self.put(annotation.scope.suffix());
            self.put(" ");
            match &annotation.value {
                None => self.put("NIL"),
                Some(value) => {
                    let prefix = if value.contains(&0) { "~" } else { "" };
                    self.literal(value, prefix);
                }
            }
            self.put(")");
        }
        self.put(")");
    }
}
