//! Any untagged response.

use wire::output::Output;

use super::{acl, fetch, list, metadata, number, quota, reply, search, separated, status, string};
use crate::{AclData, Capability, MetadataData, Untagged};

/// Writes the response with its line end.
pub(crate) fn untagged(out: &mut Output, response: &Untagged, utf8: bool) {
    if let Untagged::Status(text) = response {
        return reply::reply(out, "*", text, utf8);
    }
    out.put(b"* ");
    match response {
        Untagged::Status(_) => {}
        Untagged::Capability(capabilities) => names(out, b"CAPABILITY", capabilities),
        Untagged::Enabled(capabilities) => names(out, b"ENABLED", capabilities),
        Untagged::Id(pairs) => id(out, pairs, utf8),
        Untagged::Flags(list) => {
            out.put(b"FLAGS ");
            super::flags(out, list);
        }
        Untagged::Exists(count) => count_of(out, *count, b" EXISTS"),
        Untagged::Recent(count) => count_of(out, *count, b" RECENT"),
        Untagged::Expunge(seq) => count_of(out, *seq, b" EXPUNGE"),
        Untagged::List(entry) => {
            out.put(b"LIST ");
            list::mailbox_list(out, entry, utf8);
            if let Some(rights) = &entry.my_rights {
                out.put(b"\r\n* ");
                let (mailbox, rights) = (entry.mailbox.clone(), rights.clone());
                acl::acl(out, &AclData::MyRights { mailbox, rights }, utf8);
            }
            if let Some(entries) = &entry.metadata {
                out.put(b"\r\n* ");
                let (mailbox, entries) = (entry.mailbox.clone(), entries.clone());
                metadata::metadata(out, &MetadataData::Values { mailbox, entries }, utf8);
            }
            if let Some(data) = &entry.status {
                out.put(b"\r\n* ");
                status::status(out, &entry.mailbox, data, utf8);
            }
        }
        Untagged::Lsub(entry) => {
            out.put(b"LSUB ");
            list::mailbox_list(out, entry, utf8);
        }
        Untagged::StatusData { mailbox, data } => status::status(out, mailbox, data, utf8),
        Untagged::Acl(data) => acl::acl(out, data, utf8),
        Untagged::Quota(data) => quota::quota(out, data, utf8),
        Untagged::UrlAuth(data) => super::urlauth::urlauth(out, data, utf8),
        Untagged::Metadata(data) => metadata::metadata(out, data, utf8),
        Untagged::Namespace(namespace) => {
            out.put(b"NAMESPACE ");
            list::namespace(out, namespace, utf8);
        }
        Untagged::Search(results) => search::list(out, "SEARCH", results, None),
        Untagged::Sort(results) => search::list(out, "SORT", results, None),
        Untagged::Thread(tokens) => search::thread(out, tokens),
        Untagged::Esearch(data) => search::esearch(out, data, utf8),
        Untagged::UidBatches { tag, ranges } => {
            out.put(b"UIDBATCHES (TAG ");
            string(out, tag.as_bytes(), false);
            out.put(b")");
            for (index, (high, low)) in ranges.iter().enumerate() {
                out.put(if index == 0 { b" " } else { b"," });
                number(out, *high);
                out.put(b":");
                number(out, *low);
            }
        }
        Untagged::Vanished { earlier, uids } => {
            out.put(if *earlier {
                b"VANISHED (EARLIER) "
            } else {
                b"VANISHED "
            });
            super::number_set(out, uids);
        }
        Untagged::Comparator { active, matching } => {
            search::comparator(out, active, matching, utf8)
        }
        Untagged::Language(tags) => {
            out.put(b"LANGUAGE (");
            separated(out, tags, |out, tag| {
                super::astring(out, tag.as_bytes(), utf8)
            });
            out.put(b")");
        }
        Untagged::Fetch { seq, items } => {
            number(out, *seq);
            out.put(b" FETCH (");
            separated(out, items, fetch::fetched);
            out.put(b")");
        }
    }
    out.put(b"\r\n");
}

fn count_of(out: &mut Output, count: u32, name: &[u8]) {
    number(out, count);
    out.put(name);
}

fn names(out: &mut Output, word: &[u8], capabilities: &[Capability]) {
    out.put(word);
    for capability in capabilities {
        out.put(b" ");
        out.put(capability.to_string().as_bytes());
    }
}

/// ```text
/// id-response = "ID" SPACE id-params-list ; RFC 2971 §4
/// ```
fn id(out: &mut Output, pairs: &[(String, Option<String>)], utf8: bool) {
    if pairs.is_empty() {
        return out.put(b"ID NIL");
    }
    out.put(b"ID (");
    separated(out, pairs, |out, (field, value)| {
        string(out, field.as_bytes(), utf8);
        out.put(b" ");
        match value {
            Some(value) => string(out, value.as_bytes(), utf8),
            None => out.put(b"NIL"),
        }
    });
    out.put(b")");
}
