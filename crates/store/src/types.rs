//! The nouns of the store: identifiers, flags, and the rows that callers see.

use std::ops::RangeInclusive;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);
    };
}

id!(
    /// A domain served here.
    DomainId
);
id!(
    /// An account; leads the key of everything that belongs to it.
    AccountId
);
id!(
    /// An alias.
    AliasId
);
id!(
    /// An app password of an account.
    AppPasswordId
);
id!(
    /// A mailbox, unique within its account, kept over renames, never reused.
    MailboxId
);
id!(
    /// Immutable message content, unique within its account, shared by copies, never reused.
    MessageId
);
id!(
    /// Stored message octets, unique within the store, shared by all recipients, never reused.
    BodyId
);

/// Seconds since 1970-01-01 UTC.
pub type Timestamp = i64;

/// An inclusive run of UIDs. A run may cover UIDs that do not exist. Since UIDs only ascend, a session may pass one run
/// from its first to its last *known* UID even when the store has other messages above it.
pub type UidRange = RangeInclusive<u32>;

/// System flags of a message as bits (RFC 9051 §2.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`
    pub const ANSWERED: Flags = Flags(2);
    /// `\Flagged`
    pub const FLAGGED: Flags = Flags(4);
    /// `\Deleted`
    pub const DELETED: Flags = Flags(8);
    /// `\Draft`
    pub const DRAFT: Flags = Flags(16);
    /// All of them.
    pub const ALL: Flags = Flags(31);

    /// Whether every flag of `other` is set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These flags less those of `other`.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.with(other)
    }
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\Drafts`
    Drafts,
    /// `\Sent`
    Sent,
    /// `\Junk`
    Junk,
    /// `\Trash`
    Trash,
    /// `\Archive`
    Archive,
    /// `\Flagged`
    Flagged,
    /// `\All`
    All,
    /// `\Important` (RFC 8457)
    Important,
}

impl SpecialUse {
    /// The attribute without its backslash, as stored.
    pub fn name(self) -> &'static str {
        match self {
            SpecialUse::Drafts => "Drafts",
            SpecialUse::Sent => "Sent",
            SpecialUse::Junk => "Junk",
            SpecialUse::Trash => "Trash",
            SpecialUse::Archive => "Archive",
            SpecialUse::Flagged => "Flagged",
            SpecialUse::All => "All",
            SpecialUse::Important => "Important",
        }
    }

    /// From the attribute without its backslash, any case.
    pub fn from_name(name: &str) -> Option<SpecialUse> {
        use SpecialUse::*;
        [Drafts, Sent, Junk, Trash, Archive, Flagged, All, Important]
            .into_iter()
            .find(|u| u.name().eq_ignore_ascii_case(name))
    }
}

/// A domain whose addresses are served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its identifier.
    pub id: DomainId,
    /// Its name, in lower case.
    pub name: String,
    /// When it was added.
    pub created: Timestamp,
}

/// An account: somebody who can log in and has mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its identifier.
    pub id: AccountId,
    /// Its address and login name, in lower case.
    pub address: String,
    /// Limit in octets; None is unlimited.
    pub quota: Option<u64>,
    /// Octets in all mailboxes; a copy counts again.
    pub usage: u64,
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Disabled accounts cannot log in; mail for them is still accepted.
    pub disabled: bool,
    /// When it was added.
    pub created: Timestamp,
    /// The account's modification sequence (RFC 7162): that of its last change.
    pub modseq: u64,
}

/// SCRAM-SHA-256 verifier (RFC 5802 §3, RFC 7677).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Salt.
    pub salt: Vec<u8>,
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: Vec<u8>,
    /// ServerKey.
    pub server_key: Vec<u8>,
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys stay out of logs.
        write!(f, "ScramKeys {{ iterations: {} }}", self.iterations)
    }
}

/// A password as it is kept: never in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// PHC string of Argon2id.
    pub argon2: String,
    /// Keys for SCRAM-SHA-256.
    pub scram: Option<ScramKeys>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a login is checked against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Whose.
    pub account: AccountId,
    /// The account's address in its stored spelling.
    pub address: String,
    /// Whether logins are refused.
    pub disabled: bool,
    /// None: only app passwords work.
    pub secret: Option<Secret>,
    /// Whether the account has app passwords at all.
    pub has_app_passwords: bool,
}

/// An app password; its secret is 128 random bits, kept as SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Its identifier within the account.
    pub id: AppPasswordId,
    /// What the owner calls it; unique within the account.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used, to the day or so (see `Tx::touch_app_password`).
    pub last_used: Option<Timestamp>,
}

/// An alias: an address (or `@domain`, the catch-all) that stands for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Its identifier.
    pub id: AliasId,
    /// The address, in lower case; `@example.org` catches what nothing else takes.
    pub address: String,
    /// Where its mail goes, in lower case domain; local or remote addresses.
    pub targets: Vec<String>,
    /// When it was added.
    pub created: Timestamp,
}

/// One account that mail for an address goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The account.
    pub account: AccountId,
    /// Its address.
    pub address: String,
    /// The sub-address: `tag` of `user+tag`, where the account was addressed so.
    pub detail: Option<String>,
}

/// What an address means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Its domain is not served here.
    Remote,
    /// Its domain is served here, but nobody has the address.
    Unknown,
    /// Mail goes to these, each account once; `remote` are targets of aliases elsewhere.
    Local {
        /// Accounts, without duplicates.
        accounts: Vec<Resolved>,
        /// Addresses that an alias points to and that are not served here.
        remote: Vec<String>,
    },
}

/// A mailbox with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its identifier; stays over renames.
    pub id: MailboxId,
    /// Full name, `/` between levels, UTF-8 in NFC; `INBOX` in upper case.
    pub name: String,
    /// RFC 9051 §2.3.1.1; unique within the account over all time.
    pub uid_validity: u32,
    /// The UID that the next message gets at least.
    pub uid_next: u32,
    /// Highest modification sequence of anything in it (RFC 7162 §3.1.2.1).
    pub highest_modseq: u64,
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub size: u64,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether its name is subscribed.
    pub subscribed: bool,
}

/// Columns that [`crate::Snapshot::messages`] reads beyond the always present ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Columns {
    /// `MessageRow::index`
    pub index: bool,
    /// `MessageRow::envelope`
    pub envelope: bool,
    /// `MessageRow::body_structure`
    pub body_structure: bool,
    /// `MessageRow::body`
    pub body: bool,
    /// `MessageRow::email` and `MessageRow::thread`
    pub ids: bool,
}

impl Columns {
    /// Only what the entry itself holds.
    pub const ENTRY: Columns = Columns {
        index: false,
        envelope: false,
        body_structure: false,
        body: false,
        ids: false,
    };
    /// Everything.
    pub const ALL: Columns = Columns {
        index: true,
        envelope: true,
        body_structure: true,
        body: true,
        ids: true,
    };
}

/// A message in a mailbox, borrowed from the row that is being read. Blobs not asked for are empty.
#[derive(Debug, Clone)]
pub struct MessageRow<'r> {
    /// Its UID.
    pub uid: u32,
    /// Its content.
    pub message: MessageId,
    /// System flags.
    pub flags: Flags,
    /// Keywords, bits into the mailbox's keyword table.
    pub keywords: u64,
    /// Modification sequence.
    pub modseq: u64,
    /// Octets (RFC822.SIZE).
    pub size: u64,
    /// Internal date.
    pub received: Timestamp,
    /// When it came into this mailbox (RFC 8514).
    pub saved: Timestamp,
    /// Where its octets are; None unless asked for.
    pub body: Option<BodyRef>,
    /// `mime::Index` as bytes.
    pub index: &'r [u8],
    /// ENVELOPE, ready to send.
    pub envelope: &'r [u8],
    /// BODYSTRUCTURE, ready to send.
    pub body_structure: &'r [u8],
    /// Names the octets, wherever they are (RFC 8474 §5.1); only where anything beyond the entry was asked for.
    pub email: Option<BodyId>,
    /// Names the thread (RFC 8474 §5.2); likewise, and none for content from before there were threads.
    pub thread: Option<i64>,
}

/// Where the octets of a message are. Stays usable after compaction moved them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyRef {
    /// Identifier, also in the pack record.
    pub id: BodyId,
    /// Number of the pack.
    pub pack: u32,
    /// Offset of the record in the pack.
    pub offset: u64,
    /// Octets of the whole record.
    pub length: u64,
    /// Octets of the message.
    pub size: u64,
}

/// What a pack record says about its body besides the octets, so that the database can be rebuilt from packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyMeta {
    /// Accounts it is meant for (at most 65,535 are recorded).
    pub accounts: Vec<AccountId>,
    /// Internal date.
    pub received: Timestamp,
    /// Reverse-path, as in `MAIL FROM`, without angle brackets; empty for null or APPEND.
    pub reverse_path: String,
    /// Recipients as given in `RCPT TO`, without angle brackets.
    pub recipients: Vec<String>,
}

/// Message content ready to be placed: its octets are in a pack and it is parsed. Made by `Store::ingest`.
#[derive(Debug, Clone)]
pub struct Content {
    /// The octets.
    pub body: BodyRef,
    /// `mime::Index` as bytes.
    pub index: Vec<u8>,
    /// ENVELOPE value.
    pub envelope: Vec<u8>,
    /// BODYSTRUCTURE value.
    pub body_structure: Vec<u8>,
    /// Octets of what stands in for it where headers must be ASCII; None where nothing has to.
    pub surrogate: Option<u64>,
    /// What it may share with messages of its thread.
    pub(crate) thread_keys: Vec<i64>,
}

impl Content {
    /// Parses what is at `body`.
    pub fn parse(body: BodyRef, raw: &[u8]) -> Content {
        let index = mime::Index::parse(raw);
        Content {
            body,
            envelope: mime::imap::envelope(&index, raw),
            body_structure: mime::imap::bodystructure(&index, raw),
            surrogate: crate::surrogate::size(&index, raw),
            thread_keys: crate::thread::keys(
                raw,
                index.part(0).map_or(0..0, mime::IndexPart::header_range),
            ),
            index: index.to_bytes(),
        }
    }
}

/// Into which mailbox a delivery goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// INBOX.
    Inbox,
    /// The mailbox with this use; INBOX where there is none.
    SpecialUse(SpecialUse),
    /// This mailbox; INBOX where it is gone.
    Mailbox(MailboxId),
}

/// One recipient of a delivery.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Who.
    pub account: AccountId,
    /// Into which mailbox.
    pub target: Target,
    /// Flags to begin with.
    pub flags: Flags,
}

/// One message for many accounts.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message; its body is stored once for all.
    pub content: Content,
    /// Internal date.
    pub received: Timestamp,
    /// To whom. An account that comes twice gets it twice.
    pub recipients: Vec<Recipient>,
}

/// One message for one mailbox (IMAP APPEND, import).
#[derive(Debug, Clone)]
pub struct Append {
    /// The message.
    pub content: Content,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<String>,
    /// Internal date.
    pub received: Timestamp,
}

/// Where a message was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// The new UID.
    pub uid: u32,
    /// The content.
    pub message: MessageId,
    /// Modification sequence.
    pub modseq: u64,
}

/// How STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagMode {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

/// A change of flags (RFC 9051 §6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// How.
    pub mode: FlagMode,
    /// System flags.
    pub flags: Flags,
    /// Keywords; unknown ones are added to the mailbox's table (not by `Remove`).
    pub keywords: Vec<String>,
    /// RFC 7162 §3.1.3: leave alone, and report, messages with a higher modseq.
    pub unchanged_since: Option<u64>,
}

/// What [`crate::Tx::store_flags`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Messages that really changed.
    pub changed: u64,
    /// Their new modseq; None when nothing changed.
    pub modseq: Option<u64>,
    /// UIDs left alone because of `unchanged_since`.
    pub modified: Vec<u32>,
}

/// What COPY or MOVE did (RFC 9051 §6.4.7, COPYUID).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the destination.
    pub uid_validity: u32,
    /// Source and destination UID, ascending.
    pub uids: Vec<(u32, u32)>,
}

/// INBOX as POP3 sees it. UIDL is `uid_validity.uid`, where a message has not brought one along.
#[derive(Debug, Clone)]
pub struct Maildrop {
    /// INBOX.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// In order of UIDs.
    pub messages: Vec<MaildropMessage>,
}

/// A message of a maildrop.
#[derive(Debug, Clone)]
pub struct MaildropMessage {
    /// UID in INBOX.
    pub uid: u32,
    /// The unique-id it had where it was imported from.
    pub kept_id: Option<Box<str>>,
    /// Octets of [`crate::surrogate()`], where it has one.
    pub surrogate: Option<u64>,
    /// Octets.
    pub size: u64,
    /// Where they are.
    pub body: BodyRef,
}
