//! The METADATA response.

use wire::output::Output;

use super::{astring, mailbox as name, number, separated, string};
use crate::MetadataData;

/// ```text
/// metadata-resp = "METADATA" SP mailbox SP (entry-values / entry-list) ; RFC 5464 §5
/// ```
pub(crate) fn metadata(out: &mut Output, data: &MetadataData, utf8: bool) {
    out.put(b"METADATA ");
    match data {
        MetadataData::Values { mailbox, entries } => {
            name(out, mailbox, utf8);
            out.put(b" (");
            separated(out, entries, |out, (entry, value)| {
                astring(out, entry.as_bytes(), utf8);
                out.put(b" ");
                match value {
                    None => out.put(b"NIL"),
                    // Only a literal8 holds NUL.
                    Some(value) if value.contains(&0) => {
                        out.put(b"~{");
                        number(out, value.len() as u64);
                        out.put(b"}\r\n");
                        out.put(value);
                    }
                    Some(value) => string(out, value, utf8),
                }
            });
            out.put(b")");
        }
        MetadataData::Changed { mailbox, entries } => {
            name(out, mailbox, utf8);
            for entry in entries {
                out.put(b" ");
                astring(out, entry.as_bytes(), utf8);
            }
        }
    }
}
