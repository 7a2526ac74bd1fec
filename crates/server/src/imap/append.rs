//! APPEND (RFC 9051 §6.3.12).

use ::imap::{Append, Code, NumberSet, Reply};
use ::store::{BodyMeta, Rights};

use super::error::{self, Failure};
use super::{Answer, Imap, Link, access, selected};

/// Before the message is sent: is there a mailbox, does the quota hold it, and the memory?
pub async fn start(imap: &mut Imap, link: &mut Link, append: &Append, size: u64) {
    match admit(imap, append, size).await {
        Ok(()) => link.session.accept_literal(),
        Err(Failure::Reply(reply)) => link.session.complete(reply),
        Err(Failure::Gone) => {}
    }
}

async fn admit(imap: &mut Imap, append: &Append, size: u64) -> Result<(), Failure> {
    let account = imap.account()?;
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
    // What counts is the check within the commit; this one saves the client the sending.
    let full = owner.is_some_and(|owner| {
        owner
            .quota
            .is_some_and(|quota| owner.usage.saturating_add(size) > quota)
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
    imap.arriving = Some(permit);
    Ok(())
}

/// The message is here.
pub async fn append(imap: &mut Imap, append: Append) -> Answer {
    // Held until the message is stored.
    let _permit = imap.arriving.take();
    let account = imap.account()?;
    let received = append
        .date
        .map_or_else(|| imap.shared.timestamp(), |date| date.unix);
    let meta = BodyMeta {
        accounts: vec![account],
        received,
        ..BodyMeta::default()
    };
    let content = imap.shared.db.ingest(meta, vec![append.message]).await?;
    let (flags, keywords) = selected::split(&append.flags);
    let name = append.mailbox;
    let placed = imap
        .shared
        .db
        .write(move |tx| {
            let found = access::find(tx, account, name.as_str(), Rights::INSERT)?;
            let place = match found.target(name.as_str()) {
                Ok(place) => place,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let message = ::store::Append {
                content,
                flags,
                keywords,
                received,
            };
            let to = (place.owner, place.mailbox.id);
            tx.append_as(account, to, &message, place.rights).map(Ok)
        })
        .await??;
    let uids = NumberSet::from_iter([placed.uid]);
    Ok(Reply::ok("appended").with(Code::AppendUid {
        uid_validity: placed.uid_validity,
        uids,
    }))
}
