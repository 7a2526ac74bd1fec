//! URLFETCH (RFC 4467 §7), with parts decoded and described where that is asked for (RFC 5524).
//!
//! Limits: the octets of one URL at a time are in memory, against the budget of messages in flight.

use ::imap::{Reply, Untagged, UrlAuthData, UrlDatum, UrlFetch, UrlItem, UrlValue};
use ::store::AccountId;

use super::error::{self, Failure};
use super::section::Value;
use super::urlauth::{self, Asker};
use super::{Answer, Imap, Link, catenate, structure};

/// Each URL with what it names, or NIL, whatever is wrong with it.
pub async fn fetch(
    imap: &mut Imap,
    link: &mut Link,
    user: AccountId,
    urls: Vec<UrlFetch>,
) -> Answer {
    let now = imap.shared.timestamp();
    let host = imap.shared.config().hostname.clone();
    for UrlFetch { url, items } in urls {
        let value = match one(imap, user, (url.clone(), host.clone()), now, &items).await? {
            Some(value) => value,
            // RFC 5524 §3: an invalid URL is a simple NIL, whatever was asked of it.
            None => UrlValue::Plain(None),
        };
        let data = UrlAuthData::Fetched(vec![(url, value)]);
        link.session.untagged(&Untagged::UrlAuth(data));
        link.flush_if_full().await?;
    }
    Ok(Reply::ok("URLs fetched"))
}

async fn one(
    imap: &Imap,
    user: AccountId,
    (url, host): (String, String),
    now: i64,
    items: &[UrlItem],
) -> Result<Option<UrlValue>, Failure> {
    let form = catenate::Form {
        decoded: items.contains(&UrlItem::Binary),
        structure: items.contains(&UrlItem::BodyPartStructure),
    };
    let located = imap.shared.db.read(move |snapshot| {
        let valid = urlauth::valid(snapshot, Asker::Session(user), &url, &host, now)?;
        let Some((place, parsed)) = valid else {
            return Ok(None);
        };
        let part = parsed.section.as_ref().map(|section| section.part.clone());
        let found = catenate::locate_in(snapshot, &place, parsed, form)?;
        Ok(found.map(|found| (found, part.unwrap_or_default())))
    });
    let Some((mut found, part)) = located.await? else {
        return Ok(None);
    };
    let memory = imap
        .shared
        .budget
        .reserve_outgoing(found.octets() as u64)
        .await;
    let _permit = memory.map_err(|_| Failure::Reply(error::NO_MEMORY))?;
    let whole = std::mem::take(&mut found.structure);
    let value = imap
        .shared
        .db
        .blocking(move |store| catenate::value(store, found))
        .await?;
    let octets = match value {
        Some(Value::Octets(octets)) => Some(octets),
        // RFC 5524 §3.2: octets that cannot be decoded are NIL, and what else there is to say of them is said.
        Some(Value::UnknownEncoding) => None,
        _ => return Ok(None),
    };
    if items.is_empty() {
        return Ok(Some(UrlValue::Plain(octets)));
    }
    let mut data = Vec::with_capacity(items.len());
    if form.structure {
        let Some(described) = structure::part(&whole, &part) else {
            return Ok(None);
        };
        // RFC 5524 §3.2: it describes what is sent.
        let decoded = octets
            .as_deref()
            .filter(|_| form.decoded && !part.is_empty());
        data.push(UrlDatum::BodyPartStructure(match decoded {
            Some(octets) => structure::decoded(described, octets),
            None => described.to_vec(),
        }));
    }
    if form.decoded {
        data.push(UrlDatum::Binary(octets));
    } else if items.contains(&UrlItem::Body) {
        data.push(UrlDatum::Body(octets));
    }
    Ok(Some(UrlValue::Items(data)))
}
