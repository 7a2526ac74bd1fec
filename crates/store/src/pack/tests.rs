use std::os::unix::fs::FileExt;

use super::*;
use crate::types::AccountId;
use crate::world::{SystemDisk, SystemRandom};

fn open(folder: &Path) -> Packs {
    let (disk, random) = (Arc::new(SystemDisk), Arc::new(SystemRandom));
    Packs::open(disk, random, folder, 1 << 30, 0, 1).unwrap()
}

fn meta() -> BodyMeta {
    BodyMeta {
        accounts: vec![AccountId(3)],
        received: 1_700_000_000,
        reverse_path: "a@example.org".into(),
        recipients: vec!["b@example.test".into()],
    }
}

/// A body as programs before version 2 of records wrote it.
fn append_old(packs: &Packs, id: i64, octets: &[u8]) -> BodyRef {
    let header = record::header_of(Cut::Even, BodyId(id), &meta(), &[octets]).unwrap();
    let size = octets.len() as u64;
    packs
        .append_record(BodyId(id), size, &header, &[octets], 0)
        .unwrap()
}

fn parts(size: u64) -> impl Iterator<Item = Range<u64>> {
    let starts = [
        0,
        1,
        1_023,
        1_024,
        16_383,
        16_384,
        65_536,
        81_920,
        size - 1,
        size,
    ];
    let lengths = [0, 1, 700, 16_384, 70_000, u64::MAX / 2];
    starts
        .into_iter()
        .flat_map(move |start| lengths.into_iter().map(move |length| start..start + length))
}

#[test]
fn old_records_are_read_and_become_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let octets: Vec<u8> = (0..200_000u32).map(|n| (n / 5) as u8).collect();
    let size = octets.len() as u64;
    let packs = open(folder.path());
    let old = append_old(&packs, 1, &octets);
    let young = packs.append(&meta(), &[&octets], 0).unwrap();
    packs.sync(0).unwrap();
    drop(packs);
    // A pack that an older program began is continued.
    let packs = open(folder.path());
    let scan = packs.scan(old.pack, &mut |_, _| {}).unwrap();
    assert!(scan.whole);
    let copied = packs.copy(&old, 0).unwrap();
    assert_eq!(copied.pack, old.pack);
    assert!(
        copied.length > old.length,
        "small blocks have more checksums"
    );
    let mut found = Vec::new();
    packs
        .scan(old.pack, &mut |_, fixed| found.push((fixed.id, fixed.cut)))
        .unwrap();
    let cuts: Vec<Cut> = found.iter().map(|(_, cut)| *cut).collect();
    assert_eq!(cuts, [Cut::Even, Cut::NEW, Cut::NEW]);
    for body in [old, young, copied] {
        assert_eq!(packs.read(&body).unwrap(), octets);
        for part in parts(size) {
            let expected = &octets[part.start as usize..part.end.min(size) as usize];
            assert_eq!(
                packs.read_range(&body, part.clone()).unwrap(),
                expected,
                "{part:?}"
            );
        }
    }
}

#[test]
fn damage_is_noticed_by_those_who_read_its_block_and_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let octets: Vec<u8> = (0..200_000u32).map(|n| (n / 5) as u8).collect();
    let packs = open(folder.path());
    let (old, young) = (
        append_old(&packs, 1, &octets),
        packs.append(&meta(), &[&octets], 0).unwrap(),
    );
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(packs.path(old.pack))
        .unwrap();
    for body in [old, young] {
        let place = body.offset + (body.length - body.size) + 5_000;
        file.write_all_at(&[!octets[5_000]], place).unwrap();
        assert!(matches!(packs.read(&body), Err(Error::Corrupt(_))));
        assert!(packs.read_range(&body, 4_999..5_001).is_err());
        assert!(packs.read_range(&body, 0..70_000).is_err());
        assert!(packs.read_range(&body, 65_536..70_000).is_ok());
    }
    assert!(packs.read_range(&old, 0..700).is_err());
    assert!(packs.read_range(&young, 0..700).is_ok());
    // The header of a record is verified with each part of it.
    file.write_all_at(b"x", young.offset + 50).unwrap();
    assert!(packs.read_range(&young, 0..700).is_err());
}
