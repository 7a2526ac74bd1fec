//! Status responses: OK, NO, BAD, BYE, PREAUTH with their response codes (RFC 9051 §7.1, RFC 5530).

use std::borrow::Cow;

use super::{AnnotationSupport, Capability, Flag, NumberSet};

/// The word of a status response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It worked.
    Ok,
    /// It did not work.
    No,
    /// It was not understood, or not allowed now.
    Bad,
    /// The connection ends. Untagged only.
    Bye,
    /// Greeting of a connection that is authenticated already. Untagged only.
    PreAuth,
}

/// A status response without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The word.
    pub status: Status,
    /// The response code, if any.
    pub code: Option<Code>,
    /// Human text, short and safe for the peer. Line breaks and other octets that cannot stand there are replaced
    /// when written.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply of any kind with constant text.
    pub const fn new(status: Status, text: &'static str) -> Reply {
        Reply {
            status,
            code: None,
            text: Cow::Borrowed(text),
        }
    }

    /// OK
    pub const fn ok(text: &'static str) -> Reply {
        Reply::new(Status::Ok, text)
    }

    /// NO
    pub const fn no(text: &'static str) -> Reply {
        Reply::new(Status::No, text)
    }

    /// BAD
    pub const fn bad(text: &'static str) -> Reply {
        Reply::new(Status::Bad, text)
    }

    /// The same with a response code.
    pub fn with(self, code: Code) -> Reply {
        Reply {
            code: Some(code),
            ..self
        }
    }

    /// The same with a response code; usable in constants for codes without data.
    pub const fn coded(status: Status, code: Code, text: &'static str) -> Reply {
        Reply {
            status,
            code: Some(code),
            text: Cow::Borrowed(text),
        }
    }

    /// The same with another text.
    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply {
            text: text.into(),
            ..self
        }
    }
}

/// A response code (`resp-text-code`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// `ALERT`
    Alert,
    /// `ALREADYEXISTS`
    AlreadyExists,
    /// `APPENDUID`
    AppendUid {
        /// UIDVALIDITY of the mailbox.
        uid_validity: u32,
        /// UIDs given, in order.
        uids: NumberSet,
    },
    /// `AUTHENTICATIONFAILED`
    AuthenticationFailed,
    /// `AUTHORIZATIONFAILED`
    AuthorizationFailed,
    /// `BADCHARSET` with the charsets known.
    BadCharset(Vec<String>),
    /// `BADCOMPARATOR` (RFC 5255 §4.9)
    BadComparator,
    /// `CANNOT`
    Cannot,
    /// `CAPABILITY`
    Capability(Vec<Capability>),
    /// `CLIENTBUG`
    ClientBug,
    /// `CLOSED`
    Closed,
    /// `CONTACTADMIN`
    ContactAdmin,
    /// `COPYUID`
    CopyUid {
        /// UIDVALIDITY of the destination.
        uid_validity: u32,
        /// UIDs in the source, in order.
        source: NumberSet,
        /// UIDs in the destination, in the same order.
        destination: NumberSet,
    },
    /// `CORRUPTION`
    Corruption,
    /// `EXPIRED`
    Expired,
    /// `EXPUNGEISSUED`
    ExpungeIssued,
    /// `HASCHILDREN`
    HasChildren,
    /// `INUSE`
    InUse,
    /// `LIMIT`
    Limit,
    /// `NONEXISTENT`
    NonExistent,
    /// `NOPERM`
    NoPerm,
    /// `NOTSAVED`
    NotSaved,
    /// `OVERQUOTA`
    OverQuota,
    /// `PARSE`
    Parse,
    /// `PERMANENTFLAGS`
    PermanentFlags {
        /// Flags a client can change permanently.
        flags: Vec<Flag>,
        /// `\*`: new keywords can be made.
        new_keywords: bool,
    },
    /// `PRIVACYREQUIRED`
    PrivacyRequired,
    /// `READ-ONLY`
    ReadOnly,
    /// `READ-WRITE`
    ReadWrite,
    /// `SERVERBUG`
    ServerBug,
    /// `TOOBIG`
    TooBig,
    /// `TRYCREATE`
    TryCreate,
    /// `UIDNEXT`
    UidNext(u32),
    /// `UIDNOTSTICKY`
    UidNotSticky,
    /// `UIDVALIDITY`
    UidValidity(u32),
    /// `UNAVAILABLE`
    Unavailable,
    /// `UNKNOWN-CTE`
    UnknownCte,
    /// `UNSEEN` with the sequence number of the first message without `\Seen` (RFC 3501 §7.1).
    Unseen(u32),
    /// `METADATA LONGENTRIES` (RFC 5464 §4.2.1): octets of the largest value left out.
    MetadataLongEntries(u64),
    /// `METADATA MAXSIZE` (RFC 5464 §4.3): octets a value may have.
    MetadataMaxSize(u64),
    /// `METADATA TOOMANY` (RFC 5464 §4.3)
    MetadataTooMany,
    /// `METADATA NOPRIVATE` (RFC 5464 §4.3)
    MetadataNoPrivate,
    /// `ANNOTATE TOOBIG` (RFC 5257 §4.5)
    AnnotateTooBig,
    /// `ANNOTATE TOOMANY` (RFC 5257 §4.5)
    AnnotateTooMany,
    /// `ANNOTATIONS` (RFC 5257 §4.1)
    Annotations(AnnotationSupport),
    /// `BADEVENT` with the events known (RFC 5465 §3.1).
    BadEvent(Vec<String>),
    /// `NOTIFICATIONOVERFLOW` (RFC 5465 §5.8)
    NotificationOverflow,
    /// `URLMECH INTERNAL` (RFC 4467 §8)
    UrlMech,
    /// `MAILBOXID` (RFC 8474 §4.1)
    MailboxId(String),
    /// `USEATTR` (RFC 6154 §6)
    UseAttr,
    /// `HIGHESTMODSEQ` (RFC 7162)
    HighestModSeq(u64),
    /// `NOMODSEQ` (RFC 7162)
    NoModSeq,
    /// `NOUPDATE` with the tag of the search whose changes are not told (RFC 5267 §4.3.1).
    NoUpdate(String),
    /// `UNDEFINED-FILTER` with the filter's name (RFC 5466 §3.1).
    UndefinedFilter(String),
    /// `MODIFIED`: messages a conditional STORE left alone (RFC 7162 §3.1.3), as sequence numbers or UIDs.
    Modified(NumberSet),
    /// `BADURL`: the first URL of CATENATE that could not be used (RFC 4469 §4.1).
    BadUrl(String),
    /// `TOOFEW`: batches of fewer messages than the server makes (RFC 10022 §3.1.3.2).
    TooFew,
    /// `TOOMANY`: more batches than the server tells at once (RFC 10022 §3.1.7).
    TooMany,
    /// `COMPRESSIONACTIVE` (RFC 4978)
    CompressionActive,
    /// `UIDREQUIRED`: a sequence number after ENABLE UIDONLY (RFC 9586).
    UidRequired,
    /// `INPROGRESS` (RFC 9585 §4): the command with this tag goes on. Only in an untagged OK.
    InProgress {
        /// Its tag; none where it is not known or holds `]`.
        tag: Option<String>,
        /// How many items are done, if they are counted.
        progress: Option<u64>,
        /// Of how many, if known; always more than are done.
        goal: Option<u64>,
    },
    /// `MESSAGELIMIT` (RFC 9738 §3.1): a command works on so many messages at most.
    MessageLimit {
        /// How many.
        limit: u32,
        /// The lowest UID that was worked on, or would have been.
        uid: Option<u32>,
    },
    /// Another one, as written between the brackets; only a client meets it.
    Other(String),
}
