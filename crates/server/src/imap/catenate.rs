//! Messages put together of others and parts of them (RFC 4469), and the octets an IMAP URL names (RFC 5092).
//!
//! Nothing of it sets `\\Seen`. Sizes are known before octets are read, so that what would be too large is refused first.

use ::imap::url::ImapUrl;
use ::imap::{AppendPart, Code, FetchAttribute, MailboxName, Reply, Status};
use ::store::{AccountId, Columns, MessageRow, Rights, Snapshot, Store};

use super::access;
use super::section::{self, Layout, Span, Value};

/// The largest result, in octets, that leads to a refusal of its own.
pub enum Refused {
    /// This URL names nothing here.
    Url(String),
    /// The parts together are larger than a message may be.
    TooBig,
}

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Reply {
        match refused {
            Refused::Url(url) => {
                Reply::no("that URL names no message here").with(Code::BadUrl(url))
            }
            Refused::TooBig => {
                Reply::coded(Status::No, Code::TooBig, "the message would be too big")
            }
        }
    }
}

/// Whose mailboxes URLs are about, and which one they are relative to (RFC 4469 §3).
pub struct Base {
    /// The account logged in.
    pub account: AccountId,
    /// The mailbox selected.
    pub mailbox: Option<MailboxName>,
    /// Most octets of a message.
    pub limit: u64,
}

/// Where a URL leads.
pub struct Found {
    attribute: FetchAttribute,
    row: Row,
    layout: Layout,
    /// BODYSTRUCTURE of the whole message, where it was asked for.
    pub structure: Vec<u8>,
}

impl Found {
    /// Octets that are read for it.
    pub fn octets(&self) -> usize {
        self.row.range.len()
    }
}

struct Row {
    body: ::store::BodyRef,
    range: std::ops::Range<usize>,
}

/// The octets of all parts, one behind the other.
pub fn join(
    store: &Store,
    base: &Base,
    parts: Vec<AppendPart>,
) -> ::store::Result<Result<Vec<Vec<u8>>, Refused>> {
    let mut total = 0u64;
    let mut pieces = Vec::with_capacity(parts.len());
    // First where everything is, and how large; then the octets.
    let mut found = Vec::with_capacity(parts.len());
    for part in parts {
        let piece = match part {
            AppendPart::Text { octets, .. } => {
                total = total.saturating_add(octets.len() as u64);
                Ok(octets)
            }
            AppendPart::Url(url) => {
                let Some(place) = store.read(|snapshot| find(snapshot, base, &url))? else {
                    return Ok(Err(Refused::Url(url)));
                };
                // A selection of header fields is at most the header it is of.
                total = total.saturating_add(place.row.range.len() as u64);
                Err((url, place))
            }
        };
        if total > base.limit {
            return Ok(Err(Refused::TooBig));
        }
        found.push(piece);
    }
    for piece in found {
        match piece {
            Ok(octets) => pieces.push(octets),
            Err((url, place)) => match read(store, place)? {
                Some(octets) => pieces.push(octets),
                None => return Ok(Err(Refused::Url(url))),
            },
        }
    }
    Ok(Ok(pieces))
}

fn find(snapshot: &Snapshot<'_>, base: &Base, url: &str) -> ::store::Result<Option<Found>> {
    let Some(url) = ImapUrl::parse(url) else {
        return Ok(None);
    };
    // RFC 4469 §3: relative URLs of messages only.
    let (None, None, Some(uid)) = (&url.server, &url.auth, url.uid) else {
        return Ok(None);
    };
    let Some(name) = url.mailbox.as_ref().or(base.mailbox.as_ref()) else {
        return Ok(None);
    };
    let access::Found::There(place) =
        access::find(snapshot, base.account, name.as_str(), Rights::READ)?
    else {
        return Ok(None);
    };
    let validity = place.mailbox.uid_validity;
    if url.uid_validity.is_some_and(|asked| asked != validity) {
        return Ok(None);
    }
    let url = ImapUrl {
        uid: Some(uid),
        ..url
    };
    locate_in(snapshot, &place, url, Form::default())
}

/// What is wanted of a message or part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Of a part, its octets without their transfer encoding.
    pub decoded: bool,
    /// The message's structure as well.
    pub structure: bool,
}

/// The message or part that a URL names in a mailbox that may be read.
pub fn locate_in(
    snapshot: &Snapshot<'_>,
    place: &access::Place,
    url: ImapUrl,
    form: Form,
) -> ::store::Result<Option<Found>> {
    let Some(uid) = url.uid else {
        return Ok(None);
    };
    let section = url.section.unwrap_or_default();
    let (partial, peek) = (url.partial, true);
    // Headers have no transfer encoding.
    let attribute = match section.text {
        None if form.decoded => FetchAttribute::Binary {
            part: section.part,
            partial,
            peek,
        },
        _ => FetchAttribute::BodySection {
            section,
            partial,
            peek,
        },
    };
    let columns = Columns {
        index: true,
        body: true,
        body_structure: form.structure,
        ..Columns::ENTRY
    };
    let mut found = None;
    let runs = [uid..=uid];
    let (owner, mailbox) = (place.owner, place.mailbox.id);
    snapshot.messages(owner, mailbox, &runs, columns, &mut |row| {
        found = locate(&attribute, &row)
            .map(|(place, layout)| (place, layout, row.body_structure.to_vec()));
        Ok(std::ops::ControlFlow::Break(()))
    })?;
    Ok(found.map(|(row, layout, structure)| Found {
        attribute,
        row,
        layout,
        structure,
    }))
}

fn locate(attribute: &FetchAttribute, row: &MessageRow<'_>) -> Option<(Row, Layout)> {
    let body = row.body?;
    let attributes = std::slice::from_ref(attribute);
    let size = usize::try_from(body.size).ok()?;
    let layout = Layout::read(row.index, section::depth(attributes), size)?;
    let range = section::extent(attributes, &layout);
    Some((Row { body, range }, layout))
}

/// Its octets.
pub fn read(store: &Store, found: Found) -> ::store::Result<Option<Vec<u8>>> {
    Ok(match value(store, found)? {
        Some(Value::Octets(octets)) => Some(octets),
        _ => None,
    })
}

/// Its octets, or why there are none.
pub fn value(store: &Store, found: Found) -> ::store::Result<Option<Value>> {
    let range = found.row.range;
    let octets = match store.body_range(&found.row.body, range.start as u64..range.end as u64) {
        Err(::store::Error::NotFound(_)) => return Ok(None),
        other => other?,
    };
    let start = range.start;
    let attributes = std::slice::from_ref(&found.attribute);
    let values = section::values(attributes, &found.layout, Span { start, octets });
    Ok(values.into_iter().next())
}
