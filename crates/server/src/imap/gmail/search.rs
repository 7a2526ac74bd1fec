//! X-GM-RAW and X-GM-LABELS in a search: words of Gmail become keys, labels the messages that have them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use ::imap::{Flag, GmailLabel, SearchKey, SystemLabel};
use ::store::{AccountId, Columns, MessageId, Snapshot};

use super::labels::Names;
use super::{NOT_OFFERED, is_key, query};
use crate::imap::Imap;
use crate::imap::error::Failure;

/// The messages that have a label, ascending, by label.
#[derive(Debug, Default)]
pub struct Labelled(BTreeMap<GmailLabel, Arc<[MessageId]>>);

impl Labelled {
    /// Those with this label.
    pub fn with(&self, label: &GmailLabel) -> Arc<[MessageId]> {
        self.0.get(label).cloned().unwrap_or_default()
    }

    fn read(
        snapshot: &Snapshot<'_>,
        user: AccountId,
        owner: AccountId,
        labels: Vec<GmailLabel>,
    ) -> ::store::Result<Labelled> {
        let names = Names::read(snapshot, user, owner)?;
        let mut found = BTreeMap::new();
        for label in labels {
            let mut messages = Vec::new();
            for mailbox in names.meant(&label) {
                let all = [1..=u32::MAX];
                snapshot.messages(owner, mailbox, &all, Columns::ENTRY, &mut |row| {
                    messages.push(row.message);
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            messages.sort_unstable();
            messages.dedup();
            found.insert(label, messages.into());
        }
        Ok(Labelled(found))
    }
}

/// The search in keys of IMAP, and what its labels are about: mailboxes of the account that the selected one is of.
pub async fn expand(imap: &Imap, key: SearchKey) -> Result<(SearchKey, Labelled), Failure> {
    if !key.any(&is_key) {
        return Ok((key, Labelled::default()));
    }
    if !imap.gmail {
        return Err(NOT_OFFERED.into());
    }
    let key = replace(key)?;
    let mut labels = Vec::new();
    collect(&key, &mut labels);
    if labels.is_empty() {
        return Ok((key, Labelled::default()));
    }
    let user = imap.account()?;
    let owner = imap.selected.as_ref().map_or(user, |it| it.account);
    let read = imap
        .shared
        .db
        .read(move |snapshot| Labelled::read(snapshot, user, owner, labels));
    Ok((key, read.await?))
}

/// Recursion is bounded by [`SearchKey::DEPTH_LIMIT`], and by [`query::DEPTH`] within.
fn replace(key: SearchKey) -> Result<SearchKey, Failure> {
    let all = |keys: Vec<SearchKey>| keys.into_iter().map(replace).collect::<Result<_, _>>();
    Ok(match key {
        SearchKey::GmailRaw(text) => replace(query::parse(&text)?)?,
        SearchKey::GmailLabel(GmailLabel::System(SystemLabel::Starred)) => {
            SearchKey::Flag(Flag::Flagged)
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(replace(*key)?)),
        SearchKey::Fuzzy(key) => SearchKey::Fuzzy(Box::new(replace(*key)?)),
        SearchKey::Or(keys) => SearchKey::Or(all(keys)?),
        SearchKey::And(keys) => SearchKey::And(all(keys)?),
        other => other,
    })
}

fn collect(key: &SearchKey, labels: &mut Vec<GmailLabel>) {
    match key {
        SearchKey::GmailLabel(label) if !labels.contains(label) => labels.push(label.clone()),
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => collect(key, labels),
        SearchKey::Or(keys) | SearchKey::And(keys) => {
            keys.iter().for_each(|key| collect(key, labels));
        }
        _ => {}
    }
}
