//! LIST, LSUB and NAMESPACE responses.

use wire::output::Output;

use super::{atom, delimiter, mailbox, name_form, separated, string};
use crate::{ListEntry, MailboxAttribute, Namespace, NamespaceEntry};

/// ```text
/// mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox [SP mbox-list-extended]
/// ```
pub(crate) fn mailbox_list(out: &mut Output, entry: &ListEntry, utf8: bool) {
    out.put(b"(");
    separated(out, &entry.attributes, attribute);
    out.put(b") ");
    delimiter(out, entry.delimiter, utf8);
    out.put(b" ");
    mailbox(out, &entry.mailbox, utf8);
    if !entry.child_info && entry.old_name.is_none() {
        return;
    }
    out.put(b" (");
    if entry.child_info {
        out.put(b"\"CHILDINFO\" (\"SUBSCRIBED\")");
    }
    if let Some(old) = &entry.old_name {
        out.put(if entry.child_info {
            b" \"OLDNAME\" ("
        } else {
            b"\"OLDNAME\" ("
        });
        mailbox(out, old, utf8);
        out.put(b")");
    }
    out.put(b")");
}

fn attribute(out: &mut Output, attribute: &MailboxAttribute) {
    out.put(match attribute {
        MailboxAttribute::NoSelect => b"\\Noselect",
        MailboxAttribute::NonExistent => b"\\NonExistent",
        MailboxAttribute::NoInferiors => b"\\Noinferiors",
        MailboxAttribute::HasChildren => b"\\HasChildren",
        MailboxAttribute::HasNoChildren => b"\\HasNoChildren",
        MailboxAttribute::Marked => b"\\Marked",
        MailboxAttribute::Unmarked => b"\\Unmarked",
        MailboxAttribute::Subscribed => b"\\Subscribed",
        MailboxAttribute::Remote => b"\\Remote",
        MailboxAttribute::Use(special) => special.name().as_bytes(),
        MailboxAttribute::Other(name) => {
            out.put(b"\\");
            return atom(out, name);
        }
    });
}

/// ```text
/// namespace-response = "NAMESPACE" SP namespace SP namespace SP namespace
/// ```
pub(crate) fn namespace(out: &mut Output, namespace: &Namespace, utf8: bool) {
    separated(
        out,
        [
            &namespace.personal,
            &namespace.other_users,
            &namespace.shared,
        ],
        |out, entries| {
            if entries.is_empty() {
                return out.put(b"NIL");
            }
            out.put(b"(");
            for entry in entries {
                namespace_descr(out, entry, utf8);
            }
            out.put(b")");
        },
    );
}

/// ```text
/// namespace-descr = "(" string SP (DQUOTE QUOTED-CHAR DQUOTE / nil) [namespace-trans] ")"
/// namespace-trans = SP DQUOTE "TRANSLATION" DQUOTE SP "(" string ")"
/// ```
fn namespace_descr(out: &mut Output, entry: &NamespaceEntry, utf8: bool) {
    out.put(b"(");
    // A string, never an atom.
    string(out, name_form(&entry.prefix, utf8).as_bytes(), utf8);
    out.put(b" ");
    delimiter(out, entry.delimiter, utf8);
    if let Some(translation) = &entry.translation {
        // RFC 5255 §3.4, in the form that the prefix has.
        out.put(b" \"TRANSLATION\" (");
        string(out, name_form(translation, utf8).as_bytes(), utf8);
        out.put(b")");
    }
    out.put(b")");
}
