//! A record of a pack: a header that says all that is needed to put the message back into a database, then its octets.
//!
//! ```text
//! 0  "WxB1"      4  version u8, codec u8, accounts u16
//! 8  body id     16 size of the message u64      24 octets stored u64     32 received i64
//! 40 envelope length u32                          44 CRC-32 of the header with this field zero
//! 48 accounts i64 each · envelope · CRC-32 of each block of the octets · the octets
//! ```
//! Integers are little-endian. The envelope is the reverse-path and the recipients, one a line. Codec 0 is plain.
//!
//! Version 2 has blocks of 1 KiB in the first 16 KiB of a body, where headers and first texts are read by themselves, and of
//! 64 KiB behind. Version 1 had blocks of 64 KiB only; its records are read, and become new ones when their pack is emptied.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::types::{AccountId, BodyId, BodyMeta};

/// Octets covered by one checksum: a partial read verifies only the blocks it touches.
const BLOCK: u64 = 64 << 10;
/// Octets covered by one checksum where a body begins.
const FINE: u64 = 1 << 10;
/// How many of these there are.
const FINE_BLOCKS: u64 = 16;
/// Octets in them.
const FINE_OCTETS: u64 = FINE * FINE_BLOCKS;
/// Octets of the header before its variable part.
pub(crate) const FIXED: usize = 48;
/// Longest envelope taken into a record; what is beyond is left out (1,000 recipients of the longest kind fit).
const ENVELOPE_LIMIT: usize = 400 << 10;
/// Longest message: well above any limit a server sets, and small enough that lengths cannot overflow.
pub(crate) const SIZE_LIMIT: u64 = 1 << 40;

const MAGIC: [u8; 4] = *b"WxB1";
/// The version that is written.
const VERSION: u8 = 2;
const PLAIN: u8 = 0;

/// How a body is cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Version 1.
    Even,
    /// Version 2.
    FineFirst,
}

impl Cut {
    /// That of new records.
    pub(crate) const NEW: Cut = Cut::FineFirst;

    fn of_version(version: u8) -> Option<Cut> {
        match version {
            1 => Some(Cut::Even),
            VERSION => Some(Cut::FineFirst),
            _ => None,
        }
    }

    fn version(self) -> u8 {
        match self {
            Cut::Even => 1,
            Cut::FineFirst => VERSION,
        }
    }

    /// The block that an octet is in.
    pub(crate) fn block_of(self, octet: u64) -> u64 {
        match self {
            Cut::FineFirst if octet < FINE_OCTETS => octet / FINE,
            Cut::FineFirst => (octet - FINE_OCTETS) / BLOCK + FINE_BLOCKS,
            Cut::Even => octet / BLOCK,
        }
    }

    /// The first octet of a block.
    pub(crate) fn start_of(self, block: u64) -> u64 {
        match self {
            Cut::FineFirst if block <= FINE_BLOCKS => block * FINE,
            Cut::FineFirst => (block - FINE_BLOCKS)
                .saturating_mul(BLOCK)
                .saturating_add(FINE_OCTETS),
            Cut::Even => block.saturating_mul(BLOCK),
        }
    }

    /// The whole blocks around a range that is not empty, of a body of this size.
    pub(crate) fn around(self, range: &Range<u64>, size: u64) -> Range<u64> {
        let last = self.block_of(range.end.saturating_sub(1));
        let end = self.start_of(last.saturating_add(1));
        self.start_of(self.block_of(range.start))..end.min(size)
    }

    fn count(self, size: u64) -> u64 {
        size.checked_sub(1)
            .map_or(0, |last| self.block_of(last) + 1)
    }

    fn length_of(self, block: u64) -> usize {
        let length = self.start_of(block.saturating_add(1)) - self.start_of(block);
        usize::try_from(length).unwrap_or(usize::MAX)
    }
}

/// The fixed part of a record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) id: BodyId,
    pub(crate) size: u64,
    pub(crate) stored: u64,
    pub(crate) received: i64,
    pub(crate) cut: Cut,
    accounts: u16,
    envelope: u32,
    checksum: u32,
}

impl Fixed {
    /// Reads the fixed part; None where no record begins.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Fixed> {
        if bytes.get(..4)? != MAGIC || *bytes.get(5)? != PLAIN {
            return None;
        }
        let fixed = Fixed {
            cut: Cut::of_version(*bytes.get(4)?)?,
            accounts: u16::from_le_bytes(field(bytes, 6)?),
            id: BodyId(i64::from_le_bytes(field(bytes, 8)?)),
            size: u64::from_le_bytes(field(bytes, 16)?),
            stored: u64::from_le_bytes(field(bytes, 24)?),
            received: i64::from_le_bytes(field(bytes, 32)?),
            envelope: u32::from_le_bytes(field(bytes, 40)?),
            checksum: u32::from_le_bytes(field(bytes, 44)?),
        };
        let sound = fixed.stored <= SIZE_LIMIT
            && fixed.size == fixed.stored
            && fixed.envelope as usize <= ENVELOPE_LIMIT;
        sound.then_some(fixed)
    }

    /// Octets of the whole header.
    pub(crate) fn header_length(&self) -> u64 {
        FIXED as u64
            + 8 * u64::from(self.accounts)
            + u64::from(self.envelope)
            + 4 * self.cut.count(self.stored)
    }

    /// Octets of the whole record.
    pub(crate) fn record_length(&self) -> u64 {
        self.header_length() + self.stored
    }
}

/// The longest header that a body of this size can have; a row that claims more is damaged.
pub(crate) fn longest_header(size: u64) -> u64 {
    (FIXED + 8 * usize::from(u16::MAX) + ENVELOPE_LIMIT) as u64 + 4 * Cut::NEW.count(size)
}

/// A verified header where it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'h> {
    pub(crate) fixed: Fixed,
    accounts: &'h [u8],
    envelope: &'h [u8],
    blocks: &'h [u8],
}

impl<'h> Header<'h> {
    /// Reads and verifies a header of exactly `Fixed::header_length` octets.
    pub(crate) fn parse(bytes: &'h [u8]) -> Result<Header<'h>> {
        let broken =
            || Error::Corrupt("the header of a pack record does not match its checksum".into());
        let fixed = Fixed::parse(bytes).ok_or_else(broken)?;
        if bytes.len() as u64 != fixed.header_length() || header_checksum(bytes) != fixed.checksum {
            return Err(broken());
        }
        let accounts_end = FIXED + 8 * usize::from(fixed.accounts);
        let envelope_end = accounts_end + fixed.envelope as usize;
        Ok(Header {
            fixed,
            accounts: bytes.get(FIXED..accounts_end).ok_or_else(broken)?,
            envelope: bytes.get(accounts_end..envelope_end).ok_or_else(broken)?,
            blocks: bytes.get(envelope_end..).ok_or_else(broken)?,
        })
    }

    /// What the record says of its body.
    pub(crate) fn meta(&self) -> BodyMeta {
        let envelope = String::from_utf8_lossy(self.envelope);
        let mut lines = envelope.split('\n');
        let accounts = self.accounts.chunks_exact(8);
        BodyMeta {
            accounts: accounts
                .filter_map(|c| field(c, 0))
                .map(|c| AccountId(i64::from_le_bytes(c)))
                .collect(),
            received: self.fixed.received,
            reverse_path: lines.next().unwrap_or_default().to_owned(),
            recipients: lines.map(str::to_owned).collect(),
        }
    }

    /// Verifies octets that begin at this one of the body, where a block begins, and end with a block.
    pub(crate) fn verify(&self, start: u64, octets: &[u8]) -> Result<()> {
        let mut block = self.fixed.cut.block_of(start);
        let mut rest = octets;
        while !rest.is_empty() {
            let length = self.fixed.cut.length_of(block).min(rest.len());
            let (now, later) = rest.split_at(length);
            if self.checksum_of(block) != Some(crc32fast::hash(now)) {
                return Err(Error::Corrupt(format!(
                    "body {} does not match its checksum",
                    self.fixed.id.0
                )));
            }
            rest = later;
            block += 1;
        }
        Ok(())
    }

    fn checksum_of(&self, block: u64) -> Option<u32> {
        let at = usize::try_from(block).ok()?.checked_mul(4)?;
        Some(u32::from_le_bytes(field(self.blocks, at)?))
    }
}

/// The header of a new record.
pub(crate) fn header(id: BodyId, meta: &BodyMeta, slices: &[&[u8]]) -> Result<Vec<u8>> {
    header_of(Cut::NEW, id, meta, slices)
}

pub(super) fn header_of(
    cut: Cut,
    id: BodyId,
    meta: &BodyMeta,
    slices: &[&[u8]],
) -> Result<Vec<u8>> {
    let size: u64 = slices.iter().map(|s| s.len() as u64).sum();
    if size > SIZE_LIMIT {
        return Err(Error::Limit("size of a message"));
    }
    let accounts = meta
        .accounts
        .get(..usize::from(u16::MAX))
        .unwrap_or(&meta.accounts);
    let envelope = envelope(meta);
    let mut header = Vec::with_capacity(
        FIXED + 8 * accounts.len() + envelope.len() + 4 * cut.count(size) as usize,
    );
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&[cut.version(), PLAIN]);
    header.extend_from_slice(&(accounts.len() as u16).to_le_bytes());
    header.extend_from_slice(&id.0.to_le_bytes());
    header.extend_from_slice(&size.to_le_bytes());
    header.extend_from_slice(&size.to_le_bytes());
    header.extend_from_slice(&meta.received.to_le_bytes());
    header.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    for account in accounts {
        header.extend_from_slice(&account.0.to_le_bytes());
    }
    header.extend_from_slice(envelope.as_bytes());
    block_checksums(cut, slices, &mut header);
    let checksum = header_checksum(&header);
    if let Some(place) = header.get_mut(44..48) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(header)
}

fn envelope(meta: &BodyMeta) -> String {
    let mut envelope = meta.reverse_path.replace('\n', "");
    for recipient in &meta.recipients {
        if envelope.len() + recipient.len() + 1 > ENVELOPE_LIMIT {
            break;
        }
        envelope.push('\n');
        envelope.extend(recipient.chars().filter(|c| *c != '\n'));
    }
    envelope.truncate(envelope.floor_char_boundary(ENVELOPE_LIMIT));
    envelope
}

fn block_checksums(cut: Cut, slices: &[&[u8]], out: &mut Vec<u8>) {
    let mut hasher = crc32fast::Hasher::new();
    let mut block = 0;
    let mut room = cut.length_of(block);
    let mut begun = false;
    for slice in slices {
        let mut rest = *slice;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(room.min(rest.len()));
            hasher.update(now);
            begun = true;
            room -= now.len();
            rest = later;
            if room == 0 {
                out.extend_from_slice(&std::mem::take(&mut hasher).finalize().to_le_bytes());
                block += 1;
                room = cut.length_of(block);
                begun = false;
            }
        }
    }
    if begun {
        out.extend_from_slice(&hasher.finalize().to_le_bytes());
    }
}

fn header_checksum(header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..44).unwrap_or_default());
    hasher.update(&[0; 4]);
    hasher.update(header.get(FIXED..).unwrap_or_default());
    hasher.finalize()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> BodyMeta {
        BodyMeta {
            accounts: vec![AccountId(3), AccountId(7)],
            received: 1_700_000_000,
            reverse_path: "a@example.org".into(),
            recipients: vec!["b@example.test".into(), "c@example.test".into()],
        }
    }

    #[test]
    fn headers_of_both_versions_round_trip_over_block_boundaries() {
        let (fine, block) = (FINE as usize, BLOCK as usize);
        let around = |n: usize| [n - 1, n, n + 1];
        let sizes = [0, 1, 3 * block, 3 * block + 17];
        let sizes = sizes
            .into_iter()
            .chain(around(fine))
            .chain(around(16 * fine));
        for size in sizes.chain(around(block)).chain(around(2 * block)) {
            for cut in [Cut::Even, Cut::FineFirst] {
                let body: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
                let (a, b) = body.split_at(size / 3);
                let bytes = header_of(cut, BodyId(9), &meta(), &[a, b]).unwrap();
                let parsed = Header::parse(&bytes).unwrap();
                assert_eq!((parsed.fixed.cut, parsed.meta()), (cut, meta()));
                assert_eq!(parsed.fixed.size, size as u64);
                assert_eq!(parsed.fixed.header_length(), bytes.len() as u64);
                assert!(bytes.len() as u64 <= longest_header(size as u64));
                parsed.verify(0, &body).unwrap();
                if size > 0 {
                    let mut wrong = body.clone();
                    wrong[size / 2] ^= 1;
                    assert!(parsed.verify(0, &wrong).is_err());
                }
            }
        }
    }

    #[test]
    fn parts_are_verified_by_the_blocks_around_them() {
        let size = 3 * BLOCK + 100;
        let body: Vec<u8> = (0..size).map(|i| (i / 3) as u8).collect();
        for cut in [Cut::Even, Cut::FineFirst] {
            let bytes = header_of(cut, BodyId(9), &meta(), &[&body]).unwrap();
            let parsed = Header::parse(&bytes).unwrap();
            let edges = [
                FINE - 1,
                FINE,
                FINE_OCTETS - 1,
                FINE_OCTETS,
                BLOCK - 1,
                BLOCK,
            ];
            for start in [0, 1, 2 * BLOCK + 5, size - 1].into_iter().chain(edges) {
                for length in [1, FINE, FINE + 1, BLOCK, size] {
                    let range = start..(start + length).min(size);
                    let around = cut.around(&range, size);
                    assert!(around.start <= range.start && range.end <= around.end);
                    assert!(around.end <= size);
                    let mut octets = body[around.start as usize..around.end as usize].to_vec();
                    parsed.verify(around.start, &octets).unwrap();
                    octets[(range.start - around.start) as usize] ^= 1;
                    assert!(parsed.verify(around.start, &octets).is_err());
                }
            }
        }
        let header = Cut::FineFirst.around(&(0..1_500), size);
        assert_eq!(header, 0..2 * FINE, "a header costs small blocks");
    }

    proptest::proptest! {
        #[test]
        fn anything_is_parsed_without_a_panic(mut bytes: Vec<u8>, real: bool) {
            if real && bytes.len() > 6 {
                let version = 1 + bytes[6] % 2;
                bytes[..6].copy_from_slice(&[b'W', b'x', b'B', b'1', version, 0]);
            }
            if let Some(fixed) = Fixed::parse(&bytes) {
                assert!(fixed.record_length() >= fixed.stored);
            }
            let _ = Header::parse(&bytes);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let bytes = header(BodyId(9), &meta(), &[b"hello"]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&wrong).is_err(), "bit {bit}");
        }
    }
}
