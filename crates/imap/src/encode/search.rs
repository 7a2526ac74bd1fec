//! SEARCH and ESEARCH responses.

use wire::output::Output;

use super::{number, number_set, string};
use crate::NumberSet;

/// What an ESEARCH response holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Esearch<'a> {
    pub tag: Option<&'a str>,
    pub uid: bool,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub count: Option<u32>,
    pub all: Option<&'a NumberSet>,
}

/// ```text
/// obsolete-search-response = "SEARCH" *(SP nz-number)
/// ```
pub(crate) fn search(out: &mut Output, results: &[u32]) {
    out.put(b"SEARCH");
    for &result in results {
        out.put(b" ");
        number(out, result);
    }
}

/// ```text
/// esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
/// ```
pub(crate) fn esearch(out: &mut Output, data: Esearch<'_>) {
    out.put(b"ESEARCH");
    if let Some(tag) = data.tag {
        out.put(b" (TAG ");
        string(out, tag.as_bytes(), false);
        out.put(b")");
    }
    if data.uid {
        out.put(b" UID");
    }
    let numbers: [(&[u8], Option<u32>); 3] = [
        (b" MIN ", data.min),
        (b" MAX ", data.max),
        (b" COUNT ", data.count),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            out.put(name);
            number(out, value);
        }
    }
    // RFC 9051 §7.3.4: no ALL without results.
    if let Some(all) = data.all.filter(|all| !all.is_empty()) {
        out.put(b" ALL ");
        number_set(out, all);
    }
}
