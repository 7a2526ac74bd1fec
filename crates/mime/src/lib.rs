#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod address;
mod body;
pub mod charset;
pub mod date;
pub mod decode;
mod defect;
pub mod encoded_word;
mod field;
pub mod file_name;
pub mod flowed;
pub mod header;
pub mod html;
pub mod ids;
pub mod imap;
mod index;
mod lint;
pub mod list;
mod message;
mod name;
mod param;
mod parse;
pub mod received;
pub mod report;
mod scratch;
pub mod sniff;
pub mod tnef;
mod utf7;
pub mod write;

pub use address::{AddressList, Entry, Mailbox};
pub use body::BodyLists;
pub use date::DateTime;
pub use defect::{Defect, DefectKind};
pub use field::Field;
pub use index::{Index, IndexError, IndexPart, Section};
pub use lint::lint;
pub use message::{Children, Fields, Message, OwnedMessage, Part};
pub use name::Name;
pub use param::Params;
pub use parse::push::PushParser;
pub use parse::tree::{Encoding, Kind};
pub use parse::{MAX_DEPTH, MAX_FIELDS, MAX_PARTS, MAX_SIZE, Parser};
pub use received::Received;
