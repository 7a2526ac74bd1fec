//! Annotations of messages (RFC 5257).

use super::SequenceSet;

/// One of the two values that every attribute has (RFC 5257 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnnotationScope {
    /// `.priv`: of one user alone.
    Private,
    /// `.shared`: of all who may read the mailbox.
    Shared,
}

impl AnnotationScope {
    /// The suffix of an attribute's name.
    pub fn suffix(self) -> &'static str {
        match self {
            AnnotationScope::Private => ".priv",
            AnnotationScope::Shared => ".shared",
        }
    }
}

/// Which property of an annotation (RFC 5257 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnnotationKind {
    /// `value`
    Value,
    /// `size`: octets of the value.
    Size,
}

impl AnnotationKind {
    /// The name without its suffix.
    pub fn name(self) -> &'static str {
        match self {
            AnnotationKind::Value => "value",
            AnnotationKind::Size => "size",
        }
    }
}

/// An attribute as FETCH names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnnotationAttribute {
    /// Which property.
    pub kind: AnnotationKind,
    /// Which of its two values; both, if none is named.
    pub scope: Option<AnnotationScope>,
}

/// `ANNOTATION (entries attributes)` of FETCH.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnnotationFetch {
    /// Names of entries, in which `*` and `%` stand for what is left open.
    pub entries: Vec<String>,
    /// What to tell of them.
    pub attributes: Vec<AnnotationAttribute>,
}

/// A value to be kept: `/comment (value.priv "x")`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewAnnotation {
    /// Name of the entry.
    pub entry: String,
    /// Whose value.
    pub scope: AnnotationScope,
    /// The value; none removes it.
    pub value: Option<Vec<u8>>,
}

/// `STORE … ANNOTATION (…)`, always as if `.SILENT` (RFC 5257 §4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAnnotation {
    /// The set names UIDs.
    pub uid: bool,
    /// The messages.
    pub set: SequenceSet,
    /// `UNCHANGEDSINCE` (RFC 7162 §3.1.3).
    pub unchanged_since: Option<u64>,
    /// What to keep; each value once, the last one that was named.
    pub annotations: Vec<NewAnnotation>,
}

/// `ANNOTATION` in a FETCH response (RFC 5257 §4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationData {
    /// Entries with their attributes, by their full names, and values; none is NIL.
    Values(Vec<(String, Vec<AnnotationValue>)>),
    /// Entries that somebody changed.
    Changed(Vec<String>),
}

/// The full name of an attribute and its value; none is NIL.
pub type AnnotationValue = (String, Option<Vec<u8>>);

/// How far a mailbox supports annotations: the response code `ANNOTATIONS` (RFC 5257 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationSupport {
    /// `NONE`
    None,
    /// They can be read.
    Some {
        /// Octets that a value may have; `READ-ONLY` where none can be changed.
        max_size: Option<u32>,
        /// False is `NOPRIVATE`.
        private: bool,
    },
}
