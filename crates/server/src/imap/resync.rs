//! What a client missed while it was away (RFC 7162 §3.2.5, §3.2.6): messages that vanished, and flags that changed.
//!
//! The store remembers expunged UIDs for a while (`store::expunge`). Where a client asks for what is older, every UID
//! without a message counts as expunged since, which is never wrong, only longer.

use std::ops::RangeInclusive;

use ::imap::{AnnotationData, NumberSet, QResync, Untagged};
use ::store::UidRange;

use super::error::Failure;
use super::selected::{Selected, holds};
use super::{Imap, Link};

/// Ranges in one VANISHED response: some 64 KiB of text.
const RANGES: usize = 4096;

/// The answer to the QRESYNC parameter of SELECT, whose UIDVALIDITY is right.
pub async fn after_select(
    imap: &Imap,
    link: &mut Link,
    selected: &Selected,
    known: &QResync,
) -> Result<(), Failure> {
    let told = &selected.told;
    let mut asked: Vec<UidRange> = match &known.known_uids {
        Some(uids) => normal(uids.ranges()),
        // RFC 7162 §3.2.5.1: then it is all of them.
        None => vec![1..=u32::MAX],
    };
    let gone_above = known
        .matches
        .as_ref()
        .map_or(0, |(numbers, uids)| last_match(selected, numbers, uids));
    let changed = asked.clone();
    asked = intersect(&asked, &[gone_above.saturating_add(1)..=u32::MAX]);
    vanished(imap, link, selected, known.modseq, &asked).await?;
    let annotated = selected
        .annotations
        .since(selected.user, told, known.modseq)
        .await;
    for (seq, entry) in told.iter() {
        if entry.modseq <= known.modseq || !holds(&changed, entry.uid) {
            continue;
        }
        let mut fetch = link.session.fetch(seq, entry.uid);
        fetch
            .uid(entry.uid)
            .flags(selected.flags(&entry))
            .modseq(entry.modseq);
        if let Some(names) = annotated.get(&entry.uid) {
            fetch.annotation(&AnnotationData::Changed(names.clone()));
        }
        fetch.end();
        link.flush_if_full().await?;
    }
    Ok(())
}

/// RFC 7162 §3.2.5.2: the client knows of all expunges up to the last message whose number and UID it has right.
fn last_match(selected: &Selected, numbers: &NumberSet, uids: &NumberSet) -> u32 {
    let pairs = numbers.iter().zip(uids.iter());
    pairs
        // Beyond the end of the mailbox nothing matches, however long a set claims to go on.
        .take_while(|(seq, _)| *seq <= selected.told.len())
        .filter(|(seq, uid)| selected.told.uid_at(*seq) == Some(*uid))
        .map(|(_, uid)| uid)
        .last()
        .unwrap_or(0)
}

/// Tells with VANISHED (EARLIER) which of these UIDs went since a mod-sequence.
pub async fn vanished(
    imap: &Imap,
    link: &mut Link,
    selected: &Selected,
    since: u64,
    asked: &[UidRange],
) -> Result<(), Failure> {
    let told = &selected.told;
    let Some(last) = told.uid_next().checked_sub(1).filter(|last| *last > 0) else {
        return Ok(());
    };
    if since >= selected.known_modseq {
        return Ok(());
    }
    // What came and went after the picture was taken is none of the client's.
    let asked = intersect(asked, &[1..=last]);
    let (account, mailbox) = (selected.account, selected.mailbox);
    let remembered = imap
        .shared
        .db
        .read(move |snapshot| snapshot.expunged_since(account, mailbox, since))
        .await?;
    let candidates = match remembered {
        Some(expunged) => intersect(&asked, &expunged),
        None => asked,
    };
    let mut uids = NumberSet::new();
    for run in candidates {
        // What is still in the picture will be told as it goes.
        let mut from = *run.start();
        for (_, entry) in told.uid_range(*run.start(), *run.end()) {
            uids.push_range(from..=entry.uid.saturating_sub(1));
            from = entry.uid.saturating_add(1);
        }
        uids.push_range(from..=*run.end());
        if uids.ranges().len() > RANGES {
            tell(link, std::mem::take(&mut uids)).await?;
        }
    }
    tell(link, uids).await
}

async fn tell(link: &mut Link, uids: NumberSet) -> Result<(), Failure> {
    if !uids.is_empty() {
        link.session.untagged(&Untagged::Vanished {
            earlier: true,
            uids,
        });
        link.flush_if_full().await?;
    }
    Ok(())
}

/// Ranges in any order as ascending, disjoint ones.
fn normal(ranges: &[RangeInclusive<u32>]) -> Vec<UidRange> {
    let mut ranges = ranges.to_vec();
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut joined: Vec<UidRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// What two ascending, disjoint lists of ranges have in common.
pub fn intersect(a: &[UidRange], b: &[UidRange]) -> Vec<UidRange> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut common = Vec::new();
    while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
        let range = *left.start().max(right.start())..=*left.end().min(right.end());
        if !range.is_empty() {
            common.push(range);
        }
        if left.end() <= right.end() {
            a.next();
        } else {
            b.next();
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet() {
        assert_eq!(
            intersect(&[1..=5, 8..=9, 20..=30], &[4..=8, 25..=u32::MAX]),
            [4..=5, 8..=8, 25..=30]
        );
        assert_eq!(intersect(&[1..=5], &[]), []);
        assert_eq!(normal(&[7..=9, 1..=3, 4..=5, 8..=12]), [1..=5, 7..=12]);
    }
}
