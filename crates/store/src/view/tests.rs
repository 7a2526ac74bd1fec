use std::sync::Arc;

use super::chunk::CHUNK;
use super::*;
use crate::change::{MailboxChange, Patch};

fn entry(uid: u32) -> Entry {
    Entry {
        uid,
        flags: if uid.is_multiple_of(5) {
            Flags::NONE
        } else {
            Flags::SEEN
        },
        keywords: 0,
        modseq: u64::from(uid) + 1,
        message: MessageId((7 << 36) + i64::from(uid)),
        received: 1_700_000_000 - 40 * i64::from(uid),
    }
}

fn picture(uids: impl Iterator<Item = u32>) -> ViewSnapshot {
    let head = Head {
        gone: false,
        uid_next: 1 << 30,
        ..ViewSnapshot::nothing((AccountId(1), MailboxId(1))).head
    };
    ViewSnapshot::new(head, uids.map(entry))
}

/// Every second UID, over several chunks, with a partial one at the end.
fn large() -> ViewSnapshot {
    picture((1..=CHUNK as u32 * 3 + 100).map(|n| n * 2))
}

#[test]
fn sequence_numbers_and_uids_at_every_boundary() {
    let view = large();
    let count = CHUNK as u32 * 3 + 100;
    assert_eq!(view.len(), count);
    for seq in 1..=count {
        assert_eq!(view.uid_at(seq), Some(seq * 2));
        assert_eq!(view.seq_of(seq * 2), Some(seq));
        assert_eq!(view.seq_of(seq * 2 - 1), None);
        assert_eq!(view.count_below(seq * 2), seq - 1);
        assert_eq!(view.entry_of(seq * 2), Some(entry(seq * 2)));
    }
    assert_eq!(
        (view.uid_at(0), view.uid_at(count + 1), view.seq_of(0)),
        (None, None, None)
    );
    assert_eq!(view.first_unseen(), Some(5));
    assert_eq!(view.iter().count() as u32, count);
    assert_eq!(
        view.iter()
            .filter(|(_, e)| !e.flags.contains(Flags::SEEN))
            .count() as u32,
        view.unseen()
    );
    let range: Vec<u32> = view
        .range(510, 515)
        .map(|(seq, e)| (seq * 2 == e.uid).then_some(seq).unwrap())
        .collect();
    assert_eq!(range, [510, 511, 512, 513, 514, 515]);
    assert_eq!(view.range(count, u32::MAX).count(), 1);
    assert_eq!(
        view.range(count + 1, u32::MAX).count() + view.range(5, 4).count(),
        0
    );
    assert_eq!(
        view.uid_range(1023, 1027)
            .map(|(seq, _)| seq)
            .collect::<Vec<_>>(),
        [512, 513]
    );
    assert_eq!(
        view.uid_range(9, 3).count() + view.uid_range(3, 3).count(),
        0
    );
    assert_eq!(view.uid_range(0, u32::MAX).count() as u32, count);
    assert!(
        picture(std::iter::empty())
            .range(1, u32::MAX)
            .next()
            .is_none()
    );
}

#[test]
fn unchanged_chunks_are_shared_and_a_chunk_is_small() {
    let view = large();
    let patch = Patch {
        keep: 255,
        set: 1,
        keep_keywords: u64::MAX,
        set_keywords: 0,
        unchanged_since: u64::MAX,
    };
    let runs = vec![1030..=1040];
    let after = view.after(&MailboxChange::Flags {
        runs,
        patch,
        modseq: 9_999,
    });
    let shared = view
        .chunks
        .iter()
        .zip(&after.chunks)
        .filter(|(a, b)| Arc::ptr_eq(a, b))
        .count();
    assert_eq!(shared, view.chunks.len() - 1);
    let diff = ViewSnapshot::diff(&view, &after);
    assert_eq!(
        diff.changed.iter().map(|(_, e)| e.uid).collect::<Vec<_>>(),
        [1030, 1040]
    );
    assert_eq!(after.highest_modseq(), 9_999);
}

#[test]
fn expunging_almost_everything_leaves_few_chunks() {
    let mut view = large();
    let uids: Vec<u32> = view
        .iter()
        .map(|(_, e)| e.uid)
        .filter(|uid| uid % 100 != 0)
        .collect();
    for some in uids.chunks(37) {
        let after = view.after(&MailboxChange::Expunged {
            uids: some.to_vec(),
            modseq: 1,
        });
        let diff = ViewSnapshot::diff(&view, &after);
        assert!(
            diff.expunged
                .iter()
                .rev()
                .map(|e| e.uid)
                .eq(some.iter().copied())
        );
        assert!(
            diff.expunged
                .iter()
                .all(|e| view.uid_at(e.seq) == Some(e.uid))
        );
        view = after;
    }
    assert_eq!(view.len(), 32);
    assert!(view.chunks.len() <= 2, "{}", view.chunks.len());
    let grown = view.after(&MailboxChange::Added {
        entries: (5_000..7_000).map(entry).collect(),
        modseq: 2,
    });
    assert_eq!((grown.len(), grown.seq_of(6_999)), (2_032, Some(2_032)));
    assert_eq!(ViewSnapshot::diff(&view, &grown).new, Some(33..=2_032));
}

#[test]
fn values_far_apart_survive_the_columns() {
    let far = [
        Entry {
            modseq: 1,
            message: MessageId(1),
            received: -1,
            keywords: u64::MAX,
            ..entry(1)
        },
        Entry {
            modseq: 1 << 62,
            message: MessageId(i64::MAX),
            ..entry(2)
        },
    ];
    let head = picture(std::iter::empty()).head;
    let view = ViewSnapshot::new(head, far.into_iter());
    assert!(view.iter().map(|(_, e)| e).eq(far));
}
