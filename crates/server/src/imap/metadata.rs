//! GETMETADATA, SETMETADATA (RFC 5464), and the METADATA of LIST (RFC 9590).
//!
//! An entry is `/shared/…` or `/private/…`. Whoever may list a mailbox and do anything with its messages may read both
//! (RFC 5464 §3.3) and set their private ones; shared ones take the right to write. Shared entries of the server are set
//! by its administrator.

use ::imap::server::{Limits, search_criteria};
use ::imap::{Code, MetadataCommand, MetadataData, MetadataDepth, Reply, Status, Untagged};
use ::store::{ANNOTATION_NAME, ANNOTATION_VALUE, AccountId, Annotated, Error, Rights, Snapshot};

use super::access::{self, Found, Place};
use super::error::Failure;
use super::search::filter;
use super::{Answer, Imap, Link};

/// A name that neither is shared nor private.
const NO_SUCH_ENTRY: Reply = Reply::bad("entries begin with /shared/ or /private/");
/// RFC 5466 §3.2: a filter is a search that can be read, under a name that a search can have.
const NO_FILTER: Reply = Reply::coded(Status::No, Code::Cannot, "that is no filter for searches");
/// The server's shared entries are set from the command line.
const READ_ONLY: Reply = Reply::coded(
    Status::No,
    Code::NoPerm,
    "shared entries of the server are set by its administrator",
);
/// RFC 5464 §4.3.
const TOO_MANY: Reply = Reply::coded(
    Status::No,
    Code::MetadataTooMany,
    "there are too many entries",
);
const TOO_BIG: Reply = Reply::coded(
    Status::No,
    Code::MetadataMaxSize(ANNOTATION_VALUE as u64),
    "the value is too big",
);

/// One value with the name it was asked for.
type Entry = (String, Option<Vec<u8>>);

/// Carries out a command about annotations.
pub async fn metadata(imap: &mut Imap, link: &mut Link, command: MetadataCommand) -> Answer {
    let user = imap.account()?;
    match command {
        MetadataCommand::Set { mailbox, entries } => {
            let name = mailbox.as_str().to_owned();
            set(imap, user, name, entries).await
        }
        MetadataCommand::Get {
            mailbox,
            max_size,
            depth,
            entries,
        } => {
            if !entries.iter().all(|entry| scope(entry).is_some()) {
                return Ok(NO_SUCH_ENTRY);
            }
            let name = mailbox.as_str().to_owned();
            let read = imap.shared.db.read(move |snapshot| {
                let place = match place(snapshot, user, &name)? {
                    Ok(place) => place,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                values(snapshot, user, place.as_ref(), &entries, depth).map(Ok)
            });
            let mut found = read.await??;
            let long = cut(&mut found, max_size);
            if !found.is_empty() {
                let data = MetadataData::Values {
                    mailbox,
                    entries: found,
                };
                link.session.untagged(&Untagged::Metadata(data));
            }
            let done = Reply::ok("annotations told");
            Ok(match long {
                Some(size) => done.with(Code::MetadataLongEntries(size)),
                None => done,
            })
        }
    }
}

/// Leaves out values above a size; that of the largest left out (RFC 5464 §4.2.1).
fn cut(found: &mut Vec<Entry>, max_size: Option<u64>) -> Option<u64> {
    let max_size = max_size?;
    let mut longest = None;
    found.retain(|(_, value)| {
        let size = value.as_ref().map_or(0, |value| value.len() as u64);
        if size > max_size {
            longest = longest.max(Some(size));
        }
        size <= max_size
    });
    longest
}

/// The mailbox of a command, none for the server.
fn place(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    name: &str,
) -> ::store::Result<Result<Option<Place>, Failure>> {
    if name.is_empty() {
        return Ok(Ok(None));
    }
    let found = match access::find(snapshot, user, name, Rights::LOOKUP)? {
        Found::There(place) if !may_annotate(place.rights) => Found::Forbidden,
        found => found,
    };
    Ok(found.place().map(Some))
}

/// RFC 5464 §3.3.
pub fn may_annotate(rights: Rights) -> bool {
    let any = Rights::READ
        .with(Rights::SEEN)
        .with(Rights::WRITE)
        .with(Rights::INSERT)
        .with(Rights::POST);
    rights.contains(Rights::LOOKUP) && rights.any(any)
}

/// Whether this can be the name of an entry below `/shared/` (RFC 5464 §3.2).
pub fn is_name(name: &str) -> bool {
    let known = |octet: u8| matches!(octet, b' '..=b'~') && !matches!(octet, b'*' | b'%');
    name.bytes().all(known) && name.split('/').all(|level| !level.is_empty())
}

/// Whether an entry is private, and its name within; none for other names.
fn scope(entry: &str) -> Option<(bool, &str)> {
    let (private, inner) = match entry.strip_prefix("/private") {
        Some(inner) => (true, inner),
        None => (false, entry.strip_prefix("/shared")?),
    };
    (inner.is_empty() || inner.starts_with('/')).then_some((private, inner))
}

fn annotated(user: AccountId, place: Option<&Place>, private: bool) -> Annotated {
    match (place, private) {
        (None, false) => Annotated::Server,
        (None, true) => Annotated::ServerFor(user),
        (Some(place), false) => Annotated::Mailbox(place.owner, place.mailbox.id),
        (Some(place), true) => Annotated::MailboxFor(place.owner, place.mailbox.id, user),
    }
}

/// The values of entries and what is below them. An entry asked for by its name that is not there is NIL.
fn values(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    place: Option<&Place>,
    entries: &[String],
    depth: MetadataDepth,
) -> ::store::Result<Vec<Entry>> {
    let mut found: Vec<Entry> = Vec::new();
    for private in [false, true] {
        let wanted = |entry: &&String| scope(entry).is_some_and(|(is, _)| is == private);
        let wanted: Vec<&String> = entries.iter().filter(wanted).collect();
        if wanted.is_empty() {
            continue;
        }
        let prefix = if private { "/private" } else { "/shared" };
        let all = snapshot.annotations(annotated(user, place, private))?;
        for entry in wanted {
            let before = found.len();
            for (name, value) in &all {
                let name = format!("{prefix}{name}");
                if within(&name, entry, depth) && !found.iter().any(|(known, _)| *known == name) {
                    found.push((name, Some(value.clone())));
                }
            }
            let known = found.iter().any(|(known, _)| known == entry);
            if depth == MetadataDepth::Zero && found.len() == before && !known {
                found.push((entry.clone(), None));
            }
        }
    }
    Ok(found)
}

/// Whether an entry is the one asked for, or as deep below it as asked (RFC 5464 §4.2.2).
fn within(name: &str, entry: &str, depth: MetadataDepth) -> bool {
    match name.strip_prefix(entry) {
        Some("") => true,
        Some(below) => match (below.strip_prefix('/'), depth) {
            (Some(_), MetadataDepth::Infinity) => true,
            (Some(rest), MetadataDepth::One) => !rest.contains('/'),
            _ => false,
        },
        None => false,
    }
}

/// The entries that LIST tells of a mailbox; none where the user may not see them.
pub fn listed(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    place: &Place,
    entries: &[String],
) -> ::store::Result<Option<Vec<Entry>>> {
    if entries.is_empty() || !may_annotate(place.rights) {
        return Ok(None);
    }
    let known: Vec<String> = entries
        .iter()
        .filter(|entry| scope(entry).is_some())
        .cloned()
        .collect();
    values(snapshot, user, Some(place), &known, MetadataDepth::Zero).map(Some)
}

/// Whether a value may stand in an entry of the server: in those of filters only what a search can name and read
/// (RFC 5466 §3.2, §4).
pub fn is_filter(inner: &str, value: Option<&[u8]>) -> bool {
    let Some(name) = inner.strip_prefix(filter::VALUES) else {
        return true;
    };
    let named = |octet: u8| !octet.is_ascii_control() && !b" (){%*\"\\]/".contains(&octet);
    value.is_none_or(|value| {
        name.bytes().all(named) && search_criteria(value, &Limits::default()).is_some()
    })
}

/// SETMETADATA: all entries or none.
async fn set(imap: &mut Imap, user: AccountId, name: String, entries: Vec<Entry>) -> Answer {
    for (entry, value) in &entries {
        if scope(entry).is_none_or(|(_, inner)| inner.len() <= 1) {
            return Ok(NO_SUCH_ENTRY);
        }
        let long = value
            .as_ref()
            .is_some_and(|value| value.len() > ANNOTATION_VALUE);
        if long || entry.len() > ANNOTATION_NAME {
            return Ok(TOO_BIG);
        }
        let inner = scope(entry).map_or("", |(_, inner)| inner);
        if name.is_empty() && !is_filter(inner, value.as_deref()) {
            return Ok(NO_FILTER);
        }
    }
    let mine = entries.iter().map(|(entry, _)| entry.clone()).collect();
    let outcome = imap.shared.db.write(move |tx| {
        let place = match place(tx, user, &name)? {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let whose = place.as_ref().map(|place| (place.owner, place.mailbox.id));
        // All or nothing (RFC 5464 §4.3): first every right, then every value.
        let shared = entries
            .iter()
            .any(|(entry, _)| scope(entry).is_some_and(|(private, _)| !private));
        match &place {
            None if shared => return Ok(Err(READ_ONLY.into())),
            Some(place) if shared && !place.rights.contains(Rights::WRITE) => {
                return Ok(Err(access::NO_PERMISSION.into()));
            }
            _ => {}
        }
        for (entry, value) in &entries {
            if let Some((private, inner)) = scope(entry) {
                let place = annotated(user, place.as_ref(), private);
                tx.set_annotation(place, inner, value.as_deref())?;
            }
        }
        Ok(Ok(whose))
    });
    match outcome.await {
        Err(Error::Limit(_)) => Ok(TOO_MANY),
        outcome => {
            let whose = outcome??;
            if let Some(changes) = &mut imap.annotations {
                changes.own(whose, mine);
            }
            Ok(Reply::ok("annotations set"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_levels() {
        use MetadataDepth::*;
        for (name, entry, depth, is) in [
            ("/shared/a", "/shared/a", Zero, true),
            ("/shared/a/b", "/shared/a", Zero, false),
            ("/shared/a/b", "/shared/a", One, true),
            ("/shared/a/b/c", "/shared/a", One, false),
            ("/shared/a/b/c", "/shared/a", Infinity, true),
            ("/shared/ab", "/shared/a", Infinity, false),
        ] {
            assert_eq!(within(name, entry, depth), is, "{name} {entry} {depth:?}");
        }
    }

    #[test]
    fn entries_are_shared_or_private() {
        assert_eq!(scope("/private/a"), Some((true, "/a")));
        assert_eq!(scope("/shared"), Some((false, "")));
        assert_eq!(scope("/sharedx/a"), None);
        assert_eq!(scope("/else"), None);
    }
}
