//! FETCH (RFC 9051 §6.4.5).
//!
//! UID, FLAGS, MODSEQ and INTERNALDATE come from what the client was told and cost no query. Everything else is loaded in batches ([`load`]);
//! what a batch holds is written, and flushed when the output is full, while the next is loaded. So memory stays bounded
//! however much is asked for, a client that does not read stops its own FETCH only, and other sessions get their turn.

use std::ops::Range;
use std::sync::Arc;

use ::imap::server::SectionName;
use ::imap::{
    AnnotationData, Body, Capability, DateTime, FetchAttribute, FetchModifiers, Reply, SequenceSet,
};
use ::store::{Columns, FlagChange, FlagMode, Flags, MessageId, Rights, UidRange};

use super::error::{self, Failure};
use super::gmail::{self, labels::Labels};
use super::load::{BATCH_OCTETS, Batch, Loader, runs_of_uids};
use super::section::{self, Depth, Value};
use super::selected::{Expunges, Run, Selected, holds, runs_of};
use super::{Answer, Imap, Link, annotate, objectid, resync, structure};
use crate::drive::Gone;

/// Messages between two looks at the output, where nothing is loaded.
const LOOK: usize = 1024;

/// Answers with the attributes of all messages of the set.
pub async fn fetch(
    imap: &mut Imap,
    link: &mut Link,
    uid: bool,
    set: &SequenceSet,
    attributes: Vec<FetchAttribute>,
    modifiers: FetchModifiers,
) -> Answer {
    imap.limit.window(modifiers.partial)?;
    let selected = imap.selected()?;
    let all = selected.runs(set, uid)?;
    if modifiers.vanished {
        // RFC 7162 §3.2.6: before any FETCH.
        let since = modifiers.changed_since.unwrap_or(u64::MAX);
        let asked = match set {
            SequenceSet::Saved => selected.uids(&all),
            set => set.resolve(selected.told.uid_next().saturating_sub(1)),
        };
        imap_vanished(imap, link, since, &asked).await?;
    }
    let selected = imap.selected()?;
    let runs = narrowed(selected, all, &modifiers);
    let told = Arc::clone(&selected.told);
    let runs = imap.limit.cut(&told, runs);
    let newest_first = imap.limit.was_cut();
    let selected = imap.selected()?;
    let chosen = selected.uids(&runs);
    let mut seen = Vec::new();
    let may_see = !selected.read_only && selected.rights.contains(Rights::SEEN);
    if attributes.iter().any(FetchAttribute::sets_seen) && may_see {
        let expunges = if uid { Expunges::Told } else { Expunges::Kept };
        seen = see(imap, link, &runs, expunges).await?;
    }
    // With UIDs the sync above may have told expunges; then the numbers are looked up again.
    let selected = imap.selected()?;
    let runs = selected.runs_of_uids(&chosen);
    let modseq = link.session.is_enabled(&Capability::CondStore);
    let mut plan = Plan::new(attributes, seen, modseq);
    plan.labels = labels(imap, &plan, &runs).await?;
    let selected = imap.selected()?;
    if plan.columns.is_none() {
        from_view(selected, link, &runs, &plan, newest_first).await?;
        return Ok(Reply::ok("fetched"));
    }
    let loader = Loader::new(selected, Arc::new(plan), runs, newest_first);
    let missing = from_store(imap, link, loader).await?;
    // RFC 2180 §4.1: messages that others expunged, which could not be told yet, have nothing left to fetch. A UID may name
    // nothing (RFC 9051 §6.4.9).
    if missing && !uid {
        Ok(error::EXPUNGE_ISSUED)
    } else {
        Ok(Reply::ok("fetched"))
    }
}

/// Tells these attributes of messages that nobody asked for in a command (RFC 5465 §5.2). `\Seen` is not set.
pub async fn unsolicited(
    imap: &mut Imap,
    link: &mut Link,
    runs: Vec<Run>,
    attributes: Vec<FetchAttribute>,
) -> Result<(), Gone> {
    let modseq = link.session.is_enabled(&Capability::CondStore);
    let mut plan = Plan::new(attributes, Vec::new(), modseq);
    match labels(imap, &plan, &runs).await {
        Ok(labels) => plan.labels = labels,
        Err(Failure::Gone) => return Err(Gone),
        Err(Failure::Reply(_)) => return Ok(()),
    }
    let Some(selected) = imap.selected.as_deref() else {
        return Ok(());
    };
    if plan.columns.is_none() {
        return from_view(selected, link, &runs, &plan, false).await;
    }
    let loader = Loader::new(selected, Arc::new(plan), runs, false);
    match from_store(imap, link, loader).await {
        Err(Failure::Gone) => Err(Gone),
        // What cannot be told can be fetched.
        Ok(_) | Err(Failure::Reply(_)) => Ok(()),
    }
}

/// The labels of the messages, where the plan asks for them.
async fn labels(imap: &Imap, plan: &Plan, runs: &[Run]) -> Result<Labels, Failure> {
    let Some(selected) = imap.selected.as_deref() else {
        return Ok(Labels::default());
    };
    if !plan.attributes.contains(&FetchAttribute::GmailLabels) {
        return Ok(Labels::default());
    }
    let told = &selected.told;
    let entries = runs
        .iter()
        .flat_map(|run| told.range(*run.start(), *run.end()));
    let mut wanted: Vec<MessageId> = entries.map(|(_, entry)| entry.message).collect();
    wanted.sort_unstable();
    let (user, here) = (selected.user, (selected.account, selected.mailbox));
    let read = imap
        .shared
        .db
        .read(move |snapshot| Labels::read(snapshot, user, here, &wanted));
    Ok(read.await?)
}

async fn imap_vanished(
    imap: &Imap,
    link: &mut Link,
    since: u64,
    asked: &[UidRange],
) -> Result<(), Failure> {
    match imap.selected.as_deref() {
        Some(selected) => resync::vanished(imap, link, selected, since, asked).await,
        None => Ok(()),
    }
}

/// The messages that modifiers leave of a set: those that changed (RFC 7162 §3.1.4.1), and of these a window (RFC 9394
/// §3.3).
fn narrowed(selected: &Selected, runs: Vec<Run>, modifiers: &FetchModifiers) -> Vec<Run> {
    let changed = match modifiers.changed_since {
        None => runs,
        Some(since) => {
            let entries = runs
                .iter()
                .flat_map(|run| selected.told.range(*run.start(), *run.end()));
            let changed = entries.filter(|(_, entry)| entry.modseq > since);
            runs_of(changed.map(|(seq, _)| seq))
        }
    };
    match modifiers.partial {
        None => changed,
        Some(window) => {
            let numbers: Vec<u32> = changed.into_iter().flatten().collect();
            runs_of(window.of(&numbers).iter().copied())
        }
    }
}

/// Answers with what is loaded; while one batch is written the next is loaded. True if some messages were gone.
async fn from_store(imap: &mut Imap, link: &mut Link, loader: Loader) -> Result<bool, Failure> {
    let db = imap.shared.db.clone();
    let mut missing = false;
    let mut no_part = false;
    let (mut done, all) = (0u64, loader.count());
    let first = loader.step(&db, BATCH_OCTETS);
    let (mut loader, mut batch) = imap.progress.during(link, None, first).await??;
    loop {
        imap.progress.step(link, (done, Some(all))).await?;
        done = done.saturating_add(batch.rows.len() as u64);
        missing |= batch.missing;
        no_part |= batch.no_part;
        if batch.unknown_encoding {
            return Err(error::UNKNOWN_ENCODING.into());
        }
        if let Some(large) = batch.large {
            // A large message counts against the memory for messages until it is on its way, and nothing is loaded beside it.
            let memory = imap.shared.budget.reserve_outgoing(large as u64);
            let memory = imap.progress.during(link, None, memory).await?;
            let _permit = memory.map_err(|_| error::NO_MEMORY)?;
            done = done.saturating_add(1);
            (loader, batch) = loader.step(&db, large).await?;
            missing |= batch.missing;
            no_part |= batch.no_part;
            if batch.unknown_encoding {
                return Err(error::UNKNOWN_ENCODING.into());
            }
            write(imap.selected()?, link, &loader.plan, batch).await?;
            link.flush().await?;
            if loader.is_done() {
                return ended(missing, no_part);
            }
            (loader, batch) = loader.step(&db, BATCH_OCTETS).await?;
            continue;
        }
        if loader.is_done() {
            write(imap.selected()?, link, &loader.plan, batch).await?;
            return ended(missing, no_part);
        }
        let plan = Arc::clone(&loader.plan);
        let next = tokio::spawn({
            let db = db.clone();
            async move { loader.step(&db, BATCH_OCTETS).await }
        });
        write(imap.selected()?, link, &plan, batch).await?;
        (loader, batch) = next
            .await
            .map_err(|error| ::store::Error::Internal(error.to_string()))??;
    }
}

/// RFC 5257 §3.2.1: a part that some message does not have is an error, whatever else was told.
fn ended(missing: bool, no_part: bool) -> Result<bool, Failure> {
    match no_part {
        true => Err(annotate::NO_SUCH_PART.into()),
        false => Ok(missing),
    }
}

/// Sets `\Seen`, durably, on what is going to be read. Returns the UIDs whose flags are not told yet: they go into the same
/// response as the text (RFC 9051 §6.4.5), where clients look that take one response for one message.
async fn see(
    imap: &mut Imap,
    link: &mut Link,
    runs: &[Run],
    expunges: Expunges,
) -> Result<Vec<UidRange>, Failure> {
    let selected = imap.selected()?;
    let told = &selected.told;
    let entries = runs
        .iter()
        .flat_map(|run| told.range(*run.start(), *run.end()));
    let unseen = entries.filter(|(_, entry)| !entry.flags.contains(Flags::SEEN));
    let uids = runs_of_uids(unseen);
    if uids.is_empty() || selected.view.snapshot().gone() {
        return Ok(Vec::new());
    }
    let (user, account, mailbox) = (selected.user, selected.account, selected.mailbox);
    let stored = uids.clone();
    let change = FlagChange {
        mode: FlagMode::Add,
        flags: Flags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    let write = imap.shared.db.write(move |tx| {
        let rights = tx.rights(user, account, mailbox)?;
        tx.store_flags_as(user, account, mailbox, &stored, &change, rights)
    });
    match imap.progress.during(link, None, write).await? {
        Ok(_) => {}
        // A full disk shall not keep anybody from reading.
        Err(error) if error.is_temporary() => {
            tracing::warn!(%error, "what is read is not marked as seen");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    }
    let selected = imap.selected()?;
    selected
        .sync_but(link, expunges, |_, entry| holds(&uids, entry.uid))
        .await?;
    Ok(uids)
}

/// What to answer, and what that needs.
pub struct Plan {
    /// In the order asked for.
    pub attributes: Vec<FetchAttribute>,
    /// Columns of the rows; none if the view has everything.
    pub columns: Option<Columns>,
    /// Annotations are among them.
    pub annotates: bool,
    /// Parts that annotations are asked of by their numbers.
    pub parts: Vec<Vec<u32>>,
    /// Labels of the messages, if they are asked for (X-GM-EXT-1).
    pub labels: Labels,
    /// How much of a message's structure the sections need.
    pub depth: Depth,
    /// The names of the sections, in their order.
    section_names: Vec<SectionName>,
    /// UIDs of messages whose flags are told although not asked for, because reading sets `\Seen`.
    seen: Vec<UidRange>,
    /// MODSEQ is told with those flags, and the UID (RFC 7162 §3.2.4).
    modseq: bool,
}

impl Plan {
    fn new(mut attributes: Vec<FetchAttribute>, mut seen: Vec<UidRange>, modseq: bool) -> Plan {
        use FetchAttribute::*;
        // Attack A21: what is asked for twice is answered once. The parser does this already for what is written alike.
        let mut once: Vec<FetchAttribute> = Vec::with_capacity(attributes.len());
        for attribute in attributes.drain(..) {
            if !once.contains(&attribute) {
                once.push(attribute);
            }
        }
        let any = |test: fn(&FetchAttribute) -> bool| once.iter().any(test);
        let octets = any(section::needs_octets);
        let depth = section::depth(&once);
        let annotated = || {
            once.iter().filter_map(|attribute| match attribute {
                Annotation(wanted) => Some(wanted),
                _ => None,
            })
        };
        let annotates = annotated().next().is_some();
        let parts = annotated()
            .flat_map(annotate::parts_wanted)
            .collect::<Vec<_>>();
        let columns = Columns {
            index: octets && depth > Depth::Whole || !parts.is_empty(),
            body: octets,
            envelope: any(|a| matches!(a, Envelope)),
            body_structure: any(|a| matches!(a, Body | BodyStructure)),
            ids: any(|a| matches!(a, EmailId | ThreadId | GmailThreadId)),
        };
        if any(|a| matches!(a, Flags)) && (!modseq || any(|a| matches!(a, ModSeq))) {
            seen.clear();
        }
        let section_names = once.iter().filter_map(|attribute| match attribute {
            BodySection {
                section, partial, ..
            } => Some(SectionName::new(section, *partial)),
            _ => None,
        });
        let section_names = section_names.collect();
        let view_only = !any(|a| {
            !matches!(
                a,
                Uid | Flags | ModSeq | InternalDate | GmailMessageId | GmailLabels
            )
        });
        Plan {
            columns: (!view_only).then_some(columns),
            annotates,
            parts,
            attributes: once,
            labels: Labels::default(),
            depth,
            section_names,
            seen,
            modseq,
        }
    }
}

/// Answers from what was told, without a query; from the highest number down where only the newest are told.
async fn from_view(
    selected: &Selected,
    link: &mut Link,
    runs: &[Run],
    plan: &Plan,
    newest_first: bool,
) -> Result<(), Gone> {
    let told = &selected.told;
    let (up, down) = match newest_first {
        true => (&[][..], runs),
        false => (runs, &[][..]),
    };
    let ascending = up
        .iter()
        .flat_map(|run| told.range(*run.start(), *run.end()));
    let descending = down.iter().rev().flat_map(|run| run.clone().rev());
    let descending = descending.filter_map(|seq| Some((seq, told.entry(seq)?)));
    let mut until_look = LOOK;
    for (seq, entry) in ascending.chain(descending) {
        let mut fetch = link.session.fetch(seq, entry.uid);
        for attribute in &plan.attributes {
            match attribute {
                FetchAttribute::Uid => fetch.uid(entry.uid),
                FetchAttribute::ModSeq => fetch.modseq(entry.modseq),
                FetchAttribute::InternalDate => fetch.internal_date(DateTime::utc(entry.received)),
                FetchAttribute::GmailMessageId => {
                    fetch.gmail_message_id(gmail::message_id(entry.message))
                }
                FetchAttribute::GmailLabels => {
                    fetch.gmail_labels(plan.labels.of(entry.message, entry.flags))
                }
                _ => fetch.flags(selected.flags(&entry)),
            };
        }
        fetch.end();
        until_look -= 1;
        if until_look == 0 {
            until_look = LOOK;
            link.flush_if_full().await?;
            tokio::task::consume_budget().await;
        }
    }
    Ok(())
}

/// Writes a batch, flushing as it goes.
async fn write(
    selected: &Selected,
    link: &mut Link,
    plan: &Plan,
    batch: Batch,
) -> Result<(), Gone> {
    let text = |range: &Range<usize>| batch.text.get(range.clone()).unwrap_or_default();
    for row in batch.rows {
        let mut values = row.values.into_iter();
        let mut annotations = plan
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                FetchAttribute::Annotation(wanted) => {
                    Some(annotate::told(wanted, &row.annotations))
                }
                _ => None,
            });
        let mut annotated: Vec<Option<AnnotationData>> = annotations.by_ref().collect();
        // A message without annotations has nothing to tell, and a response is not empty.
        if plan.annotates
            && annotated.len() == plan.attributes.len()
            && annotated.iter().all(Option::is_none)
            && !holds(&plan.seen, row.entry.uid)
        {
            continue;
        }
        annotated.reverse();
        let mut names = plan.section_names.iter();
        let mut fetch = link.session.fetch(row.seq, row.entry.uid);
        for attribute in &plan.attributes {
            match attribute {
                FetchAttribute::Uid => fetch.uid(row.entry.uid),
                FetchAttribute::Flags => fetch.flags(selected.flags(&row.entry)),
                FetchAttribute::InternalDate => fetch.internal_date(DateTime::utc(row.received)),
                FetchAttribute::Rfc822Size => fetch.size(row.size),
                FetchAttribute::Envelope => fetch.envelope(text(&row.envelope)),
                FetchAttribute::BodyStructure => fetch.body_structure(text(&row.structure)),
                FetchAttribute::Body => {
                    fetch.body(&structure::without_extensions(text(&row.structure)))
                }
                FetchAttribute::BinarySize { part } => match values.next() {
                    Some(Value::Size(size)) => fetch.binary_size(part, size),
                    _ => fetch.binary_size(part, 0),
                },
                FetchAttribute::EmailId => fetch.email_id(&objectid::email(row.email)),
                FetchAttribute::ThreadId => {
                    fetch.thread_id(&objectid::thread(row.thread, row.email))
                }
                FetchAttribute::GmailMessageId => {
                    fetch.gmail_message_id(gmail::message_id(row.entry.message))
                }
                FetchAttribute::GmailThreadId => {
                    let number = objectid::thread_number(row.thread, row.email);
                    fetch.gmail_thread_id(number.unsigned_abs())
                }
                FetchAttribute::GmailLabels => {
                    fetch.gmail_labels(plan.labels.of(row.entry.message, row.entry.flags))
                }
                FetchAttribute::Rfc822 => fetch.rfc822(body(values.next())),
                FetchAttribute::Rfc822Header => fetch.rfc822_header(body(values.next())),
                FetchAttribute::Rfc822Text => fetch.rfc822_text(body(values.next())),
                FetchAttribute::BodySection {
                    section, partial, ..
                } => match names.next() {
                    Some(name) => fetch.section_named(name, body(values.next())),
                    None => fetch.section(section, *partial, body(values.next())),
                },
                FetchAttribute::Binary { part, partial, .. } => {
                    fetch.binary(part, *partial, body(values.next()))
                }
                FetchAttribute::ModSeq => fetch.modseq(row.entry.modseq),
                FetchAttribute::Annotation(_) => match annotated.pop().flatten() {
                    Some(data) => fetch.annotation(&data),
                    None => &mut fetch,
                },
                FetchAttribute::SaveDate => fetch.save_date(DateTime::utc(row.saved)),
                FetchAttribute::Preview { .. } => match values.next() {
                    Some(Value::Preview(text)) => fetch.preview(Some(&text)),
                    _ => fetch.preview(None),
                },
            };
        }
        if holds(&plan.seen, row.entry.uid) {
            let has = |attribute| plan.attributes.contains(&attribute);
            if plan.modseq && !has(FetchAttribute::Uid) {
                fetch.uid(row.entry.uid);
            }
            if !has(FetchAttribute::Flags) {
                fetch.flags(selected.flags(&row.entry));
            }
            if plan.modseq && !has(FetchAttribute::ModSeq) {
                fetch.modseq(row.entry.modseq);
            }
        }
        fetch.end();
        link.flush_if_full().await?;
    }
    Ok(())
}

fn body(value: Option<Value>) -> Body<'static> {
    match value {
        Some(Value::Octets(octets)) => Body::Owned(octets),
        _ => Body::Nil,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a21_repeated_attributes_are_answered_once() {
        let plan = Plan::new(
            vec![
                FetchAttribute::Flags,
                FetchAttribute::Uid,
                FetchAttribute::Flags,
            ],
            Vec::new(),
            false,
        );
        assert_eq!(plan.attributes.len(), 2);
        assert!(plan.columns.is_none());
        let body = FetchAttribute::BodySection {
            section: Default::default(),
            partial: None,
            peek: true,
        };
        let plan = Plan::new(vec![body.clone(), body], Vec::new(), false);
        assert_eq!(plan.attributes.len(), 1);
        assert!(
            plan.columns
                .is_some_and(|columns| columns.body && !columns.envelope)
        );
    }
}
