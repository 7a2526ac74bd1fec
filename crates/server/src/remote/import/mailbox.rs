//! One mailbox: what is there, what is new, its messages, and the comparison at the end.

use std::collections::{HashMap, HashSet};

use imap::{Capability, Command, FetchAttribute, FetchModifiers, Fetched, Flag, Section, Untagged};
use serde_json::Value;
use store::Flags;

use super::{BATCH, MailboxReport, Run, everything, rows, set};
use crate::manage::Append;
use crate::remote::admin::{self, Arrival};
use crate::remote::client::Selected;
use crate::remote::names::Plan;
use crate::remote::{Error, MESSAGES, dated};

/// Octets of messages in one FETCH, as their server says: what is lost with a connection is asked for again.
const BATCH_OCTETS: u64 = 32 << 20;

/// Remembered messages asked for at once.
const PAGE: usize = 1000;

/// Changes passed on at once.
const CHANGES: usize = 500;

/// Octets of different sets of keywords: people have a few of them.
const KEYWORDS: usize = 16 << 20;

/// Keywords of one message: a mailbox here has room for as many.
const KEYWORDS_OF_MESSAGE: usize = 64;

/// A message there. Keywords are kept once for all messages that have the same.
#[derive(Debug, Clone, Copy)]
struct There {
    uid: u32,
    size: u64,
    flags: Flags,
    keywords: usize,
}

/// What a server says of its messages.
#[derive(Default)]
struct Listing {
    messages: Vec<There>,
    /// Each set of keywords, sorted.
    keywords: Vec<Vec<String>>,
    places: HashMap<Vec<String>, usize>,
    /// Octets of them.
    octets: usize,
}

impl Listing {
    fn add(&mut self, items: Vec<Fetched>) -> Result<(), Error> {
        let (mut uid, mut size, mut flags) = (None, None, None);
        for item in items {
            match item {
                Fetched::Uid(value) => uid = Some(value),
                Fetched::Rfc822Size(value) => size = Some(value),
                Fetched::Flags(value) => flags = Some(value),
                _ => {}
            }
        }
        // Without all of these it is news of somebody else's change, and no answer.
        let (Some(uid), Some(size), Some(flags)) = (uid.filter(|uid| *uid > 0), size, flags) else {
            return Ok(());
        };
        if self.messages.len() >= MESSAGES {
            return Err(Error::Hostile(format!(
                "lists more than {MESSAGES} messages in a mailbox"
            )));
        }
        let (flags, keywords) = ours(&flags);
        let place = match self.places.get(&keywords) {
            Some(place) => *place,
            None => {
                self.octets = keywords
                    .iter()
                    .fold(self.octets, |sum, name| sum.saturating_add(name.len()));
                if self.octets > KEYWORDS {
                    return Err(Error::Hostile(
                        "has more keywords than people could have set".to_owned(),
                    ));
                }
                let place = self.keywords.len();
                self.keywords.push(keywords.clone());
                self.places.insert(keywords, place);
                place
            }
        };
        self.messages.push(There {
            uid,
            size,
            flags,
            keywords: place,
        });
        Ok(())
    }

    /// In order, each once.
    fn settle(&mut self) {
        self.messages.sort_by_key(|message| message.uid);
        self.messages.dedup_by_key(|message| message.uid);
    }

    fn keywords(&self, message: &There) -> &[String] {
        self.keywords
            .get(message.keywords)
            .map_or(&[], Vec::as_slice)
    }
}

/// What a comparison of there and here says.
#[derive(Default)]
struct Difference {
    /// To be brought.
    new: Vec<There>,
    /// Remembered, and still there.
    known: u64,
}

/// System flags and keywords as we keep them. What has no meaning beyond its server (`\Recent`, other flags of systems) is
/// left out.
pub(in crate::remote) fn ours(flags: &[Flag]) -> (Flags, Vec<String>) {
    let mut system = Flags::NONE;
    let mut keywords = Vec::new();
    for flag in flags {
        match flag {
            Flag::Seen => system = system | Flags::SEEN,
            Flag::Answered => system = system | Flags::ANSWERED,
            Flag::Flagged => system = system | Flags::FLAGGED,
            Flag::Deleted => system = system | Flags::DELETED,
            Flag::Draft => system = system | Flags::DRAFT,
            Flag::Keyword(name) if is_keyword(name) => keywords.push(name.clone()),
            Flag::Keyword(_) | Flag::Recent | Flag::Extension(_) => {}
        }
    }
    keywords.sort_unstable();
    keywords.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    keywords.truncate(KEYWORDS_OF_MESSAGE);
    (system, keywords)
}

/// RFC 9051 §9 flag-keyword: an atom.
fn is_keyword(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
}

/// How a UID is remembered: the order of keys is that of UIDs.
pub(in crate::remote) fn key(uid: u32) -> String {
    format!("{uid:010}")
}

impl Run<'_> {
    pub(super) async fn mailbox(
        &mut self,
        plan: &Plan,
        report: &mut MailboxReport,
    ) -> Result<(), Error> {
        let name = &plan.listed.name;
        report.there = name.as_str().to_owned();
        report.here.clone_from(&plan.name);
        report.differs.clear();
        let selected = self.imap.select(name, true).await?;
        report.uid_next = selected.uid_next;
        let Some(uid_validity) = selected.uid_validity.filter(|value| *value > 0) else {
            self.leave_out(format!(
                "{name}: its server cannot name messages lastingly (no UIDVALIDITY)"
            ));
            return Ok(());
        };
        let begun = match self.remote(admin::Request::Begin(admin::Begin {
            address: self.options.account.clone(),
            source: self.source.clone(),
            name: name.as_str().to_owned(),
            uid_validity,
            mailbox: plan.name.clone(),
            special_use: plan
                .special_use
                .map(|special_use| special_use.name().to_owned()),
            subscribe: plan.listed.subscribed,
        })) {
            Ok(begun) => begun,
            // Its name is longer than names may be here, or there are too many mailboxes: the others come.
            Err(error) => {
                self.leave_out(format!("{name}: {error}"));
                return Ok(());
            }
        };
        let number = |key: &str| begun.value.get(key).and_then(Value::as_u64).unwrap_or(0);
        let id = begun
            .value
            .get("id")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let last = number("modseq");
        // Nothing has happened since (RFC 7162 §3.1.2.1): no flag, no message, and none is gone.
        let unchanged = last > 0
            && selected.modseq == Some(last)
            && selected.uid_next.map(u64::from) == Some(number("uid_next"))
            && u64::from(selected.exists) == number("messages");
        let mut complete = true;
        let mut octets_there = None;
        if !unchanged {
            let listing = self.look(id, &selected, last, report).await?;
            octets_there = listing.1;
            complete = self.bring(plan, id, listing.0, report).await?;
        }
        if self.options.remove_there {
            self.remove_there(plan, id, uid_validity).await?;
        }
        self.compare(id, &selected, octets_there, report)?;
        let sound = complete && report.differs.is_empty();
        self.remote(admin::Request::End {
            address: self.options.account.clone(),
            id,
            modseq: selected.modseq.filter(|_| sound).unwrap_or(0),
            uid_next: selected.uid_next.unwrap_or(0),
            messages: selected.exists,
        })?;
        Ok(())
    }

    /// What is to be brought, and the octets of all messages where all were listed. Changed flags and what is gone are dealt
    /// with.
    async fn look(
        &mut self,
        id: i64,
        selected: &Selected,
        last: u64,
        report: &mut MailboxReport,
    ) -> Result<(Vec<There>, Option<u64>), Error> {
        if selected.exists == 0 {
            self.difference(id, &Listing::default(), true, report)?;
            return Ok((Vec::new(), Some(0)));
        }
        if last > 0 && self.imap.has(&Capability::CondStore) {
            let changed = self.listing(Some(last)).await?;
            let difference = self.difference(id, &changed, false, report)?;
            let known = difference.known;
            // If all that is remembered is still there, this is all there is.
            if known.saturating_add(difference.new.len() as u64) == u64::from(selected.exists) {
                return Ok((difference.new, None));
            }
        }
        let all = self.listing(None).await?;
        let octets = all
            .messages
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(one.size));
        // What is not listed then may well be there: nothing is taken for gone.
        let whole = (all.messages.len() as u64) >= u64::from(selected.exists);
        if !whole {
            report.differs.push(format!(
                "the server says it has {} messages and lists {}",
                selected.exists,
                all.messages.len()
            ));
        }
        report.messages_there = all.messages.len() as u64;
        let difference = self.difference(id, &all, whole, report)?;
        Ok((difference.new, Some(octets)))
    }

    /// All messages, or those changed since a mod-sequence.
    async fn listing(&mut self, changed_since: Option<u64>) -> Result<Listing, Error> {
        let command = Command::Fetch {
            uid: true,
            set: everything(),
            attributes: vec![
                FetchAttribute::Uid,
                FetchAttribute::Flags,
                FetchAttribute::Rfc822Size,
            ],
            modifiers: FetchModifiers {
                changed_since,
                ..FetchModifiers::default()
            },
        };
        let mut listing = Listing::default();
        self.imap
            .must(&command, |untagged| match untagged {
                Untagged::Fetch { items, .. } => listing.add(items),
                _ => Ok(()),
            })
            .await?;
        listing.settle();
        Ok(listing)
    }

    /// Compares what is there with what is remembered, both in order. With `all`, what is not listed is gone.
    fn difference(
        &mut self,
        id: i64,
        listing: &Listing,
        all: bool,
        report: &mut MailboxReport,
    ) -> Result<Difference, Error> {
        let mut difference = Difference::default();
        let (mut changes, mut gone) = (Vec::new(), Vec::new());
        let mut there = listing.messages.iter().peekable();
        let mut after = String::new();
        loop {
            let page = self.remote(admin::Request::Known {
                address: self.options.account.clone(),
                id,
                after: after.clone(),
                limit: PAGE,
            })?;
            let mut count = 0_usize;
            for row in rows(&page) {
                count = count.saturating_add(1);
                let text = row.get("key").and_then(Value::as_str).unwrap_or_default();
                after = text.to_owned();
                let uid: u32 = text.parse().unwrap_or(0);
                while let Some(new) = there.next_if(|one| one.uid < uid) {
                    difference.new.push(*new);
                }
                match there.next_if(|one| one.uid == uid) {
                    Some(one) => {
                        difference.known = difference.known.saturating_add(1);
                        if self.options.flags && !same(row, one, listing) {
                            changes.push((
                                after.clone(),
                                one.flags.0,
                                listing.keywords(one).to_vec(),
                            ));
                        }
                    }
                    None if all => gone.push(after.clone()),
                    None => difference.known = difference.known.saturating_add(1),
                }
            }
            self.pass_on(id, &mut changes, CHANGES, report)?;
            if count < PAGE {
                break;
            }
        }
        difference.new.extend(there);
        self.pass_on(id, &mut changes, 1, report)?;
        report.gone = report.gone.saturating_add(gone.len() as u64);
        for keys in gone.chunks(CHANGES) {
            self.remote(admin::Request::Gone {
                address: self.options.account.clone(),
                id,
                keys: keys.to_vec(),
                then: self.gone(),
            })?;
        }
        Ok(difference)
    }

    fn pass_on(
        &mut self,
        id: i64,
        changes: &mut Vec<(String, u8, Vec<String>)>,
        least: usize,
        report: &mut MailboxReport,
    ) -> Result<(), Error> {
        while changes.len() >= least {
            let rest = changes.split_off(changes.len().min(CHANGES));
            let answer = self.remote(admin::Request::Flags {
                address: self.options.account.clone(),
                id,
                changes: std::mem::replace(changes, rest),
            })?;
            report.flags = report
                .flags
                .saturating_add(answer.value.as_u64().unwrap_or(0));
        }
        Ok(())
    }

    /// Brings messages; whether all of them came.
    async fn bring(
        &mut self,
        plan: &Plan,
        id: i64,
        new: Vec<There>,
        report: &mut MailboxReport,
    ) -> Result<bool, Error> {
        self.watch.expect(new.len() as u64);
        let mut complete = true;
        let mut batch: Vec<u32> = Vec::new();
        let mut octets = 0_u64;
        let limit = self.options.message_limit;
        let mut batches: Vec<Vec<u32>> = Vec::new();
        for message in new {
            if message.size > limit {
                let name = &plan.listed.name;
                self.leave_out(format!(
                    "{name}, UID {}: {} octets, and a message may have {limit}",
                    message.uid, message.size
                ));
                complete = false;
                continue;
            }
            let full = batch.len() >= BATCH || octets.saturating_add(message.size) > BATCH_OCTETS;
            if full && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                octets = 0;
            }
            octets = octets.saturating_add(message.size);
            batch.push(message.uid);
        }
        batches.push(batch);
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            let missing = self.fetch(plan, id, batch, true, report).await?;
            for uid in missing {
                complete &= self.fetch_one(plan, id, uid, report).await?;
            }
        }
        // What was refused shows here at the latest.
        self.remote(admin::Request::Count {
            address: self.options.account.clone(),
            id,
        })?;
        Ok(complete)
    }

    /// Removes there what is remembered, and so is durable here.
    async fn remove_there(&mut self, plan: &Plan, id: i64, uid_validity: u32) -> Result<(), Error> {
        // Without UIDPLUS others' messages would go as well (RFC 4315 §2.1).
        if !self.imap.has(&Capability::UidPlus) {
            let name = &plan.listed.name;
            self.watch.note(&format!(
                "{name}: its server cannot remove single messages (UIDPLUS); they stay there"
            ));
            return Ok(());
        }
        let selected = self.imap.select(&plan.listed.name, false).await?;
        if selected.uid_validity != Some(uid_validity) {
            return Ok(());
        }
        let mut after = String::new();
        loop {
            let page = self.remote(admin::Request::Known {
                address: self.options.account.clone(),
                id,
                after: after.clone(),
                limit: BATCH,
            })?;
            let keys: Vec<&str> = rows(&page)
                .filter_map(|row| row.get("key")?.as_str())
                .collect();
            let uids: Vec<u32> = keys.iter().filter_map(|key| key.parse().ok()).collect();
            let Some(last) = keys.last() else {
                return Ok(());
            };
            after = (*last).to_owned();
            // Before anything is removed there: what a later run finds gone it must not remove here as well.
            self.remote(admin::Request::Gone {
                address: self.options.account.clone(),
                id,
                keys: keys.iter().map(|key| (*key).to_owned()).collect(),
                then: admin::Gone::Release,
            })?;
            let deleted = Command::Store(imap::Store {
                uid: true,
                set: set(&uids),
                action: imap::StoreAction::Add,
                silent: true,
                unchanged_since: None,
                flags: vec![Flag::Deleted],
            });
            self.imap.must(&deleted, |_| Ok(())).await?;
            let expunge = Command::Expunge {
                uids: Some(set(&uids)),
            };
            self.imap.must(&expunge, |_| Ok(())).await?;
        }
    }

    /// A message that did not come with the others: its date may be written as no date is, or it is gone, or damaged there.
    async fn fetch_one(
        &mut self,
        plan: &Plan,
        id: i64,
        uid: u32,
        report: &mut MailboxReport,
    ) -> Result<bool, Error> {
        if self.fetch(plan, id, &[uid], true, report).await?.is_empty()
            || self
                .fetch(plan, id, &[uid], false, report)
                .await?
                .is_empty()
        {
            return Ok(true);
        }
        let command = Command::Fetch {
            uid: true,
            set: set(&[uid]),
            attributes: vec![FetchAttribute::Uid],
            modifiers: FetchModifiers::default(),
        };
        let mut there = false;
        self.imap
            .run(&command, |untagged| {
                if let Untagged::Fetch { items, .. } = untagged {
                    there |= items.contains(&Fetched::Uid(uid));
                }
                Ok(())
            })
            .await?;
        if there {
            let name = &plan.listed.name;
            self.leave_out(format!(
                "{name}, UID {uid}: the server does not give it out"
            ));
        }
        Ok(!there)
    }

    /// Fetches messages and keeps each as it comes. Returns those that did not come.
    async fn fetch(
        &mut self,
        plan: &Plan,
        id: i64,
        uids: &[u32],
        with_date: bool,
        report: &mut MailboxReport,
    ) -> Result<Vec<u32>, Error> {
        let mut attributes = vec![FetchAttribute::Uid, FetchAttribute::Flags];
        if with_date {
            attributes.push(FetchAttribute::InternalDate);
        }
        attributes.push(FetchAttribute::BodySection {
            section: Section::default(),
            partial: None,
            peek: true,
        });
        let command = Command::Fetch {
            uid: true,
            set: set(uids),
            attributes,
            modifiers: FetchModifiers::default(),
        };
        let mut wanted: HashSet<u32> = uids.iter().copied().collect();
        let (door, watch, lost) = (&mut *self.door, &mut *self.watch, &mut self.lost);
        let (account, view) = (&self.options.account, plan.listed.is_view());
        let carried = match self.options.flags {
            true => Flags::ALL.0,
            false => 0,
        };
        let reply = self
            .imap
            .run(&command, |untagged| {
                let Untagged::Fetch { items, .. } = untagged else {
                    return Ok(());
                };
                let Some(message) = Message::new(items) else {
                    return Ok(());
                };
                if !wanted.remove(&message.uid) {
                    return Ok(());
                }
                let mut message = message;
                if carried == 0 {
                    message.keywords.clear();
                }
                let append = Append {
                    address: account.clone(),
                    source: String::new(),
                    key: key(message.uid),
                    after: None,
                    mailbox: String::new(),
                    flags: message.flags.0 & carried,
                    keywords: message.keywords,
                    received: message.received.or_else(|| dated(&message.octets)),
                    pop3_uid: None,
                    remote: Some(Arrival { id, view }),
                };
                door.append(append, &message.octets)?;
                watch.done();
                lost.forget();
                report.new = report.new.saturating_add(1);
                report.octets = report.octets.saturating_add(message.octets.len() as u64);
                Ok(())
            })
            .await?;
        let mut missing: Vec<u32> = wanted.into_iter().collect();
        missing.sort_unstable();
        if !missing.is_empty() && reply.status != imap::Status::Ok {
            self.watch.note(&format!(
                "{}: the server says: {}",
                plan.listed.name,
                crate::remote::shown(&reply.text)
            ));
        }
        Ok(missing)
    }

    /// Compares numbers and octets.
    fn compare(
        &mut self,
        id: i64,
        selected: &Selected,
        octets_there: Option<u64>,
        report: &mut MailboxReport,
    ) -> Result<(), Error> {
        let answer = self.remote(admin::Request::Count {
            address: self.options.account.clone(),
            id,
        })?;
        let number = |key: &str| answer.value.get(key).and_then(Value::as_u64).unwrap_or(0);
        let all = |a: &str, b: &str, c: &str| {
            number(a)
                .saturating_add(number(b))
                .saturating_add(number(c))
        };
        report.messages_here = all("here", "elsewhere", "removed");
        report.octets_here = all("octets", "elsewhere_octets", "removed_octets");
        report.removed_here = number("removed");
        report.elsewhere = number("elsewhere");
        if octets_there.is_none() {
            report.messages_there = u64::from(selected.exists);
        }
        report.octets_there = octets_there.unwrap_or(report.octets_here);
        if report.messages_here != report.messages_there {
            report.differs.push(format!(
                "{} messages there, {} of them here",
                report.messages_there, report.messages_here
            ));
        } else if report.octets_here != report.octets_there {
            report.differs.push(format!(
                "the server says that its messages have {} octets, and gave out {}",
                report.octets_there, report.octets_here
            ));
        }
        Ok(())
    }
}

/// Whether a message has the flags that are remembered.
fn same(row: &Value, message: &There, listing: &Listing) -> bool {
    let flags = row.get("flags").and_then(Value::as_u64) == Some(u64::from(message.flags.0));
    let keywords = row.get("keywords").and_then(Value::as_array);
    let keywords = keywords.into_iter().flatten().filter_map(Value::as_str);
    flags && keywords.eq(listing.keywords(message).iter().map(String::as_str))
}

/// A message as FETCH brings it.
struct Message {
    uid: u32,
    flags: Flags,
    keywords: Vec<String>,
    received: Option<i64>,
    octets: Vec<u8>,
}

impl Message {
    fn new(items: Vec<Fetched>) -> Option<Message> {
        let mut message = Message {
            uid: 0,
            flags: Flags::NONE,
            keywords: Vec::new(),
            received: None,
            octets: Vec::new(),
        };
        let mut whole = false;
        for item in items {
            match item {
                Fetched::Uid(uid) => message.uid = uid,
                Fetched::Flags(flags) => (message.flags, message.keywords) = ours(&flags),
                Fetched::InternalDate(date) => message.received = Some(date.unix),
                Fetched::Body {
                    section,
                    origin: None,
                    body: Some(octets),
                } if section == Section::default() => {
                    message.octets = octets;
                    whole = true;
                }
                _ => {}
            }
        }
        (whole && message.uid > 0).then_some(message)
    }
}
