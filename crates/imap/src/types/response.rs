//! Untagged responses (RFC 9051 §7), shared by both sides.

use super::{
    AclData, AnnotationData, Capability, DateTime, Esearch, Flag, GmailLabel, ListEntry,
    MailboxName, MetadataData, NumberSet, QuotaData, Reply, Section, StatusData, ThreadToken,
    UrlAuthData,
};

/// An untagged response. The server writes FETCH with [`crate::server::Fetch`] instead, without building this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untagged {
    /// `* OK`, `* NO`, `* BAD`, `* BYE`, `* PREAUTH`
    Status(Reply),
    /// `* CAPABILITY`
    Capability(Vec<Capability>),
    /// `* ENABLED`
    Enabled(Vec<Capability>),
    /// `* ID`: pairs; empty is NIL.
    Id(Vec<(String, Option<String>)>),
    /// `* FLAGS`
    Flags(Vec<Flag>),
    /// `* n EXISTS`
    Exists(u32),
    /// `* n RECENT` (RFC 3501 §7.3.2). The session leaves it out for a client that enabled IMAP4rev2.
    Recent(u32),
    /// `* n EXPUNGE`, a sequence number.
    Expunge(u32),
    /// `* LIST`
    List(ListEntry),
    /// `* LSUB`
    Lsub(ListEntry),
    /// `* STATUS`
    StatusData {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// What was asked.
        data: StatusData,
    },
    /// `* ACL`, `* LISTRIGHTS`, `* MYRIGHTS` (RFC 4314)
    Acl(AclData),
    /// `* QUOTA`, `* QUOTAROOT` (RFC 9208)
    Quota(QuotaData),
    /// `* GENURLAUTH`, `* URLFETCH` (RFC 4467)
    UrlAuth(UrlAuthData),
    /// `* METADATA` (RFC 5464)
    Metadata(MetadataData),
    /// `* NAMESPACE`
    Namespace(Namespace),
    /// `* SEARCH`
    Search(Vec<u32>),
    /// `* ESEARCH`. Servers use [`crate::server::Session::search_results`], which chooses the form.
    Esearch(Box<Esearch>),
    /// `* SORT`
    Sort(Vec<u32>),
    /// `* THREAD`
    Thread(Vec<ThreadToken>),
    /// `* COMPARATOR`: the active one, and those that matched if there are several (RFC 5255 §4.8).
    Comparator {
        /// The active comparator.
        active: String,
        /// All that matched; empty for one.
        matching: Vec<String>,
    },
    /// `* LANGUAGE`: the one in force, or all there are (RFC 5255 §3.3).
    Language(Vec<String>),
    /// `* VANISHED` (RFC 7162 §3.2.10): UIDs that are gone.
    Vanished {
        /// `(EARLIER)`: before the mailbox was selected, or asked for by UID FETCH.
        earlier: bool,
        /// The UIDs, ascending.
        uids: NumberSet,
    },
    /// `* UIDBATCHES` (RFC 10022): ranges of UIDs, the higher end of each first, from the newest batch on.
    UidBatches {
        /// Tag of the command it belongs to.
        tag: String,
        /// The ranges.
        ranges: Vec<(u32, u32)>,
    },
    /// `* n FETCH`, and after ENABLE UIDONLY `* n UIDFETCH`, where the UID is among the items as well.
    Fetch {
        /// Sequence number; 0 where only the UID is known (RFC 9586).
        seq: u32,
        /// Items in order.
        items: Vec<Fetched>,
    },
}

/// One item of a FETCH response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// `UID`
    Uid(u32),
    /// `FLAGS`
    Flags(Vec<Flag>),
    /// `INTERNALDATE`
    InternalDate(DateTime),
    /// `RFC822.SIZE`
    Rfc822Size(u64),
    /// `ENVELOPE`, `BODY` or `BODYSTRUCTURE`: name and the value as it was on the wire.
    Structure {
        /// The item's name.
        name: String,
        /// The value, from its opening parenthesis to the closing one, literals included.
        value: Vec<u8>,
    },
    /// `BODY[…]<origin>`
    Body {
        /// Which section.
        section: Section,
        /// Where a substring begins.
        origin: Option<u64>,
        /// `None` is NIL.
        body: Option<Vec<u8>>,
    },
    /// `BINARY[…]<origin>`
    Binary {
        /// Part numbers.
        part: Vec<u32>,
        /// Where a substring begins.
        origin: Option<u64>,
        /// `None` is NIL.
        body: Option<Vec<u8>>,
    },
    /// `BINARY.SIZE[…]`
    BinarySize {
        /// Part numbers.
        part: Vec<u32>,
        /// Decoded size.
        size: u64,
    },
    /// `MODSEQ` (RFC 7162)
    ModSeq(u64),
    /// `ANNOTATION` (RFC 5257 §4.4)
    Annotation(AnnotationData),
    /// `SAVEDATE` (RFC 8514); `None` where the mailbox keeps none.
    SaveDate(Option<DateTime>),
    /// `PREVIEW` (RFC 8970); `None` is NIL.
    Preview(Option<String>),
    /// `X-GM-MSGID` (X-GM-EXT-1)
    GmailMessageId(u64),
    /// `X-GM-THRID`
    GmailThreadId(u64),
    /// `X-GM-LABELS`
    GmailLabels(Vec<GmailLabel>),
    /// Another item, with its value as it was on the wire (a client meets extensions and RFC822*).
    Other {
        /// The item's name.
        name: String,
        /// The value.
        value: Vec<u8>,
    },
}

/// Content of a section in a FETCH response the server writes.
#[derive(Debug)]
pub enum Body<'a> {
    /// There is no such part: `NIL`.
    Nil,
    /// Octets to copy into the output.
    Bytes(&'a [u8]),
    /// Octets to move into the output without copying.
    Owned(Vec<u8>),
}

/// The NAMESPACE response (RFC 9051 §7.3.2, RFC 2342 §5): empty lists are NIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// One's own mailboxes.
    pub personal: Vec<NamespaceEntry>,
    /// Other users' mailboxes.
    pub other_users: Vec<NamespaceEntry>,
    /// Shared mailboxes.
    pub shared: Vec<NamespaceEntry>,
}

/// A namespace: prefix and delimiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceEntry {
    /// Prefix of names in it; may be empty.
    pub prefix: String,
    /// Hierarchy delimiter.
    pub delimiter: Option<char>,
    /// The prefix as people read it in the language chosen (RFC 5255 §3.4).
    pub translation: Option<String>,
}
