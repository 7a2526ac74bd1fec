//! APPEND (RFC 9051 §6.3.12) of one message or several (RFC 3502), put together of parts (RFC 4469), and REPLACE
//! (RFC 8508).
//!
//! Each message goes to the store's packs as soon as it is complete; all are placed in one transaction at the end of the
//! command, so that all are there or none. What was put away for a command that fails is never placed and its room is
//! given back by housekeeping.

use ::imap::{
    Append, AppendPart, Capability, Code, NewAnnotation, NewMessage, NumberSet, Reply, SequenceSet,
    Status, Untagged,
};
use ::store::{BodyMeta, Error, Flags, Rights};

use super::catenate::{self, Base};
use super::error::{self, Failure};
use super::{Answer, Imap, Link, access, annotate, selected};
use crate::budget::Permit;

/// What an APPEND has sent so far.
#[derive(Default)]
pub struct Arriving {
    /// Memory for the octets of the message that is arriving.
    permits: Vec<Permit>,
    /// The messages before it.
    kept: Vec<Kept>,
    /// Octets of all of them.
    octets: u64,
}

/// A message that is in the packs.
struct Kept {
    content: ::store::Content,
    flags: Flags,
    keywords: Vec<String>,
    received: i64,
    annotations: Vec<NewAnnotation>,
}

/// What REPLACE takes in the selected mailbox (RFC 8508 §4.1).
const REPLACES: Rights = Rights(Rights::DELETE_MESSAGES.0 | Rights::EXPUNGE.0);

/// RFC 9755 §4: what is in UTF-8 is sent as such, and by those who said that they can.
const NEEDS_UTF8: Reply = Reply::coded(
    Status::No,
    Code::Cannot,
    "a header that is not ASCII needs ENABLE UTF8=ACCEPT",
);

/// Before octets are sent: is there a mailbox, does the quota hold them, and the memory?
pub async fn start(imap: &mut Imap, link: &mut Link, append: Append, size: u64) {
    match admit(imap, link, append, size).await {
        Ok(()) => link.session.accept_literal(),
        Err(failure) => {
            imap.arriving = Arriving::default();
            if let Failure::Reply(reply) = failure {
                link.session.complete(reply);
            }
        }
    }
}

async fn admit(imap: &mut Imap, link: &Link, mut append: Append, size: u64) -> Result<(), Failure> {
    let messages = std::mem::take(&mut append.messages);
    if !messages.is_empty() {
        keep(imap, link, messages).await?;
    }
    let number = imap.arriving.kept.len().saturating_add(1);
    imap.limit.appended(number)?;
    let account = imap.account()?;
    if append.replaces.is_some() {
        replaced(imap, &append)?;
    }
    let name = append.mailbox.as_str();
    let found = imap
        .shared
        .db
        .glance(|snapshot| access::find(snapshot, account, name, Rights::INSERT))?;
    let place = found.target(name)?;
    let owner = imap
        .shared
        .db
        .glance(|snapshot| snapshot.account_by_id(place.owner))?;
    // What counts is the check within the commit; this one saves the client the sending. What REPLACE takes away makes
    // room that is known only then (RFC 8508 §3.4).
    let octets = imap.arriving.octets.saturating_add(size);
    let full = append.replaces.is_none()
        && owner.is_some_and(|owner| {
            owner
                .quota
                .is_some_and(|quota| owner.usage.saturating_add(octets) > quota)
        });
    if full {
        return Err(error::OVER_QUOTA.into());
    }
    let permit = imap
        .shared
        .budget
        .reserve(size)
        .await
        .map_err(|_| error::NO_MEMORY)?;
    imap.arriving.permits.push(permit);
    imap.arriving.octets = octets;
    Ok(())
}

/// Puts complete messages into the packs and gives their memory back.
async fn keep(imap: &mut Imap, link: &Link, messages: Vec<NewMessage>) -> Result<(), Failure> {
    let account = imap.account()?;
    let utf8 = link.session.is_enabled(&Capability::Utf8Accept)
        || link.session.is_enabled(&Capability::Imap4rev2);
    for mut message in messages {
        let annotations = std::mem::take(&mut message.annotations);
        if let Some(refusal) = annotate::refused(&annotations) {
            return Err(refusal.into());
        }
        let received = message
            .date
            .map_or_else(|| imap.shared.timestamp(), |date| date.unix);
        let meta = BodyMeta {
            accounts: vec![account],
            received,
            ..BodyMeta::default()
        };
        let (flags, keywords) = selected::split(&message.flags);
        let chunks = octets(imap, message).await?;
        if chunks.iter().all(Vec::is_empty) {
            return Err(Reply::no("A message of no octets is not kept").into());
        }
        if !utf8 && header_is_utf8(&chunks) {
            return Err(NEEDS_UTF8.into());
        }
        let content = imap.shared.db.ingest(meta, chunks).await?;
        if !annotate::has_parts(&content.index, &annotate::parts_of(&annotations)) {
            return Err(annotate::NO_SUCH_PART.into());
        }
        imap.arriving.kept.push(Kept {
            content,
            flags,
            keywords,
            received,
            annotations,
        });
    }
    imap.arriving.permits.clear();
    Ok(())
}

/// The octets of a message, in pieces.
async fn octets(imap: &mut Imap, message: NewMessage) -> Result<Vec<Vec<u8>>, Failure> {
    let mut urls = false;
    let mut texts = Vec::with_capacity(message.parts.len());
    for part in message.parts {
        urls |= matches!(part, AppendPart::Url(_));
        texts.push(part);
    }
    if !urls {
        let octets = texts.into_iter().filter_map(|part| match part {
            AppendPart::Text { octets, .. } => Some(octets),
            AppendPart::Url(_) => None,
        });
        return Ok(octets.collect());
    }
    let limit = imap.shared.config().limits.message_size;
    // How much the URLs name is known only on the way; a message at most.
    let permit = imap.shared.budget.reserve(limit.min(WHOLE)).await;
    imap.arriving
        .permits
        .push(permit.map_err(|_| error::NO_MEMORY)?);
    let base = Base {
        account: imap.account()?,
        mailbox: selected_name(imap)?,
        limit,
    };
    let joined = imap
        .shared
        .db
        .blocking(move |store| catenate::join(store, &base, texts))
        .await?;
    joined.map_err(|refused| Failure::Reply(refused.into()))
}

/// Memory asked for beforehand for what URLs name: most drafts with their attachments.
const WHOLE: u64 = 8 << 20;

/// The name of the mailbox selected as its user writes it, to which URLs are relative: in another account it is not what
/// the owner calls it, which would be a mailbox of one's own.
fn selected_name(imap: &Imap) -> Result<Option<::imap::MailboxName>, Failure> {
    let Some(selected) = &imap.selected else {
        return Ok(None);
    };
    let (user, owner, mailbox) = (selected.user, selected.account, selected.mailbox);
    let found = imap.shared.db.glance(|snapshot| {
        let Some(mailbox) = snapshot.mailbox_by_id(owner, mailbox)? else {
            return Ok(None);
        };
        if owner == user {
            return Ok(Some(mailbox.name));
        }
        let owner = snapshot.account_by_id(owner)?;
        Ok(owner.map(|owner| access::other(&owner.address, &mailbox.name)))
    })?;
    Ok(found.and_then(|name| ::imap::MailboxName::new(&name).ok()))
}

/// Whether the header holds UTF-8 beyond ASCII. Other octets above 127 are of old mail in old charsets: they say nothing
/// of what the client can, and a copy of such mail must not fail.
fn header_is_utf8(chunks: &[Vec<u8>]) -> bool {
    let whole: Vec<u8>;
    let octets = match chunks {
        [only] => only.as_slice(),
        _ => {
            whole = chunks.concat();
            &whole
        }
    };
    let end = memchr::memmem::find(octets, b"\r\n\r\n").unwrap_or(octets.len());
    let header = octets.get(..end).unwrap_or_default();
    !header.is_ascii() && std::str::from_utf8(header).is_ok()
}

/// The UID that REPLACE takes away.
fn replaced(imap: &mut Imap, append: &Append) -> Result<Option<u32>, Failure> {
    let Some(replaced) = append.replaces else {
        return Ok(None);
    };
    let selected = imap.writable()?;
    let set = SequenceSet::Ranges(vec![(replaced.message, replaced.message)]);
    let runs = selected.runs(&set, replaced.uid)?;
    let uid = runs
        .first()
        .and_then(|run| selected.told.uid_at(*run.start()));
    match uid {
        Some(uid) if selected.view.snapshot().seq_of(uid).is_some() => Ok(Some(uid)),
        Some(_) => Err(error::EXPUNGE_ISSUED.into()),
        None => Err(Reply::no("no message has that UID").into()),
    }
}

/// All of it is here.
pub async fn append(imap: &mut Imap, link: &mut Link, append: Append) -> Answer {
    let placed = place(imap, link, append).await;
    imap.arriving = Arriving::default();
    placed
}

async fn place(imap: &mut Imap, link: &mut Link, mut append: Append) -> Answer {
    let account = imap.account()?;
    let gone = replaced(imap, &append)?;
    let messages = std::mem::take(&mut append.messages);
    keep(imap, link, messages).await?;
    let kept = std::mem::take(&mut imap.arriving.kept);
    imap.limit.appended(kept.len())?;
    let from = imap
        .selected
        .as_deref()
        .zip(gone)
        .map(|(selected, uid)| (selected.account, selected.mailbox, uid));
    let name = append.mailbox;
    let write = imap.shared.db.write(move |tx| {
        let found = access::find(tx, account, name.as_str(), Rights::INSERT)?;
        let place = match found.target(name.as_str()) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // RFC 5257 §3.4: a right that is missing refuses all of it.
        let may = |one: &Kept| annotate::may(place.rights, &one.annotations);
        if !kept.iter().all(may) {
            return Ok(Err(access::NO_PERMISSION.into()));
        }
        // First away, so that what counts for the quota is the difference (RFC 8508 §3.4).
        if let Some((owner, mailbox, uid)) = from {
            if !tx.rights(account, owner, mailbox)?.contains(REPLACES) {
                return Ok(Err(access::NO_PERMISSION.into()));
            }
            if tx.expunge(owner, mailbox, &[uid..=uid], false)?.is_empty() {
                return Err(Error::NotFound("message"));
            }
        }
        let to = (place.owner, place.mailbox.id);
        let mut placed = Vec::with_capacity(kept.len());
        for message in kept {
            let changes = annotate::changes(message.annotations);
            let message = ::store::Append {
                content: message.content,
                flags: message.flags,
                keywords: message.keywords,
                received: message.received,
            };
            let there = tx.append_as(account, to, &message, place.rights)?;
            tx.annotate_new(account, &there, &changes)?;
            placed.push(there);
        }
        Ok(Ok(placed))
    });
    let placed = imap.progress.during(link, None, write).await???;
    let uid_validity = placed.first().map_or(0, |placed| placed.uid_validity);
    let code = Code::AppendUid {
        uid_validity,
        uids: placed
            .iter()
            .map(|placed| placed.uid)
            .collect::<NumberSet>(),
    };
    if from.is_some() {
        // RFC 8508 §3.2: before EXPUNGE, which the sync after every command tells.
        let told = Reply::ok("the new message is there").with(code);
        link.session.untagged(&Untagged::Status(told));
        return Ok(Reply::ok("replaced"));
    }
    Ok(Reply::ok("appended").with(code))
}
