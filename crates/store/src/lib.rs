//! Accounts, mailboxes, messages, bodies and the change stream of Waxwing, durable.
//!
//! One data folder holds `waxwing.db` (SQLite, WAL), `packs/NNNN.pack` (message bodies, append-only), `snapshots/` (the
//! database as it was before each migration) and `lock` (one process owns the folder).
//!
//! Invariants: what was acknowledged is on disk; a row never refers to a body that is not (bodies without a row are allowed
//! and reclaimed); views change only by what was committed, before the writer's caller is answered.
//!
//! Everything here blocks; call it from a bounded pool of threads.
#![forbid(unsafe_code)]

mod across;
mod address;
mod annotation;
mod backup;
mod change;
mod check;
mod checkpoint;
mod decision;
mod directory;
mod dkim;
mod engine;
mod error;
mod expunge;
mod feedback;
mod fetch;
mod flags;
mod greylist;
mod mailbox;
mod maintain;
mod message;
mod message_annotation;
mod option;
mod pack;
mod places;
mod policy;
mod pop3uid;
pub mod queue;
mod quota;
mod readers;
mod remote;
mod report;
mod reserve;
mod resolve;
mod retrieved;
mod returning;
mod rights;
mod schema;
mod search;
mod seen;
mod snapshot;
mod srs;
mod store;
mod surrogate;
mod thread;
mod transfer;
mod tx;
mod types;
mod urlkey;
mod view;
mod world;
mod writer;

pub use across::Whose;
pub use annotation::{ANNOTATION_NAME, ANNOTATION_VALUE, Annotated};
pub use backup::BackupReport;
pub use check::{CheckReport, Finding};
pub use decision::{Decision, DecisionRow};
pub use dkim::{DkimKey, DkimState, NewDkimKey};
pub use error::{Error, Result};
pub use feedback::Feedback;
pub use fetch::{Fetch, FetchOrder};
pub use greylist::{GreylistKey, KEPT as GREYLIST_KEPT, WINDOW as GREYLIST_WINDOW};
pub use message_annotation::{
    AnnotationChange, MESSAGE_ANNOTATION_VALUE, MESSAGE_ANNOTATIONS, MessageAnnotation,
};
pub use policy::{StsPolicy, TlsResult};
pub use queue::{
    Allowance, AttemptRecord, BodyKind, DeliverBy, DeliverByMode, Due, LastAttempt, Leased,
    LeasedRecipient, LoggedAttempt, NewRecipient, Notify as NotifyOn, Outcome, QueueChange,
    QueueFilter, QueueId, QueueItem, QueueRecipient, QueueState, QueueSums, QueueWatch,
    QueuedEnvelope, Ret, Sent, Settlement, Taken, Turn, ValidSince, Verdict, Warned,
};
pub use quota::{Resource, Usage};
pub use remote::{
    REMOTE_DIGEST, RemoteArrival, RemoteCounts, RemoteGone, RemoteMailbox, RemoteMessage,
};
pub use report::{NewReport, Report, ReportRow, ReportSum};
pub use retrieved::Retrieved;
pub use rights::{AclEntry, Grantee, Rights, SharedMailbox};
pub use search::{SearchColumn, SearchRow, SearchSegment, SearchWatch, Unindexed};
pub use snapshot::Snapshot;
pub use store::{MaildropLock, Options, Store};
pub use surrogate::surrogate;
pub use tx::Tx;
pub use types::*;
pub use view::{Diff, Entry, Expunged, Notify, Subscription, View, ViewSnapshot};
pub use world::{Clock, Disk, DiskFile, Random, SystemClock, SystemDisk, SystemRandom};
