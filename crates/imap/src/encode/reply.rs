//! Status responses.

use wire::output::Output;

use super::{annotation, atom, flag, number, number_set, separated, string};
use crate::{Code, Flag, Reply, Status};

/// Writes a status response with its line end; `tag` is `*` for an untagged one.
///
/// ```text
/// response-tagged = tag SP resp-cond-state CRLF
/// resp-text       = ["[" resp-text-code "]" SP] [text]
/// ```
pub(crate) fn reply(out: &mut Output, tag: &str, reply: &Reply, utf8: bool) {
    put(out, tag, reply, &reply.text, (utf8, utf8));
}

/// The same with its text in another language, which is in UTF-8 whatever was enabled (RFC 5255 §3.5, `resp-text`).
pub(crate) fn translated(out: &mut Output, tag: &str, reply: &Reply, text: &str, utf8: bool) {
    put(out, tag, reply, text, (utf8, true));
}

/// `utf8` is for the code and for the text.
fn put(out: &mut Output, tag: &str, reply: &Reply, words: &str, utf8: (bool, bool)) {
    out.put(tag.as_bytes());
    out.put(match reply.status {
        Status::Ok => b" OK ",
        Status::No => b" NO ",
        Status::Bad => b" BAD ",
        Status::Bye => b" BYE ",
        Status::PreAuth => b" PREAUTH ",
    });
    if let Some(code_) = &reply.code {
        out.put(b"[");
        code(out, code_, utf8.0);
        out.put(b"] ");
    }
    text(out, words, reply.code.is_none(), utf8.1);
    out.put(b"\r\n");
}

/// Human text. What cannot stand there is replaced: controls, and what is not ASCII for a client that knows only
/// RFC 3501 (RFC 9051 §9, `text`). It is never empty, which RFC 3501 does not allow, and does not look like a code.
fn text(out: &mut Output, text: &str, bare: bool, utf8: bool) {
    let plain = |octet: u8| matches!(octet, b' '..=b'~') || (utf8 && octet >= 0x80);
    if text.is_empty() {
        return out.put(b"Done");
    }
    if text.bytes().all(plain) && !(bare && text.starts_with('[')) {
        return out.put(text.as_bytes());
    }
    for (index, c) in text.chars().enumerate() {
        match c {
            '[' if bare && index == 0 => out.put(b"("),
            ' '..='~' => out.put(&[c as u8]),
            c if utf8 && !c.is_control() => out.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => out.put(b"?"),
        }
    }
}

/// ```text
/// resp-text-code
/// ```
fn code(out: &mut Output, code: &Code, utf8: bool) {
    let name: &[u8] = match code {
        Code::Alert => b"ALERT",
        Code::AlreadyExists => b"ALREADYEXISTS",
        Code::AppendUid { .. } => b"APPENDUID ",
        Code::AuthenticationFailed => b"AUTHENTICATIONFAILED",
        Code::AuthorizationFailed => b"AUTHORIZATIONFAILED",
        Code::BadCharset(_) => b"BADCHARSET",
        Code::BadComparator => b"BADCOMPARATOR",
        Code::Cannot => b"CANNOT",
        Code::Capability(_) => b"CAPABILITY",
        Code::ClientBug => b"CLIENTBUG",
        Code::Closed => b"CLOSED",
        Code::ContactAdmin => b"CONTACTADMIN",
        Code::CopyUid { .. } => b"COPYUID ",
        Code::Corruption => b"CORRUPTION",
        Code::Expired => b"EXPIRED",
        Code::ExpungeIssued => b"EXPUNGEISSUED",
        Code::HasChildren => b"HASCHILDREN",
        Code::HighestModSeq(_) => b"HIGHESTMODSEQ ",
        Code::InUse => b"INUSE",
        Code::Limit => b"LIMIT",
        Code::NoModSeq => b"NOMODSEQ",
        Code::NoUpdate(_) => b"NOUPDATE ",
        Code::Modified(_) => b"MODIFIED ",
        Code::BadUrl(_) => b"BADURL ",
        Code::TooFew => b"TOOFEW",
        Code::TooMany => b"TOOMANY",
        Code::CompressionActive => b"COMPRESSIONACTIVE",
        Code::UidRequired => b"UIDREQUIRED",
        Code::InProgress {
            tag: None,
            progress: None,
            ..
        } => b"INPROGRESS",
        Code::InProgress { .. } => b"INPROGRESS ",
        Code::MessageLimit { .. } => b"MESSAGELIMIT ",
        Code::NonExistent => b"NONEXISTENT",
        Code::NoPerm => b"NOPERM",
        Code::NotSaved => b"NOTSAVED",
        Code::OverQuota => b"OVERQUOTA",
        Code::Parse => b"PARSE",
        Code::PermanentFlags { .. } => b"PERMANENTFLAGS ",
        Code::PrivacyRequired => b"PRIVACYREQUIRED",
        Code::ReadOnly => b"READ-ONLY",
        Code::ReadWrite => b"READ-WRITE",
        Code::ServerBug => b"SERVERBUG",
        Code::TooBig => b"TOOBIG",
        Code::TryCreate => b"TRYCREATE",
        Code::UidNext(_) => b"UIDNEXT ",
        Code::UidNotSticky => b"UIDNOTSTICKY",
        Code::UidValidity(_) => b"UIDVALIDITY ",
        Code::Unavailable => b"UNAVAILABLE",
        Code::UndefinedFilter(_) => b"UNDEFINED-FILTER ",
        Code::UnknownCte => b"UNKNOWN-CTE",
        Code::Unseen(_) => b"UNSEEN ",
        Code::MetadataLongEntries(_) => b"METADATA LONGENTRIES ",
        Code::MetadataMaxSize(_) => b"METADATA MAXSIZE ",
        Code::MetadataTooMany => b"METADATA TOOMANY",
        Code::MetadataNoPrivate => b"METADATA NOPRIVATE",
        Code::AnnotateTooBig => b"ANNOTATE TOOBIG",
        Code::AnnotateTooMany => b"ANNOTATE TOOMANY",
        Code::Annotations(_) => b"ANNOTATIONS ",
        Code::BadEvent(_) => b"BADEVENT (",
        Code::NotificationOverflow => b"NOTIFICATIONOVERFLOW",
        Code::UrlMech => b"URLMECH INTERNAL",
        Code::MailboxId(_) => b"MAILBOXID (",
        Code::UseAttr => b"USEATTR",
        Code::Other(text) => return other(out, text),
    };
    out.put(name);
    match code {
        Code::BadEvent(events) => {
            separated(out, events, |out, event| atom(out, event));
            out.put(b")");
        }
        Code::MailboxId(id) => {
            atom(out, id);
            out.put(b")");
        }
        Code::AppendUid { uid_validity, uids } => {
            number(out, *uid_validity);
            out.put(b" ");
            number_set(out, uids);
        }
        Code::CopyUid {
            uid_validity,
            source,
            destination,
        } => {
            number(out, *uid_validity);
            out.put(b" ");
            number_set(out, source);
            out.put(b" ");
            number_set(out, destination);
        }
        Code::Annotations(support) => annotation::support(out, *support),
        Code::NoUpdate(tag) => string(out, tag.as_bytes(), utf8),
        Code::UndefinedFilter(name) => atom(out, name),
        Code::BadCharset(charsets) if !charsets.is_empty() => {
            out.put(b" (");
            separated(out, charsets, |out, charset| {
                if charset.bytes().all(crate::parse::is_atom_char) {
                    atom(out, charset);
                } else {
                    string(out, charset.as_bytes(), utf8);
                }
            });
            out.put(b")");
        }
        Code::Capability(capabilities) => {
            for capability in capabilities {
                out.put(b" ");
                out.put(capability.to_string().as_bytes());
            }
        }
        Code::PermanentFlags {
            flags,
            new_keywords,
        } => permanent_flags(out, flags, *new_keywords),
        Code::UidNext(value) | Code::UidValidity(value) | Code::Unseen(value) => {
            number(out, *value)
        }
        Code::HighestModSeq(value)
        | Code::MetadataLongEntries(value)
        | Code::MetadataMaxSize(value) => number(out, *value),
        Code::Modified(messages) => number_set(out, messages),
        Code::BadUrl(url) => other(out, url),
        Code::InProgress {
            tag,
            progress,
            goal,
        } => in_progress(out, tag.as_deref(), *progress, *goal),
        Code::MessageLimit { limit, uid } => {
            number(out, *limit);
            if let Some(uid) = uid {
                out.put(b" ");
                number(out, *uid);
            }
        }
        _ => {}
    }
}

/// ```text
/// "(" [flag-perm *(SP flag-perm)] ")"
/// ```
fn permanent_flags(out: &mut Output, flags: &[Flag], new_keywords: bool) {
    out.put(b"(");
    separated(out, flags, flag);
    if new_keywords {
        out.put(if flags.is_empty() { b"\\*" } else { b" \\*" });
    }
    out.put(b")");
}

/// ```text
/// resp-text-code   =/ "INPROGRESS" [SP "(" inprogress-tag SP inprogress-state ")"]
/// inprogress-tag   = quoted / nil
/// inprogress-state = nil SP nil / number SP nil / number SP nz-number
/// ```
fn in_progress(out: &mut Output, tag: Option<&str>, progress: Option<u64>, goal: Option<u64>) {
    if tag.is_none() && progress.is_none() {
        return;
    }
    out.put(b"(");
    // RFC 9585 §4: a tag with a bracket would end the code.
    match tag.filter(|tag| !tag.contains(']')) {
        Some(tag) => string(out, tag.as_bytes(), false),
        None => out.put(b"NIL"),
    }
    // No goal without progress, and none that is reached.
    let goal = goal.filter(|goal| progress.is_some_and(|progress| progress < *goal));
    for value in [progress, goal] {
        out.put(b" ");
        match value {
            Some(value) => number(out, value),
            None => out.put(b"NIL"),
        }
    }
    out.put(b")");
}

/// A code this crate knows nothing of: any octets but those that would end it.
fn other(out: &mut Output, text: &str) {
    let replaced: String = text
        .chars()
        .map(|c| {
            if matches!(c, ' '..='~') && c != ']' {
                c
            } else {
                '_'
            }
        })
        .collect();
    out.put(replaced.as_bytes());
}
