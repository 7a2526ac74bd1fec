//! ACL, LISTRIGHTS and MYRIGHTS responses.

use wire::output::Output;

use super::{astring, mailbox as name};
use crate::AclData;

/// ```text
/// acl-data / listrights-data / myrights-data ; RFC 4314 §7
/// ```
pub(crate) fn acl(out: &mut Output, data: &AclData, utf8: bool) {
    let word = |out: &mut Output, text: &str| {
        out.put(b" ");
        astring(out, text.as_bytes(), utf8);
    };
    match data {
        AclData::Acl { mailbox, entries } => {
            out.put(b"ACL ");
            name(out, mailbox, utf8);
            for (identifier, rights) in entries {
                word(out, identifier);
                word(out, rights);
            }
        }
        AclData::ListRights {
            mailbox,
            identifier,
            required,
            optional,
        } => {
            out.put(b"LISTRIGHTS ");
            name(out, mailbox, utf8);
            word(out, identifier);
            word(out, required);
            for rights in optional {
                word(out, rights);
            }
        }
        AclData::MyRights { mailbox, rights } => {
            out.put(b"MYRIGHTS ");
            name(out, mailbox, utf8);
            word(out, rights);
        }
    }
}
