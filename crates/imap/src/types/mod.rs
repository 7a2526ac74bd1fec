//! The nouns of IMAP: owned, valid by construction, shared by the server and the client side.

mod acl;
mod annotation;
mod append;
mod capability;
mod command;
mod date;
mod fetch;
mod flag;
mod gmail;
mod list;
mod mailbox;
mod metadata;
mod notify;
mod quota;
mod reply;
mod response;
mod search;
mod select;
mod sequence;
mod status;
mod urlauth;

pub use acl::{AclCommand, AclData, RightsMode};
pub use annotation::{
    AnnotationAttribute, AnnotationData, AnnotationFetch, AnnotationKind, AnnotationScope,
    AnnotationSupport, AnnotationValue, NewAnnotation, StoreAnnotation,
};
pub use append::{Append, AppendPart, NewMessage, Replaced};
pub use capability::Capability;
pub use command::Command;
pub use date::{Date, DateTime};
pub use fetch::{FetchAttribute, FetchModifiers, Partial, Section, SectionText};
pub use flag::{Flag, Store, StoreAction};
pub use gmail::{GmailLabel, StoreLabels, SystemLabel};
pub use list::{
    List, ListEntry, ListPattern, ListReturn, ListSelection, MailboxAttribute, SpecialUse,
};
pub use mailbox::{MailboxName, MailboxNameError};
pub use metadata::{MetadataCommand, MetadataData, MetadataDepth};
pub use notify::{EventGroup, NotifyCommand, NotifyEvents, NotifyFilter};
pub use quota::{QuotaCommand, QuotaData, QuotaResource};
pub use reply::{Code, Reply, Status};
pub use response::{Body, Fetched, Namespace, NamespaceEntry, Untagged};
pub use search::{
    Esearch, ListChange, MailboxFilter, PartialRange, Search, SearchKey, SearchReturn,
    SortCriterion, SortKey, ThreadAlgorithm, ThreadToken,
};
pub use select::{QResync, Select};
pub use sequence::{Bound, NumberSet, SequenceSet};
pub use status::{StatusData, StatusItem};
pub use urlauth::{UrlAuthCommand, UrlAuthData, UrlDatum, UrlFetch, UrlItem, UrlValue};
pub use wire::sasl::Secret;
