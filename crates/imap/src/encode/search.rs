//! SEARCH, ESEARCH, SORT, THREAD and COMPARATOR responses.

use wire::output::Output;

use super::{astring, mailbox, number, number_set, separated, string};
use crate::{Esearch, ListChange, PartialRange, ThreadToken};

/// ```text
/// obsolete-search-response = "SEARCH" *(SP nz-number)
/// sort-data                = "SORT" *(SP nz-number)
/// search-sort-mod-seq      = "(" "MODSEQ" SP mod-sequence-value ")"
/// ```
pub(crate) fn list(out: &mut Output, name: &str, results: &[u32], modseq: Option<u64>) {
    out.put(name.as_bytes());
    for &result in results {
        out.put(b" ");
        number(out, result);
    }
    // RFC 7162 §3.1.5: with a MODSEQ key, the highest of those found.
    if let Some(modseq) = modseq {
        out.put(b" (MODSEQ ");
        number(out, modseq);
        out.put(b")");
    }
}

/// ```text
/// thread-data    = "THREAD" [SP 1*thread-list]
/// thread-list    = "(" (thread-members / thread-nested) ")"
/// thread-members = nz-number *(SP nz-number) [SP thread-nested]
/// thread-nested  = 2*thread-list
/// ```
pub(crate) fn thread(out: &mut Output, tokens: &[ThreadToken]) {
    out.put(b"THREAD");
    let mut after_number = true;
    for token in tokens {
        match token {
            ThreadToken::Open => {
                out.put(if after_number { b" (" } else { b"(" });
                after_number = false;
            }
            ThreadToken::Message(message) => {
                if after_number {
                    out.put(b" ");
                }
                number(out, *message);
                after_number = true;
            }
            ThreadToken::Close => {
                out.put(b")");
                after_number = false;
            }
        }
    }
}

/// ```text
/// esearch-response   = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
/// search-correlator  = SP "(" one-correlator *(SP one-correlator) ")"
/// one-correlator     = ("TAG" SP tag-string) / ("MAILBOX" SP astring) / ("UIDVALIDITY" SP nz-number)
/// search-return-data = "MIN" SP nz-number / "MAX" SP nz-number / "ALL" SP sequence-set / "COUNT" SP number /
///                      "MODSEQ" SP mod-sequence-value / "RELEVANCY" SP score-list / ret-data-partial /
///                      ret-data-addto / ret-data-removefrom
/// ```
pub(crate) fn esearch(out: &mut Output, data: &Esearch, utf8: bool) {
    out.put(b"ESEARCH");
    if let Some(tag) = &data.tag {
        out.put(b" (TAG ");
        string(out, tag.as_bytes(), false);
        if let Some((name, uid_validity)) = &data.mailbox {
            out.put(b" MAILBOX ");
            mailbox(out, name, utf8);
            out.put(b" UIDVALIDITY ");
            number(out, *uid_validity);
        }
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
    if let Some(all) = data.all.as_ref().filter(|all| !all.is_empty()) {
        out.put(b" ALL ");
        number_set(out, all);
    }
    if let Some((range, results)) = &data.partial {
        out.put(b" PARTIAL (");
        partial_range(out, *range);
        out.put(b" ");
        if results.is_empty() {
            out.put(b"NIL");
        } else {
            number_set(out, results);
        }
        out.put(b")");
    }
    if let Some(scores) = &data.relevancy {
        out.put(b" RELEVANCY (");
        separated(out, scores, |out, score| number(out, *score));
        out.put(b")");
    }
    if let Some(modseq) = data.modseq {
        out.put(b" MODSEQ ");
        number(out, modseq);
    }
    for change in &data.changes {
        let (name, position, set): (&[u8], _, _) = match change {
            ListChange::Add(position, set) => (b" ADDTO (", position, set),
            ListChange::Remove(position, set) => (b" REMOVEFROM (", position, set),
        };
        out.put(name);
        number(out, *position);
        out.put(b" ");
        number_set(out, set);
        out.put(b")");
    }
}

/// ```text
/// partial-range = partial-range-first / partial-range-last
/// ```
pub(crate) fn partial_range(out: &mut Output, range: PartialRange) {
    let sign: &[u8] = if range.from_end { b"-" } else { b"" };
    out.put(sign);
    number(out, range.first.get());
    out.put(b":");
    out.put(sign);
    number(out, range.last.get());
}

/// ```text
/// comparator-data = "COMPARATOR" SP comp-sel-quoted [SP "(" comp-id-quoted *(SP comp-id-quoted) ")"]
/// ```
pub(crate) fn comparator(out: &mut Output, active: &str, matching: &[String], utf8: bool) {
    out.put(b"COMPARATOR ");
    astring(out, active.as_bytes(), utf8);
    if !matching.is_empty() {
        out.put(b" (");
        separated(out, matching, |out, name| {
            astring(out, name.as_bytes(), utf8)
        });
        out.put(b")");
    }
}
