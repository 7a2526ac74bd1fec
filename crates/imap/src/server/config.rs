//! What a session is told at its start.

use std::time::Duration;

use wire::sasl::Mechanism;

use super::Quirks;
use crate::Capability;

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Text of the greeting.
    pub greeting: String,
    /// The connection is already under TLS (implicit TLS).
    pub tls: bool,
    /// STARTTLS can be offered while the connection is clear.
    pub starttls: bool,
    /// LOGIN is allowed while the connection is clear. Otherwise LOGINDISABLED is announced there.
    pub login_clear: bool,
    /// Mechanisms offered under TLS.
    pub mechanisms: Vec<Mechanism>,
    /// Mechanisms offered in the clear.
    pub mechanisms_clear: Vec<Mechanism>,
    /// What the server can do, in the order announced: without STARTTLS, LOGINDISABLED and AUTH=, which the session
    /// adds as they apply. Before login only those that matter there are told.
    pub capabilities: Vec<Capability>,
    /// What ID tells of us: field and value (RFC 2971). Empty: NIL.
    pub id: Vec<(String, String)>,
    /// What is taken from clients that break the grammar.
    pub quirks: Quirks,
    /// Limits of this session.
    pub limits: Limits,
}

impl Config {
    /// Every capability this crate knows how to speak and a complete server serves. LITERAL+ rather than LITERAL-:
    /// an APPEND in one go saves its round trip, and what it costs is bounded by `Limits::append` and the permit
    /// asked for in [`super::Event::AppendStart`].
    pub fn all_capabilities() -> Vec<Capability> {
        use Capability::*;
        vec![
            Imap4rev1,
            Imap4rev2,
            LiteralPlus,
            SaslIr,
            Id,
            Enable,
            Idle,
            Namespace,
            UidPlus,
            Move,
            Unselect,
            Children,
            ListExtended,
            ListStatus,
            SpecialUse,
            CreateSpecialUse,
            Esearch,
            SearchRes,
            Within,
            Sort,
            SortDisplay,
            ThreadOrderedSubject,
            ThreadReferences,
            Esort,
            ContextSearch,
            ContextSort,
            MultiSearch,
            SearchFuzzy,
            Filters,
            I18nLevel2,
            Language,
            StatusSize,
            Binary,
            Quota,
            QuotaStorage,
            QuotaMessage,
            QuotaMailbox,
            QuotaAnnotation,
            Acl,
            RightsKxten,
            Annotate,
            ListMyRights,
            Metadata,
            MetadataServer,
            ListMetadata,
            CondStore,
            QResync,
            SaveDate,
            MultiAppend,
            Catenate,
            Replace,
            CompressDeflate,
            Utf8Accept,
            UidOnly,
            Unauthenticate,
            Preview,
            Partial,
            UidBatches,
            ObjectId,
            Notify,
            UrlAuth,
            UrlAuthBinary,
            InProgress,
        ]
    }
}

/// What one session may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets of a command with its literals before login. Enough for any LOGIN and the base64 of any SASL message;
    /// small, because everybody may open connections.
    pub command_before_login: usize,
    /// Octets of a command with its literals after login, the message of APPEND aside: a UID set of a large mailbox
    /// with every other message in it.
    pub command: usize,
    /// Literals of one command: header searches of the largest clients, and a bound on the work of reading them.
    pub literals: usize,
    /// Octets of a message in APPEND.
    pub append: u64,
    /// Messages of one APPEND: a migration sends some dozens at once, and each costs its description until the end.
    pub messages: usize,
    /// Keys of one SEARCH.
    pub search_keys: usize,
    /// Items of one FETCH, flags of one STORE or APPEND, parts of one CATENATE.
    pub items: usize,
    /// Ranges of one sequence set.
    pub ranges: usize,
    /// Commands that cannot be understood before the session ends, before login: a foreign protocol. An HTTP request
    /// ends it at its first line.
    pub bad_before_login: u32,
    /// The same after login, in a row: a broken client in a loop.
    pub bad: u32,
    /// Silence allowed before login.
    pub login_timeout: Duration,
    /// Silence allowed after login (RFC 9051 §5.4 asks for at least 30 minutes).
    pub timeout: Duration,
    /// Silence allowed inside of a command and its literals.
    pub command_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            command_before_login: 8 * 1024,
            command: 256 * 1024,
            literals: 128,
            append: 50 * 1024 * 1024,
            messages: 1_000,
            search_keys: 2_000,
            items: 1_000,
            ranges: 50_000,
            bad_before_login: 3,
            bad: 50,
            login_timeout: Duration::from_secs(60),
            timeout: Duration::from_secs(31 * 60),
            command_timeout: Duration::from_secs(300),
        }
    }
}
