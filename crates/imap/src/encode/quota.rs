//! QUOTA and QUOTAROOT responses.

use wire::output::Output;

use super::{astring, atom, mailbox as name, number, separated};
use crate::QuotaData;

/// ```text
/// quota-response / quotaroot-response ; RFC 9208 §7
/// ```
pub(crate) fn quota(out: &mut Output, data: &QuotaData, utf8: bool) {
    match data {
        QuotaData::Quota { root, resources } => {
            out.put(b"QUOTA ");
            astring(out, root.as_bytes(), utf8);
            out.put(b" (");
            separated(out, resources, |out, resource| {
                atom(out, &resource.name);
                out.put(b" ");
                number(out, resource.usage);
                out.put(b" ");
                number(out, resource.limit);
            });
            out.put(b")");
        }
        QuotaData::Roots { mailbox, roots } => {
            out.put(b"QUOTAROOT ");
            name(out, mailbox, utf8);
            for root in roots {
                out.put(b" ");
                astring(out, root.as_bytes(), utf8);
            }
        }
    }
}
