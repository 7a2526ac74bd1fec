//! What a client asks (RFC 9051 §6, RFC 3501 §6 and the extensions served).

use wire::sasl::Secret;

use super::{
    AclCommand, Append, Capability, FetchAttribute, FetchModifiers, List, ListPattern,
    MailboxFilter, MailboxName, MetadataCommand, NotifyCommand, QuotaCommand, Search, SearchKey,
    Select, SequenceSet, SortCriterion, SpecialUse, StatusItem, Store, StoreAnnotation,
    StoreLabels, ThreadAlgorithm, UrlAuthCommand,
};

/// A command without its tag: owned, and valid as the grammar has it. `uid` is true for the UID form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID (RFC 2971): field and value pairs, empty for NIL. Values may be NIL.
    Id(Vec<(String, Option<String>)>),
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE, with the initial response decoded from base64 (RFC 4959).
    Authenticate {
        /// SASL mechanism in capitals.
        mechanism: String,
        /// Initial response; `Some(empty)` for `=`.
        initial: Option<Vec<u8>>,
    },
    /// LOGIN
    Login {
        /// Login name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// ENABLE (RFC 5161): what is not known is [`Capability::Other`].
    Enable(Vec<Capability>),
    /// SELECT and EXAMINE
    Select(Select),
    /// CREATE
    Create {
        /// The new mailbox, without the delimiter that may have ended it on the wire.
        mailbox: MailboxName,
        /// `USE (…)` (RFC 6154 §3).
        uses: Vec<SpecialUse>,
    },
    /// DELETE
    Delete(MailboxName),
    /// RENAME
    Rename {
        /// The existing name.
        from: MailboxName,
        /// The new name, without the delimiter that may have ended it on the wire.
        to: MailboxName,
    },
    /// SUBSCRIBE
    Subscribe(MailboxName),
    /// UNSUBSCRIBE
    Unsubscribe(MailboxName),
    /// LIST
    List(List),
    /// LSUB (RFC 3501 §6.3.9)
    Lsub {
        /// Reference name.
        reference: String,
        /// Pattern, without the reference.
        pattern: ListPattern,
    },
    /// SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314)
    Acl(AclCommand),
    /// GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208)
    Quota(QuotaCommand),
    /// GENURLAUTH, RESETKEY, URLFETCH (RFC 4467)
    UrlAuth(UrlAuthCommand),
    /// NOTIFY (RFC 5465)
    Notify(NotifyCommand),
    /// GETMETADATA, SETMETADATA (RFC 5464)
    Metadata(MetadataCommand),
    /// COMPRESS DEFLATE (RFC 4978)
    Compress,
    /// UNAUTHENTICATE (RFC 8437)
    Unauthenticate,
    /// NAMESPACE
    Namespace,
    /// STATUS
    Status {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// What to tell, each once.
        items: Vec<StatusItem>,
    },
    /// APPEND, and REPLACE (RFC 8508)
    Append(Append),
    /// IDLE. DONE is [`crate::server::Event::IdleDone`].
    Idle,
    /// CHECK (RFC 3501 §6.4.1)
    Check,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// EXPUNGE, and UID EXPUNGE with its set.
    Expunge {
        /// UIDs it is limited to.
        uids: Option<SequenceSet>,
    },
    /// SEARCH
    Search(Search),
    /// SORT (RFC 5256, RFC 5267 §3)
    Sort {
        /// By what, the most important first; never empty.
        criteria: Vec<SortCriterion>,
        /// The rest of it.
        search: Search,
    },
    /// THREAD (RFC 5256)
    Thread {
        /// How.
        algorithm: ThreadAlgorithm,
        /// What; without `RETURN`.
        search: Search,
    },
    /// ESEARCH (RFC 7377)
    Esearch {
        /// Which mailboxes; without `IN`, the selected one.
        sources: Vec<MailboxFilter>,
        /// What; with `uid` set.
        search: Search,
    },
    /// CANCELUPDATE (RFC 5267 §4.3.5), with tags.
    CancelUpdate(Vec<String>),
    /// COMPARATOR (RFC 5255 §4.7)
    Comparator(Vec<String>),
    /// LANGUAGE (RFC 5255 §3.2)
    Language(Vec<String>),
    /// FETCH
    Fetch {
        /// The set names UIDs.
        uid: bool,
        /// The messages.
        set: SequenceSet,
        /// What to fetch, each once, in the order asked; macros expanded, UID added for UID FETCH.
        attributes: Vec<FetchAttribute>,
        /// What narrows the set (RFC 4466 §2.4).
        modifiers: FetchModifiers,
    },
    /// UIDBATCHES (RFC 10022)
    UidBatches {
        /// Most messages of a batch.
        size: u32,
        /// Which batches, counted from 1 at the newest message, both ends included; all of them if not given.
        batches: Option<(u32, u32)>,
    },
    /// STORE
    Store(Store),
    /// STORE of annotations (RFC 5257 §4.5)
    StoreAnnotation(StoreAnnotation),
    /// STORE of labels (X-GM-EXT-1).
    StoreLabels(StoreLabels),
    /// COPY
    Copy {
        /// The set names UIDs.
        uid: bool,
        /// The messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// MOVE (RFC 6851)
    Move {
        /// The set names UIDs.
        uid: bool,
        /// The messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxName,
    },
}

impl Command {
    /// The command's name as replies and logs have it, `UID` in front of the UID form.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Capability => "CAPABILITY",
            Command::Noop => "NOOP",
            Command::Logout => "LOGOUT",
            Command::Id(_) => "ID",
            Command::StartTls => "STARTTLS",
            Command::Authenticate { .. } => "AUTHENTICATE",
            Command::Login { .. } => "LOGIN",
            Command::Enable(_) => "ENABLE",
            Command::Select(Select {
                read_only: false, ..
            }) => "SELECT",
            Command::Select(Select {
                read_only: true, ..
            }) => "EXAMINE",
            Command::Create { .. } => "CREATE",
            Command::Delete(_) => "DELETE",
            Command::Rename { .. } => "RENAME",
            Command::Subscribe(_) => "SUBSCRIBE",
            Command::Unsubscribe(_) => "UNSUBSCRIBE",
            Command::List(_) => "LIST",
            Command::Lsub { .. } => "LSUB",
            Command::Acl(command) => command.name(),
            Command::Quota(command) => command.name(),
            Command::Metadata(command) => command.name(),
            Command::Notify(_) => "NOTIFY",
            Command::UrlAuth(command) => command.name(),
            Command::Compress => "COMPRESS",
            Command::Unauthenticate => "UNAUTHENTICATE",
            Command::Namespace => "NAMESPACE",
            Command::Status { .. } => "STATUS",
            Command::Append(append) => match &append.replaces {
                None => "APPEND",
                Some(replaced) if replaced.uid => "UID REPLACE",
                Some(_) => "REPLACE",
            },
            Command::Idle => "IDLE",
            Command::Check => "CHECK",
            Command::Close => "CLOSE",
            Command::Unselect => "UNSELECT",
            Command::Expunge { uids: None } => "EXPUNGE",
            Command::Expunge { uids: Some(_) } => "UID EXPUNGE",
            Command::Search(Search { uid: false, .. }) => "SEARCH",
            Command::Search(Search { uid: true, .. }) => "UID SEARCH",
            Command::Sort { search, .. } if search.uid => "UID SORT",
            Command::Sort { .. } => "SORT",
            Command::Thread { search, .. } if search.uid => "UID THREAD",
            Command::Thread { .. } => "THREAD",
            Command::Esearch { .. } => "ESEARCH",
            Command::CancelUpdate(_) => "CANCELUPDATE",
            Command::Comparator(_) => "COMPARATOR",
            Command::Language(_) => "LANGUAGE",
            Command::Fetch { uid: false, .. } => "FETCH",
            Command::Fetch { uid: true, .. } => "UID FETCH",
            Command::UidBatches { .. } => "UIDBATCHES",
            Command::Store(Store { uid: false, .. }) => "STORE",
            Command::Store(Store { uid: true, .. }) => "UID STORE",
            Command::StoreAnnotation(store) if store.uid => "UID STORE",
            Command::StoreAnnotation(_) => "STORE",
            Command::StoreLabels(store) if !store.uid => "STORE",
            Command::StoreLabels(_) => "UID STORE",
            Command::Copy { uid: false, .. } => "COPY",
            Command::Copy { uid: true, .. } => "UID COPY",
            Command::Move { uid: false, .. } => "MOVE",
            Command::Move { uid: true, .. } => "UID MOVE",
        }
    }

    /// Whether the command makes the session one that is told of mod-sequences (RFC 7162 §3.1).
    pub fn enables_condstore(&self) -> bool {
        match self {
            Command::Select(select) => select.condstore || select.qresync.is_some(),
            Command::Status { items, .. } => items.contains(&StatusItem::HighestModSeq),
            Command::Fetch {
                attributes,
                modifiers,
                ..
            } => modifiers.changed_since.is_some() || attributes.contains(&FetchAttribute::ModSeq),
            Command::Store(store) => store.unchanged_since.is_some(),
            Command::StoreAnnotation(store) => store.unchanged_since.is_some(),
            Command::Search(search)
            | Command::Sort { search, .. }
            | Command::Thread { search, .. }
            | Command::Esearch { search, .. } => {
                search.key.any(&|key| matches!(key, SearchKey::ModSeq(_)))
            }
            Command::List(list) => list.returns.status.contains(&StatusItem::HighestModSeq),
            _ => false,
        }
    }
}
