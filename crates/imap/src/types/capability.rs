//! Names of capabilities (RFC 9051 §7.2.2 and the extensions' own).

use std::fmt;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A capability, as announced and as named by ENABLE.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $variant,)*
            /// `AUTH=` and the name of a SASL mechanism.
            Auth(String),
            /// One this crate gives no meaning to; announced or received as it is.
            Other(String),
        }

        impl Capability {
            /// Reads a capability name, in any case.
            pub fn from_name(name: &str) -> Capability {
                $(if name.eq_ignore_ascii_case($name) {
                    return Capability::$variant;
                })*
                match name.split_at_checked(5) {
                    Some((auth, mechanism)) if auth.eq_ignore_ascii_case("AUTH=") => {
                        Capability::Auth(mechanism.to_ascii_uppercase())
                    }
                    _ => Capability::Other(name.to_owned()),
                }
            }
        }

        impl fmt::Display for Capability {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Capability::$variant => f.write_str($name),)*
                    Capability::Auth(mechanism) => write!(f, "AUTH={mechanism}"),
                    Capability::Other(name) => f.write_str(name),
                }
            }
        }
    };
}

capabilities! {
    /// RFC 3501.
    Imap4rev1 = "IMAP4rev1",
    /// RFC 9051.
    Imap4rev2 = "IMAP4rev2",
    /// RFC 9051 §6.2.1.
    StartTls = "STARTTLS",
    /// RFC 9051 §6.2.3.
    LoginDisabled = "LOGINDISABLED",
    /// RFC 4959.
    SaslIr = "SASL-IR",
    /// RFC 7888: non-synchronizing literals of any size.
    LiteralPlus = "LITERAL+",
    /// RFC 7888: non-synchronizing literals up to 4096 octets.
    LiteralMinus = "LITERAL-",
    /// RFC 2971.
    Id = "ID",
    /// RFC 5161.
    Enable = "ENABLE",
    /// RFC 2177.
    Idle = "IDLE",
    /// RFC 2342.
    Namespace = "NAMESPACE",
    /// RFC 4315.
    UidPlus = "UIDPLUS",
    /// RFC 6851.
    Move = "MOVE",
    /// RFC 3691.
    Unselect = "UNSELECT",
    /// RFC 3348.
    Children = "CHILDREN",
    /// RFC 5258.
    ListExtended = "LIST-EXTENDED",
    /// RFC 5819.
    ListStatus = "LIST-STATUS",
    /// RFC 6154.
    SpecialUse = "SPECIAL-USE",
    /// RFC 6154: CREATE takes `USE (…)`.
    CreateSpecialUse = "CREATE-SPECIAL-USE",
    /// RFC 4731.
    Esearch = "ESEARCH",
    /// RFC 5182.
    SearchRes = "SEARCHRES",
    /// RFC 5032.
    Within = "WITHIN",
    /// RFC 5256.
    Sort = "SORT",
    /// RFC 5957.
    SortDisplay = "SORT=DISPLAY",
    /// RFC 5256.
    ThreadOrderedSubject = "THREAD=ORDEREDSUBJECT",
    /// RFC 5256.
    ThreadReferences = "THREAD=REFERENCES",
    /// RFC 5267: extended SORT.
    Esort = "ESORT",
    /// RFC 5267.
    ContextSearch = "CONTEXT=SEARCH",
    /// RFC 5267.
    ContextSort = "CONTEXT=SORT",
    /// RFC 7377.
    MultiSearch = "MULTISEARCH",
    /// RFC 6203.
    SearchFuzzy = "SEARCH=FUZZY",
    /// RFC 5466.
    Filters = "FILTERS",
    /// RFC 5255.
    I18nLevel1 = "I18NLEVEL=1",
    /// RFC 5255.
    I18nLevel2 = "I18NLEVEL=2",
    /// RFC 5255.
    Language = "LANGUAGE",
    /// RFC 8438.
    StatusSize = "STATUS=SIZE",
    /// RFC 3516.
    Binary = "BINARY",
    /// RFC 9755 (and 6855).
    Utf8Accept = "UTF8=ACCEPT",
    /// RFC 9208.
    Quota = "QUOTA",
    /// RFC 9208: SETQUOTA.
    QuotaSet = "QUOTASET",
    /// RFC 9208.
    QuotaStorage = "QUOTA=RES-STORAGE",
    /// RFC 9208.
    QuotaMessage = "QUOTA=RES-MESSAGE",
    /// RFC 9208.
    QuotaAnnotation = "QUOTA=RES-ANNOTATION-STORAGE",
    /// RFC 9208.
    QuotaMailbox = "QUOTA=RES-MAILBOX",
    /// RFC 4314.
    Acl = "ACL",
    /// RFC 4314 §2.2: the rights beyond RFC 2086, and that of RFC 5257 §3.4.
    RightsKxten = "RIGHTS=kxten",
    /// RFC 5257.
    Annotate = "ANNOTATE-EXPERIMENT-1",
    /// RFC 8440.
    ListMyRights = "LIST-MYRIGHTS",
    /// RFC 5464.
    Metadata = "METADATA",
    /// RFC 5464.
    MetadataServer = "METADATA-SERVER",
    /// RFC 9590.
    ListMetadata = "LIST-METADATA",
    /// RFC 4467.
    UrlAuth = "URLAUTH",
    /// RFC 5524.
    UrlAuthBinary = "URLAUTH=BINARY",
    /// Labels and searches as Gmail has them (developers.google.com/gmail/imap/imap-extensions). Not among those of
    /// [`crate::server::Config::all_capabilities`].
    GmailExt1 = "X-GM-EXT-1",
    /// RFC 5465.
    Notify = "NOTIFY",
    /// RFC 8474.
    ObjectId = "OBJECTID",
    /// RFC 7162.
    CondStore = "CONDSTORE",
    /// RFC 7162.
    QResync = "QRESYNC",
    /// RFC 8514.
    SaveDate = "SAVEDATE",
    /// RFC 8970.
    Preview = "PREVIEW",
    /// RFC 8508.
    Replace = "REPLACE",
    /// RFC 3502.
    MultiAppend = "MULTIAPPEND",
    /// RFC 4469.
    Catenate = "CATENATE",
    /// RFC 4978.
    CompressDeflate = "COMPRESS=DEFLATE",
    /// RFC 8437.
    Unauthenticate = "UNAUTHENTICATE",
    /// RFC 9394.
    Partial = "PARTIAL",
    /// RFC 9586.
    UidOnly = "UIDONLY",
    /// RFC 10022.
    UidBatches = "UIDBATCHES",
    /// RFC 9585.
    InProgress = "INPROGRESS",
}
